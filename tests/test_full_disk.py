"""A full disk under a real workspace: what a person is told, what is kept, and that it goes on with room again.

ENOSPC comes from failpoints, one write at a time; a real limit (RLIMIT_FSIZE) holds for every file of a child process.
"""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from memgpt_core.blueprint import Blueprint
from memgpt_core.checkpoints import EVERY
from memgpt_core.errors import LogClosed
from memgpt_core.events import Event
from memgpt_core.failpoints import Action, arm, enospc
from memgpt_core.home import Home
from memgpt_core.journal import Journal
from memgpt_core.log import read_events
from memgpt_core.replay import rerun_file
from memgpt_core.workspace import Workspace
from tests.benchmarks._killing import SETTINGS
from tests.benchmarks._lives import Talker, line_of, make_agent

ROOT = Path(__file__).resolve().parents[1]
AGENT = "cramped"
WRITES = ("log.append.before_write", "log.append.torn")


class Life:
    """An agent in a home, and the bytes of every event whose commit returned."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.acknowledged: list[bytes] = []
        self.home = Home(path, models={"scripted": Talker()}, timer=False)

    @property
    def workspace(self) -> Workspace:
        return self.home.open(AGENT)

    @property
    def log(self) -> Path:
        return self.path / "agents" / AGENT / "run.jsonl"

    def turn(self) -> list[Any]:
        """One turn; its events."""
        before = self.workspace.last_seq
        self.workspace.send("What do you remember of the boat?")
        assert self.workspace.wait_idle(60)
        return self.workspace.events(before + 1)

    def reopen(self) -> None:
        self.home.close()
        self.home = Home(self.path, models={"scripted": Talker()}, timer=False)

    def check(self) -> None:
        """Everything acknowledged is there, stores and log agree, and the rerun is identical."""
        self.reopen()
        assert self.workspace.verify() == []
        lines = self.log.read_bytes().splitlines(keepends=True)
        missing = [line for line in self.acknowledged if line not in set(lines)]
        assert missing == []
        assert [line_of(event) for event in read_events(self.log)] == lines
        assert rerun_file(self.log).difference is None


@pytest.fixture
def life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Life]:
    one = Life(tmp_path)
    commit_many = Journal.commit_many

    def commit_and_note(journal: Journal, events: Sequence[Event]) -> list[Event]:
        committed = commit_many(journal, events)
        if type(journal) is Journal:
            one.acknowledged += [line_of(event) for event in committed]
        return committed

    monkeypatch.setattr(Journal, "commit_many", commit_and_note)
    one.home.create(Blueprint(name="Cramped", settings=SETTINGS), agent_id=AGENT)
    assert one.turn()[-1].reason == "yielded"
    yield one
    one.home.close()


def between(first: int, last: int, action: Action = enospc) -> Callable[[], None]:
    """`action` from the `first` to the `last` passage, counted from 1."""
    passages = itertools.count(1)

    def act() -> None:
        if first <= next(passages) <= last:
            action()

    return act


FOREVER = 10**9


# --- the log ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITES)
def test_one_refused_write_ends_the_turn_with_a_fault_and_nothing_else(life: Life, name: str) -> None:
    with arm(name, between(4, 4)):
        *_, fault, end = life.turn()
    assert (fault.kind, fault.where) == ("fault_recorded", "log")
    assert "No space left on device" in fault.error
    assert (end.kind, end.reason) == ("turn_ended", "fault")
    assert life.turn()[-1].reason == "yielded"
    life.check()


@pytest.mark.parametrize("name", WRITES)
def test_a_disk_that_stays_full_is_told_and_the_next_turn_ends_the_one_cut_off(life: Life, name: str) -> None:
    with arm(name, between(3, FOREVER)):
        events = life.turn()
        assert [event.kind for event in events if event.kind == "turn_ended"] == []
        assert any("No space left on device" in notice for notice in life.workspace.notices())
        with pytest.raises(LogClosed, match="free some disk space"):
            life.workspace.send("Is there room?")
        assert life.workspace.last_seq == events[-1].seq
    cut_off, *_, end = life.turn()
    assert (cut_off.kind, cut_off.reason) == ("turn_ended", "interrupted")
    assert (end.kind, end.reason) == ("turn_ended", "yielded")
    assert life.workspace.notices() == []
    life.check()


@pytest.mark.parametrize("name", WRITES)
def test_a_turn_that_could_not_be_ended_is_ended_at_the_next_open(life: Life, name: str) -> None:
    with arm(name, between(5, FOREVER)):
        last = life.turn()[-1].seq
    assert life.workspace.state().turn_open
    life.reopen()
    added: list[Any] = life.workspace.events(last + 1)
    assert [(event.kind, event.reason) for event in added] == [("turn_ended", "interrupted")]
    assert life.turn()[-1].reason == "yielded"
    life.check()


def test_a_message_that_could_not_be_saved_is_refused_and_not_half_there(life: Life) -> None:
    before = life.log.read_bytes()
    with arm("log.append.torn", enospc), pytest.raises(LogClosed, match="The event could not be saved"):
        life.workspace.send("Remember the harbour.")
    assert life.log.read_bytes() == before
    assert not life.workspace.busy
    assert not life.workspace.state().turn_open
    assert life.turn()[-1].reason == "yielded"
    life.check()


def test_after_a_failed_sync_the_agent_is_read_only_until_it_is_opened_again(life: Life) -> None:
    with arm("log.append.before_sync", between(3, 3)):
        last = life.turn()[-1].seq
    assert any("read-only" in notice for notice in life.workspace.notices())
    with pytest.raises(LogClosed, match="read-only"):
        life.workspace.send("Hello?")
    assert life.workspace.state().seq == last
    assert life.workspace.rows("SELECT max(seq_from) AS last FROM events") == [{"last": last}]
    life.reopen()
    assert life.workspace.notices() == []
    ended: Any = life.workspace.event(life.workspace.last_seq)
    assert (ended.seq, ended.kind, ended.reason) == (last + 1, "turn_ended", "interrupted")
    assert life.turn()[-1].reason == "yielded"
    life.check()


def test_an_agent_opened_on_a_full_disk_can_be_read_and_ends_its_turn_when_there_is_room(life: Life) -> None:
    with arm("log.append.torn", between(3, FOREVER)):
        last = life.turn()[-1].seq
        life.reopen()
        assert life.workspace.last_seq == last
        assert any("No space left on device" in notice for notice in life.workspace.notices())
        assert life.workspace.rows("SELECT max(seq_from) AS last FROM events") == [{"last": last}]
    assert life.turn()[0].reason == "interrupted"
    assert life.workspace.notices() == []
    life.check()


# --- checkpoints and stores ---------------------------------------------------------------------------------------


def test_a_checkpoint_that_finds_no_room_is_no_fault(tmp_path: Path) -> None:
    folder = tmp_path / "agents" / AGENT
    make_agent(folder, EVERY - 50, settings=SETTINGS)
    home = Home(tmp_path, models={"scripted": Talker()}, timer=False)
    try:
        workspace = home.open(AGENT)
        assert workspace.last_seq < EVERY
        with arm("checkpoint.before_rename", enospc):
            while workspace.last_seq < EVERY:
                workspace.send("And then?")
                assert workspace.wait_idle(60)
        end: Any = workspace.event(workspace.last_seq)
        assert (end.kind, end.reason) == ("turn_ended", "yielded")
        assert workspace.notices() == []
        assert list((folder / "checkpoints").iterdir()) == []
        assert workspace.verify() == []
    finally:
        home.close()


@pytest.mark.parametrize(
    ("name", "store"),
    [("project.before_commit", "rows.duckdb"), ("index.before_merge", "search index")],
)
def test_a_store_without_room_says_so_and_follows_when_there_is_room(life: Life, name: str, store: str) -> None:
    with arm(name, enospc):
        assert life.turn()[-1].reason == "yielded"
        assert not life.workspace.projections.flush()
        (notice,) = life.workspace.notices()
        assert store in notice
        assert life.turn()[-1].reason == "yielded"
    assert life.workspace.projections.flush()
    assert life.workspace.notices() == []
    assert life.workspace.verify() == []
    life.check()


def test_a_home_closed_while_its_stores_had_no_room_catches_up_at_the_next_open(life: Life) -> None:
    with arm("project.before_commit", enospc):
        assert life.turn()[-1].reason == "yielded"
        life.home.close()
    life.check()


# --- a real limit -------------------------------------------------------------------------------------------------

LIMITED = """
import json, resource, sys
from pathlib import Path
from memgpt_core.errors import LogClosed
from memgpt_core.home import Home
from memgpt_core.journal import Journal
from tests.benchmarks._lives import Talker, line_of

