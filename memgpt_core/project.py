"""What the log means for the stores: `project(before, event) -> row changes`, a pure function.

Rows are versions: `seq_from` is the event that made this version, `seq_to` the one that ended it (None
while current). *As of n* is `seq_from <= n and (seq_to is None or seq_to > n)`, in every table.

`residency` holds the intervals in which an item's text was in the window: by its own `slot`, as a `copy`
inside another message (a search result), or by a `requeue`. Page-ins, page faults and the working set are
read from it.
"""

from typing import Any, NamedTuple

from memgpt_core.events import Event, queues_message
from memgpt_core.prompt import warning_text
from memgpt_core.state import State

COLUMNS: dict[str, dict[str, str]] = {
    "messages": {
        "id": "VARCHAR",
        "seq_from": "BIGINT",
        "seq_to": "BIGINT",
        "at": "TIMESTAMPTZ",
        "session": "INTEGER",
        "turn": "INTEGER",
        "step": "INTEGER",
        "role": "VARCHAR",
        "kind": "VARCHAR",
        "text": "VARCHAR",
        "thoughts": "VARCHAR",
        "tokens": "INTEGER",
    },
    "passages": {
        "id": "VARCHAR",
        "seq_from": "BIGINT",
        "seq_to": "BIGINT",
        "at": "TIMESTAMPTZ",
        "session": "INTEGER",
        "turn": "INTEGER",
        "step": "INTEGER",
        "text": "VARCHAR",
        "tags": "VARCHAR[]",
        "source": "VARCHAR",
        "author": "VARCHAR",
    },
    "residency": {
        "item": "VARCHAR",
        "carrier": "VARCHAR",
        "how": "VARCHAR",
        "seq_from": "BIGINT",
        "seq_to": "BIGINT",
        "turn": "INTEGER",
        "fault": "BOOLEAN",
    },
    "events": {
        "seq_from": "BIGINT",
        "seq_to": "BIGINT",
        "at": "TIMESTAMPTZ",
        "session": "INTEGER",
        "turn": "INTEGER",
        "step": "INTEGER",
        "kind": "VARCHAR",
    },
}
"""Every table of the row store: column name to DuckDB type, in order. `at` is UTC."""

SCHEMA_VERSION = 1
"""Raised when `COLUMNS` or the meaning of a row changes; a store of another version is rebuilt."""


class Insert(NamedTuple):
    """A new current row; `row` has a value for every column of the table."""

    table: str
    row: dict[str, Any]


class Revise(NamedTuple):
    """The current row whose `id` is this ends at `seq`, and a copy of it with `changes` begins there."""

    table: str
    id: str
    seq: int
    changes: dict[str, Any]


class Close(NamedTuple):
    """Current rows whose `column` is one of `values` end at `seq`."""

    table: str
    column: str
    values: tuple[str, ...]
    seq: int


Change = Insert | Revise | Close

ROLES = {
    "trigger_received": "system",
    "model_replied": "assistant",
    "function_returned": "function",
    "pressure_warned": "system",
}
"""The role of a message row by the kind that queued it; a user trigger is `user`."""


def sent_text(event: Any) -> str:
    """What the user saw of a reply: the messages of its send_message calls, else empty."""
    texts = [
        call.arguments["message"]
        for call in event.calls
        if call.name == "send_message" and isinstance(call.arguments, dict) and "message" in call.arguments
    ]
    return "\n".join(str(text) for text in texts)


def project(before: State, event: Event) -> list[Change]:
    """The row changes `event` makes on stores that stand at `before`, in the order they must be taken."""
    changes: list[Change] = [
        Insert("events", {"seq_from": event.seq, "seq_to": None, **_when(event), "kind": event.kind})
    ]
    kind: str = event.kind
    item: Any = event
    if queues_message(event):
        changes += _message(before, item)
    elif kind == "queue_flushed":
        changes += _leave(item.evicted, event.seq)
    elif kind == "message_edited":
        changes.append(Revise("messages", item.message, event.seq, {"text": item.text, "tokens": item.measured.tokens}))
    elif kind == "message_deleted":
        changes.append(Close("messages", "id", (item.message,), event.seq))
        changes += _leave((item.message,), event.seq)
    elif kind == "message_requeued":
        changes.append(_enter(before, item.message, item.message, "requeue", event))
    elif kind == "archival_inserted":
        changes.append(
            Insert(
                "passages",
                {
                    "id": f"p{event.seq}",
                    "seq_from": event.seq,
                    "seq_to": None,
                    **_when(event),
                    "text": item.text,
                    "tags": list(item.tags),
                    "source": item.source,
                    "author": item.author,
                },
            )
        )
    elif kind == "archival_edited":
        revised = {"text": item.text, "tags": list(item.tags), "author": item.author}
        changes.append(Revise("passages", item.passage, event.seq, revised))
    elif kind == "archival_deleted":
        changes.append(Close("passages", "id", (item.passage,), event.seq))
    return changes


def _when(event: Event) -> dict[str, Any]:
    return {"at": event.at, "session": event.session, "turn": event.turn, "step": event.step}


def _message(before: State, event: Any) -> list[Change]:
    id = f"m{event.seq}"
    role = "user" if event.kind == "trigger_received" and event.cause == "user" else ROLES[event.kind]
    text, thoughts = _texts(event)
    row = {
        "id": id,
        "seq_from": event.seq,
        "seq_to": None,
        **_when(event),
        "role": role,
        "kind": event.kind,
        "text": text,
        "thoughts": thoughts,
        "tokens": event.measured.tokens or 0,
    }
    copies = [_enter(before, item, id, "copy", event) for item in getattr(event, "holds", ())]
    return [Insert("messages", row), _enter(before, id, id, "slot", event), *copies]


def _texts(event: Any) -> tuple[str, str]:
    """(what was said, what was thought) in the message an event queued."""
    if event.kind == "trigger_received":
        return event.text, ""
    if event.kind == "model_replied":
        if not event.calls:
            return event.content, event.thinking
        return sent_text(event), "\n".join(part for part in (event.thinking, event.content) if part)
    if event.kind == "function_returned":
        return event.value, ""
    return warning_text(event), ""


def _enter(before: State, item: str, carrier: str, how: str, event: Event) -> Insert:
    """An interval opens; it is a page fault when a message that had left comes back from nowhere in the window."""
    fault = how != "slot" and item.startswith("m") and not before.holds(item)
    row = {
        "item": item,
        "carrier": carrier,
        "how": how,
        "seq_from": event.seq,
        "seq_to": None,
        "turn": event.turn,
        "fault": fault,
    }
    return Insert("residency", row)


def _leave(carriers: tuple[str, ...], seq: int) -> list[Change]:
    return [Close("residency", "carrier", carriers, seq)]
