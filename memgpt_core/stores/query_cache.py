"""The vectors of what was searched for, each by (model, dimension, hash of the query), for all agents of a home.

Bounded by number and by bytes: what was not asked for longest leaves first. Disposable: losing it costs one request a
query, so nothing here ever fails a search, and a file that cannot be read is begun anew. Keeps no query's text. It is
SQLite and not DuckDB because rows come one at a time: that takes a tenth of a millisecond, and a DuckDB commit 1 to 4.
"""

import contextlib
import sqlite3
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memgpt_core.stores.seals import seal, text_hash

Vector = NDArray[np.float32]

COUNT_MOST = 20_000
BYTES_MOST = 64 * 2**20
IN_RAM_MOST = 512
ROW_BYTES = 160
"""What a row takes beside its vector: its key, its seal, its place in two trees."""

_Key = tuple[str, int, str]
_THIS = "WHERE model = ? AND dim = ? AND hash = ?"


class Lookups(NamedTuple):
    """What was looked up of one model since the home was opened, and how much of it was there."""

    asked: int
    found: int


class QueryCache:
    """The query vectors of one home, in `path`; the file is made when the first is kept.

    Attributes:
        on: whether vectors are looked up and kept; what is there stays.
        bytes_most: what is kept on the disk may take so much.
    """

    def __init__(self, path: Path, *, count_most: int = COUNT_MOST, bytes_most: int = BYTES_MOST) -> None:
        self.path = path
        self.on = True
        self._count_most, self.bytes_most = count_most, bytes_most
        self._lock = threading.Lock()
        self._ram: OrderedDict[_Key, Vector] = OrderedDict()
        self._touched: dict[_Key, int] = {}
        self._asked: Counter[tuple[str, int]] = Counter()
        self._found: Counter[tuple[str, int]] = Counter()
        self._db: sqlite3.Connection | None = None
        self._closed = False
        self._clock = self._count = self._bytes = 0

    def get(self, model: str, dim: int, query: str) -> Vector | None:
        """The query's vector, (dim,) float32 of unit length; None when it is not there or the cache is off."""
        if not self.on:
            return None
        key = (model, dim, text_hash(query))
        with self._lock:
            self._asked[model, dim] += 1
            vector = self._ram.get(key)
            if vector is None:
                vector = self._read(key)
            if vector is not None:
                self._found[model, dim] += 1
                self._keep_in_ram(key, vector)
                self._clock += 1
                self._touched[key] = self._clock
            return vector

    def put(self, model: str, dim: int, query: str, vector: Vector) -> None:
        """Keep a vector that can be used; a disk that takes nothing is no error."""
        if not self.on:
            return
        key = (model, dim, text_hash(query))
        blob = np.ascontiguousarray(vector, dtype="<f4").tobytes()
        with self._lock, self._forgiven():
            self._keep_in_ram(key, vector)
            db = self._opened(make=True)
            if db is None:
                return
            self._clock += 1
            db.execute("BEGIN")
            self._settle(db)
            there = db.execute(f"SELECT 1 FROM queries {_THIS}", key).fetchone()
            row = (*key, blob, seal(*key, blob), self._clock)
            db.execute("INSERT OR REPLACE INTO queries VALUES (?, ?, ?, ?, ?, ?)", row)
            self._count += not there
            self._bytes += 0 if there else len(blob) + ROW_BYTES
            self._make_room(db)
            db.execute("COMMIT")

    def lookups(self, model: str, dim: int) -> Lookups:
        """How often queries of this model were looked up."""
        with self._lock:
            return Lookups(self._asked[model, dim], self._found[model, dim])

    def size(self) -> tuple[int, int]:
        """(queries kept on the disk, bytes they take)."""
        with self._lock, self._forgiven():
            self._opened()
        return self._count, self._bytes

    def close(self) -> None:
        """Note what was asked for last and close the file; nothing is kept any more."""
        with self._lock, self._forgiven():
            if self._db is not None:
                self._settle(self._db)
                self._db.close()
        self._db, self._closed = None, True

    # --- inside, with the lock held ----------------------------------------------------------------------------

    def _keep_in_ram(self, key: _Key, vector: Vector) -> None:
        self._ram[key] = vector
        self._ram.move_to_end(key)
        if len(self._ram) > IN_RAM_MOST:
            self._ram.popitem(last=False)

    def _read(self, key: _Key) -> Vector | None:
        with self._forgiven():
            db = self._opened()
            if db is None:
                return None
            row = db.execute(f"SELECT vector, seal FROM queries {_THIS}", key).fetchone()
            # A row that is not as it was written is asked for again and written over.
            if row and row[1] == seal(*key, row[0]):
                return np.frombuffer(row[0], dtype="<f4")
        return None

    def _settle(self, db: sqlite3.Connection) -> None:
        """Write when each was asked for last, which is only of use when some must leave."""
        db.executemany(
            f"UPDATE queries SET used = ? {_THIS}",
            [(used, *key) for key, used in self._touched.items()],
        )
        self._touched.clear()

    def _make_room(self, db: sqlite3.Connection) -> None:
        while self._count > self._count_most or self._bytes > self.bytes_most:
            model, dim, hash, size = db.execute(
                "SELECT model, dim, hash, length(vector) FROM queries ORDER BY used LIMIT 1"
            ).fetchone()
            db.execute(f"DELETE FROM queries {_THIS}", (model, dim, hash))
            self._ram.pop((model, dim, hash), None)
            self._count -= 1
            self._bytes -= size + ROW_BYTES

    def _opened(self, *, make: bool = False) -> sqlite3.Connection | None:
        if self._db is None and not self._closed and (make or self.path.is_file()):
            try:
                self._open()
            except sqlite3.DatabaseError:
                self._drop()
                self._open()
        return self._db

    def _open(self) -> None:
        db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            # What a power loss spoils is asked for again.
            db.execute("PRAGMA synchronous = OFF")
            db.execute(
                "CREATE TABLE IF NOT EXISTS queries (model TEXT, dim INTEGER, hash TEXT, vector BLOB, seal TEXT, "
                "used INTEGER, PRIMARY KEY (model, dim, hash)) WITHOUT ROWID"
            )
            db.execute("CREATE INDEX IF NOT EXISTS by_use ON queries (used)")
            said = db.execute(
                f"SELECT count(*), coalesce(sum(length(vector) + {ROW_BYTES}), 0), coalesce(max(used), 0) FROM queries"
            ).fetchone()
        except sqlite3.DatabaseError:
            db.close()
            raise
        self._count, self._bytes, self._clock = said[0], said[1], max(self._clock, said[2])
        self._db = db

    def _drop(self) -> None:
        for ending in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _forgiven(self) -> Iterator[None]:
        """A cache that cannot be read or written is one without this query."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            with contextlib.suppress(sqlite3.Error):
                if self._db is not None:
                    self._db.close()
            # Opened and counted again next time; a full disk is no reason to throw away what is there.
            self._db = None
            if type(error) is sqlite3.DatabaseError:
                self._drop()
