"""Where a message is written; one sent while the agent works is kept until it can go."""

import streamlit as st

from memgpt_core.errors import AgentBusy, MemscopeError
from memgpt_core.workspace import Workspace
from pages.parts import choices

_AS = {"user": "As user", "system": "As system message"}


# A widget's own key is forgotten whenever a run of the page is cut off before it; the choice is not.
_PICKED = "send_as_picked"


def _pick() -> None:
    st.session_state[choices.SEND_AS] = st.session_state[_PICKED] or "user"


def draw(ws: Workspace) -> None:
    """The choice of who speaks, the text field, and a message that waits."""
    _held(ws)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.segmented_control(
            "Send as",
            list(_AS),
            format_func=_AS.__getitem__,
            default=st.session_state[choices.SEND_AS],
            key=_PICKED,
            on_change=_pick,
            required=True,
            label_visibility="collapsed",
            help="A system message reaches the agent as an alert of its surroundings, not as words of yours.",
        )
    name = ws.state().name
    st.chat_input(
        f"Write to {name}" if st.session_state[choices.SEND_AS] == "user" else f"Tell {name} something as its system",
        key="message",
        on_submit=_submit,
        args=(ws,),
    )


def _submit(ws: Workspace) -> None:
    _send(ws, st.session_state["message"] or "")


def _send(ws: Workspace, text: str) -> None:
    """Send it, or put it behind what is kept already: nothing typed is lost."""
    try:
        ws.send(text, cause=st.session_state[choices.SEND_AS])
    except AgentBusy:
        _keep(text)
    except MemscopeError as error:
        _keep(text)
        choices.say(str(error))


def _keep(text: str) -> None:
    st.session_state[choices.HELD] = "\n".join(part for part in (st.session_state[choices.HELD], text.strip()) if part)


def _send_held(ws: Workspace) -> None:
    held, st.session_state[choices.HELD] = st.session_state[choices.HELD], ""
    _send(ws, held)


def _held(ws: Workspace) -> None:
    held = st.session_state[choices.HELD]
    if not held:
        return
    with st.container(border=True, gap="xsmall"):
        st.caption("Kept until the agent has finished:" if ws.busy else "Kept, not sent yet:")
        st.text(held)
        with st.container(horizontal=True):
            st.button("Send it", disabled=ws.busy, on_click=_send_held, args=(ws,), type="primary")
            st.button("Discard", on_click=_discard)


def _discard() -> None:
    st.session_state[choices.HELD] = ""
