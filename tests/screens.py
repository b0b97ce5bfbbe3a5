"""Pages without a browser: opened by way of the chat, as a link opens them."""

from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[1]
DRAWN_WITHIN_S = 60.0


def opened(file: str, agent: str, **query: Any) -> AppTest:
    """The page in `pages/` of this name, with this query in its address."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=DRAWN_WITHIN_S)
    app.query_params["agent"] = agent
    app.run()
    for name, value in query.items():
        app.query_params[name] = value if isinstance(value, list) else str(value)
    return drawn(app.switch_page(f"pages/{file}.py").run())


def drawn(app: AppTest) -> AppTest:
    """The page, if nothing went wrong in drawing it."""
    assert not app.exception, app.exception
    return app


def html(app: AppTest) -> str:
    """Everything that was drawn as HTML."""
    return "\n".join(element.proto.body for element in app.get("html"))
