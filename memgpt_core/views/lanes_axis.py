"""The timeline's horizontal axis: times, or event numbers, with the stretches where nothing happens folded.

A life is minutes of talk between days of nothing. Each stretch longer than a limit takes the same small room
and is named, so that what happened stays readable and what was left out stays visible. Works on plain numbers.
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import pairwise
from typing import NamedTuple

IDLE_S = 300.0
"""From how many seconds without an event a stretch of time is folded."""

QUIET_EVENTS = 60.0
"""From how many events without a mark a stretch of the log is folded."""

FOLD_SHARE = 0.03
"""The room of a folded stretch, as a share of all that is not folded."""

ALL_FOLDS_SHARE = 0.5
"""The room of all folded stretches together is at most this share of what is not folded."""

TICKS = 8


class Fold(NamedTuple):
    """A folded stretch: where it begins and ends on the axis, and how long it really is."""

    start: float
    stop: float
    length: float


class Axis(NamedTuple):
    """Where each value stands.

    Attributes:
        values: the real values, each once, ascending; `places` are theirs on the axis.
        folds: the folded stretches, in order.
    """

    values: tuple[float, ...]
    places: tuple[float, ...]
    folds: tuple[Fold, ...]

    @property
    def length(self) -> float:
        """The whole axis, from 0."""
        return self.places[-1] if self.places else 0.0

    def place(self, value: float) -> float:
        """Where a value stands; one between two known ones by its share of the way, one outside at the edge."""
        if not self.values:
            return 0.0
        at = bisect_right(self.values, value)
        if at == 0:
            return self.places[0]
        if at == len(self.values):
            return self.places[-1]
        low, high = self.values[at - 1], self.values[at]
        share = (value - low) / (high - low)
        return self.places[at - 1] + share * (self.places[at] - self.places[at - 1])


def fold(values: Sequence[float], longest: float) -> Axis:
    """An axis for these values on which no stretch between two neighbours is longer than `longest`.

    A longer one is folded, to a room that depends on the rest alone.
    """
    ordered = sorted(set(values))
    steps = [after - before for before, after in pairwise(ordered)]
    plain = sum(step for step in steps if step <= longest)
    folded = sum(step > longest for step in steps)
    whole = plain or longest
    room = min(whole * FOLD_SHARE, whole * ALL_FOLDS_SHARE / folded) if folded else 0.0
    places, folds = [0.0] if ordered else [], []
    for step in steps:
        here = places[-1]
        places.append(here + (step if step <= longest else room))
        if step > longest:
            folds.append(Fold(here, places[-1], step))
    return Axis(tuple(ordered), tuple(places), tuple(folds))


def ticks(axis: Axis, most: int = TICKS) -> list[float]:
    """Values to name on the axis: about evenly spread, and none in a folded stretch."""
    if not axis.values:
        return []
    found: dict[float, None] = {}
    for part in range(most):
        wanted = axis.length * part / max(1, most - 1)
        at = min(bisect_right(axis.places, wanted), len(axis.places)) - 1
        found[axis.values[max(0, at)]] = None
    return list(found)


def time_labels(seconds: Sequence[float], zone: tzinfo) -> list[str]:
    """Ticks in the viewer's zone; the day where it is another than at the tick before. Seconds are since 1970, UTC."""
    labels, day = [], ""
    for value in seconds:
        moment = datetime.fromtimestamp(value, zone)
        today = f"{moment:%d %b %Y}"
        labels.append(f"{moment:%H:%M:%S}" + (f"<br>{today}" if today != day else ""))
        day = today
    return labels


def duration(seconds: float) -> str:
    """A length of time in its two largest units: `3 d 4 h`, `12 min 5 s`, `0.4 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(timedelta(seconds=round(seconds)).total_seconds())
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        amount, whole = divmod(whole, size)
        if amount or parts:
            parts.append(f"{amount} {unit}" if amount else "")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if part)
