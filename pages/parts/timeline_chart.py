"""The timeline's two figures: the whole life in stretches, and the chosen part of it mark by mark."""

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from memgpt_core.views.lanes import LANES, SHAPES, Arrow, Cell, Mark
from memgpt_core.views.lanes_axis import IDLE_S, QUIET_EVENTS, Axis, Fold, duration, fold, ticks, time_labels
from memgpt_core.views.palette import HUES
from memgpt_core.views.pressure import Band, Point
from pages.parts import chart
from pages.parts.markup import escape

SYMBOLS = {
    "message": "circle",
    "page out": "triangle-down",
    "page in": "triangle-up",
    "page fault": "star",
    "search": "circle-open-dot",
    "write": "square",
    "delete": "x",
    "warning": "diamond",
    "pin": "hexagon",
    "failure": "cross",
}
"""Plotly's symbol of each shape; drawn in the colour of the lane."""

SIGNS = {
    "message": "●",
    "page out": "▼",
    "page in": "▲",
    "page fault": "★",
    "search": "◉",
    "write": "■",
    "delete": "✖",
    "warning": "◆",
    "pin": "⬢",
    "failure": "✚",
}
"""The same shapes as letters, for the words beside a chart."""

_OFFSETS = {"warning": 0.26, "page out": -0.26}
"""How far a shape stands from the middle of its lane: a warning, its flush and a page in are often one moment."""

Places = dict[int, float]
"""Where each event stands on the folded axis."""

FOLDS_NAMED = 12
ARROWS_MOST = 150
HOVER_CHARS = 90

_INK = {"light": "#3d4248", "dark": "#d7dbe0"}
_ROW = {lane.key: len(LANES) - 1 - at for at, lane in enumerate(LANES)}
_CONTROLS = {**{at: 0x2400 + at for at in range(32)}, 127: 0x2421} | dict.fromkeys(
    (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)), 0xFFFD
)


def ink() -> str:
    """The colour of what belongs to no tier: the person's marks, the chosen mark."""
    return _INK["dark"] if chart.dark() else _INK["light"]


def plain(text: str, most: int = HOVER_CHARS) -> str:
    """Any text on one line of a chart: what Plotly or the browser would act on is shown instead."""
    text = " ".join(text.split()).translate(_CONTROLS)
    return escape(text if len(text) <= most else text[: most - 1] + "…")


def _hue(lane: str) -> str:
    key = next(one.hue for one in LANES if one.key == lane)
    return chart.colour(key) if key else ink()


def _names() -> list[str]:
    return [f"{lane.label} <b>{HUES[lane.hue].mark if lane.hue else 'Y'}</b>" for lane in LANES]


def when(at: datetime, zone: ZoneInfo) -> str:
    """A time in the viewer's zone."""
    return f"{at.astimezone(zone):%d %b %Y %H:%M:%S}"


# --- the whole life ----------------------------------------------------------------------------------------


