"""Main context item by item: what each is, its exact text as the request carries it, and its tokens.

Takes a state and the request built from it. The tokens of a section are given (the log has them for a request
that was sent); inside a section they are divided so that the items add up to exactly what the section shows.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from memgpt_core.prompt import encode_body, functions_text, render_block
from memgpt_core.state import Entry, State
from memgpt_core.tokens import count_json

EXCERPT_CHARS = 110

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


class Item(NamedTuple):
    """One thing in the window.

    Attributes:
        key: names it in this window and the next: `instructions`, `schema:<function>`, `block:<label>`, `summary`,
            `m<seq>`, `template`.
        version: changes exactly when its text does.
        role: as sent: `system`, `user`, `assistant`, `tool`; empty for what is no message.
        turn: the turn that queued a message; None for what is no message.
        tokens: as they stand in the window.
        share: those tokens over the window, from 0 to 1.
        text: exactly as sent; `calls` are a reply's function calls, as their JSON.
        pinned: stays through every flush.
    """

    key: str
    version: str
    section: str
    label: str
    role: str
    turn: int | None
    tokens: int
    share: float
    text: str
    calls: str = ""
    pinned: bool = False


class _Raw(NamedTuple):
    """An item before its tokens: `weight` is its part of the section, in any unit."""

    key: str
    version: str
    section: str
    label: str
    weight: int
    text: str
    role: str = ""
    turn: int | None = None
    calls: str = ""


def items(state: State, body: dict[str, Any], defined: Any, sections: dict[str, int]) -> list[Item]:
    """Every item of a request, in prompt order; their tokens add up to `sections`, section by section.

    `body` is the request built from `state`, `defined` the `instructions_defined` event in force.
    """
    raw = [*_head(state, defined), *_queue(state, body)]
    if sections.get("template"):
        says = "(The marks that the model's own chat template puts between messages; the server adds them.)"
        raw.append(_Raw("template", "template", "template", "Chat template", 1, says))
    window = state.settings.window_tokens
    tokens: dict[str, int] = {}
    for section, total in sections.items():
        inside = [one for one in raw if one.section == section]
        shares = divided(total, [one.weight for one in inside])
        tokens |= {one.key: share for one, share in zip(inside, shares, strict=True)}
    pinned = frozenset(state.pinned)
    return [
        Item(
            key=one.key,
            version=one.version,
            section=one.section,
            label=one.label,
            role=one.role,
            turn=one.turn,
            tokens=tokens[one.key],
            share=tokens[one.key] / window,
            text=one.text,
            calls=one.calls,
            pinned=one.key in pinned,
        )
        for one in raw
    ]


def divided(total: int, weights: Sequence[int]) -> list[int]:
    """`total` in whole parts that are as the weights are and add up to it: floors, then the largest remainders."""
    whole = sum(weights)
    if not whole:
        weights, whole = [1] * len(weights), len(weights)
    parts = [total * weight // whole for weight in weights]
    left = total - sum(parts)
    order = sorted(range(len(parts)), key=lambda at: -(total * weights[at] % whole))
    for at in order[:left]:
        parts[at] += 1
    return parts


def _head(state: State, defined: Any) -> list[_Raw]:
    structured = state.settings.calling == "structured"
    version = f"@{state.instructions_seq}"
    found = [
        _Raw(
            "instructions",
            f"instructions{version}",
            "instructions",
            "System instructions",
            state.instructions_tokens,
            defined.instructions,
            "system",
        )
    ]
    for schema in defined.schemas:
        name = schema["function"]["name"]
        text = functions_text([schema])[len(functions_text([])) :] if structured else _as_sent(schema)
        found.append(_Raw(f"schema:{name}", text, "schemas", f"Function {name}", count_json(schema), text))
    for block in state.blocks.values():
        found.append(
            _Raw(
                f"block:{block.label}",
                f"{block.label}@{block.seq}",
                "working_context",
                f"Block {block.label}",
                block.tokens,
                render_block(block),
                "system",
            )
        )
    return found


def _queue(state: State, body: dict[str, Any]) -> list[_Raw]:
    messages = body["messages"][1:]
    found = []
    if state.summary:
        label = f"Summary of {state.summary.covers:,} messages"
        tokens, text = state.summary.tokens, messages[0]["content"]
        found.append(_Raw("summary", f"summary@{state.summary.seq}", "summary", label, tokens, text, "user"))
        messages = messages[1:]
    for entry, message in zip(state.queue, messages, strict=True):
        calls = message.get("tool_calls")
        found.append(
            _Raw(
                entry.id,
                f"{entry.id}@{entry.text_seq}",
                "messages",
                f"{_what(entry, message)} {entry.id}",
                entry.tokens,
                message["content"],
                message["role"],
                entry.turn,
                _as_sent(calls) if calls else "",
            )
        )
    return found


_TRIGGERS = {"user_message": "Your message", "login": "Login", "heartbeat": "Timed heartbeat"}


def _what(entry: Entry, message: dict[str, Any]) -> str:
    """What a queued message is, in a few words."""
    if entry.kind == "trigger_received":
        return _TRIGGERS.get(json.loads(message["content"])["type"], "System alert")
    if entry.kind == "function_returned":
        return f"Result of {message['tool_name']}" if "tool_name" in message else "Function result"
    if entry.kind == "pressure_warned":
        return "Memory warning"
    if entry.kind == "hits_placed":
        return f"Placed, {len(entry.holds)} stored {'text' if len(entry.holds) == 1 else 'texts'},"
    names = ", ".join(call["function"]["name"] for call in message.get("tool_calls", ()))
    return f"Reply: {names}" if names else "Reply"


def excerpt(item: Item) -> str:
    """The beginning of an item's text on one line."""
    text = visible(" ".join(f"{item.text[:400]} {item.calls[:400]}".split()))
    return text if len(text) <= EXCERPT_CHARS else text[: EXCERPT_CHARS - 1].rstrip() + "…"


def visible(text: str) -> str:
    """`text` with each character that nobody sees, or that turns the others about, replaced by its name `⟨U+202E⟩`."""
    return _UNSEEN.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", text)


def unseen(text: str) -> int:
    """How many characters `visible` would replace."""
    return len(_UNSEEN.findall(text))


def _as_sent(value: Any) -> str:
    """A value as it stands in the request's body."""
    return encode_body(value).decode()
