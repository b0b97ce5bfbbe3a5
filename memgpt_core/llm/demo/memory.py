"""Which memory functions the demo model calls for what it read, and what it may say about them afterwards.

Plans from the request alone: a line that stands in a block, or was stored by a call of this turn, is done;
so planning the same turn again after each step ends by itself. A refused edit is tried another way at
most twice and then admitted.
"""

import re
from typing import Any, NamedTuple

from memgpt_core.llm.demo.edits import KIN, Edit, changes, halves, ledger
from memgpt_core.llm.demo.reading import Said, errand_in, read_message
from memgpt_core.llm.demo.request import Request, Step
from memgpt_core.llm.demo.words import listed, parse_day, short

Act = tuple[str, dict[str, Any]]
"""A function name and its arguments, without the heartbeat."""

HEARTBEAT = "request_heartbeat"
_TRIES = 3
_FORMERLY = re.compile(r"Formerly(?: \(until ([\d-]+)\))?: (.+)")
_NOTABLE = re.compile(r"\d|\s[^\W\d_a-z][a-zà-ÿ]+")
_PER_PASSAGE = 4
_PRESSURE_TAG = "memory-pressure"
_PASSAGES_AT_ONCE = 8


class Plan(NamedTuple):
    """Calls to make now, and lines that could not be stored anywhere."""

    acts: list[Act]
    lost: list[str]


def plan(request: Request, said: Said, text: str, day: str) -> Plan:
    """The calls that bring memory in line with what the message says; none when it is."""
    lines = {name: block_lines(request, name) for name in ("human", "persona")}
    values = {label: block.value for label, block in request.blocks.items()}
    if any(step.ok and step.name in ("core_memory_replace", "memory_rethink") for step in request.steps):
        # What these name is looser than a line: once carried out, a second look would catch the next best line.
        said = said._replace(swaps=[], forgets=[])
    made = Plan([], [])
    for edit in changes(lines, said, text):
        if _settled(request, edit):
            continue
        untried = [act for act in _acts(request, edit, values, day) if not _attempted(request, act)]
        failures = sum(step.ok is False and _mentions(step, edit) for step in request.steps)
        if not untried or failures >= _TRIES:
            made.lost.append(edit.new or edit.old)
            continue
        made.acts.append(untried[0])
        _simulate(values, untried[0])
        history = _former(edit, day)
        if edit.former and not edit.past and request.can(history[0]) and not _attempted(request, history):
            made.acts.append(history)
    return made


def block_lines(request: Request, block: str) -> list[str]:
    """The lines of a block, none when there is no such block."""
    return request.blocks[block].lines if block in request.blocks else []


def _settled(request: Request, edit: Edit) -> bool:
    """Whether a call of this turn has stored the line outside the blocks already."""
    wanted = edit.old if edit.past else edit.new
    return bool(wanted) and any(
        (
            step.ok
            and step.name == "archival_memory_insert"
            and wanted in str(step.arguments.get("content", "")).split("\n")
        )
        or (
            step.ok
            and step.name == "archival_memory_insert"
            and edit.past
            and wanted in str(step.arguments.get("content"))
        )
        for step in request.steps
    )


def _attempted(request: Request, act: Act) -> bool:
    return any(
        step.name == act[0] and {**step.arguments, HEARTBEAT: None} == {**act[1], HEARTBEAT: None}
        for step in request.steps
    )


def _mentions(step: Step, edit: Edit) -> bool:
    sought = edit.new or edit.old
    return any(sought in str(value) for key, value in step.arguments.items() if key != "label")


def _acts(request: Request, edit: Edit, values: dict[str, str], day: str) -> list[Act]:
    """The ways to carry out an edit, best first, of those that are switched on."""
    if edit.past:
        return _open(request, [_former(edit, "")])
    block = request.blocks.get(edit.block)
    into = _archived(edit.new, day) if edit.new else None
    if block is None or block.read_only:
        return _open(request, [into])
    value = values[edit.block]
    if not edit.old:
        append: Act = ("core_memory_append", {"label": edit.block, "content": edit.new})
        insert: Act = ("memory_insert", {"label": edit.block, "new_string": edit.new, "insert_line": -1})
        first = append if request.can("core_memory_append") else insert
        return _open(request, [first, into])
    kept = [edit.new if line == edit.old else line for line in value.split("\n")]
    whole: Act = (
        "memory_rethink",
        {"label": edit.block, "new_memory": "\n".join(line for line in kept if line.strip())},
    )
    return _open(request, [_replacement(edit, value), whole, into])


def _open(request: Request, acts: list[Act | None]) -> list[Act]:
    return [act for act in acts if act is not None and request.can(act[0])]


