"""Two runs beside each other: what of their logs is the same, their turns as rows, and the numbers of them.

Reads rows with one query for any number of turns, and events only of the turns it is asked for, so that two long logs
cost what two short ones do. Knows no page; what the answers mean for eyes is `views.compare`'s.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from memgpt_core.events import Event, encode
from memgpt_core.journeys import BLOCK_KINDS
from memgpt_core.state import State

Row = dict[str, Any]

TRIGGER_CHARS = 400
BY_HAND_MOST = 8

# Bookkeeping of forking and opening: no difference that anybody made.
_BORN = ("run_forked", "instructions_defined")


class Side(NamedTuple):
    """One of the two: an open agent's doors, and the last of its events that is compared."""

    agent_id: str
    rows: Callable[..., list[Row]]
    read: Callable[[int], Event]
    events: Callable[[int, int], list[Event]]
    state: Callable[[int], State]
    last: int


def shared_seq(left: Side, right: Side) -> int:
    """How many events at their beginning are the same on both sides; 0 for two lives of their own.

    A fork's log begins with a copy of its origin's, so that looking at some events is enough: up to the first fork
    they do not have in common, events that are equal at a place are equal before it.
    """
    low, high = 0, min(left.last, right.last, _bound(left, right))
    while low < high:
        middle = (low + high + 1) // 2
        if _alike(left, right, middle):
            low = middle
        else:
            high = middle - 1
    return low


def _bound(left: Side, right: Side) -> int:
    """The last event before the first fork that only one of them has, or that the other has otherwise."""
    births: list[list[int]] = [
        [row["seq"] for row in side.rows("SELECT seq_from AS seq FROM events WHERE kind = 'run_forked' ORDER BY 1")]
        for side in (left, right)
    ]
    for one, other in zip(births[0], births[1], strict=False):
        if one != other or not _alike(left, right, one):
            return min(one, other) - 1
    common = min(len(ones) for ones in births)
    ends: list[int] = [ones[common] - 1 for ones in births if len(ones) > common]
    return min([left.last, right.last, *ends])


def _alike(left: Side, right: Side, seq: int) -> bool:
    return encode(left.read(seq)) == encode(right.read(seq))


class Parting(NamedTuple):
    """Where one side goes its own way: the first event that somebody or something caused there; None at the end."""

    event: Event | None
    forked: int | None


def parting(side: Side, shared: int) -> Parting:
    """What this side did first after the common past, and the `run_forked` event that came before it, if one did."""
    events = side.events(shared + 1, min(side.last, shared + len(_BORN) + 2)) if shared < side.last else []
    forked = next((event.seq for event in events if event.kind == "run_forked"), None)
    own = [
        event
        for event in events
        if event.kind not in _BORN
        and not (forked and event.kind == "turn_ended" and getattr(event, "reason", "") == "interrupted")
    ]
    return Parting(own[0] if own else None, forked)


_TURNS = f"""
WITH spans AS (
    SELECT turn AS number, any_value(session) AS session, min(seq_from) AS first,
        coalesce(max(seq_from) FILTER (kind = 'turn_ended'), max(seq_from)) AS ended, max(seq_from) AS last
    FROM events WHERE turn > 0 AND seq_from <= $last GROUP BY 1
), happened AS (
    SELECT e.seq_from AS seq, e.turn AS number, e.kind, e.about, e.ok, coalesce(m.text, p.text, '') AS text
    FROM events e
    LEFT JOIN messages m ON m.seq_from = e.seq_from
    LEFT JOIN passages p ON p.seq_from = e.seq_from
    WHERE e.turn > 0 AND e.seq_from <= $last AND e.kind IN ('trigger_received', 'model_replied', 'function_returned',
        'archival_inserted', 'recall_searched', 'archival_searched', 'hits_placed', 'queue_flushed', 'fault_recorded')
), opened AS (
    SELECT number, arg_min(about, rank) AS cause, arg_min(left(text, {TRIGGER_CHARS}), rank) AS trigger,
        arg_min(CASE WHEN about = 'login' THEN 0 ELSE hash(text) END, rank) AS said
    FROM (SELECT *, seq + CASE WHEN about = 'login' THEN 1000000000000 ELSE 0 END AS rank
        FROM happened WHERE kind = 'trigger_received') GROUP BY 1
), came AS (
    SELECT number, hash(string_agg(concat_ws('|', kind, about, ok,
        CASE WHEN kind IN ('function_returned', 'hits_placed') THEN '' ELSE text END), '|' ORDER BY seq)) AS came
    FROM happened WHERE kind <> 'trigger_received' GROUP BY 1
)
SELECT number, session, first, ended, last, coalesce(cause, '') AS cause, coalesce(trigger, '') AS trigger,
    coalesce(said, 0) AS said, coalesce(came, 0) AS came
FROM spans LEFT JOIN opened USING (number) LEFT JOIN came USING (number) ORDER BY number
"""
# A later version of a message or passage begins at an event of another kind, so that only first ones are joined.
# What a function returned or the policy placed is left out: it holds the times of what was found, which differ between
# any two runs.


