"""The paging timeline's marks: which lane each event stands in, with which shape, in which words.

Takes rows of the store: the events that touch a tier, and the page ins as the residency tells them. The rows
name their kind; `page_in` is the one that is no event but an interval that opened. Knows nothing of pixels.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from memgpt_core.ids import seq_of

SHAPES: dict[str, str] = {
    "message": "A message of yours, a login, a timer: what wakes the agent.",
    "page out": "A flush: messages left the window.",
    "page in": "Stored items came into the window.",
    "page fault": "A page in of something that had been evicted and was nowhere in the window.",
    "search": "The agent searched a store.",
    "write": "Something was written: a block, a note, a passage, a message's text.",
    "delete": "Something was deleted; it can be brought back.",
    "warning": "Main context passed the warning mark.",
    "pin": "A message was pinned, or let go again.",
    "failure": "The machine failed, or the model server cut the prompt.",
}
"""What a mark means, by the name of its shape, in the order of the legend."""


class Lane(NamedTuple):
    """A row of the timeline; `hue` is its key in `palette.HUES`, empty for the person."""

    key: str
    label: str
    hue: str


LANES = (
    Lane("you", "You", ""),
    Lane("context", "Main context", "messages"),
    Lane("core", "Core memory", "working_context"),
    Lane("notes", "Scratch notes", "notes"),
    Lane("recall", "Recall storage", "recall"),
    Lane("archival", "Archival storage", "archival"),
    Lane("documents", "Documents (cold)", "cold"),
)
"""From top to bottom."""

_PLACES: dict[str, tuple[str, str, str]] = {
    "page_in": ("context", "page in", "page in"),
    "queue_flushed": ("context", "page out", "flush"),
    "pressure_warned": ("context", "warning", "memory pressure warning"),
    "truncation_suspected": ("context", "failure", "the model server cut the prompt"),
    "fault_recorded": ("context", "failure", "failure"),
    "message_pinned": ("context", "pin", "pin or unpin"),
    "block_defined": ("core", "write", "block defined"),
    "block_renamed": ("core", "write", "block renamed"),
    "block_deleted": ("core", "delete", "block deleted"),
    "working_context_edited": ("core", "write", "block edited"),
    "note_written": ("notes", "write", "note written"),
    "note_deleted": ("notes", "delete", "note deleted"),
    "note_read": ("notes", "page in", "note read"),
    "recall_searched": ("recall", "search", "recall search"),
    "message_edited": ("recall", "write", "message edited"),
    "message_deleted": ("recall", "delete", "message deleted"),
    "message_restored": ("recall", "write", "message restored"),
    "archival_searched": ("archival", "search", "archival search"),
    "archival_inserted": ("archival", "write", "passage stored"),
    "archival_edited": ("archival", "write", "passage edited"),
    "archival_deleted": ("archival", "delete", "passage deleted"),
    "archival_restored": ("archival", "write", "passage restored"),
    "document_ingested": ("documents", "write", "document stored"),
    "document_removed": ("documents", "delete", "document removed"),
}
"""Lane, shape and words by kind; triggers depend on their cause."""

_CAUSES = {
    "user": ("you", "message", "your message"),
    "upload": ("documents", "message", "upload"),
    "login": ("context", "message", "login"),
    "timer": ("context", "message", "timer"),
    "system": ("context", "message", "system message"),
    "review": ("context", "message", "session review"),
}

KINDS = (*(kind for kind in _PLACES if kind not in ("page_in", "note_read")), "trigger_received")
"""The kinds of event that make a mark of their own. A requeue makes one as a page in."""

NOTE_READERS = ("note_read",)
"""Functions whose result brings a scratch note into the window."""


class Mark(NamedTuple):
    """One thing on the timeline.

    Attributes:
        seq: the event it stands for; `last` is the last event of a run of imports drawn as one, else the same.
        at: UTC.
        lane: a key of `LANES`; `shape`: one of `SHAPES`.
        says: what it is, in a few words.
        by_hand: a person did it, so that it also shows in the lane of the person.
        items: ids that came in, for a page in.
        faults: how many of them were page faults.
    """

    seq: int
    last: int
    at: datetime
    session: int
    turn: int
    step: int
    lane: str
    shape: str
    says: str
    by_hand: bool = False
    items: tuple[str, ...] = ()
    faults: int = 0


def place(kind: str, about: str) -> tuple[str, str, str]:
    """(lane, shape, words) of an event of this kind that is about this."""
    if kind == "trigger_received":
        return _CAUSES.get(about, ("context", "message", about))
    return _PLACES[kind]


def mark(row: Mapping[str, Any]) -> Mark:
    """The mark of a row as `timeline_rows.marks` gives it.

    Columns: `seq`, `last`, `at`, `session`, `turn`, `step`, `kind`, `author`, `about`, `tokens`, and for a page in
    `items` and `faults`.
    """
    kind, about = row["kind"], row["about"] or ""
    lane, shape, says = place(kind, about)
    items, faults = tuple(row["items"] or ()), int(row["faults"] or 0)
    if kind == "page_in":
        shape = "page fault" if faults else shape
        says = f"{counted(len(items), 'item')} in" + (f", {counted(faults, 'page fault')}" if faults else "")
    elif kind == "queue_flushed":
        says = f"flush, {row['tokens'] or 0:,} tokens freed"
    elif row["last"] > row["seq"]:
        says = f"{row['last'] - row['seq'] + 1:,} passages imported"
    elif about and kind != "trigger_received":
        says = f"{says}: {about}"
    return Mark(
        seq=row["seq"],
        last=row["last"],
        at=row["at"],
        session=row["session"],
        turn=row["turn"],
        step=row["step"],
        lane=lane,
        shape=shape,
        says=says,
        by_hand=row["author"] == "human",
        items=items,
        faults=faults,
    )


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural where it is one."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


class Arrow(NamedTuple):
    """The way of some items from where they were to where they came back.

    Attributes:
        left: the event by which they left the window, or were stored; `came`: the one that brought them in.
        lane: where they were meanwhile.
        items: their ids; `fault`: at least one was a page fault.
    """

    left: int
    came: int
    lane: str
    items: tuple[str, ...]
    fault: bool


def arrows(returns: Iterable[Mapping[str, Any]]) -> list[Arrow]:
    """One arrow for all items that left by the same event and came by the same one, oldest return first.

    Rows: `item`, `came`, `fault`, and `left_at` (the event by which the message last left; None for one that had
    not). A passage comes from the event that stored it; what was still in the window has no way to draw.
    """
    found: dict[tuple[int, int, str], list[Mapping[str, Any]]] = {}
    for row in returns:
        passage = row["item"].startswith("p")
        left = seq_of(row["item"]) if passage else row["left_at"]
        if left is not None and (passage or row["fault"]):
            found.setdefault((row["came"], left, "archival" if passage else "recall"), []).append(row)
    return [
        Arrow(left, came, lane, tuple(row["item"] for row in rows), any(row["fault"] for row in rows))
        for (came, left, lane), rows in sorted(found.items())
    ]


class Cell(NamedTuple):
    """One lane in one stretch of the overview: how many events of each shape it has."""

    bucket: int
    lane: str
    events: int
    shapes: tuple[tuple[str, int], ...]


def cells(rows: Iterable[Mapping[str, Any]]) -> list[Cell]:
    """The overview from counts by `bucket`, `kind`, `about` (the cause of a trigger) and `faults`."""
    found: dict[tuple[int, str], Counter[str]] = {}
    for row in rows:
        lane, shape, _ = place(row["kind"], row["about"] or "")
        if row["kind"] == "page_in" and row["faults"]:
            shape = "page fault"
        found.setdefault((row["bucket"], lane), Counter())[shape] += row["n"]
    return [
        Cell(bucket, lane, sum(shapes.values()), tuple(shapes.most_common()))
        for (bucket, lane), shapes in sorted(found.items())
    ]


def tally(marks: Sequence[Mark]) -> dict[str, int]:
    """How many marks of each shape there are, in the order of the legend; shapes without one are left out."""
    found = Counter(mark.shape for mark in marks)
    return {shape: found[shape] for shape in SHAPES if found[shape]}
