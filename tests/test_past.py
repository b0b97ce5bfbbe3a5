"""Looking back: each state is the fold up to it, and a step from one just looked at folds what lies between alone."""

import threading
from pathlib import Path
from random import Random

import pytest

from memgpt_core import checkpoints
from memgpt_core.events import Event, encode
from memgpt_core.log import Log
from memgpt_core.opening import OpenLog
from memgpt_core.past import KEPT, STRIDE, Past
from memgpt_core.state import INITIAL, fold
from tests.event_builder import Script

EVENTS = 240


@pytest.fixture
def events() -> list[Event]:
    script = Script()
    while script.seq < EVENTS:
        script.turn(f"question {script.seq}", "answer").block("human", f"text {script.seq}")
    return script.events


@pytest.fixture
def folder(tmp_path: Path, events: list[Event]) -> Path:
    log = Log.create(tmp_path / "run.jsonl")
    log.append([encode(event) for event in events])
    log.close()
    return tmp_path


@pytest.fixture
def opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> OpenLog:
    monkeypatch.setattr(checkpoints, "EVERY", 100)
    return OpenLog(folder)


@pytest.fixture
def folded(opened: OpenLog, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Every stretch of the log that was read, as (first, last)."""
    stretches: list[tuple[int, int]] = []
    read = opened.log.events

    def watched(start: int = 1, stop: int | None = None):
        stretches.append((start, (stop or opened.log.last_seq + 1) - 1))
        return read(start, stop)

    monkeypatch.setattr(opened.log, "events", watched)
    return stretches


def test_every_state_is_the_fold_up_to_it_in_any_order(opened: OpenLog, events: list[Event]) -> None:
    past, rng = Past(opened), Random(3)
    for at in [0, 1, len(events), *(rng.randint(0, len(events)) for _ in range(150)), 0]:
        assert past.state(at) == fold(events[:at])
    assert past.state(0) == INITIAL


def test_a_step_on_folds_one_event_and_a_second_look_none(opened: OpenLog, folded: list[tuple[int, int]]) -> None:
    past = Past(opened)
    past.state(130)
    del folded[:]
    past.state(131)
    past.state(130)
    past.state(140)
    assert folded == [(131, 131), (132, 140)]


def test_a_step_back_folds_no_more_than_a_stride(opened: OpenLog, folded: list[tuple[int, int]]) -> None:
    past = Past(opened)
    past.state(199)
    del folded[:]
    for at in range(198, 151, -1):
        past.state(at)
    assert max(last - first + 1 for first, last in folded) < STRIDE


def test_a_log_without_checkpoints_gets_them_where_it_is_looked_at(
    opened: OpenLog, folder: Path, folded: list[tuple[int, int]], events: list[Event]
) -> None:
    checkpoints.clear(folder / "checkpoints")
    Past(opened).state(230)
    assert sorted(path.stem for path in (folder / "checkpoints").iterdir()) == ["000000000100", "000000000200"]
    del folded[:]
    assert Past(opened).state(150) == fold(events[:150])
    assert folded == [(101, 150)]
    assert OpenLog(folder).state == fold(events)


def test_few_states_are_kept(opened: OpenLog) -> None:
    past = Past(opened)
    for at in range(1, 200):
        past.state(at)
    assert len(past._kept) == KEPT
    assert 199 in past._kept


def test_threads_look_back_at_once(opened: OpenLog, events: list[Event]) -> None:
    past, wrong = Past(opened), list[int]()
    expected = [fold(events[:at]) for at in range(len(events) + 1)]

    def look(seed: int) -> None:
        rng = Random(seed)
        for _ in range(150):
            at = rng.randint(0, len(events))
            if past.state(at) != expected[at]:
                wrong.append(at)

    threads = [threading.Thread(target=look, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
