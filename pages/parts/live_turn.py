"""The turn that runs: its bubbles so far, the text as it comes, what the agent is doing, and the stop button."""

from zoneinfo import ZoneInfo

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from memgpt_core.workspace import Workspace
from pages.parts.conversation import draw_running
from pages.parts.frame import attempt
from pages.parts.markup import details, escape, text_box, wrap
from pages.parts.safe_md import safe_md

BUSY_EVERY_S = 0.8
"""How often a running turn is drawn anew. Each drawing has the browser walk the page: with a thousand messages open,
twice a second would take an eighth of its time."""

MEMORY_EVERY_S = 2.0
"""How often the memory beside a running turn is drawn anew: it changes once a step, and a drawing costs the browser."""

IDLE_EVERY_S = 2.0
"""How often an idle page looks whether another tab began something."""

SAYS = {
    "idle": "Idle",
    "waiting": "Waiting",
    "loading the model": "Loading the model",
    "reading the prompt": "Reading the prompt",
    "generating": "Generating",
    "running a function": "Running a function",
    "summarising": "Summarising what leaves the queue",
    "stopping": "Stopping",
}


def draw(ws: Workspace, tail: DeltaGenerator, from_seq: int, zone: ZoneInfo) -> None:
    """What the running turn has brought so far, at the end of the conversation, and the line below it.

    Both in one part that redraws itself: each such part has the browser walk the whole page.
    """
    if ws.busy:
        with tail.container():
            _tail(ws, from_seq, zone)
    _pulse(ws)


def _tail(ws: Workspace, from_seq: int, zone: ZoneInfo) -> None:
    draw_running(ws, from_seq, zone)
    partial = ws.partial()
    if not partial.text and not partial.thoughts:
        return
    with st.chat_message("assistant", avatar=":material/memory:"):
        if partial.text:
            st.markdown(safe_md(partial.text) + " ▌")
        if partial.thoughts:
            st.html(wrap(details('<span class="soft">Thinking</span>', text_box(partial.thoughts), opened=True)))


def _pulse(ws: Workspace) -> None:
    """One line: what the agent is doing and for how long."""
    doing = ws.activity()
    busy = ws.busy
    with st.container(horizontal=True, vertical_alignment="center", key="pulse"):
        st.html(wrap(_phase(doing.phase, doing.detail, doing.since_s, busy)), width="stretch")
        if busy:
            st.button(
                "Stop",
                key="stop",
                icon=":material/stop_circle:",
                shortcut="Esc",
                on_click=attempt,
                args=(ws.stop,),
                disabled=doing.phase == "stopping",
            )


def _phase(phase: str, detail: str, since_s: float, busy: bool) -> str:
    if not busy:
        return '<span class="ms-dot"></span><b>Idle</b> <span class="soft">the agent waits for a message</span>'
    if phase == "waiting" and not detail:
        detail = "for the model"
    # Whom or what it waits for is the half of a sentence; of a function or a model the name stands out.
    what = f" {escape(detail)}" if phase == "waiting" else f" <b>{escape(detail)}</b>" if detail else ""
    return (
        f'<span class="ms-dot on"></span><b>{escape(SAYS[phase])}</b>{what} '
        f'<span class="soft num">{since_s:.1f} s</span>'
    )
