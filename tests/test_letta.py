"""Letta agent files: what goes in is told as lived, what comes out Letta takes, and nothing in a file does harm."""

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from memgpt_core import __main__ as cli
from memgpt_core import prompt
from memgpt_core.blueprint import BlockPlan, Blueprint
from memgpt_core.errors import MemscopeError
from memgpt_core.events import Call, is_external
from memgpt_core.home import Home, close_home, the_home
from memgpt_core.interchange import letta_file
from memgpt_core.interchange.letta import Imported, export_agent_file, import_agent_file, write_agent_file
from memgpt_core.interchange.letta_memory import Edit, edit_of, history, outcomes
from memgpt_core.interchange.letta_messages import Trigger, unwrap, wants_control
from memgpt_core.interchange.letta_shapes import AfMessage
from memgpt_core.replay import rerun, rerun_file
from memgpt_core.workspace import Workspace
from pages.parts import sidebar
from tests.engine import FakeClock, ScriptedModel, call, reply, say

ROOT = Path(__file__).resolve().parents[1]
SAM, ADA, GOLDEN = (ROOT / "tests" / "letta" / name for name in ("sam_v2.af", "ada_v1.af", "exported_v2.af"))
NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
LONG_S = 30


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    opened = Home(tmp_path / "home", clock=FakeClock(NOW), timer=False)
    yield opened
    opened.close()


def _take(home: Home, file: Path) -> tuple[Imported, Workspace]:
    made = import_agent_file(home, file, clock=lambda: NOW)
    return made, home.open(made.id)


def _events(ws: Workspace, *kinds: str) -> list[Any]:
    return [event for event in ws.events(1) if event.kind in kinds]


def _texts(ws: Workspace, label: str) -> list[tuple[str, str]]:
    """(author, text) of each version of a block, first to last."""
    return [
        (event.author, event.value if event.kind == "block_defined" else event.after)
        for event in _events(ws, "block_defined", "working_context_edited")
        if event.block == label
    ]


def _body(ws: Workspace) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = prompt.build(ws.state(), ws.event).body["messages"]
    return messages


# --- version 2 ------------------------------------------------------------------------------------------


def test_the_visible_talk_is_what_was_said_and_sent(home: Home) -> None:
    _, ws = _take(home, SAM)
    said = [(event.kind, event.text) for event in _events(ws, "trigger_received", "message_sent")]
    assert said == [
        ("trigger_received", "Never (first login)"),
        ("trigger_received", "My cat is called Miso."),
        ("message_sent", "Miso is a fine name!"),
        ("trigger_received", "Sorry, she is called Mochi."),
        ("message_sent", "Noted: Mochi, in Bergen."),
        ("trigger_received", '{"type": "user_message", "message": "inner"}'),
    ]
    assert [event.cause for event in _events(ws, "trigger_received")] == ["login", "user", "user", "user"]
    thoughts = [(event.content, event.thinking) for event in _events(ws, "model_replied")]
    assert ("Answer now.", "Say something kind.") in thoughts


def test_results_are_paired_with_their_calls_by_id(home: Home) -> None:
    _, ws = _take(home, SAM)
    results = [(event.call_id, event.name, event.ok, event.heartbeat) for event in _events(ws, "function_returned")]
    assert results == [
        ("call-1", "core_memory_append", True, True),
        ("call-2", "send_message", True, False),
        ("call-3", "core_memory_replace", True, True),
        ("call-4", "memory_insert", True, True),
        ("call-5", "get_weather", False, True),
        ("call-6", "send_message", True, False),
    ]
    weather = _events(ws, "function_returned")[4]
    assert (weather.arguments, weather.value) == ({"city": "Bergen"}, "no such city")


def test_each_event_is_at_its_messages_time_and_time_never_runs_back(home: Home) -> None:
    _, ws = _take(home, SAM)
    times = [event.at for event in ws.events(1)]
    assert times == sorted(times)
    second = {event.text: event.at for event in _events(ws, "trigger_received")}
    assert second["My cat is called Miso."] == datetime(2026, 5, 4, 9, 0, 2, 250000, tzinfo=UTC)
    assert times[0] == datetime(2026, 5, 4, 9, 0, 0, 250000, tzinfo=UTC)
    # The summary stands first in the window, but was made after the messages that it left there.
    assert [event.at.second for event in _events(ws, "queue_flushed")] == [10]


