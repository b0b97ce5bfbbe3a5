"""The context page without a browser: each sample agent at its start, middle and end, and what each part says."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from memgpt_core import events as kinds
from memgpt_core.events import Call, Measured, encode
from memgpt_core.home import Home
from memgpt_core.settings import AgentSettings
from memgpt_core.views.grid import window_map
from memgpt_core.views.usage import POINTS_MOST
from memgpt_core.workspace import Workspace
from pages.parts import choices
from pages.parts.context_figures import IDENTICAL, OTHER
from pages.parts.context_map import _data
from pages.parts.context_request import next_one, sent
from pages.parts.context_rows import answer, nth, place, usage_rows
from tests.event_builder import Script
from tests.screens import html

ROOT = Path(__file__).resolve().parents[1]
MAP, USAGE, COMPARE, PREVIEW, RAW = "Map and items", "Over time", "Compare steps", "Preview and what if", "Raw request"
TABS = (MAP, USAGE, COMPARE, PREVIEW, RAW)
EVIL = '<img src=x onerror="hit()">![x](http://a.example/y.png)$x$:red[y]\x1b[31m\u202e<script>hit()</script>'


@pytest.fixture
def page(home: Home) -> Callable[..., AppTest]:
    def run(ws: Workspace, tab: str = MAP, **params: Any) -> AppTest:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        for name, value in {"agent": ws.agent_id, **params}.items():
            app.query_params[name] = str(value)
        app.switch_page("pages/context.py")
        app.session_state["context-tab"] = tab
        return drawn(app)

    return run


def drawn(app: AppTest) -> AppTest:
    app.run()
    assert not app.exception, app.exception
    return app


def texts(app: AppTest) -> str:
    return "\n".join([*(code.value for code in app.code), *(caption.value for caption in app.caption), html(app)])


def step(app: AppTest) -> int:
    """The event in the page's address."""
    value = app.query_params["step"]
    return int(value if isinstance(value, str) else value[0])


def tell(ws: Workspace, text: str) -> None:
    ws.send(text)
    assert ws.wait_idle(30)


def logged(home: Home, script: Script, name: str = "logged") -> Workspace:
    """An agent whose life is this script."""
    folder = home.path / "agents" / name
    folder.mkdir(parents=True)
    (folder / "run.jsonl").write_text("".join(encode(event) + "\n" for event in script.events))
    return home.open(name)


def scripted(text: str = "hello", **settings: Any) -> Script:
    """An agent of a real model's, with one request that was asked with 1,000 tokens."""
    made = Script(
        settings=AgentSettings(**{"model": "small", "window_tokens": 4096, "reserve_tokens": 512, **settings})
    )
    measured = Measured(instructions_tokens=700, schemas_tokens=0)
    made.add(kinds.InstructionsDefined(instructions=f"Be good. {text}", schemas=(), measured=measured))
    made.block("human", text).trigger(text, tokens=270)
    return asked(made)


def asked(made: Script, tokens: int = 1000) -> Script:
    sizes = {"instructions": 700, "schemas": 0, "working_context": 30, "summary": 0, "template": 0}
    return made.add(
        kinds.PromptBuilt(
            purpose="turn",
            sections={**sizes, "messages": tokens - 730},
            window_tokens=4096,
            limit_tokens=3584,
            sha256="0" * 64,
            prefix_tokens=0,
        )
    )


def replied(made: Script, **measured: int) -> Script:
    call = Call(id="c1", name="send_message", arguments={"message": "yes"})
    return made.add(kinds.ModelReplied(purpose="turn", calls=(call,), measured=Measured(tokens=20, **measured)))


