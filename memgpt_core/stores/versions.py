"""The versions of one table's rows as columns of numbers: which stood at an event, what passes, who is beside whom.

Holds every version with the interval in which it stood, in the order they began, so that *now* and *as of n* are
the same search. Knows numbers; does not know texts, vectors, words or databases.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memgpt_core.ids import BITS, id_of, number

Mask = NDArray[np.bool_]
Places = NDArray[np.int64]

NONE = -1
"""In place of a version: there is none."""

OPEN = np.iinfo(np.int64).max
NEVER_US = 2**62
"""Before and after everything, in microseconds of UTC."""

_CAPACITY = 256


class Version(NamedTuple):
    """A version of a row: where it stood (`seq_to` None while current), when (microseconds of UTC), whose."""

    id: str
    seq_from: int
    seq_to: int | None
    at_us: int
    role: str
    session: int


class Began(NamedTuple):
    """What names a version: the row's id, and the event with which it began."""

    id: str
    seq_from: int


class Part(NamedTuple):
    """Which versions are searched: those that stood at `n`, of these roles (all when empty), in [start, end).

    `brought`: only those of rows that one of these events brought.
    """

    n: int
    roles: tuple[str, ...]
    start_us: int
    end_us: int
    only: Collection[str] | None
    exclude: tuple[str, ...]
    brought: Collection[int] | None = None


