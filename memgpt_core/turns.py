"""The thread of an agent's turns: one at a time, each counted in the unit that holds when it starts.

A turn belongs to the process and not to a browser tab, so it survives reloads and closed tabs. Knows the engine and
its journal; knows no store and no page.
"""

import threading
from typing import Any

from memgpt_core.agent import Agent
from memgpt_core.blueprint import define_instructions
from memgpt_core.decisions import Opening
from memgpt_core.errors import AgentBusy, LogClosed
from memgpt_core.events import (
    AgentConfigured,
    ContextRecounted,
    FaultRecorded,
    StopRequested,
    TriggerReceived,
    TurnEnded,
)
from memgpt_core.journal import Journal
from memgpt_core.log import Log
from memgpt_core.means import Means
from memgpt_core.prompt import recount
from memgpt_core.registry import schemas
from memgpt_core.tokens import counted_by
from memgpt_core.watch import Watch


class Turns:
    """Starts, stops and watches the turns of one agent.

    Attributes:
        lock: held while a turn is being started; whoever must not meet one holds it too.
        problem: what the last turn met that no event could tell; empty when nothing.
    """

    def __init__(self, agent_id: str, agent: Agent, journal: Journal, log: Log, means: Means, watch: Watch) -> None:
        self.lock = threading.Lock()
        self.problem = ""
        self._agent_id = agent_id
        self._agent = agent
        self._journal = journal
        self._log = log
        self._means = means
        self._watch = watch
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether a turn is running."""
        return self._thread is not None and self._thread.is_alive()

    def refuse_while_busy(self) -> None:
        """Raise `AgentBusy` while a turn runs."""
        if self.busy:
            raise AgentBusy(f"{self._journal.state.name} is in the middle of a turn. Wait for it, or stop it first.")

    def start(self, *openings: Opening, review: TriggerReceived | None = None) -> None:
        """Open a turn and run it; a `review` is a turn of its own after it, or the only one.

        After and not before it: what a person sent is in the log when this returns, and is answered first.

        Raises:
            AgentBusy: a turn is running.
            EditRefused: an answer to a call that does not wait.
            LogClosed: the log takes nothing more.
        """
        with self.lock:
            self.refuse_while_busy()
            if self._log.fault:
                raise LogClosed(self._log.fault)
            self._open(*openings or ([review] if review else []))
            after = review if openings else None
            self.problem = ""
            self._watch.phase("waiting")
            name = f"turn of {self._agent_id}"
            self._thread = threading.Thread(target=self._run, args=(after,), name=name, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop the running turn; the model call in progress is cut off and nothing of it is kept."""
        # A turn that is just being started counts as running.
        with self.lock, self._journal.lock:
            if not self.busy or self._journal.state.stopping or not self._journal.state.turn_open:
                return
            self._journal.commit(StopRequested())
            self._watch.stop(True)

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait for the running turn to end; whether it did."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
        return not self.busy

    def end_interrupted(self) -> None:
        """End a turn that a process which is gone left open."""
        if self._journal.state.turn_open:
            self._journal.commit(TurnEnded(reason="interrupted"))

    # --- inside -----------------------------------------------------------------------------------------------

    def _open(self, *openings: Opening) -> None:
        with self._means.counting(self._journal.state):
            self.end_interrupted()
            self._refresh_instructions()
            self._share_window()
            self._recount_if_due()
        self._watch.stop(False)
        # Anew: a recount may just have changed the unit.
        with self._means.counting(self._journal.state):
            self._agent.receive(*openings)

    def _run(self, review: TriggerReceived | None) -> None:
        try:
            self._turn()
            # A turn that broke off, or waits for an answer, is a person's business first.
            if review and self._journal.state.turn_end == "yielded":
                self._open(review)
                self._turn()
        except LogClosed as fault:
            self.problem = str(fault)
        finally:
            self._watch.phase("idle")

    def _turn(self) -> None:
        try:
            with self._means.counting(self._journal.state):
                self._agent.run_turn()
            self._means.keep_learned(self._journal.state)
        except LogClosed as fault:
            self.problem = str(fault)
        except Exception as bug:  # noqa: BLE001  (the top of the turn: a defect of ours must show, not vanish)
            self._record_defect(bug)

    def _record_defect(self, bug: Exception) -> None:
        self.problem = f"Memscope itself failed in this turn ({type(bug).__name__}: {bug}). Nothing you saved is lost."
        try:
            self._journal.commit_many([FaultRecorded(where="defect", error=self.problem), TurnEnded(reason="fault")])
        except LogClosed as fault:
            self.problem += f" {fault}"

    def _refresh_instructions(self) -> None:
        """Offer today's function schemas: a newer Memscope may have others, and documents bring some of their own."""
        state = self._journal.state
        now: Any = self._journal.read(state.instructions_seq)
        with_documents = state.documents > 0
        if schemas(state.settings, with_documents=with_documents) != now.schemas:
            defined = define_instructions(now.instructions, state.settings, with_documents=with_documents)
            self._journal.commit(defined)

    def _share_window(self) -> None:
        """Ask for the window that the model's other agents want too, as an event, so that nothing is reloaded."""
        state = self._journal.state
        served = self._means.serve(self._agent_id, state.settings)
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
