"""Engine time per step outside the model, at 1,000 and at 100,000 events of one agent.

Real home, workspace, log (synced), stores and flusher; the model is scripted and its own time is taken off.
Run: `python -m tests.benchmarks.engine [events of the large agent]`.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from memgpt_core import prompt, queue_manager
from memgpt_core.events import MessageSent, TriggerReceived
from memgpt_core.home import Home
from memgpt_core.journal import Journal
from memgpt_core.log import Log
from memgpt_core.project import project
from memgpt_core.state import apply
from memgpt_core.workspace import Workspace
from tests.benchmarks._lives import Talker, make_agent, mean_bytes, text
from tests.benchmarks._tables import at_most, doing, heading, series, table

SMALL_EVENTS = 1_000
LARGE_EVENTS = 100_000
ROUNDS = 5
STEPS_A_ROUND = 120
WARM_UP_STEPS = 30
FLOOR_MS = 5.0
FLOOR_GROWTH = 1.5
PARTS_REPEATED = 300

HOW = """A step is one model call with all that belongs to it: prompt_built, model_replied, the events of its calls,
function_returned, and its share of the turn's trigger_received and turn_ended. A turn is timed from Workspace.send
until it is idle again (thread start included), less the time in the model, divided by its steps. Every commit is
synced to the disk before the next event. Steps that warn or flush the queue are in. The floors are for turns that do
not search: a search of recall (one turn in eleven, one common and two uncommon words) is a function's work; `all turns`
has those in too. `all in` is the wall time of a round, searches in, model time off, and of letting every store catch up
after it, divided by its steps, so it has what the background flusher costs. Rounds of the two agents alternate; both
grow while they are timed, to the sizes below. All of it depends on the load above.
Elsewhere, per step with a 0 ms model (earlier measurements, not part of this run): Letta 0.8.17 on SQLite 88 ms (REST
included); LangGraph 1.2.22 with its SQLite checkpointer 5.8 ms, growing to 11.9 ms over 300 turns."""


class Subject:
    """An open agent whose turns are timed; times in ms."""

    def __init__(self, workspace: Workspace, model: Talker) -> None:
        self.workspace = workspace
        self.model = model
        self.plain: list[float] = []
        self.searching: list[float] = []
        self.all_in: list[float] = []
        self.cpu: list[float] = []
        self.events = 0
        self.steps = 0

    def round(self, steps_wanted: int) -> None:
        """Turns until there were enough steps, then the stores' catching up."""
        steps, spent_s, before, cpu_s = 0, 0.0, self.workspace.last_seq, time.process_time()
        while steps < steps_wanted:
            taken, turn_s, searched = self._turn()
            steps, spent_s = steps + taken, spent_s + turn_s
            (self.searching if searched else self.plain).append(1000 * turn_s / taken)
        started = time.perf_counter()
        if not self.workspace.projections.flush():
            raise SystemExit(f"a store could not follow: {self.workspace.notices()}")
        self.all_in.append(1000 * (spent_s + time.perf_counter() - started) / steps)
        self.cpu.append(1000 * (time.process_time() - cpu_s) / steps)
        self.events += self.workspace.last_seq - before
        self.steps += steps

    def _turn(self) -> tuple[int, float, bool]:
        """(steps, engine seconds, whether recall was searched) of one turn."""
        words = text(self.model.rng, self.model.rng.randint(20, 120))
        before, in_model = self.workspace.last_seq, self.model.in_model_s
        started = time.perf_counter()
        self.workspace.send(words)
        self.workspace.wait_idle(60)
        spent_s = time.perf_counter() - started - (self.model.in_model_s - in_model)
        kinds = [event.kind for event in self.workspace.events(before + 1)]
        if kinds[-1] != "turn_ended" or "fault_recorded" in kinds:
            raise SystemExit(f"a turn failed: {kinds} {self.workspace.notices()}")
        return self.workspace.state().step, spent_s, "recall_searched" in kinds


