"""The search index of one agent in LanceDB: current messages and passages by their words, with their vectors.

Searches look through RAM (`hot`); what is here is a second copy, from which the home's vectors come back when they are
lost, and by which `verify` knows what was embedded.

Holds current rows only and is always behind the row store by what was not merged yet; `position` says how
far it is. LanceDB does not sync to disk, so nothing here is relied on after a power loss: a count check and
`verify` find what is wrong, and the index is made anew. Knows nothing of events, filters or final ranking.

Words are cut by our own rule (`ranking.words`) and stored beside the text, so that the index finds exactly
the rows that hold a word by that rule. LanceDB takes over a second to import: `open` does it, and is never
called by the thread that opens an agent, nor inside a running event loop.
"""

import importlib
import importlib.util
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from memgpt_core.errors import StoreBroken
from memgpt_core.failpoints import failpoint
from memgpt_core.ranking import words
from memgpt_core.stores.seals import seal, text_hash

TABLES = ("messages", "passages")
MIN_UNFOLDED = 1024
UNFOLDED_SHARE = 0.25
MERGES_MOST = 64
MERGES_SHARE = 1 / 256
"""New rows are folded in, too, after so many merges, or so many for each row of a large table: each leaves small files,
and a list of all that were there before."""

_KEPT = timedelta(milliseconds=1)
"""Nobody reads an old version: every use of the tables in this process waits for the other."""

FAULTS = (RuntimeError, ValueError, OSError)
"""What LanceDB raises, for a missing file and a full disk alike."""

DELETED_AT_ONCE = 2000
"""A document that goes may take thousands of rows along; a condition of all of them is slow to read."""


class IndexRow(NamedTuple):
    """A row of the index; `vector` is None while the text is not embedded."""

    id: str
    seq: int
    text: str
    vector: NDArray[np.float32] | None


def space(model: str | None, dim: int) -> str:
    """The part of a table's name that keeps embedding models apart; `words` when there is none."""
    if model is None:
        return "words"
    plain = re.sub(r"[^A-Za-z0-9]+", "-", model)
    return f"{plain}_{dim}" if plain == model else f"{plain}-{sha256(model.encode()).hexdigest()[:6]}_{dim}"


