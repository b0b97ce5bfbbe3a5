"""Texts and their vectors for one agent: what is embedded, what is still lacking, what is near a query.

Keeps one matrix a table in step with the row store and asks the embedder for what the home's vectors do
not have. Never embeds a known text again. Does not rank: it gives cosines.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memgpt_core.embedding.base import Embedder
from memgpt_core.errors import ModelUnavailable
from memgpt_core.rows import Row
from memgpt_core.stores.matrix import MatrixRow, Part, VectorMatrix
from memgpt_core.stores.vectors import VectorStore

INDEXED_ROLES = ("user", "assistant")
INDEXED = {"messages": "role IN ('user', 'assistant') AND text <> ''", "passages": "text <> ''"}
"""Which rows of a table are found by similarity and stand in the search index, as SQL."""

EMBED_BATCH = 256
QUERIES_KEPT = 256

Query = Callable[[str, Mapping[str, Any]], list[Row]]


class Similarity:
    """One agent's vectors.

    Attributes:
        error: why the embedder could not be used last time; empty when it could.
        refused: texts (by hash) whose vector cannot be used, with the reason; asked again after a restart.
    """

    def __init__(self, vectors: VectorStore, embedder: Embedder, query: Query) -> None:
        self.error = ""
        self.refused: dict[str, str] = {}
        self._vectors = vectors
        self._embedder = embedder
        self._query = query
        self._lock = threading.RLock()
        self._embedding = threading.Lock()
        self._queries: OrderedDict[str, NDArray[np.float32] | None] = OrderedDict()
        self._matrices = {table: VectorMatrix(embedder.dim) for table in INDEXED}

    def forget(self) -> None:
        """Start again from the stores, as after a restart."""
        with self._lock:
            self.refused.clear()
            self._matrices = {table: VectorMatrix(self._embedder.dim) for table in INDEXED}

    def sync(self, position: int) -> None:
        """Take what the row store took up to `position`, with the vectors that are already known."""
        with self._lock:
            for table, matrix in self._matrices.items():
                if matrix.position < position:
                    self._sync(table, matrix, position)

    def embed(self, most: int | None = None, go_on: Callable[[], bool] = lambda: True) -> None:
        """Embed texts that lack a vector: all of them, or only if they are at most `most`; `go_on` can stop it.

        Raises:
            ModelUnavailable: the embedder cannot be used now; what was embedded until then is kept.
        """
        if most is not None and len(self.not_embedded()) > most:
            return
        with self._embedding:
            for table, matrix in self._matrices.items():
                with self._lock:
                    wanted = [row for row in matrix.lacking() if row.hash not in self.refused]
                for at in range(0, len(wanted), EMBED_BATCH):
                    if not go_on():
                        return
                    self._embed(table, wanted[at : at + EMBED_BATCH])

    def not_embedded(self) -> frozenset[str]:
        """Ids of current items that are found by words only."""
        with self._lock:
            return frozenset().union(*(matrix.not_embedded() for matrix in self._matrices.values()))

    def near(
        self, table: str, query: NDArray[np.float32], part: Part, *, floor: float, size: int, also: Sequence[str]
    ) -> tuple[dict[str, float], set[str]]:
        """Cosines of the nearest rows and of `also`, and all ids at or over `floor` (see `VectorMatrix.similar`)."""
        with self._lock:
            return self._matrices[table].similar(query, part, floor=floor, size=size, also=also)

    def query_vector(self, text: str) -> NDArray[np.float32] | None:
        """The query's vector; None when the embedder cannot be used now or the text has nothing to embed."""
        with self._lock:
            if text in self._queries:
                self._queries.move_to_end(text)
                return self._queries[text]
        try:
            vector = self._embedder.embed([text])[0]
        except ModelUnavailable as error:
            self.error = str(error)
            return None
        usable = vector if np.isfinite(vector).all() and vector.any() else None
        with self._lock:
            self._queries[text] = usable
            if len(self._queries) > QUERIES_KEPT:
                self._queries.popitem(last=False)
        return usable

    def _sync(self, table: str, matrix: VectorMatrix, position: int) -> None:
        role = "role" if table == "messages" else "''"
        found = self._query(
            f"""SELECT id, seq_from, seq_to, epoch_us("at") AS at_us, {role} AS role, sha256(text) AS hash FROM {table}
            WHERE {INDEXED[table]} AND ((seq_from > $after AND seq_from <= $position)
            OR (seq_to > $after AND seq_to <= $position)) ORDER BY seq_from""",
            {"after": matrix.position, "position": position},
        )
        found_rows = [MatrixRow(**raw) for raw in found]
        fresh = [row.hash for row in found_rows if row.seq_from > matrix.position]
        known = self._vectors.get(self._embedder.name, self._embedder.dim, fresh)
        for row in found_rows:
            ended = row.seq_to is not None and row.seq_to <= position
            if row.seq_from > matrix.position:
                matrix.add(row if ended else row._replace(seq_to=None))
            elif row.seq_to is not None:
                matrix.end(row.id, row.seq_from, row.seq_to)
        matrix.fill(known)
        matrix.position = position

    def _embed(self, table: str, rows: Sequence[MatrixRow]) -> None:
        found = self._query(
            f"SELECT DISTINCT sha256(text) AS hash, text FROM {table} WHERE seq_from IN (SELECT unnest($seqs))",
            {"seqs": [row.seq_from for row in rows]},
        )
        if not found:
            return
        try:
            made = self._embedder.embed([row["text"] for row in found])
        except ModelUnavailable as error:
            self.error = str(error)
            raise
        self.error = ""
        vectors = {row["hash"]: vector for row, vector in zip(found, made, strict=True)}
        refused = self._vectors.put(self._embedder.name, self._embedder.dim, vectors)
        kept = {hash: vector for hash, vector in vectors.items() if hash not in refused}
        with self._lock:
            self.refused.update(refused)
            for matrix in self._matrices.values():
                matrix.fill(kept)
