"""The session-end review: what the model is given to reread, when it is due; no message is lost to it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgpt_core.blueprint import Blueprint
from memgpt_core.errors import EditRefused, ModelUnavailable
from memgpt_core.home import Home
from memgpt_core.llm.demo import DemoModel
from memgpt_core.replay import rerun
from memgpt_core.review import LINE_SHARE, budget_tokens, trigger_text
from memgpt_core.settings import AgentSettings
from memgpt_core.state import State
from memgpt_core.tokens import count
from memgpt_core.workspace import Workspace
from tests.engine import Engine, ScriptedModel, call, kinds, reply, say, sent
from tests.test_workspace import LONG_S, Gate, House, causes, say_to

Make = Callable[..., Engine]

REVIEWS = AgentSettings(review_sessions=True)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "home")
    yield made
    made.close()


def row(n: int, text: str, role: str = "user") -> dict[str, Any]:
    return {"role": role, "text": text, "at": datetime(2026, 3, n + 1, tzinfo=UTC)}


# --- the transcript -------------------------------------------------------------------------------------------------


def test_the_transcript_is_in_order_with_days_and_speakers() -> None:
    said = trigger_text(3, [row(2, "Bye!", "assistant"), row(1, "I moved.\nTo Porto.")], 2, 500)
    assert said.startswith("Session 3 is over")
    assert said.endswith("Transcript of session 3:\nuser (2026-03-02): I moved.\nTo Porto.\nassistant: Bye!")


def test_the_oldest_are_cut_and_that_is_said() -> None:
    rows = [row(n % 28, f"message {n} " + "word " * 40) for n in reversed(range(60))]
    said = trigger_text(1, rows[:50], 60, 400)
    transcript = said.partition("Transcript of session 1:\n")[2].split("\n")
    kept = len(transcript) - 1
    assert 0 < kept < 50
    assert transcript[0] == f"[{60 - kept} earlier messages of this session left out; conversation_search finds them]"
    assert "message 59" in transcript[-1]
    assert f"message {60 - kept} " in transcript[1]


@given(st.lists(st.text(min_size=1, max_size=900), min_size=1, max_size=12), st.integers(64, 700))
def test_the_transcript_never_grows_past_its_budget(texts: list[str], budget: int) -> None:
    said = trigger_text(1, [row(1, text) for text in texts], len(texts), budget)
    transcript = said.partition("Transcript of session 1:\n")[2]
    # One message is always kept, cut to its share; the note on what was cut comes on top.
    assert count(transcript) <= budget + max(16, int(budget * LINE_SHARE)) + 40


@pytest.mark.parametrize("window", [3000, 4096, 8192, 32768])
def test_a_review_is_queued_whole(house: House, window: int) -> None:
    settings = AgentSettings(window_tokens=window, reserve_tokens=256)
    ws = house.open(settings=settings)
    for n in range(6):
        say_to(ws, f"message {n}: " + 'a "quoted"\nline ' * 120)
    ws.review_session()
    assert ws.wait_idle(LONG_S)
    [review] = [event for event in ws.events(1) if event.kind == "trigger_received" and event.cause == "review"]
    assert review.clip is None
    assert (review.measured.tokens or 0) < budget_tokens(State(settings=settings)) + 400


# --- when it is due -------------------------------------------------------------------------------------------------


def test_without_the_setting_no_session_is_reviewed(house: House) -> None:
    ws = house.open()
    say_to(ws)
    house.clock.forward(hours=2)
    assert not ws.tick()
    say_to(ws)
    assert causes(ws) == ["login", "user", "login", "user"]


def test_the_first_message_after_a_session_is_answered_and_then_the_session_reviewed(house: House) -> None:
    tidy = reply(call("core_memory_append", True, label="human", content="Has a boat"))
    model = ScriptedModel(say("Nice."), say("Welcome."), tidy, then=reply(content="Tidied."))
    ws = house.open(model, settings=REVIEWS)
    say_to(ws, "I have a boat.")
    house.clock.forward(hours=2)
    events = say_to(ws, "hello again")
    assert causes(ws) == ["login", "user", "login", "user", "review"]
    assert sent(events) == ["Welcome."], "what a review thinks is nobody's message"
    login, review = (event for event in events if event.kind == "trigger_received" and event.cause != "user")
    assert (login.session, review.session, review.reviews) == (2, 2, 1)
    assert login.turn < review.turn
    assert "user (2026-03-01): I have a boat.\nassistant: Nice." in review.text
    assert ws.state().blocks["human"].value == "Has a boat"
    assert ws.state().reviewed_session == 1
    assert rerun(ws.events(1)).identical


def test_an_idle_agent_reviews_its_session_once(house: House) -> None:
    ws = house.open(settings=REVIEWS)
    say_to(ws)
    assert not ws.tick(), "the session is not over yet"
    house.clock.forward(minutes=31)
    assert ws.tick()
    assert ws.wait_idle(LONG_S)
    assert not ws.tick()
    house.clock.forward(hours=5)
    assert not ws.tick()
    say_to(ws)
    assert causes(ws) == ["login", "user", "review", "login", "user"]
    assert rerun(ws.events(1)).identical


def test_a_review_that_failed_is_not_tried_for_ever(house: House) -> None:
    ws = house.open(ScriptedModel(say("ok"), say("back"), ModelUnavailable("gone"), then=say("ok")), settings=REVIEWS)
    say_to(ws)
    house.clock.forward(hours=1)
    events = say_to(ws, "hello")
    assert [event.reason for event in events if event.kind == "turn_ended"] == ["yielded", "fault"]
    assert sent(events) == ["back"]
    assert causes(ws).count("review") == 1
    house.clock.forward(hours=1)
    assert ws.tick(), "the next session has its own review"


def test_by_hand_it_runs_at_once_and_again(house: House) -> None:
    ws = house.open()
    with pytest.raises(EditRefused, match="Nothing has been said"):
        ws.review_session()
    say_to(ws, "I have a boat.")
    for _ in range(2):
        start = ws.last_seq + 1
        ws.review_session()
        assert ws.wait_idle(LONG_S)
    [trigger] = [event for event in ws.events(start) if event.kind == "trigger_received"]
    said = trigger.text.partition("Transcript")[2]
    assert said.count("boat") == 1
    assert said.count("assistant: ok") == 1, "what was said in the first review belongs to no session's talk"


def test_in_a_review_send_message_still_speaks_and_plain_text_does_not(engine: Make) -> None:
    one = engine(say("A word."), reply(content="Only a thought."), then=reply(content="Hello."))
    assert sent(one.tell("transcript", cause="review")) == ["A word."]
    events = one.tell("transcript", cause="review")
    assert (sent(events), events[-1].reason) == ([], "yielded")
    assert sent(one.tell("hi")) == ["Hello."]
    assert rerun(one.events).identical


# --- the message it comes with --------------------------------------------------------------------------------------


def test_what_was_typed_is_in_the_log_before_the_review_and_a_stop_leaves_the_review_out(house: House) -> None:
    ws = house.open(settings=REVIEWS)
    say_to(ws)
    house.clock.forward(hours=2)
    gate = Gate()
    ws._models["demo"] = gate
    ws.send("are you there?")
    assert causes(ws)[-2:] == ["login", "user"], "what send took is kept, whatever happens next"
    assert gate.asked.wait(LONG_S)
    ws.stop()
    assert ws.wait_idle(LONG_S)
    assert causes(ws)[-1] == "user"
    assert ws.can_resume
    ws._models["demo"] = ScriptedModel(then=say("here"))
    start = ws.last_seq + 1
    ws.resume()
    assert ws.wait_idle(LONG_S)
    assert sent(ws.events(start)) == ["here"]
    assert rerun(ws.events(1)).identical


# --- the demo model -------------------------------------------------------------------------------------------------


def test_the_demo_model_adds_what_stands_in_no_block(tmp_path: Path) -> None:
    home = Home(tmp_path, models={"demo": DemoModel()}, timer=False)
    try:
        ws = demo(home)
        say_to(ws, "My name is Maya. My dog is called Rex. I live in Lisbon.")
        block = ws.state().blocks["human"]
        ws.edits.edit_block("human", "Name: Maya\nLives in: Porto", based_on=block.seq)
        events = reviewed(ws)
        assert sent(events) == []
        assert ws.state().blocks["human"].value == "Name: Maya\nLives in: Porto\nDog: Rex", "Porto is left alone"
        assert "stands in core memory now" in thoughts(events)[-1]
        again = reviewed(ws)
        assert "working_context_edited" not in kinds(again)
        assert "nothing that must be added" in thoughts(again)[-1]
        assert rerun(ws.events(1)).identical
    finally:
        home.close()


@pytest.mark.parametrize("off", [("core_memory_append",), ("core_memory_append", "memory_insert")])
def test_the_demo_model_uses_what_it_may_call(tmp_path: Path, off: tuple[str, ...]) -> None:
    home = Home(tmp_path, models={"demo": DemoModel()}, timer=False)
    try:
        ws = demo(home)
        say_to(ws, "My dog is called Rex.")
        ws.edits.edit_block("human", "", based_on=ws.state().blocks["human"].seq)
        ws.configure(ws.state().settings.model_copy(update={"functions_off": off}))
        events = reviewed(ws)
        assert ws.state().blocks["human"].value == ("Dog: Rex" if len(off) == 1 else "")
        assert (sent(events), events[-1].reason) == ([], "yielded")
    finally:
        home.close()


def demo(home: Home) -> Workspace:
    return home.open(home.create(Blueprint(name="Tester")))


def reviewed(ws: Workspace) -> list[Any]:
    start = ws.last_seq + 1
    ws.review_session()
    assert ws.wait_idle(LONG_S)
    return ws.events(start)


def thoughts(events: list[Any]) -> list[str]:
    return [event.content for event in events if event.kind == "model_replied"]
