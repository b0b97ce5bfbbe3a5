"""Two runs side by side: which turns belong together, and what differs between two of them.

Pure: gets the turns of both sides as rows, and of the turns that are shown their events and blocks. Turns of a common
past are the same event on both sides; the others are matched by what was said to the agent, so that two runs of one
script lie beside each other even where one of them was told more in between.
"""

from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, Literal, NamedTuple

from memgpt_core.events import Event
from memgpt_core.state import Block, Provenance
from memgpt_core.views.calls import CallRow, calls
from memgpt_core.views.lanes_axis import duration
from memgpt_core.views.log_rows import one_line
from memgpt_core.views.worddiff import Piece, spans, word_diff

Sort = Literal["same", "left", "right", "changed"]


class Turn(NamedTuple):
    """One turn of one side.

    Attributes:
        first, ended, last: its first event, the one that ended it, and the last that bears its number: what a person
            did by hand before the next turn is in between.
        cause, trigger: what opened it, with the beginning of the text; a login only where nothing else was said.
        said: stands for the whole of that text.
        came: stands for what came of it: replies, calls and what they wrote, searches, flushes, faults.
    """

    number: int
    session: int
    first: int
    ended: int
    last: int
    cause: str
    trigger: str
    said: int
    came: int


class Pair(NamedTuple):
    """Two turns that belong together, or one that has no other; `shared` when it is one turn of a common past."""

    left: Turn | None
    right: Turn | None
    shared: bool = False


def align(lefts: Sequence[Turn], rights: Sequence[Turn], shared_seq: int) -> list[Pair]:
    """Every turn of both sides, in order, where events 1 to `shared_seq` are the same on both.

    Where neither has the other's trigger they stand beside each other as they come.
    """
    past = [turn for turn in lefts if turn.ended <= shared_seq]
    both = min(len(past), len(rights))
    pairs = [Pair(left, right, shared=True) for left, right in zip(lefts[:both], rights[:both], strict=True)]
    lefts, rights = lefts[both:], rights[both:]
    if lefts and rights and lefts[0].first <= shared_seq and rights[0].first <= shared_seq:
        # One turn, in the middle of which they part.
        pairs.append(Pair(lefts[0], rights[0]))
        lefts, rights = lefts[1:], rights[1:]
    for span in spans([_key(turn) for turn in lefts], [_key(turn) for turn in rights]):
        some, others = list(lefts[span.i1 : span.i2]), list(rights[span.j1 : span.j2])
        most = max(len(some), len(others))
        some_or_none: list[Turn | None] = [*some, *[None] * (most - len(some))]
        others_or_none: list[Turn | None] = [*others, *[None] * (most - len(others))]
        pairs += [Pair(left, right) for left, right in zip(some_or_none, others_or_none, strict=True)]
    return pairs


def _key(turn: Turn) -> str:
    return f"{turn.cause} {turn.said}"


def differs(pair: Pair) -> bool:
    """Whether the two turns were opened by something else, or something else came of them, as far as rows tell."""
    if pair.left is None or pair.right is None:
        return True
    return not pair.shared and (_key(pair.left) != _key(pair.right) or pair.left.came != pair.right.came)


def first_different(pairs: Sequence[Pair]) -> int | None:
    """The place of the first pair whose turns differ; None when all are alike."""
    return next((place for place, pair in enumerate(pairs) if differs(pair)), None)


class Told(NamedTuple):
    """What one turn came to.

    Attributes:
        triggers: (cause, text) of what woke the agent, in order.
        calls: its function calls but for `send_message` that worked, which is a reply.
        before, blocks: label to text, when it began and when it ended.
        passages: texts it stored in archival storage.
        by_hand: what a person did since the turn before ended.
        errors: what failed, a sentence each.
    """

    triggers: tuple[tuple[str, str], ...]
    replies: tuple[str, ...]
    calls: tuple[CallRow, ...]
    before: dict[str, str]
    blocks: dict[str, str]
    passages: tuple[str, ...]
    by_hand: tuple[Event, ...]
    errors: tuple[str, ...]


