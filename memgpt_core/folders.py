"""Agents' folders in a home: made, revealed, marked, removed, measured.

Each change is one rename or one small file, so that a process killed in the middle leaves a whole agent or none.
What such a process leaves behind is swept at the next start. Knows no open agent: whoever calls makes sure that
nobody writes the folder.
"""

import contextlib
import os
import re
import shutil
import time
from pathlib import Path

from memgpt_core.errors import EditRefused
from memgpt_core.events import clean
from memgpt_core.log import sync_folder

NEW = "run.jsonl.new"
ARCHIVED = "archived"
"""An empty file beside the log: that an agent is put away says nothing about its memory."""

TEMPORARY = "temporary"
"""The same for an agent that goes when the home is closed."""

ASIDE = ".aside"
"""Where agents live that are in no list; nothing in there outlives the process that made it."""

EXPORTS = ".exports"
"""Where exported files wait to be downloaded; the same goes for them."""

UNREVEALED = frozenset({NEW, "checkpoints", "rows.duckdb", "rows.duckdb.wal", TEMPORARY})
"""What there may be in a folder whose log was not even begun; nothing of it is anybody's work."""

DOCUMENTS = "documents"
"""The home's cold storage, shared by its agents."""

DELETED = ".deleted"
"""Where an agent's folder goes, by one rename, before its files are removed."""

CHUNK_BYTES = 2**20

NAME_CHARS = 80
"""As `blueprint.Blueprint` has it."""

STORES = {"run.jsonl": "log", "rows.duckdb": "rows", "index.lance": "index", "checkpoints": "checkpoints"}
"""What the bytes of a folder are counted as; a write-ahead log counts with its file, all else as `other`."""


_INGESTED = re.compile(rb'"kind":"document_ingested",.*"raw":"([0-9a-f]{64})"')

LINE_BYTES = 2**20
"""Only so much of a line is looked at: an event that names a document is shorter."""


def slug(name: str) -> str:
    """A folder's name made from an agent's: small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "agent"


def named(name: str) -> str:
    """An agent's name as it is kept: one line, and not too long for a list.

    Raises:
        EditRefused: there is nothing in it, or too much.
    """
    kept = " ".join(str(clean(name)).split())
    if not kept:
        raise EditRefused("An agent needs a name. Type one first.")
    if len(kept) > NAME_CHARS:
        raise EditRefused(f"The name has {len(kept)} characters; {NAME_CHARS} is the most. Shorten it.")
    return kept


def make(agents: Path, wanted: str) -> Path:
    """An empty folder of that name, or with the first number behind it that is free."""
    number = 1
    while True:
        folder = agents / (wanted if number == 1 else f"{wanted}-{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            sync_folder(agents)
            return folder
        number += 1


def reveal(folder: Path) -> None:
    """Make a finished log an agent, in one step: a copy that was cut off is never opened."""
    new = folder / NEW
    with new.open("rb") as file:
        os.fsync(file.fileno())
    new.replace(folder / "run.jsonl")
    sync_folder(folder)


def move_checkpoints(source: Path, folder: Path) -> None:
    """Give an agent the checkpoints that were made beside its new log."""
    (folder / "checkpoints").mkdir(exist_ok=True)
    for checkpoint in (source / "checkpoints").glob("*.json"):
        checkpoint.replace(folder / "checkpoints" / checkpoint.name)


def is_archived(folder: Path) -> bool:
    """Whether the agent is put away."""
    return (folder / ARCHIVED).exists()


def set_archived(folder: Path, archived: bool) -> None:
    """Put an agent away, or take it back."""
    if archived:
        (folder / ARCHIVED).touch()
    else:
        (folder / ARCHIVED).unlink(missing_ok=True)
    sync_folder(folder)


def is_temporary(folder: Path) -> bool:
    """Whether the agent is deleted when the home is closed."""
    return (folder / TEMPORARY).exists()


def set_temporary(folder: Path, temporary: bool) -> None:
    """Mark an agent as temporary, or keep it."""
    if temporary:
        (folder / TEMPORARY).touch()
    else:
        (folder / TEMPORARY).unlink(missing_ok=True)
    sync_folder(folder)


def remove(home: Path, folder: Path) -> None:
    """Delete an agent: out of sight by one rename, then its files."""
    aside = home / DELETED
    aside.mkdir(exist_ok=True)
    gone = aside / f"{folder.name}.{time.time_ns()}"
    folder.replace(gone)
    sync_folder(folder.parent)
    sync_folder(aside)
    _clear(gone)


def discard(folder: Path) -> None:
    """Remove a folder whose log was never revealed."""
    _clear(folder)


def sweep(home: Path) -> None:
    """Remove what killed processes left: agents half deleted, and folders whose log was never revealed."""
    if (home / DELETED).is_dir():
        for gone in (home / DELETED).iterdir():
            _clear(gone)
    for folder in (home / "agents").iterdir():
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else {"run.jsonl"}
        if names <= UNREVEALED or (NEW in names and "run.jsonl" not in names):
            _clear(folder)


def remove_temporary(home: Path) -> list[str]:
    """Delete temporary agents, all that live aside and exported files; the ids of the former."""
    for name in (ASIDE, EXPORTS):
        if (home / name).is_dir():
            _clear(home / name)
    temporary = [folder for folder in (home / "agents").iterdir() if is_temporary(folder)]
    for folder in temporary:
        remove(home, folder)
    return [folder.name for folder in temporary]


def _clear(folder: Path) -> None:
    # What cannot be removed now, a file another program holds, is tried again at the next start.
    with contextlib.suppress(OSError):
        shutil.rmtree(folder)


def documents_named(folder: Path) -> set[str]:
    """sha256 of the raw files of the documents that an agent's log names, also of one that is not revealed yet."""
    found: set[str] = set()
    for log in (folder / "run.jsonl", folder / NEW):
        with contextlib.suppress(OSError), log.open("rb") as file:
            for line in file:
                if named := _INGESTED.search(line, 0, LINE_BYTES):
                    found.add(named[1].decode())
    return found


def sizes(folder: Path) -> dict[str, int]:
    """Bytes by store (`log`, `rows`, `index`, `checkpoints`, `other`) of an agent's folder."""
    found = dict.fromkeys([*STORES.values(), "other"], 0)
    for path in folder.iterdir():
        found[STORES.get(path.name.removesuffix(".wal"), "other")] += size_of(path)
    return found


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; what vanishes meanwhile counts nothing."""
    total = 0
    with contextlib.suppress(OSError):
        if not path.is_dir():
            return path.stat().st_size
        for entry in os.scandir(path):
            total += size_of(Path(entry)) if entry.is_dir() else _entry_size(entry)
    return total


def _entry_size(entry: os.DirEntry[str]) -> int:
    with contextlib.suppress(OSError):
        return entry.stat().st_size
    return 0
