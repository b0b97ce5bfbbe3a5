"""Everything a person changes by hand: one event each, a base that is checked, a way back, stores that follow.

After every test the agent's stores are compared with its log and the log is rerun.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from memgpt_core.blueprint import BlockPlan, Blueprint
from memgpt_core.edits import hand
from memgpt_core.edits.passages import PASSAGE_CHARS
from memgpt_core.errors import EditRefused, StaleEdit, StoreBroken
from memgpt_core.failpoints import arm, enospc, nth
from memgpt_core.home import Home
from memgpt_core.llm.base import Reply
from memgpt_core.prompt import build
from memgpt_core.queue_manager import message_cap_tokens, pinned_tokens, room_tokens, total_tokens
from memgpt_core.replay import rerun
from memgpt_core.settings import AgentSettings
from memgpt_core.workspace import Workspace
from tests.engine import FakeClock, ScriptedModel, call, kinds, reply, say

PATIENCE_S = 20.0
SMALL = AgentSettings(window_tokens=4096, reserve_tokens=256, embedder="hashing")

Open = Callable[..., Workspace]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Opens agents, each in a home of its own; each must be whole at the end."""
    homes: list[tuple[Home, Workspace]] = []

    def open_(model: Any = None, *, settings: AgentSettings | None = None, blocks: Any = None) -> Workspace:
        models = {"demo": model or ScriptedModel(then=say("ok"))}
        home = Home(tmp_path / f"home{len(homes)}", clock=FakeClock(), models=models, timer=False)
        more = {"blocks": blocks} if blocks is not None else {}
        home.create(Blueprint(name="Tester", settings=settings or AgentSettings(embedder="hashing"), **more))
        homes.append((home, home.open("tester")))
        return homes[-1][1]

    yield open_
    for home, ws in homes:
        assert ws.wait_idle(PATIENCE_S)
        assert ws.verify() == []
        assert rerun(ws.events(1)).difference is None
        home.close()


@pytest.fixture
def ws(opened: Open) -> Workspace:
    return opened()


def say_to(ws: Workspace, text: str = "hi") -> list[Any]:
    start = ws.last_seq + 1
    ws.send(text)
    assert ws.wait_idle(PATIENCE_S)
    return ws.events(start)


def seq_of(ws: Workspace, label: str = "human") -> int:
    return ws.state().blocks[label].seq


def value(ws: Workspace, label: str = "human") -> str:
    return ws.state().blocks[label].value


def row(ws: Workspace, id: str) -> dict[str, Any]:
    return ws.items([id])[id]


def base(ws: Workspace, id: str) -> int:
    return int(row(ws, id)["seq_from"])


def queued(ws: Workspace) -> list[str]:
    return [entry.id for entry in ws.state().queue]


def last(ws: Workspace) -> Any:
    return ws.event(ws.last_seq)


def request(ws: Workspace) -> list[dict[str, Any]]:
    """The messages of the next request but the instructions."""
    messages: list[dict[str, Any]] = build(ws.state(), ws.event).body["messages"][1:]
    return messages


def found(ws: Workspace, words: str) -> list[str]:
    """What has the words itself, and not only beside it."""
    hits = ws.recall(words).hits
    best = max((hit.words_score or 0 for hit in hits), default=0)
    return [hit.id for hit in hits if hit.words_score and hit.words_score > 0.6 * best]


def passages(ws: Workspace, words: str) -> list[str]:
    return [hit.id for hit in ws.archival(words).hits if hit.words_rank]


# --- blocks: text ---------------------------------------------------------------------------------------------------


def test_a_read_only_block_is_locked_against_the_agent_and_not_against_a_person(opened: Open) -> None:
    ws = opened(blocks=(BlockPlan(label="rules", value="Be kind.", read_only=True),))
    ws.edits.edit_block("rules", "Be kind and brief.", based_on=seq_of(ws, "rules"))
    assert value(ws, "rules") == "Be kind and brief."
    assert ws.state().blocks["rules"].read_only


def test_undo_gives_back_the_text_through_a_change_of_label_and_limit(ws: Workspace) -> None:
    with pytest.raises(EditRefused, match="nothing to undo"):
        ws.edits.undo_block("human")
    ws.edits.edit_block("human", "one", based_on=seq_of(ws))
    ws.edits.edit_block("human", "two", based_on=seq_of(ws))
    ws.edits.rename_block("human", "user", based_on=seq_of(ws))
    ws.edits.change_block("user", description="d", limit_chars=50, read_only=False, based_on=seq_of(ws, "user"))
    ws.edits.undo_block("user")
    assert value(ws, "user") == "one"
    ws.edits.undo_block("user")
    assert value(ws, "user") == "two"
    assert "undo of event" in last(ws).reason


def test_any_version_can_be_had_again_as_a_new_edit(ws: Workspace) -> None:
    defined = seq_of(ws)
    ws.edits.edit_block("human", "one", based_on=defined)
    one = seq_of(ws)
    ws.edits.rename_block("human", "user", based_on=one)
    renamed = seq_of(ws, "user")
    ws.edits.edit_block("user", "two", based_on=renamed)
    for seq, text in ((one, "one"), (defined, ""), (renamed, "one"), (ws.last_seq, "two")):
        ws.edits.restore_block("user", seq)
        assert value(ws, "user") == text
    assert last(ws).reason == f"restored from event {renamed + 1}"
    with pytest.raises(EditRefused, match="Event 1 is no version of block 'user'"):
        ws.edits.restore_block("user", 1)


