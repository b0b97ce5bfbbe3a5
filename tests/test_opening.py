"""Opening a log: torn tails, damaged lines, unknown kinds, and checkpoints that fit or belong to another log."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from memgpt_core import checkpoints, opening
from memgpt_core.checkpoints import latest
from memgpt_core.errors import LogClosed
from memgpt_core.events import Event, NoteWritten, encode
from memgpt_core.journal import Journal
from memgpt_core.log import Log, read_events
from memgpt_core.opening import OpenLog
from memgpt_core.state import INITIAL, State, fold
from tests.engine import FakeClock
from tests.event_builder import Script

EVERY = 10


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", EVERY)


@pytest.fixture
def life() -> list[Event]:
    script = Script().block("human", "")
    for n in range(8):
        script.turn(f"question {n}", f"answer {n}").insert(f"passage {n}")
    return script.events


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[], OpenLog]]:
    made: list[OpenLog] = []

    def open_it() -> OpenLog:
        made.append(OpenLog(tmp_path))
        return made[-1]

    yield open_it
    for one in made:
        one.log.close()


def write(folder: Path, events: list[Event]) -> Path:
    path = folder / "run.jsonl"
    path.write_text("".join(encode(event) + "\n" for event in events))
    return path


def live(folder: Path, events: list[Event]) -> None:
    """Write the events through a journal, as an agent does, so that checkpoints are kept on the way."""
    Log.create(folder / "run.jsonl").close()
    one = OpenLog(folder)
    journal = Journal(one.log, one.state, clock=FakeClock(), sinks=(one.checkpoint,))
    for at in range(0, len(events), 3):
        journal.commit_many(events[at : at + 3])
    one.log.close()


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seqs that are folded from here on."""
    seqs: list[int] = []

    def told(events: Any, start: State = INITIAL) -> State:
        def each() -> Iterator[Event]:
            for event in events:
                seqs.append(event.seq)
                yield event

        return fold(each(), start)

    monkeypatch.setattr(opening, "fold", told)
    return seqs


def test_a_log_without_checkpoints_is_folded_whole(tmp_path: Path, life: list[Event], opened: Any) -> None:
    write(tmp_path, life)
    one = opened()
    assert one.state == fold(life)
    assert (one.log.fault, one.log.repaired) == ("", "")


