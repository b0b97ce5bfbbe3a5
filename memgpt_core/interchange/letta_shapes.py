"""The shapes in Letta agent files, as far as they are read; what else is in a file is passed over.

Checked by pydantic, so that a value that cannot be is named with its place. Knows no file (`letta_file`).
"""

from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from memgpt_core.errors import MemscopeError

EXTRA_KEY = "x_memscope"
"""The root key under which an export of ours keeps what the format has no place for; Letta ignores it."""


class AgentFileRefused(MemscopeError):
    """An agent file that cannot be imported: the sentence says what is wrong, and where. Nothing was changed."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class AfBlock(_Part):
    """A memory block; `limit` in characters."""

    id: str = ""
    label: str = Field(min_length=1)
    value: str = ""
    limit: int = Field(default=100_000, ge=0)
    description: str | None = None
    read_only: bool = False

    @field_validator("value", mode="before")
    @classmethod
    def _nothing_is_empty(cls, value: Any) -> Any:
        return "" if value is None else value


class AfTool(_Part):
    """A tool by name; its code is counted and not kept."""

    id: str = ""
    name: str | None = None
    source_code: str | None = None


Thing = TypeVar("Thing", AfBlock, AfTool)


class AfFunction(_Part):
    """What a call calls; `arguments` is JSON in a string, or what a model wrote instead."""

    name: str
    arguments: str | dict[str, Any] | None = ""


class AfCall(_Part):
    """A tool call of an assistant message."""

    id: str | None = None
    function: AfFunction


class AfReturn(_Part):
    """A tool's outcome, where it stands beside the message's content."""

    tool_call_id: Any = None
    status: str = "success"
    func_response: Any = None
    stderr: list[str] | None = None


class AfMessage(_Part):
    """A message; `created_at` is UTC."""

    id: str = ""
    role: str
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[AfCall] | None = None
    tool_call_id: str | None = None
    tool_returns: list[AfReturn] | None = None
    created_at: datetime | None = None

    @field_validator("created_at")
    @classmethod
    def _in_utc(cls, value: datetime | None) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class AfModel(_Part):
    """The language model as Letta names it; `context_window` and `max_tokens` in tokens."""

    model: str = ""
    model_endpoint_type: str = ""
    handle: str | None = None
    context_window: int = Field(default=0, ge=0)
    temperature: float | None = None
    max_tokens: int | None = None


class AfAgent(_Part):
    """What both versions say of an agent."""

    name: str = ""
    system: str | None = None
    description: str | None = None
    agent_type: str = ""
    timezone: str | None = None
    llm_config: AfModel | None = None
    model: str | None = None
    embedding_config: dict[str, Any] | None = None
    messages: list[AfMessage] = []


class AgentV2(AfAgent):
    """An agent of version 2, which names its parts by id."""

    id: str = ""
    block_ids: list[str] | None = None
    tool_ids: list[str] | None = None
    in_context_message_ids: list[str] = []
    tags: list[str] | None = None
    identity_ids: list[str] | None = None
    source_ids: list[str] | None = None
    files_agents: list[Any] = []
    tool_rules: list[Any] | None = None
    tool_exec_environment_variables: dict[str, Any] | None = None
    secrets: dict[str, Any] | None = None


class FileV2(_Part):
    """A file of version 2."""

    agents: list[AgentV2]
    blocks: list[AfBlock] = []
    tools: list[AfTool] = []
    groups: list[Any] = []
    files: list[Any] = []
    mcp_servers: list[Any] = []
    skills: list[Any] = []
    created_at: datetime | None = None


class _Tag(_Part):
    tag: str


class _Variable(_Part):
    key: str


class FileV1(AfAgent):
    """A file of version 1: the agent itself."""

    core_memory: list[AfBlock]
    in_context_message_indices: list[int] = []
    tools: list[AfTool] = []
    tags: list[_Tag] = []
    tool_rules: list[Any] | None = None
    tool_exec_environment_variables: list[_Variable] = []


class AgentFile(NamedTuple):
    """One agent out of a file, in one shape for both versions.

    Attributes:
        format: `letta v1` or `letta v2`.
        source, sha256: the file's name, and that of its bytes.
        messages: in the order in which they were said, as far as the file tells.
        window: positions in `messages` of those in the context window, first to last.
        extra: what an export of ours kept beside the format, else empty.
        left: sentences on what the file holds and Memscope has no place for.
    """

    format: str
    source: str
    sha256: str
    agent: AfAgent
    blocks: tuple[AfBlock, ...]
    tools: tuple[AfTool, ...]
    messages: tuple[AfMessage, ...]
    window: tuple[int, ...]
    tags: tuple[str, ...]
    extra: dict[str, Any]
    left: tuple[str, ...]
