"""What a running turn is doing, as pages poll it: the phase, for how long, and what has streamed in.

Nothing here is a fact; it vanishes with the step. Written by the turn's thread, read by any.
"""

import time
from typing import NamedTuple

from memgpt_core.llm.base import Phase


class Activity(NamedTuple):
    """What the agent is doing, for how many seconds, and with what."""

    phase: Phase
    since_s: float
    detail: str


class Partial(NamedTuple):
    """What has streamed in of the reply that is being written; it is no fact yet and vanishes with the step."""

    text: str
    thoughts: str


class Watch:
    """Progress of the running turn, as pages poll it. `version` changes with everything they could show."""

    def __init__(self) -> None:
        self.version = 0
        self._stopped = False
        self._phase: Phase = "idle"
        self._detail = ""
        self._since = time.monotonic()
        self._text: list[str] = []
        self._thoughts: list[str] = []

    def phase(self, phase: Phase, detail: str = "") -> None:
        """A new phase; what was streamed before it belongs to the step that is over."""
        if phase in ("waiting", "idle"):
            self._text, self._thoughts = [], []
        self._phase, self._detail, self._since = phase, detail, time.monotonic()
        self.version += 1

    def text(self, piece: str) -> None:
        """More visible text."""
        self._text.append(piece)
        self.version += 1

    def thought(self, piece: str) -> None:
        """More inner monologue."""
        self._thoughts.append(piece)
        self.version += 1

    def stopped(self) -> bool:
        """Whether to stop."""
        return self._stopped

    def stop(self, wanted: bool) -> None:
        """Ask the running model call to stop, or forget that it was asked."""
        self._stopped = wanted
        self.version += 1

    def activity(self) -> Activity:
        """The present phase."""
        return Activity(self._phase, time.monotonic() - self._since, self._detail)

    def partial(self) -> Partial:
        """What has streamed in so far."""
        return Partial("".join(self._text), "".join(self._thoughts))
