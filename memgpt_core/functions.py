"""The function registry: a Python signature and docstring become the schema the model sees.

Knows how to describe and validate a call; does not know what any function does to memory (that is
`memory_functions`) and never runs one (that is `executor`).
"""

import inspect
import re
from collections.abc import Callable
from typing import Any, NamedTuple, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

HEARTBEAT = "request_heartbeat"
_HEARTBEAT_SCHEMA = {
    "type": "boolean",
    "description": "true to get control back right after this call",
}
_JSON_TYPES = {"string", "integer", "number", "boolean", "array", "object"}


class Function(NamedTuple):
    """One callable of the model: how it looks (`schema`), how its arguments are checked, what runs.

    `run` takes the memory it works on, then the validated arguments by name. A terminal function ends the
    turn and takes no heartbeat.
    """

    name: str
    schema: dict[str, Any]
    arguments: type[BaseModel]
    run: Callable[..., Any]
    terminal: bool


class BadArguments(Exception):
    """The model's arguments do not fit; the message says which and what would."""


def function(run: Callable[..., Any], *, terminal: bool = False) -> Function:
    """Describe `run`: its first parameter is the memory, the rest are the model's arguments.

    The summary line is the description; each line of the docstring's `Args:` describes its parameter.

    Raises:
        ValueError: a parameter without an annotation or a description.
    """
    summary, described = _docstring(run)
    hints = get_type_hints(run)
    fields: dict[str, Any] = {}
    for name, parameter in list(inspect.signature(run).parameters.items())[1:]:
        if name not in hints or name not in described:
            raise ValueError(f"{run.__name__}: parameter {name} needs an annotation and a description")
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[name] = (hints[name], Field(default, description=described[name]))
    arguments = create_model(run.__name__, __config__=ConfigDict(extra="forbid"), **fields)
    return Function(run.__name__, _schema(run.__name__, summary, arguments, terminal), arguments, run, terminal)


def without_heartbeat(schema: dict[str, Any]) -> dict[str, Any]:
    """The same schema without the flag that asks for control back."""
    described = schema["function"]
    parameters = described["parameters"]
    properties = {name: value for name, value in parameters["properties"].items() if name != HEARTBEAT}
    return {**schema, "function": {**described, "parameters": {**parameters, "properties": properties}}}


def validate(function: Function, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments as the function takes them; a number given as text is accepted, an unknown name is not.

    Raises:
        BadArguments: what is missing, unknown or of the wrong type.
    """
    try:
        checked = function.arguments.model_validate(arguments)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg'].lower()}"
            for item in error.errors(include_url=False, include_input=False)
        )
        wanted = ", ".join(function.arguments.model_fields)
        raise BadArguments(f"{wrong}. {function.name} takes: {wanted}.") from None
    return {name: getattr(checked, name) for name in function.arguments.model_fields}


def _docstring(run: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    text = inspect.cleandoc(run.__doc__ or "")
    summary, _, args = text.partition("\nArgs:\n")
    described = {
        match[1]: " ".join(match[2].split())
        for match in re.finditer(r"^    (\w+): (.+(?:\n {8}.+)*)", args, flags=re.MULTILINE)
    }
    return " ".join(summary.split()), described


def _schema(name: str, summary: str, arguments: type[BaseModel], terminal: bool) -> dict[str, Any]:
    raw = arguments.model_json_schema()
    properties: dict[str, Any] = {}
    for key, value in raw.get("properties", {}).items():
        kept = {part: value[part] for part in ("type", "items", "description", "enum") if part in value}
        if kept.get("type") not in _JSON_TYPES:
            raise ValueError(f"{name}: parameter {key} must be a plain JSON type")
        properties[key] = kept
    if not terminal:
        properties[HEARTBEAT] = dict(_HEARTBEAT_SCHEMA)
    parameters = {"type": "object", "required": raw.get("required", []), "properties": properties}
    return {"type": "function", "function": {"name": name, "description": summary, "parameters": parameters}}
