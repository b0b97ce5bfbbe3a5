"""Vectors in RAM: the cosine with context is that of the mixed vectors, a long text counts by its best piece."""

import numpy as np
import pytest

from memgpt_core.ranking import Context
from memgpt_core.stores.matrix import NO_COSINE, VectorMatrix
from memgpt_core.stores.versions import NONE, Began, Version, Versions, union, without

DIM = 16
CONTEXT = Context(before=0.5, after=0.2)
ROLES = ("user", "assistant")


def unit(rng: np.random.Generator, n: int) -> np.ndarray:
    vectors = rng.normal(size=(n, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def chat(sessions: list[int], roles: list[str] | None = None) -> Versions:
    versions = Versions("m", ROLES)
    versions.add(
        Version(f"m{at}", at, None, at, (roles or ["user"] * len(sessions))[at], session)
        for at, session in enumerate(sessions)
    )
    return versions


def filled(versions: Versions, vectors: np.ndarray) -> VectorMatrix:
    matrix = VectorMatrix(DIM, versions, CONTEXT)
    for at, vector in enumerate(vectors):
        matrix.add(at, [f"h{at}"])
        matrix.fill({f"h{at}": vector})
    return matrix


def mixed(vectors: np.ndarray, before: list[int], after: list[int]) -> np.ndarray:
    rows = []
    for at, vector in enumerate(vectors.astype(np.float64)):
        whole = vector.copy()
        whole += 0.5 * vectors[before[at]] if before[at] != NONE else 0
        whole += 0.2 * vectors[after[at]] if after[at] != NONE else 0
        rows.append(whole / np.linalg.norm(whole))
    return np.stack(rows)


def test_the_cosine_with_context_is_that_of_the_mixed_unit_vectors() -> None:
    rng = np.random.default_rng(1)
    vectors, query = unit(rng, 7), unit(rng, 1)[0]
    versions = chat([1, 1, 1, 2, 2, 3, 3])
    matrix = filled(versions, vectors)
    beside = versions.beside(99, ())
    before, after = [NONE, 0, 1, NONE, 3, NONE, 5], [1, 2, NONE, 4, NONE, 6, NONE]
    assert [beside[0].tolist(), beside[1].tolist()] == [before, after]
    expected = mixed(vectors, before, after) @ query
    assert matrix.exact(np.arange(7), query, *beside) == pytest.approx(expected, abs=2e-6)
    assert matrix.rough(query, *beside) == pytest.approx(expected, abs=1e-5)


def test_neighbours_change_with_the_event_and_what_is_left_out() -> None:
    rng = np.random.default_rng(2)
    vectors, query = unit(rng, 4), unit(rng, 1)[0]
    versions = chat([1, 1, 1, 1])
    matrix = filled(versions, vectors)
    later = matrix.exact(np.arange(4), query, *versions.beside(99, ()))
    versions.end([Began("m1", 1)], [50])
    without = versions.beside(60, ())
    assert without[0].tolist() == [NONE, NONE, 0, 2]
    expected = mixed(vectors, [NONE, NONE, 0, 2], [2, NONE, 3, NONE]) @ query
    assert matrix.exact(np.array([0, 2, 3]), query, *without) == pytest.approx(expected[[0, 2, 3]], abs=2e-6)
    assert np.array_equal(matrix.exact(np.arange(4), query, *versions.beside(40, ())), later)
    assert versions.beside(40, ("m2",))[0].tolist() == [NONE, 0, NONE, 1]


def test_other_roles_have_no_neighbours_and_a_corrected_message_keeps_its_place() -> None:
    versions = chat([1, 1, 1], ["user", "function", "assistant"])
    versions.add([Version("m0", 7, None, 7, "user", 1)])
    versions.end([Began("m0", 0)], [7])
    before, after = versions.beside(9, ())
    assert (before.tolist(), after.tolist()) == ([NONE, NONE, 3, NONE], [NONE, NONE, NONE, 2])


def test_a_text_in_pieces_is_as_near_as_its_best_one() -> None:
    rng = np.random.default_rng(3)
    vectors, query = unit(rng, 5), unit(rng, 1)[0]
    versions = Versions("p")
    versions.add(Version(f"p{at}", at, None, at, "", 1) for at in range(3))
    matrix = VectorMatrix(DIM, versions, Context(0, 0))
    matrix.add(0, ["a", "b", "c"])
    matrix.add(2, ["d"])
    matrix.fill({"a": vectors[0], "b": vectors[1]})
    beside = versions.beside(9, ())
    assert matrix.rough(query, *beside).tolist() == [NO_COSINE] * 3
    assert matrix.not_embedded() == {"p0", "p2"}
    matrix.fill({"c": vectors[2], "d": vectors[3]})
    best = max(float(vector @ query) for vector in vectors[:3])
    assert matrix.exact(np.array([0, 2]), query, *beside) == pytest.approx([best, vectors[3] @ query], abs=2e-6)
    assert matrix.rough(query, *beside) == pytest.approx([best, NO_COSINE, vectors[3] @ query], abs=1e-5)
    assert matrix.not_embedded() == set()


def test_places_joined_and_taken_away_come_once_and_in_order() -> None:
    some, others = np.array([7, 2, 5]), np.array([5, 9])
    assert union(some, others, 10).tolist() == [2, 5, 7, 9]
    assert without(some, others, 10).tolist() == [2, 7]
