"""Files and folders on their way into an agent's archival storage, in the background, and what became of each.

One run at a time for an agent. What a run was asked for is kept in a file until it is done, so that one that was
stopped or killed can go on: what was taken in already costs a hash. One bad file is a sentence and harms no other.
"""

import contextlib
import json
import os
import shutil
import stat
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from memgpt_core.documents.intake import checked_name
from memgpt_core.documents.origins import Called, Origins
from memgpt_core.errors import EditRefused, MemscopeError, NotReadable
from memgpt_core.jobs import Interrupted, Job, Jobs, Stop, Told
from memgpt_core.workspace import Workspace

REQUEST = "adding.json"
"""In an agent's folder: what it was asked to take in and has not finished."""

KEPT = ".adding"
"""In the home: files that came through a browser, until they are taken in."""

TAKING_SHARE = 0.15
"""How much of a run with an embedder is done when all files are taken in; the rest is embedding their passages."""

LOOK_EVERY_S = 0.25
LINES_MOST = 5000

What = Literal["added", "updated", "unchanged", "removed", "refused"]


class Line(NamedTuple):
    """What became of a file: passages of its document, how many of them are new and how many went, or why not."""

    name: str
    what: What
    passages: int = 0
    added: int = 0
    ended: int = 0
    why: str = ""


class Outcome(NamedTuple):
    """What became of a run: a line a file (the first so many), how many files of each sort, what went wrong after."""

    lines: tuple[Line, ...]
    counts: dict[str, int]
    said: str


class Progress(NamedTuple):
    """How many files a run has been through, of how many, the same in bytes, and which file is being read."""

    files: int
    of: int
    bytes: int
    of_bytes: int
    name: str = ""

    @property
    def share(self) -> float:
        """Of the bytes, 0 to 1."""
        return self.bytes / self.of_bytes if self.of_bytes else 1.0


class Request(NamedTuple):
    """What a run takes in.

    Attributes:
        paths: files and folders; `names` what the documents are called, "" for what `origins` calls the path.
        remove_gone: documents of these folders whose file is gone from there are removed.
        tell: the agent is told when it is done, in a turn of its own.
    """

    paths: tuple[str, ...]
    names: tuple[str, ...]
    tags: tuple[str, ...] = ()
    remove_gone: bool = False
    tell: bool = False


class _File(NamedTuple):
    name: str
    path: Path
    size: int
    why: str = ""


