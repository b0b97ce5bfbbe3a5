"""An agent's settings in words: the name of each on screen, its value with its unit, and what changed between two.

Knows no widget and no bounds: what can be chosen is `settings.AgentSettings`' to say.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from memgpt_core.settings import DEMO, VECTORS_MB

THINK = {"off": "Off", "on": "On", "low": "Low", "medium": "Medium", "high": "High"}
PROTOCOLS = {"memgpt": "MemGPT", "native": "Native"}
CALLINGS = {"tools": "Tools", "structured": "Structured output"}
STRATEGIES = {
    "summarise_recursively": (
        "Summarise recursively",
        "The model folds what leaves into one running summary at the head of the queue, as in the paper. One more "
        "model call at each flush.",
    ),
    "summarise_and_archive": (
        "Summarise, and archive the summary",
        "The same, and each summary is stored in archival storage too, so that it can be found after later ones have "
        "shortened it.",
    ),
    "archive_verbatim": (
        "Archive word for word",
        "What the two of you said becomes one archival passage a message; the queue only says how many and where. No "
        "model call.",
    ),
    "drop_with_notice": (
        "Drop with a notice",
        "Nothing is made of what leaves; the queue says how many messages left and how to search recall storage. No "
        "model call.",
    ),
}
"""Each eviction strategy: its name on screen, and what it does in a sentence."""

PREFETCHES = {
    "off": ("Off", "Nothing is looked up before it is asked for."),
    "user_message": (
        "What you said",
        "Your message, and the words of it that say something, are searched for in both stores.",
    ),
    "next_page": ("The next page", "After a search with more results, its next page is fetched."),
    "key_chain": (
        "Chains of keys",
        "A key in your message, and then each value found for a key, is looked up as the next key.",
    ),
}
"""What runs ahead while the model writes: its name on screen, and what it does in a sentence."""

RETRIEVALS = {
    "off": ("Off", "The agent searches when it wants to, as in the paper."),
    "before": ("Before the turn", "What fits your message best is placed in the queue behind it, marked as such."),
    "interleaved": (
        "Before every step",
        "The same, and before each further step what fits the newest result or thought of the turn.",
    ),
}
"""Each retrieval policy: its name on screen, and what it does in a sentence."""

FUNCTION_MODES = {"on": "On", "ask": "Ask", "off": "Off"}

EMBEDDERS = {
    "none": "None: search by words only",
    "minilm": "MiniLM: on this machine, without a server",
    "hashing": "Hashing: for tests, knows no meaning",
}


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


def _cap(value: int) -> str:
    return f"{value:,}" if value else "as many as it likes"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _switch(value: bool) -> str:
    return "on" if value else "off"


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
    "strategy": ("What becomes of what leaves", lambda value: STRATEGIES[value][0] if value in STRATEGIES else value),
    "step_cap": ("Model calls in a turn, at most", lambda value: f"{value:,}"),
    "login_idle_minutes": ("New session after", lambda value: f"{value:g} idle min"),
    "timer_minutes": ("Timer", lambda value: f"every {value:g} min" if value else "off"),
    "page_size": ("Results on a page of a search", lambda value: f"{value:,}"),
    "vectors_mb": ("Vectors in RAM", lambda value: f"{VECTORS_MB if value is None else value:,} MB at most"),
    "functions_off": ("Functions switched off", _listed),
    "functions_ask": ("Functions that ask first", _listed),
    "memory_calls_per_step": ("Memory calls in a step, at most", _cap),
    "memory_calls_per_turn": ("Memory calls in a turn, at most", _cap),
    "prefetch": ("Searches run ahead", lambda value: PREFETCHES[value][0] if value in PREFETCHES else value),
    "retrieval": ("Retrieval policy", lambda value: RETRIEVALS[value][0] if value in RETRIEVALS else value),
    "retrieval_tokens": ("A placement, at most", _tokens),
    "tell_edits": ("Tell the agent of edits while it works", _switch),
    "review_sessions": ("Review each session when it is over", _switch),
    "instructions": ("System instructions", lambda value: f"{len(value):,} characters"),
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
