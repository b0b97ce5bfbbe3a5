"""Redaction of a log: chosen patterns and the texts of chosen blocks replaced in every text of every event.

What is left is a log that loads, folds and verifies like any other. Ids, times, counts and measured values stay; the
digests of past requests go, because with the rest of a prompt known a digest confirms a guess. What was said of the
same thing in other words stays too: nothing here understands a text.

Knows events and patterns. Does not know how a log is stored or carried.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic_core import from_json

from memgpt_core.documents.manifest import LEFT_OUT
from memgpt_core.errors import MemscopeError
from memgpt_core.events import Event, decode
from memgpt_core.interchange.patterns import NAMED, Pattern, Span, cover, own, texts

NO_DIGEST = "0" * 64
"""Stands where a request's sha256 stood; no request has it, so none can be guessed from it."""

LINE_CHARS = 4
"""A block's line shorter than this is replaced only where it stands alone: elsewhere it is no secret but a word."""

JSON_MOST = 200_000
"""A text longer than this is not looked into as JSON."""

_NAME = re.compile(r"[\w-]{1,40}")

_KEPT = frozenset(
    {
        *("kind", "seq", "at", "session", "turn", "step", "author", "purpose", "cause", "done_reason", "where"),
        *("trigger", "strategy", "summarised_by", "mode", "message", "passage", "evicted", "holds", "sections"),
        *("measured", "clip", "settings", "until", "counted_by", "roles", "start", "end"),
    }
)
"""Fields that hold no text: ids, times, counts, words of a fixed list. `message` is here an id, and for
`message_sent`, which has a text, the field is another."""

_LABELS = frozenset({"block", "to", "call_id"})
"""Fields that hold a name others refer to: two names stay two names."""


_NAMES_AN_AGENT = frozenset({"agent_created", "agent_renamed", "run_forked"})


class Redaction(NamedTuple):
    """What is to go.

    Attributes:
        patterns: names in `patterns.NAMED`.
        own: regular expressions by the name that stands in their place.
        blocks: labels of blocks whose texts go, every version of them.
    """

    patterns: tuple[str, ...] = ()
    own: Mapping[str, str] = {}
    blocks: tuple[str, ...] = ()


class Redacted(NamedTuple):
    """What one pattern replaced: how often, in how many events. What it was is told nowhere."""

    name: str
    replacements: int
    events: int


class RedactionRefused(MemscopeError):
    """A wish that cannot be met: an unknown pattern or block, an expression that is none."""


