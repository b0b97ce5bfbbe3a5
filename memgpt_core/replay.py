"""Rerun: the engine over a recording, given its external events and measured values, and nothing else.

Calls no model, no store, no clock. Every derived event is recomputed and compared with the recorded line as
soon as it is committed; the first that differs ends the rerun and is shown with both sides.

What was imported was never run by this engine and cannot be run again: it is taken as it is, and counted.
"""

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, overload

from memgpt_core.agent import Agent
from memgpt_core.documents.library import Document, Manifests, by_name, document_of
from memgpt_core.errors import MemscopeError
from memgpt_core.events import EPOCH, Event, encode, is_external, queues_message
from memgpt_core.folders import DOCUMENTS
from memgpt_core.journal import Journal
from memgpt_core.llm.recorded import RecordedModel
from memgpt_core.log import Log, read_events
from memgpt_core.project import project
from memgpt_core.registry import OF_DOCUMENTS
from memgpt_core.rows import MemoryRows
from memgpt_core.search import Found
from memgpt_core.settings import ENGINE_VERSION
from memgpt_core.state import State
from memgpt_core.stores.documents import ColdStorage, Shipped

ANSWERED_INLINE = frozenset({"model_replied", "fault_recorded"})
"""External kinds that the engine itself commits, when it asks for them; never injected."""


_SEARCHED = ("messages", "passages", "documents")
"""The tables whose rows a search of the rerun gives."""

_SEARCHED_KINDS = ("message_", "archival_", "document_")
"""How the kinds begin that change such rows, beside those that queue a message."""

COUNTED = ("clip", "summary", "tokens_after")
"""Fields that hold counts, or say where a count had a text cut. Where a model's vocabulary did the counting, a rerun
takes them from the recording, as it takes `measured`: the vocabulary need not be here now."""


READ = ("arguments", "ok", "value", "heartbeat", "text", "holds", "clip")
"""Fields of a function's result, and of a placement, that depend on what was read. Where that was a document that is
not here, they are taken from the recording, too."""


class Difference(NamedTuple):
    """The first event that came out otherwise: its seq, the recorded line and the rerun's ('' for none)."""

    seq: int
    recorded: str
    rerun: str


class Outcome(NamedTuple):
    """What a rerun found: how many events came out identical, and the first difference if there is one.

    `version` is the engine version of a recording made by another one: it may differ for good reasons. `imported` of
    the events were not recorded here but brought in from a file, and were taken as they are.
    """

    events: int
    difference: Difference | None
    version: int | None = None
    imported: int = 0

    @property
    def identical(self) -> bool:
        """Every event came out byte for byte."""
        return self.difference is None


class _Diverged(Exception):
    def __init__(self, difference: Difference) -> None:
        super().__init__(f"event {difference.seq} differs")
        self.difference = difference


class _Interrupted(Exception):
    """The recorded process died here, or the recording ends; what the engine was doing is dropped."""


class Recording(Sequence[Event]):
    """The first events of a log, read as they are asked for, so that a long one need not fit into memory."""

    def __init__(self, log: Log, events: int) -> None:
        self._log = log
        self._events = events
        # In front of the log's own cache, which is shared and locked: the same few hundred are read again and again.
        self._read = functools.lru_cache(maxsize=2048)(log.read)

    def __len__(self) -> int:
        return self._events

    @overload
    def __getitem__(self, at: int) -> Event: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Event]: ...

    def __getitem__(self, at: int | slice) -> Event | Sequence[Event]:
        if isinstance(at, slice):
            return [self._read(place + 1) for place in range(*at.indices(self._events))]
        if at >= self._events:
            raise IndexError(at)
        return self._read((at if at >= 0 else self._events + at) + 1)

    def __iter__(self) -> Iterator[Event]:
        return self._log.events(1, self._events + 1)


class _RerunLog:
    """The log of a rerun: as long as it has come, and read from the recording, which it equals so far."""

    def __init__(self, recorded: Sequence[Event]) -> None:
        self._recorded = recorded
        self.last_seq = 0

    def append(self, lines: Sequence[str]) -> None:
        """Nothing to write: the journal says itself how far it has come (`_RerunJournal`)."""

    def read(self, seq: int) -> Event:
        return self._recorded[seq - 1]


