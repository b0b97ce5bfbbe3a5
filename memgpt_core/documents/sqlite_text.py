"""SQLite files: their tables as tables, opened read-only and immutable.

Views, virtual tables and triggers are never run: a file from elsewhere must not decide what is computed here. Rows,
cells and steps are bounded, and a note says what was left out.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from memgpt_core.documents.parts import Draft, Extracted
from memgpt_core.errors import NotReadable

ROWS_MOST = 50_000
"""Of one table."""

CELL_CHARS_MOST = 4000
_STEPS_MOST = 2_000_000_000
_STEPS_A_LOOK = 1_000_000


def read_sqlite(path: Path) -> Extracted:
    """The tables of the file at `path`.

    Raises:
        NotReadable: it is broken or holds no table.
    """
    draft = Draft()
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)) as db:
            _guard(db)
            for name in _tables(draft, db):
                _add_table(draft, db, name)
    except sqlite3.Error as error:
        raise NotReadable(
            f"it is a SQLite file that cannot be read ({error}). Check it with `PRAGMA integrity_check`, "
            "or export its tables as CSV and add those."
        ) from error
    return draft.finish("", "application/vnd.sqlite3")


def _guard(db: sqlite3.Connection) -> None:
    looks = iter(range(_STEPS_MOST // _STEPS_A_LOOK))
    db.set_progress_handler(lambda: next(looks, None) is None, _STEPS_A_LOOK)
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA query_only = ON")
    db.execute("PRAGMA cell_size_check = ON")
    db.text_factory = lambda data: data.decode(errors="replace")


def _tables(draft: Draft, db: sqlite3.Connection) -> list[str]:
    rows = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY rowid").fetchall()
    own = {name: (sql or "").lower() for name, sql in rows if not name.startswith("sqlite_")}
    virtual = tuple(f"{name}_" for name, sql in own.items() if sql.startswith("create virtual"))
    # A virtual table keeps its index in tables of its own, called after it.
    plain = [name for name in own if not f"{name}_".startswith(virtual)] if virtual else list(own)
    views = db.execute("SELECT count(*) FROM sqlite_master WHERE type = 'view'").fetchone()[0]
    if left_out := views + len(virtual):
        draft.notes.append(f"{left_out} views or virtual tables were left out: they would have to be computed.")
    return plain


def _add_table(draft: Draft, db: sqlite3.Connection, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    found = db.execute(f"SELECT * FROM {quoted} LIMIT {ROWS_MOST + 1}")
    columns = [column[0] for column in found.description]
    draft.heading(1, name)
    rows: list[list[str]] = [columns]
    for row in found:
        if len(rows) > ROWS_MOST:
            draft.notes.append(f"Of the table {name} the first {ROWS_MOST:,} rows were read.")
            break
        rows.append([_shown(cell) for cell in row])
    draft.table(rows)


def _shown(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bytes):
        return f"({len(cell):,} bytes)"
    text = str(cell)
    return text if len(text) <= CELL_CHARS_MOST else text[:CELL_CHARS_MOST] + "…"
