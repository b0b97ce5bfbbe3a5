"""What the player reads from the row store: the scrubber's counts, the marks around a point, the newest rows there."""

from typing import Any

from memgpt_core import journeys
from memgpt_core.views.lanes import KINDS
from memgpt_core.views.player import width_of
from memgpt_core.workspace import Workspace
from pages.parts import timeline_rows

Rows = list[dict[str, Any]]

SESSIONS_MOST = 40
BEFORE, AFTER = 5, 3
"""Marks shown around the event."""

NEWEST = 3
EXCERPT_CHARS = 140

_MARKED = ", ".join(f"'{kind}'" for kind in KINDS if kind != "trigger_received")


def lanes(ws: Workspace, last: int) -> Rows:
    """How many marks of each lane stand in each stretch of the first `last` events; stretches without any left out."""
    return timeline_rows.kept(ws, _lanes, last)


def starts(ws: Workspace, last: int) -> list[float]:
    """When each stretch of the first `last` events began, and after them when the last event was, in seconds."""
    return timeline_rows.kept(ws, _starts, last)


def sessions(ws: Workspace, last: int) -> list[int]:
    """Where sessions begin; of many, some."""
    return timeline_rows.kept(ws, _sessions, last)


def _starts(ws: Workspace, last: int) -> list[float]:
    rows = ws.rows(
        """SELECT (seq_from - 1) // $width AS bucket, min("at") AS began, max("at") AS ended
        FROM events WHERE seq_from <= $last GROUP BY 1 ORDER BY 1""",
        {"width": width_of(last), "last": last},
    )
    return [row["began"].timestamp() for row in rows] + [row["ended"].timestamp() for row in rows[-1:]]


def _lanes(ws: Workspace, last: int) -> Rows:
    counts = ", ".join(f'count(*) FILTER ({is_one}) AS "{lane}"' for lane, is_one in journeys.IS.items())
    any_of = " OR ".join(journeys.IS.values())
    return ws.rows(
        f"""SELECT (seq_from - 1) // $width AS bucket, {counts}, 0 AS fault
        FROM events WHERE seq_from <= $last AND ({any_of}) GROUP BY 1
        UNION ALL BY NAME
        SELECT (seq_from - 1) // $width AS bucket, count(DISTINCT seq_from) AS fault
        FROM residency WHERE fault AND seq_from <= $last GROUP BY 1""",
        {"width": width_of(last), "last": last},
    )


def _sessions(ws: Workspace, last: int) -> list[int]:
    return [row["seq"] for row in timeline_rows.session_starts(ws, last, most=SESSIONS_MOST)]


def marks_around(ws: Workspace, seq: int) -> list[int]:
    """Events near `seq` that touched a tier of memory or took something in: the last ones until it, the next after."""
    for near in _SPANS:
        before = ws.rows(_AROUND.format(order="DESC", most=BEFORE), {"first": seq - near, "last": seq})
        after = ws.rows(_AROUND.format(order="ASC", most=AFTER), {"first": seq + 1, "last": seq + near})
        if len(before) == BEFORE and len(after) == AFTER:
            break
    return [row["seq"] for row in (*reversed(before), *after)]


_AROUND = (
    f"SELECT seq_from AS seq FROM events WHERE kind IN ({_MARKED}) AND seq_from BETWEEN $first AND $last "
    "UNION SELECT seq_from FROM residency WHERE how <> 'slot' AND seq_from BETWEEN $first AND $last "
    "ORDER BY seq {order} LIMIT {most}"
)

_SPANS = (1_000, 10**12)
"""How far around an event is looked, the second time when the first found too little: few rows are read as a rule."""


def came_in(ws: Workspace, seqs: list[int]) -> dict[int, tuple[list[str], int]]:
    """What came into the window at each of these events, otherwise than by being new: (ids, page faults among them)."""
    if not seqs:
        return {}
    rows = ws.rows(
        "SELECT seq_from AS seq, list(item ORDER BY item) AS items, count(*) FILTER (fault) AS faults FROM residency "
        "WHERE how <> 'slot' AND seq_from BETWEEN ? AND ? AND seq_from IN (SELECT unnest(?)) GROUP BY 1",
        [min(seqs), max(seqs), seqs],
    )
    return {row["seq"]: (row["items"], row["faults"]) for row in rows}


def newest(ws: Workspace, table: str, seq: int) -> Rows:
    """The newest messages or passages that were there after event `seq`, with the beginning of their text."""
    role, said = ("role", "coalesce(nullif(text, ''), thoughts)") if table == "messages" else ("''", "text")
    rows: Rows = []
    for near in _SPANS:
        rows = ws.rows(
            f"SELECT id, {role} AS role, left({said}, {EXCERPT_CHARS}) AS text FROM {table} WHERE seq_from "
            "BETWEEN $first AND $seq AND (seq_to IS NULL OR seq_to > $seq) ORDER BY seq_from DESC LIMIT $most",
            {"first": seq - near, "seq": seq, "most": NEWEST},
        )
        if len(rows) == NEWEST:
            break
    return rows
