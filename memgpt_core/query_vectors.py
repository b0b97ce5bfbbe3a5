"""One agent's query vectors: held ready, known to the home's cache, embedded a moment ago as a text, or asked for.

Does not search, and knows no store but the cache.
"""

import threading
from collections.abc import Mapping

import numpy as np

from memgpt_core.embedding.base import Embedder
from memgpt_core.embedding.batching import joins
from memgpt_core.events import clean
from memgpt_core.stores.matrix import Vector
from memgpt_core.stores.query_cache import QueryCache
from memgpt_core.stores.seals import text_hash

QUERY_CHARS = 4000
"""As much of a query is embedded: nobody asks more, and a pasted file is not a question."""

RECENT_KEPT = 256


class QueryVectors:
    """What searches of one agent compare with. Safe to use from any thread."""

    def __init__(self, cache: QueryCache, embedder: Embedder) -> None:
        self._cache = cache
        self._embedder = embedder
        self._recent: dict[str, Vector] = {}
        # A search embeds what is new, then asks for its query's vector, in one thread.
        self._ready = threading.local()

    def of(self, text: str) -> Vector | None:
        """The query's vector; None when it has none.

        Raises:
            ModelUnavailable: it cannot be had now.
        """
        query = as_embedded(text)
        if not query.strip():
            return None
        vector = self._known(query)
        if vector is None:
            self.keep(query, vector := self._embedder.embed([query])[0])
        self._ready.vector = None
        return vector if _usable(vector) else None

    def wanted(self, text: str) -> list[str]:
        """The query as it is embedded, if its vector is to be asked for along with texts; a known one is held ready."""
        query = as_embedded(text)
        if not query.strip() or not joins(self._embedder):
            return []
        vector = self._known(query)
        if vector is None:
            return [query]
        self._ready.query, self._ready.vector = query, vector
        return []

    def keep(self, query: str, vector: Vector) -> None:
        """Hold a vector that was asked for ready, and put it into the cache."""
        self._ready.query, self._ready.vector = query, vector
        if _usable(vector):
            self._cache.put(self._embedder.name, self._embedder.dim, query, vector)

    def embedded(self, texts: Mapping[str, Vector]) -> None:
        """Texts (by hash) were embedded: what was said just now is often what is looked for."""
        self._recent = dict([*self._recent.items(), *texts.items()][-RECENT_KEPT:])

    def _known(self, query: str) -> Vector | None:
        if getattr(self._ready, "vector", None) is not None and self._ready.query == query:
            ready: Vector = self._ready.vector
            return ready
        vector = self._cache.get(self._embedder.name, self._embedder.dim, query)
        return self._recent.get(text_hash(query)) if vector is None and self._cache.on else vector


def as_embedded(text: str) -> str:
    """As much of a query as is embedded; half of a surrogate pair has no bytes to send or to hash."""
    return str(clean(text[:QUERY_CHARS]))


def _usable(vector: Vector) -> bool:
    return bool(np.isfinite(vector).all() and vector.any())
