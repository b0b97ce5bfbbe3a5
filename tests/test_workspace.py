"""The door of one agent: turns in their own thread, logins, the timer, edits and undo, and what is told on faults."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from memgpt_core import checkpoints
from memgpt_core.blueprint import Blueprint
from memgpt_core.errors import (
    AgentBusy,
    ConfigurationRefused,
    EditRefused,
    LogClosed,
    MemscopeError,
    ModelUnavailable,
    StaleEdit,
)
from memgpt_core.events import AgentConfigured, TriggerReceived, TurnEnded
from memgpt_core.failpoints import arm, enospc, nth
from memgpt_core.home import Home
from memgpt_core.instructions import MEMGPT_INSTRUCTIONS
from memgpt_core.llm.base import Progress, Reply, Stopped
from memgpt_core.replay import rerun
from memgpt_core.settings import AgentSettings
from memgpt_core.state import INITIAL, fold
from memgpt_core.workspace import Workspace
from tests.engine import FakeClock, ScriptedModel, call, kinds, reply, say, sent

LONG_S = 20.0
"""More than anything here takes; a test that waits this long has failed."""


class Gate:
    """A model that says it was asked and answers when it is let go; stops when it is told to."""

    def __init__(self, answer: Reply | None = None) -> None:
        self.asked, self.go = threading.Event(), threading.Event()
        self.answer = answer or say("ok")

    def chat(self, body: dict[str, Any], progress: Progress) -> Reply:
        progress.phase("generating")
        progress.text("so far")
        progress.thought("hm")
        self.asked.set()
        for _ in range(int(LONG_S * 100)):
            if progress.stopped():
                raise Stopped
            if self.go.wait(0.01):
                return self.answer
        raise AssertionError("nobody let the model go")


class House:
    """A home in a folder with a fake clock and one model; opened again it finds the same agents."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = FakeClock()
        self.home: Home | None = None

    def open(self, model: Any = None, settings: AgentSettings | None = None) -> Workspace:
        """The one agent, made at the first call; the home is opened anew each time."""
        self.close()
        self.home = Home(
            self.path, clock=self.clock, models={"demo": model or ScriptedModel(then=say("ok"))}, timer=False
        )
        if not self.home.agents():
            self.home.create(Blueprint(name="Tester", settings=settings or AgentSettings()))
        return self.home.open("tester")

    def close(self) -> None:
        if self.home:
            self.home.close()
            self.home = None

    @property
    def log(self) -> Path:
        return self.path / "agents" / "tester" / "run.jsonl"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "home")
    yield made
    made.close()


def say_to(ws: Workspace, text: str = "hi") -> list[Any]:
    """Send, wait, and give back the events of the turn."""
    start = ws.last_seq + 1
    ws.send(text)
    assert ws.wait_idle(LONG_S)
    return ws.events(start)


def causes(ws: Workspace) -> list[str]:
    return [event.cause for event in ws.events(1) if event.kind == "trigger_received"]  # type: ignore[union-attr]


# --- sending and stopping -----------------------------------------------------------------------------------------


def test_a_message_starts_a_turn_and_its_answer_is_there_when_it_is_idle(house: House) -> None:
    ws = house.open()
    assert not ws.busy
    events = say_to(ws)
    assert sent(events) == ["ok"]
    assert events[-1].kind == "turn_ended"
    assert ws.activity().phase == "idle"
    rows = ws.rows("SELECT role, text FROM messages WHERE role IN ('user', 'assistant') ORDER BY seq_from")
    assert [(row["role"], row["text"]) for row in rows] == [("user", "hi"), ("assistant", "ok")]
    assert ws.turn_start(1) == events[0].seq
    assert ws.turn_start(7) == 0
    assert ws.wait_idle(0)


