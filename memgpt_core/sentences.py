"""The sentences of a text, and how much one says: what every extract made without a model is picked from. Pure."""

import re
from collections.abc import Iterator

SENTENCE_CHARS = 200
TELLING_CHARS = 40
"""A shorter sentence is seldom more than a nod."""

_READ_CHARS = 20 * SENTENCE_CHARS
_SENTENCE = re.compile(r"[^.!?\n]*[^\W_][^.!?\n]*(?:[.!?](?!\s|$)[^.!?\n]*)*[.!?]?")
_FIRST_PERSON = re.compile(r"\b(?:I|I'\w+|my|mine|we|our|me)\b")
_NAME_OR_NUMBER = re.compile(r"(?<=\s)[A-Z][a-z]+|\d+")


def sentences(text: str) -> Iterator[str]:
    """The sentences of the beginning of `text` that are neither too short to say anything nor too long to quote."""
    for found in _SENTENCE.finditer(text[:_READ_CHARS]):
        sentence = " ".join(found[0].split())
        if 12 <= len(sentence) <= SENTENCE_CHARS:
            yield sentence


def worth(sentence: str) -> int:
    """How much a sentence is likely to say: what a speaker says of themselves, names, numbers; questions say less."""
    said = 2 * bool(_FIRST_PERSON.search(sentence)) + min(3, len(_NAME_OR_NUMBER.findall(sentence)))
    return said + (len(sentence) >= TELLING_CHARS) - 2 * sentence.endswith("?")
