"""What a document is about, section by section, in sentences of its own.

An outline is what an agent looks at before it opens anything. Its extracts are chosen by how much they share with the
words that are frequent in their section and rare elsewhere (tf-idf), so that they cost no model and are true by
construction. Pure.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from memgpt_core.documents.parts import Extracted
from memgpt_core.documents.splitting import Passage
from memgpt_core.sentences import SENTENCE_CHARS, TELLING_CHARS, sentences, worth

SECTION_PASSAGES = 20
"""A section longer than one and a half of this is cut into sections of about this many passages."""

_WORD = re.compile(r"[^\W\d_]{3,}")
_SIGNS = re.compile(r"\W{8,}")
"""Rules drawn with signs say nothing, and looking for a word in one is slow."""

_READ_CHARS = 40_000
"""How much of a section is searched for sentences."""


class Section(NamedTuple):
    """A section of the outline.

    Attributes:
        start, end: characters of the document's text.
        first_passage, passages: a number into `split()`'s result, and how many from there.
        extract: one or two of its sentences; of a table or code its first line.
    """

    title_path: tuple[str, ...]
    page: int | None
    start: int
    end: int
    first_passage: int
    passages: int
    extract: str


def outline(extracted: Extracted, passages: Sequence[Passage]) -> tuple[str, tuple[Section, ...]]:
    """An extract of the whole document, and its sections in order, which together are all of its passages."""
    stretches = list(_stretches(passages))
    bags = [_words(extracted.text[passages[first].start : passages[first + many - 1].end]) for first, many in stretches]
    seen = Counter(word for bag in bags for word in bag)
    rare = {word: math.log(1 + len(bags) / times) for word, times in seen.items()}
    sections = []
    for (first, many), bag in zip(stretches, bags, strict=True):
        head, tail = passages[first], passages[first + many - 1]
        central = {word: math.log1p(times) * rare[word] for word, times in bag.items()}
        chosen = _extract(extracted.text[head.start : tail.end][:_READ_CHARS], central)
        sections.append(Section(head.title_path, head.page, head.start, tail.end, first, many, chosen))
    everywhere = {word: math.log1p(times) for word, times in seen.items() if len(bags) == 1 or times < len(bags)}
    return _extract("\n\n".join(section.extract for section in sections), everywhere), tuple(sections)


def _stretches(passages: Sequence[Passage]) -> Iterator[tuple[int, int]]:
    """(first, how many) of the passages of each section."""
    for _, group in groupby(range(len(passages)), lambda at: passages[at].title_path):
        numbers = list(group)
        pieces = max(1, round(len(numbers) / SECTION_PASSAGES))
        for piece in range(pieces):
            first, end = (len(numbers) * at // pieces for at in (piece, piece + 1))
            yield numbers[first], end - first


def _words(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text.lower()))


def _extract(text: str, central: Mapping[str, float]) -> str:
    """The one or two sentences of `text` that say most of what is `central`, in their order."""
    scored = sorted(((_score(said, central), -at, said) for at, said in enumerate(_sentences(text))), reverse=True)
    if not scored:
        line = next((" ".join(line.split()) for line in text.split("\n") if line.strip()), "")
        return line if len(line) <= SENTENCE_CHARS else line[: SENTENCE_CHARS - 1] + "…"
    first = scored[0]
    known = set(_words(first[2]))
    other = next((one for one in scored[1:] if _fresh(one[2], known)), None)
    chosen = [first, other] if other and len(first[2]) + len(other[2]) < 1.5 * SENTENCE_CHARS else [first]
    return " ".join(said for _, _, said in sorted(chosen, key=lambda one: -one[1]))


def _sentences(text: str) -> Iterable[str]:
    """The sentences of running text: lines of a paragraph are one line, whatever width it was written in."""
    for paragraph in re.split(r"\n\s*\n", text):
        line = _SIGNS.sub(" ", " ".join(paragraph.split()))
        yield from (said for said in sentences(line) if len(said) >= TELLING_CHARS)


def _score(sentence: str, central: Mapping[str, float]) -> float:
    words = set(_WORD.findall(sentence.lower()))
    return sum(central.get(word, 0.0) for word in words) / (len(words) + 6) * (1 + 0.05 * worth(sentence))


def _fresh(sentence: str, known: set[str]) -> bool:
    """Whether a sentence says something that the known words do not."""
    words = set(_WORD.findall(sentence.lower()))
    return bool(words) and len(words & known) <= len(words) / 2
