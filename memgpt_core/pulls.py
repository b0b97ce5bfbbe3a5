"""Models on their way to the server: each pull in a thread of its own, told as it goes, to be stopped and resumed."""

import threading
import time
from collections.abc import Callable
from typing import Literal, NamedTuple

from memgpt_core.errors import MemscopeError
from memgpt_core.llm.base import Stopped
from memgpt_core.llm.ollama_server import OllamaServer, Pulling


class PullView(NamedTuple):
    """A pull on its way or just over."""

    model: str
    state: Literal["pulling", "done", "failed", "cancelled"]
    status: str
    completed_bytes: int
    total_bytes: int
    bytes_per_s: float
    why: str


class Pulls:
    """The pulls of one server; `moved(over)` is called whenever a view changed, and with True when one ended."""

    def __init__(self, server: Callable[[], OllamaServer], moved: Callable[[bool], None]) -> None:
        self._server = server
        self._moved = moved
        self._views: dict[str, PullView] = {}
        self._cancelled: set[str] = set()

    def views(self) -> list[PullView]:
        """Pulls on their way or over since the start, newest last."""
        return list(self._views.values())

    def start(self, model: str) -> None:
        """Get a model in the background; one that broke off or was cancelled goes on where it was."""
        running = self._views.pop(model, None)
        if running and running.state == "pulling":
            self._views[model] = running
            return
        self._cancelled.discard(model)
        self._tell(PullView(model, "pulling", "asking the server", 0, 0, 0.0, ""))
        threading.Thread(target=self._pull, args=(model,), name=f"pull {model}", daemon=True).start()

    def cancel(self, model: str) -> None:
        """Stop a pull; what has come stays and is not fetched again."""
        self._cancelled.add(model)

    def cancel_all(self) -> None:
        """Stop every pull."""
        self._cancelled |= set(self._views)

    def _pull(self, model: str) -> None:
        started, first = time.monotonic(), -1

        def progress(seen: Pulling) -> None:
            nonlocal first
            if first < 0:
                first = seen.completed_bytes
            rate = (seen.completed_bytes - first) / max(0.1, time.monotonic() - started)
            self._tell(PullView(model, "pulling", seen.status, seen.completed_bytes, seen.total_bytes, rate, ""))

        try:
            self._server().pull(model, progress, lambda: model in self._cancelled)
            self._end(model, "done", "")
        except Stopped:
            self._end(model, "cancelled", "Cancelled. What has come stays; start it again to go on.")
        except MemscopeError as error:
            self._end(model, "failed", str(error))

    def _end(self, model: str, state: Literal["done", "failed", "cancelled"], why: str) -> None:
        self._tell(self._views[model]._replace(state=state, why=why, bytes_per_s=0.0))

    def _tell(self, pull: PullView) -> None:
        self._views[pull.model] = pull
        self._moved(pull.state != "pulling")
