"""The machine's faults, one sentence each, with what to do next.

A model's mistake is never here: it is data (`function_returned(ok=False)`). These are caught in two
places only, the top of a turn and the frame of a page; nothing branches on their text.
"""


class MemscopeError(Exception):
    """Anything that stops Memscope for a reason a person can act on; the message says how."""


class ModelUnavailable(MemscopeError):
    """The chat or embedding model could not answer: no server, a refused request, a broken stream."""


class ContextOverflow(ModelUnavailable):
    """The model server said that the request is longer than its window."""


class ConfigurationRefused(MemscopeError):
    """Settings that cannot work, with the numbers that show why."""


class EditRefused(MemscopeError):
    """A human edit that breaks a rule (unknown block, over its limit, already deleted)."""


class StaleEdit(EditRefused):
    """An edit made on a text that has changed since.

    Attributes:
        current: the text as it stands now.
        current_seq: the event that wrote it; base the next edit on it.
        yours: the text that was refused, so that nobody has to type it again.
    """

    def __init__(self, what: str, *, current: str, current_seq: int, yours: str) -> None:
        super().__init__(
            f"{what} changed while you were editing it. Your text is kept below beside the present one: "
            "merge them and save again."
        )
        self.current = current
        self.current_seq = current_seq
        self.yours = yours


class LogCorrupt(MemscopeError):
    """A line of a log that cannot be read.

    Attributes:
        line: its number, counted from 1.
    """

    def __init__(self, line: int, why: str) -> None:
        super().__init__(
            f"Line {line} of the log cannot be read ({why}). Everything before it is shown; nothing can be "
            "added until the line is repaired or the log is restored from a copy."
        )
        self.line = line


class LogClosed(MemscopeError):
    """The log takes no more events: a sync failed, the disk is full, or it was opened read-only."""


class StoreBroken(MemscopeError):
    """A store could not be read or written; the log is whole and `rebuild` makes the store anew."""


class DocumentMissing(MemscopeError):
    """A document's file is not in cold storage, or is not what was kept there."""


class AgentNotFound(MemscopeError):
    """No agent of that name in this home."""


class HomeBusy(MemscopeError):
    """Another process writes this home; the message names it."""


class AgentBusy(MemscopeError):
    """The agent is in the middle of a turn; wait for it or stop it."""


class NotReadable(MemscopeError):
    """A file whose text cannot be had; the message says what is wrong with it and what to do."""
