"""The one asyncio loop, in a thread of its own, on which every HTTP stream to a model server lives.

Exists because only a cancelled task interrupts a wait for the first byte: a flag, a closed client and a read
timeout do not. Does not know what runs on it. The loop starts at first use and ends with the process.
"""

import asyncio
import atexit
import threading
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")

POLL_S = 0.02
"""How often a waiting thread looks up, in seconds; a stop should reach the server within a tenth."""

UNWIND_S = 2.0
"""How long a cancelled stream may take to close its connection before its thread goes on without it."""


def run(work: Coroutine[Any, Any, T], between: Callable[[], None] = lambda: None) -> T:
    """What `work` returns or raises, run on the shared loop while this thread waits.

    `between` is called on this thread every 20 ms and once more after the end. What it raises is raised here,
    after `work` has been cancelled and has unwound.
    """
    return _shared().run(work, between)


def before_the_end(closing: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `closing` on the loop as the process ends; called on the loop's thread."""
    _shared().closings.append(closing)


class _Loop:
    def __init__(self) -> None:
        self.closings: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="model streams", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], between: Callable[[], None]) -> T:
        finished = threading.Event()
        started: list[asyncio.Task[T]] = []

        def start() -> None:
            task = self._loop.create_task(work)
            task.add_done_callback(lambda _: finished.set())
            started.append(task)

        self._loop.call_soon_threadsafe(start)
        try:
            while not finished.wait(POLL_S):
                between()
        finally:
            if not finished.is_set():
                self._loop.call_soon_threadsafe(lambda: started[0].cancel())
                finished.wait(UNWIND_S)
            if finished.is_set() and not started[0].cancelled():
                # Asked for, so that a fault on the way out is not reported as one nobody looked at.
                started[0].exception()
        between()
        return started[0].result()

    def close(self) -> None:
        """Cancel what still runs and end the thread."""
        self._loop.call_soon_threadsafe(lambda: self._loop.create_task(self._wind_down()))
        self._thread.join(UNWIND_S)
        if not self._thread.is_alive():
            self._loop.close()

    async def _wind_down(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for closing in self.closings:
            await closing()
        self._loop.stop()


_starting = threading.Lock()


def _shared() -> _Loop:
    with _starting:
        return _started()


@cache
def _started() -> _Loop:
    loop = _Loop()
    atexit.register(loop.close)
    return loop