class Versions:
    """The columns; `chained` roles follow each other within a session."""

    def __init__(self, letter: str, chained: tuple[str, ...] = ()) -> None:
        self.letter = letter
        self.size = 0
        self.roles: list[str] = []
        self._chained = chained
        self._columns = {name: np.zeros(_CAPACITY, dtype=np.int64) for name in COLUMNS}
        self._chain: tuple[tuple[int, int, tuple[str, ...]], Places, Places] | None = None
        self._standing: tuple[tuple[int, int, tuple[str, ...], tuple[str, ...]], Mask] | None = None
        self._last = 0

    def column(self, name: str) -> Places:
        """One column of all versions: `born` (`ids.number`), `seq_from`, `seq_to`, `at`, `role`, `session`."""
        return self._columns[name][: self.size]

    def id(self, place: int) -> str:
        """The id of the row a version is of."""
        return id_of(self.letter, int(self._columns["born"][place]))

    def began(self, places: Places) -> list[Began]:
        """What names these versions."""
        seqs = self.column("seq_from")[places].tolist()
        return [Began(self.id(place), seq) for place, seq in zip(places.tolist(), seqs, strict=True)]

    def take(self, columns: dict[str, Places], roles: list[str]) -> None:
        """Hold these columns, as `column` gave them, in the place of all."""
        self.size = len(columns["born"])
        self.roles = roles
        self._columns = {name: np.ascontiguousarray(columns[name], dtype=np.int64) for name in COLUMNS}
        ended = self.column("seq_to")[self.column("seq_to") < OPEN]
        self._last = max(int(self.column("seq_from").max(initial=0)), int(ended.max(initial=0)))
        self._chain = self._standing = None

    def add(self, rows: Iterable[Version]) -> None:
        """Versions begin, in the order of their `seq_from`, all behind those that are there."""
        found = sorted(rows, key=lambda row: (row.seq_from, number(row.id)))
        while self.size + len(found) > len(self._columns["born"]):
            self._columns = {
                name: np.concatenate([held, np.zeros(max(_CAPACITY, len(held)), np.int64)])
                for name, held in self._columns.items()
            }
        for row in found:
            if row.role not in self.roles:
                self.roles.append(row.role)
        codes = {role: code for code, role in enumerate(self.roles)}
        values = [
            (number(r.id), r.seq_from, OPEN if r.seq_to is None else r.seq_to, r.at_us, codes[r.role], r.session)
            for r in found
        ]
        if values:
            for name, added in zip(COLUMNS, zip(*values, strict=True), strict=True):
                self._columns[name][self.size : self.size + len(found)] = added
        self.size += len(found)
        self._last = max([self._last, *(r.seq_from for r in found), *(r.seq_to or 0 for r in found)])
        self._chain = self._standing = None

    def end(self, began: Iterable[Began], seq_to: Iterable[int]) -> None:
        """These versions end, each at its event."""
        places, ends = self.places(began), np.fromiter(seq_to, np.int64)
        held = places != NONE
        if held.any():
            self._columns["seq_to"][places[held]] = ends[held]
            self._last = max(self._last, int(ends[held].max()))
            self._chain = self._standing = None

    def places(self, began: Iterable[Began]) -> Places:
        """Where these versions are; NONE for one that is not held."""
        wanted = np.array([(row.seq_from, number(row.id)) for row in began], np.int64).reshape(-1, 2)
        seqs, born = self.column("seq_from"), self.column("born")
        at, last = np.searchsorted(seqs, wanted[:, 0], "left"), np.searchsorted(seqs, wanted[:, 0], "right")
        many = last - at > 1
        # A document's passages all begin with one event; there are few such events.
        for seq in np.unique(wanted[many, 0]):
            of_seq = np.flatnonzero(wanted[:, 0] == seq)
            first = at[of_seq[0]]
            at[of_seq] = first + np.searchsorted(born[first : last[of_seq[0]]], wanted[of_seq, 1])
        there = at < last
        there[there] = born[at[there]] == wanted[there, 1]
        return np.where(there, at, NONE)

    def standing(self, n: int, exclude: tuple[str, ...], roles: tuple[str, ...]) -> Mask:
        """Which versions stood at `n`, are of these roles (all when empty) and not of these rows; not to be changed."""
        asked = (min(n, self._last), self.size, exclude, roles)
        if self._standing is None or self._standing[0] != asked:
            self._standing = (asked, self._stood(n, exclude, roles))
        return self._standing[1]

    def _stood(self, n: int, exclude: tuple[str, ...], roles: tuple[str, ...]) -> Mask:
        mask: Mask = (self.column("seq_from") <= n) & (self.column("seq_to") > n)
        if roles:
            mask &= np.isin(self.column("role"), [at for at, role in enumerate(self.roles) if role in roles])
        if exclude:
            mask &= ~np.isin(self.column("born"), [number(id) for id in exclude])
        return mask

    def passing(self, part: Part) -> Mask:
        """Which versions belong to a part."""
        mask = self.standing(part.n, part.exclude, part.roles)
        if part.start_us > -NEVER_US:
            mask = mask & (self.column("at") >= part.start_us)
        if part.end_us < NEVER_US:
            mask = mask & (self.column("at") < part.end_us)
        if part.only is not None:
            mask = mask & np.isin(self.column("born"), [number(id) for id in part.only])
        if part.brought is not None:
            mask = mask & np.isin(self.column("born") >> BITS, list(part.brought))
        return mask

    def latest_us(self, n: int) -> int:
        """When the last version up to `n` began, in microseconds of UTC; 0 when there is none."""
        until = int(np.searchsorted(self.column("seq_from"), n, side="right"))
        return int(self.column("at")[until - 1]) if until else 0

    def beside(self, n: int, exclude: tuple[str, ...]) -> tuple[Places, Places]:
        """By version, the one before and the one after it in its session as of `n`; NONE where there is none."""
        asked = (min(n, self._last), self.size, exclude)
        if self._chain is None or self._chain[0] != asked:
            self._chain = (asked, *self._linked(n, exclude))
        return self._chain[1], self._chain[2]

    def _linked(self, n: int, exclude: tuple[str, ...]) -> tuple[Places, Places]:
        before, after = np.full(self.size, NONE), np.full(self.size, NONE)
        if self._chained:
            there = np.flatnonzero(self.standing(n, exclude, self._chained))
            # A corrected message keeps the place it was born in.
            there = there[np.argsort(self.column("born")[there], kind="stable")]
            session = self.column("session")[there]
            same = session[1:] == session[:-1]
            before[there[1:][same]] = there[:-1][same]
            after[there[:-1][same]] = there[1:][same]
        return before, after


def union(some: Places, others: Places, size: int) -> Places:
    """Places that are among some or others, in rising order, of so many versions; faster than sorting them."""
    there = np.zeros(size, np.bool_)
    there[some] = there[others] = True
    return np.flatnonzero(there)


def without(some: Places, others: Places, size: int) -> Places:
    """Places that are among some and not among others, in rising order, of so many versions."""
    there = np.zeros(size, np.bool_)
    there[some] = True
    there[others] = False
    return np.flatnonzero(there)


COLUMNS = ("born", "seq_from", "seq_to", "at", "role", "session")
