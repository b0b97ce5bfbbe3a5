"""The tool-call trial: a few fixed exchanges that show how fit a model is to run its own memory.

Each exchange is a real request of the engine; what comes back is judged by four questions: does the model call
at all, does it hold back where nothing is to be done, are the arguments right, does it ask for control back when
it must go on. A handful of exchanges is a check and no benchmark.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from pydantic import TypeAdapter, ValidationError

from memgpt_core import prompt
from memgpt_core.blueprint import Blueprint, first_events
from memgpt_core.connection import Connection
from memgpt_core.decisions import replied
from memgpt_core.errors import MemscopeError
from memgpt_core.events import Call, Event, FunctionReturned, ModelReplied, TriggerReceived
from memgpt_core.llm.base import Phase, Stopped
from memgpt_core.settings import AgentSettings
from memgpt_core.state import INITIAL, apply, place

Asks = Literal["calls", "restraint", "arguments", "heartbeats"]


class Exchange(NamedTuple):
    """One exchange: what it looks at, what was asked and wanted, what came, and whether that will do."""

    name: str
    looks_at: Asks
    asked: str
    wanted: str
    came: str
    ok: bool


class TrialResult(NamedTuple):
    """A trial of one model; each pair is (exchanges passed, of how many)."""

    model: str
    digest: str
    at: datetime
    exchanges: tuple[Exchange, ...]
    calls: tuple[int, int]
    restraint: tuple[int, int]
    arguments: tuple[int, int]
    heartbeats: tuple[int, int]
    seconds: float
    verdict: str


class _Plan(NamedTuple):
    name: str
    looks_at: Asks
    asked: str
    wanted: str
    passes: Callable[[Sequence[Call]], bool]
    before: tuple[Event, ...] = ()


def _called(calls: Sequence[Call], name: str) -> dict[str, Any] | None:
    """The arguments of the first call of that name; None when there is none."""
    found = next((call for call in calls if call.name == name), None)
    return found.arguments if found is not None and isinstance(found.arguments, dict) else None


def _only(calls: Sequence[Call], name: str) -> bool:
    return bool(calls) and all(call.name == name for call in calls)


def _has(arguments: dict[str, Any] | None, key: str, text: str) -> bool:
    return arguments is not None and text in str(arguments.get(key, "")).lower()


_SEARCHED = (
    ModelReplied(
        purpose="turn",
        calls=(
            Call(id="call_1", name="conversation_search", arguments={"query": "boiler", "request_heartbeat": True}),
        ),
    ),
    FunctionReturned(
        call_id="call_1",
        name="conversation_search",
        arguments={"query": "boiler"},
        ok=True,
        value="Showing 1 of 1 results (page 1 of 1):\n"
        '{"id": "m9", "time": "2026-05-04 09:12", "role": "user", "text": "The boiler valve is part VX-2291."}',
        heartbeat=True,
    ),
)

_EDITS = ("core_memory_append", "memory_insert", "core_memory_replace")
_SEARCHES = ("conversation_search", "archival_memory_search")

PLANS: tuple[_Plan, ...] = (
    _Plan(
        "speaks by a call",
        "calls",
        "Hello! How are you?",
        "a send_message call",
        lambda calls: _called(calls, "send_message") is not None,
    ),
    _Plan(
        "saves a fact",
        "calls",
        "My name is Ana. Please remember it.",
        "a core memory call",
        lambda calls: any(
            call.name in ("core_memory_append", "memory_insert", "core_memory_replace") for call in calls
        ),
    ),
    _Plan(
        "writes the fact where it belongs",
        "arguments",
        "I live in Lisbon. Add that to your core memory about me.",
        "core_memory_append with label human and Lisbon in its content",
        lambda calls: (
            _has(_called(calls, "core_memory_append"), "label", "human")
            and _has(_called(calls, "core_memory_append"), "content", "lisbon")
        ),
    ),
    _Plan(
        "writes a number as a number",
        "arguments",
        "Pause your timed heartbeats for 30 minutes.",
        "pause_heartbeats with minutes 30",
        lambda calls: (_called(calls, "pause_heartbeats") or {}).get("minutes") == 30,
    ),
    _Plan(
        "searches and asks for control back",
        "heartbeats",
        "What did I tell you about the boiler a month ago?",
        "a search with boiler in its query and request_heartbeat true",
        lambda calls: any(
            _has(_called(calls, name), "query", "boiler")
            and (_called(calls, name) or {}).get("request_heartbeat") is True
            for name in ("conversation_search", "archival_memory_search")
        ),
    ),
    _Plan(
        "answers from what it found",
        "restraint",
        "What did I tell you about the boiler a month ago?",
        "only a send_message, with the part number it found",
        lambda calls: _only(calls, "send_message") and _has(_called(calls, "send_message"), "message", "vx-2291"),
        _SEARCHED,
    ),
    _Plan(
        "leaves memory alone when there is nothing to save",
        "restraint",
        "Thank you, that is all. Goodbye!",
        "only a send_message",
        lambda calls: _only(calls, "send_message"),
    ),
)
"""The exchanges, in order."""


class _Progress:
    def __init__(self, stopped: Callable[[], bool]) -> None:
        self.stopped = stopped

    def phase(self, phase: Phase, detail: str = "") -> None:
        """Nobody watches one exchange."""

    def text(self, piece: str) -> None:
        """Nobody watches one exchange."""

    def thought(self, piece: str) -> None:
        """Nobody watches one exchange."""


def request(settings: AgentSettings, plan: _Plan) -> dict[str, Any]:
    """The engine's request for an exchange: a new agent, the question, and what went before."""
    events: list[Event] = []
    state = INITIAL
    for event in (
        *first_events(Blueprint(name="Trial", settings=settings), "trial"),
        TriggerReceived(cause="user", text=plan.asked),
        *plan.before,
    ):
        session, turn, step = place(state, event)
        at = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
        header = {"seq": state.seq + 1, "at": at, "session": session, "turn": turn, "step": step}
        events.append(event.model_copy(update=header))
        state = apply(state, events[-1])
    return prompt.build(state, lambda seq: events[seq - 1]).body


