"""The core memory blocks: text, limits, authors, every version, and editing by hand."""

from functools import partial
from typing import Any

import streamlit as st

from memgpt_core.state import State
from memgpt_core.views.blocks import Meter, meters
from pages.parts import (
    choices,
    core_draft,
    core_editor,
    core_history,
    core_lines,
    core_list,
    core_marks,
    core_rows,
    core_settings,
    frame,
    journey_links,
    moment,
)
from pages.parts.core_rows import Life
from pages.parts.frame import Here, attempt
from pages.parts.live_turn import BUSY_EVERY_S
from pages.parts.markup import chip, wrap
from pages.parts.safe_md import safe_md

# The sides of a block; only the one that is chosen is made.
VIEWS = ("Text", "Lines and who wrote them", "History", "Settings and copy")


def notes(here: Here, state: State, missing: str) -> None:
    """What could not be found, and texts that have lost their block."""
    if missing:
        st.warning(safe_md(missing), icon=":material/search_off:")
    if here.at is None:
        for label in core_draft.without_block(here.ws.agent_id, set(state.blocks)):
            core_editor.draw_left_over(here.ws, label)


def running(here: Here, state: State) -> None:
    """What an edit means while a turn runs; its place stays when there is nothing to say, so that nothing jumps."""
    with st.container(key="core-turn"):
        if here.at is None and here.ws.busy:
            told = (
                "the agent is told of it by a system message"
                if state.settings.tell_edits
                else "the agent is not told of it (a setting)"
            )
            st.info(
                f"A turn is running. What you save now takes effect at its next step, and {told}.",
                icon=":material/hourglass_top:",
            )


def block_head(here: Here, block: Meter, stretches: Life, last: Any) -> None:
    """What the block is, where it came from, and who wrote it last and why."""
    ws = here.ws
    about = f'<span class="soft"> {core_marks.shown(block.description)}</span>' if block.description else ""
    lock = ' <span class="ms-tag">read-only for the agent</span>' if block.read_only else ""
    wrote: Any = ws.event(block.seq)
    why = f", because: {core_marks.shown(last.reason)}" if last is not None and getattr(last, "reason", "") else ""
    st.html(
        wrap(
            f'<div class="ms-line">{chip("working_context")}<div><b style="font-size:1.05rem">'
            f"{core_marks.shown(block.label)}</b>{lock}{about}"
            f'<div class="soft">Last changed by {core_marks.by(wrote.author)}, event {wrote.seq:,}, '
            f"{core_marks.place(wrote.session, wrote.turn, wrote.step)}, {core_marks.when(wrote.at, here.zone)}{why}"
            "</div></div></div>"
        )
    )
    if origin := core_rows.origin(ws, stretches):
        agent, _, label = origin.partition("/")
        st.page_link(
            "pages/core_memory.py",
            label=f"A copy of {safe_md(origin)}",
            icon=":material/content_copy:",
            query_params={"agent": agent, core_list.BLOCK: label},
            help="The agent and the block it was copied from",
        )


def restore(here: Here, block: Meter, last: Any) -> None:
    """From the past: give the block of today the text it had then."""
    assert here.at is not None
    now = core_rows.label_now(here.ws, block.label, here.at)
    present = here.ws.state().blocks.get(now)
    same = present is not None and present.value == block.value
    says = (
        "It was deleted since: go back to live and bring it back first."
        if present is None
        else "The text is still the same now."
        if same
        else f"Gives the block ({now}) the text it had at event {here.at:,}, as a new edit"
    )
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.button(
            "Restore this version now",
            key=f"restore-now:{block.label}",
            icon=":material/settings_backup_restore:",
            disabled=present is None or same or last is None,
            on_click=attempt,
            args=(here.ws.edits.restore_block, now, last.seq if last is not None else 0),
        )
        st.caption(safe_md(says))
        st.page_link(
            "pages/core_memory.py",
            label="The block now",
            icon=":material/bolt:",
            query_params=moment.query(here.ws, None, **({core_list.BLOCK: now} if now else {})),
        )


def follow(item: str) -> None:
    """Show the block under the label it had at the event that was gone to."""
    st.query_params[core_list.BLOCK] = item.removeprefix("block:")


def side(here: Here, state: State, block: Meter) -> None:
    """The chosen side of the chosen block."""
    ws = here.ws
    stretches = core_rows.life(ws, block.label, state.seq)
    last = core_rows.last_text(ws, stretches)
    block_head(here, block, stretches, last)
    journey_links.draw(here, f"block:{block.label}", follow=follow)
    if here.at is not None:
        restore(here, block, last)
    held = choices.block_view(ws.agent_id)
    view = st.segmented_control(
        "View", VIEWS, default=VIEWS[0], required=True, key=held, label_visibility="collapsed", persist_state="session"
    )
    draw = {
        VIEWS[0]: partial(core_editor.draw, here, state, block, core_rows.last_edit(ws, stretches) is not None),
        VIEWS[1]: partial(core_lines.draw, here, block, stretches),
        VIEWS[2]: partial(core_history.draw, here, block.label, stretches),
        VIEWS[3]: partial(core_settings.draw, here, block),
    }
    draw[view or VIEWS[0]]()


def page(here: Here) -> None:
    """Everything, as it is now or was then."""
    state = here.state
    blocks = meters(state)
    block, missing = core_list.chosen(blocks)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.markdown("#### Core memory", width="content")
        st.html(core_list.title(state, blocks))
        core_settings.draw_new(here)
    running(here, state)
    # Always there, as that of `running` is: what stands below must not move while somebody types.
    with st.container(key="core-said"):
        notes(here, state, missing)
    left, right = st.columns([30, 70], gap="medium")
    with left:
        core_list.draw(here, state, blocks, block)
    with right, st.container(gap="small", key="core-side"):
        if block is not None:
            side(here, state, block)
        else:
            st.info(
                "This agent has no core memory blocks: nothing but the queue tells it who it talks to. Make one with "
                "“New block”.",
                icon=":material/edit_note:",
            )


def nothing() -> None:
    """The part that looks whether the turn has changed something has nothing to draw."""


with frame.enter("Core memory") as here:
    st.html(core_marks.STYLE)
    drawn = here.state.seq
    with st.container(key="core_memory"):
        page(here)
    if here.at is None and here.ws.busy:
        # The page itself redraws whole: its fields may stand in no part that polls (see `live`).
        frame.live(nothing, every_s=BUSY_EVERY_S, until=lambda: here.ws.last_seq != drawn or not here.ws.busy)()
