"""A chat model that answers from a recording: the reply, refusal or stop that stands next in it."""

from collections.abc import Callable
from typing import Any

from memgpt_core.errors import ContextOverflow, ModelUnavailable
from memgpt_core.llm.base import Progress, Reply, Stopped


class RecordedModel:
    """Replays model replies; asks for the next recorded event each time, and calls nothing."""

    def __init__(self, upcoming: Callable[[], Any]) -> None:
        """`upcoming()` is the recorded event that should be committed next, or None at the end."""
        self._upcoming = upcoming

    def chat(self, body: dict[str, Any], progress: Progress) -> Reply:
        """The recorded reply, whatever `body` says; the rerun compares bodies by their digests.

        Raises:
            ModelUnavailable, ContextOverflow: the recorded call failed so.
            Stopped: the recorded call was stopped by a person.
        """
        event = self._upcoming()
        if event is None or event.kind not in ("model_replied", "fault_recorded"):
            raise Stopped
        if event.kind == "fault_recorded":
            raise (ContextOverflow if event.overflow else ModelUnavailable)(event.error)
        return Reply(
            event.content,
            event.thinking,
            event.calls,
            event.done_reason,
            event.measured,
            salvaged=event.salvaged,
            calls_dropped=event.calls_dropped,
        )
