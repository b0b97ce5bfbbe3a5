"""What an agent of a Letta file runs with here: model, window, protocol, and a sentence on each thing that differs."""

from collections.abc import Iterator

from pydantic import ValidationError

from memgpt_core import queue_manager
from memgpt_core.blueprint import define_instructions, explain
from memgpt_core.instructions import DEFAULTS
from memgpt_core.interchange.letta_shapes import AfBlock, AgentFile, AgentFileRefused
from memgpt_core.prompt import render_block
from memgpt_core.queue_manager import MIN_ROOM_TOKENS
from memgpt_core.registry import REGISTRY, unknown
from memgpt_core.settings import DEMO, AgentSettings
from memgpt_core.state import Block
from memgpt_core.tokens import count

PLAIN_AGENTS = ("letta_v1_agent", "react_agent", "workflow_agent")
"""Agent types that speak in plain text; the others speak with send_message."""


def settings_of(file: AgentFile) -> tuple[AgentSettings, list[str]]:
    """The settings and what had to be changed: the recorded ones in an export of ours, else those Letta's come to."""
    ours = file.extra.get("settings")
    if ours is not None:
        try:
            settings = AgentSettings.model_validate(ours)
        except ValidationError as error:
            raise AgentFileRefused(f"{file.source}: x_memscope.settings cannot be used: {explain(error)}.") from None
        if strange := unknown(settings):
            raise AgentFileRefused(f"{file.source}: x_memscope.settings cannot be used: {strange}")
        return _roomy(file, settings)
    model, notes = _model(file)
    config = file.agent.llm_config
    window = max(512, config.context_window) if config and config.context_window else 8192
    # A quarter at most: a server's own limit on replies may be as large as its window.
    reserve = max(64, min(config.max_tokens or 1024 if config else 1024, window // 4, 4096))
    settings = AgentSettings(
        model=model,
        protocol="native" if file.agent.agent_type in PLAIN_AGENTS else "memgpt",
        window_tokens=window,
        reserve_tokens=reserve,
        temperature=min(2.0, max(0.0, config.temperature)) if config and config.temperature is not None else 0.2,
    )
    settings, more = _roomy(file, settings)
    return settings, [*notes, *more]


def _model(file: AgentFile) -> tuple[str, list[str]]:
    config = file.agent.llm_config
    handle = (config.handle if config else None) or file.agent.model or ""
    provider, _, name = handle.partition("/")
    if config and not name:
        provider, name = config.model_endpoint_type, config.model
    if provider == "memscope" and name == DEMO:
        return DEMO, []
    if provider == "ollama" and name:
        return name, []
    named = handle or name or "no model"
    return DEMO, [f"Its model ({named}) is not one of Ollama: it starts with the built-in demo model. Choose another."]


def _roomy(file: AgentFile, settings: AgentSettings) -> tuple[AgentSettings, list[str]]:
    """The settings with a window that holds the fixed parts, if theirs does not."""
    defined = define_instructions(instructions_of(file, settings), settings)
    fixed = (defined.measured.instructions_tokens or 0) + (defined.measured.schemas_tokens or 0)
    fixed += sum(count(render_block(block_of(block, block.value))) for block in file.blocks)
    if not queue_manager.refusal(fixed, settings):
        return settings, []
    needed = int((fixed + 2 * MIN_ROOM_TOKENS) / settings.flush_share) + settings.reserve_tokens + 1
    size = 2048
    while size < needed:
        size *= 2
    return settings.model_copy(update={"window_tokens": size}), [
        f"Its window of {settings.window_tokens:,} tokens cannot hold its instructions, its blocks and Memscope's "
        f"functions ({fixed:,} tokens): it has {size:,} now."
    ]


def instructions_of(file: AgentFile, settings: AgentSettings) -> str:
    """The system instructions of the file; where it has none, those of the protocol."""
    return file.agent.system or DEFAULTS[settings.protocol]


def notes_of(file: AgentFile) -> Iterator[str]:
    """What a person should know of the agent as it came, a sentence each."""
    embedding = (file.agent.embedding_config or {}).get("embedding_model")
    if embedding and "settings" not in file.extra:
        yield f"Its embedding model ({embedding}) is not set: archival storage is searched by words until one is."
    if not file.agent.system:
        yield "The file has no system instructions; the agent got Memscope's own."
    if file.tags:
        yield f"Tags of the agent: {', '.join(file.tags)}."
    foreign = [tool.name or tool.id for tool in file.tools if tool.name not in REGISTRY]
    if foreign:
        code = sum(bool(tool.source_code) for tool in file.tools if tool.name not in REGISTRY)
        yield (
            f"Tools are not imported and their code ({code} with code) was never run: {', '.join(sorted(foreign))}. "
            "The agent has Memscope's functions instead."
        )
    for block in file.blocks:
        if len(block.value) > block.limit:
            yield f"Block {block.label!r} is over its limit: {len(block.value)} of {block.limit} characters."


def block_of(block: AfBlock, value: str) -> Block:
    """A block of the file with this text."""
    return Block(block.label, block.description or "", value, block.limit, block.read_only, 0, "import", 0)
