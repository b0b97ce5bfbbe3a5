"""The window as a map: cells in equal shares of the whole window, and the same parts as one stacked bar.

Both come from `pieces`, so they cannot differ. Knows tokens and names, nothing of how they are drawn.
"""

from collections.abc import Sequence
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple

from memgpt_core.settings import AgentSettings
from memgpt_core.views.palette import HUES
from memgpt_core.views.window import Segment
from memgpt_core.views.window_items import Item

CELLS, COLUMNS = 480, 40
"""How many cells a map has, and how many stand in a row."""

FREE, RESERVE = "free", "reserve"
"""Keys of the two pieces that hold no text."""


class Piece(NamedTuple):
    """A part of the window with a name: an item, the free room, or the reply reserve.

    Attributes:
        section: a key of `palette.HUES`; empty for the free room.
        share: of the whole window, from 0 to 1.
        cells: how many cells of the map are its own.
    """

    key: str
    section: str
    label: str
    tokens: int
    share: float
    cells: int


class Map(NamedTuple):
    """The window in pieces, in order; `warn_cell` and `flush_cell` are the cells in which the marks fall."""

    pieces: tuple[Piece, ...]
    cells: int
    columns: int
    warn_cell: int
    flush_cell: int


def window_map(items: Sequence[Item], settings: AgentSettings) -> Map:
    """The map of a window that holds these items.

    A prompt that is larger than the window is drawn to its own size: then nothing is free and nothing reserved.
    """
    used = sum(item.tokens for item in items)
    whole = max(used, settings.window_tokens)
    parts = [(item.key, item.section, item.label, item.tokens) for item in items if item.tokens]
    parts.append((FREE, "", "Free room", max(0, settings.limit_tokens - used)))
    kept = max(0, settings.window_tokens - max(used, settings.limit_tokens))
    parts.append((RESERVE, RESERVE, HUES[RESERVE].label, kept))
    sizes = cells([tokens for *_, tokens in parts])
    pieces = tuple(
        Piece(key, section, label, tokens, tokens / whole, size)
        for (key, section, label, tokens), size in zip(parts, sizes, strict=True)
        if size
    )
    count = sum(sizes)
    marks = (settings.warn_tokens, settings.flush_tokens)
    warn, flush = (min(count - 1, count * mark // whole) for mark in marks)
    return Map(pieces, count, COLUMNS, warn, flush)


def cells(tokens: Sequence[int], count: int = CELLS) -> list[int]:
    """`count` cells divided as the tokens are: largest remainders, and at least one for each part that has tokens.

    More parts than cells get one each; the map is then larger than `count`.
    """
    whole = sum(tokens)
    filled = sum(1 for part in tokens if part)
    if filled >= count or not whole:
        return [1 if part else 0 for part in tokens]
    exact = [count * part / whole for part in tokens]
    given = [max(1, int(share)) if part else 0 for part, share in zip(tokens, exact, strict=True)]
    # What is left over is less than there are parts that were rounded down, so one cell each is enough.
    for at in sorted(range(len(given)), key=lambda at: given[at] - exact[at])[: max(0, count - sum(given))]:
        given[at] += 1
    # The least cells that small parts were given are taken from those with the most beyond their share.
    heap = [(exact[at] - size, at) for at, size in enumerate(given) if size > 1]
    heapify(heap)
    for _ in range(sum(given) - count):
        short, at = heap[0]
        given[at] -= 1
        if given[at] > 1:
            heapreplace(heap, (short + 1, at))
        else:
            heappop(heap)
    return given


def bar(drawn: Map) -> list[Segment]:
    """The same pieces by section, in prompt order, without free room and reserve."""
    found: dict[str, Segment] = {}
    for piece in drawn.pieces:
        if piece.section in ("", RESERVE):
            continue
        before = found.get(piece.section)
        hue = HUES[piece.section]
        tokens, share = (before.tokens, before.share) if before else (0, 0.0)
        found[piece.section] = Segment(piece.section, hue.label, hue.mark, tokens + piece.tokens, share + piece.share)
    return list(found.values())
