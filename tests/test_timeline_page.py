"""The timeline page without a browser, and what it reads from a real row store: made-up logs, samples, bad input."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from memgpt_core.blueprint import Blueprint
from memgpt_core.events import (
    Hit,
    Measured,
    PromptBuilt,
    RecallSearched,
    WorkingContextEdited,
    encode,
)
from memgpt_core.home import Home
from memgpt_core.views.lanes import counted, mark
from memgpt_core.workspace import Workspace
from pages.parts import choices, timeline_rows, timeline_warnings
from pages.parts.timeline_chart import axis_of, plain
from pages.parts.timeline_window import USUAL, follow
from tests.event_builder import Script
from tests.screens import html

ROOT = Path(__file__).resolve().parents[1]
NASTY = "<img src=x onerror=alert(1)> ![x](http://evil.example/x) $a$ :red[b] \x1b[31m \u202e \x00"


@pytest.fixture
def told(home: Home, tmp_path: Path) -> Callable[[Script], Workspace]:
    """Opens an agent whose log is this script."""

    def open_script(script: Script) -> Workspace:
        folder = tmp_path / "home" / "agents" / "tester"
        folder.mkdir(parents=True)
        lines = "".join(f"{encode(event)}\n" for event in script.events)
        (folder / "run.jsonl").write_text(lines, encoding="utf-8")
        return home.open("tester")

    return open_script


def prompt(script: Script, tokens: int) -> Script:
    return script.add(
        PromptBuilt(
            purpose="turn",
            sections={"messages": tokens},
            window_tokens=8192,
            limit_tokens=7168,
            sha256="0" * 64,
            prefix_tokens=0,
        )
    )


def searched(script: Script, query: str, *ids: str) -> Script:
    hits = tuple(Hit(id=id, score=1.5, words_rank=at + 1, words_score=1.5) for at, id in enumerate(ids))
    return script.add(
        RecallSearched(query=query, roles=("user",), page=1, mode="words", measured=Measured(hits=hits, total=len(ids)))
    )


def a_life() -> Script:
    """Two turns, a flush of the first, a question about it that is searched, another that is not."""
    script = Script()
    script.block("human", "Name: Ada")
    script.turn("My parrot Polly talks to Hugo at 4711.", "A parrot!").turn("I bake bread.", "Nice.")
    evicted = [entry.id for entry in script.state.queue[:3]]
    script.now += timedelta(days=3)
    script.trigger("And what of the weather?").warned().prompt()
    script.flushed(evicted, summary="They spoke of bread.")
    script.reply("Sunny.").returned().sent("Sunny.").end()
    script.trigger("Who is Polly?")
    searched(prompt(script, 900), "polly", evicted[0]).returned("conversation_search", "Polly", holds=[evicted[0]])
    return script.reply("Your bird.").returned().sent("Your bird.").end()


def marks_of(ws: Workspace, until: int | None = None, **more: int) -> list[Any]:
    rows = timeline_rows.marks(ws, until or ws.last_seq, **{"skip": 0, "size": 400, **more})
    return [mark(row) for row in rows]


def page(**params: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30)
    for name, value in params.items():
        app.query_params[name] = value
    app.run()
    app.switch_page("pages/timeline.py")
    # Another page begins with an empty address, as a link without parameters does.
    for name, value in params.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception
    return app


def chosen(app: AppTest) -> str:
    """The mark in the page's address."""
    mark = app.query_params["mark"]
    return mark if isinstance(mark, str) else mark[0]


def charts(app: AppTest) -> list[Any]:
    return [element.proto for element in app.get("plotly_chart")]


# --- what is read -----------------------------------------------------------------------------------------


def test_the_marks_of_a_life_in_order(told: Callable) -> None:
    ws = told(a_life())
    found = marks_of(ws)
    assert [one.shape for one in found] == [
        "write", "message", "message", "message", "warning", "page out", "message", "search", "page fault",
    ]  # fmt: skip
    assert [one.seq for one in found] == sorted(one.seq for one in found)
    fault = found[-1]
    assert fault.items == ("m3",)
    assert timeline_rows.mark_count(ws, ws.last_seq) == len(found)
    assert timeline_rows.mark_count(ws, ws.last_seq, before=fault.seq) == len(found) - 1


