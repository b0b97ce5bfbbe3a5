"""Stores that follow behind the commits, or with each of them: what waits for what, and what is counted."""

from pathlib import Path

import pytest

from memgpt_core import projections
from memgpt_core.blueprint import Blueprint
from memgpt_core.errors import ModelUnavailable
from memgpt_core.home import Home
from memgpt_core.settings import AgentSettings
from memgpt_core.workspace import Workspace
from memgpt_core.write_behind import Following, Spent, WriteBehind


@pytest.fixture
def ws(home: Home, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """An agent whose stores do nothing by themselves."""
    monkeypatch.setattr(projections, "FLUSH_EVERY_S", 3600.0)
    return home.open(home.create(Blueprint(name="Ada", settings=AgentSettings(embedder="hashing"))))


def test_a_commit_waits_for_every_store_when_the_home_wants_it(home: Home, ws: Workspace) -> None:
    ws.projections.flush()
    ws.edits.insert_passage("A parrot named Admiral eats waffles.")
    status = ws.projections.status()
    assert status.pending == 1
    assert status.index_seq < ws.last_seq, "behind: the line in the log is the commit"
    home.write_behind.switch(False)
    ws.edits.insert_passage("The boiler valve has the part number VX-2291.")
    status = ws.projections.status()
    assert (status.pending, status.duckdb_seq, status.index_seq) == (0, ws.last_seq, ws.last_seq)
    assert not status.not_embedded
    assert ws.projections.following.view().commit.times == 1
    assert not WriteBehind(home.path / "following.json").on
    home.write_behind.switch(True)
    ws.edits.insert_passage("Behind again.")
    assert ws.projections.status().pending == 1


def test_a_store_that_cannot_take_it_fails_no_commit(
    home: Home, ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_how: object) -> None:
        raise ModelUnavailable("The server is down.")

    home.write_behind.switch(False)
    similarity = ws.projections._similarity
    assert similarity is not None
    with monkeypatch.context() as patch:
        patch.setattr(similarity, "embed", refuse)
        ws.edits.insert_passage("A parrot named Admiral eats waffles.")
    assert "server is down" in ws.projections.status().error
    assert ws.archival("parrot").total == 1
    ws.edits.insert_passage("Behind again.")
    assert not ws.projections.status().not_embedded, "the next commit brings what the last one could not"


def test_who_took_what_in_is_counted(ws: Workspace) -> None:
    ws.projections.flush()
    before = ws.projections.following.view()
    ws.edits.insert_passage("A parrot named Admiral eats waffles.")
    ws.edits.insert_passage("The boiler valve has the part number VX-2291.")
    assert ws.archival("parrot").total == 1
    assert ws.projections.following.view().reader == before.reader, "a search has them from RAM"
    assert len(ws.rows("SELECT id FROM passages")) == 2
    after = ws.projections.following.view()
    assert (after.reader.times, after.reader.things) == (before.reader.times + 1, before.reader.things + 2)
    assert after.exact.times == before.exact.times + 1
    assert not after.approximate.times


def test_seconds_of_the_thread_are_those_of_all_it_does() -> None:
    following = Following()
    with following.spent("thread"):
        following.took("thread", 5, 9.0)
    assert following.view().thread[:2] == (1, 5)
    assert following.view().thread.seconds < 9.0, "taking rows is part of it and counted once"
    following.took("commit", 3, 9.0)
    assert following.view().commit == Spent(), "part of what the commit spends"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"write_behind": 0}'])
def test_a_file_that_says_nothing_leaves_the_switch_on(tmp_path: Path, text: str) -> None:
    path = tmp_path / "following.json"
    path.write_text(text)
    assert WriteBehind(path).on is ("0" not in text)


def test_texts_that_need_a_vector_are_counted_with_those_that_have_one(home: Home, ws: Workspace) -> None:
    model = ws.projections.embedder
    assert model is not None
    ws.edits.insert_passage("A parrot named Admiral eats waffles.")
    ws.projections.flush()
    asked, found = ws.projections.vectors.lookups(model.name, model.dim)
    other = home.open(home.create(Blueprint(name="Bob", settings=AgentSettings(embedder="hashing"))))
    other.edits.insert_passage("A parrot named Admiral eats waffles.")
    other.edits.insert_passage("Nobody said this before.")
    other.projections.flush()
    again = ws.projections.vectors.lookups(model.name, model.dim)
    assert (again.asked, again.found) == (asked + 2, found + 1)
