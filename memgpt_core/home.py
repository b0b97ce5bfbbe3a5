"""The home: every agent of this machine, one process that writes them, the timer that wakes them.

Agents are made, copied, renamed, put away and deleted here; what that means for files is `folders`' to know.

`the_home` is the process's one Home. It lives in this module and not in a page's cache, so that clearing a
cache can neither drop a running turn nor leave a lock behind.
"""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from memgpt_core import folders
from memgpt_core.adding import Adding
from memgpt_core.blueprint import Blueprint, first_events
from memgpt_core.cards import AgentCard, Cards, Sample, card_of
from memgpt_core.connection import Connection
from memgpt_core.embedders import Embedders
from memgpt_core.errors import AgentBusy, AgentNotFound, HomeBusy, MemscopeError
from memgpt_core.forking import make_fork
from memgpt_core.jobs import Jobs
from memgpt_core.journal import Journal, utc_now
from memgpt_core.llm.base import ChatModel
from memgpt_core.llm.demo import DemoModel
from memgpt_core.log import Log, sync_folder
from memgpt_core.means import Means
from memgpt_core.opening import OpenLog
from memgpt_core.settings import default_home
from memgpt_core.stores.documents import ColdStorage, Shipped
from memgpt_core.stores.vectors import VectorStore
from memgpt_core.trial import Trials
from memgpt_core.upkeep import Upkeep
from memgpt_core.workspace import Workspace
from memgpt_core.write_behind import WriteBehind

SAMPLES = Path(__file__).resolve().parent.parent / "sample_agents"
TIMER_PERIOD_S = 1.0

