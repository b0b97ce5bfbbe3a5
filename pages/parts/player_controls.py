"""The player's buttons: play, speed, one thing back and on, the next of a kind; the same by keys."""

from functools import partial

import streamlit as st

from memgpt_core.views.player import SPEEDS
from memgpt_core.workspace import Workspace
from pages.parts import choices, moment, player_bookmarks, player_clock, player_keys, player_scrubber
from pages.parts.frame import attempt

UNITS = {"event": "Event", "step": "Step", "turn": "Turn", "session": "Session"}
MARKS = {"flush": "Flush", "fault": "Page fault", "edit": "Edit", "error": "Error", "bookmark": "Bookmark"}

_KEYS = {
    **{"event": (", ", "."), "step": ("←", "→"), "turn": ("Shift + ←", "Shift + →"), "session": ("[", "]")},
    **{"flush": ("Shift + F", "F"), "fault": ("Shift + P", "P"), "edit": ("Shift + E", "E")},
    **{"error": ("Shift + X", "X"), "bookmark": ("Shift + B", "B")},
}
"""By what is moved to: the keys for back and on."""


def draw(ws: Workspace, seq: int) -> None:
    """One row of controls, and the strip under it."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="player-controls"):
        _play(ws, seq)
        st.selectbox(
            "Speed",
            list(SPEEDS),
            index=list(SPEEDS).index("1 ×"),
            key=choices.PLAYER_SPEED,
            label_visibility="collapsed",
            width=112,
            persist_state="session",
            help="By the recorded times: at 1 × an event stays ¼ s to 2 s. Real time waits as long as it took, and "
            "folds what is idle for more than 10 s.",
        )
        _pair(ws, seq, "Move by", choices.PLAYER_UNIT, UNITS, default="turn", width=100)
        _pair(ws, seq, "Jump to", choices.PLAYER_MARK, MARKS, default="flush", width=118)
        player_bookmarks.draw_button(ws, seq)
        key = f"player-keys:{ws.agent_id}"
        player_keys.draw(moment.query(ws, seq), key=key, on_press=partial(_pressed, ws, seq, key))
    key = f"player-strip:{ws.agent_id}"
    player_scrubber.draw(ws, ws.last_seq, seq, key=key, on_seek=partial(_sought, ws, seq, key))


def _play(ws: Workspace, seq: int) -> None:
    playing, at_end = player_clock.is_playing(ws), seq >= ws.last_seq
    st.button(
        "Pause" if playing else "Play from the start" if at_end else "Play",
        key="player:toggle",
        type="primary",
        icon=":material/pause:" if playing else ":material/play_arrow:",
        on_click=player_clock.toggle,
        args=(ws, seq),
        help="Space",
    )


def _pair(ws: Workspace, seq: int, name: str, key: str, kinds: dict[str, str], *, default: str, width: int) -> None:
    """What to go to, between the button back and the button on."""
    chosen = st.session_state.get(key, default)
    chosen = chosen if chosen in kinds else default
    called = kinds[chosen].lower()
    back, on = _KEYS[chosen]
    st.caption(name, width="content")
    st.button(
        f"Previous {called}",
        key=f"{key}:back",
        icon=":material/chevron_left:",
        type="tertiary",
        on_click=player_clock.move,
        args=(ws, seq, chosen, False),
        help=f"The {called} before this event ({back.strip()})",
    )
    st.selectbox(
        name,
        list(kinds),
        index=list(kinds).index(default),
        format_func=kinds.__getitem__,
        key=key,
        label_visibility="collapsed",
        width=width,
        persist_state="session",
    )
    st.button(
        f"Next {called}",
        key=f"{key}:on",
        icon=":material/chevron_right:",
        icon_position="right",
        type="tertiary",
        on_click=player_clock.move,
        args=(ws, seq, chosen, True),
        help=f"The {called} after this event ({on})",
    )


def _pressed(ws: Workspace, seq: int, key: str) -> None:
    meant = player_keys.pressed(key)
    if meant == "toggle":
        player_clock.toggle(ws, seq)
    elif meant == "mark":
        attempt(ws.bookmarks.add, seq)
    elif meant in ("faster", "slower"):
        _change_speed(1 if meant == "faster" else -1)
    elif meant:
        what, _, way = meant.partition(" ")
        if what in UNITS or what in MARKS:
            player_clock.move(ws, player_clock.position(ws, seq), what, way == "on")


def _change_speed(by: int) -> None:
    names = list(SPEEDS)
    # Real time is the last name and no faster than the others: the keys stay among the numbers.
    at = min(max(names.index(player_clock.speed()) + by, 0), len(names) - 2)
    st.session_state[choices.PLAYER_SPEED] = names[at]


def _sought(ws: Workspace, seq: int, key: str) -> None:
    player_clock.seek(ws, seq, player_scrubber.sought(key))
