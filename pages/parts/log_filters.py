"""What narrows the log: kinds, authors, session, turn, text and order, kept in the address as well.

The address is the truth when it changes from outside (a link, the back button); otherwise the widgets are.
"""

from typing import Any, get_args

import streamlit as st

from memgpt_core.events import KINDS, Author
from memgpt_core.workspace import Workspace
from pages.parts import choices
from pages.parts.frame import Here
from pages.parts.log_rows import Filter
from pages.parts.safe_md import safe_md

TEXT, KIND, AUTHOR, SESSION, TURN, ORDER = "q", "kind", "author", "session_is", "turn", "order"
NAMES = (TEXT, KIND, AUTHOR, SESSION, TURN, ORDER)
OLDEST, NEWEST = "oldest", "newest"
AUTHORS = get_args(Author)


def draw(here: Here) -> Filter:
    """The filters, after `take_address`; what they let through."""
    agent = here.ws.agent_id
    changed: dict[str, Any] = {"on_change": _write_address, "args": (agent,)}
    text, kinds, authors, session, turn = st.columns([2.7, 3, 1.7, 1.25, 1.25], gap="small")
    text.text_input(
        "Text in an event",
        key=choices.log_filter(agent, TEXT),
        icon=":material/search:",
        placeholder="any words",
        help="In any case of letters, through every text of every event: messages, arguments, results, reasons. "
        "Not through the names of fields.",
        **changed,
    )
    kinds.multiselect("Kinds", list(KINDS), key=choices.log_filter(agent, KIND), placeholder="all kinds", **changed)
    authors.multiselect(
        "By",
        AUTHORS,
        key=choices.log_filter(agent, AUTHOR),
        placeholder="anybody",
        help="Who did it: the agent by a function, a human by hand, the engine's rules, an import. Not all say.",
        **changed,
    )
    session.number_input("Session", 1, None, **_empty(agent, SESSION, "all"), **changed)
    turn.number_input("Turn", 1, None, **_empty(agent, TURN, "all"), **changed)
    return chosen(agent, here.seq)


def draw_order(ws: Workspace) -> None:
    """Which end of the log comes first."""
    st.segmented_control(
        "Order",
        [NEWEST, OLDEST],
        format_func=lambda which: f"{which.capitalize()} first",
        required=True,
        key=choices.log_filter(ws.agent_id, ORDER),
        label_visibility="collapsed",
        on_change=_write_address,
        args=(ws.agent_id,),
    )


def chosen(agent: str, at: int) -> Filter:
    """What the widgets say."""
    held = {name: st.session_state.get(choices.log_filter(agent, name)) for name in NAMES}
    return Filter(
        at,
        (held[TEXT] or "").strip(),
        tuple(held[KIND] or ()),
        tuple(held[AUTHOR] or ()),
        held[SESSION],
        held[TURN],
        held[ORDER] == OLDEST,
    )


def clear(agent: str) -> None:
    """Let every event through again."""
    for name in NAMES:
        st.session_state.pop(choices.log_filter(agent, name), None)
        st.query_params.pop(name, None)
    st.session_state.pop(choices.log_address(agent), None)


def _empty(agent: str, name: str, means: str) -> dict[str, Any]:
    return {"value": None, "step": 1, "key": choices.log_filter(agent, name), "placeholder": means}


def _address() -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(st.query_params.get_all(name)) for name in NAMES)


def take_address(ws: Workspace) -> None:
    """Give the widgets what the address says, when it has changed since it was last looked at; say what is wrong."""
    agent, address = ws.agent_id, _address()
    held = {name: choices.log_filter(agent, name) for name in NAMES}
    fresh = held[ORDER] not in st.session_state
    if not fresh and st.session_state.get(choices.log_address(agent)) == address:
        return
    st.session_state[choices.log_address(agent)] = address
    said = dict(zip(NAMES, address, strict=True))
    st.session_state[held[TEXT]] = "".join(said[TEXT][:1])
    st.session_state[held[ORDER]] = OLDEST if said[ORDER] == (OLDEST,) else NEWEST
    for name, known in ((KIND, tuple(KINDS)), (AUTHOR, AUTHORS)):
        st.session_state[held[name]] = [value for value in said[name] if value in known]
        for value in said[name]:
            if value not in known:
                _unknown(f"There is no {'kind' if name == KIND else 'author'} “{value}”, so it is left out.")
    for name, what in ((SESSION, "session"), (TURN, "turn")):
        value = "".join(said[name][:1])
        good = value.isascii() and value.isdigit() and len(value) < 10 and int(value) > 0
        st.session_state[held[name]] = int(value) if good else None
        if value and not good:
            _unknown(f"“{value}” is no {what}, so it is left out.")


def _unknown(sentence: str) -> None:
    st.warning(safe_md(sentence), icon=":material/filter_alt_off:")


def _write_address(agent: str) -> None:
    now = chosen(agent, 0)
    wanted: dict[str, Any] = {
        TEXT: now.text,
        KIND: list(now.kinds),
        AUTHOR: list(now.authors),
        SESSION: "" if now.session is None else str(now.session),
        TURN: "" if now.turn is None else str(now.turn),
        ORDER: OLDEST if now.oldest_first else "",
    }
    for name, value in wanted.items():
        if value:
            st.query_params[name] = value
        else:
            st.query_params.pop(name, None)
    st.session_state[choices.log_address(agent)] = _address()
