"""What can be done to the messages that are selected, and the way back after a deletion."""

import streamlit as st

from memgpt_core.views.lanes import counted
from memgpt_core.views.messages import effect_of_deleting
from pages.parts import choices, picked
from pages.parts.frame import Here, attempt

PAST = "Go back to live to edit"


def draw(here: Here) -> None:
    """The bar of the selection, while there is one, and of the last deletion."""
    agent = here.ws.agent_id
    picked.draw_undo(here, choices.messages_undo(agent), "message", here.ws.edits.restore_messages)
    held = choices.messages_picked(agent)
    ids = list(st.session_state.get(held, ()))
    if not ids:
        return
    past = here.at is not None
    helped = PAST if past else None
    edits = here.ws.edits
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="picked"):
        st.markdown(f"**{len(ids):,} selected**", width="content")
        for label, icon, helps, action, options in (
            ("Bring back", "undo", "Give each a new place at the end of the queue", edits.requeue, {}),
            ("Pin", "keep", "Keep each in the window through every flush", edits.pin, {}),
            ("Unpin", "keep_off", "Let each be evicted again", edits.pin, {"pinned": False}),
        ):
            st.button(
                label,
                key=f"bulk:{label}",
                icon=f":material/{icon}:",
                disabled=past,
                help=helped or helps,
                on_click=picked.do,
                args=(held, action, ids),
                kwargs=options,
            )
        with st.popover("Copy to archival", icon=":material/inventory_2:", disabled=past, help=helped):
            tags = st.text_input("Tags (with commas between them)", key=f"bulk-tags:{agent}")
            st.button("Copy", key="bulk:copy", type="primary", on_click=copy, args=(here, ids, tags))
        with st.popover("Delete", icon=":material/delete:", disabled=past, help=helped):
            st.markdown(
                f"Delete {counted(len(ids), 'message')}? Neither you nor the agent finds them then. You can undo it."
            )
            st.markdown(effect_of_deleting(here.ws.state(), ids))
            st.button("Delete them", key="bulk:delete", type="primary", on_click=_delete, args=(here, held, ids))
        st.button(
            "Restore",
            key="bulk:restore",
            icon=":material/restore_from_trash:",
            disabled=past or st.query_params.get("where") != "deleted",
            help=helped or "For deleted messages: choose *Deleted* above",
            on_click=picked.do,
            args=(held, edits.restore_messages, ids),
        )
        st.button("Clear the selection", key="bulk:clear", type="tertiary", on_click=picked.forget, args=(held,))


def delete(here: Here, ids: list[str]) -> bool:
    """Delete messages, from a callback, and offer the way back; whether it was done."""
    done = attempt(here.ws.edits.delete_messages, ids)
    if done:
        st.session_state[choices.messages_undo(here.ws.agent_id)] = tuple(ids)
    return done


def copy(here: Here, ids: list[str], tags: str) -> None:
    """Copy messages into archival storage, from a callback, and say which passages they became."""
    made: list[str] = []

    def store() -> None:
        filed = tuple(tag.strip() for tag in tags.split(",") if tag.strip())
        made.extend(here.ws.edits.messages_to_archival(ids, tags=filed))

    if attempt(store):
        what = "The message is" if len(ids) == 1 else f"{len(ids):,} messages are"
        shown = ", ".join(made[:5]) + (" …" if len(made) > 5 else "")
        choices.say(f"{what} in archival storage now, too: {shown}.")


def _delete(here: Here, held: str, ids: list[str]) -> None:
    if delete(here, ids):
        picked.forget(held)
