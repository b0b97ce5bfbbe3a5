"""The timeline page as a whole: overview, stretch, details of a mark, warnings, figures.

The order matters: a click is followed before anything is drawn, so that one run shows what it chose.
"""

from typing import Any
from zoneinfo import ZoneInfo

import streamlit as st

from memgpt_core.views.lanes import arrows, cells, counted, tally
from memgpt_core.views.lanes_axis import IDLE_S, QUIET_EVENTS, duration
from memgpt_core.views.pressure import bands, curve
from memgpt_core.workspace import Workspace
from pages.parts import (
    chart,
    choices,
    frame,
    timeline_chart,
    timeline_details,
    timeline_figures,
    timeline_rows,
    timeline_warnings,
    timeline_window,
)
from pages.parts.frame import Here
from pages.parts.safe_md import safe_md
from pages.parts.timeline_window import MARK, Stretch

RUNNING_EVERY_S = 1.0
STYLE = """<style>
.st-key-timeline-mark .stVerticalBlock{gap:.3rem}
.st-key-timeline-mark button,.st-key-timeline-steps button{min-height:1.7rem;padding:0 .35rem}
.st-key-timeline-steps{gap:.2rem .7rem}
.st-key-timeline-mark [class*="st-key-fate-"]{padding:0 0 .35rem 1.6rem;gap:.2rem .6rem}
</style>"""
SESSIONS_NAMED = 10


def draw(here: Here) -> None:
    """Everything on the page."""
    with st.container(gap="small"):
        _draw(here)


def _draw(here: Here) -> None:
    ws = here.ws
    st.html(STYLE)
    overview_key = f"timeline-overview:{ws.agent_id}:{here.seq}"
    if (begin := timeline_window.follow(here, overview_key, "overview")) is not None:
        timeline_window.show_from(here, begin, centred=True)
    sought, problem = timeline_window.sought(here)
    stretch = timeline_window.load(here, sought)
    by_time = st.session_state.get(choices.TIMELINE_AXIS, "Time") == "Time"
    # Another stretch is another chart: a click kept for the old one would choose a mark that is not there.
    detail_key = f"timeline-detail:{ws.agent_id}:{here.seq}:{stretch.skip}:{stretch.size}:{by_time}"
    if (picked := timeline_window.follow(here, detail_key, "detail")) is not None:
        sought, problem = picked, ""
        st.query_params[MARK] = str(picked)
        st.session_state[choices.timeline_seen(ws.agent_id, MARK)] = picked
    _draw_head(here, stretch)
    if problem:
        st.warning(safe_md(problem), icon=":material/location_off:")
    if not stretch.marks:
        st.info("Nothing has happened yet. Say something to the agent in the chat: each move of its memory shows here.")
        return
    _draw_overview(here, stretch, overview_key)
    timeline_window.draw(here, stretch, sought)
    _draw_detail(here, stretch, detail_key, chosen=sought, by_time=by_time)
    if sought is None:
        st.caption("Click a mark for its details, or walk through them with Previous mark and Next mark.")
    else:
        timeline_details.draw(here, sought, stretch.marks)
    _draw_span(here, stretch, by_time=by_time)
    warned = timeline_rows.kept(ws, timeline_warnings.find, stretch.first, stretch.last, here.seq)
    timeline_warnings.draw(ws, warned)
    timeline_figures.draw(here)


def _draw_head(here: Here, stretch: Stretch) -> None:
    ws = here.ws
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("#### Paging timeline", width="content")
        st.caption(
            f"{safe_md(here.state.name)}: {counted(stretch.total, 'mark')} in {counted(here.seq, 'event')}. "
            "What left the window, what came back, and what was written where."
        )
        # A turn may also have ended since the state was taken: one poll then draws the page again.
        if here.at is None and (ws.busy or ws.last_seq != here.seq):
            frame.live(draw_running, every_s=RUNNING_EVERY_S, until=lambda: not ws.busy)(ws, here.seq)


