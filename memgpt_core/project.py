"""What the log means for the stores: `project(before, event) -> row changes`, a pure function.

Rows are versions: `seq_from` is the event that made this version, `seq_to` the one that ended it (None
while current). *As of n* is `seq_from <= n and (seq_to is None or seq_to > n)`, in every table.

`residency` holds the intervals in which an item's text was in the window: by its own `slot`, as a `copy`
inside another message (a search result), or by a `requeue`. Page-ins, page faults and the working set are
read from it.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from memgpt_core.events import Event, queues_message
from memgpt_core.prompt import SECTIONS, warning_text
from memgpt_core.prompt import sent_text as sent_text
from memgpt_core.state import State

_BEGAN = {
    "seq_from": "BIGINT",
    "seq_to": "BIGINT",
    "at": "TIMESTAMPTZ",
    "session": "INTEGER",
    "turn": "INTEGER",
    "step": "INTEGER",
}
"""Which event made a version and which ended it, and where in the life of the agent the item is from."""

COLUMNS: dict[str, dict[str, str]] = {
    "messages": {
        "id": "VARCHAR",
        **_BEGAN,
        "role": "VARCHAR",
        "kind": "VARCHAR",
        "text": "VARCHAR",
        "thoughts": "VARCHAR",
        "tokens": "INTEGER",
    },
    "passages": {
        "id": "VARCHAR",
        **_BEGAN,
        "text": "VARCHAR",
        "tags": "VARCHAR[]",
        "source": "VARCHAR",
        "author": "VARCHAR",
        "document": "VARCHAR",
        "title_path": "VARCHAR",
    },
    "documents": {
        "id": "VARCHAR",
        **_BEGAN,
        "name": "VARCHAR",
        "media": "VARCHAR",
        "title": "VARCHAR",
        "extract": "VARCHAR",
        "bytes": "BIGINT",
        "chars": "BIGINT",
        "pages": "INTEGER",
        "passages": "INTEGER",
        "sections": "INTEGER",
        "raw": "VARCHAR",
        "text": "VARCHAR",
        "manifest": "VARCHAR",
        "extractor": "INTEGER",
        "splitter": "INTEGER",
        "notes": "VARCHAR[]",
        "tags": "VARCHAR[]",
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
        **_BEGAN,
        "kind": "VARCHAR",
        "author": "VARCHAR",
        "about": "VARCHAR",
        "tokens": "INTEGER",
        "seconds": "DOUBLE",
        "ok": "BOOLEAN",
        "capped": "VARCHAR",
        "prefetched": "INTEGER",
        "saved_s": "DOUBLE",
    },
    "prompts": {
        **_BEGAN,
        "purpose": "VARCHAR",
        **{f"{section}_tokens": "INTEGER" for section in SECTIONS},
        "total_tokens": "INTEGER",
        "prefix_tokens": "INTEGER",
        "window_tokens": "INTEGER",
        "limit_tokens": "INTEGER",
        "warn_tokens": "INTEGER",
        "flush_tokens": "INTEGER",
        "counted_by": "VARCHAR",
    },
    "replies": {
        **_BEGAN,
        "purpose": "VARCHAR",
        "calls": "INTEGER",
        "prompt_tokens": "INTEGER",
        "cached_tokens": "INTEGER",
        "reply_tokens": "INTEGER",
        "served_window": "INTEGER",
        "seconds": "DOUBLE",
        "load_s": "DOUBLE",
        "prefill_s": "DOUBLE",
        "generate_s": "DOUBLE",
    },
}
"""Every table of the row store: column name to DuckDB type, in order. `at` is UTC.

`events.about` is what the event is about: a block's label, a message's or passage's id, a function's or
note's name, a search's query, a trigger's cause, the reason a turn ended. `events.tokens` is what it put into
main context (a flush: what it freed). `events.capped` is the cap that refused a call; `prefetched` and `saved_s` are
`Measured`'s. `passages.document` is the document a passage is of, else empty, and `title_path` the headings it stands
under there. Where in the document it stands is in the manifest of the version: a paragraph more at its beginning moves
all passages and changes none.

