"""What came of a turn that was run again, beside the turn as it was recorded: replies, calls, memory, numbers."""

from collections import Counter
from typing import Any, NamedTuple

import streamlit as st

from memgpt_core.counterfactual import Kind, Outcome
from memgpt_core.supposing import Question, Supposed
from memgpt_core.views.calls import TIERS, CallRow, pairs
from memgpt_core.views.changes import model_text
from memgpt_core.views.compare import METRICS, Told, ways
from pages.parts import compare_turn
from pages.parts.compare_head import WAYS
from pages.parts.compare_marks import ANEW, RECORDED, grid, numbers
from pages.parts.frame import Here
from pages.parts.markup import escape, wrap


class Plan(NamedTuple):
    """A way to change a turn: its name in the list, what it is done to, and the label of the text it takes, if any."""

    label: str
    kind: Kind
    of: str = ""
    text: str = ""


OTHER_MODEL = "other_model"

KINDS: dict[str, Plan] = {
    "without_block": Plan("Without a core memory block", "without_block", "block"),
    "block_text": Plan("Another text in a block", "block_text", "block", "Its text instead"),
    "without_message": Plan("Without a message", "without_message", "message"),
    "message_text": Plan("Another text of a message", "message_text", "message", "Its text instead"),
    "without_passage": Plan("Without a passage", "without_passage", "passage"),
    "passage_text": Plan("Another text of a passage", "passage_text", "passage", "Its text instead"),
    "other_message": Plan("Something else is said to the agent", "other_message", "", "What is said instead"),
    OTHER_MODEL: Plan("Another model answers", "nothing"),
    "nothing": Plan("Nothing: the same once more", "nothing"),
}


def in_words(question: Question) -> str:
    """What was asked, in a line."""
    change, plan = question.change, KINDS[question.change.kind]
    if question.model is not None:
        what = f"{model_text(question.model)} had answered"
    elif change.kind == "other_message":
        what = f"“{change.text}” had been said to the agent"
    elif change.kind == "nothing":
        what = "the same were run once more"
    elif plan.text:
        what = f"{plan.of} {change.what} had read “{change.text}”"
    else:
        what = f"there had been no {plan.of} {change.what}"
    often = f", {question.times} times" if question.times > 1 else ""
    return f"{what}, in turn {question.turn:,}{often}?"


def draw(here: Here, now: Supposed) -> None:
    """Each way it came out beside the recorded turn; ways that are alike are one, with how often."""
    question = now.question
    begun = {label: block.value for label, block in _before(here, question).items()}
    recorded = told(now.recorded, begun)
    changed = _changed(begun, question)
    ways_out = Counter(_alike(one) for one in now.outcomes)
    for key, often in ways_out.items():
        outcome = next(one for one in now.outcomes if _alike(one) == key)
        other = told(outcome, changed)
        how = " ".join(f'<span class="ms-tag">≠ {escape(WAYS[way])}</span>' for way in ways(recorded, other))
        share = f"{often} of {len(now.outcomes)} times" if len(now.outcomes) > 1 else "once"
        with st.container(border=True, gap="xxsmall"):
            st.html(
                wrap(
                    grid(
                        f"<div><b>Turn {question.turn:,}</b> {RECORDED}</div>",
                        f'<div><b>What if</b> {ANEW} <span class="soft">{share}</span></div>',
                    ),
                    how or '<span class="ms-tag">= the same came of it</span>',
                    grid(compare_turn.came_of(recorded, other)),
                    numbers(_SHOWN, _numbers(now.recorded), _numbers(outcome)),
                    _ended(now.recorded, outcome),
                )
            )


_SHOWN = [
    metric
    for metric in METRICS
    if metric.key in ("steps", "calls", "prompt_tokens", "reply_tokens", "flushes", "page_faults", "seconds")
]


def _numbers(outcome: Outcome) -> dict[str, Any]:
    return outcome._asdict() | {"calls": sum(call.name != "send_message" for call in outcome.calls)}


def _ended(recorded: Outcome, outcome: Outcome) -> str:
    if recorded.ended == outcome.ended:
        return ""
    return (
        f'<div class="soft">Ended: {escape(recorded.ended or "still open")} → {escape(outcome.ended or "open")}</div>'
    )


def _alike(outcome: Outcome) -> tuple[Any, ...]:
    made = tuple((call.name, str(call.arguments)) for call in outcome.calls)
    return outcome.replies, made, outcome.blocks, outcome.passages, outcome.ended, outcome.errors


def _before(here: Here, question: Question) -> dict[str, Any]:
    return here.ws.state(here.ws.turn_start(question.turn) - 1).blocks


def _changed(begun: dict[str, str], question: Question) -> dict[str, str]:
    """The blocks as they were when the changed turn began."""
    change = question.change
    if change.kind == "without_block":
        return {label: text for label, text in begun.items() if label != change.what}
    return {**begun, change.what: change.text} if change.kind == "block_text" else begun


def told(outcome: Outcome, begun: dict[str, str]) -> Told:
    """An outcome in the form in which turns are laid beside each other; `begun` are the blocks before it."""
    ended = {**begun, **{one.label: one.after for one in outcome.blocks if one.after is not None}}
    gone = {one.label for one in outcome.blocks if one.after is None}
    return Told(
        triggers=(),
        replies=outcome.replies,
        calls=tuple(_call(call) for call in outcome.calls if call.name != "send_message" or not call.ok),
        before=begun,
        blocks={label: text for label, text in ended.items() if label not in gone},
        passages=outcome.passages,
        by_hand=(),
        errors=outcome.errors,
    )


def _call(call: Any) -> CallRow:
    outcome = "ok" if call.ok else "failed"
    return CallRow(0, 0, call.name, TIERS.get(call.name, ""), pairs(call.arguments), outcome, call.value, None, False)
