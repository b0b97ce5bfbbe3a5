"""What every edit by hand stands on: the newest state under the journal's lock, current rows, one commit.

Knows how a decision is made and refused; does not know what is edited.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from memgpt_core.errors import EditRefused, StaleEdit, StoreBroken
from memgpt_core.events import Event, TriggerReceived
from memgpt_core.ids import ITEM
from memgpt_core.journal import Journal
from memgpt_core.projections import Projections
from memgpt_core.queue_manager import fit
from memgpt_core.rows import Row
from memgpt_core.state import State

BATCH = 500
"""Events of one write: a bulk edit takes the lock and syncs this often, and the agent's turn runs on in between."""

NAMED = 5
"""The most ids that a sentence lists."""

_WHAT = {"m": ("message", "messages"), "p": ("passage", "passages")}


class Hand:
    """One agent's journal and stores, as a person's edits need them.

    Args:
        stores: the present projections; another embedder makes new ones.
        counting: counts as the agent's present counts were made, while it is entered.
        state_at: the state just after an event.
    """

    def __init__(
        self,
        journal: Journal,
        stores: Callable[[], Projections],
        counting: Callable[[], AbstractContextManager[None]],
        state_at: Callable[[int], State],
    ) -> None:
        self._journal = journal
        self._stores = stores
        self._counting = counting
        self._state_at = state_at

    @contextmanager
    def _deciding(self, *, on_rows: bool = True) -> Iterator[State]:
        """Hold the newest state still: what is decided on it is committed on it.

        With `on_rows` the rows stand at that state, too.

        Raises:
            StoreBroken: the row store is behind, so that nothing may be decided on it.
        """
        with self._counting(), self._journal.lock:
            if on_rows:
                stores = self._stores()
                stores.settle()
                status = stores.status()
                if status.pending:
                    raise StoreBroken(status.error or "The stores are behind the log. Rebuild them, then edit again.")
            yield self._journal.state

    def _told(self, state: State, sentence: str) -> list[Event]:
        """The sentence as a message to an agent in the middle of a turn, when the settings want that."""
        if not (state.turn_open and state.settings.tell_edits):
            return []
        return [fit(state, TriggerReceived(cause="system", text=sentence))]

    def _rows(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        return self._stores().rows(sql, params)

    def _current(self, ids: Sequence[str]) -> dict[str, Row]:
        """Current rows of messages or passages, all of which there must be.

        Raises:
            EditRefused: one was deleted, or never was.
        """
        found = self._stores().items(ids)
        missing = [id for id in ids if id not in found]
        if missing:
            raise EditRefused(self._why_missing(missing))
        return found

    def _why_missing(self, ids: Sequence[str]) -> str:
        table = _WHAT[ids[0][0]][1]
        known = {row["id"] for row in self._rows(f"SELECT id FROM {table} WHERE id IN (SELECT unnest(?))", [list(ids)])}
        never = [id for id in ids if id not in known]
        if never:
            return f"There is no {named(never)}."
        were = "was" if len(ids) == 1 else "were"
        return f"{capital(named(ids))} {were} deleted meanwhile. Copy your text before you leave this page."

    @staticmethod
    def _check_base(id: str, row: Row, based_on: int, yours: str) -> None:
        if row["seq_from"] != based_on:
            what = capital(named([id]))
            raise StaleEdit(what, current=row["text"], current_seq=row["seq_from"], yours=yours)

    def _in_batches(self, ids: Sequence[str], decide: Callable[[State, Sequence[str]], list[Event]]) -> int:
        """Commit what `decide` makes of the ids, some at a time; how many events that were.

        The first decision is made on all of them, so that a bulk edit that is refused has changed nothing.
        """
        made = 0
        if len(ids) > BATCH:
            with self._deciding() as state:
                decide(state, ids)
        for at in range(0, len(ids), BATCH):
            with self._deciding() as state:
                events = decide(state, ids[at : at + BATCH])
                made += len(self._journal.commit_many(events)) if events else 0
        return made


def checked_ids(ids: Iterable[str], letter: str) -> list[str]:
    """The ids without doubles, in their order.

    Raises:
        EditRefused: there is none, or one is no id of a message (`m`) or passage (`p`).
    """
    one, many = _WHAT[letter]
    found = list(dict.fromkeys(ids))
    if not found:
        raise EditRefused(f"No {one} is chosen.")
    wrong = [id for id in found if not (ITEM.fullmatch(id) and id.startswith(letter))]
    if wrong:
        raise EditRefused(f"'{wrong[0][:40]}' is no id of a {one}; {many} are called {letter}1, {letter}2 and so on.")
    return found


def named(ids: Sequence[str]) -> str:
    """Messages or passages in a sentence: `message m3`, `passages p4, p9 and 7 more`."""
    one, many = _WHAT[ids[0][0]]
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return f"{one if len(ids) == 1 else many} {', '.join(ids[:NAMED])}{more}"


def capital(text: str) -> str:
    """The text as a sentence begins."""
    return text[:1].upper() + text[1:]
