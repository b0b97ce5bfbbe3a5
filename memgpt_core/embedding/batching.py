"""One embedder for all who ask: what comes within a few milliseconds leaves as one request.

Whoever asks first waits a moment for company, and only a small share of what a request takes, so that a lone query is
not noticeably later and an embedder that answers at once makes nobody wait. Texts that fill a request leave alone, and
no query waits behind an import's. A request that fails for several is made again for each alone: every asker has its
own answer or its own sentence. Does not know who asks, nor what is embedded already.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from memgpt_core.embedding.base import Embedder, Vectors
from memgpt_core.errors import ModelUnavailable

FULL = 32
"""Texts that fill a request: what `/api/embed` is sent at once, and where MiniLM gains no more from larger ones."""

WAIT_MOST_S = 0.003
WAIT_SHARE = 0.05
"""How much of what a request takes the first asker may wait for others."""

WAIT_LEAST_S = 0.0005
"""For less than this nobody waits: on a busy machine who goes to sleep is woken milliseconds later."""

APART_WITHIN_S = 5.0
"""A shared request that took longer than this to fail is not made again for each: the server is what is slow."""

_REMEMBERED = 8


class Sent(NamedTuple):
    """What was asked of an embedder since it was made.

    Attributes:
        asked: how often somebody asked for vectors; requests: how often the embedder was asked for them.
        texts: how many texts it was given.
        request_s: what a small request takes, the median of the last ones, in seconds.
    """

    asked: int
    requests: int
    texts: int
    request_s: float


def joins(embedder: Embedder) -> bool:
    """Whether what this embedder is asked for at one time should be asked for at once."""
    return isinstance(embedder, Batching) and embedder.on


class _Ask:
    """One asker's texts, and their vectors once they are there."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self.vectors: Vectors | None = None


class _Shared:
    """A request that gathers asks; when it is over, `failed` is why it has no vectors, if it has none."""

    def __init__(self) -> None:
        self.asks: list[_Ask] = []
        self.size = 0
        self.full = threading.Event()
        self.over = threading.Event()
        self.failed: ModelUnavailable | None = None
        self.seconds = 0.0

    def add(self, ask: _Ask) -> None:
        self.asks.append(ask)
        self.size += len(ask.texts)
        if self.size >= FULL:
            self.full.set()


class Batching:
    """An embedder shared by whoever asks. Safe to use from any thread.

    Attributes:
        on: whether requests are joined; each leaves by itself when they are not.
    """

    def __init__(self, embedder: Embedder, timer: Callable[[], float] = time.perf_counter) -> None:
        self.on = True
        self._embedder = embedder
        self._timer = timer
        self._lock = threading.Lock()
        self._gathering: _Shared | None = None
        self._asked = self._requests = self._texts = 0
        self._took: deque[float] = deque(maxlen=_REMEMBERED)

    @property
    def name(self) -> str:
        """The embedder's name, which is stored with every vector."""
        return self._embedder.name

    @property
    def dim(self) -> int:
        """How long its vectors are."""
        return self._embedder.dim

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit vector a text, (n, dim) float32, as the embedder gives them to this asker alone.

        Raises:
            ModelUnavailable: none can be had, or what came has another size.
        """
        if not texts:
            return self._embedder.embed(texts)
        with self._lock:
            self._asked += 1
        if not self.on or len(texts) >= FULL:
            return self._request(texts)
        ask = _Ask(texts)
        shared, leads = self._join(ask)
        if leads:
            self._lead(shared)
        else:
            shared.over.wait()
        return self._answer(ask, shared)

    def sent(self) -> Sent:
        """What was asked so far, and what left."""
        with self._lock:
            ordered = sorted(self._took)
            middle = ordered[len(ordered) // 2] if ordered else 0.0
            return Sent(self._asked, self._requests, self._texts, middle)

    # --- gathering ---------------------------------------------------------------------------------------------

    def _join(self, ask: _Ask) -> tuple[_Shared, bool]:
        """The request an ask leaves with, and whether it is the first in it."""
        with self._lock:
            shared = self._gathering
            if shared is not None and shared.size + len(ask.texts) > FULL:
                # Fuller it will not become: its first asker need not wait longer.
                shared.full.set()
                shared = None
            leads = shared is None
            if shared is None:
                shared = self._gathering = _Shared()
            shared.add(ask)
            return shared, leads

    def _lead(self, shared: _Shared) -> None:
        if wait_s := self._wait_s():
            shared.full.wait(wait_s)
        with self._lock:
            if self._gathering is shared:
                self._gathering = None
        started = self._timer()
        try:
            # A text that two ask for is embedded once.
            rows = {text: row for row, text in enumerate(dict.fromkeys(t for ask in shared.asks for t in ask.texts))}
            vectors = self._request(list(rows))
            for ask in shared.asks:
                ask.vectors = vectors[[rows[text] for text in ask.texts]]
        except ModelUnavailable as error:
            shared.failed = error
        finally:
            shared.seconds = self._timer() - started
            shared.over.set()

    def _answer(self, ask: _Ask, shared: _Shared) -> Vectors:
        if ask.vectors is not None:
            return ask.vectors
        alone = len(shared.asks) == 1
        if shared.failed is not None and (alone or shared.seconds > APART_WITHIN_S):
            raise shared.failed if alone else ModelUnavailable(str(shared.failed)) from shared.failed
        # One asker's text may be what it failed of; also when who led was interrupted.
        return self._request(ask.texts)

    def _wait_s(self) -> float:
        with self._lock:
            # Not known yet: as long as it may be, once.
            wait_s = min(WAIT_MOST_S, WAIT_SHARE * min(self._took)) if self._took else WAIT_MOST_S
            return wait_s if wait_s >= WAIT_LEAST_S else 0.0

    # --- asking ------------------------------------------------------------------------------------------------

    def _request(self, texts: Sequence[str]) -> Vectors:
        with self._lock:
            self._requests += 1
            self._texts += len(texts)
        started = self._timer()
        made = self._embedder.embed(texts)
        if len(texts) < FULL:
            with self._lock:
                self._took.append(self._timer() - started)
        if np.shape(made) != (len(texts), self.dim):
            raise ModelUnavailable(
                f"The embedding model {self.name} gave vectors of the shape {np.shape(made)} for {len(texts)} texts of "
                f"{self.dim} numbers each. Choose another embedding model."
            )
        return made
