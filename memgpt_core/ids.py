"""Ids of messages and passages, and the one number that each of them is.

A message is `m{seq}` and a passage `p{seq}`, by the event that brought it. A document brings many passages with one
event: `p{seq}.{n}`, n from 1. As a number an id is `seq << 24 | n`, so that numbers stand in the order in which the
items came and fit into 64 bits.
"""

import re

BITS = 24
PASSAGES_MOST = (1 << BITS) - 1
"""So many passages one event can bring."""

MESSAGE, PASSAGE = r"m[0-9]+", r"p[0-9]+(?:\.[0-9]+)?"
ITEM = re.compile(f"{MESSAGE}|{PASSAGE}")

IN_ORDER = "length(id), id"
"""SQL that puts the passages of one event into their order."""


def number(id: str) -> int:
    """The number of an id."""
    seq, _, n = id[1:].partition(".")
    return int(seq) << BITS | int(n or 0)


def id_of(letter: str, number: int) -> str:
    """The id of that number, of a message (`m`) or a passage (`p`)."""
    seq, n = number >> BITS, number & PASSAGES_MOST
    return f"{letter}{seq}.{n}" if n else f"{letter}{seq}"


def seq_of(id: str) -> int:
    """The event that brought it."""
    return int(id[1:].partition(".")[0])