def test_a_call_hands_control_back_when_it_asked_or_failed() -> None:
    asked, silent = call("note_list", True), call("note_list")
    assert [wants_control(one, ok, always=False) for one in (asked, silent) for ok in (True, False)] == [
        True,
        True,
        False,
        True,
    ]
    assert wants_control(silent, True, always=True)
    assert not wants_control(call("send_message", message="hi"), True, always=True)


def test_the_compiled_system_message_is_no_message_and_the_summary_is_the_first_slot(home: Home) -> None:
    _, ws = _take(home, SAM)
    body = _body(ws)
    assert body[0]["content"].count("Lives in Bergen") == 1
    assert "previous messages between you and the user" not in json.dumps(body)
    flushed = ws.event(ws.state().summary.seq)  # type: ignore[union-attr]
    assert (flushed.summary, flushed.covers, flushed.summarised_by) == (  # type: ignore[union-attr]
        "Bo said hello and asked about gardens.",
        6,
        "model",
    )
    assert not any(event.cause == "system" for event in _events(ws, "trigger_received"))


def test_an_edit_of_its_own_gives_the_recorded_text_and_one_from_outside_is_shown_as_such(home: Home) -> None:
    _, ws = _take(home, SAM)
    assert _texts(ws, "human") == [
        ("import", "Name: Bo"),
        ("agent", "Name: Bo\nCat: Miso"),
        ("import", "Name: Bo Larsen\nCat: Miso"),
        ("agent", "Name: Bo Larsen\nCat: Mochi"),
        ("agent", "Name: Bo Larsen\nLives in Bergen\nCat: Mochi"),
        ("import", "Name: Bo Larsen\nLives in Bergen\nCat: Mochi\nGarden: small"),
    ]
    outside = next(e for e in _events(ws, "working_context_edited") if e.author == "import")
    assert "edited outside" in outside.reason
    following = ws.event(outside.seq + 1)
    assert following.kind == "model_replied", "between two steps, and not inside one"


def test_model_window_identity_and_what_was_left_are_told(home: Home) -> None:
    made, ws = _take(home, SAM)
    state = ws.state()
    assert (state.name, state.about) == ("Sam", "Remembers gardens")
    assert (state.settings.model, state.settings.window_tokens, state.settings.temperature) == ("qwen3:4b", 16000, 0.7)
    assert state.blocks["persona"].read_only
    assert state.blocks["human"].limit_chars == 20000
    lost = " ".join(made.lost)
    for word in ("get_weather", "garden, demo", "WEATHER_KEY", "nomic-embed-text", "tool rule", "heartbeats"):
        assert word in lost
    marker = _events(ws, "history_imported")[-1]
    assert (marker.seq, marker.first, marker.format) == (ws.last_seq, 1, "letta v2")
    assert list(marker.notes) == made.lost


