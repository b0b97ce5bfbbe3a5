"""An agent's conversation in the formats that data sets use: OpenAI-style JSON Lines and ShareGPT, a session a line.

What was said and which functions were called; not what the memory did by itself. Texts are those of now, so that what
was corrected by hand goes out corrected and what was deleted stays here. Knows no importer.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from memgpt_core.interchange.sessions import Message, Session
from memgpt_core.workspace import Workspace

ExportFormat = Literal["openai", "sharegpt"]

NOBODY = "(nobody spoke; the agent begins)"
"""What stands where ShareGPT needs somebody to speak before the agent."""


class Exported(NamedTuple):
    """What an export wrote: sessions, messages, and how many had to be changed to fit the format.

    Attributes:
        merged: messages joined with the one before them, because two of one side may not follow each other.
        split: replies written as several entries, the text and each call apart.
        filled: places where somebody had to speak and nobody did.
    """

    sessions: int
    messages: int
    merged: int = 0
    split: int = 0
    filled: int = 0


def export_conversation(
    workspace: Workspace, path: Path, format: ExportFormat, progress: Callable[[float], None] | None = None
) -> Exported:
    """Write the agent's conversation to a file, there whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    told = progress or (lambda _share: None)
    total = Exported(0, 0)
    sessions = workspace.state().session
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            for number in range(1, sessions + 1):
                session = said_in(workspace, number)
                if session.messages:
                    record, one = (openai_record if format == "openai" else sharegpt_record)(session)
                    file.write(json.dumps(record, ensure_ascii=False) + "\n")
                    total = Exported(*map(sum, zip(total, one, strict=True)))
                told(number / sessions)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return total


_SAID = """SELECT id, role, kind, "at", text, thoughts FROM messages
WHERE session = ? AND seq_to IS NULL ORDER BY CAST(substr(id, 2) AS BIGINT)"""


def said_in(workspace: Workspace, number: int) -> Session:
    """What was said and called in a session of the agent."""
    messages = tuple(_said(workspace, workspace.rows(_SAID, [number])))
    at = messages[0].at if messages else None
    return Session(f"{workspace.agent_id}/session_{number}", messages, at)


def _said(workspace: Workspace, rows: list[dict[str, Any]]) -> Iterator[Message]:
    for row in rows:
        event: Any = workspace.event(int(row["id"][1:]))
        id, at = row["id"], row["at"]
        if row["role"] == "user":
            yield Message("user", row["text"], at, id=id)
        elif row["kind"] == "model_replied":
            calls = tuple(call for call in event.calls if call.name != "send_message")
            if row["text"] or calls:
                yield Message("assistant", row["text"], at, id=id, calls=calls, thoughts=row["thoughts"])
        elif row["kind"] == "function_returned" and event.name != "send_message":
            yield Message("tool", row["text"], at, id=id, call_id=event.call_id, function=event.name)


def openai_record(session: Session) -> tuple[dict[str, Any], Exported]:
    """`{"messages": [...]}`; ids, times and thoughts go into `metadata`."""
    written = []
    for message in session.messages:
        metadata = {"id": message.id, "created_at": message.at.isoformat() if message.at else ""}
        one: dict[str, Any] = {"role": message.role, "content": message.text}
        if message.speaker:
            one["name"] = message.speaker
        if message.calls:
            one["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _written(call)}}
                for call in message.calls
            ]
        if message.role == "tool":
            one |= {"tool_call_id": message.call_id, "name": message.function}
        if message.thoughts:
            metadata["reasoning"] = message.thoughts
        if kept := {name: value for name, value in metadata.items() if value}:
            one["metadata"] = kept
        written.append(one)
    record = {"id": session.key, "messages": written}
    return record, Exported(1, len(written))


def sharegpt_record(session: Session) -> tuple[dict[str, Any], Exported]:
    """`{"conversations": [{"from", "value"}]}`, where people and results alternate with replies and calls."""
    entries: list[dict[str, str]] = []
    system: list[str] = []
    merged = split = filled = 0
    for message in session.messages:
        if message.role == "system":
            system.append(message.text)
            continue
        parts = list(_parts(message))
        split += len(parts) > 1
        for speaker, value in parts:
            ours = speaker in ("gpt", "function_call")
            last = entries[-1]["from"] if entries else ""
            if ours and not entries:
                entries.append({"from": "human", "value": NOBODY})
                filled += 1
            elif last == speaker and speaker in ("human", "gpt"):
                entries[-1]["value"] += f"\n\n{value}"
                merged += 1
                continue
            elif last and ours == (last in ("gpt", "function_call")):
                # A call on the heels of a text, or a person on those of a result: the other side says nothing.
                entries.append({"from": "human", "value": NOBODY} if ours else {"from": "gpt", "value": ""})
                filled += 1
            entries.append({"from": speaker, "value": value})
    record: dict[str, Any] = {"id": session.key, "conversations": entries}
    if system:
        record["system"] = "\n\n".join(system)
    return record, Exported(1, len(session.messages), merged, split, filled)


def _parts(message: Message) -> Iterator[tuple[str, str]]:
    if message.role == "user":
        yield "human", message.text
    elif message.role == "tool":
        yield "observation", message.text
    else:
        if message.text or not message.calls:
            yield "gpt", message.text
        if message.calls:
            calls = [{"name": call.name, "arguments": call.arguments} for call in message.calls]
            yield "function_call", json.dumps(calls[0] if len(calls) == 1 else calls, ensure_ascii=False)


def _written(call: Any) -> str:
    return call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments, ensure_ascii=False)
