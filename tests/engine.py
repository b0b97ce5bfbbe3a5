"""A real engine for tests: real log, journal and agent; scripted replies, a fake clock, search over rows."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from memgpt_core.agent import Agent
from memgpt_core.blueprint import Blueprint, first_events
from memgpt_core.events import Call, Event, Hit, Measured, TriggerReceived
from memgpt_core.journal import Journal
from memgpt_core.llm.base import Progress, Reply
from memgpt_core.log import Log
from memgpt_core.project import project
from memgpt_core.rows import MemoryRows
from memgpt_core.settings import AgentSettings
from memgpt_core.state import State


class FakeClock:
    """Two seconds pass each time somebody looks."""

    def __init__(self, now: datetime = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)) -> None:
        self.now = now

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=2)
        return self.now

    def forward(self, **delta: float) -> None:
        self.now += timedelta(**delta)


def call(name: str, /, heartbeat: bool = False, **arguments: Any) -> Call:
    if heartbeat:
        arguments["request_heartbeat"] = True
    return Call(id=f"call_{name}", name=name, arguments=arguments)


def reply(*calls: Call, content: str = "", thinking: str = "") -> Reply:
    return Reply(content, thinking, tuple(calls), "stop", Measured())


def say(text: str) -> Reply:
    return reply(call("send_message", message=text))


Scripted = Reply | Exception | Callable[[dict[str, Any]], Reply]


class ScriptedModel:
    """Answers with the given replies in order, then with `then`; summaries with a fixed sentence."""

    def __init__(self, *script: Scripted, then: Scripted | None = None) -> None:
        self.script = list(script)
        self.then = then
        self.bodies: list[dict[str, Any]] = []
        self.summary: Scripted = reply(content="They spoke of many things.")

    def chat(self, body: dict[str, Any], progress: Progress) -> Reply:
        self.bodies.append(body)
        if "tools" not in body and "summariser" in body["messages"][0]["content"]:
            answer: Scripted = self.summary
        elif self.script:
            answer = self.script.pop(0)
        else:
            assert self.then is not None, "the model was asked more often than the script has answers"
            answer = self.then
        if isinstance(answer, Exception):
            raise answer
        return answer(body) if callable(answer) else answer


class _Found(NamedTuple):
    hits: tuple[Hit, ...]
    total: int
    mode: str = "words"
    saved_s: float | None = None


class RowsSearch:
    """Substring search over the in-memory rows: the simplest thing with the seam's shape."""

    def __init__(self) -> None:
        self.rows = MemoryRows()

    def take(self, before: State, event: Event) -> None:
        self.rows.take(project(before, event))

    def recall(
        self,
        query: str,
        *,
        roles: tuple[str, ...],
        start: str,
        end: str,
        page: int,
        page_size: int,
        exclude: tuple[str, ...],
    ) -> _Found:
        rows = [row for row in self.rows.current("messages") if row["role"] in roles and row["id"] not in exclude]
        return self._find(rows, query, start, end, page, page_size)

    def archival(self, query: str, *, tags: tuple[str, ...], start: str, end: str, page: int, page_size: int) -> _Found:
        rows = [row for row in self.rows.current("passages") if not tags or set(tags) & set(row["tags"])]
        return self._find(rows, query, start, end, page, page_size)

    def items(self, ids: Any) -> dict[str, dict[str, Any]]:
        return {id: self.rows.item(id) for id in ids}

    @staticmethod
    def _find(rows: list[dict[str, Any]], query: str, start: str, end: str, page: int, size: int) -> _Found:
        found = [
            row["id"]
            for row in rows
            if query.lower() in row["text"].lower()
            and (not start or row["at"].date().isoformat() >= start)
            and (not end or row["at"].date().isoformat() <= end)
        ]
        shown = found[(page - 1) * size : page * size]
        return _Found(tuple(Hit(id=id, score=1.0) for id in shown), len(found))


class Engine:
    """An agent in a folder, ready to be talked to."""

    def __init__(
        self, folder: Path, model: Any, *, settings: AgentSettings | None = None, blueprint: Blueprint | None = None
    ) -> None:
        self.clock = FakeClock()
        self.model = model
        self.search = RowsSearch()
        self.log = Log.create(folder / "run.jsonl")
        self.journal = Journal(self.log, clock=self.clock, sinks=(self.search.take,))
        self.journal.commit_many(
            first_events(blueprint or Blueprint(name="Tester", settings=settings or AgentSettings()), "tester")
        )
        ticks = iter(range(10**9))
        self.agent = Agent(self.journal, lambda _: self.model, self.search, timer=lambda: next(ticks) / 1000)

    @property
    def state(self) -> State:
        return self.journal.state

    @property
    def events(self) -> list[Event]:
        return list(self.log.events())

    def tell(self, text: str, cause: Any = "user") -> list[Event]:
        """Send and run the turn; the events of it."""
        before = self.log.last_seq
        self.agent.receive(TriggerReceived(cause=cause, text=text))
        self.agent.run_turn()
        return list(self.log.events(before + 1))

    def close(self) -> None:
        self.log.close()


PATIENCE_S = 20.0


def until(holds: Callable[[], Any]) -> Any:
    """Wait for a background thread: what holds, as soon as it does."""
    ends = time.monotonic() + PATIENCE_S
    while not (found := holds()):
        assert time.monotonic() < ends, "it never came to hold"
        threading.Event().wait(0.01)
    return found


def kinds(events: Sequence[Event]) -> list[str]:
    return [event.kind for event in events]


def sent(events: Sequence[Any]) -> list[str]:
    return [event.text for event in events if event.kind == "message_sent"]
