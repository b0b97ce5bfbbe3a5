"""What a person does on the compare page, in a real browser on a real server with the demo model."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Server

pytestmark = pytest.mark.browser

ALLERGY_TURN = 65
"""Of the companion: "Which allergy do I have?"."""


@pytest.fixture
def companion(serve: Callable[..., Server]) -> Server:
    """A server with the companion in its home."""
    return serve(sample="companion")


def at_rest(page: Page) -> None:
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()


def lines(folder: Path) -> list[str]:
    return (folder / "run.jsonl").read_text().splitlines()


def test_without_the_block_that_holds_the_fact_the_answer_is_another(
    companion: Server, context: Callable[..., object]
) -> None:
    page = context().new_page()
    before = lines(companion.home / "agents" / "companion")
    page.goto(f"{companion.url}/compare?agent=companion&view=what-if&turn={ALLERGY_TURN}")
    expect(page.get_by_text("Turn 65, as it was")).to_be_visible()
    expect(page.get_by_text("You are allergic to hazelnuts. My core memory says").first).to_be_visible()
    expect(page.get_by_role("combobox", name="Which block")).to_have_value(re.compile("^human"))
    page.get_by_role("button", name="Run it again").click()
    expect(page.get_by_text("What if there had been no block human, in turn 65?")).to_be_visible()
    expect(page.get_by_text("◌ generated anew").first).to_be_visible()
    expect(page.get_by_text("I found it in recall storage")).to_be_visible()
    expect(page.get_by_text("conversation_search").first).to_be_visible()
    expect(page.get_by_text("The forks this ran in are deleted")).to_be_visible()
    at_rest(page)
    assert lines(companion.home / "agents" / "companion") == before
    assert [folder.name for folder in (companion.home / "agents").iterdir()] == ["companion"]
    assert not list((companion.home / ".aside").glob("*"))
    page.goto(f"{companion.url}/compare?agent=companion&view=what-if")
    expect(page.get_by_text("I found it in recall storage")).to_be_visible()


def test_a_past_point_is_forked_changed_and_compared(companion: Server, context: Callable[..., object]) -> None:
    recorded = [json.loads(line) for line in lines(companion.home / "agents" / "companion")]
    end = next(event["seq"] for event in recorded if (event["turn"], event["kind"]) == (ALLERGY_TURN, "turn_ended"))
    page = context().new_page()
    page.goto(f"{companion.url}/?agent=companion&step={end}")
    page.get_by_role("button", name="Fork from here").click()
    name = page.get_by_role("textbox", name="Name of the fork")
    name.fill("Nuts")
    name.press("Enter")
    expect(page.get_by_text(f"A fork of Juno after event {end}")).to_be_visible()
    expect(page.get_by_text(f"Forked from Juno (companion) after event {end}.").first).to_be_visible()
    page.wait_for_url(lambda url: "agent=nuts" in url)
    page.locator(".st-key-fork-made").get_by_role("link", name="A block").click()
    page.wait_for_url(lambda url: "/core_memory" in url)
    page.goto(f"{companion.url}/core_memory?agent=nuts&block=human")
    page.get_by_role("button", name="Edit the text", exact=True).click()
    field = page.get_by_role("textbox", name="Text of human")
    field.fill("Name: Maya\nAllergic to: walnuts")
    page.get_by_role("button", name="Review the changes").click()
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_test_id("stSidebar").get_by_role("link", name="Chat").click()
    chat = page.get_by_test_id("stChatInputTextArea")
    chat.fill("Which allergy do I have?")
    chat.press("Enter")
    expect(page.get_by_text("You are allergic to walnuts").first).to_be_visible()
    page.goto(f"{companion.url}/compare?agent=nuts")
    expect(page.get_by_text(f"events 1 to {end} are the same event on both sides (65 turns)")).to_be_visible()
    expect(
        page.get_by_text(f"Forked at event {end + 1}. First event of its own: {end + 2}, working_context_edited")
    ).to_be_visible()
    expect(page.get_by_text("First turn that differs:")).to_be_visible()
    page.get_by_test_id("stButtonGroup").get_by_text("Memory at the end", exact=True).click()
    expect(page.get_by_text("Core memory at the end: 1 of 2 blocks differ")).to_be_visible()
    expect(page.locator(".cp-box del", has_text=re.compile("^walnuts$")).first).to_be_visible()
    expect(page.locator(".cp-box ins", has_text="hazelnuts").first).to_be_visible()
    page.get_by_test_id("stButtonGroup").get_by_text("Numbers", exact=True).click()
    expect(page.locator(".cp-num").get_by_text("Page faults")).to_be_visible()
    page.get_by_role("button", name="Swap sides").click()
    page.wait_for_url(lambda url: "agent=companion" in url and "other=nuts" in url)


def test_a_temporary_fork_says_so_and_can_be_kept(companion: Server, context: Callable[..., object]) -> None:
    page = context().new_page()
    page.goto(f"{companion.url}/replay?agent=companion&step=300")
    page.get_by_role("button", name="Fork", exact=True).click()
    page.get_by_role("textbox", name="Name of the fork").fill("Short")
    page.get_by_text("Temporary: deleted when Memscope is closed").click()
    page.get_by_test_id("stFormSubmitButton").get_by_role("button", name="Fork").click()
    page.wait_for_url(lambda url: "agent=short" in url)
    expect(page.get_by_text("Temporary: deleted when Memscope is closed.").first).to_be_visible()
    first = json.loads(lines(companion.home / "agents" / "short")[300])
    assert (first["kind"], first["origin_seq"]) == ("run_forked", 300)
    page.goto(f"{companion.url}/agents?agent=short")
    page.get_by_role("button", name="Keep it").click()
    expect(page.get_by_text("Short stays.")).to_be_visible()
    expect(page.get_by_role("button", name="Keep it")).to_have_count(0)


def test_nothing_is_wider_than_a_small_laptop(companion: Server, context: Callable[..., object]) -> None:
    page = context().new_page()
    page.goto(f"{companion.url}/?agent=companion&step=300")
    page.get_by_role("button", name="Fork from here").click()
    page.get_by_test_id("stFormSubmitButton").get_by_role("button", name="Fork").click()
    page.wait_for_url(lambda url: "agent=juno" in url)
    for view in ("turns", "memory", "numbers", "what-if"):
        page.goto(f"{companion.url}/compare?agent=companion&view={view}")
        page.get_by_text("Two runs or forks" if view != "what-if" else "One turn once more").wait_for()
        at_rest(page)
        wide = page.evaluate(
            """() => [...document.querySelectorAll('[data-testid="stMain"] *')]
                .filter((it) => it.getBoundingClientRect().right > innerWidth + 1).length"""
        )
        assert wide == 0, view
