"""Main context as a request: order, digest, the shape of every envelope, clips, summaries, the unchanged prefix."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgpt_core import prompt
from memgpt_core.events import (
    Call,
    Clip,
    FunctionReturned,
    InstructionsDefined,
    Measured,
    MessageSent,
    ModelReplied,
    PressureWarned,
    TriggerReceived,
)
from memgpt_core.prompt import (
    build,
    build_summary,
    clip_to,
    clipped,
    digest,
    encode_body,
    message_of,
    prefix_tokens,
    render_block,
    sections,
    shortened,
    transcript_line,
)
from memgpt_core.settings import AgentSettings
from memgpt_core.state import Block, Part, prompt_parts
from memgpt_core.tokens import count, count_message
from tests.event_builder import Script

AT = datetime(2026, 3, 1, 15, 4, 5, tzinfo=UTC)
TIME = "2026-03-01 03:04:05 PM UTC+0000"

SCHEMA = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}


def begun() -> Script:
    script = Script(settings=AgentSettings(window_tokens=2048, reserve_tokens=128))
    script.add(
        InstructionsDefined(
            instructions="BE GOOD.", schemas=(SCHEMA,), measured=Measured(instructions_tokens=3, schemas_tokens=20)
        )
    )
    return script.block("persona", "I help.").block("human", "")


def read(script: Script) -> Any:
    return lambda seq: script.events[seq - 1]


def built(script: Script) -> prompt.Prompt:
    return build(script.state, read(script))


# --- layout -----------------------------------------------------------------------------------------------------------

SNAPSHOT = r"""system: BE GOOD.

<block label="persona" characters="7/2000">
I help.
</block>
<block label="human" characters="0/2000">

