"""Embedding requests of many askers: what comes together leaves as one, and nobody pays for another's bad text."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from memgpt_core.embedding import batching
from memgpt_core.embedding.base import Vectors
from memgpt_core.embedding.batching import FULL, Batching
from memgpt_core.embedding.hashing import HashingEmbedder
from memgpt_core.errors import ModelUnavailable
from tests.engine import PATIENCE_S, until

DIM = 32
HASHING = HashingEmbedder(DIM)


class Slow(HashingEmbedder):
    """Notes each request; `until_now` is what it waits for, and `fails` says which requests do."""

    def __init__(self, fails: Callable[[Sequence[str]], bool] = lambda _: False) -> None:
        super().__init__(DIM)
        self.requests: list[list[str]] = []
        self.fails = fails
        self.gate = threading.Event()
        self.gate.set()

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.requests.append(list(texts))
        assert self.gate.wait(PATIENCE_S)
        if self.fails(texts):
            raise ModelUnavailable(f"The model would not take {len(texts)} texts.")
        return super().embed(texts)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever leads waits until the test has let everybody come, on however busy a machine."""
    monkeypatch.setattr(batching, "WAIT_MOST_S", PATIENCE_S)
    monkeypatch.setattr(batching, "WAIT_SHARE", 1e9)


def together(front: Batching, asks: Sequence[Sequence[str]]) -> list[Any]:
    """What each of these askers got, when all of them came before the first left."""
    found: list[Any] = [None] * len(asks)

    def ask(at: int) -> None:
        try:
            found[at] = front.embed(asks[at])
        except ModelUnavailable as error:
            found[at] = error

    threads = [threading.Thread(target=ask, args=(at,)) for at in range(len(asks))]
    for thread in threads:
        thread.start()
    until(lambda: front.sent().asked == len(asks))
    until(lambda: front._gathering is None or len(front._gathering.asks) == len(asks))
    if front._gathering is not None:
        front._gathering.full.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    return found


def test_what_comes_together_leaves_as_one_request_and_each_gets_its_own(patient: None) -> None:
    embedder = Slow()
    front = Batching(embedder)
    asks = [[f"text {at}", "said by all", f"more of {at}"] for at in range(8)]
    found = together(front, asks)
    assert len(embedder.requests) == 1
    assert sorted(embedder.requests[0]) == sorted({text for ask in asks for text in ask}), "the same text once"
    for ask, vectors in zip(asks, found, strict=True):
        assert np.array_equal(vectors, HASHING.embed(ask)), "to the bit as if asked alone, and in its order"
    assert front.sent()[:3] == (8, 1, 17)


def test_switched_off_each_leaves_by_itself() -> None:
    embedder = Slow()
    front = Batching(embedder)
    front.on = False
    together(front, [["a"], ["b"]])
    assert sorted(embedder.requests) == [["a"], ["b"]]


def test_a_full_request_leaves_alone_and_no_request_is_overfilled(patient: None) -> None:
    embedder = Slow()
    front = Batching(embedder)
    many = [f"text {number}" for number in range(FULL)]
    assert np.array_equal(front.embed(many), HASHING.embed(many)), "waits for nobody"
    asks = [[f"{letter}{number}" for number in range(FULL - 2)] for letter in "abc"]
    threads = [threading.Thread(target=front.embed, args=(ask,)) for ask in asks]
    for thread in threads:
        thread.start()
    until(lambda: front.sent().asked == 4)
    until(lambda: len(embedder.requests) == 3)
    front.embed(["x", "y"])
    for thread in threads:
        thread.join(PATIENCE_S)
    assert max(map(len, embedder.requests)) == FULL
    assert len(embedder.requests) == 4, "the last two texts filled the request that waited"


def test_a_lone_query_waits_a_small_share_of_what_a_request_takes() -> None:
    waited: list[float] = []

    class Watched(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout or 0.0)
            return True

    def waits(request_s: float) -> list[float]:
        now = iter(range(10**6))
        front = Batching(HASHING, timer=lambda: next(now) * request_s)
        waited.clear()
        for number in range(3):
            front.embed([f"query {number}"])
        return list(waited)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batching.threading, "Event", Watched)
        assert waits(0.020) == pytest.approx([batching.WAIT_MOST_S, 0.001, 0.001]), (
            "first it is not known what it takes"
        )
        assert waits(10.0) == [batching.WAIT_MOST_S] * 3
        assert waits(0.001) == [batching.WAIT_MOST_S], "an embedder that answers at once makes nobody wait"


def test_a_bad_text_fails_for_who_sent_it_and_for_nobody_else(patient: None) -> None:
    embedder = Slow(fails=lambda texts: "poison" in texts)
    front = Batching(embedder)
    good, bad, other = together(front, [["good"], ["poison", "beside it"], ["other"]])
    assert np.array_equal(good, HASHING.embed(["good"]))
    assert np.array_equal(other, HASHING.embed(["other"]))
    assert str(bad) == "The model would not take 2 texts."
    assert len(embedder.requests) == 1 + 3


def test_a_server_that_is_away_is_said_to_each_by_itself(patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = Slow(fails=lambda _: True)
    front = Batching(embedder)
    found = together(front, [["a"], ["b"], ["c"]])
    assert [str(error) for error in found] == ["The model would not take 1 texts."] * 3
    assert len({id(error) for error in found}) == 3, "an error that two threads raise tells neither where it was"
    monkeypatch.setattr(batching, "APART_WITHIN_S", -1.0)
    front, embedder.requests[:] = Batching(embedder), []
    found = together(front, [["a"], ["b"]])
    assert [str(error) for error in found] == ["The model would not take 2 texts."] * 2
    assert len({id(error) for error in found}) == 2
    assert len(embedder.requests) == 1, "what took long to fail is not tried again for each"


def test_a_fault_of_the_embedder_leaves_nobody_waiting(patient: None) -> None:
    class Broken(Slow):
        def embed(self, texts: Sequence[str]) -> Vectors:
            if len(texts) > 1:
                raise RuntimeError("a defect")
            return super().embed(texts)

    front = Batching(Broken())
    raised: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "excepthook", lambda args: raised.append(str(args.exc_value)))
        found = together(front, [["a"], ["b"], ["c"]])
    assert raised == ["a defect"]
    assert sum(vectors is not None for vectors in found) == 2


@pytest.mark.parametrize("shape", [(1, DIM), (2, DIM + 1), (2,)])
def test_vectors_of_another_size_are_a_sentence(shape: tuple[int, ...]) -> None:
    class Odd(HashingEmbedder):
        def embed(self, texts: Sequence[str]) -> Vectors:
            return np.ones(shape, dtype=np.float32)

    with pytest.raises(ModelUnavailable, match="of the shape"):
        Batching(Odd(DIM)).embed(["a", "b"])
