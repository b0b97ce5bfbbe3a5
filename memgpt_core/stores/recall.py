"""The row store: messages, passages, residency and events as versioned rows in DuckDB, one file an agent.

Takes row changes with the seq they belong to, remembers the last one, and answers SQL. Does not know what
an event means (`project`), nor where the changes come from; a file it cannot use is thrown away, because
the log makes it anew.

The batch is folded in memory first, so that a transaction is at most one update and one bulk insert a
table. Written for DuckDB 1.5 and 2.0: results are always fetched whole, one cursor a call, no secondary
index, no foreign key, schema changes only at the start.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from memgpt_core.documents.manifest import Open, nothing_kept
from memgpt_core.errors import StoreBroken
from memgpt_core.failpoints import failpoint
from memgpt_core.project import COLUMNS, SCHEMA_VERSION, Change, Close, Insert, Reopen, Unfold
from memgpt_core.rows import KEYS, MemoryRows, Row, opened, unfolded
from memgpt_core.settings import ENGINE_VERSION

Batch = Sequence[tuple[int, Sequence[Change]]]
"""(seq, changes of that event), in order of seq."""

UNFOLDED_AT_ONCE = 8192

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ARROW = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "BOOLEAN": pa.bool_(),
    "DOUBLE": pa.float64(),
    "VARCHAR[]": pa.list_(pa.string()),
    "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
}
_SCHEMAS = {
    table: pa.schema([(name, _ARROW[kind]) for name, kind in columns.items()]) for table, columns in COLUMNS.items()
}
_FILE_FAULTS = (duckdb.IOException, duckdb.FatalException, duckdb.InternalException, duckdb.SerializationException)
FAULTS = (*_FILE_FAULTS, duckdb.ConnectionException, duckdb.OutOfMemoryException, duckdb.TransactionException, OSError)
"""What a broken file, a full disk or a lost connection raises; anything else is a mistake in a query."""


class _Reused(NamedTuple):
    con: duckdb.DuckDBPyConnection
    position: int


def connect(path: Path) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB file that can reach nothing outside itself; times are UTC."""
    con = duckdb.connect(
        str(path),
        config={
            "enable_external_access": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "memory_limit": "256MB",
            "threads": "2",
        },
    )
    con.execute("SET GLOBAL TimeZone = 'UTC'")
    con.execute("SET lock_configuration = true")
    return con


def forget(path: Path) -> None:
    """Delete a DuckDB file and its write-ahead log, if they are there."""
    for part in (path, path.with_name(path.name + ".wal")):
        part.unlink(missing_ok=True)


def to_rows(table: pa.Table) -> list[Row]:
    """An Arrow result as dicts.

    Times become aware UTC datetimes here: fetching them from DuckDB needs a package we do not have.
    """
    columns = [_times(column) if pa.types.is_timestamp(column.type) else column.to_pylist() for column in table.columns]
    names = table.column_names
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _times(column: Any) -> list[datetime | None]:
    micros = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64()).to_pylist()
    return [None if value is None else _EPOCH + timedelta(microseconds=value) for value in micros]


