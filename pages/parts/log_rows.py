"""Which events the log page shows: from the rows when kinds and places narrow them, from the log's lines for a text."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from memgpt_core.errors import LogCorrupt
from memgpt_core.views.log_rows import in_words, place_of
from memgpt_core.workspace import Workspace

PAGE = 50
EXPORT_PIECE = 5000


class Filter(NamedTuple):
    """What narrows the log; empty and None let all through. `at` is the last event there is to see."""

    at: int
    text: str = ""
    kinds: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    session: int | None = None
    turn: int | None = None
    oldest_first: bool = False

    def where(self) -> tuple[str, list[Any]]:
        """The condition on rows of `events`, without the text."""
        conditions, params = ["seq_from <= ?"], list[Any]([self.at])
        for column, values in (("kind", self.kinds), ("author", self.authors)):
            if values:
                conditions.append(f"{column} IN (SELECT unnest(?))")
                params.append(list(values))
        for column, value in (("session", self.session), ("turn", self.turn)):
            if value is not None:
                conditions.append(f"{column} = ?")
                params.append(value)
        return " AND ".join(conditions), params

    @property
    def lets_all(self) -> bool:
        """Whether nothing narrows it, so that the numbers of the events are known without asking."""
        return self._replace(at=0, oldest_first=False) == Filter(0)

    def signature(self) -> str:
        """A name for this choice of events, another one for each other."""
        return repr(self._replace(at=0))


def count(ws: Workspace, chosen: Filter) -> int:
    """How many events the filters let through; the text is not asked."""
    if chosen.lets_all:
        return chosen.at
    where, params = chosen.where()
    return int(ws.rows(f"SELECT count(*) AS n FROM events WHERE {where}", params)[0]["n"])


def page(ws: Workspace, chosen: Filter, first: int, size: int = PAGE) -> list[dict[str, Any]]:
    """Rows of `events` from number `first` (from 0) on, in the order chosen; the text is not asked."""
    if chosen.lets_all:
        low = first + 1 if chosen.oldest_first else max(1, chosen.at - first - size + 1)
        high = min(chosen.at, first + size) if chosen.oldest_first else chosen.at - first
        rows = ws.rows("SELECT * FROM events WHERE seq_from BETWEEN ? AND ? ORDER BY seq_from", [low, high])
        return rows if chosen.oldest_first else rows[::-1]
    where, params = chosen.where()
    order = "" if chosen.oldest_first else "DESC"
    sql = f"SELECT * FROM events WHERE {where} ORDER BY seq_from {order} LIMIT ? OFFSET ?"
    return ws.rows(sql, [*params, size, first])


class Looked(NamedTuple):
    """A page of a text search: its rows, the events it looked at (from, to), and whether there are more to look at."""

    rows: list[dict[str, Any]]
    since: int
    to: int
    more: bool


def search(ws: Workspace, chosen: Filter, since: int | None, size: int = PAGE) -> Looked:
    """Events with the text, looking on from event `since` in the order chosen; None begins at the beginning."""
    begin = since if since is not None else (1 if chosen.oldest_first else chosen.at)
    ends = {"first": begin, "last": chosen.at} if chosen.oldest_first else {"first": 1, "last": begin}
    found = ws.find_events(
        chosen.text,
        kinds=chosen.kinds,
        authors=chosen.authors,
        session=chosen.session,
        turn=chosen.turn,
        newest_first=not chosen.oldest_first,
        limit=size,
        **ends,
    )
    rows = ws.rows("SELECT * FROM events WHERE seq_from IN (SELECT unnest(?))", [list(found.seqs)])
    by_seq = {row["seq_from"]: row for row in rows}
    return Looked([by_seq[seq] for seq in found.seqs if seq in by_seq], begin, found.looked_to, found.more)


def following(looked: Looked, chosen: Filter) -> int:
    """Where the next page of a text search begins."""
    return looked.to + (1 if chosen.oldest_first else -1)


def worded(ws: Workspace, seq: int, text: str = "") -> str:
    """What happened at an event, in words, with the place of the text that was looked for when they do not show it."""
    try:
        event = ws.event(seq)
    except LogCorrupt as corrupt:
        return str(corrupt)
    words = in_words(event)
    if text and text.casefold() not in words.casefold():
        return f"{words} · {place_of(event, text)}"
    return words


def everything(ws: Workspace, chosen: Filter) -> list[dict[str, Any]]:
    """All rows that the filters, the text among them, let through, for taking along."""
    return [
        {name: value for name, value in row.items() if name != "seq_to"} | {"in_words": worded(ws, row["seq_from"])}
        for row in _all(ws, chosen)
    ]


def _all(ws: Workspace, chosen: Filter) -> Iterator[dict[str, Any]]:
    if not chosen.text:
        for first in range(0, count(ws, chosen), EXPORT_PIECE):
            yield from page(ws, chosen, first, EXPORT_PIECE)
        return
    looked = search(ws, chosen, None, EXPORT_PIECE)
    yield from looked.rows
    while looked.more:
        looked = search(ws, chosen, following(looked, chosen), EXPORT_PIECE)
        yield from looked.rows
