"""How the demo model runs a turn: pressure, failures, chains of keys, triggers, notes; it always comes to an end."""

import random
import uuid
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.demo_harness import World


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 3), st.integers(0, 10**6), st.booleans())
def test_a_chain_of_keys_is_followed_to_its_end(level: int, seed: int, tight: bool) -> None:
    drawn = random.Random(seed)
    keys = [str(uuid.UUID(int=drawn.getrandbits(128), version=4)) for _ in range(60)]
    values = [str(uuid.UUID(int=drawn.getrandbits(128), version=4)) for _ in range(60)]
    path = drawn.sample(range(60), level + 1)
    for here, there in pairwise(path):
        values[here] = keys[there]
    world = World(page_size=5 if tight else 1)
    world.keeps_last_step_only = tight
    world.archive = [(f"Key-value pair: key = {k}, value = {v}", []) for k, v in zip(keys, values, strict=True)]
    drawn.shuffle(world.archive)
    answer = world.say(f"What is the value of key {keys[path[0]]}? Follow it until the value is no key.")
    assert f"The final value is {values[path[-1]]}." in answer
    assert f"{level + 1} lookup" in answer


def test_a_value_is_not_a_key() -> None:
    world = World()
    key, other = str(uuid.uuid4()), str(uuid.uuid4())
    world.archive = [(f"Key-value pair: key = {other}, value = {key}", [])]
    answer = world.say(f"Which value has {key}?")
    assert "don't know" in answer
    assert other not in answer


@pytest.mark.parametrize(
    "asked", ["What did I say about the parrot?", "What did I say about the parrot? Where do I live? What is my name?"]
)
def test_steps_that_left_the_window_are_not_repeated(asked: str) -> None:
    world = World(page_size=2)
    world.keeps_last_step_only = True
    world.recall = [("assistant", f"The parrot, number {n}", "2026-05-01 09:00") for n in range(9)]
    world.recall.append(("user", "I live in Lisbon.", "2026-05-01 09:00"))
    assert "don't know" in world.say(asked)
    called = [(name, str(given)) for name, given, _ in world.calls]
    assert len(called) == len(set(called))


def test_a_circle_of_keys_ends() -> None:
    world = World()
    a, b = str(uuid.uuid4()), str(uuid.uuid4())
    world.archive = [(f"Key-value pair: key = {a}, value = {b}", []), (f"Key-value pair: key = {b}, value = {a}", [])]
    assert "circle" in world.say(f"What is the value of key {a}?")


def test_a_full_block_sends_facts_to_the_archive_where_they_are_found() -> None:
    world = World(human="Name: Maya", limit=20)
    assert "lives in" not in world.say("I live in Lisbon.").lower() or world.archive
    assert world.human == ["Name: Maya"]
    assert any("Lives in: Lisbon" in text for text, _ in world.archive)
    world.queue.clear()
    world.recall.clear()
    answer = world.say("Where do I live?")
    assert "Lisbon" in answer
    assert "archival storage" in answer


@pytest.mark.parametrize(
    "broken", ["core_memory_append", "core_memory_replace", "archival_memory_insert", "conversation_search"]
)
def test_a_broken_function_is_given_up_and_admitted(broken: str) -> None:
    world = World(human="Lives in: Lisbon")
    world.broken = frozenset({broken, "archival_memory_insert", "memory_rethink"})
    for text in ("I'm Maya and I moved to Porto.", "What did I say about the boiler?", "Archive this: the key is here"):
        assert world.say(text)
    failed = [(name, str(given)) for name, given, ok in world.calls if not ok]
    assert max(map(failed.count, failed), default=0) < 3


def test_what_could_not_be_stored_is_said() -> None:
    world = World(off=("core_memory_append", "memory_insert", "memory_rethink", "archival_memory_insert"))
    assert "could not store “Name: Maya”" in world.say("I'm Maya.")


@settings(max_examples=25, deadline=None)
@given(
    st.permutations(["I live in Lisbon.", "My dog is called Rex.", "The boiler man is Tom from Porto.", "I like jazz."])
)
def test_pressure_saves_what_stands_nowhere_else_and_stays_silent(said: list[str]) -> None:
    world = World()
    for text in said:
        world.say(text)
    world.edit("human", "Likes: jazz")
    world.pressure()
    assert world.run(late=True) == ""
    saved = "\n".join(text for text, _ in world.archive)
    for line in ("Lives in: Lisbon", "Dog: Rex", "boiler man is Tom"):
        assert line in saved
    assert "jazz" not in saved
    assert "2026-05-06" in saved
    before, calls = list(world.archive), len(world.calls)
    world.pressure()
    assert world.run(late=True) == ""
    assert world.archive == before
    assert len(world.calls) == calls, "with nothing to save no function is called"


