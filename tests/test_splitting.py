"""Files become text, passages and an outline; what cannot be read says so in a sentence."""

import tempfile
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgpt_core.documents.extraction import Extracted, extract
from memgpt_core.documents.outline import outline
from memgpt_core.documents.parts import Draft
from memgpt_core.documents.splitting import OVERLAP_TOKENS, PASSAGE_TOKENS, Passage, split
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


WORDS = st.sampled_from(
    [
        *(
            "ship",
            "harbour.",
            "said,",
            "CHAPTER",
            "II",
            "Большая",
            "лодка.",
            "停了九天。",
            "12,345.67",
            "```",
            "|",
            "- a",
        ),
        *("# Sea", "\t", "\n", "\n\n", "\n---\n", "1.2 Noon", "x" * 300, "7" * 200, "<>" * 60, "...", "!?", "\u00a0"),
    ]
)
TEXTS = st.one_of(st.text(max_size=400), st.lists(WORDS, max_size=300).map(" ".join))


@given(TEXTS, st.sampled_from([".txt", ".md", ".py", ".js", ".csv", ".json", ".jsonl", ".html"]))
def test_every_text_is_covered_by_passages_within_the_limit(text: str, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            extracted = read(Path(folder), f"file{suffix}", text.encode(errors="replace"))
        except NotReadable:
            return
    passages = whole(extracted)
    assert passages == split(extracted, "file")
    about, sections = outline(extracted, passages)
    assert [section.first_passage for section in sections] == [
        0,
        *accumulate(section.passages for section in sections[:-1]),
    ]
    assert sum(section.passages for section in sections) == len(passages)
    assert all(section.extract for section in sections)
    assert about


PIECES = st.tuples(
    st.sampled_from(["heading", "section", "text", "code", "page", "table"]),
    st.integers(0, 3),
    st.lists(WORDS, max_size=120),
)


@given(st.lists(PIECES, max_size=12), st.text(max_size=300))
def test_every_draft_is_covered_whatever_its_order(pieces: list[tuple[str, int, list[str]]], name: str) -> None:
    draft = Draft()
    for kind, level, words in pieces:
        text = " ".join(words)
        if kind in ("heading", "section"):
            getattr(draft, kind)(level, text[:200])
        elif kind == "table":
            draft.table([words[at : at + 3] for at in range(0, len(words), 3)])
        elif kind == "page":
            draft.page = (draft.page or 0) + 1
        else:
            draft.add(text, "code" if kind == "code" else "text")
    whole(draft.finish("", "text/plain"), name)


def test_an_edit_changes_the_passages_around_it_and_no_others(tmp_path: Path) -> None:
    text = " ".join(
        f"On day {day} the ship made {day * 7 % 100} miles before the wind turned again." for day in range(2000)
    )
    before = whole(read(tmp_path, "a.txt", text))
    edited = text[:1000] + " An added sentence stands here. " + text[1000:]
    after = whole(read(tmp_path, "a.txt", edited))
    assert len(before) > 200
    assert len({passage.text for passage in after} - {passage.text for passage in before}) < 6


def test_a_passage_says_the_end_of_the_one_before_again_in_whole_sentences(tmp_path: Path) -> None:
    text = " ".join(f"Sentence number {at} says something about ship {at}." for at in range(100))
    passages = whole(read(tmp_path, "a.txt", text))
    for before, after in pairwise(passages):
        assert after.start < before.end
        assert text[after.start :].startswith("Sentence number")
        assert estimate(text[after.start : before.end]) <= OVERLAP_TOKENS


def test_passages_end_where_paragraphs_do(tmp_path: Path) -> None:
    text = "\n\n".join(
        " ".join(f"Words of paragraph {at}, said {said} times." for said in range(8)) for at in range(30)
    )
    passages = whole(read(tmp_path, "a.txt", text))
    assert all(text[passage.end : passage.end + 2] in ("\n\n", "") for passage in passages)


VERSES = "".join(
    f"{book} {chapter}:{verse}\tAnd so it was in verse {verse}.\n"
    for book in ("Genesis", "1 Kings")
    for chapter in (1, 2)
    for verse in range(1, 9)
)
NUMBERED = "\n\n".join(
    f"{number} {title}\n\nSome words stand here." for number, title in (("1", "A"), ("1.1", "B"), ("2", "C"))
)
UNDERLINED = "Ship\n====\n\nWords.\n\nSails\n-----\n\nMore words.\n"
NAMED = "\n\n".join(f"Genesis {chapter}\n\nIn the beginning there were words." for chapter in (1, 2, 3))
LISTED = "CHAPTER I\n\nCHAPTER II\n\nCHAPTER III\n\n"


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        (VERSES, [(book, f"{book} {chapter}") for book in ("Genesis", "1 Kings") for chapter in (1, 2)]),
        (NUMBERED, [("1 A",), ("1 A", "1.1 B"), ("2 C",)]),
        (UNDERLINED, [("Ship",), ("Ship", "Sails")]),
        (NAMED, [("Genesis 1",), ("Genesis 2",), ("Genesis 3",)]),
        (LISTED + "The ship sailed.", [()]),
        ("I WAS HERE\n\nthe line above shouts.", [()]),
        ("1 Apple\n\n2 Pears\n\n", [()]),
        (
            "PART ONE\n\nCHAPTER 1\n\nWords.\n\nCHAPTER 2\n\nWords.",
            [("PART ONE", "CHAPTER 1"), ("PART ONE", "CHAPTER 2")],
        ),
    ],
)
def test_headings_of_plain_text_are_found_where_it_is_safe(
    tmp_path: Path, text: str, paths: list[tuple[str, ...]]
) -> None:
    passages = whole(read(tmp_path, "a.txt", text))
    assert [passage.title_path for passage in passages] == paths


def test_an_outline_cuts_a_long_section_and_quotes_what_is_told_apart(tmp_path: Path) -> None:
    common = "It was a day like any other day on the wide sea, and nothing happened."
    told = "The captain found a chest of silver below the mizzen mast."
    text = "\n\n".join([common] * 300 + [told] + [common] * 300)
    extracted = read(tmp_path, "a.txt", text)
    passages = whole(extracted)
    about, sections = outline(extracted, passages)
    assert len(sections) == round(len(passages) / 20)
    assert all(15 <= section.passages <= 25 for section in sections)
    assert sum(told in section.extract for section in sections) == 1
    assert told in about
