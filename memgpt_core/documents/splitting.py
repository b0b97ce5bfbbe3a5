"""From a document's parts to its passages: what is embedded, searched and opened.

A passage ends where the text itself does: at a heading, a page, a paragraph, a row of a table, a sentence, and inside
one only when it must. Among equally good places the text decides (the smallest checksum), not the distance from the
start, so that an edit at the top of a book changes the passages around it and no others. Pure: the same parts give
the same passages, which the manifests in cold storage rely on; so sizes are estimates and never a model's own count.
"""

import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from memgpt_core.documents.parts import Extracted, Part, titled
from memgpt_core.tokens import weight

SPLITTER_VERSION = 1
"""Raised when the same text should give other passages."""

PASSAGE_TOKENS = 200
"""What a passage holds at most, its titles included: the 256 tokens that small embedding models read hold it."""

OVERLAP_TOKENS = 30
"""How much of the passage before is said again, in whole sentences."""

TITLE_TOKENS = 40
HEADER_TOKENS = 50
"""A table's header is repeated in front of its rows when it is not longer than this."""

_UNIT_TOKENS = 50
_REMAINDER_TOKENS = 40
_LEAST_SHARE = 0.55

_WORD, _LINE, _SENTENCE, _FULL_LINE, _PARAGRAPH = range(5)

_BREAK = re.compile(r"""(?:(?<![.!?…])[.!?…]++["'”’»)\]]*+(?=\s)|[。！？]++[」』”]?+)\s*+|\n\s*+""")
_LINE_END = re.compile(r"\n(?:[ \t]*+\n)*+")
_WORDS = re.compile(r"\S{1,40}+\s*+")
_DENSE = re.compile(r"(?P<letters>[\u0370-\u1fff]+)|[^\w\s]{2,}")
_RULE = re.compile(r"[\s|:+-]+")


class Passage(NamedTuple):
    """A stretch of the document that is found and read as one.

    Attributes:
        start, end: characters of the document's text; `text` ends with that stretch.
        text: the titles it stands under, a table's header when the stretch begins inside a table, and the stretch.
    """

    start: int
    end: int
    title_path: tuple[str, ...]
    page: int | None
    text: str


class _Unit(NamedTuple):
    """What is never cut: a sentence, a line of code, a row, or a piece of one that is too long.

    Attributes:
        end: where the next unit of the same part starts, blank space included.
        ends: how good a place its end is to close a passage, from `_WORD` to `_PARAGRAPH`.
        header: the first line of the table it is a further row of.
    """

    start: int
    end: int
    weight: float
    ends: int
    page: int | None
    header: tuple[int, int] | None


def split(extracted: Extracted, name: str) -> tuple[Passage, ...]:
    """The passages of a document in order, together all of its parts; `name` stands in front when it has no title."""
    title = extracted.title or titled(name)
    return tuple(passage for run in _runs(extracted.parts) for passage in _section(extracted.text, run, title))


def _runs(parts: Iterable[Part]) -> Iterator[list[Part]]:
    """The parts of each section together; a heading over nothing but the next heading stands with that section."""
    run: list[Part] = []
    bare = True
    for part in parts:
        new = bool(run) and (part.kind == "heading" or part.title_path != run[-1].title_path)
        if new and not (bare and part.title_path[: len(run[-1].title_path)] == run[-1].title_path):
            yield run
            run, bare = [], True
        run.append(part)
        bare = bare and part.kind == "heading"
    if run:
        yield run


def _section(text: str, run: Sequence[Part], title: str) -> Iterator[Passage]:
    """The passages of one section. Only some of its units are held at a time: a book may be one section."""
    path = run[-1].title_path
    units = (unit for part in run for unit in _units(text, part))
    held: list[_Unit] = []
    fresh, ended, ahead = 0, False, 0.0
    titles = _titles(title, path, said=[part.title_path for part in run if part.kind == "heading"])
    while True:
        while not ended and ahead < 2 * PASSAGE_TOKENS:
            if unit := next(units, None):
                held.append(unit)
                ahead += unit.weight
            ended = unit is None
        if fresh == len(held):
            return
        page = held[fresh].page
        reach = next((at for at in range(fresh, len(held)) if held[at].page != page), len(held))
        header = held[0].header
        front = titles + (text[header[0] : header[1]] + "\n" if header else "")
        cut = _cut(text, held[:reach], fresh, PASSAGE_TOKENS - weight(front), known=ended or reach < len(held))
        start, end = held[0].start, held[cut - 1].end
        stretch = text[start:end].rstrip()
        yield Passage(start, start + len(stretch), path, page, front + stretch)
        ahead -= sum(unit.weight for unit in held[fresh:cut])
        again = _overlap(text, held, cut)
        held, fresh = held[again:], cut - again
        titles = _titles(title, path, said=())