# --- blocks: frame, label, coming and going ---------------------------------------------------------------------------


def test_a_block_is_defined_changed_renamed_deleted_and_brought_back(ws: Workspace) -> None:
    ws.edits.define_block("goals", description="what for", value="learn", limit_chars=100, origin="other/goals")
    made = last(ws)
    assert (made.kind, made.author, made.based_on, made.origin) == ("block_defined", "human", 0, "other/goals")
    assert list(ws.state().blocks) == ["persona", "human", "goals"]
    ws.edits.change_block("goals", description="why", limit_chars=30, read_only=True, based_on=made.seq)
    block = ws.state().blocks["goals"]
    assert (block.description, block.limit_chars, block.read_only, block.value) == ("why", 30, True, "learn")
    ws.edits.rename_block("goals", "aims", based_on=block.seq)
    ws.edits.delete_block("aims", based_on=seq_of(ws, "aims"))
    assert list(ws.state().blocks) == ["persona", "human"]
    ws.edits.undelete_block("aims")
    back = ws.state().blocks["aims"]
    assert back._replace(label="goals", seq=0, tokens=0) == block._replace(seq=0, tokens=0)
    history = [event.kind for event in ws.block_history("aims")]
    assert history == ["block_defined", "block_deleted", "block_renamed", "block_defined", "block_defined"]


def test_a_deleted_block_comes_back_in_front_of_the_block_it_stood_in_front_of(ws: Workspace) -> None:
    for label in ("goals", "plans"):
        ws.edits.define_block(label)
    for label in ("human", "goals", "persona"):
        ws.edits.delete_block(label, based_on=seq_of(ws, label))
    for label in ("persona", "goals", "human"):
        ws.edits.undelete_block(label)
    assert list(ws.state().blocks) == ["persona", "human", "goals", "plans"]
    ws.edits.delete_block("plans", based_on=seq_of(ws, "plans"))
    ws.edits.undelete_block("plans")
    assert list(ws.state().blocks) == ["persona", "human", "goals", "plans"]


@pytest.mark.parametrize(
    ("label", "says"),
    [
        ("Goals", "small letters"),
        ("", "small letters"),
        ("1st", "small letters"),
        ("a" * 41, "small letters"),
        ("a\n", "small letters"),
        ("<b>", "small letters"),
        ("summary", "another part of main context"),
        ("m12", "another part of main context"),
        ("persona", "already"),
    ],
)
def test_a_label_that_cannot_be_or_is_taken_is_refused(ws: Workspace, label: str, says: str) -> None:
    seq = ws.last_seq
    with pytest.raises(EditRefused, match=says):
        ws.edits.define_block(label)
    with pytest.raises(EditRefused, match=says):
        ws.edits.rename_block("human", label, based_on=seq_of(ws))
    assert ws.last_seq == seq


def test_a_limit_below_the_present_text_is_refused(ws: Workspace) -> None:
    ws.edits.edit_block("human", "x" * 60, based_on=seq_of(ws))
    with pytest.raises(EditRefused, match="60 characters and a limit of 59"):
        ws.edits.change_block("human", description="", limit_chars=59, read_only=False, based_on=seq_of(ws))
    with pytest.raises(EditRefused, match="limit_chars"):
        ws.edits.define_block("tiny", limit_chars=5)
    with pytest.raises(EditRefused, match="21 characters and a limit of 20"):
        ws.edits.define_block("tiny", value="x" * 21, limit_chars=20)


def test_the_window_must_still_hold_the_queue(opened: Open) -> None:
    ws = opened(settings=SMALL)
    with pytest.raises(EditRefused, match="The window is too small"):
        ws.edits.define_block("big", value="words and more " * 700, limit_chars=100_000)
    with pytest.raises(EditRefused, match="The window is too small"):
        ws.edits.change_block(
            "human", description="words and more " * 700, limit_chars=50, read_only=False, based_on=seq_of(ws)
        )
    ws.edits.change_block("human", description="", limit_chars=100_000, read_only=False, based_on=seq_of(ws))
    with pytest.raises(EditRefused, match="tokens to the working context"):
        ws.edits.edit_block("human", "words and more " * 700, based_on=seq_of(ws))
    assert value(ws) == ""


def test_every_change_of_a_block_knows_its_base(ws: Workspace) -> None:
    old = seq_of(ws)
    ws.edits.edit_block("human", "theirs", based_on=old)
    attempts: list[Callable[[], None]] = [
        lambda: ws.edits.edit_block("human", "mine", based_on=old),
        lambda: ws.edits.change_block("human", description="mine", limit_chars=99, read_only=True, based_on=old),
        lambda: ws.edits.rename_block("human", "mine", based_on=old),
    ]
    for attempt in attempts:
        with pytest.raises(StaleEdit) as refused:
            attempt()
        assert (refused.value.current, refused.value.yours, refused.value.current_seq) == ("theirs", "mine", old + 1)
    with pytest.raises(StaleEdit):
        ws.edits.delete_block("human", based_on=old)
    ws.edits.delete_block("human", based_on=seq_of(ws))
    with pytest.raises(EditRefused, match=r"no block 'human' any more\. Copy your text"):
        ws.edits.edit_block("human", "mine", based_on=old)


