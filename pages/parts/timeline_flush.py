"""A flush in full: the messages that left beside the summary that replaced them, and what a person can do with each.

What is done is an edit by hand, now; looking back, the buttons rest.
"""

from typing import Any

import streamlit as st

from memgpt_core.queue_manager import total_tokens
from memgpt_core.state import State
from memgpt_core.views.lost import RULE
from memgpt_core.views.paging import WHY
from memgpt_core.views.residency import Fate, fates
from memgpt_core.workspace import Workspace
from pages.parts import choices, frame, moment, pager, timeline_rows, timeline_window
from pages.parts.frame import Here
from pages.parts.markup import details, escape, heading, line, text_box, wrap
from pages.parts.timeline_warnings import lost_by, lost_terms

PAGE = 8
"""How many evicted messages are shown at once, each with its buttons."""

STRATEGIES = {
    "summarise_recursively": "a summary takes their place",
    "summarise_and_archive": "a summary takes their place and is stored in archival storage too",
    "archive_verbatim": "they are stored in archival storage as they were",
    "drop_with_notice": "a notice takes their place",
}
BACK_TO_LIVE = "Go back to live to edit"


def draw(here: Here, event: Any) -> None:
    """The flush of this event."""
    ws = here.ws
    messages, later = timeline_rows.kept(ws, timeline_rows.evicted, event.evicted, event.seq, here.seq)
    found = fates(event.evicted, messages, later, here.state.pinned)
    freed = event.tokens_before - event.tokens_after
    came = sum(fate.back is not None for fate in found)
    st.html(
        wrap(
            f"<div><b>{len(found):,} messages</b> left because {escape(WHY[event.trigger])} "
            f'(<span class="num">{event.flush_tokens:,} tokens</span>). '
            f'<b class="num">{freed:,} tokens</b> freed: <span class="num">{event.tokens_before:,} → '
            f"{event.tokens_after:,}</span>, the summary included. Policy: {escape(event.strategy.replace('_', ' '))} "
            f"({escape(STRATEGIES.get(event.strategy, 'see the settings'))}). "
            f"{came:,} of them came back since, {len(found) - came:,} did not.</div>"
        )
    )
    left, beside = st.columns([58, 42], gap="medium")
    with left:
        _draw_messages(here, event.seq, found)
    with beside:
        _draw_summary(here, event)


def _draw_summary(here: Here, event: Any) -> None:
    made = "written by the model" if event.summarised_by == "model" else "none could be made: this notice only counts"
    tokens = f"{event.measured.tokens:,} tokens" if event.measured.tokens is not None else ""
    st.html(wrap(heading("What stands for them", f"{made} · {tokens}"), text_box(event.summary, "summary")))
    covers = f"It stands for {event.covers:,} messages: those of this flush and of all before it."
    st.html(wrap(f'<div class="soft">{covers}</div>'))
    terms = lost_by(here.ws, event.seq, here.seq)
    said = f"{len(terms)} names, numbers or dates" if terms else "nothing found"
    st.html(wrap(heading("Lost by this flush", said), lost_terms(terms), f'<div class="soft">{escape(RULE)}</div>'))


def _draw_messages(here: Here, flush: int, found: list[Fate]) -> None:
    st.html(wrap(heading("What left the window", f"{len(found):,} messages, oldest first")))
    if said := st.session_state.get(choices.timeline_done(here.ws.agent_id)):
        st.success(said, icon=":material/check:")
    state = here.ws.state()
    st.caption(
        "**Bring back** queues the message again at the end of the FIFO queue. **Pin** does so too and keeps it there "
        "through every flush. **Save** copies its text into archival storage, where the agent can find it. "
        f"Main context holds {total_tokens(state):,} tokens now and is flushed above {state.settings.flush_tokens:,}."
    )
    first = pager.draw(f"timeline:flush:{flush}", len(found), PAGE, what="messages") if len(found) > PAGE else 0
    for fate in found[first : first + PAGE]:
        _draw_message(here, state, flush, fate)


