"""What each kind means for the state, where an event belongs, and the parts of main context."""

from typing import Any

import pytest

from memgpt_core.events import (
    KINDS,
    AgentConfigured,
    Clip,
    FaultRecorded,
    HeartbeatsPaused,
    Measured,
    NoteDeleted,
    NoteWritten,
    PromptBuilt,
    StopRequested,
    TriggerReceived,
    WorkingContextEdited,
)
from memgpt_core.settings import AgentSettings
from memgpt_core.state import INITIAL, Entry, Part, State, apply, fold, place, prompt_parts
from tests.event_builder import START, Script


def test_an_unknown_kind_is_a_programming_error() -> None:
    event = TriggerReceived(cause="user", text="x").model_copy(update={"kind": "from_nowhere"})
    with pytest.raises(KeyError, match="from_nowhere"):
        apply(INITIAL, event)


def test_a_state_is_never_changed_but_followed_by_another() -> None:
    script = Script()
    before = script.state
    copy = before.model_copy(deep=True)
    script.block("human", "x").turn("a", "b").insert("p")
    assert before == copy
    with pytest.raises(ValueError, match="frozen"):
        before.seq = 5  # type: ignore[misc]


def test_every_event_moves_the_header_along() -> None:
    script = Script().turn("a", "b").insert("p")
    for before, event in script.pairs():
        after = apply(before, event)
        assert (after.seq, after.at, after.session, after.turn, after.step) == (
            event.seq,
            event.at,
            event.session,
            event.turn,
            event.step,
        )
    assert fold(script.events) == script.state
    assert fold(script.events[4:], fold(script.events[:4])) == script.state


# --- where an event belongs -----------------------------------------------------------------------------------------


def test_the_first_trigger_opens_session_and_turn_one() -> None:
    assert place(INITIAL, TriggerReceived(cause="timer", text="x")) == (1, 1, 0)


def test_a_login_opens_a_session_and_other_triggers_join_it() -> None:
    script = Script().turn("a", "b")
    assert (script.state.session, script.state.turn) == (1, 1)
    script.trigger("Never", cause="login")
    assert (script.state.session, script.state.turn) == (2, 2)
    script.trigger("and this", cause="user")
    assert (script.state.session, script.state.turn) == (2, 2), "it joins the open turn"
    script.end().trigger("next")
    assert (script.state.session, script.state.turn) == (2, 3)


def test_a_step_is_a_request_of_purpose_turn() -> None:
    script = Script().trigger("a").prompt().reply("x").prompt()
    assert script.state.step == 2
    summary = PromptBuilt(purpose="summary", sections={}, window_tokens=1, limit_tokens=1, sha256="", prefix_tokens=0)
    before = script.state.sent
    script.add(summary)
    assert (script.state.step, script.state.sent) == (2, before)
    script.end().trigger("b")
    assert script.state.step == 0


# --- the turn -------------------------------------------------------------------------------------------------------


def test_a_turn_is_open_from_its_trigger_to_its_end() -> None:
    script = Script().trigger("a")
    assert script.state.turn_open
    script.add(StopRequested())
    assert script.state.stopping
    script.trigger("joins")
    assert script.state.stopping, "a message that joins does not take the stop back"
    script.end()
    assert (script.state.turn_open, script.state.stopping) == (False, False)


def test_only_people_move_the_login_clock() -> None:
    script = Script().trigger("a", cause="timer").trigger("b", cause="upload").trigger("c", cause="system")
    assert script.state.last_trigger_at < START
    script.trigger("d")
    assert script.state.last_trigger_at == script.last.at


def test_faults_and_pauses_are_kept() -> None:
    script = Script().add(FaultRecorded(where="model", error="x")).add(FaultRecorded(where="log", error="x"))
    script.add(HeartbeatsPaused(minutes=5, until=START))
    assert (script.state.faults, script.state.paused_until) == (2, START)


