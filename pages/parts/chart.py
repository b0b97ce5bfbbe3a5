"""Plotly figures in the house style: the tiers' colours, quiet axes, the browser's light or dark."""

from typing import Any

import plotly.graph_objects as go
import streamlit as st

from memgpt_core.views.palette import HUES

_PATTERNS = {"plain": "", "stripes": "/", "dots": ".", "grid": "+", "lines": "-"}
"""Plotly's shapes for the patterns of `palette`."""

_QUIET = {"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"]}


def dark() -> bool:
    """Whether the viewer's page is dark."""
    return st.context.theme.type == "dark"


def colour(key: str) -> str:
    """A tier's or section's colour in the viewer's theme, `#rrggbb`."""
    return HUES[key].dark if dark() else HUES[key].light


def pattern(key: str) -> str:
    """A tier's or section's pattern, as Plotly's `pattern.shape`."""
    return _PATTERNS[HUES[key].pattern]


def layout(figure: go.Figure, *, height: int, revision: str, **more: Any) -> go.Figure:
    """Give a figure the house style; `revision` keeps the viewer's zoom as long as it stays the same."""
    edge = "rgba(140,140,140,.25)"
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        uirevision=revision,
        legend={"orientation": "h", "y": -0.2, "x": 0},
        hoverlabel={"namelength": -1},
        **more,
    )
    figure.update_xaxes(gridcolor=edge, zerolinecolor=edge, automargin=True)
    figure.update_yaxes(gridcolor=edge, zerolinecolor=edge, automargin=True)
    return figure


def draw(figure: go.Figure, *, key: str, alt: str, select: bool = False) -> Any:
    """Show a figure; `alt` says in a sentence what it shows. With `select`, the click's event, else nothing of use."""
    chosen = {"on_select": "rerun", "selection_mode": "points"} if select else {}
    return st.plotly_chart(figure, key=key, alt=alt, config=_QUIET, **chosen)
