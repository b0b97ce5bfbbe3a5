"""What a new agent is made of: a name, settings, blocks and instructions, and the first events of its log."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from memgpt_core.errors import ConfigurationRefused
from memgpt_core.events import AgentCreated, BlockDefined, Event, InstructionsDefined, Measured
from memgpt_core.instructions import DEFAULTS, MEMGPT_INSTRUCTIONS
from memgpt_core.prompt import functions_text, render_block
from memgpt_core.queue_manager import refusal
from memgpt_core.registry import schemas, unknown
from memgpt_core.settings import ENGINE_VERSION, AgentSettings
from memgpt_core.state import Block
from memgpt_core.tokens import count, count_json

NOTHING_KNOWN: Mapping[str, Any] = MappingProxyType({})


class BlockPlan(BaseModel):
    """A core memory block to begin with; `limit_chars` as in MemGPT's code."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")
    description: str = ""
    value: str = ""
    limit_chars: int = Field(default=2000, ge=20)
    read_only: bool = False


class Blueprint(BaseModel):
    """An `agent.toml`: everything that is chosen before an agent's first event."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=80)
    about: str = ""
    seed: int = 1
    settings: AgentSettings = AgentSettings()
    instructions: str = MEMGPT_INSTRUCTIONS
    blocks: tuple[BlockPlan, ...] = (
        BlockPlan(label="persona", description="Who you are and how you speak", value="I am a helpful companion."),
        BlockPlan(label="human", description="What you know about the user"),
    )

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        labels = [block.label for block in self.blocks]
        if len(set(labels)) < len(labels):
            raise ValueError("block labels must differ")
        return self


def load(path: Path) -> Blueprint:
    """The blueprint in an `agent.toml`.

    Raises:
        ConfigurationRefused: not TOML, or a value that cannot be; the message says which.
    """
    try:
        return Blueprint.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationRefused(f"{path.name} is not valid TOML: {error}.") from None
    except ValidationError as error:
        raise ConfigurationRefused(f"{path.name}: {explain(error)}") from None


def explain(error: ValidationError) -> str:
    """A validation error as one sentence: which value, and what is wrong with it."""
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'settings'}: {item['msg'].removeprefix('Value error, ')}"
        for item in error.errors(include_url=False, include_input=False)
    )


def first_events(blueprint: Blueprint, agent_id: str, known: Mapping[str, Any] = NOTHING_KNOWN) -> list[Event]:
    """The events a new agent's log begins with; `known` is what the home has learned of the model.

    Raises:
        ConfigurationRefused: the window cannot hold the fixed parts, a block is over its limit, or the settings name
            a function that is not there.
    """
    if strange := unknown(blueprint.settings):
        raise ConfigurationRefused(strange)
    blocks = [_block_event(plan) for plan in blueprint.blocks]
    defined = define_instructions(blueprint.instructions, blueprint.settings)
    fixed = (
        (defined.measured.instructions_tokens or 0)
        + (defined.measured.schemas_tokens or 0)
        + sum(block.measured.tokens or 0 for block in blocks)
    )
    if refused := refusal(fixed, blueprint.settings):
        raise ConfigurationRefused(refused)
    created = AgentCreated(
        agent_id=agent_id,
        name=blueprint.name,
        about=blueprint.about,
        engine_version=ENGINE_VERSION,
        seed=blueprint.seed,
        settings=blueprint.settings,
        template_tokens=int(known.get("template_tokens", 0)),
        token_factor=float(known.get("token_factor", 1.0)),
    )
    return [created, defined, *blocks]


def define_instructions(
    instructions: str, settings: AgentSettings, *, with_documents: bool = False
) -> InstructionsDefined:
    """The read-only head of main context under these settings, counted.

    Instructions that are a protocol's default become the default of the protocol in the settings.
    """
    if instructions in DEFAULTS.values():
        instructions = DEFAULTS[settings.protocol]
    offered: tuple[dict[str, Any], ...] = schemas(settings, with_documents=with_documents)
    structured = settings.calling == "structured"
    sizes = count(functions_text(offered)) if structured else sum(count_json(schema) for schema in offered)
    measured = Measured(instructions_tokens=count(instructions), schemas_tokens=sizes)
    return InstructionsDefined(instructions=instructions, schemas=offered, measured=measured)


def _block_event(plan: BlockPlan) -> BlockDefined:
    if len(plan.value) > plan.limit_chars:
        raise ConfigurationRefused(
            f"Block '{plan.label}' has {len(plan.value)} characters and a limit of {plan.limit_chars}. "
            "Shorten it or raise its limit."
        )
    block = Block(
        label=plan.label,
        description=plan.description,
        value=plan.value,
        limit_chars=plan.limit_chars,
        read_only=plan.read_only,
        seq=0,
        author="human",
        tokens=0,
    )
    return BlockDefined(
        block=plan.label,
        description=plan.description,
        value=plan.value,
        limit_chars=plan.limit_chars,
        read_only=plan.read_only,
        author="human",
        measured=Measured(tokens=count(render_block(block))),
    )
