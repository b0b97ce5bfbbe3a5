"""What the engine decided, as events: each made from a state and what came in, pure.

Orders nothing and commits nothing: that is the agent's. Whatever depends on the state is decided on the newest one,
under the journal's lock.
"""

from typing import Any

from memgpt_core import prompt, queue_manager
from memgpt_core.errors import EditRefused
from memgpt_core.events import (
    Call,
    Event,
    FunctionAnswered,
    ModelReplied,
    PressureWarned,
    PromptBuilt,
    Purpose,
    QueueFlushed,
    TriggerReceived,
    TurnResumed,
    clean,
)
from memgpt_core.executor import salvage
from memgpt_core.llm.base import Reply
from memgpt_core.prompt import Prompt
from memgpt_core.registry import offered
from memgpt_core.settings import AgentSettings
from memgpt_core.state import Entry, State
from memgpt_core.strategies import Replacement
from memgpt_core.tokens import count_message

Opening = TriggerReceived | TurnResumed | FunctionAnswered
"""What opens a turn."""

CALL_CAP = 8
"""Calls of one reply that are run; a model that writes more has run away, and its reply would fill the window."""


def steps_taken(state: State) -> int:
    """Steps of the turn, or since it was resumed."""
    return state.step - state.resumed_at_step


def received(state: State, opening: Opening) -> Event:
    """What opens a turn, made ready for commit.

    Raises:
        EditRefused: an answer to a call that does not wait.
    """
    if opening.kind == "function_answered" and (state.asked is None or state.asked.call_id != opening.call_id):
        raise EditRefused("No such function call waits for an answer any more.")
    if opening.kind != "trigger_received":
        return opening
    fitted: Event = queue_manager.fit(state, opening.model_copy(update={"text": clean(opening.text)}))
    return fitted


def prompt_built(state: State, built: Prompt, purpose: Purpose) -> PromptBuilt:
    """The event of a request that is about to be sent."""
    shared = prompt.prefix_tokens(state.sent, built.parts)
    return PromptBuilt(
        purpose=purpose,
        sections=built.sections,
        counted_by=state.counted_by,
        window_tokens=state.settings.window_tokens,
        limit_tokens=state.settings.limit_tokens,
        sha256=built.sha256,
        prefix_tokens=min(sum(built.sections.values()), prompt.scaled(state, shared)),
    )


def replied(reply: Reply, purpose: Purpose, seconds: float, settings: AgentSettings) -> ModelReplied:
    """A finished reply as an event: calls that stand in its text are found, everything is made safe for the log."""
    calls, content, salvaged = reply.calls, reply.content, reply.salvaged
    if purpose == "turn" and not calls and "{" in content:
        calls, content = salvage(content, set(offered(settings, with_documents=True)))
        # In structured output the text is where a call belongs.
        salvaged = bool(calls) and settings.calling == "tools"
    return ModelReplied(
        purpose=purpose,
        content=clean(content),
        thinking=clean(reply.thinking),
        calls=tuple(Call.model_validate(clean(call.model_dump())) for call in calls[:CALL_CAP]),
        done_reason=clean(reply.done_reason),
        salvaged=salvaged,
        calls_dropped=reply.calls_dropped or len(calls[CALL_CAP:]),
        measured=reply.measured.model_copy(update={"seconds": seconds}),
    )


def warn_if_due(state: State) -> Event | None:
    """The warning, if the queue manager says that it is time for one."""
    decision = queue_manager.decide(state)
    return warned(state, decision.tokens) if decision.act == "warn" else None


def warned(state: State, tokens: int) -> PressureWarned:
    """The warning of a prompt of so many tokens."""
    settings = state.settings
    warning = PressureWarned(tokens=tokens, warn_tokens=settings.warn_tokens, flush_tokens=settings.flush_tokens)
    fitted: PressureWarned = queue_manager.fit(state, warning)
    return fitted


def flushed(state: State, entries: tuple[Entry, ...], trigger: Any, strategy: str, made: Replacement) -> QueueFlushed:
    """The flush of these slots, with what the strategy made of them in the queue's first one."""
    covers = len(entries) + (state.summary.covers if state.summary else 0)
    cap = int(queue_manager.summary_cap_tokens(state) / state.token_factor)
    before = queue_manager.total_tokens(state)
    event = QueueFlushed(
        evicted=tuple(entry.id for entry in entries),
        trigger=trigger,
        strategy=strategy,
        flush_tokens=state.settings.flush_tokens,
        tokens_before=before,
        tokens_after=0,
        summary=prompt.shortened(made.text, cap),
        summarised_by=made.by,
        covers=covers,
    )
    tokens = count_message(prompt.summary_message(event))
    freed = sum(entry.tokens for entry in entries) + (state.summary.tokens if state.summary else 0)
    after = before - prompt.scaled(state, freed) + prompt.scaled(state, tokens)
    return event.model_copy(
        update={"tokens_after": after, "measured": event.measured.model_copy(update={"tokens": tokens})}
    )
