"""What every conversation file comes down to: sessions of messages, whoever wrote the file.

Knows the shapes, and how times and parts of messages are written in the world. Knows no file and no agent.
"""

import re
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from memgpt_core.events import Call, clean

Role = Literal["user", "assistant", "system", "tool"]


class Message(NamedTuple):
    """One thing somebody said.

    Attributes:
        at: UTC; None when the file does not say.
        speaker: a person's name, where the file names people and not only roles.
        id: the message's id in the file, or empty.
        calls: functions that it calls.
        call_id, function: of a `tool` message: the call it answers, and the function called.
        thoughts: what the model thought and did not say.
    """

    role: Role
    text: str
    at: datetime | None = None
    speaker: str = ""
    id: str = ""
    calls: tuple[Call, ...] = ()
    call_id: str = ""
    function: str = ""
    thoughts: str = ""


class Session(NamedTuple):
    """A conversation, or with `piece` a part of one whose other parts stand elsewhere in the file.

    Attributes:
        key: tells it from the others of the file and stays when the file is written again; empty when nothing does.
        at: when it began, for messages that have no time of their own.
        speakers: the two people of a conversation between people, the one to take as the user first.
    """

    key: str
    messages: tuple[Message, ...]
    at: datetime | None = None
    title: str = ""
    speakers: tuple[str, ...] = ()
    piece: bool = False


class BadRecord(Exception):
    """A record that is none of its format's; the message says why, and is put behind its number."""


EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_SPOKEN_TIME = re.compile(r"(\d{1,2}):(\d{2})\s*([ap])\.?m\.?\s+on\s+(\d{1,2})\s+([A-Z][a-z]+),?\s+(\d{4})", re.I)

TIME_KEYS = ("timestamp", "created_at", "create_time", "time", "date", "ts", "at")


def moment(value: Any) -> datetime | None:
    """A time as files write it, in UTC: seconds or milliseconds since 1970, ISO 8601, `1:56 pm on 8 May, 2023`.

    What is no time, or before 1970, is None; a time without a zone is taken as UTC.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return _from_number(value)
    if not isinstance(value, str) or len(value) > 60:
        return None
    if spoken := _SPOKEN_TIME.fullmatch(value.strip()):
        return _from_spoken(*spoken.groups())
    try:
        found = datetime.fromisoformat(value.strip())
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if found >= EARLIEST else None


def _from_number(value: float) -> datetime | None:
    # Written in milliseconds or microseconds by some: as seconds those would lie far beyond this millennium.
    for over, unit in ((1e14, 1e6), (1e11, 1e3)):
        if value > over:
            value = value / unit
            break
    try:
        return datetime.fromtimestamp(value, UTC) if value >= 0 else None
    except (ValueError, OverflowError, OSError):
        return None


def _from_spoken(hour: str, minute: str, half: str, day: str, month: str, year: str) -> datetime | None:
    try:
        hours = int(hour) % 12 + (12 if half.lower() == "p" else 0)
        number = _MONTHS.index(month[:3].lower()) + 1
        return datetime(int(year), number, int(day), hours, int(minute), tzinfo=UTC)
    except ValueError:
        return None


def time_in(record: dict[str, Any], keys: tuple[str, ...] = TIME_KEYS) -> datetime | None:
    """The first of these keys that holds a time, in the record or in its `metadata`."""
    metadata = record.get("metadata")
    for held in (record, metadata if isinstance(metadata, dict) else {}):
        for key in keys:
            if (found := moment(held.get(key))) is not None:
                return found
    return None


def name_in(record: dict[str, Any], keys: tuple[str, ...]) -> str:
    """The first of these keys that holds a name or a number, in the record or in its `metadata`; else empty."""
    metadata = record.get("metadata")
    for held in (record, metadata if isinstance(metadata, dict) else {}):
        for key in keys:
            value = held.get(key)
            if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
                return text_of(str(value))
    return ""


def text_of(value: Any) -> str:
    """A text made safe for the log; BadRecord when it is none."""
    if not isinstance(value, str):
        raise BadRecord(f"has {_kind(value)} where a text belongs")
    return str(clean(value))


def objects(value: Any, what: str) -> list[dict[str, Any]]:
    """A list of JSON objects; BadRecord when it is none."""
    if not isinstance(value, list) or any(not isinstance(item, dict) for item in value):
        raise BadRecord(f"has no list of objects as its {what}")
    return value


def named_part(kind: str, name: Any = "") -> str:
    """What stands for a part of a message that is no text."""
    what = str(clean(kind)).replace("_", " ") or "part"
    return f"[{what}: {clean(name)}]" if isinstance(name, str) and name else f"[{what}]"


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "nothing")
