"""The player for eyes: how fast a recording goes by, what stands on its scrubber, what changed between two points.

Pure. Time is handed in; nothing here waits.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

from memgpt_core.state import State

BUCKETS = 240
"""Stretches of the scrubber at most: each is a few pixels wide on a laptop."""

REAL_TIME = "Real time"
SPEEDS: dict[str, float] = {"0.5 ×": 0.5, "1 ×": 1.0, "2 ×": 2.0, "4 ×": 4.0, "8 ×": 8.0, "16 ×": 16.0, REAL_TIME: 0.0}

LEAST_S, MOST_S = 0.25, 2.0
"""How long an event stays at 1 ×, at least and at most: what the demo model did in no time can still be followed."""

IDLE_S, FOLDED_S = 10.0, 2.0
"""In real time a gap longer than the one is idle time, and is shown as the other."""

LANES: dict[str, str] = {
    "flush": "Flushes",
    "fault": "Page faults",
    "edit": "Edits",
    "error": "Errors",
    "bookmark": "Bookmarks",
}
"""What can be jumped to, and has a lane of its own on the scrubber, with its name in the plural."""


def pause_s(gap_s: float, speed: str) -> float:
    """How long the player waits between two events that were so many seconds apart."""
    gap_s = max(0.0, gap_s)
    rate = SPEEDS[speed]
    if not rate:
        return gap_s if gap_s <= IDLE_S else FOLDED_S
    return min(max(gap_s, LEAST_S), MOST_S) / rate


class Played(NamedTuple):
    """Where the player is: the event shown, and since when, on the clock it was given (seconds)."""

    seq: int
    since_s: float


def played(times: Sequence[tuple[int, datetime]], anchor: Played, now_s: float, speed: str) -> Played:
    """How far the player has come by `now_s`; `times` are events with their times, from the anchor's on."""
    seq, since = anchor
    for (_, before), (after, at) in pairwise(times):
        pause = pause_s((at - before).total_seconds(), speed)
        if since + pause > now_s:
            break
        seq, since = after, since + pause
    return Played(seq, since)


class Bucket(NamedTuple):
    """A stretch of the scrubber: how many events it has, and how many of each lane."""

    events: int
    lanes: tuple[int, ...]


def width_of(events: int) -> int:
    """How many events one stretch of the scrubber stands for."""
    return max(1, -(-events // BUCKETS))


def buckets(events: int, rows: Iterable[Mapping[str, Any]], marks: Iterable[int]) -> list[Bucket]:
    """The scrubber of so many events: `rows` count the lanes by `bucket` (from 0), `marks` are bookmarked events.

    A lane without a count in a row has none there; a mark beyond the log is left out.
    """
    width = width_of(events)
    many = -(-events // width)
    counts = [dict.fromkeys(LANES, 0) for _ in range(many)]
    for row in rows:
        for lane in LANES:
            counts[row["bucket"]][lane] += int(row.get(lane) or 0)
    for seq in marks:
        if 1 <= seq <= events:
            counts[(seq - 1) // width]["bookmark"] += 1
    sizes = [min(width, events - at * width) for at in range(many)]
    return [Bucket(size, tuple(found.values())) for size, found in zip(sizes, counts, strict=True)]


def density(starts: Sequence[float], events: int) -> list[float]:
    """How densely the events of each stretch came, from 0 to 1 on a logarithmic scale.

    `starts` are the seconds at which the stretches began, and at their end that of the last event.
    """
    width = width_of(events)
    rates = []
    for at, (began, ended) in enumerate(pairwise(starts)):
        size = min(width, events - at * width)
        # A second at least: what came in no time is dense, and not infinitely so.
        rates.append(math.log1p(60 * size / max(1.0, ended - began)))
    most = max(rates, default=0.0)
    return [round(rate / most, 3) if most else 0.0 for rate in rates]


class BlockChange(NamedTuple):
    """A block whose text is another one; None where there was, or is, no block."""

    label: str
    before: str | None
    after: str | None


class Changed(NamedTuple):
    """What differs between two points of a log.

    Attributes:
        came, left: ids of messages that came into the queue, and that left it.
        messages, passages: how many more there are in recall and in archival storage; negative when fewer.
        flushes: how many flushes lie between.
    """

    blocks: tuple[BlockChange, ...]
    came: tuple[str, ...]
    left: tuple[str, ...]
    messages: int
    passages: int
    flushes: int

    @property
    def nothing(self) -> bool:
        """Whether memory is as it was."""
        return self == _NOTHING


_NOTHING = Changed((), (), (), 0, 0, 0)


def changed(before: State, after: State) -> Changed:
    """What is otherwise in the later state."""
    labels = dict.fromkeys((*after.blocks, *before.blocks))
    blocks = [
        BlockChange(
            label,
            before.blocks[label].value if label in before.blocks else None,
            after.blocks[label].value if label in after.blocks else None,
        )
        for label in labels
        if _version(before, label) != _version(after, label)
    ]
    was, now = ([entry.id for entry in state.queue] for state in (before, after))
    had, has = frozenset(was), frozenset(now)
    return Changed(
        tuple(blocks),
        tuple(id for id in now if id not in had),
        tuple(id for id in was if id not in has),
        after.messages - before.messages,
        after.passages - before.passages,
        after.flushes - before.flushes,
    )


def _version(state: State, label: str) -> int:
    return state.blocks[label].seq if label in state.blocks else 0


def says(found: Changed) -> list[str]:
    """The change in a few short phrases, without the blocks' texts."""
    told = []
    if found.came:
        told.append(f"{_ids(found.came)} came into the queue")
    if found.left:
        told.append(f"{_ids(found.left)} left it")
    if found.flushes > 0:
        told.append(f"{found.flushes:,} flush{'es' if found.flushes > 1 else ''}")
    for many, what in ((found.messages, "recall storage"), (found.passages, "archival storage")):
        if many:
            told.append(f"{what} {many:+,}")
    told += [f"block {change.label} {_block_says(change)}" for change in found.blocks]
    return told


def _block_says(change: BlockChange) -> str:
    if change.before is None:
        return "is new"
    if change.after is None:
        return "is gone"
    return "has another text" if change.before != change.after else "was defined again"


def _ids(ids: Sequence[str]) -> str:
    if len(ids) <= 3:
        return ", ".join(ids)
    return f"{len(ids):,} messages, {ids[0]} to {ids[-1]},"
