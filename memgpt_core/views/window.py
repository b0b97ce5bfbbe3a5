"""The window as sizes: how full main context is, against which marks, and what fills it.

Reads the state alone. Decides nothing: the marks are the settings', the counts the queue manager's.
"""

from typing import Literal, NamedTuple

from memgpt_core.prompt import sections
from memgpt_core.queue_manager import total_tokens
from memgpt_core.state import State
from memgpt_core.views.palette import HUES

Pressure = Literal["calm", "above the warning mark", "above the flush mark"]


class Gauge(NamedTuple):
    """How full the window is, all in tokens; `free` is what fits before the flush mark."""

    used: int
    window: int
    reserve: int
    limit: int
    warn: int
    flush: int
    free: int
    pressure: Pressure
    says: str


class Segment(NamedTuple):
    """One section of main context; `share` is of the whole window, from 0 to 1."""

    key: str
    label: str
    mark: str
    tokens: int
    share: float


def gauge(state: State) -> Gauge:
    """Main context against the window, the reply reserve and the two marks."""
    settings, used = state.settings, total_tokens(state)
    free = max(0, settings.flush_tokens - used)
    pressure: Pressure = "calm"
    if used > settings.flush_tokens:
        pressure = "above the flush mark"
        says = "Above the flush mark: before the next step the oldest messages leave for recall storage."
    elif used > settings.warn_tokens:
        pressure = "above the warning mark"
        told = "the agent was warned" if state.warned else "the agent will be warned before the next step"
        says = f"Above the warning mark: {told}. {free:,} tokens until the oldest messages leave."
    else:
        says = f"{settings.warn_tokens - used:,} tokens until the warning, {free:,} until the oldest messages leave."
    return Gauge(
        used=used,
        window=settings.window_tokens,
        reserve=settings.reserve_tokens,
        limit=settings.limit_tokens,
        warn=settings.warn_tokens,
        flush=settings.flush_tokens,
        free=free,
        pressure=pressure,
        says=says,
    )


def segments(sizes: dict[str, int], window_tokens: int) -> list[Segment]:
    """The sections that hold anything, in prompt order."""
    return [
        Segment(key, HUES[key].label, HUES[key].mark, tokens, tokens / window_tokens)
        for key, tokens in sizes.items()
        if tokens
    ]


def segments_now(state: State) -> list[Segment]:
    """The sections of the prompt that would be sent now."""
    return segments(sections(state), state.settings.window_tokens)
