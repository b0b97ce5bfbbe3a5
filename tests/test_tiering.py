"""Vectors beyond RAM: what is on disk is found like what is here, filters are kept, and what was missed is said."""

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from memgpt_core import tiering
from memgpt_core.errors import StoreBroken
from memgpt_core.ranking import Context
from memgpt_core.stores import nearest, tiered
from memgpt_core.stores.matrix import NO_COSINE, VectorMatrix
from memgpt_core.stores.nearest import Kind, NearestVectors
from memgpt_core.stores.tiered import TieredMatrix
from memgpt_core.stores.vectors import text_hash
from memgpt_core.stores.versions import Version, Versions
from memgpt_core.tiering import Tiering

DIM, ROWS = 32, 900
ALONE, IN_TALK = Context(0, 0), Context(before=0.5, after=0.2)
BYTES_MB = 4 * DIM / 1e6


def clustered(rng: np.random.Generator, count: int) -> np.ndarray:
    centres = rng.normal(size=(30, DIM))
    vectors = centres[rng.integers(0, 30, count)] + 0.6 * rng.normal(size=(count, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


RNG = np.random.default_rng(5)
VECTORS = clustered(RNG, ROWS)
QUERIES = clustered(RNG, 12)


class Tiers:
    """A tier of one table with its vectors, beside the same held whole."""

    def __init__(self, folder: Path, context: Context, *, budget_mb: float = 0, pieces: bool = False) -> None:
        self.versions = Versions("m", ("user",))
        self.hot: Any = SimpleNamespace(lock=threading.RLock(), tables={})
        for table in tiering.INDEXED:
            hot: Any = SimpleNamespace()
            hot.forget_vectors = lambda hot=hot: setattr(hot, "matrix", TieredMatrix(DIM, self.versions, context))
            hot.forget_vectors()
            self.hot.tables[table] = hot
        self.whole = VectorMatrix(DIM, self.versions, context)
        self.pieces = pieces
        self.tiering = Tiering(folder, self.hot, "hashing", DIM, budget_mb)  # type: ignore[arg-type]
        self.added = 0

    @property
    def matrix(self) -> TieredMatrix:
        matrix: TieredMatrix = self.hot.tables["passages"].matrix
        return matrix

    def add(self, count: int) -> "Tiers":
        at = range(self.versions.size, self.versions.size + count)
        self.versions.add(Version(f"m{n}", n + 1, None, n, "user", n // 9) for n in at)
        self.give((self.matrix, self.whole), at)
        return self

    def give(self, matrices: tuple[VectorMatrix, ...], places: range) -> None:
        """Two pieces for each fifth version when there are pieces; vectors go round."""
        for matrix in matrices:
            for place in places:
                parts = [f"{place}", f"{place}b"] if self.pieces and place % 5 == 0 else [f"{place}"]
                lacking = matrix.add(place, [text_hash(part) for part in parts])
                known = {text_hash(f"{place}"): VECTORS[place], text_hash(f"{place}b"): VECTORS[-1 - place]}
                matrix.fill({hash: known[hash] for hash in lacking})

    def reopened(self, folder: Path, **changes: Any) -> "Tiers":
        other = Tiers(folder, self.matrix._context, **changes)
        other.versions, other.pieces = self.versions, self.pieces
        for hot in other.hot.tables.values():
            hot.matrix.versions = self.versions
        other.tiering.attach()
        other.whole = self.whole
        other.give((other.matrix,), range(self.versions.size))
        return other

    def best(self, matrix: VectorMatrix, query: np.ndarray, among: np.ndarray, size: int = 10) -> list[int]:
        beside = self.versions.beside(10**6, ())
        rough = matrix.rough(query, *beside, among, 400)
        there = np.flatnonzero(among & (rough > NO_COSINE))
        there = there[np.argsort(-rough[there], kind="stable")][:40]
        cosines = matrix.exact(there, query, *beside)
        return there[np.argsort(-cosines, kind="stable")][:size].tolist()

    def recall(self, among: np.ndarray | None = None) -> float:
        part = np.ones(self.versions.size, np.bool_) if among is None else among
        found = [
            len({*self.best(self.matrix, q, part)} & {*(exact := self.best(self.whole, q, part))}) / len(exact)
            for q in QUERIES
        ]
        return float(np.mean(found))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiering, "LEAST_MOVED", 200)
    monkeypatch.setattr(nearest, "FLAT_MOST", 300)
    monkeypatch.setattr(tiered, "READ_MOST", 20)


@pytest.mark.parametrize(("context", "pieces"), [(ALONE, False), (ALONE, True), (IN_TALK, False), (IN_TALK, True)])
def test_what_is_on_disk_is_found_and_its_cosine_is_the_exact_one(
    tmp_path: Path, context: Context, pieces: bool
) -> None:
    tiers = Tiers(tmp_path, context, pieces=pieces).add(700)
    assert tiers.matrix.far is None
    tiers.tiering.follow()
    assert tiers.matrix.far
    assert (tiers.matrix.held, tiers.matrix.far.kind.exact) == (0, False)
    assert tiers.recall() >= 0.9
    assert not tiers.matrix.exhausted
    beside = tiers.versions.beside(10**6, ())
    for query in QUERIES[:4]:
        tiers.matrix.rough(query, *beside, None, 400)
        places = np.array([3, 5, 10, 500, 699])
        exact = tiers.whole.exact(places, query, *beside)
        assert tiers.matrix.exact(places, query, *beside) == pytest.approx(exact, abs=2e-6)


def test_while_all_fit_the_budget_nothing_goes_to_disk(tmp_path: Path) -> None:
    tiers = Tiers(tmp_path, ALONE, budget_mb=900 * BYTES_MB).add(700)
    tiers.tiering.follow()
    assert tiers.matrix.far is None
    assert tiers.recall() == 1
    assert tiers.matrix.exhausted
    assert list(tmp_path.iterdir()) == []


def test_new_vectors_are_found_before_the_disk_has_them(tmp_path: Path) -> None:
    tiers = Tiers(tmp_path, ALONE).add(700)
    tiers.tiering.follow()
    tiers.add(100)
    tiers.tiering.follow()
    assert tiers.matrix.held == 100
    assert tiers.best(tiers.matrix, VECTORS[799], np.ones(800, np.bool_), 1) == [799]
    tiers.add(100)
    tiers.tiering.follow()
    assert tiers.matrix.held == 0
    assert tiers.matrix.far
    assert tiers.matrix.far.rows == 900
    assert tiers.best(tiers.matrix, VECTORS[799], np.ones(900, np.bool_), 1) == [799]


def test_the_newest_stay_in_ram_and_what_is_hit_often_comes_back(tmp_path: Path) -> None:
    tiers = Tiers(tmp_path, ALONE, budget_mb=100 * BYTES_MB).add(700)
    tiers.tiering.follow()
    assert sorted(tiers.matrix._slots[: tiers.matrix.held]) == list(range(600, 700))
    for _ in range(tiering.SEARCHES_LOOKED_BACK):
        tiers.best(tiers.matrix, VECTORS[7], np.ones(700, np.bool_))
    tiers.tiering.follow()
    held = set(tiers.matrix._slots[: tiers.matrix.held].tolist())
    assert len(held) == 100
    assert {7, 699} <= held
    row = tiers.matrix._row[7]
    assert np.array_equal(tiers.matrix._vectors[row], VECTORS[7])
    assert tiers.recall() >= 0.9


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_filters_are_kept_and_few_that_pass_are_all_compared(tmp_path: Path, share: float) -> None:
    tiers = Tiers(tmp_path, ALONE).add(900)
    tiers.tiering.follow()
    among = np.random.default_rng(1).random(900) < share
    tiers.best(tiers.matrix, QUERIES[0], np.ones(900, np.bool_))
    assert not tiers.matrix.exhausted
    for query in QUERIES:
        assert all(among[place] for place in tiers.best(tiers.matrix, query, among))
    assert tiers.recall(among) >= 0.9
    assert tiers.matrix.exhausted == (share == 0.01)


def test_a_filter_that_only_far_ones_pass_is_answered_by_reading_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiered, "ASKED_MOST", 100)
    tiers = Tiers(tmp_path, ALONE).add(900)
    tiers.tiering.follow()
    query = QUERIES[0]
    among = VECTORS[:900] @ query < 0
    assert tiers.best(tiers.matrix, query, among) == tiers.best(tiers.whole, query, among)
    assert tiers.matrix.exhausted


class Forgetful:
    """A far table that finds every second of the nearest until it looks into eight parts."""

    rows = ROWS

    def at(self, rows: np.ndarray) -> np.ndarray:
        return VECTORS[rows]

    def all(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for at in range(0, ROWS, 250):
            yield np.arange(ROWS)[at : at + 250], VECTORS[at : at + 250]

    def find(self, query: np.ndarray, most: int, probes: int) -> tuple[np.ndarray, np.ndarray]:
        cosines = VECTORS @ query
        order = np.argsort(-cosines)[:: 1 if probes >= 8 else 2][:most]
        return order, cosines[order]


@pytest.mark.parametrize(("parts", "probes", "recall"), [(64, 8, 1.0), (4, 4, 0.5)])
def test_as_many_parts_are_looked_into_as_it_takes_and_the_recall_is_measured(
    parts: int, probes: int, recall: float
) -> None:
    far: Any = Forgetful()
    assert tiering.tuned(far, Kind("IVF_RQ", parts, 1)) == Kind("IVF_RQ", parts, probes, 0, recall)


def test_a_reopened_table_is_not_read_into_ram_and_finds_the_same(tmp_path: Path) -> None:
    tiers = Tiers(tmp_path, ALONE).add(700)
    tiers.tiering.follow()
    again = tiers.reopened(tmp_path)
    assert (again.matrix.held, again.matrix.waiting(), again.matrix.stale) == (0, 0, False)
    assert again.matrix.far
    assert again.matrix.far.kind == tiers.matrix.far.kind  # type: ignore[union-attr]
    for query in QUERIES:
        every = np.ones(700, np.bool_)
        assert again.best(again.matrix, query, every) == tiers.best(tiers.matrix, query, every)
    roomy = tiers.reopened(tmp_path, budget_mb=900 * BYTES_MB)
    assert roomy.matrix.far is None
    assert roomy.matrix.held == 700


def test_a_table_of_other_texts_is_dropped_and_made_anew(tmp_path: Path) -> None:
    tiers = Tiers(tmp_path, ALONE).add(700)
    tiers.tiering.follow()
    other = tiers.reopened(tmp_path)
    other.hot.tables["passages"].forget_vectors()
    other.tiering.attach()
    other.matrix.add(0, [text_hash("something else")])
    assert other.matrix.stale
    other.tiering.follow()
    assert (other.matrix.stale, other.matrix.far, other.matrix.position) == (False, None, 0)


def test_a_disk_that_takes_nothing_leaves_everything_in_ram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiers = Tiers(tmp_path, ALONE).add(700)
    with monkeypatch.context() as full:
        full.setattr(NearestVectors, "train", lambda *_: (_ for _ in ()).throw(nearest._broken(OSError("no space"))))
        with pytest.raises(StoreBroken, match="disk space"):
            tiers.tiering.follow()
    assert tiers.matrix.far is None
    assert tiers.recall() == 1
    tiers.tiering.follow()
    assert tiers.matrix.far
    assert tiers.recall() >= 0.9


def test_what_is_near_is_told_by_its_slot_wherever_its_row_stands(tmp_path: Path) -> None:
    far = NearestVectors(tmp_path, "passages", DIM)
    far.open()
    slots = np.arange(300)[::-1] + 1000
    far.add(slots[:200], slots[:200], VECTORS[:200])
    far.add(slots[200:], slots[200:], VECTORS[200:300])
    for query in QUERIES:
        found, cosines = far.find(query, 20, 1)
        true = np.argsort(-(VECTORS[:300] @ query))[:20]
        assert found.tolist() == slots[true].tolist()
        assert np.allclose(cosines, VECTORS[true] @ query, atol=1e-6)
