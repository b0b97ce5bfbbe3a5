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

_WORD = re.compile(r"[\w'-]+")
_CODE = re.compile(r"(?<![\w-])(?=[\w-]*\d)(?=[\w-]*[^\W\d])[\w-]{6,}(?![\w-])")


Store = Literal["recall", "archival"]


class Wanted(NamedTuple):
    """A search as it is asked for: in which store, for what, which page of which size.

    Attributes:
        narrow: its filters by name, in order, without those that are empty.
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
    return Wanted(store, query, page, page_size, tuple(sorted((name, kept) for name, kept in narrow.items() if kept)))


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
    """The message as it stands, and as the words of it that say something: models write either."""
    if not said.strip() or len(said) > QUERY_CHARS:
        return []
    words = " ".join(word for word in _WORD.findall(said.lower()) if word not in STOP)
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
