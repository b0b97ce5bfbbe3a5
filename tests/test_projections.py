"""The stores follow the log: whatever was committed is found, in the same order, whatever was flushed."""

import random
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memgpt_core import failpoints, hot, projections, search, tiering
from memgpt_core.embedding.base import Embedder, Vectors
from memgpt_core.embedding.hashing import HashingEmbedder
from memgpt_core.errors import ModelUnavailable
from memgpt_core.project import COLUMNS, project
from memgpt_core.projections import Found, Projections
from memgpt_core.queries import query_terms, stem
from memgpt_core.ranking import words
from memgpt_core.rows import MemoryRows
from memgpt_core.stores import index as index_module
from memgpt_core.stores import nearest, postings, tiered
from memgpt_core.stores.vectors import VectorStore, text_hash
from memgpt_core.verify import verify
from tests.event_builder import Script
from tests.random_logs import STEPS, random_log


class Live(Projections):
    """Projections over a script that go on taking what it adds."""

    script: Script
    taken: int

    def follow(self) -> "Live":
        for before, event in self.script.pairs(self.taken):
            self.take(before, event)
        self.taken = self.script.seq
        return self


def read_from(script: Script) -> Callable[[int], Any]:
    def read(seq: int) -> Any:
        if not 1 <= seq <= script.seq:
            raise IndexError(seq)
        return script.events[seq - 1]

    return read


@contextmanager
def opened(
    folder: Path,
    script: Script,
    embedder: Embedder | None = None,
    *,
    slow: bool = True,
    vectors_mb: int | None = None,
) -> Iterator[Live]:
    """Stores in `folder`, caught up; `slow` keeps their thread from doing anything by itself."""
    folder.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        if slow:
            patch.setattr(projections, "FLUSH_EVERY_S", 3600.0)
            patch.setattr(projections, "DRAIN_AT", 10**9)
        vectors = VectorStore(folder.parent / "vectors.duckdb")
        live = Live(folder, vectors, embedder, read=read_from(script), vectors_mb=vectors_mb)
        live.script, live.taken = script, script.seq
        live.catch_up(script.pairs)
        try:
            yield live
        finally:
            live.close()
            vectors.close()


def ids(found: Found) -> list[str]:
    return [hit.id for hit in found.hits]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "agent"


# --- what was committed is found ------------------------------------------------------------------------


@pytest.mark.parametrize("embedder", [None, HashingEmbedder(64)])
def test_a_committed_row_is_found_before_anything_was_flushed(home: Path, embedder: Embedder | None) -> None:
    script = Script()
    with opened(home, script, embedder) as live:
        script.trigger("my cat is called Ophelia")
        message = script.message
        script.insert("the key is 550e8400-e29b-41d4-a716-446655440000", tags=["keys"])
        live.follow()
        assert live.status().pending == 2
        assert live.status().index_seq == 0
        assert ids(live.recall("ophelia")) == [message]
        assert ids(live.archival("550e8400-e29b-41d4-a716-446655440000")) == [script.passage]
        assert live.rows("SELECT text FROM messages") == [{"text": "my cat is called Ophelia"}]
        assert live.items([script.passage, message, "m999"]).keys() == {script.passage, message}
        assert live.status().index_seq == 0, "a search must not flush"


def test_rows_are_found_when_some_are_indexed_and_some_are_not(home: Path) -> None:
    script = Script().trigger("cat one").trigger("cat two").trigger("dog")
    with opened(home, script) as live:
        assert live.flush()
        script.trigger("cat three")
        script.edit_message("m2", "a bird now")
        script.delete_message("m3")
        live.follow()
        assert live.index.ready
        assert ids(live.recall("cat"))[0] == "m5"
        assert ids(live.recall("bird"))[0] == "m2"
        assert "m3" not in ids(live.recall("cat"))


def test_the_thread_brings_the_stores_to_the_end(home: Path) -> None:
    script = Script()
    with opened(home, script, HashingEmbedder(64), slow=False) as live:
        script.turn("hi", "hello").insert("a fact")
        live.follow()
        waiting = threading.Event()
        while live.status().index_seq < script.seq:
            waiting.wait(0.02)
        assert live.status() == (0, script.seq, script.seq, 0, "words+vectors", "")


