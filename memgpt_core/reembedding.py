"""Embedding again what has no vector, in the background: how far it is, and what became of it.

Knows a run that says how far it is and gives an outcome; not what is embedded, nor by whom.
"""

import threading
from collections.abc import Callable
from typing import NamedTuple


class Reembedded(NamedTuple):
    """What became of a run: texts that got a vector, items still without one, and why; empty when none is left."""

    made: int
    left: int
    why: str


class Progress(NamedTuple):
    """A run: whether it goes on, how many of the texts are done, and its outcome once it is over."""

    running: bool
    made: int
    wanted: int
    outcome: Reembedded | None


Run = Callable[[Callable[[int, int], None]], Reembedded]
"""Given whom to tell (texts done, texts wanted)."""


class Reembedding:
    """One run at a time, in a thread of its own."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._view = Progress(running=False, made=0, wanted=0, outcome=None)

    def view(self) -> Progress:
        """The run that goes on, or the last one."""
        return self._view

    def start(self) -> None:
        """Begin; nothing when it runs already."""
        with self._lock:
            if self._view.running:
                return
            self._view = Progress(running=True, made=0, wanted=0, outcome=None)
        threading.Thread(target=self._embed, name="re-embedding", daemon=True).start()

    def _embed(self) -> None:
        outcome = Reembedded(0, 0, "Embedding broke off; start it again.")
        try:
            outcome = self._run(self._tell)
        finally:
            self._view = self._view._replace(running=False, outcome=outcome)

    def _tell(self, made: int, wanted: int) -> None:
        self._view = self._view._replace(made=made, wanted=wanted)
