"""The archival page without a browser: what it lists, finds, edits and says, on the samples and on new agents."""

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from memgpt_core.blueprint import Blueprint
from memgpt_core.edits.passages import PASSAGE_CHARS
from memgpt_core.errors import EditRefused
from memgpt_core.home import Home, close_home, the_home
from memgpt_core.settings import AgentSettings
from memgpt_core.workspace import Workspace
from tests.engine import PATIENCE_S, until
from tests.ollama_stub.server import Stub
from tests.ollama_stub.world import World
from tests.screens import html, opened

SAMPLES = {"companion": "tea", "analyst": "lost sheep", "prober": "key value"}


@pytest.fixture
def ws(home: Home) -> Workspace:
    return home.open(home.create(Blueprint(name="Tester", settings=AgentSettings(embedder="hashing"))))


def page(ws: Workspace, **asked: Any) -> AppTest:
    return opened("archival", ws.agent_id, **asked)


def again(app: AppTest) -> AppTest:
    app.run()
    assert not app.exception, app.exception
    return app


def captions(app: AppTest) -> str:
    return "\n".join(caption.value for caption in app.caption)


def warnings(app: AppTest) -> str:
    return "\n".join(warning.value for warning in app.warning)


def shown(app: AppTest) -> list[str]:
    """The ids of the passages on the page, in order."""
    return [button.key.removeprefix("open:") for button in app.button if (button.key or "").startswith("open:")]


def press(app: AppTest, key: str) -> AppTest:
    app.button(key=key).click()
    return again(app)


def named(widgets: Any, beginning: str) -> Any:
    return next(widget for widget in widgets if widget.label.startswith(beginning))


def unfolded(app: AppTest, key: str) -> AppTest:
    """A popover that draws its inside only when it is open."""
    app.session_state[key] = True
    return again(app)


def text_of(ws: Workspace, id: str) -> str:
    return ws.items([id])[id]["text"]


