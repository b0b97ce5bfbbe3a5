"""The SQL box: it reads, it ends, it changes nothing, and the store beside it goes on."""

import contextlib
import shutil
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from memgpt_core.blueprint import Blueprint
from memgpt_core.home import Home
from memgpt_core.project import project
from memgpt_core.stores import sandbox, sandbox_child
from memgpt_core.stores.recall import RecallStore
from memgpt_core.stores.sandbox import Answer, pattern_fault, select
from tests.event_builder import Script


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecallStore]:
    script = Script().turn("My dog is called Biscuit; he is old.", "Hello Biscuit").turn("The vet is Gina", "Good")
    made = RecallStore(tmp_path_factory.mktemp("store") / "rows.duckdb")
    made.take([(event.seq, project(before, event)) for before, event in script.pairs()])
    yield made
    made.close()


def ask(store: RecallStore, sql: str, seconds: float = 60) -> Answer:
    @contextmanager
    def at_rest() -> Iterator[Path]:
        yield store.path

    def opened() -> AbstractContextManager[Path]:
        return at_rest()

    return select(opened, sql, seconds=seconds)


def counts(store: RecallStore) -> list[dict[str, int]]:
    return store.query("SELECT (SELECT count(*) FROM messages) AS messages, (SELECT count(*) FROM events) AS events")


# --- what it reads ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) AS n FROM messages",
        "SELECT count(*) AS n FROM messages;",
        "-- a remark; with a semicolon\nSELECT count(*) AS n FROM messages -- and one behind",
        "/* ; */ SELECT count(*) AS n FROM messages /* ; DROP TABLE messages */ ;",
        "WITH them AS (SELECT * FROM messages) SELECT count(*) AS n FROM them",
        "FROM messages SELECT count(*) AS n",
    ],
)
def test_one_select_is_answered(store: RecallStore, sql: str) -> None:
    answer = ask(store, sql)
    assert answer.refused == ""
    assert answer.rows == ({"n": 6},)


def test_a_semicolon_in_a_text_is_text(store: RecallStore) -> None:
    answer = ask(store, "SELECT text FROM messages WHERE text LIKE '%Biscuit;%'")
    assert [row["text"] for row in answer.rows] == ["My dog is called Biscuit; he is old."]


def test_what_was_committed_a_moment_ago_is_there(store: RecallStore) -> None:
    """The copy takes the write-ahead log along."""
    assert ask(store, "SELECT max(seq_from) AS n FROM events").rows == ({"n": store.position},)


def test_values_are_plain_and_columns_have_one_name_each(store: RecallStore) -> None:
    answer = ask(store, "SELECT 1 AS a, 2 AS a, [1, 2] AS list, 'x'::BLOB AS bytes, TIMESTAMPTZ '2026-01-01' AS at")
    assert answer.columns == ("a", "a_1", "list", "bytes", "at")
    row = answer.rows[0]
    assert (row["a"], row["a_1"], row["list"], row["bytes"]) == (1, 2, "[1, 2]", "78")
    assert row["at"].isoformat() == "2026-01-01T00:00:00+00:00"


def test_a_thousand_rows_are_the_most_and_it_says_that_there_are_more(store: RecallStore) -> None:
    full, over = ask(store, "SELECT * FROM range(1000)"), ask(store, "SELECT * FROM range(1001) t(n) ORDER BY n")
    assert (len(full.rows), full.more) == (1000, False)
    assert (len(over.rows), over.more) == (1000, True)
    assert over.rows[-1] == {"n": 999}


# --- what it refuses ----------------------------------------------------------------------------------------------

