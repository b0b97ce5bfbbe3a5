"""The agents page without a browser: what is listed, what each action does to the home, and what it says."""

import threading
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from memgpt_core.blueprint import Blueprint
from memgpt_core.errors import ConfigurationRefused
from memgpt_core.events import EPOCH
from memgpt_core.home import AgentCard, Home
from memgpt_core.projections import InRam, Projections
from memgpt_core.stores.nearest import Kind
from memgpt_core.tiering import Tier
from memgpt_core.workspace import Workspace
from pages.parts import agents_new, agents_table, choices
from tests.engine import until
from tests.screens import html, opened

NASTY = "<b>E</b> ![i](http://evil/i.png) $y$ :red[z]"


@pytest.fixture
def ws(home: Home) -> Workspace:
    return home.open(home.create(Blueprint(name="Ada", about="the first")))


def page(agent: str, **params: Any) -> AppTest:
    return opened("agents", agent, **params)


def table(app: AppTest) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = app.dataframe[0].value.to_dict("records")
    return found


def said(app: AppTest) -> list[str]:
    return [element.value for kind in (app.success, app.error, app.warning) for element in kind]


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click().run()
    assert not app.exception, app.exception
    return app


def field(app: AppTest, agent: str, name: str) -> Any:
    return app.text_input(key=choices.agent_field(agent, name))


def new(app: AppTest, name: str, made: int = 0) -> str:
    return choices.new_agent(f"{name}:{made}")


def agent_of(app: AppTest) -> str:
    agent = app.query_params["agent"]
    return agent if isinstance(agent, str) else agent[0]


# --- the table --------------------------------------------------------------------------------------------------------


def test_every_agent_is_a_line_with_its_figures(home: Home, ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    use = {"log": 2_000_000, "rows": 300_000, "index": 40_000, "checkpoints": 0, "other": 0}
    monkeypatch.setattr(Home, "disk_use", lambda self, agent_id: use)
    ws.send("My name is Ana.")
    assert ws.wait_idle(30)
    other = home.create(Blueprint(name=NASTY))
    home.archive(home.create(Blueprint(name="Away")))
    app = page(ws.agent_id)
    first = next(line for line in table(app) if line["Agent"] == "Ada")
    state = ws.state()
    assert (first["About"], first["Model"], first["Now"]) == ("the first", "demo model", "idle")
    assert (first["Events"], first["Messages"], first["Passages"]) == (state.seq, state.messages, state.passages)
    assert first["Last used, UTC"] == f"{state.at:%Y-%m-%d %H:%M}"
    assert first["On disk"] == "2.3 MB"
    assert "2.3 MB in the folder" in html(app)
    assert {line["Agent"] for line in table(app)} == {"Ada", NASTY}
    app.toggle(key=choices.agents_archived()).set_value(True).run()
    assert {line["Agent"]: line["Now"] for line in table(app)}["Away"] == "archived"
    assert home.agents()[0].id in (ws.agent_id, other)


def test_an_agent_whose_log_cannot_be_read_is_listed_and_can_still_be_deleted(home: Home, ws: Workspace) -> None:
    bad = home.create(Blueprint(name="Bad"))
    (home.path / "agents" / bad / "run.jsonl").write_bytes(b"garbage\n")
    app = page(ws.agent_id)
    assert next(line for line in table(app) if line["Agent"] == "bad")["Now"].startswith("⚠ Its log cannot be read")
    app.selectbox[1 if app.selectbox[0].label == "Agent" else 0].set_value(bad).run()
    assert not app.exception
    assert any("cannot be read" in text for text in said(app))
    field(app, bad, "delete").set_value("bad").run()
    app.button(key="delete").click().run()
    assert any("bad is deleted" in text for text in said(app))
    assert [card.id for card in home.agents()] == [ws.agent_id]


def test_sizes_and_what_an_agent_does_in_words() -> None:
    assert [agents_table.size_text(size) for size in (0, 999, 1000, 2_340_000, 5 * 10**9)] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "2.3 MB",
        "5.0 GB",
    ]
    card = AgentCard("a", "A", "", "demo", 1, EPOCH, False, "")
    assert agents_table.doing(card) == "idle"
    assert agents_table.doing(card._replace(busy=True)) == "in a turn"
    assert agents_table.doing(card._replace(archived=True)) == "archived"
    assert agents_table.doing(card._replace(problem="x\ny")) == "⚠ x y"


# --- actions ----------------------------------------------------------------------------------------------------------


