"""What is around a block's text: its label, description, limit and lock; a copy of it elsewhere; making and deleting.

Each field is saved by its own button, so that what another person changed meanwhile is never written over.
"""

from collections.abc import Callable
from typing import Any

import streamlit as st

from memgpt_core.home import Home
from memgpt_core.views.blocks import Meter
from memgpt_core.workspace import Workspace
from pages.parts import choices, core_draft
from pages.parts.frame import Here, attempt
from pages.parts.safe_md import safe_md
from pages.parts.sidebar import names

PLACE = "page"
LIMIT_CHARS = 2000
"""The limit a new block begins with, in characters: the paper's first code had it, and it is a few hundred tokens."""

BLOCK = "block"
"""The name of the chosen block in the address."""


def draw(here: Here, block: Meter) -> None:
    """Everything about a block but its text."""
    past = here.at is not None
    if past:
        st.caption("This is how it was. Go back to live to change it.")
    ws, label = here.ws, block.label
    _lock(ws, block, past)
    field, press = _row()
    with field:
        name = _field(ws, label, "label", "Label", block.label, past, "What the agent calls it in its functions")
    with press:
        _press("Rename", label, "label", past or name == block.label, _rename, ws, block)
    field, press = _row()
    with field:
        about = _field(ws, label, "description", "Description", block.description, past, "The agent reads it as well")
    with press:
        _press("Change the description", label, "description", past or about == block.description, _describe, ws, block)
    field, press = _row()
    with field:
        limit = _field(ws, label, "limit", "Limit in characters", str(block.limit_chars), past, "Beyond it, edits fail")
    wrong = _wrong_limit(limit, block)
    with press:
        unchanged = bool(wrong) or limit == str(block.limit_chars)
        _press("Change the limit", label, "limit", past or unchanged, _limit, ws, block)
    if wrong:
        st.caption(wrong)
    _others(here, block, past)


def _row() -> Any:
    """A field, and beside it the button that saves it."""
    return st.columns([68, 32], gap="small", vertical_alignment="bottom")


def _others(here: Here, block: Meter, past: bool) -> None:
    ws, label = here.ws, block.label
    _copy(here, block)
    with st.popover("Delete this block", icon=":material/delete:", key=f"delete:{label}", disabled=past):
        st.markdown(
            f"The agent no longer sees **{safe_md(label)}** from its next step on. Its text and history stay in the "
            "log, and it can be brought back from “Deleted blocks”."
        )
        st.button("Delete it", key=f"delete-it:{label}", type="primary", on_click=_delete, args=(ws, block))


def draw_new(here: Here) -> None:
    """The way to a new block."""
    ws = here.ws
    with st.popover("New block", icon=":material/add:", key="new-block", disabled=here.at is not None):
        label = _field(
            ws, "", "label", "Label of the new block", "", False, "Short and plain, such as project or plans"
        )
        _field(ws, "", "description", "What it is for", "", False, "What the agent should keep there")
        held = choices.block_draft(ws.agent_id, "", "value")
        st.session_state.setdefault(held, "")
        st.text_area(
            "Text to begin with", on_change=core_draft.keep, args=(PLACE, held), **core_draft.field(PLACE, held)
        )
        limit = _field(ws, "", "limit", "Its limit in characters", str(LIMIT_CHARS), False, "Beyond it, edits fail")
        if wrong := _wrong_limit(limit, None):
            st.caption(wrong)
        locked = st.checkbox("Read-only: the agent may not change it", key="new-block-locked")
        st.button(
            "Create",
            key="new-block-create",
            type="primary",
            disabled=not label.strip() or bool(wrong),
            on_click=_create,
            args=(ws, locked),
            help=None if label.strip() else "Give it a label first",
        )


def _field(ws: Workspace, label: str, name: str, says: str, present: str, off: bool, help: str) -> str:
    """A kept text field; what is typed in it so far."""
    held = choices.block_draft(ws.agent_id, label, name)
    if off:
        st.text_input(says, value=present, disabled=True, key=f"past:{held}:{present}", help=help)
        return present
    if held not in st.session_state:
        st.session_state[held] = present
    st.text_input(says, on_change=core_draft.keep, args=(PLACE, held), help=help, **core_draft.field(PLACE, held))
    return core_draft.typed(PLACE, held)


def _press(
    says: str, label: str, name: str, off: bool, action: Callable[[Workspace, Meter], None], ws: Workspace, block: Meter
) -> None:
    st.button(says, key=f"set-{name}:{label}", disabled=off, on_click=action, args=(ws, block), width="stretch")


def _typed(ws: Workspace, label: str, name: str) -> str:
    return core_draft.typed(PLACE, choices.block_draft(ws.agent_id, label, name))


