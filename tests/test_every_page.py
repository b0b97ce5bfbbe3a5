"""Every page on every sample, at its start, middle and end, and live: it is drawn, and says when it looks back."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.testing.v1 import AppTest

from memgpt_core.connection import Connection, ServerView
from memgpt_core.home import Home, close_home, the_home
from memgpt_core.workspace import Workspace
from pages.parts.sidebar import PAGES

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(path.name for path in (ROOT / "pages").glob("*.py"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEMSCOPE_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("OLLAMA_HOST", "127.0.0.1:9")
        close_home()
        made = the_home()
        for sample in made.samples():
            made.start_sample(sample.id)
        yield made
        close_home()


def test_every_file_in_pages_is_in_the_navigation() -> None:
    assert sorted(Path(file).name for file, _, _ in PAGES if file != "app.py") == FILES


@pytest.mark.parametrize("sample", ["companion", "analyst", "prober"])
@pytest.mark.parametrize("file", [file for file, _, _ in PAGES])
def test_a_page_is_drawn_at_every_stage_of_a_life(home: Home, sample: str, file: str) -> None:
    ws = home.open(sample)
    for step in ("1", str(ws.last_seq // 2), str(ws.last_seq), ""):
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        app.query_params["agent"] = sample
        if step:
            app.query_params["step"] = step
        app.run()
        if file != "app.py":
            app.switch_page(file).run()
        assert not app.exception, (file, sample, step, app.exception)
        assert not app.error, (file, sample, step, app.error)
        looks_back = any(f"As of event {int(step):,}**" in text.value for text in app.markdown) if step else False
        assert looks_back is bool(step), (file, sample, step)


class Watch:
    """Notes which parts of a page poll, and which fields one types into stand in one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file = ""
        self.parts: set[tuple[str, str]] = set()
        self.fields: set[tuple[str, str]] = set()
        self.wrong: set[tuple[str, str]] = set()
        self._inside = 0
        self._fragment = st.fragment
        monkeypatch.setattr(st, "fragment", self._watched)
        for name in ("text_input", "text_area", "number_input", "chat_input"):
            monkeypatch.setattr(DeltaGenerator, name, self._noted(getattr(DeltaGenerator, name)))
            monkeypatch.setattr(st, name, getattr(st._main, name))

    def _watched(self, draw: Callable[..., None], *, run_every: float | None, key: str) -> Callable[..., None]:
        def inside(*args: object) -> None:
            self.parts |= {(self.file, key)} if run_every else set()
            self._inside += bool(run_every)
            try:
                draw(*args)
            finally:
                self._inside -= bool(run_every)

        return self._fragment(inside, run_every=run_every, key=key)

    def _noted(self, draw: Callable[..., object]) -> Callable[..., object]:
        def field(generator: DeltaGenerator, label: str = "", *args: object, **options: object) -> object:
            (self.wrong if self._inside else self.fields).add((self.file, label))
            return draw(generator, label, *args, **options)

        return field


def test_no_field_that_one_types_into_stands_in_a_part_that_polls(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a part may be made new in the browser, with what was half typed in it gone; see `frame.live`."""
    watch = Watch(monkeypatch)
    monkeypatch.setattr(Workspace, "busy", property(lambda ws: True))
    monkeypatch.setattr(Connection, "view", lambda self: ServerView("there", "found", "", "1.0", "", (), 0.0))
    for watch.file, _, _ in PAGES:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        app.query_params["agent"] = "companion"
        app.run()
        app.button(key="edit:persona").click().run()
        if watch.file != "app.py":
            app.switch_page(watch.file).run()
        if watch.file == "pages/replay.py":
            app.button(key="player:toggle").click().run()
        assert not app.exception, (watch.file, app.exception)
    assert not watch.wrong
    assert {("app.py", "Text of persona"), ("pages/core_memory.py", "Text of persona")} <= watch.fields
    polling = {file for file, key in watch.parts if key != "connection-line"}
    assert {"app.py", "pages/core_memory.py", "pages/replay.py", "pages/settings.py"} <= polling
