"""Archival storage as a person reads it: pages of passages under filters, and one passage's whole story.

Reads the row store by SQL and the log by seq; nothing is scanned that grows with the log, but once, in batches.
Does not rank (`search`), does not edit, does not know who draws.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Literal, NamedTuple

from memgpt_core.events import Event, Hit
from memgpt_core.ids import IN_ORDER, seq_of
from memgpt_core.rows import Row

Select = Callable[[str, Any], list[Row]]
"""A SELECT over the row store, with its parameters by name."""

EXCERPT_CHARS = 1200
OPTIONS_MOST = 300
VERSIONS_MOST = 100
INTERVALS_MOST = 50
SEARCHES_AT_ONCE = 2000
"""How many searches of the log are read before the reader is asked whether to go on."""

_NEWEST_FIRST = f'"at" DESC, seq_from DESC, {IN_ORDER}'
_STOOD = "seq_from <= $n AND (seq_to IS NULL OR seq_to > $n)"


class PassageFilter(NamedTuple):
    """Which passages are wanted; what is empty lets everything pass.

    Attributes:
        tags: at least one of them.
        since, until: days of `zone` on which the passage was stored, both included.
        text: a part of the text, in any case.
        deleted: those that were deleted and are not back, instead of those that stand.
    """

    tags: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    session: int | None = None
    since: date | None = None
    until: date | None = None
    zone: tzinfo = UTC
    text: str = ""
    deleted: bool = False

    def scope(self) -> dict[str, Any]:
        """The same as the keywords of a search (`Projections.archival`)."""
        bounds = {
            "since_us": self.since and _start_us(self.since, self.zone),
            "before_us": self.until and _start_us(self.until + timedelta(days=1), self.zone),
        }
        narrow = {"sources": self.sources, "authors": self.authors, "session": self.session, "text": self.text}
        return {"tags": self.tags, **narrow, **{name: us for name, us in bounds.items() if us is not None}}

    def where(self, n: int) -> tuple[str, dict[str, Any]]:
        """SQL over the versions of `passages` as of event `n`, with its parameters."""
        sql = [_GONE if self.deleted else _STOOD]
        params: dict[str, Any] = {"n": n}
        if self.tags:
            sql.append("list_has_any(tags, $tags)")
            params["tags"] = list(self.tags)
        for column, wanted in (("source", self.sources), ("author", self.authors)):
            if wanted:
                sql.append(f"{column} IN (SELECT unnest(${column}))")
                params[column] = list(wanted)
        if self.session is not None:
            sql.append("session = $session")
            params["session"] = self.session
        if self.since:
            sql.append('epoch_us("at") >= $since')
            params["since"] = _start_us(self.since, self.zone)
        if self.until:
            sql.append('epoch_us("at") < $before')
            params["before"] = _start_us(self.until + timedelta(days=1), self.zone)
        if self.text:
            sql.append("contains(lower(text), lower($part))")
            params["part"] = self.text
        return " AND ".join(sql), params


# A deleted passage is its last version, ended, of a passage that has none standing.
_GONE = (
    f"seq_to <= $n AND id NOT IN (SELECT id FROM passages WHERE {_STOOD}) AND (id, seq_from) IN "
    "(SELECT (id, max(seq_from)) FROM passages WHERE seq_from <= $n GROUP BY id)"
)


def _start_us(day: date, zone: tzinfo) -> int:
    start = datetime.combine(day, time(), tzinfo=zone)
    return (start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def counted(select: Select, wanted: PassageFilter, n: int) -> int:
    """How many passages pass."""
    where, params = wanted.where(n)
    return int(select(f"SELECT count(*) AS passages FROM passages WHERE {where}", params)[0]["passages"])


def listed(
    select: Select, wanted: PassageFilter, n: int, *, first: int, size: int, oldest_first: bool = False
) -> list[Row]:
    """One page of passages: their columns with the text cut to an excerpt, its length `chars` and its `hash`."""
    where, params = wanted.where(n)
    # The passages of a document came at once and are read from its beginning, either way.
    sorting = f'"at", seq_from, {IN_ORDER}' if oldest_first else _NEWEST_FIRST
    return select(
        f"SELECT * REPLACE (substr(text, 1, {EXCERPT_CHARS}) AS text), length(text) AS chars, sha256(text) AS hash "
        f"FROM (SELECT * FROM passages WHERE rowid IN (SELECT rowid FROM passages WHERE {where} "
        f"ORDER BY {sorting} LIMIT $size OFFSET $first)) ORDER BY {sorting}",
        {**params, "size": size, "first": first},
    )


def whole(select: Select, wanted: PassageFilter, n: int, *, most: int) -> list[Row]:
    """Every passage that passes, with its whole text, newest first, for taking along."""
    where, params = wanted.where(n)
    return select(
        'SELECT id, "at", session, turn, step, author, source, tags, text, seq_from AS version, seq_to AS ended '
        f"FROM passages WHERE {where} ORDER BY {_NEWEST_FIRST} LIMIT $most",
        {**params, "most": most},
    )


def ids(select: Select, wanted: PassageFilter, n: int, *, most: int) -> list[str]:
    """The ids of what passes, newest first."""
    where, params = wanted.where(n)
    sql = f"SELECT id FROM passages WHERE {where} ORDER BY {_NEWEST_FIRST} LIMIT $most"
    return [row["id"] for row in select(sql, {**params, "most": most})]


class Options(NamedTuple):
    """What a filter can be set to, each with how many passages have it, most first."""

    tags: dict[str, int]
    sources: dict[str, int]
    authors: dict[str, int]
    sessions: dict[int, int]


def options(select: Select, n: int) -> Options:
    """The values that stand as of event `n`."""

    def having(column: str, order: str = "2 DESC, 1") -> dict[Any, int]:
        rows = select(
            f"SELECT value, count(*) AS passages FROM (SELECT {column} AS value FROM passages WHERE {_STOOD}) "
            f"GROUP BY 1 ORDER BY {order} LIMIT {OPTIONS_MOST}",
            {"n": n},
        )
        return {row["value"]: row["passages"] for row in rows}

    return Options(having("unnest(tags)"), having("source"), having("author"), having("session", "1 DESC"))


class Standing(NamedTuple):
    """A passage as of an event: its row, and whether it was deleted by then (its last version, in that case)."""

    row: Row
    deleted: bool


def standing(select: Select, id: str, n: int) -> Standing | None:
    """The passage; None when it was never there by then."""
    rows = select(
        "SELECT *, length(text) AS chars, sha256(text) AS hash FROM passages WHERE id = $id AND seq_from <= $n "
        "ORDER BY seq_from DESC LIMIT 1",
        {"id": id, "n": n},
    )
    return Standing(rows[0], rows[0]["seq_to"] is not None and rows[0]["seq_to"] <= n) if rows else None


def versions(select: Select, id: str, n: int) -> list[Row]:
    """Every version until event `n`, newest first: text, tags, and which event began and ended it, when, by whom."""
    return select(
        'SELECT v.seq_from, v.seq_to, v.text, v.tags, began."at" AS began_at, began.kind AS began_by, '
        'began.author, ended."at" AS ended_at, ended.kind AS ended_by '
        "FROM passages v JOIN events began ON began.seq_from = v.seq_from "
        "LEFT JOIN events ended ON ended.seq_from = v.seq_to AND v.seq_to <= $n "
        f"WHERE v.id = $id AND v.seq_from <= $n ORDER BY v.seq_from DESC LIMIT {VERSIONS_MOST}",
        {"id": id, "n": n},
    )


def told_in(select: Select, row: Row, n: int) -> list[Row]:
    """The messages of the turn a passage was stored in, by event: what led to it, up to the reply that stored it."""
    return select(
        "SELECT id, role, kind, substr(text, 1, 400) AS text, step FROM messages "
        f"WHERE turn = $turn AND step <= $step AND id <> '' AND seq_from < $seq AND {_STOOD} AND "
        "kind IN ('trigger_received', 'model_replied') ORDER BY seq_from DESC LIMIT 4",
        {"turn": row["turn"], "step": row["step"], "seq": seq_of(row["id"]), "n": n},
    )


def intervals(select: Select, id: str, n: int) -> list[Row]:
    """When its text was in the window, newest first: the carrier, how, from which event to which (None: still)."""
    return select(
        "SELECT carrier, how, seq_from, CASE WHEN seq_to <= $n THEN seq_to END AS seq_to, turn FROM residency "
        f"WHERE item = $id AND seq_from <= $n ORDER BY seq_from DESC LIMIT {INTERVALS_MOST}",
        {"id": id, "n": n},
    )


Embedding = Literal["this", "other", "none", "off"]
"""With the agent's model; only with another one; with none; the agent has no model."""


