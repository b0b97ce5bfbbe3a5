"""What if: the same turn with one thing changed gives what it gives, and nothing of it stays."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memgpt_core import counterfactual, folders
from memgpt_core.blueprint import BlockPlan, Blueprint
from memgpt_core.counterfactual import BlockChange, Change, change_of
from memgpt_core.errors import AgentNotFound, ConfigurationRefused, EditRefused, ModelUnavailable
from memgpt_core.home import Home
from memgpt_core.llm.base import Progress, Stopped
from memgpt_core.llm.demo import DemoModel
from memgpt_core.settings import AgentSettings
from memgpt_core.workspace import Workspace
from tests.engine import FakeClock, ScriptedModel, call, reply, say

LONG_S = 20.0
ALLERGY_TURN = 65
"""Of the companion: "Which allergy do I have?", the first turn of a session."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel(then=say("ok"))


@pytest.fixture
def home(tmp_path: Path, clock: FakeClock, model: ScriptedModel) -> Iterator[Home]:
    made = Home(
        tmp_path / "home",
        clock=clock,
        models={"demo": DemoModel(pace=0), "scripted": model, "other": ScriptedModel(then=say("from another model"))},
        timer=False,
    )
    yield made
    made.close()


@pytest.fixture
def companion(home: Home) -> Workspace:
    return home.open(home.start_sample("companion"))


@pytest.fixture
def ada(home: Home) -> Workspace:
    """An agent of the scripted model with a block and a passage, after one turn."""
    blocks = [BlockPlan(label="human", value="Lives in Leiden")]
    chosen = AgentSettings(model="scripted", embedder="hashing", functions_ask=("note_write",))
    ws = home.open(home.create(Blueprint(name="Ada", blocks=blocks, settings=chosen)))
    ws.edits.insert_passage("The tent is blue", tags=["camp"])
    tell(ws, "hello there")
    return ws


def tell(ws: Workspace, text: str) -> int:
    ws.send(text)
    assert ws.wait_idle(LONG_S)
    return ws.state().turn


def aside(home: Home) -> list[Path]:
    there = home.path / folders.ASIDE
    return list(there.iterdir()) if there.is_dir() else []


def said(body: dict[str, Any]) -> str:
    """Everything a request says."""
    return "\n".join(str(message["content"]) for message in body["messages"])


def timeless(outcome: counterfactual.Outcome) -> counterfactual.Outcome:
    """Without what depends on how fast it went: later requests hold the times of the results before them."""
    return outcome._replace(seconds=0, prompt_tokens=0, requests=outcome.requests[:1])


# --- on the demo model ----------------------------------------------------------------------------------------------


def test_without_a_change_the_same_requests_leave_and_the_same_comes_back(home: Home, companion: Workspace) -> None:
    for turn in (ALLERGY_TURN, 63, 62, 1):
        recorded = counterfactual.recorded(companion, turn)
        assert recorded.requests
        (again,) = counterfactual.run(home, companion.agent_id, turn, Change())
        assert timeless(again) == timeless(recorded), turn


def test_without_the_block_that_holds_the_fact_the_answer_is_another(home: Home, companion: Workspace) -> None:
    raw = (companion.folder / "run.jsonl").read_bytes()
    recorded = counterfactual.recorded(companion, ALLERGY_TURN)
    assert recorded.replies == ("You are allergic to hazelnuts. My core memory says: “Allergic to: hazelnuts”",)
    (without,) = counterfactual.run(home, companion.agent_id, ALLERGY_TURN, change_of("block:human"))
    (reply,) = without.replies
    assert "My core memory" not in reply
    assert "I found it in recall storage" in reply, "paged in from below instead"
    assert [one.name for one in without.calls] == ["conversation_search", "send_message"]
    assert (recorded.steps, without.steps) == (1, 2)
    assert recorded.page_faults == 0 < without.page_faults
    (changed,) = counterfactual.run(
        home, companion.agent_id, ALLERGY_TURN, change_of("block:human", "Allergic to: walnuts")
    )
    assert "allergic to walnuts" in changed.replies[0]
    assert (companion.folder / "run.jsonl").read_bytes() == raw, "the agent itself lived nothing of it"
    assert aside(home) == []
    assert [card.id for card in home.agents(archived=True)] == [companion.agent_id]


