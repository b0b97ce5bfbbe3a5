"""Texts and their vectors for one agent: what is embedded, what is still lacking, what is near a query.

Keeps the hot tier's matrices in step with the row store and asks the embedder for what the home's vectors do not
have. A text longer than an embedder reads is embedded in pieces; the whole text's vector, their mean, is kept beside
them for whoever has one vector a text. Never embeds a known text again. Does not rank: it gives cosines.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from memgpt_core.embedding.base import Embedder
from memgpt_core.embedding.batching import joins
from memgpt_core.errors import ModelUnavailable, StoreBroken
from memgpt_core.hot import INDEXED as INDEXED
from memgpt_core.hot import INDEXED_ROLES as INDEXED_ROLES
from memgpt_core.hot import HotTable, HotTier, indexed, portion
from memgpt_core.hot import Query as Query
from memgpt_core.queries import PIECE_CHARS, pieces
from memgpt_core.query_vectors import QueryVectors
from memgpt_core.ranking import SEMANTIC, weights
from memgpt_core.rows import Row
from memgpt_core.stores.matrix import NEAR, NO_COSINE, Cosines, Rough, Vector
from memgpt_core.stores.tiered import TieredMatrix
from memgpt_core.stores.vectors import VectorStore, text_hash
from memgpt_core.stores.versions import NONE, Began, Mask, Places, without
from memgpt_core.tiering import Tiering

EMBED_BATCH = 256
_ROWS_LOOKED_AT = 16


class Near(NamedTuple):
    """What is near a query.

    Attributes:
        over: which versions of the part have a cosine at or over the floor.
        places, cosines: the best of the part, over the floor or under it, and those asked about, unordered.
        rough: the cosine of every version, right to about 1e-6.
        recall: the measured share of the ten nearest that such a search finds; None when it looked at everything.
    """

    over: Mask
    places: Places
    cosines: Cosines
    rough: Rough
    recall: float | None


class Similarity:
    """One agent's vectors.

    Attributes:
        error: why the embedder could not be used last time; empty when it could.
        refused: texts (by hash) whose vector cannot be used, with the reason; asked again after a restart.
    """

    def __init__(self, vectors: VectorStore, embedder: Embedder, query: Query, hot: HotTier, tiering: Tiering) -> None:
        self.error = ""
        self.refused: dict[str, str] = {}
        self._vectors = vectors
        self._embedder = embedder
        self._query = query
        self._hot = hot
        self._tiering = tiering
        self._embedding = threading.Lock()
        self._queries = QueryVectors(vectors.queries, embedder)
        self._splits = weights(embedder.name) is SEMANTIC

    @property
    def loaded(self) -> bool:
        """Whether the row store was looked through once, and what is on disk is of these rows."""
        return all(matrix.position and not matrix.stale for matrix in self._matrices().values())

    def behind(self, position: int) -> int:
        """How many events the row store is ahead."""
        with self._hot.lock:
            return position - min(matrix.position for matrix in self._matrices().values())

    def forget(self) -> None:
        """Start again from the stores, as after a restart."""
        self.refused.clear()

    def sync(self, position: int, between: Callable[[], object] = lambda: None) -> None:
        """Take what the row store took up to `position`, with the vectors that are already known.

        Whoever takes a whole life at once can make room `between` two portions.
        """
        position = self._hot.sync(position)
        self._tiering.attach()
        for table in INDEXED:
            while self._matrices()[table].position < position and not self._take_recent(table, position):
                to = min(position, self._hot.drained())
                with self._hot.lock:
                    to = min(to, self._hot.tables[table].position)
                    if (matrix := self._matrices()[table]).position >= to:
                        break
                    self._take(table, matrix, portion(self._query, table, matrix.position, to))
                between()

    def embed(
        self,
        most: int | None = None,
        go_on: Callable[[], bool] = lambda: True,
        query: str = "",
        *,
        later: bool = False,
    ) -> None:
        """Embed texts that lack a vector: all of them, or only if they are at most `most`; `go_on` can stop it.

        A `query` that is asked next goes along with them, so that a search right after something new makes one request.
        With `later` nobody waits for the disk: the home keeps the vectors in RAM until it settles.

        Raises:
            ModelUnavailable: the embedder cannot be used now; what was embedded until then is kept.
        """
        if most is not None and len(self.not_embedded()) > most:
            return
        with self._embedding:
            for tables in [tuple(INDEXED)] if joins(self._embedder) else [(table,) for table in INDEXED]:
                with self._hot.lock:
                    wanted = [(table, one) for table in tables for one in self._wanted(table)]
                for at in range(0, len(wanted), EMBED_BATCH):
                    if not go_on():
                        return
                    self._embed(wanted[at : at + EMBED_BATCH], self._queries.wanted(query), later)

    def take(self, vectors: Mapping[str, Vector]) -> None:
        """Take vectors (by hash of the text) that were kept elsewhere, also into the home's."""
        refused = self._vectors.put(self._embedder.name, self._embedder.dim, vectors)
        with self._hot.lock:
            for matrix in self._matrices().values():
                matrix.fill({hash: vector for hash, vector in vectors.items() if hash not in refused})

    def not_embedded(self) -> frozenset[str]:
        """Ids of current items that are found by words only."""
        with self._hot.lock:
            return frozenset().union(*(matrix.not_embedded() for matrix in self._matrices().values()))

    def near(
        self,
        hot: HotTable,
        query: Vector,
        part: Mask,
        beside: tuple[Places, Places],
        *,
        floor: float,
        size: int,
        also: Places,
    ) -> Near | None:
        """The `size` nearest versions of a part, and of `also` those that have vectors; the tier's lock is held.

        None when those on disk cannot be read: they are put there anew, and words answer meanwhile.
        """
        matrix = self._matrix(hot)
        try:
            return self._nearest(hot, matrix, query, part, beside, floor, size, also)
        except StoreBroken:
            matrix.stale = True
            return None

    @staticmethod
    def _nearest(
        hot: HotTable,
        matrix: TieredMatrix,
        query: Vector,
        part: Mask,
        beside: tuple[Places, Places],
        floor: float,
        size: int,
        also: Places,
    ) -> Near:
        rough = matrix.rough(query, *beside, part, size)
        searched = rough if part.all() else np.where(part, rough, np.float32(NO_COSINE))
        if floor <= -1:
            mask = searched > NO_COSINE
        else:
            mask = searched >= np.float32(floor - NEAR)
            close = np.flatnonzero(mask & (searched < np.float32(floor + NEAR)))
            mask[close] = matrix.exact(close, query, *beside) >= floor
        best = _largest(searched, size)
        cosines = matrix.exact(best, query, *beside)
        if len(best) > size:
            kept = np.lexsort((-hot.versions.column("born")[best], -cosines))[:size]
            best, cosines = best[kept], cosines[kept]
        more = without(also, best, len(rough)) if len(also) else also
        more = more[matrix.has()[more]]
        cosines = np.concatenate([cosines, matrix.exact(more, query, *beside)])
        recall = None if matrix.exhausted or matrix.far is None else matrix.far.kind.recall
        return Near(mask, np.concatenate([best, more]), cosines, rough, recall)

    def query_vector(self, text: str) -> Vector | None:
        """The query's vector; None when the embedder cannot be used now or the text has nothing to embed."""
        try:
            vector = self._queries.of(text)
        except ModelUnavailable as error:
            self.error = str(error)
            return None
        self.error = ""
        return vector

    # --- the matrices -----------------------------------------------------------------------------------------

    def _matrices(self) -> dict[str, TieredMatrix]:
        return {table: self._matrix(hot) for table, hot in self._hot.tables.items()}

    @staticmethod
    def _matrix(hot: HotTable) -> TieredMatrix:
        assert hot.matrix is not None
        return hot.matrix

    def _take_recent(self, table: str, position: int) -> bool:
        """Take the rows that began just now from RAM; False when that is not all that happened."""
        with self._hot.lock:
            matrix = self._matrices()[table]
            began = self._hot.recent.since(table, matrix.position, position)
            if began is None or self._hot.tables[table].position < position:
                return False
            found = [row for row in began if indexed(table, row)]
            self._add(matrix, found, [self._hashes(text_hash(row["text"]), row["text"]) for row in found], position)
            return True

    def _take(self, table: str, matrix: TieredMatrix, position: int) -> None:
        # The text is read only where it may be cut into pieces.
        # (Bytes: two or three a sign that a piece counts as three.)
        long = f"CASE WHEN 3 * strlen(text) > {2 * PIECE_CHARS} THEN text END" if self._splits else "NULL"
        found = self._query(
            f"SELECT id, seq_from, sha256(text) AS hash, {long} AS long FROM {table} "
            f"WHERE {INDEXED[table]} AND seq_from > $after AND seq_from <= $position",
            {"after": matrix.position, "position": position},
        )
        self._add(matrix, found, [self._hashes(row["hash"], row["long"]) for row in found], position)

    def _add(self, matrix: TieredMatrix, found: Sequence[Row], pieces_of: Sequence[list[str]], position: int) -> None:
        """Rows that began, each with its pieces' hashes, which the matrix then has up to `position`."""
        hashes: list[str] = []
        places = matrix.versions.places(Began(row["id"], row["seq_from"]) for row in found)
        for at in np.argsort(places, kind="stable").tolist():
            if places[at] != NONE:
                hashes += matrix.add(int(places[at]), pieces_of[at])
        matrix.cover(int(np.searchsorted(matrix.versions.column("seq_from"), position, side="right")))
        if hashes:
            matrix.fill(self._vectors.known(self._embedder.name, self._embedder.dim, hashes))
        matrix.position = position

    def _hashes(self, hash: str, text: str | None) -> list[str]:
        return [hash] if text is None else list(_named(hash, self._pieces(text)))

    # --- embedding --------------------------------------------------------------------------------------------

    def _wanted(self, table: str) -> list[Began]:
        """The versions whose texts lack a vector and were not refused."""
        matrix = self._matrices()[table]
        lacking = matrix.lacking().items()
        wanted = [at for at, hashes in lacking if not all(hash in self.refused for hash in hashes)]
        return matrix.versions.began(np.array(wanted, np.int64))

    def _texts(self, table: str, lacking: Sequence[tuple[str, Began]]) -> list[str]:
        began = [one for of, one in lacking if of == table]
        found = self._hot.recent.texts(table, began)
        if found is not None:
            return found
        self._hot.drained()
        rows = self._query(
            f"SELECT DISTINCT text FROM {table} WHERE seq_from IN (SELECT unnest($seqs)) AND "
            "id IN (SELECT unnest($ids))",
            {"seqs": [one.seq_from for one in began], "ids": [one.id for one in began]},
        )
        return [row["text"] for row in rows]

    def _embed(self, lacking: Sequence[tuple[str, Began]], along: Sequence[str], later: bool) -> None:
        """Embed the texts that began in these tables at these events, and queries along with them.

        With `later` the home keeps the vectors in RAM and puts them on disk when it settles.
        """
        found = {text_hash(text): text for table in INDEXED for text in self._texts(table, lacking)}
        if not found:
            return
        texts = {hash: self._pieces(text) for hash, text in found.items()}
        wanted = {hash: piece for row, parts in texts.items() for hash, piece in _named(row, parts).items()}
        known = (
            self._vectors.get(self._embedder.name, self._embedder.dim, list(wanted)) if len(wanted) > len(found) else {}
        )
        asked = [hash for hash in wanted if hash not in known]
        try:
            made = self._embedder.embed([wanted[hash] for hash in asked] + list(along))
        except ModelUnavailable as error:
            self.error = str(error)
            raise
        self.error = ""
        vectors = {**known, **dict(zip(asked, made, strict=False))}
        for query, vector in zip(along, made[len(asked) :], strict=True):
            self._queries.keep(query, vector)
        self._queries.embedded({hash: vectors[hash] for hash, parts in texts.items() if len(parts) == 1})
        for row, parts in texts.items():
            if len(parts) > 1:
                vectors[row] = _mean([vectors[hash] for hash in _named(row, parts)])
        keep = self._vectors.hold if later else self._vectors.put
        refused = keep(self._embedder.name, self._embedder.dim, vectors)
        kept = {hash: vector for hash, vector in vectors.items() if hash not in refused}
        with self._hot.lock:
            self.refused.update(refused)
            for matrix in self._matrices().values():
                matrix.fill(kept)

    def _pieces(self, text: str) -> list[str]:
        return pieces(text) if self._splits else [text]


