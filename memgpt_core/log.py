"""The append-only log on disk: one `run.jsonl`, one event a line, the seq of an event is its line number.

Knows bytes, offsets, syncs and what to do when one of them fails. Does not know what an event means
(`state.apply`), who may write (`journal`) or how checkpoints are compared (`checkpoints` keeps them).

What `append` returned from is on the disk. What it raised from is not in the log. After a failed sync
nothing is known about the disk any more (the kernel may have dropped the pages and marked them clean), so
the log then takes no further event.
"""

import os
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json

from memgpt_core.errors import LogClosed, LogCorrupt
from memgpt_core.events import Event, decode
from memgpt_core.failpoints import failpoint, is_armed

CACHE_BYTES = 16 * 2**20
"""How many bytes of lines the cache of decoded events stands for at most."""

CHUNK_BYTES = 2**18
"""What one read of a scan takes; small enough to stay in the processor's cache between its two uses."""

_NEWLINE = 10


def sync_folder(folder: Path) -> None:
    """Make a file's creation or renaming in `folder` durable."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_events(path: Path) -> Iterator[Event]:
    """Every event of a log another process may be writing; a torn last line is left out.

    Raises:
        LogCorrupt: a line that is no event, or not the one its place calls for.
        OSError: the file cannot be read.
    """
    log = Log.open(path, read_only=True)
    try:
        yield from log.events()
    finally:
        log.close()


class Log:
    """One open `run.jsonl`: one thread appends at a time, any number read.

    Attributes:
        path: the file.
        repaired: empty, or a sentence saying that a torn last line was dropped.
        fault: empty, or a sentence saying why the log takes no more events.
        last_seq: how many lines there are.
        size_bytes, crc32: length and `zlib.crc32` of those lines.
    """

    def __init__(self, path: Path, fd: int, offsets: NDArray[np.int64], crc32: int) -> None:
        self.path = path
        self.repaired = ""
        self.fault = ""
        self.last_seq = len(offsets) - 1
        self.crc32 = crc32
        self._fd = fd
        # Line n lies between offsets n-1 and n; room beyond last_seq + 1 is spare.
        self._offsets = offsets
        self._writing = threading.Lock()
        self._cache = _Cache(CACHE_BYTES)
        self._crc_mark = (0, 0)

    @classmethod
    def create(cls, path: Path) -> Self:
        """A new, empty log; file and folder entry are synced.

        Raises:
            FileExistsError: there is one already.
        """
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        os.fsync(fd)
        sync_folder(path.parent)
        return cls(path, fd, np.zeros(1, np.int64), 0)

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Self:
        """An existing log, after dropping a torn last line; lines are found but not parsed.

        Raises:
            OSError: the file cannot be opened.
        """
        fd = os.open(path, os.O_RDONLY if read_only else os.O_RDWR)
        size = os.fstat(fd).st_size
        offsets, crc32 = _scan(fd, size)
        lines = _whole_lines(fd, offsets)
        log = cls(path, fd, offsets[: lines + 1], crc32)
        torn = size - log.size_bytes
        if torn:
            log.crc32 = log.prefix_crc(log.size_bytes)
            what = "left out; the file is as it was" if read_only else "dropped"
            log.repaired = f"A torn last line of {torn} bytes was {what}: its event was never acknowledged."
        if torn and not read_only:
            os.ftruncate(fd, log.size_bytes)
        if read_only:
            log.fault = "The log was opened for reading only."
        return log

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        with self._writing:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                self.fault = "The log is closed."
                os.close(fd)

    @property
    def size_bytes(self) -> int:
        """Where the last line ends."""
        return self.size_at(self.last_seq)

    def size_at(self, seq: int) -> int:
        """Where line `seq` ends: the size in bytes of the log up to and with it."""
        return int(self._offsets[seq])

    # --- writing ------------------------------------------------------------------------------------------

    def append(self, lines: Sequence[str]) -> None:
        """Add encoded events, all or none, with one write and one sync.

        After a failed write the file is cut back to where it was and the log can be used again, for instance
        when the disk has room again; after a failed sync or a failed cut it cannot (see `fault`).

        Raises:
            LogClosed: nothing was added; the sentence says why and what to do.
            ValueError: a line that could not be read back as the event of its place. Nothing was written.
        """
        if not lines:
            return
        with self._writing:
            if self.fault:
                raise LogClosed(self.fault)
            encoded = [line.encode() + b"\n" for line in lines]
            events = self._check(encoded)
            added = False
            try:
                self._write(b"".join(encoded))
                self._sync()
                added = True
            finally:
                # Also when it was no OSError: bytes left behind would stand after the next, shorter line.
                if not added:
                    self._cut_back()
            self._publish(encoded, events)
            failpoint("log.append.after_sync")

    def _check(self, encoded: list[bytes]) -> list[Event]:
        events = []
        for seq, line in enumerate(encoded, self.last_seq + 1):
            if line.count(b"\n") != 1:
                raise ValueError(f"event {seq} is not one line")
            event = decode(line)
            if event.seq != seq:
                raise ValueError(f"event {event.seq} cannot be line {seq} of the log")
            events.append(event)
        return events

    def _write(self, data: bytes) -> None:
        offset = self.size_bytes
        try:
            failpoint("log.append.before_write")
            if is_armed("log.append.torn"):
                half = len(data) // 2
                _write_all(self._fd, data[:half], offset)
                failpoint("log.append.torn")
                data, offset = data[half:], offset + half
            _write_all(self._fd, data, offset)
        except OSError as error:
            if not self._cut_back():
                raise LogClosed(self.fault) from error
            raise LogClosed(
                f"The event could not be saved ({error.strerror}). The log is as it was before it: free some disk "
                "space or lift the size limit, then try again."
            ) from error

    def _sync(self) -> None:
        sync = getattr(os, "fdatasync", os.fsync)
        try:
            failpoint("log.append.before_sync")
            sync(self._fd)
        except OSError as error:
            self.fault = (
                f"The disk did not confirm the last event ({error.strerror}), so it was not taken, and the log is "
                "read-only from here on. Check the disk, then start Memscope again."
            )
            raise LogClosed(self.fault) from error

    def _cut_back(self) -> bool:
        """Whether the file ends at the last good line again."""
        try:
            os.ftruncate(self._fd, self.size_bytes)
        except OSError as error:
            self.fault = self.fault or (
                f"A half-written event could not be removed from the log ({error.strerror}), so it is read-only "
                "from here on. Check the disk, then start Memscope again: it is dropped at the next start."
            )
            return False
        return True

    def _publish(self, encoded: list[bytes], events: list[Event]) -> None:
        last = self.last_seq + len(encoded)
        if last >= len(self._offsets):
            grown = np.zeros(max(2 * len(self._offsets), last + 1, 1024), np.int64)
            grown[: self.last_seq + 1] = self._offsets[: self.last_seq + 1]
            self._offsets = grown
        for seq, (line, event) in enumerate(zip(encoded, events, strict=True), self.last_seq + 1):
            self._offsets[seq] = self._offsets[seq - 1] + len(line)
            self.crc32 = zlib.crc32(line, self.crc32)
            self._cache.put(seq, event, len(line))
        # Last of all: a reader that sees the new number must find everything below it in place.
        self.last_seq = last

    def cut_at(self, seq: int) -> None:
        """From now on be read-only and end before line `seq`; the file is not touched."""
        with self._writing:
            self.fault = (
                f"Line {seq} of the log cannot be read. Everything before it is shown; nothing can be added until "
                "the line is repaired or the log is restored from a copy."
            )
            self.last_seq = min(self.last_seq, seq - 1)
            self.crc32 = self.prefix_crc(self.size_bytes)

    # --- reading ------------------------------------------------------------------------------------------

    def read(self, seq: int) -> Event:
        """One event, from the cache of those lately read or written if it is there.

        Raises:
            LogCorrupt: the line is no event, or not event `seq`.
            IndexError: there is no such line.
        """
        if not 1 <= seq <= self.last_seq:
            raise IndexError(f"the log has lines 1 to {self.last_seq}, not {seq}")
        event = self._cache.get(seq)
        if event is None:
            start, stop = self.size_at(seq - 1), self.size_at(seq)
            event = _decode(seq, self._bytes(start, stop))
            self._cache.put(seq, event, stop - start)
        return event

    def events(self, start: int = 1, stop: int | None = None) -> Iterator[Event]:
        """Events from seq `start` up to but without `stop` (None: to the last there is), past the cache.

        Raises:
            LogCorrupt: at the line that is no event, after all before it.
        """
        stop = self.last_seq + 1 if stop is None else min(stop, self.last_seq + 1)
        seq = max(start, 1)
        while seq < stop:
            first = self.size_at(seq - 1)
            # The lines that end within one chunk from here, and at least one.
            fits = int(np.searchsorted(self._offsets[seq:stop], first + CHUNK_BYTES, side="right"))
            after = seq + max(1, fits)
            data = memoryview(self._bytes(first, self.size_at(after - 1)))
            for number in range(seq, after):
                yield _decode(number, bytes(data[self.size_at(number - 1) - first : self.size_at(number) - first]))
            seq = after

    def lines(self, first: int, last: int) -> bytes:
        """Lines `first` to `last`, both included, as they stand in the file, newlines too."""
        return self._bytes(self.size_at(first - 1), self.size_at(last))

    def prefix_crc(self, size_bytes: int) -> int:
        """`zlib.crc32` of the first `size_bytes` of the log, or of all there is when it is shorter.

        Rising sizes are cheap: each goes on from the one asked before.
        """
        # Bytes past the last line may yet be cut back, and must not get into the mark.
        size_bytes = min(size_bytes, self.size_bytes)
        at, crc32 = self._crc_mark
        if size_bytes < at:
            at, crc32 = 0, 0
        for chunk in _chunks(self._fd, at, size_bytes):
            crc32 = zlib.crc32(chunk, crc32)
            at += len(chunk)
        self._crc_mark = (at, crc32)
        return crc32

    def first_corrupt(self, limit_seq: int | None = None) -> LogCorrupt | None:
        """The first bad line up to and with `limit_seq` (None: the last), found by parsing every line."""
        try:
            for _ in self.events(1, None if limit_seq is None else limit_seq + 1):
                pass
        except LogCorrupt as corrupt:
            return corrupt
        return None

    def _bytes(self, start: int, stop: int) -> bytes:
        data = b"".join(_chunks(self._fd, start, stop, stop - start))
        if self._fd < 0:
            raise LogClosed(self.fault)
        return data


class _Cache:
    """Decoded events by seq, those used longest ago leaving first; sized by their lines' bytes."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._held: OrderedDict[int, tuple[Event, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, seq: int) -> Event | None:
        with self._lock:
            if seq not in self._held:
                return None
            self._held.move_to_end(seq)
            return self._held[seq][0]

    def put(self, seq: int, event: Event, size_bytes: int) -> None:
        with self._lock:
            if seq in self._held or size_bytes > self._limit_bytes:
                return
            self._held[seq] = (event, size_bytes)
            self._bytes += size_bytes
            while self._bytes > self._limit_bytes:
                _, (_, freed) = self._held.popitem(last=False)
                self._bytes -= freed


