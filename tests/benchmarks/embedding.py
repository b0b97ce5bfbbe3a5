"""Batching and the query cache: requests and seconds saved on the companion's recording, and what a lone query waits.

Run: `python -m tests.benchmarks.embedding [ms a request] [agents]`.
"""

import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from memgpt_core.embedding.base import Vectors
from memgpt_core.embedding.batching import Batching
from memgpt_core.embedding.hashing import HashingEmbedder
from memgpt_core.events import Event
from memgpt_core.home import SAMPLES
from memgpt_core.log import read_events
from memgpt_core.projections import Projections
from memgpt_core.state import INITIAL, State, apply
from memgpt_core.stores.query_cache import QueryCache
from memgpt_core.stores.vectors import VectorStore, text_hash
from tests.benchmarks._tables import at_most, doing, heading, table

PAUSE_MOST_S = 0.1
LONE_REQUESTS_MS = (200.0, 20.0, 5.0, 0.0)
LONE = 40
LONE_SHARE, LONE_MS = 0.10, 0.10
"""How much later a lone query may be: of what it takes alone, and in any case."""

ROWS = 2000

HOW = """The companion's recording is lived again, turn by turn, with an embedder that takes {request_ms:g} ms a request
whatever is in it: texts are taken as they were committed, searches made where they were made, and what is new embedded
when a turn ends; then comes a pause of 0 to {pause:g} ms, drawn with a fixed seed, so that agents are not in step. One
agent; {agents} agents at once, with queries of their own; and their searches made again after a restart, as a person
does on the pages. requests: how often the embedder was asked; saved: beside both switches off. The model's own time and
the search index are left out. A lone query: one asker, nobody else; its floor is the embedder without anything in
between."""


class Slow:
    """The hashing embedder as a server of its own: each request takes as long, whatever is in it."""

    def __init__(self, request_s: float) -> None:
        self.name, self.dim = "ollama:slow", 256
        self._hashing = HashingEmbedder(self.dim)
        self._request_s = request_s

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors, after the time a request takes."""
        made = self._hashing.embed(texts)
        time.sleep(self._request_s)
        return made


class Stores(Projections):
    """An agent's stores without the search index, which asks no embedder."""

    def flush(self) -> bool:
        """Take what was committed, and embed what is new."""
        self.settle()
        self._attempt("vectors", self._embed)
        return True


class Lived(NamedTuple):
    """What one scenario took: requests, and seconds of wall clock."""

    requests: int
    seconds: float


def main(request_ms: float = 200.0, agents: int = 4) -> None:
    """Print the tables."""
    heading("Embedding requests", HOW.format(request_ms=request_ms, agents=agents, pause=1000 * PAUSE_MOST_S))
    rows: list[tuple[Any, ...]] = []
    without: dict[str, Lived] = {}
    for batching, cache in ((False, False), (True, False), (False, True), (True, True)):
        for name, lived in _scenarios(request_ms / 1000, agents, batching, cache).items():
            before = without.setdefault(name, lived)
            doing(f"{name}: {lived.requests} requests, {lived.seconds:.1f} s")
            saved = (before.requests - lived.requests, before.seconds - lived.seconds)
            rows.append((name, _on(batching), _on(cache), lived.requests, lived.seconds, *saved))
    order = list(without)
    rows.sort(key=lambda row: order.index(row[0]))
    table(("scenario", "batching", "query cache", "requests", "seconds", "requests saved", "seconds saved"), rows)
    table(("ms a request", "alone, ms", "with batching, ms", "ratio", "floor"), [_lone(ms) for ms in LONE_REQUESTS_MS])
    table(("query cache of 2,000", "ms"), _cache())


def _on(switch: bool) -> str:
    return "on" if switch else "off"


# --- lives --------------------------------------------------------------------------------------------------------


def _scenarios(request_s: float, agents: int, batching: bool, cache: bool) -> dict[str, Lived]:
    doing(f"batching {_on(batching)}, query cache {_on(cache)}")
    events = list(read_events(SAMPLES / "companion" / "run.jsonl"))
    found = {}
    for name, many in (("one life", 1), (f"{agents} at once", agents)):
        with tempfile.TemporaryDirectory() as folder:
            for what, live in ((name, _live), ("their searches again", _search_again)):
                if what == name or many > 1:
                    house = _House(Path(folder), request_s, many, batching, cache)
                    found[what] = house.measured(live, events)
                    house.close()
    return found


