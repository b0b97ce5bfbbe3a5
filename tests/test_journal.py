"""The write door: the order of a commit, all or none, one lock, and the base of a human edit."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from memgpt_core.blueprint import Blueprint, first_events
from memgpt_core.errors import LogClosed, StaleEdit
from memgpt_core.events import KINDS, Event, NoteWritten, TriggerReceived, TurnEnded, decode
from memgpt_core.failpoints import arm, enospc, nth
from memgpt_core.journal import Journal, states
from memgpt_core.log import Log
from memgpt_core.memory_functions import edited
from memgpt_core.state import INITIAL, State, fold
from tests.engine import FakeClock


class Lines:
    """A log in memory that tells when it was asked, and refuses when it is told to."""

    def __init__(self, seen: list[str]) -> None:
        self.seen = seen
        self.lines: list[str] = []
        self.refusing = False

    @property
    def last_seq(self) -> int:
        return len(self.lines)

    def append(self, lines: Sequence[str]) -> None:
        self.seen.append(f"append {len(lines)}")
        if self.refusing:
            raise LogClosed("no room")
        self.lines += lines

    def read(self, seq: int) -> Event:
        return decode(self.lines[seq - 1])


class Told:
    """A journal on `Lines` with a sink, both writing down what happens in one list."""

    def __init__(self, clock: Callable[[], datetime] | None = None) -> None:
        self.seen: list[str] = []
        self.log = Lines(self.seen)
        self.journal = Journal(self.log, clock=clock or FakeClock(), sinks=(self._sink,))
        self.journal.commit_many(first_events(Blueprint(name="T"), "t"))
        self.seen.clear()

    def _sink(self, before: State, event: Event) -> None:
        # The journal of the first events is not there yet.
        published = self.journal.state.seq if hasattr(self, "journal") else -1
        self.seen.append(f"sink {before.seq}->{event.seq} published {published}")


def note(text: str = "x") -> NoteWritten:
    return NoteWritten(name="n", text=text, author="agent")


def by_hand(state: State, text: str) -> Event:
    return edited(state, "human", text, author="human")


def test_a_commit_is_folded_then_appended_then_published_then_told() -> None:
    one = Told()
    at = one.journal.state.seq

    def decide(state: State) -> Event:
        one.seen.append(f"decide on {state.seq}")
        return note()

    event = one.journal.commit(decide)
    assert one.seen == [f"decide on {at}", "append 1", f"sink {at}->{at + 1} published {at + 1}"]
    assert event is not None
    assert event.seq == one.journal.state.seq == at + 1


def test_an_event_that_means_nothing_reaches_no_disk() -> None:
    """The fold comes before the write: what cannot be applied is never in the log."""
    one = Told()
    before = one.journal.state
    unknown = edited(before, "human", "x", author="agent").model_copy(update={"block": "nobody"})
    with pytest.raises(KeyError):
        one.journal.commit(unknown)
    assert one.seen == []
    assert one.journal.state is before


def test_nothing_is_published_before_the_append_has_succeeded() -> None:
    one = Told()
    before = one.journal.state
    seen_inside: list[int] = []
    plain = one.log.append
    one.log.append = lambda lines: (seen_inside.append(one.journal.state.seq), plain(lines))[1]  # type: ignore[method-assign]
    one.journal.commit(note())
    assert seen_inside == [before.seq]


def test_a_log_that_refuses_leaves_state_and_sinks_untouched_and_can_be_used_again() -> None:
    one = Told()
    before = one.journal.state
    one.log.refusing = True
    with pytest.raises(LogClosed):
        one.journal.commit_many([note("a"), note("b")])
    assert one.journal.state is before
    assert one.seen == ["append 2"]
    one.log.refusing = False
    first, second = one.journal.commit_many([note("c"), note("d")])
    assert (first.seq, second.seq) == (before.seq + 1, before.seq + 2)
    assert len(one.log.lines) == before.seq + 2


def test_commit_many_is_one_append_and_each_event_is_stamped_on_the_one_before() -> None:
    one = Told()
    made = one.journal.commit_many(
        [
            TriggerReceived(cause="login", text="Never"),
            TriggerReceived(cause="user", text="hi"),
            TurnEnded(reason="yielded"),
            TriggerReceived(cause="user", text="more"),
        ]
    )
    assert one.seen[0] == "append 4"
    assert [(event.session, event.turn) for event in made] == [(1, 1), (1, 1), (1, 1), (1, 2)]
    assert [event.at for event in made] == sorted({event.at for event in made})
    assert fold(decode(line) for line in one.log.lines) == one.journal.state


def test_one_bad_event_of_many_takes_the_others_with_it() -> None:
    one = Told()
    before = one.journal.state
    stale = by_hand(before, "mine").model_copy(update={"based_on": 1})
    with pytest.raises(StaleEdit):
        one.journal.commit_many([note(), stale, note()])
    assert one.journal.state is before
    assert one.seen == []


def test_a_decision_for_nothing_commits_nothing() -> None:
    one = Told()
    assert one.journal.commit(lambda state: None) is None
    assert one.journal.commit_many([]) == []
    assert all(not told.startswith("sink") for told in one.seen)


def test_a_stale_edit_is_refused_with_both_texts() -> None:
    one = Told()
    mine = by_hand(one.journal.state, "mine")
    theirs = one.journal.commit(lambda state: edited(state, "human", "theirs", author="agent"))
    assert theirs is not None
    with pytest.raises(StaleEdit) as refused:
        one.journal.commit(mine)
    assert (refused.value.current, refused.value.yours) == ("theirs", "mine")
    assert refused.value.current_seq == theirs.seq
    assert one.journal.state.blocks["human"].value == "theirs"


def test_two_edits_in_one_piece_may_build_on_each_other() -> None:
    one = Told()
    state = one.journal.state
    first = by_hand(state, "one")
    second = by_hand(state, "two").model_copy(update={"based_on": state.seq + 1})
    one.journal.commit_many([first, second])
    assert one.journal.state.blocks["human"].value == "two"


def test_a_clock_set_backwards_does_not_turn_the_log_around() -> None:
    times = iter(datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in (9, 9, 9, 9, 12, 10, 11, 13))
    one = Told(clock=lambda: next(times))
    made = [one.journal.commit(note()) for _ in range(4)]
    assert [event.at.hour for event in made if event] == [12, 12, 12, 13]


@pytest.mark.parametrize("zone", [timedelta(hours=2), timedelta(0)])
def test_what_is_stamped_comes_from_the_clock_and_not_from_the_event(zone: timedelta) -> None:
    one = Told()
    made = one.journal.commit(
        note().model_copy(update={"seq": 999, "turn": 7, "at": datetime(1999, 1, 1, tzinfo=UTC) + zone})
    )
    assert made is not None
    assert (made.seq, made.turn) == (one.journal.state.seq, 0)
    assert made.at.year == 2026


def test_decisions_run_under_the_lock_so_that_two_writers_lose_nothing() -> None:
    one = Told()
    start = threading.Barrier(4)

    def append(who: int) -> None:
        start.wait()
        for n in range(25):
            word = f" {who}.{n}"
            one.journal.commit(lambda state, word=word: by_hand(state, state.blocks["human"].value + word))

    threads = [threading.Thread(target=append, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = one.journal.state.blocks["human"].value.split()
    assert sorted(written) == sorted(f"{who}.{n}" for who in range(4) for n in range(25))
    for who in range(4):
        assert [word for word in written if word.startswith(f"{who}.")] == [f"{who}.{n}" for n in range(25)]


def test_a_decision_sees_no_other_commit_until_its_own_is_in() -> None:
    one = Told()
    entered, let_go = threading.Event(), threading.Event()

    def slow(state: State) -> Event:
        entered.set()
        let_go.wait(5)
        return note(f"slow on {state.seq}")

    first = threading.Thread(target=one.journal.commit, args=(slow,))
    first.start()
    assert entered.wait(5)
    second = threading.Thread(target=one.journal.commit, args=(lambda state: note(f"quick on {state.seq}"),))
    at = one.journal.state.seq
    second.start()
    second.join(0.05)
    assert second.is_alive(), "it waits for the lock"
    let_go.set()
    first.join(5)
    second.join(5)
    texts = [event.text for event in (one.journal.read(at + 1), one.journal.read(at + 2))]  # type: ignore[union-attr]
    assert texts == [f"slow on {at}", f"quick on {at + 1}"]


def test_the_lock_makes_several_commits_one_piece() -> None:
    one = Told()
    with one.journal.lock:
        at = one.journal.state.seq
        other = threading.Thread(target=one.journal.commit, args=(note("other"),))
        other.start()
        one.journal.commit(note("mine 1"))
        one.journal.commit(note("mine 2"))
    other.join(5)
    texts = [one.journal.read(at + n).text for n in (1, 2, 3)]  # type: ignore[union-attr]
    assert texts == ["mine 1", "mine 2", "other"]


# --- on the real log --------------------------------------------------------------------------------------------


@pytest.fixture
def real(tmp_path: Path) -> Iterator[tuple[Journal, Log]]:
    with closing(Log.create(tmp_path / "run.jsonl")) as log:
        journal = Journal(log, clock=FakeClock())
        journal.commit_many(first_events(Blueprint(name="T"), "t"))
        yield journal, log


def test_the_line_is_written_and_then_synced_before_commit_returns(
    real: tuple[Journal, Log], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, log = real
    done: list[str] = []
    pwrite, fdatasync = os.pwrite, os.fdatasync

    def told_sync(fd: int) -> None:
        done.append(f"sync of {os.fstat(fd).st_size - size} bytes, published {journal.state.seq - at}")
        fdatasync(fd)

    at, size = journal.state.seq, log.size_bytes
    monkeypatch.setattr(os, "pwrite", lambda *a: (done.append("write"), pwrite(*a))[1])
    monkeypatch.setattr(os, "fdatasync", told_sync)
    journal.commit_many([note("a"), note("b"), note("c")])
    grown = log.size_bytes - size
    assert done == ["write", f"sync of {grown} bytes, published 0"]


def test_a_full_disk_changes_nothing_and_when_there_is_room_it_goes_on(real: tuple[Journal, Log]) -> None:
    journal, log = real
    before, raw = journal.state, log.path.read_bytes()
    with arm("log.append.before_write", nth(1, enospc)):
        with pytest.raises(LogClosed, match="free some disk"):
            journal.commit(note())
        assert journal.state is before
        assert log.path.read_bytes() == raw
        assert journal.commit(note()) is not None
    assert fold(log.events()) == journal.state


def test_after_a_failed_sync_nothing_more_is_taken(real: tuple[Journal, Log]) -> None:
    journal, _ = real
    before = journal.state
    with arm("log.append.before_sync", nth(1, enospc)), pytest.raises(LogClosed):
        journal.commit(note())
    with pytest.raises(LogClosed):
        journal.commit(note())
    assert journal.state is before


def test_states_gives_each_event_the_state_it_was_committed_on(real: tuple[Journal, Log]) -> None:
    journal, log = real
    journal.commit(note())
    pairs: list[tuple[State, Any]] = list(states(INITIAL, log.events()))
    assert [(state.seq, event.seq) for state, event in pairs] == [(n, n + 1) for n in range(journal.state.seq)]
    assert fold([pairs[-1][1]], pairs[-1][0]) == journal.state


@pytest.mark.parametrize(
    ("kind", "fields", "yours"),
    [
        ("block_defined", {"description": "", "value": "mine", "limit_chars": 99}, "mine"),
        ("block_renamed", {"to": "mine"}, "mine"),
        ("block_deleted", {}, "human"),
    ],
)
def test_every_change_of_a_block_is_checked_against_its_base(kind: str, fields: dict[str, Any], yours: str) -> None:
    one = Told()
    block = one.journal.state.blocks["human"]
    change: Any = KINDS[kind](block="human", author="human", based_on=block.seq, **fields)  # type: ignore[call-arg]
    one.journal.commit(by_hand(one.journal.state, "theirs"))
    with pytest.raises(StaleEdit) as refused:
        one.journal.commit(change)
    assert (refused.value.current, refused.value.yours) == ("theirs", yours)
    one.journal.commit(change.model_copy(update={"based_on": refused.value.current_seq}))
    assert one.journal.read(one.journal.state.seq).kind == kind
