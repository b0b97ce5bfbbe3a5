"""Archives that are documents (DOCX, EPUB): opened within bounds, whatever their headers promise. Pure."""

import io
import zipfile
import zlib
from collections.abc import Callable
from typing import IO

from memgpt_core.errors import NotReadable

UNPACKED_BYTES_MOST = 128 * 2**20
ENTRIES_MOST = 20_000

_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OSError, RuntimeError)
_ENCRYPTED = 1
_PIECE_BYTES = 2**16


def opened(data: bytes) -> zipfile.ZipFile:
    """The archive in `data`.

    Raises:
        NotReadable: it is broken, encrypted, or holds more than can be meant to be read.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except _BROKEN as error:
        raise broken() from error
    entries = archive.infolist()
    if len(entries) > ENTRIES_MOST:
        raise NotReadable(f"it is an archive of {len(entries):,} files. Unpack it and add the documents themselves.")
    if any(entry.flag_bits & _ENCRYPTED for entry in entries):
        raise NotReadable("it is encrypted. Save it without a password and add that.")
    return archive


def unpacked(archive: zipfile.ZipFile, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """The wanted files of an archive by name; never more bytes than the bound, even when the headers lie."""
    files: dict[str, bytes] = {}
    left = UNPACKED_BYTES_MOST
    for entry in archive.infolist():
        if entry.is_dir() or not wanted(entry.filename):
            continue
        try:
            with archive.open(entry) as stream:
                files[entry.filename] = _bounded(stream, left)
        except _BROKEN as error:
            raise broken() from error
        left -= len(files[entry.filename])
    return files


def _bounded(stream: IO[bytes], most: int) -> bytes:
    """A file piece by piece: a whole read would unpack everything before it looks at the promised size."""
    pieces: list[bytes] = []
    while piece := stream.read(_PIECE_BYTES):
        pieces.append(piece)
        most -= len(piece)
        if most < 0:
            raise NotReadable(
                f"it unpacks to more than {UNPACKED_BYTES_MOST // 2**20} MB. Split it into smaller files and add those."
            )
    return b"".join(pieces)


def repacked(files: dict[str, bytes]) -> io.BytesIO:
    """The same files as an archive that holds no surprise, for a library that unpacks by itself."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    packed.seek(0)
    return packed


def broken() -> NotReadable:
    """The refusal of a document whose archive cannot be read."""
    return NotReadable(
        "it is broken or only half there. Open it in the program that made it, save it anew and add that."
    )
