"""Stretches of an imported conversation as the events of a life: sessions, turns, flushes, at their own times.

The queue manager of the engine decides what leaves the window and when, so that an imported history pages like a lived
one. What never happened is not told: no request was built, no warning given. Each stretch ends with the event that
says that it was imported. Knows no file format.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from memgpt_core import checkpoints, decisions, queue_manager
from memgpt_core.agent import FLUSH_CAP, WORDS_PER_TOKEN, Silent
from memgpt_core.errors import ContextOverflow
from memgpt_core.events import (
    EPOCH,
    Call,
    Event,
    FunctionReturned,
    HistoryImported,
    MessageSent,
    ModelReplied,
    TriggerReceived,
    TurnEnded,
)
from memgpt_core.interchange.extract import extract
from memgpt_core.interchange.sessions import Message
from memgpt_core.interchange.spool import Stretch
from memgpt_core.journal import Journal
from memgpt_core.llm.base import ChatModel
from memgpt_core.opening import OpenLog
from memgpt_core.prompt import build_summary, stamp
from memgpt_core.registry import offered
from memgpt_core.state import Entry, State
from memgpt_core.strategies import STRATEGIES, Leaving, Replacement, said

IMPORTED = "imported"
"""The `done_reason` of a reply that came from a file."""

EVENTS_A_WRITE = 4000
"""Events that are written and synced as one, at least; a kill costs what was not."""

SYSTEM = "The imported conversation gave its assistant these instructions: "


class _Gathered:
    """A log whose lines wait in memory until there are enough of them for one write."""

    def __init__(self, opened: OpenLog) -> None:
        self._opened = opened
        self._lines: list[str] = []
        self._events: dict[int, Event] = {}
        self._marks: list[tuple[State, Event]] = []
        self.last_seq = opened.log.last_seq

    def append(self, lines: Sequence[str]) -> None:
        self._lines += lines
        self.last_seq += len(lines)

    def read(self, seq: int) -> Event:
        waiting = self._events.get(seq)
        return self._opened.log.read(seq) if waiting is None else waiting

    def keep(self, before: State, event: Event) -> None:
        self._events[event.seq] = event
        if event.seq % checkpoints.EVERY == 0:
            self._marks.append((before, event))

    def write(self) -> None:
        """Write and sync what waits, and keep the checkpoints that fell due."""
        self._opened.log.append(self._lines)
        for before, event in self._marks:
            self._opened.checkpoint(before, event)
        self._lines, self._events, self._marks = [], {}, []

    @property
    def waiting(self) -> int:
        return len(self._lines)


class ImportedLife:
    """An agent's log that an import is lived into.

    Attributes:
        moved: how many messages are older than what the agent had lived before them, so that they stand behind it,
            with their own time in their text.
    """

    def __init__(
        self,
        opened: OpenLog,
        *,
        source: HistoryImported,
        user_speaker: str = "",
        undated: datetime,
        model: ChatModel | None = None,
        moved: int = 0,
    ) -> None:
        """Go on from the end of `opened`; `source` is what every stretch is said to come from.

        Messages without a time get `undated`. With a `model`, summaries are its.
        """
        self.moved = moved
        self._source = source
        self._user_speaker = user_speaker
        self._undated = undated
        self._model = model
        self._lines = _Gathered(opened)
        self._at = opened.state.at
        self._journal = Journal(self._lines, opened.state, clock=lambda: self._at, sinks=(self._lines.keep,))
        self._functions: dict[str, tuple[str, Any]] = {}
        self._speaks = "send_message" in offered(opened.state.settings)
        self._idle = timedelta(minutes=opened.state.settings.login_idle_minutes)

    @property
    def state(self) -> State:
        """The state after what was lived."""
        return self._journal.state

    def live(self, stretch: Stretch) -> None:
        """Live a stretch; it is written when `write` is called."""
        first = self.state.seq + 1
        ids: dict[str, str] = {}
        for place, message in enumerate(stretch.messages):
            self._at = message.at or self._undated
            if place == 0 and stretch.opens:
                self._login()
            queued = self._say(self._cast(message, stretch))
            if queued and message.id:
                ids[queued] = message.id
        if stretch.closes:
            self._end_turn()
        self._at = self.state.at
        self._journal.commit(
            self._source.model_copy(
                update={
                    "first": first,
                    "conversation": stretch.key,
                    "title": stretch.title,
                    "messages": stretch.upto,
                    "digest": stretch.digest,
                    "ids": ids,
                }
            )
        )

    def announce(self, first: int) -> None:
        """Say, before anything of it, what is being imported, and that all from event `first` on is."""
        self._journal.commit(self._source.model_copy(update={"first": first}))

    @property
    def due(self) -> bool:
        """Whether enough waits for a write."""
        return self._lines.waiting >= EVENTS_A_WRITE

    def write(self) -> None:
        """Write and sync what waits, as one."""
        self._lines.write()

    # --- who speaks ---------------------------------------------------------------------------------------------

    def _cast(self, message: Message, stretch: Stretch) -> Message:
        """The message with its role in this life, and before its text what it would not say otherwise."""
        if stretch.speakers:
            user = self._user_speaker if self._user_speaker in stretch.speakers else stretch.speakers[0]
            message = message._replace(role="user" if message.speaker == user else "assistant")
        # The name is in the text and not beside it, because searches look for words in texts.
        text = f"{message.speaker}: {message.text}" if message.speaker and message.text else message.text
        text = SYSTEM + text if message.role == "system" else text
        if text and message.at and self.state.at - message.at > self._idle:
            self.moved += 1
            text = f"[{message.at:%Y-%m-%d %H:%M} UTC] {text}"
        return message._replace(text=text)

    # --- what was said ------------------------------------------------------------------------------------------

    def _say(self, message: Message) -> str:
        """Queue a message as the engine would have; its id, or empty when there was nothing in it."""
        if message.role in ("user", "system"):
            return self._trigger("user" if message.role == "user" else "system", message.text)
        if not self.state.turn_open:
            self._login()
        return self._result(message) if message.role == "tool" else self._reply(message)

    def _login(self) -> None:
        self._end_turn()
        last = self.state.last_trigger_at
        self._queue(TriggerReceived(cause="login", text=stamp(last) if last > EPOCH else "Never (first login)"))

    def _trigger(self, cause: Any, text: str) -> str:
        if not text:
            return ""
        if any(entry.turn == self.state.turn and entry.kind == "model_replied" for entry in self.state.queue):
            self._end_turn()
        queued = self._queue(TriggerReceived(cause=cause, text=text))
        self._relieve_pressure()
        return queued

    def _reply(self, message: Message) -> str:
        if not message.text and not message.calls:
            return ""
        self._relieve_pressure()
        calls, content = message.calls, message.text
        if message.text and self._speaks:
            content = ""
            calls = (
                Call(id=f"said_{self.state.seq + 1}", name="send_message", arguments={"message": message.text}),
                *calls,
            )
        replied = ModelReplied(
            purpose="turn", content=content, thinking=message.thoughts, calls=calls, done_reason=IMPORTED
        )
        queued = self._queue(replied)
        if message.text:
            self._journal.commit(MessageSent(text=message.text))
        for call in calls:
            if call.name == "send_message" and self._speaks and call not in message.calls:
                self._returned(call.id, call.name, call.arguments, "None")
            else:
                self._functions[call.id] = (call.name, call.arguments)
        return queued

    def _result(self, message: Message) -> str:
        name, arguments = self._functions.pop(message.call_id, (message.function or "unknown", {}))
        return self._returned(message.call_id, name, arguments, message.text)

    def _returned(self, call_id: str, name: str, arguments: Any, value: str) -> str:
        returned = FunctionReturned(
            call_id=call_id, name=name, arguments=arguments, ok=True, value=value, heartbeat=name != "send_message"
        )
        return self._queue(returned)

    def _queue(self, event: Event) -> str:
        committed = self._journal.commit(queue_manager.fit(self.state, event))
        return f"m{committed.seq}" if committed else ""

    def _end_turn(self) -> None:
        if self.state.turn_open:
            now, self._at = self._at, self.state.at
            self._functions.clear()
            self._journal.commit(TurnEnded(reason="yielded"))
            self._at = now

    # --- memory pressure ----------------------------------------------------------------------------------------

    def _relieve_pressure(self) -> None:
        """Flush as the queue manager decides; the warning is left out, for nobody was there to heed it."""
        for _ in range(FLUSH_CAP):
            state = self.state
            decision = queue_manager.decide(state.model_copy(update={"warned": True}))
            if decision.act != "flush" or not decision.evict:
                return
            strategy = state.settings.strategy
            text, by_model = "", False
            if STRATEGIES[strategy].summarises:
                text = self._by_model(decision.evict) if self._model else ""
                by_model = bool(text)
            state, gone = self.state, frozenset(decision.evict)
            entries = tuple(entry for entry in state.queue if entry.id in gone)
            made = STRATEGIES[strategy].replace(Leaving(entries, text, self._lines.read))
            if STRATEGIES[strategy].summarises and not by_model:
                made = Replacement(self._extract(entries), "none")
            flushed = decisions.flushed(state, entries, "flush_mark", strategy, made)
            self._journal.commit_many([*made.passages, flushed])

    def _extract(self, entries: Sequence[Entry]) -> str:
        state = self.state
        before: Any = self._lines.read(state.summary.seq) if state.summary else None
        lines = []
        for entry in entries:
            who, text = said(entry, self._lines.read)
            if text and who != "system":
                lines.append((self._lines.read(int(entry.id[1:])).at.date(), who, text))
        # Some room is left for the few tokens by which the whole differs from its lines.
        cap = int(queue_manager.summary_cap_tokens(state) / state.token_factor * 0.95)
        return extract(before.summary if before else "", lines, cap)

    def _by_model(self, evicted: tuple[str, ...]) -> str:
        """The model's summary of what leaves, as in a turn; empty when even a short transcript overflows."""
        assert self._model is not None
        limit = self.state.settings.limit_tokens
        for chars in (limit * 3, limit):
            words = int(queue_manager.summary_cap_tokens(self.state) * WORDS_PER_TOKEN)
            built = build_summary(self.state, evicted, self._lines.read, words=words, transcript_chars=chars)
            try:
                reply = self._model.chat(built.body, Silent())
            except ContextOverflow:
                continue
            self._journal.commit(decisions.prompt_built(self.state, built, "summary"))
            self._journal.commit(decisions.replied(reply, "summary", 0.0, self.state.settings))
            return reply.content.strip()
        return ""