def test_what_was_not_deleted_is_not_brought_back(ws: Workspace) -> None:
    with pytest.raises(EditRefused, match="already"):
        ws.edits.undelete_block("human")
    with pytest.raises(EditRefused, match="No block 'nobody' was deleted"):
        ws.edits.undelete_block("nobody")
    ws.edits.rename_block("human", "user", based_on=seq_of(ws))
    with pytest.raises(EditRefused, match="No block 'human' was deleted"):
        ws.edits.undelete_block("human")


def test_a_change_that_changes_nothing_is_no_event(ws: Workspace) -> None:
    block = ws.state().blocks["human"]
    ws.edits.edit_block("human", block.value, based_on=block.seq)
    ws.edits.rename_block("human", "human", based_on=block.seq)
    ws.edits.change_block(
        "human", description=block.description, limit_chars=block.limit_chars, read_only=False, based_on=block.seq
    )
    assert ws.state().blocks["human"] == block
    assert ws.last_seq == seq_of(ws)


def test_the_history_of_a_label_is_that_of_the_block_that_has_it_now(ws: Workspace) -> None:
    ws.edits.edit_block("human", "the first", based_on=seq_of(ws))
    ws.edits.rename_block("human", "guest", based_on=seq_of(ws))
    ws.edits.define_block("human", value="the second")
    ws.edits.edit_block("guest", "still the first", based_on=seq_of(ws, "guest"))

    def story(label: str, **more: Any) -> list[str]:
        events: list[Any] = ws.block_history(label, **more)
        return [getattr(event, "after", "") or getattr(event, "value", "") or event.kind for event in events]

    assert story("human") == ["the second"]
    assert story("guest") == ["still the first", "block_renamed", "the first", "block_defined"]
    assert story("guest", most=1) == ["still the first"]
    renamed = ws.block_history("guest")[1].seq
    assert story("human", at=renamed - 1) == ["the first", "block_defined"]
    assert story("guest", at=renamed) == ["block_renamed", "the first", "block_defined"]


# --- blocks: told to the agent ----------------------------------------------------------------------------------------


def by_hand(change: Callable[[], None], *after: Reply) -> ScriptedModel:
    def meanwhile(body: Any) -> Reply:
        change()
        return reply(call("note_list", True))

    return ScriptedModel(meanwhile, *after, then=say("ok"))


@pytest.mark.parametrize("told", [True, False])
def test_an_agent_in_a_turn_is_told_of_an_edit_with_the_same_write(opened: Open, told: bool) -> None:
    model = ScriptedModel(then=say("ok"))
    ws = opened(model, settings=AgentSettings(tell_edits=told))
    model.script = by_hand(lambda: ws.edits.edit_block("human", "Name: Ana", based_on=seq_of(ws))).script
    events = say_to(ws)
    edit = next(event for event in events if event.kind == "working_context_edited")
    after = ws.event(edit.seq + 1)
    second = model.bodies[1]["messages"]
    assert "Name: Ana" in second[0]["content"]
    assert (after.kind == "trigger_received") == told
    if told:
        assert (after.cause, after.turn) == ("system", edit.turn)  # type: ignore[union-attr]
        assert [message["role"] for message in second[-3:]] == ["user", "assistant", "tool"]
        assert "edited core memory block 'human'" in json.loads(second[-3]["content"])["message"]


def test_what_a_person_does_between_a_call_and_its_result_stands_behind_both(opened: Open) -> None:
    model = ScriptedModel(reply(call("note_list", True), call("note_list", True)), then=say("ok"))
    ws = opened(model)

    def edit() -> None:
        ws.edits.edit_block("human", "Name: Ana", based_on=seq_of(ws))

    with arm("function.before_commit", nth(2, edit)):
        say_to(ws)
    second = model.bodies[1]["messages"]
    assert [message["role"] for message in second[-4:]] == ["assistant", "tool", "tool", "user"]
    assert "edited core memory block 'human'" in json.loads(second[-1]["content"])["message"]


def test_every_change_of_a_block_in_a_turn_is_told(opened: Open) -> None:
    model = ScriptedModel(then=say("ok"))
    ws = opened(model)

    def change() -> None:
        ws.edits.define_block("goals", value="learn")
        ws.edits.change_block("goals", description="", limit_chars=99, read_only=True, based_on=seq_of(ws, "goals"))
        ws.edits.rename_block("goals", "aims", based_on=seq_of(ws, "goals"))
        ws.edits.delete_block("aims", based_on=seq_of(ws, "aims"))
        ws.edits.undelete_block("aims")

    model.script = by_hand(change).script
    events = say_to(ws)
    said = [event.text for event in events if event.kind == "trigger_received" and event.cause == "system"]
    assert len(said) == 5
    for text, part in zip(said, ("added", "read-only for you now", "renamed", "deleted", "brought back"), strict=True):
        assert part in text


