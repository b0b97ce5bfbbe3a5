"""Finding messages and passages by words, similarity and date: candidates from the stores, ranking from `ranking`.

Candidates by words come from the search index when it is sure to have them all, and from a scan of the row
store when it is not (a common word, a search as of an earlier event, no index yet): the same rows either
way. What is ranked is always the rows as they stood at one event, so the hits do not depend on what any
store has taken so far. A search writes nothing.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from memgpt_core.events import Hit
from memgpt_core.ranking import (
    CJK,
    SHORTLIST,
    Weights,
    age,
    fuse,
    identifier_scores,
    query_terms,
    rarity,
    shortlist,
    word_scores,
    words,
)
from memgpt_core.rows import Row
from memgpt_core.similarity import INDEXED_ROLES, Query, Similarity
from memgpt_core.stores.matrix import Part

WORDS, BOTH = "words", "words+vectors"
EMBED_IN_SEARCH = 64
"""A search embeds what was committed since the last flush when it is no more than this; more is left to the flusher."""

_NEVER_US = 2**62
_CJK = re.compile(f"[{CJK}]")
_NOT_A_WORD = f"[^\\p{{L}}\\p{{N}}]|[{CJK}]"


class Found(NamedTuple):
    """A page of hits, best first; `total` counts the matches of all pages; `mode` says what ranked them."""

    hits: tuple[Hit, ...]
    total: int
    mode: str


class Scope(NamedTuple):
    """Which rows are searched: those of `table` that stood just after event `n`, and pass the filters.

    Dates are UTC days, both included; empty filters let everything pass; one common tag is enough.

    Raises:
        ValueError: (when used) a date that is not YYYY-MM-DD.
    """

    table: str
    n: int
    roles: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    start: str = ""
    end: str = ""
    exclude: tuple[str, ...] = ()

    @property
    def start_us(self) -> int:
        """The first microsecond searched."""
        return _day_us(self.start) if self.start else -_NEVER_US

    @property
    def end_us(self) -> int:
        """The microsecond after the last one searched."""
        return _day_us(self.end) + 86_400_000_000 if self.end else _NEVER_US

    def stood(self) -> tuple[str, dict[str, Any]]:
        """Which versions stood just after event `n`, as SQL with its parameters."""
        return "seq_from <= $n AND (seq_to IS NULL OR seq_to > $n)", {"n": self.n}

    def where(self) -> tuple[str, dict[str, Any]]:
        """The whole scope as SQL over the versions of a table, with its parameters."""
        stood, params = self.stood()
        sql = [stood, "text <> ''"]
        if self.roles:
            sql.append("role IN (SELECT unnest($roles))")
            params["roles"] = list(self.roles)
        if self.tags:
            sql.append("list_has_any(tags, $tags)")
            params["tags"] = list(self.tags)
        if self.start:
            sql.append('epoch_us("at") >= $start')
            params["start"] = self.start_us
        if self.end:
            sql.append('epoch_us("at") < $end')
            params["end"] = self.end_us
        if self.exclude:
            sql.append("id NOT IN (SELECT unnest($exclude))")
            params["exclude"] = list(self.exclude)
        return " AND ".join(sql), params


class Indexed(NamedTuple):
    """All ids the index has for some words, and the seq up to which it had taken rows."""

    ids: tuple[str, ...]
    position: int


IndexLookup = Callable[[Scope, Sequence[str]], Indexed | None]
"""Asks the index; None when it cannot give every row that has one of the words as of the scope."""


class Search:
    """One agent's search over its row store, index and vectors."""

    def __init__(self, query: Query, lookup: IndexLookup, similarity: Similarity | None, weigh: Weights) -> None:
        self._query = query
        self._lookup = lookup
        self._similarity = similarity
        self._weigh = weigh

    def find(self, scope: Scope, query: str, page: int, page_size: int) -> Found:
        """One page (from 1) of what matches; an empty query lists the scope, oldest first."""
        first = (page - 1) * page_size
        if not query.strip():
            return self._by_time(scope, first, page_size)
        terms = query_terms(query)
        matched = self._matches(scope, terms) if terms else {}
        total_rows = self._count(scope)
        found = {term: sum(1 for mask in matched.values() if mask >> bit & 1) for bit, term in enumerate(terms)}
        by_coverage = {
            id: sum(rarity(found[term], total_rows) for bit, term in enumerate(terms) if mask >> bit & 1)
            for id, mask in matched.items()
        }
        candidates = shortlist(by_coverage)
        cosines, near, mode = self._near(scope, query, candidates)
        texts = self._texts(scope, [id for id in (*candidates, *(cosines.keys() - set(candidates))) if id in matched])
        hits = fuse(
            word_scores(terms, texts, found, total_rows),
            cosines,
            identifier_scores(terms, texts, found, total_rows),
            self._weigh,
        )
        ranked = {hit.id for hit in hits}
        rest = sorted((matched.keys() | near) - ranked, key=age)
        hits += [Hit(id=id, score=0.0) for id in rest]
        return Found(tuple(hits[first : first + page_size]), len(hits), mode)

    def _by_time(self, scope: Scope, first: int, size: int) -> Found:
        where, params = scope.where()
        rows = self._query(
            f'SELECT id FROM {scope.table} WHERE {where} ORDER BY "at", seq_from LIMIT $size OFFSET $first',
            {**params, "size": size, "first": first},
        )
        return Found(tuple(Hit(id=row["id"], score=0.0) for row in rows), self._count(scope), WORDS)

    def _count(self, scope: Scope) -> int:
        where, params = scope.where()
        return int(self._query(f"SELECT count(*) AS rows FROM {scope.table} WHERE {where}", params)[0]["rows"])

    def _texts(self, scope: Scope, ids: Sequence[str]) -> dict[str, str]:
        if not ids:
            return {}
        where, params = scope.where()
        rows = self._query(
            f"SELECT id, text FROM {scope.table} WHERE {where} AND id IN (SELECT unnest($ids))",
            {**params, "ids": list(ids)},
        )
        return {row["id"]: row["text"] for row in rows}

    def _matches(self, scope: Scope, terms: Sequence[str]) -> dict[str, int]:
        """Every row with one of the terms, by id; bit i says that it has term i."""
        indexed = self._lookup(scope, terms)
        if indexed is None:
            return self._scan(scope, terms)
        where, params = scope.where()
        rows = self._query(
            f"SELECT id, text FROM {scope.table} WHERE {where} AND (seq_from > $position "
            "OR id IN (SELECT unnest($ids)))",
            {**params, "position": indexed.position, "ids": list(indexed.ids)},
        )
        masks = {row["id"]: _mask(terms, row["text"]) for row in rows}
        return {id: mask for id, mask in masks.items() if mask}

    def _scan(self, scope: Scope, terms: Sequence[str]) -> dict[str, int]:
        where, params = scope.where()
        bits = []
        for bit, term in enumerate(terms):
            test, marks = _has_term(term, bit)
            bits.append(f"CASE WHEN {test} THEN {1 << bit} ELSE 0 END")
            params.update(marks)
        lowered = "lower(text)" if all("σ" not in term for term in terms) else "replace(lower(text), 'ς', 'σ')"
        rows: list[Row] = self._query(
            f"SELECT id, mask FROM (SELECT id, {' + '.join(bits)} AS mask FROM "
            f"(SELECT id, {lowered} AS lowered FROM {scope.table} WHERE {where})) WHERE mask > 0",
            params,
        )
        return {row["id"]: int(row["mask"]) for row in rows}

    def _near(self, scope: Scope, query: str, also: Sequence[str]) -> tuple[dict[str, float], set[str], str]:
        """(cosines of the nearest rows and of `also`, ids of all rows near enough to match, mode)."""
        vector = self._similarity.query_vector(query) if self._similarity else None
        if self._similarity is None or vector is None:
            return {}, set(), WORDS
        roles = tuple(role for role in scope.roles if role in INDEXED_ROLES)
        if scope.roles and not roles:
            return {}, set(), WORDS
        only = self._ids(scope) if scope.tags else None
        part = Part(scope.n, roles, scope.start_us, scope.end_us, only, scope.exclude)
        cosines, near = self._similarity.near(
            scope.table, vector, part, floor=self._weigh.floor, size=SHORTLIST, also=also
        )
        return cosines, near, BOTH

    def _ids(self, scope: Scope) -> set[str]:
        where, params = scope.where()
        return {row["id"] for row in self._query(f"SELECT id FROM {scope.table} WHERE {where}", params)}


