"""An embedding model served by Ollama: texts in batches through `/api/embed`, unit vectors out.

A text longer than the model takes is split here and never cut by the server: its vector is the mean of its
parts' vectors, made unit length again. Does not know what the vectors are for, and keeps none.
"""

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from memgpt_core.embedding.base import Vectors
from memgpt_core.errors import ContextOverflow, ModelUnavailable
from memgpt_core.llm import ollama_http, streams
from memgpt_core.llm.ollama_host import base_url
from memgpt_core.llm.ollama_http import Limits
from memgpt_core.llm.ollama_refusals import Refused
from memgpt_core.llm.ollama_wire import embeddings, shown
from memgpt_core.tokens import count

BATCH = 32
EMBED = Limits(first_byte_s=300.0, idle_s=60.0)
SHARE_OF_LIMIT = 0.85
"""How much of the model's limit a part may fill by our count, which is an estimate."""

UNKNOWN_LIMIT_TOKENS = 512
"""The limit of a model whose card names none; the smallest that is common."""

SHORTEST_CHARS = 32
"""A text this short that is still too long for the model is refused rather than split."""

REFUSALS_CAP = 3
"""So many single texts refused in a row, and a plain one is tried: if it is refused too, the model is at fault."""

PLAIN = "some text"

_Vector = NDArray[np.float32]


class _Unfit(ModelUnavailable):
    """An answer that has not one vector a text; which of them is at fault it does not say."""


class _Tally:
    """What became of the texts of one call, tried one by one: whether any was taken, and the refusals."""

    def __init__(self) -> None:
        self.any_taken = False
        self.refusals: list[ModelUnavailable] = []
        self._in_a_row = 0

    def taken(self) -> None:
        """Some texts were taken."""
        self.any_taken = True
        self._in_a_row = 0

    def refused(self, refusal: ModelUnavailable) -> bool:
        """Note that a single text was refused; whether it is time to see if any text is taken."""
        self.refusals.append(refusal)
        self._in_a_row += 1
        return self._in_a_row % REFUSALS_CAP == 0


