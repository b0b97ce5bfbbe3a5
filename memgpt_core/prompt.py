"""Main context laid out as a chat request: instructions, schemas, working context, queue, in that order.

Pure: is handed the state and a reader of events by `seq`. Nothing that changes at every step stands before
the queue, so a model server can reuse its prompt cache; the time rides in each message's JSON envelope.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from memgpt_core.events import Clip, Event
from memgpt_core.state import Block, Entry, Part, State, prompt_parts
from memgpt_core.tokens import count, count_json, count_message

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


LEFT_OUT = {"left_out": True}
"""What stands for a call's arguments when not even their head and tail fit."""

SEARCH_FOR_IT = "conversation_search with words of the missing part returns the text around them"
ASK_FOR_LESS = "call the function again and ask for less at a time"


def clipped(text: str, clip: Clip | tuple[int, int] | None, advice: str = SEARCH_FOR_IT) -> str:
    """`text` as queued: whole, or its head and tail around a note on how to read the rest."""
    if clip is None:
        return text
    head, tail = (clip.head_chars, clip.tail_chars) if isinstance(clip, Clip) else clip
    left_out = len(text) - head - tail
    if left_out <= 0:
        return text
    note = (
        f"\n[… {left_out} characters are left out here: the whole text does not fit the window. It is stored whole "
        f"in recall storage; {advice} …]\n"
    )
    return text[:head] + note + text[len(text) - tail :]


def _quoted_tokens(text: str) -> int:
    """Tokens of `text` inside a JSON envelope, where a line break or a quote is written out."""
    return count(json.dumps(text, ensure_ascii=False))


