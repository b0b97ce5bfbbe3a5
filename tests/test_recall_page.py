"""The recall page without a browser: the address as the filter, what each sample shows, and what a person does."""

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from memgpt_core.blueprint import Blueprint
from memgpt_core.home import Home
from memgpt_core.workspace import Workspace
from tests.screens import html, opened

HOSTILE = "<img src=x onerror=alert(1)> ![p](http://evil.example/p.png) $x^2$ :red[hi] \x1b[31m \u202eabc \x00 end"


@pytest.fixture
def ws(home: Home) -> Workspace:
    """An agent to which three things were said."""
    made = home.open(home.create(Blueprint(name="Tester")))
    for text in ("My dog is called Biscuit.", "My sister is Ana.", "What is the name of my cat?"):
        made.send(text)
        assert made.wait_idle(30)
    return made


def page(agent: str, **query: Any) -> AppTest:
    return opened("recall", agent, **query)


def texts(app: AppTest, kind: str) -> str:
    return "\n".join(element.value for element in app.get(kind))


def button(app: AppTest, key: str) -> Any:
    return app.button(key=key)


def asked(app: AppTest, name: str) -> Any:
    found = app.query_params.get(name, [])
    return found[0] if isinstance(found, list) and found else found


def first_user(ws: Workspace) -> str:
    rows = ws.rows("SELECT id FROM messages WHERE role = 'user' AND text LIKE '%Biscuit%' AND seq_to IS NULL")
    return str(rows[0]["id"])


