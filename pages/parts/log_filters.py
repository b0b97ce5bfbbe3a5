"""What the address asks of the log page, and the fields that say it: kinds, authors, session, turn, text and order.

The address is the truth (`address`). Nothing is searched here.
"""

from typing import get_args

import streamlit as st

from memgpt_core.events import KINDS, Author
from pages.parts import address
from pages.parts.log_rows import Filter

NAMES = ("q", "kind", "author", "session_is", "turn", "order")
OLDEST, NEWEST = "oldest", "newest"
AUTHORS = get_args(Author)


def read(at: int) -> tuple[Filter, list[str]]:
    """(what the address asks of the log up to event `at`, a sentence for each thing in it that cannot be used)."""
    wrong: list[str] = []
    wanted = Filter(
        at,
        st.query_params.get("q", "").strip(),
        address.some("kind", KINDS, wrong),
        address.some("author", AUTHORS, wrong),
        address.number("session_is", "session", wrong),
        address.number("turn", "turn", wrong),
        address.one("order", (OLDEST, NEWEST), NEWEST, wrong) == OLDEST,
    )
    return wanted, wrong


def draw(wanted: Filter) -> None:
    """The filters."""
    text, kinds, authors, session, turn = st.columns([2.7, 3, 1.7, 1.25, 1.25], gap="small")
    text.text_input(
        "Text in an event",
        icon=":material/search:",
        placeholder="any words",
        help="In any case of letters, through every text of every event: messages, arguments, results, reasons. "
        "Not through the names of fields.",
        **address.field("log:q", wanted.text),
    )
    kinds.multiselect("Kinds", list(KINDS), placeholder="all kinds", **address.field("log:kind", list(wanted.kinds)))
    authors.multiselect(
        "By",
        AUTHORS,
        placeholder="anybody",
        help="Who did it: the agent by a function, a human by hand, the engine's rules, an import. Not all say.",
        **address.field("log:author", list(wanted.authors)),
    )
    number = {"min_value": 1, "value": None, "step": 1, "placeholder": "all"}
    session.number_input("Session", **number, **address.field("log:session_is", wanted.session, None))
    turn.number_input("Turn", **number, **address.field("log:turn", wanted.turn, None))


def draw_order(wanted: Filter) -> None:
    """Which end of the log comes first."""
    st.segmented_control(
        "Order",
        [NEWEST, OLDEST],
        format_func=lambda which: f"{which.capitalize()} first",
        required=True,
        label_visibility="collapsed",
        **address.field("log:order", OLDEST if wanted.oldest_first else NEWEST, NEWEST),
    )
