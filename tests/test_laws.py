"""The laws every log obeys, checked on random lives of a real engine: random talk, calls, edits, stops, faults."""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memgpt_core.errors import ContextOverflow, ModelUnavailable
from memgpt_core.events import (
    BlockDefined,
    BlockDeleted,
    BlockRenamed,
    Clip,
    Measured,
    MessageDeleted,
    MessageEdited,
    MessagePinned,
    MessageRequeued,
    MessageRestored,
    StopRequested,
    TriggerReceived,
    decode,
    encode,
    queues_message,
)
from memgpt_core.llm.base import Reply
from memgpt_core.memory_functions import edited
from memgpt_core.prompt import sections
from memgpt_core.queue_manager import fit, fit_again, pinned_tokens, room_tokens
from memgpt_core.replay import rerun
from memgpt_core.settings import AgentSettings
from memgpt_core.state import INITIAL, State, fold
from tests.engine import Engine, ScriptedModel, call, reply

TOKENS = Measured(tokens=30)
SMALL = AgentSettings(window_tokens=2800, reserve_tokens=200, step_cap=6)

words = st.sampled_from(["tea", "Lisbon", "sister", "boat", "seventeen", "yes", "no", "ü漢", "{", '"'])
texts = st.lists(words, min_size=1, max_size=150).map(" ".join)
labels = st.sampled_from(["human", "persona", "nobody"])


@st.composite
def calls(draw: st.DrawFn) -> Any:
    beat = draw(st.booleans())
    return draw(
        st.one_of(
            st.builds(lambda m: call("send_message", message=m), texts),
            st.builds(lambda a, c: call("core_memory_append", beat, label=a, content=c[:200]), labels, texts),
            st.builds(
                lambda a, o, n: call("core_memory_replace", beat, label=a, old_content=o, new_content=n),
                labels,
                words,
                words,
            ),
            st.builds(lambda q: call("conversation_search", beat, query=q), words),
            st.builds(lambda c: call("archival_memory_insert", beat, content=c, tags=["t"]), texts),
            st.builds(lambda q, p: call("archival_memory_search", beat, query=q, page=p), words, st.integers(0, 2)),
            st.builds(lambda n, t: call("note_write", beat, name=n, text=t), words, texts),
            st.builds(lambda n: call("note_read", beat, name=n), words),
            st.just(call("pause_heartbeats", minutes=3)),
            st.just(call("no_such_thing")),
        )
    )


replies = st.one_of(
    st.builds(lambda found: reply(*found), st.lists(calls(), min_size=1, max_size=3)),
    st.builds(lambda text: reply(content=text), texts),
    st.just(reply()),
    st.just(ModelUnavailable("gone")),
    st.just(ContextOverflow("too long")),
    st.sampled_from(
        ["stop", "edit", "delete", "correct", "restore", "requeue", "pin", "rename", "define", "delete block"]
    ),
)
turns = st.lists(st.tuples(texts, st.lists(replies, max_size=5)), min_size=3, max_size=9)


def assert_sound(body: dict[str, Any]) -> None:
    """What chat templates ask for: every call with its result right behind it, and no result without its call."""
    open_: list[str] = []
    for message in body["messages"]:
        if message["role"] == "tool":
            assert message["tool_call_id"] in open_
            open_.remove(message["tool_call_id"])
        else:
            assert not open_
            open_ = [call["id"] for call in message.get("tool_calls", ())]
    assert not open_


def told(state: State) -> list[Any]:
    return [fit(state, TriggerReceived(cause="system", text="A person changed something."))]


def edit_a_block(one: Engine, state: State) -> list[Any]:
    labels = list(state.blocks)
    return [edited(state, labels[0], f"by hand {state.seq}", author="human")] if labels else []


def define_a_block(one: Engine, state: State) -> list[Any]:
    label = f"b{state.seq}"
    return [BlockDefined(block=label, description="", value="x", limit_chars=99, author="human", measured=TOKENS)]


def rename_a_block(one: Engine, state: State) -> list[Any]:
    base = {"author": "human", "measured": TOKENS}
    found = list(state.blocks.values())[-1:]
    return [BlockRenamed(block=block.label, to=f"r{state.seq}", based_on=block.seq, **base) for block in found]


def delete_a_block(one: Engine, state: State) -> list[Any]:
    found = list(state.blocks.values())[2:3]
    return [BlockDeleted(block=block.label, author="human", based_on=block.seq) for block in found]


def delete_a_message(one: Engine, state: State) -> list[Any]:
    at = 1 + state.seq % 2
    return [MessageDeleted(message=state.queue[at].id, author="human")] if len(state.queue) > 3 else []