class RecallStore:
    """One agent's rows.

    Attributes:
        position: seq of the last event taken; 0 for a new file.
        rebuilt_because: why an existing file was thrown away at open; empty when it was not.

    Raises:
        StoreBroken: the file can be neither used nor replaced.
    """

    def __init__(self, path: Path, open: Open = nothing_kept) -> None:
        self.path = path
        self._open = open
        self.rebuilt_because = ""
        self._write = threading.Lock()
        reused = self._reuse() if path.exists() else None
        try:
            self._con, self.position = reused or self._create()
        except FAULTS as error:
            raise self._broken(error) from error

    def take(self, batch: Batch) -> None:
        """Make the changes of events not taken yet, and move the position, in one transaction.

        Raises:
            StoreBroken: nothing was changed: the disk refused, the file is gone, or an event is missing.
        """
        with self._write:
            fresh = [(seq, changes) for seq, changes in batch if seq > self.position]
            if not fresh:
                return
            if fresh[0][0] != self.position + 1 or fresh[-1][0] != self.position + len(fresh):
                raise StoreBroken(
                    f"{self.path.name} stands at event {self.position} and was given event {fresh[0][0]}: events are "
                    "missing in between. Rebuild the stores from the log."
                )
            self._check_file()
            try:
                for part in _parts(fresh):
                    self._commit(part)
                    self.position = part[-1][0]
            except FAULTS as error:
                # A commit that failed may yet be on disk: what the file says is what was taken.
                self.position = self._stored_position()
                raise self._broken(error) from error

    def query(self, sql: str, params: Sequence[Any] | Mapping[str, Any] = ()) -> list[Row]:
        """The rows of a SELECT, as dicts; `params` fill its `?` or `$name` marks.

        Raises:
            StoreBroken: the file is gone or cannot be read.
        """
        self._check_file()
        try:
            with self._con.cursor() as cursor:
                return to_rows(cursor.sql(sql, params=params or None).to_arrow_table())
        except FAULTS as error:
            raise self._broken(error) from error

    def copy_until(self, path: Path, seq: int) -> None:
        """Make another file with the rows as they were when `seq` was the last event taken, or the newest before it.

        Raises:
            StoreBroken: this file cannot be read, or the other one not be written.
        """
        until = min(seq, self.position)
        copy = RecallStore(path)
        try:
            with self._con.cursor() as read, copy._con.cursor() as write:
                # One snapshot of all tables: whoever writes meanwhile is not waited for.
                read.begin()
                write.begin()
                for table, columns in COLUMNS.items():
                    found = read.sql(_rows_until(table, columns), params={"seq": until})
                    write.register("copied", found.to_arrow_reader())
                    write.execute(f"INSERT INTO {table} SELECT * FROM copied")
                    write.unregister("copied")
                write.execute("UPDATE meta SET seq = ?", [until])
                write.commit()
        except FAULTS as error:
            raise self._broken(error) from error
        finally:
            copy.close()

    def close(self) -> None:
        """Close the file; the store cannot be used any more."""
        with self._write:
            self._con.close()

    def _reuse(self) -> _Reused | None:
        """The existing file when it can be used, else None with the file deleted and the reason kept."""
        con = None
        try:
            con = connect(self.path)
            version, engine, seq = con.execute("SELECT version, engine, seq FROM meta").fetchall()[0]
            if (version, engine) == (SCHEMA_VERSION, ENGINE_VERSION):
                return _Reused(con, seq)
            self.rebuilt_because = (
                f"{self.path.name} was made by another version of Memscope (tables {version}, engine {engine}; "
                f"now {SCHEMA_VERSION} and {ENGINE_VERSION})."
            )
        except (duckdb.Error, IndexError) as error:
            self.rebuilt_because = f"{self.path.name} could not be read ({_first_line(error)})."
        if con is not None:
            con.close()
        forget(self.path)
        return None

    def _create(self) -> _Reused:
        forget(self.path)
        con = connect(self.path)
        con.begin()
        for table, columns in COLUMNS.items():
            described = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
            con.execute(f"CREATE TABLE {table} ({described})")
        con.execute("CREATE TABLE meta (version INTEGER, engine INTEGER, seq BIGINT)")
        con.execute("INSERT INTO meta VALUES (?, ?, 0)", [SCHEMA_VERSION, ENGINE_VERSION])
        con.commit()
        con.execute("CHECKPOINT")
        return _Reused(con, 0)

    def _commit(self, fresh: Batch) -> None:
        with self._con.cursor() as cursor:
            cursor.begin()
            try:
                stored, folded = self._fold(cursor, fresh)
                for change in _unfolding(fresh):
                    self._unfold(cursor, change)
                for table in COLUMNS:
                    self._end_rows(cursor, table, stored.get(table, ()), folded)
                    self._add_rows(cursor, table, folded.table(table)[len(stored.get(table, ())) :])
                cursor.execute("UPDATE meta SET seq = ?", [fresh[-1][0]])
                failpoint("project.before_commit")
                cursor.commit()
            except BaseException:
                cursor.rollback()
                raise
        failpoint("project.after_commit")

    def _stored_position(self) -> int:
        try:
            with self._con.cursor() as cursor:
                return int(cursor.execute("SELECT seq FROM meta").fetchall()[0][0])
        except FAULTS:
            return self.position

    def _fold(self, cursor: duckdb.DuckDBPyConnection, fresh: Batch) -> tuple[dict[str, list[int]], MemoryRows]:
        """The batch folded on the stored rows it touches: (rowids of those, by table; all rows, those first)."""
        touched: dict[str, set[str]] = {}
        reopened: dict[str, set[str]] = {}
        for _, changes in fresh:
            for change in changes:
                if not isinstance(change, Insert | Unfold):
                    keys = change.values if isinstance(change, Close) else (change.id,)
                    touched.setdefault(change.table, set()).update(keys)
                if isinstance(change, Reopen):
                    reopened.setdefault(change.table, set()).add(change.id)
        folded = MemoryRows()
        stored: dict[str, list[int]] = {}
        for table, keys_of in touched.items():
            key = KEYS[table]
            wanted = [sorted(keys_of)]
            which = f"seq_to IS NULL AND {key} IN (SELECT unnest(?))"
            if table in reopened:
                # A row that is to go on again has ended: its last version is wanted too.
                wanted.append(sorted(reopened[table]))
                which = (
                    f"({which}) OR rowid IN (SELECT arg_max(rowid, seq_from) FROM {table} "
                    f"WHERE {key} IN (SELECT unnest(?)) GROUP BY {key})"
                )
            sql = f"SELECT rowid AS stored_at, * FROM {table} WHERE {which} ORDER BY rowid"
            rows = to_rows(cursor.sql(sql, params=wanted).to_arrow_table())
            stored[table] = [row.pop("stored_at") for row in rows]
            for row in rows:
                folded.adopt(table, row)
        for _, changes in fresh:
            folded.take(change for change in changes if not isinstance(change, Unfold))
        return stored, folded

    def _unfold(self, cursor: duckdb.DuckDBPyConnection, change: Unfold) -> None:
        """A document's passages become those of its manifest: some thousand rows at a time."""
        found = opened(self._open, change)
        cursor.register(
            "kept", pa.table({"id": pa.array([one.id(change.seq) for one in found.manifest.passages], pa.string())})
        )
        cursor.execute(
            "UPDATE passages SET seq_to = ? WHERE document = ? AND seq_to IS NULL AND id NOT IN (SELECT id FROM kept)",
            [change.seq, change.document],
        )
        cursor.unregister("kept")
        rows = unfolded(change, found)
        while some := list(islice(rows, UNFOLDED_AT_ONCE)):
            self._add_rows(cursor, "passages", some)

    @staticmethod
    def _end_rows(cursor: duckdb.DuckDBPyConnection, table: str, stored: Sequence[int], folded: MemoryRows) -> None:
        ended = [
            (at, row["seq_to"])
            for at, row in zip(stored, folded.table(table), strict=False)
            if row["seq_to"] is not None
        ]
        if ended:
            cursor.execute(
                f"UPDATE {table} SET seq_to = ended.seq "
                "FROM (SELECT unnest(?) AS stored_at, unnest(?) AS seq) AS ended "
                f"WHERE {table}.rowid = ended.stored_at",
                [[at for at, _ in ended], [seq for _, seq in ended]],
            )

    @staticmethod
    def _add_rows(cursor: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Row]) -> None:
        if rows:
            cursor.register("added", pa.Table.from_pylist(list(rows), schema=_SCHEMAS[table]))
            cursor.execute(f"INSERT INTO {table} SELECT * FROM added")
            cursor.unregister("added")

    def _check_file(self) -> None:
        if not self.path.exists():
            raise StoreBroken(f"{self.path.name} was removed while it was open. Rebuild the stores from the log.")

    def _broken(self, error: Exception) -> StoreBroken:
        return StoreBroken(
            f"{self.path.name} could not be used ({_first_line(error)}). Nothing is lost: free disk space if it is "
            "full, or rebuild the stores from the log."
        )


def _parts(fresh: Batch) -> Iterator[Batch]:
    """A batch in pieces that can be folded alone: a document's passages are no part of what is folded in memory."""
    start = 0
    for at, (_, changes) in enumerate(fresh):
        if any(isinstance(change, Unfold) for change in changes):
            yield from (part for part in (fresh[start:at], fresh[at : at + 1]) if part)
            start = at + 1
    if fresh[start:]:
        yield fresh[start:]


def _unfolding(fresh: Batch) -> Iterator[Unfold]:
    return (change for _, changes in fresh for change in changes if isinstance(change, Unfold))


def _rows_until(table: str, columns: Mapping[str, str]) -> str:
    """A SELECT of the rows that had begun by event `$seq`; what ended later goes on."""
    listed = (
        "CASE WHEN seq_to <= $seq THEN seq_to END AS seq_to" if name == "seq_to" else f'"{name}"' for name in columns
    )
    return f"SELECT {', '.join(listed)} FROM {table} WHERE seq_from <= $seq"


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
