"""One table's words in RAM: which versions of its rows have a word, how often, and how long each text is.

Built of whole batches at once, so that a hundred thousand rows take about a second; a few new ones wait in a
tail until they are a quarter of all. Knows words and places; does not know rows, scores or queries.
"""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memgpt_core.queries import STOP, runs, terms_of
from memgpt_core.ranking import CJK, folded

Places = NDArray[np.int64]
Found = tuple[NDArray[np.int64], NDArray[np.float64]]
"""(places of versions in rising order, how often each has the word)."""

TAIL_MOST = 32_768
BULK = 512
TIMES_MOST = 255
_END = "\x00"
_RUN_OR_END = re.compile(rf"[\w{CJK}]+|{_END}")


class Stored(NamedTuple):
    """Postings as they are kept in a file."""

    vocabulary: str
    starts: NDArray[np.int64]
    places: NDArray[np.uint32]
    times: NDArray[np.uint8]
    lengths: NDArray[np.uint32]


class _Runs(dict[str, int]):
    """Numbers of the different runs of a batch, in the order they came."""

    def __init__(self) -> None:
        super().__init__()
        self._next = count()

    def __missing__(self, run: str) -> int:
        self[run] = number = next(self._next)
        return number


class Postings:
    """Places of versions by term; places are added in rising order."""

    def __init__(self, stored: Stored | None = None) -> None:
        self._tail: dict[int, list[tuple[int, int]]] = {}
        self._tail_size = 0
        self._waiting: list[tuple[Places, Places, Places]] = []
        if stored is None:
            stored = Stored(
                "", np.zeros(1, np.int64), np.zeros(0, np.uint32), np.zeros(0, np.uint8), np.zeros(0, np.uint32)
            )
        self._numbers = {term: at for at, term in enumerate(stored.vocabulary.split("\n") if stored.vocabulary else ())}
        self._starts, self._places, self._times = stored.starts, stored.places, stored.times
        self._lengths = stored.lengths
        self._later: list[int] = []

    @property
    def size(self) -> int:
        """How many versions were added."""
        return len(self._lengths) + len(self._later)

    @property
    def bytes(self) -> int:
        """About how much RAM it takes."""
        return 5 * len(self._places) + 4 * self.size + 90 * len(self._numbers) + 100 * self._tail_size

    def add(self, texts: Sequence[str], more: Sequence[Sequence[str]]) -> None:
        """The next versions' texts, and for each the terms that are no words of it (days)."""
        if len(texts) >= BULK:
            self._waiting.append(self._cut(texts, more))
            return
        for text, others in zip(texts, more, strict=True):
            place = self.size
            found = Counter(term for run in runs(folded(text)) for term in terms_of(run))
            self._later.append(sum(times for term, times in found.items() if term not in STOP))
            found.update(others)
            for term, times in found.items():
                number = self._numbers.setdefault(term, len(self._numbers))
                self._tail.setdefault(number, []).append((place, min(times, TIMES_MOST)))
            self._tail_size += len(found)
        if self._tail_size > max(TAIL_MOST, len(self._places) // 4):
            self._fold()

    def of(self, term: str) -> Found:
        """Where a term is."""
        if self._waiting:
            self._fold()
        number = self._numbers.get(term)
        if number is None:
            return np.zeros(0, np.int64), np.zeros(0)
        first, last = (self._starts[number], self._starts[number + 1]) if number + 1 < len(self._starts) else (0, 0)
        places, times = self._places[first:last].astype(np.int64), self._times[first:last].astype(np.float64)
        if late := self._tail.get(number):
            added = np.array(late, dtype=np.int64)
            places, times = np.concatenate([places, added[:, 0]]), np.concatenate([times, added[:, 1]])
        return places, times

    def lengths(self) -> NDArray[np.uint32]:
        """By version, how many words its text has, stop words not counted."""
        if len(self._later) > BULK:
            self._lengths, self._later = np.concatenate([self._lengths, np.array(self._later, np.uint32)]), []
        if not self._later:
            return self._lengths
        return np.concatenate([self._lengths, np.array(self._later, np.uint32)])

    def stored(self) -> Stored:
        """Everything, to be kept in a file."""
        if self._tail or self._waiting:
            self._fold()
        self._lengths, self._later = self.lengths(), []
        return Stored("\n".join(self._numbers), self._starts, self._places, self._times, self._lengths)

    def _cut(self, texts: Sequence[str], more: Sequence[Sequence[str]]) -> tuple[Places, Places, Places]:
        """(term, place, how often) of a batch of texts; their lengths are noted."""
        numbers = _Runs()
        end = numbers[_END]
        whole = f" {_END} ".join(text.replace(_END, " ") for text in map(folded, texts))
        cut = np.fromiter(map(numbers.__getitem__, _cut_runs(whole)), dtype=np.int64)
        at = np.cumsum(cut == end)
        kept = cut != end
        cut, at = cut[kept], at[kept]
        # Nearly every run is one term; a run of CJK is many.
        listed = [() if run == _END else terms_of(run) for run in numbers]
        sizes = np.array([len(terms) for terms in listed])
        flat = np.array([self._number(term) for terms in listed for term in terms], dtype=np.int64)
        counted = np.array([term not in STOP for terms in listed for term in terms], dtype=np.bool_)
        firsts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        repeated = sizes[cut]
        within = np.arange(int(repeated.sum())) - np.repeat(np.cumsum(repeated) - repeated, repeated)
        which = np.repeat(firsts[cut], repeated) + within
        terms, places = flat[which], np.repeat(at, repeated)
        lengths = np.bincount(places[counted[which]], minlength=len(texts))
        others = [(self._number(term), at) for at, found in enumerate(more) for term in found]
        if others:
            added = np.array(others, dtype=np.int64)
            terms, places = np.concatenate([terms, added[:, 0]]), np.concatenate([places, added[:, 1]])
        pairs, times = np.unique(terms * len(texts) + places, return_counts=True)
        first = self.size
        self._later += lengths.tolist()
        return pairs // len(texts), pairs % len(texts) + first, times

    def _number(self, term: str) -> int:
        return self._numbers.setdefault(term, len(self._numbers))

    def _fold(self) -> None:
        """Put what waits and the tail into the arrays; places of one term stay in rising order."""
        late = [(number, place, often) for number, found in self._tail.items() for place, often in found]
        tail = np.array(late, dtype=np.int64).reshape(-1, 3)
        added = [*self._waiting, (tail[:, 0], tail[:, 1], tail[:, 2])]
        self._waiting, self._tail, self._tail_size = [], {}, 0
        held = np.repeat(np.arange(len(self._starts) - 1), np.diff(self._starts))
        number = np.concatenate([held, *(terms for terms, _, _ in added)]).astype(np.int32)
        places = np.concatenate([self._places, *(of_terms.astype(np.uint32) for _, of_terms, _ in added)])
        often = [np.minimum(times, TIMES_MOST).astype(np.uint8) for _, _, times in added]
        # First by place, because what waits may be older than the tail and newer than the arrays, or the other way.
        order = np.lexsort((places, number)) if late and len(added) > 1 else np.argsort(number, kind="stable")
        self._places, self._times = places[order], np.concatenate([self._times, *often])[order]
        counts = np.bincount(number, minlength=len(self._numbers))
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _cut_runs(text: str) -> list[str]:
    found: list[str] = _RUN_OR_END.findall(text.replace("_", " "))
    return found
