"""Embedders that answer wrongly and queries nobody expects: one sentence, the rest goes on, nothing is half there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memgpt_core import projections
from memgpt_core.blueprint import Blueprint
from memgpt_core.embedding.ollama import BATCH
from memgpt_core.home import Home
from memgpt_core.query_vectors import QUERY_CHARS
from memgpt_core.settings import AgentSettings
from memgpt_core.similarity import EMBED_BATCH
from memgpt_core.verify import verify
from memgpt_core.workspace import Workspace
from tests.engine import PATIENCE_S, until
from tests.ollama_stub.server import Answer, Stub, answer_json, wire
from tests.ollama_stub.world import World

MODEL = "ollama:stub-embed:latest"


class Crooked(World):
    """An embedding server that goes wrong as `how` says, at texts with the word crooked or altogether."""

    how = ""
    stopped = False
    longest = 0

    def _embed(self, body: dict[str, Any]) -> Answer:
        texts: list[str] = body["input"]
        self.longest = max(self.longest, *map(len, texts))
        self.stopped = self.how == "stops" and (self.stopped or "heron 20" in texts)
        if self.stopped:
            return wire("error.runner_died")
        rows: list[list[float | None]] = self._embedder.embed(texts).tolist()
        bad = [at for at, text in enumerate(texts) if "crooked" in text]
        if self.how == "refuses" and bad:
            return answer_json({"error": "failed to encode response: json: unsupported value: NaN"}, "500 Refused")
        if self.how == "fewer":
            rows = [row for at, row in enumerate(rows) if at not in bad]
        for at in bad if self.how in ("zero", "not a number", "short") else ():
            rows[at] = {"zero": [0.0] * 64, "not a number": [None] * 64, "short": [0.5] * 32}[self.how]
        if self.how == "dimension":
            rows = [row[:32] for row in rows]
        return answer_json({"model": body["model"], "embeddings": rows})


@pytest.fixture
def world() -> Crooked:
    return Crooked()


@pytest.fixture
def home(world: Crooked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, _no_server: None) -> Iterator[Home]:
    monkeypatch.setenv("MEMSCOPE_DEMO_PACE", "0")
    with Stub(world) as stub:
        monkeypatch.setenv("OLLAMA_HOST", stub.host)
        home = Home(tmp_path / "home", timer=False)
        yield home
        home.close()


@pytest.fixture
def ws(home: Home) -> Workspace:
    return home.open(home.create(Blueprint(name="Tester", settings=AgentSettings(embedder=MODEL))))


def embed(ws: Workspace) -> None:
    """Let the stores take everything; whether the embedder could."""
    ws.projections.flush()


def is_a_sentence(text: str) -> bool:
    return text[:1].isupper() and text.rstrip().endswith(".") and "Traceback" not in text


def unembedded(ws: Workspace) -> set[str]:
    return set(ws.projections.not_embedded())


@pytest.mark.parametrize("how", ["zero", "not a number", "short", "fewer", "refuses"])
def test_one_text_without_a_vector_is_found_by_words_and_costs_no_other_its_own(
    ws: Workspace, world: Crooked, how: str
) -> None:
    world.how = how
    texts = [f"passage {number} of the heron" for number in range(BATCH + 3)]
    texts[7] = "the crooked one of the heron"
    ids = [ws.edits.insert_passage(text) for text in texts]
    embed(ws)
    assert unembedded(ws) == {ids[7]}
    assert ws.projections.embedding_fault
    found = ws.archival("crooked heron", page_size=50)
    assert found.hits[0].id == ids[7]
    assert {hit.id for hit in found.hits} == set(ids)
    assert verify(ws.events(1), ws.projections) == [], "nothing that cannot be used was kept"
    world.how = ""
    assert ws.projections.reembed() == (1, 0, "")
    assert ws.archival("crooked heron").mode == "words+vectors"


def test_a_model_whose_vectors_have_another_size_now_is_said_and_embedded_anew_when_asked(
    ws: Workspace, world: Crooked
) -> None:
    before = ws.edits.insert_passage("the heron before")
    embed(ws)
    assert unembedded(ws) == set()
    world.how = "dimension"
    after = ws.edits.insert_passage("the heron after")
    embed(ws)
    assert unembedded(ws) == {after}
    assert "vectors of 32 numbers and not of 64" in ws.projections.embedding_fault
    assert is_a_sentence(ws.projections.embedding_fault)
    found = ws.archival("heron")
    assert ({hit.id for hit in found.hits}, found.mode) == ({before, after}, "words")
    outcome = ws.projections.reembed()
    assert outcome == (2, 0, "")
    assert ws.projections.embedder is not None
    assert ws.projections.embedder.dim == 32
    assert ws.archival("heron").mode == "words+vectors"
    vectors = ws.projections.vectors
    assert {len(row.blob) for dim in (32, 64) for row in vectors.stored(MODEL, dim)} == {4 * 32, 4 * 64}, "never mixed"
    assert verify(ws.events(1), ws.projections) == []


def test_a_server_that_stops_in_the_middle_of_an_import_keeps_what_it_embedded(
    home: Home, world: Crooked, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that nothing is embedded but where the test says so.
    monkeypatch.setattr(projections, "FLUSH_EVERY_S", 3600.0)
    monkeypatch.setattr(projections, "DRAIN_AT", 10**9)
    ws = home.open(home.create(Blueprint(name="Importer", settings=AgentSettings(embedder=MODEL))))
    world.how = "stops"
    total = EMBED_BATCH + 3 * BATCH
    ws.upload("herons.txt", [(f"heron {number}", ()) for number in range(total)])
    assert ws.wait_idle(PATIENCE_S)
    embed(ws)
    left = {id for id in unembedded(ws) if id.startswith("p")}
    assert total - EMBED_BATCH <= len(left) < total, "what left together with what failed is asked for again, no more"
    assert is_a_sentence(ws.projections.embedding_fault)
    assert not ws.projections.refused(), "it is not the texts that are at fault"
    assert len(ws.rows("SELECT id FROM passages")) == total
    assert {hit.id for hit in ws.archival("heron 7").hits}
    world.how = ""
    assert ws.projections.reembed().left == 0
    assert verify(ws.events(1), ws.projections) == []


# --- queries ------------------------------------------------------------------------------------------------------

STRANGE = {
    "100 kB": "heron " * 17_000,
    "100 kB in one word": "x" * 100_000,
    "stop words": "the and of it is what to be or not",
    "Chinese": "苍鹭在河边",
    "Arabic": "مالك الحزين عند النهر",
    "emoji": "🦩🦩🦩",
    "half a sign": "\ud83e heron",
    "signs": "\"'(*^~:AND{}[]\\ -- ; %",
    "nothing": " \n\t",
}


@pytest.mark.parametrize("embedder", ["none", "hashing", MODEL])
def test_any_query_gives_hits_or_none_and_costs_the_embedder_little(home: Home, embedder: str, world: Crooked) -> None:
    ws = home.open(home.create(Blueprint(name="Reader", settings=AgentSettings(embedder=embedder))))
    ids = {
        name: ws.edits.insert_passage(text)
        for name, text in {
            "100 kB": "a heron by the river",
            "Chinese": "昨天看见苍鹭",
            "Arabic": "رأيت مالك الحزين",
            "stop words": "to be or not to be",
        }.items()
    }
    ws.send("We saw a heron.")
    assert ws.wait_idle(PATIENCE_S)
    until(lambda: ws.projections.flush() and not ws.not_embedded)
    for name, query in STRANGE.items():
        for search in (ws.recall, ws.archival):
            found = search(query, page_size=50)
            assert found.total >= len(found.hits)
            if name in ids and search == ws.archival:
                assert found.hits[0].id == ids[name], name
            assert ws.projections.why_not(ids["Chinese"], query).id == ids["Chinese"]
    assert ws.archival(STRANGE["half a sign"]).hits[0].id == ids["100 kB"]
    assert not ws.projections.status().error
    assert world.longest <= QUERY_CHARS, "the rest of a pasted file is not a question"


def test_a_query_the_model_refuses_is_searched_by_words(ws: Workspace, world: Crooked) -> None:
    id = ws.edits.insert_passage("the heron")
    embed(ws)
    world.how = "refuses"
    found = ws.archival("crooked heron")
    assert ([hit.id for hit in found.hits], found.mode) == ([id], "words")
    assert is_a_sentence(ws.projections.embedding_fault)
    assert ws.archival("a heron").mode == "words+vectors", "the next query is asked as ever"
    assert not ws.projections.embedding_fault
