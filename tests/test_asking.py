"""Functions that ask: the turn waits with the call, and whatever comes next, every call has its result once."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memgpt_core.decisions import Opening
from memgpt_core.errors import EditRefused
from memgpt_core.events import (
    AgentConfigured,
    Call,
    FunctionAnswered,
    StopRequested,
    TriggerReceived,
    TurnEnded,
    TurnResumed,
)
from memgpt_core.memory_functions import edited
from memgpt_core.prompt import build
from memgpt_core.replay import rerun
from memgpt_core.settings import AgentSettings
from memgpt_core.state import INITIAL, State, fold
from tests.engine import Engine, ScriptedModel, call, kinds, reply, say, sent

Make = Callable[..., Engine]

ASKS = AgentSettings(functions_ask=("archival_memory_insert", "note_write"))


def numbered(*calls: Call) -> Any:
    """A reply whose calls have ids that differ, as a server's have."""
    return reply(*(made.model_copy(update={"id": f"id{n}"}) for n, made in enumerate(calls)))


def store(text: str, beat: bool = False) -> Call:
    return call("archival_memory_insert", beat, content=text)


def go(one: Engine, *openings: Opening) -> list[Any]:
    before = one.log.last_seq
    one.agent.receive(*openings)
    one.agent.run_turn()
    return list(one.log.events(before + 1))


def answer(one: Engine, allowed: bool, reason: str = "") -> list[Any]:
    waiting = one.state.asked
    assert waiting is not None
    return go(one, FunctionAnswered(call_id=waiting.call_id, allowed=allowed, reason=reason))


def results(events: Any) -> list[tuple[str, bool]]:
    return [(event.name, event.ok) for event in events if event.kind == "function_returned"]


def dangling(one: Engine) -> list[str]:
    """Calls in the next request without a result right behind them."""
    messages = build(one.state, one.journal.read).body["messages"]
    return [str(message) for message in messages if message["content"] == "(interrupted before it ran)"]


def test_a_call_that_asks_ends_the_turn_with_the_question(engine: Make) -> None:
    one = engine(numbered(call("note_list", True), store("secret"), call("note_list")), settings=ASKS)
    events = one.tell("store it")
    assert kinds(events)[2:] == ["model_replied", "function_returned", "function_asked", "turn_ended"]
    assert events[-1].reason == "asked"
    question: Any = events[-2]
    assert (question.reply, question.index, question.call_id) == (events[2].seq, 1, "id1")
    assert (question.name, question.arguments) == ("archival_memory_insert", {"content": "secret"})
    assert one.state.asked is not None
    assert one.state.passages == 0, "nothing is stored before the yes"
    assert rerun(one.events).identical


def test_a_yes_runs_the_call_then_the_rest_then_the_turn_goes_on(engine: Make) -> None:
    one = engine(numbered(store("secret", True), call("note_list")), say("stored"), settings=ASKS)
    one.tell("store it")
    events = answer(one, True)
    assert kinds(events)[:4] == ["function_answered", "archival_inserted", "function_returned", "function_returned"]
    assert results(events) == [("archival_memory_insert", True), ("note_list", True), ("send_message", True)]
    assert sent(events) == ["stored"]
    assert (one.state.asked, one.state.answered, one.state.turn_end) == (None, None, "yielded")
    assert len({event.turn for event in one.events[-len(events) :]}) == 1, "it is the turn that asked"
    assert rerun(one.events).identical


def test_a_yes_to_a_call_that_asks_for_nothing_more_ends_the_turn(engine: Make) -> None:
    one = engine(numbered(store("secret")), settings=ASKS)
    one.tell("store it")
    assert kinds(answer(one, True))[-2:] == ["function_returned", "turn_ended"]
    assert rerun(one.events).identical


def test_a_call_that_ran_before_the_question_still_gets_control_back(engine: Make) -> None:
    one = engine(numbered(call("note_list", True), store("secret")), say("done"), settings=ASKS)
    one.tell("store it")
    assert sent(answer(one, True)) == ["done"]
    assert rerun(one.events).identical


