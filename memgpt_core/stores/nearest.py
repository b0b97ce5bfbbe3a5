"""The vectors of one table of an agent that has more than its RAM may hold, in LanceDB, found by an approximate index.

Rows are only ever added: a vector under its slot (its place in the agent's own order) with a mark of what it is of, so
that versions that ended are found, too, and nothing here need follow an edit. LanceDB does not sync, so nothing is
relied on after a power loss: what is not there is added again, and a table that cannot be used is dropped. LanceDB
says which rows are near; they are compared with what a plain file has, which is ten times as fast as reading them from
LanceDB. Does not know texts, rows or filters.
"""

import importlib
import importlib.util
import json
import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from memgpt_core.errors import StoreBroken
from memgpt_core.stores.index import FAULTS
from memgpt_core.stores.plain_vectors import PlainVectors

Numbers = NDArray[np.int64]
Vectors = NDArray[np.float32]

ROWS_AT_ONCE = 50_000
REFINED_MOST = 1024
"""So many hits at most are compared by their whole vectors, at a read each."""

FLAT_MOST = 5000
"""So many are read and compared for each search: in some 20 ms, and nothing is missed."""

_KEPT = timedelta(milliseconds=1)
_ROWS_IN_PART = 4096
_PARTS_MOST = 1024


class Kind(NamedTuple):
    """How a table is looked through: `FLAT` is exact, the others look into the nearest of some parts.

    Attributes:
        probes: into how many of the parts.
        recall: the share of the ten nearest that was found, measured; 1 when exact.
    """

    name: str = "FLAT"
    parts: int = 0
    probes: int = 0
    rows: int = 0
    recall: float = 1.0

    @property
    def exact(self) -> bool:
        """Whether nothing near is missed."""
        return self.name == "FLAT"


