"""The shape of an extracted document, and the one way a reader builds it.

A document is one text and the parts it falls into, each with its place in the document's own structure. Everything
after extraction (passages, outline, the pages that show them) speaks in characters of that text. Pure: knows no
format and no file.
"""

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from memgpt_core.errors import NotReadable

Kind = Literal["text", "heading", "code", "table"]

TITLE_CHARS = 120
"""A heading longer than this is cut in title paths; the text itself keeps all of it."""

CHARS_MOST = 128 * 2**20
"""What one document may hold when it is unpacked; more than that is an archive, not something to read."""

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff]")
_NEWLINES = re.compile(r"\r\n?|\f|\u2028|\u2029")


class Part(NamedTuple):
    """A stretch of the text with one place in the document.

    Attributes:
        start, end: characters of `Extracted.text`.
        title_path: the headings it stands under, from the outside in; a heading's own is the last of its path.
        page: from 1, where the format has pages.
        kind: a table's first line holds the names of its columns, and each further line one row.
    """

    start: int
    end: int
    title_path: tuple[str, ...]
    page: int | None
    kind: Kind


class Extracted(NamedTuple):
    """A document's text as it was read, once.

    Attributes:
        text: without NUL and other control characters, lines end in a line feed.
        parts: in order, without overlap, together everything but blank space.
        title: the document's own, else empty.
        media: its kind, such as `application/pdf`.
        notes: sentences on what was left out or guessed.
    """

    text: str
    parts: tuple[Part, ...]
    title: str
    media: str
    notes: tuple[str, ...]


class Block(NamedTuple):
    """A stretch of a text that is kept as it is written: a heading (with its level, from 1), a table, code.

    A heading whose start is its end opens a section without standing in the text.
    """

    start: int
    end: int
    kind: Kind
    level: int = 0
    title: str = ""


def assemble(text: str, blocks: Iterable[Block], *, between: Kind = "text") -> tuple[Part, ...]:
    """The parts of a text that is its own source: its blocks in order, and what is `between` them."""
    parts: list[Part] = []
    opened: list[tuple[int, str]] = []
    at = 0

    def add(start: int, end: int, kind: Kind) -> None:
        while end > start and text[end - 1].isspace():
            end -= 1
        first = start
        while first < end and text[first].isspace():
            first += 1
        if kind == "code":
            # What stands before the first letter of a line of code belongs to it.
            first = max(start, text.rfind("\n", start, first) + 1)
        if first < end:
            parts.append(Part(first, end, tuple(title for _, title in opened), None, kind))

    for block in blocks:
        add(at, block.start, between)
        if block.level:
            while opened and opened[-1][0] >= block.level:
                opened.pop()
            if title := titled(block.title):
                opened.append((block.level, title))
        add(block.start, block.end, block.kind)
        at = block.end
    add(at, len(text), between)
    return tuple(parts)


class Draft:
    """A document while it is read: stretches are added in reading order, headings open sections."""

    def __init__(self) -> None:
        self.page: int | None = None
        self.notes: list[str] = []
        self._pieces: list[str] = []
        self._parts: list[Part] = []
        self._at = 0
        self._open: list[tuple[int, str]] = []

    def heading(self, level: int, title: str) -> None:
        """Open the section `title`; it ends those of its own level and below."""
        if shown := titled(title):
            self.section(level, title)
            self.add(shown, "heading")

    def section(self, level: int, title: str) -> None:
        """Open a section whose heading is not in the text, such as a chapter of a PDF's own outline."""
        while self._open and self._open[-1][0] >= level:
            self._open.pop()
        if shown := titled(title):
            self._open.append((level, shown))

    def add(self, text: str, kind: Kind = "text") -> None:
        """Add a stretch of text at this place; blank ones leave no trace."""
        text = cleaned(text).strip("\n") if kind == "code" else cleaned(text).strip()
        if not text.strip():
            return
        self._reserve(len(text))
        if self._pieces:
            self._pieces.append("\n\n")
            self._at += 2
        path = tuple(title for _, title in self._open)
        last = self._parts[-1] if self._parts else None
        if last and last[2:] == (path, self.page, "text") == (path, self.page, kind):
            self._parts[-1] = last._replace(end=self._at + len(text))
        else:
            self._parts.append(Part(self._at, self._at + len(text), path, self.page, kind))
        self._pieces.append(text)
        self._at += len(text)

    def table(self, rows: Iterable[Iterable[str]]) -> None:
        """Add a table, a line a row, the names of the columns first; cells lose their line ends."""
        lines: list[str] = []
        for row in rows:
            line = " | ".join(" ".join(cell.split()) for cell in row)
            if line.strip(" |"):
                lines.append(line)
                self._reserve(len(line))
        self.add("\n".join(lines), "table")

    def _reserve(self, chars: int) -> None:
        if self._at + chars > CHARS_MOST:
            raise NotReadable(
                f"it unpacks to more than {CHARS_MOST // 2**20} million characters of text. "
                "Split it into smaller files and add those."
            )

    def finish(self, title: str, media: str) -> Extracted:
        """What was added, as one document."""
        return Extracted("".join(self._pieces), tuple(self._parts), titled(title), media, tuple(self.notes))


def cleaned(text: str) -> str:
    """`text` with line feeds for line ends, and without what no page and no embedder takes."""
    return _CONTROLS.sub("", _NEWLINES.sub("\n", text))


def titled(text: str) -> str:
    """`text` as a title: one line, not too long."""
    line = " ".join(cleaned(text).split())
    return line if len(line) <= TITLE_CHARS else line[: TITLE_CHARS - 1].rstrip() + "…"
