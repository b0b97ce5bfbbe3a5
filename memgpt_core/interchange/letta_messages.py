"""What the messages of a Letta agent file mean: MemGPT's JSON idioms unwrapped, once and no deeper.

A user message is often JSON with a type, a message and a time; the visible reply is the `message` of a `send_message`
call, and an assistant's text is inner monologue; a tool's outcome is JSON with a status. The first system message is
the compiled head of the window: it repeats instructions and blocks, and is not a message. Pure; knows no log.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from memgpt_core.events import EPOCH, Call
from memgpt_core.functions import HEARTBEAT
from memgpt_core.interchange.letta_shapes import AfMessage, AfReturn

Cause = Literal["user", "system", "login", "timer", "review"]

INNER_THOUGHTS = ("inner_thoughts", "thinking")
"""Arguments in which models without a text beside their calls were asked to think."""

RETURNS_CONTROL = "returning control"
"""How MemGPT's heartbeat after a chained call ends; here a chained call needs no message of its own."""

_OURS = re.compile(
    r"(?P<covers>\d+) earlier messages are no longer in main context; they are in recall storage\. "
    r"(?P<made>Summary of them: )?(?P<text>.*)",
    re.DOTALL,
)
_COUNTED = re.compile(
    r"Note: prior messages \((?P<covers>\d+) of \d+ total messages\) have been hidden from view.*?"
    r"summary of the previous \d+ messages:\n ?(?P<text>.*)",
    re.DOTALL,
)
_NEWER = re.compile(
    r"Note: (?:(?P<covers>\d+)|prior) messages .*?have been hidden from view.*?"
    r"summary of the previous messages:\n ?(?P<text>.*)",
    re.DOTALL,
)
_NO_SUMMARY = re.compile(r"Note: (?P<covers>\d+) prior messages .*?have been hidden from view(?P<text>.*)", re.DOTALL)


class Trigger(NamedTuple):
    """What woke the agent; `position` is that in the file's messages."""

    position: int
    at: datetime
    cause: Cause
    text: str
    what: Literal["trigger"] = "trigger"


class Reply(NamedTuple):
    """What the model wrote: inner monologue (`content`), reasoning (`thinking`), calls."""

    position: int
    at: datetime
    content: str
    thinking: str
    calls: tuple[Call, ...]
    what: Literal["reply"] = "reply"


class Result(NamedTuple):
    """What a call gave back; an empty `call_id` where the file has none."""

    position: int
    at: datetime
    call_id: str
    name: str
    ok: bool
    value: str
    what: Literal["result"] = "result"


class Summary(NamedTuple):
    """What stands for the messages that left: a summary, or with `made` false only a notice.

    `covers` counts those messages, None where the file does not say.
    """

    position: int
    at: datetime
    text: str
    covers: int | None
    made: bool
    what: Literal["summary"] = "summary"


Item = Trigger | Reply | Result | Summary


class Unwrapped(NamedTuple):
    """The items of a file in order, when the first of its messages was written, and what was left out or changed."""

    items: tuple[Item, ...]
    began: datetime
    notes: tuple[str, ...]


def unwrap(messages: Sequence[AfMessage], window: Sequence[int], latest: datetime) -> Unwrapped:
    """The messages as items; none is later than `latest`, which is now.

    `window` are the positions of those in context: the summary stands right after the compiled system message.
    """
    reader = _Reader(messages, window, latest)
    began = reader.began
    items = tuple(reader.items())
    return Unwrapped(items, began, tuple(reader.notes()))


