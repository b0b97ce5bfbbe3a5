"""The request body as the demo model sees it: blocks, envelopes, and where in the turn it stands.

Knows the shapes that `prompt` writes. Does not know what any sentence means, and remembers nothing
between two requests: all it has is this body.
"""

import json
import re
from typing import Any, NamedTuple

_BLOCK = re.compile(r'<block label="([^"]*)" characters="(\d+)/(\d+)"( read_only="true")?>\n')
_SUMMARY = re.compile(r"\d+ earlier messages are no longer in main context")
_PAGES = re.compile(r"Showing \d+ of (\d+) results \(page (\d+) of (\d+)\)")
_TERMINAL = frozenset({"send_message", "pause_heartbeats"})


class Block(NamedTuple):
    """A core memory block as rendered in the system message."""

    label: str
    value: str
    limit: int
    read_only: bool

    @property
    def lines(self) -> list[str]:
        """Its lines that say something."""
        return [line for line in self.value.split("\n") if line.strip()]


class Step(NamedTuple):
    """A function call and its result; `ok` is None while there is none."""

    name: str
    arguments: dict[str, Any]
    ok: bool | None
    value: str


class Item(NamedTuple):
    """A queue message. `kind`: user, login, timer, alert, review, pressure, summary, assistant or result."""

    kind: str
    text: str
    day: str = ""
    time: str = ""
    steps: tuple[Step, ...] = ()


class Hit(NamedTuple):
    """One line of a page of search results; one of a document names it, its section and the page it `opens` on."""

    day: str
    role: str
    tags: tuple[str, ...]
    text: str
    document: str = ""
    name: str = ""
    section: str = ""
    opens: int = 0


class Page(NamedTuple):
    """A page of search results, as the function returned it."""

    total: int
    page: int
    pages: int
    hits: tuple[Hit, ...]


class Request(NamedTuple):
    """What the body holds, and the turn it is in.

    Attributes:
        trigger: what is to be answered; None when it has been.
        steps: the calls made since the trigger, in order; under pressure the earlier ones may have left the queue.
        thoughts: what was thought in the same replies.
        replies: how many replies were made since the trigger.
        pressed: a memory pressure alert stands unanswered.
    """

    blocks: dict[str, Block]
    summary: str
    items: tuple[Item, ...]
    functions: frozenset[str]
    trigger: Item | None
    steps: tuple[Step, ...]
    thoughts: tuple[str, ...]
    replies: int
    pressed: bool

    @property
    def past(self) -> tuple[Item, ...]:
        """The user's messages in the window before the one that is to be answered."""
        users = [item for item in self.items if item.kind == "user"]
        if self.trigger is not None and self.trigger.kind == "user":
            users = [item for item in users if item is not self.trigger]
        return tuple(users)

    @property
    def now(self) -> str:
        """The time of the newest message that has one, as its envelope writes it."""
        return next((item.time for item in reversed(self.items) if item.time), "")

    def can(self, name: str) -> bool:
        """Whether the function is switched on."""
        return name in self.functions

    def done(self, name: str, **arguments: Any) -> Step | None:
        """The newest call of this turn with these arguments."""
        found: list[Step] = [
            step
            for step in self.steps
            if step.name == name and all(step.arguments.get(key) == value for key, value in arguments.items())
        ]
        return found[-1] if found else None


def read(body: dict[str, Any]) -> Request:
    """Read a request body."""
    messages = body["messages"]
    system = messages[0]["content"] if messages and messages[0]["role"] == "system" else ""
    items = _items(messages[1:] if system else messages)
    summary = next((item.text for item in items if item.kind == "summary"), "")
    closed = max((index for index, item in enumerate(items) if _closes(item)), default=-1)
    start = _trigger(items, closed)
    after = items[start + 1 :] if start >= 0 else items[closed + 1 :]
    replied = max((index for index, item in enumerate(items) if item.kind == "assistant"), default=-1)
    return Request(
        blocks=blocks_of(system),
        summary=summary.partition("Summary of them: ")[2] or summary,
        items=tuple(items),
        functions=frozenset(schema["function"]["name"] for schema in body.get("tools", ())),
        trigger=items[start] if start >= 0 else None,
        steps=tuple(step for item in after for step in item.steps),
        thoughts=tuple(item.text for item in after if item.kind == "assistant"),
        replies=sum(item.kind == "assistant" for item in after),
        pressed=any(item.kind == "pressure" for item in items[replied + 1 :]),
    )


