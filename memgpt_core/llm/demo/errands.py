"""Errands: scratch notes and archiving on request, with a second try where a refusal says what would work."""

import re

from memgpt_core.llm.demo.memory import Act
from memgpt_core.llm.demo.reading import Errand
from memgpt_core.llm.demo.request import Request, Step
from memgpt_core.llm.demo.words import has_words, keywords, short

_NOTE_CHARS = 4000


def run_errand(request: Request, errand: Errand) -> tuple[Act | None, str]:
    """The call to make next, or what to say when the errand is done or cannot be."""
    return {"archive": _archive, "note_write": _write, "note_read": _read, "note_list": _list}[errand.kind](
        request, errand
    )


def _tries(request: Request, name: str) -> list[Step]:
    return [step for step in request.steps if step.name == name]


def _off(what: str) -> tuple[None, str]:
    return None, f"I cannot do that: {what} is switched off for this agent. Your message is kept in recall storage."


def _archive(request: Request, errand: Errand) -> tuple[Act | None, str]:
    name = "archival_memory_insert"
    if not request.can(name):
        return _off("writing to archival storage")
    tags = list(keywords(errand.text)[:2])
    tries = _tries(request, name)
    done = next((step for step in tries if step.ok and step.arguments.get("content") == errand.text), None)
    if done:
        under = f" under the tags {', '.join(done.arguments['tags'])}" if done.arguments.get("tags") else ""
        return None, f"Stored in archival storage{under}: “{short(errand.text, 120)}”"
    failed = [step for step in tries if step.ok is False]
    if len(failed) > 1:
        return None, f"Archival storage refused it: {short(failed[-1].value)}"
    return (name, {"content": errand.text} if failed else {"content": errand.text, "tags": tags}), ""


def _write(request: Request, errand: Errand) -> tuple[Act | None, str]:
    if not request.can("note_write"):
        return _off("writing notes")
    tries = _tries(request, "note_write")
    if any(step.ok for step in tries):
        cut = " It was too long for a note, so I kept its beginning." if len(errand.text) > _NOTE_CHARS else ""
        return None, f"I have written the note “{errand.name or 'note'}”.{cut}"
    if len(tries) > 1:
        return None, f"The note could not be written: {short(tries[-1].value)}"
    text = errand.text[:_NOTE_CHARS] if tries else errand.text
    return ("note_write", {"name": errand.name or "note", "text": text}), ""


def _read(request: Request, errand: Errand) -> tuple[Act | None, str]:
    if not request.can("note_read"):
        return _off("reading notes")
    tries = _tries(request, "note_read")
    if not tries:
        return ("note_read", {"name": errand.name}), ""
    if tries[-1].ok:
        return None, f"Your note “{tries[-1].arguments.get('name')}” says: {tries[-1].value}"
    if len(tries) == 1 and (near := _near(tries[0].value, errand.name)):
        return ("note_read", {"name": near}), ""
    return None, f"I could not read that note. {short(tries[-1].value)}"


def _near(refusal: str, name: str) -> str:
    """The existing note the refusal lists that has all words of the name, or the same in another case."""
    listed = re.search(r"Notes: (.+?)\.?$", refusal, re.DOTALL)
    for other in listed[1].split(", ") if listed else ():
        if other != name and (other.casefold() == name.casefold() or has_words(other, keywords(name))):
            return other
    return ""


def _list(request: Request, errand: Errand) -> tuple[Act | None, str]:
    if not request.can("note_list"):
        return _off("listing notes")
    tries = _tries(request, "note_list")
    if not tries:
        return ("note_list", {}), ""
    if not tries[-1].ok:
        return None, f"I could not list the notes: {short(tries[-1].value)}"
    return None, tries[-1].value if tries[-1].value.startswith(
        "There are no"
    ) else f"Your notes: {', '.join(tries[-1].value.splitlines())}."
