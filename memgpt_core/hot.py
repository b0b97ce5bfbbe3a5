"""The hot tier: what searches look through, held in RAM in step with one agent's row store.

For each table the versions, the words and, with an embedder, the vectors. Words are kept in a file beside the rows,
so that opening an agent cuts no text again; the file is disposable. Does not embed and does not rank.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from memgpt_core.events import EPOCH
from memgpt_core.ids import number
from memgpt_core.queries import day_terms, joined
from memgpt_core.ranking import VECTORS_CONTEXT, Context
from memgpt_core.recent import Recent
from memgpt_core.rows import Row
from memgpt_core.stores.postings import Postings, Stored
from memgpt_core.stores.tiered import TieredMatrix
from memgpt_core.stores.versions import COLUMNS, Began, Version, Versions

INDEXED_ROLES = ("user", "assistant")
INDEXED = {"messages": "role IN ('user', 'assistant') AND text <> ''", "passages": "text <> ''"}
"""Which rows of a table are found by similarity and stand in the search index, as SQL."""


def indexed(table: str, row: Row) -> bool:
    """The same of one row."""
    return bool(row["text"]) and (table != "messages" or row["role"] in INDEXED_ROLES)


Query = Callable[[str, Mapping[str, Any]], list[Row]]
Drained = Callable[[], int]
"""Has the row store take everything that was committed: the last event it has."""

FORMAT = 2
"""Raised when words are cut, days named or rows numbered in another way."""

ROWS_AT_ONCE = 20_000
KEEP_GROWTH = 0.25
"""The file is written anew once so large a share of its rows has come or ended since."""

KEEP_LEAST = 2000

_US = timedelta(microseconds=1)
_DAY_US = 86_400_000_000
_PLAIN_SOURCES = ("", "agent", "human", "upload")
_FIELDS = {"messages": "role, session, text", "passages": "'' AS role, session, text, tags, source"}


def portion(query: Query, table: str, after: int, end: int) -> int:
    """The event up to which some `ROWS_AT_ONCE` rows began after event `after`, be it with few events or many.

    One event is never cut: a document's passages are taken together.
    """
    end = min(end, after + ROWS_AT_ONCE)
    found = query(
        "SELECT min(seq) AS seq FROM (SELECT seq_from AS seq, sum(count(*)) OVER (ORDER BY seq_from) AS so_far "
        f"FROM {table} WHERE seq_from > $after AND seq_from <= $end GROUP BY seq_from) WHERE so_far >= $most",
        {"after": after, "end": end, "most": ROWS_AT_ONCE},
    )
    return int(found[0]["seq"] or end)


class HotTable:
    """One table's versions, words and vectors."""

    def __init__(self, table: str, dim: int) -> None:
        chat = table == "messages"
        self.table = table
        self._dim = dim
        self.position = 0
        self.versions = Versions("m" if chat else "p", INDEXED_ROLES if chat else ())
        self.postings = Postings()
        self.forget_vectors()

    @property
    def bytes(self) -> int:
        """About how much RAM its words and versions take, the vectors not counted."""
        return self.postings.bytes + self.versions.size * 8 * len(COLUMNS)

    def forget_vectors(self) -> None:
        """Begin the vectors anew."""
        context = VECTORS_CONTEXT if self.table == "messages" else Context(0, 0)
        self.matrix = TieredMatrix(self._dim, self.versions, context) if self._dim else None


