"""What the next flush would do, and what would happen under other rules; worked out without a model call.

Pure: a state and some changes give another state, and the queue manager's own rules are asked about it. What no
rule can tell before a model has written it, the length of the next summary, is assumed and said.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from memgpt_core.prompt import render_block, scaled
from memgpt_core.queue_manager import decide, evict, fixed_tokens, refusal, summary_cap_tokens, total_tokens
from memgpt_core.settings import AgentSettings
from memgpt_core.state import State
from memgpt_core.tokens import estimate
from memgpt_core.views.changes import label, text
from memgpt_core.views.window import Gauge, gauge

FIELDS = ("window_tokens", "reserve_tokens", "warn_share", "flush_share", "evict_share", "strategy")
"""The settings that can be asked about."""

STRATEGIES = {
    "summarise_recursively": "Summarise",
    "summarise_and_archive": "Summarise and archive",
    "archive_verbatim": "Archive word for word",
    "drop_with_notice": "Drop with a notice",
}
"""What becomes of what leaves, in words. All of it stays in recall storage whichever is chosen."""

RATE_CHARS = 80
"""A shorter text says little about how many tokens a longer one has."""

_PROSE = "The user likes long walks by the sea and reads a book a week, mostly novels by women. "

EXCHANGES_MOST = 8
"""Over how many of the last turns an exchange's size is averaged."""

_ACTS = {
    "pass": "Nothing happens before the next step.",
    "warn": "The agent is warned before the next step.",
    "flush": "The oldest messages leave before the next step.",
}


class Grown(NamedTuple):
    """A block as it would be: its label, and how many characters its text has."""

    label: str
    chars: int


class Outcome(NamedTuple):
    """What would be.

    Attributes:
        says: what the queue manager would do before the next step.
        evicted: ids that would leave if a flush came now, oldest first.
        freed: their tokens.
        summary_tokens: what the summary is assumed to take after it.
        after: the whole prompt after such a flush, in tokens.
        stays: ids that would stay.
        exchanges_to_warn, exchanges_to_flush: how many exchanges of the usual size fit before; None without any.
    """

    gauge: Gauge
    act: str
    says: str
    evicted: tuple[str, ...]
    freed: int
    summary_tokens: int
    after: int
    stays: tuple[str, ...]
    exchange_tokens: int
    exchanges_to_warn: int | None
    exchanges_to_flush: int | None


def outcome(state: State) -> Outcome:
    """What the queue manager would do with this state, and what a flush would take if it came now."""
    level, decision, gone = gauge(state), decide(state), evict(state)
    leaving = frozenset(gone)
    freed = scaled(state, sum(entry.tokens for entry in state.queue if entry.id in leaving))
    present = scaled(state, state.summary.tokens) if state.summary else 0
    summary = _assumed_summary(state) if gone else present
    usual = exchange_tokens(state)
    return Outcome(
        gauge=level,
        act=decision.act,
        says=_ACTS[decision.act],
        evicted=gone,
        freed=freed,
        summary_tokens=summary,
        after=total_tokens(state) - freed - present + summary,
        stays=tuple(entry.id for entry in state.queue if entry.id not in leaving),
        exchange_tokens=usual,
        exchanges_to_warn=max(0, level.warn - level.used) // usual if usual else None,
        exchanges_to_flush=max(0, level.flush - level.used) // usual if usual else None,
    )


def assumption(state: State) -> str:
    """What the figures take for granted, in a sentence."""
    if state.summary:
        return (
            f"Assumes that the next summary takes as much as the present one, {scaled(state, state.summary.tokens):,} "
            "tokens: how long it really gets, only the model can say. No model is called for this."
        )
    return (
        f"There is no summary yet, so the next one is assumed to take the most it may, {summary_cap_tokens(state):,} "
        "tokens. No model is called for this."
    )


def exchange_tokens(state: State) -> int:
    """What a turn usually adds to the queue, in tokens: the mean over the newest whole ones; 0 without any."""
    sizes: dict[int, int] = {}
    for entry in state.queue:
        if not state.turn_open or entry.turn < state.turn:
            sizes[entry.turn] = sizes.get(entry.turn, 0) + entry.tokens
    newest = [sizes[turn] for turn in sorted(sizes)[-EXCHANGES_MOST:]]
    return scaled(state, round(sum(newest) / len(newest))) if newest else 0


def changed(state: State, settings: Mapping[str, Any], block: Grown | None = None) -> tuple[State | None, str]:
    """The state under other rules and with a longer block; or None and a sentence on why it cannot be."""
    values = {**state.settings.model_dump(), **settings}
    try:
        wanted = AgentSettings.model_validate(values)
    except ValidationError as error:
        return None, " ".join(_sentence(item, values) for item in error.errors(include_url=False))
    other = state.model_copy(update={"settings": wanted})
    if block is not None:
        grown = state.blocks[block.label]
        if block.chars > grown.limit_chars:
            return None, (
                f"Block '{block.label}' may have {grown.limit_chars:,} characters and would have {block.chars:,}. "
                "Raise its limit on the core memory page first."
            )
        tokens = grown_tokens(state, block)
        other = other.model_copy(update={"blocks": {**state.blocks, block.label: grown._replace(tokens=tokens)}})
    refused = refusal(fixed_tokens(other), wanted)
    return (None, refused) if refused else (other, "")


def grown_tokens(state: State, block: Grown) -> int:
    """Tokens of a block whose text has another length: what is written now, at the rate of characters it has.

    A text too short to have a rate of its own gets that of English prose.
    """
    before = state.blocks[block.label]
    own = len(before.value) >= RATE_CHARS
    written = before.value if own else _PROSE
    rate = estimate(written) / len(written)
    if own and state.counted_by:
        # In the unit of the present counts, which a model's own vocabulary made.
        rate *= before.tokens / estimate(render_block(before))
    return max(1, before.tokens + round((block.chars - len(before.value)) * rate))


def _sentence(item: Any, values: Mapping[str, Any]) -> str:
    said = item["msg"].removeprefix("Value error, ")
    if not item["loc"]:
        return f"{said[:1].upper()}{said[1:]}."
    field = str(item["loc"][0])
    return f"{label(field)} cannot be {text(field, values[field])}: {said.replace('Input should', 'it should')}."


def _assumed_summary(state: State) -> int:
    return scaled(state, state.summary.tokens) if state.summary else summary_cap_tokens(state)