`prompts` and `replies` are one row a model call, in the same order but for calls that failed; their token counts are
ours in `prompts` and the model server's in `replies`.
"""

SCHEMA_VERSION = 3
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


class Reopen(NamedTuple):
    """The last version of the row with this `id`, which has ended, goes on from `seq`, with `changes` if any."""

    table: str
    id: str
    seq: int
    changes: Mapping[str, Any] = MappingProxyType({})


class Files(NamedTuple):
    """What cold storage has of one version of a document, each by its sha256."""

    raw: str
    text: str
    manifest: str


class Unfold(NamedTuple):
    """The standing passages of a document become those of a manifest, with None none at all.

    Those that are new begin at `seq` as `row` with their own id, text and titles; those that are not in it end there.
    """

    document: str
    seq: int
    files: Files | None
    row: Mapping[str, Any] = MappingProxyType({})

    @property
    def table(self) -> str:
        """Where its rows stand."""
        return "passages"


Change = Insert | Revise | Close | Reopen | Unfold

ROLES = {
    "trigger_received": "system",
    "model_replied": "assistant",
    "function_returned": "function",
    "pressure_warned": "system",
    "hits_placed": "system",
}
"""The role of a message row by the kind that queued it; a user trigger is `user`."""


def project(before: State, event: Event) -> list[Change]:
    """The row changes `event` makes on stores that stand at `before`, in the order they must be taken."""
    changes: list[Change] = [Insert("events", _event_row(event))]
    if event.kind in _CHANGES:
        changes += _CHANGES[event.kind](before, event)
    if queues_message(event):
        changes += _message(before, event)
    return changes


def _prompt_built(before: State, event: Any) -> list[Change]:
    return [Insert("prompts", _prompt_row(before, event))]


def _model_replied(before: State, event: Any) -> list[Change]:
    return [Insert("replies", _reply_row(event))]


def _queue_flushed(before: State, event: Any) -> list[Change]:
    return _leave(event.evicted, event.seq)


def _message_edited(before: State, event: Any) -> list[Change]:
    return [Revise("messages", event.message, event.seq, {"text": event.text, "tokens": event.measured.tokens})]


def _message_deleted(before: State, event: Any) -> list[Change]:
    return [Close("messages", "id", (event.message,), event.seq), *_leave((event.message,), event.seq)]


def _message_restored(before: State, event: Any) -> list[Change]:
    changes: list[Change] = [Reopen("messages", event.message, event.seq)]
    slots = [entry for entry in before.hidden if entry.id == event.message and event.queued]
    for entry in slots:
        changes.append(_interval(entry.id, entry.id, "slot", event))
        changes += [_interval(item, entry.id, "copy", event) for item in entry.holds]
    return changes


def _message_requeued(before: State, event: Any) -> list[Change]:
    copies = [_enter(before, item, event.message, "copy", event) for item in event.holds]
    return [_enter(before, event.message, event.message, "requeue", event), *copies]


def _archival_inserted(before: State, event: Any) -> list[Change]:
    row = {
        "id": f"p{event.seq}",
        "seq_from": event.seq,
        "seq_to": None,
        **_when(event),
        "text": event.text,
        "tags": list(event.tags),
        "source": event.source,
        "author": event.author,
        "document": "",
        "title_path": "",
    }
    return [Insert("passages", row)]


def _archival_edited(before: State, event: Any) -> list[Change]:
    revised = {"text": event.text, "tags": list(event.tags), "author": event.author}
    return [Revise("passages", event.passage, event.seq, revised)]


def _archival_deleted(before: State, event: Any) -> list[Change]:
    return [Close("passages", "id", (event.passage,), event.seq)]


def _archival_restored(before: State, event: Any) -> list[Change]:
    changes: dict[str, Any] = {} if event.text is None else {"text": event.text, "author": event.author}
    if event.tags is not None:
        changes["tags"] = list(event.tags)
    return [Reopen("passages", event.passage, event.seq, changes)]


def _document_ingested(before: State, event: Any) -> list[Change]:
    columns = {name: getattr(event, name) for name in COLUMNS["documents"] if name not in _STAMPED}
    columns |= {**_when(event), "notes": list(event.notes), "tags": list(event.tags)}
    passage = {"seq_from": event.seq, "seq_to": None, **_when(event), "tags": list(event.tags), "source": event.name}
    unfold = Unfold(
        event.id,
        event.seq,
        Files(event.raw, event.text, event.manifest),
        {**passage, "author": event.author, "document": event.id},
    )
    if event.document:
        return [Revise("documents", event.document, event.seq, columns), unfold]
    return [Insert("documents", {"id": event.id, "seq_from": event.seq, "seq_to": None, **columns}), unfold]


_STAMPED = frozenset({"id", "seq_from", "seq_to"})


def _document_removed(before: State, event: Any) -> list[Change]:
    return [Close("documents", "id", (event.document,), event.seq), Unfold(event.document, event.seq, None)]


ABOUT_CHARS = 200
"""How much of a query stands in a row of `events`; the whole is in the log."""

_ABOUT = ("block", "message", "passage", "query", "name", "cause", "reason", "where", "purpose")
"""The field that says what an event is about: the first of these that it has."""


def _event_row(event: Any) -> dict[str, Any]:
    measured = getattr(event, "measured", None)
    about = next((getattr(event, field) for field in _ABOUT if hasattr(event, field)), "")
    tokens = measured.tokens if measured else None
    if event.kind == "queue_flushed":
        tokens = event.tokens_before - event.tokens_after
    elif event.kind == "prompt_built":
        tokens = sum(event.sections.values())
    return {
        "seq_from": event.seq,
        "seq_to": None,
        **_when(event),
        "kind": event.kind,
        "author": getattr(event, "author", ""),
        "about": about[:ABOUT_CHARS],
        "tokens": tokens,
        "seconds": measured.seconds if measured else None,
        "ok": getattr(event, "ok", None),
        "capped": getattr(event, "capped", None),
        "prefetched": measured.prefetched if measured else None,
        "saved_s": measured.saved_s if measured else None,
    }


def _prompt_row(before: State, event: Any) -> dict[str, Any]:
    return {
        "seq_from": event.seq,
        "seq_to": None,
        **_when(event),
        "purpose": event.purpose,
        **{f"{section}_tokens": event.sections.get(section, 0) for section in SECTIONS},
        "total_tokens": sum(event.sections.values()),
        "prefix_tokens": event.prefix_tokens,
        "window_tokens": event.window_tokens,
        "limit_tokens": event.limit_tokens,
        "warn_tokens": before.settings.warn_tokens,
        "flush_tokens": before.settings.flush_tokens,
        "counted_by": event.counted_by,
    }


def _reply_row(event: Any) -> dict[str, Any]:
    measured = event.measured
    return {
        "seq_from": event.seq,
        "seq_to": None,
        **_when(event),
        "purpose": event.purpose,
        "calls": len(event.calls),
        "prompt_tokens": measured.prompt_tokens,
        "cached_tokens": measured.cached_tokens,
        "reply_tokens": measured.reply_tokens,
        "served_window": measured.served_window,
        "seconds": measured.seconds,
        "load_s": measured.load_s,
        "prefill_s": measured.prefill_s,
        "generate_s": measured.generate_s,
    }


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
    if event.kind in ("trigger_received", "hits_placed"):
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
    return _interval(item, carrier, how, event, fault=fault)


def _interval(item: str, carrier: str, how: str, event: Event, *, fault: bool = False) -> Insert:
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


_CHANGES: dict[str, Callable[[State, Any], list[Change]]] = {
    "prompt_built": _prompt_built,
    "model_replied": _model_replied,
    "queue_flushed": _queue_flushed,
    "message_edited": _message_edited,
    "message_deleted": _message_deleted,
    "message_restored": _message_restored,
    "message_requeued": _message_requeued,
    "archival_inserted": _archival_inserted,
    "archival_edited": _archival_edited,
    "archival_deleted": _archival_deleted,
    "archival_restored": _archival_restored,
    "document_ingested": _document_ingested,
    "document_removed": _document_removed,
}
"""What a kind changes beside its row in `events` and the message it queues."""