class _RerunJournal(Journal):
    """A journal that stamps from a recording, compares with it, and injects its external events in place."""

    def __init__(self, recorded: Sequence[Event], cold: ColdStorage) -> None:
        self._recorded = recorded
        self._memory = _RerunLog(recorded)
        self.cold = cold
        self.rows = MemoryRows(cold.open)
        self._missing: bool | None = None
        super().__init__(self._memory, sinks=(self._keep,))

    def upcoming(self) -> Event | None:
        """The recorded event that should come next."""
        at = self._memory.last_seq
        return self._recorded[at] if at < len(self._recorded) else None

    def commit_many(self, events: Sequence[Event]) -> list[Event]:
        # A recording may end, and a fork begin, between two events that were written as one.
        left = self._unbroken(len(events))
        committed = super().commit_many(events[:left]) if left else []
        for event in committed:
            recorded, rerun = encode(self._recorded[event.seq - 1]), encode(event)
            if recorded != rerun:
                raise _Diverged(Difference(event.seq, recorded, rerun))
        if len(events) > left:
            raise _Interrupted
        self._inject()
        return committed

    def take(self, event: Event) -> None:
        """Commit an event as it was recorded, with nothing behind it: a decision of ours was never part of it."""
        super().commit_many([event])

    def _unbroken(self, wanted: int) -> int:
        """How many of the next `wanted` recorded events there are before the recording ends or becomes another's."""
        at = self._memory.last_seq
        following = self._recorded[at : at + wanted]
        # The first may itself be the fork, which is injected.
        forks = [place for place, event in enumerate(following) if place and event.kind == "run_forked"]
        return min([len(following), *forks])

    def _inject(self) -> None:
        """Commit the external events recorded here, so that the next decision sees what it saw then."""
        upcoming = self.upcoming()
        if upcoming is None or not self.state.turn_open:
            return
        if _is_break(upcoming):
            raise _Interrupted
        if upcoming.kind in ANSWERED_INLINE:
            return
        if is_external(upcoming):
            self.commit(upcoming)

    def _keep(self, before: State, event: Event) -> None:
        self._memory.last_seq = event.seq
        if queues_message(event) or event.kind.startswith(_SEARCHED_KINDS):
            self.rows.take(change for change in project(before, event) if change.table in _SEARCHED)

    def _stamp(self, state: State, event: Event) -> Event:
        stamped = super()._stamp(state, event)
        recorded = self._recorded[state.seq]
        taken: dict[str, Any] = {"at": recorded.at}
        if recorded.kind == event.kind:
            fields = ("measured", *COUNTED) if state.counted_by else ("measured",)
            if recorded.kind in ("function_returned", "hits_placed") and self._reads_what_is_not_here(recorded):
                fields = (*fields, *READ)
            taken |= {name: getattr(recorded, name) for name in fields if hasattr(recorded, name)}
            if state.counted_by and recorded.kind == "prompt_built" and recorded.purpose == "summary":
                taken["sections"] = recorded.sections
        return stamped.model_copy(update=taken)

    def _reads_what_is_not_here(self, event: Any) -> bool:
        """Whether a function's result or a placement was made of documents, and one of them is not in cold storage."""
        found = (hit.id for hit in event.measured.hits or ())
        if getattr(event, "name", "") not in OF_DOCUMENTS and not any("." in id for id in (*event.holds, *found)):
            return False
        if self._missing is None:
            named: list[Any] = [event for event in self._recorded if event.kind == "document_ingested"]
            files = {(event.raw, event.text, event.manifest) for event in named}
            self._missing = any(
                not self.cold.path(raw, digest, kind).is_file()
                for raw, text, manifest in files
                for digest, kind in ((text, "text"), (manifest, "manifest"))
            )
        return self._missing


class _Documents(Manifests):
    """The documents as they stand in the rerun, their insides read from cold storage."""

    def __init__(self, rows: MemoryRows, cold: ColdStorage) -> None:
        super().__init__(cold)
        self._rows = rows

    def all(self) -> list[Document]:
        """Every document that stands, by name."""
        found = (document_of({**row, "added_at": row["at"]}) for row in self._rows.current("documents"))
        return sorted(found, key=by_name)


