"""What the engine asks of a chat model: bytes of a request in, one finished reply out, progress on the way."""

from typing import Any, Literal, NamedTuple, Protocol

from memgpt_core.events import Call, Measured

Phase = Literal[
    "idle",
    "waiting",
    "loading the model",
    "reading the prompt",
    "generating",
    "running a function",
    "summarising",
    "stopping",
]
"""What a turn is doing, as a person reads it."""


class Reply(NamedTuple):
    """A finished reply. `calls` are the model's own, arguments unchecked; counts and seconds are the server's.

    `salvaged` and `calls_dropped` are set by a recording alone; the engine finds them out otherwise.
    """

    content: str
    thinking: str
    calls: tuple[Call, ...]
    done_reason: str
    measured: Measured
    salvaged: bool = False
    calls_dropped: int = 0


class Progress(Protocol):
    """Where a model reports while it works. Each method returns at once; `stopped` is asked between pieces."""

    def phase(self, phase: Phase, detail: str = "") -> None:
        """The turn entered this phase; `detail` names what, for example the function that runs."""

    def text(self, piece: str) -> None:
        """More of what the user will see."""

    def thought(self, piece: str) -> None:
        """More of the model's thinking or inner monologue."""

    def stopped(self) -> bool:
        """Whether a person asked to stop."""


class Stopped(Exception):
    """Raised by a model whose reply was stopped by a person; nothing of it is kept."""


class ChatModel(Protocol):
    """A source of replies.

    `chat` raises `ModelUnavailable` (or `ContextOverflow`) when no whole reply came, and `Stopped` when a
    person stopped it.
    """

    def chat(self, body: dict[str, Any], progress: Progress) -> Reply:
        """The reply to a request body (`prompt.Prompt.body`)."""
