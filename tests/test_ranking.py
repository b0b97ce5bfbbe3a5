"""What a word is, what it is worth, and how words and vectors are joined."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pytest

from memgpt_core import ranking
from memgpt_core.ranking import (
    KEPT_WITHIN,
    LEXICAL,
    SEMANTIC,
    Signals,
    Weights,
    cut,
    folded,
    fuse,
    ideal,
    identifier_share,
    is_identifier,
    ranks,
    rarity,
    weights,
    word_score,
    words,
)


class Ranked(NamedTuple):
    """A candidate where the fusion put it."""

    id: str
    score: float


def age(id: str) -> int:
    return -int(id[1:])


def joined(
    by_words: Mapping[str, float],
    by_vectors: Mapping[str, float],
    weigh: Weights,
    *,
    exact: Mapping[str, float] | None = None,
    best: float = 2.0,
) -> list[Ranked]:
    all = sorted({*by_words, *by_vectors, *(exact or {})})
    born = np.array([-age(id) for id in all])
    columns = []
    for scores in (by_words, by_vectors):
        have = np.array([id in scores for id in all])
        values = np.array([scores.get(id, 0.0) for id in all])
        placed = np.zeros(len(all), np.int64)
        placed[have] = ranks(values[have], born[have])
        columns += [values, placed]
    signals = Signals(born, *columns, np.array([(exact or {}).get(id, 0.0) for id in all]))
    order, scores = fuse(signals, best, weigh)
    return [Ranked(all[at], scores[at]) for at in order]


def ids(hits: list[Ranked]) -> list[str]:
    return [hit.id for hit in hits]


def test_words_are_lower_case_letters_and_digits() -> None:
    assert words("Don't e-mail Zoë_2!") == ["don", "t", "e", "mail", "zoë", "2"]


def test_words_without_spaces_are_cut_into_letters_and_pairs() -> None:
    assert words("iPhoneを買う") == ["iphone", "を", "買", "う", "を買", "買う"]
    assert cut("買う猫", pairs_only=True) == ["買う", "う猫"]
    assert cut("猫", pairs_only=True) == ["猫"]


def test_case_never_matters() -> None:
    assert words("ΟΔΟΣ İstanbul") == words("οδος istanbul")
    assert folded("ΟΔΟΣ") == folded("οδος")


def test_a_rarer_word_is_worth_more_and_never_less_than_nothing() -> None:
    assert rarity(1, 100) > rarity(50, 100) > rarity(100, 100) > 0


def test_bm25_prefers_the_rare_word_the_short_text_and_the_second_mention_a_little() -> None:
    def score(times: float, length: float, found: int) -> float:
        return float(word_score(np.array([times]), np.array([length]), found, 100)[0])

    assert score(1, 10, 2) > score(1, 10, 50)
    assert score(1, 10, 2) > score(1, 80, 2)
    assert score(1, 10, 2) < score(2, 10, 2) < 2 * score(1, 10, 2)


def test_the_ideal_is_one_mention_of_each_word_in_a_text_of_middling_length() -> None:
    once = [float(word_score(np.ones(1), np.full(1, 40.0), found, 100)[0]) for found in (1, 7, 40)]
    assert ideal([1, 7, 40], 100) == pytest.approx(sum(once))
    assert ideal([1, 7, 40, 0], 100) == pytest.approx(sum(once) + once[0]), "an unknown word counts as a rare one"


@pytest.mark.parametrize(
    ("term", "code"),
    [("550e8400", True), ("a716", True), ("2023", False), ("20231", True), ("cats", False), ("42", False)],
)
def test_a_code_has_four_signs_and_a_digit_and_is_no_year(term: str, code: bool) -> None:
    assert is_identifier(term) is code


def test_a_code_is_worth_less_the_more_rows_have_it() -> None:
    assert identifier_share(1, 50) == 1
    assert 0 <= identifier_share(50, 50) < 0.1 < identifier_share(5, 50) < 1


def test_equals_are_ordered_newest_first() -> None:
    assert ids(joined({"m2": 1.0, "m11": 1.0, "m9": 1.0}, {}, LEXICAL)) == ["m11", "m9", "m2"]


def test_with_lexical_vectors_words_decide() -> None:
    assert ids(joined({"m1": 2.0, "m2": 1.0}, {"m2": 0.9, "m3": 0.9}, LEXICAL)) == ["m1", "m2", "m3"]


def test_with_semantic_vectors_the_sum_of_both_decides() -> None:
    hits = joined({"m1": 1.0, "m4": 0.2}, {"m1": 0.5, "m2": 0.5, "m3": 0.7, "m4": 0.4}, SEMANTIC)
    assert [(hit.id, hit.score) for hit in hits] == [("m1", 0.75), ("m3", 0.7), ("m2", 0.5), ("m4", 0.45)]


def test_a_rare_code_or_a_phrase_comes_first_whatever_the_vectors_say() -> None:
    assert ids(joined({"p1": 1.0}, {"p2": 0.95, "p1": 0.1}, SEMANTIC, exact={"p1": 1.0})) == ["p1", "p2"]


def test_the_best_of_each_half_stand_on_the_first_page_and_the_weakest_others_give_way() -> None:
    both = {f"m{at}": 0.5 + at / 100 for at in range(20, 40)}
    by_words = {"m1": 1.9, "m2": 1.8, **both}
    by_vectors = {"m3": 0.9, **{id: 0.55 for id in both}}
    hits = joined(by_words, by_vectors, SEMANTIC, best=40.0)
    first = ids(hits)[:KEPT_WITHIN]
    assert {"m1", "m2", "m3"} <= set(first)
    by_score = sorted(hits, key=lambda hit: (-hit.score, age(hit.id)))
    assert {"m1", "m2"}.isdisjoint(ids(by_score)[:KEPT_WITHIN]), "they would not stand there by their scores"
    assert len(hits) == len(set(ids(hits))) == 23
    gave_way = [id for id in ids(by_score)[:KEPT_WITHIN] if id not in first]
    assert ids(hits)[KEPT_WITHIN : KEPT_WITHIN + len(gave_way)] == gave_way
    assert len(joined(by_words, by_vectors, LEXICAL)) == 23


def test_what_is_no_match_by_itself_comes_last() -> None:
    assert ids(joined({"m1": 0.01}, {"m1": 0.0, "m2": 0.19}, SEMANTIC)) == ["m1", "m2"]


def test_ranks_count_from_one_and_the_later_of_equals_is_first() -> None:
    assert ranks(np.array([0.5, 0.9, 0.5]), np.array([3, 1, 7])).tolist() == [3, 1, 2]


def test_scores_are_rounded() -> None:
    (only,) = joined({"m1": 2.0}, {"m1": 0.12345678}, LEXICAL)
    assert only.score == round(only.score, 6)


def test_an_embedder_is_weighed_by_its_name() -> None:
    assert weights("hashing") is LEXICAL
    assert weights("minilm") is weights("ollama:all-minilm") is SEMANTIC


def test_scores_are_rounded_as_python_rounds_them() -> None:
    between = np.random.default_rng(1).integers(0, 10**7, 5000) * 1e-6 * 0.1
    found = ranking.rounded(between)
    assert found.tolist() == [round(score, 6) for score in between.tolist()]
    assert (found != np.round(between, 6)).any(), "NumPy alone rounds some of them otherwise"
