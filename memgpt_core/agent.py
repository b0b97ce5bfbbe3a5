"""The MemGPT loop: relieve memory pressure, ask the model, run its calls, chain or yield.

Orders decisions and effects; takes none itself: the queue manager decides when to warn and flush, the
functions what a call does, `state.apply` what it all means. Every decision is made on the newest state under
the journal's lock, so a human edit at any moment falls cleanly before or after it, and a rerun that puts the
same edits at the same places takes the same decisions.
"""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

from memgpt_core import prompt, queue_manager
from memgpt_core.errors import ContextOverflow, LogClosed, MemscopeError, ModelUnavailable, StoreBroken
from memgpt_core.events import (
    Call,
    Event,
    FaultRecorded,
    MessageSent,
    ModelReplied,
    PressureWarned,
    PromptBuilt,
    Purpose,
    QueueFlushed,
    TriggerReceived,
    TruncationSuspected,
    TurnEnded,
    TurnResumed,
    clean,
)
from memgpt_core.executor import execute, not_run, salvage
from memgpt_core.failpoints import failpoint
from memgpt_core.functions import Function
from memgpt_core.journal import Journal
from memgpt_core.llm.base import ChatModel, Progress, Reply, Stopped
from memgpt_core.memory_functions import Memory, Search, offered
from memgpt_core.prompt import Prompt
from memgpt_core.settings import DEMO, AgentSettings
from memgpt_core.state import State, looks_truncated
from memgpt_core.tokens import count_message

SAME_CALL_CAP = 3
"""A call made this often in one turn, with the same arguments, stops the turn."""

FLUSH_CAP = 3
"""Flushes in a row before one prompt; more would mean that they free nothing."""

WORDS_PER_TOKEN = 0.6
"""To tell a summariser its budget in words; below the usual 0.75, so that it stays within it."""


CALL_CAP = 8
"""Calls of one reply that are run; a model that writes more has run away, and its reply would fill the window."""


class _Ended(Exception):
    """The end of the turn is in the log already."""


class Silent:
    """Progress that nobody watches."""

    def phase(self, phase: str, detail: str = "") -> None:
        """Ignored."""

    def text(self, piece: str) -> None:
        """Ignored."""

    def thought(self, piece: str) -> None:
        """Ignored."""

    def stopped(self) -> bool:
        """Never."""
        return False


class _Summarising(Silent):
    """Progress of a summary: nothing of it is meant for the user's eyes, but a stop still stops it."""

    def __init__(self, watched: Progress) -> None:
        self._watched = watched
        watched.phase("summarising")

    def stopped(self) -> bool:
        """Whether a person asked to stop."""
        return self._watched.stopped()


