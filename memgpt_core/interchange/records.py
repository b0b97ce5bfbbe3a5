"""A file of JSON records, one after the other in bounded memory: a list, lines, or objects in a row.

Finds where each record begins and ends without reading it as JSON, so that one bad record harms no other, each is
named by its number and byte, and a reading that was stopped goes on from the byte where it stood. Knows no format.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from memgpt_core.errors import MemscopeError

Layout = Literal["list", "lines", "objects"]

CHUNK_BYTES = 2**20
MAX_RECORD_BYTES = 32 * 2**20
"""A larger record is refused; no conversation comes near it, and read as JSON it may take ten times its size."""

MAX_DEPTH = 200
"""Far more than any export nests, and less than makes a JSON reader give up."""

_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"
# Possessive, so that a string without an end costs one look at each of its bytes.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}"]', re.DOTALL)


class ImportRefused(MemscopeError):
    """A file that cannot be taken as it is; the message says what is wrong, where, and what to do."""


class Raw(NamedTuple):
    """A record, or why there is none.

    Attributes:
        number: counted from 1.
        end: the byte behind it, from where the next one is read.
        value: the record; None when it is bad.
        why: what is wrong with a bad one, to be put behind its number; else empty.
    """

    number: int
    end: int
    value: dict[str, Any] | None
    why: str = ""


def check_encoding(path: Path) -> None:
    """Refuse what is plainly no UTF-8 text.

    Raises:
        ImportRefused: an empty file, UTF-16 or UTF-32, an archive.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    if not head.strip(_BLANK):
        raise ImportRefused(f"{path.name} is empty. Choose the file that holds the conversations.")
    if head.startswith((b"PK\x03\x04", b"\x1f\x8b")):
        raise ImportRefused(f"{path.name} is an archive. Unpack it and import the JSON file that is in it.")
    # One of them may be a fault of one record; as every second byte they are UTF-16.
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in head[:4] or head.count(0) > len(head) // 4:
        raise ImportRefused(
            f"{path.name} is not UTF-8 (byte {head.find(0)} is 0, as in UTF-16). Save it as UTF-8, then import it."
        )


def layout_of(path: Path) -> Layout:
    """How the records of a file stand in it, told from its beginning.

    Raises:
        ImportRefused: it begins with nothing that could be records.
    """
    with path.open("rb") as file:
        head = file.read(CHUNK_BYTES).removeprefix(_BOM).lstrip(_BLANK)
    if head.startswith(b"["):
        return "list"
    if not head.startswith(b"{"):
        raise ImportRefused(
            f"{path.name} is no JSON: it begins with {head[:20].decode('utf-8', 'replace')!r}. Conversations are read "
            "from JSON and JSON Lines files."
        )
    # A pretty-printed object breaks its line before it has ended.
    first, newline, _ = head.partition(b"\n")
    return "lines" if not newline or first.rstrip(_BLANK).endswith(b"}") else "objects"