def test_while_a_turn_runs_the_agent_is_busy_and_shows_what_it_does(house: House) -> None:
    gate = Gate()
    ws = house.open(gate)
    before = ws.version
    ws.send("hi")
    assert gate.asked.wait(LONG_S)
    assert ws.busy
    assert not ws.wait_idle(0)
    assert (ws.activity().phase, ws.partial()) == ("generating", ("so far", "hm"))
    assert ws.version > before
    seq = ws.last_seq
    for act in (lambda: ws.send("again"), lambda: ws.upload("a.txt", [("text", ())])):
        with pytest.raises(AgentBusy, match="Tester is in the middle of a turn"):
            act()
    assert ws.last_seq == seq, "a refusal writes nothing"
    gate.go.set()
    assert ws.wait_idle(LONG_S)
    assert ws.partial() == ("", "")
    assert kinds(ws.events(1)).count("turn_ended") == 1


def test_an_empty_message_is_refused(house: House) -> None:
    ws = house.open()
    seq = ws.last_seq
    with pytest.raises(EditRefused, match="empty"):
        ws.send(" \n ")
    assert ws.last_seq == seq


def test_a_message_with_half_a_character_is_made_whole(house: House) -> None:
    events = say_to(house.open(), "caf\udce9")
    assert events[1].text == "caf\ufffd"


def test_a_stop_cuts_the_model_off_and_the_next_turn_is_fresh(house: House) -> None:
    gate = Gate()
    ws = house.open(gate)
    ws.stop()
    assert "stop_requested" not in kinds(ws.events(1)), "nothing runs, so there is nothing to stop"
    ws.send("hi")
    assert gate.asked.wait(LONG_S)
    ws.stop()
    ws.stop()
    assert ws.wait_idle(LONG_S)
    events = ws.events(1)
    assert kinds(events)[-2:] == ["stop_requested", "turn_ended"]
    assert events[-1].reason == "stopped"  # type: ignore[union-attr]
    gate.go.set()
    assert sent(say_to(ws)) == ["ok"]
    assert rerun(ws.events(1)).identical


def test_a_stop_in_the_summary_ends_the_turn_as_stopped(house: House) -> None:
    model = ScriptedModel(then=say("ok"))
    ws = house.open(model, AgentSettings(window_tokens=4096, reserve_tokens=256))

    def stopping(body: Any) -> Reply:
        ws.stop()
        raise Stopped

    model.summary = stopping
    for _ in range(60):
        events = say_to(ws, "chatter " * 100)
        if events[-1].reason != "yielded":
            break
    assert kinds(events)[-2:] == ["stop_requested", "turn_ended"]
    assert events[-1].reason == "stopped"
    assert ws.notices() == []


def test_closing_stops_the_running_turn_and_the_log_is_whole(house: House) -> None:
    gate = Gate()
    ws = house.open(gate)
    ws.send("hi")
    assert gate.asked.wait(LONG_S)
    house.close()
    assert not ws.busy
    again = house.open()
    assert again.events(again.last_seq)[0].reason == "stopped"  # type: ignore[union-attr]


# --- logins ---------------------------------------------------------------------------------------------------------


def test_a_login_comes_on_first_use_and_after_thirty_idle_minutes_only(house: House) -> None:
    ws = house.open()
    assert causes(ws) == [], "opening is no use"
    say_to(ws)
    assert causes(ws) == ["login", "user"]
    house.clock.forward(minutes=29)
    say_to(ws)
    assert causes(ws) == ["login", "user", "user"]
    house.clock.forward(minutes=29)
    ws = house.open()
    say_to(ws)
    assert causes(ws) == ["login", "user", "user", "user"], "opening anew is no login"
    house.clock.forward(minutes=31)
    last = ws.state().last_trigger_at
    say_to(ws)
    assert causes(ws)[4:] == ["login", "user"]
    told = [event.text for event in ws.events(1) if event.kind == "trigger_received" and event.cause == "login"]
    assert told == ["Never (first login)", last.strftime("%Y-%m-%d %I:%M:%S %p UTC+0000")]
    assert ws.state().session == 2


def test_after_an_upload_the_first_message_is_still_the_first_login(house: House) -> None:
    ws = house.open()
    ws.upload("a.txt", [("a passage", ())])
    assert ws.wait_idle(LONG_S)
    events = say_to(ws)
    assert (events[0].cause, events[0].text) == ("login", "Never (first login)")


# --- the timer ------------------------------------------------------------------------------------------------------


