"""A bundle that comes in: each line decoded, folded and put into rows, each vector looked at, before anybody sees it.

Fills the folder of an agent that is not revealed yet and gives the home the vectors and documents only when all else
was found in order. What is wrong is a sentence with the member and the line. Does not know how the folder is revealed.
"""

import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from pydantic_core import from_json

from memgpt_core import checkpoints, folders
from memgpt_core.events import Event, decode
from memgpt_core.following import CATCH_UP_EVENTS
from memgpt_core.interchange.manifest import (
    DOCUMENTS,
    FORMAT,
    LOG,
    NOTES,
    VERSION,
    Manifest,
    Vectors,
)
from memgpt_core.interchange.sealed import BundleRefused, Member, SealedReader, refusal
from memgpt_core.project import Change, project
from memgpt_core.state import INITIAL, State, apply
from memgpt_core.stores.documents import ColdStorage, digest_of
from memgpt_core.stores.recall import RecallStore
from memgpt_core.stores.vectors import VectorStore

CHUNK_BYTES = 2**20

LINE_BYTES = 2**26
"""A line longer than this is no event: the largest hold one upload's passage or one reply."""

NOTES_BYTES = 2**26
VECTORS_BYTES = 2**23
"""Vectors the home is given at a time: each time is a transaction and a sync."""

ROOM_TIMES = 4
"""An agent takes up to this many times the room of its log: rows, search index, checkpoints."""

UNIT_TOLERANCE = 1e-3

LOG_SHARE = 0.85
"""How much of an import is done when the log and its rows are there; the rest is vectors."""

_DOCUMENT = re.compile(rf"{DOCUMENTS}([0-9a-f]{{64}})/([A-Za-z0-9_-][A-Za-z0-9_.-]*)")
_MEANINGLESS = (LookupError, ValueError, TypeError, AttributeError, ArithmeticError)
"""What folding lines raises that fit their kinds and still tell no story: an edit of a block that never was."""


def checked(sealed: SealedReader) -> Manifest:
    """The manifest, whose members are exactly those of the file.

    Raises:
        BundleRefused: it is of a newer version, or does not fit.
    """
    name, raw = sealed.path.name, sealed.manifest
    if raw.get("format") != FORMAT:
        raise BundleRefused(f"{name} is no Memscope bundle: its manifest does not say so.")
    version = raw.get("version")
    if isinstance(version, int) and version > VERSION:
        raise BundleRefused(
            f"{name} was made by a newer Memscope (bundle version {version}; this one reads up to {VERSION}). Update "
            "Memscope, then import it again."
        )
    try:
        manifest = Manifest.model_validate(raw)
    except ValidationError as error:
        raise refusal(sealed.path, error) from None
    listed = [member.name for member in manifest.members]
    known = {LOG, NOTES, *(part.member for part in manifest.vectors)}
    if odd := [one for one in listed if one not in known and not _DOCUMENT.fullmatch(one)]:
        raise BundleRefused(
            f"{name}: {odd[0]!r} is nothing this Memscope knows. Update Memscope, then import it again."
        )
    if sorted(listed) != sorted(sealed.names()) or LOG not in listed:
        raise BundleRefused(f"{name}: its manifest lists other members than it has.")
    for part in manifest.vectors:
        if part.member not in listed or manifest.named(part.member).size_bytes != part.count * part.record_bytes:
            raise BundleRefused(f"{name}: {part.member} is missing, or not as long as {part.count:,} vectors.")
    return manifest


def first_line(sealed: SealedReader, manifest: Manifest) -> bytes:
    """The log's first line, with its newline, or as much of it as a chunk holds."""
    chunk = next(sealed.chunks(manifest.log), b"")
    line, newline, _ = chunk.partition(b"\n")
    return line + newline


