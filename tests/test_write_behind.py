"""A search right after something new waits for no disk, finds it all the same, and nothing is lost by it."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from memgpt_core.embedding.base import Embedder
from memgpt_core.embedding.hashing import HashingEmbedder
from memgpt_core.errors import StoreBroken
from memgpt_core.projections import Projections
from memgpt_core.rows import Row
from memgpt_core.stores.recall import RecallStore
from memgpt_core.stores.vectors import VectorStore, text_hash
from memgpt_core.verify import verify
from tests.event_builder import Script
from tests.test_projections import QUERIES, ids, opened, populated, read_from


@contextmanager
def no_disk() -> Iterator[None]:
    """Neither rows nor vectors can be read or written meanwhile."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("the disk was asked")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RecallStore, "take", refuse)
        patch.setattr(RecallStore, "query", refuse)
        patch.setattr(VectorStore, "_read", refuse)
        patch.setattr(VectorStore, "_replace", refuse)
        yield


@pytest.mark.parametrize("embedder", [None, HashingEmbedder(64)])
def test_what_came_just_now_is_found_and_read_without_the_disk(tmp_path: Path, embedder: Embedder | None) -> None:
    script = populated()
    with opened(tmp_path / "agent", script, embedder) as live:
        live.recall("warm")
        live.archival("warm")
        script.insert("Ophelia sleeps on the piano", tags=["cats"], source="diary")
        script.trigger("where does Ophelia sleep?")
        live.follow()
        with no_disk():
            found = live.archival("Ophelia piano")
            assert ids(found)[0] == script.passage
            assert ids(live.archival("diary")) == [script.passage], "a source is among the words"
            assert ids(live.recall("ophelia sleeps"))[0] == script.message
            assert live.items([script.passage])[script.passage]["text"] == "Ophelia sleeps on the piano"
            if embedder:
                assert found.hits[0].vector_rank == 1
        assert live.status().pending == 2
        read = live.items([script.passage, script.message])
        live.settle()
        assert live.status().pending == 0
        assert live.items([script.passage, script.message]) == read, "a row from RAM is the row of the store"
        assert live.archival("Ophelia piano") == found


@pytest.mark.parametrize("embedder", [None, HashingEmbedder(64)])
@pytest.mark.parametrize("seed", range(2))
def test_following_from_ram_finds_what_following_the_rows_finds(
    tmp_path: Path, embedder: Embedder | None, seed: int
) -> None:
    """Inserts, edits, deletions, tags and restores in any order, searched at any time, drained at any time."""
    whole, chance = populated(), random.Random(seed)
    begun = opened(tmp_path / "one" / "agent", Script(created=False), embedder)
    with begun as live, opened(tmp_path / "other" / "agent", whole, embedder) as all_in:
        all_in.flush()
        for before, event in whole.pairs():
            live.take(before, event)
            if chance.random() < 0.3:
                live.settle()
            if chance.random() < 0.2:
                query, tags = chance.choice(QUERIES), chance.choice([(), ("a",), ("c",)])
                assert live.recall(query) == all_in.recall(query, at=event.seq)
                assert live.archival(query, tags=tags) == all_in.archival(query, tags=tags, at=event.seq)
                wanted = [f"{letter}{at}" for at in range(1, event.seq + 1) for letter in "mp"]
                assert texts(live.items(wanted)) == texts(all_in.items(wanted, at=event.seq))
        for query in QUERIES:
            assert live.recall(query, page_size=100) == all_in.recall(query, page_size=100)


def texts(rows: dict[str, Row]) -> dict[str, str]:
    return {id: row["text"] for id, row in rows.items()}


def test_a_text_that_was_edited_or_deleted_just_now_is_found_so(tmp_path: Path) -> None:
    script = Script()
    with opened(tmp_path / "agent", script, HashingEmbedder(64)) as live:
        kept, gone = script.insert("the spare key is blue").passage, script.insert("the spare key is red").passage
        live.follow()
        assert set(ids(live.archival("spare key"))) == {kept, gone}
        script.edit_passage(kept, "the spare key is green", tags=["home"])
        script.delete_passage(gone)
        late = script.insert("another spare key is under the stone").passage
        live.follow()
        assert texts(live.items([kept, gone])) == {kept: "the spare key is green"}
        assert set(ids(live.archival("spare key"))) == {kept, late}
        assert ids(live.archival("blue")) == []
        assert ids(live.archival("green"))[0] == kept
        assert ids(live.archival("spare key", tags=("home",))) == [kept]
        assert set(ids(live.archival("spare key", at=script.seq - 3))) == {kept, gone}