def _done(ws: Workspace, label: str, *fields: str) -> None:
    for name in fields:
        core_draft.forget(choices.block_draft(ws.agent_id, label, name))


def _wrong_limit(limit: str, block: Meter | None) -> str:
    """Why a typed limit cannot be; empty when it can."""
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= 1_000_000):
        return "The limit is a whole number of characters, from 1 to 1,000,000."
    if block is not None and int(limit) < block.chars:
        return f"The text has {block.chars:,} characters: shorten it first, or choose a higher limit."
    return ""


def _lock(ws: Workspace, block: Meter, past: bool) -> None:
    key = f"lock:{block.label}:{block.seq}"
    st.toggle(
        "Read-only: the agent may not change it",
        value=block.read_only,
        key=key,
        disabled=past,
        on_change=_relock,
        args=(ws, block, key),
    )


def _relock(ws: Workspace, block: Meter, key: str) -> None:
    attempt(_change, ws, block, read_only=st.session_state[key])


def _change(
    ws: Workspace,
    block: Meter,
    *,
    description: str | None = None,
    limit_chars: int | None = None,
    read_only: bool | None = None,
) -> None:
    ws.edits.change_block(
        block.label,
        description=block.description if description is None else description,
        limit_chars=block.limit_chars if limit_chars is None else limit_chars,
        read_only=block.read_only if read_only is None else read_only,
        based_on=block.seq,
    )


def _describe(ws: Workspace, block: Meter) -> None:
    if attempt(_change, ws, block, description=_typed(ws, block.label, "description")):
        _done(ws, block.label, "description")


def _limit(ws: Workspace, block: Meter) -> None:
    typed = _typed(ws, block.label, "limit")
    if wrong := _wrong_limit(typed, block):
        choices.say(wrong)
    elif attempt(_change, ws, block, limit_chars=int(typed)):
        _done(ws, block.label, "limit")


def _rename(ws: Workspace, block: Meter) -> None:
    to = _typed(ws, block.label, "label").strip()
    if attempt(ws.edits.rename_block, block.label, to, based_on=block.seq):
        _done(ws, block.label, "label", "description", "limit")
        core_draft.rename(ws.agent_id, block.label, to)
        st.query_params[BLOCK] = to


def _delete(ws: Workspace, block: Meter) -> None:
    if attempt(ws.edits.delete_block, block.label, based_on=block.seq):
        _done(ws, block.label, "label", "description", "limit")
        st.query_params.pop(BLOCK, None)


def _create(ws: Workspace, locked: bool) -> None:
    typed = {name: _typed(ws, "", name) for name in ("label", "description", "value", "limit")}
    label = typed["label"].strip()
    if wrong := _wrong_limit(typed["limit"], None):
        choices.say(wrong)
    elif attempt(
        ws.edits.define_block,
        label,
        description=typed["description"],
        value=typed["value"],
        limit_chars=int(typed["limit"]),
        read_only=locked,
    ):
        _done(ws, "", *typed)
        st.query_params[BLOCK] = label


def _copy(here: Here, block: Meter) -> None:
    """The way of a block to another agent."""
    home, ws = here.home, here.ws
    cards = [card for card in home.agents() if card.id != ws.agent_id]
    with st.popover("Copy to another agent", icon=":material/content_copy:", key=f"copy:{block.label}"):
        if not cards:
            st.caption("There is no other agent yet. Start one from “New agent” at the left.")
            return
        called = names(cards)
        to = st.selectbox("Agent", list(called), format_func=called.__getitem__, key=f"copy-to:{block.label}")
        label = _field(ws, block.label, "to", "Label there", block.label, False, "Must be free in that agent")
        st.caption(f"It becomes a block of its own there, marked as a copy of {ws.agent_id}/{safe_md(block.label)}.")
        st.button(
            "Copy",
            key=f"copy-it:{block.label}",
            type="primary",
            disabled=not label.strip(),
            on_click=_copied,
            args=(home, ws, block, to),
        )
        if done := st.session_state.get(choices.block_copied(ws.agent_id, block.label)):
            st.page_link(
                "pages/core_memory.py",
                label=f"Copied: open it in {safe_md(done[0])}",
                icon=":material/open_in_new:",
                query_params={"agent": done[0], BLOCK: done[1]},
            )


def _copied(home: Home, ws: Workspace, block: Meter, to: str) -> None:
    label = _typed(ws, block.label, "to").strip()
    if attempt(_define_copy, home, ws.agent_id, block, to, label):
        st.session_state[choices.block_copied(ws.agent_id, block.label)] = (to, label)


def _define_copy(home: Home, origin: str, block: Meter, to: str, label: str) -> None:
    home.open(to).edits.define_block(
        label,
        description=block.description,
        value=block.value,
        limit_chars=block.limit_chars,
        read_only=block.read_only,
        origin=f"{origin}/{block.label}",
    )