class OllamaEmbedder:
    """Vectors of one model at one server.

    Attributes:
        name: `ollama:` and the model, with the digest's beginning when it is given.
        dim: how long its vectors are; 0 until the first text was embedded, and fixed from then on.
    """

    def __init__(
        self,
        host: str,
        model: str,
        *,
        dim: int = 0,
        digest: str = "",
        limit_tokens: int = 0,
        limits: Limits = EMBED,
    ) -> None:
        """`limit_tokens` is what the model takes at once; 0 asks its card when the first text comes."""
        self.host = base_url(host)
        self.name = f"ollama:{model}" + (f"@{digest.removeprefix('sha256:')[:12]}" if digest else "")
        self.dim = dim
        self._model = model
        self._limit_tokens = limit_tokens
        self._limits = limits

    def learn(self) -> int:
        """The dimension, asked of the model if it is not known yet. Raises `ModelUnavailable`."""
        if not self.dim:
            self.embed(["dimension"])
        return self.dim

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit vector a text, (n, dim) float32; zero for an empty text and for one the model refuses.

        Raises:
            ModelUnavailable: no vector can be had, or the model's vectors have another dimension than before.
        """
        rows = [(row, part) for row, text in enumerate(texts) if text.strip() for part in self._parts(text)]
        tally = _Tally()
        made: list[_Vector | None] = []
        for at in range(0, len(rows), BATCH):
            made += self._batch([part for _, part in rows[at : at + BATCH]], tally)
        if tally.refusals and not tally.any_taken:
            raise tally.refusals[-1]
        found: dict[int, list[_Vector | None]] = {}
        for (row, _), vector in zip(rows, made, strict=True):
            found.setdefault(row, []).append(vector)
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, of_parts in found.items():
            vectors[row] = self._mean(of_parts)
        return vectors

    def _batch(self, texts: list[str], tally: _Tally) -> list[_Vector | None]:
        """Vectors of a batch; one that fails is tried again in halves, down to the text that is at fault."""
        try:
            made = self._ask(texts)
        except ContextOverflow as overflow:
            if len(texts) == 1:
                return [self._of_halves(texts[0], overflow, tally)]
        except (Refused, _Unfit) as refused:
            if isinstance(refused, Refused) and refused.status not in (400, 500):
                raise
            if len(texts) == 1:
                if tally.refused(refused):
                    # Raises, when the model takes nothing any more: so the texts were not what it refused.
                    self._ask([PLAIN])
                return [None]
        else:
            tally.taken()
            return made
        middle = len(texts) // 2
        return self._batch(texts[:middle], tally) + self._batch(texts[middle:], tally)

    def _of_halves(self, text: str, overflow: ContextOverflow, tally: _Tally) -> _Vector | None:
        if len(text) < SHORTEST_CHARS:
            raise overflow
        return self._mean(self._batch(_halves(text), tally))

    def _mean(self, of_parts: Sequence[_Vector | None]) -> _Vector:
        """One unit vector of a text's parts; zero when a part has none, as half a text would mislead a search."""
        whole = [vector for vector in of_parts if vector is not None]
        if len(whole) < len(of_parts):
            return np.zeros(self.dim, dtype=np.float32)
        mean = _unit(np.mean(np.stack(whole), axis=0))
        return np.zeros(self.dim, dtype=np.float32) if mean is None else mean

    def _ask(self, texts: list[str]) -> list[_Vector | None]:
        request = {"model": self._model, "input": texts, "truncate": False, "keep_alive": "10m"}
        content = json.dumps(request, ensure_ascii=False).encode()
        answer = ollama_http.ask(self.host, "POST", "/api/embed", content, self._limits, model=self._model)
        rows = embeddings(streams.run(answer))
        if len(rows) != len(texts):
            raise _Unfit(
                f"The embedding model {self._model} gave {len(rows)} vectors for {len(texts)} texts. Restart the model "
                "server, or choose another embedding model."
            )
        dims = {len(row) for row in rows}
        if not self.dim and len(dims) == 1:
            (self.dim,) = dims
        if self.dim not in dims or not self.dim:
            raise ModelUnavailable(
                f"The embedding model {self._model} gives vectors of {max(dims)} numbers and not of {self.dim}: the "
                "model has changed on the server. Press “Embed them again” under Archival storage, and everything is "
                "embedded anew."
            )
        # A null stands where the model computed no number; such a text, and one whose vector has another size than
        # its neighbours', counts as not embedded.
        return [_unit(np.array(row, dtype=np.float64)) if len(row) == self.dim else None for row in rows]

    # --- texts longer than the model takes ---------------------------------------------------------------------

    def _parts(self, text: str) -> list[str]:
        if count(text) <= self._limit() * SHARE_OF_LIMIT or len(text) < SHORTEST_CHARS:
            return [text]
        return [part for half in _halves(text) for part in self._parts(half)]

    def _limit(self) -> int:
        if not self._limit_tokens:
            content = json.dumps({"model": self._model}).encode()
            answer = ollama_http.ask(self.host, "POST", "/api/show", content, self._limits, model=self._model)
            card = shown(streams.run(answer))
            known = [limit for limit in (card.context_length, card.num_ctx) if limit]
            self._limit_tokens = min(known, default=UNKNOWN_LIMIT_TOKENS)
        return self._limit_tokens


def _halves(text: str) -> list[str]:
    """Two halves, cut at the space nearest the middle if there is one near."""
    middle = len(text) // 2
    space = text.rfind(" ", middle - middle // 4, middle + 1)
    cut = space if space > 0 else middle
    return [half for half in (text[:cut], text[cut:]) if half.strip()]


def _unit(vector: NDArray[np.floating]) -> _Vector | None:
    length = np.linalg.norm(vector)
    if not np.isfinite(length) or length == 0:
        return None
    unit: _Vector = (vector / length).astype(np.float32)
    return unit