def test_a_stretch_is_counted_in_marks(told: Callable) -> None:
    ws = told(a_life())
    everything = marks_of(ws)
    assert marks_of(ws, skip=2, size=3) == everything[2:5]
    assert marks_of(ws, skip=99) == []


def test_a_point_in_time_sees_nothing_of_what_came_after(told: Callable) -> None:
    ws = told(a_life())
    now = marks_of(ws)
    for one in now:
        assert marks_of(ws, one.seq) == [other for other in now if other.seq <= one.seq]
    flush = next(one.seq for one in now if one.shape == "page out")
    assert timeline_rows.counts(ws, flush)["faults"] == 0
    assert timeline_rows.counts(ws, ws.last_seq)["faults"] == 1
    evicted = ws.event(flush).evicted
    assert timeline_rows.evicted(ws, evicted, flush, flush)[1] == []
    assert [row["item"] for row in timeline_rows.evicted(ws, evicted, flush, ws.last_seq)[1]] == ["m3"]


def test_a_run_of_imports_is_one_mark(told: Callable) -> None:
    script = Script().trigger("hi").end()
    for at in range(5):
        script.insert(f"passage {at}", author="import")
    script.insert("mine").insert("another import", author="import")
    ws = told(script)
    runs = [one for one in marks_of(ws) if one.lane == "archival"]
    assert [(one.seq, one.last, one.says) for one in runs] == [
        (4, 8, "5 passages imported"),
        (9, 9, "passage stored"),
        (10, 10, "passage stored"),
    ]
    # Looked at from the middle of the run, it ends there.
    assert marks_of(ws, 6)[-1].last == 6


def test_arrows_lead_from_the_flush_to_the_return(told: Callable) -> None:
    ws = told(a_life())
    flush, fault = (next(one.seq for one in marks_of(ws) if one.shape == shape) for shape in ("page out", "page fault"))
    (way,) = timeline_rows.returns(ws, 1, ws.last_seq)
    assert (way["item"], way["left_at"], way["came"], way["fault"]) == ("m3", flush, fault, True)
    (came,) = timeline_rows.came_in(ws, fault)
    assert (came["item"], came["left_at"]) == ("m3", flush)
    assert timeline_rows.search_of(ws, fault) == fault - 1
    assert timeline_rows.result_of(ws, fault - 1) == fault


def test_the_figures_count_what_the_log_says(told: Callable) -> None:
    ws = told(a_life())
    counts = timeline_rows.counts(ws, ws.last_seq)
    assert (counts["turns"], counts["page_ins"], counts["faults"], counts["flushes"]) == (4, 1, 1, 1)
    assert (counts["in_tokens"], counts["out_tokens"]) == (10, 3500)
    rows, together = timeline_rows.working_set(ws, ws.last_seq, 4)
    assert [row["turn"] for row in rows] == [1, 2, 3, 4]
    assert rows[0]["items"] == 3
    # The messages of all four turns with the warning; the copy is of one of them.
    assert together == 3 + 3 + 4 + 4
    moved = {
        row["turn"]: (row["came"], row["went"], row["faults"])
        for row in timeline_rows.moved_by_turn(ws, ws.last_seq, 4)
    }
    assert moved == {1: (0, 0, 0), 2: (0, 0, 0), 3: (0, 3500, 0), 4: (10, 0, 1)}
    window, storage = timeline_rows.stays(ws, ws.last_seq)
    assert (window["tier"], window["n"], storage["n"]) == ("window", 3, 1)
    assert window["s_min"] > 3 * 86_400
    assert storage["t_min"] == 1


def test_the_pressure_keeps_the_peaks_of_many_prompts(told: Callable) -> None:
    script = Script()
    for at in range(4 * timeline_rows.POINTS):
        prompt(script, 9000 if at == 777 else 1 if at == 778 else 100)
    ws = told(script)
    rows = timeline_rows.pressure(ws, 1, ws.last_seq)
    assert len(rows) <= 2 * timeline_rows.POINTS
    assert {1, 9000} <= {row["total_tokens"] for row in rows}
    width, _, bands = timeline_rows.overview(ws, ws.last_seq)
    assert len(bands) <= timeline_rows.BUCKETS
    assert max(row["most"] for row in bands) == 9000
    assert width * timeline_rows.BUCKETS >= ws.last_seq