def test_a_checkpoint_and_its_tail_are_the_full_fold(
    tmp_path: Path, life: list[Event], opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(tmp_path, life)
    kept = sorted(path.stem for path in (tmp_path / "checkpoints").glob("*.json"))
    assert [int(stem) for stem in kept] == list(range(EVERY, len(life) + 1, EVERY))
    seqs = counted(monkeypatch)
    one = opened()
    last = len(life) // EVERY * EVERY
    assert seqs == list(range(last + 1, len(life) + 1)), "only the tail is read"
    assert one.state == fold(one.log.events())


def test_a_checkpoint_in_the_middle_of_a_batch_has_the_size_and_crc_of_its_own_line(
    tmp_path: Path, life: list[Event]
) -> None:
    live(tmp_path, life)
    log = Log.open(tmp_path / "run.jsonl", read_only=True)
    for seq in range(EVERY, len(life) + 1, EVERY):
        checkpoint = latest(tmp_path / "checkpoints", max_seq=seq)
        assert checkpoint is not None
        assert checkpoint.state.seq == seq
        assert checkpoint.size_bytes == log.size_at(seq)
        assert checkpoint.crc32 == log.prefix_crc(log.size_at(seq))
        assert checkpoint.state == fold(log.events(1, seq + 1))
    log.close()


def test_state_at_is_the_fold_at_every_event(tmp_path: Path, life: list[Event], opened: Any) -> None:
    live(tmp_path, life)
    one = opened()
    events = list(one.log.events())
    assert [one.state_at(seq) for seq in range(len(events) + 1)] == [fold(events[:n]) for n in range(len(events) + 1)]


def test_states_from_gives_the_state_before_each_event(tmp_path: Path, life: list[Event], opened: Any) -> None:
    live(tmp_path, life)
    one = opened()
    for seq in (0, 5, EVERY, EVERY + 3, len(life)):
        pairs = list(one.states_from(seq))
        assert [event.seq for _, event in pairs] == list(range(seq + 1, len(life) + 1))
        assert all(before.seq == event.seq - 1 for before, event in pairs)


def test_a_torn_tail_is_dropped_and_said_so(tmp_path: Path, life: list[Event], opened: Any) -> None:
    live(tmp_path, life)
    path = tmp_path / "run.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"seq":59,"at":')
    one = opened()
    assert one.state.seq == len(life)
    assert "torn last line of 15 bytes" in one.log.repaired
    assert one.log.fault == ""
    assert path.read_bytes() == whole


DAMAGE = {
    "garbage": lambda line: b"\xff" * len(line),
    "no kind": lambda line: b'{"a":1}',
    "unknown kind": lambda line: line.replace(b'"kind":"', b'"kind":"future_'),
    "another seq": lambda line: line.replace(b'{"seq":', b'{"seq":1', 1),
    "unknown field": lambda line: line[:-1] + b',"later":1}',
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("line", [1, 2, EVERY, EVERY + 1, 5 * EVERY + 3])
def test_a_damaged_line_is_named_and_the_log_is_read_only_up_to_it(
    tmp_path: Path, life: list[Event], opened: Any, damage: str, line: int
) -> None:
    live(tmp_path, life)
    path = tmp_path / "run.jsonl"
    lines = path.read_bytes().splitlines()
    events = list(read_events(path))
    lines[line - 1] = DAMAGE[damage](lines[line - 1])
    path.write_bytes(b"\n".join(lines) + b"\n")
    one = opened()
    assert f"Line {line} of the log cannot be read." in one.log.fault
    assert one.state == fold(events[: line - 1])
    assert one.log.last_seq == line - 1
    assert [event.seq for event in one.log.events()] == list(range(1, line))
    with pytest.raises(LogClosed):
        one.log.append([encode(NoteWritten(seq=line, name="n", text="x", author="agent"))])
    assert path.read_bytes().splitlines() == lines
    assert one.state_at(line - 1) == one.state


def test_a_last_line_of_an_unknown_kind_is_kept_and_named(tmp_path: Path, life: list[Event], opened: Any) -> None:
    path = write(tmp_path, life)
    with path.open("ab") as file:
        file.write(b'{"seq":%d,"at":"2026-03-01T09:00:00Z","kind":"from_the_future"}\n' % (len(life) + 1))
    one = opened()
    assert f"Line {len(life) + 1}" in one.log.fault
    assert one.state == fold(life)
    assert b"from_the_future" in path.read_bytes()


def test_the_checkpoint_of_another_log_is_thrown_away(tmp_path: Path, life: list[Event], opened: Any) -> None:
    live(tmp_path, life)
    other = Script().block("human", "other")
    for n in range(10):
        other.turn(f"another question {n}", "answer").insert("passage")
    write(tmp_path, other.events)
    one = opened()
    assert one.state == other.state
    kept = [path.stem for path in (tmp_path / "checkpoints").glob("*.json")]
    assert kept == [f"{one.state.seq:012d}"], "the old ones are gone; the long fold just made was kept"
    assert one.state_at(EVERY) == fold(other.events[:EVERY])


@pytest.mark.parametrize("length", [0, 1, EVERY - 1, EVERY, 2 * EVERY + 1])
def test_a_log_shorter_than_its_checkpoint_is_folded_from_its_beginning(
    tmp_path: Path, life: list[Event], opened: Any, length: int
) -> None:
    live(tmp_path, life)
    path = tmp_path / "run.jsonl"
    raw = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(raw[:length]))
    one = opened()
    events = list(one.log.events())
    assert len(events) == length
    assert one.state == fold(events)


def test_a_bit_flipped_before_a_checkpoint_is_noticed(tmp_path: Path, life: list[Event], opened: Any) -> None:
    live(tmp_path, life)
    path = tmp_path / "run.jsonl"
    path.write_bytes(path.read_bytes().replace(b"question 0", b"question X"))
    one = opened()
    assert one.state == fold(one.log.events())
    kept = [path.stem for path in (tmp_path / "checkpoints").glob("*.json")]
    assert kept == [f"{one.state.seq:012d}"], "the old ones are gone; the long fold just made was kept"


def test_a_checkpoint_that_cannot_be_saved_stops_nobody(tmp_path: Path, life: list[Event]) -> None:
    (tmp_path / "checkpoints").write_text("in the way")
    live(tmp_path, life)
    one = OpenLog(tmp_path)
    one.log.close()
    assert one.state.seq == len(life)


def test_a_whole_copy_opens_to_the_same_state(tmp_path: Path, life: list[Event]) -> None:
    live(tmp_path, life)
    shutil.copytree(tmp_path, tmp_path / "copy")
    states = []
    for folder in (tmp_path, tmp_path / "copy"):
        one = OpenLog(folder)
        states.append(one.state)
        one.log.close()
    assert states[0] == states[1]
