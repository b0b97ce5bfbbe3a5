"""Two texts word by word: what stays, what goes out, what comes in.

The pieces are whole: without what comes in they are the text before, without what goes out the text after.
Work is bounded, because a block may be long and a page is drawn often: what is too different to compare word by
word is compared line by line, and beyond that shown as replaced.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

PAIRS_MOST, ITEMS_MOST = 20_000, 20_000
"""Pairs of equal items, and items, beyond which two sequences are not compared: about a quarter of a second."""

_WORD = re.compile(r"\n|[^\S\n]+|\w+|[^\w\s]")

Kind = Literal["same", "out", "in"]


class Piece(NamedTuple):
    """A stretch of text that stays (`same`), goes (`out`) or comes (`in`)."""

    kind: Kind
    text: str


class Span(NamedTuple):
    """Items `i1` to `i2` of the one and `j1` to `j2` of the other, ends not included: the same, or replaced."""

    same: bool
    i1: int
    i2: int
    j1: int
    j2: int


def word_diff(before: str, after: str) -> list[Piece]:
    """The pieces in reading order; where both, what goes stands before what comes."""
    old, new = _WORD.findall(before), _WORD.findall(after)
    return _joined(_by_words(old, new, lines_first=True))


def counts(pieces: Iterable[Piece]) -> tuple[int, int]:
    """(words that come in, words that go out)."""
    came = gone = 0
    for piece in pieces:
        words = len(re.findall(r"\w+", piece.text)) if piece.kind != "same" else 0
        came, gone = came + words * (piece.kind == "in"), gone + words * (piece.kind == "out")
    return came, gone


def spans(old: Sequence[str], new: Sequence[str], *, blank: Callable[[str], bool] | None = None) -> list[Span]:
    """How one sequence became the other; items that are `blank` are never matched for their own sake.

    The alike beginning and end cost nothing; a middle that would take too long counts as replaced.
    """
    most = min(len(old), len(new))
    head = next((at for at in range(most) if old[at] != new[at]), most)
    most -= head
    tail = next((at for at in range(most) if old[-1 - at] != new[-1 - at]), most)
    a, b = old[head : len(old) - tail], new[head : len(new) - tail]
    found = [Span(True, 0, head, 0, head)]
    if _too_much(a, b, blank):
        found.append(Span(False, head, len(old) - tail, head, len(new) - tail))
    else:
        codes = SequenceMatcher(blank, a, b, autojunk=False).get_opcodes()
        found += [Span(name == "equal", head + i1, head + i2, head + j1, head + j2) for name, i1, i2, j1, j2 in codes]
    found.append(Span(True, len(old) - tail, len(old), len(new) - tail, len(new)))
    return [span for span in found if span.i1 < span.i2 or span.j1 < span.j2]


def _by_words(old: Sequence[str], new: Sequence[str], *, lines_first: bool) -> Iterator[Piece]:
    for span in spans(old, new, blank=str.isspace):
        gone, come = old[span.i1 : span.i2], new[span.j1 : span.j2]
        if span.same:
            yield Piece("same", "".join(gone))
        elif lines_first and _too_much(gone, come, str.isspace):
            yield from _by_lines("".join(gone), "".join(come))
        else:
            yield from (Piece("out", "".join(gone)), Piece("in", "".join(come)))


def _by_lines(old: str, new: str) -> Iterator[Piece]:
    """Lines compared, and words only inside lines that were replaced."""
    olds, news = old.splitlines(keepends=True), new.splitlines(keepends=True)
    for span in spans(olds, news):
        gone, come = "".join(olds[span.i1 : span.i2]), "".join(news[span.j1 : span.j2])
        if span.same:
            yield Piece("same", gone)
        else:
            yield from _by_words(_WORD.findall(gone), _WORD.findall(come), lines_first=False)


def _too_much(a: Sequence[str], b: Sequence[str], blank: Callable[[str], bool] | None) -> bool:
    """Whether comparing would take too long: it goes with the pairs of equal items."""
    if len(a) + len(b) > ITEMS_MOST:
        return True
    often = Counter(b)
    return sum(often[item] for item in a if blank is None or not blank(item)) > PAIRS_MOST


def _joined(pieces: Iterable[Piece]) -> list[Piece]:
    """The same pieces, neighbours of one kind as one; a blank between two replaced words belongs to both."""
    runs: list[list[str]] = []
    for kind, text in pieces:
        if not text:
            continue
        still = bool(runs) and len(runs[-1]) == 1
        if kind == "same":
            if still:
                runs[-1][0] += text
            else:
                runs.append([text])
            continue
        if still and len(runs) > 1 and _is_blank(runs[-1][0]) and all(part.strip() for part in runs[-2]):
            blank = runs.pop()[0]
            runs[-1] = [part + blank for part in runs[-1]]
        elif still or not runs:
            runs.append(["", ""])
        runs[-1][kind == "in"] += text
    return [piece for run in runs for piece in _named(run) if piece.text]


def _named(run: list[str]) -> list[Piece]:
    return [Piece("same", run[0])] if len(run) == 1 else [Piece("out", run[0]), Piece("in", run[1])]


def _is_blank(text: str) -> bool:
    return text.isspace() and "\n" not in text