def kind_for(rows: int, name: str = "IVF_RQ") -> Kind:
    """What suits so many rows: up to `FLAT_MOST` all are compared, beyond that an index of this name."""
    if rows <= FLAT_MOST:
        return Kind(rows=rows)
    parts = min(_PARTS_MOST, max(8, rows // _ROWS_IN_PART))
    return Kind(name, parts, max(4, parts // 16), rows)


class NearestVectors:
    """One table of vectors on disk.

    Attributes:
        rows: how many there are.
        kind: how they are looked through now.
    """

    def __init__(self, folder: Path, name: str, dim: int) -> None:
        self.folder = folder / name
        self.rows = 0
        self.kind = Kind()
        self._dim = dim
        self._table: Any = None
        self._plain = PlainVectors(self.folder, dim)
        self._kept = self.folder / "kind.json"

    @staticmethod
    def installed() -> bool:
        """Whether there is a LanceDB to import."""
        return importlib.util.find_spec("lancedb") is not None

    @property
    def there(self) -> bool:
        """Whether something was kept; looks at the disk alone."""
        return self._kept.exists()

    def open(self) -> None:
        """Import LanceDB and open the table, or make an empty one.

        Raises:
            StoreBroken: LanceDB is not installed, or the table cannot be used.
        """
        os.environ.setdefault("LANCEDB_LOG", "error")
        try:
            lancedb: Any = importlib.import_module("lancedb")
            connection = lancedb.connect(str(self.folder))
            self._table = connection.create_table("vectors", schema=self._schema(), exist_ok=True)
            self.rows = self._table.count_rows()
            self._plain.open(self.rows)
            if self.there:
                self.kind = Kind(**json.loads(self._kept.read_text(encoding="utf-8")))
            if not self.kind.exact and not self._table.list_indices():
                self.kind = Kind(rows=self.rows)
        except (ImportError, TypeError, *FAULTS) as error:
            raise _broken(error) from error

    def keys(self) -> tuple[Numbers, Numbers]:
        """(slots, marks) of all rows, in the order in which `at` counts them."""
        return self._plain.slots, self._plain.marks

    def add(self, slots: Numbers, marks: Numbers, vectors: Vectors) -> None:
        """Add rows; `vectors` are (n, d) float32, unit length.

        Raises:
            StoreBroken: the disk refused.
        """
        try:
            # First, because the index says how many there are.
            rows = self._plain.add(slots, marks, vectors)
            columns = [pa.array(rows), pa.FixedSizeListArray.from_arrays(vectors.reshape(-1), self._dim)]
            self._table.add(pa.table(columns, schema=self._schema()))
            self.rows = self._table.count_rows()
        except FAULTS as error:
            raise _broken(error) from error

    def train(self, kind: Kind) -> None:
        """Have the rows looked through in another way from now on; until it is ready the old way goes on."""
        indexes = importlib.import_module("lancedb.index")
        try:
            if not kind.exact:
                made = {"IVF_RQ": indexes.IvfRq, "IVF_SQ": indexes.IvfSq}[kind.name]
                config = made(distance_type="cosine", num_partitions=kind.parts)
                self._table.create_index("vector", config=config, replace=True)
            self._table.optimize()
        except FAULTS as error:
            raise _broken(error) from error
        self.kind = kind._replace(rows=self.rows)

    def refresh(self) -> None:
        """Have the index take the rows that were added since, and fold small files into one."""
        try:
            self._table.optimize()
        except FAULTS as error:
            raise _broken(error) from error

    def prune(self) -> None:
        """Delete what no search needs any more; while none runs."""
        try:
            self._table.optimize(cleanup_older_than=_KEPT)
        except FAULTS as error:
            raise _broken(error) from error

    def keep(self, kind: Kind) -> None:
        """Remember how the rows are looked through, and how well that finds."""
        self.kind = kind
        partial = self._kept.with_suffix(".new")
        try:
            partial.write_text(json.dumps(kind._asdict()), encoding="utf-8")
            partial.replace(self._kept)
        except OSError as error:
            raise _broken(error) from error

    def find(self, query: NDArray[np.float32], most: int, probes: int = 0) -> tuple[Numbers, NDArray[np.float64]]:
        """(slots, cosines) of the nearest by the index, nearest first; `probes` other than the kind's own.

        Above `REFINED_MOST` the cosines are the index's own guess.
        """
        try:
            search = self._table.search(query).distance_type("cosine").select(["row", "_distance"]).limit(most)
            found = search.nprobes(probes or self.kind.probes).to_arrow()
            rows = found["row"].to_numpy()
            cosines = 1 - found["_distance"].to_numpy().astype(np.float64)
            if most <= REFINED_MOST:
                # All that are asked for are compared by their whole vectors: forty for each of the first ten.
                cosines = (self._plain.at(rows) * query.astype(np.float64)).sum(axis=1)
                order = np.argsort(-cosines, kind="stable")
                rows, cosines = rows[order], cosines[order]
        except FAULTS as error:
            raise _broken(error) from error
        return self._plain.slots[rows], cosines

    def at(self, rows: Numbers) -> Vectors:
        """The vectors of these rows, numbered as in `keys`; (n, d) float32."""
        try:
            return self._plain.at(rows)
        except FAULTS as error:
            raise _broken(error) from error

    def all(self) -> Iterator[tuple[Numbers, Vectors]]:
        """(slots, vectors) of everything, some thousands at a time."""
        try:
            yield from self._plain.all()
        except FAULTS as error:
            raise _broken(error) from error

    def drop(self) -> None:
        """Delete it."""
        self._table, self.rows, self.kind = None, 0, Kind()
        self._plain = PlainVectors(self.folder, self._dim)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _schema(self) -> pa.Schema:
        return pa.schema([("row", pa.int64()), ("vector", pa.list_(pa.float32(), self._dim))])


def _broken(error: Exception) -> StoreBroken:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return StoreBroken(
        f"The vectors that are not kept in RAM could not be used ({first}). They are made again from those of the "
        "home; free disk space if it is full."
    )
