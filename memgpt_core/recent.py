"""The rows that the last events brought, held in RAM, so that who follows the rows waits for no disk.

Takes what the journal hands over. Knows only what began: a change or an end of a row makes all that its table had
before be asked of the row store again. Bounded; says None where it does not know. Safe to use from any thread.
"""

import threading
from collections import deque
from collections.abc import Collection, Sequence

from memgpt_core.project import Change, Insert
from memgpt_core.rows import Row
from memgpt_core.stores.versions import Began

TABLES = ("messages", "passages")
ROWS_MOST = 1024
CHARS_MOST = 2_000_000
"""So much text a table's rows may have here."""


class Recent:
    """The newest rows of the tables that are searched, as they began, from some event on."""

    def __init__(self, position: int = 0) -> None:
        self._lock = threading.Lock()
        self.begin(position)

    def begin(self, position: int) -> None:
        """Hold nothing of what came up to event `position`, and all that comes behind it."""
        with self._lock:
            self._rows: dict[str, deque[Row]] = {table: deque() for table in TABLES}
            self._chars = dict.fromkeys(TABLES, 0)
            self._after = dict.fromkeys(TABLES, position)

    def take(self, seq: int, changes: Sequence[Change]) -> None:
        """The next event, with the changes it makes."""
        with self._lock:
            for change in changes:
                if change.table in self._rows:
                    self._take(change.table, seq, change)

    def since(self, table: str, after: int, to: int) -> list[Row] | None:
        """The rows that began after event `after`, up to `to`, oldest first; not to be changed.

        None when they must be asked of the row store, or when more happened than that rows began.
        """
        found: list[Row] = []
        with self._lock:
            if after < self._after[table]:
                return None
            for row in reversed(self._rows[table]):
                if row["seq_from"] <= after:
                    break
                if row["seq_from"] <= to:
                    found.append(row)
        return found[::-1]

    def texts(self, table: str, wanted: Collection[Began]) -> list[str] | None:
        """The texts of these versions; None when one must be asked of the row store."""
        with self._lock:
            held = {(row["id"], row["seq_from"]): row["text"] for row in self._rows[table]} if wanted else {}
        found = [held[one] for one in wanted if one in held]
        return found if len(found) == len(wanted) else None

    def _take(self, table: str, seq: int, change: Change) -> None:
        rows = self._rows[table]
        if not isinstance(change, Insert):
            rows.clear()
            self._chars[table], self._after[table] = 0, seq
            return
        rows.append(change.row)
        self._chars[table] += len(change.row["text"])
        while len(rows) > ROWS_MOST or self._chars[table] > CHARS_MOST:
            gone = rows.popleft()
            self._chars[table] -= len(gone["text"])
            self._after[table] = gone["seq_from"]
