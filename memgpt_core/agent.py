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

from memgpt_core import decisions, prompt, queue_manager
from memgpt_core.decisions import Opening
from memgpt_core.errors import ContextOverflow, LogClosed, MemscopeError, ModelUnavailable, StoreBroken
from memgpt_core.events import (
    Call,
    Event,
    FaultRecorded,
    MessageSent,
    ModelReplied,
    Purpose,
    TruncationSuspected,
    TurnEnded,
)
from memgpt_core.executor import UNANSWERED, asked, execute, not_run, refused, would_run
from memgpt_core.failpoints import failpoint
from memgpt_core.journal import Journal
from memgpt_core.llm.base import ChatModel, Progress, Reply, Stopped
from memgpt_core.memory_functions import Memory, Search
from memgpt_core.prompt import Prompt
from memgpt_core.registry import offered
from memgpt_core.settings import DEMO
from memgpt_core.state import State, looks_truncated
from memgpt_core.strategies import STRATEGIES, Leaving

SAME_CALL_CAP = 3
"""A call made this often in one turn, with the same arguments, stops the turn."""

FLUSH_CAP = 3
"""Flushes in a row before one prompt; more would mean that they free nothing."""

WORDS_PER_TOKEN = 0.6
"""To tell a summariser its budget in words; below the usual 0.75, so that it stays within it."""


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

    def receive(self, *openings: Opening) -> None:
        """Open a turn: queue triggers, all or none, or run the last turn on, or answer the call that it waits with.

        Triggers let go of a call that waits for an answer.
        """
        with self._journal.lock:
            state = self._journal.state
            passed_over = any(opening.kind == "trigger_received" for opening in openings)
            let_go = self._let_go() if passed_over else []
            self._journal.commit_many([*let_go, *(decisions.received(state, opening) for opening in openings)])

    def let_go(self) -> None:
        """Give the calls that wait for an answer the result that none came, so that none is left without one."""
        with self._journal.lock:
            self._journal.commit_many(self._let_go())

    def _let_go(self) -> list[Event]:
        state = self._journal.state
        if state.asked is None:
            return []
        replied: Any = self._journal.read(state.asked.reply)
        waiting = replied.calls[state.asked.call_index :]
        return [queue_manager.fit(state, not_run(call, UNANSWERED)) for call in waiting]

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
        try:
            self._loop(only_saving=self._carry_on())
        except Stopped:
            self._journal.commit(TurnEnded(reason="stopped"))
        except _Ended:
            return

    def _loop(self, *, only_saving: bool) -> None:
        """Step after step, until `_Ended`; with `only_saving` the first one only answers a late warning."""
        calls_seen: Counter[str] = Counter()
        answered_with_nothing = False
        while True:
            self._relieve_pressure()
            replied = self._ask_with_retry(self._build_prompt())
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
            self._end_unless(chained, repeating=max(calls_seen.values(), default=0) >= SAME_CALL_CAP)
            only_saving = not chained

    def _carry_on(self) -> bool:
        """Run the call that was answered and the rest of its reply; whether the next step is for saving only.

        Raises:
            _Ended: that was all there was to do, or a further call must be asked about.
        """
        answered = self._journal.state.answered
        if answered is None:
            return False
        replied: Any = self._journal.read(answered.reply)
        chained = self._run_calls(replied, first=answered.call_index)
        self._end_unless(chained, repeating=False)
        return not chained

    def _build_prompt(self) -> Prompt:
        """Commit the next request, or the end of the turn when it was stopped or has taken too many steps.

        Raises:
            _Ended: it was the end.
        """
        built: list[Prompt] = []

        def decide(state: State) -> Event:
            if state.stopping:
                return TurnEnded(reason="stopped")
            if decisions.steps_taken(state) >= state.settings.step_cap:
                return TurnEnded(reason="step_limit")
            built.append(prompt.build(state, self._journal.read))
            return decisions.prompt_built(state, built[-1], "turn")

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
        event = decisions.replied(reply, purpose, round(self._timer() - started, 6), self._journal.state.settings)
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

    def _run_calls(self, replied: ModelReplied, *, first: int = 0) -> bool:
        """Run the reply's calls in order, from number `first` on; whether any of them all wants control back.

        Raises:
            _Ended: a call must be asked about.
        """
        chained = first > 0 and self._asked_back(replied.seq)
        for index, call in enumerate(replied.calls[first:], first):
            self._progress.phase("running a function", call.name)
            # Held for the whole call: a human edit falls before or after it, never inside.
            with self._journal.lock:
                chained = self._run_call(replied.seq, index, call) or chained
        return chained

    def _run_call(self, reply: int, index: int, call: Call) -> bool:
        """Run one call, or say why not; whether it wants control back.

        Raises:
            _Ended: it must be asked about, and the turn ended with the question.
        """
        state = self._journal.state
        functions = offered(state.settings, with_documents=state.documents > 0)
        answer = self._answer(index)
        if state.stopping:
            self._journal.commit(queue_manager.fit(state, not_run(call)))
            return False
        if answer is not None and not answer.allowed:
            self._journal.commit(queue_manager.fit(state, refused(call, answer.reason)))
            return True
        if answer is None and call.name in state.settings.functions_ask and would_run(call, functions):
            self._journal.commit_many([asked(call, reply, index), TurnEnded(reason="asked")])
            raise _Ended
        native = state.settings.protocol == "native"
        return execute(self._memory, call, functions, always_chain=native, timer=self._timer).heartbeat

    def _answer(self, index: int) -> Any:
        """The answer to call number `index`, which has not been carried out yet; None when it was not asked about."""
        answered = self._journal.state.answered
        return self._journal.read(answered.seq) if answered and answered.call_index == index else None

    def _asked_back(self, reply: int) -> bool:
        """Whether a call of the reply in event `reply` that has run already wants control back."""
        results = [
            int(entry.id[1:])
            for entry in self._journal.state.queue
            if entry.kind == "function_returned" and int(entry.id[1:]) > reply
        ]
        ran: list[Any] = [self._journal.read(seq) for seq in results]
        return any(returned.heartbeat for returned in ran)

    def _deliver_plain(self, replied: ModelReplied) -> bool:
        """A reply without any call is what the user was meant to read; `memgpt` marks it, there it is a slip.

        In a turn that only reviews a session it is inner monologue: nobody is waiting for a word.
        """

        def decide(state: State) -> Event | None:
            if self._reviews(state):
                return None
            return MessageSent(text=replied.content, plain=state.settings.protocol == "memgpt")

        self._journal.commit(decide)
        return False

    def _reviews(self, state: State) -> bool:
        """Whether a review opened this turn; a system message may have joined it since."""
        opened = next(
            (entry for entry in state.queue if entry.turn == state.turn and entry.kind == "trigger_received"), None
        )
        trigger: Any = self._journal.read(int(opened.id[1:])) if opened else None
        return opened is not None and bool(trigger.cause == "review")

    def _end_unless(self, chained: bool, *, repeating: bool) -> None:
        """Commit the end of the turn if this was its last step; memory pressure asks for one step more.

        Raises:
            _Ended: it was.
        """

        def decide(state: State) -> Event | None:
            if repeating:
                return TurnEnded(reason="repeating")
            if chained:
                return None
            pressure = queue_manager.decide(state)
            if pressure.act == "warn" and not state.stopping and decisions.steps_taken(state) < state.settings.step_cap:
                return decisions.warned(state, pressure.tokens)
            return TurnEnded(reason="stopped" if state.stopping else "yielded")

        event = self._journal.commit(decide)
        if event is not None and event.kind == "turn_ended":
            raise _Ended

    # --- memory pressure ------------------------------------------------------------------------------------

    def _relieve_pressure(self) -> None:
        """Warn or flush before the next prompt, as the queue manager decides.

        Raises:
            MemscopeError: the prompt does not fit and nothing that may leave is left.
        """
        for _ in range(FLUSH_CAP):
            warned = self._journal.commit(decisions.warn_if_due)
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
        """Evict the oldest exchanges, as the strategy in the settings does; False when nothing may leave."""
        evicted = queue_manager.evict(self._journal.state)
        if not evicted or self._journal.state.stopping:
            return False
        name = self._journal.state.settings.strategy
        summary = self._summarise(evicted) if STRATEGIES[name].summarises else ""
        failpoint("flush.before_commit")
        with self._journal.lock:
            flushed = self._flushed(name, evicted, trigger, summary)
            # One write: a flush and what it stored are facts together.
            self._journal.commit_many(flushed)
        failpoint("flush.after_commit")
        return bool(flushed)

    def _flushed(self, strategy: str, evicted: tuple[str, ...], trigger: str, summary: str) -> list[Event]:
        """The events of a flush on the newest state: what the strategy stores, then the flush; none when all are gone.

        A message that was deleted or pinned while the summary was made does not leave any more.
        """
        state = self._journal.state
        gone = frozenset(evicted) - queue_manager.kept_by_pins(state)
        entries = tuple(entry for entry in state.queue if entry.id in gone)
        if not entries:
            return []
        made = STRATEGIES[strategy].replace(Leaving(entries, summary, self._journal.read))
        return [*made.passages, decisions.flushed(state, entries, trigger, strategy, made)]

    def _summarise(self, evicted: tuple[str, ...]) -> str:
        """The model's summary of the summary so far and what leaves; empty when even a short transcript overflows."""
        limit = self._journal.state.settings.limit_tokens
        for chars in (limit * 3, limit):
            built: list[Prompt] = []

            def decide(state: State, chars: int = chars, built: list[Prompt] = built) -> Event:
                words = int(queue_manager.summary_cap_tokens(state) * WORDS_PER_TOKEN)
                read = self._journal.read
                built.append(prompt.build_summary(state, evicted, read, words=words, transcript_chars=chars))
                return decisions.prompt_built(state, built[-1], "summary")

            self._journal.commit(decide)
            try:
                return self._ask(built[-1], "summary").content.strip()
            except ContextOverflow as refused:
                self._journal.commit(FaultRecorded(where="model", error=str(refused), overflow=True))
        return ""
