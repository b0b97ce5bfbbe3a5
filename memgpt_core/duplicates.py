"""Passages that say the same: exact by content, near by the cosine of their vectors or by shared word triples.

Pure numbers and sets over what it is handed; the cost is bounded by how many passages it looks at. Does not
read a store and does not merge.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from memgpt_core.ids import number
from memgpt_core.ranking import words

PASSAGES_MOST = 20_000
"""More are not compared: every pair of 20,000 vectors of 768 numbers is 0.3 Tflop, some seconds."""

PAIRS_MOST = 2000
_BLOCK = 1024
_SHINGLE_WORDS = 3

Measure = Literal["vectors", "words"]


class Pair(NamedTuple):
    """Two passages and how alike they are: 1 when their texts are the same, else a cosine or a share."""

    one: str
    other: str
    alike: float


class Group(NamedTuple):
    """Passages that are linked by pairs, oldest first; `least` and `most` are of its pairs."""

    ids: tuple[str, ...]
    pairs: tuple[Pair, ...]
    least: float
    most: float

    @property
    def exact(self) -> bool:
        """Whether all have the same text."""
        return self.least == 1.0


class Duplicates(NamedTuple):
    """What was found.

    Attributes:
        compared: how many different texts were compared with each other.
        without_vector: passages that could only be compared by their exact text.
        cut: more pairs were found than are kept; the most alike are.
    """

    groups: tuple[Group, ...]
    compared: int
    without_vector: int
    cut: bool


Tell = Callable[[float], None]


def by_vectors(
    hashes: Mapping[str, str],
    vectors: Mapping[str, NDArray[np.float32]],
    least: float,
    tell: Tell = lambda _share: None,
) -> Duplicates:
    """Groups of passages whose vectors have a cosine of `least` or more.

    `hashes` is content hash by id; `vectors` by hash, each (d,) float32 of unit length.
    """
    same = _same(hashes)
    known = [hash for hash in same if hash in vectors]
    found: list[tuple[float, int, int]] = []
    cut = False
    if known:
        matrix = np.stack([vectors[hash] for hash in known])
        for start in range(0, len(known), _BLOCK):
            found += _near(matrix, start, least)
            if len(found) > 2 * PAIRS_MOST:
                found, cut = _best(found), True
            tell(min(1.0, (start + _BLOCK) / len(known)))
    cut = cut or len(found) > PAIRS_MOST
    # Just under 1: only the same text is the same.
    near = [(known[one], known[other], min(round(cosine, 6), 0.999999)) for cosine, one, other in _best(found)]
    lacking = sum(len(of_text) for hash, of_text in same.items() if hash not in vectors)
    return _grouped(same, near, compared=len(known), lacking=lacking, cut=cut)


def by_words(texts: Mapping[str, str], least: float, tell: Tell = lambda _share: None) -> Duplicates:
    """Groups of passages that share `least` or more of their word triples (Jaccard), exactly.

    Two sets that alike share one of their rarest triples (the prefix filter of Bayardo, Ma and Srikant 2007), so
    only passages that do are compared.
    """
    same = _same(texts)
    keys = list(same)
    sets = [_shingles(text) for text in keys]
    often = Counter(shingle for of_text in sets for shingle in of_text)
    under: dict[str, list[int]] = defaultdict(list)
    found: list[tuple[float, int, int]] = []
    for at, of_text in enumerate(sets):
        rarest = sorted(of_text, key=lambda shingle: (often[shingle], shingle))
        prefix = rarest[: len(rarest) - int(np.ceil(least * len(rarest) - 1e-9)) + 1]
        met = {other for shingle in prefix for other in under[shingle]}
        for other in met:
            share = _jaccard(of_text, sets[other])
            if share >= least:
                found.append((share, other, at))
        for shingle in prefix:
            under[shingle].append(at)
        if not at % _BLOCK:
            tell(at / len(keys))
    near = [(keys[one], keys[other], min(round(share, 6), 0.999999)) for share, one, other in _best(found)]
    return _grouped(same, near, compared=len(keys), lacking=0, cut=len(found) > PAIRS_MOST)


def _near(matrix: NDArray[np.float32], start: int, least: float) -> list[tuple[float, int, int]]:
    """Pairs of one block of rows with itself and every later row."""
    cosines = matrix[start : start + _BLOCK] @ matrix[start:].T
    rows, columns = np.nonzero(np.triu(cosines >= least, k=1))
    if len(rows) > PAIRS_MOST:
        kept = np.argpartition(-cosines[rows, columns], PAIRS_MOST)[: PAIRS_MOST + 1]
        rows, columns = rows[kept], columns[kept]
    values = cosines[rows, columns]
    return list(zip(values.tolist(), (rows + start).tolist(), (columns + start).tolist(), strict=True))


def _best(found: list[tuple[float, int, int]]) -> list[tuple[float, int, int]]:
    return sorted(found, key=lambda pair: (-pair[0], pair[1], pair[2]))[:PAIRS_MOST]


def _same(contents: Mapping[str, str]) -> dict[str, list[str]]:
    """Ids by content."""
    same: dict[str, list[str]] = defaultdict(list)
    for id, content in contents.items():
        same[content].append(id)
    return same


def _shingles(text: str) -> frozenset[str]:
    found = words(text)
    size = min(_SHINGLE_WORDS, max(1, len(found)))
    return frozenset(" ".join(found[at : at + size]) for at in range(len(found) - size + 1))


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    both = len(one & other)
    return both / (len(one) + len(other) - both) if both else 0.0


def _grouped(
    same: Mapping[str, Sequence[str]],
    near: Iterable[tuple[str, str, float]],
    *,
    compared: int,
    lacking: int,
    cut: bool,
) -> Duplicates:
    """Groups joined by pairs, the most alike first; two texts' pair stands for the first passage of each."""
    pairs = [Pair(first, id, 1.0) for first, *others in same.values() for id in others]
    pairs += [Pair(same[one][0], same[other][0], alike) for one, other, alike in near]
    leader: dict[str, str] = {}

    def lead(id: str) -> str:
        while leader.setdefault(id, id) != id:
            leader[id] = leader[leader[id]]
            id = leader[id]
        return id

    for pair in pairs:
        leader[lead(pair.one)] = lead(pair.other)
    members: dict[str, set[str]] = defaultdict(set)
    joined: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        members[lead(pair.one)] |= {pair.one, pair.other}
        joined[lead(pair.one)].append(pair)
    groups = [
        Group(
            tuple(sorted(ids, key=number)),
            tuple(joined[at]),
            min(pair.alike for pair in joined[at]),
            max(pair.alike for pair in joined[at]),
        )
        for at, ids in members.items()
    ]
    groups.sort(key=lambda group: (-group.most, -len(group.ids), number(group.ids[0])))
    return Duplicates(tuple(groups), compared, lacking, cut)
