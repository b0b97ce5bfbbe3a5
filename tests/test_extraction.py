"""Every format gives its text with its own structure; a file is known by its content before its name."""

from pathlib import Path

import pytest

from memgpt_core.documents.extraction import SUPPORTED, Extracted, extract
from tests.document_builder import MAIL, docx, epub, every_format, pdf, rewritten_pdf, sqlite
from tests.test_splitting import read, whole

SHIP = "The ship lay in the harbour for nine days."


def parts(extracted: Extracted) -> list[tuple[str, tuple[str, ...], str]]:
    return [(part.kind, part.title_path, extracted.text[part.start : part.end]) for part in extracted.parts]


def test_each_format_is_read_twice_to_the_same_document(tmp_path: Path) -> None:
    paths = every_format(tmp_path)
    assert {path.suffix for path in paths} <= set(SUPPORTED)
    media = set()
    for path in paths:
        extracted = extract(path.name, path)
        assert whole(extracted)
        assert extract(path.name, path) == extracted
        media.add(extracted.media)
    assert len(media) == len(paths)


def test_html_gives_what_a_browser_shows(tmp_path: Path) -> None:
    source = (
        "<html><head><title>T &amp; U</title><script>evil()</script></head><body><h1>One <i>more</i></h1>"
        "<p>Para\n <b>bold</b> text.<br>Next<ul><li>first<li>second</ul><h2>Two</h2><pre>x = 1\n  y</pre>"
        "<table><tr><th>a<th>b<tr><td>1<td>2</table><table><tr><td><p>layout</p></td></tr></table>"
        "<div hidden>secret</div><p style='display: none'>secret</p><noscript>no</noscript><img src=x alt='a cat'>"
    )
    extracted = read(tmp_path, "a.html", source)
    assert extracted.title == "T & U"
    assert parts(extracted) == [
        ("heading", ("One more",), "One more"),
        ("text", ("One more",), "Para bold text.\nNext\n\n- first\n- second"),
        ("heading", ("One more", "Two"), "Two"),
        ("code", ("One more", "Two"), "x = 1\n  y"),
        ("table", ("One more", "Two"), "a | b\n1 | 2"),
        ("text", ("One more", "Two"), "layout\n\n[a cat]"),
    ]


def test_html_is_decoded_as_it_declares(tmp_path: Path) -> None:
    source = '<html><head><meta charset="koi8-r"></head><body><p>Большая лодка'.encode("koi8-r")
    extracted = read(tmp_path, "a.html", source)
    assert extracted.text == "Большая лодка"
    assert extracted.notes == ()


def test_a_pdf_has_pages_and_the_chapters_of_its_outline(tmp_path: Path) -> None:
    pages = [
        ["The Log 1", "Harbour", "It lay at an-", "chor for days.", "2.1 Noon", "The wind turned."],
        ["The Log 2", "No line says the name of this one."],
        ["The Log 3", "The end."],
        [],
    ]
    chapters = [("Harbour", 0), ("Noon", 0), ("Sea", 1)]
    extracted = read(tmp_path, "log.pdf", rewritten_pdf(pages, chapters=chapters, title="The Log"))
    assert extracted.title == "The Log"
    assert [(part.page, *rest) for part, rest in zip(extracted.parts, parts(extracted), strict=True)] == [
        (1, "text", (), "The Log 1"),
        (1, "heading", ("Harbour",), "Harbour"),
        (1, "text", ("Harbour",), "It lay at anchor for days."),
        (1, "heading", ("2.1 Noon",), "2.1 Noon"),
        (1, "text", ("2.1 Noon",), "The wind turned."),
        (2, "text", ("Sea",), "No line says the name of this one."),
        (3, "text", ("Sea",), "The end."),
    ]
    assert [passage.page for passage in whole(extracted)] == [1, 1, 1, 2, 3]
    assert extracted.notes == (
        "1 of 4 pages hold only pictures or nothing.",
        "Lines that repeat at the top or bottom of the pages were left out.",
    )


def test_a_docx_gives_headings_tables_and_lists(tmp_path: Path) -> None:
    extracted = read(tmp_path, "report.docx", docx())
    assert extracted.title == "The report"
    assert parts(extracted) == [
        ("heading", ("Report",), "Report"),
        ("heading", ("Report", "First"), "First"),
        ("text", ("Report", "First"), "The boiler was mended in March."),
        ("table", ("Report", "First"), "year | what\n1843 | notes"),
        ("text", ("Report", "First"), "- a valve"),
    ]


def test_an_epub_follows_its_spine_and_its_contents(tmp_path: Path) -> None:
    pages = {"a.xhtml": "<h1>One</h1><p>Text one.</p>", "b.xhtml": "<p>Text two.</p>"}
    extracted = read(tmp_path, "book.epub", epub(pages))
    assert extracted.title == "The Book"
    assert parts(extracted) == [
        ("heading", ("One",), "One"),
        ("text", ("One",), "Text one."),
        ("text", ("Chapter Two",), "Text two."),
    ]
    locked = epub(pages, extra={"META-INF/encryption.xml": '<CipherReference URI="in/b.xhtml"/>'})
    assert read(tmp_path, "book.epub", locked).notes == (
        "1 of its 2 pages are missing or protected (DRM) and were left out.",
    )


