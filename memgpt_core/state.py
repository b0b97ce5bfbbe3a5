"""What the log means: `apply(state, event) -> state`, a pure fold.

Holds only what the next prompt and the next decision need: blocks, queue entries, the notes index,
counters, settings. Texts of messages and notes stay in the log and are read by `seq`; everything that
grows without bound is store rows (`project`).
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from memgpt_core.events import EPOCH, Event, queues_message
from memgpt_core.settings import DEMO, AgentSettings

OUTWARD = frozenset({"send_message", "pause_heartbeats"})
"""Functions that move no memory; every other call counts against the caps on memory calls."""


class Entry(NamedTuple):
    """A slot of the FIFO queue.

    Attributes:
        id: the message, `m{seq}` of the event that first queued it.
        text_seq: the event that holds its present text (the same, unless it was edited).
        tokens: our count of the message as queued.
        kind: the queuing event's kind (`trigger_received`, `model_replied`, ...).
        turn, step: where it was queued; eviction keeps a step's reply and results together.
        holds: ids whose text this message carries (search results).
        clip: (head, tail) characters when the text is queued in part, else None.
        placed: the event that put it here; the queue stands in this order.
    """

    id: str
    text_seq: int
    tokens: int
    kind: str
    turn: int
    step: int
    holds: tuple[str, ...] = ()
    clip: tuple[int, int] | None = None
    placed: int = 0


class Block(NamedTuple):
    """A core memory block. `seq` is the event that wrote this version; `author` wrote it."""

    label: str
    description: str
    value: str
    limit_chars: int
    read_only: bool
    seq: int
    author: str
    tokens: int


class Asked(NamedTuple):
    """A call that waits for a person: number `call_index` (from 0) of the reply in event `reply`."""

    reply: int
    call_index: int
    call_id: str
    name: str


class Answered(NamedTuple):
    """The call whose answer, yes or no, is in event `seq` and has not been carried out yet; the rest as in `Asked`."""

    seq: int
    reply: int
    call_index: int


class Note(NamedTuple):
    """A scratch note in the index: its text is in event `seq`."""

    name: str
    seq: int
    chars: int


class Summary(NamedTuple):
    """The recursive summary in the queue's first slot; `covers` counts the messages it stands for."""

    seq: int
    tokens: int
    covers: int


class Provenance(NamedTuple):
    """Where a fork comes from: the agent it was copied from, as it was called, and the last event of that one's log."""

    origin: str
    origin_name: str
    origin_seq: int


class Part(NamedTuple):
    """A piece of a sent prompt, in order: `key` changes exactly when its text does."""

    key: str
    tokens: int


