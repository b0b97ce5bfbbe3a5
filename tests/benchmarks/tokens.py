"""How far the estimate of a prompt's tokens is from what real vocabularies give, per kind of text.

Run: `python -m tests.benchmarks.tokens`. Uses the vocabularies of those packages that are installed (they are named
in `tests/vocabularies/packages.py`); exits with 1 when there is none, or when a median is over its floor.
"""

import itertools
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from memgpt_core import tokens
from memgpt_core.blueprint import Blueprint, define_instructions
from memgpt_core.events import FunctionReturned, TriggerReceived
from memgpt_core.journal import states
from memgpt_core.llm.vocabulary import Vocabulary
from memgpt_core.log import read_events
from memgpt_core.prompt import build, message_of
from memgpt_core.state import INITIAL
from tests.benchmarks._tables import at_most, doing, heading, series, table
from tests.vocabularies.packages import CARRIED, installed

ROOT = Path(__file__).parent.parent.parent
SAMPLES = ROOT / "sample_agents"
AT = datetime(2026, 11, 20, 8, tzinfo=UTC)
FLOOR_PERCENT = 3.0
KEPT, LEARNT = 0.7, 0.3
PROMPTS = 60
PIECE_CHARS = (240, 900, 420, 1500)
QUEUE_TOKENS = 5000

HOW = """Each kind is a life of prompts: the instructions and function schemas of a new agent, then a queue that grows
by one message a step and loses its older half when it is full. `chat` are the prompts of the sample agents'
recordings, rebuilt. True is the sum of the vocabulary's counts over all messages, calls and schemas; chat templates
are left out on both sides. `Text` is the estimate of the texts alone against the truth. `First` is the error of the
first prompt, when nothing is learnt; `median` and `p95` are absolute errors of the prompts after it, with the factor
learnt from the prompts before: k <- 0.7 k + 0.3 true / estimate. All in percent of the truth; nothing is timed."""


class Life(NamedTuple):
    """The prompts of one agent as (estimate, texts), and the texts that make this kind what it is."""

    texts: list[str]
    prompts: list[tuple[int, list[str]]]


def prose() -> str:
    """The project's own pages, and as much again of the book that the analyst has read."""
    pages = [ROOT / "README.md", ROOT / "memgpt_core" / "DESIGN.md"]
    book = (SAMPLES / "analyst" / "documents" / "king-james-bible.txt").read_text(encoding="utf-8")
    return "\n".join([*(page.read_text(encoding="utf-8") for page in pages if page.exists()), book[20_000:80_000]])


def code() -> str:
    """Python, as the engine is written in it."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "memgpt_core").glob("*.py")))


def tool_output() -> str:
    """JSON as functions return it: the lines of a recording."""
    lines = (SAMPLES / "prober" / "run.jsonl").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if '"archival_inserted"' not in line)


def pieces(text: str) -> list[str]:
    """As many pieces as a life needs, of lengths as messages have them, from all over the text."""
    lengths = list(itertools.islice(itertools.cycle(PIECE_CHARS), PROMPTS))
    gap = max(0, len(text) - sum(lengths)) // PROMPTS
    found, at = [], 0
    for length in lengths:
        found.append(text[at : at + length])
        at += length + gap
    return [piece for piece in found if piece]


def invented(kind: str, text: str) -> Life:
    """A life whose messages are pieces of a text, told by the user or returned by a function."""
    defined = define_instructions(Blueprint(name="benchmark").instructions, Blueprint(name="benchmark").settings)
    system = {"role": "system", "content": defined.instructions}
    cut = pieces(text)
    queue: list[dict[str, Any]] = []
    prompts = []
    for piece in cut:
        queue.append(message_of(_returned(piece) if kind == "tool output" else _told(piece)))
        if sum(tokens.count_message(message) for message in queue) > QUEUE_TOKENS:
            queue = queue[len(queue) // 2 :]
        body = {"messages": [system, *queue], "tools": list(defined.schemas)}
        prompts.append((tokens.count_request(body), texts_of(body)))
    return Life(cut, prompts)


def _told(piece: str) -> TriggerReceived:
    return TriggerReceived(cause="user", text=piece, at=AT)


def _returned(piece: str) -> FunctionReturned:
    name = "archival_memory_search"
    return FunctionReturned(call_id="call_1", name=name, arguments={}, ok=True, value=piece, heartbeat=True, at=AT)


def recorded(path: Path) -> Life:
    """The prompts of a recording, rebuilt, and what its people and its agent said."""
    events = list(read_events(path))
    texts = [event.text for event in events if event.kind in ("trigger_received", "message_sent")]
    prompts = []
    for state, event in states(INITIAL, iter(events)):
        if event.kind == "prompt_built" and event.purpose == "turn":
            body = build(state, lambda seq: events[seq - 1]).body
            prompts.append((tokens.count_request(body), texts_of(body)))
    return Life(texts, prompts)


def texts_of(body: dict[str, Any]) -> list[str]:
    """Every text of a request body that the model reads: contents, calls and schemas as compact JSON."""
    values = [message["tool_calls"] for message in body["messages"] if message.get("tool_calls")]
    written = (json.dumps(value, ensure_ascii=False, separators=(",", ":")) for value in [*values, *body["tools"]])
    return [*(message["content"] for message in body["messages"]), *written]


def errors(life: Life, vocabulary: Vocabulary) -> tuple[float, list[float]]:
    """(error of the first prompt, absolute errors of all after it), in percent; the factor is learnt in between."""
    factor, found = 1.0, []
    for estimate, texts in life.prompts:
        true = sum(vocabulary.count_many(texts))
        found.append(100 * (factor * estimate / true - 1))
        factor = KEPT * factor + LEARNT * true / estimate
    return found[0], [abs(error) for error in found[1:]]


def vocabularies() -> Iterator[tuple[str, Vocabulary]]:
    """What is installed, by the package it comes from; says what is not."""
    for carried in CARRIED:
        path = installed(carried)
        if path is None:
            print(f"{carried.pre}: {carried.package} is not installed; left out.")
            continue
        doing(f"reading {carried.pre} from {carried.package}")
        vocabulary = Vocabulary.from_show(carried.read(path, carried.pre))
        if vocabulary is None:
            raise SystemExit(f"{carried.package} no longer carries {carried.pre} as expected.")
        yield carried.pre, vocabulary


def main() -> int:
    """Print the table; 1 when there is no vocabulary, or a median is over the floor."""
    heading("Error of the token estimate, in percent of a real vocabulary's count", HOW)
    lives = {
        name: invented(name, text)
        for name, text in (("prose", prose()), ("code", code()), ("tool output", tool_output()))
    }
    lives |= {f"chat, {path.parent.name}": recorded(path) for path in sorted(SAMPLES.glob("*/run.jsonl"))}
    rows: list[tuple[object, ...]] = []
    over = False
    for pre, vocabulary in vocabularies():
        for kind, life in lives.items():
            bias = 100 * (sum(map(tokens.count, life.texts)) / sum(vocabulary.count_many(life.texts)) - 1)
            first, later = errors(life, vocabulary)
            found = series(later)
            over = over or found.median > FLOOR_PERCENT
            floor = at_most(found.median, FLOOR_PERCENT, "%")
            rows.append((kind, pre, bias, first, found.median, found.p95, found.count, floor))
    if not rows:
        print("No package with a vocabulary is installed; nothing to measure.")
        return 1
    rows.sort(key=lambda row: list(lives).index(str(row[0])))
    table(("kind", "vocabulary", "text %", "first %", "median %", "p95 %", "of", "floor (median)"), rows)
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
