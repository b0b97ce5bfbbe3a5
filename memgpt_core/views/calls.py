"""The function calls of some events: what was asked, what came back, how long it took."""

import json
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from memgpt_core.events import Event
from memgpt_core.prompt import clipped

TIERS = {
    "core_memory_append": "working_context",
    "core_memory_replace": "working_context",
    "memory_insert": "working_context",
    "memory_rethink": "working_context",
    "conversation_search": "recall",
    "conversation_search_date": "recall",
    "archival_memory_insert": "archival",
    "archival_memory_search": "archival",
    "document_list": "cold",
    "document_outline": "cold",
    "document_open": "cold",
    "document_search": "archival",
    "note_write": "notes",
    "note_read": "notes",
    "note_list": "notes",
    "send_message": "messages",
}
"""The memory tier a function touches; others touch none."""


class CallRow(NamedTuple):
    """One function call.

    Attributes:
        seq: its `function_returned`, or the reply that asked for it while there is none.
        arguments: (name, value) as text, in the model's order.
        outcome: `ok`, `failed` (handed back to the model), `running`, `waiting` for the one before it, or `not run`.
        seconds: wall time; None when it was not measured.
        heartbeat: the model gets control back right after it.
    """

    seq: int
    step: int
    name: str
    tier: str
    arguments: tuple[tuple[str, str], ...]
    outcome: Literal["ok", "failed", "running", "waiting", "not run"]
    value: str
    seconds: float | None
    heartbeat: bool


_Key = tuple[int, str, int]


def calls(events: Iterable[Event]) -> list[CallRow]:
    """Every call of these events, oldest first.

    The first one without a result is `running`, those behind it are `waiting`; once the turn has ended they
    are `not run`.
    """
    rows: dict[_Key, CallRow] = {}
    for event in events:
        if event.kind == "model_replied" and event.purpose == "turn":
            for index, call in enumerate(event.calls):
                rows[event.step, call.id, index] = _asked(event, call, first=index == 0)
        elif event.kind == "function_returned":
            rows[_answered(rows, event)] = _returned(event)
            _start_next(rows)
        elif event.kind == "turn_ended":
            for key, row in rows.items():
                if row.outcome in ("running", "waiting"):
                    rows[key] = row._replace(outcome="not run")
    return list(rows.values())


def _answered(rows: dict[_Key, CallRow], event: Any) -> _Key:
    """The oldest row this result answers; ids alone are not enough, a model may repeat one."""
    for key, row in rows.items():
        if key[:2] == (event.step, event.call_id) and row.outcome in ("running", "waiting"):
            return key
    return event.step, event.call_id, -event.seq


def _start_next(rows: dict[_Key, CallRow]) -> None:
    for key, row in rows.items():
        if row.outcome == "waiting":
            rows[key] = row._replace(outcome="running")
            return


def _asked(event: Any, call: Any, *, first: bool) -> CallRow:
    return CallRow(
        seq=event.seq,
        step=event.step,
        name=call.name,
        tier=TIERS.get(call.name, ""),
        arguments=pairs(call.arguments),
        outcome="running" if first else "waiting",
        value="",
        seconds=None,
        heartbeat=False,
    )


def _returned(event: Any) -> CallRow:
    return CallRow(
        seq=event.seq,
        step=event.step,
        name=event.name,
        tier=TIERS.get(event.name, ""),
        arguments=pairs(event.arguments),
        outcome="ok" if event.ok else "failed",
        value=clipped(event.value, event.clip),
        seconds=event.measured.seconds,
        heartbeat=event.heartbeat,
    )


def pairs(arguments: dict[str, Any] | str) -> tuple[tuple[str, str], ...]:
    """A call's arguments as (name, value) in the model's order, each value as text."""
    if isinstance(arguments, str):
        return (("as written", arguments),)
    return tuple(
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in arguments.items()
    )