class State(BaseModel):
    """The agent at one point of its log. Frozen; every change is a new one.

    `hidden` are the slots of messages that were deleted since the last flush: where an undo puts them back.
    `step_calls` and `turn_calls` are the memory calls that were run in this step and in this turn; a person who runs a
    turn on gives it as many again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seq: int = 0
    at: datetime = EPOCH
    session: int = 0
    turn: int = 0
    step: int = 0
    turn_open: bool = False
    turn_end: str = ""
    resumed_at_step: int = 0
    stopping: bool = False
    asked: Asked | None = None
    answered: Answered | None = None
    reviewed_session: int = 0

    agent_id: str = ""
    name: str = ""
    about: str = ""
    engine_version: int = 0
    seed: int = 0
    provenance: Provenance | None = None
    settings: AgentSettings = AgentSettings()

    instructions_seq: int = 0
    instructions_tokens: int = 0
    schemas_tokens: int = 0
    template_tokens: int = 0
    token_factor: float = 1.0
    counted_by: str = ""

    blocks: dict[str, Block] = {}
    queue: tuple[Entry, ...] = ()
    hidden: tuple[Entry, ...] = ()
    pinned: tuple[str, ...] = ()
    summary: Summary | None = None
    notes: dict[str, Note] = {}
    sent: tuple[Part, ...] = ()

    warned: bool = False
    last_trigger_at: datetime = EPOCH
    paused_until: datetime = EPOCH

    messages: int = 0
    passages: int = 0
    documents: int = 0
    flushes: int = 0
    faults: int = 0
    calls: int = 0
    failed_calls: int = 0
    step_calls: int = 0
    turn_calls: int = 0
    salvaged_replies: int = 0
    empty_replies: int = 0

    def holds(self, item: str) -> bool:
        """Whether a message or passage is in the window, by its own slot or as a copy in another message."""
        return any(entry.id == item or item in entry.holds for entry in self.queue)


INITIAL = State()


EDGE_OF_WINDOW = 0.98
FACTOR_BOUNDS = (0.8, 1.6)
"""How far an estimate may really be off over a whole prompt; beyond it something else is going on."""

CUT_BELOW_EXACT, CUT_BELOW_ESTIMATE = 0.95, 0.7
"""A server that counts less than this share of our count has cut the prompt; an estimate may be off by more."""


def looks_truncated(ours: int, server: int, *, exact: bool) -> bool:
    """Whether the server saw so much less than was sent that it must have cut the prompt; both in tokens."""
    return 0 < server < ours * (CUT_BELOW_EXACT if exact else CUT_BELOW_ESTIMATE)


def place(state: State, event: Event) -> tuple[int, int, int]:
    """The (session, turn, step) an event committed on `state` belongs to.

    A trigger opens a turn when none is open; one that arrives during a turn joins it. A login trigger
    opens a session. Each prompt of purpose `turn` is a step.
    """
    session, turn, step = state.session, state.turn, state.step
    if event.kind == "trigger_received":
        if event.cause == "login" or session == 0:
            session += 1
        if not state.turn_open:
            turn, step = turn + 1, 0
    elif event.kind == "prompt_built" and event.purpose == "turn":
        step += 1
    return session, turn, step


def apply(state: State, event: Event) -> State:
    """The state after `event`. Pure; an unknown kind is a programming error and raises KeyError."""
    changes = _MEANINGS[event.kind](state, event)
    changes.update(seq=event.seq, at=event.at, session=event.session, turn=event.turn, step=event.step)
    return state.model_copy(update=changes)


def fold(events: Iterable[Event], start: State = INITIAL) -> State:
    """`apply` over all of them, from `start`."""
    for event in events:
        start = apply(start, event)
    return start


# --- meanings, one small function a kind ---------------------------------------------------------------

_Changes = dict[str, Any]


def _enqueue(state: State, event: Any, *, id: str = "", text_seq: int = 0, holds: tuple[str, ...] = ()) -> _Changes:
    entry = Entry(
        id=id or f"m{event.seq}",
        text_seq=text_seq or event.seq,
        tokens=event.measured.tokens or 0,
        kind=event.kind,
        turn=event.turn,
        step=event.step,
        holds=holds,
        clip=_clip_of(event),
        placed=event.seq,
    )
    return {"queue": (*state.queue, entry)}


def _clip_of(event: Any) -> tuple[int, int] | None:
    clip = getattr(event, "clip", None)
    return (clip.head_chars, clip.tail_chars) if clip else None


def _agent_created(state: State, event: Any) -> _Changes:
    return {
        "agent_id": event.agent_id,
        "name": event.name,
        "about": event.about,
        "engine_version": event.engine_version,
        "seed": event.seed,
        "settings": event.settings,
        "template_tokens": event.template_tokens,
        "token_factor": event.token_factor,
    }


def _agent_configured(state: State, event: Any) -> _Changes:
    changes = {"settings": event.settings, "template_tokens": event.template_tokens}
    if event.settings.model != state.settings.model:
        changes.update(token_factor=event.token_factor, counted_by="")
    return changes


def _agent_renamed(state: State, event: Any) -> _Changes:
    return {"name": event.name, "about": event.about}


def _run_forked(state: State, event: Any) -> _Changes:
    provenance = Provenance(event.origin, event.origin_name, event.origin_seq)
    return {"agent_id": event.agent_id, "name": event.name, "provenance": provenance}


def _context_recounted(state: State, event: Any) -> _Changes:
    counts = event.counts
    summary = state.summary
    return {
        "counted_by": event.counted_by,
        "token_factor": 1.0 if event.counted_by else state.token_factor,
        "instructions_tokens": counts.get("instructions", state.instructions_tokens),
        "schemas_tokens": counts.get("schemas", state.schemas_tokens),
        "summary": summary._replace(tokens=counts.get("summary", summary.tokens)) if summary else None,
        "blocks": {
            label: block._replace(tokens=counts.get(label, block.tokens)) for label, block in state.blocks.items()
        },
        "queue": tuple(entry._replace(tokens=counts.get(entry.id, entry.tokens)) for entry in state.queue),
    }


def _instructions_defined(state: State, event: Any) -> _Changes:
    return {
        "instructions_seq": event.seq,
        "instructions_tokens": event.measured.instructions_tokens or 0,
        "schemas_tokens": event.measured.schemas_tokens or 0,
    }


def _trigger_received(state: State, event: Any) -> _Changes:
    changes = _enqueue(state, event)
    changes.update(turn_open=True, messages=state.messages + 1)
    if not state.turn_open:
        changes.update(stopping=False, turn_end="", resumed_at_step=0, asked=None, answered=None)
        changes.update(step_calls=0, turn_calls=0)
    if event.cause in ("user", "login"):
        changes["last_trigger_at"] = event.at
    if event.cause == "review":
        changes["reviewed_session"] = max(state.reviewed_session, event.reviews or event.session)
    return changes


def _prompt_built(state: State, event: Any) -> _Changes:
    return {"sent": prompt_parts(state), "step_calls": 0} if event.purpose == "turn" else {}


def _model_replied(state: State, event: Any) -> _Changes:
    changes = {**_enqueue(state, event), "messages": state.messages + 1} if queues_message(event) else {}
    if event.salvaged:
        changes["salvaged_replies"] = state.salvaged_replies + 1
    if event.purpose == "turn":
        if not queues_message(event):
            changes["empty_replies"] = state.empty_replies + 1
        changes.update(_learned(state, event.measured.prompt_tokens or 0, event.measured.served_window or 0))
    return changes


def _learned(state: State, server: int, served_window: int) -> _Changes:
    """What the server's count of a prompt teaches: the factor of an estimate, the template of an exact count.

    Moving averages, 0.7 old + 0.3 new: over whole prompts they come within a few percent in a handful of steps.
    The template is what the server counts beyond our exact count: the marks a chat template puts between messages.
    """
    template = state.template_tokens
    raw = sum(part.tokens for part in state.sent) - template
    exact = bool(state.counted_by)
    ours = round(raw * state.token_factor) + template
    # A count at the edge of the window, or far below ours, is that of a cut prompt and teaches nothing.
    window = min(state.settings.window_tokens, served_window or state.settings.window_tokens)
    edge = server >= EDGE_OF_WINDOW * window or ours > window
    if state.settings.model == DEMO or server <= 0 or raw <= 0 or edge or looks_truncated(ours, server, exact=exact):
        return {}
    if exact:
        seen = max(0, server - raw)
        return {"template_tokens": round(0.7 * template + 0.3 * seen) if template else seen}
    # Bounded: a server that cuts each longer prompt to the same length would otherwise teach, step by step, that
    # our texts are small.
    share = min(max((server - template) / raw, FACTOR_BOUNDS[0]), FACTOR_BOUNDS[1])
    return {"token_factor": round(0.7 * state.token_factor + 0.3 * share, 6)}


def _function_returned(state: State, event: Any) -> _Changes:
    counts = int(event.name not in OUTWARD and not event.capped)
    return {
        **_enqueue(state, event, holds=event.holds),
        "messages": state.messages + 1,
        "calls": state.calls + 1,
        "failed_calls": state.failed_calls + (not event.ok),
        "step_calls": state.step_calls + counts,
        "turn_calls": state.turn_calls + counts,
        "asked": None,
        "answered": None,
    }


def _function_asked(state: State, event: Any) -> _Changes:
    return {"asked": Asked(event.reply, event.index, event.call_id, event.name)}


def _function_answered(state: State, event: Any) -> _Changes:
    asked = state.asked
    return {
        "turn_open": True,
        "stopping": False,
        "turn_end": "",
        "resumed_at_step": state.step,
        "asked": None,
        "answered": Answered(event.seq, asked.reply, asked.call_index) if asked else None,
    }


def _heartbeats_paused(state: State, event: Any) -> _Changes:
    return {"paused_until": event.until}


def _stop_requested(state: State, event: Any) -> _Changes:
    return {"stopping": True}


def _fault_recorded(state: State, event: Any) -> _Changes:
    return {"faults": state.faults + 1}


def _turn_ended(state: State, event: Any) -> _Changes:
    return {"turn_open": False, "stopping": False, "turn_end": event.reason}


def _turn_resumed(state: State, event: Any) -> _Changes:
    resumed = {"turn_open": True, "stopping": False, "turn_end": "", "resumed_at_step": state.step}
    return {**resumed, "step_calls": 0, "turn_calls": 0}


def _hits_placed(state: State, event: Any) -> _Changes:
    return {**_enqueue(state, event, holds=event.holds), "messages": state.messages + 1}


def _pressure_warned(state: State, event: Any) -> _Changes:
    return {**_enqueue(state, event), "warned": True, "messages": state.messages + 1}


def _queue_flushed(state: State, event: Any) -> _Changes:
    gone = frozenset(event.evicted)
    return {
        "queue": tuple(entry for entry in state.queue if entry.id not in gone),
        "hidden": (),
        "pinned": tuple(id for id in state.pinned if id not in gone),
        "summary": Summary(seq=event.seq, tokens=event.measured.tokens or 0, covers=event.covers),
        "warned": False,
        "flushes": state.flushes + 1,
    }


def _block_defined(state: State, event: Any) -> _Changes:
    block = Block(
        label=event.block,
        description=event.description,
        value=event.value,
        limit_chars=event.limit_chars,
        read_only=event.read_only,
        seq=event.seq,
        author=event.author,
        tokens=event.measured.tokens or 0,
    )
    if event.block in state.blocks or event.before not in state.blocks:
        return {"blocks": {**state.blocks, event.block: block}}
    at = list(state.blocks).index(event.before)
    ordered = list(state.blocks.items())
    return {"blocks": dict([*ordered[:at], (event.block, block), *ordered[at:]])}


def _block_renamed(state: State, event: Any) -> _Changes:
    renamed = state.blocks[event.block]._replace(
        label=event.to, seq=event.seq, author=event.author, tokens=event.measured.tokens or 0
    )
    return {
        "blocks": {
            (event.to if label == event.block else label): (renamed if label == event.block else block)
            for label, block in state.blocks.items()
        }
    }


def _block_deleted(state: State, event: Any) -> _Changes:
    return {"blocks": {label: block for label, block in state.blocks.items() if label != event.block}}


def _working_context_edited(state: State, event: Any) -> _Changes:
    block = state.blocks[event.block]._replace(
        value=event.after, seq=event.seq, author=event.author, tokens=event.measured.tokens or 0
    )
    return {"blocks": {**state.blocks, event.block: block}}


def _note_written(state: State, event: Any) -> _Changes:
    return {"notes": {**state.notes, event.name: Note(event.name, event.seq, len(event.text))}}


def _note_deleted(state: State, event: Any) -> _Changes:
    return {"notes": {name: note for name, note in state.notes.items() if name != event.name}}


def _archival_inserted(state: State, event: Any) -> _Changes:
    return {"passages": state.passages + 1}


def _archival_deleted(state: State, event: Any) -> _Changes:
    return {"passages": state.passages - 1}


def _archival_restored(state: State, event: Any) -> _Changes:
    return {"passages": state.passages + 1}


def _document_ingested(state: State, event: Any) -> _Changes:
    return {
        "documents": state.documents + (not event.document),
        "passages": state.passages + event.added - event.ended,
    }


def _document_removed(state: State, event: Any) -> _Changes:
    return {"documents": state.documents - 1, "passages": state.passages - event.passages}


def _message_edited(state: State, event: Any) -> _Changes:
    tokens, clip = event.measured.tokens or 0, _clip_of(event)
    return {
        "queue": tuple(
            entry._replace(text_seq=event.seq, tokens=tokens, clip=clip) if entry.id == event.message else entry
            for entry in state.queue
        )
    }


def _message_deleted(state: State, event: Any) -> _Changes:
    return {
        "queue": tuple(entry for entry in state.queue if entry.id != event.message),
        "hidden": (*state.hidden, *(entry for entry in state.queue if entry.id == event.message)),
        "pinned": tuple(id for id in state.pinned if id != event.message),
        "messages": state.messages - 1,
    }


def _message_restored(state: State, event: Any) -> _Changes:
    changes: _Changes = {
        "messages": state.messages + 1,
        "hidden": tuple(entry for entry in state.hidden if entry.id != event.message),
    }
    if event.queued:
        tokens, clip = event.measured.tokens or 0, _clip_of(event)
        back = [
            entry._replace(text_seq=event.text_seq, tokens=tokens, clip=clip)
            for entry in state.hidden
            if entry.id == event.message
        ]
        # By place and not by id: a message that was queued again stands behind younger ones.
        changes["queue"] = tuple(sorted((*state.queue, *back), key=lambda entry: entry.placed))
    return changes


def _message_pinned(state: State, event: Any) -> _Changes:
    others = tuple(id for id in state.pinned if id != event.message)
    return {"pinned": (*others, event.message) if event.pinned else others}


def _message_requeued(state: State, event: Any) -> _Changes:
    return _enqueue(state, event, id=event.message, text_seq=event.text_seq, holds=event.holds)


def _nothing(state: State, event: Any) -> _Changes:
    return {}


_MEANINGS: dict[str, Callable[[State, Any], _Changes]] = {
    "agent_created": _agent_created,
    "agent_configured": _agent_configured,
    "agent_renamed": _agent_renamed,
    "run_forked": _run_forked,
    "history_imported": _nothing,
    "context_recounted": _context_recounted,
    "instructions_defined": _instructions_defined,
    "trigger_received": _trigger_received,
    "prompt_built": _prompt_built,
    "model_replied": _model_replied,
    "truncation_suspected": _nothing,
    "function_returned": _function_returned,
    "function_asked": _function_asked,
    "function_answered": _function_answered,
    "message_sent": _nothing,
    "heartbeats_paused": _heartbeats_paused,
    "stop_requested": _stop_requested,
    "fault_recorded": _fault_recorded,
    "turn_ended": _turn_ended,
    "turn_resumed": _turn_resumed,
    "pressure_warned": _pressure_warned,
    "queue_flushed": _queue_flushed,
    "block_defined": _block_defined,
    "block_renamed": _block_renamed,
    "block_deleted": _block_deleted,
    "working_context_edited": _working_context_edited,
    "note_written": _note_written,
    "note_deleted": _note_deleted,
    "archival_inserted": _archival_inserted,
    "archival_edited": _nothing,
    "archival_deleted": _archival_deleted,
    "archival_restored": _archival_restored,
    "document_ingested": _document_ingested,
    "document_removed": _document_removed,
    "recall_searched": _nothing,
    "archival_searched": _nothing,
    "hits_placed": _hits_placed,
    "message_edited": _message_edited,
    "message_deleted": _message_deleted,
    "message_restored": _message_restored,
    "message_pinned": _message_pinned,
    "message_requeued": _message_requeued,
}


# --- main context as sizes ------------------------------------------------------------------------------


def prompt_parts(state: State) -> tuple[Part, ...]:
    """Main context as ordered parts, each with a key that changes exactly when its text does.

    Order: instructions, schemas, blocks, summary, messages, template. Tokens are our own counts; their sum
    is the whole prompt.
    """
    head = [
        Part(f"instructions@{state.instructions_seq}", state.instructions_tokens),
        Part(f"schemas@{state.instructions_seq}", state.schemas_tokens),
    ]
    blocks = [Part(f"{block.label}@{block.seq}", block.tokens) for block in state.blocks.values()]
    summary = [Part(f"summary@{state.summary.seq}", state.summary.tokens)] if state.summary else []
    queue = [Part(f"{entry.id}@{entry.text_seq}", entry.tokens) for entry in state.queue]
    return (*head, *blocks, *summary, *queue, Part("template", state.template_tokens))