def test_rename(home: Home, ws: Workspace) -> None:
    app = page(ws.agent_id)
    field(app, ws.agent_id, "name").set_value("Lovelace")
    field(app, ws.agent_id, "about").set_value("another line")
    press(app, "Save")
    assert said(app) == [f"It is called Lovelace now. Its id stays {ws.agent_id}."]
    assert (ws.state().name, ws.state().about) == ("Lovelace", "another line")
    assert table(app)[0]["Agent"] == "Lovelace"
    field(app, ws.agent_id, "name").set_value("  ")
    press(app, "Save")
    assert said(app) == ["An agent needs a name. Type one first."]
    assert ws.state().name == "Lovelace"


def test_copy(home: Home, ws: Workspace) -> None:
    app = page(ws.agent_id)
    field(app, ws.agent_id, "copy").set_value("Second")
    press(app, "Copy")
    assert said(app) == ["Second (second) is made, a copy of Ada as it is now."]
    assert home.open("second").state().name == "Second"
    assert {line["Agent"] for line in table(app)} == {"Ada", "Second"}
    assert agent_of(app) == ws.agent_id, "the tab stays with its agent"


def test_archive_and_take_back(home: Home, ws: Workspace) -> None:
    other = home.create(Blueprint(name="Other"))
    app = page(ws.agent_id)
    app.button(key="archive").click().run()
    assert any("Ada is archived" in text for text in said(app))
    assert [card.id for card in home.agents()] == [other]
    assert {line["Agent"]: line["Now"] for line in table(app)} == {"Other": "idle", "Ada": "archived"}
    press(app, "Take it back")
    assert {card.id for card in home.agents()} == {ws.agent_id, other}


def test_delete_says_what_goes_and_wants_the_name(home: Home, ws: Workspace) -> None:
    other = home.create(Blueprint(name="Other"))
    app = page(ws.agent_id)
    assert "What goes: 4 events, 0 messages, 0 passages" in html(app)
    for typed in ("", "ada", "Other"):
        field(app, ws.agent_id, "delete").set_value(typed).run()
        app.button(key="delete").click().run()
        assert said(app) == ["Nothing was deleted: type the name exactly as it is, Ada."]
    assert len(home.agents()) == 2
    field(app, ws.agent_id, "delete").set_value("Ada").run()
    app.button(key="delete").click().run()
    assert not app.exception
    assert said(app) == ["Ada is deleted: 4 events, 0 messages, 0 passages."]
    assert [card.id for card in home.agents()] == [other]
    assert agent_of(app) == other, "the tab has another agent now"


