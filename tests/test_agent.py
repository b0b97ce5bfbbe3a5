"""The loop: what a scripted turn writes, and that no reply of a model can hang or silence it."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from memgpt_core.agent import Silent
from memgpt_core.errors import ContextOverflow, ModelUnavailable
from memgpt_core.events import AgentConfigured, Call, StopRequested, TriggerReceived, TurnEnded, TurnResumed, encode
from memgpt_core.llm.base import Stopped
from memgpt_core.memory_functions import edited
from memgpt_core.queue_manager import total_tokens
from memgpt_core.replay import rerun
from memgpt_core.settings import AgentSettings
from tests.engine import Engine, ScriptedModel, call, kinds, reply, say, sent

Make = Callable[..., Engine]

SMALL = AgentSettings(window_tokens=4096, reserve_tokens=256)


def test_a_reply_is_sent_and_the_turn_yields(engine: Make) -> None:
    events = engine(say("Hello!")).tell("hi")
    assert kinds(events) == [
        "trigger_received",
        "prompt_built",
        "model_replied",
        "message_sent",
        "function_returned",
        "turn_ended",
    ]
    assert sent(events) == ["Hello!"]
    assert events[-1].reason == "yielded"


def test_a_heartbeat_chains_steps_and_effects_come_before_their_result(engine: Make) -> None:
    one = engine(reply(call("core_memory_append", heartbeat=True, label="human", content="Name: Ana")), say("Noted."))
    events = one.tell("I am Ana")
    assert kinds(events)[2:6] == ["model_replied", "working_context_edited", "function_returned", "prompt_built"]
    assert one.state.blocks["human"].value == "Name: Ana"
    assert [event.step for event in events if event.kind == "prompt_built"] == [1, 2]


def test_several_calls_of_one_reply_run_in_order(engine: Make) -> None:
    one = engine(
        reply(
            call("core_memory_append", label="human", content="first"),
            call("core_memory_append", label="human", content="second"),
            call("send_message", message="both"),
        )
    )
    events = one.tell("two things")
    assert one.state.blocks["human"].value == "first\nsecond"
    assert [event.name for event in events if event.kind == "function_returned"][-1] == "send_message"


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (call("no_such_function", x=1), "There is no function 'no_such_function'"),
        (call("send_message", text="wrong name"), "message: field required"),
        (call("send_message", message="hi", surprise=1), "surprise"),
        (call("core_memory_append", label="nobody", content="x"), "There is no block 'nobody'"),
        (call("conversation_search", query="x", page="many"), "page"),
    ],
)
def test_a_failed_call_goes_back_to_the_model_with_a_forced_heartbeat(engine: Make, bad: Any, says: str) -> None:
    events = engine(reply(bad), say("Sorry.")).tell("hi")
    failed = next(event for event in events if event.kind == "function_returned")
    assert (failed.ok, failed.heartbeat) == (False, True)
    assert says in failed.value
    assert sent(events) == ["Sorry."]


def test_arguments_that_are_no_json_are_the_models_fault(engine: Make) -> None:
    events = engine(reply(Call(id="c", name="send_message", arguments='{"message": "hal')), say("ok")).tell("hi")
    failed = next(event for event in events if event.kind == "function_returned")
    assert not failed.ok
    assert "not a JSON object" in failed.value


def test_a_number_or_flag_written_as_text_is_understood(engine: Make) -> None:
    one = engine(
        reply(call("archival_memory_insert", content="a passage", request_heartbeat="true")),
        reply(call("archival_memory_search", heartbeat=True, query="passage", page="1")),
        say("found"),
    )
    events = one.tell("go")
    assert [event.ok for event in events if event.kind == "function_returned"] == [True, True, True]


def test_plain_text_is_delivered_and_marked(engine: Make) -> None:
    events = engine(reply(content="Just text.")).tell("hi")
    message = next(event for event in events if event.kind == "message_sent")
    assert (message.text, message.plain) == ("Just text.", True)


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "send_message", "arguments": {"message": "salvaged"}}',
        'Sure!\n```json\n{"function": "send_message", "params": {"message": "salvaged"}}\n```',
        '[{"type": "function", "function": {"name": "send_message", "arguments": "{\\"message\\": \\"salvaged\\"}"}}]',
    ],
)
def test_a_call_printed_as_text_is_salvaged(engine: Make, text: str) -> None:
    events = engine(reply(content=text)).tell("hi")
    replied = next(event for event in events if event.kind == "model_replied")
    assert replied.salvaged
    assert sent(events) == ["salvaged"]


def test_json_that_names_no_function_stays_text(engine: Make) -> None:
    events = engine(reply(content='The answer is {"name": "Ana"}.')).tell("hi")
    assert sent(events) == ['The answer is {"name": "Ana"}.']


def test_an_empty_reply_is_retried_once_and_leaves_no_message(engine: Make) -> None:
    one = engine(reply(), say("Here I am."))
    events = one.tell("hi")
    assert sent(events) == ["Here I am."]
    assert all(message["content"] or message.get("tool_calls") for message in one.model.bodies[1]["messages"])


def test_two_empty_replies_are_a_fault_that_says_so(engine: Make) -> None:
    events = engine(reply(), reply(thinking="hm")).tell("hi")
    assert kinds(events)[-2:] == ["fault_recorded", "turn_ended"]
    assert "nothing twice" in events[-2].error


def test_the_step_cap_ends_a_turn_that_chains_for_ever(engine: Make) -> None:
    counter = iter(range(1000))
    one = engine(
        then=lambda body: reply(call("note_write", heartbeat=True, name=f"n{next(counter)}", text="x")),
        settings=AgentSettings(step_cap=4),
    )
    events = one.tell("go")
    assert events[-1].reason == "step_limit"
    assert kinds(events).count("prompt_built") == 4


def test_the_same_call_three_times_over_stops_the_turn(engine: Make) -> None:
    one = engine(then=reply(call("note_list", heartbeat=True)))
    events = one.tell("go")
    assert events[-1].reason == "repeating"
    assert kinds(events).count("model_replied") == 3


def test_a_model_that_cannot_be_reached_is_a_fault_and_the_message_stays(engine: Make) -> None:
    one = engine(ModelUnavailable("No server answers. Start it."), say("Back again."))
    events = one.tell("hello?")
    assert kinds(events)[-2:] == ["fault_recorded", "turn_ended"]
    assert events[-2].error == "No server answers. Start it."
    one.tell("and now?")
    assert "hello?" in str(one.model.bodies[-1]["messages"])


def test_a_turn_that_broke_off_runs_on_from_where_it_was(engine: Make) -> None:
    one = engine(reply(call("note_write", True, name="n", text="t")), ModelUnavailable("gone"), say("Here you are."))
    assert one.tell("a question")[-1].reason == "fault"
    one.agent.receive(TurnResumed())
    one.agent.run_turn()
    after = [event for event in one.events if event.turn == 1]
    assert sent(after) == ["Here you are."]
    assert [event.step for event in after if event.kind == "prompt_built"] == [1, 2, 3]
    assert one.model.bodies[-1]["messages"] == one.model.bodies[-2]["messages"]
    assert rerun(one.events).identical


def test_a_turn_resumed_after_its_step_limit_gets_as_many_steps_again(engine: Make) -> None:
    counter = iter(range(1000))
    one = engine(
        then=lambda body: reply(call("note_write", heartbeat=True, name=f"n{next(counter)}", text="x")),
        settings=AgentSettings(step_cap=3),
    )
    assert one.tell("go")[-1].reason == "step_limit"
    one.agent.receive(TurnResumed())
    one.agent.run_turn()
    assert one.state.step == 6
    assert rerun(one.events).identical


def test_slips_of_the_model_are_counted(engine: Make) -> None:
    one = engine(
        reply(call("no_such")),
        reply(),
        reply(content='{"name": "send_message", "arguments": {"message": "hi"}}'),
    )
    one.tell("go")
    state = one.state
    assert (state.calls, state.failed_calls, state.salvaged_replies, state.empty_replies) == (2, 1, 1, 1)


def test_a_stop_in_the_model_call_keeps_nothing_of_it(engine: Make) -> None:
    one = engine()

    def stopped(body: Any) -> Any:
        one.journal.commit(StopRequested())
        raise Stopped

    one.model.script = [stopped, say("fresh")]
    events = one.tell("long story please")
    assert kinds(events) == ["trigger_received", "prompt_built", "stop_requested", "turn_ended"]
    assert events[-1].reason == "stopped"
    assert sent(one.tell("again")) == ["fresh"]


def test_a_stop_before_a_call_leaves_every_call_a_result(engine: Make) -> None:
    one = engine()

    def answer_then_stop(body: Any) -> Any:
        one.journal.commit(StopRequested())
        return reply(call("core_memory_append", label="human", content="x"), call("send_message", message="y"))

    one.model.script = [answer_then_stop]
    events = one.tell("go")
    results = [event for event in events if event.kind == "function_returned"]
    assert [(result.ok, result.value) for result in results] == [(False, "Not run: the user stopped the turn.")] * 2
    assert events[-1].reason == "stopped"
    assert one.state.blocks["human"].value == ""


def test_a_function_switched_off_is_neither_offered_nor_run(engine: Make) -> None:
    one = engine(
        reply(call("note_write", name="a", text="b")),
        say("ok"),
        settings=AgentSettings(functions_off=("note_write",)),
    )
    events = one.tell("go")
    offered = {tool["function"]["name"] for tool in one.model.bodies[0]["tools"]}
    assert "note_write" not in offered
    assert not next(event for event in events if event.kind == "function_returned").ok
    assert not one.state.notes


# --- memory pressure ----------------------------------------------------------------------------------------------


def fill(one: Engine, until: str, words: int = 60) -> list[Any]:
    """Chat until an event of this kind; the events of the turn that had it."""
    for number in range(200):
        one.model.then = say(f"Answer {number}.")
        events = one.tell(f"Message {number}: " + "chatter " * words)
        if until in kinds(events):
            return events
    raise AssertionError(f"no {until} in 200 turns")


def test_the_warning_comes_before_the_flush_and_the_model_gets_a_step_to_save(engine: Make) -> None:
    one = engine(settings=SMALL)
    events = fill(one, "pressure_warned")
    after = kinds(events)[kinds(events).index("pressure_warned") :]
    assert after[1:3] == ["prompt_built", "model_replied"]
    assert one.state.flushes == 0
    assert "Memory pressure" in str(one.model.bodies[-1]["messages"][-1])
    assert "queue_flushed" in kinds(fill(one, "queue_flushed"))


@pytest.mark.parametrize("late", [reply(), reply(content="Nothing to save.")])
def test_a_late_warning_may_be_answered_with_nothing_and_no_text_reaches_the_user(engine: Make, late: Any) -> None:
    one = engine(settings=SMALL)
    for number in range(50):
        text = f"Message {number}: " + "chatter " * 60
        one.model.script = [say(f"Answer {number}."), late]
        events = one.tell(text)
        if one.state.warned and not one.model.script:
            break
    assert sent(events) == [f"Answer {number}."]
    assert events[-1].reason == "yielded"


def test_a_flush_evicts_whole_exchanges_and_leaves_a_summary_in_the_first_slot(engine: Make) -> None:
    one = engine(settings=SMALL)
    flush = next(event for event in fill(one, "queue_flushed") if event.kind == "queue_flushed")
    by_id = {f"m{event.seq}": event for event in one.events}
    left = {by_id[id].turn for id in flush.evicted}
    assert left == set(range(1, max(left) + 1))
    assert not {entry.turn for entry in one.state.queue} & left
    assert flush.tokens_after < flush.tokens_before
    assert flush.tokens_after == flush.tokens_before - sum(by_id[id].measured.tokens for id in flush.evicted) + (
        flush.measured.tokens or 0
    )
    first = one.model.bodies[-1]["messages"][1]
    assert "They spoke of many things." in first["content"]
    assert flush.summary == "They spoke of many things."


def test_nothing_of_a_summary_is_shown_as_if_it_were_the_reply(engine: Make) -> None:
    class Watched(Silent):
        phases: list[str] = []
        shown: list[str] = []

        def phase(self, phase: str, detail: str = "") -> None:
            self.phases.append(phase)

        def text(self, piece: str) -> None:
            self.shown.append(piece)

    class Talkative(ScriptedModel):
        def chat(self, body: Any, progress: Any) -> Any:
            answer = super().chat(body, progress)
            progress.phase("generating")
            progress.text(answer.content)
            return answer

    one = engine(model=Talkative(), settings=SMALL)
    one.agent._progress = Watched()
    fill(one, "queue_flushed")
    assert "summarising" in Watched.phases
    assert not any("They spoke" in piece for piece in Watched.shown)


def test_the_second_summary_is_made_from_the_first(engine: Make) -> None:
    one = engine(settings=SMALL)
    first = next(event for event in fill(one, "queue_flushed") if event.kind == "queue_flushed")
    one.model.summary = reply(content="A second summary.")
    second = next(event for event in fill(one, "queue_flushed") if event.kind == "queue_flushed")
    request = next(body for body in reversed(one.model.bodies) if "tools" not in body)
    assert "Existing summary: They spoke of many things." in request["messages"][1]["content"]
    assert second.covers == first.covers + len(second.evicted)


def test_no_message_is_summarised_twice(engine: Make) -> None:
    """Each summary is the one before, extended: a request holds that and what leaves now, never what left earlier."""
    one = engine(settings=SMALL)
    one.model.then = say("ok")
    for number in range(60):
        one.model.summary = reply(content=f"Summary so far, up to turn {number}.")
        one.tell(f"marker-{number}- " + "word " * 90)
    asked = [body["messages"][1]["content"] for body in one.model.bodies if "tools" not in body]
    summaries: list[Any] = [event.summary for event in one.events if event.kind == "queue_flushed"]
    assert len(asked) == len(summaries) >= 3
    left = [[number for number in range(60) if f"marker-{number}-" in text] for text in asked]
    assert [number for numbers in left for number in numbers] == list(range(left[-1][-1] + 1)), "in order, each once"
    assert "Existing summary" not in asked[0]
    for before, text in pairwise(asked):
        assert text.startswith(f"Existing summary: {summaries[asked.index(before)]}")


def test_a_prompt_never_exceeds_what_fits(engine: Make) -> None:
    one = engine(settings=SMALL)
    for number in range(40):
        one.model.then = say(f"Answer {number} " + "blah " * (number * 7 % 90))
        one.tell("word " * (number * 53 % 700))
    built = [event for event in one.events if event.kind == "prompt_built" and event.purpose == "turn"]
    assert one.state.flushes >= 3
    assert max(sum(event.sections.values()) for event in built) <= SMALL.limit_tokens


def test_a_message_larger_than_the_window_is_stored_whole_and_queued_as_head_and_tail(engine: Make) -> None:
    one = engine(then=say("That was long."), settings=SMALL)
    text = "START " + "filler words go on and on " * 4000 + " END"
    events = one.tell(text)
    assert events[0].text == text
    queued = one.model.bodies[0]["messages"][1]["content"]
    assert "START" in queued
    assert "END" in queued
    assert "conversation_search" in queued
    assert len(queued) < 6000
    assert sent(events) == ["That was long."]


def test_a_huge_function_result_is_clipped_too(engine: Make) -> None:
    one = engine(then=say("done"), settings=SMALL)
    one.model.script = [
        reply(call("note_write", heartbeat=True, name="big", text="x y " * 990)),
        reply(call("note_read", heartbeat=True, name="big")),
        reply(call("note_read", heartbeat=True, name="big")),
    ]
    events = one.tell("go")
    assert sent(events)[0] == "done"
    read = [event for event in events if event.kind == "function_returned" and event.name == "note_read"]
    assert all(event.clip and len(event.value) > 3900 for event in read)
    assert total_tokens(one.state) <= SMALL.limit_tokens


def test_an_overflow_refusal_forces_one_flush_and_one_retry(engine: Make) -> None:
    one = engine(then=say("fine"))
    for number in range(3):
        one.tell(f"hello {number}")
    one.model.script = [ContextOverflow("the prompt is too long"), say("made it")]
    events = one.tell("again")
    flush = next(event for event in events if event.kind == "queue_flushed")
    assert flush.trigger == "overflow"
    assert sent(events) == ["made it"]
    one.model.script = [ContextOverflow("too long"), ContextOverflow("still too long")]
    events = one.tell("once more")
    assert kinds(events)[-2:] == ["fault_recorded", "turn_ended"]
    assert events[-2].error == "still too long"


def test_a_summariser_that_overflows_falls_back_to_a_flush_that_says_so(engine: Make) -> None:
    one = engine(settings=SMALL)
    one.model.summary = ContextOverflow("summary too long")
    flush = next(event for event in fill(one, "queue_flushed") if event.kind == "queue_flushed")
    assert flush.summarised_by == "none"
    assert "No summary could be made" in str(one.model.bodies[-1]["messages"][1])


def test_one_exchange_that_fills_the_window_is_evicted_by_steps_and_keeps_its_trigger(engine: Make) -> None:
    counter = iter(range(1000))
    one = engine(settings=AgentSettings(window_tokens=4096, reserve_tokens=256, step_cap=40))
    one.model.then = lambda body: reply(
        call("note_write", heartbeat=True, name=f"n{next(counter)}", text="some words here " * 30)
    )
    one.tell("THE-TASK: write forty notes")
    assert one.state.flushes >= 1
    assert "THE-TASK" in str(one.model.bodies[-1]["messages"])
    messages = one.model.bodies[-1]["messages"]
    for message, following in pairwise(messages):
        if message.get("tool_calls"):
            assert following["role"] == "tool"


def test_a_window_that_cannot_be_freed_is_a_fault_with_the_numbers(engine: Make) -> None:
    one = engine(then=say("ok"), settings=SMALL)
    one.tell("hi")
    tiny = one.state.settings.model_copy(update={"window_tokens": 2000})
    one.journal.commit(AgentConfigured(settings=tiny))
    events = one.tell("does this fit?")
    assert events[-1].reason == "fault"
    assert "1744" in events[-2].error


# --- rerun -------------------------------------------------------------------------------------------------------


def test_a_rerun_gives_the_same_bytes_through_pressure_faults_and_stops(engine: Make) -> None:
    one = engine(settings=SMALL)
    fill(one, "queue_flushed")
    one.model.script = [
        reply(call("conversation_search", heartbeat=True, query="Message 1:")),
        reply(call("archival_memory_insert", heartbeat=True, content="kept", tags=["a"])),
        reply(call("archival_memory_search", heartbeat=True, query="kept")),
        reply(call("pause_heartbeats", minutes=5)),
        ModelUnavailable("gone"),
        reply(),
        say("after nothing"),
    ]
    one.tell("search!")
    one.tell("fault!")
    one.tell("nothing!")
    stopping = reply(call("note_list", heartbeat=True))
    one.model.script = [lambda body: (one.journal.commit(StopRequested()), stopping)[1]]
    one.tell("stop!")
    outcome = rerun(one.events)
    assert outcome.difference is None
    assert outcome.events == len(one.events)


def test_a_human_edit_in_the_middle_of_a_turn_reruns_at_its_place(engine: Make) -> None:
    one = engine()

    def edit_meanwhile(body: Any) -> Any:
        one.journal.commit(lambda state: edited(state, "human", "typed by hand", author="human"))
        return reply(call("core_memory_append", heartbeat=True, label="human", content="by the agent"))

    one.model.script = [edit_meanwhile, say("ok")]
    one.tell("go")
    assert one.state.blocks["human"].value == "typed by hand\nby the agent"
    assert rerun(one.events).identical


def test_a_rerun_names_the_first_event_that_differs(engine: Make) -> None:
    one = engine(then=say("ok"), settings=SMALL)
    one.tell("hi")
    events = one.events
    changed = next(event for event in events if event.kind == "message_sent")
    events[changed.seq - 1] = changed.model_copy(update={"text": "something else"})
    outcome = rerun(events)
    assert outcome.difference is not None
    assert outcome.difference.seq == changed.seq
    assert '"text":"ok"' in outcome.difference.rerun
    assert '"text":"something else"' in outcome.difference.recorded


def test_an_interrupted_turn_reruns(engine: Make) -> None:
    one = engine(then=say("ok"))
    one.agent.receive(TriggerReceived(cause="user", text="hi"))
    one.agent._build_prompt()
    one.journal.commit(TurnEnded(reason="interrupted"))
    one.tell("again")
    assert rerun(one.events).identical


def test_a_log_reads_back_as_it_was_written(engine: Make) -> None:
    one = engine(then=say("ok"))
    one.tell("hi")
    assert [encode(event) for event in one.events] == (one.log.path.read_text().splitlines())