# --- the queue ------------------------------------------------------------------------------------------------------


def ids(state: State) -> list[str]:
    return [entry.id for entry in state.queue]


def test_messages_queue_in_order_with_what_is_known_of_them() -> None:
    script = Script()
    script.add(
        TriggerReceived(cause="user", text="x", clip=Clip(head_chars=3, tail_chars=2), measured=Measured(tokens=9))
    )
    script.prompt().reply("y", tokens=8).returned("conversation_search", "z", holds=["m1", "p2"])
    assert script.state.queue == (
        Entry("m2", 2, 9, "trigger_received", 1, 0, (), (3, 2), 2),
        Entry("m4", 4, 8, "model_replied", 1, 1, placed=4),
        Entry("m5", 5, 10, "function_returned", 1, 1, ("m1", "p2"), placed=5),
    )
    assert script.state.messages == 3
    assert script.state.holds("m1")
    assert script.state.holds("m4")
    assert not script.state.holds("m3")


def test_an_empty_reply_and_a_summary_are_no_messages() -> None:
    script = Script().trigger("a")
    script.calls([]).calls([], content="a summary", purpose="summary")
    assert ids(script.state) == ["m2"]
    assert script.state.messages == 1


def test_a_flush_takes_the_evicted_and_puts_the_summary_first() -> None:
    script = Script().turn("a", "b").trigger("c").warned()
    assert script.state.warned
    script.flushed(3, "S")
    state = script.state
    assert ids(state) == ["m8", "m9"]
    assert (state.summary, state.warned, state.flushes) == ((10, 60, 3), False, 1)
    assert state.messages == 5, "they are still in recall storage"


def test_messages_edited_deleted_and_brought_back() -> None:
    script = Script().turn("a", "b").trigger("c")
    script.edit_message("m2", "A", tokens=77)
    assert script.state.queue[0] == Entry("m2", script.seq, 77, "trigger_received", 1, 0, placed=2)
    edit = script.seq
    script.delete_message("m4")
    assert ids(script.state) == ["m2", "m5", "m8"]
    assert script.state.messages == 3
    script.flushed(2).requeue("m2", text_seq=edit)
    back = script.state.queue[-1]
    assert (back.id, back.text_seq, back.turn) == ("m2", edit, 2)
    assert script.state.messages == 3, "it never left recall storage"
    script.edit_message("m999", "nobody")
    assert ids(script.state) == ["m8", "m2"]


def test_a_restored_message_is_where_and_what_it_was() -> None:
    script = Script().trigger("a").prompt().reply("b").returned("conversation_search", "x", holds=["m2"])
    queue = script.state.queue
    for message in ("m4", "m2", "m5"):
        script.delete_message(message)
    assert script.state.queue == ()
    assert not script.state.holds("m2")
    for message in ("m5", "m2", "m4"):
        script.restore_message(message, tokens=7)
    assert [entry._replace(tokens=0) for entry in script.state.queue] == [entry._replace(tokens=0) for entry in queue]
    assert {entry.tokens for entry in script.state.queue} == {7}
    assert (script.state.messages, script.state.hidden) == (3, ())


def test_a_message_that_was_queued_again_is_restored_behind_the_younger_ones() -> None:
    script = Script().turn("a", "b").flushed(1).trigger("c").requeue("m2").trigger("d")
    before = ids(script.state)
    assert before[-2:] == ["m2", script.message]
    script.delete_message("m2").restore_message("m2")
    assert ids(script.state) == before
    assert script.state.queue[-2].kind == "message_requeued"


def test_no_place_is_kept_beyond_a_flush() -> None:
    script = Script().turn("a", "b").trigger("c").delete_message("m2").flushed(1)
    assert script.state.hidden == ()
    script.restore_message("m2")
    assert "m2" not in ids(script.state)
    assert script.state.messages == 4


