"""From a file to its text: which reader it needs, and the refusals all of them share.

What a file is, is decided by its content first and by its suffix second: a name can be wrong, and text formats look
alike. A file is read once, whole, and compared with itself afterwards. Readers run no code of a document, fetch
nothing, and unpack no more than a bound. Does not know where files are kept or who asked.
"""

import os
from pathlib import Path

from memgpt_core.documents.decoding import decoded
from memgpt_core.documents.markdown_text import read_markdown
from memgpt_core.documents.parts import Extracted as Extracted
from memgpt_core.documents.parts import Part as Part
from memgpt_core.documents.plain_text import parts_of_plain
from memgpt_core.errors import NotReadable

EXTRACTOR_VERSION = 1
"""Raised when the same file should give another text."""

FILE_BYTES_MOST = 128 * 2**20

SUPPORTED: dict[str, str] = {
    ".txt": "plain text",
    ".md": "Markdown",
    ".markdown": "Markdown",
}
"""What people call the files that can be added, by suffix. Other names are read when their content is text."""


def extract(name: str, path: Path) -> Extracted:
    """The text of the file at `path`, which people know as `name`.

    Raises:
        NotReadable: with the name, what is wrong, and what to do.
    """
    try:
        before = path.stat()
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
    text, notes = decoded(data)
    if not text.strip():
        raise NotReadable("it holds nothing but blank space. Check that it was saved whole.")
    if Path(name).suffix.lower() in (".md", ".markdown"):
        extracted = read_markdown(text)
    else:
        extracted = Extracted(text, parts_of_plain(text), "", "text/plain", ())
    return extracted._replace(notes=notes + extracted.notes)