def test_an_answer_is_asked_for_once(told: Callable) -> None:
    ws = told(a_life())
    asked = []

    def make(_: Workspace, number: int) -> int:
        asked.append(number)
        return number * 2

    assert [timeline_rows.kept(ws, make, number) for number in (1, 2, 1)] == [2, 4, 2]
    assert asked == [1, 2]
    for number in range(timeline_rows.ANSWERS_KEPT):
        timeline_rows.kept(ws, make, 100 + number)
    timeline_rows.kept(ws, make, 1)
    assert asked.count(1) == 2


# --- the warnings, from a store ------------------------------------------------------------------------------


def found_in(ws: Workspace) -> timeline_warnings.Warned:
    return timeline_warnings.find(ws, 1, ws.last_seq, ws.last_seq)


def test_a_flush_that_lost_names_is_found_and_a_kept_one_is_not(told: Callable) -> None:
    script = a_life()
    lost = found_in(told(script)).lost
    # Polly is in the window again; Hugo and the number came along in the same message.
    assert lost == {}


def test_lost_terms_are_found_until_somebody_keeps_them(told: Callable) -> None:
    script = Script().block("human", "").turn("My aunt Hedwig lives at number 4711.", "Noted.").turn("So.", "Yes.")
    flush = script.flushed(3, summary="They spoke of an aunt.").seq
    script.insert("Aunt Hedwig is kind.")
    kept = script.seq
    ws = told(script)
    assert [one.term for one in timeline_warnings.lost_by(ws, flush, flush)] == ["Hedwig", "4711"]
    assert [one.term for one in timeline_warnings.lost_by(ws, flush, kept)] == ["4711"]


def starving_life(*, search: str = "", known: str = "") -> Script:
    script = Script().block("human", known)
    script.turn("My parrot loves walnuts.", "A parrot!").turn("I bake bread.", "Nice.").flushed(3, summary="Bread.")
    script.trigger("What does my parrot love?").prompt()
    if search == "before":
        searched(script, "parrot")
    script.reply("No idea.").returned().sent("No idea.")
    if search == "after":
        searched(script, "parrot")
    return script.end()


@pytest.mark.parametrize(("search", "late"), [("", False), ("after", True)])
def test_a_question_about_storage_without_a_search_starves(told: Callable, search: str, late: bool) -> None:
    ws = told(starving_life(search=search))
    (one,) = found_in(ws).starving
    assert one.shared == ("parrot",)
    assert one.items == ("m3", "m5")
    assert (one.late is not None) is late


@pytest.mark.parametrize("more", [{"search": "before"}, {"known": "Owns a parrot that loves walnuts"}])
def test_a_question_that_was_looked_up_or_is_known_does_not(told: Callable, more: dict) -> None:
    assert not found_in(told(starving_life(**more))).starving


def test_a_word_inside_another_word_is_not_that_word(told: Callable) -> None:
    script = Script().turn("My education was long.", "I see.").turn("I bake.", "Nice.").flushed(3, summary="Things.")
    script.turn("Where is my cats123 list? What of educat?", "No idea.")
    assert not found_in(told(script)).starving


def test_a_message_that_comes_and_goes_thrashes(told: Callable) -> None:
    script = Script().turn("I keep bees.", "Ah.")
    item = script.state.queue[0].id
    script.flushed(3)
    for _ in range(2):
        searched(script.trigger("Bees?"), "bees", item).returned("conversation_search", holds=[item]).sent("Yes").end()
        script.flushed(len(script.state.queue))
    (one,) = found_in(told(script)).thrashing
    assert one.item == item
    assert len(one.seqs) == 2


# --- the page -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", ["companion", "analyst", "prober"])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_each_sample_at_its_start_middle_and_end(home: Home, sample: str, share: float) -> None:
    ws = home.open(home.start_sample(sample))
    at = max(1, int(ws.last_seq * share))
    app = page(agent=ws.agent_id, step=str(at))
    assert f"{counted(timeline_rows.mark_count(ws, at), 'mark')} in {counted(at, 'event')}" in "".join(
        c.value for c in app.caption
    )
    drawn = marks_of(ws, at)
    if drawn:
        assert all(chart.alt for chart in charts(app))
        shown = page(agent=ws.agent_id, step=str(at), mark=str(drawn[-1].seq))
        assert f"event {drawn[-1].seq:,}" in html(shown)
    else:
        assert any("Nothing has happened yet" in info.value for info in app.info)