def records(path: Path, layout: Layout, *, start: int = 0, number: int = 0) -> Iterator[Raw]:
    """The records behind byte `start`, which `number` of them stand before.

    Raises:
        ImportRefused: the file is cut off, or there is no telling where a record ends; with the byte.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if layout == "lines":
            yield from _lines(file, start, number)
        else:
            yield from _Nested(file, layout, start, number).records()


def _lines(file: BinaryIO, start: int, number: int) -> Iterator[Raw]:
    file.seek(start)
    at = start
    while line := file.readline(MAX_RECORD_BYTES + 1):
        at += len(line)
        if len(line) > MAX_RECORD_BYTES:
            while rest := b"" if line.endswith(b"\n") else file.readline(CHUNK_BYTES):
                at, line = at + len(rest), rest
            number += 1
            yield Raw(number, at, None, _too_large())
        elif text := line.removeprefix(_BOM).strip(_BLANK):
            number += 1
            yield _read(number, at, at - len(line), text)


class _Nested:
    """Objects inside a list, or in a row, found by counting brackets outside of strings."""

    def __init__(self, file: BinaryIO, layout: Layout, start: int, number: int) -> None:
        self._file = file
        self._base = 1 if layout == "list" else 0
        self._number = number
        self._resumed = start > 0
        file.seek(start)
        self._buffer = b""
        self._offset = start  # of the buffer's first byte in the file
        self._at = 0  # how far the buffer was looked through
        self._depth = self._base if self._resumed else 0
        self._began = -1  # where in the buffer the present record began
        self._deepest = 0
        self._large = False
        self._closed = False

    def records(self) -> Iterator[Raw]:
        while chunk := self._file.read(CHUNK_BYTES):
            self._buffer += chunk
            yield from self._look()
        yield from self._finish()

    def _look(self) -> Iterator[Raw]:
        gap = 0  # where what stands between two records began
        for token in _TOKEN.finditer(self._buffer, self._at):
            sign = token[0]
            if sign == b'"':
                break  # a string whose end is not here yet
            self._at = token.end()
            if sign in b"[{":
                self._depth += 1
                self._deepest = max(self._deepest, self._depth)
                if self._depth == self._base + 1 and sign == b"{":
                    yield from self._between(self._buffer[gap : token.start()])
                    self._began = token.start()
            elif sign in b"]}":
                self._depth -= 1
                if self._depth == self._base and self._began >= 0:
                    yield self._record(token.end())
                    gap, self._began, self._deepest, self._large = token.end(), -1, 0, False
                elif self._depth < self._base:
                    yield from self._between(self._buffer[gap : token.start()])
                    gap = token.end()
                    self._close(token.end())
        self._keep(gap)

    def _keep(self, gap: int) -> None:
        """Drop what was read, so that the buffer holds one record at most."""
        held = self._began if self._began >= 0 else gap
        if len(self._buffer) - held > MAX_RECORD_BYTES:
            # Too large to hold: only its end is looked for. An unfinished string is kept from its quote.
            if self._began < 0 or self._at == self._began + 1:
                raise ImportRefused(
                    f"Byte {self._offset + held}: {_too_large()} and no record ends in it. The file is damaged there."
                )
            self._large = True
            held = self._at
            self._began = 0
        elif self._began >= 0:
            self._began = 0
        self._buffer = self._buffer[held:]
        self._offset += held
        self._at = max(0, self._at - held)

    def _record(self, end: int) -> Raw:
        self._number += 1
        behind = self._offset + end
        if self._large or end - self._began > MAX_RECORD_BYTES:
            return Raw(self._number, behind, None, _too_large())
        if self._deepest - self._base > MAX_DEPTH:
            return Raw(self._number, behind, None, f"is nested deeper than {MAX_DEPTH} levels")
        return _read(self._number, behind, self._offset + self._began, self._buffer[self._began : end])

    def _between(self, gap: bytes) -> Iterator[Raw]:
        """What stands between two records: a comma, or things that are no objects, each a bad record."""
        if not self._resumed and self._number == 0:
            gap = gap.removeprefix(_BOM).strip(_BLANK).removeprefix(b"[") if self._base else gap.removeprefix(_BOM)
        for piece in gap.split(b","):
            if piece.strip(_BLANK):
                self._number += 1
                yield Raw(self._number, self._offset + self._at, None, "is no JSON object")

    def _close(self, end: int) -> None:
        if self._closed or not self._base:
            raise ImportRefused(
                f"Byte {self._offset + end - 1}: a bracket closes that was never opened. The file is damaged there."
            )
        self._closed = True
        self._base = 0

    def _finish(self) -> Iterator[Raw]:
        if self._began >= 0 or self._depth > 0 or b'"' in self._buffer[self._at :]:
            inside = f"inside record {self._number + 1}" if self._began >= 0 else f"after record {self._number}"
            raise ImportRefused(
                f"The file ends at byte {self._offset + len(self._buffer)}, {inside}: it is cut off. Get it whole."
            )
        yield from self._between(self._buffer[self._at :])


def _too_large() -> str:
    return f"is larger than {MAX_RECORD_BYTES // 2**20} MB"


def _read(number: int, end: int, start: int, text: bytes) -> Raw:
    """A record's bytes as JSON; `start` and `end` are where they stand in the file."""
    try:
        value = json.loads(text.decode("utf-8"), parse_constant=lambda _name: None)
    except UnicodeDecodeError as error:
        why = f"is not UTF-8 (byte {start + error.start}: {text[error.start]:#04x}). Save the file as UTF-8"
        return Raw(number, end, None, why)
    except json.JSONDecodeError as error:
        where = start + len(text.decode("utf-8")[: error.pos].encode("utf-8", "replace"))
        return Raw(number, end, None, f"is not JSON (byte {where}: {error.msg})")
    except (RecursionError, ValueError):
        return Raw(number, end, None, "is nested too deeply or has a number too long to read")
    if not isinstance(value, dict):
        return Raw(number, end, None, "is no JSON object")
    return Raw(number, end, value)
