"""What can be done to the selected passages at once, and the way back after a deletion."""

import streamlit as st

from pages.parts import choices, export
from pages.parts.archival_list import rows_of
from pages.parts.frame import Here, attempt

PAST = "Go back to live to edit"


def draw(here: Here, known: list[str]) -> None:
    """The bar of the selection, while there is one, and of the last deletion; `known` are the tags to choose from."""
    _undo(here)
    agent = here.ws.agent_id
    held = choices.passages_picked(agent)
    picked = list(st.session_state.get(held, ()))
    if not picked:
        return
    past = here.at is not None
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="picked"):
        st.markdown(f"**{len(picked):,} selected**", width="content")
        with st.popover("Tags", icon=":material/sell:", disabled=past, help=PAST if past else None):
            adding, removing = f"bulk-add:{agent}", f"bulk-remove:{agent}"
            st.multiselect("Add", known, accept_new_options=True, key=adding)
            st.multiselect("Take away", known, accept_new_options=True, key=removing)
            st.button("Change the tags", key="bulk-tag", type="primary", on_click=_tag, args=(here, picked))
        with st.popover("Delete", icon=":material/delete:", disabled=past, help=PAST if past else None):
            st.markdown(f"Delete {len(picked):,} passages? Searches no longer find them. You can undo it.")
            st.text_input("Why (optional, kept in the log)", key=f"bulk-why:{agent}")
            st.button("Delete them", key="bulk-delete", type="primary", on_click=_delete, args=(here, picked))
        export.draw(
            f"{here.state.name} selected passages",
            lambda: [_plain(row) for row in rows_of(here, picked)],
            key="picked",
            count=len(picked),
        )
        st.button("Clear the selection", key="bulk-clear", type="tertiary", on_click=_clear, args=(held,))


def delete(here: Here, ids: list[str], reason: str = "") -> bool:
    """Delete passages, from a callback, and offer the way back; whether it was done."""
    done = attempt(here.ws.edits.delete_passages, ids, reason=reason)
    if done:
        st.session_state[choices.passages_undo(here.ws.agent_id)] = tuple(ids)
    return done


def _plain(row: dict) -> dict:
    return {name: row[name] for name in ("id", "at", "session", "turn", "author", "source", "tags", "text")}


def _undo(here: Here) -> None:
    held = choices.passages_undo(here.ws.agent_id)
    gone = st.session_state.get(held, ())
    if not gone or here.at is not None:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="undo"):
        what = gone[0] if len(gone) == 1 else f"{len(gone):,} passages"
        st.markdown(f":material/delete: Deleted {what}.", width="content")
        st.button("Undo", key="undo-delete", icon=":material/undo:", on_click=_restore, args=(here, list(gone)))
        st.button("Dismiss", key="undo-dismiss", type="tertiary", on_click=_clear, args=(held,))


def _restore(here: Here, ids: list[str]) -> None:
    if attempt(here.ws.edits.restore_passages, ids):
        _clear(choices.passages_undo(here.ws.agent_id))


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
        _clear(choices.passages_picked(here.ws.agent_id))


def _clear(key: str) -> None:
    st.session_state.pop(key, None)
