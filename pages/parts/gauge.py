"""The window as one bar: its sections to scale, the reply reserve, the warning and flush marks, and a legend."""

import streamlit as st

from memgpt_core.state import State
from memgpt_core.views.palette import HUES
from memgpt_core.views.window import Gauge, Segment, gauge, segments_now
from pages.parts.markup import chip, escape, heading, wrap


def draw(state: State) -> None:
    """The gauge of the prompt that would be sent now."""
    level, parts = gauge(state), segments_now(state)
    st.html(wrap(_title(level), _marks(level), bar(parts, level), _ticks(level), legend(parts, level), _says(level)))


def _title(level: Gauge) -> str:
    share = round(100 * level.used / level.window)
    return heading("Main context", f"{level.limit:,} tokens may be used, {level.reserve:,} are kept for the reply") + (
        f'<div><span class="ms-big">{level.used:,}</span> <span class="soft">of {level.window:,} tokens · '
        f"{share} % of the window</span></div>"
    )


def bar(parts: list[Segment], level: Gauge) -> str:
    """The sections as one stacked bar over the whole window, the reserve at its right end."""
    cells = "".join(
        f'<i class="ms-fill ms-{part.key}" style="width:{100 * part.share:.2f}%" '
        f'title="{escape(part.label)}: {part.tokens:,} tokens">{part.mark if part.share > 0.035 else ""}</i>'
        for part in parts
    )
    reserve = 100 * level.reserve / level.window
    spoken = ", ".join(f"{part.label} {part.tokens}" for part in parts)
    return (
        f'<div class="ms-bar" role="img" aria-label="{level.used} of {level.window} tokens: {escape(spoken)}">{cells}'
        f'<i class="ms-fill ms-reserve" style="width:{reserve:.2f}%" title="Reply reserve: {level.reserve:,} tokens">'
        f"{HUES['reserve'].mark if reserve > 3.5 else ''}</i></div>"
    )


def _marks(level: Gauge) -> str:
    warn, flush = 100 * level.warn / level.window, 100 * level.flush / level.window
    end = ' class="end"' if flush > 80 else ""
    return (
        f'<div class="ms-marks"><b style="left:{warn:.2f}%">warning {level.warn:,} ▾</b>'
        f'<b{end} style="left:{flush:.2f}%">flush {level.flush:,} ▾</b></div>'
    )


def _ticks(level: Gauge) -> str:
    warn, flush = 100 * level.warn / level.window, 100 * level.flush / level.window
    return (
        f'<div class="ms-ticks"><b style="left:{warn:.2f}%"></b><b class="flush" style="left:{flush:.2f}%"></b></div>'
    )


def legend(parts: list[Segment], level: Gauge) -> str:
    """Each section's chip, name and tokens; the reserve last."""
    rows = [
        f'<div>{chip(part.key)}<span title="{escape(HUES[part.key].says)}">{escape(part.label)}</span>'
        f'<span class="num soft">{part.tokens:,}</span></div>'
        for part in parts
    ]
    kept, name = f'<span class="num soft">{level.reserve:,}</span>', HUES["reserve"].label
    rows.append(f"<div>{chip('reserve')}<span>{name}</span>{kept}</div>")
    return f'<div class="ms-key">{"".join(rows)}</div>'


def _says(level: Gauge) -> str:
    kind = "soft" if level.pressure == "calm" else "ms-note bad"
    return f'<div class="{kind}" style="margin-top:.35rem">{escape(level.says)}</div>'
