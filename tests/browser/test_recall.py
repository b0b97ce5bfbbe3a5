"""What a person does on the recall page, in a real browser: search 100,000 messages, correct, delete, undo, ask SQL."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from memgpt_core.blueprint import Blueprint, first_events
from memgpt_core.events import encode
from memgpt_core.home import Home

pytestmark = pytest.mark.browser

MANY = 100_000
FLUSH_EVERY = 40
HOSTILE = (
    '<img src="http://evil.example/a.png" onerror="alert(1)"><script>alert(2)</script> '
    "![p](http://evil.example/b.png) [l](javascript:alert(3)) $\\frac{1}{2}$ :red[hi] \x1b[31m \u202egnp.evil \x00 end"
)


def long_log(agents: Path, messages: int) -> None:
    """An agent `large` to which so many things were said; every fortieth flushed the queue."""
    start = datetime(2024, 1, 1, tzinfo=UTC)
    lines, seq, turn, queued = [], 0, 0, []

    def add(fields: dict[str, Any]) -> None:
        nonlocal seq
        seq += 1
        head = {"seq": seq, "at": (start + timedelta(minutes=seq)).isoformat(), "session": 1 + seq // 5000}
        lines.append(json.dumps({**head, "turn": turn, "step": 0, **fields}))

    for event in first_events(Blueprint(name="Large"), "large"):
        fields = json.loads(encode(event))
        add({name: value for name, value in fields.items() if name not in ("seq", "at", "session", "turn", "step")})
    for at in range(messages):
        turn = at + 1
        rare = " The kingfisher was seen at noon." if at == 4321 else ""
        text = f"Entry {at}: the ferry to island {at % 977} left on time.{rare}"
        add({"kind": "trigger_received", "cause": "user", "text": text, "measured": {"tokens": 25}})
        queued.append(f"m{seq}")
        if len(queued) == FLUSH_EVERY:
            flushed = {"evicted": queued, "trigger": "flush_mark", "strategy": "drop_with_notice", "flush_tokens": 7168}
            counts = {"tokens_before": 3000, "tokens_after": 2000, "covers": at + 1, "measured": {"tokens": 20}}
            add({"kind": "queue_flushed", **flushed, **counts, "summary": "They left.", "summarised_by": "none"})
            queued = []
    add({"kind": "turn_ended", "reason": "yielded"})
    (agents / "large").mkdir(parents=True)
    (agents / "large" / "run.jsonl").write_text("\n".join(lines) + "\n")


class Recall:
    """A tab with the recall page open."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.asked: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(address)
        page.get_by_text("everything ever said, thought and returned").wait_for(timeout=180_000)
        self.settled()

    def settled(self) -> None:
        self.page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()

    def search(self, text: str) -> None:
        field = self.page.get_by_role("textbox", name="Search every message")
        field.fill(text)
        field.press("Enter")
        self.settled()

    @property
    def rows(self):
        return self.page.locator(".st-key-recall-rows")

    @property
    def opened(self):
        return self.page.locator(".st-key-message")

    def open_first(self) -> None:
        self.rows.get_by_role("button", name="Open").first.click()
        self.settled()

    def press(self, name: str, exact: bool = True) -> None:
        self.page.get_by_role("button", name=name, exact=exact).last.click()
        self.settled()


@pytest.fixture
def recall(context: Callable) -> Callable[..., Recall]:
    def open_page(address: str, **options: object) -> Recall:
        return Recall(context(**options).new_page(), address)

    return open_page


def said(home: Path, agent: str, *texts: str) -> None:
    """Let an agent of a home that nobody has open hear these."""
    here = Home(home, timer=False)
    ws = here.open(agent)
    for text in texts:
        ws.send(text)
        assert ws.wait_idle(60)
    here.close()


def log_of(home: Path, agent: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (home / "agents" / agent / "run.jsonl").read_text().splitlines()]


def test_a_hundred_thousand_messages_are_searched_and_paged_on_a_cold_server(serve: Callable, recall: Callable) -> None:
    server = serve(empty=True)
    long_log(server.home / "agents", MANY)
    tab = recall(f"{server.url}/recall?agent=large&q=kingfisher")
    expect(tab.page.get_by_text("1 to 1 of 1 messages")).to_be_visible()
    expect(tab.rows.locator("mark")).to_have_text(["kingfisher"])
    tab.search("")
    expect(tab.page.get_by_text(f"1 to 25 of {MANY:,} messages")).to_be_visible()
    expect(tab.rows).to_contain_text(f"Entry {MANY - 1}:")
    tab.press("Next")
    expect(tab.page.get_by_text(f"26 to 50 of {MANY:,} messages")).to_be_visible()
    expect(tab.rows).to_contain_text(f"Entry {MANY - 26}:")
    tab.press("Last")
    expect(tab.rows).to_contain_text("Entry 0:")
    tab.search("island 976 ")
    expect(tab.page.get_by_text(re.compile(r"1 to 25 of 102 messages"))).to_be_visible()
    tab.page.go_back()
    expect(tab.page.get_by_text(f"of {MANY:,} messages")).to_be_visible()
    assert len(tab.rows.get_by_role("checkbox").all()) == 25