def test_a_fact_that_nothing_holds_any_more_is_not_known(home: Home, companion: Workspace) -> None:
    (none,) = counterfactual.run(
        home, companion.agent_id, ALLERGY_TURN, Change("other_message", text="Which island do I own?")
    )
    assert "I don't know" in none.replies[0]
    assert none.calls[0].name == "conversation_search"


def test_what_the_turn_stored_is_told(home: Home, companion: Workspace) -> None:
    (told,) = counterfactual.run(
        home, companion.agent_id, ALLERGY_TURN, Change("other_message", text="My favourite fish is the pike.")
    )
    (block,) = told.blocks
    assert block.label == "human"
    assert block.before is not None
    assert "pike" not in block.before
    assert "pike" in str(block.after)


# --- every change ---------------------------------------------------------------------------------------------------


def asked_again(home: Home, ws: Workspace, model: ScriptedModel, turn: int, change: Change) -> str:
    model.bodies.clear()
    (outcome,) = counterfactual.run(home, ws.agent_id, turn, change)
    assert outcome.ended == "yielded"
    return said(model.bodies[0])


def test_each_change_is_in_what_the_model_is_asked_and_in_nothing_else(
    home: Home, ada: Workspace, model: ScriptedModel
) -> None:
    first = next(event.seq for event in ada.events(1) if getattr(event, "text", "") == "hello there")
    turn = tell(ada, "and now?")
    opening = next(event.seq for event in ada.events(1) if getattr(event, "text", "") == "and now?")
    as_it_was = asked_again(home, ada, model, turn, Change())
    assert all(text in as_it_was for text in ("Lives in Leiden", "hello there", "and now?"))

    def now(item: str, text: str | None = None) -> str:
        return asked_again(home, ada, model, turn, change_of(item, text))

    assert "Lives in Leiden" not in now("block:human")
    assert now("block:human", "Lives in Leuven") == as_it_was.replace("Lives in Leiden", "Lives in Leuven")
    assert "hello there" not in now(f"m{first}")
    assert now(f"m{first}", "good day") == as_it_was.replace("hello there", "good day")
    for change in (change_of(f"m{opening}", "and tomorrow?"), Change("other_message", text="and tomorrow?")):
        assert asked_again(home, ada, model, turn, change) == as_it_was.replace("and now?", "and tomorrow?")


def test_a_passage_is_changed_where_the_turn_searches_for_it(home: Home, ada: Workspace, model: ScriptedModel) -> None:
    look = reply(call("archival_memory_search", heartbeat=True, query="tent"))
    model.script = [look]
    turn = tell(ada, "which colour has the tent?")
    (passage,) = [row["id"] for row in ada.rows("SELECT id FROM passages")]

    def found(change: Change) -> str:
        model.script = [look]
        (outcome,) = counterfactual.run(home, ada.agent_id, turn, change)
        return outcome.calls[0].value

    assert "The tent is blue" in found(Change())
    assert "The tent is red" in found(change_of(passage, "The tent is red"))
    assert "tent is" not in found(change_of(passage))
    assert ada.items([passage])[passage]["text"] == "The tent is blue"


