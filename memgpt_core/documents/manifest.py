"""A document's manifest: which stretches of its text are its passages, under which ids, and its outline.

Written once, when the document is taken in, and kept in cold storage, so that a rebuild depends on no extractor and
no splitter of a later day. Passages of a changed document that read as before keep their ids. Pure: one JSON text.
"""

import json
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from memgpt_core.documents import outline
from memgpt_core.documents.splitting import Passage
from memgpt_core.errors import DocumentMissing
from memgpt_core.ids import PASSAGES_MOST

FORMAT = 1

LEFT_OUT = "0" * 64
"""In place of the sha256 of a document that did not come along with its log."""

MARK_CHARS = 1 << 16
"""Each so many characters the manifest says at which byte of the text they begin, so that a stretch is read alone."""


class Slice(NamedTuple):
    """One passage, in the order of the document.

    Attributes:
        born: the event that brought it; 0 for the one that this manifest belongs to. `n` counts from 1 in there.
        start, end: characters of the document's text.
        front: which of `Manifest.fronts` stands before that stretch.
        path: which of `Manifest.paths` it stands under.
        page: from 1; None where the format has none.
    """

    born: int
    n: int
    start: int
    end: int
    front: int
    path: int
    page: int | None

    def id(self, seq: int) -> str:
        """Its id, in the manifest of event `seq`."""
        return f"p{self.born or seq}.{self.n}"


class Section(NamedTuple):
    """A part of the outline: which characters and passages it covers (`first` from 0), and what it says in short."""

    path: int
    page: int | None
    start: int
    end: int
    first: int
    passages: int
    extract: str


class Manifest(NamedTuple):
    """The passages and the outline of one version of a document.

    Attributes:
        marks: the byte of the text at which each `MARK_CHARS`-th character begins.
    """

    extract: str
    fronts: tuple[str, ...]
    paths: tuple[tuple[str, ...], ...]
    passages: tuple[Slice, ...]
    sections: tuple[Section, ...]
    marks: tuple[int, ...]

    def texts(self, text: str) -> Iterator[str]:
        """The text of each passage; `text` is the document's."""
        return (self.fronts[one.front] + text[one.start : one.end] for one in self.passages)

    def title_path(self, one: Slice | Section) -> str:
        """The headings it stands under, as one line."""
        return " > ".join(self.paths[one.path])


EMPTY = Manifest("", (), (), (), (), ())


class Opened(NamedTuple):
    """A manifest with the text it is about."""

    manifest: Manifest
    text: str


Open = Callable[[str, str, str], Opened]
"""Opens the files of one version, each named by its sha256: raw, text, manifest.

Raises:
    DocumentMissing: one of them is not there.
"""


def nothing_kept(_raw: str, _text: str, _manifest: str) -> Opened:
    """Opens nothing: for rows without a cold storage.

    Raises:
        DocumentMissing: always.
    """
    raise DocumentMissing("There is no cold storage here.")


def made(
    text: str,
    passages: Sequence[Passage],
    extract: str,
    sections: Sequence[outline.Section],
    before: tuple[Opened, int] | None = None,
) -> Manifest:
    """The manifest of a document's passages; those that read as in the version `before`, of an event, keep their ids.

    Raises:
        ValueError: there are more than one event can bring.
    """
    known = _Known(before)
    fronts: dict[str, int] = {}
    paths: dict[tuple[str, ...], int] = {}
    slices, n = [], 0
    for one in passages:
        stretch = one.end - one.start
        whole = one.text.endswith(text[one.start : one.end])
        front = one.text[: len(one.text) - stretch] if whole else one.text
        path = paths.setdefault(one.title_path, len(paths))
        kept = known.take(one.text, one.title_path)
        if kept is None:
            n += 1
        born, number = kept or (0, n)
        end = one.end if whole else one.start
        slices.append(Slice(born, number, one.start, end, fronts.setdefault(front, len(fronts)), path, one.page))
    if n > PASSAGES_MOST:
        raise ValueError(f"{n} passages are more than an event can bring")
    listed = tuple(
        Section(paths.setdefault(one.title_path, len(paths)), *one[1:4], one.first_passage, one.passages, one.extract)
        for one in sections
    )
    return Manifest(extract, tuple(fronts), tuple(paths), tuple(slices), listed, marks(text))


class _Known:
    """The passages of the version before, by what they read; of equal ones the first comes first."""

    def __init__(self, before: tuple[Opened, int] | None) -> None:
        self._ids: defaultdict[tuple[str, tuple[str, ...]], deque[tuple[int, int]]] = defaultdict(deque)
        if before:
            (manifest, text), seq = before
            for one, read in zip(manifest.passages, manifest.texts(text), strict=True):
                self._ids[read, manifest.paths[one.path]].append((one.born or seq, one.n))

    def take(self, text: str, path: tuple[str, ...]) -> tuple[int, int] | None:
        found = self._ids.get((text, path))
        return found.popleft() if found else None


def marks(text: str) -> tuple[int, ...]:
    """At which byte of the text in UTF-8 each `MARK_CHARS`-th character begins."""
    found, at = [], 0
    for start in range(0, len(text), MARK_CHARS):
        found.append(at)
        at += len(text[start : start + MARK_CHARS].encode())
    return tuple(found)


def encode(manifest: Manifest) -> bytes:
    """The manifest as it is kept: the same one always as the same bytes."""
    return json.dumps({"format": FORMAT, **manifest._asdict()}, ensure_ascii=False, separators=(",", ":")).encode()


def decode(kept: bytes) -> Manifest:
    """The manifest that `encode` wrote.

    Raises:
        ValueError: it is none, or of a format of a later Memscope.
    """
    try:
        raw = json.loads(kept)
        if raw.pop("format") != FORMAT:
            raise ValueError("a later Memscope wrote it")
        return Manifest(
            raw["extract"],
            tuple(raw["fronts"]),
            tuple(map(tuple, raw["paths"])),
            tuple(Slice(*one) for one in raw["passages"]),
            tuple(Section(*one) for one in raw["sections"]),
            tuple(raw["marks"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is no manifest ({error})") from error