def test_readers_always_find_what_was_taken_before_they_asked(home: Path) -> None:
    script = Script()
    lost: list[str] = []
    done = threading.Event()
    said: list[str] = []

    def ask() -> None:
        while not done.is_set():
            if said:
                word = said[-1]
                if not live.recall(word).hits:
                    lost.append(word)

    with opened(home, script, HashingEmbedder(32), slow=False) as live:
        readers = [threading.Thread(target=ask) for _ in range(2)]
        for reader in readers:
            reader.start()
        for at in range(150):
            script.trigger(f"word{at} and more")
            live.follow()
            said.append(f"word{at}")
        done.set()
        for reader in readers:
            reader.join()
        assert lost == []
        assert live.recall("word77").hits


# --- the stores hold what the log says --------------------------------------------------------------------


@given(steps=st.lists(STEPS, max_size=30), seed=st.integers(0, 99))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_log_flushed_anywhere_leaves_what_memory_holds(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, str]], seed: int
) -> None:
    whole = random_log(steps)
    chance = random.Random(seed)
    rows = MemoryRows()
    script = Script(created=False)
    with opened(tmp_path_factory.mktemp("home") / "agent", script, HashingEmbedder(16)) as live:
        for before, event in whole.pairs():
            script.befores.append(before)
            script.events.append(event)
            rows.take(project(before, event))
            live.follow()
            if chance.random() < 0.2:
                assert live.flush()
        assert live.flush()
        for table in COLUMNS:
            stored = live.rows(f"SELECT * FROM {table}")
            assert sorted(map(repr, stored)) == sorted(map(repr, rows.table(table)))
        for table in ("messages", "passages"):
            current = {row["id"]: row["text"] for row in rows.current(table) if row["text"]}
            if table == "messages":
                current = {id: text for id, text in current.items() if rows.item(id)["role"] in ("user", "assistant")}  # type: ignore[index]
            assert {row.id: row.text for row in live.index.rows(table)} == current
        assert verify(whole.events, live) == []


def test_a_deleted_store_is_made_again_at_open(home: Path) -> None:
    script = Script().turn("hi", "hello").insert("a fact").flushed(2)
    with opened(home, script, HashingEmbedder(64)) as live:
        assert live.flush()
        before = {table: live.rows(f"SELECT * FROM {table}") for table in COLUMNS}
        hits = live.recall("hello")
    for path in (home / "rows.duckdb", home.parent / "vectors.duckdb"):
        path.unlink()
    index_module.LanceIndex(home / "index.lance", "hashing", 64).drop()
    with opened(home, script, HashingEmbedder(64)) as live:
        assert {table: live.rows(f"SELECT * FROM {table}") for table in COLUMNS} == before
        assert live.flush()
        assert live.recall("hello") == hits
        assert verify(script.events, live) == []


