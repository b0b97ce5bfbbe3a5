"""One open agent: send, stop, read, search, edit. The only door for pages and the command line.

Owns the turn's thread and what it shows while it runs (`Watch`); knows no page. A turn belongs to the process
and not to a browser tab, so it survives reloads and closed tabs.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from memgpt_core.agent import Agent
from memgpt_core.blueprint import define_instructions
from memgpt_core.connection import Connection
from memgpt_core.errors import AgentBusy, ConfigurationRefused, EditRefused, LogClosed, ModelUnavailable, StaleEdit
from memgpt_core.events import (
    EPOCH,
    AgentConfigured,
    ArchivalInserted,
    ContextRecounted,
    Event,
    FaultRecorded,
    InstructionsDefined,
    StopRequested,
    TriggerReceived,
    TurnEnded,
    TurnResumed,
    clean,
)
from memgpt_core.journal import Journal, utc_now
from memgpt_core.llm.base import ChatModel
from memgpt_core.llm.demo import DemoModel
from memgpt_core.means import Means
from memgpt_core.memory_functions import check_block_text, edited, schemas
from memgpt_core.opening import OpenLog
from memgpt_core.projections import Projections
from memgpt_core.prompt import Reader, recount, stamp
from memgpt_core.queue_manager import fixed_tokens, refusal
from memgpt_core.search import Found
from memgpt_core.settings import DEMO, AgentSettings
from memgpt_core.state import State, fold
from memgpt_core.stores.vectors import VectorStore
from memgpt_core.tokens import counted_by
from memgpt_core.verify import Difference, verify
from memgpt_core.watch import Activity, Partial, Watch

STATES_KEPT = 32
"""Past states kept at hand, so that a page that looks back twice folds once."""


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
    ) -> None:
        """Open the agent in `folder`; a turn that a killed process left open is ended as interrupted.

        `models` are the built-in ones by name; every other name is a model of the `connection`'s server.

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
        self._means = Means(connection)
        self._vectors = vectors
        self._watch = Watch()
        self._turn_lock = threading.Lock()
        self._turn: threading.Thread | None = None
        self._states: OrderedDict[int, State] = OrderedDict()
        self._problem = ""
        self.projections = self._open_projections(self._open.state.settings.embedder)
        self._journal = Journal(
            self._open.log,
            self._open.state,
            clock=clock,
            sinks=(self._take, self._open.checkpoint, self._noticed),
        )
        self._agent = Agent(self._journal, self._model, self, progress=self._watch)
        if not self._open.log.fault:
            try:
                self._end_interrupted()
            except LogClosed as fault:
                # No room on the disk to say so: it is shown, and said with the next message.
                self._problem = str(fault)

    def close(self) -> None:
        """Stop a running turn, bring the stores up to date and let go of all files."""
        if self.busy:
            self.stop()
            self.wait_idle(5.0)
        self.projections.close()
        self._open.log.close()

    # --- reading ----------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a turn is running."""
        return self._turn is not None and self._turn.is_alive()

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
        kept = self._states.get(at)
        if kept is None:
            kept = self._states[at] = self._open.state_at(at)
            while len(self._states) > STATES_KEPT:
                self._states.popitem(last=False)
        return kept

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

    def turn_start(self, turn: int) -> int:
        """Seq of the first event of a turn; 0 when there is none."""
        found = self.rows("SELECT min(seq_from) AS seq FROM events WHERE turn = ?", [turn])
        return int(found[0]["seq"] or 0)

    def block_history(self, label: str) -> list[Event]:
        """The events that made each version of a block, newest first."""
        seqs = self.rows(
            "SELECT seq_from AS seq FROM events "
            "WHERE kind IN ('block_defined', 'working_context_edited') ORDER BY 1 DESC"
        )
        made: list[Any] = [self.event(row["seq"]) for row in seqs]
        return [event for event in made if event.block == label]

    def activity(self) -> Activity:
        """What the agent is doing now."""
        return self._watch.activity()

    def partial(self) -> Partial:
        """What has streamed in of the present reply."""
        return self._watch.partial()

    def search_mode(self) -> str:
        """`words+vectors`, or `words` when the agent has no embedder or it does not answer."""
        return self.projections.status().mode

    @property
    def not_embedded(self) -> int:
        """Messages and passages whose vector is still missing; they are found by words meanwhile."""
        return self.projections.status().not_embedded

    def notices(self) -> list[str]:
        """What a person must be told: repairs, a read-only log, stores that are behind."""
        status = self.projections.status()
        stores = self.projections.rebuilt_because
        found = [self._open.log.repaired, self._open.log.fault, self._problem, stores, status.error]
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
        self._start(*self._login_if_due(), TriggerReceived(cause=cause, text=text))

    @property
    def can_resume(self) -> bool:
        """Whether the last turn broke off, so that it can be run on, with other settings if need be."""
        return not self.busy and self._journal.state.turn_end not in ("", "yielded")

    def resume(self) -> None:
        """Run a turn that broke off on from where it was: the same messages, a new step.

        Raises:
            AgentBusy: a turn is running.
            EditRefused: the last turn ended by itself.
            LogClosed: the log takes nothing more.
        """
        if not self.can_resume:
            raise EditRefused("The last turn ended by itself; there is nothing to run again.")
        self._start(TurnResumed())

    def upload(self, name: str, passages: Sequence[tuple[str, tuple[str, ...]]]) -> None:
        """Store passages (text, tags) in archival storage and tell the agent that the upload is there.

        Raises:
            AgentBusy, LogClosed: as `send`.
        """
        self._refuse_while_busy()
        for at in range(0, len(passages), 500):
            self._journal.commit_many(
                [
                    ArchivalInserted(text=clean(text), tags=tuple(clean(tags)), source=clean(name), author="import")
                    for text, tags in passages[at : at + 500]
                ]
            )
        told = f"Upload finished: {name}, {len(passages)} passages are now in archival storage."
        self._start(TriggerReceived(cause="upload", text=told))

    def tick(self) -> bool:
        """Fire the timer if it is due: the agent is open and idle and its heartbeats are not paused."""
        state = self._journal.state
        minutes = state.settings.timer_minutes
        now = self._clock()
        if not minutes or self.busy or state.turn_open or self._open.log.fault or now < state.paused_until:
            return False
        # Counted from the last event or the end of a pause: what was missed meanwhile is never caught up.
        if now - max(state.at, state.paused_until) < timedelta(minutes=minutes):
            return False
        try:
            self._start(TriggerReceived(cause="timer", text="Automated timer"))
        except (AgentBusy, LogClosed):
            return False
        return True

    def stop(self) -> None:
        """Stop the running turn; the model call in progress is cut off and nothing of it is kept."""
        # A turn that is just being started counts as running.
        with self._turn_lock, self._journal.lock:
            if not self.busy or self._journal.state.stopping or not self._journal.state.turn_open:
                return
            self._journal.commit(StopRequested())
            self._watch.stop(True)

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait for the running turn to end; whether it did."""
        turn = self._turn
        if turn is not None:
            turn.join(timeout_s)
        return not self.busy

    def edit_block(self, label: str, text: str, *, based_on: int, reason: str = "") -> None:
        """Give a block the text a person wrote, based on the version of event `based_on`.

        Raises:
            StaleEdit: the block has changed since; carries both texts.
            EditRefused: there is no such block, or the text does not fit it.
        """
        text, reason = clean(text), clean(reason)

        def decide(state: State) -> Event | None:
            block = state.blocks.get(label)
            if block is None:
                raise EditRefused(f"There is no block '{label}' any more. Copy your text before you leave this page.")
            if based_on != block.seq:
                raise StaleEdit(f"Block '{label}'", current=block.value, current_seq=block.seq, yours=text)
            if text == block.value:
                return None
            if refused := check_block_text(state, block, text):
                raise EditRefused(refused)
            return edited(state, label, text, author="human", based_on=based_on, reason=reason)

        with self._counting():
            self._journal.commit(decide)

    def undo_block(self, label: str) -> None:
        """Give a block the text it had before its last change, as a new edit.

        Raises:
            EditRefused: it has never been changed.
        """
        last: Any = next(iter(self.block_history(label)), None)
        if last is None or last.kind != "working_context_edited":
            raise EditRefused(f"Block '{label}' has not been changed yet, so there is nothing to undo.")
        self.edit_block(label, last.before, based_on=last.seq, reason=f"undo of event {last.seq}")

    def configure(self, settings: AgentSettings) -> None:
        """Give the agent other settings, as an event; they hold from the next step on.

        Raises:
            AgentBusy: a turn is running.
            ConfigurationRefused: the window cannot hold the fixed parts; the sentence has the numbers.
            ModelUnavailable: the embedding model cannot be asked for its dimension.
            LogClosed: the log takes nothing more.
        """
        with self._turn_lock:
            self._refuse_while_busy()
            before = self._journal.state
            if settings.model_copy(update={"served_tokens": before.settings.served_tokens}) == before.settings:
                return
            if settings.embedder != before.settings.embedder:
                self._means.learn_dimension(settings.embedder)
            known = self._means.known(settings.model)
            configured = AgentConfigured(
                settings=settings,
                template_tokens=int(known.get("template_tokens", 0)),
                token_factor=float(known.get("token_factor", 1.0)),
            )
            now: Any = self._journal.read(before.instructions_seq)
            counter = self._means.counter(settings.model)
            with counted_by(counter), self._journal.lock:
                defined = define_instructions(now.instructions, settings)
                after = fold([configured, defined], before)
                recounted = ContextRecounted(
                    counts=recount(after, _reader(self._journal.read, defined)),
                    counted_by=settings.model if counter else "",
                )
                if refused := refusal(fixed_tokens(fold([recounted], after)), settings):
                    raise ConfigurationRefused(refused)
                served = configured.model_copy(update={"settings": self._means.serve(self.agent_id, settings)})
                self._journal.commit_many([served, defined, recounted])
            if settings.embedder != before.settings.embedder:
                self._reopen_projections()

    # --- the stores -------------------------------------------------------------------------------------------

    def verify(self) -> list[Difference]:
        """Compare the stores with the log, row by row; each difference is named."""
        return verify(self._open.log.events(), self.projections)

    def rebuild(self, progress: Callable[[float], None] | None = None) -> None:
        """Make the stores anew from the log."""
        self.projections.rebuild(self._open.states_from, progress)

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

    # --- counting and embedding with the model's own means ------------------------------------------------------

    def _counting(self) -> AbstractContextManager[None]:
        """Count as the present counts were made: exactly when they are exact, so that units never mix."""
        state = self._journal.state
        return counted_by(self._means.counter(state.settings.model) if state.counted_by else None)

    def _share_window(self) -> None:
        """Ask for the window that the model's other agents want too, as an event, so that nothing is reloaded."""
        state = self._journal.state
        served = self._means.serve(self.agent_id, state.settings)
        if served.num_ctx != state.settings.num_ctx:
            same = {"template_tokens": state.template_tokens, "token_factor": state.token_factor}
            self._journal.commit(AgentConfigured(settings=served, author="engine", **same))

    def _recount_if_due(self) -> None:
        """Count the window anew when the model's vocabulary has come, or has gone with its server."""
        state = self._journal.state
        counter = self._means.counter(state.settings.model)
        name = state.settings.model if counter else ""
        if name != state.counted_by:
            with counted_by(counter):
                self._journal.commit(ContextRecounted(counts=recount(state, self._journal.read), counted_by=name))

    def _open_projections(self, embedder: str) -> Projections:
        projections = Projections(self.folder, self._vectors, self._means.embedder(embedder), read=self._open.log.read)
        projections.catch_up(self._open.states_from)
        return projections

    def _reopen_projections(self) -> None:
        """Another embedder has other tables; the new ones are filled in the background."""
        with self._journal.lock:
            self.projections.close()
            self.projections = self._open_projections(self._journal.state.settings.embedder)

    def _start(self, *openings: TriggerReceived | TurnResumed) -> None:
        with self._turn_lock:
            self._refuse_while_busy()
            if self._open.log.fault:
                raise LogClosed(self._open.log.fault)
            with self._counting():
                self._end_interrupted()
                self._refresh_instructions()
                self._share_window()
                self._recount_if_due()
            self._watch.stop(False)
            # Anew: a recount may just have changed the unit.
            with self._counting():
                self._agent.receive(*openings)
            self._problem = ""
            self._watch.phase("waiting")
            self._turn = threading.Thread(target=self._run, name=f"turn of {self.agent_id}", daemon=True)
            self._turn.start()

    def _run(self) -> None:
        try:
            with self._counting():
                self._agent.run_turn()
            self._means.keep_learned(self._journal.state)
        except LogClosed as fault:
            self._problem = str(fault)
        except Exception as bug:  # noqa: BLE001  (the top of the turn: a defect of ours must show, not vanish)
            self._record_defect(bug)
        finally:
            self._watch.phase("idle")

    def _record_defect(self, bug: Exception) -> None:
        self._problem = f"Memscope itself failed in this turn ({type(bug).__name__}: {bug}). Nothing you saved is lost."
        try:
            self._journal.commit_many([FaultRecorded(where="defect", error=self._problem), TurnEnded(reason="fault")])
        except LogClosed as fault:
            self._problem += f" {fault}"

    def _refuse_while_busy(self) -> None:
        if self.busy:
            raise AgentBusy(f"{self._journal.state.name} is in the middle of a turn. Wait for it, or stop it first.")

    def _end_interrupted(self) -> None:
        if self._journal.state.turn_open:
            self._journal.commit(TurnEnded(reason="interrupted"))

    def _refresh_instructions(self) -> None:
        """Offer today's function schemas: a newer Memscope may describe its functions otherwise."""
        state = self._journal.state
        now: Any = self._journal.read(state.instructions_seq)
        if schemas(state.settings) != now.schemas:
            self._journal.commit(define_instructions(now.instructions, state.settings))


def _reader(read: Reader, defined: InstructionsDefined) -> Reader:
    """Reads the log, and for seq 0 the instructions that are about to be committed."""
    return lambda seq: read(seq) if seq else defined
