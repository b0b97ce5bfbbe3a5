"""What is guessed to be searched for next, by mode."""

import pytest

from memgpt_core.guessing import Answered, guesses, wanted

ROLES = ("user", "assistant")
KEY, VALUE, OTHER = (
    "301d3d01-5ad3-49fe-9a7a-adc00a6ffb1b",
    "5ce6ce4b-ecbc-40ed-8026-c8622d7f42a3",
    "8b90a916-0fda-4645-8c9d-79261fbe60f1",
)


def asked(mode: str, said: str, last: Answered | None = None) -> list[tuple[str, str, int]]:
    return [(one.store, one.query, one.page) for one in guesses(mode, said, last, 5, ROLES)]  # type: ignore[arg-type]


def answered(query: str, total: int, *texts: str, page: int = 1) -> Answered:
    return Answered(wanted("archival", query, page, 5, {"tags": ("pairs",)}), total, texts)


def test_off_guesses_nothing() -> None:
    assert not asked("off", "What was the parrot called?")


def test_a_message_is_guessed_as_its_words_and_as_it_stands_in_both_stores() -> None:
    said = "What was the part number of the boiler valve?"
    assert asked("user_message", said) == [
        ("recall", "part number boiler valve", 1),
        ("archival", "part number boiler valve", 1),
        ("recall", said, 1),
        ("archival", said, 1),
    ]
    assert asked("user_message", "What did I say about the boiler?")[0] == ("recall", "boiler", 1)
    assert asked("user_message", "parrot") == [("recall", "parrot", 1), ("archival", "parrot", 1)]
    assert not asked("user_message", said, answered("boiler", 3)), "once the model has searched, it knows better"


@pytest.mark.parametrize("said", ["", "   ", "word " * 400])
def test_nothing_and_a_page_are_not_guessed(said: str) -> None:
    assert not asked("user_message", said)


def test_the_next_page_is_guessed_where_there_is_one_with_the_same_filters() -> None:
    (found,) = guesses("next_page", "x", answered("boiler", 11, page=2), 5, ROLES)
    assert (found.query, found.page, dict(found.narrow)) == ("boiler", 3, {"tags": ("pairs",)})
    assert not asked("next_page", "x", answered("boiler", 10, page=2))
    assert not asked("next_page", "x")


def test_a_key_in_the_message_is_looked_up() -> None:
    assert asked("key_chain", f"What is the value of key {KEY}? It is no key.") == [("archival", KEY, 1)]
    assert not asked("key_chain", "What is the value of the third thing in 2026?")


def test_the_value_of_what_was_sought_is_the_next_key() -> None:
    texts = (f"Key-value pair: key = {OTHER}, value = {KEY}", f"Key-value pair: key = {KEY}, value = {VALUE}")
    assert asked("key_chain", f"key {KEY}?", answered(KEY, 2, *texts)) == [("archival", VALUE, 1)]
    assert not asked("key_chain", f"key {KEY}?", answered(KEY, 1, texts[0])), "nothing stands behind it: the end"
    assert not asked("key_chain", f"key {KEY}?", answered(KEY, 0))


def test_filters_that_let_everything_pass_are_none() -> None:
    assert wanted("archival", "x", 1, 5, {"document": None}) == wanted("archival", "x", 1, 5, {"tags": ()})
    assert wanted("archival", "x", 1, 5, {"document": ""}) != wanted("archival", "x", 1, 5, {}), "it may mean something"
    assert wanted("recall", "x", 1, 5, {"roles": ROLES, "start": "", "end": ""}) == wanted(
        "recall", "x", 1, 5, {"end": "", "roles": ROLES}
    )
