"""From one event of a log to another that matters: the next turn, the last flush, what changed this block next.

Each is one query over the rows (two where a block was renamed), so that it takes the same time in a long log. Reads
what it is handed; knows no page and no player.

Steps, turns and sessions are landed on at their last event, where all that they did can be seen.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

from memgpt_core.errors import EditRefused
from memgpt_core.events import Event
from memgpt_core.ids import ITEM
from memgpt_core.project import ABOUT_CHARS

Rows = Callable[[str, Any], list[dict[str, Any]]]
Read = Callable[[int], Event]

What = Literal["event", "step", "turn", "session", "flush", "fault", "edit", "error", "bookmark"]
WHATS: tuple[What, ...] = get_args(What)

BLOCK_KINDS = ("block_defined", "block_renamed", "block_deleted", "working_context_edited")

EDIT_KINDS = (
    *BLOCK_KINDS,
    "archival_edited",
    "archival_deleted",
    "archival_restored",
    "document_removed",
    "message_edited",
    "message_deleted",
    "message_restored",
    "message_pinned",
    "message_requeued",
)
"""What changes memory that is there, whoever does it. New messages, passages and notes are no edits."""


def _quoted(kinds: Sequence[str]) -> str:
    return ", ".join(f"'{kind}'" for kind in kinds)


IS: dict[str, str] = {
    "flush": "kind = 'queue_flushed'",
    "edit": f"kind IN ({_quoted(EDIT_KINDS)})",
    "error": "(kind IN ('fault_recorded', 'truncation_suspected') OR (kind = 'function_returned' AND NOT ok))",
}
"""When a row of `events` is one, in SQL. A `fault` is a page fault, and stands in `residency`."""

_GROUPS = {"step": ("turn", "step"), "turn": ("turn",), "session": ("session",)}


class Item(NamedTuple):
    """A block by its label, a message or a passage by its id."""

    table: Literal["blocks", "messages", "passages"]
    name: str


class Reached(NamedTuple):
    """The event that changed an item, and what a block was called just after it (else the item itself)."""

    seq: int
    item: str


def neighbour(rows: Rows, last_seq: int, marks: Sequence[int], seq: int, what: str, forward: bool) -> int | None:
    """The next event of its sort after event `seq`, or the last before it; None when there is none.

    `marks` are the events with a bookmark.

    Raises:
        ValueError: no such sort.
    """
    if what == "event":
        other = seq + 1 if forward else seq - 1
        return other if 1 <= other <= last_seq else None
    if what in _GROUPS:
        return _group_end(rows, last_seq, seq, _GROUPS[what], forward)
    if what == "bookmark":
        there = [mark for mark in marks if mark <= last_seq and (mark > seq if forward else mark < seq)]
        return (min(there) if forward else max(there)) if there else None
    if what == "fault":
        return _first(rows, "SELECT seq_from AS seq FROM residency WHERE fault", seq, last_seq, forward)
    if what in IS:
        return _first(rows, f"SELECT seq_from AS seq FROM events WHERE {IS[what]}", seq, last_seq, forward)
    raise ValueError(f"{what} is none of {', '.join(WHATS)}")


def _first(
    rows: Rows, candidates: str, seq: int, last_seq: int, forward: bool, params: Mapping[str, Any] | None = None
) -> int | None:
    """The nearest of some events on one side of event `seq`."""
    nearest, beyond = ("min", ">") if forward else ("max", "<")
    sql = f"SELECT {nearest}(seq) AS seq FROM ({candidates}) WHERE seq {beyond} $here AND seq <= $last"
    found = rows(sql, {"here": seq, "last": last_seq, **(params or {})})[0]["seq"]
    return None if found is None else int(found)


def _group_end(rows: Rows, last_seq: int, seq: int, columns: tuple[str, ...], forward: bool) -> int | None:
    """Where the group of events after this one ends, or the group before this one's.

    Turns, steps and sessions only ever count up, so that the events of one stand together.
    """
    if not (seq < last_seq if forward else seq > 1):
        return None
    same = " AND ".join(f"{name} = (SELECT {name} FROM events WHERE seq_from = $of)" for name in columns)
    if forward:
        found = rows(f"SELECT max(seq_from) AS seq FROM events WHERE {same}", {"of": seq + 1})[0]["seq"]
        return min(int(found or seq + 1), last_seq)
    found = rows(f"SELECT min(seq_from) AS seq FROM events WHERE {same}", {"of": seq})[0]["seq"]
    # In the first group there is nothing before it but the beginning.
    return max(1, int(found or seq) - 1)


def item(text: str) -> Item:
    """`block:<label>`, a message's or a passage's id, as an item.

    Raises:
        EditRefused: it names none of them.
    """
    if text.startswith("block:"):
        return Item("blocks", text.removeprefix("block:"))
    if ITEM.fullmatch(text):
        return Item("messages" if text.startswith("m") else "passages", text)
    raise EditRefused(f"“{text[:60]}” is no block, message or passage.")


def last_change(rows: Rows, read: Read, last_seq: int, text: str, seq: int, forward: bool) -> Reached | None:
    """The event that next changed an item after event `seq`, or last did before it; None when none did.

    A block is the one that has the label at event `seq`, and is followed through renamings. A message or passage is
    changed by what made, edited, deleted or restored it, and by what took it into the window or out of it. From
    behind the end of the log, at `last_seq + 1`, the last change is that of the present.

    Raises:
        EditRefused: the text names no item (see `item`).
    """
    wanted = item(text)
    if wanted.table == "blocks":
        return _block_change(rows, read, last_seq, wanted.name, seq, forward)
    candidates = (
        f"SELECT seq_from AS seq FROM {wanted.table} WHERE id = $item "
        f"UNION ALL SELECT seq_to FROM {wanted.table} WHERE id = $item "
        "UNION ALL SELECT seq_from FROM residency WHERE item = $item "
        "UNION ALL SELECT seq_to FROM residency WHERE item = $item "
        "UNION ALL SELECT seq_from FROM events WHERE kind = 'message_pinned' AND about = $item"
    )
    found = _first(rows, candidates, seq, last_seq, forward, {"item": wanted.name})
    return None if found is None else Reached(found, text)


def _block_change(rows: Rows, read: Read, last_seq: int, label: str, seq: int, forward: bool) -> Reached | None:
    if not forward and seq <= last_seq:
        label = _label_before(read, label, seq)
    about = f"SELECT seq_from AS seq FROM events WHERE kind IN ({_quoted(BLOCK_KINDS)}) AND about = $label"
    found = _first(rows, about, seq, last_seq, forward, {"label": label[:ABOUT_CHARS]})
    if forward:
        if found is None:
            return None
        event: Any = read(found)
        return Reached(found, f"block:{event.to if event.kind == 'block_renamed' else label}")
    # A block that came by its label is not in the rows under it.
    renamed = rows(
        "SELECT seq_from AS seq FROM events WHERE kind = 'block_renamed' AND seq_from < $here AND seq_from > $after "
        "ORDER BY seq_from DESC",
        {"here": seq, "after": found or 0},
    )
    for row in renamed:
        change: Any = read(row["seq"])
        if change.to == label:
            return Reached(change.seq, f"block:{label}")
    # What was called so before this went on under another label: that is another block's life.
    away = found is not None and read(found).kind == "block_renamed"
    return None if found is None or away else Reached(found, f"block:{label}")


def _label_before(read: Read, label: str, seq: int) -> str:
    """What the block was called before event `seq`, when that is the event that gave it the label."""
    event: Any = read(seq)
    return str(event.block) if event.kind == "block_renamed" and event.to == label else label
