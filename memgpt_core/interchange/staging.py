"""Writing down a life that was lived elsewhere: events through the real Journal, each at its own time.

The journal stamps, checks and folds as it always does; only its lines reach the disk in large pieces, since the log is
made aside and nobody is told of an event before all of them are there.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from memgpt_core.events import Event
from memgpt_core.journal import Journal
from memgpt_core.log import Log
from memgpt_core.state import INITIAL, State

PIECE = 2_000
"""Lines written and synced at once."""


class _StagedLog:
    """A log whose last lines wait in memory."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._lines: list[str] = []
        self._events: list[Event] = []

    @property
    def last_seq(self) -> int:
        return self._log.last_seq + len(self._lines)

    def append(self, lines: Sequence[str]) -> None:
        """Keep lines until there is a piece of them."""
        self._lines += lines

    def read(self, seq: int) -> Event:
        waiting = seq - self._log.last_seq - 1
        return self._events[waiting] if waiting >= 0 else self._log.read(seq)

    def keep(self, before: State, event: Event) -> None:
        """A journal's sink: what waits can be read too."""
        self._events.append(event)
        if len(self._events) >= PIECE:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        self._log.append(self._lines)
        self._lines, self._events = [], []


class Life:
    """A log being written, one event after the other, none earlier than the one before it."""

    def __init__(self, log: Log, state: State = INITIAL) -> None:
        self._staged = _StagedLog(log)
        self._now = state.at
        self._journal = Journal(self._staged, state, clock=lambda: self._now, sinks=(self._staged.keep,))

    @property
    def state(self) -> State:
        """After the last event."""
        return self._journal.state

    def add(self, at: datetime, what: Event | Callable[[State], Event]) -> Any:
        """Commit an event, or what is decided on the state before it, at its time; the event as stamped."""
        self._now = at
        return self._journal.commit(what)

    def read(self, seq: int) -> Event:
        """One event."""
        return self._staged.read(seq)

    def end(self) -> None:
        """Write what still waits."""
        self._staged.flush()
