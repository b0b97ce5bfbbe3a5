"""One colour, one pattern and one letter for each memory tier and each section of main context.

Every screen takes them from here, so that the same thing looks the same everywhere. The letter and the
pattern carry the meaning without the colour. Knows nothing of how a page draws.
"""

from typing import NamedTuple


class Hue(NamedTuple):
    """How a tier or section looks.

    Attributes:
        label: its name on screen, in the words of the design.
        mark: the letter that stands for it where a label does not fit.
        light, dark: its colour on a light and on a dark page, `#rrggbb`.
        pattern: `plain`, `stripes`, `dots`, `grid` or `lines`.
        says: one sentence on what it holds.
    """

    label: str
    mark: str
    light: str
    dark: str
    pattern: str
    says: str


HUES: dict[str, Hue] = {
    "instructions": Hue(
        "System instructions", "I", "#5b6b7f", "#8a9bb0", "plain", "Read-only: how to be a MemGPT agent."
    ),
    "schemas": Hue(
        "Function schemas", "F", "#7c68ad", "#a895d6", "dots", "What the model may call, with its arguments."
    ),
    "working_context": Hue(
        "Working context", "W", "#c07a00", "#e3a63a", "stripes", "The core memory blocks, which the agent edits."
    ),
    "summary": Hue(
        "Recursive summary", "S", "#b3476b", "#dd7d9c", "grid", "The queue's first slot: stands for what was flushed."
    ),
    "messages": Hue("FIFO queue", "Q", "#1f6fb2", "#5fa8e0", "lines", "Messages, calls and results, oldest first."),
    "template": Hue("Template", "T", "#8b8f94", "#777d84", "plain", "What the model's own chat template adds."),
    "reserve": Hue("Reply reserve", "↵", "#c9c4b8", "#4a5158", "stripes", "Kept free so that a reply always fits."),
    "recall": Hue("Recall storage", "R", "#0d7f7a", "#45b8b0", "lines", "Every message ever."),
    "archival": Hue("Archival storage", "A", "#4f7f2b", "#8cbc62", "dots", "Passages with vectors."),
    "notes": Hue("Scratch notes", "N", "#8a5a3c", "#c4936f", "grid", "Short-term notes the agent pulls in by name."),
    "you": Hue("You", "Y", "#3c4248", "#c9cdd1", "plain", "What a person did by hand."),
    "cold": Hue("Cold storage", "C", "#6b6470", "#a39aab", "plain", "Raw documents on disk."),
}
"""By section (`prompt.SECTIONS`), then the reply reserve, then the tiers outside main context."""