</block>
user: {"type": "system_alert", "message": "3 earlier messages are no longer in main context; they are in recall storage.
Summary of them: They talked.", "time": "2026-03-01 09:00:56 AM UTC+0000"}
user: {"type": "login", "last_login": "Never (first login)", "time": "2026-03-01 09:01:03 AM UTC+0000"}
user: {"type": "user_message", "message": "what \"now\"? ü漢", "time": "2026-03-01 09:01:10 AM UTC+0000"}
assistant: thinking aloud
call: {"id": "c13", "function": {"index": 0, "name": "send_message", "arguments": {"message": "ok"}}}
tool: {"status": "OK", "message": "None", "time": "2026-03-01 09:01:31 AM UTC+0000"}
tools: f
options: {"num_ctx": 2048, "num_predict": 128, "temperature": 0.2, "seed": 7}
model demo, stream True, think False, keep_alive 600s, truncate False, shift False"""


def test_a_small_prompt_as_it_stands() -> None:
    script = begun().trigger("old").reply("gone").returned().end().flushed(3)
    script.trigger("Never (first login)", cause="login").trigger('what "now"? ü漢').prompt()
    script.calls([Call(id="c13", name="send_message", arguments={"message": "ok"})], content="thinking aloud")
    script.returned()
    body = built(script).body
    lines = []
    for message in body["messages"]:
        lines.append(f"{message['role']}: {message['content']}".replace("storage. ", "storage.\n"))
        lines += ["call: " + json.dumps(call) for call in message.get("tool_calls", ())]
    lines.append("tools: " + ", ".join(tool["function"]["name"] for tool in body["tools"]))
    lines.append("options: " + json.dumps(body["options"]))
    rest = {key: value for key, value in body.items() if key not in ("messages", "tools", "options")}
    lines.append(", ".join(f"{key} {value}" for key, value in rest.items()))
    assert "\n".join(lines) == SNAPSHOT


def test_the_order_is_instructions_schemas_working_context_summary_queue_template() -> None:
    script = begun().trigger("one").reply("two").returned().end().flushed(1).trigger("three")
    keys = [part.key.split("@")[0] for part in built(script).parts]
    assert keys == ["instructions", "schemas", "persona", "human", "summary", "m6", "m7", "m10", "template"]
    assert tuple(built(script).sections) == prompt.SECTIONS


def test_the_sections_and_the_parts_add_up_to_the_same() -> None:
    script = begun().trigger("one", tokens=11).reply("two", tokens=13).end().flushed(1).trigger("three", tokens=17)
    made = built(script)
    assert sum(made.sections.values()) == sum(part.tokens for part in made.parts)
    assert made.sections == {
        "instructions": 3,
        "schemas": 20,
        "working_context": 60,
        "summary": 60,
        "messages": 30,
        "template": 0,
    }
    assert made.sections == sections(script.state)
    assert made.parts == prompt_parts(script.state)


def test_without_schemas_there_are_no_tools() -> None:
    script = Script().add(InstructionsDefined(instructions="x", schemas=()))
    assert "tools" not in built(script).body


def test_the_digest_is_the_sha256_of_the_bytes_that_are_sent() -> None:
    made = built(begun().trigger("ü漢\U0001f600"))
    raw = encode_body(made.body)
    assert made.sha256 == digest(made.body) == hashlib.sha256(raw).hexdigest()
    assert json.loads(raw) == made.body
    assert "ü漢\U0001f600".encode() in raw, "not escaped"
    assert encode_body({"a": [1, 2], "b": {"c": "ü"}}) == '{"a":[1,2],"b":{"c":"ü"}}'.encode()


def test_the_clock_moves_nothing_before_the_queue() -> None:
    """The head must stay the same from step to step, or the model server computes all of it again."""
    script = begun().turn("one", "two")
    first = built(script)
    script.turn("three", "four")
    second = built(script)
    head = encode_body(first.body)[: encode_body(first.body).index(b'"two"')]
    assert encode_body(second.body).startswith(head)


# --- envelopes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "envelope"),
    [
        ("user", {"type": "user_message", "message": "T", "time": TIME}),
        ("login", {"type": "login", "last_login": "T", "time": TIME}),
        ("timer", {"type": "heartbeat", "reason": "T", "time": TIME}),
        ("system", {"type": "system_alert", "message": "T", "time": TIME}),
        ("upload", {"type": "system_alert", "message": "T", "time": TIME}),
    ],
)
def test_every_trigger_has_its_envelope(cause: Any, envelope: dict[str, str]) -> None:
    message = message_of(TriggerReceived(cause=cause, text="T", at=AT))
    assert message["role"] == "user"
    assert json.loads(message["content"]) == envelope
    assert list(json.loads(message["content"])) == list(envelope), "the keys keep their order"


def test_a_warning_names_the_share_and_the_functions_that_save() -> None:
    message = message_of(PressureWarned(tokens=750, warn_tokens=700, flush_tokens=1000, at=AT))
    envelope = json.loads(message["content"])
    assert (message["role"], envelope["type"], envelope["time"]) == ("user", "system_alert", TIME)
    assert "75 %" in envelope["message"]
    for name in ("core_memory_append", "core_memory_replace", "archival_memory_insert"):
        assert name in envelope["message"]


@pytest.mark.parametrize(("ok", "status"), [(True, "OK"), (False, "Failed")])
def test_a_result_goes_to_the_call_it_answers(ok: bool, status: str) -> None:
    event = FunctionReturned(call_id="c9", name="f", arguments={}, ok=ok, value="V", heartbeat=False, at=AT)
    message = message_of(event)
    assert (message["role"], message["tool_name"], message["tool_call_id"]) == ("tool", "f", "c9")
    assert json.loads(message["content"]) == {"status": status, "message": "V", "time": TIME}


def test_what_queues_nothing_is_no_message() -> None:
    with pytest.raises(ValueError, match="message_sent"):
        message_of(MessageSent(text="x"))


# --- edited messages --------------------------------------------------------------------------------------------------


def contents(script: Script) -> list[Any]:
    return built(script).body["messages"]


def test_an_edited_trigger_shows_its_new_text_at_its_old_time() -> None:
    script = begun().trigger("wrong")
    before = json.loads(contents(script)[-1]["content"])
    script.edit_message(script.message, "right")
    assert json.loads(contents(script)[-1]["content"]) == {**before, "message": "right"}


def test_an_edited_reply_shows_what_it_should_have_said() -> None:
    script = begun().trigger("x").reply("wrong")
    wrong = script.message
    script.returned().edit_message(wrong, "right")
    assert contents(script)[-2]["tool_calls"][0]["function"]["arguments"] == {"message": "right"}
    plain = begun().trigger("x").calls([], content="wrong")
    plain.edit_message(plain.message, "right")
    assert contents(plain)[-1]["content"] == "right"


def test_an_edited_result_keeps_its_status() -> None:
    script = begun().trigger("x").reply("y").returned("f", "wrong", ok=False)
    script.edit_message(script.message, "right")
    envelope = json.loads(contents(script)[-1]["content"])
    assert (envelope["status"], envelope["message"]) == ("Failed", "right")


# --- messages by hand in the queue ------------------------------------------------------------------------------------


def shown(script: Script) -> list[tuple[str, str]]:
    """(role, text) of each queued message as the model reads it; calls by their ids."""
    found = []
    for message in contents(script)[1:]:
        content = message["content"]
        envelope = json.loads(content) if content.startswith("{") else {"message": content}
        text = envelope.get("message", content)
        if envelope.get("type") == "system_alert":
            text = f"! {text}"
        found.append((message["role"], text + "".join(f" <{call['id']}>" for call in message.get("tool_calls", ()))))
    return found


def test_a_message_that_came_back_says_that_it_did_and_what_it_was() -> None:
    """As itself, an old question at the end of the queue would be answered anew, and a result alone be refused."""
    script = begun().trigger("first").reply("a").returned("f", "V").trigger("timed", cause="timer").warned()
    script.calls([Call(id="z", name="f", arguments={"x": 1})]).calls([], content="plain").end().flushed(7)
    for message in ("m5", "m6", "m7", "m8", "m9", "m10", "m11"):
        script.requeue(message)
    texts = [text for role, text in shown(script)[1:]]
    assert {role for role, _ in shown(script)} == {"user"}
    assert texts[:4] == [
        "! Brought back from recall storage. The user wrote: first",
        "! Brought back from recall storage. You wrote: a",
        "! Brought back from recall storage. Result of f: V",
        "! Brought back from recall storage. An alert read: timed",
    ]
    assert texts[4].startswith("! Brought back from recall storage. An alert read: Memory pressure:")
    assert texts[5:] == [
        '! Brought back from recall storage. You wrote: f({"x": 1})',
        "! Brought back from recall storage. You wrote: plain",
    ]
    assert "tool_calls" not in encode_body(built(script).body).decode()


def test_an_edited_message_comes_back_with_its_new_text() -> None:
    script = begun().trigger("wrong").end().flushed(1).edit_message("m5", "right")
    script.requeue("m5", text_seq=script.seq)
    assert shown(script)[-1][1] == "! Brought back from recall storage. The user wrote: right"


@pytest.mark.parametrize("structured", [False, True])
def test_every_queued_message_is_counted_as_it_is_shown(structured: bool) -> None:
    settings = AgentSettings(model="m", calling="structured" if structured else "tools")
    script = Script(settings=settings).add(InstructionsDefined(instructions="BE GOOD.", schemas=()))
    script.turn("one", "two").flushed(3).requeue("m3").requeue("m6").turn("three", "four")
    counts = prompt.recount(script.state, read(script))
    messages = contents(script)[2:]
    assert [counts[entry.id] for entry in script.state.queue] == [count_message(message) for message in messages]


def test_a_result_whose_call_is_gone_is_an_alert() -> None:
    script = begun().trigger("x").prompt().reply("y").returned("f", "V", ok=False)
    script.delete_message("m7")
    assert shown(script)[1:] == [
        ("user", "! The call of this result is no longer in main context. Failed result of f: V")
    ]


def test_a_call_whose_result_is_gone_is_left_out() -> None:
    script = begun().trigger("x").prompt()
    script.calls([Call(id="c7", name="f", arguments={}), Call(id="c8", name="g", arguments={})], content="thinking")
    script.returned("f").returned("g").delete_message("m8")
    assert shown(script)[1:] == [("assistant", "thinking <c8>"), ("tool", "None")]
    script.delete_message("m9")
    assert shown(script)[1:] == [("assistant", "thinking")]


def test_what_came_between_a_call_and_its_result_stands_behind_both() -> None:
    script = begun().trigger("old").end().flushed(1).trigger("x").prompt()
    script.calls([Call(id=f"c{script.seq + n}", name="f", arguments={}) for n in (2, 4)])
    script.trigger("by the way", cause="system").returned("f", "1").requeue("m5").returned("f", "2")
    assert shown(script)[1:] == [
        ("user", "x"),
        ("assistant", " <c11> <c13>"),
        ("tool", "1"),
        ("tool", "2"),
        ("user", "! by the way"),
        ("user", "! Brought back from recall storage. The user wrote: old"),
    ]


def test_calls_of_the_same_id_keep_to_their_own_step() -> None:
    script = begun().trigger("x")
    for value in ("1", "2"):
        script.prompt().calls([Call(id="salvaged_0", name="f", arguments={})])
        script.add(
            FunctionReturned(call_id="salvaged_0", name="f", arguments={}, ok=True, value=value, heartbeat=False)
        )
    first = next(entry.id for entry in script.state.queue if entry.kind == "function_returned")
    script.delete_message(first)
    assert shown(script)[1:] == [
        ("assistant", "(interrupted before it ran)"),
        ("assistant", " <salvaged_0>"),
        ("tool", "2"),
    ]


def test_the_summariser_reads_what_came_back_as_what_it_was() -> None:
    script = begun().turn("I live in Lisbon", "Noted").flushed(3).requeue("m5").turn("x", "y")
    made = build_summary(script.state, ("m5",), read(script), words=9, transcript_chars=10_000)
    assert made.body["messages"][1]["content"].endswith("Conversation:\nuser (2026-03-01): I live in Lisbon")


def test_an_edited_reply_that_is_clipped_shows_its_ends_and_speaks_once() -> None:
    calls = [Call(id=f"c{n}", name="send_message", arguments={"message": "long " * 50}) for n in (1, 2)]
    message = message_of(ModelReplied(purpose="turn", calls=tuple(calls)), text="x" * 99, clip=(10, 5))
    said = [call["function"]["arguments"]["message"] for call in message["tool_calls"]]
    assert said[0].startswith("xxxxxxxxxx\n[… 84 characters")
    assert said[1] == ""
    plain = message_of(ModelReplied(purpose="turn", content="short"), text="x" * 99, clip=(10, 5))
    assert plain["content"].startswith("xxxxxxxxxx\n[… 84 characters")


def test_an_edited_warning_shows_its_new_text() -> None:
    warning = PressureWarned(tokens=750, warn_tokens=700, flush_tokens=1000, at=AT)
    envelope = json.loads(message_of(warning, text="never mind")["content"])
    assert envelope == {"type": "system_alert", "message": "never mind", "time": TIME}


# --- clips ------------------------------------------------------------------------------------------------------------


@given(st.text(max_size=300), st.integers(0, 200), st.integers(0, 200))
def test_a_clipped_text_is_its_head_a_note_and_its_tail(text: str, head: int, tail: int) -> None:
    shown = clipped(text, Clip(head_chars=head, tail_chars=tail))
    assert shown == clipped(text, (head, tail))
    if head + tail >= len(text):
        assert shown == text
    else:
        assert shown.startswith(text[:head] + "\n[… ")
        assert shown.endswith("]\n" + text[len(text) - tail :])
        assert f"{len(text) - head - tail} characters are left out" in shown


def test_a_text_that_fits_is_not_clipped() -> None:
    assert clip_to("hello there", 50) is None
    assert clipped("hello", None) == "hello"


def test_a_clipped_reply_keeps_its_calls_whole_but_for_the_long_text() -> None:
    call = Call(id="c", name="note_write", arguments={"name": "n", "text": "x" * 1000, "deep": {"a": 1}})
    message = message_of(ModelReplied(purpose="turn", calls=(call,)), clip=(10, 5))
    arguments = message["tool_calls"][0]["function"]["arguments"]
    assert (arguments["name"], arguments["deep"]) == ("n", {"a": 1})
    assert arguments["text"].startswith("xxxxxxxxxx\n[… 985 characters")


@given(st.sampled_from(["word ", "漢字", "x", "a\n", "Wort-Kette, "]), st.integers(1, 900), st.integers(8, 120))
def test_a_shortened_text_is_a_beginning_within_its_budget(piece: str, times: int, cap: int) -> None:
    text = (piece * times).strip()
    made = shortened(text, cap)
    if count(text) <= cap:
        assert made == text
    else:
        assert made.endswith(" …")
        kept = made.removesuffix(" …")
        assert " ".join(text.split()).startswith(" ".join(kept.split()))
        assert count(made) <= cap + 1
        if piece not in ("x",):
            assert count(kept) >= cap // 3, "not most of it is lost"


# --- the summary request ----------------------------------------------------------------------------------------------


def spoken() -> Script:
    script = begun().turn("I live in Lisbon", "Noted: Lisbon").turn("and I like tea", "Tea it is")
    return script.trigger("what now?")


def test_the_summariser_gets_what_leaves_and_nothing_else() -> None:
    script = spoken()
    gone = tuple(entry.id for entry in script.state.queue if entry.turn == 1)
    made = build_summary(script.state, gone, read(script), words=99, transcript_chars=10_000)
    system, user = made.body["messages"]
    assert "tools" not in made.body
    assert "at most 99 words" in system["content"]
    assert user["content"] == "Conversation:\nuser (2026-03-01): I live in Lisbon\nassistant: Noted: Lisbon"
    assert made.sections["instructions"] == count_message(system)
    assert made.sections["messages"] == count_message(user)
    assert sum(part.tokens for part in made.parts) == sum(made.sections.values())
    assert made.sha256 == digest(made.body)


def test_the_second_summary_begins_from_the_first() -> None:
    script = spoken().flushed(3, "They spoke of Lisbon.")
    gone = tuple(entry.id for entry in script.state.queue if entry.turn == 2)
    made = build_summary(script.state, gone, read(script), words=9, transcript_chars=10_000)
    content = made.body["messages"][1]["content"]
    assert content.startswith("Existing summary: They spoke of Lisbon.\n\nConversation:\n")
    assert "I live in" not in content


def test_a_transcript_is_cut_in_the_middle() -> None:
    script = begun().trigger("HEAD " + "x" * 5000 + " TAIL").reply("y").end()
    gone = tuple(entry.id for entry in script.state.queue)
    made = build_summary(script.state, gone, read(script), words=9, transcript_chars=200)
    content = made.body["messages"][1]["content"].removeprefix("Conversation:\n")
    assert content.startswith("user (2026-03-01): HEAD xxx")
    assert content.endswith("assistant: y")
    assert "\n[… cut …]\n" in content
    assert len(content) <= 200 + len("\n[… cut …]\n")


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (TriggerReceived(cause="user", text="hi", at=AT), "user (2026-03-01): hi"),
        (TriggerReceived(cause="login", text="x", at=AT), ""),
        (TriggerReceived(cause="timer", text="x", at=AT), ""),
        (ModelReplied(purpose="turn", content="inner", at=AT), "assistant: inner"),
        (
            ModelReplied(
                purpose="turn",
                content="inner",
                calls=(Call(id="a", name="send_message", arguments={"message": "said"}),),
            ),
            "assistant: said",
        ),
        (ModelReplied(purpose="turn", calls=(Call(id="a", name="send_message", arguments="broken"),)), ""),
        (FunctionReturned(call_id="a", name="f", arguments={}, ok=True, value="None", heartbeat=False), ""),
        (FunctionReturned(call_id="a", name="f", arguments={}, ok=True, value="V", heartbeat=False), "function: V"),
        (FunctionReturned(call_id="a", name="send_message", arguments={}, ok=False, value="V", heartbeat=False), ""),
    ],
)
def test_a_message_as_the_summariser_reads_it(event: Any, line: str) -> None:
    assert transcript_line(message_of(event)) == line


# --- the unchanged prefix ---------------------------------------------------------------------------------------------

A, B, C = Part("a", 5), Part("b", 7), Part("c", 11)


@pytest.mark.parametrize(
    ("before", "now", "tokens"),
    [
        ((), (A, B), 0),
        ((A, B), (), 0),
        ((A, B), (A, B), 12),
        ((A, B), (A, B, C), 12),
        ((A, B, C), (A, C), 5),
        ((A, B), (B, A), 0),
        ((A, B, C), (A, Part("b2", 7), C), 5),
    ],
)
def test_the_prefix_is_counted_in_whole_parts_up_to_the_first_change(before: Any, now: Any, tokens: int) -> None:
    assert prefix_tokens(before, now) == tokens


def test_a_block_edit_ends_the_prefix_at_the_block() -> None:
    script = begun().trigger("x").prompt()
    before = script.state.sent
    script.trigger("y")
    whole = sum(part.tokens for part in before)
    assert prefix_tokens(before, prompt_parts(script.state)) == whole
    script.block("human", "new")
    assert prefix_tokens(before, prompt_parts(script.state)) == 3 + 20 + 30


def test_a_block_shows_its_budget_its_purpose_and_its_lock() -> None:
    block = Block("human", "who you talk to", "Ana", 200, True, 1, "agent", 0)
    assert render_block(block) == (
        '<block label="human" characters="3/200" read_only="true">\n<!-- who you talk to -->\nAna\n</block>'
    )
