"""The log itself: every event in words, filtered and paged; any of them opened, with the state after it."""

from typing import Any

import streamlit as st

from memgpt_core.workspace import Workspace
from pages.parts import address, choices, export, frame, log_event, log_filters, log_rows, pager
from pages.parts.frame import Here
from pages.parts.live_turn import BUSY_EVERY_S
from pages.parts.log_rows import Filter, Looked
from pages.parts.safe_md import safe_md

TABLE_HEIGHT = 520
ROW_HEIGHT = 28
LESS = ("Kind", "By", "Session · turn · step", "UTC")
"""The columns behind the fold."""


def news(ws: Workspace, drawn: int) -> None:
    """How many events came since the page was drawn."""
    if new := ws.last_seq - drawn:
        st.caption(f"A turn is running: {new:,} events since this was drawn. They are shown when it ends.")


def table(here: Here, rows: list[dict[str, Any]], chosen: Filter, beside: bool) -> None:
    """One line an event; choosing one opens it."""
    ws = here.ws
    lines = [
        {
            "Event": row["seq_from"],
            "When": f"{row['at'].astimezone(here.zone):%d %b %Y %H:%M:%S}",
            "What happened": log_rows.worded(ws, row["seq_from"], chosen.text),
            "Kind": row["kind"],
            "By": row["author"],
            "Session · turn · step": f"{row['session']} · {row['turn']} · {row['step']}",
            "UTC": f"{row['at']:%Y-%m-%d %H:%M:%S}",
        }
        for row in rows
    ]
    key = f"log-table:{ws.agent_id}:{chosen.signature()}:{rows[0]['seq_from']}"
    st.dataframe(
        lines,
        key=key,
        height=min(TABLE_HEIGHT, ROW_HEIGHT * (len(lines) + 2)),
        row_height=ROW_HEIGHT,
        hide_index=True,
        column_order=("Event", "What happened", "When", *LESS) if beside else ("Event", "When", "What happened", *LESS),
        on_select=lambda: _open(key, [row["seq_from"] for row in rows]),
        selection_mode="single-row",
        column_config={
            "Event": st.column_config.NumberColumn(width=70, help="Its number in the log, from 1 without gaps."),
            "When": st.column_config.TextColumn(width=145, help=f"In your time zone, {here.zone.key}."),
            "What happened": st.column_config.TextColumn(width=330 if beside else 520),
            "Kind": st.column_config.TextColumn(width=160),
            "By": st.column_config.TextColumn(width=70, help="Who did it, for the kinds that say so."),
            "UTC": st.column_config.TextColumn(width=145),
        },
        alt=f"{len(lines)} events of the log, from event {rows[0]['seq_from']} to event {rows[-1]['seq_from']}",
    )


def _open(key: str, seqs: list[int]) -> None:
    if chosen := st.session_state[key]["selection"]["rows"]:
        log_event.open_event(seqs[chosen[0]])


def found(here: Here, chosen: Filter) -> list[dict[str, Any]]:
    """The rows of the page that is shown, under the way to the other pages."""
    name = f"log:{here.ws.agent_id}:{here.at}:{chosen.signature()}"
    if chosen.text:
        return _searched(here, chosen, name)
    total = log_rows.count(here.ws, chosen)
    return log_rows.page(here.ws, chosen, pager.draw(name, total, log_rows.PAGE, what="events"))


def _searched(here: Here, chosen: Filter, name: str) -> list[dict[str, Any]]:
    trail: list[int] = st.session_state.get(choices.log_trail(name), [])
    looked = log_rows.search(here.ws, chosen, trail[-1] if trail else None)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        back, on = trail[:-1], [*trail, log_rows.following(looked, chosen)]
        for label, to, off in (("Back", back, not trail), ("Look further", on, not looked.more)):
            key = f"{choices.log_trail(name)}:{label}"
            st.button(label, key=key, disabled=off, on_click=_go_on, args=(name, to), type="tertiary")
        st.caption(_says(looked))
    return looked.rows


def _says(looked: Looked) -> str:
    low, high = sorted((looked.since, looked.to))
    rest = "there is more to look through" if looked.more else "that is all there is"
    return f"{len(looked.rows):,} found in events {low:,} to {high:,}; {rest}"


def _go_on(name: str, trail: list[int]) -> None:
    st.session_state[choices.log_trail(name)] = trail


def _jump(key: str) -> None:
    if (seq := st.session_state[key]) is not None:
        log_event.open_event(seq)
        st.session_state[key] = None


with frame.enter("Log") as here:
    ws = here.ws
    # A place of its own, so that a sentence moves nothing that is drawn below it.
    with st.container():
        chosen, wrong = log_filters.read(here.seq)
        for sentence in wrong:
            st.warning(safe_md(sentence), icon=":material/filter_alt_off:")
        opened = log_event.asked(here)
        if ws.busy:
            drawn = ws.last_seq
            frame.live(news, every_s=BUSY_EVERY_S, until=lambda: not ws.busy)(ws, drawn)
    title, order = st.columns([7, 2.3], gap="small", vertical_alignment="center")
    with title, st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"#### Log of {safe_md(here.state.name)}", width="content")
        st.caption(
            f"{here.seq:,} events: all that ever happened to it. Every page is drawn from this.", width="stretch"
        )
    with order:
        log_filters.draw_order(chosen)
    log_filters.draw(chosen)
    left, right = st.columns([53, 47], gap="medium") if opened else (st.container(), None)
    with left:
        rows = found(here, chosen)
        if rows:
            table(here, rows, chosen, bool(opened))
        else:
            st.info("No event is like that. Take a filter away, or look further.", icon=":material/search_off:")
            st.button("Show all events", key="log_all", on_click=address.clear, args=(log_filters.NAMES,))
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            export.draw(
                f"{ws.agent_id}-log",
                lambda: log_rows.everything(ws, chosen),
                key="log",
                count=log_rows.count(ws, chosen) if rows else 0,
            )
            st.number_input(
                "Open event number",
                1,
                here.seq,
                value=None,
                step=1,
                key="log_jump",
                placeholder=f"Open event 1 to {here.seq:,}",
                on_change=_jump,
                args=("log_jump",),
                width=230,
                label_visibility="collapsed",
            )
            if not opened:
                st.caption("Choose a line to open its event, or type its number.")
    if opened and right is not None:
        with right:
            log_event.draw(here, opened)
