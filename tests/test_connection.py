"""The Ollama server as pages see it: found or missing, pulls, turns at the turnstile, windows, settings, a trial."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memgpt_core.blueprint import Blueprint
from memgpt_core.connection import Connection
from memgpt_core.errors import AgentBusy, ConfigurationRefused
from memgpt_core.home import Home
from memgpt_core.knowledge import Knowledge
from memgpt_core.llm.base import Stopped
from memgpt_core.means import Means
from memgpt_core.prompt import message_of
from memgpt_core.settings import AgentSettings
from memgpt_core.state import State
from memgpt_core.trial import PLANS, request, run
from memgpt_core.turnstile import Turnstile
from tests.engine import PATIENCE_S, FakeClock, kinds, reply, say, sent, until
from tests.engine import call as a_call
from tests.ollama_stub.server import Stub, wire
from tests.ollama_stub.world import World


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, _no_server: None) -> Iterator[Stub]:
    with Stub(World()) as served:
        monkeypatch.setenv("OLLAMA_HOST", served.host)
        yield served


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    opened = Home(tmp_path / "home", clock=FakeClock(), timer=False)
    yield opened
    opened.close()


def found(connection: Connection) -> Any:
    return until(lambda: connection.view() if connection.view().state != "looking" else None)


# --- the server -------------------------------------------------------------------------------------------------


def test_no_server_is_said_with_what_was_tried_and_looking_never_waits(home: Home) -> None:
    started = time.monotonic()
    home.connection.view()
    assert time.monotonic() - started < 1
    view = found(home.connection)
    assert view.state == "missing"
    assert "127.0.0.1:9" in view.why
    assert "ollama serve" in view.why
    assert view.models == ()


def test_an_address_that_is_none_is_refused_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "ftp://nowhere")
    connection = Connection(tmp_path)
    assert connection.view().state == "refused"
    assert "ftp" in connection.view().why


def test_a_server_is_found_with_its_models_and_what_they_can(stub: Stub, home: Home) -> None:
    view = found(home.connection)
    assert view.state == "found"
    assert view.version
    cards = {card.name: card for card in view.models}
    assert cards
    assert any(card.tools for card in cards.values())
    assert any(card.embedding for card in cards.values())
    assert all(card.digest and card.size_bytes for card in cards.values())


def test_a_pull_is_told_and_what_it_brings_is_there(stub: Stub, home: Home) -> None:
    connection = home.connection
    found(connection)
    connection.pull("qwen3:8b")
    over = until(lambda: next((pull for pull in connection.pulls() if pull.state != "pulling"), None))
    assert (over.state, over.completed_bytes) == ("done", over.total_bytes)
    assert until(lambda: connection.view() and connection.card("qwen3:8b"))


def test_a_pull_of_what_is_not_there_says_so(stub: Stub, home: Home) -> None:
    stub.play("/api/pull", wire("pull_unknown"))
    home.connection.pull("no-such-model:1b")
    over = until(lambda: next((pull for pull in home.connection.pulls() if pull.state == "failed"), None))
    assert over.why


# --- the turnstile ----------------------------------------------------------------------------------------------


class Watcher:
    def __init__(self) -> None:
        self.told: list[str] = []
        self.stop = False

    def phase(self, phase: str, detail: str = "") -> None:
        self.told.append(f"{phase} {detail}")

    def text(self, piece: str) -> None: ...

    def thought(self, piece: str) -> None: ...

    def stopped(self) -> bool:
        return self.stop


def test_who_comes_first_is_served_first_and_the_others_are_told_for_whom_they_wait() -> None:
    turnstile, order, watchers = Turnstile(), [], {name: Watcher() for name in "ABC"}
    inside = threading.Event()

    def go(name: str) -> None:
        with turnstile.turn(name, watchers[name]):
            order.append(name)
            if name == "A":
                inside.wait(PATIENCE_S)

    threads = []
    for number, name in enumerate("ABC", 1):
        threads.append(threading.Thread(target=go, args=(name,)))
        threads[-1].start()
        until(lambda number=number: len(turnstile._waiting) == number)
    until(lambda: watchers["B"].told and watchers["C"].told)
    assert watchers["B"].told == ["waiting for A to be served"]
    assert watchers["C"].told == ["waiting for A and 1 more to be served"]
    inside.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert order == ["A", "B", "C"]


def test_who_is_stopped_in_the_queue_leaves_it() -> None:
    turnstile, watcher = Turnstile(), Watcher()
    watcher.stop = True
    with turnstile.turn("A", Watcher()):
        with pytest.raises(Stopped), turnstile.turn("B", watcher):
            raise AssertionError("B got through")
        assert len(turnstile._waiting) == 1
    with turnstile.turn("C", Watcher()):
        pass


# --- settings ---------------------------------------------------------------------------------------------------


def tools_model(home: Home) -> str:
    view = found(home.connection)
    return next(card.name for card in view.models if card.tools and not card.thinking and not card.cloud)


def state_after(home: Home, agent_id: str, text: str) -> State:
    workspace = home.open(agent_id)
    workspace.send(text)
    assert workspace.wait_idle(PATIENCE_S)
    return workspace.state()


def test_a_turn_on_a_model_of_the_server_is_a_whole_turn(stub: Stub, home: Home) -> None:
    agent_id = home.create(Blueprint(name="Tester"))
    workspace = home.open(agent_id)
    workspace.configure(workspace.state().settings.model_copy(update={"model": tools_model(home)}))
    state = state_after(home, agent_id, "My name is Ana.")
    events = workspace.events(1)
    assert events[-1].reason == "yielded"
    assert sent(events)
    replied = next(event for event in events if event.kind == "model_replied")
    assert replied.measured.prompt_tokens
    assert state.settings.model in {card.name for card in home.connection.view().models}
    assert stub.at("/api/chat")[0].json["truncate"] is False
    assert workspace.verify() == []


def test_changing_the_model_is_an_event_and_the_next_request_names_it(stub: Stub, home: Home) -> None:
    agent_id = home.create(Blueprint(name="Tester"))
    workspace = home.open(agent_id)
    before = workspace.last_seq
    model = tools_model(home)
    workspace.configure(workspace.state().settings.model_copy(update={"model": model, "think": "off"}))
    assert kinds(workspace.events(before + 1)) == ["agent_configured", "instructions_defined", "context_recounted"]
    state_after(home, agent_id, "hello")
    assert stub.at("/api/chat")[0].json["model"] == model


def test_a_model_without_tool_support_fills_in_forms_over_the_wire(stub: Stub, home: Home) -> None:
    view = found(home.connection)
    model = next(card.name for card in view.models if not card.tools and not card.embedding)
    workspace = home.open(home.create(Blueprint(name="Tester")))
    settings = workspace.state().settings.model_copy(update={"model": model, "calling": "structured"})
    workspace.configure(settings.model_copy(update={"window_tokens": 8192}))
    state = state_after(home, workspace.agent_id, "Please remember my bike is blue.")
    events = workspace.events(1)
    assert "bike is blue" in state.blocks["human"].value
    assert sent(events)
    assert "truncation_suspected" not in kinds(events)
    assert not any(event.salvaged for event in events if event.kind == "model_replied")
    asked = stub.at("/api/chat")[0].json
    assert "tools" not in asked
    assert asked["format"]["anyOf"]


def test_a_window_too_small_is_refused_with_the_numbers_and_nothing_changes(home: Home) -> None:
    workspace = home.open(home.create(Blueprint(name="Tester")))
    before = workspace.last_seq
    with pytest.raises(ConfigurationRefused, match="2048"):
        workspace.configure(workspace.state().settings.model_copy(update={"window_tokens": 2048}))
    assert workspace.last_seq == before


def test_agents_of_one_model_ask_for_one_window_so_that_it_is_loaded_once(stub: Stub, home: Home) -> None:
    model = tools_model(home)
    small, large = (home.open(home.create(Blueprint(name=name))) for name in ("Small", "Large"))
    for workspace, window in ((small, 4096), (large, 8192)):
        changed = {"model": model, "window_tokens": window}
        workspace.configure(workspace.state().settings.model_copy(update=changed))
    for workspace in (small, large, small):
        state_after(home, workspace.agent_id, "hello")
    asked = [request.json["options"]["num_ctx"] for request in stub.at("/api/chat")]
    assert set(asked) == {8192}
    assert small.state().settings.window_tokens == 4096
    large.configure(large.state().settings.model_copy(update={"window_tokens": 6144}))
    state_after(home, small.agent_id, "hello again")
    assert stub.at("/api/chat")[-1].json["options"]["num_ctx"] == 6144


def test_settings_wait_for_the_turn(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = home.open(home.create(Blueprint(name="Tester")))
    monkeypatch.setattr(type(workspace._turns), "busy", property(lambda _: True))
    with pytest.raises(AgentBusy):
        workspace.configure(workspace.state().settings.model_copy(update={"step_cap": 3}))


def test_when_the_vocabulary_has_come_the_window_and_the_next_message_are_counted_by_it(
    stub: Stub, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = home.open(home.create(Blueprint(name="Tester")))
    workspace.configure(workspace.state().settings.model_copy(update={"model": tools_model(home)}))
    assert workspace.state().counted_by == ""
    before = workspace.last_seq
    monkeypatch.setattr(Means, "counter", lambda self, model: len)
    workspace.send("hello there")
    assert workspace.wait_idle(PATIENCE_S)
    events = workspace.events(before + 1)
    assert "context_recounted" in kinds(events)
    trigger = next(event for event in events if event.kind == "trigger_received" and event.cause == "user")
    assert trigger.measured.tokens == len(message_of(trigger)["content"])
    assert workspace.state().instructions_tokens > 1500, "counted in characters now"


def test_the_same_settings_are_no_event(home: Home) -> None:
    workspace = home.open(home.create(Blueprint(name="Tester")))
    before = workspace.last_seq
    workspace.configure(workspace.state().settings)
    assert workspace.last_seq == before


def test_another_protocol_brings_its_instructions_and_functions(home: Home) -> None:
    workspace = home.open(home.create(Blueprint(name="Tester")))
    workspace.configure(workspace.state().settings.model_copy(update={"protocol": "native"}))
    defined: Any = workspace.event(workspace.state().instructions_seq)
    assert "plain text" in defined.instructions
    assert "send_message" not in {schema["function"]["name"] for schema in defined.schemas}
    workspace.send("My name is Ana.")
    assert workspace.wait_idle(PATIENCE_S)
    assert sent(workspace.events(1))


def test_another_embedder_makes_new_tables_and_search_goes_on(stub: Stub, home: Home) -> None:
    agent_id = home.create(Blueprint(name="Tester", settings=AgentSettings(embedder="hashing")))
    workspace = home.open(agent_id)
    state_after(home, agent_id, "The boiler valve is part VX-2291.")
    view = found(home.connection)
    model = next(card.name for card in view.models if card.embedding)
    workspace.configure(workspace.state().settings.model_copy(update={"embedder": f"ollama:{model}"}))
    assert workspace.search_mode() == "words+vectors"
    until(lambda: not workspace.not_embedded and len(stub.at("/api/embed")) > 1)
    state_after(home, agent_id, "And the washer is part WB-7.")
    hits = workspace.recall("boiler valve", page=1, page_size=5).hits
    assert hits
    until(lambda: workspace.projections.status().not_embedded == 0 and workspace.projections.status().pending == 0)
    assert stub.at("/api/embed")
    assert home.connection.knowledge.of(model)["dim"] > 0


# --- what is kept -----------------------------------------------------------------------------------------------


def test_knowledge_survives_a_restart_and_a_broken_file_counts_as_empty(tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    Knowledge(path).learn("m", token_factor=1.2)
    Knowledge(path).learn("m", dim=384)
    assert Knowledge(path).of("m") == {"token_factor": 1.2, "dim": 384}
    path.write_text("{broken")
    assert Knowledge(path).of("m") == {}


# --- the trial --------------------------------------------------------------------------------------------------

GOOD = {
    "speaks by a call": say("Hello!"),
    "saves a fact": reply(a_call("core_memory_append", label="human", content="Name: Ana")),
    "writes the fact where it belongs": reply(a_call("core_memory_append", label="human", content="Lives in Lisbon")),
    "writes a number as a number": reply(a_call("pause_heartbeats", minutes=30)),
    "searches and asks for control back": reply(a_call("conversation_search", True, query="boiler")),
    "answers from what it found": say("The boiler valve is part VX-2291."),
    "leaves memory alone when there is nothing to save": say("Goodbye!"),
}


class Answers:
    """A model that answers each exchange as planned, one of them otherwise."""

    def __init__(self, **other: Any) -> None:
        self.answers = iter([other.get(plan.name.replace(" ", "_"), GOOD[plan.name]) for plan in PLANS])

    def chat(self, body: Any, progress: Any) -> Any:
        assert body["tools"]
        return next(self.answers)


def tried(model: Any, settings: AgentSettings | None = None) -> Any:
    told: list[int] = []
    settings = settings or AgentSettings(model="m")
    result = run(model, settings, digest="d", progress=Watcher(), tell=told.append, clock=time.monotonic)
    assert told == list(range(1, len(PLANS) + 1))
    return result


def test_a_model_that_does_everything_right_is_fit() -> None:
    result = tried(Answers())
    assert result.verdict.startswith("Fit")
    assert (result.calls, result.restraint, result.arguments, result.heartbeats) == ((2, 2), (2, 2), (2, 2), (1, 1))


MISPLACED = reply(a_call("core_memory_append", label="user", content="Lisbon"))
BUSY = reply(a_call("core_memory_append", label="human", content="said bye"), a_call("send_message", message="bye"))


@pytest.mark.parametrize(
    ("name", "wrong", "looks_at"),
    [
        ("speaks by a call", reply(content="Hello!"), "calls"),
        ("writes a number as a number", reply(a_call("pause_heartbeats", minutes="thirty")), "arguments"),
        (
            "writes the fact where it belongs",
            reply(a_call("core_memory_append", label="user", content="Lisbon")),
            "arguments",
        ),
        ("searches and asks for control back", reply(a_call("conversation_search", query="boiler")), "heartbeats"),
        ("answers from what it found", reply(a_call("conversation_search", True, query="boiler")), "restraint"),
        (
            "leaves memory alone when there is nothing to save",
            reply(
                a_call("core_memory_append", label="human", content="said goodbye"),
                a_call("send_message", message="bye"),
            ),
            "restraint",
        ),
    ],
)
def test_one_wrong_answer_is_named(name: str, wrong: Any, looks_at: str) -> None:
    result = tried(Answers(**{name.replace(" ", "_"): wrong}))
    failed = [exchange.name for exchange in result.exchanges if not exchange.ok]
    assert failed == [name]
    assert getattr(result, looks_at)[0] == getattr(result, looks_at)[1] - 1
    assert result.verdict.startswith("Usable with care")
    assert name in result.verdict


def test_a_model_that_only_talks_is_not_fit() -> None:
    class Talks:
        def chat(self, body: Any, progress: Any) -> Any:
            return reply(content="Sure, I will remember that!")

    assert tried(Talks()).verdict.startswith("Not fit")


def test_an_exchange_is_a_request_of_the_engine() -> None:
    body = request(AgentSettings(model="m"), PLANS[5])
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "tool"]
    assert "VX-2291" in body["messages"][3]["content"]


def test_a_trial_runs_in_the_background_and_is_kept_per_model_and_digest(stub: Stub, home: Home) -> None:
    model = tools_model(home)
    home.trials.start(AgentSettings(model=model))
    until(lambda: home.trials.running(model) is None)
    assert home.trials.failed(model) == ""
    card = home.connection.card(model)
    assert card is not None
    result = home.trials.result(model, card.digest)
    assert result is not None
    assert len(result.exchanges) == len(PLANS)
    assert home.trials.result(model, "another digest") is None
