"""What the core memory page reads: a block's life through renamings and deletions, and what caused a change.

Finds events by rows and reads only those it shows, so that a page costs the same however long the log is.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from memgpt_core.project import ABOUT_CHARS
from memgpt_core.views.blocks import KINDS, TEXT_KINDS, Change, change, text_of
from memgpt_core.workspace import Workspace

DEFINITIONS = 50
"""How many changes of a block's frame are looked through for where it came from."""


class Stretch(NamedTuple):
    """The events `first` to `last`, both included, in which a block went by one label."""

    label: str
    first: int
    last: int


Life = tuple[Stretch, ...]
"""Newest first."""


class Deleted(NamedTuple):
    """A block that is not there any more: the event that deleted it, and the text it had."""

    label: str
    seq: int
    author: str
    text: str


def life(ws: Workspace, label: str, at: int) -> Life:
    """The stretches of a block's life up to event `at`, through every other label it had."""
    found: list[Stretch] = []
    last = at
    for renamed in _renames(ws, "<= ?", at, "DESC"):
        if renamed.to == label:
            found.append(Stretch(label, renamed.seq + 1, last))
            label, last = renamed.block, renamed.seq
        elif renamed.block == label:
            # What was called so before this went on under another label: that is another block's life.
            return (*found, Stretch(label, renamed.seq + 1, last))
    return (*found, Stretch(label, 1, last))


def label_now(ws: Workspace, label: str, at: int) -> str:
    """What the block that had this label at event `at` is called by now; empty when it was deleted since."""
    for renamed in _renames(ws, "> ?", at, "ASC"):
        if renamed.block == label:
            label = renamed.to
    return label if label in ws.state().blocks else ""


def count(ws: Workspace, stretches: Life) -> int:
    """How many changes a block has seen."""
    return int(_select(ws, stretches, KINDS, what="count(*) AS n")[0]["n"])


def changes(ws: Workspace, stretches: Life, offset: int, limit: int) -> list[Change]:
    """Changes of a block, newest first."""
    seqs = _seqs(ws, stretches, KINDS, f"LIMIT {limit + 1} OFFSET {offset}")
    events: list[Any] = [ws.event(seq) for seq in seqs]
    told = []
    for at, event in enumerate(events[:limit]):
        if event.kind != "block_defined":
            told.append(change(event))
            continue
        before = _until(stretches, event.seq - 1)
        deleted = at + 1 < len(events) and events[at + 1].kind == "block_deleted"
        told.append(
            change(
                event,
                _newest(ws, before, TEXT_KINDS),
                _newest(ws, before, ("block_defined",)),
                was_deleted=deleted,
            )
        )
    return told


def texts(ws: Workspace, stretches: Life, most: int) -> tuple[Iterator[tuple[int, str]], bool]:
    """The newest `most` versions of a block as (event, text), read as they are asked for; whether these are all."""
    seqs = _seqs(ws, stretches, TEXT_KINDS, f"LIMIT {most + 1}")
    return ((seq, text_of(ws.event(seq))) for seq in seqs[:most]), len(seqs) <= most


def last_text(ws: Workspace, stretches: Life) -> Any:
    """The event that gave the block its last text; None when it never had one."""
    return _newest(ws, stretches, TEXT_KINDS)


def last_edit(ws: Workspace, stretches: Life) -> Any:
    """The last event that changed the text, which undo takes back; None when none did."""
    return _newest(ws, stretches, ("working_context_edited",))


def events(ws: Workspace, stretches: Life, most: int) -> list[Any]:
    """The newest events that gave the block a text."""
    return [ws.event(seq) for seq in _seqs(ws, stretches, TEXT_KINDS, f"LIMIT {most}")]


