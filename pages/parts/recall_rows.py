"""What the recall page reads beyond a search: one message with its versions and its turn, and the agent's searches."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from memgpt_core.views.transcript import call_text
from memgpt_core.workspace import Workspace
from pages.parts import moment

Row = dict[str, Any]

_BORN = "CAST(substr(id, 2) AS BIGINT)"
TURN_MOST = 60
"""More messages of one turn are not drawn around the one that is open."""

_ABOUT = "(SELECT about FROM events WHERE events.seq_from = CAST(substr(id, 2) AS BIGINT)) AS about"


def versions(ws: Workspace, id: str, n: int) -> list[Row]:
    """Every version of a message that began by event `n`, oldest first, with what began it and what ended it."""
    return ws.rows(
        f"SELECT messages.*, {_BORN} AS born, {_ABOUT}, began.kind AS began_by, began.author AS author, "
        'began."at" AS began_at, ended.kind AS ended_by FROM messages '
        "JOIN events AS began ON began.seq_from = messages.seq_from "
        "LEFT JOIN events AS ended ON ended.seq_from = messages.seq_to AND messages.seq_to <= $n "
        "WHERE id = $id AND messages.seq_from <= $n ORDER BY messages.seq_from",
        {"id": id, "n": n},
    )


def intervals(ws: Workspace, id: str, n: int) -> list[Row]:
    """When the message was in the window, as far as event `n` knows."""
    return ws.rows("SELECT * FROM residency WHERE item = $id AND seq_from <= $n ORDER BY seq_from", {"id": id, "n": n})


def turn_around(ws: Workspace, turn: int, born: int, n: int) -> tuple[list[Row], int]:
    """(the messages of a turn as they stood after event `n`, at most `TURN_MOST` around one; how many there are)."""
    stood = "turn = $turn AND seq_from <= $n AND (seq_to IS NULL OR seq_to > $n)"
    params = {"turn": turn, "n": n}
    total = ws.rows(f"SELECT count(*) AS total FROM messages WHERE {stood}", params)[0]["total"]
    rows = ws.rows(
        f"SELECT id, {_BORN} AS born, role, kind, step, left(text, 2000) AS text, left(thoughts, 2000) AS thoughts, "
        f"tokens, {_ABOUT} FROM messages WHERE rowid IN (SELECT rowid FROM messages WHERE {stood} "
        f"ORDER BY abs({_BORN} - $born), seq_from LIMIT $most)",
        {**params, "born": born, "most": TURN_MOST},
    )
    return sorted(rows, key=lambda row: row["born"]), total


def texts(ws: Workspace, ids: Sequence[str]) -> dict[str, str]:
    """The beginning of the last text each message had, deleted or not."""
    rows = ws.rows(
        "SELECT id, left(CASE WHEN text = '' THEN thoughts ELSE text END, 300) AS text FROM messages "
        "WHERE id IN (SELECT unnest($ids)) ORDER BY seq_from",
        {"ids": list(ids)},
    )
    return {row["id"]: row["text"] for row in rows}


def calls_of(ws: Workspace, born: int) -> str:
    """The function calls of a reply that says nothing, one a line."""
    event: Any = ws.event(born)
    calls = getattr(event, "calls", ())
    return "\n".join(f"{call.name}({call_text(call.arguments)})" for call in calls)


def link(ws: Workspace, page: str, label: str, icon: str, *, at: int | None = None, **more: str) -> None:
    """A link to another page of the same agent, at a point in time."""
    st.page_link(page, label=label, icon=f":material/{icon}:", query_params=moment.query(ws, at, **more))
