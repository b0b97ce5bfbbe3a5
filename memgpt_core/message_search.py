"""A person's search of recall storage: which messages pass a filter as of an event, a page of them and how many.

Beside the agent's own ranked search there are all words, a phrase and a regular expression, over every role, with
filters the agent has not. One pass over the rows counts and orders what passes; texts are read for the page alone.
Knows the row store's tables; does not know how anything is drawn.

A regular expression is checked before it is run (DuckDB's are RE2: linear in the text whatever the pattern) and run in
slices, newest rows first, against a deadline, so that even a slow one ends.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from memgpt_core.events import EPOCH, Hit
from memgpt_core.projections import Projections
from memgpt_core.queries import query_terms
from memgpt_core.rows import Row
from memgpt_core.scope import Also
from memgpt_core.similarity import INDEXED_ROLES
from memgpt_core.state import State
from memgpt_core.stores.sandbox import pattern_fault

Mode = Literal["phrase", "words", "regex", "ranked"]
Where = Literal["", "window", "evicted", "back", "pinned", "deleted"]

RANKED_MOST = 1000
"""Of the agent's own search the best so many are filtered and shown; behind them hardly anything is to the point."""

TEXT_CHARS_MOST = 1000
EXCERPT_CHARS, EXCERPT_BEFORE = 420, 90
REGEX_SLICE_ROWS, REGEX_SECONDS = 20_000, 5.0

_BORN = "CAST(substr(id, 2) AS BIGINT)"
_STOOD = "seq_from <= $n AND (seq_to IS NULL OR seq_to > $n)"
_OPEN_AS = f"SELECT item FROM residency WHERE {_STOOD} AND how"
_DELETED = (
    "SELECT rowid AS stored_at FROM messages WHERE seq_from <= $n AND id IN "
    "(SELECT about FROM events WHERE kind = 'message_deleted' AND seq_from <= $n) "
    "QUALIFY row_number() OVER (PARTITION BY id ORDER BY seq_from DESC) = 1 AND seq_to <= $n"
)


class MessageFilter(NamedTuple):
    """Which messages are wanted; empty fields let everything pass.

    Attributes:
        text: what is looked for, read as `mode` says: one after another, all words in any order (also as parts of
            longer words), a regular expression (RE2, upper and lower case alike), or the agent's own ranked search.
        thoughts: look into what the agent thought, too.
        roles, kinds: of `project.COLUMNS["messages"]`.
        session: its number; 0 for all.
        start, end: days, both included, in the time zone named `zone`.
        edited_by: whose corrections: messages whose text such an author changed.
        where: where the message is at the point in time the search is made for.
        where_seq: with `evicted` and `back` the event that did it; 0 for any.
    """

    text: str = ""
    mode: Mode = "phrase"
    thoughts: bool = False
    roles: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    session: int = 0
    start: date | None = None
    end: date | None = None
    zone: str = "UTC"
    edited_by: str = ""
    where: Where = ""
    where_seq: int = 0

    def scope(self, state: State) -> dict[str, Any]:
        """The same without the text, as the keywords of a ranked search (`Projections.recall`)."""
        zone = ZoneInfo(self.zone)
        narrow: dict[str, Any] = {"roles": self.roles or INDEXED_ROLES, "also": tuple(_narrowed(state, self))}
        if self.session:
            narrow["session"] = self.session
        if self.start:
            narrow["since_us"] = _midnight_us(self.start, zone)
        if self.end:
            narrow["before_us"] = _midnight_us(self.end + timedelta(days=1), zone)
        return narrow


class MessagePage(NamedTuple):
    """Some of the messages that pass a filter.

    Attributes:
        rows: as the table has them (`project.COLUMNS`) but with `excerpt` (the stretch around the first hit), `cut`
            (before, behind: whether there is more), `chars`, `thought` (the excerpt is from the thoughts), `found`
            (what a regular expression matched in the excerpt), `born` (event), `about` (a function's name, a
            trigger's cause) and `intervals` (rows of `residency`, oldest first); `text` and `thoughts` are there
            when they were asked for whole.
        total: how many pass.
        note: what the count leaves out, a sentence; else empty.
        refused: why nothing was searched, a sentence; else empty.
        hits: of a ranked search, by id: (the place among all pages from 1, how it was ranked).
    """

    rows: tuple[Row, ...] = ()
    total: int = 0
    note: str = ""
    refused: str = ""
    hits: Mapping[str, tuple[int, Hit]] = {}