def embeddings(rows: Sequence[Row], known: Mapping[str, Sequence[tuple[str, int]]], space: Any) -> dict[str, Embedding]:
    """How each row (with `hash`) is embedded; `known` is `VectorStore.spaces`, `space` the agent's (model, dim)."""
    if space is None:
        return {row["id"]: "off" for row in rows}
    return {
        row["id"]: "this" if space in known.get(row["hash"], ()) else "other" if known.get(row["hash"]) else "none"
        for row in rows
    }


class Returned(NamedTuple):
    """A search of the agent that gave a passage, with what ranked it there."""

    seq: int
    at: datetime
    turn: int
    query: str
    place: int
    hit: Hit


class SearchLog:
    """Which past searches of one agent gave which passage.

    A committed event never changes, so each is read once; only the ones that are new are looked for.
    """

    def __init__(self, select: Select, read: Callable[[int], Event]) -> None:
        self._select = select
        self._read = read
        self._lock = threading.Lock()
        self._waiting: list[int] = []
        self._last = 0
        self._by_passage: dict[str, list[Returned]] = {}
        self.looked_through = 0

    def take(self, most: int = SEARCHES_AT_ONCE) -> int:
        """Read what is new, the newest first, at most so many; how many searches are left unread."""
        with self._lock:
            rows = self._select(
                "SELECT seq_from FROM events WHERE kind = 'archival_searched' AND seq_from > $last ORDER BY 1",
                {"last": self._last},
            )
            self._waiting += [row["seq_from"] for row in rows]
            self._last = self._waiting[-1] if rows else self._last
            for _ in range(min(most, len(self._waiting))):
                self._keep(self._read(self._waiting.pop()))
            return len(self._waiting)

    def giving(self, id: str, n: int) -> list[Returned]:
        """The searches up to event `n` that gave the passage, newest first; of those that were read."""
        with self._lock:
            found = [search for search in self._by_passage.get(id, ()) if search.seq <= n]
        return sorted(found, key=lambda search: -search.seq)

    def _keep(self, event: Any) -> None:
        self.looked_through += 1
        for place, hit in enumerate(event.measured.hits or (), 1):
            search = Returned(event.seq, event.at, event.turn, event.query, place, hit)
            self._by_passage.setdefault(hit.id, []).append(search)
