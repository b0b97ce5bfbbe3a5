"""The embedders of a home: one for each model whoever asks, and what its two switches change."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from memgpt_core import projections
from memgpt_core.blueprint import Blueprint
from memgpt_core.embedders import Embedders
from memgpt_core.embedding.base import Vectors
from memgpt_core.embedding.hashing import HashingEmbedder
from memgpt_core.home import Home
from memgpt_core.settings import AgentSettings
from memgpt_core.workspace import Workspace
from tests.engine import PATIENCE_S


class Noted(HashingEmbedder):
    """The hashing embedder, with what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[list[str]] = []

    def embed(self, texts: Sequence[str]) -> Vectors:
        if texts:
            self.requests.append(list(texts))
        return super().embed(texts)


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], tuple[Home, Noted]]]:
    """Opens the home anew, with an embedder that notes what it is asked; nothing is embedded behind a test's back."""
    monkeypatch.setattr(projections, "FLUSH_EVERY_S", 3600.0)
    monkeypatch.setattr(projections, "DRAIN_AT", 10**9)
    homes: list[Home] = []

    def again() -> tuple[Home, Noted]:
        for home in homes:
            home.close()
        homes[:] = [Home(tmp_path / "home", timer=False)]
        noted = Noted()
        homes[0].embedders.shared("hashing", lambda: noted)
        return homes[0], noted

    yield again
    for home in homes:
        home.close()


def agent(home: Home, name: str) -> Workspace:
    if name.lower() not in {card.id for card in home.agents()}:
        home.create(Blueprint(name=name, settings=AgentSettings(embedder="hashing")))
    return home.open(name.lower())


def test_agents_share_an_embedder_and_what_was_searched_for(opened: Callable[[], tuple[Home, Noted]]) -> None:
    home, noted = opened()
    ada, ben = agent(home, "Ada"), agent(home, "Ben")
    assert ada.projections.embedder is ben.projections.embedder
    ada.archival("where is the heron")
    ben.recall("where is the heron")
    assert noted.requests == [["where is the heron"]]
    (used,) = home.embedders.used()
    assert (used.sent.asked, used.sent.requests, used.sent.texts, used.lookups) == (1, 1, 1, (2, 1))
    home, noted = opened()
    agent(home, "Ben").archival("where is the heron")
    assert noted.requests == [], "also after a restart"
    home.embedders.switch(batching=True, query_cache=False)
    for _ in range(2):
        agent(home, "Ben").archival("where is the heron")
    assert noted.requests == [["where is the heron"]] * 2
    home, noted = opened()
    assert (home.embedders.batching, home.embedders.query_cache) == (True, False)


@pytest.mark.parametrize("batching", [True, False])
def test_a_search_right_after_something_new_makes_one_request(
    opened: Callable[[], tuple[Home, Noted]], batching: bool
) -> None:
    home, noted = opened()
    home.embedders.switch(batching=batching, query_cache=True)
    ws = agent(home, "Ada")
    id = ws.edits.insert_passage("the heron stood still")
    assert ws.archival("heron").hits[0].id == id
    apart = [["the heron stood still"], ["heron"]]
    assert noted.requests == ([["the heron stood still", "heron"]] if batching else apart)
    ws.archival("heron")
    ws.archival("the heron stood still")
    assert len(noted.requests) == (1 if batching else 2), "what was said just now is known as a query, too"


@pytest.mark.parametrize("batching", [True, False])
def test_messages_and_passages_of_a_flush_leave_together(
    opened: Callable[[], tuple[Home, Noted]], batching: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMSCOPE_DEMO_PACE", "0")
    home, noted = opened()
    home.embedders.switch(batching=batching, query_cache=True)
    ws = agent(home, "Ada")
    ws.send("Hello.")
    assert ws.wait_idle(PATIENCE_S)
    ws.edits.insert_passage("the heron stood still")
    noted.requests.clear()
    assert ws.projections.flush()
    assert len(noted.requests) == (1 if batching else 2)
    assert not ws.not_embedded


def test_switches_that_cannot_be_read_are_on(tmp_path: Path) -> None:
    for text in ("{torn", "[]", '{"batching": false}'):
        (tmp_path / "embedding.json").write_text(text)
        embedders = Embedders(tmp_path / "embedding.json")
        assert embedders.batching is ("false" not in text)