HOSTILE = {
    "nothing": "",
    "only a remark": "-- nothing",
    "two statements": "SELECT 1; SELECT 2",
    "a second one behind a remark": "SELECT 1; /* x */ DROP TABLE messages",
    "one that breaks out of brackets": "SELECT 1) AS a; DROP TABLE messages; SELECT * FROM (SELECT 1",
    "insert": "INSERT INTO meta VALUES (1, 1, 1)",
    "insert in a CTE": "WITH x AS (INSERT INTO meta VALUES (1, 1, 1) RETURNING *) SELECT * FROM x",
    "update": "UPDATE messages SET text = ''",
    "delete": "DELETE FROM messages",
    "drop": "DROP TABLE messages",
    "create": "CREATE TABLE mine (i INTEGER)",
    "temp table": "CREATE TEMP TABLE mine AS SELECT 1",
    "sequence": "CREATE SEQUENCE mine",
    "nextval": "SELECT nextval('mine')",
    "copy to a file": "COPY messages TO 'out.csv'",
    "copy from a file": "COPY messages FROM 'in.csv'",
    "export": "EXPORT DATABASE 'out'",
    "attach": "ATTACH 'other.duckdb'",
    "detach": "DETACH rows",
    "use": "USE memory",
    "pragma": "PRAGMA database_list",
    "pragma with an effect": "PRAGMA enable_profiling",
    "set": "SET memory_limit = '100GB'",
    "reset": "RESET memory_limit",
    "call": "CALL pragma_version()",
    "checkpoint": "CHECKPOINT",
    "checkpoint as a table": "SELECT * FROM checkpoint()",
    "load": "LOAD httpfs",
    "install": "INSTALL httpfs",
    "transaction": "BEGIN",
    "prepare": "PREPARE mine AS SELECT 1",
    "execute": "EXECUTE mine",
    "vacuum": "VACUUM",
    "explain analyze": "EXPLAIN ANALYZE SELECT 1",
    "read_text": "SELECT * FROM read_text('/etc/hostname')",
    "read_blob": "SELECT * FROM read_blob('/etc/hostname')",
    "read_csv": "SELECT * FROM read_csv('/etc/hostname')",
    "read_json": "SELECT * FROM read_json('/etc/hostname')",
    "read_parquet": "SELECT * FROM read_parquet('x.parquet')",
    "a file as a table": "SELECT * FROM '/etc/hostname'",
    "glob": "SELECT * FROM glob('/*')",
    "sniff_csv": "SELECT * FROM sniff_csv('/etc/hostname')",
    "getenv": "SELECT getenv('HOME')",
    "query": "SELECT * FROM query('SELECT 1')",
    "query_table": "SELECT * FROM query_table('messages')",
    "settings": "SELECT * FROM duckdb_settings()",
    "secrets": "SELECT * FROM duckdb_secrets()",
    "logs": "SELECT * FROM enable_logging()",
    "write_log": "SELECT write_log('mine')",
    "sleep": "SELECT sleep_ms(100)",
    "a table function in a subquery": "SELECT (SELECT count(*) FROM read_text('/etc/hostname'))",
    "a table function in a CTE": "WITH x AS (FROM glob('/*')) SELECT 1 WHERE EXISTS (FROM x)",
    "a variable of Python": "SELECT * FROM order",
    "a parameter": "SELECT ?",
    "not SQL": "hello there",
    "half a string": "SELECT 'x",
}


