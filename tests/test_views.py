"""The views: states and events in, what a person reads out."""

import re
from typing import Any

from memgpt_core.events import (
    BlockDefined,
    Call,
    Clip,
    FaultRecorded,
    FunctionReturned,
    Measured,
    NoteWritten,
    RecallSearched,
    WorkingContextEdited,
)
from memgpt_core.project import Close, Insert, project
from memgpt_core.prompt import SECTIONS, sections
from memgpt_core.queue_manager import total_tokens
from memgpt_core.settings import AgentSettings
from memgpt_core.views.blocks import meters, versions
from memgpt_core.views.calls import TIERS, calls
from memgpt_core.views.paging import EXCERPT_CHARS, excerpt, ids_of, paged_in, paged_out
from memgpt_core.views.palette import HUES
from memgpt_core.views.sent import hit_ids, sent
from memgpt_core.views.transcript import ENDS, transcript
from memgpt_core.views.window import gauge, segments, segments_now
from tests.event_builder import Script

SMALL = AgentSettings(window_tokens=1000, reserve_tokens=200)


def _reader(script: Script) -> Any:
    return lambda seq: script.events[seq - 1]


def _returned(name: str, *, call_id: str = "a", holds: tuple[str, ...] = (), **arguments: Any) -> FunctionReturned:
    return FunctionReturned(
        call_id=call_id,
        name=name,
        arguments=arguments,
        ok=True,
        value="found",
        heartbeat=True,
        holds=holds,
        measured=Measured(tokens=10, seconds=0.25),
    )


def _residency(script: Script) -> list[dict[str, Any]]:
    """The residency rows of the whole log, as a store would hold them."""
    rows: list[dict[str, Any]] = []
    for before, event in script.pairs():
        for change in project(before, event):
            if isinstance(change, Insert) and change.table == "residency":
                rows.append(dict(change.row))
            elif isinstance(change, Close) and change.table == "residency":
                for row in rows:
                    if row["carrier"] in change.values and row["seq_to"] is None:
                        row["seq_to"] = change.seq
    return rows


# --- the window -------------------------------------------------------------------------------------------


def test_the_gauge_has_the_marks_of_the_settings() -> None:
    level = gauge(Script(settings=SMALL).trigger("hi", tokens=100).state)
    assert (level.used, level.window, level.reserve, level.limit) == (100, 1000, 200, 800)
    assert (level.warn, level.flush, level.free) == (560, 800, 700)
    assert level.pressure == "calm"
    assert "460 tokens until the warning" in level.says


def test_the_gauge_says_when_a_mark_is_passed() -> None:
    script = Script(settings=SMALL).trigger("hi", tokens=560)
    assert gauge(script.state).pressure == "calm"
    script.trigger("more", tokens=1)
    assert gauge(script.state).pressure == "above the warning mark"
    assert "will be warned" in gauge(script.state).says
    script.warned()
    assert "was warned" in gauge(script.state).says
    script.trigger("much more", tokens=400)
    assert gauge(script.state).pressure == "above the flush mark"
    assert gauge(script.state).free == 0


def test_the_sections_add_up_to_what_is_used() -> None:
    state = Script(settings=SMALL).block("human", "Ada").trigger("hi", tokens=70).flushed(0).state
    parts = segments_now(state)
    assert [part.key for part in parts] == ["working_context", "summary", "messages"]
    assert sum(part.tokens for part in parts) == total_tokens(state) == 30 + 60 + 70
    assert parts[0].share == 0.03


def test_every_section_has_a_colour_a_pattern_and_a_letter_of_its_own() -> None:
    shown = [HUES[key] for key in (*SECTIONS, "reserve")]
    assert len({hue.mark for hue in shown}) == len(shown)
    assert len({hue.light for hue in HUES.values()}) == len({hue.dark for hue in HUES.values()}) == len(HUES)
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for hue in HUES.values() for colour in (hue.light, hue.dark))
    assert [part.label for part in segments(dict.fromkeys(SECTIONS, 1), 6)] == [HUES[key].label for key in SECTIONS]


# --- blocks -----------------------------------------------------------------------------------------------


def test_a_meter_counts_characters_and_tokens() -> None:
    (meter,) = meters(Script(settings=SMALL).block("human", "Ada", limit_chars=12).state)
    assert (meter.chars, meter.limit_chars, meter.full) == (3, 12, 0.25)
    assert (meter.tokens, meter.window_share) == (30, 0.03)
    assert (meter.seq, meter.author) == (2, "an import")


def test_an_edit_by_hand_is_the_newest_version() -> None:
    script = Script().block("human", "Ada")
    script.add(WorkingContextEdited(block="human", before="Ada", after="Eve", author="human", based_on=2, reason="no"))
    assert meters(script.state)[0].author == "you"
    history = versions(list(reversed(script.events[1:])))
    assert [(version.seq, version.text, version.author, version.reason) for version in history] == [
        (3, "Eve", "you", "no"),
        (2, "Ada", "an import", ""),
    ]


