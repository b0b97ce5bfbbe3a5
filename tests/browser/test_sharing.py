"""A shared recording opened from disk, as by somebody who was sent it: it plays, seeks, asks nobody."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from memgpt_core.home import SAMPLES
from memgpt_core.log import read_events
from memgpt_core.sharing import Recording, share_html
from tests.event_builder import Script
from tests.test_sharing import HOSTILE, Held, hostile

pytestmark = pytest.mark.browser

KINDS = [event.kind for event in read_events(SAMPLES / "companion" / "run.jsonl")]
LAST, FLUSHES = len(KINDS), KINDS.count("queue_flushed")


class Opened:
    """A file in a tab, with every address it asked for and all that its console said."""

    def __init__(self, context: BrowserContext, path: Path, position: str = "") -> None:
        self.page: Page = context.new_page()
        self.asked: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.address = path.as_uri()
        self.page.goto(self.address + position)

    def is_quiet(self) -> None:
        assert {url.split("#")[0] for url in self.asked} == {self.address}
        assert self.said == []

    def at(self, seq: int) -> None:
        """It stands at this event, in every place that says so."""
        expect(self.page.locator("#where b").first).to_have_text(f"Event {seq:,}")
        expect(self.page.locator("#event-title")).to_contain_text(f"Event {seq:,}:")
        expect(self.page).to_have_url(f"{self.address}#event={seq}")

    @property
    def seq(self) -> int:
        return int(self.page.locator("#where b").first.inner_text().removeprefix("Event ").replace(",", ""))


@pytest.fixture(scope="module")
def companion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recording = Recording(SAMPLES / "companion" / "run.jsonl")
    path = tmp_path_factory.mktemp("shared") / "companion.html"
    path.write_bytes(share_html(recording))
    recording.close()
    return path


@pytest.fixture
def shared(context: Callable[..., BrowserContext], companion: Path) -> Callable[..., Opened]:
    def open_file(position: str = "", **options: Any) -> Opened:
        return Opened(context(**options), companion, position)

    return open_file


def test_it_opens_from_disk_and_asks_nobody(shared: Callable[..., Opened]) -> None:
    tab = shared()
    page = tab.page
    expect(page).to_have_title("Juno · a Memscope recording")
    expect(page.get_by_role("heading", level=1)).to_have_text("Juno: a recording")
    expect(page.locator("#facts")).to_contain_text(f"Events 1 to {LAST}, the whole log")
    expect(page.locator("#facts")).to_contain_text("nothing redacted")
    page.get_by_text("About this file").click()
    expect(page.locator("#about")).to_contain_text("Made with Memscope, engine version")
    expect(page.locator("#spoken")).to_contain_text("Event 1. Agent Juno created")
    # The policy holds in this very document: what it forbids does not happen.
    refused = page.evaluate(
        """async () => {
            const image = new Image();
            const tried = new Promise((done) => {
                image.onerror = () => done("refused");
                image.onload = () => done("in");
            });
            image.src = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=";
            return tried;
        }"""
    )
    assert refused == "refused"
    tab.said.clear()
    tab.is_quiet()


def test_every_key_moves_it(shared: Callable[..., Opened]) -> None:
    tab = shared("#event=420")
    press = tab.page.keyboard.press
    tab.at(420)
    press("ArrowRight")
    tab.at(421)
    press("ArrowLeft")
    press("ArrowLeft")
    tab.at(419)
    press("End")
    tab.at(LAST)
    press("ArrowRight")
    tab.at(LAST)
    press("Home")
    tab.at(1)
    press("Shift+ArrowRight")
    first = tab.seq
    expect(tab.page.locator("#where")).to_contain_text("turn 1,")
    press("Shift+ArrowRight")
    expect(tab.page.locator("#where")).to_contain_text("turn 2,")
    press("Shift+ArrowLeft")
    tab.at(first)
    press(".")
    expect(tab.page.locator("#event-title")).to_contain_text("prompt built")
    press("PageDown")
    expect(tab.page.locator("#where")).to_contain_text("session 2,")
    press("n")
    expect(tab.page.locator("#event-title")).to_contain_text("queue flushed")
    press("+")
    expect(tab.page.get_by_label("Speed")).to_have_value("2")
    press("?")
    expect(tab.page.get_by_role("dialog")).to_be_visible()
    press("ArrowRight")
    expect(tab.page.locator("#event-title")).to_contain_text("queue flushed")
    press("Escape")
    expect(tab.page.get_by_role("dialog")).to_be_hidden()
    tab.is_quiet()


def test_it_plays_pauses_and_starts_over_at_the_end(shared: Callable[..., Opened]) -> None:
    tab = shared("#event=100")
    page = tab.page
    page.get_by_label("Speed").select_option("16")
    page.locator("body").press("Space")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.locator("#where b").first).to_have_text(re.compile(r"Event (1[1-9]\d|[2-6]\d\d)$"))
    # The address is left alone while it plays.
    expect(page).to_have_url(f"{tab.address}#event=100")
    page.locator("body").press("Space")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    stood = tab.seq
    tab.at(stood)
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    tab.at(LAST)
    page.get_by_role("button", name="Play").click()
    expect(page.locator("#where b").first).to_have_text(re.compile(r"Event \d{1,2}$"))
    page.get_by_role("button", name="Pause").click()
    tab.is_quiet()


def test_the_scrubber_the_jumps_and_the_address_lead_to_the_same_places(shared: Callable[..., Opened]) -> None:
    tab = shared()
    page = tab.page
    page.get_by_label("Position in the recording, by event").fill("419")
    tab.at(420)
    page.get_by_label("What to jump to").select_option("flush")
    page.get_by_role("button", name="Jump back").click()
    expect(page.locator("#event-title")).to_contain_text("queue flushed")
    flush = max(seq for seq, kind in enumerate(KINDS, 1) if kind == "queue_flushed" and seq < 420)
    tab.at(flush)
    expect(page.locator(".bubble.now")).to_contain_text("messages left the FIFO queue")
    page.get_by_label("What to jump to").select_option("fault")
    page.get_by_role("button", name="Jump on", exact=True).click()
    assert tab.seq > flush
    page.get_by_label("What to jump to").select_option("error")
    page.get_by_role("button", name="Jump on", exact=True).click()
    expect(page.locator("#where")).to_contain_text("There is no error after this")
    page.evaluate("location.hash = '#event=3'")
    tab.at(3)
    page.reload()
    tab.at(3)
    page.evaluate("location.hash = '#event=99999'")
    expect(page.locator("#where b").first).to_have_text("Event 3")


def test_the_panes_show_the_agent_as_it_was_at_the_event(shared: Callable[..., Opened]) -> None:
    tab = shared("#event=1")
    page = tab.page
    page.get_by_label("What to jump to").select_option("edit")
    page.get_by_role("button", name="Jump on", exact=True).click()
    expect(page.locator(".block.now ins").first).to_be_visible()
    expect(page.locator(".block.now")).to_contain_text("Changed by this event")
    edited = tab.seq
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#core ins")).to_have_count(0)
    # A link in a pane goes to the event that wrote it.
    page.keyboard.press("End")
    page.get_by_text("Item by item").click()
    expect(page.locator("#items .list > div").first).to_contain_text("System instructions")
    sizes = [int(text.replace(",", "")) for text in page.locator("#items .num").all_inner_texts()]
    template = page.locator("#window .legend div", has_text="Template").locator(".num").all_inner_texts()
    used = int(page.locator("#window .big").inner_text().replace(",", ""))
    assert sum(sizes) + sum(int(text) for text in template) == used
    page.locator("#items").get_by_role("button", name="Block persona").click()
    tab.at(3)
    assert edited > 3
    expect(page.locator("#talk")).to_contain_text("Nothing has been said yet")


def test_seeking_back_and_forth_is_the_same_as_going_straight(shared: Callable[..., Opened]) -> None:
    panes = "['window', 'core', 'counts', 'line', 'search', 'event'].map((id) => document.getElementById(id).innerText)"
    straight, wandered = shared("#event=431"), shared("#event=650")
    for key in ("Home", "End", "PageUp", "PageUp", "PageDown"):
        wandered.page.keyboard.press(key)
    wandered.page.evaluate("location.hash = '#event=398'")
    wandered.at(398)
    for _ in range(33):
        wandered.page.keyboard.press("ArrowRight")
    wandered.at(431)
    assert wandered.page.evaluate(panes) == straight.page.evaluate(panes)


def test_dark_and_light_and_a_narrow_screen(shared: Callable[..., Opened]) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light, dark = shared("#event=420", color_scheme="light"), shared("#event=420", color_scheme="dark")
    assert light.page.evaluate(ground) == "rgb(251, 250, 246)"
    assert dark.page.evaluate(ground) == "rgb(21, 25, 29)"
    chip = "getComputedStyle(document.querySelector('.chip.t-working_context')).backgroundColor"
    assert light.page.evaluate(chip) != dark.page.evaluate(chip)
    dark.page.set_viewport_size({"width": 420, "height": 800})
    assert dark.page.evaluate("document.documentElement.scrollWidth") <= 420
    expect(dark.page.get_by_role("button", name="Play")).to_be_in_viewport()
    for tab in (light, dark):
        tab.is_quiet()


def test_hostile_text_is_shown_as_text(context: Callable[..., BrowserContext], tmp_path: Path) -> None:
    path = tmp_path / "hostile.html"
    path.write_bytes(share_html(Held(hostile().events)))
    tab = Opened(context(), path)
    page = tab.page
    for _ in range(hostile().seq):
        page.keyboard.press("ArrowRight")
    expect(page.locator(".bubble.user .say")).to_have_count(len(HOSTILE))
    shown = page.locator(".bubble.user .say").all_inner_texts()
    assert shown[0] == HOSTILE[0]
    assert shown[1] == HOSTILE[1]
    assert shown[3] == "nul⟨U+0000⟩here"
    assert shown[4] == "⟨U+202E⟩gnp.exe⟨U+2069⟩"
    assert shown[6] == "⟨U+0001⟩0"
    expect(page.locator("h1")).to_have_text(f"{HOSTILE[0]}: a recording")
    assert page.evaluate("window.hit") is None
    assert page.locator("img").count() == 0
    tab.is_quiet()


def test_a_message_of_ten_million_characters_is_shown_bit_by_bit(
    context: Callable[..., BrowserContext], tmp_path: Path
) -> None:
    path = tmp_path / "long.html"
    path.write_bytes(share_html(Held(Script().turn("word " * 2_000_000, "long").events)))
    tab = Opened(context(), path, "#event=2")
    said = tab.page.locator(".bubble.user .say")
    more = said.get_by_role("button", name="9,996,000 characters more")
    expect(more).to_be_visible()
    assert said.evaluate("(node) => node.textContent.length") < 5000
    more.click()
    expect(said.get_by_role("button", name="9,896,000 characters more")).to_be_visible()
    tab.is_quiet()
