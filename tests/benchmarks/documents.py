"""What taking documents in costs beside the embedder: MB a second, memory, and the share of time with a real model.

Run: `python -m tests.benchmarks.documents [MB of text [MB with MiniLM]]`.
"""

import resource
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from memgpt_core.blueprint import Blueprint
from memgpt_core.embedding.hashing import HashingEmbedder
from memgpt_core.embedding.minilm import MiniLMEmbedder
from memgpt_core.home import Home
from memgpt_core.settings import AgentSettings
from tests.benchmarks._lives import Talker, text
from tests.benchmarks._tables import heading, table

MB = 100
MINILM_MB = 0.5
FILE_BYTES = 2**20
SHARE_FLOOR = 0.10
KINDS: dict[str, Any] = {"hashing": HashingEmbedder, "minilm": MiniLMEmbedder}

HOW = """A folder of Markdown files of 1 MB with headings is taken in through `home.adding`, as a person does, until
every passage has its vector and is in the search index. `embedding` is the time inside the embedder's own `embed`, in
whatever thread; `rest` is the whole time less that, and `share` the rest's part of the whole (the threads overlap, so
it is what the import costs beside the embedder, not the processor's time). `memory` is the process's largest resident
size after this row; the vectors themselves take 1.5 KB a passage of it, wherever they come from."""


class Timed:
    """The time that a kind of embedder spends in `embed`, in all threads together."""

    def __init__(self, kind: Any) -> None:
        self._kind, self._embed = kind, kind.embed
        self._lock = threading.Lock()
        self.seconds = 0.0

    def __enter__(self) -> "Timed":
        def embed(embedder: Any, texts: Sequence[str]) -> Any:
            started = time.perf_counter()
            try:
                return self._embed(embedder, texts)
            finally:
                with self._lock:
                    self.seconds += time.perf_counter() - started

        self._kind.embed = embed
        return self

    def __exit__(self, *_: object) -> None:
        self._kind.embed = self._embed


def main(megabytes: float = MB, with_model: float = MINILM_MB) -> int:
    """Print the table; 1 when the floor is missed."""
    heading("documents", HOW)
    rows, missed = [], False
    for embedder, wanted in (("hashing", megabytes / 4), ("hashing", megabytes), ("minilm", with_model)):
        if wanted <= 0:
            continue
        row, share = _import(embedder, wanted)
        rows.append(row)
        missed |= embedder == "minilm" and share > SHARE_FLOOR
    table(("embedder", "MB", "passages", "s", "MB/s", "embedding s", "rest s", "share", "memory MB"), rows)
    if with_model > 0:
        print(f"Floor with MiniLM: rest ≤ {SHARE_FLOOR:.0%} of the whole: {'MISSED' if missed else 'met'}")
    return 1 if missed else 0


def _import(embedder: str, megabytes: float) -> tuple[tuple[str | int | float, ...], float]:
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "notes"
        notes.mkdir()
        size = _write(notes, int(megabytes * 2**20))
        home = Home(Path(folder) / "home", models={"scripted": Talker()}, timer=False)
        try:
            ws = home.open(
                home.create(Blueprint(name="R", settings=AgentSettings(model="scripted", embedder=embedder)))
            )
            started = time.perf_counter()
            with Timed(KINDS[embedder]) as timed:
                home.adding.start(ws.agent_id, [notes])
                while (job := home.adding.job(ws.agent_id)) and job.running:
                    time.sleep(0.05)
            whole = time.perf_counter() - started
            assert job is not None
            assert not job.failed, job.failed
            assert not job.outcome.said, job.outcome.said
            passages = ws.state().passages
        finally:
            home.close()
    rest = whole - timed.seconds
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    mb = size / 2**20
    row = (
        embedder,
        round(mb, 1),
        passages,
        round(whole, 1),
        round(mb / whole, 2),
        round(timed.seconds, 1),
        round(rest, 1),
        f"{rest / whole:.0%}",
        round(peak),
    )
    return row, rest / whole


def _write(folder: Path, size: int) -> int:
    """Files of about 1 MB with headings and paragraphs of made-up prose; how many bytes in all."""
    rng, written = Random(3), 0
    number = 0
    while written < size:
        number += 1
        path = folder / f"volume-{number:04}.md"
        want = min(FILE_BYTES, size - written)
        with path.open("w") as file:
            at = file.write(f"# Volume {number}\n\n")
            while at < want:
                at += file.write(f"## Chapter {at}\n\n")
                for _ in range(6):
                    said = (text(rng, rng.randint(8, 20)).capitalize() for _ in range(rng.randint(4, 10)))
                    at += file.write(". ".join(said) + ".\n\n")
        written += path.stat().st_size
    return written


if __name__ == "__main__":
    sys.exit(main(*(float(argument) for argument in sys.argv[1:3])))
