"""Every row that is altered, missing or extra in a store is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import lancedb
import numpy as np
import pytest

from memgpt_core.embedding.hashing import HashingEmbedder
from memgpt_core.stores.index import IndexRow
from memgpt_core.stores.vectors import VectorStore, text_hash
from memgpt_core.verify import verify
from tests.event_builder import Script
from tests.test_projections import opened

DIM = 16


@pytest.fixture
def script() -> Script:
    script = Script().turn("the cat", "a cat").insert("fact one").insert("fact two", tags=["t"])
    script.edit_passage(script.passage, "fact two, corrected", tags=["t"])
    script.flushed(2).requeue("m2").edit_message("m2", "the corrected cat").insert("fact three")
    return script.delete_passage("p14").restore_passage("p14", "fact three, restored").delete_message("m5")


@pytest.fixture
def named(tmp_path: Path, script: Script) -> Callable[..., list[str]]:
    """Close the stores, run SQL on one of them, open again and say what verify names."""
    home = tmp_path / "agent"
    with opened(home, script, HashingEmbedder(DIM)) as live:
        live.flush()
        assert verify(script.events, live) == []

    def after(file: str, *statements: str | tuple[str, list[Any]]) -> list[str]:
        with duckdb.connect(str(tmp_path / file)) as tampering:
            for statement in statements:
                tampering.execute(*((statement,) if isinstance(statement, str) else statement))
        with opened(home, script, HashingEmbedder(DIM)) as live:
            return [str(difference) for difference in verify(script.events, live)]

    return after


ROWS = "agent/rows.duckdb"


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        (
            "UPDATE messages SET text = 'a dog' WHERE id = 'm4'",
            ["DuckDB, messages, m4 4: text is 'a dog', should be 'a cat'."],
        ),
        ("DELETE FROM passages WHERE id = 'p8'", ["DuckDB, passages, p8 8: missing."]),
        (
            "INSERT INTO passages SELECT * REPLACE ('p77' AS id) FROM passages WHERE id = 'p8'",
            ["DuckDB, passages, p77 8: extra; the log has no such row."],
        ),
        (
            "INSERT INTO residency SELECT * FROM residency WHERE item = 'm5'",
            ["DuckDB, residency, m5 m5 slot 5: extra; the log has no such row."],
        ),
        (
            "UPDATE messages SET seq_to = NULL WHERE id = 'm2' AND seq_from = 2",
            ["DuckDB, messages, m2 2: seq_to is None, should be 13."],
        ),
        (
            "UPDATE events SET kind = 'turn_ended' WHERE seq_from = 3",
            ["DuckDB, events, 3: kind is 'turn_ended', should be 'prompt_built'."],
        ),
        (
            "UPDATE passages SET tags = ['u'] WHERE id = 'p9' AND seq_to IS NULL",
            ["DuckDB, passages, p9 10: tags is ['u'], should be ['t']."],
        ),
        (
            "UPDATE passages SET text = 'fact three' WHERE id = 'p14'",
            ["DuckDB, passages, p14 16: text is 'fact three', should be 'fact three, restored'."],
        ),
        (
            "DELETE FROM passages WHERE id = 'p14' AND seq_to IS NULL",
            ["DuckDB, passages, p14 16: missing."],
        ),
        (
            "UPDATE prompts SET total_tokens = 9",
            ["DuckDB, prompts, 3: total_tokens is 9, should be 0."],
        ),
        ("DELETE FROM replies", ["DuckDB, replies, 4: missing."]),
        (
            "UPDATE events SET about = 'dogs' WHERE seq_from = 15",
            ["DuckDB, events, 15: about is 'dogs', should be 'p14'."],
        ),
    ],
)
def test_a_row_changed_in_duckdb_is_named(named: Callable[..., list[str]], statement: str, names: list[str]) -> None:
    assert named(ROWS, statement) == names


def test_an_altered_vector_is_named(named: Callable[..., list[str]]) -> None:
    hash = text_hash("fact one")
    wrong = np.eye(DIM, dtype=np.float32)[0].tobytes()
    found = named("vectors.duckdb", ("UPDATE vectors SET vector = ? WHERE hash = ?", [wrong, hash]))
    assert f"vectors, hashing, {hash}: altered since it was written." in found
    assert all("fact" in line or hash in line or "p8" in line for line in found)


def test_a_deleted_vector_is_named(named: Callable[..., list[str]]) -> None:
    hash = text_hash("fact one")
    assert named("vectors.duckdb", ("DELETE FROM vectors WHERE hash = ?", [hash])) == [
        f"vectors, hashing, {hash}: missing."
    ]


def test_an_added_vector_is_named(named: Callable[..., list[str]]) -> None:
    added = "INSERT INTO vectors SELECT * REPLACE ('ab' AS hash) FROM vectors WHERE hash = ?"
    twice = "INSERT INTO vectors SELECT * FROM vectors WHERE hash = ?"
    hash = text_hash("fact one")
    assert named("vectors.duckdb", (added, [hash])) == ["vectors, hashing, ab: extra; Memscope did not write it."]
    assert f"vectors, hashing, {hash}: extra; the hash is there twice." in named("vectors.duckdb", (twice, [hash]))


def test_a_vector_that_cannot_be_one_is_named(named: Callable[..., list[str]]) -> None:
    hash = text_hash("fact one")
    nan = np.full(DIM, np.nan, dtype=np.float32).tobytes()
    found = named("vectors.duckdb", ("UPDATE vectors SET vector = ? WHERE hash = ?", [nan, hash]))
    assert f"vectors, hashing, {hash}: has values that are not finite." in found


def test_a_vector_of_another_text_under_the_right_seal_is_named(tmp_path: Path, script: Script) -> None:
    with opened(tmp_path / "agent", script, HashingEmbedder(DIM)) as live:
        live.flush()
        hash = text_hash("fact one")
        live.vectors.drop("hashing", DIM, [hash])
        live.vectors.put("hashing", DIM, {hash: HashingEmbedder(DIM).embed(["fact two"])[0]})
        found = [str(difference) for difference in verify(script.events, live)]
    assert f"vectors, hashing, {hash}: not what the embedder makes of its text." in found
    assert "LanceDB, passages, p8: vector is not the one the home keeps for its text." in found


def test_another_agents_vectors_are_no_difference(tmp_path: Path, script: Script) -> None:
    with opened(tmp_path / "agent", script, HashingEmbedder(DIM)) as live:
        live.flush()
        other = HashingEmbedder(DIM).embed(["of another agent"])[0]
        live.vectors.put("hashing", DIM, {text_hash("of another agent"): other})
        assert verify(script.events, live) == []


def tampered(path: Path, change: Callable[[Any], None]) -> None:
    table = lancedb.connect(str(path / "index.lance")).open_table(f"passages_hashing_{DIM}")
    change(table)


@pytest.mark.parametrize("reopened", [False, True])
@pytest.mark.parametrize(
    ("change", "name"),
    [
        (
            lambda table: table.update(where="id = 'p8'", values={"text": "a lie"}),
            "LanceDB, passages, p8: text is 'a lie', should be 'fact one'.",
        ),
        (
            lambda table: table.update(where="id = 'p8'", values={"vector": [1.0] + [0.0] * (DIM - 1)}),
            "LanceDB, passages, p8: vector is not the one the home keeps for its text.",
        ),
        (lambda table: table.delete("id = 'p8'"), "LanceDB, passages, p8: missing."),
        (
            lambda table: table.add([{"id": "p77", "seq": 77, "text": "x", "words": "x", "vector": [1.0] * DIM}]),
            "LanceDB, passages, p77: extra; no such row is current, or it is there twice.",
        ),
    ],
)
def test_a_row_changed_in_lancedb_is_named(
    tmp_path: Path, script: Script, change: Callable[[Any], None], name: str, reopened: bool
) -> None:
    home = tmp_path / "agent"
    with opened(home, script, HashingEmbedder(DIM)) as live:
        live.flush()
        if not reopened:
            live.index.close()
            tampered(home, change)
            assert [str(difference) for difference in verify(script.events, live)] == [name]
    if reopened:
        tampered(home, change)
        with opened(home, script, HashingEmbedder(DIM)) as live:
            assert [str(difference) for difference in verify(script.events, live)] == [name]


def test_a_rebuild_repairs_what_was_named(tmp_path: Path, script: Script) -> None:
    with opened(tmp_path / "agent", script, HashingEmbedder(DIM)) as live:
        live.flush()
        live.index.merge("passages", [IndexRow("p99", 99, "extra", None)])
        assert len(verify(script.events, live)) == 1
        live.rebuild(script.pairs)
        assert verify(script.events, live) == []


def test_the_home_keeps_vectors_when_an_agent_is_rebuilt(tmp_path: Path, script: Script) -> None:
    with opened(tmp_path / "agent", script, HashingEmbedder(DIM)) as live:
        live.flush()
        count = live.vectors.count()
        live.rebuild(script.pairs)
        assert live.vectors.count() == count
        assert isinstance(live.vectors, VectorStore)