def clip_to(text: str, cap_tokens: int) -> Clip | None:
    """How to queue `text` in at most about `cap_tokens`; None when it fits whole."""
    if _quoted_tokens(text) <= cap_tokens:
        return None
    keep = len(text)
    while keep > 80:
        clip = Clip(head_chars=keep * 2 // 3, tail_chars=keep // 3)
        tokens = _quoted_tokens(clipped(text, clip))
        if tokens <= cap_tokens:
            break
        keep = int(keep * min(0.9, 0.95 * cap_tokens / tokens))
    return Clip(head_chars=keep * 2 // 3, tail_chars=keep // 3)


def shortened(text: str, cap_tokens: int) -> str:
    """`text`, or as much of its beginning as `cap_tokens` hold, cut at a space if there is one near."""
    if count(text) <= cap_tokens:
        return text
    kept = text
    while kept and count(kept) >= cap_tokens:
        kept = kept[: int(len(kept) * 0.95)]
    head, space, tail = kept.rpartition(" ")
    return (head if space and len(tail) < 20 else kept) + " …"


def warning_text(event: Any) -> str:
    """What a pressure warning tells the model."""
    share = round(100 * event.tokens / event.flush_tokens)
    return (
        f"Memory pressure: the conversation fills {share} % of what fits ({event.tokens} of {event.flush_tokens} "
        "tokens). The oldest messages will soon leave main context. Save what must be kept now with "
        "core_memory_append, core_memory_replace or archival_memory_insert. Do not mention this alert to the user."
    )


def message_of(
    event: Any, *, text: str | None = None, clip: Clip | tuple[int, int] | None = None, structured: bool = False
) -> dict[str, Any]:
    """The chat message a queuing event stands for; `text` replaces its own text (after an edit).

    For a model without tool support (`structured`), calls stand in the text and results come as user messages.

    Raises:
        ValueError: the event queues nothing.
    """
    message = _message_of(event, text, clip)
    if structured and message["role"] == "tool":
        result = {"type": "function_result", "function": event.name, **json.loads(message["content"])}
        return {"role": "user", "content": _json(result)}
    if structured and "tool_calls" in message:
        forms = [
            {
                "thought": message["content"],
                "function": call["function"]["name"],
                "arguments": call["function"]["arguments"],
            }
            for call in message["tool_calls"]
        ]
        return {"role": "assistant", "content": "\n".join(_json(form) for form in forms)}
    return message


def _message_of(event: Any, text: str | None, clip: Clip | tuple[int, int] | None) -> dict[str, Any]:
    if event.kind == "trigger_received":
        return {
            "role": "user",
            "content": _trigger_envelope(event, clipped(event.text if text is None else text, clip)),
        }
    if event.kind in ("pressure_warned", "hits_placed"):
        return {
            "role": "user",
            "content": _json(
                {
                    "type": "system_alert",
                    "message": spoken(event) if text is None else clipped(text, clip),
                    "time": stamp(event.at),
                }
            ),
        }
    if event.kind == "function_returned":
        value = clipped(event.value if text is None else text, clip, ASK_FOR_LESS)
        status = {"status": "OK" if event.ok else "Failed", "message": value, "time": stamp(event.at)}
        return {"role": "tool", "tool_name": event.name, "tool_call_id": event.call_id, "content": _json(status)}
    if event.kind == "model_replied":
        return _reply(event, text, clip)
    raise ValueError(f"{event.kind} queues no message")


def texts_in(value: Any) -> list[str]:
    """Every text in a call's arguments, however deep."""
    if isinstance(value, str):
        return [value]
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [text for item in inside for text in texts_in(item)]


def _clipped_arguments(arguments: Any, clip: Clip | tuple[int, int] | None) -> Any:
    if clip is not None and (clip == (0, 0) or clip == Clip(head_chars=0, tail_chars=0)):
        return LEFT_OUT
    if isinstance(arguments, str):
        return clipped(arguments, clip)
    if isinstance(arguments, dict):
        return {name: _clipped_arguments(value, clip) for name, value in arguments.items()}
    if isinstance(arguments, list | tuple):
        return [_clipped_arguments(value, clip) for value in arguments]
    return arguments


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
            # The text is that of all of them together, as it stands in recall storage.
            for send in sends:
                send["function"]["arguments"] = {"message": clipped(text, clip) if send is sends[0] else ""}
        else:
            message["content"] = clipped(text, clip)
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
    if event.cause == "review":
        return _json({"type": "session_review", "message": text, "time": time})
    return _json({"type": "system_alert", "message": text, "time": time})


NOTICE_STRATEGIES = ("archive_verbatim", "drop_with_notice")
"""Strategies whose first slot holds no summary but a notice on where the evicted messages are."""


def summary_message(event: Any) -> dict[str, Any]:
    """The queue's first slot: the recursive summary of everything evicted so far, or a notice where none is made."""
    notice = event.strategy in NOTICE_STRATEGIES
    note = (
        f"{event.covers} earlier messages are no longer in main context; they are in recall storage. "
        f"{'' if notice else 'Summary of them: '}{event.summary}"
    )
    return {"role": "user", "content": _json({"type": "system_alert", "message": note, "time": stamp(event.at)})}


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


def queued_message(entry: Entry, read: Reader, *, structured: bool = False) -> dict[str, Any]:
    """A queue entry's chat message, read from the log."""
    if entry.kind == "message_requeued":
        origin, text = _origin(entry, read)
        return brought_back(origin, text=text, clip=entry.clip)
    return _first_message(entry, read, structured=structured)


def _first_message(entry: Entry, read: Reader, *, structured: bool = False) -> dict[str, Any]:
    """The message as it was first queued, with its present text."""
    origin, text = _origin(entry, read)
    return message_of(origin, text=text, clip=entry.clip, structured=structured)


def _origin(entry: Entry, read: Reader) -> tuple[Event, str | None]:
    """(the event that first queued it, its text if that was edited)."""
    origin = read(int(entry.id[1:]))
    edited: Any = read(entry.text_seq) if entry.text_seq != origin.seq else None
    return origin, edited.text if edited else None


BACK = "Brought back from recall storage"
CALL_GONE = "The call of this result is no longer in main context"


def brought_back(event: Any, *, text: str | None = None, clip: Clip | tuple[int, int] | None = None) -> dict[str, Any]:
    """A message that was evicted and queued again, as an alert that says what it was.

    In its own form it would mislead or be refused: at the end of the queue a model answers an old question anew, and
    chat templates take neither a call without its result nor a result without its call.
    """
    return _as_alert(BACK, event, text, clip)


def _as_alert(why: str, event: Any, text: str | None, clip: Clip | tuple[int, int] | None) -> dict[str, Any]:
    shown = clipped(spoken(event) if text is None else text, clip)
    message = f"{why}. {_whose(event)}: {shown}"
    return {"role": "user", "content": _json({"type": "system_alert", "message": message, "time": stamp(event.at)})}


def _whose(event: Any) -> str:
    if event.kind == "function_returned":
        return f"Result of {event.name}" if event.ok else f"Failed result of {event.name}"
    if event.kind == "model_replied":
        return "You wrote"
    return "The user wrote" if event.kind == "trigger_received" and event.cause == "user" else "An alert read"


def spoken(event: Any) -> str:
    """A queuing event's text: what was said, else thought, else which functions were called."""
    if event.kind == "pressure_warned":
        return warning_text(event)
    if event.kind != "model_replied":
        return str(event.text if event.kind in ("trigger_received", "hits_placed") else event.value)
    calls = "\n".join(f"{call.name}({json.dumps(call.arguments, ensure_ascii=False)})" for call in event.calls)
    return sent_text(event) or str(event.content) or calls


def sent_text(event: Any) -> str:
    """What the user saw of a reply: the messages of its send_message calls, else empty."""
    texts = [
        call.arguments["message"]
        for call in event.calls
        if call.name == "send_message" and isinstance(call.arguments, dict) and "message" in call.arguments
    ]
    return "\n".join(str(text) for text in texts)


def options(state: State) -> dict[str, Any]:
    """Everything of a request body that is not messages or schemas."""
    settings = state.settings
    return {
        "model": settings.model,
        "stream": True,
        "think": {"off": False, "on": True}.get(settings.think, settings.think),
        "keep_alive": f"{round(settings.keep_alive_minutes * 60)}s",
        "truncate": False,
        "shift": False,
        "options": {
            "num_ctx": settings.num_ctx,
            "num_predict": settings.reserve_tokens,
            "temperature": settings.temperature,
            **({"top_p": settings.top_p} if settings.top_p is not None else {}),
            **({"top_k": settings.top_k} if settings.top_k is not None else {}),
            "seed": state.seed if settings.seed is None else settings.seed,
        },
    }


def sections(state: State) -> dict[str, int]:
    """Tokens by section of main context, in prompt order; they add up to the whole prompt.

    An estimate is scaled by what the model's earlier counts taught (`State.token_factor`); the template is not.
    """
    raw = {
        "instructions": state.instructions_tokens,
        "schemas": state.schemas_tokens,
        "working_context": sum(block.tokens for block in state.blocks.values()),
        "summary": state.summary.tokens if state.summary else 0,
        "messages": sum(entry.tokens for entry in state.queue),
    }
    return {**{name: scaled(state, tokens) for name, tokens in raw.items()}, "template": state.template_tokens}


def scaled(state: State, tokens: int) -> int:
    """A raw count as it stands in the window, by the learned factor."""
    return round(tokens * state.token_factor)


def functions_text(schemas: Sequence[dict[str, Any]]) -> str:
    """The functions as text, for a model that takes no schemas; stands right after the instructions."""
    lines = []
    for schema in schemas:
        described = schema["function"]
        parameters = described["parameters"]
        listed = ", ".join(
            f"{name}{'' if name in parameters['required'] else '?'}: {value['type']}"
            for name, value in parameters["properties"].items()
        )
        lines.append(f"- {described['name']}({listed}): {described['description']}")
    head = 'Answer with one JSON object {"thought": …, "function": …, "arguments": {…}} and nothing else. Functions:'
    return "\n\n" + head + "\n" + "\n".join(lines)


def reply_form(schemas: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The JSON schema of a reply of a model without tool support: exactly one call, of one of the functions."""
    return {
        "anyOf": [
            {
                "type": "object",
                "properties": {
                    "thought": {"type": "string"},
                    "function": {"type": "string", "enum": [schema["function"]["name"]]},
                    "arguments": schema["function"]["parameters"],
                },
                "required": ["thought", "function", "arguments"],
            }
            for schema in schemas
        ]
    }


def build(state: State, read: Reader) -> Prompt:
    """The next request of a turn."""
    defined: Any = read(state.instructions_seq)
    structured = state.settings.calling == "structured"
    instructions = defined.instructions + (functions_text(defined.schemas) if structured else "")
    messages = [{"role": "system", "content": system_text(instructions, state.blocks)}]
    if state.summary:
        messages.append(summary_message(read(state.summary.seq)))
    messages += _conversation(state.queue, read, structured=structured)
    body = {**options(state), "messages": messages}
    if structured:
        # Never beside `tools`: the server would ignore them.
        body["format"] = reply_form(defined.schemas)
    elif defined.schemas:
        body["tools"] = list(defined.schemas)
    return Prompt(body, sections(state), prompt_parts(state), digest(body))


def _conversation(queue: Sequence[Entry], read: Reader, *, structured: bool) -> list[dict[str, Any]]:
    """The queued messages, every call followed by its result: chat templates refuse either one alone.

    A turn that broke off leaves calls that never ran: they are left out. What a person deleted leaves results
    without a call: they are shown as alerts. What came between a call and its result stands behind both. Our count
    keeps the few tokens by which these forms differ.
    """
    shown = [(entry, queued_message(entry, read, structured=structured)) for entry in queue]
    results = _results(shown)
    placed = {at for found in results.values() for at in found}
    messages: list[dict[str, Any]] = []
    for at, (entry, message) in enumerate(shown):
        if at in placed:
            continue
        if message["role"] == "tool":
            origin, text = _origin(entry, read)
            message = _as_alert(CALL_GONE, origin, text, entry.clip)
        answers = [shown[one][1] for one in results.get(at, ())]
        messages += [_answered(message, [answer["tool_call_id"] for answer in answers]), *answers]
    return messages


def _results(shown: Sequence[tuple[Entry, dict[str, Any]]]) -> dict[int, list[int]]:
    """By the position of each message with calls: the positions of their results, which are of the same step."""
    waiting: dict[tuple[int, int, str], list[int]] = {}
    found: dict[int, list[int]] = {}
    for at, (entry, message) in enumerate(shown):
        if message["role"] == "tool":
            callers = waiting.get((entry.turn, entry.step, message["tool_call_id"]))
            if callers:
                found[callers.pop(0)].append(at)
        for call in message.get("tool_calls", ()):
            waiting.setdefault((entry.turn, entry.step, call["id"]), []).append(at)
            found.setdefault(at, [])
    return found


def _answered(message: dict[str, Any], answered: list[str]) -> dict[str, Any]:
    """The message without those of its calls that have no result."""
    calls = message.get("tool_calls", ())
    if len(calls) == len(answered):
        return message
    ran = []
    for call in calls:
        if call["id"] in answered:
            answered.remove(call["id"])
            ran.append(call)
    kept = {"role": "assistant", "content": message["content"] or "(interrupted before it ran)"}
    return kept | ({"tool_calls": ran} if ran else {})


def build_summary(state: State, evicted: tuple[str, ...], read: Reader, *, words: int, transcript_chars: int) -> Prompt:
    """The request that asks the model to summarise what is about to leave, after the summary so far.

    The transcript is cut in the middle to `transcript_chars`, so that the summariser itself cannot overflow.
    """
    gone = frozenset(evicted)
    lines = [transcript_line(_first_message(entry, read)) for entry in state.queue if entry.id in gone]
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


def recount(state: State, read: Reader) -> dict[str, int]:
    """Tokens of everything in the window, counted now, by the keys of `ContextRecounted.counts`."""
    defined: Any = read(state.instructions_seq)
    structured = state.settings.calling == "structured"
    schemas = (
        count(functions_text(defined.schemas)) if structured else sum(count_json(schema) for schema in defined.schemas)
    )
    counts = {"instructions": count(defined.instructions), "schemas": schemas}
    counts |= {label: count(render_block(block)) for label, block in state.blocks.items()}
    if state.summary:
        counts["summary"] = count_message(summary_message(read(state.summary.seq)))
    for entry in state.queue:
        counts[entry.id] = count_message(queued_message(entry, read, structured=structured))
    return counts


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
