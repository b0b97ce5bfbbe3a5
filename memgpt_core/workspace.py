"""One open agent: send, stop, read, search, edit. The only door for pages and the command line.

Owns the turn's thread and what it shows while it runs (`Watch`); knows no page. A turn belongs to the process
and not to a browser tab, so it survives reloads and closed tabs.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

from memgpt_core.agent import Agent
from memgpt_core.blueprint import define_instructions
from memgpt_core.embedding.base import Embedder
from memgpt_core.embedding.hashing import HashingEmbedder
from memgpt_core.errors import AgentBusy, EditRefused, LogClosed, ModelUnavailable, StaleEdit
from memgpt_core.events import (
    EPOCH,
    ArchivalInserted,
    Event,
    FaultRecorded,
    StopRequested,
    TriggerReceived,
    TurnEnded,
    clean,
)
from memgpt_core.journal import Journal, utc_now
from memgpt_core.llm.base import ChatModel, Phase
from memgpt_core.llm.demo import DemoModel
from memgpt_core.memory_functions import check_block_text, edited, schemas
from memgpt_core.opening import OpenLog
from memgpt_core.projections import Projections
from memgpt_core.prompt import stamp
from memgpt_core.state import State
from memgpt_core.stores.vectors import VectorStore
from memgpt_core.verify import Difference, verify

STATES_KEPT = 32
"""Past states kept at hand, so that a page that looks back twice folds once."""


class Activity(NamedTuple):
    """What the agent is doing, for how many seconds, and with what."""

    phase: Phase
    since_s: float
    detail: str


class Partial(NamedTuple):
    """What has streamed in of the reply that is being written; it is no fact yet and vanishes with the step."""

    text: str
    thoughts: str


class Watch:
    """Progress of the running turn, as pages poll it. `version` changes with everything they could show."""

    def __init__(self) -> None:
        self.version = 0
        self._stopped = False
        self._phase: Phase = "idle"
        self._detail = ""
        self._since = time.monotonic()
        self._text: list[str] = []
        self._thoughts: list[str] = []

    def phase(self, phase: Phase, detail: str = "") -> None:
        """A new phase; what was streamed before it belongs to the step that is over."""
        if phase in ("waiting", "idle"):
            self._text, self._thoughts = [], []
        self._phase, self._detail, self._since = phase, detail, time.monotonic()
        self.version += 1

    def text(self, piece: str) -> None:
        """More visible text."""
        self._text.append(piece)
        self.version += 1

    def thought(self, piece: str) -> None:
        """More inner monologue."""
        self._thoughts.append(piece)
        self.version += 1

    def stopped(self) -> bool:
        """Whether to stop."""
        return self._stopped

    def stop(self, wanted: bool) -> None:
        """Ask the running model call to stop, or forget that it was asked."""
        self._stopped = wanted
        self.version += 1

    def activity(self) -> Activity:
        """The present phase."""
        return Activity(self._phase, time.monotonic() - self._since, self._detail)

    def partial(self) -> Partial:
        """What has streamed in so far."""
        return Partial("".join(self._text), "".join(self._thoughts))


class Workspace:
    """An open agent. Safe to use from any thread; one per agent and process (see `home.Home.open`)."""

    def __init__(
        self,
        folder: Path,
        vectors: VectorStore,
        *,
        clock: Callable[[], datetime] = utc_now,
        models: dict[str, ChatModel] | None = None,
    ) -> None:
        """Open the agent in `folder`; a turn that a killed process left open is ended as interrupted.

        Raises:
            OSError: there is no log, or it cannot be opened.
        """
        self.agent_id = folder.name
        self.folder = folder
        self._open = OpenLog(folder)
        if self._open.log.last_seq == 0 and not self._open.log.fault:
            self._open.log.fault = "The log holds no agent: it is empty. Restore it from a copy, or delete its folder."
        self._clock = clock
        self._models = models or {"demo": DemoModel()}
        self._watch = Watch()
        self._turn_lock = threading.Lock()
        self._turn: threading.Thread | None = None
        self._states: OrderedDict[int, State] = OrderedDict()
        self._problem = ""
        self.projections = Projections(
            folder, vectors, _embedder(self._open.state.settings.embedder), read=self._open.log.read
        )
        self.projections.catch_up(self._open.states_from)
        self._journal = Journal(
            self._open.log,
            self._open.state,
            clock=clock,
            sinks=(self.projections.take, self._open.checkpoint, self._noticed),
        )
        self._agent = Agent(self._journal, self._model, self.projections, progress=self._watch)
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
        """`words+vectors`, or `words` when the agent has no embedder."""
        return "words" if self._journal.state.settings.embedder == "none" else "words+vectors"

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

    def upload(self, name: str, passages: Sequence[tuple[str, tuple[str, ...]]]) -> None:
        """Store passages (text, tags) in archival storage and tell the agent that the upload is there.

        Raises:
            AgentBusy, LogClosed: as `send`.
        """
        if self.busy:
            raise AgentBusy(f"{self._journal.state.name} is in the middle of a turn. Wait for it, or stop it first.")
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
        if name not in self._models:
            raise ModelUnavailable(f"There is no model '{name}' here. Models: {', '.join(self._models)}.")
        return self._models[name]

    def _noticed(self, before: State, event: Event) -> None:
        self._watch.version += 1

    def _login_if_due(self) -> list[TriggerReceived]:
        state = self._journal.state
        seen = state.last_trigger_at > EPOCH
        if seen and self._clock() - state.last_trigger_at < timedelta(minutes=state.settings.login_idle_minutes):
            return []
        last = stamp(state.last_trigger_at) if seen else "Never (first login)"
        return [TriggerReceived(cause="login", text=last)]

    def _start(self, *triggers: TriggerReceived) -> None:
        with self._turn_lock:
            if self.busy:
                raise AgentBusy(
                    f"{self._journal.state.name} is in the middle of a turn. Wait for it, or stop it first."
                )
            if self._open.log.fault:
                raise LogClosed(self._open.log.fault)
            self._end_interrupted()
            self._refresh_instructions()
            self._watch.stop(False)
            self._agent.receive(*triggers)
            self._problem = ""
            self._watch.phase("waiting")
            self._turn = threading.Thread(target=self._run, name=f"turn of {self.agent_id}", daemon=True)
            self._turn.start()

    def _run(self) -> None:
        try:
            self._agent.run_turn()
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

    def _end_interrupted(self) -> None:
        if self._journal.state.turn_open:
            self._journal.commit(TurnEnded(reason="interrupted"))

    def _refresh_instructions(self) -> None:
        """Offer today's function schemas: a newer Memscope may describe its functions otherwise."""
        state = self._journal.state
        now: Any = self._journal.read(state.instructions_seq)
        if schemas(state.settings) != now.schemas:
            self._journal.commit(define_instructions(now.instructions, state.settings))


def _embedder(name: str) -> Embedder | None:
    return HashingEmbedder() if name == "hashing" else None
