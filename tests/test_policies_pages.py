"""Working ahead, on the screens: what was placed in the chat and in the window, and the figures on the timeline."""

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from memgpt_core.blueprint import Blueprint
from memgpt_core.home import Home
from memgpt_core.llm.base import Progress, Reply
from memgpt_core.llm.demo import DemoModel
from memgpt_core.settings import AgentSettings
from memgpt_core.workspace import Workspace
from tests.engine import until

ROOT = Path(__file__).resolve().parents[1]


def wait_for_searches(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model answers when what runs ahead has been found."""
    at_once = DemoModel.chat

    def chat(self: DemoModel, body: dict[str, Any], progress: Progress) -> Reply:
        until(lambda: not ws._ahead._working)
        return at_once(self, body, progress)

    monkeypatch.setattr(DemoModel, "chat", chat)


def page(ws: Workspace, file: str, **more: str) -> str:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    for name, value in {"agent": ws.agent_id, **more}.items():
        app.query_params[name] = value
    app.run()
    if file != "app.py":
        app.switch_page(file)
        for name, value in {"agent": ws.agent_id, **more}.items():
            app.query_params[name] = value
        app.run()
    assert not app.exception, app.exception
    captions = [caption.value for caption in app.caption]
    return "\n".join([*(element.proto.body for element in app.get("html")), *captions])


def test_what_was_placed_run_ahead_and_refused_is_shown(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = AgentSettings(
        embedder="hashing", retrieval="before", prefetch="user_message", memory_calls_per_turn=1, step_cap=6
    )
    ws = home.open(home.create(Blueprint(name="Ada", settings=settings)))
    wait_for_searches(ws, monkeypatch)
    for text in ("The boiler valve has the part number VX-2291.", "A parrot named Admiral eats waffles."):
        ws.edits.insert_passage(text)
    ws.send("What was the part number of the boiler valve?")
    assert ws.wait_idle(30)
    kinds = [row["kind"] for row in ws.rows("SELECT kind FROM events ORDER BY seq_from")]
    assert "hits_placed" in kinds
    placed = ws.rows("SELECT seq_from, tokens FROM events WHERE kind = 'hits_placed'")[0]
    shown = page(ws, "app.py")
    assert "Placed by the system, by the retrieval policy" in shown
    assert f"{placed['tokens']:,} tokens of at most 400" in shown
    shown = page(ws, "pages/context.py")
    assert f"m{placed['seq_from']} in turn 1 (1 text, {placed['tokens']:,} tokens)" in shown
    shown = page(ws, "pages/timeline.py", mark=str(placed["seq_from"]))
    assert "Brought by the retrieval policy, for “What was the part number of the boiler valve?”" in shown
    assert "1 in 1 placement" in shown
    refused = ws.rows("SELECT count(*) AS n FROM events WHERE capped = 'turn'")[0]["n"]
    assert refused
    assert f'<div class="ms-big">{refused}</div>' in shown
    run = ws.rows("SELECT sum(prefetched) AS begun, count(saved_s) AS used FROM events")[0]
    assert run["begun"]
    assert run["used"], "the demo model asks with the words of the question"
    assert f"{run['used']} right, {run['begun'] - run['used']} wasted" in shown
    assert "Hot tier" in shown
    assert "every search compares them all" in shown
    sent = next(used.sent for used in home.embedders.used())
    assert f">{max(0, sent.asked - sent.requests):,} of {sent.asked:,}" in shown
    assert "Switched off now" not in shown
    home.embedders.switch(batching=False, query_cache=False)
    home.write_behind.switch(False)
    assert page(ws, "pages/timeline.py").count("Switched off now") == 3
    assert not ws.verify()
