"""A stretch of the log as a conversation: what was said, by whom, and what the memory did meanwhile.

Takes whole turns where it can; a reply knows the request it answered only when that is among the events.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Literal, NamedTuple

from memgpt_core.events import Event

Who = Literal[
    "user",
    "agent",
    "system",
    "login",
    "timer",
    "upload",
    "review",
    "warning",
    "flush",
    "fault",
    "asked",
    "end",
    "fork",
    "imported",
    "hand",
]


class Move(NamedTuple):
    """One thing the memory did: the tier it touched and what happened, in a few words."""

    seq: int
    tier: str
    says: str
    detail: str


class Bubble(NamedTuple):
    """One thing to show in the conversation.

    Attributes:
        who: `end` is a turn that ended otherwise than by yielding; `hand` is a change a person made.
        thoughts: the inner monologue that came with a reply.
        moves: what the memory did since the bubble before, in this turn.
        prompt_seq: the `prompt_built` a reply answers; 0 when there is none.
        plain: a reply that came without a send_message call.
        message: the id in recall storage; empty for what is no message.
        changed: what a person did to it since, `edited` or `deleted`; the text of an edited one is the new text.
    """

    who: Who
    seq: int
    at: datetime
    turn: int
    step: int
    text: str
    thoughts: str = ""
    moves: tuple[Move, ...] = ()
    prompt_seq: int = 0
    plain: bool = False
    message: str = ""
    changed: Literal["", "edited", "deleted"] = ""


ENDS = {
    "step_limit": "The turn was ended at its limit of model calls. Send another message to let the agent go on.",
    "repeating": "The turn was ended because the agent made the same call three times over.",
    "stopped": "You stopped this turn. What was done before is kept.",
    "fault": "The turn ended with the fault above. Nothing was lost: run the turn on when it is mended.",
    "asked": "The turn waits for your answer to the call above.",
    "interrupted": "The program ended during this turn. What was done before is kept: run the turn on.",
}
"""What a person reads about a turn that did not end by itself."""

_SAYS = {"login": "The agent was told that you are back.", "timer": "A timed heartbeat woke the agent."}


def transcript(events: Iterable[Event]) -> list[Bubble]:
    """The conversation in these events, oldest first, with what was corrected in it by hand."""
    bubbles: list[Bubble] = []
    told = _Turn()
    corrected: dict[str, Any] = {}
    event: Any
    for event in events:
        if event.kind in _CORRECTIONS:
            corrected[event.message] = event
        if event.turn != told.turn:
            told = _Turn(event.turn)
        told.note(event)
        bubble = _bubble(event, told)
        if bubble is not None:
            bubbles.append(bubble)
    return [
        _corrected(bubble, corrected[bubble.message]) if bubble.message in corrected else bubble for bubble in bubbles
    ]


_CORRECTIONS = ("message_edited", "message_deleted", "message_restored")


def _corrected(bubble: Bubble, event: Any) -> Bubble:
    """A bubble as the last correction of its message left it; a restored one says what it said."""
    if event.kind == "message_edited":
        return bubble._replace(text=event.text, changed="edited")
    return bubble._replace(changed="deleted" if event.kind == "message_deleted" else "")


class _Turn:
    """What is known of the turn so far while its events go by."""

    def __init__(self, turn: int = 0) -> None:
        self.turn = turn
        self.prompt_seq = 0
        self.reply_seq = 0
        self.thoughts = ""
        self.moves: list[Move] = []
        self.spoke = False

    def note(self, event: Any) -> None:
        if event.kind == "prompt_built" and event.purpose == "turn":
            self.prompt_seq = event.seq
        elif event.kind == "model_replied" and event.purpose == "turn":
            self.reply_seq = event.seq
            thinking = (event.thinking, event.content if event.calls else "")
            self.thoughts = "\n".join(text for text in (self.thoughts, *thinking) if text)
        elif event.kind == "message_sent":
            self.spoke = True
        elif self.turn and getattr(event, "author", "agent") != "human":
            move = _move(event)
            if move is not None:
                self.moves.append(move)

    def take(self) -> tuple[str, tuple[Move, ...]]:
        thoughts, moves = self.thoughts, tuple(self.moves)
        self.thoughts, self.moves = "", []
        return thoughts, moves


def _bubble(event: Any, told: _Turn) -> Bubble | None:
    where = (event.seq, event.at, event.turn, event.step)
    kind: str = event.kind
    if kind == "trigger_received":
        return Bubble(event.cause, *where, _SAYS.get(event.cause, event.text), message=f"m{event.seq}")
    if kind == "message_sent":
        thoughts, moves = told.take()
        message = f"m{told.reply_seq}" if told.reply_seq else ""
        return Bubble("agent", *where, event.text, thoughts, moves, told.prompt_seq, event.plain, message)
    if kind in _TOLD:
        who, says = _TOLD[kind]
        return Bubble(who, *where, says(event))
    if kind == "fault_recorded":
        return Bubble("fault", *where, event.error)
    if kind == "function_asked":
        return Bubble("asked", *where, f"The agent wants to call {event.name}: {call_text(event.arguments)}")
    if kind == "function_answered":
        no = f" {event.reason}" if event.reason else ""
        return Bubble("hand", *where, "You allowed the call." if event.allowed else f"You refused the call.{no}")
    if kind == "run_forked":
        copied = f"a copy of what {event.origin_name} lived, up to its event {event.origin_seq:,}"
        return Bubble("fork", *where, f"Everything above is {copied}. What follows is this agent's own.")
    if kind == "turn_ended":
        return _end(event, told)
    return _by_hand(event)


def call_text(arguments: dict[str, Any] | str) -> str:
    """A call's arguments on one line."""
    if isinstance(arguments, str):
        return arguments
    return ", ".join(f"{name}: {value}" for name, value in arguments.items()) or "no arguments"


