"""One table's vectors as one NumPy matrix, for exact similarity in RAM.

A version has a vector for each piece of its text; its cosine is the best piece's, with a share of its neighbours'
in the same session. Knows numbers and places; does not know texts, databases or embedders.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memgpt_core.ranking import Context
from memgpt_core.stores.versions import NONE, OPEN, Mask, Places, Versions

Vector = NDArray[np.float32]
Cosines = NDArray[np.float64]
Rough = NDArray[np.float32]

_CAPACITY = 256
_BLOCK = 4096
NEAR = 1e-5
"""float32 products of differently shaped matrices agree to this; nearer calls are made again in float64."""

NO_COSINE = -2.0


class _Mixing(NamedTuple):
    """What is added to each version's own cosine: from whom, which share, and what the sum is divided by."""

    of: tuple[Places, Places, int]
    back: Places
    back_share: Rough
    ahead: Places
    ahead_share: Rough
    lengths: Rough


class VectorMatrix:
    """The vectors of one table; a row whose vectors are not known yet is never similar to anything.

    Attributes:
        covered: how many versions were added.
        position: seq of the last event whose versions were.
    """

    def __init__(self, dim: int, versions: Versions, context: Context) -> None:
        self.dim = dim
        self.versions = versions
        self.position = 0
        self.covered = 0
        self._context = context
        self._used = 0
        self._vectors = np.zeros((_CAPACITY, dim), dtype=np.float32)
        self._having = 0
        self._mixing: _Mixing | None = None
        self._filled = np.zeros(_CAPACITY, dtype=np.bool_)
        self._lacking: dict[str, list[int]] = {}
        self._owner = np.zeros(_CAPACITY, dtype=np.int64)
        # By version: its first slot, how many, and whether all have their vector.
        self._first = np.zeros(0, dtype=np.int64)
        self._pieces = np.zeros(0, dtype=np.int64)
        self._has = np.zeros(0, dtype=np.bool_)
        self._links: tuple[Places, Places] = (np.zeros(0, np.int64), np.zeros(0, np.int64))
        self._dots = np.zeros((2, 0))

    def add(self, place: int, hashes: Sequence[str]) -> Sequence[str]:
        """A version's text has these pieces; those whose vectors are still lacking. Places come in rising order."""
        self.cover(place + 1)
        self._first[place], self._pieces[place] = self._used, len(hashes)
        while self._used + len(hashes) > len(self._filled):
            self._filled = np.concatenate([self._filled, np.zeros_like(self._filled)])
            self._owner = np.concatenate([self._owner, np.zeros_like(self._owner)])
        lacking = []
        for hash in hashes:
            slot, self._used = self._used, self._used + 1
            self._owner[slot] = place
            if self._known(slot, hash):
                self._mark(slot)
            else:
                self._lacking.setdefault(hash, []).append(slot)
                lacking.append(hash)
        return lacking

    def _known(self, _slot: int, _hash: str) -> bool:
        """Whether a piece's vector is to be had without being filled in."""
        return False

    def cover(self, size: int) -> None:
        """The versions before this place are known; those that were not added have nothing to embed."""
        if size > len(self._first):
            room = max(_CAPACITY, size, 2 * len(self._first))
            self._first, self._pieces, self._has = (
                np.concatenate([held, np.zeros(room - len(held), held.dtype)])
                for held in (self._first, self._pieces, self._has)
            )
        self.covered = max(self.covered, size)

    def fill(self, vectors: Mapping[str, Vector]) -> None:
        """Give every piece with one of these hashes its vector."""
        for hash, vector in vectors.items():
            for slot in self._lacking.pop(hash, ()):
                self._put(slot, vector)
                self._mark(slot)

    def _mark(self, slot: int) -> None:
        """This piece has its vector; so has its version when all of its pieces have."""
        self._filled[slot] = True
        owner = self._owner[slot]
        first = self._first[owner]
        if self._pieces[owner] == 1 or self._filled[first : first + self._pieces[owner]].all():
            self._has[owner] = True
            self._having += 1

    def _put(self, slot: int, vector: Vector) -> None:
        while slot >= len(self._vectors):
            self._vectors = np.concatenate([self._vectors, np.zeros_like(self._vectors)])
        self._vectors[slot] = vector

    def lacking(self) -> dict[int, list[str]]:
        """By version, the hashes of its pieces without a vector; current ones first, newest first."""
        found: dict[int, list[str]] = {}
        if not self._lacking:
            return found
        for hash, slots in self._lacking.items():
            found.setdefault(int(self._owner[slots[-1]]), []).append(hash)
        current = self.versions.column("seq_to") == OPEN
        return dict(sorted(found.items(), key=lambda one: (not current[one[0]], -one[0])))

    def not_embedded(self) -> set[str]:
        """Ids of the current rows without all their vectors."""
        owners = {int(self._owner[slot]) for slots in self._lacking.values() for slot in slots}
        ended = self.versions.column("seq_to")
        return {self.versions.id(owner) for owner in owners if ended[owner] == OPEN}

    def has(self) -> NDArray[np.bool_]:
        """By version, whether it has its vectors."""
        found = np.zeros(self.versions.size, dtype=np.bool_)
        found[: self.covered] = self._has[: self.covered]
        return found

    def rough(self, query: Vector, before: Places, after: Places, among: Mask | None = None, size: int = 0) -> Rough:
        """By version, its cosine with context, right to about 1e-6; NO_COSINE without a vector.

        `query` is (d,) float32, unit length. Whoever cannot look through all is told that the `size` best of the
        versions `among` which are searched are wanted; here all are looked through.
        """
        own = self._own_rough(query)
        if any(self._context):
            mix = self._mixed(before, after)
            lacking = None if self._having == self.covered else own == NO_COSINE
            own = (own + mix.back_share * own[mix.back] + mix.ahead_share * own[mix.ahead]) / mix.lengths
            if lacking is not None:
                own[lacking] = NO_COSINE
        if self.covered == self.versions.size:
            return own
        return np.concatenate([own, np.full(self.versions.size - self.covered, NO_COSINE, np.float32)])

    def _own_rough(self, query: Vector) -> Rough:
        if not self._having:
            return np.full(self.covered, NO_COSINE, dtype=np.float32)
        known = self._vectors[: self._used]
        by_slot: Rough = known @ query
        if len(known) < self._used:
            by_slot = np.concatenate([by_slot, np.zeros(self._used - len(known), np.float32)])
        return self._by_version(by_slot)

    def _by_version(self, by_slot: Rough) -> Rough:
        """The best piece of each version."""
        if self._having == self.covered == self._used:
            return by_slot
        spread = np.flatnonzero(self._pieces[: self.covered])
        own = np.full(self.covered, NO_COSINE, dtype=np.float32)
        own[spread] = np.maximum.reduceat(by_slot, self._first[spread])
        own[~self._has[: self.covered]] = NO_COSINE
        return own

    def exact(self, places: Places, query: Vector, before: Places, after: Places) -> Cosines:
        """Cosines with context of these versions, all with vectors, rounded to 1e-6."""
        wide = query.astype(np.float64)
        if not any(self._context):
            return np.round(self._own(places, wide), 6)
        before, after = self._linked(before, after)
        wanted = np.unique(np.concatenate([places, before[places], after[places]]))
        wanted = wanted[wanted != NONE]
        own = np.zeros(self.covered)
        own[wanted] = self._own(wanted, wide)
        back, ahead = before[places], after[places]
        mixed = own[places]
        mixed = mixed + self._context.before * np.where(back != NONE, own[back], 0)
        mixed = mixed + self._context.after * np.where(ahead != NONE, own[ahead], 0)
        rounded: Cosines = np.round(mixed / self._norms(before, after)[places], 6)
        return rounded

    def _own(self, places: Places, query: NDArray[np.float64]) -> Cosines:
        # A sum along each row, not a matrix product: its rounding does not depend on the other rows.
        first = self._first[places]
        best: Cosines = (self._vectors[first] * query).sum(axis=1)
        for at in np.flatnonzero(self._pieces[places] > 1):
            slots = slice(first[at], first[at] + self._pieces[places[at]])
            best[at] = (self._vectors[slots] * query).sum(axis=1).max()
        return best

    # --- neighbours -----------------------------------------------------------------------------------------

    def _mixed(self, before: Places, after: Places) -> _Mixing:
        """The same for every query until a version comes, ends or gets its vector."""
        held = self._mixing
        if held is None or held.of[0] is not before or held.of[1] is not after or held.of[2] != self._having:
            back, ahead = self._linked(before, after)
            shares = (
                np.float32(self._context.before) * (back != NONE),
                np.float32(self._context.after) * (ahead != NONE),
            )
            lengths = self._norms(back, ahead).astype(np.float32)
            of = (before, after, self._having)
            held = _Mixing(of, np.maximum(back, 0), shares[0], np.maximum(ahead, 0), shares[1], lengths)
            self._mixing = held
        return held

    def _linked(self, before: Places, after: Places) -> tuple[Places, Places]:
        """The neighbours that have vectors, of those versions that have."""
        has = self._has[: self.covered]
        linked = []
        for beside in (before[: self.covered], after[: self.covered]):
            there = (beside != NONE) & (beside < self.covered) & has
            linked.append(np.where(there & has[np.where(there, beside, 0)], beside, NONE))
        return linked[0], linked[1]

    def _norms(self, before: Places, after: Places) -> NDArray[np.float64]:
        """Lengths of the mixed vectors; what was multiplied once for two neighbours is kept."""
        self._follow(before, after)
        back, cross = self._dots[:, : self.covered]
        ahead = np.where(after != NONE, back[after], 0)
        b = np.where(before != NONE, self._context.before, 0.0)
        a = np.where(after != NONE, self._context.after, 0.0)
        norms: NDArray[np.float64] = np.sqrt(1 + b * b + a * a + 2 * (b * back + a * ahead + a * b * cross))
        return norms

    def _follow(self, before: Places, after: Places) -> None:
        known = len(self._links[0])
        if known < self.covered:
            grown = np.full(self.covered - known, NONE)
            self._links = (np.concatenate([self._links[0], grown]), np.concatenate([self._links[1], grown]))
            self._dots = np.concatenate([self._dots, np.zeros((2, self.covered - known))], axis=1)
        old_before, old_after = self._links
        moved = np.flatnonzero(old_before != before)
        self._multiply(0, moved, moved, before[moved])
        crossed = np.flatnonzero((old_before != before) | (old_after != after))
        self._multiply(1, crossed, np.where(after[crossed] == NONE, NONE, before[crossed]), after[crossed])
        self._links = (before, after)

    def _multiply(self, which: int, at: Places, one: Places, other: Places) -> None:
        self._dots[which, at] = 0
        real = (one != NONE) & (other != NONE)
        at, one, other = at[real], self._first[one[real]], self._first[other[real]]
        for start in range(0, len(at), _BLOCK):
            part = slice(start, start + _BLOCK)
            products = self._vectors[one[part]].astype(np.float64) * self._vectors[other[part]]
            self._dots[which, at[part]] = products.sum(axis=1)
