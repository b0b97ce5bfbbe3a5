"""Two requests beside each other: what entered the window, what left it, what changed, and what began alike."""

import pandas as pd
import streamlit as st

from memgpt_core.views.difference import Changed, Difference, difference
from memgpt_core.views.palette import HUES
from memgpt_core.views.window_items import Item, excerpt, visible
from memgpt_core.views.worddiff import word_diff
from memgpt_core.workspace import Workspace
from pages.parts import choices
from pages.parts.context_request import Shown, sent
from pages.parts.context_rows import Place, nth, place
from pages.parts.markup import chip, escape, wrap


def draw(ws: Workspace, where: Place | None) -> None:
    """The comparison of any two requests; at first of the one shown with the one before it."""
    if where is None or where.of < 2:
        st.caption("There is nothing to compare yet: two requests are needed. Send the agent a message.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        first = _number(ws, "before", "From request", where, max(1, where.number - 1))
        last = _number(ws, "after", "to request", where, where.number)
    before, after = _request(ws, first), _request(ws, last)
    if before is None or after is None:
        st.caption("One of these requests is not in the log.")
        return
    found = difference(before.items, after.items, (before.state, after.state))
    _sums(found, before, after)
    if before.identical is False or after.identical is False:
        st.caption("One of the two is rebuilt by another version; its texts may differ from what was sent.")
    left, right = st.columns(2, gap="medium")
    with left:
        _list("Entered", found.entered, "Nothing came in.", "entered")
    with right:
        _list("Left", found.left, "Nothing went out.", "left")
    _changes(found.changed)


def _number(ws: Workspace, side: str, label: str, where: Place, begin: int) -> int:
    # With the request that is shown in the key, another one begins with its own neighbour again.
    key = f"{choices.compared(ws.agent_id, side)}:{where.seq}"
    chosen = st.number_input(label, min_value=1, max_value=where.of, value=begin, step=1, key=key, width=150)
    return int(chosen)


def _request(ws: Workspace, number: int) -> Shown | None:
    seq = nth(ws, number)
    where = place(ws, seq) if seq else None
    return sent(ws, where) if where else None


def _sums(found: Difference, before: Shown, after: Shown) -> None:
    share = round(100 * found.prefix_share)
    names = [f"turn {one.where.turn}, step {one.where.step}" for one in (before, after) if one.where]
    new = (
        f" What has to be read anew begins with <b>{escape(visible(found.first_new.label))}</b>."
        if found.first_new
        else " Nothing of it has to be read anew."
    )
    st.html(
        wrap(
            f"<div><b>{names[0]}</b> ({found.tokens_before:,} tokens) → <b>{names[-1]}</b> ({found.tokens_after:,} "
            f"tokens): {escape(found.says)}</div>"
            f'<div class="ms-meter" style="margin:.4rem 0 .25rem" role="img" aria-label="{share} % unchanged">'
            f'<i class="ms-fill ms-messages" style="width:{share}%"></i></div>'
            f'<div class="soft"><b>{found.prefix_tokens:,} tokens</b>, {share} % of the later request, are the '
            f"unchanged beginning of the earlier one: a model server that keeps it reads only the rest.{new}</div>"
        )
    )


def _list(name: str, items: tuple[Item, ...], none: str, key: str) -> None:
    st.html(wrap(f"<b>{name}</b> <span class='soft'>{sum(item.tokens for item in items):,} tokens</span>"))
    if not items:
        st.caption(none)
        return
    rows = [
        {
            "Section": f"{HUES[item.section].mark} · {HUES[item.section].label}",
            "Item": visible(item.label),
            "Tokens": item.tokens,
            "Begins with": excerpt(item),
        }
        for item in items
    ]
    st.dataframe(
        pd.DataFrame(rows),
        key=f"compare:{key}",
        hide_index=True,
        height=min(240, 38 + 35 * len(rows)),
        column_order=["Item", "Tokens", "Begins with", "Section"],
        column_config={
            "Item": st.column_config.TextColumn(width=180),
            "Tokens": st.column_config.NumberColumn(format="localized", width=62),
            "Begins with": st.column_config.TextColumn(width=260),
        },
        alt=f"{len(rows)} items that {key} the window",
    )


def _changes(changed: tuple[Changed, ...]) -> None:
    st.html(wrap(f"<b>Changed</b> <span class='soft'>{len(changed):,} with another text</span>"))
    if not changed:
        st.caption("No item has another text.")
    for before, after in changed:
        size = f"{before.tokens:,} → {after.tokens:,} tokens"
        st.html(
            wrap(
                f'{chip(after.section)} <b>{escape(visible(after.label))}</b> <span class="soft">{size}</span>',
                _words(visible(before.text + before.calls), visible(after.text + after.calls)),
            )
        )


def _words(before: str, after: str) -> str:
    """Both texts as one, with what went struck through and what came underlined."""
    marks = {"same": "span", "out": "del", "in": "ins"}
    pieces = (f"<{marks[kind]}>{escape(text)}</{marks[kind]}>" for kind, text in word_diff(before, after))
    return f'<div class="ms-text ms-words">{"".join(pieces)}</div>'
