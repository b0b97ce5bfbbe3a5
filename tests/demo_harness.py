"""A small world for the demo model: blocks on a dict, recall and archival storage as lists, real envelopes.

The real functions need a journal; these do the same to plain lists, with the same refusals, so that a test
can also take a fact out of the world between two questions.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from memgpt_core.llm.base import Phase, Reply
from memgpt_core.llm.demo import DemoModel
from memgpt_core.prompt import render_block, stamp
from memgpt_core.registry import schemas
from memgpt_core.settings import AgentSettings
from memgpt_core.state import Block

INSTRUCTIONS = "You are a test agent."


class Heard:
    """Progress that keeps what it hears and asks to stop after `stop_after` pieces."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.phases: list[Phase] = []
        self.said = ""
        self.thoughts = ""
        self._left = stop_after

    def phase(self, phase: Phase) -> None:
        self.phases.append(phase)

    def text(self, piece: str) -> None:
        self.said += piece

    def thought(self, piece: str) -> None:
        self.thoughts += piece

    def stopped(self) -> bool:
        if self._left is None:
            return False
        self._left -= 1
        return self._left < 0


def block(label: str, value: str = "", limit: int = 2000, description: str = "") -> Block:
    return Block(label, description, value, limit, False, 1, "human", 0)


class World:
    """An agent in miniature; `say` runs a whole turn and returns what the user saw."""

    def __init__(self, *, off: tuple[str, ...] = (), limit: int = 2000, human: str = "", page_size: int = 5) -> None:
        self.blocks = {"persona": block("persona", "I am Sam."), "human": block("human", human, limit)}
        self.queue: list[dict[str, Any]] = []
        self.recall: list[tuple[str, str, str]] = []
        self.archive: list[tuple[str, list[str]]] = []
        self.notes: dict[str, str] = {}
        self.off = off
        self.page_size = page_size
        self.at = datetime(2026, 5, 6, 10, 0, tzinfo=UTC)
        self.calls: list[tuple[str, dict[str, Any], bool]] = []
        self.steps = 0
        self.broken: frozenset[str] = frozenset()
        self.keeps_last_step_only = False
        self.model = DemoModel()

    @property
    def human(self) -> list[str]:
        return self.blocks["human"].value.split("\n")

    def body(self) -> dict[str, Any]:
        system = INSTRUCTIONS + "\n\n" + "\n".join(render_block(b) for b in self.blocks.values())
        body = {"model": "demo", "messages": [{"role": "system", "content": system}, *self.queue]}
        return {**body, "tools": list(self.schemas())} if self.schemas() else body

    def envelope(self, kind: str, **fields: str) -> None:
        content = json.dumps({"type": kind, **fields, "time": stamp(self.at)}, ensure_ascii=False)
        self.queue.append({"role": "user", "content": content})

    def schemas(self) -> tuple[dict[str, Any], ...]:
        return schemas(AgentSettings(functions_off=tuple(self.off)))

    def pressure(self) -> None:
        self.envelope("system_alert", message="Memory pressure: the conversation fills 90 % of what fits.")

    def say(self, text: str) -> str:
        self.at += timedelta(minutes=1)
        self.envelope("user_message", message=text)
        told = self.run()
        self.recall.append(("user", text, self.at.strftime("%Y-%m-%d %H:%M")))
        self.recall.append(("assistant", told, self.at.strftime("%Y-%m-%d %H:%M")))
        return told

    def run(self, *, late: bool = False) -> str:
        """Steps until control is back with the world; what was sent, one line per message.

        A `late` run is the step after a warning that came with the answer: text without a call is inner
        monologue there and ends the turn, as in the engine.
        """
        sent: list[str] = []
        self.late = late
        self.steps = 0
        while True:
            self.steps += 1
            assert self.steps <= 12, f"the turn does not end: {self.calls[-4:]}"
            if self.keeps_last_step_only:
                self.evict_steps()
            if not self.take(self.model.chat(self.body(), Heard()), sent):
                return "\n".join(sent)

    def evict_steps(self) -> None:
        """What a flush in the middle of a turn does at worst: only the trigger and the last step stay."""
        start = max(i for i, m in enumerate(self.queue) if m["role"] == "user")
        replies = [i for i, m in enumerate(self.queue) if m["role"] == "assistant" and i > start]
        if replies:
            self.queue[start + 1 : replies[-1]] = []

    def take(self, reply: Reply, sent: list[str]) -> bool:
        """Queue a reply and run its calls; whether control goes straight back to the model."""
        message: dict[str, Any] = {"role": "assistant", "content": reply.content}
        if not reply.calls:
            assert reply.content.strip(), "an empty reply"
            sent += [] if self.late else [reply.content]
        else:
            message["tool_calls"] = [
                {"id": c.id, "function": {"index": i, "name": c.name, "arguments": c.arguments}}
                for i, c in enumerate(reply.calls)
            ]
        self.queue.append(message)
        again = False
        for call in reply.calls:
            assert call.name not in self.off, f"{call.name} is switched off"
            assert isinstance(call.arguments, dict)
            given = dict(call.arguments)
            heartbeat = given.pop("request_heartbeat", False)
            try:
                if call.name in self.broken:
                    raise ValueError("it is broken")
                value, ok = self.do(call.name, given), True
            except ValueError as error:
                value, ok = str(error), False
            if call.name == "send_message" and ok:
                sent.append(given["message"])
            self.calls.append((call.name, given, ok))
            result = json.dumps(
                {"status": "OK" if ok else "Failed", "message": value, "time": stamp(self.at)}, ensure_ascii=False
            )
            self.queue.append({"role": "tool", "tool_name": call.name, "tool_call_id": call.id, "content": result})
            again = again or heartbeat or not ok
        return again

    def do(  # noqa: C901
        self, name: str, given: dict[str, Any]
    ) -> str:
        if name in ("core_memory_append", "memory_insert"):
            value = self.blocks[given["label"]].value
            line = given.get("content") or given["new_string"]
            self.edit(given["label"], f"{value}\n{line}" if value else line)
        elif name == "core_memory_replace":
            value, old = self.blocks[given["label"]].value, given["old_content"]
            if value.count(old) != 1:
                raise ValueError(f"old_content stands {value.count(old)} times in block '{given['label']}'")
            text = value.replace(old, given["new_content"])
            self.edit(
                given["label"], text if given["new_content"] else "\n".join(x for x in text.split("\n") if x.strip())
            )
        elif name == "memory_rethink":
            self.edit(given["label"], given["new_memory"])
        elif name == "archival_memory_insert":
            self.archive.append((given["content"], given.get("tags", [])))
        elif name == "archival_memory_search":
            return self.page(given, [{"tags": tags, "text": text} for text, tags in self.archive], given["query"])
        elif name == "conversation_search":
            return self.page(given, [{"role": role, "text": text} for role, text, _ in self.recall], given["query"])
        elif name == "conversation_search_date":
            rows = [{"time": at, "role": role, "text": text} for role, text, at in self.recall
                    if given["start_date"] <= at[:10] <= given["end_date"]]  # fmt: skip
            return self.page(given, rows, "")
        elif name == "note_write":
            self.notes[given["name"]] = given["text"]
        elif name == "note_read":
            if given["name"] not in self.notes:
                raise ValueError(f"There is no note '{given['name']}'. Notes: {', '.join(self.notes) or 'none'}.")
            return self.notes[given["name"]]
        elif name == "note_list":
            return "\n".join(f"{n} ({len(t)} characters)" for n, t in self.notes.items()) or "There are no notes."
        return "None"

    def edit(self, label: str, text: str) -> None:
        old = self.blocks[label]
        if len(text) > old.limit_chars:
            raise ValueError(f"Edit refused: exceeds the limit of block '{label}', {old.limit_chars} characters.")
        self.blocks[label] = old._replace(value=text)

    def page(self, given: dict[str, Any], rows: list[dict[str, Any]], query: str) -> str:
        """Rows with any word of the query, most words first, as `memory_functions` pages them."""
        words = query.lower().split()
        scored = [(sum(w in row["text"].lower() for w in words), -i, row) for i, row in enumerate(rows)]
        found = [row for score, _, row in sorted(scored, key=lambda s: s[:2], reverse=True) if score or not words]
        if not words:
            found = rows
        page, size = given.get("page", 1), self.page_size
        pages = max(1, -(-len(found) // size))
        if not found:
            return "No results found."
        if page > pages:
            return f"No results on page {page}: there are {len(found)} results on {pages} pages."
        shown = found[(page - 1) * size : page * size]
        lines = [f"Showing {len(shown)} of {len(found)} results (page {page} of {pages}):"]
        lines += [json.dumps({"id": "m1", "time": "2026-05-01 09:00", **row}, ensure_ascii=False) for row in shown]
        return "\n".join(lines)