def test_mail_shows_its_header_and_text_and_names_what_is_attached(tmp_path: Path) -> None:
    extracted = read(tmp_path, "one.eml", MAIL)
    assert extracted.title == "The böiler"
    assert extracted.text.endswith("Date: Mon, 02 Nov 2026 10:00:00 +0000\n\nThe boiler is café brown.")
    assert extracted.notes == ("Attachments left out: bill.pdf.",)
    two = b"".join(
        b"From ada@example.org Mon Nov  2 10:00:00 2026\n" + mail
        for mail in (
            MAIL.replace(b"\r\n", b"\n"),
            b"Subject: second\nContent-Type: text/html\n\n<p>Some <b>words</b>\n\n",
        )
    )
    box = read(tmp_path, "all.mbox", two)
    assert [part.title_path for part in box.parts if part.kind == "heading"] == [("The böiler",), ("second",)]
    assert box.text.endswith("second\n\nSome words")


def test_csv_finds_its_delimiter_and_keeps_quoted_lines_together(tmp_path: Path) -> None:
    source = 'name;said\nAda;"one; two\nthree"\nBob;four, five\n'
    assert parts(read(tmp_path, "a.csv", source)) == [
        ("table", (), "name | said\nAda | one; two three\nBob | four, five")
    ]
    assert read(tmp_path, "b.csv", "one column\nonly\n").notes == (
        "It is no table that can be read as such, and was read as plain text.",
    )


def test_sqlite_gives_its_tables_and_runs_no_view(tmp_path: Path) -> None:
    path = sqlite(tmp_path / "people.sqlite")
    before = path.read_bytes()
    extracted = extract("people.sqlite", path)
    assert parts(extracted) == [
        ("heading", ("people",), "people"),
        ("table", ("people",), "name | born | photo\nAda | 1815 | (2 bytes)\nBob Smith |  |"),
    ]
    assert extracted.notes == ("2 views or virtual tables were left out: they would have to be computed.",)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["people.sqlite"]


def test_json_values_stand_beside_the_names_that_lead_to_them(tmp_path: Path) -> None:
    source = '{"name": "Ada", "works": [{"title": "Notes", "in": {"year": 1843}}, {"title": "X"}], "tags": ["a", "b"]}'
    assert parts(read(tmp_path, "a.json", source)) == [
        ("text", (), "name: Ada"),
        ("heading", ("works",), "works"),
        ("text", ("works",), "title: Notes\nin.year: 1843\n\ntitle: X"),
        ("heading", ("tags",), "tags"),
        ("text", ("tags",), "a\n\nb"),
    ]
    lines = read(tmp_path, "a.jsonl", '{"a": 1}\n{"a": 2}\nno\n')
    assert lines.text == "a: 1\n\na: 2\n\nno"
    assert lines.notes == ("1 lines are no JSON and were read as they stand.",)


def test_code_falls_into_its_definitions(tmp_path: Path) -> None:
    members = "\n".join(f"    def m{at}(self):\n        return {at}\n" for at in range(25))
    source = (
        f'"""Doc."""\nimport os\n\n# Why.\n@cache\ndef sail():\n    return 1\n\n\nX = 2\n\n\nclass Ship:\n{members}'
    )
    found = parts(read(tmp_path, "a.py", source))
    assert found[:3] == [
        ("code", (), '"""Doc."""\nimport os'),
        ("code", ("sail",), "# Why.\n@cache\ndef sail():\n    return 1"),
        ("code", (), "X = 2"),
    ]
    assert found[3:5] == [
        ("code", ("Ship",), "class Ship:"),
        ("code", ("Ship", "m0"), "    def m0(self):\n        return 0"),
    ]
    script = "const a = 1;\n\nexport async function sail(ship) {\n  go(ship);\n}\n\nclass Ship {\n}\n"
    assert [path for _, path, _ in parts(read(tmp_path, "a.js", script))] == [(), ("sail",), ("Ship",)]
    broken = read(tmp_path, "b.py", "def sail(:\n")
    assert parts(broken) == [("code", (), "def sail(:")]


@pytest.mark.parametrize(
    ("name", "content", "media"),
    [
        ("a.txt", pdf([[SHIP]]), "application/pdf"),
        ("a.pdf", b"<!DOCTYPE html><p>saved from the web", "text/html"),
        ("a.bin", docx(), "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("mail.txt", MAIL, "message/rfc822"),
        ("README", SHIP.encode(), "text/plain"),
        ("a.json", b"{broken", "text/plain"),
    ],
)
def test_a_file_is_known_by_its_content_first(tmp_path: Path, name: str, content: bytes, media: str) -> None:
    assert read(tmp_path, name, content).media == media


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_text_is_read_in_its_encoding(tmp_path: Path, encoding: str) -> None:
    extracted = read(tmp_path, "a.txt", "Café\r\nund Straße\rEnde\0".encode(encoding))
    assert extracted.text == "Café\nund Straße\nEnde"
    assert ("Windows-1252" in "".join(extracted.notes)) == (encoding == "cp1252")
