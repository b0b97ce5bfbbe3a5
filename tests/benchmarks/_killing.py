"""Killing an agent in a process of its own, and what must hold when its home is opened again.

Used by the crash benchmark and by the suite. Does not choose where to kill.
"""

import os
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from memgpt_core.blueprint import Blueprint
from memgpt_core.events import Event
from memgpt_core.home import Home
from memgpt_core.log import Log
from memgpt_core.replay import rerun_file
from memgpt_core.settings import AgentSettings
from memgpt_core.state import fold
from tests.benchmarks._lives import Talker, line_of

ROOT = Path(__file__).resolve().parents[2]
AGENT = "victim"
SETTINGS = AgentSettings(model="scripted", window_tokens=4608, reserve_tokens=512, embedder="hashing")
"""A window small enough that the queue is flushed every few turns."""

TURNS = 400
"""What a victim talks for when nothing kills it."""


class Reopened(NamedTuple):
    """What one kill left, found by opening the home again.

    Attributes:
        killed: the process died of SIGKILL, and did not end by itself.
        acknowledged: events of this run whose commit had returned.
        lost: seqs acknowledged in this run or before that are not there with the same bytes.
        unacknowledged: events that are there and whose commit had not returned.
        torn: a torn last line was dropped.
        interrupted: the log ended inside a turn, and that turn was ended as interrupted.
        wrong: everything that is not as it must be, as sentences; empty when all is well.
    """

    killed: bool
    acknowledged: int
    lost: list[int]
    unacknowledged: int
    torn: bool
    interrupted: bool
    differences: int
    wrong: list[str]


class Victim:
    """A home with one agent, killed again and again; everything ever acknowledged is remembered."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.acknowledged: dict[int, str] = {}
        opened = _open_home(home)
        opened.create(Blueprint(name="Victim", settings=SETTINGS), agent_id=AGENT)
        opened.close()
        self._remember(list(_events(self.log)))

    @property
    def log(self) -> Path:
        """The agent's log."""
        return self.home / "agents" / AGENT / "run.jsonl"

    def kill(self, wish: str = "", *, after: int = 0, seed: int = 1, turns: int = TURNS) -> Reopened:
        """Let it talk until the failpoint in `wish` kills it, or until it has told of `after` events; then reopen."""
        known = len(self.acknowledged)
        command = [sys.executable, "-m", "tests.benchmarks._victim", str(self.home), AGENT, str(turns), str(seed)]
        env = {**os.environ, "MEMSCOPE_FAILPOINT": wish}
        with subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            for line in process.stdout:
                seq, digest = line.split()
                self.acknowledged[int(seq)] = digest
                if after and len(self.acknowledged) - known >= after:
                    process.kill()
        found = self.look(len(self.acknowledged) - known)
        if process.returncode == -signal.SIGKILL:
            return found
        return found._replace(killed=False, wrong=[*found.wrong, f"not killed, it ended with {process.returncode}"])

    def look(self, acknowledged: int = 0) -> Reopened:
        """Open the home again and compare it with everything that was acknowledged."""
        wrong: list[str] = []
        before = list(_events(self.log))
        torn = self.log.stat().st_size != sum(len(line_of(event)) for event in before)
        unacknowledged = sum(event.seq not in self.acknowledged for event in before)
        was_open = fold(before).turn_open
        home = _open_home(self.home)
        try:
            workspace = home.open(AGENT)
            wrong += [notice for notice in workspace.notices() if "torn last line" not in notice]
            if torn != any("torn last line" in notice for notice in workspace.notices()):
                wrong.append("a torn line was not told, or told without being there")
            differences = workspace.verify()
            wrong += [str(difference) for difference in differences]
        finally:
            home.close()
        after = list(_events(self.log))
        wrong += _wrong_end(before, after, was_open)
        lost = self._lost(after)
        wrong += [f"acknowledged event {seq} is not there as it was" for seq in lost]
        outcome = rerun_file(self.log)
        if outcome.difference:
            wrong.append(f"the rerun differs: {outcome.difference}")
        self._remember(after)
        return Reopened(True, acknowledged, lost, unacknowledged, torn, was_open, len(differences), wrong)

    def _lost(self, events: list[Event]) -> list[int]:
        there = {event.seq: sha256(line_of(event)).hexdigest() for event in events}
        return [seq for seq, digest in self.acknowledged.items() if there.get(seq) != digest]

    def _remember(self, events: list[Event]) -> None:
        """What a reopened log shows has been seen, so it may not vanish at the next kill either."""
        self.acknowledged.update((event.seq, sha256(line_of(event)).hexdigest()) for event in events)


def _wrong_end(before: list[Event], after: list[Event], was_open: bool) -> list[str]:
    """An open turn must have got exactly its end, a closed one nothing."""
    added: list[Any] = after[len(before) :]
    ends = [(event.kind, event.reason) if event.kind == "turn_ended" else event.kind for event in added]
    if after[: len(before)] != before or ends != ([("turn_ended", "interrupted")] if was_open else []):
        return [f"opening it again added {ends} to a log that ended {'inside' if was_open else 'after'} a turn"]
    return []


def _events(log: Path) -> list[Event]:
    opened = Log.open(log, read_only=True)
    try:
        return list(opened.events())
    finally:
        opened.close()


def _open_home(path: Path) -> Home:
    return Home(path, models={"scripted": Talker()}, timer=False)
