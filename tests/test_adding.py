"""Documents in an agent: taken in as one event, found, changed, removed, rebuilt, and never half there."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memgpt_core.__main__ import main
from memgpt_core.adding import REQUEST, Adding, Outcome, key
from memgpt_core.blueprint import Blueprint
from memgpt_core.errors import AgentBusy, DocumentMissing, EditRefused, MemscopeError, NotReadable
from memgpt_core.events import DocumentIngested
from memgpt_core.failpoints import arm, enospc, nth
from memgpt_core.home import Home
from memgpt_core.ids import id_of, number, seq_of
from memgpt_core.interchange.bundle import export_bundle, import_bundle
from memgpt_core.interchange.redact import Redaction
from memgpt_core.settings import AgentSettings
from memgpt_core.workspace import Workspace
from tests.engine import FakeClock, ScriptedModel

ISLANDS = ("Flat", "Skomer", "Lundy", "Bardsey", "Caldey", "Ramsey")


def chapter(island: str, sentences: int = 12) -> str:
    lines = [f"The keeper of {island} wrote entry {n} of the light, the sea and the boats." for n in range(sentences)]
    return f"# {island}\n\n" + " ".join(lines) + "\n\n"


def book(*islands: str) -> str:
    return "".join(chapter(island) for island in islands or ISLANDS)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    found = Home(tmp_path / "home", clock=FakeClock(), models={"fake": ScriptedModel()}, timer=False)
    yield found
    found.close()


@pytest.fixture
def ws(home: Home) -> Workspace:
    settings = AgentSettings(model="fake", embedder="hashing")
    return home.open(home.create(Blueprint(name="Reader", settings=settings)))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def standing(ws: Workspace) -> list[dict[str, Any]]:
    return ws.rows("SELECT * FROM passages WHERE seq_to IS NULL ORDER BY seq_from, length(id), id")


def added(home: Home, ws: Workspace, *paths: Path, **how: Any) -> Outcome:
    home.adding.start(ws.agent_id, paths, **how)
    return finished(home.adding, ws.agent_id)


def finished(adding: Adding, agent_id: str) -> Outcome:
    adding._jobs._works[key(agent_id)].join(60)
    job = adding.job(agent_id)
    assert job is not None
    assert not job.running
    assert not job.failed, job.failed
    outcome: Outcome = job.outcome
    return outcome


def test_ids_are_numbers_in_the_order_the_items_came() -> None:
    ids = ["m1", "p2", "p3.1", "p3.2", "p3.10", "m4", "p40"]
    assert sorted(ids, key=number) == ids
    assert [id_of(id[0], number(id)) for id in ids] == ids
    assert [seq_of(id) for id in ids] == [1, 2, 3, 3, 3, 4, 40]


def test_a_file_is_one_event_and_all_of_its_passages_are_found(ws: Workspace, files: Path) -> None:
    before = ws.state()
    taken = ws.documents.take_in("islands.md", put(files, "islands.md", book()), tags=("sea",))
    assert ws.last_seq == before.seq + 1
    event: Any = ws.event(ws.last_seq)
    assert isinstance(event, DocumentIngested)
    assert "keeper of Lundy" not in event.model_dump_json(exclude={"extract"}), "texts are not in the log"
    rows = standing(ws)
    assert taken == ("added", f"d{ws.last_seq}", len(rows), len(rows), 0, ())
    assert ws.state().passages == before.passages + len(rows)
    assert [row["id"] for row in rows] == [f"p{ws.last_seq}.{n}" for n in range(1, len(rows) + 1)]
    assert {row["source"] for row in rows} == {"islands.md"}
    hit = ws.archival("keeper of Lundy entry 3").hits[0]
    row = ws.items([hit.id])[hit.id]
    assert "Lundy" in row["text"]
    assert "Lundy" in row["title_path"]
    assert ws.projections.flush()
    assert ws.archival("the light", signals="vectors").total == len(rows), "each has its vector"
    assert ws.archival("Lundy", tags=["sea"]).total == ws.archival("Lundy").total > 0
    assert ws.verify() == []


def test_a_document_is_read_in_order_with_its_outline_and_neighbours(ws: Workspace, files: Path) -> None:
    text = book()
    id = ws.documents.take_in("islands.md", put(files, "islands.md", text)).document
    document = ws.documents.get(id)
    assert document is not None
    assert (document.name, document.chars, document.bytes) == ("islands.md", len(text), len(text))
    assert ws.documents.all() == [document]
    sections = ws.documents.outline(id)
    assert [section.title_path for section in sections] == [(island,) for island in ISLANDS]
    assert [section.number for section in sections] == list(range(1, 7))
    assert all(section.extract in text for section in sections)
    whole = ws.documents.passages(id, 1, 1000)
    assert [row["number"] for row in whole] == list(range(1, document.passages + 1))
    for section in sections:
        first = whole[section.first - 1]
        assert (first["id"], first["title_path"]) == (section.passage, section.title_path)
    middle = whole[3]
    before, after = ws.documents.neighbours(middle["id"])
    assert (before and before["id"], after and after["id"]) == (whole[2]["id"], whole[4]["id"])
    assert ws.documents.neighbours(whole[0]["id"])[0] is None
    place = ws.documents.place_of(middle["id"])
    assert place is not None
    assert (place.document, place.number, place.title_path) == (id, 4, middle["title_path"])
    assert ws.documents.place_of("p1") is None
    assert ws.documents.text(id, 10, 60) == text[10:60]
    assert ws.documents.raw(id).read_text() == text


def test_a_text_is_read_in_stretches_at_any_place(ws: Workspace, files: Path) -> None:
    text = "".join(f"Ünit {n}: Straße, 灯台, 🌊.\n" for n in range(9000))
    id = ws.documents.take_in("a.txt", put(files, "a.txt", text)).document
    for start, end in ((0, 5), (65_530, 65_545), (65_536, 131_072), (len(text) - 3, len(text) + 50), (99, 99)):
        assert ws.documents.text(id, start, end) == text[start:end]


def test_a_changed_file_brings_only_what_changed(ws: Workspace, files: Path) -> None:
    path = put(files, "islands.md", book())
    first = ws.documents.take_in("islands.md", path)
    seq = ws.last_seq
    ids = {row["id"]: row["text"] for row in standing(ws)}
    path.write_text(chapter("Gateholm") + book("Flat", "Skomer", "Bardsey", "Caldey", "Ramsey"))
    second = ws.documents.take_in("islands.md", path)
    assert (second.what, second.document) == ("updated", first.document)
    now = {row["id"]: row["text"] for row in standing(ws)}
    kept = ids.keys() & now.keys()
    assert len(kept) >= 0.6 * len(ids)
    assert all(ids[id] == now[id] for id in kept)
    assert {seq_of(id) for id in kept} == {seq}
    assert not any("Lundy" in text for text in now.values())
    assert any("Gateholm" in text for text in now.values())
    assert second.added == len(now.keys() - ids.keys()) > 0
    assert second.ended == len(ids.keys() - now.keys()) > 0
    assert ws.state().passages == len(now)
    # In the order of the new version, with the ids of both.
    listed = ws.documents.passages(first.document, 1, 1000)
    assert listed[0]["title_path"] == ("Gateholm",)
    assert {row["id"] for row in listed} == now.keys()
    # As it was before.
    assert [row["id"] for row in ws.documents.passages(first.document, 1, 1000, at=seq)] == list(ids)
    assert ws.archival("keeper of Lundy", at=seq).hits[0].id in ids
    assert ws.verify() == []


def test_an_unchanged_file_costs_no_event(ws: Workspace, files: Path) -> None:
    path = put(files, "islands.md", book())
    first = ws.documents.take_in("islands.md", path)
    seq = ws.last_seq
    again = ws.documents.take_in("islands.md", path)
    assert again == ("unchanged", first.document, first.passages, 0, 0, ())
    assert ws.last_seq == seq


def test_a_removed_document_takes_its_passages_and_can_be_added_again(ws: Workspace, files: Path) -> None:
    path = put(files, "islands.md", book())
    id = ws.documents.take_in("islands.md", path).document
    kept = ws.edits.insert_passage("a passage of another kind")
    seq = ws.last_seq
    ws.documents.remove(id)
    assert [row["id"] for row in standing(ws)] == [kept]
    assert ws.documents.all() == []
    assert ws.archival("keeper of Lundy").total == 0
    assert ws.state().passages == 1
    assert ws.state().documents == 0
    assert ws.documents.all(at=seq)[0].id == id
    with pytest.raises(EditRefused, match="no such document"):
        ws.documents.remove(id)
    again = ws.documents.take_in("islands.md", path)
    assert again.what == "added"
    assert again.document != id
    assert ws.archival("keeper of Lundy").total > 0
    assert ws.verify() == []


def test_a_rebuild_never_extracts_again(ws: Workspace, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(files, "islands.md", book())
    ws.documents.take_in("islands.md", path)
    path.write_text(book("Flat", "Lundy"))
    ws.documents.take_in("islands.md", path)
    before = ws.rows("SELECT * FROM passages ORDER BY seq_from, id")
    shutil.rmtree(files)

    def refuse(*_: Any) -> Any:
        raise AssertionError("a rebuild reads what was kept")

    monkeypatch.setattr("memgpt_core.documents.intake.extract", refuse)
    monkeypatch.setattr("memgpt_core.documents.intake.split", refuse)
    ws.rebuild()
    assert ws.rows("SELECT * FROM passages ORDER BY seq_from, id") == before
    assert ws.verify() == []


def test_edits_by_hand_of_a_documents_passages_hold_until_the_passage_goes(ws: Workspace, files: Path) -> None:
    path = put(files, "islands.md", book())
    id = ws.documents.take_in("islands.md", path).document
    first, second = standing(ws)[:2]
    ws.edits.edit_passage(first["id"], "by hand", tags=("x",), based_on=first["seq_from"])
    ws.edits.delete_passages([second["id"]])
    path.write_text(book() + chapter("Gateholm"))
    ws.documents.take_in("islands.md", path)
    rows = ws.documents.passages(id, 1, 1000)
    assert rows[0]["text"] == "by hand"
    assert second["id"] not in {row["id"] for row in rows}
    ws.edits.restore_passages([second["id"]])
    assert ws.documents.passages(id, 2, 1)[0]["id"] == second["id"]
    assert ws.state().passages == len(standing(ws))
    ws.documents.remove(id)
    assert standing(ws) == []
    assert ws.state().passages == 0
    assert ws.verify() == []


def test_a_document_whose_files_are_gone_is_named_and_adding_it_again_repairs_it(ws: Workspace, files: Path) -> None:
    path = put(files, "islands.md", book())
    id = ws.documents.take_in("islands.md", path).document
    document = ws.documents.get(id)
    assert document is not None
    shutil.rmtree(ws.documents.cold.folder / document.sha256)
    ws.documents.cold._manifests.clear()
    ws.rebuild()
    assert "its manifest is missing" in str(ws.verify())
    assert standing(ws) == []
    with pytest.raises(DocumentMissing, match="not there"):
        ws.documents.outline(id)
    assert ws.documents.take_in("islands.md", path).what == "updated"
    assert len(standing(ws)) == document.passages


@pytest.mark.parametrize("place", ["document.after_raw", "document.before_rename", "document.before_commit"])
def test_a_full_disk_leaves_nothing_half_taken_in(ws: Workspace, files: Path, place: str) -> None:
    path = put(files, "islands.md", book())
    seq = ws.last_seq
    with arm(place, nth(1, enospc)), pytest.raises(OSError, match="space"):
        ws.documents.take_in("islands.md", path)
    assert ws.last_seq == seq
    assert standing(ws) == []
    assert not list(ws.documents.cold.folder.with_name(".documents.new").iterdir())
    assert ws.documents.take_in("islands.md", path).what == "added"
    assert ws.verify() == []


def test_what_cannot_be_taken_in_is_a_sentence(ws: Workspace, files: Path) -> None:
    huge = files / "huge.txt"
    with huge.open("wb") as file:
        file.truncate(2 * 2**30)
    for path, why in (
        (put(files, "empty.txt", ""), "empty.txt was not read: it is empty"),
        (huge, "huge.txt was not read: it has 2,048 MB"),
        (files / "none.txt", "not there any more"),
        (files, "it is no file"),
    ):
        with pytest.raises(NotReadable, match=why):
            ws.documents.take_in(path.name, path)
    assert ws.last_seq == ws.state().seq
    assert standing(ws) == []


def test_putting_archival_back_leaves_documents_as_they_are(ws: Workspace, files: Path) -> None:
    plain = ws.edits.insert_passage("a passage of another kind")
    ws.documents.take_in("a.md", put(files, "a.md", chapter("Flat")))
    n = ws.last_seq
    first = standing(ws)[1]["id"]
    ws.edits.delete_passages([plain, first])
    ws.documents.take_in("b.md", put(files, "b.md", chapter("Skomer")))
    ws.documents.take_in("a.md", put(files, "a.md", chapter("Flat") + chapter("Lundy")))
    assert [(one.passage, one.what) for one in ws.edits.archival_plan(n)] == [(plain, "restore"), (first, "restore")]
    assert ws.edits.restore_archival(n) == 2
    assert len(ws.documents.all()) == 2
    assert ws.verify() == []


# --- the doors ----------------------------------------------------------------------------------------------


def test_a_fork_and_its_home_share_the_files_and_deleting_the_last_one_deletes_them(
    home: Home, ws: Workspace, files: Path
) -> None:
    ws.documents.take_in("a.md", put(files, "a.md", chapter("Flat")))
    fork = home.open(home.fork(ws.agent_id, ws.last_seq, name="Fork"))
    assert [one.name for one in fork.documents.all()] == ["a.md"]
    assert fork.verify() == []
    fork.documents.take_in("b.md", put(files, "b.md", chapter("Lundy")))
    cold = ws.documents.cold.folder
    assert len(list(cold.iterdir())) == 2
    assert home.documents_bytes > 0
    home.delete(fork.agent_id)
    assert len(list(cold.iterdir())) == 1
    assert ws.verify() == []
    home.delete(ws.agent_id)
    assert list(cold.iterdir()) == []


def test_a_bundle_carries_documents_and_a_redacted_one_says_that_it_does_not(
    home: Home, ws: Workspace, files: Path, tmp_path: Path
) -> None:
    ws.documents.take_in("a.md", put(files, "a.md", chapter("Flat")))
    ws.documents.take_in("a.md", put(files, "a.md", chapter("Flat") + chapter("Lundy")))
    assert ws.projections.flush()
    export_bundle(ws, tmp_path / "x.memscope")
    redacted = export_bundle(ws, tmp_path / "r.memscope", redaction=Redaction(("email",)))
    assert any("documents are left out" in note for note in redacted.notes())
    other = Home(tmp_path / "other", clock=FakeClock(), models={"fake": ScriptedModel()}, timer=False)
    try:
        taken = other.open(import_bundle(other, tmp_path / "x.memscope"))
        assert taken.documents.passages(taken.documents.all()[0].id, 1, 99) != []
        assert [row["text"] for row in standing(taken)] == [row["text"] for row in standing(ws)]
        assert taken.verify() == []
        assert taken.not_embedded == 0
        bare = other.open(import_bundle(other, tmp_path / "r.memscope"))
        assert standing(bare) == []
        assert [one.name for one in bare.documents.all()] == ["a.md"]
        assert bare.verify() == []
    finally:
        other.close()


def test_a_sample_brings_its_documents(home: Home) -> None:
    ws = home.open(home.start_sample("analyst"))
    document = ws.documents.all()[0]
    assert document.name == "king-james-bible.txt"
    assert ws.state().passages == document.passages > 8000
    assert ws.documents.text(document.id, 0, 60).startswith("Genesis 1:1")


def test_the_command_line_adds_lists_and_removes(
    home: Home, ws: Workspace, files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    agent, path = ws.agent_id, home.path
    home.close()
    monkeypatch.setenv("MEMSCOPE_HOME", str(path))
    put(files, "a.md", chapter("Flat"))
    put(files, "empty.md", "")
    assert main(["documents", "add", agent, str(files)]) == 1
    said = capsys.readouterr().out
    assert "notes/a.md: " in said
    assert "notes/empty.md was not read: it is empty" in said
    assert main(["documents", "list", agent]) == 0
    assert "1 document." in capsys.readouterr().out
    assert main(["documents", "remove", agent, "notes/a.md"]) == 0
    assert main(["documents", "remove", agent, "notes/a.md"]) == 1
    assert "no document 'notes/a.md'" in capsys.readouterr().err


# --- folders, in the background ---------------------------------------------------------------------------


def test_a_folder_is_added_file_by_file_and_a_bad_file_harms_no_other(home: Home, ws: Workspace, files: Path) -> None:
    put(files, "a.md", chapter("Flat"))
    put(files, "b/c.md", chapter("Skomer"))
    put(files, "b/empty.md", "")
    put(files, ".git/config", "hidden")
    (files / "b" / "up").symlink_to(files)
    (files / "lost").symlink_to(files / "nowhere")
    os.mkfifo(files / "pipe")
    outcome = added(home, ws, files)
    by_name = {line.name: line for line in outcome.lines}
    assert [name for name, line in by_name.items() if line.what == "added"] == ["notes/a.md", "notes/b/c.md"]
    assert {name for name, line in by_name.items() if line.what == "refused"} == {
        "notes/b/empty.md",
        "notes/b/up",
        "notes/lost",
        "notes/pipe",
    }
    assert "leads back" in by_name["notes/b/up"].why
    assert outcome.counts == {"added": 2, "refused": 4}
    assert outcome.said == ""
    assert ws.not_embedded == 0
    assert ws.verify() == []
    assert {line.what for line in added(home, ws, files).lines} == {"unchanged", "refused"}


def test_what_is_gone_from_a_folder_is_removed_only_if_asked(home: Home, ws: Workspace, files: Path) -> None:
    put(files, "a.md", chapter("Flat"))
    gone = put(files, "b.md", chapter("Skomer"))
    ws.documents.take_in("other.md", put(files.parent, "other.md", chapter("Lundy")))
    added(home, ws, files)
    gone.unlink()
    assert added(home, ws, files).counts == {"unchanged": 1}
    assert added(home, ws, files, remove_gone=True).counts == {"unchanged": 1, "removed": 1}
    assert [one.name for one in ws.documents.all()] == ["notes/a.md", "other.md"]


def test_a_run_that_was_cut_off_goes_on_with_nothing_twice(home: Home, ws: Workspace, files: Path) -> None:
    for island in ISLANDS:
        put(files, f"{island}.md", chapter(island))
    with arm("document.before_commit", nth(4, enospc)):
        home.adding.start(ws.agent_id, [files])
        home.adding._jobs._works[key(ws.agent_id)].join(60)
    job = home.adding.job(ws.agent_id)
    assert job is not None
    assert "No space" in job.failed
    assert len(ws.documents.all()) == 3
    request = home.adding.unfinished(ws.agent_id)
    assert request is not None
    assert request.paths == (str(files),)
    home.adding.resume(ws.agent_id)
    assert finished(home.adding, ws.agent_id).counts == {"unchanged": 3, "added": 3}
    assert home.adding.unfinished(ws.agent_id) is None
    assert len(ws.documents.all()) == 6
    assert not (ws.folder / REQUEST).exists()
    with pytest.raises(EditRefused, match="nothing left"):
        home.adding.resume(ws.agent_id)


def test_a_run_is_stopped_between_files_and_one_goes_on_at_a_time(
    home: Home, ws: Workspace, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for island in ISLANDS:
        put(files, f"{island}.md", chapter(island))
    take_in = ws.documents.take_in

    def stopped(name: str, path: Path, **how: Any) -> Any:
        if name.endswith("Flat.md"):
            with pytest.raises(AgentBusy, match="One thing at a time"):
                home.adding.start(ws.agent_id, [files])
            with pytest.raises(AgentBusy, match="being added"):
                home.delete(ws.agent_id)
            home.adding.stop(ws.agent_id)
        return take_in(name, path, **how)

    monkeypatch.setattr(ws.documents, "take_in", stopped)
    home.adding.start(ws.agent_id, [files])
    home.adding._jobs._works[key(ws.agent_id)].join(60)
    job = home.adding.job(ws.agent_id)
    assert job is not None
    assert "What was added before stays" in job.failed
    there = [one.name for one in ws.documents.all()]
    assert there == ["notes/Bardsey.md", "notes/Caldey.md"]
    home.adding.dismiss(ws.agent_id)
    assert home.adding.unfinished(ws.agent_id) is None


def test_an_upload_is_taken_in_under_its_name_and_not_kept_twice(home: Home, ws: Workspace) -> None:
    path = home.adding.keep("a/../Inseln.md", [chapter("Flat").encode()[:50], chapter("Flat").encode()[50:]])
    assert home.path in path.parents
    assert added(home, ws, path).lines[0].name == "Inseln.md"
    assert not path.exists()


def test_nothing_to_add_is_said(home: Home, ws: Workspace) -> None:
    with pytest.raises(MemscopeError, match="nothing to add"):
        home.adding.start(ws.agent_id, [])
