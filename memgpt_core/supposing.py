"""Counterfactuals in the background: one at a time for each agent, how far it is and what came of it.

What came of the last one of an agent stays in memory until the next, or until the process ends; nothing of it is
written anywhere. The threads are those of the home's `jobs`.
"""

from typing import NamedTuple
from weakref import WeakKeyDictionary

from memgpt_core import counterfactual
from memgpt_core.counterfactual import Change, Outcome
from memgpt_core.home import Home
from memgpt_core.jobs import Job, Stop, Told

TIMES_MOST = 20


class Question(NamedTuple):
    """What is asked: this turn again, with this change, so many times; `model` is another one to ask, if any."""

    turn: int
    change: Change
    times: int = 1
    model: str | None = None


class Supposed(NamedTuple):
    """A counterfactual that runs, or has run.

    Attributes:
        recorded: what the turn came to in the log.
        outcomes: what it came to each time it was run again so far; those before a stop or a failure stay.
    """

    question: Question
    recorded: Outcome
    outcomes: tuple[Outcome, ...]
    job: Job


class _Run(NamedTuple):
    question: Question
    recorded: Outcome
    outcomes: list[Outcome]


_RUNS: WeakKeyDictionary[Home, dict[str, _Run]] = WeakKeyDictionary()
"""The last one of each agent, by home."""


def start(home: Home, agent_id: str, question: Question) -> None:
    """Run a turn again in the background.

    Raises:
        AgentNotFound: no agent has that id.
        AgentBusy: one of this agent runs.
        EditRefused: there is no such turn.
    """
    run = _Run(question, counterfactual.recorded(home.open(agent_id), question.turn), [])

    def do(told: Told, stop: Stop) -> None:
        for done in range(question.times):
            run.outcomes.extend(_once(home, agent_id, question, done, told, stop))
            if stop():
                return

    home.jobs.start(_key(agent_id), f"running turn {question.turn} again", do)
    _RUNS.setdefault(home, {})[agent_id] = run


def _once(home: Home, agent_id: str, asked: Question, done: int, told: Told, stop: Stop) -> list[Outcome]:
    return counterfactual.run(
        home,
        agent_id,
        asked.turn,
        asked.change,
        model=asked.model,
        stopped=stop,
        progress=lambda share: told((done + share) / asked.times),
    )


def stop(home: Home, agent_id: str) -> None:
    """End the one that runs; what it has come to by then stays."""
    home.jobs.stop(_key(agent_id))


def running(home: Home, agent_id: str) -> bool:
    """Whether one of this agent runs."""
    return home.jobs.busy(_key(agent_id))


def last(home: Home, agent_id: str) -> Supposed | None:
    """The one of this agent that runs, or ran last; None when there was none."""
    run, job = _RUNS.get(home, {}).get(agent_id), home.jobs.job(_key(agent_id))
    return Supposed(run.question, run.recorded, tuple(run.outcomes), job) if run and job else None


def _key(agent_id: str) -> str:
    return f"what-if:{agent_id}"