def indexable(scope: Scope) -> bool:
    """Whether every row of the scope stands in the search index once it has caught up."""
    return scope.table != "messages" or (bool(scope.roles) and set(scope.roles) <= set(INDEXED_ROLES))


def _mask(terms: Sequence[str], text: str) -> int:
    has = set(words(text))
    return sum(1 << bit for bit, term in enumerate(terms) if term in has)


def _has_term(term: str, bit: int) -> tuple[str, Mapping[str, str]]:
    """Whether `lowered` has the term as a word by the rule of `ranking.words`, as SQL."""
    if _CJK.match(term):
        return f"contains(lowered, $term{bit})", {f"term{bit}": term}
    pattern = f"(^|{_NOT_A_WORD}){term}($|{_NOT_A_WORD})"
    return (
        f"(contains(lowered, $term{bit}) AND regexp_matches(lowered, $pattern{bit}))",
        {f"term{bit}": term, f"pattern{bit}": pattern},
    )


def _day_us(day: str) -> int:
    try:
        parsed = date.fromisoformat(day)
    except ValueError:
        raise ValueError(f"{day!r} is not a date; write YYYY-MM-DD, for example 2026-03-01") from None
    start = datetime(parsed.year, parsed.month, parsed.day, tzinfo=UTC)
    return (start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
