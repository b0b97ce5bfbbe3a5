"""Forks: at any event, whole or not at all, with the same memory and no text embedded again; temporary agents."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memgpt_core import checkpoints, folders, forking
from memgpt_core.blueprint import Blueprint
from memgpt_core.embedding.hashing import HashingEmbedder
from memgpt_core.errors import AgentNotFound, EditRefused, MemscopeError, StoreBroken
from memgpt_core.events import Event, RunForked, TriggerReceived, TurnEnded
from memgpt_core.home import SAMPLES, Home
from memgpt_core.llm.demo import DemoModel
from memgpt_core.log import read_events
from memgpt_core.prompt import build
from memgpt_core.replay import rerun_file
from memgpt_core.settings import AgentSettings
from memgpt_core.state import INITIAL, Provenance, State, apply, place
from memgpt_core.stores import recall
from memgpt_core.stores.recall import RecallStore
from memgpt_core.workspace import Workspace
from tests.engine import FakeClock, ScriptedModel, call, kinds, reply, say, sent
from tests.random_logs import STEPS, random_log
from tests.test_recall import batch, contents

LONG_S = 20.0

Open = Callable[..., Home]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Opens the test's home; closes it after."""
    made: list[Home] = []

    def open_home(**options: Any) -> Home:
        options = {"clock": FakeClock(), "models": {"demo": ScriptedModel(then=say("ok"))}, "timer": False, **options}
        made.append(Home(tmp_path / "home", **options))
        return made[-1]

    yield open_home
    for one in made:
        one.close()


def told(ws: Workspace, *lines: str) -> None:
    for line in lines:
        ws.send(line)
        assert ws.wait_idle(LONG_S)
        assert ws.state().turn_end == "yielded", ws.state().turn_end


def hashing(**more: Any) -> AgentSettings:
    return AgentSettings(embedder="hashing", **more)


def agent_of(home: Home, *lines: str, name: str = "Ada", **more: Any) -> Workspace:
    ws = home.open(home.create(Blueprint(name=name, settings=hashing(**more))))
    told(ws, *lines)
    return ws


def killed(home: Home) -> None:
    """Leave the home's files as a killed process does: nobody has them open, and nothing was tidied."""
    for workspace in (*home._open.values(), *home._asides.values()):
        workspace.close(follow=False)
    home._vectors.close()
    home._lock.release()


def ids(home: Home) -> list[str]:
    return sorted(path.name for path in (home.path / "agents").iterdir())


# --- any event --------------------------------------------------------------------------------------------------------


def recorded(sample: str) -> list[Event]:
    return list(read_events(SAMPLES / sample / "run.jsonl"))


def turning_points() -> list[tuple[str, int]]:
    """The first event of each kind in each sample, and the last of all."""
    found: dict[tuple[str, str], tuple[str, int]] = {}
    for sample in ("companion", "prober"):
        for event in recorded(sample):
            found.setdefault((sample, event.kind), (sample, event.seq))
    return [*found.values(), ("companion", len(recorded("companion")))]


@pytest.mark.parametrize("sample", ["companion", "prober"])
def test_every_event_of_a_sample_leaves_a_state_that_can_go_on(sample: str) -> None:
    events = recorded(sample)
    born = next(event for event in events if event.kind == "instructions_defined")
    state = INITIAL
    for event in events:
        state = apply(state, event)
        forked = RunForked(agent_id="x", name="X", origin=sample, origin_name="S", origin_seq=state.seq)
        more: list[Event] = [] if state.instructions_seq else [born]
        more += [TurnEnded(reason="interrupted")] if state.turn_open else []
        log = dict(enumerate(events[: state.seq], 1))
        now = state
        for added in (forked, *more, TriggerReceived(cause="user", text="go on")):
            now = committed(now, added, log)
        assert now.turn_open
        messages = build(now, log.__getitem__).body["messages"]
        assert '"message": "go on"' in messages[-1]["content"]
        calls = [call["id"] for one in messages for call in one.get("tool_calls", ())]
        results = [one["tool_call_id"] for one in messages if one["role"] == "tool"]
        assert calls == results, f"a call without its result, or the reverse, in a fork at {state.seq}"


