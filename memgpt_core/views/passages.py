"""A passage for eyes: what of it is shown, where a search hit it, how its score came about, what its versions were.

Pure; makes no HTML. What a text could do to a page (control characters, marks that turn the writing round) is
made visible here.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from memgpt_core.events import Hit
from memgpt_core.queries import query_terms, stem
from memgpt_core.ranking import CJK, KEPT_WITHIN, Weights, words
from memgpt_core.views.blocks import AUTHORS

EXCERPT_CHARS = 420
LEAD_CHARS = 90
HITS_MOST = 200
SHOWN_CHARS = 20_000
"""More of one passage is not drawn; it is in the export."""

Measure = Literal["score", "cosine"]

_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_RUN = re.compile(f"[{CJK}]+|(?:(?![{CJK}])[^\\W_])+")


class Piece(NamedTuple):
    """A stretch of a text; `hit` when the search asked for it."""

    text: str
    hit: bool


class Split(NamedTuple):
    """The hits at or over a threshold and those under it, each with its place among all, from 1."""

    over: list[tuple[int, Hit]]
    near: list[tuple[int, Hit]]


class Version(NamedTuple):
    """One text a passage had: what happened, by whom, when; `current` while it stands."""

    seq: int
    what: str
    by: str
    at: Any
    text: str
    tags: tuple[str, ...]
    ended: str
    current: bool


def visible(text: str) -> str:
    """The text with each character that cannot be seen, or that would turn the writing round, as its code point."""
    return _HIDDEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def pieces(text: str, query: str) -> list[Piece]:
    """The text cut at the words of the query, by the rule the search itself counts words by."""
    terms = set(query_terms(query))
    cjk = [term for term in terms if re.match(f"[{CJK}]", term)]
    found: list[Piece] = []
    at = 0
    for run in _RUN.finditer(text):
        for start, end in _hits(run, terms, cjk):
            found += [Piece(text[at:start], False)] if start > at else []
            found.append(Piece(text[start:end], True))
            at = end
    return [*found, Piece(text[at:], False)] if at < len(text) else found


def excerpt(text: str, query: str, chars: int = EXCERPT_CHARS) -> list[Piece]:
    """As `pieces`, of the part of the text with the most different words of the query."""
    if len(text) <= chars:
        return pieces(text, query)
    starts: list[tuple[int, str]] = []
    at = 0
    for piece in pieces(text, query):
        if piece.hit and len(starts) < HITS_MOST:
            starts.append((at, piece.text.lower()))
        at += len(piece.text)
    first = 0
    if starts:
        best = max(starts, key=lambda hit: len({word for at, word in starts if hit[0] <= at < hit[0] + chars}))
        first = max(0, min(best[0] - LEAD_CHARS, len(text) - chars))
    cut = pieces(text[first : first + chars], query)
    before, after = [Piece("… ", False)] * (first > 0), [Piece(" …", False)] * (first + chars < len(text))
    return [*before, *cut, *after]


def _hits(run: re.Match[str], terms: set[str], cjk: Sequence[str]) -> list[tuple[int, int]]:
    if not re.match(f"[{CJK}]", run[0]):
        return [run.span()] if terms.intersection(map(stem, words(run[0]))) else []
    marks = sorted({at + offset for term in cjk for at in _places(run[0], term) for offset in range(len(term))})
    spans: list[tuple[int, int]] = []
    for mark in marks:
        if spans and spans[-1][1] == run.start() + mark:
            spans[-1] = (spans[-1][0], spans[-1][1] + 1)
        else:
            spans.append((run.start() + mark, run.start() + mark + 1))
    return spans


def _places(text: str, term: str) -> list[int]:
    return [at for at in range(len(text)) if text.startswith(term, at)]


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


def parts(hit: Hit, weigh: Weights) -> tuple[float, float]:
    """What of a hit's score is from its vector, and what from its words and rare codes."""
    vector = round(weigh.vectors * (hit.vector_score or 0.0), 6)
    return vector, round(max(0.0, hit.score - vector), 6)


def formula(weigh: Weights, mode: str) -> str:
    """How a score is made, in a sentence."""
    by_words = f"{weigh.words:g} × the word score (BM25) as a share of what a text with every word would get"
    exact = "1 more for the rarest code, number or name with digits, and for a quoted phrase"
    if mode == "words":
        return f"Score = {by_words} + {exact}. Words only: there is no embedding model, or it does not answer yet."
    kept = f" The {weigh.kept} best by each alone are always among the first {KEPT_WITHIN}." if weigh.kept else ""
    return (
        f"Score = {weigh.vectors:g} × cosine + {by_words} + {exact}. A passage without a common word is found "
        f"from a cosine of {weigh.floor:g} on.{kept}"
    )


_BEGAN = {
    "archival_inserted": "stored",
    "document_ingested": "came with its document",
    "archival_edited": "edited",
    "archival_restored": "restored",
}


def versions(rows: Sequence[Mapping[str, Any]], n: int) -> list[Version]:
    """A passage's versions in the order of the rows (`passages.versions`), with what ended each."""
    return [
        Version(
            seq=row["seq_from"],
            what=_BEGAN.get(row["began_by"], row["began_by"].replace("_", " ")),
            by=AUTHORS.get(row["author"], row["author"]),
            at=row["began_at"],
            text=row["text"],
            tags=tuple(row["tags"]),
            ended=f"deleted by event {row['seq_to']}" if row["ended_by"] == "archival_deleted" else "",
            current=row["seq_to"] is None or row["seq_to"] > n,
        )
        for row in rows
    ]
