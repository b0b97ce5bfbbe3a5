"""The views of the context page: items, map, figures, difference, what if, and the chart over time."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgpt_core import events as kinds
from memgpt_core.events import Measured
from memgpt_core.prompt import build, encode_body, render_block, sections
from memgpt_core.queue_manager import evict, total_tokens
from memgpt_core.settings import AgentSettings
from memgpt_core.state import State
from memgpt_core.views.difference import difference
from memgpt_core.views.figures import figures
from memgpt_core.views.grid import CELLS, FREE, RESERVE, bar, cells, window_map
from memgpt_core.views.truncation import cut
from memgpt_core.views.usage import MARKS, usage
from memgpt_core.views.whatif import Grown, assumption, changed, exchange_tokens, outcome
from memgpt_core.views.window_items import Item, divided, excerpt, items, unseen, visible
from tests.event_builder import Script

PARAMETERS = {"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]}
SCHEMAS: tuple[dict[str, Any], ...] = tuple(
    {"type": "function", "function": {"name": name, "description": says, "parameters": PARAMETERS}}
    for name, says in (("send_message", "Say it."), ("archival_memory_search", "Search long and wide for a thing."))
)


def script(**settings: Any) -> Script:
    made = Script(settings=AgentSettings(**{"window_tokens": 4096, "reserve_tokens": 512, **settings}))
    measured = Measured(instructions_tokens=100, schemas_tokens=71)
    made.add(kinds.InstructionsDefined(instructions="Be good.", schemas=SCHEMAS, measured=measured))
    return made.block("persona", "I am Tester.").block("human", "Ada.")


def of(made: Script, state: State | None = None) -> list[Item]:
    state = state or made.state
    read = {event.seq: event for event in made.events}.__getitem__
    return items(state, build(state, read).body, read(state.instructions_seq), sections(state))


# --- items ------------------------------------------------------------------------------------------------------


@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**5), min_size=1, max_size=60))
def test_a_total_is_divided_without_rest_and_as_the_weights_are(total: int, weights: list[int]) -> None:
    parts = divided(total, weights)
    assert sum(parts) == total
    if sum(weights):
        for part, weight in zip(parts, weights, strict=True):
            assert abs(part - total * weight / sum(weights)) < 1


def test_the_items_are_the_whole_request_and_add_up_section_by_section() -> None:
    made = script().turn("hello", "hi").turn("more", "yes").flushed(3).turn("now", "done")
    state = made.state.model_copy(update={"token_factor": 1.137, "template_tokens": 9})
    found = of(made, state)
    for section, tokens in sections(state).items():
        assert sum(item.tokens for item in found if item.section == section) == tokens
    assert sum(item.tokens for item in found) == total_tokens(state)
    assert len({item.key for item in found}) == len(found)
    assert [item.key for item in found[:6]] == [
        "instructions",
        "schema:send_message",
        "schema:archival_memory_search",
        "block:persona",
        "block:human",
        "summary",
    ]
    assert [item.key for item in found if item.section == "messages"] == [entry.id for entry in state.queue]


def test_an_items_text_is_the_text_that_was_sent() -> None:
    made = script().turn("hello", "hi")
    read = {event.seq: event for event in made.events}.__getitem__
    body = build(made.state, read).body
    found = {item.key: item for item in of(made)}
    sent = encode_body(body).decode()
    for item in found.values():
        for text in (item.text, item.calls):
            assert not text or text in sent or json.dumps(text, ensure_ascii=False)[1:-1] in sent
    assert found["block:human"].text == render_block(made.state.blocks["human"])
    assert [item.role for item in found.values() if item.section == "messages"] == ["user", "assistant", "tool"]
    assert found["schema:send_message"].text == json.dumps(SCHEMAS[0], separators=(",", ":"))


def test_a_longer_schema_has_more_of_the_sections_tokens() -> None:
    found = {item.key: item.tokens for item in of(script())}
    assert found["schema:archival_memory_search"] > found["schema:send_message"] > 0


def test_a_form_for_a_model_without_tools_is_itemised_too() -> None:
    made = script(calling="structured", model="small").turn("hello", "hi")
    found = {item.key: item for item in of(made)}
    assert found["schema:send_message"].text.startswith("- send_message(")
    assert any(item.label.startswith("Function result") for item in found.values())


def test_a_pinned_message_says_so() -> None:
    made = script().turn("hello", "hi").turn("more", "yes")
    first = made.state.queue[0].id
    made.add(kinds.MessagePinned(message=first, pinned=True, author="human"))
    assert [item.key for item in of(made) if item.pinned] == [first]


def test_what_cannot_be_seen_is_named_and_the_rest_left_alone() -> None:
    evil = "a\x00b\x1b[31mc\u202ed\u200be"
    assert visible(evil) == "a⟨U+0000⟩b⟨U+001B⟩[31mc⟨U+202E⟩d⟨U+200B⟩e"
    assert unseen(evil) == 4
    plain = "Ünïcode 猫 ![x](http://a.example)\n\tand <b>tabs</b>"
    assert visible(plain) == plain
    assert unseen(plain) == 0


def test_an_excerpt_is_one_short_line() -> None:
    found = of(script().turn("line one\nline two " * 40, "hi"))
    texts = [excerpt(item) for item in found]
    assert all("\n" not in text and len(text) <= 110 for text in texts)
    assert any(text.endswith("…") for text in texts)


# --- the map ----------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 50_000), min_size=1, max_size=700))
def test_every_part_with_tokens_has_a_cell_and_the_cells_are_all_given(tokens: list[int]) -> None:
    given_cells = cells(tokens)
    filled = sum(1 for part in tokens if part)
    assert sum(given_cells) == (max(CELLS, filled) if filled else 0)
    assert all((size > 0) == (part > 0) for size, part in zip(given_cells, tokens, strict=True))


@given(st.lists(st.integers(1, 50_000), min_size=2, max_size=200))
def test_a_larger_part_never_has_fewer_cells(tokens: list[int]) -> None:
    sizes = sorted(zip(tokens, cells(tokens), strict=True))
    for (small, few), (large, many) in pairwise(sizes):
        assert few <= many or small == large


@given(st.lists(st.integers(100, 4000), min_size=1, max_size=30))
def test_cells_are_within_one_of_their_share_where_all_parts_are_large(tokens: list[int]) -> None:
    for part, size in zip(tokens, cells(tokens), strict=True):
        exact = CELLS * part / sum(tokens)
        assert abs(size - exact) < 1 or exact < 1


def test_the_map_is_the_whole_window_with_free_room_and_reserve() -> None:
    made = script().turn("hello", "hi")
    drawn = window_map(of(made), made.state.settings)
    assert drawn.cells == CELLS == sum(piece.cells for piece in drawn.pieces)
    assert sum(piece.tokens for piece in drawn.pieces) == 4096
    assert [piece.key for piece in drawn.pieces[-2:]] == [FREE, RESERVE]
    assert drawn.pieces[-1].tokens == 512
    assert drawn.flush_cell == CELLS * 3584 // 4096
    assert drawn.warn_cell == CELLS * made.state.settings.warn_tokens // 4096


def test_the_bar_and_the_map_say_the_same() -> None:
    made = script().turn("hello", "hi").flushed(1).turn("more", "yes")
    found = of(made)
    drawn = window_map(found, made.state.settings)
    assert {part.key: part.tokens for part in bar(drawn)} == {
        section: tokens for section, tokens in sections(made.state).items() if tokens
    }
    assert sum(part.share for part in bar(drawn)) == pytest.approx(total_tokens(made.state) / 4096)


@pytest.mark.parametrize("tokens", [3800, 5000])
def test_a_prompt_beyond_its_limit_takes_the_reserve_and_then_the_map_grows(tokens: int) -> None:
    made = script().trigger("long", tokens=tokens - total_tokens(script().state))
    drawn = window_map(of(made), made.state.settings)
    kept = {piece.key: piece.tokens for piece in drawn.pieces}
    assert FREE not in kept
    assert kept.get(RESERVE, 0) == max(0, 4096 - tokens)
    assert sum(kept.values()) == max(4096, tokens)
    assert 0 <= drawn.warn_cell < drawn.cells


# --- the figures ------------------------------------------------------------------------------------------------


def compared(ours: int = 1000, server: int | None = None, served: int | None = None, **more: Any) -> Any:
    given = {"window": 4096, "counted_by": "", "demo": False, "factor": 1.0, "stage": "answered", **more}
    return figures(ours, server, served, **given)


def test_agreement_is_said_with_how_far_off_it_is() -> None:
    assert compared(server=1000).verdict == "agree"
    off = compared(server=1080)
    assert off.verdict == "agree"
    assert "80 tokens more (8.0 %)" in off.says
    assert "exactly" in compared(server=1000).says


def test_far_fewer_means_a_cut_and_an_exact_count_tolerates_less() -> None:
    assert compared(server=600).verdict == "cut"
    assert compared(server=900).verdict == "agree"
    assert compared(server=900, counted_by="llama3").verdict == "cut"
    assert "400 fewer" in compared(server=600).says


def test_a_prompt_larger_than_the_served_window_was_cut_whatever_was_counted() -> None:
    assert compared(ours=3000, server=2300, served=2350, factor=1.2).verdict == "cut"
    assert compared(ours=3000, server=2900, served=4096).verdict == "agree"


def test_what_the_log_said_of_a_cut_is_said_here() -> None:
    event = kinds.TruncationSuspected(ours=1000, server=990, window_tokens=990)
    found = compared(server=990, cut=cut(event))
    assert found.verdict == "cut"
    assert "the server read 990" in found.says


def test_a_smaller_served_window_is_said_before_it_hurts() -> None:
    found = compared(server=1000, served=2048)
    assert found.verdict == "smaller window"
    assert "2,048 of the 4,096" in found.says


@pytest.mark.parametrize(
    ("stage", "word"), [("not sent", "not left"), ("sent", "Not answered"), ("answered", "no count")]
)
def test_without_a_count_of_the_servers_nothing_is_claimed(stage: str, word: str) -> None:
    found = compared(stage=stage)
    assert found.verdict == "unknown"
    assert word in found.says


def test_how_ours_was_counted_is_told() -> None:
    assert compared(demo=True).how.startswith("exact")
    assert compared(counted_by="llama3").how == "exact: by the vocabulary of llama3"
    assert compared(factor=1.25).how == "estimated, scaled by 1.250, learned from earlier replies"


# --- the difference ---------------------------------------------------------------------------------------------


def test_a_difference_is_what_entered_left_and_changed() -> None:
    made = script().turn("one", "1").turn("two", "2")
    before, was = of(made), made.state
    gone = [entry.id for entry in made.state.queue[:3]]
    made.flushed(3).add(
        kinds.WorkingContextEdited(
            block="human", before="Ada.", after="Eve.", author="human", based_on=4, measured=Measured(tokens=31)
        )
    )
    made.trigger("three")
    found = difference(before, of(made), (was, made.state))
    assert [item.key for item in found.left] == gone
    assert [item.key for item in found.entered] == ["summary", made.message]
    assert [change.after.key for change in found.changed] == ["block:human"]
    assert "Ada." in found.changed[0].before.text
    assert "Eve." in found.changed[0].after.text
    assert found.tokens_after - found.tokens_before == total_tokens(made.state) - total_tokens(was)
    # What stands before the changed block is all that begins alike.
    assert found.prefix_tokens == 100 + 71 + 30
    assert found.first_new is not None
    assert found.first_new.key == "block:human"
    assert found.same + len(found.changed) + len(found.entered) == len(of(made))


def test_a_window_does_not_differ_from_itself() -> None:
    made = script().turn("one", "1")
    found = difference(of(made), of(made), (made.state, made.state))
    assert (found.entered, found.left, found.changed, found.first_new) == ((), (), (), None)
    assert found.prefix_share == 1.0


def test_growing_at_the_end_keeps_the_beginning() -> None:
    made = script().turn("one", "1")
    before, was = of(made), made.state
    made.trigger("two")
    found = difference(before, of(made), (was, made.state))
    assert found.prefix_tokens == total_tokens(was)
    scaled = made.state.model_copy(update={"token_factor": 1.25})
    assert difference(before, of(made, scaled), (was, scaled)).prefix_tokens == round(1.25 * total_tokens(was))
    assert found.first_new is not None
    assert found.first_new.key == made.message


# --- what if ----------------------------------------------------------------------------------------------------


def long_talk(**settings: Any) -> Script:
    made = script(**settings)
    for number in range(8):
        made.trigger(f"question {number}", tokens=150).prompt().reply("answer", tokens=130).returned().end()
    return made


def test_the_preview_is_what_the_queue_manager_would_do() -> None:
    state = long_talk().state
    found = outcome(state)
    assert found.evicted == evict(state) != ()
    assert set(found.evicted).isdisjoint(found.stays)
    assert len(found.evicted) + len(found.stays) == len(state.queue)
    assert found.freed == sum(entry.tokens for entry in state.queue if entry.id in found.evicted)
    assert found.after == total_tokens(state) - found.freed + found.summary_tokens
    assert exchange_tokens(state) == found.exchange_tokens == 290
    assert found.exchanges_to_flush == (state.settings.flush_tokens - total_tokens(state)) // 290


def test_the_summary_is_assumed_as_long_as_the_present_one_and_that_is_said() -> None:
    made = long_talk()
    assert "no summary yet" in assumption(made.state)
    made.flushed(3)
    found = outcome(made.state)
    assert found.summary_tokens == 60
    assert "60 tokens" in assumption(made.state)
    assert found.after == total_tokens(made.state) - found.freed


def test_a_preview_of_an_empty_queue_takes_nothing() -> None:
    found = outcome(script().state)
    assert found.evicted == ()
    assert found.exchanges_to_warn is None
    assert found.after == total_tokens(script().state)


def test_a_pinned_message_stays() -> None:
    made = long_talk()
    first = made.state.queue[0].id
    made.add(kinds.MessagePinned(message=first, pinned=True, author="human"))
    assert first in outcome(made.state).stays


def test_other_rules_give_another_outcome_and_leave_the_state_alone() -> None:
    state = long_talk().state
    smaller, why = changed(state, {"window_tokens": 2560})
    assert why == ""
    assert smaller is not None
    assert outcome(smaller).act == "flush"
    assert outcome(smaller).gauge.window == 2560
    more, _ = changed(state, {"evict_share": 0.9})
    assert more is not None
    assert len(outcome(more).evicted) > len(outcome(state).evicted)
    assert state.settings.window_tokens == 4096


def test_a_longer_block_takes_more_of_the_window() -> None:
    state = long_talk().state
    longer, why = changed(state, {}, Grown("human", 1500))
    assert why == ""
    assert longer is not None
    assert 200 < total_tokens(longer) - total_tokens(state) < 600
    same, _ = changed(state, {}, Grown("human", len("Ada.")))
    assert same == state
    longest, _ = changed(state, {}, Grown("human", 1900))
    assert longest is not None
    assert total_tokens(longest) > total_tokens(longer)


@pytest.mark.parametrize(
    ("settings", "block", "says"),
    [
        ({"reserve_tokens": 5000}, None, "must be smaller than the window"),
        ({"warn_share": 1.5}, None, "Warning mark cannot be 150 %"),
        ({"warn_share": 0.9, "flush_share": 0.5}, None, "must not be above the flush mark"),
        ({"window_tokens": 600}, None, "The window is too small"),
        ({"window_tokens": -5}, None, "Window cannot be -5 tokens"),
        ({}, Grown("human", 9000), "may have 2,000 characters"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(settings: dict[str, Any], block: Grown | None, says: str) -> None:
    other, why = changed(script().state, settings, block)
    assert other is None
    assert says in why
    assert why.endswith(".")


# --- over time --------------------------------------------------------------------------------------------------


def row(bucket: int, **more: Any) -> dict[str, Any]:
    tokens = {"instructions_tokens": 100, "schemas_tokens": 0, "working_context_tokens": 20}
    given = {**tokens, "summary_tokens": 0, "messages_tokens": 50 + bucket, "template_tokens": 0}
    marks = {"limit_tokens": 900, "warn_tokens": 600, "flush_tokens": 900, "prefix_tokens": 100}
    where = {"n": bucket + 1, "bucket": bucket, "of": 1, "seq_from": 10 + bucket, "turn": 1, "step": bucket}
    return {**given, **marks, **where, "total_tokens": sum(given.values()), **more}


def test_the_chart_has_the_sections_that_hold_anything_and_every_mark_on_its_line() -> None:
    happened = [
        {"kind": "pressure_warned", "bucket": 0, "times": 1, "seq": 11},
        {"kind": "queue_flushed", "bucket": 1, "times": 2, "seq": 12},
        {"kind": "truncation_suspected", "bucket": 1, "times": 1, "seq": 13},
        {"kind": "queue_flushed", "bucket": 99, "times": 1, "seq": 99},
    ]
    found = usage([row(0), row(1, of=4)], happened, 5)
    assert [area.section for area in found.areas] == ["instructions", "working_context", "messages"]
    for at in range(2):
        assert sum(area.tokens[at] for area in found.areas) == 170 + at
    assert [(mark.kind, mark.x, mark.y) for mark in found.marks] == [
        ("pressure_warned", (1.5,), (600,)),
        ("queue_flushed", (2.5,), (900,)),
        ("truncation_suspected", (2,), (171,)),
    ]
    assert found.each == 4
    assert "the fullest of 4" in found.says[1]
    assert "5 requests" in found.alt
    assert set(MARKS) <= set(kinds.KINDS)


def test_a_chart_of_nothing_says_so() -> None:
    assert usage([], [], 0).alt == "No requests."
