"""The commands of documents: `documents add`, `list` and `remove`.

Stands with the command line, which hands it the home.
"""

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from memgpt_core.adding import Outcome
from memgpt_core.errors import EditRefused, MemscopeError
from memgpt_core.home import Home

OpenHome = Callable[[], AbstractContextManager[Home]]

LOOK_EVERY_S = 0.2


def add(commands: Any, home: OpenHome) -> None:
    """Put the command among the others."""
    documents = commands.add_parser(
        "documents", help="add files and folders to an agent's archival storage, or list them"
    )
    which = documents.add_subparsers(title="commands", metavar="COMMAND", required=True)

    taking = which.add_parser(
        "add",
        help="add files, and folders with all that is in them",
        epilog="Stopped, the same command goes on; a second time it adds only what has changed.",
    )
    taking.add_argument("agent", help="an agent's id")
    taking.add_argument("path", type=Path, nargs="+", help="a file or a folder")
    taking.add_argument("--tag", action="append", default=[], metavar="TAG", help="file the passages under this tag")
    taking.add_argument(
        "--remove-gone", action="store_true", help="remove documents whose file is gone from the folder"
    )
    taking.add_argument("--tell", action="store_true", help="tell the agent when it is done")
    taking.set_defaults(run=lambda arguments: _add(arguments, home))

    listing = which.add_parser("list", help="list an agent's documents")
    listing.add_argument("agent", help="an agent's id")
    listing.set_defaults(run=lambda arguments: _list(arguments, home))

    removing = which.add_parser("remove", help="remove a document with its passages; adding it again brings it back")
    removing.add_argument("agent", help="an agent's id")
    removing.add_argument("document", help="its id or its name")
    removing.set_defaults(run=lambda arguments: _remove(arguments, home))


def _add(arguments: Any, home: OpenHome) -> int:
    with home() as opened:
        adding = opened.adding
        adding.start(
            arguments.agent,
            arguments.path,
            tags=arguments.tag,
            remove_gone=arguments.remove_gone,
            tell=arguments.tell,
        )
        try:
            while (job := adding.job(arguments.agent)) and job.running:
                print(f"\r{job.share or 0:6.1%}", end="", flush=True, file=sys.stderr)
                time.sleep(LOOK_EVERY_S)
        except KeyboardInterrupt:
            adding.stop(arguments.agent)
            raise
        if job is None or job.failed:
            raise MemscopeError(job.failed if job else "It was not begun.")
        outcome: Outcome = job.outcome
        if arguments.tell:
            opened.open(arguments.agent).wait_idle(600)
    print("\r", end="", file=sys.stderr)
    for line in outcome.lines:
        new = f", {line.added:,} new, {line.ended:,} gone" if line.what == "updated" else ""
        print(
            f"{line.what:>9}  {line.why if line.what == 'refused' else f'{line.name}: {line.passages:,} passages{new}'}"
        )
    print(", ".join(f"{count:,} {what}" for what, count in outcome.counts.items()) or "Nothing there.")
    if outcome.said:
        print(outcome.said)
    return 1 if outcome.counts.get("refused") else 0


def _list(arguments: Any, home: OpenHome) -> int:
    with home() as opened:
        there = opened.open(arguments.agent).documents.all()
    for one in there:
        pages = f", {one.pages:,} pages" if one.pages else ""
        print(f"{one.id:>7}  {one.name}: {one.passages:,} passages{pages}, {one.bytes / 1e6:,.1f} MB, {one.media}")
    count = "1 document." if len(there) == 1 else f"{len(there):,} documents."
    print(count if there else "No documents. `documents add` brings some.")
    return 0


def _remove(arguments: Any, home: OpenHome) -> int:
    with home() as opened:
        documents = opened.open(arguments.agent).documents
        found = documents.get(arguments.document) or documents.named(arguments.document)
        if found is None:
            raise EditRefused(f"There is no document '{arguments.document}'. `documents list` shows them.")
        documents.remove(found.id)
    print(f"{found.name} is removed, with {found.passages:,} passages.")
    return 0
