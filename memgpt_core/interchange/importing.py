"""Bringing conversations of other tools into an agent: read, sorted, lived through, then revealed by one rename.

Everything is built aside, so that whatever stops an import leaves the agents as they were, and the same call goes on
where it stopped (`halfway`). What an agent has of a file already is told by its own log. Orders the work;
knows no format and decides nothing about memory.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, NamedTuple

from memgpt_core import folders
from memgpt_core.blueprint import Blueprint, first_events
from memgpt_core.errors import AgentBusy, MemscopeError, StoreBroken
from memgpt_core.events import HistoryImported, decode
from memgpt_core.failpoints import failpoint
from memgpt_core.home import Home
from memgpt_core.interchange import halfway
from memgpt_core.interchange.conversations import NAMES, Found, detect, read
from memgpt_core.interchange.halfway import Asked
from memgpt_core.interchange.living import ImportedLife
from memgpt_core.interchange.records import ImportRefused
from memgpt_core.interchange.spool import Spool
from memgpt_core.journal import Journal, utc_now
from memgpt_core.log import Log
from memgpt_core.means import Means
from memgpt_core.opening import OpenLog
from memgpt_core.settings import AgentSettings

SPOOL = "spool.sqlite"
BLOCK_BYTES = 4 * 2**20
"""What is read of a file between two commits of the spool."""

RECORDS_A_COMMIT = 2000
SHARES = (0.05, 0.45, 0.95)
"""Of the progress: when the file is known, when it is read, when it is lived; the rest is the stores."""

FIRST_LINES = 60
"""Within how many events of a new agent its import is announced."""


class Report(NamedTuple):
    """What an import did.

    Attributes:
        agent_id: who has the conversations now; empty when it was stopped.
        sessions, messages: what was added.
        skipped: (number of the record, what is wrong with it), of many the first; `skipped_records` counts all.
        already: messages that were there, from an earlier import or twice in the file.
        moved: messages older than what the agent had lived, which stand behind it with their time in their text.
        stopped: it was stopped; the same call goes on.
    """

    agent_id: str
    sessions: int
    messages: int
    skipped: list[tuple[int, str]]
    skipped_records: int
    already: int
    moved: int
    stopped: bool = False


class _Stopped(Exception):
    """Somebody stopped the import."""


def import_conversations(
    home: Home,
    path: Path,
    *,
    into: str | None = None,
    name: str = "",
    user_speaker: str = "",
    on_bad: Literal["skip", "refuse"] = "skip",
    records: Collection[int] = (),
    summaries: Literal["extract", "model"] = "extract",
    settings: AgentSettings | None = None,
    progress: Callable[[float], None] | None = None,
    stop: Callable[[], bool] | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Report:
    """Import a conversation file into a new agent, or `into` one that is there; nothing is ever half imported.

    Called again after a stop or a crash it goes on; for what is there already it adds nothing. Without `into`, a file
    that made an agent before is brought up to date in that agent.

    Args:
        home: where to.
        path: the file; its format is told by what is in it.
        into: an agent's id; None for a new agent.
        name: the new agent's name; empty for the format's.
        user_speaker: in a conversation between people, who becomes the user; empty for the first of the two.
        on_bad: whether a record that cannot be read is skipped and named in the report, or refuses the whole import.
        records: numbers of the records to take, from 1; empty for all.
        summaries: of what is flushed: picked sentences, or the agent's own model asked each time.
        settings: of the new agent.
        progress: hears the share that is done, 0 to 1.
        stop: asked after each record; True stops.
        clock: for conversations that have no times.

    Raises:
        ImportRefused: the file cannot be taken; the sentence says what is wrong and where. Nothing was changed.
        AgentNotFound, AgentBusy: `into` is not there, or in the middle of something, or has lived on meanwhile.
        ConfigurationRefused: settings that cannot work.
        ModelUnavailable: the model that is to summarise does not answer; the same call goes on.
        MemscopeError, OSError: no room on the disk, or the file cannot be read; the same call goes on.
    """
    found = detect(path)
    told = progress or (lambda _share: None)
    digest = _digest(path, lambda share: told(SHARES[0] * share))
    asked = Asked(into or "", name, user_speaker, on_bad, tuple(sorted(set(records))), summaries)
    if not into and (before := _made_before(home, digest, asked)):
        halfway.clear(halfway.place(home, digest, asked))
        asked = asked._replace(into=before)
    staging = halfway.place(home, digest, asked)
    with halfway.alone(staging):
        return _Import(home, path, found, digest, asked, staging, settings, told, stop, clock).run()


class _Import:
    """One call of `import_conversations`."""

    def __init__(
        self,
        home: Home,
        path: Path,
        found: Found,
        digest: str,
        asked: Asked,
        staging: Path,
        settings: AgentSettings | None,
        told: Callable[[float], None],
        stop: Callable[[], bool] | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._home = home
        self._path = path
        self._found = found
        self._asked = asked
        self._staging = staging
        self._told = told
        self._stop = stop or (lambda: False)
        self._clock = clock
        self._settings = settings or AgentSettings()
        self._source = HistoryImported(
            first=1, format=NAMES[found.format], source=path.name, sha256=digest, notes=asked.notes()
        )
        self._base = 0
        if asked.into:
            target = _ready(home, asked.into)
            self._settings, self._base = target.settings, target.seq

    def run(self) -> Report:
        """Do what is left of the import."""
        begun = self._clock()
        now = halfway.prepare(
            self._staging, self._asked, self._path, base=self._base, settings=self._settings, now=begun
        )
        idle_s = self._settings.login_idle_minutes * 60
        spool = Spool(self._staging / SPOOL, idle_s=idle_s, latest=now)
        try:
            self._read(spool)
            stretches, already = spool.counts()
            if not stretches:
                report = self._nothing(spool, already)
            else:
                lived = self._live(spool, now)
                report = self._finish(spool, lived, already)
        except ImportRefused:
            spool.close()
            halfway.clear(self._staging)
            raise
        except _Stopped:
            return self._report(spool, "", stopped=True)
        except sqlite3.Error as error:
            raise StoreBroken(
                f"The import could not be kept on the disk ({error}). Free some space and import again: it goes on."
            ) from error
        finally:
            spool.close()
        halfway.clear(self._staging)
        self._told(1.0)
        return report

    # --- reading ------------------------------------------------------------------------------------------------

    def _read(self, spool: Spool) -> None:
        if spool.fact("read"):
            return
        total = max(1, self._path.stat().st_size)
        start, number = spool.fact("at", [0, 0])
        committed = start
        spool.begin()
        if not start and self._asked.into:
            spool.know(self._known())
        for record in read(self._path, self._found, start=start, number=number):
            if not self._asked.records or record.number in self._asked.records:
                self._take(spool, record)
            stopped = self._stop()
            if stopped or record.end - committed > BLOCK_BYTES or record.number % RECORDS_A_COMMIT == 0:
                spool.remember(at=[record.end, record.number])
                spool.commit()
                failpoint("import.after_block")
                committed = record.end
                self._told(SHARES[0] + (SHARES[1] - SHARES[0]) * record.end / total)
                if stopped:
                    raise _Stopped
                spool.begin()
        for number, why in spool.arrange():
            self._bad(spool, number, why)
        spool.remember(read=True)
        spool.commit()

    def _take(self, spool: Spool, record: Any) -> None:
        if record.why:
            self._bad(spool, record.number, record.why)
        for session in record.sessions:
            if why := spool.put(record.number, session):
                self._bad(spool, record.number, why)

    def _bad(self, spool: Spool, number: int, why: str) -> None:
        if self._asked.on_bad == "refuse":
            raise ImportRefused(f"Record {number} {why}. Nothing was imported.")
        spool.skip(number, why)

    def _known(self) -> Iterator[tuple[str, int, str]]:
        """What the agent has of conversations already: of each how many messages, and their digest."""
        workspace = self._home.open(self._asked.into)
        rows = workspace.rows("SELECT seq_from FROM events WHERE kind = 'history_imported' ORDER BY seq_from")
        for row in rows:
            event: Any = workspace.event(row["seq_from"])
            if event.conversation:
                yield event.conversation, event.messages, event.digest

    def _nothing(self, spool: Spool, already: int) -> Report:
        """There is nothing new in the file."""
        count, named = spool.skipped()
        if not already and named:
            raise ImportRefused(
                f"None of the {count} records of {self._path.name} could be taken. Record {named[0][0]} {named[0][1]}."
            )
        if not self._asked.into:
            raise ImportRefused(f"Nothing is said in {self._path.name}, so there is nothing to import.")
        return self._report(spool, self._asked.into)

    # --- living -------------------------------------------------------------------------------------------------

    def _live(self, spool: Spool, now: datetime) -> OpenLog:
        """Live all stretches in the log of the folder; the log, open."""
        after, moved = self._resume(spool)
        opened = OpenLog(self._staging)
        try:
            model = self._home.model(self._settings.model) if self._asked.summaries == "model" else None
            life = ImportedLife(
                opened,
                source=self._source,
                user_speaker=self._asked.user_speaker,
                undated=now,
                model=model,
                moved=moved,
            )
            with Means(self._home.connection).counting(opened.state):
                self._live_on(spool, life, after)
        except BaseException:
            opened.log.close()
            raise
        return opened

    def _live_on(self, spool: Spool, life: ImportedLife, after: int) -> None:
        stretches, _ = spool.counts()
        done = spool.place(after)
        if not after:
            life.announce(1 if not self._asked.into else self._base + 1)
        for stretch in spool.stretches(after):
            life.live(stretch)
            done, after = done + 1, stretch.id
            if life.due:
                self._write(spool, life, after)
                self._told(SHARES[1] + (SHARES[2] - SHARES[1]) * done / stretches)
            if self._stop():
                self._write(spool, life, after)
                raise _Stopped
        self._write(spool, life, after)

    def _write(self, spool: Spool, life: ImportedLife, after: int) -> None:
        """Write what was lived; where it ends is remembered before, so that a torn write is cut off behind it."""
        marks = spool.fact("marks")
        spool.remember(marks=[marks[-1], [life.state.seq, after, life.moved]])
        life.write()
        failpoint("import.after_write")

    def _resume(self, spool: Spool) -> tuple[int, int]:
        """Make the log of the folder, or cut it to where it was last written whole; (last stretch in it, moved)."""
        path = self._staging / "run.jsonl"
        marks = spool.fact("marks")
        if marks is None or not path.exists():
            path.unlink(missing_ok=True)
            shutil.rmtree(self._staging / "checkpoints", ignore_errors=True)
            self._begin(spool, path)
            return 0, 0
        log = Log.open(path, read_only=True)
        last, ends = log.last_seq, {seq: log.size_at(seq) for seq, *_ in marks if seq <= log.last_seq}
        log.close()
        seq, after, moved = max(mark for mark in marks if mark[0] <= last)
        os.truncate(path, ends[seq])
        return after, moved

    def _begin(self, spool: Spool, path: Path) -> None:
        """A log to live in: of a new agent its first events, else a copy of the agent's own."""
        if self._asked.into:
            workspace = self._home.open(self._asked.into)
            _copy(workspace.folder, self._staging, sum(workspace.line_of(self._base)))
            spool.remember(marks=[[self._base, 0, 0]], session=workspace.state(self._base).session)
            return
        agent_id = _free_id(self._home, self._asked.name or NAMES[self._found.format])
        Means(self._home.connection).learn_dimension(self._settings.embedder)
        plan = Blueprint(
            name=folders.named(self._asked.name or NAMES[self._found.format]),
            about=f"Imported from {self._path.name}"[:200],
            settings=self._settings,
        )
        known = self._home.connection.knowledge.of(self._settings.model)
        # As old as its first message: nothing in a log is older than what stands before it.
        first = next(stretch.at for stretch in spool.stretches()) or self._clock()
        log = Log.create(path)
        try:
            events = Journal(log, clock=lambda: first).commit_many(first_events(plan, agent_id, known))
        finally:
            log.close()
        spool.remember(marks=[[len(events), 0, 0]], session=0, agent_id=agent_id)

    # --- the end ------------------------------------------------------------------------------------------------

    def _finish(self, spool: Spool, opened: OpenLog, already: int) -> Report:
        sessions = opened.log.last_seq and OpenLog(self._staging, read_only=True)
        opened.log.close()
        assert sessions
        last = sessions.state
        sessions.log.close()
        failpoint("import.before_reveal")
        agent_id = self._asked.into
        if agent_id:
            self._home.replace_log(agent_id, self._staging, self._base)
        else:
            agent_id = str(spool.fact("agent_id"))
            self._home.adopt(agent_id, lambda folder, _vectors: self._fill(folder, agent_id))
        failpoint("import.after_reveal")
        report = self._report(spool, agent_id)
        return report._replace(sessions=last.session - int(spool.fact("session", 0)))

    def _fill(self, folder: Path, agent_id: str) -> None:
        if folder.name != agent_id:
            raise MemscopeError(
                f"There is another agent '{agent_id}' by now. Rename or delete it, or discard this import and start it "
                "again under another name."
            )
        if (self._staging / "checkpoints").is_dir():
            (self._staging / "checkpoints").replace(folder / "checkpoints")
        (self._staging / "run.jsonl").replace(folder / folders.NEW)

    def _report(self, spool: Spool, agent_id: str, *, stopped: bool = False) -> Report:
        count, named = spool.skipped()
        marks = spool.fact("marks") or [[0, 0, 0]]
        messages = 0 if stopped else spool.messages()
        return Report(agent_id, 0, messages, named, count, spool.counts()[1], marks[-1][2], stopped)


