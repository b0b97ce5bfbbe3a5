"""The commands that bring files in and out: `import`, `export` and `share`.

Stands with the command line, which hands it the home and says where a recording lies. One `import` for every kind of
file: what it is, is told by what is in it.
"""

import argparse
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from memgpt_core.bookmarks import Bookmarks
from memgpt_core.errors import MemscopeError
from memgpt_core.home import Home
from memgpt_core.interchange import incoming, outgoing
from memgpt_core.interchange.incoming import Wishes
from memgpt_core.interchange.outgoing import KINDS, Wanted
from memgpt_core.interchange.patterns import NAMED
from memgpt_core.interchange.redact import Redacted, Redaction, Redactor
from memgpt_core.interchange.sealed import never
from memgpt_core.log import read_events
from memgpt_core.sharing import Recording, session_stretch, share_html

OpenHome = Callable[[], AbstractContextManager[Home]]


def add(commands: Any, home: OpenHome, recording: Callable[[str], Path]) -> None:
    """Put the commands among the others; `recording` finds the log of an agent, a sample or a path."""
    _add_share(commands).set_defaults(run=lambda arguments: _share(arguments, recording(arguments.recording)))
    _add_export(commands).set_defaults(run=lambda arguments: _export(arguments, home))
    _add_import(commands).set_defaults(run=lambda arguments: _import(arguments, home))


def _add_share(commands: Any) -> Any:
    share = commands.add_parser("share", help="make one HTML file of a recording, which plays in any browser")
    share.add_argument("recording", help="an agent's id, a sample's, or the path of a run.jsonl")
    share.add_argument("out", type=Path, help="the file to make; one that is there already is left alone")
    share.add_argument("--session", type=int, metavar="N", help="only this session")
    share.add_argument("--from", dest="start", type=int, default=1, metavar="SEQ", help="first event")
    share.add_argument("--to", dest="stop", type=int, metavar="SEQ", help="last event")
    _add_redaction(share)
    return share


def _add_export(commands: Any) -> Any:
    export = commands.add_parser("export", help="write an agent into one file, for another machine or another tool")
    export.add_argument("agent", help="an agent's id")
    export.add_argument("out", type=Path, help="the file to make; one that is there already is left alone")
    export.add_argument(
        "--format",
        choices=tuple(KINDS),
        default="bundle",
        help="bundle: everything, for another Memscope (default). html: a page that plays it. letta: an agent file. "
        "openai, sharegpt: what was said, a session a line",
    )
    export.add_argument("--to", dest="at", type=int, metavar="SEQ", help="last event (bundle, html)")
    export.add_argument("--session", type=int, metavar="N", help="only this session (html)")
    _add_redaction(export)
    return export


def _add_import(commands: Any) -> Any:
    take = commands.add_parser(
        "import",
        help="make an agent of a file: a bundle, a Letta agent file, or conversations of another tool",
        epilog="What the file is, is told by what is in it. Stopped, the same command goes on; a second time it adds "
        "nothing.",
    )
    take.add_argument("file", type=Path, help="the file; no code in it is run")
    take.add_argument("--name", default="", help="the new agent's name (not of a bundle, which has its own)")
    chats = take.add_argument_group("conversations")
    chats.add_argument("--into", metavar="AGENT", default="", help="an agent's id (default: a new agent)")
    chats.add_argument("--user", default="", metavar="SPEAKER", help="which of two people is the user")
    chats.add_argument("--record", action="append", type=int, default=[], metavar="N", help="only this record, from 1")
    chats.add_argument("--refuse", action="store_true", help="take nothing if a record cannot be read")
    chats.add_argument("--model-summaries", action="store_true", help="have the model summarise what leaves the window")
    return take


def _add_redaction(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--redact", action="append", default=[], choices=NAMED, help="replace these in every text")
    parser.add_argument(
        "--redact-own",
        action="append",
        nargs=2,
        default=[],
        metavar=("NAME", "EXPRESSION"),
        help="replace what a regular expression finds, by [redacted:NAME]",
    )
    parser.add_argument("--redact-block", action="append", default=[], metavar="LABEL", help="replace a block's texts")


def _redaction(arguments: Any) -> Redaction | None:
    wanted = Redaction(tuple(arguments.redact), dict(arguments.redact_own), tuple(arguments.redact_block))
    return wanted if any(wanted) else None


def _share(arguments: Any, log: Path) -> int:
    if arguments.out.exists():
        raise MemscopeError(f"There is a file {arguments.out} already. Give another name, or take it away first.")
    recording = Recording(log)
    try:
        start, stop = arguments.start, arguments.stop
        if arguments.session is not None:
            start, stop = session_stretch(recording, arguments.session)
        wanted = _redaction(arguments)
        redactor = Redactor(wanted, read_events(log)) if wanted else None
        said = redactor.text if redactor else str
        marks = [(mark.seq, said(mark.text)) for mark in Bookmarks(log.parent).all()]
        redaction = redactor.event if redactor else None
        made = share_html(recording, start, stop, redaction=redaction, bookmarks=marks)
        last = recording.last_seq if stop is None else stop
    finally:
        recording.close()
    arguments.out.write_bytes(made)
    print(f"{arguments.out}: events {start} to {last}, {len(made) / 1e6:.1f} MB. Open it in any browser.")
    _print_redacted(redactor.report() if redactor else ())
    return 0


def _export(arguments: Any, home: OpenHome) -> int:
    wanted = Wanted(arguments.format, 1, arguments.at, arguments.session, _redaction(arguments))
    with home() as opened:
        made = outgoing.make(opened.open(arguments.agent), wanted, arguments.out, _told, never)
    print(f"\r{made.path} holds {made.holds} in {made.size_bytes / 1e6:,.1f} MB.")
    _print_redacted(made.redacted or ())
    for note in made.notes:
        print(f"  {note}")
    return 0


def _print_redacted(report: tuple[Redacted, ...]) -> None:
    for one in report:
        print(f"  {one.name}: replaced {one.replacements:,} times, in {one.events:,} events.")


def _import(arguments: Any, home: OpenHome) -> int:
    wishes = Wishes(
        name=arguments.name,
        into=arguments.into,
        user_speaker=arguments.user,
        on_bad="refuse" if arguments.refuse else "skip",
        records=tuple(arguments.record),
        summaries="model" if arguments.model_summaries else "extract",
    )
    found = incoming.look(arguments.file)
    print(f"{found.says}.", file=sys.stderr)
    with home() as opened:
        taken = incoming.take(opened, arguments.file, wishes, _told, never)
    print(f"\r{taken.says}")
    for note in taken.notes:
        print(f"  {note}")
    for number, why in taken.skipped:
        print(f"  Record {number} was skipped: it {why}.")
    if (more := taken.skipped_records - len(taken.skipped)) > 0:
        print(f"  And {more:,} records more.")
    return 0


def _told(share: float) -> None:
    print(f"\r{share:6.1%}", end="", flush=True, file=sys.stderr)
