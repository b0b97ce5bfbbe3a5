"""Every kind of line a log can hold: facts in the past tense, never intentions.

Knows the shape of each event and its one-line JSON form. Does not know what an event means for the
agent (that is `state.apply`), nor how lines reach the disk (that is `log`).

Dispatch on the `kind` string, never on the class: a hot reload leaves old objects with new classes.
"""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from memgpt_core.settings import AgentSettings

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Author = Literal["agent", "human", "engine", "import"]
"""Who did it: the model through a function, a person by hand, the engine's rules, an import."""

Purpose = Literal["turn", "summary"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Hit(_Frozen):
    """One search result: the item's id and what ranked it. Ranks count from 1; scores are rounded to 1e-6."""

    id: str
    score: float
    words_rank: int | None = None
    words_score: float | None = None
    vector_rank: int | None = None
    vector_score: float | None = None


class Measured(_Frozen):
    """What was measured rather than decided. A rerun takes these from the recording.

    Attributes:
        tokens: our count of what this event put into main context, in tokens.
        instructions_tokens, schemas_tokens: the same for the two parts of `instructions_defined`.
        seconds: wall time of the model call or function.
        prompt_tokens, cached_tokens, reply_tokens: the model server's own counts.
        served_window: the window the model server has allocated, in tokens.
        load_s, prefill_s, generate_s: the model server's own clock.
        total: how many items a search matched in all.
        hits: the page of results a search gave, best first.
        prefetched: how many searches were begun ahead of being asked for while this reply was written; None when
            none may be.
        saved_s: the seconds that a search did not take when it was asked for, because it had been run ahead; None
            when it had not.
    """

    tokens: int | None = None
    instructions_tokens: int | None = None
    schemas_tokens: int | None = None
    seconds: float | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    reply_tokens: int | None = None
    served_window: int | None = None
    load_s: float | None = None
    prefill_s: float | None = None
    generate_s: float | None = None
    total: int | None = None
    hits: tuple[Hit, ...] | None = None
    prefetched: int | None = None
    saved_s: float | None = None


NOTHING = Measured()


class Clip(_Frozen):
    """How much of a text too large for the window is queued: this many characters from each end."""

    head_chars: int
    tail_chars: int


class Call(_Frozen):
    """A function call as the model wrote it; `arguments` stays text when it was not a JSON object."""

    id: str
    name: str
    arguments: dict[str, Any] | str


class Header(_Frozen):
    """What every line begins with; all five are stamped by `Journal.commit`.

    Attributes:
        seq: position in the log, from 1 without gaps.
        at: UTC, from the injected clock.
        session, turn, step: where in the agent's life this is, each from 1; 0 before the first.
    """

    seq: int = 0
    at: datetime = EPOCH
    session: int = 0
    turn: int = 0
    step: int = 0


# --- the agent itself -------------------------------------------------------------------------------


class AgentCreated(Header):
    """The first line of every log."""

    kind: Literal["agent_created"] = "agent_created"
    agent_id: str
    name: str
    about: str = ""
    engine_version: int
    seed: int
    settings: AgentSettings
    template_tokens: int = 0
    token_factor: float = 1.0


class AgentConfigured(Header):
    """New settings, whole; they hold from the next step on."""

    kind: Literal["agent_configured"] = "agent_configured"
    settings: AgentSettings
    template_tokens: int = 0
    token_factor: float = 1.0
    author: Author = "human"


class AgentRenamed(Header):
    """The agent got another name, or another line about it."""

    kind: Literal["agent_renamed"] = "agent_renamed"
    name: str
    about: str = ""
    author: Author = "human"


class RunForked(Header):
    """From here on this is another agent's log: everything before is a copy of the origin's beginning.

    Attributes:
        agent_id, name: the new agent.
        origin, origin_name: the agent it was copied from.
        origin_seq: the last event that is the origin's.
    """

    kind: Literal["run_forked"] = "run_forked"
    agent_id: str
    name: str
    origin: str
    origin_name: str
    origin_seq: int
    author: Author = "human"


class HistoryImported(Header):
    """The events from `first` up to this one came from a file of another program: imported, not recorded here.

    They are as the Journal would have stamped them, each at its time in the file, but no engine of ours ran: no request
    was recorded, and a rerun takes them as they are.

    Attributes:
        first: seq of the first imported event.
        format: what the file was, for example `letta v2`.
        source: the file's name; `sha256` is that of its bytes.
        notes: what was left out, assumed or changed on the way in, a sentence each.
        conversation, title: which one of the file's it is, where they are told apart.
        messages: how many of that conversation's messages are in by now; `digest` is that of all those.
        ids: what the file calls them, by our ids.
    """

    kind: Literal["history_imported"] = "history_imported"
    first: int = Field(ge=1)
    format: str
    source: str = ""
    sha256: str = ""
    notes: tuple[str, ...] = ()
    conversation: str = ""
    title: str = ""
    messages: int = 0
    digest: str = ""
    ids: dict[str, str] = {}
    author: Author = "import"


class ContextRecounted(Header):
    """Everything in the window was counted anew, as after a change of model.

    Attributes:
        counts: tokens by part (`instructions`, `schemas`, `summary`, a block's label, a message's id).
        counted_by: whose vocabulary counted exactly; empty for the estimate.
    """

    kind: Literal["context_recounted"] = "context_recounted"
    counts: dict[str, int]
    counted_by: str = ""


class InstructionsDefined(Header):
    """The read-only head of main context, stored when it changes so that a past request can be rebuilt."""

    kind: Literal["instructions_defined"] = "instructions_defined"
    instructions: str
    schemas: tuple[dict[str, Any], ...]
    measured: Measured = NOTHING


# --- a turn -----------------------------------------------------------------------------------------


class TriggerReceived(Header):
    """What wakes the agent (the paper's "event"), queued as a message in its JSON envelope.

    The cause `review` asks it, after a session, to reread that session (`reviews`) and rewrite its blocks.
    """

    kind: Literal["trigger_received"] = "trigger_received"
    cause: Literal["user", "system", "login", "upload", "timer", "review"]
    text: str
    reviews: int | None = None
    clip: Clip | None = None
    measured: Measured = NOTHING


class PromptBuilt(Header):
    """A request left for the model.

    Attributes:
        sections: tokens by section of main context, in prompt order; they add up to the whole prompt.
        counted_by: whose vocabulary counted the tokens exactly; empty for the estimate.
        window_tokens, limit_tokens: the window, and the part a prompt may fill.
        sha256: of the request body's bytes.
        prefix_tokens: how many of the tokens are the unchanged beginning of the turn request before this one.
    """

    kind: Literal["prompt_built"] = "prompt_built"
    purpose: Purpose
    sections: dict[str, int]
    counted_by: str = ""
    window_tokens: int
    limit_tokens: int
    sha256: str
    prefix_tokens: int


class ModelReplied(Header):
    """A finished reply, queued unless it is empty.

    Attributes:
        salvaged: the calls were found in plain text.
        calls_dropped: how many calls beyond `decisions.CALL_CAP` the reply had; they are not kept.
    """

    kind: Literal["model_replied"] = "model_replied"
    purpose: Purpose
    content: str = ""
    thinking: str = ""
    calls: tuple[Call, ...] = ()
    done_reason: str = "stop"
    salvaged: bool = False
    calls_dropped: int = 0
    clip: Clip | None = None
    measured: Measured = NOTHING


class TruncationSuspected(Header):
    """The model server saw clearly less than was sent, so it has cut the prompt.

    Attributes:
        ours, server: tokens of the prompt by our count and by the server's.
        window_tokens: the window the server serves, as far as it is known, else 0.
    """

    kind: Literal["truncation_suspected"] = "truncation_suspected"
    ours: int
    server: int
    window_tokens: int = 0


class FunctionReturned(Header):
    """A call's outcome, queued as a function result.

    Attributes:
        arguments: as validated, without `request_heartbeat`; as written when validation failed.
        ok: False is the model's fault and forces a heartbeat.
        heartbeat: control goes straight back to the model.
        holds: ids of the messages and passages whose text is in `value`.
        capped: the call was refused because the memory calls of the step, or of the turn, were used up.
    """

    kind: Literal["function_returned"] = "function_returned"
    call_id: str
    name: str
    arguments: dict[str, Any] | str
    ok: bool
    value: str
    heartbeat: bool
    holds: tuple[str, ...] = ()
    capped: Literal["step", "turn"] | None = None
    clip: Clip | None = None
    measured: Measured = NOTHING


class FunctionAsked(Header):
    """A call waits for a person's yes or no; the turn ends here and the answer resumes it.

    Attributes:
        reply: seq of the `model_replied` with the call.
        index: which of its calls, from 0; the ones after it wait too.
    """

    kind: Literal["function_asked"] = "function_asked"
    reply: int
    index: int
    call_id: str
    name: str
    arguments: dict[str, Any] | str


class FunctionAnswered(Header):
    """A person's yes or no to the call that waits; `reason` is told to the model with a no."""

    kind: Literal["function_answered"] = "function_answered"
    call_id: str
    allowed: bool
    reason: str = ""
    author: Author = "human"


class MessageSent(Header):
    """Text the user sees. `plain` marks a reply that came without a send_message call."""

    kind: Literal["message_sent"] = "message_sent"
    text: str
    plain: bool = False


class HeartbeatsPaused(Header):
    """Timed heartbeats stay silent until `until` (UTC)."""

    kind: Literal["heartbeats_paused"] = "heartbeats_paused"
    minutes: int
    until: datetime


class StopRequested(Header):
    """A person stopped the running turn."""

    kind: Literal["stop_requested"] = "stop_requested"


class FaultRecorded(Header):
    """The machine failed, nothing is lost. The turn ends, but for an overflow, which is tried once more.

    Attributes:
        where: what failed; `defect` is an error in Memscope itself.
        overflow: the model server refused the prompt as longer than its window.
    """

    kind: Literal["fault_recorded"] = "fault_recorded"
    where: Literal["model", "log", "store", "engine", "defect"]
    error: str
    overflow: bool = False


class TurnEnded(Header):
    """Control is back with the world."""

    kind: Literal["turn_ended"] = "turn_ended"
    reason: Literal["yielded", "asked", "step_limit", "repeating", "stopped", "fault", "interrupted"]


class TurnResumed(Header):
    """A person had a turn that broke off (a fault, a stop, a cap) run on from where it was."""

    kind: Literal["turn_resumed"] = "turn_resumed"
    author: Author = "human"


# --- memory pressure --------------------------------------------------------------------------------


class PressureWarned(Header):
    """Main context passed the warning mark; queued as a system alert so that the model can save things."""

    kind: Literal["pressure_warned"] = "pressure_warned"
    tokens: int
    warn_tokens: int
    flush_tokens: int
    measured: Measured = NOTHING


class QueueFlushed(Header):
    """The oldest exchanges left the FIFO queue; `summary` took the first slot.

    Attributes:
        evicted: ids, oldest first.
        trigger: what forced it (flush mark reached, or the server refused the prompt).
        summarised_by: `model`, or `none` when the strategy asks no model or the summariser failed; `summary` is then a
            notice on what left.
        covers: how many messages the summary stands for, this flush and all before it.
        measured.tokens: tokens of the new summary slot.
    """

    kind: Literal["queue_flushed"] = "queue_flushed"
    evicted: tuple[str, ...]
    trigger: Literal["flush_mark", "overflow"]
    strategy: str
    flush_tokens: int
    tokens_before: int
    tokens_after: int
    summary: str
    summarised_by: Literal["model", "none"]
    covers: int
    measured: Measured = NOTHING


# --- core memory and scratch notes -------------------------------------------------------------------


class BlockDefined(Header):
    """A core memory block came to be, or got another limit, description or lock. Text is `value`.

    Attributes:
        based_on: seq of the version the author saw; 0 for a block that was not there.
        before: the block a new one is put in front of; empty for a place behind all others.
        origin: where a copied block's text is from, `agent_id/label`; else empty.
    """

    kind: Literal["block_defined"] = "block_defined"
    block: str
    description: str
    value: str
    limit_chars: int
    read_only: bool = False
    author: Author
    based_on: int = 0
    before: str = ""
    origin: str = ""
    reason: str = ""
    measured: Measured = NOTHING


class BlockRenamed(Header):
    """A block has another label; its text and its place in the working context stay."""

    kind: Literal["block_renamed"] = "block_renamed"
    block: str
    to: str
    author: Author
    based_on: int
    measured: Measured = NOTHING


class BlockDeleted(Header):
    """A block left the working context; undo defines it again with the text it had."""

    kind: Literal["block_deleted"] = "block_deleted"
    block: str
    author: Author
    based_on: int


class WorkingContextEdited(Header):
    """A block's text changed. `based_on` is the seq of the version the author saw."""

    kind: Literal["working_context_edited"] = "working_context_edited"
    block: str
    before: str
    after: str
    author: Author
    based_on: int
    reason: str = ""
    measured: Measured = NOTHING


class NoteWritten(Header):
    """A scratch note was written or replaced."""

    kind: Literal["note_written"] = "note_written"
    name: str
    text: str
    author: Author


class NoteDeleted(Header):
    """A scratch note is gone from the index; its text stays in the log."""

    kind: Literal["note_deleted"] = "note_deleted"
    name: str
    author: Author


# --- archival storage --------------------------------------------------------------------------------


class ArchivalInserted(Header):
    """A passage entered archival storage; its id is `p{seq}`."""

    kind: Literal["archival_inserted"] = "archival_inserted"
    text: str
    tags: tuple[str, ...] = ()
    source: str = ""
    author: Author


class ArchivalEdited(Header):
    """A passage's text or tags changed."""

    kind: Literal["archival_edited"] = "archival_edited"
    passage: str
    text: str
    tags: tuple[str, ...] = ()
    author: Author
    based_on: int
    reason: str = ""


class ArchivalDeleted(Header):
    """A passage is hidden; `archival_restored` brings it back."""

    kind: Literal["archival_deleted"] = "archival_deleted"
    passage: str
    author: Author
    reason: str = ""


class ArchivalRestored(Header):
    """A deleted passage is back under its id, as it was when it was deleted, or with this text and these tags."""

    kind: Literal["archival_restored"] = "archival_restored"
    passage: str
    author: Author
    text: str | None = None
    tags: tuple[str, ...] | None = None
    reason: str = ""


class DocumentIngested(Header):
    """A document, or another version of one, entered archival storage.

    Its raw file, its text and the manifest of its passages are in cold storage under these digests, and were synced
    before this was written. A passage it brings is `p{seq}.{n}`; one with the same text as before keeps its id.

    Attributes:
        document: which one this is another version of; empty for a first one, whose id is `d{seq}`.
        raw, text, manifest: sha256 of the file as it came, of its text in UTF-8, and of its manifest.
        extract: what it is about, in sentences of its own.
        extractor, splitter: versions of the rules that read it.
        added, ended: how many passages began and ended with this.
        notes: what was left out or guessed, a sentence each.
    """

    kind: Literal["document_ingested"] = "document_ingested"
    document: str = ""
    name: str
    media: str
    title: str = ""
    extract: str = ""
    bytes: int
    chars: int
    pages: int = 0
    passages: int
    sections: int
    raw: str
    text: str
    manifest: str
    extractor: int
    splitter: int
    added: int
    ended: int = 0
    notes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    author: Author = "import"

    @property
    def id(self) -> str:
        """The document's id, the same for all of its versions."""
        return self.document or f"d{self.seq}"


class DocumentRemoved(Header):
    """A document left archival storage with the `passages` of it that stood; adding the file again brings it back."""

    kind: Literal["document_removed"] = "document_removed"
    document: str
    name: str
    passages: int
    author: Author
    reason: str = ""


class RecallSearched(Header):
    """Recall storage was searched; the page of hits is in `measured`."""

    kind: Literal["recall_searched"] = "recall_searched"
    query: str
    roles: tuple[str, ...]
    start: str = ""
    end: str = ""
    page: int
    mode: str
    measured: Measured = NOTHING


class ArchivalSearched(Header):
    """Archival storage was searched; the page of hits is in `measured`.

    With a `document` only its passages were, with an empty one those of any document.
    """

    kind: Literal["archival_searched"] = "archival_searched"
    query: str
    tags: tuple[str, ...] = ()
    start: str = ""
    end: str = ""
    page: int
    mode: str
    document: str | None = None
    measured: Measured = NOTHING


class HitsPlaced(Header):
    """The retrieval policy put stored texts into the queue: neither the user wrote them nor did the model ask.

    Attributes:
        why: before the turn's first step, or between two steps of it.
        query: what was searched for, in both stores.
        text: what the model reads.
        holds: ids of the messages and passages whose text is in it.
        budget_tokens: the most it could take of the queue.
        measured.hits: what was chosen from, best first; a rerun chooses from the same.
    """

    kind: Literal["hits_placed"] = "hits_placed"
    why: Literal["before", "interleaved"]
    query: str
    text: str
    holds: tuple[str, ...]
    budget_tokens: int
    mode: str
    measured: Measured = NOTHING


# --- messages by hand --------------------------------------------------------------------------------


class MessageEdited(Header):
    """A message's text was corrected by hand; recall and, if it is queued, main context show the new text."""

    kind: Literal["message_edited"] = "message_edited"
    message: str
    text: str
    author: Author
    based_on: int
    reason: str = ""
    clip: Clip | None = None
    measured: Measured = NOTHING


class MessageDeleted(Header):
    """A message is hidden from recall and leaves the queue.

    Attributes:
        pinned: it was pinned in the queue; brought back into its place, it is pinned again.
    """

    kind: Literal["message_deleted"] = "message_deleted"
    message: str
    author: Author
    pinned: bool = False


class MessageRestored(Header):
    """A deleted message is back in recall storage, and in its old place in the queue if it has one there.

    Attributes:
        queued: it was queued when it was deleted and nothing was flushed since.
        text_seq: the event with its text; `clip` and `measured.tokens` are those of its slot.
    """

    kind: Literal["message_restored"] = "message_restored"
    message: str
    text_seq: int
    queued: bool
    author: Author
    clip: Clip | None = None
    measured: Measured = NOTHING


class MessagePinned(Header):
    """A message in the queue stays there through every flush, or may leave again (`pinned` false)."""

    kind: Literal["message_pinned"] = "message_pinned"
    message: str
    pinned: bool
    author: Author


class MessageRequeued(Header):
    """An evicted message got a slot at the back of the queue again, shown there as brought back.

    Attributes:
        text_seq: the event with its text.
        holds: ids of the messages and passages whose text is in it.
    """

    kind: Literal["message_requeued"] = "message_requeued"
    message: str
    text_seq: int
    author: Author
    holds: tuple[str, ...] = ()
    clip: Clip | None = None
    measured: Measured = NOTHING


Event = (
    AgentCreated
    | AgentConfigured
    | AgentRenamed
    | RunForked
    | HistoryImported
    | ContextRecounted
    | InstructionsDefined
    | TriggerReceived
    | PromptBuilt
    | ModelReplied
    | TruncationSuspected
    | FunctionReturned
    | FunctionAsked
    | FunctionAnswered
    | MessageSent
    | HeartbeatsPaused
    | StopRequested
    | FaultRecorded
    | TurnEnded
    | TurnResumed
    | PressureWarned
    | QueueFlushed
    | BlockDefined
    | BlockRenamed
    | BlockDeleted
    | WorkingContextEdited
    | NoteWritten
    | NoteDeleted
    | ArchivalInserted
    | ArchivalEdited
    | ArchivalDeleted
    | ArchivalRestored
    | DocumentIngested
    | DocumentRemoved
    | RecallSearched
    | ArchivalSearched
    | HitsPlaced
    | MessageEdited
    | MessageDeleted
    | MessageRestored
    | MessagePinned
    | MessageRequeued
)

KINDS: dict[str, type[Header]] = {cls.model_fields["kind"].default: cls for cls in Event.__args__}

_CODEC: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])