def _replacement(edit: Edit, value: str) -> Act | None:
    """core_memory_replace with an old text that stands exactly once; neighbours' line ends make it so."""
    for before, after in (("", ""), ("", "\n"), ("\n", ""), ("\n", "\n")):
        old = before + edit.old + after
        if value.count(old) == 1 and _whole_line(value, edit.old, value.index(old) + len(before)):
            new = before + edit.new + after if edit.new else "\n" if before and after else ""
            return "core_memory_replace", {"label": edit.block, "old_content": old, "new_content": new}
    return None


def _whole_line(value: str, line: str, at: int) -> bool:
    end = at + len(line)
    return (at == 0 or value[at - 1] == "\n") and (end == len(value) or value[end] == "\n")


def _archived(line: str, day: str) -> Act:
    content = f"About the user, told on {day}:\n{line}" if day else f"About the user:\n{line}"
    return "archival_memory_insert", {"content": content, "tags": ["user", _tag(line)]}


def _former(edit: Edit, day: str) -> Act:
    until = f" (until {day})" if day else ""
    return (
        "archival_memory_insert",
        {"content": f"About the user.\nFormerly{until}: {edit.old}", "tags": ["user", "formerly", _tag(edit.old)]},
    )


def _tag(line: str) -> str:
    return re.sub(r"\W+", "-", halves(line)[0] or "memory")[:40].strip("-") or "memory"


def _simulate(values: dict[str, str], act: Act) -> None:
    """What the block will read after the call, so that later calls of the same reply fit it."""
    name, given = act
    value = values.get(given.get("label", ""), "")
    if name in ("core_memory_append", "memory_insert"):
        line = given.get("content") or given["new_string"]
        values[given["label"]] = f"{value}\n{line}" if value else line
    elif name == "core_memory_replace":
        text = value.replace(given["old_content"], given["new_content"])
        values[given["label"]] = (
            text if given["new_content"].strip() else "\n".join(filter(str.strip, text.split("\n")))
        )
    elif name == "memory_rethink":
        values[given["label"]] = given["new_memory"]


# --- what was done, in words ------------------------------------------------------------------------------


_PHRASES = {
    "name": "your name is {}", "goes by": "you go by {}", "lives in": "you live in {}", "works as": "you work as {}",
    "works at": "you work at {}", "work": "you work {}", "age": "you are {}", "from": "you are from {}",
    "born in": "you were born in {}", "likes": "you like {}", "dislikes": "you don't like {}",
    "allergic to": "you are allergic to {}", "has": "you have {}", "is": "you are {}", "speaks": "you speak {}",
    "plays": "you play {}", "drives": "you drive {}", "collects": "you collect {}", "plans to": "you plan to {}",
    "learning": "you are learning {}", "studying": "you are studying {}", "training for": "you are training for {}",
    "preparing for": "you are preparing for {}", "saving for": "you are saving for "
                                                               "{}", "planning": "you are planning {}",
    "reading": "you are reading {}", "writing": "you are writing {}", "building": "you are building {}",
    "working on": "you are working on {}", "looking for": "you are looking for {}", "trying to": "you are trying to {}",
    "practising": "you are practising {}", "remember": "“{}”", "reminder": "you want a reminder: {}",
}  # fmt: skip
_PERSONA_LABELS = frozenset(("from now on", "always", "never", "style", "my name", "role"))


def in_words(line: str) -> str:
    """A canonical line as said to the user: `Lives in: Porto` -> "you live in Porto"."""
    label = line.partition(": ")[0]
    key, value = halves(line)
    if not key or key in _PERSONA_LABELS:
        return f"“{line}”"
    if key == "works as" and re.match(r"[a-z][\w -]*$", value):
        value = f"{'an' if value[0] in 'aeiou' else 'a'} {value}"
    if key in _PHRASES:
        return _PHRASES[key].format(value)
    your = f"your {label[:1].lower() + label[1:]}"
    name, comma, details = value.partition(", ")
    if key in KIN and comma:
        return f"{your} is {name} ({details})"
    return f"{your} {value}" if key in KIN and re.match(r"[a-z]+s \w", value) else f"{your} is {value}"


def report(request: Request, said: Said, lost: list[str]) -> list[str]:
    """Sentences on what this turn's calls changed, and on what could not be stored."""
    added, changed, gone, past, own = _done(request)
    told: list[str] = []
    names = [line for line in added if halves(line)[0] in ("name", "goes by")]
    if names:
        told.append(f"Nice to meet you, {halves(names[-1])[1]}!")
        added = [line for line in added if line not in names]
    if added:
        told.append(
            f"{'I will also' if names else 'Thanks, I will'} remember that "
            f"{listed([in_words(line) for line in added])}."
        )
    if changed:
        told.append(f"I have updated my memory: {listed([in_words(line) for line in changed])}.")
    if own:
        told.append(
            f"I have written {listed([f'“{line}”' for line in own])} into my persona. A language model would act on "
            "it; "
            "the demo model keeps its own way of talking."
        )
    if gone:
        after = "Your messages themselves stay in recall storage." if said.forgets else "It is filed as past."
        told.append(f"I have removed {listed([f'“{line}”' for line in gone])} from core memory. {after}")
    if past:
        told.append(f"I have filed what was so earlier in archival storage: {listed([f'“{line}”' for line in past])}.")
    if lost:
        told.append(f"I could not store {listed([f'“{line}”' for line in lost])}: no memory function took it. "
                    "Your message itself stays in recall storage.")  # fmt: skip
    if not told:
        told = _nothing_new(request, said)
    return told


