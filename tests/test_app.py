"""The chat page without a browser: what is drawn for which state, and what a click does to the log."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from memgpt_core.blueprint import Blueprint
from memgpt_core.home import Home, close_home
from memgpt_core.workspace import Workspace
from pages.parts import choices, sidebar
from pages.parts.markup import details, line, text_box
from pages.parts.safe_md import BREAK, safe_md
from pages.parts.theme import _tiers

ROOT = Path(__file__).resolve().parents[1]
FACT = "My name is Ada and I live in Leiden."


@pytest.fixture
def page(home: Home) -> Callable[..., AppTest]:
    def run(**params: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30)
        for name, value in params.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception, app.exception
        return app

    return run


def _html(app: AppTest) -> str:
    return "\n".join(element.proto.body for element in app.get("html"))


def _shown(app: AppTest) -> str:
    """The agent in the page's address."""
    agent = app.query_params["agent"]
    return agent if isinstance(agent, str) else agent[0]


def _tell(ws: Workspace, text: str) -> None:
    ws.send(text)
    assert ws.wait_idle(30)


def _button(app: AppTest, key: str) -> Any:
    return app.button(key=key)


# --- the page ---------------------------------------------------------------------------------------------


def test_a_new_agent_is_shown_with_what_to_do_next(ws: Workspace, page: Callable) -> None:
    app = page()
    assert _shown(app) == ws.agent_id
    assert any("Say something to Tester" in text.value for text in app.markdown)
    assert "Nothing left the window" in _html(app)
    assert "None yet. Each call shows here" in _html(app)
    assert [button.label for button in app.button if (button.key or "").startswith("try:")]


def test_a_message_is_sent_and_its_answer_drawn(ws: Workspace, page: Callable) -> None:
    app = page()
    app.chat_input(key="message").set_value(FACT).run()
    assert ws.wait_idle(30)
    app.run()
    assert [message.name for message in app.chat_message] == ["user", "assistant"]
    assert app.chat_message[0].markdown[0].value == FACT
    html = _html(app)
    assert "core_memory_append" in html
    assert "FIFO queue" in html
    assert "Idle" in html


def test_a_suggestion_is_sent_by_a_click(ws: Workspace, page: Callable) -> None:
    app = page()
    button = next(button for button in app.button if (button.key or "").startswith("try:"))
    button.click().run()
    assert ws.wait_idle(30)
    assert any(getattr(event, "text", "") == button.label for event in ws.events(1))


def test_what_was_in_the_window_is_looked_up_when_opened(ws: Workspace, page: Callable) -> None:
    _tell(ws, FACT)
    app = page()
    assert "The request of step" not in _html(app)
    (reply,) = [event.seq for event in ws.events(1) if event.kind == "message_sent"]
    app.session_state[f"sent:{ws.agent_id}:{reply}"] = True
    app.run()
    assert "The request of step" in _html(app)
    assert "FIFO queue <b>m" in _html(app)


def test_a_block_is_edited_and_the_edit_undone(ws: Workspace, page: Callable) -> None:
    app = page()
    _button(app, "edit:persona").click().run()
    app.text_area[0].set_value("Short answers.").run()
    _button(app, "save:persona").click().run()
    assert ws.state().blocks["persona"].value == "Short answers."
    assert not app.text_area
    _button(app, "undo:persona").click().run()
    assert ws.state().blocks["persona"].value == "I am a helpful companion."
    _button(app, "history:persona").click().run()
    assert "Short answers." in _html(app)


def _stale(ws: Workspace, page: Callable) -> AppTest:
    app = page()
    _button(app, "edit:human").click().run()
    ws.edits.edit_block("human", "Theirs.", based_on=ws.state().blocks["human"].seq)
    app.text_area[0].set_value("Mine.").run()
    assert "while you are editing" in _html(app)
    _button(app, "save:human").click().run()
    assert ws.state().blocks["human"].value == "Theirs."
    assert "Not saved:" in _html(app)
    assert "Theirs." in _html(app)
    assert app.text_area[0].value == "Mine."
    return app


