"""One agent's stores as projections of its log: rows in DuckDB, the search index, the vectors.

Takes each committed event in memory and lets the stores follow: the rows at the next read, every 256 events
or every second; the vectors and the index behind them. Whoever reads sees everything that was committed.
A store that fails keeps its rows pending and says so; nothing here ever fails a commit. Does not know how
events come to be, nor how results are ranked.

The index and the vectors are derived from the rows by position, never from a queue of their own: what a
store lacks is what changed in the rows since its position.
"""

import atexit
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from memgpt_core.documents.manifest import nothing_kept
from memgpt_core.embedding.base import Embedder
from memgpt_core.errors import MemscopeError
from memgpt_core.events import Event
from memgpt_core.following import FoldFrom, FollowedRows
from memgpt_core.hot import HotTier
from memgpt_core.indexing import Indexing
from memgpt_core.prompt import Reader
from memgpt_core.ranking import LEXICAL, Weights, weights
from memgpt_core.reembedding import Reembedded, Reembedding
from memgpt_core.rows import Row
from memgpt_core.scope import Scope
from memgpt_core.search import BOTH, EMBED_IN_SEARCH, WORDS, Found, How, Search, SignalsWanted, WhyNot, reads_rows
from memgpt_core.similarity import EMBED_BATCH, INDEXED, INDEXED_ROLES, Similarity
from memgpt_core.state import State
from memgpt_core.stores.documents import ColdStorage
from memgpt_core.stores.index import LanceIndex
from memgpt_core.stores.vectors import VectorStore
from memgpt_core.tiering import Tier, Tiering
from memgpt_core.word_scan import scan
from memgpt_core.write_behind import Whose, WriteBehind

Store = Literal["rows", "index", "vectors"]
_Fails = Literal["vectors", "index", "far"]
Progress = Callable[[float], None]
"""Told which share of the work is done, 0 to 1."""

ALL: tuple[Store, ...] = ("rows", "vectors", "index")

DRAIN_AT = 256
FLUSH_EVERY_S = 1.0
RETRY_AFTER_S = 5.0
STOP_WITHIN_S = 10.0
_ID = re.compile(r"[mp][0-9]{1,15}(\.[0-9]{1,9})?")
WORDS_BEHIND_MOST = 25_000
"""A search reads the words of no more events than this itself: about a second's."""

VECTORS_BEHIND_MOST = 50_000
"""A search reads the vectors of no more events than this itself."""


class Status(NamedTuple):
    """How far the stores are.

    Attributes:
        pending: committed events the row store has not taken.
        duckdb_seq, index_seq: the last event in the row store and in the search index.
        not_embedded: current items that are found by words only although there is an embedder.
        mode: what a search ranks by now.
        error: what failed last and is being retried, a sentence; empty when nothing did.
    """

    pending: int
    duckdb_seq: int
    index_seq: int
    not_embedded: int
    mode: str
    error: str


class _Finding(NamedTuple):
    """What one embedding model, or none, finds with: replaced as a whole, so that no search has half of each."""

    embedder: Embedder | None
    hot: HotTier
    similarity: Similarity | None
    tiering: Tiering | None
    search: Search


class InRam(NamedTuple):
    """What searches keep in RAM.

    Attributes:
        words_mb: where each word stands, and when each row stood.
        vectors_mb, budget_mb: vectors, and how much they may take; what is on its way to disk may take more.
        tiers: by table, where its vectors are.
    """

    words_mb: float
    vectors_mb: float
    budget_mb: int
    tiers: tuple[Tier, ...]

    @property
    def spread(self) -> list[Tier]:
        """The tables whose vectors are not all in RAM."""
        return [tier for tier in self.tiers if tier.kind]