@pytest.fixture(scope="module")
def copy(store: RecallStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A connection as the child opens it, in this process: what it refuses needs no process each."""
    path = tmp_path_factory.mktemp("copy") / "rows.duckdb"
    for ending in ("", ".wal"):
        if (part := store.path.with_name(store.path.name + ending)).exists():
            shutil.copyfile(part, path.with_name(path.name + ending))
    con = sandbox_child.open_rows(path, 256)
    yield con
    con.close()


@pytest.mark.parametrize("what", HOSTILE)
def test_anything_but_one_select_is_refused(copy: Any, what: str) -> None:
    before = copy.execute("SELECT count(*), (SELECT count(*) FROM duckdb_tables()) FROM events").fetchall()
    try:
        with pytest.raises((sandbox_child.Refused, duckdb.Error)) as refused:
            sandbox_child.ask(copy, HOSTILE[what], 10).read_all()
        assert str(refused.value).strip()
    finally:
        with contextlib.suppress(duckdb.TransactionException):
            copy.execute("ROLLBACK")
    assert copy.execute("SELECT count(*), (SELECT count(*) FROM duckdb_tables()) FROM events").fetchall() == before


@pytest.mark.parametrize("what", ["insert in a CTE", "copy to a file", "read_text", "two statements", "a parameter"])
def test_a_refusal_comes_as_words_and_leaves_nothing(store: RecallStore, what: str) -> None:
    before, bytes_before = counts(store), store.path.read_bytes()
    answer = ask(store, HOSTILE[what])
    assert answer.refused
    assert not answer.rows
    assert counts(store) == before
    assert store.path.read_bytes() == bytes_before
    assert not (store.path.parent / "sql-copy").exists()


def test_the_line_of_an_error_is_the_line_of_the_query(store: RecallStore) -> None:
    assert "LINE 2: frum messages" in ask(store, "SELECT 1,\nfrum messages").refused


def test_a_query_as_long_as_a_book_is_refused_before_it_is_read(store: RecallStore) -> None:
    assert "longer than 20,000" in ask(store, "SELECT 1 -- " + "x" * 20_000).refused


# --- that it ends -------------------------------------------------------------------------------------------------


def test_an_endless_query_is_interrupted(store: RecallStore) -> None:
    endless = "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i FROM r) SELECT count(*) FROM r"
    assert "interrupted after 0.2 s" in ask(store, endless, seconds=0.2).refused


def test_a_process_that_hears_no_interrupt_is_ended(
    store: RecallStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf = tmp_path / "deaf.py"
    deaf.write_text("print('copied', flush=True)\nwhile True: pass\n")
    monkeypatch.setattr(sandbox, "_CHILD", deaf)
    monkeypatch.setattr(sandbox, "STARTS_WITHIN_S", 0.3)
    monkeypatch.setattr(sandbox, "STOPS_WITHIN_S", 0.0)
    assert "did not stop 0.1 s after it began and was ended" in ask(store, "SELECT 1", seconds=0.1).refused


def test_a_process_that_dies_is_told_as_such(
    store: RecallStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = tmp_path / "dead.py"
    dead.write_text("print('copied', flush=True)\nraise SystemExit(9)\n")
    monkeypatch.setattr(sandbox, "_CHILD", dead)
    assert "more memory" in ask(store, "SELECT 1").refused
    assert not (store.path.parent / "sql-copy").exists()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT repeat('x', 2000000) AS x FROM range(2000)",
        "WITH RECURSIVE r AS (SELECT 'x' AS s UNION ALL SELECT s || s FROM r) SELECT length(s) FROM r",
        "SELECT list(i) FROM range(100000000) t(i)",
    ],
)
def test_a_query_that_wants_the_whole_memory_is_refused(store: RecallStore, sql: str) -> None:
    assert "256 MB" in ask(store, sql).refused


def test_a_large_result_is_refused_and_says_what_to_ask_instead(store: RecallStore) -> None:
    assert "larger than 16 MB" in ask(store, "SELECT repeat('x', 60000) AS x FROM range(1000)").refused


def test_a_turn_commits_and_projects_while_and_after_a_query_eats_its_memory(tmp_path: Path) -> None:
    home = Home(tmp_path, timer=False)
    try:
        ws = home.open(home.create(Blueprint(name="Tester")))
        refused: list[str] = []
        hungry = "SELECT list(i) FROM range(100000000) t(i)"
        eating = threading.Thread(target=lambda: refused.append(ws.sql(hungry).refused))
        eating.start()
        ws.send("My name is Ada.")
        assert ws.wait_idle(30)
        eating.join(30)
        assert "256 MB" in refused[0] or "interrupted" in refused[0]
        assert ws.notices() == []
        assert ws.sql("SELECT max(seq_from) AS n FROM events").rows == ({"n": ws.last_seq},)
        assert ws.rows("SELECT text FROM messages WHERE role = 'user'") == [{"text": "My name is Ada."}]
        assert ws.verify() == []
    finally:
        home.close()


def test_nothing_is_left_of_a_copy_that_a_killed_process_made(store: RecallStore) -> None:
    left = store.path.parent / "sql-copy"
    left.mkdir()
    (left / "rows.duckdb").write_bytes(b"torn")
    assert ask(store, "SELECT 1 AS one").rows == ({"one": 1},)
    assert not left.exists()


# --- regular expressions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["dog|cat", "(?i)a+", "^x$", "\\d{4}", ""])
def test_a_regular_expression_is_taken(pattern: str) -> None:
    assert pattern_fault(pattern) == ""


@pytest.mark.parametrize("pattern", ["(", "[a", "a{2000}", "(?=x)", "\\1", "(((a{100}){100}){100})", "x" * 501])
def test_one_that_is_wrong_or_blows_up_is_refused_with_a_reason(pattern: str) -> None:
    assert "regular expression" in pattern_fault(pattern)
