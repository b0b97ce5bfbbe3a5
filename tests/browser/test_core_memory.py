"""What a person does on the core memory page, in a real browser on a real server with the demo model."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.browser

FACT = "My name is Ada and I live in Leiden."
SLOW = 0.3
"""Seconds a word, so that a turn lasts long enough to be met in the middle."""


def events(home: Path) -> list[dict[str, Any]]:
    (log,) = home.glob("agents/*/run.jsonl")
    return [json.loads(line) for line in log.read_text().splitlines()]


class Core:
    """A tab with the core memory page open."""

    def __init__(self, page: Page, url: str, query: str = "") -> None:
        self.page = page
        self.asked: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(f"{url}/core_memory{query}")
        page.get_by_text("in the working context").first.wait_for()

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def view(self, name: str) -> None:
        self.page.get_by_test_id("stButtonGroup").get_by_text(name, exact=True).click()

    def text(self, label: str) -> Locator:
        return self.page.get_by_role("textbox", name=f"Text of {label}")

    @property
    def shown(self) -> Locator:
        return self.page.locator(".st-key-core-side .cm-box").first


@pytest.fixture
def core(context: Callable) -> Callable[..., Core]:
    """Opens the page in a tab of a browser context of its own."""

    def open_core(url: str, query: str = "", **options: object) -> Core:
        return Core(context(**options).new_page(), url, query)

    return open_core


def test_changes_are_seen_before_they_are_saved_and_undone(serve: Callable, core: Callable) -> None:
    server = serve()
    tab = core(server.url, "?block=persona")
    tab.press("Edit the text")
    tab.text("persona").fill("I am a brief companion.")
    tab.press("Review the changes")
    expect(tab.page.locator(".cm-diff ins")).to_have_text("brief")
    gone = tab.page.locator(".cm-diff del")
    expect(gone).to_have_text("helpful")
    assert gone.evaluate("(it) => getComputedStyle(it).textDecorationLine") == "line-through"
    tab.page.get_by_role("textbox", name="Reason").fill("shorter")
    tab.press("Save")
    expect(tab.shown).to_have_text("I am a brief companion.")
    expect(tab.page.get_by_text("because: shorter")).to_be_visible()
    tab.press("Undo the last change")
    expect(tab.shown).to_have_text("I am a helpful companion.")
    edits = [event for event in events(server.home) if event["kind"] == "working_context_edited"]
    assert [event["reason"] for event in edits] == ["shorter", f"undo of event {edits[0]['seq']}"]


def test_a_conflict_with_a_running_turn_is_merged(serve: Callable, core: Callable, chat: Callable) -> None:
    server = serve(pace=SLOW)
    talk = chat(server.url)
    tab = core(server.url, "?block=human")
    tab.press("Edit the text")
    field = tab.text("human")
    field.wait_for()
    talk.send(FACT)
    talk.busy()
    # What is taken over from the field finds the turn running; from then on the page follows it.
    field.fill("The user")
    field.press("Control+Enter")
    running = tab.page.get_by_text("A turn is running.")
    expect(running).to_be_visible()
    field.press_sequentially(" writes novels.", delay=60)
    expect(field).to_be_focused()
    # The agent writes into the block and ends its turn while the text is being typed.
    expect(running).to_have_count(0)
    expect(field).to_have_value("The user writes novels.")
    tab.press("Compare and merge")
    expect(tab.page.get_by_text("Base: what you began with")).to_be_visible()
    tab.press("Put the merge in the editor")
    merged = tab.text("human")
    expect(merged).to_have_value(re.compile("Ada[\\s\\S]*The user writes novels."))
    expect(tab.page.get_by_role("button", name="Save", exact=True)).to_be_disabled()
    merged.fill("Name: Ada\nThe user writes novels.")
    merged.press("Control+Enter")
    tab.press("Save")
    expect(tab.shown).to_have_text("Name: Ada\nThe user writes novels.")
    assert events(server.home)[-1]["after"] == "Name: Ada\nThe user writes novels."


def test_what_is_half_typed_survives_the_way_to_another_page_and_back(serve: Callable, core: Callable) -> None:
    tab = core(serve().url, "?block=persona")
    tab.press("Edit the text")
    tab.text("persona").fill("Half a thought.")
    side = tab.page.get_by_test_id("stSidebar")
    # A finger is on the button for a moment: leaving the field and opening the page are two messages.
    side.get_by_role("link", name="Agents").click(delay=150)
    tab.page.wait_for_url(lambda url: "/agents" in url)
    expect(tab.page.locator(".st-key-core_memory")).to_have_count(0)
    side.get_by_role("link", name="Core memory").click()
    side_of = tab.page.get_by_role("button", name="persona")
    side_of.first.click()
    expect(tab.text("persona")).to_have_value("Half a thought.")


def test_a_line_leads_to_the_message_that_caused_it(serve: Callable, core: Callable, chat: Callable) -> None:
    server = serve()
    chat(server.url).ask(FACT)
    tab = core(server.url, "?block=human")
    tab.view("Lines and who wrote them")
    tab.page.get_by_role("link", name="Message").first.click()
    trigger = next(
        event for event in events(server.home) if event["kind"] == "trigger_received" and event["text"] == FACT
    )
    tab.page.wait_for_url(lambda url: "/recall" in url and f"message=m{trigger['seq']}" in url)


def test_the_address_opens_a_block_as_it_was_on_a_cold_server(serve: Callable, core: Callable, chat: Callable) -> None:
    server = serve()
    chat(server.url).ask(FACT)
    edit = next(event for event in events(server.home) if event["kind"] == "working_context_edited")
    (folder,) = server.home.glob("agents/*")
    query = f"?agent={folder.name}&block=human&step={edit['seq']}"
    tab = core(server.url, query)
    expect(tab.shown).to_have_text(edit["after"])
    expect(tab.page.get_by_text(f"As of event {edit['seq']}")).to_be_visible()
    expect(tab.page.get_by_role("button", name="Edit the text")).to_have_count(0)
    tab.page.get_by_role("button", name="persona").first.click()
    tab.page.wait_for_url(lambda url: "block=persona" in url and f"step={edit['seq']}" in url)


def test_a_block_is_edited_with_the_keyboard_alone(serve: Callable, core: Callable) -> None:
    tab = core(serve().url, "?block=persona")
    tab.page.get_by_role("button", name="Edit the text").focus()
    tab.page.keyboard.press("Enter")
    field = tab.text("persona")
    field.wait_for()
    field.focus()
    tab.page.keyboard.press("Control+a")
    tab.page.keyboard.type("Typed.")
    tab.page.keyboard.press("Control+Enter")
    save = tab.page.get_by_role("button", name="Save", exact=True)
    save.wait_for()
    for _ in range(4):
        tab.page.keyboard.press("Tab")
        if save.evaluate("(it) => it === document.activeElement"):
            break
    tab.page.keyboard.press("Enter")
    expect(tab.shown).to_have_text("Typed.")


def test_nothing_of_a_block_runs_or_leaves_the_page(serve: Callable, core: Callable) -> None:
    server = serve()
    tab = core(server.url, "?block=persona")
    evil = "<img src=http://example.invalid/z.png onerror='window.hit=1'> ![x](http://example.invalid/y.png) \u202eabc"
    tab.press("Edit the text")
    tab.text("persona").fill(evil)
    tab.press("Review the changes")
    tab.press("Save")
    for view in ("History", "Lines and who wrote them", "Text"):
        tab.view(view)
        expect(tab.page.locator(".st-key-core-side").get_by_text("example.invalid").first).to_be_visible()
    assert tab.page.evaluate("window.hit") is None
    assert all(url.startswith(server.url) or url.startswith(("data:", "blob:", "ws:")) for url in tab.asked)


def test_nothing_is_wider_than_a_small_laptop(serve: Callable, core: Callable, chat: Callable) -> None:
    server = serve()
    chat(server.url).ask(FACT)
    tab = core(server.url, "?block=human")
    for view in ("Text", "Lines and who wrote them", "History", "Settings and copy"):
        tab.view(view)
        tab.page.get_by_test_id("stButtonGroup").get_by_role("radio", name=view, checked=True).wait_for()
        tab.page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()
        wide = tab.page.evaluate(
            """() => [...document.querySelectorAll('.st-key-core_memory *')]
                .filter((it) => it.getBoundingClientRect().right > innerWidth + 1).length"""
        )
        assert wide == 0, view