def turns(side: Side) -> list[Row]:
    """Every turn of a side, as `views.compare.Turn` has it."""
    return side.rows(_TURNS, {"last": side.last})


def first_other_blocks(left: Side, right: Side, ends: Sequence[tuple[int, int]]) -> int | None:
    """The first place at which the two have other blocks; None when they have the same at the last one.

    `ends` are (event of the left, event of the right). A difference is taken to stay once it is there.
    """
    if not ends or _same_blocks(left, right, ends[-1]):
        return None
    low, high = 0, len(ends) - 1
    while low < high:
        middle = (low + high) // 2
        if _same_blocks(left, right, ends[middle]):
            low = middle + 1
        else:
            high = middle
    return low


def _same_blocks(left: Side, right: Side, at: tuple[int, int]) -> bool:
    one, other = left.state(at[0]).blocks, right.state(at[1]).blocks
    return {label: block.value for label, block in one.items()} == {
        label: block.value for label, block in other.items()
    }


def by_hand(side: Side, after: int, before: int) -> list[Event]:
    """What a person did between two events, the oldest few; what only turns a turn's page is left out."""
    found = side.rows(
        "SELECT seq_from AS seq FROM events WHERE author = 'human' AND seq_from > $after AND seq_from < $before "
        f"AND kind NOT IN ('run_forked', 'turn_resumed', 'function_answered') ORDER BY 1 LIMIT {BY_HAND_MOST}",
        {"after": after, "before": before},
    )
    return [side.read(row["seq"]) for row in found]


_LIVED = ("trigger_received", "prompt_built", "model_replied", "function_returned", "message_sent")

_FIGURES = f"""
WITH e AS (
    SELECT turn, (count(*) FILTER (kind = 'trigger_received') > 0)::INTEGER AS turns,
        count(*) AS events, count(*) FILTER (kind = 'message_sent') AS replies,
        count(*) FILTER (kind = 'prompt_built' AND about = 'turn') AS steps,
        count(*) FILTER (kind = 'function_returned' AND about <> 'send_message') AS calls,
        count(*) FILTER (kind = 'function_returned' AND NOT ok) AS failed_calls,
        count(*) FILTER (kind = 'queue_flushed') AS flushes,
        count(*) FILTER (kind IN ({", ".join(f"'{kind}'" for kind in BLOCK_KINDS)})) AS block_edits,
        count(*) FILTER (kind = 'archival_inserted') AS passages,
        count(*) FILTER (kind = 'fault_recorded') AS errors,
        coalesce(epoch(max("at") FILTER ({{ended}})) - epoch(min("at")), 0.0) AS seconds
    FROM events WHERE {{scope}} GROUP BY 1
), q AS (SELECT turn, sum(total_tokens) AS prompt_tokens FROM prompts WHERE {{scope}} GROUP BY 1),
r AS (SELECT turn, sum(reply_tokens) AS reply_tokens, sum(seconds) AS model_s FROM replies WHERE {{scope}} GROUP BY 1),
f AS (SELECT turn, count(*) AS page_faults FROM residency WHERE fault AND {{scope}} GROUP BY 1)
SELECT e.*, coalesce(prompt_tokens, 0)::BIGINT AS prompt_tokens,
    reply_tokens::BIGINT AS reply_tokens, model_s, coalesce(page_faults, 0) AS page_faults
FROM e LEFT JOIN q USING (turn) LEFT JOIN r USING (turn) LEFT JOIN f USING (turn)
"""
_COUNTS = (
    *("turns", "events", "replies", "steps", "calls", "failed_calls", "prompt_tokens"),
    *("flushes", "page_faults", "block_edits", "passages", "errors"),
)
_MEASURES = ("reply_tokens", "seconds", "model_s")
"""What is not known where nothing was measured."""

