"""Chains of keys: look a key up in archival storage, then its value as a key, until a value is no key.

Takes only a passage whose *key* is the text sought: the same text also turns up as another pair's value.
"""

import re

from memgpt_core.llm.demo.answers import Answer
from memgpt_core.llm.demo.request import Request, page_of

_UUID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_KEY = re.compile(
    rf"(?<![\w-])(?:{_UUID}|(?=[0-9a-fA-F]{{0,63}}\d)(?=[0-9]{{0,63}}[a-fA-F])[0-9a-fA-F]{{8,64}})(?![\w-])"
)
_PAIR = re.compile(r"key\s*[=:]\s*\"?([\w-]{1,200})\"?\s*,\s*value\s*[=:]\s*\"?([\w-]{1,200})", re.IGNORECASE)
_THOUGHT = re.compile(r"Lookup (\d+): I look for the pair whose key is ([\w-]+)\.")
MAX_LOOKUPS = 10
"""A chain longer than this is not followed to its end in one turn."""

PAGES_AT_ONCE = 4
"""How many further pages one reply asks for."""


def key_in(text: str) -> str:
    """The key a question is about; empty when there is none."""
    match = _KEY.search(text)
    return match[0] if match else ""


def follow(request: Request, key: str, *, hurry: bool = False) -> tuple[list[Answer], Answer | None]:
    """Searches to make next, or the end of the chain that starts at `key`."""
    if not request.can("archival_memory_search"):
        return [], Answer(
            None, "Searching archival storage is switched off, so I cannot look that key up.", found=False
        )
    before, start = _progress(request, key)
    path = [start]
    while True:
        hurry = hurry or before + len(path) > MAX_LOOKUPS
        value, following = _look(request, path[-1])
        if value is None and following:
            if hurry:
                return [], Answer(None, _unfinished(before, path), found=False)
            return [Answer(("archival_memory_search", _arguments(path[-1], page))) for page in following], None
        if value is None:
            return [], _end(before, path)
        if value in path:
            return [], Answer(None, f"The chain runs in a circle: {' → '.join([*path, value])}.", found=False)
        path.append(value)


def thought(request: Request, key: str, sought: str) -> str:
    """What to think when looking `sought` up: it says how far the chain is, in case a flush takes the steps before."""
    before, start = _progress(request, key)
    number, at = before, start
    while at != sought:
        value, _ = _look(request, at)
        if value is None:
            break
        number, at = number + 1, value
    return f"Lookup {number + 1}: I look for the pair whose key is {sought}."


def _progress(request: Request, key: str) -> tuple[int, str]:
    """(lookups before the first one that is still in the window, the key it looked for)."""
    for said in request.thoughts:
        if match := _THOUGHT.match(said):
            return int(match[1]) - 1, match[2]
    return 0, key


def _arguments(query: str, page: int) -> dict[str, object]:
    return {"query": query} if page == 1 else {"query": query, "page": page}


def _look(request: Request, key: str) -> tuple[str | None, list[int]]:
    """(the value of `key`, pages still to see): no value and no pages means that it is not a key."""
    seen: set[int] = set()
    pages = 1
    for step in request.steps:
        if step.name != "archival_memory_search" or step.arguments.get("query") != key or step.ok is None:
            continue
        shown = page_of(step.value)
        seen.add(int(step.arguments.get("page", 1)))
        pages = max(pages, shown.pages if step.ok else 1)
        for hit in shown.hits:
            for pair in _PAIR.finditer(hit.text):
                if pair[1].lower() == key.lower():
                    return pair[2], []
    return None, [page for page in range(1, pages + 1) if page not in seen][: PAGES_AT_ONCE if seen else 1]


def _lookups(count: int) -> str:
    return "1 lookup" if count == 1 else f"{count} lookups"


def _end(before: int, path: list[str]) -> Answer:
    if before + len(path) == 1:
        return Answer(None, f"I don't know: no passage in archival storage has {path[0]} as its key.", found=False)
    steps = f" The way there: {' → '.join(path)}." if len(path) > 2 and not before else ""
    return Answer(
        None,
        f"The final value is {path[-1]}. It took {_lookups(before + len(path) - 1)}, and that value is itself no "
        f"key.{steps}",
    )


def _unfinished(before: int, path: list[str]) -> str:
    return (
        f"I had to stop after {_lookups(before + len(path) - 1)}: I got as far as {path[-1]}, and there are more "
        "pages of "
        "results "
        "than I can look through in one turn, so I cannot say whether that is the end."
    )
