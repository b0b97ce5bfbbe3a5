"""Answers from memory: look in core memory, the window and the summary, then search recall and archival storage.

Every answer quotes the words it rests on and names where they stand. Only the user's own statements and
stored passages count: a question proves nothing, and neither does anything the agent said itself. What is
not in the request is not known.
"""

import re
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from memgpt_core.llm.demo import documents
from memgpt_core.llm.demo.edits import Noted, halves, ledger
from memgpt_core.llm.demo.grammar import MANY, third_person
from memgpt_core.llm.demo.memory import Act, block_lines, in_words
from memgpt_core.llm.demo.questions import Question, label_key
from memgpt_core.llm.demo.reading import read_message
from memgpt_core.llm.demo.request import Hit, Request, page_of
from memgpt_core.llm.demo.words import (
    has_phrase,
    has_words,
    keywords,
    sentences,
    short,
    stem,
    stems,
)

MAX_PAGES = 3
"""Pages of one search that are looked at before giving up."""

_SEVERAL = frozenset(label_key(label) for label in MANY) | frozenset(("sister", "brother", "friend", "dog", "cat"))
_FORMERLY = re.compile(r"Formerly(?: \(until [\d-]+\))?: (.+)")


class Answer(NamedTuple):
    """Either a search to make first, or what to say; `found` is False for "I don't know"."""

    act: Act | None
    text: str = ""
    found: bool = True


class _Source(NamedTuple):
    """Evidence: lines that hold, lines that held once, plain sentences, and where they come from."""

    where: str
    held: list[Noted]
    former: list[Noted]
    prose: list[Noted]


def answer(request: Request, question: Question, *, hurry: bool = False) -> Answer:
    """Answer from what is in the request, or name the next search; in a `hurry` no search is asked for."""
    if question.kind == "overview":
        return _overview(request)
    if question.kind == "dates" and question.days:
        return _of_days(request, question, question.days, hurry)
    if question.kind == "document":
        return _document(request, question, hurry)
    if question.kind in ("documents", "outline"):
        read = documents.listed if question.kind == "documents" else documents.outlined
        looked = read(request, question, hurry=hurry)
        return Answer(looked.act, looked.text)
    for look in (_core, _window, _summary):
        if text := _from_source(look(request), question):
            return Answer(None, text)
    return _search(request, question, hurry)


_TIERS: tuple[tuple[str, str], ...] = (
    ("conversation_search", "recall storage"),
    ("archival_memory_search", "archival storage"),
)


def _search(request: Request, question: Question, hurry: bool) -> Answer:
    """Recall storage first, then archival storage, each page by page."""
    searched: list[str] = []
    for name, tier in _TIERS:
        if not (request.can(name) and question.query):
            continue
        source = _recall if name == "conversation_search" else _archival
        if text := _from_source(source(request, question.query), question):
            return Answer(None, text)
        later = name == _TIERS[0][0] and request.done(_TIERS[1][0], query=question.query)
        act = None if later or hurry else _next_page(request, name, question)
        if act:
            return Answer(act)
        if later or request.done(name, query=question.query):
            searched.append(tier)
    if question.kind == "other" and (text := _closest(request, question)):
        return Answer(None, text)
    return Answer(None, unknown(question, searched), found=False)


def first_searches(request: Request, questions: list[Question]) -> list[Act]:
    """The first page of every tier for each question that is answered by searching for its words."""
    return [
        (name, {"query": question.query})
        for question in questions
        if question.query and question.kind not in ("dates", "document", "documents", "outline")
        for name, _ in _TIERS
        if request.can(name)
    ]


def unknown(question: Question, searched: list[str]) -> str:
    """How the demo model says that it does not know, and where it looked."""
    looked = f" and found nothing in {' or '.join(searched)}" if searched else ""
    if question.kind == "other":
        about = f" about “{question.about}”" if question.about else ""
        return (
            "I don't know. I have no knowledge of my own, only what you tell me: "
            f"I looked in core memory{looked}{about}."
        )
    hint = "" if question.kind in ("topic", "dates", "document") else " Tell me and I will remember it."
    before = " (before)" if question.former else ""
    return f"I don't know {question.about}{before}: I looked in core memory and this conversation{looked}.{hint}"


