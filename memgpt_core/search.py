"""Finding messages and passages by words, similarity and date, and saying why something was not found.

Everything is ranked over the hot tier's versions as they stood at one event, so that the hits do not depend on what
any store has taken so far. Filters choose what is searched and take no place in the ranking; what is before and after
a message counts as its context even where a filter leaves that out. A search writes nothing.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from memgpt_core.events import Hit
from memgpt_core.hot import INDEXED_ROLES, HotTable, HotTier, Query
from memgpt_core.ids import number
from memgpt_core.queries import Asked, Phrase, asked
from memgpt_core.ranking import (
    SHORTLIST,
    WORDS_CONTEXT,
    Signals,
    Weights,
    age,
    fuse,
    ideal,
    identifier_share,
    is_identifier,
    word_score,
)
from memgpt_core.scope import Scope
from memgpt_core.similarity import Similarity
from memgpt_core.stores.matrix import Vector
from memgpt_core.stores.versions import NONE, Mask, Part, Places

SignalsWanted = Literal["both", "words", "vectors"]
"""Which halves of a search run."""

WORDS, VECTORS, BOTH = "words", "vectors", "words+vectors"
EMBED_IN_SEARCH = 64
"""A search embeds what was committed since the last flush when it is no more than this; more is left to the flusher."""

PHRASE_ROWS_MOST = 2000
"""So many rows that have all words of a quoted phrase are read, the newest, to see whether they stand together."""


class How(NamedTuple):
    """How a search goes.

    Attributes:
        floor: the cosine from which a row without a common word matches; None for the embedder's own, and for all
            when vectors rank alone.
        signals: which halves run.
    """

    floor: float | None = None
    signals: SignalsWanted = "both"


AS_EVER = How()


class Found(NamedTuple):
    """A page of hits, best first; `total` counts the matches of all pages; `mode` says what ranked them."""

    hits: tuple[Hit, ...]
    total: int
    mode: str


class WhyNot(NamedTuple):
    """Where a row ranks in a search: its place among `total` matches, and why it is not on the page.

    Attributes:
        place: from 1; None when it does not match.
        hit: its ranks and scores, as far as it was compared.
        why: a sentence; empty when it is on the page.
    """

    id: str
    place: int | None
    hit: Hit | None
    total: int
    why: str


class Ranking(NamedTuple):
    """A search before it is cut into pages.

    Attributes:
        hits: the candidates, best first.
        rest: versions that match and are no candidates, newest first.
    """

    hits: list[Hit]
    rest: Places
    mode: str


class _Words(NamedTuple):
    """By version its word score with context, and its share of rare codes and phrases; `best` is the ideal score."""

    scores: NDArray[np.float64]
    exact: NDArray[np.float64]
    best: float


class Search:
    """One agent's search over its rows and the hot tier."""

    def __init__(self, query: Query, hot: HotTier, similarity: Similarity | None, weigh: Weights) -> None:
        self._query = query
        self._hot = hot
        self._similarity = similarity
        self._weigh = weigh

    def find(self, scope: Scope, query: str, page: int, page_size: int, how: How = AS_EVER) -> Found:
        """One page (from 1) of what matches; an empty query lists the scope, oldest first."""
        first = (page - 1) * page_size
        if not query.strip():
            return self._by_time(scope, first, page_size)
        vector = self._vector(query, how)
        with self._hot.lock:
            ranking = self.rank(scope, query, vector, how)
            shown = ranking.hits[first : first + page_size]
            if len(shown) < page_size:
                versions = self._hot.tables[scope.table].versions
                after = max(0, first - len(ranking.hits))
                more = ranking.rest[after : after + page_size - len(shown)]
                shown += [Hit(id=versions.id(place), score=0.0) for place in more]
        return Found(tuple(shown), len(ranking.hits) + len(ranking.rest), ranking.mode)

    def rank(self, scope: Scope, query: str, vector: Vector | None, how: How) -> Ranking:
        """Everything that matches; the tier's lock is held."""
        hot = self._hot.tables[scope.table]
        part = hot.versions.passing(self._part(scope))
        beside = hot.versions.beside(scope.n, scope.exclude)
        words = self._words(hot, scope, query, beside, how)
        matched = part & ((words.scores > 0) | (words.exact > 0))
        by_words = _best(hot, np.flatnonzero(matched), words.scores / (words.best or 1) + words.exact)
        signals = Signals({}, {}, {}, {}, {})
        candidates, match, mode = by_words, matched, WORDS
        if vector is not None and self._similarity:
            near = self._similarity.near(
                hot, vector, part, beside, floor=self._floor(how), size=SHORTLIST, also=by_words
            )
            candidates = np.union1d(by_words, near.places[near.over[near.places]])
            match = matched | near.over
            mode = VECTORS if how.signals == "vectors" else BOTH
            ranks = _ranks(_by_id(hot, near.places, near.cosines))
            kept = np.isin(near.places, candidates)
            cosines = _by_id(hot, near.places[kept], near.cosines[kept])
            signals = signals._replace(vectors=cosines, vector_ranks=ranks)
        scored = candidates[words.scores[candidates] > 0]
        scores = _by_id(hot, scored, words.scores[scored])
        sure = candidates[words.exact[candidates] > 0]
        signals = signals._replace(words=scores, word_ranks=_ranks(scores), exact=_by_id(hot, sure, words.exact[sure]))
        rest = match.copy()
        rest[candidates] = False
        places = np.flatnonzero(rest)
        newest_first = np.argsort(-hot.versions.column("born")[places], kind="stable")
        return Ranking(fuse(signals, words.best, self._weigh), places[newest_first], mode)

    # --- why not ----------------------------------------------------------------------------------------------

    def why_not(self, scope: Scope, id: str, query: str, page: int, page_size: int, how: How = AS_EVER) -> WhyNot:
        """Where a row ranks in a search, and what keeps it off this page; nothing does when `why` is empty."""
        vector = self._vector(query, how)
        with self._hot.lock:
            hot = self._hot.tables[scope.table]
            standing = hot.versions.standing(scope.n, (), ()) & (hot.versions.column("born") == number(id))
            places = np.flatnonzero(standing)
            if not len(places):
                known = number(id) in hot.versions.column("born")
                gone = "It was deleted" if known else "There is no such row, or it has no text,"
                return WhyNot(id, None, None, 0, f"{gone} as of event {scope.n:,}.")
            if kept_out := self._filters(scope, id):
                return WhyNot(id, None, None, 0, f"A filter leaves it out: {', '.join(kept_out)}.")
            ranking = self.rank(scope, query, vector, how)
            total = len(ranking.hits) + len(ranking.rest)
            for place, hit in enumerate(ranking.hits, 1):
                if hit.id == id:
                    return WhyNot(id, place, hit, total, _off_page(place, page, page_size))
            if places[0] in ranking.rest:
                place = len(ranking.hits) + 1 + int(np.flatnonzero(ranking.rest == places[0])[0])
                return WhyNot(id, place, None, total, f"{SHORTLIST} others match better; behind them the newest come.")
            return self._no_match(hot, scope, places, vector, total, how)

    def _no_match(
        self, hot: HotTable, scope: Scope, places: Places, vector: Vector | None, total: int, how: How
    ) -> WhyNot:
        id = hot.versions.id(int(places[0]))
        words = "" if how.signals == "vectors" else "It has no word of the query"
        if words and scope.table == "messages":
            words += ", nor has a message beside it"
        if vector is None or self._similarity is None:
            return WhyNot(id, None, None, total, f"{words or 'It was not compared'}, and searches go by words now.")
        beside = hot.versions.beside(scope.n, scope.exclude)
        everything = np.ones(hot.versions.size, np.bool_)
        near = self._similarity.near(hot, vector, everything, beside, floor=2.0, size=0, also=places)
        if not len(near.places):
            return WhyNot(id, None, None, total, f"{words or 'It cannot be compared'}; it is not embedded.")
        cosine = float(near.cosines[0])
        better = near.rough[hot.versions.passing(self._part(scope))] > cosine
        hit = Hit(id=id, score=0.0, vector_rank=1 + int(better.sum()), vector_score=cosine)
        floor = self._floor(how)
        under = f"its cosine, {cosine:.3f}, is under {floor:g}"
        return WhyNot(id, None, hit, total, f"{words}, and {under}." if words else f"{under.capitalize()}.")

    def _filters(self, scope: Scope, id: str) -> list[str]:
        """The filters that a row does not pass, each alone."""
        found = []
        bare = Scope(scope.table, scope.n)
        for name, value in scope._asdict().items():
            if name in ("table", "n") or value == getattr(bare, name):
                continue
            where, params = bare._replace(**{name: value}).where()
            if not self._query(f"SELECT 1 AS one FROM {scope.table} WHERE {where} AND id = $id", {**params, "id": id}):
                found.append(name)
        return found

    # --- words ------------------------------------------------------------------------------------------------

    def _words(self, hot: HotTable, scope: Scope, query: str, beside: tuple[Places, Places], how: How) -> _Words:
        size = hot.versions.size
        scores, exact = np.zeros(size), np.zeros(size)
        if how.signals == "vectors":
            return _Words(scores, exact, 0.0)
        today = datetime.fromtimestamp(hot.versions.latest_us(scope.n) / 1e6, UTC).date()
        wanted = asked(query, today)
        indexed = scope.table == "messages" and set(scope.roles) <= set(INDEXED_ROLES)
        corpus = hot.versions.standing(scope.n, scope.exclude, INDEXED_ROLES if indexed else scope.roles)
        total = int(corpus.sum())
        lengths = hot.postings.lengths()
        found, codes = [], []
        for term in wanted.terms:
            places, times = hot.postings.of(term)
            there = corpus[places]
            places, times = places[there], times[there]
            found.append(len(places))
            scores[places] += word_score(times, lengths[places].astype(np.float64), len(places), total)
            if len(places) and is_identifier(term):
                codes.append((places, identifier_share(len(places), total)))
        for places, share in codes:
            exact[places] += share / len(codes)
        before, after = beside
        mixed = scores + WORDS_CONTEXT.before * np.where(before != NONE, scores[before], 0)
        mixed += WORDS_CONTEXT.after * np.where(after != NONE, scores[after], 0)
        if scope.table == "messages":
            found += self._add_days(hot, wanted, corpus, mixed)
        for phrase in wanted.phrases:
            exact[self._with_phrase(hot, scope.table, phrase, corpus)] += 1 / len(wanted.phrases)
        return _Words(np.round(mixed, 6), np.round(exact, 6), ideal(found, total))

    @staticmethod
    def _add_days(hot: HotTable, wanted: Asked, corpus: Mask, scores: NDArray[np.float64]) -> list[int]:
        """Add to what was said on the days asked for what a word so rare is worth; how many rows that were, each."""
        found = []
        for days in wanted.days:
            said = np.unique(np.concatenate([hot.postings.of(day)[0] for day in days]))
            said = said[corpus[said]]
            if len(said):
                scores[said] += ideal([len(said)], int(corpus.sum()))
                found.append(len(said))
        return found

    def _with_phrase(self, hot: HotTable, table: str, phrase: Phrase, corpus: Mask) -> Places:
        """The versions whose text has these words side by side."""
        places = np.flatnonzero(corpus)
        for term in phrase.terms:
            places = np.intersect1d(places, hot.postings.of(term)[0], assume_unique=True)
        places = places[-PHRASE_ROWS_MOST:]
        began = hot.versions.began(places)
        rows = self._query(
            f"SELECT id, seq_from, text FROM {table} WHERE seq_from IN (SELECT unnest($seqs)) AND "
            "id IN (SELECT unnest($ids))",
            {"seqs": [one.seq_from for one in began], "ids": [one.id for one in began]},
        )
        having = {(row["id"], row["seq_from"]) for row in rows if phrase.stands_in(row["text"])}
        return places[np.array([one in having for one in began], np.bool_)]

    # --- the scope --------------------------------------------------------------------------------------------

    def _vector(self, query: str, how: How) -> Vector | None:
        return self._similarity.query_vector(query) if self._similarity and how.signals != "words" else None

    def _floor(self, how: How) -> float:
        if how.floor is not None:
            return how.floor
        # Alone, the nearest are the answer however far they are.
        return -1.0 if how.signals == "vectors" else self._weigh.floor

    def _part(self, scope: Scope) -> Part:
        only = self._ids(scope) if scope.by_ids else None
        brought = None if scope.document is None else self._brought_by(scope.document)
        return Part(scope.n, scope.roles, scope.start_us, scope.end_us, only, scope.exclude, brought)

    def _brought_by(self, document: str) -> list[int]:
        """The events that brought passages of a document, or of any when it is empty."""
        sql = "SELECT DISTINCT seq_from AS seq FROM documents WHERE $id IN (id, '')"
        return [row["seq"] for row in self._query(sql, {"id": document})]

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

    def _ids(self, scope: Scope) -> set[str]:
        where, params = scope.where()
        return {row["id"] for row in self._query(f"SELECT id FROM {scope.table} WHERE {where}", params)}


def _best(hot: HotTable, places: Places, scores: NDArray[np.float64]) -> Places:
    """The best of these versions; of equals the newest."""
    if len(places) > SHORTLIST:
        of_places = scores[places]
        least = np.partition(of_places, len(places) - SHORTLIST)[len(places) - SHORTLIST]
        places = places[of_places >= least]
        places = places[np.lexsort((-hot.versions.column("born")[places], -scores[places]))][:SHORTLIST]
    return places


def _by_id(hot: HotTable, places: Places, values: NDArray[np.float64]) -> dict[str, float]:
    return {hot.versions.id(at): value for at, value in zip(places.tolist(), values.tolist(), strict=True)}


def _ranks(scores: Mapping[str, float]) -> dict[str, int]:
    return {id: rank for rank, id in enumerate(sorted(scores, key=lambda id: (-scores[id], age(id))), 1)}


def _off_page(place: int, page: int, page_size: int) -> str:
    on = 1 + (place - 1) // page_size
    return "" if on == page else f"It is hit {place:,}: on page {on:,} and not on page {page:,}."
