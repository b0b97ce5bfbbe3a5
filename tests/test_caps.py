"""The caps on memory calls: refused beyond them, told to the model, counted anew when they should be."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from memgpt_core.events import FunctionAnswered, TurnResumed
from memgpt_core.replay import rerun
from memgpt_core.settings import AgentSettings
from tests.engine import Engine, ScriptedModel, call, kinds, reply, say, sent

Make = Callable[..., Engine]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Make]:
    made: list[Engine] = []

    def make(*script: Any, then: Any = None, **settings: Any) -> Engine:
        model = ScriptedModel(*script, then=then or say("ok"))
        made.append(Engine(tmp_path, model, settings=AgentSettings(**settings)))
        return made[-1]

    yield make
    for one in made:
        assert rerun(one.events).difference is None
        one.close()


def store(text: str) -> Any:
    return call("archival_memory_insert", heartbeat=True, content=text)


def results(events: Any) -> list[tuple[str, bool, str | None]]:
    return [(event.name, event.ok, event.capped) for event in events if event.kind == "function_returned"]


INSERT = "archival_memory_insert"


def test_without_a_cap_everything_runs(engine: Make) -> None:
    events = engine(reply(*map(store, "abcde")), say("done")).tell("go")
    assert results(events) == [(INSERT, True, None)] * 5 + [("send_message", True, None)]


def test_calls_beyond_the_cap_of_a_step_are_refused_and_the_next_step_has_as_many_again(engine: Make) -> None:
    one = engine(reply(*map(store, "abc")), reply(*map(store, "cd")), say("done"), memory_calls_per_step=2)
    events: list[Any] = one.tell("go")
    assert results(events) == [
        (INSERT, True, None),
        (INSERT, True, None),
        (INSERT, False, "step"),
        (INSERT, True, None),
        (INSERT, True, None),
        ("send_message", True, None),
    ]
    told = next(event for event in events if event.kind == "function_returned" and event.capped)
    assert "at most 2 memory calls run in one step" in told.value
    assert "next step" in told.value
    assert told.heartbeat, "control goes back to the model, which is told why"
    assert told.value in one.model.bodies[1]["messages"][-1]["content"]
    assert kinds(events).count("archival_inserted") == 4


def test_calls_beyond_the_cap_of_a_turn_are_refused_and_the_model_speaks(engine: Make) -> None:
    one = engine(reply(store("a"), store("b")), reply(store("c")), reply(store("d")), memory_calls_per_turn=3)
    events: list[Any] = one.tell("go")
    assert results(events)[2:] == [(INSERT, True, None), (INSERT, False, "turn"), ("send_message", True, None)]
    told = next(event for event in events if event.kind == "function_returned" and event.capped)
    assert "at most 3 memory calls run in one turn" in told.value
    assert "answer the user" in told.value
    one.model.script = [reply(store("e"), store("f"), store("g"))]
    assert results(one.tell("again"))[:3] == [(INSERT, True, None)] * 3, "the next turn has as many again"


def test_speaking_and_pausing_need_no_leave(engine: Make) -> None:
    pause = call("pause_heartbeats", minutes=5)
    spoken = call("send_message", message="hi")
    one = engine(reply(call(INSERT, content="a"), pause, spoken), memory_calls_per_turn=1)
    events = one.tell("go")
    assert [ok for _, ok, _ in results(events)] == [True, True, True]
    assert sent(events) == ["hi"]


def test_a_call_that_fails_counts_and_a_refused_one_does_not(engine: Make) -> None:
    bad = call("core_memory_append", heartbeat=True, label="nowhere", content="x")
    one = engine(reply(bad, store("a"), store("b")), memory_calls_per_step=1)
    assert results(one.tell("go"))[:3] == [("core_memory_append", False, None), *[(INSERT, False, "step")] * 2]
    assert one.state.turn_calls == 1


def test_a_turn_a_person_runs_on_has_as_many_again(engine: Make) -> None:
    one = engine(reply(store("a")), reply(store("b")), memory_calls_per_turn=1, step_cap=1)
    assert one.tell("go")[-1].reason == "step_limit"
    before = one.log.last_seq
    one.agent.receive(TurnResumed())
    one.agent.run_turn()
    assert results(one.events[before:]) == [(INSERT, True, None)]


def test_what_a_person_allows_runs_and_what_a_cap_refuses_is_not_asked_about(engine: Make) -> None:
    one = engine(reply(store("a"), store("b")), memory_calls_per_turn=1, functions_ask=(INSERT,))
    assert one.tell("go")[-1].reason == "asked"
    assert one.state.asked is not None
    one.agent.receive(FunctionAnswered(call_id=one.state.asked.call_id, allowed=True))
    before = one.log.last_seq
    one.agent.run_turn()
    assert results(one.events[before:])[:2] == [(INSERT, True, None), (INSERT, False, "turn")]
    assert one.events[-1].kind == "turn_ended"


def test_a_model_that_does_not_listen_is_still_stopped(engine: Make) -> None:
    one = engine(then=reply(store("again")), memory_calls_per_turn=1)
    assert one.tell("go")[-1].reason == "repeating"