def test_between_turns_nobody_is_told(ws: Workspace) -> None:
    say_to(ws)
    ws.edits.edit_block("human", "x", based_on=seq_of(ws))
    assert last(ws).kind == "working_context_edited"


# --- messages: their text ---------------------------------------------------------------------------------------------


def talked(ws: Workspace, text: str = "my cat is called Ophelia") -> tuple[str, str]:
    """(id of what the user said, id of the reply) of one turn."""
    events = say_to(ws, text)
    trigger = next(event.seq for event in events if event.kind == "trigger_received" and event.cause == "user")
    answer = next(event.seq for event in events if event.kind == "model_replied")
    return f"m{trigger}", f"m{answer}"


def evicted(opened: Open) -> tuple[Workspace, str, str]:
    """An agent from whose window the first exchange has left."""
    ws = opened(settings=SMALL)
    asked, answered = talked(ws, "the password is Rosebud " + "and so on " * 30)
    while asked in queued(ws):
        say_to(ws, "chatter " * 80)
    return ws, asked, answered


def test_an_edited_message_is_found_by_its_new_text_and_not_by_its_old(ws: Workspace) -> None:
    asked, answered = talked(ws)
    assert found(ws, "Ophelia") == [asked]
    ws.projections.flush()
    ws.edits.edit_message(asked, "my cat is called Desdemona", based_on=base(ws, asked), reason="a slip")
    edit = last(ws)
    assert (edit.author, edit.reason, edit.based_on) == ("human", "a slip", int(asked[1:]))
    for _ in range(2):
        assert found(ws, "Ophelia") == []
        assert found(ws, "Desdemona") == [asked]
        ws.projections.flush()
    assert "Desdemona" in request(ws)[1]["content"]
    entry = next(entry for entry in ws.state().queue if entry.id == asked)
    assert entry.tokens == edit.measured.tokens > 0
    ws.edits.edit_message(answered, "noted", based_on=base(ws, answered))
    assert request(ws)[2]["tool_calls"][0]["function"]["arguments"] == {"message": "noted"}


def test_a_stale_edit_of_a_message_is_refused_with_both_texts(ws: Workspace) -> None:
    asked, _ = talked(ws)
    old = base(ws, asked)
    ws.edits.edit_message(asked, "theirs", based_on=old)
    with pytest.raises(StaleEdit) as refused:
        ws.edits.edit_message(asked, "mine", based_on=old)
    assert (refused.value.current, refused.value.yours) == ("theirs", "mine")
    assert refused.value.current_seq == base(ws, asked)
    ws.edits.edit_message(asked, "both", based_on=refused.value.current_seq)
    ws.edits.edit_message(asked, "both", based_on=base(ws, asked))
    assert last(ws).text == "both"
    assert row(ws, asked)["text"] == "both"


def test_an_edit_of_what_is_gone_or_never_was_is_refused(ws: Workspace) -> None:
    asked, _ = talked(ws)
    seen = base(ws, asked)
    ws.edits.delete_messages([asked])
    with pytest.raises(EditRefused, match=f"Message {asked} was deleted meanwhile. Copy your text"):
        ws.edits.edit_message(asked, "mine", based_on=seen)
    with pytest.raises(EditRefused, match="There is no message m99999"):
        ws.edits.edit_message("m99999", "mine", based_on=1)
    with pytest.raises(EditRefused, match="is no id of a message"):
        ws.edits.edit_message("p1; DROP", "mine", based_on=1)
    with pytest.raises(EditRefused, match="cannot be empty"):
        ws.edits.edit_message(asked, " \n", based_on=seen)
    with pytest.raises(EditRefused, match="No message is chosen"):
        ws.edits.delete_messages([])


def test_a_long_edit_of_a_queued_message_is_clipped_like_a_new_one(opened: Open) -> None:
    ws = opened(settings=SMALL)
    asked, _ = talked(ws)
    ws.edits.edit_message(asked, "BEGIN " + "some words " * 9000 + " END", based_on=base(ws, asked))
    entry = next(entry for entry in ws.state().queue if entry.id == asked)
    assert entry.tokens <= message_cap_tokens(ws.state())
    shown = json.loads(request(ws)[1]["content"])["message"]
    assert shown.startswith("BEGIN some")
    assert shown.endswith(" END")
    assert "characters are left out" in shown
    assert len(row(ws, asked)["text"]) > 90_000
    say_to(ws)


def test_an_edit_of_an_evicted_message_leaves_the_window_alone(opened: Open) -> None:
    ws, asked, _ = evicted(opened)
    before = ws.state().queue
    ws.edits.edit_message(asked, "the password is Kane", based_on=base(ws, asked))
    assert ws.state().queue == before
    assert found(ws, "Kane") == [asked]


# --- messages: deleted and restored -----------------------------------------------------------------------------------


