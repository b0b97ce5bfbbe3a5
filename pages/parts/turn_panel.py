"""What the memory does in the turn that runs, or did in the last one: calls, what left, what came in."""

import streamlit as st

from memgpt_core.state import State
from memgpt_core.views.calls import CallRow, calls
from memgpt_core.views.paging import PagedIn, PagedOut, ids_of, paged_in, paged_out
from memgpt_core.workspace import Workspace
from pages.parts.markup import details, escape, heading, line, text_box, wrap

SHOWN_CALLS = 8

_RESIDENCY = (
    "SELECT item, carrier, how, seq_from, fault FROM residency WHERE turn = ? AND how <> 'slot' AND seq_from <= ?"
)

_OUTCOMES = {"ok": "ok", "failed": "✗ failed", "running": "… running", "waiting": "waiting", "not run": "not run"}


def draw_calls(ws: Workspace, state: State) -> None:
    """The last function calls of the turn, newest first, with arguments, result and seconds."""
    rows = calls(_events(ws, state))
    st.html(wrap(heading("Function calls", _which(state))))
    if not rows:
        st.html(wrap('<div class="soft">None yet. Each call shows here with its arguments, result and time.</div>'))
    for row in reversed(rows[-SHOWN_CALLS:]):
        st.html(wrap(_call(row)))
    if len(rows) > SHOWN_CALLS:
        st.html(wrap(f'<div class="soft">and {len(rows) - SHOWN_CALLS} earlier in this turn</div>'))


def draw_paging(ws: Workspace, state: State) -> None:
    """What was paged out and in during the turn."""
    events = _events(ws, state)
    residency = ws.rows(_RESIDENCY, (state.turn, state.seq))
    ids = ids_of(events, residency)
    items = ws.items(ids) if ids else {}
    left, came = paged_out(events, items), paged_in(events, residency, items)
    st.html(wrap(heading("Paged out and in", _which(state))))
    if not left and not came:
        st.html(wrap('<div class="soft">Nothing left the window and nothing was brought back.</div>'))
    for flush in left:
        st.html(wrap(_out(flush)))
    for item in came:
        st.html(wrap(_in(item)))


def draw_notes(ws: Workspace, state: State) -> None:
    """The scratch notes; their text is out of the window until the agent reads it."""
    st.html(wrap(heading("Scratch notes", "outside the window until read")))
    if not state.notes:
        st.html(wrap('<div class="soft">None. The agent writes them with note_write.</div>'))
    for note in state.notes.values():
        written = ws.event(note.seq)
        body = text_box(written.text, "notes") if written.kind == "note_written" else ""
        st.html(
            wrap(
                line(
                    "notes",
                    details(
                        f'<b>{escape(note.name)}</b> <span class="soft num">{note.chars:,} characters</span>', body
                    ),
                )
            )
        )


def _events(ws: Workspace, state: State) -> list:
    start = ws.turn_start(state.turn) if state.turn else 0
    return ws.events(start, state.seq) if start else []


def _which(state: State) -> str:
    if not state.turn:
        return "no turn yet"
    return f"turn {state.turn}, running" if state.turn_open else f"turn {state.turn}, the last one"


def _call(row: CallRow) -> str:
    took = "" if row.seconds is None else f"{row.seconds:.2f} s" if row.seconds >= 0.005 else "< 0.01 s"
    bad = " bad" if row.outcome == "failed" else ""
    first = row.arguments[0][1] if row.arguments else ""
    head = (
        f"<b>{escape(row.name)}</b> <span class='ms-tag{bad}'>{_OUTCOMES[row.outcome]}</span> "
        f"<span class='soft num'>{took}</span>"
        f"<div class='soft'>{escape(first[:90])}{'…' if len(first) > 90 else ''}</div>"
    )
    arguments = "".join(
        f'<div class="soft">{escape(name)}</div>{text_box(value, row.tier)}' for name, value in row.arguments
    )
    result = f'<div class="soft">result</div>{text_box(row.value)}' if row.value else ""
    beat = '<div class="soft">heartbeat: control went straight back to the agent</div>' if row.heartbeat else ""
    return line(row.tier, details(head, arguments + result + beat))


def _out(flush: PagedOut) -> str:
    # None leave where only a summary was imported, of messages that were not in the file.
    which = f", {escape(flush.ids[0])} to {escape(flush.ids[-1])}" if flush.ids else ""
    head = (
        f"<b>Out</b>: {len(flush.ids)} messages{which} "
        f'<span class="soft">because {escape(flush.why)}; '
        f"{flush.tokens_before:,} → {flush.tokens_after:,} tokens</span>"
    )
    gone = "".join(f"<div><b>{escape(id)}</b> {escape(text)}</div>" for id, text in flush.excerpts)
    stands = "The summary that stands for them" if flush.summarised_by == "model" else "No summary could be made"
    return line(
        "messages", details(head, f'{gone}<div class="soft">{stands}</div>{text_box(flush.summary, "summary")}')
    )


def _in(item: PagedIn) -> str:
    fault = '<span class="ms-tag bad">page fault</span> ' if item.fault else ""
    how = "queued again" if item.how == "requeue" else f"as a copy in {item.carrier}"
    return line(
        item.tier,
        f"<b>In</b>: {escape(item.item)} {fault}<span class='soft'>{escape(how)}"
        f"{', brought by ' + escape(item.brought_by) if item.brought_by else ''}</span>"
        f"<div class='soft'>{escape(item.excerpt)}</div>",
    )
