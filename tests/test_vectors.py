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


def test_what_is_held_is_handed_out_counted_and_put_on_disk_later(tmp_path: Path) -> None:
    store = VectorStore(tmp_path / "vectors.duckdb")
    store.put("model", 2, {"there": unit(1, 0)})
    refused = store.hold("model", 2, {"new": unit(0, 1), "there": unit(0, 1), "bad": unit(1, 1) * 2})
    assert list(refused) == ["bad"]
    assert store.waiting
    assert store.count() == 2
    assert store.spaces(["new", "there"]) == {"new": [("model", 2)], "there": [("model", 2)]}
    assert np.array_equal(store.get("model", 2, ["there"])["there"], unit(1, 0)), "the first stays"
    raw = store._con.cursor()
    assert raw.execute("SELECT count(*) FROM vectors").fetchall() == [(1,)]
    store.settle()
    assert not store.waiting
    assert raw.execute("SELECT hash FROM vectors ORDER BY hash").fetchall() == [("new",), ("there",)]
    raw.close()
    assert np.array_equal(store.get("model", 2, ["new"])["new"], unit(0, 1))
    store.hold("model", 2, {"last": unit(1, 1), "gone": unit(1, 2)})
    store.drop("model", 2, ["gone"])
    store.close()
    store = VectorStore(tmp_path / "vectors.duckdb")
    assert store.get("model", 2, ["last", "new", "there", "gone"]).keys() == {"last", "new", "there"}
    store.close()


def test_a_disk_that_refuses_leaves_what_is_held_to_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = VectorStore(tmp_path / "vectors.duckdb")
    with monkeypatch.context() as full:
        full.setattr(VectorStore, "_replace", lambda *_: (_ for _ in ()).throw(StoreBroken("no space")))
        with pytest.raises(StoreBroken):
            store.put("model", 2, {"h": unit(0, 1)})
        assert store.get("model", 2, ["h"]).keys() == {"h"}
    store.settle()
    assert not store.waiting
    assert store.get("model", 2, ["h"]).keys() == {"h"}
    store.close()


def test_what_the_disk_cannot_have_is_not_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = VectorStore(tmp_path / "vectors.duckdb")
    hashes = [text_hash(str(at)) for at in range(600)]
    vectors = {hash: unit(at + 1, 1) for at, hash in enumerate(hashes)}
    store.put("model", 2, dict(list(vectors.items())[:300]))
    assert store.get("model", 2, hashes[299:301]).keys() == {hashes[299]}
    store.put("model", 2, dict(list(vectors.items())[300:500]))
    for some in (hashes[:250], hashes[250:], hashes):
        assert store.get("model", 2, some).keys() == set(some) & set(hashes[:500])
    monkeypatch.setattr(VectorStore, "_read", lambda *_: pytest.fail("the disk was asked"))
    assert store.get("model", 2, hashes[500:]) == {}
    monkeypatch.undo()
    store.close()
