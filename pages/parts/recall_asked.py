"""What the address asks of the recall page, and the fields that say it: what is looked for, the filters, the view.

The address is the truth: a field takes its value from it before each drawing and writes it back when a person
changes the field, so that a link, a reload and the back button show the same. Nothing is searched here.
"""

import re
from datetime import date
from typing import Any, Literal, NamedTuple, get_args
from urllib.parse import urlencode

import streamlit as st

from memgpt_core.message_search import MessageFilter, Mode, Where
from memgpt_core.views.blocks import AUTHORS
from memgpt_core.views.messages import KINDS, ROLES
from memgpt_core.views.passages import visible
from pages.parts import moment
from pages.parts.frame import Here

View = Literal["messages", "searches", "sql"]

MODES: dict[Mode, str] = {
    "phrase": "Phrase",
    "words": "All words",
    "regex": "Regular expression",
    "ranked": "The agent's search",
}
MODES_HELP = (
    "**Phrase**: this text as it stands, upper and lower case alike. **All words**: each of them somewhere, in any "
    "order. **Regular expression**: RE2, for example `p(er|re)haps|\\d{4}`. **The agent's search**: ranked by words "
    "and by similarity, as `conversation_search` does it."
)
WHERES: dict[Where, str] = {
    "": "Anywhere",
    "window": "In the window",
    "evicted": "Not in the window (evicted)",
    "back": "Brought back",
    "pinned": "Pinned",
    "deleted": "Deleted",
}
PRESETS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("What you said", "person", {"role": "user"}),
    ("In the window now", "memory", {"where": "window"}),
    ("Evicted and brought back", "undo", {"where": "back"}),
    ("Pinned", "keep", {"where": "pinned"}),
    ("Corrected by hand", "edit", {"by": "human"}),
    ("Deleted, to restore", "delete", {"where": "deleted"}),
    ("Warnings of memory pressure", "warning", {"kind": "pressure_warned"}),
)
"""Filters worth having at hand: a name, an icon, what the address says."""

FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(9000, 1, 1)

_FILTERS = ("role", "kind", "session_is", "from", "to", "where", "by", "thoughts")
_WHERE = re.compile(r"(evicted|back):([0-9]{1,15})")


class Asked(NamedTuple):
    """What is asked: the filter, the message that is open (its id, or empty), and what cannot be used, in sentences."""

    wanted: MessageFilter
    message: str
    view: View
    wrong: tuple[str, ...]

    @property
    def key(self) -> str:
        """Changes whenever another list is asked for, so that its first page is shown."""
        return f"recall:{hash(self.wanted)}"


def read(here: Here) -> Asked:
    """What the address says."""
    wrong: list[str] = []
    params = st.query_params
    where, where_seq = _where(wrong)
    by = params.get("by", "")
    if by and by not in AUTHORS:
        wrong.append(f"Nobody is called “{visible(by)}” here: {', '.join(AUTHORS)} are. It is left out.")
    wanted = MessageFilter(
        text=params.get("q", ""),
        mode=_one("mode", get_args(Mode), "phrase", wrong),
        thoughts=params.get("thoughts", "") == "yes",
        roles=_known("role", ROLES, wrong),
        kinds=_known("kind", KINDS, wrong),
        session=_session(wrong),
        start=_day("from", wrong),
        end=_day("to", wrong),
        zone=here.zone.key,
        edited_by=by if by in AUTHORS else "",
        where=where,
        where_seq=where_seq,
    )
    return Asked(wanted, params.get("message", ""), _one("view", get_args(View), "messages", wrong), tuple(wrong))


def key(name: str) -> str:
    """Key of the field of one name in the address."""
    return f"recall:{name}"


def field(name: str, value: Any, none: Any = "") -> dict[str, Any]:
    """What a widget for a name in the address is given; `none` is its value when the address does not have it."""
    st.session_state[key(name)] = value
    return {"key": key(name), "on_change": _took, "args": (name, none)}


def put(name: str, value: str) -> None:
    """Write one name into the address, from a callback; empty takes it out."""
    if value:
        st.query_params[name] = value
    else:
        st.query_params.pop(name, None)


def filters() -> int:
    """How many filters the address sets beside what is looked for."""
    return sum(name in st.query_params for name in _FILTERS)


