"""The exchange page without a browser: every kind of file in and out, what is said of it, and nothing half done."""

import json
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from memgpt_core.blueprint import Blueprint
from memgpt_core.errors import AgentBusy
from memgpt_core.home import Home, close_home, exporting, the_home
from memgpt_core.interchange import importing, incoming, outgoing, uploads
from memgpt_core.interchange.incoming import IMPORT
from memgpt_core.workspace import Workspace
from pages.parts import choices, exchange_job, exchange_redaction
from tests.engine import until
from tests.screens import opened

ROOT = Path(__file__).resolve().parents[1]
TESTS = Path(__file__).resolve().parent
LONG_S = 20.0
NASTY = "<b>x</b> ![i](http://evil/i.png) $y$.json"


@pytest.fixture
def ws(home: Home) -> Workspace:
    ws = home.open(home.create(Blueprint(name="Ada", about="the first")))
    for text in ("My name is Grace.", "Write to grace@example.org, please."):
        ws.send(text)
        assert ws.wait_idle(LONG_S)
    return ws


def page(agent: str = "ada", **params: Any) -> AppTest:
    return opened("exchange", agent, **params)


def fine(app: AppTest) -> AppTest:
    assert not app.exception, app.exception
    return app


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click().run()
    return fine(app)


def upload(app: AppTest, path: Path, name: str = "") -> AppTest:
    app.file_uploader[0].set_value((name or path.name, path.read_bytes(), "")).run()
    return fine(app)


def field(widgets: Any, label: str) -> Any:
    return next(one for one in widgets if one.label == label)


