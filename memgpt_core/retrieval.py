"""The retrieval policy: stored texts brought into the queue without the model asking for them.

Says when one is due and for what, and which hits are placed. The search is the agent's own, over both stores; what is
in the window already is never placed again, and a placement takes no more than its budget, nor more than a flush could
make room for. Everything but the hits follows from the state and the log, so that a rerun, which is given the hits,
places the same.
"""

import json
from typing import Any, Literal, NamedTuple

from memgpt_core.decisions import steps_taken
from memgpt_core.events import Hit, HitsPlaced, Measured
from memgpt_core.ids import number
from memgpt_core.memory_functions import SPOKEN, Search, asking, shown
from memgpt_core.prompt import Reader, message_of, scaled
from memgpt_core.queue_manager import (
    WARNING_TOKENS,
    kept_by_pins,
    message_cap_tokens,
    room_tokens,
    summary_cap_tokens,
)
from memgpt_core.state import Entry, State
from memgpt_core.tokens import count_message, estimate

QUERY_CHARS = 1000
"""More of a text than this is not searched for: it is a page of results or a pasted file, and its beginning tells."""

CANDIDATES = 8
"""Hits of each store that a placement is chosen from."""

NEAR_BEST = 0.5
"""A hit whose score is a smaller share of the best one's is left out: the tail of a ranking is noise."""

HEAD = (
    "Looked up in your storage by the system, not written by the user. Use what helps and do not mention it; search "
    "for more if it is not enough."
)


class Due(NamedTuple):
    """A placement that is to be made: at which point of the turn, and what to search for."""

    why: Literal["before", "interleaved"]
    query: str


def due(state: State, read: Reader) -> Due | None:
    """What the policy wants before the next step; None when it wants nothing.

    Only in turns that a user's message began: a login or a timer asks for nothing that could be looked up.
    """
    policy = state.settings.retrieval
    if policy == "off" or state.stopping or steps_taken(state) >= state.settings.step_cap:
        return None
    turn = [entry for entry in state.queue if entry.turn == state.turn]
    if state.step == 0:
        placed = any(entry.kind == "hits_placed" for entry in turn)
        query = "" if placed else _asked(turn, read)
        return Due("before", query) if query else None
    if policy == "before" or not _asked(turn, read):
        return None
    query = _newest(turn, read)
    return Due("interleaved", query) if query else None


def _asked(turn: list[Entry], read: Reader) -> str:
    """The user's newest message of the turn; empty when somebody else began it."""
    for entry in reversed(turn):
        event: Any = read(int(entry.id[1:]))
        if event.kind == "trigger_received" and event.cause == "user":
            return _query(event.text)
    return ""


def _newest(turn: list[Entry], read: Reader) -> str:
    """The newest function result of the turn, or where it says nothing the thought behind the call."""
    for entry in reversed(turn):
        event: Any = read(int(entry.id[1:]))
        if event.kind == "function_returned" and event.ok and event.value not in ("", "None"):
            return _query(event.value)
        if event.kind == "model_replied":
            return _query(event.content or event.thinking)
    return ""


def _query(text: str) -> str:
    return text[:QUERY_CHARS].strip()


def placed(state: State, search: Search, wanted: Due) -> HitsPlaced | None:
    """The placement, counted, or None when nothing is found that fits and is not in the window already."""
    mode, hits = _candidates(state, search, wanted.query)
    if not hits:
        return None
    rows = search.items([hit.id for hit in hits])
    budget = _budget(state)
    holds: tuple[str, ...] = ()
    lines = [HEAD]
    event = HitsPlaced(
        why=wanted.why,
        query=wanted.query,
        text=HEAD,
        holds=(),
        budget_tokens=budget,
        mode=mode,
        measured=Measured(hits=hits, total=len(hits)),
    )
    for hit in hits:
        if hit.id not in rows:
            continue
        line = json.dumps(shown(rows[hit.id], wanted.query), ensure_ascii=False)
        longer = event.model_copy(update={"text": "\n".join([*lines, line])})
        # By the estimate, whoever counts: a rerun without the model's vocabulary must choose the same.
        if scaled(state, estimate(message_of(longer)["content"])) <= budget:
            lines.append(line)
            holds += (hit.id,)
            event = longer
    if not holds:
        return None
    measured = event.measured.model_copy(update={"tokens": count_message(message_of(event))})
    return event.model_copy(update={"holds": holds, "measured": measured})


def _budget(state: State) -> int:
    """The most a placement may take, in tokens: it may push older exchanges out, and nothing that cannot leave."""
    pinned = kept_by_pins(state)
    stays = sum(entry.tokens for entry in state.queue if entry.turn == state.turn or entry.id in pinned)
    # What a warning may take is also more than the words around a summary, which its cap does not count.
    room = room_tokens(state) - summary_cap_tokens(state) - WARNING_TOKENS - scaled(state, stays)
    return max(0, min(state.settings.retrieval_tokens, message_cap_tokens(state), room))


def _candidates(state: State, search: Search, query: str) -> tuple[str, tuple[Hit, ...]]:
    """(what ranked them, the best of both stores that are not in the window, best first)."""
    held = {entry.id for entry in state.queue} | {id for entry in state.queue for id in entry.holds}
    size = CANDIDATES + len(held)
    said = search.recall(query, roles=SPOKEN, start="", end="", page=1, page_size=size, exclude=asking(state))
    known = search.archival(query, tags=(), start="", end="", page=1, page_size=size)
    best: list[Hit] = []
    for found in (said, known):
        best += [hit for hit in found.hits if hit.id not in held][:CANDIDATES]
    # One rule ranks both stores, so that their scores can be compared.
    best.sort(key=lambda hit: (-hit.score, -number(hit.id), hit.id))
    least = NEAR_BEST * best[0].score if best else 0.0
    return said.mode or known.mode, tuple(hit for hit in best if hit.score > 0 and hit.score >= least)
