"""What a file is: by its first bytes, and where those say no more than "text", by its suffix. Pure."""

import io
import posixpath
import re
import zipfile

from memgpt_core.errors import NotReadable

SUPPORTED: dict[str, str] = {
    **dict.fromkeys((".txt", ".text", ".log", ".rst"), "plain text"),
    **dict.fromkeys((".md", ".markdown"), "Markdown"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), "HTML"),
    ".pdf": "PDF",
    ".docx": "Word document",
    ".epub": "EPUB book",
    **dict.fromkeys((".csv", ".tsv"), "table"),
    **dict.fromkeys((".sqlite", ".sqlite3", ".db"), "SQLite"),
    ".json": "JSON",
    **dict.fromkeys((".jsonl", ".ndjson"), "JSON lines"),
    ".eml": "mail",
    ".mbox": "mailbox",
    **dict.fromkeys((".py", ".pyi"), "Python"),
    **dict.fromkeys((".js", ".mjs", ".jsx", ".ts", ".tsx", ".java", ".kt", ".swift", ".scala"), "source code"),
    **dict.fromkeys((".c", ".h", ".cc", ".cpp", ".hpp", ".cs", ".go", ".rs", ".zig", ".m"), "source code"),
    **dict.fromkeys((".rb", ".php", ".pl", ".lua", ".r", ".jl", ".hs", ".ex", ".erl", ".clj"), "source code"),
    **dict.fromkeys((".sh", ".bash", ".ps1", ".sql", ".css", ".scss", ".vue", ".svelte"), "source code"),
    **dict.fromkeys((".xml", ".toml", ".yaml", ".yml", ".ini", ".cfg", ".tex"), "source code"),
}
"""What people call the files that can be added, by suffix. Other names are read when their content is text."""

_LOOKED_AT = 4096
_BY_BYTES = {"PDF": {".pdf"}, "Word document": {".docx"}, "EPUB book": {".epub"}, "SQLite": {".sqlite", ".sqlite3"}}
_PAGE = re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html[\s>])", re.I | re.S)
_MAIL_HEADER = re.compile(rb"^(From|To|Subject|Date|Message-ID|Received|MIME-Version|Return-Path):", re.I | re.M)
_MAILBOX = re.compile(rb"From \S+[^\n]*\d{4}\r?\n[A-Za-z-]+:")

_FOREIGN = (
    (b"\xd0\xcf\x11\xe0", "an old Office file, or an encrypted one", "Save it as DOCX (without a password)"),
    (rb"{\rtf", "a rich text file", "Save it as DOCX or as plain text"),
    (b"\x1f\x8b", "a packed file (gzip)", "Unpack it"),
    (b"7z\xbc\xaf", "an archive (7-Zip)", "Unpack it"),
    (b"Rar!", "an archive (RAR)", "Unpack it"),
    (b"\x89PNG", "a picture", "Run text recognition (OCR) over it"),
    (b"\xff\xd8\xff", "a picture", "Run text recognition (OCR) over it"),
    (b"GIF8", "a picture", "Run text recognition (OCR) over it"),
    (b"ID3", "a sound recording", "Have it transcribed"),
    (b"OggS", "a recording", "Have it transcribed"),
    (b"\x7fELF", "a program", "Add its source code instead"),
    (b"MZ\x90", "a program", "Add its source code instead"),
    (b"PAR1", "a Parquet file", "Export it as CSV"),
)
_ZIPPED = (
    ("xl/", "a workbook", "Save its sheets as CSV"),
    ("ppt/", "a presentation", "Save it as PDF"),
    ("content.xml", "an OpenDocument file", "Save it as DOCX or PDF"),
)


def kind_of(name: str, data: bytes) -> str:
    """What people call this file (a value of `SUPPORTED`).

    Raises:
        NotReadable: it is of a kind that cannot be read, or not what its name says.
    """
    suffix = posixpath.splitext(name)[1].lower()
    kind = _by_content(data, suffix)
    if kind:
        return kind
    named = SUPPORTED.get(suffix, "plain text")
    if suffix in _BY_BYTES.get(named, ()):
        raise NotReadable(
            f"its name says {named}, but its content is something else or broken. Check that it was saved or "
            "copied whole, or give it its right name."
        )
    return "plain text" if named == "SQLite" else named


def _by_content(data: bytes, suffix: str) -> str:
    """The kind that the content gives away; empty when it is text, or nothing known."""
    head = data[:_LOOKED_AT]
    if b"%PDF-" in head[:1024]:
        return "PDF"
    if head.startswith(b"SQLite format 3\0"):
        return "SQLite"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zipped(data)
    for start, what, advice in _FOREIGN:
        if head.startswith(start):
            raise NotReadable(f"it is {what}. {advice} and add that.")
    if _PAGE.match(head.removeprefix(b"\xef\xbb\xbf")):
        return "HTML"
    if _MAILBOX.match(head):
        return "mailbox"
    top = head.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    headers = {found[1].lower() for found in _MAIL_HEADER.finditer(top)}
    if headers & {b"received", b"message-id", b"mime-version"} and len(headers) > 2 and suffix not in (".md", ".py"):
        return "mail"
    return ""


def _zipped(data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise NotReadable("it is broken or only half there. Check that it was saved or copied whole.") from error
    if "word/document.xml" in names:
        return "Word document"
    if "META-INF/container.xml" in names:
        return "EPUB book"
    for start, what, advice in _ZIPPED:
        if any(name.startswith(start) for name in names):
            raise NotReadable(f"it is {what}. {advice} and add that.")
    raise NotReadable("it is an archive (ZIP). Unpack it and add the files in it.")
