"""The vectors of a home, each kept once per (model, dimension, content hash), shared by all its agents.

Keeps what embedding cost, so that a rebuild, a fork or a second agent embeds nothing again. Does not know
where a text stands or who asked. Each row carries a seal over its contents: a vector that was altered on
disk is not handed out, it is asked for again.

What came with a search waits in RAM until `settle`, which is called behind the searches: a process that is killed
before has to ask for these again, and nothing else.
"""

import contextlib
import hashlib
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
from numpy.typing import NDArray

from memgpt_core.errors import StoreBroken
from memgpt_core.stores.query_cache import Lookups, QueryCache
from memgpt_core.stores.recall import FAULTS, connect
from memgpt_core.stores.seals import seal
from memgpt_core.stores.seals import text_hash as text_hash

Vector = NDArray[np.float32]
"""(d,) float32, unit length."""

_CHUNK = 4096
_UNIT_TOLERANCE = 1e-3
_FEW = 256
"""Of so few hashes it is looked up in RAM first whether the disk can have them at all."""

_Space = tuple[str, int]
"""A model and its dimension."""


class StoredVector(NamedTuple):
    """A row as it stands on disk; `sealed` is False when it is not as it was written."""

    hash: str
    blob: bytes
    sealed: bool


class _Marks(NamedTuple):
    """Marks of hashes, eight bytes each, in rising order, and those that came later: what has none is not on disk."""

    stored: NDArray[np.uint64]
    late: set[int]

    def may_have(self, hash: str) -> bool:
        """False when it is surely not there."""
        mark = _mark(hash)
        at = int(np.searchsorted(self.stored, np.uint64(mark)))
        return mark in self.late or (at < len(self.stored) and int(self.stored[at]) == mark)


def _mark(hash: str) -> int:
    return int.from_bytes(hashlib.md5(hash.encode(), usedforsecurity=False).digest()[8:], "little")


def fault_of(vector: Vector, dim: int) -> str:
    """Why a vector cannot be used; empty when it can."""
    if vector.shape != (dim,):
        return f"has shape {vector.shape} instead of ({dim},)"
    if not np.isfinite(vector).all():
        return "has values that are not finite"
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if length == 0:
        return "is zero"
    return "" if abs(length - 1) <= _UNIT_TOLERANCE else f"has length {length:.4f} instead of 1"


