"""When to warn, when to flush, and which messages leave: the paper's queue manager (section 2.2), pure.

Decides from token counts alone; never sees a text, never calls a model. The strategy for *what replaces*
the evicted messages is named in the settings and carried out by the agent.

Eviction takes whole exchanges (all messages of a turn) from the front, so that a call never loses its
result. Inside a single long turn it takes whole steps, and never the trigger the turn is about. What a person
pinned stays, with the other half of its call; the rest of its exchange may leave.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from memgpt_core.events import Clip
from memgpt_core.prompt import brought_back, clip_to, message_of, scaled, sections, spoken, texts_in
from memgpt_core.settings import AgentSettings
from memgpt_core.state import Entry, State
from memgpt_core.tokens import count_message

MIN_ROOM_TOKENS = 256
"""What must stay free for the queue beside the fixed parts; less cannot hold one exchange."""

WARNING_TOKENS = 120
"""An upper bound on the size of a pressure warning itself, in tokens."""

MIN_CLIP_TOKENS = 40
"""A head and tail smaller than this would show nothing but the note between them."""

SUMMARY_SHARE = 0.2
"""The largest part of the queue's room that the recursive summary may take."""


class Decision(NamedTuple):
    """What to do before the next prompt: `warn`, `flush` (with the ids to evict), or `pass`."""

    act: Literal["pass", "warn", "flush"]
    tokens: int
    evict: tuple[str, ...] = ()


def total_tokens(state: State) -> int:
    """The whole prompt, in tokens."""
    return sum(sections(state).values())


def fixed_tokens(state: State) -> int:
    """What no flush can free: instructions, schemas, working context, template; in tokens."""
    sizes = sections(state)
    return sizes["instructions"] + sizes["schemas"] + sizes["working_context"] + sizes["template"]


def room_tokens(state: State) -> int:
    """What the queue (summary and messages) may fill before the flush mark, in tokens."""
    return max(0, state.settings.flush_tokens - fixed_tokens(state))


