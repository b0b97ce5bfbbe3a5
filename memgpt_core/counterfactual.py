"""What if: the same turn once more with one thing changed, and what came of it, beside what the log holds.

Each try is a fork of its own right before the turn, aside from the home's agents and deleted afterwards. It is sent
the triggers that opened the recorded turn, with their causes and at their times; what a person did in the middle of
that turn is not repeated, but for an answer to a call that asked. Knows no page; compares nothing.
"""

import re
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from memgpt_core.errors import EditRefused
from memgpt_core.events import Event, TriggerReceived
from memgpt_core.home import Home
from memgpt_core.ids import ITEM
from memgpt_core.settings import AgentSettings
from memgpt_core.state import Block, State
from memgpt_core.workspace import Workspace

LIMIT_S = 600.0
"""How long a turn may take before it is stopped; a large model on a laptop needs minutes for a few steps."""

LOOK_EVERY_S = 0.1
STOPS_WITHIN_S = 30.0
FORKED_SHARE = 0.3
"""How much of one try is done when its fork stands; the rest is the turn."""

Kind = Literal[
    "nothing",
    "without_block",
    "block_text",
    "without_message",
    "message_text",
    "without_passage",
    "passage_text",
    "other_message",
    "settings",
]


class Change(NamedTuple):
    """What is otherwise. `what` is a block's label or the id of a message or passage; `text` is its other text.

    The text of an `other_message` takes the place of what was said to the agent in that turn.
    """

    kind: Kind = "nothing"
    what: str = ""
    text: str = ""
    settings: AgentSettings | None = None


def change_of(item: str, text: str | None = None) -> Change:
    """The change of an item (`block:<label>`, `m12`, `p4`): another text of it, or (None) that it is not there.

    Raises:
        EditRefused: there are no such items.
    """
    known: dict[str, tuple[Kind, Kind]] = {
        "block:": ("without_block", "block_text"),
        "m": ("without_message", "message_text"),
        "p": ("without_passage", "passage_text"),
    }
    found = re.fullmatch(rf"(block:)(.+)|(?=([mp]))(?:{ITEM.pattern})", item)
    if found is None:
        raise EditRefused(f"'{item[:40]}' is no block:LABEL, message (m12) or passage (p4).")
    without, other = known[found[1] or found[3]]
    what = found[2] or item
    return Change(without, what) if text is None else Change(other, what, text)


class CallMade(NamedTuple):
    """A function call of the turn with its result."""

    name: str
    arguments: Any
    ok: bool
    value: str


class BlockChange(NamedTuple):
    """A core memory block that the turn changed; None where it was not there."""

    label: str
    before: str | None
    after: str | None


class Outcome(NamedTuple):
    """What a turn came to.

    Attributes:
        replies: what the user was sent.
        calls: every call that returned, in order, `send_message` too.
        blocks, passages: the blocks it changed, the texts it stored in archival storage.
        prompt_tokens: of all its requests together, by our count; `reply_tokens` by the model server's.
        page_faults: messages that came back into the window after they had left it.
        seconds: from the first trigger to the end.
        ended: why it ended, as in `turn_ended`; empty while it is open.
        errors: what failed on the way, a sentence each.
        requests: sha256 of each request to the model, in order: the same texts give the same.
    """

    replies: tuple[str, ...]
    calls: tuple[CallMade, ...]
    blocks: tuple[BlockChange, ...]
    passages: tuple[str, ...]
    steps: int
    prompt_tokens: int
    reply_tokens: int
    flushes: int
    page_faults: int
    seconds: float
    ended: str
    errors: tuple[str, ...]
    requests: tuple[str, ...]


def recorded(ws: Workspace, turn: int) -> Outcome:
    """What a turn of the log came to.

    Raises:
        EditRefused: there is no such turn.
    """
    return _outcome(ws, turn, _start(ws, turn))


