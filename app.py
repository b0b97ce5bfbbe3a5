"""The chat, with the agent's memory beside it. The first page; start it with `streamlit run app.py`."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from memgpt_core.state import State
from memgpt_core.workspace import Workspace
from pages.parts import blocks, composer, conversation, fork_action, frame, gauge, turn_panel
from pages.parts.frame import Here
from pages.parts.live_turn import BUSY_EVERY_S, IDLE_EVERY_S, MEMORY_EVERY_S, draw
from pages.parts.safe_md import safe_md


def above(ws: Workspace) -> None:
    """The window as it is now."""
    gauge.draw(ws.state())


def below(ws: Workspace) -> None:
    """What the turn did, as far as it is."""
    state = ws.state()
    turn_panel.draw_calls(ws, state)
    turn_panel.draw_paging(ws, state)
    turn_panel.draw_notes(ws, state)


Part = Callable[..., None]


def panel(ws: Workspace, part: Callable[[Part], Part] = lambda draw: draw) -> None:
    """The memory panel, as it is now; what is not edited in it can be made a part of its own by `part`."""
    with st.container():
        part(above)(ws)
    with st.container():
        blocks.draw(ws)
    with st.container():
        part(below)(ws)


def memory(ws: Workspace, every_s: float | None) -> None:
    """The memory panel redraws itself as one part; while a block is edited its field stands in none (see `live`)."""
    edited = blocks.edited(ws)
    if not edited:
        frame.live(panel, every_s=every_s, until=lambda: bool(blocks.edited(ws)))(ws)
        return
    # The container is what a part has around it, so that the blocks stay where they are in the browser.
    with st.container():
        panel(ws, partial(frame.live, every_s=every_s, until=lambda: blocks.edited(ws) != edited))


def over(ws: Workspace, busy: bool, drawn: int) -> bool:
    """Whether the page as it was drawn is out of date: the turn has ended, or something has begun."""
    return ws.busy != busy or (not busy and ws.version != drawn)


def title(state: State) -> None:
    """Whose conversation it is, and what speaks."""
    model = "demo model, no language model" if state.settings.model == "demo" else state.settings.model
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"#### {safe_md(state.name)}", width="content")
        st.badge(safe_md(model), color="grey")


def past(here: Here) -> None:
    """The conversation and the memory as they were; nothing can be sent into the past."""
    ws, state = here.ws, here.state
    talk, beside = st.columns([58, 42], gap="medium")
    with talk:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            title(state)
            fork_action.draw(here)
        with conversation.from_the_end("conversation", height=500):
            conversation.draw_history(ws, state.seq, state.turn, here.zone, live=False)
    with beside, st.container(height=600, key="memory", border=False, autoscroll=False):
        gauge.draw(state)
        blocks.draw_then(ws, state)
        turn_panel.draw_calls(ws, state)
        turn_panel.draw_paging(ws, state)
        turn_panel.draw_notes(ws, state)


with frame.enter("Chat") as here:
    ws = here.ws
    if here.at is not None:
        past(here)
        st.stop()
    busy, drawn, state = ws.busy, ws.version, ws.state()
    # The running turn is drawn by a part that polls; everything before it is drawn once.
    from_seq = ws.turn_start(state.turn) if busy and state.turn_open else state.seq + 1
    fork_action.draw_made(here)
    talk, beside = st.columns([58, 42], gap="medium")
    with talk:
        title(state)
        with conversation.from_the_end("conversation", height=500):
            conversation.draw_history(ws, from_seq - 1, state.turn, here.zone, live=True)
            tail = st.empty()
        # An idle page looks now and then whether another tab, or a timer, began something.
        every_s = BUSY_EVERY_S if busy else IDLE_EVERY_S
        frame.live(draw, every_s=every_s, until=lambda: over(ws, busy, drawn))(ws, tail, from_seq, here.zone)
        composer.draw(ws)
    with beside, st.container(height=600, key="memory", border=False, autoscroll=False):
        memory(ws, MEMORY_EVERY_S if busy else None)
