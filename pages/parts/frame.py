"""What every page begins with: the look, the home, the chosen agent, the navigation, and where faults show.

A page is `with frame.enter("Title") as here:`; a part that redraws itself is made by `live`. A `MemscopeError`
ends the drawing of either with its own sentence, which says what to do next.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import streamlit as st

from memgpt_core.errors import MemscopeError
from memgpt_core.home import Home, the_home
from memgpt_core.state import State
from memgpt_core.workspace import Workspace
from pages.parts import choices, moment, sidebar, theme
from pages.parts.safe_md import safe_md


class Here(NamedTuple):
    """Where the page is.

    Attributes:
        home: the agents of this process.
        ws: the door of the agent that is shown.
        zone: the viewer's time zone.
        at: the event after which the agent is shown; None when it is shown live.
        state: the agent at that point. Live, it was taken once; a part that redraws itself asks `ws` again.
    """

    home: Home
    ws: Workspace
    zone: ZoneInfo
    at: int | None
    state: State

    @property
    def seq(self) -> int:
        """The event the page is drawn after, live or not."""
        return self.state.seq


@contextmanager
def enter(title: str) -> Iterator[Here]:
    """Draw the frame and hand the page its place; stops the page when there is none.

    A fault inside the page is shown where it happened.
    """
    st.set_page_config(page_title=f"{title} · Memscope", page_icon="🔭", layout="wide", initial_sidebar_state=250)
    choices.declare()
    theme.apply()
    with guard():
        home = the_home()
        ws = _open(home)
        _settle()
        at, missing = moment.asked(ws)
        here = Here(home, ws, _zone(), at, ws.state(at))
        sidebar.draw(home, ws, at)
        # Always there, so that a sentence that comes or goes does not have the widgets below made anew.
        with st.container(key="notices"):
            _said()
            if missing:
                st.warning(safe_md(missing), icon=":material/history_toggle_off:")
            if at is not None:
                _past(here)
        yield here


@cache
def _settle() -> None:
    """Take what is loaded by now out of the garbage collector's sight, once in a process.

    Streamlit collects after every run, each poll of a part included, and would walk all of the libraries each
    time: measured, that was most of what polling costs.
    """
    gc.collect()
    gc.freeze()


@contextmanager
def guard() -> Iterator[None]:
    """Show a `MemscopeError` as its sentence and stop drawing."""
    try:
        yield
    except MemscopeError as error:
        st.error(str(error), icon=":material/error:")
        st.stop()


def live(
    draw: Callable[..., None], *, every_s: float | None, until: Callable[[], bool] = lambda: False
) -> Callable[..., None]:
    """`draw` as a part that redraws itself every so many seconds, and the whole page once `until` holds.

    The first drawing belongs to the page's own and never asks: a page cut off half-way would lose its widgets.

    No field that one types into may stand in a part with `every_s`. When such a part begins to redraw itself just
    after the whole page was drawn, Streamlit throws away what the page had drawn of it and not sent yet, and the
    browser, told that the page is complete, takes the part away and makes it new: what was half typed is gone.
    """
    first = True

    def guarded(*args: Any) -> None:
        nonlocal first
        if not first and until():
            st.rerun()
        first = False
        with guard():
            draw(*args)

    return st.fragment(guarded, run_every=every_s, key=f"{draw.__module__}.{draw.__qualname__}")


def attempt(action: Callable[..., None], *args: Any, **options: Any) -> bool:
    """Do what a person asked for in a callback; a refusal is kept for the frame to show."""
    try:
        action(*args, **options)
    except MemscopeError as error:
        choices.say(str(error))
        return False
    return True


def _open(home: Home) -> Workspace:
    asked = st.query_params.get("agent") or st.session_state[choices.AGENT]
    if not asked:
        with st.spinner("Starting a first agent…"):
            asked = home.first_agent()
    try:
        ws = home.open(asked)
    except MemscopeError as error:
        st.session_state[choices.AGENT] = ""
        sidebar.draw(home, None, None)
        st.error(f"{error} Choose an agent at the left, or start one from a sample.", icon=":material/error:")
        st.stop()
    st.session_state[choices.AGENT] = ws.agent_id
    if st.query_params.get("agent") != ws.agent_id:
        st.query_params["agent"] = ws.agent_id
    return ws


def _past(here: Here) -> None:
    """The bar that says that this is not now, with the way back."""
    state = here.state
    when = f"{state.at.astimezone(here.zone):%d %b %Y %H:%M}"
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="past"):
        st.markdown(
            f":material/history: **As of event {here.seq:,}** of {here.ws.last_seq:,} · session {state.session}, "
            f"turn {state.turn}, step {state.step} · {when}",
            width="content",
        )
        st.button("Back to live", key="live", icon=":material/bolt:", on_click=moment.go, args=(None,))


def _said() -> None:
    if said := st.session_state[choices.SAID]:
        st.session_state[choices.SAID] = ""
        st.warning(said, icon=":material/info:")


def _zone() -> ZoneInfo:
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (KeyError, ValueError):
        return ZoneInfo("UTC")