def run(
    chat: Any,
    settings: AgentSettings,
    *,
    digest: str,
    progress: Any,
    tell: Callable[[int], None],
    clock: Callable[[], float],
) -> TrialResult:
    """Run every exchange against a model; `tell` hears how many are done.

    Raises:
        ModelUnavailable: the model could not be asked.
        Stopped: somebody asked to stop.
    """
    started = clock()
    done: list[Exchange] = []
    for plan in PLANS:
        reply = replied(chat.chat(request(settings, plan), progress), "turn", 0.0, settings)
        came = ", ".join(f"{call.name}({call.arguments})" for call in reply.calls) or reply.content or "nothing"
        ok = plan.passes(reply.calls)
        done.append(Exchange(plan.name, plan.looks_at, plan.asked, plan.wanted, came[:500], ok))
        tell(len(done))
    scores = {asks: _score(done, asks) for asks in ("calls", "restraint", "arguments", "heartbeats")}
    return TrialResult(
        settings.model,
        digest,
        datetime.now(UTC),
        tuple(done),
        **scores,
        seconds=round(clock() - started, 1),
        verdict=_verdict(done),
    )


def _score(done: Sequence[Exchange], asks: str) -> tuple[int, int]:
    looked = [exchange for exchange in done if exchange.looks_at == asks]
    return sum(exchange.ok for exchange in looked), len(looked)


def _verdict(done: Sequence[Exchange]) -> str:
    passed = sum(exchange.ok for exchange in done)
    failed = "; ".join(f"it does not always pass “{exchange.name}”" for exchange in done if not exchange.ok)
    if passed == len(done):
        return f"Fit for this work: it passed all {len(done)} exchanges."
    if passed >= 0.7 * len(done):
        return f"Usable with care: it passed {passed} of {len(done)} exchanges; {failed}."
    return (
        f"Not fit for this work: it passed {passed} of {len(done)} exchanges. Expect lost facts and missing replies; "
        "try a larger model, or the other way of calling (tools or structured output)."
    )


_RESULT = TypeAdapter(TrialResult)


class Trials:
    """Trials of the server's models, one at a time each, with their results kept per model and digest."""

    def __init__(self, connection: Connection, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._clock = clock
        self._running: dict[str, int] = {}
        self._cancelled: set[str] = set()
        self._failed: dict[str, str] = {}

    def start(self, settings: AgentSettings) -> None:
        """Try the model of these settings in the background, in the `memgpt` protocol, whose calls show the most."""
        settings = settings.model_copy(update={"protocol": "memgpt"})
        model = settings.model
        if model in self._running:
            return
        self._cancelled.discard(model)
        self._failed.pop(model, None)
        self._running[model] = 0
        threading.Thread(target=self._run, args=(settings,), name=f"trial of {model}", daemon=True).start()

    def running(self, model: str) -> tuple[int, int] | None:
        """(exchanges done, of how many) of a running trial; None when none is running."""
        return (self._running[model], len(PLANS)) if model in self._running else None

    def failed(self, model: str) -> str:
        """Why the last trial came to no end; empty when it did."""
        return self._failed.get(model, "")

    def cancel(self, model: str) -> None:
        """Stop a running trial; it leaves no result."""
        self._cancelled.add(model)

    def result(self, model: str, digest: str) -> TrialResult | None:
        """The last trial of this very model; None when there is none."""
        kept = self._connection.knowledge.of(model).get("trials", {}).get(digest)
        with suppress(ValidationError):
            return _RESULT.validate_python(kept, strict=False) if kept else None
        return None

    def _run(self, settings: AgentSettings) -> None:
        model = settings.model
        card = self._connection.card(model)
        progress = _Progress(lambda: model in self._cancelled)
        try:
            result = run(
                self._connection.model_for("a tool-call trial"),
                settings,
                digest=card.digest if card else "",
                progress=progress,
                tell=lambda done: self._tell(model, done),
                clock=self._clock,
            )
            trials = self._connection.knowledge.of(model).get("trials", {})
            kept = _RESULT.dump_python(result, mode="json")
            self._connection.knowledge.learn(model, trials={**trials, result.digest: kept})
        except Stopped:
            self._failed[model] = "The trial was stopped."
        except MemscopeError as error:
            self._failed[model] = str(error)
        finally:
            self._running.pop(model, None)
            self._connection.version += 1

    def _tell(self, model: str, done: int) -> None:
        self._running[model] = done
        self._connection.version += 1
