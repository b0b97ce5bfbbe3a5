"""What can be chosen: where the home is, and what each agent runs with.

An agent's settings live in its log (`agent_created`, `agent_configured`), never in a side file, so
that a recording carries the rules it ran under.
"""

import os
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

DEMO = "demo"
"""The name of the built-in demo model; every other model is one of the Ollama server's."""

ENGINE_VERSION = 1
"""Raised by hand, and only when the same external events should now give another log."""


VECTORS_MB = 1024
"""For the vectors of an agent whose settings name no other: some 700,000 of 384 numbers."""


def default_home() -> Path:
    """Where agents live: `$MEMSCOPE_HOME`, else `~/.memscope`."""
    return Path(os.environ.get("MEMSCOPE_HOME") or "~/.memscope").expanduser()


Strategy = Literal["summarise_recursively", "summarise_and_archive", "archive_verbatim", "drop_with_notice"]
"""What becomes of evicted messages beside staying in recall storage: `strategies.STRATEGIES`."""

Prefetch = Literal["off", "user_message", "next_page", "key_chain"]
"""Which searches run ahead while the model writes, in the hope that it asks for them: `guessing.guesses`."""

Retrieval = Literal["off", "before", "interleaved"]
"""What is brought into the queue without the model asking for it: `retrieval`."""


class AgentSettings(BaseModel):
    """The rules one agent runs under.

    The three shares are the MemGPT paper's examples (section 2.2: 70 %, 100 %, 50 %), kept as editable
    defaults. Warning and flush are shares of the *limit*, which is `window_tokens - reserve_tokens`;
    eviction is a share of the room the FIFO queue has under the flush mark (see `queue_manager`).

    Attributes:
        protocol: `memgpt` speaks with send_message and chains with heartbeats, as in the paper; in `native` plain
            text is the reply and a function call continues.
        calling: `tools` for models with tool support; `structured` has the others fill in a JSON form.
        think: whether a thinking model thinks, or how hard.
        strategy: what a flush does with what leaves the queue.
        vectors_mb: how much RAM the vectors of this agent may take, in MB; None for `VECTORS_MB`. Beyond it
            searches are approximate.
        functions_ask: calls of these wait for a person's yes or no.
        tell_edits: the agent is told, by a system message, of a block that a person edits while a turn runs.
        review_sessions: after a session the model rereads it and rewrites its blocks.
        memory_calls_per_step, memory_calls_per_turn: how often the model may work on its memory; 0 for as often as it
            likes. Speaking and pausing do not count.
        prefetch: searches that run ahead of being asked for; changes what a search costs and never what it finds.
        retrieval: off, the model asks itself, as in the paper; otherwise stored texts are placed in the queue before
            the first step, or before every step, of a turn a user's message began.
        retrieval_tokens: the most that one placement takes of the queue.
        seed: None for the agent's own.
        served_tokens: the window the model is asked to be served with, where it is larger than this agent's own:
            one for all agents of a model, because another one has the server load the model anew.

    Raises:
        pydantic.ValidationError: a value out of its range, a warning mark above the flush mark, or a function that is
            both off and asked about.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(default=DEMO, min_length=1)
    protocol: Literal["memgpt", "native"] = "memgpt"
    calling: Literal["tools", "structured"] = "tools"
    think: Literal["off", "on", "low", "medium", "high"] = "off"
    window_tokens: int = Field(default=8192, ge=512)
    reserve_tokens: int = Field(default=1024, ge=64)
    warn_share: float = Field(default=0.7, gt=0, le=1)
    flush_share: float = Field(default=1.0, gt=0, le=1)
    evict_share: float = Field(default=0.5, gt=0, le=1)
    strategy: Strategy = "summarise_recursively"
    step_cap: int = Field(default=12, ge=1, le=200)
    login_idle_minutes: float = Field(default=30, gt=0)
    timer_minutes: float = Field(default=0, ge=0)
    page_size: int = Field(default=5, ge=1, le=50)
    memory_calls_per_step: int = Field(default=0, ge=0, le=200)
    memory_calls_per_turn: int = Field(default=0, ge=0, le=2000)
    prefetch: Prefetch = "off"
    retrieval: Retrieval = "off"
    retrieval_tokens: int = Field(default=400, ge=64)
    embedder: str = Field(default="none", pattern=r"^(none|hashing|minilm|ollama:.+)$")
    vectors_mb: int | None = Field(default=None, ge=0)
    functions_off: tuple[str, ...] = ()
    functions_ask: tuple[str, ...] = ()
    tell_edits: bool = True
    review_sessions: bool = False
    temperature: float = Field(default=0.2, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=1)
    seed: int | None = None
    keep_alive_minutes: float = Field(default=10, ge=0)
    served_tokens: int = Field(default=0, ge=0)

    @property
    def num_ctx(self) -> int:
        """The window asked of the model server, in tokens."""
        return max(self.window_tokens, self.served_tokens)

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
        if self.calling == "structured" and (self.protocol == "native" or self.model == DEMO):
            raise ValueError(
                "structured output needs the memgpt protocol and an Ollama model: it has a model without tool support "
                "fill in a form, send_message among the rest"
            )
        if self.warn_share > self.flush_share:
            raise ValueError(
                f"the warning mark ({self.warn_share:.0%}) must not be above the flush mark ({self.flush_share:.0%})"
            )
        return self

    @model_validator(mode="after")
    def _off_or_asked(self) -> Self:
        if both := sorted(set(self.functions_off) & set(self.functions_ask)):
            raise ValueError(f"a function is either off or asked about, not both: {', '.join(both)}")
        return self
