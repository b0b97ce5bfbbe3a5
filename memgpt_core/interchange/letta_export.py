"""An agent as a Letta agent file of version 2, the way Letta 0.16.8 reads it back.

All messages go out with MemGPT's JSON idioms, those of the window listed as in context, so that Letta's recall storage
gets the rest. What the format has no place for stands under one more root key, which Letta ignores. Pure: is handed the
state, a reader of events and of rows.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from memgpt_core.interchange.letta_shapes import EXTRA_KEY
from memgpt_core.prompt import (
    Reader,
    brought_back,
    message_of,
    sent_text,
    summary_message,
    system_text,
    warning_text,
)
from memgpt_core.registry import REGISTRY, offered
from memgpt_core.settings import DEMO
from memgpt_core.state import State

Rows = Callable[[str], list[dict[str, Any]]]
"""Rows of the store for a query, as `Workspace.rows`."""

EXTRA_VERSION = 1

TOOL_TYPES = {
    "send_message": "letta_core",
    "conversation_search": "letta_core",
    "archival_memory_insert": "letta_core",
    "archival_memory_search": "letta_core",
    "core_memory_append": "letta_memory_core",
    "core_memory_replace": "letta_memory_core",
    "memory_insert": "letta_sleeptime_core",
    "memory_rethink": "letta_sleeptime_core",
}
"""Functions that Letta has too, by its own type: it brings their schema and code itself. The rest are `custom`."""

_MESSAGES = "SELECT id, text FROM messages WHERE seq_to IS NULL ORDER BY CAST(substr(id, 2) AS BIGINT)"
_PASSAGES = 'SELECT text, tags, source, "at" FROM passages WHERE seq_to IS NULL ORDER BY seq_from'


def export(state: State, read: Reader, rows: Rows) -> tuple[dict[str, Any], list[str]]:
    """The file, ready for `json.dump`, and what Letta does not get, a sentence each."""
    messages = _Messages(state, read, rows(_MESSAGES))
    passages = rows(_PASSAGES)
    tools = list(offered(state.settings))
    file = {
        "agents": [_agent(state, read, messages, tools)],
        "groups": [],
        "blocks": _blocks(state),
        "files": [],
        "sources": [],
        "tools": [_tool(place, name) for place, name in enumerate(tools)],
        "mcp_servers": [],
        "skills": [],
        "metadata": {"exported_by": "memscope"},
        "created_at": state.at.isoformat(),
        EXTRA_KEY: _extra(state, read, passages),
    }
    return file, list(_lost(state, messages, tools, len(passages)))


def _agent(state: State, read: Reader, messages: "_Messages", tools: Sequence[str]) -> dict[str, Any]:
    defined: Any = read(state.instructions_seq)
    settings = state.settings
    native = settings.protocol == "native"
    return {
        "id": "agent-0",
        "name": state.name,
        "description": state.about or None,
        "system": defined.instructions,
        "agent_type": "letta_v1_agent" if native else "memgpt_agent",
        "llm_config": {
            "model": settings.model,
            "model_endpoint_type": "ollama",
            "handle": f"memscope/{DEMO}" if settings.model == DEMO else f"ollama/{settings.model}",
            "context_window": settings.window_tokens,
            "temperature": settings.temperature,
            "max_tokens": settings.reserve_tokens,
            "put_inner_thoughts_in_kwargs": False,
        },
        "embedding_config": None,
        "embedding": f"ollama/{settings.embedder[7:]}" if settings.embedder.startswith("ollama:") else None,
        "block_ids": [f"block-{place}" for place in range(len(state.blocks))],
        "tool_ids": [f"tool-{place}" for place in range(len(tools))],
        "source_ids": [],
        # As Letta's own: without the rule its loop would go on after the reply.
        "tool_rules": [] if native else [{"type": "exit_loop", "tool_name": "send_message"}],
        "tags": [],
        "timezone": "UTC",
        "include_base_tools": False,
        "include_base_tool_rules": False,
        "message_buffer_autoclear": False,
        "in_context_message_ids": messages.window,
        "messages": messages.all,
        "files_agents": [],
        "group_ids": [],
    }


def _blocks(state: State) -> list[dict[str, Any]]:
    return [
        {
            "id": f"block-{place}",
            "label": block.label,
            "value": block.value,
            "limit": block.limit_chars,
            "description": block.description or None,
            "read_only": block.read_only,
            "metadata": {},
        }
        for place, block in enumerate(state.blocks.values())
    ]


def _tool(place: int, name: str) -> dict[str, Any]:
    described = REGISTRY[name].schema["function"]
    return {
        "id": f"tool-{place}",
        "name": name,
        "tool_type": TOOL_TYPES.get(name, "custom"),
        "description": described["description"],
        "source_type": "python",
        "source_code": None,
        "json_schema": described,
        "tags": [],
    }


class _Messages:
    """Every message in Letta's form.

    Attributes:
        all: the compiled system message first, the summary second if there is one.
        window: ids of those in main context, in its order.
        again: how many were brought back into the window, and stand there once more as an alert.
    """

    def __init__(self, state: State, read: Reader, rows: Sequence[dict[str, Any]]) -> None:
        self._state = state
        self._read = read
        self.all: list[dict[str, Any]] = []
        self.window: list[str] = []
        self.again = 0
        self._head()
        texts = {row["id"]: str(row["text"]) for row in rows}
        ids = {id: self._message(id, text) for id, text in texts.items()}
        for entry in state.queue:
            self.window.append(
                self._again(entry.id, entry.placed, texts[entry.id])
                if entry.kind == "message_requeued"
                else ids[entry.id]
            )

    def _head(self) -> None:
        defined: Any = self._read(self._state.instructions_seq)
        compiled = system_text(defined.instructions, self._state.blocks)
        self.window.append(self._add("system", compiled, self._read(1).at))
        if self._state.summary:
            flushed = self._read(self._state.summary.seq)
            self.window.append(self._add("user", summary_message(flushed)["content"], flushed.at))

    def _message(self, id: str, text: str) -> str:
        event: Any = self._read(int(id[1:]))
        shown = message_of(event, text=None if text == _original(event) else text)
        if shown["role"] == "tool":
            return self._result(event, shown)
        if shown["role"] == "assistant":
            calls = [_call(call) for call in shown.get("tool_calls", ())]
            return self._add("assistant", shown["content"], event.at, thinking=event.thinking, tool_calls=calls or None)
        return self._add("user", shown["content"], event.at)

    def _result(self, event: Any, shown: dict[str, Any]) -> str:
        returned = {
            "tool_call_id": event.call_id,
            "status": "success" if event.ok else "error",
            "func_response": shown["content"],
        }
        return self._add(
            "tool",
            shown["content"],
            event.at,
            name=event.name,
            tool_call_id=event.call_id,
            tool_returns=[returned],
        )

    def _again(self, id: str, placed: int, text: str) -> str:
        self.again += 1
        shown = brought_back(self._read(int(id[1:])), text=text)
        return self._add("user", shown["content"], self._read(placed).at)

    def _add(self, role: str, text: str, at: Any, *, thinking: str = "", **more: Any) -> str:
        content: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
        if thinking:
            content.insert(0, {"type": "reasoning", "is_native": True, "reasoning": thinking})
        id = f"message-{len(self.all)}"
        self.all.append(
            {
                "type": "message",
                "id": id,
                "role": role,
                "content": content,
                "model": self._state.settings.model if role == "assistant" else None,
                "agent_id": "agent-0",
                "created_at": at.isoformat(),
                **more,
            }
        )
        return id


def _original(event: Any) -> str:
    """The text of a message's row when it was never edited."""
    if event.kind == "model_replied":
        return sent_text(event) if event.calls else str(event.content)
    if event.kind == "pressure_warned":
        return warning_text(event)
    return str(event.text if event.kind == "trigger_received" else event.value)


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    arguments = function["arguments"]
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {"id": call["id"], "type": "function", "function": {"name": function["name"], "arguments": written}}