def test_deleted_messages_are_gone_everywhere_and_come_back_where_they_were(ws: Workspace) -> None:
    asked, answered = talked(ws)
    ws.edits.edit_message(asked, "my cat is called Portia", based_on=base(ws, asked))
    before, whole = ws.state().queue, request(ws)
    ws.edits.delete_messages([asked, answered, asked])
    assert not {asked, answered} & set(queued(ws))
    assert found(ws, "Portia") == []
    assert ws.items([asked, answered]) == {}
    assert "no longer in main context" in request(ws)[1]["content"], "the result of the call that is gone"
    ws.projections.flush()
    ws.edits.restore_messages([answered, asked])
    assert ws.state().queue == before
    assert request(ws) == whole
    assert found(ws, "Portia") == [asked]
    open_ = ws.rows("SELECT item, how FROM residency WHERE seq_to IS NULL ORDER BY item")
    assert {(row["item"], row["how"]) for row in open_} == {(id, "slot") for id in queued(ws)}


def test_a_deleted_message_that_was_pinned_is_pinned_again_where_it_still_has_its_place(opened: Open) -> None:
    ws = opened(settings=SMALL)
    asked, answered = talked(ws, "the password is Rosebud")
    ws.edits.pin([asked])
    ws.edits.delete_messages([asked, answered])
    assert ws.state().pinned == ()
    ws.edits.restore_messages([asked, answered])
    assert ws.state().pinned == (asked,)
    ws.edits.pin([asked], pinned=False)
    ws.edits.delete_messages([asked])
    ws.edits.restore_messages([asked])
    assert ws.state().pinned == (), "what it was when it was deleted last"
    ws.edits.pin([asked])
    ws.edits.delete_messages([asked])
    flushes = ws.state().flushes
    while ws.state().flushes == flushes:
        say_to(ws, "chatter " * 80)
    ws.edits.restore_messages([asked])
    assert asked not in queued(ws)
    assert ws.state().pinned == ()


def test_a_message_restored_after_a_flush_is_in_recall_storage_alone(opened: Open) -> None:
    ws = opened(settings=SMALL)
    asked, _ = talked(ws, "the password is Rosebud")
    ws.edits.delete_messages([asked])
    while not ws.state().flushes:
        say_to(ws, "chatter " * 80)
    ws.edits.restore_messages([asked])
    assert last(ws).queued is False
    assert asked not in queued(ws)
    assert found(ws, "Rosebud") == [asked]


def test_what_is_deleted_already_or_not_deleted_is_refused_and_nothing_is_done(ws: Workspace) -> None:
    asked, answered = talked(ws)
    seq = ws.last_seq
    with pytest.raises(EditRefused, match=f"Message {asked} is not deleted"):
        ws.edits.restore_messages([asked])
    with pytest.raises(EditRefused, match="There is no message m77777"):
        ws.edits.restore_messages(["m77777"])
    with pytest.raises(EditRefused, match="There is no message m77777"):
        ws.edits.delete_messages([asked, "m77777"])
    assert ws.last_seq == seq
    ws.edits.delete_messages([asked])
    with pytest.raises(EditRefused, match=f"Message {asked} was deleted meanwhile"):
        ws.edits.delete_messages([answered, asked])
    assert row(ws, answered)


def test_what_the_running_turn_is_about_is_not_deleted(opened: Open) -> None:
    model = ScriptedModel(then=say("ok"))
    ws = opened(model)
    refused: list[str] = []

    def delete() -> None:
        try:
            ws.edits.delete_messages([queued(ws)[-1]])
        except EditRefused as error:
            refused.append(str(error))

    model.script = by_hand(delete).script
    say_to(ws)
    assert len(refused) == 1
    assert "Stop the turn" in refused[0]


def test_many_are_deleted_in_batches_or_not_at_all(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hand, "BATCH", 3)
    ids = [id for n in range(4) for id in talked(ws, f"number {n}")]
    seq = ws.last_seq
    with pytest.raises(EditRefused, match="m88888"):
        ws.edits.delete_messages([*ids, "m88888"])
    assert ws.last_seq == seq
    ws.edits.delete_messages(ids)
    assert ws.items(ids) == {}
    ws.edits.restore_messages(ids)
    assert set(ids) <= set(queued(ws))
    assert ws.last_seq == seq + 16


# --- messages: brought back and pinned --------------------------------------------------------------------------------


def test_an_evicted_message_comes_back_at_the_end_and_says_so(opened: Open) -> None:
    ws, asked, answered = evicted(opened)
    ws.edits.requeue([answered, asked])
    assert queued(ws)[-2:] == [asked, answered], "oldest first"
    texts = [json.loads(message["content"])["message"] for message in request(ws)[-2:]]
    assert texts[0].startswith("Brought back from recall storage. The user wrote: the password is Rosebud")
    assert texts[1] == "Brought back from recall storage. You wrote: ok"
    faults = ws.rows("SELECT item FROM residency WHERE how = 'requeue' AND fault ORDER BY item")
    assert {row["item"] for row in faults} == {asked, answered}
    with pytest.raises(EditRefused, match=f"Message {asked} is in the window already"):
        ws.edits.requeue([asked])
    ws.edits.delete_messages([asked])
    with pytest.raises(EditRefused, match="deleted"):
        ws.edits.requeue([asked])
    ws.edits.restore_messages([asked])
    assert queued(ws)[-2:] == [asked, answered]
    say_to(ws)


