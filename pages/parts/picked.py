"""What the bars of selected rows share: the line with the way back after a deletion, and letting go of a selection."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from memgpt_core.views.lanes import counted
from pages.parts.frame import Here, attempt


def draw_undo(here: Here, held: str, noun: str, restore: Callable[[list[str]], None]) -> None:
    """What was deleted last, by the ids kept under the key `held`, and the buttons to `restore` or to dismiss it."""
    gone = st.session_state.get(held, ())
    if not gone or here.at is not None:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="undo"):
        what = gone[0] if len(gone) == 1 else counted(len(gone), noun)
        st.markdown(f":material/delete: Deleted {what}.", width="content")
        st.button("Undo", key="undo-delete", icon=":material/undo:", on_click=do, args=(held, restore, list(gone)))
        st.button("Dismiss", key="undo-dismiss", type="tertiary", on_click=forget, args=(held,))


def do(held: str, action: Callable[..., Any], ids: list[str], **options: Any) -> None:
    """Do something with the ids, from a callback, and let go of what is kept under `held` when it was done."""
    if attempt(action, ids, **options):
        forget(held)


def forget(held: str) -> None:
    """Let go of what is kept under a key."""
    st.session_state.pop(held, None)
