"""Words in RAM: cut in bulk or one by one, kept and read again, the same places come back."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memgpt_core.queries import STOP, runs, terms_of
from memgpt_core.ranking import folded
from memgpt_core.stores import postings as module
from memgpt_core.stores.postings import Postings

TEXTS = st.lists(st.text(alphabet="aAbs é猫好\x00_-9.\n", max_size=40), max_size=12)


def terms(text: str) -> Counter[str]:
    return Counter(term for run in runs(folded(text)) for term in terms_of(run))


def check(postings: Postings, texts: list[str]) -> None:
    counted = [terms(text.replace("\x00", " ")) for text in texts]
    for term in {term for one in counted for term in one}:
        places, times = postings.of(term)
        expected = [(at, min(one[term], module.TIMES_MOST)) for at, one in enumerate(counted) if one[term]]
        assert list(zip(places.tolist(), times.tolist(), strict=True)) == expected
    said = [sum(times for term, times in one.items() if term not in STOP) for one in counted]
    assert postings.lengths().tolist() == said
    assert postings.size == len(texts)


@settings(deadline=None)
@given(batches=st.lists(TEXTS, max_size=4), seed=st.integers(0, 99))
def test_however_texts_come_their_words_are_where_they_are(batches: list[list[str]], seed: int) -> None:
    chance = random.Random(seed)
    postings, texts = Postings(), list[str]()
    with pytest.MonkeyPatch.context() as patch:
        for batch in batches:
            patch.setattr(module, "BULK", chance.choice([0, 10**9]))
            patch.setattr(module, "TAIL_MOST", chance.choice([0, 10**9]))
            postings.add(batch, [()] * len(batch))
            texts += batch
            if chance.random() < 0.5:
                check(postings, texts)
            if chance.random() < 0.3:
                postings = Postings(postings.stored())
    check(postings, texts)


@pytest.mark.parametrize("bulk", [0, 10**9])
def test_terms_beside_the_text_are_found_and_not_counted_as_words(monkeypatch: pytest.MonkeyPatch, bulk: int) -> None:
    monkeypatch.setattr(module, "BULK", bulk)
    postings = Postings()
    postings.add(["a cat", "cats and cat " * 200], [("@2026",), ("@2026", "@05")])
    assert postings.of("@2026")[0].tolist() == [0, 1]
    assert postings.of("@05")[0].tolist() == [1]
    assert postings.of("cat")[1].tolist() == [1, module.TIMES_MOST]
    assert postings.of("dog")[0].tolist() == []
    assert postings.lengths().tolist() == [1, 400]