class Asked(HashingEmbedder):
    """Notes the texts it is asked for."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.texts += texts
        return super().embed(texts)


def test_vectors_that_the_home_lost_come_back_from_the_index(home: Path) -> None:
    script = Script().turn("hi", "hello").insert("a fact").insert("a spoilt fact")
    with opened(home, script, Asked(64)) as live:
        assert live.flush()
        hits = live.archival("fact")
        live.index._table("passages").update(where="text = 'a spoilt fact'", values={"vector": [1.0] + [0.0] * 63})
    (home.parent / "vectors.duckdb").unlink()
    script.insert("new since")
    asked = Asked(64)
    with opened(home, script, asked) as live:
        assert live.flush()
        assert sorted(asked.texts) == ["a spoilt fact", "new since"], "what is not as it was written is made again"
        assert not live.not_embedded()
        now = {hit.id: hit.vector_score for hit in live.archival("fact").hits}
        assert now.items() >= {hit.id: hit.vector_score for hit in hits.hits}.items()
        assert live.vectors.count() == 5
        live.rebuild(script.pairs)
        assert {"hi", "hello", "a fact"} < set(asked.texts), "whoever has them made again wants them anew"


def test_what_a_former_model_left_on_disk_goes_once_another_answers(home: Path) -> None:
    script = Script().insert("a fact")
    with opened(home, script, HashingEmbedder(64)) as live:
        assert live.flush()
    (home / "far.lance" / "passages_hashing_64").mkdir(parents=True)
    with opened(home, script, HashingEmbedder(32)) as live:
        assert live.flush()
        tables = {path.name for path in (home / "index.lance").glob("*.lance")}
        assert tables == {"messages_hashing_32.lance", "passages_hashing_32.lance"}
        assert not list((home / "far.lance").iterdir())
        assert index_module.LanceIndex(home / "index.lance", "hashing", 64).position == 0
    asked = Asked(64)
    with opened(home, script, asked) as live:
        assert live.flush()
        assert live.archival("fact").mode == "words+vectors"
        assert asked.texts == ["fact"], "the home has its vectors: only the query was asked for"
        assert verify(script.events, live) == []
    (home / "far.lance" / "passages_hashing_64").mkdir(parents=True)
    with opened(home, script):
        assert not (home / "far.lance").exists()


def test_reopening_takes_only_what_is_new(home: Path) -> None:
    script = Script().turn("hi", "hello")
    with opened(home, script):
        pass
    known = script.seq
    script.turn("more", "and more")
    asked: list[int] = []
    folder_vectors = VectorStore(home.parent / "vectors.duckdb")
    live = Projections(home, folder_vectors, None, read=read_from(script))

    def fold_from(seq: int) -> Any:
        asked.append(seq)
        return script.pairs(seq)

    live.catch_up(fold_from)
    assert asked == [known]
    assert live.rows("SELECT max(seq_from) AS last FROM events") == [{"last": script.seq}]
    live.close()
    folder_vectors.close()


@pytest.mark.parametrize("shorter", [True, False])
def test_stores_of_another_log_are_made_anew(home: Path, shorter: bool) -> None:
    with opened(home, Script().turn("hi", "hello").turn("secret", "other log")) as live:
        live.flush()
    script = Script() if shorter else Script(every=timedelta(seconds=11)).turn("hi", "x").turn("y", "z").insert("own")
    with opened(home, script) as live:
        assert "did not belong" in live.rebuilt_because
        assert live.recall("secret").total == 0
        assert verify(script.events, live) == []


@pytest.mark.parametrize("stores", [("rows",), ("index",), ("vectors",), projections.ALL])
def test_a_rebuild_gives_the_same_rows_and_hits(home: Path, stores: Sequence[projections.Store]) -> None:
    script = Script().turn("where is the cat", "the cat sleeps").insert("cats sleep a lot")
    script.edit_passage(script.passage, "cats sleep all day")
    with opened(home, script, HashingEmbedder(64)) as live:
        live.flush()
        hits = live.recall("cat"), live.archival("cats day")
        shares: list[float] = []
        live.rebuild(script.pairs, shares.append, stores)
        assert shares == sorted(shares)
        assert shares[-1] == 1
        assert (live.recall("cat"), live.archival("cats day")) == hits
        assert live.status() == (0, script.seq, script.seq, 0, "words+vectors", "")
        assert verify(script.events, live) == []


def test_nothing_is_embedded_twice(home: Path) -> None:
    class Counting(HashingEmbedder):
        texts: list[str] = []

        def embed(self, texts: Sequence[str]) -> Vectors:
            self.texts += texts
            return super().embed(texts)

    script = Script().trigger("same text").trigger("same text").insert("same text").insert("other text")
    embedder = Counting(32)
    with opened(home, script, embedder) as live:
        live.flush()
        live.rebuild(script.pairs, stores=("rows", "index"))
    with opened(home, script, embedder) as live:
        live.flush()
        live.recall("query")
        live.recall("query")
    assert sorted(embedder.texts) == ["other text", "query", "same text"]


# --- stores that fail -----------------------------------------------------------------------------------


def test_a_full_disk_never_reaches_the_commit_and_is_retried(home: Path) -> None:
    script = Script()
    with opened(home, script) as live:
        script.turn("hi", "hello")
        with failpoints.arm("project.before_commit", failpoints.enospc):
            live.follow()
            assert not live.flush()
            assert "disk space" in live.status().error
            assert live.status().pending == 6
        assert live.flush()
        assert live.status() == (0, script.seq, script.seq, 0, "words", "")
        assert verify(script.events, live) == []


@pytest.mark.parametrize("place", ["index.before_merge", "index.after_merge"])
def test_an_index_that_cannot_be_written_is_searched_around_and_caught_up(home: Path, place: str) -> None:
    script = Script()
    with opened(home, script, HashingEmbedder(64)) as live:
        script.turn("hi cat", "hello").insert("cat")
        live.follow()
        with failpoints.arm(place, failpoints.enospc):
            assert not live.flush()
            assert live.status().error
            assert ids(live.archival("cat")) == [script.passage]
        assert live.flush()
        assert live.status().error == ""
        assert verify(script.events, live) == []


def test_without_lancedb_a_search_finds_the_same(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script().turn("the cat", "a cat").insert("cats and a cat").trigger("dog")
    with opened(home, script, HashingEmbedder(64)) as live:
        live.flush()
        assert live.index.ready
        expected = live.recall("cat"), live.archival("cat")
    monkeypatch.setitem(sys.modules, "lancedb", None)
    with opened(home, script, HashingEmbedder(64)) as live:
        assert (live.recall("cat"), live.archival("cat")) == expected
        expected = live.script.trigger("more") and live.follow().recall("cat"), live.archival("cat")
        live.flush()
        assert "search index could not be used" in live.status().error
        assert (live.recall("cat"), live.archival("cat")) == expected


def test_an_index_that_lost_rows_in_a_power_cut_is_made_again(home: Path) -> None:
    script = Script().turn("the cat", "a cat")
    with opened(home, script) as live:
        live.flush()
        live.index.delete("messages", ["m2"])
    script.turn("more", "cats")
    with opened(home, script) as live:
        live.flush()
        assert verify(script.events, live) == []


class Moody(HashingEmbedder):
    """An embedder that can be away."""

    away = True

    def embed(self, texts: Sequence[str]) -> Vectors:
        if self.away:
            raise ModelUnavailable("The embedding model does not answer.")
        return super().embed(texts)


def test_what_cannot_be_embedded_now_is_found_by_words_and_embedded_later(home: Path) -> None:
    embedder = Moody(64)
    script = Script().trigger("the invoices are late")
    with opened(home, script, embedder) as live:
        assert not live.flush()
        assert "does not answer" in live.status().error
        assert live.not_embedded() == {"m2"}
        found = live.recall("invoices")
        assert (ids(found), found.mode) == (["m2"], "words")
        assert live.recall("invoicess").total == 0
        embedder.away = False
        assert live.flush()
        assert live.not_embedded() == frozenset()
        found = live.recall("invoicess")
        assert (ids(found), found.mode) == (["m2"], "words+vectors")
        assert verify(script.events, live) == []


def test_a_text_that_has_no_vector_is_marked_and_not_an_error(home: Path) -> None:
    script = Script().trigger("?!").trigger("words")
    with opened(home, script, HashingEmbedder(32)) as live:
        assert live.flush()
        assert live.status().not_embedded == 1
        assert verify(script.events, live) == []


def test_a_poisoned_vector_does_not_stop_the_others(home: Path) -> None:
    class Poisoned(HashingEmbedder):
        def embed(self, texts: Sequence[str]) -> Vectors:
            vectors = super().embed(texts)
            for row, text in enumerate(texts):
                if "poison" in text:
                    vectors[row] = np.nan
            return vectors

    script = Script().trigger("poison here").trigger("good here")
    with opened(home, script, Poisoned(32)) as live:
        assert live.flush()
        assert live.not_embedded() == {"m2"}
        assert set(ids(live.recall("here"))) == {"m2", "m3"}
        assert live.recall("poison").mode == "words"
        assert list(live.vectors.get("hashing", 32, [text_hash("poison here"), text_hash("good here")])) == [
            text_hash("good here")
        ]


# --- vectors beyond RAM ---------------------------------------------------------------------------------


@pytest.fixture
def crowded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiering, "LEAST_MOVED", 20)
    monkeypatch.setattr(nearest, "FLAT_MOST", 10)
    monkeypatch.setattr(tiered, "READ_MOST", 0)


@pytest.mark.usefixtures("crowded")
def test_a_search_beyond_ram_says_that_it_is_approximate_and_finds_what_is_new(home: Path) -> None:
    script = populated()
    with opened(home, script, HashingEmbedder(64), vectors_mb=0) as live:
        exact = live.recall("heron number 3"), live.archival("cats fact")
        assert live.flush()
        held = live.in_ram()
        assert [tier.table for tier in held.spread] == ["messages"]
        assert (held.budget_mb, held.words_mb > 0) == (0, True)
        found = live.recall("heron number 3")
        assert found.mode.startswith("words+vectors, approximate (recall@10 ")
        assert ids(found) == ids(exact[0])
        assert live.archival("cats fact") == exact[1]
        assert live.recall("heron", signals="words").mode == "words"
        script.trigger("a pelican at the pier")
        live.follow()
        assert ids(live.recall("pelicans", page_size=1, floor=0.2)) == [script.message]
        assert live.why_not("m2", "heron").id == "m2"
        assert verify(script.events, live) == []
    with opened(home, script, HashingEmbedder(64), vectors_mb=0) as live:
        assert live.flush()
        assert live.in_ram().spread[0].held < live.in_ram().spread[0].vectors
        assert ids(live.recall("heron number 3")) == ids(exact[0])
        live.rebuild(script.pairs)
        assert ids(live.recall("heron number 3")) == ids(exact[0])
    with opened(home, script, HashingEmbedder(64)) as live:
        assert live.recall("heron number 3").mode == "words+vectors"
        assert live.in_ram().spread == []


@pytest.mark.usefixtures("crowded")
def test_vectors_that_vanish_from_the_disk_leave_words_until_they_are_there_again(home: Path) -> None:
    script = populated()
    with opened(home, script, HashingEmbedder(64), vectors_mb=0) as live:
        assert live.flush()
        shutil.rmtree(home / "far.lance")
        found = live.recall("heron number 3", page_size=50)
        assert (found.mode, found.total > 0) == ("words", True)
        live.flush()
        live.flush()
        assert live.recall("heron number 3").mode.startswith("words+vectors")


# --- words that are not read in yet ---------------------------------------------------------------------


def test_before_the_words_are_in_ram_the_rows_answer_and_say_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = populated()
    with opened(home, script, HashingEmbedder(64)) as live:
        with monkeypatch.context() as long:
            # As though a long life were never read in.
            long.setattr(projections, "WORDS_BEHIND_MOST", -1)
            first = live.recall("heron number 3", page_size=3)
            assert first.mode == "words, still being read in"
            assert live.items([ids(first)[0]])[ids(first)[0]]["text"].endswith("heron number 3")
            assert [hit.score for hit in first.hits] == sorted((hit.score for hit in first.hits), reverse=True)
            second = live.recall("heron number 3", page_size=3, page=2)
            assert set(ids(first)).isdisjoint(ids(second))
            assert first.total == second.total > 6
            assert live.recall("heron", at=20).total < live.recall("heron").total
            assert live.archival("fact", tags=("a",)).total < live.archival("fact").total
            assert live.recall("zzzz").hits == live.recall("?").hits == ()
        assert live.recall("heron").mode == "words+vectors"


# --- searching ------------------------------------------------------------------------------------------


def populated() -> Script:
    script = Script()
    chance = random.Random(3)
    animals = ["cat", "dog", "heron", "cats", "dogs"]
    for at in range(25):
        script.turn(
            f"tell me about the {chance.choice(animals)} number {at % 7}", f"the {chance.choice(animals)} is {at}"
        )
        if at % 3 == 0:
            script.insert(f"{chance.choice(animals)} fact {at}", tags=[chance.choice("ab")])
        if at % 5 == 4:
            script.edit_message(script.message, f"corrected heron {at}") if at % 2 else script.edit_passage(
                script.passage, f"corrected dog {at}", tags=["c"]
            )
        if at % 7 == 6:
            script.flushed(4)
        if at == 11:
            script.delete_message("m2")
            script.delete_passage(script.passage)
    return script


QUERIES = ["cat", "heron number 3", "dogs", "fact 9", "corrected"]


def everything(live: Projections, at: int | None = None) -> list[Found]:
    return [
        *(live.recall(query, at=at) for query in QUERIES),
        *(live.recall(query, at=at, start="2026-03-01", end="2026-03-01", page=2) for query in QUERIES),
        *(live.recall(query, at=at, roles=("user",), exclude=("m9",)) for query in QUERIES),
        *(live.archival(query, at=at) for query in QUERIES),
        *(live.archival(query, at=at, tags=("a", "c")) for query in QUERIES),
        live.recall("", at=at, start="2026-03-01"),
    ]


@pytest.mark.parametrize("embedder", [None, HashingEmbedder(64)])
def test_a_search_as_of_n_gives_what_the_search_at_n_gave(home: Path, embedder: Embedder | None) -> None:
    whole = populated()
    script = Script(created=False)
    gave: dict[int, list[Found]] = {}
    with opened(home, script, embedder) as live:
        for before, event in whole.pairs():
            script.befores.append(before)
            script.events.append(event)
            live.follow()
            if event.seq % 55 == 0:
                gave[event.seq] = everything(live)
            if event.seq % 37 == 0:
                live.flush()
        assert live.index.ready
        live.flush()
        for seq, found in gave.items():
            assert everything(live, seq) == found, f"as of {seq}"
        live.rebuild(script.pairs)
        for seq, found in gave.items():
            assert everything(live, seq) == found, f"as of {seq}, rebuilt"


@pytest.mark.parametrize("bulk", [1, 10**9])
def test_words_cut_in_bulk_one_by_one_or_read_from_their_file_give_the_same_page(
    home: Path, monkeypatch: pytest.MonkeyPatch, bulk: int
) -> None:
    monkeypatch.setattr(hot, "KEEP_LEAST", 1)
    script = populated()
    with opened(home, script, HashingEmbedder(64)) as live:
        expected = everything(live)
        assert live.flush()
        assert (home / "words.npz").exists()
    monkeypatch.setattr(postings, "BULK", bulk)
    with opened(home, script, HashingEmbedder(64)) as live:
        monkeypatch.setattr(hot, "ROWS_AT_ONCE", 3)
        assert everything(live) == expected
        live.rebuild(script.pairs, stores=("rows",))
        assert not (home / "words.npz").exists() or live.flush()
        assert everything(live) == expected


@pytest.mark.parametrize("spoil", ["cut", "other log", "ahead"])
def test_a_file_of_words_that_does_not_fit_is_not_believed(
    home: Path, monkeypatch: pytest.MonkeyPatch, spoil: str
) -> None:
    monkeypatch.setattr(hot, "KEEP_LEAST", 1)
    script = Script().turn("a cat", "a dog").insert("a cat")
    with opened(home, script) as live:
        live.flush()
    words = (home / "words.npz").read_bytes()
    if spoil == "cut":
        (home / "words.npz").write_bytes(words[: len(words) // 2])
    elif spoil == "other log":
        script = Script(every=timedelta(seconds=9)).turn("a heron", "an owl").insert("a heron").insert("more")
    else:
        script = Script().turn("a cat", "a dog")
    for path in home.glob("rows.duckdb*"):
        path.unlink()
    with opened(home, script) as live:
        assert live.recall("heron" if spoil == "other log" else "cat").total
        assert live.recall("cat" if spoil == "other log" else "heron").total == 0
        assert live.archival("cat").total == (1 if spoil == "cut" else 0)


def test_pages_are_disjoint_and_complete(home: Path) -> None:
    with opened(home, populated(), HashingEmbedder(64)) as live:
        total = live.recall("the cat").total
        pages = [live.recall("the cat", page=page, page_size=4) for page in range(1, total // 4 + 2)]
        seen = [id for page in pages for id in ids(page)]
        assert {page.total for page in pages} == {total}
        assert len(seen) == len(set(seen)) == total
        assert live.recall("the cat", page=total, page_size=4).hits == ()


def test_pages_go_on_beyond_the_shortlist(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script()
    for at in range(30):
        script.trigger(f"cat {at}")
    with opened(home, script) as live:
        monkeypatch.setattr(search, "SHORTLIST", 10)
        pages = [live.recall("cat", page=page, page_size=7) for page in range(1, 6)]
    seen = [id for page in pages for id in ids(page)]
    assert {page.total for page in pages} == {30}
    assert sorted(seen) == sorted(f"m{seq}" for seq in range(2, 32))
    assert pages[0].hits[0].score > 0 == pages[-1].hits[-1].score


def test_dates_include_both_days_to_the_last_microsecond(home: Path) -> None:
    script = Script()
    moments = ["2026-03-09T23:59:59.999999", "2026-03-10T00:00:00", "2026-03-11T23:59:59.999999", "2026-03-12T00:00:00"]
    script.every = timedelta(0)
    for moment in moments:
        script.now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        script.trigger("a cat").insert("a cat")
    with opened(home, script, HashingEmbedder(32)) as live:
        for query in ("", "cat"):
            found = live.recall(query, start="2026-03-10", end="2026-03-11")
            assert sorted(ids(found)) == ["m4", "m6"]
            assert found.total == 2
            assert sorted(ids(live.archival(query, start="2026-03-10", end="2026-03-11"))) == ["p5", "p7"]
        assert ids(live.recall("", start="2026-03-10")) == ["m4", "m6", "m8"], "oldest first"
        assert live.recall("cat", end="2026-03-09").total == 1
        with pytest.raises(ValueError, match="YYYY-MM-DD"):
            live.recall("cat", start="tomorrow")


def test_roles_tags_and_exclusions_hold_before_ranking(home: Path) -> None:
    script = Script().trigger("cat").reply("cat").returned("look", "cat").insert("cat", tags=["x", "y"]).insert("cat")
    with opened(home, script, HashingEmbedder(32)) as live:
        assert set(ids(live.recall("cat"))) == {"m2", "m3"}
        assert ids(live.recall("cat", roles=("function",))) == ["m4"]
        assert ids(live.recall("cat", roles=("user",))) == ["m2"]
        assert (ids(live.recall("cat", exclude=("m3",))), live.recall("cat", exclude=("m3",)).total) == (["m2"], 1)
        assert ids(live.archival("cat", tags=("y", "z"))) == ["p5"]
        assert live.archival("cat", tags=("z",)).total == 0
        assert set(ids(live.archival("cat"))) == {"p5", "p6"}


def test_inflections_are_one_word(home: Path) -> None:
    script = Script().insert("invoices").insert("an invoice for the house and much else besides").insert("mountain")
    with opened(home, script) as live:
        assert ids(live.archival("invoice")) == ["p2", "p3"]


def test_what_stands_beside_a_hit_is_found_with_it_in_its_session_only(home: Path) -> None:
    script = Script().trigger("the answer before").trigger("x", cause="login")
    script.trigger("where is the heron").reply("on the roof").trigger("what is for dinner").trigger("soup")
    with opened(home, script) as live:
        found = live.recall("heron")
        assert ids(found) == ["m4", "m5"]
        question, answer = found.hits
        assert answer.words_score == pytest.approx(0.5 * (question.words_score or 0), abs=1e-5)
        assert ids(live.recall("dinner")) == ["m6", "m7", "m5"]
        assert ids(live.recall("dinner", exclude=("m6",))) == []
        assert ids(live.recall("heron", roles=("assistant",))) == ["m5"], "a filter does not take the context away"


def test_a_quoted_phrase_stands_before_its_words(home: Path) -> None:
    script = Script().insert("red herons and blue boats, boats, blue boats").insert("the boats were blue and red")
    script.insert("boats blue " * 9)
    with opened(home, script) as live:
        assert ids(live.archival('the "red herons" or boats of blue'))[0] == "p2"
        assert ids(live.archival('"blue and red"'))[0] == "p3"


def test_days_are_found_by_what_they_are_called_from_where_the_agent_stands(home: Path) -> None:
    script = Script()
    for day in ("2026-05-04", "2026-05-05", "2026-06-09", "2026-06-16"):
        script.trigger("x", cause="login")
        script.now = datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=UTC)
        script.trigger("we met")
    with opened(home, script) as live:
        assert set(ids(live.recall("who met in May"))[:2]) == {"m3", "m5"}
        assert ids(live.recall("who met on 2026-05-05"))[0] == "m5"
        assert ids(live.recall("who met last Tuesday"))[0] == "m7"
        assert ids(live.recall("who met today"))[0] == "m9"
        assert ids(live.recall("who met yesterday", at=4))[0] == "m3", "seen from May nothing was met the day before"


def test_tags_and_the_source_are_words_of_a_passage(home: Path) -> None:
    script = Script().insert("nothing", tags=["gardening"]).insert("else")
    with opened(home, script) as live:
        assert ids(live.archival("garden")) == ["p2"]


def test_each_half_can_rank_alone(home: Path) -> None:
    with opened(home, populated(), HashingEmbedder(64)) as live:
        words, vectors = live.recall("herons", signals="words"), live.recall("herons", signals="vectors")
        assert (words.mode, vectors.mode, live.recall("herons").mode) == ("words", "vectors", "words+vectors")
        assert {hit.vector_rank for hit in words.hits} == {hit.words_rank for hit in vectors.hits} == {None}
        assert [hit.words_rank for hit in words.hits] == [hit.vector_rank for hit in vectors.hits] == [1, 2, 3, 4, 5]


def test_a_query_of_only_stop_words_searches_for_them(home: Path) -> None:
    script = Script().insert("to be or not to be").insert("something else")
    with opened(home, script) as live:
        assert ids(live.archival("to be or not")) == ["p2"]


# --- why not --------------------------------------------------------------------------------------------


def test_why_not_says_what_kept_an_item_out(home: Path) -> None:
    script = Script()
    for at in range(8):
        script.insert(f"heron number {at}", tags=["birds"])
    script.insert("a stone").insert("a heron that goes").trigger("?")
    gone = script.passage
    script.delete_passage(gone)
    with opened(home, script, HashingEmbedder(64)) as live:
        found = live.archival("heron", page_size=50)
        seventh = found.hits[6].id
        assert live.why_not(found.hits[0].id, "heron") == (found.hits[0].id, 1, found.hits[0], found.total, "")
        there = live.why_not(seventh, "heron")
        assert (there.place, there.hit, there.total) == (7, found.hits[6], found.total)
        assert "page 2" in there.why
        assert live.why_not(seventh, "heron", page=2).why == ""
        assert "deleted" in live.why_not(gone, "heron").why
        assert "Nothing has this id" in live.why_not("p999", "heron").why
        assert "It came only after event 5." in live.why_not("p9", "heron", at=5).why
        for strange in ("", "p", "x1", "m-1", "pħ1", "m" + "9" * 99, "'; DROP TABLE messages"):
            assert "is called so" in live.why_not(strange, "heron").why
        assert (
            live.why_not("p2", "heron", tags=("fish",), start="2027-01-01").why
            == "A filter leaves it out: tags, the first day."
        )
        stone = live.why_not("p10", "heron")
        assert stone.place is None
        assert stone.hit is not None
        assert stone.hit.vector_rank == 9
        assert "no word" in stone.why
        assert "from 0.35 on" in stone.why
        assert "has no vector" in live.why_not("m12", "heron").why


@pytest.mark.parametrize(
    "query", ["猫", "好き", "が好", "ΣΊΣΥΦΟΣ", "naïve", "x_y", "100%", "'; DROP TABLE messages; --", "(a|b", '"']
)
def test_any_query_is_only_text(home: Path, query: str) -> None:
    texts = ["黒猫が好き", "Σίσυφος was naïve", "x_y is 100% sure", "drop the table", "a b", "好"]
    script = Script()
    for text in texts:
        script.insert(text)
    with opened(home, script) as live:
        found = live.archival(query, page_size=50)
        has = {f"p{at + 2}" for at, text in enumerate(texts) if set(query_terms(query)) & set(map(stem, words(text)))}
        assert set(ids(found)) == has


def test_items_are_given_as_they_stood(home: Path) -> None:
    script = Script().trigger("before").insert("fact")
    message, seq = "m2", script.seq
    script.edit_message(message, "after").delete_passage(script.passage)
    with opened(home, script) as live:
        assert live.items([message, script.passage], at=seq).keys() == {message, script.passage}
        assert live.items([message], at=seq)[message]["text"] == "before"
        now = live.items([script.passage, message])
        assert {id: row["text"] for id, row in now.items()} == {message: "after"}


def test_closing_gives_every_store_all_of_it(home: Path) -> None:
    script = Script()
    with opened(home, script, HashingEmbedder(32)) as live:
        script.turn("hi", "hello")
        live.follow()
    assert live.status() == (0, script.seq, script.seq, 0, "words+vectors", "")
    assert not any(thread.name.startswith("projections agent") for thread in threading.enumerate())


def test_what_was_deleted_or_edited_away_leaves_the_index_and_the_vectors(home: Path) -> None:
    script = Script().trigger("invoices").trigger("x", cause="login").trigger("mountains").insert("invoices")
    kept = script.seq
    with opened(home, script, HashingEmbedder()) as live:
        live.flush()
        assert (ids(live.recall("invoice")), ids(live.archival("invoice"))) == (["m2"], ["p5"])
        script.delete_message("m2").edit_passage("p5", "mountains").delete_message("m4")
        live.follow()
        for _ in range(2):
            assert live.recall("invoice").total == live.archival("invoice").total == live.recall("mountain").total == 0
            live.flush()
        assert list(live.index.rows("messages")) == []
        assert [(row.id, row.text) for row in live.index.rows("passages")] == [("p5", "mountains")]
        assert (ids(live.recall("invoice", at=kept)), ids(live.archival("invoice", at=kept))) == (["m2"], ["p5"])
