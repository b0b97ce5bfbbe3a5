"""From a block, a message or a passage to the event that changed it last or next, and to the player there."""

from collections.abc import Callable

import streamlit as st

from memgpt_core.journeys import Reached
from memgpt_core.views.log_rows import in_words
from memgpt_core.workspace import Workspace
from pages.parts import moment
from pages.parts.frame import Here
from pages.parts.safe_md import safe_md


def draw(here: Here, item: str, *, follow: Callable[[str], None] = lambda item: None) -> None:
    """Two buttons that move this page in time, and a link; `item` as `Workspace.last_change` wants it.

    `follow` is told what the item is called at the event reached: a block may have had another label there.
    """
    ws = here.ws
    # Live, the newest event itself may be the last change; looked back to, it is where one stands.
    last = ws.change_of(item, here.seq + (here.at is None), False)
    following = ws.change_of(item, here.seq, True)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="journey"):
        _way(ws, "back", "Last change", ":material/chevron_left:", last, follow)
        _way(ws, "on", "Next change", ":material/chevron_right:", following, follow)
        st.page_link(
            "pages/replay.py",
            label="In the player",
            icon=":material/play_circle:",
            query_params=moment.query(ws, here.seq),
            help="The whole agent at this event, and from here on",
        )


def _way(ws: Workspace, key: str, name: str, icon: str, reached: Reached | None, follow: Callable[[str], None]) -> None:
    none = "Nothing changed it before this." if key == "back" else "Nothing has changed it since."
    st.button(
        f"{name}: event {reached.seq:,}" if reached else f"{name}: none",
        key=f"journey:{key}",
        icon=icon,
        icon_position="left" if key == "back" else "right",
        type="tertiary",
        disabled=reached is None,
        help=safe_md(in_words(ws.event(reached.seq))) if reached else none,
        on_click=_go,
        args=(reached, follow),
    )


def _go(reached: Reached, follow: Callable[[str], None]) -> None:
    moment.go(reached.seq)
    follow(reached.item)
