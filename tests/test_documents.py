"""Files become text, passages and an outline; what cannot be read says so in a sentence."""

from itertools import pairwise
from pathlib import Path

import pytest

from memgpt_core.documents.extraction import Extracted, extract
from memgpt_core.documents.outline import outline
from memgpt_core.documents.splitting import PASSAGE_TOKENS, Passage, split
from memgpt_core.errors import NotReadable
from memgpt_core.tokens import estimate


def read(folder: Path, name: str, content: str | bytes) -> Extracted:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return extract(name, path)


def whole(extracted: Extracted, name: str = "file") -> tuple[Passage, ...]:
    """The passages, checked: they cover the parts, repeat the text, stand in order, and none is too large."""
    passages = split(extracted, name)
    covered = bytearray(len(extracted.text))
    for passage in passages:
        stretch = extracted.text[passage.start : passage.end]
        assert passage.text.endswith(stretch)
        assert stretch.strip()
        assert estimate(passage.text) <= PASSAGE_TOKENS
        covered[passage.start : passage.end] = b"\1" * len(stretch)
    for before, after in pairwise(passages):
        assert before.start < after.start
        assert before.end < after.end
    end = 0
    for part in extracted.parts:
        assert end <= part.start < part.end
        assert not extracted.text[end : part.start].strip()
        assert all(covered[at] for at in range(part.start, part.end) if not extracted.text[at].isspace())
        end = part.end
    assert not extracted.text[end:].strip()
    return passages


PLAIN = """THE VOYAGE

CONTENTS

CHAPTER I. The harbour
CHAPTER II. The sea

CHAPTER I.
The harbour

The ship lay in the harbour for nine days. Nobody came aboard but the pilot.

CHAPTER II.
The sea

On the tenth day the wind turned. The ship left the harbour at noon with forty men.
"""


def test_chapter_lines_of_a_plain_book_are_headings_and_its_contents_are_not(tmp_path: Path) -> None:
    extracted = read(tmp_path, "voyage.txt", PLAIN)
    assert [extracted.text[part.start : part.end] for part in extracted.parts if part.kind == "heading"] == [
        "CHAPTER I.\nThe harbour",
        "CHAPTER II.\nThe sea",
    ]
    passages = whole(extracted, "voyage.txt")
    assert [passage.title_path for passage in passages] == [(), ("CHAPTER I: The harbour",), ("CHAPTER II: The sea",)]
    assert passages[1].text.startswith("voyage.txt\nCHAPTER I.\nThe harbour\n\nThe ship")


def test_markdown_keeps_its_text_and_gives_its_structure(tmp_path: Path) -> None:
    source = (
        "# Ada\n\nBorn *1815*.\n\n## Work\n\n```py\n# no heading\nx = 1\n```\n\n"
        "| year | what |\n|---|---|\n| 1843 | notes |\n"
    )
    extracted = read(tmp_path, "ada.md", source)
    assert extracted.text == source
    assert extracted.title == "Ada"
    assert [(part.kind, part.title_path) for part in extracted.parts] == [
        ("heading", ("Ada",)),
        ("text", ("Ada",)),
        ("heading", ("Ada", "Work")),
        ("code", ("Ada", "Work")),
        ("table", ("Ada", "Work")),
    ]
    assert len(whole(extracted)) == 2


def test_a_table_repeats_its_header_in_every_passage(tmp_path: Path) -> None:
    rows = "\n".join(f"| {year} | something happened in the year {year} |" for year in range(1800, 1900))
    extracted = read(tmp_path, "t.md", f"| year | what |\n|---|---|\n{rows}\n")
    passages = whole(extracted)
    assert len(passages) > 5
    assert all(passage.text.startswith("file\n| year | what |\n|---|---|\n| 1") for passage in passages)


def test_an_outline_covers_the_passages_and_quotes_the_text(tmp_path: Path) -> None:
    extracted = read(tmp_path, "voyage.txt", PLAIN)
    passages = whole(extracted)
    about, sections = outline(extracted, passages)
    assert [section.title_path for section in sections] == [passage.title_path for passage in passages]
    assert sections[1].extract.startswith("The ship lay in the harbour for nine days.")
    assert about


def test_an_empty_and_a_missing_file_are_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(NotReadable, match=r"^a.txt was not read: it is empty \(0 bytes\)\."):
        read(tmp_path, "a.txt", "")
    with pytest.raises(NotReadable, match=r"^b.txt was not read: No such file or directory\."):
        extract("b.txt", tmp_path / "b.txt")
