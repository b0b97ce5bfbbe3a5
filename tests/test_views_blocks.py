"""What the core memory page is drawn from: meters, versions, word diffs, blame and the three-way merge."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgpt_core.views.blame import blame
from memgpt_core.views.merge import BETWEEN, THEIRS, YOURS, marks_left, merge
from memgpt_core.views.worddiff import counts, word_diff

WORDS = st.text(alphabet="ab \n.é\u202e", max_size=60)
LINES = st.lists(st.sampled_from("abcde"), max_size=8).map("\n".join)


# --- word diff ------------------------------------------------------------------------------------------------


@given(WORDS, WORDS)
def test_a_word_diff_holds_both_texts_whole(before: str, after: str) -> None:
    pieces = word_diff(before, after)
    assert "".join(piece.text for piece in pieces if piece.kind != "in") == before
    assert "".join(piece.text for piece in pieces if piece.kind != "out") == after
    assert all(piece.text for piece in pieces)


@given(WORDS)
def test_a_text_does_not_differ_from_itself(text: str) -> None:
    assert {piece.kind for piece in word_diff(text, text)} <= {"same"}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("Lives in: Ghent", "Lives in: Bruges", [("same", "Lives in: "), ("out", "Ghent"), ("in", "Bruges")]),
        ("a b", "a x b", [("same", "a "), ("in", "x "), ("same", "b")]),
        ("old words here", "new things here", [("out", "old words"), ("in", "new things"), ("same", " here")]),
        ("", "all new", [("in", "all new")]),
        ("gone", "", [("out", "gone")]),
        ("", "", []),
    ],
)
def test_a_word_diff_reads_as_a_person_would_mark_it(before: str, after: str, expected: list) -> None:
    assert [tuple(piece) for piece in word_diff(before, after)] == expected


def test_words_that_come_and_go_are_counted() -> None:
    assert counts(word_diff("I like green tea.", "I like tea a lot.")) == (2, 1)


def test_texts_too_different_to_compare_by_words_are_still_whole() -> None:
    before = "\n".join(f"line {n} of one" for n in range(1000))
    after = "\n".join(f"line {n} of {'two' if n % 100 == 50 else 'one'}" for n in range(1000))
    pieces = word_diff(before, after)
    assert "".join(piece.text for piece in pieces if piece.kind != "in") == before
    assert [piece.text for piece in pieces if piece.kind == "in"] == ["two"] * 10
    wholly = word_diff("a " * 5000, "b " * 5000)
    assert [piece.kind for piece in wholly] == ["out", "in"] or counts(wholly) == (5000, 5000)


# --- blame ----------------------------------------------------------------------------------------------------


def test_each_line_has_the_event_that_wrote_it() -> None:
    versions = [(9, "a\nC\nd"), (7, "a\nc\nd"), (5, "a\nc"), (3, "a")]
    assert [tuple(line) for line in blame("a\nC\nd", versions, whole=True)] == [("a", 3), ("C", 9), ("d", 7)]


def test_a_version_that_changed_no_text_wrote_nothing() -> None:
    assert [line.seq for line in blame("a\nb", [(9, "a\nb"), (7, "a\nb"), (3, "a")], whole=True)] == [3, 7]


def test_a_line_older_than_was_looked_is_said_to_be() -> None:
    assert [line.seq for line in blame("a\nb", [(9, "a\nb"), (7, "a")], whole=False)] == [0, 9]


def test_blame_reads_no_further_back_than_it_must() -> None:
    read = []

    def versions():
        for seq, text in [(9, "new"), (7, "old"), (5, "older"), (3, "oldest")]:
            read.append(seq)
            yield seq, text

    assert [line.seq for line in blame("new", versions(), whole=True)] == [9]
    assert read == [9, 7]


@given(st.lists(LINES, min_size=1, max_size=6))
def test_blame_is_whole_and_names_a_version_that_has_the_line(texts: list[str]) -> None:
    versions = list(enumerate(texts, start=1))[::-1]
    lines = blame(texts[-1], versions, whole=True)
    assert "\n".join(line.text for line in lines) == texts[-1]
    for line in lines:
        assert line.text in texts[line.seq - 1].split("\n")


# --- merge ----------------------------------------------------------------------------------------------------


@given(LINES, LINES)
def test_only_one_sides_changes_are_that_sides_text(base: str, changed: str) -> None:
    assert merge(base, changed, base)[:2] == (changed, 0)
    assert merge(base, base, changed)[:2] == (changed, 0)
    assert merge(base, changed, changed)[:2] == (changed, 0)


@given(LINES, LINES, LINES)
def test_a_merge_loses_no_line_that_anybody_added(base: str, theirs: str, yours: str) -> None:
    merged = merge(base, theirs, yours)
    lines = merged.text.split("\n")
    for side in (theirs, yours):
        for line in set(side.split("\n")) - set(base.split("\n")):
            assert line in lines
    assert merged.text.split("\n").count(THEIRS) == merged.conflicts
    for name in ("base", "theirs", "yours"):
        text = {"base": base, "theirs": theirs, "yours": yours}[name]
        assert [line for stretch in merged.stretches for line in getattr(stretch, name)] == text.split("\n")


def test_both_sides_changes_are_taken_also_when_they_touch() -> None:
    base = "Name: Maya\nLives in: Ghent"
    merged = merge(base, f"{base}\nDog: Biscuit", "Name: Maya\nLives in: Bruges")
    assert merged.text == "Name: Maya\nLives in: Bruges\nDog: Biscuit"
    assert merged.conflicts == 0


def test_a_conflict_stands_in_the_text_with_both_sides() -> None:
    merged = merge("a\nb\nc", "a\nB\nc", "a\nbb\nc")
    assert merged.text.split("\n") == ["a", THEIRS, "B", BETWEEN, "bb", YOURS, "c"]
    assert merged.conflicts == marks_left(merged.text) == 1
    assert marks_left("a\nB\nc") == 0


def test_lines_added_at_one_place_by_both_are_a_conflict() -> None:
    assert merge("a", "a\nb", "a\nc").conflicts == 1
    assert merge("a", "a\nb", "a\nb")[:2] == ("a\nb", 0)


def test_a_line_added_inside_what_the_other_took_away_is_a_conflict() -> None:
    merged = merge("a\nb\nc\nd", "a\nd", "a\nb\nx\nc\nd")
    assert merged.conflicts == 1
    assert "x" in merged.text


def test_a_thousand_unlike_lines_are_merged_at_once() -> None:
    base = "\n".join(f"line {n}" for n in range(5000))
    merged = merge(base, base.replace("line 7\n", "LINE 7\n"), f"{base}\nend")
    assert merged.conflicts == 0
    assert merged.text.endswith("line 4999\nend")
    assert "LINE 7\n" in merged.text
