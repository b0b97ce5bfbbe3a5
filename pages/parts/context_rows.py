"""What the context page reads from the row store: which request is shown, the server's counts, the chart's points."""

from typing import Any, NamedTuple

from memgpt_core.views.truncation import Cut, cut
from memgpt_core.views.usage import MARKS, POINTS_MOST
from memgpt_core.workspace import Workspace

_TURN = "purpose = 'turn'"


class Place(NamedTuple):
    """A request among all of the log.

    Attributes:
        seq: its `prompt_built`.
        number: which of the requests it is, from 1; `of` is how many there are.
        before, after: the events of its neighbours; None where there is none.
    """

    seq: int
    session: int
    turn: int
    step: int
    number: int
    of: int
    before: int | None
    after: int | None


class Answer(NamedTuple):
    """What the model server told of a request when it answered; None where it told nothing."""

    seq: int | None
    server: int | None
    cached: int | None
    served: int | None
    cut: Cut | None


def place(ws: Workspace, at: int) -> Place | None:
    """The last request to the model that had left by event `at`; None when none had."""
    found = ws.rows(
        f"SELECT seq_from, session, turn, step FROM prompts WHERE {_TURN} AND seq_from <= ? "
        "ORDER BY seq_from DESC LIMIT 1",
        [at],
    )
    if not found:
        return None
    seq = found[0]["seq_from"]
    around = ws.rows(
        "SELECT count(*) FILTER (seq_from <= $seq) AS number, count(*) AS total, "
        "max(seq_from) FILTER (seq_from < $seq) AS before, min(seq_from) FILTER (seq_from > $seq) AS after "
        f"FROM prompts WHERE {_TURN}",
        {"seq": seq},
    )[0]
    return Place(
        seq=seq,
        session=found[0]["session"],
        turn=found[0]["turn"],
        step=found[0]["step"],
        number=around["number"],
        of=around["total"],
        before=around["before"],
        after=around["after"],
    )


def nth(ws: Workspace, number: int) -> int | None:
    """The event of request `number`, from 1; None when there is none."""
    found = ws.rows(
        f"SELECT seq_from FROM prompts WHERE {_TURN} ORDER BY seq_from LIMIT 1 OFFSET ?", [max(0, number - 1)]
    )
    return found[0]["seq_from"] if found else None


def number_of(ws: Workspace, seq: int) -> int:
    """Which of the requests the one of event `seq` is, from 1."""
    return int(ws.rows(f"SELECT count(*) AS n FROM prompts WHERE {_TURN} AND seq_from <= ?", [seq])[0]["n"])


def answer(ws: Workspace, where: Place) -> Answer:
    """What came back for a request. It came after it, so it is looked for beyond the event the page is drawn after."""
    until = where.after or ws.last_seq + 1
    found = ws.rows(
        "SELECT seq_from, prompt_tokens, cached_tokens, served_window FROM replies "
        f"WHERE {_TURN} AND seq_from > ? AND seq_from < ? ORDER BY seq_from LIMIT 1",
        [where.seq, until],
    )
    suspected = ws.rows(
        "SELECT min(seq_from) AS seq FROM events WHERE kind = 'truncation_suspected' AND seq_from > ? AND seq_from < ?",
        [where.seq, until],
    )[0]["seq"]
    said = cut(ws.event(suspected)) if suspected else None
    if not found:
        return Answer(None, None, None, None, said)
    row = found[0]
    return Answer(row["seq_from"], row["prompt_tokens"], row["cached_tokens"], row["served_window"], said)


def sessions(ws: Workspace, at: int) -> list[int]:
    """The sessions that had a request by event `at`, oldest first."""
    found = ws.rows(f"SELECT DISTINCT session FROM prompts WHERE {_TURN} AND seq_from <= ? ORDER BY 1", [at])
    return [row["session"] for row in found]


def usage_rows(ws: Workspace, at: int, session: int | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
    """(bucketed requests, what happened between them, how many requests) of a session, or of all up to event `at`.

    The shape is what `usage.usage` takes. All counting is the store's, whatever the length of the log.
    """
    inside = f"{_TURN} AND seq_from <= $at AND ($session IS NULL OR session = $session)"
    scope = {"at": at, "session": session}
    # Only numbers are sorted and counted; whole rows are read for the few points alone.
    points = ws.rows(
        "WITH numbered AS (SELECT seq_from, total_tokens, row_number() OVER (ORDER BY seq_from) AS n, "
        f"count(*) OVER () AS total FROM prompts WHERE {inside}), "
        "points AS (SELECT CASE WHEN total <= $most THEN n - 1 ELSE ((n - 1) * $most) // total END AS bucket, "
        "count(*) AS of, min(seq_from) AS begins, arg_max(seq_from, total_tokens) AS fullest, "
        "arg_max(n, total_tokens) AS n, min(total) AS total FROM numbered GROUP BY bucket) "
        "SELECT prompts.*, bucket, of, begins, n, total FROM points JOIN prompts ON seq_from = fullest ORDER BY bucket",
        {**scope, "most": POINTS_MOST},
    )
    if not points:
        return [], [], 0
    kinds = ", ".join(f"'{kind}'" for kind in MARKS)
    happened = ws.rows(
        "SELECT kind, bucket, count(*) AS times, min(seq_from) AS seq FROM (SELECT kind, seq_from FROM events "
        f"WHERE kind IN ({kinds}) AND seq_from <= $at AND ($session IS NULL OR session = $session)) AS marks "
        "ASOF JOIN (SELECT unnest($begins) AS begins, unnest($buckets) AS bucket) AS points ON seq_from >= begins "
        "GROUP BY ALL ORDER BY seq",
        {**scope, "begins": [row["begins"] for row in points], "buckets": [row["bucket"] for row in points]},
    )
    return points, happened, int(points[0]["total"])