def test_code_in_a_file_is_neither_run_nor_kept(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _, ws = _take(home, SAM)
    assert not (tmp_path / "PWNED").exists()
    assert "os.popen" not in (ws.folder / "run.jsonl").read_text()


def test_an_imported_agent_verifies_and_its_rerun_says_imported(home: Home) -> None:
    _, ws = _take(home, SAM)
    assert ws.verify() == []
    assert ws.notices() == []
    outcome = rerun_file(ws.folder / "run.jsonl")
    assert (outcome.identical, outcome.imported) == (True, ws.last_seq)


def test_without_the_mark_of_the_import_a_rerun_would_differ(home: Home) -> None:
    _, ws = _take(home, SAM)
    events = ws.events(1, ws.last_seq - 1)
    assert not rerun(events).identical
    assert not all(is_external(event) for event in events)


# --- version 1 ------------------------------------------------------------------------------------------


def test_version_1_with_messages_outside_its_window(home: Home) -> None:
    made, ws = _take(home, ADA)
    state = ws.state()
    assert state.settings.model == "demo"
    assert any("openai/gpt-4o-mini" in sentence for sentence in made.lost)
    assert any("API_KEY" in sentence for sentence in made.lost)
    queued = [ws.event(int(entry.id[1:])) for entry in state.queue]
    assert [event.kind for event in queued] == [
        "trigger_received",
        "model_replied",
        "function_returned",
        "model_replied",
        "function_returned",
    ]
    found = ws.recall("tea", roles=("user",), start="", end="", page=1, page_size=5, exclude=())
    assert "tea" in ws.items([found.hits[0].id])[found.hits[0].id]["text"]
    assert state.summary is not None
    assert state.summary.covers == 4


def test_thoughts_among_a_calls_arguments_are_thoughts(home: Home) -> None:
    _, ws = _take(home, ADA)
    brief = next(event for event in _events(ws, "model_replied") if event.content == "Be brief.")
    assert brief.calls[0].arguments == {"message": "Tea it is."}
    assert [event.text for event in _events(ws, "message_sent")] == ["Tea it is.", "Noted!"]


def test_an_outside_edit_is_found_where_only_the_last_text_is_recorded(home: Home) -> None:
    _, ws = _take(home, ADA)
    assert _texts(ws, "human") == [
        ("import", ""),
        ("agent", "Likes tea"),
        ("import", "Likes tea\nAllergic to nuts"),
        ("agent", "Likes tea\nAllergic to nuts\nBorn in May"),
    ]


def test_an_imported_agent_goes_on_with_the_demo_model_and_that_part_reruns(home: Home) -> None:
    _, ws = _take(home, ADA)
    imported = ws.last_seq
    ws.send("My dog is called Rex.")
    assert ws.wait_idle(LONG_S)
    assert ws.state().turn_end == "yielded"
    assert any(event.kind == "message_sent" for event in ws.events(imported + 1))
    assert ws.verify() == []
    outcome = rerun_file(ws.folder / "run.jsonl")
    assert outcome.identical, outcome
    assert (outcome.events, outcome.imported) == (ws.last_seq, imported)


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("MEMSCOPE_HOME", str(tmp_path / "shown"))
    close_home()
    yield the_home().open(import_agent_file(the_home(), SAM, clock=lambda: NOW).id)
    close_home()


@pytest.mark.parametrize("step", [None, "13", "16"])
def test_an_imported_agent_shows_on_every_page(shown: Workspace, step: str | None) -> None:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params["agent"] = shown.agent_id
    if step:
        app.query_params["step"] = step
    app.run()
    assert not app.exception, app.exception
    for file, _, _ in sidebar.PAGES:
        app.switch_page(file).run()
        assert not app.exception, (file, app.exception)


# --- the history of a block -------------------------------------------------------------------------------


def _edit(name: str, **arguments: Any) -> Edit:
    found = edit_of(Call(id="c", name=name, arguments=arguments))
    assert found is not None
    return found


APPEND_TEA = _edit("core_memory_append", label="human", content="tea")


@pytest.mark.parametrize(
    ("name", "arguments", "before", "after"),
    [
        ("core_memory_append", {"content": "b"}, "a", ["a\nb"]),
        ("core_memory_append", {"content": "b"}, "", ["b", "\nb"]),
        ("core_memory_replace", {"old_content": "a", "new_content": "b"}, "a a", ["b b"]),
        ("core_memory_replace", {"old_content": "b\n", "new_content": ""}, "a\nb\nc", ["a\nc"]),
        ("core_memory_replace", {"old_content": "x", "new_content": "y"}, "a", []),
        ("memory_replace", {"old_string": "a", "new_string": "b"}, "a a", []),
        ("memory_replace", {"old_string": "a", "new_string": "b"}, "a\tc", ["b\tc", "b       c"]),
        ("memory_insert", {"new_string": "b", "insert_line": 1}, "a\nc", ["a\nb\nc"]),
        ("memory_insert", {"new_string": "b", "insert_line": 9}, "a\nc", []),
        ("memory_rethink", {"new_memory": "b"}, "a", ["b"]),
        ("memory_apply_patch", {"patch": "+b"}, "a", []),
    ],
)
def test_an_edit_gives_our_text_first_and_then_lettas(
    name: str, arguments: dict[str, Any], before: str, after: list[str]
) -> None:
    assert outcomes(_edit(name, label="human", **arguments), before) == after


def test_the_newer_memory_tool_names_blocks_by_path() -> None:
    edit = _edit("memory", command="str_replace", path="/memories/human", old_string="a", new_string="b")
    assert (edit.tool, edit.block) == ("replace", "human")
    assert edit_of(Call(id="c", name="memory", arguments={"command": "delete", "path": "/memories/human"})) is None
    assert edit_of(Call(id="c", name="core_memory_append", arguments="{broken")) is None
    assert edit_of(Call(id="c", name="core_memory_append", arguments={"content": "no label"})) is None


def test_what_came_before_a_rewrite_is_not_known_and_said_to_be() -> None:
    told = history(
        [(APPEND_TEA, None), (_edit("memory_rethink", label="human", new_memory="all new"), None)], "all new"
    )
    assert not told.start_known
    assert [step.after for step in told.steps] == ["tea", "all new"]


def test_a_recorded_text_makes_known_what_came_before_a_rewrite() -> None:
    rewrite = _edit("memory_rethink", label="human", new_memory="all new")
    told = history([(APPEND_TEA, "Bo\ntea"), (rewrite, "all new")], "all new")
    assert told.start_known
    assert told.start == "Bo"
    assert told.steps[1].before == "Bo\ntea"


def test_a_call_that_no_text_explains_edits_nothing() -> None:
    told = history([(_edit("core_memory_replace", label="human", old_content="x", new_content="y"), None)], "a")
    assert told.start == "a"
    assert told.steps[0].after is None


_WORDS = st.text(st.sampled_from("ab \t\n猫"), min_size=1, max_size=6).filter(lambda text: bool(text.strip()))
_EDITS = st.one_of(
    st.builds(lambda new: _edit("core_memory_append", label="human", content=new), _WORDS),
    st.builds(
        lambda old, new: _edit("core_memory_replace", label="human", old_content=old, new_content=new), _WORDS, _WORDS
    ),
    st.builds(
        lambda new, line: _edit("memory_insert", label="human", new_string=new, insert_line=line),
        _WORDS,
        st.integers(-1, 3),
    ),
    st.builds(lambda new: _edit("memory_rethink", label="human", new_memory=new), _WORDS),
)


@given(start=_WORDS, edits=st.lists(_EDITS, max_size=6), recorded=st.booleans(), rule=st.integers(0, 1))
@settings(max_examples=150, deadline=None)
def test_a_history_of_edits_ends_in_the_last_text_and_needs_nobody_outside(
    start: str, edits: list[Edit], recorded: bool, rule: int
) -> None:
    texts, made = [start], []
    for edit in edits:
        found = outcomes(edit, texts[-1])
        if found:
            texts.append(found[min(rule, len(found) - 1)])
            made.append((edit, texts[-1] if recorded else None))
    told = history(made, texts[-1])
    text = told.start
    for (edit, _), step in zip(made, told.steps, strict=True):
        if step.after is not None:
            assert step.before is not None
            if recorded:
                assert step.before == text, "nobody edited from outside"
            assert edit.tool == "rewrite" or step.after in outcomes(edit, step.before)
            text = step.after
    if recorded:
        assert [step.after for step in told.steps] == texts[1:]


# --- out ------------------------------------------------------------------------------------------------


def _lived(path: Path) -> Home:
    """A home with one agent that has said, stored, noted and flushed something."""
    model = ScriptedModel(
        reply(
            call("core_memory_append", True, label="human", content='Likes "tea"\nand 猫'),
            call("archival_memory_insert", True, content="Bo was born in Tromsø.", tags=["life"]),
            call("note_write", True, name="plan", text="Ask about the garden."),
            content="Keep it.",
            thinking="Three things.",
        ),
        say("Kept."),
        reply(content="plain words"),
        say("Bye, Bo."),
    )
    home = Home(path, clock=FakeClock(), models={"demo": model}, timer=False)
    blocks = (BlockPlan(label="human", value="Name: Bo"), BlockPlan(label="persona", value="I am Eva.", read_only=True))
    ws = home.open(home.create(Blueprint(name="Eva", about="a golden test", seed=3, blocks=blocks)))
    for text in ("Remember three things.", "And now?", '{"a": "JSON of my own"}'):
        ws.send(text)
        assert ws.wait_idle(LONG_S)
    return home


def test_the_export_is_what_letta_reads(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The golden file was checked in an environment of its own with the wheel of letta 0.16.8 (Python 3.11):

        import json, letta.orm
        from letta.schemas.agent_file import AgentFileSchema
        from letta.services.agent_serialization_manager import AgentSerializationManager as Manager

        raw = json.load(open("exported_v2.af"))
        schema = AgentFileSchema.model_validate(raw)                # no ValidationError
        Manager._validate_schema(Manager.__new__(Manager), schema)  # its importer's own checks: ids, references
        assert "x_memscope" in raw and "x_memscope" not in schema.model_dump(mode="json")

    The first line's `letta.orm` only settles the order in which Letta's modules import each other. Run the same again
    after `--record`.
    """
    home = _lived(tmp_path / "home")
    file, lost = export_agent_file(home.open("eva"))
    home.close()
    if request.config.getoption("--record"):
        GOLDEN.write_text(json.dumps(file, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    assert file == json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert any("note_write" in sentence for sentence in lost)
    assert any("1 archival passages and 1 scratch notes" in sentence for sentence in lost)


def test_the_exports_ids_are_letters_and_numbers_that_name_each_other() -> None:
    file = json.loads(GOLDEN.read_text(encoding="utf-8"))
    agent = file["agents"][0]
    for kind, things in (("block", file["blocks"]), ("tool", file["tools"]), ("message", agent["messages"])):
        assert [thing["id"] for thing in things] == [f"{kind}-{number}" for number in range(len(things))]
    assert agent["block_ids"] == [block["id"] for block in file["blocks"]]
    assert agent["tool_ids"] == [tool["id"] for tool in file["tools"]]
    assert set(agent["in_context_message_ids"]) <= {message["id"] for message in agent["messages"]}
    assert all(tool["source_code"] is None and tool["json_schema"]["name"] == tool["name"] for tool in file["tools"])


def _window(ws: Workspace) -> list[dict[str, Any]]:
    return _body(ws)[1:]


def _kept(ws: Workspace) -> Any:
    state = ws.state()
    blocks = [block._replace(seq=0, author="", tokens=0) for block in state.blocks.values()]
    passages = ws.rows('SELECT text, tags, source, "at" FROM passages WHERE seq_to IS NULL ORDER BY seq_from')
    notes = {note.name: ws.event(note.seq).text for note in state.notes.values()}  # type: ignore[union-attr]
    said = ws.rows("SELECT role, text FROM messages WHERE seq_to IS NULL ORDER BY seq_from")
    return blocks, passages, notes, said, state.settings, state.name, state.about, state.seed


def test_out_and_in_again_is_the_same_agent(tmp_path: Path) -> None:
    home = _lived(tmp_path / "home")
    source = home.open("eva")
    lost = write_agent_file(source, tmp_path / "eva.af")
    made = import_agent_file(home, tmp_path / "eva.af", clock=lambda: NOW)
    copy = home.open(made.id)
    assert _window(copy) == _window(source)
    assert _kept(copy) == _kept(source)
    assert copy.verify() == []
    assert made.lost == []
    assert lost
    home.close()


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_SAID = _TEXT.filter(lambda text: bool(text.strip()))


@st.composite
def _agents(draw: st.DrawFn) -> dict[str, Any]:
    """A small agent file of version 2 with any texts in it."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    messages: list[dict[str, Any]] = []

    def add(role: str, text: str, **more: Any) -> None:
        nonlocal at
        at += timedelta(seconds=draw(st.integers(1, 4000)))
        content = [{"type": "text", "text": text}] if text else []
        messages.append(
            {"id": f"message-{len(messages)}", "role": role, "content": content, "created_at": at.isoformat(), **more}
        )

    add("system", "compiled")
    for turn in range(draw(st.integers(0, 4))):
        add("user", json.dumps({"type": "user_message", "message": draw(_TEXT), "time": "now"}))
        for step in range(draw(st.integers(0, 2))):
            name, arguments = draw(
                st.tuples(st.just("send_message"), st.fixed_dictionaries({"message": _SAID}))
                | st.tuples(
                    st.just("core_memory_append"), st.fixed_dictionaries({"label": st.just("human"), "content": _SAID})
                )
                | st.tuples(st.just("odd_tool"), st.dictionaries(st.text("xyz", min_size=1), _TEXT, max_size=2))
            )
            id = f"call-{turn}-{step}"
            function = {"name": name, "arguments": json.dumps(arguments)}
            add("assistant", draw(_TEXT), tool_calls=[{"id": id, "type": "function", "function": function}])
            packed = {"status": draw(st.sampled_from(["OK", "Failed"])), "message": draw(_TEXT), "time": "now"}
            add("tool", json.dumps(packed), name=name, tool_call_id=id)
    window = messages[0:1] + messages[draw(st.integers(1, max(1, len(messages) - 1))) :]
    blocks = [
        {"id": f"block-{n}", "label": label, "value": draw(_TEXT)} for n, label in enumerate(("human", "persona"))
    ]
    passages = [{"text": draw(_SAID), "tags": draw(st.lists(_TEXT, max_size=2)), "at": at.isoformat()}]
    return {
        "agents": [
            {
                "id": "agent-0",
                "name": draw(_TEXT),
                "system": "Be kind.",
                "agent_type": draw(st.sampled_from(["memgpt_agent", "letta_v1_agent"])),
                "block_ids": ["block-0", "block-1"],
                "in_context_message_ids": [message["id"] for message in window],
                "messages": messages,
            }
        ],
        "blocks": blocks,
        "x_memscope": {"passages": passages, "notes": {draw(_SAID): draw(_TEXT)}},
    }


@given(file=_agents())
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_agent_comes_in_goes_out_and_comes_in_the_same(
    tmp_path_factory: pytest.TempPathFactory, file: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    home = Home(folder / "home", clock=FakeClock(NOW), timer=False)
    try:
        (folder / "in.af").write_text(json.dumps(file), encoding="utf-8")
        first = home.open(import_agent_file(home, folder / "in.af", clock=lambda: NOW).id)
        assert [block.value for block in first.state().blocks.values()] == [b["value"] for b in file["blocks"]]
        assert first.verify() == []
        write_agent_file(first, folder / "out.af")
        second = home.open(import_agent_file(home, folder / "out.af", clock=lambda: NOW).id)
        assert _window(second) == _window(first)
        assert _kept(second) == _kept(first)
    finally:
        home.close()


# --- what a message means ---------------------------------------------------------------------------------


def _one(role: str, text: str, **more: Any) -> Any:
    message = AfMessage(role=role, content=text, created_at=NOW, **more)
    (item,) = unwrap([AfMessage(role="system", content="head"), message], [], NOW).items
    return item


@pytest.mark.parametrize(
    ("text", "cause", "said"),
    [
        ("plain", "user", "plain"),
        ('{"type":"user_message","message":"hi","time":"t"}', "user", "hi"),
        ('{"type":"login","last_login":"Never","time":"t"}', "login", "Never"),
        ('{"type":"heartbeat","reason":"Automated timer","time":"t"}', "timer", "Automated timer"),
        ('{"type":"system_alert","message":"low on room","time":"t"}', "system", "low on room"),
        ('{"type":"user_message","message":{"a":1}}', "user", '{"type":"user_message","message":{"a":1}}'),
        ('{"type":"user_message"}', "user", '{"type":"user_message"}'),
        ('{"type":"other","message":"x"}', "user", '{"type":"other","message":"x"}'),
        ('{"broken', "user", '{"broken'),
        ("[1]", "user", "[1]"),
        ('{"a":' * 3000 + "1" + "}" * 3000, "user", '{"a":' * 3000 + "1" + "}" * 3000),
    ],
)
def test_an_envelope_is_opened_once_and_what_is_none_is_left(text: str, cause: str, said: str) -> None:
    item = _one("user", text)
    assert isinstance(item, Trigger)
    assert (item.cause, item.text) == (cause, said)


@pytest.mark.parametrize(
    ("alert", "text", "covers"),
    [
        (
            "Note: prior messages (12 of 40 total messages) have been hidden from view due to conversation memory "
            "constraints.\nThe following is a summary of the previous 12 messages:\n They met.",
            "They met.",
            12,
        ),
        (
            "Note: 7 messages from the beginning of the conversation have been hidden from view due to memory "
            "constraints.\nThe following is a summary of the previous messages:\n They met.",
            "They met.",
            7,
        ),
        (
            "Note: prior messages have been hidden from view due to conversation memory constraints.\n"
            "The following is a summary of the previous messages:\n They\nmet.",
            "They\nmet.",
            None,
        ),
        (
            "9 earlier messages are no longer in main context; they are in recall storage. Summary of them: They met.",
            "They met.",
            9,
        ),
    ],
)
def test_each_wording_of_a_summary_is_recognised_in_its_place_only(alert: str, text: str, covers: int | None) -> None:
    packed = json.dumps({"type": "system_alert", "message": alert, "time": "t"})
    head = AfMessage(role="system", content="head", created_at=NOW)
    summary, later = (AfMessage(role="user", content=packed, created_at=NOW) for _ in range(2))
    first, second = unwrap([head, summary, later], [0, 1, 2], NOW).items
    assert (first.what, second.what) == ("summary", "trigger")
    assert (first.text, first.covers) == (text, covers)  # type: ignore[union-attr]


def test_a_result_may_stand_in_the_content_or_beside_it() -> None:
    part = {"type": "tool_return", "tool_call_id": "c", "content": "sunny", "is_error": True}
    for message in (
        AfMessage(role="tool", content=[part], created_at=NOW),
        AfMessage.model_validate(
            {
                "role": "tool",
                "content": None,
                "created_at": NOW,
                "tool_returns": [{"tool_call_id": "c", "status": "error", "func_response": "sunny"}],
            }
        ),
    ):
        (result,) = unwrap([message], [], NOW).items
        assert (result.call_id, result.value, result.ok) == ("c", "sunny", False)  # type: ignore[union-attr]


def test_no_message_is_from_the_future_and_a_missing_date_is_said() -> None:
    late = AfMessage(role="user", content="hi", created_at=datetime(9999, 1, 1, tzinfo=UTC))
    undated = AfMessage(role="user", content="ho")
    read = unwrap([late, undated], [], NOW)
    assert [item.at for item in read.items] == [NOW, NOW]
    assert len(read.notes) == 2


# --- bad input --------------------------------------------------------------------------------------------


def _changed(change: Callable[[dict[str, Any]], object], file: Path = SAM) -> bytes:
    raw = json.loads(file.read_text(encoding="utf-8"))
    change(raw)
    return json.dumps(raw).encode()


def _deep(levels: int) -> bytes:
    return b'{"agents": ' + b"[" * levels + b"]" * levels + b"}"


WRONG: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "not valid JSON"),
    "cut off": (SAM.read_bytes()[:5000], "may be cut off"),
    "no JSON": (b"hello", "line 1, column 1"),
    "another encoding": (SAM.read_text(encoding="utf-8").encode("utf-16"), "not UTF-8: byte 1"),
    "latin": ('{"agents": "é"}'.encode("latin-1"), "not UTF-8: byte 13"),
    "a list": (b"[1]", "no JSON object"),
    "another file": (b'{"messages": []}', "neither `agents`"),
    "deep": (_deep(100), "nested too deep"),
    "very deep": (_deep(100_000), "nested too deep"),
    "a huge number": (b'{"agents": ' + b"9" * 5000 + b"}", "too many digits"),
    "no agent": (b'{"agents": []}', "holds no agent"),
    "agents of the wrong type": (b'{"agents": {"a": 1}}', "agents: Input should be a valid list"),
    "a block's value": (_changed(lambda raw: raw["blocks"][0].update(value=7)), "blocks.0.value"),
    "a limit": (_changed(lambda raw: raw["blocks"][1].update(limit="many")), "blocks.1.limit"),
    "a date": (
        _changed(lambda raw: raw["agents"][0]["messages"][3].update(created_at="soon")),
        "messages.3.created_at",
    ),
    "a role": (_changed(lambda raw: raw["agents"][0]["messages"][3].update(role=None)), "messages.3.role"),
    "content": (_changed(lambda raw: raw["agents"][0]["messages"][3].update(content=[1])), "messages.3.content"),
    "a message twice": (
        _changed(lambda raw: raw["agents"][0]["messages"][3].update(id="message-2")),
        "in agents.0.messages the id message-2 stands 2 times",
    ),
    "a block twice": (_changed(lambda raw: raw["blocks"].append(raw["blocks"][0])), "block-0 stands 2 times"),
    "one label twice": (
        _changed(lambda raw: raw["blocks"][0].update(label="human")),
        "two memory blocks are called 'human'",
    ),
    "no such block": (
        _changed(lambda raw: raw["agents"][0]["block_ids"].append("block-9")),
        "agents.0.block_ids names block-9, which is not in blocks",
    ),
    "no such tool": (_changed(lambda raw: raw["agents"][0]["tool_ids"].append("tool-9")), "names tool-9"),
    "no such message": (
        _changed(lambda raw: raw["agents"][0]["in_context_message_ids"].append("message-99")),
        "names message-99, which is not in messages",
    ),
    "a message twice in the window": (
        _changed(lambda raw: raw["agents"][0]["in_context_message_ids"].append("message-3")),
        "message-3 stands 2 times",
    ),
    "version 1, an index": (
        _changed(lambda raw: raw["in_context_message_indices"].append(10), ADA),
        "names message 10, and there are 10",
    ),
    "version 1, a block": (_changed(lambda raw: raw["core_memory"][0].pop("label"), ADA), "core_memory.0.label"),
    "our own settings": (
        _changed(lambda raw: raw.update(x_memscope={"settings": {"window_tokens": -1}})),
        "x_memscope.settings cannot be used: window_tokens",
    ),
    "our own passages": (
        _changed(lambda raw: raw.update(x_memscope={"passages": [{"text": 1}]})),
        "x_memscope.passages.0",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_bad_file_is_refused_with_what_and_where_and_leaves_nothing(home: Home, tmp_path: Path, what: str) -> None:
    data, says = WRONG[what]
    (tmp_path / "bad.af").write_bytes(data)
    before = sorted(path.name for path in home.path.rglob("*"))
    with pytest.raises(MemscopeError) as refused:
        import_agent_file(home, tmp_path / "bad.af")
    assert says in str(refused.value)
    assert "bad.af" in str(refused.value)
    assert len(str(refused.value)) < 500
    assert sorted(path.name for path in home.path.rglob("*")) == before


def test_a_file_of_a_gigabyte_is_refused_unread(home: Home, tmp_path: Path) -> None:
    large = tmp_path / "large.af"
    with large.open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(MemscopeError, match=r"large.af has 1,024 MB; .* 64 MB is the most"):
        import_agent_file(home, large)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: os.mkfifo(path)])
def test_what_is_no_file_is_named(home: Home, tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "none.af")
    with pytest.raises(MemscopeError, match=r"There is no file none\.af"):
        import_agent_file(home, tmp_path / "none.af")


def test_hostile_texts_stay_texts(home: Home, tmp_path: Path) -> None:
    nasty = "<script>alert(1)</script>\x00\u202e\x1b[31m ![x](http://x) \ud800"

    def change(raw: dict[str, Any]) -> None:
        raw["agents"][0].update(name="../../" + nasty, system=nasty)
        raw["blocks"][1].update(value=nasty, description=nasty)
        raw["tools"][1].update(name=nasty)

    (tmp_path / "nasty.af").write_bytes(_changed(change))
    made, ws = _take(home, tmp_path / "nasty.af")
    assert ws.folder.parent == home.path / "agents"
    assert "/" not in made.id
    assert ws.state().blocks["human"].value == nasty.replace("\ud800", "\ufffd")
    assert ws.verify() == []


def test_a_window_too_small_for_our_functions_is_widened_and_said(home: Home, tmp_path: Path) -> None:
    (tmp_path / "small.af").write_bytes(_changed(lambda raw: raw["agents"][0]["llm_config"].update(context_window=900)))
    made, ws = _take(home, tmp_path / "small.af")
    assert ws.state().settings.window_tokens == 4096
    assert any("900 tokens" in sentence for sentence in made.lost)


def test_unknown_keys_and_a_call_without_its_result_do_no_harm(home: Home, tmp_path: Path) -> None:
    def change(raw: dict[str, Any]) -> None:
        raw["later"] = {"a": 1}
        raw["agents"][0]["messages"] = raw["agents"][0]["messages"][:5]
        raw["agents"][0]["in_context_message_ids"] = []

    (tmp_path / "open.af").write_bytes(_changed(change))
    _, ws = _take(home, tmp_path / "open.af")
    assert ws.state().turn_end == "yielded"
    assert _body(ws)[-1]["role"] == "assistant"


# --- on the command line ------------------------------------------------------------------------------------


def test_the_commands_bring_a_file_in_and_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEMSCOPE_HOME", str(tmp_path / "home"))
    assert cli.main(["import", str(ADA)]) == 0
    assert "is here as ada, with" in capsys.readouterr().out
    out = tmp_path / "out.af"
    assert cli.main(["export", "ada", str(out), "--format", "letta"]) == 0
    assert letta_file.looks_like(json.loads(out.read_text(encoding="utf-8")))
    assert cli.main(["export", "ada", str(out), "--format", "letta"]) == 1
    assert "out.af already" in capsys.readouterr().err
    assert cli.main(["rerun", "ada"]) == 0
    assert "were imported, not recorded" in capsys.readouterr().out
    assert cli.main(["import", str(tmp_path / "none.af")]) == 1
    assert "There is no file" in capsys.readouterr().err


def test_an_export_that_finds_no_room_leaves_nothing(tmp_path: Path) -> None:
    home = _lived(tmp_path / "home")
    with pytest.raises(OSError, match="none"):
        write_agent_file(home.open("eva"), tmp_path / "none" / "eva.af")
    home.close()
    assert not (tmp_path / "none").exists()
