"""The retrieval policy: when texts are placed, which, at what cost, and that a rerun places the same."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from memgpt_core.events import ArchivalInserted, Event, MessageDeleted
from memgpt_core.project import project
from memgpt_core.prompt import build
from memgpt_core.replay import rerun
from memgpt_core.rows import MemoryRows
from memgpt_core.settings import AgentSettings
from memgpt_core.state import INITIAL, apply
from memgpt_core.tokens import counted_by
from memgpt_core.views.lanes import mark
from memgpt_core.views.transcript import transcript
from tests.engine import Engine, ScriptedModel, call, reply, say

Make = Callable[..., Engine]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Make]:
    made: list[Engine] = []

    def make(*script: Any, passages: tuple[str, ...] = (), then: Any = None, **settings: Any) -> Engine:
        model = ScriptedModel(*script, then=then or say("ok"))
        one = Engine(tmp_path, model, settings=AgentSettings(**{"retrieval": "before", **settings}))
        one.journal.commit_many([ArchivalInserted(text=text, author="human") for text in passages] or [])
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


def placements(events: list[Event]) -> list[Any]:
    return [event for event in events if event.kind == "hits_placed"]


PARROT = ("The parrot is called Admiral.", "A parrot eats waffles.", "Nothing about birds.")


def test_off_places_nothing(engine: Make) -> None:
    assert not placements(engine(passages=PARROT, retrieval="off").tell("parrot"))


def test_before_places_what_fits_the_users_message_once_and_says_who_did(engine: Make) -> None:
    one = engine(reply(call("note_list", heartbeat=True)), say("Admiral."), passages=PARROT)
    events = one.tell("parrot")
    (placed,) = placements(events)
    assert (placed.why, placed.query, placed.mode) == ("before", "parrot", "words")
    assert len(placed.holds) == 2
    assert events.index(placed) == 1, "right behind the message, before the first request"
    body = one.model.bodies[0]["messages"]
    assert body[-1]["role"] == "user"
    assert '"type": "system_alert"' in body[-1]["content"]
    assert "by the system, not written by the user" in body[-1]["content"]
    assert "Admiral" in body[-1]["content"]
    assert body[-2]["content"].startswith('{"type": "user_message"')


def test_only_a_users_message_is_looked_up(engine: Make) -> None:
    one = engine(passages=("parrot", "login Never (first login)"))
    assert not placements(one.tell("parrot", cause="system"))
    assert not placements(one.tell("parrot", cause="login"))
    assert placements(one.tell("parrot"))


def test_what_is_in_the_window_is_not_placed_again(engine: Make) -> None:
    one = engine(passages=PARROT)
    first, second = one.tell("parrot"), one.tell("parrot")
    assert len(placements(first)) == 1
    assert not placements(second), "both passages are still in the window, and so is the first message"


def test_a_message_that_left_the_window_comes_back(engine: Make) -> None:
    one = engine(window_tokens=2816, reserve_tokens=256, evict_share=1.0, retrieval_tokens=300)
    one.tell("My secret word is heliotrope.")
    for at in range(14):
        one.tell(f"{at} " + "filling up with words " * 12)
    assert one.state.flushes
    told = (
        one.search.recall("heliotrope", roles=("user",), start="", end="", page=1, page_size=1, exclude=()).hits[0].id
    )
    assert not one.state.holds(told)
    (placed,) = placements(one.tell("heliotrope"))
    assert placed.holds[0] == told
    assert one.state.holds(told)
    rows, state = MemoryRows(), INITIAL
    for event in one.events:
        rows.take(project(state, event))
        state = apply(state, event)
    (came,) = [row for row in rows.table("residency") if row["carrier"] == f"m{placed.seq}" and row["item"] == told]
    assert (came["how"], came["fault"]) == ("copy", True)


@pytest.mark.parametrize("most", [160, 240, 400])
def test_a_placement_stays_under_its_budget(engine: Make, most: int) -> None:
    one = engine(passages=tuple(f"parrot {at}: " + "word " * 40 for at in range(12)), retrieval_tokens=most)
    (placed,) = placements(one.tell("parrot"))
    assert 0 < placed.measured.tokens <= most
    assert placed.budget_tokens == most
    fuller = [hit.id for hit in placed.measured.hits]
    assert list(placed.holds) == fuller[: len(placed.holds)]
    assert len(placed.holds) < len(fuller), "there was more than the budget holds"


@pytest.mark.parametrize("policy", ["before", "interleaved"])
def test_no_request_passes_the_flush_mark_however_much_is_placed(engine: Make, policy: str) -> None:
    passages = tuple(f"again {at} " + "filler " * 50 for at in range(60))
    look = [reply(call("note_list", heartbeat=True), content="again"), say("x")]
    one = engine(
        *look * 10, passages=passages, retrieval=policy, window_tokens=2816, reserve_tokens=256, retrieval_tokens=5000
    )
    for _ in range(10):
        one.tell("again")
    events: list[Any] = one.events
    assert not [event for event in events if event.kind == "fault_recorded"]
    assert one.state.flushes >= 2
    assert len(placements(events)) >= 10
    mark = one.state.settings.flush_tokens
    assert all(sum(e.sections.values()) <= mark for e in events if e.kind == "prompt_built" and e.purpose == "turn")
    assert rerun(events).difference is None


def test_a_placement_leaves_room_for_what_cannot_leave(engine: Make) -> None:
    one = engine(
        passages=tuple(f"{at} " + "word " * 300 for at in range(20)),
        window_tokens=2816,
        reserve_tokens=256,
        retrieval_tokens=5000,
        warn_share=1.0,
    )
    one.model.summary = reply(content="They said one word after the other. " * 80)
    for _ in range(4):
        one.tell("word " * 900)
    events: list[Any] = one.events
    assert one.state.flushes
    assert not [event.error for event in events if event.kind == "fault_recorded"]
    sizes = [sum(e.sections.values()) for e in events if e.kind == "prompt_built" and e.purpose == "turn"]
    assert max(sizes) <= one.state.settings.flush_tokens


def test_interleaved_looks_up_what_the_newest_result_names(engine: Make) -> None:
    one = engine(
        reply(call("note_read", heartbeat=True, name="clue")),
        say("done"),
        passages=("The key is under the third stone.",),
        retrieval="interleaved",
    )
    one.tell("hello")
    one.model.script = [
        reply(call("note_write", heartbeat=True, name="clue", text="under the third")),
        reply(call("note_read", heartbeat=True, name="clue")),
        say("It is under the third stone."),
    ]
    events = one.tell("where is it?")
    (placed,) = placements(events)
    assert (placed.why, placed.query) == ("interleaved", "under the third")
    kinds = [event.kind for event in events]
    assert kinds[kinds.index("hits_placed") - 1] == "function_returned"
    assert kinds[kinds.index("hits_placed") + 1] == "prompt_built"


def test_nothing_is_placed_for_a_step_that_does_not_come(engine: Make) -> None:
    one = engine(
        reply(call("archival_memory_insert", heartbeat=True, content="x"), content="third stone"),
        passages=("The key is under the third stone.",),
        retrieval="interleaved",
        step_cap=1,
    )
    events = one.tell("where is it?")
    assert events[-1].reason == "step_limit"
    assert not placements(events)


def test_interleaved_follows_a_thought_when_the_result_says_nothing(engine: Make) -> None:
    one = engine(
        reply(call("archival_memory_insert", heartbeat=True, content="x"), content="third stone"),
        passages=("The key is under the third stone.",),
        retrieval="interleaved",
    )
    (placed,) = placements(one.tell("where is it?"))
    assert placed.query == "third stone"


def test_a_rerun_places_the_same_bytes(engine: Make) -> None:
    one = engine(
        reply(call("archival_memory_search", heartbeat=True, query="parrot")),
        say("one"),
        passages=PARROT,
        retrieval="interleaved",
    )
    one.tell("waffles")
    one.journal.commit(MessageDeleted(message=f"m{placements(one.events)[0].seq}", author="human"))
    one.tell("birds")
    assert [event.query for event in placements(one.events)] == ["waffles", "birds"]
    outcome = rerun(one.events)
    assert outcome.difference is None
    assert outcome.events == len(one.events)


def test_a_rerun_without_the_models_vocabulary_places_the_same(engine: Make) -> None:
    one = engine(passages=tuple(f"parrot {at} " + "word " * 40 for at in range(8)), retrieval_tokens=300)
    with counted_by(lambda text: len(text)):
        one.tell("parrot")
    assert placements(one.events)
    difference = rerun(one.events).difference
    assert difference is None


def test_the_request_is_rebuilt_with_what_was_placed(engine: Make) -> None:
    one = engine(passages=PARROT)
    events = one.tell("parrot")
    asked: Any = next(event for event in events if event.kind == "prompt_built")
    state = INITIAL
    for event in one.events[: asked.seq - 1]:
        state = apply(state, event)
    assert build(state, one.journal.read).sha256 == asked.sha256


def test_a_placement_is_shown_in_the_chat_and_on_the_timeline(engine: Make) -> None:
    events = engine(passages=PARROT).tell("parrot")
    (bubble,) = [one for one in transcript(events) if one.who == "placed"]
    (placed,) = placements(events)
    assert "2 stored texts" in bubble.text
    assert f"{placed.measured.tokens:,} tokens of at most 400" in bubble.text
    row = {
        **dict(seq=placed.seq, last=placed.seq, at=placed.at, session=1, turn=1, step=0, kind="page_in", author=""),
        **dict(about="hits_placed", tokens=placed.measured.tokens, items=placed.holds, faults=0),
    }
    assert mark(row).says == "2 items placed by the retrieval policy"
