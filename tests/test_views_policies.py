"""The figures of searches run ahead, placed texts and capped calls, and what placements take of a window."""

from typing import Any

from memgpt_core.events import FunctionReturned, HitsPlaced, Measured
from memgpt_core.settings import AgentSettings
from memgpt_core.views.policies import placed_here, policies
from memgpt_core.views.window_items import Item
from tests.event_builder import Script

NINETY = Measured(tokens=90)
NOTHING: dict[str, Any] = dict.fromkeys(
    (
        *("turns", "searches", "begun", "right", "saved_s", "placements"),
        *("placed_items", "placed_tokens", "capped_step", "capped_turn"),
    )
)


def test_what_is_off_and_never_was_on_has_no_figure() -> None:
    assert policies(NOTHING, AgentSettings()) == (
        [],
        ["searches run ahead", "the retrieval policy", "caps on memory calls"],
    )


def test_what_is_on_shows_its_zeros() -> None:
    settings = AgentSettings(prefetch="key_chain", retrieval="before", memory_calls_per_turn=4)
    figures, off = policies(NOTHING, settings)
    assert not off
    assert [figure.value for figure in figures] == ["0 right, 0 wasted", "0.00 s", "0 in 0 placements", "0", "0"]


def test_what_was_done_is_shown_though_it_is_off_now() -> None:
    counts = {
        **dict(turns=4, searches=8, begun=9, right=6, saved_s=1.2, placements=3),
        **dict(placed_items=7, placed_tokens=600, capped_step=1, capped_turn=2),
    }
    figures, off = policies(counts, AgentSettings())
    assert not off
    assert [figure.value for figure in figures] == ["6 right, 3 wasted", "1.20 s", "7 in 3 placements", "600", "3"]
    said = " ".join(figure.says for figure in figures)
    assert "Of all 8 searches of the agent 75 % had been begun" in said
    assert "300 ms a turn" in said
    assert "200 a placement, 150 a turn" in said
    assert "1 by the cap of a step, 2 by that of a turn (now: no cap)" in said


def test_placements_are_named_with_their_tokens() -> None:
    script = Script(settings=AgentSettings(window_tokens=4096)).trigger("hi")
    placed = HitsPlaced(
        why="before",
        query="hi",
        text="…",
        holds=("p1", "p2"),
        budget_tokens=400,
        mode="words",
        measured=Measured(tokens=90),
    )
    script.add(placed)
    id = f"m{script.seq}"
    items = [Item(id, id, "messages", "Placed", "user", 1, 100, 0.02, "…")]
    assert placed_here(script.state, items) == (
        f"Placed unasked by the retrieval policy: 100 tokens, 2.4 % of the window: {id} in turn 1 "
        "(2 texts, 100 tokens)."
    )
    assert not placed_here(script.state, [])


def test_a_capped_call_does_not_count_as_made() -> None:
    script = Script().trigger("hi").prompt()
    refused = FunctionReturned(
        call_id="c", name="note_list", arguments={}, ok=False, value="Not run", heartbeat=True, capped="step"
    )
    script.add(refused)
    assert (script.state.calls, script.state.failed_calls, script.state.step_calls) == (1, 1, 0)
