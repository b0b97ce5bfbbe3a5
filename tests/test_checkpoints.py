"""Checkpoints of the state: exact, whole or absent, and never trusted when anything about them is off."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from memgpt_core import checkpoints
from memgpt_core.checkpoints import Checkpoint, clear, latest, save
from memgpt_core.events import decode
from memgpt_core.failpoints import arm, enospc
from memgpt_core.state import Block, Entry, Note, Part, State, Summary, fold

ROOT = Path(__file__).parent.parent
GOLDEN = [decode(line) for line in (ROOT / "tests" / "logs" / "v1.jsonl").read_bytes().splitlines()]

FULL = State(
    seq=1000,
    blocks={"human": Block("human", "who", "Grüße\n\u2028", 2000, False, 4, "agent", 12)},
    queue=(
        Entry("m5", 23, 9, "trigger_received", 1, 1),
        Entry("m9", 9, 90, "function_returned", 1, 2, ("m1", "p4"), (400, 200)),
    ),
    summary=Summary(14, 50, 2),
    notes={"todo": Note("todo", 16, 22)},
    sent=(Part("instructions@3", 700), Part("m5@5", 9)),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"


def at(seq: int) -> State:
    return FULL.model_copy(update={"seq": seq})


def test_no_folder_no_checkpoint(folder: Path) -> None:
    assert latest(folder) is None
    assert not folder.exists()


@pytest.mark.parametrize("state", [State(), FULL, *(fold(GOLDEN[:n]) for n in range(1, len(GOLDEN) + 1))])
def test_a_state_comes_back_exactly(folder: Path, state: State) -> None:
    assert State.model_validate_json(state.model_dump_json()) == state
    assert save(folder, state, 12_345, 0xDEADBEEF)
    found = latest(folder)
    assert found == Checkpoint(size_bytes=12_345, crc32=0xDEADBEEF, state=state)
    assert found is not None
    # Tuples equal named tuples, so equality alone would not notice.
    assert all(type(entry) is Entry for entry in found.state.queue)
    assert all(type(part) is Part for part in found.state.sent)
    assert all(type(block) is Block for block in found.state.blocks.values())
    assert all(type(note) is Note for note in found.state.notes.values())
    assert found.state.summary is None or type(found.state.summary) is Summary
    assert list(found.state.blocks) == list(state.blocks)


def test_folding_goes_on_from_a_checkpoint(folder: Path) -> None:
    for n in range(1, len(GOLDEN)):
        save(folder, fold(GOLDEN[:n]), 0, 0)
        found = latest(folder, max_seq=n)
        assert found is not None
        assert fold(GOLDEN[n:], found.state) == fold(GOLDEN)


def test_all_are_kept_and_the_newest_in_reach_is_found(folder: Path) -> None:
    for seq in (1000, 12_000, 2003, 999_999_999_999):
        assert save(folder, at(seq), seq * 10, seq)
    assert len(list(folder.iterdir())) == 4
    for limit, expected in [(None, 999_999_999_999), (12_000, 12_000), (11_999, 2003), (2002, 1000), (999, None)]:
        found = latest(folder, max_seq=limit)
        assert (found.state.seq if found else None) == expected
    assert len(list(folder.iterdir())) == 4


def test_saving_again_replaces(folder: Path) -> None:
    save(folder, at(1000), 1, 1)
    save(folder, at(1000), 2, 2)
    found = latest(folder)
    assert found is not None
    assert (found.size_bytes, found.crc32) == (2, 2)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _flipped(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"m5"', b'"m6"', 1))


def _noise(path: Path) -> None:
    path.write_bytes(b"\xff\xfe" * 300)


def _renamed(path: Path) -> None:
    path.rename(path.with_name(f"{7000:012d}.json"))


def _other_version(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"checkpoint 1 ", b"checkpoint 0 ", 1))


@pytest.mark.parametrize("damage", [_cut, _empty, _flipped, _noise, _renamed, _other_version])
def test_a_bad_one_is_passed_over_and_deleted(folder: Path, damage: Callable[[Path], None]) -> None:
    save(folder, at(1000), 1, 1)
    save(folder, at(2000), 2, 2)
    damage(folder / f"{2000:012d}.json")
    found = latest(folder)
    assert found is not None
    assert found.state.seq == 1000
    assert [path.name for path in folder.iterdir()] == [f"{1000:012d}.json"]


def test_one_of_another_version_or_shape_of_state_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Grown(State):
        clicks: int = 0

    save(folder, at(1000), 1, 1)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "VERSION", checkpoints.VERSION + 1)
        assert latest(folder) is None
    save(folder, at(1000), 1, 1)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "State", Grown)
        checkpoints._shape.cache_clear()
        assert latest(folder) is None
    checkpoints._shape.cache_clear()
    assert list(folder.iterdir()) == []


def test_a_full_disk_leaves_no_half_checkpoint_and_no_error(folder: Path) -> None:
    save(folder, at(1000), 1, 1)
    with arm("checkpoint.before_rename", enospc):
        assert not save(folder, at(2000), 2, 2)
    assert [path.name for path in folder.iterdir()] == [f"{1000:012d}.json"]
    assert save(folder, at(2000), 2, 2)


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not save(tmp_path / "file", at(1000), 1, 1)


def test_it_is_synced_before_it_gets_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fsync = os.fsync

    def spy(fd: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", spy)
    with arm("checkpoint.before_rename", lambda: order.append("rename")):
        save(folder, at(1000), 1, 1)
    assert order == ["file", "rename", "folder"]


def test_a_kill_before_the_rename_leaves_the_old_ones(folder: Path) -> None:
    script = """
import sys
from pathlib import Path
from memgpt_core.checkpoints import save
from memgpt_core.state import State
for seq in (1000, 2000, 3000):
    save(Path(sys.argv[1]), State(seq=seq), seq, seq)
"""
    env = {**os.environ, "MEMSCOPE_FAILPOINT": "checkpoint.before_rename:kill:2", "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", script, str(folder)], env=env, check=False, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    assert {path.suffix for path in folder.iterdir()} == {".json", ".tmp"}
    found = latest(folder)
    assert found is not None
    assert found.state.seq == 1000
    assert save(folder, at(3000), 3, 3)
    assert {path.suffix for path in folder.iterdir()} == {".json"}


def test_clear_deletes_all(folder: Path) -> None:
    save(folder, at(1000), 1, 1)
    save(folder, at(2000), 1, 1)
    (folder / "1.tmp").touch()
    clear(folder)
    assert list(folder.iterdir()) == []
    clear(folder / "nowhere")
