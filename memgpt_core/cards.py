"""Agents as a list shows them: what a card says, read from an open agent or from a log that nobody has open.

The name, the model and the counts are those of the newest state: a checkpoint and the lines after it, so that a
rename is seen and a long log is not folded whole. Decides nothing and changes nothing.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from memgpt_core.errors import MemscopeError
from memgpt_core.events import EPOCH
from memgpt_core.folders import is_archived, is_temporary
from memgpt_core.log import Log
from memgpt_core.opening import OpenLog
from memgpt_core.state import Provenance, State


class AgentCard(NamedTuple):
    """An agent as a list shows it. `problem` is empty, or a sentence on why its log cannot be read.

    A `temporary` one is deleted when the home is closed; `provenance` says what a fork was forked from.
    """

    id: str
    name: str
    about: str
    model: str
    events: int
    last_at: datetime
    busy: bool
    problem: str
    messages: int = 0
    passages: int = 0
    archived: bool = False
    temporary: bool = False
    provenance: Provenance | None = None


class Sample(NamedTuple):
    """A recorded agent that ships with Memscope."""

    id: str
    name: str
    about: str
    events: int


def card_of(folder: Path, state: State, *, busy: bool = False, problem: str = "") -> AgentCard:
    """The card of the agent in `folder` when it is at `state`."""
    return AgentCard(
        id=folder.name,
        name=state.name,
        about=state.about,
        model=state.settings.model,
        events=state.seq,
        last_at=state.at,
        busy=busy,
        problem=problem,
        messages=state.messages,
        passages=state.passages,
        archived=is_archived(folder),
        temporary=is_temporary(folder),
        provenance=state.provenance,
    )


class Cards:
    """Cards of agents that are not open; a log is read again only when its size or time has changed."""

    def __init__(self) -> None:
        self._kept: dict[Path, tuple[tuple[int, int], Any]] = {}

    def card(self, folder: Path) -> AgentCard:
        """The card of an agent that is not open."""
        card: AgentCard = self._read(folder, _read_card)
        return card._replace(archived=is_archived(folder), temporary=is_temporary(folder))

    def sample(self, folder: Path) -> Sample | None:
        """The sample in `folder`; None when its recording cannot be read."""
        sample: Sample | None = self._read(folder, _read_sample)
        return sample

    def _read(self, folder: Path, read: Callable[[Path], Any]) -> Any:
        stat = (folder / "run.jsonl").stat()
        mark = (stat.st_size, stat.st_mtime_ns)
        if folder not in self._kept or self._kept[folder][0] != mark:
            self._kept[folder] = (mark, read(folder))
        return self._kept[folder][1]


def _read_card(folder: Path) -> AgentCard:
    try:
        opened = OpenLog(folder, read_only=True)
        try:
            if not opened.state.agent_id:
                why = opened.corrupt or ("its first event is not agent_created" if opened.state.seq else "it is empty")
                raise MemscopeError(why)
            return card_of(folder, opened.state, problem=opened.corrupt)
        finally:
            opened.log.close()
    except (OSError, LookupError, MemscopeError) as error:
        problem = f"Its log cannot be read: {error}"
        return AgentCard(folder.name, folder.name, "", "", 0, EPOCH, False, problem)


def _read_sample(folder: Path) -> Sample | None:
    # Its first line: a recording is not renamed, and folding ten thousand lines to know that would be felt.
    try:
        log = Log.open(folder / "run.jsonl", read_only=True)
        try:
            first: Any = log.read(1)
        finally:
            log.close()
    except (OSError, LookupError, MemscopeError):
        return None
    return Sample(folder.name, first.name, first.about, log.last_seq) if first.kind == "agent_created" else None
