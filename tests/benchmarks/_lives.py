"""Agents with a past: a scripted model that lives a plausible life, and logs of any length made with it.

The log is what the real engine writes (`Agent` over a `Journal`), but its lines go to the file in blocks and
without a sync each, so that 100,000 events take a minute; whoever opens the folder then opens a real log.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any
from zlib import crc32

from memgpt_core import checkpoints
from memgpt_core.agent import Agent
from memgpt_core.blueprint import Blueprint, first_events
from memgpt_core.events import Call, Event, Measured, TriggerReceived, encode
from memgpt_core.journal import Journal
from memgpt_core.llm.base import Progress, Reply
from memgpt_core.search import Found
from memgpt_core.settings import AgentSettings
from memgpt_core.state import State, apply

SETTINGS = AgentSettings(model="scripted", window_tokens=8192, embedder="hashing")
SUMMARY = "They spoke of many things: where the user lives and works, whom they see, what they plan for spring."
EVENTS_KEPT = 5000
LINES_AT_ONCE = 2000
_SYLLABLES = ("ba", "ce", "do", "fi", "gu", "ha", "lo", "mi", "na", "po", "ra", "se", "tu", "vi", "za")


def _vocabulary() -> list[str]:
    rng = Random(7)
    return ["".join(rng.choices(_SYLLABLES, k=rng.randint(1, 4))) for _ in range(8000)]


WORDS = _vocabulary()
UNCOMMON = WORDS[300:3000]
"""Words a person would search for: neither in every message nor in none."""

_ZIPF = list(accumulate(1 / rank for rank in range(1, len(WORDS) + 1)))


def text(rng: Random, words: int) -> str:
    """Words drawn as in real text, where the r-th most common word is 1/r as common as the first."""
    return " ".join(rng.choices(WORDS, cum_weights=_ZIPF, k=words))


def call(name: str, /, *, heartbeat: bool = False, **arguments: Any) -> Call:
    return Call(id=f"call_{name}", name=name, arguments=arguments | ({"request_heartbeat": True} if heartbeat else {}))


class Talker:
    """A scripted model: answers at once; every fifth turn stores a fact first, every eleventh searches.

    Attributes:
        in_model_s: seconds spent in here, by `clock`.
    """

    def __init__(self, seed: int = 1, *, clock: Callable[[], float] = lambda: 0.0) -> None:
        self.rng = Random(seed)
        self.in_model_s = 0.0
        self._clock = clock
        self._turns = 0

    def chat(self, body: dict[str, Any], progress: Progress) -> Reply:
        started = self._clock()
        if "tools" not in body:
            reply = Reply(SUMMARY, "", (), "stop", Measured())
        else:
            calls = (self._speak(),) if body["messages"][-1]["role"] == "tool" else self._begin()
            thoughts = text(self.rng, 20)
            reply = Reply(thoughts, "", calls, "stop", Measured(reply_tokens=120, generate_s=1.5))
        self.in_model_s += self._clock() - started
        return reply

    def _speak(self) -> Call:
        return call("send_message", message=text(self.rng, self.rng.randint(60, 180)))

    def _begin(self) -> tuple[Call, ...]:
        self._turns += 1
        rng = self.rng
        if self._turns % 5 == 0:
            fact = text(rng, 60)
            return (call("archival_memory_insert", heartbeat=True, content=fact, tags=["fact"]),)
        if self._turns % 11 == 0:
            query = " ".join((*text(rng, 1).split(), *rng.choices(UNCOMMON, k=2)))
            return (call("conversation_search", heartbeat=True, query=query),)
        if self._turns % 17 == 0:
            return (call("memory_rethink", heartbeat=True, label="human", new_memory=text(rng, 60)),)
        return (self._speak(),)


_NOTHING = Found((), 0, "words")


class _NoSearch:
    """Search while a past is made: finds nothing, so that making it needs no store."""

    def recall(self, query: str, **_: Any) -> Found:
        return _NOTHING

    def archival(self, query: str, **_: Any) -> Found:
        return _NOTHING

    def items(self, ids: Any) -> dict[str, dict[str, Any]]:
        return {}


class _Blocks:
    """A log's lines, written in blocks, with its checkpoints; keeps the events that prompts can still ask for."""

    def __init__(self, folder: Path) -> None:
        self.last_seq = 0
        self.events: dict[int, Event] = {}
        self._checkpoints = folder / "checkpoints"
        self._file = (folder / "run.jsonl").open("xb")
        self._lines: list[bytes] = []
        self._size = self._crc = 0
        self._marks: dict[int, tuple[int, int]] = {}

    def append(self, lines: Sequence[str]) -> None:
        for line in lines:
            self._lines.append(line.encode() + b"\n")
            self._size += len(self._lines[-1])
            self._crc = crc32(self._lines[-1], self._crc)
            self.last_seq += 1
            if self.last_seq % checkpoints.EVERY == 0:
                self._marks[self.last_seq] = (self._size, self._crc)
        if len(self._lines) >= LINES_AT_ONCE:
            self.flush()

    def read(self, seq: int) -> Event:
        return self.events[seq]

    def keep(self, before: State, event: Event) -> None:
        self.events[event.seq] = event
        if event.seq in self._marks:
            checkpoints.save(self._checkpoints, apply(before, event), *self._marks.pop(event.seq))
        gone = event.seq - EVENTS_KEPT
        if gone > 50:  # the instructions are among the first, and are read for ever
            self.events.pop(gone, None)

    def flush(self) -> None:
        self._file.write(b"".join(self._lines))
        self._file.flush()
        self._lines = []

    def close(self) -> None:
        self.flush()
        self._file.close()


class Minutes:
    """A clock of the past: a minute passes each time somebody looks."""

    def __init__(self, start: datetime = datetime(2024, 1, 1, tzinfo=UTC)) -> None:
        self.now = start

    def __call__(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now


def make_agent(folder: Path, events: int, *, settings: AgentSettings = SETTINGS, seed: int = 1) -> None:
    """An agent's folder with a log of at least this many events, all turns ended; no stores yet."""
    folder.mkdir(parents=True)
    lines = _Blocks(folder)
    journal = Journal(lines, clock=Minutes(), sinks=(lines.keep,))
    journal.commit_many(first_events(Blueprint(name=folder.name, settings=settings), folder.name))
    model = Talker(seed)
    agent = Agent(journal, lambda _: model, _NoSearch(), timer=lambda: 0.0)
    while lines.last_seq < events:
        agent.receive(TriggerReceived(cause="user", text=text(model.rng, model.rng.randint(20, 120))))
        agent.run_turn()
    lines.close()


def mean_bytes(log: Path) -> int:
    """Bytes an event, newline included, over a whole log."""
    data = log.read_bytes()
    return len(data) // data.count(b"\n")


def line_of(event: Event) -> bytes:
    """An event as it stands in the log."""
    return encode(event).encode() + b"\n"
