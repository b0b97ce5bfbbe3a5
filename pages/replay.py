"""Replay: a recording played, stepped through, jumped about in; and run again to see whether it comes out the same."""

import streamlit as st

from memgpt_core.home import Home
from pages.parts import choices, fork_action, frame, moment, player_clock, player_controls, player_panels, player_rerun
from pages.parts.frame import Here
from pages.parts.player_clock import RERUN, WATCH
from pages.parts.safe_md import safe_md

# How often a playing player draws itself: a fast one skips what went by in between.
TICK_S = 0.5
# A log with fewer events has little to replay.
SHORT = 20


def samples(home: Home, agent: str) -> None:
    """The recordings that ship with Memscope, each played through an agent of its own."""
    # A key for each agent that is shown, so that the popover is closed when the chosen one plays.
    shown = st.popover("Watch a sample", icon=":material/movie:", key=f"player-samples:{agent}", on_change="rerun")
    if not shown.open:
        return
    with shown:
        st.caption(
            "Recorded lives that ship with Memscope. Each becomes an agent of yours, so that you can go on with it."
        )
        for sample in home.samples():
            st.markdown(f"**{safe_md(sample.name)}** · {sample.events:,} events")
            st.caption(safe_md(sample.about))
            if st.button(f"Watch {sample.name}", key=f"watch:{sample.id}", icon=":material/play_arrow:"):
                bar = st.progress(0.0, text="Getting the recording ready…")
                made = home.start_sample(sample.id, progress=bar.progress)
                st.session_state[choices.AGENT] = st.query_params["agent"] = made
                moment.go(1)
                player_clock.play(home.open(made), 1)
                st.rerun()


def head(here: Here) -> str:
    """What is replayed, the way back to live, and which side is shown."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"#### Replay of {safe_md(here.state.name)}", width="content")
        rerun = st.session_state.get(choices.PLAYER_SIDE) == RERUN
        st.caption(
            "Worked out anew from the recording." if rerun else "Recorded: nothing here is generated anew.",
            width="stretch",
        )
        samples(here.home, here.ws.agent_id)
        if not player_clock.is_playing(here.ws):
            fork_action.draw(here, "Fork")
        if here.at is not None or player_clock.is_playing(here.ws):
            st.button("Back to live", key="player:live", icon=":material/bolt:", on_click=live, args=(here,))
        side = st.segmented_control(
            "Side",
            [WATCH, RERUN],
            default=WATCH,
            required=True,
            key=choices.PLAYER_SIDE,
            label_visibility="collapsed",
            persist_state="session",
        )
    return side or WATCH


def live(here: Here) -> None:
    """Leave the recording for the agent as it is now."""
    st.session_state.pop(choices.playing(here.ws.agent_id), None)
    moment.go(None)


def player(here: Here) -> None:
    """Everything that follows the position."""
    ws = here.ws
    playing = player_clock.is_playing(ws)
    seq = player_clock.position(ws, here.seq)
    if playing and seq >= ws.last_seq:
        player_clock.pause(ws)
        st.rerun()
    if said := st.session_state[choices.SAID]:
        st.session_state[choices.SAID] = ""
        st.warning(said, icon=":material/info:")
    player_controls.draw(ws, seq)
    player_panels.draw_event(here, seq)
    if here.at is None and not playing:
        st.caption(
            ":material/arrow_upward: You are at the end of the recording. Press **Play from the start** to watch this "
            "agent live, or click anywhere in the strip."
        )
    player_panels.draw(here, seq, ws.state(seq))


with frame.enter("Replay") as here:
    st.html(player_panels.STYLE)
    if player_clock.was_left(here.ws):
        st.rerun()
    side = head(here)
    if side == RERUN:
        player_rerun.draw(here)
    elif here.ws.last_seq < SHORT:
        st.info(
            f"This agent has {here.ws.last_seq:,} events so far: little to replay. Talk to it in the chat, or "
            "watch one of the samples.",
            icon=":material/movie:",
        )
        with st.container():
            player(here)
    elif player_clock.is_playing(here.ws):
        frame.live(player, every_s=TICK_S, until=lambda: not player_clock.is_playing(here.ws))(here)
    else:
        # The container is what a fragment has around it, so that the controls stay the same ones when it plays.
        with st.container():
            player(here)
