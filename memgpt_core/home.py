"""The home: every agent of this machine, one process that writes them, the timer that wakes them.

`the_home` is the process's one Home. It lives in this module and not in a page's cache, so that clearing a
cache can neither drop a running turn nor leave a lock behind.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from memgpt_core.blueprint import Blueprint, first_events
from memgpt_core.connection import Connection
from memgpt_core.errors import AgentNotFound, HomeBusy, MemscopeError
from memgpt_core.events import EPOCH
from memgpt_core.journal import Journal, utc_now
from memgpt_core.llm.base import ChatModel
from memgpt_core.llm.demo import DemoModel
from memgpt_core.log import Log, sync_folder
from memgpt_core.settings import default_home
from memgpt_core.stores.vectors import VectorStore
from memgpt_core.trial import Trials
from memgpt_core.workspace import Workspace

SAMPLES = Path(__file__).resolve().parent.parent / "sample_agents"
TIMER_PERIOD_S = 1.0


class AgentCard(NamedTuple):
    """An agent as a list shows it. `problem` is empty, or a sentence on why its log cannot be read."""

    id: str
    name: str
    about: str
    model: str
    events: int
    last_at: datetime
    busy: bool
    problem: str


class Sample(NamedTuple):
    """A recorded agent that ships with Memscope."""

    id: str
    name: str
    about: str
    events: int


class Home:
    """The agents of one folder, open for writing by this process alone."""

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], datetime] = utc_now,
        models: dict[str, ChatModel] | None = None,
        timer: bool = True,
    ) -> None:
        """Take the home's lock and open it; an empty folder is made.

        Raises:
            HomeBusy: another process has it; the sentence says which.
        """
        self.path = path
        self._clock = clock
        self.connection = Connection(path)
        self.trials = Trials(self.connection, time.monotonic)
        self._models = models or {"demo": DemoModel(pace=float(os.environ.get("MEMSCOPE_DEMO_PACE", "0.02")))}
        (path / "agents").mkdir(parents=True, exist_ok=True)
        self._lock = _lock_home(path)
        self._opening = threading.RLock()
        self._open: dict[str, Workspace] = {}
        self._cards: dict[str, tuple[tuple[int, int], AgentCard]] = {}
        self._vectors = VectorStore(path / "vectors.duckdb")
        self._closed = threading.Event()
        if timer:
            threading.Thread(target=self._run_timer, name="timer", daemon=True).start()

    def close(self) -> None:
        """Close every agent and give the lock back."""
        self._closed.set()
        self.connection.close()
        with self._opening:
            for workspace in self._open.values():
                workspace.close()
            self._open.clear()
            self._vectors.close()
            self._lock.release()

    def agents(self) -> list[AgentCard]:
        """Every agent, the one used last first."""
        folders = [path for path in (self.path / "agents").iterdir() if (path / "run.jsonl").is_file()]
        return sorted((self._card(folder) for folder in folders), key=lambda card: card.last_at, reverse=True)

    def samples(self) -> list[Sample]:
        """The recorded agents that ship with Memscope."""
        found = []
        for folder in sorted(SAMPLES.iterdir()) if SAMPLES.is_dir() else []:
            if (folder / "run.jsonl").is_file():
                card = _read_card(folder)
                found.append(Sample(folder.name, card.name, card.about, card.events))
        # The companion is the one to begin with.
        return sorted(found, key=lambda sample: (sample.id != "companion", sample.id))

    def start_sample(self, sample_id: str, progress: Callable[[float], None] | None = None) -> str:
        """A new agent that goes on from a sample's recording; its id.

        Raises:
            AgentNotFound: there is no such sample.
        """
        source = SAMPLES / sample_id
        if sample_id not in {sample.id for sample in self.samples()}:
            raise AgentNotFound(f"There is no sample '{sample_id}'. Samples: {self._names(self.samples())}.")
        agent_id, folder = self._new_folder(sample_id)
        if progress:
            progress(0.1)
        shutil.copyfile(source / "run.jsonl", folder / "run.jsonl.new")
        self._reveal(folder)
        if progress:
            progress(0.4)
        self.open(agent_id).rows("SELECT 1")
        if progress:
            progress(1.0)
        return agent_id

    def create(self, blueprint: Blueprint, *, agent_id: str = "") -> str:
        """A new agent; its id.

        Raises:
            ConfigurationRefused: settings that cannot work, with the numbers.
        """
        wanted = _slug(agent_id or blueprint.name)
        first_events(blueprint, wanted)  # Refused before there is a folder.
        agent_id, folder = self._new_folder(wanted)
        known = self.connection.knowledge.of(blueprint.settings.model)
        events = first_events(blueprint, agent_id, known)
        log = Log.create(folder / "run.jsonl.new")
        Journal(log, clock=self._clock).commit_many(events)
        log.close()
        self._reveal(folder)
        return agent_id

    def open(self, agent_id: str) -> Workspace:
        """The agent's one workspace in this process.

        Raises:
            AgentNotFound: no agent has that id.
        """
        with self._opening:
            if agent_id not in self._open:
                folder = self.path / "agents" / agent_id
                if Path(agent_id).name != agent_id or not (folder / "run.jsonl").is_file():
                    raise AgentNotFound(f"There is no agent '{agent_id}'. Agents: {self._names(self.agents())}.")
                self._open[agent_id] = Workspace(
                    folder, self._vectors, clock=self._clock, models=self._models, connection=self.connection
                )
            return self._open[agent_id]

    def first_agent(self) -> str:
        """The agent to begin with: the one used last, or in an empty home a new one from the first sample."""
        with self._opening:
            agents = self.agents()
            if agents:
                return agents[0].id
            samples = self.samples()
            return self.start_sample(samples[0].id) if samples else self.create(Blueprint(name="Companion"))

    # --- inside -----------------------------------------------------------------------------------------------

    @staticmethod
    def _names(things: Any) -> str:
        return ", ".join(thing.id for thing in things) or "none"

    def _new_folder(self, wanted: str) -> tuple[str, Path]:
        number = 1
        while True:
            agent_id = wanted if number == 1 else f"{wanted}-{number}"
            folder = self.path / "agents" / agent_id
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                sync_folder(folder.parent)
                return agent_id, folder
            number += 1

    @staticmethod
    def _reveal(folder: Path) -> None:
        """Make a finished log an agent, in one step: a copy that was cut off is never opened."""
        new = folder / "run.jsonl.new"
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(folder / "run.jsonl")
        sync_folder(folder)

    def _card(self, folder: Path) -> AgentCard:
        workspace = self._open.get(folder.name)
        if workspace is not None:
            state = workspace.state()
            problem = "; ".join(workspace.notices())
            model = state.settings.model
            return AgentCard(folder.name, state.name, state.about, model, state.seq, state.at, workspace.busy, problem)
        stat = (folder / "run.jsonl").stat()
        mark = (stat.st_size, stat.st_mtime_ns)
        if folder.name not in self._cards or self._cards[folder.name][0] != mark:
            self._cards[folder.name] = (mark, _read_card(folder))
        return self._cards[folder.name][1]

    def _run_timer(self) -> None:
        while not self._closed.wait(TIMER_PERIOD_S):
            for workspace in list(self._open.values()):
                # A timer that cannot fire now is due again in a second; the agent's page shows what is wrong.
                with contextlib.suppress(MemscopeError, OSError):
                    workspace.tick()


def _read_card(folder: Path) -> AgentCard:
    """A card from a log that is not open: its first and last line."""
    try:
        log = Log.open(folder / "run.jsonl", read_only=True)
        try:
            first: Any = log.read(1)
            last = log.read(log.last_seq)
            if first.kind != "agent_created":
                raise MemscopeError("its first event is not agent_created")
        finally:
            log.close()
    except (OSError, IndexError, MemscopeError) as error:
        return AgentCard(folder.name, folder.name, "", "", 0, EPOCH, False, f"Its log cannot be read: {error}")
    model = first.settings.model
    return AgentCard(folder.name, first.name, first.about, model, log.last_seq, last.at, False, "")


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "agent"


def _lock_home(path: Path) -> FileLock:
    # Not bound to a thread: whoever closes the home, in whatever thread, gives the lock back.
    lock = FileLock(path / ".lock", thread_local=False)
    holder = path / ".holder.json"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = "another process"
        with contextlib.suppress(OSError, ValueError, KeyError):
            held = json.loads(holder.read_text())
            who = f"process {held['pid']} on {held['host']} (since {held['since']})"
        raise HomeBusy(
            f"The home {path} is in use by {who}. Close the dashboard or command that has it, or choose another home "
            "with MEMSCOPE_HOME. Reading a log (show, rerun) needs no home."
        ) from None
    since = utc_now().strftime("%Y-%m-%d %H:%M UTC")
    holder.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}))
    return lock


_THE_HOME: Home | None = None
_GUARD = threading.Lock()


def the_home() -> Home:
    """The process's one Home, opened on `settings.default_home()` at the first call.

    Raises:
        HomeBusy: another process writes it.
    """
    global _THE_HOME
    with _GUARD:
        if _THE_HOME is None:
            _THE_HOME = Home(default_home())
        return _THE_HOME


def close_home() -> None:
    """Close the process's Home, if one is open."""
    global _THE_HOME
    with _GUARD:
        if _THE_HOME is not None:
            _THE_HOME.close()
            _THE_HOME = None
