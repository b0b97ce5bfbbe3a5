"""What only grows in a shared recording: conversation, paging marks, searches, edits, and the places to jump to.

Takes the events of the stretch in order, each with the state it was committed on. Every row says from which event
on it is shown and up to which, so that the view of any event is a matter of looking, never of adding up.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from memgpt_core.events import Event, queues_message
from memgpt_core.project import Insert, project
from memgpt_core.prompt import spoken
from memgpt_core.state import State
from memgpt_core.views.blocks import TEXT_KINDS, text_of
from memgpt_core.views.lanes import KINDS, NOTE_READERS, Mark, mark
from memgpt_core.views.paging import excerpt
from memgpt_core.views.transcript import Bubble, transcript
from memgpt_core.views.worddiff import Piece, word_diff

STOPS = ("step", "turn", "session", "flush", "fault", "edit", "error")
"""What one can jump to, each a list of events.

`fault` is a page fault, `error` a failure of the machine, a cut prompt or a failed call; `edit` is a change of a
block, message or passage after the agent was made.
"""

_CORRECTIONS = ("message_edited", "message_deleted", "message_restored")
_EDITS = ("working_context_edited", "block_defined", "block_renamed", "block_deleted", "archival_edited", *_CORRECTIONS)


class Shown(NamedTuple):
    """A bubble as it is shown after the events from `since` on and before `until` (0: to the end)."""

    since: int
    until: int
    bubble: Bubble


class Found(NamedTuple):
    """A hit of a search; `excerpt` is empty when its text is older than the stretch."""

    id: str
    score: float
    words_rank: int | None
    vector_rank: int | None
    excerpt: str


class Search(NamedTuple):
    """A search and the page of hits the agent got."""

    seq: int
    tier: str
    query: str
    narrowed: str
    mode: str
    page: int
    total: int
    hits: tuple[Found, ...]


class Edit(NamedTuple):
    """What an event changed in a block's text."""

    seq: int
    block: str
    pieces: tuple[Piece, ...]


class Story:
    """The growing rows of a stretch, event by event."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self.searches: list[Search] = []
        self.edits: list[Edit] = []
        self.stops: dict[str, list[int]] = {name: [] for name in STOPS}
        self._bubbles: list[Bubble] = []
        self._turn: list[Event] = []
        self._corrected: dict[str, list[Any]] = {}
        self._excerpts: dict[str, str] = {}

    def take(self, before: State, event: Event) -> None:
        """Add what `event`, committed on `before`, adds."""
        self._say(event)
        self._remember(event)
        rows = [change for change in project(before, event) if isinstance(change, Insert)]
        came = [one.row for one in rows if one.table == "residency" and one.row["how"] != "slot"]
        self._mark(event, rows[0].row, came)
        self._stop(before, event, any(row["fault"] for row in came))
        if event.kind in TEXT_KINDS:
            self._edit(before, event)
        elif event.kind in ("recall_searched", "archival_searched"):
            self.searches.append(self._search(event))

    def bubbles(self) -> list[Shown]:
        """The conversation, each bubble in every form it had, oldest first."""
        self._end_turn()
        found: list[Shown] = []
        for bubble in sorted(self._bubbles, key=lambda bubble: bubble.seq):
            later = self._corrected.get(bubble.message, ()) if bubble.message else ()
            forms = [(bubble.seq, bubble)]
            for event in later:
                # A correction made before the bubble was drawn holds from its beginning.
                forms.append((max(bubble.seq, event.seq), _as_corrected(bubble, event)))
            ends = [since for since, _ in forms[1:]] + [0]
            found += [
                Shown(since, until, form)
                for (since, form), until in zip(forms, ends, strict=True)
                if until == 0 or until > since
            ]
        return found

    def _say(self, event: Any) -> None:
        by_hand = event.kind in _CORRECTIONS and getattr(event, "author", "") == "human"
        if by_hand:
            # Apart from its turn, because in the transcript of the turn it would change what was said before it.
            self._corrected.setdefault(event.message, []).append(event)
            self._bubbles += transcript([event])
            return
        if self._turn and self._turn[-1].turn != event.turn:
            self._end_turn()
        self._turn.append(event)

    def _end_turn(self) -> None:
        self._bubbles += transcript(self._turn)
        self._turn = []

    def _remember(self, event: Any) -> None:
        if queues_message(event):
            self._excerpts[f"m{event.seq}"] = excerpt({"text": spoken(event)})
        elif event.kind == "archival_inserted":
            self._excerpts[f"p{event.seq}"] = excerpt({"text": event.text})
        elif event.kind == "message_edited":
            self._excerpts[event.message] = excerpt({"text": event.text})
        elif event.kind in ("archival_edited", "archival_restored") and event.text is not None:
            self._excerpts[event.passage] = excerpt({"text": event.text})

    def _mark(self, event: Any, row: dict[str, Any], came: list[dict[str, Any]]) -> None:
        told = {**row, "seq": event.seq, "last": event.seq, "items": (), "faults": 0}
        if event.kind in KINDS:
            self.marks.append(mark(told))
        if event.kind == "function_returned" and event.ok and event.name in NOTE_READERS:
            self.marks.append(mark({**told, "kind": "note_read", "about": ""}))
        if came:
            faults = sum(bool(one["fault"]) for one in came)
            items = tuple(one["item"] for one in came)
            about = event.kind if event.kind == "hits_placed" else ""
            self.marks.append(mark({**told, "kind": "page_in", "about": about, "items": items, "faults": faults}))

    def _stop(self, before: State, event: Any, fault: bool) -> None:
        stops = self.stops
        if event.session != before.session:
            stops["session"].append(event.seq)
        if event.turn != before.turn:
            stops["turn"].append(event.seq)
        if event.kind == "prompt_built" and event.purpose == "turn":
            stops["step"].append(event.seq)
        if event.kind == "queue_flushed":
            stops["flush"].append(event.seq)
        if fault:
            stops["fault"].append(event.seq)
        if event.kind in _EDITS and (event.turn or event.kind != "block_defined"):
            stops["edit"].append(event.seq)
        failed = event.kind == "function_returned" and not event.ok
        if failed or event.kind in ("fault_recorded", "truncation_suspected"):
            stops["error"].append(event.seq)

    def _edit(self, before: State, event: Any) -> None:
        block, after = before.blocks.get(event.block), text_of(event)
        if block is not None and block.value != after:
            self.edits.append(Edit(event.seq, event.block, tuple(word_diff(block.value, after))))

    def _search(self, event: Any) -> Search:
        recall = event.kind == "recall_searched"
        days = " to ".join(day for day in (event.start, event.end) if day)
        return Search(
            seq=event.seq,
            tier="recall" if recall else "archival",
            query=event.query,
            narrowed="; ".join(part for part in (", ".join(event.roles if recall else event.tags), days) if part),
            mode=event.mode,
            page=event.page,
            total=event.measured.total or 0,
            hits=tuple(
                Found(hit.id, hit.score, hit.words_rank, hit.vector_rank, self._excerpts.get(hit.id, ""))
                for hit in event.measured.hits or ()
            ),
        )


def _as_corrected(bubble: Bubble, event: Any) -> Bubble:
    if event.kind == "message_edited":
        return bubble._replace(text=event.text, changed="edited")
    return bubble._replace(changed="deleted" if event.kind == "message_deleted" else "")


def standing(rows: Iterable[Shown], seq: int) -> list[Bubble]:
    """The bubbles that are shown after event `seq`."""
    return [row.bubble for row in rows if row.since <= seq and (row.until == 0 or seq < row.until)]
