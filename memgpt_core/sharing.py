"""A recording, or a stretch of it, as one HTML file that plays in any browser, from disk, asking nobody for anything.

Puts what the views say of each event (`share_rows`, `share_story`), the events themselves and the parts of the page
in `sharing_page/` into one document. The data is JSON that the page's script only draws, as text. Knows no screen.
"""

import base64
import hashlib
import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any, Protocol

from memgpt_core.errors import MemscopeError
from memgpt_core.events import Event
from memgpt_core.log import Log
from memgpt_core.settings import ENGINE_VERSION
from memgpt_core.state import INITIAL, State, apply, fold
from memgpt_core.views.changes import model_text
from memgpt_core.views.lanes import LANES, SHAPES, Mark
from memgpt_core.views.log_rows import in_words
from memgpt_core.views.palette import HUES
from memgpt_core.views.share_rows import Frame, changes, frame, name_of
from memgpt_core.views.share_story import Search, Shown, Story
from memgpt_core.views.window_items import visible

PAGE = Path(__file__).resolve().parent / "sharing_page"
SCRIPTS = ("data.js", "panes.js", "figures.js", "player.js")
"""The page's script in pieces, in the order they are joined."""

LIMIT_BYTES = 50_000_000
KEYFRAME_EVERY = 200
"""Events between two whole frames: seeking puts at most so many changes on one."""

CHUNK_EVENTS = 500
POOLED_CHARS = 60
"""A text from this length on is kept once, however many rows show it."""

REFERENCE = "\x01"
"""What a reference to a kept text begins with; a text that begins so itself is always kept."""

Redaction = Callable[[Event], Event]
"""Gives the event that may be shared: the same one, or a copy with texts replaced; never another kind or seq."""


Comment = tuple[int, str]
"""A bookmark: the event it is on, and what was said of it (may be empty)."""


class Source(Protocol):
    """What is read of an agent: an open `Workspace`, or a `Recording` on disk."""

    @property
    def last_seq(self) -> int:
        """Seq of the newest event."""

    def state(self, at: int | None = None) -> State:
        """The state after event `at`."""

    def event(self, seq: int) -> Event:
        """One event."""

    def events(self, start: int, stop: int | None = None) -> list[Event]:
        """Events `start` to `stop`, both included."""


class Recording:
    """A log on disk that is only read: no lock, no store, no checkpoint."""

    def __init__(self, path: Path) -> None:
        """Open the log at `path`.

        Raises:
            OSError: there is none.
        """
        self._log = Log.open(path, read_only=True)

    def close(self) -> None:
        """Let go of the file."""
        self._log.close()

    @property
    def last_seq(self) -> int:
        """Seq of the newest event."""
        return self._log.last_seq

    def state(self, at: int | None = None) -> State:
        """The state after event `at`, or the newest."""
        return fold(self._log.events(1, None if at is None else at + 1))

    def event(self, seq: int) -> Event:
        """One event."""
        return self._log.read(seq)

    def events(self, start: int, stop: int | None = None) -> list[Event]:
        """Events `start` to `stop`, both included."""
        return list(self._log.events(start, None if stop is None else stop + 1))


def session_stretch(source: Source, session: int) -> tuple[int, int]:
    """The first and the last event of a session; the first session begins with the agent itself.

    Raises:
        MemscopeError: there is no such session.
    """
    # Sessions only go up along a log, so that a few readings find their ends.
    seqs = range(1, source.last_seq + 1)

    def of(seq: int) -> int:
        return source.event(seq).session

    start = bisect_left(seqs, session, key=of) + 1 if session > 1 else 1
    stop = bisect_right(seqs, session, key=of)
    if session < 1 or stop < start or of(stop) != session:
        last = of(source.last_seq) if source.last_seq else 0
        raise MemscopeError(f"There is no session {session}: this recording has sessions 1 to {last}.")
    return start, stop


def share_html(
    ws: Source,
    start: int = 1,
    stop: int | None = None,
    *,
    redaction: Redaction | None = None,
    bookmarks: Sequence[Comment] = (),
    progress: Callable[[float], None] | None = None,
) -> bytes:
    """Events `start` to `stop` (None: the newest), both included, as one self-contained HTML document.

    With `redaction` everything, what stood in the window before `start` included, is drawn from redacted events; the
    comments of `bookmarks` are taken as they are given. Those of other events are left out.

    Raises:
        MemscopeError: no such stretch, or it makes a file of more than `LIMIT_BYTES`.
    """
    stop = ws.last_seq if stop is None else stop
    if not 1 <= start <= stop <= ws.last_seq:
        raise MemscopeError(
            f"There is no stretch from event {start} to event {stop}: this recording has events 1 to {ws.last_seq}."
        )
    report = progress or (lambda share: None)
    stretch = _Stretch(ws, start, stop, redaction, report)
    stretch.bookmarks = sorted(mark for mark in bookmarks if start <= mark[0] <= stop)
    data = stretch.data()
    made = _document(stretch.name, data, stretch.texts)
    _refuse_over_limit(len(made), start, stop)
    report(1.0)
    return made