class Projections:
    """The three stores of one agent and the thread that lets them follow its log.

    Raises:
        StoreBroken: the row store can be neither opened nor made.
    """

    def __init__(
        self,
        folder: Path,
        vectors: VectorStore,
        embedder: Embedder | None,
        *,
        read: Reader,
        documents: ColdStorage | None = None,
        renewed: Callable[[], Embedder | None] = lambda: None,
        vectors_mb: int | None = None,
        behind: WriteBehind | None = None,
    ) -> None:
        """Open the stores in `folder`.

        `documents` is the home's cold storage, for what the log names of it. `renewed` gives the embedder as its server
        has it now: its vectors may have another size than before. `vectors_mb` is what vectors may take of RAM.
        `behind` is the home's switch.
        """
        self.folder = folder
        self.documents = documents
        self._vectors = vectors
        self._renewed = renewed
        self._rows = FollowedRows(folder / "rows.duckdb", documents.open if documents else nothing_kept, read)
        self.rebuilt_because = self._rows.rebuilt_because
        self._vectors_mb = vectors_mb
        self._behind = behind or WriteBehind()
        self.following = self._rows.following
        self._finding = self._find_with(embedder)
        self._index = Indexing(folder / "index.lance", vectors, embedder, self._select)
        self.reembedding = Reembedding(self.reembed)
        self._indexing = threading.RLock()
        self._errors: dict[_Fails, str] = dict.fromkeys(("vectors", "index", "far"), "")
        self._closing = threading.Event()
        self._work = threading.Event()
        self._hurry = threading.Event()
        self._flusher: threading.Thread | None = None

    def _find_with(self, embedder: Embedder | None) -> _Finding:
        hot = HotTier(self.folder, self._select, embedder.dim if embedder else 0, self._rows.recent, self._rows.drained)
        tiering, similarity = None, None
        if embedder:
            tiering = Tiering(self.folder / "far.lance", hot, embedder.name, embedder.dim, self._vectors_mb)
            similarity = Similarity(self._vectors, embedder, self._select, hot, tiering)
        weigh = weights(embedder.name) if embedder else LEXICAL
        return _Finding(embedder, hot, similarity, tiering, Search(self._select, hot, similarity, weigh))

    @property
    def _hot(self) -> HotTier:
        return self._finding.hot

    @property
    def _similarity(self) -> Similarity | None:
        return self._finding.similarity

    @property
    def _tiering(self) -> Tiering | None:
        return self._finding.tiering

    @property
    def _embedder(self) -> Embedder | None:
        return self._finding.embedder

    # --- what the journal calls ---------------------------------------------------------------------

    def take(self, before: State, event: Event) -> None:
        """An event was committed: remember its row changes. Touches no disk, unless the home wants no write-behind."""
        self._rows.note(before, event)
        if not self._behind.on:
            with self.following.spent("commit"):
                if not self.flush(whose="commit"):
                    self._work.set()
            return
        self._work.set()
        if self._rows.pending >= DRAIN_AT:
            self._hurry.set()

    def catch_up(self, fold_from: FoldFrom) -> None:
        """Bring the rows to the end of the log and start the thread that brings the other stores there.

        Stores that follow another log than the one `read` reads are made anew.

        Raises:
            StoreBroken: the row store can take nothing.
        """
        if not self._rows.same_log():
            self.rebuilt_because = "The stores did not belong to this log; they were made anew."
            self._drop_rows()
            self._index.drop()
        self._rows.take_from_log(fold_from)
        if self._embedder is None:
            # Vectors of a model that was here before: nobody reads them.
            shutil.rmtree(self.folder / "far.lance", ignore_errors=True)
        if self._index.position > self._rows.position:
            self._index.drop()
        # Also for what is held in RAM: so that the first search need not wait for it.
        self._work.set()
        self._flusher = threading.Thread(target=self._follow, name=f"projections {self.folder.name}", daemon=True)
        self._flusher.start()
        atexit.register(self._stop)

    # --- reading ------------------------------------------------------------------------------------

    def rows(self, sql: str, params: Sequence[Any] | Mapping[str, Any] = ()) -> list[Row]:
        """A SELECT over the row store, with everything that was committed; note that "at" must be quoted."""
        self._rows.drained()
        return self._rows.query(sql, params)

    def settle(self) -> None:
        """Have the row store take everything that was committed; `status` says what it could not take."""
        self._rows.drained()

    def items(self, ids: Iterable[str], at: int | None = None) -> dict[str, Row]:
        """Messages (`m...`) and passages (`p...`) by id, as they stand now or stood just after event `at`."""
        return self._rows.items(ids, at)

    def recall(
        self,
        query: str,
        *,
        roles: Sequence[str] = INDEXED_ROLES,
        start: str = "",
        end: str = "",
        page: int = 1,
        page_size: int = 5,
        at: int | None = None,
        exclude: Sequence[str] = (),
        floor: float | None = None,
        signals: SignalsWanted = "both",
        **narrow: Any,
    ) -> Found:
        """Search recall storage; dates are UTC days, both included; `signals` can have one half rank alone.

        `narrow` has the further filters of a `Scope` (session, since_us, before_us, text, also), and `floor` finds
        more as in `archival`.

        Raises:
            ValueError: a date that is not YYYY-MM-DD.
        """
        scope = Scope("messages", 0, roles=tuple(roles), start=start, end=end, exclude=tuple(exclude), **narrow)
        return self._find(scope, query, page, page_size, at, How(floor, signals))

    def archival(
        self,
        query: str,
        *,
        tags: Sequence[str] = (),
        start: str = "",
        end: str = "",
        page: int = 1,
        page_size: int = 5,
        at: int | None = None,
        floor: float | None = None,
        signals: SignalsWanted = "both",
        **narrow: Any,
    ) -> Found:
        """Search archival storage; passages with at least one of the tags; dates are UTC days, both included.

        `narrow` has the further filters of a `Scope` (sources, authors, session, since_us, before_us, text). With
        a `floor` below `weights.floor` passages are found, too, that the agent's own search leaves out.

        Raises:
            ValueError: a date that is not YYYY-MM-DD.
        """
        scope = Scope("passages", 0, tags=tuple(tags), start=start, end=end, **narrow)
        return self._find(scope, query, page, page_size, at, How(floor, signals))

    def why_not(
        self,
        id: str,
        query: str,
        *,
        page: int = 1,
        page_size: int = 5,
        at: int | None = None,
        floor: float | None = None,
        signals: SignalsWanted = "both",
        **narrow: Any,
    ) -> WhyNot:
        """Where a message (`m...`) or passage (`p...`) ranks in a search, and what keeps it off the page.

        `narrow` has the other filters of a `Scope`.
        """
        if not _ID.fullmatch(id):
            return WhyNot(id, None, None, 0, "No message (m12) and no passage (p34) is called so.")
        table = "messages" if id.startswith("m") else "passages"
        narrow = {"roles": INDEXED_ROLES, **narrow} if table == "messages" else narrow
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in narrow.items()
        }
        finding = self._finding
        position, how = self._held(finding, query, How(floor, signals), on_rows=True)
        scope = Scope(table, position if at is None else at, **given)
        return finding.search.why_not(scope, id, query, page, page_size, how)

    @property
    def weights(self) -> Weights:
        """What words and vectors are worth in a search of this agent."""
        return weights(self._embedder.name) if self._embedder else LEXICAL

    def status(self) -> Status:
        """How far the stores are; costs no disk. What they hold in RAM, and how well the rest is found: `in_ram`."""
        similarity = self._similarity
        error = next(filter(None, (self._rows.error, *self._errors.values())), "")
        return Status(
            pending=self._rows.pending,
            duckdb_seq=self._rows.position,
            index_seq=self._index.position,
            not_embedded=len(self.not_embedded()),
            mode=BOTH if similarity and not similarity.error else WORDS,
            error=error,
        )

    def not_embedded(self) -> frozenset[str]:
        """Ids of the current items that are found by words only although there is an embedder."""
        return self._similarity.not_embedded() if self._similarity else frozenset()

    def in_ram(self) -> InRam:
        """What searches of this agent keep in RAM."""
        words = sum(hot.bytes for hot in self._hot.tables.values())
        if self._tiering is None:
            return InRam(words / 1e6, 0.0, 0, ())
        tiers = self._tiering.view()
        held = sum(tier.held for tier in tiers) * self._tiering.vector_bytes
        return InRam(words / 1e6, held / 1e6, self._tiering.budget_mb, tiers)

    def vectors_loaded(self) -> bool:
        """Whether `not_embedded` can be believed; after an opening the vectors are first looked up, behind this."""
        if self._similarity is None or self._similarity.loaded:
            return True
        self._work.set()
        return False

    @property
    def answers(self) -> bool:
        """Whether the embedder answered when it was asked last."""
        return self._similarity is not None and not self._similarity.error

    @property
    def embedding_fault(self) -> str:
        """Why something is not embedded, a sentence; empty while it is on its way."""
        similarity = self._similarity
        return "" if similarity is None else similarity.error or next(iter(similarity.refused.values()), "")

    def refused(self) -> Mapping[str, str]:
        """Why a text (by hash) has no vector, of those that were refused."""
        return self._similarity.refused if self._similarity else {}

    def reembed(self, told: Callable[[int, int], None] = lambda _made, _wanted: None) -> Reembedded:
        """Ask the embedder again for every current text without a vector, refused ones too; the index follows.

        `told` gets (texts embedded so far, texts wanted). What went wrong is in the answer, never raised.
        """
        similarity = self._similarity
        if similarity is None:
            return Reembedded(0, 0, "This agent has no embedding model: searches go by words. Choose one in Settings.")
        renewed = self._renewed()
        self._rows.drained()
        with self._indexing:
            if renewed and self._embedder and (renewed.name, renewed.dim) != (self._embedder.name, self._embedder.dim):
                self._take_over(self._find_with(renewed))
                similarity = self._finding.similarity or similarity
            similarity.sync(self._rows.position)
            similarity.refused.clear()
            wanted = len(self.not_embedded())

            def go_on() -> bool:
                told(wanted - len(self.not_embedded()), wanted)
                return not self._closing.is_set()

            self._attempt("vectors", lambda: similarity.embed(go_on=go_on))
            self._attempt("index", lambda: self._index.follow(self._rows.position, self.not_embedded()))
        left = len(self.not_embedded())
        return Reembedded(wanted - left, left, self.embedding_fault)

    def succeed(
        self, embedder: Embedder, told: Callable[[int, int], None], go_on: Callable[[], bool], then: Callable[[], None]
    ) -> bool:
        """Embed everything with another embedder, while the present one answers; then let it answer and call `then`.

        False when `go_on` said no before it was done.

        Raises:
            ModelUnavailable: the other one cannot be asked now; what it has embedded is kept for the next time.
            StoreBroken: the vectors or rows cannot be used now.
        """
        coming = self._find_with(embedder)
        similarity = coming.similarity
        assert similarity is not None
        wanted = 0

        def goes_on() -> bool:
            told(wanted - len(similarity.not_embedded()), wanted)
            return go_on()

        while go_on():
            self._rows.drained()
            position = self._rows.position
            coming.hot.sync(position)
            similarity.sync(position)
            wanted = max(wanted, len(similarity.not_embedded()))
            similarity.embed(go_on=goes_on)
            with self._indexing, self._rows.at_rest():
                # Nobody waits for what came meanwhile, unless it is too much for a search to embed itself.
                if go_on() and self._rows.position - position <= EMBED_IN_SEARCH:
                    self._take_over(coming)
                    then()
                    return True
        return False

    def _take_over(self, coming: _Finding) -> None:
        """Find with another embedder from now on; whoever holds the indexing may call this."""
        self._index.close()
        self._finding = coming
        self._index = Indexing(self.folder / "index.lance", self._vectors, coming.embedder, self._select)
        self._errors["vectors"] = ""
        self._work.set()

    def at_rest(self) -> AbstractContextManager[Path]:
        """The row store's file with everything that was committed, while nobody writes to it; commits go on."""
        return self._rows.at_rest()

    def copy_rows(self, path: Path, seq: int) -> None:
        """Make a row store in another file that stands at event `seq`, for a fork.

        Raises:
            StoreBroken: it could not be made; no file is left.
        """
        self._rows.copy_until(path, seq)

    # --- following the log --------------------------------------------------------------------------

    def flush(self, *, whose: Whose = "thread") -> bool:
        """Let every store take all that was committed, now; whether all of them could."""
        self._rows.drained(whose)
        with self._indexing:
            self._attempt("vectors", self._embed)
            self._attempt("index", lambda: self._index.follow(self._rows.position, self.not_embedded()))
        return not any((self._rows.error, *self._errors.values()))

    def rebuild(self, fold_from: FoldFrom, progress: Progress | None = None, stores: Sequence[Store] = ALL) -> None:
        """Drop these stores and make them anew from the log; `vectors` embeds this agent's texts again.

        Raises:
            StoreBroken: a store could not be made; the log is as it was.
            ModelUnavailable: the texts could not be embedded now; they are found by words until they are.
        """
        tell = progress or (lambda _share: None)
        with self._indexing:
            if "rows" in stores:
                with self._rows.lock:
                    self._drop_rows()
                    self._rows.take_from_log(fold_from, lambda share: tell(0.5 * share))
            self._rows.drained()
            if self._embedder and "vectors" in stores:
                self._vectors.drop(self._embedder.name, self._embedder.dim, self._hashes())
            self._hot.forget()
            if self._similarity:
                self._similarity.forget()
            if self._tiering:
                self._tiering.drop()
            if "index" in stores or "vectors" in stores:
                self._index.drop()
            self._embed()
            tell(0.6)
            self._index.follow(self._rows.position, self.not_embedded(), lambda share: tell(0.6 + 0.4 * share))
            self._errors.update(dict.fromkeys(self._errors, ""))
        tell(1.0)

    def close(self, *, follow: bool = True) -> None:
        """Let the stores take what was committed, stop the thread, close the files.

        A backlog for the embedder longer than a batch is left for the next time. Stores that are deleted next need
        not `follow`.
        """
        self._stop()
        atexit.unregister(self._stop)
        if follow:
            self.flush()
        self._index.close()
        self._rows.close()

    # --- for verify ---------------------------------------------------------------------------------

    @property
    def index(self) -> LanceIndex:
        """The search index, opened."""
        with self._indexing:
            return self._index.opened(check=False)

    @property
    def vectors(self) -> VectorStore:
        """The home's vectors."""
        return self._vectors

    @property
    def embedder(self) -> Embedder | None:
        """What embeds this agent's texts."""
        return self._embedder

    # --- the rows -----------------------------------------------------------------------------------

    def _select(self, sql: str, params: Mapping[str, Any]) -> list[Row]:
        return self._rows.query(sql, params)

    def _drop_rows(self) -> None:
        with self._rows.lock:
            self._rows.drop()
            if self._tiering:
                self._tiering.drop()
            self._hot.forget()

    # --- the vectors --------------------------------------------------------------------------------

    def _embed(self) -> None:
        self._hot.sync(self._rows.position)
        self._hot.keep()
        if self._similarity:
            self._vectors.settle()
            self._similarity.sync(self._rows.position, self._spread)
            self._restore(self._similarity)
            if self._closing.is_set():
                self._similarity.embed(most=EMBED_BATCH)
            else:
                self._similarity.embed(go_on=self._spread)
            self._spread()

    def _restore(self, similarity: Similarity) -> None:
        """Take what the home has lost of its vectors from the index, before a model is asked for it again."""

        def restore() -> None:
            if found := self._index.kept(similarity.not_embedded()):
                similarity.take(found)

        self._attempt("index", restore)

    def _spread(self) -> bool:
        """Have the disk take what is too much for RAM, but not while closing; whether to go on."""
        tiering, similarity = self._tiering, self._similarity
        if tiering and similarity and not self._closing.is_set():
            self._attempt("far", lambda: tiering.follow(lambda: not self._closing.is_set()))
            if not similarity.loaded:
                # What was on disk was not of these texts: they are taken anew.
                self._work.set()
        return not self._closing.is_set()

    def _hashes(self) -> list[str]:
        found: list[str] = []
        for table, indexed in INDEXED.items():
            rows = self._rows.query(f"SELECT DISTINCT sha256(text) AS hash FROM {table} WHERE {indexed}")
            found += [row["hash"] for row in rows]
        return found

    # --- searching ----------------------------------------------------------------------------------

    def _find(self, scope: Scope, query: str, page: int, page_size: int, at: int | None, how: How) -> Found:
        finding = self._finding
        if query.strip() and how.signals != "vectors" and finding.hot.behind(self._rows.last_seq) > WORDS_BEHIND_MOST:
            # Reading a whole life's words takes seconds: the thread does it, and the rows answer meanwhile.
            self._work.set()
            self._hurry.set()
            position = self._rows.drained()
            return scan(self._select, scope._replace(n=position if at is None else at), query, page, page_size)
        started = time.perf_counter()
        position, how = self._held(finding, query, how, reads_rows(scope, query))
        found = finding.search.find(scope._replace(n=position if at is None else at), query, page, page_size, how)
        if query.strip():
            self.following.searched(time.perf_counter() - started, approximate="approximate" in found.mode)
        return found

    def _held(self, finding: _Finding, query: str, how: How, on_rows: bool) -> tuple[int, How]:
        """Have all that was committed held for a search: (up to which event it is, how to search with what is held).

        With `on_rows` the row store has it, too.
        """
        position = self._rows.drained() if on_rows else self._rows.last_seq
        if not query.strip():
            return position, how
        position = finding.hot.sync(position)
        similarity = finding.similarity
        if similarity and how.signals != "words":
            if not similarity.loaded:
                self._work.set()
            if similarity.behind(position) > VECTORS_BEHIND_MOST:
                # A whole life's vectors take seconds to read: the thread does it, and words answer meanwhile.
                self._work.set()
                self._hurry.set()
                return position, how._replace(signals="words")
            self._attempt("vectors", lambda: _embed_new(similarity, position, query))
            if self._vectors.waiting:
                self._work.set()
        return position, how

    # --- the thread ---------------------------------------------------------------------------------

    def _follow(self) -> None:
        while not self._closing.is_set():
            self._work.wait()
            self._hurry.wait(FLUSH_EVERY_S)
            self._hurry.clear()
            self._work.clear()
            if not self._closing.is_set() and not self._follow_once():
                self._rest()

    def _follow_once(self) -> bool:
        with self.following.spent("thread"):
            return self.flush()

    def _rest(self) -> None:
        """Wait before a failed store is tried again; rows go on to be taken."""
        until = time.monotonic() + RETRY_AFTER_S
        while not self._closing.is_set() and (left := until - time.monotonic()) > 0:
            if self._hurry.wait(left) and not self._closing.is_set():
                self._hurry.clear()
                self._rows.drained()
        self._work.set()

    def _attempt(self, store: _Fails, action: Callable[[], None]) -> None:
        try:
            action()
        except MemscopeError as error:
            self._errors[store] = str(error)
        else:
            self._errors[store] = ""

    def _stop(self) -> None:
        self._closing.set()
        self._work.set()
        self._hurry.set()
        if self._flusher and self._flusher is not threading.current_thread():
            self._flusher.join(timeout=STOP_WITHIN_S)


def _embed_new(similarity: Similarity, position: int, query: str) -> None:
    similarity.sync(position)
    similarity.embed(most=EMBED_IN_SEARCH, query=query, later=True)