def draw_running(ws: Workspace, drawn: int) -> None:
    """That a turn runs, and what the page does not show of it yet: all that is asked again while it does."""
    more = ws.last_seq - drawn
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="timeline-running"):
        st.caption(f":material/bolt: A turn runs. {counted(more, 'event')} since this was drawn.")
        if st.button("Show them", key="timeline:refresh", type="tertiary", disabled=not more):
            st.rerun()


def _draw_overview(here: Here, stretch: Stretch, key: str) -> None:
    ws, until = here.ws, here.seq
    figure, width = timeline_rows.kept(
        ws, _overview, until, stretch.first, stretch.last, zone=here.zone, dark=chart.dark()
    )
    chart.draw(
        figure,
        key=key,
        alt=(
            f"The whole life: {until:,} events in stretches of {width:,}. Above, tokens of main context; below, a "
            "bubble for each lane and stretch, larger for more events. Shown in detail: events "
            f"{stretch.first:,} to {stretch.last:,}."
        ),
        select=True,
    )


def _overview(ws: Workspace, until: int, first: int, last: int, *, zone: ZoneInfo, dark: bool) -> tuple[Any, int]:
    """(the figure of the whole life, events in each of its stretches); `dark` is what the colours were taken for."""
    width, counts, least_most = timeline_rows.kept(ws, timeline_rows.overview, until)
    starts = timeline_rows.kept(ws, timeline_rows.session_starts, until, most=SESSIONS_NAMED)
    sessions: list[tuple[int, str]] = []
    for row in starts:
        if not sessions or row["seq"] - sessions[-1][0] > until / SESSIONS_NAMED / 2:
            sessions.append((row["seq"], f"s{row['session']}<br>{row['at'].astimezone(zone):%d %b}"))
    return timeline_chart.overview(width, cells(counts), bands(least_most), sessions, (first, last), until), width


def _draw_detail(here: Here, stretch: Stretch, key: str, *, chosen: int | None, by_time: bool) -> None:
    look = {"by_time": by_time, "chosen": chosen, "zone": here.zone, "dark": chart.dark(), "revision": key}
    figure, ways = timeline_rows.kept(here.ws, _detail, stretch, **look)
    shapes = ", ".join(f"{count} {shape}" for shape, count in tally(stretch.marks).items())
    chart.draw(
        figure,
        key=key,
        alt=(
            f"Events {stretch.first:,} to {stretch.last:,} in seven lanes under the memory pressure curve: {shapes}; "
            f"{ways} arrows from where items were to where they came back."
        ),
        select=True,
    )


def _detail(ws: Workspace, stretch: Stretch, *, dark: bool, **look: Any) -> tuple[Any, int]:
    """(the figure of the stretch, how many arrows it has)."""
    points = curve(timeline_rows.kept(ws, timeline_rows.pressure, stretch.first, stretch.last))
    ways = arrows(timeline_rows.kept(ws, timeline_rows.returns, stretch.first, stretch.last))
    return timeline_chart.detail(stretch.marks, points, ways, **look), len(ways)


def _draw_span(here: Here, stretch: Stretch, *, by_time: bool) -> None:
    """What the figure above shows, in words."""
    marks = stretch.marks
    span = f"{timeline_chart.when(marks[0].at, here.zone)} to {timeline_chart.when(marks[-1].at, here.zone)}"
    folded = f"nothing for {duration(IDLE_S)} or more" if by_time else f"over {QUIET_EVENTS:.0f} events without a mark"
    folded = f"nothing for {duration(IDLE_S)} or more" if by_time else f"over {QUIET_EVENTS:.0f} events without a mark"
    st.caption(
        f"Marks {stretch.skip + 1:,} to {stretch.skip + len(marks):,} of {stretch.total:,}: events {stretch.first:,} "
        f"to {stretch.last:,}, {span}. Grey bands are folded: {folded}. Drag to look closer, double-click to go "
        "back."
    )