# --- the samples --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", ["companion", "analyst", "prober"])
def test_every_view_draws_each_sample_at_its_start_its_middle_and_its_end(home: Home, sample: str) -> None:
    agent = home.start_sample(sample)
    last = home.open(agent).last_seq
    for step in ("1", str(last // 2), ""):
        at = {"step": step} if step else {}
        n = int(step or last)
        listed = page(agent, **at)
        state = home.open(agent).state(n)
        assert f"{state.messages:,} messages" in html(listed)
        assert len(listed.checkbox) == min(25, state.messages) + 1
        assert not page(agent, view="searches", **at).error
        assert not page(agent, view="sql", **at).error


def test_a_message_opens_in_its_turn_from_the_address_alone(home: Home) -> None:
    agent = home.start_sample("companion")
    app = page(agent, message="m31", q="dog")
    shown = html(app)
    assert "message m31" in shown
    assert "my <mark>dog</mark> is called Biscuit" in shown
    assert "Turn 3" in shown
    assert "6 messages" in shown
    assert "page fault" in shown
    button(app, "close-message").click().run()
    assert "message" not in app.query_params


# --- the address is the filter ------------------------------------------------------------------------------------


def test_a_field_writes_the_address_and_the_address_fills_the_field(ws: Workspace) -> None:
    app = page(ws.agent_id, q="biscuit", mode="words")
    assert app.text_input(key="recall:q").value == "biscuit"
    assert app.selectbox(key="recall:mode").value == "words"
    assert "<mark>Biscuit</mark>" in html(app)
    app.text_input(key="recall:q").set_value("sister").run()
    assert asked(app, "q") == "sister"
    assert "<mark>sister</mark>" in html(app)
    assert "Biscuit" not in html(app)
    app.selectbox(key="recall:where").set_value("pinned").run()
    assert asked(app, "where") == "pinned"
    assert any("No message passes" in info.value for info in app.info)
    app.selectbox(key="recall:where").set_value("").run()
    assert "where" not in app.query_params


def test_the_agents_search_says_how_each_was_ranked_and_why_one_was_not_found(ws: Workspace) -> None:
    app = page(ws.agent_id, q="Biscuit", mode="ranked", why="m10")
    shown = html(app)
    assert "#1 · score" in shown
    assert "words rank 1 (BM25" in shown
    assert "turn 1, step 0" in shown
    assert "old" in shown or "just now" in shown
    assert "<b>m10 is not found.</b> A filter leaves it out: who it is from." in shown
    assert "A message is found through its neighbours" in texts(app, "caption")
    open_one = html(page(ws.agent_id, q="Biscuit", mode="ranked", message=first_user(ws)))
    assert ", on the page that is shown." in open_one


def test_any_query_is_answered(ws: Workspace) -> None:
    app = page(ws.agent_id, q="the of and", mode="ranked")
    for query in ("猫は好き", "\x00\x1b[31m\u202e", "'; DROP TABLE messages; --", "x " * 50_000):
        app.query_params["q"] = query
        app.run()
        assert not app.exception
        assert not app.error
    assert "100,000 characters that are looked for only the first 1,000 are read" in texts(app, "warning")
    assert any("No message passes" in info.value for info in app.info)


def test_what_the_address_says_wrongly_is_told_and_left_out(ws: Workspace) -> None:
    app = page(
        ws.agent_id, where="nowhere", **{"from": "soon"}, session_is="-1", role="boss", mode="x", message="m99999"
    )
    told = texts(app, "warning")
    for piece in ("“nowhere”", "“soon”", "“-1”", "“boss”", "“x”", "no message “m99999”"):
        assert piece in told
    assert len(app.checkbox) > 1


def test_a_day_out_of_range_is_no_crash(ws: Workspace) -> None:
    app = page(ws.agent_id, **{"from": "0001-01-01", "to": "9999-12-31"})
    assert "“0001-01-01”" in texts(app, "warning")
    assert "“9999-12-31”" in texts(app, "warning")


def test_a_regular_expression_that_is_none_gets_a_sentence(ws: Workspace) -> None:
    assert "regular expression" in texts(page(ws.agent_id, q="(", mode="regex"), "warning")


def test_an_agent_without_a_message_is_told_what_to_do(home: Home) -> None:
    app = page(home.create(Blueprint(name="Fresh")))
    assert any("There is no message yet" in info.value for info in app.info)


# --- what a person does -------------------------------------------------------------------------------------------


def test_an_edit_is_saved_with_its_reason_and_every_version_is_shown(ws: Workspace) -> None:
    id = first_user(ws)
    app = page(ws.agent_id, message=id)
    button(app, f"edit:{id}").click().run()
    assert "It is in the window" in texts(app, "caption")
    app.text_area[0].set_value("My dog is called Bagel.").run()
    app.text_input(key=f"message-draft:{ws.agent_id}:{id}:reason").set_value("wrong name").run()
    button(app, f"edit-save:{id}").click().run()
    assert ws.items([id])[id]["text"] == "My dog is called Bagel."
    shown = html(app)
    assert "Versions" in shown
    assert "corrected</b> you: wrong name" in shown
    assert "My dog is called Biscuit." in shown
    assert not app.text_area


def test_a_stale_edit_is_refused_shows_both_and_loses_nothing(ws: Workspace) -> None:
    id = first_user(ws)
    app = page(ws.agent_id, message=id)
    button(app, f"edit:{id}").click().run()
    app.text_area[0].set_value("mine").run()
    row = ws.items([id])[id]
    ws.edits.edit_message(id, "theirs", based_on=row["seq_from"])
    button(app, f"edit-save:{id}").click().run()
    assert "changed while you were editing" in texts(app, "warning")
    assert "Changed while you were editing" in html(app)
    assert "theirs" in html(app)
    assert app.text_area[0].value == "mine"
    button(app, f"edit-both:{id}").click().run()
    assert app.text_area[0].value == "theirs\n\nmine"
    button(app, f"edit-save:{id}").click().run()
    assert ws.items([id])[id]["text"] == "theirs\n\nmine"


def test_an_edit_of_what_was_just_deleted_keeps_the_text_and_offers_the_way_back(ws: Workspace) -> None:
    id = first_user(ws)
    app = page(ws.agent_id, message=id)
    button(app, f"edit:{id}").click().run()
    app.text_area[0].set_value("mine").run()
    ws.edits.delete_messages([id])
    button(app, f"edit-save:{id}").click().run()
    assert "Deleted meanwhile" in html(app)
    assert app.text_area[0].value == "mine"
    button(app, f"edit-restore:{id}").click().run()
    button(app, f"edit-save:{id}").click().run()
    assert ws.items([id])[id]["text"] == "mine"


def test_deleting_many_says_the_effect_first_and_can_be_undone(ws: Workspace) -> None:
    app = page(ws.agent_id, role="user")
    for box in [box for box in app.checkbox if box.label.startswith("Select m")][:2]:
        box.check().run()
    assert "**2 selected**" in texts(app, "markdown")
    assert "2 of 2 are in the window now" in texts(app, "markdown")
    before = ws.state().messages
    button(app, "bulk:delete").click().run()
    assert ws.state().messages == before - 2
    assert "Deleted 2 messages" in texts(app, "markdown")
    button(app, "undo-delete").click().run()
    assert ws.state().messages == before
    assert "Deleted" not in texts(app, "markdown")


def test_a_page_is_selected_at_once_and_copied_to_archival(ws: Workspace) -> None:
    app = page(ws.agent_id, role="user")
    button(app, "pick-page").click().run()
    assert "**3 selected**" in texts(app, "markdown")
    before = ws.state().passages
    app.text_input(key=f"bulk-tags:{ws.agent_id}").set_value("pets, family").run()
    button(app, "bulk:copy").click().run()
    assert ws.state().passages == before + 3
    assert ws.rows("SELECT DISTINCT tags FROM passages WHERE source LIKE 'message %'") == [{"tags": ["pets", "family"]}]
    assert "3 messages are in archival storage now" in texts(app, "warning")


def test_a_message_is_pinned_and_an_evicted_one_brought_back(home: Home) -> None:
    agent = home.start_sample("companion")
    ws = home.open(agent)
    app = page(agent, message="m31")
    assert "it left at event" in html(app)
    button(app, "Bring back:m31").click().run()
    assert [entry.id for entry in ws.state().queue][-1] == "m31"
    assert "queued once more" in html(app)
    button(app, "Pin:m31").click().run()
    assert ws.state().pinned == ("m31",)
    assert len([box for box in page(agent, where="pinned").checkbox if box.label == "Select m31"]) == 1
    button(app, "Unpin:m31").click().run()
    assert ws.state().pinned == ()


def test_a_deleted_message_is_listed_among_the_deleted_and_restored_from_there(ws: Workspace) -> None:
    id = first_user(ws)
    app = page(ws.agent_id, message=id)
    button(app, f"delete:{id}").click().run()
    assert "It can be restored" in html(app)
    app = page(ws.agent_id, where="deleted", message=id)
    assert f"Select {id}" in [box.label for box in app.checkbox]
    button(app, f"Restore:{id}").click().run()
    assert id in ws.items([id])


def test_the_past_can_be_looked_at_and_not_changed(home: Home) -> None:
    app = page(home.start_sample("companion"), step="60", message="m31")
    assert button(app, "edit:m31").disabled
    assert button(app, "Pin:m31").disabled
    assert button(app, "edit:m31").help == "Go back to live to edit"
    later = page(home.first_agent(), step="20", message="m31")
    assert "is not there yet at event 20" in texts(later, "warning")


# --- the agent's own searches -------------------------------------------------------------------------------------


def test_a_past_search_run_as_of_its_own_time_is_the_same_and_today_it_may_differ(home: Home) -> None:
    agent = home.start_sample("companion")
    ws = home.open(agent)
    assert ws.projections.flush()
    seqs = [row["seq_from"] for row in ws.rows("SELECT seq_from FROM events WHERE kind = 'recall_searched'")]
    app = page(agent, view="searches")
    for seq in seqs:
        button(app, f"again:{seq}:then").click().run()
        assert not app.exception
        told = texts(app, "success") + texts(app, "info")
        assert "in the same order, with the same scores" in told or "Nothing was found then" in told
    hits: Any = next(event.measured.hits for seq in seqs if (event := ws.event(seq)).measured.hits)  # type: ignore[union-attr]
    seq = next(seq for seq in seqs if ws.event(seq).measured.hits == hits)  # type: ignore[union-attr]
    ws.edits.delete_messages([hits[0].id])
    button(app, f"again:{seq}:today").click().run()
    assert " left the page" in texts(app, "info")
    assert "left the page: place 1" in html(app)


# --- SQL ----------------------------------------------------------------------------------------------------------


def test_an_example_is_put_in_the_box_run_and_shown(ws: Workspace) -> None:
    app = page(ws.agent_id, view="sql")
    button(app, "example:0").click().run()
    assert "GROUP BY role" in app.text_area[0].value
    button(app, "sql-run").click().run()
    assert "rows** in" in texts(app, "markdown")
    assert list(app.dataframe[0].value.columns) == ["role", "messages", "tokens"]


def test_every_example_is_a_query_that_runs(ws: Workspace) -> None:
    from pages.parts.recall_sql import EXAMPLES

    for label, sql in EXAMPLES:
        assert ws.rows(sql) is not None, label


def test_a_query_that_writes_is_refused_beside_the_box(ws: Workspace) -> None:
    app = page(ws.agent_id, view="sql")
    app.text_area[0].set_value("DELETE FROM messages").run()
    button(app, "sql-run").click().run()
    assert "DELETE statement" in "\n".join(code.value for code in app.code)
    assert app.text_area[0].value == "DELETE FROM messages"
    assert ws.rows("SELECT count(*) AS n FROM messages")[0]["n"] > 0


# --- hostile text -------------------------------------------------------------------------------------------------


def test_hostile_text_is_shown_as_text_everywhere(home: Home) -> None:
    ws = home.open(home.create(Blueprint(name="Tester")))
    ws.send(HOSTILE)
    assert ws.wait_idle(30)
    id = ws.rows("SELECT id FROM messages WHERE role = 'user'")[0]["id"]
    shown = html(page(ws.agent_id, message=id, q="<img"))
    assert "<img" not in shown
    assert "<mark>&lt;img</mark> src=x onerror=alert(1)&gt;" in shown
    assert "\u202e" not in shown
    assert "⟨U+202E⟩" in shown
    assert "\x00" not in shown
    sql = page(ws.agent_id, view="sql")
    sql.text_area[0].set_value("SELECT text FROM messages WHERE role = 'user'").run()
    button(sql, "sql-run").click().run()
    assert "⟨U+202E⟩" in sql.dataframe[0].value["text"][0]