def test_a_stale_save_can_go_over_the_other_text(ws: Workspace, page: Callable) -> None:
    app = _stale(ws, page)
    _button(app, "over:human").click().run()
    assert ws.state().blocks["human"].value == "Mine."


def test_a_stale_save_can_give_way(ws: Workspace, page: Callable) -> None:
    app = _stale(ws, page)
    _button(app, "keep:human").click().run()
    assert ws.state().blocks["human"].value == "Theirs."
    assert not app.text_area


def test_a_stale_save_can_be_merged_by_hand(ws: Workspace, page: Callable) -> None:
    app = _stale(ws, page)
    _button(app, "merge:human").click().run()
    assert app.text_area[0].value == "Theirs.\nMine."
    _button(app, "save:human").click().run()
    assert ws.state().blocks["human"].value == "Theirs.\nMine."


def test_a_save_that_goes_stale_twice_is_refused_twice(ws: Workspace, page: Callable) -> None:
    app = _stale(ws, page)
    ws.edits.edit_block("human", "Theirs again.", based_on=ws.state().blocks["human"].seq)
    _button(app, "over:human").click().run()
    assert ws.state().blocks["human"].value == "Theirs again."
    assert "Theirs again." in _html(app)
    assert app.text_area[0].value == "Mine."


def test_what_is_too_long_cannot_be_saved(ws: Workspace, page: Callable) -> None:
    app = page()
    _button(app, "edit:human").click().run()
    app.text_area[0].set_value("x" * 2001).run()
    assert _button(app, "save:human").disabled
    assert any("too long to save" in caption.value for caption in app.caption)


def test_a_message_that_could_not_go_is_kept_and_the_reason_said(ws: Workspace, page: Callable) -> None:
    app = page()
    app.chat_input(key="message").set_value("   ").run()
    assert any("The message is empty" in warning.value for warning in app.warning)
    app.session_state[choices.HELD] = FACT
    app.run()
    assert any(text.value == FACT for text in app.text)
    next(button for button in app.button if button.label == "Send it").click().run()
    assert ws.wait_idle(30)
    assert app.session_state[choices.HELD] == ""
    assert any(getattr(event, "text", "") == FACT for event in ws.events(1))


def test_older_messages_are_behind_a_button(ws: Workspace, page: Callable) -> None:
    for number in range(28):
        _tell(ws, f"Remember that box {number} is blue.")
    app = page()
    shown = [message.markdown[0].value for message in app.chat_message if message.name == "user"]
    assert shown[-1] == "Remember that box 27 is blue."
    assert "Remember that box 0 is blue." not in shown
    older = next(button for button in app.button if button.label == "Older messages")
    older.click().run()
    html = _html(app)
    said = [f"Remember that box {number} is blue." for number in range(28)]
    shown = [message.markdown[0].value for message in app.chat_message if message.name == "user"]
    assert shown == said[-len(shown) :]
    assert all(text in html for text in said[: -len(shown)]), "the older ones stand above as plain text"
    assert html.index(said[0]) < html.index(said[1])


def test_an_older_message_is_shown_as_it_was_written(ws: Workspace, page: Callable) -> None:
    _tell(ws, "<img src=x onerror=alert(1)> **bold**")
    for number in range(28):
        _tell(ws, f"Remember that box {number} is blue.")
    app = page()
    next(button for button in app.button if button.label == "Older messages").click().run()
    assert "&lt;img src=x onerror=alert(1)&gt; **bold**" in _html(app)
    assert "<img" not in _html(app)


def test_an_unknown_agent_is_said_and_another_can_be_chosen(ws: Workspace, page: Callable) -> None:
    app = page(agent="nobody")
    assert "There is no agent 'nobody'" in app.error[0].value
    app.selectbox[0].select(ws.agent_id).run()
    assert not app.error
    assert _shown(app) == ws.agent_id


def test_another_agent_is_chosen(ws: Workspace, home: Home, page: Callable) -> None:
    other = home.create(Blueprint(name="Other"))
    app = page(agent=ws.agent_id)
    app.selectbox[0].select(other).run()
    assert _shown(app) == other
    assert any("Other" in text.value for text in app.markdown)


