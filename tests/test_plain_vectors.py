"""Vectors in a plain file come back as they went in, from anywhere in it; a file that lost something says so."""

from pathlib import Path

import numpy as np
import pytest

from memgpt_core.stores.plain_vectors import PlainVectors

DIM = 6
VECTORS = np.random.default_rng(3).normal(size=(50, DIM)).astype(np.float32)


def filled(folder: Path, rows: int) -> PlainVectors:
    plain = PlainVectors(folder, DIM)
    plain.open(0)
    for at in range(0, rows, 10):
        some = np.arange(at, min(rows, at + 10))
        assert plain.add(some + 100, -some, VECTORS[some]).tolist() == some.tolist()
    return plain


def test_rows_come_back_from_anywhere_also_after_reopening(tmp_path: Path) -> None:
    filled(tmp_path, 35)
    again = PlainVectors(tmp_path, DIM)
    again.open(35)
    rows = np.array([34, 0, 7, 7])
    assert np.array_equal(again.at(rows), VECTORS[rows])
    assert again.at(np.zeros(0, np.int64)).shape == (0, DIM)
    assert again.slots.tolist() == list(range(100, 135))
    assert again.marks.tolist() == [-at for at in range(35)]
    (found,) = again.all()
    assert found[0].tolist() == again.slots.tolist()
    assert np.array_equal(found[1], VECTORS[:35])


def test_what_was_never_finished_is_written_over(tmp_path: Path) -> None:
    filled(tmp_path, 35)
    again = PlainVectors(tmp_path, DIM)
    # The index has 20: the process ended before it had the others.
    again.open(20)
    again.add(np.array([7]), np.array([8]), VECTORS[49:50])
    assert (again.slots[-1], again.marks[-1]) == (7, 8)
    assert np.array_equal(again.at(np.array([19, 20])), VECTORS[[19, 49]])
    last = PlainVectors(tmp_path, DIM)
    with pytest.raises(OSError, match="fewer vectors than its index"):
        last.open(22)


@pytest.mark.parametrize("name", ["vectors.f32", "keys.i64"])
def test_a_file_that_is_too_short_is_not_opened(tmp_path: Path, name: str) -> None:
    filled(tmp_path, 35)
    with (tmp_path / name).open("r+b") as file:
        file.truncate(file.seek(0, 2) - 1)
    with pytest.raises(OSError, match="fewer vectors than its index"):
        PlainVectors(tmp_path, DIM).open(35)


def test_a_file_that_is_cut_or_deleted_while_it_is_open_is_an_error(tmp_path: Path) -> None:
    plain = filled(tmp_path, 35)
    with (tmp_path / "vectors.f32").open("r+b") as file:
        file.truncate(30 * 4 * DIM)
    assert np.array_equal(plain.at(np.array([29])), VECTORS[29:30])
    with pytest.raises(OSError, match="shorter than it was"):
        plain.at(np.array([29, 30]))
    with pytest.raises(OSError, match="shorter than it was"):
        list(plain.all())
    (tmp_path / "vectors.f32").unlink()
    with pytest.raises(FileNotFoundError):
        plain.at(np.array([0]))