def labels(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def texts(app: AppTest) -> str:
    kinds = (app.success, app.error, app.warning, app.info, app.caption, app.markdown)
    drawn = [element.value for kind in kinds for element in kind]
    return "\n".join([*drawn, *(element.proto.body for element in app.get("html"))])


def done(app: AppTest, home: Home, key: str = IMPORT) -> AppTest:
    until(lambda: not home.jobs.busy(key))
    return fine(app.run())


def agents(home: Home) -> dict[str, int]:
    return {card.id: card.events for card in home.agents(archived=True)}


def left_lying(home: Home) -> list[Path]:
    return [path for path in (home.path / uploads.UPLOADS).rglob("*") if path.is_file()]


# --- in -----------------------------------------------------------------------------------------------------------

CHATS = {
    "chatgpt.json": "ChatGPT export, 1 conversation with 4 messages, 14 Nov 2023.",
    "claude.json": "Claude export, 1 conversation with ",
    "locomo.json": "LoCoMo, 2 conversations with ",
    "openai.jsonl": "OpenAI-style chats, 2 conversations with ",
    "openai_lines.jsonl": "OpenAI-style messages, one a record, 2 conversations with ",
    "openai_tools.jsonl": "OpenAI-style chats, 1 conversation with ",
    "sharegpt.json": "ShareGPT, 2 conversations with ",
}


@pytest.mark.parametrize("name", CHATS)
def test_a_conversation_file_is_named_before_and_lived_after(home: Home, ws: Workspace, name: str) -> None:
    app = upload(page(), TESTS / "conversations" / name)
    said = app.info[0].value
    assert CHATS[name] in said
    assert agents(home) == {"ada": ws.last_seq}
    field(app.text_input, "Name of the new agent").set_value("Old  talks").run()
    app = done(press(app, "Import"), home)
    assert "Old talks (old-talks) has lived" in app.success[0].value
    assert set(agents(home)) == {"ada", "old-talks"}
    imported = home.open("old-talks")
    count = said.split(" with ")[1].split(" message")[0]
    assert f"has lived {count} messages of the file" in app.success[0].value
    links = {link.proto.label: link.proto.query_string for link in app.get("page_link")}
    assert links["Talk to it"] == links["Replay it"] == "agent=old-talks"
    assert imported.verify() == []
    assert left_lying(home) == []


def test_the_same_file_again_adds_nothing(home: Home, ws: Workspace) -> None:
    path = TESTS / "conversations" / "chatgpt.json"
    app = done(press(upload(page(), path), "Import"), home)
    before = agents(home)
    app = done(press(upload(app, path), "Import"), home)
    assert "Nothing new is in the file" in app.success[0].value
    assert agents(home) == before


def test_conversations_go_into_an_agent_that_is_there(home: Home, ws: Workspace) -> None:
    before = ws.last_seq
    app = upload(page(), TESTS / "conversations" / "chatgpt.json")
    field(app.selectbox, "Into").set_value("ada").run()
    assert not [one for one in app.text_input if one.label == "Name of the new agent"]
    app = done(press(fine(app), "Import"), home)
    assert "Ada (ada) has lived 4 messages" in app.success[0].value
    assert "older than what Ada had lived" in texts(app)
    assert agents(home)["ada"] > before


def test_who_of_two_people_is_the_user_is_asked(home: Home, ws: Workspace) -> None:
    app = upload(page(), TESTS / "conversations" / "locomo.json")
    speaker = next(one for one in app.selectbox if one.label == "Who of them is the user")
    assert list(speaker.options) == ["Ann", "Ben"]
    speaker.set_value("Ben").run()
    done(press(fine(app), "Import"), home)
    rows = home.open("locomo").rows("SELECT text FROM messages WHERE role = 'user' ORDER BY seq_from")
    assert "How is the dog?" in " ".join(row["text"] for row in rows)


@pytest.mark.parametrize(("name", "agent"), [("ada_v1.af", "ada-2"), ("sam_v2.af", "sam"), ("exported_v2.af", "eva")])
def test_a_letta_agent_file_comes_in_under_any_name(home: Home, ws: Workspace, name: str, agent: str) -> None:
    # What it is, is told by what is in it.
    app = upload(page(), TESTS / "letta" / name, "something.json")
    said = app.info[0].value
    assert said.startswith(f"Letta agent file, version {name.split('_v')[1][0]}, agent ")
    app = done(press(app, "Import"), home)
    assert f"is here as {agent}, with" in app.success[0].value
    assert home.open(agent).verify() == []
    before = agents(home)
    app = done(press(upload(app, TESTS / "letta" / name), "Import"), home)
    assert "This agent is here already" in app.success[0].value
    assert agents(home) == before
    app = upload(app, TESTS / "letta" / name)
    field(app.text_input, "Name of the new agent").set_value("Once more").run()
    app = done(press(fine(app), "Import"), home)
    (made,) = set(agents(home)) - set(before)
    assert home.open(made).state().name == "Once more"


def test_a_bundle_goes_out_and_comes_in_again(home: Home, ws: Workspace) -> None:
    app = done(press(page(), "Make the Bundle"), home, exporting("ada"))
    made: Any = home.jobs.job(exporting("ada"))
    log = (ws.folder / "run.jsonl").read_bytes()
    kept = made.outcome.path.read_bytes()
    assert f"Holds {ws.last_seq} events and" in texts(app)
    app = upload(app, made.outcome.path)
    assert not app.error, app.error[0].value
    assert f"Memscope bundle, agent “Ada”, {ws.last_seq} events" in app.info[0].value
    app = done(press(app, "Import"), home)
    assert "This recording is here already" in app.success[0].value
    assert list(agents(home)) == ["ada"]
    home.delete("ada")
    other = home.create(Blueprint(name="Other"))
    (home.path / "b.memscope").write_bytes(kept)
    app = done(press(upload(page(other), home.path / "b.memscope"), "Import"), home)
    assert "Ada is here as ada, with" in app.success[0].value
    assert (home.path / "agents" / "ada" / "run.jsonl").read_bytes() == log
    assert home.open("ada").verify() == []


def test_a_file_is_named_by_its_path_and_stays_where_it_is(home: Home, ws: Workspace, tmp_path: Path) -> None:
    path = tmp_path / NASTY.replace("/", "_")
    path.write_bytes((TESTS / "conversations" / "claude.json").read_bytes())
    app = page()
    app.text_input(key=choices.exchange("path")).set_value(f' "{path}" ').run()
    assert "Claude export" in fine(app).info[0].value
    drawn = texts(app)
    assert "![i]" not in drawn.replace("\\![i\\]", "").replace("\\!", "")
    app = done(press(app, "Import"), home)
    assert "has lived" in app.success[0].value
    assert path.is_file()


def test_records_that_cannot_be_read_are_named_or_refuse_all(home: Home, ws: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    good = (TESTS / "conversations" / "openai.jsonl").read_text().splitlines()
    path.write_text("\n".join([good[0], '{"messages": 5}', "{oh", good[1]]))
    app = upload(page(), path)
    assert "2 records cannot be read." in texts(app)
    app.radio(key=choices.exchange("on_bad")).set_value("refuse").run()
    app = done(press(fine(app), "Import"), home)
    assert "Record 2" in app.error[0].value
    assert "Nothing was imported" in app.error[0].value
    assert list(agents(home)) == ["ada"]
    # The file is still there, and what was chosen, to be taken otherwise.
    assert app.radio(key=choices.exchange("on_bad")).value == "refuse"
    app.radio(key=choices.exchange("on_bad")).set_value("skip").run()
    app = done(press(fine(app), "Import"), home)
    assert "has lived" in app.success[0].value
    assert any(expander.label == "2 records skipped" for expander in app.expander)
    assert "Record 2" in texts(app)
    assert "Record 3" in texts(app)


def zipped(path: Path, **members: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


BAD = {
    "notes.txt": (b"Dear diary", "is no JSON"),
    "empty.json": (b"", "is empty"),
    "wide.json": ("[]".encode("utf-16"), "not UTF-8"),
    "else.json": (b'[{"colour": "red"}]', "Understood are Memscope bundles (.memscope), Letta agent files (.af)"),
    "cut.af": (b'{"agents": [', "cut.af"),
    "none.memscope": (b"PK\x03\x04 and then nothing", "is no Memscope bundle"),
    "deep.json": (b"[" * 5000 + b"]" * 5000, "deep.json"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_none_gets_a_sentence_and_nothing_more(
    home: Home, ws: Workspace, tmp_path: Path, name: str
) -> None:
    data, says = BAD[name]
    path = tmp_path / name
    path.write_bytes(data)
    app = upload(page(), path)
    assert says in app.error[0].value.replace("\\", "")
    assert "Import" not in labels(app)
    app = press(app, "Another file")
    assert not app.error
    assert left_lying(home) == []
    assert list(agents(home)) == ["ada"]


def test_what_chatgpt_sends_is_to_be_unpacked_first(home: Home, ws: Workspace, tmp_path: Path) -> None:
    path = zipped(tmp_path / "export.zip", **{"conversations.json": "[]"})
    assert "choose the file conversations.json in it" in upload(page(), path).error[0].value


@pytest.mark.parametrize(("typed", "says"), [("{tmp}", "is a folder"), ("{tmp}/none.json", "There is no file")])
def test_a_path_that_is_none(home: Home, ws: Workspace, tmp_path: Path, typed: str, says: str) -> None:
    app = page()
    app.text_input(key=choices.exchange("path")).set_value(typed.format(tmp=tmp_path)).run()
    assert says in fine(app).error[0].value


def test_an_upload_cannot_leave_its_folder(home: Home) -> None:
    for name in ("../../run.jsonl", "..\\..\\x", "...", "a/b/../c.json", "\0", "ü" * 300):
        path = incoming.keep(home, name, [b"x"])
        assert path.parent.parent == home.path / uploads.UPLOADS
        assert path.read_bytes() == b"x"
        incoming.drop(home, path)
    assert left_lying(home) == []
    outside = home.path / "x.json"
    outside.write_text("{}")
    incoming.drop(home, outside)
    assert outside.exists()


def test_an_upload_that_nobody_took_is_forgotten_but_not_at_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    first = incoming.keep(home, "a.json", [b"a"])
    second = incoming.keep(home, "b.json", [b"b"])
    assert first.exists()
    monkeypatch.setattr(uploads, "FORGOTTEN_S", -1.0)
    incoming.keep(home, "c.json", [b"c"])
    assert not first.exists()
    assert not second.exists()


# --- stopped, and taken up again ----------------------------------------------------------------------------------


def many(path: Path) -> Path:
    lines = [
        {"id": f"c{n}", "messages": [{"role": role, "content": f"{n} {role}"} for role in ("user", "assistant")] * 3}
        for n in range(30)
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


def test_an_import_is_stopped_goes_on_and_is_discarded(
    home: Home, ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, go = threading.Event(), threading.Event()
    usual = importing._Import._take

    def slow(self: Any, spool: Any, record: Any) -> None:
        inside.set()
        go.wait(LONG_S)
        usual(self, spool, record)

    monkeypatch.setattr(importing._Import, "_take", slow)
    app = upload(page(), many(tmp_path / "many.jsonl"))
    field(app.text_input, "Name of the new agent").set_value("Many").run()
    app = press(fine(app), "Import")
    assert inside.wait(LONG_S)
    # What goes on is shown to whoever looks, also in another tab; a second import is refused.
    other = page()
    assert "Stop" in labels(other)
    assert not other.file_uploader
    with pytest.raises(AgentBusy, match="the import of many"):
        incoming.begin(home, tmp_path / "many.jsonl", incoming.Wishes())
    other = press(other, "Stop")
    assert "Stopping…" in labels(other)
    go.set()
    app = done(app, home)
    assert "It was stopped" in app.info[0].value
    assert list(agents(home)) == ["ada"]
    assert [one.name for one in incoming.unfinished(home)] == ["Many"]
    assert len(left_lying(home)) == 1
    monkeypatch.setattr(importing._Import, "_take", usual)
    app = done(press(app, "Go on"), home)
    assert "Many (many) has lived 180 messages" in app.success[0].value
    assert "Go on" not in labels(app)
    assert left_lying(home) == []


def test_a_stopped_import_survives_a_restart_with_what_was_chosen(home: Home, ws: Workspace, tmp_path: Path) -> None:
    path = incoming.keep(home, "many.jsonl", [many(tmp_path / "m").read_bytes()])
    wishes = incoming.Wishes(name="Many", on_bad="refuse")
    assert incoming.take(home, path, wishes, lambda share: None, lambda: True).stopped
    close_home()
    again = the_home()
    app = page()
    assert "many.jsonl" in texts(app)
    app = done(press(app, "Go on"), again)
    assert "Many (many) has lived" in app.success[0].value
    assert left_lying(again) == []


def test_a_stopped_import_is_discarded_with_its_upload(home: Home, ws: Workspace, tmp_path: Path) -> None:
    path = incoming.keep(home, "many.jsonl", [many(tmp_path / "m").read_bytes()])
    assert incoming.take(home, path, incoming.Wishes(), lambda share: None, lambda: True).stopped
    app = press(page(), "Discard")
    assert "Discard" not in labels(app)
    assert incoming.unfinished(home) == []
    assert left_lying(home) == []


def test_a_file_that_went_away_meanwhile_is_said(home: Home, ws: Workspace, tmp_path: Path) -> None:
    path = many(tmp_path / "m.jsonl")
    assert incoming.take(home, path, incoming.Wishes(), lambda share: None, lambda: True).stopped
    path.unlink()
    app = done(press(page(), "Go on"), home)
    assert "is not there any more" in app.error[0].value
    assert "Discard" in labels(app)


def test_the_pace_is_said_in_words() -> None:
    job = exchange_job.Job("w", True, 0.25, 0.005, 50.0, False, None, "")
    assert exchange_job.pace(job) == "25% · 50 s · 0.5 % a second · about 2 min left"
    assert exchange_job.pace(job._replace(share=0.0, rate=0.0)) == "0% · 50 s"
    assert exchange_job.span(7200) == "2.0 h"


# --- out ----------------------------------------------------------------------------------------------------------


def choose(app: AppTest, format: str) -> AppTest:
    app.button_group(key=choices.outgoing("ada", "format")).set_value(format).run()
    return fine(app)


def made(app: AppTest, home: Home) -> Any:
    done(app, home, exporting("ada"))
    job = home.jobs.job(exporting("ada"))
    assert job is not None
    assert job.failed == ""
    return job.outcome


@pytest.mark.parametrize("format", outgoing.KINDS)
def test_every_kind_goes_out_with_its_size_and_what_is_in_it(home: Home, ws: Workspace, format: Any) -> None:
    kind = outgoing.KINDS[format]
    app = choose(page(), format)
    file = made(press(app, f"Make the {kind.name}"), home)
    assert file.path.name == f"ada{kind.ending}"
    assert file.size_bytes == file.path.stat().st_size > 0
    drawn = texts(app.run())
    assert f"ada{kind.ending}" in drawn.replace("\\", "")
    assert "Holds" in drawn
    for note in file.notes:
        assert note.split("`")[0] in drawn.replace("&#x27;", "'")
    (download,) = app.get("download_button")
    assert not download.proto.disabled
    data = file.path.read_bytes()
    if format == "html":
        assert data.startswith(b"<!DOCTYPE html>")
    elif format == "bundle":
        assert zipfile.is_zipfile(file.path)
    elif format == "letta":
        assert len(json.loads(data)["agents"]) == 1
    else:
        assert "My name is Grace." in repr(json.loads(data.splitlines()[0]))
    app = press(app, "Remove it")
    assert not file.path.exists()
    assert not app.get("download_button")


@pytest.mark.parametrize("format", ["letta", "openai", "sharegpt"])
def test_what_goes_out_to_other_tools_comes_in_again(home: Home, ws: Workspace, format: Any) -> None:
    app = choose(page(), format)
    file = made(press(app, f"Make the {outgoing.KINDS[format].name}"), home)
    app = done(press(upload(app.run(), file.path), "Import"), home)
    (back,) = set(agents(home)) - {"ada"}
    rows = home.open(back).rows("SELECT text FROM messages WHERE role = 'user' ORDER BY seq_from")
    assert [row["text"] for row in rows] == ["My name is Grace.", "Write to grace@example.org, please."]


def test_a_bundle_ends_where_one_looks_back_to(home: Home, ws: Workspace) -> None:
    app = page(step="6")
    file = made(press(app, "Make the Bundle"), home)
    assert file.holds.startswith("6 events")
    app.number_input(key=choices.outgoing("ada", "upto:6")).set_value(5).run()
    assert made(press(fine(app), "Make the Bundle"), home).holds.startswith("5 events")


def test_a_page_is_of_a_session_or_a_stretch(home: Home, ws: Workspace) -> None:
    app = choose(page(), "html")
    app.button_group(key=choices.outgoing("ada", "how")).set_value("One session").run()
    last = ws.last_seq
    assert made(press(fine(app), "Make the HTML page"), home).holds.startswith(f"events 1 to {last},")
    app.run()
    app.button_group(key=choices.outgoing("ada", "how")).set_value("A stretch").run()
    app.number_input(key=choices.outgoing("ada", "start")).set_value(3).run()
    assert made(press(fine(app), "Make the HTML page"), home).holds.startswith(f"events 3 to {last},")
    app.run()
    app.number_input(key=choices.outgoing("ada", "start")).set_value(last).run()
    app.number_input(key=choices.outgoing("ada", "stop:None")).set_value(2).run()
    app = done(press(fine(app), "Make the HTML page"), home, exporting("ada"))
    assert "There is no stretch" in texts(app)


@pytest.mark.parametrize(("format", "name"), [("bundle", "Bundle"), ("html", "HTML page")])
def test_what_is_replaced_is_told_before_the_download(home: Home, ws: Workspace, format: str, name: str) -> None:
    app = choose(page(), format)
    app.button_group(key=choices.outgoing("ada", "patterns")).set_value(["email"]).run()
    app.multiselect(key=choices.outgoing("ada", "blocks")).set_value(["human"]).run()
    app.text_area(key=choices.outgoing("ada", "own")).set_value("person = Gr\\w+\n\n").run()
    assert "Will be replaced: e-mail addresses, block human, what you wrote." in texts(fine(app))
    file = made(press(app, f"Make the {name}"), home)
    counts = {one.name: one.replacements for one in file.redacted}
    assert counts["email"] >= 1
    assert counts["person"] >= 1
    drawn = texts(app.run())
    assert f"{counts['email']:,}</td>" in drawn
    assert "E-mail addresses" in drawn
    if format == "html":
        page_text = file.path.read_text()
        assert "grace@example.org" not in page_text
        assert "[redacted:email]" in page_text


def test_an_own_expression_that_is_none_is_refused_with_its_line(home: Home, ws: Workspace) -> None:
    app = page()
    app.text_area(key=choices.outgoing("ada", "own")).set_value("ok = x\nno equals sign").run()
    app = press(fine(app), "Make the Bundle")
    assert "Line 2" in app.warning[0].value
    assert home.jobs.job(exporting("ada")) is None
    app.text_area(key=choices.outgoing("ada", "own")).set_value("open = (").run()
    app = done(press(fine(app), "Make the Bundle"), home, exporting("ada"))
    assert "The expression 'open' is none" in texts(app)
    assert exchange_redaction.wanted((), " \n", ()) is None


def test_an_export_is_stopped_and_leaves_nothing(home: Home, ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, go = threading.Event(), threading.Event()
    usual = outgoing.share_html

    def slow(*args: Any, progress: Any, **options: Any) -> bytes:
        inside.set()
        go.wait(LONG_S)
        progress(0.5)
        return usual(*args, progress=progress, **options)

    monkeypatch.setattr(outgoing, "share_html", slow)
    app = press(choose(page(), "html"), "Make the HTML page")
    assert inside.wait(LONG_S)
    with pytest.raises(AgentBusy, match="is being exported"):
        home.delete("ada")
    app = press(app.run(), "Stop")
    go.set()
    app = done(app, home, exporting("ada"))
    assert "It was stopped" in texts(app)
    assert not app.get("download_button")
    assert [path for path in (home.path / ".exports").rglob("*") if path.is_file()] == []


def test_a_file_nobody_downloaded_goes_when_the_home_is_closed(home: Home, ws: Workspace) -> None:
    file = made(press(page(), "Make the Bundle"), home)
    assert file.path.is_file()
    close_home()
    assert not file.path.exists()


def test_an_agent_that_said_nothing_yet_goes_out_too(home: Home) -> None:
    home.create(Blueprint(name="Ada"))
    app = choose(page(), "openai")
    assert made(press(app, "Make the OpenAI JSONL"), home).holds == "0 messages in 0 sessions"


@pytest.mark.parametrize("sample", ["companion", "analyst", "prober"])
def test_the_page_is_drawn_for_every_sample_at_any_point(home: Home, sample: str) -> None:
    agent = home.start_sample(sample)
    last = home.open(agent).last_seq
    for step in ("1", str(last // 2), str(last)):
        app = page(agent, step=step)
        assert "Make the Bundle" in labels(app)
        assert app.number_input[0].value == int(step)


# --- what is imported says so -------------------------------------------------------------------------------------


def test_the_chat_and_the_log_say_what_was_imported(home: Home, ws: Workspace) -> None:
    done(press(upload(page(), TESTS / "conversations" / "chatgpt.json"), "Import"), home)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params["agent"] = "chatgpt-export"
    app.run()
    drawn = texts(fine(app))
    assert "Imported, not recorded by this agent" in drawn
    assert "“Trip to Rome” in chatgpt.json (ChatGPT export)" in drawn
    app.switch_page("pages/log.py").run()
    drawn = texts(fine(app)) + "".join(frame.value.to_string() for frame in app.dataframe)
    assert "imported" in drawn
