"""The editor of one message: says what a correction does to the window first, and loses nothing that was typed."""

from typing import Any

import streamlit as st

from memgpt_core.errors import EditRefused
from memgpt_core.views.passages import visible
from pages.parts import choices
from pages.parts.frame import Here, attempt
from pages.parts.markup import text_box, wrap
from pages.parts.safe_md import safe_md


def begin(agent: str, row: dict[str, Any]) -> None:
    """Open the editor on the version that is shown, from a callback."""
    st.session_state[choices.message_editing(agent, row["id"])] = row["seq_from"]
    st.session_state[choices.message_draft(agent, row["id"], "text")] = row["text"]


def draw(here: Here, row: dict[str, Any], *, deleted: bool) -> None:
    """The text, the reason, the effect, and what to do when the message changed meanwhile."""
    agent, id = here.ws.agent_id, row["id"]
    base = st.session_state[choices.message_editing(agent, id)]
    text, reason = (choices.message_draft(agent, id, name) for name in ("text", "reason"))
    st.session_state.setdefault(text, row["text"])
    stale = row["seq_from"] != base
    if deleted:
        st.html(_note("Deleted meanwhile.", "What you typed is kept here: restore the message and save, or copy it."))
    elif stale:
        st.html(_note("Changed while you were editing.", "What you typed is kept below; the present text:"))
        st.html(wrap(text_box(visible(row["text"]), "messages")))
    st.text_area(
        f"Text of {id}",
        key=text,
        height=180,
        persist_state="session",
        help="Ctrl + Enter takes over what you typed; Save writes it into recall storage.",
    )
    st.text_input("Why (optional, kept in the log)", key=reason, max_chars=500, persist_state="session")
    if not deleted:
        st.caption(_effect(here, id, st.session_state[text]))
    with st.container(horizontal=True, gap="small"):
        if deleted:
            st.button(
                "Restore the message",
                key=f"edit-restore:{id}",
                on_click=attempt,
                args=(here.ws.edits.restore_messages, [id]),
            )
        else:
            label = "Save mine over it" if stale else "Save"
            st.button(label, key=f"edit-save:{id}", type="primary", on_click=_save, args=(here, id, row["seq_from"]))
        if stale and not deleted:
            st.button("Put both in the editor", key=f"edit-both:{id}", on_click=_both, args=(agent, row))
        st.button("Cancel", key=f"edit-cancel:{id}", on_click=_close, args=(agent, id))


def _effect(here: Here, id: str, text: str) -> str:
    try:
        return safe_md(here.ws.edits.message_effect(id, text).says)
    except EditRefused as refused:
        return safe_md(str(refused))


def _note(what: str, then: str) -> str:
    return wrap(f'<div class="ms-note bad" role="alert"><b>{what}</b> {then}</div>')


def _save(here: Here, id: str, shown: int) -> None:
    """Save over the version the person was shown; one that is newer still refuses, and the editor stays open."""
    agent = here.ws.agent_id
    text = st.session_state[choices.message_draft(agent, id, "text")]
    reason = st.session_state.get(choices.message_draft(agent, id, "reason"), "")
    if attempt(here.ws.edits.edit_message, id, text, based_on=shown, reason=reason):
        _close(agent, id)


def _both(agent: str, row: dict[str, Any]) -> None:
    id = row["id"]
    held = choices.message_draft(agent, id, "text")
    st.session_state[held] = f"{row['text']}\n\n{st.session_state[held]}"
    st.session_state[choices.message_editing(agent, id)] = row["seq_from"]


def _close(agent: str, id: str) -> None:
    for held in (
        choices.message_editing(agent, id),
        choices.message_draft(agent, id, "text"),
        choices.message_draft(agent, id, "reason"),
    ):
        st.session_state.pop(held, None)
