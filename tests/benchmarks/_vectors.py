"""Vectors as texts have them, and an agent's stores with any number of passages, written straight into the files.

The vectors stand in topics of very different sizes, each with subtopics, and a few directions carry most of what
differs: like the vectors of real texts, and unlike evenly spread ones, which no index could tell apart.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from memgpt_core.embedding.base import Vectors
from memgpt_core.projections import Projections
from memgpt_core.stores.recall import connect
from memgpt_core.stores.vectors import VectorStore, text_hash

DIM = 384
TOPICS, SUBTOPICS = 400, 25
NAME = "canned"
ROWS_AT_ONCE = 50_000
QUERY = "query "

Numbers = NDArray[np.float32]


def text_like(count: int, seed: int = 0) -> Numbers:
    """(count, DIM) float32, unit length."""
    rng = np.random.default_rng(11)
    spectrum = (1 / np.sqrt(np.arange(1, DIM + 1))).astype(np.float32)
    turned = np.linalg.qr(rng.normal(size=(DIM, DIM)))[0].astype(np.float32)
    topics = _unit(rng.normal(size=(TOPICS, DIM)).astype(np.float32) * spectrum)
    subtopics = _unit(rng.normal(size=(TOPICS * SUBTOPICS, DIM)).astype(np.float32) * spectrum)
    sizes = 1 / np.arange(1, TOPICS + 1) ** 0.7
    rng = np.random.default_rng(seed)
    found = np.empty((count, DIM), np.float32)
    for at in range(0, count, ROWS_AT_ONCE):
        some = min(ROWS_AT_ONCE, count - at)
        topic = rng.choice(TOPICS, some, p=sizes / sizes.sum())
        subtopic = topic * SUBTOPICS + rng.integers(0, SUBTOPICS, some)
        own = _unit(rng.normal(size=(some, DIM)).astype(np.float32) * spectrum)
        found[at : at + some] = _unit(0.6 * topics[topic] + 0.5 * subtopics[subtopic] + 0.65 * own) @ turned
    return found


class Canned:
    """An embedder that has its vectors ready: `query 7` is the seventh query, `p7 ...` the seventh passage."""

    def __init__(self, queries: Numbers, passages: Numbers) -> None:
        self.name = NAME
        self.dim = DIM
        self.queries = queries
        self.passages = passages

    def embed(self, texts: Sequence[str]) -> Vectors:
        return np.stack([self._one(text) for text in texts])

    def _one(self, text: str) -> Numbers:
        if text.startswith(QUERY):
            return self.queries[int(text.split()[1])]
        found: Numbers = self.passages[int(text.split()[0][1:])]
        return found


def filled(folder: Path, texts: Sequence[str], vectors: Numbers) -> None:
    """Make stores in a folder whose passages are these texts with these vectors, one an event."""
    folder.mkdir(parents=True)
    store = VectorStore(folder / "vectors.duckdb")
    Projections(folder, store, None, read=no_log).close()
    hashes = [text_hash(text) for text in texts]
    for at in range(0, len(texts), ROWS_AT_ONCE):
        part = slice(at, at + ROWS_AT_ONCE)
        store.put(NAME, DIM, dict(zip(hashes[part], vectors[part], strict=True)))
    store.close()
    con = connect(folder / "rows.duckdb")
    con.register("texts", pa.table({"n": np.arange(1, len(texts) + 1), "said": list(texts)}))
    con.execute(
        "INSERT INTO passages BY NAME SELECT 'p' || n AS id, n AS seq_from, "
        "TIMESTAMPTZ '2024-01-01' + n * INTERVAL 1 MINUTE AS \"at\", 1 AS session, n AS turn, 1 AS step, said AS text, "
        "[] AS tags, 'agent' AS source, 'agent' AS author, '' AS document, '' AS title_path FROM texts ORDER BY n"
    )
    con.execute("UPDATE meta SET seq = $seq", {"seq": len(texts)})
    con.close()


def no_log(seq: int) -> object:
    raise LookupError(seq)


def _unit(vectors: Numbers) -> Numbers:
    found: Numbers = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return found