def run(
    home: Home,
    agent_id: str,
    turn: int,
    change: Change,
    *,
    times: int = 1,
    model: str | None = None,
    limit_s: float = LIMIT_S,
    stopped: Callable[[], bool] = lambda: False,
    progress: Callable[[float], None] | None = None,
) -> list[Outcome]:
    """Run a turn again, changed, this many times; fewer when it is `stopped`. The agent itself stays as it is.

    Raises:
        AgentNotFound: no agent has that id.
        EditRefused: no such turn, or the change cannot be made at its beginning.
        ConfigurationRefused: the other settings cannot work.
        ModelUnavailable, LogClosed, MemscopeError: the fork could not be made or opened.
    """
    ws, told = home.open(agent_id), progress or (lambda _share: None)
    start = _start(ws, turn)
    openings = _changed_openings(_openings(ws, start), change)
    outcomes: list[Outcome] = []
    while len(outcomes) < times and not stopped():
        clock = _RecordedClock([opening.at for opening in openings])
        done = len(outcomes)
        with home.aside(agent_id, start - 1, clock=clock) as fork:
            told((done + FORKED_SHARE) / times)
            _make(fork, change, {f"m{opening.seq}" for opening in openings})
            if model is not None:
                fork.configure(fork.state().settings.model_copy(update={"model": model}))
            before = fork.state()
            clock.start()
            fork.send_again(openings)
            _finish(fork, _answers(ws, turn, start), limit_s, stopped)
            if stopped() and fork.state().turn_end == "stopped":
                break
            outcomes.append(_outcome(fork, before.turn + 1, before.seq + 1))
        told((done + 1) / times)
    told(1.0)
    return outcomes


class _RecordedClock:
    """Stands at the recorded turn's beginning, then gives its triggers their times and runs on from the last one.

    Times stand in the messages that the model reads, so another day would be another question; and no login, no
    review and no timer is due that was not due then.
    """

    def __init__(self, times: Sequence[datetime]) -> None:
        self._times = list(times)
        self._last = self._times[0]
        self._left: list[datetime] = []
        self._begun: float | None = None

    def start(self) -> None:
        """From here on time passes."""
        self._left = self._times[:]

    def __call__(self) -> datetime:
        if self._left:
            self._last, self._begun = self._left.pop(0), time.monotonic()
        passed = 0.0 if self._begun is None or self._left else time.monotonic() - self._begun
        return self._last + timedelta(seconds=passed)


# --- the turn as it was -------------------------------------------------------------------------------------


def _start(ws: Workspace, turn: int) -> int:
    seq = ws.turn_start(turn) if turn > 0 else 0
    if not seq:
        raise EditRefused(f"There is no turn {turn}: this agent has turns 1 to {ws.state().turn}.")
    return seq


def _openings(ws: Workspace, start: int) -> list[TriggerReceived]:
    """The triggers that opened the turn, a login and what the user said for instance."""
    found: list[TriggerReceived] = []
    event: Any = ws.event(start)
    while event.kind == "trigger_received":
        found.append(event)
        if event.seq == ws.last_seq:
            break
        event = ws.event(event.seq + 1)
    return found


def _changed_openings(openings: list[TriggerReceived], change: Change) -> list[TriggerReceived]:
    """The triggers to send, where the change is one of them."""
    if change.kind == "other_message":
        last = openings[-1]
        said = [opening for opening in openings if opening.cause == "user"] or [last]
        return [_retold(one, change.text) if one is said[-1] else one for one in openings]
    if change.kind == "message_text":
        return [_retold(one, change.text) if f"m{one.seq}" == change.what else one for one in openings]
    if change.kind == "without_message":
        left = [one for one in openings if f"m{one.seq}" != change.what]
        if not left:
            raise EditRefused(f"Message {change.what} opens the turn; without it there is none. Give it another text.")
        return left
    return openings


def _retold(opening: TriggerReceived, text: str) -> TriggerReceived:
    if not text.strip():
        raise EditRefused("The message is empty. Type something first.")
    return opening.model_copy(update={"text": text})


def _answers(ws: Workspace, turn: int, start: int) -> list[tuple[str, bool, str]]:
    """(function, yes or no, reason) of each call of the turn that asked and was answered, in order."""
    found: list[tuple[str, bool, str]] = []
    asked = ""
    for event in _of_turn(ws, turn, start, ("function_asked", "function_answered")):
        if event.kind == "function_asked":
            asked = event.name
        else:
            found.append((asked, event.allowed, event.reason))
    return found


# --- the turn as it would have been ---------------------------------------------------------------------------