_ALWAYS_EXTERNAL = frozenset(
    {
        "agent_created",
        "agent_configured",
        "agent_renamed",
        "run_forked",
        "history_imported",
        "context_recounted",
        "instructions_defined",
        "trigger_received",
        "model_replied",
        "stop_requested",
        "fault_recorded",
        "function_answered",
        "document_ingested",
        "document_removed",
        "message_edited",
        "message_deleted",
        "message_restored",
        "message_pinned",
        "message_requeued",
    }
)


def is_external(event: Event) -> bool:
    """Whether the event came from outside the engine's rules, so that a rerun must be given it.

    Triggers, configuration, model replies, faults, stops, interruptions, and whatever a person or an
    import wrote are external; the rest follows from them.
    """
    if event.kind in _ALWAYS_EXTERNAL:
        return True
    if event.kind == "turn_ended":
        return event.reason == "interrupted"
    return getattr(event, "author", "agent") in ("human", "import")


MAX_DEPTH = 60
"""How deep a value from outside may be nested; JSON writers give up somewhere below 300."""


def clean(value: Any, depth: int = MAX_DEPTH) -> Any:
    """A value from outside made safe for one line of JSON, all the way down.

    Half of a surrogate pair becomes U+FFFD (it has no UTF-8), a number that is not finite becomes None (it has
    no JSON), and so does what is nested deeper than `depth`: each would otherwise be refused by the log or
    come back as something else.
    """
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {clean(key): clean(item, depth - 1) for key, item in value.items()} if depth else None
    if isinstance(value, list | tuple):
        return [clean(item, depth - 1) for item in value] if depth else None
    return value


