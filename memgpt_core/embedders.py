"""The home's embedders: one for each model, shared by all its agents, and the two switches of how they are asked.

The switches hold for the home and not for an agent: requests are joined across agents and query vectors are kept for
all of them, and neither changes what any agent finds. They stand in `embedding.json`, and no log knows of them.
"""

import contextlib
import json
import threading
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from memgpt_core.embedding.base import Embedder
from memgpt_core.embedding.batching import Batching, Sent
from memgpt_core.stores.query_cache import Lookups, QueryCache


class Used(NamedTuple):
    """One model's requests since the home was opened: what was asked and sent, and the queries looked up."""

    model: str
    dim: int
    sent: Sent
    lookups: Lookups


class Embedders:
    """Every embedder of a home by what it is made of.

    Attributes:
        since: when counting began.
    """

    def __init__(self, path: Path | None = None, queries: QueryCache | None = None) -> None:
        """`path` keeps the switches, `queries` are the home's; without them they hold until the end, of nothing."""
        self.since = datetime.now(UTC)
        self._path = path
        self._queries = queries
        self._lock = threading.Lock()
        self._made: dict[Hashable, Batching] = {}
        self._batching = True
        if path is not None:
            with contextlib.suppress(OSError, ValueError, AttributeError):
                said = json.loads(path.read_text(encoding="utf-8"))
                self._switch(bool(said.get("batching", True)), bool(said.get("query_cache", True)))

    def shared(self, key: Hashable, make: Callable[[], Embedder]) -> Embedder:
        """The one embedder of this kind, made when it is first asked for."""
        with self._lock:
            if key not in self._made:
                self._made[key] = Batching(make())
                self._made[key].on = self._batching
            return self._made[key]

    @property
    def batching(self) -> bool:
        """Whether requests that come together leave as one."""
        return self._batching

    @property
    def query_cache(self) -> bool:
        """Whether the vectors of queries are kept."""
        return self._queries is not None and self._queries.on

    def switch(self, *, batching: bool, query_cache: bool) -> None:
        """Have requests joined, and query vectors kept, or not; from now on, for all agents of the home."""
        self._switch(batching, query_cache)
        if self._path is not None:
            new = self._path.with_suffix(".new")
            # A disk that takes nothing: it holds until the end.
            with contextlib.suppress(OSError):
                new.write_text(json.dumps({"batching": batching, "query_cache": query_cache}), encoding="utf-8")
                new.replace(self._path)

    def used(self) -> list[Used]:
        """Each model that was asked or looked up, the busiest first."""
        with self._lock:
            made = list(self._made.values())
        counted = [
            Used(
                one.name,
                one.dim,
                one.sent(),
                self._queries.lookups(one.name, one.dim) if self._queries else Lookups(0, 0),
            )
            for one in made
        ]
        return sorted((one for one in counted if one.sent.asked or one.lookups.asked), key=lambda one: -one.sent.asked)

    def kept_queries(self) -> tuple[int, int]:
        """(query vectors on the disk, their bytes)."""
        return self._queries.size() if self._queries else (0, 0)

    @property
    def kept_queries_most(self) -> int:
        """How many bytes of query vectors are kept at most."""
        return self._queries.bytes_most if self._queries else 0

    def _switch(self, batching: bool, query_cache: bool) -> None:
        with self._lock:
            self._batching = batching
            for one in self._made.values():
                one.on = batching
        if self._queries is not None:
            self._queries.on = query_cache
