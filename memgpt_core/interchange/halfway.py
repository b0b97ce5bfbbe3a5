"""Imports that are not finished: where each waits, what it was asked to do, who may work at it, how it is given up.

An import is built in a folder of its own in the home, so that whatever stops it leaves the agents as they were; the
same call finds the folder again and goes on. Knows no format and nothing of what is imported.
"""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from memgpt_core.errors import AgentBusy
from memgpt_core.home import Home
from memgpt_core.log import sync_folder
from memgpt_core.settings import AgentSettings

STAGING = ".importing"
"""Where imports are built, a folder each; one that was stopped waits there until it goes on or is discarded."""

ASKED = "asked.json"


class Unfinished(NamedTuple):
    """An import that was stopped: its key to discard it, and what to call again to have it go on.

    Attributes:
        again: all options of that call but the path.
    """

    key: str
    path: str
    into: str
    name: str
    again: dict[str, Any]


class Asked(NamedTuple):
    """What an import was asked to do; the same again goes on with it."""

    into: str
    name: str
    user_speaker: str
    on_bad: str
    records: tuple[int, ...]
    summaries: str

    def notes(self) -> tuple[str, ...]:
        """What of it shapes the history, as sentences for the log."""
        chosen = f"Of the file's records only {', '.join(map(str, self.records))}." if self.records else ""
        speaker = f"{self.user_speaker} is the user." if self.user_speaker else ""
        return tuple(note for note in (chosen, speaker) if note)


def unfinished(home: Home) -> list[Unfinished]:
    """The imports that were stopped and can go on."""
    found = []
    for folder in sorted((home.path / STAGING).glob("*")):
        try:
            asked = json.loads((folder / ASKED).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        again = {field: asked[field] for field in Asked._fields if field != "into"}
        again |= {"into": asked["into"] or None, "settings": AgentSettings(**asked["settings"])}
        found.append(Unfinished(folder.name, asked["path"], asked["into"], asked["name"], again))
    return found


def discard(home: Home, key: str) -> None:
    """Give up an import that was stopped; no agent is touched.

    Raises:
        AgentBusy: it is running.
    """
    if Path(key).name == key:
        with alone(home.path / STAGING / key):
            clear(home.path / STAGING / key)


def place(home: Home, digest: str, asked: Asked) -> Path:
    """The folder of an import of a file with this SHA-256 that was asked to do this."""
    wanted = sha256(json.dumps([digest, *asked]).encode()).hexdigest()
    return home.path / STAGING / wanted[:16]


def prepare(folder: Path, asked: Asked, path: Path, *, base: int, settings: AgentSettings, now: datetime) -> datetime:
    """Make the folder, or find it; when the import in it was begun.

    One made for an agent that has lived on since event `base` is of no use: it is made anew.
    """
    about = folder / ASKED
    if about.exists():
        facts = json.loads(about.read_text(encoding="utf-8"))
        if facts["base"] == base:
            return datetime.fromisoformat(facts["now"])
    clear(folder)
    folder.mkdir(parents=True)
    facts = {**asked._asdict(), "path": str(path), "base": base, "settings": settings.model_dump(mode="json")}
    begun = now.astimezone(UTC)
    temporary = about.with_suffix(".tmp")
    temporary.write_text(json.dumps({**facts, "now": begun.isoformat()}), encoding="utf-8")
    temporary.replace(about)
    return begun


def clear(folder: Path) -> None:
    """Delete the folder of an import that is over."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.parent.is_dir():
        sync_folder(folder.parent)


_RUNNING: set[Path] = set()
_GUARD = threading.Lock()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep a second import of the same out.

    Raises:
        AgentBusy: one is running.
    """
    with _GUARD:
        if folder in _RUNNING:
            raise AgentBusy("The same import is running. Wait for it, or stop it.")
        _RUNNING.add(folder)
    try:
        yield
    finally:
        with _GUARD:
            _RUNNING.discard(folder)
