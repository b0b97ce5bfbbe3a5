"""What the switches for throughput did, as figures: searches run ahead, texts placed unasked, calls refused by a cap.

Takes counts over everything up to the point shown and the settings in force there. What is off and never was on has
no figure but a word, so that nobody looks for its zeros.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from memgpt_core.settings import AgentSettings
from memgpt_core.state import State
from memgpt_core.views.changes import PREFETCHES, RETRIEVALS
from memgpt_core.views.lanes import counted
from memgpt_core.views.residency import Figure
from memgpt_core.views.timing import seconds_text
from memgpt_core.views.window_items import Item


def policies(counts: Mapping[str, Any], settings: AgentSettings) -> tuple[list[Figure], list[str]]:
    """(figures, the names of what is off and did nothing).

    Keys of `counts`: `turns`, `searches`, `begun` and `right` (searches run ahead, and those of them that were used),
    `saved_s`, `placements`, `placed_items`, `placed_tokens`, `capped_step`, `capped_turn`.
    """
    parts = (
        ("searches run ahead", settings.prefetch != "off", counts["begun"], _prefetch),
        ("the retrieval policy", settings.retrieval != "off", counts["placements"], _placed),
        (
            "caps on memory calls",
            bool(settings.memory_calls_per_step or settings.memory_calls_per_turn),
            counts["capped_step"] or counts["capped_turn"],
            _capped,
        ),
    )
    figures = [figure for _, on, did, draw in parts if on or did for figure in draw(counts, settings)]
    return figures, [name for name, on, did, _ in parts if not on and not did]


def _prefetch(counts: Mapping[str, Any], settings: AgentSettings) -> list[Figure]:
    begun, right, searches = counts["begun"] or 0, counts["right"] or 0, counts["searches"] or 0
    saved, turns = counts["saved_s"] or 0.0, counts["turns"] or 0
    mode = PREFETCHES[settings.prefetch][0].lower()
    share = 100 * right / searches if searches else 0
    return [
        Figure(
            "Searches run ahead",
            f"{right:,} right, {max(0, begun - right):,} wasted",
            f"Of {begun:,} begun while the model wrote (now: {mode}), those it asked for to the letter, with nothing "
            f"changed meanwhile. Of all {searches:,} searches of the agent {share:.0f} % had been begun when it asked.",
        ),
        Figure(
            "Seconds saved by them",
            seconds_text(saved),
            f"What the {right:,} had taken by the time they were asked for: "
            f"{1000 * saved / turns if turns else 0:,.0f} ms a turn, over {counted(turns, 'turn')}.",
        ),
    ]


def _placed(counts: Mapping[str, Any], settings: AgentSettings) -> list[Figure]:
    placements, tokens, turns = counts["placements"] or 0, counts["placed_tokens"] or 0, counts["turns"] or 0
    return [
        Figure(
            "Texts placed unasked",
            f"{counts['placed_items'] or 0:,} in {counted(placements, 'placement')}",
            f"Put into the queue by the retrieval policy (now: {RETRIEVALS[settings.retrieval][0].lower()}), not by a "
            "call of the agent. They are page ins too, and counted among them.",
        ),
        Figure(
            "Tokens they took",
            f"{tokens:,}",
            f"{tokens / placements if placements else 0:,.0f} a placement, {tokens / turns if turns else 0:,.0f} a "
            f"turn; a placement may take {settings.retrieval_tokens:,}.",
        ),
    ]


def _capped(counts: Mapping[str, Any], settings: AgentSettings) -> list[Figure]:
    step, turn = counts["capped_step"] or 0, counts["capped_turn"] or 0
    caps = ", ".join(
        f"{most:,} a {what}"
        for most, what in ((settings.memory_calls_per_step, "step"), (settings.memory_calls_per_turn, "turn"))
        if most
    )
    return [
        Figure(
            "Memory calls refused by a cap",
            f"{step + turn:,}",
            f"{step:,} by the cap of a step, {turn:,} by that of a turn (now: {caps or 'no cap'}). The model was told "
            "each time.",
        )
    ]


def placed_here(state: State, items: Sequence[Item]) -> str:
    """What the retrieval policy's placements take of a window, one by one, as a sentence; empty when it holds none."""
    tokens = {item.key: item.tokens for item in items}
    placed = [entry for entry in state.queue if entry.kind == "hits_placed" and entry.id in tokens]
    if not placed:
        return ""
    whole = sum(tokens[entry.id] for entry in placed)
    each = ", ".join(
        f"{entry.id} in turn {entry.turn:,} ({counted(len(entry.holds), 'text')}, {tokens[entry.id]:,} tokens)"
        for entry in placed
    )
    share = 100 * whole / state.settings.window_tokens
    return f"Placed unasked by the retrieval policy: {whole:,} tokens, {share:.1f} % of the window: {each}."
