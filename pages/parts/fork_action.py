"""Fork from here: another agent that goes on from the point in time a page shows, and what to change in it first.

Used by the pages that look back. The page does not change with it: a fork is another agent, and this tab then shows
that one, at its end, where it can be talked to.
"""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from memgpt_core.errors import MemscopeError
from memgpt_core.views.log_rows import one_line
from pages.parts import choices, moment
from pages.parts.frame import Here
from pages.parts.safe_md import safe_md

PLACES = (
    ("pages/core_memory.py", "A block", ":material/edit_note:"),
    ("pages/recall.py", "A message", ":material/manage_search:"),
    ("pages/archival.py", "A passage", ":material/inventory_2:"),
    ("pages/settings.py", "The model or the settings", ":material/tune:"),
)
"""Where a fork is changed before it goes on."""


def draw(here: Here, label: str = "Fork from here") -> None:
    """The button with its form."""
    seq = here.seq
    held = st.popover(
        label,
        icon=":material/alt_route:",
        key="fork-action",
        on_change="rerun",
        help="Go on from this point as another agent",
    )
    if not held.open:
        return
    with held:
        st.markdown(f"**A new agent that goes on after event {seq:,}**")
        st.caption(
            "Its log begins with a copy of this one up to there, and says so. What it remembers is what was "
            "remembered then. Nothing is embedded again, and this agent stays as it is."
        )
        _form(here, seq)
        st.page_link(
            "pages/compare.py",
            label="Or run one turn again, changed, without a fork",
            icon=":material/science:",
            query_params={"agent": here.ws.agent_id, "view": "what-if", "turn": str(max(1, here.ws.state(seq).turn))},
        )


def _form(here: Here, seq: int) -> None:
    ws = here.ws
    name, short = choices.fork_field(ws.agent_id, "name"), choices.fork_field(ws.agent_id, "temporary")
    with st.form("fork-form", border=False):
        st.text_input("Name of the fork", value=f"{one_line(here.state.name, 60)} after {seq}", key=name, max_chars=80)
        st.checkbox(
            "Temporary: deleted when Memscope is closed",
            key=short,
            help="Or at the next start, if it is not closed in order. It can be kept later on the agents page.",
        )
        if not st.form_submit_button("Fork", type="primary", icon=":material/alt_route:"):
            return
        bar = st.progress(0.0, text="Copying the log, then making the stores…")
        try:
            made = here.home.fork(
                ws.agent_id,
                seq,
                name=st.session_state[name],
                temporary=st.session_state[short],
                progress=lambda share: _show(bar, share),
            )
        except MemscopeError as error:
            bar.empty()
            st.error(str(error), icon=":material/block:")
            return
    st.session_state[choices.FORK_MADE] = made
    st.session_state[choices.AGENT] = made
    st.session_state[choices.OLDER] = 0
    st.query_params.clear()
    st.query_params["agent"] = made
    st.switch_page("app.py", query_params={"agent": made})


def _show(bar: DeltaGenerator, share: float) -> None:
    bar.progress(min(1.0, share), text="Copying the log, then making the stores…")


def draw_made(here: Here) -> None:
    """On the page of a fork that was just made: where it comes from, and the ways to what can be changed first."""
    told = here.ws.provenance()
    made = st.session_state.get(choices.FORK_MADE) == here.ws.agent_id
    if told is None or not made or here.at is not None or _lived(here, told.origin_seq):
        return
    with st.container(border=True, key="fork-made"):
        st.markdown(
            f":material/alt_route: **A fork of {safe_md(one_line(told.origin_name, 60))}** after event "
            f"{told.origin_seq:,}. Everything before is copied; nothing has been said to it yet. "
            "What do you want to change first?"
        )
        with st.container(horizontal=True, gap="small"):
            for page, label, icon in PLACES:
                st.page_link(page, label=label, icon=icon, query_params=moment.query(here.ws, None))
            st.page_link(
                "pages/compare.py",
                label="Compare with the origin",
                icon=":material/compare_arrows:",
                query_params=moment.query(here.ws, None, other=told.origin),
            )


def _lived(here: Here, since: int) -> bool:
    found = here.ws.rows("SELECT count(*) AS n FROM events WHERE kind = 'trigger_received' AND seq_from > ?", [since])
    return bool(found[0]["n"])