def blocks_of(system: str) -> dict[str, Block]:
    """The core memory blocks at the end of a system message; a block's own count says where its text ends."""
    found: dict[str, Block] = {}
    at = 0
    while match := _BLOCK.search(system, at):
        start = match.end()
        used = int(match[2])
        about = system.find(" -->\n", start) if system.startswith("<!-- ", start) else -1
        if about >= 0 and not system.startswith("\n</block>", start + used):
            start = about + len(" -->\n")
        at = start + used
        found[match[1]] = Block(match[1], system[start:at], int(match[3]), bool(match[4]))
    return found


def page_of(value: str) -> Page:
    """The search results in a function's return text; a line that was cut is left out."""
    head, *lines = value.split("\n")
    match = _PAGES.match(head)
    if not match:
        return Page(0, 1, 1, ())
    hits = [hit for line in lines if (hit := _hit(line))]
    return Page(int(match[1]), int(match[2]), int(match[3]), tuple(hits))


def _hit(line: str) -> Hit | None:
    raw = _json(line)
    if not raw or "text" not in raw:
        return None
    tags = tuple(str(tag) for tag in raw.get("tags") or ())
    of_document = {name: str(raw.get(name) or "") for name in ("document", "name", "section")}
    opens = raw.get("opens")
    return Hit(
        str(raw.get("time", ""))[:10],
        str(raw.get("role", "")),
        tags,
        str(raw["text"]),
        **of_document,
        opens=opens if isinstance(opens, int) else 0,
    )


def _json(text: str) -> dict[str, Any]:
    if not text.startswith("{"):
        return {}
    try:
        raw = json.loads(text)
    except ValueError:
        return {}
    return raw if isinstance(raw, dict) else {}


def _items(messages: list[dict[str, Any]]) -> list[Item]:
    items: list[Item] = []
    for index, message in enumerate(messages):
        if message["role"] == "assistant":
            items.append(_assistant(message, _results(messages[index + 1 :])))
        elif message["role"] != "tool":
            items.append(_envelope(message))
    return items


def _results(following: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The function results right after a reply, by call id: ids are only unique within one reply."""
    found: dict[str, dict[str, Any]] = {}
    for message in following:
        if message["role"] == "assistant":
            break
        if message["role"] == "tool":
            found.setdefault(message.get("tool_call_id", ""), _json(message["content"]))
    return found


def _assistant(message: dict[str, Any], results: dict[str, dict[str, Any]]) -> Item:
    steps = []
    for call in message.get("tool_calls", ()):
        called = call["function"]
        arguments = called["arguments"] if isinstance(called["arguments"], dict) else {}
        result = results.get(call.get("id", ""))
        ok = None if not result else result.get("status") == "OK"
        steps.append(Step(called["name"], arguments, ok, str((result or {}).get("message", ""))))
    return Item("assistant", message["content"], steps=tuple(steps))


def _envelope(message: dict[str, Any]) -> Item:
    raw = _json(message["content"])
    time = str(raw.get("time", ""))
    kind = str(raw.get("type", ""))
    if kind == "login":
        return Item("login", str(raw.get("last_login", "")), time[:10], time)
    if kind == "heartbeat":
        return Item("timer", str(raw.get("reason", "")), time[:10], time)
    if kind == "session_review":
        return Item("review", str(raw.get("message", "")), time[:10], time)
    if kind == "system_alert":
        text = str(raw.get("message", ""))
        kind = "pressure" if text.startswith("Memory pressure") else "summary" if _SUMMARY.match(text) else "alert"
        return Item(kind, text, time[:10], time)
    return Item("user", str(raw.get("message", message["content"])), time[:10], time)


def _closes(item: Item) -> bool:
    """Whether control went back to the world with this reply."""
    if item.kind != "assistant":
        return False
    if not item.steps:
        return bool(item.text.strip())
    if any(step.ok is False for step in item.steps):
        return any(step.name == "send_message" and step.ok for step in item.steps)
    if any(step.name in _TERMINAL for step in item.steps):
        return True
    return not any(step.arguments.get("request_heartbeat") for step in item.steps)


def _trigger(items: list[Item], closed: int) -> int:
    """Where the message to answer stands: the newest of the user's, else the newest trigger; -1 for none."""
    best = -1
    for index in range(closed + 1, len(items)):
        kind = items[index].kind
        wakes = kind in ("login", "timer", "alert", "review")
        if kind == "user" or (wakes and (best < 0 or items[best].kind != "user")):
            best = index
    return best