class _Plan(NamedTuple):
    """Which rows pass, as SQL over `messages` with its parameters, and what is looked for in their texts."""

    where: str
    params: dict[str, Any]
    needles: tuple[str, ...] = ()
    pattern: str = ""
    hits: Mapping[str, tuple[int, Hit]] = {}
    note: str = ""


def find_messages(
    stores: Projections,
    state: State,
    wanted: MessageFilter,
    *,
    offset: int,
    limit: int,
    whole: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> MessagePage:
    """`limit` messages behind the first `offset` that pass, newest first (a ranked search: best first).

    They are as they stood after the last event of `state`; `whole` gives all of their texts.
    """
    text = wanted.text[:TEXT_CHARS_MOST].strip()
    if text and wanted.mode == "regex" and (fault := pattern_fault(text)):
        return MessagePage(refused=fault)
    if wanted.start and wanted.end and wanted.start > wanted.end:
        return MessagePage(refused=f"The first day, {wanted.start}, is after the last, {wanted.end}.")
    plan = _looked_for(stores, state, wanted, _filtered(state, wanted), text, clock)
    found, total = _passing(stores, plan, offset, limit)
    rows = _rows(stores, state, plan, wanted, found, whole=whole) if found else ()
    return MessagePage(rows, total, plan.note, "", plan.hits)


# --- which rows pass ------------------------------------------------------------------------------------------


def _filtered(state: State, wanted: MessageFilter) -> _Plan:
    """Everything but the text."""
    deleted = wanted.where == "deleted"
    sql = [f"rowid IN ({_DELETED})" if deleted else _STOOD]
    params: dict[str, Any] = {"n": state.seq}
    if wanted.roles:
        sql.append("role IN (SELECT unnest($roles))")
        params["roles"] = list(wanted.roles)
    if wanted.session:
        sql.append("session = $session")
        params["session"] = wanted.session
    zone = ZoneInfo(wanted.zone)
    if wanted.start:
        sql.append('epoch_us("at") >= $start')
        params["start"] = _midnight_us(wanted.start, zone)
    if wanted.end:
        sql.append('epoch_us("at") < $end')
        params["end"] = _midnight_us(wanted.end + timedelta(days=1), zone)
    for more in _narrowed(state, wanted):
        sql.append(more.sql)
        params.update(more.params)
    return _Plan(" AND ".join(sql), params)


def _narrowed(state: State, wanted: MessageFilter) -> Iterator[Also]:
    """The filters that the agent's own search does not have."""
    if wanted.kinds:
        yield Also("what it is", "kind IN (SELECT unnest($kinds))", {"kinds": list(wanted.kinds)})
    if wanted.edited_by:
        edits = "SELECT about FROM events WHERE kind = 'message_edited' AND author = $corrector AND seq_from <= $n"
        yield Also("who corrected its text", f"id IN ({edits})", {"corrector": wanted.edited_by})
    if wanted.where and wanted.where != "deleted":
        yield Also("where it is", *_whereabouts(state, wanted))


def _whereabouts(state: State, wanted: MessageFilter) -> tuple[str, dict[str, Any]]:
    if wanted.where_seq and wanted.where in ("evicted", "back"):
        ended = "seq_to = $moved AND item = carrier AND seq_to <= $n"
        begun = "seq_from = $moved AND how <> 'slot' AND seq_from <= $n"
        moved = f"SELECT item FROM residency WHERE {ended if wanted.where == 'evicted' else begun}"
        return f"id IN ({moved})", {"moved": wanted.where_seq}
    if wanted.where == "back":
        return f"id IN ({_OPEN_AS} <> 'slot') AND id NOT IN ({_OPEN_AS} = 'slot')", {}
    if wanted.where == "pinned":
        held = list(state.pinned)
    else:
        held = list({id for entry in state.queue for id in (entry.id, *entry.holds)})
    return f"id {'NOT ' if wanted.where == 'evicted' else ''}IN (SELECT unnest($held))", {"held": held}


def _midnight_us(day: date, zone: ZoneInfo) -> int:
    return (datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC) - EPOCH) // timedelta(microseconds=1)


