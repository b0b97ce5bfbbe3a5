"""The settings a person is changing, until they are saved: nothing typed is lost to a refusal or another tab.

Only what was changed is kept; every other setting shows what the log says now. A widget is filled from here and
writes back here, so that it may come and go with the page.
"""

from collections.abc import Callable, Sequence
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


def _value(value: Any) -> dict[str, Any]:
    return {"value": value}


def pressed(value: Any) -> dict[str, Any]:
    """How a segmented control is told its first value."""
    return {"default": value}


def among(options: Sequence[Any]) -> Callable[[Any], dict[str, Any]]:
    """How a box or radio of these options is told its first value."""
    return lambda value: {"index": list(options).index(value)}


INSTRUCTIONS = "instructions"
"""The one field of the draft that is no setting."""


class Draft:
    """One agent's settings and instructions as the page shows them."""

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws
        state = ws.state()
        defined: Any = ws.event(state.instructions_seq)
        self.now: dict[str, Any] = {**state.settings.model_dump(), INSTRUCTIONS: defined.instructions}
        self._mine: dict[str, Any] = st.session_state.setdefault(choices.settings_draft(ws.agent_id), {})

    def value(self, field: str) -> Any:
        """What the page shows for a setting."""
        return self._mine.get(field, self.now[field])

    def values(self) -> dict[str, Any]:
        """All settings and the instructions as the page shows them."""
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
        values = self.values()
        if not values.pop(INSTRUCTIONS).strip():
            return None, "The system instructions are empty: the model would not know what it is to do."
        try:
            return AgentSettings.model_validate(values), ""
        except ValidationError as error:
            return None, " ".join(_sentence(item, self.values()) for item in error.errors(include_url=False))

    def mode(self, function: str) -> str:
        """What the page shows for a function: `on`, `ask` or `off`."""
        off, ask = self.value("functions_off"), self.value("functions_ask")
        return "off" if function in off else "ask" if function in ask else "on"

    def set_mode(self, function: str, mode: str) -> None:
        """Take over what a person chose for a function."""
        for field, listed in (("functions_off", "off"), ("functions_ask", "ask")):
            names = {name for name in self.value(field) if name != function} | ({function} if mode == listed else set())
            # The order of the list says nothing: the same names are no change.
            same = names == set(self.now[field])
            self.put(field, self.now[field] if same else tuple(sorted(names)))

    def bind(
        self,
        field: str,
        *,
        shown: Callable[[Any], Any] = _same,
        read: Callable[[Any], Any] = _same,
        begins: Callable[[Any], dict[str, Any]] = _value,
    ) -> dict[str, Any]:
        """The key, callback and first value of a setting's widget.

        `shown` and `read` turn its value into the widget's and back; `begins` is how the widget is told its first one.
        """
        key = choices.setting(self.ws.agent_id, field)
        return self._bound(key, shown(self.value(field)), begins) | {
            "on_change": self._take,
            "args": (field, key, read),
        }

    def bind_mode(self, function: str) -> dict[str, Any]:
        """The same for a function's widget of `on`, `ask` and `off`."""
        key = choices.setting(self.ws.agent_id, f"function:{function}")
        return self._bound(key, self.mode(function), pressed) | {"on_change": self._take_mode, "args": (function, key)}

    @staticmethod
    def _bound(key: str, value: Any, begins: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        if key in st.session_state and st.session_state[key] != value:
            # Only when it differs: setting it would throw away what is being typed.
            st.session_state[key] = value
            return {"key": key}
        # Also when the session knows the value: of a drawing that was cut off the browser has seen nothing, and it
        # would begin with an empty widget.
        return {"key": key} | begins(value)

    def _take_mode(self, function: str, key: str) -> None:
        self.set_mode(function, st.session_state[key])

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
        mine = draft.value(INSTRUCTIONS)
        draft.ws.configure(wanted, instructions=mine if mine != draft.now[INSTRUCTIONS] else None)
    except MemscopeError as error:
        st.session_state[choices.settings_refused(draft.ws.agent_id)] = str(error)
    else:
        draft.clear()
        st.toast(f"Saved as event {draft.ws.last_seq}. It holds from the next step on.", icon=":material/check:")