def test_a_result_that_comes_back_alone_is_no_tool_message(opened: Open) -> None:
    ws = opened(ScriptedModel(reply(call("conversation_search", True, query="hi")), then=say("ok")), settings=SMALL)
    say_to(ws, "hi")
    result = f"m{next(event.seq for event in ws.events(1) if event.kind == 'function_returned')}"
    held = next(entry.holds for entry in ws.state().queue if entry.id == result)
    while result in queued(ws):
        say_to(ws, "chatter " * 80)
    ws.edits.requeue([result])
    message = request(ws)[-1]
    assert message["role"] == "user"
    assert json.loads(message["content"])["message"].startswith(
        "Brought back from recall storage. Result of conversation_search: "
    )
    assert ws.state().queue[-1].holds == held
    say_to(ws)


def test_more_than_half_of_the_room_is_not_brought_back_at_once(opened: Open) -> None:
    ws = opened(settings=SMALL)
    ids = [talked(ws, f"{n} " + "some more words " * 80)[0] for n in range(12)]
    gone = [id for id in ids if id not in queued(ws)]
    seq = ws.last_seq
    with pytest.raises(EditRefused, match=f"{room_tokens(ws.state()) // 2} tokens, half of the queue's room"):
        ws.edits.requeue(gone)
    assert ws.last_seq == seq
    ws.edits.requeue(gone[:1])
    assert queued(ws)[-1] == gone[0]


def test_a_pinned_message_outlives_every_flush_with_its_call(opened: Open) -> None:
    ws = opened(settings=SMALL)
    asked, answered = talked(ws, "the password is Rosebud")
    result = next(entry.id for entry in ws.state().queue if entry.kind == "function_returned")
    ws.edits.pin([asked, answered])
    assert ws.state().pinned == (asked, answered)
    while ws.state().flushes < 2:
        say_to(ws, "chatter " * 80)
    assert queued(ws)[:3] == [asked, answered, result]
    ws.edits.pin([asked, answered], pinned=False)
    while ws.state().flushes < 3:
        say_to(ws, "chatter " * 80)
    assert not {asked, answered, result} & set(queued(ws))


def test_pinning_what_left_brings_it_back_in_one_write(opened: Open) -> None:
    ws, asked, _ = evicted(opened)
    ws.edits.pin([asked])
    assert kinds(ws.events(ws.last_seq - 1)) == ["message_requeued", "message_pinned"]
    seq = ws.last_seq
    ws.edits.pin([asked])
    assert ws.last_seq == seq, "it is pinned already"


def test_pins_may_take_half_of_the_queues_room(opened: Open) -> None:
    ws = opened(settings=SMALL)
    half = room_tokens(ws.state()) // 2
    ids = []
    while pinned_tokens(ws.state()) < half - 500:
        ids.append(talked(ws, "some more words " * 80)[0])
        ws.edits.pin(ids[-1:])
    more = [talked(ws, "some more words " * 80)[0] for _ in range(2)]
    with pytest.raises(EditRefused, match=f"they may take {half}"):
        ws.edits.pin(more)
    assert ws.state().pinned == tuple(ids)
    for _ in range(6):
        say_to(ws, "chatter " * 80)
    assert total_tokens(ws.state()) <= ws.state().settings.limit_tokens


# --- messages: what an edit would do, and a copy in archival storage --------------------------------------------------


def test_the_effect_is_said_before_and_is_what_happens(opened: Open) -> None:
    ws = opened()
    asked, _ = talked(ws)
    for text in ("much longer than it was before " * 5, None):
        said = ws.edits.message_effect(asked, text)
        assert said.in_window
        assert said.tokens_before == total_tokens(ws.state())
        assert str(said.tokens_after) in said.says
        if text is None:
            ws.edits.delete_messages([asked])
        else:
            ws.edits.edit_message(asked, text, based_on=base(ws, asked))
        assert total_tokens(ws.state()) == said.tokens_after != said.tokens_before


def test_the_effect_on_what_left_is_none(opened: Open) -> None:
    ws, asked, _ = evicted(opened)
    seq = ws.last_seq
    said = ws.edits.message_effect(asked, "x")
    assert (said.in_window, said.tokens_before) == (False, said.tokens_after)
    assert "not in the window" in said.says
    assert ws.last_seq == seq


def test_messages_are_copied_to_archival_storage(ws: Workspace) -> None:
    asked, answered = talked(ws)
    made = ws.edits.messages_to_archival([asked, answered], tags=[" pets ", "pets", ""])
    rows = [row(ws, id) for id in made]
    assert [one["text"] for one in rows] == ["my cat is called Ophelia", "ok"]
    assert {(*one["tags"], one["author"]) for one in rows} == {("pets", "human")}
    assert rows[0]["source"] == f"message {asked}"
    assert passages(ws, "Ophelia") == [made[0]]
    assert row(ws, asked)["text"] == "my cat is called Ophelia"


def test_a_message_of_calls_alone_cannot_be_copied(opened: Open) -> None:
    ws = opened(ScriptedModel(reply(call("note_list", True)), then=say("ok")))
    _, answered = talked(ws)
    with pytest.raises(EditRefused, match=f"There is no text in message {answered}"):
        ws.edits.messages_to_archival([answered])


# --- passages ---------------------------------------------------------------------------------------------------------