class Adding:
    """All such runs of a home."""

    def __init__(self, jobs: Jobs, open: Callable[[str], Workspace], home: Path) -> None:
        self._jobs = jobs
        self._open = open
        self._home = home
        self._lock = threading.Lock()
        self._lines: dict[str, list[Line]] = {}
        self._progress: dict[str, Progress] = {}

    def start(
        self,
        agent_id: str,
        paths: Sequence[Path],
        *,
        names: Sequence[str] = (),
        tags: Sequence[str] = (),
        remove_gone: bool = False,
        tell: bool = False,
    ) -> None:
        """Begin to take in files and folders, with all that is in these.

        Args:
            names: what the documents are called; without, a file's own name, and a folder's in front of what is in it,
                or another name where somebody else's is called so already (see `origins`).

        Raises:
            AgentNotFound: no agent has that id.
            AgentBusy: a run of this agent goes on.
            EditRefused: there is nothing to take in.
        """
        if not paths:
            raise EditRefused("There is nothing to add. Choose a file or a folder first.")
        named = tuple(names) or ("",) * len(paths)
        whole = tuple(str(path.absolute()) for path in paths)
        self._begin(agent_id, Request(whole, named, tuple(tags), remove_gone, tell))

    def unfinished(self, agent_id: str) -> Request | None:
        """What an earlier run was asked for and did not finish; None when there is none, or it goes on now."""
        if self.busy(agent_id):
            return None
        with contextlib.suppress(OSError, ValueError, TypeError):
            raw = json.loads(self._request(agent_id).read_text(encoding="utf-8"))
            paths, names, tags = (tuple(raw[name]) for name in ("paths", "names", "tags"))
            return Request(paths, names, tags, raw["remove_gone"], raw["tell"])
        return None

    def resume(self, agent_id: str) -> None:
        """Go on with the run that was not finished.

        Raises:
            AgentBusy: a run of this agent goes on.
            EditRefused: there is none.
        """
        request = self.unfinished(agent_id)
        if request is None:
            raise EditRefused("There is nothing left to add.")
        self._begin(agent_id, request)

    def dismiss(self, agent_id: str) -> None:
        """Let go of the run that was not finished; what it took in stays."""
        request = self.unfinished(agent_id)
        self._request(agent_id).unlink(missing_ok=True)
        for path in request.paths if request else ():
            self._drop(Path(path))

    def busy(self, agent_id: str) -> bool:
        """Whether a run of this agent goes on."""
        return self._jobs.busy(key(agent_id))

    def job(self, agent_id: str) -> Job | None:
        """The run that goes on, or the last; its outcome is an `Outcome`."""
        return self._jobs.job(key(agent_id))

    def stop(self, agent_id: str) -> None:
        """Ask the run to stop; what is taken in by then stays."""
        self._jobs.stop(key(agent_id))

    def lines(self, agent_id: str) -> list[Line]:
        """What became of the files so far, in the run that goes on or the last one."""
        with self._lock:
            return list(self._lines.get(agent_id, ()))

    def progress(self, agent_id: str) -> Progress | None:
        """How far the run is with reading files; embedding goes on after that. None while it looks into folders."""
        with self._lock:
            return self._progress.get(agent_id)

    def keep(self, name: str, pieces: Iterable[bytes]) -> Path:
        """Put a file that came through a browser where a run can find it; its path, to be given to `start`.

        Raises:
            MemscopeError: there is no room.
        """
        folder = self._home / KEPT / uuid.uuid4().hex
        path = folder / (Path(checked_name(name)).name.lstrip(".").encode()[-200:].decode(errors="ignore") or "file")
        try:
            folder.mkdir(parents=True)
            with path.open("wb") as file:
                for piece in pieces:
                    file.write(piece)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise MemscopeError(
                f"The file could not be kept ({error.strerror or error}). Free some disk space."
            ) from error
        return path

    def sweep(self, agents: Iterable[str]) -> None:
        """Remove files that came through a browser and that no run of these agents waits for."""
        if not (self._home / KEPT).is_dir():
            return
        wanted = {path for agent in agents if (request := self.unfinished(agent)) for path in request.paths}
        needed = {Path(path).parent for path in wanted}
        for folder in (self._home / KEPT).iterdir():
            if folder not in needed:
                shutil.rmtree(folder, ignore_errors=True)

    # --- one run --------------------------------------------------------------------------------------------

    def _begin(self, agent_id: str, request: Request) -> None:
        ws = self._open(agent_id)
        self._jobs.start(key(agent_id), "adding documents", lambda told, stop: self._run(ws, request, told, stop))

    def _run(self, ws: Workspace, request: Request, told: Told, stop: Stop) -> Outcome:
        run = _Run(ws, request, stop, Origins(ws.folder, ws.documents.stands))
        with self._lock:
            self._lines[ws.agent_id] = run.lines
            self._progress.pop(ws.agent_id, None)
        self._request(ws.agent_id).write_text(json.dumps(request._asdict()), encoding="utf-8")
        taking = TAKING_SHARE if ws.projections.embedder else 1.0

        def heard(now: Progress) -> None:
            with self._lock:
                self._progress[ws.agent_id] = now
            told(taking * now.share)

        run.take_all(heard)
        run.remove_gone()
        self._request(ws.agent_id).unlink(missing_ok=True)
        for path in request.paths:
            self._drop(Path(path))
        said = run.follow(lambda share: told(taking + (1 - taking) * share))
        return Outcome(tuple(run.lines[:LINES_MOST]), dict(run.counts), said or run.tell())

    def _request(self, agent_id: str) -> Path:
        return self._home / "agents" / agent_id / REQUEST

    def _drop(self, path: Path) -> None:
        if path.parent.parent == self._home / KEPT:
            shutil.rmtree(path.parent, ignore_errors=True)


def key(agent_id: str) -> str:
    """The key under which an agent's run goes on in `Home.jobs`."""
    return f"documents:{agent_id}"


