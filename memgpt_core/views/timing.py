"""What each model call cost: tokens written and how fast, prompt tokens cached and fresh, seconds by stage.

Reads what the model server measured and nothing else: what it did not tell stays untold. Splits what the model
thought from the words that came beside its calls, which the transcript shows as one.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from memgpt_core.events import Event


class Step(NamedTuple):
    """One finished model call; every figure is None where the server gave none.

    Attributes:
        seq: its `model_replied`.
        purpose: `turn`, or `summary` for what stands for a flush.
        model: the model's name where the one before was another's, else empty.
        thinking: what a thinking model thought; `monologue`: its words beside calls.
        ours_tokens: our count of the prompt, by which the window is kept.
        prompt_tokens: the server's count, cached ones included; `fresh_tokens` are those it had to read.
        seconds: wall time of the call, with what passed outside the server's stages.
    """

    seq: int
    turn: int
    step: int
    purpose: str
    model: str
    thinking: str
    monologue: str
    ours_tokens: int | None
    prompt_tokens: int | None
    cached_tokens: int | None
    fresh_tokens: int | None
    reply_tokens: int | None
    load_s: float | None
    prefill_s: float | None
    generate_s: float | None
    seconds: float | None

    @property
    def tokens_per_s(self) -> float | None:
        """How fast the reply was written, in tokens per second of writing alone."""
        return self.reply_tokens / self.generate_s if self.reply_tokens and self.generate_s else None

    @property
    def measured(self) -> bool:
        """Whether a model server's clock told anything; the demo model has none."""
        return any(stage is not None for stage in (self.load_s, self.prefill_s, self.generate_s))


def steps(events: Iterable[Event], model: str = "") -> list[Step]:
    """The model calls of these events, oldest first; `model` is the one in force before them, if it is known."""
    found: list[Step] = []
    ours: int | None = None
    changed = ""
    for event in events:
        if event.kind == "agent_created":
            model = event.settings.model
        elif event.kind == "agent_configured":
            changed = event.settings.model if model and event.settings.model != model else ""
            model = event.settings.model
        elif event.kind == "prompt_built":
            ours = sum(event.sections.values())
        elif event.kind == "model_replied":
            found.append(_step(event, ours, changed))
            ours, changed = None, ""
    return found


def _step(event: Any, ours: int | None, changed: str) -> Step:
    measured = event.measured
    prompt, cached = measured.prompt_tokens, measured.cached_tokens
    return Step(
        seq=event.seq,
        turn=event.turn,
        step=event.step,
        purpose=event.purpose,
        model=changed,
        thinking=event.thinking,
        monologue=event.content if event.calls else "",
        ours_tokens=ours,
        prompt_tokens=prompt,
        cached_tokens=cached,
        fresh_tokens=prompt - cached if prompt is not None and cached is not None else None,
        reply_tokens=measured.reply_tokens,
        load_s=measured.load_s,
        prefill_s=measured.prefill_s,
        generate_s=measured.generate_s,
        seconds=measured.seconds,
    )


class Row(NamedTuple):
    """A step's figures as text under `COLUMNS`; a dash where the server told nothing."""

    step: str
    written: str
    speed: str
    cached: str
    fresh: str
    load: str
    prefill: str
    generate: str


COLUMNS = Row(
    "", "tokens written", "tokens/s", "prompt tokens cached", "prompt tokens fresh", "load", "read prompt", "generate"
)
"""What each figure counts."""


def rows(steps: Iterable[Step]) -> list[Row]:
    """The steps that a server measured, as text."""
    return [_row(step) for step in steps if step.measured]


def _row(step: Step) -> Row:
    # A server that does not count cached tokens tells the whole prompt only.
    whole = step.prompt_tokens is not None and step.fresh_tokens is None
    return Row(
        step=f"Step {step.step}" if step.purpose == "turn" else "Summary",
        written=_count(step.reply_tokens),
        speed="–" if step.tokens_per_s is None else f"{step.tokens_per_s:.1f}",
        cached=_count(step.cached_tokens),
        fresh=f"{step.prompt_tokens:,} in all" if whole else _count(step.fresh_tokens),
        load=_seconds(step.load_s),
        prefill=_seconds(step.prefill_s),
        generate=_seconds(step.generate_s),
    )


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _seconds(value: float | None) -> str:
    return "–" if value is None else seconds_text(value)


def seconds_text(seconds: float) -> str:
    """Seconds for eyes: two digits where they matter, never a bare zero for something that took time."""
    if 0 < seconds < 0.01:
        return "< 0.01 s"
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:,.0f} s"