def test_the_timer_is_off_unless_it_is_asked_for(house: House) -> None:
    ws = house.open()
    say_to(ws)
    house.clock.forward(days=3)
    assert not ws.tick()
    assert "timer" not in causes(ws)


def test_the_timer_fires_when_due_and_never_catches_up(house: House) -> None:
    ws = house.open(settings=AgentSettings(timer_minutes=10))
    say_to(ws)
    house.clock.forward(minutes=9)
    assert not ws.tick()
    house.clock.forward(minutes=1)
    assert ws.tick()
    assert ws.wait_idle(LONG_S)
    house.clock.forward(hours=5)
    assert ws.tick()
    assert ws.wait_idle(LONG_S)
    assert not ws.tick(), "what was missed in five hours is not made up for"
    assert causes(ws) == ["login", "user", "timer", "timer"]
    texts = [event.text for event in ws.events(1) if event.kind == "trigger_received"]  # type: ignore[union-attr]
    assert texts[-1] == "Automated timer"


def test_a_pause_holds_the_timer_and_the_wait_begins_anew_after_it(house: House) -> None:
    model = ScriptedModel(reply(call("pause_heartbeats", minutes=60)), then=say("ok"))
    ws = house.open(model, AgentSettings(timer_minutes=10))
    say_to(ws)
    until = ws.state().paused_until
    house.clock.now = until - timedelta(seconds=5)
    assert not ws.tick()
    house.clock.now = until + timedelta(minutes=9)
    assert not ws.tick()
    house.clock.now = until + timedelta(minutes=10)
    assert ws.tick()
    assert ws.wait_idle(LONG_S)


def test_the_timer_waits_for_a_running_turn_and_for_a_log_that_can_be_written(house: House) -> None:
    gate = Gate()
    ws = house.open(gate, AgentSettings(timer_minutes=1))
    ws.send("hi")
    assert gate.asked.wait(LONG_S)
    house.clock.forward(hours=1)
    assert not ws.tick()
    gate.go.set()
    assert ws.wait_idle(LONG_S)
    house.clock.forward(hours=1)
    with arm("log.append.before_sync", nth(1, enospc)):
        assert not ws.tick()
    assert not ws.tick()
    assert not ws.busy


# --- uploads --------------------------------------------------------------------------------------------------------


def test_an_upload_is_stored_and_told(house: House) -> None:
    model = ScriptedModel(reply(call("archival_memory_search", True, query="boats")), then=say("read"))
    ws = house.open(model)
    passages = [(f"passage {n} about boats", ("doc",)) for n in range(3)]
    ws.upload("boats.txt", passages)
    assert ws.wait_idle(LONG_S)
    assert ws.state().passages == 3
    rows = ws.rows("SELECT text, tags, source, author FROM passages ORDER BY seq_from")
    assert rows[0] == {"text": "passage 0 about boats", "tags": ["doc"], "source": "boats.txt", "author": "import"}
    assert causes(ws) == ["upload"]
    told = next(event for event in ws.events(1) if event.kind == "trigger_received")
    assert told.text == "Upload finished: boats.txt, 3 passages are now in archival storage."  # type: ignore[union-attr]
    result = next(event for event in ws.events(1) if event.kind == "function_returned")
    assert "Showing 3 of 3" in result.value  # type: ignore[union-attr]
    assert rerun(ws.events(1)).identical


def test_what_cannot_be_written_as_utf_8_is_made_writable(house: House) -> None:
    ws = house.open()
    ws.upload("caf\udce9.txt", [("half \ud800", ("t\udfff",))])
    assert ws.wait_idle(LONG_S)
    row = ws.rows("SELECT text, tags, source FROM passages")[0]
    assert row == {"text": "half \ufffd", "tags": ["t\ufffd"], "source": "caf\ufffd.txt"}


# --- editing by hand ------------------------------------------------------------------------------------------------


def seq_of(ws: Workspace, label: str = "human") -> int:
    return ws.state().blocks[label].seq


def value(ws: Workspace, label: str = "human") -> str:
    return ws.state().blocks[label].value


