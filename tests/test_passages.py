"""Archival storage as a person reads it: filters before ranking, versions, past searches, near-duplicates, vectors."""

import random
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgpt_core import duplicates, passages
from memgpt_core.embedding.base import Vectors
from memgpt_core.embedding.hashing import HashingEmbedder
from memgpt_core.errors import ModelUnavailable
from memgpt_core.events import ArchivalRestored, ArchivalSearched, Hit, Measured
from memgpt_core.passages import PassageFilter, SearchLog
from memgpt_core.ranking import LEXICAL, SEMANTIC, words
from memgpt_core.reembedding import Reembedding
from memgpt_core.stores.vectors import text_hash
from memgpt_core.views import hits as ranked
from memgpt_core.views import passages as views
from tests.engine import PATIENCE_S, until
from tests.event_builder import Script
from tests.test_projections import Live, opened

TOKYO = ZoneInfo("Asia/Tokyo")


@pytest.fixture
def script() -> Script:
    made = Script()
    made.trigger("hello").prompt()
    made.insert("the cat sleeps on the red mat", tags=["cats"], source="agent")
    made.insert("the dog barks at the cat", tags=["dogs", "loud"], source="zoo.txt", author="import")
    made.insert("a 100% quiet bird", tags=[], source="", author="human")
    return made


@pytest.fixture
def live(tmp_path: Path, script: Script) -> Iterator[Live]:
    with opened(tmp_path / "agent", script, HashingEmbedder(64)) as stores:
        yield stores


def found(live: Live, wanted: PassageFilter, n: int | None = None) -> list[str]:
    n = n or live.script.seq
    rows = passages.listed(live.rows, wanted, n, first=0, size=50)
    assert passages.counted(live.rows, wanted, n) == len(rows)
    assert passages.ids(live.rows, wanted, n, most=50) == [row["id"] for row in rows]
    return sorted((row["id"] for row in rows), key=lambda id: int(id[1:]))


# --- filters ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (PassageFilter(), ["p4", "p5", "p6"]),
        (PassageFilter(tags=("cats", "loud")), ["p4", "p5"]),
        (PassageFilter(sources=("",)), ["p6"]),
        (PassageFilter(authors=("import", "human")), ["p5", "p6"]),
        (PassageFilter(session=1), ["p4", "p5", "p6"]),
        (PassageFilter(session=2), []),
        (PassageFilter(text="CAT"), ["p4", "p5"]),
        (PassageFilter(text="100%"), ["p6"]),
        (PassageFilter(text="%"), ["p6"]),
        (PassageFilter(text="_"), []),
        (PassageFilter(deleted=True), []),
    ],
)
def test_a_filter_lets_the_same_through_in_a_list_and_in_a_search(
    live: Live, wanted: PassageFilter, ids: list[str]
) -> None:
    assert found(live, wanted) == ids
    if not wanted.deleted:
        hits = live.archival("cat dog bird", page_size=50, **wanted.scope()).hits
        assert {hit.id for hit in hits} == set(ids)


def test_days_are_the_viewers_and_both_included(live: Live, script: Script) -> None:
    # 15:30 UTC is half past midnight of the next day in Tokyo.
    script.now = script.now.replace(hour=15, minute=30)
    script.insert("a late cat")
    live.follow()
    first = date(2026, 3, 1)
    assert found(live, PassageFilter(since=first, until=first, zone=UTC)) == ["p4", "p5", "p6", "p7"]
    assert found(live, PassageFilter(since=first, until=first, zone=TOKYO)) == ["p4", "p5", "p6"]
    late = PassageFilter(since=date(2026, 3, 2), zone=TOKYO)
    assert found(live, late) == ["p7"]
    assert [hit.id for hit in live.archival("cat", **late.scope()).hits] == ["p7"]


def test_what_a_filter_leaves_out_takes_no_place_in_the_ranking(live: Live) -> None:
    hits = live.archival("cat", **PassageFilter(sources=("zoo.txt",)).scope()).hits
    assert [(hit.id, hit.words_rank, hit.vector_rank) for hit in hits] == [("p5", 1, 1)]


