"""One open agent: send, stop, read, search, edit. The only door for pages and the command line.

Puts the rooms of one agent together: its log and journal, the engine and the thread of its turns (`Turns`), the
stores. Knows no page.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from memgpt_core import journeys
from memgpt_core.agent import Agent
from memgpt_core.ahead import Ahead
from memgpt_core.bookmarks import Bookmarks
from memgpt_core.configuration import reconfigured
from memgpt_core.connection import Connection
from memgpt_core.documents.intake import Documents
from memgpt_core.edits import Edits
from memgpt_core.embedders import Embedders
from memgpt_core.embedding.base import Embedder
from memgpt_core.errors import AgentBusy, EditRefused, LogClosed, ModelUnavailable
from memgpt_core.events import (
    EPOCH,
    AgentRenamed,
    ArchivalInserted,
    Event,
    FunctionAnswered,
    TriggerReceived,
    TurnResumed,
    clean,
)
from memgpt_core.folders import DOCUMENTS, named
from memgpt_core.forking import make_fork
from memgpt_core.journal import Journal, utc_now
from memgpt_core.llm.base import ChatModel
from memgpt_core.llm.demo import DemoModel
from memgpt_core.log_search import Sighted, find
from memgpt_core.means import Means
from memgpt_core.message_search import MessageFilter, MessagePage, find_messages
from memgpt_core.opening import OpenLog
from memgpt_core.passages import SearchLog
from memgpt_core.past import Past
from memgpt_core.projections import Projections
from memgpt_core.prompt import scaled, stamp
from memgpt_core.rerunning import Rerunning
from memgpt_core.review import COUNT_SAID, NEWEST_SAID, budget_tokens, trigger_text
from memgpt_core.search import Found, WhyNot
from memgpt_core.settings import DEMO, AgentSettings
from memgpt_core.state import Asked, Provenance, State
from memgpt_core.stores import sandbox
from memgpt_core.stores.documents import ColdStorage
from memgpt_core.stores.sandbox import Answer
from memgpt_core.stores.vectors import VectorStore
from memgpt_core.succession import Answering, Coming, Succession
from memgpt_core.tokens import count
from memgpt_core.turns import Turns
from memgpt_core.verify import Difference, verify
from memgpt_core.watch import Activity, Partial, Watch
from memgpt_core.write_behind import WriteBehind


class Workspace:
    """An open agent. Safe to use from any thread; one per agent and process (see `home.Home.open`)."""

    def __init__(
        self,
        folder: Path,
        vectors: VectorStore,
        *,
        clock: Callable[[], datetime] = utc_now,
        models: dict[str, ChatModel] | None = None,
        connection: Connection | None = None,
        cold: ColdStorage | None = None,
        embedders: Embedders | None = None,
        behind: WriteBehind | None = None,
    ) -> None:
        """Open the agent in `folder`; a turn that a killed process left open is ended as interrupted.

        `cold` is the home's cold storage, where its documents are; without it, `documents/` of the home `folder` is
        in. `models` are the built-in ones by name; every other name is a model of the `connection`'s server.
        `embedders` are the home's, shared by its agents, and so is the switch `behind`.

        Raises:
            OSError: there is no log, or it cannot be opened.
        """
        self.agent_id = folder.name
        self.folder = folder
        self._open = OpenLog(folder)
        if self._open.log.last_seq == 0 and not self._open.log.fault:
            self._open.log.fault = "The log holds no agent: it is empty. Restore it from a copy, or delete its folder."
        self._clock = clock
        self._models = models or {DEMO: DemoModel()}
        self._connection = connection
        self._means = Means(connection, embedders)
        self._vectors = vectors
        self._behind = behind
        self._cold = cold or ColdStorage(folder.parent.parent / DOCUMENTS)
        self._answering = Answering(folder)
        self._succession: Succession | None = None
        self._watch = Watch()
        self._past = Past(self._open)
        self.bookmarks = Bookmarks(folder, clock=clock)
        self.rerunning = Rerunning(self._open.log, self._cold)
        self.archival_searches = SearchLog(self.rows, self.event)
        self.projections = self._open_projections(self._open.state.settings)
        self._journal = Journal(
            self._open.log,
            self._open.state,
            clock=clock,
            sinks=(self._take, self._open.checkpoint, self._noticed),
        )
        self.edits = Edits(self._journal, lambda: self.projections, self._counting, self.state)
        self.documents = Documents(self._journal, lambda: self.projections, self._counting, self.state, self._cold)
        self._ahead = Ahead(self, self.state, self.event)
        agent = Agent(self._journal, self._model, self, ahead=self._ahead, progress=self._watch)
        self._turns = Turns(self.agent_id, agent, self._journal, self._open.log, self._means, self._watch)
        if not self._open.log.fault:
            try:
                self._turns.end_interrupted()
            except LogClosed as fault:
                # No room on the disk to say so: it is shown, and said with the next message.
                self._turns.problem = str(fault)

    def close(self, *, follow: bool = True) -> None:
        """Stop a running turn, bring the stores up to date (unless they need not `follow`) and let go of all files."""
        if self.busy:
            self.stop()
            self.wait_idle(5.0)
        self._ahead.close()
        self._end_succession()
        self.projections.close(follow=follow)
        self._open.log.close()

    # --- reading ----------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a turn is running."""
        return self._turns.busy

    @property
    def version(self) -> int:
        """Changes whenever anything a page shows has changed."""
        return self._watch.version

    @property
    def last_seq(self) -> int:
        """Seq of the newest event."""
        return self._journal.state.seq

    def state(self, at: int | None = None) -> State:
        """The newest state, or the one after event `at`.

        Raises:
            IndexError: there is no such event.
        """
        if at is None or at == self._journal.state.seq:
            return self._journal.state
        if not 0 <= at <= self.last_seq:
            raise IndexError(f"the log has events 1 to {self.last_seq}, not {at}")
        return self._past.state(at)

    def provenance(self) -> Provenance | None:
        """What this agent was forked from; None when it was not. What it remembers from there is in its own log."""
        return self._journal.state.provenance

    def event(self, seq: int) -> Event:
        """One event of the log."""
        return self._open.log.read(seq)

    def events(self, start: int, stop: int | None = None) -> list[Event]:
        """Events `start` to `stop`, both included (None: to the newest)."""
        return list(self._open.log.events(start, None if stop is None else stop + 1))

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Rows of the store, with everything committed so far in it (tables: `project.COLUMNS`)."""
        return self.projections.rows(sql, params)

    def items(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Current rows of messages and passages by id."""
        return self.projections.items(ids)

    def recall(self, query: str, **scope: Any) -> Found:
        """Search recall storage; see `Projections.recall`."""
        return self.projections.recall(query, **scope)

    def archival(self, query: str, **scope: Any) -> Found:
        """Search archival storage; see `Projections.archival`."""
        return self.projections.archival(query, **scope)

    def why_not(self, id: str, query: str, **scope: Any) -> WhyNot:
        """Where a message or passage ranks in a search, and what kept it out; see `Projections.why_not`."""
        return self.projections.why_not(id, query, **scope)

    def coming_embedder(self) -> Coming | None:
        """The embedding model of the settings while it is not ready and another one answers; None when it answers."""
        chosen = self._journal.state.settings.embedder
        if self._succession is None or self._answering.read(chosen) == chosen:
            return None
        return self._succession.view()

    def hurry_embedder(self) -> None:
        """Ask a coming embedding model that did not answer again, now."""
        if self._succession is not None:
            self._succession.again()

    def reembed(self) -> None:
        """Embed in the background what has no vector; `projections.reembedding` says how far it is."""
        self.projections.reembedding.start()

    def line_of(self, seq: int) -> tuple[int, int]:
        """(offset of an event's line in the log's file, its length with the newline), in bytes."""
        start = self._open.log.size_at(seq - 1)
        return start, self._open.log.size_at(seq) - start

    def find_events(self, text: str, **scope: Any) -> Sighted:
        """Search the log's own lines; see `log_search.find`."""
        return find(self._open.log, text, **scope)

    def find_messages(
        self, wanted: MessageFilter, *, at: int | None = None, offset: int = 0, limit: int = 50, whole: bool = False
    ) -> MessagePage:
        """A page of the messages that pass a filter, as they stood after event `at`; see `message_search`."""
        state = self.state(at)
        return find_messages(self.projections, state, wanted, offset=offset, limit=limit, whole=whole)

    def sql(self, text: str) -> Answer:
        """Run a person's SELECT over the rows as they are now; see `stores.sandbox`."""
        return sandbox.select(self.projections.at_rest, text)

    def count(self, text: str) -> int:
        """Tokens of a text as it would stand in main context now."""
        state = self._journal.state
        with self._counting():
            return scaled(state, count(text))

    def turn_start(self, turn: int) -> int:
        """Seq of the first event of a turn; 0 when there is none."""
        found = self.rows("SELECT min(seq_from) AS seq FROM events WHERE turn = ?", [turn])
        return int(found[0]["seq"] or 0)

    def neighbour(self, seq: int, what: str, forward: bool) -> int | None:
        """The next turn, flush, page fault… after event `seq`, or the last before it; see `journeys.neighbour`."""
        marks = [mark.seq for mark in self.bookmarks.all()] if what == "bookmark" else ()
        return journeys.neighbour(self.rows, self.last_seq, marks, seq, what, forward)

    def change_of(self, item: str, seq: int, forward: bool) -> journeys.Reached | None:
        """The event that next changed a block, message or passage, or last did; see `journeys.last_change`."""
        return journeys.last_change(self.rows, self.event, self.last_seq, item, seq, forward)

    def last_change(self, item: str, seq: int, forward: bool) -> int | None:
        """The seq of `change_of`; None when nothing changed it on that side of event `seq`."""
        reached = self.change_of(item, seq, forward)
        return reached.seq if reached else None

    def block_history(self, label: str, *, at: int | None = None, most: int | None = None) -> list[Event]:
        """The events that made each version of a block, newest first; see `BlockEdits.block_history`."""
        return self.edits.block_history(label, at=at, most=most)

    def activity(self) -> Activity:
        """What the agent is doing now."""
        return self._watch.activity()

    def partial(self) -> Partial:
        """What has streamed in of the present reply."""
        return self._watch.partial()

    def search_mode(self) -> str:
        """`words+vectors`, or `words` when the agent has no embedder or it does not answer."""
        return self.projections.status().mode

    def found_by_words_only(self) -> frozenset[str]:
        """Ids of the messages and passages whose vector is still missing."""
        return self.projections.not_embedded()

    @property
    def not_embedded(self) -> int:
        """Messages and passages whose vector is still missing; they are found by words meanwhile."""
        return self.projections.status().not_embedded

    def notices(self) -> list[str]:
        """What a person must be told: repairs, a read-only log, stores that are behind."""
        status = self.projections.status()
        stores = self.projections.rebuilt_because
        found = [self._open.log.repaired, self._open.log.fault, self._turns.problem, stores, status.error]
        return list(dict.fromkeys(notice for notice in found if notice))

    # --- acting -----------------------------------------------------------------------------------------------

    def send(self, text: str, *, cause: Literal["user", "system"] = "user") -> None:
        """Give the agent a message and start the turn; a login trigger goes before it when one is due.

        Raises:
            AgentBusy: a turn is running.
            EditRefused: there is nothing in the text.
            LogClosed: the log takes nothing more.
        """
        if not text.strip():
            raise EditRefused("The message is empty. Type something first.")
        login = self._login_if_due()
        review = self._review_if_due() if login else None
        self._turns.start(*login, TriggerReceived(cause=cause, text=text), review=review)

    def send_again(self, triggers: Sequence[TriggerReceived]) -> None:
        """Start a turn with these triggers and no others, as one that was recorded began: no login, no review is added.

        Raises:
            AgentBusy, LogClosed: as `send`.
        """
        self._turns.start(*(TriggerReceived(cause=trigger.cause, text=trigger.text) for trigger in triggers))

    def answer(self, allowed: bool, reason: str = "", *, seen: Asked | None = None) -> None:
        """Say yes or no to the call that waits (`state.asked`) and run its turn on; a no is told with its reason.

        With `seen`, the call as the person saw it, an answer to another one is refused.

        Raises:
            AgentBusy: a turn is running.
            EditRefused: no call waits, or another one.
            LogClosed: the log takes nothing more.
        """
        self._turns.refuse_while_busy()
        waiting = self._journal.state.asked
        if waiting is None:
            raise EditRefused("No function call waits for an answer any more.")
        if seen is not None and seen != waiting:
            raise EditRefused("Another function call waits by now. Look at it before you answer.")
        self._turns.start(FunctionAnswered(call_id=waiting.call_id, allowed=allowed, reason=clean(reason.strip())))

    @property
    def can_resume(self) -> bool:
        """Whether the last turn broke off, so that it can be run on, with other settings if need be.

        A turn that waits with a call is run on by the answer.
        """
        state = self._journal.state
        return not self.busy and state.asked is None and state.turn_end not in ("", "yielded")

    def resume(self) -> None:
        """Run a turn that broke off on from where it was: the same messages, a new step.

        Raises:
            AgentBusy: a turn is running.
            EditRefused: the last turn ended by itself, or it waits for an answer.
            LogClosed: the log takes nothing more.
        """
        if self._journal.state.asked is not None:
            raise EditRefused("A function call waits for your yes or no. Answer it, or write a message instead.")
        if not self.can_resume:
            raise EditRefused("The last turn ended by itself; there is nothing to run again.")
        self._turns.start(TurnResumed())

    def upload(self, name: str, passages: Sequence[tuple[str, tuple[str, ...]]]) -> None:
        """Store passages (text, tags) in archival storage and tell the agent that the upload is there.

        Raises:
            AgentBusy, LogClosed: as `send`.
        """
        self._turns.refuse_while_busy()
        for at in range(0, len(passages), 500):
            self._journal.commit_many(
                [
                    ArchivalInserted(text=clean(text), tags=tuple(clean(tags)), source=clean(name), author="import")
                    for text, tags in passages[at : at + 500]
                ]
            )
        self.tell_upload(f"Upload finished: {name}, {len(passages)} passages are now in archival storage.")

    def tell_upload(self, text: str) -> None:
        """Tell the agent that something was uploaded, in a turn of its own.

        Raises:
            AgentBusy, LogClosed: as `send`.
        """
        self._turns.start(TriggerReceived(cause="upload", text=text))

    def review_session(self) -> None:
        """Have the agent reread the present session and rewrite its blocks, now.

        Raises:
            AgentBusy: a turn is running.
            EditRefused: nothing was said in the session, or a call waits for an answer.
            LogClosed: the log takes nothing more.
        """
        self._turns.refuse_while_busy()
        if self._journal.state.asked is not None:
            raise EditRefused("A function call waits for your yes or no. Answer it first.")
        review = self._review()
        if review is None:
            raise EditRefused("Nothing has been said in this session, so there is nothing to review.")
        self._turns.start(review=review)

    def tick(self) -> bool:
        """Do what is due while the agent is open and idle: the review of a session that is over, or the timer."""
        if self.busy or self._journal.state.asked is not None or self._open.log.fault:
            return False
        try:
            if self._login_if_due() and (review := self._review_if_due()):
                self._turns.start(review=review)
                return True
            return self._fire_timer()
        except (AgentBusy, LogClosed):
            return False

    def _fire_timer(self) -> bool:
        state = self._journal.state
        minutes = state.settings.timer_minutes
        now = self._clock()
        if not minutes or state.turn_open or now < state.paused_until:
            return False
        # Counted from the last event or the end of a pause: what was missed meanwhile is never caught up.
        if now - max(state.at, state.paused_until) < timedelta(minutes=minutes):
            return False
        self._turns.start(TriggerReceived(cause="timer", text="Automated timer"))
        return True

    def stop(self) -> None:
        """Stop the running turn; the model call in progress is cut off and nothing of it is kept."""
        self._turns.stop()

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait for the running turn to end; whether it did."""
        return self._turns.wait_idle(timeout_s)

    def rename(self, name: str, about: str) -> None:
        """Give the agent another name and another line about it, as an event; also while a turn runs.

        Raises:
            EditRefused: no name, or one that is too long.
            LogClosed: the log takes nothing more.
        """
        renamed = AgentRenamed(name=named(name), about=str(clean(about)).strip())
        self._journal.commit(lambda now: None if (now.name, now.about) == (renamed.name, renamed.about) else renamed)

    def configure(self, settings: AgentSettings, *, instructions: str | None = None) -> None:
        """Give the agent other settings and, if given, other instructions; they hold from the next step on.

        Raises:
            AgentBusy: a turn is running.
            ConfigurationRefused: the window cannot hold the fixed parts, or something in it makes no sense; the
                sentence has the numbers.
            ModelUnavailable: the embedding model cannot be asked for its dimension.
            LogClosed: the log takes nothing more.
        """
        with self._turns.lock:
            self._turns.refuse_while_busy()
            known = self._journal.state.settings
            if settings.embedder != known.embedder:
                self._means.learn_dimension(settings.embedder, anew=True)
            with self._journal.lock:
                state = self._journal.state
                if events := reconfigured(
                    self.agent_id, state, settings, instructions, self._journal.read, self._means
                ):
                    self._journal.commit_many(events)
            if settings.embedder != known.embedder:
                self._change_embedder(known.embedder, settings.embedder)
            if settings.vectors_mb != known.vectors_mb:
                self._reopen_projections()

    def define_instructions(self, text: str) -> None:
        """Give the agent other system instructions, the read-only head of main context.

        Raises:
            AgentBusy, ConfigurationRefused, LogClosed: as `configure`.
        """
        self.configure(self._journal.state.settings, instructions=text)

    # --- the stores -------------------------------------------------------------------------------------------

    def verify(self) -> list[Difference]:
        """Compare the stores with the log, row by row; each difference is named."""
        return verify(self._open.log.events(), self.projections)

    def rebuild(self, progress: Callable[[float], None] | None = None) -> None:
        """Make the stores anew from the log."""
        self.projections.rebuild(self._open.states_from, progress)

    def fork_into(
        self,
        folder: Path,
        at: int,
        *,
        name: str,
        clock: Callable[[], datetime] | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        """Make in `folder`, not yet revealed, an agent that goes on from event `at` of this one; see `forking`.

        Raises:
            EditRefused: there is no such event.
            OSError: the copy could not be written.
        """
        make_fork(
            self._open,
            at,
            folder,
            name=name,
            origin_name=self._journal.state.name,
            clock=clock or self._clock,
            stores=self.projections,
            progress=progress,
        )

    # --- inside -----------------------------------------------------------------------------------------------

    def _model(self, state: State) -> ChatModel:
        name = state.settings.model
        if name in self._models:
            return self._models[name]
        if self._connection is None:
            raise ModelUnavailable(f"There is no model '{name}' here. Models: {', '.join(self._models)}.")
        self._connection.server()
        return self._connection.model_for(state.name)

    def _take(self, before: State, event: Event) -> None:
        # Through self: another embedder means other projections, while the journal stays.
        self.projections.take(before, event)

    def _noticed(self, before: State, event: Event) -> None:
        self._watch.version += 1

    def _login_if_due(self) -> list[TriggerReceived]:
        state = self._journal.state
        seen = state.last_trigger_at > EPOCH
        if seen and self._clock() - state.last_trigger_at < timedelta(minutes=state.settings.login_idle_minutes):
            return []
        last = stamp(state.last_trigger_at) if seen else "Never (first login)"
        return [TriggerReceived(cause="login", text=last)]

    def _review_if_due(self) -> TriggerReceived | None:
        """The review of the present session, if the agent reviews its sessions and this one was not yet."""
        state = self._journal.state
        wanted = state.settings.review_sessions and state.reviewed_session < state.session
        return self._review() if wanted else None

    def _review(self) -> TriggerReceived | None:
        """What asks for the review of the present session; None when nothing was said in it."""
        state = self._journal.state
        said = self.rows(NEWEST_SAID, [state.session])
        if not said:
            return None
        total = self.rows(COUNT_SAID, [state.session])[0]["n"]
        with self._counting():
            return TriggerReceived(
                cause="review",
                text=trigger_text(state.session, said, total, budget_tokens(state)),
                reviews=state.session,
            )

    def _counting(self) -> AbstractContextManager[None]:
        """Count as the present counts were made."""
        return self._means.counting(self._journal.state)

    def _open_projections(self, settings: AgentSettings) -> Projections:
        embedder = settings.embedder
        answers = self._answering.read(embedder)
        projections = Projections(
            self.folder,
            self._vectors,
            self._means.embedder(answers),
            read=self._open.log.read,
            documents=self._cold,
            renewed=self._renewed_embedder,
            vectors_mb=settings.vectors_mb,
            behind=self._behind,
        )
        projections.catch_up(self._open.states_from)
        if answers != embedder and (coming := self._means.embedder(embedder)) is not None:
            self._succession = Succession(projections, coming, self._answering.forget)
        return projections

    def _change_embedder(self, former: str, chosen: str) -> None:
        """Have the chosen embedder answer: once it has everything, where there is one that answers meanwhile."""
        self._end_succession()
        answers = self._answering.read(former)
        coming = self._means.embedder(chosen)
        self._answering.forget()
        if chosen == answers:
            return
        if coming is not None and self.projections.embedder is not None and self.projections.answers:
            self._answering.keep(answers, until=chosen)
            self._succession = Succession(self.projections, coming, self._answering.forget)
            return
        self._reopen_projections()

    def _end_succession(self) -> None:
        if self._succession is not None:
            self._succession.stop()
            self._succession = None

    def _reopen_projections(self) -> None:
        """Find by the settings as they are now."""
        self._end_succession()
        with self._journal.lock:
            self.projections.close()
            self.projections = self._open_projections(self._journal.state.settings)

    def _renewed_embedder(self) -> Embedder | None:
        """The embedder that answers, as its server has it now."""
        answers = self._answering.read(self._journal.state.settings.embedder)
        with suppress(ModelUnavailable):
            self._means.learn_dimension(answers, anew=True)
        return self._means.embedder(answers)
