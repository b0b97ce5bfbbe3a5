"""What a file from elsewhere is, said before anything happens: a bundle, a Letta agent file, conversations.

Told by what is in a file and hardly ever by its name. Reads as much as it takes to say what is in it; changes nothing
and knows no home.
"""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from pydantic_core import from_json

from memgpt_core.interchange.arrival import checked
from memgpt_core.interchange.conversations import NAMES, Read, detect, read
from memgpt_core.interchange.letta_file import MAX_BYTES, load, looks_like
from memgpt_core.interchange.records import ImportRefused
from memgpt_core.interchange.sealed import BundleRefused, reading

LOOK_BYTES = 16 * 2**20
"""So much of a conversation file is read to say what is in it: all of most, and of the rest enough to tell."""

SPEAKERS_MOST = 20

UNDERSTOOD = (
    "Understood are Memscope bundles (.memscope), Letta agent files (.af) and conversations as "
    f"{', '.join(NAMES.values())}."
)

Kind = Literal["bundle", "letta", "conversations"]

_T = TypeVar("_T")


class Found(NamedTuple):
    """What a file is.

    Attributes:
        format: what its kind is called.
        holds: what is in it, in a few words.
        name: what the new agent would be called.
        speakers: of conversations between people, who speaks; anyone of them can be the user.
        notes: what a person should know before it is taken, a sentence each.
    """

    kind: Kind
    format: str
    holds: str
    name: str
    speakers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def says(self) -> str:
        """What the file is and what it holds."""
        return f"{self.format}, {self.holds}"


def look(path: Path) -> Found:
    """What a file is and what is in it; nothing is changed.

    Raises:
        MemscopeError: it is none that is understood, or damaged; the sentence says what was seen.
    """
    return _read(path, {"bundle": _bundle, "letta": _letta, "conversations": _conversations}[kind_of(path)])


def kind_of(path: Path) -> Kind:
    """Which importer a file is for, told by how it begins; whether it is whole is the importer's to say.

    Raises:
        ImportRefused: there is no such file, or it cannot be read.
    """
    if path.is_dir():
        raise ImportRefused(f"{path.name} is a folder. Name the file in it.")
    if not path.is_file():
        raise ImportRefused(f"There is no file {path}. Give its whole path, on the machine that runs Memscope.")
    return _read(path, _kind)


def _read(path: Path, do: Callable[[Path], _T]) -> _T:
    try:
        return do(path)
    except OSError as error:
        raise ImportRefused(f"{path.name} cannot be read ({error.strerror or error}).") from error


def _kind(path: Path) -> Kind:
    with path.open("rb") as file:
        head = file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"PK") or path.suffix == ".memscope":
        return "bundle"
    return "letta" if path.suffix == ".af" or (head.startswith(b"{") and _is_letta(path)) else "conversations"


def _bundle(path: Path) -> Found:
    try:
        with reading(path) as sealed:
            manifest = checked(sealed)
    except BundleRefused as error:
        if path.suffix == ".memscope":
            raise
        raise BundleRefused(
            f"{error} If it is what ChatGPT or Claude sent you, unpack it and choose the file conversations.json in it."
        ) from error
    vectors = sum(part.count for part in manifest.vectors)
    notes = ["Its log comes in byte for byte, and is checked line by line before anybody sees it."]
    if manifest.redacted is not None:
        count = sum(one.replacements for one in manifest.redacted)
        notes.append(f"It is redacted: {count:,} places were replaced before it was exported.")
    holds = f"agent “{manifest.agent.name}”, {manifest.events:,} events, {vectors:,} vectors"
    return Found("bundle", "Memscope bundle", holds, manifest.agent.name, (), tuple(notes))


def _is_letta(path: Path) -> bool:
    if path.stat().st_size > MAX_BYTES:
        return False
    try:
        return looks_like(from_json(path.read_bytes()))
    except ValueError:
        return False


def _letta(path: Path) -> Found:
    file = load(path)
    name = " ".join(file.agent.name.split()) or "Imported agent"
    holds = f"agent “{name}”, {len(file.blocks):,} memory blocks, {len(file.messages):,} messages"
    notes = [*file.left]
    if file.tools:
        notes.insert(0, f"{len(file.tools):,} tools are described in it. Their code is text here and is never run.")
    return Found("letta", f"Letta agent file, version {file.format[-1]}", holds, name[:80], (), tuple(notes))


def _conversations(path: Path) -> Found:
    try:
        found = detect(path)
    except ImportRefused as error:
        raise ImportRefused(f"{error} {UNDERSTOOD}") from error
    seen, end = _Seen(), 0
    for record in read(path, found):
        seen.take(record)
        end = record.end
        if end > LOOK_BYTES:
            break
    whole, size = end <= LOOK_BYTES, path.stat().st_size
    notes = seen.notes()
    if not whole:
        notes.insert(0, f"Looked at: the first {end / 1e6:,.0f} of {size / 1e6:,.0f} MB. The rest is a guess.")
    name = NAMES[found.format]
    holds = seen.holds(1 if whole else size / end)
    return Found("conversations", name, holds, name, tuple(seen.speakers)[:SPEAKERS_MOST], tuple(notes))


class _Seen:
    """What was seen of a conversation file so far."""

    def __init__(self) -> None:
        self.speakers: dict[str, None] = {}
        self._conversations: set[str] = set()
        self._messages = 0
        self._bad = 0
        self._days: set[date] = set()

    def take(self, record: Read) -> None:
        """Count one record."""
        self._bad += bool(record.why)
        for session in record.sessions:
            self._conversations.add(session.key or f"{record.number}")
            self._messages += len(session.messages)
            self.speakers |= dict.fromkeys(session.speakers)
            self._days |= {at.date() for at in (session.at, *(one.at for one in session.messages)) if at}

    def holds(self, times: float) -> str:
        """In words; `times` is how many times that the whole file is."""
        about = "about " if times > 1 else ""
        said = [plural(round(n * times), of) for n, of in self._counts()]
        days = f", {self._span()}" if self._days else ""
        return f"{about}{said[0]} with {about}{said[1]}{days}"

    def notes(self) -> list[str]:
        """What a person should know of it."""
        bad = [f"{plural(self._bad, 'record')} cannot be read."] if self._bad else []
        undated = [] if self._days else ["It does not say when things were said: they are taken as said now."]
        return bad + undated

    def _counts(self) -> tuple[tuple[int, str], ...]:
        return (len(self._conversations), "conversation"), (self._messages, "message")

    def _span(self) -> str:
        return " to ".join(dict.fromkeys(f"{day:%d %b %Y}" for day in (min(self._days), max(self._days))))


def plural(count: int, one: str) -> str:
    """A count with its noun."""
    return f"{count:,} {one}{'' if count == 1 else 's'}"