# --- the whole page -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", ["companion", "analyst", "prober"])
def test_each_sample_is_drawn_at_its_start_middle_and_end(home: Home, page: Callable, sample: str) -> None:
    ws = home.open(home.start_sample(sample))
    prompts = ws.rows("SELECT seq_from AS seq FROM prompts WHERE purpose = 'turn' ORDER BY 1")
    for at in (1, 2, prompts[0]["seq"], prompts[len(prompts) // 2]["seq"], ws.last_seq):
        app = page(ws, step=at)
        if at == 1:
            assert any("had no instructions yet" in info.value for info in app.info)
        elif at == 2:
            assert any("not left yet" in part.proto.body for part in app.get("html"))
        else:
            assert any(IDENTICAL in text.value for text in app.markdown)
            assert "The whole prompt was read" in html(app)


@pytest.mark.parametrize("tab", TABS)
def test_each_part_is_drawn_live_past_and_before_any_request(
    home: Home, ws: Workspace, page: Callable, tab: str
) -> None:
    page(ws, tab)
    companion = home.open(home.start_sample("companion"))
    for app in (page(companion, tab), page(companion, tab, step=300)):
        assert not app.error


def test_a_new_agent_shows_what_would_be_sent_first(ws: Workspace, page: Callable) -> None:
    app = page(ws)
    assert any("Not sent yet" in text.value for text in app.markdown)
    assert "has not left yet" in html(app)
    assert "Function send_message" in list(app.dataframe[0].value["Item"])


def test_the_items_add_up_to_our_count(ws: Workspace, page: Callable) -> None:
    tell(ws, "My name is Ada and I live in Leiden.")
    app = page(ws)
    event: Any = ws.event(place(ws, ws.last_seq).seq)
    assert app.dataframe[0].value["Tokens"].sum() == sum(event.sections.values())
    assert f"<b>{sum(event.sections.values()):,}" in html(app)


def test_the_chosen_part_is_shown_with_its_exact_text(ws: Workspace, page: Callable) -> None:
    tell(ws, "My name is Ada and I live in Leiden.")
    app = page(ws)
    app.session_state[choices.window_part(ws.agent_id)] = "block:persona"
    app.run()
    assert any(code.value.startswith('<block label="persona"') for code in app.code)
    app.session_state[choices.window_part(ws.agent_id)] = "free"
    app.run()
    assert any("Room that no text fills yet" in caption.value for caption in app.caption)


def test_a_part_that_is_no_longer_there_gives_way_to_the_newest_message(ws: Workspace, page: Callable) -> None:
    tell(ws, "My name is Ada and I live in Leiden.")
    app = page(ws)
    app.session_state[choices.window_part(ws.agent_id)] = "m99999"
    app.run()
    newest = ws.state(place(ws, ws.last_seq).seq).queue[-1].id
    assert f" {newest}</b>" in html(app)


# --- which request ------------------------------------------------------------------------------------------------


def test_the_way_to_the_other_requests(home: Home, page: Callable) -> None:
    ws = home.open(home.start_sample("prober"))
    app = page(ws)
    last = place(ws, ws.last_seq)
    app.button(key="step:Previous").click().run()
    assert step(app) == last.before
    assert app.number_input[0].value == last.number - 1
    app.number_input[0].set_value(2).run()
    assert step(app) == nth(ws, 2)
    app.button(key="step:Next").click().run()
    assert step(app) == nth(ws, 3)
    assert not app.exception


def test_the_request_of_an_event_between_two_is_the_one_before_it(home: Home) -> None:
    ws = home.open(home.start_sample("prober"))
    first, second = nth(ws, 1), nth(ws, 2)
    assert place(ws, first - 1) is None
    assert place(ws, second - 1).seq == first
    assert place(ws, second).seq == second
    assert (place(ws, second).before, place(ws, first).before, place(ws, ws.last_seq).after) == (first, None, None)
    assert nth(ws, 10_000) is None


def test_the_next_request_has_what_came_after_the_last_one(ws: Workspace, page: Callable) -> None:
    tell(ws, "My name is Ada and I live in Leiden.")
    app = page(ws)
    before = len(app.dataframe[0].value)
    app.session_state[choices.window_next(ws.agent_id, None)] = True
    app.run()
    assert len(app.dataframe[0].value) > before
    assert any("Not sent yet" in text.value for text in app.markdown)


def test_a_request_that_is_built_otherwise_today_says_so(home: Home, page: Callable) -> None:
    ws = logged(home, scripted())
    assert any(OTHER in text.value for text in page(ws).markdown)
    assert not any(IDENTICAL in text.value for text in page(ws).markdown)


# --- the figures --------------------------------------------------------------------------------------------------


def test_a_cut_prompt_is_said_loudly(home: Home, page: Callable) -> None:
    made = replied(scripted(), prompt_tokens=500, served_window=4096)
    app = page(logged(home, made))
    assert "The prompt was cut." in html(app)
    assert 'role="alert"' in html(app)
    assert "500 fewer" in html(app)


def test_what_was_suspected_at_the_time_is_what_is_said(home: Home, page: Callable) -> None:
    made = replied(scripted(), prompt_tokens=990, served_window=990)
    made.add(kinds.TruncationSuspected(ours=1000, server=990, window_tokens=990))
    ws = logged(home, made)
    found = answer(ws, place(ws, ws.last_seq))
    assert found.cut is not None
    assert found.cut.seq == made.seq
    assert "Settings, set this agent&#x27;s window to 990" in html(page(ws))


def test_an_agreement_is_not_loud(home: Home, page: Callable) -> None:
    app = page(logged(home, replied(scripted(), prompt_tokens=1040, served_window=4096)))
    assert 'role="alert"' not in html(app)
    assert "40 tokens more (4.0 %)" in html(app)
    assert "estimated" in html(app)


def test_the_answer_belongs_to_its_own_request(home: Home) -> None:
    made = asked(scripted(), 1100)
    replied(made, prompt_tokens=500).add(kinds.TruncationSuspected(ours=1100, server=500))
    asked(made.returned(), 1200)
    ws = logged(home, made)
    unanswered, cut_off, newest = (answer(ws, place(ws, nth(ws, number))) for number in (1, 2, 3))
    assert (unanswered.seq, unanswered.server, unanswered.cut) == (None, None, None)
    assert cut_off.server == 500
    assert cut_off.cut is not None
    assert (newest.seq, newest.cut) == (None, None)


# --- over time ----------------------------------------------------------------------------------------------------


def test_a_long_life_becomes_few_points_and_no_mark_is_lost(home: Home) -> None:
    made = scripted()
    replied(made).returned().end()
    for number in range(700):
        if number % 50 == 0:
            made.warned()
        if number % 90 == 0:
            made.flushed(2)
        made.trigger("again")
        replied(asked(made, 800 + number)).end()
    ws = logged(home, made)
    points, happened, requests = usage_rows(ws, ws.last_seq, None)
    assert requests == 701
    assert len(points) == POINTS_MOST
    assert sum(point["of"] for point in points) == 701
    assert max(point["total_tokens"] for point in points) == 1499
    assert sum(row["times"] for row in happened if row["kind"] == "pressure_warned") == 14
    assert sum(row["times"] for row in happened if row["kind"] == "queue_flushed") == 8
    half = ws.last_seq // 2
    points, _, requests = usage_rows(ws, half, None)
    assert 340 < requests < 360
    assert all(point["seq_from"] <= half for point in points)


def test_one_session_is_a_part_of_all(home: Home, page: Callable) -> None:
    ws = home.open(home.start_sample("companion"))
    whole = usage_rows(ws, ws.last_seq, None)[2]
    each = [usage_rows(ws, ws.last_seq, session)[2] for session in range(1, ws.state().session + 1)]
    asked = [event for event in ws.events(1) if event.kind == "prompt_built" and event.purpose == "turn"]
    assert sum(each) == whole == len(asked)
    app = page(ws, USAGE)
    app.selectbox(key=f"usage-session:{ws.agent_id}").select(3).run()
    assert any(caption.value.startswith(f"{each[2]} request") for caption in app.caption)


# --- comparing ----------------------------------------------------------------------------------------------------


def test_two_requests_are_compared_and_the_first_is_the_one_before(home: Home, page: Callable) -> None:
    ws = home.open(home.start_sample("companion"))
    app = page(ws, COMPARE)
    event: Any = ws.event(place(ws, ws.last_seq).seq)
    assert f"<b>{event.prefix_tokens:,} tokens</b>" in html(app)
    app.number_input[1].set_value(1).run()
    assert "summary" in "".join(app.dataframe[0].value["Section"]).lower()
    assert "<ins>" in html(app)
    assert "<del>" in html(app)


# --- preview and what if ------------------------------------------------------------------------------------------


def test_the_preview_lists_what_the_next_flush_takes(home: Home, page: Callable) -> None:
    ws = home.open(home.start_sample("companion"))
    made = ws.rows("SELECT seq_from AS seq FROM events WHERE kind = 'queue_flushed' ORDER BY 1 DESC LIMIT 1")[0]["seq"]
    flush: Any = ws.event(made)
    # The events right before a flush are its summary's: the queue is as it will be then.
    app = page(ws, PREVIEW, step=made - 3)
    assert len(app.dataframe[0].value) == len(flush.evicted)
    assert [text.rsplit(" ", 1)[-1] for text in app.dataframe[0].value["Item"]] == list(flush.evicted)
    assert "leave before the next step" in html(app)


def test_what_if_is_worked_out_and_changes_nothing(home: Home, page: Callable) -> None:
    ws = home.open(home.start_sample("companion"))
    last = ws.last_seq
    app = page(ws, PREVIEW)
    app.number_input(key=choices.what_if(ws.agent_id, "window_tokens")).set_value(8192)
    submit(app)
    assert "<b>7,680 tokens</b>" in html(app)
    assert ws.last_seq == last
    assert ws.state().settings.window_tokens == 4096


def submit(app: AppTest) -> None:
    next(button for button in app.button if button.label == "Work it out").click().run()
    assert not app.exception


def test_a_window_that_cannot_be_is_refused(home: Home, page: Callable) -> None:
    ws = home.open(home.start_sample("companion"))
    app = page(ws, PREVIEW)
    app.number_input(key=choices.what_if(ws.agent_id, "reserve_tokens")).set_value(9000)
    submit(app)
    assert "That cannot be." in html(app)
    assert "must be smaller than the window" in html(app)


# --- the raw request ----------------------------------------------------------------------------------------------


def test_the_raw_request_is_the_bytes_that_were_sent(ws: Workspace, page: Callable) -> None:
    tell(ws, "My name is Ada and I live in Leiden.")
    event: Any = ws.event(place(ws, ws.last_seq).seq)
    app = page(ws, RAW)
    body = json.loads(app.code[0].value)
    assert body["messages"][0]["role"] == "system"
    app.session_state["context-layout"] = "As sent, one line"
    app.run()
    assert hashlib.sha256(app.code[0].value.encode()).hexdigest() == event.sha256


# --- text that is not ours ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("tab", TABS)
def test_hostile_text_is_shown_as_text(home: Home, page: Callable, tab: str) -> None:
    made = replied(scripted(EVIL)).returned(value=EVIL).end().trigger(EVIL)
    made.add(
        kinds.WorkingContextEdited(
            block="human", before=EVIL, after=EVIL * 2, author="human", based_on=3, measured=Measured(tokens=40)
        )
    )
    ws = logged(home, asked(made, 1200))
    app = page(ws, tab)
    app.session_state[choices.window_part(ws.agent_id)] = "block:human"
    app.run()
    assert not app.exception
    assert "<img" not in html(app)
    assert "<script" not in html(app).replace("<style>", "")
    assert all("![x]" not in text.value for text in (*app.markdown, *app.caption))
    shown = texts(app)
    if tab == MAP:
        assert "⟨U+202E⟩" in shown
        assert "characters here are invisible" in shown
        assert "<script>hit()</script>" in "".join(code.value for code in app.code)
    if tab == COMPARE:
        assert "&lt;img src=x" in shown
    assert "\u202e" not in shown


def test_the_map_hands_the_browser_names_and_numbers_only(home: Home) -> None:
    ws = logged(home, scripted(EVIL))
    shown = sent(ws, place(ws, ws.last_seq))
    data = _data(window_map(shown.items, shown.state.settings))
    assert EVIL not in json.dumps(data, ensure_ascii=False)
    assert sum(piece["cells"] for piece in data["pieces"]) == 480
    assert next_one(ws, ws.state()).identical is None


@pytest.mark.parametrize("wrong", ["0", "999999", "x", "-3", "1e3", "<b>"])
def test_a_step_that_is_not_there_gets_a_sentence(ws: Workspace, page: Callable, wrong: str) -> None:
    app = page(ws, step=wrong)
    assert any("There is no event" in warning.value for warning in app.warning)
    assert app.dataframe
