"""One agent's row store following its log: what is committed is noted in RAM, and taken in batches or by who reads.

Whoever can do with rows that began just now has them from RAM and waits for nothing (`recent`). A store that fails
keeps its events pending and says so. Does not know how events come to be, nor what is derived from rows.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from memgpt_core.documents.manifest import Open
from memgpt_core.errors import MemscopeError, StoreBroken
from memgpt_core.events import Event
from memgpt_core.project import Change, project
from memgpt_core.prompt import Reader
from memgpt_core.recent import Recent
from memgpt_core.rows import Row
from memgpt_core.scope import Scope
from memgpt_core.state import State
from memgpt_core.stores.recall import RecallStore, forget
from memgpt_core.stores.versions import OPEN
from memgpt_core.write_behind import Following, Whose

FoldFrom = Callable[[int], Iterator[tuple[State, Event]]]
"""Given a seq: every later event of the log with the state just before it, in order."""

CATCH_UP_EVENTS = 4000


class FollowedRows:
    """The rows of one agent; safe to use from any thread.

    Attributes:
        lock: hold it to keep the row store as it is. It is taken before the lock of the hot tier, never behind it.
        recent: the rows that began just now.
        following: what following took, as far as it is counted here.
        last_seq: the last event that was committed.
        error: why the row store could not take something last time; empty when it could.
        rebuilt_because: why an existing store was thrown away at open.

    Raises:
        StoreBroken: the row store can be neither opened nor made.
    """

    def __init__(self, path: Path, opens: Open, read: Reader) -> None:
        self.lock = threading.RLock()
        self.error = ""
        self._opens = opens
        self._read = read
        self._store = RecallStore(path, opens)
        self.rebuilt_because = self._store.rebuilt_because
        self.last_seq = self._store.position
        self.recent = Recent(self.last_seq)
        self.following = Following()
        self._pending: list[tuple[int, list[Change]]] = []
        self._pending_lock = threading.Lock()

    @property
    def path(self) -> Path:
        """The row store's file."""
        return self._store.path

    @property
    def position(self) -> int:
        """Seq of the last event in the row store."""
        return self._store.position

    @property
    def pending(self) -> int:
        """How many committed events the row store has not taken."""
        return len(self._pending)

    # --- following ------------------------------------------------------------------------------------------

    def note(self, before: State, event: Event) -> None:
        """An event was committed: remember its row changes. Touches no disk."""
        changes = project(before, event)
        with self._pending_lock:
            self._pending.append((event.seq, changes))
            self.recent.take(event.seq, changes)
            self.last_seq = event.seq

    def drained(self, whose: Whose = "reader") -> int:
        """Have the row store take everything that was committed; the last event it has, which is less if it cannot.

        `whose` time it is, is counted.
        """
        with self.lock:
            with self._pending_lock:
                batch = self._pending[:]
            if batch:
                started = time.perf_counter()
                try:
                    self._store.take(batch)
                except MemscopeError as error:
                    self.error = str(error)
                else:
                    self.error = ""
                    with self._pending_lock:
                        del self._pending[: len(batch)]
                self.following.took(whose, len(batch), time.perf_counter() - started)
            return self._store.position

    def same_log(self) -> bool:
        """Whether the last event the row store took is the one of that seq in the log."""
        if self.position == 0:
            return True
        stored = self.query('SELECT "at", kind FROM events WHERE seq_from = ?', [self.position])
        try:
            event = self._read(self.position)
        except LookupError:
            return False
        return [(row["at"], row["kind"]) for row in stored] == [(event.at, event.kind)]

    def take_from_log(self, fold_from: FoldFrom, tell: Callable[[float], None] = lambda _share: None) -> None:
        """Take what the log has and the row store lacks; `tell` gets the share that is done.

        Raises:
            StoreBroken: it can take nothing.
        """
        batch: list[tuple[int, list[Change]]] = []
        with self.lock:
            for before, event in fold_from(self.position):
                batch.append((event.seq, project(before, event)))
                if len(batch) == CATCH_UP_EVENTS:
                    self._store.take(batch)
                    batch = []
                    tell(min(1.0, self.position / max(1, self.last_seq)))
            self._store.take(batch)
            self.error = ""
            with self._pending_lock:
                self.last_seq = max(self.last_seq, self.position)
                self.recent.begin(self.last_seq)

    def drop(self) -> None:
        """Delete the row store and begin an empty one; until `take_from_log` whoever reads must hold the lock."""
        with self.lock:
            # Nobody is to make do with RAM meanwhile.
            self.recent.begin(OPEN)
            self._store.close()
            forget(self.path)
            self._store = RecallStore(self.path, self._opens)

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    # --- reading --------------------------------------------------------------------------------------------

    def query(self, sql: str, params: Sequence[Any] | Mapping[str, Any] = ()) -> list[Row]:
        """A SELECT over what the row store has by now."""
        return self._store.query(sql, params)

    def items(self, ids: Iterable[str], at: int | None) -> dict[str, Row]:
        """Messages (`m...`) and passages (`p...`) by id, as they stand now or stood just after event `at`.

        Those that began just now come from RAM, so that what a search found is read as soon.
        """
        ids = list(ids)
        found: dict[str, Row] = {}
        for table, letter in (("messages", "m"), ("passages", "p")):
            wanted = {id for id in ids if id.startswith(letter)}
            if not wanted:
                continue
            until = self.last_seq if at is None else at
            position = self.position
            began = self.recent.since(table, position, until)
            if began is None:
                position, began = self.drained(), []
            found.update((row["id"], dict(row)) for row in began if row["id"] in wanted)
            if wanted := wanted.difference(found):
                where, params = Scope(table, min(position, until)).stood()
                sql = f"SELECT * FROM {table} WHERE {where} AND id IN (SELECT unnest($ids))"
                found.update((row["id"], row) for row in self.query(sql, {**params, "ids": sorted(wanted)}))
        return {id: found[id] for id in ids if id in found}

    @contextmanager
    def at_rest(self) -> Iterator[Path]:
        """The row store's file with everything that was committed, while nobody writes to it; commits go on."""
        with self.lock:
            self.drained()
            yield self.path

    def copy_until(self, path: Path, seq: int) -> None:
        """Make a row store in another file that stands at event `seq`, for a fork.

        Raises:
            StoreBroken: it could not be made; no file is left.
        """
        self.drained()
        try:
            self._store.copy_until(path, seq)
        except StoreBroken:
            forget(path)
            raise
