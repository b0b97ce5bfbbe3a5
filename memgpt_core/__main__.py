"""The command line: chat, agents, verify, rerun, rebuild, show, bench.

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

from memgpt_core.errors import AgentNotFound, MemscopeError
from memgpt_core.events import encode
from memgpt_core.home import SAMPLES, Home
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

    verify = commands.add_parser("verify", help="compare an agent's stores with its log, row by row")
    verify.add_argument("agent", help="an agent's id")
    verify.set_defaults(run=_verify)

    rerun = commands.add_parser("rerun", help="run the engine over a recording and name the first event that differs")
    rerun.add_argument("recording", help="an agent's id, a sample's, or the path of a run.jsonl")
    rerun.set_defaults(run=_rerun)

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
        known = {card.id for card in home.agents()}
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
        cards, samples = home.agents(), home.samples()
    print(f"Agents in {default_home()}:")
    for card in cards:
        last = f"last {card.last_at:%Y-%m-%d %H:%M} UTC"
        print(f"  {card.id:24} {card.name:20} {card.model:16} {card.events:>8} events   {last}")
        if card.problem:
            print(f"    {card.problem}")
    if not cards:
        print("  none yet; `chat` starts one from a sample")
    print("Samples:")
    for sample in samples:
        print(f"  {sample.id:24} {sample.name:20} {sample.about}")
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
    if outcome.difference is None:
        print(f"Identical: {outcome.events} events came out byte for byte.")
        return 0
    difference = outcome.difference
    print(f"Event {difference.seq} is the first that differs ({outcome.events} before it are identical).")
    print(f"  recorded: {difference.recorded or '(the recording ends here)'}")
    print(f"  rerun:    {difference.rerun or '(nothing)'}")
    return 1


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
