"""Tokens of each request over a session as stacked areas, with the marks they are measured against."""

import plotly.graph_objects as go
import streamlit as st

from memgpt_core.views.usage import Usage, usage
from memgpt_core.workspace import Workspace
from pages.parts import chart, choices, export, moment
from pages.parts.context_rows import sessions, usage_rows

_ALL = "All sessions"
_STROKES = "rgba(255,255,255,.5)"


def draw(ws: Workspace, at: int) -> None:
    """The chart of one session, or of all that had happened by event `at`."""
    there = sessions(ws, at)
    if not there:
        st.caption("No request has left yet. Send the agent a message, and each request becomes a point here.")
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        chosen = st.selectbox(
            "Session",
            [_ALL, *reversed(there)],
            format_func=lambda value: value if value == _ALL else f"Session {value}",
            index=0,
            key=f"usage-session:{ws.agent_id}",
            width=170,
            label_visibility="collapsed",
        )
        points, happened, requests = usage_rows(ws, at, None if chosen == _ALL else int(chosen))
        found = usage(points, happened, requests)
        st.caption(_says(found), width="stretch")
        export.draw(f"{ws.agent_id}-requests", lambda: points, key="usage", count=len(points))
    select = chart.draw(
        _figure(found, f"{ws.agent_id}:{chosen}"), key=f"usage:{ws.agent_id}:{chosen}", alt=found.alt, select=True
    )
    _follow(ws, found, select)


def _says(found: Usage) -> str:
    if found.each > 1:
        return (
            f"{found.requests:,} requests in {len(found.x):,} points: each is the fullest of up to {found.each}. "
            "Click a point to go to its request."
        )
    return f"{found.requests:,} request{'s' if found.requests > 1 else ''}. Click a point to go to its request."


def _figure(found: Usage, revision: str) -> go.Figure:
    figure = go.Figure()
    along = found.x if len(found.x) > 1 else [at + by for at in found.x for by in (-0.3, 0.3)]
    for area in found.areas:
        colour = chart.colour(area.section)
        figure.add_scatter(
            x=along,
            y=_wide(area.tokens),
            name=area.label,
            stackgroup="sections",
            mode="lines",
            line={"width": 0.8, "color": colour},
            fillcolor=colour,
            fillpattern={"shape": chart.pattern(area.section), "bgcolor": colour, "fgcolor": _STROKES, "size": 5},
            hovertemplate="%{y:,} tokens",
        )
    ink = "#e8e5dc" if chart.dark() else "#1d2329"
    for line in found.lines:
        figure.add_scatter(
            x=along,
            y=_wide(line.tokens),
            name=line.label,
            mode="lines",
            line={"dash": line.dash, "width": 1.5, "color": ink, "shape": "hv"},
            hovertemplate="%{y:,} tokens",
        )
    totals = [sum(area.tokens[at] for area in found.areas) for at in range(len(found.x))]
    # One marker a request on top of the areas: what can be hovered, focused on and clicked.
    figure.add_scatter(
        x=found.x,
        y=totals,
        name="Requests",
        mode="markers",
        marker={"size": 5, "color": ink, "opacity": 0.55},
        customdata=found.seqs,
        text=found.says,
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )
    for mark in found.marks:
        figure.add_scatter(
            x=mark.x,
            y=mark.y,
            name=mark.label,
            mode="markers",
            marker={"symbol": mark.symbol, "size": 10, "color": "#c0392b", "line": {"width": 1, "color": ink}},
            text=mark.says,
            hovertemplate="%{text}",
        )
    figure.update_xaxes(title="request, counted in what is shown")
    figure.update_yaxes(title="tokens", rangemode="tozero", tickformat=",")
    chart.layout(figure, height=430, revision=revision, hovermode="closest")
    return figure.update_layout(legend={"traceorder": "normal"})


def _wide(tokens: tuple[int, ...]) -> tuple[int, ...]:
    """The figures of a single request twice: an area or a line needs two ends."""
    return tokens if len(tokens) > 1 else tokens * 2


def _follow(ws: Workspace, found: Usage, select: object) -> None:
    """Go to the request of a point that was just clicked; the same click is followed once."""
    points = select["selection"]["points"] if isinstance(select, dict) else []
    seqs = [point["customdata"] for point in points if point.get("customdata")]
    seq = seqs[0][0] if seqs and isinstance(seqs[0], list) else seqs[0] if seqs else None
    followed = choices.followed(ws.agent_id)
    if seq is None:
        st.session_state.pop(followed, None)
    elif st.session_state.get(followed) != seq and seq in found.seqs:
        st.session_state[followed] = seq
        moment.go(int(seq))
        st.rerun()
