"""What was learned about each model, kept for the home in `models.json`: factors, dimensions, trials.

Disposable: losing it costs a few steps of learning and a trial. Written whole and renamed, so that it is
never half there.
"""

import contextlib
import json
import os
import threading
from pathlib import Path
from typing import Any


class Knowledge:
    """One JSON object a model, by its name; unreadable files count as empty."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._models: dict[str, dict[str, Any]] = {}
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(path.read_text(encoding="utf-8"))
            self._models = found if isinstance(found, dict) else {}

    def of(self, model: str) -> dict[str, Any]:
        """What is known of a model; a copy."""
        with self._lock:
            return dict(self._models.get(model, {}))

    def models(self) -> list[str]:
        """Every model something is known of."""
        with self._lock:
            return list(self._models)

    def learn(self, model: str, **facts: Any) -> None:
        """Keep facts about a model beside those already known; a disk that takes nothing is no error."""
        with self._lock:
            known = self._models.get(model, {})
            if all(known.get(name) == value for name, value in facts.items()):
                return
            self._models[model] = {**known, **facts}
            new = self._path.with_suffix(".new")
            with contextlib.suppress(OSError):
                with new.open("w", encoding="utf-8") as file:
                    json.dump(self._models, file, ensure_ascii=False, indent=1)
                    file.flush()
                    os.fsync(file.fileno())
                new.replace(self._path)
