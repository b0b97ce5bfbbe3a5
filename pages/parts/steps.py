"""What each model call cost and thought, under the reply it led to."""

from collections.abc import Sequence

from memgpt_core.views.changes import model_text
from memgpt_core.views.timing import COLUMNS, Step, rows, seconds_text
from pages.parts.markup import details, escape, text_box

SHOWN_STEPS = 3
"""More model calls than this for one reply are folded under their sum."""

STYLE = """<style>
.ms-steps{border-collapse:collapse;font-size:.76rem;font-variant-numeric:tabular-nums;margin:.25rem 0}
.ms-steps th{font-weight:400;text-align:right;line-height:1.15;padding:.1rem .45rem;vertical-align:bottom}
.ms-steps td{text-align:right;white-space:nowrap;padding:.05rem .45rem;border-top:1px solid var(--edge)}
.ms-steps th:first-child,.ms-steps td:first-child{text-align:left;padding-left:0}
</style>"""
"""Given to the page once, by whoever draws steps."""


def thoughts(steps: Sequence[Step]) -> str:
    """What the model thought, and the words it wrote beside its calls, each in a folded line."""
    turn = [step for step in steps if step.purpose == "turn"]
    thinking = "\n".join(step.thinking for step in turn if step.thinking)
    monologue = "\n".join(step.monologue for step in turn if step.monologue)
    return _folded("Thinking", thinking) + _folded("Inner monologue", monologue)


def costs(steps: Sequence[Step]) -> str:
    """A row a model call, as far as a server told its figures; and which one is the first with another model."""
    told = rows(steps)
    first = "".join(
        f'<div class="soft">Step {step.step} is the first with <b>{escape(model_text(step.model))}</b>.</div>'
        for step in steps
        if step.model
    )
    if not told:
        return first
    head = "".join(f"<th>{escape(name)}</th>" for name in COLUMNS)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in told)
    table = f"<table class='ms-steps soft'><tr>{head}</tr>{body}</table>"
    if len(told) <= SHOWN_STEPS:
        return first + table
    written = sum(step.reply_tokens or 0 for step in steps)
    took = sum(step.seconds or 0.0 for step in steps)
    says = f"{len(told)} model calls, {written:,} tokens written, {seconds_text(took)} in all"
    return first + details(f'<span class="soft num">{says}</span>', table)


def _folded(name: str, text: str) -> str:
    return details(f'<span class="soft">{name}</span>', text_box(text)) if text else ""
