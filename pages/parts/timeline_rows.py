"""What the paging timeline reads from the row store, all of it in SQL and all of it bounded.

Every query sees only what had happened by event `until`. Windows of the timeline are counted in marks (see
`lanes`), not in events, so that one never holds more than was asked for, however busy or quiet the log is.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from memgpt_core.views.lanes import KINDS, NOTE_READERS
from memgpt_core.workspace import Workspace

Rows = list[dict[str, Any]]

BUCKETS = 120
"""Stretches of the overview."""

POINTS = 300
"""Points of the pressure curve, at most twice as many where each stretch has a least and a most."""

ARROW_ITEMS = 400
"""Items whose way back is looked for in one window of the timeline."""

STAYS = 2000
"""The newest evictions that the times per tier are taken from."""

TEXTS = 20_000
"""The newest messages, and the newest passages, that a warning looks for words in."""

IDS_MOST = 20

ANSWERS_KEPT = 128

Answer = TypeVar("Answer")

_answers: WeakKeyDictionary[Workspace, OrderedDict[tuple[Any, ...], Any]] = WeakKeyDictionary()
_answering = threading.Lock()


def kept(ws: Workspace, make: Callable[..., Answer], *args: Any, **more: Any) -> Answer:
    """`make(ws, ...)`, asked once: what had happened by an event never changes, so its answer does not either.

    Only for questions that name the event up to which they look. The newest answers are kept, for each open agent.
    """
    key = (make.__module__, make.__qualname__, args, *more.items())
    with _answering:
        mine = _answers.setdefault(ws, OrderedDict())
        if key in mine:
            mine.move_to_end(key)
            return mine[key]
    answer = make(ws, *args, **more)
    with _answering:
        mine[key] = answer
        while len(mine) > ANSWERS_KEPT:
            mine.popitem(last=False)
    return answer


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


_IMPORTED = "kind = 'archival_inserted' AND author = 'import'"

# A run of imported passages is one mark, that of its first event: what follows another import is left out.
_EVENT_MARKS = f"""
    SELECT seq_from AS seq, "at", session, turn, step,
        CASE WHEN kind = 'function_returned' THEN 'note_read' ELSE kind END AS kind, author,
        CASE WHEN kind = 'function_returned' THEN '' ELSE about END AS about, tokens,
        NULL::VARCHAR[] AS items, 0 AS faults
    FROM events
    WHERE seq_from <= $until AND (kind IN ({_quoted(KINDS)})
        OR (kind = 'function_returned' AND about IN ({_quoted(NOTE_READERS)})))
        AND NOT ({_IMPORTED} AND seq_from - 1 IN (SELECT seq_from FROM events WHERE {_IMPORTED}))
"""

_PAGE_INS = """
    SELECT seq_from AS seq, min(turn) AS turn, list(item ORDER BY item) AS items,
        count(*) FILTER (fault) AS faults, any_value(how) AS how
    FROM residency WHERE how <> 'slot' AND seq_from <= $until GROUP BY seq_from
"""

_SEQS = f"""
    SELECT seq FROM ({_EVENT_MARKS}) UNION ALL
    SELECT seq_from FROM (SELECT DISTINCT seq_from FROM residency WHERE how <> 'slot' AND seq_from <= $until)
