"""How search results are ranked: what a word is, what a word is worth, how words and vectors are joined.

Pure; is handed counts and cosines and never sees a store. Everything here depends on the searched rows
alone, so that the same query on the same rows gives the same hits whatever the stores have taken.

Words: BM25 with context. Vectors: cosine with context. Joined in `fuse`, the one place where their weights meet.
The figures behind the weights are printed by `tests/benchmarks/search.py`.
"""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SHORTLIST = 400
"""How many candidates each signal brings to the final ranking; the others follow it, newest first."""

CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
"""Letters written without spaces between words, as a regular expression's ranges."""

_RUNS = re.compile(f"([{CJK}]+)|((?:(?![{CJK}])[^\\W_])+)")
_FOLD = str.maketrans({"İ": "i", "Σ": "σ", "ς": "σ"})
_IDENTIFIER = re.compile(r"(?!(?:19|20)\d\d$)(?=.*\d).{4,}")

# Robertson and Zaragoza 2009, with their defaults; the pivot is a message of usual length, fixed so that a
# score depends on no text but its own.
K1, _B, _PIVOT_WORDS = 1.2, 0.75, 40.0


class Context(NamedTuple):
    """What the message before and the one after in the same session add to a message, as shares of their own."""

    before: float
    after: float


WORDS_CONTEXT = Context(before=0.5, after=0.3)
"""An answer rarely repeats the words of its question."""

VECTORS_CONTEXT = Context(before=0.5, after=0.2)


NEAR_UNDER = 0.2
"""How far under the floor of an embedder a row still counts as a near miss, as a cosine."""


class Weights(NamedTuple):
    """What each signal is worth in the sum.

    Attributes:
        vectors, words: of the cosine, and of the word score as a share of what a text with every word gets (`ideal`).
        floor: the cosine from which a row without a common word is a match at all.
        kept: how many of the best by words, and by vectors, stand within the first `KEPT_WITHIN` hits.
    """

    vectors: float
    words: float
    floor: float
    kept: int

    @property
    def near(self) -> float:
        """The cosine from which a row that is no match is a near miss."""
        return max(0.05, self.floor - NEAR_UNDER)


LEXICAL = Weights(vectors=0.1, words=1.0, floor=0.35, kept=0)
"""For vectors that know spellings only: words decide, the cosine brings inflections and breaks ties."""

SEMANTIC = Weights(vectors=1.0, words=0.5, floor=0.2, kept=4)
"""For vectors that know meanings: each half brings what the other cannot find, and neither hides the other's best."""

KEPT_WITHIN = 10

EXACT_BONUS = 1.0
"""Added for a code, number or name with digits that hardly any other row has, and for a quoted phrase."""


def weights(model: str) -> Weights:
    """The weights that suit an embedder, by its name."""
    return LEXICAL if model == "hashing" else SEMANTIC


def folded(text: str) -> str:
    """The text in lower case, with letters alike that differ by their place only."""
    return (text if text.isascii() else text.translate(_FOLD)).lower()


def cut(run: str, *, pairs_only: bool = False) -> list[str]:
    """The words of folded text: letters and digits; CJK as single letters and pairs, or as pairs if it has any."""
    found: list[str] = []
    for cjk, word in _RUNS.findall(run):
        if word:
            found.append(word)
            continue
        if not pairs_only or len(cjk) == 1:
            found += cjk
        found += (cjk[at : at + 2] for at in range(len(cjk) - 1))
    return found


def words(text: str) -> list[str]:
    """The words of a text as they are written: lower case, letters and digits; CJK as single letters and pairs."""
    return cut(folded(text))


def rarity(found: int, total: int) -> float:
    """What a word is worth that `found` of `total` rows have (BM25's inverse document frequency, above 0)."""
    return math.log(1 + (total - found + 0.5) / (found + 0.5))


