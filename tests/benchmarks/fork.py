"""Forking an agent of 100,000 events and 20,000 passages: seconds until the fork can be used, and what follows it.

Run: `python -m tests.benchmarks.fork [events] [passages]`.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np

from memgpt_core.embedding.hashing import HashingEmbedder
from memgpt_core.folders import reveal
from memgpt_core.home import Home
from tests.benchmarks._lives import UNCOMMON, Talker, make_agent, text
from tests.benchmarks._tables import at_most, doing, heading, series, table

EVENTS, PASSAGES = 100_000, 20_000
FORKS = 3
FLOOR_S = 10.0
AGENT = "large"
EARLY_SHARE = 0.5

HOW = """The agent is open and its stores have caught up. A fork is timed from the call to the id: its log and
checkpoints are copied, its rows copied and cut back, the agent opened. Its first search makes the matrix of vectors
in RAM and ranks exactly; the search index follows in the background (`index` is the time until it has, asked for at
once), and no search waits for it. `embedded` counts the texts that were given to the embedder meanwhile. Beside it:
the log and the rows copied as files, by shutil, and a fork whose rows are made from the log."""


class Counted:
    """Counts what any embedder of this process is given."""

    def __init__(self) -> None:
        self.texts = 0
        self._embed = HashingEmbedder.embed

        def embed(embedder: HashingEmbedder, texts: Sequence[str]) -> list[np.ndarray]:
            self.texts += len(texts)
            return self._embed(embedder, texts)

        HashingEmbedder.embed = embed  # type: ignore[method-assign]


def main(events: int = EVENTS, passages: int = PASSAGES) -> None:
    """Print the table."""
    heading(f"Forking an agent of {events:,} events and at least {passages:,} passages", HOW)
    with tempfile.TemporaryDirectory() as name:
        doing(f"making an agent of {events:,} events")
        make_agent(Path(name) / "agents" / AGENT, events - passages)
        home = Home(Path(name), models={"scripted": Talker()}, timer=False)
        try:
            _measure(home, passages)
        finally:
            home.close()


def _measure(home: Home, passages: int) -> None:
    source = home.open(AGENT)
    rng = Random(3)
    doing(f"storing {passages:,} passages and letting the stores follow")
    source.upload("book", [(text(rng, 60), ("book",)) for _ in range(passages)])
    if not source.wait_idle(600) or not source.projections.flush():
        raise SystemExit(f"a store could not follow: {source.notices()}")
    counted = Counted()
    found: dict[str, list[float]] = {}
    for at, where in ((source.last_seq, "the end"), (int(EARLY_SHARE * source.last_seq), "the middle")):
        for _ in range(FORKS):
            started = time.perf_counter()
            fork = home.open(home.fork(AGENT, at, name="fork"))
            found.setdefault(f"fork at {where}, s", []).append(time.perf_counter() - started)
            started = time.perf_counter()
            fork.archival(" ".join(rng.choices(UNCOMMON, k=2)))
            found.setdefault(f"first search in it ({where}), s", []).append(time.perf_counter() - started)
            started = time.perf_counter()
            fork.projections.flush()
            found.setdefault(f"index ({where}), s", []).append(time.perf_counter() - started)
            home.delete(fork.agent_id)
    embedded = counted.texts
    found["copying the files, s"] = [_copy_files(source.folder) for _ in range(FORKS)]
    found["fork with rows from the log, s"] = [_slow_fork(home)]
    size_mb = (source.folder / "run.jsonl").stat().st_size / 1e6
    state = source.state()
    print(
        f"Log: {size_mb:.0f} MB, {state.seq:,} events, {state.messages:,} messages, {state.passages:,} passages; "
        f"texts embedded by {2 * FORKS} forks and their searches: {embedded:,} (a query each).\n"
    )
    rows = []
    for key, samples in found.items():
        one = series(samples if len(samples) > 1 else samples * 2)._replace(count=len(samples))
        rows.append((key, *one, at_most(one.median, FLOOR_S, "s") if key.startswith("fork at") else ""))
    table(("figure", "median", "p95", "max", "of", "floor (median)"), rows)


def _copy_files(folder: Path) -> float:
    with tempfile.TemporaryDirectory() as name:
        started = time.perf_counter()
        for file in ("run.jsonl", "rows.duckdb"):
            shutil.copyfile(folder / file, Path(name) / file)
        return time.perf_counter() - started


def _slow_fork(home: Home) -> float:
    """The same fork without copied rows: they are made from the log when the fork is opened."""
    started = time.perf_counter()
    source = home.open(AGENT)
    folder = home.path / "agents" / "slow"
    folder.mkdir()
    source.fork_into(folder, source.last_seq, name="slow")
    (folder / "rows.duckdb").unlink()
    reveal(folder)
    home.open("slow").rows("SELECT 1")
    return time.perf_counter() - started


if __name__ == "__main__":
    main(*(int(number) for number in sys.argv[1:]))
