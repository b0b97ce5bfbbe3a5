"""The compare page as a whole: which two agents, and which side of the comparison is shown."""

import streamlit as st

from pages.parts import (
    choices,
    compare_head,
    compare_marks,
    compare_rows,
    compare_totals,
    compare_turns,
    compare_whatif,
    core_marks,
)
from pages.parts.frame import Here

TURNS, MEMORY, NUMBERS, WHAT_IF = "Turn by turn", "Memory at the end", "Numbers", "What if"
VIEWS = {"turns": TURNS, "memory": MEMORY, "numbers": NUMBERS, "what-if": WHAT_IF}
"""By their name in the address."""

VIEW = "view"


def draw(here: Here) -> None:
    """Everything on the page."""
    st.html(core_marks.STYLE + compare_marks.STYLE)
    view = _view(here)
    if view == WHAT_IF:
        compare_whatif.draw(here)
        return
    right = compare_head.choose(here)
    if right is None:
        _alone(here)
        return
    # Once for each new event; afterwards it is kept.
    with st.spinner("Laying the turns beside each other…"):
        found = compare_rows.compared(here.ws, right, here.seq)
    if view == TURNS:
        compare_head.draw(here, right, found)
        compare_turns.draw(here, right, found)
    elif view == MEMORY:
        compare_totals.draw_memory(here, right, found)
    else:
        compare_totals.draw_numbers(here, right, found)


def _view(here: Here) -> str:
    key = choices.compare_view(here.ws.agent_id)
    if (asked := st.query_params.get(VIEW)) in VIEWS and key not in st.session_state:
        st.session_state[key] = VIEWS[str(asked)]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("#### Compare", width="content")
        says = (
            "One turn once more, with one thing changed: generated anew."
            if st.session_state.get(key) == WHAT_IF
            else "Two runs or forks beside each other. Recorded: nothing here is generated anew."
        )
        st.caption(says, width="stretch")
        chosen = st.segmented_control(
            "View",
            list(VIEWS.values()),
            required=True,
            key=key,
            label_visibility="collapsed",
            persist_state="session",
            **({} if key in st.session_state else {"default": TURNS}),
        )
    return chosen or TURNS


def _alone(here: Here) -> None:
    st.info(
        "Nothing to compare with yet. Choose another agent above; or go to a point of this agent's past in the chat or "
        "in Replay and press **Fork**: the fork goes its own way, and both can be compared here.",
        icon=":material/compare_arrows:",
    )
    with st.container(horizontal=True, gap="small"):
        query = {"agent": here.ws.agent_id}
        st.page_link("pages/replay.py", label="Replay", icon=":material/play_circle:", query_params=query)
        st.page_link("pages/agents.py", label="Agents", icon=":material/groups:", query_params=query)
