"""Looking back in a long log: any step of it in the engine, on screen, and in memory; and a rerun of all of it.

    python -m tests.benchmarks.seek [events]

Makes an agent with that many events (100,000), and a short one of 1,000 beside it, and goes to events at random, one by
one forth and back, and by turns. On screen means the server's time for drawing the whole replay page at another event,
by AppTest, entered as a person enters it; both agents in turn, so that what disturbs the machine disturbs both.
"""

import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from random import Random

from streamlit.testing.v1 import AppTest

from memgpt_core.home import close_home, the_home
from memgpt_core.log import Log
from memgpt_core.opening import OpenLog
from memgpt_core.past import Past
from memgpt_core.replay import Recording, rerun
from tests.benchmarks._lives import make_agent
from tests.benchmarks._tables import Series, at_least, at_most, doing, heading, series, table

ROOT = Path(__file__).resolve().parents[2]
EVENTS, SHORT = 100_000, 1_000
ENGINE_MS, SCREEN_MS, MEMORY_MB, GROWTH, RERUN_RATE = 20.0, 200.0, 200.0, 1.5, 2000.0
SEEKS, IN_A_ROW, SCREENS = 300, 500, 30


def main(events: int = EVENTS) -> None:
    heading(
        "Looking back",
        "A seek is the state after an event, from an open log. On screen: the replay page drawn at another event, "
        "by the processor time it takes. Memory is what the process has more, at its most, after all those seeks.",
    )
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        for many in (SHORT, events):
            doing(f"making an agent of {many:,} events")
            make_agent(home / "agents" / name_of(many), many)
        # A process of its own: what making the agents took must not hide what looking back takes.
        engine = get_context("spawn").Process(target=_engine, args=(home / "agents" / name_of(events), events))
        engine.start()
        engine.join()
        _screen(home, events)
        _rerun(home / "agents" / name_of(events))


def name_of(events: int) -> str:
    """The folder, and so the id, of the agent with so many events."""
    return f"agent-{events}"


def timed(action: Callable[[], object]) -> float:
    """Milliseconds that something takes."""
    started = time.perf_counter()
    action()
    return 1000 * (time.perf_counter() - started)


def most_mb() -> float:
    """The most memory this process has had, in MB; the kernel's other counter is handed on to child processes."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


def _engine(folder: Path, events: int) -> None:
    before = most_mb()
    opened = OpenLog(folder)
    past, rng = Past(opened), Random(1)
    rows = []

    def row(what: str, samples: list[float]) -> None:
        found: Series = series(samples)
        rows.append((what, *found, at_most(found.p95, ENGINE_MS, "ms")))

    middle = events // 2
    on = range(middle, middle + IN_A_ROW)
    row("any event", [timed(partial(past.state, rng.randint(1, events))) for _ in range(SEEKS)])
    row("one event on", [timed(partial(past.state, at)) for at in on])
    row("one event back", [timed(partial(past.state, at)) for at in reversed(on)])
    table(("a seek in the engine, ms", "median", "p95", "max", "of", "floor (p95)"), rows)
    more = most_mb() - before
    print(f"Memory with the log of {events:,} events open: {more:,.0f} MB more; {at_most(more, MEMORY_MB, 'MB')}\n")
    opened.log.close()


def _screen(home: Path, events: int) -> None:
    os.environ |= {"MEMSCOPE_HOME": str(home), "MEMSCOPE_DEMO_PACE": "0"}
    subjects = {}
    for many in (SHORT, events):
        doing(f"the stores of {many:,} events")
        the_home().open(name_of(many)).rows("SELECT 1")
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=300)
        app.query_params["agent"] = name_of(many)
        subjects[many] = app.run().switch_page("pages/replay.py").run()
    taken: dict[int, list[float]] = {many: [] for many in subjects}
    rng = Random(2)
    for _ in range(SCREENS):
        for many, app in subjects.items():
            app.query_params["step"] = str(rng.randint(many // 3, many))
            started = time.process_time()
            app.run()
            taken[many].append(1000 * (time.process_time() - started))
            assert not app.exception
    found = {many: series(samples) for many, samples in taken.items()}
    growth = found[events].median / found[SHORT].median
    floors = {SHORT: "", events: f"{at_most(found[events].median, SCREEN_MS, 'ms')}, {at_most(growth, GROWTH, 'x')}"}
    rows = [(many, *figures, floors[many]) for many, figures in found.items()]
    table(("events", "the page in ms: median", "p95", "max", "of", "floor (median)"), rows)
    close_home()


def _rerun(folder: Path) -> None:
    log = Log.open(folder / "run.jsonl", read_only=True)
    before, started = most_mb(), time.process_time()
    outcome = rerun(Recording(log, log.last_seq))
    seconds = time.process_time() - started
    rate = outcome.events / seconds
    assert outcome.identical
    table(
        ("rerun", "events", "processor s", "events a second", "MB more", "floor"),
        [("identical", outcome.events, seconds, rate, most_mb() - before, at_least(rate, RERUN_RATE, "a second"))],
    )
    log.close()


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
