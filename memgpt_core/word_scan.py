"""A search of the rows themselves, for the seconds in which a long life's words are not in RAM yet.

Finds what holds a word of the query, also as the beginning or a part of another, and puts first what holds most of
them, then the newest. No ranking by rarity, no neighbours, no vectors: whoever shows it says so. Does not know RAM.
"""

from collections.abc import Callable, Mapping
from typing import Any

from memgpt_core.events import Hit
from memgpt_core.queries import query_terms
from memgpt_core.rows import Row
from memgpt_core.scope import Scope
from memgpt_core.search import READ_IN, Found


def scan(
    query_rows: Callable[[str, Mapping[str, Any]], list[Row]], scope: Scope, query: str, page: int, page_size: int
) -> Found:
    """One page (from 1) of the rows of a scope that hold a word of a query."""
    terms = query_terms(query)
    if not terms:
        return Found((), 0, READ_IN)
    where, params = scope.where()
    held = " + ".join(f"CAST(contains(low, $term{at}) AS INTEGER)" for at in range(len(terms)))
    rows = query_rows(
        f"SELECT id, held, count(*) OVER () AS total FROM (SELECT id, seq_from, {held} AS held FROM "
        f"(SELECT id, seq_from, lower(text) AS low FROM {scope.table} WHERE {where})) WHERE held > 0 "
        "ORDER BY held DESC, seq_from DESC LIMIT $size OFFSET $first",
        {
            **params,
            **{f"term{at}": term for at, term in enumerate(terms)},
            "size": page_size,
            "first": (page - 1) * page_size,
        },
    )
    hits = tuple(Hit(id=row["id"], score=round(row["held"] / len(terms), 6)) for row in rows)
    return Found(hits, rows[0]["total"] if rows else 0, READ_IN)
