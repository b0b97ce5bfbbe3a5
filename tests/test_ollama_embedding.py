"""Embeddings through a real HTTP server: batches, long texts, failed batches, dimensions."""

from collections.abc import Iterator

import numpy as np
import pytest

from memgpt_core.embedding.hashing import HashingEmbedder
from memgpt_core.embedding.ollama import BATCH, REFUSALS_CAP, OllamaEmbedder
from memgpt_core.errors import ContextOverflow, ModelUnavailable
from memgpt_core.llm.ollama_refusals import Refused
from memgpt_core.tokens import count
from tests.ollama_stub import Answer, Request, Stub, wire
from tests.ollama_stub.server import answer_json
from tests.ollama_stub.world import World

DIM = 64
HASHING = HashingEmbedder(DIM)


class Embeddings:
    """An embedding server with a limit, and with words that it chokes on."""

    def __init__(self, *, limit_tokens: int = 10_000, chokes_on: str = "\0", status: int = 500) -> None:
        self.limit_tokens = limit_tokens
        self.chokes_on = chokes_on
        self.status = f"{status} Refused"
        self.batches: list[list[str]] = []

    def __call__(self, request: Request) -> Answer:
        if request.path == "/api/show":
            return wire("show")
        texts = request.json["input"]
        assert request.json["truncate"] is False
        if any(count(text) > self.limit_tokens for text in texts):
            return wire("error.overflow_embed")
        if any(self.chokes_on in text for text in texts):
            return answer_json({"error": "failed to encode response: json: unsupported value: NaN"}, self.status)
        self.batches.append(texts)
        return answer_json({"model": "e", "embeddings": (3 * HASHING.embed(texts)).tolist()})


@pytest.fixture
def server() -> Iterator[Stub]:
    with Stub(World()) as stub:
        yield stub


def test_vectors_are_unit_float32_and_in_order(server: Stub) -> None:
    texts = [f"text number {number}" for number in range(BATCH * 2 + 5)]
    embedder = OllamaEmbedder(server.host, "stub-embed", digest="sha256:0123456789abcdef")
    vectors = embedder.embed(texts)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(texts), DIM)
    np.testing.assert_allclose(vectors, HASHING.embed(texts), atol=1e-6)
    assert (embedder.name, embedder.dim) == ("ollama:stub-embed@0123456789ab", DIM)
    assert [len(request.json["input"]) for request in server.at("/api/embed")] == [BATCH, BATCH, 5]
    assert len(server.at("/api/show")) == 1


def test_any_length_is_made_unit() -> None:
    with Stub(Embeddings()) as stub:
        vectors = OllamaEmbedder(stub.host, "e").embed(["tea", "a cup of coffee"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_no_texts_and_empty_texts_ask_nobody() -> None:
    with Stub() as stub:
        embedder = OllamaEmbedder(stub.host, "e", dim=DIM)
        assert embedder.embed([]).shape == (0, DIM)
        assert not embedder.embed(["", " \n"]).any()
        assert stub.requests == []


def test_the_dimension_is_learned_once(server: Stub) -> None:
    embedder = OllamaEmbedder(server.host, "stub-embed")
    assert (embedder.dim, embedder.learn(), embedder.dim, embedder.learn()) == (0, DIM, DIM, DIM)
    assert len(server.at("/api/embed")) == 1


def test_another_dimension_is_a_changed_model(server: Stub) -> None:
    with pytest.raises(ModelUnavailable, match="vectors of 64 numbers and not of 1024"):
        OllamaEmbedder(server.host, "stub-embed", dim=1024).embed(["text"])


def test_a_long_text_is_the_unit_mean_of_its_parts() -> None:
    play = Embeddings(limit_tokens=100)
    words = [f"word{number}" for number in range(300)]
    with Stub(play) as stub:
        vector = OllamaEmbedder(stub.host, "e", limit_tokens=100).embed(["short", " ".join(words)])[1]
    (texts,) = play.batches
    parts = texts[1:]
    assert len(parts) > 4
    assert " ".join(part.strip() for part in parts).split() == words, "no word is lost, cut or out of order"
    mean = HASHING.embed(parts).mean(axis=0)
    np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)


def test_a_text_that_is_longer_than_our_count_says_is_split_when_the_server_says_so() -> None:
    play = Embeddings(limit_tokens=20)
    text = " ".join(f"w{number}" for number in range(60))
    with Stub(play) as stub:
        vectors = OllamaEmbedder(stub.host, "e", limit_tokens=10_000).embed(["short", text, "also short"])
    assert all(count(part) <= 20 for batch in play.batches for part in batch)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors[[0, 2]], HASHING.embed(["short", "also short"]), atol=1e-6)


def test_a_text_without_spaces_is_split_too() -> None:
    with Stub(Embeddings(limit_tokens=40)) as stub:
        assert OllamaEmbedder(stub.host, "e", limit_tokens=10_000).embed(["記" * 200]).any()


