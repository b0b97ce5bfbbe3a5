"""The point in time a page is drawn for: live, or the event that the address names.

`?step=120` is the agent as it was right after event 120; `?session=2` is the end of that session. Both travel
in every link, so that a page reads the same after a reload, in another tab and on another day.
"""

import streamlit as st

from memgpt_core.workspace import Workspace

STEP, SESSION = "step", "session"
"""The names in the address."""


def asked(ws: Workspace) -> tuple[int | None, str]:
    """(the event to look back to, or None for live; a sentence when what the address asks for is not there)."""
    if STEP in st.query_params:
        wanted = st.query_params[STEP]
        if wanted.isascii() and wanted.isdigit() and 1 <= int(wanted) <= ws.last_seq:
            return int(wanted), ""
        return None, _missing("event", wanted, ws.last_seq)
    if SESSION in st.query_params:
        wanted = st.query_params[SESSION]
        sessions = ws.state().session
        if not (wanted.isascii() and wanted.isdigit() and 1 <= int(wanted) <= sessions):
            return None, _missing("session", wanted, sessions)
        if int(wanted) == sessions:
            return None, ""
        ends = ws.rows("SELECT max(seq_from) AS seq FROM events WHERE session = ?", [int(wanted)])
        return int(ends[0]["seq"]), ""
    return None, ""


def query(ws: Workspace, at: int | None, **more: str) -> dict[str, str]:
    """What a link to another page carries: the agent, the point in time, and what else the page reads."""
    return {"agent": ws.agent_id, **({STEP: str(at)} if at is not None else {}), **more}


def go(at: int | None) -> None:
    """Move this tab to another point in time, from a callback; the address changes with it."""
    st.query_params.pop(SESSION, None)
    if at is None:
        st.query_params.pop(STEP, None)
    else:
        st.query_params[STEP] = str(at)


def _missing(what: str, wanted: str, last: int) -> str:
    return f"There is no {what} “{wanted}”: this agent has {what}s 1 to {last:,}. You see it as it is now."
