"""A shared recording: what it draws of every event, that its changes add up, and that nothing in it can act."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memgpt_core import __main__ as cli
from memgpt_core import sharing
from memgpt_core.blueprint import Blueprint
from memgpt_core.errors import MemscopeError
from memgpt_core.events import Event, TriggerReceived, encode
from memgpt_core.home import SAMPLES, Home
from memgpt_core.interchange.redact import Redaction, Redactor
from memgpt_core.sharing import PAGE, REFERENCE, SCRIPTS, Recording, session_stretch, share_html
from memgpt_core.state import State, fold
from memgpt_core.views.share_rows import changes, frame, name_of, replayed
from memgpt_core.views.share_story import Story, standing
from memgpt_core.views.transcript import transcript
from tests.engine import FakeClock, ScriptedModel, say
from tests.event_builder import Script
from tests.random_logs import STEPS, random_log
from tests.test_workspace import LONG_S

HOSTILE = (
    "</script><script>window.hit=1</script>",
    "<img src=x onerror=window.hit=1>",
    "<!--data--> <!--script--> --> ]]>",
    "nul\x00here",
    "\u202egnp.exe\u2069",
    "line\u2028separators\u2029",
    f"{REFERENCE}0",
    f"{REFERENCE}{REFERENCE}a long text that begins as a reference does, so that it is kept like any other",
    "[link](javascript:alert(1)) $x^2$ \x1b[31m",
)


class Held:
    """Events in memory, read as an open agent is."""

    def __init__(self, events: list[Event]) -> None:
        self._events = events

    @property
    def last_seq(self) -> int:
        return len(self._events)

    def state(self, at: int | None = None) -> State:
        return fold(self._events[:at])

    def event(self, seq: int) -> Event:
        return self._events[seq - 1]

    def events(self, start: int, stop: int | None = None) -> list[Event]:
        return self._events[start - 1 : stop]


class Parts(HTMLParser):
    """A document taken apart: the attributes of its tags, and the text of each script and the style."""

    def __init__(self, document: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, str] = {}
        self._in = ""
        self.feed(document.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in = dict(attrs).get("id") or tag

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in in ("script", "recording", "texts", "style", "title"):
            self.inside[self._in] = self.inside.get(self._in, "") + data

    @property
    def policy(self) -> str:
        found = [tag for _, tag in self.tags if tag.get("http-equiv") == "Content-Security-Policy"]
        return found[0]["content"] or ""


def data_of(document: bytes) -> Any:
    """What the file holds, with the texts that are kept once in their places, as the script reads it."""
    inside = Parts(document).inside
    raw, texts = json.loads(inside["recording"]), json.loads(inside["texts"])

    def said(value: Any) -> Any:
        if isinstance(value, str):
            return texts[int(value[1:])] if value.startswith(REFERENCE) else value
        if isinstance(value, list):
            return [said(item) for item in value]
        return {key: said(item) for key, item in value.items()} if isinstance(value, dict) else value

    return {name: said(value) for name, value in raw.items()}


def logged(script: Script, folder: Path) -> Path:
    path = folder / "run.jsonl"
    path.write_text("".join(f"{encode(event)}\n" for event in script.events), encoding="utf-8")
    return path


# --- the rows -----------------------------------------------------------------------------------------------------


def names(events: list[Event]) -> dict[str, str]:
    return {f"m{event.seq}": name_of(event) for event in events if event.kind in sharing._NAMED}


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_changes_add_up_to_every_frame(steps: list[tuple[str, int, str]]) -> None:
    script = random_log(steps)
    told = names(script.events)
    shown = frame(script.befores[0], told)
    for event in script.events:
        wanted = frame(fold(script.events[: event.seq]), told)
        shown = replayed(shown, json.loads(json.dumps(changes(shown, wanted))))
        assert {name: list(table.items()) for name, table in shown.items()} == {
            name: list(table.items()) for name, table in wanted.items()
        }


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_the_conversation_of_any_event_is_the_transcript_up_to_it(steps: list[tuple[str, int, str]]) -> None:
    script = random_log(steps)
    story = Story()
    for before, event in script.pairs():
        story.take(before, event)
    rows = story.bubbles()
    for event in script.events:
        assert standing(rows, event.seq) == sorted(transcript(script.events[: event.seq]), key=lambda one: one.seq)


def test_a_message_corrected_before_it_is_shown_is_shown_corrected() -> None:
    script = Script().trigger("hi").prompt().reply("helo")
    script.edit_message(script.message, "hello").returned().sent("helo").end().delete_message(f"m{4}")
    story = Story()
    for before, event in script.pairs():
        story.take(before, event)
    rows = story.bubbles()
    for event in script.events:
        assert standing(rows, event.seq) == sorted(transcript(script.events[: event.seq]), key=lambda one: one.seq)
    assert [(row.bubble.text, row.bubble.changed) for row in rows if row.bubble.who == "agent"] == [
        ("hello", "edited"),
        ("helo", "deleted"),
    ]


def test_the_places_to_jump_to() -> None:
    script = Script().block("human", "Ada").trigger("", cause="login")
    script.turn("hi", "hello").flushed(1)
    evicted = script.last.evicted[0]
    script.trigger("and?").prompt().returned("conversation_search", "found", holds=[evicted])
    script.returned("nonsense", "no such function", ok=False).block("human", "Ada, of Leiden").end()
    story = Story()
    for before, event in script.pairs():
        story.take(before, event)
    kinds = {name: [script.events[seq - 1].kind for seq in seqs] for name, seqs in story.stops.items()}
    assert kinds == {
        "session": ["trigger_received"],
        "turn": ["trigger_received", "trigger_received"],
        "step": ["prompt_built", "prompt_built"],
        "flush": ["queue_flushed"],
        "fault": ["function_returned"],
        "edit": ["block_defined"],
        "error": ["function_returned"],
    }
    assert [mark.shape for mark in story.marks if mark.items] == ["page fault"]
    assert [[(piece.kind, piece.text) for piece in edit.pieces] for edit in story.edits] == [
        [("same", "Ada"), ("in", ", of Leiden")]
    ]


# --- the data in the file -----------------------------------------------------------------------------------------


def tables_at(data: Any, index: int) -> dict[str, dict[str, Any]]:
    """The tables after so many events, as the script makes them: from the keyframe before, change by change."""
    start, whole = [key for key in data["keys"] if key[0] <= index][-1]
    tables = {name: dict(pairs) for name, pairs in whole.items()}
    for step in data["steps"][start + 1 : index + 1]:
        tables = replayed(tables, step or {})
    return tables


def test_bookmarks_of_the_stretch_go_along_and_can_be_jumped_to() -> None:
    script = Script().turn("a", "b").turn("c", "d")
    last = len(script.events)
    marks = [(last, "the end"), (4, ""), (last, "<b>twice</b>"), (1, "before")]
    data = data_of(share_html(Held(script.events), 3, bookmarks=marks))
    assert data["bookmarks"] == [[4, ""], [last, "<b>twice</b>"], [last, "the end"]]
    assert data["stops"]["bookmark"] == [4, last]


@pytest.mark.parametrize("name", ["companion", "prober"])
def test_the_file_of_a_sample_says_what_the_log_says(name: str) -> None:
    recording = Recording(SAMPLES / name / "run.jsonl")
    data = data_of(share_html(recording))
    events = recording.events(1)
    recording.close()
    assert [encode(event) for event in events] == [
        encode(type(event).model_validate(raw)) for event, raw in zip(events, data["events"], strict=True)
    ]
    told = names(events)
    for index in (0, 1, 57, 199, 200, 201, len(events) - 1):
        wanted = json.loads(json.dumps(frame(fold(events[: index + 1]), told)))
        assert tables_at(data, index) == wanted
    assert [bubble["seq"] for _, until, bubble in data["bubbles"] if not until] == [
        bubble.seq for bubble in transcript(events)
    ]
    searched = [event.seq for event in events if event.kind in ("recall_searched", "archival_searched")]
    assert [search["seq"] for search in data["searches"]] == searched
    assert data["about"]["stop"] == len(events)
    assert data["about"]["models"] == ["Demo model (rules, no language model)"]


def test_a_stretch_brings_what_stood_in_the_window_and_nothing_older() -> None:
    script = Script().block("human", "Ada").turn("the old secret", "gone").flushed(2, summary="They greeted.")
    script.turn("hello", "hello back")
    script.turn("how are you", "well")
    start = script.seq - 5
    document = share_html(Held(script.events), start)
    data = data_of(document)
    assert b"the old secret" not in document
    state = fold(script.events[: start - 1])
    wanted = {state.summary.seq, state.blocks["human"].seq, *(int(entry.id[1:]) for entry in state.queue)}
    assert {seq for seq, _ in data["earlier"]} == wanted
    assert data["about"]["start"] == start
    assert data["about"]["earlier"] == len(wanted)
    assert dict(data["keys"][0][1]["items"])[f"m{start - 6}"][1] == "User message"


def test_a_hit_from_before_the_stretch_has_no_excerpt() -> None:
    recording = Recording(SAMPLES / "companion" / "run.jsonl")
    start = 200
    data = data_of(share_html(recording, start))
    recording.close()
    hits = [hit for search in data["searches"] for hit in search["hits"]]
    assert any(hit[4] for hit in hits)
    assert all(bool(hit[4]) == (int(hit[0][1:]) >= start) for hit in hits)


def test_a_session_is_a_stretch() -> None:
    script = Script().trigger("", cause="login").turn("a", "b")
    first = script.seq
    script.trigger("", cause="login").turn("c", "d")
    held = Held(script.events)
    assert session_stretch(held, 1) == (1, first)
    assert session_stretch(held, 2) == (first + 1, script.seq)
    for none in (0, 3, -1):
        with pytest.raises(MemscopeError, match=f"no session {none}: this recording has sessions 1 to 2"):
            session_stretch(held, none)


@pytest.mark.parametrize(("start", "stop"), [(0, 3), (4, 3), (1, 99), (99, None)])
def test_a_stretch_that_is_none(start: int, stop: int | None) -> None:
    with pytest.raises(MemscopeError, match="this recording has events 1 to 7"):
        share_html(Held(Script().turn("a", "b").events), start, stop)


def test_too_large_a_file_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "LIMIT_BYTES", 300_000)
    script = Script().turn("x" * 200_000, "small")
    assert len(share_html(Held(script.events))) < 300_000
    script.turn("y" * 200_000, "small")
    with pytest.raises(MemscopeError, match=r"Events 1 to 13 make a file of more than .* Choose a shorter stretch"):
        share_html(Held(script.events))


def test_a_text_of_ten_million_characters_is_in_the_file_once() -> None:
    text = "word " * 2_000_000
    document = share_html(Held(Script().turn(text, "long").events))
    assert len(text) < len(document) < len(text) + 200_000


def test_the_same_recording_gives_the_same_file_and_tells_how_far_it_is() -> None:
    recording = Recording(SAMPLES / "companion" / "run.jsonl")
    told: list[float] = []
    assert share_html(recording, progress=told.append) == share_html(recording)
    recording.close()
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) > 1


def test_an_open_agent_gives_the_same_file_as_its_log(tmp_path: Path) -> None:
    home = Home(tmp_path, clock=FakeClock(), models={"demo": ScriptedModel(then=say("hello back"))}, timer=False)
    ws = home.open(home.create(Blueprint(name="Ada", about="a test")))
    for text in ("hello there", "and again"):
        ws.send(text)
        assert ws.wait_idle(LONG_S)
    start = ws.turn_start(2)
    recording = Recording(ws.folder / "run.jsonl")
    assert share_html(ws, start) == share_html(recording, start)
    assert data_of(share_html(ws, start))["about"]["agent"] == "Ada"
    recording.close()
    home.close()


# --- redaction ----------------------------------------------------------------------------------------------------


def test_nothing_of_what_was_redacted_is_in_the_file() -> None:
    script = Script().block("human", "Lives in Leiden, of old").trigger("", cause="login")
    script.turn("My mail is ada@example.org and I live in Leiden", "So you are ada@example.org")
    script.insert("ada@example.org wrote", tags=["ada@example.org"])
    start = script.seq + 1
    script.turn("and again ada@example.org", "yes")
    redactor = Redactor(Redaction(patterns=("email",), blocks=("human",)), script.events)
    for first in (1, start):
        document = share_html(Held(script.events), first, redaction=redactor.event)
        assert b"ada@" not in document
        assert b"Lives in Leiden, of old" not in document
        assert b"[redacted:email]" in document
        about = data_of(document)["about"]
        assert about["redaction"] is True
        assert about["redacted"] >= 2
    assert b"ada@" in share_html(Held(script.events))


# --- the document -------------------------------------------------------------------------------------------------


def hostile() -> Script:
    script = Script(created=False)
    made = Script().events[0].model_copy(update={"name": HOSTILE[0], "about": HOSTILE[1]})
    script.add(made)
    for text in HOSTILE:
        script.block(text, text).turn(text, text).insert(text, tags=[text], source=text)
    return script


def test_hostile_text_stays_data() -> None:
    script = hostile()
    document = share_html(Held(script.events))
    parts = Parts(document)
    assert [tag for tag, _ in parts.tags if tag in ("script", "img", "iframe", "object", "link")] == ["script"] * 3
    data = data_of(document)
    assert [event["text"] for event in data["events"] if event["kind"] == "archival_inserted"] == list(HOSTILE)
    assert dict(data["keys"][-1][1]["blocks"]).keys() <= set(HOSTILE)
    assert {bubble["text"] for _, _, bubble in data["bubbles"] if bubble["who"] == "user"} == set(HOSTILE)
    assert "<script>" in parts.inside["title"]
    assert b"<script>window.hit" not in document


def test_the_policy_lets_in_the_one_script_and_nothing_else() -> None:
    parts = Parts(share_html(Held(Script().turn("a", "b").events)))
    digest = base64.b64encode(hashlib.sha256(parts.inside["script"].encode()).digest()).decode()
    assert parts.policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}';" in parts.policy
    assert "unsafe-eval" not in parts.policy
    addresses = {"src", "href", "action", "srcset", "data", "poster"}
    assert not [tag for tag in parts.tags if addresses & set(tag[1]) or any(name.startswith("on") for name in tag[1])]
    assert "url(" not in parts.inside["style"]
    assert "@import" not in parts.inside["style"]


def test_the_script_has_no_way_to_act_on_text_or_to_ask_anybody() -> None:
    script = "".join((PAGE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\(|fetch\(|XMLHttp|import\(|https?:"
    )
    assert re.search(forbidden, script) is None
    assert "</script" not in script
    assert len(script) > 10_000


def test_half_a_surrogate_pair_makes_no_broken_file() -> None:
    script = Script()
    script.add(TriggerReceived.model_construct(cause="user", text="half \ud83d of it"))
    document = share_html(Held(script.events), redaction=lambda event: event)
    assert json.loads(Parts(document).inside["recording"])["events"][1]["text"] == "half \ud83d of it"


# --- the command --------------------------------------------------------------------------------------------------


def test_the_command_makes_a_file_and_leaves_one_that_is_there_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = logged(Script().trigger("", cause="login").turn("a", "b").turn("c", "d"), tmp_path)
    out = tmp_path / "shared.html"
    assert cli.main(["share", str(path), str(out), "--session", "1"]) == 0
    assert "events 1 to 14" in capsys.readouterr().out
    assert data_of(out.read_bytes())["about"]["agent"] == "Tester"
    kept = out.read_bytes()
    assert cli.main(["share", str(path), str(out), "--from", "3"]) == 1
    assert "There is a file" in capsys.readouterr().err
    assert out.read_bytes() == kept
    assert cli.main(["share", str(path), str(tmp_path / "none.html"), "--session", "7"]) == 1
    assert "no session 7" in capsys.readouterr().err
    assert not (tmp_path / "none.html").exists()


def test_the_command_redacts(tmp_path: Path) -> None:
    path = logged(Script().block("human", "Lives in Leiden").turn("I am ada@example.org of Delft", "ok"), tmp_path)
    out = tmp_path / "shared.html"
    asked = ["--redact", "email", "--redact-own", "town", "Del.t", "--redact-block", "human"]
    assert cli.main(["share", str(path), str(out), *asked]) == 0
    made = out.read_bytes()
    assert not [text for text in (b"ada@", b"Delft", b"Lives in Leiden") if text in made]
    assert b"I am [redacted:email] of [redacted:town]" in made
