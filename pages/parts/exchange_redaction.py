"""What is to be replaced in a file that goes out: named patterns, expressions of one's own, core memory blocks."""

import streamlit as st

from memgpt_core.errors import EditRefused
from memgpt_core.interchange.outgoing import labels
from memgpt_core.interchange.patterns import NAMED
from memgpt_core.interchange.redact import Redaction
from pages.parts import choices
from pages.parts.frame import Here
from pages.parts.safe_md import safe_md

CALLED = {
    "email": "E-mail addresses",
    "url": "Web addresses",
    "iban": "Bank accounts (IBAN)",
    "card": "Card numbers",
    "ip": "IP addresses",
    "phone": "Phone numbers",
}


def draw(here: Here) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
    """The fields; what was chosen: patterns, the lines with own expressions, blocks."""
    agent = here.ws.agent_id
    with st.expander("Redact: replace what should not leave", icon=":material/ink_eraser:"):
        patterns = st.pills(
            "In every text",
            list(NAMED),
            selection_mode="multi",
            format_func=lambda name: CALLED.get(name, name),
            key=choices.outgoing(agent, "patterns"),
            persist_state="session",
        )
        blocks = st.multiselect(
            "Everything these core memory blocks ever said",
            labels(here.ws),
            key=choices.outgoing(agent, "blocks"),
            persist_state="session",
            placeholder="none",
        )
        own = st.text_area(
            "Own regular expressions, one a line",
            key=choices.outgoing(agent, "own"),
            persist_state="session",
            height=80,
            placeholder="street = \\w+ Street \\d+",
            help="A name, an equals sign, the expression. What it finds is replaced by [redacted:name].",
        )
        st.caption("Each place becomes [redacted:name]. How many there were is shown before you download the file.")
    named = [CALLED.get(name, name).lower() for name in patterns or ()]
    chosen = [
        *named,
        *(f"block {label}" for label in blocks or ()),
        *(["what you wrote"] if (own or "").strip() else []),
    ]
    # In sight while the fields are folded.
    if chosen:
        st.caption(f":material/ink_eraser: Will be replaced: {safe_md(', '.join(chosen))}.")
    return tuple(patterns or ()), own or "", tuple(blocks or ())


def wanted(patterns: tuple[str, ...], own: str, blocks: tuple[str, ...]) -> Redaction | None:
    """What was chosen as a wish; None when nothing was.

    Raises:
        EditRefused: a line that is no name with an expression.
    """
    expressions = {}
    for number, line in enumerate(own.splitlines(), 1):
        if not line.strip():
            continue
        name, equals, expression = line.partition("=")
        if not equals or not name.strip() or not expression.strip():
            raise EditRefused(
                f"Line {number} of your own expressions is no name, equals sign and expression: “{line.strip()}”."
            )
        expressions[name.strip()] = expression.strip()
    return Redaction(patterns, expressions, blocks) if patterns or expressions or blocks else None