# --- calls ------------------------------------------------------------------------------------------------


def _asked(*names: str) -> Script:
    asked = [Call(id=f"c{index}", name=name, arguments={"query": "tea", "page": 2}) for index, name in enumerate(names)]
    return Script().trigger("hi").prompt().calls(asked)


def test_a_call_without_a_result_is_running_and_the_next_one_waits() -> None:
    script = _asked("conversation_search", "note_list")
    assert [row.outcome for row in calls(script.events)] == ["running", "waiting"]
    script.add(_returned("conversation_search", call_id="c0", query="tea"))
    first, second = calls(script.events)
    assert (first.outcome, first.value, first.seconds, first.heartbeat) == ("ok", "found", 0.25, True)
    assert first.arguments == (("query", "tea"),)
    assert second.outcome == "running"
    assert second.arguments == (("query", "tea"), ("page", "2"))


def test_what_had_no_turn_was_not_run() -> None:
    assert [row.outcome for row in calls(_asked("note_list").end("stopped").events)] == ["not run"]


def test_two_calls_with_one_id_keep_their_own_results() -> None:
    twice = [Call(id="same", name="note_read", arguments={"name": name}) for name in ("a", "b")]
    script = Script().trigger("hi").prompt().calls(twice)
    script.add(_returned("note_read", call_id="same", name_="a")).add(_returned("note_read", call_id="same", name_="b"))
    assert [row.arguments[0][1] for row in calls(script.events)] == ["a", "b"]


def test_a_failed_call_and_arguments_that_were_no_object() -> None:
    script = Script().trigger("hi").prompt().calls([Call(id="x", name="note_read", arguments="{oops")])
    assert calls(script.events)[0].arguments == (("as written", "{oops"),)
    script.add(
        _returned("note_read", call_id="x").model_copy(
            update={"ok": False, "value": "a" * 500, "clip": Clip(head_chars=10, tail_chars=10)}
        )
    )
    (row,) = calls(script.events)
    assert row.outcome == "failed"
    assert "characters are left out here" in row.value


def test_every_tier_of_a_call_has_a_colour() -> None:
    assert set(TIERS.values()) <= set(HUES)


# --- paging -----------------------------------------------------------------------------------------------


def _paged() -> Script:
    """A conversation that was flushed, then one message of it found again."""
    script = Script().turn("My cat is Schroedinger.", "Noted.").turn("I like tea.", "Noted too.")
    first = script.events[1]
    script.flushed(3, "They spoke of a cat.")
    script.trigger("What is my cat called?").prompt()
    return script.add(_returned("conversation_search", holds=(f"m{first.seq}", "p99"), query="cat"))


def test_what_left_says_which_and_why() -> None:
    script = _paged()
    (left,) = paged_out(script.events, {"m2": {"text": "My cat is Schroedinger."}})
    assert left.ids[0] == "m2"
    assert (left.why, left.freed_tokens) == ("the flush mark was passed", 3500)
    assert left.excerpts[0] == ("m2", "My cat is Schroedinger.")
    assert left.excerpts[1][1] == ""


def test_what_came_in_says_which_search_brought_it_and_whether_it_was_a_page_fault() -> None:
    script = _paged()
    rows = [row for row in _residency(script) if row["turn"] == script.state.turn]
    message, passage = paged_in(script.events, rows, {"m2": {"text": "", "thoughts": "a thought"}})
    assert (message.item, message.tier, message.how, message.fault) == ("m2", "recall", "copy", True)
    assert message.brought_by == "conversation_search “cat”"
    assert message.excerpt == "a thought"
    assert (passage.item, passage.tier, passage.fault) == ("p99", "archival", False)
    assert "m2" in ids_of(script.events, rows)
    assert "p99" in ids_of(script.events, rows)


def test_a_search_by_date_is_named_by_its_days() -> None:
    script = Script().trigger("hi")
    script.add(_returned("conversation_search_date", holds=("m2",), start_date="2026-01-01", end_date="2026-01-02"))
    (came,) = paged_in(script.events, [row for row in _residency(script) if row["how"] == "copy"], {})
    assert came.brought_by == "conversation_search_date “2026-01-01 to 2026-01-02”"


def test_an_excerpt_is_one_short_line() -> None:
    assert excerpt({"text": "a\n b"}) == "a b"
    assert len(excerpt({"text": "word " * 80})) <= EXCERPT_CHARS
    assert excerpt(None) == ""


# --- what was sent ----------------------------------------------------------------------------------------


