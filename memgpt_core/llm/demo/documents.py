"""Questions about documents: search them, open the page that a hit is on, quote it with where it stands.

Quotes what it opened, not what the search showed. An outline or a list is looked at when that is what was asked for.
"""

import json
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

from memgpt_core.llm.demo.questions import Question
from memgpt_core.llm.demo.request import Hit, Request, page_of
from memgpt_core.llm.demo.words import has_phrase, sentences, short, stem, stems

SEARCH, OPEN, OUTLINE, LIST = "document_search", "document_open", "document_outline", "document_list"

PAGES_LOOKED_AT = 3
QUOTE_CHARS = 600
LISTED_MOST = 8


class Looked(NamedTuple):
    """Either a call to make first, or what to say; empty `text` when nothing was found."""

    act: tuple[str, dict[str, Any]] | None = None
    text: str = ""


class _Opened(NamedTuple):
    """A page as it was opened: where it stands, and what is on it."""

    where: str
    text: str


def look(request: Request, question: Question, *, hurry: bool) -> Looked:
    """What a document says about something: a search, then the page of its best hit, then a quotation of that."""
    pages = list(_opened(request))
    if text := _quoted(pages, question, need=0.0):
        # A page that was opened is answered from, also when it says less than was hoped.
        return Looked(text=text)
    hits, act = _found(request, question)
    best = _best(hits, question, need=0.75)
    if best is None and act and not hurry:
        return Looked(act)
    best = best or _best(hits, question, need=0.5)
    if best is None:
        return Looked()
    if request.can(OPEN) and best.opens and not hurry and not pages:
        return Looked((OPEN, {"document": best.document, "page": best.opens}))
    return Looked(text=_quoted([_Opened(_where(best), best.text.partition("\n")[2] or best.text)], question, need=0.6))


def listed(request: Request, _question: Question, *, hurry: bool) -> Looked:
    """Which documents there are."""
    step = request.done(LIST)
    if step is None and not hurry and request.can(LIST):
        return Looked((LIST, {}))
    entries = _entries(step.value) if step and step.ok else []
    if not entries:
        return Looked(text="I have no documents. Add some, then ask me about them.")
    shown = "; ".join(f"{one.get('name')} ({_about(one)})" for one in entries[:LISTED_MOST])
    more = f", and {len(entries) - LISTED_MOST} more" if len(entries) > LISTED_MOST else ""
    return Looked(text=f"In archival storage there {'is' if len(entries) == 1 else 'are'}: {shown}{more}.")


def outlined(request: Request, question: Question, *, hurry: bool) -> Looked:
    """The main parts of the document that is meant, or of the only one."""
    first = listed(request, question, hurry=hurry)
    if first.act:
        return first
    step = request.done(LIST)
    entries = _entries(step.value) if step and step.ok else []
    wanted = {stem(word) for word in question.words}
    named = [one for one in entries if wanted & stems(f"{one.get('name', '')} {one.get('title', '')}")]
    if not entries:
        return first
    document = (named or entries)[0]
    shown = request.done(OUTLINE, document=document["document"])
    if shown is None and not hurry and request.can(OUTLINE):
        return Looked((OUTLINE, {"document": document["document"]}))
    parts = _entries(shown.value) if shown and shown.ok else []
    if not parts:
        return Looked(text=f"I could not see the outline of {document.get('name')}.")
    titles = ", ".join(str(part.get("title")) for part in parts[:LISTED_MOST])
    more = f" … ({len(parts)} on this page of the outline)" if len(parts) > LISTED_MOST else ""
    about = next((str(part["about"]) for part in parts if part.get("about")), "")
    return Looked(text=f"{document.get('name')} has these parts: {titles}{more}. It begins: “{short(about, 200)}”")


# --- what was found and opened --------------------------------------------------------------------------


def _found(request: Request, question: Question) -> tuple[list[Hit], tuple[str, dict[str, Any]] | None]:
    """(the hits so far, the next page of the search to ask for)."""
    hits: list[Hit] = []
    seen, pages = 0, 1
    for step in request.steps:
        if step.name == SEARCH and step.arguments.get("query") == question.query and step.ok is not None:
            shown = page_of(step.value)
            seen, pages = max(seen, int(step.arguments.get("page", 1))), shown.pages
            hits += shown.hits
    if not request.can(SEARCH) or seen >= min(pages, PAGES_LOOKED_AT):
        return hits, None
    given: dict[str, Any] = {"query": question.query}
    return hits, (SEARCH, given if not seen else {**given, "page": seen + 1})


def _best(hits: Iterable[Hit], question: Question, *, need: float) -> Hit | None:
    """Of the hits with enough of the words the one that has the most side by side; None when none has enough."""
    wanted = frozenset(stem(word) for word in question.words)
    scored = [
        (max(len(wanted & stems(quote)) for quote in _stretches(hit.text)), _says(hit.text, question), -at, hit)
        for at, hit in enumerate(hits)
        if hit.document and len(wanted & stems(hit.text)) >= max(1, need * len(wanted))
    ]
    return max(scored, key=lambda one: one[:3])[3] if scored else None


def _opened(request: Request) -> Iterable[_Opened]:
    for step in request.steps:
        if step.name == OPEN and step.ok:
            head, _, text = step.value.partition("\n")
            try:
                said = json.loads(head)
            except ValueError:
                continue
            section = f", {said['section']}" if said.get("section") else ""
            yield _Opened(f"{said.get('name')}, page {said.get('page')} of {said.get('of')}{section}", text)


def _quoted(pages: Iterable[_Opened], question: Question, *, need: float) -> str:
    """The one or two sentences with most of the words, with where they stand."""
    wanted = frozenset(stem(word) for word in question.words)
    best, said = (0, 0, 0), ""
    for page in pages:
        for quote in _stretches(page.text):
            score = (len(wanted & stems(quote)), _says(quote, question), -len(quote))
            if score > best:
                best, said = score, f"I opened {page.where}: “{short(quote, QUOTE_CHARS)}”"
    if best[0] < max(1, need * len(wanted)):
        return ""
    return said if best[0] >= len(wanted) else f"Nothing there has all of it; the closest: {said}"


def _stretches(text: str) -> list[str]:
    """Each sentence, and each two that follow one another."""
    pieces = sentences(text)
    return [*pieces, *(" ".join(two) for two in pairwise(pieces))] or [text]


def _says(text: str, question: Question) -> int:
    return int(has_phrase(text, question.contains))


def _where(hit: Hit) -> str:
    return re.sub(r" > ", ", ", f"{hit.name} > {hit.section}" if hit.section else hit.name)


def _entries(value: str) -> list[dict[str, Any]]:
    found = []
    for line in value.split("\n")[1:]:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return [one for one in found if isinstance(one, dict)]


def _about(one: dict[str, Any]) -> str:
    return f"{one.get('pages')} pages: “{short(str(one.get('about', '')), 120)}”"
