"""One event of the log opened: its words, its JSON, where it stands in the file, and the state after it."""

import json
from functools import partial

import streamlit as st

from memgpt_core.errors import LogCorrupt
from memgpt_core.events import Event, encode
from memgpt_core.views.log_rows import Fact, as_json, block_facts, in_words, state_facts
from pages.parts import choices, moment, player_bookmarks
from pages.parts.frame import Here
from pages.parts.markup import escape, heading, text_box, wrap
from pages.parts.safe_md import safe_md

EVENT = "event"
"""The name in the address of the event that is opened."""

SIDES = {"event": "The event", "state": "The state after it", "all": "All of the state"}
JSON_HEIGHT = 430


def asked(here: Here) -> int | None:
    """The event that the address opens; None when there is none, which is said when one was asked for."""
    if EVENT not in st.query_params:
        return None
    wanted = st.query_params[EVENT]
    if wanted.isascii() and wanted.isdigit() and len(wanted) < 16 and 1 <= int(wanted) <= here.seq:
        return int(wanted)
    last = here.ws.last_seq
    if wanted.isascii() and wanted.isdigit() and len(wanted) < 16 and 1 <= int(wanted) <= last:
        say = f"Event {wanted} comes after event {here.seq:,}, the one you look back to. Go back to live to see it."
    else:
        say = f"There is no event “{wanted}”: this agent has events 1 to {last:,}."
    st.warning(safe_md(say), icon=":material/search_off:")
    return None


def open_event(seq: int | None) -> None:
    """Open an event of the log, or close it; for callbacks."""
    if seq is None:
        st.query_params.pop(EVENT, None)
    else:
        st.query_params[EVENT] = str(seq)


def draw(here: Here, seq: int) -> None:
    """The event with everything about it."""
    ws = here.ws
    _steps(here, seq)
    try:
        event = ws.event(seq)
    except LogCorrupt as corrupt:
        st.error(str(corrupt), icon=":material/error:")
        return
    st.html(wrap(_head(here, event)))
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.button(
            "Look at every page as of this event",
            key="as_of",
            icon=":material/history:",
            on_click=moment.go,
            args=(seq,),
            disabled=here.at == seq,
            help="Every page then shows the agent as it was right after this event. Nothing is changed.",
        )
        st.page_link(
            "pages/timeline.py",
            label="On the timeline",
            icon=":material/timeline:",
            query_params=moment.query(ws, here.at, mark=str(seq)),
        )
        player_bookmarks.draw_menu(ws, seq)
    if marked := player_bookmarks.lines(ws, seq):
        st.html(marked)
    key = choices.log_shown(ws.agent_id)
    side = st.segmented_control(
        "Show",
        list(SIDES),
        format_func=SIDES.__getitem__,
        key=key,
        default="event",
        required=True,
        label_visibility="collapsed",
    )
    if side == "state":
        _state(here, seq)
    elif side == "all":
        st.caption(f"The whole state after event {seq:,}: what the next prompt and the next decision are made from.")
        _json(as_json(ws.state(seq).model_dump(mode="json")))
    else:
        _json(as_json(json.loads(encode(event))))
        st.download_button(
            "The line as it stands in the log",
            data=partial(_line, event),
            file_name=f"{ws.agent_id}-event-{seq}.json",
            mime="application/json",
            key="log_line",
            icon=":material/download:",
            on_click="ignore",
            help="Whole, where the JSON above cuts a long text.",
        )


def _line(event: Event) -> bytes:
    return f"{encode(event)}\n".encode()


def _json(text: str) -> None:
    st.code(text, language="json", wrap_lines=True, height=JSON_HEIGHT)


def _steps(here: Here, seq: int) -> None:
    last = here.seq
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"##### Event {seq:,}", width="content")
        for name, label, icon, to, off, keys in (
            ("before", "Previous", ":material/chevron_left:", seq - 1, seq == 1, "Alt+P"),
            ("after", "Next", ":material/chevron_right:", seq + 1, seq == last, "Alt+N"),
            ("close", "Close", ":material/close:", None, False, None),
        ):
            st.button(
                label,
                key=f"log_event:{name}",
                icon=icon,
                type="tertiary",
                disabled=off,
                on_click=open_event,
                args=(to,),
                shortcut=keys,
            )


def _head(here: Here, event: Event) -> str:
    local = event.at.astimezone(here.zone)
    offset, size = here.ws.line_of(event.seq)
    utc = f"{event.at:%Y-%m-%d %H:%M:%S.%f} UTC"
    author = getattr(event, "author", "")
    facts = [
        f'<time datetime="{event.at.isoformat()}" title="{utc}">{local:%a %d %b %Y %H:%M:%S}</time>',
        f"session {event.session}, turn {event.turn}, step {event.step}",
        f"by the {escape(author)}" if author else "",
        f'<span title="In the file run.jsonl, counted from its beginning">bytes {offset:,} to {offset + size:,} of the '
        f"log ({size:,} bytes)</span>",
    ]
    return (
        f'<div class="ms-say"><b>{escape(event.kind)}</b> · {escape(in_words(event))}</div>'
        f'<div class="soft">{" · ".join(fact for fact in facts if fact)}</div>'
    )


def _state(here: Here, seq: int) -> None:
    state = here.ws.state(seq)
    rows = "".join(_row(fact) for fact in state_facts(state))
    blocks = "".join(_block(fact) for fact in block_facts(state)) or '<div class="soft">No blocks yet.</div>'
    ids = ", ".join(entry.id for entry in state.queue) or "nothing"
    st.html(
        wrap(
            heading("What the agent was", f"after event {seq:,}"),
            f"<table>{rows}</table>",
            heading("Core memory", f"{len(state.blocks):,} blocks"),
            blocks,
            heading("In the queue, oldest first", f"{len(state.queue):,} messages"),
            f'<div class="num" style="white-space:normal">{escape(ids)}</div>',
        )
    )


def _row(fact: Fact) -> str:
    label = f'<td class="soft" style="white-space:nowrap;vertical-align:top;padding-right:.8rem">{escape(fact.label)}'
    return f'<tr>{label}</td><td style="overflow-wrap:anywhere">{escape(fact.says)}</td></tr>'


def _block(fact: Fact) -> str:
    text = text_box(fact.says, "working_context") if fact.says else '<div class="soft">Empty.</div>'
    return f'<div style="margin-top:.4rem">{escape(fact.label)}</div>{text}'
