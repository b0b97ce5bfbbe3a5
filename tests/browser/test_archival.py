"""Archival storage in a real browser: edited, found, paged by keyboard, and nothing leaves the page."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

HOSTILE = '<img src="http://evil.example/a.png"> ![b](http://evil.example/b.png) <script>document.title="x"</script>'


class Archive:
    """A tab with the archival page open."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.asked: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(address)
        self.page.get_by_text("Archival storage", exact=True).last.wait_for()
        self.settled()

    def settled(self) -> None:
        self.page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()

    def store(self, text: str) -> None:
        self.page.get_by_role("button", name="New passage").click()
        form = self.page.get_by_test_id("stPopoverBody")
        form.get_by_label("Text", exact=True).fill(text)
        form.get_by_role("button", name="Store it").click()

    def search(self, query: str) -> None:
        field = self.page.get_by_label("Search as the agent does")
        field.fill(query)
        field.press("Enter")
        self.settled()

    @property
    def hits(self):
        return self.page.locator("[class*='st-key-card-']")

    @property
    def passage(self):
        return self.page.locator(".st-key-passage")


@pytest.fixture
def archive(context: Callable, serve: Callable) -> Callable[..., Archive]:
    address = f"{serve().url}/archival"

    def open_archive(asked: str = "") -> Archive:
        return Archive(context().new_page(), address + asked)

    return open_archive


def test_an_edited_passage_is_found_by_its_new_text_and_not_by_its_old(archive: Callable[..., Archive]) -> None:
    tab = archive()
    tab.store("The user keeps bees in Porto.")
    expect(tab.passage.locator(".ms-text").first).to_have_text("The user keeps bees in Porto.")
    tab.passage.get_by_role("button", name="Edit").click()
    field = tab.passage.get_by_role("textbox", name="Text of p")
    field.fill("The user keeps goats in Braga.")
    tab.passage.get_by_role("button", name="Save").click()
    expect(tab.passage.locator(".ms-text").first).to_have_text("The user keeps goats in Braga.")
    tab.search("goats")
    expect(tab.hits.locator("mark")).to_have_text("goats")
    tab.search("bees")
    expect(tab.page.get_by_text("No passage has a word of the query")).to_be_visible()
    expect(tab.hits.locator("mark")).to_have_count(0)
    # The address carries the search: another tab on it shows the same.
    tab.search("goats")
    expect(tab.page).to_have_url(re.compile(r"(?=.*q=goats)(?=.*passage=p\d)"))
    other = archive("?" + tab.page.url.partition("?")[2])
    expect(other.hits.locator("mark")).to_have_text("goats")
    expect(other.passage.get_by_text("The user keeps goats in Braga.")).to_be_visible()


def test_a_megabyte_is_refused_and_the_page_goes_on(archive: Callable[..., Archive]) -> None:
    tab = archive()
    tab.page.get_by_role("button", name="New passage").click()
    form = tab.page.get_by_test_id("stPopoverBody")
    field = form.get_by_label("Text", exact=True)
    field.fill("x" * 1_000_000)
    expect(field).to_have_value("")
    expect(form.get_by_text("a longer paste is refused")).to_be_visible()
    field.fill("A short fact.")
    form.get_by_role("button", name="Store it").click()
    expect(tab.passage.locator(".ms-text").first).to_have_text("A short fact.")


def test_hostile_text_is_text_and_no_request_leaves_the_page(archive: Callable[..., Archive]) -> None:
    tab = archive()
    tab.store(HOSTILE)
    expect(tab.passage.locator(".ms-text").first).to_have_text(HOSTILE)
    tab.search("evil example")
    expect(tab.hits.locator(".ms-text").first).to_contain_text("<script>")
    assert not [address for address in tab.asked if "evil.example" in address]
    assert "Archival storage" in tab.page.title()


def test_a_passage_is_opened_deleted_and_brought_back_with_the_keyboard_alone(archive: Callable[..., Archive]) -> None:
    tab = archive()
    tab.store("A fact for the keyboard.")
    delete = tab.passage.get_by_role("button", name="Delete")
    delete.focus()
    tab.page.keyboard.press("Enter")
    undo = tab.page.get_by_role("button", name="Undo")
    undo.wait_for()
    expect(tab.hits).to_have_count(0)
    undo.focus()
    tab.page.keyboard.press("Enter")
    expect(tab.hits).to_have_count(1)