class _RecordedSearch:
    """Search that answers with the recorded hits; their texts come from the rerun's own rows.

    A placement has the hits of both stores, and its search of each is given those of that store.
    """

    def __init__(self, journal: _RerunJournal, cold: ColdStorage) -> None:
        self._journal = journal
        self.documents = _Documents(journal.rows, cold)

    def recall(self, query: str, **_: Any) -> Found:
        return self._next("m")

    def archival(self, query: str, **_: Any) -> Found:
        return self._next("p")

    def items(self, ids: Any) -> dict[str, dict[str, Any]]:
        found = {id: self._journal.rows.item(id) for id in ids}
        # Of a document that is not here there is no text; what was made of it is taken from the recording.
        missing = {"at": EPOCH, "text": "", "document": "", "source": ""}
        return {id: {"id": id, **missing} if row is None else row for id, row in found.items()}

    def _next(self, letter: str) -> Found:
        event: Any = self._journal.upcoming()
        if event is None or event.kind not in ("recall_searched", "archival_searched", "hits_placed"):
            return Found((), 0, "")
        hits = tuple(hit for hit in event.measured.hits or () if hit.id.startswith(letter))
        return Found(hits, event.measured.total or 0, event.mode)


def rerun(
    recorded: Sequence[Event], told: Callable[[int], None] = lambda done: None, *, cold: ColdStorage | None = None
) -> Outcome:
    """Run the engine over a recording and compare, event by event.

    `told` hears now and then how many events came out identical; what it raises ends the rerun. `cold` has the
    documents that the recording names; what functions read of documents that are not there is taken from the recording.

    Raises:
        MemscopeError: the recording holds no agent.
    """
    if not recorded or recorded[0].kind != "agent_created":
        raise MemscopeError("This is no recording of an agent: its first event must be agent_created.")
    made_by: Any = recorded[0]
    version = made_by.engine_version if made_by.engine_version != ENGINE_VERSION else None
    journal = _RerunJournal(recorded, cold or ColdStorage(Path(os.devnull)))
    model = RecordedModel(journal.upcoming)
    agent = Agent(journal, lambda _: model, _RecordedSearch(journal, journal.cold))
    imported = _imported(recorded)
    try:
        while (upcoming := journal.upcoming()) is not None:
            told(upcoming.seq - 1)
            if upcoming.seq in imported:
                journal.take(upcoming)
            else:
                _advance(journal, agent, upcoming)
    except _Diverged as diverged:
        return Outcome(diverged.difference.seq - 1, diverged.difference, version, len(imported))
    return Outcome(len(recorded), None, version, len(imported))


def _imported(recorded: Sequence[Event]) -> frozenset[int]:
    """Seqs of the events that came from a file, those that say so with them."""
    said: list[Any] = [event for event in recorded if event.kind == "history_imported"]
    return frozenset(seq for event in said for seq in range(event.first, event.seq + 1))


def _is_break(event: Any) -> bool:
    """Whether the recorded process broke off here: it, its disk, a store or Memscope failed, or a fork begins."""
    if event.kind == "run_forked":
        return True
    if event.kind == "turn_ended":
        return is_external(event)
    return event.kind == "fault_recorded" and event.where in ("log", "store", "defect")


def _advance(journal: _RerunJournal, agent: Agent, upcoming: Event) -> None:
    """Inject what came from outside; when a derived event is due, let the engine run the open turn."""
    try:
        if _is_break(upcoming):
            journal.commit(upcoming)
            if upcoming.kind == "fault_recorded" and (end := journal.upcoming()) is not None:
                journal.commit(end)
        elif not journal.state.turn_open and is_external(upcoming):
            journal.commit(upcoming)
        elif not journal.state.turn_open and journal.state.asked and upcoming.kind == "function_returned":
            agent.let_go()
        elif not journal.state.turn_open:
            raise _Diverged(Difference(upcoming.seq, encode(upcoming), ""))
        else:
            agent.run_turn()
    except _Interrupted:
        return


def rerun_file(path: Path) -> Outcome:
    """`rerun` of a run.jsonl; needs no lock. Its documents are those beside it, or in the home it is in."""
    beside = path.parent / DOCUMENTS
    cold = Shipped(beside) if beside.is_dir() else ColdStorage(path.parent.parent.parent / DOCUMENTS)
    return rerun(list(read_events(path)), cold=cold)