def told(
    events: Iterable[Event],
    before: Mapping[str, Block],
    after: Mapping[str, Block],
    by_hand: Iterable[Event] = (),
) -> Told:
    """A turn's events, the blocks as they stood before it and at its end, and the events made by hand before it."""
    happened: list[Any] = list(events)
    made = [row for row in calls(happened) if row.name != "send_message" or row.outcome != "ok"]
    return Told(
        triggers=tuple((event.cause, event.text) for event in happened if event.kind == "trigger_received"),
        replies=tuple(event.text for event in happened if event.kind == "message_sent"),
        calls=tuple(made),
        before={label: block.value for label, block in before.items()},
        blocks={label: block.value for label, block in after.items()},
        passages=tuple(event.text for event in happened if event.kind == "archival_inserted"),
        by_hand=tuple(by_hand),
        errors=tuple(event.error for event in happened if event.kind == "fault_recorded"),
    )


class CallPair(NamedTuple):
    """A call of both sides, of one side, or of both with other arguments."""

    sort: Sort
    left: CallRow | None
    right: CallRow | None


def call_pairs(lefts: Sequence[CallRow], rights: Sequence[CallRow]) -> list[CallPair]:
    """The calls of two turns in order: the same, only on one side, or with changed arguments."""
    matcher = SequenceMatcher(None, [_call_key(row) for row in lefts], [_call_key(row) for row in rights], False)
    pairs: list[CallPair] = []
    for what, i1, i2, j1, j2 in matcher.get_opcodes():
        if what == "equal":
            pairs += [CallPair("same", *both) for both in zip(lefts[i1:i2], rights[j1:j2], strict=True)]
        else:
            pairs += _by_name(lefts[i1:i2], rights[j1:j2])
    return pairs


def _call_key(row: CallRow) -> tuple[Any, ...]:
    return row.name, tuple(sorted(row.arguments))


def _by_name(lefts: Sequence[CallRow], rights: Sequence[CallRow]) -> list[CallPair]:
    left_over, pairs = list(rights), list[CallPair]()
    for row in lefts:
        other = next((one for one in left_over if one.name == row.name), None)
        if other is None:
            pairs.append(CallPair("left", row, None))
        else:
            left_over.remove(other)
            pairs.append(CallPair("changed", row, other))
    return [*pairs, *(CallPair("right", None, row) for row in left_over)]


class BlockPair(NamedTuple):
    """A block on both sides; None where it is not there."""

    label: str
    left: str | None
    right: str | None


def block_pairs(lefts: Mapping[str, str], rights: Mapping[str, str]) -> list[BlockPair]:
    """The blocks that are not the same on both sides."""
    pairs = [BlockPair(label, lefts.get(label), rights.get(label)) for label in dict.fromkeys([*lefts, *rights])]
    return [pair for pair in pairs if pair.left != pair.right]


def only_in(lefts: Sequence[str], rights: Sequence[str]) -> tuple[list[str], list[str]]:
    """Texts that are only at the left, and only at the right; one that is there twice counts twice."""
    return _without(lefts, rights), _without(rights, lefts)


def _without(some: Sequence[str], others: Sequence[str]) -> list[str]:
    left_over, found = list(others), list[str]()
    for text in some:
        if text in left_over:
            left_over.remove(text)
        else:
            found.append(text)
    return found


def sides(left: str, right: str) -> tuple[list[Piece], list[Piece]]:
    """Two texts word by word, each whole: what is only in it is `out` at the left and `in` at the right."""
    pieces = word_diff(left, right)
    return [piece for piece in pieces if piece.kind != "in"], [piece for piece in pieces if piece.kind != "out"]


