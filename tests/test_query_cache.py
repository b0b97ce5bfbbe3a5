"""Query vectors are kept for all agents of a home, within their bounds, and losing them loses nothing."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from memgpt_core.stores.query_cache import ROW_BYTES, Lookups, QueryCache


def vector(number: int, dim: int = 4) -> np.ndarray:
    made = np.zeros(dim, dtype=np.float32)
    made[number % dim] = 1
    return made


def kept(cache: QueryCache, *queries: str) -> list[str]:
    return [query for query in queries if cache.get("m", 4, query) is not None]


def test_a_query_comes_back_also_after_reopening_and_models_never_mix(tmp_path: Path) -> None:
    cache = QueryCache(tmp_path / "queries.sqlite")
    assert not cache.path.exists(), "no file before there is something to keep"
    assert cache.get("m", 4, "tea") is None
    cache.put("m", 4, "tea", vector(1))
    cache.close()
    cache = QueryCache(tmp_path / "queries.sqlite")
    found = cache.get("m", 4, "tea")
    assert found is not None
    assert np.array_equal(found, vector(1))
    assert (found.dtype, found.shape) == (np.float32, (4,))
    assert cache.get("other", 4, "tea") is None
    assert cache.get("m", 3, "tea") is None
    assert (cache.lookups("m", 4), cache.lookups("other", 4)) == (Lookups(1, 1), Lookups(1, 0))
    assert b"tea" not in cache.path.read_bytes()
    cache.close()


def test_a_killed_process_loses_no_query(tmp_path: Path) -> None:
    killed = QueryCache(tmp_path / "queries.sqlite")
    killed.put("m", 4, "tea", vector(1))
    other = QueryCache(tmp_path / "queries.sqlite")
    assert kept(other, "tea") == ["tea"]
    other.close()
    killed.close()


def test_what_was_not_asked_for_longest_leaves_first(tmp_path: Path) -> None:
    cache = QueryCache(tmp_path / "queries.sqlite", count_most=3)
    for number, query in enumerate("abc"):
        cache.put("m", 4, query, vector(number))
    assert kept(cache, "a") == ["a"]
    cache.put("m", 4, "d", vector(3))
    assert kept(cache, *"abcd") == ["a", "c", "d"]
    cache.close()
    cache = QueryCache(tmp_path / "queries.sqlite", count_most=3)
    # Also after reopening: a was asked for before c and d.
    cache.put("m", 4, "e", vector(4))
    assert kept(cache, *"acde") == ["c", "d", "e"]
    assert cache.size() == (3, 3 * (16 + ROW_BYTES))
    cache.close()


def test_long_vectors_are_bounded_by_their_bytes(tmp_path: Path) -> None:
    cache = QueryCache(tmp_path / "queries.sqlite", bytes_most=10 * (4000 + ROW_BYTES))
    for number in range(25):
        cache.put("m", 1000, f"query {number}", vector(number, 1000))
    assert cache.size() == (10, 10 * (4000 + ROW_BYTES))
    assert cache.get("m", 1000, "query 14") is None
    assert cache.get("m", 1000, "query 15") is not None
    cache.close()


def test_the_same_query_is_kept_once(tmp_path: Path) -> None:
    cache = QueryCache(tmp_path / "queries.sqlite")
    cache.put("m", 4, "tea", vector(1))
    cache.put("m", 4, "tea", vector(2))
    assert cache.size()[0] == 1
    cache.close()


def test_switched_off_nothing_is_looked_up_or_kept_and_what_was_there_stays(tmp_path: Path) -> None:
    cache = QueryCache(tmp_path / "queries.sqlite")
    cache.put("m", 4, "tea", vector(1))
    cache.on = False
    cache.put("m", 4, "milk", vector(2))
    assert kept(cache, "tea", "milk") == []
    cache.on = True
    assert kept(cache, "tea", "milk") == ["tea"]
    assert cache.lookups("m", 4).asked == 2
    cache.close()


@pytest.mark.parametrize("damage", ["no database", "row"])
def test_what_was_altered_on_disk_is_not_handed_out(tmp_path: Path, damage: str) -> None:
    cache = QueryCache(tmp_path / "queries.sqlite")
    for query in ("tea", "milk"):
        cache.put("m", 4, query, vector(1))
    cache.close()
    if damage == "row":
        with sqlite3.connect(cache.path) as db:
            db.execute("UPDATE queries SET vector = ?", [vector(2).tobytes()])
        db.close()
    else:
        cache.path.write_bytes(b"no database at all, but long enough to be taken for one" * 99)
    cache = QueryCache(tmp_path / "queries.sqlite")
    assert kept(cache, "tea", "milk") == []
    cache.put("m", 4, "tea", vector(1))
    assert kept(cache, "tea") == ["tea"]
    cache.close()


def test_a_place_that_cannot_be_written_costs_the_next_start_only(tmp_path: Path) -> None:
    cache = QueryCache(tmp_path / "missing" / "queries.sqlite")
    cache.put("m", 4, "tea", vector(1))
    assert kept(cache, "tea", "milk") == ["tea"]
    assert cache.size() == (0, 0)
    cache.close()
    assert cache.get("m", 4, "milk") is None, "closed, it is empty and no error"
