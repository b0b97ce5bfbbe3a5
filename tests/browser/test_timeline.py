"""What a person does on the timeline, in a real browser: click a mark, bring a message back, move, watch a turn."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from memgpt_core.events import ArchivalInserted, QueueFlushed, TriggerReceived, encode
from memgpt_core.home import SAMPLES
from memgpt_core.log import read_events
from memgpt_core.project import project
from memgpt_core.state import INITIAL, apply
from tests.event_builder import Script

pytestmark = pytest.mark.browser

NASTY = '<img src="http://evil.example/a"> ![x](http://evil.example/b) $a$ <script>document.title = "hurt"</script>'

# Where point `n` (from the end when negative) of the trace of this name is, in pixels of the page.
_POINT = """([chart, name, n]) => {
  const plot = document.querySelectorAll('.js-plotly-plot')[chart];
  const trace = name ? plot.data.find(one => one.name === name) : plot.data[plot.data.length - 1];
  const list = one => Array.from(one._inputArray || one);
  const at = n < 0 ? list(trace.x).length + n : n;
  const box = plot.getBoundingClientRect(), axes = plot._fullLayout;
  return {
    x: box.left + axes.xaxis2._offset + axes.xaxis2.l2p(list(trace.x)[at]),
    y: box.top + axes.yaxis2._offset + axes.yaxis2.l2p(list(trace.y)[at]),
  };
}"""


class Timeline:
    """A tab with the timeline of one agent open."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.asked: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(url)
        self.settled()

    def settled(self) -> None:
        self.page.get_by_text("Marks ", exact=False).first.wait_for()
        self.page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()
        expect(self.page.locator(".js-plotly-plot .main-svg").first).to_be_visible()

    def click(self, chart: int, name: str, n: int) -> None:
        """Click a point as a hand does: come near first, so that the chart knows what is under the pointer."""
        at = self.page.evaluate(_POINT, [chart, name, n])
        self.page.mouse.move(at["x"] - 4, at["y"])
        self.page.mouse.move(at["x"], at["y"])
        expect(self.page.locator(".hoverlayer .hovertext").first).to_be_visible()
        self.page.mouse.click(at["x"], at["y"])

    @property
    def chosen(self) -> Any:
        return self.page.locator(".st-key-timeline-mark")


@pytest.fixture
def companion(serve: Callable) -> Any:
    """A server with the companion's recording."""
    server = serve(empty=True)
    put(server.home, "companion", (SAMPLES / "companion" / "run.jsonl").read_bytes())
    return server


def put(home: Path, agent: str, log: bytes) -> None:
    folder = home / "agents" / agent
    folder.mkdir(parents=True)
    (folder / "run.jsonl").write_bytes(log)


def events(home: Path, agent: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (home / "agents" / agent / "run.jsonl").read_text().splitlines()]


def test_a_flush_is_clicked_and_a_message_brought_back(companion: Any, context: Callable) -> None:
    tab = Timeline(context().new_page(), f"{companion.url}/timeline?agent=companion")
    before = len(events(companion.home, "companion"))
    tab.click(1, "page out", -1)
    expect(tab.chosen).to_contain_text("messages left because the flush mark was passed")
    last = [event["seq"] for event in events(companion.home, "companion") if event["kind"] == "queue_flushed"][-1]
    assert f"mark={last}" in tab.page.url
    expect(tab.chosen).to_contain_text("What stands for them")
    tab.chosen.get_by_role("button", name="Bring back").first.click()
    expect(tab.chosen).to_contain_text("is in the queue again")
    expect(tab.chosen.get_by_text("came back at event").first).to_be_visible()
    (added,) = events(companion.home, "companion")[before:]
    assert (added["kind"], added["message"], added["author"]) == ("message_requeued", first_of(companion.home), "human")
    # The chosen mark, and what was done, are there after a reload too.
    tab.page.reload()
    tab.settled()
    expect(tab.chosen.get_by_text("came back at event").first).to_be_visible()
    assert len(events(companion.home, "companion")) == before + 1


