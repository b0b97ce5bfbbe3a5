"""What the compare page asks of two agents: their sides, how their turns lie beside each other, where they part.

The left one is looked at as of the page's point in time, the right one as it is now. Answers about a whole log are
kept: what had happened by an event never changes.
"""

from typing import Any, NamedTuple

from memgpt_core import comparing
from memgpt_core.comparing import Side
from memgpt_core.home import AgentCard, Home
from memgpt_core.views.compare import Pair, Told, Turn, align, first_different, told
from memgpt_core.workspace import Workspace
from pages.parts.timeline_rows import kept


class Compared(NamedTuple):
    """Two agents beside each other.

    Attributes:
        shared: how many events at the beginning are the same on both sides; 0 for two lives of their own.
        pairs: every turn of both, in order.
        past: how many of the pairs are turns of the common past.
        parted: the place of the first pair that differs; None when none does.
    """

    left: Side
    right: Side
    shared: int
    pairs: list[Pair]
    past: int
    parted: int | None


def side(ws: Workspace, last: int) -> Side:
    """An agent's doors, up to event `last`."""
    return Side(ws.agent_id, ws.rows, ws.event, ws.events, ws.state, last)


def compared(left: Workspace, right: Workspace, left_last: int) -> Compared:
    """Both, the left one up to an event."""
    one, other = side(left, left_last), side(right, right.last_seq)
    # The time tells an agent from another one that had its id before.
    mark = (left_last, other.agent_id, other.last, right.state().at)

    def beside(_ws: Workspace, *_mark: Any) -> Compared:
        return _beside(one, other)

    return kept(left, beside, *mark)


def _beside(left: Side, right: Side) -> Compared:
    shared = comparing.shared_seq(left, right)
    turns = [[Turn(**row) for row in comparing.turns(one)] for one in (left, right)]
    pairs = align(*turns, shared)
    past = sum(pair.shared for pair in pairs)
    parted = first_different(pairs)
    whole = [(pair.left, pair.right) for pair in pairs[:parted]]
    ends = [(one.ended, other.ended) for one, other in whole if one is not None and other is not None][past:]
    # What a call wrote into a block stands in no row.
    earlier = comparing.first_other_blocks(left, right, ends)
    return Compared(left, right, shared, pairs, past, parted if earlier is None else past + earlier)


def tell(one: Side, turn: Turn, since: int) -> Told:
    """What a turn came to; `since` is where the turn before it ended."""
    events = one.events(turn.first, turn.ended)
    before, after = one.state(turn.first - 1), one.state(turn.ended)
    return told(events, before.blocks, after.blocks, comparing.by_hand(one, since, turn.first))


def tell_both(found: Compared, place: int) -> tuple[Told | None, Told | None]:
    """What the turns of a pair came to; None for one that is not there."""
    pair = found.pairs[place]
    left = tell(found.left, pair.left, _since(found.pairs, place, "left")) if pair.left else None
    return left, tell(found.right, pair.right, _since(found.pairs, place, "right")) if pair.right else None


def _since(pairs: list[Pair], place: int, which: str) -> int:
    """Where the turn before that of a pair ended, on one side; 0 for the first."""
    for pair in reversed(pairs[:place]):
        turn: Turn | None = getattr(pair, which)
        if turn is not None:
            return turn.ended
    return 0


def others(home: Home, ws: Workspace) -> dict[str, AgentCard]:
    """The agents this one can be laid beside, by id: its relatives first, then the one used last first."""
    cards = [card for card in home.agents(archived=True) if card.id != ws.agent_id and card.events]
    return {card.id: card for card in sorted(cards, key=lambda card: not related(ws, card))}


def related(ws: Workspace, card: AgentCard) -> bool:
    """Whether one of the two was forked from the other, or both from a third."""
    mine, theirs = ws.provenance(), card.provenance
    origin = mine.origin if mine else ""
    other = theirs.origin if theirs else ""
    return origin == card.id or other == ws.agent_id or bool(origin and origin == other)
