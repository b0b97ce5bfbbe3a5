"""The home: its lock, its agents and samples, the timer's thread, and that half-made agents do not exist."""

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

from memgpt_core import home as home_module
from memgpt_core.blueprint import Blueprint
from memgpt_core.errors import AgentNotFound, ConfigurationRefused, HomeBusy
from memgpt_core.events import NoteWritten, encode
from memgpt_core.home import Home, close_home, the_home
from memgpt_core.settings import AgentSettings
from tests.engine import FakeClock, ScriptedModel, say, sent

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
    assert log.read_bytes() == raw
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    ws = home.open(agent)
    assert ws.rows("SELECT text FROM messages WHERE role = 'user'") == [{"text": "I am with Analyst"}]
    ws.send("go on")
    assert ws.wait_idle(LONG_S)
    assert log.read_bytes().startswith(raw)
    assert home.start_sample("analyst") == "analyst-2"
    assert home.open("analyst-2").last_seq < ws.last_seq, "a second start begins where the sample ends"
    with pytest.raises(AgentNotFound, match="Samples: companion, analyst"):
        home.start_sample("../samples/analyst")


def test_a_copy_that_was_cut_off_is_no_agent(samples: Path, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    home = opened()

    def cut_off(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:300])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(shutil, "copyfile", cut_off)
        with pytest.raises(OSError, match="No space"):
            home.start_sample("companion")
    assert home.agents() == []
    assert home.start_sample("companion") == "companion-2"


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
