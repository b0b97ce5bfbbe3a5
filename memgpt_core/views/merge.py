"""Three texts as one: what they and you changed on the same base, line by line, with conflicts in plain sight.

A three-way merge in the manner of diff3, on the changes each side made to the base. Changes that do not overlap
are both taken, also when they touch: that an agent adds a line under the one that a person corrects is the usual
case here. Where both changed the same lines differently both stand in the text between marks, so that nothing is
lost and nothing is decided for anybody.

Written on `difflib`: the one kept library for it (merge3) is under the GPL, which would be everybody's licence.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from memgpt_core.views.worddiff import spans

THEIRS, BETWEEN, YOURS = "<<<<<<< theirs", "=======", ">>>>>>> yours"
"""The lines around a conflict."""

Side = Literal["base", "theirs", "yours", "both", "conflict"]


class Stretch(NamedTuple):
    """Lines of the merge: unchanged, taken from a side, changed alike by both, or in conflict.

    Attributes:
        base, theirs, yours: these lines in each of the three texts.
    """

    side: Side
    base: tuple[str, ...]
    theirs: tuple[str, ...]
    yours: tuple[str, ...]


class Merge(NamedTuple):
    """The proposal: its text, marks included, and how many conflicts stand in it."""

    text: str
    conflicts: int
    stretches: tuple[Stretch, ...]


class _Change(NamedTuple):
    """A side has `lines` in place of the base's lines `first` to `last` (not included)."""

    first: int
    last: int
    lines: tuple[str, ...]
    mine: bool


def merge(base: str, theirs: str, yours: str) -> Merge:
    """Both sides' changes to `base` in one text."""
    lines = base.split("\n")
    stretches = tuple(_stretches(lines, theirs.split("\n"), yours.split("\n")))
    merged: list[str] = []
    for stretch in stretches:
        merged += _lines(stretch)
    conflicts = sum(stretch.side == "conflict" for stretch in stretches)
    return Merge("\n".join(merged), conflicts, stretches)


def marks_left(text: str) -> int:
    """How many conflicts still stand unresolved in a text."""
    lines = set(text.split("\n"))
    return text.split("\n").count(THEIRS) if {THEIRS, BETWEEN, YOURS} <= lines else 0


def _lines(stretch: Stretch) -> tuple[str, ...]:
    if stretch.side == "conflict":
        return (THEIRS, *stretch.theirs, BETWEEN, *stretch.yours, YOURS)
    return stretch.yours if stretch.side == "yours" else stretch.theirs


def _stretches(base: Sequence[str], theirs: Sequence[str], yours: Sequence[str]) -> list[Stretch]:
    waiting = sorted(_changes(base, theirs, False) + _changes(base, yours, True), key=lambda change: change[:2])
    found: list[Stretch] = []
    at = 0
    while waiting:
        group = [waiting.pop(0)]
        while waiting and _overlap(group, waiting[0]):
            group.append(waiting.pop(0))
        first, last = group[0].first, max(change.last for change in group)
        found += _same(base[at:first])
        found.append(_settled(base, first, last, group))
        at = last
    return found + _same(base[at:])


def _same(lines: Sequence[str]) -> list[Stretch]:
    kept = tuple(lines)
    return [Stretch("base", kept, kept, kept)] if kept else []


def _settled(base: Sequence[str], first: int, last: int, group: list[_Change]) -> Stretch:
    before, theirs, yours = (
        tuple(base[first:last]),
        _applied(base, first, last, [change for change in group if not change.mine]),
        _applied(base, first, last, [change for change in group if change.mine]),
    )
    side: Side = "conflict"
    if theirs == yours:
        side = "both"
    elif yours == before:
        side = "theirs"
    elif theirs == before:
        side = "yours"
    return Stretch(side, before, theirs, yours)


def _applied(base: Sequence[str], first: int, last: int, changes: list[_Change]) -> tuple[str, ...]:
    """The base's lines `first` to `last` with one side's changes made."""
    lines: list[str] = []
    for change in changes:
        lines += [*base[first : change.first], *change.lines]
        first = change.last
    return (*lines, *base[first:last])


def _changes(base: Sequence[str], side: Sequence[str], mine: bool) -> list[_Change]:
    return [
        _Change(span.i1, span.i2, tuple(side[span.j1 : span.j2]), mine) for span in spans(base, side) if not span.same
    ]


def _overlap(group: list[_Change], change: _Change) -> bool:
    """Whether the next change is about lines, or a place between lines, that the group is about too."""
    first, last = group[0].first, max(one.last for one in group)
    if first == last:
        return change.first == change.last == first
    return change.first < last and (change.last > change.first or change.first > first)
