"""What a shared recording draws of the agent at one event, and what changes from one event to the next.

A frame is a handful of small ordered tables: the window, the counters, the items of main context, the blocks,
the notes. `changes` between two frames is what the file carries for each event, `replayed` puts them on again;
the script in the file does the same. What only grows (the conversation, the marks) is `share_story`.
"""

from collections.abc import Mapping
from typing import Any

from memgpt_core.prompt import sections
from memgpt_core.state import Entry, State
from memgpt_core.views.blocks import AUTHORS
from memgpt_core.views.changes import model_text
from memgpt_core.views.window import gauge

Table = dict[str, Any]
"""Rows by key, in the order they are drawn; a row is plain JSON."""

Frame = dict[str, Table]
"""Every table at one event; the same tables in every frame."""

Changes = dict[str, dict[str, Any]]
"""By table: `set` (pairs of key and row, new ones at the end), `gone` (keys), `order` (keys, where it is another)."""


def frame(state: State, names: Mapping[str, str]) -> Frame:
    """The tables as they stand in `state`; `names` says what each queued message is (`name_of`), by its id."""
    return {
        "window": _window(state),
        "counts": _counts(state),
        "doing": _doing(state),
        "sections": {key: tokens for key, tokens in sections(state).items() if tokens},
        "items": dict(_items(state, names)),
        "blocks": {
            block.label: [
                block.value,
                block.description,
                AUTHORS[block.author],
                block.limit_chars,
                block.seq,
                block.tokens,
                block.read_only,
            ]
            for block in state.blocks.values()
        },
        "notes": {note.name: [note.seq, note.chars] for note in state.notes.values()},
    }


def _window(state: State) -> Table:
    level = gauge(state)
    return {**level._asdict(), "factor": state.token_factor, "exact": bool(state.counted_by)}


def _counts(state: State) -> Table:
    return {
        "messages": state.messages,
        "passages": state.passages,
        "flushes": state.flushes,
        "errors": state.faults,
        "calls": state.calls,
        "failed": state.failed_calls,
    }


def _doing(state: State) -> Table:
    return {
        "running": state.turn_open,
        "ended": state.turn_end,
        "waits": state.asked.name if state.asked else "",
        "model": model_text(state.settings.model),
    }


def _items(state: State, names: Mapping[str, str]) -> list[tuple[str, list[Any]]]:
    """Key and row of everything in main context: section, name, tokens before scaling, event, pinned, held ids."""
    head = state.instructions_seq
    found: list[tuple[str, list[Any]]] = [
        ("instructions", ["instructions", "System instructions", state.instructions_tokens, head, False, []]),
        ("schemas", ["schemas", "Function schemas", state.schemas_tokens, head, False, []]),
    ]
    found += [
        (f"block:{block.label}", ["working_context", f"Block {block.label}", block.tokens, block.seq, False, []])
        for block in state.blocks.values()
    ]
    if state.summary:
        name = f"Summary of {state.summary.covers:,} messages"
        found.append(("summary", ["summary", name, state.summary.tokens, state.summary.seq, False, []]))
    pinned = frozenset(state.pinned)
    for entry in state.queue:
        row = ["messages", _name(entry, names), entry.tokens, entry.text_seq, entry.id in pinned, list(entry.holds)]
        found.append((entry.id, row))
    return found


def _name(entry: Entry, names: Mapping[str, str]) -> str:
    name = names.get(entry.id, "Message")
    return f"Brought back: {name}" if entry.kind == "message_requeued" else name


_TRIGGERS = {
    "user": "User message",
    "login": "Login",
    "timer": "Timed heartbeat",
    "upload": "Upload",
    "review": "Session review",
}


def name_of(event: Any) -> str:
    """What the message that an event queues is, in a few words."""
    if event.kind == "trigger_received":
        return _TRIGGERS.get(event.cause, "System alert")
    if event.kind == "function_returned":
        return f"Result of {event.name}"
    if event.kind == "pressure_warned":
        return "Memory warning"
    if event.kind == "hits_placed":
        return "Placed by the system"
    called = ", ".join(call.name for call in event.calls)
    return f"Reply: {called}" if called else "Reply"


def changes(before: Frame, after: Frame) -> Changes:
    """What `replayed` needs to make `after` of `before`; tables that stay are left out."""
    found: Changes = {}
    for name, table in after.items():
        old = before[name]
        changed: dict[str, Any] = {}
        if gone := [key for key in old if key not in table]:
            changed["gone"] = gone
        if fresh := [[key, row] for key, row in table.items() if key not in old or old[key] != row]:
            changed["set"] = fresh
        if list(_put(old, changed)) != list(table):
            changed["order"] = list(table)
        if changed:
            found[name] = changed
    return found


def replayed(before: Frame, found: Changes) -> Frame:
    """The frame after these changes."""
    return {name: _put(table, found[name]) if name in found else table for name, table in before.items()}


def _put(table: Table, changed: dict[str, Any]) -> Table:
    gone = frozenset(changed.get("gone", ()))
    made = {key: row for key, row in table.items() if key not in gone}
    made.update((key, row) for key, row in changed.get("set", ()))
    return {key: made[key] for key in changed["order"]} if "order" in changed else made
