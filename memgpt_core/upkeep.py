"""Looking after an agent's stores in the background: rebuild and verify, with how far they are and what came of it.

One at a time for an agent, and none in a turn. That it goes on behind the pages is `jobs`' to see to.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from memgpt_core.errors import AgentBusy
from memgpt_core.jobs import Jobs
from memgpt_core.project import COLUMNS
from memgpt_core.verify import Difference
from memgpt_core.workspace import Workspace

What = Literal["rebuild", "verify"]


class Job(NamedTuple):
    """One piece of upkeep.

    Attributes:
        share: how much is done, 0 to 1; None where that is not known.
        seconds: how long it has run, or ran.
        said: what came of it; empty while it runs.
        failed: it came to no end, and `said` is why.
        differences: what `verify` found.
    """

    what: str
    running: bool
    share: float | None
    seconds: float
    said: str
    failed: bool
    differences: tuple[Difference, ...]


class Upkeep:
    """The upkeep of all open agents of a home."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def start(self, ws: Workspace, what: What) -> None:
        """Begin in the background.

        Raises:
            AgentBusy: a turn is running, or this agent's stores are being looked after already.
        """
        name = ws.state().name
        if self.busy(ws.agent_id):
            raise AgentBusy(f"The stores of {name} are being looked after already. Wait until that is done.")
        if ws.busy:
            raise AgentBusy(f"{name} is in the middle of a turn. Wait for it, or stop it, then try again.")
        self._jobs.start(_key(ws.agent_id), what, _WORK[what](ws), counted=what == "rebuild")

    def busy(self, agent_id: str) -> bool:
        """Whether this agent's stores are being looked after now."""
        return self._jobs.busy(_key(agent_id))

    def job(self, agent_id: str) -> Job | None:
        """The one that runs, or the last that ran; None when there was none since the start."""
        job = self._jobs.job(_key(agent_id))
        if job is None:
            return None
        said, differences = job.outcome or (job.failed, ())
        return Job(job.what, job.running, job.share, job.seconds, said, bool(job.failed), differences)


def _key(agent_id: str) -> str:
    return f"upkeep of {agent_id}"


_Outcome = tuple[str, tuple[Difference, ...]]


def _rebuilding(ws: Workspace) -> Callable[..., _Outcome]:
    def rebuild(told: Any, _stop: Any) -> _Outcome:
        ws.rebuild(told)
        return f"The stores were made anew from {ws.last_seq:,} events.", ()

    return rebuild


def _verifying(ws: Workspace) -> Callable[..., _Outcome]:
    return lambda _told, _stop: _verified(ws)


_WORK = {"rebuild": _rebuilding, "verify": _verifying}


def _verified(ws: Workspace) -> _Outcome:
    """(what a comparison of the stores with the log says, the differences)."""
    before = ws.last_seq
    differences = tuple(ws.verify())
    if ws.last_seq != before:
        # Rows of events that came meanwhile would be called extra.
        raise AgentBusy("The agent was used while its stores were compared. Compare again when it is idle.")
    if differences:
        return f"{len(differences):,} differences between the stores and the log. Rebuild makes them anew.", differences
    counts = ws.rows(" UNION ALL ".join(f"SELECT count(*) AS n FROM {table}" for table in COLUMNS))
    rows = sum(row["n"] for row in counts)
    return f"{rows:,} rows compared with {before:,} events of the log, no difference.", ()
