"""One compressed file of named members, each with its size and sha256 in a manifest: a zip that nobody need trust.

Written aside, synced and renamed, so that there is a whole file or none. Read with every bound known beforehand: what
a member claims to be is checked before a byte of it is unpacked, and what it is while it streams, so that neither a
bomb nor a path out of a folder gets anywhere. Does not know what the members mean.

Zip with deflate, because every tool opens it and no package is needed; what does not shrink is stored.
"""

import contextlib
import hashlib
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from memgpt_core.errors import MemscopeError
from memgpt_core.log import sync_folder

MANIFEST = "manifest.json"
CHUNK_BYTES = 2**20
DEFLATE_LEVEL = 4
"""Within a tenth of the smallest, in a third of the time."""

MANIFEST_BYTES = 2**24
MEMBERS_MOST = 20_000
DIRECTORY_BYTES = 2**23
"""The zip's own list of members is read whole, so its size is bounded before."""

RATIO_MOST = 500
RATIO_FROM_BYTES = 2**26
"""Deflate can shrink a thousandfold and real logs shrink tenfold; a small member may be as dull as it likes."""

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,119}(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,119}){0,3}")
_END, _END64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q")
_LOCATOR_BYTES = 20
_ENCRYPTED = 1
_DATE = (1980, 1, 1, 0, 0, 0)
"""No time goes into the file: the same contents give the same bytes."""

_BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, NotImplementedError, RuntimeError)
"""What `zipfile` raises on bytes that are no zip, or one of a kind it does not know."""

Stop = Callable[[], bool]


class BundleRefused(MemscopeError):
    """A file that cannot be taken, with what is wrong and where; nothing was changed."""


class Stopped(MemscopeError):
    """A person stopped it; nothing is left half done."""


class Member(BaseModel):
    """What one member must turn out to be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    size_bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


def never() -> bool:
    """Nobody stops this."""
    return False


# --- writing ----------------------------------------------------------------------------------------------------


class _Measured:
    """A member while it is written: what went in is counted and hashed."""

    def __init__(self, name: str, inner: IO[bytes], stop: Stop) -> None:
        self._name = name
        self._inner = inner
        self._stop = stop
        self._sha256 = hashlib.sha256()
        self._size_bytes = 0

    def write(self, data: bytes) -> None:
        if self._stop():
            raise Stopped("Stopped. No file was written.")
        self._sha256.update(data)
        self._size_bytes += len(data)
        self._inner.write(data)

    def member(self) -> Member:
        return Member(name=self._name, size_bytes=self._size_bytes, sha256=self._sha256.hexdigest())


class SealedWriter:
    """A file in the making.

    Attributes:
        members: those written so far.
    """

    def __init__(self, archive: zipfile.ZipFile, stop: Stop) -> None:
        self.members: list[Member] = []
        self._archive = archive
        self._stop = stop

    @contextlib.contextmanager
    def member(self, name: str, *, shrinks: bool = True) -> Iterator[_Measured]:
        """Write one member; `shrinks` says whether compressing it is worth the time."""
        info = zipfile.ZipInfo(name, _DATE)
        info.compress_type = zipfile.ZIP_DEFLATED if shrinks else zipfile.ZIP_STORED
        info.external_attr = 0o644 << 16
        with self._archive.open(info, "w", force_zip64=True) as inner:
            measured = _Measured(name, inner, self._stop)
            yield measured
        self.members.append(measured.member())

    def manifest(self, manifest: BaseModel) -> None:
        """Write the manifest, last of all."""
        with self.member(MANIFEST) as out:
            out.write(manifest.model_dump_json(indent=1).encode())


@contextlib.contextmanager
def writing(path: Path, stop: Stop = never) -> Iterator[SealedWriter]:
    """A new file at `path`, there only when everything in it is; one that was there before is replaced then.

    Raises:
        MemscopeError: it could not be written, or was stopped; what was at `path` still is.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with aside.open("xb") as file:
            with zipfile.ZipFile(file, "w", compresslevel=DEFLATE_LEVEL, strict_timestamps=False) as archive:
                yield SealedWriter(archive, stop)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise MemscopeError(
            f"{path.name} could not be written ({error.strerror or error}). Free some disk space or choose another "
            "folder, then export again."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)


# --- reading ----------------------------------------------------------------------------------------------------