def main(large_events: int = LARGE_EVENTS) -> None:
    """Print the tables."""
    heading("Engine time per step outside the model", HOW)
    sizes = (SMALL_EVENTS, large_events)
    with tempfile.TemporaryDirectory() as folder:
        for events in sizes:
            doing(f"making an agent of {events:,} events")
            make_agent(Path(folder) / "agents" / f"agent-{events}", events)
        model = Talker(2, clock=time.perf_counter)
        home = Home(Path(folder), models={"scripted": model}, timer=False)
        try:
            subjects = {events: _warmed_up(home.open(f"agent-{events}"), model) for events in sizes}
            for at in range(ROUNDS):
                doing(f"round {at + 1} of {ROUNDS}")
                for subject in subjects.values():
                    subject.round(STEPS_A_ROUND)
            _print(subjects, Path(folder))
            _print_parts(subjects[large_events].workspace, Path(folder))
        finally:
            home.close()


def _warmed_up(workspace: Workspace, model: Talker) -> Subject:
    doing(f"letting the stores of {workspace.last_seq:,} events catch up")
    workspace.projections.flush()
    Subject(workspace, model).round(WARM_UP_STEPS)
    return Subject(workspace, model)


def _print(subjects: dict[int, Subject], folder: Path) -> None:
    small = series(next(iter(subjects.values())).plain)
    rows: list[tuple[object, ...]] = []
    for events, subject in subjects.items():
        plain, searching = series(subject.plain), series(subject.searching)
        growth = plain.median / small.median
        floor = (
            f"{growth:.2f}x; {at_most(growth, FLOOR_GROWTH, 'x')}" if rows else at_most(plain.median, FLOOR_MS, "ms")
        )
        rows.append((events, "turns without a search", *plain, floor))
        rows.append((events, "turns with a search", *searching, ""))
        rows.append((events, "all turns", *series(subject.plain + subject.searching), ""))
        rows.append((events, "all in, by rounds", *series(subject.all_in), ""))
        rows.append((events, "processor time, by rounds", *series(subject.cpu), ""))
    table(("events", "a step in ms", "median", "p95", "max", "of", "floor (median)"), rows)
    for events, subject in subjects.items():
        size = mean_bytes(folder / "agents" / f"agent-{events}" / "run.jsonl")
        print(
            f"Agent of {events:,}: {subject.steps:,} steps timed, {subject.events / subject.steps:.1f} events a step, "
            f"{size} bytes an event; it ended at {subject.workspace.last_seq:,} events."
        )
    print()


def _print_parts(workspace: Workspace, folder: Path) -> None:
    """Where a step's time goes: each part called by itself, on the large agent's newest state."""
    state = workspace.state()
    trigger: Any = TriggerReceived(cause="user", text=text(Talker(3).rng, 70))
    event: Any = queue_manager.fit(state, trigger).model_copy(
        update={"seq": state.seq + 1, "at": state.at, "session": state.session, "turn": state.turn}
    )
    log = Log.create(folder / "parts.jsonl")
    journal = Journal(log)
    for old in workspace.events(1, 4):
        journal.commit(old)
    spoken = MessageSent(text=text(Talker(4).rng, 120))
    parts: dict[str, Callable[[], object]] = {
        "fold: apply one trigger": lambda: apply(state, event),
        "projection hand-over: project one trigger": lambda: project(state, event),
        "prompt: build the whole request and its sha256": lambda: prompt.build(state, workspace.event),
        "prefix: compare with the request before": lambda: prompt.prefix_tokens(state.sent, state.sent),
        "tokens: fit and count one trigger of 70 words": lambda: queue_manager.fit(state, trigger),
        "commit: one event, synced, no stores": lambda: journal.commit(spoken),
        "pressure: decide": lambda: queue_manager.decide(state),
    }
    rows = []
    for name, part in parts.items():
        part()
        taken = []
        for _ in range(PARTS_REPEATED):
            started = time.perf_counter()
            part()
            taken.append(1000 * (time.perf_counter() - started))
        figures = series(taken)
        rows.append((name, figures.median, figures.p95, figures.count))
    log.close()
    table((f"part, once, at {state.seq:,} events", "median ms", "p95 ms", "of"), rows)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