def _decode(seq: int, line: bytes) -> Event:
    try:
        event = decode(line)
    except ValueError as error:
        raise LogCorrupt(seq, str(error)) from None
    if event.seq != seq:
        raise LogCorrupt(seq, f"it is event {event.seq}")
    return event


def _write_all(fd: int, data: bytes, offset: int) -> None:
    """One write as a rule; what a short one left is tried again, and the error of that says why."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(fd, rest, offset)
        rest, offset = rest[written:], offset + written


def _chunks(fd: int, start: int, stop: int, size: int = CHUNK_BYTES) -> Iterator[bytes]:
    while start < stop:
        chunk = os.pread(fd, min(size, stop - start), start)
        if not chunk:
            return
        yield chunk
        start += len(chunk)


def _scan(fd: int, size: int) -> tuple[NDArray[np.int64], int]:
    """(0 and where each line ends, crc32) of the first `size` bytes."""
    found: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]
    crc32 = at = 0
    for chunk in _chunks(fd, 0, size):
        crc32 = zlib.crc32(chunk, crc32)
        found.append(np.flatnonzero(np.frombuffer(chunk, np.uint8) == _NEWLINE) + (at + 1))
        at += len(chunk)
    return np.concatenate(found), crc32


def _whole_lines(fd: int, offsets: NDArray[np.int64]) -> int:
    """How many lines to keep: all that end in a newline, but for a last one that is no JSON.

    A last line that *is* JSON was never torn: an unknown kind there may be a later version's event, to be
    named and not destroyed. Two bad lines at the end are damage, not a tear, and are left for the reader to name.
    """
    lines = len(offsets) - 1

    def is_json(line: int) -> bool:
        start, stop = int(offsets[line - 1]), int(offsets[line])
        try:
            return isinstance(from_json(os.pread(fd, stop - start, start)), dict)
        except ValueError:
            return False

    if lines and not is_json(lines) and (lines == 1 or is_json(lines - 1)):
        return lines - 1
    return lines
