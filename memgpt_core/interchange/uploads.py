"""Files that came through a browser: kept on the disk while an import needs them, and no longer.

An import that was stopped can go on after a restart, so its file has to be there; all others go.
"""

import hashlib
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from memgpt_core.errors import MemscopeError
from memgpt_core.home import Home
from memgpt_core.interchange.halfway import unfinished

IMPORT = "import"
"""The key under which an import goes on in `Home.jobs`: one at a time."""

UPLOADS = ".uploads"
FORGOTTEN_S = 3600.0
"""A file that was chosen and not imported within this time is not waited for."""

NAME_BYTES = 200


def keep(home: Home, name: str, pieces: Iterable[bytes]) -> Path:
    """Put an uploaded file where an import can find it after a restart; its path, under its own name.

    Uploads that lie about, chosen and never imported, are removed.

    Raises:
        MemscopeError: there is no room.
    """
    away = home.path / UPLOADS
    needed = {Path(one.path).parent for one in unfinished(home)}
    digest = hashlib.sha256()
    try:
        away.mkdir(exist_ok=True)
        for other in away.iterdir():
            if other not in needed and not home.jobs.busy(IMPORT) and other.stat().st_mtime < time.time() - FORGOTTEN_S:
                shutil.rmtree(other, ignore_errors=True)
        part = Path(tempfile.mkdtemp(dir=away))
        with (part / "part").open("wb") as file:
            for piece in pieces:
                digest.update(piece)
                file.write(piece)
        folder = away / digest.hexdigest()[:16]
        folder.mkdir(exist_ok=True)
        path = folder / _file_name(name)
        (part / "part").replace(path)
        part.rmdir()
    except OSError as error:
        raise MemscopeError(f"The file could not be kept ({error.strerror or error}). Free some disk space.") from error
    return path


def is_upload(home: Home, path: Path) -> bool:
    """Whether a file came through a browser."""
    return path.parent.parent == home.path / UPLOADS


def drop(home: Home, path: Path) -> None:
    """Remove a file if it came through a browser and no import needs it any more."""
    if is_upload(home, path) and str(path) not in {one.path for one in unfinished(home)}:
        shutil.rmtree(path.parent, ignore_errors=True)


def _file_name(name: str) -> str:
    """A name that stays in its folder; what it was called is kept, because the log tells where things came from."""
    kept = "".join(char for char in Path(name.replace("\\", "/")).name if char.isprintable())
    return kept.lstrip(".").encode()[-NAME_BYTES:].decode(errors="ignore") or "file"