def test_what_was_in_the_window_when_a_reply_was_written() -> None:
    script = Script(settings=SMALL).block("human", "Ada").turn("My cat is Schroedinger.", "Noted.").flushed(1)
    script.trigger("What is my cat called?").add(_returned("conversation_search", holds=("m3",), query="cat"))
    script.prompt()
    built = script.last.model_copy(update={"sections": sections(script.state), "prefix_tokens": 30})
    script.events[-1] = built
    state = script.state
    script.reply("Schroedinger.")
    reply = script.last.model_copy(update={"measured": Measured(prompt_tokens=321)})
    found = sent(state, _reader(script), {"m3": {"text": "My cat is Schroedinger."}}, reply=reply)
    assert found.tokens == total_tokens(state)
    assert (found.prefix_tokens, found.server_tokens) == (30, 321)
    assert [block.label for block in found.blocks] == ["human"]
    assert found.queue == (state.queue[0].id, state.queue[-1].id, len(state.queue))
    assert found.covers == 1
    assert hit_ids(state) == ["m3"]
    (hit,) = found.hits
    assert (hit.item, hit.carrier, hit.brought_by) == ("m3", state.queue[-1].id, "conversation_search “cat”")
    assert hit.excerpt == "My cat is Schroedinger."


# --- the transcript ---------------------------------------------------------------------------------------


def test_a_turn_is_a_question_and_an_answer_that_knows_its_request() -> None:
    script = Script().trigger("Never", cause="login").turn("hi", "hello")
    login, user, agent = transcript(script.events)
    assert (login.who, user.who, agent.who) == ("login", "user", "agent")
    assert (user.text, agent.text) == ("hi", "hello")
    assert script.events[agent.prompt_seq - 1].kind == "prompt_built"
    assert "Never" not in login.text


def test_a_reply_carries_what_the_memory_did_and_the_thoughts_that_went_with_it() -> None:
    script = Script().block("human", "Likes tea.\nLives in Leiden.")
    script.trigger("Coffee now.").prompt()
    script.calls([Call(id="x", name="core_memory_replace", arguments={})], content="He changed his mind.")
    after = "Likes coffee.\nLives in Leiden."
    script.add(
        WorkingContextEdited(
            block="human", before="Likes tea.\nLives in Leiden.", after=after, author="agent", based_on=2
        )
    )
    script.add(NoteWritten(name="drinks", text="coffee", author="agent"))
    script.add(RecallSearched(query="drink", roles=(), page=1, mode="words", measured=Measured(total=7, hits=())))
    script.sent("Noted.").end()
    agent = transcript(script.events)[-1]
    assert agent.thoughts == "He changed his mind."
    assert [(move.tier, move.says) for move in agent.moves] == [
        ("working_context", "human block edited"),
        ("notes", "note drinks written"),
        ("recall", "recall searched: 0 of 7 found"),
    ]
    assert agent.moves[0].detail == "- Likes tea.\n+ Likes coffee."
    assert {move.tier for move in agent.moves} <= set(HUES)


def test_a_second_reply_does_not_repeat_the_moves_of_the_first() -> None:
    script = Script().trigger("hi").prompt().add(NoteWritten(name="a", text="b", author="agent"))
    first, second = transcript(script.sent("One.").sent("Two.").end().events)[1:]
    assert len(first.moves) == 1
    assert second.moves == ()


def test_pressure_a_flush_and_a_fault_are_seen() -> None:
    script = Script().turn("hi", "hello").trigger("more").warned().flushed(1)
    script.add(FaultRecorded(where="model", error="No server answers.")).end("fault")
    tail = transcript(script.events)[-4:]
    assert [bubble.who for bubble in tail] == ["warning", "flush", "fault", "end"]
    assert "1 message left the FIFO queue" in tail[1].text
    assert tail[2].text == "No server answers."
    assert tail[3].text == ENDS["fault"]


def test_a_turn_that_yields_without_a_word_says_so() -> None:
    silent = transcript(Script().trigger("hi").prompt().end().events)[-1]
    assert (silent.who, silent.text) == ("end", "The agent ended its turn without a message to you.")
    assert [bubble.who for bubble in transcript(Script().turn("hi", "hello").events)] == ["user", "agent"]


def test_every_other_end_has_a_sentence() -> None:
    for reason in ("step_limit", "repeating", "stopped", "fault", "interrupted"):
        assert transcript(Script().trigger("hi").end(reason).events)[-1].text == ENDS[reason]


def test_a_change_by_hand_is_in_the_conversation_and_the_making_of_the_agent_is_not() -> None:
    script = Script()
    script.add(BlockDefined(block="human", description="", value="Ada", limit_chars=99, author="human"))
    assert transcript(script.events) == []
    script.turn("hi", "hello")
    script.add(WorkingContextEdited(block="human", before="Ada", after="Eve", author="human", based_on=2))
    by_hand = transcript(script.events)[-1]
    assert (by_hand.who, by_hand.text) == ("hand", "You: human block edited")
    script.trigger("more").add(
        WorkingContextEdited(block="human", before="Eve", after="Ada", author="human", based_on=9)
    )
    bubbles = transcript(script.prompt().sent("ok").end().events)
    assert [bubble.who for bubble in bubbles[-2:]] == ["hand", "agent"]
    assert bubbles[-1].moves == ()
