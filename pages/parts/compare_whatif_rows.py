"""What the what-if form offers: blocks, messages and passages that were there when a turn began, with their texts."""

from typing import Any

from memgpt_core.state import State
from memgpt_core.views.compare import Turn
from memgpt_core.views.log_rows import one_line
from memgpt_core.workspace import Workspace

OFFERED = 40
EXCERPT_CHARS = 90

_THEN = "seq_from <= $at AND (seq_to IS NULL OR seq_to > $at)"


def options(ws: Workspace, of: str, start: int, before: State) -> dict[str, str]:
    """What can be chosen, by `block:<label>` or id, newest first, with how it is named in the list."""
    if of == "block":
        return {
            f"block:{label}": f"{one_line(label, 40)} · {len(block.value):,} characters"
            for label, block in sorted(before.blocks.items(), key=lambda item: -item[1].seq)
        }
    ids = _openings(ws, start) + _window(before) if of == "message" else _passages(ws, start)
    table = "messages" if of == "message" else "passages"
    at = start if of == "passage" else _last_opening(ws, start)
    said = "coalesce(nullif(text, ''), thoughts)" if of == "message" else "text"
    found = ws.rows(
        f"SELECT id, left({said}, {EXCERPT_CHARS}) AS text FROM {table} WHERE {_THEN} "
        "AND id IN (SELECT unnest($ids::VARCHAR[]))",
        {"at": at, "ids": ids},
    )
    texts = {row["id"]: row["text"] for row in found}
    return {id: f"{id} · {one_line(texts[id] or '', EXCERPT_CHARS)}" for id in ids if id in texts}


def text_then(ws: Workspace, what: str, start: int, before: State) -> str | None:
    """The text of a block, message or passage when the turn began; None when there was no such thing."""
    if what.startswith("block:"):
        block = before.blocks.get(what.removeprefix("block:"))
        return block.value if block else None
    table = "passages" if what.startswith("p") else "messages"
    at = start if table == "passages" else _last_opening(ws, start)
    rows = ws.rows(f"SELECT text FROM {table} WHERE {_THEN} AND id = $id", {"at": at, "id": what})
    return str(rows[0]["text"]) if rows else None


def turn(ws: Workspace, number: int) -> Turn:
    """One turn as rows have it: its first event and the one that ended it."""
    (row,) = ws.rows(
        "SELECT any_value(session) AS session, min(seq_from) AS first, max(seq_from) AS last, "
        "coalesce(max(seq_from) FILTER (kind = 'turn_ended'), max(seq_from)) AS ended FROM events WHERE turn = ?",
        [number],
    )
    return Turn(number, row["session"], row["first"], row["ended"], row["last"], "", "", 0, 0)


def _openings(ws: Workspace, start: int) -> list[str]:
    return [f"m{seq}" for seq in range(_last_opening(ws, start), start - 1, -1)]


def _last_opening(ws: Workspace, start: int) -> int:
    """The last of the triggers that open a turn, a login and what the user said for instance."""
    seq = start
    while seq < ws.last_seq and ws.event(seq + 1).kind == "trigger_received":
        seq += 1
    return seq


def _window(before: State) -> list[str]:
    return [entry.id for entry in reversed(before.queue)][:OFFERED]


def _passages(ws: Workspace, start: int) -> list[str]:
    """What the turn's searches found, then the newest passages."""
    number: Any = ws.event(start).turn
    searches = ws.rows(
        "SELECT seq_from AS seq FROM events WHERE kind = 'archival_searched' AND turn = ? ORDER BY 1", [number]
    )
    events: list[Any] = [ws.event(row["seq"]) for row in searches]
    found = [hit.id for event in events for hit in event.measured.hits or ()]
    newest = ws.rows(f"SELECT id FROM passages WHERE {_THEN} ORDER BY seq_from DESC LIMIT {OFFERED}", {"at": start - 1})
    return list(dict.fromkeys([*found, *(row["id"] for row in newest)]))