def ideal(found: Sequence[int], total: int) -> float:
    """The score of a usual text that has every word once; a word no row has counts as one that one row has."""
    return sum(rarity(max(1, number), total) for number in found) * (K1 + 1) / (1 + K1)


def word_score(times: NDArray[np.float64], lengths: NDArray[np.float64], found: int, total: int) -> NDArray[np.float64]:
    """BM25's part of one word in texts that have it so many times and are so many words long."""
    norm = K1 * (1 - _B + _B * lengths / _PIVOT_WORDS)
    scored: NDArray[np.float64] = rarity(found, total) * times * (K1 + 1) / (times + norm)
    return scored


def is_identifier(term: str) -> bool:
    """Whether a term is a code, a number or a name with digits; a year is none."""
    return _IDENTIFIER.fullmatch(term) is not None


def identifier_share(found: int, total: int) -> float:
    """What a code is worth that so many rows have: 1 the rarest there can be, 0 one that all have."""
    rarest = rarity(1, total)
    return max(0.0, rarity(found, total) / rarest) if rarest > 0 else 0.0


class Signals(NamedTuple):
    """What is known of the candidates of a search, an array each, one number a candidate.

    Attributes:
        born: the number in the id: of equals the later item comes first.
        words, vectors: scores, 0 without one.
        word_ranks, vector_ranks: ranks among all rows of the scope, from 1; 0 without one.
        exact: shares of rare codes and quoted phrases.
    """

    born: NDArray[np.int64]
    words: NDArray[np.float64]
    word_ranks: NDArray[np.int64]
    vectors: NDArray[np.float64]
    vector_ranks: NDArray[np.int64]
    exact: NDArray[np.float64]


def ranks(scores: NDArray[np.float64], born: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rank of each, from 1; of equals the later item is first."""
    found = np.empty(len(scores), np.int64)
    found[np.lexsort((-born, -scores))] = np.arange(1, len(scores) + 1)
    return found


def fuse(signals: Signals, best: float, weigh: Weights) -> tuple[NDArray[np.int64], list[float]]:
    """Weighted cosine, weighted word score as a share of `best`, and the exact bonus, added up.

    A sum of scores keeps what the usual rank fusion (its constant 60) throws away: how sure each half is. Whatever
    the sum says, the few best of each half stand on the first page; rows that are no match by themselves come last.

    Returns: the candidates, best first; by candidate its score.
    """
    sums = weigh.vectors * signals.vectors + EXACT_BONUS * signals.exact
    if best:
        sums += weigh.words * signals.words / best
    scores = rounded(sums)
    by_vector = signals.vectors >= weigh.floor
    unseen = (signals.word_ranks == 0) & ~by_vector
    order = np.lexsort((-signals.born, -scores, unseen))
    best_by_words = (signals.word_ranks > 0) & (signals.word_ranks <= weigh.kept)
    best_by_vector = by_vector & (signals.vector_ranks > 0) & (signals.vector_ranks <= weigh.kept)
    return _keep_the_best(order, best_by_words | best_by_vector), scores.tolist()


def rounded(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each as Python's `round(score, 6)` gives it, which NumPy's does not where a score lies between two."""
    found: NDArray[np.float64] = np.round(scores, 6)
    scaled = scores * 1e6
    for at in np.flatnonzero(np.abs(scaled - np.floor(scaled) - 0.5) < 1e-4).tolist():
        found[at] = round(float(scores[at]), 6)
    return found


def _keep_the_best(order: NDArray[np.int64], kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The candidates with those to be kept within the first ten; who gives way stands right behind them."""
    first, rest = order[:KEPT_WITHIN], order[KEPT_WITHIN:]
    wanted = rest[kept[rest]]
    if not len(wanted):
        return order
    gone = first[::-1][~kept[first[::-1]]][: len(wanted)][::-1]
    other = np.ones(len(order), np.bool_)
    other[wanted] = other[gone] = False
    return np.concatenate([first[other[first]], wanted, gone, rest[other[rest]]])
