"""Which stretch of the timeline is shown, and the ways to another: steps, zoom, session, turn, a click, a link.

The stretch is counted in marks, so that it holds the same number of them in a busy week and in a quiet one. It is a
choice of this tab; the chosen mark stands in the address (`mark`).
"""

from typing import Any, NamedTuple

import streamlit as st

from memgpt_core.views.lanes import Mark, mark
from memgpt_core.workspace import Workspace
from pages.parts import choices, timeline_rows
from pages.parts.frame import Here

MARK = "mark"
"""The name in the address of the event whose mark is chosen."""

SIZES = (25, 50, 100, 200, 400)
"""How many marks one stretch may hold: the steps of the zoom."""

USUAL = 100


class Stretch(NamedTuple):
    """A part of the timeline.

    Attributes:
        skip: how many marks come before it; `total`: how many there are in all by `until`.
        marks: what it holds, oldest first.
        first, last: the events it reaches from and to.
        until: the event the page is drawn after.
        newest: it ends with the newest mark.
    """

    skip: int
    size: int
    total: int
    marks: tuple[Mark, ...]
    first: int
    last: int
    until: int

    @property
    def newest(self) -> bool:
        """Whether nothing comes after it."""
        return self.skip + len(self.marks) >= self.total


def load(here: Here, sought: int | None) -> Stretch:
    """The stretch that is chosen; moved first, when the address names a mark outside it."""
    ws, until = here.ws, here.seq
    total = timeline_rows.kept(ws, timeline_rows.mark_count, until)
    skip, size = _chosen(ws, total)
    if sought is not None and st.session_state.get(choices.timeline_seen(ws.agent_id, MARK)) != sought:
        st.session_state[choices.timeline_seen(ws.agent_id, MARK)] = sought
        at = timeline_rows.mark_count(ws, until, before=sought)
        if not skip <= at < skip + size:
            skip = _choose(ws, at - size // 2, size, total)
    rows = timeline_rows.kept(ws, timeline_rows.marks, until, skip=skip, size=size)
    marks = tuple(mark(row) for row in rows)
    newest = skip + len(marks) >= total
    first = 1 if skip == 0 or not marks else marks[0].seq
    return Stretch(skip, size, total, marks, first, until if newest or not marks else marks[-1].last, until)


def _chosen(ws: Workspace, total: int) -> tuple[int, int]:
    skip, size = st.session_state.get(choices.timeline_window(ws.agent_id), (None, USUAL))
    most = max(0, total - size)
    return (most if skip is None else min(skip, most)), size


def _choose(ws: Workspace, skip: int, size: int, total: int) -> int:
    """Keep the choice; a stretch at the end stays at the end as the log grows."""
    most = max(0, total - size)
    kept = None if skip >= most else max(0, skip)
    st.session_state[choices.timeline_window(ws.agent_id)] = (kept, size)
    return most if kept is None else kept


def show_from(here: Here, seq: int, *, centred: bool = False) -> None:
    """Choose the stretch that begins with the first mark from event `seq` on, or has it in the middle."""
    total = timeline_rows.kept(here.ws, timeline_rows.mark_count, here.seq)
    size = _chosen(here.ws, total)[1]
    at = timeline_rows.mark_count(here.ws, here.seq, before=seq)
    _choose(here.ws, at - size // 2 if centred else at, size, total)


def look(ws: Workspace, seq: int) -> None:
    """Choose a mark, from a callback; the timeline moves there."""
    st.query_params[MARK] = str(seq)
    st.session_state.pop(choices.timeline_seen(ws.agent_id, MARK), None)


def close() -> None:
    """Choose no mark, from a callback."""
    st.query_params.pop(MARK, None)


def sought(here: Here) -> tuple[int | None, str]:
    """(the event whose mark the address asks for; a sentence when it cannot be shown)."""
    wanted = st.query_params.get(MARK)
    if wanted is None:
        return None, ""
    if not (wanted.isascii() and wanted.isdigit() and len(wanted) < 16 and 1 <= int(wanted) <= here.ws.last_seq):
        return None, f"There is no event “{wanted[:40]}” to show: this agent has events 1 to {here.ws.last_seq:,}."
    if int(wanted) > here.seq:
        return None, f"Event {int(wanted):,} comes after event {here.seq:,}, which you look back to. Go back to live."
    return int(wanted), ""


def follow(here: Here, key: str, field: str) -> int | None:
    """The number that a click in the chart `key` has just chosen; None when there is no new click.

    `field` names what the click chooses. A chart remembers its last click in every rerun; each is followed once.
    """
    held: Any = st.session_state.get(key)
    points = held.get("selection", {}).get("points", []) if held else []
    seen = choices.timeline_seen(here.ws.agent_id, field)
    if not points or not points[0].get("customdata"):
        st.session_state.pop(seen, None)
        return None
    chosen = points[0]["customdata"]
    # The browser sends a list, or what became of one on the way: an object with its places as names.
    number = int(next(iter(chosen.values())) if isinstance(chosen, dict) else chosen[0])
    if st.session_state.get(seen) == (key, number):
        return None
    st.session_state[seen] = (key, number)
    return number


# --- on screen ----------------------------------------------------------------------------------------------


def draw(here: Here, stretch: Stretch, chosen: int | None) -> None:
    """The line of buttons under the overview."""
    ws, total, skip, size = here.ws, stretch.total, stretch.skip, stretch.size
    at = SIZES.index(size)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="timeline-steps"):
        for name, icon, to, width, off in (
            ("First", "first_page", 0, size, skip == 0),
            ("Earlier", "chevron_left", skip - size * 3 // 4, size, skip == 0),
            ("Later", "chevron_right", skip + size * 3 // 4, size, stretch.newest),
            ("Newest", "last_page", total, size, stretch.newest),
            ("Zoom in", "zoom_in", *_zoomed(skip, size, SIZES[max(0, at - 1)]), at == 0),
            ("Zoom out", "zoom_out", *_zoomed(skip, size, SIZES[min(len(SIZES) - 1, at + 1)]), at == len(SIZES) - 1),
        ):
            st.button(
                name,
                key=f"timeline:{name}",
                icon=f":material/{icon}:",
                type="tertiary",
                disabled=off,
                on_click=_choose,
                args=(ws, to, width, total),
            )
        for name, icon, seq in _neighbours(stretch, chosen):
            st.button(
                name,
                key=f"timeline:{name}",
                icon=f":material/{icon}:",
                type="tertiary",
                disabled=seq is None,
                on_click=look,
                args=(ws, seq),
            )
        with st.popover("Go to", icon=":material/my_location:", type="tertiary", key="timeline-goto"):
            _draw_goto(here)
        st.segmented_control(
            "Horizontal axis",
            ["Time", "Event number"],
            key=choices.TIMELINE_AXIS,
            default="Time",
            required=True,
            label_visibility="collapsed",
            persist_state="session",
        )


def _neighbours(stretch: Stretch, chosen: int | None) -> list[tuple[str, str, int | None]]:
    """The marks before and after the chosen one, as (name, icon, event); without one, the newest is next to it."""
    earlier = [one.seq for one in stretch.marks if chosen is None or one.seq < chosen]
    later = [one.seq for one in stretch.marks if chosen is not None and one.seq > chosen]
    return [
        ("Previous mark", "arrow_back", earlier[-1] if earlier else None),
        ("Next mark", "arrow_forward", later[0] if later else None),
    ]


def _zoomed(skip: int, size: int, wanted: int) -> tuple[int, int]:
    """Where another size begins that keeps the middle in the middle."""
    return skip + (size - wanted) // 2, wanted


def _draw_goto(here: Here) -> None:
    state = here.state
    for name, column, last in (("Session", "session", state.session), ("Turn", "turn", state.turn)):
        key = f"timeline-goto:{column}"
        st.number_input(
            f"{name}, 1 to {last:,}",
            min_value=min(1, last),
            max_value=last,
            value=None,
            key=key,
            placeholder="Number",
            disabled=not last,
            on_change=_goto,
            args=(here, column, key),
        )


def _goto(here: Here, column: str, key: str) -> None:
    number = st.session_state[key]
    seq = timeline_rows.first_of(here.ws, here.seq, column, number) if number is not None else None
    if seq is not None:
        show_from(here, seq)
