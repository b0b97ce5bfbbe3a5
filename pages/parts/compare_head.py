"""The head of the compare page: which two agents, how they are related, and where they part."""

from typing import Any

import streamlit as st

from memgpt_core.comparing import Side, parting
from memgpt_core.home import AgentCard
from memgpt_core.views.compare import Pair, Turn, origin_text, ways
from memgpt_core.views.log_rows import one_line
from memgpt_core.workspace import Workspace
from pages.parts import choices, compare_rows, compare_turn, moment, sidebar
from pages.parts.compare_marks import grid
from pages.parts.compare_rows import Compared
from pages.parts.frame import Here
from pages.parts.markup import escape, wrap
from pages.parts.safe_md import safe_md

OTHER = "other"
"""The name in the address of the agent at the right."""

WAYS = {
    "trigger": "what was said to the agent",
    "replies": "the reply",
    "calls": "function calls",
    "blocks": "core memory",
    "passages": "what was stored in archival storage",
    "errors": "what failed",
}


def choose(here: Here) -> Workspace | None:
    """The agent at the right, by the address or the list; None while there is none."""
    cards = compare_rows.others(here.home, here.ws)
    wanted = st.query_params.get(OTHER, "")
    if wanted and wanted not in cards:
        same = wanted == here.ws.agent_id
        said = "An agent is not compared with itself." if same else f"There is no agent “{one_line(wanted, 60)}”."
        st.warning(safe_md(f"{said} Choose another one to compare with."), icon=":material/info:")
    if wanted not in cards:
        nearest = next((card for card in cards.values() if compare_rows.related(here.ws, card)), None)
        wanted = nearest.id if nearest else ""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        _list(here, cards, wanted)
        if wanted:
            st.button(
                "Swap sides",
                key="compare:swap",
                icon=":material/swap_horiz:",
                on_click=_swap,
                args=(here.ws.agent_id, wanted),
            )
    return here.home.open(wanted) if wanted else None


def _list(here: Here, cards: dict[str, AgentCard], wanted: str) -> None:
    names = sidebar.names([*cards.values()])
    called = {id: names[id] + (" (related)" if compare_rows.related(here.ws, cards[id]) else "") for id in cards}
    # The browser answers with a label: another key whenever one can have changed.
    key = f"compare-other:{here.ws.agent_id}:{wanted}:{hash(tuple(called.items()))}"
    st.selectbox(
        f"Compare {one_line(here.state.name, 60)} (left) with (right)",
        list(cards),
        index=list(cards).index(wanted) if wanted else None,
        format_func=lambda id: one_line(called[id], 80),
        placeholder="Choose another agent" if cards else "There is no other agent yet",
        disabled=not cards,
        key=key,
        on_change=lambda: _chosen(key),
        width=420,
    )


def _chosen(key: str) -> None:
    if st.session_state.get(key):
        st.query_params[OTHER] = st.session_state[key]


def _swap(left: str, right: str) -> None:
    st.session_state[choices.AGENT] = st.query_params["agent"] = right
    st.query_params[OTHER] = left
    moment.go(None)


def draw(here: Here, right: Workspace, found: Compared) -> None:
    """Who they are, where they come from, and where they part."""
    left = here.ws
    names = tuple(one_line(state.name, 60) for state in (here.state, right.state()))
    cells = _who(left, names[0], found.left), _who(right, names[1], found.right)
    st.html(wrap(grid(*cells), f'<div class="ms-note">{_shared(found)}</div>'))
    if found.parted is None:
        st.caption("No turn differs: the same was said on both sides, and the same came of it.")
        return
    _parting(here, right, found, names)


def _who(ws: Workspace, name: str, side: Side) -> str:
    upto = f"events 1 to {side.last:,}" + ("" if side.last == ws.last_seq else f" of {ws.last_seq:,}")
    from_where = origin_text(ws.agent_id, ws.provenance())
    return (
        f'<div><b>{escape(name)}</b> <span class="soft">{escape(ws.agent_id)} · {upto}</span>'
        f'<div class="soft">{escape(from_where)}</div></div>'
    )


def _shared(found: Compared) -> str:
    if not found.shared:
        return (
            "<b>Two lives of their own.</b> They share no event. Turns are laid beside each other by what was said "
            "to the agents."
        )
    turns = f" ({found.past:,} turns)" if found.past else ""
    return f"<b>A common past:</b> events 1 to {found.shared:,} are the same event on both sides{turns}."


def _parting(here: Here, right: Workspace, found: Compared, names: tuple[str, ...]) -> None:
    """The first thing that is not the same: as an event where there is a common past, and as a turn."""
    pair = found.pairs[found.parted or 0]
    if found.shared:
        st.html(wrap(grid(_first(found.left, found.shared), _first(found.right, found.shared))))
    st.html(wrap(f"<b>First turn that differs:</b> {escape(_numbers(pair))}{_how(found)}"))
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="compare-parting"):
        for ws, name, turn in ((here.ws, names[0], pair.left), (right, names[1], pair.right)):
            if turn is not None:
                link(ws, turn, f"{name}: turn {turn.number:,} in the chat", "app.py")
                link(ws, turn, "Its first event", "pages/log.py")


def link(ws: Workspace, turn: Turn, label: str, page: str) -> None:
    """The way to a turn on another page."""
    more: dict[str, Any] = {"event": str(turn.first)} if page == "pages/log.py" else {}
    icon = ":material/receipt_long:" if page == "pages/log.py" else ":material/history:"
    st.page_link(page, label=safe_md(label), icon=icon, query_params=moment.query(ws, turn.ended, **more))


def _first(side: Side, shared: int) -> str:
    found = parting(side, shared)
    born = f"Forked at event {found.forked:,}. " if found.forked else ""
    if found.event is None:
        return f'<div class="soft">{born}Nothing has happened since.</div>'
    first = found.event
    head = f'<span class="soft">{born}First event of its own: {first.seq:,}, {first.kind}</span>'
    return f"<div>{head}{compare_turn.event(first)}</div>"


def _numbers(pair: Pair) -> str:
    if pair.left is None or pair.right is None:
        turn, where = (pair.right, "right") if pair.left is None else (pair.left, "left")
        return f"turn {turn.number:,} is only at the {where}" if turn else ""
    return f"turn {pair.left.number:,} at the left, turn {pair.right.number:,} at the right"


def _how(found: Compared) -> str:
    place = found.parted or 0
    left, right = compare_rows.tell_both(found, place)
    if left is None or right is None:
        return "."
    found_ways = [WAYS[way] for way in ways(left, right)]
    if not found_ways:
        found_ways = ["core memory, changed before it" if left.blocks != right.blocks else "what the queue did"]
    return f" · What differs: {escape('; '.join(found_ways))}."