# --- what is where ----------------------------------------------------------------------------------------------


def _digest(path: Path, told: Callable[[float], None]) -> str:
    total, done, digest = max(1, path.stat().st_size), 0, sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            done += len(block)
            told(done / total)
    return digest.hexdigest()


def _made_before(home: Home, digest: str, asked: Asked) -> str:
    """The agent that was made by the same import, or empty."""
    for card in home.agents(archived=True):
        if asked.name and card.name != asked.name:
            continue
        with (home.path / "agents" / card.id / "run.jsonl").open("rb") as log:
            for line, _ in zip(log, range(FIRST_LINES), strict=False):
                if b'"history_imported"' not in line:
                    continue
                announced: Any = decode(line)
                if (announced.sha256, announced.first, announced.notes) == (digest, 1, asked.notes()):
                    return str(card.id)
    return ""


def _ready(home: Home, agent_id: str) -> Any:
    """The state of an agent that can be imported into."""
    workspace = home.open(agent_id)
    state = workspace.state()
    if workspace.busy or state.turn_open:
        raise AgentBusy(f"{state.name} is in the middle of a turn. Wait for it, or stop it, then import again.")
    if state.asked is not None:
        raise AgentBusy(f"{state.name} waits for your yes or no to a call. Answer it, then import again.")
    return state


def _free_id(home: Home, name: str) -> str:
    wanted, number = folders.slug(name), 1
    taken = {path.name for path in (home.path / "agents").iterdir()}
    while (agent_id := wanted if number == 1 else f"{wanted}-{number}") in taken:
        number += 1
    return agent_id


def _copy(source: Path, staging: Path, size_bytes: int) -> None:
    """The first bytes of an agent's log and its checkpoints."""
    left = size_bytes
    with (source / "run.jsonl").open("rb") as log, (staging / "run.jsonl").open("wb") as copy:
        while left and (block := log.read(min(left, BLOCK_BYTES))):
            copy.write(block)
            left -= len(block)
        copy.flush()
        os.fsync(copy.fileno())
    if (source / "checkpoints").is_dir():
        ignored = shutil.ignore_patterns("*.tmp")
        shutil.copytree(source / "checkpoints", staging / "checkpoints", ignore=ignored, dirs_exist_ok=True)
