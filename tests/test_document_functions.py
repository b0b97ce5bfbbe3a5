"""Documents as the model reads them: listed, outlined, opened page by page, searched; and the same in a rerun."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memgpt_core.blueprint import Blueprint
from memgpt_core.events import encode
from memgpt_core.home import Home
from memgpt_core.llm.demo import DemoModel
from memgpt_core.registry import OF_DOCUMENTS
from memgpt_core.replay import rerun
from memgpt_core.settings import AgentSettings
from memgpt_core.workspace import Workspace
from tests.engine import FakeClock, ScriptedModel, call, kinds, reply, say
from tests.test_adding import ISLANDS, book, chapter


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
def home(tmp_path: Path, model: ScriptedModel) -> Iterator[Home]:
    found = Home(tmp_path / "home", clock=FakeClock(), models={"fake": model}, timer=False)
    yield found
    found.close()


@pytest.fixture
def ws(home: Home, tmp_path: Path) -> Workspace:
    settings = AgentSettings(model="fake", embedder="hashing", window_tokens=16384)
    made = home.open(home.create(Blueprint(name="Reader", settings=settings)))
    for name, text in (("islands.md", book()), ("towns.md", "".join(map(chapter, ("Tenby", "Tring"))))):
        (tmp_path / name).write_text(text)
        made.documents.take_in(name, tmp_path / name)
    return made


def ask(ws: Workspace, model: ScriptedModel, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
    """What the calls returned, made one a step."""
    before = ws.last_seq
    model.script = [reply(call(name, heartbeat=True, **given)) for name, given in calls]
    model.script.append(say("done"))
    ws.send("Look it up.")
    assert ws.wait_idle(30)
    found: list[Any] = ws.events(before + 1)
    return [event for event in found if event.kind == "function_returned" and event.name != "send_message"]


def lines(returned: Any) -> list[Any]:
    assert returned.ok, returned.value
    return [json.loads(line) for line in returned.value.splitlines()[1:]]


def test_they_are_offered_to_an_agent_that_has_documents(home: Home, ws: Workspace, model: ScriptedModel) -> None:
    def names() -> set[str]:
        return {tool["function"]["name"] for tool in model.bodies[-1]["tools"]}

    ask(ws, model, ("document_list", {}))
    assert names() >= OF_DOCUMENTS
    for document in ws.documents.all():
        ws.documents.remove(document.id)
    gone = ask(ws, model, ("document_list", {}))[0]
    assert not names() & OF_DOCUMENTS
    assert not gone.ok
    assert "There is no function 'document_list'" in gone.value


def test_an_outline_first_then_the_page_it_points_to(ws: Workspace, model: ScriptedModel) -> None:
    listed, outlined = ask(ws, model, ("document_list", {}), ("document_outline", {"document": "islands"}))
    assert [entry["name"] for entry in lines(listed)] == ["islands.md", "towns.md"]
    lundy = next(entry for entry in lines(outlined) if entry["title"] == "Lundy")
    opened = ask(ws, model, ("document_open", {"document": "islands.md", "page": lundy["opens"]}))[0]
    head, text = opened.value.split("\n", 1)
    assert json.loads(head)["of"] == lines(listed)[0]["pages"]
    assert "The keeper of Lundy wrote entry 0" in text
    assert opened.holds == tuple(json.loads(head)["passages"])
    assert [row["how"] for row in ws.rows("SELECT how FROM residency WHERE item = ?", [opened.holds[0]])] == ["copy"]


def test_the_pages_of_a_document_are_all_of_it(ws: Workspace, model: ScriptedModel) -> None:
    pages = lines(ask(ws, model, ("document_list", {}))[0])[0]["pages"]
    read = [ask(ws, model, ("document_open", {"document": "islands", "page": page}))[0] for page in range(1, pages + 1)]
    whole = " ".join(returned.value.split("\n", 1)[1] for returned in read)
    for island in ISLANDS:
        for n in range(12):
            assert f"The keeper of {island} wrote entry {n} of" in whole
    beyond = ask(ws, model, ("document_open", {"document": "islands", "page": pages + 1}))[0]
    assert not beyond.ok
    assert f"islands.md has pages 1 to {pages}." in beyond.value


def test_a_search_says_where_it_found_and_can_be_narrowed(ws: Workspace, model: ScriptedModel) -> None:
    everywhere, narrowed = ask(
        ws,
        model,
        ("document_search", {"query": "keeper of Tring entry 3"}),
        ("document_search", {"query": "keeper of Tring entry 3", "document": "islands.md"}),
    )
    best = lines(everywhere)[0]
    assert (best["name"], best["section"]) == ("towns.md", "Tring")
    opened = ask(ws, model, ("document_open", {"document": best["document"], "page": best["opens"]}))[0]
    assert best["id"] in opened.holds
    before, after = ws.documents.neighbours(best["id"])
    assert best.get("before") == (before and before["id"])
    assert best.get("after") == (after and after["id"])
    assert {hit["name"] for hit in lines(narrowed)} == {"islands.md"}
    searched: list[Any] = [event for event in ws.events(1) if event.kind == "archival_searched"]
    assert [event.document for event in searched] == ["", ws.documents.named("islands.md").id]  # type: ignore[union-attr]
    ws.edits.insert_passage("The keeper of Tring entry 3 is a passage of no document.")
    again = ask(ws, model, ("document_search", {"query": "keeper of Tring entry 3"}))[0]
    assert all("." in hit["id"] for hit in lines(again))


@pytest.mark.parametrize(
    ("name", "given", "why"),
    [
        ("document_open", {"document": "atlas"}, "There is no document 'atlas'. Documents: d"),
        ("document_open", {"document": ".md"}, "'.md' may be several documents."),
        ("document_outline", {"document": "towns", "within": "Lundy"}, "No section of towns.md stands under 'Lundy'."),
        ("document_outline", {"document": "towns", "page": 9}, "This list has pages 1 to 1."),
        ("document_search", {"query": " "}, "query is empty."),
        ("document_search", {"query": "x", "page": 0}, "page counts from 1"),
    ],
)
def test_what_cannot_be_done_says_what_would(
    ws: Workspace, model: ScriptedModel, name: str, given: dict[str, Any], why: str
) -> None:
    returned = ask(ws, model, (name, given))[0]
    assert not returned.ok
    assert why in returned.value


def test_a_long_outline_shows_its_main_headings_first(home: Home, model: ScriptedModel, tmp_path: Path) -> None:
    ws = home.open(
        home.create(Blueprint(name="R", settings=AgentSettings(model="fake", embedder="hashing", window_tokens=16384)))
    )
    text = "".join(
        f"# Book {book}\n\n" + "".join(f"## Part {book}.{n}\n\nOf the sea and the light.\n\n" for n in range(12))
        for book in "ABC"
    )
    (tmp_path / "long.md").write_text(text)
    ws.documents.take_in("long.md", tmp_path / "long.md")
    whole, within = ask(
        ws,
        model,
        ("document_outline", {"document": "long.md"}),
        ("document_outline", {"document": "long.md", "within": "book b"}),
    )
    assert [entry["title"] for entry in lines(whole)] == ["Book A", "Book B", "Book C"]
    assert sum(entry["sections"] for entry in lines(whole)) == ws.documents.all()[0].sections
    assert all(entry["title"].startswith("Book B") for entry in lines(within))


@pytest.mark.parametrize("there", [True, False])
def test_a_rerun_reads_documents_again_or_takes_what_was_read(ws: Workspace, model: ScriptedModel, there: bool) -> None:
    ask(ws, model, ("document_list", {}), ("document_outline", {"document": "islands"}))
    ask(ws, model, ("document_open", {"document": "towns", "page": 1}), ("document_search", {"query": "Lundy"}))
    ask(ws, model, ("archival_memory_search", {"query": "keeper of Lundy"}))
    ws.documents.remove(ws.documents.all()[0].id)
    ask(ws, model, ("document_list", {}))
    recorded = ws.events(1)
    cold = ws.documents.cold
    if not there:
        shutil.rmtree(cold.folder)
        cold._manifests.clear()
    assert rerun(recorded, cold=cold).difference is None
    if there:
        # What is read again is really compared.
        opened = next(event for event in recorded if getattr(event, "name", "") == "document_open")
        changed = opened.model_copy(update={"value": opened.value.replace("keeper", "reader")})  # type: ignore[union-attr]
        difference = rerun([*recorded[: opened.seq - 1], changed, *recorded[opened.seq :]], cold=cold).difference
        assert difference is not None
        assert difference.rerun == encode(opened)


@pytest.mark.parametrize("there", [True, False])
def test_a_rerun_places_what_was_placed_of_documents(ws: Workspace, model: ScriptedModel, there: bool) -> None:
    ws.configure(ws.state().settings.model_copy(update={"retrieval": "before", "prefetch": "user_message"}))
    model.script = [say("done")]
    ws.send("Who is the keeper of Lundy?")
    assert ws.wait_idle(30)
    recorded: list[Any] = ws.events(1)
    placed = next(event for event in recorded if event.kind == "hits_placed")
    assert any("." in id for id in placed.holds), "a passage of a document"
    cold = ws.documents.cold
    if not there:
        shutil.rmtree(cold.folder)
        cold._manifests.clear()
    assert rerun(recorded, cold=cold).difference is None


def test_a_file_that_is_gone_is_told_to_the_model(ws: Workspace, model: ScriptedModel) -> None:
    shutil.rmtree(ws.documents.cold.folder)
    ws.documents.cold._manifests.clear()
    opened, found = ask(
        ws, model, ("document_open", {"document": "towns"}), ("document_search", {"query": "keeper of Tring"})
    )
    assert not opened.ok
    assert "Put the folder documents/ back" in opened.value
    assert lines(found)[0]["opens"] is None
    assert kinds(ws.events(1))[-1] == "turn_ended"


# --- the demo model ---------------------------------------------------------------------------------------


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Workspace]:
    home = Home(tmp_path / "demo", clock=FakeClock(), models={"demo": DemoModel()}, timer=False)
    made = home.open(home.create(Blueprint(name="Reader", settings=AgentSettings(embedder="hashing"))))
    (tmp_path / "islands.md").write_text(book() + "# Coda\n\nThe last boat was painted orange by Gwen in 1921.\n")
    made.documents.take_in("islands.md", tmp_path / "islands.md")
    yield made
    home.close()


@pytest.mark.parametrize(
    ("asked", "called", "told"),
    [
        (
            "What does the book say about the boat that Gwen painted?",
            ["document_search", "document_open"],
            "painted orange by Gwen",
        ),
        ("Which documents do you have?", ["document_list"], "islands.md"),
        ("Show me the outline of the book.", ["document_list", "document_outline"], "Flat, Skomer, Lundy"),
        ("What does the book say about bicycles?", ["document_search", "archival_memory_search"], "I don't know"),
    ],
)
def test_the_demo_model_opens_what_it_quotes(reader: Workspace, asked: str, called: list[str], told: str) -> None:
    reader.send(asked)
    assert reader.wait_idle(30)
    events: list[Any] = reader.events(1)
    assert [event.name for event in events if event.kind == "function_returned"] == [*called, "send_message"]
    assert told in next(event.text for event in events if event.kind == "message_sent")
    assert rerun(events, cold=reader.documents.cold).difference is None