"""


def mark_count(ws: Workspace, until: int, *, before: int | None = None) -> int:
    """How many marks there are, or how many of them stand before event `before`."""
    sql = f"SELECT count(*) AS n FROM ({_SEQS}) WHERE seq < $before"
    return int(ws.rows(sql, {"until": until, "before": until + 1 if before is None else before})[0]["n"])


def marks(ws: Workspace, until: int, *, skip: int, size: int) -> Rows:
    """The marks after the first `skip`, oldest first, at most `size`; rows as `lanes.mark` wants them."""
    seqs = ws.rows(
        f"SELECT seq FROM ({_SEQS}) ORDER BY seq LIMIT $size OFFSET $skip", {"until": until, "size": size, "skip": skip}
    )
    if not seqs:
        return []
    first, last = seqs[0]["seq"], seqs[-1]["seq"]
    # Once the stretch of the log is known, everything else reads that stretch alone.
    rows = ws.rows(
        f"""SELECT *, seq AS last FROM ({_EVENT_MARKS} AND seq_from BETWEEN $first AND $last)
        UNION ALL BY NAME
        SELECT came.seq, came.seq AS last, event."at", event.session, event.turn, event.step, 'page_in' AS kind,
            CASE WHEN came.how = 'requeue' THEN event.author ELSE '' END AS author,
            CASE WHEN event.kind = 'hits_placed' THEN event.kind ELSE '' END AS about, event.tokens,
            came.items, came.faults
        FROM ({_PAGE_INS.replace("$until", "$last")}) AS came JOIN events AS event ON event.seq_from = came.seq
        WHERE came.seq >= $first
        ORDER BY seq""",
        {"until": until, "first": first, "last": last},
    )
    return _with_runs(ws, rows, until)


def _with_runs(ws: Workspace, rows: Rows, until: int) -> Rows:
    for row in rows:
        if row["kind"] == "archival_inserted" and row["author"] == "import":
            after = ws.rows(
                f"SELECT min(seq_from) AS seq FROM events WHERE seq_from BETWEEN ? AND ? AND NOT ({_IMPORTED})",
                [row["seq"], until],
            )
            row["last"] = (after[0]["seq"] or until + 1) - 1
    return rows


def overview(ws: Workspace, until: int) -> tuple[int, Rows, Rows]:
    """(events a stretch, counts by stretch and kind, least and most of main context by stretch)."""
    width = -(-until // BUCKETS)
    params = {"until": until, "width": width}
    counts = ws.rows(
        f"""SELECT (seq_from - 1) // $width AS bucket, kind,
            CASE WHEN kind = 'trigger_received' THEN about ELSE '' END AS about, 0 AS faults, count(*) AS n
        FROM events WHERE seq_from <= $until AND kind IN ({_quoted(KINDS)}) GROUP BY ALL
        UNION ALL
        SELECT (seq_from - 1) // $width, 'page_in', '', fault::INTEGER, count(DISTINCT seq_from)
        FROM residency WHERE how <> 'slot' AND seq_from <= $until GROUP BY ALL""",
        params,
    )
    bands = ws.rows(
        """SELECT (seq_from - 1) // $width AS bucket, min(total_tokens) AS least, max(total_tokens) AS most,
            max(flush_tokens) AS flush
        FROM prompts WHERE purpose = 'turn' AND seq_from <= $until GROUP BY 1 ORDER BY 1""",
        params,
    )
    return width, counts, bands


def session_starts(ws: Workspace, until: int, *, most: int) -> Rows:
    """The first event of sessions, as `session`, `seq`, `at`; of many sessions, evenly chosen ones."""
    return ws.rows(
        """WITH starts AS (SELECT session, min(seq_from) AS seq, min("at") AS "at" FROM events
            WHERE session > 0 AND seq_from <= $until GROUP BY session)
        SELECT * FROM starts WHERE (session - 1) % (1 + (SELECT count(*) FROM starts) // $most) = 0 ORDER BY seq""",
        {"until": until, "most": most},
    )


def first_of(ws: Workspace, until: int, column: str, value: int) -> int | None:
    """The first event of a turn or session (`column`), or None when there is no such one by then."""
    if column not in ("turn", "session"):
        raise ValueError(column)
    sql = f"SELECT min(seq_from) AS seq FROM events WHERE {column} = ? AND seq_from <= ?"
    found = ws.rows(sql, [value, until])[0]["seq"]
    return None if found is None else int(found)


def pressure(ws: Workspace, first: int, last: int) -> Rows:
    """The prompts of a stretch: all, or of many the ones with the least and the most tokens in each part of it."""
    return ws.rows(
        """WITH here AS (SELECT *, ntile($points) OVER (ORDER BY seq_from) AS part FROM prompts
            WHERE purpose = 'turn' AND seq_from BETWEEN $first AND $last),
        kept AS (SELECT unnest([arg_min(seq_from, total_tokens), arg_max(seq_from, total_tokens)]) AS seq
            FROM here GROUP BY part)
        SELECT * EXCLUDE (part) FROM here WHERE seq_from IN (SELECT seq FROM kept) ORDER BY seq_from""",
        {"points": POINTS, "first": first, "last": last},
    )


