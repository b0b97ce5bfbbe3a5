"""The search index: what it holds, how it is found, what it survives."""

from pathlib import Path

import numpy as np
import pytest

from memgpt_core import failpoints
from memgpt_core.errors import StoreBroken
from memgpt_core.stores import index as module
from memgpt_core.stores.index import IndexRow, LanceIndex, space
from memgpt_core.stores.seals import text_hash

VECTOR = np.array([1, 0], dtype=np.float32)


def row(id: str, text: str, vector: np.ndarray | None = VECTOR) -> IndexRow:
    return IndexRow(id, int(id[1:]), text, vector)


def opened(folder: Path, model: str | None = "hashing", dim: int = 2) -> LanceIndex:
    index = LanceIndex(folder, model, dim)
    index.open()
    return index


def held(index: LanceIndex, table: str = "messages") -> dict[str, tuple[int, str, bool]]:
    return {row.id: (row.seq, row.text, row.vector is not None) for row in index.rows(table)}


def test_merging_twice_is_merging_once_and_a_new_text_replaces_the_old(tmp_path: Path) -> None:
    index = opened(tmp_path / "i")
    index.merge("messages", [row("m1", "one"), row("m2", "two")])
    index.merge("messages", [row("m1", "one"), row("m3", "drei"), row("m3", "three")])
    assert held(index) == {"m1": (1, "one", True), "m2": (2, "two", True), "m3": (3, "three", True)}
    assert held(index, "passages") == {}
    assert index.words("messages", "drei", 9) == []


def test_rows_come_with_and_without_vectors(tmp_path: Path) -> None:
    index = opened(tmp_path / "i")
    index.merge("messages", [row("m1", "one", None), row("m2", "two")])
    index.merge("messages", [row("m3", "three", None)])
    assert index.without_vector("messages") == {"m1", "m3"}
    vectors = {row.id: row.vector for row in index.rows("messages")}
    assert vectors["m1"] is None
    assert vectors["m2"] is not None
    assert np.array_equal(vectors["m2"], VECTOR)


def test_an_index_without_an_embedder_has_words_only(tmp_path: Path) -> None:
    index = opened(tmp_path / "i", None, 0)
    index.merge("messages", [row("m1", "one", None)])
    assert held(index) == {"m1": (1, "one", False)}
    assert index.without_vector("messages") == set()
    assert (tmp_path / "i" / "messages_words.lance").is_dir()


@pytest.mark.parametrize(
    "text", ['say "hi" AND (x OR', "the the", "x" * 80, "naïve Ünïcode", "猫が好き", "550e8400-e29b-41d4"]
)
def test_any_word_of_any_text_is_found(tmp_path: Path, text: str) -> None:
    index = opened(tmp_path / "i")
    index.merge("messages", [row("m1", text), row("m2", "something else")])
    for word in module.words(text):
        assert [id for id, _ in index.words("messages", word, 9)] == ["m1"]


def test_the_stem_of_a_word_is_another_word(tmp_path: Path) -> None:
    index = opened(tmp_path / "i")
    index.merge("messages", [row("m1", "running")])
    assert index.words("messages", "run", 9) == []


def test_deleted_rows_are_not_found_any_more(tmp_path: Path) -> None:
    index = opened(tmp_path / "i")
    index.merge("messages", [row("m1", "cat"), row("m2", "cat")])
    index.delete("messages", ["m1", "m77"])
    assert [id for id, _ in index.words("messages", "cat", 9)] == ["m2"]
    assert index.count("messages") == 1


def test_a_reopened_index_has_its_rows_and_its_position(tmp_path: Path) -> None:
    index = opened(tmp_path / "i")
    index.merge("messages", [row("m1", "cat")])
    index.set_position(7)
    index.close()
    again = LanceIndex(tmp_path / "i", "hashing", 2)
    assert (again.position, again.ready) == (7, False)
    again.open()
    assert held(again) == {"m1": (1, "cat", True)}


