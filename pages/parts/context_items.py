"""Every item of the window in a table that can be sorted, and the exact text of the one that is chosen."""

from functools import partial

import pandas as pd
import streamlit as st

from memgpt_core.views.figures import counted
from memgpt_core.views.grid import FREE, RESERVE, window_map
from memgpt_core.views.palette import HUES
from memgpt_core.views.policies import placed_here
from memgpt_core.views.window import Gauge, gauge
from memgpt_core.views.window_items import Item, excerpt, visible
from memgpt_core.workspace import Workspace
from pages.parts import choices, context_map, export, moment
from pages.parts.context_request import Shown, plain
from pages.parts.markup import chip, escape, wrap
from pages.parts.safe_md import safe_md


def draw(ws: Workspace, shown: Shown, at: int | None) -> None:
    """Map and table beside each other, the chosen text under them; a choice draws only this anew."""
    opened = _opened(ws, shown)
    drawn = window_map(shown.items, shown.state.settings)
    tag = f"{ws.agent_id}:{shown.where.seq if shown.where else 'next'}"
    grid, table = f"map:{tag}", f"items:{tag}"
    left, right = st.columns([54, 46], gap="medium")
    with left:
        level = _level(shown)
        context_map.draw(drawn, level, opened, key=grid, on_pick=partial(_picked, ws, shown, grid, table))
    with right:
        _table(ws, shown, table)
    if placed := placed_here(shown.state, shown.items):
        st.caption(f":material/add_to_queue: {placed}")
    _text(ws, shown, opened, at)


def _level(shown: Shown) -> Gauge:
    """The gauge of the request, as it was when it left: the log's counts and not those of today's code."""
    settings, used = shown.state.settings, shown.tokens
    return gauge(shown.state)._replace(used=used, free=max(0, settings.flush_tokens - used))


def _opened(ws: Workspace, shown: Shown) -> str:
    """The chosen part, as long as this window has it; else its newest message."""
    chosen = st.session_state.get(choices.window_part(ws.agent_id), "")
    keys = [item.key for item in shown.items]
    if chosen in keys or chosen in (FREE, RESERVE):
        return str(chosen)
    return next((item.key for item in reversed(shown.items) if item.key != "template"), FREE)


def _choose(ws: Workspace, key: str) -> None:
    st.session_state[choices.window_part(ws.agent_id)] = key


def _picked(ws: Workspace, shown: Shown, grid: str, table: str) -> None:
    if key := context_map.picked(grid):
        _choose(ws, key)
        rows = [at for at, item in enumerate(shown.items) if item.key == key]
        st.session_state[table] = {"selection": {"rows": rows, "columns": [], "cells": []}}


def _selected(ws: Workspace, shown: Shown, table: str) -> None:
    rows = st.session_state[table]["selection"]["rows"]
    if rows and rows[0] < len(shown.items):
        _choose(ws, shown.items[rows[0]].key)


def _row(item: Item) -> dict[str, object]:
    return {
        "Letter": HUES[item.section].mark,
        "Item": visible(item.label) + (" (pinned)" if item.pinned else ""),
        "Tokens": item.tokens,
        "Share": 100 * item.share,
        "Role": item.role or None,
        "Turn": item.turn,
        "Section": HUES[item.section].label,
        "Begins with": excerpt(item),
    }


def _table(ws: Workspace, shown: Shown, key: str) -> None:
    rows = [_row(item) for item in shown.items]
    frame = pd.DataFrame(rows).astype({"Turn": "Int64"})
    st.dataframe(
        frame,
        key=key,
        height=310,
        hide_index=True,
        on_select=partial(_selected, ws, shown, key),
        selection_mode="single-row",
        column_order=["Letter", "Item", "Tokens", "Share", "Turn", "Begins with", "Role", "Section"],
        column_config={
            "Letter": st.column_config.TextColumn("", width=30, help="The section's letter, as on the map."),
            "Item": st.column_config.TextColumn(width=170),
            "Tokens": st.column_config.NumberColumn(format="localized", width=62),
            "Share": st.column_config.NumberColumn(format="%.1f %%", width=58, help="Of the whole window."),
            "Section": st.column_config.TextColumn(width=140),
            "Role": st.column_config.TextColumn(width=70, help="As which role the message is sent."),
            "Turn": st.column_config.NumberColumn(width=48),
            "Begins with": st.column_config.TextColumn(width=320),
        },
        placeholder="–",
        alt=f"{len(rows)} items of the window with their tokens",
    )
    how = counted(shown.counted_by, demo=shown.demo, factor=shown.state.token_factor)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(
            f"{len(rows):,} items, {shown.tokens:,} tokens. Choose one to read it.",
            help=f"Counts are {safe_md(how)}. The items of a section add up to what the section shows: rounding is "
            "shared out, and so are the signs between functions.",
            width="stretch",
        )
        name = f"{ws.agent_id}-window"
        export.draw(
            name,
            lambda: [
                {**row, "Key": one.key, "Text": one.text, "Calls": one.calls}
                for row, one in zip(rows, shown.items, strict=True)
            ],
            key="window",
            count=len(rows),
        )


def _text(ws: Workspace, shown: Shown, opened: str, at: int | None) -> None:
    item = next((one for one in shown.items if one.key == opened), None)
    with st.container(key="part-text", gap="xsmall"):
        if item is None:
            tokens = next(
                (piece.tokens for piece in window_map(shown.items, shown.state.settings).pieces if piece.key == opened),
                0,
            )
            st.html(wrap(f"<b>{HUES[RESERVE].label if opened == RESERVE else 'Free room'}</b> · {tokens:,} tokens"))
            st.caption(context_map.explained(opened))
            return
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.html(wrap(_title(item)), width="stretch")
            _way_out(ws, item, at)
        if item.text or not item.calls:
            plain(item.text or "(no text)")
        if item.calls:
            st.caption("Function calls, as sent")
            plain(item.calls)


def _title(item: Item) -> str:
    role = f" · role {escape(item.role)}" if item.role else ""
    turn = f" · turn {item.turn}" if item.turn is not None else ""
    pinned = ' <span class="ms-tag">pinned</span>' if item.pinned else ""
    chars = len(item.text) + len(item.calls)
    size = f"{item.tokens:,} tokens, {100 * item.share:.1f} % of the window, {chars:,} characters"
    return (
        f'{chip(item.section)} <b>{escape(visible(item.label))}</b>{pinned} <span class="soft">{role}{turn} · {size} · '
        "its exact text:</span>"
    )


def _way_out(ws: Workspace, item: Item, at: int | None) -> None:
    """To the page where the item lives."""
    if item.section == "working_context":
        more = {"block": item.key.removeprefix("block:")}
        st.page_link("pages/core_memory.py", label="Core memory", query_params=moment.query(ws, at, **more))
    elif item.section == "messages":
        st.page_link("pages/recall.py", label="In recall", query_params=moment.query(ws, at, message=item.key))
