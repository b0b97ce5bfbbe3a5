"""Disposable checkpoints of the state, so that opening an agent folds a tail and not a life.

Knows how to keep and find them. Does not know whether one still fits the log: its size and crc are handed
out for the caller to compare. Losing one costs time and nothing else, so a failed save is no error.
"""

import contextlib
import functools
import os
import zlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from memgpt_core.failpoints import failpoint
from memgpt_core.log import sync_folder
from memgpt_core.state import State

EVERY = 500
"""Events from one checkpoint to the next: what a look back folds at most, some 13 ms."""

VERSION = 1
"""Raised by hand when `apply` gives another state for the same events; other fields are noticed by themselves."""


class Checkpoint(BaseModel):
    """The state after the first `size_bytes` of a log, whose `zlib.crc32` is `crc32`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size_bytes: int
    crc32: int
    state: State


def save(folder: Path, state: State, size_bytes: int, crc32: int) -> bool:
    """Keep a checkpoint under its state's seq, whole or not at all; whether that worked.

    `size_bytes` and `crc32` are the log's when `state` was its fold.
    """
    body = Checkpoint(size_bytes=size_bytes, crc32=crc32, state=state).model_dump_json().encode()
    path = folder / f"{state.seq:012d}.json"
    temporary = path.with_suffix(".tmp")
    try:
        folder.mkdir(exist_ok=True)
        # Left by a kill before the rename; one process writes a home, so nobody else's are among them.
        for abandoned in folder.glob("*.tmp"):
            _remove(abandoned)
        with temporary.open("wb") as file:
            file.write(_head(body) + body)
            file.flush()
            os.fsync(file.fileno())
        failpoint("checkpoint.before_rename")
        temporary.replace(path)
        sync_folder(folder)
    except OSError:
        _remove(temporary)
        return False
    return True


def latest(folder: Path, *, max_seq: int | None = None) -> Checkpoint | None:
    """The newest checkpoint at or before `max_seq`; those on the way that cannot be used are deleted."""
    for name in sorted(_names(folder), reverse=True):
        stem = name.removesuffix(".json")
        if max_seq is not None and stem.isdecimal() and int(stem) > max_seq:
            continue
        path = folder / name
        checkpoint = _load(path)
        if checkpoint is not None:
            return checkpoint
        _remove(path)
    return None


def _names(folder: Path) -> list[str]:
    try:
        # A long log has hundreds, and every look back asks: names come ten times as fast as paths.
        return [name for name in os.listdir(folder) if name.endswith(".json")]  # noqa: PTH208
    except OSError:
        return []


def clear(folder: Path) -> None:
    """Delete every checkpoint, as when they turn out to belong to another log."""
    for path in [*folder.glob("*.json"), *folder.glob("*.tmp")]:
        _remove(path)


def _load(path: Path) -> Checkpoint | None:
    try:
        head, _, body = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    if head + b"\n" != _head(body):
        return None
    try:
        checkpoint = Checkpoint.model_validate_json(body)
    except ValidationError:
        return None
    return checkpoint if path.stem == f"{checkpoint.state.seq:012d}" else None


def _head(body: bytes) -> bytes:
    """The first line: the version, the shape of the state, and a checksum that finds a flipped bit."""
    return f"memscope checkpoint {VERSION} {_shape()} {zlib.crc32(body)}\n".encode()


@functools.cache
def _shape() -> int:
    # A field added with a default would load from an old checkpoint, with a value the log does not give.
    return zlib.crc32(repr(State.model_json_schema()).encode())


def _remove(path: Path) -> None:
    # A reader may look into a folder it cannot write, and the file may be gone already.
    with contextlib.suppress(OSError):
        path.unlink()
