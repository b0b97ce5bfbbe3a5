"""Finding text in a log: line by line through the file, without an index and without decoding what cannot match.

A line is looked at as bytes first; only one that may hold the text is parsed, and then it is the values that
count, as a person reads them: JSON's escapes undone, the names of fields left out. Says how far it looked, so that
a search through a long log can be gone on with. Does not know what an event means.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from pydantic_core import from_json

from memgpt_core.log import Log

SPAN_BYTES = 2**19
"""What is read at once; a longer line is read whole."""

WORK_MOST = 64 * 2**20
"""How much one search does, in bytes looked at: about a tenth of a second. Parsed or folded bytes count more."""

_PARSED_COUNTS, _FOLDED_COUNTS = 8, 8
_PARSE_STARTS_AT = 4096


class Sighted(NamedTuple):
    """What a search found.

    Attributes:
        seqs: the events, in the order of the search.
        looked_to: the last event it looked at; go on from there.
        more: whether there is anything it has not looked at.
    """

    seqs: tuple[int, ...]
    looked_to: int
    more: bool


class _Scope(NamedTuple):
    """Which events a search may find; empty or None lets all through."""

    kinds: Sequence[str] = ()
    authors: Sequence[str] = ()
    session: int | None = None
    turn: int | None = None

    def lets(self, raw: dict[str, Any]) -> bool:
        """Whether a parsed line is one of them."""
        return (
            (not self.kinds or raw.get("kind") in self.kinds)
            and (not self.authors or raw.get("author") in self.authors)
            and self.session in (None, raw.get("session"))
            and self.turn in (None, raw.get("turn"))
        )

    def marks(self) -> list[tuple[bytes, ...]]:
        """Bytes of which a line must hold one from each group, as `events.encode` writes them."""
        groups = [
            tuple(f'"kind":"{kind}"'.encode() for kind in self.kinds),
            tuple(f'"author":"{author}"'.encode() for author in self.authors),
            () if self.session is None else (f'"session":{self.session},'.encode(),),
            () if self.turn is None else (f'"turn":{self.turn},'.encode(),),
        ]
        return [group for group in groups if group]


def find(
    log: Log,
    text: str,
    *,
    kinds: Sequence[str] = (),
    authors: Sequence[str] = (),
    session: int | None = None,
    turn: int | None = None,
    first: int = 1,
    last: int | None = None,
    newest_first: bool = True,
    limit: int = 50,
) -> Sighted:
    """Events from `first` to `last` (None: to the end) with the text in one of their values, in any case of letters.

    Kinds, authors, session and turn narrow it; empty and None let all through. Stops when `limit` are found, or when
    enough was looked at for one search.
    """
    scope = _Scope(kinds, authors, session, turn)
    last = log.last_seq if last is None else min(last, log.last_seq)
    needle = text.casefold()
    may_hold = _may_hold(text, scope)
    found: list[int] = []
    work, seq = 0, last + 1 if newest_first else first - 1
    for start, stop in _spans(log, first, last, newest_first=newest_first):
        block = log.lines(start, stop)
        work += len(block) if text.isascii() or block.isascii() else _FOLDED_COUNTS * len(block)
        lines = list(enumerate(block.split(b"\n")[:-1], start)) if may_hold(block) else []
        for seq, line in reversed(lines) if newest_first else lines:
            if may_hold(line):
                work += _PARSE_STARTS_AT + _PARSED_COUNTS * len(line)
                if _holds(line, needle, scope):
                    found.append(seq)
                if len(found) == limit or work > WORK_MOST:
                    break
        else:
            seq = start if newest_first else stop
        if len(found) == limit or work > WORK_MOST:
            break
    return Sighted(tuple(found), seq, seq > first if newest_first else seq < last)


def _spans(log: Log, first: int, last: int, *, newest_first: bool) -> Iterator[tuple[int, int]]:
    """Stretches of lines (first, last) of about `SPAN_BYTES`, in the order of the search."""
    at = last if newest_first else first
    while first <= at <= last:
        low, high = (first, at) if newest_first else (at, last)
        # Halved until it fits: there are few steps, and no line is read to know how long it is.
        while low < high and log.size_at(high) - log.size_at(low - 1) > SPAN_BYTES:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if newest_first else (low, middle)
        yield low, high
        at = low - 1 if newest_first else high + 1


def _may_hold(text: str, scope: _Scope) -> Callable[[bytes], bool]:
    """Whether a line, or any of several, may hold the text and be in the scope; never wrong about a no."""
    groups = scope.marks()
    # As a JSON writer has it: a quote, a backslash and a tab stand there with a backslash.
    written = json.dumps(text, ensure_ascii=False)[1:-1]
    small, wanted = written.lower().encode(), written.casefold()

    def says(line: bytes) -> bool:
        if written.isascii():
            return small in line.lower()
        # Another writer may have put letters as \\uXXXX.
        return b"\\u" in line or (not line.isascii() and wanted in line.decode(errors="replace").casefold())

    return lambda line: all(any(mark in line for mark in group) for group in groups) and says(line)


def _holds(line: bytes, needle: str, scope: _Scope) -> bool:
    try:
        raw = from_json(line)
    except ValueError:
        # A damaged line holds nothing that could be shown.
        return False
    return scope.lets(raw) and any(needle in value.casefold() for value in _values(raw))


def _values(raw: Any) -> Iterator[str]:
    """Every text in a parsed line, but for the names of fields, its kind and its time."""
    for key, value in raw.items():
        if key not in ("kind", "at"):
            yield from _texts(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
