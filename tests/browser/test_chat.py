"""What a person does on the chat screen, in a real browser on a real server with the demo model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

FACT = "My name is Ada and I live in Leiden."
SLOW = 0.15
"""Seconds a word, so that a turn lasts long enough to be met in the middle."""


def _events(home: Path) -> list[dict[str, Any]]:
    (log,) = home.glob("agents/*/run.jsonl")
    return [json.loads(line) for line in log.read_text().splitlines()]


def _kinds(home: Path) -> list[str]:
    return [event["kind"] for event in _events(home)]


def test_the_first_message_gets_an_answer_and_moves_memory(serve: Callable, chat: Callable) -> None:
    tab = chat(serve().url)
    before = tab.tokens()
    tab.ask(FACT)
    expect(tab.talk.get_by_test_id("stChatMessage")).to_have_count(2)
    expect(tab.block("human")).to_contain_text("Ada")
    expect(tab.memory).to_contain_text("core_memory_append")
    expect(tab.memory).to_contain_text("FIFO queue")
    assert tab.tokens() > before
    tab.talk.get_by_text("What was in the window").click()
    expect(tab.talk).to_contain_text("The request of step")
    expect(tab.talk).to_contain_text("FIFO queue m")


def test_a_first_start_has_an_agent_and_samples_to_choose_from(serve: Callable, chat: Callable) -> None:
    tab = chat(serve(empty=True).url)
    expect(tab.page.locator(".st-key-pulse")).to_contain_text("Idle")
    first = tab.page.url
    tab.page.get_by_role("button", name="New agent").click()
    tab.page.get_by_role("button", name="Start").last.click()
    tab.page.wait_for_url(lambda url: "agent=" in url and url != first)
    tab.settled()
    expect(tab.talk.get_by_test_id("stChatMessage").first).to_be_visible()


def test_the_demo_model_says_what_it_is_and_what_it_understands(serve: Callable, chat: Callable) -> None:
    tab = chat(serve().url)
    expect(tab.page.get_by_text("demo model, no language model", exact=True)).to_be_visible()
    tab.page.get_by_test_id("stSidebar").get_by_role("button", name="Demo model, no language model").click()
    expect(tab.page.get_by_text("It understands only sentences like these")).to_be_visible()


def test_a_running_turn_can_be_stopped(serve: Callable, chat: Callable) -> None:
    server = serve(pace=SLOW)
    tab = chat(server.url)
    tab.send(FACT)
    tab.busy()
    tab.page.locator(".st-key-pulse").get_by_role("button", name="Stop").click()
    expect(tab.talk).to_contain_text("You stopped this turn")
    tab.idle()
    assert _events(server.home)[-1]["reason"] == "stopped"


def test_a_turn_survives_a_reload(serve: Callable, chat: Callable) -> None:
    server = serve(pace=SLOW)
    tab = chat(server.url)
    tab.send(FACT)
    tab.busy()
    tab.page.reload()
    tab.busy()
    expect(tab.talk.get_by_text(FACT, exact=True)).to_be_visible()
    tab.idle()
    expect(tab.talk.get_by_test_id("stChatMessage")).to_have_count(2)
    assert _kinds(server.home).count("turn_ended") == 1


def test_a_second_tab_follows_live(serve: Callable, chat: Callable) -> None:
    server = serve(pace=SLOW)
    one = chat(server.url)
    two = chat(one.page.url)
    one.send(FACT)
    two.busy()
    expect(two.talk.get_by_text(FACT, exact=True)).to_be_visible()
    two.idle()
    expect(two.block("human")).to_contain_text("Ada")


def test_a_closed_tab_does_not_end_the_turn(serve: Callable, chat: Callable) -> None:
    server = serve(pace=SLOW)
    tab = chat(server.url)
    address = tab.page.url
    tab.send(FACT)
    tab.busy()
    tab.page.close()
    again = chat(address)
    again.idle()
    expect(again.talk.get_by_test_id("stChatMessage")).to_have_count(2)


def test_a_block_is_edited_and_the_edit_undone(serve: Callable, chat: Callable) -> None:
    server = serve()
    tab = chat(server.url)
    persona = tab.block("persona")
    persona.get_by_role("button", name="Edit").click()
    persona.get_by_role("textbox").fill("I answer in one sentence.")
    persona.get_by_role("button", name="Save").click()
    expect(persona.locator(".ms-text")).to_have_text("I answer in one sentence.")
    expect(persona).to_contain_text("by you")
    persona.get_by_role("button", name="Undo").click()
    expect(persona.locator(".ms-text")).not_to_have_text("I answer in one sentence.")
    edits = [event for event in _events(server.home) if event["kind"] == "working_context_edited"]
    assert [event["author"] for event in edits] == ["human", "human"]
    assert edits[1]["after"] == edits[0]["before"]


def test_a_draft_survives_a_turn_and_a_stale_save_shows_both_texts(serve: Callable, chat: Callable) -> None:
    tab = chat(serve(pace=0.1).url)
    human = tab.block("human")
    human.get_by_role("button", name="Edit").click()
    human.get_by_role("textbox").fill("The user writes novels.")
    tab.send(FACT)
    tab.busy()
    tab.idle()
    expect(human.get_by_role("textbox")).to_have_value("The user writes novels.")
    human.get_by_role("button", name="Save", exact=True).click()
    expect(human).to_contain_text("Both texts are here")
    expect(human.locator(".ms-text")).to_contain_text("Ada")
    expect(human.get_by_role("textbox")).to_have_value("The user writes novels.")
    human.get_by_role("button", name="Put both in the editor").click()
    human.get_by_role("button", name="Save", exact=True).click()
    expect(human.locator(".ms-text")).to_contain_text("Ada")
    expect(human.locator(".ms-text")).to_contain_text("The user writes novels.")


def test_typing_in_a_block_goes_on_while_the_panel_is_redrawn(serve: Callable, chat: Callable) -> None:
    tab = chat(serve(pace=SLOW).url)
    persona = tab.block("persona")
    persona.get_by_role("button", name="Edit").click()
    field = persona.get_by_role("textbox")
    field.wait_for()
    tab.send(FACT)
    tab.busy()
    field.fill("")
    field.press_sequentially("Typed while the agent works.", delay=60)
    expect(field).to_be_focused()
    expect(field).to_have_value("Typed while the agent works.")
    tab.idle()
    expect(field).to_have_value("Typed while the agent works.")


def test_a_message_sent_during_a_turn_is_kept(serve: Callable, chat: Callable) -> None:
    tab = chat(serve(pace=SLOW).url)
    tab.send(FACT)
    tab.busy()
    tab.send("Where do I live?")
    expect(tab.page.get_by_text("Kept until the agent has finished")).to_be_visible()
    tab.idle()
    tab.page.get_by_role("button", name="Send it").click()
    expect(tab.talk.get_by_text("Where do I live?", exact=True).first).to_be_visible()
    tab.idle()


def test_a_system_message_is_sent_as_one(serve: Callable, chat: Callable) -> None:
    server = serve()
    tab = chat(server.url)
    tab.page.get_by_text("As system message").click()
    tab.settled()
    tab.send("The user went to bed.")
    expect(tab.talk.get_by_text("System message").first).to_be_visible()
    tab.idle()
    causes = [event["cause"] for event in _events(server.home) if event["kind"] == "trigger_received"]
    assert causes[-1] == "system"


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_both_themes_are_drawn(serve: Callable, chat: Callable, scheme: str, dark: bool) -> None:
    tab = chat(serve().url, color_scheme=scheme)
    look = tab.page.evaluate(
        """() => {
            const light = (css) => css.match(/[\\d.]+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0) / 3;
            const app = getComputedStyle(document.querySelector('.stApp'));
            const cell = document.querySelector('.ms-bar .ms-instructions');
            return [light(app.backgroundColor), light(app.color), getComputedStyle(cell).backgroundColor];
        }"""
    )
    assert (look[0] < 60) is dark
    assert (look[1] > 180) is dark
    assert look[2] == ("rgb(138, 155, 176)" if dark else "rgb(91, 107, 127)")


def test_everything_fits_a_small_laptop(serve: Callable, chat: Callable) -> None:
    tab = chat(serve().url)
    tab.ask(FACT)
    overflow = tab.page.evaluate(
        "() => [document.documentElement.scrollWidth - innerWidth, "
        "document.querySelector('.stMain').scrollHeight - innerHeight]"
    )
    assert overflow == [0, 0]
    assert tab.page.get_by_test_id("stChatInputTextArea").bounding_box()["y"] < 790


def test_nothing_leaves_the_machine_and_nothing_of_a_message_runs(serve: Callable, chat: Callable) -> None:
    tab = chat(serve().url)
    evil = (
        'I like ![x](http://example.invalid/y.png) and <img src=http://example.invalid/z.png onerror="window.hit=1"> '
        "<script>window.hit=1</script> and `![c](http://example.invalid/c.png)` for $5 and $6."
    )
    tab.send(evil)
    expect(tab.talk.get_by_text("example.invalid").first).to_be_visible()
    tab.idle()
    tab.block("human").get_by_role("button", name="Edit").click()
    tab.block("human").get_by_role("textbox").fill(evil)
    tab.block("human").get_by_role("button", name="Save").click()
    expect(tab.block("human").locator(".ms-text")).to_contain_text("onerror")
    tab.talk.get_by_text("What was in the window").last.click()
    expect(tab.talk).to_contain_text("The request of step")
    assert tab.page.evaluate("() => window.hit") is None
    assert tab.page.locator(".katex").count() == 0
    local = ("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")
    assert [url for url in tab.asked if not url.startswith(local)] == []


def test_a_deep_link_works_on_a_cold_server(serve: Callable, chat: Callable) -> None:
    server = serve()
    tab = chat(server.url)
    agent = tab.page.url.partition("agent=")[2]
    assert agent
    other = chat(f"{server.url}/?agent={agent}")
    assert other.page.url.endswith(agent)


def test_an_unknown_agent_is_said_and_the_others_stay_in_reach(
    serve: Callable, context: Callable, chat: Callable
) -> None:
    server = serve()
    chat(server.url)
    page = context().new_page()
    page.goto(f"{server.url}/?agent=nobody")
    expect(page.get_by_text("There is no agent 'nobody'")).to_be_visible()
    expect(page.get_by_test_id("stSidebar").get_by_text("Agent", exact=True)).to_be_visible()