def _make(fork: Workspace, change: Change, openings: set[str]) -> None:
    """Change the fork's memory or settings, as a person would by hand; what opens the turn was changed already."""
    edits, what, text = fork.edits, change.what, change.text
    if what in openings:
        return
    match change.kind:
        case "without_block":
            edits.delete_block(what, based_on=_block(fork, what).seq)
        case "block_text":
            edits.edit_block(what, text, based_on=_block(fork, what).seq)
        case "without_message":
            edits.delete_messages([_row(fork, what)["id"]])
        case "message_text":
            edits.edit_message(what, text, based_on=_row(fork, what)["seq_from"])
        case "without_passage":
            edits.delete_passages([_row(fork, what)["id"]])
        case "passage_text":
            row = _row(fork, what)
            edits.edit_passage(what, text, tags=row["tags"], based_on=row["seq_from"])
        case "settings":
            fork.configure(change.settings or fork.state().settings)


def _block(fork: Workspace, label: str) -> Block:
    if label not in fork.state().blocks:
        raise EditRefused(f"There was no block '{label}' when that turn began.")
    return fork.state().blocks[label]


def _row(fork: Workspace, id: str) -> dict[str, Any]:
    found = fork.items([id])
    if id not in found:
        raise EditRefused(f"There was no {'passage' if id.startswith('p') else 'message'} {id} when that turn began.")
    return found[id]


def _finish(fork: Workspace, answers: list[tuple[str, bool, str]], limit_s: float, stopped: Callable[[], bool]) -> None:
    """Wait for the turn, giving the recorded answers when it asks; one that takes too long is stopped."""
    until = time.monotonic() + limit_s
    while True:
        while not fork.wait_idle(LOOK_EVERY_S):
            if stopped() or time.monotonic() > until:
                fork.stop()
                fork.wait_idle(STOPS_WITHIN_S)
                return
        asked = fork.state().asked
        answer = next((one for one in answers if asked is not None and one[0] == asked.name), None)
        if answer is None:
            return
        answers.remove(answer)
        fork.answer(answer[1], answer[2])


# --- what it came to ------------------------------------------------------------------------------------------


def _of_turn(ws: Workspace, turn: int, start: int, kinds: Sequence[str] = ()) -> list[Any]:
    last = ws.rows("SELECT max(seq_from) AS seq FROM events WHERE turn = ?", [turn])[0]["seq"] or start
    return [event for event in ws.events(start, last) if not kinds or event.kind in kinds]


def _outcome(ws: Workspace, turn: int, start: int) -> Outcome:
    events = _of_turn(ws, turn, start)
    # Other turns' settings may follow the end and bear this turn's number.
    ends = [place for place, event in enumerate(events) if event.kind == "turn_ended"]
    events = events[: ends[-1] + 1] if ends else events
    by_kind = _Kinds(events)
    prompts, last = by_kind["prompt_built"], events[-1]
    faults = ws.rows("SELECT count(*) AS n FROM residency WHERE fault AND seq_from BETWEEN ? AND ?", [start, last.seq])[
        0
    ]["n"]
    return Outcome(
        replies=tuple(event.text for event in by_kind["message_sent"]),
        calls=tuple(
            CallMade(event.name, event.arguments, event.ok, event.value) for event in by_kind["function_returned"]
        ),
        blocks=_block_changes(ws.state(start - 1), ws.state(last.seq)),
        passages=tuple(event.text for event in by_kind["archival_inserted"]),
        steps=sum(prompt.purpose == "turn" for prompt in prompts),
        prompt_tokens=sum(sum(prompt.sections.values()) for prompt in prompts),
        reply_tokens=sum(reply.measured.reply_tokens or 0 for reply in by_kind["model_replied"]),
        flushes=len(by_kind["queue_flushed"]),
        page_faults=faults,
        seconds=(last.at - events[0].at).total_seconds(),
        ended=last.reason if last.kind == "turn_ended" else "",
        errors=tuple(event.error for event in by_kind["fault_recorded"]),
        requests=tuple(prompt.sha256 for prompt in prompts),
    )


class _Kinds:
    """Events by kind."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events

    def __getitem__(self, kind: str) -> list[Any]:
        return [event for event in self._events if event.kind == kind]


def _block_changes(before: State, after: State) -> tuple[BlockChange, ...]:
    labels = dict.fromkeys([*before.blocks, *after.blocks])
    values = [
        BlockChange(
            label,
            before.blocks[label].value if label in before.blocks else None,
            after.blocks[label].value if label in after.blocks else None,
        )
        for label in labels
    ]
    return tuple(change for change in values if change.before != change.after)