def test_an_edit_is_an_event_with_its_author_base_and_reason(house: House) -> None:
    ws = house.open()
    base = seq_of(ws)
    ws.edits.edit_block("human", "Name: Ana", based_on=base, reason="she told me")
    event: Any = ws.event(ws.last_seq)
    assert (event.kind, event.author, event.based_on, event.reason) == (
        "working_context_edited",
        "human",
        base,
        "she told me",
    )
    assert value(ws) == "Name: Ana"
    seq = ws.last_seq
    ws.edits.edit_block("human", "Name: Ana", based_on=seq_of(ws))
    assert ws.last_seq == seq, "the same text again is no event"


def test_a_stale_edit_is_refused_with_both_texts(house: House) -> None:
    ws = house.open()
    base = seq_of(ws)
    ws.edits.edit_block("human", "first", based_on=base)
    with pytest.raises(StaleEdit) as refused:
        ws.edits.edit_block("human", "second", based_on=base)
    assert (refused.value.current, refused.value.yours, refused.value.current_seq) == ("first", "second", seq_of(ws))
    ws.edits.edit_block("human", "both", based_on=refused.value.current_seq)
    assert value(ws) == "both"


def test_an_edit_that_breaks_a_rule_is_refused(house: House) -> None:
    ws = house.open()
    with pytest.raises(EditRefused, match="no block 'nobody'"):
        ws.edits.edit_block("nobody", "x", based_on=1)
    with pytest.raises(EditRefused, match="2000 characters"):
        ws.edits.edit_block("human", "x" * 2001, based_on=seq_of(ws))
    assert value(ws) == ""


def test_undo_gives_back_the_text_before_and_can_be_undone(house: House) -> None:
    ws = house.open()
    with pytest.raises(EditRefused, match="nothing to undo"):
        ws.edits.undo_block("human")
    ws.edits.edit_block("human", "one", based_on=seq_of(ws))
    ws.edits.edit_block("human", "two", based_on=seq_of(ws))
    ws.edits.undo_block("human")
    assert value(ws) == "one"
    ws.edits.undo_block("human")
    assert value(ws) == "two"
    history: list[Any] = ws.block_history("human")
    assert [event.kind for event in history] == ["working_context_edited"] * 4 + ["block_defined"]
    assert [event.after for event in history[:-1]] == ["two", "one", "two", "one"]
    assert history[0].reason == f"undo of event {history[1].seq}"


def test_an_edit_during_a_turn_is_kept_and_the_next_step_sees_it(house: House) -> None:
    model = ScriptedModel(then=say("ok"))
    ws = house.open(model)

    def meanwhile(body: Any) -> Reply:
        ws.edits.edit_block("human", "by hand", based_on=seq_of(ws))
        return reply(call("core_memory_append", True, label="human", content="by the agent"))

    model.script = [meanwhile]
    say_to(ws)
    assert value(ws) == "by hand\nby the agent"
    assert "by the agent" in model.bodies[-1]["messages"][0]["content"]
    assert rerun(ws.events(1)).identical


# --- the past -------------------------------------------------------------------------------------------------------


def test_the_state_at_any_event_is_the_fold_up_to_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", 10)
    ws = house.open()
    for n in range(6):
        say_to(ws, f"message {n}")
    events = ws.events(1)
    for at in (0, 1, 9, 10, 11, 25, len(events) - 1, len(events), 10):
        assert ws.state(at) == fold(events[:at])
    assert ws.state(0) == INITIAL
    for wrong in (-1, len(events) + 1):
        with pytest.raises(IndexError, match=f"1 to {len(events)}"):
            ws.state(wrong)
    assert len(list((house.log.parent / "checkpoints").glob("*.json"))) == len(events) // 10
    assert [event.seq for event in ws.events(3, 5)] == [3, 4, 5]
    assert ws.event(4) == events[3]


# --- instructions and settings --------------------------------------------------------------------------------------


def instructions(ws: Workspace) -> str:
    defined: Any = ws.event(ws.state().instructions_seq)
    return str(defined.instructions)