def test_the_overview_and_the_keyboard_move_the_stretch(companion: Any, context: Callable) -> None:
    tab = Timeline(context(color_scheme="dark").new_page(), f"{companion.url}/timeline?agent=companion")
    expect(tab.page.get_by_text(re.compile(r"Marks \d+ to (\d+) of \1"))).to_be_visible()
    tab.click(0, "", 0)
    expect(tab.page.get_by_text(re.compile(r"Marks 1 to 100 of \d+"))).to_be_visible()
    later = tab.page.get_by_role("button", name="Later")
    later.focus()
    tab.page.keyboard.press("Enter")
    expect(tab.page.get_by_text(re.compile(r"Marks \d\d+ to \d+ of \d+"))).to_be_visible()
    walk = tab.page.get_by_role("button", name="Previous mark")
    walk.focus()
    tab.page.keyboard.press("Enter")
    expect(tab.chosen).to_be_visible()
    first = tab.page.url
    walk.focus()
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_url(lambda url: "mark=" in url and url != first)
    tab.chosen.get_by_role("button", name="Close").click()
    expect(tab.chosen).to_have_count(0)


def first_of(home: Path) -> str:
    """The oldest message that the newest flush took."""
    flushes = [event for event in events(home, "companion") if event["kind"] == "queue_flushed"]
    return str(flushes[-1]["evicted"][0])


def brought_back() -> int:
    """The first event of the companion's life that brings an evicted message back."""
    state = INITIAL
    for event in read_events(SAMPLES / "companion" / "run.jsonl"):
        rows = [
            change.row for change in project(state, event) if change.table == "residency" and hasattr(change, "row")
        ]
        came = [row["fault"] for row in rows if row["how"] == "copy"]
        if any(came):
            return event.seq
        state = apply(state, event)
    raise AssertionError("nothing comes back in the companion's life")


def test_a_link_to_a_past_mark_works_on_a_cold_server(companion: Any, context: Callable) -> None:
    mark = brought_back()
    at = mark + 5
    tab = Timeline(context().new_page(), f"{companion.url}/timeline?agent=companion&step={at}&mark={mark}")
    expect(tab.page.get_by_text(f"As of event {at}")).to_be_visible()
    expect(tab.chosen).to_contain_text("came into the window")
    expect(tab.chosen).to_contain_text("page fault")
    tab.chosen.get_by_role("button", name="The flush they left by").first.click()
    expect(tab.chosen).to_contain_text("messages left because")
    expect(tab.chosen.get_by_role("button", name="Bring back").first).to_be_disabled()
    tab.chosen.get_by_role("link", name="Log").click()
    tab.page.wait_for_url("**/log?*event=*")


def test_no_text_of_an_agent_reaches_out(serve: Callable, context: Callable) -> None:
    server = serve(empty=True)
    script = Script().add(TriggerReceived(cause="user", text=NASTY)).end()
    script.add(ArchivalInserted(text=NASTY, author="agent")).flushed([script.message], summary=NASTY)
    assert script.last.kind == QueueFlushed.model_fields["kind"].default
    put(server.home, "tester", "".join(f"{encode(event)}\n" for event in script.events).encode())
    page = context().new_page()
    for seq in (2, 4, 5):
        tab = Timeline(page, f"{server.url}/timeline?agent=tester&mark={seq}")
        expect(tab.chosen).to_contain_text("evil.example")
        assert not [url for url in tab.asked if "evil" in url]
    assert page.title() != "hurt"


def test_a_running_turn_is_told_and_then_drawn(serve: Callable, chat: Callable, context: Callable) -> None:
    # So slow that only the stop button ends the turn, however long the pages take.
    server = serve(pace=5.0)
    talk = chat(server.url)
    talk.send("My name is Ada and I live in Leiden.")
    talk.busy()
    agent = next((server.home / "agents").iterdir()).name
    tab = Timeline(context().new_page(), f"{server.url}/timeline?agent={agent}")
    running = tab.page.locator(".st-key-timeline-running")
    expect(running).to_contain_text("A turn runs")
    talk.page.locator(".st-key-pulse").get_by_role("button", name="Stop").click()
    expect(running).to_have_count(0)
    last = events(server.home, agent)[-1]
    assert (last["kind"], last["reason"]) == ("turn_ended", "stopped")
    expect(tab.page.get_by_text(f"in {last['seq']} events")).to_be_visible()