# --- where evidence stands --------------------------------------------------------------------------------


def _core(request: Request) -> _Source:
    held: list[Noted] = []
    former: list[Noted] = []
    prose: list[Noted] = []
    for label in request.blocks:
        if label == "persona":
            continue
        for line in block_lines(request, label):
            if match := _FORMERLY.match(line):
                former.append(Noted(match[1], line, ""))
            elif halves(line)[0]:
                held.append(Noted(line, line, ""))
            else:
                held += [note._replace(quote=line) for note in _prose_facts(line, "")]
            prose.append(Noted("", line, ""))
    return _Source("core memory", held, former, prose)


def _prose_facts(text: str, day: str) -> list[Noted]:
    return ledger([(third_person(text), day)])[0]


def _window(request: Request) -> _Source:
    held, former = ledger((item.text, item.day) for item in request.past)
    return _Source("window", held, former, [note for item in request.past for note in _statements(item.text, item.day)])


def _statements(text: str, day: str) -> Iterator[Noted]:
    """The sentences of a user's message that state something."""
    for sentence in sentences(text):
        said = read_message(sentence)
        if said.facts or said.unread or said.swaps:
            yield Noted("", short(sentence, 400), day)


def _summary(request: Request) -> _Source:
    held: list[Noted] = []
    prose: list[Noted] = []
    for line in request.summary.split("\n"):
        stated = re.match(r"(?:On ([\d-]+) )?[Tt]he user said: (.+)", line)
        if stated:
            held += [Noted(part.strip().rstrip("."), line, stated[1] or "") for part in stated[2].split("; ")]
        else:
            held += [
                note._replace(quote=sentence) for sentence in sentences(line) for note in _prose_facts(sentence, "")
            ]
            prose += [Noted("", short(s), "") for s in sentences(line) if "asked" not in s]
    return _Source("summary", _latest(held), [], prose)


def _latest(held: list[Noted]) -> list[Noted]:
    """Without values that a later line of the same single-valued label replaced."""
    kept: dict[str, Noted] = {}
    for note in held:
        key, value = halves(note.line)
        many = key in _SEVERAL
        kept.pop(f"{key}|{value}" if many else key, None)
        kept[f"{key}|{value}" if many else key] = note
    return list(kept.values())


def _hits(request: Request, name: str, query: str) -> list[Hit]:
    return [
        hit
        for step in request.steps
        if step.name == name and step.ok and step.arguments.get("query") == query
        for hit in page_of(step.value).hits
    ]


def _recall(request: Request, query: str) -> _Source:
    said = sorted(
        (hit for hit in _hits(request, "conversation_search", query) if hit.role == "user"), key=lambda h: h.day
    )
    held, former = ledger((hit.text, hit.day) for hit in said)
    over = {note.line for note in _window(request).former}
    held = [note for note in held if note.line not in over]
    return _Source("recall", held, former, [note for hit in said for note in _statements(hit.text, hit.day)])


def _archival(request: Request, query: str) -> _Source:
    held: list[Noted] = []
    former: list[Noted] = []
    prose: list[Noted] = []
    for hit in _hits(request, "archival_memory_search", query):
        for line in hit.text.split("\n"):
            if match := _FORMERLY.match(line):
                former.append(Noted(match[1], line, hit.day))
            elif hit.text.startswith("About the user") and halves(line)[0]:
                held.append(Noted(line, line, hit.day))
            elif not line.startswith("About the user"):
                held += [
                    note._replace(quote=short(line))
                    for note in _prose_facts(line[:600], hit.day)
                    if "the user" in line.lower()
                ]
                prose += [Noted("", short(sentence, 400), hit.day) for sentence in sentences(line)]
    return _Source("archival", held, former, prose)


