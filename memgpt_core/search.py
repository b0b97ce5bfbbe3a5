"""Finding messages and passages by words, similarity and date, and saying why something was not found.

Everything is ranked over the hot tier's versions as they stood at one event, so that the hits do not depend on what
any store has taken so far. Filters choose what is searched and take no place in the ranking; what is before and after
a message counts as its context even where a filter leaves that out. A search writes nothing.
"""

from datetime import UTC, datetime
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from memgpt_core.events import Hit
from memgpt_core.hot import INDEXED_ROLES, HotTable, HotTier, Query
from memgpt_core.ids import number
from memgpt_core.queries import Asked, Phrase, asked, quotes
from memgpt_core.ranking import (
    SHORTLIST,
    WORDS_CONTEXT,
    Signals,
    Weights,
    fuse,
    ideal,
    identifier_share,
    is_identifier,
    ranks,
    word_score,
)
from memgpt_core.scope import Scope
from memgpt_core.similarity import Near, Similarity
from memgpt_core.stores.matrix import Vector
from memgpt_core.stores.versions import NONE, Mask, Part, Places, Versions, union

_FILTER_NAMES = {
    "roles": "who it is from",
    "start": "the first day",
    "since_us": "the first day",
    "end": "the last day",
    "before_us": "the last day",
    "exclude": "what the agent has before its eyes anyway",
    "sources": "the source",
    "authors": "who wrote it",
    "text": "a part of the text",
}
"""A filter as a person knows it; one that is not here is called as it is."""

SignalsWanted = Literal["both", "words", "vectors"]
"""Which halves of a search run."""

WORDS, VECTORS, BOTH = "words", "vectors", "words+vectors"
READ_IN = "words, still being read in"
"""The mode of a search of the rows themselves, before the words of a long life are in RAM."""

APPROXIMATE = ", approximate (recall@10 {:.2f})"
"""Behind the mode of a search that did not look at every vector: what share of the ten nearest such searches find."""

EMBED_IN_SEARCH = 64
"""A search embeds what was committed since the last flush when it is no more than this; more is left to the flusher."""

PHRASE_ROWS_MOST = 2000
"""So many rows that have all words of a quoted phrase are read, the newest, to see whether they stand together."""


