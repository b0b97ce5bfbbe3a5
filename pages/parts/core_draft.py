"""What a person is writing about a block: kept apart from the fields it is typed into, so that nothing is lost.

Streamlit forgets a field that is not drawn. So each text has a key of its own that outlives refusals, redrawings,
another page, another agent and the way back; the field takes it up when it is drawn again. `place` is the page the
field stands on: the chat and the core memory page share what is typed and have fields of their own.
"""

import streamlit as st

from memgpt_core.errors import MemscopeError, StaleEdit
from memgpt_core.views.blocks import Meter
from memgpt_core.workspace import Workspace
from pages.parts import choices


def field(place: str, held: str) -> dict[str, str]:
    """The key of the field for a kept text, and the text the field begins with."""
    key = f"{place}:{held}"
    text = st.session_state[held]
    if key in st.session_state and st.session_state[key] != text:
        # Only when it differs: setting it would throw away what is being typed.
        st.session_state[key] = text
        return {"key": key}
    # Also when the session knows the text: of a drawing that was cut off the browser has seen nothing, and it would
    # begin with an empty field.
    return {"key": key, "value": text}


def keep(place: str, held: str) -> None:
    """Take over what was typed: the callback of the field.

    A field whose text was let go of may call once more, when the drawing without it was cut off.
    """
    if held in st.session_state:
        st.session_state[held] = st.session_state[f"{place}:{held}"]


def typed(place: str, held: str) -> str:
    """What was typed last. In a callback the field may be ahead of what was kept."""
    text: str = st.session_state.get(f"{place}:{held}", st.session_state.get(held, ""))
    return text


def put(place: str, held: str, text: str) -> None:
    """Replace what was typed; its field is filled anew when it is drawn."""
    st.session_state[held] = text


def forget(held: str) -> None:
    """Done with a text: it was saved, or is not wanted."""
    for key in (held, f"chat:{held}", f"page:{held}"):
        st.session_state.pop(key, None)


def is_open(agent_id: str, label: str) -> bool:
    """Whether a block's editor is open."""
    return choices.editing(agent_id, label) in st.session_state


def open_editor(agent_id: str, block: Meter) -> None:
    """Begin to edit the block as it is drawn."""
    st.session_state[choices.editing(agent_id, block.label)] = block.seq
    st.session_state[choices.draft_base(agent_id, block.label)] = block.value
    st.session_state[choices.draft(agent_id, block.label)] = block.value
    st.session_state[choices.draft_reason(agent_id, block.label)] = ""


def close_editor(agent_id: str, label: str) -> None:
    """Leave the editor; what was typed goes."""
    for key in (choices.editing, choices.draft_base, choices.refused, choices.draft_mine):
        st.session_state.pop(key(agent_id, label), None)
    for held in (choices.draft, choices.draft_reason):
        forget(held(agent_id, label))


def save(ws: Workspace, place: str, label: str, based_on: int) -> None:
    """Save what was typed; a refusal keeps all of it."""
    agent_id = ws.agent_id
    text = typed(place, choices.draft(agent_id, label))
    reason = typed(place, choices.draft_reason(agent_id, label))
    st.session_state[choices.draft(agent_id, label)] = text
    try:
        ws.edits.edit_block(label, text, based_on=based_on, reason=reason)
    except StaleEdit as stale:
        st.session_state[choices.refused(agent_id, label)] = (stale.current, stale.current_seq)
    except MemscopeError as error:
        choices.say(str(error))
    else:
        close_editor(agent_id, label)


def rename(agent_id: str, label: str, to: str) -> None:
    """Let what is being written about a block follow it to its new label."""
    for key in (choices.editing, choices.draft_base, choices.refused, choices.draft_mine):
        if key(agent_id, label) in st.session_state:
            st.session_state[key(agent_id, to)] = st.session_state.pop(key(agent_id, label))
    for held in (choices.draft, choices.draft_reason):
        if held(agent_id, label) in st.session_state:
            text = typed("page", held(agent_id, label))
            forget(held(agent_id, label))
            st.session_state[held(agent_id, to)] = text


def without_block(agent_id: str, present: set[str]) -> list[str]:
    """Labels that text was typed for and that no block has any more."""
    beginning = choices.editing(agent_id, "")
    labels = [str(key).removeprefix(beginning) for key in st.session_state if str(key).startswith(beginning)]
    return sorted(set(labels) - present)
