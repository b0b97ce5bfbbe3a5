"""What chat services hand out: ChatGPT's `conversations.json` (a tree of nodes) and Claude's export (a list).

Each reader takes one decoded record. Knows no file: `conversations` hands the records over.
"""

import json
from collections.abc import Iterator
from typing import Any

from memgpt_core.events import Call, clean
from memgpt_core.interchange.sessions import BadRecord, Message, Role, Session, moment, named_part, objects, text_of

# --- ChatGPT ----------------------------------------------------------------------------------------------------


def chatgpt(record: dict[str, Any]) -> Session:
    """`{mapping: {id: {message, parent, children}}, current_node, title, create_time}`, along the branch last shown."""
    mapping = record.get("mapping")
    if not isinstance(mapping, dict):
        raise BadRecord("has no mapping of nodes")
    found: list[Message] = []
    thoughts: list[str] = []
    waiting: list[Call] = []
    for id, node in _branch(mapping, _current(record, mapping)):
        message = node.get("message")
        if not isinstance(message, dict) or _hidden(message):
            continue
        if _content_type(message) in ("thoughts", "reasoning_recap"):
            thoughts.append(_chatgpt_text(message))
            continue
        read = _chatgpt_message(id, message, waiting)
        if read is not None and read.role == "assistant":
            read, thoughts = read._replace(thoughts="\n".join(filter(None, thoughts))), []
        if read is not None:
            found.append(read)
    key = record.get("conversation_id") or record.get("id") or ""
    title = record.get("title")
    return Session(
        text_of(key), tuple(found), moment(record.get("create_time")), text_of(title) if isinstance(title, str) else ""
    )


def _current(record: dict[str, Any], mapping: dict[str, Any]) -> str:
    current = record.get("current_node")
    if isinstance(current, str):
        if current not in mapping:
            raise BadRecord(f"names the current node {clean(current)!r}, which is not in its mapping")
        return current
    leaves = [id for id, node in mapping.items() if isinstance(node, dict) and not node.get("children")]
    if not leaves:
        raise BadRecord("has neither a current node nor a last one")
    return leaves[-1]


def _branch(mapping: dict[str, Any], current: str) -> list[tuple[str, dict[str, Any]]]:
    """The nodes from the root to `current`.

    Raises:
        BadRecord: a parent that is not there, or one that is its own ancestor.
    """
    nodes: list[tuple[str, dict[str, Any]]] = []
    seen: set[str] = set()
    id: Any = current
    while id is not None:
        if id in seen:
            raise BadRecord(f"has a node {clean(id)!r} that is its own ancestor")
        node = mapping.get(id) if isinstance(id, str) else None
        if not isinstance(node, dict):
            raise BadRecord(f"has a node whose parent {clean(id)!r} is not in its mapping")
        seen.add(id)
        nodes.append((id, node))
        id = node.get("parent")
    return nodes[::-1]


def _hidden(message: dict[str, Any]) -> bool:
    metadata = message.get("metadata")
    hidden = isinstance(metadata, dict) and metadata.get("is_visually_hidden_from_conversation")
    return bool(hidden) or message.get("weight") == 0 or _author(message) == "system"


def _author(message: dict[str, Any]) -> Any:
    author = message.get("author")
    return author.get("role") if isinstance(author, dict) else None


def _content_type(message: dict[str, Any]) -> str:
    content = message.get("content")
    kind = content.get("content_type") if isinstance(content, dict) else None
    return kind if isinstance(kind, str) else ""


def _chatgpt_message(id: str, message: dict[str, Any], waiting: list[Call]) -> Message | None:
    """The node's message, or None when it says nothing; a text written to a tool is a call."""
    role, text = _author(message), _chatgpt_text(message)
    at, id = moment(message.get("create_time")), text_of(id)
    if role not in ("user", "assistant", "tool"):
        raise BadRecord(f"has a message by {clean(role)!r}, which is nobody of this format")
    recipient = message.get("recipient", "all")
    if role == "assistant" and isinstance(recipient, str) and recipient not in ("all", ""):
        call = Call(id=id, name=text_of(recipient), arguments={"input": text})
        waiting.append(call)
        return Message("assistant", "", at, id=id, calls=(call,))
    if not text:
        return None
    if role == "tool":
        author = message["author"].get("name")
        answered = waiting.pop(0) if waiting else None
        named = answered.name if answered else text_of(author) if isinstance(author, str) else ""
        return Message("tool", text, at, id=id, call_id=answered.id if answered else "", function=named)
    spoke: Role = "user" if role == "user" else "assistant"
    return Message(spoke, text, at, id=id)


_TEXT_FIELDS = ("text", "result", "content", "user_profile", "user_instructions")


