"""What a person meets with an Ollama server, and without one, in a real browser against a stub over real HTTP."""

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.ollama_stub.server import Answer, Gate, Request, Stub
from tests.ollama_stub.world import World

pytestmark = pytest.mark.browser

MODEL = "stub-rendered:latest"


def stand(answers: Callable[[Request], Answer]) -> Stub:
    """A stub made in a thread of its own: the browser's loop runs in this one."""
    with ThreadPoolExecutor(1) as maker:
        return maker.submit(Stub, answers).result()


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, _no_server: None) -> Iterator[Stub]:
    """A server with the stub's models, a few hundredths of a second between the pieces of an answer."""
    with stand(World(gap_s=0.03)) as served:
        monkeypatch.setenv("OLLAMA_HOST", served.host)
        yield served


@pytest.fixture
def settings(context: Callable[..., Any]) -> Callable[..., Page]:
    """Opens the settings page in a tab of its own."""

    def open_page(address: str, **options: Any) -> Page:
        page = context(**options).new_page()
        page.goto(f"{address}/settings")
        page.get_by_text("Settings of").wait_for()
        settled(page)
        return page

    return open_page


def settled(page: Page) -> None:
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()


def choose(page: Page, name: str) -> None:
    """Choose a model in the form."""
    page.locator(".st-key-setting-tester-model").get_by_role("combobox").click()
    page.get_by_role("option", name=name).click()
    expect(page.locator(".st-key-unsaved")).to_contain_text(name)
    settled(page)


def save(page: Page) -> None:
    settled(page)
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".st-key-unsaved")).to_contain_text("Everything here is saved")


def window(page: Page) -> Locator:
    return page.get_by_role("spinbutton", name="Window (tokens)")


@pytest.fixture
def talking(serve: Callable[..., Any], settings: Callable[..., Page], chat: Callable[..., Any]) -> Callable[..., Any]:
    """Opens the chat of an agent that was just given a model of the stub."""

    def open_chat(model: str = MODEL) -> Any:
        server = serve()
        page = settings(server.url)
        expect(page.get_by_text("Found", exact=True)).to_be_visible()
        choose(page, model)
        save(page)
        tab = chat(server.url)
        tab.home = server.home
        return tab

    return open_chat


def events(home: Path) -> list[dict[str, Any]]:
    (log,) = home.glob("agents/*/run.jsonl")
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_without_a_server_the_page_says_what_to_do_and_the_demo_model_answers(
    serve: Callable, settings: Callable, chat: Callable
) -> None:
    server = serve()
    page = settings(server.url)
    expect(page.get_by_text("No Ollama server found")).to_be_visible()
    expect(page.get_by_text("ollama serve", exact=True)).to_be_visible()
    expect(page.get_by_text("Meanwhile the demo model answers")).to_be_visible()
    page.get_by_role("button", name="Look again").click()
    expect(page.get_by_text("looked just now")).to_be_visible()
    tab = chat(server.url)
    tab.ask("My name is Ada and I live in Leiden.")
    expect(tab.block("human")).to_contain_text("Ada")


@pytest.mark.usefixtures("_no_server")
def test_a_server_that_does_not_answer_delays_neither_page(
    serve: Callable, settings: Callable, chat: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = Gate()
    with stand(lambda request: Answer(gate=silent)) as served:
        monkeypatch.setenv("OLLAMA_HOST", served.host)
        server = serve()
        tab = chat(server.url)
        expect(tab.page.get_by_text("Looking for Ollama")).to_be_visible()
        page = settings(server.url)
        expect(page.get_by_text("Looking", exact=True)).to_be_visible()
        silent.open()


def test_a_model_is_chosen_tried_and_talked_to(stub: Stub, serve: Callable, settings: Callable, chat: Callable) -> None:
    server = serve()
    page = settings(server.url)
    choose(page, MODEL)
    page.locator(".st-key-setting-tester-think").get_by_role("combobox").click()
    page.get_by_role("option", name="On").click()
    window(page).fill("2000")
    window(page).press("Enter")
    expect(page.locator(".st-key-unsaved")).to_contain_text("2,000 tokens")
    settled(page)
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".st-key-unsaved")).to_contain_text("a window of 2000 tokens")
    expect(window(page)).to_have_value("2000")
    window(page).fill("16384")
    window(page).press("Enter")
    expect(page.locator(".st-key-unsaved")).to_contain_text("16,384 tokens")
    save(page)
    page.get_by_role("button", name=f"Try {MODEL}").click()
    expect(page.get_by_role("button", name="Try it again")).to_have_count(1)
    expect(page.get_by_text("Restraint", exact=True)).to_be_visible()
    tab = chat(server.url)
    expect(tab.talk).to_contain_text(f"Demo model (rules, no language model) → {MODEL}")
    tab.ask("remember I like plums")
    expect(tab.talk).to_contain_text(f"Step 1 is the first with {MODEL}")
    expect(tab.talk).to_contain_text("prompt tokens cached")
    tab.talk.get_by_text("Thinking", exact=True).click()
    expect(tab.talk.get_by_text("A fact worth keeping.")).to_be_visible()
    expect(tab.block("human")).to_contain_text("I like plums")