def test_a_lower_floor_adds_what_the_agent_does_not_get_and_changes_nothing_else(live: Live) -> None:
    usual = live.archival("cats", page_size=50)
    more = live.archival("cats", page_size=50, floor=-1.0)
    assert more.hits[: len(usual.hits)] == usual.hits
    assert {hit.id for hit in more.hits} == {"p4", "p5", "p6"}
    assert all(ranked.unseen(hit, LEXICAL) for hit in more.hits[len(usual.hits) :])
    assert not any(ranked.unseen(hit, LEXICAL) for hit in usual.hits)


def test_the_choices_of_the_filters_are_counted_as_of_an_event(live: Live, script: Script) -> None:
    script.delete_passage("p5")
    live.follow()
    now, then = passages.options(live.rows, script.seq), passages.options(live.rows, script.seq - 1)
    assert then.tags == {"cats": 1, "dogs": 1, "loud": 1}
    assert now.tags == {"cats": 1}
    assert then.sources == {"": 1, "agent": 1, "zoo.txt": 1}
    assert now.authors == {"agent": 1, "human": 1}
    assert now.sessions == {1: 2}


def test_pages_follow_each_other_and_an_excerpt_is_cut(live: Live, script: Script) -> None:
    script.insert("x" * 5000)
    live.follow()
    pages = [passages.listed(live.rows, PassageFilter(), script.seq, first=at, size=2) for at in (0, 2)]
    assert [row["id"] for page in pages for row in page] == ["p7", "p6", "p5", "p4"]
    assert (len(pages[0][0]["text"]), pages[0][0]["chars"]) == (passages.EXCERPT_CHARS, 5000)
    oldest = passages.listed(live.rows, PassageFilter(), script.seq, first=0, size=2, oldest_first=True)
    assert [row["id"] for row in oldest] == ["p4", "p5"]
    assert passages.whole(live.rows, PassageFilter(), script.seq, most=1)[0]["text"] == "x" * 5000


# --- a passage's story ------------------------------------------------------------------------------------------


def test_deleted_passages_are_listed_until_they_are_back(live: Live, script: Script) -> None:
    script.edit_passage("p4", "the cat is gone", tags=["cats"])
    script.delete_passage("p4")
    live.follow()
    gone = script.seq
    script.add(ArchivalRestored(passage="p4", author="human"))
    live.follow()
    assert found(live, PassageFilter(deleted=True), gone) == ["p4"]
    assert found(live, PassageFilter(deleted=True)) == []
    assert found(live, PassageFilter(text="cat is gone")) == ["p4"]
    then, now = (passages.standing(live.rows, "p4", n) for n in (gone, script.seq))
    assert then is not None
    assert now is not None
    assert (then.deleted, now.deleted) == (True, False)
    assert then.row["text"] == "the cat is gone"
    assert passages.standing(live.rows, "p4", 3) is None
    assert passages.standing(live.rows, "p999", script.seq) is None


def test_every_version_says_who_made_it_how_and_what_ended_it(live: Live, script: Script) -> None:
    script.edit_passage("p4", "the cat is gone", tags=["cats"])
    script.delete_passage("p4")
    script.add(ArchivalRestored(passage="p4", author="human"))
    live.follow()
    made = views.versions(passages.versions(live.rows, "p4", script.seq), script.seq)
    assert [(version.seq, version.what, version.by) for version in made] == [
        (9, "restored", "you"),
        (7, "edited", "you"),
        (4, "stored", "the agent"),
    ]
    assert [version.ended for version in made] == ["", "deleted by event 8", ""]
    assert [version.current for version in made] == [True, False, False]
    assert made[0].at == script.events[8].at
    # As of event 7 nothing of what came later is known.
    earlier = views.versions(passages.versions(live.rows, "p4", 7), 7)
    assert [(version.seq, version.ended, version.current) for version in earlier] == [(7, "", True), (4, "", False)]


def searched(script: Script, query: str, *ids: str) -> None:
    hits = tuple(Hit(id=id, score=1.0, words_rank=place) for place, id in enumerate(ids, 1))
    script.add(ArchivalSearched(query=query, page=1, mode="words", measured=Measured(total=len(ids), hits=hits)))