def draw(here: Here, asked: Asked) -> None:
    """The field, the ways to read it, the filters, the presets and the address to copy."""
    wanted = asked.wanted
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.text_input(
            "Search every message",
            placeholder="Search, or leave it empty to list all",
            icon=":material/search:",
            **field("q", wanted.text),
        )
        st.selectbox(
            "Read it as",
            list(MODES),
            format_func=MODES.get,
            help=MODES_HELP,
            width=190,
            **field("mode", wanted.mode, "phrase"),
        )
        st.selectbox(
            "Where it is now" if here.at is None else f"Where it was after event {here.at:,}",
            list(WHERES),
            format_func=WHERES.get,
            width=215,
            **field("where", wanted.where),
        )
        _more(wanted)
        _presets(here)


def _more(wanted: MessageFilter) -> None:
    others = filters() - ("where" in st.query_params)
    with st.popover(f"Filters ({others})" if others else "Filters", icon=":material/filter_alt:"):
        st.multiselect("Who it is from", list(ROLES), format_func=ROLES.get, **field("role", list(wanted.roles), []))
        st.multiselect("What it is", list(KINDS), format_func=KINDS.get, **field("kind", list(wanted.kinds), []))
        with st.container(horizontal=True, gap="small"):
            st.date_input("From", value=None, **field("from", wanted.start, None))
            st.date_input("to (both days included)", value=None, **field("to", wanted.end, None))
        st.number_input(
            "Session", min_value=1, step=1, value=None, placeholder="Any", **field("session_is", wanted.session or None)
        )
        st.selectbox(
            "Text corrected by",
            ["", *AUTHORS],
            format_func=lambda author: AUTHORS.get(author, "anybody, or not at all"),
            **field("by", wanted.edited_by),
        )
        st.checkbox("Look into what the agent thought, too", **field("thoughts", wanted.thoughts, False))
        st.button("Clear the filters", on_click=_clear, disabled=not filters())
        st.caption("Days are in your time zone.")


def _presets(here: Here) -> None:
    with st.popover("Saved", icon=":material/bookmark:", help="Filters at hand, and this list as a link"):
        for label, icon, more in PRESETS:
            st.page_link(
                "pages/recall.py",
                label=label,
                icon=f":material/{icon}:",
                query_params=moment.query(here.ws, here.at, **more),
            )
        st.caption("This list as an address, to keep or to send:")
        st.code(f"{st.context.url or ''}?{urlencode(st.query_params.to_dict(), doseq=True)}", language=None)


def _took(name: str, none: Any) -> None:
    value = st.session_state[key(name)]
    if value == none or value is None or value == "":
        st.query_params.pop(name, None)
    elif isinstance(value, list):
        st.query_params[name] = value
    else:
        st.query_params[name] = "yes" if value is True else str(value)


def _clear() -> None:
    for name in _FILTERS:
        st.query_params.pop(name, None)


def _where(wrong: list[str]) -> tuple[Where, int]:
    said = st.query_params.get("where", "")
    if event := _WHERE.fullmatch(said):
        return ("evicted" if event[1] == "evicted" else "back"), int(event[2])
    if said in WHERES:
        return said, 0
    wrong.append(f"“{visible(said)}” is no place a message can be: {', '.join(filter(None, WHERES))}. It is left out.")
    return "", 0


def _one(name: str, known: tuple[Any, ...], otherwise: Any, wrong: list[str]) -> Any:
    said = st.query_params.get(name, otherwise)
    if said in known:
        return said
    wrong.append(f"There is no {name} “{visible(said)}”: {', '.join(known)}. You see {otherwise}.")
    return otherwise


def _known(name: str, known: dict[str, str], wrong: list[str]) -> tuple[str, ...]:
    said = st.query_params.get_all(name)
    if strange := [value for value in said if value not in known]:
        wrong.append(f"There is no {name} “{visible(strange[0])}”: {', '.join(known)}. It is left out.")
    return tuple(value for value in said if value in known)


def _day(name: str, wrong: list[str]) -> date | None:
    said = st.query_params.get(name, "")
    try:
        day = date.fromisoformat(said) if said else None
    except ValueError:
        day = date.min
    if day is not None and not FIRST_DAY <= day <= LAST_DAY:
        wrong.append(f"“{visible(said)}” is not a day; write 2026-03-01. It is left out.")
        return None
    return day


def _session(wrong: list[str]) -> int:
    said = st.query_params.get("session_is", "")
    if not said or (said.isascii() and said.isdigit() and len(said) < 10):
        return int(said or 0)
    wrong.append(f"“{visible(said)}” is not the number of a session. It is left out.")
    return 0