def test_a_requeued_result_holds_what_its_text_holds() -> None:
    script = Script().trigger("a").flushed(1).requeue("m2", holds=["p7"])
    assert script.state.holds("p7")


def test_a_pin_ends_when_its_message_leaves() -> None:
    script = Script().turn("a", "b").trigger("c")
    for message in ("m2", "m4", "m5", "m8", "m2"):
        script.pin(message)
    assert script.state.pinned == ("m4", "m5", "m8", "m2"), "each once"
    script.pin("m8", pinned=False).delete_message("m4").flushed(["m5"])
    assert script.state.pinned == ("m2",)
    script.restore_message("m4").pin("m2", pinned=False)
    assert script.state.pinned == ()


# --- memory ---------------------------------------------------------------------------------------------------------


def test_blocks_keep_their_order_their_author_and_their_version() -> None:
    script = Script().block("persona", "p").block("human", "h")
    edit = WorkingContextEdited(
        block="persona", before="p", after="P", author="human", based_on=2, measured=Measured(tokens=5)
    )
    script.add(edit)
    block = script.state.blocks["persona"]
    assert (block.value, block.seq, block.author, block.tokens, block.limit_chars) == ("P", 4, "human", 5, 2000)
    assert list(script.state.blocks) == ["persona", "human"]


def test_a_block_is_renamed_in_its_place_and_deleted() -> None:
    script = Script().block("persona", "p").block("human", "h").block("goals", "g")
    script.rename_block("human", "user")
    assert list(script.state.blocks) == ["persona", "user", "goals"]
    block = script.state.blocks["user"]
    assert (block.label, block.value, block.seq, block.author) == ("user", "h", 5, "human")
    script.delete_block("persona")
    assert list(script.state.blocks) == ["user", "goals"]


def test_notes_and_passages_are_counted() -> None:
    script = Script().add(NoteWritten(name="n", text="abc", author="agent"))
    assert script.state.notes["n"] == ("n", 2, 3)
    script.add(NoteDeleted(name="n", author="agent")).add(NoteDeleted(name="n", author="human"))
    assert script.state.notes == {}
    script.insert("a").insert("b").edit_passage(script.passage, "B").delete_passage("p5")
    assert script.state.passages == 1
    script.restore_passage("p5")
    assert script.state.passages == 2


def test_settings_are_replaced_whole() -> None:
    script = Script().add(AgentConfigured(settings=AgentSettings(page_size=9), template_tokens=4))
    assert (script.state.settings.page_size, script.state.template_tokens) == (9, 4)


@pytest.mark.parametrize("kind", ["message_sent", "archival_edited", "recall_searched", "archival_searched"])
def test_what_the_next_prompt_does_not_need_changes_the_header_alone(kind: str) -> None:
    assert kind in KINDS
    script = Script().insert("a")
    before = script.state
    event: Any = {
        "message_sent": lambda: script.sent("x"),
        "archival_edited": lambda: script.edit_passage(script.passage, "y"),
        "recall_searched": lambda: script.add(KINDS[kind](query="q", roles=(), page=1, mode="words")),  # type: ignore[arg-type, call-arg]
        "archival_searched": lambda: script.add(KINDS[kind](query="q", page=1, mode="words")),  # type: ignore[arg-type, call-arg]
    }[kind]
    event()
    assert script.state == before.model_copy(update={"seq": script.seq, "at": script.last.at})


def test_a_part_changes_its_key_exactly_when_its_text_changes() -> None:
    script = Script().block("human", "h").trigger("a").reply("b")

    def keys() -> set[str]:
        return {part.key for part in prompt_parts(script.state)}

    assert prompt_parts(INITIAL)[-1] == Part("template", 0)
    before = keys()
    script.sent("x").insert("y")
    assert keys() == before
    script.edit_message("m3", "A")
    assert before - keys() == {"m3@3"}
    before = keys()
    script.block("human", "H")
    assert before - keys() == {"human@2"}
