"""What a message changes in a set of canonical lines: the one rule for blocks, window and search results.

Works on plain lists of lines, so that working context and the user's messages are read alike. Does not
know which function would carry out a change (`memory`).
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from memgpt_core.llm.demo.grammar import RELATIONS, Fact, read_clause
from memgpt_core.llm.demo.questions import label_key
from memgpt_core.llm.demo.reading import Said, read_message
from memgpt_core.llm.demo.words import has_phrase, has_words, keywords, parse_day, sentences, short, tidy, vocabulary

_CORRECTS = re.compile(
    r"\b(?:actually|correction|sorry|i meant|now|instead|not|changed|no,|wrong|new)\b", re.IGNORECASE
)
_SEVERAL = vocabulary(
    "sister brother friend cousin aunt uncle niece nephew son daughter kid child dog cat pet colleague neighbour "
    "roommate fish bird rabbit horse twin teacher doctor"
)
_OPPOSITE = {"likes": "dislikes", "dislikes": "likes"}


class Edit(NamedTuple):
    """A line to add (`old` empty), to change, or to take away (`new` empty). `past` keeps only history."""

    block: str
    old: str
    new: str
    former: bool = False
    past: bool = False


class Noted(NamedTuple):
    """A canonical line read out of a text, with the text's sentence and day."""

    line: str
    quote: str
    day: str


def halves(line: str) -> tuple[str, str]:
    """Label key and value of a line; an empty label when it has none."""
    label, colon, value = line.partition(": ")
    return (label_key(label), value.strip()) if colon and len(label) <= 60 else ("", line.strip())


def changes(lines: dict[str, list[str]], said: Said, text: str) -> list[Edit]:
    """What a message changes, in order; nothing for what the lines say already. `lines` is by block."""
    working = {block: list(kept) for block, kept in lines.items()}
    corrects = bool(_CORRECTS.search(text))
    edits: list[Edit] = []
    for old, new in said.swaps:
        _take(edits, working, _swap(working["human"], old, new))
    for what in said.forgets:
        for line in forgotten(working["human"], what):
            _take(edits, working, Edit("human", line, ""))
    for fact in said.facts:
        for edit in _for_fact(working[fact.block], fact, corrects):
            _take(edits, working, edit)
    return edits


def _take(edits: list[Edit], working: dict[str, list[str]], edit: Edit | None) -> None:
    if edit is None:
        return
    edits.append(edit)
    kept = working[edit.block]
    if edit.past:
        return
    if not edit.old:
        kept.append(edit.new)
    elif edit.old in kept:
        at = kept.index(edit.old)
        kept[at : at + 1] = [edit.new] if edit.new else []


def _swap(lines: list[str], old: str, new: str) -> Edit | None:
    for line in reversed(lines):
        label, value = halves(line)
        if label and has_phrase(value, old):
            at = line.casefold().find(old.casefold(), len(line) - len(value))
            return Edit("human", line, line[:at] + new + line[at + len(old) :], former=True)
    return None


def forgotten(lines: list[str], what: str) -> list[str]:
    """The lines a request to forget is about."""
    if re.match(r"(?:everything|all)(?: (?:about me|you know.*|i told you.*|of it))?$", what, re.IGNORECASE):
        return list(lines)
    stated = {fact.line.casefold() for fact in read_clause(what)}
    if stated:
        return [line for line in lines if line.casefold() in stated]
    what = re.sub(r"^(?:everything |all |what i (?:said|told you) )?(?:about )?", "", what, flags=re.IGNORECASE)
    what = re.sub(r"^where i live$", "my home", re.sub(r"^where i work$", "my workplace", what, flags=re.I), flags=re.I)
    key = label_key(what)
    by_label = [line for line in lines if halves(line)[0] == key]
    return by_label or [line for line in lines if has_words(line, keywords(what))]


def _for_fact(lines: list[str], fact: Fact, corrects: bool) -> list[Edit]:
    if fact.status == "ended":
        return [Edit("human", line, "", former=True) for line in _ended(lines, fact)]
    if fact.status == "past":
        return [Edit("human", fact.line, "", former=True, past=True)] if fact.line not in lines else []
    edit = _people(lines, fact, corrects) if label_key(fact.label) in KIN else _plain(lines, fact)
    return [edit] if edit else []


KIN = frozenset(label_key(word) for word in RELATIONS) | {"best friend"}


def _same(lines: list[str], label: str) -> list[str]:
    return [line for line in lines if halves(line)[0] == label_key(label)]


