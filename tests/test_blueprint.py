"""What a new agent is made of, and every blueprint that is refused with a sentence."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from memgpt_core.blueprint import BlockPlan, Blueprint, define_instructions, first_events, load
from memgpt_core.errors import ConfigurationRefused
from memgpt_core.instructions import MEMGPT_INSTRUCTIONS
from memgpt_core.prompt import render_block
from memgpt_core.queue_manager import MIN_ROOM_TOKENS, fixed_tokens
from memgpt_core.registry import schemas
from memgpt_core.settings import ENGINE_VERSION, AgentSettings
from memgpt_core.state import fold
from memgpt_core.tokens import count, count_json

TOML = """
name = "Ada"
about = "a test"
seed = 5
instructions = "BE GOOD."

[settings]
window_tokens = 4096
functions_off = ["note_list"]

[[blocks]]
label = "human"
value = "Ana"
limit_chars = 50
read_only = true
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.toml"


def test_a_blueprint_becomes_the_first_events(path: Path) -> None:
    path.write_text(TOML)
    plan = load(path)
    created, defined, block = first_events(plan, "ada")
    assert [event.kind for event in (created, defined, block)] == [
        "agent_created",
        "instructions_defined",
        "block_defined",
    ]
    state = fold(event.model_copy(update={"seq": seq}) for seq, event in enumerate((created, defined, block), 1))
    assert (state.agent_id, state.name, state.about, state.seed) == ("ada", "Ada", "a test", 5)
    assert state.engine_version == ENGINE_VERSION
    assert state.settings.window_tokens == 4096
    human = state.blocks["human"]
    assert (human.value, human.limit_chars, human.read_only, human.author) == ("Ana", 50, True, "human")


def test_what_is_counted_is_what_will_stand_in_the_prompt(path: Path) -> None:
    path.write_text(TOML)
    events: list[Any] = first_events(load(path), "ada")
    state = fold(event.model_copy(update={"seq": seq}) for seq, event in enumerate(events, 1))
    offered = schemas(AgentSettings(functions_off=("note_list",)))
    assert events[1].schemas == offered
    assert state.instructions_tokens == count("BE GOOD.")
    assert state.schemas_tokens == sum(count_json(schema) for schema in offered)
    assert state.blocks["human"].tokens == count(render_block(state.blocks["human"]))


def test_an_agent_of_few_words_gets_the_usual_parts() -> None:
    events: list[Any] = first_events(Blueprint(name="x"), "x")
    assert events[1].instructions == MEMGPT_INSTRUCTIONS
    assert [event.block for event in events[2:]] == ["persona", "human"]
    assert define_instructions("x", AgentSettings()).schemas == schemas(AgentSettings())


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("name = ", "agent.toml is not valid TOML"),
        ("about = 'x'", "agent.toml: name: Field required"),
        ("name = ''", "name: String should have at least 1 character"),
        ("name = 'x'\ncolour = 1", "colour: Extra inputs are not permitted"),
        ("name = 'x'\n[settings]\nwindow_tokens = 'big'", "settings.window_tokens: Input should be a valid integer"),
        ("name = 'x'\n[settings]\nwarn_share = 1.5", "settings.warn_share"),
        (
            "name = 'x'\n[settings]\nwarn_share = 0.9\nflush_share = 0.8",
            "settings: the warning mark (90%) must not be above the flush mark (80%)",
        ),
        (
            "name = 'x'\n[settings]\nwindow_tokens = 512\nreserve_tokens = 512",
            "settings: the reply reserve (512 tokens) must be smaller than the window (512 tokens)",
        ),
        (
            "name = 'x'\n[settings]\nfunctions_off = ['note_list', 'fly']\nfunctions_ask = ['note_list']",
            "settings: a function is either off or asked about, not both: note_list",
        ),
        ("name = 'x'\n[settings]\nstrategy = 'forget'", "settings.strategy: Input should be 'summarise_recursively'"),
        ("name = 'x'\n[[blocks]]\nlabel = 'Not A Label'", "blocks.0.label: String should match pattern"),
        ("name = 'x'\n[[blocks]]\nlabel = 'a'\n[[blocks]]\nlabel = 'a'", "block labels must differ"),
        ("name = 'x'\n[[blocks]]\nlabel = 'a'\nlimit_chars = 5", "blocks.0.limit_chars"),
    ],
)
def test_a_wrong_agent_toml_is_one_sentence(path: Path, toml: str, says: str) -> None:
    path.write_text(toml)
    with pytest.raises(ConfigurationRefused) as refused:
        load(path)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value).rstrip("\n.")


def test_a_file_that_is_no_text_is_one_sentence(path: Path) -> None:
    path.write_bytes(b"name = '\xff'")
    with pytest.raises(ConfigurationRefused, match=r"agent\.toml is not valid TOML"):
        load(path)


def test_a_block_over_its_own_limit_is_refused_with_both_numbers() -> None:
    plan = Blueprint(name="x", blocks=(BlockPlan(label="human", value="y" * 21, limit_chars=20),))
    with pytest.raises(ConfigurationRefused, match="Block 'human' has 21 characters and a limit of 20"):
        first_events(plan, "x")


@pytest.mark.parametrize("field", ["functions_off", "functions_ask"])
def test_a_function_that_is_not_there_is_refused_by_name(field: str) -> None:
    settings = AgentSettings(**{field: ("note_list", "fly")})  # type: ignore[arg-type]
    with pytest.raises(ConfigurationRefused, match=r"There is no function “fly”\. Functions: send_message, "):
        first_events(Blueprint(name="x", settings=settings), "x")


def test_a_window_is_refused_exactly_when_it_leaves_the_queue_no_room() -> None:
    roomy = first_events(Blueprint(name="x"), "x")
    state = fold(event.model_copy(update={"seq": seq}) for seq, event in enumerate(roomy, 1))
    least = fixed_tokens(state) + MIN_ROOM_TOKENS + 64

    def begin(window: int) -> None:
        first_events(Blueprint(name="x", settings=AgentSettings(window_tokens=window, reserve_tokens=64)), "x")

    begin(least)
    with pytest.raises(ConfigurationRefused, match=f"a window of {least - 1} tokens"):
        begin(least - 1)


def test_a_blueprint_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Blueprint(name="x").name = "y"  # type: ignore[misc]
