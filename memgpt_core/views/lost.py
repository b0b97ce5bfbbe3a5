"""*Lost by this flush*: names, numbers and dates of evicted messages that no memory closer than recall still has.

Reads plain text by its marks alone: digits, capital letters, names of months and days. It knows no language, so
that it misses what a reader would see and shows some that a reader would not mind; each stands beside its message.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from memgpt_core.ranking import words

TERMS_MOST = 60
"""How many terms of one flush are looked for in archival storage."""

RULE = (
    "Names (words with a capital letter that do not begin a sentence), numbers (two digits or more, and codes with "
    "digits) and dates (months and weekdays) of evicted messages, yours and the agent's, that are found in no summary, "
    "no core memory block, no passage and no message in the window. They are still in recall storage: bring the "
    "message back, or save it."
)

_DATE_WORDS = """
january february march april june july august september october november december
monday tuesday wednesday thursday friday saturday sunday
"""
_DATES = frozenset(_DATE_WORDS.split())
# The spoken word may be a month or a verb: as a month it stands beside a number.
_MAY = re.compile(r"\b(?:\d{1,2}(?:st|nd|rd|th)?\s+(?:of\s+)?May|May\s+\d{1,4})\b")
_TOKEN = re.compile(r"[^\W_]+(?:[-./:,'’][^\W_]+)*")
_BEGINS = re.compile(r"(?:^|[.!?…:;\n\"“(]|[-*•]\s)\s*$")
_ROLES = ("user", "assistant")
_NOT_NAMES = frozenset(("i", "i'm", "i’m", "i've", "i’ve", "i'll", "i’ll", "i'd", "i’d", "ok", "okay"))


class Term(NamedTuple):
    """A name, number or date as it was written; `what` says which of the three."""

    text: str
    what: str


class Lost(NamedTuple):
    """What is only in one evicted message."""

    message: str
    term: str
    what: str


def terms(text: str) -> list[Term]:
    """The names, numbers and dates of a text, each once, in its order."""
    found: dict[str, Term] = {}
    for match in _TOKEN.finditer(text):
        word = match[0]
        what = _what(word, bool(_BEGINS.search(text[: match.start()][-4:])))
        if what:
            found.setdefault(word.lower(), Term(word, what))
    if _MAY.search(text):
        found.setdefault("may", Term("May", "date"))
    return list(found.values())


def _what(word: str, begins: bool) -> str:
    if word.lower() in _DATES:
        return "date"
    digits = sum(map(str.isdigit, word))
    if digits:
        return "number" if digits > 1 or any(map(str.isalpha, word)) else ""
    plain = word.lower() in _NOT_NAMES or word.lower() == "may"
    return "name" if word[0].isupper() and not begins and not plain else ""


def candidates(evicted: Iterable[Mapping[str, Any]], kept: Sequence[str]) -> list[Lost]:
    """What of these messages is in none of the `kept` texts, oldest message first; archival is not looked at yet.

    Rows: `id`, `role`, `text`; results and alerts are left out, whose figures are the machine's.
    """
    known = _known(kept)
    found: dict[str, Lost] = {}
    for row in evicted:
        if row["role"] not in _ROLES:
            continue
        for term in terms(row["text"] or ""):
            if not _in(term.text, known):
                found.setdefault(term.text.lower(), Lost(row["id"], term.text, term.what))
    return list(found.values())


def _known(texts: Sequence[str]) -> set[tuple[str, ...]]:
    # By runs of up to four words, so that `3.50` and `BV-22/7` are found as they were written and not in pieces.
    runs: set[tuple[str, ...]] = set()
    for text in texts:
        found = words(text)
        runs.update(tuple(found[at : at + size]) for size in range(1, 5) for at in range(len(found) - size + 1))
    return runs


def _in(term: str, known: set[tuple[str, ...]]) -> bool:
    run = tuple(words(term))
    if len(run) > 1 and run[-1] == "s":
        run = run[:-1]
    return run[:4] in known or ("".join(run),) in known


def still_lost(found: Sequence[Lost], passages: Mapping[str, Sequence[str]]) -> list[Lost]:
    """Those of them that are in no passage either; `passages` holds, by term, texts that may have it."""
    return [one for one in found if not _in(one.term, _known(passages.get(one.term, ())))]
