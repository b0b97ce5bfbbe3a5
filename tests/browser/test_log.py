"""What a person does on the log page: find an event, open it, step on, look back from it, come by a deep link."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

FACT = "My name is Ada and I live in Leiden."


def settled(page: Page) -> None:
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()


@pytest.fixture
def talked(serve: Callable, chat: Callable) -> Any:
    """(the server, a tab) after one exchange."""
    server = serve()
    tab = chat(server.url)
    tab.ask(FACT)
    return server, tab


def open_log(page: Page) -> None:
    page.get_by_test_id("stSidebar").get_by_role("link", name="Log").click()
    page.get_by_text("Log of Tester").wait_for()
    page.get_by_test_id("stDataFrame").wait_for()
    settled(page)


def test_a_line_is_found_opened_and_stepped_on_from(talked: Any) -> None:
    _, tab = talked
    page = tab.page
    open_log(page)
    page.get_by_label("Text in an event", exact=True).fill("leiden")
    page.get_by_label("Text in an event", exact=True).press("Enter")
    page.wait_for_url(lambda url: "q=leiden" in url)
    expect(page.get_by_text("that is all there is")).to_be_visible()
    settled(page)
    # The table is a canvas: the box at the left of its first line.
    page.get_by_test_id("stDataFrame").click(position={"x": 16, "y": 48})
    page.wait_for_url(lambda url: "event=" in url)
    expect(page.get_by_test_id("stCode").first).to_contain_text("Leiden")
    seq = int(page.url.split("event=")[1].split("&")[0])
    page.keyboard.press("Alt+p")
    page.wait_for_url(lambda url: f"event={seq - 1}" in url)
    expect(page.get_by_role("heading", name=f"Event {seq - 1}")).to_be_visible()
    page.get_by_role("radio", name="The state after it").click()
    expect(page.get_by_text("What the agent was")).to_be_visible()
    page.get_by_role("button", name="Look at every page as of this event").click()
    page.wait_for_url(lambda url: f"step={seq - 1}" in url)
    expect(page.get_by_text(f"As of event {seq - 1}")).to_be_visible()
    assert all(
        url.startswith((talked[0].url, talked[0].url.replace("http", "ws"), "data:", "blob:")) for url in tab.asked
    )


def test_a_deep_link_opens_an_event_on_a_cold_server(serve: Callable, context: Callable) -> None:
    page = context(color_scheme="dark").new_page()
    page.goto(f"{serve().url}/log?agent=tester&event=3&kind=block_defined&order=oldest")
    expect(page.get_by_role("heading", name="Event 3")).to_be_visible()
    expect(page.get_by_test_id("stCode").first).to_contain_text("block_defined")
    expect(page.get_by_text("1 to 2 of 2 events")).to_be_visible()