def test_searches_that_gave_a_passage_are_each_read_once(live: Live, script: Script) -> None:
    for at in range(5):
        searched(script, f"cat {at}", "p4", "p5")
    searched(script, "bird", "p6")
    live.follow()
    read: list[int] = []
    log = SearchLog(live.rows, lambda seq: read.append(seq) or script.events[seq - 1])
    assert log.take(most=4) == 2
    assert [search.query for search in log.giving("p4", script.seq)] == ["cat 4", "cat 3", "cat 2"]
    assert log.take(most=4) == 0
    assert [search.place for search in log.giving("p5", script.seq)] == [2] * 5
    assert [search.query for search in log.giving("p4", 8)] == ["cat 1", "cat 0"]
    searched(script, "cat again", "p4")
    live.follow()
    assert log.take() == 0
    assert log.giving("p4", script.seq)[0].query == "cat again"
    assert sorted(read) == list(range(7, 14)), "each search is read once"
    assert log.looked_through == 7


def test_where_it_is_in_the_window_as_of_an_event(live: Live, script: Script) -> None:
    script.reply("let me look").returned("archival_memory_search", "the cat sleeps", holds=["p4"])
    carrier = script.message
    live.follow()
    there = script.seq
    script.flushed([carrier])
    live.follow()
    assert [(row["carrier"], row["how"], row["seq_to"]) for row in passages.intervals(live.rows, "p4", there)] == [
        (carrier, "copy", None)
    ]
    assert passages.intervals(live.rows, "p4", script.seq)[0]["seq_to"] == script.seq
    assert passages.intervals(live.rows, "p4", there - 1) == []


def test_the_messages_that_led_to_a_passage_are_those_before_it_in_its_turn(live: Live, script: Script) -> None:
    script.end().trigger("remember my key").prompt().reply("I will").insert("the key is blue").reply("done")
    live.follow()
    row = passages.standing(live.rows, script.passage, script.seq)
    assert row is not None
    assert [message["text"] for message in passages.told_in(live.rows, row.row, script.seq)] == [
        "I will",
        "remember my key",
    ]


# --- how rows are embedded ---------------------------------------------------------------------------------------


def test_rows_of_another_model_are_told_from_rows_without_a_vector(live: Live) -> None:
    live.flush()
    rows = passages.listed(live.rows, PassageFilter(), live.script.seq, first=0, size=9)
    hashes = [row["hash"] for row in rows]
    assert hashes[0] == text_hash("a 100% quiet bird")
    known = live.vectors.spaces([*hashes, "nothing"])
    assert set(known) == set(hashes)
    assert set(passages.embeddings(rows, known, ("hashing", 64)).values()) == {"this"}
    assert set(passages.embeddings(rows, known, ("other", 64)).values()) == {"other"}
    assert set(passages.embeddings(rows, {}, ("other", 64)).values()) == {"none"}
    assert set(passages.embeddings(rows, known, None).values()) == {"off"}


class Moody(HashingEmbedder):
    """A hashing embedder that can be down, or refuse a text."""

    def __init__(self) -> None:
        super().__init__(64)
        self.down = ""
        self.refuses = ""

    def embed(self, texts: Sequence[str]) -> Vectors:
        if self.down:
            raise ModelUnavailable(self.down)
        made = super().embed(texts)
        for at, text in enumerate(texts):
            if self.refuses and self.refuses in text:
                made[at] = np.nan
        return made


def test_reembedding_says_what_failed_and_mends_it_when_it_can(tmp_path: Path, script: Script) -> None:
    model = Moody()
    model.refuses = "dog"
    with opened(tmp_path / "agent", script, model) as live:
        assert not live.vectors_loaded()
        live.flush()
        assert live.vectors_loaded()
        assert live.not_embedded() == {"p5"}
        assert "not finite" in live.embedding_fault
        assert "not finite" in live.refused()[text_hash("the dog barks at the cat")]
        again = live.reembed()
        assert (again.made, again.left) == (0, 1)
        assert "not finite" in again.why
        model.refuses, model.down = "", "The server is down. Start it."
        assert live.reembed() == (0, 1, "The server is down. Start it.")
        model.down = ""
        told: list[tuple[int, int]] = []
        assert live.reembed(lambda made, wanted: told.append((made, wanted))) == (1, 0, "")
        assert told[0] == (0, 1)
        assert not live.embedding_fault
        assert next(hit.vector_rank for hit in live.archival("dog").hits if hit.id == "p5") == 1


