"""The command line: every command of `python -m memgpt_core`, from `chat` to `bench`.

Reads and writes through the same doors as the dashboard. A fault is one sentence on standard error and a
non-zero exit: 1 when something is wrong, 2 when the command itself was.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from memgpt_core import counterfactual
from memgpt_core.documents import commands as documents
from memgpt_core.errors import AgentNotFound, MemscopeError
from memgpt_core.events import encode
from memgpt_core.home import SAMPLES, Home
from memgpt_core.interchange import commands as exchange
from memgpt_core.log import read_events
from memgpt_core.replay import rerun_file
from memgpt_core.settings import default_home
from memgpt_core.workspace import Workspace

BENCHMARKS = Path(__file__).resolve().parent.parent / "tests" / "benchmarks"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        code = int(arguments.run(arguments))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read us has seen enough; the flush at exit must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (MemscopeError, OSError) as error:
        print(f"memscope: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m memgpt_core",
        description="Memscope on the command line: talk to agents, check and replay their logs.",
        epilog=f"Agents live in $MEMSCOPE_HOME (now {default_home()}).",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    chat = commands.add_parser("chat", help="talk to an agent in the terminal")
    chat.add_argument("agent", nargs="?", help="an agent's id, or a sample's to start from it (default: the last used)")
    chat.add_argument("--say", action="append", metavar="TEXT", help="send this and exit; may be given several times")
    chat.set_defaults(run=_chat)

    agents = commands.add_parser("agents", help="list the agents of this home and the samples")
    agents.set_defaults(run=_agents)

    rename = commands.add_parser("rename", help="give an agent another name; its id stays")
    rename.add_argument("agent", help="an agent's id")
    rename.add_argument("name", help="the new name")
    rename.add_argument("--about", metavar="TEXT", help="the line about it in lists (default: as it is)")
    rename.set_defaults(run=_rename)

    duplicate = commands.add_parser("duplicate", help="make another agent that goes on from all this one has lived")
    duplicate.add_argument("agent", help="an agent's id")
    duplicate.add_argument("name", help="the new agent's name")
    duplicate.set_defaults(run=_duplicate)

    fork = commands.add_parser("fork", help="make another agent that goes on from an event of this one's past")
    fork.add_argument("agent", help="an agent's id")
    fork.add_argument("at", type=int, metavar="SEQ", help="the last event the new agent shares with it")
    fork.add_argument("name", help="the new agent's name")
    fork.set_defaults(run=_fork)

    archive = commands.add_parser("archive", help="put an agent away: in no list, its timer silent, nothing changed")
    archive.add_argument("agent", help="an agent's id")
    archive.add_argument("--undo", action="store_true", help="take it back")
    archive.set_defaults(run=_archive)

    delete = commands.add_parser("delete", help="delete an agent with its log; it cannot be undone")
    delete.add_argument("agent", help="an agent's id")
    delete.add_argument("--yes", action="store_true", help="do it; without this, what would go is only printed")
    delete.set_defaults(run=_delete)

    verify = commands.add_parser("verify", help="compare an agent's stores with its log, row by row")
    verify.add_argument("agent", help="an agent's id")
    verify.set_defaults(run=_verify)

    rerun = commands.add_parser("rerun", help="run the engine over a recording and name the first event that differs")
    rerun.add_argument("recording", help="an agent's id, a sample's, or the path of a run.jsonl")
    rerun.set_defaults(run=_rerun)

    what_if = commands.add_parser(
        "counterfactual", help="run a turn again with one thing changed, in a fork that is deleted afterwards"
    )
    what_if.add_argument("agent", help="an agent's id")
    what_if.add_argument("turn", type=int, help="the turn's number")
    one = what_if.add_mutually_exclusive_group()
    one.add_argument("--without", metavar="ITEM", help="without this: block:LABEL, a message (m12) or a passage (p4)")
    one.add_argument("--change", nargs=2, metavar=("ITEM", "TEXT"), help="with another text of it")
    one.add_argument("--say", metavar="TEXT", help="with another message to the agent")
    what_if.add_argument("--model", help="asked by another model")
    what_if.add_argument("--times", type=int, default=1, metavar="N", help="how often, each in a fork of its own")
    what_if.set_defaults(run=_counterfactual)

    rebuild = commands.add_parser("rebuild", help="make an agent's stores anew from its log")
    rebuild.add_argument("agent", help="an agent's id")
    rebuild.set_defaults(run=_rebuild)

    show = commands.add_parser("show", help="print a log, one event a line")
    show.add_argument("recording", help="an agent's id, a sample's, or the path of a run.jsonl")
    show.add_argument(
        "--kind", action="append", metavar="KIND", help="only events of this kind; may be given several times"
    )
    show.add_argument("--from", dest="start", type=int, default=1, metavar="SEQ", help="first event")
    show.add_argument("--to", dest="stop", type=int, metavar="SEQ", help="last event")
    show.add_argument("--json", action="store_true", help="the lines as they stand in the log")
    show.set_defaults(run=_show)

    exchange.add(commands, _home, _recording)
    documents.add(commands, _home)

    bench = commands.add_parser("bench", help="measure this machine and print the tables")
    bench.add_argument("name", nargs="*", help=f"which: {', '.join(_benchmarks()) or 'none here'} (default: all)")
    bench.set_defaults(run=_bench)
    return parser


@contextmanager
def _home() -> Iterator[Home]:
    home = Home(default_home())
    try:
        yield home
    finally:
        home.close()


def _chat(arguments: Any) -> int:
    with _home() as home:
        agent_id = arguments.agent or home.first_agent()
        known = {card.id for card in home.agents(archived=True)}
        if agent_id not in known and agent_id in {sample.id for sample in home.samples()}:
            agent_id = home.start_sample(agent_id)
        workspace = home.open(agent_id)
        for notice in workspace.notices():
            print(f"! {notice}", file=sys.stderr)
        if arguments.say:
            return max(_turn(workspace, text) for text in arguments.say)
        print(f"Talking to {workspace.state().name} ({agent_id}). An empty line ends.")
        while text := _ask():
            _turn(workspace, text)
    return 0


def _ask() -> str:
    try:
        return input("you> ").strip()
    except EOFError:
        return ""


def _turn(workspace: Workspace, text: str) -> int:
    start = workspace.last_seq + 1
    workspace.send(text)
    while not workspace.wait_idle(0.5):
        pass
    failed = 0
    for event in workspace.events(start):
        line: Any = event
        if event.kind == "message_sent":
            print(f"{workspace.state().name}> {line.text}")
        elif event.kind == "function_returned" and line.name != "send_message":
            print(f"  [{line.name} {'ok' if line.ok else 'failed'}: {_short(line.value)}]")
        elif event.kind == "queue_flushed":
            print(f"  [{len(line.evicted)} messages paged out, {line.tokens_before} to {line.tokens_after} tokens]")
        elif event.kind == "fault_recorded":
            print(f"  [fault: {line.error}]", file=sys.stderr)
            failed = 1
    for notice in workspace.notices():
        print(f"! {notice}", file=sys.stderr)
    return failed


def _agents(arguments: Any) -> int:
    with _home() as home:
        cards, samples = home.agents(archived=True), home.samples()
    print(f"Agents in {default_home()}:")
    for card in cards:
        last = f"last {card.last_at:%Y-%m-%d %H:%M} UTC{'   archived' * card.archived}{'   temporary' * card.temporary}"
        print(f"  {card.id:24} {card.name:20} {card.model:16} {card.events:>8} events   {last}")
        if card.problem:
            print(f"    {card.problem}")
    if not cards:
        print("  none yet; `chat` starts one from a sample")
    print("Samples:")
    for sample in samples:
        print(f"  {sample.id:24} {sample.name:20} {sample.about}")
    return 0


def _rename(arguments: Any) -> int:
    with _home() as home:
        state = home.open(arguments.agent).state()
        about = state.about if arguments.about is None else arguments.about
        home.rename(arguments.agent, arguments.name, about)
        print(f"{state.name} is called {home.open(arguments.agent).state().name} now. Its id stays {arguments.agent}.")
    return 0


def _duplicate(arguments: Any) -> int:
    with _home() as home:
        made = home.duplicate(arguments.agent, arguments.name)
        print(f"{made} is a copy of {arguments.agent}: {home.open(made).last_seq - 1} events and the one that says so.")
    return 0


def _fork(arguments: Any) -> int:
    with _home() as home:
        made = home.fork(arguments.agent, arguments.at, name=arguments.name, progress=_told)
        print(f"\r{made} goes on from event {arguments.at} of {arguments.agent}.")
    return 0


def _told(share: float) -> None:
    print(f"\r{share:6.1%}", end="", flush=True, file=sys.stderr)


def _archive(arguments: Any) -> int:
    with _home() as home:
        home.archive(arguments.agent, not arguments.undo)
    print(f"{arguments.agent} is {'back' if arguments.undo else 'archived'}.")
    return 0


def _delete(arguments: Any) -> int:
    with _home() as home:
        size_bytes = sum(home.disk_use(arguments.agent).values())
        card = next(card for card in home.agents(archived=True) if card.id == arguments.agent)
        goes = f"{card.events} events, {card.messages} messages, {card.passages} passages, {size_bytes / 1e6:.1f} MB"
        if not arguments.yes:
            print(f"{card.name} ({card.id}) would go: {goes}. It cannot be undone; give --yes to delete it.")
            return 2
        home.delete(arguments.agent)
    print(f"{card.name} ({card.id}) is deleted: {goes}.")
    return 0


def _verify(arguments: Any) -> int:
    with _home() as home:
        workspace = home.open(arguments.agent)
        differences = workspace.verify()
        events = workspace.last_seq
    for difference in differences:
        print(difference)
    if differences:
        print(f"{len(differences)} differences. `rebuild {arguments.agent}` makes the stores anew from the log.")
        return 1
    print(f"The stores hold exactly what the {events} events of the log say.")
    return 0


def _rerun(arguments: Any) -> int:
    outcome = rerun_file(_recording(arguments.recording))
    if outcome.version is not None:
        print(f"Recorded by engine version {outcome.version}; this is another one, so differences are to be expected.")
    if outcome.imported:
        print(f"{outcome.imported} of the events were imported, not recorded: they are taken as they are.")
    if outcome.difference is None:
        print(f"Identical: {outcome.events} events came out byte for byte.")
        return 0
    difference = outcome.difference
    print(f"Event {difference.seq} is the first that differs ({outcome.events} before it are identical).")
    print(f"  recorded: {difference.recorded or '(the recording ends here)'}")
    print(f"  rerun:    {difference.rerun or '(nothing)'}")
    return 1


def _counterfactual(arguments: Any) -> int:
    change = counterfactual.Change()
    if arguments.without is not None:
        change = counterfactual.change_of(arguments.without)
    elif arguments.change is not None:
        change = counterfactual.change_of(*arguments.change)
    elif arguments.say is not None:
        change = counterfactual.Change("other_message", text=arguments.say)
    with _home() as home:
        agent, turn = arguments.agent, arguments.turn
        print(f"Recorded:\n{_came_to(counterfactual.recorded(home.open(agent), turn))}", flush=True)
        outcomes = counterfactual.run(home, agent, turn, change, times=arguments.times, model=arguments.model)
    for number, outcome in enumerate(outcomes, 1):
        print(f"Generated anew, {number} of {len(outcomes)}:\n{_came_to(outcome)}")
    return 0


def _came_to(outcome: counterfactual.Outcome) -> str:
    """What a turn came to, in lines."""
    blocks = [f"{one.label}: {_short(one.before or '')!r} to {_short(one.after or '')!r}" for one in outcome.blocks]
    lines = [
        *(f"> {reply}" for reply in outcome.replies),
        *(f"[{call.name} {'ok' if call.ok else 'failed'}: {_short(call.value)}]" for call in outcome.calls),
        *(f"block {change}" for change in blocks),
        *(f"stored: {_short(passage)}" for passage in outcome.passages),
        *(f"fault: {error}" for error in outcome.errors),
        f"{outcome.steps} steps, {outcome.prompt_tokens} tokens read, {outcome.reply_tokens} written, "
        f"{outcome.flushes} flushes, {outcome.page_faults} page faults, {outcome.seconds:.1f} s, {outcome.ended}",
    ]
    return "\n".join(f"  {line}" for line in lines)


def _rebuild(arguments: Any) -> int:
    with _home() as home:
        workspace = home.open(arguments.agent)
        workspace.rebuild(lambda share: print(f"\r{share:6.1%}", end="", flush=True, file=sys.stderr))
        print(file=sys.stderr)
        print(f"The stores were made anew from {workspace.last_seq} events.")
    return 0


def _show(arguments: Any) -> int:
    for event in read_events(_recording(arguments.recording)):
        if event.seq < arguments.start or (arguments.kind and event.kind not in arguments.kind):
            continue
        if arguments.stop is not None and event.seq > arguments.stop:
            break
        if arguments.json:
            print(encode(event))
        else:
            where = f"{event.session}.{event.turn}.{event.step}"
            print(f"{event.seq:>6}  {event.at:%Y-%m-%d %H:%M:%S}  {where:>9}  {event.kind:22} {_gist(event)}")
    return 0


def _gist(event: Any) -> str:
    """The part of an event that tells it from its neighbours, on one line."""
    match event.kind:
        case "trigger_received":
            text = f"{event.cause}: {event.text}"
        case "model_replied":
            text = ", ".join(call.name for call in event.calls) or event.content
        case "function_returned":
            text = f"{event.name} {'ok' if event.ok else 'failed'}: {event.value}"
        case "prompt_built":
            text = f"{sum(event.sections.values())} of {event.limit_tokens} tokens ({event.purpose})"
        case "queue_flushed":
            text = f"{len(event.evicted)} messages out, {event.tokens_before} to {event.tokens_after} tokens"
        case "working_context_edited":
            text = f"{event.block} by {event.author}: {event.after}"
        case "fault_recorded":
            text = event.error
        case "turn_ended":
            text = event.reason
        case _:
            text = getattr(event, "query", "") or getattr(event, "text", "") or getattr(event, "block", "")
    return _short(str(text))


def _short(text: str, width: int = 110) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def _recording(name: str) -> Path:
    for path in (Path(name), default_home() / "agents" / name / "run.jsonl", SAMPLES / name / "run.jsonl"):
        if path.is_file():
            return path
    raise AgentNotFound(f"There is no recording '{name}': no such file, agent or sample. `agents` lists them.")


def _benchmarks() -> list[str]:
    return sorted(path.stem for path in BENCHMARKS.glob("*.py") if not path.stem.startswith("_"))


def _bench(arguments: Any) -> int:
    known = _benchmarks()
    for name in arguments.name:
        if name not in known:
            raise AgentNotFound(f"There is no benchmark '{name}'. Benchmarks: {', '.join(known) or 'none here'}.")
    codes = []
    for name in arguments.name or known:
        print(f"== {name}", flush=True)
        # A process each, so that none is measured in the memory another one left behind.
        codes.append(
            subprocess.run([sys.executable, "-m", f"tests.benchmarks.{name}"], cwd=BENCHMARKS.parent.parent).returncode
        )
    return max(codes, default=0)


if __name__ == "__main__":
    sys.exit(main())
