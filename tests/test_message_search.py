"""A person's search of recall storage, against the rows in memory; and how a message and a past search are told."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memgpt_core import message_search
from memgpt_core.embedding.hashing import HashingEmbedder
from memgpt_core.events import Call, Hit
from memgpt_core.message_search import MessageFilter, MessagePage, find_messages
from memgpt_core.project import project
from memgpt_core.projections import Projections
from memgpt_core.rows import MemoryRows
from memgpt_core.state import State, fold
from memgpt_core.stores.vectors import VectorStore
from memgpt_core.views.messages import effect_of_deleting, hits, hits_found, speaker, stays, whereabouts
from memgpt_core.views.past_searches import compare
from tests.event_builder import Script
from tests.random_logs import STEPS, random_log


class Told:
    """A script with its stores."""

    def __init__(self, folder: Path, script: Script) -> None:
        self.script = script
        self.vectors = VectorStore(folder / "vectors.duckdb")
        read: Any = lambda seq: script.events[seq - 1]  # noqa: E731
        self.stores = Projections(folder, self.vectors, HashingEmbedder(), read=read)
        self.stores.catch_up(script.pairs)

    def state(self, at: int | None = None) -> State:
        return fold(self.script.events[: self.script.seq if at is None else at])

    def page(self, wanted: MessageFilter, *, at: int | None = None, offset: int = 0, limit: int = 50) -> MessagePage:
        return find_messages(self.stores, self.state(at), wanted, offset=offset, limit=limit)

    def ids(self, *, at: int | None = None, **wanted: Any) -> list[str]:
        page = self.page(MessageFilter(**wanted), at=at)
        assert page.refused == ""
        assert page.total == len(page.rows)
        return [row["id"] for row in page.rows]

    def close(self) -> None:
        self.stores.close()
        self.vectors.close()


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Any]:
    made: list[Told] = []

    def tell(script: Script) -> Told:
        folder = tmp_path / f"agent{len(made)}"
        folder.mkdir()
        made.append(Told(folder, script))
        return made[-1]

    yield tell
    for one in made:
        one.close()


def pets() -> Script:
    """m2 and m4 and m5 in turn 1, and so on: trigger, prompt, reply, result, sent, end."""
    script = Script()
    script.turn("My dog is called Biscuit", "What a lovely dog")
    script.turn("The vet is Gina Ørsted, 100% kind", "I'll remember Gina")
    script.trigger("The cat: <b>Mog</b>").prompt().reply("Noted", thinking="A cat called Mog, and a dog")
    return script.returned().end()


# --- what is looked for -------------------------------------------------------------------------------------------


def test_without_a_filter_every_message_comes_newest_first_and_the_agent_s_calls_too(told: Any) -> None:
    one = told(pets())
    page = one.page(MessageFilter())
    assert [row["id"] for row in page.rows] == ["m17", "m16", "m14", "m11", "m10", "m8", "m5", "m4", "m2"]
    assert page.total == 9
    assert page.rows[2]["excerpt"] == "The cat: <b>Mog</b>"


@pytest.mark.parametrize(
    ("mode", "text", "found"),
    [
        ("phrase", "DOG", ["m4", "m2"]),
        ("phrase", "lovely dog", ["m4"]),
        ("phrase", "dog lovely", []),
        ("phrase", "ørsted", ["m8"]),
        ("phrase", "100%", ["m8"]),
        ("phrase", "_", []),
        ("words", "dog lovely", ["m4"]),
        ("words", "dog gina", []),
        ("words", "gi RSTED vet", ["m8"]),
        ("regex", "^my dog", ["m2"]),
        ("regex", "gina|mog", ["m14", "m10", "m8"]),
        ("regex", "\\d{3}%", ["m8"]),
        ("regex", "dog$", ["m4"]),
    ],
)
def test_each_way_to_look_finds_what_it_says(told: Any, mode: Any, text: str, found: list[str]) -> None:
    assert told(pets()).ids(mode=mode, text=text) == found


def test_thoughts_are_searched_when_asked_and_shown_as_thoughts(told: Any) -> None:
    one = told(pets())
    assert one.ids(text="called mog") == []
    page = one.page(MessageFilter("called mog", thoughts=True))
    assert [(row["id"], row["thought"], row["excerpt"]) for row in page.rows] == [
        ("m16", True, "A cat called Mog, and a dog")
    ]
    said = one.page(MessageFilter("noted", thoughts=True)).rows
    assert [(row["id"], row["thought"]) for row in said] == [("m16", False)]


def test_a_regular_expression_that_is_none_is_refused_with_a_sentence(told: Any) -> None:
    page = told(pets()).page(MessageFilter("(", mode="regex"))
    assert "regular expression" in page.refused
    assert page.rows == ()


def test_a_slow_regular_expression_stops_at_its_deadline_with_the_newest_rows(
    told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_search, "REGEX_SLICE_ROWS", 3)
    one = told(pets())
    looks = iter([0.0, 0.0, 99.0])
    page = find_messages(
        one.stores, one.state(), MessageFilter(".", mode="regex"), offset=0, limit=9, clock=lambda: next(looks)
    )
    assert [row["id"] for row in page.rows] == ["m17", "m16", "m14"]
    assert "the newest 33% of the rows were searched" in page.note
    assert len(one.page(MessageFilter(".", mode="regex")).rows) == 9


def test_the_agents_own_search_ranks_and_takes_the_filters_of_the_others(told: Any) -> None:
    one = told(pets())
    page = one.page(MessageFilter("dog Biscuit", mode="ranked"))
    asked = one.stores.recall("dog Biscuit", page_size=50)
    assert [row["id"] for row in page.rows] == [hit.id for hit in asked.hits]
    assert page.hits == {hit.id: (place, hit) for place, hit in enumerate(asked.hits, 1)}
    assert [row["id"] for row in one.page(MessageFilter("dog Biscuit", mode="ranked", roles=("assistant",))).rows] == [
        hit.id for hit in asked.hits if hit.id == "m4"
    ]


def test_filters_choose_what_the_agents_search_ranks_and_why_not_names_the_one_that_keeps_a_message_out(
    told: Any,
) -> None:
    script = Script()
    for at in range(9):
        script.turn(f"My dog number {at} barks", "Noted")
    script.edit_message("m2", "My dog barks and barks")
    one = told(script)
    wanted = MessageFilter("dog barks", mode="ranked", edited_by="human")
    page = one.page(wanted)
    assert [row["id"] for row in page.rows] == ["m2"]
    assert page.hits["m2"][0] == page.hits["m2"][1].words_rank == page.hits["m2"][1].vector_rank == 1
    scope = wanted.scope(one.state())
    assert one.stores.why_not("m2", "dog barks", **scope).why == ""
    other = one.stores.why_not("m8", "dog barks", **scope)
    assert (other.place, other.total, other.why) == (None, 0, "A filter leaves it out: who corrected its text.")
    narrow = MessageFilter("dog", kinds=("model_replied",), where="pinned", start=date(2030, 1, 1))
    kept_out = one.stores.why_not("m2", "dog", **narrow.scope(one.state())).why
    assert kept_out == "A filter leaves it out: the first day, what it is, where it is."


def test_the_pages_of_a_ranked_search_are_its_hits_in_order(told: Any) -> None:
    script = Script()
    for at in range(13):
        script.turn(f"My dog number {at} barks", "A dog")
    one = told(script)
    wanted = MessageFilter("which dog barks", mode="ranked")
    hits = [hit.id for hit in one.stores.recall("which dog barks", page_size=99).hits]
    pages = [one.page(wanted, offset=at, limit=5) for at in range(0, len(hits), 5)]
    assert [row["id"] for page in pages for row in page.rows] == hits
    assert [page.hits[row["id"]][0] for page in pages for row in page.rows] == list(range(1, len(hits) + 1))
    assert one.stores.why_not(hits[7], "which dog barks", page=2, page_size=5).why == ""
    assert "on page 2 and not on page 1" in one.stores.why_not(hits[7], "which dog barks", page_size=5).why


def test_a_ranked_search_among_the_deleted_lists_them(told: Any) -> None:
    one = told(pets().delete_message("m2"))
    page = one.page(MessageFilter("Biscuit", mode="ranked", where="deleted"))
    assert [row["id"] for row in page.rows] == ["m2"]
    assert "by date" in page.note


def test_no_ranked_hit_means_no_row(told: Any) -> None:
    page = told(pets()).page(MessageFilter("zzzzqqqq", mode="ranked"))
    assert (page.rows, page.total) == ((), 0)


def test_pages_are_stable_complete_and_know_the_total_beyond_the_end(told: Any) -> None:
    script = Script()
    for at in range(23):
        script.trigger(f"number {at}")
    one = told(script)
    pages = [one.page(MessageFilter("number"), offset=first, limit=10) for first in (0, 10, 20, 30)]
    ids = [row["id"] for page in pages for row in page.rows]
    assert ids == [f"m{seq}" for seq in range(24, 1, -1)]
    assert [page.total for page in pages] == [23] * 4


# --- the filters --------------------------------------------------------------------------------------------------


def test_filters_by_role_kind_and_session(told: Any) -> None:
    script = pets()
    script.trigger("Never", cause="login").warned()
    one = told(script)
    assert one.ids(roles=("user",)) == ["m14", "m8", "m2"]
    assert one.ids(kinds=("pressure_warned", "function_returned")) == ["m20", "m17", "m11", "m5"]
    assert one.ids(roles=("system",), session=2) == ["m20", "m19"]
    assert one.ids(session=3) == []


def test_days_are_those_of_the_zone_and_both_count(told: Any) -> None:
    script = Script(start=datetime(2026, 3, 28, 21, 30, tzinfo=UTC), every=timedelta(hours=1))
    for at in range(28):
        script.trigger(str(at))
    one = told(script)
    amsterdam = one.ids(start=date(2026, 3, 29), end=date(2026, 3, 29), zone="Europe/Amsterdam")
    # 29 March 2026 has 23 hours there: from 23:00 UTC on the 28th until 22:00 on the 29th.
    at = {row["id"]: row["at"] for row in one.page(MessageFilter()).rows}
    assert min(at[id] for id in amsterdam) >= datetime(2026, 3, 28, 23, tzinfo=UTC)
    assert max(at[id] for id in amsterdam) < datetime(2026, 3, 29, 22, tzinfo=UTC)
    assert len(amsterdam) == 23
    assert len(one.ids(start=date(2026, 3, 29), end=date(2026, 3, 29))) == 24
    assert "is after the last" in one.page(MessageFilter(start=date(2026, 3, 2), end=date(2026, 3, 1))).refused


def test_only_messages_somebody_corrected(told: Any) -> None:
    one = told(pets().edit_message("m2", "My dog is called Bagel"))
    assert one.ids(edited_by="human") == ["m2"]
    assert one.ids(edited_by="agent") == []
    assert one.ids(edited_by="human", at=18) == []
    assert one.ids(text="biscuit") == []
    assert one.ids(text="biscuit", at=18) == ["m2"]


def moved() -> Script:
    """m2, m4, m5 leave at 19; m2 comes back as a copy in m23, m4 by a slot at 24; m8 is pinned, m5 deleted."""
    script = pets()
    script.flushed(3)
    flush = script.seq
    call = Call(id="c1", name="conversation_search", arguments={"query": "dog"})
    script.trigger("And my dog?").prompt().calls([call]).returned("conversation_search", "m2: my dog", holds=["m2"])
    script.requeue("m4").pin("m8").delete_message("m5")
    assert flush == 19
    return script


def test_where_a_message_is_now_filters(told: Any) -> None:
    one = told(moved())
    state = one.state()
    queued = [entry.id for entry in state.queue]
    assert sorted(one.ids(where="window")) == sorted([*queued, "m2"])
    assert one.ids(where="evicted") == []
    assert one.ids(where="back") == ["m4", "m2"]
    assert one.ids(where="pinned") == ["m8"]
    assert one.ids(where="deleted") == ["m5"]
    assert "m5" not in one.ids()


def test_where_it_was_at_an_earlier_event(told: Any) -> None:
    one = told(moved())
    assert one.ids(where="evicted", at=19) == ["m5", "m4", "m2"]
    assert one.ids(where="back", at=19) == []
    assert one.ids(where="deleted", at=19) == []
    assert one.ids(where="evicted", where_seq=19) == ["m4", "m2"]
    assert one.ids(where="back", where_seq=23) == ["m2"]
    assert one.ids(where="back", where_seq=24) == ["m4"]


def test_a_deleted_message_is_searched_among_the_deleted_with_its_last_text_and_gone_after_its_return(
    told: Any,
) -> None:
    script = pets().edit_message("m2", "My dog is called Bagel").delete_message("m2")
    deleted = script.seq
    script.restore_message("m2", text_seq=script.seq - 1)
    one = told(script)
    assert one.ids(where="deleted", text="bagel", at=deleted) == ["m2"]
    assert one.ids(where="deleted", text="biscuit", at=deleted) == []
    assert one.ids(where="deleted") == []
    assert "m2" in one.ids(text="bagel")


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(STEPS, max_size=25), needle=st.sampled_from(["", "blue", "cat", "猫", "o"]), back=st.integers(0, 30)
)
def test_a_page_is_what_the_rows_in_memory_say(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any], needle: str, back: int
) -> None:
    script = random_log(steps)
    n = max(1, script.seq - back)
    one = Told(tmp_path_factory.mktemp("told"), script)
    try:
        rows = MemoryRows()
        for before, event in script.pairs():
            rows.take(project(before, event))
        stood = [row for row in rows.as_of("messages", n) if needle in row["text"].lower()]
        page = one.page(MessageFilter(needle), at=n, limit=1000)
        assert [row["id"] for row in page.rows] == sorted((row["id"] for row in stood), key=lambda id: -int(id[1:]))
        assert page.total == len(stood)
        held = [row["id"] for row in page.rows if whereabouts(row, one.state(n)).in_window]
        assert held == [row["id"] for row in page.rows if one.state(n).holds(row["id"])]
    finally:
        one.close()


# --- what is shown ------------------------------------------------------------------------------------------------


def test_an_excerpt_stands_around_the_hit_and_says_that_it_is_cut(told: Any) -> None:
    long = "x " * 3000 + "needle" + " y" * 3000
    one = told(Script().trigger(long))
    row = one.page(MessageFilter("NEEDLE")).rows[0]
    assert "needle" in row["excerpt"]
    assert len(row["excerpt"]) == message_search.EXCERPT_CHARS
    assert row["cut"] == (True, True)
    assert row["chars"] == len(long)
    assert "text" not in row
    whole = find_messages(one.stores, one.state(), MessageFilter("needle"), offset=0, limit=5, whole=True)
    assert whole.rows[0]["text"] == long
    by_regex = one.page(MessageFilter("ne+d..", mode="regex")).rows[0]
    assert by_regex["found"] == ("needle",)
    assert "needle" in by_regex["excerpt"]


def test_where_a_message_is_reads_as_a_sentence(told: Any) -> None:
    one = told(moved())
    rows = {row["id"]: row for row in one.page(MessageFilter()).rows}
    state = one.state()
    shorts = {id: whereabouts(row, state).short for id, row in rows.items()}
    assert shorts["m2"] == "back at 23, in m23"
    assert shorts["m4"] == "back at 24"
    assert shorts["m8"] == "pinned, in the window"
    gone = one.page(MessageFilter(where="deleted")).rows[0]
    assert whereabouts(gone, state).short == "deleted at 26"
    assert whereabouts(gone, state).tier == ""
    told_of = [(stay.came, stay.left, stay.fault) for stay in stays(rows["m2"]["intervals"], state.seq)]
    assert told_of == [(2, 19, False), (23, None, True)]
    assert stays(rows["m2"]["intervals"], 10)[0].left is None
    assert speaker(rows["m23"]) == "Result of conversation_search"
    assert (speaker(rows["m2"]), speaker(rows["m4"])) == ("You", "Agent")


def test_the_effect_of_deleting_counts_only_what_is_in_the_window(told: Any) -> None:
    state = moved().state
    assert "None of them" in effect_of_deleting(state, ["m2"])
    assert effect_of_deleting(state, ["m2", "m8"]).startswith("1 of 2 is in the window now: about 20 tokens")


@given(text=st.text(max_size=40), needle=st.text(max_size=3))
def test_marking_hits_loses_no_character(text: str, needle: str) -> None:
    cut = hits(text, [needle])
    assert "".join(piece.text for piece in cut) == text
    assert all(piece.text.lower() == needle.lower() or len(piece.text) == len(needle) for piece in cut if piece.hit)
    if needle and needle in text:
        assert any(piece.hit for piece in cut)


@given(text=st.text("ab", max_size=30), found=st.lists(st.text("ab", max_size=3)))
def test_marking_what_an_expression_found_loses_no_character_either(text: str, found: list[str]) -> None:
    cut = hits_found(text, found)
    assert "".join(piece.text for piece in cut) == text
    assert all(piece.text in found for piece in cut if piece.hit)


# --- past searches ------------------------------------------------------------------------------------------------


def hit(id: str, score: float = 1.0) -> Hit:
    return Hit(id=id, score=score)


def test_the_same_page_is_called_the_same() -> None:
    both = compare([hit("m1"), hit("m2")], [hit("m1"), hit("m2"), hit("m3")], first=0, size=2)
    assert both.same
    assert both.says == "The same 2 in the same order, with the same scores."
    other = compare([hit("m1", 0.5)], [hit("m1", 0.4)], first=0, size=5)
    assert not other.same
    assert "1 of them with another score" in other.says


def test_what_moved_left_and_came_in_is_told_with_its_places() -> None:
    then = [hit("m1"), hit("m2"), hit("m3")]
    now = [hit("m9"), hit("m2", 0.7), hit("m1"), hit("m3")]
    both = compare(then, now, first=0, size=3)
    assert [(place.id, place.what, place.then, place.now) for place in both.places] == [
        ("m9", "entered", None, 1),
        ("m2", "same", 2, 2),
        ("m1", "moved", 1, 3),
        ("m3", "left", 3, 4),
    ]
    assert both.places[1].now_score == 0.7
    assert both.says == "1 in the same place, 1 moved, 1 left the page, 1 came in."


def test_a_second_page_is_compared_with_the_second_page() -> None:
    both = compare([hit("m3"), hit("m4")], [hit("m1"), hit("m2"), hit("m4"), hit("m5")], first=2, size=2)
    assert [(place.id, place.what, place.then, place.now) for place in both.places] == [
        ("m4", "moved", 4, 3),
        ("m5", "entered", None, 4),
        ("m3", "left", 3, None),
    ]
    assert compare([], [], first=0, size=5).says == "Nothing was found then, and nothing is found now."
