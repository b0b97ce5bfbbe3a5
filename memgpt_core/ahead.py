"""Searches that run ahead: while the model writes, what it is likely to ask for is looked up already.

A search that was run ahead is used when the model asks for the same one and nothing has changed what it would find;
otherwise the store is asked as if nothing had been. So an agent finds the same with it and without it, and only the
waiting differs. One thread of the agent's own does it; it writes nothing, and a failure in it is nobody's: the search
is then made when it is asked for. Knows how to wait and what makes an answer stale; what is likely is `guessing`'s.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any, Protocol

from memgpt_core.documents.library import Shelf
from memgpt_core.guessing import Answered, Wanted, guesses, wanted
from memgpt_core.memory_functions import SPOKEN, asking
from memgpt_core.project import Change, Insert, project
from memgpt_core.prompt import Reader
from memgpt_core.search import Found
from memgpt_core.state import State

EVENTS_MOST = 200
"""An answer older than so many events is not looked at: an import runs, and reading what it changed would take time."""

STOP_WITHIN_S = 5.0

TABLES = {"recall": "messages", "archival": "passages"}
"""The table whose rows a search of a store ranks."""


class Stores(Protocol):
    """What is searched: an open agent."""

    def recall(self, query: str, **scope: Any) -> Found:
        """Messages; `at` has the search made as of an event."""

    def archival(self, query: str, **scope: Any) -> Found:
        """Passages, likewise."""

    def items(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Current rows by id."""

    @property
    def documents(self) -> Shelf:
        """The agent's documents."""

    def search_mode(self) -> str:
        """What a search ranks by now."""

    def found_by_words_only(self) -> frozenset[str]:
        """Ids of the items whose vector is still to come."""


class _Ticket:
    """A search that was begun ahead; `found` stays None when it failed."""

    def __init__(self, state: State, day: date) -> None:
        self.seq = state.seq
        self.day = day
        self.exclude = asking(state)
        self.done = threading.Event()
        self.found: Found | None = None
        self.seconds = 0.0
        self.lacking: frozenset[str] = frozenset()


class Begun:
    """What runs ahead of one reply.

    Attributes:
        searches: how many were begun; None when none may be.
    """

    def __init__(self, state: State, said: str, day: date, last: tuple[Wanted, Found] | None) -> None:
        self.searches: int | None = None if state.settings.prefetch == "off" else 0
        self.state = state
        self.said = said
        self.day = day
        self.last = last