COPIED_SHARE, FORKED_SHARE = 0.3, 0.9
"""How much of making an agent of a sample, or a fork, is done when it is copied; the rest is opening its stores."""


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
        """Take the home's lock and open it; an empty folder is made. What a killed process left half is swept away.

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
        folders.sweep(path)
        self._cold = ColdStorage(path / folders.DOCUMENTS)
        self._remove_temporary()
        self.jobs = Jobs()
        self.adding = Adding(self.jobs, self.open, path)
        self.adding.sweep(folder.name for folder in (path / "agents").iterdir())
        self.upkeep = Upkeep(self.jobs)
        self._opening = threading.RLock()
        self._open: dict[str, Workspace] = {}
        self._asides: dict[str, Workspace] = {}
        self._cards = Cards()
        self._vectors = VectorStore(path / "vectors.duckdb")
        self.embedders = Embedders(path / "embedding.json", self._vectors.queries)
        self.write_behind = WriteBehind(path / "following.json")
        self._closed = threading.Event()
        if timer:
            threading.Thread(target=self._run_timer, name="timer", daemon=True).start()

    def close(self) -> None:
        """Close every agent, delete those that were temporary, and give the lock back."""
        self._closed.set()
        self.jobs.close()
        self.connection.close()
        with self._opening:
            for workspace in list(self._asides.values()):
                workspace.close(follow=False)
            for workspace in self._open.values():
                workspace.close(follow=not folders.is_temporary(workspace.folder))
            self._open.clear()
            self._vectors.close()
            if self._lock.is_locked:
                self._remove_temporary()
            self._lock.release()

    def agents(self, *, archived: bool = False) -> list[AgentCard]:
        """Every agent, the one used last first; those that were put away only when asked for."""
        found = [path for path in (self.path / "agents").iterdir() if (path / "run.jsonl").is_file()]
        cards = [self._card(folder) for folder in found if archived or not folders.is_archived(folder)]
        return sorted(cards, key=lambda card: card.last_at, reverse=True)

    def samples(self) -> list[Sample]:
        """The recorded agents that ship with Memscope."""
        there = sorted(SAMPLES.iterdir()) if SAMPLES.is_dir() else []
        read = [self._cards.sample(folder) for folder in there if (folder / "run.jsonl").is_file()]
        # The companion is the one to begin with.
        return sorted((one for one in read if one), key=lambda sample: (sample.id != "companion", sample.id))

    def start_sample(self, sample_id: str, progress: Callable[[float], None] | None = None) -> str:
        """A new agent that goes on from a sample's recording; its id.

        Raises:
            AgentNotFound: there is no such sample.
        """
        if sample_id not in {sample.id for sample in self.samples()}:
            raise AgentNotFound(f"There is no sample '{sample_id}'. Samples: {self._names(self.samples())}.")
        recording = OpenLog(SAMPLES / sample_id, read_only=True)
        last, name, told = recording.state.seq, recording.state.name, progress or _untold

        def fill(folder: Path) -> None:
            part = _part(told, COPIED_SHARE)
            shipped = Shipped(SAMPLES / sample_id / folders.DOCUMENTS)
            for event in _documents(recording):
                self._cold.adopt_all(shipped, event.raw, event.text, event.manifest)
            make_fork(recording, last, folder, name=name, origin_name=name, clock=self._clock, progress=part)

        try:
            return self._made(sample_id, fill, told=told)
        finally:
            recording.log.close()

    def create(self, blueprint: Blueprint, *, agent_id: str = "", temporary: bool = False) -> str:
        """A new agent; its id. A `temporary` one is deleted when the home is closed.

        Raises:
            ConfigurationRefused: settings that cannot work, with the numbers.
            ModelUnavailable: the embedding model cannot be asked for its dimension.
        """
        wanted = folders.slug(agent_id or blueprint.name)
        # Refused before there is a folder.
        first_events(blueprint, wanted)
        Means(self.connection).learn_dimension(blueprint.settings.embedder)
        folder = folders.make(self.path / "agents", wanted)
        known = self.connection.knowledge.of(blueprint.settings.model)
        with _whole(folder):
            if temporary:
                folders.set_temporary(folder, True)
            log = Log.create(folder / folders.NEW)
            Journal(log, clock=self._clock).commit_many(first_events(blueprint, folder.name, known))
            log.close()
            self._reveal(folder)
        return folder.name

    def temporary(self, blueprint: Blueprint) -> str:
        """A new agent that is deleted when the home is closed, or at the next start after a crash; its id.

        Raises:
            ConfigurationRefused, ModelUnavailable: as `create`.
        """
        return self.create(blueprint, temporary=True)

    def keep(self, agent_id: str) -> None:
        """Make a temporary agent one that stays.

        Raises:
            AgentNotFound: no agent has that id.
        """
        folders.set_temporary(self._folder(agent_id), False)

    def fork(
        self,
        agent_id: str,
        at: int,
        *,
        name: str,
        temporary: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> str:
        """Another agent that goes on from event `at` of this one; its id.

        Its log is a copy up to there that ends in `run_forked`, its rows are a copy cut back to there, and no text is
        embedded again: vectors belong to the home. A turn that is open at `at` ends in the fork as interrupted; one
        that runs now is not waited for.

        Raises:
            AgentNotFound: no agent has that id.
            EditRefused: no name for the new one, or no such event.
            MemscopeError: there is no room for it.
        """
        name, told = folders.named(name), progress or _untold
        source = self.open(agent_id)

        def fill(folder: Path) -> None:
            source.fork_into(folder, at, name=name, progress=_part(told, FORKED_SHARE))

        return self._made(folders.slug(name), fill, temporary=temporary, told=told)

    def duplicate(self, agent_id: str, name: str, progress: Callable[[float], None] | None = None) -> str:
        """Another agent that goes on from all this one has lived so far: a fork at its last event; its id.

        Raises:
            AgentNotFound, EditRefused, MemscopeError: as `fork`.
        """
        return self.fork(agent_id, self.open(agent_id).last_seq, name=name, progress=progress)

    def adopt(
        self,
        wanted: str,
        fill: Callable[[Path, VectorStore], None],
        progress: Callable[[float], None] | None = None,
    ) -> str:
        """An agent from elsewhere: `fill` makes its unrevealed log in a new folder, with the home's vectors; its id.

        Raises:
            MemscopeError: whatever `fill` raises, or there is no room; nothing is left of the folder then.
        """
        told = progress or _untold
        return self._made(folders.slug(wanted), lambda folder: fill(folder, self._vectors), told=told)

    @contextlib.contextmanager
    def aside(self, agent_id: str, at: int, *, clock: Callable[[], datetime] | None = None) -> Iterator[Workspace]:
        """A fork of the agent at event `at` that is in no list and that no timer wakes; deleted when it is left.

        Raises:
            AgentNotFound, EditRefused, MemscopeError: as `fork`.
        """
        source = self.open(agent_id)
        away = self.path / folders.ASIDE
        away.mkdir(exist_ok=True)
        # The dot: no listed agent has that id, so none shares its window at the model server.
        folder = folders.make(away, f"fork.{agent_id}")
        workspace = None
        try:
            with _whole(folder):
                source.fork_into(folder, at, name=source.state(at).name, clock=clock)
                folders.reveal(folder)
            workspace = Workspace(
                folder,
                self._vectors,
                clock=clock or self._clock,
                models=self._models,
                connection=self.connection,
                cold=self._cold,
                embedders=self.embedders,
                behind=self.write_behind,
            )
            self._asides[folder.name] = workspace
            yield workspace
        finally:
            self._asides.pop(folder.name, None)
            if workspace is not None:
                workspace.close(follow=False)
            self._want_no_window(folder.name)
            folders.discard(folder)

    def replace_log(self, agent_id: str, folder: Path, seq: int) -> None:
        """Give an agent the longer log in `folder`, by one rename; the first `seq` events are all it has lived.

        Raises:
            AgentNotFound: no agent has that id.
            AgentBusy: it is in the middle of a turn, its stores are being looked after, or it has lived on.
        """
        with self._opening:
            workspace = self.open(agent_id)
            state, target = workspace.state(), self._folder(agent_id) / "run.jsonl"
            if workspace.busy or self.upkeep.busy(agent_id) or self.adding.busy(agent_id):
                raise AgentBusy(f"{state.name} is in the middle of something. Wait for it, then try again.")
            size_bytes = sum(workspace.line_of(seq))
            workspace.close()
            del self._open[agent_id]
            # Looked at when nobody can write it any more.
            if state.seq != seq or target.stat().st_size != size_bytes:
                raise AgentBusy(f"{state.name} has lived on meanwhile, so that the new log does not fit. Try again.")
            (folder / "run.jsonl").replace(target)
            sync_folder(target.parent)
            folders.move_checkpoints(folder, target.parent)
        self.open(agent_id).rows("SELECT 1")

    def model(self, name: str) -> ChatModel:
        """The chat model of that name, for work that belongs to no agent.

        Raises:
            ModelUnavailable: there is no server to ask.
        """
        if name in self._models:
            return self._models[name]
        self.connection.server()
        return self.connection.model_for("an import")

    def rename(self, agent_id: str, name: str, about: str) -> None:
        """Give an agent another name and another line about it; its id stays.

        Raises:
            AgentNotFound: no agent has that id.
            EditRefused: no name, or one that is too long.
            LogClosed: the log takes nothing more.
        """
        self.open(agent_id).rename(name, about)

    def archive(self, agent_id: str, archived: bool = True) -> None:
        """Put an agent away, so that no list offers it and its timer stays silent, or take it back.

        Raises:
            AgentNotFound: no agent has that id.
        """
        folders.set_archived(self._folder(agent_id), archived)
        if archived:
            self._want_no_window(agent_id)

    def delete(self, agent_id: str) -> None:
        """Delete an agent with everything in its folder, and the documents that no other agent's log names.

        It cannot be undone. Vectors stay: they are kept by text for all agents of the home.

        Raises:
            AgentNotFound: no agent has that id.
            AgentBusy: it is in the middle of a turn, its stores are being rebuilt or compared, or it is exported.
        """
        with self._opening:
            folder = self._folder(agent_id)
            workspace = self._open.get(agent_id)
            if workspace is not None:
                if workspace.busy or self.upkeep.busy(agent_id):
                    doing = "in the middle of a turn" if workspace.busy else "having its stores looked after"
                    raise AgentBusy(f"{workspace.state().name} is {doing}. Wait for it, or stop it, then delete again.")
                if self.adding.busy(agent_id):
                    name = workspace.state().name
                    raise AgentBusy(f"Documents are being added to {name}. Wait for it, or stop it.")
                if self.jobs.busy(exporting(agent_id)):
                    raise AgentBusy(f"{workspace.state().name} is being exported. Wait for it, or stop it.")
                workspace.close(follow=False)
                del self._open[agent_id]
            self._want_no_window(agent_id)
            named = folders.documents_named(folder)
            folders.remove(self.path, folder)
            self._drop_documents(named)

    def disk_use(self, agent_id: str) -> dict[str, int]:
        """Bytes by store: `log`, `rows`, `index`, `checkpoints`, `other`.

        Raises:
            AgentNotFound: no agent has that id.
        """
        return folders.sizes(self._folder(agent_id))

    @property
    def vectors_bytes(self) -> int:
        """Bytes of the vectors all agents share."""
        return sum(folders.size_of(self.path / name) for name in ("vectors.duckdb", "vectors.duckdb.wal"))

    @property
    def documents_bytes(self) -> int:
        """Bytes of the documents all agents share."""
        return folders.size_of(self._cold.folder)

    def open(self, agent_id: str) -> Workspace:
        """The agent's one workspace in this process.

        Raises:
            AgentNotFound: no agent has that id.
        """
        with self._opening:
            if agent_id not in self._open:
                self._open[agent_id] = Workspace(
                    self._folder(agent_id),
                    self._vectors,
                    clock=self._clock,
                    models=self._models,
                    connection=self.connection,
                    cold=self._cold,
                    embedders=self.embedders,
                    behind=self.write_behind,
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

    def _folder(self, agent_id: str) -> Path:
        folder = self.path / "agents" / agent_id
        if Path(agent_id).name != agent_id or not (folder / "run.jsonl").is_file():
            raise AgentNotFound(f"There is no agent '{agent_id}'. Agents: {self._names(self.agents())}.")
        return folder

    def _made(
        self,
        wanted: str,
        fill: Callable[[Path], None],
        *,
        temporary: bool = False,
        told: Callable[[float], None] = lambda _share: None,
    ) -> str:
        """A new agent whose folder `fill` puts a log into; its id."""
        folder = folders.make(self.path / "agents", wanted)
        with _whole(folder):
            if temporary:
                folders.set_temporary(folder, True)
            with self._cold.in_use():
                fill(folder)
                self._reveal(folder)
        # Opened here, and not when it is first looked at: making the rows of a long log takes a while.
        self.open(folder.name).rows("SELECT 1")
        told(1.0)
        return folder.name

    def _remove_temporary(self) -> None:
        temporary = [folder for folder in (self.path / "agents").iterdir() if folders.is_temporary(folder)]
        named = {raw for folder in temporary for raw in folders.documents_named(folder)}
        for agent_id in folders.remove_temporary(self.path):
            self._want_no_window(agent_id)
        self._drop_documents(named)

    def _drop_documents(self, gone: set[str]) -> None:
        """Delete the documents that were named by logs which are gone, when no other log names them."""
        if gone:
            living = [*(self.path / "agents").iterdir(), *(self.path / folders.ASIDE).glob("*")]
            self._cold.drop_others(lambda: {raw for folder in living for raw in folders.documents_named(folder)})

    _reveal = staticmethod(folders.reveal)

    def _want_no_window(self, agent_id: str) -> None:
        """No model is served with a larger window for an agent that does not use it."""
        knowledge = self.connection.knowledge
        for model in knowledge.models():
            windows = knowledge.of(model).get("windows", {})
            if agent_id in windows:
                knowledge.learn(model, windows={agent: size for agent, size in windows.items() if agent != agent_id})

    def _card(self, folder: Path) -> AgentCard:
        workspace = self._open.get(folder.name)
        if workspace is None:
            return self._cards.card(folder)
        return card_of(folder, workspace.state(), busy=workspace.busy, problem="; ".join(workspace.notices()))

    def _run_timer(self) -> None:
        while not self._closed.wait(TIMER_PERIOD_S):
            awake = [one for one in list(self._open.values()) if not folders.is_archived(one.folder)]
            for workspace in awake:
                # A timer that cannot fire now is due again in a second; the agent's page shows what is wrong.
                with contextlib.suppress(MemscopeError, OSError):
                    workspace.tick()


def _documents(recording: OpenLog) -> list[Any]:
    """The events of a recording that took a document in."""
    if not folders.documents_named(recording.log.path.parent):
        return []
    return [event for event in recording.log.events() if event.kind == "document_ingested"]


def exporting(agent_id: str) -> str:
    """The key under which an agent's export goes on in `Home.jobs`."""
    return f"export of {agent_id}"


def _untold(_share: float) -> None:
    """Progress that nobody watches."""


def _part(told: Callable[[float], None], of: float) -> Callable[[float], None]:
    """Progress of a piece of work that is this share of the whole."""
    return lambda share: told(of * share)


@contextlib.contextmanager
def _whole(folder: Path) -> Iterator[None]:
    """What makes an agent's log in a new folder: when it cannot be finished, the folder goes too."""
    try:
        yield
    except (OSError, MemscopeError) as error:
        folders.discard(folder)
        if isinstance(error, MemscopeError):
            raise
        why = error.strerror or str(error)
        raise MemscopeError(f"The agent could not be made ({why}). Free some disk space, then try again.") from error


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