def test_without_an_embedder_reembedding_says_so(tmp_path: Path, script: Script) -> None:
    with opened(tmp_path / "agent", script, None) as live:
        assert "no embedding model" in live.reembed().why
        assert live.vectors_loaded()
        assert live.embedding_fault == ""


def test_one_run_of_reembedding_at_a_time_and_its_outcome_stays() -> None:
    go, runs = threading.Event(), []

    def run(tell):
        runs.append(1)
        tell(1, 3)
        assert go.wait(PATIENCE_S)
        return (3, 0, "")

    job = Reembedding(run)
    job.start()
    until(lambda: job.view().made)
    job.start()
    assert (job.view().running, job.view().made, job.view().wanted) == (True, 1, 3)
    go.set()
    until(lambda: not job.view().running)
    assert job.view().outcome == (3, 0, "")
    assert runs == [1]


# --- near-duplicates ---------------------------------------------------------------------------------------------


def test_the_same_text_is_exact_and_like_texts_are_near_by_vectors() -> None:
    texts = {
        "p1": "the user's sister lives in Lisbon and plays the cello",
        "p2": "The user's sister lives in Lisbon, and plays the cello!",
        "p3": "invoice 4711 was paid in March",
        "p9": "invoice 4711 was paid in March",
        "p4": "an entirely unlike sentence on whales",
    }
    hashes = {id: text_hash(text) for id, text in texts.items()}
    model = HashingEmbedder(256)
    vectors = {text_hash(text): model.embed([text])[0] for text in texts.values()}
    made = duplicates.by_vectors(hashes, vectors, 0.8)
    assert [group.ids for group in made.groups] == [("p3", "p9"), ("p1", "p2")]
    assert [group.exact for group in made.groups] == [True, False]
    assert (made.compared, made.without_vector, made.cut) == (4, 0, False)
    del vectors[text_hash(texts["p1"])]
    fewer = duplicates.by_vectors(hashes, vectors, 0.8)
    assert [group.ids for group in fewer.groups] == [("p3", "p9")]
    assert fewer.without_vector == 1
    assert duplicates.by_vectors({}, {}, 0.8).groups == ()


def test_vectors_are_compared_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_BLOCK", 4)
    noise = np.random.default_rng(5).normal(size=(10, 32)).astype(np.float32)
    noise[9] = noise[0] + 0.01
    unit = noise / np.linalg.norm(noise, axis=1, keepdims=True)
    hashes = {f"p{at}": f"h{at}" for at in range(10)}
    made = duplicates.by_vectors(hashes, {f"h{at}": unit[at] for at in range(10)}, 0.95)
    assert [group.ids for group in made.groups] == [("p0", "p9")]


def test_too_many_pairs_are_cut_to_the_most_alike_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "PAIRS_MOST", 3)
    rng = np.random.default_rng(5)
    vectors = np.ones((8, 16), dtype=np.float32) + rng.normal(scale=0.05, size=(8, 16)).astype(np.float32)
    vectors[5] = vectors[2]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    made = duplicates.by_vectors({f"p{i}": f"h{i}" for i in range(8)}, {f"h{i}": vectors[i] for i in range(8)}, 0.5)
    assert made.cut
    pairs = [pair for group in made.groups for pair in group.pairs]
    assert len(pairs) == 3
    assert max(pairs, key=lambda pair: pair.alike)[:2] == ("p2", "p5")


VOCABULARY = ("cat", "dog")


@given(
    st.lists(st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=9).map(" ".join), min_size=2, max_size=12),
    st.sampled_from([0.5, 0.6, 0.8, 1.0]),
)
def test_by_words_finds_exactly_the_pairs_a_comparison_of_all_would(texts: list[str], least: float) -> None:
    def triples(text: str) -> set[tuple[str, ...]]:
        parts = words(text)
        size = min(3, len(parts))
        return {tuple(parts[at : at + size]) for at in range(len(parts) - size + 1)}

    contents = {f"p{at}": text for at, text in enumerate(texts, 1)}
    made = duplicates.by_words(contents, least)
    expected = set()
    distinct = list(dict.fromkeys(texts))
    for at, one in enumerate(distinct):
        for other in distinct[at + 1 :]:
            both, either = triples(one) & triples(other), triples(one) | triples(other)
            if both and len(both) / len(either) >= least:
                expected.add(frozenset((one, other)))
    got = {
        frozenset((contents[pair.one], contents[pair.other]))
        for group in made.groups
        for pair in group.pairs
        if contents[pair.one] != contents[pair.other]
    }
    assert got == expected
    exact = [pair for group in made.groups for pair in group.pairs if pair.alike == 1.0]
    assert len(exact) == len(texts) - len(distinct)


