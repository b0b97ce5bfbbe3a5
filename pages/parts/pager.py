"""Pages of a long table: which rows are shown, and the way to the others. The rows stay on the server."""

import streamlit as st

from pages.parts import choices


def draw(key: str, total: int, size: int, *, what: str = "rows") -> int:
    """The line with the buttons; how many rows come before the page that is shown.

    `key` names the table; give a new one whenever its filters change, so that the first page is shown again.
    """
    held = choices.page_of(key)
    last = max(0, (total - 1) // size)
    page = min(st.session_state.get(held, 0), last)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for name, label, to, off in (
            ("first", "First", 0, page == 0),
            ("previous", "Previous", page - 1, page == 0),
            ("next", "Next", page + 1, page == last),
            ("last", "Last", last, page == last),
        ):
            st.button(label, key=f"{held}:{name}", disabled=off, on_click=_turn, args=(held, to), type="tertiary")
        first = page * size
        shown = f"{first + 1:,} to {min(total, first + size):,} of {total:,} {what}" if total else f"No {what}"
        st.caption(shown)
    return first


def _turn(held: str, to: int) -> None:
    st.session_state[held] = to
