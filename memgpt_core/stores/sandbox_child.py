"""The process in which a person's SELECT runs: over a copy of the row store, with nothing else in reach.

Started by `sandbox`, which can end it at any moment: a query cannot be stopped inside one vector of values, and what
it takes there no limit of DuckDB counts. Knows no module of this project; until the file is copied it loads nothing
that takes time, because the store waits for that. Read one order as a line of JSON on stdin; write `copied`, then one
line of JSON with what became of it, then the rows as an Arrow stream.
"""

import json
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TABLE_FUNCTIONS = frozenset(
    ("range", "generate_series", "unnest", "repeat", "json_each", "json_tree", "duckdb_columns", "duckdb_tables")
)
"""What may stand in FROM with brackets: nothing of these reaches a file, a setting or another process."""

SIDE_EFFECTS = frozenset(("write_log", "sleep_ms", "setseed", "nextval", "currval", "getenv", "getvariable"))

BATCH_ROWS = 50
INTERRUPT_AGAIN_S = 0.1
BEYOND_ENGINE_MB = 768
"""What the process may take beyond what it has with the file open: the engine's own limit and its working copies."""


class Refused(Exception):
    """The query was not run, or not to its end; the message says why."""


def main() -> None:
    """Copy the file, run the query, write the answer."""
    order = json.loads(sys.stdin.buffer.readline())
    out = sys.stdout.buffer
    source, copy = Path(order["source"]), Path(order["copy"])
    for part in (".wal", ""):
        if (named := source.with_name(source.name + part)).exists():
            shutil.copyfile(named, copy.with_name(copy.name + part))
    out.write(b"copied\n")
    out.flush()
    try:
        told, rows = answer(copy, order)
    except Refused as why:
        told, rows = {"refused": str(why)}, b""
    out.write(json.dumps(told).encode() + b"\n" + rows)
    out.flush()


def answer(path: Path, order: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """(whether there were more rows, the rows as an Arrow stream)."""
    import duckdb

    try:
        con = open_rows(path, order["memory_mb"])
        _bound_memory()
        threading.Thread(target=_interrupt, args=(con, order["seconds"]), daemon=True).start()
        # One row more than is shown tells that there are more.
        return _stream(ask(con, order["sql"], order["rows"] + 1), order)
    except duckdb.InterruptException:
        raise Refused(f"The query was interrupted after {order['seconds']:g} s. Ask for less: add a WHERE.") from None
    except (duckdb.OutOfMemoryException, MemoryError):
        raise Refused(
            f"The query needs more than the {order['memory_mb']} MB it may take. Ask for fewer rows, or aggregate them."
        ) from None
    except duckdb.Error as error:
        raise Refused(_told(error)) from None


def open_rows(path: Path, memory_mb: int) -> Any:
    """A connection to the copy that can reach nothing else."""
    import duckdb

    config = {
        "enable_external_access": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "python_enable_replacements": "false",
        "memory_limit": f"{memory_mb}MB",
        # Nothing is spilled to the disk: it could fill it.
        "max_temp_directory_size": "0MB",
        "threads": "2",
    }
    con = duckdb.connect(str(path), config={**config})
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET lock_configuration = true")
    return con


def ask(con: Any, sql: str, rows: int) -> Any:
    """The first so many rows of one SELECT, as they come, in a transaction that cannot write."""
    check(con, sql)
    con.execute("BEGIN TRANSACTION READ ONLY")
    return con.execute(f"SELECT * FROM (\n{sql.rstrip().rstrip(';')}\n) LIMIT {rows}").to_arrow_reader(BATCH_ROWS)


def _told(error: Exception) -> str:
    """DuckDB's own words, its line numbers those of the query and not of what is put around it."""
    return re.sub(r"^LINE (\d+)", lambda found: f"LINE {int(found[1]) - 1 or 1}", str(error).strip(), flags=re.M)


def check(con: Any, sql: str) -> None:
    """Raise Refused unless `sql` is exactly one SELECT that calls nothing with an effect."""
    found = con.extract_statements(sql)
    if len(found) != 1:
        raise Refused(
            "There is no query: write one SELECT."
            if not found
            else f"These are {len(found)} statements; the box runs exactly one SELECT (a PIVOT counts as several)."
        )
    kind = found[0].type.name
    if kind != "SELECT":
        raise Refused(f"This is a {kind} statement; the box only reads, so it runs SELECT alone.")
    tree = json.loads(con.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()[0][0])
    if tree["error"]:
        raise Refused("This is no plain SELECT (a PRAGMA, for one, only looks like it); the box runs SELECT alone.")
    for where, name in _functions(tree):
        if where == "table" and name not in TABLE_FUNCTIONS:
            raise Refused(f"{name}() cannot be read from here. Tables and {', '.join(sorted(TABLE_FUNCTIONS))} can.")
        if where == "value" and name in SIDE_EFFECTS:
            raise Refused(f"{name}() does more than read, so it is not run here.")


def _functions(node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, list):
        for item in node:
            yield from _functions(item)
    elif isinstance(node, dict):
        if node.get("type") == "TABLE_FUNCTION":
            yield "table", str(node["function"].get("function_name", "")).lower()
        elif node.get("class") == "FUNCTION":
            yield "value", str(node.get("function_name", "")).lower()
        for item in node.values():
            yield from _functions(item)


def _interrupt(con: Any, seconds: float) -> None:
    """Interrupt again and again: one that comes before the query has begun is forgotten by it."""
    time.sleep(seconds)
    while True:
        con.interrupt()
        time.sleep(INTERRUPT_AGAIN_S)


def _bound_memory() -> None:
    """Let an allocation fail rather than the machine; where the system cannot, the engine's own limit is left."""
    # Loaded before the limit, and without a pool that takes a gigabyte of addresses to begin with.
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    import pyarrow as pa

    pa.default_memory_pool()
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        return
    most = pages * resource.getpagesize() + BEYOND_ENGINE_MB * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _stream(reader: Any, order: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    import pyarrow as pa

    batches, rows, size = [], 0, 0
    for batch in reader:
        size += batch.nbytes
        if size > order["bytes"]:
            raise Refused(
                f"The result is larger than {order['bytes'] // 2**20} MB. Ask for fewer columns or shorter texts, for "
                "example left(text, 200)."
            )
        batches.append(batch)
        rows += batch.num_rows
    table = pa.Table.from_batches(batches, schema=reader.schema).slice(0, order["rows"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return {"more": rows > order["rows"]}, sink.getvalue().to_pybytes()


if __name__ == "__main__":
    main()
