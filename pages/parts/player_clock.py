"""Where the player is, and every way to move it; while it plays, the address is left alone.

A moved player writes `?step=`, so that a reload, a link and every other page find the place again. Each writing is an
entry of the browser's history: playing writes once, when it ends.
"""

import time

import streamlit as st

from memgpt_core.views.player import REAL_TIME, SPEEDS, Played, played
from memgpt_core.workspace import Workspace
from pages.parts import choices, moment

AHEAD = 600
"""Events looked ahead at each drawing: more than can go by until the next, at any speed."""

WATCH, RERUN = "Watch", "Rerun"
"""The two sides of the page."""

LEFT_S = 8.0
"""A player that was not drawn for so long was left: it stands where it was last seen."""


def now_s() -> float:
    """The clock of playing."""
    return time.monotonic()


def speed() -> str:
    """The chosen speed."""
    chosen = st.session_state.get(choices.PLAYER_SPEED, "1 ×")
    return chosen if chosen in SPEEDS else "1 ×"


def is_playing(ws: Workspace) -> bool:
    """Whether it plays."""
    return choices.playing(ws.agent_id) in st.session_state


def position(ws: Workspace, here_seq: int) -> int:
    """The event the player shows now; while it plays, it is moved on by what time has passed."""
    anchor: Played | None = st.session_state.get(choices.playing(ws.agent_id))
    if anchor is None:
        return here_seq
    times = ws.rows(
        'SELECT seq_from, "at" FROM events WHERE seq_from BETWEEN ? AND ? ORDER BY seq_from',
        [anchor.seq, anchor.seq + AHEAD],
    )
    moved = played([(row["seq_from"], row["at"]) for row in times], anchor, now_s(), speed())
    if moved.seq != anchor.seq:
        _remember(ws, anchor.seq, moved.seq)
        st.session_state[choices.playing(ws.agent_id)] = moved
    return moved.seq


def was_left(ws: Workspace) -> bool:
    """Whether it played when its page was left, and nobody has watched since; it is then stopped where it was."""
    anchor: Played | None = st.session_state.get(choices.playing(ws.agent_id))
    longest = LEFT_S if speed() != REAL_TIME else 2 * LEFT_S
    if anchor is None or now_s() - anchor.since_s < longest:
        return False
    del st.session_state[choices.playing(ws.agent_id)]
    moment.go(anchor.seq)
    return True


def play(ws: Workspace, seq: int) -> None:
    """Begin to play after event `seq`; at the end of the log, from its beginning."""
    start = seq if seq < ws.last_seq else 1
    st.session_state[choices.playing(ws.agent_id)] = Played(start, now_s())


def pause(ws: Workspace) -> None:
    """Stop where it is, and write that into the address."""
    if is_playing(ws):
        seq = position(ws, ws.last_seq)
        del st.session_state[choices.playing(ws.agent_id)]
        moment.go(seq)


def toggle(ws: Workspace, seq: int) -> None:
    """Play, or pause."""
    if is_playing(ws):
        pause(ws)
    else:
        play(ws, seq)


def seek(ws: Workspace, seq: int, to: int | None) -> None:
    """Show event `to` (None: where it is already) and stand still there."""
    if to is None or not 1 <= to <= ws.last_seq:
        return
    st.session_state.pop(choices.playing(ws.agent_id), None)
    _remember(ws, seq, to)
    moment.go(to)


def move(ws: Workspace, seq: int, what: str, forward: bool) -> None:
    """Go on, or back, to the next thing of a sort; where there is none, say so."""
    to = ws.neighbour(seq, what, forward)
    if to is None:
        called = {"fault": "page fault"}.get(what, what)
        choices.say(f"There is no {called} {'after' if forward else 'before'} event {seq:,}.")
        if is_playing(ws):
            pause(ws)
        return
    seek(ws, seq, to)


def moved_from(ws: Workspace, seq: int) -> int:
    """The event that what changed is counted from: where the player was before, or the event before this one."""
    start, end = st.session_state.get(choices.player_moved(ws.agent_id), (0, 0))
    return start if end == seq and start < seq else seq - 1


def _remember(ws: Workspace, start: int, end: int) -> None:
    st.session_state[choices.player_moved(ws.agent_id)] = (start, end)


def show(ws: Workspace, seq: int) -> None:
    """Show an event in the player, from the rerun's side of the page."""
    st.session_state[choices.PLAYER_SIDE] = WATCH
    seek(ws, ws.last_seq, seq)
