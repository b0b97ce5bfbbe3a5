"""What the address asks of the recall page, and the fields that say it: what is looked for, the filters, the view.

The address is the truth (`address`). Nothing is searched here.
"""

import re
from typing import Literal, NamedTuple, get_args
from urllib.parse import urlencode

import streamlit as st

from memgpt_core.message_search import TEXT_CHARS_MOST, MessageFilter, Mode, Where
from memgpt_core.views.blocks import AUTHORS
from memgpt_core.views.messages import KINDS, ROLES
from pages.parts import address, moment
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

FILTERS = ("role", "kind", "session_is", "from", "to", "where", "by", "thoughts")
_WHERE = re.compile(r"(evicted|back):([0-9]{1,15})")


class Asked(NamedTuple):
    """What is asked.

    Attributes:
        message: the id of the one that is open; empty for none.
        why: the id of one that is asked about: where it ranks and why it was not found; empty for none.
        wrong: a sentence for each thing in the address that cannot be used.
    """

    wanted: MessageFilter
    message: str
    why: str
    view: View
    wrong: tuple[str, ...]

    @property
    def ranked(self) -> bool:
        """Whether the list is what the agent's own search finds."""
        return self.view == "messages" and self.wanted.mode == "ranked" and bool(self.wanted.text.strip())

    @property
    def key(self) -> str:
        """Changes whenever another list is asked for, so that its first page is shown."""
        return f"recall:{hash(self.wanted)}"


def read(here: Here) -> Asked:
    """What the address says."""
    wrong: list[str] = []
    params = st.query_params
    where, where_seq = _where(wrong)
    wanted = MessageFilter(
        text=address.text("q", TEXT_CHARS_MOST, wrong),
        mode=address.one("mode", get_args(Mode), "phrase", wrong),
        thoughts=params.get("thoughts", "") == "yes",
        roles=address.some("role", ROLES, wrong),
        kinds=address.some("kind", KINDS, wrong),
        session=address.number("session_is", "session", wrong) or 0,
        start=address.day("from", wrong),
        end=address.day("to", wrong),
        zone=here.zone.key,
        edited_by=address.one("by", AUTHORS, "", wrong),
        where=where,
        where_seq=where_seq,
    )
    view = address.one("view", get_args(View), "messages", wrong)
    return Asked(wanted, params.get("message", ""), params.get("why", ""), view, tuple(wrong))


def draw(here: Here, asked: Asked) -> None:
    """The field, the ways to read it, the filters, the presets and the address to copy."""
    wanted = asked.wanted
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.text_input(
            "Search every message",
            placeholder="Search, or leave it empty to list all",
            icon=":material/search:",
            max_chars=TEXT_CHARS_MOST,
            **address.field("recall:q", wanted.text),
        )
        st.selectbox(
            "Read it as",
            list(MODES),
            format_func=MODES.get,
            help=MODES_HELP,
            width=190,
            **address.field("recall:mode", wanted.mode, "phrase"),
        )
        st.selectbox(
            "Where it is now" if here.at is None else f"Where it was after event {here.at:,}",
            list(WHERES),
            format_func=WHERES.get,
            width=215,
            **address.field("recall:where", wanted.where),
        )
        _more(wanted)
        _presets(here)


def _more(wanted: MessageFilter) -> None:
    others = address.said(FILTERS) - ("where" in st.query_params)
    with st.popover(f"Filters ({others})" if others else "Filters", icon=":material/filter_alt:"):
        st.multiselect(
            "Who it is from", list(ROLES), format_func=ROLES.get, **address.field("recall:role", list(wanted.roles), [])
        )
        st.multiselect(
            "What it is", list(KINDS), format_func=KINDS.get, **address.field("recall:kind", list(wanted.kinds), [])
        )
        with st.container(horizontal=True, gap="small"):
            st.date_input("From", value=None, **address.field("recall:from", wanted.start, None))
            st.date_input("to (both days included)", value=None, **address.field("recall:to", wanted.end, None))
        st.number_input(
            "Session",
            min_value=1,
            step=1,
            value=None,
            placeholder="Any",
            **address.field("recall:session_is", wanted.session or None),
        )
        st.selectbox(
            "Text corrected by",
            ["", *AUTHORS],
            format_func=lambda author: AUTHORS.get(author, "anybody, or not at all"),
            **address.field("recall:by", wanted.edited_by),
        )
        st.checkbox("Look into what the agent thought, too", **address.field("recall:thoughts", wanted.thoughts, False))
        st.button("Clear the filters", on_click=address.clear, args=(FILTERS,), disabled=not address.said(FILTERS))
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


def _where(wrong: list[str]) -> tuple[Where, int]:
    said = st.query_params.get("where", "")
    if event := _WHERE.fullmatch(said):
        return ("evicted" if event[1] == "evicted" else "back"), int(event[2])
    if said in WHERES:
        return said, 0
    wrong.append(
        f"“{address.short(said)}” is no place a message can be: {', '.join(filter(None, WHERES))}. It is left out."
    )
    return "", 0
