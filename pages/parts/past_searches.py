"""The agent's own searches of one storage: what each got, and how the same search answers today or as of then."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import streamlit as st

from memgpt_core.events import Hit
from memgpt_core.search import Found
from memgpt_core.views.passages import pieces, visible
from memgpt_core.views.past_searches import Comparison, Place, compare
from memgpt_core.workspace import Workspace
from pages.parts import address, choices, export, hit_places, hits, moment, pager
from pages.parts.frame import Here
from pages.parts.markup import escape, wrap
from pages.parts.recall_list import marked, when

SIZE = 10
LOOKED_AT = 200
"""How far down the new run is looked for what has left the agent's page."""

_MARKS = {"same": "=", "moved": "↕", "left": "−", "entered": "+"}
_SAYS = {"same": "same place", "moved": "moved", "left": "left the page", "entered": "came in"}


class Storage(NamedTuple):
    """One of the two storages, as this part needs it.

    Attributes:
        called: the functions by which the agent searches it, for a sentence.
        kind: of the event a search leaves.
        run: makes an event's search again over so many hits from the first, as of an event (None: now).
        texts: the beginnings of the last texts that items had, by id.
        open: the name in the address of the item that is open.
        look: the page and what its address has for a search like this, with a name.
    """

    name: str
    called: str
    items: str
    kind: str
    run: Callable[[Workspace, Any, int, int | None], Found]
    texts: Callable[[Workspace, Sequence[str]], Mapping[str, str]]
    open: str
    page: str
    look: Mapping[str, str]


def draw(here: Here, storage: Storage) -> None:
    """The searches until the point the page is drawn for, newest first; the chosen one run again under its line."""
    st.html(hits.STYLE)
    held = f"{storage.kind}:{here.ws.agent_id}:{here.at}"
    seqs, total = _searches(here, storage, first=st.session_state.get(choices.page_of(held), 0) * SIZE)
    if not total:
        st.info(
            f"The agent has not searched {storage.name} storage"
            + (" by this event." if here.at is not None else " yet."),
            icon=":material/manage_search:",
        )
        return
    st.caption(
        f"Each time the agent called {storage.called}. *Today* runs it on the {storage.items} as they are now, *as of "
        "then* on those of its own time: only another embedding model or another version of the ranking can make that "
        "differ."
    )
    pager.draw(held, total, SIZE, what="searches")
    chosen = st.session_state.get(choices.search_again(here.ws.agent_id, storage.name))
    for seq in seqs:
        _search(here, storage, here.ws.event(seq), chosen)


def _searches(here: Here, storage: Storage, *, first: int) -> tuple[list[int], int]:
    which, params = "kind = $kind AND seq_from <= $n", {"kind": storage.kind, "n": here.seq}
    total = here.ws.rows(f"SELECT count(*) AS total FROM events WHERE {which}", params)[0]["total"]
    found = here.ws.rows(
        f"SELECT seq_from FROM events WHERE {which} ORDER BY seq_from DESC LIMIT $size OFFSET $first",
        {**params, "size": SIZE, "first": first},
    )
    return [row["seq_from"] for row in found], total


def _search(here: Here, storage: Storage, event: Any, chosen: tuple[int, str] | None) -> None:
    got = event.measured.hits or ()
    days = f"{event.start or 'the beginning'} to {event.end or 'now'}" if event.start or event.end else ""
    asked = f"“{visible(event.query)}”" if event.query else visible(days)
    tags = f"tags {', '.join(map(visible, event.tags))}" if getattr(event, "tags", ()) else ""
    told = [f"page {event.page}", f"by {event.mode.replace('+', ' and ')}", tags, visible(days) if event.query else ""]
    with st.container(border=True, gap="xsmall", key=f"search-{event.seq}"):
        st.html(
            wrap(
                f'<div><b>{escape(asked)}</b> <span class="soft">{when(event.at, here.zone)}, turn {event.turn}, step '
                f'{event.step}, event {event.seq:,}</span></div><div class="soft">'
                f"{escape(', '.join(filter(None, told)))} · got {len(got)} of {event.measured.total or 0:,}: "
                f"{escape(', '.join(hit.id for hit in got)) or 'nothing'}</div>"
            )
        )
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            for how, label in (("today", "Run again today"), ("then", f"Run again as of event {event.seq:,}")):
                st.button(
                    label,
                    key=f"again:{event.seq}:{how}",
                    type="primary" if chosen == (event.seq, how) else "secondary",
                    on_click=_choose,
                    args=(choices.search_again(here.ws.agent_id, storage.name), event.seq, how),
                )
            st.page_link(
                storage.page,
                label="As a list",
                icon=":material/list:",
                query_params=moment.query(here.ws, here.at, q=event.query, **storage.look),
            )
        if chosen and chosen[0] == event.seq:
            _again(here, storage, event, got, then=chosen[1] == "then")