class SealedReader:
    """A file from elsewhere, its list of members checked.

    Attributes:
        manifest: as it was read, not yet checked for meaning.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile, stop: Stop) -> None:
        self.path = path
        self.manifest: dict[str, Any] = {}
        self._archive = archive
        self._stop = stop
        self._infos = _checked(path, archive.infolist())
        self._read_manifest()

    def names(self) -> list[str]:
        """Every member but the manifest."""
        return [name for name in self._infos if name != MANIFEST]

    def stored_bytes(self, name: str) -> int:
        """How large a member says it is; it gets no larger than that."""
        return int(self._infos[name].file_size)

    def chunks(self, member: Member) -> Iterator[bytes]:
        """A member's bytes; that they are what the manifest says is known at the end.

        Raises:
            BundleRefused: it is not there, damaged, or something else.
            Stopped: a person stopped it.
        """
        if member.name not in self._infos or self.stored_bytes(member.name) != member.size_bytes:
            raise BundleRefused(f"{self.path.name}: {member.name} is missing or not {member.size_bytes:,} bytes long.")
        sha256 = hashlib.sha256()
        for chunk in self._unpacked(member.name):
            sha256.update(chunk)
            yield chunk
        if sha256.hexdigest() != member.sha256:
            raise BundleRefused(f"{self.path.name}: {member.name} is damaged, its checksum is another one.")

    def _unpacked(self, name: str) -> Iterator[bytes]:
        left = self.stored_bytes(name)
        try:
            with self._archive.open(self._infos[name]) as inner:
                while chunk := inner.read(min(CHUNK_BYTES, left + 1)):
                    left -= len(chunk)
                    if left < 0:
                        raise BundleRefused(f"{self.path.name}: {name} is larger than it says.")
                    if self._stop():
                        raise Stopped("Stopped. Nothing was imported.")
                    yield chunk
        except _BROKEN as error:
            raise BundleRefused(f"{self.path.name}: {name} is damaged ({_said(error)}).") from error
        if left:
            raise BundleRefused(f"{self.path.name}: {name} ends {left:,} bytes early.")

    def _read_manifest(self) -> None:
        if MANIFEST not in self._infos:
            raise BundleRefused(f"{self.path.name} is no Memscope bundle: it has no {MANIFEST}.")
        if self.stored_bytes(MANIFEST) > MANIFEST_BYTES:
            raise BundleRefused(f"{self.path.name}: {MANIFEST} is larger than {MANIFEST_BYTES:,} bytes.")
        try:
            raw = from_json(b"".join(self._unpacked(MANIFEST)))
        except ValueError as error:
            raise BundleRefused(f"{self.path.name}: {MANIFEST} is no JSON ({_said(error)}).") from error
        if not isinstance(raw, dict):
            raise BundleRefused(f"{self.path.name}: {MANIFEST} is no JSON object.")
        self.manifest = raw


@contextlib.contextmanager
def reading(path: Path, stop: Stop = never) -> Iterator[SealedReader]:
    """A file from elsewhere, opened for reading.

    Raises:
        BundleRefused: it is no such file, or one that claims what no honest one does.
    """
    with contextlib.ExitStack() as opened:
        try:
            file = opened.enter_context(path.open("rb"))
            _check_end(path, file)
            archive = opened.enter_context(zipfile.ZipFile(file))
        except OSError as error:
            raise BundleRefused(f"{path.name} cannot be read ({error.strerror or error}).") from error
        except _BROKEN as error:
            raise BundleRefused(
                f"{path.name} is no Memscope bundle, or was cut short or damaged on the way ({_said(error)}). Copy it "
                "again from where it was exported."
            ) from error
        yield SealedReader(path, archive, stop)


def refusal(path: Path, error: ValidationError) -> BundleRefused:
    """The sentence on a manifest whose fields do not fit."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "it"
    return BundleRefused(f"{path.name}: {MANIFEST} does not fit: {where}: {first['msg']}.")


def _check_end(path: Path, file: IO[bytes]) -> None:
    """The zip's last record, which says how long the list of members is."""
    size = os.fstat(file.fileno()).st_size
    reach = _END.size + _LOCATOR_BYTES + _END64.size
    file.seek(max(0, size - reach))
    tail = file.read(reach)
    file.seek(0)
    end = tail[-_END.size :]
    if len(end) < _END.size or end[:4] != b"PK\x05\x06":
        raise zipfile.BadZipFile("the end of the file is not that of a bundle")
    _, _, _, _, members, directory_bytes, _, _ = _END.unpack(end)
    if len(tail) == reach and tail[_END64.size : _END64.size + 4] == b"PK\x06\x07":
        _, _, _, _, _, _, _, members, directory_bytes, _ = _END64.unpack(tail[: _END64.size])
    if members > MEMBERS_MOST or directory_bytes > DIRECTORY_BYTES:
        raise BundleRefused(
            f"{path.name} has {members:,} members and a list of them of {directory_bytes:,} bytes; {MEMBERS_MOST:,} "
            f"members and {DIRECTORY_BYTES:,} bytes are the most."
        )


def _checked(path: Path, infos: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    found: dict[str, zipfile.ZipInfo] = {}
    if len(infos) > MEMBERS_MOST:
        raise BundleRefused(f"{path.name} has {len(infos):,} members; {MEMBERS_MOST:,} are the most.")
    for info in infos:
        shown = repr(info.orig_filename[:80])
        if info.orig_filename != info.filename or not _NAME.fullmatch(info.filename):
            raise BundleRefused(f"{path.name}: {shown} is no name of a member: it could leave its folder.")
        if info.filename in found:
            raise BundleRefused(f"{path.name} has {shown} twice.")
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            raise BundleRefused(f"{path.name}: {shown} is no plain file but a link, a folder or a device.")
        if info.flag_bits & _ENCRYPTED or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BundleRefused(f"{path.name}: {shown} is encrypted, or packed in a way bundles are not.")
        if info.file_size > RATIO_FROM_BYTES and info.file_size > RATIO_MOST * info.compress_size:
            raise BundleRefused(
                f"{path.name}: {shown} would unpack {info.compress_size:,} bytes to {info.file_size:,}. That is a "
                "bomb, no recording."
            )
        found[info.filename] = info
    packed = sum(info.compress_size for info in infos)
    if packed > path.stat().st_size:
        raise BundleRefused(f"{path.name}: its members lie over each other ({packed:,} bytes packed).")
    return found


def _said(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
