"""A Letta agent file told as a log: what was said and done, in order, as if lived here.

Blocks begin with the text the edits lead back to; each edit the agent made is replayed at its call, and what no call
explains is an edit from outside. Messages that have left the window are played too and then flushed, with the summary
that stands for them. Nothing runs: no model, no tool.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from memgpt_core import decisions, queue_manager
from memgpt_core.blueprint import define_instructions
from memgpt_core.events import (
    AgentCreated,
    ArchivalInserted,
    BlockDefined,
    Call,
    Event,
    FunctionReturned,
    HistoryImported,
    Measured,
    MessageSent,
    ModelReplied,
    NoteWritten,
    TriggerReceived,
    TurnEnded,
)
from memgpt_core.interchange.letta_calls import Calls, Made
from memgpt_core.interchange.letta_memory import Edit, Step
from memgpt_core.interchange.letta_messages import (
    Item,
    Reply,
    Result,
    Summary,
    unwrap,
    utc,
    wants_control,
    without_heartbeat,
)
from memgpt_core.interchange.letta_settings import block_of, instructions_of, notes_of, settings_of
from memgpt_core.interchange.letta_shapes import AgentFile, AgentFileRefused
from memgpt_core.interchange.staging import Life
from memgpt_core.log import Log
from memgpt_core.memory_functions import edited
from memgpt_core.prompt import render_block, summary_message
from memgpt_core.settings import ENGINE_VERSION, AgentSettings
from memgpt_core.strategies import Replacement
from memgpt_core.tokens import count, count_message

OUTSIDE = "edited outside: no call in the file explains this change"
TELL_EVERY = 100
"""Messages between two reports of progress."""

NO_SUMMARY = "They were not part of the imported file's context window."


class Told(NamedTuple):
    """A file ready to be written as a log.

    Attributes:
        name: the new agent's.
        settings: what it runs with.
        notes: what was left out, assumed or changed, a sentence each.
    """

    file: AgentFile
    name: str
    settings: AgentSettings
    items: tuple[Item, ...]
    began: datetime
    notes: tuple[str, ...]
    now: datetime


def prepare(file: AgentFile, now: datetime) -> Told:
    """What the file says, read to the end before anything is written.

    Raises:
        AgentFileRefused: two blocks of one label, or settings of ours that cannot be.
    """
    twice = [label for label, times in Counter(block.label for block in file.blocks).items() if times > 1]
    if twice:
        raise AgentFileRefused(f"{file.source} cannot be imported: two memory blocks are called {twice[0]!r}.")
    read = unwrap(file.messages, file.window, now)
    settings, about_settings = settings_of(file)
    name = " ".join(file.agent.name.split())[:80] or "Imported agent"
    notes = [*about_settings, *notes_of(file), *read.notes, *file.left]
    return Told(file, name, settings, read.items, read.began, tuple(notes), now)


def write(told: Told, folder: Path, path: Path, progress: Callable[[float], None]) -> list[str]:
    """Write the log of an agent in `folder` to `path`; every note on what was lost."""
    log = Log.create(path)
    try:
        return _Teller(told, Life(log)).tell(folder.name, progress)
    finally:
        log.close()


# --- the log --------------------------------------------------------------------------------------------


class _Teller:
    """Writes one file's events; knows at each moment what has been said so far."""

    def __init__(self, told: Told, life: Life) -> None:
        self._told = told
        self._file = told.file
        self._life = life
        self._plain = told.settings.protocol == "native"
        self._notes = list(told.notes)
        self._calls = Calls(told.items, told.file.blocks)
        self._notes += self._calls.notes
        self._waiting = sorted(self._passages(), key=lambda passage: passage[0])
        self._window = frozenset(told.file.window)
        self._gone: list[str] = []
        self._summary = Summary(-1, told.began, NO_SUMMARY, None, made=False)
        self._answered = False
        self._chained = False

    def tell(self, agent_id: str, progress: Callable[[float], None]) -> list[str]:
        """Every event, to the one that says that all of it was imported."""
        self._begin(agent_id, min([self._told.began, *(at for at, _ in self._waiting)]))
        summaries = [item for item in self._told.items if item.what == "summary"]
        for done, item in enumerate(self._told.items):
            if done % TELL_EVERY == 0:
                progress(done / len(self._told.items))
            while summaries and item is not summaries[0] and summaries[0].at < item.at:
                self._flush(summaries.pop(0))
            if item.what != "summary":
                self._happens(item)
        self._end(summaries)
        return self._notes

    # --- the beginning and the end ----------------------------------------------------------------------

    def _begin(self, agent_id: str, at: datetime) -> None:
        told, file = self._told, self._file
        created = AgentCreated(
            agent_id=agent_id,
            name=told.name,
            about=file.agent.description or "",
            engine_version=ENGINE_VERSION,
            seed=_seed(file),
            settings=told.settings,
        )
        self._life.add(at, created)
        self._life.add(at, define_instructions(instructions_of(file, told.settings), told.settings))
        for block in file.blocks:
            begins = block_of(block, self._calls.histories[block.label].start)
            self._life.add(
                at,
                BlockDefined(
                    block=begins.label,
                    description=begins.description,
                    value=begins.value,
                    limit_chars=begins.limit_chars,
                    read_only=begins.read_only,
                    author="import",
                    measured=Measured(tokens=count(render_block(begins))),
                ),
            )

    def _end(self, summaries: list[Summary]) -> None:
        last = self._life.state.at
        for at, passage in self._waiting:
            self._life.add(at, passage)
        if self._life.state.turn_open:
            # A question that nobody answered is a turn that broke off: it can be run on here.
            self._life.add(last, TurnEnded(reason="yielded" if self._answered else "interrupted"))
        for summary in summaries:
            self._flush(summary)
        if self._gone:
            self._flush(self._summary._replace(at=last, covers=None))
        for block in self._file.blocks:
            self._outside(last, block.label, block.value)
        for name, text in self._scratch_notes():
            self._life.add(last, NoteWritten(name=name, text=text, author="import"))
        self._life.add(
            last,
            HistoryImported(
                first=1,
                format=self._file.format,
                source=self._file.source,
                sha256=self._file.sha256,
                notes=tuple(self._notes),
            ),
        )
        self._life.end()

    # --- what happened ----------------------------------------------------------------------------------

    def _happens(self, item: Any) -> None:
        while self._waiting and self._waiting[0][0] <= item.at:
            self._life.add(*self._waiting.pop(0))
        if item.what == "trigger":
            self._close_turn()
            self._queue(item, TriggerReceived(cause=item.cause, text=item.text))
            self._answered = False
        elif item.what == "reply":
            self._open_turn(item)
            self._before_calls(item)
            self._queue(
                item,
                ModelReplied(
                    purpose="turn",
                    content=item.content,
                    thinking=item.thinking,
                    calls=item.calls,
                    done_reason="imported",
                ),
            )
            self._answered, self._chained = True, item.position in self._calls.returned
            if item.position not in self._calls.returned:
                self._say(item)
        else:
            self._open_turn(item)
            self._result(item)

    def _say(self, reply: Reply) -> None:
        """What the user saw of a reply of which no call has a result in the file."""
        sent = [
            str(call.arguments["message"])
            for call in reply.calls
            if call.name == "send_message" and isinstance(call.arguments, dict) and "message" in call.arguments
        ]
        if not reply.calls and self._plain:
            sent = [reply.content]
        for text in sent:
            self._life.add(reply.at, MessageSent(text=text))

    def _close_turn(self) -> None:
        state = self._life.state
        if state.turn_open and self._answered and not self._chained:
            self._life.add(state.at, TurnEnded(reason="yielded"))

    def _open_turn(self, item: Item) -> None:
        """What a model wrote stands in a turn; where the file has no trigger for it, it gets one that says so."""
        if not self._life.state.turn_open:
            cut = TriggerReceived(
                cause="system", text="The imported file begins here, in the middle of a conversation."
            )
            self._life.add(item.at, lambda state: queue_manager.fit(state, cut))

    def _queue(self, item: Item, event: Event) -> None:
        queued = self._life.add(item.at, lambda state: queue_manager.fit(state, event))
        if item.position not in self._window:
            self._gone.append(f"m{queued.seq}")

    def _result(self, item: Result) -> None:
        made = self._calls.answered_by(item)
        call = made.call if made else Call(id=item.call_id, name=item.name or "unknown", arguments={})
        arguments = without_heartbeat(call)
        heartbeat = wants_control(call, item.ok, always=self._plain)
        if made and item.ok:
            self._effects(item, made)
        returned = FunctionReturned(
            call_id=call.id, name=call.name, arguments=arguments, ok=item.ok, value=item.value, heartbeat=heartbeat
        )
        self._queue(item, returned)
        self._answered, self._chained = True, heartbeat

    def _effects(self, item: Result, made: Made) -> None:
        given = made.call.arguments
        if made.call.name == "send_message" and isinstance(given, dict) and isinstance(given.get("message"), str):
            self._life.add(item.at, MessageSent(text=given["message"]))
        elif (
            made.call.name == "archival_memory_insert"
            and isinstance(given, dict)
            and "passages" not in self._file.extra
        ):
            text, tags = given.get("content"), given.get("tags")
            if isinstance(text, str) and text.strip():
                tags = tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else ()
                self._life.add(item.at, ArchivalInserted(text=text, tags=tags, source="agent", author="agent"))
        elif made.edit is not None:
            self._edit(item, made.edit, self._calls.step(item))

    # --- blocks -----------------------------------------------------------------------------------------

    def _before_calls(self, reply: Reply) -> None:
        """What was edited from outside before this reply, at its time and not between its calls."""
        for label, before in self._calls.begins.get(reply.position, {}).items():
            self._outside(reply.at, label, before)

    def _edit(self, item: Result, edit: Edit, step: Step | None) -> None:
        if step is None or step.before is None or step.after is None:
            return
        self._outside(item.at, edit.block, step.before)
        after = step.after
        if after != step.before:
            self._life.add(item.at, lambda state: edited(state, edit.block, after, author="agent"))

    def _outside(self, at: datetime, label: str, text: str) -> None:
        if self._life.state.blocks[label].value != text:
            self._life.add(at, lambda state: edited(state, label, text, author="import", reason=OUTSIDE))

    # --- what left the window ---------------------------------------------------------------------------

    def _flush(self, summary: Summary) -> None:
        """What has left by now leaves the queue; the summary is kept whole, as it was in the file's window."""
        state = self._life.state
        gone = frozenset(self._gone)
        entries = tuple(entry for entry in state.queue if entry.id in gone)
        strategy = "summarise_recursively" if summary.made else "drop_with_notice"
        made = Replacement(summary.text, "model" if summary.made else "none")
        flushed = decisions.flushed(state, entries, "flush_mark", strategy, made)
        covers = flushed.covers if summary.covers is None else summary.covers
        whole = flushed.model_copy(update={"summary": summary.text, "covers": covers})
        tokens = count_message(summary_message(whole))
        after = flushed.tokens_after + tokens - (flushed.measured.tokens or 0)
        self._life.add(
            summary.at, whole.model_copy(update={"tokens_after": after, "measured": Measured(tokens=tokens)})
        )
        self._gone, self._summary = [], summary

    # --- what an export of ours kept beside the format --------------------------------------------------

    def _passages(self) -> Iterator[tuple[datetime, ArchivalInserted]]:
        found = self._file.extra.get("passages", ())
        for place, passage in enumerate(found if isinstance(found, list) else ()):
            if not isinstance(passage, dict) or not isinstance(passage.get("text"), str):
                raise AgentFileRefused(f"{self._file.source}: x_memscope.passages.{place} has no text.")
            tags = passage.get("tags")
            yield (
                utc(passage.get("at"), self._told.now),
                ArchivalInserted(
                    text=passage["text"],
                    tags=tuple(str(tag) for tag in tags) if isinstance(tags, list) else (),
                    source=str(passage.get("source") or ""),
                    author="import",
                ),
            )

    def _scratch_notes(self) -> Iterator[tuple[str, str]]:
        found = self._file.extra.get("notes", {})
        for name, text in found.items() if isinstance(found, dict) else ():
            if isinstance(text, str):
                yield str(name), text


def _seed(file: AgentFile) -> int:
    seed = file.extra.get("seed", 1)
    return seed if isinstance(seed, int) else 1
