"""Kills an agent in the middle of everything it does, again and again, and looks at what is left.

Exits with 1 when anything acknowledged was lost or anything else is not as it must be.
Run: `python -m tests.benchmarks.crash [kills per area [kills in imports of documents]]`.
"""

import sys
import tempfile
from itertools import count
from pathlib import Path
from random import Random

from memgpt_core import failpoints
from tests.benchmarks._killed_imports import POINTS, Imports
from tests.benchmarks._killing import Reopened, Victim
from tests.benchmarks._tables import doing, heading, table

KILLS = 24
AREAS: dict[str, tuple[str, ...]] = {
    "append": tuple(name for name in failpoints.NAMES if name.startswith("log.")),
    "project": tuple(name for name in failpoints.NAMES if name.startswith(("project.", "index."))),
    "flush": tuple(name for name in failpoints.NAMES if name.startswith("flush.")),
    "function": tuple(name for name in failpoints.NAMES if name.startswith("function.")),
}
PASSAGES = {"append": 60, "project": 8, "flush": 5, "function": 20}
"""The kill comes at a random passage, from the first to this one."""

IMPORT_KILLS = 50
IMPORT_HOW = """A process takes a folder into a home that has an earlier version of it (files changed, new and gone)
and is killed, in turn at a random passage of a failpoint and a random time after it began. Then the home is opened and
compared with its log, the same import is run again, and every passage of every document, with its order, page and
titles, is compared with what an import that nobody killed makes: wrong counts all that differs, there or in between."""
IMPORT_PASSAGES = 8

CHECKPOINT_KILLS = 3
EVENTS_BEFORE_A_KILL = 150

HOW = """A process opens the home, talks to the agent with a scripted model and reports each event's seq and sha256
through a pipe after its commit has returned; SIGKILL strikes inside at a random passage of one of the area's
failpoints (or, in `anywhere`, when a random number of events was reported). Then the home is opened here. Counted:
acknowledged = events reported; lost = events reported, in this run or any before it, that are not in the log with the
same bytes; unacknowledged = events in the log whose report had not come (written, the kill came before the answer);
torn = torn last lines dropped; interrupted = kills inside a turn, which opening ended with turn_ended(interrupted);
differences = what verify finds between the stores and the log; wrong = all of that and every rerun that was not
identical. The homes are not made anew: each kill hits what the kills before it left."""


def main(kills: int = KILLS, import_kills: int = IMPORT_KILLS) -> int:
    """Print the tables; 1 when anything was lost or wrong."""
    return max(_imports(import_kills), _talking(kills) if kills else 0)


def _imports(kills: int) -> int:
    """Kill imports of documents; 1 when a store came out otherwise."""
    heading("kill -9 in an import of documents", IMPORT_HOW)
    rng, rows, wrong = Random(6), [], []
    with tempfile.TemporaryDirectory() as folder:
        imports = Imports(Path(folder))
        for where in ("a failpoint", "any time"):
            killed = documents = faults = 0
            for at in range(kills // 2):
                wish = f"{rng.choice(POINTS)}:kill:{rng.randint(1, IMPORT_PASSAGES)}" if where == "a failpoint" else ""
                doing(f"{where}, kill {at + 1} of {kills // 2}: {wish}")
                found = imports.kill(wish, after_s=None if wish else rng.uniform(0, imports.seconds))
                killed, documents = killed + found.killed, documents + found.documents
                faults += len(found.wrong)
                wrong += [f"{wish or where}: {sentence}" for sentence in found.wrong]
            rows.append((where, kills // 2, killed, documents, faults))
    table(("killed at", "tries", "killed", "documents there by then", "wrong"), rows)
    for sentence in wrong:
        print(sentence)
    print("Floor: 0 wrong: " + ("MISSED" if wrong else "met"))
    return 1 if wrong else 0


def _talking(kills: int) -> int:
    """Kill an agent that talks; 1 when anything was lost or wrong."""
    heading("kill -9", HOW)
    rng = Random(20)
    rows, wrong = [], []
    for area, names in AREAS.items():
        wishes = [f"{names[at % len(names)]}:kill:{rng.randint(1, PASSAGES[area])}" for at in range(kills)]
        rows.append(_area(area, wishes, [0] * kills, wrong))
    rows.append(_area("checkpoint", ["checkpoint.before_rename:kill:1"] * CHECKPOINT_KILLS, [0] * kills, wrong))
    after = [rng.randint(1, EVENTS_BEFORE_A_KILL) for _ in range(kills)]
    rows.append(_area("anywhere", [""] * kills, after, wrong))
    columns = ("kills", "acknowledged", "lost", "unacknowledged", "torn", "interrupted", "differences", "wrong")
    rows.append(("all", *(sum(column) for column in list(zip(*rows, strict=True))[1:])))
    table(("killed inside", *columns), rows)
    for sentence in wrong:
        print(sentence)
    print("Floor: 0 lost, 0 differences, 0 wrong: " + ("MISSED" if wrong else "met"))
    return 1 if wrong else 0


def _area(area: str, wishes: list[str], after: list[int], wrong: list[str]) -> tuple[str | int, ...]:
    found: list[Reopened] = []
    with tempfile.TemporaryDirectory() as folder:
        victim = Victim(Path(folder))
        for at, wish, events in zip(count(1), wishes, after, strict=False):
            doing(f"{area}, kill {at} of {len(wishes)}: {wish or f'after {events} events'}")
            found.append(victim.kill(wish, after=events, seed=at))
            wrong += [f"{area}, kill {at} ({wish}): {sentence}" for sentence in found[-1].wrong]
    return (
        area,
        sum(one.killed for one in found),
        sum(one.acknowledged for one in found),
        sum(len(one.lost) for one in found),
        sum(one.unacknowledged for one in found),
        sum(one.torn for one in found),
        sum(one.interrupted for one in found),
        sum(one.differences for one in found),
        sum(len(one.wrong) for one in found),
    )


if __name__ == "__main__":
    sys.exit(main(*(int(argument) for argument in sys.argv[1:3])))
