"""Conversation files of other tools: which format a file is in, and its sessions one after the other.

Told by what is in a file, never by its name. Knows the readers; knows no agent and changes nothing.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from memgpt_core.interchange import readers_chat, readers_exports
from memgpt_core.interchange.readers_locomo import locomo
from memgpt_core.interchange.records import ImportRefused, Layout, check_encoding, layout_of, records
from memgpt_core.interchange.sessions import BadRecord, Session

Format = Literal["openai", "openai_lines", "sharegpt", "chatgpt", "claude", "locomo"]

NAMES: dict[Format, str] = {
    "openai": "OpenAI-style chats",
    "openai_lines": "OpenAI-style messages, one a record",
    "sharegpt": "ShareGPT",
    "chatgpt": "ChatGPT export",
    "claude": "Claude export",
    "locomo": "LoCoMo",
}
"""Every format, as a person calls it."""

SEEN_FIRST = 20
"""How many records may come before the first that tells the format."""


class Found(NamedTuple):
    """What a file is: the format of its records and how they stand in it."""

    format: Format
    layout: Layout


class Read(NamedTuple):
    """A record read: its number, the byte behind it, its sessions, and what is wrong with a bad one."""

    number: int
    end: int
    sessions: tuple[Session, ...]
    why: str = ""


def detect(path: Path) -> Found:
    """What kind of file this is.

    Raises:
        ImportRefused: none that is known, or no text that could be read; the sentence says what was seen.
        OSError: it cannot be read.
    """
    check_encoding(path)
    layout = layout_of(path)
    first_bad = ""
    seen: list[str] = []
    for record in records(path, layout):
        if record.value is None:
            first_bad = first_bad or f"Record {record.number} {record.why}."
        elif kind := _format_of(record.value):
            return Found(kind, layout)
        else:
            seen = seen or sorted(record.value)[:8]
        if record.number >= SEEN_FIRST:
            break
    what = f"its records have the fields {', '.join(map(repr, seen))}" if seen else first_bad or "it holds no records"
    raise ImportRefused(
        f"{path.name} is in no format that can be imported: {what}. Known are {', '.join(NAMES.values())}."
    )


def read(path: Path, found: Found, *, start: int = 0, number: int = 0) -> Iterator[Read]:
    """The file's records as sessions, in the file's order; memory stays that of one record.

    With `start` and `number` it goes on behind the record that ended there.

    Raises:
        ImportRefused: the file is cut off or damaged; with the byte.
        OSError: it cannot be read.
    """
    reader = _READERS[found.format]
    for record in records(path, found.layout, start=start, number=number):
        if record.value is None:
            yield Read(record.number, record.end, (), record.why)
            continue
        try:
            sessions = reader(record.value)
        except BadRecord as bad:
            yield Read(record.number, record.end, (), str(bad))
        else:
            yield Read(record.number, record.end, tuple(sessions))


def _format_of(record: dict[str, Any]) -> Format | None:
    if isinstance(record.get("mapping"), dict):
        return "chatgpt"
    if isinstance(record.get("chat_messages"), list):
        return "claude"
    conversation = record.get("conversation")
    if isinstance(conversation, dict) and "speaker_a" in conversation:
        return "locomo"
    if isinstance(record.get("conversations"), list):
        return "sharegpt"
    if isinstance(record.get("messages"), list):
        return "openai"
    return "openai_lines" if "role" in record and ("content" in record or "tool_calls" in record) else None


_READERS: dict[Format, Callable[[dict[str, Any]], list[Session]]] = {
    "openai": lambda record: [readers_chat.openai(record)],
    "openai_lines": lambda record: [readers_chat.openai_line(record)],
    "sharegpt": lambda record: [readers_chat.sharegpt(record)],
    "chatgpt": lambda record: [readers_exports.chatgpt(record)],
    "claude": lambda record: [readers_exports.claude(record)],
    "locomo": locomo,
}
