"""Past states of one agent, near at hand: a step from one that was just looked at folds one event and not hundreds.

Keeps a few states and finds the nearest one before the event that is asked for; a checkpoint is only the next best
start. Knows no page and no player: whoever looks back makes the next look from there cheap.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable

from memgpt_core import checkpoints
from memgpt_core.opening import OpenLog
from memgpt_core.state import INITIAL, State, apply

KEPT = 64
"""States kept at most: some tens of kilobytes each, most of it shared between neighbours."""

STRIDE = 50
"""On the way to a far event a state is kept each so many events, so that stepping back folds few."""


class Past:
    """The states of an open log. Safe to use from any thread."""

    def __init__(self, opened: OpenLog) -> None:
        self._opened = opened
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, State] = OrderedDict()

    def state(self, at: int) -> State:
        """The state after event `at`, which must be one of the log; 0 is the empty state."""
        with self._lock:
            if at in self._kept:
                self._kept.move_to_end(at)
                return self._kept[at]
            near = self._near(at)
        on_the_way = self._fold(at, near)
        with self._lock:
            self._keep(on_the_way)
        return on_the_way[-1]

    def _near(self, at: int) -> State | None:
        """The last kept state before an event, when no checkpoint can be nearer."""
        before = max((seq for seq in self._kept if seq < at), default=None)
        return self._kept[before] if before is not None and before >= at - at % checkpoints.EVERY else None

    def _fold(self, at: int, near: State | None) -> list[State]:
        """The state after an event, last; before it those on the way that are worth keeping."""
        if at == 0:
            return [INITIAL]
        state = near or self._opened.start(at)
        found = [state]
        for event in self._opened.log.events(state.seq + 1, at + 1):
            state = apply(state, event)
            if state.seq % checkpoints.EVERY == 0:
                # A log that was copied, or whose checkpoints were lost: the next look back finds one here.
                self._opened.keep(state)
            if state.seq % STRIDE == 0 or state.seq == at:
                found.append(state)
        return found

    def _keep(self, states: Iterable[State]) -> None:
        for state in states:
            self._kept[state.seq] = state
            self._kept.move_to_end(state.seq)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
