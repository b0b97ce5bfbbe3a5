"""The log for eyes: each event as one line of words, an event or a state as JSON, what a state holds.

Pure. Texts of models and people come out as they are but for characters that would not stay in their place on
screen (control characters, marks that turn the direction of writing), which are shown as what they are.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from memgpt_core.events import Event
from memgpt_core.state import State, prompt_parts

LINE_CHARS = 220
AROUND_CHARS = 40
SHOWN_CHARS = 4000
"""How much of one text stands in the JSON on screen; the whole is in the file."""


class Fact(NamedTuple):
    """One line of a summary: what it is, and what it says."""

    label: str
    says: str


def in_words(event: Event) -> str:
    """What happened, on one line."""
    told = _WORDS.get(event.kind)
    return one_line(told(event) if told else event.kind.replace("_", " ").capitalize())


def one_line(text: str, most: int = LINE_CHARS) -> str:
    """A text as one line of at most so many characters, with nothing in it that could leave the line."""
    # Cut first: a passage may have ten million characters.
    line = " ".join(text[: 4 * most].split())
    cut = len(line) > most or len(text) > 4 * most
    return plain(line[: most - 1] + "…" if cut else line)


def place_of(event: Event, text: str) -> str:
    """Where an event says a text, whatever the case of its letters: a little before it and after; empty if nowhere."""
    for value in _texts_of(event.model_dump(mode="json", exclude={"kind", "at"})):
        at = value.casefold().find(text.casefold())
        if at >= 0:
            start = max(0, at - AROUND_CHARS)
            piece = value[start : at + len(text) + AROUND_CHARS]
            after = "…" if start + len(piece) < len(value) else ""
            return one_line(f"{'…' if start else ''}{piece}{after}")
    return ""


def _texts_of(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts_of(inner)


_UNPLAIN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")


def plain(text: str) -> str:
    """Control characters and direction marks replaced by their names, `⟨RIGHT-TO-LEFT OVERRIDE⟩`."""
    return _UNPLAIN.sub(lambda found: f"⟨{_name(found[0])}⟩", text)


def _name(char: str) -> str:
    return unicodedata.name(char, f"U+{ord(char):04X}")


def as_json(value: Any) -> str:
    """A value as JSON to read: indented, long texts cut with how much is missing, nothing that would not stay put."""
    text = json.dumps(_cut(value), ensure_ascii=False, indent=2)
    # Inside JSON an escape is the plain form; line breaks between the fields are the writer's own.
    return _UNPLAIN.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text)


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > SHOWN_CHARS:
        return f"{value[:SHOWN_CHARS]}… (and {len(value) - SHOWN_CHARS:,} characters more)"
    if isinstance(value, dict):
        return {key: _cut(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_cut(inner) for inner in value]
    return value


def state_facts(state: State) -> list[Fact]:
    """What the agent is at one point, in a few lines."""
    settings = state.settings
    parts = prompt_parts(state)
    total = sum(part.tokens for part in parts)
    ended = state.turn_end or "not begun"
    waiting = f"; {state.asked.name} waits for a yes or no" if state.asked else ""
    ids = [entry.id for entry in state.queue]
    summary = state.summary
    return [
        Fact("Agent", f"{plain(state.name)} ({state.agent_id})"),
        Fact("Where", f"session {state.session}, turn {state.turn}, step {state.step}"),
        Fact("Turn", ("running" if state.turn_open else ended) + waiting),
        Fact("Main context", f"{total:,} of {settings.limit_tokens:,} tokens in {len(parts):,} parts"),
        Fact("Instructions, schemas", f"{state.instructions_tokens:,} and {state.schemas_tokens:,} tokens"),
        Fact(
            "Summary", f"{summary.tokens:,} tokens, stands for {summary.covers:,} messages" if summary else "none yet"
        ),
        Fact("Queue", f"{len(ids):,} messages" + (f", {ids[0]} to {ids[-1]}" if ids else "")),
        Fact("Pinned", ", ".join(state.pinned) or "none"),
        Fact("Stores", f"{state.messages:,} messages in recall, {state.passages:,} passages in archival"),
        Fact("Scratch notes", ", ".join(plain(name) for name in state.notes) or "none"),
        Fact("So far", f"{state.flushes:,} flushes, {state.faults:,} faults, {state.failed_calls:,} failed calls"),
        Fact(
            "Settings",
            f"{settings.model}, {settings.protocol} protocol, window {settings.window_tokens:,}, reserve "
            f"{settings.reserve_tokens:,}, warning at {settings.warn_tokens:,}, flush at {settings.flush_tokens:,}",
        ),
    ]


def block_facts(state: State) -> list[Fact]:
    """Each core memory block: how long it is, who wrote it last, and its text."""
    return [
        Fact(
            f"{plain(block.label)} · {len(block.value):,} of {block.limit_chars:,} characters"
            f"{', read-only' if block.read_only else ''} · {block.author}, event {block.seq:,}",
            block.value,
        )
        for block in state.blocks.values()
    ]


# --- one line a kind --------------------------------------------------------------------------------------------


def _tags(tags: tuple[str, ...]) -> str:
    return f" [{', '.join(tags)}]" if tags else ""


def _why(event: Any) -> str:
    return f" because: {event.reason}" if event.reason else ""


def _trigger_received(event: Any) -> str:
    who = {
        "user": "The user said",
        "system": "A system alert came",
        "login": "Login; last seen",
        "upload": "An upload was announced",
        "timer": "The timer woke the agent",
        "review": "The session is to be reread",
    }
    return f"{who.get(event.cause, event.cause)}: {event.text}"


def _prompt_built(event: Any) -> str:
    purpose = "the next step" if event.purpose == "turn" else "a summary"
    total = sum(event.sections.values())
    return f"Request for {purpose}: {total:,} of {event.limit_tokens:,} tokens, {event.prefix_tokens:,} unchanged"


def _model_replied(event: Any) -> str:
    if event.calls:
        salvaged = " (found in plain text)" if event.salvaged else ""
        return f"The model calls {', '.join(call.name for call in event.calls)}{salvaged}"
    what = "The model summarises" if event.purpose == "summary" else "The model writes"
    return f"{what}: {event.content}" if event.content else "The model answered with nothing"


def _function_returned(event: Any) -> str:
    return f"{event.name} {'gave' if event.ok else 'failed'}: {event.value}"


def _flushed(event: Any) -> str:
    return (
        f"{len(event.evicted):,} messages left the queue ({event.tokens_before:,} to {event.tokens_after:,} tokens), "
        f"{event.strategy.replace('_', ' ')}: {event.summary}"
    )


def _searched(event: Any) -> str:
    store = "Recall" if event.kind == "recall_searched" else "Archival"
    measured = event.measured
    hits = ", ".join(hit.id for hit in measured.hits or ()) or "nothing"
    return f"{store} searched for “{event.query}”, page {event.page}: {hits} of {measured.total or 0:,} found"


def _block_defined(event: Any) -> str:
    of = f" (copied from {event.origin})" if event.origin else ""
    return f"Block {event.block} defined by {event.author}{of}, at most {event.limit_chars:,} characters: {event.value}"


def _block_edited(event: Any) -> str:
    return f"Block {event.block} edited by {event.author}{_why(event)}: {event.after}"


_WORDS: dict[str, Callable[[Any], str]] = {
    "agent_created": lambda event: f"Agent {event.name} created, on {event.settings.model}",
    "agent_configured": lambda event: (
        f"New settings by {event.author}: model {event.settings.model}, window {event.settings.window_tokens:,} tokens"
    ),
    "agent_renamed": lambda event: f"Renamed to {event.name}" + (f": {event.about}" if event.about else ""),
    "run_forked": lambda event: (
        f"From here on this is {event.name} ({event.agent_id}); all before is a copy of "
        f"{event.origin_name} ({event.origin}) up to its event {event.origin_seq:,}"
    ),
    "history_imported": lambda event: (
        f"Events {event.first:,} to {event.seq - 1:,} were imported ({event.format}"
        + (f", {event.source})" if event.source else ")")
        + "".join(f"; {note}" for note in event.notes)
    ),
    "context_recounted": lambda event: (
        f"The window was counted anew, by {event.counted_by or 'the estimate'}: {len(event.counts):,} parts"
    ),
    "instructions_defined": lambda event: (
        f"Instructions and {len(event.schemas)} function schemas stored: {event.instructions}"
    ),
    "trigger_received": _trigger_received,
    "prompt_built": _prompt_built,
    "model_replied": _model_replied,
    "truncation_suspected": lambda event: (
        f"The server saw {event.server:,} of {event.ours:,} tokens: it has probably cut the prompt"
    ),
    "function_returned": _function_returned,
    "function_asked": lambda event: f"{event.name} waits for a yes or no",
    "function_answered": lambda event: f"A person said {'yes' if event.allowed else 'no'}{_why(event)}",
    "message_sent": lambda event: f"The agent said: {event.text}",
    "heartbeats_paused": lambda event: f"Timed heartbeats paused for {event.minutes:,} minutes",
    "stop_requested": lambda event: "A person stopped the turn",
    "fault_recorded": lambda event: f"Fault in the {event.where}: {event.error}",
    "turn_ended": lambda event: f"The turn ended: {event.reason.replace('_', ' ')}",
    "turn_resumed": lambda event: f"The turn runs on, by {event.author}",
    "pressure_warned": lambda event: (
        f"Memory pressure: {event.tokens:,} tokens, warning at {event.warn_tokens:,}, flush at {event.flush_tokens:,}"
    ),
    "queue_flushed": _flushed,
    "block_defined": _block_defined,
    "block_renamed": lambda event: f"Block {event.block} renamed to {event.to} by {event.author}",
    "block_deleted": lambda event: f"Block {event.block} deleted by {event.author}",
    "working_context_edited": _block_edited,
    "note_written": lambda event: f"Note {event.name} written by {event.author}: {event.text}",
    "note_deleted": lambda event: f"Note {event.name} deleted by {event.author}",
    "archival_inserted": lambda event: (
        f"Passage p{event.seq} inserted by {event.author}{_tags(event.tags)}: {event.text[: 4 * LINE_CHARS]}"
    ),
    "archival_edited": lambda event: (
        f"Passage {event.passage} edited by {event.author}{_tags(event.tags)}"
        f"{_why(event)}: {event.text[: 4 * LINE_CHARS]}"
    ),
    "archival_deleted": lambda event: f"Passage {event.passage} deleted by {event.author}{_why(event)}",
    "archival_restored": lambda event: f"Passage {event.passage} restored by {event.author}",
    "document_ingested": lambda event: (
        f"Document {event.id} “{event.name}” {'taken in again' if event.document else 'taken in'} by {event.author}: "
        f"{event.passages:,} passages, {event.added:,} of them new{f', {event.ended:,} gone' if event.ended else ''}"
    ),
    "document_removed": lambda event: (
        f"Document {event.document} “{event.name}” removed by {event.author}{_why(event)}: {event.passages:,} passages"
    ),
    "recall_searched": _searched,
    "archival_searched": _searched,
    "message_edited": lambda event: f"Message {event.message} edited by {event.author}{_why(event)}: {event.text}",
    "message_deleted": lambda event: f"Message {event.message} deleted by {event.author}",
    "message_restored": lambda event: f"Message {event.message} restored by {event.author}",
    "message_pinned": lambda event: (
        f"Message {event.message} {'pinned' if event.pinned else 'unpinned'} by {event.author}"
    ),
    "message_requeued": lambda event: f"Message {event.message} brought back into the queue by {event.author}",
}
"""What an event of each kind says. A kind without a line here is called by its name."""
