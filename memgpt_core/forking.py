"""Forks: an agent whose log begins with a copy of another's, as bytes, and goes on its own way.

The rows are copied and cut back instead of being folded again; the index and the vectors in RAM follow at open, from
the vectors that the home has. Knows no home and no open agent: the folder it fills is revealed by who asked for it.

A fork may begin at any event, also inside a turn: opening the new agent ends that turn as interrupted, as it does
after a crash. Only what every agent is born with is added when the fork begins before it: the instructions.
"""

import contextlib
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from memgpt_core.bookmarks import Bookmarks
from memgpt_core.errors import EditRefused, MemscopeError, StoreBroken
from memgpt_core.events import Event, InstructionsDefined, RunForked
from memgpt_core.folders import CHUNK_BYTES, NEW
from memgpt_core.journal import Journal
from memgpt_core.log import Log
from memgpt_core.opening import OpenLog
from memgpt_core.projections import Projections
from memgpt_core.state import State

LOG_SHARE = 0.2
"""How much of making a fork is done when its log is there; the rest is its rows."""


def make_fork(
    source: OpenLog,
    at: int,
    folder: Path,
    *,
    name: str,
    origin_name: str,
    clock: Callable[[], datetime],
    stores: Projections | None = None,
    progress: Callable[[float], None] | None = None,
) -> None:
    """Make in `folder` the log of an agent that goes on from event `at` of another, and its rows if `stores` has them.

    The log is not revealed: until then the folder is no agent. What the source gets meanwhile stays out.

    Args:
        origin_name: what the source is called now, which it need not have been at event `at`.

    Raises:
        EditRefused: the source has no such event.
        OSError: the copy could not be written.
    """
    last = source.log.last_seq
    if not 1 <= at <= last:
        raise EditRefused(f"There is no event {at} to fork from: the log has events 1 to {last}.")
    told = progress or (lambda _share: None)
    state = source.state_at(at)
    _copy_bytes(source.log.path, folder / NEW, source.log.size_at(at))
    _copy_checkpoints(source.log.path.parent / "checkpoints", folder / "checkpoints", at)
    # What was said of an event is said of its copy; a file that cannot be read keeps nobody from going on.
    with contextlib.suppress(MemscopeError):
        Bookmarks(source.log.path.parent).copy_until(folder, at)
    origin = source.log.path.parent.name
    forked = RunForked(agent_id=folder.name, name=name, origin=origin, origin_name=origin_name, origin_seq=at)
    _go_on(source.log, state, folder / NEW, forked, clock)
    told(LOG_SHARE)
    if stores is not None:
        # Without them the rows are made from the log at open, which takes longer and comes to the same.
        with contextlib.suppress(StoreBroken):
            stores.copy_rows(folder / "rows.duckdb", at)
    told(1.0)


def _copy_bytes(source: Path, copy: Path, size_bytes: int) -> None:
    with source.open("rb") as read, copy.open("xb") as write:
        left = size_bytes
        while left:
            chunk = read.read(min(CHUNK_BYTES, left))
            if not chunk:
                raise OSError(f"The log of {source.parent.name} ended {left} bytes early while it was copied.")
            write.write(chunk)
            left -= len(chunk)


def _copy_checkpoints(source: Path, copies: Path, at: int) -> None:
    """The checkpoints up to event `at`: they hold a sum over the log's beginning, which is the same in the copy."""
    copies.mkdir()
    for path in source.glob("*.json") if source.is_dir() else ():
        if path.stem.isdecimal() and int(path.stem) <= at:
            # Gone meanwhile, or no room: it costs time and nothing else.
            with contextlib.suppress(OSError):
                shutil.copyfile(path, copies / path.name)


def _go_on(source: Log, state: State, copy: Path, forked: RunForked, clock: Callable[[], datetime]) -> None:
    """Add the event that makes the copy another agent's, and what that one cannot live without."""
    born: list[Event] = [] if state.instructions_seq else [_instructions_after(source, state.seq)]
    log = Log.open(copy)
    try:
        Journal(log, state, clock=clock).commit_many([forked, *born])
    finally:
        log.close()


def _instructions_after(source: Log, seq: int) -> InstructionsDefined:
    events: list[Any] = [event for event in source.events(seq + 1, seq + 50) if event.kind == "instructions_defined"]
    if not events:
        raise EditRefused(f"Nothing can go on from event {seq}: the agent had no instructions yet.")
    born: InstructionsDefined = events[0]
    return born