def queues_message(event: Event) -> bool:
    """Whether the event puts a new message into the queue and into recall storage.

    An empty reply does not: a message without content would spoil every later prompt.
    """
    if event.kind == "model_replied":
        return event.purpose == "turn" and bool(event.content or event.calls)
    return event.kind in ("trigger_received", "function_returned", "pressure_warned", "hits_placed")


def encode(event: Event) -> str:
    """One line of JSON without the newline; fields that are None are left out."""
    return event.model_dump_json(exclude_none=True)


# --- old lines always load ----------------------------------------------------------------------------

UPGRADES: list[Callable[[dict[str, Any]], dict[str, Any]]] = []
"""Append-only. Each takes a raw line as any earlier version wrote it and returns the next version's shape."""


def upgrade(raw: dict[str, Any]) -> dict[str, Any]:
    """Bring a raw line of any past version to the present shape."""
    for step in UPGRADES:
        raw = step(raw)
    return raw


def decode(line: str | bytes) -> Event:
    """The event a line holds.

    Raises:
        ValueError: not JSON, an unknown kind, or fields that do not fit the kind; the message says which.
    """
    try:
        return _CODEC.validate_json(line) if not UPGRADES else _CODEC.validate_python(upgrade(json.loads(line)))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "union_tag_invalid":
            raise ValueError(f"unknown kind {first['ctx']['tag']}") from None
        where = ".".join(str(part) for part in first["loc"]) or "line"
        raise ValueError(f"{where}: {first['msg']}") from None
