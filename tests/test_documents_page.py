"""The documents page without a browser: what is added and what became of it, read, removed, and found in archival."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from memgpt_core.adding import REQUEST, Progress
from memgpt_core.blueprint import Blueprint
from memgpt_core.documents import library
from memgpt_core.documents.intake import Documents
from memgpt_core.home import Home
from memgpt_core.jobs import Job
from memgpt_core.settings import AgentSettings
from memgpt_core.tokens import estimate
from memgpt_core.views import documents as words
from memgpt_core.workspace import Workspace
from pages.parts import documents_add, documents_rows, documents_run
from tests.document_builder import pdf
from tests.engine import PATIENCE_S, until
from tests.screens import html

ROOT = Path(__file__).resolve().parents[1]
ISLANDS = ("Flat", "Skomer", "Lundy", "Bardsey", "Caldey", "Ramsey")
HOSTILE = "<img src=x> ![i](http:evil) $y$ \u202eb.md"


def chapter(island: str) -> str:
    lines = " ".join(f"The keeper of {island} wrote entry {n} about the light and the boats." for n in range(7))
    return f"# {island}\n\n{lines}\n\n## Boats of {island}\n\n{lines.replace('keeper', 'ferryman')}\n\n"


@pytest.fixture
def ws(home: Home) -> Workspace:
    return home.open(home.create(Blueprint(name="Reader", settings=AgentSettings(embedder="none"))))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "notes"
    made.mkdir()
    (made / "islands.md").write_text("".join(map(chapter, ISLANDS)))
    (made / "diary.txt").write_text("On Monday the oil lamp was cleaned.\n")
    (made / "empty.txt").write_text("")
    return made


def page(ws: Workspace, file: str = "documents", **asked: Any) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params["agent"] = ws.agent_id
    app.run()
    for name, value in asked.items():
        app.query_params[name] = str(value)
    return fine(app.switch_page(f"pages/{file}.py").run())


def fine(app: AppTest) -> AppTest:
    assert not app.exception, app.exception
    return app


def press(app: AppTest, key: str) -> AppTest:
    return fine(app.button(key=key).click().run())


def field(widgets: Any, label: str) -> Any:
    return next(one for one in widgets if one.label.startswith(label))


def said(app: AppTest) -> str:
    kinds = (app.success, app.error, app.warning, app.info, app.caption, app.markdown)
    return "\n".join(element.value for kind in kinds for element in kind)


def links(app: AppTest) -> dict[str, str]:
    return {link.proto.label: f"{link.proto.page}?{link.proto.query_string}" for link in app.get("page_link")}


def keys(app: AppTest) -> list[str]:
    return [button.key or "" for button in app.button]


def taken(home: Home, ws: Workspace, *paths: Path, **how: Any) -> None:
    """Add without the page."""
    home.adding.start(ws.agent_id, paths, **how)
    until(lambda: not home.adding.busy(ws.agent_id))
    job = home.adding.job(ws.agent_id)
    assert job is not None
    assert not job.failed, job.failed


def added(app: AppTest, home: Home, ws: Workspace) -> AppTest:
    """Press Add and wait until it is done."""
    app = press(app, "add")
    until(lambda: not home.adding.busy(ws.agent_id))
    return fine(app.run())


# --- adding -------------------------------------------------------------------------------------------------------


def test_an_empty_page_says_what_to_do_and_paths_bring_a_line_a_file(home: Home, ws: Workspace, folder: Path) -> None:
    app = page(ws)
    assert "None yet" in html(app)
    assert "Add the first files" in app.expander[0].label
    assert "128 MB a file, by path too" in said(app)
    app = press(app, "add")
    assert "There is nothing to add" in said(app)
    field(app.text_area, "Or paths").set_value(f"  '{folder}'\n\n/no/such/file.txt\n~nobody-of-that-name/x.md")
    app = added(app, home, ws)
    assert "Of 5 files: 3 refused, 2 added; 13 passages new" in said(app)
    became = html(app)
    assert '<b>notes/islands.md</b> <span class="soft">added, 12 passages' in became
    assert "It is empty (0 bytes)" in became
    assert became.count("No such file or directory") == 2
    assert "2 files in cold storage, cut into 13 passages" in became
    assert [one.name for one in ws.documents.all()] == ["notes/diary.txt", "notes/islands.md"]
    assert field(app.text_area, "Or paths").value == ""
    assert not field(app.expander, "Add files or a folder").proto.expanded
    # The same folder again, one file changed, one gone: said as such, and what was there is not added twice.
    (folder / "islands.md").write_text(chapter("Gateholm") + "".join(map(chapter, ISLANDS)))
    (folder / "diary.txt").unlink()
    field(app.text_area, "Or paths").set_value(str(folder))
    field(app.checkbox, "Remove documents").check()
    app = added(app, home, ws)
    assert "updated: 2 new and 0 gone of 14 passages" in html(app)
    assert 'notes/diary.txt</b> <span class="soft">removed, since its file is gone, 1 passage' in html(app)
    app = press(app, "run:dismiss")
    assert "updated: 2 new" not in html(app)
    assert "Removed: 1 document" in app.expander[-1].label


def test_uploads_are_taken_in_with_their_tags_and_leave_the_browser(home: Home, ws: Workspace) -> None:
    app = page(ws)
    app.file_uploader[0].set_value([("a.md", chapter("Tenby").encode(), ""), ("b/c.txt", b"A lamp.", "")])
    field(app.multiselect, "Tags").set_value(["sea"])
    field(app.checkbox, "Tell the agent").check()
    app = added(app.run(), home, ws)
    assert "Of 2 files: 2 added; 3 passages new" in said(app)
    assert [one.name for one in ws.documents.all()] == ["a.md", "b/c.txt"]
    assert all(row["tags"] == ["sea"] for row in ws.rows("SELECT tags FROM passages"))
    assert app.file_uploader[0].value == []
    assert ws.wait_idle(PATIENCE_S)
    told: Any = next(event for event in ws.events(1) if event.kind == "trigger_received")
    assert told.text == "Upload finished: a.md, b/c.txt, 3 passages are now in archival storage."
    assert not [path for path in (home.path / ".adding").rglob("*") if path.is_file()]


def test_an_uploaded_file_of_a_known_name_is_asked_about(home: Home, ws: Workspace) -> None:
    app = page(ws)
    app.file_uploader[0].set_value([("a.md", b"A lamp.", "")])
    app = added(app.run(), home, ws)
    app.file_uploader[0].set_value([("a.md", b"Two boats.", ""), ("c.md", b"A pier.", "")])
    app = press(fine(app.run()), "add")
    assert "Say first what a.md is" in said(app)
    assert len(ws.documents.all()) == 1
    question = next(one for one in app.get("button_group") if "Here already, and it reads otherwise: a.md" in one.label)
    question.set_value("other")
    app = added(fine(app.run()), home, ws)
    assert [one.name for one in ws.documents.all()] == ["a (2).md", "a.md", "c.md"]
    assert ws.documents.raw(ws.documents.named("a.md").id).read_bytes() == b"A lamp."
    assert not [one for one in app.get("button_group") if "Here already" in one.label]


def test_a_run_is_shown_stopped_and_goes_on(
    home: Home, ws: Workspace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go_on, take_in = threading.Event(), threading.Event(), Documents.take_in

    def waits(self: Documents, name: str, path: Path, **how: Any) -> Any:
        if name.endswith("empty.txt"):
            reached.set()
            assert go_on.wait(PATIENCE_S)
        return take_in(self, name, path, **how)

    monkeypatch.setattr(Documents, "take_in", waits)
    home.adding.start(ws.agent_id, [folder])
    assert reached.wait(PATIENCE_S)
    app = page(ws)
    shown = app.get("progress")[0].proto
    assert shown.text.startswith("1 of 3 files · 36 bytes of")
    assert "notes/diary.txt" in html(app)
    assert "Reading notes/empty.txt…" in html(app)
    assert "add" not in keys(app), "one run at a time"
    app = press(app, "run:stop")
    go_on.set()
    until(lambda: not home.adding.busy(ws.agent_id))
    app = fine(app.run())
    assert "It was stopped. What was added before stays" in said(app)
    assert "1 refused, 1 added" in said(app)
    assert "**Not finished:** notes" in said(app)
    app = press(app, "unfinished:resume")
    until(lambda: not home.adding.busy(ws.agent_id))
    app = fine(app.run())
    assert "1 added, 1 unchanged" in said(app)
    assert "Not finished" not in said(app)


def test_what_a_killed_process_left_can_be_let_go(home: Home, ws: Workspace, folder: Path) -> None:
    asked = {"paths": [str(folder)], "names": [""], "tags": [], "remove_gone": False, "tell": False}
    (ws.folder / REQUEST).write_text(json.dumps(asked))
    app = page(ws)
    assert "**Not finished:** notes." in said(app)
    app = press(app, "unfinished:dismiss")
    assert "Not finished" not in said(app)
    assert ws.documents.all() == []


def test_the_pace_of_a_run_is_said_in_files_bytes_and_time() -> None:
    job = Job("adding documents", True, 0.1, 0.05, 4.0, False, None, "")
    assert documents_run.pace(job, None) == "Looking for files…"
    reading = documents_run.pace(job, Progress(3, 12, 2_000_000, 6_000_000))
    assert reading == "3 of 12 files · 2.0 MB of 6.0 MB · 500.0 kB a second · about 8 s left to read"
    assert documents_run.pace(job, Progress(0, 1, 0, 5)) == "0 of 1 file · 0 bytes of 5 bytes"
    assert "about 18 s left" in documents_run.pace(job, Progress(12, 12, 6_000_000, 6_000_000))


def test_paths_are_read_as_file_managers_write_them() -> None:
    assert documents_add.typed("\"/a b/c\"\n\n  '~/d' \n/e\0f") == [Path("/a b/c"), Path.home() / "d", Path("/ef")]


def test_what_is_said_of_documents() -> None:
    assert words.outcome_text({}, 0, 0) == "There was no file to add."
    assert words.outcome_text({"unchanged": 2}, 0, 0) == "Of 2 files: 2 unchanged; no passage changed."
    assert words.outcome_text({"updated": 1}, 1, 2) == "Of 1 file: 1 updated; 1 passage new, 2 gone."
    assert words.runs_text([9, 2, 3, 3, 1]) == "passages 1 to 3, 9"
    assert words.passages_text(7, 1) == "passage 7"
    assert words.pages_text([12, 12]) == "page 12"
    assert words.pages_text([4, 3, 9]) == "pages 3 to 4, 9"
    assert words.pages_text([]) == ""
    assert words.call_text("document_open", {"document": "d1", "page": 1685}) == "Opened page 1,685"
    assert words.call_text("document_search", {"query": "tea", "page": 2}) == "Searched “tea”, page 2"
    assert words.call_text("", {}) == "Brought back"
    assert words.why_text("a.md", "a.md was not read: it is empty.") == "It is empty."
    assert words.kind_text("application/pdf") == "PDF"
    assert words.trail(("A", "x" * 50)) == "A › " + "x" * 39 + "…"


def test_an_address_that_cannot_be_used_is_said(home: Home, ws: Workspace, folder: Path) -> None:
    taken(home, ws, folder)
    id = ws.documents.named("notes/islands.md").id
    app = page(ws, document=id, passage=HOSTILE, side="sideways", within="nowhere")
    assert "is no passage of this version" in said(app)
    assert "There is no side “sideways”: passages, text, read, history" in said(app)
    assert "No sections" in said(app)
    assert "![" not in said(app)
    app = page(ws, passage="p3")
    assert "“p3” is no passage of a document" in said(app)
    assert "2 files in cold storage" in html(app)


# --- reading ------------------------------------------------------------------------------------------------------


def test_a_document_is_read_from_any_passage_on(home: Home, ws: Workspace, folder: Path) -> None:
    taken(home, ws, folder)
    app = press(page(ws), "open:" + (id := ws.documents.named("notes/islands.md").id))
    assert app.query_params["document"] == id
    rows = ws.documents.passages(id, 1, 100)
    body = html(app)
    assert "Markdown · " in body
    assert "12 passages in 12 sections" in body
    assert body.count('class="ms ms-sec') == 8
    assert "1 to 8 of 12 sections" in said(app)
    assert "The ferryman of Lundy wrote" in body.split("ms-stretch")[0]
    assert [row["id"] for row in rows[:8]] == [key.removeprefix("read-") for key in _cards(app)]
    found = fine(field(app.text_input, "Headings that contain").set_value("RAMSEY › boats").run())
    assert [key for key in keys(found) if key.startswith("section:")] == ["section:12"]
    app = press(fine(field(found.text_input, "Headings that contain").set_value("").run()), "section:3")
    assert app.query_params["passage"] == rows[2]["id"]
    assert _cards(app)[0] == rows[2]["id"]
    app = press(app, "read:Later")
    assert app.query_params["passage"] == rows[4]["id"], "the last eight, and no page with fewer"
    assert app.button(key="read:Later").disabled
    app = press(app, "read:First")
    assert _cards(app)[0] == rows[0]["id"]
    app = page(ws, passage=rows[2]["id"], side="text")
    text = (folder / "islands.md").read_text()
    slices = ws.documents.manifest(ws.documents.get(id)).passages
    stretch = next(element.proto.body for element in app.get("html") if 'ms-stretch"' in element.proto.body)
    marked = text[slices[2].start : slices[2].end]
    assert f"<mark>{marked}</mark>{text[slices[2].end : slices[9].end]}" in stretch
    ws.edits.delete_passages([rows[3]["id"]])
    app = page(ws, document=id)
    assert rows[3]["id"] not in _cards(app)
    assert "1 passage of these was deleted by hand" in said(app)
    assert press(app, "back").query_params.get("document") is None


def _cards(app: AppTest) -> list[str]:
    """The ids of the passages that are read, in order."""
    found = [link.proto.query_string for link in app.get("page_link") if link.proto.label == "In archival storage"]
    return [query.split("passage=")[1].split("&")[0] for query in found]


def test_the_past_is_shown_as_it_was_and_changes_nothing(home: Home, ws: Workspace, folder: Path) -> None:
    taken(home, ws, folder)
    id, then = ws.documents.named("notes/islands.md").id, ws.last_seq
    (folder / "islands.md").write_text(chapter("Gateholm"))
    taken(home, ws, folder)
    app = page(ws, document=id, step=then)
    assert "12 passages in 12 sections" in html(app)
    assert "Back to live" in [button.label for button in app.button]
    app = page(ws, document=id, side="history")
    assert "<b>Changed</b>" in html(app)
    assert "(2 passages new, 12 gone)" in html(app)
    assert "<b>Added</b>" in html(app)
    assert f"step={then}" in links(app)["As of then"]
    app = page(ws, step=then)
    assert not {"add", "run:dismiss"}.intersection(keys(app))
    assert "run:dismiss" in keys(page(ws))
    assert "12 passages" not in said(app)
    assert "2 files in cold storage, cut into 13 passages" in html(app)


def test_what_the_agent_opened_and_found_is_shown(home: Home, ws: Workspace, folder: Path) -> None:
    (folder / "islands.md").write_text(
        "".join(map(chapter, ISLANDS)) + "# Coda\n\nGwen painted the last boat orange.\n"
    )
    taken(home, ws, folder)
    id = ws.documents.named("notes/islands.md").id
    assert "has read nothing of it yet" in said(page(ws, document=id, side="read"))
    ws.send("What does the book say about the boat that Gwen painted?")
    assert ws.wait_idle(PATIENCE_S)
    opened: Any = next(e for e in reversed(ws.events(1)) if e.kind == "function_returned" and e.name == "document_open")
    app = page(ws, document=id, side="read")
    first, last = (ws.documents.place_of(held).number for held in (opened.holds[0], opened.holds[-1]))
    which = f"passages {first} to {last}" if first < last else f"passage {last}"
    assert f"<b>Opened page {opened.arguments['page']}</b> {which} " in html(app)
    assert "<b>Searched “" in html(app)
    app = press(app, f"read:m{opened.seq}")
    assert app.query_params["passage"] == opened.holds[0]


def test_a_document_is_removed_after_saying_what_goes_and_brought_back(home: Home, ws: Workspace, folder: Path) -> None:
    taken(home, ws, folder / "islands.md", tags=["sea"])
    id = ws.documents.named("islands.md").id
    app = page(ws, document=id)
    assert "Its 12 passages leave archival storage" in said(app)
    field(app.text_input, "Why").set_value("an old copy")
    app = press(app, f"remove-do:{id}")
    assert "Removed islands.md with 12 passages" in said(app)
    assert ws.event(ws.last_seq).reason == "an old copy"  # type: ignore[union-attr]
    assert ws.documents.all() == []
    app = page(ws, document=id)
    assert f"was removed by event {ws.last_seq}" in said(app)
    app = press(app, f"back:{id}")
    until(lambda: not home.adding.busy(ws.agent_id))
    again = ws.documents.named("islands.md")
    assert again.passages == 12
    assert again.tags == ("sea",)
    assert ws.documents.raw(again.id).read_text() == (folder / "islands.md").read_text()
    assert "Removed:" not in "".join(expander.label for expander in page(ws).expander)
    assert "There is no document “d999”" in said(page(ws, document="d999"))


def test_documents_are_found_by_name_and_put_in_order(home: Home, ws: Workspace, folder: Path) -> None:
    for n in range(8):
        (folder / f"{n}.txt").write_text("A line about lamps.\n\n" * (n + 1))
    taken(home, ws, folder)
    app = page(ws, order="newest")
    assert keys(app).index("open:" + ws.documents.named("notes/islands.md").id) < keys(app).index(
        "open:" + ws.documents.named("notes/0.txt").id
    )
    app = fine(field(app.text_input, "Name or title contains").set_value("ISLAND").run())
    assert app.query_params["find"] == "ISLAND"
    assert [key for key in keys(app) if key.startswith("open:")] == [
        "open:" + ws.documents.named("notes/islands.md").id
    ]
    app = fine(field(app.text_input, "Name or title contains").set_value("nothing").run())
    assert "No document has “nothing” in its name" in said(app)


def test_a_passage_of_a_document_shows_its_place_and_its_neighbours(home: Home, ws: Workspace, folder: Path) -> None:
    taken(home, ws, folder)
    rows = ws.documents.passages(ws.documents.named("notes/islands.md").id, 1, 3)
    app = page(ws, "archival", passage=rows[1]["id"])
    assert 'passage 2 of 12, <span title="document_open shows it' in html(app)
    assert ">page 1 as the agent opens it</span> · Flat › Boats of Flat" in html(app)
    assert "Came with the document “notes/islands.md”" in html(app)
    assert f"passage={rows[1]['id']}" in links(app)["Read on in the document"]
    app = press(app, "neighbour:After")
    assert app.query_params["passage"] == rows[2]["id"]
    app = press(press(app, "neighbour:Before"), "neighbour:Before")
    assert app.query_params["passage"] == rows[0]["id"]
    assert "the document begins here" in html(app)
    assert app.button(key="neighbour:Before").disabled
    ws.documents.remove(ws.documents.named("notes/islands.md").id)
    assert "of a document that has been removed" in said(page(ws, "archival", passage=rows[1]["id"]))


def test_a_hit_says_in_which_document_and_on_which_page_it_is(home: Home, ws: Workspace, folder: Path) -> None:
    told = "The keeper cleaned the oil lamp, wound the clock and wrote down which ships had passed. " * 9
    (folder / "lamps.pdf").write_bytes(pdf([[told], ["The heron stood on the pier.", told], [told]]))
    taken(home, ws, folder)
    lamps, islands = (ws.documents.named(f"notes/{name}") for name in ("lamps.pdf", "islands.md"))
    heron = ws.archival("heron").hits[0].id
    place = ws.documents.place_of(heron)
    assert (place.number, place.page) == (2, 2)
    printed = f"in <b>notes/lamps.pdf</b>, passage 2 of {lamps.passages}, page 2"
    app = page(ws, "archival", q="heron", why=heron)
    assert html(app).count(printed) == 2, "under the hit, and under why"
    ferryman = ws.documents.passages(islands.id, 2, 1)[0]["id"]
    app = page(ws, "archival", q="heron", why=ferryman)
    assert "<b>notes/islands.md</b>, passage 2 of 12, <span" in html(app).split(f"<b>{ferryman} is not found.</b>")[1]
    assert printed in html(page(ws, "archival"))
    # A search of the agent, long ago: its hit stands where it stood then, though the file has gone since.
    ws.send("What does the document say about the heron?")
    assert ws.wait_idle(PATIENCE_S)
    searched = next(e.seq for e in reversed(ws.events(1)) if e.kind == "archival_searched")
    assert "passage 2, page 2 " in html(page(ws, document=lamps.id, side="read"))
    (folder / "lamps.pdf").unlink()
    taken(home, ws, folder, remove_gone=True)
    app = press(page(ws, "archival", view="searches"), f"again:{searched}:today")
    assert printed in html(app)
    assert ws.documents.places([heron, "p1", "m1", ferryman]) == {ferryman: ws.documents.place_of(ferryman)}


def test_a_document_whose_files_were_deleted_says_so_and_what_to_do(home: Home, ws: Workspace, folder: Path) -> None:
    taken(home, ws, folder)
    one = ws.documents.named("notes/islands.md")
    assert "file missing" not in html(page(ws))
    raw, text, manifest = (
        ws.documents.cold.path(one.sha256, name, kind)
        for kind, name in (("raw", one.sha256), ("text", one.text), ("manifest", one.manifest))
    )
    assert raw == text, "Markdown is kept as it is written"
    raw.unlink()
    listed = html(page(ws))
    assert listed.count(">file missing</span>") == 1
    assert listed.index("<b>notes/islands.md</b>") < listed.index(">file missing</span>")
    app = page(ws, document=one.id, side="text")
    assert "Missing from cold storage: the file as it was added" in said(app)
    assert "its text (neither you nor the agent can open it)" in said(app)
    assert "add the folder notes or the file from its place in it again" in said(app)
    assert "This cannot be shown" in said(app)
    assert app.get("download_button")[0].proto.disabled
    ws.documents.cold._manifests.clear()
    manifest.unlink()
    app = page(ws, document=one.id)
    assert "the list of its passages" in said(app)
    assert not app.get("segmented_control"), "there is nothing to choose among"
    taken(home, ws, folder)
    assert "file missing" not in html(page(ws))
    assert "Missing" not in said(page(ws, document=one.id, side="text"))
    assert "the file a.md again" in words.lost_text("a.md", ["raw"], left_out=False)
    assert "redacted" in words.lost_text("a.md", ["raw", "text"], left_out=True)


def test_tokens_of_documents_are_counted_as_everywhere(home: Home, ws: Workspace, folder: Path) -> None:
    (folder / "long.txt").write_text("The lamp was lit at nine. " * 6000)
    taken(home, ws, folder)
    long, diary = (ws.documents.named(f"notes/{name}") for name in ("long.txt", "diary.txt"))
    tokens = estimate((folder / "long.txt").read_text())
    assert ws.documents.tokens(diary, read_most=5) is None
    assert ws.documents.tokens(diary) == estimate((folder / "diary.txt").read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents_rows, "COUNTED_MOST", 100_000)
        assert f">{tokens:,}<" not in html(page(ws)), "too long for a list"
    limit = ws.state().settings.limit_tokens
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "COUNTED_AT_ONCE", 26 * 1000)
        opened = html(page(ws, document=long.id))
    assert f"{tokens:,} tokens, {tokens / limit:,.1f} times what a prompt of this agent may hold" in opened
    assert f">{tokens:,}<" in html(page(ws))
    assert words.tokens_text(5, 9) == "5 tokens"


def test_names_and_texts_of_documents_are_shown_as_text(home: Home, ws: Workspace, folder: Path) -> None:
    (folder / HOSTILE).write_text(f"# <script>x</script>\n\n{HOSTILE} is here, and not much else is.\n")
    taken(home, ws, folder)
    id = next(one.id for one in ws.documents.all() if one.name.endswith("b.md"))
    passage = ws.documents.passages(id, 1, 1)[0]["id"]
    listed = page(ws)
    for app in (listed, *(page(ws, document=id, side=side) for side in ("passages", "text", "history"))):
        body = html(app)
        assert "&lt;img src=x&gt; ![i](http:evil) $y$ ⟨U+202E⟩b.md" in body
        assert not any(bad in body for bad in ("<img", "<script", "\u202e"))
        assert "![" not in said(app)
    body = html(page(ws, "archival", passage=passage))
    assert not any(bad in body for bad in ("<img", "<script", "\u202e"))
    ws.documents.remove(id)
    assert "![" not in said(page(ws, document=id))
