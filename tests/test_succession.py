"""Another embedding model: the old one answers until the new one has everything, over faults and restarts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memgpt_core import succession
from memgpt_core.blueprint import Blueprint
from memgpt_core.home import Home
from memgpt_core.settings import AgentSettings
from memgpt_core.verify import verify
from memgpt_core.workspace import Workspace
from tests.engine import until
from tests.ollama_stub.server import Answer, Stub, wire
from tests.ollama_stub.world import World

NEW = "ollama:stub-embed:latest"
PASSAGES = 12


class Away(World):
    """A server that embeds only while `there`, but for the text by which its dimension is learned."""

    there = False

    def _embed(self, body: dict[str, Any]) -> Answer:
        return super()._embed(body) if self.there or body["input"] == ["dimension"] else wire("error.queue_full")


class House:
    """A home that can be closed and opened again, with one agent of twelve passages that has the hashing embedder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.home = Home(path, timer=False)
        self.home.create(Blueprint(name="Tester", settings=AgentSettings(embedder="hashing")))
        for number in range(PASSAGES):
            self.ws.edits.insert_passage(f"heron number {number}")
        self.ws.projections.flush()

    @property
    def ws(self) -> Workspace:
        return self.home.open("tester")

    def again(self) -> Workspace:
        self.home.close()
        self.home = Home(self.path, timer=False)
        return self.ws


@pytest.fixture
def world() -> Away:
    return Away()


@pytest.fixture
def house(world: Away, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, _no_server: None) -> Iterator[House]:
    # Nothing is tried again by itself.
    monkeypatch.setattr(succession, "RETRY_AFTER_S", 3600.0)
    with Stub(world) as stub:
        monkeypatch.setenv("OLLAMA_HOST", stub.host)
        house = House(tmp_path / "home")
        yield house
        house.home.close()


def choose(ws: Workspace, embedder: str) -> None:
    ws.configure(ws.state().settings.model_copy(update={"embedder": embedder}))


def answers(ws: Workspace) -> str:
    return ws.projections.embedder.name if ws.projections.embedder else "none"


def why(ws: Workspace) -> str:
    coming = ws.coming_embedder()
    return coming.why if coming else ""


def test_the_old_model_answers_until_the_new_one_has_everything(house: House, world: Away) -> None:
    ws = house.ws
    choose(ws, NEW)
    until(lambda: why(ws))
    assert ws.state().settings.embedder == NEW
    assert answers(ws) == "hashing"
    new = ws.edits.insert_passage("heron number new")
    found = ws.archival("heronn numberr", page_size=50)
    assert found.mode == "words+vectors"
    assert new in {hit.id for hit in found.hits}, "found by its spelling, which is the old model's way"
    coming: Any = ws.coming_embedder()
    assert (coming.model, coming.made, coming.wanted) == (NEW, 0, PASSAGES)
    assert "busy" in coming.why
    assert coming.why.endswith(".")
    world.there = True
    ws.hurry_embedder()
    until(lambda: ws.coming_embedder() is None)
    assert answers(ws) == NEW
    assert not ws.not_embedded
    assert ws.archival("heron", page_size=50).total == PASSAGES + 1
    assert not (ws.folder / "answering.json").exists()
    vectors = ws.projections.vectors
    assert {len(row.blob) for row in vectors.stored("hashing", 256)} == {4 * 256}
    assert {len(row.blob) for row in vectors.stored(NEW, 64)} == {4 * 64}, "never mixed"
    assert verify(ws.events(1), ws.projections) == []


def test_a_restart_goes_on_with_the_same_two(house: House, world: Away) -> None:
    choose(house.ws, NEW)
    until(lambda: why(house.ws))
    ws = house.again()
    assert answers(ws) == "hashing"
    until(lambda: why(ws))
    world.there = True
    ws.hurry_embedder()
    until(lambda: ws.coming_embedder() is None)
    assert answers(ws) == NEW
    assert answers(house.again()) == NEW
    assert house.ws.coming_embedder() is None


def test_back_to_the_old_one_is_no_change_and_a_third_one_takes_the_place_of_the_second(
    house: House, world: Away
) -> None:
    ws = house.ws
    stores = ws.projections
    choose(ws, NEW)
    until(lambda: why(ws))
    choose(ws, "hashing")
    assert ws.coming_embedder() is None
    assert ws.projections is stores
    assert answers(house.again()) == "hashing"
    ws = house.ws
    choose(ws, NEW)
    choose(ws, "none")
    assert (answers(ws), ws.search_mode()) == ("none", "words")
    world.there = True
    choose(ws, NEW)
    assert answers(ws) == NEW, "words are no model that could answer better meanwhile"
    until(lambda: ws.projections.flush() and not ws.not_embedded)
    choose(ws, "hashing")
    until(lambda: ws.coming_embedder() is None)
    assert answers(ws) == "hashing"


def test_an_old_model_that_does_not_answer_is_no_reason_to_wait(house: House, world: Away) -> None:
    world.there = True
    ws = house.ws
    choose(ws, NEW)
    until(lambda: ws.coming_embedder() is None)
    world.there = False
    assert ws.archival("a query it never saw").mode == "words"
    choose(ws, "hashing")
    assert (answers(ws), ws.coming_embedder()) == ("hashing", None)


def test_a_note_on_who_answers_that_fits_no_more_is_left_alone(house: House) -> None:
    ws = house.ws
    (ws.folder / "answering.json").write_text(json.dumps({"answers": NEW, "until": "minilm"}))
    assert answers(house.again()) == "hashing"
    (ws.folder / "answering.json").write_text("{torn")
    assert answers(house.again()) == "hashing"


def test_a_search_at_the_moment_of_taking_over_has_all_of_one_model(house: House, world: Away) -> None:
    ws = house.ws
    world.there = True
    stores = ws.projections
    finding = stores._finding
    held = stores._held

    def taken_over(*asked: Any) -> Any:
        choose(ws, NEW)
        until(lambda: ws.coming_embedder() is None)
        ws.edits.insert_passage("heron number last")
        return held(*asked)

    stores._held = taken_over  # type: ignore[method-assign]
    found = ws.archival("heronn numberr", page_size=50)
    assert stores._finding is not finding
    assert found.mode == "words+vectors"
    assert found.total == PASSAGES + 1, "it was asked of the matrix that had taken everything"
