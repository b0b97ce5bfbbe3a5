"""The timeline's views on made-up histories: marks, arrows, folds, fates, figures, and each warning both ways."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgpt_core import events
from memgpt_core.views import lost, warnings
from memgpt_core.views.lanes import KINDS, LANES, SHAPES, arrows, cells, mark, place, tally
from memgpt_core.views.lanes_axis import TICKS, duration, fold, ticks, time_labels
from memgpt_core.views.pressure import curve
from memgpt_core.views.residency import fates, rates, stays, working_set
from memgpt_core.views.warnings import Question

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


def _row(kind: str, seq: int = 7, **more: Any) -> dict[str, Any]:
    row = {
        "seq": seq,
        "last": seq,
        "at": START + timedelta(seconds=seq),
        "session": 1,
        "turn": 2,
        "step": 1,
        "kind": kind,
        "author": "",
        "about": "",
        "tokens": None,
        "items": None,
        "faults": 0,
    }
    return {**row, **more}


# --- marks and arrows -------------------------------------------------------------------------------------


def test_every_kind_of_mark_has_a_lane_and_a_shape() -> None:
    lanes = {lane.key for lane in LANES}
    for kind in KINDS:
        lane, shape, says = place(kind, "user")
        assert lane in lanes
        assert shape in SHAPES
        assert says


@pytest.mark.parametrize("kind", ["message_requeued", "hits_placed"])
def test_what_brings_items_in_has_a_place_though_its_mark_is_the_page_in(kind: str) -> None:
    assert kind not in KINDS
    assert place(kind, "")[:2] == ("context", "page in")


def test_every_kind_that_touches_a_tier_is_drawn() -> None:
    silent = {
        "agent_created", "agent_configured", "agent_renamed", "run_forked", "history_imported", "context_recounted",
        "instructions_defined",
        "prompt_built", "model_replied", "function_returned", "function_asked", "function_answered", "message_sent",
        "heartbeats_paused", "stop_requested", "turn_ended", "turn_resumed", "message_requeued",
        "hits_placed",
    }  # fmt: skip
    # A requeue and a placement are page ins; a new kind must be put on one side by hand.
    assert set(events.KINDS) - silent == set(KINDS) & set(events.KINDS)


def test_what_a_mark_says() -> None:
    assert mark(_row("queue_flushed", tokens=1015)).says == "flush, 1,015 tokens freed"
    assert mark(_row("archival_inserted", author="import", last=106)).says == "100 passages imported"
    assert mark(_row("trigger_received", about="user")).lane == "you"
    assert mark(_row("trigger_received", about="upload")).lane == "documents"
    assert mark(_row("recall_searched", about="cat")).says == "recall search: cat"
    edited = mark(_row("working_context_edited", about="human", author="human"))
    assert (edited.lane, edited.shape, edited.by_hand) == ("core", "write", True)


def test_a_page_in_is_a_fault_only_when_something_was_gone() -> None:
    plain, fault = (mark(_row("page_in", items=["m3", "p4"], faults=number)) for number in (0, 1))
    assert (plain.shape, plain.says) == ("page in", "2 items in")
    assert (fault.shape, fault.says) == ("page fault", "2 items in, 1 page fault")
    assert tally([plain, fault, fault]) == {"page in": 1, "page fault": 2}


def test_arrows_join_what_left_with_what_came_back() -> None:
    def row(item: str, came: int, left: int | None, *, fault: bool) -> dict[str, Any]:
        return {"item": item, "came": came, "left_at": left, "fault": fault}

    found = arrows(
        [
            row("m3", 60, 40, fault=True),
            row("m5", 60, 40, fault=True),
            row("m8", 60, 50, fault=True),
            row("m55", 60, None, fault=False),
            row("m9", 60, 50, fault=False),
            row("p12", 60, None, fault=False),
        ]
    )
    assert [(a.left, a.came, a.lane, a.items, a.fault) for a in found] == [
        (12, 60, "archival", ("p12",), False),
        (40, 60, "recall", ("m3", "m5"), True),
        (50, 60, "recall", ("m8",), True),
    ]


def test_the_overview_counts_each_lane_by_shape() -> None:
    def row(kind: str, n: int, faults: int = 0) -> dict[str, Any]:
        return {"bucket": 4, "kind": kind, "about": "", "faults": faults, "n": n}

    found = cells([row("page_in", 3), row("page_in", 2, 1), row("queue_flushed", 1), row("note_written", 1)])
    assert [(cell.lane, cell.events) for cell in found] == [("context", 6), ("notes", 1)]
    assert dict(found[0].shapes) == {"page in": 3, "page fault": 2, "page out": 1}


# --- the axis ---------------------------------------------------------------------------------------------


def test_an_idle_stretch_is_folded_and_keeps_its_length() -> None:
    axis = fold([0, 10, 20, 20 + 86_400, 30 + 86_400], 300)
    (idle,) = axis.folds
    assert idle.length == 86_400
    assert idle.stop - idle.start < 5
    assert axis.place(10) == 10
    assert axis.place(30 + 86_400) - axis.place(20 + 86_400) == pytest.approx(10)
    assert axis.place(20 + 43_200) == pytest.approx((idle.start + idle.stop) / 2)


def test_outside_the_axis_is_its_edge() -> None:
    axis = fold([5, 8], 300)
    assert (axis.place(-100), axis.place(100)) == (0, 3)
    assert fold([], 300).place(4) == 0
    assert fold([4], 300).place(4) == 0


@given(st.lists(st.floats(0, 1e9), min_size=2, max_size=60), st.floats(1, 1e5))
def test_folding_keeps_the_order_and_bounds_the_folds(values: list[float], longest: float) -> None:
    axis = fold(values, longest)
    places = [axis.place(value) for value in sorted(values)]
    assert places == sorted(places)
    plain = axis.length - sum(one.stop - one.start for one in axis.folds)
    assert sum(one.stop - one.start for one in axis.folds) <= 0.5 * max(plain, longest) * 1.001
    assert all(one.length > longest for one in axis.folds)
    assert len(ticks(axis)) <= TICKS


def test_the_day_is_named_where_it_changes() -> None:
    zone = ZoneInfo("Europe/Amsterdam")
    seconds = [START.timestamp(), START.timestamp() + 60, START.timestamp() + 86_400]
    labels = time_labels(seconds, zone)
    assert labels[0] == "10:00:00<br>01 Mar 2026"
    assert labels[1] == "10:01:00"
    assert labels[2].endswith("02 Mar 2026")


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(0.04, "0.0 s"), (48, "48 s"), (61, "1 min 1 s"), (7200, "2 h"), (273_600, "3 d 4 h"), (86_400, "1 d")],
)
def test_a_duration_has_its_two_largest_units(seconds: float, says: str) -> None:
    assert duration(seconds) == says


# --- residency ----------------------------------------------------------------------------------------------


def _message(**more: Any) -> dict[str, Any]:
    return {"role": "user", "tokens": 20, "text": "I keep bees.", "thoughts": "", "stands": True, **more}


def test_the_fate_of_each_evicted_message() -> None:
    messages = {
        "m5": _message(),
        "m6": _message(text="", thoughts="Hm."),
        "m7": _message(stands=False),
        "m8": _message(),
    }
    returns = [
        {"item": "m5", "carrier": "m90", "seq_from": 90, "open": False},
        {"item": "m5", "carrier": "m5", "seq_from": 120, "open": True},
    ]
    back, never, deleted, unknown = fates(("m5", "m6", "m7", "m404"), messages, returns, ["m5"])
    assert back.says == "came back at event 90 as a copy in m90, 2 times in all; it is in the window"
    assert (back.in_window, back.queued, back.pinned) == (True, True, True)
    assert (never.says, never.text) == ("has not come back", "Hm.")
    assert deleted.says == unknown.says == "deleted from recall storage since"


def test_rates_count_what_they_say_and_bear_an_empty_life() -> None:
    empty = rates(dict.fromkeys(("turns", "page_ins", "faults", "flushes", "in_tokens", "out_tokens")))
    assert [figure.value for figure in empty] == ["0.00", "0 %", "0", "0"]
    told = rates({"turns": 8, "page_ins": 4, "faults": 2, "flushes": 3, "in_tokens": 800, "out_tokens": 4000})
    assert [figure.value for figure in told] == ["0.25", "50 %", "100", "500"]
    assert "2 page faults in 8 turns" in told[0].says


def test_the_working_set_is_of_the_last_turn_and_of_ten() -> None:
    one, ten = working_set([{"turn": 4, "items": 7}, {"turn": 5, "items": 9}], 31)
    assert (one.value, ten.value) == ("9 items", "31 items")
    assert working_set([], 0)[0].value == "0 items"


def test_stays_leave_out_what_never_happened() -> None:
    row = {"tier": "window", "n": 3, "s_min": 5, "s_mid": 61, "s_p95": 90_000, "t_min": 0, "t_mid": 1, "t_p95": 4}
    (told,) = stays([row, {**row, "tier": "storage", "n": 0}])
    assert told.times == ("5.0 s", "1 min 1 s", "1 d 1 h")
    assert told.turns == ("0", "1", "4")


def test_the_curve_has_each_prompt_once() -> None:
    row = {"at": START, "total_tokens": 5, "warn_tokens": 7, "flush_tokens": 9, "limit_tokens": 9, "window_tokens": 12}
    points = curve([{"seq_from": 9, **row}, {"seq_from": 4, **row}, {"seq_from": 9, **row}])
    assert [point.seq for point in points] == [4, 9]


# --- thrashing ------------------------------------------------------------------------------------------------


def _fault(item: str, seq: int, turn: int) -> dict[str, Any]:
    return {"item": item, "seq_from": seq, "turn": turn}


def test_a_message_that_keeps_coming_back_thrashes() -> None:
    found = warnings.thrashing([_fault("m5", 90, 9), _fault("m5", 150, 15), _fault("m5", 160, 16), _fault("m7", 91, 9)])
    assert [(one.item, one.seqs, one.turns) for one in found] == [("m5", (90, 150, 160), (9, 15, 16))]


def test_one_return_or_two_far_apart_is_no_thrashing() -> None:
    assert not warnings.thrashing([_fault("m5", 90, 9)])
    assert not warnings.thrashing([_fault("m5", 90, 9), _fault("m5", 400, 9 + warnings.WITHIN_TURNS)])
    assert warnings.thrashing([_fault("m5", 90, 9), _fault("m5", 400, 8 + warnings.WITHIN_TURNS)])


def _fetch(seq: int, turn: int, tokens: int = 40) -> dict[str, Any]:
    return {"seq": seq, "turn": turn, "tokens": tokens}


def test_many_small_fetches_close_together_are_found_once() -> None:
    (found,) = warnings.trickles([_fetch(10 + at, 3 + at // 3) for at in range(7)])
    assert found.turns == (3, 5)
    assert len(found.seqs) == 7
    assert found.tokens == 280


def test_few_or_large_or_spread_fetches_are_no_trickle() -> None:
    few, large = range(warnings.FETCHES - 1), warnings.SMALL_TOKENS + 1
    assert not warnings.trickles([_fetch(10 + at, 3) for at in few])
    assert not warnings.trickles([_fetch(10 + at, 3, large) for at in range(9)])
    assert not warnings.trickles([_fetch(10 + at, 3 * at) for at in range(9)])
    assert not warnings.trickles([])


# --- starving --------------------------------------------------------------------------------------------------


def _question(text: str = "What is my parrot called?", *, answered: int | None = 105, searches: tuple = ()) -> Question:
    return Question(100, 12, text, answered, searches)


def _word(word: str, rows: int, *ids: str, held: int = 0) -> dict[str, Any]:
    return {"word": word, "rows": rows, "held": held, "ids": list(ids)}


def test_only_an_answered_question_without_a_search_before_it_may_starve() -> None:
    assert warnings.may_starve(_question())
    assert warnings.may_starve(_question("Remind me of the parrot", searches=(110,)))
    assert not warnings.may_starve(_question(searches=(103,)))
    assert not warnings.may_starve(_question(answered=None))
    assert not warnings.may_starve(_question("I bought a parrot."))


def test_telling_words_leave_out_what_says_nothing() -> None:
    assert warnings.telling_words("What did I tell you about the boiler's valve, no. 7B?") == ["boiler", "valve", "7b"]
    assert warnings.telling_words("Do you remember?") == []
    assert len(warnings.telling_words(" ".join(f"subject{at}" for at in range(30)))) == warnings.WORDS_MOST


def test_a_very_rare_word_in_storage_is_starving() -> None:
    found = warnings.starving(_question(), [_word("parrot", 1, "m9")], looked_at=900, known=["Name: Ada"])
    assert found is not None
    assert (found.shared, found.items, found.late) == (("parrot",), ("m9",), None)
    late = warnings.starving(_question(searches=(120, 110)), [_word("parrot", 1, "m9")], looked_at=900, known=[])
    assert late is not None
    assert late.late == 110


def test_two_rare_words_are_enough_and_one_is_not() -> None:
    one, both = [_word("valve", 9, "m9", "m8")], [_word("valve", 9, "m9", "m8"), _word("boiler", 8, "m9", "m7")]
    assert warnings.starving(_question(), one, looked_at=900, known=[]) is None
    found = warnings.starving(_question(), both, looked_at=900, known=[])
    assert found is not None
    assert found.items == ("m9",)
    assert set(found.shared) == {"boiler", "valve"}


def test_what_the_window_has_is_not_missed() -> None:
    rows = [_word("parrot", 2, "m9", held=1)]
    assert warnings.starving(_question(), rows, looked_at=900, known=[]) is None
    assert warnings.starving(_question(), [_word("parrot", 1, "m9")], looked_at=900, known=["Parrot: Polly"]) is None
    assert warnings.starving(_question(), [_word("parrot", 1)], looked_at=900, known=[]) is None
    assert warnings.starving(_question(), [], looked_at=0, known=[]) is None


def test_a_common_word_says_nothing() -> None:
    rows = [_word("work", 60, "m9", "m8"), _word("house", 61, "m9")]
    assert warnings.starving(_question(), rows, looked_at=900, known=[]) is None


# --- lost by a flush ---------------------------------------------------------------------------------------------


def _evicted(text: str, *, id: str = "m5", role: str = "user") -> dict[str, Any]:
    return {"id": id, "role": role, "text": text}


def test_names_numbers_and_dates_are_read_from_text() -> None:
    text = "My sister Ana flies to Porto on Friday 12 June. Flight TP-673 costs 1,250.50 euros. I may pay 3 now."
    found = [(term.text, term.what) for term in lost.terms(text)]
    assert found == [
        ("Ana", "name"),
        ("Porto", "name"),
        ("Friday", "date"),
        ("12", "number"),
        ("June", "date"),
        ("TP-673", "number"),
        ("1,250.50", "number"),
    ]


def test_the_month_of_may_needs_a_number() -> None:
    assert ("May", "date") in lost.terms("I was born on 9 May.")
    assert not lost.terms("Well, May be so")


def test_the_beginning_of_a_sentence_is_no_name() -> None:
    assert not lost.terms("Hello. Nothing new! Really?\nSo it goes: “Well”")


def test_what_no_closer_memory_has_is_lost() -> None:
    rows = [_evicted("I met Priya in Lisbon; her number is 555-0142."), _evicted("So Priya said.", id="m6")]
    found = lost.candidates(rows, ["The user was in Lisbon."])
    assert [(one.message, one.term, one.what) for one in found] == [
        ("m5", "Priya", "name"),
        ("m5", "555-0142", "number"),
    ]


def test_what_is_kept_anywhere_is_not_lost() -> None:
    rows = [_evicted("I met Priya's cat in Lisbon, it weighs 1,250 grams.")]
    assert not lost.candidates(rows, ["priya is a friend", "LISBON, 1250 g"])
    assert not lost.candidates([_evicted("See Priya, id 4711", role="function")], [])
    assert not lost.candidates([_evicted("nothing of note")], [])


def test_a_part_of_a_longer_number_does_not_keep_it() -> None:
    (found,) = lost.candidates([_evicted("The code is 4711")], ["The code is 47110 or 14711"])
    assert found.term == "4711"


def test_a_passage_with_the_whole_word_keeps_it() -> None:
    found = lost.candidates([_evicted("I met Ana and Bo Li")], [])
    left = lost.still_lost(found, {"Ana": ["A banana is yellow"], "Bo": ["She and Bo went home"]})
    assert [one.term for one in left] == ["Ana", "Li"]


@given(st.text(max_size=300))
def test_any_text_is_read_without_fault_and_keeps_itself(text: str) -> None:
    assert not lost.candidates([_evicted(text)], [text])
