"""A rerun of an open agent's recording in the background: how far it is, and what came of it.

Belongs to the workspace and not to a page, so that it goes on when the page is left. Reads the log as it was when
it was started; what is recorded meanwhile is not part of it.
"""

import threading
import time
from typing import NamedTuple

from memgpt_core.errors import MemscopeError
from memgpt_core.log import Log
from memgpt_core.replay import Outcome, Recording, rerun
from memgpt_core.stores.documents import ColdStorage

STOP_WITHIN_S = 10.0


class _StoppedByPerson(Exception):
    """Somebody asked for the end of it."""


class Rerun(NamedTuple):
    """A rerun that runs, or has run.

    Attributes:
        events: how many events there are to rerun; `done` of them came out identical so far.
        seconds: how long it has run, or ran.
        outcome: what it found; None while it runs, or when it came to no end.
        failed: why it came to no end; empty when it did, or while it runs.
    """

    running: bool
    events: int
    done: int
    seconds: float
    outcome: Outcome | None
    failed: str


class Rerunning:
    """The reruns of one agent, one at a time."""

    def __init__(self, log: Log, cold: ColdStorage | None = None) -> None:
        self._log = log
        self._cold = cold
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._now: Rerun | None = None
        self._since = 0.0

    def start(self) -> None:
        """Begin in the background; does nothing while one runs."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return
            self._stop.clear()
            self._since = time.monotonic()
            self._now = Rerun(True, self._log.last_seq, 0, 0.0, None, "")
            self._thread = threading.Thread(target=self._run, args=(self._now,), name="rerun", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the one that runs; it then says that it was stopped."""
        self._stop.set()

    def status(self) -> Rerun | None:
        """The one that runs, or the last that ran; None when there was none since the agent was opened."""
        now = self._now
        return now._replace(seconds=time.monotonic() - self._since) if now and now.running else now

    def wait(self, timeout_s: float) -> bool:
        """Wait for the one that runs to end; whether it did."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
        return thread is None or not thread.is_alive()

    def close(self) -> None:
        """Stop what runs, before the log it reads is closed."""
        self.stop()
        self.wait(STOP_WITHIN_S)

    def _run(self, begun: Rerun) -> None:
        outcome, failed = None, ""
        try:
            outcome = rerun(Recording(self._log, begun.events), self._told, cold=self._cold)
        except _StoppedByPerson:
            failed = "It was stopped before its end."
        except MemscopeError as error:
            failed = str(error)
        except Exception as bug:  # noqa: BLE001  (the top of a thread: a defect of ours must show, not vanish)
            failed = f"Memscope itself failed at this ({type(bug).__name__}: {bug}). The log is as it was."
        seconds = time.monotonic() - self._since
        done = outcome.events if outcome else self._now.done if self._now else 0
        self._now = Rerun(False, begun.events, done, seconds, outcome, failed)

    def _told(self, done: int) -> None:
        if self._stop.is_set():
            raise _StoppedByPerson
        if self._now is not None:
            self._now = self._now._replace(done=done)
