"""What a person does on the agents page: make one, rename it, work on another, copy, delete; in a real browser."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def settled(page: Page) -> None:
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()


def opened(page: Page, name: str) -> None:
    """Open one of the folded parts of the page."""
    page.get_by_test_id("stMain").locator("summary").filter(has_text=re.compile(f"{name}$")).click()
    settled(page)


@pytest.fixture
def agents(serve: Callable, context: Callable) -> Any:
    """(the server, its agents page)."""
    server = serve()
    page = context().new_page()
    page.goto(f"{server.url}/agents?agent=tester")
    page.get_by_role("button", name="Compare with the log").wait_for()
    settled(page)
    return server, page


def test_an_agent_is_renamed_and_the_list_has_its_new_name(agents: Any) -> None:
    server, page = agents
    opened(page, "Rename")
    page.get_by_label("Name", exact=True).first.fill("Lovelace")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("It is called Lovelace now")).to_be_visible()
    settled(page)
    expect(page.get_by_test_id("stMain").locator('input[aria-label*="Agent to work on"]')).to_have_value("Lovelace")
    lines = (server.home / "agents" / "tester" / "run.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["kind"] == "agent_renamed"


def test_an_agent_is_made_copied_and_deleted(agents: Any) -> None:
    server, page = agents
    opened(page, "New agent")
    form = page.get_by_test_id("stForm").filter(has_text="Make the agent")
    form.get_by_role("button", name="Make the agent").click()
    expect(page.get_by_text("An agent needs a name")).to_be_visible()
    form.get_by_label("Name", exact=True).fill("Grace")
    form.get_by_label("Block human").fill("An admiral.")
    form.get_by_role("button", name="Make the agent").click()
    page.wait_for_url(lambda url: "agent=grace" in url)
    expect(page.get_by_text("Grace (grace) is made")).to_be_visible()
    settled(page)
    opened(page, "Copy")
    page.get_by_test_id("stForm").filter(has_text="Name of the copy").get_by_role("button", name="Copy").click()
    expect(page.get_by_text("is made, a copy of Grace")).to_be_visible()
    assert (server.home / "agents" / "grace-copy" / "run.jsonl").is_file()
    settled(page)
    opened(page, "Delete")
    page.get_by_label("Type the agent's name").fill("Grace (copy)")
    page.get_by_label("Type the agent's name").press("Tab")
    page.get_by_role("button", name="Delete Grace (copy) for good").click()
    expect(page.get_by_text("Grace (copy) is deleted")).to_be_visible()
    assert not (server.home / "agents" / "grace-copy").exists()


def test_stores_are_compared_while_the_page_is_left(agents: Any) -> None:
    _, page = agents
    page.get_by_role("button", name="Compare with the log").click()
    page.get_by_test_id("stSidebar").get_by_role("link", name="Log").click()
    page.get_by_text("Log of Tester").wait_for()
    page.get_by_test_id("stSidebar").get_by_role("link", name="Agents").click()
    expect(page.get_by_text("no difference")).to_be_visible()