# --- from evidence to words -------------------------------------------------------------------------------


def _from_source(source: _Source, question: Question) -> str:
    notes = _matching(source, question)
    if not notes:
        return ""
    if question.kind == "fact" and all(note.line for note in notes):
        said = [in_words(note.line) for note in notes]
        if question.former:
            said = [f"before that it was “{note.line}”" for note in notes]
        first = ", and ".join(said)
        return f"{first[:1].upper()}{first[1:]}. {_cite(source.where, notes)}"
    return _cite(source.where, notes)


def _matching(source: _Source, question: Question) -> list[Noted]:
    if question.kind == "fact":
        return _by_label(source.former if question.former else source.held, question) or _loose(source, question)
    if question.kind == "person":
        named = [note for note in source.held if has_phrase(halves(note.line)[1], question.contains)]
        return named[:3] or [note for note in source.prose if has_phrase(note.quote, question.contains)][:2]
    if not question.words:
        return []
    held = [note for note in source.held if has_words(note.line, question.words)]
    return (held or [note for note in source.prose if has_words(note.quote, question.words)])[-2:]


def _by_label(notes: list[Noted], question: Question) -> list[Noted]:
    for wanted in question.labels:
        found = [note for note in notes if _fits(note.line, wanted, question.contains)]
        if found:
            several = wanted.endswith("*") or halves(found[0].line)[0] in _SEVERAL
            return found[-6:] if several else found[-1:]
    return []


def _fits(line: str, wanted: str, contains: str) -> bool:
    key, value = halves(line)
    label, _, about = wanted.partition("~")
    right = key.startswith(label[:-1]) if label.endswith("*") else key == label
    if about:
        return right and has_words(value, keywords(about)) and len(value.split()) > len(about.split())
    if contains in ("live", "work", "study", "like", "love", "play"):
        return right and any(stem(word) == stem(contains) or word.rstrip("s") == contains for word in value.split())
    return right and (not contains or has_phrase(value, contains) or has_words(value, keywords(contains)))


def _loose(source: _Source, question: Question) -> list[Noted]:
    """For a label of the user's own ("my boiler code"): a sentence with all its words and something more."""
    own = any("~" in label and not label.startswith(("likes~", "has~")) for label in question.labels)
    if not own or question.former:
        return []
    return [
        note
        for note in source.prose
        if has_words(note.quote, question.words) and len(stems(note.quote)) > len(question.words) + 2
    ][-1:]


def _cite(where: str, notes: list[Noted]) -> str:
    quotes = " ".join(f"“{quote}”" for quote in dict.fromkeys(short(note.quote, 300) for note in notes))
    day = next((note.day for note in notes if note.day), "")
    on = f" on {day}" if day else ""
    return {
        "core memory": f"My core memory says: {quotes}",
        "window": f"You said it in this conversation{on}: {quotes}",
        "summary": f"It is in my summary of the earlier conversation: {quotes}",
        "recall": f"I found it in recall storage; you wrote{on}: {quotes}",
        "archival": f"I found it in archival storage, stored{on}: {quotes}",
    }[where]


def _overview(request: Request) -> Answer:
    lines = [line for label in request.blocks if label != "persona" for line in block_lines(request, label)]
    core = [note.line for note in _core(request).held] or lines
    if core:
        return Answer(None, f"This is what my core memory holds about you: {'; '.join(core[:20])}.")
    for look in (_window, _summary):
        if held := look(request).held:
            return Answer(
                None, f"Core memory is empty, but from our conversation: {'; '.join(n.line for n in held[:12])}."
            )
    return Answer(
        None, "I don't know anything about you yet: core memory is empty. Tell me your name, for a start.", found=False
    )


# --- searches -------------------------------------------------------------------------------------------