def test_the_labels_of_agents_do_not_change_while_they_work(ws: Workspace, home: Home) -> None:
    (card,) = home.agents()
    assert sidebar.names([card]) == sidebar.names([card._replace(busy=True, problem="Torn.")]) == {card.id: "Tester"}


def test_two_agents_of_one_name_are_told_apart(home: Home, page: Callable) -> None:
    one, two = home.create(Blueprint(name="Twin")), home.create(Blueprint(name="Twin"))
    for agent in (one, two):
        app = page(agent=agent)
        assert len(set(app.selectbox[0].options)) == 2
        _button(app, "edit:human").click().run()
        assert _shown(app) == agent


def test_the_demo_model_is_labelled_with_what_it_understands(ws: Workspace, page: Callable) -> None:
    app = page()
    assert any("It understands only sentences like these" in text.value for text in app.sidebar.markdown)
    assert any("demo model, no language model" in text.value for text in app.main.markdown)
    assert len(app.sidebar.code) > 3


def test_a_home_in_use_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close_home()
    monkeypatch.setenv("MEMSCOPE_HOME", str(tmp_path / "home"))
    held = Home(tmp_path / "home", timer=False)
    try:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30).run()
        assert not app.exception
        assert "is in use by process" in app.error[0].value
    finally:
        held.close()


def test_navigation_shows_exactly_the_pages_that_exist() -> None:
    there = {"app.py"} | {f"pages/{path.name}" for path in (ROOT / "pages").glob("*.py")}
    assert {file for file, _, _ in sidebar.PAGES} == there - {"pages/__init__.py"}


# --- text that is not ours ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "![x](http://a.example/y.png)",
        "`![x](http://a.example/y.png)`",
        "```\ncode\n````\n![x](http://a.example/y.png)",
        "\\`![x](http://a.example/y.png)`",
        "[![x](http://a.example/y.png)](http://b.example)",
        "![x][ref]\n\n[ref]: http://a.example/y.png",
    ],
)
def test_no_image_survives_wherever_it_stands(text: str) -> None:
    assert "![" not in safe_md(text)
    assert safe_md(text).replace(BREAK, "").count("![") == text.count("![")


def test_dollars_directives_and_shortcodes_are_shown_as_written() -> None:
    assert safe_md("$5 and $6") == "\\$5 and \\$6"
    assert safe_md(":red[x] and :blue-background[y]") == "\\:red[x] and \\:blue-background[y]"
    assert safe_md(":smile: and :material/star:") == f":{BREAK}smile: and :{BREAK}material/star:"


def test_plain_markdown_stays_itself() -> None:
    for text in ("**bold** at 10:30", "- a\n- b", "`$x :red[y]`", "```\n$5 :red[x]\n```", "see https://a.example/b"):
        assert safe_md(text) == text


def test_text_in_our_own_html_is_escaped() -> None:
    evil = '<img src=x onerror="hit()">'
    assert "<img" not in text_box(evil)
    assert "&lt;img" in text_box(evil)
    assert line("", details("a", text_box(evil))).count("<img") == 0


def test_every_tier_has_its_colour_in_both_themes() -> None:
    css = _tiers()
    assert css.count("light-dark(#") == css.count(".ms-fill")
    assert ".ms-messages.ms-fill" in css


def test_the_libraries_are_out_of_the_garbage_collectors_sight_once_a_page_was_drawn(
    ws: Workspace, page: Callable
) -> None:
    page()
    assert gc.get_freeze_count() > 10_000


def test_a_temporary_chat_begins_empty_and_says_that_it_goes(ws: Workspace, home: Home, page: Callable) -> None:
    ws.configure(ws.state().settings.model_copy(update={"window_tokens": 6000}))
    app = page(agent=ws.agent_id)
    app.session_state[choices.new_menu(ws.agent_id)] = True
    app.run()
    app.button(key="temporary").click().run()
    assert not app.exception, app.exception
    made = home.open(_shown(app))
    assert made.agent_id != ws.agent_id
    assert made.state().settings.window_tokens == 6000
    assert made.state().messages == 0
    assert any("Temporary: deleted when Memscope is closed" in caption.value for caption in app.caption)
    folder = made.folder
    close_home()
    assert not folder.exists()
