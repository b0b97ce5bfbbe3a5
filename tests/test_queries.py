"""What a query asks for: stems, phrases, days; and how long texts are cut."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memgpt_core.queries import (
    PIECE_CHARS,
    QUERY_CHARS,
    TERMS_MOST,
    asked,
    day_terms,
    pieces,
    query_terms,
    runs,
    stem,
    terms_of,
)
from memgpt_core.ranking import folded

TODAY = date(2026, 11, 20)
"""A Friday."""


@pytest.mark.parametrize(
    "alike",
    [
        ("invoice", "invoices"),
        ("city", "cities"),
        ("run", "running", "runs"),
        ("plan", "planned", "planning"),
        ("paint", "painted", "painting", "paints"),
        ("move", "moved", "moving", "moves"),
    ],
)
def test_english_endings_are_taken_off(alike: tuple[str, ...]) -> None:
    assert len({stem(word) for word in alike}) == 1


@pytest.mark.parametrize("word", ["2023s", "550e8400", "a716ed", "glass", "his", "ing", "größtes", "maisons1", "猫s"])
def test_codes_short_words_and_other_scripts_stay(word: str) -> None:
    assert stem(word) == word


@settings(deadline=None)
@given(st.text(max_size=60))
def test_what_a_text_is_asked_with_is_among_what_it_is_found_by(text: str) -> None:
    found = {term for run in runs(folded(text)) for term in terms_of(run)}
    assert set(query_terms(text)) <= found
    assert "" not in found


def test_stop_words_are_left_out_unless_there_is_nothing_else() -> None:
    assert query_terms("What is the colour of my cat?") == ["colour", "cat"]
    assert query_terms("to be or not to be") == ["to", "be", "or", "not"]
    assert query_terms("?!") == []


def test_a_long_query_keeps_its_longest_words_and_a_pasted_file_is_cut() -> None:
    terms = query_terms(" ".join(f"{'x' * (1 + at)}" for at in range(TERMS_MOST + 5)))
    assert len(terms) == TERMS_MOST
    assert min(map(len, terms)) == 6
    assert "beyond" not in query_terms("cat " * QUERY_CHARS + "beyond")


@pytest.mark.parametrize(
    "query", ['who said "blue boats" twice', "who said “Blue boats” twice", "wer sagt „blue Boats“"]
)
def test_a_quoted_part_is_a_phrase(query: str) -> None:
    (phrase,) = asked(query, TODAY).phrases
    assert phrase.terms == ("blu", "boat") or phrase.terms == ("blue", "boat")
    assert phrase.stands_in("Two blue,  boats!")
    assert not phrase.stands_in("two blue boatswains")
    assert not phrase.stands_in("boats, blue")


def test_a_phrase_in_a_script_without_spaces_may_stand_inside() -> None:
    (phrase,) = asked('"が好き"', TODAY).phrases
    assert phrase.stands_in("黒猫が好き")


@pytest.mark.parametrize(
    ("query", "days"),
    [
        ("what did we do in May", [("@05",)]),
        ("what may we do", []),
        ("the trip in may 2025", [("@2025-05",)]),
        ("on 8 May 2023", [("@2023-05-08",)]),
        ("on May 8th, 2023", [("@2023-05-08",)]),
        ("since 2023-05-08", [("@2023-05-08",)]),
        ("in 2022", [("@2022",)]),
        ("room 2022", []),
        ("last June", [("@2026-06",)]),
        ("last December", [("@2025-12",)]),
        ("what did I say yesterday", [("@2026-11-19",)]),
        ("last Tuesday", [("@2026-11-17",)]),
        ("on Friday", [("@2026-11-20",)]),
        ("last Friday", [("@2026-11-13",)]),
        ("two days ago", [("@2026-11-18",)]),
        ("3 months ago", [("@2026-08",)]),
        ("last month", [("@2026-10",)]),
        ("a year ago", [("@2025",)]),
        ("last week", [tuple(f"@2026-11-{day:02d}" for day in range(9, 16))]),
    ],
)
def test_days_are_seen_from_today(query: str, days: list[tuple[str, ...]]) -> None:
    assert list(asked(query, TODAY).days) == days


def test_a_day_has_the_names_it_is_asked_by() -> None:
    assert day_terms(date(2023, 5, 8)) == ("@2023-05-08", "@2023-05", "@2023", "@05")


@pytest.mark.parametrize("query", ["999 weeks ago", "999 years ago", "99 months ago", "February 31", "2023-99-99"])
def test_no_day_is_too_strange(query: str) -> None:
    asked(query, date(1970, 1, 1))


@settings(deadline=None)
@given(st.text(alphabet="ab .\n猫é", max_size=4000))
def test_pieces_hold_the_whole_text_and_none_is_too_long(text: str) -> None:
    found = pieces(text)
    for piece in found:
        assert sum(1 if sign < "\x80" else 3 for sign in piece) <= PIECE_CHARS or found == [text]
        assert piece in text
    at = 0
    for piece in found:
        start = text.find(piece, max(0, at - PIECE_CHARS))
        assert not text[at:start].strip()
        at = max(at, start + len(piece))
    assert not text[at:].strip()


def test_a_piece_ends_where_a_sentence_does() -> None:
    text = "This is a sentence about herons. " * 60
    assert all(piece.endswith("herons.") for piece in pieces(text))
    assert pieces("short") == ["short"]
