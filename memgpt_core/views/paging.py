"""What left the window and what came into it during some events.

Takes the events, the residency rows of the same stretch and the items' rows; a page out is read from the
flush that caused it, a page in from the interval it opened.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from memgpt_core.events import Event

EXCERPT_CHARS = 90


class PagedOut(NamedTuple):
    """One flush: which messages left, why, and what stands for them."""

    seq: int
    ids: tuple[str, ...]
    why: str
    freed_tokens: int
    tokens_before: int
    tokens_after: int
    summary: str
    summarised_by: str
    excerpts: tuple[tuple[str, str], ...]


class PagedIn(NamedTuple):
    """One item that came into the window.

    Attributes:
        how: `copy` (inside a search result) or `requeue` (its own slot again).
        carrier: the message that holds it.
        fault: it had left and was nowhere in the window.
        brought_by: the call that brought it, as `name "query"`, or the retrieval policy.
    """

    seq: int
    item: str
    tier: str
    how: str
    carrier: str
    fault: bool
    brought_by: str
    excerpt: str


WHY = {
    "flush_mark": "the flush mark was passed",
    "overflow": "the model server said that the prompt is longer than its window",
}


def ids_of(events: Sequence[Event], residency: Iterable[Mapping[str, Any]]) -> list[str]:
    """Ids whose rows `paged_out` and `paged_in` want, each once."""
    found: dict[str, None] = {}
    for event in events:
        if event.kind == "queue_flushed":
            found.update(dict.fromkeys(event.evicted))
    found.update(dict.fromkeys(row["item"] for row in residency if row["how"] != "slot"))
    return list(found)


def paged_out(events: Iterable[Event], items: Mapping[str, Mapping[str, Any]]) -> list[PagedOut]:
    """The flushes among these events, oldest first."""
    return [
        PagedOut(
            seq=event.seq,
            ids=event.evicted,
            why=WHY[event.trigger],
            freed_tokens=event.tokens_before - event.tokens_after,
            tokens_before=event.tokens_before,
            tokens_after=event.tokens_after,
            summary=event.summary,
            summarised_by=event.summarised_by,
            excerpts=tuple((id, excerpt(items.get(id))) for id in event.evicted),
        )
        for event in events
        if event.kind == "queue_flushed"
    ]


def paged_in(
    events: Iterable[Event], residency: Iterable[Mapping[str, Any]], items: Mapping[str, Mapping[str, Any]]
) -> list[PagedIn]:
    """The items that came in otherwise than by being new, oldest first."""
    carriers = {f"m{event.seq}": event for event in events}
    return [
        PagedIn(
            seq=row["seq_from"],
            item=row["item"],
            tier="archival" if row["item"].startswith("p") else "recall",
            how=row["how"],
            carrier=row["carrier"],
            fault=bool(row["fault"]),
            brought_by=brought_by(carriers.get(row["carrier"])),
            excerpt=excerpt(items.get(row["item"])),
        )
        for row in sorted(residency, key=lambda row: (row["seq_from"], row["item"]))
        if row["how"] != "slot"
    ]


def brought_by(event: Any) -> str:
    """The call or policy that put items into the window, in words; empty when it is not known."""
    if event is not None and event.kind == "hits_placed":
        return f"the retrieval policy, for “{event.query}”"
    if event is None or event.kind != "function_returned":
        return ""
    if isinstance(event.arguments, str):
        return str(event.name)
    asked = event.arguments.get("query") or " to ".join(
        str(event.arguments[name]) for name in ("start_date", "end_date") if event.arguments.get(name)
    )
    return f"{event.name} “{asked}”" if asked else str(event.name)


def excerpt(row: Mapping[str, Any] | None) -> str:
    """The beginning of a row's text on one line; empty when the row or its text is missing."""
    if row is None:
        return ""
    text = " ".join(str(row.get("text") or row.get("thoughts") or "").split())
    return text if len(text) <= EXCERPT_CHARS else text[: EXCERPT_CHARS - 1].rstrip() + "…"
