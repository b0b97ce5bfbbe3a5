"""How large a text is for a model: the one place that decides the unit.

The estimate adds up pieces of text. Over whole prompts, with the factor that a model's own counts teach
(`State.token_factor`), it stays within a few percent of real byte-level vocabularies: medians 0.2 to 2.3 %
against five of them, at most 10 % on the first prompt (`tests/benchmarks/tokens.py`). It is exact for the
demo model, which counts the same way.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_PIECE = re.compile(
    r"(?P<word>[A-Za-z]+)|(?P<digits>[0-9]+)|(?P<cjk>[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af])"
    r"|(?P<letters>[^\W\d_A-Za-z]+)|(?P<lines>\n+[ \t]*)|(?P<signs>[!-/:-@\[-`{-~]+)|[ \t]{2,}|[^\w\s]"
)


def count(text: str) -> int:
    """Tokens of `text`, by the vocabulary of `counted_by` when there is one, else estimated from its pieces."""
    return _COUNTER.get()(text)


def estimate(text: str) -> int:
    """Tokens of `text` estimated from its pieces; 0 for the empty text, else at least 1."""
    return max(1, round(weight(text))) if text else 0


def weight(text: str) -> float:
    """The estimate before it is rounded: what stretches of a longer text weigh can be added up."""
    cost = 0.0
    for match in _PIECE.finditer(text):
        kind, size = match.lastgroup, match.end() - match.start()
        if kind == "word":
            cost += 1 if size <= 7 else 1 + (size - 7) / 5
        elif kind == "digits":
            cost += 0.7 * size
        elif kind == "letters":
            cost += max(1.0, size / 3.2)
        elif kind == "signs":
            # Vocabularies hold whole runs of signs, such as `":"` and `"},{"`.
            cost += 0.9 + 0.12 * (size - 1)
        else:
            cost += 0.9 if kind == "lines" else 0.8
    return cost


_COUNTER: ContextVar[Callable[[str], int]] = ContextVar("counter", default=estimate)


@contextmanager
def counted_by(counter: Callable[[str], int] | None) -> Iterator[None]:
    """Count with a model's own vocabulary (None: with the estimate) in this thread until the block ends."""
    before = _COUNTER.set(counter or estimate)
    try:
        yield
    finally:
        _COUNTER.reset(before)


def count_json(value: Any) -> int:
    """Tokens of a value as it stands in a request body, written as compact JSON."""
    return count(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def count_message(message: dict[str, Any]) -> int:
    """Tokens of one chat message: its content and, as JSON, its function calls."""
    calls = message.get("tool_calls")
    return count(message.get("content", "")) + (count_json(calls) if calls else 0)


def count_request(body: dict[str, Any]) -> int:
    """Tokens of a whole request body: all its messages and its function schemas."""
    return sum(count_message(message) for message in body["messages"]) + sum(
        count_json(schema) for schema in body.get("tools", ())
    )
