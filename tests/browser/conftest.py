"""A real server on a free port with an empty home, and a real browser that may talk to it alone."""

import atexit
import functools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memgpt_core.blueprint import Blueprint
from memgpt_core.home import Home
from memgpt_core.llm.demo import DemoModel

pytest.importorskip("playwright", reason="playwright is not installed (tests/requirements.txt)")

from playwright.sync_api import Browser, BrowserContext, Error, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = "/usr/bin/chromium"
READY_S = 60.0
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)


class Nursery:
    """The process that servers are forked from; begun with the first of them."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.browser.nursery"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        atexit.register(self._process.terminate)

    def ask(self, wanted: dict[str, object]) -> int:
        """What it answers; see `nursery`."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


nursery = functools.cache(Nursery)


class Server:
    """A running Memscope. `pace` is the demo model's seconds between streamed words."""

    def __init__(self, home: Path, *, pace: float) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.home = home
        self.log = home.parent / "server.log"
        environment = {**os.environ, "MEMSCOPE_HOME": str(home), "MEMSCOPE_DEMO_PACE": str(pace)}
        self._pid = nursery().ask({"port": self.port, "environment": environment, "log": str(self.log)})
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + READY_S
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2):
                    return
            except (urllib.error.URLError, TimeoutError):
                time.sleep(0.05)
        self.stop()
        pytest.fail(f"The server did not start:\n{self.log.read_text()}")

    def stop(self) -> None:
        nursery().ask({"stop": self._pid})


@functools.cache
def furnished(sample: str) -> Path:
    """A home with this sample in it, else with a new agent, that is made once and copied for each server."""
    home = Home(Path(tempfile.mkdtemp(prefix="furnished")) / "home", models={"demo": DemoModel(pace=0)}, timer=False)
    atexit.register(shutil.rmtree, home.path.parent, ignore_errors=True)
    if sample:
        home.start_sample(sample)
    else:
        home.create(Blueprint(name="Tester"))
    home.close()
    return home.path


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers, each on a home of its own with one new agent in it (or none, or a sample), and stops them."""
    running: list[Server] = []

    def start(*, pace: float = 0.01, empty: bool = False, sample: str = "") -> Server:
        home = tmp_path / f"server{len(running)}" / "home"
        if empty:
            home.mkdir(parents=True)
        else:
            shutil.copytree(furnished(sample), home)
        running.append(Server(home, pace=pace))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser; missing, it is a failure where everything must run and a skip elsewhere.

    One a module and not one a session: while it is there, its event loop runs on the tests' own thread, and
    other modules want loops of their own.
    """
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        except Error as error:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(f"no Chromium at {CHROMIUM}: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Makes browser contexts of the size a laptop has; each records the addresses it asked for in `asked`."""
    made: list[BrowserContext] = []

    def make(**options: object) -> BrowserContext:
        one = chromium.new_context(viewport={"width": 1280, "height": 800}, **options)
        one.set_default_timeout(PATIENCE_MS)
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


class Chat:
    """A tab with the chat open, as a person uses it."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.asked: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(address)
        self.settled()

    def settled(self) -> None:
        """Until the page is drawn and the last change has been taken up."""
        self.page.get_by_test_id("stChatInputTextArea").wait_for()
        self.page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()

    def send(self, text: str) -> None:
        field = self.page.get_by_test_id("stChatInputTextArea")
        field.fill(text)
        field.press("Enter")

    def idle(self) -> None:
        """Until the agent waits for a message; first until the page knows of the one just sent."""
        self.settled()
        self.page.get_by_text("the agent waits for a message").wait_for()
        self.settled()

    def busy(self) -> None:
        """Until a turn runs."""
        self.page.locator(".st-key-pulse").get_by_role("button", name="Stop").wait_for()

    @property
    def talk(self):
        return self.page.locator(".st-key-conversation")

    @property
    def memory(self):
        return self.page.locator(".st-key-memory")

    def block(self, label: str):
        return self.page.locator(f".st-key-block-{label}")

    def tokens(self) -> int:
        """What the gauge says is used."""
        return int(re.sub(r"\D", "", self.memory.locator(".ms-big").inner_text()))

    def ask(self, text: str) -> None:
        """A whole exchange."""
        self.send(text)
        self.talk.get_by_text(text, exact=True).last.wait_for()
        self.idle()


@pytest.fixture
def chat(context: Callable[..., BrowserContext]) -> Callable[..., Chat]:
    """Opens a tab of its own browser context on an address."""

    def open_chat(address: str, **options: object) -> Chat:
        return Chat(context(**options).new_page(), address)

    return open_chat
