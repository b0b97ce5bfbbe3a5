"""Both runs in numbers, with the difference; and what the memory of both holds at the end."""

from typing import Any

import streamlit as st

from memgpt_core import comparing
from memgpt_core.comparing import Side
from memgpt_core.views.compare import METRICS, block_pairs, delta_text, number_text
from memgpt_core.views.lanes import counted
from memgpt_core.views.log_rows import one_line
from memgpt_core.workspace import Workspace
from pages.parts import choices, pager
from pages.parts.compare_marks import RECORDED, box, grid, texts, two
from pages.parts.compare_rows import Compared
from pages.parts.core_marks import shown
from pages.parts.frame import Here
from pages.parts.markup import escape, wrap
from pages.parts.timeline_rows import kept

PASSAGES = 6


def draw_numbers(here: Here, right: Workspace, found: Compared) -> None:
    """The table of totals."""
    whole = not found.shared or st.toggle(
        "Count the common past too",
        key=choices.compare_whole(here.ws.agent_id),
        help="Otherwise only what came after the events they share is counted.",
    )
    since = 0 if whole else found.shared
    rows = [kept(ws, _totals, side.last, since) for ws, side in ((here.ws, found.left), (right, found.right))]
    names = [escape(one_line(ws.state().name, 40)) for ws in (here.ws, right)]
    head = f"<tr><th>Counted</th><th>{names[0]}</th><th>{names[1]}</th><th>Right has</th><th></th></tr>"
    body = "".join(_line(metric, rows[0], rows[1]) for metric in METRICS)
    what = "their whole lives" if whole else f"what came after event {found.shared:,}"
    st.html(wrap(f"{RECORDED} Numbers of {what}.", f'<table class="cp-num">{head}{body}</table>'))


def _totals(ws: Workspace, last: int, since: int) -> dict[str, Any]:
    return comparing.totals(Side(ws.agent_id, ws.rows, ws.event, ws.events, ws.state, last), since)


def _line(metric: Any, left: dict[str, Any], right: dict[str, Any]) -> str:
    one, other = left[metric.key], right[metric.key]
    more = delta_text(metric, one, other)
    return (
        f"<tr><td>{escape(metric.label)}</td><td>{number_text(metric, one)}</td><td>{number_text(metric, other)}</td>"
        f'<td class="cp-more">{more or "the same"}</td><td class="soft">{escape(metric.says)}</td></tr>'
    )


def draw_memory(here: Here, right: Workspace, found: Compared) -> None:
    """The blocks at the end word by word, and the passages that only one of them has."""
    states = here.state, right.state()
    values = [{label: block.value for label, block in state.blocks.items()} for state in states]
    pairs = block_pairs(*values)
    same = [label for label in values[0] if values[0][label] == values[1].get(label)]
    rows = [two(f"Block {pair.label}", *texts(pair.left, pair.right, "working_context")) for pair in pairs]
    alike = f"The same on both sides: {', '.join(same)}." if same else ""
    st.html(
        wrap(
            f"{RECORDED} Core memory at the end: {len(pairs):,} of {len(pairs) + len(same):,} blocks differ. "
            f'<span class="soft">{shown(alike)}</span>',
            grid(*rows) if rows else "",
        )
    )
    _passages(here, right, found)


def _passages(here: Here, right: Workspace, found: Compared) -> None:
    def only(_ws: Workspace, *_mark: Any) -> tuple[list[str], list[str]]:
        return comparing.passages_only(found.left, found.right, found.shared)

    mark = (found.left.last, right.agent_id, found.right.last, right.state().at)
    some, others = kept(here.ws, only, *mark)
    st.html(
        wrap(
            f"{RECORDED} Archival storage at the end: {counted(len(some), 'passage')} only at the left, "
            f"{len(others):,} only at the right; compared by their text."
        )
    )
    most = max(len(some), len(others))
    if not most:
        return
    first = pager.draw(f"compare-passages:{here.ws.agent_id}:{right.agent_id}", most, PASSAGES, what="passages")
    left = comparing.passage_rows(found.left, some[first : first + PASSAGES])
    other = comparing.passage_rows(found.right, others[first : first + PASSAGES])
    rows = [
        two("", _passage(left[at : at + 1]), _passage(other[at : at + 1])) for at in range(max(len(left), len(other)))
    ]
    st.html(wrap(grid(*rows)))


def _passage(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "<div></div>"
    row = rows[0]
    where = f'<span class="soft">{row["id"]} · turn {row["turn"]:,}</span>\n'
    return box(where + shown(row["text"]), "archival")
