"""Comparing an agent's stores with its log, row by row, and naming every difference.

The log is folded again in memory (`MemoryRows`); DuckDB must hold the same versions, the index the same
current rows, the vectors what the embedder made of the same texts. Changes nothing; `rebuild` repairs.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from memgpt_core.documents.manifest import LEFT_OUT, nothing_kept
from memgpt_core.embedding.base import Embedder
from memgpt_core.events import Event
from memgpt_core.project import COLUMNS, project
from memgpt_core.projections import Projections
from memgpt_core.rows import MemoryRows, Row
from memgpt_core.similarity import INDEXED_ROLES
from memgpt_core.state import INITIAL, apply
from memgpt_core.stores.vectors import Vector, fault_of, text_hash

IDENTITY: dict[str, tuple[str, ...]] = {
    "messages": ("id", "seq_from"),
    "passages": ("id", "seq_from"),
    "documents": ("id", "seq_from"),
    "residency": ("item", "carrier", "how", "seq_from"),
    **dict.fromkeys(("events", "prompts", "replies"), ("seq_from",)),
}
"""The columns that say which version of which row it is."""

REPEATABLE = "hashing"
"""The embedder whose vectors are made again and compared; a model's may differ in the last bits."""

_SHOWN_CHARS = 60


class Difference(NamedTuple):
    """One row that is not as the log says; `what` is missing, extra, or how a column differs."""

    store: str
    table: str
    id: str
    what: str

    def __str__(self) -> str:
        """The difference as a sentence."""
        return f"{self.store}, {self.table}, {self.id}: {self.what}."


def verify(events: Iterable[Event], projections: Projections) -> list[Difference]:
    """Every difference between the stores and the log; an empty list when there is none.

    The agent must be idle. What the stores had not taken yet is given to them first, but only after the
    vectors were looked at: giving embeds again what is missing.

    Raises:
        StoreBroken: a store cannot be read at all.
        LogCorrupt: a line of the log cannot be read.
    """
    seen = projections.status().index_seq
    documents = projections.documents
    rows = MemoryRows(documents.open if documents else nothing_kept)
    state = INITIAL
    found: list[Difference] = []
    for event in events:
        if documents and event.kind == "document_ingested" and event.raw != LEFT_OUT:
            faults = documents.faults(event.raw, event.text, event.manifest)
            found += [Difference("cold storage", "documents", event.name, fault) for fault in faults]
        rows.take(project(state, event))
        state = apply(state, event)
    found += list(_vector_differences(rows, projections, seen))
    projections.flush()
    found += _row_differences(rows, projections)
    found += _index_differences(rows, projections)
    return found


def _row_differences(rows: MemoryRows, projections: Projections) -> Iterator[Difference]:
    for table, columns in COLUMNS.items():
        identity = IDENTITY[table]
        should = _numbered(rows.table(table), identity)
        for key, row in _numbered(projections.rows(f"SELECT * FROM {table}"), identity).items():
            name = " ".join(str(part) for part in key[:-1])
            expected = should.pop(key, None)
            if expected is None:
                yield Difference("DuckDB", table, name, "extra; the log has no such row")
                continue
            for column in columns:
                if row[column] != expected[column]:
                    yield Difference("DuckDB", table, name, _differs(column, row[column], expected[column]))
        for key in should:
            yield Difference("DuckDB", table, " ".join(str(part) for part in key[:-1]), "missing")


def _numbered(rows: Iterable[Row], identity: tuple[str, ...]) -> dict[tuple[Any, ...], Row]:
    """Rows by identity; rows of one identity are told apart by a number."""
    seen: Counter[tuple[Any, ...]] = Counter()
    found: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        key = tuple(row[column] for column in identity)
        found[(*key, seen[key])] = row
        seen[key] += 1
    return found


