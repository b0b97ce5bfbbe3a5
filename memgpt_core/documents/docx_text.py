"""DOCX through python-docx: paragraphs and tables in order, headings by their styles.

The archive is unpacked within bounds and without its pictures before the library sees it; its XML parser resolves no
entities. Footnotes, headers and footers are left out, and a note says so when there are any.
"""

import re
from collections.abc import Iterator
from typing import Any

from docx import Document
from docx.oxml.ns import qn
from docx.table import Table
from docx.text.paragraph import Paragraph

from memgpt_core.documents.parts import Draft, Extracted
from memgpt_core.documents.unpacking import broken, opened, repacked, unpacked
from memgpt_core.errors import NotReadable

_HEADING = re.compile(r"heading (\d)", re.I)
_APART = re.compile(r"word/(footnotes|endnotes|comments|header\d*|footer\d*)\.xml")
_PICTURES = ("word/media/", "word/embeddings/", "word/fonts/")
_INSIDE = {qn("w:sdt"), qn("w:sdtContent"), qn("w:ins"), qn("w:customXml"), qn("w:smartTag")}
_TEXT, _TAB, _BREAKS = qn("w:t"), qn("w:tab"), {qn("w:br"), qn("w:cr")}
_DEPTH_MOST = 20


def read_docx(data: bytes) -> Extracted:
    """The document in `data`.

    Raises:
        NotReadable: it is encrypted or broken, or unpacks to too much.
    """
    archive = opened(data)
    files = unpacked(archive, lambda name: not name.startswith(_PICTURES))
    # What the relations name must be there; nobody looks into it.
    files |= {name: b"" for name in archive.namelist() if name.startswith(_PICTURES) and not name.endswith("/")}
    draft = Draft()
    given = _fill(draft, files)
    if given is None:
        raise broken()
    if apart := sorted({found[1].rstrip("0123456789") for name in files if (found := _APART.fullmatch(name))}):
        draft.notes.append(f"Left out: its {', '.join(apart)}.")
    return draft.finish(given, "application/vnd.openxmlformats-officedocument.wordprocessingml.document")


def _fill(draft: Draft, files: dict[str, bytes]) -> str | None:
    """Read the document into `draft`; gives its title, or None when the library cannot follow it."""
    try:
        document = Document(repacked(files))
        for block in _blocks(document.element.body, 0):
            _add(draft, Paragraph(block, document) if block.tag == qn("w:p") else Table(block, document))
        return document.core_properties.title or ""
    except NotReadable:
        raise
    except Exception:  # noqa: BLE001 (a broken file makes the library fail in any way)
        return None


def _blocks(element: Any, depth: int) -> Iterator[Any]:
    """The paragraphs and tables of the body in order, also those inside of content controls."""
    for child in element.iterchildren():
        if child.tag in (qn("w:p"), qn("w:tbl")):
            yield child
        elif child.tag in _INSIDE and depth < _DEPTH_MOST:
            yield from _blocks(child, depth + 1)


def _add(draft: Draft, block: Paragraph | Table) -> None:
    if isinstance(block, Table):
        draft.table([_said(cell._tc) for cell in row.cells] for row in block.rows)
        return
    style = (block.style.name if block.style is not None else None) or ""
    text = _said(block._p)
    heading = _HEADING.fullmatch(style)
    if heading or style == "Title":
        draft.heading(int(heading[1]) if heading else 0, text)
    else:
        draft.add(f"- {text.strip()}" if style.startswith("List") and text.strip() else text)


def _said(element: Any) -> str:
    """All text inside an element as it stands today: what was deleted under tracked changes is no text."""
    pieces = []
    for node in element.iter(_TEXT, _TAB, *_BREAKS, qn("w:p")):
        if node.tag == _TEXT:
            pieces.append(node.text or "")
        else:
            pieces.append("\t" if node.tag == _TAB else "\n")
    return "".join(pieces).strip("\n")
