"""The functions an agent reads documents with: list them, look at an outline, open page by page, search.

A document is many times the window, so each answer is a page: an outline first, then what it points to. Pages of a
document are runs of its passages, as many as suit the agent's window, so that what was opened is known by id.
"""

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from memgpt_core.documents.library import PAGE_SHARE, Document, SectionRow, page_with, passages_a_page
from memgpt_core.errors import DocumentMissing
from memgpt_core.events import ArchivalSearched, Measured
from memgpt_core.memory_functions import MAX_PAGE, FunctionFailed, Memory, Returned, excerpt
from memgpt_core.state import State

ABOUT_CHARS = 160
FOUND_CHARS = 320
"""How much of a hit is shown: enough to choose by; the rest is on the page it opens."""

CHARS_PER_TOKEN = 3.5

GROUPED_FROM = 24
"""An outline with more sections is shown by the headings at its top first."""

NAMED_MOST = 5


def document_list(memory: Memory, page: int = 1) -> Returned:
    """List the documents in archival storage, each with what it is about.

    Args:
        page: which page of the list, from 1
    """
    entries = [
        {
            "document": one.id,
            "name": one.name,
            **({"title": one.title} if one.title and one.title != one.name else {}),
            "sections": one.sections,
            "pages": _pages(memory.state(), one),
            "about": _short(one.extract),
        }
        for one in memory.search.documents.all()
    ]
    return Returned(_listed(memory.state(), entries, page, "documents"))


def document_outline(memory: Memory, document: str, within: str = "", page: int = 1) -> Returned:
    """Show what a document's sections are about, and on which page of document_open each begins.

    Args:
        document: its id or its name
        within: only sections under headings with this text; without it a long document shows its main headings
        page: which page of the outline, from 1
    """
    shelf, one = memory.search.documents, _found(memory, document)
    try:
        sections = shelf.sections(one)
    except DocumentMissing as missing:
        raise FunctionFailed(str(missing)) from missing
    wanted = [row for row in sections if within.strip().casefold() in " > ".join(row.title_path).casefold()]
    if not wanted:
        raise FunctionFailed(f"No section of {one.name} stands under '{within}'. Leave `within` empty to see all.")
    state = memory.state()
    entries = _outlined(wanted, passages_a_page(state.settings.limit_tokens), grouped=not within.strip())
    return Returned(_listed(state, entries, page, f"parts of {one.name}"))


def document_open(memory: Memory, document: str, page: int = 1) -> Returned:
    """Read a document page by page, as it is written.

    Args:
        document: its id or its name
        page: which page, from 1
    """
    shelf, one, state = memory.search.documents, _found(memory, document), memory.state()
    pages, per_page = _pages(state, one), passages_a_page(state.settings.limit_tokens)
    if not 1 <= page <= pages:
        raise FunctionFailed(f"{one.name} has pages 1 to {pages}.")
    try:
        slices = shelf.manifest(one).passages[(page - 1) * per_page : page * per_page]
        text = shelf.stretch(one, slices[0].start, slices[-1].end)
        place = shelf.place(one, slices[0].id(one.seq))
    except DocumentMissing as missing:
        raise FunctionFailed(str(missing)) from missing
    ids = tuple(part.id(one.seq) for part in slices)
    head = {"document": one.id, "name": one.name, "page": page, "of": pages, **_where(place), "passages": list(ids)}
    return Returned(f"{json.dumps(head, ensure_ascii=False)}\n{text}", holds=ids)


def document_search(memory: Memory, query: str, document: str = "", page: int = 1) -> Returned:
    """Search the documents by words and meaning. Each result says which page of document_open it is on.

    Args:
        query: what to look for
        document: only in this one, by its id or name; empty for all
        page: which page of results, from 1
    """
    if not query.strip():
        raise FunctionFailed("query is empty. Give words to look for.")
    if not 1 <= page <= MAX_PAGE:
        raise FunctionFailed("page counts from 1; there are never more than a million.")
    narrowed = _found(memory, document).id if document.strip() else ""
    size = memory.state().settings.page_size
    found = memory.search.archival(query, tags=(), start="", end="", page=page, page_size=size, document=narrowed)
    memory.commit(
        ArchivalSearched(
            query=query,
            page=page,
            mode=found.mode,
            document=narrowed,
            measured=Measured(total=found.total, hits=found.hits, saved_s=found.saved_s),
        )
    )
    if not found.hits:
        return Returned("No results found." if page == 1 else f"No results on page {page}: there are {found.total}.")
    rows = memory.search.items([hit.id for hit in found.hits])
    lines = [f"Showing {len(found.hits)} of {found.total} results (page {page} of {-(-found.total // size)}):"]
    lines += [json.dumps(_hit(memory, rows[hit.id], query), ensure_ascii=False) for hit in found.hits]
    return Returned("\n".join(lines), holds=tuple(hit.id for hit in found.hits))