acknowledged = []
commit_many = Journal.commit_many

def commit_and_note(journal, events):
    committed = commit_many(journal, events)
    acknowledged.extend(line_of(event).decode() for event in committed)
    return committed

Journal.commit_many = commit_and_note
home = Home(Path(sys.argv[1]), models={"scripted": Talker()}, timer=False)
workspace = home.open(sys.argv[2])
log = Path(sys.argv[1]) / "agents" / sys.argv[2] / "run.jsonl"
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + int(sys.argv[3]), most))
refused = ""
while not refused:
    try:
        workspace.send("Tell me more about the boat.")
    except LogClosed as error:
        refused = str(error)
    workspace.wait_idle(60)
workspace.projections.flush()
cut_off, notices = workspace.state().turn_open, workspace.notices()
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
workspace.send("Is there room again?")
workspace.wait_idle(60)
end = workspace.event(workspace.last_seq)
print(json.dumps({"acknowledged": acknowledged, "refused": refused, "cut_off": cut_off, "notices": notices,
                  "end": [end.kind, end.reason]}))
home.close()
"""


def test_a_real_size_limit_refuses_tells_and_loses_nothing(life: Life) -> None:
    life.home.close()
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", LIMITED, str(life.path), AGENT, "4000"]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert "File too large" in told["refused"]
    assert not told["cut_off"] or any("File too large" in notice for notice in told["notices"])
    assert told["end"] == ["turn_ended", "yielded"]
    assert len(told["acknowledged"]) > 5
    life.acknowledged += [line.encode() for line in told["acknowledged"]]
    life.check()
