"""Which searches a model is likely to ask for next; pure, from what the turn has shown so far.

A guess names a search to the letter, because only the same search is of use. Runs nothing (`ahead` does), and knows
neither model nor store.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from memgpt_core.queries import STOP
from memgpt_core.settings import Prefetch

QUERY_CHARS = 1000
"""A longer message is not guessed: nobody searches for a whole page."""

CODES_MOST = 3
"""How many keys are looked up ahead at once."""

_ASK = """
about ago again any anything ask asked call called ever find found hello hey hi know look mean mention mentioned name
named now ok okay please recall remember remind said say search show still take talk talked tell thank thanks told want
yes yet
"""

ASKING = STOP | frozenset(_ASK.split())
"""English words with which one asks, and not what one asks for."""

_WORD = re.compile(r"[\w'-]+")
_CODE = re.compile(r"(?<![\w-])(?=[\w-]*\d)(?=\d*[^\W\d]|[\d-]*-)[\w-]{6,}(?![\w-])")


OPEN: dict[str, Any] = {"roles": (), "tags": (), "start": "", "end": ""}
"""What a filter is when it lets everything pass; one that is not named here does as None."""

Store = Literal["recall", "archival"]


class Wanted(NamedTuple):
    """A search as it is asked for: in which store, for what, which page of which size.

    Attributes:
        narrow: its filters by name, in order, without those that let everything pass (`OPEN`).
    """

    store: Store
    query: str
    page: int
    page_size: int
    narrow: tuple[tuple[str, Any], ...]


class Answered(NamedTuple):
    """A search of the turn that was answered: what it was, how many matched in all, the texts on its page."""

    wanted: Wanted
    total: int
    texts: Sequence[str]


def wanted(store: Store, query: str, page: int, page_size: int, narrow: dict[str, Any]) -> Wanted:
    """A search under its filters; those that let everything pass are none."""
    kept = sorted((name, value) for name, value in narrow.items() if value not in (None, OPEN.get(name)))
    return Wanted(store, query, page, page_size, tuple(kept))


def guesses(mode: Prefetch, said: str, last: Answered | None, page_size: int, roles: tuple[str, ...]) -> list[Wanted]:
    """The likely searches of the next step, likeliest first.

    `said` is the user's message of the turn (empty when somebody else began it), `last` the newest search of the turn,
    `roles` those that a search of recall storage asks for.
    """
    if mode == "next_page":
        return _next_page(last)
    if mode == "key_chain":
        return _keys(said, last, page_size)
    if mode == "user_message" and last is None:
        stores: tuple[tuple[Store, dict[str, Any]], ...] = (("recall", {"roles": roles}), ("archival", {}))
        return [wanted(store, query, 1, page_size, narrow) for query in _of_message(said) for store, narrow in stores]
    return []


def _of_message(said: str) -> list[str]:
    """The message as the words of it that are asked for, and as it stands: models write either."""
    if not said.strip() or len(said) > QUERY_CHARS:
        return []
    words = " ".join(word for word in _WORD.findall(said.lower()) if word not in ASKING)
    return list(dict.fromkeys(query for query in (words, said) if query))


def _next_page(last: Answered | None) -> list[Wanted]:
    if last is None or last.total <= last.wanted.page * last.wanted.page_size:
        return []
    return [last.wanted._replace(page=last.wanted.page + 1)]


def _keys(said: str, last: Answered | None, page_size: int) -> list[Wanted]:
    """A key in the message; after a search, the code that stands right behind what was sought: its value."""
    if last is None:
        return [wanted("archival", code, 1, page_size, {}) for code in _first(_CODE.findall(said[:QUERY_CHARS]))]
    behind = (text.partition(last.wanted.query)[2] for text in last.texts if last.wanted.query)
    values = (match[0] for rest in behind if (match := _CODE.search(rest)))
    return [last.wanted._replace(query=code, page=1) for code in _first(values)]


def _first(codes: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(codes))[:CODES_MOST]
