"""Named places where a test can make the world fail: a full disk, a failed sync, a kill.

Knows the names and what is armed; does not know what the code around a place does. Lives in the product
because a kill between two writes cannot be staged from outside; with nothing armed a passage costs one
look at an empty dict.

Armed in-process with `arm`, or in a child process through `MEMSCOPE_FAILPOINT`, as `name:kill:N` or
`name:enospc:N`: the N-th passage, counted from 1, gets SIGKILL or ENOSPC; the others pass.
"""

import errno
import itertools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Action = Callable[[], None]

NAMES: dict[str, str] = {
    "log.append.before_write": "an event is about to be written; nothing is on disk",
    "log.append.torn": "half of the bytes of an append are written",
    "log.append.before_sync": "all bytes are written and none is synced; an error here is a failed sync",
    "log.append.after_sync": "the event is durable and the caller does not know it yet; for kills only",
    "checkpoint.before_rename": "a checkpoint is synced under its temporary name",
    "project.before_commit": "row changes are made inside a transaction of the row store",
    "project.after_commit": "the row store has taken an event",
    "index.before_merge": "pending rows are about to be merged into the search index",
    "index.after_merge": "the rows are in the search index and still pending in RAM",
    "document.after_raw": "a document's raw file is in cold storage, its text and manifest are not",
    "document.before_rename": "a file of a document is synced under its temporary name",
    "document.before_commit": "a document's files are in cold storage and the log does not name them",
    "document.after_commit": "a document is in the log, and no store has its passages",
    "flush.before_commit": "the summary of a queue flush is known and not yet in the log",
    "flush.after_commit": "the flush is in the log and the turn has not gone on",
    "function.before_commit": "a function has done its work and its outcome is not yet in the log",
    "function.after_commit": "the outcome is in the log and the turn has not gone on",
    "import.after_block": "a part of a conversation file is read and kept aside",
    "import.after_write": "a part of it is lived in a log that is no agent's yet",
    "import.before_reveal": "all of it is lived, and no agent has it",
    "import.after_reveal": "an agent has it, and what was built aside is still there",
}
"""Every failpoint and what is true when it is passed."""

_armed: dict[str, Action] = {}


def failpoint(name: str) -> None:
    """A passage through a named place: does what is armed there, else nothing."""
    if _armed and name in _armed:
        _armed[name]()


def is_armed(name: str) -> bool:
    """Whether something waits at this place."""
    return name in _armed


@contextmanager
def arm(name: str, action: Action) -> Iterator[None]:
    """Run `action` at every passage of `name` inside the `with` block.

    Raises:
        ValueError: no failpoint has that name.
    """
    _check(name)
    before = _armed.get(name)
    _armed[name] = action
    try:
        yield
    finally:
        if before is None:
            del _armed[name]
        else:
            _armed[name] = before


def nth(passage: int, action: Action) -> Action:
    """`action` at that passage alone, counted from 1."""
    passages = itertools.count(1)

    def act() -> None:
        if next(passages) == passage:
            action()

    return act


def enospc() -> None:
    """The disk is full."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def kill() -> None:
    """The process ends at once, without any cleaning up."""
    os.kill(os.getpid(), signal.SIGKILL)


_ACTIONS: dict[str, Action] = {"kill": kill, "enospc": enospc}


def _check(name: str) -> None:
    if name not in NAMES:
        raise ValueError(f"no failpoint is called {name}; there are {', '.join(NAMES)}")


def _arm_from(wish: str) -> None:
    name, _, rest = wish.partition(":")
    action, _, passage = rest.partition(":")
    _check(name)
    if action not in _ACTIONS or not passage.isdecimal():
        raise ValueError(f"MEMSCOPE_FAILPOINT is {wish!r}; it must be name:kill:N or name:enospc:N")
    _armed[name] = nth(int(passage), _ACTIONS[action])


if wish := os.environ.get("MEMSCOPE_FAILPOINT"):
    _arm_from(wish)
