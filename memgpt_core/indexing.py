"""The search index following the row store: what to merge, what to delete.

Derives everything from the rows by position: what the index lacks is what changed in the rows since, so
there is no queue to lose and doing it twice is doing it once. Does not embed: a row goes in with the vector
the home has, and again when there is one.
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from memgpt_core.embedding.base import Embedder
from memgpt_core.errors import StoreBroken
from memgpt_core.hot import portion
from memgpt_core.ids import seq_of
from memgpt_core.rows import Row
from memgpt_core.similarity import INDEXED, Query
from memgpt_core.stores.index import TABLES, IndexRow, LanceIndex
from memgpt_core.stores.vectors import Vector, VectorStore, text_hash

ROWS_AT_ONCE = 8192


class Indexing:
    """One agent's search index; `follow` is called by one thread at a time."""

    def __init__(self, folder: Path, vectors: VectorStore, embedder: Embedder | None, query: Query) -> None:
        self._index = LanceIndex(folder, embedder.name if embedder else None, embedder.dim if embedder else 0)
        self._vectors = vectors
        self._embedder = embedder
        self._query = query
        self._bare: dict[str, set[str]] = {}
        self._alone = False

    @property
    def position(self) -> int:
        """Seq of the last event in the index."""
        return self._index.position

    def follow(self, end: int, lacking: Collection[str], tell: Callable[[float], None] | None = None) -> None:
        """Let the index take all rows up to event `end`; `lacking` are the ids whose text has no vector yet.

        Raises:
            StoreBroken: it could not; the next call opens it again and checks it.
        """
        if not self._index.ready and self._index.position == end:
            return
        self.opened()
        try:
            while self._index.position < end:
                after = self._index.position
                self._take(after, min(portion(self._query, table, after, end) for table in TABLES))
                if tell:
                    tell(self._index.position / end)
            self._add_late_vectors(lacking)
            self._index.tidy()
            if not self._alone:
                # Of models that answer no more; nobody reads them while this one does.
                self._index.drop_others()
                self._alone = True
        except StoreBroken:
            self._index.close()
            raise

    def opened(self, *, check: bool = True) -> LanceIndex:
        """The index, open; one that is broken or, when checked, has lost rows is begun anew.

        Raises:
            StoreBroken: LanceDB is not installed, or cannot write.
        """
        if self._index.ready:
            return self._index
        try:
            self._index.open()
            whole = not check or self._is_whole()
        except StoreBroken:
            if not self._index.installed():
                raise
            whole = False
        if not whole:
            self.drop()
            self._index.open()
        self._bare = {table: self._index.without_vector(table) for table in TABLES}
        return self._index

    def kept(self, lacking: Collection[str]) -> dict[str, Vector]:
        """By hash of the text, the vectors it has of items that lack theirs: the home has lost them.

        Raises:
            StoreBroken: the index cannot be read.
        """
        lost = [id for id in lacking if seq_of(id) <= self._index.position]
        if not lost or self._embedder is None:
            return {}
        self.opened()
        found: dict[str, Vector] = {}
        for table, letter in (("messages", "m"), ("passages", "p")):
            there = [id for id in lost if id.startswith(letter) and id not in self._bare[table]]
            found |= self._index.kept(table, there)
        return found

    def drop(self) -> None:
        """Delete the index; `follow` makes it anew."""
        self._index.drop()
        self._bare = {}

    def close(self) -> None:
        """Let go of the index."""
        self._index.close()

    def _is_whole(self) -> bool:
        """Whether it has as many rows as stood at its position: LanceDB does not sync, a power loss may take some."""
        for table in TABLES:
            standing = f"{INDEXED[table]} AND seq_from <= $n AND (seq_to IS NULL OR seq_to > $n)"
            sql = f"SELECT count(*) AS rows FROM {table} WHERE {standing}"
            if self._index.count(table) != self._query(sql, {"n": self._index.position})[0]["rows"]:
                return False
        return True

    def _take(self, after: int, to: int) -> None:
        self._index.target = to
        for table in TABLES:
            touched = self._query(
                f"SELECT id, seq_from, seq_to, text FROM {table} WHERE {INDEXED[table]} AND "
                "((seq_from > $after AND seq_from <= $to) OR (seq_to > $after AND seq_to <= $to)) ORDER BY seq_from",
                {"after": after, "to": to},
            )
            standing = {row["id"]: row for row in touched if row["seq_to"] is None or row["seq_to"] > to}
            gone = {row["id"] for row in touched if row["seq_from"] <= after} - standing.keys()
            self._index.delete(table, sorted(gone))
            self._bare[table] -= gone
            self._merge(table, list(standing.values()))
        self._index.set_position(to)

    def _merge(self, table: str, rows: Sequence[Row]) -> None:
        for at in range(0, len(rows), ROWS_AT_ONCE):
            chunk = rows[at : at + ROWS_AT_ONCE]
            hashes = [text_hash(row["text"]) for row in chunk]
            model = self._embedder
            known = self._vectors.get(model.name, model.dim, hashes) if model else {}
            merged = [
                IndexRow(row["id"], row["seq_from"], row["text"], known.get(hash))
                for row, hash in zip(chunk, hashes, strict=True)
            ]
            self._index.merge(table, merged)
            if model:
                self._bare[table] -= {row.id for row in merged}
                self._bare[table] |= {row.id for row in merged if row.vector is None}

    def _add_late_vectors(self, lacking: Collection[str]) -> None:
        """Merge again the rows that came without a vector and have one now."""
        for table in TABLES:
            late = sorted(self._bare[table].difference(lacking)) if self._embedder else []
            if late:
                sql = f"SELECT id, seq_from, text FROM {table} WHERE id IN (SELECT unnest($ids)) AND seq_to IS NULL"
                rows = self._query(sql, {"ids": late})
                # Which have their vector now, merging says itself; those that stand no more need none.
                self._bare[table] -= set(late).difference(row["id"] for row in rows)
                self._merge(table, rows)
