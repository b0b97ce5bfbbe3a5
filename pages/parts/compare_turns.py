"""The turns of both sides, a page at a time: only those that are shown have their events read."""

from typing import Any

import streamlit as st

from memgpt_core import comparing
from memgpt_core.views.compare import METRICS, Pair, Turn, ways
from memgpt_core.workspace import Workspace
from pages.parts import choices, compare_rows, compare_turn, export, pager
from pages.parts.compare_head import WAYS, link
from pages.parts.compare_marks import RECORDED, numbers
from pages.parts.compare_rows import Compared
from pages.parts.frame import Here
from pages.parts.markup import escape, wrap

PAGE = 5
"""Pairs on a page: each is a dozen boxes of text."""


def draw(here: Here, right: Workspace, found: Compared) -> None:
    """The pages of turns."""
    whole = bool(found.past) and st.session_state.get(choices.compare_whole(here.ws.agent_id), False)
    begin = 0 if whole else found.past
    pairs = found.pairs[begin:]
    if not pairs:
        _past_too(here, found)
        st.info(
            "There is no turn after the common past yet. Say something to one of them, then come back.",
            icon=":material/info:",
        )
        return
    key = f"compare:{here.ws.agent_id}:{right.agent_id}:{begin}"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if found.parted is not None and found.parted >= begin:
            st.button(
                "First turn that differs",
                key="compare:first",
                icon=":material/difference:",
                on_click=_go,
                args=(key, (found.parted - begin) // PAGE),
            )
        export.draw(
            f"{here.ws.agent_id}-{right.agent_id}",
            lambda: table(found),
            key="compare",
            count=len(found.pairs),
        )
        _past_too(here, found)
    first = pager.draw(key, len(pairs), PAGE, what="turns")
    shown = range(begin + first, min(begin + first + PAGE, len(found.pairs)))
    counted = [
        comparing.figures(side, [turn.number for place in shown if (turn := getattr(found.pairs[place], which))])
        for side, which in ((found.left, "left"), (found.right, "right"))
    ]
    for place in shown:
        with st.container(border=True, key=f"compare-pair-{place}", gap="xxsmall"):
            _pair(here, right, found, place, counted)


def _past_too(here: Here, found: Compared) -> None:
    if found.past:
        st.toggle(
            f"Show the {found.past:,} turns of the common past too",
            key=choices.compare_whole(here.ws.agent_id),
            help="They are one and the same on both sides.",
        )


def _go(key: str, page: int) -> None:
    st.session_state[choices.page_of(key)] = page


def _pair(here: Here, right: Workspace, found: Compared, place: int, counted: list[dict[int, Any]]) -> None:
    pair = found.pairs[place]
    left, other = compare_rows.tell_both(found, place)
    how = "" if left is None or other is None else _how(pair, ways(left, other))
    figures = [
        rows.get(turn.number, {}) if turn else {} for rows, turn in zip(counted, (pair.left, pair.right), strict=True)
    ]
    st.html(
        wrap(
            f'<div class="cp-two"><div>{_title(pair.left)}</div><div>{_title(pair.right)}</div></div>{how}',
            compare_turn.html(left, other),
            _figures(pair, figures),
        )
    )
    with st.container(horizontal=True, gap="small"):
        for ws, turn, name in ((here.ws, pair.left, "left"), (right, pair.right, "right")):
            if turn is not None:
                link(ws, turn, f"Chat then ({name})", "app.py")


def _figures(pair: Pair, figures: list[dict[str, Any]]) -> str:
    shown = [metric for metric in METRICS if metric.key != "turns" and any(one.get(metric.key) for one in figures)]
    if pair.left is None or pair.right is None:
        alone = figures[0] or figures[1]
        return numbers(shown, alone, alone)
    return numbers(shown, *figures)


def _title(turn: Turn | None) -> str:
    if turn is None:
        return '<span class="soft">No turn</span>'
    return (
        f"<b>Turn {turn.number:,}</b> {RECORDED} "
        f'<span class="soft">session {turn.session:,}, events {turn.first:,} to {turn.ended:,}</span>'
    )


def _how(pair: Pair, found: tuple[str, ...]) -> str:
    if pair.shared:
        return '<span class="ms-tag">one turn: the common past</span>'
    if not found:
        return '<span class="ms-tag">= alike</span>'
    return " ".join(f'<span class="ms-tag">≠ {escape(WAYS[way])}</span>' for way in found)


def table(found: Compared) -> list[dict[str, Any]]:
    """A row a pair of turns, with the numbers of both and what was replied, for a file."""
    counted = [comparing.all_figures(side) for side in (found.left, found.right)]
    return [_row(pair, counted) for pair in found.pairs]


def _row(pair: Pair, counted: list[dict[int, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {"shared": pair.shared}
    turns = (("left", pair.left, counted[0]), ("right", pair.right, counted[1]))
    for name, turn, _ in turns:
        row[f"{name}_turn"] = turn.number if turn else None
        row[f"{name}_first_event"] = turn.first if turn else None
        row[f"{name}_trigger"] = turn.trigger if turn else None
    for name, turn, rows in turns:
        row[f"{name}_reply"] = rows.get(turn.number, {}).get("said", "") if turn else None
    for metric in METRICS[1:]:
        for name, turn, rows in turns:
            row[f"{name}_{metric.key}"] = rows.get(turn.number, {}).get(metric.key) if turn else None
    return row