# --- which texts pass -----------------------------------------------------------------------------------------


def _looked_for(
    stores: Projections, state: State, wanted: MessageFilter, plan: _Plan, text: str, clock: Callable[[], float]
) -> _Plan:
    """The plan with what is looked for in the texts."""
    if not text:
        return plan
    haystack = _haystack(wanted)
    if wanted.mode == "ranked" and wanted.where == "deleted":
        return plan._replace(note="The agent's search ranks what stands; here are all that were deleted, by date.")
    if wanted.mode == "ranked":
        return _ranked(stores, state, wanted, text)
    if wanted.mode == "regex":
        return _by_pattern(stores, plan, haystack, text, clock)
    needles = (text,) if wanted.mode == "phrase" else tuple(dict.fromkeys(text.split()))
    marks = {f"needle{at}": needle for at, needle in enumerate(needles)}
    tests = [f"contains(lower({haystack}), lower(${mark}))" for mark in marks]
    return plan._replace(where=" AND ".join((plan.where, *tests)), params={**plan.params, **marks}, needles=needles)


def _haystack(wanted: MessageFilter) -> str:
    return "(text || chr(10) || thoughts)" if wanted.thoughts else "text"


def _ranked(stores: Projections, state: State, wanted: MessageFilter, text: str) -> _Plan:
    found = stores.recall(text, page_size=RANKED_MOST, at=state.seq, **wanted.scope(state))
    ids = [hit.id for hit in found.hits]
    note = (
        f"Of {found.total:,} that match at all, the best {RANKED_MOST:,} are shown." if found.total > len(ids) else ""
    )
    return _Plan(
        f"{_STOOD} AND id IN (SELECT unnest($ranked))",
        {"n": state.seq, "ranked": ids},
        needles=tuple(query_terms(text)),
        hits={hit.id: (place, hit) for place, hit in enumerate(found.hits, 1)},
        note=note,
    )


def _by_pattern(stores: Projections, plan: _Plan, haystack: str, pattern: str, clock: Callable[[], float]) -> _Plan:
    """The rows a regular expression matches, sought slice by slice until the deadline."""
    last = int(stores.rows("SELECT coalesce(max(rowid), -1) AS last FROM messages")[0]["last"])
    until, found, note = clock() + REGEX_SECONDS, list[int](), ""
    for end in range(last + 1, 0, -REGEX_SLICE_ROWS):
        if clock() > until:
            done = f"{(last + 1 - end) / (last + 1):.0%}"
            note = (
                f"Stopped after {REGEX_SECONDS:g} s: the newest {done} of the rows were searched. Narrow the filters."
            )
            break
        rows = stores.rows(
            f"SELECT list(rowid) AS found FROM messages WHERE rowid >= $first AND rowid < $end AND {plan.where} "
            f"AND regexp_matches({haystack}, $pattern, 'is')",
            {**plan.params, "first": max(0, end - REGEX_SLICE_ROWS), "end": end, "pattern": pattern},
        )
        found += rows[0]["found"] or []
    return plan._replace(
        where="rowid IN (SELECT unnest($matched))", params={"matched": found}, pattern=pattern, note=note
    )


# --- the page -------------------------------------------------------------------------------------------------


def _passing(stores: Projections, plan: _Plan, offset: int, limit: int) -> tuple[list[int], int]:
    """(rowids of the page in order, how many rows pass)."""
    if plan.hits:
        rows = stores.rows(f"SELECT rowid AS stored_at, id FROM messages WHERE {plan.where}", plan.params)
        ordered = [row["stored_at"] for row in sorted(rows, key=lambda row: plan.hits[row["id"]][0])]
        return ordered[offset : offset + limit], len(ordered)
    params = {**plan.params, "limit": limit, "offset": offset}
    order = 'ORDER BY "at" DESC, seq_from DESC LIMIT $limit OFFSET $offset'
    if plan.needles:
        # Reading the texts is what costs: once, and the page and the count from what passed.
        rows = stores.rows(
            'WITH passing AS MATERIALIZED (SELECT rowid AS stored_at, "at", seq_from FROM messages '
            f"WHERE {plan.where}) SELECT stored_at, (SELECT count(*) FROM passing) AS total FROM passing {order}",
            params,
        )
        if rows or not offset:
            return [row["stored_at"] for row in rows], rows[0]["total"] if rows else 0
    counted = stores.rows(f"SELECT count(*) AS total FROM messages WHERE {plan.where}", plan.params)[0]["total"]
    rows = stores.rows(f"SELECT rowid AS stored_at FROM messages WHERE {plan.where} {order}", params)
    return [row["stored_at"] for row in rows], counted