def returns(ws: Workspace, first: int, last: int) -> Rows:
    """Where what came in during a stretch had been: `item`, `came`, `fault`, `left_at` (see `lanes.arrows`)."""
    return ws.rows(
        """WITH came AS (SELECT item, seq_from, fault FROM residency
            WHERE how <> 'slot' AND seq_from BETWEEN $first AND $last ORDER BY seq_from DESC LIMIT $most),
        gone AS (SELECT item, seq_to FROM residency
            WHERE seq_to <= $last AND item IN (SELECT item FROM came))
        SELECT came.item, came.seq_from AS came, came.fault, max(gone.seq_to) AS left_at
        FROM came LEFT JOIN gone ON gone.item = came.item AND gone.seq_to <= came.seq_from
        GROUP BY ALL ORDER BY came""",
        {"first": first, "last": last, "most": ARROW_ITEMS},
    )


# --- one mark ---------------------------------------------------------------------------------------------


def evicted(ws: Workspace, ids: Sequence[str], flush: int, until: int) -> tuple[dict[str, dict[str, Any]], Rows]:
    """(rows of these messages by id, as they left; their intervals since), both as `residency.fates` wants them."""
    rows = ws.rows(
        """SELECT id, arg_max(m, m.seq_from) FILTER (m.seq_from <= $flush) AS gone, arg_max(m, m.seq_from) AS newest
        FROM messages AS m WHERE id IN (SELECT unnest($ids)) AND seq_from <= $until GROUP BY id""",
        {"ids": list(ids), "flush": flush, "until": until},
    )
    messages = {
        row["id"]: {
            **(row["gone"] or row["newest"]),
            "stands": row["newest"]["seq_to"] is None or row["newest"]["seq_to"] > until,
        }
        for row in rows
    }
    later = ws.rows(
        """SELECT item, carrier, how, seq_from, seq_to IS NULL OR seq_to > $until AS open FROM residency
        WHERE item IN (SELECT unnest($ids)) AND seq_from <= $until AND seq_from > $flush ORDER BY seq_from""",
        {"ids": list(ids), "until": until, "flush": flush},
    )
    return messages, later


def came_in(ws: Workspace, seq: int) -> Rows:
    """What entered the window by one event otherwise than as a new message: `item`, `how`, `fault`, `left_at`."""
    return ws.rows(
        """SELECT here.item, here.carrier, here.how, here.fault, here.seq_from, max(gone.seq_to) AS left_at
        FROM residency AS here LEFT JOIN residency AS gone
            ON gone.item = here.item AND gone.how <> 'copy' AND gone.seq_to <= here.seq_from
        WHERE here.how <> 'slot' AND here.seq_from = ? GROUP BY ALL ORDER BY here.item""",
        [seq],
    )


def result_of(ws: Workspace, search: int) -> int | None:
    """The event with the function result that a search led to, or None."""
    found = ws.rows(
        "SELECT min(seq_from) AS seq FROM events WHERE kind = 'function_returned' AND seq_from BETWEEN ? AND ?",
        [search, search + 4],
    )
    return found[0]["seq"]


def search_of(ws: Workspace, result: int) -> int | None:
    """The search event whose result came in as event `result`, or None."""
    found = ws.rows(
        "SELECT max(seq_from) AS seq FROM events WHERE kind IN ('recall_searched', 'archival_searched') "
        "AND seq_from BETWEEN ? AND ?",
        [result - 4, result],
    )
    return found[0]["seq"]


# --- figures ----------------------------------------------------------------------------------------------


