"""What a person does with the player: play and pause by key, seek on the strip, step, mark, copy the link, rerun."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

FACT = "My name is Ada and I live in Leiden."


def settled(page: Page) -> None:
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()


def step(page: Page) -> int:
    return int(parse_qs(urlsplit(page.url).query).get("step", ["0"])[0])


def gone_to(page: Page, seq: int) -> None:
    page.wait_for_url(lambda url: f"step={seq}" in url)
    expect(page.locator(".ms-player-event").get_by_text(f"Event {seq}", exact=True)).to_be_visible()
    settled(page)


@pytest.fixture
def talked(serve: Callable, chat: Callable) -> Any:
    """(the server, a tab on the replay page) after two exchanges."""
    server = serve()
    tab = chat(server.url)
    tab.ask(FACT)
    tab.ask("Where do I live?")
    page = tab.page
    page.get_by_test_id("stSidebar").get_by_role("link", name="Replay").click()
    page.get_by_role("button", name="Play from the start").wait_for()
    page.locator(".ms-scrub-strip").wait_for()
    settled(page)
    return server, tab


def test_play_and_pause_by_key_write_the_address_once(talked: Any) -> None:
    server, tab = talked
    page = tab.page
    before = page.evaluate("history.length")
    page.keyboard.press("Space")
    page.get_by_role("button", name="Pause").wait_for()
    # It looks twice a second and shows where it is by then: which event comes after the first is not said.
    expect(page.locator(".ms-player-event").get_by_text(re.compile(r"^Event ([2-9]|\d\d+)$"))).to_be_visible()
    assert step(page) == 0
    page.keyboard.press("Space")
    page.get_by_role("button", name="Play", exact=True).wait_for()
    page.wait_for_url(lambda url: "step=" in url)
    assert page.evaluate("history.length") == before + 1
    settled(page)
    at = step(page)
    page.reload()
    expect(page.locator(".ms-player-event").get_by_text(f"Event {at}", exact=True)).to_be_visible()
    settled(page)
    page.get_by_test_id("stSidebar").get_by_role("link", name="Chat").click()
    expect(page.get_by_text(f"As of event {at}", exact=True)).to_be_visible()
    assert all(url.startswith((server.url, server.url.replace("http", "ws"), "data:", "blob:")) for url in tab.asked)


def test_the_strip_and_the_keys_move_and_typing_does_not(talked: Any) -> None:
    _, tab = talked
    page = tab.page
    strip = page.locator(".ms-scrub-strip")
    last = int(strip.get_attribute("aria-valuemax") or 0)
    box = strip.bounding_box()
    assert box is not None
    strip.click(position={"x": box["width"] / 2, "y": 40})
    page.wait_for_url(lambda url: "step=" in url)
    settled(page)
    at = step(page)
    assert abs(at - last / 2) <= 1
    page.keyboard.press(".")
    gone_to(page, at + 1)
    page.keyboard.press(",")
    gone_to(page, at)
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_url(lambda url: f"step={at}" not in url)
    settled(page)
    page.keyboard.press("Home")
    gone_to(page, 1)
    page.get_by_role("button", name="Bookmarks").click()
    field = page.get_by_label("New bookmark on event 1")
    field.fill("m, e and f. [ ] + stay text")
    field.press("ArrowLeft")
    assert step(page) == 1
    page.get_by_role("button", name="Set bookmark").click()
    expect(page.locator(".ms-player-event + div, .ms-note").get_by_text("stay text").first).to_be_visible()
    page.keyboard.press("Escape")
    page.locator("h4").first.click()
    page.keyboard.press("e")
    page.wait_for_url(lambda url: "step=1" not in url.split("&"))
    settled(page)
    page.keyboard.press("Shift+B")
    gone_to(page, 1)


def test_the_link_is_copied_whole_and_a_rerun_is_identical(serve: Callable, context: Callable) -> None:
    server = serve()
    browser = context(color_scheme="dark", permissions=["clipboard-read", "clipboard-write"])
    page = browser.new_page()
    page.goto(f"{server.url}/replay?agent=tester&step=3")
    expect(page.get_by_text("little to replay")).to_be_visible()
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == f"{server.url}/replay?agent=tester&step=3"
    page.get_by_text("Rerun", exact=True).click()
    page.get_by_role("button", name="Rerun", exact=True).click()
    expect(page.get_by_text("Identical: all")).to_be_visible()
