"""Vectors in a plain file, one behind the other, so that a few hundred anywhere in it are read in half a millisecond.

Beside them stand the slots and marks they are filed under. Rows are only ever added, and synced when they were. Does
not search. Read with `pread` and not mapped into memory: what somebody shortens is an error then, and no crash.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Vectors = NDArray[np.float32]

_PART = 8192
_KEY_BYTES = 16


class PlainVectors:
    """The vectors of one folder, (n, d) float32.

    Attributes:
        slots, marks: of each row.

    Raises:
        OSError: (all methods) the files cannot be read or written, or are shorter than they were.
    """

    def __init__(self, folder: Path, dim: int) -> None:
        self.slots: Numbers = np.zeros(0, np.int64)
        self.marks: Numbers = np.zeros(0, np.int64)
        self._vectors_path, self._keys_path = folder / "vectors.f32", folder / "keys.i64"
        self._dim = dim

    def open(self, rows: int) -> None:
        """Take the first so many rows, of which nothing may be missing; what is behind them was never finished."""
        for path in (self._vectors_path, self._keys_path):
            path.touch()
        keys = np.fromfile(self._keys_path, "<i8", 2 * rows)
        if len(keys) < 2 * rows or self._vectors_path.stat().st_size < rows * self._width:
            raise OSError(f"{self._vectors_path.name} has fewer vectors than its index")
        self.slots, self.marks = keys[0::2].astype(np.int64), keys[1::2].astype(np.int64)

    def add(self, slots: Numbers, marks: Numbers, vectors: Vectors) -> Numbers:
        """Add rows, durably; their numbers."""
        rows = len(self.slots)
        _write(self._vectors_path, np.ascontiguousarray(vectors, "<f4").tobytes(), rows * self._width)
        _write(self._keys_path, np.stack([slots, marks], axis=1).astype("<i8").tobytes(), rows * _KEY_BYTES)
        self.slots, self.marks = np.concatenate([self.slots, slots]), np.concatenate([self.marks, marks])
        return np.arange(rows, rows + len(slots))

    def at(self, rows: Numbers) -> Vectors:
        """The vectors of these rows."""
        width = self._width
        # Opened each time: a file that was deleted must not go on as if it were there.
        with self._vectors_path.open("rb", buffering=0) as file:
            read = b"".join(os.pread(file.fileno(), width, row * width) for row in rows.tolist())
        return self._whole(np.frombuffer(read, "<f4"), len(rows))

    def all(self) -> Iterator[tuple[Numbers, Vectors]]:
        """(slots, vectors) of everything, some thousands at a time."""
        for start in range(0, len(self.slots), _PART):
            slots = self.slots[start : start + _PART]
            read = np.fromfile(self._vectors_path, "<f4", len(slots) * self._dim, offset=start * self._width)
            yield slots, self._whole(read, len(slots))

    def _whole(self, read: Vectors, rows: int) -> Vectors:
        if len(read) < rows * self._dim:
            raise OSError(f"{self._vectors_path.name} is shorter than it was")
        return read.reshape(rows, self._dim)

    @property
    def _width(self) -> int:
        return 4 * self._dim


def _write(path: Path, what: bytes, offset: int) -> None:
    """Put bytes at an offset, nothing behind them, and have the disk keep them."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(what)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
