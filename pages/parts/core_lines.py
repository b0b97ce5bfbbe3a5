"""Who wrote each line of a block, one press from the message that caused it; and the way of a line into archival."""

from typing import Any

import streamlit as st

from memgpt_core.views.blame import Line, blame
from memgpt_core.views.blocks import Meter
from pages.parts import choices, core_marks, core_rows, moment, pager
from pages.parts.core_rows import Life
from pages.parts.frame import Here, attempt
from pages.parts.markup import escape, wrap

LINES = 15
"""Lines on a page of them: each has links of its own."""

VERSIONS = 400
"""How many versions back one look goes; more on request, because each is read from the log."""


def draw(here: Here, block: Meter, stretches: Life) -> None:
    """Each line with the event that wrote it."""
    if not block.value:
        st.caption("The block is empty: there are no lines yet. The agent writes here, or you do under “Text”.")
        return
    held = choices.blame_depth(here.ws.agent_id, block.label)
    depth = st.session_state.get(held, VERSIONS)
    versions, whole = core_rows.texts(here.ws, stretches, depth)
    lines = blame(block.value, versions, whole=whole)
    numbered = list(enumerate(lines))
    first = 0
    if len(lines) > LINES:
        first = pager.draw(f"lines:{here.ws.agent_id}:{block.label}", len(lines), LINES, what="lines")
    page = numbered[first : first + LINES]
    wrote = {line.seq: here.ws.event(line.seq) for _, line in page if line.seq}
    caused = core_rows.causes(here.ws, wrote)
    for number, line in page:
        with st.container(key=f"core-line-{number}", gap="xxsmall"):
            _one(here, block, number, line, wrote.get(line.seq), caused.get(line.seq, ""))
    if any(not line.seq for line in lines):
        st.button(
            f"Look more than {depth:,} versions back",
            key=f"deeper:{block.label}",
            on_click=_deeper,
            args=(held, depth),
            icon=":material/history:",
        )


def _deeper(held: str, depth: int) -> None:
    st.session_state[held] = 4 * depth


def _one(here: Here, block: Meter, number: int, line: Line, event: Any, caused: str) -> None:
    ws = here.ws
    text, about = st.columns([52, 48], gap="small", vertical_alignment="center")
    text.html(
        wrap(
            f'<div class="cm-line"><span class="cm-no">{number + 1}</span>'
            f"{core_marks.shown(line.text) or '<i>empty line</i>'}</div>"
            f'<div class="cm-by">{_who(here, event)}</div>'
        )
    )
    with about, st.container(horizontal=True, gap="small", vertical_alignment="center", wrap=False):
        if caused:
            st.page_link(
                "pages/recall.py",
                label="Message",
                icon=":material/chat:",
                query_params=moment.query(ws, here.at, message=caused),
                help=f"The message that made the agent write this line ({caused})",
            )
        if event is not None:
            st.page_link(
                "app.py",
                label="Chat then",
                icon=":material/history:",
                query_params=moment.query(ws, event.seq),
                help=f"The conversation as it was at event {event.seq}",
            )
        if line.text.strip() and here.at is None:
            st.button(
                "To archival",
                key=f"demote:{block.label}:{number}:{block.seq}",
                type="tertiary",
                icon=":material/archive:",
                on_click=_demote,
                args=(here, block, number),
                help="Makes this line a passage of archival storage and takes it out of the block",
            )


def _demote(here: Here, block: Meter, number: int) -> None:
    if attempt(here.ws.edits.demote_line, block.label, number, based_on=block.seq):
        st.toast(f"Line {number + 1} of {block.label} is in archival storage now; Undo puts it back into the block.")


def _who(here: Here, event: Any) -> str:
    if event is None:
        return '<span class="soft">older than was looked</span>'
    where = core_marks.place(event.session, event.turn, event.step)
    return (
        f"<b>{core_marks.by(event.author)}</b> "
        f'<span class="soft" title="{escape(where)}">event {event.seq:,}, turn {event.turn}, step {event.step} · '
        f"{core_marks.when(event.at, here.zone)}</span>"
    )
