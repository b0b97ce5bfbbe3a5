"""Letta agent files (`.af`) in and out: the two doors.

In: version 1 and 2, as a new agent whose log tells what the file tells. Out: version 2, as Letta 0.16.8 reads it. Both
say what was lost on the way. Letta itself is never imported, and no code out of a file is run or kept.
"""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from memgpt_core.errors import MemscopeError
from memgpt_core.folders import NEW
from memgpt_core.home import Home
from memgpt_core.interchange.letta_export import export
from memgpt_core.interchange.letta_file import load
from memgpt_core.interchange.letta_import import prepare, write
from memgpt_core.journal import utc_now
from memgpt_core.stores.vectors import VectorStore
from memgpt_core.workspace import Workspace

WRITTEN_SHARE = 0.7
"""How much of an import is done when its log is written; the rest is its stores."""


class Imported(NamedTuple):
    """The new agent's id, and what was left out, assumed or changed, a sentence each."""

    id: str
    lost: list[str]


def import_agent_file(
    home: Home,
    path: Path,
    *,
    progress: Callable[[float], None] | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Imported:
    """A new agent out of an agent file of version 1 or 2; made aside, there whole or not at all.

    Raises:
        AgentFileRefused: the file cannot be imported; the sentence says what is wrong, and where.
    """
    told = prepare(load(path), clock().astimezone(UTC))
    say = progress or (lambda _share: None)
    lost: list[str] = []

    def fill(folder: Path, vectors: VectorStore) -> None:
        lost.extend(write(told, folder, folder / NEW, lambda share: say(share * WRITTEN_SHARE)))

    return Imported(home.adopt(told.name, fill, say), lost)


def export_agent_file(workspace: Workspace) -> tuple[dict[str, Any], list[str]]:
    """The agent as an agent file of version 2, ready for `json.dump`, and what it does not hold, a sentence each."""
    return export(workspace.state(), workspace.event, workspace.rows)


def write_agent_file(workspace: Workspace, out: Path) -> list[str]:
    """Write the agent file to `out`, whole or not at all; what it does not hold, a sentence each.

    Raises:
        MemscopeError: there is something of that name already.
        OSError: the file cannot be written; nothing of it is left.
    """
    if out.exists():
        raise MemscopeError(f"{out.name} is there already. Choose another name, or move it away.")
    file, lost = export_agent_file(workspace)
    part = out.with_name(out.name + ".part")
    try:
        with part.open("x", encoding="utf-8") as written:
            json.dump(file, written, ensure_ascii=False, indent=1)
            written.flush()
            os.fsync(written.fileno())
        part.replace(out)
    except FileExistsError:
        raise MemscopeError(f"{part.name} is there: another export writes it, or one was cut off. Remove it.") from None
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return lost