class Ahead:
    """A search that may have its answer already; the agent asks it in place of the stores."""

    def __init__(self, stores: Stores, state: Callable[[], State], read: Reader) -> None:
        self._stores = stores
        self._state = state
        self._read = read
        self._lock = threading.Lock()
        self._turn = 0
        self._tickets: dict[Wanted, _Ticket] = {}
        self._last: tuple[Wanted, Found] | None = None
        self._begun: Begun | None = None
        self._working = False
        self._thread: threading.Thread | None = None

    # --- while the model writes -------------------------------------------------------------------------------

    @contextmanager
    def running(self) -> Iterator[Begun]:
        """Run the likely searches until the reply is there; then no further one is begun."""
        begun = self._begin()
        try:
            yield begun
        finally:
            with self._lock:
                self._begun = None

    def _begin(self) -> Begun:
        state = self._state()
        with self._lock:
            if self._turn != state.turn:
                self._turn, self._last, self._tickets = state.turn, None, {}
            begun = Begun(state, *self._message(state), self._last)
            if begun.searches is not None:
                self._begun = begun
                if not self._working:
                    self._working = True
                    name = f"searches ahead {state.agent_id}"
                    self._thread = threading.Thread(target=self._work, name=name, daemon=True)
                    self._thread.start()
        return begun

    def _message(self, state: State) -> tuple[str, date]:
        """(what the user said in this turn, the day it began)."""
        said, day = "", state.at.date()
        for entry in state.queue:
            if entry.turn == state.turn and entry.kind == "trigger_received":
                event: Any = self._read(int(entry.id[1:]))
                day = min(day, event.at.date())
                said = event.text if event.cause == "user" else said
        return said, day

    def _work(self) -> None:
        ran: Begun | None = None
        while True:
            with self._lock:
                begun = self._begun
                if begun is None or begun is ran:
                    self._working = False
                    return
            self._run(begun)
            ran = begun

    def _run(self, begun: Begun) -> None:
        try:
            state = begun.state
            settings = state.settings
            for one in guesses(settings.prefetch, begun.said, self._answered(begun), settings.page_size, SPOKEN):
                with self._lock:
                    if self._begun is not begun:
                        return
                    if one in self._tickets:
                        continue
                    ticket = self._tickets[one] = _Ticket(state, begun.day)
                    begun.searches = (begun.searches or 0) + 1
                self._search(one, ticket)
        except Exception:  # noqa: BLE001  (the top of a thread that nobody waits for: what failed is made when asked)
            return

    def _answered(self, begun: Begun) -> Answered | None:
        if begun.last is None:
            return None
        one, found = begun.last
        texts = []
        if begun.state.settings.prefetch == "key_chain":
            rows = self._stores.items(hit.id for hit in found.hits)
            texts = [str(rows[hit.id]["text"]) for hit in found.hits if hit.id in rows]
        return Answered(one, found.total, texts)

    def _search(self, one: Wanted, ticket: _Ticket) -> None:
        started = time.monotonic()
        try:
            scope = {**dict(one.narrow), "page": one.page, "page_size": one.page_size, "at": ticket.seq}
            if one.store == "recall":
                found = self._stores.recall(one.query, **scope, exclude=ticket.exclude)
            else:
                found = self._stores.archival(one.query, **scope)
            ticket.lacking = self._stores.found_by_words_only()
            ticket.found = found
        finally:
            ticket.seconds = time.monotonic() - started
            ticket.done.set()

    def close(self) -> None:
        """Begin no further search and let the one that runs end, before the stores are closed."""
        with self._lock:
            self._begun = None
        if self._thread is not None:
            self._thread.join(STOP_WITHIN_S)

    # --- when it is asked for ---------------------------------------------------------------------------------

    def recall(self, query: str, *, page: int, page_size: int, exclude: tuple[str, ...], **narrow: Any) -> Found:
        """As the stores; at once when it was run ahead."""
        one = wanted("recall", query, page, page_size, narrow)
        found = self._ready(one, exclude) or self._stores.recall(
            query, page=page, page_size=page_size, exclude=exclude, **narrow
        )
        self._last = (one, found)
        return found

    def archival(self, query: str, *, page: int, page_size: int, **narrow: Any) -> Found:
        """As the stores; at once when it was run ahead."""
        one = wanted("archival", query, page, page_size, narrow)
        found = self._ready(one, ()) or self._stores.archival(query, page=page, page_size=page_size, **narrow)
        self._last = (one, found)
        return found

    def items(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """As the stores."""
        return self._stores.items(ids)

    @property
    def documents(self) -> Shelf:
        """The agent's documents."""
        return self._stores.documents

    def _ready(self, one: Wanted, exclude: tuple[str, ...]) -> Found | None:
        """What was found ahead, if a search now would find the same; one that still runs is waited for."""
        with self._lock:
            ticket = self._tickets.pop(one, None)
        if ticket is None or not self._stands(one, ticket, exclude):
            return None
        asked = time.monotonic()
        # It has a head start on the same search made anew, and fails or ends as that one would.
        ticket.done.wait()
        waited = time.monotonic() - asked
        if ticket.found is None or not self._same_signals(one, ticket):
            return None
        return ticket.found._replace(saved_s=round(max(0.0, ticket.seconds - waited), 6))

    def _same_signals(self, one: Wanted, ticket: _Ticket) -> bool:
        """Whether no vector came since, and none went missing: a page by date has no use for them."""
        if not one.query.strip() or ticket.found is None:
            return True
        embedded_since = ticket.lacking - self._stores.found_by_words_only()
        return not embedded_since and ticket.found.mode == self._stores.search_mode()

    def _stands(self, one: Wanted, ticket: _Ticket, exclude: tuple[str, ...]) -> bool:
        """Whether the rows that are searched, and the day they are seen from, are those of the search run ahead."""
        state = self._state()
        if state.seq - ticket.seq > EVENTS_MOST or state.at.date() != ticket.day:
            return False
        if one.store == "recall" and not self._leaves_out(ticket, exclude):
            return False
        for seq in range(ticket.seq + 1, state.seq + 1):
            # Which tables an event touches depends on the event alone; the state is needed for other columns.
            if any(_matters(change, one, exclude) for change in project(state, self._read(seq))):
                return False
        return True

    @staticmethod
    def _leaves_out(ticket: _Ticket, exclude: tuple[str, ...]) -> bool:
        """Whether the same messages are left out, but for those that came since."""
        came = set(exclude) - set(ticket.exclude)
        return set(ticket.exclude) <= set(exclude) and all(int(id[1:]) > ticket.seq for id in came)


def _matters(change: Change, one: Wanted, exclude: tuple[str, ...]) -> bool:
    """Whether a row change may change what a search finds."""
    if change.table != TABLES[one.store]:
        return False
    if not isinstance(change, Insert):
        return True
    searched = change.row.get("role", SPOKEN[0]) in {*SPOKEN, *dict(one.narrow).get("roles", ())}
    return searched and bool(change.row["text"]) and change.row["id"] not in exclude
