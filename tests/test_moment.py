"""The point in time in the address: what the chat shows then, what it refuses, and that links carry it."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from memgpt_core.home import Home
from memgpt_core.workspace import Workspace
from pages.parts import keyboard, sidebar

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def ws(home: Home) -> Workspace:
    return home.open(home.start_sample("companion"))


def _chat(ws: Workspace, **params: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params["agent"] = ws.agent_id
    for name, value in params.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception
    return app


def _texts(app: AppTest) -> str:
    return "\n".join(element.value for element in app.markdown)


def test_an_event_in_the_address_shows_the_chat_as_it_was_then(ws: Workspace) -> None:
    app = _chat(ws, step="50")
    state = ws.state(50)
    where = f"**As of event 50** of {ws.last_seq:,} · session {state.session}, turn {state.turn}"
    assert where in _texts(app)
    assert not app.chat_input, "nothing can be said into the past"
    told = [event.text for event in ws.events(1, 50) if event.kind == "message_sent"]
    later = [event.text for event in ws.events(51) if event.kind == "message_sent" and event.text not in told]
    assert told[-1] in _texts(app)
    assert all(text not in _texts(app) for text in later)


def test_a_session_in_the_address_is_its_end_and_the_newest_one_is_live(ws: Workspace) -> None:
    last = max(event.seq for event in ws.events(1) if event.session == 1)
    assert f"**As of event {last}**" in _texts(_chat(ws, session="1"))
    app = _chat(ws, session=str(ws.state().session))
    assert "As of event" not in _texts(app)
    assert app.chat_input


@pytest.mark.parametrize("step", ["0", "-3", "99999999", "abc", "", "1e3", "٣", "<b>"])
def test_an_event_that_is_not_there_is_named_and_the_newest_is_shown(ws: Workspace, step: str) -> None:
    app = _chat(ws, step=step)
    said = "\n".join(warning.value for warning in app.warning)
    assert "There is no event" in said
    assert f"1 to {ws.last_seq:,}" in said
    assert app.chat_input


def test_a_session_that_is_not_there_is_named(ws: Workspace) -> None:
    said = "\n".join(warning.value for warning in _chat(ws, session="77").warning)
    assert "There is no session “77”" in said


def test_back_to_live_takes_the_event_out_of_the_address(ws: Workspace) -> None:
    app = _chat(ws, step="50")
    app.button(key="live").click().run()
    assert "step" not in app.query_params
    assert app.chat_input


def test_every_page_opens_at_the_same_point_through_its_link(
    ws: Workspace,
) -> None:
    app = _chat(ws, step="50")
    for file, name, _ in sidebar.PAGES:
        app.switch_page(file).run()
        assert not app.exception, (file, app.exception)
        assert "**As of event 50**" in _texts(app), name


def test_the_key_list_names_every_key_once() -> None:
    keys = [key for key, _ in keyboard.SHORTCUTS]
    assert len(keys) == len(set(keys))
    assert keys[0] == "?"
