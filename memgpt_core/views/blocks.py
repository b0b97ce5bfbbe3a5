"""Core memory blocks as meters: text, how full, who wrote it last."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from memgpt_core.events import Event
from memgpt_core.state import State

AUTHORS = {"agent": "the agent", "human": "you", "engine": "the engine", "import": "an import"}
"""How an author is named on screen."""


class Meter(NamedTuple):
    """A block and its budget.

    Attributes:
        seq: the event that wrote this version; an edit is based on it.
        full: characters over the limit on characters, from 0 to 1.
        tokens: what the block takes of main context, its label and description included.
        window_share: those tokens over the window, from 0 to 1.
    """

    label: str
    description: str
    value: str
    seq: int
    author: str
    read_only: bool
    chars: int
    limit_chars: int
    full: float
    tokens: int
    window_share: float


class Version(NamedTuple):
    """One text a block had."""

    seq: int
    text: str
    author: str
    reason: str


def meters(state: State) -> list[Meter]:
    """The blocks in the order they stand in main context."""
    return [
        Meter(
            label=block.label,
            description=block.description,
            value=block.value,
            seq=block.seq,
            author=AUTHORS[block.author],
            read_only=block.read_only,
            chars=len(block.value),
            limit_chars=block.limit_chars,
            full=min(1.0, len(block.value) / max(1, block.limit_chars)),
            tokens=block.tokens,
            window_share=block.tokens / state.settings.window_tokens,
        )
        for block in state.blocks.values()
    ]


def versions(history: Sequence[Event]) -> list[Version]:
    """A block's texts, in the order of its history (newest first)."""
    return [_version(event) for event in history]


def _version(event: Any) -> Version:
    text = event.after if event.kind == "working_context_edited" else event.value
    return Version(event.seq, text, AUTHORS[event.author], getattr(event, "reason", ""))