def test_an_edited_passage_is_found_by_its_new_text_and_vector_and_not_by_its_old(ws: Workspace) -> None:
    id = ws.edits.insert_passage("sailing to Lisbon", tags=["sea", "sea "], source="me")
    assert (row(ws, id)["tags"], row(ws, id)["author"], row(ws, id)["source"]) == (["sea"], "human", "me")
    ws.projections.flush()
    ws.edits.edit_passage(id, "hiking in Norway", tags=["land"], based_on=base(ws, id), reason="moved")
    for _ in range(2):
        assert passages(ws, "sailing Lisbon") == []
        hit = ws.archival("hiking in Norway").hits[0]
        assert (hit.id, hit.vector_score) == (id, 1.0)
        assert all(hit.vector_score is None or hit.vector_score < 0.5 for hit in ws.archival("sailing to Lisbon").hits)
        assert ws.archival("Norway", tags=["sea"]).total == 0
        ws.projections.flush()
    assert last(ws).reason == "moved"


def test_a_stale_or_late_edit_of_a_passage_is_refused(ws: Workspace) -> None:
    id = ws.edits.insert_passage("one")
    old = base(ws, id)
    ws.edits.tag_passages([id], add=["t"])
    with pytest.raises(StaleEdit) as refused:
        ws.edits.edit_passage(id, "mine", tags=[], based_on=old)
    assert (refused.value.current, refused.value.yours, refused.value.current_seq) == ("one", "mine", base(ws, id))
    seen = base(ws, id)
    ws.edits.delete_passages([id])
    with pytest.raises(EditRefused, match=f"Passage {id} was deleted meanwhile. Copy your text"):
        ws.edits.edit_passage(id, "mine", tags=[], based_on=seen)
    with pytest.raises(EditRefused, match="There is no passage p9999"):
        ws.edits.tag_passages(["p9999"], add=["x"])


def test_a_passage_is_neither_empty_nor_a_document(ws: Workspace) -> None:
    with pytest.raises(EditRefused, match="empty"):
        ws.edits.insert_passage(" \n\t")
    with pytest.raises(
        EditRefused, match=f"{PASSAGE_CHARS + 1} characters and a passage holds at most {PASSAGE_CHARS}"
    ):
        ws.edits.insert_passage("x" * (PASSAGE_CHARS + 1))
    id = ws.edits.insert_passage("y" * PASSAGE_CHARS)
    with pytest.raises(EditRefused, match="at most"):
        ws.edits.edit_passage(id, "z" * 10_000_000, tags=[], based_on=base(ws, id))
    with pytest.raises(EditRefused, match="at most"):
        ws.edits.merge_passages(id, [ws.edits.insert_passage("b")], text="x" * (PASSAGE_CHARS + 1), tags=())


def test_strange_characters_are_kept_and_half_characters_are_marked(ws: Workspace) -> None:
    strange = "NUL \x00 esc \x1b[31m rtl \u202e <b>x</b> 🌲 \u2028"
    id = ws.edits.insert_passage(strange + "\ud800", tags=["\x00t"], source="\x1bs")
    assert row(ws, id)["text"] == strange + "\ufffd"
    assert (row(ws, id)["tags"], row(ws, id)["source"]) == (["\x00t"], "\x1bs")
    ws.edits.edit_block("human", strange, based_on=seq_of(ws))
    assert value(ws) == strange


def test_tags_are_added_and_taken_where_that_changes_something(ws: Workspace) -> None:
    one, two = ws.edits.insert_passage("one", tags=["a"]), ws.edits.insert_passage("two", tags=["b"])
    seq = ws.last_seq
    ws.edits.tag_passages([one, two], add=["b", "c"], remove=["a"])
    assert (row(ws, one)["tags"], row(ws, two)["tags"]) == (["b", "c"], ["b", "c"])
    ws.edits.tag_passages([one, two], add=["b"])
    assert ws.last_seq == seq + 2


def test_a_deleted_passage_comes_back_under_its_id(ws: Workspace) -> None:
    id = ws.edits.insert_passage("sailing to Lisbon", tags=["sea"])
    ws.edits.edit_passage(id, "sailing to Porto", tags=["sea"], based_on=base(ws, id))
    before = row(ws, id)
    ws.edits.delete_passages([id], reason="wrong")
    assert passages(ws, "Porto") == []
    assert ws.state().passages == 0
    ws.projections.flush()
    with pytest.raises(EditRefused, match="deleted meanwhile"):
        ws.edits.delete_passages([id])
    ws.edits.restore_passages([id])
    assert passages(ws, "Porto") == [id]
    assert {**row(ws, id), "seq_from": 0} == {**before, "seq_from": 0}
    with pytest.raises(EditRefused, match=f"Passage {id} is not deleted"):
        ws.edits.restore_passages([id])


def test_merged_passages_are_one(ws: Workspace) -> None:
    one, two, three = (ws.edits.insert_passage(text) for text in ("cats purr", "cats do purr", "dogs bark"))
    seq = ws.last_seq
    ws.edits.merge_passages(one, [two, one, three], text="cats purr, dogs bark", tags=["pets"])
    assert kinds(ws.events(seq + 1)) == ["archival_edited", "archival_deleted", "archival_deleted"]
    assert ws.event(seq + 2).reason == f"merged into {one}"  # type: ignore[union-attr]
    assert passages(ws, "dogs") == [one]
    assert row(ws, one)["tags"] == ["pets"]
    with pytest.raises(EditRefused, match="at least two"):
        ws.edits.merge_passages(one, [one], text="x", tags=())


