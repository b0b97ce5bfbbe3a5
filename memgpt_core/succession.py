"""Another embedding model takes over in the background, while the present one goes on answering searches.

Knows the stores by what they offer (`Succeeding`), and a small file beside them that says who answers until it is
done, so that a restart goes on with the same two. When the new model does not answer, the sentence is kept, the old one
stays, and it is tried again; what was embedded so far is never embedded again.
"""

import contextlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from memgpt_core.embedding.base import Embedder
from memgpt_core.errors import MemscopeError

RETRY_AFTER_S = 5.0
STOP_WITHIN_S = 10.0


class Coming(NamedTuple):
    """A model on its way: texts it has embedded of those wanted, and why it got no further, empty when it does."""

    model: str
    made: int
    wanted: int
    why: str


class Succeeding(Protocol):
    """Stores whose embedder can be succeeded by another."""

    def succeed(
        self, embedder: Embedder, told: Callable[[int, int], None], go_on: Callable[[], bool], then: Callable[[], None]
    ) -> bool:
        """Embed everything with `embedder`, then let it answer and call `then`; False when `go_on` said no before.

        Raises:
            MemscopeError: it cannot go on now.
        """


class Answering:
    """The file that says which embedder answers, of an agent whose settings name another."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "answering.json"

    def read(self, chosen: str) -> str:
        """Who answers, in the settings' words: `chosen` unless another does until it is ready."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            said = json.loads(self._path.read_text(encoding="utf-8"))
            if said["until"] == chosen:
                return str(said["answers"])
        return chosen

    def keep(self, answers: str, until: str) -> None:
        """Note that one answers until the other is ready; on a full disk a restart begins with the new one."""
        new = self._path.with_suffix(".new")
        with contextlib.suppress(OSError):
            new.write_text(json.dumps({"answers": answers, "until": until}), encoding="utf-8")
            new.replace(self._path)

    def forget(self) -> None:
        """The settings' own embedder answers."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


class Succession:
    """One model's way into the stores, in a thread of its own."""

    def __init__(self, stores: Succeeding, embedder: Embedder, then: Callable[[], None]) -> None:
        """`then` is called when the embedder answers."""
        self._stores = stores
        self._embedder = embedder
        self._then = then
        self._stopping = threading.Event()
        self._again = threading.Event()
        self._view = Coming(embedder.name, 0, 0, "")
        self._thread = threading.Thread(target=self._run, name=f"{embedder.name} takes over", daemon=True)
        self._thread.start()

    def view(self) -> Coming:
        """How far it is."""
        return self._view

    def again(self) -> None:
        """Try now, without waiting."""
        self._again.set()

    def stop(self) -> None:
        """Leave it; what was embedded stays for another time."""
        self._stopping.set()
        self._again.set()
        if self._thread is not threading.current_thread():
            self._thread.join(STOP_WITHIN_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._again.clear()
            try:
                self._stores.succeed(self._embedder, self._tell, lambda: not self._stopping.is_set(), self._then)
                return
            except MemscopeError as error:
                self._view = self._view._replace(why=str(error))
            if not self._stopping.is_set():
                self._again.wait(RETRY_AFTER_S)

    def _tell(self, made: int, wanted: int) -> None:
        self._view = self._view._replace(made=made, wanted=wanted, why="")
