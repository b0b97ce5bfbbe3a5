"""One commit beside the bare write and sync of the same bytes, in turns.

Run: `python -m tests.benchmarks.commit`.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from memgpt_core.embedding.hashing import HashingEmbedder
from memgpt_core.events import Event, MessageSent, NoteWritten
from memgpt_core.journal import Journal
from memgpt_core.opening import OpenLog
from memgpt_core.projections import Projections
from memgpt_core.stores.vectors import VectorStore
from tests.benchmarks._lives import line_of, make_agent, text
from tests.benchmarks._tables import at_most, heading, series, table

EVENTS = 1_000
PAIRS = 1_500
WARM_UP = 100
TOGETHER = 10
FLOOR = 2.0

HOW = """Commit: Journal.commit on an agent of 1,000 events, that is stamp, fold, encode, check, write, sync, publish
and the hand-over to the stores, with stores and flusher attached. Bare: os.write and os.fdatasync of the very same
line to another file of the same folder, right after the commit or, in every second pair, right before the next one.
The figure is the ratio of the two medians; the ratio of the pairs has a line of its own."""


def main() -> None:
    """Print the table."""
    heading("One commit beside a bare write and sync of the same bytes", HOW)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "agent"
        make_agent(folder, EVENTS)
        opened = OpenLog(folder)
        vectors = VectorStore(Path(name) / "vectors.duckdb")
        projections = Projections(folder, vectors, HashingEmbedder(), read=opened.log.read)
        projections.catch_up(opened.states_from)
        projections.flush()
        journal = Journal(opened.log, opened.state, sinks=(projections.take, opened.checkpoint))
        bare = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            _print(journal, bare)
        finally:
            os.close(bare)
            projections.close()
            vectors.close()
            opened.log.close()


def _print(journal: Journal, bare: int) -> None:
    rows: list[tuple[object, ...]] = []
    for name, make in EVENTS_TIMED.items():
        for together in (1, TOGETHER) if name == "message_sent" else (1,):
            rows += _measure(f"{name}, {together} a commit", journal, bare, make, together)
    table(("what", "median ms", "p95", "max", "of", "floor (median)"), rows)


def _measure(
    name: str, journal: Journal, bare: int, make: Callable[[Random], Event], together: int
) -> list[tuple[object, ...]]:
    rng = Random(5)
    commits, writes = [], []
    data = b""
    for at in range(WARM_UP + PAIRS // together):
        events = [make(rng) for _ in range(together)]
        # In every second pair the bare write goes first, with the bytes of the commit before: neither always follows.
        write_first = at % 2 == 1
        write_ms = _write(bare, data) if write_first else 0.0
        started = time.perf_counter()
        committed = journal.commit_many(events) if together > 1 else [journal.commit(events[0])]
        commit_ms = 1000 * (time.perf_counter() - started)
        data = b"".join(line_of(event) for event in committed if event)
        write_ms = write_ms if write_first else _write(bare, data)
        if at >= WARM_UP:
            commits.append(commit_ms)
            writes.append(write_ms)
    commit, write = series(commits), series(writes)
    pairs = series([one / other for one, other in zip(commits, writes, strict=True)])
    ratio = commit.median / write.median
    floor = at_most(ratio, FLOOR, "x") if together == 1 else ""
    return [
        (f"commit: {name}, {len(data)} bytes", *commit, ""),
        ("  bare write and sync", *write, ""),
        ("  commit / bare, ratio of medians", ratio, "", "", "", floor),
        ("  commit / bare, by pairs", *pairs, ""),
    ]


def _write(fd: int, data: bytes) -> float:
    started = time.perf_counter()
    os.write(fd, data)
    os.fdatasync(fd)
    return 1000 * (time.perf_counter() - started)


def _said(rng: Random) -> Event:
    return MessageSent(text=text(rng, 100))


def _noted(rng: Random) -> Event:
    return NoteWritten(name="plan", text=text(rng, 60), author="agent")


EVENTS_TIMED: dict[str, Callable[[Random], Event]] = {"message_sent": _said, "note_written": _noted}


if __name__ == "__main__":
    main()
