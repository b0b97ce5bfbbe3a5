"""Taking files into archival storage, one event a file: read once, cut, compared with the version before, kept.

A file that reads as before costs a hash. A file that changed brings the passages that are new and ends those that are
gone; the others keep their ids and their vectors. What cannot be read is refused in a sentence, and nothing of it is
kept. Does not walk folders and knows no progress (`adding`).
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from memgpt_core.documents import manifest
from memgpt_core.documents.extraction import EXTRACTOR_VERSION, FILE_BYTES_MOST, Extracted, extract
from memgpt_core.documents.library import Document, Library
from memgpt_core.documents.manifest import Manifest
from memgpt_core.documents.outline import outline
from memgpt_core.documents.splitting import SPLITTER_VERSION, split
from memgpt_core.edits.hand import Hand
from memgpt_core.errors import DocumentMissing, EditRefused, MemscopeError, NotReadable
from memgpt_core.events import DocumentIngested, DocumentRemoved, clean
from memgpt_core.failpoints import failpoint
from memgpt_core.jobs import Interrupted
from memgpt_core.journal import Journal
from memgpt_core.projections import Projections
from memgpt_core.state import State
from memgpt_core.stores.documents import ColdStorage, digest_of

What = Literal["added", "unchanged", "updated"]

NAME_CHARS = 200


class Taken(NamedTuple):
    """What became of a file: passages of the document now, and how many of them are new, and how many went."""

    what: What
    document: str
    passages: int
    added: int
    ended: int
    notes: tuple[str, ...]


class _Read(NamedTuple):
    """A file as it will be kept."""

    raw: str
    size: int
    extracted: Extracted
    manifest: Manifest


class Documents(Hand, Library):
    """One agent's documents, and every change of them: `Workspace.documents`."""

    def __init__(
        self,
        journal: Journal,
        stores: Callable[[], Projections],
        counting: Callable[[], AbstractContextManager[None]],
        state_at: Callable[[int], State],
        cold: ColdStorage,
    ) -> None:
        Hand.__init__(self, journal, stores, counting, state_at)
        Library.__init__(self, lambda sql, params: stores().rows(sql, params), cold)

    def take_in(
        self,
        name: str,
        path: Path,
        *,
        tags: Sequence[str] = (),
        stop: Callable[[], bool] = lambda: False,
    ) -> Taken:
        """Take the file at `path` in under `name`; the document of that name, if there is one, becomes this version.

        Raises:
            NotReadable: a sentence that says what is wrong and what to do.
            Interrupted: `stop` said so.
            StoreBroken, LogClosed: nothing is taken in.
            OSError: the file cannot be read, or there is no room.
        """
        name = checked_name(name)
        _check(name, path)
        seen = path.stat()
        known = self.named(name)
        if known and seen.st_size == known.bytes and not self.missing(known) and digest_of(path) == known.sha256:
            return Taken("unchanged", known.id, known.passages, 0, 0, known.notes)
        with self.cold.in_use(), self.cold.staged(path, stop) as (copy, raw):
            if stop():
                raise Interrupted("It was stopped. What was added before stays.")
            now = path.stat()
            if (seen.st_size, seen.st_mtime_ns) != (now.st_size, now.st_mtime_ns):
                raise NotReadable(f"{name} was not read: it changed meanwhile. Add it again when nothing writes to it.")
            read = self._read(name, copy, raw, known)
            text, made = self.cold.keep(copy, raw, read.extracted.text, manifest.encode(read.manifest))
            failpoint("document.before_commit")
            taken = self._commit(name, read, text, made, known, tuple(tags))
            failpoint("document.after_commit")
            return taken

    def remove(self, id: str, reason: str = "") -> None:
        """Take a document out of archival storage with all of its passages; adding the file again brings it back.

        Raises:
            EditRefused: there is no such document.
        """
        with self._deciding():
            document = self.get(id)
            if document is None:
                raise EditRefused("There is no such document any more.")
            standing = self._rows("SELECT count(*) AS n FROM passages WHERE document = ? AND seq_to IS NULL", [id])
            self._journal.commit(
                DocumentRemoved(
                    document=id,
                    name=document.name,
                    passages=standing[0]["n"],
                    author="human",
                    reason=clean(reason),
                )
            )

    # --- inside ---------------------------------------------------------------------------------------------

    def _read(self, name: str, copy: Path, raw: str, known: Document | None) -> _Read:
        extracted = extract(name, copy)
        passages = split(extracted, name)
        if not passages:
            raise NotReadable(f"{name} was not read: there is no text in it.")
        about, sections = outline(extracted, passages)
        before = None
        if known:
            try:
                before = (self.cold.open(*known.files), known.seq)
            except DocumentMissing:
                # Its passages cannot be told apart any more: all are new ones.
                before = None
        made = manifest.made(extracted.text, passages, about, sections, before)
        return _Read(raw, copy.stat().st_size, extracted, made)

    def _commit(
        self, name: str, read: _Read, text: str, made: str, known: Document | None, tags: tuple[str, ...]
    ) -> Taken:
        extracted, slices = read.extracted, read.manifest.passages
        kept = [one.id(0) for one in slices if one.born]
        with self._deciding():
            now = self.named(name)
            if (now and now.seq) != (known and known.seq):
                raise MemscopeError(f"{name} was added twice at the same time. Add it again.")
            ended = self._ending(now, kept)
            ingested: Any = self._journal.commit(
                DocumentIngested(
                    document=now.id if now else "",
                    name=name,
                    media=extracted.media,
                    title=extracted.title,
                    extract=read.manifest.extract,
                    bytes=read.size,
                    chars=len(extracted.text),
                    pages=max((one.page or 0 for one in slices), default=0),
                    passages=len(slices),
                    sections=len(read.manifest.sections),
                    raw=read.raw,
                    text=text,
                    manifest=made,
                    extractor=EXTRACTOR_VERSION,
                    splitter=SPLITTER_VERSION,
                    added=len(slices) - len(kept),
                    ended=ended,
                    notes=extracted.notes,
                    tags=tags,
                )
            )
        what: What = "updated" if now else "added"
        return Taken(what, ingested.id, len(slices), ingested.added, ended, extracted.notes)

    def _ending(self, now: Document | None, kept: Sequence[str]) -> int:
        """How many passages of the version before stand and are not kept."""
        if now is None:
            return 0
        rows = self._rows(
            "SELECT count(*) AS n FROM passages WHERE document = ? AND seq_to IS NULL AND "
            "id NOT IN (SELECT unnest(?::VARCHAR[]))",
            [now.id, list(kept)],
        )
        return int(rows[0]["n"])


def checked_name(name: str) -> str:
    """A document's name: one line, safe for the log, not too long for a list.

    Raises:
        NotReadable: there is nothing in it.
    """
    kept = " ".join(str(clean(name)).replace("\\", "/").split())
    if not kept:
        raise NotReadable("The file has no name. Give it one, then add it again.")
    return kept if len(kept) <= NAME_CHARS else "…" + kept[1 - NAME_CHARS :]


def _check(name: str, path: Path) -> None:
    """Refuse before anything is copied what need not be."""
    if not path.is_file():
        there = "it is no file" if path.exists() else "it is not there any more"
        raise NotReadable(f"{name} was not read: {there}.")
    size = path.stat().st_size
    if size == 0:
        raise NotReadable(f"{name} was not read: it is empty (0 bytes). Check that it was saved or copied whole.")
    if size > FILE_BYTES_MOST:
        raise NotReadable(
            f"{name} was not read: it has {size / 2**20:,.0f} MB, and {FILE_BYTES_MOST // 2**20} MB is the most. "
            "Split it into smaller files and add those."
        )
