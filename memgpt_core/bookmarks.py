"""Bookmarks and comments on events: `notes.jsonl` beside an agent's log, one line a change, never rewritten.

Knows the file and who may ask for what; does not know what an event is, nor whether the log still has it. They are no
events: they say nothing about the agent's memory, so no model sees them and no rerun needs them.
"""

import json
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from memgpt_core.errors import EditRefused, MemscopeError
from memgpt_core.events import clean
from memgpt_core.journal import utc_now

NAME = "notes.jsonl"
TEXT_CHARS = 4000
"""The longest comment: it is shown whole wherever its event is."""


class Bookmark(NamedTuple):
    """A mark on event `seq`; `text` may be empty, `at` (UTC) is when it was set."""

    id: str
    seq: int
    text: str
    at: datetime


class Bookmarks:
    """The bookmarks of one agent. Safe to use from any thread; one per folder and process."""

    def __init__(self, folder: Path, *, clock: Callable[[], datetime] = utc_now) -> None:
        """Those in `folder`; the file is made with the first one."""
        self._path = folder / NAME
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: tuple[int, int] = (0, 0)
        self._held: dict[str, Bookmark] = {}
        self._lines = 0

    def all(self) -> list[Bookmark]:
        """Every bookmark, by event.

        Raises:
            MemscopeError: the file cannot be read.
        """
        with self._lock:
            self._load()
            return sorted(self._held.values(), key=lambda mark: (mark.seq, mark.at, mark.id))

    def on(self, seq: int) -> list[Bookmark]:
        """Those on one event, in the order they were set."""
        return [mark for mark in self.all() if mark.seq == seq]

    def add(self, seq: int, text: str = "") -> str:
        """Mark event `seq`; the new bookmark's id.

        Raises:
            EditRefused: the comment is too long, or there can be no such event.
            MemscopeError: the file cannot be read or written.
        """
        if seq < 1:
            raise EditRefused(f"There is no event {seq} to set a bookmark on. Events count from 1.")
        said = _text(text)
        with self._lock:
            self._load()
            id = self._new_id()
            self._append({"id": id, "seq": seq, "text": said, "at": self._clock().isoformat()})
            return id

    def edit(self, id: str, text: str) -> None:
        """Give a bookmark another comment.

        Raises:
            EditRefused: the comment is too long, or the bookmark is gone.
            MemscopeError: the file cannot be read or written.
        """
        said = _text(text)
        with self._lock:
            self._load()
            self._known(id)
            self._append({"id": id, "text": said})

    def remove(self, id: str) -> None:
        """Take a bookmark away; its lines stay in the file.

        Raises:
            EditRefused: it is gone already.
            MemscopeError: the file cannot be read or written.
        """
        with self._lock:
            self._load()
            self._known(id)
            self._append({"id": id, "removed": True})

    def copy_until(self, folder: Path, seq: int) -> None:
        """Set those on the events up to `seq` in another agent's folder that has none, with their comments and times.

        Raises:
            MemscopeError: the file cannot be read or written.
        """
        other = Bookmarks(folder)
        for mark in self.all():
            if mark.seq <= seq:
                other._append({**mark._asdict(), "at": mark.at.isoformat()})

    def _new_id(self) -> str:
        number = self._lines + 1
        while f"b{number}" in self._held:
            number += 1
        return f"b{number}"

    # --- the file -----------------------------------------------------------------------------------------------

    def _known(self, id: str) -> None:
        if id not in self._held:
            raise EditRefused("That bookmark was removed meanwhile. Nothing was changed.")

    def _load(self) -> None:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._seen, self._held, self._lines = (0, 0), {}, 0
            return
        except OSError as error:
            raise _failed("read", error) from error
        if (stat.st_size, stat.st_mtime_ns) == self._seen:
            return
        try:
            data = self._path.read_bytes()
        except OSError as error:
            raise _failed("read", error) from error
        lines = data.split(b"\n")
        self._held, self._lines = {}, len(lines)
        for line in lines:
            self._take(line)
        self._seen = (stat.st_size, stat.st_mtime_ns)

    def _take(self, line: bytes) -> None:
        """One line of the file; what is no whole line of ours, as a torn last one is, changes nothing."""
        try:
            raw: Any = json.loads(line)
            id = str(raw["id"])
            if raw.get("removed"):
                self._held.pop(id, None)
            elif "seq" in raw:
                at = datetime.fromisoformat(raw["at"])
                at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
                self._held[id] = Bookmark(id, max(1, int(raw["seq"])), str(clean(raw["text"]))[:TEXT_CHARS], at)
            elif id in self._held:
                self._held[id] = self._held[id]._replace(text=str(clean(raw["text"]))[:TEXT_CHARS])
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
            return

    def _append(self, change: dict[str, Any]) -> None:
        line = json.dumps(change, ensure_ascii=False).encode() + b"\n"
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                size = os.fstat(fd).st_size
                # A line that a kill cut short is closed, so that the new one stands for itself.
                torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
                _write_whole(fd, b"\n" + line if torn else line, size)
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise _failed("written", error) from error
        self._seen = (-1, -1)


def _write_whole(fd: int, data: bytes, size: int) -> None:
    """All of it or nothing: a full disk must not leave half a line before the next one."""
    try:
        written = os.write(fd, data)
        if written < len(data):
            os.write(fd, data[written:])
    except OSError:
        os.ftruncate(fd, size)
        raise


def _text(text: str) -> str:
    said = str(clean(text)).strip()
    if len(said) > TEXT_CHARS:
        raise EditRefused(
            f"The comment has {len(said):,} characters; {TEXT_CHARS:,} fit. Shorten it, then save it again."
        )
    return said


def _failed(what: str, error: OSError) -> MemscopeError:
    return MemscopeError(
        f"The bookmarks ({NAME}) could not be {what} ({error.strerror or error}). The agent's log is not concerned."
    )
