"""Counting: the estimate's rules, and that everything is counted by the one ruler."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgpt_core.tokens import count, count_json, count_message, count_request


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        (" ", 1),
        ("a", 1),
        ("hello", 1),
        ("hello world", 2),
        ("seventeen", 1),
        ("internationalisation", 4),
        ("one two three four five", 5),
        ("12345", 4),
        ("漢字漢字漢字漢字漢字", 8),
        ("Straße", 3),
        ("a, b.", 4),
        ("a\n\n\nb", 3),
        ("a    b", 3),
        ("snake_case", 3),
    ],
)
def test_the_estimate(text: str, tokens: int) -> None:
    assert count(text) == tokens


@given(st.text(max_size=200))
def test_only_nothing_costs_nothing(text: str) -> None:
    assert (count(text) == 0) == (text == "")


@given(st.text(max_size=80), st.text(max_size=80))
def test_two_texts_cost_about_as_much_together_as_apart(one: str, other: str) -> None:
    assert abs(count(one + "\n" + other) - count(one) - count(other)) <= 4


def test_a_message_is_its_content_and_its_calls() -> None:
    calls = [{"function": {"name": "f", "arguments": {"a": "b c d"}}}]
    assert count_message({"content": "one two"}) == 2
    assert count_message({"content": "one two", "tool_calls": calls}) == 2 + count_json(calls)
    assert count_message({"content": "", "tool_calls": []}) == 0


def test_json_is_counted_as_it_is_sent() -> None:
    value = {"a": "ü漢", "b": [1, 2]}
    assert count_json(value) == count(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def test_a_request_is_its_messages_and_its_schemas() -> None:
    schema = {"name": "f", "description": "does it"}
    body = {"messages": [{"content": "one"}, {"content": "two three"}], "tools": [schema, schema], "model": "a b c"}
    assert count_request(body) == 3 + 2 * count_json(schema)
    assert count_request({"messages": []}) == 0
