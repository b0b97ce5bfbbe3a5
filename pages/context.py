"""What the model was sent: main context part by part, token by token."""

import streamlit as st

from memgpt_core.workspace import Workspace
from pages.parts import (
    choices,
    context_compare,
    context_figures,
    context_items,
    context_preview,
    context_request,
    context_usage,
    frame,
)
from pages.parts.context_request import Shown
from pages.parts.context_rows import answer, place

MAP, USAGE, COMPARE, PREVIEW, RAW = "Map and items", "Over time", "Compare steps", "Preview and what if", "Raw request"
LOOKS_EVERY_S = 1.0


def nothing() -> None:
    """What the page polls while a turn runs: only whether there is something new."""


def window(ws: Workspace, shown: Shown, at: int | None) -> None:
    """The map, the items and the text of the one that is chosen."""
    context_items.draw(ws, shown, at)


with frame.enter("Context window") as here:
    ws, drawn = here.ws, here.ws.last_seq
    st.html(context_figures.STYLE)
    if not here.state.instructions_seq:
        st.markdown("#### Context window")
        st.info(
            f"At event {here.seq:,} the agent had no instructions yet, so there is no request to show. Go on to a "
            "later event, or back to live.",
            icon=":material/hourglass_empty:",
        )
        st.stop()
    where = place(ws, here.seq)
    next_one = where is None or st.session_state.get(choices.window_next(ws.agent_id, here.at), False)
    shown = context_request.next_one(ws, here.state) if next_one else context_request.sent(ws, where)
    told = None if next_one else answer(ws, where)
    context_figures.draw_steps(ws, here.at, where, shown)
    context_figures.draw(context_figures.read(shown, told), shown, told)
    tabs = st.tabs([MAP, USAGE, COMPARE, PREVIEW, RAW], key="context-tab", on_change="rerun")
    for name, tab in zip((MAP, USAGE, COMPARE, PREVIEW, RAW), tabs, strict=True):
        if not tab.open:
            continue
        with tab, frame.guard():
            if name == MAP:
                frame.live(window, every_s=None)(ws, shown, here.at)
            elif name == USAGE:
                context_usage.draw(ws, here.seq)
            elif name == COMPARE:
                context_compare.draw(ws, where)
            elif name == PREVIEW:
                now = shown if next_one else context_request.next_one(ws, here.state)
                context_preview.draw(ws, here.at, now)
            else:
                context_request.draw_raw(ws, shown)
    if here.at is None and ws.busy:
        frame.live(nothing, every_s=LOOKS_EVERY_S, until=lambda: ws.last_seq != drawn or not ws.busy)()