def _done(request: Request) -> tuple[list[str], list[str], list[str], list[str], list[str]]:
    """(added, changed, removed, filed as past, persona) lines of this turn's successful calls."""
    added: list[str] = []
    changed: list[str] = []
    gone: list[str] = []
    past: list[str] = []
    own: list[str] = []
    for step in request.steps:
        given = step.arguments
        if not step.ok:
            continue
        if step.name in ("core_memory_append", "memory_insert"):
            line = str(given.get("content") or given.get("new_string"))
            (own if given.get("label") == "persona" else added).append(line)
        elif step.name == "core_memory_replace":
            new, old = str(given.get("new_content", "")).strip("\n"), str(given.get("old_content", "")).strip("\n")
            (changed if new else gone).append(new or old)
        elif step.name == "memory_rethink":
            changed.append("everything else in that block stays as it was") if given.get("new_memory") else gone.append(
                "all"
            )
        elif step.name == "archival_memory_insert":
            lines = str(given.get("content", "")).split("\n")
            if _PRESSURE_TAG in given.get("tags", ()):
                continue
            if lines[0].startswith("About the user, told") or lines[0] == "About the user:":
                added += [line for line in lines[1:] if line]
            elif (match := _FORMERLY.match(lines[-1])) and not match[1]:
                past.append(match[2])
    return added, changed, gone, past, own


def _nothing_new(request: Request, said: Said) -> list[str]:
    if said.forgets:
        return ["I looked in core memory and there is nothing on that to forget."]
    if said.swaps:
        old = said.swaps[0][0]
        return [
            f"I find no line with “{old}” in core memory, so I changed nothing. Tell me the whole fact and I will "
            "store it."
        ]
    if said.facts:
        known = [fact.line for fact in said.facts if fact.status == "holds"]
        lines = [fact.line for fact in said.facts]
        return (
            [f"I know that already: {listed([in_words(line) for line in known])}."]
            if known
            else [f"I had nothing on “{lines[0]}” in core memory, so there is nothing to change."]
        )
    return []


# --- memory pressure ----------------------------------------------------------------------------------------


def rescue(request: Request) -> list[Act]:
    """Inserts for what the window's messages hold and no block or earlier insert does, a few lines to a passage."""
    if not request.can("archival_memory_insert"):
        return []
    stored = [line for block in request.blocks.values() for line in block.lines] + _inserted(request)
    own = [item for item in request.past if not errand_in(item.text)]
    by_day: dict[str, list[str]] = {}
    for note in ledger((item.text, item.day) for item in own)[0]:
        if not any(holds(line, note.line) for line in stored):
            by_day.setdefault(note.day, []).append(note.line)
    for item in own:
        quoted = [f"The user said: “{clause}”" for clause in _notable(item.text, item.day)]
        by_day.setdefault(item.day, []).extend(line for line in quoted if line not in stored)
    passages = [
        _passage(day, lines[at : at + _PER_PASSAGE])
        for day, lines in by_day.items()
        for at in range(0, len(lines), _PER_PASSAGE)
    ]
    return passages[:_PASSAGES_AT_ONCE]


def _inserted(request: Request) -> list[str]:
    """The lines of every passage that a call in the window has stored."""
    return [
        line
        for item in request.items
        for step in item.steps
        if step.name == "archival_memory_insert" and step.ok is not False
        for line in str(step.arguments.get("content", "")).split("\n")
    ]


def holds(stored: str, line: str) -> bool:
    """Whether a stored line says what this one says, perhaps with more about the same person."""
    if stored.casefold() == line.casefold():
        return True
    (key, value), (wanted, parts) = halves(stored), halves(line)
    return key == wanted and key in KIN and set(parts.split(", ")) <= set(value.split(", "))


def _notable(text: str, day: str) -> list[str]:
    """Statements no rule reads as a fact, but that name something: a number or somebody."""
    unread = read_message(text, parse_day(day)).unread
    return [short(clause, 300) for clause in unread if len(clause.split()) >= 5 and _NOTABLE.search(clause)][:3]


def _passage(day: str, lines: list[str]) -> Act:
    content = f"About the user, told on {day}:\n" + "\n".join(lines)
    tags = list(dict.fromkeys(["user", _PRESSURE_TAG, *(_tag(line) for line in lines if halves(line)[0])]))[:6]
    return "archival_memory_insert", {"content": content, "tags": tags}
