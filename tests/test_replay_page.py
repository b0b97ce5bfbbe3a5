"""The replay page without a browser: the player's clock and moves, what each place shows, bookmarks, the rerun."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from memgpt_core import journeys
from memgpt_core.blueprint import Blueprint
from memgpt_core.events import ArchivalInserted, MessageSent, encode
from memgpt_core.home import SAMPLES, Home
from memgpt_core.log import Log, read_events
from memgpt_core.rerunning import Rerunning
from memgpt_core.state import fold
from memgpt_core.views.player import (
    BUCKETS,
    FOLDED_S,
    LANES,
    LEAST_S,
    MOST_S,
    REAL_TIME,
    SPEEDS,
    BlockChange,
    Played,
    buckets,
    changed,
    density,
    pause_s,
    played,
    says,
    width_of,
)
from memgpt_core.workspace import Workspace
from pages.parts import choices, player_clock, player_rows
from tests.event_builder import Script
from tests.screens import html, opened

ROOT = Path(__file__).resolve().parents[1]
NASTY = "<b>x</b> ![i](http://evil/i.png) $y$ :red[z] \x00\x1b[31m \u202eback <script>alert(1)</script>"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def companion(home: Home) -> Workspace:
    return home.open(home.start_sample("companion"))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of playing, which stands until a test moves it."""
    now = [1000.0]
    monkeypatch.setattr(player_clock, "now_s", lambda: now[0])
    return now


def page(ws: Workspace, **params: Any) -> AppTest:
    return opened("replay", ws.agent_id, **params)


def said(app: AppTest) -> str:
    return "\n".join(
        element.value
        for kind in (app.caption, app.markdown, app.warning, app.info, app.success, app.error)
        for element in kind
    )


def button(app: AppTest, key: str) -> Any:
    return next(one for one in app.button if one.key == key)


def step(app: AppTest) -> int | None:
    value = app.query_params.get("step")
    return None if value is None else int(value[0] if isinstance(value, list) else value)


# --- the pace ---------------------------------------------------------------------------------------------------------


@given(st.floats(-5, 1e7), st.sampled_from(list(SPEEDS)))
def test_a_pause_is_bounded_and_a_faster_speed_never_waits_longer(gap: float, speed: str) -> None:
    pause = pause_s(gap, speed)
    if speed == REAL_TIME:
        assert pause == (max(0.0, gap) if gap <= 10 else FOLDED_S)
    else:
        rate = SPEEDS[speed]
        assert LEAST_S / rate <= pause <= MOST_S / rate
        assert pause == pytest.approx(pause_s(gap, "1 ×") / rate)


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=30),
    st.sampled_from(list(SPEEDS)),
    st.lists(st.floats(0, 5), max_size=10),
)
def test_playing_comes_to_the_same_place_however_often_it_is_looked_at(
    gaps: list[float], speed: str, looks: list[float]
) -> None:
    times = [(1, NOON)]
    for number, gap in enumerate(gaps, 2):
        times.append((number, times[-1][1] + timedelta(seconds=gap)))
    now, at = 50.0, Played(1, 50.0)
    for wait in [*looks, 0.0]:
        now += wait
        moved = played(times[at.seq - 1 :], at, now, speed)
        assert moved.seq >= at.seq
        assert moved.since_s <= now
        at = moved
    straight = played(times, Played(1, 50.0), now, speed)
    assert at.seq == straight.seq
    assert at.since_s == pytest.approx(straight.since_s)


# --- the strip --------------------------------------------------------------------------------------------------------


