"""A person's SQL over the rows of an agent: one SELECT, bounded in time, memory and result, that can change nothing.

Each query runs in a process of its own over a copy of the row store's file (`sandbox_child`). Inside the store's own
process a query could not be bounded: DuckDB answers an interrupt only between vectors of 2,048 values, the texts in
them are in no memory limit, and what the limit does count is taken from the store. Does not know what the rows mean.

Also says whether DuckDB takes a regular expression, for those who may not ask it.
"""

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from memgpt_core.rows import Row
from memgpt_core.stores.recall import to_rows

ROWS_MOST = 1000
BYTES_MOST = 16 * 2**20
SECONDS_MOST = 5.0
MEMORY_MB = 256
SQL_CHARS_MOST = 20_000
PATTERN_CHARS_MOST = 500

STARTS_WITHIN_S = 10.0
STOPS_WITHIN_S = 2.0
"""How long after the interrupt a query is given that has not come to the end of a vector."""

_CHILD = Path(__file__).with_name("sandbox_child.py")
_ONE_AT_A_TIME = threading.Lock()


class Answer(NamedTuple):
    """What became of a query.

    Attributes:
        refused: why there are no rows, a sentence or DuckDB's own words; empty when there are.
        columns: names in order, each once.
        rows: at most `ROWS_MOST`; values are plain: no bytes, no nesting.
        more: there were more rows than that.
        seconds: wall time, with the process and the copy.
    """

    refused: str
    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    more: bool = False
    seconds: float = 0.0


AtRest = Callable[[], AbstractContextManager[Path]]
"""Gives the row store's file while nobody writes to it."""


def select(at_rest: AtRest, sql: str, *, seconds: float = SECONDS_MOST) -> Answer:
    """Run one SELECT over the rows as they are now; one query at a time in a process of Memscope."""
    if len(sql) > SQL_CHARS_MOST:
        return Answer(f"The query is longer than {SQL_CHARS_MOST:,} characters.")
    started = time.monotonic()
    with _ONE_AT_A_TIME:
        said = _run(at_rest, sql, seconds)
    line, _, stream = said.partition(b"\n")
    try:
        told = json.loads(line)
    except ValueError:
        return Answer(_cut_off(started, seconds))
    if "refused" in told:
        return Answer(told["refused"])
    table = pa.ipc.open_stream(stream).read_all()
    rows = tuple({name: _plain(value) for name, value in row.items()} for row in to_rows(table))
    return Answer("", tuple(table.column_names), rows, told["more"], time.monotonic() - started)


@lru_cache(maxsize=256)
def pattern_fault(pattern: str) -> str:
    """Why DuckDB does not take a regular expression; empty when it does."""
    if len(pattern) > PATTERN_CHARS_MOST:
        return f"The regular expression is longer than {PATTERN_CHARS_MOST} characters."
    try:
        with duckdb.connect() as con:
            con.execute("SELECT regexp_matches('', ?, 'i')", [pattern])
    except duckdb.Error as error:
        return f"This is no regular expression that DuckDB (RE2) takes: {str(error).strip().splitlines()[0]}"
    return ""


def _run(at_rest: AtRest, sql: str, seconds: float) -> bytes:
    """What the child wrote after its copy was made; nothing when it was ended, or ended by itself."""
    with at_rest() as source:
        folder = source.with_name("sql-copy")
        # What a killed process left here.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        child = subprocess.Popen(
            [sys.executable, "-I", str(_CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        end = threading.Timer(STARTS_WITHIN_S + seconds + STOPS_WITHIN_S, child.kill)
        end.start()
        assert child.stdin is not None
        assert child.stdout is not None
        order = {"source": str(source), "copy": str(folder / source.name), "sql": sql, "seconds": seconds}
        limits = {"rows": ROWS_MOST, "bytes": BYTES_MOST, "memory_mb": MEMORY_MB}
        with suppress(BrokenPipeError):
            child.stdin.write(json.dumps(order | limits).encode() + b"\n")
            child.stdin.close()
        copied = child.stdout.readline()
    try:
        return child.stdout.read() if copied else b""
    finally:
        end.cancel()
        child.kill()
        child.wait()
        child.stdout.close()
        shutil.rmtree(folder, ignore_errors=True)


def _cut_off(started: float, seconds: float) -> str:
    if time.monotonic() - started >= seconds + STOPS_WITHIN_S:
        return f"The query did not stop {seconds:g} s after it began and was ended. Ask for less: add a WHERE."
    return (
        f"The query was ended: it took more memory than the {MEMORY_MB} MB it may, or there is no room on the disk "
        "for a copy of the rows. The rows themselves were not touched."
    )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | dict | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
