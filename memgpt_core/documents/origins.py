"""Where the documents of one agent came from on this machine, so that a name stands for one place.

A file that comes from the same place again is its document's next version; another place's file of that name is called
otherwise. Kept in a file beside the log and never in it: a path says much about a machine, and what a document is
called is decided before its event. Where nothing is known (an older log, one from elsewhere), a name is its own.
"""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from memgpt_core.documents.intake import checked_name
from memgpt_core.errors import NotReadable

FILE = "origins.json"
"""In an agent's folder: by name, the path of a file or folder that was added, or `BROWSER`."""

BROWSER = "browser"
"""No path: the file came through a browser, which does not say where it is."""


class Called(NamedTuple):
    """What a file or folder is called, and why not by its own name; empty when it is."""

    name: str
    why: str = ""


class Origins:
    """The origins of one agent's documents, for one run that adds some."""

    def __init__(self, folder: Path, stands: Callable[[str], bool]) -> None:
        """`stands` says whether there is a document of that name, or one inside a folder of that name."""
        self._path = folder / FILE
        self._stands = stands
        self._known = self._read()
        self._given: set[str] = set()

    def of(self, path: Path) -> Called:
        """What the file or folder at `path` is called: as before, as its place in a known folder, or anew.

        Raises:
            NotReadable: it has no name.
        """
        at = os.path.normpath(path)
        before = next((name for name, origin in self._known.items() if origin == at), None)
        if before is None:
            before = next(filter(self._stands, self._inside(at)), None)
        if before is not None:
            self._given.add(before)
            return Called(before)
        own = checked_name(path.name or at)
        name = next(name for name in _names(own, path) if self._free(name, own))
        self._keep(name, at)
        why = f"It is called so because another {own} is here, from elsewhere." if name != own else ""
        return Called(name, why)

    def named(self, name: str) -> None:
        """Something came under a given name, from no known place."""
        root = name.partition("/")[0]
        if root not in self._known:
            self._keep(root, BROWSER)

    def _free(self, name: str, own: str) -> bool:
        """Whether a new place may have this name: nobody has it, or one of whom it is not known where it is from."""
        if name in self._given:
            return False
        return not self._stands(name) or (name == own and name not in self._known)

    def _inside(self, at: str) -> Iterator[str]:
        for name, origin in self._known.items():
            if origin != BROWSER and at.startswith(origin.rstrip(os.sep) + os.sep):
                yield f"{name}/{os.path.relpath(at, origin).replace(os.sep, '/')}"

    def _keep(self, name: str, origin: str) -> None:
        self._given.add(name)
        self._known[name] = origin
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self._known), encoding="utf-8")
        new.replace(self._path)

    def _read(self) -> dict[str, str]:
        try:
            return {str(name): str(origin) for name, origin in json.loads(self._path.read_text("utf-8")).items()}
        except (OSError, ValueError, AttributeError):
            return {}


def apart(name: str, taken: Callable[[str], bool]) -> str:
    """A name like this one that is not taken."""
    return next(other for other in _numbered(name) if not taken(other))


def _names(own: str, path: Path) -> Iterator[str]:
    """Its own name, then with the folder it is in, and that one's, at last with numbers."""
    yield own
    said = ""
    for folder in path.parents:
        try:
            said += f"{' in ' if said else ''}{checked_name(folder.name)}"
        except NotReadable:
            break
        yield _with(own, said)
    yield from _numbered(own)


def _numbered(name: str) -> Iterator[str]:
    number = 2
    while True:
        yield _with(name, str(number))
        number += 1


def _with(name: str, more: str) -> str:
    """A name with more in brackets; what tells the kind of file stays at the end."""
    folder, _, file = name.rpartition("/")
    stem, dot, ending = file.rpartition(".")
    said = f"{stem} ({more}).{ending}" if stem and dot else f"{file} ({more})"
    return checked_name(f"{folder}/{said}" if folder else said)
