"""A bundle of 100,000 events and 20,000 passages: written and taken in, each in a process of its own.

Run: `python -m tests.benchmarks.bundle [events]`.
"""

import json
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path
from random import Random
from typing import Any

from memgpt_core.events import ArchivalInserted
from memgpt_core.home import Home
from memgpt_core.interchange.bundle import export_bundle, import_bundle
from memgpt_core.interchange.redact import Redaction
from tests.benchmarks._lives import Talker, make_agent, text
from tests.benchmarks._tables import at_most, doing, heading, table

EVENTS = 100_000
PASSAGES = 20_000
PASSAGES_AT_ONCE = 500
LIMIT_S = 20.0
LIMIT_MB = 1024.0
AGENT = "large"

HOW = """The agent's log is what the engine writes; the passages are then inserted through the journal, and every text
is embedded with the hashing embedder. Export and import are a process each, which opens a home and then starts the
clock; an import goes into a home of its own and ends when the new agent is open with its rows. Memory is VmHWM, the
most the whole process ever had in RAM. The floor beside is what cannot be saved: the same log read, packed or unpacked,
and written."""


def main(events: int = EVENTS, passages: int = PASSAGES) -> None:
    """Print the table."""
    heading(f"A bundle of {events:,} events and {passages:,} passages", HOW)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _make(folder / "home", events, passages)
        rows: list[tuple[object, ...]] = []
        for what, limit in (("export", LIMIT_S), ("redacted export", None), ("import", LIMIT_S)):
            doing(what)
            found = _in_child(what, folder)
            over = found["seconds"] / found["floor_s"]
            said = at_most(found["seconds"], limit, "s") if limit else ""
            memory = at_most(found["peak_mb"], LIMIT_MB, "MB")
            rows.append(
                (what, found["seconds"], found["floor_s"], over, found["peak_mb"], found["size_mb"], said, memory)
            )
    table(("what", "s", "floor, s", "times floor", "peak MB", "bundle MB", "limit", "memory"), rows)


def _make(path: Path, events: int, passages: int) -> None:
    doing(f"making an agent of {events:,} events with {passages:,} passages")
    make_agent(path / "agents" / AGENT, events - passages)
    home = _home(path)
    ws = home.open(AGENT)
    rng = Random(5)
    for _ in range(0, passages, PASSAGES_AT_ONCE):
        ws._journal.commit_many(
            [ArchivalInserted(text=text(rng, 60), author="import") for _ in range(PASSAGES_AT_ONCE)]
        )
    doing("embedding")
    ws.reembed()
    if not ws.projections.flush():
        raise SystemExit(f"a store could not follow: {ws.notices()}")
    home.close()


def _in_child(what: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.bundle", "--child", what, str(folder)]
    run = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return found


def child(what: str, folder: Path) -> dict[str, Any]:
    """What one export or import costs this process."""
    bundle = folder / "large.memscope"
    home = _home(folder / ("taken" if what == "import" else "home"))
    if what == "import":
        started = time.perf_counter()
        import_bundle(home, bundle)
        seconds = time.perf_counter() - started
        floor_s = _unpacking(folder / "home", folder)
    else:
        ws = home.open(AGENT)
        out = bundle if what == "export" else folder / "redacted.memscope"
        wish = Redaction(("email", "phone", "url", "ip", "card", "iban")) if what != "export" else None
        started = time.perf_counter()
        export_bundle(ws, out, redaction=wish)
        seconds = time.perf_counter() - started
        floor_s = _packing(folder / "home", folder)
        bundle = out
    status = Path("/proc/self/status").read_text()
    peak_mb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024 / 1e6
    home.close()
    return {"seconds": seconds, "floor_s": floor_s, "peak_mb": peak_mb, "size_mb": bundle.stat().st_size / 1e6}


def _packing(home: Path, folder: Path) -> float:
    started = time.perf_counter()
    packer = zlib.compressobj(4)
    with (home / "agents" / AGENT / "run.jsonl").open("rb") as read, (folder / "packed").open("wb") as write:
        while chunk := read.read(2**20):
            write.write(packer.compress(chunk))
        write.write(packer.flush())
    return time.perf_counter() - started


def _unpacking(home: Path, folder: Path) -> float:
    started = time.perf_counter()
    unpacker = zlib.decompressobj()
    with (folder / "packed").open("rb") as read, (folder / "unpacked").open("wb") as write:
        while chunk := read.read(2**20):
            write.write(unpacker.decompress(chunk))
    return time.perf_counter() - started


def _home(path: Path) -> Home:
    return Home(path, models={"scripted": Talker()}, timer=False)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(child(sys.argv[2], Path(sys.argv[3]))))
    else:
        main(*(int(argument) for argument in sys.argv[1:3]))