def test_a_new_agent_is_told_what_to_do(home: Home) -> None:
    ws = home.open(home.create(Blueprint(name="Tester")))
    app = page(agent=ws.agent_id)
    assert "Tester" in "".join(c.value for c in app.caption)


def test_a_chosen_flush_shows_what_left_beside_the_summary(told: Callable) -> None:
    ws = told(a_life())
    flush = next(one.seq for one in marks_of(ws) if one.shape == "page out")
    app = page(agent="tester", mark=str(flush))
    shown = html(app)
    assert "3,500 tokens</b> freed" in shown
    assert "They spoke of bread." in shown
    assert "My parrot Polly talks to Hugo at 4711." in shown
    assert "came back at event" in shown
    assert "as a copy in" in shown
    assert "has not come back" in shown
    labels = [button.label for button in app.button]
    assert labels.count("Bring back") == labels.count("Pin") == labels.count("Save") == 3


def test_an_evicted_message_is_brought_back_pinned_and_saved(told: Callable) -> None:
    ws = told(a_life())
    flush = next(one.seq for one in marks_of(ws) if one.shape == "page out")
    app = page(agent="tester", mark=str(flush))

    def press(name: str, id: str) -> str:
        app.button(key=f"timeline:{name}:{flush}:{id}").click().run()
        assert not app.exception, app.exception
        return app.success[0].value

    assert f"m5 is in the queue again (event {ws.last_seq + 1})" in press("Bring back", "m5")
    assert ws.event(ws.last_seq).kind == "message_requeued"
    assert app.button(key=f"timeline:Bring back:{flush}:m5").disabled
    assert "m3 is in the queue again and pinned" in press("Pin", "m3")
    assert ws.state().pinned == ("m3",)
    assert "may leave the queue again" in press("Unpin", "m3")
    assert ws.state().pinned == ()
    assert f"copied into archival storage as p{ws.last_seq + 1}" in press("Save", "m3")
    (passage,) = ws.items([f"p{ws.last_seq}"]).values()
    assert "Polly" in passage["text"]
    assert "in a slot of its own" in html(app)


def test_looking_back_the_buttons_rest(told: Callable) -> None:
    ws = told(a_life())
    flush = next(one.seq for one in marks_of(ws) if one.shape == "page out")
    app = page(agent="tester", mark=str(flush), step=str(flush))
    done = [button for button in app.button if button.label in ("Bring back", "Pin", "Save")]
    assert len(done) == 9
    assert all(button.disabled and button.help == "Go back to live to edit" for button in done)
    assert "came back at event" not in html(app)


def test_a_chosen_search_shows_its_hits_and_what_was_evicted(told: Callable) -> None:
    ws = told(a_life())
    search = next(one.seq for one in marks_of(ws) if one.shape == "search")
    shown = html(page(agent="tester", mark=str(search)))
    assert "polly" in shown
    assert "matches in all: 1, on this page: 1, page faults among them: 1" in shown
    assert "page fault</span> evicted at event" in shown


def test_a_chosen_edit_shows_both_texts(told: Callable) -> None:
    script = a_life().add(
        WorkingContextEdited(block="human", before="Name: Ada", after="Name: Eve", author="human", based_on=2)
    )
    told(script)
    shown = html(page(agent="tester", mark=str(script.seq)))
    assert "Name: Ada" in shown
    assert "Name: Eve" in shown
    assert "by you" in shown


def test_the_marks_can_be_walked_by_buttons(told: Callable) -> None:
    ws = told(a_life())
    found = [one.seq for one in marks_of(ws)]
    app = page(agent="tester")
    app.button(key="timeline:Previous mark").click().run()
    assert chosen(app) == str(found[-1])
    app.button(key="timeline:Previous mark").click().run()
    assert chosen(app) == str(found[-2])
    app.button(key="timeline:Next mark").click().run()
    assert chosen(app) == str(found[-1])
    app.button(key="timeline:close").click().run()
    assert "mark" not in app.query_params
    assert not app.exception


