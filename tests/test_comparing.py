"""Two runs beside each other: what of them is the same, which turns belong together, what differs; and what-if runs."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgpt_core import comparing, supposing
from memgpt_core.blueprint import BlockPlan, Blueprint
from memgpt_core.comparing import Side
from memgpt_core.counterfactual import Change
from memgpt_core.errors import AgentBusy, AgentNotFound, EditRefused
from memgpt_core.events import RunForked
from memgpt_core.home import Home
from memgpt_core.llm.base import Progress, Stopped
from memgpt_core.llm.demo import DemoModel
from memgpt_core.settings import AgentSettings
from memgpt_core.state import Provenance, State
from memgpt_core.supposing import Question
from memgpt_core.views import compare
from memgpt_core.views.calls import CallRow
from memgpt_core.views.compare import METRICS, Told, Turn
from memgpt_core.workspace import Workspace
from pages.parts import compare_rows
from tests.engine import FakeClock, ScriptedModel, call, reply, say, until
from tests.event_builder import Script

LONG_S = 20.0


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel(then=say("ok"))


@pytest.fixture
def home(tmp_path: Path, model: ScriptedModel) -> Iterator[Home]:
    models = {"demo": DemoModel(pace=0), "scripted": model}
    made = Home(tmp_path / "home", clock=FakeClock(), models=models, timer=False)
    yield made
    made.close()


@pytest.fixture
def ada(home: Home) -> Workspace:
    blocks = [BlockPlan(label="human", value="Lives in Leiden")]
    chosen = AgentSettings(model="scripted", embedder="hashing")
    ws = home.open(home.create(Blueprint(name="Ada", blocks=blocks, settings=chosen)))
    ws.edits.insert_passage("The tent is blue")
    for text in ("hello there", "how are you"):
        tell(ws, text)
    return ws


def tell(ws: Workspace, text: str) -> None:
    ws.send(text)
    assert ws.wait_idle(LONG_S)


def side(ws: Workspace, last: int | None = None) -> Side:
    return compare_rows.side(ws, ws.last_seq if last is None else last)


def forked(home: Home, ws: Workspace, at: int, name: str = "Other") -> Workspace:
    return home.open(home.fork(ws.agent_id, at, name=name))


def turns(ws: Workspace) -> list[Turn]:
    return [Turn(**row) for row in comparing.turns(side(ws))]


# --- the common past ------------------------------------------------------------------------------------------------


def test_what_two_logs_share_is_found_without_being_told(home: Home, ada: Workspace) -> None:
    for at in (4, 9, ada.last_seq):
        fork = forked(home, ada, at)
        tell(fork, "and now?")
        for one, other in ((ada, fork), (fork, ada)):
            assert comparing.shared_seq(side(one), side(other)) == at
        assert comparing.shared_seq(side(fork), side(fork, at - 1)) == at - 1, "as far as both are looked at"
    stranger = home.open(home.create(Blueprint(name="Stranger")))
    assert comparing.shared_seq(side(ada), side(stranger)) == 0


def test_forks_of_forks_and_of_one_origin_share_what_they_have_in_common(home: Home, ada: Workspace) -> None:
    first = forked(home, ada, 12)
    second = forked(home, ada, 9)
    tell(first, "one")
    of_first = forked(home, first, first.last_seq)
    tell(of_first, "two")
    assert comparing.shared_seq(side(first), side(second)) == 9
    assert comparing.shared_seq(side(of_first), side(ada)) == 12
    assert comparing.shared_seq(side(of_first), side(first)) == first.last_seq
    assert comparing.shared_seq(side(of_first), side(second)) == 9


def test_equal_lines_after_a_fork_are_no_common_past() -> None:
    """Two forks that were made and lived at the same times have lines alike again after the event that made them."""
    past, later = (
        Script().turn("hello", "hi").events,
        Script().turn("one", "1").turn("two", "2").turn("three", "3").events,
    )
    at = len(past)

    def lived(agent_id: str) -> Side:
        born = RunForked(seq=at + 1, agent_id=agent_id, name="Fork", origin="ada", origin_name="Ada", origin_seq=at)
        log = [*past, born, *(event.model_copy(update={"seq": at + 1 + event.seq}) for event in later)]
        births = [{"seq": at + 1}]
        return Side(agent_id, lambda *_: births, lambda n: log[n - 1], lambda a, b: log[a - 1 : b], State, len(log))

    assert comparing.shared_seq(lived("fork1"), lived("fork2")) == at
    assert comparing.shared_seq(lived("fork1"), lived("fork1")) == at + 1 + len(later)


def test_what_a_side_did_first_of_its_own_is_no_bookkeeping(home: Home, ada: Workspace) -> None:
    at = next(event.seq for event in ada.events(1) if event.kind == "model_replied")
    fork = forked(home, ada, at)
    assert comparing.parting(side(fork), at) == (None, at + 1), "only ended as interrupted"
    fork.edits.edit_block("human", "Lives in Delft", based_on=fork.state().blocks["human"].seq)
    event, born = comparing.parting(side(fork), at)
    assert event is not None
    assert (event.kind, born) == ("working_context_edited", at + 1)
    event, born = comparing.parting(side(ada), at)
    assert event is not None
    assert (event.seq, born) == (at + 1, None)


# --- turns beside each other ----------------------------------------------------------------------------------------


def test_turns_of_a_fork_lie_beside_those_of_its_origin(home: Home, ada: Workspace) -> None:
    fork = forked(home, ada, turns(ada)[0].ended)
    for text in ("something new", "how are you", "goodbye"):
        tell(fork, text)
    found = compare_rows.compared(ada, fork, ada.last_seq)
    told = [
        (pair.left.trigger if pair.left else None, pair.right.trigger if pair.right else None, pair.shared)
        for pair in found.pairs
    ]
    assert told == [
        ("hello there", "hello there", True),
        (None, "something new", False),
        ("how are you", "how are you", False),
        (None, "goodbye", False),
    ]
    assert (found.past, found.parted) == (1, 1)


def test_a_fork_in_the_middle_of_a_turn_has_that_turn_on_both_sides(home: Home, ada: Workspace) -> None:
    turn = turns(ada)[1]
    fork = forked(home, ada, turn.first + 1)
    tell(fork, "anew")
    found = compare_rows.compared(ada, fork, ada.last_seq)
    numbers = [(pair.left and pair.left.number, pair.right and pair.right.number) for pair in found.pairs]
    assert numbers == [(1, 1), (2, 2), (None, 3)]
    assert (found.past, found.parted) == (1, 1)


def test_a_login_matches_a_login_of_another_day(home: Home, ada: Workspace) -> None:
    first = turns(ada)[0]
    assert (first.cause, first.trigger) == ("user", "hello there"), "and not the login before it"


def test_two_agents_told_the_same_are_alike_until_they_are_not(home: Home, ada: Workspace, model: Any) -> None:
    blocks = [BlockPlan(label="human", value="Lives in Leiden")]
    settings = AgentSettings(model="scripted", embedder="hashing")
    twin = home.open(home.create(Blueprint(name="Twin", blocks=blocks, settings=settings)))
    for text in ("hello there", "how are you"):
        tell(twin, text)
    found = compare_rows.compared(ada, twin, ada.last_seq)
    assert (found.shared, found.past, found.parted) == (0, 0, None)
    for ws, last in ((ada, "Bye"), (twin, "Farewell")):
        model.script = [say("It rains"), say(last)]
        tell(ws, "what is the weather?")
        tell(ws, "thank you")
    assert compare_rows.compared(ada, twin, ada.last_seq).parted == 3


def test_what_a_call_wrote_into_a_block_is_a_difference(home: Home, ada: Workspace, model: Any) -> None:
    fork = forked(home, ada, ada.last_seq)
    for ws, town in ((ada, "Delft"), (fork, "Gouda")):
        model.script = [reply(call("core_memory_append", True, label="human", content=town)), say("noted")]
        tell(ws, "I have moved")
        tell(ws, "thanks")
    found = compare_rows.compared(ada, fork, ada.last_seq)
    assert found.parted == 2
    left, right = compare_rows.tell_both(found, 2)
    assert left is not None
    assert right is not None
    assert compare.ways(left, right) == ("calls", "blocks")
    assert left.replies == right.replies == ("noted",)
    later = compare_rows.tell_both(found, 3)
    assert compare.ways(*later) == (), "what differed before is no difference of this turn"
    assert compare.old_differences(*later) == ["human"]


def test_what_a_person_did_stands_before_the_next_turn(home: Home, ada: Workspace) -> None:
    fork = forked(home, ada, ada.last_seq)
    fork.edits.edit_block("human", "Lives in Delft", based_on=fork.state().blocks["human"].seq)
    tell(fork, "hello again")
    found = compare_rows.compared(ada, fork, ada.last_seq)
    _, right = compare_rows.tell_both(found, 2)
    assert right is not None
    (edit,) = right.by_hand
    assert edit.kind == "working_context_edited"


SAID = st.lists(st.sampled_from("abcdef"), max_size=12)


def life(said: list[str]) -> list[Turn]:
    return [
        Turn(at + 1, 1, 10 * at + 1, 10 * at + 9, 10 * at + 9, "user", text, ord(text), ord(text))
        for at, text in enumerate(said)
    ]


@given(SAID, SAID, SAID)
def test_no_turn_is_lost_doubled_or_out_of_order(past: list[str], lefts: list[str], rights: list[str]) -> None:
    one, other = life(past + lefts), life(past + rights)
    pairs = compare.align(one, other, 10 * len(past))
    assert [pair.left for pair in pairs if pair.left] == one
    assert [pair.right for pair in pairs if pair.right] == other
    assert sum(pair.shared for pair in pairs) == len(past)
    assert all(pair.left or pair.right for pair in pairs)
    place = compare.first_different(pairs)
    assert (place is None) == (lefts == rights)


# --- one turn against another ---------------------------------------------------------------------------------------


def row(name: str, /, **arguments: str) -> CallRow:
    return CallRow(1, 1, name, "", tuple(arguments.items()), "ok", "", None, False)


NOTHING = Told((), (), (), {}, {}, (), (), ())


def test_calls_are_the_same_changed_or_on_one_side() -> None:
    same, search, other = row("note_read", name="x"), row("conversation_search", query="cat"), row("note_list")
    pairs = compare.call_pairs(
        [same, search, row("note_write", name="a")], [same, row("conversation_search", query="dog"), other]
    )
    assert [pair.sort for pair in pairs] == ["same", "changed", "left", "right"]
    assert pairs[1].left == search
    turned = row("x", b="2", a="1"), row("x", a="1", b="2")
    assert [pair.sort for pair in compare.call_pairs(turned[:1], turned[1:])] == ["same"]


def test_each_way_to_differ_is_named() -> None:
    for way, other in {
        "trigger": NOTHING._replace(triggers=(("user", "x"),)),
        "replies": NOTHING._replace(replies=("x",)),
        "calls": NOTHING._replace(calls=(row("note_list"),)),
        "blocks": NOTHING._replace(blocks={"human": "x"}),
        "passages": NOTHING._replace(passages=("x",)),
        "errors": NOTHING._replace(errors=("x",)),
    }.items():
        assert compare.ways(NOTHING, other) == (way,)
    login = NOTHING._replace(triggers=(("login", "Monday"), ("user", "hello")))
    assert compare.ways(login, NOTHING._replace(triggers=(("user", "hello"),))) == ()


@given(st.text(max_size=60), st.text(max_size=60))
def test_both_texts_are_whole_side_by_side(left: str, right: str) -> None:
    some, others = compare.sides(left, right)
    assert "".join(piece.text for piece in some) == left
    assert "".join(piece.text for piece in others) == right
    assert {piece.kind for piece in some} <= {"same", "out"}
    assert {piece.kind for piece in others} <= {"same", "in"}


def test_a_text_that_is_there_twice_counts_twice() -> None:
    assert compare.only_in(["a", "a", "b"], ["a", "c"]) == (["a", "b"], ["c"])


def test_where_an_agent_comes_from_in_words() -> None:
    assert compare.origin_text("x", None) == ""
    assert compare.origin_text("fork", Provenance("ada", "Ada", 9)) == "Forked from Ada (ada) after event 9."
    assert "recording of Juno" in compare.origin_text("companion", Provenance("companion", "Juno", 682))


# --- numbers --------------------------------------------------------------------------------------------------------


def test_totals_are_the_sum_of_the_turns_and_the_log_agrees(home: Home) -> None:
    ws = home.open(home.start_sample("companion"))
    one = side(ws)
    by_turn = comparing.all_figures(one)
    total = comparing.totals(one, 0)
    assert set(total) == {metric.key for metric in METRICS}
    for metric in METRICS:
        assert sum(row[metric.key] or 0 for row in by_turn.values()) == pytest.approx(total[metric.key])
    events: list[Any] = ws.events(1)
    kinds = [event.kind for event in events]
    returned = [event for event in events if event.kind == "function_returned"]
    assert total["turns"] == ws.state().turn
    assert total["replies"] == kinds.count("message_sent")
    assert total["flushes"] == ws.state().flushes
    assert total["calls"] == sum(event.name != "send_message" for event in returned)
    assert total["failed_calls"] == ws.state().failed_calls
    assert total["prompt_tokens"] == sum(sum(e.sections.values()) for e in events if e.kind == "prompt_built")
    assert total["reply_tokens"] == sum(e.measured.reply_tokens or 0 for e in events if e.kind == "model_replied")
    assert comparing.figures(one, [3, 65]) == {
        turn: {key: value for key, value in by_turn[turn].items() if key != "said"} for turn in (3, 65)
    }
    assert by_turn[65]["said"].startswith("You are allergic to hazelnuts")
    half = comparing.totals(one, 300)
    assert half["events"] == sum(event.turn > 0 and event.seq > 300 for event in events)


def test_a_turn_that_was_cut_off_lasted_until_the_last_it_did(home: Home) -> None:
    ws = home.open(home.start_sample("companion"))
    cut = next(event.seq for event in reversed(ws.events(1)) if event.kind == "model_replied")
    fork = forked(home, ws, cut)
    assert next(event for event in fork.events(cut) if event.kind == "turn_ended").reason == "interrupted"
    turn = fork.state().turn
    (row,) = comparing.figures(side(fork), [turn]).values()
    assert 0 < row["seconds"] < comparing.figures(side(ws), [turn])[turn]["seconds"]


def test_a_difference_has_its_sign() -> None:
    tokens = next(metric for metric in METRICS if metric.key == "prompt_tokens")
    seconds = next(metric for metric in METRICS if metric.key == "seconds")
    assert compare.delta_text(tokens, 1000, 2500) == "+1,500"
    assert compare.delta_text(tokens, 2500, 1000) == "−1,500"
    assert compare.delta_text(tokens, 7, 7) == ""
    assert compare.delta_text(tokens, None, 7) == ""
    assert compare.delta_text(seconds, 1.0, 3.5) == "+2.5 s"
    assert compare.number_text(tokens, None) == "–"
    assert compare.number_text(seconds, 11_322_009.4) == "131 d 1 h"


# --- archival storage -----------------------------------------------------------------------------------------------


def test_passages_that_only_one_has_are_found_by_text(home: Home, ada: Workspace) -> None:
    kept = ada.edits.insert_passage("The stove is red")
    ada.edits.insert_passage("The rope is long")
    fork = forked(home, ada, ada.last_seq)
    gone = next(row["id"] for row in fork.rows("SELECT id FROM passages") if row["id"] != kept)
    fork.edits.delete_passages([gone])
    fork.edits.edit_passage(kept, "The stove is green", tags=(), based_on=fork.items([kept])[kept]["seq_from"])
    fork.edits.insert_passage("The map is torn")
    ada.edits.insert_passage("The map is torn")
    for shared in (comparing.shared_seq(side(ada), side(fork)), 0):
        left, right = comparing.passages_only(side(ada), side(fork), shared)
        texts = [
            [row["text"] for row in comparing.passage_rows(side(ws), ids)] for ws, ids in ((ada, left), (fork, right))
        ]
        assert texts == [["The tent is blue", "The stove is red"], ["The stove is green"]]
    assert comparing.passages_only(side(ada), side(ada), 0) == ([], [])


# --- what if, in the background -------------------------------------------------------------------------------------


def test_a_what_if_runs_on_and_says_what_came_of_it(home: Home, ada: Workspace) -> None:
    supposing.start(home, ada.agent_id, Question(2, Change("without_block", "human"), 3))
    until(lambda: not supposing.running(home, ada.agent_id))
    done = supposing.last(home, ada.agent_id)
    assert done is not None
    assert done.job.failed == ""
    assert [outcome.replies for outcome in done.outcomes] == [("ok",)] * 3
    assert done.recorded.replies == ("ok",)
    assert supposing.last(home, "nobody") is None


def test_a_what_if_that_cannot_be_made_says_why(home: Home, ada: Workspace) -> None:
    with pytest.raises(EditRefused, match="There is no turn 9"):
        supposing.start(home, ada.agent_id, Question(9, Change()))
    with pytest.raises(AgentNotFound):
        supposing.start(home, "nobody", Question(1, Change()))
    supposing.start(home, ada.agent_id, Question(1, Change("without_block", "nope")))
    until(lambda: not supposing.running(home, ada.agent_id))
    done = supposing.last(home, ada.agent_id)
    assert done is not None
    assert "no block 'nope'" in done.job.failed
    assert done.outcomes == ()


class Patient(ScriptedModel):
    """Answers once; then waits until it is stopped."""

    def __init__(self) -> None:
        super().__init__(then=say("ok"))
        self.waiting = threading.Event()
        self.left = 10

    def chat(self, body: dict[str, Any], progress: Progress) -> Any:
        self.left -= 1
        if self.left >= 0:
            return super().chat(body, progress)
        self.waiting.set()
        until(progress.stopped)
        raise Stopped


def test_a_stopped_what_if_keeps_what_it_had(tmp_path: Path) -> None:
    model = Patient()
    home = Home(tmp_path / "home", clock=FakeClock(), models={"scripted": model}, timer=False)
    try:
        settings = AgentSettings(model="scripted", embedder="hashing")
        ws = home.open(home.create(Blueprint(name="Ada", settings=settings)))
        tell(ws, "hello")
        model.left = 1
        supposing.start(home, ws.agent_id, Question(1, Change(), 5))
        assert model.waiting.wait(LONG_S)
        with pytest.raises(AgentBusy):
            supposing.start(home, ws.agent_id, Question(1, Change()))
        supposing.stop(home, ws.agent_id)
        until(lambda: not supposing.running(home, ws.agent_id))
        done = supposing.last(home, ws.agent_id)
        assert done is not None
        assert len(done.outcomes) == 1
        assert done.question.times == 5, "the one that was refused did not take its place"
    finally:
        home.close()
