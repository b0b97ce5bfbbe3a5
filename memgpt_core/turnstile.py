"""Who may use the model server now: one request at a time, in the order they came, so that no agent starves."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from memgpt_core.llm.base import Progress, Stopped


class Turnstile:
    """Lets requests to one server through one at a time, in the order they came."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[object, str]] = deque()
        self._moved = threading.Condition()

    @contextmanager
    def turn(self, name: str, progress: Progress) -> Iterator[None]:
        """Wait until all who came before are through, telling whom one waits for.

        Raises:
            Stopped: a person asked to stop meanwhile.
        """
        ticket = object()
        with self._moved:
            self._waiting.append((ticket, name))
        try:
            self._wait(ticket, progress)
            yield
        finally:
            with self._moved:
                self._waiting = deque(entry for entry in self._waiting if entry[0] is not ticket)
                self._moved.notify_all()

    def _wait(self, ticket: object, progress: Progress) -> None:
        told = ""
        while True:
            with self._moved:
                first, name = self._waiting[0]
                if first is ticket:
                    return
                before = [entry for entry, _ in self._waiting].index(ticket)
                self._moved.wait(0.05)
            tell = f"for {name}" + (f" and {before - 1} more" if before > 1 else "") + " to be served"
            if tell != told:
                progress.phase("waiting", told := tell)
            if progress.stopped():
                raise Stopped