class _Reader:
    """Reads one file's messages and counts what it could not take."""

    def __init__(self, messages: Sequence[AfMessage], window: Sequence[int], latest: datetime) -> None:
        self._messages = messages
        self._head = _head(messages, window)
        in_window = [position for position in window if position not in self._head]
        self._summary_at = in_window[0] if in_window else -1
        self._latest = latest
        self._left: Counter[str] = Counter()
        dated = [message.created_at for message in messages if message.created_at]
        self.began = self._at = self._within(min(dated, default=latest))
        self._made_up = 0

    def notes(self) -> Iterator[str]:
        for what, times in self._left.items():
            yield what.format(times)

    def items(self) -> Iterator[Item]:
        for position, message in enumerate(self._messages):
            if position in self._head:
                continue
            self._at = self._time(message)
            yield from self._item(position, message)

    def _time(self, message: AfMessage) -> datetime:
        if message.created_at is None:
            self._left["{} messages without a date got that of the message before them."] += 1
            return self._at
        if message.created_at > self._latest:
            self._left["{} messages dated in the future got today's date."] += 1
        return self._within(message.created_at)

    def _within(self, at: datetime) -> datetime:
        return min(self._latest, max(at, EPOCH + timedelta(seconds=1)))

    def _item(self, position: int, message: AfMessage) -> Iterator[Item]:
        text = self._text(message)
        if message.role in ("user", "system", "summary"):
            yield from self._from_outside(position, message.role, text)
        elif message.role in ("tool", "function"):
            yield from self._results(position, message, text)
        elif message.role == "assistant" or (message.role == "approval" and message.tool_calls):
            reply = self._reply(position, message, text)
            if reply.content or reply.calls:
                yield reply
            else:
                self._left["{} empty replies were left out."] += 1
        elif message.role == "approval":
            self._left["{} answers to a request for approval were left out: the result of the call is there."] += 1
        else:
            self._left[f"{{}} messages of the unknown role {message.role[:40]!r} were left out."] += 1

    # --- from outside -----------------------------------------------------------------------------------

    def _from_outside(self, position: int, role: str, text: str) -> Iterator[Item]:
        envelope = _envelope(text)
        said = str(envelope.get("message", "")) if envelope else text
        if role == "summary" or position == self._summary_at:
            summary = self._summary(position, said, envelope, sure=role == "summary")
            if summary is not None:
                yield summary
                return
        kind = envelope.get("type") if envelope else ""
        if kind == "heartbeat":
            reason = str(envelope.get("reason", "Automated timer"))
            if RETURNS_CONTROL in reason:
                self._left["{} heartbeats that only hand control back were left out: none is needed here."] += 1
                return
            yield Trigger(position, self._at, "timer", reason)
        elif kind == "login":
            yield Trigger(position, self._at, "login", str(envelope.get("last_login", "")))
        elif kind == "session_review":
            yield Trigger(position, self._at, "review", said)
        elif kind == "system_alert" or role == "system":
            yield Trigger(position, self._at, "system", said)
        else:
            yield Trigger(position, self._at, "user", said)

    def _summary(self, position: int, said: str, envelope: dict[str, Any], *, sure: bool) -> Summary | None:
        stats = envelope.get("compaction_stats") if envelope else None
        for pattern in (_OURS, _COUNTED, _NEWER, _NO_SUMMARY):
            found = pattern.match(said)
            if found:
                made = pattern is not _NO_SUMMARY and (pattern is not _OURS or bool(found["made"]))
                text = said if pattern is _NO_SUMMARY else found["text"]
                covers = int(found["covers"][:9]) if found["covers"] else _evicted(stats)
                return Summary(position, self._at, text, covers, made)
        if sure or stats is not None:
            return Summary(position, self._at, said, _evicted(stats), True)
        return None

    # --- the model --------------------------------------------------------------------------------------

    def _reply(self, position: int, message: AfMessage, text: str) -> Reply:
        parts = message.content if isinstance(message.content, list) else []
        calls = [self._call(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()]
        known = {call.id for call in calls}
        for part in parts:
            if part.get("type") == "tool_call" and part.get("id") not in known:
                calls.append(self._call(part.get("id"), str(part.get("name", "")), part.get("input")))
        thoughts = [_thought(call) for call in calls]
        content = text or "\n".join(thought for thought in thoughts if thought)
        return Reply(position, self._at, content, _reasoning(parts), tuple(_without_thought(call) for call in calls))

    def _call(self, id: Any, name: str, arguments: Any) -> Call:
        if isinstance(arguments, str):
            parsed = _object(arguments)
            arguments = arguments if parsed is None else parsed
        if not id:
            self._made_up += 1
        return Call(
            id=str(id or f"imported_{self._made_up}"),
            name=name,
            arguments=arguments if isinstance(arguments, dict | str) else {},
        )

    def _results(self, position: int, message: AfMessage, text: str) -> Iterator[Result]:
        parts = message.content if isinstance(message.content, list) else []
        returned = [part for part in parts if part.get("type") == "tool_return"]
        several = message.tool_returns or []
        name = message.name or ""
        if returned:
            for part in returned:
                failed = bool(part.get("is_error"))
                yield self._result(position, str(part.get("tool_call_id", "")), name, part.get("content"), not failed)
        elif len(several) > 1 or (several and not text):
            for one in several:
                ok = one.status == "success"
                yield self._result(position, str(one.tool_call_id or ""), name, _value(one), ok)
        else:
            ok = not several or several[0].status == "success"
            id = message.tool_call_id or (str(several[0].tool_call_id or "") if several else "")
            yield self._result(position, id, name, text, ok)

    def _result(self, position: int, id: str, name: str, value: Any, ok: bool) -> Result:
        packed = _object(value) if isinstance(value, str) else None
        if packed is not None and "message" in packed and packed.get("status") in ("OK", "Failed"):
            value, ok = packed["message"], packed["status"] == "OK"
        return Result(position, self._at, id, name, ok, _as_text(value))

    def _text(self, message: AfMessage) -> str:
        if not isinstance(message.content, list):
            return message.content or ""
        images = sum(part.get("type") == "image" for part in message.content)
        if images:
            self._left["{} images were left out; `[image]` stands in their place."] += images
        texts = [
            "[image]" if part.get("type") == "image" else str(part.get("text") or "")
            for part in message.content
            if part.get("type") in ("text", "image")
        ]
        return "\n".join(text for text in texts if text)


def _head(messages: Sequence[AfMessage], window: Sequence[int]) -> frozenset[int]:
    """The compiled system message: the first message of the file, and the first of the window, if they are such."""
    firsts = {0, *window[:1]}
    return frozenset(at for at in firsts if at < len(messages) and messages[at].role == "system")


def _envelope(text: str) -> dict[str, Any]:
    """The object a packed message is, with a type that is one of MemGPT's; empty for any other text."""
    packed = _object(text)
    if packed is None or packed.get("type") not in (
        "user_message",
        "login",
        "heartbeat",
        "system_alert",
        "session_review",
    ):
        return {}
    if packed["type"] in ("user_message", "system_alert", "session_review") and not isinstance(
        packed.get("message"), str
    ):
        return {}
    return packed


def _object(text: str) -> dict[str, Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _evicted(stats: Any) -> int | None:
    if not isinstance(stats, dict):
        return None
    before, after = stats.get("messages_count_before"), stats.get("messages_count_after")
    return max(0, before - after) if isinstance(before, int) and isinstance(after, int) else None


def _reasoning(parts: Iterable[dict[str, Any]]) -> str:
    found: list[str] = []
    for part in parts:
        if part.get("type") == "reasoning":
            found.append(str(part.get("reasoning") or ""))
        elif part.get("type") == "summarized_reasoning" and isinstance(part.get("summary"), list):
            found += [str(one.get("text") or "") for one in part["summary"] if isinstance(one, dict)]
    return "\n".join(text for text in found if text)


def _thought(call: Call) -> str:
    if not isinstance(call.arguments, dict):
        return ""
    return next((str(call.arguments[key]) for key in INNER_THOUGHTS if isinstance(call.arguments.get(key), str)), "")


def _without_thought(call: Call) -> Call:
    if not _thought(call) or not isinstance(call.arguments, dict):
        return call
    kept = {key: value for key, value in call.arguments.items() if key not in INNER_THOUGHTS}
    return call.model_copy(update={"arguments": kept})


def _value(returned: AfReturn) -> Any:
    if returned.func_response is not None:
        return returned.func_response
    return "\n".join(returned.stderr or ())


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "None" if value is None else json.dumps(value, ensure_ascii=False)


def wants_control(call: Call, ok: bool, *, always: bool) -> bool:
    """Whether a call handed control straight back: it asked for it, it failed, or every call does (`always`)."""
    asked = isinstance(call.arguments, dict) and call.arguments.get(HEARTBEAT) is True
    return not ok or asked or (always and call.name != "send_message")


def without_heartbeat(call: Call) -> dict[str, Any] | str:
    """A call's arguments without the flag that asks for control back."""
    if isinstance(call.arguments, str):
        return call.arguments
    return {key: value for key, value in call.arguments.items() if key != HEARTBEAT}


def utc(value: Any, otherwise: datetime) -> datetime:
    """A time out of JSON, in UTC and not later than `otherwise`; `otherwise` when it is none."""
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        return otherwise
    return min(at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC), otherwise)