@pytest.mark.parametrize(
    ("reason", "told"),
    [("Too private.", "The user says: Too private."), ("", "The user gave no reason.")],
)
def test_a_no_is_a_failed_result_with_its_reason_and_a_forced_heartbeat(engine: Make, reason: str, told: str) -> None:
    one = engine(numbered(store("secret")), say("as you wish"), settings=ASKS)
    one.tell("store it")
    events = answer(one, False, reason)
    refused = events[1]
    assert (refused.kind, refused.ok, refused.heartbeat, refused.call_id) == ("function_returned", False, True, "id0")
    assert refused.value == f"Not run: the user was asked and said no. {told}"
    assert sent(events) == ["as you wish"]
    assert one.state.passages == 0
    assert rerun(one.events).identical


def test_each_call_of_a_reply_may_be_asked_in_its_turn(engine: Make) -> None:
    one = engine(
        numbered(store("one"), call("note_list"), store("two"), store("three", True)), say("ok"), settings=ASKS
    )
    one.tell("three things")
    first = answer(one, True)
    assert kinds(first) == [
        "function_answered",
        "archival_inserted",
        "function_returned",
        "function_returned",
        "function_asked",
        "turn_ended",
    ]
    assert one.state.asked is not None
    assert one.state.asked.call_index == 2
    assert results(answer(one, False)) == [("archival_memory_insert", False)]
    assert sent(answer(one, True)) == ["ok"]
    assert one.state.passages == 2
    assert rerun(one.events).identical


def test_a_call_that_cannot_run_is_not_asked_about(engine: Make) -> None:
    wrong = Call(id="c", name="archival_memory_insert", arguments={"text": "x"})
    cut = Call(id="d", name="note_write", arguments='{"name": ')
    one = engine(reply(wrong, cut), say("sorry"), settings=ASKS)
    events = one.tell("store it")
    assert "function_asked" not in kinds(events)
    assert results(events)[:2] == [("archival_memory_insert", False), ("note_write", False)]


def test_a_message_instead_of_an_answer_gives_every_waiting_call_its_result_first(engine: Make) -> None:
    one = engine(numbered(call("note_list"), store("one"), call("note_list")), say("never mind"), settings=ASKS)
    one.tell("store it")
    events = one.tell("what is the time?")
    assert kinds(events)[:3] == ["function_returned", "function_returned", "trigger_received"]
    assert [event.call_id for event in events[:2]] == ["id1", "id2"]
    assert not any(event.ok or event.heartbeat for event in events[:2])
    assert all(event.turn == events[2].turn - 1 for event in events[:2])
    assert "without answering" in events[0].value
    assert one.state.asked is None
    assert dangling(one) == []
    assert sent(events) == ["never mind"]
    assert rerun(one.events).identical


def test_an_answer_that_comes_too_late_is_refused(engine: Make) -> None:
    one = engine(numbered(store("one")), then=say("ok"), settings=ASKS)
    one.tell("store it")
    waiting = one.state.asked
    assert waiting is not None
    one.tell("no matter")
    before = one.state.seq
    with pytest.raises(EditRefused, match="No such function call waits"):
        one.agent.receive(FunctionAnswered(call_id=waiting.call_id, allowed=True))
    assert one.state.seq == before


def test_an_answer_survives_a_kill_before_its_call_has_run(engine: Make) -> None:
    one = engine(numbered(store("one", True)), say("done"), settings=ASKS)
    one.tell("store it")
    one.agent.receive(FunctionAnswered(call_id="id0", allowed=True))
    one.journal.commit(TurnEnded(reason="interrupted"))
    events = go(one, TurnResumed())
    assert results(events)[0] == ("archival_memory_insert", True)
    assert sent(events) == ["done"]
    assert rerun(one.events).identical


def test_the_question_stands_after_a_kill_and_in_a_checkpoint(engine: Make) -> None:
    one = engine(numbered(store("one")), settings=ASKS)
    one.tell("store it")
    cut = one.events[:-1]  # Torn off: the end of the turn was not written.
    assert cut[-1].kind == "function_asked"
    torn = fold(cut, INITIAL)
    assert torn.asked == one.state.asked
    assert State.model_validate_json(one.state.model_dump_json()) == one.state
    assert rerun(cut).identical


