"""The agent's own searches of archival storage."""

from collections.abc import Sequence
from typing import Any

from memgpt_core import passages
from memgpt_core.search import Found
from memgpt_core.workspace import Workspace
from pages.parts import past_searches
from pages.parts.frame import Here


def draw(here: Here) -> None:
    """The searches, and the chosen one run again."""
    past_searches.draw(here, _STORAGE)


def _again(ws: Workspace, event: Any, size: int, at: int | None) -> Found:
    return ws.archival(event.query, tags=event.tags, start=event.start, end=event.end, page_size=size, at=at)


def _texts(ws: Workspace, ids: Sequence[str]) -> dict[str, str]:
    return passages.last_texts(ws.rows, ids)


_STORAGE = past_searches.Storage(
    name="archival",
    called="`archival_memory_search`",
    items="passages",
    kind="archival_searched",
    run=_again,
    texts=_texts,
    open="passage",
    page="pages/archival.py",
    look={},
)
