"""Fields whose truth is the address: a value is taken from it before each drawing and written back when it changes.

So a link, a reload and the back button show the same. What the address says and cannot be used is left out, with a
sentence in `wrong`. Knows no page: each names its own fields, `page:name`, with the name that stands in the address.
"""

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any

import streamlit as st

from memgpt_core.views.passages import visible

FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(9000, 1, 1)
"""Within them a day has a day before, a day after and a midnight in every time zone."""

NUMBER_DIGITS = 9
SAID_CHARS = 60
NAMED_MOST = 10


def field(key: str, value: Any, none: Any = "") -> dict[str, Any]:
    """What the widget `page:name` is given; `none` is its value when the address does not have the name."""
    st.session_state[key] = value
    return {"key": key, "on_change": _took, "args": (key, none)}


def put(name: str, value: str) -> None:
    """Write one name into the address, from a callback; empty takes it out."""
    if value:
        st.query_params[name] = value
    else:
        st.query_params.pop(name, None)


def clear(names: Sequence[str]) -> None:
    """Take names out of the address, from a callback."""
    for name in names:
        st.query_params.pop(name, None)


def said(names: Sequence[str]) -> int:
    """How many of the names the address has."""
    return sum(name in st.query_params for name in names)


def text(name: str, most: int, wrong: list[str]) -> str:
    """What is looked for, no longer than is read of it."""
    value = st.query_params.get(name, "")
    if len(value) > most:
        wrong.append(f"Of the {len(value):,} characters that are looked for only the first {most:,} are read.")
    return value[:most]


def one(name: str, known: Collection[str], otherwise: Any, wrong: list[str]) -> Any:
    """One of the known values; `otherwise` when the address says none or another."""
    value = st.query_params.get(name, otherwise)
    if value in known or value == otherwise:
        return value
    wrong.append(f"{_strange(name, value, known)} You see {otherwise}." if otherwise else _strange(name, value, known))
    return otherwise


def some(name: str, known: Collection[str], wrong: list[str]) -> tuple[str, ...]:
    """Those of the values the address says that are known."""
    values = st.query_params.get_all(name)
    if strange := [value for value in values if value not in known]:
        wrong.append(_strange(name, strange[0], known))
    return tuple(value for value in values if value in known)


def day(name: str, wrong: list[str]) -> date | None:
    """A day from `FIRST_DAY` to `LAST_DAY`."""
    value = st.query_params.get(name, "")
    try:
        found = date.fromisoformat(value) if value else None
    except ValueError:
        found = date.min
    if found is not None and not FIRST_DAY <= found <= LAST_DAY:
        wrong.append(f"“{short(value)}” is not a day from {FIRST_DAY} on; write 2026-03-01. It is left out.")
        return None
    return found


def number(name: str, of: str, wrong: list[str]) -> int | None:
    """The number of a session, a turn… (`of`), from 1."""
    value = st.query_params.get(name, "")
    if value.isascii() and value.isdigit() and len(value) <= NUMBER_DIGITS and int(value) > 0:
        return int(value)
    if value:
        wrong.append(f"“{short(value)}” is not the number of a {of}. It is left out.")
    return None


def short(value: str) -> str:
    """The beginning of what the address says, for a sentence."""
    return visible(value[:SAID_CHARS]) + ("…" if len(value) > SAID_CHARS else "")


def _strange(name: str, value: str, known: Collection[str]) -> str:
    there = f": {', '.join(filter(None, known))}" if len(known) <= NAMED_MOST else ""
    return f"There is no {name} “{short(value)}”{there}. It is left out."


def _took(key: str, none: Any) -> None:
    name, value = key.partition(":")[2], st.session_state[key]
    if value == none or value in (None, "", []):
        st.query_params.pop(name, None)
    elif isinstance(value, list):
        st.query_params[name] = value
    else:
        st.query_params[name] = "yes" if value is True else str(value)
