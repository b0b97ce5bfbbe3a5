"""Letta agent files (`.af`) as they stand on the disk: read whole, checked, brought to one shape.

Version 2 has `agents`, `blocks` and `tools` side by side that name each other by id; version 1 is one agent with all of
it inside. Both become an `AgentFile`. Knows the format and what may be wrong with it; knows nothing of what a message
means (`letta_messages`) and never looks into a tool's code: it is text, and is not even kept.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from memgpt_core.blueprint import explain
from memgpt_core.events import clean
from memgpt_core.interchange.letta_shapes import (
    EXTRA_KEY,
    AfMessage,
    AgentFile,
    AgentFileRefused,
    FileV1,
    FileV2,
    Thing,
)

MAX_BYTES = 64 * 2**20
"""An agent file is read whole; Letta's own hold the messages of one window and stay far below this."""

MAX_NESTING = 60
"""As deep as an event may be nested (`events.MAX_DEPTH`)."""

FREE = "not imported: here the model is free in its calls"


def load(path: Path) -> AgentFile:
    """The first agent of an agent file.

    Raises:
        AgentFileRefused: it is none, or something in it cannot be; the sentence says what and where.
    """
    data = _bytes(path)
    raw = _json(path.name, data)
    if not isinstance(raw, dict):
        raise AgentFileRefused(f"{path.name} is no Letta agent file: it holds no JSON object.")
    known = {"source": path.name, "sha256": hashlib.sha256(data).hexdigest()}
    try:
        if "agents" in raw:
            return _from_v2(FileV2.model_validate(raw), raw, known)
        if "agent_type" in raw and "core_memory" in raw:
            return _from_v1(FileV1.model_validate(raw), raw, known)
    except ValidationError as error:
        raise AgentFileRefused(f"{path.name} cannot be read as a Letta agent file: {_first(error)}") from None
    raise AgentFileRefused(
        f"{path.name} is no Letta agent file: it has neither `agents` (version 2) nor `agent_type` and `core_memory` "
        "(version 1) at its top."
    )


