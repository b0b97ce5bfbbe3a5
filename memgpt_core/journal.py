"""The write door: every change to an agent is one `commit`, in one order, under one lock.

Stamps an event, folds it, appends it synced to the log, publishes the new state and hands the event to the
stores. Knows no model, no page and no store by name.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from memgpt_core.errors import StaleEdit
from memgpt_core.events import Event, encode
from memgpt_core.state import INITIAL, State, apply, place

Decide = Callable[[State], Event | None]
"""A decision made on the newest state, under the lock; None commits nothing."""


class Lines(Protocol):
    """What the journal needs of a log."""

    @property
    def last_seq(self) -> int:
        """Seq of the last event."""

    def append(self, lines: Sequence[str]) -> None:
        """Add whole lines, durably, or raise `LogClosed` with nothing added."""

    def read(self, seq: int) -> Event:
        """One event."""


class Sink(Protocol):
    """Who is told of each committed event, in order; runs under the lock, so it must be quick and never raise."""

    def __call__(self, before: State, event: Event) -> None:
        """`event` was committed on `before`."""


def utc_now() -> datetime:
    """The clock of real runs."""
    return datetime.now(UTC)


class Journal:
    """One agent's log, its newest state, and the only way to change either.

    Attributes:
        lock: re-entrant; hold it to make several commits one piece that nobody else's edit can enter.
    """

    def __init__(
        self,
        log: Lines,
        state: State = INITIAL,
        *,
        clock: Callable[[], datetime] = utc_now,
        sinks: Sequence[Sink] = (),
    ) -> None:
        self.lock = threading.RLock()
        self._log = log
        self._state = state
        self._clock = clock
        self._sinks = tuple(sinks)

    @property
    def state(self) -> State:
        """The newest state. Frozen: take it once and read from it as long as you like."""
        return self._state

    def read(self, seq: int) -> Event:
        """One event of the log."""
        return self._log.read(seq)

    def commit(self, what: Event | Decide) -> Event | None:
        """Make `what` a fact: synced in the log, in the state, on its way to the stores.

        Returns:
            The event as stamped; None when a decision chose to commit nothing.

        Raises:
            StaleEdit: a human edit of a text that changed since.
            LogClosed: the log could not take it; nothing changed.
        """
        with self.lock:
            event = what(self._state) if callable(what) else what
            return self.commit_many([event])[0] if event is not None else None

    def commit_many(self, events: Sequence[Event]) -> list[Event]:
        """The same for several events with one write and one sync: all become facts or none.

        Raises:
            StaleEdit, LogClosed: as `commit`.
        """
        with self.lock:
            before = [self._state]
            stamped: list[Event] = []
            for event in events:
                _check_base(before[-1], event)
                event = self._stamp(before[-1], event)
                before.append(apply(before[-1], event))
                stamped.append(event)
            self._log.append([encode(event) for event in stamped])
            self._state = before[-1]
            for state, event in zip(before, stamped, strict=False):
                for sink in self._sinks:
                    sink(state, event)
            return stamped

    def _stamp(self, state: State, event: Event) -> Event:
        session, turn, step = place(state, event)
        # A clock set back must not make the log run backwards.
        at = max(self._clock(), state.at)
        header = {"seq": state.seq + 1, "at": at, "session": session, "turn": turn, "step": step}
        return event.model_copy(update=header)


_YOURS = {
    "working_context_edited": "after",
    "block_defined": "value",
    "block_renamed": "to",
    "block_deleted": "block",
}
"""What a person would lose with a refused change of a block, by its kind."""


def _check_base(state: State, event: Any) -> None:
    block = state.blocks.get(event.block) if event.kind in _YOURS else None
    if block is not None and event.based_on != block.seq:
        yours = getattr(event, _YOURS[event.kind])
        raise StaleEdit(f"Block '{event.block}'", current=block.value, current_seq=block.seq, yours=yours)


def states(start: State, events: Iterator[Event]) -> Iterator[tuple[State, Event]]:
    """Each event with the state it was committed on, from `start` on."""
    for event in events:
        yield start, event
        start = apply(start, event)