def test_instructions_by_hand_are_one_event_and_stand_in_the_next_request(house: House) -> None:
    ws = house.open()
    before = ws.state()
    ws.define_instructions("Speak like a pirate.\x00")
    after = ws.state()
    assert [event.kind for event in ws.events(before.seq + 1)] == ["instructions_defined"]
    assert instructions(ws) == "Speak like a pirate.\x00"
    assert after.instructions_tokens < before.instructions_tokens
    assert after.schemas_tokens == before.schemas_tokens
    say_to(ws)
    system = ws._models["demo"].bodies[-1]["messages"][0]["content"]  # type: ignore[attr-defined]
    assert system.startswith("Speak like a pirate.")
    ws.define_instructions("Speak like a pirate.\x00")
    assert ws.event(ws.last_seq).kind == "turn_ended", "the same text again is no event"
    ws.define_instructions(MEMGPT_INSTRUCTIONS)
    assert ws.state().instructions_tokens == before.instructions_tokens
    assert rerun(ws.events(1)).identical


@pytest.mark.parametrize(
    ("text", "says"), [("x " * 9000, "The window is too small: .* take [0-9]+ tokens"), (" \n", "are empty")]
)
def test_instructions_that_cannot_be_are_refused(house: House, text: str, says: str) -> None:
    ws = house.open()
    seq = ws.last_seq
    with pytest.raises(ConfigurationRefused, match=says):
        ws.define_instructions(text)
    assert ws.last_seq == seq


def test_instructions_wait_for_the_turn(house: House) -> None:
    gate = Gate()
    ws = house.open(gate)
    ws.send("hi")
    assert gate.asked.wait(LONG_S)
    with pytest.raises(AgentBusy):
        ws.define_instructions("Be brief.")
    gate.go.set()
    assert ws.wait_idle(LONG_S)


def test_settings_and_instructions_together_are_all_or_nothing(house: House) -> None:
    ws = house.open()
    seq, settings = ws.last_seq, ws.state().settings
    with pytest.raises(ConfigurationRefused):
        ws.configure(settings.model_copy(update={"step_cap": 3}), instructions="x " * 9000)
    assert ws.last_seq == seq
    ws.configure(settings.model_copy(update={"step_cap": 3}), instructions="Be brief.")
    assert (ws.state().settings.step_cap, instructions(ws)) == (3, "Be brief.")


def test_a_function_nobody_knows_is_refused_by_name_but_an_old_one_may_stay(house: House) -> None:
    ws = house.open()
    settings = ws.state().settings
    for field in ("functions_off", "functions_ask"):
        with pytest.raises(ConfigurationRefused, match=r"There is no function “fly”\. Functions: send_message, "):
            ws.configure(settings.model_copy(update={field: ("fly",)}))
    ws._journal.commit(AgentConfigured(settings=settings.model_copy(update={"functions_off": ("fly",)})))
    ws.configure(ws.state().settings.model_copy(update={"step_cap": 3}))
    assert ws.state().settings.functions_off == ("fly",)


# --- a call that waits for an answer ----------------------------------------------------------------------------------


ASKS = AgentSettings(functions_ask=("note_write",))


def asking() -> ScriptedModel:
    return ScriptedModel(reply(call("note_write", True, name="a", text="b")), then=say("ok"))


def test_the_answer_is_given_after_a_restart(house: House) -> None:
    say_to(house.open(asking(), settings=ASKS))
    ws = house.open()
    waiting = ws.state().asked
    assert waiting is not None
    assert not ws.can_resume
    start = ws.last_seq + 1
    ws.answer(True, seen=waiting)
    assert ws.wait_idle(LONG_S)
    assert kinds(ws.events(start))[:3] == ["function_answered", "note_written", "function_returned"]
    assert ws.state().turn_end == "yielded"
    assert rerun(ws.events(1)).identical


def test_an_answer_is_refused_when_nothing_waits_or_something_else_does(house: House) -> None:
    ws = house.open(asking(), settings=ASKS)
    with pytest.raises(EditRefused, match="No function call waits"):
        ws.answer(True)
    say_to(ws)
    waiting = ws.state().asked
    assert waiting is not None
    with pytest.raises(EditRefused, match="Another function call waits"):
        ws.answer(True, seen=waiting._replace(reply=1))
    with pytest.raises(EditRefused, match="waits for your yes or no"):
        ws.resume()
    with pytest.raises(EditRefused, match="waits for your yes or no"):
        ws.review_session()
    assert ws.state().asked == waiting
    ws.answer(False, " Not now. ")
    assert ws.wait_idle(LONG_S)
    [result] = [event for event in ws.events(1) if event.kind == "function_returned" and event.name == "note_write"]
    assert result.value.endswith("The user says: Not now.")