def counts(ws: Workspace, until: int) -> dict[str, Any]:
    """What `residency.rates` wants, over everything up to `until`."""
    return ws.rows(
        """WITH came AS (SELECT carrier, how, fault, seq_from FROM residency
            WHERE how <> 'slot' AND seq_from <= $until)
        SELECT (SELECT max(turn) FROM events WHERE seq_from <= $until) AS turns,
            (SELECT count(*) FROM came) AS page_ins,
            (SELECT count(*) FROM came WHERE fault) AS faults,
            (SELECT count(*) FROM events WHERE kind = 'queue_flushed' AND seq_from <= $until) AS flushes,
            (SELECT sum(tokens) FROM events WHERE seq_from IN (SELECT seq_from FROM came))::BIGINT AS in_tokens,
            (SELECT sum(tokens) FROM events WHERE kind = 'queue_flushed' AND seq_from <= $until)::BIGINT AS out_tokens
        """,
        {"until": until},
    )[0]


def policies(ws: Workspace, until: int) -> dict[str, Any]:
    """What `views.policies` wants, over everything up to `until`."""
    return ws.rows(
        """WITH here AS (SELECT * FROM events WHERE seq_from <= $until),
        placed AS (SELECT seq_from, tokens FROM here WHERE kind = 'hits_placed')
        SELECT max(turn) AS turns,
            count(*) FILTER (kind IN ('recall_searched', 'archival_searched')) AS searches,
            sum(prefetched)::BIGINT AS begun, count(saved_s) AS "right", sum(saved_s) AS saved_s,
            (SELECT count(*) FROM placed) AS placements, (SELECT sum(tokens) FROM placed)::BIGINT AS placed_tokens,
            (SELECT count(*) FROM residency WHERE how = 'copy' AND seq_from IN (SELECT seq_from FROM placed))
                AS placed_items,
            count(*) FILTER (capped = 'step') AS capped_step, count(*) FILTER (capped = 'turn') AS capped_turn
        FROM here""",
        {"until": until},
    )[0]


def working_set(ws: Workspace, until: int, turn: int, *, turns: int = 10) -> tuple[Rows, int]:
    """(different items in the window in each of the last turns, oldest first; in all of them together)."""
    rows = ws.rows(
        """WITH spans AS (SELECT turn, min(seq_from) AS start, max(seq_from) AS stop FROM events
            WHERE turn > $turn - $turns AND turn > 0 AND seq_from <= $until GROUP BY turn),
        held AS (SELECT item, seq_from, coalesce(seq_to, $until + 1) AS seq_to FROM residency WHERE seq_from <= $until
            AND (seq_to IS NULL OR seq_to > (SELECT min(start) FROM spans)))
        SELECT spans.turn, count(DISTINCT item) AS items FROM spans
            JOIN held ON held.seq_from <= spans.stop AND held.seq_to > spans.start GROUP BY spans.turn
        UNION ALL SELECT NULL, count(DISTINCT item) FROM held ORDER BY 1 NULLS LAST""",
        {"until": until, "turn": turn, "turns": turns},
    )
    return [row for row in rows if row["turn"] is not None], rows[-1]["items"]


def moved_by_turn(ws: Workspace, until: int, turn: int, *, turns: int = 40) -> Rows:
    """Tokens that came in and went out in each of the last turns: `turn`, `came`, `went`, `faults`."""
    return ws.rows(
        """WITH here AS (SELECT seq_from, turn, kind, tokens FROM events
            WHERE turn > $turn - $turns AND turn > 0 AND seq_from <= $until),
        came AS (SELECT seq_from, count(*) FILTER (fault) AS faults FROM residency
            WHERE how <> 'slot' AND turn > $turn - $turns AND seq_from <= $until GROUP BY seq_from)
        SELECT here.turn, coalesce(sum(here.tokens) FILTER (came.seq_from IS NOT NULL), 0)::BIGINT AS came,
            coalesce(sum(here.tokens) FILTER (here.kind = 'queue_flushed'), 0)::BIGINT AS went,
            coalesce(sum(came.faults), 0)::BIGINT AS faults
        FROM here LEFT JOIN came ON came.seq_from = here.seq_from GROUP BY here.turn ORDER BY here.turn""",
        {"until": until, "turn": turn, "turns": turns},
    )