def test_a_running_agent_is_not_deleted(home: Home, ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page(ws.agent_id)
    monkeypatch.setattr(Workspace, "busy", property(lambda self: True))
    field(app, ws.agent_id, "delete").set_value("Ada").run()
    app.button(key="delete").click().run()
    assert any("in the middle of a turn" in text for text in said(app))
    monkeypatch.undo()
    assert (ws.folder / "run.jsonl").is_file()


def test_a_new_agent_from_the_form(home: Home, ws: Workspace) -> None:
    app = page(ws.agent_id)
    app.text_input(key=new(app, "name")).set_value("  Grace ")
    app.text_input(key=new(app, "about")).set_value("compiles")
    app.number_input(key=new(app, "window_tokens")).set_value(16384)
    app.segmented_control(key=new(app, "protocol")).set_value("native")
    app.selectbox(key=new(app, "embedder")).set_value("hashing")
    app.text_area(key=new(app, "persona")).set_value("I am Grace.")
    app.text_area(key=new(app, "human")).set_value("An admiral.")
    press(app, "Make the agent")
    assert any("Grace (grace) is made" in text for text in said(app))
    state = home.open("grace").state()
    assert (state.name, state.about) == ("Grace", "compiles")
    assert (state.settings.window_tokens, state.settings.protocol, state.settings.embedder) == (
        16384,
        "native",
        "hashing",
    )
    assert {label: block.value for label, block in state.blocks.items()} == {
        "persona": "I am Grace.",
        "human": "An admiral.",
    }
    assert agent_of(app) == "grace"
    assert app.text_input(key=new(app, "name", 1)).value == "", "an empty form again"


@pytest.mark.parametrize(
    ("name", "window", "human", "says"),
    [
        ("", 8192, "", "needs a name"),
        ("Grace", 1100, "", "The window is too small"),
        ("Grace", 600, "", "reserve"),
        ("Grace", 8192, "x" * 2001, "has 2001 characters and a limit of 2000"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence_and_nothing_is_half_made(
    home: Home, ws: Workspace, name: str, window: int, human: str, says: str
) -> None:
    app = page(ws.agent_id)
    app.text_input(key=new(app, "name")).set_value(name)
    app.number_input(key=new(app, "window_tokens")).set_value(window)
    app.text_area(key=new(app, "human")).set_value(human)
    press(app, "Make the agent")
    (sentence,) = said(app)
    assert says in sentence
    assert [path.name for path in (home.path / "agents").iterdir()] == [ws.agent_id]
    assert app.text_area(key=new(app, "human")).value == human, "what was typed is still there"


def test_an_embedding_model_that_cannot_be_asked_makes_no_agent(home: Home) -> None:
    said_in_form = {**agents_new.FIRST, "name": "Grace", "embedder": "ollama:away"}
    with pytest.raises(Exception, match="Ollama") as refused:
        home.create(agents_new.blueprint(said_in_form))
    assert type(refused.value).__name__ == "ModelUnavailable"
    assert list((home.path / "agents").iterdir()) == []
    with pytest.raises(ConfigurationRefused, match="window_tokens"):
        agents_new.blueprint({**agents_new.FIRST, "name": "x", "window_tokens": None})


def test_a_sample_is_started(home: Home, ws: Workspace) -> None:
    app = page(ws.agent_id)
    app.button(key="start:prober").click().run()
    assert not app.exception
    assert any("(prober) is started" in text for text in said(app))
    assert agent_of(app) == "prober"


# --- stores -----------------------------------------------------------------------------------------------------------


def test_stores_are_compared_and_made_anew_and_what_came_of_it_stays(home: Home, ws: Workspace) -> None:
    app = page(ws.agent_id)
    for label, says in (("Compare with the log", "no difference"), ("Make the stores anew", "made anew from 4 events")):
        press(app, label)
        until(lambda: not home.upkeep.busy(ws.agent_id))
        app.run()
        assert any(says in text for text in said(app))
        assert any(says in text for text in said(page(ws.agent_id))), "another tab sees it too"


def test_what_searches_keep_in_ram_is_shown_and_what_is_approximate_says_so(
    home: Home, ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = page(ws.agent_id)
    assert any("In RAM" in part.body and "Words" in part.body for part in drawn.get("html"))
    assert not any("approximate" in caption.value for caption in drawn.caption)
    tier = Tier("passages", 1_000_000, 4_096, Kind("IVF_RQ", 244, 30, 1_000_000, 0.985))
    monkeypatch.setattr(Projections, "in_ram", lambda _: InRam(260.0, 6.3, 6, (tier,)))
    (told,) = [caption.value for caption in page(ws.agent_id).caption if "approximate" in caption.value]
    assert "4,096 of 1,000,000 vectors of passages" in told
    assert "98%" in told


def test_a_difference_is_named(home: Home, ws: Workspace) -> None:
    ws.rows("SELECT 1")
    with ws.projections._rows._store._con.cursor() as forger:
        forger.execute("UPDATE events SET kind = '<i>forged</i>' WHERE seq_from = 2")
    app = press(page(ws.agent_id), "Compare with the log")
    until(lambda: not home.upkeep.busy(ws.agent_id))
    app.run()
    assert any("1 differences" in text for text in said(app))
    assert "kind is &#x27;&lt;i&gt;forged&lt;/i&gt;&#x27;" in html(app)


def test_while_stores_are_looked_after_the_page_goes_on(
    home: Home, ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    usual = Workspace.rebuild

    def slow(self: Workspace, progress: Any = None) -> None:
        progress(0.25)
        go.wait(30)
        usual(self, progress)

    monkeypatch.setattr(Workspace, "rebuild", slow)
    app = press(page(ws.agent_id), "Make the stores anew")
    until(lambda: (job := home.upkeep.job(ws.agent_id)) and job.share == 0.25)
    app.run()
    assert any("Making the stores anew: 25%" in bar.proto.text for bar in app.get("progress"))
    assert app.button(key="upkeep:verify").disabled
    app.switch_page("app.py").run()
    assert not app.exception
    go.set()
    until(lambda: not home.upkeep.busy(ws.agent_id))
    assert any("made anew from 4 events" in text for text in said(page(ws.agent_id)))


@pytest.mark.parametrize("sample", ["companion", "analyst", "prober"])
def test_each_sample_at_its_start_middle_and_end(home: Home, sample: str) -> None:
    ws = home.open(home.start_sample(sample))
    for step in ("1", str(ws.last_seq // 2), ""):
        app = page(ws.agent_id, **({"step": step} if step else {}))
        assert table(app)[0]["Events"] == ws.last_seq, "the agents are as they are now"


def test_names_are_text(home: Home) -> None:
    ws = home.open(home.create(Blueprint(name=NASTY, about="<script>alert(1)</script>")))
    app = page(ws.agent_id)
    drawn = html(app)
    assert "&lt;b&gt;E&lt;/b&gt;" in drawn
    assert "<script>" not in drawn
    field(app, ws.agent_id, "delete").set_value("no").run()
    app.button(key="delete").click().run()
    assert not any("![i]" in text or " $y$" in text for text in said(app))
