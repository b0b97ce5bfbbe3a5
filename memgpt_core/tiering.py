"""Which vectors of an agent stay in RAM: all of them while they fit its budget, beyond it the rest goes to disk.

Works behind the searches: what is on its way to disk stays in RAM and is found there until the index has it. Chooses
the index by the number of rows and measures what it finds. Does not search and does not embed.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from memgpt_core.errors import StoreBroken
from memgpt_core.hot import INDEXED, HotTier
from memgpt_core.ranking import SHORTLIST
from memgpt_core.settings import VECTORS_MB
from memgpt_core.stores.index import space
from memgpt_core.stores.nearest import ROWS_AT_ONCE, Kind, NearestVectors, Vectors, kind_for
from memgpt_core.stores.tiered import TieredMatrix

LEAST_MOVED = 4096
MOVED_SHARE = 0.1
"""New vectors go to disk once they are so many, and so large a share of those that are there."""

GROWN = 2.0
"""The index is made anew at so many times its rows; until then new rows join the parts it has."""

SAMPLE = 48
RECALL_DEPTH = 10
RECALL_WANTED = 0.98
"""More parts are looked into until so large a share of the ten nearest is found."""

SEARCHES_LOOKED_BACK = 64
_BYTES = 4


class Tier(NamedTuple):
    """Where the vectors of one table are.

    Attributes:
        vectors, held: how many there are, and how many of them in RAM.
        kind: what finds the others on disk; None while there are none.
    """

    table: str
    vectors: int
    held: int
    kind: Kind | None


class Tiering:
    """The vectors of one agent; `follow` is called by one thread at a time."""

    def __init__(self, folder: Path, hot: HotTier, model: str, dim: int, budget_mb: int | None) -> None:
        self.budget_mb = VECTORS_MB if budget_mb is None else budget_mb
        self.vector_bytes = _BYTES * dim
        self._hot = hot
        self._folder = folder
        self._alone = False
        self._far = {table: NearestVectors(folder, f"{table}_{space(model, dim)}", dim) for table in INDEXED}

    def attach(self) -> None:
        """Have the vectors that were put on disk before found there; before the first are read into RAM."""
        for table, far in self._far.items():
            with self._hot.lock:
                matrix = self._matrix(table)
                if matrix.far or matrix.position or not far.there:
                    continue
                try:
                    far.open()
                    if far.rows * self.vector_bytes > self.budget_mb * 1e6:
                        matrix.spread(far)
                        continue
                except StoreBroken:
                    # Nothing is lost: the home has every vector.
                    pass
                far.drop()

    def follow(self, go_on: Callable[[], bool] = lambda: True) -> None:
        """Put on disk what is too much for RAM, and choose anew what stays.

        Raises:
            StoreBroken: it could not; until it can, everything stays in RAM.
        """
        self._drop_former()
        for table in INDEXED:
            self._renew_stale(table)
        with self._hot.lock:
            slots = {table: self._matrix(table).slots for table in INDEXED}
        fits = sum(slots.values()) * self.vector_bytes <= self.budget_mb * 1e6
        for table, count in slots.items():
            matrix, far = self._matrix(table), self._far[table]
            if (fits and matrix.far is None) or not go_on():
                continue
            with self._hot.lock:
                waiting = matrix.waiting()
            if waiting >= max(LEAST_MOVED, MOVED_SHARE * far.rows):
                self._move(matrix, far)
            elif matrix.far is None or matrix.searches < SEARCHES_LOOKED_BACK:
                continue
            self._choose(matrix, round(self.budget_mb * 1e6 / self.vector_bytes * count / sum(slots.values())))

    def drop(self) -> None:
        """Delete what is on disk; it is put there again when it is too much for RAM."""
        for far in self._far.values():
            far.drop()

    def _drop_former(self) -> None:
        """Delete, once, what other embedding models had here: the home has their vectors, and none of them answers."""
        if not self._alone and self._folder.is_dir():
            mine = {far.folder for far in self._far.values()}
            for folder in self._folder.iterdir():
                if folder not in mine:
                    shutil.rmtree(folder, ignore_errors=True)
        self._alone = True

    def view(self) -> tuple[Tier, ...]:
        """Where the vectors are now."""
        found = []
        for table in INDEXED:
            matrix = self._matrix(table)
            found.append(Tier(table, matrix.slots, matrix.held, matrix.far.kind if matrix.far else None))
        return tuple(found)

    def _matrix(self, table: str) -> TieredMatrix:
        matrix = self._hot.tables[table].matrix
        assert matrix is not None
        return matrix

    def _renew_stale(self, table: str) -> None:
        with self._hot.lock:
            if self._matrix(table).stale:
                self._far[table].drop()
                self._hot.tables[table].forget_vectors()

    def _move(self, matrix: TieredMatrix, far: NearestVectors) -> None:
        if matrix.far is None:
            far.drop()
            far.open()
        last = -1
        while True:
            with self._hot.lock:
                slots, marks, vectors = matrix.pending(ROWS_AT_ONCE, last)
            if not len(slots):
                break
            far.add(slots, marks, vectors)
            last = int(slots[-1])
        if far.rows >= GROWN * far.kind.rows or far.kind.exact:
            train(far)
        else:
            far.refresh()
            far.keep(tuned(far, far.kind)._replace(rows=far.kind.rows))
        with self._hot.lock:
            # Searches hold the lock: none reads what is deleted.
            far.prune()
            matrix.spread(far)

    def _choose(self, matrix: TieredMatrix, most: int) -> None:
        with self._hot.lock:
            slots, lacking = matrix.wanted(most)
        read = matrix.reads(lacking)
        with self._hot.lock:
            matrix.hold(slots, lacking, read)


def train(far: NearestVectors) -> None:
    """Give a table the index that suits its size: one bit a number, or a byte where those do not tell enough."""
    for name in ("IVF_RQ", "IVF_SQ"):
        far.train(kind_for(far.rows, name))
        kind = tuned(far, far.kind)
        if kind.recall >= RECALL_WANTED:
            break
    far.keep(kind)


def tuned(far: NearestVectors, kind: Kind) -> Kind:
    """The kind with as many parts looked into as it takes to find what is wanted, and what it then finds.

    Measured with stored vectors as queries, each without itself, against comparing all.
    """
    if kind.exact:
        return kind
    rows = np.sort(np.random.default_rng(far.rows).choice(far.rows, min(SAMPLE, far.rows), replace=False))
    queries = far.at(rows)
    tenth = _tenth_best(far, queries)
    while True:
        found = 0
        for query, least in zip(queries, tenth, strict=True):
            _, cosines = far.find(query, SHORTLIST, kind.probes)
            # The query itself is the nearest to itself.
            found += min(RECALL_DEPTH, int((cosines[1:] >= least - 1e-5).sum()))
        kind = kind._replace(recall=found / (RECALL_DEPTH * len(queries)))
        if kind.recall >= RECALL_WANTED or 2 * kind.probes > kind.parts:
            return kind
        kind = kind._replace(probes=2 * kind.probes)


def _tenth_best(far: NearestVectors, queries: Vectors) -> Vectors:
    """By query, the cosine of the tenth nearest beside itself."""
    best = np.full((len(queries), RECALL_DEPTH + 1), -2.0, np.float32)
    for _, vectors in far.all():
        both = np.concatenate([best, queries @ vectors.T], axis=1)
        best = np.partition(both, both.shape[1] - RECALL_DEPTH - 1, axis=1)[:, -RECALL_DEPTH - 1 :]
    lowest: Vectors = best.min(axis=1)
    return lowest
