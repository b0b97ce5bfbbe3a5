"""The text of a block and its editor: nothing is saved whose changes were not seen word by word.

When the block changed since the editor was opened, the three texts (base, theirs, yours) stand side by side with
a merge that can be taken into the editor; whatever is chosen, what was typed stays until it is saved or left.
"""

import zlib

import streamlit as st

from memgpt_core.state import State
from memgpt_core.views.blocks import Meter, tokens_with
from memgpt_core.views.merge import Merge, marks_left, merge
from memgpt_core.views.worddiff import counts, word_diff
from memgpt_core.workspace import Workspace
from pages.parts import choices, core_draft, core_marks
from pages.parts.frame import Here, attempt
from pages.parts.markup import escape, wrap
from pages.parts.safe_md import safe_md

PLACE = "page"


def draw(here: Here, state: State, block: Meter, can_undo: bool) -> None:
    """The text, and what can be done about it now."""
    ws = here.ws
    if here.at is None and core_draft.is_open(ws.agent_id, block.label):
        _editor(ws, state, block)
        return
    st.html(wrap(core_marks.box(block.value)))
    if here.at is not None:
        return
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.button(
            "Edit the text",
            key=f"page-edit:{block.label}",
            icon=":material/edit:",
            on_click=core_draft.open_editor,
            args=(ws.agent_id, block),
        )
        st.button(
            "Undo the last change",
            key=f"page-undo:{block.label}",
            icon=":material/undo:",
            on_click=attempt,
            args=(ws.edits.undo_block, block.label),
            disabled=not can_undo,
            help="Puts the text back to what it was before, as a new edit",
        )
        if block.read_only:
            st.caption("Locked against the agent; you can still edit it.")


def draw_left_over(ws: Workspace, label: str) -> None:
    """Text that was typed for a block that is gone."""
    agent_id = ws.agent_id
    held = choices.draft(agent_id, label)
    text = st.session_state.get(held, "")
    st.warning(
        f"The block “{safe_md(label)}” was deleted or renamed while you were editing it. Your text is kept here.",
        icon=":material/inventory:",
    )
    st.html(wrap(core_marks.box(text)))
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Save it as a new block",
            key=f"left-over-save:{label}",
            on_click=_save_left_over,
            args=(ws, label, text),
        )
        st.button(
            "Drop my text",
            key=f"left-over-drop:{label}",
            on_click=core_draft.close_editor,
            args=(agent_id, label),
        )


def _save_left_over(ws: Workspace, label: str, text: str) -> None:
    limit = max(2000, len(text))
    if attempt(ws.edits.define_block, label, value=text, limit_chars=limit):
        core_draft.close_editor(ws.agent_id, label)


def _editor(ws: Workspace, state: State, block: Meter) -> None:
    agent_id, label = ws.agent_id, block.label
    base = st.session_state[choices.draft_base(agent_id, label)]
    refused = st.session_state.get(choices.refused(agent_id, label))
    # Always there, so that the field below stays the same one, and what is typed in it stays, when it fills.
    with st.container(key=f"meanwhile-{label}"):
        if refused is None and block.value != base:
            _changed_meanwhile(ws, block)
    if refused is not None:
        _three(ws, block, base, refused)
        return
    write, see = st.columns(2, gap="medium")
    with write:
        _fields(ws, block)
    text = core_draft.typed(PLACE, choices.draft(agent_id, label))
    with see:
        _preview(state, block, text)
    with write:
        _buttons(ws, block, base, text)


def _fields(ws: Workspace, block: Meter) -> None:
    held, why = choices.draft(ws.agent_id, block.label), choices.draft_reason(ws.agent_id, block.label)
    st.text_area(
        f"Text of {block.label}",
        on_change=_keep_text,
        args=(ws.agent_id, block.label),
        height=230,
        help="Ctrl + Enter, or leaving the field, shows what saving would change.",
        **core_draft.field(PLACE, held),
    )
    st.session_state.setdefault(why, "")
    st.text_input(
        "Reason (optional, kept in the history)",
        on_change=core_draft.keep,
        args=(PLACE, why),
        **core_draft.field(PLACE, why),
    )


def _keep_text(agent_id: str, label: str) -> None:
    """Take over what was typed; a text that is suddenly gone can be had back, whoever emptied the field."""
    held = choices.draft(agent_id, label)
    before = st.session_state.get(held)
    core_draft.keep(PLACE, held)
    if before and not st.session_state[held]:
        st.session_state[choices.draft_mine(agent_id, label)] = before


def _preview(state: State, block: Meter, text: str) -> None:
    """What saving would change, against the text as it stands now."""
    pieces = word_diff(block.value, text)
    came, gone = counts(pieces)
    head = f"What saving changes: {came:,} words come (underlined), {gone:,} go (struck)"
    over = len(text) > block.limit_chars
    size = (
        f"{len(text):,} of {block.limit_chars:,} characters{', too long to save' if over else ''} · "
        f"about {tokens_with(state, block.label, text):,} tokens, now {block.tokens:,}"
    )
    body = core_marks.diff(pieces) if text != block.value else '<div class="soft">Nothing is changed so far.</div>'
    tone = "ms-tag bad" if over else "soft num"
    st.html(wrap(f'<div style="padding:.3rem 0">{head}</div>', body, f'<div class="{tone}">{size}</div>'))