class _Run:
    """Files one after another, each a line."""

    def __init__(self, ws: Workspace, request: Request, stop: Stop, origins: Origins) -> None:
        self.lines: list[Line] = []
        self.counts: dict[str, int] = {}
        self._ws = ws
        self._request = request
        self._stop = stop
        self._origins = origins
        self._unseen: list[str] = []
        self._seen: set[str] = set()
        self._folders: list[str] = []

    def take_all(self, heard: Callable[[Progress], None]) -> None:
        files = list(self._files())
        whole, done = sum(file.size for file in files), 0
        for number, file in enumerate(files):
            heard(Progress(number, len(files), done, whole, file.name))
            if self._stop():
                raise Interrupted("It was stopped. What was added before stays; go on when you like.")
            self._take(file)
            done += file.size
        heard(Progress(len(files), len(files), done, whole))

    def remove_gone(self) -> None:
        """Remove the documents of the folders whose files are gone; not those of a folder that could not be read."""
        if not self._request.remove_gone:
            return
        for document in self._ws.documents.all():
            inside = any(document.name.startswith(f"{folder}/") for folder in self._folders)
            hidden = any(document.name.startswith(name) for name in self._unseen)
            if inside and not hidden and document.name not in self._seen:
                self._ws.documents.remove(document.id, "gone from its folder")
                self._add(Line(document.name, "removed", document.passages))

    def follow(self, told: Told) -> str:
        """Wait until the passages are embedded; why that does not happen, if it does not."""
        stores = self._ws.projections
        if stores.embedder is None:
            return ""
        whole = 0
        while not self._stop():
            status = stores.status()
            left = status.not_embedded if stores.vectors_loaded() and not status.pending else max(whole, 1)
            whole = max(whole, left)
            if status.error or stores.embedding_fault:
                return f"Not all passages are embedded yet: {status.error or stores.embedding_fault}"
            if not left and status.index_seq >= status.duckdb_seq:
                return ""
            told((whole - left) / whole if whole else 1.0)
            time.sleep(LOOK_EVERY_S)
        return "Embedding goes on behind this; what is not embedded yet is found by words."

    def tell(self) -> str:
        """Tell the agent, when that is wanted; why it was not told."""
        brought = self.counts.get("added", 0) + self.counts.get("updated", 0)
        if not self._request.tell or not brought:
            return ""
        names = [line.name for line in self.lines if line.what in ("added", "updated")]
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        passages = sum(line.passages for line in self.lines if line.what in ("added", "updated"))
        try:
            self._ws.tell_upload(
                f"Upload finished: {', '.join(names[:5])}{more}, {passages} passages are now in archival storage."
            )
        except MemscopeError as error:
            return f"The agent was not told: {error}"
        return ""

    def _take(self, file: _File) -> None:
        self._seen.add(file.name)
        try:
            taken = self._ws.documents.take_in(file.name, file.path, tags=self._request.tags, stop=self._stop)
            why = (file.why, *taken.notes) if file.why and taken.what == "added" else taken.notes
            self._add(Line(file.name, taken.what, taken.passages, taken.added, taken.ended, " ".join(why)))
        except NotReadable as error:
            self._add(Line(file.name, "refused", why=str(error)))
        except PermissionError:
            self._add(Line(file.name, "refused", why=f"{file.name} was not read: you may not read it."))

    def _add(self, line: Line) -> None:
        self.lines.append(line)
        self.counts[line.what] = self.counts.get(line.what, 0) + 1

    # --- folders --------------------------------------------------------------------------------------------

    def _files(self) -> Iterator[_File]:
        for given, named in zip(self._request.paths, self._request.names, strict=True):
            path = Path(given)
            name, why = self._called(path, named)
            if path.is_dir():
                self._folders.append(name)
                yield from (file._replace(why=why) for file in self._walk(path, name, ()))
            else:
                yield from (file._replace(why=why) for file in self._file(path, name))

    def _called(self, path: Path, named: str) -> Called:
        if named:
            name = checked_name(named)
            self._origins.named(name)
            return Called(name)
        # What is not there, or cannot be added, takes no name from what can.
        return self._origins.of(path) if path.exists() else Called(checked_name(path.name or str(path)))

    def _walk(self, folder: Path, name: str, above: tuple[tuple[int, int], ...]) -> Iterator[_File]:
        """The files in a folder and in those below, by name; a link back to a folder above is not followed."""
        try:
            at = folder.stat()
            if (at.st_dev, at.st_ino) in above:
                self._add(Line(name, "refused", why=f"{name} was passed over: it leads back to a folder above it."))
                return
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            self._unseen.append(f"{name}/")
            self._add(Line(name, "refused", why=f"{name} was not opened: {error.strerror or error}."))
            return
        for entry in entries:
            inside = f"{name}/{entry.name}"
            if entry.name.startswith("."):
                continue
            try:
                is_folder = entry.is_dir()
            except OSError:
                is_folder = False
            if is_folder:
                yield from self._walk(Path(entry.path), inside, (*above, (at.st_dev, at.st_ino)))
            else:
                yield from self._file(Path(entry.path), inside)

    def _file(self, path: Path, name: str) -> Iterator[_File]:
        try:
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):
                raise OSError("it is no file")
            yield _File(checked_name(name), path, found.st_size)
        except (OSError, NotReadable) as error:
            self._unseen.append(name)
            why = getattr(error, "strerror", None) or str(error)
            self._add(Line(visible(name), "refused", why=f"{visible(name)} was not read: {why}."))


def visible(name: str) -> str:
    """A file's name that may be no text, as text."""
    return name.encode(errors="surrogateescape").decode(errors="replace")
