"""A process that takes a folder into an agent until it is killed.

Run: `python -m tests.benchmarks._importer HOME AGENT FOLDER`.
Says `ready` on its output when it begins, so that whoever kills it by the clock knows when. `MEMSCOPE_FAILPOINT` says
where it dies (see `failpoints`).
"""

import os
import sys
import time
from pathlib import Path

from memgpt_core.home import Home
from tests.benchmarks._lives import Talker


def main(home: Path, agent: str, folder: Path) -> None:
    """Take the folder in, with what is gone from it removed."""
    opened = Home(home, models={"scripted": Talker()}, timer=False)
    opened.open(agent)
    os.write(1, b"ready\n")
    opened.adding.start(agent, [folder], remove_gone=True)
    while (job := opened.adding.job(agent)) and job.running:
        time.sleep(0.02)
    assert job is not None
    assert not job.failed, job.failed
    opened.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
