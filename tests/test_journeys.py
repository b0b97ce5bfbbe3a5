"""Going from event to event: what SQL finds is what a walk through the log finds, in any log, from anywhere in it."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memgpt_core.errors import EditRefused
from memgpt_core.events import FaultRecorded
from memgpt_core.journeys import BLOCK_KINDS, EDIT_KINDS, WHATS, Reached, item, last_change, neighbour
from memgpt_core.project import project
from memgpt_core.rows import MemoryRows
from memgpt_core.stores.recall import RecallStore
from tests.event_builder import Script
from tests.random_logs import STEPS, random_log

Go = Callable[..., int | None]


def walk(script: Script, seq: int, forward: bool, is_one: Callable[[Any], bool]) -> int | None:
    """The nearest event on one side that is one."""
    there = [
        event.seq for event in script.events if is_one(event) and (event.seq > seq if forward else event.seq < seq)
    ]
    return (min(there) if forward else max(there)) if there else None


def ends(script: Script, seq: int, forward: bool, key: Callable[[Any], Any]) -> int | None:
    """Where the group after this event ends, or the one before its own."""
    events: list[Any] = script.events
    if forward:
        if seq == len(events):
            return None
        return max(event.seq for event in events if key(event) == key(events[seq]))
    first = min(event.seq for event in events if key(event) == key(events[seq - 1]))
    return None if seq == 1 else max(1, first - 1)


GROUPS: dict[str, Callable[[Any], Any]] = {
    "step": lambda event: (event.turn, event.step),
    "turn": lambda event: event.turn,
    "session": lambda event: event.session,
}


def memory(script: Script) -> MemoryRows:
    rows = MemoryRows()
    for before, event in script.pairs():
        rows.take(project(before, event))
    return rows


def by_walking(script: Script, seq: int, what: str, forward: bool, marks: list[int]) -> int | None:
    if what == "event":
        return walk(script, seq, forward, lambda event: True)
    if what in GROUPS:
        return ends(script, seq, forward, GROUPS[what])
    faults = {row["seq_from"] for row in memory(script).table("residency") if row["fault"]}
    is_one: dict[str, Callable[[Any], bool]] = {
        "flush": lambda event: event.kind == "queue_flushed",
        "fault": lambda event: event.seq in faults,
        "edit": lambda event: event.kind in EDIT_KINDS,
        "error": lambda event: (
            event.kind in ("fault_recorded", "truncation_suspected") or getattr(event, "ok", None) is False
        ),
        "bookmark": lambda event: event.seq in marks,
    }
    return walk(script, seq, forward, is_one[what])


def stored(script: Script, folder: Path) -> RecallStore:
    store = RecallStore(folder / "rows.duckdb")
    store.take([(event.seq, project(before, event)) for before, event in script.pairs()])
    return store


@settings(max_examples=12, deadline=None)
@given(st.lists(STEPS, max_size=60), st.lists(st.integers(1, 70), max_size=4), st.data())
def test_every_neighbour_is_the_one_a_walk_finds(
    steps: list[tuple[str, int, str]], marks: list[int], data: st.DataObject
) -> None:
    script = random_log(steps)
    script.trigger("again", cause="login").returned(ok=False).add(FaultRecorded(where="model", error="gone"))
    with TemporaryDirectory() as folder:
        store = stored(script, Path(folder))
        for seq in {1, script.seq, data.draw(st.integers(1, script.seq)), data.draw(st.integers(1, script.seq))}:
            for what in WHATS:
                for forward in (True, False):
                    found = neighbour(store.query, script.seq, marks, seq, what, forward)
                    assert found == by_walking(script, seq, what, forward, marks), (what, seq, forward)
        store.close()


def block_by_walking(script: Script, label: str, seq: int, forward: bool) -> Reached | None:
    events: list[Any] = script.events
    if forward:
        for event in events[seq:]:
            if event.kind in BLOCK_KINDS and event.block == label:
                return Reached(event.seq, f"block:{getattr(event, 'to', label)}")
        return None
    here = events[seq - 1]
    label = here.block if here.kind == "block_renamed" and here.to == label else label
    for event in reversed(events[: seq - 1]):
        if event.kind == "block_renamed" and event.to == label:
            return Reached(event.seq, f"block:{label}")
        if event.kind in BLOCK_KINDS and event.block == label:
            return None if event.kind == "block_renamed" else Reached(event.seq, f"block:{label}")
    return None


def item_by_walking(script: Script, id: str, seq: int, forward: bool) -> Reached | None:
    rows = memory(script)
    table = "messages" if id.startswith("m") else "passages"
    seqs = {
        row[end]
        for name, column in ((table, "id"), ("residency", "item"))
        for row in rows.table(name)
        if row[column] == id
        for end in ("seq_from", "seq_to")
    }
    found = walk(
        script,
        seq,
        forward,
        lambda event: event.seq in seqs or (event.kind == "message_pinned" and event.message == id),
    )
    return None if found is None else Reached(found, id)


@settings(max_examples=15, deadline=None)
@given(st.lists(STEPS, min_size=5, max_size=60), st.data())
def test_every_change_of_an_item_is_the_one_a_walk_finds(
    steps: list[tuple[str, int, str]], data: st.DataObject
) -> None:
    script = random_log([("define block", 0, "x"), *steps])
    read = lambda seq: script.events[seq - 1]  # noqa: E731
    with TemporaryDirectory() as folder:
        store = stored(script, Path(folder))
        for seq in {script.seq, data.draw(st.integers(1, script.seq)), data.draw(st.integers(1, script.seq))}:
            states = [*script.befores[1:], script.state]
            for label in states[seq - 1].blocks:
                for forward in (True, False):
                    found = last_change(store.query, read, script.seq, f"block:{label}", seq, forward)
                    assert found == block_by_walking(script, label, seq, forward), (label, seq, forward)
            ids = [row["id"] for name in ("messages", "passages") for row in memory(script).table(name)]
            for id in dict.fromkeys(ids):
                for forward in (True, False):
                    found = last_change(store.query, read, script.seq, id, seq, forward)
                    assert found == item_by_walking(script, id, seq, forward), (id, seq, forward)
        store.close()


def test_a_renamed_block_is_followed_both_ways(tmp_path: Path) -> None:
    script = Script().block("human", "Ada").trigger("hi").rename_block("human", "user").block("other", "x")
    script.block("user", "Ada, of Leiden").rename_block("user", "guest")
    store, read = stored(script, tmp_path), lambda seq: script.events[seq - 1]
    journey = [Reached(script.seq, "block:guest")]
    while (found := last_change(store.query, read, script.seq, journey[-1].item, journey[-1].seq, False)) is not None:
        journey.append(found)
    assert journey == [(7, "block:guest"), (6, "block:user"), (4, "block:user"), (2, "block:human")]
    forth = [Reached(2, "block:human")]
    while (found := last_change(store.query, read, script.seq, forth[-1].item, forth[-1].seq, True)) is not None:
        forth.append(found)
    assert forth == journey[::-1]
    store.close()


def test_a_message_is_followed_out_of_the_window_and_back(tmp_path: Path) -> None:
    script = Script().turn("My cat is Milo", "Noted").flushed(2)
    flushed = script.seq
    script.trigger("And?").returned("conversation_search", "Milo", holds=["m2"])
    store, read = stored(script, tmp_path), lambda seq: script.events[seq - 1]
    assert last_change(store.query, read, script.seq, "m2", 2, True) == (flushed, "m2")
    assert last_change(store.query, read, script.seq, "m2", flushed, True) == (script.seq, "m2")
    assert last_change(store.query, read, script.seq, "m2", flushed, False) == (2, "m2")
    assert last_change(store.query, read, script.seq, "m2", script.seq, True) is None
    assert neighbour(store.query, script.seq, [], 1, "fault", True) == script.seq
    store.close()


@pytest.mark.parametrize("wrong", ["", "human", "m", "p-1", "m1x", "q4", "m٣"])
def test_what_names_no_item_is_refused(wrong: str) -> None:
    with pytest.raises(EditRefused, match="no block, message or passage"):
        item(wrong)
    assert item("block:m1") == ("blocks", "m1")


def test_another_sort_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="weather is none of event"):
        neighbour(lambda sql, params: [], 5, [], 1, "weather", True)
