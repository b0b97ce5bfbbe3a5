"""The conversation: what was said, in bubbles, with what the memory did under each reply."""

from zoneinfo import ZoneInfo

import streamlit as st

from memgpt_core.llm.demo import UNDERSTANDS
from memgpt_core.views.transcript import Bubble, Move, transcript
from memgpt_core.workspace import Workspace
from pages.parts import choices, sent_view
from pages.parts.frame import attempt
from pages.parts.markup import details, escape, line, text_box, wrap
from pages.parts.safe_md import safe_md

SHOWN = 50
"""More bubbles than this make a browser slow while a turn is polled."""

TURNS = 20
SUGGESTED = 4

SHORT_CHARS = 120
"""What the memory did is shown at once up to this length, and behind a fold beyond it."""

_NAMES = {
    "system": ("messages", "System message"),
    "login": ("", "Login"),
    "timer": ("", "Timer"),
    "upload": ("cold", "Upload"),
    "warning": ("", "Memory pressure warning, told to the agent"),
    "flush": ("summary", "Queue flushed"),
    "fault": ("", "Fault"),
    "end": ("", "Turn ended"),
    "hand": ("working_context", "By hand"),
}


def draw_history(ws: Workspace, last_seq: int, last_turn: int, zone: ZoneInfo) -> None:
    """The bubbles up to `last_seq`: the newest ones, and a button for the older."""
    turns = TURNS + st.session_state[choices.OLDER]
    first_turn = max(1, last_turn - turns + 1)
    start = ws.turn_start(first_turn) if first_turn > 1 else 1
    bubbles = transcript(ws.events(start, last_seq)) if last_seq else []
    shown = bubbles if st.session_state[choices.OLDER] else bubbles[-SHOWN:]
    if first_turn > 1 or len(shown) < len(bubbles):
        st.button("Older messages", icon=":material/expand_less:", on_click=_older, shortcut="Alt+O", width="stretch")
    if not bubbles and not ws.busy:
        _empty(ws)
    for bubble in shown:
        draw_bubble(ws, bubble, zone, finished=True)


def _older() -> None:
    st.session_state[choices.OLDER] += TURNS


def _empty(ws: Workspace) -> None:
    state = ws.state()
    st.markdown(f"##### Say something to {safe_md(state.name)}")
    st.markdown(
        "Type below and watch the right side: the bar fills, the agent writes what it learns into its **core memory**, "
        "and when the window is full the oldest messages leave it and can be searched for."
    )
    if state.settings.model == "demo":
        st.caption("The demo model understands a few kinds of sentences. Try one:")
        for what, example in UNDERSTANDS[:SUGGESTED]:
            st.button(example, key=f"try:{what}", on_click=attempt, args=(ws.send, example), help=what)


def draw_bubble(ws: Workspace, bubble: Bubble, zone: ZoneInfo, *, finished: bool) -> None:
    """One bubble; a finished reply also says what was in the window."""
    if bubble.who == "user":
        with st.chat_message("user", avatar=":material/person:"):
            st.markdown(safe_md(bubble.text))
            st.html(wrap(_when(bubble, zone)))
    elif bubble.who == "agent":
        with st.chat_message("assistant", avatar=":material/memory:"):
            st.markdown(safe_md(bubble.text))
            st.html(wrap(_when(bubble, zone), _under(bubble)))
            if finished and bubble.prompt_seq:
                sent_view.draw(ws, bubble.prompt_seq, bubble.seq)
    else:
        st.html(wrap(_separator(bubble, zone)))


def _when(bubble: Bubble, zone: ZoneInfo) -> str:
    here = bubble.at.astimezone(zone)
    utc = f"{bubble.at:%Y-%m-%d %H:%M:%S} UTC, event {bubble.seq}, turn {bubble.turn}"
    plain = " · plain text, sent without send_message" if bubble.plain else ""
    return f'<span class="soft" title="{utc}">{here:%d %b %H:%M}{plain}</span>'


def _separator(bubble: Bubble, zone: ZoneInfo) -> str:
    key, name = _NAMES[bubble.who]
    bad = " bad" if bubble.who in ("fault", "warning") else ""
    note = f'<div class="ms-note ms-{key}{bad}"><b>{name}</b> {_when(bubble, zone)}<br>{escape(bubble.text)}</div>'
    return note + _under(bubble)


def _under(bubble: Bubble) -> str:
    moves = "".join(_move(move) for move in bubble.moves)
    if not bubble.thoughts:
        return moves
    return moves + details('<span class="soft">Inner monologue</span>', text_box(bubble.thoughts))


def _move(move: Move) -> str:
    says = escape(move.says)
    if not move.detail:
        return line(move.tier, says)
    if len(move.detail) <= SHORT_CHARS:
        return line(move.tier, f'{says} <span class="soft ms-say">{escape(move.detail)}</span>')
    return line(move.tier, details(says, text_box(move.detail, move.tier)))