def committed(state: State, event: Event, log: dict[int, Event]) -> State:
    session, turn, step = place(state, event)
    header = {"seq": state.seq + 1, "at": state.at, "session": session, "turn": turn, "step": step}
    log[state.seq + 1] = event.model_copy(update=header)
    return apply(state, log[state.seq + 1])


@pytest.mark.parametrize("sample", ["companion", "prober"])
def test_a_fork_at_every_turning_point_is_whole_goes_on_and_reruns(sample: str, opened: Open) -> None:
    home = opened(models={"demo": DemoModel()})
    source = home.open(home.start_sample(sample))
    raw = (source.folder / "run.jsonl").read_bytes()
    points = [at for name, at in turning_points() if name == sample]
    assert points
    for at in points:
        fork = home.open(home.fork(sample, at, name=f"At {at}"))
        log = fork.folder / "run.jsonl"
        assert log.read_bytes().startswith(raw[: sum(source.line_of(at))])
        assert fork.event(at + 1).kind == "run_forked"
        assert fork.provenance() == (sample, source.state().name, at)
        assert (fork.notices(), fork.verify()) == ([], [])
        before = source.state(at)
        assert {label: block.value for label, block in fork.state().blocks.items()} == {
            label: block.value for label, block in before.blocks.items()
        }
        assert fork.state().turn_open is False
        assert fork.state().turn_end == ("interrupted" if before.turn_open else before.turn_end)
        told(fork, "My favourite fish is the pike.")
        assert fork.verify() == []
        assert rerun_file(log).identical, at
        home.delete(fork.agent_id)
    assert (source.folder / "run.jsonl").read_bytes() == raw, "the origin is as it was"


@given(st.lists(STEPS, min_size=1, max_size=40), st.floats(0, 1))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_cut_back_are_the_rows_of_the_beginning_and_go_on_alike(
    tmp_path: Path, steps: list[tuple[str, int, str]], share: float
) -> None:
    changes = batch(random_log(steps))
    at = int(share * len(changes))
    for name in ("all", "cut", "begun"):
        recall.forget(tmp_path / name)
    whole, begun = RecallStore(tmp_path / "all"), RecallStore(tmp_path / "begun")
    whole.take(changes)
    begun.take(changes[:at])
    whole.copy_until(tmp_path / "cut", at)
    cut = RecallStore(tmp_path / "cut")
    assert (cut.position, cut.rebuilt_because) == (at, "")
    assert contents(cut) == contents(begun)
    cut.take(changes[at:])
    assert contents(cut) == contents(whole)
    for store in (whole, begun, cut):
        store.close()


@pytest.mark.parametrize("at", [0, -1, 10_000])
def test_an_event_that_is_not_there_is_refused_and_nothing_is_made(opened: Open, at: int) -> None:
    home = opened()
    ws = agent_of(home)
    with pytest.raises(EditRefused, match=rf"There is no event {at} to fork from: the log has events 1 to \d+\."):
        home.fork(ws.agent_id, at, name="x")
    with pytest.raises(EditRefused, match="needs a name"):
        home.fork(ws.agent_id, 1, name=" ")
    with pytest.raises(AgentNotFound):
        home.fork("nobody", 1, name="x")
    assert ids(home) == [ws.agent_id]


