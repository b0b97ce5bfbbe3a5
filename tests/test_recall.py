"""The row store holds what the same changes make in memory, once, whatever happens to its file."""

import random
import threading
from datetime import UTC
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memgpt_core import failpoints
from memgpt_core.errors import StoreBroken
from memgpt_core.project import COLUMNS, Change, project
from memgpt_core.rows import MemoryRows
from memgpt_core.stores import recall
from memgpt_core.stores.recall import RecallStore
from tests.event_builder import Script
from tests.random_logs import STEPS, random_log


def batch(script: Script, after: int = 0) -> list[tuple[int, list[Change]]]:
    return [(event.seq, project(before, event)) for before, event in script.pairs(after)]


def contents(store: RecallStore) -> dict[str, list[tuple[Any, ...]]]:
    return {name: in_order(store.query(f"SELECT * FROM {name}"), columns) for name, columns in COLUMNS.items()}


def expected(script: Script) -> dict[str, list[tuple[Any, ...]]]:
    rows = MemoryRows()
    for _, changes in batch(script):
        rows.take(changes)
    return {name: in_order(rows.table(name), columns) for name, columns in COLUMNS.items()}


def in_order(rows: list[dict[str, Any]], columns: Any) -> list[tuple[Any, ...]]:
    return sorted(tuple(repr(row[column]) for column in columns) for row in rows)


@given(st.lists(STEPS, max_size=40), st.lists(st.integers(1, 9), min_size=1, max_size=9))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_log_in_any_batches_gives_the_rows_in_memory(
    tmp_path: Path, steps: list[tuple[str, int, str]], sizes: list[int]
) -> None:
    script = random_log(steps)
    recall.forget(tmp_path / "rows.duckdb")
    store = RecallStore(tmp_path / "rows.duckdb")
    changes = batch(script)
    at = 0
    while at < len(changes):
        size = sizes[at % len(sizes)]
        store.take(changes[at : at + size])
        store.take(changes[: at + size])  # projecting twice is projecting once
        at += size
    assert store.position == script.seq
    assert contents(store) == expected(script)
    store.close()


def test_a_reopened_store_goes_on_where_it_was(tmp_path: Path) -> None:
    script = Script().turn("hi", "hello")
    store = RecallStore(tmp_path / "rows.duckdb")
    store.take(batch(script))
    store.close()
    store = RecallStore(tmp_path / "rows.duckdb")
    assert (store.position, store.rebuilt_because) == (script.seq, "")
    known = script.seq
    store.take(batch(script.insert("a fact").flushed(2), known))
    assert contents(store) == expected(script)
    store.close()


def test_a_file_of_another_version_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script().turn("hi", "hello")
    store = RecallStore(tmp_path / "rows.duckdb")
    store.take(batch(script))
    store.close()
    monkeypatch.setattr(recall, "SCHEMA_VERSION", 999)
    store = RecallStore(tmp_path / "rows.duckdb")
    assert store.position == 0
    assert "another version" in store.rebuilt_because
    assert store.query("SELECT * FROM messages") == []
    store.close()


@pytest.mark.parametrize("junk", [b"", b"not a database", b"\0" * 20_000])
def test_an_unreadable_file_is_made_anew(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "rows.duckdb").write_bytes(junk)
    store = RecallStore(tmp_path / "rows.duckdb")
    assert store.position == 0
    assert "rows.duckdb" in store.rebuilt_because
    store.take(batch(Script()))
    store.close()


def test_a_file_that_is_another_database_is_made_anew(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "rows.duckdb")) as other:
        other.execute("CREATE TABLE meta (version INTEGER, engine INTEGER, seq BIGINT)")
    store = RecallStore(tmp_path / "rows.duckdb")
    assert store.rebuilt_because
    store.take(batch(Script()))
    store.close()


def test_a_failed_commit_changes_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    script = Script().turn("hi", "hello")
    store = RecallStore(tmp_path / "rows.duckdb")
    with failpoints.arm("project.before_commit", failpoints.enospc), pytest.raises(StoreBroken, match="disk space"):
        store.take(batch(script))
    assert store.position == 0
    assert store.query("SELECT * FROM events") == []
    store.take(batch(script))
    assert contents(store) == expected(script)
    store.close()


def test_a_commit_that_fails_after_it_was_made_is_not_made_twice(tmp_path: Path) -> None:
    script = Script().turn("hi", "hello")
    store = RecallStore(tmp_path / "rows.duckdb")
    with failpoints.arm("project.after_commit", failpoints.enospc), pytest.raises(StoreBroken):
        store.take(batch(script))
    store.take(batch(script))
    assert contents(store) == expected(script)
    store.close()


def test_a_missing_event_is_refused(tmp_path: Path) -> None:
    store = RecallStore(tmp_path / "rows.duckdb")
    with pytest.raises(StoreBroken, match="missing in between"):
        store.take(batch(Script().turn("hi", "hello"))[2:])
    store.close()


def test_a_file_removed_while_open_is_named(tmp_path: Path) -> None:
    store = RecallStore(tmp_path / "rows.duckdb")
    recall.forget(tmp_path / "rows.duckdb")
    with pytest.raises(StoreBroken, match="removed while it was open"):
        store.query("SELECT 1 AS one")
    with pytest.raises(StoreBroken, match="removed while it was open"):
        store.take(batch(Script()))
    store.close()


def test_times_come_back_as_utc_and_lists_as_lists(tmp_path: Path) -> None:
    script = Script().insert("a fact", tags=["one", "two"])
    store = RecallStore(tmp_path / "rows.duckdb")
    store.take(batch(script))
    [row] = store.query('SELECT "at", tags FROM passages WHERE id = ?', [script.passage])
    assert row == {"at": script.last.at, "tags": ["one", "two"]}
    assert row["at"].tzinfo is UTC
    store.close()


def test_the_store_can_reach_nothing_outside_its_file(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    store = RecallStore(tmp_path / "rows.duckdb")
    with pytest.raises(duckdb.PermissionException):
        store.query(f"SELECT * FROM read_csv('{tmp_path}/secret.csv')")
    with pytest.raises(duckdb.InvalidInputException, match="locked"):
        store.query("SET enable_external_access = true")
    store.close()


def test_readers_see_whole_events_while_the_store_takes(tmp_path: Path) -> None:
    script = Script()
    for at in range(60):
        script.turn(f"question {at}", f"answer {at}")
    changes = batch(script)
    store = RecallStore(tmp_path / "rows.duckdb")
    torn: list[tuple[int, int]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            [row] = store.query(
                "SELECT (SELECT count(*) FROM messages) AS messages, (SELECT count(*) FROM events WHERE kind IN "
                "('trigger_received', 'model_replied', 'function_returned')) AS queued"
            )
            if row["messages"] != row["queued"]:
                torn.append((row["messages"], row["queued"]))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    sizes = random.Random(5)
    at = 0
    while at < len(changes):
        size = sizes.randint(1, 20)
        store.take(changes[at : at + size])
        at += size
    done.set()
    for reader in readers:
        reader.join()
    assert torn == []
    assert contents(store) == expected(script)
    store.close()
