"""The agents of this home: all of them in a table, and what can be done with each of them."""

import streamlit as st

from memgpt_core.home import Home
from memgpt_core.workspace import Workspace
from pages.parts import agents_actions, agents_new, agents_stores, agents_table, frame


def stores(home: Home, ws: Workspace) -> None:
    """Disk use, rebuild and verify of the agent that is worked on."""
    agents_stores.draw(home, ws)


with frame.enter("Agents") as here:
    home = here.home
    # A place of its own, so that what is said moves nothing: a form that was refused stays open.
    with st.container():
        agents_actions.draw_said()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("#### Agents", width="content")
        st.caption(
            "All agents of this home. Each has a log of its own; the stores beside it are made from that log.",
            width="stretch",
        )
    if here.at is not None:
        st.caption("This page does not look back: agents are shown, and changed, as they are now.")
    cards = agents_table.draw(here)
    left, right = st.columns([50, 50], gap="medium")
    with left:
        picked = agents_table.draw_picked(here, cards)
        agents_actions.draw(here, picked)
    with right:
        if picked.problem and not picked.events:
            st.error(picked.problem, icon=":material/error:")
        else:
            ws = home.open(picked.id)
            running = home.upkeep.busy(picked.id)
            frame.live(
                stores,
                every_s=agents_stores.EVERY_S if running else None,
                until=lambda: home.upkeep.busy(picked.id) != running,
            )(home, ws)
        agents_new.draw(here)