def test_embedding_models_have_tables_and_positions_of_their_own(tmp_path: Path) -> None:
    one, other = opened(tmp_path / "i"), opened(tmp_path / "i", "nomic-embed-text:v1.5", 2)
    one.merge("messages", [row("m1", "cat")])
    one.set_position(5)
    assert held(other) == {}
    assert LanceIndex(tmp_path / "i", "nomic-embed-text:v1.5", 2).position == 0
    assert space("a:b", 2) != space("a-b", 2)


def test_tables_of_other_models_go_and_tables_without_seals_are_made_anew(tmp_path: Path) -> None:
    one, other = opened(tmp_path / "i"), opened(tmp_path / "i", "nomic-embed-text:v1.5", 2)
    one.set_position(5)
    other.set_position(7)
    one.merge("messages", [row("m1", "cat"), row("m2", "dog", None)])
    one.drop_others()
    assert {path.stem for path in (tmp_path / "i").glob("*.lance")} == {"messages_hashing_2", "passages_hashing_2"}
    assert LanceIndex(tmp_path / "i", "nomic-embed-text:v1.5", 2).position == 0
    assert one.kept("messages", ["m1", "m2", "m3"]).keys() == {text_hash("cat")}
    one._table("messages").drop_columns(["seal"])
    one.close()
    again = opened(tmp_path / "i")
    assert (again.position, held(again)) == (0, {})


def test_tables_that_vanished_put_the_position_back(tmp_path: Path) -> None:
    index = opened(tmp_path / "i")
    index.set_position(7)
    index.close()
    for table in (tmp_path / "i").glob("*.lance"):
        for path in sorted(table.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        table.rmdir()
    assert opened(tmp_path / "i").position == 0


def test_a_damaged_position_is_none(tmp_path: Path) -> None:
    opened(tmp_path / "i").set_position(7)
    (tmp_path / "i" / "positions.json").write_text("{")
    assert LanceIndex(tmp_path / "i", "hashing", 2).position == 0


def test_dropping_begins_anew(tmp_path: Path) -> None:
    index = opened(tmp_path / "i")
    index.merge("messages", [row("m1", "cat")])
    index.set_position(7)
    index.drop()
    assert (index.position, index.ready) == (0, False)
    index.open()
    assert held(index) == {}


def test_new_rows_are_folded_in_once_they_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MIN_UNFOLDED", 4)
    index = opened(tmp_path / "i")
    versions = (tmp_path / "i" / "messages_hashing_2.lance" / "_indices").glob("*")
    before = set(versions)
    index.merge("messages", [row("m1", "cat")])
    index.tidy()
    assert set((tmp_path / "i" / "messages_hashing_2.lance" / "_indices").glob("*")) == before
    index.merge("messages", [row(f"m{n}", "cat") for n in range(2, 6)])
    index.tidy()
    assert set((tmp_path / "i" / "messages_hashing_2.lance" / "_indices").glob("*")) != before
    assert {id for id, _ in index.words("messages", "cat", 9)} == {"m1", "m2", "m3", "m4", "m5"}


def test_rows_that_come_one_by_one_leave_few_files_and_no_old_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MERGES_MOST", 8)
    index = opened(tmp_path / "i")
    for n in range(1, 21):
        index.merge("messages", [row(f"m{n}", "cat")])
        index.tidy()
    assert len(list((tmp_path / "i" / "messages_hashing_2.lance" / "data").iterdir())) < 8
    assert len(list((tmp_path / "i" / "messages_hashing_2.lance" / "_versions").iterdir())) < 12
    assert len(held(index)) == 20
    index.close()
    again = opened(tmp_path / "i")
    for n in range(21, 26):
        again.merge("messages", [row(f"m{n}", "cat")])
        again.tidy()
    # The five that lay there when it was opened count as well.
    assert len(list((tmp_path / "i" / "messages_hashing_2.lance" / "data").iterdir())) < 8
    assert len(again.words("messages", "cat", 99)) == 25


def test_a_failed_merge_is_named_and_can_be_repeated(tmp_path: Path) -> None:
    index = opened(tmp_path / "i")
    with failpoints.arm("index.before_merge", failpoints.enospc), pytest.raises(StoreBroken, match="disk space"):
        index.merge("messages", [row("m1", "cat")])
    assert held(index) == {}
    index.merge("messages", [row("m1", "cat")])
    assert list(held(index)) == ["m1"]
