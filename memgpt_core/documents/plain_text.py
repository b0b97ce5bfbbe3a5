"""The structure of a text that has no markup: chapter lines, underlined titles, numbered verses.

A line becomes a heading only where that is safe: it stands alone between blank lines, is short, and looks like a
heading in one of a few well-known ways; lines that follow one another without text between them are a table of
contents, not headings. A text in which nothing is found is one stretch, which is no harm. Pure.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from memgpt_core.documents.parts import Block, Part, assemble

_ALONE = re.compile(r"(?:\A|(?<=\n\n))\n*[ \t]*(\S[^\n]{0,79})$", re.MULTILINE)
_NUMBER = (
    r"(?:[IVXLCDM]+|\d{1,3}|(?i:one|two|three|four|five|six|seven|eight|nine|ten|the\s+\w+|first|second|third|last))"
)
_CHAPTER = re.compile(
    rf"(?P<word>VOLUME|BOOK|PART|ACT|CHAPTER|CANTO|LETTER|PSALM|SCENE|SECTION|APPENDIX|Volume|Book|Part|Act|Chapter|Canto"
    rf"|Letter|Psalm|Scene|Section|Appendix)\s+{_NUMBER}\b(?P<rest>[.:\-– —].{{0,60}})?"
)
_ALONE_WORD = re.compile(r"(?i:PREFACE|PROLOGUE|EPILOGUE|INTRODUCTION|FOREWORD|CONCLUSION|AFTERWORD|APPENDIX)\.?")
_LEVELS = {"VOLUME": 1, "BOOK": 2, "PART": 2, "ACT": 2, "SCENE": 4, "SECTION": 4}
_CHAPTER_LEVEL = 3
_NUMBERED = re.compile(r"(?P<number>\d{1,2}(?:\.\d{1,2}){0,4})\.?\s{1,4}[A-Z]\S*(?: \S+){0,9}(?<![.,;:])")
_NAMED = re.compile(r"(?P<name>[A-Z]\w+(?: [A-Z]\w+){0,3}) (?P<number>\d{1,3})\.?")
_CAPITALS = re.compile(r"[A-Z][A-Z0-9 ,.'’:&-]{3,58}[A-Z0-9.]")
_UNDERLINED = re.compile(r"^(?P<title>\S[^\n]{0,79})\n(?P<line>=+|-+|~+|\*+|\^+)$", re.MULTILINE)
_TITLE = re.compile(r"\n{1,2}[ \t]*(?P<title>[A-Z\"“‘][^\n]{1,58}[^\s.,;:])[ \t]*\n[ \t]*(?:\n|\Z)")
_VERSE = re.compile(
    r"^(?P<book>(?:[1-3] )?[A-Z][A-Za-z]+(?: [A-Za-z]+){0,3}) (?P<chapter>\d{1,3}):\d{1,3}[\t ]", re.MULTILINE
)

_VERSES_LEAST = 20
_OFTEN = 3
"""A way of writing headings that a word alone does not give away must be used this often."""


def parts_of_plain(text: str) -> tuple[Part, ...]:
    """The parts of a text without markup; one stretch when it shows no structure."""
    return assemble(text, _verses(text) or _headings(text))


def _verses(text: str) -> list[Block]:
    """Sections of a text whose lines begin `Genesis 1:1`: book and chapter, in headings that no line holds."""
    found = list(_VERSE.finditer(text))
    if len(found) < max(_VERSES_LEAST, 0.8 * (text.count("\n") + 1 - text.count("\n\n"))):
        return []
    blocks: list[Block] = []
    before = ("", "")
    for verse in found:
        place = verse["book"], verse["chapter"]
        if place[0] != before[0]:
            blocks.append(Block(verse.start(), verse.start(), "heading", 1, place[0]))
        if place != before:
            blocks.append(Block(verse.start(), verse.start(), "heading", 2, " ".join(place)))
        before = place
    return blocks


def _headings(text: str) -> list[Block]:
    lines = [found for found in _ALONE.finditer(text) if _ends_alone(text, found.end())]
    blocks = {block.start: block for way in (_numbered, _capitals, _named) for block in way(lines)}
    blocks |= {block.start: block for block in _chapters(text)}
    blocks |= {block.start: block for block in _underlined(text)}
    return _without_contents(text, sorted(blocks.values()))


def _ends_alone(text: str, at: int) -> bool:
    rest = text[at + 1 : at + 80].lstrip(" \t")
    return not rest or rest[0] == "\n"


def _chapters(text: str) -> Iterator[Block]:
    """`CHAPTER IV` and its like, with the chapter's own title when that is the next line."""
    for line in _ALONE.finditer(text):
        bare = line[1].rstrip()
        found = _CHAPTER.fullmatch(bare)
        if found is None and not _ALONE_WORD.fullmatch(bare):
            continue
        level = _LEVELS.get(found["word"].upper(), _CHAPTER_LEVEL) if found else _CHAPTER_LEVEL
        title = bare.rstrip(".")
        end = line.end()
        named = _TITLE.match(text, end) if found and not (found["rest"] or "").strip(".:-–— ") else None
        if named and not _CHAPTER.fullmatch(named["title"]):
            title, end = f"{title}: {named['title']}", named.end("title")
        if _ends_alone(text, end):
            yield Block(line.start(1), end, "heading", level, title)


def _underlined(text: str) -> Iterator[Block]:
    levels: dict[str, int] = {}
    for found in _UNDERLINED.finditer(text):
        title, line = found["title"].rstrip(), found["line"]
        if len(line) >= max(3, len(title) - 2) and any(map(str.isalpha, title)):
            yield Block(found.start(), found.end(), "heading", levels.setdefault(line[0], len(levels) + 1), title)


def _numbered(lines: list[re.Match[str]]) -> list[Block]:
    """`2.1 Methods`: as deep as its number has parts."""
    found = [(line, number) for line in lines if (number := _NUMBERED.fullmatch(line[1].rstrip()))]
    if len(found) < _OFTEN:
        return []
    return [
        Block(line.start(1), line.end(), "heading", number["number"].count(".") + 1, line[1].strip())
        for line, number in found
    ]


def _named(lines: list[re.Match[str]]) -> list[Block]:
    """`Genesis 1`, `Genesis 2`: a name with numbers that rise by one."""
    found = [(line, named) for line in lines if (named := _NAMED.fullmatch(line[1].rstrip()))]
    rising = {
        before["name"]
        for (_, before), (_, after) in pairwise(found)
        if before["name"] == after["name"] and int(after["number"]) == int(before["number"]) + 1
    }
    return [
        Block(line.start(1), line.end(), "heading", _CHAPTER_LEVEL, line[1].strip())
        for line, named in found
        if named["name"] in rising
    ]


def _capitals(lines: list[re.Match[str]]) -> list[Block]:
    found = [line for line in lines if _CAPITALS.fullmatch(line[1].rstrip()) and not line[1].rstrip().endswith(",")]
    if len(found) < _OFTEN:
        return []
    return [Block(line.start(1), line.end(), "heading", _CHAPTER_LEVEL, line[1].strip()) for line in found]


def _without_contents(text: str, blocks: list[Block]) -> list[Block]:
    """The blocks that are no line of a table of contents: two of one level with nothing between them."""
    listed: set[int] = set()
    end = 0
    kept = [block for before, block in pairwise([None, *blocks]) if block and not (before and block.start < before.end)]
    for before, after in pairwise(kept):
        end = before.end
        if before.level == after.level and not text[end : after.start].strip():
            listed |= {before.start, after.start}
    return [block for block in kept if block.start not in listed]
