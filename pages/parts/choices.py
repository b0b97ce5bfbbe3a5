"""Every key of the browser session's state: choices and drafts, never a copy of what the log knows."""

import streamlit as st

AGENT = "agent"
SEND_AS = "send_as"
OLDER = "older_turns"
HELD = "held_message"
SAID = "said"
OTHER_MODEL = "other_model"

_DEFAULTS = {AGENT: "", SEND_AS: "user", OLDER: 0, HELD: "", SAID: ""}


def declare() -> None:
    """Give each key its first value; once on every page."""
    for key, value in _DEFAULTS.items():
        st.session_state.setdefault(key, value)


def say(sentence: str) -> None:
    """Keep one sentence for the next drawing of the page, where the frame shows it once."""
    st.session_state[SAID] = sentence


def editing(agent_id: str, label: str) -> str:
    """Key of the seq the open editor of a block is based on; absent while it is closed."""
    return f"editing:{agent_id}:{label}"


def draft(agent_id: str, label: str) -> str:
    """Key of the text in a block's editor."""
    return f"draft:{agent_id}:{label}"


def refused(agent_id: str, label: str) -> str:
    """Key of (the present text, its seq) after a stale save; absent otherwise."""
    return f"refused:{agent_id}:{label}"


def history(agent_id: str, label: str) -> str:
    """Key of whether a block's earlier texts are shown."""
    return f"history-shown:{agent_id}:{label}"


def settings_draft(agent_id: str) -> str:
    """Key of {setting: value} for the settings changed and not saved yet."""
    return f"settings-draft:{agent_id}"


def settings_refused(agent_id: str) -> str:
    """Key of the sentence that refused the last save of the settings; absent otherwise."""
    return f"settings-refused:{agent_id}"


def setting(agent_id: str, field: str) -> str:
    """Key of the widget of one setting."""
    return f"setting:{agent_id}:{field}"
