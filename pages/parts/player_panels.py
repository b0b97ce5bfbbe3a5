"""What the player shows at its place: the event in words, the conversation, the window, blocks, paging, stores."""

import re
from functools import partial
from typing import Any

import streamlit as st

from memgpt_core.events import is_external
from memgpt_core.state import State
from memgpt_core.views.grid import window_map
from memgpt_core.views.log_rows import in_words, one_line
from memgpt_core.views.player import BlockChange, Changed, changed, says
from memgpt_core.views.window import gauge
from memgpt_core.views.window_items import visible
from memgpt_core.views.worddiff import word_diff
from memgpt_core.workspace import Workspace
from pages.parts import (
    blocks,
    choices,
    context_map,
    context_request,
    conversation,
    moment,
    player_bookmarks,
    player_clock,
    player_rows,
)
from pages.parts.frame import Here
from pages.parts.markup import chip, escape, heading, line, text_box, wrap

STYLE = """<style>
.st-key-past{display:none}
.stVerticalBlock>div:has(>.st-key-player-talk),.stVerticalBlock>div:has(>.st-key-player-memory){
 flex:none!important;height:calc(100vh - 352px)!important;min-height:240px}
.st-key-player-talk,.st-key-player-memory{height:100%!important;flex:1 1 auto!important;scrollbar-width:thin}
.st-key-player-memory{gap:.45rem;padding-right:.5rem}
.st-key-player-controls{flex-wrap:nowrap;gap:.35rem}
.st-key-player-controls .stButton button{min-height:2rem;padding:.1rem .5rem;white-space:nowrap}
.st-key-player-controls .stPopover button{min-height:2rem;padding:.1rem .5rem;white-space:nowrap}
.st-key-player-controls [class*="-back"] p,.st-key-player-controls [class*="-on"] p{position:absolute;width:1px;
 height:1px;overflow:hidden;clip-path:inset(50%)}
.ms-player-event{max-height:3.6rem;overflow:auto}
.ms-words ins{background:color-mix(in srgb,#2e8b57 28%,transparent);text-decoration:underline}
.ms-words del{background:color-mix(in srgb,#c0392b 25%,transparent)}
.ms-later{opacity:.6}
.ms-here{font-weight:600}
@media (max-width:820px){.stVerticalBlock>div:has(>.st-key-player-talk),
 .stVerticalBlock>div:has(>.st-key-player-memory){height:auto!important}}
</style>"""

TURNS = 5
"""How many turns of the conversation are drawn at once: the whole of it would be drawn anew at each step."""

PART_CHARS = 3000
DIFF_CHARS = 6000
"""A longer text is not compared word by word while a recording goes by; the core memory page does."""


def draw_event(here: Here, seq: int) -> None:
    """The event itself: where it stands, what it says, and whether it came from outside."""
    event: Any = here.ws.event(seq)
    utc = f"{event.at:%Y-%m-%d %H:%M:%S} UTC"
    outside = is_external(event)
    tag = "came from outside" if outside else "decided by the engine"
    tip = (
        "A rerun is given this event as it was recorded."
        if outside
        else "A rerun works this event out anew and compares."
    )
    copied = _copied(here.ws, seq)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="player-event"):
        st.html(
            wrap(
                f'<div class="ms-player-event"><b class="num">Event {seq:,}</b> '
                f'<span class="soft num">of {here.ws.last_seq:,} · session {event.session}, turn {event.turn}, step '
                f'{event.step} · <span title="{utc}">{event.at.astimezone(here.zone):%d %b %Y %H:%M:%S}</span></span> '
                f'<span class="ms-tag" title="{tip}">recorded, {tag}</span>{copied}'
                f'<div class="ms-say">{escape(in_words(event))}</div></div>',
                player_bookmarks.lines(here.ws, seq),
            )
        )
        st.page_link(
            "pages/log.py",
            label="In the log",
            icon=":material/receipt_long:",
            query_params=moment.query(here.ws, seq, event=str(seq)),
            width="content",
        )


def _copied(ws: Workspace, seq: int) -> str:
    told = ws.provenance()
    if told is None or seq > told.origin_seq:
        return ""
    name = escape(one_line(told.origin_name, 40))
    return f' <span class="ms-tag" title="{escape(told.origin)}">lived by {name}, copied</span>'


def draw(here: Here, seq: int, state: State) -> None:
    """The conversation at the left, memory at the right, both as they were just after event `seq`."""
    ws = here.ws
    found = changed(ws.state(player_clock.moved_from(ws, seq)), state)
    talk, beside = st.columns([54, 46], gap="medium")
    with talk, conversation.from_the_end("player-talk", height=400):
        if not state.turn:
            st.caption("Nobody has said anything yet: at first the agent gets its instructions and its blocks.")
        conversation.draw_history(ws, seq, state.turn, here.zone, live=False, newest_turns=TURNS)
    with beside, st.container(height=400, key="player-memory", border=False, autoscroll=False):
        _changes(ws, seq, found)
        _map(ws, seq, state)
        _marked_blocks(found)
        blocks.draw_then(ws, state)
        _paging(ws, seq)
        _stores(ws, seq, state)


