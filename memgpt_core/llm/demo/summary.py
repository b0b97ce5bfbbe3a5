"""The demo model as the recursive summariser: one line per statement, facts first to stay, oldest talk first to go."""

import re
from typing import NamedTuple

from memgpt_core.llm.demo.reading import read_message
from memgpt_core.llm.demo.words import parse_day, sentences, short

SUMMARISER_OPENING = "You are the recursive summariser"
"""How a request for a summary begins (`prompt.SUMMARISER`)."""

_SPEAKER = re.compile(r"(user)(?: \(([\d-]*)\))?: |(assistant|function): ")


class _Line(NamedTuple):
    text: str
    worth: int


def summarise(system: str, content: str) -> str:
    """The existing summary and the transcript in as many words as the system message allows."""
    limit = re.search(r"at most (\d+) words", system)
    words = int(limit[1]) if limit else 200
    before, _, transcript = content.rpartition("Conversation:\n")
    existing = before.partition("Existing summary: ")[2].strip()
    lines = [*_existing(existing), *_told(transcript)]
    unique = list({line.text: line for line in lines}.values())
    return "\n".join(_fit(unique, words)) or "The conversation held nothing to keep."


def _existing(text: str) -> list[_Line]:
    kept: list[_Line] = []
    for line in filter(None, map(str.strip, text.split("\n"))):
        own = re.match(r"On [\d-]* ?the user (said|asked|mentioned)", line)
        if own:
            kept.append(_Line(line, {"said": 3, "mentioned": 2, "asked": 0}[own[1]]))
        else:
            kept += [_Line(sentence, 2) for sentence in sentences(line)]
    return kept


def _told(transcript: str) -> list[_Line]:
    lines: list[_Line] = []
    for day, text in messages_of(transcript):
        said = read_message(text, parse_day(day))
        on = f"On {day} the user" if day else "The user"
        if facts := [fact.line for fact in said.facts if fact.status == "holds"]:
            lines.append(_Line(f"{on} said: {'; '.join(facts)}.", 3))
        gone = [fact.line for fact in said.facts if fact.status != "holds"]
        lines += [_Line(f"{on} mentioned as no longer so: “{line}”.", 2) for line in gone]
        for clause in said.unread[:4]:
            worth = 2 if re.search(r"\d|\s[^\W\d_a-z]", clause) else 1
            lines.append(_Line(f"{on} mentioned: “{short(clause, 200)}”.", worth))
        lines += [_Line(f"{on} asked: “{short(question, 120)}”", 0) for question in said.questions[:2]]
    return lines


def messages_of(transcript: str) -> list[tuple[str, str]]:
    """(day, text) of the user's messages; a line without a speaker goes on with the message before it."""
    found: list[tuple[str, str]] = []
    speaking = False
    for line in transcript.split("\n"):
        match = _SPEAKER.match(line)
        if match:
            speaking = bool(match[1])
            if speaking:
                found.append((match[2] or "", line[match.end() :]))
        elif speaking:
            day, text = found[-1]
            found[-1] = (day, f"{text}\n{line}")
    return found


def _fit(lines: list[_Line], words: int) -> list[str]:
    """The lines, without the least worth and oldest until they fit."""
    size = sum(len(line.text.split()) for line in lines)
    gone: set[int] = set()
    for _, index in sorted((line.worth, index) for index, line in enumerate(lines)):
        if size <= words:
            break
        gone.add(index)
        size -= len(lines[index].text.split())
    return [line.text for index, line in enumerate(lines) if index not in gone]
