"""What becomes of evicted messages under each strategy: what the slot says, what is stored, and the same in a rerun."""

from collections.abc import Callable
from typing import Any

import pytest

from memgpt_core.errors import ContextOverflow
from memgpt_core.events import Measured, MessageDeleted, MessageEdited, MessagePinned
from memgpt_core.llm.base import Reply
from memgpt_core.prompt import build
from memgpt_core.replay import rerun
from memgpt_core.settings import AgentSettings
from memgpt_core.strategies import SOURCE, STRATEGIES
from tests.engine import Engine, call, kinds, reply, say

Make = Callable[..., Engine]


def small(strategy: Any) -> AgentSettings:
    return AgentSettings(window_tokens=4096, reserve_tokens=256, strategy=strategy)


def until_flushed(one: Engine, flushes: int = 1) -> list[Any]:
    """Talk until that many flushes are done; all events."""
    n = 0
    while one.state.flushes < flushes:
        n += 1
        one.tell(f"message {n}: " + "chatter " * 60)
        assert n < 60
    return one.events


def flush_of(events: list[Any]) -> Any:
    return [event for event in events if event.kind == "queue_flushed"][-1]


def passages_of(events: list[Any]) -> list[Any]:
    return [event for event in events if event.kind == "archival_inserted"]


def slot(one: Engine) -> str:
    return str(build(one.state, one.journal.read).body["messages"][1]["content"])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_life_under_each_strategy_reruns_byte_for_byte(engine: Make, strategy: str) -> None:
    one = engine(then=say("ok"), settings=small(strategy))
    events = until_flushed(one, 3)
    flushed = flush_of(events)
    assert flushed.strategy == strategy
    assert flushed.tokens_after < flushed.tokens_before
    asked_model = any(event.kind == "prompt_built" and event.purpose == "summary" for event in events)
    assert asked_model == STRATEGIES[strategy].summarises
    assert flushed.summarised_by == ("model" if asked_model else "none")
    assert rerun(events).difference is None
    for cut in range(1, len(events), 9):
        assert rerun(events[:cut]).difference is None


def test_the_settings_name_every_strategy() -> None:
    named = AgentSettings.model_json_schema()["properties"]["strategy"]["enum"]
    assert named == list(STRATEGIES)


def test_the_archived_summary_is_the_one_in_the_slot(engine: Make) -> None:
    one = engine(then=say("ok"), settings=small("summarise_and_archive"))
    one.model.summary = reply(content="They spoke of a boat called Thalassa.")
    events = until_flushed(one)
    [passage] = passages_of(events)
    flushed = flush_of(events)
    assert passage.seq == flushed.seq - 1
    assert passage.text == flushed.summary == "They spoke of a boat called Thalassa."
    assert (passage.author, passage.source, passage.tags) == ("engine", SOURCE, ("summary", "2026-03-01"))
    assert "Summary of them: They spoke of a boat" in slot(one)


def test_a_summary_that_failed_is_not_archived(engine: Make) -> None:
    one = engine(then=say("ok"), settings=small("summarise_and_archive"))
    one.model.summary = ContextOverflow("too long")
    events = until_flushed(one)
    assert passages_of(events) == []
    assert (flush_of(events).summarised_by, flush_of(events).summary) == ("none", "No summary could be made.")


def test_what_leaves_is_archived_word_for_word_without_calls_and_results(engine: Make) -> None:
    long = "The boat is called Thalassa. " + "chatter " * 150
    search = reply(call("conversation_search", True, query="boat"), content="I look it up.")
    one = engine(search, say("I found the boat."), then=say("ok"), settings=small("archive_verbatim"))
    one.tell(long)
    events = until_flushed(one)
    stored = {tags[2]: (passage.text, tags[1]) for passage in passages_of(events) for tags in [passage.tags]}
    flushed = flush_of(events)
    said = [event for event in events if f"m{event.seq}" in flushed.evicted]
    users = [event for event in said if event.kind == "trigger_received"]
    assert users
    assert [stored[f"m{event.seq}"] for event in users] == [(event.text.strip(), "user") for event in users]
    assert ("I found the boat.", "assistant") in stored.values()
    assert not any("Showing" in text or text == "None" or "look it up" in text for text, _ in stored.values())
    assert all(passage.author == "engine" and passage.tags[3] == "2026-03-01" for passage in passages_of(events))
    assert f"the last {len(flushed.evicted)} that left (of 2026-03-01), {len(stored)} of them were" in slot(one)
    assert "Summary of them" not in slot(one)


def test_an_edited_message_is_archived_as_it_was_corrected(engine: Make) -> None:
    one = engine(then=say("ok"), settings=small("archive_verbatim"))
    one.tell("The boat is called Thalasa.")
    first = one.state.queue[0].id
    one.journal.commit(
        MessageEdited(
            message=first,
            text="The boat is called Thalassa.",
            author="human",
            based_on=int(first[1:]),
            measured=Measured(tokens=40),
        )
    )
    texts = {passage.tags[2]: passage.text for passage in passages_of(until_flushed(one))}
    assert texts[first] == "The boat is called Thalassa."


def test_the_dropping_notice_says_how_many_and_how_to_search(engine: Make) -> None:
    one = engine(then=say("ok"), settings=small("drop_with_notice"))
    events = until_flushed(one, 2)
    flushes = [event for event in events if event.kind == "queue_flushed"]
    assert passages_of(events) == []
    total = sum(len(event.evicted) for event in flushes)
    assert flushes[-1].covers == total
    assert f"{total} earlier messages are no longer in main context" in slot(one)
    assert f"The last {len(flushes[-1].evicted)} left now" in slot(one)
    assert "conversation_search" in slot(one)


def test_what_was_deleted_or_pinned_while_the_summary_was_made_does_not_leave(engine: Make) -> None:
    one = engine(then=say("ok"), settings=small("summarise_recursively"))
    touched: list[str] = []

    def meanwhile(body: Any) -> Reply:
        if not touched:
            touched.extend(entry.id for entry in one.state.queue[:2])
            one.journal.commit(MessageDeleted(message=touched[0], author="human"))
            one.journal.commit(MessagePinned(message=touched[1], pinned=True, author="human"))
        return reply(content="They talked.")

    one.model.summary = meanwhile
    flushed = flush_of(until_flushed(one))
    assert len(touched) == 2
    assert not set(touched) & set(flushed.evicted)
    assert one.state.holds(touched[1])
    assert flushed.covers == len(flushed.evicted)
    assert rerun(one.events).difference is None


def test_a_flush_and_what_it_stored_are_written_together(engine: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    one = engine(then=say("ok"), settings=small("archive_verbatim"))
    writes: list[list[str]] = []
    append = one.log.append
    monkeypatch.setattr(one.log, "append", lambda lines: (writes.append(list(lines)), append(lines)))
    until_flushed(one)
    [together] = [lines for lines in writes if any('"queue_flushed"' in line for line in lines)]
    assert len(together) == len(passages_of(one.events)) + 1


def test_without_a_model_call_nothing_but_the_turn_is_asked_of_the_model(engine: Make) -> None:
    one = engine(then=say("ok"), settings=small("archive_verbatim"))
    until_flushed(one)
    assert all("tools" in body for body in one.model.bodies)
    assert "prompt_built" in kinds(one.events)
