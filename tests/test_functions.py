"""From signature and docstring to the schema a model sees, and back from its arguments."""

from typing import Any

import pytest

from memgpt_core.functions import HEARTBEAT, BadArguments, function, validate
from memgpt_core.registry import OF_DOCUMENTS, REGISTRY, schemas
from memgpt_core.settings import AgentSettings


def remember(memory: Any, text: str, tags: list[str] = [], times: int = 1) -> None:  # noqa: B006
    """Keep a text. It stays
    where it is.

    Args:
        text: what to keep,
            over two lines
        tags: words to file it under
        times: how often
    """


def test_the_schema_comes_from_the_signature_and_the_docstring() -> None:
    assert function(remember).schema == {
        "type": "function",
        "function": {
            "name": "remember",
            "description": "Keep a text. It stays where it is.",
            "parameters": {
                "type": "object",
                "required": ["text"],
                "properties": {
                    "text": {"type": "string", "description": "what to keep, over two lines"},
                    "tags": {
                        "type": "array",
                        "items": {"type": "string"},
                        "description": "words to file it under",
                    },
                    "times": {"type": "integer", "description": "how often"},
                    "request_heartbeat": {
                        "type": "boolean",
                        "description": "true to get control back right after this call",
                    },
                },
            },
        },
    }


def test_two_of_the_real_ones_as_the_model_sees_them() -> None:
    assert REGISTRY["send_message"].schema == {
        "type": "function",
        "function": {
            "name": "send_message",
            "description": "Send a message to the user. Nothing else you write is shown to the user.",
            "parameters": {
                "type": "object",
                "required": ["message"],
                "properties": {"message": {"type": "string", "description": "the text the user will read"}},
            },
        },
    }
    insert = REGISTRY["memory_insert"].schema["function"]
    assert insert["description"] == "Insert a line into a core memory block at a position."
    assert insert["parameters"]["required"] == ["label", "new_string"]
    assert insert["parameters"]["properties"]["insert_line"] == {
        "type": "integer",
        "description": "0 puts it first, -1 last, n after line n",
    }


@pytest.mark.parametrize("name", REGISTRY)
def test_every_function_describes_itself_and_all_it_takes(name: str) -> None:
    made = REGISTRY[name]
    described = made.schema["function"]
    assert described["name"] == name
    assert described["description"].endswith(".")
    assert "Args" not in described["description"]
    properties = described["parameters"]["properties"]
    assert set(properties) - {HEARTBEAT} == set(made.arguments.model_fields)
    assert all(len(value["description"]) > 3 for value in properties.values())
    assert (HEARTBEAT in properties) == (not made.terminal)
    assert HEARTBEAT not in described["parameters"]["required"]


def test_functions_that_are_off_are_not_offered() -> None:
    settings = AgentSettings(functions_off=("note_list", "send_message", "no such"))
    offered = [schema["function"]["name"] for schema in schemas(settings, with_documents=True)]
    assert offered == [name for name in REGISTRY if name not in ("note_list", "send_message")]
    without = [schema["function"]["name"] for schema in schemas(settings)]
    assert without == [name for name in offered if name not in OF_DOCUMENTS]


# --- what cannot be described ---------------------------------------------------------------------------------------


def undescribed(memory: Any, a: int, b: int) -> None:
    """Do.

    Args:
        a: first
    """


def unannotated(memory: Any, a) -> None:  # type: ignore[no-untyped-def]
    """Do.

    Args:
        a: first
    """


def without_docstring(memory: Any, a: int) -> None: ...


def not_plain(memory: Any, a: int | None) -> None:
    """Do.

    Args:
        a: first
    """


@pytest.mark.parametrize(
    ("run", "says"),
    [
        (undescribed, "undescribed: parameter b needs"),
        (unannotated, "unannotated: parameter a needs"),
        (without_docstring, "without_docstring: parameter a needs"),
        (not_plain, "not_plain: parameter a must be a plain JSON type"),
    ],
)
def test_a_function_that_cannot_be_described_is_refused_at_once(run: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        function(run)


# --- arguments ------------------------------------------------------------------------------------------------------

MADE = function(remember)


@pytest.mark.parametrize(
    ("given", "checked"),
    [
        ({"text": "x"}, {"text": "x", "tags": [], "times": 1}),
        ({"text": "x", "times": "3"}, {"text": "x", "tags": [], "times": 3}),
        ({"text": "x", "times": 3.0}, {"text": "x", "tags": [], "times": 3}),
        ({"tags": ["a"], "text": ""}, {"text": "", "tags": ["a"], "times": 1}),
    ],
)
def test_arguments_that_fit(given: dict[str, Any], checked: dict[str, Any]) -> None:
    assert validate(MADE, given) == checked
    assert list(validate(MADE, given)) == ["text", "tags", "times"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "text: field required"),
        ({"text": "x", "colour": 1}, "colour: extra inputs are not permitted"),
        ({"text": None}, "text: input should be a valid string"),
        ({"text": 5}, "text: input should be a valid string"),
        ({"text": "x", "times": "three"}, "times: input should be a valid integer"),
        ({"text": "x", "times": 1.5}, "times: input should be a valid integer"),
        ({"text": "x", "tags": "a"}, "tags: input should be a valid list"),
        ({"text": "x", "tags": ["a", 2]}, "tags.1: input should be a valid string"),
        ({"times": "x"}, "text: field required; times: input should be"),
    ],
)
def test_arguments_that_do_not_fit_are_told_with_what_would(given: dict[str, Any], says: str) -> None:
    with pytest.raises(BadArguments) as refused:
        validate(MADE, given)
    assert says in str(refused.value)
    assert str(refused.value).endswith("remember takes: text, tags, times.")


def test_a_default_list_is_nobodys_in_common() -> None:
    validate(MADE, {"text": "x"})["tags"].append("mine")
    assert validate(MADE, {"text": "x"})["tags"] == []
