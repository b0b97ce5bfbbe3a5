"""The agent's own searches of recall storage."""

from typing import Any

from memgpt_core.search import Found
from memgpt_core.workspace import Workspace
from pages.parts import past_searches, recall_rows
from pages.parts.frame import Here


def draw(here: Here) -> None:
    """The searches, and the chosen one run again."""
    past_searches.draw(here, _STORAGE)


def _again(ws: Workspace, event: Any, size: int, at: int | None) -> Found:
    # As the agent's own search does: what its turn had queued whole was before its eyes.
    state = ws.state(at=event.seq - 1)
    asking = tuple(entry.id for entry in state.queue if entry.turn == state.turn and entry.clip is None)
    days = {"start": event.start, "end": event.end}
    return ws.recall(event.query, roles=event.roles, **days, page_size=size, at=at, exclude=asking)


_STORAGE = past_searches.Storage(
    name="recall",
    called="`conversation_search` or `conversation_search_date`",
    items="messages",
    kind="recall_searched",
    run=_again,
    texts=recall_rows.texts,
    open="message",
    page="pages/recall.py",
    look={"mode": "ranked"},
)
