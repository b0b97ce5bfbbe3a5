"""The settings page without a browser, and what a model server leaves in the chat: a stub over real HTTP, no Ollama."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from memgpt_core import connection as connections
from memgpt_core import succession
from memgpt_core.blueprint import Blueprint
from memgpt_core.connection import ModelCard
from memgpt_core.events import TruncationSuspected
from memgpt_core.home import Home, close_home, the_home
from memgpt_core.instructions import MEMGPT_INSTRUCTIONS, NATIVE_INSTRUCTIONS
from memgpt_core.settings import DEMO, AgentSettings
from memgpt_core.workspace import Workspace
from pages.parts import model_choice
from pages.parts.connection import shape
from tests.engine import PATIENCE_S, until
from tests.ollama_stub.server import Answer, Gate, Request, Stub, answer_json, wire
from tests.ollama_stub.world import World

ROOT = Path(__file__).resolve().parents[1]
TOOLS, THINKS, PLAIN, EMBEDS = (f"stub-{name}:latest" for name in ("native", "rendered", "plain", "embed"))


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def stub(world: World, monkeypatch: pytest.MonkeyPatch, _no_server: None) -> Iterator[Stub]:
    with Stub(world) as served:
        monkeypatch.setenv("OLLAMA_HOST", served.host)
        yield served


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("MEMSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MEMSCOPE_DEMO_PACE", "0")
    close_home()
    yield the_home()
    close_home()


@pytest.fixture
def ws(home: Home) -> Workspace:
    return home.open(home.create(Blueprint(name="Tester")))


@pytest.fixture
def found(stub: Stub, home: Home, ws: Workspace) -> Home:
    """A home whose connection has found the stub."""
    home.connection.view()
    until(lambda: home.connection.view().state == "found")
    return home


def settings_page(ws: Workspace | None = None) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30)
    if ws is not None:
        app.query_params["agent"] = ws.agent_id
    app.run()
    app.switch_page("pages/settings.py").run()
    assert not app.exception, app.exception
    return app


def html(app: AppTest) -> str:
    return "\n".join(element.proto.body for element in app.get("html"))


def box(app: AppTest, label: str) -> Any:
    return next(box for box in app.selectbox if box.label == label)


def number(app: AppTest, beginning: str) -> Any:
    return next(field for field in app.number_input if field.label.startswith(beginning))


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def answer(world: World, changed: Callable[[Request], Answer | None]) -> None:
    """Let the world give other answers where `changed` has one."""
    usual = type(world).__call__
    world.__class__ = type(
        "Changed", (World,), {"__call__": lambda self, request: changed(request) or usual(self, request)}
    )


# --- the connection ---------------------------------------------------------------------------------------------


def test_no_server_is_said_with_what_was_tried_what_to_do_and_what_answers_meanwhile(home: Home, ws: Workspace) -> None:
    home.connection.view()
    until(lambda: home.connection.view().state == "missing")
    app = settings_page()
    assert "No Ollama server found" in html(app)
    assert "http://127.0.0.1:9" in html(app)
    assert "Meanwhile the demo model answers" in html(app)
    assert ["ollama serve" in code.value for code in app.code].count(True) == 1
    assert any("ollama.com/install.sh" in code.value for code in app.code)
    assert "No Ollama server" in html(app)
    assert "Look again" in labels(app)


def test_look_again_finds_a_server_that_came_up_meanwhile(
    world: World, ws: Workspace, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LOOK_EVERY_S", 3600.0)
    with Stub(world) as served:
        close_home()
        monkeypatch.setenv("OLLAMA_HOST", served.host)
        port = served.port
    again = the_home()
    again.connection.view()
    until(lambda: again.connection.view().state == "missing")
    app = settings_page()
    with Stub(world, port=port):
        app.button(key="look_again").click().run()
        until(lambda: again.connection.view().state == "found")
        app.run()
    assert THINKS in html(app)
    assert "No Ollama server" not in html(app)


def test_the_page_is_drawn_at_once_while_the_server_does_not_answer(stub: Stub, world: World, ws: Workspace) -> None:
    gate = Gate()
    answer(world, lambda request: Answer(gate=gate) if request.path == "/api/version" else None)
    app = settings_page()
    assert "for an Ollama server" in html(app)
    assert "Looking for Ollama" in html(app)
    assert box(app, "Model").options == ["Demo model (rules, no language model)"]
    gate.open()


def test_a_spelling_that_names_no_address_is_said(home: Home, ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    close_home()
    monkeypatch.setenv("OLLAMA_HOST", "gopher://x")
    app = settings_page()
    assert "The server refused" in html(app) or "OLLAMA_HOST" in html(app)
    assert "gopher" in html(app)


def test_the_servers_models_are_listed_with_what_each_can_do(found: Home) -> None:
    app = settings_page()
    shown = html(app)
    assert "Ollama 0.33" in shown
    assert "3.2 GB on disk · trained for 32,768 tokens · calls functions" in shown
    assert "trained for 8,192 tokens · cannot call functions" in shown
    assert "embeddings</span>" in shown
    assert box(app, "Model").options == ["Demo model (rules, no language model)", TOOLS, THINKS, PLAIN]


def test_an_old_server_is_told_what_does_not_work(world: World, stub: Stub, home: Home, ws: Workspace) -> None:
    old = Answer(body=b'{"version":"0.5.1"}')
    answer(world, lambda request: old if request.path == "/api/version" else None)
    home.connection.view()
    until(lambda: home.connection.view().state == "found")
    assert "An old server" in html(settings_page())
    assert "This server is version 0.5.1" in html(settings_page())


def test_a_server_without_models_offers_some_and_a_pulled_one_is_used(
    world: World, stub: Stub, home: Home, ws: Workspace
) -> None:
    world.cards.clear()
    home.connection.view()
    until(lambda: home.connection.view().state == "found")
    app = settings_page()
    assert any("no chat model yet" in caption.value for caption in app.caption)
    assert "2.6 GB" in html(app)
    app.button(key="get:qwen3:4b").click().run()
    until(lambda: home.connection.pulls()[0].state == "done" and home.connection.card("qwen3:4b"))
    app.run()
    app.button(key="use:qwen3:4b").click().run()
    assert box(app, "Model").value == "qwen3:4b"
    app.button(key="save_settings").click().run()
    assert ws.state().settings.model == "qwen3:4b"


def test_a_pull_is_cancelled_and_goes_on(world: World, found: Home) -> None:
    gate = Gate(at=200)
    line = b'{"status":"pulling layer","digest":"sha256:aa","total":1000000000,"completed":250000000}\n'
    held = Answer(headers=(("Content-Type", "application/x-ndjson"),), body=line * 4, gate=gate)
    answers = iter([held])
    answer(world, lambda request: next(answers, None) if request.path == "/api/pull" else None)
    app = settings_page()
    app.button(key="get:qwen3:8b").click().run()
    until(lambda: found.connection.pulls()[0].total_bytes)
    app.run()
    assert "250 MB of 1.0 GB" in "".join(str(bar.proto) for bar in app.get("progress"))
    app.button(key="cancel:qwen3:8b").click().run()
    until(lambda: found.connection.pulls()[0].state == "cancelled")
    gate.open()
    app.run()
    assert "250 MB of 1.0 GB are there" in html(app)
    app.button(key="resume:qwen3:8b").click().run()
    until(lambda: found.connection.pulls()[0].state == "done")


def test_a_pull_that_fails_says_why(found: Home) -> None:
    app = settings_page()
    app.text_input[0].set_value("missing-model")
    next(button for button in app.button if button.label == "Get it").click().run()
    until(lambda: found.connection.pulls()[0].state == "failed")
    app.run()
    assert "<b>missing-model</b>: " in html(app)
    assert "resume:missing-model" in [button.key for button in app.button]


def test_bytes_that_come_in_do_not_redraw_the_page_but_an_end_does(found: Home, world: World) -> None:
    before = shape(found.connection)
    found.connection.pull("qwen3:4b")
    assert shape(found.connection) != before
    until(lambda: found.connection.pulls()[0].state == "done" and found.connection.card("qwen3:4b"))
    after = shape(found.connection)
    found.connection.look_again()
    assert shape(found.connection) == after


# --- the settings -----------------------------------------------------------------------------------------------


def test_what_is_chosen_is_not_saved_until_it_is(found: Home, ws: Workspace) -> None:
    app = settings_page()
    assert "Everything here is saved" in html(app)
    box(app, "Model").select(THINKS).run()
    number(app, "Window").set_value(16384).run()
    number(app, "Warning mark").set_value(60.0).run()
    box(app, "Thinking").select("high").run()
    assert ws.state().settings == AgentSettings()
    assert "5,120" not in html(app)
    assert "8,192 tokens → <b>16,384 tokens</b>" in html(app)
    assert "flush at <b>15,360</b> tokens" in html(app)
    app.button(key="save_settings").click().run()
    saved = ws.state().settings
    assert (saved.model, saved.window_tokens, saved.warn_share, saved.think) == (THINKS, 16384, 0.6, "high")
    assert "Everything here is saved" in html(app)


def test_a_refused_configuration_shows_the_numbers_and_keeps_what_was_typed(found: Home, ws: Workspace) -> None:
    app = settings_page()
    number(app, "Window").set_value(2000).run()
    app.button(key="save_settings").click().run()
    assert "Refused:" in html(app)
    assert "a window of 2000 tokens" in html(app)
    assert number(app, "Window").value == 2000
    assert ws.state().settings.window_tokens == 8192
    number(app, "Window").set_value(4096).run()
    assert "Refused:" not in html(app)
    app.button(key="save_settings").click().run()
    assert ws.state().settings.window_tokens == 4096


def test_what_cannot_be_is_said_while_it_is_typed(found: Home, ws: Workspace) -> None:
    app = settings_page()
    number(app, "Reply reserve").set_value(9000).run()
    assert "the reply reserve (9000 tokens) must be smaller than the window (8192 tokens)" in html(app).lower()
    assert app.button(key="save_settings").disabled
    number(app, "Window").set_value(100).run()
    assert "Window is 100 tokens" in html(app)
    app.button(key="discard_settings").click().run()
    assert (number(app, "Window").value, number(app, "Reply reserve").value) == (8192, 1024)


def test_a_setting_put_back_is_no_longer_the_persons_own(found: Home, ws: Workspace) -> None:
    app = settings_page()
    number(app, "Window").set_value(16384).run()
    number(app, "Window").set_value(8192).run()
    ws.configure(AgentSettings(window_tokens=6144))
    app.run()
    assert number(app, "Window").value == 6144
    assert "Everything here is saved" in html(app)


def test_settings_changed_elsewhere_show_up_and_leave_the_typed_ones(found: Home, ws: Workspace) -> None:
    app = settings_page()
    number(app, "Window").set_value(16384).run()
    ws.configure(AgentSettings(step_cap=5))
    app.run()
    assert number(app, "Model calls").value == 5
    assert number(app, "Window").value == 16384
    app.button(key="save_settings").click().run()
    assert (ws.state().settings.step_cap, ws.state().settings.window_tokens) == (5, 16384)


def test_what_is_not_saved_survives_another_page(found: Home, ws: Workspace) -> None:
    app = settings_page()
    number(app, "Window").set_value(16384).run()
    app.switch_page("app.py").run()
    app.switch_page("pages/settings.py").run()
    assert number(app, "Window").value == 16384


def test_a_model_without_tool_support_gets_structured_output_and_says_so(found: Home, ws: Workspace) -> None:
    app = settings_page()
    box(app, "Model").select(PLAIN).run()
    assert "cannot call functions by itself" in html(app)
    assert "Tools → <b>Structured output</b>" in html(app)
    box(app, "Model").select(THINKS).run()
    assert "Structured output</b>" not in html(app)
    box(app, "Model").select(PLAIN).run()
    app.button(key="save_settings").click().run()
    assert ws.state().settings.calling == "structured"
    ws.send("Hello")
    assert ws.wait_idle(PATIENCE_S)


def test_a_model_that_cannot_think_is_not_asked_to(found: Home, ws: Workspace) -> None:
    app = settings_page()
    box(app, "Model").select(THINKS).run()
    box(app, "Thinking").select("on").run()
    box(app, "Model").select(TOOLS).run()
    assert box(app, "Thinking").value == "off"


def mode(app: AppTest, function: str) -> Any:
    return next(group for group in app.button_group if group.label == f"{function}: on, ask or off")


def test_a_function_is_switched_off_and_on_again(found: Home, ws: Workspace) -> None:
    app = settings_page()
    assert sum(group.label.endswith(": on, ask or off") for group in app.button_group) == 13
    assert "13 on, 0 ask, 0 off" in html(app)
    mode(app, "note_list").select("off").run()
    mode(app, "note_read").select("off").run()
    app.button(key="save_settings").click().run()
    assert ws.state().settings.functions_off == ("note_list", "note_read")
    defined: Any = ws.event(ws.state().instructions_seq)
    assert {"note_list", "note_read"}.isdisjoint(schema["function"]["name"] for schema in defined.schemas)
    mode(app, "note_list").select("on").run()
    assert "note_list, note_read → <b>note_read</b>" in html(app)
    mode(app, "note_list").select("off").run()
    assert "Everything here is saved" in html(app)


def test_a_function_that_asks_is_not_off_and_stays_offered(found: Home, ws: Workspace) -> None:
    app = settings_page()
    mode(app, "note_write").select("off").run()
    mode(app, "note_write").select("ask").run()
    mode(app, "archival_memory_insert").select("ask").run()
    assert "11 on, 2 ask, 0 off" in html(app)
    assert "none → <b>archival_memory_insert, note_write</b>" in html(app)
    app.button(key="save_settings").click().run()
    saved = ws.state().settings
    assert (saved.functions_ask, saved.functions_off) == (("archival_memory_insert", "note_write"), ())
    defined: Any = ws.event(ws.state().instructions_seq)
    assert "note_write" in {schema["function"]["name"] for schema in defined.schemas}
    assert mode(app, "note_write").value == "ask"


def test_the_strategy_the_review_and_the_page_size_are_saved(found: Home, ws: Workspace) -> None:
    app = settings_page()
    [radio] = [radio for radio in app.radio if radio.label == "What becomes of what leaves"]
    assert len(radio.options) == 4
    radio.set_value("archive_verbatim").run()
    for toggle in app.toggle:
        toggle.set_value(not toggle.value)
    number(app, "Results on a page").set_value(7)
    app.run()
    assert "Summarise recursively → <b>Archive word for word</b>" in html(app)
    app.button(key="save_settings").click().run()
    saved = ws.state().settings
    assert (saved.strategy, saved.tell_edits, saved.review_sessions, saved.page_size) == (
        "archive_verbatim",
        False,
        True,
        7,
    )


def test_a_session_is_reviewed_at_the_push_of_a_button(home: Home, ws: Workspace) -> None:
    assert settings_page().button(key="review_now").disabled, "there is no session yet"
    ws.send("My dog is called Rex.")
    assert ws.wait_idle(PATIENCE_S)
    app = settings_page()
    assert any("Session 1 has not been reviewed" in caption.value for caption in app.caption)
    app.button(key="review_now").click().run()
    assert ws.wait_idle(PATIENCE_S)
    app.run()
    assert any("Session 1 has been reviewed" in caption.value for caption in app.caption)
    assert ws.state().reviewed_session == 1


def instructions(ws: Workspace) -> str:
    defined: Any = ws.event(ws.state().instructions_seq)
    return str(defined.instructions)


def test_instructions_are_edited_counted_and_put_back(home: Home, ws: Workspace) -> None:
    app = settings_page()
    assert f"the default, {ws.state().instructions_tokens:,} tokens of every request" in html(app)
    assert app.button(key="default_instructions").disabled
    [area] = app.text_area
    area.set_value("Be brief. <b>& \x00 $x$").run()
    assert "your own, " in html(app)
    assert "System instructions" in html(app)
    assert instructions(ws) == MEMGPT_INSTRUCTIONS
    app.button(key="save_settings").click().run()
    assert instructions(ws) == "Be brief. <b>& \x00 $x$"
    assert "Everything here is saved" in html(app)
    app.button(key="default_instructions").click().run()
    app.button(key="save_settings").click().run()
    assert instructions(ws) == MEMGPT_INSTRUCTIONS


def test_instructions_that_cannot_be_keep_what_was_typed(home: Home, ws: Workspace) -> None:
    app = settings_page()
    app.text_area[0].set_value("  ").run()
    assert "The system instructions are empty" in html(app)
    assert app.button(key="save_settings").disabled
    app.text_area[0].set_value("word " * 8000).run()
    app.button(key="save_settings").click().run()
    assert "The window is too small" in html(app)
    assert app.text_area[0].value.startswith("word word")
    assert instructions(ws) == MEMGPT_INSTRUCTIONS


def test_a_changed_protocol_brings_its_default_instructions_but_not_over_the_persons_own(
    home: Home, ws: Workspace
) -> None:
    native = ws.state().settings.model_copy(update={"protocol": "native"})
    ws.configure(native)
    assert instructions(ws) == NATIVE_INSTRUCTIONS
    ws.define_instructions("My own.")
    ws.configure(native.model_copy(update={"protocol": "memgpt"}))
    assert instructions(ws) == "My own."
    app = settings_page()
    app.button(key="default_instructions").click().run()
    app.button(key="save_settings").click().run()
    assert instructions(ws) == MEMGPT_INSTRUCTIONS


@pytest.mark.parametrize("step", [1, 2, 4])
def test_looking_back_shows_the_settings_of_then_and_changes_nothing(home: Home, ws: Workspace, step: int) -> None:
    ws.configure(ws.state().settings.model_copy(update={"step_cap": 3}), instructions="<i>Be brief.</i>")
    seq = ws.last_seq
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30).run()
    app.switch_page("pages/settings.py")
    app.query_params["agent"], app.query_params["step"] = ws.agent_id, str(step)
    app.run()
    assert not app.exception
    assert any(f", as of event {step}" in title.value for title in app.markdown)
    assert "<td>12</td><td><b>3</b></td>" in html(app)
    assert ("Be brief" in html(app)) is False
    assert (len(app.number_input), len(app.text_area), ws.last_seq) == (0, 0, seq)
    assert "save_settings" not in {button.key for button in app.button}


def test_every_number_that_may_be_empty_says_what_that_means(found: Home) -> None:
    app = settings_page()
    empty = {field.label: field.placeholder for field in app.number_input if field.value is None}
    assert empty.pop("Vectors in RAM (MB)") == "1,024"
    assert empty == {"Top-p": "the model's own", "Top-k": "the model's own", "Seed": "the agent's own"}


def test_a_chosen_model_stays_in_the_list_under_the_same_name_when_the_server_is_away() -> None:
    card = ModelCard("qwen3:4b", 1, "", "", "d", True, True, False, 1, False)
    assert model_choice.options((card,), "qwen3:4b") == model_choice.options((), "qwen3:4b") == [DEMO, "qwen3:4b"]


def test_a_cloud_model_is_marked_as_leaving_the_machine(world: World, stub: Stub, home: Home, ws: Workspace) -> None:
    world.cards["big:cloud"] = {"capabilities": ["completion", "tools"], "context": 8192, "size": 300}
    home.connection.view()
    until(lambda: home.connection.view().state == "found")
    app = settings_page()
    assert "leaves the machine</span>" in html(app)
    box(app, "Model").select("big:cloud").run()
    assert "This model leaves the machine." in html(app)
    app.button(key="save_settings").click().run()
    assert any("leaves the machine" in warning.value for warning in app.sidebar.warning)


# --- the trial --------------------------------------------------------------------------------------------------


def test_a_trial_runs_and_its_numbers_are_kept(found: Home, ws: Workspace) -> None:
    app = settings_page()
    assert any("needs no trial" in caption.value for caption in app.caption)
    box(app, "Model").select(TOOLS).run()
    app.button(key="start_trial").click().run()
    until(lambda: found.trials.running(TOOLS) is None)
    app.run()
    shown = html(app)
    assert "for this work" in shown or "Usable with care" in shown
    assert all(name in shown for name in ("Calls", "Restraint", "Arguments", "Heartbeats"))
    assert "digest" in shown
    assert "speaks by a call" in shown
    assert "Try it again" in labels(app)


def test_a_running_trial_shows_how_far_it_is_and_can_be_cancelled(world: World, found: Home, ws: Workspace) -> None:
    gate = Gate()
    answer(world, lambda request: Answer(gate=gate) if request.path == "/api/chat" else None)
    app = settings_page()
    box(app, "Model").select(TOOLS).run()
    app.button(key="start_trial").click().run()
    app.run()
    assert "0 of 7 exchanges" in "".join(str(bar.proto) for bar in app.get("progress"))
    app.button(key="cancel_trial").click().run()
    until(lambda: found.trials.running(TOOLS) is None)
    gate.open()
    app.run()
    assert "The last trial came to no end. The trial was stopped." in html(app)


# --- what it leaves in the chat ---------------------------------------------------------------------------------


def chat() -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30).run()
    assert not app.exception, app.exception
    return app


def tell(ws: Workspace, text: str) -> None:
    ws.send(text)
    assert ws.wait_idle(PATIENCE_S)


def test_the_chat_says_when_the_model_changed_and_what_each_step_cost(found: Home, ws: Workspace) -> None:
    ws.configure(AgentSettings(model=THINKS, think="on", window_tokens=16384))
    tell(ws, "remember I like plums")
    shown = html(chat())
    assert "Settings changed" in shown
    assert f"Demo model (rules, no language model) → {THINKS}" in shown
    assert f"Step 1 is the first with <b>{THINKS}</b>" in shown
    assert "Step 2 is the first" not in shown
    assert shown.count("<td>25.0</td>") == 2
    assert all(f"<th>{name}</th>" in shown for name in ("prompt tokens cached", "prompt tokens fresh", "load"))
    assert '<summary><span class="soft">Thinking</span></summary>' in shown
    assert "A fact worth keeping." in shown


def test_a_step_is_told_while_its_turn_still_runs(found: Home, ws: Workspace, world: World) -> None:
    ws.configure(AgentSettings(model=THINKS))
    gate = Gate()
    answers = iter([None, Answer(gate=gate)])
    answer(world, lambda request: next(answers, None) if request.path == "/api/chat" else None)
    ws.send("remember I like plums")
    gate.wait()
    assert html(chat()).count("<td>25.0</td>") == 1
    ws.stop()
    assert ws.wait_idle(PATIENCE_S)
    gate.open()


def test_a_fault_of_the_model_leads_to_smaller_models(found: Home, ws: Workspace) -> None:
    ws.configure(AgentSettings(model=THINKS))
    tell(ws, "/memory please")
    assert "more system memory (9.5 GiB)" in html(chat())
    app = settings_page()
    assert f"The last turn failed with {THINKS}" in html(app)
    assert "more system memory (9.5 GiB)" in html(app)
    smaller = [button.key for button in app.button if (button.key or "").startswith("smaller:")]
    assert smaller == [f"smaller:{TOOLS}", f"smaller:{PLAIN}"]
    app.button(key=smaller[0]).click().run()
    assert box(app, "Model").value == TOOLS
    app.button(key="save_settings").click().run()
    assert "The last turn failed" not in html(app)


def test_a_turn_that_broke_off_is_run_on_with_other_settings(found: Home, ws: Workspace, world: World) -> None:
    ws.configure(AgentSettings(model=THINKS))
    answers = iter([Answer(status="500 Internal Server Error", body=b'{"error":"out of memory"}')])
    answer(world, lambda request: next(answers, None) if request.path == "/api/chat" else None)
    tell(ws, "Hello")
    ws.configure(AgentSettings(model=TOOLS))
    app = chat()
    app.button(key="resume").click().run()
    assert ws.wait_idle(PATIENCE_S)
    app.run()
    assert "You had the turn run on" in html(app)
    assert any("You said: Hello" in text.value for text in app.markdown)
    assert "resume" not in [button.key for button in app.button]


def test_how_often_the_models_erred_is_said(found: Home, ws: Workspace) -> None:
    assert "function calls:" not in html(settings_page())
    ws.configure(AgentSettings(model=TOOLS))
    tell(ws, "Hello")
    assert "function calls: 1; of them failed and handed back to the model: 0" in html(settings_page())


def test_a_new_agent_is_told_what_to_do_after_its_settings_changed(found: Home, ws: Workspace) -> None:
    ws.configure(AgentSettings(model=TOOLS))
    assert any("Say something to Tester" in text.value for text in chat().markdown)


def test_a_cut_prompt_is_loud_in_the_chat_and_at_its_edge(found: Home, ws: Workspace) -> None:
    ws.configure(AgentSettings(model=TOOLS))
    tell(ws, "Hello")
    assert not chat().sidebar.error
    ws._journal.commit(TruncationSuspected(ours=9120, server=4096, window_tokens=4096))
    app = chat()
    assert "The model server seems to have cut the prompt" in html(app)
    assert "the server read 4,096" in html(app)
    assert any("probably cut the last prompt" in error.value for error in app.sidebar.error)
    tell(ws, "Again")
    assert not chat().sidebar.error


def test_a_model_the_server_has_not_got_can_be_got_at_once(found: Home, ws: Workspace) -> None:
    ws.configure(AgentSettings(model="qwen3:8b"))
    app = settings_page()
    assert "<b>qwen3:8b</b> is not on this server" in html(app)
    app.button(key="get-missing:qwen3:8b").click().run()
    until(lambda: found.connection.card("qwen3:8b"))
    app.run()
    assert "is not on this server" not in html(app)


def test_a_server_that_is_gone_tells_the_agents_model_what_can_stand_in(ws: Workspace, home: Home) -> None:
    ws.configure(AgentSettings(model="qwen3:4b"))
    home.connection.view()
    until(lambda: home.connection.view().state == "missing")
    app = settings_page()
    assert "qwen3:4b cannot answer" in html(app)
    assert box(app, "Model").value == "qwen3:4b"
    box(app, "Model").select(DEMO).run()
    app.button(key="save_settings").click().run()
    assert ws.state().settings.model == DEMO


def test_who_waits_for_whom_is_said(world: World, found: Home, ws: Workspace) -> None:
    gate = Gate()
    answers = iter([Answer(gate=gate)])
    answer(world, lambda request: next(answers, None) if request.path == "/api/chat" else None)
    other = found.open(found.create(Blueprint(name="Other", settings=AgentSettings(model=TOOLS))))
    ws.configure(AgentSettings(model=TOOLS))
    other.send("Hello")
    gate.wait()
    ws.send("Hello")
    until(lambda: ws.activity().detail)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30)
    app.query_params["agent"] = ws.agent_id
    app.run()
    assert "<b>Waiting</b> for Other" in html(app)
    gate.open()
    assert ws.wait_idle(PATIENCE_S)
    assert other.wait_idle(PATIENCE_S)


@pytest.mark.parametrize(
    ("size", "text"), [(2_600_000_000, "2.6 GB"), (274_000_000, "274 MB"), (949_999_999, "950 MB"), (10**9, "1.0 GB")]
)
def test_sizes_are_counted_as_ollama_does(size: int, text: str) -> None:
    assert model_choice.size_text(size) == text


def test_what_is_still_to_be_embedded_is_said_and_nothing_when_all_is(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not any("not embedded" in caption.value for caption in settings_page().caption)
    monkeypatch.setattr(Workspace, "not_embedded", property(lambda _: 1234))
    assert any("1,234 messages and passages are not embedded" in caption.value for caption in settings_page().caption)


def test_a_model_that_takes_over_says_how_far_it_is_and_what_keeps_it(
    found: Home, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(succession, "RETRY_AFTER_S", 3600.0)
    ws = found.open(found.create(Blueprint(name="Changing", settings=AgentSettings(embedder="hashing"))))
    ws.edits.insert_passage("the heron")
    ws.projections.flush()
    ws.recall("heron")
    stub.play("/api/embed", answer_json({"embeddings": [[1.0] * 64]}), wire("error.queue_full"))
    ws.configure(ws.state().settings.model_copy(update={"embedder": f"ollama:{EMBEDS}"}))
    until(lambda: (coming := ws.coming_embedder()) is None or coming.why)
    app = settings_page(ws)
    (said,) = [warning.value for warning in app.warning if "does not go on" in warning.value]
    assert said.startswith("stub-embed:latest has embedded 0 of 1 messages and passages and does not go on: ")
    assert "Hashing: for tests, knows no meaning answers searches meanwhile" in said
    app.button(key="hurry_embedder").click().run()
    until(lambda: ws.coming_embedder() is None)
    app = settings_page(ws)
    assert not any("does not go on" in warning.value for warning in app.warning)


def test_the_homes_switches_hold_at_once_and_say_what_was_asked_and_saved(ws: Workspace, home: Home) -> None:
    ws = home.open(home.create(Blueprint(name="Asking", settings=AgentSettings(embedder="hashing"))))
    for _ in range(2):
        ws.recall("where is the heron")
    app = settings_page(ws)
    (used,) = home.embedders.used()
    assert used.lookups == (2, 1)
    assert f"Askings for vectors: {used.sent.asked}; requests sent: {used.sent.requests};" in html(app)
    assert "queries looked up: 2; known, so that no request was needed: <b>1</b> (50%)" in html(app)
    assert f"Since Memscope was started, {home.embedders.since:%d %b %Y %H:%M} UTC:" in html(app)
    app.toggle(key="embed_queries").set_value(False).run()
    assert not app.exception, app.exception
    assert (home.embedders.batching, home.embedders.query_cache) == (True, False)
    close_home()
    assert (the_home().embedders.batching, the_home().embedders.query_cache) == (True, False), "also at the next start"
