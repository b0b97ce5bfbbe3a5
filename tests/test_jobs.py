"""Work in the background: one at a time under a key, how far it is, stopped, failed, forgotten, closed."""

import threading
from collections.abc import Iterator

import pytest

from memgpt_core.errors import AgentBusy, EditRefused
from memgpt_core.jobs import Interrupted, Job, Jobs, Stop, Told, stoppable
from tests.engine import until

LONG_S = 20.0


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    made = Jobs()
    yield made
    made.close()


def ended(jobs: Jobs, key: str = "a") -> Job:
    until(lambda: not jobs.busy(key))
    job = jobs.job(key)
    assert job is not None
    return job


def test_what_came_of_it_is_kept_until_it_is_forgotten(jobs: Jobs) -> None:
    assert jobs.job("a") is None
    jobs.start("a", "the work", lambda told, stop: told(0.5) or "done")
    job = ended(jobs)
    assert (job.what, job.running, job.share, job.outcome, job.failed) == ("the work", False, 0.5, "done", "")
    jobs.forget("a")
    assert jobs.job("a") is None


def test_one_at_a_time_under_a_key_and_as_many_as_there_are_keys(jobs: Jobs) -> None:
    go = threading.Event()
    jobs.start("a", "the import of x", lambda told, stop: go.wait(LONG_S))
    with pytest.raises(AgentBusy, match="the import of x is not done yet"):
        jobs.start("a", "another", lambda told, stop: None)
    jobs.forget("a")
    assert jobs.busy("a")
    jobs.start("b", "elsewhere", lambda told, stop: 7)
    assert ended(jobs, "b").outcome == 7
    go.set()
    assert ended(jobs).outcome is True


def test_how_far_it_is_is_seen_while_it_runs(jobs: Jobs) -> None:
    told_half, go = threading.Event(), threading.Event()

    def work(told: Told, stop: Stop) -> None:
        told(0.5)
        told_half.set()
        go.wait(LONG_S)
        told(7.0)

    jobs.start("a", "w", work)
    assert told_half.wait(LONG_S)
    job = jobs.job("a")
    assert job is not None
    assert (job.running, job.share, job.outcome) == (True, 0.5, None)
    assert job.rate > 0
    assert job.left_s == pytest.approx(0.5 / job.rate)
    go.set()
    assert ended(jobs).share == 1.0
    jobs.start("b", "w", lambda told, stop: None, counted=False)
    assert ended(jobs, "b").share is None


def test_work_is_stopped_at_its_next_word(jobs: Jobs) -> None:
    begun, asked = threading.Event(), threading.Event()

    def work(told: Told, stop: Stop) -> None:
        begun.set()
        asked.wait(LONG_S)
        stoppable(told, stop)(0.2)

    jobs.start("a", "w", work)
    assert begun.wait(LONG_S)
    jobs.stop("a")
    job = jobs.job("a")
    assert job is not None
    assert job.stopping
    asked.set()
    job = ended(jobs)
    assert (job.stopping, job.outcome) == (True, None)
    assert "nothing half done is left" in job.failed


def test_what_is_all_done_is_not_stopped() -> None:
    heard: list[float] = []
    tell = stoppable(heard.append, lambda: True)
    tell(1.0)
    assert heard == [1.0]
    with pytest.raises(Interrupted):
        tell(0.99)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (EditRefused("There is no such thing."), "There is no such thing."),
        (OSError(28, "No space left on device"), "No space left on device"),
        (ZeroDivisionError("oh"), "Memscope itself failed at this (ZeroDivisionError: oh)"),
    ],
)
def test_why_it_failed_is_a_sentence(jobs: Jobs, error: Exception, says: str) -> None:
    def work(told: Told, stop: Stop) -> None:
        raise error

    jobs.start("a", "w", work)
    job = ended(jobs)
    assert says in job.failed
    assert job.outcome is None


def test_closing_stops_what_runs_and_takes_nothing_more(jobs: Jobs) -> None:
    def work(told: Told, stop: Stop) -> str:
        until(stop)
        return "stopped"

    jobs.start("a", "w", work)
    jobs.close()
    assert not jobs.busy("a")
    assert ended(jobs).outcome == "stopped"
    with pytest.raises(AgentBusy, match="being closed"):
        jobs.start("a", "w", work)