def test_other_settings_or_another_model_answer_instead(home: Home, ada: Workspace, model: ScriptedModel) -> None:
    turn = tell(ada, "and now?")
    (other,) = counterfactual.run(home, ada.agent_id, turn, Change(), model="other")
    assert other.replies == ("from another model",)
    model.bodies.clear()
    warm = ada.state().settings.model_copy(update={"temperature": 0.125})
    (set_otherwise,) = counterfactual.run(home, ada.agent_id, turn, Change("settings", settings=warm))
    assert set_otherwise.replies == ("ok",)
    assert model.bodies[-1]["options"]["temperature"] == 0.125
    assert (ada.state().settings.model, ada.state().settings.temperature) != ("other", 0.125)
    tiny = ada.state().settings.model_copy(update={"window_tokens": 1500})
    with pytest.raises(ConfigurationRefused):
        counterfactual.run(home, ada.agent_id, turn, Change("settings", settings=tiny))
    assert aside(home) == []


def test_what_a_turn_came_to_has_its_blocks_passages_and_faults(
    home: Home, ada: Workspace, model: ScriptedModel
) -> None:
    model.script = [
        reply(
            call("core_memory_append", heartbeat=True, label="human", content="Likes tea"),
            call("archival_memory_insert", heartbeat=True, content="Tea is from Assam"),
            call("core_memory_append", heartbeat=True, label="nowhere", content="x"),
        ),
        say("noted"),
    ]
    turn = tell(ada, "I like tea")
    outcome = counterfactual.recorded(ada, turn)
    assert outcome.blocks == (BlockChange("human", "Lives in Leiden", "Lives in Leiden\nLikes tea"),)
    assert outcome.passages == ("Tea is from Assam",)
    assert [(one.name, one.ok) for one in outcome.calls] == [
        ("core_memory_append", True),
        ("archival_memory_insert", True),
        ("core_memory_append", False),
        ("send_message", True),
    ]
    assert (outcome.replies, outcome.steps, outcome.ended, outcome.flushes) == (("noted",), 2, "yielded", 0)
    prompts: list[Any] = [event for event in ada.events(1) if event.kind == "prompt_built" and event.turn == turn]
    assert outcome.prompt_tokens == sum(sum(prompt.sections.values()) for prompt in prompts)
    # What a person changes after the end bears the turn's number and is none of it.
    ada.edits.delete_block("human", based_on=ada.state().blocks["human"].seq)
    assert counterfactual.recorded(ada, turn) == outcome
    model.script = [ModelUnavailable("The model is gone.")]
    (failed,) = counterfactual.run(home, ada.agent_id, turn, Change())
    assert (failed.replies, failed.ended, failed.errors) == ((), "fault", ("The model is gone.",))
    assert aside(home) == []


# --- again and again ------------------------------------------------------------------------------------------------


def test_each_time_is_a_fork_of_its_own(home: Home, ada: Workspace, model: ScriptedModel) -> None:
    turn = tell(ada, "and now?")
    model.script = [say("one"), reply(call("note_list", heartbeat=True)), say("two"), say("three")]
    model.bodies.clear()
    shares: list[float] = []
    outcomes = counterfactual.run(home, ada.agent_id, turn, Change(), times=3, progress=shares.append)
    assert [one.replies for one in outcomes] == [("one",), ("two",), ("three",)]
    assert [one.steps for one in outcomes] == [1, 2, 1]
    firsts = [model.bodies[at] for at in (0, 1, 3)]
    assert firsts[0] == firsts[1] == firsts[2], "none sees what another one lived"
    assert shares == sorted(shares)
    assert (0 < shares[0] < 1 / 3, shares[-1]) == (True, 1.0)
    assert aside(home) == []


def test_the_turn_is_the_same_a_year_later(home: Home, ada: Workspace, model: ScriptedModel, clock: FakeClock) -> None:
    turn = tell(ada, "and now?")
    as_it_was = said(model.bodies[-1])
    clock.forward(days=400)
    assert asked_again(home, ada, model, turn, Change()) == as_it_was, "its day, and no login that was not due then"
    begun = asked_again(home, ada, model, 1, Change())
    assert '"type": "login"' in begun, "the one that was there is sent again"
    assert begun == said(model.bodies[0])


