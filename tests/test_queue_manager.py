"""When to warn, when to flush, what leaves, and how a message too large for the window is queued."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memgpt_core.decisions import CALL_CAP
from memgpt_core.events import Call, FunctionReturned, ModelReplied, PressureWarned, TriggerReceived
from memgpt_core.prompt import brought_back, clipped, message_of
from memgpt_core.queue_manager import (
    MIN_ROOM_TOKENS,
    WARNING_TOKENS,
    decide,
    evict,
    fit,
    fit_again,
    fixed_tokens,
    kept_by_pins,
    message_cap_tokens,
    pinned_tokens,
    refusal,
    room_tokens,
    summary_cap_tokens,
    total_tokens,
)
from memgpt_core.settings import AgentSettings
from memgpt_core.state import Block, Entry, State, Summary
from memgpt_core.tokens import count, count_message

SETTINGS = AgentSettings(window_tokens=4096, reserve_tokens=96)
LIMIT = 4000
WARN = 2800


def entry(number: int, tokens: int, turn: int, *, step: int = 1, kind: str = "trigger_received") -> Entry:
    return Entry(f"m{number}", number, tokens, kind, turn, step)


def a_state(*queue: Entry, fixed: int = 1000, **fields: Any) -> State:
    """A state whose fixed parts take `fixed` tokens, in four unequal pieces."""
    settings_ = fields.pop("settings", SETTINGS)
    block = Block("human", "", "", 2000, False, 4, "agent", fixed - 900)
    return State(
        settings=settings_,
        instructions_tokens=500,
        schemas_tokens=390,
        template_tokens=10,
        blocks={"human": block},
        queue=queue,
        turn=max((one.turn for one in queue), default=0),
        **fields,
    )


def filled(total: int, **fields: Any) -> State:
    """A state whose whole prompt has `total` tokens: two old exchanges and the rest in the last one."""
    rest = total - 1000 - 200
    return a_state(entry(1, 100, 1), entry(2, 100, 2), entry(3, rest, 3), **fields)


# --- sizes ----------------------------------------------------------------------------------------------------


def test_the_sizes_add_up() -> None:
    state = a_state(entry(1, 100, 1), entry(2, 50, 1), summary=Summary(9, 70, 3))
    assert fixed_tokens(state) == 1000
    assert total_tokens(state) == 1220
    assert room_tokens(state) == LIMIT - 1000
    assert message_cap_tokens(state) == 1500
    assert summary_cap_tokens(state) == 600


def test_a_room_is_never_negative_and_the_caps_keep_a_floor() -> None:
    state = a_state(fixed=9000)
    assert room_tokens(state) == 0
    assert message_cap_tokens(state) == MIN_ROOM_TOKENS // 2
    assert summary_cap_tokens(state) == MIN_ROOM_TOKENS // 4


# --- the two marks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total", "warned", "act"),
    [
        (WARN - 1, False, "pass"),
        (WARN, False, "pass"),
        (WARN + 1, False, "warn"),
        (WARN + 1, True, "pass"),
        (LIMIT - WARNING_TOKENS, False, "warn"),
        (LIMIT - WARNING_TOKENS + 1, False, "pass"),
        (LIMIT, True, "pass"),
        (LIMIT, False, "pass"),
        (LIMIT + 1, True, "flush"),
        (LIMIT + 1, False, "flush"),
    ],
)
def test_below_at_and_above_both_marks(total: int, warned: bool, act: str) -> None:
    decision = decide(filled(total, warned=warned))
    assert (decision.act, decision.tokens) == (act, total)
    assert bool(decision.evict) == (act == "flush")


def test_above_a_flush_mark_below_the_limit_the_warning_still_comes_first() -> None:
    low = SETTINGS.model_copy(update={"flush_share": 0.8})
    assert low.flush_tokens == 3200
    assert decide(filled(3300, settings=low)).act == "warn"
    assert decide(filled(3300, settings=low, warned=True)).act == "flush"
    assert decide(filled(LIMIT - 10, settings=low)).act == "flush", "the warning itself would not fit any more"


def test_one_giant_message_is_flushed_for_without_a_warning() -> None:
    """From below the warning mark to above the flush mark in one message: there is no room to warn in."""
    before = filled(WARN)
    after = before.model_copy(update={"queue": (*before.queue, entry(4, 1500, 4)), "turn": 4, "turn_open": True})
    assert decide(before).act == "pass"
    assert not after.warned
    assert decide(after).act == "flush"
    assert "m4" not in decide(after).evict


@given(st.integers(0, 10**7), st.integers(1, 10**7))
def test_a_warning_is_never_larger_than_the_room_kept_for_it(tokens: int, flush: int) -> None:
    warning = PressureWarned(tokens=tokens, warn_tokens=1, flush_tokens=flush)
    assert count_message(message_of(warning)) <= WARNING_TOKENS


# --- what leaves --------------------------------------------------------------------------------------------------


def exchanges(*sizes: int, first: int = 1) -> list[Entry]:
    """An exchange a size: a trigger, a reply and its result, all of one turn."""
    made = []
    for turn, size in enumerate(sizes, first):
        n = 10 * turn
        made += [
            entry(n, size - 20, turn, step=0),
            entry(n + 1, 15, turn, kind="model_replied"),
            entry(n + 2, 5, turn, kind="function_returned"),
        ]
    return made


def left(state: State, gone: tuple[str, ...]) -> list[Entry]:
    return [one for one in state.queue if one.id not in gone]


def test_whole_exchanges_leave_oldest_first() -> None:
    state = a_state(*exchanges(700, 700, 700, 700))
    gone = evict(state)
    assert gone == ("m10", "m11", "m12", "m20", "m21", "m22", "m30", "m31", "m32")
    assert {one.turn for one in left(state, gone)} == {4}


@pytest.mark.parametrize(("share", "turns"), [(0.01, 1), (0.2, 1), (0.25, 2), (0.5, 3), (1.0, 5)])
def test_evict_share_is_a_share_of_the_queues_room(share: float, turns: int) -> None:
    settings_ = SETTINGS.model_copy(update={"evict_share": share})
    state = a_state(*exchanges(600, 600, 600, 100, 100, 100), settings=settings_)
    assert {one.turn for one in state.queue if one.id in evict(state)} == set(range(1, turns + 1))


def test_as_much_leaves_as_brings_the_prompt_under_the_mark_with_the_largest_summary() -> None:
    settings_ = SETTINGS.model_copy(update={"evict_share": 0.01})
    state = a_state(*exchanges(*[500] * 8), settings=settings_, summary=Summary(1, 300, 5))
    freed = sum(one.tokens for one in state.queue if one.id in evict(state))
    assert total_tokens(state) - 300 - freed + summary_cap_tokens(state) <= settings_.flush_tokens
    assert freed == 2000, "and not an exchange more than that"


def test_between_turns_the_last_exchange_stays() -> None:
    state = a_state(*exchanges(3500))
    assert evict(state) == ()
    assert evict(a_state()) == ()


def test_in_an_open_turn_every_past_exchange_may_leave_but_not_its_trigger() -> None:
    state = a_state(*exchanges(1800), entry(50, 1800, 2, step=0), turn_open=True)
    assert evict(state) == ("m10", "m11", "m12")


def long_turn(steps: int, size: int) -> State:
    """One open turn of many steps, each a reply with two calls and their results."""
    queue = [entry(1, 50, 1, step=0)]
    for step in range(1, steps + 1):
        n = 10 * step
        queue += [
            entry(n, size, 1, step=step, kind="model_replied"),
            entry(n + 1, size, 1, step=step, kind="function_returned"),
            entry(n + 2, size, 1, step=step, kind="function_returned"),
        ]
    return a_state(*queue, turn_open=True, step=steps)


def test_a_long_turn_leaves_by_whole_steps_and_keeps_its_trigger_and_its_last_step() -> None:
    state = long_turn(10, 110)
    gone = evict(state)
    assert "m1" not in gone
    assert gone[:6] == ("m10", "m11", "m12", "m20", "m21", "m22")
    steps = {one.step for one in state.queue if one.id in gone}
    assert not steps & {one.step for one in left(state, gone) if one.step}
    assert 10 not in steps


@given(
    st.lists(st.tuples(st.integers(1, 400), st.integers(1, 4)), min_size=1, max_size=25),
    st.booleans(),
    st.sampled_from([0.05, 0.3, 0.5, 1.0]),
)
def test_no_flush_parts_a_call_from_its_result(shape: list[tuple[int, int]], turn_open: bool, share: float) -> None:
    queue: list[Entry] = []
    turn, step = 0, 0
    for number, (size, messages) in enumerate(shape):
        if messages == 1 or not turn:
            turn, step = turn + 1, 0
            queue.append(entry(100 * number, size, turn, step=0))
        step += 1
        queue.append(entry(100 * number + 1, size, turn, step=step, kind="model_replied"))
        for n in range(2, messages + 1):
            queue.append(entry(100 * number + n, size, turn, step=step, kind="function_returned"))
    settings_ = SETTINGS.model_copy(update={"evict_share": share})
    state = a_state(*queue, turn_open=turn_open, step=step, settings=settings_)
    gone = evict(state)
    groups: dict[tuple[int, int], set[bool]] = {}
    for one in state.queue:
        if one.kind != "trigger_received":
            groups.setdefault((one.turn, one.step), set()).add(one.id in gone)
    assert all(len(fates) == 1 for fates in groups.values())
    assert [one.id for one in state.queue if one.id in gone] == sorted(gone, key=lambda id: int(id[1:]))
    if turn_open:
        assert not any(one.id in gone for one in state.queue if one.turn == turn and one.kind == "trigger_received")


def test_a_requeued_message_belongs_to_the_turn_it_came_back_in() -> None:
    back = entry(1, 100, 3, step=1, kind="message_requeued")
    state = a_state(*exchanges(900, 900), *exchanges(900, first=3), back)
    assert "m1" not in evict(state)


# --- what a person pinned -----------------------------------------------------------------------------------------


def test_a_pinned_message_stays_and_the_rest_of_its_exchange_leaves() -> None:
    state = a_state(*exchanges(700, 700, 700, 700), pinned=("m10",))
    assert evict(state) == ("m11", "m12", "m20", "m21", "m22", "m30", "m31", "m32")
    assert pinned_tokens(state) == 680


@pytest.mark.parametrize("pinned", ["m11", "m12"])
def test_a_pinned_call_keeps_its_result_and_a_pinned_result_its_call(pinned: str) -> None:
    state = a_state(*exchanges(700, 700, 700, 700), pinned=(pinned,))
    assert evict(state)[:2] == ("m10", "m20")
    assert kept_by_pins(state) == {"m11", "m12"}
    assert pinned_tokens(state) == 20


def test_a_pinned_step_of_a_long_turn_stays_whole() -> None:
    state = long_turn(10, 110).model_copy(update={"pinned": ("m11",)})
    assert evict(state)[:3] == ("m20", "m21", "m22")


def test_a_pinned_message_that_came_back_stays_alone() -> None:
    back = entry(1, 100, 1, step=1, kind="message_requeued")
    state = a_state(*exchanges(900), back, *exchanges(900, 900, first=2), pinned=("m1",))
    assert kept_by_pins(state) == {"m1"}


def test_where_everything_is_pinned_nothing_leaves() -> None:
    state = a_state(*exchanges(1000, 1000), pinned=("m10", "m11"))
    assert evict(state) == ()


def test_a_window_full_of_pins_is_refused_with_the_numbers() -> None:
    small = AgentSettings(window_tokens=2048, reserve_tokens=248)
    assert refusal(1000, small, pinned=800 - MIN_ROOM_TOKENS) == ""
    assert "pinned messages 545," in refusal(1000, small, pinned=801 - MIN_ROOM_TOKENS)


# --- refusal ------------------------------------------------------------------------------------------------------


def test_a_window_that_cannot_hold_the_agent_is_refused_with_the_numbers() -> None:
    small = AgentSettings(window_tokens=2048, reserve_tokens=248, flush_share=0.9)
    assert small.flush_tokens == 1620
    assert refusal(1620 - MIN_ROOM_TOKENS, small) == ""
    said = refusal(1620 - MIN_ROOM_TOKENS + 1, small)
    for number in ("1365", str(MIN_ROOM_TOKENS), "2048", "248", "90%", "1620"):
        assert number in said


# --- fit: one message's share of the window -------------------------------------------------------------------------

NOTE = count(clipped("x" * 100_000, (1, 1)))
"""What the note between head and tail takes at most, in tokens, beside the two characters."""

characters = st.sampled_from(["word ", "x", "漢", "ü", "\n", "\r", "\t", "\x00", '"', "\\", "1", "😀", " ", "{}", "İ"])
long_texts = st.builds(
    lambda parts: "".join(piece * times for piece, times in parts),
    st.lists(st.tuples(characters, st.sampled_from([1, 7, 300, 5000])), min_size=1, max_size=5),
)


@settings(max_examples=30, deadline=None)
@given(long_texts, st.sampled_from([1000, 2600, 3900]))
@pytest.mark.parametrize("what", ["trigger", "reply", "plain", "result"])
def test_no_text_takes_more_than_its_share_by_more_than_the_note(what: str, text: str, fixed: int) -> None:
    state = a_state(fixed=fixed)
    event: Any = {
        "trigger": TriggerReceived(cause="user", text=text),
        "reply": ModelReplied(purpose="turn", calls=(Call(id="c", name="note_write", arguments={"text": text}),)),
        "plain": ModelReplied(purpose="turn", content=text),
        "result": FunctionReturned(call_id="c", name="note_read", arguments={}, ok=True, value=text, heartbeat=False),
    }[what]
    made = fit(state, event)
    assert made.measured.tokens == count_message(message_of(made, clip=made.clip))
    assert made.measured.tokens <= message_cap_tokens(state) + NOTE
    if made.clip is None:
        assert made.measured.tokens <= message_cap_tokens(state)
    else:
        shown = clipped(text, made.clip)
        assert shown.startswith(text[: made.clip.head_chars])
        assert shown.endswith(text[len(text) - made.clip.tail_chars :])
        assert 0 <= made.clip.head_chars + made.clip.tail_chars <= len(text)
    assert message_of(made) == message_of(event), "the text itself is stored whole"


@settings(max_examples=15, deadline=None)
@given(long_texts, st.booleans())
@pytest.mark.parametrize("what", ["trigger", "reply", "plain", "result"])
def test_an_edit_or_a_return_takes_no_more_than_a_new_message(what: str, text: str, back: bool) -> None:
    state = a_state(fixed=2600)
    event: Any = {
        "trigger": TriggerReceived(cause="user", text="a"),
        "reply": ModelReplied(purpose="turn", calls=(Call(id="c", name="send_message", arguments={"message": "a"}),)),
        "plain": ModelReplied(purpose="turn", content="a"),
        "result": FunctionReturned(call_id="c", name="note_read", arguments={}, ok=True, value="a", heartbeat=False),
    }[what]
    clip, tokens = fit_again(state, event, text, back=back)
    assert tokens <= message_cap_tokens(state) + NOTE
    shown = brought_back(event, text=text, clip=clip) if back else message_of(event, text=text, clip=clip)
    assert tokens == count_message(shown)


def test_a_text_that_fits_is_left_alone() -> None:
    made = fit(a_state(), TriggerReceived(cause="user", text="hello"))
    assert made.clip is None
    assert made.measured.tokens == count_message(message_of(made))


def test_a_clip_keeps_as_much_as_reasonably_fits() -> None:
    state = a_state()
    made = fit(state, TriggerReceived(cause="user", text="some words " * 50_000))
    assert message_cap_tokens(state) * 0.6 <= made.measured.tokens <= message_cap_tokens(state)
    assert made.clip.head_chars > made.clip.tail_chars > 0


@pytest.mark.parametrize("arguments", [{"name": "n", "text": "some words here " * 400}, {"tags": ["some words"] * 600}])
@pytest.mark.parametrize("fixed", [1000, 2600])
def test_the_most_calls_that_one_reply_may_have_are_bounded_together(arguments: dict[str, Any], fixed: int) -> None:
    state = a_state(fixed=fixed)
    calls = tuple(Call(id=f"c{n}", name="archival_memory_insert", arguments=arguments) for n in range(CALL_CAP))
    made = fit(state, ModelReplied(purpose="turn", calls=calls))
    assert made.measured.tokens <= message_cap_tokens(state) + NOTE * CALL_CAP
