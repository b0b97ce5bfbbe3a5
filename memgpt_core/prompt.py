"""Main context laid out as a chat request: instructions, schemas, working context, queue, in that order.

Pure: is handed the state and a reader of events by `seq`. Nothing that changes at every step stands before
the queue, so a model server can reuse its prompt cache; the time rides in each message's JSON envelope.
"""

import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from memgpt_core.events import Clip, Event
from memgpt_core.state import Block, Entry, Part, State, prompt_parts
from memgpt_core.tokens import count, count_message

Reader = Callable[[int], Event]
"""Reads one event of the log by its seq."""

SECTIONS = ("instructions", "schemas", "working_context", "summary", "messages", "template")
"""Main context by section, in prompt order."""

SUMMARISER = (
    "You are the recursive summariser of an agent's message queue. Write a summary of the conversation below, "
    "in the third person and past tense, at most {words} words. Keep names, numbers, dates, decisions and open "
    "questions exactly. Begin from the existing summary when there is one, so that nothing it holds is lost. "
    "Reply with the summary text alone."
)


class Prompt(NamedTuple):
    """A request ready to send: its JSON body, tokens by section, ordered parts, and the body's sha256."""

    body: dict[str, Any]
    sections: dict[str, int]
    parts: tuple[Part, ...]
    sha256: str


def stamp(at: datetime) -> str:
    """The time as MemGPT writes it in envelopes, in UTC."""
    return at.strftime("%Y-%m-%d %I:%M:%S %p UTC+0000")


def render_block(block: Block) -> str:
    """A core memory block as it stands in the working context, with its own budget in view."""
    lock = ' read_only="true"' if block.read_only else ""
    head = f'<block label="{block.label}" characters="{len(block.value)}/{block.limit_chars}"{lock}>'
    about = f"<!-- {block.description} -->\n" if block.description else ""
    return f"{head}\n{about}{block.value}\n</block>"


def system_text(instructions: str, blocks: dict[str, Block]) -> str:
    """The system message: instructions, then the working context."""
    return instructions + "\n\n" + "\n".join(render_block(block) for block in blocks.values())


def clipped(text: str, clip: Clip | tuple[int, int] | None) -> str:
    """`text` as queued: whole, or its head and tail around a note on how to read the rest."""
    if clip is None:
        return text
    head, tail = (clip.head_chars, clip.tail_chars) if isinstance(clip, Clip) else clip
    left_out = len(text) - head - tail
    if left_out <= 0:
        return text
    note = (
        f"\n[… {left_out} characters are left out here: the whole text does not fit the window. It is stored whole "
        "in recall storage; conversation_search with words of the missing part returns the text around them …]\n"
    )
    return text[:head] + note + text[len(text) - tail :]


