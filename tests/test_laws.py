"""The laws every log obeys, checked on random lives of a real engine: random talk, calls, edits, stops, faults."""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memgpt_core.errors import ContextOverflow, ModelUnavailable
from memgpt_core.events import MessageDeleted, MessageRequeued, StopRequested, decode, encode, queues_message
from memgpt_core.llm.base import Reply
from memgpt_core.memory_functions import edited
from memgpt_core.prompt import sections
from memgpt_core.queue_manager import fit
from memgpt_core.replay import rerun
from memgpt_core.settings import AgentSettings
from memgpt_core.state import INITIAL, State, fold
from tests.engine import Engine, ScriptedModel, call, reply

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
    st.sampled_from(["stop", "edit", "delete", "requeue"]),
)
turns = st.lists(st.tuples(texts, st.lists(replies, max_size=5)), min_size=3, max_size=9)


def live(folder: Path, life: list[tuple[str, list[Any]]]) -> Engine:
    """A whole random life, with a person's hand in it."""
    model = ScriptedModel(then=reply(call("send_message", message="well")))
    one = Engine(folder, model, settings=SMALL)

    def by_hand(what: str) -> Reply:
        state = one.state
        if what == "stop":
            one.journal.commit(StopRequested())
        elif what == "edit":
            one.journal.commit(lambda now: edited(now, "human", f"by hand {now.seq}", author="human"))
        elif what == "delete" and len(state.queue) > 2:
            one.journal.commit(MessageDeleted(message=state.queue[1].id, author="human"))
        elif what == "requeue":
            gone = [row for row in one.search.rows.current("messages") if not state.holds(row["id"])]
            if gone:
                origin = one.journal.read(int(gone[0]["id"][1:]))
                sized = fit(state, origin)
                one.journal.commit(
                    MessageRequeued(
                        message=gone[0]["id"],
                        text_seq=origin.seq,
                        author="human",
                        clip=getattr(sized, "clip", None),
                        measured=sized.measured,
                    )
                )
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
        if event.kind == "prompt_built":
            assert sum(event.sections.values()) <= event.limit_tokens
            assert 0 <= event.prefix_tokens <= sum(event.sections.values())
            if event.purpose == "turn":
                assert event.sections == sections(state)
                assert sum(part.tokens for part in state.sent) == sum(event.sections.values())
    assert not one.state.turn_open
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
