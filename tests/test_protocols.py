"""The native protocol, structured output for models without tool support, and what token counts teach."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from memgpt_core.events import AgentConfigured, ContextRecounted, Measured
from memgpt_core.instructions import MEMGPT_INSTRUCTIONS, NATIVE_INSTRUCTIONS
from memgpt_core.llm.base import Reply
from memgpt_core.prompt import sections
from memgpt_core.queue_manager import total_tokens
from memgpt_core.replay import rerun
from memgpt_core.settings import AgentSettings
from tests.engine import Engine, call, kinds, reply, say, sent

Make = Callable[..., Engine]

NATIVE = AgentSettings(protocol="native")
FORM = AgentSettings(model="plain:1b", calling="structured")


# --- native -----------------------------------------------------------------------------------------------


def test_in_native_plain_text_is_the_reply_and_no_slip(engine: Make) -> None:
    events = engine(reply(content="Hello!"), settings=NATIVE).tell("hi")
    message = next(event for event in events if event.kind == "message_sent")
    assert (message.text, message.plain) == ("Hello!", False)
    assert events[-1].reason == "yielded"


def test_in_native_every_call_continues_without_a_heartbeat(engine: Make) -> None:
    one = engine(
        reply(call("core_memory_append", label="human", content="Name: Ana"), content="I keep that."),
        reply(content="Nice to meet you, Ana."),
        settings=NATIVE,
    )
    events = one.tell("I am Ana")
    assert sent(events) == ["Nice to meet you, Ana."]
    assert one.state.blocks["human"].value == "Name: Ana"
    assert rerun(one.events).identical


def test_in_native_neither_send_message_nor_the_heartbeat_flag_is_offered(engine: Make) -> None:
    one = engine(reply(content="ok"), settings=NATIVE)
    one.tell("hi")
    tools = {
        tool["function"]["name"]: tool["function"]["parameters"]["properties"] for tool in one.model.bodies[0]["tools"]
    }
    assert "send_message" not in tools
    assert "core_memory_append" in tools
    assert all("request_heartbeat" not in properties for properties in tools.values())
    assert NATIVE_INSTRUCTIONS in one.model.bodies[0]["messages"][0]["content"]


def test_in_native_a_terminal_call_still_ends_the_turn(engine: Make) -> None:
    events = engine(reply(call("pause_heartbeats", minutes=5)), settings=NATIVE).tell("rest", cause="timer")
    assert events[-1].reason == "yielded"


# --- structured output --------------------------------------------------------------------------------------


def form(function: str, **arguments: Any) -> Reply:
    import json

    return reply(content=json.dumps({"thought": "hm", "function": function, "arguments": arguments}))


def test_a_model_without_tools_fills_in_a_form_and_the_engine_is_the_same(engine: Make) -> None:
    one = engine(
        form("core_memory_append", label="human", content="Name: Ana", request_heartbeat=True),
        form("send_message", message="Hello Ana"),
        settings=FORM,
    )
    events = one.tell("I am Ana")
    assert sent(events) == ["Hello Ana"]
    first, second = one.model.bodies
    assert "tools" not in first
    names = {name for option in first["format"]["anyOf"] for name in option["properties"]["function"]["enum"]}
    assert {"send_message", "core_memory_append", "archival_memory_search"} <= names
    assert "- core_memory_append(label: string, content: string" in first["messages"][0]["content"]
    assert [message["role"] for message in second["messages"]] == ["system", "user", "assistant", "user"]
    assert '"function": "core_memory_append"' in second["messages"][2]["content"]
    assert '"type": "function_result"' in second["messages"][3]["content"]
    assert rerun(one.events).identical


def test_a_form_that_is_no_call_is_delivered_as_text(engine: Make) -> None:
    assert sent(engine(reply(content="just words"), settings=FORM).tell("hi")) == ["just words"]


@pytest.mark.parametrize("wrong", [{"protocol": "native", "model": "plain:1b"}, {"model": "demo"}])
def test_structured_output_is_refused_where_it_cannot_work(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="structured output needs"):
        AgentSettings(calling="structured", **wrong)


# --- counting -----------------------------------------------------------------------------------------------


def counted(one: Engine, share: float) -> Callable[[dict[str, Any]], Reply]:
    """A reply whose server counted `share` of our raw count."""

    def answer(body: dict[str, Any]) -> Reply:
        raw = sum(part.tokens for part in one.state.sent)
        return reply(call("send_message", message="ok"))._replace(measured=Measured(prompt_tokens=round(raw * share)))

    return answer


def test_the_factor_learns_from_the_servers_counts_and_the_sections_still_add_up(engine: Make) -> None:
    one = engine(settings=AgentSettings(model="m"))
    for _ in range(12):
        one.model.script = [counted(one, 1.2)]
        one.tell("hello there")
    assert one.state.token_factor == pytest.approx(1.2, abs=0.01)
    built = [event for event in one.events if event.kind == "prompt_built"][-1]
    server = [event for event in one.events if event.kind == "model_replied"][-1].measured.prompt_tokens
    assert sum(built.sections.values()) == pytest.approx(server, rel=0.01)
    assert total_tokens(one.state) == sum(sections(one.state).values())
    assert "truncation_suspected" not in kinds(one.events)
    assert rerun(one.events).identical


def test_a_server_that_saw_far_less_is_said_loudly_and_teaches_nothing(engine: Make) -> None:
    one = engine(settings=AgentSettings(model="m"))
    one.model.script = [counted(one, 0.5)]
    events = one.tell("hi")
    suspected = next(event for event in events if event.kind == "truncation_suspected")
    assert suspected.server < suspected.ours * 0.6
    assert one.state.token_factor == 1.0
    assert rerun(one.events).identical


def test_a_server_that_cuts_every_prompt_to_the_same_length_is_found_out(engine: Make) -> None:
    one = engine(settings=AgentSettings(model="m", window_tokens=8192, reserve_tokens=512))
    for number in range(60):
        one.model.script = [
            reply(call("send_message", message="words " * 40))._replace(measured=Measured(prompt_tokens=2300))
        ]
        events = one.tell(f"message {number} " + "chatter " * 60)
        if "truncation_suspected" in kinds(events):
            break
    assert "truncation_suspected" in kinds(events)
    assert one.state.token_factor >= 0.8


def test_an_answer_to_a_prompt_larger_than_the_served_window_is_suspect(engine: Make) -> None:
    one = engine(settings=AgentSettings(model="m"))
    one.model.script = [say("ok")._replace(measured=Measured(prompt_tokens=1450, served_window=1500))]
    suspected = next(event for event in one.tell("hi") if event.kind == "truncation_suspected")
    assert suspected.window_tokens == 1500
    assert one.state.token_factor == 1.0


def test_no_count_and_a_count_at_the_edge_of_the_window_teach_nothing(engine: Make) -> None:
    one = engine(say("ok"), settings=AgentSettings(model="m", window_tokens=2400, reserve_tokens=64))
    one.tell("hi")
    assert one.state.token_factor == 1.0
    one.model.script = [counted(one, 2370 / sum(part.tokens for part in one.state.sent))]
    one.tell("hi")
    assert one.state.token_factor == 1.0


def test_another_model_forgets_the_factor_and_a_recount_replaces_every_count(engine: Make) -> None:
    one = engine(settings=AgentSettings(model="m"))
    one.model.script = [counted(one, 1.2)]
    one.tell("hello")
    assert one.state.token_factor > 1
    settings = one.state.settings.model_copy(update={"model": "other"})
    one.journal.commit(AgentConfigured(settings=settings, token_factor=1.1))
    assert one.state.token_factor == 1.1
    message = one.state.queue[0].id
    one.journal.commit(
        ContextRecounted(counts={"instructions": 7, "schemas": 8, "human": 9, message: 10}, counted_by="other")
    )
    state = one.state
    assert (state.instructions_tokens, state.schemas_tokens, state.blocks["human"].tokens) == (7, 8, 9)
    assert state.queue[0].tokens == 10
    assert (state.token_factor, state.counted_by) == (1.0, "other")


def test_with_an_exact_count_a_smaller_gap_is_suspected(engine: Make) -> None:
    one = engine(settings=AgentSettings(model="m"))
    one.journal.commit(ContextRecounted(counts={}, counted_by="m"))
    one.model.script = [counted(one, 0.9)]
    assert "truncation_suspected" in kinds(one.tell("hi"))


def test_default_instructions_follow_the_protocol() -> None:
    from memgpt_core.blueprint import define_instructions

    assert define_instructions(MEMGPT_INSTRUCTIONS, NATIVE).instructions == NATIVE_INSTRUCTIONS
    assert define_instructions("My own.", NATIVE).instructions == "My own."
