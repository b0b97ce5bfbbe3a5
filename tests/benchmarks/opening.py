"""Opening an agent of 100,000 events in a fresh process, its stores caught up: seconds and memory.

Run: `python -m tests.benchmarks.opening [events]`.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from memgpt_core.home import Home
from tests.benchmarks._lives import Talker, make_agent, mean_bytes
from tests.benchmarks._tables import at_most, doing, heading, series, table

EVENTS = 100_500
"""Half a checkpoint interval past a checkpoint: an average tail to fold."""

OPENINGS = 7
OPENINGS_BARE = 3
FLOOR_S = 1.5
FLOOR_MB = 250.0
AGENT = "large"

HOW = """Each opening is a process of its own that imports everything and opens the home; then the clock starts,
Home.open returns a workspace, and the clock stops. Memory is VmRSS of /proc/self/status above what the same process
had just before. The stores had caught up and were closed before; the files are in the page cache. The log has its
checkpoints, one each 500 events, as the engine keeps them; `without checkpoints` is a log copied from elsewhere.
The first search of recall comes after the opening: it makes the matrix of vectors and ranks; the index joins later
searches."""

CHILD = "tests.benchmarks.opening"


def main(events: int = EVENTS) -> None:
    """Print the table."""
    heading(f"Opening an agent of {events:,} events", HOW)
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        doing(f"making an agent of {events:,} events")
        make_agent(home / "agents" / AGENT, events)
        doing("opening it for the first time: the stores are made from the log")
        first_s = _catch_up(home)
        found = [_measured_in_child(home) for _ in range(OPENINGS)]
        bare = []
        for _ in range(OPENINGS_BARE):
            shutil.rmtree(home / "agents" / AGENT / "checkpoints")
            (home / "agents" / AGENT / "checkpoints").mkdir()
            bare.append(_measured_in_child(home)["opening, s"])
        size_mb = (home / "agents" / AGENT / "run.jsonl").stat().st_size / 1e6
        print(
            f"Log: {size_mb:.0f} MB, {mean_bytes(home / 'agents' / AGENT / 'run.jsonl')} bytes an event. Making all "
            f"three stores from it, once: {first_s:.1f} s.\n"
        )
    figures = {key: series([one[key] for one in found]) for key in found[0]}
    figures["opening without checkpoints, s"] = series(bare)
    floors = {
        "opening, s": at_most(figures["opening, s"].median, FLOOR_S, "s"),
        "memory above no agent, MB": at_most(figures["memory above no agent, MB"].median, FLOOR_MB, "MB"),
    }
    table(
        ("figure", "median", "p95", "max", "of", "floor (median)"),
        [(key, *value, floors.get(key, "")) for key, value in figures.items()],
    )


def _catch_up(path: Path) -> float:
    started = time.perf_counter()
    home = _home(path)
    try:
        if not home.open(AGENT).projections.flush():
            raise SystemExit(f"a store could not follow: {home.open(AGENT).notices()}")
        return time.perf_counter() - started
    finally:
        home.close()


def _measured_in_child(path: Path) -> dict[str, float]:
    run = subprocess.run([sys.executable, "-m", CHILD, "--child", str(path)], stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(run.stdout)
    return found


def child(path: Path) -> dict[str, Any]:
    """What one opening costs this process."""
    home = _home(path)
    empty_mb = resident_mb()
    started, processor = time.perf_counter(), time.process_time()
    workspace = home.open(AGENT)
    opened_s, processor_s = time.perf_counter() - started, time.process_time() - processor
    opened_mb = resident_mb()
    started = time.perf_counter()
    workspace.projections.recall("dofi gulo mina", page_size=5)
    searched_s = time.perf_counter() - started
    searched_mb = resident_mb()
    started = time.perf_counter()
    workspace.projections.recall("hapo sera", page_size=5)
    again_s = time.perf_counter() - started
    home.close()
    return {
        "opening, s": opened_s,
        "processor time of it, s": processor_s,
        "memory with no agent, MB": empty_mb,
        "memory above no agent, MB": opened_mb - empty_mb,
        "first search of recall after it, s": searched_s,
        "memory above no agent after that search, MB": searched_mb - empty_mb,
        "second search (other words), s": again_s,
    }


def resident_mb() -> float:
    """Memory of this process that is in RAM, in MB."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) * 1024 / 1e6


def _home(path: Path) -> Home:
    return Home(path, models={"scripted": Talker()}, timer=False)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(child(Path(sys.argv[2]))))
    else:
        main(*(int(argument) for argument in sys.argv[1:2]))
