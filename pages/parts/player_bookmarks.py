"""Bookmarks and comments: on the player's button, and on an event wherever it is shown."""

import streamlit as st

from memgpt_core.bookmarks import TEXT_CHARS, Bookmark
from memgpt_core.views.log_rows import one_line
from memgpt_core.views.window_items import visible
from memgpt_core.workspace import Workspace
from pages.parts import choices, pager, player_clock
from pages.parts.frame import attempt
from pages.parts.markup import escape, wrap
from pages.parts.safe_md import safe_md

PAGE = 6


def draw_button(ws: Workspace, seq: int) -> None:
    """The list of all bookmarks behind a button, with the way to each, and a new one for the event that is shown."""
    marks = ws.bookmarks.all()
    shown = st.popover("Bookmarks", icon=":material/bookmark:", key="player-bookmarks", on_change="rerun")
    if not shown.open:
        return
    if player_clock.is_playing(ws):
        # A comment is written about one event: the recording does not run on meanwhile.
        player_clock.pause(ws)
        st.rerun()
    with shown:
        draw_on(ws, seq)
        if not marks:
            st.caption("No bookmarks yet. A bookmark, with or without a comment, marks an event on the strip.")
            return
        with st.container(key="player-bookmark-list", gap="xsmall"):
            first = pager.draw(f"bookmarks:{ws.agent_id}", len(marks), PAGE, what="bookmarks")
            for mark in marks[first : first + PAGE]:
                _line(ws, seq, mark)


def draw_menu(ws: Workspace, seq: int) -> None:
    """The bookmarks of one event behind a button, for where the event is shown."""
    many = len(ws.bookmarks.on(seq))
    name = f"Bookmarks ({many})" if many else "Bookmark"
    shown = st.popover(name, icon=":material/bookmark:", key=f"bookmarks-on:{seq}", on_change="rerun")
    if shown.open:
        with shown:
            draw_on(ws, seq)


def _line(ws: Workspace, seq: int, mark: Bookmark) -> None:
    beyond = mark.seq > ws.last_seq
    said = one_line(mark.text, 60) or "no comment"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            f"Event {mark.seq:,}",
            key=f"bookmark-go:{mark.id}",
            type="tertiary",
            icon=":material/bookmark:",
            disabled=beyond or mark.seq == seq,
            help="This log does not go so far." if beyond else None,
            on_click=player_clock.seek,
            args=(ws, seq, mark.seq),
        )
        st.caption(safe_md(said))


def draw_on(ws: Workspace, seq: int) -> None:
    """The bookmarks of one event, each with its comment to change or to take away, and a new one."""
    for mark in ws.bookmarks.on(seq):
        key = choices.bookmark_draft(ws.agent_id, mark.id)
        st.text_area(f"Bookmark on event {seq:,}", mark.text, key=key, height=68, max_chars=TEXT_CHARS)
        with st.container(horizontal=True, gap="small"):
            save, drop = f"bookmark-save:{mark.id}", f"bookmark-drop:{mark.id}"
            st.button("Save comment", key=save, on_click=_edit, args=(ws, mark.id, key), icon=":material/check:")
            remove, icon = ws.bookmarks.remove, ":material/bookmark_remove:"
            st.button("Remove", key=drop, on_click=attempt, args=(remove, mark.id), icon=icon)
    key = choices.bookmark_draft(ws.agent_id, f"new:{seq}")
    st.text_input(f"New bookmark on event {seq:,}", key=key, max_chars=TEXT_CHARS, placeholder="Comment (optional)")
    st.button(
        "Set bookmark",
        key=f"bookmark-add:{seq}",
        icon=":material/bookmark_add:",
        on_click=_add,
        args=(ws, seq, key),
        help="Kept beside the log, in notes.jsonl, and exported with it. No model sees it.",
    )


def _add(ws: Workspace, seq: int, key: str) -> None:
    if attempt(ws.bookmarks.add, seq, st.session_state.get(key) or ""):
        st.session_state[key] = ""


def _edit(ws: Workspace, id: str, key: str) -> None:
    attempt(ws.bookmarks.edit, id, st.session_state.get(key) or "")


def lines(ws: Workspace, seq: int) -> str:
    """The bookmarks of one event as HTML; empty when there are none."""
    marks = [
        f'<div class="ms-note ms-you"><b>Bookmark</b> <span class="ms-say">{escape(visible(mark.text))}</span></div>'
        for mark in ws.bookmarks.on(seq)
    ]
    return wrap(*marks) if marks else ""
