"""One table's vectors as one NumPy matrix, for exact similarity in RAM.

Holds every version of a row with the interval in which it stood, so that *now* and *as of n* are the same
search. Knows numbers and ids; does not know texts, databases or embedders.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_CAPACITY = 256
_OPEN = np.iinfo(np.int64).max
_NEAR = 1e-5
"""float32 products of differently shaped matrices agree to this; nearer calls are made again in float64."""


class MatrixRow(NamedTuple):
    """A version of a row: where it stood (`seq_to` None while current), when (microseconds), which text."""

    id: str
    seq_from: int
    seq_to: int | None
    at_us: int
    role: str
    hash: str


class Part(NamedTuple):
    """Which versions are searched: those that stood at `n`, of these roles (all when empty), in [start, end)."""

    n: int
    roles: tuple[str, ...]
    start_us: int
    end_us: int
    only: Collection[str] | None
    exclude: Collection[str]


class VectorMatrix:
    """The vectors of one table; a row whose vector is not known yet is never similar to anything."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.position = 0
        self.rows: list[MatrixRow] = []
        self._versions: dict[str, list[int]] = {}
        self._lacking: dict[str, list[int]] = {}
        self._roles: dict[str, int] = {}
        self._vectors = np.zeros((_CAPACITY, dim), dtype=np.float32)
        self._from = np.zeros(_CAPACITY, dtype=np.int64)
        self._to = np.zeros(_CAPACITY, dtype=np.int64)
        self._at = np.zeros(_CAPACITY, dtype=np.int64)
        self._role = np.zeros(_CAPACITY, dtype=np.int8)
        self._has = np.zeros(_CAPACITY, dtype=np.bool_)

    def add(self, row: MatrixRow) -> None:
        """A version begins; its vector is still lacking."""
        at = len(self.rows)
        if at == len(self._from):
            self._double()
        self.rows.append(row)
        self._versions.setdefault(row.id, []).append(at)
        self._lacking.setdefault(row.hash, []).append(at)
        self._from[at] = row.seq_from
        self._to[at] = _OPEN if row.seq_to is None else row.seq_to
        self._at[at] = row.at_us
        self._role[at] = self._roles.setdefault(row.role, len(self._roles))

    def end(self, id: str, seq_from: int, seq_to: int) -> None:
        """A version ends at `seq_to`."""
        for at in self._versions.get(id, ()):
            if self._from[at] == seq_from:
                self._to[at] = seq_to
                self.rows[at] = self.rows[at]._replace(seq_to=seq_to)

    def fill(self, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Give every version whose text has one of these hashes its vector."""
        for hash, vector in vectors.items():
            for at in self._lacking.pop(hash, ()):
                self._vectors[at] = vector
                self._has[at] = True

    def lacking(self) -> list[MatrixRow]:
        """One version of every text without a vector, current ones first, newest first."""
        rows = [self.rows[versions[-1]] for versions in self._lacking.values()]
        return sorted(rows, key=lambda row: (row.seq_to is not None, -row.seq_from))

    def not_embedded(self) -> set[str]:
        """Ids of the current rows without a vector."""
        return {
            self.rows[at].id for versions in self._lacking.values() for at in versions if self.rows[at].seq_to is None
        }

    def similar(
        self, query: NDArray[np.float32], part: Part, *, floor: float, size: int, also: Collection[str]
    ) -> tuple[dict[str, float], set[str]]:
        """The nearest rows of a part: (cosine by id of the `size` best and of `also`; all ids at or over `floor`).

        `query` is (d,) float32, unit length; cosines are rounded to 1e-6.
        """
        mask = self._mask(part)
        there = np.flatnonzero(mask)
        if not len(there):
            return {}, set()
        rough = self._vectors[: len(self.rows)] @ query
        exact_query = query.astype(np.float64)
        over = there[rough[there] >= floor - _NEAR]
        close = over[rough[over] < floor + _NEAR]
        below = close[self._exact(close, exact_query) < floor]
        over = np.setdiff1d(over, below, assume_unique=True)
        best = over
        if len(over) > size:
            least = np.partition(rough[over], len(over) - size)[len(over) - size]
            best = over[rough[over] >= least - _NEAR]
        scored = dict(zip((self.rows[at].id for at in best), self._exact(best, exact_query).tolist(), strict=True))
        if len(scored) > size:
            kept = sorted(scored, key=lambda id: (-scored[id], -int(id[1:])))[:size]
            scored = {id: scored[id] for id in kept}
        wanted = [at for id in also if id not in scored for at in self._versions.get(id, ()) if mask[at]]
        rest = np.array(wanted, dtype=np.int64)
        scored.update(zip((self.rows[at].id for at in rest), self._exact(rest, exact_query).tolist(), strict=True))
        return scored, {self.rows[at].id for at in over}

    def _exact(self, rows: NDArray[np.int64], query: NDArray[np.float64]) -> NDArray[np.float64]:
        # A sum along each row, not a matrix product: its rounding does not depend on the other rows.
        products = self._vectors[rows].astype(np.float64) * query
        cosines: NDArray[np.float64] = np.round(products.sum(axis=1), 6)
        return cosines

    def _mask(self, part: Part) -> NDArray[np.bool_]:
        size = len(self.rows)
        mask: NDArray[np.bool_] = self._has[:size] & (self._from[:size] <= part.n) & (self._to[:size] > part.n)
        mask &= (self._at[:size] >= part.start_us) & (self._at[:size] < part.end_us)
        if part.roles:
            mask &= np.isin(self._role[:size], [self._roles[role] for role in part.roles if role in self._roles])
        for id in part.exclude:
            mask[self._versions.get(id, [])] = False
        if part.only is not None:
            kept = np.zeros(size, dtype=np.bool_)
            for id in part.only:
                kept[self._versions.get(id, [])] = True
            mask &= kept
        return mask

    def _double(self) -> None:
        self._vectors = np.concatenate([self._vectors, np.zeros_like(self._vectors)])
        self._from = np.concatenate([self._from, np.zeros_like(self._from)])
        self._to = np.concatenate([self._to, np.zeros_like(self._to)])
        self._at = np.concatenate([self._at, np.zeros_like(self._at)])
        self._role = np.concatenate([self._role, np.zeros_like(self._role)])
        self._has = np.concatenate([self._has, np.zeros_like(self._has)])