def _index_differences(rows: MemoryRows, projections: Projections) -> Iterator[Difference]:
    embedder = projections.embedder
    for table in ("messages", "passages"):
        should = {row["id"]: row for row in rows.current(table) if _indexed(row)}
        known: Mapping[str, Vector] = {}
        if embedder:
            hashes = [text_hash(row["text"]) for row in should.values()]
            known = projections.vectors.get(embedder.name, embedder.dim, hashes)
        for row in projections.index.rows(table):
            expected = should.pop(row.id, None)
            if expected is None:
                yield Difference("LanceDB", table, row.id, "extra; no such row is current, or it is there twice")
                continue
            if row.text != expected["text"]:
                yield Difference("LanceDB", table, row.id, _differs("text", row.text, expected["text"]))
            if row.seq != expected["seq_from"]:
                yield Difference("LanceDB", table, row.id, _differs("seq", row.seq, expected["seq_from"]))
            if not _same(row.vector, known.get(text_hash(expected["text"]))):
                yield Difference("LanceDB", table, row.id, "vector is not the one the home keeps for its text")
        for id in should:
            yield Difference("LanceDB", table, id, "missing")


def _vector_differences(rows: MemoryRows, projections: Projections, seen: int) -> Iterator[Difference]:
    """Of the texts up to event `seen`, which were embedded or refused before."""
    embedder = projections.embedder
    if embedder is None:
        return
    texts = {
        text_hash(row["text"]): row["text"]
        for table in ("messages", "passages")
        for row in rows.table(table)
        if _indexed(row) and row["seq_from"] <= seen
    }
    there: defaultdict[str, int] = defaultdict(int)
    sound: dict[str, Vector] = {}
    for stored in projections.vectors.stored(embedder.name, embedder.dim):
        there[stored.hash] += 1
        vector = np.frombuffer(stored.blob[: len(stored.blob) // 4 * 4], dtype="<f4")
        fault = fault_of(vector, embedder.dim)
        if there[stored.hash] > 1:
            yield Difference("vectors", embedder.name, stored.hash, "extra; the hash is there twice")
        elif fault:
            yield Difference("vectors", embedder.name, stored.hash, fault)
        elif not stored.sealed:
            what = "altered since it was written" if stored.hash in texts else "extra; Memscope did not write it"
            yield Difference("vectors", embedder.name, stored.hash, what)
        elif stored.hash in texts:
            sound[stored.hash] = vector
    lost = {hash: text for hash, text in texts.items() if hash not in there}
    for hash in _should_be_there(lost, rows, projections, embedder):
        yield Difference("vectors", embedder.name, hash, "missing")
    if embedder.name == REPEATABLE:
        yield from _not_repeated(embedder, texts, sound)


def _should_be_there(
    lost: Mapping[str, str], rows: MemoryRows, projections: Projections, embedder: Embedder
) -> Iterable[str]:
    """Which of these texts (by hash) were embedded once: not those the embedder refuses or was not there for."""
    if not lost:
        return ()
    if embedder.name == REPEATABLE:
        made = embedder.embed(list(lost.values()))
        return [hash for hash, vector in zip(lost, made, strict=True) if not fault_of(vector, embedder.dim)]
    embedded: set[str] = set()
    for table in ("messages", "passages"):
        bare = projections.index.without_vector(table)
        embedded |= {text_hash(row["text"]) for row in rows.current(table) if _indexed(row) and row["id"] not in bare}
    return [hash for hash in lost if hash in embedded]


def _not_repeated(embedder: Embedder, texts: Mapping[str, str], sound: Mapping[str, Vector]) -> Iterator[Difference]:
    hashes = list(sound)
    for at in range(0, len(hashes), 1024):
        chunk = hashes[at : at + 1024]
        made = embedder.embed([texts[hash] for hash in chunk])
        for hash, vector in zip(chunk, made, strict=True):
            if not np.array_equal(vector, sound[hash]):
                yield Difference("vectors", embedder.name, hash, "not what the embedder makes of its text")


def _indexed(row: Row) -> bool:
    return bool(row["text"]) and row.get("role", INDEXED_ROLES[0]) in INDEXED_ROLES


def _same(one: Vector | None, other: Vector | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other)


def _differs(column: str, found: object, expected: object) -> str:
    return f"{column} is {_shown(found)}, should be {_shown(expected)}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