def test_a_fork_takes_only_the_checkpoints_that_are_its_own(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", 5)
    home = opened()
    ws = agent_of(home, "one", "two")
    at = 12
    fork = home.path / "agents" / home.fork(ws.agent_id, at, name="two")
    theirs = {path.name for path in (ws.folder / "checkpoints").glob("*.json")}
    own = {path.name for path in (fork / "checkpoints").glob("*.json")}
    assert {name for name in theirs if int(name[:-5]) <= at} == {name for name in own if int(name[:-5]) <= at}
    assert len(theirs) > len(own)
    assert home.open(fork.name).state(10) == ws.state(10)


# --- in the middle of something ---------------------------------------------------------------------------------------


def test_a_fork_takes_the_bookmarks_on_the_events_it_has(opened: Open) -> None:
    home = opened()
    ws = agent_of(home, "My name is Ada.", "I live in Leiden.")
    at = ws.last_seq - 2
    for seq, said in ((at, "here"), (at + 1, "later"), (3, "")):
        ws.bookmarks.add(seq, said)
    gone = ws.bookmarks.add(2, "taken away")
    ws.bookmarks.remove(gone)
    fork = home.open(home.fork(ws.agent_id, at, name="Other"))
    copied = fork.bookmarks.all()
    assert [(mark.seq, mark.text) for mark in copied] == [(3, ""), (at, "here")]
    assert {mark.at for mark in copied} <= {mark.at for mark in ws.bookmarks.all()}
    fork.bookmarks.add(at, "of its own")
    assert len(ws.bookmarks.on(at)) == 1


def test_a_busy_agent_is_forked_at_an_earlier_event_and_never_notices(opened: Open) -> None:
    held, arrived = threading.Event(), threading.Event()

    def slow(body: dict[str, Any]) -> Any:
        arrived.set()
        assert held.wait(LONG_S)
        return say("done")

    home = opened(models={"demo": ScriptedModel(say("first"), slow, then=say("ok"))})
    ws = agent_of(home, "I live in Leiden")
    at = ws.last_seq
    ws.send("and then?")
    assert arrived.wait(LONG_S)
    fork = home.open(home.fork(ws.agent_id, at, name="earlier"))
    assert ws.busy
    assert (fork.last_seq, fork.state().turn_open) == (at + 1, False)
    inside = home.open(home.fork(ws.agent_id, ws.last_seq, name="inside"))
    assert kinds(inside.events(inside.last_seq - 1)) == ["run_forked", "turn_ended"]
    held.set()
    assert ws.wait_idle(LONG_S)
    assert ws.state().turn_end == "yielded"
    assert inside.can_resume
    inside.resume()
    assert inside.wait_idle(LONG_S)
    assert inside.state().turn_end == "yielded"
    for one in (ws, fork, inside):
        assert one.verify() == []
        assert rerun_file(one.folder / "run.jsonl").identical


def test_a_fork_where_a_call_waits_can_answer_it_or_go_past_it(opened: Open) -> None:
    asks = reply(call("archival_memory_insert", content="secret"), call("note_list"))
    home = opened(models={"demo": ScriptedModel(asks, then=say("ok"))})
    ws = home.open(home.create(Blueprint(name="Ada", settings=hashing(functions_ask=("archival_memory_insert",)))))
    ws.send("store it")
    assert ws.wait_idle(LONG_S)
    asked = next(event.seq for event in ws.events(1) if event.kind == "function_asked")
    ws.answer(False, "too private")
    assert ws.wait_idle(LONG_S)
    answered = next(event.seq for event in ws.events(1) if event.kind == "function_answered")
    for at in (asked - 1, asked, asked + 1, answered - 1, answered, ws.last_seq):
        for way in ("answer", "send", "resume"):
            fork = home.open(home.fork(ws.agent_id, at, name=f"{way} {at}"))
            if way == "answer" and fork.state().asked:
                fork.answer(True)
            elif way == "resume" and fork.can_resume:
                fork.resume()
            else:
                fork.send("never mind")
            assert fork.wait_idle(LONG_S)
            assert fork.state().turn_end in ("yielded", "asked"), (at, way)
            if way == "answer" and asked <= at < answered:
                assert fork.state().passages == 1
            assert fork.verify() == []
            assert rerun_file(fork.folder / "run.jsonl").identical, (at, way)
            home.delete(fork.agent_id)


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_no_text_is_embedded_again_and_searches_are_right_at_once(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = opened()
    ws = agent_of(home, "I live in Leiden", "My cat is called Muis", "I moved to Delft")
    ws.upload("book", [(f"Chapter {n}: of pikes and perches, part {n}", ("book",)) for n in range(30)])
    assert ws.wait_idle(LONG_S)
    assert ws.projections.flush()
    at = next(event.seq for event in ws.events(1) if getattr(event, "text", "") == "I moved to Delft") - 1
    asked: list[str] = []
    embed = HashingEmbedder.embed

    def counting(embedder: HashingEmbedder, texts: Sequence[str]) -> Any:
        asked.extend(texts)
        return embed(embedder, texts)

    monkeypatch.setattr(HashingEmbedder, "embed", counting)
    for seq, found in ((at, False), (ws.last_seq, True)):
        fork = home.open(home.fork(ws.agent_id, seq, name="fork"))
        assert bool(fork.recall("Delft").hits) is found
        assert fork.recall("Muis").hits
        assert bool(fork.archival("perches part 7").hits) is found
        assert fork.projections.flush()
        assert not fork.not_embedded
        assert set(asked) <= {"Delft", "Muis", "perches part 7"}, "queries only"
        home.delete(fork.agent_id)


def test_the_rows_are_copied_and_not_folded_again(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    home = opened()
    ws = agent_of(home, "I live in Leiden")
    assert ws.projections.flush()
    taken: list[int] = []
    take = RecallStore.take

    def counting(store: RecallStore, changes: Any) -> None:
        taken.extend(seq for seq, _ in changes)
        take(store, changes)

    monkeypatch.setattr(RecallStore, "take", counting)
    home.fork(ws.agent_id, ws.last_seq, name="fork")
    assert taken == [ws.last_seq + 1], "the fork itself, and none of the events before it"


def test_a_source_whose_rows_cannot_be_copied_gives_a_whole_fork_all_the_same(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = opened()
    ws = agent_of(home, "I live in Leiden")

    def broken(store: RecallStore, path: Path, seq: int) -> None:
        path.write_bytes(b"half a file")
        raise StoreBroken("no room")

    monkeypatch.setattr(RecallStore, "copy_until", broken)
    fork = home.open(home.fork(ws.agent_id, ws.last_seq, name="fork"))
    assert (fork.verify(), fork.notices()) == ([], [])


def test_progress_rises_to_one(opened: Open) -> None:
    home = opened()
    ws = agent_of(home)
    shares: list[float] = []
    home.fork(ws.agent_id, ws.last_seq, name="fork", progress=shares.append)
    assert shares == sorted(shares)
    assert (0 < shares[0] < 1, shares[-1]) == (True, 1.0)


# --- whole or not at all ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place",
    [
        (forking, "_copy_bytes"),
        (forking, "_copy_checkpoints"),
        (forking, "_go_on"),
        (RecallStore, "copy_until"),
        (Home, "_reveal"),
    ],
    ids=lambda place: place[1],
)
@pytest.mark.parametrize("after", [False, True], ids=["before it", "after it"])
@pytest.mark.parametrize("temporary", [False, True])
def test_a_kill_at_any_point_leaves_no_half_agent(
    opened: Open, monkeypatch: pytest.MonkeyPatch, place: tuple[Any, str], after: bool, temporary: bool
) -> None:
    home = opened()
    ws = agent_of(home, "hi")
    action = getattr(*place)

    def dies(*arguments: Any, **more: Any) -> None:
        if after:
            action(*arguments, **more)
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(*place, staticmethod(dies) if place[0] is Home else dies)
        with pytest.raises(KeyboardInterrupt):
            home.fork(ws.agent_id, ws.last_seq, name="fork", temporary=temporary)
    revealed = place == (Home, "_reveal") and after
    assert {card.id for card in home.agents()} == {"ada", "fork"} if revealed else {"ada"}
    killed(home)
    again = opened()
    assert ids(again) == (["ada", "fork"] if revealed and not temporary else ["ada"])
    assert [again.open(id).verify() for id in ids(again)] == [[]] * len(ids(again))


def test_what_was_never_revealed_is_swept_with_all_that_is_in_it_and_nothing_else_is(opened: Open) -> None:
    home = opened()
    agents = home.path / "agents"
    for name, files in {
        "begun": ["run.jsonl.new", "notes.jsonl"],
        "hardly": ["rows.duckdb", "temporary"],
        "somebody's": ["notes.jsonl"],
        "lost": ["rows.duckdb", "notes.jsonl"],
    }.items():
        (agents / name).mkdir()
        for file in files:
            (agents / name / file).touch()
    home.close()
    assert ids(opened()) == ["lost", "somebody's"]


def test_a_full_disk_leaves_nothing(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    home = opened()
    ws = agent_of(home, "hi")

    def full(source: Path, copy: Path, size_bytes: int) -> None:
        copy.write_bytes(source.read_bytes()[: size_bytes // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(forking, "_copy_bytes", full)
        with pytest.raises(MemscopeError, match="No space left on device"):
            home.fork(ws.agent_id, ws.last_seq, name="fork")
        with pytest.raises(MemscopeError, match="No space left on device"), home.aside(ws.agent_id, ws.last_seq):
            pytest.fail("there is no fork to enter")
    assert ids(home) == [ws.agent_id]
    assert list((home.path / folders.ASIDE).iterdir()) == []


# --- where it comes from ----------------------------------------------------------------------------------------------


def card(home: Home, id: str) -> Any:
    return next(one for one in home.agents(archived=True) if one.id == id)


def test_a_fork_says_where_it_comes_from_whatever_becomes_of_that_one(opened: Open) -> None:
    home = opened()
    one = agent_of(home, "hi", name="One")
    assert one.provenance() is None
    at = one.last_seq - 1
    two = home.open(home.fork("one", at, name="Two"))
    home.rename("two", "Second", "")
    home.archive("two")
    three = home.open(home.fork("two", two.last_seq, name="Three"))
    assert two.provenance() == Provenance("one", "One", at)
    assert three.provenance() == Provenance("two", "Second", two.last_seq)
    assert card(home, "three").provenance == three.provenance()
    assert card(home, "three").archived is False
    early = home.open(home.fork("three", 3, name="Early"))
    assert early.provenance() == ("three", "Three", 3), "copied from there, whoever lived it first"
    at = two.last_seq
    home.delete("one")
    home.delete("two")
    home.close()
    home = opened()
    assert card(home, "three").provenance == ("two", "Second", at)
    told(home.open("three"), "still here?")
    assert home.open("three").verify() == []


# --- temporary agents -------------------------------------------------------------------------------------------------


def test_a_temporary_agent_is_listed_as_such_and_goes_when_the_home_closes(opened: Open) -> None:
    home = opened()
    stays = agent_of(home, "hi").agent_id
    chat = home.temporary(Blueprint(name="Chat"))
    fork = home.fork(stays, 3, name="Fork", temporary=True)
    kept = home.fork(stays, 3, name="Kept", temporary=True)
    told(home.open(chat), "between us")
    assert {one.id: one.temporary for one in home.agents()} == {stays: False, chat: True, fork: True, kept: True}
    home.keep(kept)
    assert card(home, kept).temporary is False
    with pytest.raises(AgentNotFound):
        home.keep("nobody")
    home.close()
    assert ids(home) == sorted([stays, kept])
    assert list((home.path / folders.DELETED).iterdir()) == []
    assert {one.id: one.temporary for one in opened().agents()} == {stays: False, kept: False}


def test_a_temporary_agent_of_a_killed_process_is_swept_at_the_next_start(opened: Open) -> None:
    home = opened()
    stays = agent_of(home, "hi").agent_id
    home.temporary(Blueprint(name="Chat"))
    with home.aside(stays, 3):
        assert len(list((home.path / folders.ASIDE).iterdir())) == 1
        killed(home)
        again = opened()
        assert ids(again) == [stays]
        assert not (again.path / folders.ASIDE).exists()


def test_what_is_aside_is_in_no_list_and_is_gone_also_after_an_error(opened: Open) -> None:
    home = opened()
    ws = agent_of(home, "hi")
    with contextlib.suppress(ZeroDivisionError), home.aside(ws.agent_id, ws.last_seq) as fork:
        assert fork.provenance() == (ws.agent_id, "Ada", ws.last_seq)
        told(fork, "aside")
        assert sent(fork.events(ws.last_seq + 1)) == ["ok"]
        assert [one.id for one in home.agents(archived=True)] == [ws.agent_id]
        with pytest.raises(AgentNotFound):
            home.open(fork.agent_id)
        raise ZeroDivisionError
    assert list((home.path / folders.ASIDE).iterdir()) == []
    assert ws.verify() == []


def test_closing_the_home_closes_what_is_aside(opened: Open) -> None:
    home = opened()
    ws = agent_of(home, "hi")
    with home.aside(ws.agent_id, ws.last_seq) as fork:
        home.close()
        assert not (home.path / folders.ASIDE).exists()
        with pytest.raises(MemscopeError):
            fork.send("too late")