# --- the samples --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_view_is_drawn_at_the_start_the_middle_and_the_end_of_a_sample(home: Home, sample: str) -> None:
    ws = home.open(home.start_sample(sample))
    for step in ("1", str(ws.last_seq // 2), ""):
        at = {"step": step} if step else {}
        n = int(step) if step else ws.last_seq
        listed = page(ws, **at)
        there = ws.rows(
            "SELECT id FROM passages WHERE seq_from <= ? AND (seq_to IS NULL OR seq_to > ?) "
            'ORDER BY "at" DESC, seq_from DESC LIMIT 15',
            [n, n],
        )
        assert shown(listed) == [row["id"] for row in there]
        assert f"{ws.state(n).passages:,} passages" in html(listed)
        for view in ("twins", "searches", "restore"):
            page(ws, view=view, **at)
        search = page(ws, q=SAMPLES[sample], **at)
        if step != "1":
            assert "<mark>" in html(search)
            assert "words rank 1" in html(search)
            assert ("Recomputed" in " ".join(info.value for info in search.info)) is bool(step)


def test_a_passage_of_a_sample_leads_to_its_event_and_says_which_searches_gave_it(home: Home) -> None:
    ws = home.open(home.start_sample("prober"))
    events = ws.rows("SELECT seq_from FROM events WHERE kind = 'archival_searched'")
    gave: dict[str, int] = {}
    for row in events:
        event: Any = ws.event(row["seq_from"])
        for hit in event.measured.hits:
            gave[hit.id] = gave.get(hit.id, 0) + 1
    id = max(gave, key=lambda id: gave[id])
    app = page(ws, passage=id)
    assert f"Event {int(id[1:])}" in html(app).replace(",", "")
    links = [link.proto.query_string for link in app.get("page_link")]
    assert any(f"step={id[1:]}" in link for link in links)
    app.session_state["story"] = "Found by"
    again(app)
    assert f"{gave[id]:,} of the agent's archival searches returned it." in captions(app)
    app.session_state["story"] = "In window"
    again(app)
    assert "n the window" in html(app)
    app.session_state["story"] = "Versions"
    assert "<b>stored</b> by an import" in html(again(app))


# --- finding ------------------------------------------------------------------------------------------------------


def test_an_empty_storage_says_where_passages_come_from(ws: Workspace) -> None:
    app = page(ws)
    assert "has stored nothing here yet" in app.info[0].value
    assert "New passage" in app.info[0].value


def test_the_list_is_paged_on_the_server_and_a_new_filter_begins_at_the_first_page(ws: Workspace) -> None:
    for at in range(20):
        ws.edits.insert_passage(f"fact number {at}", tags=("even",) if at % 2 == 0 else ("odd",))
    app = page(ws)
    assert len(shown(app)) == 15
    assert "1 to 15 of 20 passages" in captions(app)
    next(button for button in app.button if button.label == "Next").click()
    assert len(shown(again(app))) == 5
    named(app.multiselect, "Tags (at least").set_value(["even"])
    again(app)
    assert app.query_params["tags"] == "even"
    assert "1 to 10 of 10 passages" in captions(app)
    assert "Only passages tagged **even**." in captions(app)


def test_the_address_fills_the_filters_and_what_is_wrong_in_it_gets_a_sentence(ws: Workspace) -> None:
    ws.edits.insert_passage("one", tags=("a,b",), source="a book")
    ws.edits.insert_passage("two")
    app = page(ws, tags="a,b", source="a book", author="human")
    assert len(shown(app)) == 1
    assert named(app.multiselect, "Source").value == ["a book"]
    app = page(ws, tags="never")
    assert "No passage tagged **never**" in app.info[0].value
    bad = {"from": "tomorrow", "session_is": "one", "least": "inf", "view": "<b>", "passage": "p999"}
    said = warnings(page(ws, **bad))
    for part in ("“tomorrow” is not a day", "“one” is not the number", "“inf” is no threshold", "no view", "p999"):
        assert part in said
    assert "no passage is between them" in warnings(page(ws, **{"from": "2026-03-02", "to": "2026-03-01"}))


def test_a_day_out_of_range_or_a_very_long_value_in_the_address_is_named_and_left_out(ws: Workspace) -> None:
    ws.edits.insert_passage("one")
    app = page(ws, **{"from": "0001-01-01", "to": "9999-12-31"}, session_is="9" * 100_000)
    said = warnings(app)
    for part in ("“0001-01-01” is not a day", "“9999-12-31” is not a day", f"“{'9' * 60}…” is not the number"):
        assert part in said
    assert len(shown(app)) == 1


def test_hits_say_how_they_were_ranked_and_near_misses_stand_apart(ws: Workspace) -> None:
    first = ws.edits.insert_passage("the cat sleeps on the mat")
    second = ws.edits.insert_passage("a dog, and once there was a cat, and much else to tell of many other things")
    ws.edits.insert_passage("whales sing")
    app = page(ws, q="cat sleeps")
    assert shown(app)[:2] == [first, second]
    assert "#1 · score" in html(app)
    assert "<mark>cat</mark> <mark>sleeps</mark>" in html(app)
    assert "0.1 × cosine" in captions(app)
    assert "1 to 2 of 2 hits" in captions(app)
    app.slider[0].set_value(0.9)
    again(app)
    assert app.query_params["least"] == "0.9"
    assert "1 to 1 of 1 hits" in captions(app)
    misses = next(box for box in app.expander if box.label.startswith("Near misses"))
    assert "under the threshold" in "".join(element.proto.body for element in misses.get("html"))
    assert any(button.key == f"open:{second}" for button in misses.button)


def test_why_one_was_not_found_is_said_for_an_id_and_for_the_open_passage(ws: Workspace) -> None:
    for at in range(17):
        ws.edits.insert_passage(f"the cat sleeps {at}", tags=("cats",))
    stone = ws.edits.insert_passage("zzz granite")
    app = page(ws, q="cat sleeps", why=stone.upper())
    assert f"{stone} is not found.</b> It has no word of the query" in html(app)
    assert "vector rank 19 (cosine 0.042)" in html(app)
    field = app.text_input(key="archival:why")
    field.set_value("nonsense")
    assert "is called so" in html(again(app))
    app = page(ws, q="cat sleeps", tags="cats", passage=stone)
    assert "A filter leaves it out: tags." in html(app)
    last = ws.archival("cat sleeps", page_size=99).hits[16].id
    assert "It is hit 17: on page 2 and not on page 1." in html(page(ws, q="cat sleeps", passage=last))


def test_a_search_that_finds_nothing_under_a_filter_says_so(ws: Workspace) -> None:
    ws.edits.insert_passage("the cat sleeps", tags=("cats",))
    app = page(ws, q="cat", tags="dogs")
    assert not shown(app)
    assert any("with these filters" in info.value for info in app.info)
    for query in ("the of and", "猫", "\x00\u202e", "'; DROP TABLE passages; --", "x " * 50_000):
        app.query_params["q"] = query
        again(app)
        assert not app.error
    assert "Of the 100,000 characters that are looked for only the first 4,000 are read." in warnings(app)


# --- editing ------------------------------------------------------------------------------------------------------


def test_a_passage_is_stored_opened_and_found(ws: Workspace) -> None:
    app = page(ws)
    named(app.text_area, "Text").set_value("The sea at Foz is cold.")
    named(app.multiselect, "Tags").set_value([])
    named(app.text_input, "Source").set_value("a postcard")
    press(app, "insert")
    (id,) = shown(app)
    assert app.query_params["passage"] == id
    assert ws.items([id])[id]["source"] == "a postcard"
    assert ws.items([id])[id]["author"] == "human"
    assert named(app.text_area, "Text").value == ""
    assert [hit.id for hit in ws.archival("cold sea").hits] == [id]


@pytest.mark.parametrize("text", ["", "   "])
def test_what_cannot_be_a_passage_is_refused_with_a_sentence_and_kept(ws: Workspace, text: str) -> None:
    app = page(ws)
    before = ws.last_seq
    named(app.text_area, "Text").set_value(text)
    press(app, "insert")
    assert ws.last_seq == before
    assert "What you typed is still in the field" in warnings(app)
    assert named(app.text_area, "Text").value == text


def test_ten_megabytes_are_refused_by_the_field_and_by_the_door(ws: Workspace) -> None:
    app = page(ws)
    assert named(app.text_area, "Text").proto.max_chars == PASSAGE_CHARS
    assert "a longer paste is refused" in captions(app)
    with pytest.raises(EditRefused, match="a passage holds at most 100000"):
        ws.edits.insert_passage("x" * 10_000_000)


def test_an_edited_passage_is_found_by_its_new_text_and_not_by_its_old(ws: Workspace) -> None:
    id = ws.edits.insert_passage("The user lives in Porto.", tags=("home",))
    app = press(page(ws, passage=id), f"edit:{id}")
    named(app.text_area, f"Text of {id}").set_value("The user lives in Braga.")
    named(app.text_input, "Why").set_value("she moved")
    press(app, f"save:{id}")
    assert text_of(ws, id) == "The user lives in Braga."
    assert shown(page(ws, q="Braga")) == [id]
    assert not [id for id in shown(page(ws, q="Porto")) if "Porto" in text_of(ws, id)]
    app.session_state["story"] = "Versions"
    assert "“she moved”" in html(again(app))
    first = int(id[1:])
    press(app, f"version:{first}")
    assert text_of(ws, id) == "The user lives in Porto."


def test_an_edit_of_what_changed_meanwhile_keeps_both_texts_until_one_is_chosen(ws: Workspace) -> None:
    id = ws.edits.insert_passage("old")
    app = press(page(ws, passage=id), f"edit:{id}")
    ws.edits.edit_passage(id, "theirs", tags=(), based_on=int(id[1:]))
    named(app.text_area, f"Text of {id}").set_value("mine")
    press(app, f"save:{id}")
    assert text_of(ws, id) == "theirs"
    assert "theirs" in html(app)
    assert named(app.text_area, f"Text of {id}").value == "mine"
    press(app, f"both:{id}")
    assert named(app.text_area, f"Text of {id}").value == "theirs\nmine"
    press(app, f"save:{id}")
    assert text_of(ws, id) == "theirs\nmine"


def test_an_edit_of_what_was_deleted_meanwhile_keeps_what_was_typed(ws: Workspace) -> None:
    id = ws.edits.insert_passage("old", tags=("t",), source="s")
    app = press(page(ws, passage=id), f"edit:{id}")
    named(app.text_area, f"Text of {id}").set_value("mine")
    ws.edits.delete_passages([id])
    press(app, f"save:{id}")
    assert "Deleted meanwhile" in html(app)
    assert named(app.text_area, f"Text of {id}").value == "mine"
    press(app, f"anew:{id}")
    (new,) = shown(app)
    row = ws.items([new])[new]
    assert (row["text"], row["tags"], row["source"]) == ("mine", ["t"], "s")


def test_a_deletion_is_undone_with_one_press_and_later_from_the_list_of_the_deleted(ws: Workspace) -> None:
    id = ws.edits.insert_passage("a fact")
    app = press(page(ws, passage=id), f"delete:{id}")
    assert not shown(app)
    press(app, "undo-delete")
    assert shown(app) == [id]
    ws.edits.delete_passages([id])
    app = page(ws, deleted="yes", passage=id)
    assert shown(app) == [id]
    press(app, f"restore:{id}")
    assert text_of(ws, id) == "a fact"


def test_many_are_tagged_and_deleted_at_once(ws: Workspace) -> None:
    ids = [ws.edits.insert_passage(f"fact {at}", tags=("old",)) for at in range(3)]
    app = press(page(ws), "pick-page")
    app.checkbox(key=f"pick:{ws.agent_id}:{ids[0]}").uncheck()
    again(app)
    assert any("2 selected" in text.value for text in app.markdown)
    app.multiselect(key=f"bulk-add:{ws.agent_id}").set_value([])
    app.session_state[f"bulk-remove:{ws.agent_id}"] = ["old"]
    press(app, "bulk-tag")
    assert [ws.items([id])[id]["tags"] for id in ids] == [["old"], [], []]
    press(app, "bulk-delete")
    assert shown(app) == [ids[0]]
    press(app, "undo-delete")
    assert sorted(shown(app)) == sorted(ids)


def test_the_past_can_be_read_and_not_edited(ws: Workspace) -> None:
    id = ws.edits.insert_passage("as it was")
    then = ws.last_seq
    ws.edits.edit_passage(id, "as it is", tags=(), based_on=int(id[1:]))
    app = page(ws, step=str(then), passage=id)
    assert "as it was" in html(app)
    assert "as it is" not in html(app)
    for key in (f"edit:{id}", f"delete:{id}"):
        assert app.button(key=key).disabled
    found = page(ws, step=str(then), q="was")
    assert "Recomputed" in found.info[0].value


def test_archival_storage_goes_back_to_an_earlier_event_after_saying_what_would_change(ws: Workspace) -> None:
    kept = ws.edits.insert_passage("first text")
    gone = ws.edits.insert_passage("deleted later")
    then = ws.last_seq
    ws.edits.edit_passage(kept, "second text", tags=(), based_on=int(kept[1:]))
    ws.edits.delete_passages([gone])
    late = ws.edits.insert_passage("stored later")
    before = ws.last_seq
    app = page(ws, view="restore")
    assert any("Nothing differs" in said.value for said in app.success)
    app.number_input[0].set_value(then)
    again(app)
    assert any("3 passages would change" in text.value for text in app.markdown)
    assert ws.last_seq == before
    press(app, "restore-do")
    assert ws.last_seq == before + 3
    assert text_of(ws, kept) == "first text"
    assert text_of(ws, gone) == "deleted later"
    assert not ws.items([late])
    assert f"restore to event {before}" in warnings(app)


def test_a_passage_is_promoted_into_a_block_when_it_fits(ws: Workspace) -> None:
    id = ws.edits.insert_passage("The user plays the cello.")
    label, block = next((label, block) for label, block in ws.state().blocks.items() if not block.read_only)
    app = unfolded(page(ws, passage=id), f"promote:{id}")
    named(app.selectbox, "Into the block").set_value(label)
    again(unfolded(app, f"promote:{id}"))
    left = block.limit_chars - len(block.value) - len("The user plays the cello.") - bool(block.value)
    assert any(f"{left:,} characters** would be left" in text.value for text in app.markdown)
    press(app, f"promote-do:{id}")
    assert ws.state().blocks[label].value.endswith("The user plays the cello.")
    assert text_of(ws, id)
    long = ws.edits.insert_passage("x" * (block.limit_chars + 1))
    app = unfolded(page(ws, passage=long), f"promote:{long}")
    assert app.button(key=f"promote-do:{long}").disabled
    assert any("characters too long" in text.value for text in app.markdown)


# --- near-duplicates, past searches, embedding -----------------------------------------------------------------------


def test_near_duplicates_are_shown_and_merged_with_the_text_a_person_gave(ws: Workspace) -> None:
    one = ws.edits.insert_passage("Ada lives in Lisbon and plays the cello.", tags=("a",))
    other = ws.edits.insert_passage("Ada lives in Lisbon, and plays the cello!", tags=("b",))
    ws.edits.insert_passage("whales sing")
    until(lambda: ws.projections.flush() and not ws.not_embedded)
    app = press(page(ws, view="twins"), "twins")
    assert "1 groups among 3 different texts" in captions(app)
    unfolded(app, f"merge:{one}")
    named(app.text_area, "The merged text").set_value("Ada, a cellist, lives in Lisbon.")
    again(unfolded(app, f"merge:{one}"))
    press(app, f"merge-do:{one}")
    row = ws.items([one])[one]
    assert (row["text"], row["tags"]) == ("Ada, a cellist, lives in Lisbon.", ["a", "b"])
    assert not ws.items([other])
    assert any("No near-duplicates" in said.value for said in app.success)


def test_without_vectors_near_duplicates_are_found_by_their_words(home: Home) -> None:
    ws = home.open(home.create(Blueprint(name="Plain", settings=AgentSettings(embedder="none"))))
    ws.edits.insert_passage("Ada lives in Lisbon and plays the cello every day")
    ws.edits.insert_passage("Ada lives in Lisbon and plays the cello every night")
    app = page(ws, view="twins")
    assert "searches go by words only" in captions(app)
    press(app, "twins")
    assert "1 groups among 2 different texts" in captions(app)


def test_a_past_search_is_run_again_and_says_what_differs(home: Home) -> None:
    ws = home.open(home.start_sample("prober"))
    assert ws.projections.flush()
    rows = ws.rows("SELECT seq_from FROM events WHERE kind = 'archival_searched' ORDER BY 1 DESC LIMIT 10")
    event: Any = next(event for row in rows if (event := ws.event(row["seq_from"])).measured.hits)
    app = press(page(ws, view="searches"), f"again:{event.seq}:then")
    assert any("in the same order, with the same scores" in said.value for said in app.success)
    best = event.measured.hits[0].id
    assert "words rank 1" in html(app)
    ws.edits.delete_passages([best])
    press(app, f"again:{event.seq}:today")
    assert any("1 left the page" in said.value for said in app.info)
    assert f"<b>{best}</b>" in html(app)
    assert "left the page: place 1" in html(app)


def test_what_a_model_server_refused_is_marked_and_embedded_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    with Stub(world) as stub:
        close_home()
        monkeypatch.setenv("OLLAMA_HOST", stub.host)
        home = the_home()
        home.connection.view()
        until(lambda: home.connection.view().state == "found")
        ws = home.open(home.create(Blueprint(name="Stubbed")))
        ws.configure(ws.state().settings.model_copy(update={"embedder": "ollama:stub-embed:latest"}))
        port = stub.port
    id = ws.edits.insert_passage("The sea at Foz is cold.")
    until(lambda: ws.projections.flush() or ws.projections.embedding_fault)
    app = page(ws, passage=id)
    assert "not embedded" in html(app)
    assert "found by words only" in warnings(app)
    assert shown(page(ws, q="Foz")) == [id]
    with Stub(world, port=port):
        press(app, "reembed")
        until(lambda: not ws.projections.reembedding.view().running)
        assert ws.projections.reembedding.view().outcome == (1, 0, "")
        again(app)
        assert "nothing lacks a vector" in captions(app)
        assert "not embedded" not in html(app)
        assert ws.wait_idle(PATIENCE_S)


# --- hostile texts ------------------------------------------------------------------------------------------------


def test_texts_are_shown_as_text(ws: Workspace) -> None:
    hostile = "<script>alert(1)</script> ![x](http://evil.example/x.png) $x$ :red[hi] \u202eleft\x00\x1b[31m"
    id = ws.edits.insert_passage(hostile, tags=("<b>tag</b>",), source="<img src=http://evil.example>")
    for asked in ({}, {"q": "script alert"}, {"passage": id}, {"source": "<img src=http://evil.example>"}):
        app = page(ws, **asked)
        body = html(app)
        assert "<script>" not in body
        assert "<img" not in body
        assert "<b>tag" not in body
        assert "\u202e" not in body
        assert "\x00" not in body
        assert "⟨U+202E⟩" in body
        said = captions(app) + warnings(app)
        assert "![" not in said