# --- archival storage as of an earlier event --------------------------------------------------------------------------


def test_archival_storage_is_put_back_with_one_event_a_passage(ws: Workspace) -> None:
    kept, changed, gone, tagged, both = (
        ws.edits.insert_passage(text, tags=["t"]) for text in ("kept", "changed", "gone", "tagged", "both")
    )
    n = ws.last_seq
    ws.edits.edit_passage(changed, "changed since", tags=["t"], based_on=base(ws, changed))
    ws.edits.delete_passages([gone])
    ws.edits.tag_passages([tagged], add=["new"])
    ws.edits.edit_passage(both, "both, then deleted", tags=["u"], based_on=base(ws, both))
    ws.edits.delete_passages([both])
    late = ws.edits.insert_passage("late")
    passing = ws.edits.insert_passage("came and went")
    ws.edits.delete_passages([passing])
    now = ws.last_seq
    plan = {one.passage: one for one in ws.edits.archival_plan(n)}
    assert {id: one.what for id, one in plan.items()} == {
        changed: "edit",
        gone: "restore",
        tagged: "edit",
        both: "restore",
        late: "delete",
    }
    assert (plan[changed].now, plan[changed].then) == ("changed since", "changed")
    assert (plan[tagged].now_tags, plan[tagged].then_tags) == (("t", "new"), ("t",))
    assert (plan[both].now, plan[both].then, plan[late].then) == ("", "both", "")
    assert ws.edits.restore_archival(n) == 5
    assert ws.last_seq == now + 5
    texts = {row["id"]: (row["text"], row["tags"]) for row in ws.rows("SELECT * FROM passages WHERE seq_to IS NULL")}
    assert texts == {
        kept: ("kept", ["t"]),
        changed: ("changed", ["t"]),
        gone: ("gone", ["t"]),
        tagged: ("tagged", ["t"]),
        both: ("both", ["t"]),
    }
    assert passages(ws, "both") == [both]
    assert ws.edits.restore_archival(n) == 0
    assert ws.edits.restore_archival(now) == 5, "and back again"
    assert ws.edits.archival_plan(now) == []


def test_there_is_no_archival_storage_of_an_event_to_come(ws: Workspace) -> None:
    for n in (-1, ws.last_seq + 1):
        with pytest.raises(EditRefused, match=f"events 1 to {ws.last_seq}"):
            ws.edits.restore_archival(n)


# --- from tier to tier ----------------------------------------------------------------------------------------------


def test_a_passage_is_promoted_into_a_block(ws: Workspace) -> None:
    id = ws.edits.insert_passage("likes tea")
    ws.edits.promote_passage(id, "human")
    ws.edits.promote_passage(id, "human")
    assert value(ws) == "likes tea\nlikes tea"
    assert last(ws).reason == f"from passage {id}"
    assert row(ws, id)
    big = ws.edits.insert_passage("x" * 3000)
    with pytest.raises(EditRefused, match="2000 characters"):
        ws.edits.promote_passage(big, "human")
    with pytest.raises(EditRefused, match="no block 'nobody'"):
        ws.edits.promote_passage(id, "nobody")


def test_a_line_is_demoted_into_archival_storage_in_one_write(ws: Workspace) -> None:
    ws.edits.edit_block("human", "Ana\n\nlikes tea\nhas a cat", based_on=seq_of(ws))
    seen = seq_of(ws)
    id = ws.edits.demote_line("human", 2, based_on=seen)
    assert value(ws) == "Ana\n\nhas a cat"
    assert (row(ws, id)["text"], row(ws, id)["source"]) == ("likes tea", "block human")
    assert kinds(ws.events(seen + 1)) == ["archival_inserted", "working_context_edited"]
    with pytest.raises(StaleEdit):
        ws.edits.demote_line("human", 0, based_on=seen)
    with pytest.raises(EditRefused, match="no line 4"):
        ws.edits.demote_line("human", 3, based_on=seq_of(ws))
    with pytest.raises(EditRefused, match="empty"):
        ws.edits.demote_line("human", 1, based_on=seq_of(ws))
    ws.edits.undo_block("human")
    assert value(ws) == "Ana\n\nlikes tea\nhas a cat"
    assert row(ws, id), "an undo of the block leaves the passage"


# --- when a store fails -----------------------------------------------------------------------------------------------


def test_nothing_is_decided_on_rows_that_are_behind_the_log(ws: Workspace) -> None:
    asked, _ = talked(ws)
    seen = base(ws, asked)
    ws.edits.edit_message(asked, "theirs", based_on=seen)
    with arm("project.before_commit", enospc):
        with pytest.raises(StoreBroken, match="disk"):
            ws.edits.edit_message(asked, "mine", based_on=seen)
        ws.edits.edit_block("human", "needs no row", based_on=seq_of(ws))
    with pytest.raises(StaleEdit):
        ws.edits.edit_message(asked, "mine", based_on=seen)
