"""A prompt that the model server has cut, in sentences: what was seen, what it means, and what to do.

Reads the event alone; whether a prompt was cut was decided when the reply came.
"""

from datetime import datetime
from typing import Any, NamedTuple


class Cut(NamedTuple):
    """One suspected cut. `says` has the numbers, `means` the consequence, `do` the way out."""

    seq: int
    at: datetime
    turn: int
    step: int
    says: str
    means: str
    do: str


def cut(event: Any) -> Cut:
    """What a `truncation_suspected` tells a person."""
    missing = event.ours - event.server
    served = f" It serves this model with a window of {event.window_tokens:,} tokens." if event.window_tokens else ""
    smaller = f"set this agent's window to {event.window_tokens:,} tokens or less" if event.window_tokens else ""
    return Cut(
        seq=event.seq,
        at=event.at,
        turn=event.turn,
        step=event.step,
        says=(
            f"We sent {event.ours:,} tokens by our count; the server read {event.server:,}, "
            f"which is {missing:,} fewer.{served}"
        ),
        means=(
            "What the server left out is usually the oldest part, so the reply may have been written without the "
            "beginning of the conversation or of the instructions. This step teaches our token estimate nothing."
        ),
        do=(
            f"In Settings, {smaller or 'make the window of this agent smaller'}, or choose a model that is served with "
            "a larger one; then send the message again."
        ),
    )