# --- shapes -------------------------------------------------------------------------------------------------


def _found(memory: Memory, wanted: str) -> Document:
    """The document that is meant: by id, by name, or by a part of a name or title that only one has."""
    there, asked = memory.search.documents.all(), wanted.strip().casefold()
    exact = [one for one in there if asked in (one.id, one.name.casefold(), one.title.casefold())]
    if exact and asked:
        return exact[0]
    alike = [one for one in there if asked and asked in f"{one.name} {one.title}".casefold()]
    if len(alike) == 1:
        return alike[0]
    names = ", ".join(f"{one.id} ({one.name})" for one in (alike or there)[:NAMED_MOST]) or "none"
    what = f"'{wanted}' may be several documents" if alike else f"There is no document '{wanted}'"
    raise FunctionFailed(f"{what}. Documents: {names}. See document_list.")


def _pages(state: State, one: Document) -> int:
    return -(-one.passages // passages_a_page(state.settings.limit_tokens))


def _outlined(sections: Sequence[SectionRow], per_page: int, *, grouped: bool) -> list[dict[str, Any]]:
    top = [list(rows) for _, rows in groupby(sections, lambda row: row.title_path[:1])]
    if not (grouped and len(sections) > GROUPED_FROM and 1 < len(top) < len(sections)):
        top = [[row] for row in sections]
    return [
        {
            "title": " > ".join(rows[0].title_path[: 1 if len(rows) > 1 else None]) or "(no heading)",
            **({"sections": len(rows)} if len(rows) > 1 else {}),
            "opens": 1 + (rows[0].first - 1) // per_page,
            **({"page": rows[0].page} if rows[0].page else {}),
            "about": _short(rows[0].extract),
        }
        for rows in top
    ]


def _listed(state: State, entries: Sequence[dict[str, Any]], page: int, what: str) -> str:
    """A page of a list, a line an entry: as much as suits the window, cut between entries."""
    if not entries:
        return f"There are no {what}."
    most = PAGE_SHARE * state.settings.limit_tokens * CHARS_PER_TOKEN
    pages: list[list[str]] = [[]]
    for entry in entries:
        line = json.dumps(entry, ensure_ascii=False)
        if pages[-1] and sum(map(len, pages[-1])) + len(line) > most:
            pages.append([])
        pages[-1].append(line)
    if not 1 <= page <= len(pages):
        raise FunctionFailed(f"This list has pages 1 to {len(pages)}.")
    shown = pages[page - 1]
    return "\n".join([f"Showing {len(shown)} of {len(entries)} {what} (page {page} of {len(pages)}):", *shown])


def _hit(memory: Memory, row: dict[str, Any], query: str) -> dict[str, Any]:
    """What the model reads of a passage that was found: where it stands, what is beside it, and its text."""
    shelf = memory.search.documents
    one = next((one for one in shelf.all() if one.id == row["document"]), None)
    found: dict[str, Any] = {"id": row["id"], "document": row["document"], "name": row["source"]}
    try:
        place = shelf.place(one, row["id"]) if one else None
        if one and place:
            slices = shelf.manifest(one).passages
            found["opens"] = page_with(place.number, memory.state().settings.limit_tokens)
            found |= _where(place)
            if place.number > 1:
                found["before"] = slices[place.number - 2].id(one.seq)
            if place.number < place.passages:
                found["after"] = slices[place.number].id(one.seq)
    except DocumentMissing:
        # The passage itself is in the rows; only its place is not known.
        found["opens"] = None
    return {**found, "text": excerpt(row["text"], query, FOUND_CHARS)}


def _where(place: Any) -> dict[str, Any]:
    if place is None:
        return {}
    found: dict[str, Any] = {"section": " > ".join(place.title_path)} if place.title_path else {}
    return {**found, **({"printed_page": place.page} if place.page else {})}


def _short(text: str) -> str:
    return text if len(text) <= ABOUT_CHARS else text[: ABOUT_CHARS - 1].rstrip() + "…"
