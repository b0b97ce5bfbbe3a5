"""Bundles: one agent in one file, lossless, for another machine to take in and verify; or redacted, to show around.

A bundle holds the log from event 1 up to one event, the vectors of its texts, its bookmarks and the documents it names.
Rows, index and checkpoints are not in it: they are made from the log, so that nobody need trust them. What was learned
of a model stays at home as well: it is about that machine.

Knows the two doors, an open agent to export from and a home to import into. What is done with a bundle that comes in is
`arrival`'s to know.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from memgpt_core import folders
from memgpt_core.errors import EditRefused, LogCorrupt, MemscopeError
from memgpt_core.events import Event, decode, encode
from memgpt_core.home import Home
from memgpt_core.interchange.arrival import CHUNK_BYTES, Arrival, checked, first_line
from memgpt_core.interchange.manifest import DOCUMENTS, FORMAT, LOG, NOTES, VERSION, Agent, Manifest, Replaced, Vectors
from memgpt_core.interchange.redact import Redacted, Redaction, Redactor
from memgpt_core.interchange.sealed import SealedWriter, Stop, never, reading, writing
from memgpt_core.opening import OpenLog
from memgpt_core.project import Change, project
from memgpt_core.similarity import INDEXED
from memgpt_core.state import INITIAL, State, apply
from memgpt_core.stores.vectors import VectorStore, text_hash
from memgpt_core.workspace import Workspace

SUFFIX = ".memscope"

VECTORS_AT_ONCE = 4096
LOG_SHARE = 0.7
"""How much of an export is done when the log is in it; the rest is its vectors."""

Progress = Callable[[float], None]
"""Told which share of the work is done, 0 to 1."""

_DIGEST = re.compile(rb'"([0-9a-f]{64})"')


class Exported(NamedTuple):
    """What an export wrote.

    Attributes:
        redacted: what was replaced, by pattern; None for a lossless bundle.
        documents_left_out: how many documents the log names that a redacted bundle does not carry.
    """

    path: Path
    events: int
    vectors: int
    size_bytes: int
    redacted: tuple[Redacted, ...] | None
    documents_left_out: int

    def notes(self) -> list[str]:
        """What a person must know of a redacted bundle, a sentence each; nothing of a lossless one."""
        if self.redacted is None:
            return []
        said = [f"{one.name}: replaced {one.replacements:,} times, in {one.events:,} events." for one in self.redacted]
        said.append(
            "The digests of past requests are left out, so that nothing can be guessed from them: each request will be "
            "shown as rebuilt by another version, and a rerun differs. Vectors of changed texts are left out, too."
        )
        said.append(
            "Only what the patterns find is gone. The same thing said in other words stays: read the bundle before you "
            "pass it on."
        )
        if self.documents_left_out:
            said.append(f"{self.documents_left_out:,} documents are left out: nobody looked for anything in them.")
        return said


class AlreadyHere(MemscopeError):
    """The home has this recording already; nothing was added.

    Attributes:
        agent_id: the agent that holds it.
    """

    def __init__(self, sentence: str, agent_id: str) -> None:
        super().__init__(sentence)
        self.agent_id = agent_id


def export_bundle(
    ws: Workspace,
    out_path: Path,
    progress: Progress | None = None,
    redaction: Redaction | None = None,
    *,
    at: int | None = None,
    stop: Stop = never,
) -> Exported:
    """Write an agent's life up to event `at` (None: to the last that is committed) into one file.

    It always begins at event 1: what comes later in a log means nothing without what was before. A turn may run
    meanwhile; what it adds stays out. A bundle that was at `out_path` is replaced when the new one is whole.

    Raises:
        EditRefused: there is no event `at`.
        LogCorrupt: a line of the log cannot be read.
        RedactionRefused: see `redact`.
        MemscopeError: the file could not be written, or was stopped.
    """
    at = ws.last_seq if at is None else at
    if not 1 <= at <= ws.last_seq:
        raise EditRefused(f"There is no event {at} to export up to: the log has events 1 to {ws.last_seq}.")
    told = progress or (lambda _share: None)
    log, size_bytes = ws.folder / LOG, sum(ws.line_of(at))
    with writing(out_path, stop) as sealed:
        if redaction is None:
            redactor = None
            _write_log(sealed, log, size_bytes, lambda share: told(LOG_SHARE * share))
            state, hashes = ws.state(at), _hashes(ws, at)
        else:
            redactor = Redactor(redaction, (event for part in _stretches(log, size_bytes) for event in part.events))
            state, hashes = _write_redacted(sealed, log, size_bytes, redactor, lambda share: told(LOG_SHARE * share))
        if (ws.folder / NOTES).is_file():
            _write_notes(sealed, ws.folder / NOTES, at, redactor)
        vectors = _write_vectors(
            sealed, ws.projections.vectors, hashes, lambda share: told(LOG_SHARE + (1 - LOG_SHARE) * share)
        )
        named = _documents(ws.documents.cold.folder, log, size_bytes)
        if not redactor:
            _write_documents(sealed, named)
        report = redactor.report() if redactor else None
        sealed.manifest(_manifest(state, sealed, vectors, report))
    told(1.0)
    count = sum(part.count for part in vectors)
    left_out = len(named) if redactor else 0
    return Exported(out_path, at, count, out_path.stat().st_size, report, left_out)


def import_bundle(home: Home, path: Path, progress: Progress | None = None, *, stop: Stop = never) -> str:
    """Make an agent of a bundle, its log byte for byte; the id it has here.

    The id is the agent's own if it is free, else one with a number behind it; the log is the same either way.

    Raises:
        AlreadyHere: an agent of this home holds this recording.
        BundleRefused: the file is no bundle, damaged, from a newer Memscope or against the rules; nothing was changed.
        MemscopeError: there is no room, or it was stopped; nothing was changed.
    """
    with reading(path, stop) as sealed:
        manifest = checked(sealed)
        if (held := _holder(home, first_line(sealed, manifest), manifest)) is not None:
            raise held
        arrival = Arrival(sealed, manifest, home.path, progress or (lambda _share: None))
        return home.adopt(manifest.agent.id, arrival.fill, progress)


def _manifest(
    state: State, sealed: SealedWriter, vectors: Sequence[Vectors], report: Sequence[Redacted] | None
) -> Manifest:
    return Manifest(
        format=FORMAT,
        version=VERSION,
        agent=Agent(id=state.agent_id, name=state.name, about=state.about, model=state.settings.model),
        engine_version=state.engine_version,
        events=state.seq,
        members=tuple(sealed.members),
        vectors=tuple(vectors),
        redacted=None if report is None else tuple(Replaced(**one._asdict()) for one in report),
    )


# --- the log -----------------------------------------------------------------------------------------------------


class _Stretch(NamedTuple):
    """Some lines of a log as bytes and as events, and which share of the whole ends with them."""

    lines: bytes
    events: list[Event]
    share: float


def _stretches(log: Path, size_bytes: int) -> Iterator[_Stretch]:
    """The first `size_bytes` of a log. Each line is decoded: nobody should carry a log away that cannot be read."""
    rest, seq, read = b"", 0, 0
    with log.open("rb") as file:
        while chunk := file.read(min(CHUNK_BYTES, size_bytes - read)):
            read += len(chunk)
            whole, newline, rest = (rest + chunk).rpartition(b"\n")
            events = []
            for line in whole.split(b"\n") if newline else ():
                seq += 1
                try:
                    events.append(decode(line))
                except ValueError as error:
                    raise LogCorrupt(seq, str(error)) from None
            yield _Stretch(whole + newline, events, read / size_bytes)


def _write_log(sealed: SealedWriter, log: Path, size_bytes: int, told: Progress) -> None:
    with sealed.member(LOG) as out:
        for stretch in _stretches(log, size_bytes):
            out.write(stretch.lines)
            told(stretch.share)


def _write_redacted(
    sealed: SealedWriter, log: Path, size_bytes: int, redactor: Redactor, told: Progress
) -> tuple[State, list[str]]:
    """Write the redacted lines; (the state they fold to, hashes of the texts in them)."""
    state, seen = INITIAL, dict[str, None]()
    with sealed.member(LOG) as out:
        for stretch in _stretches(log, size_bytes):
            lines = []
            for original in stretch.events:
                event = redactor.event(original)
                seen.update(dict.fromkeys(text_hash(text) for text in _texts(project(state, event))))
                state = apply(state, event)
                lines.append(encode(event).encode() + b"\n")
            out.write(b"".join(lines))
            told(stretch.share)
    return state, list(seen)


def _texts(changes: Iterable[Change]) -> Iterator[str]:
    for change in changes:
        row: Any = getattr(change, "row", None) or getattr(change, "changes", {})
        if change.table in INDEXED and row.get("text"):
            yield row["text"]


# --- what goes with it --------------------------------------------------------------------------------------------


def _write_notes(sealed: SealedWriter, notes: Path, at: int, redactor: Redactor | None) -> None:
    """The bookmarks on events up to `at`."""
    there: set[Any] = set()
    with sealed.member(NOTES) as out:
        for line in notes.read_bytes().split(b"\n"):
            try:
                raw = json.loads(line)
                if raw.get("seq", 0) > at or ("seq" not in raw and raw["id"] not in there):
                    continue
                there.add(raw["id"])
            except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
                # A torn line, which changes nothing for whoever reads the bookmarks either.
                continue
            kept = line if redactor is None else json.dumps(redactor.note(raw), ensure_ascii=False).encode()
            out.write(kept + b"\n")


def _hashes(ws: Workspace, at: int) -> list[str]:
    """Hashes of every text up to event `at` that is found by similarity, past versions too."""
    parts = [
        f"SELECT sha256(text) AS hash FROM {table} WHERE {which} AND seq_from <= ?" for table, which in INDEXED.items()
    ]
    return [row["hash"] for row in ws.rows(" UNION ".join(parts), [at] * len(parts))]


def _write_vectors(sealed: SealedWriter, store: VectorStore, hashes: Sequence[str], told: Progress) -> list[Vectors]:
    """Every vector the home has of these texts, a member for each model and dimension."""
    by_space: dict[tuple[str, int], list[str]] = {}
    for hash, spaces in sorted(store.spaces(hashes).items()):
        for space in spaces:
            by_space.setdefault(space, []).append(hash)
    written: list[Vectors] = []
    for (model, dim), known in sorted(by_space.items()):
        name, count = f"vectors/{len(written)}.f32", 0
        with sealed.member(name, shrinks=False) as out:
            for first in range(0, len(known), VECTORS_AT_ONCE):
                found = store.get(model, dim, known[first : first + VECTORS_AT_ONCE])
                out.write(b"".join(bytes.fromhex(hash) + found[hash].tobytes() for hash in sorted(found)))
                count += len(found)
                told(min(1.0, (first + VECTORS_AT_ONCE) / len(known)))
        if count:
            written.append(Vectors(member=name, model=model, dim=dim, count=count))
    return written


def _documents(cold: Path, log: Path, size_bytes: int) -> dict[Path, list[Path]]:
    """By folder of cold storage whose sha256 stands in the log as a value, the files in it that the log names."""
    there = {folder.name: folder for folder in cold.iterdir() if folder.is_dir()} if cold.is_dir() else {}
    named: set[str] = set()
    for stretch in _stretches(log, size_bytes) if there else ():
        named |= {digest.decode() for digest in _DIGEST.findall(stretch.lines)}
    return {
        there[name]: sorted(path for path in there[name].iterdir() if path.stem == "raw" or path.stem in named)
        for name in sorted(named & there.keys())
    }


def _write_documents(sealed: SealedWriter, named: Mapping[Path, Iterable[Path]]) -> None:
    for folder, paths in named.items():
        for path in paths:
            with sealed.member(f"{DOCUMENTS}{folder.name}/{path.name}") as out, path.open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    out.write(chunk)


# --- the same bundle twice ----------------------------------------------------------------------------------------


def _holder(home: Home, first: bytes, manifest: Manifest) -> AlreadyHere | None:
    """Who holds this recording: whose log begins with it, and who is no fork since."""
    log = manifest.log
    for card in home.agents(archived=True):
        folder = home.path / "agents" / card.id
        if folders.is_temporary(folder) or not _begins_with(folder / "run.jsonl", first, log.size_bytes, log.sha256):
            continue
        opened = OpenLog(folder, read_only=True)
        opened.log.close()
        if opened.state.agent_id == manifest.agent.id:
            more = f" and {card.events - manifest.events:,} more" if card.events > manifest.events else ""
            return AlreadyHere(
                f"This recording is here already: agent '{card.name}' ({card.id}) holds its {manifest.events:,} "
                f"events{more}. Nothing was added.",
                card.id,
            )
    return None


def _begins_with(log: Path, first: bytes, size_bytes: int, digest: str) -> bool:
    found = sha256()
    with log.open("rb") as file:
        # The first line tells nearly all logs apart, for a hundredth of the time.
        if file.read(len(first)) != first:
            return False
        file.seek(0)
        while size_bytes and (chunk := file.read(min(CHUNK_BYTES, size_bytes))):
            size_bytes -= len(chunk)
            found.update(chunk)
    return not size_bytes and found.hexdigest() == digest
