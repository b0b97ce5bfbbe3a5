"""A person's search of recall storage: at a million messages beside the bare DuckDB query, and at two sizes of a life.

Run: `python -m tests.benchmarks.recall [messages]`.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pyarrow as pa

from memgpt_core.message_search import MessageFilter, find_messages
from memgpt_core.projections import Projections
from memgpt_core.state import State
from memgpt_core.stores.recall import connect
from memgpt_core.stores.vectors import VectorStore
from tests.benchmarks._lives import UNCOMMON, text
from tests.benchmarks._tables import at_most, doing, heading, percentile, series, table

MESSAGES = 1_000_000
SMALL, LARGE = 1_000, 100_000
PAGE = 25
RUNS = 9
TEXTS = 20_000
RATIO, PAGE_MS = 1.3, 200.0

HOW = f"""Rows are written into the store's own file, texts of 10 to 60 words drawn as in real text. The search is
find_messages: the page of {PAGE} rows with excerpts, total count, whereabouts; the bare query asks
DuckDB for the same by hand, the total and the page. The two take turns, {RUNS} times each, on the same needle, and the
ratio is that of the medians. The processor's load is others' work, too: read ratios, not milliseconds."""

_MATCH = "FROM messages WHERE contains(lower(text), lower($needle))"
BARE_COUNT = f"SELECT count(*) AS total {_MATCH}"
BARE_PAGE = f'SELECT id, "at", role, text {_MATCH} ORDER BY "at" DESC LIMIT $limit'


def main(messages: int = MESSAGES) -> None:
    """Print both tables."""
    heading(f"Recall search at {messages:,} messages", HOW)
    with tempfile.TemporaryDirectory() as name:
        _beside_duckdb(Path(name), messages)
        _two_sizes(Path(name))


def _beside_duckdb(folder: Path, messages: int) -> None:
    stores, state = _stores(folder / "million", messages)
    needles = {
        "a phrase nobody said": "kingfisher at noon",
        "a phrase of a few": " ".join(Random(3).choices(UNCOMMON, k=2)),
        "an uncommon word": UNCOMMON[700],
        "a part of most messages": "ba",
    }
    rows = []
    for what, needle in needles.items():
        ours, bare = _in_turn(
            lambda needle=needle: find_messages(stores, state, MessageFilter(needle), offset=0, limit=PAGE),
            lambda needle=needle: _bare(stores, needle),
        )
        ratio = series(ours).median / series(bare).median
        found = find_messages(stores, state, MessageFilter(needle), offset=0, limit=PAGE).total
        rows.append((what, found, series(bare).median, series(ours).median, ratio, at_most(ratio, RATIO, "x")))
    table(("what is looked for", "found", "bare DuckDB, ms", "find_messages, ms", "ratio", "floor"), rows)
    _close(stores)


def _bare(stores: Projections, needle: str) -> None:
    stores.rows(BARE_COUNT, {"needle": needle})
    stores.rows(BARE_PAGE, {"needle": needle, "limit": PAGE})


def _two_sizes(folder: Path) -> None:
    small, few = _stores(folder / "small", SMALL)
    large, many = _stores(folder / "large", LARGE)
    rows = []
    for what, wanted in {
        "everything, first page": MessageFilter(),
        "a phrase": MessageFilter(UNCOMMON[700]),
        "all words": MessageFilter(" ".join(UNCOMMON[700:702]), mode="words"),
        "a regular expression": MessageFilter("gu(lo|mi)[a-z]*na", mode="regex"),
        "in the window now": MessageFilter(where="window"),
        "one day": MessageFilter(session=1),
    }.items():
        at_few, at_many = _in_turn(
            lambda wanted=wanted: find_messages(small, few, wanted, offset=0, limit=PAGE),
            lambda wanted=wanted: find_messages(large, many, wanted, offset=0, limit=PAGE),
        )
        worst = percentile(at_many, 0.95)
        rows.append((what, series(at_few).median, series(at_many).median, worst, at_most(worst, PAGE_MS, "ms (p95)")))
    columns = ("search", f"{SMALL:,}: ms", f"{LARGE:,}: ms", "p95 of the large, ms", "floor")
    table(columns, rows)
    _close(small)
    _close(large)


def _in_turn(first: Callable[[], object], second: Callable[[], object]) -> tuple[list[float], list[float]]:
    """Milliseconds of each, taken in turn so that what else the machine does hits both alike."""
    first(), second()
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(RUNS):
        for at, action in enumerate((first, second)):
            started = time.perf_counter()
            action()
            taken[at].append((time.perf_counter() - started) * 1000)
    return taken


def _stores(folder: Path, messages: int) -> tuple[Projections, State]:
    """Stores whose messages table has so many rows, two events apart, and the state at their end."""
    doing(f"writing {messages:,} messages")
    folder.mkdir()
    vectors = VectorStore(folder / "vectors.duckdb")
    Projections(folder, vectors, None, read=_no_log).close()
    vectors.close()
    rng = Random(1)
    con = connect(folder / "rows.duckdb")
    con.register(
        "texts",
        pa.table({"number": list(range(TEXTS)), "said": [text(rng, rng.randint(10, 60)) for _ in range(TEXTS)]}),
    )
    con.execute(
        "INSERT INTO messages SELECT 'm' || (2 * n + 1), 2 * n + 1, NULL, TIMESTAMPTZ '2024-01-01' + n * INTERVAL 1 "
        "MINUTE, 1 + n // 1000, n, 1, ['user', 'assistant', 'function'][1 + n % 3], 'trigger_received', "
        "said || ' ' || n, '', 50 FROM range($messages) AS given(n) JOIN texts "
        "ON number = (n * 7919) % $texts ORDER BY n",
        {"messages": messages, "texts": TEXTS},
    )
    con.execute(
        "INSERT INTO residency SELECT id, id, 'slot', seq_from, CASE WHEN seq_from < $last THEN seq_from + 90 END, "
        "turn, false FROM messages",
        {"last": 2 * messages - 90},
    )
    con.execute("UPDATE meta SET seq = $seq", {"seq": 2 * messages})
    con.close()
    stores = Projections(folder, VectorStore(folder / "vectors.duckdb"), None, read=_no_log)
    return stores, State(seq=2 * messages, messages=messages)


def _no_log(seq: int) -> object:
    raise LookupError(seq)


def _close(stores: Projections) -> None:
    stores.close()
    stores.vectors.close()


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