def clip_to(text: str, cap_tokens: int) -> Clip | None:
    """How to queue `text` in at most about `cap_tokens`; None when it fits whole."""
    total = count(text)
    if total <= cap_tokens:
        return None
    keep = len(text)
    while keep > 80 and count(clipped(text, Clip(head_chars=keep * 2 // 3, tail_chars=keep // 3))) > cap_tokens:
        keep = int(
            keep * 0.9 * max(0.1, min(1.0, cap_tokens / max(1, count(text[:keep])))) if keep > 400 else keep * 0.8
        )
    return Clip(head_chars=keep * 2 // 3, tail_chars=keep // 3)


def shortened(text: str, cap_tokens: int) -> str:
    """`text`, or as many of its first words as `cap_tokens` hold."""
    if count(text) <= cap_tokens:
        return text
    words = text.split()
    while words and count(" ".join(words)) >= cap_tokens:
        words = words[: int(len(words) * 0.95)]
    return " ".join(words) + " …"


def warning_text(event: Any) -> str:
    """What a pressure warning tells the model."""
    share = round(100 * event.tokens / event.flush_tokens)
    return (
        f"Memory pressure: the conversation fills {share} % of what fits ({event.tokens} of {event.flush_tokens} "
        "tokens). The oldest messages will soon leave main context. Save what must be kept now with "
        "core_memory_append, core_memory_replace or archival_memory_insert. Do not mention this alert to the user."
    )


def message_of(event: Any, *, text: str | None = None, clip: Clip | tuple[int, int] | None = None) -> dict[str, Any]:
    """The chat message a queuing event stands for; `text` replaces its own text (after an edit).

    Raises:
        ValueError: the event queues nothing.
    """
    if event.kind == "trigger_received":
        return {
            "role": "user",
            "content": _trigger_envelope(event, clipped(event.text if text is None else text, clip)),
        }
    if event.kind == "pressure_warned":
        return {
            "role": "user",
            "content": _json({"type": "system_alert", "message": warning_text(event), "time": stamp(event.at)}),
        }
    if event.kind == "function_returned":
        value = clipped(event.value if text is None else text, clip)
        status = {"status": "OK" if event.ok else "Failed", "message": value, "time": stamp(event.at)}
        return {"role": "tool", "tool_name": event.name, "tool_call_id": event.call_id, "content": _json(status)}
    if event.kind == "model_replied":
        return _reply(event, text, clip)
    raise ValueError(f"{event.kind} queues no message")


def argument_texts(call: Any) -> list[str]:
    """Every text among a call's arguments, and the arguments themselves when they are no object."""
    values = call.arguments.values() if isinstance(call.arguments, dict) else [call.arguments]
    return [value for value in values if isinstance(value, str)]


def _clipped_arguments(arguments: dict[str, Any] | str, clip: Clip | tuple[int, int] | None) -> dict[str, Any] | str:
    if isinstance(arguments, str):
        return clipped(arguments, clip)
    return {name: clipped(value, clip) if isinstance(value, str) else value for name, value in arguments.items()}


def _reply(event: Any, text: str | None, clip: Clip | tuple[int, int] | None) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": clipped(event.content, clip)}
    calls = [
        {
            "id": call.id,
            "function": {"index": index, "name": call.name, "arguments": _clipped_arguments(call.arguments, clip)},
        }
        for index, call in enumerate(event.calls)
    ]
    if text is not None:
        sends = [call for call in calls if call["function"]["name"] == "send_message"]
        if sends:
            sends[0]["function"]["arguments"] = {"message": text}
        else:
            message["content"] = text
    if calls:
        message["tool_calls"] = calls
    return message


def _trigger_envelope(event: Any, text: str) -> str:
    time = stamp(event.at)
    if event.cause == "user":
        return _json({"type": "user_message", "message": text, "time": time})
    if event.cause == "login":
        return _json({"type": "login", "last_login": text, "time": time})
    if event.cause == "timer":
        return _json({"type": "heartbeat", "reason": text, "time": time})
    return _json({"type": "system_alert", "message": text, "time": time})


def summary_message(event: Any) -> dict[str, Any]:
    """The queue's first slot: the recursive summary of everything evicted so far."""
    note = (
        f"{event.covers} earlier messages are no longer in main context; they are in recall storage. "
        f"Summary of them: {event.summary}"
    )
    return {"role": "user", "content": _json({"type": "system_alert", "message": note, "time": stamp(event.at)})}


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


def queued_message(entry: Entry, read: Reader) -> dict[str, Any]:
    """A queue entry's chat message, read from the log."""
    origin = read(int(entry.id[1:]))
    edited = read(entry.text_seq).text if entry.text_seq != origin.seq else None  # type: ignore[union-attr]
    return message_of(origin, text=edited, clip=entry.clip)


def options(state: State) -> dict[str, Any]:
    """Everything of a request body that is not messages or schemas."""
    settings = state.settings
    return {
        "model": settings.model,
        "stream": True,
        "keep_alive": "10m",
        "truncate": False,
        "shift": False,
        "options": {
            "num_ctx": settings.window_tokens,
            "num_predict": settings.reserve_tokens,
            "temperature": settings.temperature,
            "seed": state.seed,
        },
    }


def sections(state: State) -> dict[str, int]:
    """Tokens by section of main context, in prompt order; they add up to the whole prompt."""
    return {
        "instructions": state.instructions_tokens,
        "schemas": state.schemas_tokens,
        "working_context": sum(block.tokens for block in state.blocks.values()),
        "summary": state.summary.tokens if state.summary else 0,
        "messages": sum(entry.tokens for entry in state.queue),
        "template": state.template_tokens,
    }


def build(state: State, read: Reader) -> Prompt:
    """The next request of a turn."""
    defined: Any = read(state.instructions_seq)
    messages = [{"role": "system", "content": system_text(defined.instructions, state.blocks)}]
    if state.summary:
        messages.append(summary_message(read(state.summary.seq)))
    messages += [queued_message(entry, read) for entry in state.queue]
    body = {**options(state), "messages": messages}
    if defined.schemas:
        body["tools"] = list(defined.schemas)
    return Prompt(body, sections(state), prompt_parts(state), digest(body))


def build_summary(state: State, evicted: tuple[str, ...], read: Reader, *, words: int, transcript_chars: int) -> Prompt:
    """The request that asks the model to summarise what is about to leave, after the summary so far.

    The transcript is cut in the middle to `transcript_chars`, so that the summariser itself cannot overflow.
    """
    gone = frozenset(evicted)
    lines = [transcript_line(queued_message(entry, read)) for entry in state.queue if entry.id in gone]
    transcript = "\n".join(line for line in lines if line)
    if len(transcript) > transcript_chars:
        half = max(40, transcript_chars // 2)
        transcript = f"{transcript[:half]}\n[… cut …]\n{transcript[-half:]}"
    existing = read(state.summary.seq).summary if state.summary else ""  # type: ignore[union-attr]
    content = (f"Existing summary: {existing}\n\n" if existing else "") + "Conversation:\n" + transcript
    messages = [
        {"role": "system", "content": SUMMARISER.format(words=words)},
        {"role": "user", "content": content},
    ]
    body = {**options(state), "messages": messages}
    sizes = dict.fromkeys(SECTIONS, 0)
    sizes["instructions"] = count_message(messages[0])
    sizes["messages"] = count_message(messages[1])
    sizes["template"] = state.template_tokens
    parts = tuple(Part(f"summary-{name}@{state.seq}", tokens) for name, tokens in sizes.items())
    return Prompt(body, sizes, parts, digest(body))


def transcript_line(message: dict[str, Any]) -> str:
    """A queued chat message as one line for the summariser; empty for what carries nothing worth keeping."""
    if message["role"] == "assistant":
        said = [
            str(call["function"]["arguments"].get("message", ""))
            for call in message.get("tool_calls", ())
            if call["function"]["name"] == "send_message" and isinstance(call["function"]["arguments"], dict)
        ]
        text = " ".join(said) or message["content"]
        return f"assistant: {text}" if text else ""
    envelope = json.loads(message["content"])
    if message["role"] == "tool":
        value = str(envelope.get("message", ""))
        return "" if value in ("", "None") or message.get("tool_name") == "send_message" else f"function: {value[:600]}"
    if envelope["type"] == "user_message":
        return f"user ({envelope['time'][:10]}): {envelope['message']}"
    return ""


def digest(body: dict[str, Any]) -> str:
    """sha256 of the request body's bytes, as the adapter sends them."""
    return hashlib.sha256(encode_body(body)).hexdigest()


def encode_body(body: dict[str, Any]) -> bytes:
    """The bytes of a request body."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def prefix_tokens(before: tuple[Part, ...], now: tuple[Part, ...]) -> int:
    """How many tokens of `now` are the unchanged beginning it shares with `before`, counted in whole parts."""
    shared = 0
    for old, new in zip(before, now, strict=False):
        if old != new:
            break
        shared += new.tokens
    return shared
