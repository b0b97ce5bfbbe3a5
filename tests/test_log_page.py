"""The log page without a browser: what is drawn for which address, filters, an opened event; and the words it uses."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from memgpt_core.blueprint import Blueprint
from memgpt_core.events import KINDS, FunctionReturned, MessageSent, NoteWritten
from memgpt_core.home import Home
from memgpt_core.log import read_events
from memgpt_core.views import log_rows as words
from memgpt_core.views.log_rows import as_json, block_facts, in_words, one_line, place_of, plain, state_facts
from memgpt_core.workspace import Workspace
from pages.parts import choices, log_rows
from pages.parts.log_rows import Filter
from tests.event_builder import Script
from tests.screens import html, opened

ROOT = Path(__file__).resolve().parents[1]
NASTY = "<b>x</b> ![i](http://evil/i.png) $y$ :red[z] \x00\x1b[31m \u202eback <script>alert(1)</script>"


@pytest.fixture
def ws(home: Home) -> Workspace:
    """An agent with 124 events: the four it begins with, and notes of two kinds."""
    ws = home.open(home.create(Blueprint(name="Tester")))
    notes = [
        NoteWritten(name=f"n{n}", text=f"note {n}{' needle' * (n % 10 == 0)}", author="human" if n % 4 else "agent")
        for n in range(60)
    ]
    ws._journal.commit_many([event for note in notes for event in (note, MessageSent(text=note.text))])
    return ws


def page(ws: Workspace, **params: Any) -> AppTest:
    return opened("log", ws.agent_id, **params)


def rows(app: AppTest) -> list[int]:
    """The numbers of the events in the table."""
    return [] if not app.dataframe else [int(seq) for seq in app.dataframe[0].value["Event"]]


def said(app: AppTest) -> str:
    return "\n".join(element.value for kind in (app.caption, app.markdown, app.warning, app.info) for element in kind)


def button(app: AppTest, label: str) -> Any:
    return next(one for one in app.button if one.label == label)


def query(app: AppTest, name: str) -> list[str]:
    value = app.query_params.get(name, [])
    return [value] if isinstance(value, str) else list(value)


# --- the table --------------------------------------------------------------------------------------------------------


def test_all_events_newest_first_in_pages(ws: Workspace) -> None:
    app = page(ws)
    assert rows(app) == list(range(124, 74, -1))
    assert "1 to 50 of 124 events" in said(app)
    button(app, "Next").click().run()
    assert rows(app) == list(range(74, 24, -1))
    button(app, "Last").click().run()
    assert rows(app) == list(range(24, 0, -1))
    table = app.dataframe[0].value
    first = table[table["Event"] == 1].iloc[0]
    assert first["What happened"] == "Agent Tester created, on demo"
    assert first["Kind"] == "agent_created"
    assert first["UTC"] == f"{ws.event(1).at:%Y-%m-%d %H:%M:%S}"


def test_oldest_first_is_in_the_address(ws: Workspace) -> None:
    app = page(ws)
    app.segmented_control[0].set_value("oldest").run()
    assert rows(app) == list(range(1, 51))
    assert query(app, "order") == ["oldest"]
    assert rows(page(ws, order="oldest")) == list(range(1, 51))


def test_kinds_authors_session_and_turn_narrow_it_and_stand_in_the_address(ws: Workspace) -> None:
    app = page(ws)
    app.multiselect(key="log:kind").set_value(["note_written", "agent_created"]).run()
    assert "of 61 events" in said(app)
    app.multiselect(key="log:author").set_value(["agent"]).run()
    assert "of 15 events" in said(app)
    assert query(app, "kind") == ["note_written", "agent_created"]
    again = page(ws, kind=["note_written", "agent_created"], author="agent")
    assert rows(again) == rows(app)
    ws.send("hello")
    assert ws.wait_idle(30)
    turn = page(ws, turn="1")
    assert rows(turn) == [
        row["seq_from"] for row in ws.rows("SELECT seq_from FROM events WHERE turn=1 ORDER BY 1 DESC")
    ]
    assert rows(page(ws, session_is="1"))[-1] > 124
    assert rows(page(ws, session_is="7")) == []


def test_a_text_is_looked_for_in_the_log_and_its_place_is_shown(ws: Workspace) -> None:
    app = page(ws)
    app.text_input[0].set_value("NEEDLE").run()
    hits = [row["seq_from"] for row in ws.rows("SELECT seq_from FROM events ORDER BY 1 DESC")]
    hits = [seq for seq in hits if "needle" in getattr(ws.event(seq), "text", "")]
    assert rows(app) == hits
    assert len(hits) == 12
    assert "12 found in events 1 to 124; that is all there is" in said(app)
    assert query(app, "q") == ["NEEDLE"]
    assert rows(page(ws, q="needle", kind="message_sent")) == [
        seq for seq in hits if ws.event(seq).kind == "message_sent"
    ]
    assert rows(page(ws, q="needle", order="oldest")) == hits[::-1]


def test_a_text_with_many_hits_is_gone_on_with_and_back(ws: Workspace) -> None:
    app = page(ws, q="note")
    first = rows(app)
    assert len(first) == log_rows.PAGE
    assert "there is more to look through" in said(app)
    assert button(app, "Back").disabled
    button(app, "Look further").click().run()
    second = rows(app)
    assert second[0] == first[-1] - 1
    button(app, "Look further").click().run()
    assert rows(app) == [*range(24, 4, -1), 2], "the instructions speak of notes too"
    assert button(app, "Look further").disabled
    button(app, "Back").click().run()
    assert rows(app) == second


def test_nothing_found_says_what_to_do(ws: Workspace) -> None:
    app = page(ws, q="nowhere", kind="turn_ended")
    assert rows(app) == []
    assert "Take a filter away" in said(app)
    button(app, "Show all events").click().run()
    assert len(rows(app)) == log_rows.PAGE
    assert query(app, "q") == query(app, "kind") == []


def test_what_the_address_says_wrong_is_named_and_left_out(ws: Workspace) -> None:
    app = page(ws, kind=["nope", "note_written"], turn="x", session_is="-1", author="<b>", event="12a")
    told = said(app)
    for sentence in (
        "no kind “nope”",
        "“x” is not the number of a turn",
        "“-1” is not the number",
        "no author “<b>”",
        "no event “12a”",
    ):
        assert sentence in told
    assert "of 60 events" in told
    for event in ("0", "125", "9" * 400, "٣"):
        assert "There is no event" in said(page(ws, event=event))


# --- as of an event ---------------------------------------------------------------------------------------------------


def test_looking_back_there_are_only_events_up_to_there(ws: Workspace) -> None:
    app = page(ws, step="20")
    assert rows(app) == list(range(20, 0, -1))
    late = page(ws, step="20", event="21")
    assert "Event 21 comes after event 20" in said(late)
    assert max(rows(page(ws, step="60", q="note"))) == 60
    assert "of 8 events" in said(page(ws, step="20", kind="note_written"))


def test_every_page_can_be_taken_to_an_event(ws: Workspace) -> None:
    app = page(ws, event="30")
    app.button(key="as_of").click().run()
    assert query(app, "step") == ["30"]
    assert rows(app)[0] == 30
    assert app.button(key="as_of").disabled


# --- an opened event --------------------------------------------------------------------------------------------------


def test_an_event_opens_as_json_with_its_place_in_the_file(ws: Workspace) -> None:
    app = page(ws, event="5")
    assert json.loads(app.code[0].value) == json.loads((ws.folder / "run.jsonl").read_bytes().splitlines()[4])
    offset, size = ws.line_of(5)
    assert (ws.folder / "run.jsonl").read_bytes()[offset : offset + size].startswith(b'{"seq":5,')
    assert f"bytes {offset:,} to {offset + size:,} of the log ({size:,} bytes)" in html(app)
    assert f"{ws.event(5).at:%Y-%m-%d %H:%M:%S}" in html(app), "UTC on hover"


def test_previous_next_close_and_a_number(ws: Workspace) -> None:
    app = page(ws, event="5")
    app.button(key="log_event:after").click().run()
    assert query(app, "event") == ["6"]
    app.button(key="log_event:before").click().run()
    assert query(app, "event") == ["5"]
    app.button(key="log_event:close").click().run()
    assert query(app, "event") == []
    assert not [code for code in app.code if code.language == "json"]
    app.number_input(key="log_jump").set_value(1).run()
    assert query(app, "event") == ["1"]
    assert app.button(key="log_event:before").disabled
    assert page(ws, event="124").button(key="log_event:after").disabled


def test_the_state_after_an_event_in_words_and_whole(ws: Workspace) -> None:
    app = page(ws, event="4")
    side = app.segmented_control(key=choices.log_shown(ws.agent_id))
    side.set_value("state").run()
    assert "What the agent was" in html(app)
    assert "human · 0 of 2,000 characters · human, event 4" in html(app)
    app.segmented_control(key=choices.log_shown(ws.agent_id)).set_value("all").run()
    assert json.loads(app.code[0].value) == json.loads(ws.state(4).model_dump_json())


def test_a_line_that_cannot_be_read_is_said_in_its_place(ws: Workspace) -> None:
    offset, size = ws.line_of(100)
    with (ws.folder / "run.jsonl").open("r+b") as file:
        file.seek(offset)
        file.write(b"#" * (size - 1))
    ws._open.log._cache._held.clear()
    app = page(ws)
    table = app.dataframe[0].value
    assert table[table["Event"] == 100].iloc[0]["What happened"].startswith("Line 100 of the log cannot be read")
    app = page(ws, event="100")
    assert any("Line 100" in error.value for error in app.error)


def test_texts_of_models_are_text(ws: Workspace) -> None:
    ws._journal.commit(MessageSent(text=NASTY))
    app = page(ws, event=str(ws.last_seq))
    drawn = html(app)
    assert "&lt;script&gt;" in drawn
    assert "<script>" not in drawn
    for text in (drawn, app.code[0].value, app.dataframe[0].value.iloc[0]["What happened"]):
        assert not set(text) & {"\x00", "\x1b", "\u202e"}
    assert json.loads(app.code[0].value)["text"] == NASTY
    found = page(ws, q="<script>")
    assert rows(found) == [ws.last_seq]


def test_what_is_taken_along_is_all_the_filters_let_through(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_rows, "EXPORT_PIECE", 7)
    every = log_rows.everything(ws, Filter(at=124))
    assert [row["seq_from"] for row in every] == list(range(124, 0, -1))
    assert every[-1]["in_words"] == "Agent Tester created, on demo"
    found = log_rows.everything(ws, Filter(at=100, text="note", kinds=("note_written",), oldest_first=True))
    assert [row["seq_from"] for row in found] == list(range(5, 101, 2))


@pytest.mark.parametrize("sample", ["companion", "analyst", "prober"])
def test_each_sample_at_its_start_middle_and_end(home: Home, sample: str) -> None:
    ws = home.open(home.start_sample(sample))
    for at in (1, ws.last_seq // 2, None):
        point = {} if at is None else {"step": str(at)}
        last = at or ws.last_seq
        app = page(ws, event=str(last), **point)
        assert rows(app)[0] == last
        assert json.loads(app.code[0].value)["seq"] == last
        app.segmented_control(key=choices.log_shown(ws.agent_id)).set_value("state").run()
        assert not app.exception


# --- the words --------------------------------------------------------------------------------------------------------


def test_every_kind_has_its_words() -> None:
    assert set(words._WORDS) == set(KINDS)


@pytest.mark.parametrize("sample", ["companion", "analyst", "prober"])
def test_every_event_of_the_samples_is_one_line(sample: str) -> None:
    for event in read_events(ROOT / "sample_agents" / sample / "run.jsonl"):
        line = in_words(event)
        assert line
        assert "\n" not in line
        assert len(line) <= words.LINE_CHARS


def test_a_line_is_cut_and_says_so() -> None:
    assert one_line("a  b\n c") == "a b c"
    assert one_line("x" * 10, 5) == "xxxx…"
    assert one_line("x" * 5, 5) == "xxxxx"
    assert len(one_line("y" * 10_000_000)) == words.LINE_CHARS


def test_marks_that_would_move_text_are_named() -> None:
    assert plain("a\u202eb\x00c") == "a⟨RIGHT-TO-LEFT OVERRIDE⟩b⟨U+0000⟩c"
    assert plain("é 日本 🔭") == "é 日本 🔭"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_json_to_read_is_the_same_json(value: Any) -> None:
    shown = as_json(value)
    assert json.loads(shown) == value
    assert not words._UNPLAIN.search(shown.replace("\n", ""))


def test_long_texts_in_json_say_how_much_is_missing() -> None:
    shown = json.loads(as_json({"a": ["z" * 10_000_000]}))
    assert shown["a"][0] == "z" * words.SHOWN_CHARS + "… (and 9,996,000 characters more)"


def test_the_place_of_a_text() -> None:
    event = FunctionReturned(
        call_id="c",
        name="f",
        arguments={"a": {"b": ["x" * 100 + " Needle " + "y" * 100]}},
        ok=True,
        value="v",
        heartbeat=False,
    )
    found = place_of(event, "NEEDLE")
    assert found.startswith("…xxx")
    assert " Needle yyy" in found
    assert found.endswith("y…")
    assert place_of(event, "function_returned") == ""


def test_a_state_in_facts() -> None:
    script = Script().block("human", "lives in Leiden").trigger("hi")
    facts = dict(state_facts(script.state))
    assert facts["Queue"] == f"1 messages, {script.message} to {script.message}"
    assert facts["Turn"] == "running"
    (block,) = block_facts(script.state)
    assert block.says == "lives in Leiden"
    assert block.label.startswith("human · 15 of ")
