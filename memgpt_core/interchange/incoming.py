"""Any file that can come in: one call that takes it, whatever it is.

Knows the three importers and what each needs to be told; reads nothing of a format itself.
"""

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from memgpt_core import folders
from memgpt_core.home import Home
from memgpt_core.interchange import letta
from memgpt_core.interchange.bundle import AlreadyHere, import_bundle
from memgpt_core.interchange.halfway import Unfinished, unfinished
from memgpt_core.interchange.halfway import discard as discard_import
from memgpt_core.interchange.importing import Report, import_conversations
from memgpt_core.interchange.looking import Found, kind_of, look, plural
from memgpt_core.interchange.records import ImportRefused
from memgpt_core.interchange.uploads import IMPORT, drop, is_upload, keep
from memgpt_core.jobs import Stop, Told, stoppable
from memgpt_core.settings import AgentSettings

__all__ = [
    "IMPORT",
    "Found",
    "Taken",
    "Wishes",
    "begin",
    "discard",
    "drop",
    "go_on",
    "is_upload",
    "keep",
    "look",
    "resume",
    "take",
    "unfinished",
]

CHUNK_BYTES = 2**20

OnBad = Literal["skip", "refuse"]
Summaries = Literal["extract", "model"]


class Wishes(NamedTuple):
    """How a file is to be taken; what its kind does not know is not looked at.

    Attributes:
        name: of the new agent; empty for `Found.name`.
        into: conversations go to this agent; empty for a new one.
        user_speaker: who of two people becomes the user; empty for the first.
        on_bad: whether a record that cannot be read is skipped, or refuses everything.
        summaries: of what is flushed: picked sentences, or the agent's own model.
        records: numbers of the records to take, from 1; empty for all.
        settings: of a new agent for conversations.
    """

    name: str = ""
    into: str = ""
    user_speaker: str = ""
    on_bad: OnBad = "skip"
    summaries: Summaries = "extract"
    records: tuple[int, ...] = ()
    settings: AgentSettings | None = None


class Taken(NamedTuple):
    """What came of it.

    Attributes:
        agent_id: who has it now; empty when it was stopped.
        says: the whole in a sentence.
        notes: what was left out, assumed or changed, a sentence each.
        skipped: (number of the record, what is wrong with it), of many the first; `skipped_records` counts all.
        added: whether anything was.
        stopped: it was stopped and can go on.
    """

    agent_id: str
    says: str
    notes: tuple[str, ...] = ()
    skipped: tuple[tuple[int, str], ...] = ()
    skipped_records: int = 0
    added: bool = True
    stopped: bool = False


def take(home: Home, path: Path, wishes: Wishes, told: Told, stop: Stop) -> Taken:
    """Bring a file into the home, whole or not at all.

    Raises:
        MemscopeError: whatever its importer refuses; the sentence says what, and nothing was changed.
    """
    kind = kind_of(path)
    if kind == "bundle":
        return _take_bundle(home, path, told, stop)
    if kind == "letta":
        return _take_letta(home, path, wishes, stoppable(told, stop))
    report = import_conversations(
        home,
        path,
        into=wishes.into or None,
        name=wishes.name,
        user_speaker=wishes.user_speaker,
        on_bad=wishes.on_bad,
        records=wishes.records,
        summaries=wishes.summaries,
        settings=wishes.settings,
        progress=told,
        stop=stop,
    )
    return _taken(home, report)


def go_on(home: Home, left: Unfinished, told: Told, stop: Stop) -> Taken:
    """Take up an import that was stopped.

    Raises:
        MemscopeError: as `take`; the file is not where it was.
    """
    path = Path(left.path)
    if not path.is_file():
        raise ImportRefused(f"{path} is not there any more. Put the file back, or discard this import.")
    return _taken(home, import_conversations(home, path, progress=told, stop=stop, **left.again))


def discard(home: Home, left: Unfinished) -> None:
    """Give up an import that was stopped, with the file if it came through a browser; no agent is touched.

    Raises:
        AgentBusy: it is running.
    """
    discard_import(home, left.key)
    drop(home, Path(left.path))


def begin(home: Home, path: Path, wishes: Wishes) -> None:
    """Bring a file into the home in the background, under `IMPORT`; its outcome is a `Taken`.

    Raises:
        AgentBusy: another import is not done.
    """
    _begin(home, path, partial(take, home, path, wishes))


def resume(home: Home, left: Unfinished) -> None:
    """Take up an import that was stopped in the background, as `begin`.

    Raises:
        AgentBusy: another import is not done.
    """
    _begin(home, Path(left.path), partial(go_on, home, left))


def _begin(home: Home, path: Path, do: Callable[[Told, Stop], Taken]) -> None:
    def work(told: Told, stop: Stop) -> Taken:
        taken = do(told, stop)
        if not taken.stopped:
            drop(home, path)
        return taken

    home.jobs.start(IMPORT, f"the import of {path.name}", work)


def _take_bundle(home: Home, path: Path, told: Told, stop: Stop) -> Taken:
    try:
        agent_id = import_bundle(home, path, told, stop=stop)
    except AlreadyHere as held:
        return Taken(held.agent_id, str(held), added=False)
    state = home.open(agent_id).state()
    return Taken(agent_id, f"{state.name} is here as {agent_id}, with {state.seq:,} events.")


def _take_letta(home: Home, path: Path, wishes: Wishes, told: Told) -> Taken:
    name = folders.named(wishes.name) if wishes.name else look(path).name
    for card in home.agents(archived=True):
        if card.name == name and _mentions(home.path / "agents" / card.id / "run.jsonl", _digest(path)):
            return Taken(
                card.id,
                f"This agent is here already: {card.name} ({card.id}) came from the same file. Nothing was added. Give "
                "it another name to take it once more.",
                added=False,
            )
    made = letta.import_agent_file(home, path, progress=told)
    state = home.open(made.id).state()
    if name != state.name:
        home.rename(made.id, name, state.about)
    says = f"{name} is here as {made.id}, with {state.seq:,} events made of the file."
    return Taken(made.id, says, tuple(made.lost))


def _taken(home: Home, report: Report) -> Taken:
    skipped, count = tuple(report.skipped), report.skipped_records
    if report.stopped:
        return Taken("", "It was stopped. No agent was changed, and it can go on from here.", stopped=True)
    name = home.open(report.agent_id).state().name
    notes = []
    if report.already:
        notes.append(f"{plural(report.already, 'message')} of the file were here already, or stand in it twice.")
    if report.moved:
        notes.append(
            f"{plural(report.moved, 'message')} are older than what {name} had lived: they stand behind it, with "
            "their time in their text."
        )
    if not report.messages:
        says = f"Nothing new is in the file: {name} ({report.agent_id}) has all of it."
        return Taken(report.agent_id, says, (), skipped, count, added=False)
    says = (
        f"{name} ({report.agent_id}) has lived {plural(report.messages, 'message')} of the file in "
        f"{plural(report.sessions, 'session')}."
    )
    return Taken(report.agent_id, says, tuple(notes), skipped, count)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _mentions(log: Path, digest: str) -> bool:
    """Whether a log says that it has something from the file with this digest."""
    with log.open("rb") as lines:
        for line in lines:
            if b'"history_imported"' in line and json.loads(line).get("sha256") == digest:
                return True
    return False
