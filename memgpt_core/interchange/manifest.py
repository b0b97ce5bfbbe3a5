"""What a bundle says of itself: which agent, how far, which members, what was left out.

The shape alone; who writes it is `bundle`, who holds the members against it is `arrival`.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from memgpt_core.interchange.sealed import Member

FORMAT = "memscope bundle"
VERSION = 1
"""Raised when an older Memscope could not read what this one writes."""

LOG = "run.jsonl"
NOTES = "notes.jsonl"
DOCUMENTS = "documents/"
HASH_BYTES = 32


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Agent(_Strict):
    """The agent, as it was at the bundle's last event."""

    id: str = Field(min_length=1, max_length=200)
    name: str
    about: str
    model: str


class Vectors(_Strict):
    """One member of vectors: `count` records of a content hash (32 bytes) and `dim` little-endian float32."""

    member: str = Field(pattern=r"^vectors/\d+\.f32$")
    model: str = Field(min_length=1)
    dim: int = Field(ge=1, le=65_536)
    count: int = Field(ge=1)

    @property
    def record_bytes(self) -> int:
        """Length of one record."""
        return HASH_BYTES + 4 * self.dim


class Replaced(_Strict):
    """How often a pattern was replaced, in how many events."""

    name: str
    replacements: int
    events: int


class Manifest(_Strict):
    """The whole.

    Attributes:
        engine_version: of the Memscope that made the log.
        events: how many lines the log has; it always begins at event 1.
        members: every member but the manifest, with its size and checksum.
        redacted: None for a lossless bundle; else what was replaced.
    """

    format: Literal["memscope bundle"]
    version: int
    agent: Agent
    engine_version: int
    events: int = Field(ge=1)
    members: tuple[Member, ...]
    vectors: tuple[Vectors, ...] = ()
    redacted: tuple[Replaced, ...] | None = None

    @property
    def log(self) -> Member:
        """What the log must turn out to be.

        Raises:
            LookupError: there is none.
        """
        return self.named(LOG)

    def named(self, name: str) -> Member:
        """What a member must turn out to be.

        Raises:
            LookupError: the manifest has no such member.
        """
        for member in self.members:
            if member.name == name:
                return member
        raise LookupError(name)