def message_cap_tokens(state: State) -> int:
    """The most one message may take of the queue; a larger one is queued as head and tail."""
    return max(MIN_ROOM_TOKENS // 2, room_tokens(state) // 2)


def summary_cap_tokens(state: State) -> int:
    """The most the recursive summary may take of the queue."""
    return max(MIN_ROOM_TOKENS // 4, int(room_tokens(state) * SUMMARY_SHARE))


def fit(state: State, event: Any) -> Any:
    """A queuing event made ready for commit: clipped to what one message may take, and counted.

    The counted message carries a time of the same shape as the one it will be stamped with.
    """
    structured = state.settings.calling == "structured"
    clip, tokens = _fitted(
        state, lambda clip: message_of(event, clip=clip, structured=structured), _longest_text(event)
    )
    measured = event.measured.model_copy(update={"tokens": tokens})
    return event.model_copy(update={"measured": measured, **({"clip": clip} if clip else {})})


def fit_again(state: State, origin: Any, text: str | None = None, *, back: bool = False) -> tuple[Clip | None, int]:
    """The same for a message that is there already and gets another `text` (None: its own), as (clip, tokens).

    With `back` it is queued again and shown as brought back (`prompt.brought_back`).
    """
    structured = state.settings.calling == "structured"
    if back:
        return _fitted(
            state,
            lambda clip: brought_back(origin, text=text, clip=clip),
            spoken(origin) if text is None else text,
        )
    longest = max(_longest_text(origin), text or "", key=len) if origin.kind == "model_replied" else text
    return _fitted(
        state,
        lambda clip: message_of(origin, text=text, clip=clip, structured=structured),
        _longest_text(origin) if longest is None else longest,
    )


def _fitted(state: State, shown: Callable[[Clip | None], dict[str, Any]], longest: str) -> tuple[Clip | None, int]:
    """(how much of `longest` may be shown, tokens of the message then)."""
    cap = budget = int(message_cap_tokens(state) / state.token_factor)
    clip, tokens = None, count_message(shown(None))
    while tokens > cap and budget > MIN_CLIP_TOKENS:
        clip = clip_to(longest, budget)
        tokens = count_message(shown(clip))
        budget = int(budget * 0.7)
    if tokens > cap:
        clip = Clip(head_chars=0, tail_chars=0)
        tokens = count_message(shown(clip))
    return clip, tokens


def _longest_text(event: Any) -> str:
    if event.kind == "model_replied":
        texts: list[str] = [event.content, *(text for call in event.calls for text in texts_in(call.arguments))]
        return max(texts, key=len)
    return spoken(event)


PAIRED = ("model_replied", "function_returned")
"""Kinds that stay together while one of a step is pinned: a call and its result are nothing alone."""


def kept_by_pins(state: State) -> frozenset[str]:
    """Ids of the queued messages that stay through every flush: the pinned ones and what belongs to them."""
    pinned = frozenset(state.pinned)
    steps = {(entry.turn, entry.step) for entry in state.queue if entry.id in pinned and entry.kind in PAIRED}
    return frozenset(
        entry.id
        for entry in state.queue
        if entry.id in pinned or (entry.kind in PAIRED and (entry.turn, entry.step) in steps)
    )


def pinned_tokens(state: State) -> int:
    """What the pinned messages, and what belongs to them, take of the window."""
    kept = kept_by_pins(state)
    return scaled(state, sum(entry.tokens for entry in state.queue if entry.id in kept))


def refusal(fixed: int, settings: AgentSettings, *, pinned: int = 0) -> str:
    """Why a window cannot hold an agent whose fixed parts are `fixed` tokens; empty when it can.

    `pinned` are the tokens of the messages that stay in the queue through every flush.
    """
    if fixed + pinned + MIN_ROOM_TOKENS <= settings.flush_tokens:
        return ""
    also = f", pinned messages {pinned}," if pinned else ""
    return (
        f"The window is too small: instructions, function schemas and core memory take {fixed} tokens{also} and the "
        f"queue needs at least {MIN_ROOM_TOKENS} more, but a window of {settings.window_tokens} tokens with "
        f"{settings.reserve_tokens} kept for the reply and a flush mark of {settings.flush_share:.0%} leaves "
        f"{settings.flush_tokens}. Choose a larger window, a smaller reserve, or switch functions off."
    )


def decide(state: State) -> Decision:
    """Warn once per filling, and before the flush wherever the warning itself still fits the window."""
    settings, tokens = state.settings, total_tokens(state)
    if not state.warned and tokens > settings.warn_tokens and tokens + WARNING_TOKENS <= settings.limit_tokens:
        return Decision("warn", tokens)
    if tokens > settings.flush_tokens:
        return Decision("flush", tokens, evict(state))
    return Decision("pass", tokens)


def evict(state: State) -> tuple[str, ...]:
    """Ids that leave in a flush now, oldest first; empty when nothing can leave.

    Frees at least `evict_share` of the queue's room, and as much as brings the prompt under the flush mark
    with a summary of the largest allowed size.
    """
    room = room_tokens(state)
    queued = scaled(state, sum(entry.tokens for entry in state.queue))
    goal = max(int(room * state.settings.evict_share), queued + summary_cap_tokens(state) - room)
    gone: list[str] = []
    freed = 0
    for group in _evictable(state):
        if freed >= goal:
            break
        gone += [entry.id for entry in group]
        freed += scaled(state, sum(entry.tokens for entry in group))
    return tuple(gone)


def _evictable(state: State) -> list[list[Entry]]:
    """The queue cut into what must leave together, oldest first; what may never leave is not in it."""
    past: dict[int, list[Entry]] = {}
    steps: dict[int, list[Entry]] = {}
    kept = kept_by_pins(state)
    for entry in state.queue:
        if not state.turn_open or entry.turn < state.turn:
            past.setdefault(entry.turn, []).append(entry)
        elif entry.kind != "trigger_received" and entry.step < state.step:
            steps.setdefault(entry.step, []).append(entry)
    groups = list(past.values())
    if not state.turn_open:
        groups = groups[:-1]
    may_leave = [[entry for entry in group if entry.id not in kept] for group in groups + list(steps.values())]
    return [group for group in may_leave if group]
