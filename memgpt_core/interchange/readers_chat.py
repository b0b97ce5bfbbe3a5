"""Chat data sets: OpenAI-style messages (a conversation or a message a record) and ShareGPT.

Each reader takes one decoded record. Knows no file: `conversations` hands the records over.
"""

import json
from typing import Any, cast

from memgpt_core.events import Call, clean
from memgpt_core.interchange.sessions import (
    BadRecord,
    Message,
    Role,
    Session,
    name_in,
    named_part,
    objects,
    text_of,
    time_in,
)

SESSION_KEYS = ("session", "session_id", "conversation_id", "conversation", "thread_id", "thread", "chat_id")
"""What the lines of one conversation have in common where each holds one message."""

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_SHAREGPT: dict[str, Role] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "system": "system",
    "function_call": "assistant",
    "observation": "tool",
    "tool": "tool",
}


def openai(record: dict[str, Any]) -> Session:
    """`{"messages": [{role, content, name?, tool_calls?, tool_call_id?}], …}`."""
    calls = _Calls()
    messages = tuple(_openai_message(raw, calls) for raw in objects(record.get("messages"), "messages"))
    key = name_in(record, ("id", *SESSION_KEYS))
    return Session(key, messages, time_in(record), name_in(record, ("title",)))


def openai_line(record: dict[str, Any]) -> Session:
    """One message of a conversation, which a session key tells from the others of the file."""
    return Session(name_in(record, SESSION_KEYS), (_openai_message(record, _Calls()),), piece=True)


def sharegpt(record: dict[str, Any]) -> Session:
    """`{"conversations": [{"from", "value"}], "system"?}`."""
    calls = _Calls()
    found: list[Message] = []
    if system := record.get("system"):
        found.append(Message("system", text_of(system)))
    for raw in objects(record.get("conversations"), "conversations"):
        speaker = raw.get("from")
        role = _SHAREGPT.get(speaker) if isinstance(speaker, str) else None
        if role is None:
            raise BadRecord(f"has a message from {clean(speaker)!r}, which is nobody of this format")
        text, at = text_of(raw.get("value")), time_in(raw)
        if speaker == "function_call":
            found.append(Message(role, "", at, calls=calls.made(_written_calls(text))))
        elif role == "tool":
            found.append(calls.answered(Message(role, text, at)))
        else:
            found.append(Message(role, text, at))
    return Session(name_in(record, ("id", *SESSION_KEYS)), tuple(found), time_in(record))


class _Calls:
    """The calls of a conversation that wait for their results."""

    def __init__(self) -> None:
        self._count = 0
        self._waiting: list[Call] = []

    def made(self, calls: list[tuple[str, str, Any]]) -> tuple[Call, ...]:
        """(id or empty, name, arguments) as calls; one without an id gets one."""
        made = []
        for id, name, arguments in calls:
            self._count += 1
            made.append(Call(id=id or f"call_{self._count}", name=name, arguments=arguments))
        self._waiting += made
        return tuple(made)

    def answered(self, result: Message) -> Message:
        """A result with the id and the name of its call; without an id it answers the oldest that waits."""
        match = [call for call in self._waiting if result.call_id in ("", call.id)]
        if not match:
            return result
        self._waiting.remove(match[0])
        return result._replace(call_id=match[0].id, function=match[0].name)


def _openai_message(raw: dict[str, Any], calls: _Calls) -> Message:
    written = raw.get("role")
    role = _ROLES.get(written) if isinstance(written, str) else None
    if role is None:
        raise BadRecord(f"has a message with the role {clean(written)!r}, which is none")
    metadata = raw.get("metadata")
    reasoning = metadata.get("reasoning") if isinstance(metadata, dict) else None
    thoughts = raw.get("reasoning_content") or reasoning or ""
    name = name_in(raw, ("name",))
    message = Message(
        role,
        _content(raw.get("content")),
        time_in(raw),
        speaker=name if role in ("user", "assistant") else "",
        id=name_in(raw, ("id", "message_id")),
        thoughts=text_of(thoughts),
    )
    if role == "assistant":
        return message._replace(calls=calls.made(_openai_calls(raw)))
    if role == "tool":
        return calls.answered(message._replace(call_id=name_in(raw, ("tool_call_id",)), function=name))
    return message


def _content(content: Any) -> str:
    """The text of a message's content; parts that are no text are named."""
    if content is None:
        return ""
    if isinstance(content, str):
        return text_of(content)
    texts = []
    for part in objects(content, "content"):
        kind = part.get("type")
        text = part.get("text", part.get("refusal"))
        texts.append(text_of(text) if text is not None else named_part(str(kind or "part")))
    return "\n".join(texts)


def _openai_calls(raw: dict[str, Any]) -> list[tuple[str, str, Any]]:
    calls = []
    for call in objects(raw.get("tool_calls") or [], "tool_calls"):
        calls.append((name_in(call, ("id",)), *_function(call.get("function"))))
    if raw.get("function_call"):
        calls.append(("", *_function(raw["function_call"])))
    return calls


def _function(value: Any) -> tuple[str, Any]:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise BadRecord("has a function call without the function's name")
    return text_of(value["name"]), _arguments(value.get("arguments", {}))


def _arguments(value: Any) -> dict[str, Any] | str:
    """Arguments as an object, where they are one or a text that holds one; else the text as it is."""
    if isinstance(value, str):
        try:
            parsed = json.loads(value)
        except (ValueError, RecursionError):
            return text_of(value)
        return cast(dict[str, Any], clean(parsed)) if isinstance(parsed, dict) else text_of(value)
    if not isinstance(value, dict):
        raise BadRecord("has a function call whose arguments are neither an object nor a text")
    return cast(dict[str, Any], clean(value))


def _written_calls(text: str) -> list[tuple[str, str, Any]]:
    """The calls in a ShareGPT `function_call`: JSON with a name and arguments, or a list of such."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise BadRecord("has a function call that is not JSON") from None
    return [("", *_function(call)) for call in (value if isinstance(value, list) else [value])]
