"""One table's vectors when RAM may not hold them all: recent, often hit and new ones here, the others found on disk.

While all fit this is the matrix it is made from, and exact. Beyond that a search looks through what is in RAM and asks
the index on disk for the nearest of the rest; what it then compares closely, it reads. Does not decide what stays in
RAM nor when the disk takes what (`tiering`), and knows no texts.
"""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from memgpt_core.ranking import SHORTLIST, Context
from memgpt_core.stores.matrix import NO_COSINE, Cosines, Rough, Vector, VectorMatrix
from memgpt_core.stores.nearest import REFINED_MOST, NearestVectors, Numbers
from memgpt_core.stores.versions import NONE, Mask, Places, Versions

READ_MOST = 4096
"""So few vectors that pass a search's filters are read and compared one by one."""

ENOUGH = 64
"""A filtered search asks the index for more until so many hits pass, a few pages."""

ASKED_MOST = 40_000
"""Beyond so many hits asked for, the whole table is read instead."""

COUNTED_MOST = 50_000
HIT_PER_SEARCH = 10


class TieredMatrix(VectorMatrix):
    """The vectors of one table, all of them in RAM until `spread`.

    Attributes:
        far: the rest; None while all are in RAM.
        exhausted: whether the last search looked at everything.
        stale: the disk has other vectors than these texts', or cannot be read; it must be dropped.
        searches: how many asked the disk since RAM was last chosen anew.
    """

    def __init__(self, dim: int, versions: Versions, context: Context) -> None:
        super().__init__(dim, versions, context)
        self.far: NearestVectors | None = None
        self.exhausted = True
        self.stale = False
        self.searches = 0
        self._marks = np.zeros(0, np.int64)
        self._hash_marks = np.zeros(0, np.int64)
        self._far_row = np.zeros(0, np.int64)
        self._row = np.zeros(0, np.int64)
        self._slots = np.zeros(0, np.int64)
        self._held = 0
        self._hits: Counter[int] = Counter()
        self._told: tuple[Places, Cosines] = (np.zeros(0, np.int64), np.zeros(0))

    # --- what is where ----------------------------------------------------------------------------------------

    @property
    def held(self) -> int:
        """How many vectors are in RAM."""
        return self._held if self.far else int(self._filled[: self._used].sum())

    @property
    def slots(self) -> int:
        """How many vectors there are or will be."""
        return self._used

    def pending(self, most: int, behind: int = NONE) -> tuple[Numbers, Numbers, NDArray[np.float32]]:
        """(slots, marks, vectors) of at most so many that the disk has not, oldest first, all `behind` a slot."""
        waiting = self._waiting()
        waiting = waiting[waiting > behind][:most]
        return waiting, self._hash_marks[waiting], self._vectors[self._rows_of(waiting)]

    def waiting(self) -> int:
        """How many vectors the disk has not."""
        return len(self._waiting())

    def spread(self, far: NearestVectors) -> None:
        """Look beyond RAM from now on; called again once the disk has more."""
        slots, marks = far.keys()
        size = max(len(self._filled), int(slots.max(initial=-1)) + 1)
        if self.far is None:
            self._slots = np.flatnonzero(self._filled[: self._used])
            self._vectors = self._vectors[: self._used][self._slots]
            self._held = len(self._slots)
            self._row = np.full(size, NONE)
            self._row[self._slots] = np.arange(self._held)
        self._far_row, self._marks = np.full(size, NONE), np.zeros(size, np.int64)
        self._far_row[slots], self._marks[slots] = np.arange(len(slots)), marks
        self.far = far

    def wanted(self, most: int) -> tuple[Numbers, Numbers]:
        """(what should be in RAM, rising; what of that must be read): new ones, often hit ones, the newest."""
        waiting = self._waiting()
        often = [slot for slot, times in self._hits.most_common(most // 4) if times > 1]
        chosen = np.union1d(waiting, np.array(often, np.int64))
        newest = np.setdiff1d(self._slots[: self._held], chosen)[::-1][: max(0, most - len(chosen))]
        chosen = np.union1d(chosen, newest)
        return chosen, chosen[self._row[chosen] == NONE]

    def hold(self, slots: Numbers, read: Numbers, vectors: NDArray[np.float32]) -> None:
        """Have these in RAM (and what came meanwhile), and no others; `vectors` are those of `read`."""
        kept = np.union1d(np.setdiff1d(slots, read), self._waiting())
        self._vectors = np.concatenate([self._vectors[self._row[kept]], vectors])
        self._slots = np.concatenate([kept, read])
        self._held = len(self._slots)
        self._row[:] = NONE
        self._row[self._slots] = np.arange(self._held)
        self.searches = 0

    def reads(self, slots: Numbers) -> NDArray[np.float32]:
        """The vectors of these slots, from the disk."""
        assert self.far is not None
        return self.far.at(self._far_row[slots])

    def _waiting(self) -> Numbers:
        if self.far is None:
            return np.flatnonzero(self._filled[: self._used])
        return np.sort(self._slots[: self._held][self._far_row[self._slots[: self._held]] == NONE])

    def _rows_of(self, slots: Numbers) -> Numbers:
        return slots if self.far is None else self._row[slots]

    # --- growing ----------------------------------------------------------------------------------------------

    def _known(self, slot: int, hash: str) -> bool:
        mark = int.from_bytes(bytes.fromhex(hash[:16]), signed=True)
        if slot >= len(self._hash_marks):
            self._hash_marks = _grown(self._hash_marks, slot, 0)
        self._hash_marks[slot] = mark
        if self.far is None:
            return False
        if slot >= len(self._far_row):
            self._far_row, self._marks = _grown(self._far_row, slot, NONE), _grown(self._marks, slot, 0)
        if slot >= len(self._row):
            self._row = _grown(self._row, slot, NONE)
        there = self._far_row[slot] != NONE
        self.stale |= bool(there and self._marks[slot] != mark)
        return bool(there)

    def _put(self, slot: int, vector: Vector) -> None:
        if self.far is None:
            super()._put(slot, vector)
            return
        if self._held == len(self._vectors):
            more = max(256, self._held // 4)
            self._vectors = np.concatenate([self._vectors, np.zeros((more, self.dim), np.float32)])
        if self._held >= len(self._slots):
            self._slots = _grown(self._slots, self._held, NONE)
        self._vectors[self._held], self._slots[self._held], self._row[slot] = vector, slot, self._held
        self._held += 1

    # --- searching --------------------------------------------------------------------------------------------

    def rough(self, query: Vector, before: Places, after: Places, among: Mask | None = None, size: int = 0) -> Rough:
        """By version, its cosine with context, as far as it was looked at; NO_COSINE otherwise."""
        self.exhausted = True
        self._told = (np.zeros(0, np.int64), np.zeros(0))
        if self.far is None:
            return super().rough(query, before, after, among, size)
        own = np.full(self.versions.size, NO_COSINE, np.float32)
        own[: self.covered] = self._by_version(self._looked_up(query, among, size))
        if any(self._context):
            best = np.flatnonzero(own > NO_COSINE)
            best = best[np.argsort(-own[best], kind="stable")][: max(1, size)]
            # A message is near, too, when the one beside it is.
            beside = np.concatenate([before[best[: size // 4]], after[best[: size // 4]]])
            beside = beside[(beside != NONE) & (beside < self.covered)]
            near = np.union1d(best, beside[self._has[beside]])
            own[near] = self.exact(near, query, before, after)
        return own

    def exact(self, places: Places, query: Vector, before: Places, after: Places) -> Cosines:
        """Cosines with context of these versions, all with vectors, rounded to 1e-6; reads what is not in RAM."""
        if self.far is None:
            return super().exact(places, query, before, after)
        wide = query.astype(np.float64)
        if not any(self._context):
            return np.round(self._best_piece(places, wide), 6)
        back, ahead = self._there(before, places), self._there(after, places)
        everyone, at = np.unique(np.concatenate([places, back, ahead]), return_inverse=True)
        real = everyone != NONE
        vectors = np.zeros((len(everyone), self.dim))
        vectors[real] = self._vectors_at(self._first[everyone[real]])
        own = np.zeros(len(everyone))
        own[real] = self._best_piece(everyone[real], wide)
        mine, b, a = np.split(at, 3)
        wb, wa = self._context.before * (back != NONE), self._context.after * (ahead != NONE)
        dots = [(vectors[x] * vectors[y]).sum(axis=1) for x, y in ((mine, b), (mine, a), (b, a))]
        lengths = np.sqrt(1 + wb * wb + wa * wa + 2 * (wb * dots[0] + wa * dots[1] + wb * wa * dots[2]))
        rounded: Cosines = np.round((own[mine] + wb * own[b] + wa * own[a]) / lengths, 6)
        return rounded

    def _there(self, beside: Places, places: Places) -> Places:
        """The neighbours of these that have vectors."""
        found = beside[places]
        found = np.where(found < self.covered, found, NONE)
        return np.where((found != NONE) & self._has[np.maximum(found, 0)], found, NONE)

    def _best_piece(self, places: Places, query: NDArray[np.float64]) -> Cosines:
        told, cosines = self._told
        at = np.minimum(np.searchsorted(told, places), max(0, len(told) - 1))
        found = np.zeros(len(places))
        known = told[at] == places if len(told) else np.zeros(len(places), np.bool_)
        found[known] = cosines[at[known]]
        asked = places[~known]
        if len(asked):
            counts = self._pieces[asked]
            starts = np.cumsum(counts) - counts
            slots = np.repeat(self._first[asked] - starts, counts) + np.arange(int(counts.sum()))
            products = (self._vectors_at(slots) * query).sum(axis=1)
            found[~known] = np.maximum.reduceat(products, starts)
        return found

    def _vectors_at(self, slots: Numbers) -> NDArray[np.float32]:
        found = np.empty((len(slots), self.dim), np.float32)
        rows = self._row[slots]
        here = rows != NONE
        found[here] = self._vectors[rows[here]]
        if not here.all():
            found[~here] = self.reads(slots[~here])
        return found

    def _looked_up(self, query: Vector, among: Mask | None, size: int) -> Rough:
        """By slot, the cosines of what is in RAM and of the nearest on disk."""
        by_slot = np.full(self._used, NO_COSINE, np.float32)
        by_slot[self._slots[: self._held]] = self._vectors[: self._held] @ query
        slots, cosines = self._nearest(query, among, max(SHORTLIST, size))
        kept = (slots < self._used) & self._filled[np.minimum(slots, len(self._filled) - 1)]
        slots, cosines = slots[kept], cosines[kept].astype(np.float64)
        by_slot[slots] = cosines
        owners = self._owner[slots]
        # Of a text in pieces another piece may be nearer, in RAM.
        whole = self._pieces[owners] == 1
        order = np.argsort(owners[whole])
        self._told = (owners[whole][order], cosines[whole][order])
        self.searches += 1
        self._hits.update(slots[:HIT_PER_SEARCH].tolist())
        if len(self._hits) > COUNTED_MOST:
            self._hits = Counter({slot: times for slot, times in self._hits.items() if times > 1})
        return by_slot

    def _nearest(self, query: Vector, among: Mask | None, size: int) -> tuple[Numbers, NDArray[np.floating]]:
        """(slots, cosines) of the nearest on disk that are searched, nearest first."""
        assert self.far is not None
        far = self.far
        passing = 1.0 if among is None or among.all() else float(among.mean())
        if among is not None and passing * far.rows <= READ_MOST:
            return self._compared(query, self._on_disk(np.flatnonzero(among[: self.covered])))
        if far.kind.exact:
            return self._read_through(query, among)
        wanted = size if passing == 1.0 else min(size, ENOUGH)
        most, probes = min(far.rows, ASKED_MOST, int(size / passing) + 1), far.kind.probes
        while True:
            slots, cosines = far.find(query, most, probes)
            if among is not None and passing < 1.0:
                known = slots < self._used
                slots, cosines = slots[known], cosines[known]
                kept = among[self._owner[slots]]
                slots, cosines = slots[kept], cosines[kept]
            if len(slots) >= wanted or most >= far.rows:
                self.exhausted = False
                return (slots, cosines) if most <= REFINED_MOST else self._compared(query, slots[:size])
            if most >= ASKED_MOST:
                return self._read_through(query, among)
            most, probes = min(far.rows, ASKED_MOST, 4 * most), 2 * probes

    def _compared(self, query: Vector, slots: Numbers) -> tuple[Numbers, Rough]:
        cosines = self._vectors_at(slots) @ query
        order = np.argsort(-cosines, kind="stable")
        return slots[order], cosines[order]

    def _read_through(self, query: Vector, among: Mask | None) -> tuple[Numbers, Rough]:
        """The same by comparing everything on disk."""
        assert self.far is not None
        found = []
        for slots, vectors in self.far.all():
            kept = slots < self._used
            kept[kept] &= True if among is None else among[self._owner[slots[kept]]]
            found.append((slots[kept], vectors[kept] @ query))
        slots, cosines = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.argsort(-cosines, kind="stable")
        return slots[order], cosines[order]

    def _on_disk(self, places: Places) -> Numbers:
        """The slots of these versions' pieces that are on disk."""
        places = places[self._has[places]]
        counts = self._pieces[places]
        starts = np.cumsum(counts) - counts
        slots = np.repeat(self._first[places] - starts, counts) + np.arange(int(counts.sum()))
        on_disk: Numbers = slots[self._far_row[slots] != NONE]
        return on_disk


def _grown(held: Numbers, slot: int, empty: int) -> Numbers:
    grown: Numbers = np.concatenate([held, np.full(max(256, slot + 1 - len(held), len(held)), empty)])
    return grown
