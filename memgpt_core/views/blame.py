"""Who wrote each line of a block: the line, and the event that put it there.

Goes back from the present text, version by version, and stops as soon as every line is explained, so that the
cost is that of how old the oldest line is and never that of the whole life of a block.
"""

from collections.abc import Iterable
from typing import NamedTuple

from memgpt_core.views.worddiff import spans


class Line(NamedTuple):
    """A line of the present text; `seq` is the event that wrote it, 0 when it is older than was looked."""

    text: str
    seq: int


def blame(text: str, versions: Iterable[tuple[int, str]], *, whole: bool) -> list[Line]:
    """Each line of `text` with its event.

    `versions` are (event, text) of the block, newest first and the first of them the present one; it is read only
    as far as is needed. `whole` says that they reach back to the beginning, so that the last of them wrote all
    that is left.
    """
    lines = text.split("\n")
    wrote = [0] * len(lines)
    # Line of the version looked at -> line of the present text, for those not explained yet.
    left = {at: at for at in range(len(lines))}
    newer: tuple[int, list[str]] | None = None
    for seq, older in versions:
        if newer is not None:
            left = _explain(newer, older.split("\n"), left, wrote)
            if not left:
                break
        newer = (seq, older.split("\n"))
    if whole and newer is not None:
        for at in left.values():
            wrote[at] = newer[0]
    return [Line(line, seq) for line, seq in zip(lines, wrote, strict=True)]


def _explain(newer: tuple[int, list[str]], older: list[str], left: dict[int, int], wrote: list[int]) -> dict[int, int]:
    """Give the lines that `newer` brought its seq; the rest, by their place in `older`."""
    seq, lines = newer
    if lines == older:
        return left
    came_from: dict[int, int] = {}
    for span in spans(older, lines):
        if span.same:
            came_from.update(zip(range(span.j1, span.j2), range(span.i1, span.i2), strict=True))
    still: dict[int, int] = {}
    for place, at in left.items():
        if place in came_from:
            still[came_from[place]] = at
        else:
            wrote[at] = seq
    return still
