"""The memory pressure curve: tokens of main context at each model call, with the marks it is held against.

One point a call while there are few; for many, the least and the most of each stretch, so that no peak is lost.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple


class Point(NamedTuple):
    """Main context at one model call, in tokens by our own count.

    Attributes:
        seq, at: the `prompt_built`; `at` is UTC.
        warn, flush, limit, window: the marks in force then.
    """

    seq: int
    at: datetime
    tokens: int
    warn: int
    flush: int
    limit: int
    window: int


class Band(NamedTuple):
    """The least and the most of main context in one stretch of the log, in tokens."""

    bucket: int
    least: int
    most: int
    flush: int


def curve(rows: Iterable[Mapping[str, Any]]) -> list[Point]:
    """Points in order of `seq`, each once; a row is one of `prompts`."""
    found = {
        row["seq_from"]: Point(
            seq=row["seq_from"],
            at=row["at"],
            tokens=row["total_tokens"],
            warn=row["warn_tokens"],
            flush=row["flush_tokens"],
            limit=row["limit_tokens"],
            window=row["window_tokens"],
        )
        for row in rows
    }
    return [found[seq] for seq in sorted(found)]


def bands(rows: Iterable[Mapping[str, Any]]) -> list[Band]:
    """The overview's band, from rows of `bucket`, `least`, `most`, `flush`, in order."""
    return [Band(row["bucket"], row["least"], row["most"], row["flush"]) for row in rows]
