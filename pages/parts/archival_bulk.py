"""What can be done to the selected passages at once, and the way back after a deletion."""

import streamlit as st

from memgpt_core.views.lanes import counted
from pages.parts import choices, export, picked
from pages.parts.archival_list import rows_of
from pages.parts.frame import Here, attempt

PAST = "Go back to live to edit"


def draw(here: Here, known: list[str]) -> None:
    """The bar of the selection, while there is one, and of the last deletion; `known` are the tags to choose from."""
    agent = here.ws.agent_id
    picked.draw_undo(here, choices.passages_undo(agent), "passage", here.ws.edits.restore_passages)
    held = choices.passages_picked(agent)
    ids = list(st.session_state.get(held, ()))
    if not ids:
        return
    past = here.at is not None
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="picked"):
        st.markdown(f"**{len(ids):,} selected**", width="content")
        with st.popover("Tags", icon=":material/sell:", disabled=past, help=PAST if past else None):
            adding, removing = f"bulk-add:{agent}", f"bulk-remove:{agent}"
            st.multiselect("Add", known, accept_new_options=True, key=adding)
            st.multiselect("Take away", known, accept_new_options=True, key=removing)
            st.button("Change the tags", key="bulk-tag", type="primary", on_click=_tag, args=(here, ids))
        with st.popover("Delete", icon=":material/delete:", disabled=past, help=PAST if past else None):
            st.markdown(f"Delete {counted(len(ids), 'passage')}? Searches no longer find them. You can undo it.")
            st.text_input("Why (optional, kept in the log)", key=f"bulk-why:{agent}")
            st.button("Delete them", key="bulk-delete", type="primary", on_click=_delete, args=(here, ids))
        export.draw(
            f"{here.state.name} selected passages",
            lambda: [_plain(row) for row in rows_of(here, ids)],
            key="picked",
            count=len(ids),
        )
        st.button("Clear the selection", key="bulk-clear", type="tertiary", on_click=picked.forget, args=(held,))


def delete(here: Here, ids: list[str], reason: str = "") -> bool:
    """Delete passages, from a callback, and offer the way back; whether it was done."""
    done = attempt(here.ws.edits.delete_passages, ids, reason=reason)
    if done:
        st.session_state[choices.passages_undo(here.ws.agent_id)] = tuple(ids)
    return done


def _plain(row: dict) -> dict:
    return {name: row[name] for name in ("id", "at", "session", "turn", "author", "source", "tags", "text")}


def _tag(here: Here, ids: list[str]) -> None:
    agent = here.ws.agent_id
    adding, removing = f"bulk-add:{agent}", f"bulk-remove:{agent}"
    add, remove = st.session_state.get(adding, []), st.session_state.get(removing, [])
    if not add and not remove:
        choices.say("Choose a tag to add or to take away first.")
    elif attempt(here.ws.edits.tag_passages, ids, add=tuple(add), remove=tuple(remove)):
        st.session_state[adding], st.session_state[removing] = [], []


def _delete(here: Here, ids: list[str]) -> None:
    if delete(here, ids, st.session_state.get(f"bulk-why:{here.ws.agent_id}", "")):
        picked.forget(choices.passages_picked(here.ws.agent_id))