def stays(ws: Workspace, until: int) -> Rows:
    """How long messages stayed in the window before a flush, and how long until they came back (`residency.stays`)."""
    figures = ", ".join(
        f"quantile_disc({column}, {share}) AS {column}_{name}"
        for column in ("s", "t")
        for name, share in (("min", 0), ("mid", 0.5), ("p95", 0.95))
    )
    return ws.rows(
        f"""WITH gone AS (SELECT item, seq_from, seq_to FROM residency
            WHERE how <> 'copy' AND seq_to <= $until
                AND seq_to IN (SELECT seq_from FROM events WHERE kind = 'queue_flushed')
            ORDER BY seq_to DESC LIMIT $most),
        back AS (SELECT gone.seq_to AS seq_from, min(came.seq_from) AS seq_to FROM gone JOIN residency AS came
            ON came.item = gone.item AND came.how <> 'slot' AND came.seq_from > gone.seq_to
                AND came.seq_from <= $until GROUP BY gone.item, gone.seq_to),
        spans AS (SELECT 'window' AS tier, seq_from, seq_to FROM gone UNION ALL SELECT 'storage', * FROM back),
        timed AS (SELECT tier, (epoch_us(b."at") - epoch_us(a."at")) / 1e6 AS s, b.turn - a.turn AS t
            FROM spans JOIN events AS a ON a.seq_from = spans.seq_from JOIN events AS b ON b.seq_from = spans.seq_to)
        SELECT tier, count(*) AS n, {figures} FROM timed GROUP BY tier ORDER BY tier DESC""",
        {"until": until, "most": STAYS},
    )


# --- what the warnings are about ------------------------------------------------------------------------------


def fetches(ws: Workspace, first: int, last: int) -> tuple[Rows, Rows]:
    """(faults of a stretch as `item`, `seq_from`, `turn`; its page ins as `seq`, `turn`, `tokens` brought)."""
    params = {"first": first, "last": last, "most": ARROW_ITEMS}
    faults = ws.rows(
        """SELECT item, seq_from, turn FROM residency
        WHERE fault AND seq_from BETWEEN $first AND $last ORDER BY seq_from DESC LIMIT $most""",
        params,
    )
    brought = ws.rows(
        """SELECT came.seq, event.turn, event.tokens FROM (SELECT DISTINCT seq_from AS seq FROM residency
            WHERE how <> 'slot' AND seq_from BETWEEN $first AND $last ORDER BY seq DESC LIMIT $most) AS came
        JOIN events AS event ON event.seq_from = came.seq""",
        params,
    )
    return faults, brought


def questions(ws: Workspace, first: int, last: int, until: int, *, most: int) -> Rows:
    """The newest messages of yours in a stretch: `seq`, `turn`, `answered`, `searches` (see `warnings.Question`)."""
    return ws.rows(
        """WITH asked AS (SELECT seq_from AS seq, turn, lead(seq_from, 1, $until + 1) OVER (ORDER BY seq_from) AS stop
            FROM events WHERE kind = 'trigger_received' AND about = 'user' AND seq_from BETWEEN $first AND $last),
        newest AS (SELECT * FROM asked ORDER BY seq DESC LIMIT $most)
        SELECT newest.seq, newest.turn, min(event.seq_from) FILTER (event.kind = 'message_sent') AS answered,
            list(event.seq_from ORDER BY event.seq_from) FILTER (event.kind <> 'message_sent') AS searches
        FROM newest LEFT JOIN events AS event ON event.turn = newest.turn AND event.seq_from > newest.seq
            AND event.seq_from < newest.stop AND event.seq_from <= $until
            AND event.kind IN ('message_sent', 'recall_searched', 'archival_searched')
        GROUP BY newest.seq, newest.turn ORDER BY newest.seq""",
        {"first": first, "last": last, "until": until, "most": most},
    )


def known_texts(ws: Workspace, before: int) -> list[str]:
    """The texts of core memory and the summary just before an event."""
    rows = ws.rows(
        """SELECT arg_max(kind, seq_from) AS kind, max(seq_from) AS seq FROM events
        WHERE seq_from < ? AND kind IN ('block_defined', 'working_context_edited', 'block_deleted', 'queue_flushed')
        GROUP BY CASE WHEN kind = 'queue_flushed' THEN '' ELSE about END""",
        [before],
    )
    fields = {"block_defined": "value", "working_context_edited": "after", "queue_flushed": "summary"}
    return [str(getattr(ws.event(row["seq"]), fields[row["kind"]])) for row in rows if row["kind"] in fields]