@pytest.mark.parametrize(
    "narrow", [{"tags": ("music",)}, {"sources": ("diary",)}, {"text": "tuner"}, {"session": 0}, {}]
)
def test_what_the_rows_must_answer_is_answered_with_what_came_just_now(tmp_path: Path, narrow: dict[str, Any]) -> None:
    script = Script()
    with opened(tmp_path / "agent", script) as live:
        apart = script.insert("the tuner of the old piano").passage
        live.follow()
        live.archival("warm")
        script.insert("the piano tuner came", tags=["music"], source="diary")
        live.follow()
        query = "piano" if narrow else '"piano tuner"'
        found = live.archival(query, **narrow)
        assert script.passage in ids(found)
        assert (apart in ids(found)) is (narrow in ({"text": "tuner"}, {"session": 0}, {}))
        live.flush()
        assert live.archival(query, **narrow) == found


def test_rows_that_cannot_follow_leave_what_just_began_to_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = populated()
    with opened(tmp_path / "agent", script) as live:
        live.archival("warm")
        standing = live.status().duckdb_seq
        with monkeypatch.context() as full:
            full.setattr(RecallStore, "take", lambda *_: (_ for _ in ()).throw(StoreBroken("no space")))
            passage = script.insert("Ophelia sleeps on the piano").passage
            live.follow()
            assert ids(live.archival("ophelia")) == [passage]
            script.delete_passage(passage)
            live.follow()
            found = live.archival("piano")
            assert live.status().error == "no space"
            assert live.status().duckdb_seq == standing
            assert ids(found) == [passage], "as of the last event that could be taken"
        assert live.archival("piano").hits == ()


def test_vectors_of_a_search_are_on_disk_after_the_next_flush_and_made_again_after_a_kill(tmp_path: Path) -> None:
    script, asked = Script(), []

    class Told(HashingEmbedder):
        def embed(self, texts: Any) -> Any:
            asked.extend(texts)
            return super().embed(texts)

    embedder = Told(64)
    with opened(tmp_path / "agent", script, embedder) as live:
        live.archival("warm")
        script.insert("the spare key is blue").trigger("the clock struck", cause="system")
        live.follow()
        live.archival("spare key")
        assert "the clock struck" not in asked
        assert "the spare key is blue" in asked
        hash = text_hash("the spare key is blue")
        with live.vectors._con.cursor() as cursor:
            assert cursor.execute("SELECT count(*) FROM vectors").fetchall() == [(0,)]
            # What a kill leaves: neither the rows nor the vectors had followed.
            (tmp_path / "killed").mkdir()
            vectors = VectorStore(tmp_path / "killed.duckdb")
            again = Projections(tmp_path / "killed", vectors, embedder, read=read_from(script))
            asked.clear()
            again.catch_up(script.pairs)
            assert ids(again.archival("spare key")) == ids(live.archival("spare key"))
            assert asked.count("the spare key is blue") == 1
            again.close()
            again.vectors.close()
            assert live.vectors.get("hashing", 64, [hash]).keys() == {hash}
            assert live.flush()
            assert cursor.execute("SELECT hash FROM vectors").fetchall() == [(hash,)]
        assert verify(script.events, live) == []


def test_a_search_goes_on_while_the_rows_are_being_written(tmp_path: Path) -> None:
    script = populated()
    with opened(tmp_path / "agent", script) as live:
        live.archival("warm")
        passage = script.insert("Ophelia sleeps on the piano").passage
        live.follow()
        writing, go_on, take = threading.Event(), threading.Event(), live._rows._store.take

        def slow(batch: Any) -> None:
            writing.set()
            assert go_on.wait(20)
            take(batch)

        live._rows._store.take = slow  # type: ignore[method-assign]
        thread = threading.Thread(target=live.settle)
        thread.start()
        try:
            assert writing.wait(20)
            assert ids(live.archival("ophelia")) == [passage]
            assert live.items([passage])[passage]["text"] == "Ophelia sleeps on the piano"
        finally:
            go_on.set()
            thread.join()
        assert live.rows("SELECT id FROM passages WHERE id = ?", [passage]) == [{"id": passage}]
