"""A box for one SELECT over the rows of the agent, with the tables and examples beside it."""

from typing import Any

import pandas as pd
import streamlit as st

from memgpt_core.project import COLUMNS
from memgpt_core.views.passages import visible
from memgpt_core.workspace import Workspace
from pages.parts import choices, export
from pages.parts.frame import Here
from pages.parts.markup import details, escape, wrap

EXAMPLES: tuple[tuple[str, str], ...] = (
    (
        "Messages and tokens by role",
        "SELECT role, count(*) AS messages, sum(tokens) AS tokens\nFROM messages WHERE seq_to IS NULL\n"
        "GROUP BY role ORDER BY tokens DESC",
    ),
    (
        "Which messages came back most often",
        "SELECT item, count(*) AS page_ins, count(*) FILTER (fault) AS page_faults,\n"
        "  any_value(left(text, 120)) AS text\n"
        "FROM residency JOIN messages ON messages.id = item AND messages.seq_to IS NULL\n"
        "WHERE how <> 'slot' GROUP BY item ORDER BY page_ins DESC",
    ),
    (
        "How long each message stayed, in events",
        "SELECT item, min(seq_from) AS came, max(coalesce(seq_to, (SELECT max(seq_from) FROM events))) AS until,\n"
        "  until - came AS events\nFROM residency WHERE how = 'slot' GROUP BY item ORDER BY events DESC",
    ),
    (
        "Calls of each function, and how many failed",
        "SELECT about AS function, count(*) AS calls, count(*) FILTER (NOT ok) AS failed, round(avg(seconds), 3) AS "
        "seconds\nFROM events WHERE kind = 'function_returned' GROUP BY function ORDER BY calls DESC",
    ),
    (
        "The recall store as it was after event 100",
        "SELECT id, role, left(text, 120) AS text FROM messages\n"
        'WHERE seq_from <= 100 AND (seq_to IS NULL OR seq_to > 100) ORDER BY "at"',
    ),
    (
        "Prompt tokens by session, ours beside the server's",
        "SELECT p.session, max(p.total_tokens) AS ours, max(r.prompt_tokens) AS server,\n"
        "  max(p.window_tokens) AS window_tokens\n"
        "FROM prompts p LEFT JOIN replies r ON r.turn = p.turn AND r.step = p.step AND r.purpose = p.purpose\n"
        "GROUP BY p.session ORDER BY p.session",
    ),
    (
        "Everything you changed by hand",
        'SELECT "at", kind, about FROM events WHERE author = \'human\' ORDER BY "at" DESC',
    ),
)
"""Queries worth a click: a name and the SQL."""

HEADER_PX, ROW_PX = 38, 35

SAYS = {
    "messages": "every version of every message",
    "passages": "every version of every passage of archival storage",
    "residency": "intervals in which an item was in the window",
    "events": "one row for each event of the log",
    "prompts": "one row for each request to the model, with our token counts",
    "replies": "one row for each reply, with the model server's counts",
}


def draw(here: Here) -> None:
    """The box and its answer at the left, the tables and the examples at the right."""
    box, beside = st.columns([66, 34], gap="medium")
    agent = here.ws.agent_id
    draft = choices.sql_draft(agent)
    st.session_state.setdefault(draft, EXAMPLES[0][1])
    with beside:
        _examples(draft)
        _tables()
    with box, st.container(key="sql-box", gap="small"):
        st.text_area(
            "One SELECT over this agent's rows",
            key=draft,
            height=170,
            persist_state="session",
            help="Ctrl + Enter takes over what you typed. It runs on a copy of the rows: nothing can be changed.",
        )
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.button(
                "Run",
                key="sql-run",
                type="primary",
                icon=":material/play_arrow:",
                on_click=_ask,
                args=(here, draft),
            )
            st.caption("Reads only · at most 1,000 rows · ended after 5 s · 256 MB · one statement")
        if here.at is not None:
            st.caption(
                f":material/info: The rows hold every version until now. As of event {here.at:,} means "
                f"`seq_from <= {here.at} AND (seq_to IS NULL OR seq_to > {here.at})`."
            )
        if asked := st.session_state.get(choices.sql_asked(agent)):
            _answer(here, *asked)


def _ask(here: Here, draft: str) -> None:
    held = choices.sql_asked(here.ws.agent_id)
    before = st.session_state.get(held, ("", 0, 0))
    st.session_state[held] = (st.session_state[draft], here.ws.last_seq, before[2] + 1)


@st.cache_data(max_entries=8, ttl=900, show_spinner=False)
def _answered(agent: str, sql: str, seq: int, press: int, _ws: Workspace) -> dict[str, Any]:
    """The answer to one press of the button, kept so that a rerun of the page does not ask again."""
    return _ws.sql(sql)._asdict()


def _answer(here: Here, sql: str, seq: int, press: int) -> None:
    with st.spinner("Asking DuckDB, at most 5 s…"):
        answer = _answered(here.ws.agent_id, sql, seq, press, here.ws)
    if answer["refused"]:
        st.error("The query was not answered:", icon=":material/block:")
        st.code(visible(answer["refused"]).replace("⟨U+000A⟩", "\n"), language=None, wrap_lines=True)
        return
    rows = answer["rows"]
    more = ", and there are more: add a LIMIT or a WHERE" if answer["more"] else ""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{len(rows):,} rows** in {answer['seconds']:.1f} s{more}", width="content")
        export.draw(f"{here.state.name} query", lambda: list(rows), key="sql", count=len(rows))
    if rows:
        shown = pd.DataFrame([{name: _shown(value) for name, value in row.items()} for row in rows])
        height = min(430, HEADER_PX + ROW_PX * len(rows))
        st.dataframe(shown, hide_index=True, height=height, key="sql-rows", alt=f"The {len(rows):,} rows of the answer")
    elif answer["columns"]:
        st.caption(f"No row. Columns: {', '.join(answer['columns'])}")


def _shown(value: Any) -> Any:
    return visible(value) if isinstance(value, str) else value


def _examples(draft: str) -> None:
    st.markdown("**Examples**")
    with st.container(gap="xsmall", key="sql-examples"):
        for at, (label, sql) in enumerate(EXAMPLES):
            st.button(
                label, key=f"example:{at}", type="tertiary", on_click=_put, args=(draft, sql), help="Put it in the box"
            )


def _put(draft: str, sql: str) -> None:
    st.session_state[draft] = sql


def _tables() -> None:
    st.markdown("**Tables and columns**")
    said = []
    for table, columns in COLUMNS.items():
        named = "".join(
            f'<div><code>{escape(name)}</code> <span class="soft">{escape(kind)}</span></div>'
            for name, kind in columns.items()
        )
        summary = f'<code>{escape(table)}</code> <span class="soft">{SAYS.get(table, "")}</span>'
        said.append(details(summary, f'<div style="padding-left:1rem">{named}</div>'))
    st.html(
        wrap(
            *said,
            '<div class="soft" style="margin-top:.4rem">Rows are versions: <code>seq_from</code> is the event that '
            'made one, <code>seq_to</code> the one that ended it (NULL while it stands). Write <code>"at"</code> with '
            "the quotes; times are UTC.</div>",
        )
    )