def correct_a_message(one: Engine, state: State) -> list[Any]:
    entry = state.queue[state.seq % len(state.queue)]
    text, back = f"corrected at {state.seq} " * 40, entry.kind == "message_requeued"
    clip, tokens = fit_again(state, one.journal.read(int(entry.id[1:])), text, back=back)
    base = {"based_on": entry.text_seq, "author": "human", "measured": Measured(tokens=tokens)}
    return [MessageEdited(message=entry.id, text=text, clip=clip, **base)]


def restore_a_message(one: Engine, state: State) -> list[Any]:
    return [
        MessageRestored(
            message=entry.id,
            text_seq=entry.text_seq,
            queued=True,
            author="human",
            clip=Clip(head_chars=entry.clip[0], tail_chars=entry.clip[1]) if entry.clip else None,
            measured=Measured(tokens=entry.tokens),
        )
        for entry in state.hidden[:1]
    ]


def requeue_a_message(one: Engine, state: State) -> list[Any]:
    gone = [row["id"] for row in one.search.rows.current("messages") if not state.holds(row["id"])][:1]
    made = []
    for id in gone:
        clip, tokens = fit_again(state, one.journal.read(int(id[1:])), back=True)
        made.append(
            MessageRequeued(
                message=id, text_seq=int(id[1:]), author="human", clip=clip, measured=Measured(tokens=tokens)
            )
        )
    return made


def pin_a_message(one: Engine, state: State) -> list[Any]:
    if state.pinned or not state.queue:
        return [MessagePinned(message=id, pinned=False, author="human") for id in state.pinned]
    pinned = MessagePinned(message=state.queue[0].id, pinned=True, author="human")
    return [pinned] if pinned_tokens(fold([pinned], state)) < room_tokens(state) // 2 else []


HANDS = {
    "edit": edit_a_block,
    "define": define_a_block,
    "rename": rename_a_block,
    "delete block": delete_a_block,
    "delete": delete_a_message,
    "correct": correct_a_message,
    "restore": restore_a_message,
    "requeue": requeue_a_message,
    "pin": pin_a_message,
}
"""What a person may do in the middle of a turn, as the events that it makes."""


def live(folder: Path, life: list[tuple[str, list[Any]]]) -> Engine:
    """A whole random life, with a person's hand in it."""
    model = ScriptedModel(then=reply(call("send_message", message="well")))
    one = Engine(folder, model, settings=SMALL)

    def by_hand(what: str) -> Reply:
        state = one.state
        if what == "stop":
            one.journal.commit(StopRequested())
        else:
            made = HANDS[what](one, state)
            one.journal.commit_many([*made, *told(state)] if made else [])
        return reply(call("send_message", message="go on"))

    for text, script in life:
        model.script = [(lambda body, what=made: by_hand(what)) if isinstance(made, str) else made for made in script]
        one.tell(text)
    return one


def check(one: Engine) -> None:
    events = one.events
    states: list[State] = [INITIAL]
    for event in events:
        states.append(fold([event], states[-1]))

    # The fold of the log is the live state; any cut folds to the same; a checkpoint is as good as a beginning.
    assert states[-1] == one.state
    for cut in (1, len(events) // 3, len(events) // 2, len(events) - 1):
        assert fold(events[cut:], fold(events[:cut])) == one.state
        assert fold(events[cut:], State.model_validate_json(states[cut].model_dump_json())) == one.state

    queued: set[str] = set()
    evicted: set[str] = set()
    recall = {row["id"] for row in one.search.rows.table("messages")}
    for event, state in zip(events, states[1:], strict=True):
        assert decode(encode(event)) == event
        if queues_message(event):
            queued.add(f"m{event.seq}")
        elif event.kind == "queue_flushed":
            evicted |= set(event.evicted)
        elif event.kind == "message_requeued":
            evicted.discard(event.message)
        ids = [entry.id for entry in state.queue]
        assert len(ids) == len(set(ids))
        assert not set(ids) & evicted
        assert set(ids) <= queued <= recall
        assert set(state.pinned) <= set(ids)
        assert [entry.placed for entry in state.queue] == sorted(entry.placed for entry in state.queue)
        if event.kind == "prompt_built":
            assert sum(event.sections.values()) <= event.limit_tokens
            assert 0 <= event.prefix_tokens <= sum(event.sections.values())
            if event.purpose == "turn":
                assert event.sections == sections(state)
                assert sum(part.tokens for part in state.sent) == sum(event.sections.values())
    assert not one.state.turn_open
    for body in one.model.bodies:
        assert_sound(body)
    assert rerun(events).difference is None


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(turns)
def test_the_laws_hold_in_any_life(life: list[tuple[str, list[Any]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        one = live(Path(folder), life)
        try:
            check(one)
        finally:
            one.close()