NOTHING: Places = np.zeros(0, np.int64)


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
    """A page of hits, best first; `total` counts the matches of all pages; `mode` says what ranked them.

    `saved_s` are the seconds that it did not take when it was asked for (see `ahead`).
    Where the mode says approximate, a near row may be missing, and only matches that were looked at are counted.
    """

    hits: tuple[Hit, ...]
    total: int
    mode: str
    saved_s: float | None = None


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
        places: the candidates, best first.
        order: where each stands in `signals` and `scores`.
        rest: versions that match and are no candidates.
    """

    places: Places
    order: Places
    signals: Signals
    scores: list[float]
    rest: Mask
    mode: str

    @property
    def total(self) -> int:
        """How many match."""
        return len(self.places) + int(np.count_nonzero(self.rest))

    def hits(self, versions: Versions, first: int, size: int) -> list[Hit]:
        """So many hits behind the first ones; behind the candidates come the rest, newest first."""
        found = []
        for place, at in zip(self.places[first : first + size], self.order[first : first + size], strict=True):
            words_rank, vector_rank = int(self.signals.word_ranks[at]), int(self.signals.vector_ranks[at])
            found.append(
                Hit(
                    id=versions.id(int(place)),
                    score=self.scores[at],
                    words_rank=words_rank or None,
                    words_score=float(self.signals.words[at]) if words_rank else None,
                    vector_rank=vector_rank or None,
                    vector_score=float(self.signals.vectors[at]) if vector_rank else None,
                )
            )
        if len(found) < size:
            after = max(0, first - len(self.places))
            more = self.others(versions)[after : after + size - len(found)]
            found += [Hit(id=versions.id(place), score=0.0) for place in more.tolist()]
        return found

    def others(self, versions: Versions) -> Places:
        """The rest, newest first."""
        places = np.flatnonzero(self.rest)
        newest: Places = places[np.argsort(-versions.column("born")[places], kind="stable")]
        return newest


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
            shown = ranking.hits(self._hot.tables[scope.table].versions, first, page_size)
        return Found(tuple(shown), ranking.total, ranking.mode)

    def rank(self, scope: Scope, query: str, vector: Vector | None, how: How) -> Ranking:
        """Everything that matches; the tier's lock is held."""
        hot = self._hot.tables[scope.table]
        part = hot.versions.passing(self._part(scope))
        beside = hot.versions.beside(scope.n, scope.exclude)
        words = self._words(hot, scope, query, beside, how)
        by_words, matched = NOTHING, np.zeros(len(part), np.bool_)
        if how.signals != "vectors":
            matched = part & ((words.scores > 0) | (words.exact > 0))
            by_words = _best(hot, np.flatnonzero(matched), words.scores / (words.best or 1) + words.exact)
        candidates, match, mode = by_words, matched, WORDS
        near = None
        if vector is not None and self._similarity:
            near = self._similarity.near(
                hot, vector, part, beside, floor=self._floor(how), size=SHORTLIST, also=by_words
            )
        if near:
            over = near.places[near.over[near.places]]
            match = matched | near.over if len(by_words) else near.over
            candidates = union(by_words, over, len(part)) if len(by_words) else over
            mode = VECTORS if how.signals == "vectors" else BOTH
            mode += "" if near.recall is None else APPROXIMATE.format(near.recall)
        rest = match.copy()
        rest[candidates] = False
        signals = _signals(hot, candidates, words, near)
        order, scores = fuse(signals, words.best, self._weigh)
        return Ranking(candidates[order], order, signals, scores, rest, mode)

    # --- why not ----------------------------------------------------------------------------------------------

    def why_not(self, scope: Scope, id: str, query: str, page: int, page_size: int, how: How = AS_EVER) -> WhyNot:
        """Where a row ranks in a search, and what keeps it off this page; nothing does when `why` is empty."""
        vector = self._vector(query, how)
        with self._hot.lock:
            hot = self._hot.tables[scope.table]
            named = hot.versions.column("born") == number(id)
            places = np.flatnonzero(hot.versions.standing(scope.n, (), ()) & named)
            if not len(places):
                return WhyNot(id, None, None, 0, _not_there(hot.versions.column("seq_from")[named], scope.n))
            if kept_out := self._filters(scope, id):
                return WhyNot(id, None, None, 0, f"A filter leaves it out: {', '.join(kept_out)}.")
            ranking = self.rank(scope, query, vector, how)
            total = ranking.total
            if len(found := np.flatnonzero(ranking.places == places[0])):
                place = int(found[0]) + 1
                (hit,) = ranking.hits(hot.versions, place - 1, 1)
                return WhyNot(id, place, hit, total, _off_page(place, page, page_size))
            if ranking.rest[places[0]]:
                others = ranking.others(hot.versions)
                place = len(ranking.places) + 1 + int(np.flatnonzero(others == places[0])[0])
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
        if near is None or not len(near.places):
            return WhyNot(id, None, None, total, f"{words or 'It cannot be compared'}; it has no vector.")
        cosine = float(near.cosines[0])
        better = near.rough[hot.versions.passing(self._part(scope))] > cosine
        hit = Hit(id=id, score=0.0, vector_rank=1 + int(better.sum()), vector_score=cosine)
        floor = self._floor(how)
        under = f"its similarity (cosine) is {cosine:.3f}; from {floor:g} on it would be found without a common word"
        return WhyNot(id, None, hit, total, f"{words}, and {under}." if words else f"{under.capitalize()}.")

    def _filters(self, scope: Scope, id: str) -> list[str]:
        """The filters that a row does not pass, each alone, as a person knows them."""
        bare = Scope(scope.table, scope.n)
        alone = {
            _FILTER_NAMES.get(name, name): bare._replace(**{name: value})
            for name, value in scope._asdict().items()
            if name not in ("table", "n", "also") and value != getattr(bare, name)
        }
        alone |= {more.name: bare._replace(also=(more,)) for more in scope.also}
        found = []
        for name, one in alone.items():
            where, params = one.where()
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


def reads_rows(scope: Scope, query: str) -> bool:
    """Whether a search asks the row store, which must then have everything."""
    return not query.strip() or scope.by_ids or scope.document is not None or quotes(query)


def _best(hot: HotTable, places: Places, scores: NDArray[np.float64]) -> Places:
    """The best of these versions; of equals the newest."""
    if len(places) > SHORTLIST:
        of_places = scores[places]
        least = np.partition(of_places, len(places) - SHORTLIST)[len(places) - SHORTLIST]
        places = places[of_places >= least]
        places = places[np.lexsort((-hot.versions.column("born")[places], -scores[places]))][:SHORTLIST]
    return places


def _signals(hot: HotTable, candidates: Places, words: _Words, near: Near | None) -> Signals:
    """What is known of the candidates, in their order."""
    born = hot.versions.column("born")[candidates]
    by_words = words.scores[candidates]
    having = by_words > 0
    word_ranks = np.zeros(len(candidates), np.int64)
    word_ranks[having] = ranks(by_words[having], born[having])
    cosines, vector_ranks = np.zeros(len(candidates)), np.zeros(len(candidates), np.int64)
    if near and len(candidates) and len(near.places):
        order = np.argsort(near.places)
        there = near.places[order]
        at = np.minimum(np.searchsorted(there, candidates), len(there) - 1)
        compared = there[at] == candidates
        cosines[compared] = near.cosines[order][at[compared]]
        of_all = ranks(near.cosines, hot.versions.column("born")[near.places])
        vector_ranks[compared] = of_all[order][at[compared]]
    return Signals(born, by_words, word_ranks, cosines, vector_ranks, words.exact[candidates])


def _not_there(began: NDArray[np.int64], n: int) -> str:
    """Why a row does not stand as of event `n`, whose versions began at these events."""
    if not len(began):
        return "Nothing has this id, or it has no text."
    return f"It was deleted by event {n:,}." if began.min() <= n else f"It came only after event {n:,}."


def _off_page(place: int, page: int, page_size: int) -> str:
    on = 1 + (place - 1) // page_size
    return "" if on == page else f"It is hit {place:,}: on page {on:,} and not on page {page:,}."