def overview(
    width: int,
    cells: Sequence[Cell],
    bands: Sequence[Band],
    sessions: Sequence[tuple[int, str]],
    shown: tuple[int, int],
    until: int,
) -> go.Figure:
    """The whole log in stretches of `width` events: main context as a band, a bubble a lane; `shown` is marked.

    `sessions` are (first event, words) to name on the axis.
    """
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.28, 0.72], vertical_spacing=0.04)
    middle = (width + 1) / 2
    xs = [band.bucket * width + middle for band in bands]
    tint = chart.colour("messages")
    edge = {"color": tint, "width": 1}
    for values, filled in (([b.least for b in bands], None), ([b.most for b in bands], "tonexty")):
        figure.add_scatter(x=xs, y=values, mode="lines", line=edge, fill=filled, hoverinfo="skip", row=1, col=1)
    figure.add_scatter(
        x=xs,
        y=[b.flush for b in bands],
        mode="lines",
        line={"color": ink(), "width": 1, "dash": "dot"},
        hoverinfo="skip",
        row=1,
        col=1,
    )
    most = max((cell.events for cell in cells), default=1)
    figure.add_scatter(
        x=[cell.bucket * width + middle for cell in cells],
        y=[_ROW[cell.lane] for cell in cells],
        mode="markers",
        marker={
            "color": [_hue(cell.lane) for cell in cells],
            "size": [4 + 8 * (cell.events / most) ** 0.5 for cell in cells],
            "line": {"width": 0},
        },
        customdata=[[cell.bucket * width + 1] for cell in cells],
        text=[_cell_says(cell, width, until) for cell in cells],
        hovertemplate="%{text}<extra></extra>",
        row=2,
        col=1,
    )
    figure.add_vrect(
        x0=shown[0] - 0.5, x1=max(shown[1], shown[0] + until / 200) + 0.5, fillcolor=ink(), opacity=0.13, line_width=1
    )
    chart.layout(figure, height=145, revision=f"overview:{until}", showlegend=False)
    figure.update_layout(dragmode=False, clickmode="event+select")
    figure.update_xaxes(range=[0.5, until + 0.5], fixedrange=True)
    figure.update_xaxes(
        tickvals=[seq for seq, _ in sessions], ticktext=[says for _, says in sessions], tickangle=0, row=2, col=1
    )
    figure.update_yaxes(fixedrange=True, rangemode="tozero", nticks=3, row=1, col=1)
    figure.update_yaxes(
        tickvals=list(_ROW.values()),
        ticktext=[HUES[lane.hue].mark if lane.hue else "Y" for lane in LANES],
        range=[-0.7, len(LANES) - 0.3],
        tickfont={"size": 9},
        fixedrange=True,
        row=2,
        col=1,
    )
    return figure


def _cell_says(cell: Cell, width: int, until: int) -> str:
    label = next(lane.label for lane in LANES if lane.key == cell.lane)
    first = cell.bucket * width + 1
    what = ", ".join(f"{count:,} {shape}" for shape, count in cell.shapes)
    return (
        f"<b>{label}</b>: {what}<br>events {first:,} to {min(first + width - 1, until):,}<br>click to show them below"
    )


# --- the chosen stretch --------------------------------------------------------------------------------------


def axis_of(marks: Sequence[Mark], points: Sequence[Point], *, by_time: bool) -> Axis:
    """The folded axis on which all of these stand: seconds since 1970, or event numbers."""
    if by_time:
        return fold([one.at.timestamp() for one in (*marks, *points)], IDLE_S)
    return fold([*(one.seq for one in points), *(seq for one in marks for seq in (one.seq, one.last))], QUIET_EVENTS)


def detail(
    marks: Sequence[Mark],
    points: Sequence[Point],
    arrows: Sequence[Arrow],
    *,
    by_time: bool,
    zone: ZoneInfo,
    chosen: int | None,
    revision: str,
) -> go.Figure:
    """The marks in their lanes under the pressure curve, joined by what came back, on one folded axis."""
    axis = axis_of(marks, points, by_time=by_time)
    where = {one.seq: axis.place(one.at.timestamp() if by_time else one.seq) for one in (*points, *marks)}
    # What came with a run of imports left with the one mark of that run.
    where |= {
        arrow.left: where[one.seq]
        for arrow in arrows
        for one in marks
        if one.last > one.seq and one.seq < arrow.left <= one.last
    }
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.3, 0.7], vertical_spacing=0.03)
    _add_flush_lines(figure, marks, points, where)
    _add_curve(figure, points, where)
    _add_arrows(figure, arrows, where)
    _add_marks(figure, marks, where, zone)
    if chosen in where:
        figure.add_vline(x=where[chosen], line={"color": ink(), "width": 2}, opacity=0.55)
    _name_folds(figure, axis, by_time=by_time)
    chart.layout(
        figure,
        height=390,
        revision=revision,
        clickmode="event+select",
        dragmode="zoom",
        hovermode="closest",
    )
    figure.update_layout(legend={"y": -0.26, "itemsizing": "constant", "entrywidth": 90, "font": {"size": 11}})
    edge = max(axis.length, 1.0) * 0.015
    named = ticks(axis)
    labels = time_labels(named, zone) if by_time else [f"{value:,.0f}" for value in named]
    figure.update_xaxes(range=[-edge, max(axis.length, 1.0) + edge], showgrid=False)
    figure.update_xaxes(tickvals=[axis.place(value) for value in named], ticktext=labels, tickangle=0, row=2, col=1)
    figure.update_yaxes(title_text="tokens", rangemode="tozero", nticks=5, row=1, col=1)
    figure.update_yaxes(
        tickvals=[_ROW[lane.key] for lane in LANES],
        ticktext=_names(),
        range=[-0.6, len(LANES) - 0.4],
        fixedrange=True,
        row=2,
        col=1,
    )
    return figure