class Arrival:
    """One bundle on its way into a home."""

    def __init__(
        self,
        sealed: SealedReader,
        manifest: Manifest,
        home: Path,
        told: Callable[[float], None],
    ) -> None:
        self._sealed = sealed
        self._manifest = manifest
        self._home = home
        self._told = told
        self._name = sealed.path.name

    def fill(self, folder: Path, vectors: VectorStore) -> None:
        """Put the agent into its folder, unrevealed, and its vectors and documents into the home.

        Raises:
            BundleRefused: something in it is not what it should be; the home was not touched.
            Stopped: a person stopped it; the home was not touched.
            OSError: there is no room.
        """
        self._refuse_without_room()
        aside = self._home / folders.ASIDE / f"documents.{folder.name}"
        try:
            self._unpack_documents(aside)
            hashes = self._take_log(folder, ColdStorage(aside))
            self._take_notes(folder)
            for part in self._manifest.vectors:
                for _ in self._vectors(part, hashes):
                    """Looked at, and kept only when the rest is in order, too."""
            for part in self._manifest.vectors:
                for found in self._vectors(part, hashes):
                    vectors.put(part.model, part.dim, found)
            self._settle_documents(aside)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _refuse_without_room(self) -> None:
        wanted = ROOM_TIMES * self._manifest.log.size_bytes + sum(one.size_bytes for one in self._manifest.members)
        free = shutil.disk_usage(self._home).free
        if wanted > free:
            raise BundleRefused(
                f"{self._name} needs some {wanted / 1e6:,.0f} MB here, and {free / 1e6:,.0f} MB are free. Free some "
                "disk space, then import it again."
            )

    # --- the log ------------------------------------------------------------------------------------------------

    def _take_log(self, folder: Path, documents: ColdStorage) -> set[str]:
        """Write the log with its rows and checkpoints; hashes of all texts in it and in its documents."""
        rows = RecallStore(folder / "rows.duckdb", documents.open)
        try:
            with (folder / folders.NEW).open("xb") as out:
                state = self._fold_log(out.write, rows, folder / "checkpoints")
                out.flush()
                os.fsync(out.fileno())
            self._refuse_another(state)
            texts = " UNION ".join(
                f"SELECT sha256(text) AS hash FROM {table} WHERE text <> ''" for table in ("messages", "passages")
            )
            return {row["hash"] for row in rows.query(texts)}
        finally:
            rows.close()

    def _fold_log(self, write: Callable[[bytes], object], rows: RecallStore, kept: Path) -> State:
        state, size_bytes, crc32 = INITIAL, 0, 0
        batch: list[tuple[int, list[Change]]] = []
        for line in self._lines(self._manifest.log):
            event = self._event(state.seq + 1, line)
            try:
                batch.append((event.seq, project(state, event)))
                state = apply(state, event)
            except _MEANINGLESS as error:
                raise self._bad_line(event.seq, f"it does not follow from the lines before ({error!r})") from error
            write(line)
            size_bytes, crc32 = size_bytes + len(line), zlib.crc32(line, crc32)
            if event.seq % checkpoints.EVERY == 0:
                # A look back into a log without them folds all of it.
                checkpoints.save(kept, state, size_bytes, crc32)
            if len(batch) == CATCH_UP_EVENTS:
                self._take_rows(rows, batch)
                batch = []
                self._told(LOG_SHARE * size_bytes / self._manifest.log.size_bytes)
        self._take_rows(rows, batch)
        return state

    def _take_rows(self, rows: RecallStore, batch: list[tuple[int, list[Change]]]) -> None:
        try:
            rows.take(batch)
        except _MEANINGLESS as error:
            first, last = batch[0][0], batch[-1][0]
            raise BundleRefused(
                f"{self._name}: {LOG}, lines {first:,} to {last:,}: a value there is out of all bounds ({error})."
            ) from error

    def _event(self, seq: int, line: bytes) -> Event:
        try:
            event = decode(line)
        except ValueError as error:
            why = str(error)
            newer = " It was made by a newer Memscope; update, then import it again." if "unknown kind" in why else ""
            raise self._bad_line(seq, f"{why}.{newer}" if newer else why) from error
        if event.seq != seq:
            raise self._bad_line(seq, f"it is event {event.seq}")
        if (event.kind == "agent_created") != (seq == 1):
            raise self._bad_line(seq, f"{event.kind} is there, and agent_created belongs first and nowhere else")
        return event

    def _lines(self, member: Member) -> Iterator[bytes]:
        """A member's lines with their newlines, one at a time."""
        rest, number = b"", 0
        for chunk in self._sealed.chunks(member):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                number += 1
                yield line + b"\n"
            if len(rest) > LINE_BYTES:
                raise BundleRefused(
                    f"{self._name}: {member.name}, line {number + 1:,} is longer than {LINE_BYTES:,} bytes."
                )
        if rest:
            raise BundleRefused(f"{self._name}: {member.name} ends in the middle of line {number + 1:,}.")

    def _refuse_another(self, state: State) -> None:
        manifest = self._manifest
        if (state.seq, state.agent_id) != (manifest.events, manifest.agent.id):
            raise BundleRefused(
                f"{self._name}: its manifest speaks of {manifest.events:,} events of '{manifest.agent.id}', its log "
                f"has {state.seq:,} of '{state.agent_id}'."
            )

    def _bad_line(self, number: int, why: str) -> BundleRefused:
        return BundleRefused(
            f"{self._name}: {LOG}, line {number:,} cannot be taken: {why[:300]}. Nothing was imported."
        )

    # --- bookmarks, vectors, documents -----------------------------------------------------------------------------

    def _take_notes(self, folder: Path) -> None:
        if NOTES not in self._sealed.names():
            return
        member = self._manifest.named(NOTES)
        if member.size_bytes > NOTES_BYTES:
            raise BundleRefused(f"{self._name}: {NOTES} is larger than {NOTES_BYTES:,} bytes.")
        with (folder / NOTES).open("xb") as out:
            for number, line in enumerate(self._lines(member), 1):
                try:
                    fits = isinstance(from_json(line), dict)
                except ValueError:
                    fits = False
                if not fits:
                    raise BundleRefused(f"{self._name}: {NOTES}, line {number:,} is no bookmark.")
                out.write(line)
            out.flush()
            os.fsync(out.fileno())

    def _vectors(self, part: Vectors, hashes: set[str]) -> Iterator[dict[str, NDArray[np.float32]]]:
        """One member's vectors by hash, some at a time; each is one the home may keep."""
        record = np.dtype([("hash", "V32"), ("vector", "<f4", (part.dim,))])
        number = 0
        for data in self._records(part):
            rows = np.frombuffer(data, record)
            lengths = np.linalg.norm(rows["vector"].astype(np.float64), axis=1)
            # Not a number is not close to one either.
            good = np.abs(lengths - 1) <= UNIT_TOLERANCE
            found = {}
            for at, raw in enumerate(rows["hash"]):
                hash = raw.tobytes().hex()
                if not good[at] or hash not in hashes:
                    why = "is of no text in the log" if good[at] else f"has length {lengths[at]:.4f} instead of 1"
                    raise BundleRefused(f"{self._name}: {part.member}, vector {number + at + 1:,} {why}.")
                found[hash] = rows["vector"][at]
            number += len(rows)
            yield found

    def _records(self, part: Vectors) -> Iterator[bytes]:
        """A member's bytes, cut between records."""
        rest = b""
        for chunk in self._sealed.chunks(self._manifest.named(part.member)):
            rest += chunk
            if len(rest) >= VECTORS_BYTES:
                whole = len(rest) // part.record_bytes * part.record_bytes
                yield rest[:whole]
                rest = rest[whole:]
        if rest:
            yield rest

    def _unpack_documents(self, aside: Path) -> None:
        for member in self._manifest.members:
            if (named := _DOCUMENT.fullmatch(member.name)) is None:
                continue
            path = aside / named[1] / named[2]
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as out:
                for chunk in self._sealed.chunks(member):
                    out.write(chunk)
                out.flush()
                os.fsync(out.fileno())
        for folder in aside.iterdir() if aside.is_dir() else ():
            for path in folder.iterdir():
                # Each file is named by what is in it; the raw one by its folder.
                if digest_of(path) != (folder.name if path.stem == "raw" else path.stem):
                    raise BundleRefused(f"{self._name}: {DOCUMENTS}{folder.name} holds no document with that sha256.")

    def _settle_documents(self, aside: Path) -> None:
        """Files that cold storage has are left as they are."""
        cold = ColdStorage(self._home / folders.DOCUMENTS)
        for path in sorted(aside.glob("*/*")):
            cold.adopt(path, path.parent.name, path.name)
