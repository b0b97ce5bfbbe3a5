"""What cannot be read is refused in one sentence that says what is wrong and what to do; nothing is run or unpacked."""

import io
import os
import struct
import zipfile
from pathlib import Path

import pytest

from memgpt_core.documents import extraction, json_text, parts, unpacking
from memgpt_core.documents.extraction import FILE_BYTES_MOST, extract
from memgpt_core.errors import NotReadable
from tests.document_builder import archive, docx, epub, pdf, rewritten_pdf
from tests.test_splitting import read

ENTITIES = (
    '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">'
    '<!ENTITY f SYSTEM "file:///etc/hostname">]>'
)


def with_file(document: bytes, name: str, content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(document)) as packed:
        return archive({**{each: packed.read(each) for each in packed.namelist()}, name: content})


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", b"", "it is empty (0 bytes)"),
        ("a.txt", b" \n\t\n", "it holds no text"),
        ("a.txt", bytes(range(256)) * 8, "it holds binary data and no text"),
        ("a.txt", b"\x89PNG\r\n\x1a\n", "it is a picture. Run text recognition"),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1", "an old Office file, or an encrypted one. Save it as DOCX"),
        ("a.pdf", b"no such thing", "its name says PDF, but its content is something else"),
        ("a.pdf", pdf([["x"]])[:60], "it is broken or only half there. Open it in a PDF viewer"),
        ("a.pdf", rewritten_pdf([["x"]], password="secret"), "it is encrypted with a password. Save it without one"),
        ("a.pdf", pdf([[], []]), "its pages hold only pictures"),
        ("a.docx", docx()[:900], "it is broken or only half there"),
        ("a.docx", with_file(docx(), "word/document.xml", b"<w:document>"), "it is broken or only half there"),
        ("a.xlsx", archive({"xl/workbook.xml": "<x/>"}), "it is a workbook. Save its sheets as CSV"),
        ("a.zip", archive({"a.txt": "x"}), "it is an archive (ZIP). Unpack it"),
        ("a.epub", epub({"a.xhtml": "<p>x"}, package="<package>"), "it is broken or only half there"),
        ("a.epub", epub({"a.xhtml": "<p>x"}, package=ENTITIES + "<package>&c;</package>"), "it is broken"),
        ("a.sqlite", b"SQLite format 3\0" + b"\1" * 4000, "it is a SQLite file that cannot be read"),
        ("a.json", b"[" * 100_000 + b"]" * 100_000, "its values are nested more than 200 deep"),
        ("a.json", b"[" * 300 + b"]" * 300, "its values are nested more than 200 deep"),
        ("a.html", b"<html>" + b"<div>" * 200_000 + b"x", "its elements are nested more than 5,000 deep"),
        ("a.eml", b"Subject: x\n" + b"Content-Type: message/rfc822\n\n" * 5000, "its parts are nested too deep"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_cannot_be_read_says_why_and_what_to_do(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    with pytest.raises(NotReadable) as refused:
        read(tmp_path, name, content)
    assert str(refused.value).startswith(f"{name} was not read: ")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_too_large_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "big.txt"
    with path.open("wb") as file:
        file.truncate(2 * 2**30)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("it was read"))
    with pytest.raises(NotReadable, match=rf"it has 2,048 MB, and {FILE_BYTES_MOST // 2**20} MB is the most"):
        extract("big.txt", path)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before")
    real = extraction.parts_of_plain

    def meanwhile(text: str) -> tuple[parts.Part, ...]:
        path.write_text("behind")
        os.utime(path, ns=(1, 1))
        return real(text)

    monkeypatch.setattr(extraction, "parts_of_plain", meanwhile)
    with pytest.raises(NotReadable, match="it changed meanwhile"):
        extract("a.txt", path)


def test_a_file_that_is_no_file_and_one_that_may_not_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotReadable, match=r"^nothing.txt was not read: No such file or directory\. Check that it is"):
        extract("nothing.txt", tmp_path / "nothing.txt")
    with pytest.raises(NotReadable, match=r"^folder was not read: it is no ordinary file"):
        extract("folder", tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotReadable, match="it is no ordinary file"):
        extract("pipe", tmp_path / "pipe")


@pytest.mark.parametrize(
    "make", [lambda big: with_file(docx(), "word/more.xml", big), lambda big: epub({"a.html": big})]
)
def test_an_archive_is_unpacked_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: object) -> None:
    assert callable(make)
    bomb = make(b"x" * 3_000_000 if make.__code__.co_names[0] == "with_file" else "x" * 3_000_000)
    assert len(bomb) < 100_000
    monkeypatch.setattr(unpacking, "UNPACKED_BYTES_MOST", 2 * 2**20)
    with pytest.raises(NotReadable, match="it unpacks to more than 2 MB"):
        read(tmp_path, "bomb.zip", bomb)


def test_an_archive_that_lies_about_its_sizes_is_not_believed(tmp_path: Path) -> None:
    honest = epub({"a.html": "<p>" + "x" * 100_000})
    lying = honest.replace(struct.pack("<I", len("<html><body><p></body></html>") + 100_000), struct.pack("<I", 10))
    assert lying != honest
    with pytest.raises(NotReadable, match="it is broken or only half there"):
        read(tmp_path, "a.epub", lying)


def test_entities_of_a_docx_are_not_expanded(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(docx())) as packed:
        xml = packed.read("word/document.xml").decode()
    head, body = xml.split("<w:document", 1)
    hostile = head + ENTITIES.replace("DOCTYPE x", "DOCTYPE w:document") + "<w:document" + body
    hostile = hostile.replace("The boiler was mended in March.", "The &c; boiler &f; was mended.")
    text = read(tmp_path, "a.docx", with_file(docx(), "word/document.xml", hostile.encode())).text
    assert text.endswith("- a valve")
    assert "haha" not in text
    assert Path("/etc/hostname").read_text().strip() not in text


def test_a_text_that_grows_without_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "CHARS_MOST", 2**20)
    with pytest.raises(NotReadable, match="it unpacks to more than 1 million characters"):
        read(tmp_path, "a.csv", "a,b\n" + "1,2\n" * 400_000)


def test_one_large_json_value_is_sent_to_json_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_text, "WHOLE_CHARS_MOST", 100)
    with pytest.raises(NotReadable, match=r"Save it as JSON lines \(one value a line, \.jsonl\)"):
        read(tmp_path, "a.json", "[" + "1," * 100 + "1]")