@given(st.integers(1, 5000), st.lists(st.integers(1, 6000), max_size=20), st.data())
def test_the_strip_counts_everything_once_in_few_stretches(events: int, marks: list[int], data: st.DataObject) -> None:
    edits = data.draw(st.lists(st.integers(1, events), max_size=20))
    width = width_of(events)
    rows = [{"bucket": (seq - 1) // width, "edit": 1, "fault": None} for seq in edits]
    found = buckets(events, rows, marks)
    assert len(found) <= BUCKETS
    assert sum(bucket.events for bucket in found) == events
    lanes = list(LANES)
    assert sum(bucket.lanes[lanes.index("edit")] for bucket in found) == len(edits)
    assert sum(bucket.lanes[lanes.index("bookmark")] for bucket in found) == len(
        [seq for seq in marks if seq <= events]
    )
    starts = [float(at) for at in range(len(found) + 1)]
    assert all(0 < share <= 1 for share in density(starts, events))


def test_the_strip_of_a_sample_says_what_a_walk_through_its_log_says(companion: Workspace) -> None:
    last = companion.last_seq
    rows = player_rows.lanes(companion, last)
    counts = {lane: sum(row[lane] or 0 for row in rows) for lane in ("flush", "fault", "edit", "error")}
    walked = {}
    for lane in counts:
        walked[lane], seq = 0, companion.neighbour(1, lane, True)
        while seq is not None:
            walked[lane] += 1
            seq = companion.neighbour(seq, lane, True)
    assert counts == walked
    assert counts["flush"] > 3
    assert counts["fault"] > 3
    starts = player_rows.starts(companion, last)
    assert len(starts) == len(buckets(last, [], [])) + 1
    assert all(before <= after for before, after in pairwise(starts))
    assert len(player_rows.sessions(companion, last)) == companion.state().session


# --- what changed -----------------------------------------------------------------------------------------------------


def test_what_changed_is_told_between_any_two_points() -> None:
    script = Script().block("human", "Ada").block("old", "x").turn("hi", "hello").insert("fact")
    early = script.state
    script.flushed(2).block("human", "Ada of Leiden").delete_block("old").block("new", "y").trigger("and?")
    found = changed(early, script.state)
    assert found.blocks == (
        BlockChange("human", "Ada", "Ada of Leiden"),
        BlockChange("new", None, "y"),
        BlockChange("old", "x", None),
    )
    assert found.came == (script.message,)
    assert len(found.left) == 2
    assert (found.messages, found.passages, found.flushes) == (1, 0, 1)
    told = "; ".join(says(found))
    for words in ("came into the queue", "left it", "1 flush", "recall storage +1", "new is new", "old is gone"):
        assert words in told
    assert changed(script.state, script.state).nothing
    assert says(changed(early, early)) == []


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", ["companion", "analyst", "prober"])
def test_each_sample_at_its_start_middle_and_end(home: Home, sample: str) -> None:
    ws = home.open(home.start_sample(sample))
    for at in (1, ws.last_seq // 2, ws.last_seq):
        app = page(ws, step=str(at))
        assert f"Event {at:,}" in html(app)
        assert "Recorded: nothing here is generated anew." in said(app)
        assert not app.warning
    assert button(app, "player:toggle").label == "Play from the start"


def test_a_stranger_is_told_what_to_press(companion: Workspace, home: Home) -> None:
    app = page(companion)
    assert "Press **Play from the start**" in said(app)
    new = page(home.open(home.create(Blueprint(name="New"))))
    assert "little to replay" in said(new)
    assert next(iter(new.button)) is not None
    wrong = page(companion, step="99999")
    assert "There is no event" in said(wrong)


def test_every_panel_is_of_the_same_moment(companion: Workspace) -> None:
    at = companion.neighbour(200, "edit", True)
    assert at is not None
    text = html(page(companion, step=str(at)))
    state = companion.state(at)
    assert state == fold(companion.events(1, at))
    assert f"{state.messages:,} messages" in text
    assert f"as of event {at:,}; the newest first" in text
    event: Any = companion.event(at)
    assert f".st-key-block-{event.block}{{outline" in text
    assert "<ins>" in text
    assert "<span class=ms-tag>now</span>" in text
    assert "to come" in text
    assert "recorded, " in text
    assert "lived by" in text


def test_buttons_go_to_the_neighbours_and_write_the_address(companion: Workspace) -> None:
    app = page(companion, step="100")
    button(app, "player_unit:on").click().run()
    turn = companion.neighbour(100, "turn", True)
    assert step(app) == turn
    assert "since event 100" in html(app)
    button(app, "player_mark:on").click().run()
    flush = companion.neighbour(turn or 0, "flush", True)
    assert step(app) == flush
    button(app, "player_mark:back").click().run()
    assert step(app) == companion.neighbour(flush or 0, "flush", False) or "There is no flush before" in said(app)
    app.selectbox(key=choices.PLAYER_MARK).set_value("error").run()
    app.query_params["step"] = "5"
    app.run()
    button(app, "player_mark:back").click().run()
    assert "There is no error before event 5." in said(app)


def test_playing_leaves_the_address_alone_and_pausing_writes_it(companion: Workspace, clock: list[float]) -> None:
    app = page(companion, step="100")
    button(app, "player:toggle").click().run()
    assert button(app, "player:toggle").label == "Pause"
    clock[0] += 5.0
    app.run()
    now = app.session_state[choices.playing(companion.agent_id)].seq
    assert now > 100
    assert step(app) == 100
    assert f"Event {now:,}" in html(app)
    button(app, "player:toggle").click().run()
    assert step(app) == now
    assert choices.playing(companion.agent_id) not in app.session_state
    assert button(app, "player:toggle").label == "Play"


def test_playing_ends_at_the_end_and_begins_again_from_the_start(companion: Workspace, clock: list[float]) -> None:
    app = page(companion, step=str(companion.last_seq - 2))
    app.selectbox(key=choices.PLAYER_SPEED).set_value("16 ×").run()
    button(app, "player:toggle").click().run()
    clock[0] += 4.0
    app.run()
    assert step(app) == companion.last_seq
    assert button(app, "player:toggle").label == "Play from the start"
    button(app, "player:toggle").click().run()
    assert app.session_state[choices.playing(companion.agent_id)].seq == 1


def test_a_player_that_was_left_stands_where_it_was(companion: Workspace, clock: list[float]) -> None:
    app = page(companion, step="100")
    button(app, "player:toggle").click().run()
    app.switch_page("pages/log.py").run()
    clock[0] += 3600.0
    app.switch_page("pages/replay.py").run()
    assert button(app, "player:toggle").label == "Play"
    assert step(app) == 100


def test_back_to_live_ends_the_looking_back(companion: Workspace) -> None:
    app = page(companion, step="100")
    button(app, "player:live").click().run()
    assert step(app) is None
    assert not [one for one in app.button if one.key == "player:live"]


def test_texts_are_shown_as_text(home: Home) -> None:
    ws = home.open(home.create(Blueprint(name="Tester")))
    ws._journal.commit_many([ArchivalInserted(text=NASTY, author="human"), MessageSent(text=NASTY)])
    ws.bookmarks.add(ws.last_seq, NASTY)
    text = html(page(ws, step=str(ws.last_seq)))
    for harm in ("<script>", "<b>x</b>", "\u202e", "\x1b"):
        assert harm not in text, harm
    assert "&lt;script&gt;" in text


# --- bookmarks --------------------------------------------------------------------------------------------------------


def test_a_bookmark_is_shown_on_its_event_here_and_in_the_log(companion: Workspace) -> None:
    id = companion.bookmarks.add(120, "Here <it> went well")
    assert "Here &lt;it&gt; went well" in html(page(companion, step="120"))
    assert "went well" not in html(page(companion, step="121"))
    app = page(companion, step="300")
    app.selectbox(key=choices.PLAYER_MARK).set_value("bookmark").run()
    button(app, "player_mark:back").click().run()
    assert step(app) == 120
    log = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    log.query_params["agent"] = companion.agent_id
    log.run()
    log.query_params["event"] = "120"
    log.switch_page("pages/log.py").run()
    assert "went well" in html(log)
    companion.bookmarks.remove(id)
    assert "went well" not in html(page(companion, step="120"))


# --- journeys from other pages ----------------------------------------------------------------------------------------


def test_a_block_leads_to_its_last_change_under_the_label_it_had_then(home: Home) -> None:
    ws = home.open(home.create(Blueprint(name="Tester")))
    label = next(iter(ws.state().blocks))
    ws.edits.rename_block(label, "renamed", based_on=ws.state().blocks[label].seq)
    renamed = ws.last_seq
    ws.edits.edit_block("renamed", "another text", based_on=renamed)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params["agent"] = ws.agent_id
    app.run()
    app.query_params["block"] = "renamed"
    app.switch_page("pages/core_memory.py").run()
    for at, called in ((ws.last_seq, "renamed"), (renamed, "renamed"), (ws.block_history(label, at=4)[-1].seq, label)):
        button(app, "journey:back").click().run()
        assert step(app) == at
        assert app.query_params["block"] in (called, [called])
        assert not app.exception
    button(app, "journey:on").click().run()
    assert step(app) == renamed


@pytest.mark.parametrize(
    ("table", "file", "name"), [("messages", "recall", "message"), ("passages", "archival", "passage")]
)
def test_a_message_and_a_passage_lead_to_what_changed_them(
    companion: Workspace, table: str, file: str, name: str
) -> None:
    id = companion.rows(f"SELECT id FROM {table} ORDER BY seq_from LIMIT 1")[0]["id"]
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params["agent"] = companion.agent_id
    app.run()
    app.query_params[name] = id
    app.switch_page(f"pages/{file}.py").run()
    button(app, "journey:back").click().run()
    assert not app.exception
    assert step(app) == companion.last_change(id, companion.last_seq + 1, False)


# --- the rerun --------------------------------------------------------------------------------------------------------


def rerun_of(ws: Workspace) -> AppTest:
    app = page(ws)
    app.session_state[choices.PLAYER_SIDE] = player_clock.RERUN
    app.run()
    button(app, "rerun:start").click().run()
    assert ws.rerunning.wait(60)
    app.run()
    assert not app.exception, app.exception
    return app


def test_a_rerun_of_a_sample_is_identical_and_says_so(home: Home) -> None:
    ws = home.open(home.start_sample("prober"))
    app = rerun_of(ws)
    assert f"Identical: all {ws.last_seq:,} events" in said(app)
    assert "Worked out anew from the recording." in said(app)


def altered(folder: Path, kind: str, **changes: Any) -> int:
    """A recording with one event otherwise than the engine makes it; its seq."""
    events = list(read_events(SAMPLES / "prober" / "run.jsonl"))
    at = next(place for place, event in enumerate(events) if event.kind == kind and event.turn > 2)
    events[at] = events[at].model_copy(update=changes)
    log = Log.create(folder / "run.jsonl")
    log.append([encode(event) for event in events])
    log.close()
    return at + 1


def test_the_first_event_that_differs_is_shown_with_both_sides(home: Home) -> None:
    folder = home.path / "agents" / "altered"
    folder.mkdir()
    seq = altered(folder, "message_sent", text="I never said this")
    app = rerun_of(home.open("altered"))
    assert f"Event {seq:,} is the first that came out otherwise" in said(app)
    recorded, anew = (code.value for code in app.code if code.language == "json")
    assert "I never said this" in recorded
    assert "I never said this" not in anew
    button(app, "rerun:show").click().run()
    assert step(app) == seq
    assert f"Event {seq:,}" in html(app)


def test_a_rerun_that_is_stopped_says_so(companion: Workspace) -> None:
    log = Log.open(companion.folder / "run.jsonl", read_only=True)
    rerunning = Rerunning(log)
    rerunning.start()
    rerunning.stop()
    assert rerunning.wait(60)
    status = rerunning.status()
    assert status is not None
    assert (status.failed == "It was stopped before its end.") == (status.outcome is None)
    assert not status.running
    log.close()


def test_what_the_pages_jump_to_is_what_the_door_knows() -> None:
    from pages.parts.player_controls import MARKS, UNITS

    assert {*UNITS, *MARKS} == set(journeys.WHATS)
    assert set(MARKS) == set(LANES)
