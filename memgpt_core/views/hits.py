"""How a hit of a search came about, for eyes: its place, its score by words, by vectors and in sum, and its age.

Takes hits, and the weights they were ranked with; knows neither store nor screen.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from memgpt_core.events import Hit
from memgpt_core.ranking import KEPT_WITHIN, VECTORS_CONTEXT, WORDS_CONTEXT, Weights

Measure = Literal["score", "cosine"]

_UNITS = (("year", 365 * 86_400), ("month", 30 * 86_400), ("week", 7 * 86_400), ("day", 86_400), ("hour", 3600))
_AT_LEAST = 2
"""An age is told in the largest unit of which it has so many: "9 days" says more than "1 week"."""


class Split(NamedTuple):
    """The hits at or over a threshold and those under it, each with its place among all, from 1."""

    over: list[tuple[int, Hit]]
    near: list[tuple[int, Hit]]


def measured(hit: Hit, by: Measure) -> float:
    """What a threshold compares; a passage without a vector has no cosine, 0."""
    return hit.score if by == "score" else hit.vector_score or 0.0


def unseen(hit: Hit, weigh: Weights) -> bool:
    """Whether the agent's own search leaves it out: no common word, and a cosine under the embedder's floor."""
    return hit.words_rank is None and (hit.vector_score or 0.0) < weigh.floor


def split(hits: Sequence[Hit], by: Measure, least: float, weigh: Weights) -> Split:
    """Hits over the threshold, and the near misses: those under it and those the agent's search leaves out."""
    ranked = list(enumerate(hits, 1))
    over = [(place, hit) for place, hit in ranked if measured(hit, by) >= least and not unseen(hit, weigh)]
    kept = {hit.id for _, hit in over}
    return Split(over, [(place, hit) for place, hit in ranked if hit.id not in kept])


def near_misses(hits: Sequence[Hit], weigh: Weights) -> list[Hit]:
    """Of the hits of a search with a lower floor, those the agent's own leaves out, the nearest first."""
    return [hit for hit in hits if hit.vector_rank is not None and unseen(hit, weigh)]


def parts(hit: Hit, weigh: Weights) -> tuple[float, float]:
    """What of a hit's score is from its vector, and what from its words and rare codes."""
    vector = round(weigh.vectors * (hit.vector_score or 0.0), 6)
    return vector, round(max(0.0, hit.score - vector), 6)


def by_words(hit: Hit) -> str:
    """Its place and score by words alone."""
    if hit.words_rank is None:
        return "no word of the query"
    return f"words rank {hit.words_rank:,} (BM25 {hit.words_score or 0.0:.3f})"


def by_vector(hit: Hit) -> str:
    """Its place and score by vectors alone."""
    if hit.vector_rank is None:
        return "no vector compared"
    return f"vector rank {hit.vector_rank:,} (cosine {hit.vector_score or 0.0:.3f})"


def formula(weigh: Weights, mode: str, *, chat: bool = False) -> str:
    """How a score is made, in sentences; in a `chat` a message also counts by what is said beside it."""
    by_words = f"{weigh.words:g} × the word score (BM25) as a share of what a text with every word would get"
    exact = "1 more for the rarest code, number or name with digits, and for a quoted phrase"
    if mode.startswith("words, "):
        # The rows answered: nothing was ranked by these rules.
        return "Score = the share of the query's words that it holds, the newest first."
    if mode == "words":
        said = f"Score = {by_words} + {exact}. Words only: there is no embedding model, or it does not answer yet."
    else:
        kept = f" The {weigh.kept} best by each alone are always among the first {KEPT_WITHIN}." if weigh.kept else ""
        said = (
            f"Score = {weigh.vectors:g} × cosine + {by_words} + {exact}. What has no word of the query is found "
            f"from a cosine of {weigh.floor:g} on.{kept}"
        )
    if not chat:
        return said
    words, vectors = WORDS_CONTEXT, VECTORS_CONTEXT
    return (
        f"{said} A message is found through its neighbours, too, an answer by its question: the one before it counts "
        f"{words.before:.0%} by words and {vectors.before:.0%} by vectors, the one after {words.after:.0%} and "
        f"{vectors.after:.0%}."
    )


def age(at: datetime, now: datetime) -> str:
    """How long before `now` something was, in the unit that suits."""
    seconds = (now - at) / timedelta(seconds=1)
    for unit, length in _UNITS:
        if seconds >= _AT_LEAST * length:
            return f"{seconds / length:.0f} {unit}s old"
    minutes = max(0, int(seconds // 60))
    return f"{minutes} minute{'' if minutes == 1 else 's'} old" if minutes else "just now"
