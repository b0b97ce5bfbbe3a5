"""What can be chosen: where the home is, and what each agent runs with.

An agent's settings live in its log (`agent_created`, `agent_configured`), never in a side file, so
that a recording carries the rules it ran under.
"""

import os
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

ENGINE_VERSION = 1
"""Raised by hand, and only when the same external events should now give another log."""


def default_home() -> Path:
    """Where agents live: `$MEMSCOPE_HOME`, else `~/.memscope`."""
    return Path(os.environ.get("MEMSCOPE_HOME") or "~/.memscope").expanduser()


class AgentSettings(BaseModel):
    """The rules one agent runs under.

    The three shares are the MemGPT paper's examples (section 2.2: 70 %, 100 %, 50 %), kept as editable
    defaults. Warning and flush are shares of the *limit*, which is `window_tokens - reserve_tokens`;
    eviction is a share of the room the FIFO queue has under the flush mark (see `queue_manager`).

    Raises:
        pydantic.ValidationError: a value out of its range, or a warning mark above the flush mark.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "demo"
    protocol: Literal["memgpt"] = "memgpt"
    window_tokens: int = Field(default=8192, ge=512)
    reserve_tokens: int = Field(default=1024, ge=64)
    warn_share: float = Field(default=0.7, gt=0, le=1)
    flush_share: float = Field(default=1.0, gt=0, le=1)
    evict_share: float = Field(default=0.5, gt=0, le=1)
    strategy: Literal["summarise_recursively"] = "summarise_recursively"
    step_cap: int = Field(default=12, ge=1, le=200)
    login_idle_minutes: float = Field(default=30, gt=0)
    timer_minutes: float = Field(default=0, ge=0)
    page_size: int = Field(default=5, ge=1, le=50)
    embedder: Literal["hashing", "none"] = "none"
    functions_off: tuple[str, ...] = ()
    temperature: float = Field(default=0.2, ge=0, le=2)

    @property
    def limit_tokens(self) -> int:
        """What a prompt may hold: the window without the reply reserve, in tokens."""
        return self.window_tokens - self.reserve_tokens

    @property
    def warn_tokens(self) -> int:
        """The warning token count of the paper, in tokens."""
        return int(self.limit_tokens * self.warn_share)

    @property
    def flush_tokens(self) -> int:
        """The flush token count of the paper, in tokens."""
        return int(self.limit_tokens * self.flush_share)

    @model_validator(mode="after")
    def _marks_in_order(self) -> Self:
        if self.reserve_tokens >= self.window_tokens:
            raise ValueError(
                f"the reply reserve ({self.reserve_tokens} tokens) must be smaller than the window "
                f"({self.window_tokens} tokens)"
            )
        if self.warn_share > self.flush_share:
            raise ValueError(
                f"the warning mark ({self.warn_share:.0%}) must not be above the flush mark ({self.flush_share:.0%})"
            )
        return self
