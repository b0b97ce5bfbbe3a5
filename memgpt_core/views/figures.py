"""Three figures of one request side by side: our count, the model server's, the window it serves; and a verdict.

Says in words whether they agree, and loudly when they differ so much that the server must have cut the prompt.
Measures nothing: whether a difference means a cut is `state.looks_truncated`'s to say.
"""

from typing import Literal, NamedTuple

from memgpt_core.state import looks_truncated
from memgpt_core.views.truncation import Cut

Verdict = Literal["agree", "unknown", "smaller window", "cut"]
Stage = Literal["not sent", "sent", "answered"]

_NO_COUNT: dict[Stage, str] = {
    "not sent": "This request has not left yet, so no server has counted it.",
    "sent": "Not answered yet: the server counts as it reads.",
    "answered": "The server gave no count of its own.",
}


class Figures(NamedTuple):
    """Each in tokens; None where the server told nothing. `how` says how ours was counted."""

    ours: int
    server: int | None
    served: int | None
    how: str
    verdict: Verdict
    says: str


def counted(counted_by: str, *, demo: bool, factor: float) -> str:
    """How a count of ours was made, in words."""
    if demo:
        return "exact: the demo model counts as we do"
    if counted_by:
        return f"exact: by the vocabulary of {counted_by}"
    learned = "not scaled yet" if round(factor, 3) == 1 else f"scaled by {factor:.3f}, learned from earlier replies"
    return f"estimated, {learned}"


def figures(
    ours: int,
    server: int | None,
    served: int | None,
    *,
    window: int,
    counted_by: str,
    demo: bool,
    factor: float,
    stage: Stage,
    cut: Cut | None = None,
) -> Figures:
    """The figures of a request; `window` is what the agent budgets with, `cut` what was said when the reply came."""
    exact = demo or bool(counted_by)
    verdict, says = _verdict(ours, server, served, window, exact, stage, cut)
    return Figures(ours, server, served, counted(counted_by, demo=demo, factor=factor), verdict, says)


def _verdict(
    ours: int, server: int | None, served: int | None, window: int, exact: bool, stage: Stage, cut: Cut | None
) -> tuple[Verdict, str]:
    if cut is not None:
        return "cut", f"The server probably cut this prompt. {cut.says} {cut.means} {cut.do}"
    if server and (
        looks_truncated(ours, server, exact=exact) or (0 < (served or 0) < ours and server <= (served or 0))
    ):
        missing = ours - server
        return "cut", (
            f"The server probably cut this prompt: it read {server:,} tokens, {missing:,} fewer than we sent. What it "
            "left out is usually the oldest part. Make this agent's window smaller, or serve the model with a larger "
            "one."
        )
    if served and served < window:
        return "smaller window", (
            f"This prompt fitted, but the server serves only {served:,} of the {window:,} tokens that this agent "
            f"budgets with: a prompt above {served:,} will be refused or cut. Make the agent's window {served:,} or "
            "less."
        )
    if not server:
        return "unknown", f"{_NO_COUNT[stage]} There is nothing to compare ours with."
    return "agree", _agreement(ours, server, exact)


def _agreement(ours: int, server: int, exact: bool) -> str:
    off = server - ours
    if not off:
        return "The server counted exactly what we counted: the whole prompt was read."
    share = 100 * abs(off) / max(1, ours)
    which = "more" if off > 0 else "fewer"
    because = (
        "the joints between parts, which we count one by one"
        if exact
        else "within what an estimate may be off; it learns"
    )
    return f"The server counted {abs(off):,} tokens {which} ({share:.1f} %): {because}. The whole prompt was read."
