"""The rerun: identical bytes over mixed lives, and the first event that differs when a rule was another one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memgpt_core import queue_manager, replay
from memgpt_core.errors import ContextOverflow, LogCorrupt, MemscopeError, ModelUnavailable
from memgpt_core.events import (
    AgentConfigured,
    AgentRenamed,
    ArchivalDeleted,
    ArchivalEdited,
    ArchivalInserted,
    ArchivalRestored,
    BlockDefined,
    BlockDeleted,
    BlockRenamed,
    Call,
    Event,
    Measured,
    MessageDeleted,
    MessageEdited,
    MessagePinned,
    MessageRequeued,
    MessageRestored,
    NoteWritten,
    StopRequested,
    TriggerReceived,
    TurnEnded,
    encode,
)
from memgpt_core.failpoints import arm, enospc, nth
from memgpt_core.llm.base import Stopped
from memgpt_core.memory_functions import edited
from memgpt_core.replay import rerun, rerun_file
from memgpt_core.settings import AgentSettings
from tests.engine import Engine, call, kinds, reply, say

Make = Callable[..., Engine]

TOKENS = Measured(tokens=30)
SMALL = AgentSettings(window_tokens=4096, reserve_tokens=256)


def mixed(engine: Make) -> Engine:
    """A life with everything in it that a log can hold."""
    one = engine(then=say("ok"), settings=SMALL)
    for n in range(14):
        one.tell(f"message {n}: " + "chatter " * 60)

    def by_hand(body: Any) -> Any:
        state = one.state
        one.journal.commit(lambda now: edited(now, "human", "typed by hand", author="human"))
        one.journal.commit(NoteWritten(name="hand", text="a person's note", author="human"))
        last = state.queue[-1].id
        one.journal.commit(MessageEdited(message=last, text="corrected", author="human", based_on=int(last[1:])))
        oldest, next_oldest = state.queue[0].id, state.queue[1].id
        one.journal.commit(MessageDeleted(message=oldest, author="human"))
        one.journal.commit(
            MessageRestored(message=oldest, text_seq=int(oldest[1:]), queued=True, author="human", measured=TOKENS)
        )
        one.journal.commit(MessagePinned(message=oldest, pinned=True, author="human"))
        one.journal.commit(MessageDeleted(message=next_oldest, author="human"))
        gone = next(row["id"] for row in one.search.rows.current("messages") if not one.state.holds(row["id"]))
        one.journal.commit(MessageRequeued(message=gone, text_seq=int(gone[1:]), author="human", measured=TOKENS))
        goals = BlockDefined(block="goals", description="", value="g", limit_chars=99, author="human", measured=TOKENS)
        defined: Any = one.journal.commit(goals)
        told = TriggerReceived(cause="system", text="The user added core memory block 'goals'.", measured=TOKENS)
        renamed = BlockRenamed(block="goals", to="aims", author="human", based_on=defined.seq, measured=TOKENS)
        renamed = one.journal.commit_many([renamed, told])[0]
        one.journal.commit(BlockDeleted(block="aims", author="human", based_on=renamed.seq))
        stored: Any = one.journal.commit(ArchivalInserted(text="by hand", author="human"))
        passage = f"p{stored.seq}"
        one.journal.commit(ArchivalEdited(passage=passage, text="kept too", author="human", based_on=stored.seq))
        one.journal.commit(ArchivalDeleted(passage=passage, author="human"))
        one.journal.commit(ArchivalRestored(passage=passage, author="human", text="kept again"))
        one.journal.commit(AgentRenamed(name="Another", about="line"))
        one.journal.commit(AgentConfigured(settings=SMALL.model_copy(update={"page_size": 2})))
        return reply(call("conversation_search", True, query="message"), call("note_read", True, name="hand"))

    def stopping(body: Any) -> Any:
        one.journal.commit(StopRequested())
        raise Stopped

    one.model.script = [
        by_hand,
        reply(call("archival_memory_insert", True, content="kept", tags=["a"]), call("no_such", x=1)),
        reply(call("archival_memory_search", True, query="kept"), thinking="where was it"),
        reply(content='I call {"name": "note_list", "arguments": {"request_heartbeat": true}} now'),
        reply(Call(id="c", name="send_message", arguments='{"message": "cut o')),
        reply(),
        say("done"),
    ]
    one.tell("everything at once")
    one.model.script = [ModelUnavailable("gone")]
    one.tell("fault")
    one.model.script = [ContextOverflow("too long"), say("after the overflow")]
    one.tell("overflow")
    one.model.script = [reply(call("note_list", True)), stopping]
    one.tell("stop")
    one.agent.receive(TriggerReceived(cause="login", text="x"), TriggerReceived(cause="user", text="two at once"))
    one.agent.run_turn()
    one.agent.receive(TriggerReceived(cause="user", text="killed here"))
    one.journal.commit(TurnEnded(reason="interrupted"))
    one.tell("plain again")
    return one


def test_a_life_with_everything_in_it_reruns_byte_for_byte(engine: Make) -> None:
    one = mixed(engine)
    seen = set(kinds(one.events))
    assert {"pressure_warned", "queue_flushed", "fault_recorded", "stop_requested", "message_requeued"} <= seen
    pinned = one.state.pinned
    assert [entry.id for entry in one.state.queue][: len(pinned)] == list(pinned) != [], "it outlived flushes"
    outcome = rerun(one.events)
    assert outcome.difference is None
    assert (outcome.events, outcome.version, outcome.identical) == (len(one.events), None, True)


def test_every_beginning_of_a_recording_is_a_recording(engine: Make) -> None:
    """A process may be killed at any event, and a log copied in the middle of a turn."""
    events = mixed(engine).events
    for end in [*range(1, 30), *range(30, len(events), 7)]:
        assert rerun(events[:end]).difference is None, f"cut after event {end} ({events[end - 1].kind})"


def test_a_rule_that_was_changed_shows_at_the_first_event_that_it_changes(
    engine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = mixed(engine)
    warned = next(event for event in one.events if event.kind == "pressure_warned")
    decide = queue_manager.decide
    monkeypatch.setattr(queue_manager, "decide", lambda state: decide(state)._replace(act="pass"))
    outcome = rerun(one.events)
    assert outcome.difference is not None
    assert outcome.difference.seq == warned.seq
    assert outcome.difference.recorded == encode(warned)
    assert outcome.difference.rerun != encode(warned)
    assert outcome.events == warned.seq - 1


def test_another_eviction_shows_in_the_summary_request_it_leads_to(
    engine: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = mixed(engine)
    evict = queue_manager.evict
    monkeypatch.setattr(queue_manager, "evict", lambda state: evict(state)[1:])
    outcome = rerun(one.events)
    assert outcome.difference is not None
    built = one.events[outcome.difference.seq - 1]
    assert (built.kind, built.purpose) == ("prompt_built", "summary")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("prompt_built", {"sha256": "0" * 64}),
        ("function_returned", {"value": "something else"}),
        ("function_returned", {"heartbeat": False}),
        ("working_context_edited", {"after": "x"}),
        ("message_sent", {"text": "x"}),
        ("queue_flushed", {"summary": "x"}),
        ("turn_ended", {"reason": "step_limit"}),
    ],
)
def test_a_derived_event_that_was_altered_is_named(engine: Make, kind: str, change: dict[str, Any]) -> None:
    one = engine(reply(call("core_memory_append", True, label="human", content="Ana")), then=say("ok"), settings=SMALL)
    while "queue_flushed" not in kinds(one.events):
        one.tell("chatter " * 80)
    events = one.events
    altered = next(event for event in events if event.kind == kind)
    events[altered.seq - 1] = altered.model_copy(update=change)
    difference = rerun(events).difference
    assert difference is not None
    assert (difference.seq, difference.rerun) == (altered.seq, encode(altered))


def test_an_event_that_is_missing_or_too_much_is_named(engine: Make) -> None:
    one = engine(then=say("ok"))
    one.tell("hi")
    events = one.events

    def renumbered(some: list[Event]) -> list[Event]:
        return [event.model_copy(update={"seq": seq}) for seq, event in enumerate(some, 1)]

    sent = next(event.seq for event in events if event.kind == "message_sent")
    missing = rerun(renumbered(events[: sent - 1] + events[sent:])).difference
    assert missing is not None
    assert missing.seq == sent
    double = rerun(renumbered(events[:sent] + events[sent - 1 :])).difference
    assert double is not None
    assert double.seq == sent + 1
    trailing = rerun(renumbered([*events, events[sent - 1]])).difference
    assert trailing is not None
    assert (trailing.seq, trailing.rerun) == (len(events) + 1, "")


def test_measured_values_are_taken_from_the_recording(engine: Make) -> None:
    one = engine(then=say("ok"))
    one.tell("hi")
    events = [
        event.model_copy(
            update={"measured": event.measured.model_copy(update={"seconds": 12.5, "prompt_tokens": 2540})}
        )
        if event.kind in ("model_replied", "function_returned")
        else event
        for event in one.events
    ]
    assert rerun(events).identical


def test_a_turn_that_a_full_disk_broke_off_reruns(engine: Make) -> None:
    one = engine(then=say("ok"))
    one.tell("hi")
    with arm("log.append.before_write", nth(3, enospc)):
        events = one.tell("again")
    assert [event.where for event in events if event.kind == "fault_recorded"] == ["log"]  # type: ignore[union-attr]
    one.tell("room again")
    assert rerun(one.events).identical


def test_a_recording_of_another_engine_says_so(engine: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    one = engine(then=say("ok"))
    one.tell("hi")
    monkeypatch.setattr(replay, "ENGINE_VERSION", 99)
    outcome = rerun(one.events)
    assert outcome.version == one.state.engine_version != 99
    assert outcome.identical


def test_what_is_no_recording_is_refused(engine: Make, tmp_path: Path) -> None:
    with pytest.raises(MemscopeError, match="agent_created"):
        rerun([])
    one = engine(then=say("ok"))
    with pytest.raises(MemscopeError, match="agent_created"):
        rerun(one.events[1:])
    broken = tmp_path / "broken.jsonl"
    broken.write_bytes(one.log.path.read_bytes() + b"garbage\ngarbage\n")
    with pytest.raises(LogCorrupt, match="Line 5"):
        rerun_file(broken)


def test_a_rerun_touches_nothing_but_the_file_it_reads(engine: Make) -> None:
    one = engine(then=say("ok"))
    one.tell("hi")
    before = one.log.path.read_bytes()
    asked = len(one.model.bodies)
    assert rerun_file(one.log.path).identical
    assert one.log.path.read_bytes() == before
    assert len(one.model.bodies) == asked
