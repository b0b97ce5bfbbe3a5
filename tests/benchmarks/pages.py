"""Drawing every page at 1,000 and at 100,000 events, and what a live turn costs the browser.

Run: `python -m tests.benchmarks.pages [events]`.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Error, Page, sync_playwright
from streamlit.testing.v1 import AppTest

from memgpt_core.home import close_home, the_home
from memgpt_core.settings import AgentSettings
from pages.parts.sidebar import PAGES
from tests.benchmarks._lives import make_agent
from tests.benchmarks._tables import at_most, doing, heading, series, table
from tests.browser.conftest import CHROMIUM, Server

SMALL, LARGE = 1_000, 100_000
RERUNS = 11
RATIO_FLOOR, FLOOR_MS = 1.5, 200.0
TALK_MESSAGES = 1_000
BUSY_FLOOR = 0.10
WATCHED_S = 10.0
APP = Path(__file__).resolve().parents[2] / "app.py"

HOW = """A rerun is the page's whole script, from its start to its last frame, in Streamlit's own test harness: the
server's time without the network and the browser. Each page was drawn twice before it is measured; the two agents
take turns, so that a busy moment of the machine meets both. The agents lived the same kind of life.
Browser time is from a click on the page's link to the page drawn, in a headless Chromium on the same machine."""

HOW_BUSY = """Busy is the share of time in which the page's main thread works (Chromium's TaskDuration), while the demo
model answers slowly (0.4 s a word) in a conversation of 1,000 messages; beside it the same page while it is idle."""


def main(events: int = LARGE) -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        for agent, many in (("small", SMALL), ("large", events)):
            doing(f"making an agent of {many:,} events")
            make_agent(home / "agents" / agent, many)
        os.environ["MEMSCOPE_HOME"] = str(home)
        os.environ["OLLAMA_HOST"] = "127.0.0.1:9"
        server_ms = _server_times()
        close_home()
        browser_ms, busy, idle = _browser(home)
    heading(f"A page's rerun at {events:,} events beside {SMALL:,}", HOW)
    rows: list[tuple[object, ...]] = []
    for file, title, _ in PAGES:
        small, large = series(server_ms[file, "small"]), series(server_ms[file, "large"])
        ratio = large.median / small.median
        verdict = at_most(ratio, RATIO_FLOOR, "x"), at_most(large.median, FLOOR_MS, "ms")
        rows.append((title, small.median, large.median, large.worst, ratio, *verdict, browser_ms[file]))
    columns = (
        "page",
        f"{SMALL:,}, ms",
        f"{events:,}, ms",
        "worst, ms",
        "ratio",
        "ratio's floor",
        "floor",
        "browser, ms",
    )
    table(columns, rows)
    heading("A live turn in the browser", HOW_BUSY)
    table(
        ("page's main thread", "busy share", "floor"),
        [("while a turn runs", busy, at_most(busy, BUSY_FLOOR, "of the time")), ("while the agent is idle", idle, "")],
    )


def _server_times() -> dict[tuple[str, str], list[float]]:
    found: dict[tuple[str, str], list[float]] = {}
    home = the_home()
    for agent in ("small", "large"):
        # The stores are made from the log first; a page is measured as a person meets it on another day.
        home.open(agent).projections.flush()
    apps: dict[str, AppTest] = {}
    for file, title, _ in PAGES:
        doing(f"drawing {title}")
        for agent in ("small", "large"):
            app = AppTest.from_file(str(APP), default_timeout=120)
            app.query_params["agent"] = agent
            app.run()
            if file != "app.py":
                app.switch_page(file).run()
            app.run()
            if app.exception:
                raise SystemExit(f"{title} could not be drawn: {app.exception[0].value}")
            apps[agent] = app
        for _ in range(RERUNS):
            for agent in ("small", "large"):
                started = time.perf_counter()
                apps[agent].run()
                found.setdefault((file, agent), []).append(1000 * (time.perf_counter() - started))
    return found


def _browser(home: Path) -> tuple[dict[str, float], float, float]:
    doing("drawing in a browser")
    make_agent(home / "agents" / "talk", 3 * TALK_MESSAGES, settings=AgentSettings(embedder="hashing"))
    server = Server(home, pace=0.4)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            shown = {}
            for file, _, _ in PAGES:
                path = "" if file == "app.py" else Path(file).stem
                for _ in range(2):
                    started = time.perf_counter()
                    page.goto(f"{server.url}/{path}?agent=large")
                    _drawn(page)
                    shown[file] = 1000 * (time.perf_counter() - started)
            busy, idle = _busy(page, server.url)
            browser.close()
    finally:
        server.stop()
    return shown, busy, idle


def _drawn(page: Page) -> None:
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for(timeout=120_000)
    page.locator("h4, h3, .ms").first.wait_for(timeout=120_000)


def _busy(page: Page, url: str) -> tuple[float, float]:
    """(busy share while a turn runs, busy share while idle), with the whole conversation open."""
    page.goto(f"{url}/?agent=talk")
    _drawn(page)
    for _ in range(TALK_MESSAGES // 40):
        try:
            page.get_by_role("button", name="Older messages").click(timeout=10_000)
        except Error:
            # Everything is shown: the button is gone.
            break
        _drawn(page)
        page.wait_for_timeout(500)
    client = page.context.new_cdp_session(page)
    # The browser's own processor time: a task that waits for its turn on a shared machine is not at work.
    client.send("Performance.enable", {"timeDomain": "threadTicks"})
    idle = _share(client, WATCHED_S)
    field = page.get_by_test_id("stChatInputTextArea")
    field.fill("Please tell me what you understand.")
    field.press("Enter")
    page.locator(".st-key-pulse").get_by_role("button", name="Stop").wait_for(timeout=60_000)
    return _share(client, WATCHED_S), idle


def _share(client: object, seconds: float) -> float:
    def spent() -> float:
        metrics = client.send("Performance.getMetrics")["metrics"]  # type: ignore[attr-defined]
        return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))

    before, started = spent(), time.perf_counter()
    time.sleep(seconds)
    return (spent() - before) / (time.perf_counter() - started)


if __name__ == "__main__":
    main(*(int(number) for number in sys.argv[1:]))