# --- for eyes ----------------------------------------------------------------------------------------------------


def marked(text: str, query: str) -> list[str]:
    return [piece.text for piece in views.pieces(text, query) if piece.hit]


def test_words_are_marked_by_the_rule_they_are_searched_by() -> None:
    assert marked("The Cat's catalogue, CAT!", "cat") == ["Cat", "CAT"]
    assert marked("日本語の本", "日本") == ["日本"]
    assert marked("ΟΔΟΣ οδος", "οδος") == ["ΟΔΟΣ", "οδος"]
    assert marked("a.b*c", ".*") == []
    assert marked("nothing", "") == []


@given(st.text(max_size=80), st.text(max_size=12))
def test_pieces_are_the_text(text: str, query: str) -> None:
    assert "".join(piece.text for piece in views.pieces(text, query)) == text


def test_an_excerpt_holds_the_place_with_most_of_the_query() -> None:
    rng = random.Random(3)
    filler = " ".join(rng.choice(["lorem", "ipsum", "dolor"]) for _ in range(400))
    text = f"cat {filler} cat and dog {filler}"
    shown = "".join(piece.text for piece in views.excerpt(text, "cat dog"))
    assert "cat and dog" in shown
    assert shown.startswith("… ")
    assert shown.endswith(" …")
    assert len(shown) <= views.EXCERPT_CHARS + 4


def test_what_could_turn_a_page_round_is_made_visible() -> None:
    assert views.visible("a\x00b\u202ec\x1b[31m") == "a⟨U+0000⟩b⟨U+202E⟩c⟨U+001B⟩[31m"
    assert views.visible("two\nlines\tand é 日本 😀") == "two\nlines\tand é 日本 😀"


def test_hits_are_split_at_the_threshold_and_keep_their_places() -> None:
    hits = (
        Hit(id="p1", score=1.0, words_rank=1, words_score=3.0, vector_rank=2, vector_score=0.2),
        Hit(id="p2", score=0.5, words_rank=2, words_score=1.5, vector_rank=1, vector_score=0.6),
        Hit(id="p3", score=0.03, vector_rank=3, vector_score=0.3),
    )
    by_score = ranked.split(hits, "score", 0.6, LEXICAL)
    assert [(place, hit.id) for place, hit in by_score.over] == [(1, "p1")]
    assert [(place, hit.id) for place, hit in by_score.near] == [(2, "p2"), (3, "p3")]
    by_cosine = ranked.split(hits, "cosine", 0.25, LEXICAL)
    assert [hit.id for _, hit in by_cosine.over] == ["p2"], "p3 is under the embedder's floor"
    assert ranked.parts(hits[1], LEXICAL) == (0.06, 0.44)
    assert "0.1 × cosine" in ranked.formula(LEXICAL, "words+vectors")
    assert "cosine" not in ranked.formula(LEXICAL, "words")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "just now"),
        (59, "just now"),
        (60, "1 minute old"),
        (7199, "119 minutes old"),
        (7200, "2 hours old"),
        (9 * 86_400, "9 days old"),
        (14 * 86_400, "2 weeks old"),
        (800 * 86_400, "2 years old"),
    ],
)
def test_an_age_is_told_in_the_unit_that_suits(seconds: int, said: str) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert ranked.age(now - timedelta(seconds=seconds), now) == said


def test_near_misses_are_what_was_compared_and_left_out() -> None:
    found = Hit(id="p1", score=0.5, words_rank=1, words_score=3.0)
    near = Hit(id="p2", score=0.1, vector_rank=4, vector_score=0.15)
    unscored = Hit(id="p3", score=0.0)
    assert ranked.near_misses([found, near, unscored], SEMANTIC) == [near]
    assert ranked.by_words(near) == "no word of the query"
    assert ranked.by_vector(near) == "vector rank 4 (cosine 0.150)"
    assert "neighbours" in ranked.formula(SEMANTIC, "words+vectors", chat=True)