def test_a_turn_is_stopped_while_the_server_reads_the_prompt(stub: Stub, talking: Callable) -> None:
    tab = talking()
    tab.send("/stall")
    pulse = tab.page.locator(".st-key-pulse")
    expect(pulse).to_contain_text(re.compile("Reading the prompt|Loading the model"))
    before = len(stub.at("/api/chat"))
    pulse.get_by_role("button", name="Stop").click()
    expect(tab.talk).to_contain_text("You stopped this turn")
    assert stub.at("/api/chat")[before - 1].closed.wait(20)
    tab.ask("Hello")
    expect(tab.talk).to_contain_text("You said: Hello")


def test_a_model_too_big_is_said_in_the_servers_words_with_smaller_ones(stub: Stub, talking: Callable) -> None:
    tab = talking()
    tab.send("/memory please")
    expect(tab.talk).to_contain_text("more system memory (9.5 GiB)")
    tab.idle()
    tab.page.get_by_role("link", name="Model and connection settings").click()
    expect(tab.page.get_by_text("The last turn failed with")).to_be_visible()
    tab.page.get_by_role("button", name="Use stub-native:latest (3.2 GB)").click()
    expect(tab.page.locator(".st-key-unsaved")).to_contain_text("stub-native:latest")
    save(tab.page)
    expect(tab.page.get_by_text("The last turn failed with")).to_have_count(0)


def test_an_overflow_is_tried_once_more_and_then_said(stub: Stub, talking: Callable) -> None:
    tab = talking()
    tab.send("/overflow")
    expect(tab.talk).to_contain_text("longer than its window")
    tab.idle()
    assert next(event["overflow"] for event in events(tab.home) if event["kind"] == "fault_recorded")
    expect(tab.page.get_by_role("link", name="Model and connection settings").last).to_be_visible()


def test_a_model_is_got_cancelled_and_got_on_with(stub: Stub, serve: Callable, settings: Callable) -> None:
    page = settings(serve().url)
    page.get_by_text("Get another model").click()
    page.locator('[class*="st-key-get-qwen3"]').get_by_role("button").first.click()
    expect(page.get_by_text(re.compile(r"Getting qwen3:4b: \d+ MB of 537 MB"))).to_be_visible()
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_text("What has come stays")).to_be_visible()
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("button", name="Use qwen3:4b").click()
    expect(page.locator(".st-key-unsaved")).to_contain_text("qwen3:4b")
    save(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_settings_fit_a_small_laptop_in_both_themes(
    stub: Stub, serve: Callable, settings: Callable, scheme: str
) -> None:
    page = settings(serve().url, color_scheme=scheme)
    expect(page.get_by_text("Found", exact=True)).to_be_visible()
    choose(page, "stub-plain:latest")
    assert page.evaluate("() => document.documentElement.scrollWidth - innerWidth") == 0
    # What is not saved stays in reach, and is not seen through.
    bar = page.locator(".st-key-unsaved")
    assert bar.get_by_role("button", name="Save").bounding_box()["y"] < 790
    light = bar.evaluate("(e) => getComputedStyle(e).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)")
    assert (sum(light) / 3 < 60) is (scheme == "dark")
