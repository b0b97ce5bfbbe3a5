"""Rerun: the engine over the recording with the recorded replies; identical, or the first event that differs."""

import json
from typing import Any

import streamlit as st

from memgpt_core.rerunning import Rerun
from memgpt_core.views.log_rows import as_json
from memgpt_core.workspace import Workspace
from pages.parts import frame, player_clock
from pages.parts.frame import Here

LOOKS_EVERY_S = 0.5


def draw(here: Here) -> None:
    """What a rerun is, the button, how far it is and what came of it."""
    ws = here.ws
    st.markdown(
        "A rerun lets the engine live the recording again. It is **given** what came from outside: messages, model "
        "replies, edits by hand, times, search hits and counts. It **works out anew** everything else: prompts, "
        "function results, warnings, flushes, memory. Each event is compared with the recorded one, byte for byte. "
        "No model is called and nothing is written."
    )
    running = (ws.rerunning.status() or _NONE).running
    if running:
        frame.live(_status, every_s=LOOKS_EVERY_S, until=lambda: not (ws.rerunning.status() or _NONE).running)(ws)
    else:
        with st.container():
            _status(ws)


_NONE = Rerun(False, 0, 0, 0.0, None, "")


def _status(ws: Workspace) -> None:
    now = ws.rerunning.status()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if now is not None and now.running:
            st.button("Stop", key="rerun:stop", icon=":material/stop:", on_click=ws.rerunning.stop)
        else:
            st.button(
                "Rerun" if now is None else "Rerun once more",
                key="rerun:start",
                type="primary",
                icon=":material/replay:",
                on_click=ws.rerunning.start,
            )
        st.caption(f"{ws.last_seq:,} events. On the command line: `rerun` and the path of the log.")
    if now is None:
        return
    if now.running:
        share = now.done / max(1, now.events)
        st.progress(
            min(1.0, share), text=f"{now.done:,} of {now.events:,} events identical so far, {now.seconds:.0f} s"
        )
    elif now.failed:
        st.error(now.failed, icon=":material/error:")
    else:
        _found(ws, now)


def _found(ws: Workspace, now: Rerun) -> None:
    outcome: Any = now.outcome
    rate = f" in {now.seconds:,.1f} s, {now.done / max(0.001, now.seconds):,.0f} events a second"
    if outcome.identical:
        st.success(
            f"Identical: all {outcome.events:,} events came out byte for byte{rate}.", icon=":material/verified:"
        )
    else:
        _difference(ws, outcome)
    if outcome.imported:
        st.info(
            f"{outcome.imported:,} of the events were brought in from a file. No engine of ours ever made them, so "
            "they were taken as they are and not worked out anew.",
            icon=":material/input:",
        )
    if ws.last_seq > now.events:
        st.caption(f"{ws.last_seq - now.events:,} events were recorded since; they were not part of it.")


def _difference(ws: Workspace, outcome: Any) -> None:
    """The first event that came out otherwise, both sides."""
    differs = outcome.difference
    why = (
        f"The recording was made by engine version {outcome.version}; this one may decide otherwise for good reasons."
        if outcome.version is not None
        else "The recording was made by this engine version: it was altered, or there is a defect in the engine."
    )
    st.error(f"Event {differs.seq:,} is the first that came out otherwise. {why}", icon=":material/difference:")
    left, right = st.columns(2, gap="medium")
    for place, name, text in ((left, "Recorded", differs.recorded), (right, "Worked out anew", differs.rerun)):
        with place:
            st.markdown(f"**{name}**")
            if text:
                st.code(as_json(json.loads(text)), language="json", wrap_lines=True, height=360)
            else:
                st.caption("The engine makes no event here.")
    st.button(
        f"Show event {differs.seq:,} in the player",
        key="rerun:show",
        icon=":material/play_circle:",
        on_click=player_clock.show,
        args=(ws, differs.seq),
    )
