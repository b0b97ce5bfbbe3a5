"""PDF through pypdf: the text page by page, with the chapters of the file's own outline.

A PDF has no paragraphs, only lines on pages, so passages carry the page. Pictures are not read: pages that hold
nothing else are counted in a note.
"""

import io
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from pypdf import PdfReader
from pypdf.errors import DependencyError, PyPdfError

from memgpt_core.documents.parts import Draft, Extracted
from memgpt_core.errors import NotReadable

_HYPHEN = re.compile(r"(?<=[a-zß-ÿ])-\n(?=[a-zß-ÿ])")
_LIGATURES = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xAD: ""}
_LEADERS = re.compile(r"(?:\s?\.){5,}")
_NUMBERING = re.compile(r"^(?:chapter |section |appendix )?(?:\d+(?:\.\d+)*|[ivx]+|[a-z])[.:)]? ")
_REPEATS_LEAST = 3
_DEPTH_MOST = 6


def read_pdf(data: bytes) -> Extracted:
    """The document in `data`.

    Raises:
        NotReadable: it is encrypted, broken, or holds only pictures.
    """
    reader = _opened(data)
    pages, unread = _pages(reader)
    empty = sum(not page.strip() for page in pages)
    if empty == len(pages):
        raise NotReadable(
            "its pages hold only pictures, or nothing that can be read. Run text recognition (OCR) over it "
            "and add the result."
        )
    pages, dropped = _without_running_lines(pages)
    chapters = _chapters(reader)
    draft = Draft()
    for number, text in enumerate(pages):
        draft.page = number + 1
        _add_page(draft, _LEADERS.sub(" …", _HYPHEN.sub("", text.translate(_LIGATURES))), chapters.get(number, []))
    if unread:
        draft.notes.append(f"{unread} of {len(pages)} pages could not be read and were left out.")
    if empty > unread:
        draft.notes.append(f"{empty - unread} of {len(pages)} pages hold only pictures or nothing.")
    if dropped:
        draft.notes.append("Lines that repeat at the top or bottom of the pages were left out.")
    return draft.finish(_title(reader), "application/pdf")


def _opened(data: bytes) -> PdfReader:
    try:
        reader = PdfReader(io.BytesIO(data))
        open_to_all = not reader.is_encrypted or bool(reader.decrypt(""))
        pages = len(reader.pages) if open_to_all else 0
    except DependencyError as error:
        raise NotReadable("it is encrypted. Save it without encryption (print it to a PDF) and add that.") from error
    except Exception:  # noqa: BLE001 (a broken file makes the parser fail in any way)
        open_to_all, pages = True, 0
    if not open_to_all:
        raise NotReadable("it is encrypted with a password. Save it without one and add that.")
    if not pages:
        raise NotReadable(
            "it is broken or only half there. Open it in a PDF viewer, print it to a new PDF and add that."
        )
    return reader


def _pages(reader: PdfReader) -> tuple[list[str], int]:
    """The text of every page, and how many could not be read; those are empty."""
    pages: list[str] = []
    unread = 0
    for number in range(len(reader.pages)):
        try:
            pages.append(reader.pages[number].extract_text())
        except Exception:  # noqa: BLE001 (one broken page must not take the others with it)
            pages.append("")
            unread += 1
    return pages, unread


def _without_running_lines(pages: list[str]) -> tuple[list[str], bool]:
    """The pages less running heads and page numbers: an edge line that others share but for its number is said once."""
    split = [page.strip().split("\n") for page in pages]
    edges = Counter(_bare(edge) for lines in split for edge in {lines[0], lines[-1]})
    most = max(_REPEATS_LEAST, len(pages) / 2)
    often = {edge for edge, times in edges.items() if times >= (_REPEATS_LEAST if "#" in edge else most)}
    said: set[str] = set()
    kept = []
    for lines in split:
        first, last = _bare(lines[0]), _bare(lines[-1])
        top = first in often and (first in said or first == "#")
        bottom = len(lines) > 1 and last in often and (last in said or last == "#")
        said |= {first, last}
        kept.append("\n".join(lines[top : len(lines) - bottom]))
    return kept, any(len(lines) > page.count("\n") + 1 for lines, page in zip(split, kept, strict=True))


def _bare(line: str) -> str:
    """A line without what changes from page to page."""
    return " ".join(re.sub(r"\d+|^[ivxlc]+$", "#", line.strip()).split())


def _chapters(reader: PdfReader) -> dict[int, list[tuple[int, str]]]:
    """(level, title) of the outline's entries by page, from 0; what cannot be resolved is left out."""
    chapters: dict[int, list[tuple[int, str]]] = {}
    try:
        for level, entry in _entries(reader.outline, 1):
            page = reader.get_destination_page_number(entry)
            if page is not None and entry.title:
                chapters.setdefault(page, []).append((level, str(entry.title)))
    except Exception:  # noqa: BLE001 (an outline is an extra: a broken one leaves the text as it is)
        return {}
    return chapters


def _entries(outline: list[Any], level: int) -> Iterator[tuple[int, Any]]:
    for entry in outline:
        if not isinstance(entry, list):
            yield level, entry
        elif level < _DEPTH_MOST:
            yield from _entries(entry, level + 1)


def _add_page(draft: Draft, text: str, chapters: list[tuple[int, str]]) -> None:
    """Add a page; a chapter opens at the line that says its title, else at the top."""
    lines = text.split("\n")
    said = [_comparable(line) for line in lines]
    places: list[tuple[int, int, str, bool]] = []
    at = 0
    for level, title in chapters:
        wanted = _comparable(title)
        found = next((place for place in range(at, len(said)) if said[place] == wanted), None)
        places.append((at if found is None else found, level, title, found is not None))
        at = at if found is None else found + 1
    done = 0
    # All in reading order: a title that no line says opens right behind the one before it.
    for place, level, title, in_text in places:
        draft.add("\n".join(lines[done:place]))
        done = place + in_text
        if in_text:
            draft.heading(level, lines[place])
        else:
            draft.section(level, title)
    draft.add("\n".join(lines[done:]))


def _comparable(title: str) -> str:
    """A title as it may stand in the outline and on the page: one of the two often lacks the number."""
    return _NUMBERING.sub("", " ".join(title.split()).lower())


def _title(reader: PdfReader) -> str:
    try:
        return str((reader.metadata and reader.metadata.title) or "")
    except (PyPdfError, ValueError, TypeError, KeyError, AttributeError):
        return ""
