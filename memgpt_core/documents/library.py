"""The documents of one agent: which there are, their outlines, their passages in order, their text.

Rows say which versions stood when; what is inside a version is read from its manifest in cold storage, a stretch at
a time. Does not read files of people (`intake`), does not search and does not draw.
"""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from memgpt_core.documents.manifest import MARK_CHARS, Manifest
from memgpt_core.documents.splitting import PASSAGE_TOKENS
from memgpt_core.errors import DocumentMissing
from memgpt_core.ids import seq_of
from memgpt_core.project import Files
from memgpt_core.rows import Row
from memgpt_core.stores.documents import ColdStorage
from memgpt_core.tokens import weight

Rows = Callable[[str, Any], list[Row]]

PAGE_SHARE = 0.15
"""How much of what a prompt may fill one page of a document, or of a list, takes."""

TEXT_CHARS_MOST = 400_000
"""The most of a document's text that is read at once."""

COUNTED_AT_ONCE = 16 * MARK_CHARS
"""A text is counted in stretches of so many characters; what a cut through a word adds is less than a token each."""

_NUMBERED_KEPT = 4
_NOW = 2**62
_STOOD = "seq_from <= $n AND (seq_to IS NULL OR seq_to > $n)"


class Document(NamedTuple):
    """One version of a document.

    Attributes:
        id: `d{seq}` of its first version's event; `seq` is the event of this version.
        sha256: of the raw file; `text` and `manifest` those of what was made of it.
        pages: 0 where the format has none.
        added_at, changed_at: of the first version, and of this one.
        extract: what it is about, in sentences of its own.
        notes: what was left out or guessed, a sentence each.
    """

    id: str
    seq: int
    name: str
    title: str
    media: str
    extract: str
    sha256: str
    text: str
    manifest: str
    bytes: int
    chars: int
    pages: int
    passages: int
    sections: int
    extractor: int
    splitter: int
    notes: tuple[str, ...]
    tags: tuple[str, ...]
    author: str
    added_at: datetime
    changed_at: datetime

    @property
    def files(self) -> Files:
        """What cold storage has of it."""
        return Files(self.sha256, self.text, self.manifest)


class SectionRow(NamedTuple):
    """A section of an outline: `number` and `first` (of its first passage, `passage`) count from 1."""

    number: int
    title_path: tuple[str, ...]
    page: int | None
    extract: str
    start: int
    end: int
    first: int
    passage: str
    passages: int


class Place(NamedTuple):
    """Where a passage stands in its document; `number` from 1 among its `passages`."""

    document: str
    name: str
    number: int
    passages: int
    page: int | None
    title_path: tuple[str, ...]
    section: int


class Shelf(Protocol):
    """What an agent's functions read of its documents as they stand: live from the rows, in a rerun from the log."""

    def all(self) -> list[Document]:
        """Every document, by name."""

    def manifest(self, document: Document) -> Manifest:
        """A version's manifest; raises DocumentMissing, as all below."""

    def sections(self, document: Document) -> list[SectionRow]:
        """Its outline."""

    def stretch(self, document: Document, start: int, end: int) -> str:
        """Characters of its text."""

    def place(self, document: Document, passage: str) -> Place | None:
        """Where a passage stands in it."""