class LanceIndex:
    """The two tables of one embedding model (or of none) in an agent's index folder.

    Attributes:
        target: seq the merge under way leads to; the same as `position` while none is.
    """

    def __init__(self, folder: Path, model: str | None = None, dim: int = 0) -> None:
        self.folder = folder
        self.space = space(model, dim)
        self._model = model or ""
        self._dim = dim if model is not None else 0
        self._positions = folder / "positions.json"
        self._tables: dict[str, Any] = {}
        self._unfolded: dict[str, int] = {}
        self._merges: dict[str, int] = {}
        self._using = threading.Lock()
        self.position = self._read_position()
        self.target = self.position

    @property
    def ready(self) -> bool:
        """Whether it is open, so that a search may use it without waiting for an import."""
        return bool(self._tables)

    @staticmethod
    def installed() -> bool:
        """Whether there is a LanceDB to import."""
        return importlib.util.find_spec("lancedb") is not None

    def open(self) -> None:
        """Import LanceDB and open the tables, making what is missing.

        Raises:
            StoreBroken: LanceDB is not installed, or the tables cannot be used.
        """
        if self._tables:
            return
        os.environ.setdefault("LANCEDB_LOG", "error")
        try:
            lancedb: Any = importlib.import_module("lancedb")
            connection = lancedb.connect(str(self.folder))
            there = set(connection.list_tables(limit=1000).tables)
            wanted = {name: f"{name}_{self.space}" for name in TABLES}
            if not there.issuperset(wanted.values()):
                self.set_position(0)
            tables = {
                name: connection.open_table(full) if full in there else self._create(connection, full)
                for name, full in wanted.items()
            }
            for name, table in tables.items():
                if table.schema.names != self._schema().names:
                    # Of an earlier Memscope, which sealed no vectors.
                    connection.drop_table(wanted[name])
                    self.set_position(0)
                    tables[name] = self._create(connection, wanted[name])
            self._unfolded = {name: _unindexed(table) for name, table in tables.items()}
            self._merges = {name: _small_files(table) for name, table in tables.items()}
            self._tables = tables
        except (ImportError, *FAULTS) as error:
            raise self._broken(error) from error

    def merge(self, table: str, rows: Sequence[IndexRow]) -> None:
        """Put these rows in the place of those with the same ids; the last of equal ids wins.

        Raises:
            StoreBroken: nothing of the batch was merged.
        """
        if not rows:
            return
        latest = list({row.id: row for row in rows}.values())
        columns: dict[str, Any] = {
            "id": [row.id for row in latest],
            "seq": [row.seq for row in latest],
            "text": [row.text for row in latest],
            "words": [" ".join(words(row.text)) for row in latest],
        }
        if self._dim:
            columns["vector"] = [None if row.vector is None else row.vector.tolist() for row in latest]
            columns["seal"] = [None if row.vector is None else self._seal(row.text, row.vector) for row in latest]
        batch = pa.table(columns, schema=self._schema())
        with self._using:
            try:
                failpoint("index.before_merge")
                writer = self._table(table).merge_insert("id").when_matched_update_all()
                # "null" lets a row come without its vector; a vector that is there was checked before.
                writer.when_not_matched_insert_all().execute(batch, on_bad_vectors="null")
                failpoint("index.after_merge")
            except FAULTS as error:
                raise self._broken(error) from error
            self._unfolded[table] += len(latest)
            self._merges[table] += 1

    def delete(self, table: str, ids: Sequence[str]) -> None:
        """Take these ids out; ids that are not there change nothing."""
        with self._using:
            try:
                for at in range(0, len(ids), DELETED_AT_ONCE):
                    listed = ", ".join(f"'{id}'" for id in ids[at : at + DELETED_AT_ONCE])
                    self._table(table).delete(f"id IN ({listed})")
                    self._merges[table] += 1
            except FAULTS as error:
                raise self._broken(error) from error

    def words(self, table: str, text: str, limit: int) -> list[tuple[str, float]]:
        """(id, BM25) of the rows that have a word of `text`, best first."""
        try:
            query = importlib.import_module("lancedb.query")
            match = query.MatchQuery(text, "words")
            with self._using:
                search = self._table(table).search(match, query_type="fts").select(["id", "_score"]).limit(limit)
                found = search.to_arrow()
        except FAULTS as error:
            raise self._broken(error) from error
        return list(zip(found["id"].to_pylist(), found["_score"].to_pylist(), strict=True))

    def rows(self, table: str) -> Iterator[IndexRow]:
        """Every row, in no order, for `verify`."""
        names = ["id", "seq", "text"] + (["vector"] if self._dim else [])
        try:
            with self._using:
                batches = self._table(table).search().select(names).to_batches(1024).read_all().to_batches(1024)
        except FAULTS as error:
            raise self._broken(error) from error
        for batch in batches:
            ids, seqs, texts = (batch.column(name).to_pylist() for name in names[:3])
            vectors = self._vectors(batch) if self._dim else [None] * len(ids)
            yield from map(IndexRow, ids, seqs, texts, vectors)

    def kept(self, table: str, ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """By hash of the text, the vectors of these rows that are as they were written."""
        found: dict[str, NDArray[np.float32]] = {}
        if not self._dim:
            return found
        try:
            for at in range(0, len(ids), DELETED_AT_ONCE):
                listed = ", ".join(f"'{id}'" for id in ids[at : at + DELETED_AT_ONCE])
                search = self._table(table).search().where(f"id IN ({listed}) AND vector IS NOT NULL")
                with self._using:
                    rows = search.select(["text", "vector", "seal"]).to_arrow()
                for batch in rows.to_batches():
                    texts, seals = batch.column("text").to_pylist(), batch.column("seal").to_pylist()
                    for text, sealed, vector in zip(texts, seals, self._vectors(batch), strict=True):
                        if vector is not None and sealed == self._seal(text, vector):
                            found[text_hash(text)] = vector
        except FAULTS as error:
            raise self._broken(error) from error
        return found

    def drop_others(self) -> None:
        """Delete the tables of other embedding models; if one comes back, the home has its vectors."""
        with self._using:
            mine = {f"{name}_{self.space}.lance" for name in TABLES}
            others = [path for path in self.folder.glob("*.lance") if path.name not in mine]
            if not others:
                return
            for path in others:
                shutil.rmtree(path, ignore_errors=True)
            self._write_positions({self.space: self.position})

    def count(self, table: str) -> int:
        """How many rows it holds."""
        try:
            with self._using:
                return int(self._table(table).count_rows())
        except FAULTS as error:
            raise self._broken(error) from error

    def without_vector(self, table: str) -> set[str]:
        """Ids of the rows that came without a vector."""
        if not self._dim:
            return set()
        try:
            with self._using:
                found = self._table(table).search().where("vector IS NULL").select(["id"]).to_arrow()
        except FAULTS as error:
            raise self._broken(error) from error
        return set(found["id"].to_pylist())

    def tidy(self) -> None:
        """Fold new rows into the index once they are a quarter of it: the cost stays a constant share a row.

        Rows that come one by one are folded in earlier, before their many small files are most of what is on disk.
        """
        with self._using:
            for name, table in self._tables.items():
                try:
                    rows = table.count_rows()
                    many = self._unfolded[name] >= max(MIN_UNFOLDED, UNFOLDED_SHARE * rows)
                    if many or self._merges[name] >= max(MERGES_MOST, MERGES_SHARE * rows):
                        table.optimize(cleanup_older_than=_KEPT)
                        self._unfolded[name] = self._merges[name] = 0
                except FAULTS as error:
                    raise self._broken(error) from error

    def set_position(self, seq: int) -> None:
        """Remember that every event up to `seq` is in the index."""
        self._write_positions({**self._read_positions(), self.space: seq})
        self.position = self.target = seq

    def _write_positions(self, positions: dict[str, int]) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            partial = self._positions.with_suffix(".new")
            partial.write_text(json.dumps(positions), encoding="utf-8")
            partial.replace(self._positions)
        except OSError as error:
            raise self._broken(error) from error

    def drop(self) -> None:
        """Delete the index, of every model; the next `open` makes an empty one."""
        with self._using:
            self._tables = {}
            shutil.rmtree(self.folder, ignore_errors=True)
            self.position = self.target = 0

    def close(self) -> None:
        """Let go of the tables."""
        with self._using:
            self._tables = {}

    def _table(self, name: str) -> Any:
        tables = self._tables
        if name not in tables:
            raise StoreBroken("The search index is closed; it opens again by itself.")
        return tables[name]

    def _schema(self) -> pa.Schema:
        fields = [
            pa.field("id", pa.string(), nullable=False),
            pa.field("seq", pa.int64()),
            pa.field("text", pa.string()),
            pa.field("words", pa.string()),
        ]
        if self._dim:
            fields += [pa.field("vector", pa.list_(pa.float32(), self._dim)), pa.field("seal", pa.string())]
        return pa.schema(fields)

    def _seal(self, text: str, vector: NDArray[np.float32]) -> str:
        blob = np.ascontiguousarray(vector, dtype="<f4").tobytes()
        return seal(self._model, self._dim, text_hash(text), blob)

    def _create(self, connection: Any, full: str) -> Any:
        table = connection.create_table(full, schema=self._schema())
        # Without it, two merges of one new id at a time would both insert it.
        table.set_unenforced_primary_key("id")
        indexes = importlib.import_module("lancedb.index")
        table.create_index(
            "words",
            config=indexes.FTS(
                base_tokenizer="whitespace",
                max_token_length=None,
                lower_case=False,
                stem=False,
                remove_stop_words=False,
                ascii_folding=False,
            ),
        )
        return table

    def _vectors(self, batch: pa.RecordBatch) -> list[NDArray[np.float32] | None]:
        column = batch.column("vector")
        flat = column.fill_null([0.0] * self._dim).flatten().to_numpy(zero_copy_only=False).reshape(-1, self._dim)
        return [row if there else None for row, there in zip(flat, column.is_valid().to_pylist(), strict=True)]

    def _read_positions(self) -> dict[str, int]:
        try:
            found = json.loads(self._positions.read_text(encoding="utf-8"))
            return {str(name): int(seq) for name, seq in found.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}

    def _read_position(self) -> int:
        return self._read_positions().get(self.space, 0)

    def _broken(self, error: Exception) -> StoreBroken:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        # What follows is where in LanceDB's own source it happened, which helps nobody here.
        said = re.split(r",? (?:/|rust/|[\w./-]+\.rs:)", first)[0][:200]
        return StoreBroken(
            f"The search index could not be used ({said}). Search goes on without it and finds the same; "
            "rebuild the index, or free disk space if it is full."
        )


def _small_files(table: Any) -> int:
    return int(table.stats()["fragment_stats"]["num_small_fragments"])


def _unindexed(table: Any) -> int:
    return sum(table.index_stats(index.name).num_unindexed_rows for index in table.list_indices())