class _House:
    """Agents that share an embedder and a query cache, each with its own vectors, so that none embeds for another."""

    def __init__(self, folder: Path, request_s: float, agents: int, batching: bool, cache: bool) -> None:
        self._front = Batching(Slow(request_s))
        self._front.on = batching
        self._queries = QueryCache(folder / "queries.sqlite")
        self._queries.on = cache
        self.stores: list[Projections] = []
        self._vectors = []
        for at in range(agents):
            place = folder / str(at)
            place.mkdir(exist_ok=True)
            vectors = VectorStore(place / "vectors.duckdb")
            vectors.queries = self._queries
            self._vectors.append(vectors)
            self.stores.append(Stores(place, vectors, self._front, read=_no_log))

    def measured(self, live: Callable[[Projections, Sequence[Event], int], None], events: Sequence[Event]) -> Lived:
        """What all agents took together."""
        before, started = self._front.sent().requests, time.perf_counter()
        threads = [threading.Thread(target=live, args=(stores, events, at)) for at, stores in enumerate(self.stores, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return Lived(self._front.sent().requests - before, time.perf_counter() - started)

    def close(self) -> None:
        """Let go of all files."""
        for stores, vectors in zip(self.stores, self._vectors, strict=True):
            stores.close(follow=False)
            vectors.close()


def _no_log(seq: int) -> Event:
    raise LookupError(seq)


def _live(stores: Projections, events: Sequence[Event], agent: int) -> None:
    chance = random.Random(agent)
    state: State = INITIAL
    for event in events:
        if event.kind in ("recall_searched", "archival_searched"):
            _search(stores, event, agent)
        stores.take(state, event)
        state = apply(state, event)
        if event.kind == "turn_ended":
            stores.flush()
            time.sleep(chance.uniform(0, PAUSE_MOST_S))


def _search_again(stores: Projections, events: Sequence[Event], agent: int) -> None:
    for event in events:
        if event.kind in ("recall_searched", "archival_searched"):
            _search(stores, event, agent)


def _search(stores: Projections, event: Any, agent: int) -> None:
    search = stores.recall if event.kind == "recall_searched" else stores.archival
    # Other agents look for other things.
    search(f"{event.query} {agent}", page=event.page)


# --- a lone query -------------------------------------------------------------------------------------------------


def _lone(request_ms: float) -> tuple[Any, ...]:
    bare = Slow(request_ms / 1000)
    front = Batching(Slow(request_ms / 1000))
    took: dict[str, list[float]] = {"bare": [], "front": []}
    for number in range(LONE if request_ms < 100 else LONE // 4):
        for name, embedder in (("bare", bare), ("front", front)):
            started = time.perf_counter()
            embedder.embed([f"where is the heron number {number}"])
            took[name].append(1000 * (time.perf_counter() - started))
    alone, batched = median(took["bare"]), median(took["front"])
    more_ms = round(max(LONE_SHARE * alone, LONE_MS), 2)
    return (request_ms, alone, batched, batched / alone, at_most(batched - alone, more_ms, "ms more"))


def _cache() -> list[tuple[str, float]]:
    vector = np.full(384, 1 / np.sqrt(384), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        cache = QueryCache(Path(folder) / "queries.sqlite")
        put = _each(lambda number: cache.put("m", 384, f"query {number}", vector), ROWS)
        ram = _each(lambda number: cache.get("m", 384, f"query {ROWS - 1 - number % 100}"), ROWS)
        cache.close()
        cache = QueryCache(Path(folder) / "queries.sqlite")
        disk = _each(lambda number: cache.get("m", 384, f"query {number}"), ROWS)
        cache.close()
        store = VectorStore(Path(folder) / "vectors.duckdb")
        duck = _each(lambda number: store.put("m", 384, {text_hash(f"text {number}"): vector}), 100)
        store.close()
    return [("put", put), ("found in RAM", ram), ("found on disk", disk), ("floor of a put: one into DuckDB", duck)]


def _each(act: Callable[[int], object], times: int) -> float:
    took = []
    for number in range(times):
        started = time.perf_counter()
        act(number)
        took.append(1000 * (time.perf_counter() - started))
    return median(took)


if __name__ == "__main__":
    main(*(float(sys.argv[1]),) if len(sys.argv) > 1 else (), *(int(text) for text in sys.argv[2:3]))
