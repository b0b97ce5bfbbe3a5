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
        """Whether a model server told anything; the demo model does not."""
        return self.reply_tokens is not None or self.generate_s is not None or self.load_s is not None


def steps(events: Iterable[Event], model: str = "") -> list[Step]:
    """The model calls of these events, oldest first; `model` is the one in force before them, if it is known."""
    found: list[Step] = []
    ours: int | None = None
    changed = ""
    for event in events:
        if event.kind == "agent_configured":
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


def figures(step: Step) -> list[str]:
    """The step in a few phrases, each saying what its number counts; empty where no server told anything."""
    if not step.measured:
        return []
    found = []
    if step.reply_tokens is not None:
        found.append(f"{step.reply_tokens:,} tokens written")
    if step.tokens_per_s is not None:
        found[-1] += f" at {step.tokens_per_s:.1f} tokens/s"
    if step.prompt_tokens is not None:
        prompt = f"prompt {step.prompt_tokens:,} tokens"
        if step.cached_tokens is not None and step.fresh_tokens is not None:
            prompt += f": {step.cached_tokens:,} cached + {step.fresh_tokens:,} fresh"
        found.append(prompt)
    stages = (("load", step.load_s), ("read the prompt", step.prefill_s), ("generate", step.generate_s))
    told = [f"{name} {seconds_text(value)}" for name, value in stages if value is not None]
    if told:
        found.append(", ".join(told))
    return found


def seconds_text(seconds: float) -> str:
    """Seconds for eyes: two digits where they matter, never a bare zero for something that took time."""
    if 0 < seconds < 0.01:
        return "< 0.01 s"
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:,.0f} s"
