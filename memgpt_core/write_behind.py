"""How an agent's stores follow its log, behind the commits or with each of them, and what that took.

The switch holds for the home, in `following.json`: what an agent finds is the same both ways, so no log knows of it.
Counts since an agent was opened; does not follow anything itself.
"""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

Whose = Literal["thread", "reader", "commit"]
"""Whose time it was: nobody waits for the thread, a reader takes in what it must not miss, a commit waits if told."""


class Spent(NamedTuple):
    """How often something was done, how many things it was done to, and the seconds of it in all."""

    times: int = 0
    things: int = 0
    seconds: float = 0.0

    def more(self, things: int, seconds: float) -> "Spent":
        """With one time more."""
        return Spent(self.times + 1, self.things + things, self.seconds + seconds)


class Followed(NamedTuple):
    """What one agent's stores did since it was opened.

    Attributes:
        thread: batches of events that went into the rows behind the commits; the seconds are those of all the
            thread did: rows, vectors, index.
        reader: batches that a reader took into the rows, because it came before the thread.
        commit: commits that waited for all stores.
        exact, approximate: searches, by whether they compared all vectors or asked an index.
    """

    thread: Spent = Spent()
    reader: Spent = Spent()
    commit: Spent = Spent()
    exact: Spent = Spent()
    approximate: Spent = Spent()


class WriteBehind:
    """The home's switch.

    Attributes:
        on: a commit is done once its line is in the log; off, once every store has it, too.
    """

    def __init__(self, path: Path | None = None) -> None:
        """`path` keeps it; without one it holds until the end."""
        self.on = True
        self._path = path
        if path is not None:
            with contextlib.suppress(OSError, ValueError, AttributeError):
                self.on = bool(json.loads(path.read_text(encoding="utf-8")).get("write_behind", True))

    def switch(self, on: bool) -> None:
        """From now on, for all agents of the home."""
        self.on = on
        if self._path is not None:
            new = self._path.with_suffix(".new")
            # A disk that takes nothing: it holds until the end.
            with contextlib.suppress(OSError):
                new.write_text(json.dumps({"write_behind": on}), encoding="utf-8")
                new.replace(self._path)


class Following:
    """One agent's counts. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = Followed()

    def view(self) -> Followed:
        """What was counted so far."""
        return self._now

    def took(self, whose: Whose, events: int, seconds: float) -> None:
        """Rows took a batch of events; what the thread and a commit spend on that is part of their `spent`."""
        if whose != "commit":
            self._add(whose, events, 0.0 if whose == "thread" else seconds)

    def searched(self, seconds: float, *, approximate: bool) -> None:
        """A search came to its end."""
        self._add("approximate" if approximate else "exact", 1, seconds)

    @contextlib.contextmanager
    def spent(self, whose: Literal["thread", "commit"]) -> Iterator[None]:
        """The thread follows, or a commit waits, inside."""
        started = time.perf_counter()
        yield
        seconds = time.perf_counter() - started
        if whose == "commit":
            self._add("commit", 1, seconds)
        else:
            with self._lock:
                thread = self._now.thread
                self._now = self._now._replace(thread=thread._replace(seconds=thread.seconds + seconds))

    def _add(self, name: str, things: int, seconds: float) -> None:
        with self._lock:
            self._now = self._now._replace(**{name: getattr(self._now, name).more(things, seconds)})