def looks_like(raw: Any) -> bool:
    """Whether a parsed JSON value is an agent file of either version, by its top-level keys."""
    return isinstance(raw, dict) and ("agents" in raw or ("agent_type" in raw and "core_memory" in raw))


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise AgentFileRefused(f"There is no file {path.name}.")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise AgentFileRefused(
            f"{path.name} has {size / 2**20:,.0f} MB; an agent file is read whole, and {MAX_BYTES // 2**20} MB is the "
            "most. Export the agent without its messages, or import the conversation from another format."
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise AgentFileRefused(f"{path.name} cannot be read: {error.strerror}.") from None


def _json(name: str, data: bytes) -> Any:
    try:
        raw = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise AgentFileRefused(f"{name} is not UTF-8: byte {error.start + 1:,} fits no character.") from None
    except RecursionError:
        raise AgentFileRefused(f"{name} is nested too deep; {MAX_NESTING} levels are the most.") from None
    except json.JSONDecodeError as error:
        cut = " The file may be cut off." if not error.doc.rstrip().endswith("}") else ""
        where = f"line {error.lineno:,}, column {error.colno:,}"
        raise AgentFileRefused(f"{name} is not valid JSON: {error.msg} ({where}).{cut}") from None
    except ValueError:
        raise AgentFileRefused(f"{name} holds a number with too many digits.") from None
    if where := _too_deep(raw):
        raise AgentFileRefused(f"{name} is nested too deep at {where}; {MAX_NESTING} levels are the most.")
    return clean(raw, MAX_NESTING + 1)


def _too_deep(raw: Any) -> str:
    """Where a value is nested deeper than `MAX_NESTING`, without recursion; empty when nowhere."""
    waiting: list[tuple[Any, int, str]] = [(raw, 1, "")]
    while waiting:
        value, depth, top = waiting.pop()
        if depth > MAX_NESTING:
            return top or "its top"
        inside: Iterable[tuple[Any, Any]] = ()
        if isinstance(value, dict):
            inside = value.items()
        elif isinstance(value, list):
            inside = enumerate(value)
        for key, item in inside:
            if isinstance(item, dict | list):
                waiting.append((item, depth + 1, top or str(key)))
    return ""


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, and how many more there are."""
    first, *more = explain(error).split("; ")
    return f"{first}." + (f" ({len(more)} more like this.)" if more else "")


# --- version 2 ------------------------------------------------------------------------------------------


def _from_v2(file: FileV2, raw: dict[str, Any], known: dict[str, str]) -> AgentFile:
    if not file.agents:
        raise AgentFileRefused(f"{known['source']} holds no agent: `agents` is empty.")
    name = known["source"]
    _differ(name, "agents", [agent.id for agent in file.agents])
    blocks = _by_id(name, "blocks", file.blocks)
    tools = _by_id(name, "tools", file.tools)
    agent = file.agents[0]
    _differ(name, "agents.0.messages", [message.id for message in agent.messages])
    own_blocks = _named(name, "agents.0.block_ids", agent.block_ids, blocks, "blocks")
    own_tools = _named(name, "agents.0.tool_ids", agent.tool_ids, tools, "tools")
    at = {message.id: position for position, message in enumerate(agent.messages)}
    window = [at[id] for id in _known_ids(name, agent.in_context_message_ids, at)]
    messages, window = _in_order(agent.messages, window)
    extra = raw.get(EXTRA_KEY)
    left = [
        _count(len(file.agents) - 1, "other agent", "only the first was imported"),
        _count(len(file.groups), "group", "groups of agents are not imported"),
        _count(len(file.files) + len(agent.files_agents), "attached file", "not imported"),
        _count(len(agent.source_ids or ()), "data source", "not imported"),
        _count(len(file.mcp_servers), "MCP server", "not imported"),
        _count(len(file.skills), "skill", "not imported"),
        _count(len(agent.identity_ids or ()), "identity", "named in the file, not imported", "identities"),
        _secrets({**(agent.tool_exec_environment_variables or {}), **(agent.secrets or {})}),
        # Ours has one rule, which says what holds here anyhow.
        "" if extra else _count(len(agent.tool_rules or ()), "tool rule", FREE),
    ]
    return AgentFile(
        format="letta v2",
        agent=agent,
        blocks=own_blocks,
        tools=own_tools,
        messages=messages,
        window=tuple(window),
        tags=tuple(agent.tags or ()),
        extra=extra if isinstance(extra, dict) else {},
        left=tuple(note for note in left if note),
        **known,
    )


def _by_id(name: str, where: str, things: list[Thing]) -> dict[str, Thing]:
    _differ(name, where, [thing.id for thing in things])
    return {thing.id: thing for thing in things}


def _differ(name: str, where: str, ids: list[str]) -> None:
    twice = [id for id, times in Counter(ids).items() if times > 1 and id]
    if twice:
        raise AgentFileRefused(
            f"{name} cannot be imported: in {where} the id {twice[0]} stands {ids.count(twice[0])} times."
        )


def _named(name: str, where: str, ids: list[str] | None, there: dict[str, Thing], what: str) -> tuple[Thing, ...]:
    """The things an agent names; all of them when it names none by id, as hand-written files do."""
    if ids is None:
        return tuple(there.values())
    for id in ids:
        if id not in there:
            raise AgentFileRefused(f"{name} cannot be imported: {where} names {id}, which is not in {what}.")
    return tuple(there[id] for id in dict.fromkeys(ids))


def _known_ids(name: str, ids: list[str], at: dict[str, int]) -> list[str]:
    where = "agents.0.in_context_message_ids"
    for id in ids:
        if id not in at:
            raise AgentFileRefused(f"{name} cannot be imported: {where} names {id}, which is not in messages.")
    _differ(name, where, ids)
    return ids


def _in_order(messages: list[AfMessage], window: list[int]) -> tuple[tuple[AfMessage, ...], list[int]]:
    """Messages with those of the window in the window's order, in the places they have; and where those are."""
    if not window:
        # As in Letta: no list means that all of them are in context.
        return tuple(messages), list(range(len(messages)))
    places = sorted(window)
    ordered = list(messages)
    for place, position in zip(places, window, strict=True):
        ordered[place] = messages[position]
    return tuple(ordered), places


# --- version 1 ------------------------------------------------------------------------------------------


def _from_v1(file: FileV1, raw: dict[str, Any], known: dict[str, str]) -> AgentFile:
    name = known["source"]
    for position in file.in_context_message_indices:
        if not 0 <= position < len(file.messages):
            raise AgentFileRefused(
                f"{name} cannot be imported: in_context_message_indices names message {position}, and there are "
                f"{len(file.messages)} (counted from 0)."
            )
    _differ(name, "in_context_message_indices", [str(position) for position in file.in_context_message_indices])
    messages, window = _in_order(file.messages, file.in_context_message_indices)
    left = [
        _secrets({variable.key: None for variable in file.tool_exec_environment_variables}),
        _count(len(file.tool_rules or ()), "tool rule", FREE),
        _count(int(bool(raw.get("multi_agent_group"))), "group", "groups of agents are not imported"),
    ]
    return AgentFile(
        format="letta v1",
        agent=file,
        blocks=tuple(file.core_memory),
        tools=tuple(file.tools),
        messages=messages,
        window=tuple(window),
        tags=tuple(tag.tag for tag in file.tags),
        extra={},
        left=tuple(note for note in left if note),
        **known,
    )


def _count(number: int, what: str, why: str, several: str = "") -> str:
    return f"{number} {what if number == 1 else several or what + 's'}: {why}." if number > 0 else ""


def _secrets(variables: dict[str, Any]) -> str:
    # By name alone: a value may be a key, and a log is shared.
    listed = ", ".join(sorted(variables))
    return f"Environment variables of tools are not imported: {listed}." if variables else ""