def _buttons(ws: Workspace, block: Meter, base: str, text: str) -> None:
    agent_id, label = ws.agent_id, block.label
    marks = marks_left(text)
    over = len(text) > block.limit_chars
    with st.container(horizontal=True, gap="small"):
        if text == block.value:
            # Pressing it leaves the field, which shows the changes; then there is something to save.
            st.button("Review the changes", key=f"review:{label}", type="primary")
        else:
            # Another text is another button: a press that was meant for the changes seen before saves nothing.
            seen = zlib.crc32(f"{block.seq} {text}".encode("utf-8", "replace"))
            st.button(
                "Save",
                key=f"page-save:{label}:{seen}",
                type="primary",
                disabled=over or bool(marks),
                on_click=_save_seen,
                args=(ws, block, base, text),
            )
        st.button(
            "Leave without saving",
            key=f"page-cancel:{label}",
            on_click=core_draft.close_editor,
            args=(agent_id, label),
        )
        if choices.draft_mine(agent_id, label) in st.session_state:
            st.button("Back to what I typed", key=f"page-mine:{label}", on_click=_back_to_mine, args=(agent_id, label))
    if marks:
        st.caption(
            f"{marks} conflict{'s' if marks > 1 else ''} left: between the marks, keep one side or write your own, "
            "and take the lines with the marks out."
        )


def _save_seen(ws: Workspace, block: Meter, base: str, seen: str) -> None:
    """Save, if what was typed is still what was shown."""
    if core_draft.typed(PLACE, choices.draft(ws.agent_id, block.label)) != seen:
        return
    # A new limit, lock or name leaves the text as it was seen; another text does not.
    based_on = block.seq if block.value == base else st.session_state[choices.editing(ws.agent_id, block.label)]
    core_draft.save(ws, PLACE, block.label, based_on)


def _changed_meanwhile(ws: Workspace, block: Meter) -> None:
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.html(
            wrap(
                f'<div class="ms-note bad" role="status"><b>Changed by {escape(block.author)}</b> while you are '
                "editing. Nothing of yours is lost.</div>"
            ),
            width="content",
        )
        st.button(
            "Compare and merge",
            key=f"compare:{block.label}",
            on_click=_compare,
            args=(ws.agent_id, block.label, block.value, block.seq),
        )


def _compare(agent_id: str, label: str, current: str, seq: int) -> None:
    st.session_state[choices.refused(agent_id, label)] = (current, seq)


def _three(ws: Workspace, block: Meter, base: str, refused: tuple[str, int]) -> None:
    """Base, theirs and yours, and the merge of them."""
    theirs, seq = refused
    yours = core_draft.typed(PLACE, choices.draft(ws.agent_id, block.label))
    proposed = merge(base, theirs, yours)
    st.html(
        wrap(
            f'<div class="ms-note bad" role="alert"><b>Not saved:</b> {escape(block.label)} changed while you were '
            "editing it. All three texts are here, nothing is lost.</div>"
        )
    )
    columns = st.columns(3, gap="small")
    for column, head, body in zip(
        columns,
        ("Base: what you began with", f"Theirs: event {seq}, by {block.author}", "Yours: what you typed"),
        (
            core_marks.box(base),
            core_marks.diff(word_diff(base, theirs), folded=True),
            core_marks.diff(word_diff(base, yours), folded=True),
        ),
        strict=True,
    ):
        with column:
            st.html(wrap(f'<div class="cm-three"><div class="soft">{escape(head)}</div>{body}</div>'))
    _proposal(ws, block, proposed, refused)


def _proposal(ws: Workspace, block: Meter, proposed: Merge, refused: tuple[str, int]) -> None:
    agent_id, label = ws.agent_id, block.label
    says = (
        f"{proposed.conflicts} place{'s' if proposed.conflicts > 1 else ''} where both changed the same lines: "
        "both stand between marks, for you to choose."
        if proposed.conflicts
        else "Both changes fit together."
    )
    st.html(wrap(f'<div style="padding:.2rem 0"><b>A merge of both.</b> {says}</div>'))
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Put the merge in the editor",
            key=f"page-merge:{label}",
            type="primary",
            on_click=_take,
            args=(agent_id, label, proposed.text, refused),
        )
        st.button(
            "Go on with mine",
            key=f"page-over:{label}",
            on_click=_take,
            args=(agent_id, label, None, refused),
            help="The editor keeps your text, now based on theirs; you see what it changes before you save",
        )
        st.button(
            "Keep theirs",
            key=f"page-keep:{label}",
            on_click=core_draft.close_editor,
            args=(agent_id, label),
            help="Leaves the editor; what you typed is not kept",
        )
    st.html(wrap(core_marks.box(proposed.text)))


def _take(agent_id: str, label: str, text: str | None, refused: tuple[str, int]) -> None:
    """Go on from the present text, with `text` in the editor or with what is there."""
    held = choices.draft(agent_id, label)
    mine = core_draft.typed(PLACE, held)
    st.session_state[choices.draft_base(agent_id, label)] = refused[0]
    st.session_state[choices.editing(agent_id, label)] = refused[1]
    st.session_state.pop(choices.refused(agent_id, label), None)
    if text is not None:
        st.session_state[choices.draft_mine(agent_id, label)] = mine
        core_draft.put(PLACE, held, text)


def _back_to_mine(agent_id: str, label: str) -> None:
    held = choices.draft(agent_id, label)
    core_draft.put(PLACE, held, st.session_state.pop(choices.draft_mine(agent_id, label)))