def test_a_message_is_corrected_deleted_and_brought_back_by_undo(serve: Callable, recall: Callable) -> None:
    server = serve()
    server.stop()
    (agent,) = [folder.name for folder in (server.home / "agents").iterdir()]
    said(server.home, agent, "My dog is called Biscuit.")
    again = type(server)(server.home, pace=0.01)
    try:
        tab = recall(f"{again.url}/recall?agent={agent}&q=Biscuit.&role=user")
        tab.open_first()
        expect(tab.opened).to_contain_text("My dog is called Biscuit.")
        tab.press("Edit")
        expect(tab.opened).to_contain_text("It is in the window: main context will have")
        tab.opened.get_by_role("textbox", name=re.compile("^Text of m")).fill("My dog is called Bagel.")
        tab.press("Save")
        expect(tab.opened).to_contain_text("Versions 2")
        expect(tab.opened.locator(".ms-text").first).to_have_text("My dog is called Bagel.")
        tab.page.get_by_role("button", name="Delete", exact=True).click()
        expect(tab.page.get_by_text("1 of 1 is in the window now")).to_be_visible()
        tab.press("Delete it")
        expect(tab.page.get_by_text(re.compile(r"Deleted m\d+\."))).to_be_visible()
        expect(tab.opened).to_contain_text("It can be restored")
        tab.press("Undo")
        expect(tab.opened).to_contain_text("in its own place in the FIFO queue")
        kinds = [(event["kind"], event.get("author")) for event in log_of(server.home, agent)][-3:]
        assert kinds == [
            ("message_edited", "human"),
            ("message_deleted", "human"),
            ("message_restored", "human"),
        ]
    finally:
        again.stop()


def test_hostile_messages_are_text_and_nothing_leaves_the_page(serve: Callable, recall: Callable) -> None:
    server = serve()
    server.stop()
    (agent,) = [folder.name for folder in (server.home / "agents").iterdir()]
    said(server.home, agent, HOSTILE)
    again = type(server)(server.home, pace=0.01)
    try:
        tab = recall(f"{again.url}/recall?agent={agent}&q=evil.example&role=user")
        alerts: list[str] = []
        tab.page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
        expect(tab.rows).to_contain_text('<img src="http://evil.example/a.png" onerror="alert(1)">')
        expect(tab.rows.locator("mark").first).to_have_text("evil.example")
        tab.open_first()
        expect(tab.opened).to_contain_text("<script>alert(2)</script>")
        expect(tab.opened).to_contain_text("⟨U+202E⟩")
        expect(tab.opened).to_contain_text("![p](http://evil.example/b.png)")
        tab.page.get_by_text("SQL", exact=True).click()
        tab.settled()
        tab.page.get_by_role("textbox", name="One SELECT over this agent's rows").fill("SELECT id, text FROM messages")
        tab.press("Run")
        expect(tab.page.get_by_text(re.compile("rows.* in "))).to_be_visible()
        assert tab.page.locator("img[src*='evil']").count() == 0
        assert alerts == []
        assert [address for address in tab.asked if not address.startswith((again.url, "data:", "blob:", "ws:"))] == []
    finally:
        again.stop()


def test_the_page_is_used_by_keyboard_alone(serve: Callable, recall: Callable) -> None:
    server = serve(empty=True)
    tab = recall(f"{server.url}/recall")
    field = tab.page.get_by_role("textbox", name="Search every message")
    field.focus()
    tab.page.keyboard.type("Biscuit")
    tab.page.keyboard.press("Enter")
    expect(tab.rows.locator("mark").first).to_have_text("Biscuit")
    box = tab.rows.get_by_role("checkbox").first
    box.focus()
    tab.page.keyboard.press("Space")
    expect(tab.page.get_by_text("1 selected")).to_be_visible()
    tab.rows.get_by_role("button", name="Open").first.focus()
    tab.page.keyboard.press("Enter")
    expect(tab.opened).to_contain_text("message m")
