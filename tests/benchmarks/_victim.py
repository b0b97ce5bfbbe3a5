"""An agent that talks until it is killed, and says through its output what was committed.

Writes `seq sha256-of-the-line` to file descriptor 1 after each commit has returned, and not before; whoever
kills it knows then what must be there. `MEMSCOPE_FAILPOINT` says where it dies (see `failpoints`).
Run by `_killing`: `python -m tests.benchmarks._victim HOME AGENT TURNS SEED`.
"""

import os
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from memgpt_core.events import Event
from memgpt_core.home import Home
from memgpt_core.journal import Journal
from tests.benchmarks._lives import Talker, line_of, text

STORES_EVERY = 6
"""Turns between two calls that let every store catch up, so that the stores are passed through often."""


def acknowledge(events: Sequence[Event]) -> None:
    """Tell the outside what is committed, in one write to a pipe, which is never torn."""
    lines = "".join(f"{event.seq} {sha256(line_of(event)).hexdigest()}\n" for event in events)
    os.write(1, lines.encode())


def main(home: Path, agent: str, turns: int, seed: int) -> None:
    """Talk for that many turns."""
    commit_many = Journal.commit_many

    def commit_and_tell(journal: Journal, events: Sequence[Event]) -> list[Event]:
        committed = commit_many(journal, events)
        acknowledge(committed)
        return committed

    Journal.commit_many = commit_and_tell  # type: ignore[method-assign]
    model = Talker(seed)
    opened = Home(home, models={"scripted": model}, timer=False)
    workspace = opened.open(agent)
    for turn in range(1, turns + 1):
        workspace.send(text(model.rng, model.rng.randint(20, 90)))
        workspace.wait_idle(60)
        if turn % STORES_EVERY == 0:
            workspace.projections.flush()
    opened.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