class Redactor:
    """Replaces in one log what is to go, and counts it."""

    def __init__(self, redaction: Redaction, events: Iterable[Event]) -> None:
        """Look through the log once for the chosen blocks' texts and for names.

        Raises:
            RedactionRefused: an unknown pattern or block, or an expression that is none.
        """
        seen = _Seen()
        for event in events:
            seen.look(event)
        chosen = {label: seen.same_block(label) for label in redaction.blocks}
        self._block_of = {label: name for name, labels in chosen.items() for label in labels}
        lines = {name: {line for label in labels for line in seen.lines[label]} for name, labels in chosen.items()}
        self._alone = {line: name for name, of_block in lines.items() for line in of_block if len(line) < LINE_CHARS}
        self._chosen = _chosen(redaction)
        self._patterns = tuple(texts(name, of_block - self._alone.keys()) for name, of_block in lines.items())
        self._patterns += self._chosen
        self._labels = seen.labels
        self._given: dict[str, str] = {}
        self._replaced: Counter[str] = Counter()
        self._events: Counter[str] = Counter()
        self._here: Counter[str] = Counter()
        # An agent's id is its first name in small letters: a pattern may find the one and miss the other.
        self._hides_ids = any(self.text(name) != name for name in seen.names)
        self._here.clear()

    def event(self, event: Event) -> Event:
        """The event without what is to go; the same one when there is nothing of it in there."""
        raw = event.model_dump(mode="json", exclude_none=True)
        redacted = {field: self._field(raw, field, value) for field, value in raw.items()}
        self._count(1)
        return event if redacted == raw else decode(json.dumps(redacted, ensure_ascii=False).encode())

    def note(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """A line of the bookmarks without what is to go."""
        redacted = {**line, "text": self.text(line["text"])} if isinstance(line.get("text"), str) else dict(line)
        self._count(0)
        return redacted

    def report(self) -> tuple[Redacted, ...]:
        """What was replaced so far, by pattern; those that found nothing too."""
        names = dict.fromkeys(pattern.name for pattern in self._patterns)
        return tuple(Redacted(name, self._replaced[name], self._events[name]) for name in names)

    def text(self, text: str) -> str:
        """A text without what is to go, also where it is JSON with escapes in it."""
        if text[:1] in ("[", "{") and len(text) <= JSON_MOST:
            inner = _json(text)
            if inner is not None and (redacted := self._any(inner)) != inner:
                return json.dumps(redacted, ensure_ascii=False)
        return self._plain(text)

    # --- inside -----------------------------------------------------------------------------------------------

    def _count(self, events: int) -> None:
        self._replaced.update(self._here)
        self._events.update(dict.fromkeys(self._here, events))
        self._here.clear()

    def _field(self, raw: Mapping[str, Any], field: str, value: Any) -> Any:
        kind = raw["kind"]
        if field == "sha256":
            return NO_DIGEST
        if kind == "document_ingested" and field in ("raw", "text", "manifest"):
            # Nobody looked for anything in the files, and a digest of one confirms a guess.
            return LEFT_OUT
        if field in _KEPT or (kind, field) == ("turn_ended", "reason"):
            return value
        if field == "agent_id" or (kind, field) == ("run_forked", "origin"):
            return self._agent(value)
        if (kind, field) == ("block_defined", "origin"):
            agent, _, label = value.partition("/")
            return f"{self._agent(agent)}/{self._label(label)}" if value else value
        if field in _LABELS or (field == "name" and kind not in _NAMES_AN_AGENT):
            return self._label(value)
        if field in ("value", "before", "after") and value and (block := self._block_of.get(raw.get("block", ""))):
            self._here[block] += 1
            return f"[redacted:{block}]"
        if field == "counts":
            return {self._label(key) if key in self._labels else key: count for key, count in value.items()}
        if field == "calls":
            return [{name: self._of_call(name, part) for name, part in call.items()} for call in value]
        # The field of an event that is a number is a count, not what somebody wrote.
        return self._any(value) if isinstance(value, str | list | dict) else value

    def _of_call(self, name: str, part: Any) -> Any:
        return self._any(part) if name == "arguments" else self._label(part)

    def _any(self, value: Any) -> Any:
        """A value with all its texts and keys, and the numbers that are one: a phone number may come as either."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self._label(key): self._any(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._any(item) for item in value]
        if isinstance(value, int) and not isinstance(value, bool):
            redacted = self._plain(str(value))
            return value if redacted == str(value) else redacted
        return value

    def _plain(self, text: str) -> str:
        found = cover(self._patterns, text)
        if not found and (block := self._alone.get(text.strip())):
            found = [((0, len(text)), block)]
        return self._without(text, found)

    def _without(self, text: str, found: Sequence[tuple[Span, str]]) -> str:
        parts, at = [], 0
        for (start, end), name in found:
            parts += [text[at:start], f"[redacted:{name}]"]
            self._here[name] += 1
            at = end
        return "".join([*parts, text[at:]]) if found else text

    def _label(self, name: str) -> str:
        """A name that others refer to: the same one always gives the same, and two never give one."""
        # Not by the blocks' lines: one that reads `send` would take the name of a function apart.
        redacted = self._without(name, cover(self._chosen, name))
        if redacted == name:
            return name
        if name not in self._given:
            others = sum(given.startswith(redacted) for given in self._given.values())
            self._given[name] = f"{redacted} {others + 1}" if others else redacted
        return self._given[name]

    def _agent(self, id: str) -> str:
        return "redacted" if self._hides_ids or self.text(id) != id else id


class _Seen:
    """What a first look through a log finds: agents' names, and each block's lines under the label it had."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.labels: set[str] = set()
        self.lines: defaultdict[str, set[str]] = defaultdict(set)
        self._renamed: list[set[str]] = []

    def look(self, event: Any) -> None:
        """Take one event in."""
        match event.kind:
            case "agent_created" | "agent_renamed":
                self.names.add(event.name)
            case "run_forked":
                self.names |= {event.name, event.origin_name}
            case "block_defined":
                self.labels.add(event.block)
                self._add(event.block, event.value)
            case "working_context_edited":
                self._add(event.block, event.before)
                self._add(event.block, event.after)
            case "block_renamed":
                self.labels.add(event.to)
                self._renamed.append({event.block, event.to})
            case "model_replied":
                for call in event.calls:
                    self._written(call.arguments)
            case "function_returned" | "function_asked":
                self._written(event.arguments)

    def same_block(self, label: str) -> set[str]:
        """Every label the block had.

        Raises:
            RedactionRefused: there never was such a block.
        """
        if label not in self.labels:
            blocks = ", ".join(sorted(self.labels)) or "none"
            raise RedactionRefused(f"There never was a block '{label}'. Blocks: {blocks}.")
        known = {label}
        while more := [names for names in self._renamed if names & known and not names <= known]:
            known.update(*more)
        return known

    def _add(self, label: str, text: str) -> None:
        # By lines: a block grows by lines, so that each of them stands alone in some function call.
        self.lines[label].update(line.strip() for line in text.splitlines() if line.strip())

    def _written(self, arguments: Any) -> None:
        """What the model wants in a block stands in its call too, also where the call then failed."""
        if isinstance(arguments, str):
            arguments = _json(arguments)
        if isinstance(arguments, dict) and isinstance(label := arguments.get("label"), str):
            for name, value in arguments.items():
                if name != "label" and isinstance(value, str):
                    self._add(label, value)


def _chosen(redaction: Redaction) -> tuple[Pattern, ...]:
    unknown = [name for name in redaction.patterns if name not in NAMED]
    if unknown:
        raise RedactionRefused(f"There is no pattern '{unknown[0]}'. Patterns: {', '.join(NAMED)}.")
    found = [NAMED[name] for name in redaction.patterns]
    for name, expression in redaction.own.items():
        if not _NAME.fullmatch(name):
            raise RedactionRefused(f"'{name}' cannot stand in a text's place: use 1 to 40 letters, digits and hyphens.")
        try:
            found.append(own(name, re.compile(expression)))
        except re.error as error:
            raise RedactionRefused(f"The expression '{name}' is none: {error}.") from error
    return tuple(found)


def _json(text: str) -> Any:
    """The object or list a text holds; None when it holds none."""
    try:
        inner = from_json(text)
    except ValueError:
        return None
    return inner if isinstance(inner, dict | list) else None