class Manifests:
    """What is read of a version from its manifest; safe to use from any thread."""

    def __init__(self, cold: ColdStorage) -> None:
        self.cold = cold
        self._lock = threading.Lock()
        self._numbered: OrderedDict[tuple[Files, int], dict[str, int]] = OrderedDict()
        self._tokens: dict[str, int] = {}

    def missing(self, document: Document) -> tuple[str, ...]:
        """Which of a version's files are not in cold storage: `raw`, `text`, `manifest`; they are not read."""
        return self.cold.missing(*document.files)

    def tokens(self, document: Document, *, read_most: int | None = None) -> int | None:
        """Our count of a version's text, read a stretch at a time, once.

        None when it was not counted before and has more than `read_most` characters.

        Raises:
            DocumentMissing: it is not in cold storage.
        """
        if document.text not in self._tokens:
            if read_most is not None and document.chars > read_most:
                return None
            starts = range(0, document.chars, COUNTED_AT_ONCE)
            whole = sum(weight(self.stretch(document, start, start + COUNTED_AT_ONCE)) for start in starts)
            self._tokens[document.text] = round(whole)
        return self._tokens[document.text]

    def manifest(self, document: Document) -> Manifest:
        """A version's manifest.

        Raises:
            DocumentMissing: it is not in cold storage.
        """
        return self.cold.manifest(document.sha256, document.manifest)

    def stretch(self, document: Document, start: int, end: int) -> str:
        """Characters `start` to `end` of a version's text.

        Raises:
            DocumentMissing: it is not in cold storage.
        """
        return self.cold.stretch(*document.files, start, end)

    def sections(self, document: Document) -> list[SectionRow]:
        """A version's sections in order.

        Raises:
            DocumentMissing: its manifest is not in cold storage.
        """
        manifest = self.manifest(document)
        return [
            SectionRow(
                number,
                manifest.paths[one.path],
                one.page,
                one.extract,
                one.start,
                one.end,
                one.first + 1,
                manifest.passages[one.first].id(document.seq),
                one.passages,
            )
            for number, one in enumerate(manifest.sections, 1)
        ]

    def place(self, document: Document, passage: str) -> Place | None:
        """Where a passage stands in a version; None when it does not.

        Raises:
            DocumentMissing: its manifest is not in cold storage.
        """
        number = self._numbers(document).get(passage)
        if number is None:
            return None
        manifest = self.manifest(document)
        one = manifest.passages[number - 1]
        section = next(
            (at for at, part in enumerate(manifest.sections, 1) if part.first < number <= part.first + part.passages), 0
        )
        return Place(
            document.id,
            document.name,
            number,
            len(manifest.passages),
            one.page,
            manifest.paths[one.path],
            section,
        )

    def _numbers(self, document: Document) -> dict[str, int]:
        """By id, the numbers of a version's passages."""
        key = (document.files, document.seq)
        with self._lock:
            if key in self._numbered:
                self._numbered.move_to_end(key)
                return self._numbered[key]
        slices = self.manifest(document).passages
        found = {one.id(document.seq): number for number, one in enumerate(slices, 1)}
        with self._lock:
            self._numbered[key] = found
            while len(self._numbered) > _NUMBERED_KEPT:
                self._numbered.popitem(last=False)
        return found