def test_while_a_call_waits_neither_timer_nor_review_comes_between(house: House) -> None:
    ws = house.open(asking(), settings=ASKS.model_copy(update={"timer_minutes": 5, "review_sessions": True}))
    say_to(ws)
    house.clock.forward(hours=3)
    assert not ws.tick()
    assert ws.state().asked is not None
    events = say_to(ws, "never mind")
    assert causes(ws) == ["login", "user", "login", "user", "review"]
    assert (events[0].kind, events[0].ok) == ("function_returned", False), "it is let go before anything else"
    assert ws.state().asked is None
    assert rerun(ws.events(1)).identical


# --- what breaks ----------------------------------------------------------------------------------------------------


def test_a_turn_that_a_killed_process_left_open_is_ended_at_the_next_open(house: House) -> None:
    ws = house.open()
    ws._journal.commit(TriggerReceived(cause="user", text="are you there?"))
    house.close()
    ws = house.open()
    end: Any = ws.event(ws.last_seq)
    assert (end.kind, end.reason) == ("turn_ended", "interrupted")
    assert not ws.state().turn_open
    say_to(ws)
    assert "are you there?" in str(ws._models["demo"].bodies[-1]["messages"])  # type: ignore[attr-defined]
    assert rerun(ws.events(1)).identical


def test_a_call_that_was_cut_off_does_not_stand_without_a_result_in_later_prompts(house: House) -> None:
    model = ScriptedModel(reply(call("note_write", True, name="a", text="b")), then=say("ok"))
    ws = house.open(model)

    def break_off() -> None:
        raise ZeroDivisionError("as a kill would")

    with arm("function.before_commit", nth(1, break_off)):
        say_to(ws)
    say_to(ws, "again")
    messages = model.bodies[-1]["messages"]
    for number, message in enumerate(messages):
        results = [after["role"] for after in messages[number + 1 : number + 1 + len(message.get("tool_calls", ()))]]
        assert results == ["tool"] * len(message.get("tool_calls", ()))


def test_a_defect_in_the_engine_is_recorded_shown_and_survived(house: House) -> None:
    model = ScriptedModel(ZeroDivisionError("boom"), then=say("ok"))
    ws = house.open(model)
    events = say_to(ws)
    assert kinds(events)[-2:] == ["fault_recorded", "turn_ended"]
    assert "ZeroDivisionError: boom" in events[-2].error
    assert events[-1].reason == "fault"
    assert ws.notices() == [events[-2].error]
    assert sent(say_to(ws)) == ["ok"]
    assert ws.notices() == []
    assert rerun(ws.events(1)).identical


def test_a_model_that_is_gone_is_a_fault_in_its_own_words_and_no_notice(house: House) -> None:
    ws = house.open(ScriptedModel(ModelUnavailable("No server answers. Start it."), then=say("ok")))
    events = say_to(ws)
    assert events[-2].error == "No server answers. Start it."
    assert ws.notices() == []


def test_a_model_whose_server_is_not_there_is_a_fault_that_says_what_to_do(house: House) -> None:
    ws = house.open()
    ws._journal.commit(AgentConfigured(settings=AgentSettings(model="llama3:8b")))
    events = say_to(ws)
    fault = events[-2]
    assert (fault.where, events[-1].reason) == ("model", "fault")
    assert "No model server answers" in fault.error
    assert "Memscope itself" not in fault.error


def test_a_turn_that_broke_off_can_be_resumed_and_one_that_did_not_cannot(house: House) -> None:
    ws = house.open()
    say_to(ws)
    assert not ws.can_resume
    with pytest.raises(EditRefused, match="nothing to run again"):
        ws.resume()
    settings = ws.state().settings
    ws._journal.commit(AgentConfigured(settings=settings.model_copy(update={"model": "not-here:1b"})))
    say_to(ws, "answer me")
    assert ws.can_resume
    ws._journal.commit(AgentConfigured(settings=settings))
    ws.resume()
    assert ws.wait_idle(20)
    assert ws.state().turn_end == "yielded"
    assert not ws.can_resume


