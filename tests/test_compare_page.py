"""The compare page without a browser: two agents, the what-if form, forking; bad addresses and nasty texts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from memgpt_core import supposing
from memgpt_core.blueprint import BlockPlan, Blueprint
from memgpt_core.home import Home
from memgpt_core.workspace import Workspace
from pages.parts import choices, compare_marks, compare_rows, compare_turns
from tests.engine import until
from tests.screens import html

ROOT = Path(__file__).resolve().parents[1]
NASTY = "<img src=x onerror=alert(1)> ![x](http://evil.example/x) $a$ :red[b] \x1b[31m \u202e \x00"


@pytest.fixture
def ws(home: Home) -> Workspace:
    made = home.open(home.create(Blueprint(name="Ada", blocks=[BlockPlan(label="human", value="Lives in Leiden")])))
    tell(made, "My name is Ada.")
    return made


@pytest.fixture
def page(home: Home) -> Callable[..., AppTest]:
    """Opens the page, or another one, by way of the chat, as the address says."""

    def run(to: str = "pages/compare.py", **params: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        if to != "app.py":
            app.switch_page(to)
        for name, value in params.items():
            app.query_params[name] = value
        return drawn(app.run())

    return run


def drawn(app: AppTest) -> AppTest:
    assert not app.exception, app.exception
    return app


def said(app: AppTest) -> str:
    return " ".join(one.value for one in (*app.warning, *app.info, *app.error))


def press(app: AppTest, key: str) -> AppTest:
    (button,) = [one for one in app.button if one.key == key]
    return drawn(button.click().run())


def tell(ws: Workspace, text: str) -> None:
    ws.send(text)
    assert ws.wait_idle(30)


def fork(home: Home, ws: Workspace, at: int, name: str = "Other") -> Workspace:
    return home.open(home.fork(ws.agent_id, at, name=name))


# --- two agents -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", ["companion", "analyst", "prober"])
def test_a_sample_and_its_fork_at_start_middle_and_end(home: Home, page: Callable[..., AppTest], sample: str) -> None:
    left = home.open(home.start_sample(sample))
    middle = left.last_seq // 2
    right = fork(home, left, middle)
    for at in (1, middle, left.last_seq):
        app = page(agent=left.agent_id, other=right.agent_id, step=str(at))
        assert f"events 1 to {min(at, middle):,} are the same event on both sides" in html(app)
    for view in ("memory", "numbers", "what-if"):
        assert "recorded" in html(page(agent=left.agent_id, other=right.agent_id, view=view))


def test_where_they_part_is_named_and_linked(home: Home, ws: Workspace, page: Callable[..., AppTest]) -> None:
    right = fork(home, ws, ws.last_seq)
    tell(ws, "I live in Leiden.")
    tell(right, "I live in Delft.")
    app = page(agent=ws.agent_id, other=right.agent_id)
    shown = html(app)
    assert "turn 2 at the left, turn 2 at the right" in shown
    assert "what was said to the agent" in shown
    assert '<del title="only on this side">Leiden' in shown
    assert '<ins title="only on this side">Delft' in shown
    links = {link.proto.label: link.proto.query_string for link in app.get("page_link")}
    assert f"agent={right.agent_id}" in links["Other: turn 2 in the chat"]
    assert f"step={right.last_seq}" in links["Other: turn 2 in the chat"]
    assert shown.count("● recorded") == 2
    assert "generated anew" not in shown


def test_the_turns_of_the_common_past_are_shown_on_request(
    home: Home, ws: Workspace, page: Callable[..., AppTest]
) -> None:
    right = fork(home, ws, ws.last_seq)
    app = page(agent=ws.agent_id, other=right.agent_id)
    assert "no turn after the common past" in said(app)
    (toggle,) = [one for one in app.toggle if one.key == choices.compare_whole(ws.agent_id)]
    drawn(toggle.set_value(True).run())
    assert "one turn: the common past" in html(app)


def test_many_turns_are_paged_and_the_first_that_differs_is_one_press_away(
    home: Home, ws: Workspace, page: Callable[..., AppTest]
) -> None:
    right = home.open(home.create(Blueprint(name="Twin", blocks=[BlockPlan(label="human", value="Lives in Leiden")])))
    tell(right, "My name is Ada.")
    for number in range(compare_turns.PAGE + 1):
        for one in (ws, right):
            tell(one, f"Remember that number {number} is {number if one is ws else min(number, 4)}.")
    app = page(agent=ws.agent_id, other=right.agent_id)
    assert "They share no event" in html(app)
    assert "turn 7 at the left" in html(app)
    assert "number 5 is" not in html(app).split("First turn that differs")[1]
    press(app, "compare:first")
    assert "Turn 7" in html(app)
    assert any("6 to 7 of 7 turns" in one.value for one in app.caption)


def test_the_file_has_every_turn_of_both(home: Home, ws: Workspace) -> None:
    right = fork(home, ws, ws.last_seq)
    tell(right, "I live in Delft.")
    rows = compare_turns.table(compare_rows.compared(ws, right, ws.last_seq))
    assert [(row["left_turn"], row["right_turn"], row["shared"]) for row in rows] == [(1, 1, True), (None, 2, False)]
    assert rows[1]["right_trigger"] == "I live in Delft."
    assert rows[1]["right_prompt_tokens"] > 0
    assert rows[1]["left_prompt_tokens"] is None
    assert rows[0]["left_reply"] == rows[0]["right_reply"] != ""


def test_what_only_one_remembers_at_the_end(home: Home, ws: Workspace, page: Callable[..., AppTest]) -> None:
    right = fork(home, ws, ws.last_seq)
    right.edits.insert_passage("The tent is blue")
    ws.edits.edit_block("human", "Lives in Ghent", based_on=ws.state().blocks["human"].seq)
    shown = html(page(agent=ws.agent_id, other=right.agent_id, view="memory"))
    assert "0 passages only at the left, 1 only at the right" in shown
    assert "The tent is blue" in shown
    assert "Ghent" in shown


def test_numbers_have_their_difference(home: Home, ws: Workspace, page: Callable[..., AppTest]) -> None:
    right = fork(home, ws, ws.last_seq)
    tell(right, "I live in Delft.")
    shown = html(page(agent=ws.agent_id, other=right.agent_id, view="numbers"))
    assert '<td>Turns</td><td>0</td><td>1</td><td class="cp-more">+1</td>' in shown


def test_with_nobody_to_compare_with_it_says_what_to_do(page: Callable[..., AppTest], ws: Workspace) -> None:
    app = page(agent=ws.agent_id)
    assert "Nothing to compare with yet" in said(app)
    assert "There is no agent" in said(page(agent=ws.agent_id, other="nobody <b>"))
    assert "not compared with itself" in said(page(agent=ws.agent_id, other=ws.agent_id))


def test_texts_are_shown_as_text(home: Home, ws: Workspace, page: Callable[..., AppTest]) -> None:
    right = fork(home, ws, ws.last_seq, NASTY[:60])
    tell(right, NASTY)
    right.edits.insert_passage(NASTY)
    right.edits.edit_block("human", NASTY, based_on=right.state().blocks["human"].seq)
    for view in ("turns", "memory", "numbers"):
        app = page(agent=ws.agent_id, other=right.agent_id, view=view)
        shown = html(app).replace(compare_marks.STYLE, "")
        assert "<img" not in shown
        assert not set("\x1b\u202e\x00") & set(shown)
    supposing.start(home, right.agent_id, supposing.Question(2, supposing.Change("block_text", "human", NASTY)))
    until(lambda: not supposing.running(home, right.agent_id))
    shown = html(page(agent=right.agent_id, view="what-if"))
    assert "What if" in shown
    assert "<img" not in shown
    assert not set("\x1b\u202e\x00") & set(shown)


# --- what if ----------------------------------------------------------------------------------------------------------


def answered(app: AppTest, home: Home, ws: Workspace) -> str:
    press(app, "suppose:run")
    until(lambda: not supposing.running(home, ws.agent_id))
    return html(drawn(app.run()))


def choose(app: AppTest, label: str, value: Any) -> AppTest:
    (box,) = [one for one in app.selectbox if one.label == label]
    return drawn(box.set_value(value).run())


def test_each_change_can_be_asked_for(home: Home, ws: Workspace, page: Callable[..., AppTest]) -> None:
    passage = ws.edits.insert_passage("The tent is blue")
    tell(ws, "Do you know my name?")
    before = (ws.folder / "run.jsonl").read_bytes()
    opened = next(event.seq for event in ws.events(1) if getattr(event, "text", "") == "Do you know my name?")
    for kind, label, what, words in (
        ("without_block", "Which block", "block:human", "there had been no block human"),
        ("block_text", "Which block", "block:human", "block human had read “Name: Eva”"),
        ("without_message", "Which message", "m7", "there had been no message m7"),
        ("message_text", "Which message", f"m{opened}", f"message m{opened} had read “Name: Eva”"),
        ("without_passage", "Which passage", passage, f"there had been no passage {passage}"),
        ("passage_text", "Which passage", passage, f"passage {passage} had read “Name: Eva”"),
        ("other_message", "", "", "“Name: Eva” had been said to the agent"),
        ("other_model", "", "", "Demo model (rules, no language model) had answered"),
    ):
        app = page(agent=ws.agent_id, view="what-if", turn="2")
        choose(app, "What is to be otherwise", kind)
        if label:
            choose(app, label, what)
        for area in app.text_area:
            drawn(area.set_value("Name: Eva").run())
        shown = answered(app, home, ws)
        assert words in shown.replace("&quot;", '"'), kind
        assert "◌ generated anew" in shown, (kind, said(app))
        assert "are deleted" in shown
    assert (ws.folder / "run.jsonl").read_bytes() == before


def test_times_that_came_out_alike_are_one(home: Home, ws: Workspace, page: Callable[..., AppTest]) -> None:
    app = page(agent=ws.agent_id, view="what-if", turn="1")
    choose(app, "What is to be otherwise", "nothing")
    (times,) = [one for one in app.number_input if one.label == "How often"]
    drawn(times.set_value(3).run())
    shown = answered(app, home, ws)
    assert "3 of 3 times" in shown
    assert "= the same came of it" in shown


def test_a_change_that_cannot_be_made_says_why(home: Home, ws: Workspace, page: Callable[..., AppTest]) -> None:
    app = page(agent=ws.agent_id, view="what-if", turn="1")
    choose(app, "What is to be otherwise", "other_message")
    drawn(app.text_area[0].set_value("  ").run())
    press(app, "suppose:run")
    assert "The message is empty" in said(app)
    assert "There is no turn “99”" in said(page(agent=ws.agent_id, view="what-if", turn="99"))


def test_an_agent_nobody_spoke_to_has_no_turn(home: Home, page: Callable[..., AppTest]) -> None:
    new = home.create(Blueprint(name="New"))
    assert "no turn to run again" in said(page(agent=new, view="what-if"))


# --- fork from here ---------------------------------------------------------------------------------------------------


def test_only_a_past_point_of_the_chat_offers_a_fork_and_replay_always(
    ws: Workspace, page: Callable[..., AppTest]
) -> None:
    def offered(app: AppTest) -> bool:
        return any("fork-action" in one.proto.id for one in app.get("popover"))

    assert not offered(page("app.py", agent=ws.agent_id))
    assert offered(page("app.py", agent=ws.agent_id, step="6"))
    assert offered(page("pages/replay.py", agent=ws.agent_id))


def test_a_fork_says_where_it_comes_from(home: Home, ws: Workspace, page: Callable[..., AppTest]) -> None:
    made = home.fork(ws.agent_id, 6, name="Other", temporary=True)
    for where in ("app.py", "pages/agents.py"):
        told = " ".join(one.value for one in page(where, agent=made).caption)
        assert f"Forked from Ada ({ws.agent_id}) after event 6." in told
        assert "Temporary: deleted when Memscope is closed" in told
    app = page("pages/agents.py", agent=made)
    press(app, "keep")
    assert not next(card for card in home.agents() if card.id == made).temporary