def _choose(held: str, seq: int, how: str) -> None:
    st.session_state[held] = None if st.session_state.get(held) == (seq, how) else (seq, how)


def _again(here: Here, storage: Storage, event: Any, got: tuple[Hit, ...], *, then: bool) -> None:
    size = here.ws.state(at=event.seq - 1).settings.page_size
    first = (event.page - 1) * size
    found = storage.run(here.ws, event, first + max(size, LOOKED_AT), event.seq if then else here.at)
    both = compare(got, found.hits, first=first, size=size)
    when_run = f"recomputed as of event {event.seq:,}" if then else f"run on the {storage.items} of today"
    if here.at is not None and not then:
        when_run = f"recomputed as of event {here.at:,}, where this page stands"
    sentence = f"**{both.says}** {found.total:,} match in all ({when_run}); then it was {event.measured.total or 0:,}."
    if found.mode != event.mode:
        sentence += f" It was ranked by {event.mode} then, by {found.mode} now."
    if left := here.ws.not_embedded:
        sentence += f" {left:,} items have no vector yet, so similarity does not find them now."
    (st.success if both.same else st.info)(sentence, icon=":material/check:" if both.same else ":material/difference:")
    _places(here, storage, event, both, {hit.id: hit for hit in got}, {hit.id: hit for hit in found.hits})


def _places(
    here: Here, storage: Storage, event: Any, both: Comparison, then: Mapping[str, Hit], now: Mapping[str, Hit]
) -> None:
    ids = [place.id for place in both.places]
    texts, where = storage.texts(here.ws, ids), hit_places.lines(here, ids, event.seq)
    for place in both.places:
        with st.container(horizontal=True, wrap=False, gap="small", vertical_alignment="top"):
            said = marked(pieces(texts.get(place.id, ""), event.query))
            st.html(
                wrap(
                    f'<div><b title="{_SAYS[place.what]}">{_MARKS[place.what]}</b> <b>{escape(place.id)}</b> '
                    f'<span class="num">{_told(place)}</span></div>'
                    f'<div class="soft">{where.get(place.id, "")}</div>{_each(then.get(place.id), now.get(place.id))}'
                    f'<div class="ms-said short soft">{said}</div>'
                )
            )
            st.button(
                "Open",
                key=f"hit:{event.seq}:{place.id}",
                type="tertiary",
                on_click=address.put,
                args=(storage.open, place.id),
            )
    export.draw(
        f"search of event {event.seq}",
        lambda: [place._asdict() for place in both.places],
        key="search",
        count=len(both.places),
    )


def _each(then: Hit | None, now: Hit | None) -> str:
    """How it was ranked by words and by vectors: once when that is the same in both runs."""
    if then and now and hits.each(then) != hits.each(now):
        return hits.each(then, "then: ") + hits.each(now, "now: ")
    hit = then or now
    return hits.each(hit) if hit else ""


def _told(place: Place) -> str:
    then = f"place {place.then}, score {place.then_score:.3f}" if place.then else "not on its page"
    now = f"place {place.now}, score {place.now_score:.3f}" if place.now else "not found, or further down"
    return f"{_SAYS[place.what]}: {then} then; {now} now"