class VectorStore:
    """The vectors of one home.

    Attributes:
        queries: the vectors of what was searched for, beside those of what is stored.
        rebuilt_because: why an existing file was moved aside at open; empty when it was not.

    Raises:
        StoreBroken: the file can be neither used nor replaced.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.queries = QueryCache(path.with_name("queries.sqlite"))
        self.rebuilt_because = ""
        self._asked: Counter[_Space] = Counter()
        self._found: Counter[_Space] = Counter()
        self._write = threading.RLock()
        # Nobody holds this one while the disk works.
        self._holding = threading.Lock()
        self._waiting: dict[_Space, dict[str, Vector]] = {}
        self._marks: dict[_Space, _Marks] = {}
        try:
            self._con = self._open()
        except FAULTS as error:
            raise self._broken(error) from error

    @property
    def waiting(self) -> bool:
        """Whether something waits in RAM for `settle`."""
        return bool(self._waiting)

    def get(self, model: str, dim: int, hashes: Sequence[str]) -> dict[str, Vector]:
        """The vectors that are there, by hash; a text nobody embedded, or whose row was altered, is left out."""
        self._check_file()
        wanted = list(dict.fromkeys(hashes))
        waiting = self._waiting.get((model, dim), {})
        found = {hash: waiting[hash] for hash in wanted if hash in waiting}
        wanted = [hash for hash in wanted if hash not in found]
        if 0 < len(wanted) <= _FEW:
            marks = self._marked(model, dim)
            wanted = [hash for hash in wanted if marks.may_have(hash)]
        for at in range(0, len(wanted), _CHUNK):
            for row in self._read(model, dim, "AND hash IN (SELECT unnest($hashes))", wanted[at : at + _CHUNK]):
                if row.sealed and row.hash not in found:
                    found[row.hash] = np.frombuffer(row.blob, dtype="<f4")
        return found

    def known(self, model: str, dim: int, hashes: Sequence[str]) -> dict[str, Vector]:
        """As `get`, for texts that need a vector now: it is counted how many had one and need not be embedded."""
        found = self.get(model, dim, hashes)
        with self._holding:
            self._asked[model, dim] += len(set(hashes))
            self._found[model, dim] += len(found)
        return found

    def lookups(self, model: str, dim: int) -> Lookups:
        """How many texts needed a vector of this model since the home was opened, and how many of them had one."""
        return Lookups(self._asked[model, dim], self._found[model, dim])

    def spaces(self, hashes: Sequence[str]) -> dict[str, list[tuple[str, int]]]:
        """By hash, every (model, dimension) that the text has a vector of."""
        self._check_file()
        try:
            with self._con.cursor() as cursor:
                rows = cursor.execute(
                    "SELECT DISTINCT hash, model, dim FROM vectors WHERE hash IN (SELECT unnest(?)) ORDER BY 1, 2, 3",
                    [list(hashes)],
                ).fetchall()
        except FAULTS as error:
            raise self._broken(error) from error
        waiting = [(hash, *space) for space, held in list(self._waiting.items()) for hash in hashes if hash in held]
        found: dict[str, list[tuple[str, int]]] = {}
        for hash, model, dim in sorted({*rows, *waiting}):
            found.setdefault(hash, []).append((model, dim))
        return found

    def put(self, model: str, dim: int, vectors: Mapping[str, Vector]) -> dict[str, str]:
        """Keep these vectors; one that is there already is left as it is.

        Returns: the hashes that were refused, with the reason (not finite, zero, wrong dimension or length).
        """
        with self._write:
            refused = self.hold(model, dim, vectors)
            self.settle()
        return refused

    def hold(self, model: str, dim: int, vectors: Mapping[str, Vector]) -> dict[str, str]:
        """The same without the disk: they are handed out from RAM until `settle` has put them there."""
        refused = {hash: why for hash, vector in vectors.items() if (why := fault_of(vector, dim))}
        known = self.get(model, dim, list(vectors))
        fresh = {hash: vector for hash, vector in vectors.items() if hash not in refused and hash not in known}
        with self._holding:
            waiting = self._waiting.get((model, dim), {})
            self._waiting[model, dim] = {hash: np.array(fresh[hash], "<f4") for hash in fresh} | waiting
        return refused

    def settle(self) -> None:
        """Put on disk what waits in RAM.

        Raises:
            StoreBroken: the disk refused; it waits on.
        """
        with self._write:
            for (model, dim), waiting in list(self._waiting.items()):
                self._replace(model, dim, list(waiting), [vector.tobytes() for vector in waiting.values()])
                if (model, dim) in self._marks:
                    self._marks[model, dim].late.update(map(_mark, waiting))
                self._release(model, dim, waiting)

    def drop(self, model: str, dim: int, hashes: Sequence[str]) -> None:
        """Forget these vectors."""
        with self._write:
            self._release(model, dim, hashes)
            self._replace(model, dim, hashes, [])

    def count(self) -> int:
        """How many vectors there are, of all models."""
        try:
            with self._con.cursor() as cursor:
                stored = int(cursor.execute("SELECT count(*) FROM vectors").fetchall()[0][0])
                return stored + sum(map(len, list(self._waiting.values())))
        except FAULTS as error:
            raise self._broken(error) from error

    def stored(self, model: str, dim: int) -> Iterator[StoredVector]:
        """Every row of one model as it stands, altered ones too, for `verify`."""
        self.settle()
        try:
            with self._con.cursor() as cursor:
                last = cursor.execute("SELECT coalesce(max(rowid), -1) FROM vectors").fetchall()[0][0]
        except FAULTS as error:
            raise self._broken(error) from error
        for at in range(0, last + 1, _CHUNK):
            yield from self._read(model, dim, f"AND rowid >= {at} AND rowid < {at + _CHUNK}", None)

    def close(self) -> None:
        """Close the file; the store cannot be used any more."""
        self.queries.close()
        with self._write:
            with contextlib.suppress(StoreBroken):
                # What the disk does not take now is asked for again.
                self.settle()
            self._con.close()

    def _release(self, model: str, dim: int, hashes: Collection[str]) -> None:
        gone = set(hashes)
        with self._holding:
            waiting = self._waiting.pop((model, dim), {})
            if left := {hash: vector for hash, vector in waiting.items() if hash not in gone}:
                self._waiting[model, dim] = left

    def _marked(self, model: str, dim: int) -> "_Marks":
        """Which hashes the disk may have, looked up once."""
        if (marks := self._marks.get((model, dim))) is not None:
            return marks
        # Whoever puts something there meanwhile must be waited for, or it would be missed.
        with self._write:
            if (model, dim) not in self._marks:
                sql = "SELECT md5_number_lower(hash) AS mark FROM vectors WHERE model = $model AND dim = $dim"
                try:
                    with self._con.cursor() as cursor:
                        found = cursor.sql(sql, params={"model": model, "dim": dim}).to_arrow_table()
                except FAULTS as error:
                    raise self._broken(error) from error
                self._marks[model, dim] = _Marks(np.sort(found["mark"].to_numpy()), set())
            return self._marks[model, dim]

    def _open(self) -> duckdb.DuckDBPyConnection:
        con = None
        try:
            con = connect(self.path)
            con.execute(
                "CREATE TABLE IF NOT EXISTS vectors "
                "(model VARCHAR, dim INTEGER, hash VARCHAR, vector BLOB, seal VARCHAR)"
            )
            con.execute("SELECT model, dim, hash, vector, seal FROM vectors LIMIT 1").fetchall()
            con.execute("CHECKPOINT")
            return con
        except duckdb.Error as error:
            # What is here was paid for with a model's time: it is moved aside, never deleted.
            if con is not None:
                con.close()
            if not self.path.exists():
                raise
            aside = self.path.with_name(self.path.name + ".unreadable")
            self.rebuilt_because = f"{self.path.name} could not be read ({error}); it was moved to {aside.name}."
            self.path.replace(aside)
            self.path.with_name(self.path.name + ".wal").unlink(missing_ok=True)
            return self._open()

    def _read(self, model: str, dim: int, where: str, hashes: Sequence[str] | None) -> list[StoredVector]:
        params: dict[str, object] = {"model": model, "dim": dim}
        if hashes is not None:
            params["hashes"] = list(hashes)
        sql = f"SELECT hash, vector, seal FROM vectors WHERE model = $model AND dim = $dim {where}"
        self._check_file()
        try:
            with self._con.cursor() as cursor:
                rows = cursor.execute(sql, params).fetchall()
        except FAULTS as error:
            raise self._broken(error) from error
        return [StoredVector(hash, blob, sealed == seal(model, dim, hash, blob)) for hash, blob, sealed in rows]

    def _replace(self, model: str, dim: int, hashes: Sequence[str], blobs: Sequence[bytes]) -> None:
        self._check_file()
        try:
            with self._con.cursor() as cursor:
                cursor.begin()
                try:
                    cursor.execute(
                        "DELETE FROM vectors WHERE model = ? AND dim = ? AND hash IN (SELECT unnest(?))",
                        [model, dim, list(hashes)],
                    )
                    if blobs:
                        seals = [seal(model, dim, hash, blob) for hash, blob in zip(hashes, blobs, strict=True)]
                        cursor.execute(
                            "INSERT INTO vectors SELECT ?, ?, unnest(?), unnest(?::BLOB[]), unnest(?)",
                            [model, dim, list(hashes), list(blobs), seals],
                        )
                    cursor.commit()
                except BaseException:
                    cursor.rollback()
                    raise
        except FAULTS as error:
            raise self._broken(error) from error

    def _check_file(self) -> None:
        if not self.path.exists():
            raise StoreBroken(f"{self.path.name} was removed while it was open. Close Memscope and start it again.")

    def _broken(self, error: Exception) -> StoreBroken:
        return StoreBroken(
            f"{self.path.name} could not be used ({str(error).strip().splitlines()[0]}). Search goes on by words; "
            "free disk space if it is full, then rebuild the vectors."
        )
