"""Fixtures shared by all tests."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from memgpt_core.blueprint import Blueprint
from memgpt_core.home import Home, close_home, the_home
from memgpt_core.workspace import Workspace
from tests.engine import Engine, ScriptedModel

# A busy machine is no fault of the code.
settings.register_profile("memscope", deadline=None)
settings.load_profile("memscope")


@pytest.fixture(autouse=True)
def _no_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test talks to an Ollama that happens to run here, but for those that are about it."""
    if "live" not in request.keywords:
        monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, _no_server: None) -> Iterator[Home]:
    """The home that the pages are drawn from, empty."""
    monkeypatch.setenv("MEMSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MEMSCOPE_DEMO_PACE", "0")
    close_home()
    yield the_home()
    close_home()


@pytest.fixture
def ws(home: Home) -> Workspace:
    """A new agent of the demo model in it."""
    return home.open(home.create(Blueprint(name="Tester")))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """Makes engines in the test's folder and closes them after it."""
    made: list[Engine] = []

    def make(*script: Any, then: Any = None, model: Any = None, **settings: Any) -> Engine:
        folder = tmp_path / f"engine{len(made)}"
        folder.mkdir()
        made.append(Engine(folder, model or ScriptedModel(*script, then=then), **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", action="store_true", help="record the sample agents anew from their scripts")