def _rows(
    stores: Projections, state: State, plan: _Plan, wanted: MessageFilter, found: Sequence[int], *, whole: bool
) -> tuple[Row, ...]:
    """The page's rows with their excerpts, in the order of `found`."""
    params: dict[str, Any] = {"stored": list(found), "needles": list(plan.needles), "pattern": plan.pattern}
    params["thoughts"] = wanted.thoughts and not plan.hits
    rows = stores.rows(_EXCERPTS.format(texts="text, thoughts, " if whole else ""), params)
    by_place = {row.pop("stored_at"): row for row in rows}
    ids = [row["id"] for row in rows]
    intervals: dict[str, list[Row]] = {id: [] for id in ids}
    # No interval begins before its item: with the newest messages on the page, most of the table is passed over.
    born = [row["born"] for row in rows]
    sql = (
        "SELECT * FROM residency WHERE item IN (SELECT unnest($ids)) AND seq_from >= $first AND seq_from <= $n "
        "ORDER BY seq_from"
    )
    for interval in stores.rows(sql, {"ids": ids, "first": min(born), "n": state.seq}):
        intervals[interval["item"]].append(interval)
    sql = "SELECT seq_from, about FROM events WHERE seq_from IN (SELECT unnest($born)) AND seq_from >= $first"
    about = {row["seq_from"]: row["about"] for row in stores.rows(sql, {"born": born, "first": min(born)})}
    for row in rows:
        row["cut"] = (row.pop("cut_before"), row.pop("cut_behind"))
        row["found"] = tuple(row["found"] or ())
        row["about"] = about.get(row["born"], "")
        row["intervals"] = tuple(intervals[row["id"]])
    return tuple(by_place[at] for at in found)


# A hit in the text is shown before one in the thoughts; a message without text shows what was thought.
_EXCERPTS = f"""
WITH stored AS (
  SELECT rowid AS stored_at, id, {_BORN} AS born, seq_from, seq_to, "at", session, turn, step, role, kind, tokens,
    text, thoughts, length(text) AS chars,
    CASE WHEN $pattern = '' THEN $needles ELSE list_filter([regexp_extract(text, $pattern, 0, 'is')], lambda x: x <> '')
      END AS sought
  FROM messages WHERE rowid IN (SELECT unnest($stored))
), shown AS (
  SELECT *, text = '' OR ($thoughts AND thoughts <> '' AND ($pattern <> '' OR len($needles) > 0) AND
    len(list_filter(sought, lambda x: contains(lower(text), lower(x)))) = 0) AS thought,
    CASE WHEN thought THEN thoughts ELSE text END AS body,
    CASE WHEN thought AND $pattern <> '' THEN [regexp_extract(thoughts, $pattern, 0, 'is')] ELSE sought END AS put
  FROM stored
), placed AS (
  SELECT *, greatest(1, coalesce(list_min(list_filter(list_transform(put, lambda x: strpos(lower(body), lower(x))),
    lambda place: place > 0)), 1) - {EXCERPT_BEFORE}) AS first FROM shown
)
SELECT stored_at, id, born, seq_from, seq_to, "at", session, turn, step, role, kind, tokens, chars, thought,
  {{texts}}substr(body, first, {EXCERPT_CHARS}) AS excerpt, first > 1 AS cut_before,
  length(body) >= first + {EXCERPT_CHARS} AS cut_behind,
  CASE WHEN $pattern = '' THEN [] ELSE regexp_extract_all(substr(body, first, {EXCERPT_CHARS}), $pattern, 0, 'is') END
    AS found
FROM placed
"""
