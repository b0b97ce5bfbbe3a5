"""Small pieces of HTML that several parts draw; every text is escaped here, and only here."""

from html import escape

from memgpt_core.views.palette import HUES

__all__ = ["chip", "details", "escape", "heading", "line", "text_box", "wrap"]


def wrap(*pieces: str) -> str:
    """Pieces of HTML as one block in the house style."""
    return f'<div class="ms">{"".join(pieces)}</div>'


def chip(key: str) -> str:
    """The letter of a section or tier on its colour and pattern; `key` is one of `palette.HUES`."""
    hue = HUES[key]
    return f'<span class="ms-chip ms-fill ms-{key}" title="{escape(hue.label)}: {escape(hue.says)}">{hue.mark}</span>'


def heading(text: str, beside: str = "") -> str:
    """A heading of the memory panel, with a few soft words at its right end."""
    return f'<div class="ms-h"><span>{escape(text)}</span><span class="soft">{escape(beside)}</span></div>'


def line(key: str, inner: str) -> str:
    """A line that begins with the chip of a tier; `inner` is HTML."""
    return f'<div class="ms-line">{chip(key) if key else ""}<div>{inner}</div></div>'


def text_box(text: str, key: str = "") -> str:
    """Text as written, in a box with the colour of its tier at the left edge."""
    return f'<div class="ms-text ms-{key}">{escape(text)}</div>'


def details(summary: str, inner: str, *, opened: bool = False) -> str:
    """A line that opens; both are HTML."""
    return f"<details{' open' if opened else ''}><summary>{summary}</summary>{inner}</details>"