def words_stored(
    ws: Workspace, words: Sequence[str], at: int, *, rare_rows: int, rare_share: float
) -> tuple[int, Rows]:
    """(stored texts looked at, the rare ones of these words with where they are), as they were just before `at`.

    Rows as `warnings.starving` wants them. Looks at the newest `TEXTS` messages of people and agent and as many
    passages; a word that more texts hold than a rare one may is left out.
    """
    texts = """SELECT id, lower(text) AS text, seq_from FROM {table} WHERE seq_from < $at
        AND (seq_to IS NULL OR seq_to > $at) AND text <> '' {roles} ORDER BY seq_from DESC LIMIT $texts"""
    rows = ws.rows(
        f"""WITH stored AS MATERIALIZED (
            (SELECT id, text FROM ({texts.format(table="messages", roles="AND role IN ('user', 'assistant')")}))
            UNION ALL (SELECT id, text FROM ({texts.format(table="passages", roles="")}))),
        looked AS (SELECT count(*) AS n FROM stored),
        held AS (SELECT DISTINCT item FROM residency WHERE seq_from < $at AND (seq_to IS NULL OR seq_to > $at)),
        near AS (SELECT word, id, text, count(*) OVER (PARTITION BY word) AS n
            FROM (SELECT unnest($words) AS word) JOIN stored ON contains(text, word)),
        hits AS (SELECT word, id FROM near, looked WHERE near.n <= greatest($rare_rows, $rare_share * looked.n)
            AND regexp_matches(text, '(^|[^\\pL\\pN])' || word || '($|[^\\pL\\pN])'))
        SELECT word, count(*) AS rows, count(held.item) AS held,
            (list(id ORDER BY id) FILTER (held.item IS NULL))[:{IDS_MOST}] AS ids, (SELECT n FROM looked) AS looked
        FROM hits LEFT JOIN held ON held.item = hits.id GROUP BY word ORDER BY word""",
        {"words": list(words), "at": at, "texts": TEXTS, "rare_rows": rare_rows, "rare_share": rare_share},
    )
    return (rows[0]["looked"] if rows else 0), rows


def flushes(ws: Workspace, first: int, last: int, *, most: int) -> list[int]:
    """The newest flushes of a stretch, newest first."""
    rows = ws.rows(
        "SELECT seq_from FROM events WHERE kind = 'queue_flushed' AND seq_from BETWEEN ? AND ? ORDER BY 1 DESC LIMIT ?",
        [first, last, most],
    )
    return [row["seq_from"] for row in rows]


def window_texts(ws: Workspace, until: int) -> list[str]:
    """The texts of the messages and passages that are in the window after event `until`."""
    rows = ws.rows(
        """WITH held AS (SELECT DISTINCT item FROM residency
            WHERE seq_from <= $until AND (seq_to IS NULL OR seq_to > $until))
        SELECT text FROM messages WHERE id IN (SELECT item FROM held)
            AND seq_from <= $until AND (seq_to IS NULL OR seq_to > $until)
        UNION ALL SELECT text FROM passages WHERE id IN (SELECT item FROM held)
            AND seq_from <= $until AND (seq_to IS NULL OR seq_to > $until)""",
        {"until": until},
    )
    return [row["text"] for row in rows if row["text"]]


def passages_with(ws: Workspace, terms: Sequence[str], until: int) -> dict[str, list[str]]:
    """Some of the newest `TEXTS` passages with each term in them, by term, as they stood after event `until`."""
    rows = ws.rows(
        f"""WITH stored AS MATERIALIZED (SELECT text, lower(text) AS low FROM passages
            WHERE seq_from <= $until AND (seq_to IS NULL OR seq_to > $until) ORDER BY seq_from DESC LIMIT {TEXTS})
        SELECT term, list(text)[:{IDS_MOST}] AS texts
        FROM (SELECT unnest($terms) AS term) JOIN stored ON contains(low, lower(term)) GROUP BY term""",
        {"terms": list(terms), "until": until},
    )
    return {row["term"]: row["texts"] for row in rows}
