"""The context page in a real browser: the map by mouse and by keys, the way through the steps, a turn that runs."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

pytestmark = pytest.mark.browser

EVIL = 'Remember <img src="http://127.0.0.2:9/a"> ![x](http://127.0.0.2:9/b) <script>document.title="hit"</script>'


def settled(page: Page) -> None:
    page.locator(".ms-map-cells button").first.wait_for()
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()


def opened(context: Callable[..., BrowserContext], address: str, **options: object) -> Page:
    page = context(**options).new_page()
    page.goto(address)
    settled(page)
    return page


def shown(page: Page) -> str:
    """The name and the text of the part that is open."""
    return page.locator(".st-key-part-text").inner_text()


def number(page: Page) -> str:
    return page.locator(".st-key-steps").get_by_test_id("stNumberInputField").input_value()


@pytest.fixture
def companion(serve: Callable) -> str:
    """The address of the context page of the companion's recording, on a server that nobody has asked yet."""
    server = serve(empty=True)
    return f"{server.url}/context"


def with_companion(companion: str, context: Callable[..., BrowserContext], **options: object) -> Page:
    # An empty home begins with the first sample, which is made at the first visit.
    page = opened(context, companion, **options)
    expect(page.get_by_role("button", name="Previous")).to_be_enabled()
    return page


def test_the_map_opens_the_text_of_its_parts_by_mouse_and_by_keys(companion: str, context: Callable) -> None:
    page = with_companion(companion, context)
    cells = page.locator(".ms-map-cells > *")
    expect(cells).to_have_count(480)
    parts = page.locator(".ms-map-cells button")
    assert 10 < parts.count() < 480
    expect(page.locator('.ms-map-cells button[tabindex="0"]')).to_have_count(1)
    page.locator('.ms-map-cells button[aria-label*="Function schemas: Function send_message"]').click()
    expect(page.locator(".st-key-part-text")).to_contain_text('"name":"send_message"')
    # The row of the table follows, the focus stays on the map, and the arrows go on from there.
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".ms-map-says")).to_contain_text("System instructions")
    page.keyboard.press("Enter")
    expect(page.locator(".st-key-part-text")).to_contain_text("You are an assistant")
    page.keyboard.press("End")
    expect(page.locator(".ms-map-says")).to_contain_text("Reply reserve")
    page.keyboard.press("Enter")
    expect(page.locator(".st-key-part-text")).to_contain_text("Nothing of the prompt may stand here")
    page.locator('.ms-map-cells button[aria-label*="Block human"]').hover()
    expect(page.locator(".ms-map-says")).to_contain_text("Working context: Block human")


def test_a_row_of_the_table_opens_its_text(companion: str, context: Callable) -> None:
    page = with_companion(companion, context)
    table = page.get_by_test_id("stDataFrame")
    table.wait_for()
    box = table.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 15, box["y"] + 35 + 17)
    expect(page.locator(".st-key-part-text")).to_contain_text("System instructions")
    first = page.locator(".ms-map-cells button").first
    expect(first).to_have_class(re.compile(r"\bopen\b"))


def test_the_steps_are_in_the_address_and_the_back_button_works(companion: str, context: Callable) -> None:
    page = with_companion(companion, context)
    last = number(page)
    page.get_by_role("button", name="Previous").click()
    expect(page.get_by_text("As of event")).to_be_visible()
    settled(page)
    assert int(number(page)) == int(last) - 1
    address = page.url
    assert "step=" in address
    page.get_by_role("button", name="Previous").click()
    expect(page).not_to_have_url(address)
    settled(page)
    page.go_back()
    settled(page)
    # For a moment the field of the page that was left stands behind the one of the page come back to.
    expect(page.locator(".st-key-steps").get_by_test_id("stNumberInputField").first).to_have_value(str(int(last) - 1))
    other = opened(context, address)
    assert number(other) == str(int(last) - 1)
    expect(other.get_by_text("Rebuilt: identical").first).to_be_visible()


def test_a_deep_link_is_drawn_on_a_cold_server(serve: Callable, context: Callable) -> None:
    server = serve(empty=True)
    # The home is only one process's: the sample is made by the server itself, and then the server starts anew.
    opened(context, f"{server.url}/context")
    server.stop()
    again = type(server)(Path(server.home), pace=0.01)
    try:
        page = opened(context, f"{again.url}/context?agent=companion&step=260")
        expect(page.get_by_text("As of event 260")).to_be_visible()
        assert number(page) == "41"
    finally:
        again.stop()


def test_the_page_follows_a_running_turn(serve: Callable, chat: Callable, context: Callable) -> None:
    server = serve(pace=0.25)
    tab = chat(server.url)
    tab.send("My name is Ada and I live in Leiden.")
    tab.busy()
    page = context().new_page()
    page.goto(f"{server.url}/context")
    # The second request of the turn comes by itself; so does the answer's count.
    expect(page.locator(".st-key-steps").get_by_text("of 2", exact=True)).to_be_visible()
    expect(page.locator(".ms-figs")).to_contain_text("The whole prompt was read")


def test_nothing_in_a_text_reaches_out_of_the_page(serve: Callable, chat: Callable) -> None:
    server = serve()
    tab = chat(server.url)
    tab.send(EVIL)
    tab.idle()
    page = tab.page
    page.goto(f"{server.url}/context")
    settled(page)
    page.locator('.ms-map-cells button[aria-label*="Your message"]').first.click()
    expect(page.locator(".st-key-part-text")).to_contain_text("<img src=")
    for name in ("Compare steps", "Preview and what if", "Raw request", "Over time"):
        page.get_by_role("tab", name=name).click()
        page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()
    assert all(url.startswith((server.url, "data:", "blob:")) for url in tab.asked)
    assert page.title() != "hit"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_map_has_the_colours_of_the_theme(companion: str, context: Callable, scheme: str) -> None:
    page = with_companion(companion, context, color_scheme=scheme)
    colour = page.locator(".ms-map-cells .ms-messages").first.evaluate("node => getComputedStyle(node).backgroundColor")
    assert colour == {"light": "rgb(31, 111, 178)", "dark": "rgb(95, 168, 224)"}[scheme]


def test_what_if_is_asked_in_the_form(companion: str, context: Callable) -> None:
    page = with_companion(companion, context)
    page.get_by_role("tab", name="Preview and what if").click()
    field = page.get_by_role("spinbutton", name="Window (tokens)")
    field.fill("600")
    page.get_by_role("button", name="Work it out").click()
    expect(page.get_by_role("alert").filter(has_text="That cannot be.")).to_contain_text("The window is too small")
    field.fill("8192")
    page.get_by_role("button", name="Work it out").click()
    expect(page.locator(".ms-if")).to_contain_text("7,680 tokens")
