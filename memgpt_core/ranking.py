"""How search results are ranked: what a word is, what a word is worth, how words and vectors are joined.

Pure; is handed texts, counts and cosines and never sees a store. Everything here depends on the searched
rows alone, so that the same query on the same rows gives the same hits whatever the stores have taken.

Words: BM25. Vectors: cosine. Joined in `fuse`, the one place where their weights meet.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from memgpt_core.events import Hit

SHORTLIST = 400
"""How many candidates each signal brings to the final ranking; the others follow it, newest first."""

QUERY_TERMS = 24
"""A longer query keeps its longest words."""

CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
"""Letters written without spaces between words, as a regular expression's ranges."""

_RUNS = re.compile(f"([{CJK}]+)|((?:(?![{CJK}])[^\\W_])+)")
_FOLD = str.maketrans({"İ": "i", "Σ": "σ", "ς": "σ"})
_IDENTIFIER = re.compile(r"(?=.*\d).{4,}")

# Robertson and Zaragoza 2009, with their defaults; the pivot is a message of usual length, fixed so that a
# score depends on no text but its own.
_K1, _B, _PIVOT_WORDS = 1.2, 0.75, 40.0


class Weights(NamedTuple):
    """What each signal is worth in the sum.

    Attributes:
        vectors, words: of the cosine, and of the word score as a share of the best one.
        floor: the cosine from which a row without a common word is a match at all.
    """

    vectors: float
    words: float
    floor: float


LEXICAL = Weights(vectors=0.1, words=1.0, floor=0.35)
"""For vectors that know spellings only: words decide, the cosine brings inflections and breaks ties."""

SEMANTIC = Weights(vectors=1.0, words=0.1, floor=0.3)
"""For vectors that know meanings: a small weight of words helps, an equal one halves the first hits."""

IDENTIFIER_BONUS = 1.0
"""Added for a code, number or name with digits that no or hardly any other row has."""


def weights(model: str) -> Weights:
    """The weights that suit an embedder, by its name."""
    return LEXICAL if model == "hashing" else SEMANTIC


def _lower(text: str) -> str:
    return (text if text.isascii() else text.translate(_FOLD)).lower()


def words(text: str) -> list[str]:
    """The words of a text as they are counted: lower case, letters and digits; CJK as single letters and pairs."""
    found: list[str] = []
    for cjk, word in _RUNS.findall(_lower(text)):
        if word:
            found.append(word)
        else:
            found += cjk
            found += (cjk[at : at + 2] for at in range(len(cjk) - 1))
    return found


@lru_cache(maxsize=4096)
def _counted(text: str) -> Counter[str]:
    # Kept, because the same few hundred candidates come back search after search; never changed by its readers.
    return Counter(words(text))


def query_terms(query: str) -> list[str]:
    """The different words a query asks for, in its order; CJK as pairs, which single letters would drown."""
    found: dict[str, None] = {}
    for cjk, word in _RUNS.findall(_lower(query)):
        if word:
            found[word] = None
        elif len(cjk) == 1:
            found[cjk] = None
        else:
            found.update(dict.fromkeys(cjk[at : at + 2] for at in range(len(cjk) - 1)))
    if len(found) <= QUERY_TERMS:
        return list(found)
    kept = set(sorted(found, key=lambda term: (-len(term), term))[:QUERY_TERMS])
    return [term for term in found if term in kept]


def rarity(found: int, total: int) -> float:
    """What a word is worth that `found` of `total` rows have (BM25's inverse document frequency, above 0)."""
    return math.log(1 + (total - found + 0.5) / (found + 0.5))


def word_scores(
    terms: Sequence[str], texts: Mapping[str, str], found: Mapping[str, int], total: int
) -> dict[str, float]:
    """BM25 of every text that has one of the terms; `found` counts the rows of each term among `total`."""
    worth = {term: rarity(found.get(term, 0), total) for term in terms}
    scores: dict[str, float] = {}
    for id, text in texts.items():
        counted = _counted(text)
        length = _K1 * (1 - _B + _B * counted.total() / _PIVOT_WORDS)
        score = sum(
            worth[term] * counted[term] * (_K1 + 1) / (counted[term] + length) for term in terms if counted[term]
        )
        if score > 0:
            scores[id] = round(score, 6)
    return scores


def identifier_scores(
    terms: Sequence[str], texts: Mapping[str, str], found: Mapping[str, int], total: int
) -> dict[str, float]:
    """For texts that have a code of the query (a term of 4 letters or more with a digit): 0..1, 1 the rarest."""
    rarest = rarity(1, total)
    worth = {
        term: max(0.0, rarity(found[term], total) / rarest)
        for term in terms
        if _IDENTIFIER.fullmatch(term) and found.get(term)
    }
    if not worth or rarest <= 0:
        return {}
    scores: dict[str, float] = {}
    for id, text in texts.items():
        has = _counted(text)
        share = sum(value for term, value in worth.items() if term in has) / len(worth)
        if share > 0:
            scores[id] = share
    return scores


def age(id: str) -> int:
    """What ids are ordered by when nothing else decides: a later item comes first."""
    return -int(id[1:])


def shortlist(scores: Mapping[str, float], size: int = SHORTLIST) -> list[str]:
    """The best ids, best first; of equals the newest."""
    return sorted(scores, key=lambda id: (-scores[id], age(id)))[:size]


def fuse(
    by_words: Mapping[str, float],
    by_vectors: Mapping[str, float],
    by_identifiers: Mapping[str, float],
    weigh: Weights,
) -> list[Hit]:
    """All candidates, best first: weighted cosine, weighted word score, and the bonus of a rare code.

    The weights of meaning against words are measured: on paraphrased questions an equal rank fusion finds
    half as many first hits as cosine + 0.1 x the word score's share of the best.
    """
    best = max(by_words.values(), default=0.0)
    word_ranks = {id: rank for rank, id in enumerate(shortlist(by_words, len(by_words)), 1)}
    vector_ranks = {id: rank for rank, id in enumerate(shortlist(by_vectors, len(by_vectors)), 1)}
    hits = []
    for id in by_words.keys() | by_vectors.keys():
        score = weigh.vectors * by_vectors.get(id, 0.0) + IDENTIFIER_BONUS * by_identifiers.get(id, 0.0)
        if best:
            score += weigh.words * by_words.get(id, 0.0) / best
        hits.append(
            Hit(
                id=id,
                score=round(score, 6),
                words_rank=word_ranks.get(id),
                words_score=by_words.get(id),
                vector_rank=vector_ranks.get(id),
                vector_score=by_vectors.get(id),
            )
        )
    return sorted(hits, key=lambda hit: (-hit.score, age(hit.id)))