def _ended(lines: list[str], fact: Fact) -> list[str]:
    same = _same(lines, fact.label)
    exact = [line for line in same if halves(line)[1].casefold() == fact.value.casefold()]
    if exact or fact.many:
        return exact
    return [line for line in same if not fact.value or has_phrase(halves(line)[1], fact.value)]


def _plain(lines: list[str], fact: Fact) -> Edit | None:
    same = _same(lines, fact.label)
    if any(halves(line)[1].casefold() == fact.value.casefold() for line in same):
        return None
    if wrong := [line for line in same if fact.old and has_phrase(halves(line)[1], fact.old)]:
        return Edit(fact.block, wrong[-1], fact.line, former=True)
    if not fact.many and same:
        return _replaces(fact, same[-1])
    opposite = _same(lines, _OPPOSITE.get(fact.label.casefold(), "-"))
    for line in opposite:
        if halves(line)[1].casefold() == fact.value.casefold():
            return Edit(fact.block, line, fact.line, former=True)
    return Edit(fact.block, "", fact.line)


def _replaces(fact: Fact, line: str) -> Edit | None:
    value = halves(line)[1]
    if fact.label == "Name" and value.casefold().startswith(f"{fact.value.casefold()} "):
        return None
    fuller = fact.label == "Name" and fact.value.casefold().startswith(f"{value.casefold()} ")
    return Edit(fact.block, line, fact.line, former=not fuller)


def _people(lines: list[str], fact: Fact, corrects: bool) -> Edit | None:
    same = _same(lines, fact.label)
    name, details = _split(fact)
    for line in reversed(same):
        had, kept = _split(Fact(fact.label, halves(line)[1]))
        if name and had and name.casefold() != had.casefold():
            continue
        value = ", ".join(part for part in (name or had, *_merged(kept, details)) if part)
        lost = [part for part in kept if part not in value]
        new = f"{line.partition(': ')[0]}: {value}"
        return Edit(fact.block, line, new, former=bool(lost)) if new.casefold() != line.casefold() else None
    replaceable = [line for line in same if fact.old and has_phrase(line, fact.old)] or same
    if replaceable and (corrects or fact.old or label_key(fact.label) not in _SEVERAL):
        _, kept = _split(Fact(fact.label, halves(replaceable[-1])[1]))
        value = ", ".join([name, *_merged(kept, details)]) if fact.old or corrects else fact.value
        return Edit(fact.block, replaceable[-1], f"{fact.label}: {value}", former=True)
    return Edit(fact.block, "", fact.line)


def _split(fact: Fact) -> tuple[str, list[str]]:
    """(name, details) of a line about somebody."""
    parts = [part.strip() for part in fact.value.split(",") if part.strip()]
    if parts and (fact.details or re.match(r"(?:lives|works|likes|loves|hates|studies|has|is|was|plays|speaks|teaches|"
                                           r"owns|runs|loved|turned|moved)\b", parts[0])):  # fmt: skip
        return "", parts
    return (parts[0], parts[1:]) if parts else ("", [])


def _merged(kept: list[str], new: list[str]) -> list[str]:
    """Details of both; a new one takes the place of an old one with the same beginning ("lives in")."""
    merged = list(kept)
    for detail in new:
        lead = detail.split()[:2]
        at = next((index for index, old in enumerate(merged) if old.split()[:2] == lead), None)
        if at is None:
            merged.append(detail)
        else:
            merged[at] = detail
    return merged


def ledger(texts: Iterable[tuple[str, str]]) -> tuple[list[Noted], list[Noted]]:
    """What the user's messages, oldest first as (text, day), state: (what holds after all of them, what held once)."""
    held: list[Noted] = []
    former: list[Noted] = []
    for text, day in texts:
        said = read_message(text, parse_day(day))
        said = said._replace(facts=[fact for fact in said.facts if fact.block == "human"])
        for edit in changes({"human": [note.line for note in held]}, said, text):
            quote = _quote(text, edit.new or edit.old)
            if edit.former:
                was = next((note for note in held if note.line == edit.old), Noted(edit.old, quote, day))
                former.append(was)
            if edit.past:
                continue
            held = [note for note in held if note.line != edit.old]
            if edit.new:
                held.append(Noted(edit.new, quote, day))
    return held, former


def _quote(text: str, line: str) -> str:
    """The sentence of the message that states the line."""
    _, value = halves(line)
    said = [sentence for sentence in sentences(text) if all(has_phrase(sentence, tidy(p)) for p in value.split(", "))]
    loose = [sentence for sentence in sentences(text) if has_phrase(sentence, value.split(", ")[0])]
    return short((said or loose or [text])[0])