def _imported(event: Any) -> str:
    source = f"{event.source} ({event.format})" if event.source else event.format
    if not event.conversation:
        return f"What stands here from event {event.first:,} on comes from {source}: it was said elsewhere."
    title = f" “{event.title}”" if event.title else ""
    return f"Events {event.first:,} to {event.seq - 1:,} were said elsewhere:{title} in {source}."


def _flush(event: Any) -> str:
    freed = event.tokens_before - event.tokens_after
    left = f"{len(event.evicted)} messages" if len(event.evicted) != 1 else "1 message"
    who = "a summary stands" if event.summarised_by == "model" else "a notice without a summary stands"
    return (
        f"{left} left the FIFO queue for recall storage and {freed:,} tokens were freed; "
        f"{who} for {event.covers} in all."
    )


def _warning(event: Any) -> str:
    return (
        f"{event.tokens:,} of the {event.flush_tokens:,} tokens at which the oldest messages leave: the agent was told "
        "to save what must be kept."
    )


def _end(event: Any, told: _Turn) -> Bubble | None:
    thoughts, moves = told.take()
    says = ENDS.get(event.reason, "")
    if not says and told.spoke:
        return None
    return Bubble(
        "end",
        event.seq,
        event.at,
        event.turn,
        event.step,
        says or "The agent ended its turn without a message to you.",
        thoughts,
        moves,
        told.prompt_seq,
    )


def _by_hand(event: Any) -> Bubble | None:
    made_with_it = event.kind == "block_defined" and event.turn == 0
    if getattr(event, "author", "") != "human" or made_with_it:
        return None
    move = _move(event)
    return move and Bubble("hand", event.seq, event.at, event.turn, event.step, f"You: {move.says}")


def _move(event: Any) -> Move | None:
    """What an event did to a memory tier; None when it did nothing a person would look for."""
    says = _MOVES.get(event.kind)
    if says is None:
        return None
    tier, what, detail = says(event)
    return Move(event.seq, tier, what, detail)


def _edited(event: Any) -> tuple[str, str, str]:
    return "working_context", f"{event.block} block edited", _change(event.before, event.after)


def _change(before: str, after: str) -> str:
    """The lines that differ, marked - and +."""
    old, new = before.splitlines(), after.splitlines()
    gone = [f"- {line}" for line in old if line not in new]
    come = [f"+ {line}" for line in new if line not in old]
    return "\n".join(gone + come)


def _searched(tier: str, event: Any) -> tuple[str, str, str]:
    hits = len(event.measured.hits or ())
    asked = event.query or " to ".join(day for day in (event.start, event.end) if day)
    return tier, f"{tier} searched: {hits} of {event.measured.total or 0} found", asked


_TOLD: dict[str, tuple[Who, Callable[[Any], str]]] = {
    "pressure_warned": ("warning", _warning),
    "queue_flushed": ("flush", _flush),
    "history_imported": ("imported", _imported),
}
"""Events that stand in the conversation as a note."""

_MOVES: dict[str, Any] = {
    "working_context_edited": _edited,
    "block_defined": lambda event: (
        "working_context",
        f"{event.block} block {'changed' if event.based_on else 'defined'}",
        event.value,
    ),
    "block_renamed": lambda event: ("working_context", f"{event.block} block renamed to {event.to}", ""),
    "block_deleted": lambda event: ("working_context", f"{event.block} block deleted", ""),
    "archival_inserted": lambda event: ("archival", f"archival passage p{event.seq} stored", event.text),
    "archival_edited": lambda event: ("archival", f"archival passage {event.passage} edited", event.text),
    "archival_deleted": lambda event: ("archival", f"archival passage {event.passage} deleted", ""),
    "archival_restored": lambda event: ("archival", f"archival passage {event.passage} restored", ""),
    "document_ingested": lambda event: (
        "archival",
        f"document {event.name} {'updated' if event.document else 'added'}, {event.passages:,} passages",
        event.extract,
    ),
    "document_removed": lambda event: ("archival", f"document {event.name} removed", ""),
    "note_written": lambda event: ("notes", f"note {event.name} written", event.text),
    "note_deleted": lambda event: ("notes", f"note {event.name} deleted", ""),
    "recall_searched": lambda event: _searched("recall", event),
    "archival_searched": lambda event: _searched("archival", event),
    "message_edited": lambda event: ("messages", f"message {event.message} edited", event.text),
    "message_deleted": lambda event: ("messages", f"message {event.message} deleted", ""),
    "message_restored": lambda event: ("messages", f"message {event.message} restored", ""),
    "message_pinned": lambda event: (
        "messages",
        f"message {event.message} {'pinned' if event.pinned else 'unpinned'}",
        "",
    ),
    "message_requeued": lambda event: ("messages", f"message {event.message} queued again", ""),
    "agent_renamed": lambda event: ("", f"the agent is called {event.name} now", event.about),
    "history_imported": lambda event: (
        "",
        f"everything from event {event.first} to here was imported ({event.format}), not recorded",
        "\n".join(event.notes),
    ),
}
