"""The home: its lock, its agents and samples, what is done with them, the timer, and that half agents do not exist."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from memgpt_core import checkpoints
from memgpt_core import home as home_module
from memgpt_core.blueprint import Blueprint
from memgpt_core.errors import AgentBusy, AgentNotFound, ConfigurationRefused, EditRefused, HomeBusy, MemscopeError
from memgpt_core.events import NoteWritten, decode, encode
from memgpt_core.home import Home, close_home, the_home
from memgpt_core.project import COLUMNS
from memgpt_core.replay import rerun_file
from memgpt_core.settings import AgentSettings
from memgpt_core.workspace import Workspace
from tests.engine import FakeClock, ScriptedModel, say, sent, until

ROOT = Path(__file__).parent.parent
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


def folders(home: Home) -> list[str]:
    return sorted(path.name for path in (home.path / "agents").iterdir())


# --- agents ---------------------------------------------------------------------------------------------------------


def test_a_new_agent_has_a_folder_a_card_and_one_workspace(opened: Open) -> None:
    home = opened()
    assert home.agents() == []
    agent = home.create(Blueprint(name="Ada B. (test)", about="a test"))
    assert agent == "ada-b-test"
    (card,) = home.agents()
    assert (card.id, card.name, card.about, card.model, card.events, card.busy, card.problem) == (
        agent,
        "Ada B. (test)",
        "a test",
        "demo",
        4,
        False,
        "",
    )
    ws = home.open(agent)
    assert home.open(agent) is ws
    assert ws.state().agent_id == agent
    ws.send("hi")
    assert ws.wait_idle(LONG_S)
    assert home.agents()[0].events == ws.last_seq
    assert home.agents()[0].last_at == ws.state().at


def test_the_agent_used_last_comes_first(opened: Open) -> None:
    home = opened()
    first, second = home.create(Blueprint(name="one")), home.create(Blueprint(name="two"))
    assert [card.id for card in home.agents()] == [second, first]
    assert home.first_agent() == second
    ws = home.open(first)
    ws.send("hi")
    assert ws.wait_idle(LONG_S)
    assert [card.id for card in home.agents()] == [first, second]


def test_a_name_that_is_taken_gets_a_number_and_the_agent_knows_it(opened: Open) -> None:
    home = opened()
    ids = [home.create(Blueprint(name="Same")) for _ in range(3)]
    assert ids == ["same", "same-2", "same-3"]
    assert [home.open(agent).state().agent_id for agent in ids] == ids


@pytest.mark.parametrize("name", ["日本", "...", "../../etc", "a/b"])
def test_any_name_makes_a_folder_inside_the_home(opened: Open, name: str) -> None:
    home = opened()
    for agent in (home.create(Blueprint(name=name)), home.create(Blueprint(name="x"), agent_id=name)):
        assert (home.path / "agents" / agent / "run.jsonl").is_file()
        assert Path(agent).name == agent
    assert len(folders(home)) == 2


def test_settings_that_cannot_work_make_no_folder(opened: Open) -> None:
    home = opened()
    with pytest.raises(ConfigurationRefused, match="window is too small"):
        home.create(Blueprint(name="tiny", settings=AgentSettings(window_tokens=1024, reserve_tokens=64)))
    assert folders(home) == []


@pytest.mark.parametrize("wrong", ["nobody", "", ".", "..", "../agents/one", "one/../one"])
def test_who_is_not_there_is_named_beside_those_who_are(opened: Open, wrong: str) -> None:
    home = opened()
    home.create(Blueprint(name="one"))
    with pytest.raises(AgentNotFound, match="Agents: one") as refused:
        home.open(wrong)
    assert f"'{wrong}'" in str(refused.value)


def test_a_crash_between_the_folder_and_its_log_leaves_no_agent(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    home = opened()

    def crash(folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(Home, "_reveal", staticmethod(crash))
        with pytest.raises(KeyboardInterrupt):
            home.create(Blueprint(name="half"))
    assert folders(home) == ["half"], "the folder is there and its log is not"
    assert home.agents() == []
    with pytest.raises(AgentNotFound):
        home.open("half")
    assert home.create(Blueprint(name="half")) == "half-2"
    assert [card.id for card in home.agents()] == ["half-2"]
    (home.path / "agents" / "somebody's").mkdir()
    (home.path / "agents" / "somebody's" / "notes.jsonl").write_text("kept")
    home.close()
    assert folders(opened()) == ["half-2", "somebody's"], "swept at the next start, and nothing else is"


def test_a_log_is_synced_before_it_gets_its_name(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    home = opened()
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def told_fsync(fd: int) -> None:
        done.append("fsync " + Path(f"/proc/self/fd/{fd}").readlink().name)
        fsync(fd)

    def told_replace(path: Path, target: Path) -> Path:
        done.append(f"rename {path.name} {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", told_fsync)
    monkeypatch.setattr(Path, "replace", told_replace)
    home.create(Blueprint(name="one"))
    rename = done.index("rename run.jsonl.new run.jsonl")
    assert "fsync run.jsonl.new" in done[:rename]
    assert "fsync one" in done[rename:]


@pytest.mark.parametrize(
    "raw", [b"", b"garbage\n", encode(NoteWritten(seq=1, name="a", text="b", author="agent")).encode() + b"\n"]
)
def test_a_log_that_cannot_be_read_is_a_card_with_the_reason_and_hides_nobody(opened: Open, raw: bytes) -> None:
    home = opened()
    good, bad = home.create(Blueprint(name="good")), home.create(Blueprint(name="bad"))
    (home.path / "agents" / bad / "run.jsonl").write_bytes(raw)
    cards = {card.id: card for card in home.agents()}
    assert cards[good].problem == ""
    assert cards[bad].problem.startswith("Its log cannot be read")


def test_the_card_of_an_open_agent_shows_its_notices_and_its_turn(opened: Open) -> None:
    asked, go = threading.Event(), threading.Event()

    def slow(body: Any) -> Any:
        asked.set()
        go.wait(LONG_S)
        return say("ok")

    home = opened(models={"demo": ScriptedModel(slow, ZeroDivisionError("boom"))})
    ws = home.open(home.create(Blueprint(name="one")))
    ws.send("hi")
    assert asked.wait(LONG_S)
    assert home.agents()[0].busy
    go.set()
    assert ws.wait_idle(LONG_S)
    ws.send("again")
    assert ws.wait_idle(LONG_S)
    assert "boom" in home.agents()[0].problem


# --- samples --------------------------------------------------------------------------------------------------------


@pytest.fixture
def samples(tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two samples made by the engine itself, one of them the companion."""
    source = Home(tmp_path / "studio", clock=FakeClock(), models={"demo": ScriptedModel(then=say("ok"))}, timer=False)
    with closing(source):
        for name in ("Analyst", "Companion"):
            ws = source.open(source.create(Blueprint(name=name, about=f"the {name}")))
            ws.send(f"I am with {name}")
            assert ws.wait_idle(LONG_S)
    folder = tmp_path / "samples"
    for name in ("analyst", "companion"):
        (folder / name).mkdir(parents=True)
        shutil.copy(tmp_path / "studio" / "agents" / name / "run.jsonl", folder / name)
    (folder / "unfinished").mkdir()
    monkeypatch.setattr(home_module, "SAMPLES", folder)
    return folder