def origin(ws: Workspace, stretches: Life) -> str:
    """Where the block was copied from when it was made, `agent_id/label`; empty when it was not."""
    for seq in _seqs(ws, stretches, ("block_defined",), f"LIMIT {DEFINITIONS}"):
        made: Any = ws.event(seq)
        if made.origin:
            return str(made.origin)
        older = None if made.based_on else _newest(ws, _until(stretches, seq - 1), TEXT_KINDS)
        # Based on nothing it is the first of a life, unless it brings a deleted block back as it was.
        if not made.based_on and (older is None or text_of(older) != made.value):
            return ""
    return ""


def deleted(ws: Workspace, at: int, most: int) -> list[Deleted]:
    """Blocks deleted up to event `at` and not there at it, the last one first."""
    present = ws.state(at).blocks
    rows = ws.rows(
        "SELECT about, max(seq_from) FILTER (kind = 'block_deleted') AS seq, "
        "max(seq_from) FILTER (kind = 'block_defined') AS made FROM events "
        "WHERE kind IN ('block_deleted', 'block_defined') AND seq_from <= ? "
        "GROUP BY about HAVING seq IS NOT NULL AND (made IS NULL OR made < seq) ORDER BY seq DESC",
        [at],
    )
    found: list[Deleted] = []
    for row in rows:
        event: Any = ws.event(row["seq"])
        if event.block not in present and len(found) < most:
            last = last_text(ws, life(ws, event.block, event.seq))
            found.append(Deleted(event.block, event.seq, event.author, text_of(last) if last is not None else ""))
    return found


def causes(ws: Workspace, seqs: Iterable[int]) -> dict[int, str]:
    """The message that caused each of these events, by event: the last trigger of its turn before it.

    Only the agent's own doings have one.
    """
    events: list[Any] = [ws.event(seq) for seq in sorted(set(seqs))]
    events = [event for event in events if event.author == "agent"]
    if not events:
        return {}
    turns = sorted({event.turn for event in events})
    rows = ws.rows(
        "SELECT seq_from AS seq, turn FROM events WHERE kind = 'trigger_received' "
        f"AND turn IN ({', '.join('?' * len(turns))}) ORDER BY seq_from",
        turns,
    )
    found = {}
    for event in events:
        before = [row["seq"] for row in rows if row["turn"] == event.turn and row["seq"] < event.seq]
        if before:
            found[event.seq] = f"m{before[-1]}"
    return found


def _renames(ws: Workspace, where: str, at: int, order: str) -> Iterator[Any]:
    rows = ws.rows(
        f"SELECT seq_from AS seq FROM events WHERE kind = 'block_renamed' AND seq_from {where} ORDER BY 1 {order}", [at]
    )
    return (ws.event(row["seq"]) for row in rows)


def _until(stretches: Life, last: int) -> Life:
    return tuple(one._replace(last=min(one.last, last)) for one in stretches if one.first <= last)


def _newest(ws: Workspace, stretches: Life, kinds: tuple[str, ...]) -> Any:
    seqs = _seqs(ws, stretches, kinds, "LIMIT 1")
    return ws.event(seqs[0]) if seqs else None


def _seqs(ws: Workspace, stretches: Life, kinds: tuple[str, ...], page: str) -> list[int]:
    rows = _select(ws, stretches, kinds, what="seq_from AS seq", page=f"ORDER BY seq_from DESC {page}")
    return [int(row["seq"]) for row in rows]


def _select(
    ws: Workspace, stretches: Life, kinds: tuple[str, ...], *, what: str, page: str = ""
) -> list[dict[str, Any]]:
    if not stretches:
        return ws.rows(f"SELECT {what} FROM events WHERE false")
    places = " OR ".join(["(about = ? AND seq_from BETWEEN ? AND ?)"] * len(stretches))
    params: list[Any] = [*kinds]
    for one in stretches:
        params += [one.label[:ABOUT_CHARS], one.first, one.last]
    marks = ", ".join("?" * len(kinds))
    return ws.rows(f"SELECT {what} FROM events WHERE kind IN ({marks}) AND ({places}) {page}", params)