def test_a_call_that_asks_gets_the_answer_it_got(home: Home, ada: Workspace, model: ScriptedModel) -> None:
    asks = reply(call("note_write", heartbeat=True, name="n", text="secret"))
    model.script = [asks]
    turn = tell(ada, "note it")
    ada.answer(False, "too private")
    assert ada.wait_idle(LONG_S)
    recorded = counterfactual.recorded(ada, turn)
    assert "too private" in recorded.calls[0].value
    model.script = [asks]
    (again,) = counterfactual.run(home, ada.agent_id, turn, Change())
    assert timeless(again) == timeless(recorded)
    model.script = [asks, asks]
    (twice,) = counterfactual.run(home, ada.agent_id, turn, Change())
    assert (twice.ended, len(twice.calls)) == ("asked", 1), "the second was never answered, and waits"
    assert aside(home) == []


# --- stopping -------------------------------------------------------------------------------------------------------


class Endless:
    """A model that answers when it is stopped, and not before."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    def chat(self, body: dict[str, Any], progress: Progress) -> Any:
        self.asked.set()
        while not progress.stopped():
            threading.Event().wait(0.01)
        raise Stopped


def test_a_turn_that_takes_too_long_is_stopped_and_says_so(home: Home, ada: Workspace) -> None:
    home._models["endless"] = Endless()
    turn = tell(ada, "and now?")
    (outcome,) = counterfactual.run(home, ada.agent_id, turn, Change(), model="endless", limit_s=0.2)
    assert (outcome.ended, outcome.replies) == ("stopped", ())
    assert aside(home) == []


def test_a_person_can_stop_it_and_keeps_what_was_finished(home: Home, ada: Workspace, model: ScriptedModel) -> None:
    turn = tell(ada, "and now?")
    endless = Endless()
    model.script = [say("one"), lambda body: endless.chat(body, _Watched(endless))]
    outcomes = counterfactual.run(home, ada.agent_id, turn, Change(), times=5, stopped=endless.asked.is_set)
    assert [one.replies for one in outcomes] == [("one",)]
    assert aside(home) == []


class _Watched:
    """Progress that says stop as soon as the model was asked."""

    def __init__(self, endless: Endless) -> None:
        self._endless = endless

    def stopped(self) -> bool:
        return self._endless.asked.is_set()


# --- what cannot be -------------------------------------------------------------------------------------------------


def test_what_was_not_there_is_refused_in_a_sentence_and_nothing_is_left(home: Home, ada: Workspace) -> None:
    turn = tell(ada, "and now?")
    opening = next(event.seq for event in ada.events(1) if getattr(event, "text", "") == "and now?")
    later = ada.edits.insert_passage("stored after it")
    refusals = {
        "There is no turn 99: this agent has turns 1 to 2.": (99, Change()),
        "There is no turn 0": (0, Change()),
        "There was no block 'nowhere' when that turn began.": (turn, change_of("block:nowhere")),
        "There was no block 'no' when that turn began.": (turn, change_of("block:no", "x")),
        "There was no message m9999 when that turn began.": (turn, change_of("m9999")),
        "There was no message m9998 when that turn began.": (turn, change_of("m9998", "x")),
        f"There was no passage {later} when that turn began.": (turn, change_of(later)),
        f"Message m{opening} opens the turn; without it": (turn, change_of(f"m{opening}")),
        "The message is empty.": (turn, Change("other_message", text=" ")),
    }
    for sentence, (number, change) in refusals.items():
        with pytest.raises(EditRefused, match=sentence.replace(".", r"\.")):
            counterfactual.run(home, ada.agent_id, number, change)
        assert aside(home) == []
    for item in ("", "m", "block:", "x3", "m3; drop", "p"):
        with pytest.raises(EditRefused, match="is no block:LABEL"):
            change_of(item)
    with pytest.raises(AgentNotFound):
        counterfactual.run(home, "nobody", 1, Change())
    with pytest.raises(EditRefused, match="There is no turn 7"):
        counterfactual.recorded(ada, 7)