def test_the_samples_are_listed_companion_first(samples: Path, opened: Open) -> None:
    listed = opened().samples()
    assert [(sample.id, sample.name, sample.about) for sample in listed] == [
        ("companion", "Companion", "the Companion"),
        ("analyst", "Analyst", "the Analyst"),
    ]
    assert listed[0].events == len((samples / "companion" / "run.jsonl").read_bytes().splitlines())


def test_a_sample_starts_as_a_whole_copy_that_goes_on(samples: Path, opened: Open) -> None:
    home = opened()
    shares: list[float] = []
    agent = home.start_sample("analyst", shares.append)
    assert agent == "analyst"
    raw = (samples / "analyst" / "run.jsonl").read_bytes()
    log = home.path / "agents" / agent / "run.jsonl"
    assert log.read_bytes().startswith(raw)
    (forked,) = [decode(line) for line in log.read_bytes()[len(raw) :].splitlines()]
    assert (forked.kind, forked.agent_id, forked.name) == ("run_forked", "analyst", "Analyst")
    assert (forked.origin, forked.origin_name, forked.origin_seq) == ("analyst", "Analyst", raw.count(b"\n"))
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    ws = home.open(agent)
    assert ws.rows("SELECT text FROM messages WHERE role = 'user'") == [{"text": "I am with Analyst"}]
    ws.send("go on")
    assert ws.wait_idle(LONG_S)
    assert log.read_bytes().startswith(raw)
    assert rerun_file(log).identical
    assert home.start_sample("analyst") == "analyst-2"
    assert home.open("analyst-2").state().agent_id == "analyst-2"
    assert home.open("analyst-2").last_seq < ws.last_seq, "a second start begins where the sample ends"
    with pytest.raises(AgentNotFound, match="Samples: companion, analyst"):
        home.start_sample("../samples/analyst")