class _Stretch:
    """One stretch on its way into a file.

    Attributes:
        name: the agent's at the end of the stretch, once `data` was made.
        bookmarks: those in the stretch, by event.
    """

    def __init__(
        self, source: Source, start: int, stop: int, redaction: Redaction | None, report: Callable[[float], None]
    ) -> None:
        self._source = source
        self._start, self._stop = start, stop
        self._redaction = redaction
        self._report = report
        self.name = ""
        self.bookmarks: list[Comment] = []
        self._redacted = 0
        self._origins: list[str] = []
        self._models: dict[str, None] = {}
        self._names: dict[str, str] = {}
        self._pool = _Pool()
        self._size = 0

    @property
    def texts(self) -> str:
        """The long texts that `data` refers to by their place, as JSON."""
        return _json(self._pool.texts)

    def data(self) -> str:
        """Everything the page draws but the long texts, as JSON."""
        state = self._before()
        earlier = self._earlier(state)
        story, last = Story(), frame(state, self._names)
        events, words, keys, steps = list[str](), list[str](), list[str](), list[str]()
        self._models[model_text(state.settings.model)] = None
        first_at = None
        for event in self._read(self._start, self._stop):
            first_at = first_at or event.at
            story.take(state, event)
            if event.kind in _NAMED:
                self._names[f"m{event.seq}"] = name_of(event)
            state = apply(state, event)
            self._models[model_text(state.settings.model)] = None
            now = frame(state, self._names)
            index = event.seq - self._start
            if index % KEYFRAME_EVERY == 0:
                keys.append(self._json([index, _pairs(now)]))
            steps.append(self._json(changes(last, now) or 0) if index else "0")
            events.append(self._json(_raw(event)))
            words.append(self._json(in_words(event)))
            if event.kind in _ORIGINS:
                self._origins.append(f"Event {event.seq}: {in_words(event)}.")
            last = now
            if not event.seq % CHUNK_EVENTS:
                self._report(0.9 * (event.seq - self._start) / (self._stop - self._start + 1))
                _refuse_over_limit(self._size + self._pool.size, self._start, self._stop)
        self.name = state.name
        rows = [
            *(f'"{name}":[{",".join(parts)}]' for name, parts in _named(events, words, keys, steps)),
            f'"earlier":{self._json(earlier)}',
            f'"bubbles":{self._json([_bubble(row) for row in story.bubbles()])}',
            f'"marks":{self._json([_mark(row) for row in story.marks])}',
            f'"searches":{self._json([_search(row) for row in story.searches])}',
            f'"edits":{self._json([[edit.seq, edit.block, edit.pieces] for edit in story.edits])}',
            f'"stops":{self._json({**story.stops, "bookmark": sorted({seq for seq, _ in self.bookmarks})})}',
            f'"bookmarks":{self._json(self.bookmarks)}',
            f'"about":{self._json(self._about(state, len(earlier)))}',
            f'"drawing":{self._json(_DRAWING)}',
        ]
        return "{" + ",".join(rows) + "}"

    def _about(self, state: State, earlier: int) -> dict[str, Any]:
        return {
            "agent": state.name,
            "about": state.about,
            "id": state.agent_id,
            "models": list(self._models),
            "start": self._start,
            "stop": self._stop,
            "last": self._source.last_seq,
            "earlier": earlier,
            "origins": self._origins,
            "redaction": self._redaction is not None,
            "redacted": self._redacted,
            "recorded_by": state.engine_version,
            "made_by": ENGINE_VERSION,
        }

    def _before(self) -> State:
        if self._redaction is None:
            return self._source.state(self._start - 1) if self._start > 1 else INITIAL
        # A state that was folded from the events as they are would carry their texts past the redaction.
        state = fold(self._read(1, self._start - 1)) if self._start > 1 else INITIAL
        self._redacted = 0
        return state

    def _earlier(self, state: State) -> list[list[Any]]:
        """What stands in the window at the start, as the events that wrote it: pairs of seq and event."""
        wanted = {state.instructions_seq, *(block.seq for block in state.blocks.values())}
        wanted |= {state.summary.seq} if state.summary else set()
        for entry in state.queue:
            wanted |= {entry.text_seq, int(entry.id[1:])}
        found = {seq: self._redact(self._source.event(seq)) for seq in sorted(wanted - {0})}
        self._names |= {entry.id: name_of(found[int(entry.id[1:])]) for entry in state.queue}
        return [[seq, _raw(event)] for seq, event in found.items()]

    def _read(self, start: int, stop: int) -> Iterator[Event]:
        for first in range(start, stop + 1, CHUNK_EVENTS):
            for event in self._source.events(first, min(stop, first + CHUNK_EVENTS - 1)):
                yield self._redact(event)

    def _redact(self, event: Event) -> Event:
        if self._redaction is None:
            return event
        shared = self._redaction(event)
        # A request has no text, only the digest that a redaction takes away from each.
        self._redacted += shared != event and event.kind != "prompt_built"
        return shared

    def _json(self, value: Any) -> str:
        made = _json(self._pool.keep(value))
        self._size += len(made)
        return made


