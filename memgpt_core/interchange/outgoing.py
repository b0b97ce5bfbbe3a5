"""Any file an agent can go out as: which there are, and one call that makes one of them.

Stands with the screens, because a shared recording is drawn. Knows the exporters; decides nothing of what they write.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from memgpt_core import folders
from memgpt_core.errors import EditRefused, MemscopeError
from memgpt_core.events import Event
from memgpt_core.home import Home
from memgpt_core.home import exporting as export_of
from memgpt_core.interchange import bundle, exporting, letta
from memgpt_core.interchange.redact import Redacted, Redaction, Redactor
from memgpt_core.jobs import Stop, Told, stoppable
from memgpt_core.sharing import session_stretch, share_html
from memgpt_core.workspace import Workspace

Format = Literal["bundle", "html", "letta", "openai", "sharegpt"]

READ_AT_ONCE = 2_000


class Kind(NamedTuple):
    """One kind of file.

    Attributes:
        ending: of its name.
        says: what it is for, in a sentence.
        stretch: it can hold a stretch of the log that begins later than at event 1.
        upto: it can end before the newest event.
        redacts: texts can be replaced in it.
    """

    name: str
    ending: str
    mime: str
    says: str
    stretch: bool = False
    upto: bool = False
    redacts: bool = False


KINDS: dict[Format, Kind] = {
    "bundle": Kind(
        "Bundle",
        bundle.SUFFIX,
        "application/zip",
        "Everything: log, vectors, bookmarks, documents. Another Memscope takes it in and goes on from it; nothing is "
        "lost on the way.",
        upto=True,
        redacts=True,
    ),
    "html": Kind(
        "HTML page",
        ".html",
        "text/html",
        "One page that plays the recording in any browser, opened from disk: no server, no request to anywhere.",
        stretch=True,
        upto=True,
        redacts=True,
    ),
    "letta": Kind(
        "Letta .af",
        ".af",
        "application/json",
        "Version 2, as Letta reads it: memory blocks, messages, tools. What does not fit is listed.",
    ),
    "openai": Kind(
        "OpenAI JSONL",
        ".jsonl",
        "application/jsonl",
        "What was said and which functions were called, a session a line, as chat models are trained on.",
    ),
    "sharegpt": Kind(
        "ShareGPT",
        ".sharegpt.jsonl",
        "application/jsonl",
        "The same for tools that want people and replies to alternate.",
    ),
}
"""Every kind there is."""


class Wanted(NamedTuple):
    """What is to go out.

    Attributes:
        start, at: first and last event; None for the newest.
        session: this session alone, whatever `start` and `at` say.
        redaction: what is to be replaced in it.
    """

    format: Format
    start: int = 1
    at: int | None = None
    session: int | None = None
    redaction: Redaction | None = None


class Made(NamedTuple):
    """A file that was made.

    Attributes:
        holds: what is in it, in a few words.
        notes: what a person must know of it: what does not fit, what was changed; a sentence each.
        redacted: what was replaced, by pattern; None when nothing was asked for.
    """

    path: Path
    size_bytes: int
    holds: str
    notes: tuple[str, ...] = ()
    redacted: tuple[Redacted, ...] | None = None


def file_name(ws: Workspace, format: Format) -> str:
    """What the file is called unless somebody says otherwise."""
    return f"{folders.slug(ws.state().name)}{KINDS[format].ending}"


def labels(ws: Workspace) -> list[str]:
    """Every label a core memory block of the agent ever had: what can be redacted."""
    kinds = "('block_defined', 'block_renamed')"
    rows = ws.rows(f"SELECT DISTINCT seq_from FROM events WHERE kind IN {kinds} ORDER BY seq_from")
    defined: list[Any] = [ws.event(row["seq_from"]) for row in rows]
    return list(dict.fromkeys(getattr(event, "to", event.block) for event in defined))


def make(ws: Workspace, wanted: Wanted, out: Path, told: Told, stop: Stop) -> Made:
    """Write the file, whole or not at all.

    Raises:
        EditRefused: it cannot be of this stretch, or cannot be redacted, or there is something of that name.
        Interrupted, Stopped: somebody stopped it; nothing of it is left.
        MemscopeError: whatever its exporter refuses.
        OSError: it cannot be written.
    """
    kind = KINDS[wanted.format]
    if out.exists():
        raise EditRefused(f"There is a file {out} already. Give another name, or take it away first.")
    if wanted.redaction is not None and not kind.redacts:
        raise EditRefused(
            f"A file of the kind {kind.name} cannot be redacted. Export a redacted bundle, import it, and export that."
        )
    if (wanted.start > 1 or wanted.session is not None) and not kind.stretch:
        raise EditRefused(f"A file of the kind {kind.name} begins at event 1.")
    if wanted.at is not None and not kind.upto:
        raise EditRefused(f"A file of the kind {kind.name} is of the agent as it is now.")
    return _MAKERS[wanted.format](ws, wanted, out, told, stop)


def begin(home: Home, ws: Workspace, wanted: Wanted) -> None:
    """Make the file in the background, under `home.exporting(ws.agent_id)`; its outcome is a `Made`.

    It waits in the home until it is removed, another takes its place, or Memscope is closed.

    Raises:
        AgentBusy: another export of the agent is not done.
    """
    folder = home.path / folders.EXPORTS / ws.agent_id

    def work(told: Told, stop: Stop) -> Made:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return make(ws, wanted, folder / file_name(ws, wanted.format), told, stop)

    home.jobs.start(export_of(ws.agent_id), f"the export of {ws.state().name}", work)


def remove(home: Home, agent_id: str) -> None:
    """Remove the file that was made of an agent in the background."""
    if not home.jobs.busy(export_of(agent_id)):
        home.jobs.forget(export_of(agent_id))
        shutil.rmtree(home.path / folders.EXPORTS / agent_id, ignore_errors=True)


# --- each kind ----------------------------------------------------------------------------------------------------


def _bundle(ws: Workspace, wanted: Wanted, out: Path, told: Told, stop: Stop) -> Made:
    made = bundle.export_bundle(ws, out, told, wanted.redaction, at=wanted.at, stop=stop)
    holds = f"{made.events:,} events and {made.vectors:,} vectors"
    # The report says first what was replaced, a line a pattern; that is told apart here.
    notes = tuple(made.notes()[len(made.redacted or ()) :])
    return Made(out, made.size_bytes, holds, notes, made.redacted)


def _html(ws: Workspace, wanted: Wanted, out: Path, told: Told, stop: Stop) -> Made:
    start, last = wanted.start, wanted.at
    if wanted.session is not None:
        start, last = session_stretch(ws, wanted.session)
    last = ws.last_seq if last is None else last
    redactor = Redactor(wanted.redaction, _events(ws, last)) if wanted.redaction else None
    said = redactor.text if redactor else str
    page = share_html(
        ws,
        start,
        last,
        redaction=redactor.event if redactor else None,
        bookmarks=[(mark.seq, said(mark.text)) for mark in ws.bookmarks.all()],
        progress=stoppable(told, stop),
    )
    _write(out, page)
    holds = f"events {start:,} to {last:,}, to be played in any browser,"
    if redactor is None:
        return Made(out, len(page), holds)
    notes = ("Only what the patterns find is gone: look at the page before you pass it on.",)
    return Made(out, len(page), holds, notes, redactor.report())


def _letta(ws: Workspace, wanted: Wanted, out: Path, told: Told, stop: Stop) -> Made:
    lost = letta.write_agent_file(ws, out)
    holds = f"{len(ws.state().blocks):,} memory blocks and the messages, as Letta 0.16.8 reads them,"
    return Made(out, out.stat().st_size, holds, tuple(lost))


def _conversation(ws: Workspace, wanted: Wanted, out: Path, told: Told, stop: Stop) -> Made:
    format: exporting.ExportFormat = "openai" if wanted.format == "openai" else "sharegpt"
    made = exporting.export_conversation(ws, out, format, stoppable(told, stop))
    notes = [
        sentence
        for count, sentence in (
            (made.merged, f"{made.merged:,} messages are joined with the one before: two of one side may not follow."),
            (made.split, f"{made.split:,} replies are several entries: the text and each call apart."),
            (made.filled, f"In {made.filled:,} places somebody had to speak and nobody did: a line says so."),
        )
        if count
    ]
    holds = f"{made.messages:,} messages in {made.sessions:,} sessions"
    return Made(out, out.stat().st_size, holds, tuple(notes))


_MAKERS: dict[Format, Callable[[Workspace, Wanted, Path, Told, Stop], Made]] = {
    "bundle": _bundle,
    "html": _html,
    "letta": _letta,
    "openai": _conversation,
    "sharegpt": _conversation,
}


def _events(ws: Workspace, last: int) -> Iterator[Event]:
    for first in range(1, last + 1, READ_AT_ONCE):
        yield from ws.events(first, min(last, first + READ_AT_ONCE - 1))


def _write(out: Path, data: bytes) -> None:
    part = out.with_name(f"{out.name}.part")
    try:
        part.write_bytes(data)
        part.replace(out)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise MemscopeError(f"{out.name} could not be written ({error.strerror or error}).") from error