def _add_curve(figure: go.Figure, points: Sequence[Point], where: Places) -> None:
    xs = [where[point.seq] for point in points]
    for name, values, dash in (
        ("window", [p.window for p in points], "solid"),
        ("flush mark", [p.flush for p in points], "dash"),
        ("warning mark", [p.warn for p in points], "dot"),
    ):
        figure.add_scatter(
            x=xs,
            y=values,
            mode="lines",
            name=name,
            line={"color": ink(), "width": 1, "dash": dash, "shape": "hv"},
            hovertemplate=f"{name} %{{y:,}} tokens<extra></extra>",
            row=1,
            col=1,
        )
    figure.add_scatter(
        x=xs,
        y=[p.tokens for p in points],
        mode="lines+markers",
        name="main context",
        line={"color": chart.colour("messages"), "width": 2},
        marker={"size": 4},
        customdata=[[p.seq] for p in points],
        selected={"marker": {"size": 4}},
        unselected={"marker": {"opacity": 1}},
        text=[f"{p.tokens:,} of {p.window:,} tokens ({100 * p.tokens / max(1, p.window):.0f} %)" for p in points],
        hovertemplate="Main context %{text}<br>at event %{customdata[0]:,}<extra></extra>",
        row=1,
        col=1,
    )


def _add_flush_lines(figure: go.Figure, marks: Sequence[Mark], points: Sequence[Point], where: Places) -> None:
    top = max((point.window for point in points), default=0)
    for shape, dash, name in (("page out", "solid", "flush"), ("warning", "dot", "warning")):
        at = [where[one.seq] for one in marks if one.shape == shape]
        if not at or not top:
            continue
        figure.add_scatter(
            x=[value for x in at for value in (x, x, None)],
            y=[value for _ in at for value in (0, top, None)],
            mode="lines",
            line={"color": chart.colour("summary"), "width": 1.5, "dash": dash},
            name=f"{name} (above)",
            hoverinfo="skip",
            showlegend=False,
            row=1,
            col=1,
        )
        figure.add_scatter(
            x=at,
            y=[top] * len(at),
            mode="markers",
            showlegend=False,
            hoverinfo="skip",
            marker={"symbol": SYMBOLS[shape], "size": 9, "color": chart.colour("summary")},
            row=1,
            col=1,
        )


