"""Cold storage: raw documents, their texts and the manifests of their passages, as files named by their sha256.

A file is written under a temporary name, synced and renamed, so that it is there whole or not at all; what is there
already is not written again. All agents of a home share it. Knows digests and bytes; does not know what is in a
document, nor which agent has it.
"""

import contextlib
import hashlib
import os
import shutil
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from memgpt_core.documents.manifest import MARK_CHARS, Manifest, Opened, decode
from memgpt_core.errors import DocumentMissing
from memgpt_core.failpoints import failpoint
from memgpt_core.log import sync_folder

NEW = ".documents.new"
"""Beside the folder: where files are written before they have their names; nothing there is anybody's."""

CHUNK_BYTES = 2**20
MANIFESTS_KEPT = 8

Stop = Callable[[], bool]


def digest(data: bytes) -> str:
    """sha256 in hex."""
    return hashlib.sha256(data).hexdigest()


def digest_of(path: Path) -> str:
    """sha256 of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ColdStorage:
    """The documents of one home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._new = folder.with_name(NEW)
        self._lock = threading.RLock()
        self._users = 0
        self._manifests: OrderedDict[tuple[str, str], Manifest] = OrderedDict()

    # --- writing --------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def staged(self, source: Path, stop: Stop = lambda: False) -> Iterator[tuple[Path, str]]:
        """A copy of a file that nobody changes any more, with its sha256; gone afterwards, unless it was `keep`ed.

        Raises:
            OSError: the file cannot be read, or there is no room.
        """
        self._make(self._new)
        copy = self._new / uuid.uuid4().hex
        try:
            found = hashlib.sha256()
            with source.open("rb") as read, copy.open("xb") as write:
                while chunk := read.read(CHUNK_BYTES):
                    found.update(chunk)
                    write.write(chunk)
                    if stop():
                        break
                write.flush()
                os.fsync(write.fileno())
            yield copy, found.hexdigest()
        finally:
            copy.unlink(missing_ok=True)

    def keep(self, staged: Path, raw: str, text: str, manifest: bytes) -> tuple[str, str]:
        """Keep a staged file and what was made of it, durably: (sha256 of the text, of the manifest).

        Raises:
            OSError: there is no room; what was there before is as it was.
        """
        folder = self.folder / raw
        self._make(folder)
        if not (folder / "raw").exists():
            staged.replace(folder / "raw")
        failpoint("document.after_raw")
        data = text.encode()
        names = digest(data), digest(manifest)
        if names[0] != raw:
            self._write(folder / f"{names[0]}.text", data)
        self._write(folder / f"{names[1]}.manifest", manifest)
        sync_folder(folder)
        return names

    def adopt(self, source: Path, raw: str, name: str) -> None:
        """Take one file of a document from elsewhere; `name` as in the folder here.

        Raises:
            OSError: it cannot be read or written.
        """
        folder = self.folder / raw
        self._make(folder)
        if not (folder / name).exists():
            with self.staged(source) as (copy, _):
                copy.replace(folder / name)
            sync_folder(folder)

    def adopt_all(self, source: "ColdStorage", raw: str, text: str, manifest: str) -> None:
        """Take one version of a document from another cold storage, as far as it is there.

        Raises:
            OSError: there is no room.
        """
        for kind, name in (("raw", raw), ("text", text), ("manifest", manifest)):
            path = source.path(raw, name, kind)
            if path.is_file():
                self.adopt(path, raw, self.path(raw, name, kind).name)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Nothing is dropped meanwhile: a file may be kept whose event is not yet in a log."""
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1

    def drop_others(self, named: Callable[[], Collection[str]]) -> None:
        """Delete the documents whose raw sha256 is not `named`; not while somebody takes one in."""
        with self._lock:
            if self._users or not self.folder.is_dir():
                return
            kept = named()
            for folder in self.folder.iterdir():
                if folder.name not in kept:
                    shutil.rmtree(folder, ignore_errors=True)

    # --- reading --------------------------------------------------------------------------------------------

    def path(self, raw: str, digest: str, kind: str) -> Path:
        """Where a `text` or `manifest` is, or the `raw` file itself."""
        folder = self.folder / raw
        return folder / "raw" if digest == raw else folder / f"{digest}.{kind}"

    def manifest(self, raw: str, digest: str) -> Manifest:
        """A version's manifest.

        Raises:
            DocumentMissing: it is not here, or cannot be read.
        """
        with self._lock:
            if found := self._manifests.get((raw, digest)):
                self._manifests.move_to_end((raw, digest))
                return found
        try:
            found = decode(self.path(raw, digest, "manifest").read_bytes())
        except (OSError, ValueError) as error:
            raise _missing(error) from error
        with self._lock:
            self._manifests[raw, digest] = found
            while len(self._manifests) > MANIFESTS_KEPT:
                self._manifests.popitem(last=False)
        return found

    def open(self, raw: str, text: str, manifest: str) -> Opened:
        """A version's manifest with the whole text.

        Raises:
            DocumentMissing: one of them is not here, or cannot be read.
        """
        try:
            whole = self.path(raw, text, "text").read_bytes().decode()
        except (OSError, ValueError) as error:
            raise _missing(error) from error
        return Opened(self.manifest(raw, manifest), whole)

    def stretch(self, raw: str, text: str, manifest: str, start: int, end: int) -> str:
        """Characters `start` to `end` of a version's text; reads little more than those.

        Raises:
            DocumentMissing: as `open`.
        """
        marks = self.manifest(raw, manifest).marks
        start = max(0, start)
        first, last = start // MARK_CHARS, -(-end // MARK_CHARS)
        if end <= start or first >= len(marks):
            return ""
        try:
            with self.path(raw, text, "text").open("rb") as file:
                file.seek(marks[first])
                data = file.read(marks[last] - marks[first]) if last < len(marks) else file.read()
            return data.decode()[start - first * MARK_CHARS : end - first * MARK_CHARS]
        except (OSError, ValueError) as error:
            raise _missing(error) from error

    def missing(self, raw: str, text: str, manifest: str) -> tuple[str, ...]:
        """Which of a version's files are not here, by kind; what is in them is not looked at."""
        named = (("raw", raw), ("text", text), ("manifest", manifest))
        return tuple(kind for kind, name in named if not self.path(raw, name, kind).is_file())

    def faults(self, raw: str, text: str, manifest: str) -> list[str]:
        """What is missing of a version, or is not what its name says; for `verify`."""
        found = []
        for kind, name in (("raw", raw), ("text", text), ("manifest", manifest)):
            try:
                if digest_of(self.path(raw, name, kind)) != name:
                    found.append(f"its {kind} is not what was kept")
            except OSError:
                found.append(f"its {kind} is missing")
        return found

    def size_bytes(self, raws: Collection[str]) -> int:
        """Bytes of these documents."""
        total = 0
        for raw in set(raws):
            with contextlib.suppress(OSError):
                total += sum(path.stat().st_size for path in (self.folder / raw).iterdir())
        return total

    # --- inside ---------------------------------------------------------------------------------------------

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            sync_folder(folder.parent)

    def _write(self, path: Path, data: bytes) -> None:
        if path.exists():
            return
        self._make(self._new)
        new = self._new / uuid.uuid4().hex
        try:
            with new.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            failpoint("document.before_rename")
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)


class Shipped(ColdStorage):
    """Documents that came beside a recording, under any names; only read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._by_digest: dict[str, Path] | None = None

    def path(self, raw: str, digest: str, kind: str) -> Path:
        """The file with that digest."""
        if self._by_digest is None:
            there = sorted(self.folder.iterdir()) if self.folder.is_dir() else []
            self._by_digest = {digest_of(path): path for path in there if path.is_file()}
        return self._by_digest.get(digest, self.folder / digest)


def _missing(error: Exception) -> DocumentMissing:
    why = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
    return DocumentMissing(f"Its file in cold storage {why}. Put the folder documents/ back, then rebuild the stores.")
