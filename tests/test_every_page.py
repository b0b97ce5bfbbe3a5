"""Every page on every sample, at its start, middle and end, and live: it is drawn, and says when it looks back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from memgpt_core.home import Home, close_home, the_home
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