class Library(Manifests):
    """One agent's documents as its rows have them."""

    def __init__(self, rows: Rows, cold: ColdStorage) -> None:
        super().__init__(cold)
        self._query = rows

    def all(self, at: int | None = None) -> list[Document]:
        """The documents that stand now, or stood just after event `at`, by name."""
        return sorted(self._select("TRUE", {}, at), key=by_name)

    def get(self, id: str, at: int | None = None) -> Document | None:
        """One of them by its id."""
        return next(iter(self._select("id = $id", {"id": id}, at)), None)

    def named(self, name: str, at: int | None = None) -> Document | None:
        """One of them by its name."""
        return next(iter(self._select("name = $name", {"name": name}, at)), None)

    def stands(self, name: str) -> bool:
        """Whether there is a document of that name, or one inside a folder of that name."""
        return bool(
            self._select("name = $name OR starts_with(name, $inside)", {"name": name, "inside": f"{name}/"}, None)
        )

    def outline(self, id: str, at: int | None = None) -> list[SectionRow]:
        """Its sections in order; none when there is no such document.

        Raises:
            DocumentMissing: its manifest is not in cold storage.
        """
        document = self.get(id, at)
        return self.sections(document) if document else []

    def passages(self, id: str, first: int, size: int, at: int | None = None) -> list[Row]:
        """The rows of `size` of its passages from number `first` (from 1) on, with `number`, `page`, `title_path`.

        One that was deleted by hand is left out, one that was edited reads as it was edited.

        Raises:
            DocumentMissing: as `outline`.
        """
        document = self.get(id, at)
        if document is None:
            return []
        slices = self.manifest(document).passages
        numbers = range(max(1, first), min(max(1, first) + size, len(slices) + 1))
        rows = self._by_id([slices[number - 1].id(document.seq) for number in numbers], at)
        found = []
        for number in numbers:
            one = slices[number - 1]
            if row := rows.get(one.id(document.seq)):
                path = self.manifest(document).paths[one.path]
                found.append({**row, "number": number, "page": one.page, "title_path": path})
        return found

    def text(self, id: str, start: int, end: int, at: int | None = None) -> str:
        """Characters `start` to `end` of its text, at most `TEXT_CHARS_MOST` of them.

        Raises:
            DocumentMissing: it is not in cold storage.
        """
        document = self.get(id, at)
        if document is None:
            return ""
        return self.stretch(document, start, min(end, max(0, start) + TEXT_CHARS_MOST))

    def raw(self, id: str, at: int | None = None) -> Path:
        """The file as it was added.

        Raises:
            DocumentMissing: there is no such document, or the file is not in cold storage.
        """
        document = self.get(id, at)
        path = self.cold.path(document.sha256, document.sha256, "raw") if document else None
        if path is None or not path.is_file():
            raise DocumentMissing("The file as it was added is not in cold storage.")
        return path

    def neighbours(self, passage: str, at: int | None = None) -> tuple[Row | None, Row | None]:
        """The rows of the passages before and after one in its document; None where it begins, ends, or has none.

        Raises:
            DocumentMissing: as `outline`.
        """
        place = self.place_of(passage, at)
        if place is None:
            return None, None
        around = {row["number"]: row for row in self.passages(place.document, place.number - 1, 3, at)}
        return around.get(place.number - 1), around.get(place.number + 1)

    def place_of(self, passage: str, at: int | None = None) -> Place | None:
        """Where a passage stands in its document; None when it is of none, or of one that does not stand.

        Raises:
            DocumentMissing: as `outline`.
        """
        if "." not in passage:
            return None
        rows = self._query(
            "SELECT document FROM passages WHERE id = $id AND seq_from >= $born LIMIT 1",
            {"id": passage, "born": seq_of(passage)},
        )
        document = self.get(rows[0]["document"], at) if rows else None
        return self.place(document, passage) if document else None

    def places(self, passages: Iterable[str], at: int | None = None) -> dict[str, Place]:
        """Where some passages stand, each document looked into once.

        Left out are those of no document, of one that does not stand, and of one whose manifest is missing.
        """
        inside = [id for id in passages if "." in id]
        if not inside:
            return {}
        rows = self._query(
            "SELECT DISTINCT document, id FROM passages WHERE id IN (SELECT unnest($ids)) AND seq_from >= $born "
            "ORDER BY document",
            {"ids": inside, "born": min(map(seq_of, inside))},
        )
        of = list({row["document"] for row in rows})
        documents = {one.id: one for one in self._select("id IN (SELECT unnest($of))", {"of": of}, at)}
        found = {}
        for row in rows:
            with contextlib.suppress(DocumentMissing):
                if (one := documents.get(row["document"])) and (place := self.place(one, row["id"])):
                    found[row["id"]] = place
        return found

    # --- inside ---------------------------------------------------------------------------------------------

    def _select(self, where: str, params: Mapping[str, Any], at: int | None) -> list[Document]:
        rows = self._query(
            f'SELECT * EXCLUDE (seq_to), (SELECT min(first."at") FROM documents first WHERE first.id = documents.id) '
            f"AS added_at FROM documents WHERE {_STOOD} AND ({where}) ORDER BY seq_from",
            {**params, "n": _NOW if at is None else at},
        )
        return [document_of(row) for row in rows]

    def _by_id(self, ids: Sequence[str], at: int | None) -> dict[str, Row]:
        rows = self._query(
            f"SELECT * FROM passages WHERE id IN (SELECT unnest($ids)) AND {_STOOD}",
            {"ids": list(ids), "n": _NOW if at is None else at},
        )
        return {row["id"]: row for row in rows}


def passages_a_page(limit_tokens: int) -> int:
    """How many passages make a page for an agent whose prompt may have so many tokens, whatever the passages hold."""
    return max(1, int(PAGE_SHARE * limit_tokens / PASSAGE_TOKENS))


def page_with(number: int, limit_tokens: int) -> int:
    """The page on which such an agent reads a document's passage of that number, both from 1."""
    return 1 + (number - 1) // passages_a_page(limit_tokens)


def by_name(document: Document) -> tuple[str, str]:
    """What documents are listed by."""
    return document.name.casefold(), document.id


def document_of(row: Row) -> Document:
    """A version from its row of `documents`, with `added_at`."""
    renamed = {"seq": row["seq_from"], "sha256": row["raw"], "changed_at": row["at"]}
    given = {**row, **renamed, "notes": tuple(row["notes"]), "tags": tuple(row["tags"])}
    return Document(**{name: given[name] for name in Document._fields})