_ENDED = f"kind = 'turn_ended' AND about <> 'interrupted' OR kind IN ({', '.join(map(repr, _LIVED))})"
"""The end of a turn that was cut off is written when its agent is opened again: it lasted until the last it did."""

_SCOPE = "turn > 0 AND seq_from > $since AND seq_from <= $last"


def figures(side: Side, numbers: Sequence[int]) -> dict[int, Row]:
    """The numbers of some turns, by turn; the keys are those of `views.compare.METRICS`."""
    sql = _FIGURES.format(scope=f"{_SCOPE} AND turn IN (SELECT unnest($numbers))", ended=_ENDED)
    found = side.rows(sql, {"since": 0, "last": side.last, "numbers": list(numbers)})
    return {row["turn"]: row for row in found}


def all_figures(side: Side) -> dict[int, Row]:
    """The numbers of every turn, by turn, with what was replied in it."""
    rows = side.rows(_FIGURES.format(scope=_SCOPE, ended=_ENDED), {"since": 0, "last": side.last})
    said = side.rows(
        "SELECT turn, string_agg(text, chr(10) ORDER BY seq_from) AS said FROM messages WHERE kind = 'model_replied' "
        "AND id = 'm' || seq_from AND text <> '' AND seq_from <= $last GROUP BY 1",
        {"last": side.last},
    )
    replies = {row["turn"]: row["said"] for row in said}
    return {row["turn"]: {**row, "said": replies.get(row["turn"], "")} for row in rows}


def totals(side: Side, since: int) -> Row:
    """The same numbers of all turns together, for what came after event `since`."""
    summed = ", ".join(f"sum({name}) AS {name}" for name in (*_COUNTS, *_MEASURES))
    sql = f"SELECT {summed} FROM ({_FIGURES.format(scope=_SCOPE, ended=_ENDED)})"
    (row,) = side.rows(sql, {"since": since, "last": side.last})
    counted = {name: int(row[name] or 0) for name in _COUNTS}
    return counted | {name: None if row[name] is None else float(row[name]) for name in _MEASURES}


def passages_only(left: Side, right: Side, shared: int) -> tuple[list[str], list[str]]:
    """Ids of the passages whose text only the left has, and only the right, oldest first; ids belong to their side.

    What both have kept from a common past is never looked at.
    """
    some, others = (_passages(side, other, shared) for side, other in ((left, right), (right, left)))
    return _without(some, others), _without(others, some)


_LIVE = "seq_from <= $last AND (seq_to IS NULL OR seq_to > $last)"


def _passages(side: Side, other: Side, shared: int) -> list[Row]:
    """(id, hash of the text) of what a side has and the other may not have."""
    ended = other.rows(
        "SELECT id FROM passages WHERE seq_from <= $shared AND seq_to > $shared AND seq_to <= $last",
        {"shared": shared, "last": other.last},
    )
    return side.rows(
        f"SELECT id, hash(text) AS hash FROM passages WHERE {_LIVE} AND (seq_from > $shared "
        "OR id IN (SELECT unnest($ended::VARCHAR[]))) ORDER BY seq_from",
        {"last": side.last, "shared": shared, "ended": [row["id"] for row in ended]},
    )


def _without(some: list[Row], others: list[Row]) -> list[str]:
    left_over, found = Counter(row["hash"] for row in others), list[str]()
    for row in some:
        if left_over[row["hash"]] > 0:
            left_over[row["hash"]] -= 1
        else:
            found.append(row["id"])
    return found


def passage_rows(side: Side, ids: Sequence[str]) -> list[Row]:
    """Passages as they stood at the side's end, in the order of `ids`."""
    rows = side.rows(
        f'SELECT id, text, tags, source, author, seq_from, "at", turn FROM passages WHERE {_LIVE} '
        "AND id IN (SELECT unnest($ids::VARCHAR[]))",
        {"last": side.last, "ids": list(ids)},
    )
    by_id = {row["id"]: row for row in rows}
    return [by_id[id] for id in ids if id in by_id]
