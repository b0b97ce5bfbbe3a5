"""A message of recall storage for eyes: where it is, where it was, what of it a search hit, what was done to it.

Takes rows of `messages` and `residency`; makes no HTML. The stretches of a text are made visible by
`passages.visible` where they are drawn, after they are cut, so that a hit is found in the text as it is.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from memgpt_core.prompt import scaled
from memgpt_core.state import State
from memgpt_core.views.passages import Piece

ROLES = {
    "user": "You",
    "assistant": "Agent",
    "function": "Function result",
    "system": "System",
}
"""A message's role as a person reads it."""

KINDS = {
    "trigger_received": "what woke the agent (your messages, logins, uploads, timers)",
    "model_replied": "what the model wrote, its calls too",
    "function_returned": "what a function gave back",
    "pressure_warned": "warnings of memory pressure",
    "hits_placed": "stored texts the retrieval policy placed in the queue",
}
"""The kinds of event that make a message, in words."""

CAUSES = {
    "login": "Login",
    "upload": "Upload",
    "timer": "Timer",
    "review": "Session review",
}
"""A trigger that is not the user's, by its cause."""

_OWN = ("slot", "requeue")


class Whereabouts(NamedTuple):
    """Where a message is at one point.

    Attributes:
        tier: the `palette.HUES` key that stands for the place; empty for a deleted message.
        short: for a tag, a few words.
        says: a sentence.
        seq: the event that put it there.
        in_window: it has a slot or a copy there.
        queued: it has a slot of its own there.
    """

    tier: str
    short: str
    says: str
    seq: int
    in_window: bool = False
    queued: bool = False


class Stay(NamedTuple):
    """One interval in which a message's text was in the window; `left` is None while it still is."""

    came: int
    left: int | None
    how: str
    fault: bool


def speaker(row: Mapping[str, Any]) -> str:
    """Who a message is from, with the name of a function or the cause of a trigger."""
    about = str(row["about"])
    if row["kind"] == "trigger_received" and row["role"] != "user":
        return CAUSES.get(about, "System message")
    if row["kind"] == "function_returned" and about:
        return f"Result of {about}"
    if row["kind"] == "pressure_warned":
        return "Pressure warning"
    if row["kind"] == "hits_placed":
        return "Placed by the retrieval policy"
    return ROLES.get(row["role"], str(row["role"]))


def whereabouts(row: Mapping[str, Any], state: State) -> Whereabouts:
    """Where a message is after the last event of `state`; `row` is one of a `MessagePage`."""
    n = state.seq
    if row["seq_to"] is not None and row["seq_to"] <= n:
        gone = row["seq_to"]
        return Whereabouts("", f"deleted at {gone:,}", f"Deleted at event {gone:,}. It can be restored.", gone)
    open_now = [stay for stay in row["intervals"] if stay["seq_to"] is None or stay["seq_to"] > n]
    own = [stay for stay in open_now if stay["how"] in _OWN]
    pinned = row["id"] in state.pinned
    if own:
        came = own[-1]["seq_from"]
        if own[-1]["how"] == "requeue":
            short, says = f"back at {came:,}", f"In the window again: it was queued once more at event {came:,}."
        else:
            short, says = "in the window", f"In the window since event {came:,}, in its own place in the FIFO queue."
        if pinned:
            short, says = f"pinned, {short}", f"{says} Pinned: no flush evicts it."
        return Whereabouts("messages", short, says, came, True, True)
    if open_now:
        copy = open_now[-1]
        came, carrier = copy["seq_from"], copy["carrier"]
        return Whereabouts(
            "messages",
            f"back at {came:,}, in {carrier}",
            f"In the window as a copy: {carrier} has shown it since event {came:,}.",
            came,
            True,
        )
    left = max((stay["seq_to"] for stay in row["intervals"] if stay["item"] == stay["carrier"]), default=0)
    if not left:
        return Whereabouts("recall", "stored only", "In recall storage; it was never in the window.", row["born"])
    return Whereabouts("recall", f"evicted at {left:,}", f"Not in the window: it left at event {left:,}.", left)


def stays(intervals: Sequence[Mapping[str, Any]], n: int) -> list[Stay]:
    """When a message's text was in the window and how, oldest first, as known after event `n`."""
    found = []
    for row in intervals:
        how = {
            "slot": "in its own place in the queue",
            "requeue": "queued again",
            "copy": f"as a copy, in {row['carrier']}",
        }[row["how"]]
        left = row["seq_to"] if row["seq_to"] is not None and row["seq_to"] <= n else None
        found.append(Stay(row["seq_from"], left, how, bool(row["fault"])))
    return found


def hits(text: str, needles: Iterable[str]) -> list[Piece]:
    """The text cut at each place where one of the needles stands, upper and lower case alike."""
    wanted = sorted({needle for needle in needles if needle}, key=len, reverse=True)
    if not wanted:
        return [Piece(text, False)]
    found = re.compile("|".join(map(re.escape, wanted)), re.IGNORECASE)
    return _cut(text, [match.span() for match in found.finditer(text)])


def hits_found(text: str, found: Sequence[str]) -> list[Piece]:
    """The text cut at what a regular expression matched in it, in order; empty matches mark nothing."""
    spans, at = [], 0
    for match in found:
        place = text.find(match, at) if match else -1
        if place >= 0:
            at = place + len(match)
            spans.append((place, at))
    return _cut(text, spans)


def effect_of_deleting(state: State, ids: Iterable[str]) -> str:
    """What deleting these messages does to the window, as a sentence."""
    wanted = set(ids)
    queued = [entry for entry in state.queue if entry.id in wanted]
    if not queued:
        return "None of them is in the window: what the model sees stays as it is."
    freed = scaled(state, sum(entry.tokens for entry in queued))
    return (
        f"{len(queued):,} of {len(wanted):,} {'is' if len(queued) == 1 else 'are'} in the window now: about "
        f"{freed:,} tokens leave it with the next model call."
    )


def _cut(text: str, spans: Sequence[tuple[int, int]]) -> list[Piece]:
    pieces, at = [], 0
    for start, end in spans:
        if start > at:
            pieces.append(Piece(text[at:start], False))
        pieces.append(Piece(text[start:end], True))
        at = end
    return [*pieces, Piece(text[at:], False)] if at < len(text) or not pieces else pieces