def _next_page(request: Request, name: str, question: Question) -> Act | None:
    """The next page to ask for: the first, or a further one while the last page was about the words at all."""
    seen = {
        int(step.arguments.get("page", 1)): step
        for step in request.steps
        if step.name == name and step.arguments.get("query") == question.query
    }
    if not seen:
        return name, {"query": question.query}
    # A flush in the middle of the turn may have taken the earlier pages; the last one always stays.
    last = max(seen)
    shown = page_of(seen[last].value)
    if not seen[last].ok or last >= min(shown.pages, MAX_PAGES) or not _promising(shown.hits, question):
        return None
    return name, {"query": question.query, "page": last + 1}


def _promising(hits: tuple[Hit, ...], question: Question) -> bool:
    wanted = {stem(word) for word in question.words}
    return any(wanted & stems(hit.text) for hit in hits)


def _of_days(request: Request, question: Question, days: tuple[date, date], hurry: bool) -> Answer:
    start, end = (day.isoformat() for day in days)
    span = start if start == end else f"{start} to {end}"
    given = {"start_date": start, "end_date": end}
    step = request.done("conversation_search_date", **given)
    if step is None and request.can("conversation_search_date") and not hurry:
        return Answer(("conversation_search_date", given))
    if step is None:
        said = [(item.day, item.text) for item in request.past if start <= item.day <= end]
        total = len(said)
    else:
        shown = page_of(step.value)
        said = [(hit.day, hit.text) for hit in shown.hits if hit.role == "user"]
        total = shown.total
    if not said:
        return Answer(
            None,
            f"I don't know of any conversation in that time ({span}): recall storage has no message of yours.",
            found=False,
        )
    quotes = " ".join(f"{day}: “{short(text, 120)}”" for day, text in said[:5])
    return Answer(None, f"From recall storage, {span} ({total} messages in all), you wrote: {quotes}")


# --- documents ------------------------------------------------------------------------------------------


def _document(request: Request, question: Question, hurry: bool) -> Answer:
    name, query = "archival_memory_search", question.query
    # Once archival storage is searched the documents have been: a flush may have taken those steps.
    if request.can(documents.SEARCH) and not request.done(name, query=query):
        looked = documents.look(request, question, hurry=hurry)
        if looked.act or looked.text:
            return Answer(looked.act, looked.text)
    if not request.can(name):
        return Answer(None, "Searching archival storage is switched off, so I cannot look that up.", found=False)
    hits = _hits(request, name, query)
    if text := _passage(hits, question, need=1.0):
        return Answer(None, text)
    act = _next_page(request, name, question)
    if act and not hurry:
        return Answer(act)
    if text := _passage(hits, question, need=0.6):
        return Answer(None, f"No passage has all of it; the closest I found: {text}")
    return Answer(None, f"I don't know: I found no passage about {question.about} in archival storage.", found=False)


def _closest(request: Request, question: Question) -> str:
    return _passage(_hits(request, "archival_memory_search", question.query), question, need=1.0)


def _passage(hits: list[Hit], question: Question, *, need: float) -> str:
    """The passage with most of the words in two sentences, quoted with its reference; the phrase wins ties."""
    wanted = frozenset(stem(word) for word in question.words)
    best: tuple[int, int, int] = (0, 0, 0)
    said = ""
    for index, hit in enumerate(hits):
        reference, body = _reference(hit)
        pieces = sentences(body)
        for at in range(len(pieces)):
            quote = pieces[at] if wanted <= stems(pieces[at]) else " ".join(pieces[at : at + 2])
            score = (len(wanted & stems(quote)), int(has_phrase(quote, question.contains)), -index)
            if score > best:
                best, said = score, f"Archival storage, {reference}: “{short(quote, 600)}”"
    return said if best[0] >= max(1, need * len(wanted)) else ""


def _reference(hit: Hit) -> tuple[str, str]:
    """(where the passage is from, its text): books carry a reference in front, as in `Judges 14:7-9 | ...`."""
    head, bar, body = hit.text.partition(" | ")
    if bar and len(head) <= 80 and "\n" not in head:
        return head.strip("… "), body
    return f"tagged {', '.join(hit.tags)}" if hit.tags else f"stored on {hit.day}", hit.text
