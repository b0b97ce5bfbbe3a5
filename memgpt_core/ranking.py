"""How search results are ranked: what a word is, what a word is worth, how words and vectors are joined.

Pure; is handed counts and cosines and never sees a store. Everything here depends on the searched rows
alone, so that the same query on the same rows gives the same hits whatever the stores have taken.

Words: BM25 with context. Vectors: cosine with context. Joined in `fuse`, the one place where their weights meet.
The figures behind the weights are printed by `tests/benchmarks/search.py`.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memgpt_core.events import Hit
from memgpt_core.ids import number

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
    """What is known of the candidates of a search, by id.

    Attributes:
        words, vectors: scores of the candidates that have one; ranks among all rows of the scope.
        exact: shares of rare codes and quoted phrases.
    """

    words: Mapping[str, float]
    word_ranks: Mapping[str, int]
    vectors: Mapping[str, float]
    vector_ranks: Mapping[str, int]
    exact: Mapping[str, float]


def age(id: str) -> int:
    """What ids are ordered by when nothing else decides: a later item comes first."""
    return -number(id)


def fuse(signals: Signals, best: float, weigh: Weights) -> list[Hit]:
    """All candidates, best first: weighted cosine, weighted word score as a share of `best`, and the exact bonus.

    A sum of scores keeps what the usual rank fusion (its constant 60) throws away: how sure each half is. Whatever
    the sum says, the few best of each half stand on the first page; rows that are no match by themselves come last.
    """
    hits = []
    for id in signals.words.keys() | signals.vectors.keys() | signals.exact.keys():
        score = weigh.vectors * signals.vectors.get(id, 0.0) + EXACT_BONUS * signals.exact.get(id, 0.0)
        if best:
            score += weigh.words * signals.words.get(id, 0.0) / best
        hits.append(
            Hit(
                id=id,
                score=round(score, 6),
                words_rank=signals.word_ranks.get(id),
                words_score=signals.words.get(id),
                vector_rank=signals.vector_ranks.get(id),
                vector_score=signals.vectors.get(id),
            )
        )
    hits.sort(key=lambda hit: (_unseen(hit, weigh), -hit.score, age(hit.id)))
    return _keep_the_best(hits, weigh)


def _unseen(hit: Hit, weigh: Weights) -> bool:
    return hit.words_rank is None and (hit.vector_score or 0.0) < weigh.floor


def _keep_the_best(hits: list[Hit], weigh: Weights) -> list[Hit]:
    """The hits with the best of each half within the first ten; who gives way stands right behind them."""
    first, rest = hits[:KEPT_WITHIN], hits[KEPT_WITHIN:]
    wanted = [hit for hit in rest if _kept(hit, weigh)]
    if not wanted:
        return hits
    gone = [hit for hit in reversed(first) if not _kept(hit, weigh)][: len(wanted)]
    stay = {hit.id for hit in (*wanted, *gone)}
    return [
        *(hit for hit in first if hit.id not in stay),
        *wanted,
        *reversed(gone),
        *(hit for hit in rest if hit.id not in stay),
    ]


def _kept(hit: Hit, weigh: Weights) -> bool:
    by_vector = hit.vector_rank is not None and (hit.vector_score or 0.0) >= weigh.floor
    return (hit.words_rank is not None and hit.words_rank <= weigh.kept) or (
        by_vector and (hit.vector_rank or 0) <= weigh.kept
    )