def _draw_message(here: Here, now: State, flush: int, fate: Fate) -> None:
    tag = f'<span class="ms-tag">{escape(fate.says)}</span>'
    pin = ' <span class="ms-tag">pinned</span>' if fate.pinned else ""
    head = (
        f'<b>{escape(fate.id)}</b> {escape(fate.role)} <span class="soft num">{fate.tokens:,} tokens</span> {tag}{pin}'
        f"<div class='soft'>{escape(fate.excerpt) or 'no text'}</div>"
    )
    st.html(wrap(line("recall", details(head, text_box(fate.text, "recall")))))
    ws, past = here.ws, here.at is not None
    queued, pinned = any(entry.id == fate.id for entry in now.queue), fate.id in now.pinned
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key=f"fate-{fate.id}"):
        for name, icon, action, off, says in (
            ("Bring back", "undo", _bring_back, queued, _back_says(now, fate, queued=queued)),
            ("Unpin", "keep_off", _unpin, False, "Let it leave again with the next flush that reaches it")
            if pinned
            else ("Pin", "keep", _pin, False, _pin_says(now, fate, queued=queued)),
            ("Save", "archive", _save, False, "Copy its text into archival storage as a new passage"),
        ):
            st.button(
                name,
                key=f"timeline:{name}:{flush}:{fate.id}",
                icon=f":material/{icon}:",
                type="tertiary",
                disabled=past or off or fate.deleted,
                help=BACK_TO_LIVE if past else "It is deleted; restore it in Recall first" if fate.deleted else says,
                on_click=action,
                args=(ws, fate.id),
            )
        if fate.back is not None:
            st.button(
                f"Came back: event {fate.back:,}",
                key=f"timeline:back:{flush}:{fate.id}",
                icon=":material/near_me:",
                type="tertiary",
                on_click=timeline_window.look,
                args=(ws, fate.back),
            )
        st.page_link(
            "pages/recall.py",
            label="In recall",
            icon=":material/manage_search:",
            query_params=moment.query(ws, here.at, message=fate.id),
        )


def _back_says(now: State, fate: Fate, *, queued: bool) -> str:
    if queued:
        return "It has a slot in the queue already"
    after = total_tokens(now) + fate.tokens
    flush = now.settings.flush_tokens
    over = ", which is above the flush mark: the next step begins with a flush" if after > flush else ""
    return f"Queue it again: about {fate.tokens:,} tokens more, {after:,} of {flush:,}{over}"


def _pin_says(now: State, fate: Fate, *, queued: bool) -> str:
    keeps = "keep it in the queue through every flush"
    return keeps.capitalize() if queued else f"{_back_says(now, fate, queued=False)}. Then {keeps}"


# --- what is done ---------------------------------------------------------------------------------------------


def _bring_back(ws: Workspace, id: str) -> None:
    if _do(ws, ws.edits.requeue, [id]):
        _said(ws, f"{id} is in the queue again")


def _pin(ws: Workspace, id: str) -> None:
    queued = any(entry.id == id for entry in ws.state().queue)
    if (queued or _do(ws, ws.edits.requeue, [id])) and _do(ws, ws.edits.pin, [id]):
        _said(ws, f"{id} is {'' if queued else 'in the queue again and '}pinned")


def _unpin(ws: Workspace, id: str) -> None:
    if _do(ws, ws.edits.pin, [id], False):
        _said(ws, f"{id} may leave the queue again")


def _save(ws: Workspace, id: str) -> None:
    if _do(ws, ws.edits.messages_to_archival, [id]):
        _said(ws, f"{id} is copied into archival storage as p{ws.last_seq}; it stays in recall storage too")


def _do(ws: Workspace, action: Any, *args: Any) -> bool:
    st.session_state.pop(choices.timeline_done(ws.agent_id), None)
    return frame.attempt(action, *args)


def _said(ws: Workspace, sentence: str) -> None:
    state = ws.state()
    st.session_state[choices.timeline_done(ws.agent_id)] = (
        f"{sentence} (event {state.seq:,}). Main context holds {total_tokens(state):,} tokens."
    )