def _changes(ws: Workspace, seq: int, found: Changed) -> None:
    start = player_clock.moved_from(ws, seq)
    beside = "at this event" if start == seq - 1 else f"since event {start:,}"
    told = says(found)
    inner = f"<div>{escape('; '.join(told))}.</div>" if told else '<div class="soft">Memory is as it was.</div>'
    diffs = "".join(_diff(change) for change in found.blocks if change.before != change.after)
    st.html(wrap(heading("Just changed", beside), inner, diffs))


def _diff(change: BlockChange) -> str:
    before, after = change.before or "", change.after or ""
    if len(before) + len(after) > DIFF_CHARS:
        return text_box(one_line(after, 300), "working_context")
    pieces = {"same": "{}", "in": "<ins>{}</ins>", "out": "<del>{}</del>"}
    body = "".join(pieces[piece.kind].format(escape(visible(piece.text))) for piece in word_diff(before, after))
    return (
        f'<div class="ms-line">{chip("working_context")}<div><b>{escape(visible(change.label))}</b>'
        f'<div class="ms-text ms-working_context ms-words">{body}</div></div></div>'
    )


def _map(ws: Workspace, seq: int, state: State) -> None:
    """The window part by part; a click shows the part's text, here and on the context page."""
    if not state.instructions_seq:
        st.caption("No instructions yet, so there is no request to draw.")
        return
    shown, level = context_request.next_one(ws, state), gauge(state)
    full = f"{level.used:,} of {level.window:,} tokens, {100 * level.used / level.window:.0f} %"
    st.html(wrap(heading("Main context, the window", full)))
    opened = st.session_state.get(choices.window_part(ws.agent_id), "")
    key = f"player-map:{ws.agent_id}"
    drawn = window_map(shown.items, state.settings)
    context_map.draw(drawn, level, opened, key=key, on_pick=partial(_picked, ws, key))
    for item in shown.items:
        if item.key == opened:
            text = visible(item.text[:PART_CHARS]) + ("…" if len(item.text) > PART_CHARS else "")
            st.html(wrap(f"<b>{escape(visible(item.label))}</b>", text_box(text, item.section)))


def _picked(ws: Workspace, key: str) -> None:
    if part := context_map.picked(key):
        st.session_state[choices.window_part(ws.agent_id)] = part


def _marked_blocks(found: Changed) -> None:
    """A frame around the blocks that just changed; what changed in them is said above."""
    # As Streamlit makes a class of a key; a label's own signs never get into the style.
    names = [re.sub(r"[^a-zA-Z0-9_-]", "-", change.label) for change in found.blocks if change.after is not None]
    rules = "".join(
        f".st-key-player-memory .st-key-block-{name}{{outline:2px solid #c07a00;outline-offset:3px;border-radius:4px}}"
        for name in names
    )
    st.html(f"<style>.st-key-player-memory{{--changed:{len(names)}}}{rules}</style>")


def _paging(ws: Workspace, seq: int) -> None:
    """The marks of the paging timeline before and after the event."""
    seqs = player_rows.marks_around(ws, seq)
    came = player_rows.came_in(ws, seqs)
    lines = []
    for at in seqs:
        words = one_line(in_words(ws.event(at)), 110)
        items, faults = came.get(at, ([], 0))
        brought = f" · brought in {one_line(', '.join(items), 50)}" if items else ""
        fault = ' <span class="ms-tag bad">page fault</span>' if faults else ""
        look = "ms-here" if at == seq else "ms-later" if at > seq else ""
        when = "now" if at == seq else "to come" if at > seq else ""
        lines.append(
            f'<div class="{look}"><span class="soft num">{at:,}</span> {escape(words)}{escape(brought)}{fault}'
            f"{f' <span class=ms-tag>{when}</span>' if when else ''}</div>"
        )
    st.html(
        wrap(
            heading("Paging around here", "what was written, searched, paged out and in"),
            *(lines or ['<div class="soft">Nothing yet.</div>']),
        )
    )
    st.page_link(
        "pages/timeline.py",
        label="On the paging timeline",
        icon=":material/timeline:",
        query_params=moment.query(ws, seq, mark=str(seq)),
    )


def _stores(ws: Workspace, seq: int, state: State) -> None:
    """How much recall and archival storage held, and the newest of each."""
    pieces = []
    for key, table, many, name in (
        ("recall", "messages", state.messages, "Recall storage"),
        ("archival", "passages", state.passages, "Archival storage"),
    ):
        rows = player_rows.newest(ws, table, seq)
        listed = "".join(
            f'<div><b>{row["id"]}</b> <span class="soft">{escape(row["role"])}</span> '
            f"{escape(one_line(row['text'] or '', 110))}</div>"
            for row in rows
        )
        head = f'<b>{name}</b> <span class="num">{many:,} {table}</span>'
        pieces.append(line(key, head + (listed or '<div class="soft">Empty.</div>')))
    st.html(wrap(heading("Stores", f"as of event {seq:,}; the newest first"), *pieces))
