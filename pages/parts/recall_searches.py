"""The agent's own searches of recall storage: what each got, and how the same search answers today or as of then."""

from typing import Any

import streamlit as st

from memgpt_core.events import Hit
from memgpt_core.views.passages import pieces, visible
from memgpt_core.views.past_searches import Comparison, Place, compare
from pages.parts import address, choices, export, pager, recall_rows
from pages.parts.frame import Here
from pages.parts.markup import escape, wrap
from pages.parts.recall_list import marked, when

SIZE = 10
LOOKED_AT = 200
"""How far down the new run is looked for what has left the agent's page."""

_MARKS = {"same": "=", "moved": "↕", "left": "−", "entered": "+"}
_SAYS = {"same": "same place", "moved": "moved", "left": "left the page", "entered": "came in"}


def draw(here: Here) -> None:
    """The searches until the point the page is drawn for, newest first; the chosen one run again under its line."""
    held = f"searches:{here.ws.agent_id}:{here.at}"
    first = st.session_state.get(choices.page_of(held), 0) * SIZE
    seqs, total = recall_rows.searches(here.ws, here.seq, first=first, size=SIZE)
    if not total:
        st.info(
            "The agent has not searched recall storage" + (" by this event." if here.at is not None else " yet."),
            icon=":material/manage_search:",
        )
        return
    st.caption(
        "Each time the agent called `conversation_search` or `conversation_search_date`. *Today* runs it on the "
        "messages as they are now, *as of then* on those of its own time: only another embedding model or another "
        "version of the ranking can make that differ."
    )
    pager.draw(held, total, SIZE, what="searches")
    chosen = st.session_state.get(choices.search_again(here.ws.agent_id))
    for seq in seqs:
        _search(here, here.ws.event(seq), chosen)


def _search(here: Here, event: Any, chosen: tuple[int, str] | None) -> None:
    got = event.measured.hits or ()
    asked = f"“{visible(event.query)}”" if event.query else f"{visible(event.start)} to {visible(event.end)}"
    days = f"{event.start} to {event.end}" if event.query and (event.start or event.end) else ""
    told = ", ".join(filter(None, (f"page {event.page}", f"by {event.mode.replace('+', ' and ')}", visible(days))))
    with st.container(border=True, gap="xsmall", key=f"search-{event.seq}"):
        st.html(
            wrap(
                f'<div><b>{escape(asked)}</b> <span class="soft">{when(event.at, here.zone)}, turn {event.turn}, event '
                f'{event.seq:,}</span></div><div class="soft">{escape(told)} · got {len(got)} of '
                f"{event.measured.total or 0:,}: {escape(', '.join(hit.id for hit in got)) or 'nothing'}</div>"
            )
        )
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            for how, label in (("today", "Run again today"), ("then", f"Run again as of event {event.seq:,}")):
                st.button(
                    label,
                    key=f"again:{event.seq}:{how}",
                    type="primary" if chosen == (event.seq, how) else "secondary",
                    on_click=_choose,
                    args=(here.ws.agent_id, event.seq, how),
                )
            recall_rows.link(here.ws, "pages/recall.py", "As a list", "list", at=here.at, q=event.query, mode="ranked")
        if chosen and chosen[0] == event.seq:
            _again(here, event, got, then=chosen[1] == "then")


def _choose(agent: str, seq: int, how: str) -> None:
    held = choices.search_again(agent)
    st.session_state[held] = None if st.session_state.get(held) == (seq, how) else (seq, how)


def _again(here: Here, event: Any, got: tuple[Hit, ...], *, then: bool) -> None:
    state = here.ws.state(at=event.seq - 1)
    size = state.settings.page_size
    first = (event.page - 1) * size
    # As the agent's own search does: what its turn had queued whole was before its eyes.
    asking = tuple(entry.id for entry in state.queue if entry.turn == state.turn and entry.clip is None)
    found = here.ws.recall(
        event.query,
        roles=event.roles,
        start=event.start,
        end=event.end,
        page_size=first + max(size, LOOKED_AT),
        at=event.seq if then else here.at,
        exclude=asking,
    )
    both = compare(got, found.hits, first=first, size=size)
    when_run = f"recomputed as of event {event.seq:,}" if then else "run on the messages of today"
    if here.at is not None and not then:
        when_run = f"recomputed as of event {here.at:,}, where this page stands"
    sentence = f"**{both.says}** {found.total:,} match in all ({when_run}); then it was {event.measured.total or 0:,}."
    if found.mode != event.mode:
        sentence += f" It was ranked by {event.mode} then, by {found.mode} now."
    if left := here.ws.not_embedded:
        sentence += f" {left:,} items have no vector yet, so similarity does not find them now."
    (st.success if both.same else st.info)(sentence, icon=":material/check:" if both.same else ":material/difference:")
    _places(here, event, both)


def _places(here: Here, event: Any, both: Comparison) -> None:
    texts = recall_rows.texts(here.ws, [place.id for place in both.places])
    for place in both.places:
        with st.container(horizontal=True, wrap=False, gap="small", vertical_alignment="top"):
            said = marked(pieces(texts.get(place.id, ""), event.query))
            st.html(
                wrap(
                    f'<div><b title="{_SAYS[place.what]}">{_MARKS[place.what]}</b> <b>{escape(place.id)}</b> '
                    f'<span class="num">{_told(place)}</span></div><div class="ms-said short soft">{said}</div>'
                )
            )
            st.button(
                "Open",
                key=f"hit:{event.seq}:{place.id}",
                type="tertiary",
                on_click=address.put,
                args=("message", place.id),
            )
    export.draw(
        f"search of event {event.seq}",
        lambda: [place._asdict() for place in both.places],
        key="search",
        count=len(both.places),
    )


def _told(place: Place) -> str:
    then = f"place {place.then}, score {place.then_score:.3f}" if place.then else "not on its page"
    now = f"place {place.now}, score {place.now_score:.3f}" if place.now else "not found, or further down"
    return f"{_SAYS[place.what]}: {then} then; {now} now"