def test_a_full_disk_is_told_and_when_there_is_room_the_agent_goes_on(house: House) -> None:
    ws = house.open()
    say_to(ws)
    with arm("log.append.before_write", nth(1, enospc)), pytest.raises(LogClosed, match="free some disk"):
        ws.send("lost?")
    assert not ws.busy
    assert sent(say_to(ws, "and now?")) == ["ok"]
    assert "lost?" not in house.log.read_text()


def test_a_disk_that_fills_up_in_the_turn_ends_it_with_a_notice(house: House) -> None:
    model = ScriptedModel(then=say("ok"))
    ws = house.open(model)
    with arm("log.append.before_write", enospc_from(4)):
        ws.send("hi")
        assert ws.wait_idle(LONG_S)
    assert "free some disk" in ws.notices()[0]
    assert ws.state().turn_open
    events = say_to(ws, "more room now")
    assert events[0].reason == "interrupted"
    assert sent(events) == ["ok"]
    assert ws.notices() == []
    assert rerun(ws.events(1)).identical


def enospc_from(passage: int) -> Callable[[], None]:
    """The disk is full from that passage on."""
    passages = iter(range(1, 10**6))

    def act() -> None:
        if next(passages) >= passage:
            enospc()

    return act


def test_a_torn_line_is_dropped_with_a_notice(house: House) -> None:
    ws = house.open()
    say_to(ws)
    whole = ws.last_seq
    house.close()
    with house.log.open("ab") as file:
        file.write(b'{"seq":99,"at":"20')
    ws = house.open()
    assert ws.last_seq == whole
    assert "torn last line of 18 bytes was dropped" in ws.notices()[0]


@pytest.mark.parametrize("line", [1, 2, 3, 8])
def test_a_damaged_log_is_read_up_to_there_and_takes_nothing(house: House, line: int) -> None:
    ws = house.open()
    say_to(ws)
    house.close()
    lines = house.log.read_text().splitlines()
    lines[line - 1] = '{"kind":"nonsense"}'
    house.log.write_text("\n".join(lines) + "\n")
    ws = house.open()
    assert ws.last_seq == line - 1
    assert f"Line {line} of the log cannot be read." in ws.notices()[0]
    for act in (
        lambda: ws.send("hi"),
        lambda: ws.upload("a.txt", [("x", ())]),
        lambda: ws._journal.commit(TurnEnded(reason="interrupted")),
    ):
        with pytest.raises(LogClosed, match=f"Line {line}"):
            act()
    assert not ws.tick()
    assert house.log.read_text().splitlines() == lines, "the file is not touched"


def test_an_empty_log_is_refused_in_a_sentence(house: House) -> None:
    house.open()
    house.close()
    house.log.write_bytes(b"")
    ws = house.open()
    with pytest.raises(MemscopeError):
        ws.send("hi")
    assert not ws.tick()


# --- the stores -----------------------------------------------------------------------------------------------------


def test_the_stores_agree_with_the_log_and_are_made_anew_from_it(house: House) -> None:
    ws = house.open()
    say_to(ws, "I like tea")
    ws.upload("a.txt", [("boats sail", ("sea",))])
    assert ws.wait_idle(LONG_S)
    assert ws.verify() == []
    rows = ws.rows("SELECT * FROM messages ORDER BY seq_from")
    shares: list[float] = []
    ws.rebuild(shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert ws.verify() == []
    assert ws.rows("SELECT * FROM messages ORDER BY seq_from") == rows
    assert ws.items(["m9999"]) == {}
    assert ws.search_mode() == "words"


def test_stores_that_were_deleted_come_back_at_the_next_open(house: House) -> None:
    ws = house.open()
    say_to(ws, "I like tea")
    before = ws.rows("SELECT * FROM messages ORDER BY seq_from")
    house.close()
    (house.log.parent / "rows.duckdb").unlink()
    ws = house.open()
    assert ws.rows("SELECT * FROM messages ORDER BY seq_from") == before
    assert ws.verify() == []
