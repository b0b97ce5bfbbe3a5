"""From a file to its text: which reader it needs, and the refusals all of them share.

What a file is, is decided by its content first and by its suffix second: a name can be wrong, and text formats look
alike. A file is read once, whole, and compared with itself afterwards. Readers run no code of a document, fetch
nothing, and unpack no more than a bound. Does not know where files are kept or who asked.
"""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from memgpt_core.documents.code_text import read_code, read_python
from memgpt_core.documents.csv_text import read_csv
from memgpt_core.documents.decoding import decoded
from memgpt_core.documents.docx_text import read_docx
from memgpt_core.documents.epub_text import read_epub
from memgpt_core.documents.html_text import add_html, declared_encoding
from memgpt_core.documents.json_text import read_json, read_json_lines
from memgpt_core.documents.kinds import SUPPORTED as SUPPORTED
from memgpt_core.documents.kinds import kind_of
from memgpt_core.documents.mail_text import read_mail, read_mailbox
from memgpt_core.documents.markdown_text import read_markdown
from memgpt_core.documents.parts import Draft
from memgpt_core.documents.parts import Extracted as Extracted
from memgpt_core.documents.parts import Part as Part
from memgpt_core.documents.pdf_text import read_pdf
from memgpt_core.documents.plain_text import parts_of_plain
from memgpt_core.documents.sqlite_text import read_sqlite
from memgpt_core.errors import NotReadable

EXTRACTOR_VERSION = 1
"""Raised when the same file should give another text."""

FILE_BYTES_MOST = 128 * 2**20


def extract(name: str, path: Path) -> Extracted:
    """The text of the file at `path`, which people know as `name`.

    Raises:
        NotReadable: with the name, what is wrong, and what to do.
    """
    try:
        before = path.stat()
        if not stat.S_ISREG(before.st_mode):
            raise NotReadable("it is no ordinary file. Add the files themselves, or the folder they are in.")
        _check_size(before.st_size)
        extracted = _read(name, path)
        after = path.stat()
    except NotReadable as error:
        raise NotReadable(f"{name} was not read: {error}") from error
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise NotReadable(f"{name} was not read: {why}. Check that it is there and may be read.") from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise NotReadable(f"{name} was not read: it changed meanwhile. Add it again when nothing writes to it.")
    return extracted


def _check_size(size: int) -> None:
    if size == 0:
        raise NotReadable("it is empty (0 bytes). Check that it was saved or copied whole.")
    if size > FILE_BYTES_MOST:
        raise NotReadable(
            f"it has {size / 2**20:,.0f} MB, and {FILE_BYTES_MOST // 2**20} MB is the most. "
            "Split it into smaller files and add those."
        )


def _read(name: str, path: Path) -> Extracted:
    data = path.read_bytes()
    _check_size(len(data))
    kind = kind_of(name, data)
    if kind == "SQLite":
        extracted = read_sqlite(path)
    elif kind in _OF_BYTES:
        extracted = _OF_BYTES[kind](data)
    else:
        extracted = _read_text(kind, data)
    if not extracted.parts:
        raise NotReadable("it holds no text. Check that it was saved whole.")
    return extracted


def _read_text(kind: str, data: bytes) -> Extracted:
    text, notes = decoded(data, declared_encoding(data) if kind == "HTML" else "")
    extracted = _OF_TEXT[kind](text) if kind in _OF_TEXT else None
    if extracted is None:
        if kind != "plain text":
            notes += (f"It is no {kind} that can be read as such, and was read as plain text.",)
        extracted = Extracted(text, parts_of_plain(text), "", "text/plain", ())
    return extracted._replace(notes=notes + extracted.notes)


def _read_html(text: str) -> Extracted:
    draft = Draft()
    return draft.finish(add_html(draft, text), "text/html")


_OF_BYTES: dict[str, Callable[[bytes], Extracted]] = {
    "PDF": read_pdf,
    "Word document": read_docx,
    "EPUB book": read_epub,
    "mail": read_mail,
    "mailbox": read_mailbox,
}
_OF_TEXT: dict[str, Callable[[str], Extracted | None]] = {
    "Markdown": read_markdown,
    "HTML": _read_html,
    "table": read_csv,
    "JSON": read_json,
    "JSON lines": read_json_lines,
    "Python": read_python,
    "source code": read_code,
}
