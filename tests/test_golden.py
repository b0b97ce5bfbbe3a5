"""The recorded sample agents rerun to the same bytes: the regression test of the whole engine.

`--record` plays their scripts anew through the product and keeps the logs. The rerun itself reads only the
external events and the measured values (`replay`).
"""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from memgpt_core import blueprint, queue_manager
from memgpt_core.events import Event, encode, is_external
from memgpt_core.home import SAMPLES
from memgpt_core.log import read_events
from memgpt_core.project import project
from memgpt_core.prompt import build, build_summary
from memgpt_core.replay import rerun
from memgpt_core.rows import MemoryRows
from memgpt_core.state import INITIAL, apply
from memgpt_core.stores.documents import Shipped
from tests.samples import NAMES, record


@pytest.fixture(scope="session", autouse=True)
def _recorded(pytestconfig: pytest.Config) -> None:
    if pytestconfig.getoption("--record"):
        for name in NAMES:
            record(name)


def recording(name: str) -> list[Event]:
    return list(read_events(SAMPLES / name / "run.jsonl"))


def residency(events: list[Event]) -> list[dict[str, Any]]:
    rows, state = MemoryRows(), INITIAL
    for event in events:
        rows.take(project(state, event))
        state = apply(state, event)
    return rows.table("residency")


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_reruns_to_the_same_bytes(name: str) -> None:
    events = recording(name)
    outcome = rerun(events, cold=Shipped(SAMPLES / name / "documents"))
    assert outcome.difference is None
    assert outcome.events == len(events)
    derived = [event for event in events if not is_external(event)]
    assert len(derived) > 60, "a recording of external events alone would rerun to anything"


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_rule_is_found_at_the_first_event_that_differs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Any] = recording(name)
    limit = type(events[0].settings).flush_tokens

    def one_percent_more(settings: Any) -> int:
        return int(limit.__get__(settings) * 1.01)

    monkeypatch.setattr(type(events[0].settings), "flush_tokens", property(one_percent_more))
    difference = rerun(events).difference
    assert difference is not None
    assert difference.recorded == encode(events[difference.seq - 1])
    assert difference.rerun != difference.recorded
    marks = ("pressure_warned", "queue_flushed")
    first = next(event.seq for event in events if event.kind in marks)
    assert difference.seq >= first, "nothing before the first mark knows the threshold"


@pytest.mark.parametrize("name", NAMES)
def test_memory_really_moves_in_a_sample(name: str) -> None:
    events: list[Any] = recording(name)
    assert sum(event.kind == "queue_flushed" for event in events) >= 2
    assert sum(event.kind == "pressure_warned" for event in events) >= 2
    assert any(row["how"] == "copy" for row in residency(events))
    assert all(event.reason == "yielded" for event in events if event.kind == "turn_ended")
    assert not any(event.kind == "fault_recorded" for event in events)


def test_the_companion_meets_page_faults_over_weeks() -> None:
    events: list[Any] = recording("companion")
    assert sum(row["fault"] for row in residency(events)) >= 2
    assert events[-1].session >= 15
    assert (events[-1].at - events[0].at).days > 60


def test_the_analysts_book_is_several_hundred_windows_long() -> None:
    from memgpt_core.tokens import count

    events: list[Any] = recording("analyst")
    ingested = next(event for event in events if event.kind == "document_ingested")
    shipped = Shipped(SAMPLES / "analyst" / "documents")
    text = shipped.open(ingested.raw, ingested.text, ingested.manifest).text
    assert count(text) / events[0].settings.window_tokens > 200


def test_the_analyst_quotes_pages_that_it_opened() -> None:
    events: list[Any] = recording("analyst")
    opened = [event for event in events if event.kind == "function_returned" and event.name == "document_open"]
    quoted = [event.text for event in events if event.kind == "message_sent" and "I opened" in event.text]
    assert len(quoted) >= 8
    assert len(opened) >= len(quoted)
    assert all(event.ok and event.holds for event in opened)


@pytest.mark.parametrize("name", NAMES)
def test_every_past_request_can_be_rebuilt_and_has_its_digest(name: str) -> None:
    events: list[Any] = recording(name)
    state, checked = INITIAL, 0
    for event, following in pairwise(events):
        if event.kind == "prompt_built" and event.purpose == "turn":
            assert build(state, lambda seq: events[seq - 1]).sha256 == event.sha256
            assert following.kind == "model_replied"
            checked += 1
        elif event.kind == "prompt_built":
            words = int(queue_manager.summary_cap_tokens(state) * 0.6)
            chars = state.settings.limit_tokens * 3
            evicted = queue_manager.evict(state)
            asked = build_summary(state, evicted, lambda seq: events[seq - 1], words=words, transcript_chars=chars)
            assert asked.sha256 == event.sha256
            checked += 1
        state = apply(state, event)
    assert checked > 15


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_what_its_blueprint_says(name: str) -> None:
    plan = blueprint.load(SAMPLES / name / "agent.toml")
    first: Any = next(iter(read_events(SAMPLES / name / "run.jsonl")))
    assert (first.name, first.about, first.seed, first.settings) == (plan.name, plan.about, plan.seed, plan.settings)
    assert first.agent_id == name


def test_the_book_may_be_shipped() -> None:
    text = (Path(SAMPLES) / "analyst" / "documents" / "LICENCE.txt").read_text()
    assert "copyright has expired" in text