def _add_arrows(figure: go.Figure, arrows: Sequence[Arrow], where: Places) -> None:
    """From the lane where the items were to main context; one that begins before the stretch begins at its edge."""
    context = _ROW["context"]
    for fault, name, dash in ((True, "came back after a flush", "solid"), (False, "came from storage", "dot")):
        drawn = [arrow for arrow in arrows if arrow.fault is fault and arrow.came in where][-ARROWS_MOST:]
        xs: list[float | None] = []
        ys: list[float | None] = []
        for arrow in drawn:
            xs += [where.get(arrow.left, 0.0), where[arrow.came], None]
            ys += [_ROW[arrow.lane] + 0.12, context - 0.3, None]
        if drawn:
            figure.add_scatter(
                x=xs,
                y=ys,
                mode="lines+markers",
                name=name,
                hoverinfo="skip",
                line={"color": chart.colour("recall" if fault else "archival"), "width": 1.3, "dash": dash},
                marker={"symbol": "arrow", "angleref": "previous", "size": [0, 9, 0] * len(drawn)},
                opacity=0.75,
                row=2,
                col=1,
            )
    flushed = [(where[a.left], a) for a in arrows if a.lane == "recall" and a.left in where]
    down = sorted({x for x, _ in flushed})
    if down:
        figure.add_scatter(
            x=[value for x in down for value in (x, x, None)],
            y=[value for _ in down for value in (context - 0.3, _ROW["recall"] + 0.12, None)],
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
            opacity=0.75,
            line={"color": chart.colour("recall"), "width": 1.3},
            row=2,
            col=1,
        )


def _add_marks(figure: go.Figure, marks: Sequence[Mark], where: Places, zone: ZoneInfo) -> None:
    by_hand = [one for one in marks if one.by_hand and one.lane != "you"]
    if by_hand:
        figure.add_scatter(
            x=[value for one in by_hand for value in (where[one.seq], where[one.seq], None)],
            y=[value for one in by_hand for value in (_ROW["you"], _ROW[one.lane], None)],
            mode="lines",
            line={"color": ink(), "width": 1, "dash": "dot"},
            hoverinfo="skip",
            showlegend=False,
            row=2,
            col=1,
        )
    for shape in SHAPES:
        here = [(one, lane) for one in marks if one.shape == shape for lane in _lanes(one)]
        if not here:
            continue
        figure.add_trace(
            go.Scattergl(
                x=[where[one.seq] for one, _ in here],
                y=[_ROW[lane] + (_OFFSETS.get(shape, 0.0) if lane == one.lane else 0.0) for one, lane in here],
                mode="markers",
                name=shape,
                marker={
                    "symbol": SYMBOLS[shape],
                    "color": [_hue(lane) for _, lane in here],
                    "size": 14 if shape == "page fault" else 11,
                },
                # Without this a click would fade every other mark for good.
                unselected={"marker": {"opacity": 1}},
                customdata=[[one.seq] for one, _ in here],
                text=[_says(one, zone) for one, _ in here],
                hovertemplate="%{text}<extra></extra>",
            ),
            row=2,
            col=1,
        )


def _lanes(one: Mark) -> tuple[str, ...]:
    return (one.lane, "you") if one.by_hand and one.lane != "you" else (one.lane,)


def _says(one: Mark, zone: ZoneInfo) -> str:
    hand = ", by hand" if one.by_hand else ""
    place = f"session {one.session}, turn {one.turn}, step {one.step}" if one.turn else "before the first turn"
    utc = f"{one.at.astimezone(UTC):%H:%M:%S} UTC"
    return (
        f"<b>{plain(one.says)}</b>{hand}<br>event {one.seq:,} · {place}<br>{when(one.at, zone)} ({utc})"
        "<br>click for details"
    )


def _name_folds(figure: go.Figure, axis: Axis, *, by_time: bool) -> None:
    longest = sorted(axis.folds, key=lambda one: -one.length)[:FOLDS_NAMED]
    for one in axis.folds:
        figure.add_vrect(x0=one.start, x1=one.stop, fillcolor="rgba(140,140,140,.16)", line_width=0, layer="below")
    for one in longest:
        figure.add_annotation(
            x=(one.start + one.stop) / 2,
            y=0.0,
            xref="x2",
            yref="y2",
            text=fold_says(one, by_time=by_time),
            textangle=-90,
            showarrow=False,
            font={"size": 10},
            opacity=0.8,
            yanchor="bottom",
        )


def fold_says(one: Fold, *, by_time: bool) -> str:
    """What a folded stretch left out."""
    return f"idle {duration(one.length)}" if by_time else f"{one.length:,.0f} events"
