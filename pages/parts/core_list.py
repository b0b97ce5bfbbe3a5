"""The left half of the core memory page: every block with its meters, what was deleted, and the scratch notes."""

from typing import Any

import streamlit as st

from memgpt_core.state import State
from memgpt_core.views.blocks import Meter
from pages.parts import core_draft, core_marks, core_rows, pager
from pages.parts.frame import Here, attempt
from pages.parts.markup import chip, escape, heading, wrap
from pages.parts.safe_md import safe_md

BLOCK = "block"
DELETED_MOST = 8
NOTES = 10
"""Notes on a page of them."""


def chosen(blocks: list[Meter]) -> tuple[Meter | None, str]:
    """(the block that the address names, else the first; a sentence when the one it names is not there)."""
    wanted = st.query_params.get(BLOCK, "")
    found = next((block for block in blocks if block.label == wanted), None)
    if found is not None or not wanted:
        return found or (blocks[0] if blocks else None), ""
    return (blocks[0] if blocks else None), f"There is no block “{wanted}” here. Choose one at the left."


def draw(here: Here, state: State, blocks: list[Meter], block: Meter | None) -> None:
    """All blocks in the order they stand in main context; the chosen one is marked."""
    for one in blocks:
        with st.container(key=f"core-{one.label}", gap="xxsmall"):
            _one(here, state, one, one is block)
    _deleted(here)
    _notes(here, state)


def _one(here: Here, state: State, block: Meter, is_chosen: bool) -> None:
    open_draft = here.at is None and core_draft.is_open(here.ws.agent_id, block.label)
    st.button(
        safe_md(block.label) + (" ✎ being edited" if open_draft else ""),
        key=f"choose:{block.label}",
        type="primary" if is_chosen else "secondary",
        icon=":material/lock:" if block.read_only else ":material/edit_note:",
        width="stretch",
        on_click=_choose,
        args=(block.label,),
        help="Read-only: the agent may not change it" if block.read_only else None,
    )
    wrote: Any = here.ws.event(block.seq)
    st.html(
        wrap(
            core_marks.meters(block, state.settings.window_tokens),
            f'<div class="soft">last changed by <b>{escape(block.author)}</b>, '
            f"{core_marks.when(wrote.at, here.zone)}{', read-only' if block.read_only else ''}</div>",
        )
    )


def _choose(label: str) -> None:
    st.query_params[BLOCK] = label


def _deleted(here: Here) -> None:
    gone = core_rows.deleted(here.ws, here.seq if here.at is not None else here.ws.last_seq, DELETED_MOST)
    if not gone:
        return
    with st.expander(f"Deleted blocks ({len(gone)})", icon=":material/delete:", key="deleted-blocks"):
        for one in gone:
            st.html(
                wrap(
                    f'<div><b>{core_marks.shown(one.label)}</b> <span class="soft">deleted by '
                    f"{core_marks.by(one.author)}, event {one.seq:,}</span></div>",
                    core_marks.box(one.text),
                )
            )
            st.button(
                f"Bring {safe_md(one.label)} back",
                key=f"undelete:{one.label}",
                icon=":material/undo:",
                on_click=_undelete,
                args=(here, one.label),
                disabled=here.at is not None,
                help="Go back to live to edit" if here.at is not None else None,
            )


def _undelete(here: Here, label: str) -> None:
    if attempt(here.ws.edits.undelete_block, label):
        st.query_params[BLOCK] = label


def _notes(here: Here, state: State) -> None:
    """The short-term notes the model writes; read-only here."""
    notes = sorted(state.notes.values(), key=lambda note: -note.seq)
    with st.expander(f"Scratch notes ({len(notes)})", icon=":material/sticky_note_2:", key="scratch-notes"):
        st.caption(
            "Short-term notes that the agent writes and pulls in by name. They are not in the window until it does."
        )
        first = pager.draw(f"notes:{here.ws.agent_id}", len(notes), NOTES, what="notes") if len(notes) > NOTES else 0
        for note in notes[first : first + NOTES]:
            wrote: Any = here.ws.event(note.seq)
            st.html(
                wrap(
                    f'<div class="ms-line">{chip("notes")}<div><b>{core_marks.shown(note.name)}</b> '
                    f'<span class="soft">{note.chars:,} characters, by {core_marks.by(wrote.author)}, '
                    f"{core_marks.when(wrote.at, here.zone)}</span>"
                    f'<div class="cm-box ms-notes">{core_marks.shown(wrote.text)}</div></div></div>'
                )
            )


def title(state: State, blocks: list[Meter]) -> str:
    """What all blocks take together, in one line of HTML."""
    total = sum(block.tokens for block in blocks)
    window = state.settings.window_tokens
    how = f"counted by {escape(state.counted_by)}" if state.counted_by else "estimated"
    share = 100 * total / window
    return wrap(
        heading(
            f"{len(blocks)} block{'s' if len(blocks) != 1 else ''} in the working context",
            f"{total:,} of {window:,} tokens of the window, {share:.1f} %, {how}",
        )
    )