def test_a_server_that_takes_no_text_at_all_is_a_fault() -> None:
    with Stub(Embeddings(limit_tokens=0)) as stub, pytest.raises(ContextOverflow):
        OllamaEmbedder(stub.host, "e", limit_tokens=512).embed(["a text of some length " * 10])


def test_one_bad_text_spoils_no_other() -> None:
    texts = [f"text {number}" for number in range(BATCH)]
    texts[9] = "poison"
    with Stub(Embeddings(chokes_on="poison")) as stub:
        vectors = OllamaEmbedder(stub.host, "e").embed(texts)
        asked = len(stub.at("/api/embed"))
    assert not vectors[9].any(), "what the model refuses counts as not embedded"
    others = [row for row in range(BATCH) if row != 9]
    np.testing.assert_allclose(vectors[others], HASHING.embed([texts[row] for row in others]), atol=1e-6)
    assert asked == 1 + 2 * 5, "halves down to the one text"


def test_half_a_long_text_is_no_text() -> None:
    text = "sound words " * 40 + "poison"
    with Stub(Embeddings(chokes_on="poison")) as stub:
        vectors = OllamaEmbedder(stub.host, "e", limit_tokens=30).embed([text, "fine"])
    assert not vectors[0].any()
    assert vectors[1].any()


def test_a_model_that_takes_nothing_is_given_up_soon() -> None:
    with Stub(Embeddings(chokes_on="text")) as stub:
        with pytest.raises(Refused, match="unsupported value"):
            OllamaEmbedder(stub.host, "e").embed([f"text {number}" for number in range(BATCH)])
        assert len(stub.at("/api/embed")) <= 6 + 2 * REFUSALS_CAP


@pytest.mark.parametrize("name", ["error.model_missing", "error.queue_full", "error.foreign_host"])
def test_what_no_smaller_batch_would_mend_is_not_tried_in_halves(name: str) -> None:
    with Stub() as stub:
        stub.play("/api/embed", wire(name))
        with pytest.raises(Refused):
            OllamaEmbedder(stub.host, "x", limit_tokens=512).embed(["a", "b"])
        assert len(stub.at("/api/embed")) == 1


@pytest.mark.parametrize("row", ["[null, 1]", "[0, 0]", "[1e999, 1]"])
def test_a_vector_without_a_direction_is_none(row: str) -> None:
    with Stub() as stub:
        stub.play("/api/embed", Answer(body=f'{{"embeddings":[[0.6, 0.8],{row}]}}'.encode()))
        vectors = OllamaEmbedder(stub.host, "e", limit_tokens=512).embed(["a", "b"])
    np.testing.assert_allclose(vectors, [[0.6, 0.8], [0, 0]], atol=1e-6)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b'{"embeddings":[]}', "0 vectors for 1 texts"),
        (b'{"embeddings":[[1.0],[1.0,2.0]]}', "vectors of 2 numbers"),
        (b'{"embeddings":[[],[]]}', "vectors of 0 numbers"),
        (b'{"embeddings":"no"}', "Is the address in OLLAMA_HOST"),
    ],
)
def test_an_answer_that_does_not_fit_is_a_fault(body: bytes, sentence: str) -> None:
    with Stub(lambda _: Answer(body=body)) as stub, pytest.raises(ModelUnavailable, match=sentence):
        OllamaEmbedder(stub.host, "e", limit_tokens=512).embed(["a", "b"])


class Forgetful(Embeddings):
    """Leaves the vector of some texts out, or gives it too short."""

    def __init__(self, *, leaves_out: str = "\0", shortens: str = "\0") -> None:
        super().__init__()
        self.leaves_out, self.shortens = leaves_out, shortens

    def __call__(self, request: Request) -> Answer:
        if request.path == "/api/show":
            return wire("show")
        made = [
            vector[: DIM // 2 if self.shortens in text else DIM]
            for text in request.json["input"]
            if self.leaves_out not in text
            for vector in HASHING.embed([text]).tolist()
        ]
        return answer_json({"model": "e", "embeddings": made})


@pytest.mark.parametrize("how", ["leaves_out", "shortens"])
def test_a_vector_that_is_missing_or_too_short_costs_no_other_text_its_own(how: str) -> None:
    texts = [f"text {number}" for number in range(BATCH)]
    texts[9] = "poison"
    with Stub(Forgetful(**{how: "poison"})) as stub:
        vectors = OllamaEmbedder(stub.host, "e", dim=DIM).embed(texts)
    assert not vectors[9].any()
    others = [row for row in range(BATCH) if row != 9]
    np.testing.assert_allclose(vectors[others], HASHING.embed([texts[row] for row in others]), atol=1e-6)


def test_no_server_is_said_in_a_sentence() -> None:
    with Stub() as stub:
        embedder = OllamaEmbedder(stub.host, "e")
    with pytest.raises(ModelUnavailable, match="ollama serve"):
        embedder.embed(["text"])
