"""The suite's share of the crash runs: one kill at every failpoint, five at random passages of one life.

The long runs are `tests/benchmarks/crash.py`; both judge by `tests/benchmarks/_killing.py`.
"""

from pathlib import Path
from random import Random

import pytest

from memgpt_core import failpoints
from tests.benchmarks._killed_imports import Imports
from tests.benchmarks._killing import Victim

PASSAGE = {"checkpoint.before_rename": 1, "flush.before_commit": 3, "flush.after_commit": 3}
"""Which passage is killed where the sixth would take long to come."""

UNSEEN = ("log.append.before_sync", "log.append.after_sync", "checkpoint.before_rename")
"""Where the event is in the file and nobody was told."""


@pytest.fixture
def victim(tmp_path: Path) -> Victim:
    return Victim(tmp_path)


TALKING = [name for name in failpoints.NAMES if not name.startswith(("import.", "document."))]
"""What an agent that talks passes; `test_importing` kills in imports, and below are documents."""


@pytest.mark.parametrize("name", TALKING)
def test_a_kill_at_each_failpoint_loses_nothing(victim: Victim, name: str) -> None:
    found = victim.kill(f"{name}:kill:{PASSAGE.get(name, 6)}")
    assert found.wrong == []
    assert found.killed
    assert found.acknowledged > 0
    assert found.torn == (name == "log.append.torn")
    if name.startswith(("log.", "checkpoint.")):
        assert found.unacknowledged == (name in UNSEEN)
    if name.startswith(("flush.", "function.")):
        assert found.interrupted


def test_five_kills_at_random_passages_of_one_life_lose_nothing(victim: Victim) -> None:
    rng = Random(41)
    places = [name for name in TALKING if name != "checkpoint.before_rename"]
    for seed in range(5):
        place, time = rng.choice(places), rng.randint(1, 12)
        # How often the index merges depends on the machine: the faster a life, the fewer flushes it has.
        wish = f"{place}:kill:{min(time, 3) if place.startswith('index.') else time}"
        found = victim.kill(wish, seed=seed)
        assert found.wrong == [], wish
        assert found.killed, wish


def test_a_lost_event_and_a_changed_one_would_be_noticed(victim: Victim) -> None:
    assert victim.kill(after=40).wrong == []
    lines = victim.log.read_bytes().splitlines(keepends=True)
    victim.log.write_bytes(b"".join(lines[:-3]))
    assert victim.look().lost == [len(lines) - 2, len(lines) - 1, len(lines)]
    at, line = next((at, line) for at, line in enumerate(lines) if b'"message_sent"' in line)
    lines[at] = line.replace(b'"text":"', b'"text":"x')
    victim.log.write_bytes(b"".join(lines))
    assert at + 1 in victim.look().lost


def test_a_killed_import_of_documents_goes_on_to_the_store_of_one_that_never_was(tmp_path: Path) -> None:
    imports = Imports(tmp_path, files=4)
    assert all(imports.wanted.values())
    for wish in ("document.before_commit:kill:3", "index.before_merge:kill:1"):
        found = imports.kill(wish)
        assert found.killed, wish
        assert found.wrong == [], wish
