"""The settings a person is changing, until they are saved: nothing typed is lost to a refusal or another tab.

Only what was changed is kept; every other setting shows what the log says now. A widget is filled from here and
writes back here, so that it may come and go with the page.
"""

from collections.abc import Callable
from typing import Any

import streamlit as st
from pydantic import ValidationError

from memgpt_core.errors import MemscopeError
from memgpt_core.settings import AgentSettings
from memgpt_core.views import changes
from memgpt_core.workspace import Workspace
from pages.parts import choices
from pages.parts.markup import escape, wrap


def _same(value: Any) -> Any:
    return value


class Draft:
    """One agent's settings as the page shows them."""

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws
        self.now: dict[str, Any] = ws.state().settings.model_dump()
        self._mine: dict[str, Any] = st.session_state.setdefault(choices.settings_draft(ws.agent_id), {})

    def value(self, field: str) -> Any:
        """What the page shows for a setting."""
        return self._mine.get(field, self.now[field])

    def values(self) -> dict[str, Any]:
        """All settings as the page shows them."""
        return {**self.now, **self._mine}

    def put(self, field: str, value: Any) -> None:
        """Take over what a person chose; what is refused so far may now be right."""
        self._mine[field] = value
        if value == self.now[field]:
            del self._mine[field]
        st.session_state.pop(choices.settings_refused(self.ws.agent_id), None)

    def clear(self) -> None:
        """Show what the log says."""
        self._mine.clear()
        st.session_state.pop(choices.settings_refused(self.ws.agent_id), None)

    def changes(self) -> list[changes.Change]:
        """What is not saved yet."""
        return changes.changes(self.now, self.values())

    def checked(self) -> tuple[AgentSettings | None, str]:
        """The settings as a whole, or None and a sentence on what cannot be."""
        try:
            return AgentSettings.model_validate(self.values()), ""
        except ValidationError as error:
            return None, " ".join(_sentence(item, self.values()) for item in error.errors(include_url=False))

    def bind(
        self, field: str, *, shown: Callable[[Any], Any] = _same, read: Callable[[Any], Any] = _same
    ) -> dict[str, Any]:
        """The key and callback of a setting's widget; `shown` and `read` turn its value into the widget's and back."""
        key = choices.setting(self.ws.agent_id, field)
        value = shown(self.value(field))
        # Set only when it differs: setting it would throw away what is being typed.
        if key not in st.session_state or st.session_state[key] != value:
            st.session_state[key] = value
        return {"key": key, "on_change": self._take, "args": (field, key, read)}

    def _take(self, field: str, key: str, read: Callable[[Any], Any]) -> None:
        self.put(field, read(st.session_state[key]))


def _sentence(item: Any, values: dict[str, Any]) -> str:
    """One error of the settings, with the value that was typed."""
    said = item["msg"].removeprefix("Value error, ")
    if not item["loc"]:
        return f"{said[:1].upper()}{said[1:]}."
    field = str(item["loc"][0])
    value = values[field]
    shown = "empty" if value is None else changes.text(field, value)
    return f"{changes.label(field)} is {shown}: {said.replace('Input should', 'it should')}."


def draw_bar(draft: Draft) -> None:
    """What is not saved yet, what speaks against it, and the buttons; in reach wherever the page is scrolled to."""
    found = draft.changes()
    wanted, wrong = draft.checked()
    refused = st.session_state.get(choices.settings_refused(draft.ws.agent_id), "")
    with st.container(key="unsaved", gap="xsmall"):
        if not found:
            st.html(wrap('<div class="soft">Everything here is saved. Changes hold from the next step on.</div>'))
            return
        rows = "".join(
            f"<div><b>{escape(change.label)}</b> {escape(change.before)} → <b>{escape(change.after)}</b></div>"
            for change in found
        )
        note = ""
        if wrong or refused:
            what = escape(wrong or refused)
            note = f'<div class="ms-note bad" role="alert"><b>Refused:</b> {what} Nothing was changed.</div>'
        # One piece, so that the buttons below keep their place when a refusal comes.
        st.html(wrap(f'<div class="soft">Not saved yet</div>{rows}{note}'))
        with st.container(horizontal=True, gap="small"):
            st.button(
                "Save",
                key="save_settings",
                type="primary",
                disabled=wanted is None,
                on_click=_save,
                args=(draft,),
                help="Writes an event; the settings hold from the next step on.",
            )
            st.button("Discard changes", key="discard_settings", on_click=draft.clear)


def _save(draft: Draft) -> None:
    wanted, _ = draft.checked()
    if wanted is None:
        return
    try:
        draft.ws.configure(wanted)
    except MemscopeError as error:
        st.session_state[choices.settings_refused(draft.ws.agent_id)] = str(error)
    else:
        draft.clear()
        st.toast(f"Saved as event {draft.ws.last_seq}. It holds from the next step on.", icon=":material/check:")