def _cut(text: str, units: Sequence[_Unit], fresh: int, room: float, *, known: bool) -> int:
    """How many of the units the passage takes; `known`: nothing follows them in their section or on their page."""
    whole = sum(unit.weight for unit in units)
    if known and whole <= room:
        return len(units)
    filled = 0.0
    places: list[tuple[int, float]] = []
    for at, unit in enumerate(units):
        filled += unit.weight
        if filled > room and places:
            break
        if at >= fresh:
            places.append((at + 1, filled))
    good = [(at, filled) for at, filled in places if filled >= _LEAST_SHARE * room]
    roomy = [(at, filled) for at, filled in good if not known or whole - filled >= _REMAINDER_TOKENS]

    def quality(place: tuple[int, float]) -> tuple[int, int]:
        last = units[place[0] - 1]
        return last.ends, -zlib.crc32(text[last.start : last.end].encode())

    return max(roomy or good or places[-1:], key=quality)[0]


def _overlap(text: str, held: Sequence[_Unit], cut: int) -> int:
    """The first unit that the passage after `cut` says again. Rows stand for themselves, and so do whole pages."""
    last = held[cut - 1]
    if last.header or cut == len(held):
        return cut
    if held[cut].page != last.page and _BREAK.search(text[last.start : last.end].rstrip()[-3:] + "\n", 0):
        return cut
    again, filled = cut, 0.0
    while again > 1 and filled + held[again - 1].weight <= OVERLAP_TOKENS:
        again -= 1
        filled += held[again].weight
    return again


def _titles(title: str, path: tuple[str, ...], said: Sequence[tuple[str, ...]]) -> str:
    """The line in front of a passage: the document and the headings, less those the stretch itself begins with."""
    inside = {len(heading) - 1 for heading in said}
    shown = [heading for at, heading in enumerate(path) if at not in inside]
    if not (path and path[0] == title):
        shown.insert(0, title)
    while len(shown) > 1 and weight(" > ".join(shown)) > TITLE_TOKENS:
        # The document and the nearest headings say most.
        del shown[1 if len(shown) > 2 else 0]
    line = " > ".join(shown)
    while weight(line) > TITLE_TOKENS:
        line = line[: len(line) * 3 // 4] + "…"
    return line + "\n" if line else ""


def _units(text: str, part: Part) -> Iterator[_Unit]:
    header = _header(text, part) if part.kind == "table" else None
    start = part.start
    for end, ends in _ends(text, part):
        again = header if header and start >= header[1] else None
        gap = 1.0 if end == part.end else 0.0
        size = _size(text[start:end]) + gap
        if size <= _UNIT_TOKENS:
            yield _Unit(start, end, size, ends, part.page, again)
        else:
            yield from _pieces(text, _Unit(start, end, gap, ends, part.page, again))
        start = end


def _size(text: str) -> float:
    """What a stretch weighs, dearer where small vocabularies spell: runs of signs, and alphabets other than Latin."""
    dense = sum(
        0.2 * len(found[0]) if found["letters"] else 0.6 * (len(found[0]) - 1) for found in _DENSE.finditer(text)
    )
    return weight(text) + dense


def _pieces(text: str, unit: _Unit) -> Iterator[_Unit]:
    """A unit that is too long, word by word; better closed at a comma than between two words."""
    for word in _WORDS.finditer(text, unit.start, unit.end):
        last = word.end() == unit.end
        ends = unit.ends if last else _LINE if word[0].rstrip()[-1:] in (",", ";", ":", "|") else _WORD
        size = _size(word[0]) + (unit.weight if last else 0)
        yield unit._replace(start=word.start(), end=word.end(), weight=size, ends=ends)


def _ends(text: str, part: Part) -> Iterator[tuple[int, int]]:
    """Where the units of a part end, and how good a place that is; the last one ends with the part."""
    by_line = part.kind in ("code", "table")
    for found in (_LINE_END if by_line else _BREAK).finditer(text, part.start, part.end):
        if part.start < found.end() < part.end:
            lines = found[0].count("\n")
            if by_line:
                yield found.end(), _PARAGRAPH if lines > 1 else _FULL_LINE
            else:
                stopped = not found[0].startswith("\n")
                yield found.end(), _PARAGRAPH if lines > 1 else _LINE + stopped * (1 + lines)
    yield part.end, _WORD if part.kind == "heading" else _PARAGRAPH


def _header(text: str, part: Part) -> tuple[int, int] | None:
    """The line or, in Markdown, the two lines that name a table's columns; None when they are too long to repeat."""
    lines = text[part.start : part.end].split("\n", 2)
    end = part.start + len(lines[0])
    if len(lines) > 2 and "-" in lines[1] and _RULE.fullmatch(lines[1]):
        end += 1 + len(lines[1])
    return (part.start, end) if weight(text[part.start : end]) <= HEADER_TOKENS else None
