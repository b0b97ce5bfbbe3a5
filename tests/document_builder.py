"""Small real files of every format, made as other programs make them."""

import io
import json
import sqlite3
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from docx import Document
from pypdf import PdfWriter

MAIL = (
    b"From: Ada <ada@example.org>\r\nTo: bob@example.org\r\nSubject: The =?utf-8?q?b=C3=B6iler?=\r\n"
    b"Date: Mon, 2 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=zz\r\n\r\n"
    b"--zz\r\nContent-Type: text/plain; charset=latin-1\r\n\r\nThe boiler is caf\xe9 brown.\r\n"
    b"--zz\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=bill.pdf\r\n\r\nxxx\r\n"
    b"--zz--\r\n"
)


def pdf(pages: Sequence[Sequence[str]]) -> bytes:
    """A PDF by hand: a page for each list of lines; a page without lines draws a box."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b""]
    kids = []
    for lines in pages:
        drawn = "".join(f"({line}) Tj 0 -14 Td " for line in lines)
        stream = f"BT /F1 12 Tf 72 720 Td {drawn}ET".encode() if lines else b"0 0 100 100 re f"
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R /Resources << /Font << /F1 "
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>" % len(objects)
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>".encode()
    out = bytearray(b"%PDF-1.4\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    return bytes(out) + end % (len(objects) + 1, table, len(objects) + 1, len(out))


def rewritten_pdf(
    pages: Sequence[Sequence[str]], *, chapters: Sequence[tuple[str, int]] = (), password: str = "", title: str = ""
) -> bytes:
    """The same through pypdf: with an outline of (title, page from 0), a password, a title."""
    writer = PdfWriter(clone_from=io.BytesIO(pdf(pages)))
    for chapter, page in chapters:
        writer.add_outline_item(title=chapter, page_number=page)
    if title:
        writer.add_metadata({"/Title": title})
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def docx() -> bytes:
    """A Word document: title, heading, paragraph, table, list, and a picture's place."""
    document = Document()
    document.core_properties.title = "The report"
    document.add_heading("Report", 0)
    document.add_heading("First", 1)
    document.add_paragraph("The boiler was mended in March.")
    table = document.add_table(2, 2)
    for place, text in enumerate(("year", "what", "1843", "notes")):
        table.cell(place // 2, place % 2).text = text
    document.add_paragraph("a valve", style="List Bullet")
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def epub(pages: Mapping[str, str], *, package: str = "", extra: Mapping[str, str] | None = None) -> bytes:
    """An EPUB of these XHTML pages, in order; the contents call the second one "Chapter Two"."""
    items = "".join(f'<item id="i{at}" href="{name}"/>' for at, name in enumerate(pages))
    spine = "".join(f'<itemref idref="i{at}"/>' for at in range(len(pages)))
    own = (
        '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<metadata><dc:title>The Book</dc:title></metadata><manifest>{items}</manifest>"
        f"<spine>{spine}</spine></package>"
    )
    files = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container><rootfiles><rootfile full-path="in/book.opf"/></rootfiles></container>',
        "in/book.opf": package or own,
        "in/toc.ncx": "<ncx><navPoint><navLabel><text>Chapter Two</text></navLabel>"
        f'<content src="{list(pages)[-1]}#top"/></navPoint></ncx>',
        **{f"in/{name}": f"<html><body>{body}</body></html>" for name, body in pages.items()},
        **(extra or {}),
    }
    return archive(files)


def archive(files: Mapping[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return out.getvalue()


def sqlite(path: Path) -> Path:
    """A file with a table, a view that never ends, and a virtual table."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE people (name TEXT, born INT, photo BLOB)")
        db.executemany("INSERT INTO people VALUES (?, ?, ?)", [("Ada", 1815, b"\0\1"), ("Bob\nSmith", None, None)])
        db.execute("CREATE VIEW endless AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT x FROM n")
        db.execute("CREATE VIRTUAL TABLE found USING fts5(text)")
        db.commit()
    return path


def every_format(folder: Path) -> list[Path]:
    """One readable file of each format, written into `folder`."""
    page = "<title>Page</title><h1>One</h1><p>Some <b>bold</b> words.</p>"
    files: dict[str, str | bytes] = {
        "plain.txt": "The ship lay in the harbour for nine days.",
        "notes.md": "# Notes\n\nThe ship *sailed*.",
        "page.html": f"<!doctype html>{page}",
        "book.pdf": pdf([["The ship lay in the harbour."], ["It sailed at noon."]]),
        "report.docx": docx(),
        "book.epub": epub({"a.xhtml": "<h1>One</h1><p>Text one.</p>", "b.xhtml": "<p>Text two.</p>"}),
        "table.csv": "name;born\nAda;1815\nBob;1900\n",
        "data.json": json.dumps({"name": "Ada", "works": [{"title": "Notes", "year": 1843}]}),
        "lines.jsonl": '{"name": "Ada"}\n{"name": "Bob"}\n',
        "code.py": '"""A module."""\n\n\ndef sail(ship):\n    return ship\n',
        "code.js": "function sail(ship) {\n  return ship;\n}\n",
        "one.eml": MAIL,
        "all.mbox": b"From ada@example.org Mon Nov  2 10:00:00 2026\n" + MAIL.replace(b"\r\n", b"\n"),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return [*(folder / name for name in files), sqlite(folder / "people.sqlite")]