def test_a_stop_before_the_answered_call_keeps_it_from_running(engine: Make) -> None:
    one = engine(numbered(store("one"), call("note_list")), settings=ASKS)
    one.tell("store it")
    one.agent.receive(FunctionAnswered(call_id="id0", allowed=True))
    one.journal.commit(StopRequested())
    one.agent.run_turn()
    assert [event.kind for event in one.events[-3:]] == ["function_returned", "function_returned", "turn_ended"]
    assert one.events[-1].reason == "stopped"  # type: ignore[union-attr]
    assert (one.state.passages, dangling(one)) == (0, [])
    assert rerun(one.events).identical


def test_edits_and_settings_while_a_call_waits_are_met_by_it(engine: Make) -> None:
    one = engine(numbered(store("one")), say("cannot"), settings=ASKS)
    one.tell("store it")
    one.journal.commit(lambda now: edited(now, "human", "by hand", author="human"))
    off = ASKS.model_copy(update={"functions_ask": (), "functions_off": ("archival_memory_insert",)})
    one.journal.commit(AgentConfigured(settings=off))
    events = answer(one, True)
    assert results(events)[0] == ("archival_memory_insert", False)
    assert "There is no function 'archival_memory_insert'" in events[1].value
    assert rerun(one.events).identical


def test_in_the_native_protocol_the_turn_goes_on_after_the_answer(engine: Make) -> None:
    native = ASKS.model_copy(update={"protocol": "native"})
    one = engine(numbered(store("one")), reply(content="It is stored."), settings=native)
    one.tell("store it")
    assert sent(answer(one, True)) == ["It is stored."]
    assert rerun(one.events).identical


LIFE = st.lists(
    st.tuples(
        st.lists(st.sampled_from(["ask", "run", "bad", "say"]), min_size=1, max_size=4),
        st.sampled_from(["yes", "no", "write", "kill and resume", "edit then yes", "stop"]),
    ),
    min_size=1,
    max_size=5,
)


def asking_life(one: Engine, life: Any) -> None:
    made = {
        "ask": store("x", True),
        "run": call("note_list"),
        "bad": call("nothing"),
        "say": call("send_message", message="m"),
    }
    for calls, then in life:
        one.model.script = [numbered(*(made[name] for name in calls))]
        one.tell("go")
        while one.state.asked is not None:
            if then == "write":
                break
            if then == "kill and resume":
                one.agent.receive(FunctionAnswered(call_id=one.state.asked.call_id, allowed=True))
                one.journal.commit(TurnEnded(reason="interrupted"))
                go(one, TurnResumed())
                continue
            if then == "edit then yes":
                one.journal.commit(lambda now: edited(now, "human", f"by hand {now.seq}", author="human"))
            if then == "stop":
                one.agent.receive(FunctionAnswered(call_id=one.state.asked.call_id, allowed=True))
                one.journal.commit(StopRequested())
                one.agent.run_turn()
                continue
            answer(one, then != "no")


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(LIFE)
def test_whatever_becomes_of_a_question_each_call_has_one_result_and_the_rerun_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, life: Any
) -> None:
    one = Engine(tmp_path_factory.mktemp("life"), ScriptedModel(then=say("well")), settings=ASKS)
    try:
        asking_life(one, life)
        events: list[Any] = one.events
        replies = [event for event in events if event.kind == "model_replied"]
        for replied, following in pairwise([*replies, None]):
            end = following.seq if following else one.state.seq + 1
            between = [event for event in events[replied.seq : end - 1] if event.kind == "function_returned"]
            assert [event.call_id for event in between] == [made.id for made in replied.calls][: len(between)]
            waits = following is None and one.state.asked is not None
            assert waits or len(between) == len(replied.calls)
        asked = [event for event in events if event.kind == "function_asked"]
        assert all(event.name == "archival_memory_insert" for event in asked)
        stored = sum(event.kind == "archival_inserted" for event in events)
        assert stored <= sum(event.kind == "function_answered" and event.allowed for event in events)
        assert rerun(events).difference is None
        for cut in range(1, len(events), 3):
            assert rerun(events[:cut]).difference is None
    finally:
        one.close()


def test_a_trigger_of_another_kind_lets_go_of_the_call_too(engine: Make) -> None:
    one = engine(numbered(store("one")), then=say("ok"), settings=ASKS)
    one.tell("store it")
    events = go(one, TriggerReceived(cause="login", text="x"), TriggerReceived(cause="user", text="hello"))
    assert kinds(events)[:3] == ["function_returned", "trigger_received", "trigger_received"]
    assert rerun(one.events).identical
