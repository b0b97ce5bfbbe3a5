"""The core memory blocks beside the chat: how full each is, its text, and the editor that never loses what was typed.

An open editor keeps the seq it was opened on. When the block has changed since, the save is refused and
both texts stand side by side until the person has chosen. What is typed here is there on the core memory page too,
which has the word diff, the merge and the whole history.
"""

import streamlit as st

from memgpt_core.state import State
from memgpt_core.views.blocks import Meter, meters, versions
from memgpt_core.workspace import Workspace
from pages.parts import choices, core_draft, core_rows, moment
from pages.parts.frame import attempt
from pages.parts.markup import chip, escape, heading, text_box, wrap

PLACE = "chat"
VERSIONS = 10
"""How many earlier texts are shown here."""


def draw(ws: Workspace) -> None:
    """All blocks, in the order they stand in main context."""
    state = ws.state()
    blocks = meters(state)
    st.html(wrap(heading("Core memory", "in the window at every step")))
    if not blocks:
        st.caption("This agent has no core memory blocks.")
    for block in blocks:
        with st.container(key=f"block-{block.label}", gap="xxsmall"):
            _one(ws, block)


def edited(ws: Workspace) -> dict[str, int]:
    """The blocks, each with the event that last changed it, when an editor is open on any of them; else nothing."""
    state = ws.state()
    if not any(core_draft.is_open(ws.agent_id, label) for label in state.blocks):
        return {}
    return {label: block.seq for label, block in state.blocks.items()}


def draw_then(ws: Workspace, state: State) -> None:
    """All blocks as they stood in an earlier state; the past is not edited."""
    st.html(wrap(heading("Core memory", "as it was then")))
    for block in meters(state):
        with st.container(key=f"block-{block.label}", gap="xxsmall"):
            untouched = ws.event(block.seq).kind == "block_defined"
            st.html(_head(block, "as first set" if untouched else f"by {block.author}"))
            st.html(wrap(text_box(block.value or "(empty)", "working_context")))


def _one(ws: Workspace, block: Meter) -> None:
    untouched = ws.event(block.seq).kind == "block_defined"
    st.html(_head(block, "as first set" if untouched else f"by {block.author}"))
    if core_draft.is_open(ws.agent_id, block.label):
        _editor(ws, block)
        return
    st.html(wrap(text_box(block.value, "working_context") if block.value else '<div class="soft">Empty so far.</div>'))
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        if block.read_only:
            st.caption("Read-only")
        else:
            st.button(
                "Edit",
                key=f"edit:{block.label}",
                type="tertiary",
                icon=":material/edit:",
                on_click=core_draft.open_editor,
                args=(ws.agent_id, block),
                help=f"Edit {block.label} by hand",
            )
            st.button(
                "Undo",
                key=f"undo:{block.label}",
                type="tertiary",
                icon=":material/undo:",
                on_click=attempt,
                args=(ws.edits.undo_block, block.label),
                disabled=untouched,
                help=f"Put {block.label} back to the text before its last edit",
            )
        shown = choices.history(ws.agent_id, block.label)
        st.button(
            "Hide history" if st.session_state.get(shown) else "History",
            key=f"history:{block.label}",
            type="tertiary",
            icon=":material/history:",
            on_click=_toggle,
            args=(shown,),
        )
    if st.session_state.get(shown):
        _versions(ws, block)


def _toggle(key: str) -> None:
    st.session_state[key] = not st.session_state.get(key)


def _head(block: Meter, by: str) -> str:
    about = f'<span class="soft"> {escape(block.description)}</span>' if block.description else ""
    return wrap(
        f'<div class="ms-line">{chip("working_context")}<div><b>{escape(block.label)}</b>{about}</div></div>'
        f'<div class="ms-meter" role="img" aria-label="{block.chars} of {block.limit_chars} characters">'
        f'<i class="ms-fill ms-working_context" style="width:{100 * block.full:.1f}%"></i></div>'
        f'<div class="soft" style="display:flex;justify-content:space-between;gap:.8rem">'
        f'<span class="num">{block.chars:,} of {block.limit_chars:,} characters · {block.tokens:,} tokens, '
        f"{100 * block.window_share:.1f} % of window</span><span class='num'>{escape(by)}</span></div>"
    )


def _versions(ws: Workspace, block: Meter) -> None:
    stretches = core_rows.life(ws, block.label, ws.last_seq)
    for version in versions(core_rows.events(ws, stretches, VERSIONS)):
        reason = f", {version.reason}" if version.reason else ""
        head = f'<span class="soft">event {version.seq}, by {escape(version.author)}{escape(reason)}</span>'
        st.html(wrap(head, text_box(version.text or "(empty)", "working_context")))
    st.page_link(
        "pages/core_memory.py",
        label="Every version, with what changed",
        icon=":material/edit_note:",
        query_params=moment.query(ws, None, block=block.label),
    )


def _editor(ws: Workspace, block: Meter) -> None:
    base = st.session_state[choices.editing(ws.agent_id, block.label)]
    draft = choices.draft(ws.agent_id, block.label)
    refused = st.session_state.get(choices.refused(ws.agent_id, block.label))
    if refused:
        _both(block, refused)
    elif block.seq != base:
        st.html(
            wrap(
                f'<div class="ms-note bad"><b>Changed by {escape(block.author)}</b> while you are editing. '
                "Nothing of yours is lost: save to compare.</div>"
            )
        )
    st.text_area(
        f"Text of {block.label}" if not refused else f"Yours, for {block.label}",
        on_change=core_draft.keep,
        args=(PLACE, draft),
        height=140,
        help="Ctrl + Enter takes over what you typed; Save writes it.",
        **core_draft.field(PLACE, draft),
    )
    typed = core_draft.typed(PLACE, draft)
    over = len(typed) > block.limit_chars
    st.caption(f"{len(typed):,} of {block.limit_chars:,} characters" + (", too long to save" if over else ""))
    with st.container(horizontal=True, gap="small"):
        if refused:
            st.button(
                "Save mine over it",
                key=f"over:{block.label}",
                type="primary",
                disabled=over,
                on_click=core_draft.save,
                args=(ws, PLACE, block.label, refused[1]),
            )
            st.button("Put both in the editor", key=f"merge:{block.label}", on_click=_merge, args=(ws, block.label))
            st.button(
                "Keep theirs",
                key=f"keep:{block.label}",
                on_click=core_draft.close_editor,
                args=(ws.agent_id, block.label),
            )
        else:
            st.button(
                "Save",
                key=f"save:{block.label}",
                type="primary",
                disabled=over,
                on_click=core_draft.save,
                args=(ws, PLACE, block.label, base),
            )
            st.button(
                "Cancel", key=f"cancel:{block.label}", on_click=core_draft.close_editor, args=(ws.agent_id, block.label)
            )


def _both(block: Meter, refused: tuple[str, int]) -> None:
    st.html(
        wrap(
            f'<div class="ms-note bad" role="alert"><b>Not saved:</b> {escape(block.label)} changed while you were '
            "editing it. Both texts are here, nothing is lost; choose below.</div>",
            '<div style="margin-top:.4rem">The present text</div>',
            text_box(refused[0] or "(empty)", "working_context"),
        )
    )


def _merge(ws: Workspace, label: str) -> None:
    current, seq = st.session_state.pop(choices.refused(ws.agent_id, label))
    draft = choices.draft(ws.agent_id, label)
    core_draft.put(PLACE, draft, f"{current}\n{core_draft.typed(PLACE, draft)}")
    st.session_state[choices.draft_base(ws.agent_id, label)] = current
    st.session_state[choices.editing(ws.agent_id, label)] = seq
