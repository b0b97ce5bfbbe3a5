"""What makes other settings or instructions an agent's own: the events of it, or the reason why they cannot hold.

Counts with the means of the model that is to come, so that a window too small for the fixed parts is refused with
the numbers that will hold. Commits nothing.
"""

from typing import Any

from memgpt_core.blueprint import define_instructions
from memgpt_core.errors import ConfigurationRefused
from memgpt_core.events import AgentConfigured, ContextRecounted, Event, InstructionsDefined, clean
from memgpt_core.means import Means
from memgpt_core.prompt import Reader, recount
from memgpt_core.queue_manager import fixed_tokens, pinned_tokens, refusal
from memgpt_core.registry import unknown
from memgpt_core.settings import AgentSettings
from memgpt_core.state import State, fold
from memgpt_core.tokens import counted_by


def reconfigured(
    agent_id: str, state: State, settings: AgentSettings, instructions: str | None, read: Reader, means: Means
) -> list[Event]:
    """The events that give the agent other settings and, unless None, other instructions; none when nothing differs.

    `agent_id` is what it is called in this home; an imported log may hold another.

    Raises:
        ConfigurationRefused: the window cannot hold the fixed parts (the sentence has the numbers), the settings name
            a function that is not there, or the instructions are empty.
    """
    now: Any = read(state.instructions_seq)
    text = now.instructions if instructions is None else clean(instructions)
    if not text.strip():
        raise ConfigurationRefused("The system instructions are empty: the model would not know what it is to do.")
    same = settings.model_copy(update={"served_tokens": state.settings.served_tokens}) == state.settings
    if same:
        return [] if text == now.instructions else [_instructed(state, text, means)]
    if strange := unknown(settings, state.settings):
        raise ConfigurationRefused(strange)
    known = means.known(settings.model)
    configured = AgentConfigured(
        settings=settings,
        template_tokens=int(known.get("template_tokens", 0)),
        token_factor=float(known.get("token_factor", 1.0)),
    )
    counter = means.counter(settings.model)
    with counted_by(counter):
        defined = define_instructions(text, settings, with_documents=state.documents > 0)
        after = fold([configured, defined], state)
        recounted = ContextRecounted(
            counts=recount(after, _reader(read, defined)), counted_by=settings.model if counter else ""
        )
    _check(fold([recounted], after))
    served = configured.model_copy(update={"settings": means.serve(agent_id, settings)})
    return [served, defined, recounted]


def _instructed(state: State, text: str, means: Means) -> InstructionsDefined:
    with means.counting(state):
        defined = define_instructions(text, state.settings, with_documents=state.documents > 0)
    _check(fold([defined], state))
    return defined


def _check(state: State) -> None:
    if refused := refusal(fixed_tokens(state), state.settings, pinned=pinned_tokens(state)):
        raise ConfigurationRefused(refused)


def _reader(read: Reader, defined: InstructionsDefined) -> Reader:
    """Reads the log, and for seq 0 the instructions that are about to be committed."""
    return lambda seq: read(seq) if seq else defined