@pytest.mark.parametrize("wanted", ["0", "99999", "-4", "x", "1e3", "٣", NASTY, "9" * 30])
def test_a_mark_that_is_not_there_gets_a_sentence(told: Callable, wanted: str) -> None:
    told(a_life())
    app = page(agent="tester", mark=wanted)
    assert any("There is no event" in warning.value for warning in app.warning)
    assert not any("](" in warning.value and "!\u2060[" not in warning.value for warning in app.warning)


def test_a_mark_of_the_future_gets_a_sentence(told: Callable) -> None:
    told(a_life())
    app = page(agent="tester", step="5", mark="9")
    assert any("comes after event 5" in warning.value for warning in app.warning)


def test_nasty_texts_are_shown_as_text(told: Callable) -> None:
    script = Script().trigger(NASTY).end().insert(NASTY)
    searched(script, NASTY, script.message)
    script.flushed([script.message], summary=NASTY)
    told(script)
    for seq in (2, 4, 5, 6):
        app = page(agent="tester", mark=str(seq))
        assert "<img" not in html(app)
        for chart in charts(app):
            assert "<img" not in chart.spec
            assert "\\u001b" not in chart.spec
            assert "\\u202e" not in chart.spec
    assert plain("\x1b[31m\x00<b>") == "␛[31m␀&lt;b&gt;"


def big_life(turns: int) -> Script:
    script = Script()
    for at in range(turns):
        script.trigger(f"line {at}").end()
    return script


def test_a_long_life_is_shown_in_stretches(told: Callable) -> None:
    ws = told(big_life(3 * USUAL))
    total = 3 * USUAL
    app = page(agent="tester")

    def shown() -> str:
        return next(c.value for c in app.caption if c.value.startswith("Marks "))

    assert shown().startswith(f"Marks {total - USUAL + 1} to {total} of {total}")
    app.button(key="timeline:First").click().run()
    assert shown().startswith(f"Marks 1 to {USUAL} of")
    assert app.button(key="timeline:Earlier").disabled
    app.button(key="timeline:Later").click().run()
    assert shown().startswith(f"Marks {1 + USUAL * 3 // 4} to")
    app.button(key="timeline:Zoom in").click().run()
    assert shown().startswith(f"Marks {1 + USUAL * 3 // 4 + USUAL // 4} to {USUAL * 3 // 4 + USUAL * 3 // 4}")
    app.number_input(key="timeline-goto:turn").set_value(17).run()
    assert shown().startswith("Marks 17 to")
    app.button(key="timeline:Newest").click().run()
    assert shown().startswith(f"Marks {total - USUAL // 2 + 1} to {total}")
    app.query_params["mark"] = str(marks_of(ws)[40].seq)
    app.run()
    assert shown().startswith(f"Marks {40 - USUAL // 4 + 1} to")
    assert f"event {marks_of(ws)[40].seq}" in html(app)


def test_one_click_is_followed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    here: Any = SimpleNamespace(ws=SimpleNamespace(agent_id="tester"))
    held: dict[str, Any] = {}
    monkeypatch.setattr(st, "session_state", held)
    assert follow(here, "chart", "detail") is None
    held["chart"] = {"selection": {"points": [{"customdata": [12]}]}}
    assert follow(here, "chart", "detail") == 12
    assert follow(here, "chart", "detail") is None
    held["chart"] = {"selection": {"points": [{"customdata": {"0": 14}}]}}
    assert follow(here, "chart", "detail") == 14
    held["chart"] = {"selection": {"points": [{"x": 3}]}}
    assert follow(here, "chart", "detail") is None


def test_time_is_folded_and_event_numbers_too(told: Callable) -> None:
    script = a_life()
    for at in range(100):
        script.insert(f"passage {at}", author="import")
    ws = told(script)
    found = marks_of(ws)
    (idle,) = axis_of(found, [], by_time=True).folds
    assert idle.length > 3 * 86_400
    (quiet,) = axis_of(found, [], by_time=False).folds
    assert quiet.length == 99
    app = page(agent="tester")
    assert "idle 3 d" in charts(app)[1].spec
    app.segmented_control(key=choices.TIMELINE_AXIS).set_value("Event number").run()
    assert "99 events" in charts(app)[1].spec
    assert not app.exception
