"""Long work in the background: how far it is, how long it will take, how it is stopped, and what came of it.

Belongs to the process and not to a page, so that it goes on when the page is left. One piece of work at a time under
a key. Knows nothing of what the work is; whoever starts it keeps it from harm when it is stopped or fails.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from memgpt_core.errors import AgentBusy, MemscopeError

STOP_WITHIN_S = 30.0
"""How long closing waits for work that was told to stop; what is half made then is swept at the next start."""

RATE_OVER_S = 15.0
"""The time left is guessed from what was done in this time: a phase says little of the next."""

SAMPLES_MOST = 60

Told = Callable[[float], None]
"""Told which share of the work is done, 0 to 1."""

Stop = Callable[[], bool]
"""Asked now and then; True means that the work is to stop."""


class Interrupted(MemscopeError):
    """Work that a person stopped; nothing is left half done."""


class Job(NamedTuple):
    """One piece of work.

    Attributes:
        what: what was begun, in the words of whoever began it.
        share: how much is done, 0 to 1; None where that is not known.
        rate: share a second, of late.
        seconds: how long it has run, or ran.
        stopping: somebody asked it to stop.
        outcome: what it returned; None while it runs, or when it failed.
        failed: why it came to no end; empty otherwise.
    """

    what: str
    running: bool
    share: float | None
    rate: float
    seconds: float
    stopping: bool
    outcome: Any
    failed: str

    @property
    def left_s(self) -> float | None:
        """How many seconds are left at the present rate; None when that cannot be told."""
        return (1 - self.share) / self.rate if self.share and self.rate > 0 else None


class Jobs:
    """All work of a home that goes on in the background, by key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._works: dict[str, _Work] = {}
        self._closed = False

    def start(self, key: str, what: str, do: Callable[[Told, Stop], Any], *, counted: bool = True) -> None:
        """Begin in the background.

        Args:
            key: one piece of work at a time runs under it.
            what: named in the sentence that refuses a second one.
            do: the work.
            counted: False when it cannot say how far it is.

        Raises:
            AgentBusy: there is work under this key that is not done.
        """
        with self._lock:
            if self._closed:
                raise AgentBusy("Memscope is being closed. Start it again, then try again.")
            if self.busy(key):
                running = self._works[key].job().what
                raise AgentBusy(f"One thing at a time: {running} is not done yet. Wait for it, or stop it.")
            self._works[key] = _Work(key, what, do, counted)

    def busy(self, key: str) -> bool:
        """Whether work under this key is going on now."""
        work = self._works.get(key)
        return work is not None and work.is_alive()

    def job(self, key: str) -> Job | None:
        """The work that goes on under a key, or the last that did; None when there was none, or it was forgotten."""
        work = self._works.get(key)
        return work.job() if work is not None else None

    def stop(self, key: str) -> None:
        """Ask the work under a key to stop; it may take a moment."""
        if work := self._works.get(key):
            work.stopping.set()

    def forget(self, key: str) -> None:
        """Let go of what came of the work under a key; work that goes on is not touched."""
        with self._lock:
            if not self.busy(key):
                self._works.pop(key, None)

    def close(self) -> None:
        """Stop all that goes on and wait for it, so that nothing is closed under it."""
        with self._lock:
            self._closed = True
        for work in list(self._works.values()):
            work.stopping.set()
        for work in list(self._works.values()):
            work.join(STOP_WITHIN_S)


def stoppable(told: Told, stop: Stop) -> Told:
    """Progress that stops work which only tells how far it is.

    What says that all is done is not stopped: then it is too late.
    """

    def tell(share: float) -> None:
        if share < 1 and stop():
            raise Interrupted("It was stopped. Nothing was changed, and nothing half done is left.")
        told(share)

    return tell


class _Work:
    """One piece of work and its thread."""

    def __init__(self, key: str, what: str, do: Callable[[Told, Stop], Any], counted: bool) -> None:
        self.stopping = threading.Event()
        self._do = do
        self._began = time.monotonic()
        self._seen: deque[tuple[float, float]] = deque([(0.0, 0.0)], maxlen=SAMPLES_MOST)
        self._job = Job(what, True, 0.0 if counted else None, 0.0, 0.0, False, None, "")
        self._thread = threading.Thread(target=self._run, name=f"{what} ({key})", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def join(self, within_s: float) -> None:
        self._thread.join(within_s)

    def job(self) -> Job:
        job = self._job
        if not job.running:
            return job
        return job._replace(seconds=self._elapsed, stopping=self.stopping.is_set(), rate=self._rate())

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def _told(self, share: float) -> None:
        share, now = min(1.0, max(0.0, share)), self._elapsed
        # A work may tell of every line: a few looks a second say as much.
        if now - self._seen[-1][0] > RATE_OVER_S / SAMPLES_MOST:
            self._seen.append((now, share))
        self._job = self._job._replace(share=share)

    def _rate(self) -> float:
        seen, now = list(self._seen), self._elapsed
        then, share = next((one for one in seen if now - one[0] <= RATE_OVER_S), seen[-1])
        return ((self._job.share or 0.0) - share) / (now - then) if now > then else 0.0

    def _run(self) -> None:
        outcome, failed = None, ""
        try:
            outcome = self._do(self._told, self.stopping.is_set)
        except MemscopeError as error:
            failed = str(error)
        except OSError as error:
            failed = (
                f"A file could not be read or written ({error.strerror or error}). Look at the disk, then try again."
            )
        except Exception as bug:  # noqa: BLE001  (the top of a thread: a defect of ours must show, not vanish)
            failed = f"Memscope itself failed at this ({type(bug).__name__}: {bug}). The logs are as they were."
        self._job = self.job()._replace(running=False, outcome=outcome, failed=failed)