class HotTier:
    """Both tables of one agent; every reader holds `lock`."""

    def __init__(self, folder: Path, query: Query, dim: int, recent: Recent, drained: Drained) -> None:
        self.lock = threading.RLock()
        self.recent = recent
        self.drained = drained
        self._path = folder / "words.npz"
        self._query = query
        self._dim = dim
        self._kept_at = 0
        self._begin()

    def forget(self) -> None:
        """Start again from the rows, as after these were made anew."""
        with self.lock:
            self._path.unlink(missing_ok=True)
            self._begin()
            self._looked = True

    def behind(self, position: int) -> int:
        """How many events the row store is ahead, after a look into the file; waits for no reading of rows."""
        if not self._looked:
            with self.lock:
                if not self._looked:
                    self._load(position)
        return position - min(hot.position for hot in self.tables.values())

    def sync(self, position: int) -> int:
        """Take what was committed up to `position`; up to which event all of it could be taken.

        Rows that began just now come from RAM; others from the row store, which takes what it lacks first.
        """
        self.behind(position)
        for table in INDEXED:
            # Not in one go: whoever asks how far it is need not wait for all of it.
            while self.tables[table].position < position and not self._take_recent(table, position):
                # Not with the lock held: other searches go on while the disk is waited for.
                to = min(position, self.drained())
                with self.lock:
                    if (hot := self.tables[table]).position >= to:
                        break
                    self._take(hot, to)
        return min(position, *(hot.position for hot in self.tables.values()))

    def keep(self) -> None:
        """Write the words into their file if they have changed much since; a full disk costs the next opening time."""
        with self.lock:
            position = min(hot.position for hot in self.tables.values())
            if position - self._kept_at < max(KEEP_LEAST, KEEP_GROWTH * position):
                return
            if not (mark := self._mark(position)):
                # The row store is not there yet.
                return
            found: dict[str, Any] = {"format": np.array([FORMAT, position]), "log": np.array(mark)}
            for name, hot in self.tables.items():
                stored = hot.postings.stored()
                found |= {f"{name}.{column}": hot.versions.column(column) for column in COLUMNS}
                found[f"{name}.roles"] = np.array("\n".join(hot.versions.roles))
                found[f"{name}.vocabulary"] = np.frombuffer(stored.vocabulary.encode(), dtype=np.uint8)
                found |= {f"{name}.{field}": getattr(stored, field) for field in Stored._fields[1:]}
            partial = self._path.with_suffix(".new.npz")
            try:
                np.savez(partial, allow_pickle=False, **found)
                partial.replace(self._path)
            except OSError:
                partial.unlink(missing_ok=True)
            self._kept_at = position

    def _begin(self) -> None:
        self.tables = {table: HotTable(table, self._dim) for table in INDEXED}
        self._looked = False
        self._kept_at = 0

    # --- the rows -------------------------------------------------------------------------------------------

    def _take_recent(self, table: str, position: int) -> bool:
        """Take the rows that began just now from RAM; False when that is not all that happened."""
        with self.lock:
            hot = self.tables[table]
            began = self.recent.since(table, hot.position, position)
            if began is None:
                return False
            self._begin_rows(
                hot, [{"role": "", **row, "at_us": (row["at"] - EPOCH) // _US} for row in began if row["text"]]
            )
            hot.position = max(hot.position, position)
            return True

    def _take(self, hot: HotTable, position: int) -> None:
        to = portion(self._query, hot.table, hot.position, position)
        span = {"after": hot.position, "to": to}
        rows = self._query(
            f'SELECT id, seq_from, CASE WHEN seq_to <= $to THEN seq_to END AS seq_to, epoch_us("at") AS at_us, '
            f"{_FIELDS[hot.table]} FROM {hot.table} WHERE text <> '' AND seq_from > $after AND seq_from <= $to",
            span,
        )
        ended = self._query(
            f"SELECT id, seq_from, seq_to FROM {hot.table} WHERE text <> '' AND seq_from <= $after AND seq_to > $after "
            "AND seq_to <= $to",
            span,
        )
        self._begin_rows(hot, rows)
        hot.versions.end((Began(row["id"], row["seq_from"]) for row in ended), (row["seq_to"] for row in ended))
        hot.position = to

    @staticmethod
    def _begin_rows(hot: HotTable, rows: list[Row]) -> None:
        rows.sort(key=lambda row: (row["seq_from"], number(row["id"])))
        names = Version._fields
        hot.versions.add(Version(**{name: row[name] for name in names}) for row in rows)
        days = [_days(row) if hot.table == "messages" else () for row in rows]
        hot.postings.add([_found_by(row) for row in rows], days)

    # --- the file -------------------------------------------------------------------------------------------

    def _load(self, position: int) -> None:
        """Take the words from their file if it is of this log and not ahead of the rows."""
        self._looked = True
        try:
            # Opened here, because NumPy leaves a file open that is no archive.
            with self._path.open("rb") as file, np.load(file, allow_pickle=False) as found:
                form, kept = (int(number) for number in found["format"])
                if form != FORMAT or not 0 < kept <= position or str(found["log"]) != self._mark(kept):
                    return
                tables = {name: self._read(found, name, kept) for name in self.tables}
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            # Also what a torn or strange file raises: the rows have it all.
            return
        self.tables, self._kept_at = tables, kept

    def _read(self, found: Any, name: str, position: int) -> HotTable:
        hot = HotTable(name, self._dim)
        columns = {column: found[f"{name}.{column}"] for column in COLUMNS}
        hot.versions.take(columns, str(found[f"{name}.roles"]).split("\n") if len(columns["born"]) else [])
        vocabulary = found[f"{name}.vocabulary"].tobytes().decode()
        hot.postings = Postings(Stored(vocabulary, *(found[f"{name}.{field}"] for field in Stored._fields[1:])))
        if hot.postings.size != hot.versions.size:
            raise ValueError("words and versions do not belong together")
        hot.position = position
        return hot

    def _mark(self, position: int) -> str:
        """What tells this log from another one that is as long."""
        rows = self._query(
            'SELECT epoch_us("at") AS at_us, kind, turn FROM events WHERE seq_from = $seq', {"seq": position}
        )
        return "|".join(f"{row['at_us']} {row['kind']} {row['turn']}" for row in rows)


def _found_by(row: Row) -> str:
    """What a row's words are: its text and, of a passage, its tags and where it came from."""
    source = row.get("source", "")
    return joined([row["text"], " ".join(row.get("tags") or ()), "" if source in _PLAIN_SOURCES else source])


def _days(row: Row) -> tuple[str, ...]:
    return day_terms(date.fromordinal(EPOCH.toordinal() + row["at_us"] // _DAY_US))
