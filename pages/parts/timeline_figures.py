"""The figures of paging: faults, working set, tokens moved, time per tier, each with what it counts and how."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from memgpt_core.views.residency import Stay, rates, stays, working_set
from pages.parts import chart, timeline_rows, timeline_throughput
from pages.parts.frame import Here
from pages.parts.markup import escape, heading, wrap
from pages.parts.timeline_chart import ink

TURNS_DRAWN = 40
FADED = "rgba(255,255,255,.5)"

STYLE = """<style>
.ms-figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(225px,1fr));gap:.6rem 1.2rem;margin-top:.3rem}
.ms-stays{border-collapse:collapse;font-variant-numeric:tabular-nums;width:100%}
.ms-stays th{font-weight:400;text-align:right}.ms-stays td{text-align:right;border-top:1px solid var(--edge)}
.ms-stays th,.ms-stays td{padding:.15rem .5rem}.ms-stays td+td{white-space:nowrap}
.ms-stays th:first-child,.ms-stays td:first-child{text-align:left;padding-left:0}
</style>"""


def draw(here: Here) -> None:
    """All of them, over everything up to the point shown."""
    ws, until, turn = here.ws, here.seq, here.state.turn
    if not turn:
        return
    figures = rates(timeline_rows.kept(ws, timeline_rows.counts, until))
    rows, over_ten = timeline_rows.kept(ws, timeline_rows.working_set, until, turn)
    figures += working_set(rows, over_ten)
    upto = "" if here.at is None else f" up to event {until:,}"
    st.html(
        STYLE
        + wrap(
            heading("Figures", f"over the whole life{upto}"),
            f'<div class="ms-figures">{"".join(map(timeline_throughput.figure, figures))}</div>',
        )
    )
    timeline_throughput.draw(here)
    moved, tiers = st.columns([50, 50], gap="medium")
    with moved:
        st.html(wrap(heading("Tokens moved, by turn", f"the last {min(TURNS_DRAWN, turn)} turns")))
        _draw_moved(ws.agent_id, until, timeline_rows.kept(ws, timeline_rows.moved_by_turn, until, turn))
    with tiers:
        st.html(wrap(heading("Time per tier", f"messages, the newest {timeline_rows.STAYS:,} evictions at most")))
        st.html(wrap(_stays(stays(timeline_rows.kept(ws, timeline_rows.stays, until)))))


def _draw_moved(agent_id: str, until: int, rows: Sequence[dict[str, Any]]) -> None:
    turns = [row["turn"] for row in rows]
    figure = go.Figure()
    for name, key, sign, tier in (("in", "came", 1, "recall"), ("out", "went", -1, "messages")):
        figure.add_bar(
            x=turns,
            y=[sign * row[key] for row in rows],
            name=f"tokens {name}",
            marker={
                "color": chart.colour(tier),
                "pattern": {"shape": chart.pattern(tier), "fgcolor": FADED, "fillmode": "overlay"},
            },
            customdata=[[row[key], row["faults"]] for row in rows],
            hovertemplate=f"turn %{{x}}: %{{customdata[0]:,}} tokens {name}, %{{customdata[1]}} faults<extra></extra>",
        )
    chart.layout(figure, height=210, revision=f"moved:{until}", barmode="relative", bargap=0.25)
    figure.update_yaxes(title_text="in ↑  tokens  ↓ out", zerolinecolor=ink())
    came, went = sum(row["came"] for row in rows), sum(row["went"] for row in rows)
    chart.draw(
        figure,
        key=f"timeline-moved:{agent_id}",
        alt=f"Bars of the last {len(rows)} turns: {came:,} tokens came into the window and {went:,} went out.",
    )


def _stays(found: Sequence[Stay]) -> str:
    if not found:
        return '<div class="soft">Nothing was evicted yet, so there is no time to tell.</div>'
    names = "".join(f"<th class='soft'>{name}</th>" for name in ("", "cases", "least", "median", "95 %"))
    rows = "".join(
        f"<tr><td><b>{escape(one.label)}</b><div class='soft'>{escape(one.says)}</div></td><td>{one.cases:,}</td>"
        + "".join(
            f"<td>{escape(time)}<div class='soft'>{escape(turns)} {'turn' if turns == '1' else 'turns'}</div></td>"
            for time, turns in zip(one.times, one.turns, strict=True)
        )
        + "</tr>"
        for one in found
    )
    return f"<table class='ms-stays'><tr>{names}</tr>{rows}</table>"