def test_a_copy_that_was_cut_off_is_no_agent(samples: Path, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    home = opened()

    def cut_off(source: Any, at: int, folder: Path, **_: Any) -> None:
        (folder / "run.jsonl.new").write_bytes(source.log.path.read_bytes()[:300])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(home_module, "make_fork", cut_off)
        with pytest.raises(MemscopeError, match=r"could not be made \(No space left on device\)\. Free some disk"):
            home.start_sample("companion")
    assert folders(home) == []
    assert home.start_sample("companion") == "companion"


def test_an_empty_home_begins_with_the_companion(samples: Path, opened: Open) -> None:
    home = opened()
    assert home.first_agent() == "companion"
    assert home.first_agent() == "companion"
    assert folders(home) == ["companion"]


def test_without_samples_there_is_still_an_agent(opened: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(home_module, "SAMPLES", tmp_path / "nowhere")
    home = opened()
    assert home.samples() == []
    agent = home.first_agent()
    assert home.open(agent).state().name == "Companion"


# --- one process writes a home ----------------------------------------------------------------------------------------

OTHER = "import sys; from pathlib import Path; from memgpt_core.home import Home; Home(Path(sys.argv[1]), timer=False)"


def test_a_second_process_is_refused_with_a_sentence_that_names_the_first(opened: Open) -> None:
    home = opened()
    command = [sys.executable, "-c", OTHER, str(home.path)]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode == 1
    said = refused.stderr.splitlines()[-1]
    assert said.startswith("memgpt_core.errors.HomeBusy: The home ")
    assert f"is in use by process {os.getpid()} on " in said
    assert "MEMSCOPE_HOME" in said
    assert json.loads((home.path / ".holder.json").read_text())["pid"] == os.getpid()
    home.close()
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 0, "given back on close"


def test_a_holder_that_cannot_be_read_is_another_process(opened: Open) -> None:
    home = opened()
    (home.path / ".holder.json").write_text("not json")
    with pytest.raises(HomeBusy, match="in use by another process"):
        Home(home.path, timer=False)


def test_whoever_closes_the_home_gives_the_lock_back(tmp_path: Path) -> None:
    made: list[Home] = []
    thread = threading.Thread(target=lambda: made.append(Home(tmp_path, timer=False)))
    thread.start()
    thread.join()
    made[0].close()
    Home(tmp_path, timer=False).close()


def test_closing_twice_does_nothing(opened: Open) -> None:
    home = opened()
    home.open(home.create(Blueprint(name="one")))
    home.close()
    home.close()
    again = opened()
    assert [card.id for card in again.agents()] == ["one"]


def test_the_process_has_one_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMSCOPE_HOME", str(tmp_path / "mine"))
    try:
        assert the_home() is the_home()
        assert the_home().path == tmp_path / "mine"
    finally:
        close_home()
    close_home()
    monkeypatch.setenv("MEMSCOPE_HOME", str(tmp_path / "other"))
    try:
        assert the_home().path == tmp_path / "other"
    finally:
        close_home()


# --- the timer's thread -----------------------------------------------------------------------------------------------


def test_the_timer_wakes_an_open_agent_and_only_that(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home_module, "TIMER_PERIOD_S", 0.005)
    fired = threading.Event()

    def answer(body: Any) -> Any:
        if "Automated timer" in str(body["messages"][-1]):
            fired.set()
        return say("tick")

    clock = FakeClock()
    settings = AgentSettings(timer_minutes=1000)
    home = opened(clock=clock, models={"demo": ScriptedModel(then=answer)}, timer=True)
    awake, shut = (
        home.create(Blueprint(name="awake", settings=settings)),
        home.create(Blueprint(name="shut", settings=settings)),
    )
    ws = home.open(awake)
    clock.forward(minutes=1001)
    assert fired.wait(LONG_S)
    assert ws.wait_idle(LONG_S)
    assert sent(ws.events(1))[:1] == ["tick"]
    assert {card.id: card.events for card in home.agents()}[shut] == 4


def test_no_timer_runs_after_the_home_was_closed(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home_module, "TIMER_PERIOD_S", 0.005)
    before = set(threading.enumerate())
    clock = FakeClock()
    home = opened(clock=clock, timer=True)
    agent = home.create(Blueprint(name="one", settings=AgentSettings(timer_minutes=1000)))
    home.open(agent)
    timers = [thread for thread in threading.enumerate() if thread not in before and thread.name == "timer"]
    assert len(timers) == 1
    home.close()
    clock.now += timedelta(minutes=1001)
    timers[0].join(LONG_S)
    assert not timers[0].is_alive()
    assert opened().agents()[0].events == 4


# --- what is done with agents -----------------------------------------------------------------------------------------


def told(ws: Workspace, text: str) -> None:
    ws.send(text)
    assert ws.wait_idle(LONG_S)


def held(home: Home, name: str, ws: Workspace) -> Callable[[], None]:
    """Begin a turn that lasts until what is returned is called."""
    asked, go = threading.Event(), threading.Event()

    def slow(body: Any) -> Any:
        asked.set()
        go.wait(LONG_S)
        return say("ok")

    model: Any = home._models["demo"]
    model.then = slow
    ws.send(name)
    assert asked.wait(LONG_S)

    def end() -> None:
        go.set()
        assert ws.wait_idle(LONG_S)

    return end


def test_a_rename_is_an_event_and_the_card_has_the_newest_name_also_of_an_agent_nobody_has_open(opened: Open) -> None:
    home = opened()
    agent = home.create(Blueprint(name="Ada", about="first"))
    home.rename(agent, "  Ada\nLovelace ", " second ")
    ws = home.open(agent)
    event: Any = ws.event(ws.last_seq)
    assert (event.kind, event.name, event.about, event.author) == ("agent_renamed", "Ada Lovelace", "second", "human")
    before = ws.last_seq
    home.rename(agent, "Ada Lovelace", "second")
    assert ws.last_seq == before, "nothing changed, so nothing is said"
    home.close()
    again = opened()
    (card,) = again.agents()
    assert (card.id, card.name, card.about, card.events, card.messages) == (agent, "Ada Lovelace", "second", before, 0)
    assert again._open == {}, "a card opens nobody"
    for wrong, says in ((" ", "needs a name"), ("x" * 81, "81 characters; 80 is the most")):
        with pytest.raises(EditRefused, match=says):
            again.rename(agent, wrong, "")
    with pytest.raises(AgentNotFound):
        again.rename("nobody", "x", "")


def test_a_card_of_a_long_log_is_read_from_its_checkpoint_and_counts_what_came_after(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", 5)
    home = opened()
    agent = home.create(Blueprint(name="one"))
    ws = home.open(agent)
    told(ws, "hi")
    home.rename(agent, "two", "")
    told(ws, "again")
    home.rename(agent, "three", "")
    messages, events = ws.state().messages, ws.last_seq
    home.close()
    read: list[int] = []
    usual = checkpoints.latest

    def latest(*args: Any, **options: Any) -> Any:
        found = usual(*args, **options)
        read.append(found.state.seq if found else 0)
        return found

    monkeypatch.setattr(checkpoints, "latest", latest)
    again = opened()
    (card,) = again.agents()
    assert (card.name, card.messages, card.events) == ("three", messages, events)
    assert read == [events - events % 5]
    again.agents()
    assert len(read) == 1, "read once while the file is as it was"


def test_a_running_agent_can_be_renamed_and_its_log_reruns(opened: Open) -> None:
    home = opened()
    ws = home.open(home.create(Blueprint(name="one")))
    end = held(home, "hi", ws)
    home.rename(ws.agent_id, "two", "")
    end()
    kinds = [event.kind for event in ws.events(1)]
    assert kinds.index("agent_renamed") < kinds.index("turn_ended")
    assert home.agents()[0].name == "two"
    assert rerun_file(ws.folder / "run.jsonl").identical


def test_a_copy_is_another_agent_with_the_same_past_and_says_where_it_comes_from(opened: Open) -> None:
    home = opened()
    agent = home.create(Blueprint(name="Ada", about="kept", settings=AgentSettings(embedder="hashing")))
    ws = home.open(agent)
    told(ws, "I live in Leiden")
    ws.projections.flush()
    embedded = home._vectors.count()
    shares: list[float] = []
    copy = home.duplicate(agent, "Ada two", shares.append)
    assert copy == "ada-two"
    assert shares == sorted(shares)
    raw = (ws.folder / "run.jsonl").read_bytes()
    log = home.path / "agents" / copy / "run.jsonl"
    assert log.read_bytes().startswith(raw)
    (forked,) = [decode(line) for line in log.read_bytes()[len(raw) :].splitlines()]
    assert (forked.agent_id, forked.name, forked.origin, forked.origin_name) == (copy, "Ada two", agent, "Ada")
    assert forked.origin_seq == ws.last_seq
    other = home.open(copy)
    assert (other.state().agent_id, other.state().name, other.state().about) == (copy, "Ada two", "kept")
    assert other.verify() == []
    assert home._vectors.count() == embedded, "nothing was embedded again"
    assert other.recall("Leiden").hits
    told(other, "and now in Delft")
    assert ws.last_seq == forked.origin_seq, "each goes its own way"
    assert rerun_file(log).identical
    with pytest.raises(EditRefused, match="needs a name"):
        home.duplicate(agent, " ")
    with pytest.raises(AgentNotFound):
        home.duplicate("nobody", "x")
    assert folders(home) == [agent, copy]


def test_a_copy_of_a_running_agent_ends_the_turn_as_interrupted_and_reruns(opened: Open) -> None:
    home = opened()
    ws = home.open(home.create(Blueprint(name="one")))
    end = held(home, "hi", ws)
    copy = home.open(home.duplicate(ws.agent_id, "two"))
    last: Any = copy.event(copy.last_seq)
    assert (last.kind, last.reason) == ("turn_ended", "interrupted")
    assert copy.event(copy.last_seq - 1).kind == "run_forked"
    end()
    assert ws.state().turn_end == "yielded"
    assert rerun_file(copy.folder / "run.jsonl").identical


def test_a_copy_takes_the_checkpoints_along(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", 5)
    home = opened()
    ws = home.open(home.create(Blueprint(name="one")))
    told(ws, "hi")
    copy = home.path / "agents" / home.duplicate(ws.agent_id, "two")
    kept = {path.name for path in (ws.folder / "checkpoints").iterdir()}
    assert kept
    assert kept <= {path.name for path in (copy / "checkpoints").iterdir()}
    assert home.open("two").state(6) == ws.state(6)


def test_a_copy_that_is_cut_off_is_no_agent(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    home = opened()
    agent = home.create(Blueprint(name="one"))

    def crash(folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(Home, "_reveal", staticmethod(crash))
        with pytest.raises(KeyboardInterrupt):
            home.duplicate(agent, "two")
    assert [card.id for card in home.agents()] == [agent]
    home.close()
    assert folders(opened()) == [agent]


def test_an_archived_agent_is_in_no_list_until_it_is_taken_back(opened: Open) -> None:
    home = opened()
    one, two = home.create(Blueprint(name="one")), home.create(Blueprint(name="two"))
    raw = (home.path / "agents" / two / "run.jsonl").read_bytes()
    home.archive(two)
    home.archive(two)
    assert [card.id for card in home.agents()] == [one]
    assert home.first_agent() == one
    assert {card.id: card.archived for card in home.agents(archived=True)} == {one: False, two: True}
    assert (home.path / "agents" / two / "run.jsonl").read_bytes() == raw, "its memory knows nothing of it"
    home.close()
    home = opened()
    assert [card.id for card in home.agents()] == [one]
    home.open(two)
    assert [card.archived for card in home.agents(archived=True) if card.id == two] == [True]
    home.archive(two, False)
    assert {card.id for card in home.agents()} == {one, two}
    with pytest.raises(AgentNotFound):
        home.archive("nobody")


def test_the_timer_of_an_archived_agent_is_silent(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home_module, "TIMER_PERIOD_S", 0.005)
    clock = FakeClock()
    home = opened(clock=clock, timer=True)
    settings = AgentSettings(timer_minutes=1000)
    away, awake = (home.create(Blueprint(name=name, settings=settings)) for name in ("away", "awake"))
    for agent in (away, awake):
        home.open(agent)
    home.archive(away)
    ticked = threading.Event()
    usual = Workspace.tick

    def tick(ws: Workspace) -> bool:
        assert ws.agent_id == awake
        ticked.set()
        return usual(ws)

    monkeypatch.setattr(Workspace, "tick", tick)
    before = home.open(awake).last_seq
    clock.forward(minutes=1001)
    assert ticked.wait(LONG_S)
    until(lambda: home.open(awake).last_seq > before and not home.open(awake).busy)
    assert home.open(away).last_seq == 4


def test_a_deleted_agent_is_gone_with_its_folder_and_the_others_stay(opened: Open) -> None:
    home = opened()
    one, two = home.create(Blueprint(name="one")), home.create(Blueprint(name="two"))
    ws = home.open(one)
    told(ws, "hi")
    home.delete(one)
    assert folders(home) == [two]
    assert [card.id for card in home.agents(archived=True)] == [two]
    assert list((home.path / ".deleted").iterdir()) == []
    with pytest.raises(AgentNotFound):
        home.open(one)
    with pytest.raises(MemscopeError):
        ws.send("is anybody there?")
    with pytest.raises(AgentNotFound, match="Agents: two"):
        home.delete(one)
    for wrong in ("", ".", "..", "../agents/two"):
        with pytest.raises(AgentNotFound):
            home.delete(wrong)
    assert home.create(Blueprint(name="one")) == one


def test_an_agent_in_a_turn_is_not_deleted(opened: Open) -> None:
    home = opened()
    ws = home.open(home.create(Blueprint(name="one")))
    end = held(home, "hi", ws)
    with pytest.raises(AgentBusy, match="in the middle of a turn"):
        home.delete(ws.agent_id)
    end()
    assert ws.state().turn_end == "yielded"
    home.delete(ws.agent_id)
    assert home.agents() == []


def test_a_kill_in_the_middle_of_a_deletion_leaves_no_half_agent(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    home = opened()
    one, two = home.create(Blueprint(name="one")), home.create(Blueprint(name="two"))
    home.open(one).rows("SELECT 1")

    def crash(folder: Path) -> None:
        (folder / "run.jsonl").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(shutil, "rmtree", crash)
        with pytest.raises(KeyboardInterrupt):
            home.delete(one)
    assert folders(home) == [two]
    assert len(list((home.path / ".deleted").iterdir())) == 1
    home.close()
    again = opened()
    assert folders(again) == [two]
    assert list((again.path / ".deleted").iterdir()) == [], "swept at the next start"


def test_files_that_cannot_be_removed_now_are_removed_at_the_next_start(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = opened()
    one = home.create(Blueprint(name="one"))

    def held_open(folder: Path) -> None:
        raise OSError(16, "Device or resource busy")

    with monkeypatch.context() as broken:
        broken.setattr(shutil, "rmtree", held_open)
        home.delete(one)
    assert home.agents() == []
    home.close()
    assert list((opened().path / ".deleted").iterdir()) == []


def test_disk_use_counts_every_byte_of_the_folder_by_store(opened: Open) -> None:
    home = opened()
    agent = home.create(Blueprint(name="one"))
    ws = home.open(agent)
    told(ws, "hi")
    ws.projections.flush()
    home.archive(agent)
    (ws.folder / "notes.jsonl").write_text("a note")
    use = home.disk_use(agent)
    files = [path for path in ws.folder.rglob("*") if path.is_file()]
    assert sum(use.values()) == sum(path.stat().st_size for path in files)
    assert use["log"] == (ws.folder / "run.jsonl").stat().st_size
    assert use["other"] == len("a note")
    assert use["rows"] > 0
    assert use["index"] > 0
    assert home.vectors_bytes >= (home.path / "vectors.duckdb").stat().st_size > 0
    with pytest.raises(AgentNotFound):
        home.disk_use("nobody")


# --- upkeep -----------------------------------------------------------------------------------------------------------


def test_stores_are_compared_and_made_anew_in_the_background(opened: Open) -> None:
    home = opened()
    ws = home.open(home.create(Blueprint(name="one")))
    told(ws, "hi")
    assert home.upkeep.job(ws.agent_id) is None
    home.upkeep.start(ws, "verify")
    until(lambda: not home.upkeep.busy(ws.agent_id))
    job = home.upkeep.job(ws.agent_id)
    assert job is not None
    counts = [ws.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in COLUMNS]
    assert job.said == f"{sum(counts)} rows compared with {ws.last_seq} events of the log, no difference."
    assert (job.running, job.failed, job.differences) == (False, False, ())
    with ws.projections._rows._store._con.cursor() as forger:
        forger.execute("UPDATE messages SET text = 'forged' WHERE role = 'user'")
    home.upkeep.start(ws, "verify")
    until(lambda: not home.upkeep.busy(ws.agent_id))
    job = home.upkeep.job(ws.agent_id)
    assert job is not None
    assert job.said.startswith("1 differences")
    assert "forged" in str(job.differences[0])
    home.upkeep.start(ws, "rebuild")
    until(lambda: not home.upkeep.busy(ws.agent_id))
    job = home.upkeep.job(ws.agent_id)
    assert job is not None
    assert (job.said, job.share) == (f"The stores were made anew from {ws.last_seq} events.", 1.0)
    assert ws.verify() == []


def test_one_upkeep_at_a_time_none_in_a_turn_and_no_deletion_under_it(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = opened()
    ws = home.open(home.create(Blueprint(name="one")))
    go = threading.Event()
    usual = Workspace.verify

    def slow(self: Workspace) -> Any:
        go.wait(LONG_S)
        return usual(self)

    monkeypatch.setattr(Workspace, "verify", slow)
    home.upkeep.start(ws, "verify")
    running = home.upkeep.job(ws.agent_id)
    assert running is not None
    assert running.running
    with pytest.raises(AgentBusy, match="looked after already"):
        home.upkeep.start(ws, "rebuild")
    with pytest.raises(AgentBusy, match="stores looked after"):
        home.delete(ws.agent_id)
    told(ws, "somebody talks to it meanwhile")
    go.set()
    until(lambda: not home.upkeep.busy(ws.agent_id))
    job = home.upkeep.job(ws.agent_id)
    assert job is not None
    assert job.failed
    assert "was used while" in job.said
    end = held(home, "hi", ws)
    with pytest.raises(AgentBusy, match="in the middle of a turn"):
        home.upkeep.start(ws, "verify")
    end()
