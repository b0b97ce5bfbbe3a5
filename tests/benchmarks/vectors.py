"""Nearest passages beside a bare NumPy product, in RAM and beyond it; single inserts beside one in bulk.

Run: `python -m tests.benchmarks.vectors [most passages]`; 1,000,000 takes 8 GB of RAM, 6 GB of disk and some minutes.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from memgpt_core import means
from memgpt_core.blueprint import Blueprint
from memgpt_core.home import Home
from memgpt_core.projections import Projections
from memgpt_core.search import NOTHING, Found
from memgpt_core.settings import AgentSettings
from memgpt_core.stores.index import IndexRow, LanceIndex
from memgpt_core.stores.vectors import VectorStore
from tests.benchmarks._lives import UNCOMMON, text
from tests.benchmarks._tables import at_least, at_most, doing, heading, series, table
from tests.benchmarks._vectors import DIM, QUERY, Canned, Numbers, filled, no_log, text_like

SIZES = (10_000, 100_000, 1_000_000)
MOST = 100_000
QUERIES = 41
TEXTS = 20_000
TOP = 10
INSERTS = 300
SINGLES = 10_000
RAM_RATIO, HYBRID_RATIO, INSERT_MS, SINGLES_RATIO, DISK_RATIO, RECALL = 1.3, 1.5, 2.0, 1.3, 1.5, 0.97

HOW = f"""Passages of {DIM} numbers in topics of very different sizes; queries of that kind that are no passages. The
product is NumPy's matrix @ query alone, without choosing the best. `tier` is what searches ask of the vectors (top
{TOP}); vectors, words and both are Projections.archival, a page of {TOP} hits with scores and totals, for queries of
two uncommon words, the query's vector at hand. All take turns, {QUERIES} queries; ratios are those of the medians and
those of the fastest, which other work disturbs least: to the product, of both together to the slower half.
With a budget of 0 everything is found on disk; recall@{TOP} is measured here for these queries, beside the product.
The processor's load is others' work, too: read ratios, not milliseconds. Under load the threads of a product wait for
each other; OPENBLAS_NUM_THREADS=1 keeps that out."""


def main(most: int = MOST) -> None:
    """Print the tables."""
    heading("Vectors: in RAM, on disk, one by one", HOW)
    with tempfile.TemporaryDirectory() as name:
        for size in SIZES:
            if size <= most:
                _nearest(Path(name) / str(size), size)
        _insert_and_find(Path(name) / "inserts")
        _singles(Path(name))


# --- nearest ----------------------------------------------------------------------------------------------------


def _nearest(folder: Path, size: int) -> None:
    doing(f"writing {size:,} passages")
    rng = Random(1)
    said = [text(rng, rng.randint(20, 60)) for _ in range(TEXTS)]
    passages, queries = text_like(size), text_like(QUERIES, seed=1)
    filled(folder, [f"p{at} {said[at * 7919 % TEXTS]}" for at in range(size)], passages)
    canned = Canned(queries, passages)
    rows: list[tuple[Any, ...]] = []
    with _opened(folder, canned, size, vectors_mb=4096) as stores:
        rows += _timed("in RAM", stores, canned, size)
    with _opened(folder, canned, size, vectors_mb=0) as stores:
        rows += _timed("budget 0", stores, canned, size)
        (tier,) = stores.in_ram().spread
    print(f"{size:,} passages. With a budget of 0: {tier.kind}; in RAM {tier.held:,} of {tier.vectors:,}.")
    table(("where", "what", "beside, ms", "ours, ms", "ratio", "of the fastest", f"recall@{TOP}", "floor"), rows)


@contextmanager
def _opened(folder: Path, canned: Canned, size: int, vectors_mb: int) -> Iterator[Projections]:
    vectors = VectorStore(folder / "vectors.duckdb")
    stores = Projections(folder, vectors, canned, read=no_log, vectors_mb=vectors_mb)
    started = time.perf_counter()
    # The thread would do it behind the first searches, which are not what is measured.
    stores._similarity.sync(size, lambda: stores._spread())  # type: ignore[union-attr]
    where = "read in" if vectors_mb else "read in and put on disk"
    doing(f"words and vectors of {size:,} {where}: {time.perf_counter() - started:.1f} s")
    try:
        yield stores
    finally:
        stores.close(follow=False)
        vectors.close()


def _timed(where: str, stores: Projections, canned: Canned, size: int) -> list[tuple[Any, ...]]:
    passages, queries = canned.passages, canned.queries
    asked = [f"{QUERY}{at} {UNCOMMON[at * 5]} {UNCOMMON[at * 9 + 1]}" for at in range(QUERIES)]

    def ours(signals: Any) -> Callable[[int], object]:
        return lambda at: stores.archival(asked[at], signals=signals, page_size=TOP)

    product: Callable[[int], object] = lambda at: passages @ queries[at]  # noqa: E731
    done = _in_turn(product, lambda at: _tier(stores, queries[at], size), *map(ours, ("vectors", "words", "both")))
    recall = _recall(canned, lambda at: stores.archival(asked[at], signals="vectors", page_size=TOP))
    slower = max(done[2:4], key=lambda taken: series(taken).median)
    rows = []
    for what, taken, beside in zip(
        ("tier", "vectors", "words", "both"), done[1:], (*done[:1] * 3, slower), strict=True
    ):
        ratio = series(taken).median / series(beside).median
        floor = ""
        if what == "both":
            floor = at_most(ratio, HYBRID_RATIO, "x the slower half")
        elif what in ("tier", "vectors") and where == "in RAM":
            floor = at_most(ratio, RAM_RATIO, "x")
        elif what == "tier" and size == SIZES[-1]:
            floor = at_most(ratio, 1.0, "x")
        elif what == "vectors" and where != "in RAM":
            floor = at_least(recall, RECALL, "found")
        told = recall if what == "vectors" else ""
        least = min(taken) / min(beside)
        rows.append((where, what, series(beside).median, series(taken).median, ratio, least, told, floor))
    return rows


def _tier(stores: Projections, query: Numbers, size: int) -> object:
    hot = stores._hot.tables["passages"]
    with stores._hot.lock:
        part, beside = hot.versions.standing(size, (), ()), hot.versions.beside(size, ())
        near = stores._similarity.near(  # type: ignore[union-attr]
            hot, query, part, beside, floor=-1.0, size=TOP, also=NOTHING
        )
    return near


def _recall(canned: Canned, search: Callable[[int], Found]) -> float:
    found = []
    for at in range(QUERIES):
        cosines = canned.passages @ canned.queries[at]
        true = set(np.argpartition(-cosines, TOP)[:TOP].tolist())
        # The first passage is that of event 1.
        hits = {int(hit.id[1:]) - 1 for hit in search(at).hits}
        found.append(len(true & hits) / TOP)
    return float(np.mean(found))


def _in_turn(*actions: Callable[[int], object]) -> list[list[float]]:
    """Milliseconds of each for each query, taken in turn so that what else the machine does hits all alike."""
    for action in actions:
        action(0)
    taken: list[list[float]] = [[] for _ in actions]
    for at in range(QUERIES):
        for which, action in enumerate(actions):
            started = time.perf_counter()
            action(at)
            taken[which].append((time.perf_counter() - started) * 1000)
    return taken


# --- one by one -------------------------------------------------------------------------------------------------


def _insert_and_find(folder: Path) -> None:
    vectors = text_like(INSERTS + 1, seed=2)
    canned = Canned(vectors, vectors)
    means.HashingEmbedder = lambda: canned  # type: ignore[misc, assignment]
    home = Home(folder, timer=False)
    try:
        ws = home.open(home.create(Blueprint(name="one by one", settings=AgentSettings(embedder="hashing"))))
        inserts, finds = [], []
        for at in range(1, INSERTS + 1):
            started = time.perf_counter()
            id = ws.edits.insert_passage(f"p{at} a fact about {UNCOMMON[at]}")
            inserted = time.perf_counter()
            found = ws.archival(f"{QUERY}{at} {UNCOMMON[at]}", page_size=TOP).hits[0].id
            finds.append((time.perf_counter() - inserted) * 1000)
            inserts.append((inserted - started) * 1000)
            if found != id:
                raise SystemExit(f"passage {id} was not found right after it was stored")
        both = [one + other for one, other in zip(inserts, finds, strict=True)]
        limit = at_most(series(both).median, 2 * INSERT_MS, "ms")
        rows = [
            ("insert, durable", *series(inserts), at_most(series(inserts).median, INSERT_MS, "ms")),
            ("find it", *series(finds), at_most(series(finds).median, INSERT_MS, "ms")),
            ("both", *series(both), limit),
        ]
    finally:
        home.close()
    print("Through a workspace: the log's line is synced before insert returns; the embedder costs nothing here.")
    table(("ms", "median", "p95", "max", "of", "floor (median)"), rows)


def _singles(folder: Path) -> None:
    rng = Random(1)
    vectors = text_like(SINGLES)
    rows = [IndexRow(f"p{at}", at, text(rng, 40), vectors[at]) for at in range(SINGLES)]
    measured = []
    for what, portion in (("in bulk", SINGLES), ("one an event", 1)):
        doing(f"{SINGLES:,} rows into the search index, {what}")
        index = LanceIndex(folder / what, "canned", DIM)
        index.open()
        started = time.perf_counter()
        for at in range(0, SINGLES, portion):
            index.merge("passages", rows[at : at + portion])
            index.tidy()
        seconds = time.perf_counter() - started
        taken = []
        for at in range(QUERIES):
            began = time.perf_counter()
            index.words("passages", f"{UNCOMMON[at * 5]} {UNCOMMON[at * 9 + 1]}", TOP)
            taken.append((time.perf_counter() - began) * 1000)
        measured.append((what, seconds, series(taken).median, _bytes(folder / what) / 1e6))
        index.close()
    (_, _, bulk_ms, bulk_mb), (_, _, single_ms, single_mb) = measured
    search = at_most(single_ms / bulk_ms, SINGLES_RATIO, "x")
    told = ["", f"search {search}, disk {at_most(single_mb / bulk_mb, DISK_RATIO, 'x')}"]
    print("The search index on disk, each row merged by itself as by an agent that stores one fact at a time.")
    columns = ("rows", "all merged in, s", "search, ms", "on disk, MB", "floor")
    table(columns, [(*one, floor) for one, floor in zip(measured, told, strict=True)])


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