class Agent:
    """One agent's engine: give it triggers, then let it run the turn."""

    def __init__(
        self,
        journal: Journal,
        model: Callable[[State], ChatModel],
        search: Search,
        *,
        progress: Progress | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal = journal
        self._model = model
        self._memory = Memory(journal.commit, lambda: journal.state, journal.read, search)
        self._progress: Progress = progress or Silent()
        self._timer = timer

    def receive(self, *openings: TriggerReceived | TurnResumed) -> None:
        """Open a turn: queue triggers, all or none, or resume the last turn."""
        with self._journal.lock:
            state = self._journal.state
            self._journal.commit_many([_received(state, opening) for opening in openings])

    def run_turn(self) -> None:
        """Work on what was received until the turn has ended, whatever happens.

        Raises:
            LogClosed: the log takes nothing more, not even the end of the turn; it is ended at the next open.
        """
        try:
            self._steps()
        except ModelUnavailable as fault:
            self._fail("model", fault)
        except LogClosed as fault:
            self._fail("log", fault)
        except StoreBroken as fault:
            self._fail("store", fault)
        except MemscopeError as fault:
            self._fail("engine", fault)

    def _fail(self, where: Literal["model", "log", "store", "engine"], fault: MemscopeError) -> None:
        record = FaultRecorded(where=where, error=str(fault))
        self._journal.commit_many([record, TurnEnded(reason="fault")])

    # --- the loop -------------------------------------------------------------------------------------------

    def _steps(self) -> None:
        calls_seen: Counter[str] = Counter()
        answered_with_nothing = only_saving = False
        while True:
            try:
                self._relieve_pressure()
                replied = self._ask_with_retry(self._build_prompt())
            except Stopped:
                self._journal.commit(TurnEnded(reason="stopped"))
                return
            except _Ended:
                return
            if only_saving and not replied.calls:
                # The user has the answer already; what a model says to a late warning is its inner monologue.
                self._journal.commit(TurnEnded(reason="yielded"))
                return
            if not replied.content and not replied.calls:
                if answered_with_nothing:
                    raise ModelUnavailable(
                        "The model answered with nothing twice. Run the turn again or choose another model."
                    )
                answered_with_nothing = True
                continue
            answered_with_nothing = False
            chained = self._run_calls(replied) if replied.calls else self._deliver_plain(replied)
            calls_seen.update(f"{call.name} {call.arguments}" for call in replied.calls)
            ended = self._ends(chained, repeating=max(calls_seen.values(), default=0) >= SAME_CALL_CAP)
            if ended:
                return
            only_saving = not chained

    def _build_prompt(self) -> Prompt:
        """Commit the next request, or the end of the turn when it was stopped or has taken too many steps.

        Raises:
            _Ended: it was the end.
        """
        built: list[Prompt] = []

        def decide(state: State) -> Event:
            if state.stopping:
                return TurnEnded(reason="stopped")
            if _steps_taken(state) >= state.settings.step_cap:
                return TurnEnded(reason="step_limit")
            built.append(prompt.build(state, self._journal.read))
            return _prompt_built(state, built[-1], "turn")

        self._journal.commit(decide)
        if not built:
            raise _Ended
        return built[-1]

    def _ask_with_retry(self, built: Prompt) -> ModelReplied:
        """The model's reply; after an overflow refusal, one forced flush and one more try."""
        try:
            return self._ask(built, "turn")
        except ContextOverflow as refused:
            self._journal.commit(FaultRecorded(where="model", error=str(refused), overflow=True))
            if not self._flush("overflow"):
                raise
        return self._ask(self._build_prompt(), "turn")

    def _ask(self, built: Prompt, purpose: Purpose) -> ModelReplied:
        self._progress.phase("waiting")
        progress = self._progress if purpose == "turn" else _Summarising(self._progress)
        started = self._timer()
        reply = self._model(self._journal.state).chat(built.body, progress)
        event = replied(reply, purpose, round(self._timer() - started, 6), self._journal.state.settings)
        committed = self._journal.commit(lambda state: queue_manager.fit(state, event) if purpose == "turn" else event)
        if purpose == "turn":
            self._compare_counts(sum(built.sections.values()), reply)
        return committed  # type: ignore[return-value]

    def _compare_counts(self, ours: int, reply: Reply) -> None:
        """Say it loudly when the server saw clearly less of the prompt than was sent."""
        server, served = reply.measured.prompt_tokens or 0, reply.measured.served_window or 0

        def decide(state: State) -> Event | None:
            exact = bool(state.counted_by) or state.settings.model == DEMO
            # A server that answers a prompt larger than the window it serves has cut it, whatever it counts.
            too_large = 0 < served < ours and 0 < server <= served
            if not too_large and not looks_truncated(ours, server, exact=exact):
                return None
            return TruncationSuspected(ours=ours, server=server, window_tokens=served)

        self._journal.commit(decide)

    def _functions(self, state: State) -> dict[str, Function]:
        return offered(state.settings)

    def _run_calls(self, replied: ModelReplied) -> bool:
        """Run the reply's calls in order; whether any of them wants control back."""
        chained = False
        for call in replied.calls:
            self._progress.phase("running a function", call.name)
            # Held for the whole call: a human edit falls before or after it, never inside.
            with self._journal.lock:
                if self._journal.state.stopping:
                    self._journal.commit(queue_manager.fit(self._journal.state, not_run(call)))
                    continue
                native = self._journal.state.settings.protocol == "native"
                functions = self._functions(self._journal.state)
                returned = execute(self._memory, call, functions, always_chain=native, timer=self._timer)
                chained = chained or returned.heartbeat
        return chained

    def _deliver_plain(self, replied: ModelReplied) -> bool:
        """A reply without any call is what the user was meant to read; `memgpt` marks it, there it is a slip."""

        def decide(state: State) -> Event:
            return MessageSent(text=replied.content, plain=state.settings.protocol == "memgpt")

        self._journal.commit(decide)
        return False

    def _ends(self, chained: bool, *, repeating: bool) -> bool:
        """Commit the end of the turn if this was its last step; memory pressure asks for one step more."""

        def decide(state: State) -> Event | None:
            if repeating:
                return TurnEnded(reason="repeating")
            if chained:
                return None
            pressure = queue_manager.decide(state)
            if pressure.act == "warn" and not state.stopping and _steps_taken(state) < state.settings.step_cap:
                return _warned(state, pressure.tokens)
            return TurnEnded(reason="stopped" if state.stopping else "yielded")

        event = self._journal.commit(decide)
        return event is not None and event.kind == "turn_ended"

    # --- memory pressure ------------------------------------------------------------------------------------

    def _relieve_pressure(self) -> None:
        """Warn or flush before the next prompt, as the queue manager decides.

        Raises:
            MemscopeError: the prompt does not fit and nothing that may leave is left.
        """
        for _ in range(FLUSH_CAP):
            warned = self._journal.commit(_warn_if_due)
            if warned is not None or queue_manager.decide(self._journal.state).act != "flush":
                return
            if not self._flush("flush_mark"):
                break
            # No second look for a warning here: right after a flush there is nothing the model need hurry to save.
            if queue_manager.decide(self._journal.state).act != "flush":
                return
        state = self._journal.state
        tokens = queue_manager.total_tokens(state)
        if tokens > state.settings.limit_tokens:
            raise MemscopeError(
                f"Main context needs {tokens} tokens and only {state.settings.limit_tokens} fit, and no flush can free "
                "more. Enlarge the window, shorten core memory, or switch functions off."
            )

    def _flush(self, trigger: str) -> bool:
        """Evict the oldest exchanges and put their summary in the first slot; False when nothing may leave."""
        evicted = queue_manager.evict(self._journal.state)
        if not evicted or self._journal.state.stopping:
            return False
        summary = STRATEGIES[self._journal.state.settings.strategy](self, evicted)
        failpoint("flush.before_commit")
        flushed = self._journal.commit(lambda state: _flushed(state, evicted, trigger, summary))
        failpoint("flush.after_commit")
        return flushed is not None

    def _summarise(self, evicted: tuple[str, ...]) -> str:
        """The model's summary of the summary so far and what leaves; empty when even a short transcript overflows."""
        limit = self._journal.state.settings.limit_tokens
        for chars in (limit * 3, limit):
            built: list[Prompt] = []

            def decide(state: State, chars: int = chars, built: list[Prompt] = built) -> Event:
                words = int(queue_manager.summary_cap_tokens(state) * WORDS_PER_TOKEN)
                read = self._journal.read
                built.append(prompt.build_summary(state, evicted, read, words=words, transcript_chars=chars))
                return _prompt_built(state, built[-1], "summary")

            self._journal.commit(decide)
            try:
                return self._ask(built[-1], "summary").content.strip()
            except ContextOverflow as refused:
                self._journal.commit(FaultRecorded(where="model", error=str(refused), overflow=True))
        return ""


STRATEGIES: dict[str, Callable[[Agent, tuple[str, ...]], str]] = {"summarise_recursively": Agent._summarise}
"""What replaces evicted messages, by the name in the settings; each returns the new summary's text or empty."""


# --- events from decisions, pure ------------------------------------------------------------------------------


def _steps_taken(state: State) -> int:
    """Steps of the turn, or since it was resumed."""
    return state.step - state.resumed_at_step


def _received(state: State, opening: TriggerReceived | TurnResumed) -> Event:
    if opening.kind == "turn_resumed":
        return opening
    fitted: Event = queue_manager.fit(state, opening.model_copy(update={"text": clean(opening.text)}))
    return fitted


def _prompt_built(state: State, built: Prompt, purpose: Purpose) -> PromptBuilt:
    shared = prompt.prefix_tokens(state.sent, built.parts)
    return PromptBuilt(
        purpose=purpose,
        sections=built.sections,
        counted_by=state.counted_by,
        window_tokens=state.settings.window_tokens,
        limit_tokens=state.settings.limit_tokens,
        sha256=built.sha256,
        prefix_tokens=min(sum(built.sections.values()), prompt.scaled(state, shared)),
    )


def replied(reply: Reply, purpose: Purpose, seconds: float, settings: AgentSettings) -> ModelReplied:
    """A finished reply as an event: calls that stand in its text are found, everything is made safe for the log."""
    calls, content, salvaged = reply.calls, reply.content, reply.salvaged
    if purpose == "turn" and not calls and "{" in content:
        calls, content = salvage(content, set(offered(settings)))
        # In structured output the text is where a call belongs.
        salvaged = bool(calls) and settings.calling == "tools"
    return ModelReplied(
        purpose=purpose,
        content=clean(content),
        thinking=clean(reply.thinking),
        calls=tuple(Call.model_validate(clean(call.model_dump())) for call in calls[:CALL_CAP]),
        done_reason=clean(reply.done_reason),
        salvaged=salvaged,
        calls_dropped=reply.calls_dropped or len(calls[CALL_CAP:]),
        measured=reply.measured.model_copy(update={"seconds": seconds}),
    )


def _warn_if_due(state: State) -> Event | None:
    decision = queue_manager.decide(state)
    return _warned(state, decision.tokens) if decision.act == "warn" else None


def _warned(state: State, tokens: int) -> PressureWarned:
    settings = state.settings
    warning = PressureWarned(tokens=tokens, warn_tokens=settings.warn_tokens, flush_tokens=settings.flush_tokens)
    fitted: PressureWarned = queue_manager.fit(state, warning)
    return fitted


def _flushed(state: State, evicted: tuple[str, ...], trigger: Any, summary: str) -> QueueFlushed | None:
    gone = frozenset(evicted)
    leaving = [entry for entry in state.queue if entry.id in gone]
    if not leaving:
        return None
    covers = len(leaving) + (state.summary.covers if state.summary else 0)
    cap = int(queue_manager.summary_cap_tokens(state) / state.token_factor)
    text = prompt.shortened(summary, cap) or "No summary could be made."
    before = queue_manager.total_tokens(state)
    flushed = QueueFlushed(
        evicted=tuple(entry.id for entry in leaving),
        trigger=trigger,
        strategy=state.settings.strategy,
        flush_tokens=state.settings.flush_tokens,
        tokens_before=before,
        tokens_after=0,
        summary=text,
        summarised_by="model" if summary else "none",
        covers=covers,
    )
    tokens = count_message(prompt.summary_message(flushed))
    freed = sum(entry.tokens for entry in leaving) + (state.summary.tokens if state.summary else 0)
    after = before - prompt.scaled(state, freed) + prompt.scaled(state, tokens)
    return flushed.model_copy(
        update={"tokens_after": after, "measured": flushed.measured.model_copy(update={"tokens": tokens})}
    )
