"""Logs for tests, built from the real events: `Script().trigger("hi").prompt().reply("hello").end().events`.

Each method adds one event, stamped as the journal does (seq, at, session, turn, step), and returns the
script; `last` is the event just added, `message` the id of the last message it queued, `passage` of the
last passage. `befores[i]` is the state just before `events[i]`.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from memgpt_core import events as kinds
from memgpt_core.events import Call, Event, Measured
from memgpt_core.settings import ENGINE_VERSION, AgentSettings
from memgpt_core.state import INITIAL, State, apply, place

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


class Script:
    """A growing log and the states along it."""

    def __init__(
        self,
        *,
        settings: AgentSettings | None = None,
        start: datetime = START,
        every: timedelta = timedelta(seconds=7),
        created: bool = True,
    ) -> None:
        self.events: list[Event] = []
        self.befores: list[State] = []
        self.state: State = INITIAL
        self.now = start
        self.every = every
        self.message = ""
        self.passage = ""
        if created:
            self.add(
                kinds.AgentCreated(
                    agent_id="tester",
                    name="Tester",
                    engine_version=ENGINE_VERSION,
                    seed=7,
                    settings=settings or AgentSettings(),
                )
            )

    @property
    def last(self) -> Event:
        return self.events[-1]

    @property
    def seq(self) -> int:
        return len(self.events)

    def add(self, event: Event) -> Self:
        """Stamp and append any event."""
        session, turn, step = place(self.state, event)
        stamped = event.model_copy(
            update={"seq": len(self.events) + 1, "at": self.now, "session": session, "turn": turn, "step": step}
        )
        self.befores.append(self.state)
        self.events.append(stamped)
        before = {entry.id for entry in self.state.queue}
        self.state = apply(self.state, stamped)
        self.now += self.every
        if self.state.queue and self.state.queue[-1].id not in before:
            self.message = self.state.queue[-1].id
        if stamped.kind == "archival_inserted":
            self.passage = f"p{stamped.seq}"
        return self

    def pairs(self, after: int = 0) -> Iterator[tuple[State, Event]]:
        """(state before, event) of every event with a seq greater than `after`: what `catch_up` is given."""
        yield from zip(self.befores[after:], self.events[after:], strict=True)

    def trigger(self, text: str, *, cause: Any = "user", tokens: int = 20) -> Self:
        return self.add(kinds.TriggerReceived(cause=cause, text=text, measured=Measured(tokens=tokens)))

    def prompt(self) -> Self:
        return self.add(
            kinds.PromptBuilt(
                purpose="turn", sections={}, window_tokens=8192, limit_tokens=7168, sha256="0" * 64, prefix_tokens=0
            )
        )

    def reply(self, text: str, *, thinking: str = "", purpose: Any = "turn", tokens: int = 20) -> Self:
        """A model reply that says `text` through send_message."""
        call = Call(id=f"c{len(self.events) + 1}", name="send_message", arguments={"message": text})
        return self.calls([call], thinking=thinking, purpose=purpose, tokens=tokens)

    def calls(
        self,
        calls: Sequence[Call],
        *,
        content: str = "",
        thinking: str = "",
        purpose: Any = "turn",
        tokens: int = 20,
    ) -> Self:
        return self.add(
            kinds.ModelReplied(
                purpose=purpose,
                content=content,
                calls=tuple(calls),
                thinking=thinking,
                measured=Measured(tokens=tokens),
            )
        )

    def returned(
        self, name: str = "send_message", value: str = "None", *, holds: Sequence[str] = (), ok: bool = True
    ) -> Self:
        return self.add(
            kinds.FunctionReturned(
                call_id=f"c{len(self.events)}",
                name=name,
                arguments={},
                ok=ok,
                value=value,
                heartbeat=not ok,
                holds=tuple(holds),
                measured=Measured(tokens=10),
            )
        )

    def sent(self, text: str) -> Self:
        return self.add(kinds.MessageSent(text=text))

    def end(self, reason: Any = "yielded") -> Self:
        return self.add(kinds.TurnEnded(reason=reason))

    def turn(self, asked: str, answered: str) -> Self:
        """A whole exchange: trigger, prompt, reply, result, sent, end."""
        return self.trigger(asked).prompt().reply(answered).returned().sent(answered).end()

    def warned(self) -> Self:
        return self.add(
            kinds.PressureWarned(tokens=6000, warn_tokens=5000, flush_tokens=7168, measured=Measured(tokens=80))
        )

    def flushed(self, evicted: Sequence[str] | int, summary: str = "They talked.") -> Self:
        """`evicted` is the ids, or how many leave from the front."""
        ids = [entry.id for entry in self.state.queue[:evicted]] if isinstance(evicted, int) else list(evicted)
        return self.add(
            kinds.QueueFlushed(
                evicted=tuple(ids),
                trigger="flush_mark",
                strategy="summarise_recursively",
                flush_tokens=7168,
                tokens_before=7000,
                tokens_after=3500,
                summary=summary,
                summarised_by="model",
                covers=len(ids),
                measured=Measured(tokens=60),
            )
        )

    def block(self, label: str, value: str, *, limit_chars: int = 2000) -> Self:
        return self.add(
            kinds.BlockDefined(
                block=label,
                description="",
                value=value,
                limit_chars=limit_chars,
                author="import",
                based_on=self.state.blocks[label].seq if label in self.state.blocks else 0,
                measured=Measured(tokens=30),
            )
        )

    def insert(self, text: str, *, tags: Sequence[str] = (), source: str = "", author: Any = "agent") -> Self:
        return self.add(kinds.ArchivalInserted(text=text, tags=tuple(tags), source=source, author=author))

    def edit_passage(self, passage: str, text: str, *, tags: Sequence[str] = (), author: Any = "human") -> Self:
        return self.add(
            kinds.ArchivalEdited(passage=passage, text=text, tags=tuple(tags), author=author, based_on=int(passage[1:]))
        )

    def delete_passage(self, passage: str, *, author: Any = "human") -> Self:
        return self.add(kinds.ArchivalDeleted(passage=passage, author=author))

    def edit_message(self, message: str, text: str, *, tokens: int = 20) -> Self:
        return self.add(
            kinds.MessageEdited(
                message=message, text=text, author="human", based_on=int(message[1:]), measured=Measured(tokens=tokens)
            )
        )

    def delete_message(self, message: str) -> Self:
        return self.add(kinds.MessageDeleted(message=message, author="human"))

    def requeue(self, message: str, *, text_seq: int = 0, holds: Sequence[str] = ()) -> Self:
        return self.add(
            kinds.MessageRequeued(
                message=message,
                text_seq=text_seq or int(message[1:]),
                author="human",
                holds=tuple(holds),
                measured=Measured(tokens=20),
            )
        )

    def restore_message(self, message: str, *, text_seq: int = 0, tokens: int = 20) -> Self:
        """Back in its old place when it has one still."""
        return self.add(
            kinds.MessageRestored(
                message=message,
                text_seq=text_seq or int(message[1:]),
                queued=any(entry.id == message for entry in self.state.hidden),
                author="human",
                measured=Measured(tokens=tokens),
            )
        )

    def pin(self, message: str, pinned: bool = True) -> Self:
        return self.add(kinds.MessagePinned(message=message, pinned=pinned, author="human"))

    def restore_passage(self, passage: str, text: str | None = None, *, tags: Sequence[str] | None = None) -> Self:
        kept = None if tags is None else tuple(tags)
        return self.add(kinds.ArchivalRestored(passage=passage, author="human", text=text, tags=kept))

    def rename_block(self, label: str, to: str) -> Self:
        base = self.state.blocks[label].seq
        return self.add(
            kinds.BlockRenamed(block=label, to=to, author="human", based_on=base, measured=Measured(tokens=30))
        )

    def delete_block(self, label: str) -> Self:
        base = self.state.blocks[label].seq
        return self.add(kinds.BlockDeleted(block=label, author="human", based_on=base))