class _Pool:
    """Texts kept once: a row carries a reference to a long one."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.size = 0
        self._places: dict[str, int] = {}

    def keep(self, value: Any) -> Any:
        """The value with its long texts as references."""
        if isinstance(value, str):
            return self._kept(value) if len(value) >= POOLED_CHARS or value.startswith(REFERENCE) else value
        if isinstance(value, dict):
            return {key: self.keep(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.keep(item) for item in value]
        return value

    def _kept(self, text: str) -> str:
        place = self._places.setdefault(text, len(self.texts))
        if place == len(self.texts):
            self.texts.append(text)
            self.size += len(text)
        return f"{REFERENCE}{place}"


_ORIGINS = ("run_forked", "history_imported")
"""The kinds of event that say that something before them was not recorded by this agent."""

_NAMED = ("trigger_received", "model_replied", "function_returned", "pressure_warned", "hits_placed")
_DRAWING = {
    "hues": {key: [hue.label, hue.mark, hue.pattern, hue.says] for key, hue in HUES.items()},
    "lanes": [[lane.key, lane.label] for lane in LANES],
    "shapes": list(SHAPES.items()),
}


def _named(*lists: list[str]) -> Iterator[tuple[str, list[str]]]:
    return zip(("events", "words", "keys", "steps"), lists, strict=True)


def _raw(event: Event) -> dict[str, Any]:
    return event.model_dump(mode="json", exclude_none=True)


def _pairs(whole: Frame) -> dict[str, list[list[Any]]]:
    """Tables as pairs: an object in a browser sorts keys that look like numbers."""
    return {name: [[key, row] for key, row in table.items()] for name, table in whole.items()}


def _bubble(row: Shown) -> list[Any]:
    bubble = row.bubble
    fields = bubble._asdict() | {"at": bubble.at.isoformat()}
    return [row.since, row.until, {name: value for name, value in fields.items() if value}]


def _mark(mark: Mark) -> list[Any]:
    return [mark.seq, mark.lane, mark.shape, mark.says, mark.by_hand, mark.items]


def _search(search: Search) -> dict[str, Any]:
    return search._asdict()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# --- the document -------------------------------------------------------------------------------------------------


def _document(name: str, data: str, texts: str) -> bytes:
    script = "\n".join((PAGE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    style = (PAGE / "page.css").read_text(encoding="utf-8") + _hues()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    page = (PAGE / "page.html").read_text(encoding="utf-8")
    parts = {
        "policy": policy,
        "title": escape(visible(name)),
        "style": style,
        "texts": _inert(texts),
        "data": _inert(data),
        "script": script,
    }
    head, *pieces = page.split("<!--")
    made = [head]
    for piece in pieces:
        marker, _, rest = piece.partition("-->")
        made += [parts[marker], rest]
    # Half of a surrogate pair has no UTF-8; as an escape it is still JSON.
    return "".join(made).encode("utf-8", "backslashreplace")


def _inert(data: str) -> str:
    """JSON that nothing in an HTML document takes for anything else."""
    return data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _hues() -> str:
    light = "".join(f".t-{key}{{--hue:{hue.light}}}" for key, hue in HUES.items())
    dark = "".join(f".t-{key}{{--hue:{hue.dark}}}" for key, hue in HUES.items())
    return f"{light}@media (prefers-color-scheme:dark){{{dark}}}"


def _refuse_over_limit(size_bytes: int, start: int, stop: int) -> None:
    if size_bytes > LIMIT_BYTES:
        raise MemscopeError(
            f"Events {start} to {stop} make a file of more than {LIMIT_BYTES / 1e6:,.0f} MB, too much for a browser. "
            "Choose a shorter stretch, such as one session."
        )