def _largest(cosines: Rough, size: int) -> Places:
    """At least the `size` versions with the largest rough cosines, and all that are as large within `NEAR`."""
    least = NO_COSINE
    columns = max(1, len(cosines) // _ROWS_LOOKED_AT)
    if len(cosines) >= 2 * size and columns > 2 * size > 0:
        # The size-th best of some columns' best is no better than the size-th best of all.
        best = cosines[: columns * _ROWS_LOOKED_AT].reshape(_ROWS_LOOKED_AT, columns).max(axis=0)
        least = float(np.partition(best, columns - size)[columns - size])
    there = np.flatnonzero(cosines > max(least - NEAR, NO_COSINE))
    if len(there) > size:
        of_those = cosines[there]
        least = float(np.partition(of_those, len(there) - max(1, size))[len(there) - max(1, size)])
        there = there[of_those >= least - NEAR]
    return there


def _named(hash: str, parts: Sequence[str]) -> dict[str, str]:
    """A text's pieces by hash; a text that is one piece has its own."""
    return {hash: parts[0]} if len(parts) == 1 else {text_hash(piece): piece for piece in parts}


def _mean(vectors: Sequence[Vector]) -> Vector:
    total = np.mean(np.stack(vectors), axis=0, dtype=np.float64)
    length = np.linalg.norm(total)
    mean: Vector = np.asarray(total / (length or 1), dtype=np.float32)
    return mean
