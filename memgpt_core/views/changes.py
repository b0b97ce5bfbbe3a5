"""An agent's settings in words: the name of each on screen, its value with its unit, and what changed between two.

Knows no widget and no bounds: what can be chosen is `settings.AgentSettings`' to say.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from memgpt_core.settings import DEMO

THINK = {"off": "Off", "on": "On", "low": "Low", "medium": "Medium", "high": "High"}
PROTOCOLS = {"memgpt": "MemGPT", "native": "Native"}
CALLINGS = {"tools": "Tools", "structured": "Structured output"}
EMBEDDERS = {"none": "None: search by words only", "hashing": "Hashing: for tests, knows no meaning"}


class Change(NamedTuple):
    """One setting that differs: its name on screen, and both values as text."""

    field: str
    label: str
    before: str
    after: str


def model_text(name: str) -> str:
    """What a model is called on screen."""
    return "Demo model (rules, no language model)" if name == DEMO else name


def embedder_text(name: str) -> str:
    """What an embedder is called on screen."""
    return EMBEDDERS.get(name) or name.removeprefix("ollama:")


def _tokens(value: int) -> str:
    return f"{value:,} tokens"


def _share(value: float) -> str:
    return f"{100 * value:g} %"


def _minutes(value: float) -> str:
    return f"{value:g} min"


def _own(value: float | None) -> str:
    return "the model's own" if value is None else f"{value:g}"


_TEXTS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "model": ("Model", model_text),
    "protocol": ("Protocol", lambda value: PROTOCOLS.get(value, value)),
    "calling": ("Function calling", lambda value: CALLINGS.get(value, value)),
    "think": ("Thinking", lambda value: THINK.get(value, value)),
    "window_tokens": ("Window", _tokens),
    "served_tokens": (
        "Window asked of the server, shared by the model's agents",
        lambda value: _tokens(value) if value else "this agent's own",
    ),
    "reserve_tokens": ("Reply reserve", _tokens),
    "warn_share": ("Warning mark", _share),
    "flush_share": ("Flush mark", _share),
    "evict_share": ("Eviction", _share),
    "step_cap": ("Model calls in a turn, at most", lambda value: f"{value:,}"),
    "login_idle_minutes": ("New session after", lambda value: f"{value:g} idle min"),
    "timer_minutes": ("Timer", lambda value: f"every {value:g} min" if value else "off"),
    "page_size": ("Results on a page of a search", lambda value: f"{value:,}"),
    "functions_off": ("Functions switched off", lambda value: ", ".join(value) or "none"),
    "temperature": ("Temperature", lambda value: f"{value:g}"),
    "top_p": ("Top-p", _own),
    "top_k": ("Top-k", _own),
    "seed": ("Seed", lambda value: "the agent's own" if value is None else str(value)),
    "keep_alive_minutes": ("Stays loaded for", _minutes),
    "embedder": ("Search by meaning", embedder_text),
}


def label(field: str) -> str:
    """The name of a setting on screen."""
    return _TEXTS[field][0] if field in _TEXTS else field.replace("_", " ").capitalize()


def text(field: str, value: Any) -> str:
    """The value of a setting with its unit."""
    return _TEXTS[field][1](value) if field in _TEXTS else str(value)


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    """What differs between two settings, each as `AgentSettings.model_dump` gives them, in the model's order."""
    return [
        Change(field, label(field), text(field, before[field]), text(field, value))
        for field, value in after.items()
        if field in before and before[field] != value
    ]


def sentence(found: list[Change]) -> str:
    """The changes in one line."""
    return "; ".join(f"{change.label}: {change.before} → {change.after}" for change in found)
