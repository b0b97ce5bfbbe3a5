"""The store's tables in memory: what any row store must hold after the same changes.

The reference the real stores are compared with (`verify`, tests) and the one that folds a batch before it
reaches a disk. Knows the versions of rows; does not know events, files or any database.

The passages of a document are unfolded here from its manifest: one event brings them all.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from memgpt_core.documents.manifest import EMPTY, Manifest, Open, Opened, nothing_kept
from memgpt_core.errors import DocumentMissing
from memgpt_core.project import COLUMNS, Change, Insert, Reopen, Revise, Unfold

Row = dict[str, Any]

KEYS: dict[str, str] = {"messages": "id", "passages": "id", "documents": "id", "residency": "carrier"}
"""The column by which the open rows of a table are found again; rows of the other tables never end."""


def opened(open: Open, change: Unfold) -> Opened:
    """What a document's passages become; nothing when its files are not there, which `verify` says."""
    try:
        return open(*change.files) if change.files else Opened(EMPTY, "")
    except DocumentMissing:
        return Opened(EMPTY, "")


def unfolded(change: Unfold, found: Opened) -> Iterator[Row]:
    """The rows of the passages that a document's version brings."""
    manifest: Manifest = found.manifest
    for one, text in zip(manifest.passages, manifest.texts(found.text), strict=True):
        if not one.born:
            yield {**change.row, "id": one.id(change.seq), "text": text, "title_path": manifest.title_path(one)}


class MemoryRows:
    """Every version of every row, in the order they began; passages of documents come from where `open` reads."""

    def __init__(self, open: Open = nothing_kept) -> None:
        self._open_document = open
        self._of_document: dict[str, list[str]] = {}
        self._tables: dict[str, list[Row]] = {name: [] for name in COLUMNS}
        self._open: dict[str, dict[str, list[Row]]] = {name: {} for name in KEYS}
        self._last: dict[str, dict[str, Row]] = {name: {} for name in KEYS}

    def take(self, changes: Iterable[Change]) -> None:
        """Make these changes, in order; one that meets no current row changes nothing."""
        for change in changes:
            if isinstance(change, Insert):
                self._begin(change.table, dict(change.row))
            elif isinstance(change, Revise):
                for row in self._end(change.table, change.id, change.seq):
                    self._begin(change.table, {**row, **change.changes, "seq_from": change.seq, "seq_to": None})
            elif isinstance(change, Reopen):
                self._reopen(change)
            elif isinstance(change, Unfold):
                self._unfold(change)
            else:
                if change.column != KEYS[change.table]:
                    raise KeyError(f"{change.table} is closed by {KEYS[change.table]}, not by {change.column}")
                for value in change.values:
                    self._end(change.table, value, change.seq)

    def adopt(self, table: str, row: Row) -> None:
        """Hold a row that already stands in a store, as it is."""
        self._begin(table, row)

    def table(self, name: str) -> list[Row]:
        """Every version of the table's rows, oldest first."""
        return self._tables[name]

    def current(self, name: str) -> list[Row]:
        """The rows that stand now."""
        return [row for row in self._tables[name] if row["seq_to"] is None]

    def as_of(self, name: str, n: int) -> list[Row]:
        """The rows that stood just after event `n`."""
        return [
            row for row in self._tables[name] if row["seq_from"] <= n and (row["seq_to"] is None or row["seq_to"] > n)
        ]

    def item(self, id: str) -> Row | None:
        """The current row of a message (`m...`) or passage (`p...`), or None when it is not there any more."""
        rows = self._open["passages" if id.startswith("p") else "messages"].get(id)
        return rows[0] if rows else None

    def _begin(self, table: str, row: Row) -> None:
        self._tables[table].append(row)
        if table not in KEYS:
            return
        key = row[KEYS[table]]
        self._last[table][key] = row
        if row["seq_to"] is None:
            self._open[table].setdefault(key, []).append(row)

    def _unfold(self, change: Unfold) -> None:
        found = opened(self._open_document, change)
        kept = {one.id(change.seq) for one in found.manifest.passages}
        of_document = self._of_document.get(change.document, [])
        for id in of_document:
            if id not in kept:
                self._end("passages", id, change.seq)
        added = list(unfolded(change, found))
        for row in added:
            self._begin("passages", {column: row[column] for column in COLUMNS["passages"]})
        # Also those that have ended: a person may bring one back by hand.
        self._of_document[change.document] = [*of_document, *(row["id"] for row in added)]

    def _reopen(self, change: Reopen) -> None:
        last = self._last[change.table].get(change.id)
        if last is not None and not self._open[change.table].get(change.id):
            self._begin(change.table, {**last, **change.changes, "seq_from": change.seq, "seq_to": None})

    def _end(self, table: str, key: str, seq: int) -> list[Row]:
        ended = self._open[table].pop(key, [])
        for row in ended:
            row["seq_to"] = seq
        return ended