def _extra(state: State, read: Reader, passages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    notes: dict[str, str] = {}
    for note in state.notes.values():
        written: Any = read(note.seq)
        notes[note.name] = written.text
    return {
        "version": EXTRA_VERSION,
        "seed": state.seed,
        "settings": state.settings.model_dump(mode="json"),
        "passages": [
            {
                "text": passage["text"],
                "tags": list(passage["tags"]),
                "source": passage["source"],
                "at": passage["at"].isoformat(),
            }
            for passage in passages
        ],
        "notes": notes,
    }


def _lost(state: State, messages: _Messages, tools: Sequence[str], passages: int) -> Iterator[str]:
    if state.settings.model == DEMO:
        yield "The demo model is no model of Letta's: choose one when you import the file there."
    aside = [f"{passages} archival passages" * bool(passages), f"{len(state.notes)} scratch notes" * bool(state.notes)]
    held = " and ".join(part for part in aside if part)
    if held:
        yield f"{held} stand under `{EXTRA_KEY}`: Memscope reads them back, Letta does not."
    strange = [name for name in tools if name not in TOOL_TYPES]
    if strange:
        yield f"Letta has no code for {', '.join(strange)}: they go out as schemas, and it cannot run them."
    if messages.again:
        yield f"{messages.again} messages that were brought back stand twice: in their place, and as an alert."
    if state.pinned:
        yield f"{len(state.pinned)} pins are not in the file."
    yield (
        "The history is not in the file: earlier versions of blocks and messages, what was deleted, searches, flushes, "
        "token counts, requests, faults and the models' times. A bundle keeps all of it."
    )
