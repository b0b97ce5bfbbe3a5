"""JSON and JSON lines: each value on a line with the names that lead to it, so that it can be found by them. Pure."""

import json
from collections.abc import Iterator
from typing import Any

from memgpt_core.documents.parts import Draft, Extracted
from memgpt_core.errors import NotReadable

_HEADING_LEVELS = 2
"""How many outer names become headings; deeper ones stand in front of their values."""

DEPTH_MOST = 200
WHOLE_CHARS_MOST = 32 * 2**20
"""A single JSON value takes many times its size when it is read; JSON lines are read one at a time."""


def read_json(text: str) -> Extracted | None:
    """The document of one JSON value; None when `text` is not that.

    Raises:
        NotReadable: it is nested too deep, or too large to be one value.
    """
    if len(text) > WHOLE_CHARS_MOST:
        raise NotReadable(
            f"it is one JSON value of {len(text) // 2**20} million characters. Save it as JSON lines "
            "(one value a line, .jsonl), which are read one at a time."
        )
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError:
        return None
    draft = Draft()
    _add(draft, value, 1)
    return draft.finish("", "application/json")


def read_json_lines(text: str) -> Extracted | None:
    """The document of one JSON value a line; None when no line is one."""
    draft = Draft()
    wrong = 0
    for line in text.split("\n"):
        if not line.strip():
            continue
        try:
            draft.add(_record(json.loads(line)))
        except RecursionError as error:
            raise _too_deep() from error
        except ValueError:
            wrong += 1
            draft.add(line)
    extracted = draft.finish("", "application/jsonl")
    if wrong and wrong * 2 > len(extracted.text.split("\n\n")):
        return None
    note = f"{wrong} lines are no JSON and were read as they stand."
    return extracted._replace(notes=(note,)) if wrong else extracted


def _add(draft: Draft, value: Any, level: int) -> None:
    """Outer names become headings over what they hold, a list's entries paragraphs."""
    if isinstance(value, dict) and level <= _HEADING_LEVELS:
        plain = {key: inner for key, inner in value.items() if not isinstance(inner, (dict, list))}
        draft.add(_record(plain))
        for key, inner in value.items():
            if key not in plain:
                draft.heading(level, key)
                _add(draft, inner, level + 1)
                draft.section(level, "")
    elif isinstance(value, list):
        for entry in value:
            draft.add(_record(entry))
    else:
        draft.add(_record(value))


def _record(value: Any) -> str:
    return "\n".join(_lines(value, "", 0))


def _lines(value: Any, name: str, depth: int) -> Iterator[str]:
    if depth > DEPTH_MOST:
        raise _too_deep()
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _lines(inner, f"{name}.{key}" if name else key, depth + 1)
    elif isinstance(value, list):
        if all(not isinstance(entry, (dict, list)) for entry in value):
            yield from _lines(", ".join(_shown(entry) for entry in value), name, depth + 1)
        else:
            for at, entry in enumerate(value, 1):
                yield from _lines(entry, f"{name}[{at}]", depth + 1)
    elif (shown := _shown(value)) != "":
        yield f"{name}: {shown}" if name else shown


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value) if value is not None else ""


def _too_deep() -> NotReadable:
    return NotReadable(
        f"its values are nested more than {DEPTH_MOST} deep. Save the part that matters as a file of its own "
        "and add that."
    )
