"""What each kind means for the rows: model calls, what an event is about, who was in the window, what came back."""

from typing import Any

from memgpt_core.events import ArchivalSearched, Measured, ModelReplied, PromptBuilt
from memgpt_core.project import ABOUT_CHARS, COLUMNS, Insert, Reopen, project
from memgpt_core.rows import MemoryRows
from memgpt_core.settings import AgentSettings
from tests.event_builder import Script


def rows_of(script: Script) -> MemoryRows:
    rows = MemoryRows()
    for before, event in script.pairs():
        rows.take(project(before, event))
    return rows


def residency(script: Script, carrier: str) -> list[tuple[str, str, bool, bool]]:
    """(item, how, whether it is open, whether it was a fault) of everything a message has carried."""
    return [
        (row["item"], row["how"], row["seq_to"] is None, row["fault"])
        for row in rows_of(script).table("residency")
        if row["carrier"] == carrier
    ]


def test_every_row_has_every_column() -> None:
    script = Script().block("human", "x").turn("a", "b").warned().insert("p").flushed(1)
    for before, event in script.pairs():
        for change in project(before, event):
            if isinstance(change, Insert):
                assert list(change.row) == list(COLUMNS[change.table])


def test_a_model_call_is_a_row_of_what_was_sent_and_one_of_what_came() -> None:
    script = Script(settings=AgentSettings(window_tokens=4096, reserve_tokens=96, warn_share=0.5)).trigger("a")
    sent = PromptBuilt(
        purpose="turn",
        sections={"instructions": 30, "messages": 12},
        counted_by="m",
        window_tokens=4096,
        limit_tokens=4000,
        sha256="",
        prefix_tokens=30,
    )
    script.add(sent)
    measured = Measured(prompt_tokens=45, cached_tokens=30, reply_tokens=7, served_window=4096, seconds=1.5, load_s=0.5)
    script.add(ModelReplied(purpose="turn", content="x", measured=measured))
    rows = rows_of(script)
    prompt: Any = rows.table("prompts")[0]
    assert (prompt["instructions_tokens"], prompt["schemas_tokens"], prompt["messages_tokens"]) == (30, 0, 12)
    assert (prompt["total_tokens"], prompt["prefix_tokens"], prompt["limit_tokens"]) == (42, 30, 4000)
    assert (prompt["warn_tokens"], prompt["flush_tokens"], prompt["counted_by"]) == (2000, 4000, "m")
    reply: Any = rows.table("replies")[0]
    assert (reply["prompt_tokens"], reply["cached_tokens"], reply["reply_tokens"], reply["calls"]) == (45, 30, 7, 0)
    assert (reply["served_window"], reply["seconds"], reply["load_s"], reply["prefill_s"]) == (4096, 1.5, 0.5, None)
    assert (prompt["step"], reply["step"]) == (1, 1)


def test_a_row_of_an_event_says_what_it_is_about() -> None:
    script = Script().block("human", "x").trigger("a").prompt().reply("b").returned("f", ok=False).insert("p")
    script.edit_passage("p7", "q").pin("m3").rename_block("human", "user").flushed(1).end()
    script.add(ArchivalSearched(query="long " * 100, page=1, mode="words"))
    events = {row["kind"]: row for row in rows_of(script).table("events")}
    about = {kind: row["about"] for kind, row in events.items()}
    assert about["block_defined"] == about["block_renamed"] == "human"
    assert (about["trigger_received"], about["model_replied"], about["function_returned"]) == ("user", "turn", "f")
    assert (about["archival_edited"], about["message_pinned"], about["turn_ended"]) == ("p7", "m3", "yielded")
    assert about["archival_searched"] == ("long " * 100)[:ABOUT_CHARS]
    assert (events["function_returned"]["ok"], events["archival_edited"]["author"]) == (False, "human")
    assert (events["queue_flushed"]["tokens"], events["trigger_received"]["tokens"]) == (3500, 20)


def test_a_restored_message_carries_again_what_it_carried_and_that_is_no_fault() -> None:
    script = Script().turn("a", "b").flushed(1).trigger("c").returned("conversation_search", "x", holds=["m2", "p9"])
    result = script.message
    script.delete_message(result)
    assert residency(script, result) == [
        (result, "slot", False, False),
        ("m2", "copy", False, True),
        ("p9", "copy", False, False),
    ]
    script.restore_message(result)
    assert residency(script, result)[3:] == [
        (result, "slot", True, False),
        ("m2", "copy", True, False),
        ("p9", "copy", True, False),
    ]


def test_a_message_restored_after_a_flush_is_not_in_the_window() -> None:
    script = Script().turn("a", "b").delete_message("m2").flushed(1).restore_message("m2")
    assert residency(script, "m2") == [("m2", "slot", False, False)]
    assert [row["id"] for row in rows_of(script).current("messages")] == ["m4", "m5", "m2"]


def test_a_requeued_result_brings_back_what_it_holds() -> None:
    script = Script().turn("a", "b").flushed(3).requeue("m5", holds=["m2", "p9"])
    assert residency(script, "m5")[1:] == [
        ("m5", "requeue", True, True),
        ("m2", "copy", True, True),
        ("p9", "copy", True, False),
    ]


def test_a_deleted_passage_goes_on_as_it_was_or_with_another_text() -> None:
    script = Script().insert("one", tags=["t"], source="s").delete_passage("p2").restore_passage("p2")
    (row,) = rows_of(script).current("passages")
    assert (row["text"], row["tags"], row["source"], row["author"], row["seq_from"]) == ("one", ["t"], "s", "agent", 4)
    script.delete_passage("p2").restore_passage("p2", "two", tags=["u"])
    (row,) = rows_of(script).current("passages")
    assert (row["text"], row["tags"], row["author"], row["seq_from"]) == ("two", ["u"], "human", 6)
    assert [(row["seq_from"], row["seq_to"]) for row in rows_of(script).table("passages")] == [
        (2, 3),
        (4, 5),
        (6, None),
    ]


def test_what_stands_or_never_was_is_not_reopened() -> None:
    rows = rows_of(Script().insert("one"))
    before = [dict(row) for row in rows.table("passages")]
    rows.take([Reopen("passages", "p2", 9), Reopen("passages", "p77", 9)])
    assert rows.table("passages") == before
