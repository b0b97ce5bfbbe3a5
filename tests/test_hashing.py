"""The hashing embedder: deterministic, unit length, about spellings."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from memgpt_core.embedding.hashing import HashingEmbedder
from memgpt_core.ranking import words

EMBEDDER = HashingEmbedder(64)


@settings(deadline=None)
@given(st.lists(st.text(max_size=40), max_size=8))
def test_a_vector_is_unit_length_or_zero_and_the_same_in_any_batch(texts: list[str]) -> None:
    together = EMBEDDER.embed(texts)
    assert together.shape == (len(texts), 64)
    assert together.dtype == np.float32
    for text, vector in zip(texts, together, strict=True):
        length = float(np.linalg.norm(vector))
        assert abs(length - 1) < 1e-5 if vector.any() else not words(text) or length == 0
        assert np.array_equal(vector, EMBEDDER.embed([text])[0])


def test_a_text_without_a_word_is_zero() -> None:
    assert not EMBEDDER.embed(["", "?!", " \n"]).any()


def test_the_values_never_change() -> None:
    """A changed value means that stored vectors no longer fit: give the embedder another name then."""
    vector = HashingEmbedder(8).embed(["Anna likes blue"])[0]
    assert [round(float(value), 4) for value in vector] == PINNED


def test_like_spellings_are_nearer_than_unlike_ones() -> None:
    query, near, far = HashingEmbedder().embed(["invoice", "invoices", "mountain"])
    assert float(query @ near) > 0.3 > abs(float(query @ far))


PINNED = [-0.0985, 0.2956, -0.1971, 0.3941, 0.3941, 0.1971, 0.6897, -0.1971]