def _chatgpt_text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if not isinstance(content, dict):
        return ""
    parts = content.get("parts")
    if isinstance(parts, list):
        return "\n".join(filter(None, (_chatgpt_part(part) for part in parts)))
    thoughts = content.get("thoughts")
    if isinstance(thoughts, list):
        return "\n".join(str(clean(one.get("content", ""))) for one in thoughts if isinstance(one, dict))
    texts = [text_of(content[field]) for field in _TEXT_FIELDS if isinstance(content.get(field), str)]
    return "\n".join(texts) or (
        named_part(_content_type(message)) if _content_type(message) not in ("", "text") else ""
    )


def _chatgpt_part(part: Any) -> str:
    if isinstance(part, str):
        return text_of(part)
    if not isinstance(part, dict):
        return ""
    if isinstance(part.get("text"), str):
        return text_of(part["text"])
    kind = part.get("content_type")
    return named_part(kind if isinstance(kind, str) else "part", part.get("name") or part.get("asset_pointer") or "")


# --- Claude -----------------------------------------------------------------------------------------------------

_SENDERS: dict[str, Role] = {"human": "user", "assistant": "assistant"}


def claude(record: dict[str, Any]) -> Session:
    """`{uuid, name, created_at, chat_messages: [{sender, text, content[], created_at, attachments, files}]}`."""
    found: list[Message] = []
    for raw in objects(record.get("chat_messages"), "chat_messages"):
        sender = raw.get("sender")
        role = _SENDERS.get(sender) if isinstance(sender, str) else None
        if role is None:
            raise BadRecord(f"has a message by {clean(sender)!r}, which is nobody of this format")
        id = raw.get("uuid")
        blank = Message(role, "", moment(raw.get("created_at")), id=text_of(id) if isinstance(id, str) else "")
        found += _claude_messages(blank, raw)
    name = record.get("name")
    return Session(
        text_of(record.get("uuid", "")),
        tuple(found),
        moment(record.get("created_at")),
        text_of(name) if isinstance(name, str) else "",
    )


def _claude_messages(blank: Message, raw: dict[str, Any]) -> Iterator[Message]:
    """One message of the file as one or several: what comes after a tool's result is said anew."""
    now = blank
    names: dict[str, str] = {}
    content = raw.get("content")
    parts = objects(content, "content") if content else [{"type": "text", "text": raw.get("text", "")}]
    for part in parts:
        kind = part.get("type")
        if kind == "tool_result":
            if _says(now):
                yield now
            id = str(clean(part.get("tool_use_id") or ""))
            named = names.get(id, str(clean(part.get("name") or "")))
            yield Message("tool", _result_text(part.get("content")), blank.at, call_id=id, function=named)
            now = blank._replace(id="")
        elif kind == "tool_use":
            call = _tool_use(part)
            names[call.id] = call.name
            now = now._replace(calls=(*now.calls, call))
        elif kind == "thinking":
            now = now._replace(thoughts=_joined(now.thoughts, text_of(part.get("thinking", ""))))
        else:
            text = part.get("text")
            now = now._replace(
                text=_joined(now.text, text_of(text) if isinstance(text, str) else named_part(str(kind)))
            )
    now = now._replace(text=_joined(now.text, *_files(raw)))
    if _says(now):
        yield now


def _says(message: Message) -> bool:
    return bool(message.text or message.calls or message.thoughts)


def _tool_use(part: dict[str, Any]) -> Call:
    name, arguments = part.get("name"), part.get("input")
    if not isinstance(name, str):
        raise BadRecord("has a function call without the function's name")
    given = arguments if isinstance(arguments, dict) else {"input": arguments}
    return Call(id=str(clean(part.get("id") or "")) or f"call_{name}", name=text_of(name), arguments=clean(given))


def _result_text(content: Any) -> str:
    if isinstance(content, str):
        return text_of(content)
    if not isinstance(content, list):
        return str(clean(json.dumps(clean(content), ensure_ascii=False))) if content is not None else ""
    texts = []
    for part in content:
        text = part.get("text") if isinstance(part, dict) else part
        kind = part.get("type") if isinstance(part, dict) else ""
        texts.append(text_of(text) if isinstance(text, str) else named_part(str(kind or "part")))
    return "\n".join(texts)


def _files(raw: dict[str, Any]) -> Iterator[str]:
    """What was attached: a file's name, and its text where the export has it."""
    for held in ("attachments", "files"):
        for file in objects(raw.get(held) or [], held):
            text = file.get("extracted_content")
            named = named_part("file", file.get("file_name") or "")
            yield f"{named}\n{text_of(text)}" if isinstance(text, str) and text else named


def _joined(*texts: str) -> str:
    return "\n".join(filter(None, texts))
