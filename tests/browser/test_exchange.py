"""What a person brings in and takes out, in a real browser: a ChatGPT export, a bundle, a page opened from disk."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

pytestmark = pytest.mark.browser

CHATGPT = Path(__file__).resolve().parents[1] / "conversations" / "chatgpt.json"


def settled(page: Page) -> None:
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()


def bring(page: Page, path: Path, says: str) -> None:
    """Choose a file, read what it is, import it."""
    page.locator("input[type=file]").set_input_files(path)
    expect(page.get_by_text(says)).to_be_visible()
    settled(page)
    page.get_by_role("button", name="Import", exact=True).click()


def download(page: Page, kind: str, folder: Path) -> Path:
    """Make a file of a kind, and what the browser then has of it."""
    page.get_by_role("button", name=f"Make the {kind}").click()
    button = page.get_by_role("button", name="Download")
    expect(button).to_be_visible()
    settled(page)
    with page.expect_download() as coming:
        button.click()
    path = folder / coming.value.suggested_filename
    coming.value.save_as(path)
    return path


@pytest.fixture
def exchange(serve: Callable, context: Callable[..., BrowserContext]) -> Any:
    """(the server, a tab with the page open)."""
    server = serve()
    page = context(accept_downloads=True).new_page()
    page.goto(f"{server.url}/exchange?agent=tester")
    page.get_by_text("A file from your browser").wait_for()
    settled(page)
    return server, page


def test_a_chatgpt_export_is_uploaded_and_its_agent_talked_to(exchange: Any) -> None:
    server, page = exchange
    bring(page, CHATGPT, "ChatGPT export, 1 conversation with 4 messages")
    expect(page.get_by_text("has lived 4 messages of the file in 1 session")).to_be_visible()
    page.get_by_role("link", name="Talk to it").click()
    page.wait_for_url(lambda url: "agent=chatgpt-export" in url and "exchange" not in url)
    talk = page.locator(".st-key-conversation")
    expect(talk.get_by_text("Imported, not recorded by this agent").first).to_be_visible()
    expect(talk.get_by_text("Which church is this?")).to_be_visible()
    settled(page)
    field = page.get_by_test_id("stChatInputTextArea")
    field.fill("My name is Ada.")
    field.press("Enter")
    expect(talk.get_by_text("My name is Ada.", exact=True)).to_be_visible()
    page.get_by_text("the agent waits for a message").wait_for()
    lines = (server.home / "agents" / "chatgpt-export" / "run.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["kind"] == "turn_ended"


def test_a_bundle_is_downloaded_and_comes_in_on_another_machine(
    exchange: Any, serve: Callable, context: Callable[..., BrowserContext], tmp_path: Path
) -> None:
    server, page = exchange
    path = download(page, "Bundle", tmp_path)
    assert path.name == "tester.memscope"
    other = serve(empty=True)
    there = context().new_page()
    there.goto(f"{other.url}/exchange")
    there.get_by_text("A file from your browser").wait_for()
    settled(there)
    bring(there, path, "Memscope bundle, agent “Tester”")
    expect(there.get_by_text("Tester is here as tester")).to_be_visible()
    log = Path("agents") / "tester" / "run.jsonl"
    assert (other.home / log).read_bytes() == (server.home / log).read_bytes()


def test_a_page_is_downloaded_and_plays_from_disk_and_asks_nobody(
    exchange: Any, context: Callable[..., BrowserContext], tmp_path: Path
) -> None:
    _, page = exchange
    page.get_by_text("HTML page", exact=True).click()
    page.get_by_role("button", name="Make the HTML page").wait_for()
    settled(page)
    path = download(page, "HTML page", tmp_path)
    alone = context(offline=True).new_page()
    asked: list[str] = []
    alone.on("request", lambda request: asked.append(request.url))
    alone.goto(path.as_uri())
    expect(alone.locator("#where b").first).to_have_text("Event 1")
    assert {url.split("#")[0] for url in asked} == {path.as_uri()}


def test_a_file_that_is_none_gets_a_sentence(exchange: Any, tmp_path: Path) -> None:
    _, page = exchange
    (tmp_path / "diary.txt").write_text("Dear diary")
    page.locator("input[type=file]").set_input_files(tmp_path / "diary.txt")
    expect(page.get_by_text("Understood are Memscope bundles")).to_be_visible()
    page.get_by_role("button", name="Another file").click()
    expect(page.get_by_text("A file from your browser")).to_be_visible()
