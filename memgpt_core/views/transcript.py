"""A stretch of the log as a conversation: what was said, by whom, and what the memory did meanwhile.

Takes whole turns where it can; a reply knows the request it answered only when that is among the events.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, NamedTuple

from memgpt_core.events import Event

Who = Literal["user", "agent", "system", "login", "timer", "upload", "warning", "flush", "fault", "end", "hand"]


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


ENDS = {
    "step_limit": "The turn was ended at its limit of model calls. Send another message to let the agent go on.",
    "repeating": "The turn was ended because the agent made the same call three times over.",
    "stopped": "You stopped this turn. What was done before is kept.",
    "fault": "The turn ended with the fault above. Nothing was lost: run the turn on when it is mended.",
    "interrupted": "The program ended during this turn. What was done before is kept: run the turn on.",
}
"""What a person reads about a turn that did not end by itself."""

_SAYS = {"login": "The agent was told that you are back.", "timer": "A timed heartbeat woke the agent."}


def transcript(events: Iterable[Event]) -> list[Bubble]:
    """The conversation in these events, oldest first."""
    bubbles: list[Bubble] = []
    told = _Turn()
    for event in events:
        if event.turn != told.turn:
            told = _Turn(event.turn)
        told.note(event)
        bubble = _bubble(event, told)
        if bubble is not None:
            bubbles.append(bubble)
    return bubbles


class _Turn:
    """What is known of the turn so far while its events go by."""

    def __init__(self, turn: int = 0) -> None:
        self.turn = turn
        self.prompt_seq = 0
        self.thoughts = ""
        self.moves: list[Move] = []
        self.spoke = False

    def note(self, event: Any) -> None:
        if event.kind == "prompt_built" and event.purpose == "turn":
            self.prompt_seq = event.seq
        elif event.kind == "model_replied" and event.purpose == "turn":
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
        return Bubble(event.cause, *where, _SAYS.get(event.cause, event.text))
    if kind == "message_sent":
        thoughts, moves = told.take()
        return Bubble("agent", *where, event.text, thoughts, moves, told.prompt_seq, event.plain)
    if kind == "pressure_warned":
        return Bubble("warning", *where, _warning(event))
    if kind == "queue_flushed":
        return Bubble("flush", *where, _flush(event))
    if kind == "fault_recorded":
        return Bubble("fault", *where, event.error)
    if kind == "turn_ended":
        return _end(event, told)
    return _by_hand(event)


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


_MOVES: dict[str, Any] = {
    "working_context_edited": _edited,
    "block_defined": lambda event: ("working_context", f"{event.block} block defined", event.value),
    "archival_inserted": lambda event: ("archival", f"archival passage p{event.seq} stored", event.text),
    "archival_edited": lambda event: ("archival", f"archival passage {event.passage} edited", event.text),
    "archival_deleted": lambda event: ("archival", f"archival passage {event.passage} deleted", ""),
    "note_written": lambda event: ("notes", f"note {event.name} written", event.text),
    "note_deleted": lambda event: ("notes", f"note {event.name} deleted", ""),
    "recall_searched": lambda event: _searched("recall", event),
    "archival_searched": lambda event: _searched("archival", event),
    "message_edited": lambda event: ("messages", f"message {event.message} edited", event.text),
    "message_deleted": lambda event: ("messages", f"message {event.message} deleted", ""),
    "message_requeued": lambda event: ("messages", f"message {event.message} queued again", ""),
}