def old_differences(left: Told, right: Told) -> list[str]:
    """Labels of the blocks that differ at the end as they did at the beginning: neither of the turns changed them."""
    return [
        pair.label
        for pair in block_pairs(left.blocks, right.blocks)
        if all(one.before.get(pair.label) == one.blocks.get(pair.label) for one in (left, right))
    ]


def ways(left: Told, right: Told) -> tuple[str, ...]:
    """In which ways two turns differ; nothing when they are alike. Blocks count only where one of the turns wrote."""
    old = old_differences(left, right)
    found = {
        "trigger": _said(left) != _said(right),
        "replies": left.replies != right.replies,
        "calls": any(pair.sort != "same" for pair in call_pairs(left.calls, right.calls)),
        "blocks": any(pair.label not in old for pair in block_pairs(left.blocks, right.blocks)),
        "passages": any(only_in(left.passages, right.passages)),
        "errors": left.errors != right.errors,
    }
    return tuple(name for name, other in found.items() if other)


def _said(one: Told) -> list[tuple[str, str]]:
    """The triggers but for a login, which says no more than when it was."""
    return [(cause, text) for cause, text in one.triggers if cause != "login"]


class Metric(NamedTuple):
    """A number about a run: its key in the rows, its name on screen, its unit, and how it is counted."""

    key: str
    label: str
    unit: Literal["", "tokens", "s"]
    says: str


METRICS = (
    Metric("turns", "Turns", "", "From a trigger to the end of what it set off."),
    Metric("events", "Events", "", "Lines of the log that belong to these turns, edits by hand after them included."),
    Metric("replies", "Replies", "", "Messages the user was sent."),
    Metric("steps", "Model calls", "", "Requests of turns; those for a summary are not among them."),
    Metric("calls", "Function calls", "", "Calls that returned, send_message left out."),
    Metric("failed_calls", "Failed calls", "", "Calls that were handed back to the model as wrong."),
    Metric("prompt_tokens", "Prompt tokens", "tokens", "Of all requests together, by our own count."),
    Metric("reply_tokens", "Reply tokens", "tokens", "Of all replies together, by the model server's count."),
    Metric("flushes", "Queue flushes", "", "How often the oldest messages left the FIFO queue."),
    Metric("page_faults", "Page faults", "", "Messages that had left the window and had to come back."),
    Metric("block_edits", "Block edits", "", "Changes of core memory blocks, by the agent or by hand."),
    Metric("passages", "Passages stored", "", "Texts that went into archival storage."),
    Metric("errors", "Faults", "", "Failures of the machine: the model server, the disk, Memscope itself."),
    Metric(
        "seconds",
        "Time",
        "s",
        "From each turn's first event to its end, added up; where a turn was cut off, to the last it did.",
    ),
    Metric("model_s", "Time in the model", "s", "Wall time of the model calls, as far as it was measured."),
)
"""What is counted of a turn or of a run, in the order it is shown."""


def number_text(metric: Metric, value: float | None) -> str:
    """A number as it is shown; a dash where nothing was measured."""
    if value is None:
        return "–"
    return duration(value) if metric.unit == "s" else f"{value:,.0f}"


def delta_text(metric: Metric, left: float | None, right: float | None) -> str:
    """How much more the right has than the left, with its sign; empty when there is no difference."""
    if left is None or right is None or number_text(metric, left) == number_text(metric, right):
        return ""
    amount = number_text(metric, abs(right - left))
    return f"{'+' if right > left else '−'}{amount}"


def origin_text(agent_id: str, provenance: Provenance | None) -> str:
    """Where an agent comes from, in a sentence; empty when it began by itself."""
    if provenance is None:
        return ""
    name = one_line(provenance.origin_name, 60)
    if provenance.origin == agent_id:
        return f"Goes on from the recording of {name}, events 1 to {provenance.origin_seq:,}."
    return f"Forked from {name} ({provenance.origin}) after event {provenance.origin_seq:,}."
