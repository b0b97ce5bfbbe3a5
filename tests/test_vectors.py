"""Vectors are kept once, refused when they cannot be used, and never handed out altered."""

from pathlib import Path

import duckdb
import numpy as np
import pytest

from memgpt_core.errors import StoreBroken
from memgpt_core.stores.vectors import VectorStore, text_hash


def unit(*values: float) -> np.ndarray:
    vector = np.array(values, dtype=np.float32)
    return vector / np.linalg.norm(vector)


def test_a_vector_comes_back_as_it_went_in_also_after_reopening(tmp_path: Path) -> None:
    store = VectorStore(tmp_path / "vectors.duckdb")
    vectors = {text_hash("a"): unit(1, 2, 3), text_hash("b"): unit(-1, 0, 0)}
    assert store.put("model", 3, vectors) == {}
    store.close()
    store = VectorStore(tmp_path / "vectors.duckdb")
    found = store.get("model", 3, [text_hash("b"), text_hash("a"), text_hash("c")])
    assert found.keys() == vectors.keys()
    assert all(np.array_equal(found[hash], vectors[hash]) for hash in vectors)
    store.close()


def test_a_known_text_keeps_its_first_vector_and_counts_once(tmp_path: Path) -> None:
    store = VectorStore(tmp_path / "vectors.duckdb")
    store.put("model", 2, {"h": unit(1, 0)})
    store.put("model", 2, {"h": unit(0, 1), "other": unit(0, 1)})
    assert store.count() == 2
    assert np.array_equal(store.get("model", 2, ["h"])["h"], unit(1, 0))
    store.close()


def test_models_and_dimensions_never_mix(tmp_path: Path) -> None:
    store = VectorStore(tmp_path / "vectors.duckdb")
    store.put("one", 2, {"h": unit(1, 0)})
    assert store.get("two", 2, ["h"]) == {}
    assert store.get("one", 3, ["h"]) == {}
    store.close()


@pytest.mark.parametrize(
    ("vector", "why"),
    [
        (np.array([1, np.nan], dtype=np.float32), "not finite"),
        (np.array([np.inf, 0], dtype=np.float32), "not finite"),
        (np.zeros(2, dtype=np.float32), "is zero"),
        (np.array([1, 0, 0], dtype=np.float32), "shape"),
        (np.array([3, 4], dtype=np.float32), "length 5"),
    ],
)
def test_an_unusable_vector_is_refused_and_the_others_are_kept(tmp_path: Path, vector: np.ndarray, why: str) -> None:
    store = VectorStore(tmp_path / "vectors.duckdb")
    refused = store.put("model", 2, {"bad": vector, "good": unit(1, 1)})
    assert list(refused) == ["bad"]
    assert why in refused["bad"]
    assert list(store.get("model", 2, ["bad", "good"])) == ["good"]
    store.close()


def test_an_altered_vector_is_not_handed_out_and_can_be_put_again(tmp_path: Path) -> None:
    path = tmp_path / "vectors.duckdb"
    store = VectorStore(path)
    store.put("model", 2, {"h": unit(1, 0)})
    store.close()
    with duckdb.connect(str(path)) as tampering:
        tampering.execute("UPDATE vectors SET vector = ?", [unit(0, 1).tobytes()])
    store = VectorStore(path)
    assert store.get("model", 2, ["h"]) == {}
    assert [row.sealed for row in store.stored("model", 2)] == [False]
    store.put("model", 2, {"h": unit(1, 0)})
    assert np.array_equal(store.get("model", 2, ["h"])["h"], unit(1, 0))
    assert store.count() == 1
    store.close()


def test_dropped_vectors_are_gone(tmp_path: Path) -> None:
    store = VectorStore(tmp_path / "vectors.duckdb")
    store.put("model", 2, {"a": unit(1, 0), "b": unit(0, 1)})
    store.drop("model", 2, ["a"])
    assert list(store.get("model", 2, ["a", "b"])) == ["b"]
    store.close()


def test_an_unreadable_file_is_moved_aside_never_deleted(tmp_path: Path) -> None:
    path = tmp_path / "vectors.duckdb"
    path.write_bytes(b"paid for, but not a database")
    store = VectorStore(path)
    assert "moved" in store.rebuilt_because
    assert (tmp_path / "vectors.duckdb.unreadable").read_bytes() == b"paid for, but not a database"
    assert store.put("model", 2, {"h": unit(1, 0)}) == {}
    store.close()


def test_a_file_removed_while_open_is_named(tmp_path: Path) -> None:
    store = VectorStore(tmp_path / "vectors.duckdb")
    (tmp_path / "vectors.duckdb").unlink()
    with pytest.raises(StoreBroken, match="removed while it was open"):
        store.put("model", 2, {"h": unit(1, 0)})
    store.close()