@pytest.mark.parametrize("gone", [0, 1, 2, 3])
def test_a_timer_with_nothing_due_ends_the_turn_without_a_word(gone: int) -> None:
    ways = ("pause_heartbeats", "note_list", "conversation_search_date", "archival_memory_search")
    world = World(off=ways[:gone])
    world.say("Hello!")
    world.envelope("heartbeat", reason="Automated timer")
    assert world.run() == ""
    assert world.calls[-1][0] == ways[gone]


def test_pressure_in_the_middle_of_a_turn_is_never_mentioned() -> None:
    world = World()
    world.say("The boiler man is called Tom Baker.")
    world.envelope("user_message", message="I live in Lisbon.")
    world.pressure()
    said = world.run()
    assert "Lisbon" in said
    assert "Tom Baker" not in said


def test_pressure_before_the_answer_saves_and_then_answers_once() -> None:
    world = World()
    world.say("The boiler man is called Tom Baker.")
    world.envelope("user_message", message="What is my name?")
    world.pressure()
    assert world.run().count("don't know") == 1
    assert any("Tom Baker" in text for text, _ in world.archive)


def test_a_login_is_greeted_by_name_with_something_remembered() -> None:
    world = World(human="Name: Maya\nLives in: Lisbon")
    world.envelope("login", last_login="2026-05-01")
    said = world.run()
    assert "Maya" in said
    assert "Lisbon" in said


def test_a_timer_is_silent_unless_something_is_due() -> None:
    world = World(human="Exam: 6 May")
    world.envelope("heartbeat", reason="Automated timer")
    assert "exam" in world.run().lower()
    world.envelope("heartbeat", reason="Automated timer")
    assert world.run() == ""
    assert world.calls[-1][0] == "pause_heartbeats"


def test_an_upload_is_acknowledged_once() -> None:
    world = World()
    world.envelope("system_alert", message="Upload finished: bible.txt")
    assert "bible.txt" in world.run()


def test_notes_are_written_read_and_listed() -> None:
    world = World()
    world.say("Make a note called shopping: milk and eggs")
    assert world.notes == {"shopping": "milk and eggs"}
    assert "milk and eggs" in world.say("Read my Shopping note")
    assert "shopping" in world.say("What notes are there?")
    assert "no note" in world.say("read my travel note").lower()
    world.say("note down: call the plumber")
    assert "call the plumber" in world.notes.values()


def test_reminders_and_dates_are_kept_as_days() -> None:
    world = World()
    world.say("My exam is on Friday. Remind me to call Bob tomorrow.")
    assert world.human == ["Exam: 8 May 2026", "Reminder: call Bob 7 May 2026"]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["I'm Maya, I moved to Porto and my dog is called "
                     "Rex.", "What did I say about tea?", "forget my name",
                     "what does the book say about Elah?", "make a note called x: y", "archive this: z",
                     "value of key 0b3a4c5d6e7f8a9b?", "It's Porto, not Lisbon", "what did we talk about in March?"]),
    st.lists(st.tuples(st.booleans(), st.sampled_from(["None", "No results "
                                                               "found.", "Showing 1 of 900 results (page 1 of 900):\n"
                       '{"id": "m1", "time": "2026-05-01 09:00", "role": "user", "text": "tea '
                       'Elah"}', "garbage", "{"])), min_size=1),
)  # fmt: skip
def test_any_results_lead_to_an_end(text: str, results: list[tuple[bool, str]]) -> None:
    class Odd(World):
        turn = 0

        def do(self, name: str, given: dict[str, Any]) -> str:
            self.turn += 1
            ok, value = results[self.turn % len(results)]
            if not ok and name != "send_message":
                raise ValueError(value)
            return value

    world = Odd(human="Lives in: Lisbon\nName: Maya")
    assert world.say(text)
    repeated = [(name, str(given)) for name, given, _ in world.calls]
    assert max(map(repeated.count, repeated)) < 3
