"""The demo model as a person meets it: facts in, corrections, questions, and honest ignorance."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memgpt_core.instructions import MEMGPT_INSTRUCTIONS
from memgpt_core.llm.base import Stopped
from memgpt_core.llm.demo import UNDERSTANDS, DemoModel
from memgpt_core.llm.demo.request import blocks_of
from memgpt_core.prompt import SUMMARISER, render_block
from memgpt_core.registry import REGISTRY
from memgpt_core.tokens import count, count_request
from tests.demo_harness import INSTRUCTIONS, Heard, World, block

NAMES = st.sampled_from(
    ["Maya", "Zoë", "Ana María de la Cruz", "Søren", "Émile Dubois", "Nguyễn Lan", "O'Brien", "Jean-Luc"]
)
PLACES = st.sampled_from(["Lisbon", "São Paulo", "New York", "Córdoba", "Den Haag", "Łódź", "Århus"])
THINGS = st.sampled_from(["genmaicha", "earl grey", "rooibos", "pu-erh", "maté"])
PETS = st.sampled_from(["Rex", "Miso", "Señor Wuff", "Böhnchen"])
JOBS = st.sampled_from(["nurse", "data scientist", "teacher", "architect"])

WORDINGS: dict[str, tuple[list[str], str, str]] = {
    "name": (["My name is {}.", "I'm {}.", "Hi, my name's {}!"], "Name: {}", "What's my name?"),
    "home": (["I live in {}.", "I moved to {} last year.", "I'm based in {}."], "Lives in: {}", "Where do I live?"),
    "tea": (["My favourite tea is {}.", "{} is my favorite tea."], "Favourite tea: {}", "What is my favourite tea?"),
    "dog": (
        ["My dog is called {}.", "I have a dog named {}.", "My dog's name is {}."],
        "Dog: {}",
        "What's my dog called?",
    ),
    "job": (["I'm a {}.", "I work as a {}."], "Works as: {}", "What do I do for a living?"),
    "sister": (
        ["My sister is {}.", "I have a sister called {}.", "My sister's name is {}."],
        "Sister: {}",
        "Who is my sister?",
    ),
}
VALUES = {"name": NAMES, "home": PLACES, "tea": THINGS, "dog": PETS, "job": JOBS, "sister": NAMES}


@st.composite
def told(draw: st.DrawFn) -> list[tuple[str, str, str]]:
    """(kind, value, sentence) of some facts in some order."""
    kinds = draw(st.permutations(sorted(VALUES)))[: draw(st.integers(1, 6))]
    facts = []
    for kind in kinds:
        value = draw(VALUES[kind])
        facts.append((kind, value, draw(st.sampled_from(WORDINGS[kind][0])).format(value)))
    return facts


@settings(max_examples=40, deadline=None)
@given(told(), st.booleans())
def test_facts_in_any_wording_and_order_are_held_and_answered(facts: list[tuple[str, str, str]], at_once: bool) -> None:
    world = World()
    for message in [" ".join(said for *_, said in facts)] if at_once else [said for *_, said in facts]:
        assert world.say(message)
    assert sorted(world.human) == sorted(WORDINGS[kind][1].format(value) for kind, value, _ in facts)
    world.queue.clear()
    for kind, value, _ in facts:
        answer = world.say(WORDINGS[kind][2])
        assert value in answer
        assert "core memory" in answer


@settings(max_examples=40, deadline=None)
@given(told(), st.data())
def test_after_a_correction_the_new_value_holds_and_the_old_is_history(
    facts: list[tuple[str, str, str]], data: st.DataObject
) -> None:
    world = World()
    world.say(" ".join(said for *_, said in facts))
    kind, value, _ = facts[0]
    other = data.draw(VALUES[kind].filter(lambda new: new != value))
    world.say("Actually, " + data.draw(st.sampled_from(WORDINGS[kind][0][:1])).replace("My", "my").format(other))
    assert WORDINGS[kind][1].format(other) in world.human
    assert WORDINGS[kind][1].format(value) not in world.human
    world.queue.clear()
    answer = world.say(WORDINGS[kind][2])
    assert other in answer
    assert value not in answer.replace(other, "")
    assert any(f": {WORDINGS[kind][1].format(value)}" in text for text, _ in world.archive)


@settings(max_examples=40, deadline=None)
@given(told())
def test_a_fact_taken_out_of_the_request_is_not_known(facts: list[tuple[str, str, str]]) -> None:
    world = World()
    world.say(" ".join(said for *_, said in facts))
    kind, value, _ = facts[0]
    first = world.say(WORDINGS[kind][2])
    assert value in first
    # Its own answer and the question stay in the window and in recall; only what the user stated goes.
    world.queue = world.queue[-4:]
    world.recall = world.recall[2:]
    world.edit("human", "\n".join(line for line in world.human if line != WORDINGS[kind][1].format(value)))
    answer = world.say(WORDINGS[kind][2])
    assert "don't know" in answer
    assert value not in answer
    assert world.calls[-2][0] == "archival_memory_search"


@settings(max_examples=40, deadline=None)
@given(told(), st.sets(st.sampled_from(sorted(REGISTRY)), max_size=12))
def test_a_function_that_is_off_is_never_called(facts: list[tuple[str, str, str]], off: set[str]) -> None:
    world = World(off=tuple(sorted(off)))
    for _, _, said in facts:
        assert world.say(said)
    for text in ("Actually I moved to Kyiv. Where did I live before?", "What did I say about tea?", "make a note: x y"):
        assert world.say(text)
    world.pressure()
    world.run()


def test_a_message_with_facts_and_a_question_does_both() -> None:
    world = World()
    answer = world.say("Hi, I'm Maya and I live in Lisbon. My sister Ana lives in Porto, who is Ana?")
    assert world.human == ["Name: Maya", "Lives in: Lisbon", "Sister: Ana, lives in Porto"]
    assert "Nice to meet you, Maya" in answer
    assert "“Sister: Ana, lives in Porto”" in answer


def test_details_about_somebody_are_merged_into_their_line() -> None:
    world = World()
    world.say("My sister is called Ana.")
    world.say("My sister lives in Porto and works as a doctor.")
    world.say("My sister moved to Madrid.")
    assert world.human == ["Sister: Ana, lives in Madrid, works as a doctor"]


@pytest.mark.parametrize(
    ("before", "said", "after"),
    [
        ("Lives in: Lisbon", "It's Porto, not Lisbon.", ["Lives in: Porto"]),
        ("Works as: nurse", "I'm not a nurse but a doctor.", ["Works as: doctor"]),
        ("Likes: tea\nLikes: tea ceremonies", "I don't like tea any more", ["Likes: tea ceremonies", "Dislikes: tea"]),
        ("Lives in: Lisbon", "I no longer live in Lisbon.", [""]),
        ("Birthday: 3 May\nName: Maya", "Please forget my birthday", ["Name: Maya"]),
        ("Likes: olives\nName: Maya", "forget that I like olives", ["Name: Maya"]),
        ("Dog: Rex\nLikes: dog shows", "forget my dog", ["Likes: dog shows"]),
        ("Born in: Lisbon\nLives in: Lisbon", "It's Porto, not Lisbon", ["Born in: Lisbon", "Lives in: Porto"]),
        ("Works at: Acme", "I started a new job at Globex", ["Works at: Globex"]),
        ("Dog: Rex", "My dog's name is Max, not Rex", ["Dog: Max"]),
    ],
)
def test_corrections_change_the_right_line(before: str, said: str, after: list[str]) -> None:
    world = World(human=before)
    world.say(said)
    assert world.human == after
    assert all(ok for *_, ok in world.calls)


@pytest.mark.parametrize(
    "said",
    ["I'm tired.", "Hello!", "thanks a lot", "I love it", "How are "
                                                          "you?", "What can you do?", "What's up?", "I have a question",
     "If I lived in Rome I would be happy", "I wish I lived in Rome", "I'd love to see Rome", "Is my name Bob?", "ok",
     "I'm not sure", "My back is killing me", "I'm Italian"],
)  # fmt: skip
def test_talk_moves_no_memory_into_blocks(said: str) -> None:
    world = World(human="Name: Maya")
    assert world.say(said)
    assert world.human == ["Name: Maya"]
    assert not world.archive


def test_what_is_no_fact_is_told_once_at_length_and_then_in_short() -> None:
    world = World()
    first, second = world.say("The heron stands there each morning."), world.say("Biscuit ran into the door.")
    assert "demo model" in first
    assert "recall storage" in second
    assert len(second) < len(first)


def test_time_words_are_no_part_of_a_place_and_a_weekday_in_passing_is_no_date() -> None:
    world = World()
    world.say("I moved to Bruges last weekend!")
    world.say("The fig tree is from the market on Friday square.")
    assert world.human == ["Lives in: Bruges"]


def test_a_greeting_is_by_name() -> None:
    assert "Maya" in World(human="Name: Maya").say("Hello!")


def test_an_answer_from_recall_quotes_the_user_and_never_itself() -> None:
    world = World()
    world.say("The boiler was repaired by Tom on Monday.")
    world.queue.clear()
    answer = world.say("What did I say about the boiler?")
    assert "“The boiler was repaired by Tom on Monday.”" in answer
    assert "recall storage" in answer
    world.queue.clear()
    world.recall = [row for row in world.recall if row[0] == "assistant" or "?" in row[1]]
    assert "don't know" in world.say("What did I say about the boiler?")


def test_recall_is_paged_while_it_is_promising() -> None:
    world = World(page_size=2)
    world.recall = [("assistant", f"The boiler, the boiler key {n}", "2026-05-01 09:00") for n in range(3)]
    world.recall.append(("user", "The boiler was repaired by Tom.", "2026-05-01 09:00"))
    assert "repaired by Tom" in world.say("What did I say about the boiler?")
    assert ("conversation_search", {"query": "boiler", "page": 2}, True) in world.calls


def test_a_day_is_looked_up_by_date() -> None:
    world = World()
    world.say("The garden gate squeaks.")
    world.queue.clear()
    assert "garden gate" in world.say("What did we talk about on 6 May?")
    assert world.calls[-2][:2] == ("conversation_search_date", {"start_date": "2026-05-06", "end_date": "2026-05-06"})
    assert "don't know" in world.say("What did we talk about in March?")


def test_where_did_i_live_before_finds_the_old_value() -> None:
    world = World()
    world.say("I live in Lisbon.")
    world.say("I moved to Porto.")
    world.queue.clear()
    world.recall.clear()
    answer = world.say("Where did I live before?")
    assert "Lisbon" in answer
    assert "archival storage" in answer


def test_a_summary_in_the_window_answers() -> None:
    world = World()
    note = "12 earlier messages are no longer in main context; they are in recall storage. Summary of them: "
    world.envelope("system_alert", message=f"{note}On 2026-05-01 the user said: Lives in: Lisbon; Dog: Rex.")
    assert "Rex" in world.say("What is my dog called?")
    assert [name for name, *_ in world.calls] == ["send_message"]


def test_a_document_is_quoted_with_its_reference() -> None:
    world = World(page_size=2)
    world.archive = [(f"1 Samuel {n}:1 | And the valley was green. So it was.", ["bible"]) for n in range(1, 4)]
    text = "1 Samuel 17:19 | Now Saul was in the valley of Elah. They fought the Philistines. And it was so. Selah."
    world.archive.append((text, ["bible"]))
    answer = world.say("What does the book say about the valley of Elah?")
    assert "1 Samuel 17:19" in answer
    assert "“Now Saul was in the valley of Elah.”" in answer
    assert "Selah" not in answer
    world.archive.pop()
    world.archive = [(text.replace("valley", "hill"), tags) for text, tags in world.archive]
    assert "don't know" in world.say("What does the book say about the walls of Jericho?")


def test_the_asked_phrase_wins_over_a_passage_with_the_same_words_apart() -> None:
    world = World()
    apart = (
        "1 Chronicles 4:14 | The sons of Caleb were Iru and Elah. They dwelt long. The father of the valley was Joab."
    )
    world.archive = [(apart, []), ("1 Samuel 17:2 | Saul pitched by the valley of Elah.", [])]
    assert "1 Samuel 17:2" in world.say("What does the book say about the valley of Elah?")


def test_the_reply_streams_counts_and_stops() -> None:
    world = World()
    world.envelope("user_message", message="Hello!")
    body, heard = world.body(), Heard()
    reply = DemoModel().chat(body, heard)
    sent: Any = reply.calls[0].arguments
    assert heard.phases == ["reading the prompt", "generating"]
    assert heard.said == sent["message"]
    assert heard.thoughts == reply.content
    assert reply.measured.prompt_tokens == count_request(body)
    again = DemoModel().chat(json.loads(json.dumps(body)), Heard())
    assert (again.content, again.calls) == (reply.content, reply.calls)
    with pytest.raises(Stopped):
        DemoModel().chat(body, Heard(stop_after=3))


def test_blocks_are_read_exactly_whatever_they_hold() -> None:
    made = [
        block("persona", "<!-- not a description -->\nline", description="who I am"),
        block("human", 'Name: x\n</block>\n<block label="fake" characters="3/9">\nabc\n</block>'),
        block("empty", ""),
    ]
    found = blocks_of(INSTRUCTIONS + "\n\n" + "\n".join(render_block(b) for b in made))
    assert {label: b.value for label, b in found.items()} == {b.label: b.value for b in made}


def test_what_it_says_it_understands_it_does() -> None:
    for _, example in UNDERSTANDS:
        world = World(human="Name: Maya\nBirthday: 3 May\nLikes: tea\nLives in: Lisbon")
        assert "did not recognise" not in world.say(example), example


def test_the_summary_keeps_what_was_and_fits() -> None:
    existing = "On 2026-05-01 the user said: Lives in: Lisbon."
    talk = "\n".join(f"user (2026-05-0{n % 9 + 1}): what about thing {n}?\nassistant: no" for n in range(40))
    said = "user (2026-05-02): I'm Maya. My dog is called Rex."
    content = f"Existing summary: {existing}\n\nConversation:\n{said}\n{talk}"
    messages = [{"role": "system", "content": SUMMARISER.format(words=60)}, {"role": "user", "content": content}]
    reply = DemoModel().chat({"model": "demo", "messages": messages}, Heard())
    assert not reply.calls
    assert existing in reply.content
    assert "Name: Maya; Dog: Rex" in reply.content
    assert len(reply.content.split()) <= 60


def test_the_instructions_have_room_in_a_small_window() -> None:
    assert 350 <= count(MEMGPT_INSTRUCTIONS) <= 450


def test_a_pasted_book_is_read_in_time_and_not_taken_for_facts() -> None:
    world = World()
    text = "Call me Ishmael. My name is Ishmael and I live in Nantucket; " * 2000 + "\nIt ends here."
    assert "recall storage" in world.say("Here is my text:\n" + text)
    assert world.human == [""]
