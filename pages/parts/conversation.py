"""The conversation: what was said, in bubbles, with what the memory did and each model call cost under each reply."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import streamlit as st

from memgpt_core.llm.demo import UNDERSTANDS
from memgpt_core.views.changes import changes, sentence
from memgpt_core.views.timing import Step, steps
from memgpt_core.views.transcript import Bubble, Move, transcript
from memgpt_core.views.truncation import cut
from memgpt_core.workspace import Workspace
from pages.parts import choices, sent_view
from pages.parts.frame import attempt
from pages.parts.markup import details, escape, line, text_box, wrap
from pages.parts.safe_md import safe_md
from pages.parts.steps import STYLE, costs, thoughts

SHOWN = 20
"""More bubbles than this make a browser slow while a turn is polled; what is older stands above them as plain text."""

OLD_AT_ONCE = 50
"""Older bubbles in one piece of the page."""

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
    "placed": ("recall", "Placed by the system, by the retrieval policy"),
    "flush": ("summary", "Queue flushed"),
    "review": ("working_context", "Session review: the agent was asked to reread the session and tidy its blocks"),
    "fault": ("", "Fault"),
    "asked": ("", "Waiting for your yes or no"),
    "end": ("", "Turn ended"),
    "fork": ("", "A life of its own from here"),
    "imported": ("", "Imported, not recorded by this agent"),
    "hand": ("working_context", "By hand"),
}


BESIDE = ("agent_configured", "truncation_suspected", "turn_resumed")
"""Events that stand between the bubbles."""


@contextmanager
def from_the_end(key: str, *, height: int) -> Iterator[None]:
    """A box of so many pixels that stands at its end and stays there as it grows, unless somebody scrolled up.

    The style sheet does it. Streamlit's own way asks for the box's height sixty times a second, which costs a browser
    with a long conversation as much as drawing the turn.
    """
    with st.container(height=height, key=key, border=False, autoscroll=False), st.container(key=f"{key}-all"):
        yield


def draw_history(
    ws: Workspace, last_seq: int, last_turn: int, zone: ZoneInfo, *, live: bool, newest_turns: int = TURNS
) -> None:
    """The bubbles up to `last_seq`: the newest ones, and a button for the older; live, also what to do next."""
    st.html(STYLE)
    turns = newest_turns + st.session_state[choices.OLDER]
    first_turn = max(1, last_turn - turns + 1)
    start = ws.turn_start(first_turn) if first_turn > 1 else 1
    items = list(_items(ws, ws.events(start, last_seq))) if last_seq else []
    older, shown = items[:-SHOWN], items[-SHOWN:]
    opened = bool(st.session_state[choices.OLDER])
    if first_turn > 1 or (older and not opened):
        st.button("Older messages", icon=":material/expand_less:", on_click=_older, shortcut="Alt+O", width="stretch")
    if live and not ws.busy and all(_kind(item) for item, _ in items):
        _empty(ws)
    for at in range(0, len(older) if opened else 0, OLD_AT_ONCE):
        piece = "".join(_old(ws, item, led, zone) for item, led in older[at : at + OLD_AT_ONCE])
        # Left out of the browser's work by the piece: it watches each thing that may be left out, at every frame.
        st.html(wrap(f'<div class="ms-olds">{piece}</div>'))
    for item, led in shown:
        _draw(ws, item, led, zone, finished=True)
    if live and ws.state().asked and not ws.busy:
        _question(ws)
    elif live and ws.can_resume:
        _ways_on(ws, [item for item, _ in shown])


def draw_running(ws: Workspace, from_seq: int, zone: ZoneInfo) -> None:
    """What the running turn has brought so far."""
    for item, led in _items(ws, ws.events(from_seq)):
        _draw(ws, item, led, zone, finished=False)


def _items(ws: Workspace, events: Sequence[Any]) -> Iterator[tuple[Any, list[Step]]]:
    """Bubbles and the events between them, in the order of the log; each reply with the model calls that led to it.

    Calls that have led to nothing yet come last, with None.
    """
    found: list[Any] = sorted(
        [*transcript(events), *(event for event in events if event.kind in BESIDE and event.seq > 1)],
        key=lambda item: item.seq,
    )
    known = bool(found) and events[0].seq > 1 and any(_kind(item) == "agent_configured" for item in found)
    called = steps(events, ws.state(at=events[0].seq - 1).settings.model if known else "")
    for item in found:
        led = [step for step in called if step.seq < item.seq] if getattr(item, "who", "") in ("agent", "end") else []
        called = called[len(led) :]
        yield item, led
    if called:
        yield None, called


def _kind(item: Any) -> str:
    """The kind of an event between the bubbles; empty for a bubble."""
    return getattr(item, "kind", "")


def _old(ws: Workspace, item: Any, led: list[Step], zone: ZoneInfo) -> str:
    """An older bubble, or what stands between them, as HTML: text as written, without Markdown."""
    who = getattr(item, "who", "")
    if who in ("user", "agent"):
        text = "You deleted this message." if item.changed == "deleted" else item.text
        return (
            f'<div class="ms-old {who}"><b>{"You" if who == "user" else "Agent"}</b> {_when(item, zone)}'
            f'<div class="ms-say">{escape(text)}</div>{"" if who == "user" else _under(item, led)}</div>'
        )
    if item is None:
        return thoughts(led) + costs(led)
    if _kind(item):
        return _between(ws, item, zone)
    return _separator(item, led, zone)


def _draw(ws: Workspace, item: Any, led: list[Step], zone: ZoneInfo, *, finished: bool) -> None:
    if item is None:
        st.html(wrap(thoughts(led), costs(led)))
    elif _kind(item):
        st.html(wrap(_between(ws, item, zone)))
    else:
        _bubble(ws, item, led, zone, finished=finished)


def _between(ws: Workspace, event: Any, zone: ZoneInfo) -> str:
    if event.kind == "agent_configured":
        return _configured(ws, event, zone)
    if event.kind == "truncation_suspected":
        return _cut(event, zone)
    return f'<div class="ms-note"><b>You had the turn run on</b> {_stamp(event, zone)}</div>'


def _configured(ws: Workspace, event: Any, zone: ZoneInfo) -> str:
    before = ws.state(at=event.seq - 1).settings.model_dump()
    what = sentence(changes(before, event.settings.model_dump())) or "nothing differs"
    return (
        f'<div class="ms-note"><b>Settings changed</b> {_stamp(event, zone)}<br>{escape(what)}. '
        "They hold from the next step on.</div>"
    )


def _cut(event: Any, zone: ZoneInfo) -> str:
    told = cut(event)
    return (
        f'<div class="ms-note bad" role="alert" style="border:2px solid #c0392b;border-left-width:6px">'
        f"<b>The model server seems to have cut the prompt</b> {_stamp(event, zone)}<br>{escape(told.says)}"
        f"<br>{escape(told.means)}<br><b>What to do:</b> {escape(told.do)}</div>"
    )


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


def _bubble(ws: Workspace, bubble: Bubble, led: list[Step], zone: ZoneInfo, *, finished: bool) -> None:
    """One bubble; a finished reply also says what was in the window."""
    if bubble.who == "user":
        with st.chat_message("user", avatar=":material/person:"):
            _said(bubble)
            st.html(wrap(_when(bubble, zone)))
    elif bubble.who == "agent":
        with st.chat_message("assistant", avatar=":material/memory:"):
            _said(bubble)
            st.html(wrap(_when(bubble, zone), _under(bubble, led)))
            if finished and bubble.prompt_seq:
                sent_view.draw(ws, bubble.prompt_seq, bubble.seq)
    else:
        st.html(wrap(_separator(bubble, led, zone)))


def _said(bubble: Bubble) -> None:
    if bubble.changed == "deleted":
        st.markdown(":material/visibility_off: *You deleted this message. It can be restored on the recall page.*")
    else:
        st.markdown(safe_md(bubble.text))


def _question(ws: Workspace) -> None:
    """The call that waits for a person, with the yes and the no."""
    waiting: Any = ws.state().asked
    event: Any = next(event for event in reversed(ws.events(waiting.reply)) if event.kind == "function_asked")
    with st.container(border=True, key="asked"):
        st.markdown(f"**{safe_md(ws.state().name)} asks to call `{event.name}`**")
        arguments = event.arguments.items() if isinstance(event.arguments, dict) else [("arguments", event.arguments)]
        boxes = (f'<div class="soft">{escape(name)}</div>{text_box(str(value))}' for name, value in arguments)
        st.html(wrap(*boxes))
        reason = st.text_input(
            "A word to the agent with a no (optional)", key=f"no-because:{ws.agent_id}:{event.seq}", max_chars=500
        )
        with st.container(horizontal=True, gap="small"):
            st.button("Yes, run it", key="answer:yes", type="primary", on_click=attempt, args=(ws.answer, True))
            st.button("No", key="answer:no", on_click=attempt, args=(ws.answer, False, reason))
        st.caption("Writing a message instead counts as no answer: the call is not run. Settings say which calls ask.")


def _ways_on(ws: Workspace, shown: Sequence[Any]) -> None:
    """After a turn that broke off: run it on, and where to mend what the model or its server did."""
    newest = next((item for item in reversed(shown) if getattr(item, "who", "") in ("fault", "end")), None)
    faults = [item for item in shown if getattr(item, "who", "") == "fault" and newest and item.turn == newest.turn]
    event: Any = ws.event(faults[-1].seq) if faults else None
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.button(
            "Run the turn on",
            key="resume",
            icon=":material/play_arrow:",
            on_click=attempt,
            args=(ws.resume,),
            help="The same messages, a new step, with the settings as they are now.",
        )
        if event is not None and event.where == "model":
            st.page_link(
                "pages/settings.py",
                label="Model and connection settings",
                icon=":material/tune:",
                query_params={"agent": ws.agent_id},
            )


def _when(bubble: Bubble, zone: ZoneInfo) -> str:
    plain = " · plain text, sent without send_message" if bubble.plain else ""
    return _stamp(bubble, zone, plain + (" · edited by you" if bubble.changed == "edited" else ""))


def _stamp(where: Any, zone: ZoneInfo, more: str = "") -> str:
    """When it was, with event and turn on hover; `where` has `seq`, `at` and `turn`."""
    at: datetime = where.at
    utc = f"{at:%Y-%m-%d %H:%M:%S} UTC, event {where.seq}, turn {where.turn}"
    return f'<span class="soft" title="{utc}">{at.astimezone(zone):%d %b %H:%M}{more}</span>'


def _separator(bubble: Bubble, led: list[Step], zone: ZoneInfo) -> str:
    key, name = _NAMES[bubble.who]
    bad = " bad" if bubble.who in ("fault", "warning") else ""
    note = f'<div class="ms-note ms-{key}{bad}"><b>{name}</b> {_when(bubble, zone)}<br>{escape(bubble.text)}</div>'
    return note + _under(bubble, led)


def _under(bubble: Bubble, led: list[Step]) -> str:
    return "".join(_move(move) for move in bubble.moves) + thoughts(led) + costs(led)


def _move(move: Move) -> str:
    says = escape(move.says)
    if not move.detail:
        return line(move.tier, says)
    if len(move.detail) <= SHORT_CHARS:
        return line(move.tier, f'{says} <span class="soft ms-say">{escape(move.detail)}</span>')
    return line(move.tier, details(says, text_box(move.detail, move.tier)))
