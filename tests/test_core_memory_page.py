"""The core memory page without a browser: what is drawn for which moment, and what a press does to the log."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from memgpt_core.blueprint import Blueprint
from memgpt_core.home import Home
from memgpt_core.llm.base import Progress, Reply
from memgpt_core.views.blocks import AUTHORS
from memgpt_core.views.merge import BETWEEN, THEIRS, YOURS
from memgpt_core.views.worddiff import word_diff
from memgpt_core.workspace import Workspace
from pages.parts import core_marks, core_rows
from tests.engine import PATIENCE_S, ScriptedModel, say
from tests.screens import html

ROOT = Path(__file__).resolve().parents[1]
FACT = "My name is Ada and I live in Leiden."


@pytest.fixture
def page(home: Home) -> Callable[..., AppTest]:
    """Opens the page by way of the chat, as the address says."""

    def run(view: str = "", **params: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30)
        app.switch_page("pages/core_memory.py")
        for name, value in params.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception, app.exception
        if view:
            choose_view(app, view)
        return app

    return run


def choose_view(app: AppTest, view: str) -> None:
    (control,) = [one for one in app.get("button_group") if one.label == "View"]
    control.set_value(view)
    app.run()
    assert not app.exception, app.exception


def button(app: AppTest, beginning: str) -> Any:
    found = [one for one in app.button if str(one.key).startswith(beginning)]
    assert len(found) == 1, [one.key for one in app.button]
    return found[0]


def press(app: AppTest, beginning: str) -> None:
    button(app, beginning).click().run()
    assert not app.exception, app.exception


def field(app: AppTest, beginning: str) -> Any:
    return next(one for one in (*app.text_input, *app.text_area) if one.label.startswith(beginning))


def only(app: AppTest, label: str) -> Any:
    """The one text field of exactly that name."""
    (found,) = [one for one in app.text_input if one.label == label]
    return found


def editing(app: AppTest) -> list[Any]:
    """The open editors."""
    return [one for one in app.text_area if one.label.startswith("Text of")]


def write(app: AppTest, label: str, text: str) -> None:
    field(app, f"Text of {label}").set_value(text).run()
    assert not app.exception, app.exception


def links(app: AppTest, label: str) -> list[str]:
    """The addresses of the page links of that name."""
    return [link.proto.query_string for link in app.get("page_link") if link.proto.label == label]


def said(app: AppTest) -> str:
    return " ".join(one.value for one in app.warning)


def tell(ws: Workspace, text: str) -> None:
    ws.send(text)
    assert ws.wait_idle(30)


def block(ws: Workspace, label: str) -> Any:
    return ws.state().blocks[label]


# --- what is drawn --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", ["companion", "analyst", "prober"])
def test_every_side_is_drawn_at_the_start_the_middle_and_the_end(home: Home, page: Callable, sample: str) -> None:
    ws = home.open(home.start_sample(sample))
    for step in (4, ws.last_seq // 2, None):
        moment = {} if step is None else {"step": str(step)}
        app = page(agent=ws.agent_id, block="human", **moment)
        assert f"{len(ws.state(step).blocks)} blocks in the working context" in html(app)
        for view in ("Lines", "History", "Settings", "Text"):
            choose_view(app, next(name for name in app.get("button_group")[0].options if name.startswith(view)))
            assert not app.error


def test_the_address_chooses_the_block_and_a_wrong_one_is_said(ws: Workspace, page: Callable) -> None:
    assert "I am a helpful companion." in html(page(block="persona"))
    app = page(block="nonsense")
    assert "There is no block “nonsense” here" in said(app)
    press(app, "choose:human")
    assert app.query_params["block"] in ("human", ["human"])
    assert not app.warning


def test_meters_say_characters_tokens_and_the_share_of_the_window(ws: Workspace, page: Callable) -> None:
    shown, persona = html(page()), block(ws, "persona")
    assert f"{len(persona.value)} of {persona.limit_chars:,} characters" in shown
    assert f"{persona.tokens} tokens, {100 * persona.tokens / ws.state().settings.window_tokens:.1f} % of" in shown


def test_hostile_text_is_shown_as_text(ws: Workspace, page: Callable) -> None:
    evil = "<script>hit()</script> ![x](http://example.invalid/y) $x$ \x1b[31m \u202eturned \x00"
    ws.edits.edit_block("human", evil, based_on=block(ws, "human").seq, reason="<b>why</b>")
    for view in ("Text", "Lines and who wrote them", "History"):
        shown = html(page(view, block="human"))
        assert "<script>hit" not in shown
        assert "&lt;script&gt;hit()" in shown
        assert "\u202e" not in shown
        assert "\x1b" not in shown
        assert "U+202E" in shown
        assert "␛" in shown
        assert "<b>why" not in shown


def test_no_blocks_says_what_to_do(ws: Workspace, page: Callable) -> None:
    for label in list(ws.state().blocks):
        ws.edits.delete_block(label, based_on=block(ws, label).seq)
    app = page()
    assert "New block" in app.info[0].value
    assert "Deleted blocks (2)" in [one.label for one in app.expander]


def test_scratch_notes_are_listed_with_their_text(home: Home, page: Callable) -> None:
    ws = home.open(home.start_sample("companion"))
    (note,) = ws.state().notes.values()
    wrote: Any = ws.event(note.seq)
    assert core_marks.shown(wrote.text) in html(page(agent=ws.agent_id))


# --- editing --------------------------------------------------------------------------------------------------


def test_nothing_is_saved_before_its_changes_were_seen(ws: Workspace, page: Callable) -> None:
    app = page(block="persona")
    press(app, "page-edit:persona")
    assert not [one for one in app.button if str(one.key).startswith("page-save")]
    write(app, "persona", "I am a brief companion.")
    shown = html(app)
    assert '<del title="removed">helpful</del>' in shown
    assert '<ins title="added">brief</ins>' in shown
    field(app, "Reason").set_value("too long-winded").run()
    press(app, "page-save:persona")
    made: Any = ws.event(ws.last_seq)
    assert (made.after, made.reason, made.author) == ("I am a brief companion.", "too long-winded", "human")
    assert not editing(app)
    press(app, "page-undo:persona")
    assert block(ws, "persona").value == "I am a helpful companion."


def test_a_press_on_save_for_changes_that_were_not_shown_saves_nothing(ws: Workspace, page: Callable) -> None:
    app = page(block="persona")
    press(app, "page-edit:persona")
    write(app, "persona", "Seen.")
    stale = button(app, "page-save:persona")
    field(app, "Text of persona").set_value("Not seen yet.")
    stale.click().run()
    assert not app.exception
    assert block(ws, "persona").value == "I am a helpful companion."
    press(app, "page-save:persona")
    assert block(ws, "persona").value == "Not seen yet."


def test_what_is_too_long_is_kept_and_not_saved(ws: Workspace, page: Callable) -> None:
    app = page(block="persona")
    press(app, "page-edit:persona")
    write(app, "persona", "x" * (block(ws, "persona").limit_chars + 1))
    assert "too long to save" in html(app)
    assert button(app, "page-save:persona").disabled


def test_a_text_that_was_emptied_can_be_had_back(ws: Workspace, page: Callable) -> None:
    app = page(block="persona")
    press(app, "page-edit:persona")
    write(app, "persona", "Typed at length.")
    write(app, "persona", "")
    press(app, "page-mine:persona")
    assert field(app, "Text of persona").value == "Typed at length."


def _conflict(ws: Workspace, page: Callable, base: str, theirs: str, yours: str) -> AppTest:
    ws.edits.edit_block("human", base, based_on=block(ws, "human").seq)
    app = page(block="human")
    press(app, "page-edit:human")
    write(app, "human", yours)
    ws.edits.edit_block("human", theirs, based_on=block(ws, "human").seq)
    press(app, "page-save:human")
    assert block(ws, "human").value == theirs
    assert "Not saved:" in html(app)
    return app


def test_a_stale_save_shows_three_texts_and_merges_what_fits(ws: Workspace, page: Callable) -> None:
    app = _conflict(ws, page, "Name: Ada\nCity: Leiden", "Name: Ada\nCity: Leiden\nDog: Rex", "Name: Ada\nCity: Delft")
    shown = html(app)
    assert "Base: what you began with" in shown
    assert "Both changes fit together" in shown
    press(app, "page-merge:human")
    assert field(app, "Text of human").value == "Name: Ada\nCity: Delft\nDog: Rex"
    press(app, "page-save:human")
    assert block(ws, "human").value == "Name: Ada\nCity: Delft\nDog: Rex"


def test_a_conflict_is_marked_and_not_saved_before_it_is_settled(ws: Workspace, page: Callable) -> None:
    app = _conflict(ws, page, "City: Leiden", "City: Gouda", "City: Delft")
    press(app, "page-merge:human")
    assert field(app, "Text of human").value == f"{THEIRS}\nCity: Gouda\n{BETWEEN}\nCity: Delft\n{YOURS}"
    assert button(app, "page-save:human").disabled
    press(app, "page-mine:human")
    assert field(app, "Text of human").value == "City: Delft"
    press(app, "page-save:human")
    assert block(ws, "human").value == "City: Delft"


def test_going_on_with_mine_shows_what_it_takes_back(ws: Workspace, page: Callable) -> None:
    app = _conflict(ws, page, "City: Leiden", "City: Gouda", "City: Delft")
    press(app, "page-over:human")
    assert '<del title="removed">Gouda</del>' in html(app)
    press(app, "page-save:human")
    assert block(ws, "human").value == "City: Delft"


def test_keeping_theirs_leaves_the_editor(ws: Workspace, page: Callable) -> None:
    app = _conflict(ws, page, "City: Leiden", "City: Gouda", "City: Delft")
    press(app, "page-keep:human")
    assert not editing(app)
    assert block(ws, "human").value == "City: Gouda"


def test_a_new_limit_meanwhile_is_no_conflict(ws: Workspace, page: Callable) -> None:
    app = page(block="persona")
    press(app, "page-edit:persona")
    write(app, "persona", "Mine.")
    now = block(ws, "persona")
    ws.edits.change_block("persona", description="new", limit_chars=900, read_only=False, based_on=now.seq)
    app.run()
    press(app, "page-save:persona")
    assert block(ws, "persona").value == "Mine."


def test_what_was_typed_survives_another_page_and_another_agent(home: Home, ws: Workspace, page: Callable) -> None:
    other = home.create(Blueprint(name="Other"))
    app = page(agent=ws.agent_id, block="persona")
    press(app, "page-edit:persona")
    write(app, "persona", "Half a thought.")
    app.switch_page("pages/settings.py").run()
    app.switch_page("pages/core_memory.py").run()
    assert field(app, "Text of persona").value == "Half a thought."
    app.query_params["agent"] = other
    app.run()
    assert not editing(app)
    app.query_params["agent"] = ws.agent_id
    app.run()
    assert field(app, "Text of persona").value == "Half a thought."
    app.switch_page("app.py").run()
    assert field(app, "Text of persona").value == "Half a thought."


def test_a_text_for_a_deleted_block_is_kept_and_can_become_a_new_one(ws: Workspace, page: Callable) -> None:
    app = page(block="human")
    press(app, "page-edit:human")
    write(app, "human", "Mine, not lost.")
    ws.edits.delete_block("human", based_on=block(ws, "human").seq)
    press(app, "page-save:human")
    assert "There is no block 'human' any more" in said(app)
    assert "Mine, not lost." in html(app)
    press(app, "left-over-save:human")
    assert block(ws, "human").value == "Mine, not lost."
    assert not [one for one in app.button if str(one.key).startswith("left-over")]


class Held(ScriptedModel):
    """Answers only once it is let go."""

    def __init__(self) -> None:
        super().__init__(then=say("Done."))
        self.let_go = threading.Event()

    def chat(self, body: dict[str, Any], progress: Progress) -> Reply:
        assert self.let_go.wait(PATIENCE_S)
        return super().chat(body, progress)


def test_an_edit_during_a_turn_is_said_to_take_effect_at_the_next_step(home: Home, page: Callable) -> None:
    model = home._models["demo"] = Held()
    ws = home.open(home.create(Blueprint(name="Tester")))
    ws.send(FACT)
    app = page(block="persona")
    (note,) = app.info
    assert "takes effect at its next step, and the agent is told" in note.value
    press(app, "page-edit:persona")
    write(app, "persona", "Edited meanwhile.")
    press(app, "page-save:persona")
    model.let_go.set()
    assert ws.wait_idle(30)
    assert block(ws, "persona").value == "Edited meanwhile."
    told = [event for event in ws.events(1) if event.kind == "trigger_received" and event.cause == "system"]
    assert "persona" in told[-1].text
    app.run()
    assert not app.info


# --- lines ----------------------------------------------------------------------------------------------------


def test_each_line_leads_to_the_message_that_caused_it(ws: Workspace, page: Callable) -> None:
    tell(ws, FACT)
    tell(ws, "I work as a nurse.")
    ws.edits.edit_block("human", f"{block(ws, 'human').value}\nBy hand", based_on=block(ws, "human").seq)
    app = page("Lines and who wrote them", block="human")
    triggers = [event.seq for event in ws.events(1) if event.kind == "trigger_received" and event.cause == "user"]
    assert block(ws, "human").value.split("\n")[-1] == "By hand"
    agents = block(ws, "human").value.split("\n")[:-1]
    messages = links(app, "Message")
    assert len(messages) == len(agents)
    assert {link.split("message=")[1] for link in messages} == {f"m{seq}" for seq in triggers}
    assert len(links(app, "Chat then")) == len(agents) + 1
    assert html(app).count(f"<b>{AUTHORS['human']}</b>") >= 1


def test_a_line_goes_to_archival_and_undo_puts_it_back(ws: Workspace, page: Callable) -> None:
    ws.edits.edit_block("human", "Name: Ada\nOld news\nCity: Leiden", based_on=block(ws, "human").seq)
    app = page("Lines and who wrote them", block="human")
    press(app, "demote:human:1:")
    assert block(ws, "human").value == "Name: Ada\nCity: Leiden"
    assert [row["text"] for row in ws.rows("SELECT text FROM passages WHERE seq_to IS NULL")] == ["Old news"]
    choose_view(app, "Text")
    press(app, "page-undo:human")
    assert block(ws, "human").value == "Name: Ada\nOld news\nCity: Leiden"


# --- history --------------------------------------------------------------------------------------------------


def test_history_follows_a_renaming_and_a_deletion(ws: Workspace, page: Callable) -> None:
    ws.edits.edit_block("human", "One.", based_on=block(ws, "human").seq, reason="first")
    ws.edits.rename_block("human", "user", based_on=block(ws, "human").seq)
    ws.edits.delete_block("user", based_on=block(ws, "user").seq)
    ws.edits.undelete_block("user")
    now = block(ws, "user")
    ws.edits.change_block("user", description=now.description, limit_chars=777, read_only=True, based_on=now.seq)
    ws.edits.define_block("human", value="Another block.")
    shown = html(page("History", block="user"))
    for what in ("created it", "edited the text", "renamed it from human to user", "deleted it", "brought it back"):
        assert what in shown
    assert "why: first" in shown
    assert "777 characters; locked it against the agent" in shown
    assert "Another block." not in shown
    other = html(page("History", block="human"))
    assert "Another block." in other
    assert "One." not in other


def test_a_version_from_before_a_renaming_is_restored(ws: Workspace, page: Callable) -> None:
    ws.edits.edit_block("human", "One.", based_on=block(ws, "human").seq)
    one = ws.last_seq
    ws.edits.edit_block("human", "Two.", based_on=one)
    ws.edits.rename_block("human", "user", based_on=block(ws, "human").seq)
    app = page("History", block="user")
    assert button(app, f"restore:user:{one + 1}").disabled
    press(app, f"restore:user:{one}")
    assert not app.warning, said(app)
    assert block(ws, "user").value == "One."


def test_history_is_paged_and_counts_all(ws: Workspace, page: Callable) -> None:
    for number in range(12):
        ws.edits.edit_block("human", f"Text {number}", based_on=block(ws, "human").seq)
    app = page("History", block="human")
    assert any("1 to 8 of 13 changes" in one.value for one in app.caption)
    assert '<ins title="added">11</ins>' in html(app)
    next(one for one in app.button if one.label == "Next").click().run()
    assert "created it" in html(app)
    assert '<ins title="added">11</ins>' not in html(app)


def test_the_past_is_read_only_and_can_be_restored(ws: Workspace, page: Callable) -> None:
    ws.edits.edit_block("human", "Then.", based_on=block(ws, "human").seq)
    then = ws.last_seq
    ws.edits.edit_block("human", "Now.", based_on=then)
    app = page(block="human", step=str(then))
    assert "Then." in html(app)
    assert "Now." not in html(app)
    assert not [one for one in app.button if str(one.key).startswith(("page-edit", "page-undo"))]
    choose_view(app, "History")
    assert "Now." not in html(app)
    choose_view(app, "Settings and copy")
    assert all(only(app, label).disabled for label in ("Label", "Description", "Limit in characters"))
    assert button(app, "set-label:human").disabled
    press(app, "restore-now:human")
    assert block(ws, "human").value == "Then."


def test_a_block_deleted_since_is_not_restored_from_the_past(ws: Workspace, page: Callable) -> None:
    then = ws.last_seq
    ws.edits.delete_block("human", based_on=block(ws, "human").seq)
    app = page(block="human", step=str(then))
    assert button(app, "restore-now:human").disabled
    assert any("deleted since" in one.value for one in app.caption)


# --- around the text ------------------------------------------------------------------------------------------


def test_a_block_is_made_renamed_deleted_and_brought_back(ws: Workspace, page: Callable) -> None:
    app = page()
    field(app, "Label of the new block").set_value("plans").run()
    field(app, "Text to begin with").set_value("Learn Dutch.").run()
    press(app, "new-block-create")
    assert block(ws, "plans").value == "Learn Dutch."
    choose_view(app, "Settings and copy")
    only(app, "Label").set_value("goals").run()
    press(app, "set-label:plans")
    assert list(ws.state().blocks) == ["persona", "human", "goals"]
    press(app, "delete-it:goals")
    assert "goals" not in ws.state().blocks
    press(app, "undelete:goals")
    assert block(ws, "goals").value == "Learn Dutch."


def test_a_label_that_cannot_be_is_refused_and_kept(ws: Workspace, page: Callable) -> None:
    app = page("Settings and copy", block="human")
    only(app, "Label").set_value("persona").run()
    press(app, "set-label:human")
    assert "already" in said(app)
    assert only(app, "Label").value == "persona"
    assert list(ws.state().blocks) == ["persona", "human"]


def test_limit_description_and_lock_are_changed_one_by_one(ws: Workspace, page: Callable) -> None:
    app = page("Settings and copy", block="persona")
    only(app, "Limit in characters").set_value("3").run()
    assert button(app, "set-limit:persona").disabled
    only(app, "Limit in characters").set_value("500").run()
    press(app, "set-limit:persona")
    assert block(ws, "persona").limit_chars == 500
    only(app, "Description").set_value("Who I am").run()
    press(app, "set-description:persona")
    next(one for one in app.toggle if str(one.key).startswith("lock:")).set_value(True).run()
    now = block(ws, "persona")
    assert (now.description, now.limit_chars, now.read_only) == ("Who I am", 500, True)
    assert "read-only for the agent" in html(app)


def test_a_block_is_copied_to_another_agent_and_names_its_origin(home: Home, ws: Workspace, page: Callable) -> None:
    other = home.open(home.create(Blueprint(name="Other")))
    ws.edits.edit_block("human", "Name: Ada", based_on=block(ws, "human").seq)
    app = page("Settings and copy", agent=ws.agent_id, block="human")
    press(app, "copy-it:human")
    assert "There is a block 'human' already" in said(app)
    field(app, "Label there").set_value("ada").run()
    press(app, "copy-it:human")
    assert block(other, "ada").value == "Name: Ada"
    shown = page(agent=other.agent_id, block="ada")
    assert links(shown, f"A copy of {ws.agent_id}/human")
    stretches = core_rows.life(other, "ada", other.last_seq)
    assert core_rows.origin(other, stretches) == f"{ws.agent_id}/human"
    other.edits.delete_block("ada", based_on=block(other, "ada").seq)
    other.edits.undelete_block("ada")
    assert core_rows.origin(other, core_rows.life(other, "ada", other.last_seq)) == f"{ws.agent_id}/human"
    other.edits.delete_block("ada", based_on=block(other, "ada").seq)
    other.edits.define_block("ada", value="Not a copy.")
    assert core_rows.origin(other, core_rows.life(other, "ada", other.last_seq)) == ""


# --- the reading behind it ------------------------------------------------------------------------------------


def test_a_deleted_block_is_listed_with_its_text_until_it_is_back(ws: Workspace) -> None:
    ws.edits.edit_block("human", "Gone text.", based_on=block(ws, "human").seq)
    before = ws.last_seq
    ws.edits.delete_block("human", based_on=before)
    assert [(one.label, one.text) for one in core_rows.deleted(ws, ws.last_seq, 5)] == [("human", "Gone text.")]
    assert core_rows.deleted(ws, before, 5) == []
    ws.edits.undelete_block("human")
    ws.edits.rename_block("human", "user", based_on=block(ws, "human").seq)
    assert core_rows.deleted(ws, ws.last_seq, 5) == []


def test_a_block_is_found_under_its_present_label(ws: Workspace) -> None:
    then = ws.last_seq
    ws.edits.rename_block("human", "user", based_on=block(ws, "human").seq)
    ws.edits.rename_block("user", "person", based_on=block(ws, "user").seq)
    assert core_rows.label_now(ws, "human", then) == "person"
    ws.edits.delete_block("person", based_on=block(ws, "person").seq)
    assert core_rows.label_now(ws, "human", then) == ""


def test_a_long_diff_leaves_out_what_did_not_change() -> None:
    before = "\n".join(f"line {n}" for n in range(30))
    shown = core_marks.diff(word_diff(before, before.replace("line 15", "line fifteen")), folded=True)
    assert "13 unchanged lines" in shown
    assert "line 14" in shown
    assert "line 2\n" not in shown


def test_a_line_break_alone_is_a_change_one_can_see() -> None:
    assert "↵" in core_marks.diff(word_diff("a", "a\n"))
