"""The thirteen functions: what each commits and returns, and every sentence with which one is refused."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from memgpt_core import memory_functions
from memgpt_core.blueprint import BlockPlan, Blueprint
from memgpt_core.events import MessageDeleted
from memgpt_core.memory_functions import (
    EXCERPT_CHARS,
    MAX_PAUSE_MINUTES,
    NOTE_LIMIT_CHARS,
    FunctionFailed,
    check_block_text,
    excerpt,
)
from memgpt_core.prompt import render_block
from memgpt_core.queue_manager import MIN_ROOM_TOKENS, fixed_tokens
from memgpt_core.registry import REGISTRY
from memgpt_core.settings import AgentSettings
from memgpt_core.tokens import count
from tests.engine import Engine, call, reply, say

Make = Callable[..., Engine]

PLAN = Blueprint(
    name="Tester",
    blocks=(
        BlockPlan(label="persona", value="I help.", read_only=True),
        BlockPlan(label="human", value="Name: Ana\nCity: Lisbon\nPet: cat", limit_chars=100),
        BlockPlan(label="empty"),
    ),
)


@pytest.fixture
def one(engine: Make) -> Engine:
    return engine(then=say("ok"), blueprint=PLAN)


def run(one: Engine, name: str, /, **arguments: Any) -> Any:
    """Call a function as the executor does; what it returned."""
    return REGISTRY[name].run(one.agent._memory, **arguments)


def refused(one: Engine, name: str, /, **arguments: Any) -> str:
    """The sentence with which a call is refused; nothing is committed by it."""
    before = one.state
    with pytest.raises(FunctionFailed) as failed:
        run(one, name, **arguments)
    assert one.state is before
    return str(failed.value)


def human(one: Engine) -> str:
    return one.state.blocks["human"].value


def last(one: Engine) -> Any:
    return one.journal.read(one.state.seq)


def test_the_set_is_these_in_this_order() -> None:
    assert list(REGISTRY) == [
        "send_message",
        "pause_heartbeats",
        "core_memory_append",
        "core_memory_replace",
        "memory_insert",
        "memory_rethink",
        "conversation_search",
        "conversation_search_date",
        "archival_memory_insert",
        "archival_memory_search",
        "document_list",
        "document_outline",
        "document_open",
        "document_search",
        "note_write",
        "note_read",
        "note_list",
    ]
    assert [name for name, made in REGISTRY.items() if made.terminal] == ["send_message", "pause_heartbeats"]


# --- speaking and waiting ---------------------------------------------------------------------------------------


def test_send_message_is_what_the_user_reads(one: Engine) -> None:
    assert run(one, "send_message", message="Hello").value == "None"
    assert (last(one).kind, last(one).text, last(one).plain) == ("message_sent", "Hello", False)
    assert "The message is empty" in refused(one, "send_message", message=" \n")


def test_pause_heartbeats_counts_from_now_and_is_capped(one: Engine) -> None:
    at = one.state.at
    assert run(one, "pause_heartbeats", minutes=5).value == "Pausing timed heartbeats for 5 min"
    assert one.state.paused_until == at + timedelta(minutes=5)
    at = one.state.at
    assert run(one, "pause_heartbeats", minutes=10**30).value == "Pausing timed heartbeats for 360 min"
    assert one.state.paused_until == at + timedelta(minutes=MAX_PAUSE_MINUTES)
    assert refused(one, "pause_heartbeats", minutes=0) == "minutes must be 1 or more."


# --- core memory ------------------------------------------------------------------------------------------------


def test_append_adds_a_line(one: Engine) -> None:
    run(one, "core_memory_append", label="human", content="Job: baker")
    assert human(one) == "Name: Ana\nCity: Lisbon\nPet: cat\nJob: baker"
    run(one, "core_memory_append", label="empty", content="first")
    assert one.state.blocks["empty"].value == "first"
    event = last(one)
    assert (event.before, event.after, event.author) == ("", "first", "agent")
    assert event.measured.tokens == count(render_block(one.state.blocks["empty"]))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("core_memory_append", {"content": "x"}),
        ("core_memory_replace", {"old_content": "a", "new_content": "b"}),
        ("memory_insert", {"new_string": "x"}),
        ("memory_rethink", {"new_memory": "x"}),
    ],
)
def test_a_block_that_is_not_there_or_is_locked_is_refused(one: Engine, name: str, arguments: dict[str, Any]) -> None:
    said = refused(one, name, label="nobody", **arguments)
    assert said == "There is no block 'nobody'. Blocks: persona, human, empty."
    assert refused(one, name, label="persona", **arguments) == "Block 'persona' is read-only and cannot be edited."


def test_replace_replaces_the_one_place(one: Engine) -> None:
    run(one, "core_memory_replace", label="human", old_content="Lisbon", new_content="Porto")
    assert human(one) == "Name: Ana\nCity: Porto\nPet: cat"


def test_replace_by_nothing_deletes_the_line(one: Engine) -> None:
    run(one, "core_memory_replace", label="human", old_content="City: Lisbon", new_content="")
    assert human(one) == "Name: Ana\nPet: cat"


def test_replace_by_nothing_leaves_other_empty_lines_alone(one: Engine) -> None:
    run(one, "memory_rethink", label="human", new_memory="one\n\ntwo\nthree")
    run(one, "core_memory_replace", label="human", old_content="two", new_content="")
    assert human(one) == "one\n\nthree"


def test_nothing_cannot_be_appended(one: Engine) -> None:
    assert "content is empty" in refused(one, "core_memory_append", label="human", content="")


def test_replace_says_what_would_work(one: Engine) -> None:
    missing = refused(one, "core_memory_replace", label="human", old_content="lisbon", new_content="x")
    assert missing.startswith("old_content was not found in block 'human'.")
    assert missing.endswith("Name: Ana\nCity: Lisbon\nPet: cat")
    twice = refused(one, "core_memory_replace", label="human", old_content=": ", new_content="=")
    assert "stands 3 times in block 'human' (lines 1, 2, 3)" in twice
    assert "old_content is empty" in refused(one, "core_memory_replace", label="human", old_content="", new_content="x")
    same = refused(one, "core_memory_replace", label="human", old_content="Ana", new_content="Ana")
    assert same == "Nothing changed: block 'human' already reads that way."


def test_an_ambiguous_text_of_several_lines_is_named_by_where_it_begins(one: Engine) -> None:
    run(one, "memory_rethink", label="human", new_memory="a\nb\nc\na\nb")
    said = refused(one, "core_memory_replace", label="human", old_content="a\nb", new_content="x")
    assert "stands 2 times in block 'human' (lines 1, 4)" in said


@pytest.mark.parametrize(
    ("line", "reads"), [(0, "NEW,1,2,3"), (1, "1,NEW,2,3"), (2, "1,2,NEW,3"), (3, "1,2,3,NEW"), (-1, "1,2,3,NEW")]
)
def test_insert_puts_a_line_at_its_place(one: Engine, line: int, reads: str) -> None:
    run(one, "memory_rethink", label="human", new_memory="1\n2\n3")
    run(one, "memory_insert", label="human", new_string="NEW", insert_line=line)
    assert human(one) == reads.replace(",", "\n")


@pytest.mark.parametrize("line", [-2, 4, 10**20])
def test_insert_out_of_range_says_the_range(one: Engine, line: int) -> None:
    said = refused(one, "memory_insert", label="human", new_string="x", insert_line=line)
    assert said == "insert_line must be from -1 to 3: block 'human' has 3 lines."


def test_rethink_rewrites_the_block(one: Engine) -> None:
    run(one, "memory_rethink", label="human", new_memory="all new")
    assert human(one) == "all new"
    assert "Nothing changed" in refused(one, "memory_rethink", label="human", new_memory="all new")


def test_a_block_holds_its_limit_and_not_one_character_more(one: Engine) -> None:
    run(one, "memory_rethink", label="human", new_memory="x" * 100)
    assert len(human(one)) == 100
    said = refused(one, "core_memory_append", label="human", content="y")
    assert said.startswith("Edit refused: exceeds the limit of block 'human', 100 characters (requested 102).")


def test_the_working_context_may_not_take_the_queues_room(engine: Make) -> None:
    block = BlockPlan(label="human", limit_chars=50_000)
    settings = AgentSettings(window_tokens=4096, reserve_tokens=256)
    tight = engine(then=say("ok"), blueprint=Blueprint(name="T", settings=settings, blocks=(block,)))
    free = settings.flush_tokens - fixed_tokens(tight.state) - MIN_ROOM_TOKENS
    assert free > 200
    said = refused(tight, "memory_rethink", label="human", new_memory="word " * (free + 20))
    assert said.startswith("Edit refused: it would add ")
    assert f"only {free} can be taken" in said
    run(tight, "memory_rethink", label="human", new_memory="word " * (free - 20))
    now = tight.state.blocks["human"]
    assert "only" in check_block_text(tight.state, now, now.value + " word" * 60)
    assert not check_block_text(tight.state, now, "short"), "shortening is always possible"


# --- recall storage ---------------------------------------------------------------------------------------------


def talk(one: Engine, *texts: str) -> None:
    for text in texts:
        one.tell(text)


def lines(value: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in value.splitlines()[1:]]


def test_conversation_search_gives_pages_that_count_right(engine: Make) -> None:
    one = engine(then=say("fine"), settings=AgentSettings(page_size=2))
    talk(one, *(f"tea number {n}" for n in range(5)))
    for page, numbers in [(1, [0, 1]), (2, [2, 3]), (3, [4])]:
        found = run(one, "conversation_search", query="tea", page=page)
        # The exchange going on is left out, and the last one here has just ended.
        shown = [row["text"] for row in lines(found.value)]
        if page < 3:
            assert found.value.startswith(f"Showing 2 of 4 results (page {page} of 2):")
            assert shown == [f"tea number {n}" for n in numbers]
            assert found.holds == tuple(row["id"] for row in lines(found.value))
        else:
            assert found.value == "No results on page 3: there are 4 results on 2 pages."
            assert found.holds == ()
    assert run(one, "conversation_search", query="nothing of it").value == "No results found."


def test_a_search_is_a_fact_with_its_hits(one: Engine) -> None:
    talk(one, "I like tea", "and boats")
    run(one, "conversation_search", query="tea")
    event = last(one)
    assert (event.kind, event.query, event.page, event.measured.total) == ("recall_searched", "tea", 1, 1)
    assert event.roles == ("user", "assistant")
    told = next(event for event in one.events if event.kind == "trigger_received")
    assert [hit.id for hit in event.measured.hits] == [f"m{told.seq}"]


def test_what_the_model_is_asked_now_does_not_hide_what_it_was_told(engine: Make) -> None:
    one = engine(then=say("fine"))
    talk(one, "my tea is oolong")
    one.model.script = [reply(call("conversation_search", True, query="tea")), say("oolong")]
    events = one.tell("what tea do I like?")
    result = next(event for event in events if event.kind == "function_returned")
    assert [row["text"] for row in lines(result.value)] == ["my tea is oolong"]


def test_the_part_of_a_message_that_was_left_out_can_be_found_in_the_turn_it_came_in(engine: Make) -> None:
    one = engine(then=say("fine"), settings=AgentSettings(window_tokens=4096, reserve_tokens=256))
    one.model.script = [reply(call("conversation_search", True, query="needle")), say("found")]
    events = one.tell("filler words " * 5000 + "the needle is blue " + "filler words " * 5000)
    assert events[0].clip is not None
    result = next(event for event in events if event.kind == "function_returned")
    assert "the needle is blue" in result.value


def test_search_refusals(one: Engine) -> None:
    assert "query is empty" in refused(one, "conversation_search", query="  ")
    assert "query is empty" in refused(one, "archival_memory_search", query="")
    assert refused(one, "conversation_search", query="x", page=0).startswith("page counts from 1")
    assert refused(one, "archival_memory_search", query="x", page=-1).startswith("page counts from 1")
    assert "page" in refused(
        one, "conversation_search_date", start_date="2026-01-01", end_date="2026-02-01", page=10**30
    )
    said = refused(one, "conversation_search_date", start_date="1 March", end_date="2026-03-02")
    assert said == "start_date must be a day written YYYY-MM-DD, not '1 March'."
    said = refused(one, "conversation_search_date", start_date="2026-03-01", end_date="2026-02-30")
    assert said == "end_date must be a day written YYYY-MM-DD, not '2026-02-30'."
    said = refused(one, "conversation_search_date", start_date="2026-03-02", end_date="2026-03-01")
    assert said == "start_date 2026-03-02 is after end_date 2026-03-01."
    said = refused(one, "archival_memory_search", query="x", end_date="soon")
    assert "end_date must be a day" in said


def test_both_days_of_a_date_search_are_included(one: Engine) -> None:
    for day, hour in [(1, 0), (1, 23), (2, 0), (2, 23), (3, 0)]:
        one.clock.now = datetime(2026, 3, day, hour, 30, tzinfo=UTC)
        one.tell(f"day {day} hour {hour}")
    one.tell("and one more, so that the others are past")
    found = run(one, "conversation_search_date", start_date="2026-03-01", end_date="2026-03-02")
    shown = [row["text"] for row in lines(found.value) if row["role"] == "user"]
    assert found.value.startswith("Showing 5 of 8 results (page 1 of 2):")
    found = run(one, "conversation_search_date", start_date="2026-03-01", end_date="2026-03-02", page=2)
    shown += [row["text"] for row in lines(found.value) if row["role"] == "user"]
    assert shown == ["day 1 hour 0", "day 1 hour 23", "day 2 hour 0", "day 2 hour 23"]
    found = run(one, "conversation_search_date", start_date="2026-03-02T09:00", end_date=" 2026-03-02 ")
    assert {row["time"][:10] for row in lines(found.value)} == {"2026-03-02"}


# --- archival storage -------------------------------------------------------------------------------------------


def test_passages_keep_the_time_they_were_stored_and_their_tags(one: Engine) -> None:
    one.clock.now = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
    run(one, "archival_memory_insert", content="Ana lives in Lisbon", tags=["home", "city"])
    stored = last(one)
    assert (stored.kind, stored.source, stored.author) == ("archival_inserted", "agent", "agent")
    one.clock.forward(days=9)
    run(one, "archival_memory_insert", content="Ana lives in Porto", tags=["home"])
    found = run(one, "archival_memory_search", query="ana lives")
    assert lines(found.value) == [
        {"id": f"p{stored.seq}", "time": "2026-03-01 09:00", "tags": ["home", "city"], "text": "Ana lives in Lisbon"},
        {"id": found.holds[1], "time": "2026-03-10 09:00", "tags": ["home"], "text": "Ana lives in Porto"},
    ]
    assert found.holds[0] == f"p{stored.seq}"
    assert [row["text"] for row in lines(run(one, "archival_memory_search", query="ana", tags=["city"]).value)] == [
        "Ana lives in Lisbon"
    ]
    late = run(one, "archival_memory_search", query="ana", start_date="2026-03-02", end_date="2026-03-10")
    assert [row["text"] for row in lines(late.value)] == ["Ana lives in Porto"]
    event = last(one)
    assert (event.kind, event.start, event.end, event.tags) == ("archival_searched", "2026-03-02", "2026-03-10", ())
    assert one.state.passages == 2


def test_an_empty_passage_is_refused(one: Engine) -> None:
    assert refused(one, "archival_memory_insert", content="\n") == "content is empty. Give the passage to store."


def test_a_result_shows_a_long_text_around_the_words(one: Engine) -> None:
    run(one, "archival_memory_insert", content="start " + "filler " * 500 + "the needle here " + "filler " * 500)
    shown = lines(run(one, "archival_memory_search", query="needle").value)[0]["text"]
    assert "the needle here" in shown
    assert len(shown) <= EXCERPT_CHARS + 4


# --- excerpts ---------------------------------------------------------------------------------------------------


def test_a_short_text_is_its_own_excerpt() -> None:
    assert excerpt("x" * EXCERPT_CHARS, "zzz") == "x" * EXCERPT_CHARS


@pytest.mark.parametrize("where", [0, 10, 700, 1500, 2990])
def test_an_excerpt_shows_the_word_wherever_it_stands(where: int) -> None:
    text = "." * where + "needle" + "." * (3000 - where)
    shown = excerpt(text, "the Needle")
    assert "needle" in shown
    assert shown.startswith("… ") == (where > 200)
    assert len(shown) <= EXCERPT_CHARS + 4


def test_an_excerpt_prefers_the_place_with_most_of_the_words() -> None:
    text = "alpha " + "." * 2000 + " alpha beta gamma " + "." * 2000 + " beta"
    assert "alpha beta gamma" in excerpt(text, "alpha beta gamma")


def test_an_excerpt_for_words_that_are_not_there_is_the_beginning() -> None:
    text = "beginning " + "." * 3000
    assert excerpt(text, "zzz").startswith("beginning")
    assert excerpt(text, "a .").startswith("beginning"), "words of one or two letters are no guide"


class Counted(int):
    """A position that counts how often positions are compared."""

    compared = 0

    def _count(self) -> None:
        Counted.compared += 1

    def __le__(self, other: int) -> bool:
        self._count()
        return int(self) <= other

    def __lt__(self, other: int) -> bool:
        self._count()
        return int(self) < other

    def __gt__(self, other: int) -> bool:
        self._count()
        return int(self) > other

    def __ge__(self, other: int) -> bool:
        self._count()
        return int(self) >= other


def test_an_excerpt_costs_no_square_of_the_occurrences(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = memory_functions._occurrences
    monkeypatch.setattr(memory_functions, "_occurrences", lambda text, word: [Counted(at) for at in plain(text, word)])
    costs = []
    for times in (300, 1200):
        Counted.compared = 0
        excerpt("word " * times, "word")
        costs.append(Counted.compared)
    assert costs[1] <= 8 * max(1, costs[0]), "four times the text is not sixteen times the work"


# --- scratch notes ----------------------------------------------------------------------------------------------


def test_notes_are_written_read_listed_and_replaced(one: Engine) -> None:
    assert run(one, "note_list").value == "There are no notes."
    run(one, "note_write", name=" plan ", text="step one")
    run(one, "note_write", name="list", text="milk")
    run(one, "note_write", name="plan", text="step two!")
    assert run(one, "note_read", name="plan").value == "step two!"
    assert run(one, "note_list").value == "plan (9 characters)\nlist (4 characters)"
    assert run(one, "note_read", name=" plan ").value == "step two!", "the name is trimmed as it was when written"


def test_note_refusals(one: Engine) -> None:
    assert refused(one, "note_read", name="x") == "There is no note 'x'. Notes: none."
    run(one, "note_write", name="a", text="")
    assert refused(one, "note_read", name="x") == "There is no note 'x'. Notes: a."
    for name in ("", "  ", "x" * 81):
        assert refused(one, "note_write", name=name, text="x") == "name must have 1 to 80 characters."
    run(one, "note_write", name="x" * 80, text="y" * NOTE_LIMIT_CHARS)
    said = refused(one, "note_write", name="long", text="y" * (NOTE_LIMIT_CHARS + 1))
    assert said == f"A note holds at most {NOTE_LIMIT_CHARS} characters; this one has {NOTE_LIMIT_CHARS + 1}."


def test_a_deleted_message_is_not_found(one: Engine) -> None:
    talk(one, "secret tea", "more")
    one.journal.commit(MessageDeleted(message="m6", author="human"))
    assert run(one, "conversation_search", query="secret").value == "No results found."
