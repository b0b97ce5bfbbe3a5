"""What a word is, what it is worth, and how words and vectors are joined."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memgpt_core.ranking import (
    LEXICAL,
    QUERY_TERMS,
    SEMANTIC,
    fuse,
    identifier_scores,
    query_terms,
    rarity,
    shortlist,
    weights,
    word_scores,
    words,
)


def test_words_are_lower_case_letters_and_digits() -> None:
    assert words("Don't e-mail Zoë_2!") == ["don", "t", "e", "mail", "zoë", "2"]


def test_words_without_spaces_are_cut_into_letters_and_pairs() -> None:
    assert words("iPhoneを買う") == ["iphone", "を", "買", "う", "を買", "買う"]
    assert query_terms("買う 猫") == ["買う", "猫"]


@settings(deadline=None)
@given(st.text(max_size=60))
def test_what_a_text_is_asked_with_is_among_its_words(text: str) -> None:
    assert set(query_terms(text)) <= set(words(text))
    assert words(" ".join(words(text))).count("") == 0


def test_case_never_matters() -> None:
    assert words("ΟΔΟΣ İstanbul") == words("οδος istanbul")


def test_a_long_query_keeps_its_longest_words() -> None:
    terms = query_terms(" ".join(f"{'x' * (1 + at)}" for at in range(QUERY_TERMS + 5)))
    assert len(terms) == QUERY_TERMS
    assert min(map(len, terms)) == 6


def test_a_rarer_word_is_worth_more_and_never_less_than_nothing() -> None:
    assert rarity(1, 100) > rarity(50, 100) > rarity(100, 100) > 0


def test_bm25_prefers_the_rare_word_and_the_short_text() -> None:
    texts = {"m1": "common rare", "m2": "common common", "m3": "common " + "filler " * 80, "m4": "nothing"}
    scores = word_scores(["common", "rare"], texts, {"common": 3, "rare": 1}, 4)
    assert shortlist(scores) == ["m1", "m2", "m3"]


def test_equals_are_ordered_newest_first() -> None:
    assert [hit.id for hit in fuse({"m2": 1.0, "m11": 1.0, "m9": 1.0}, {}, {}, LEXICAL)] == ["m11", "m9", "m2"]


def test_with_lexical_vectors_words_decide() -> None:
    hits = fuse({"m1": 2.0, "m2": 1.0}, {"m2": 0.9, "m3": 0.9}, {}, LEXICAL)
    assert [hit.id for hit in hits] == ["m1", "m2", "m3"]


def test_with_semantic_vectors_meaning_decides_and_words_break_the_tie() -> None:
    hits = fuse({"m1": 2.0}, {"m1": 0.5, "m2": 0.5, "m3": 0.7}, {}, SEMANTIC)
    assert [hit.id for hit in hits] == ["m3", "m1", "m2"]


def test_a_rare_code_comes_first_whatever_the_vectors_say() -> None:
    terms = query_terms("550e8400-e29b")
    texts = {"p1": "the key is 550e8400-e29b", "p2": "another key"}
    codes = identifier_scores(terms, texts, dict.fromkeys(terms, 1), 50)
    hits = fuse(word_scores(terms, texts, dict.fromkeys(terms, 1), 50), {"p2": 0.95, "p1": 0.1}, codes, SEMANTIC)
    assert hits[0].id == "p1"
    assert codes == {"p1": pytest.approx(1.0)}


def test_hits_say_what_ranked_them() -> None:
    first, second = fuse({"m1": 2.0}, {"m1": 0.123456, "m2": 0.5}, {}, LEXICAL)
    assert (first.words_rank, first.words_score, first.vector_rank, first.vector_score) == (1, 2.0, 2, 0.123456)
    assert (second.words_rank, second.words_score, second.vector_rank) == (None, None, 1)
    assert first.score == round(first.score, 6)


def test_an_embedder_is_weighed_by_its_name() -> None:
    assert weights("hashing") is LEXICAL
    assert weights("all-minilm") is SEMANTIC
