"""The passages on the page: all that the filters let through, or what a search found with how it was ranked."""

from typing import Any

import streamlit as st

from memgpt_core import passages
from memgpt_core.documents.library import Place
from memgpt_core.events import Hit
from memgpt_core.passages import Embedding
from memgpt_core.ranking import Weights
from memgpt_core.search import WhyNot
from memgpt_core.views.blocks import AUTHORS
from memgpt_core.views.hits import age, formula, measured, split
from memgpt_core.views.passages import EXCERPT_CHARS, Piece, excerpt, visible
from pages.parts import address, archival_asked, archival_rows, choices, export, hit_places, hits, pager
from pages.parts.archival_asked import Asked
from pages.parts.frame import Here
from pages.parts.hits import NEAR_SHOWN, SCORE_MOST
from pages.parts.markup import escape
from pages.parts.safe_md import safe_md

SIZE = 15
HITS_MOST = 400

STYLE = """<style>
.ms-passage{border-left:0}.ms-where{overflow-wrap:anywhere;unicode-bidi:isolate}
.ms-passage .ms-text{max-height:7.5rem;unicode-bidi:isolate}
.ms-open{box-shadow:inset 3px 0 0 light-dark(#4f7f2b,#8cbc62);padding-left:.5rem}
</style>"""

_BADGES: dict[Embedding, tuple[str, str]] = {
    "other": ("other model", "Its vector is of another embedding model than this agent's: found by words only."),
    "none": ("not embedded", "It has no vector yet: found by words only."),
}


def draw(here: Here, asked: Asked) -> None:
    """The list, or the hits when there is a query."""
    st.html(STYLE + hits.STYLE)
    if asked.query.strip() and not asked.wanted.deleted:
        _hits(here, asked)
        return
    if asked.query.strip():
        st.caption("A search ranks passages that stand; the deleted ones are listed by date.")
    _all(here, asked)


def rows_of(here: Here, ids: list[str]) -> list[dict[str, Any]]:
    """Whole rows of passages as of the point the page is drawn for, in this order; one that is gone is left out."""
    return list(here.ws.projections.items(ids, at=here.seq).values())


def _all(here: Here, asked: Asked) -> None:
    select, wanted = here.ws.rows, asked.wanted
    total = passages.counted(select, wanted, here.seq)
    if not total:
        _empty(here, asked)
        return
    controls = st.container(horizontal=True, vertical_alignment="center", gap="medium")
    with controls, st.container(width="content"):
        first = pager.draw(asked.key, total, SIZE, what="deleted passages" if wanted.deleted else "passages")
    rows = passages.listed(select, wanted, here.seq, first=first, size=SIZE, oldest_first=asked.oldest_first)
    with controls:
        st.segmented_control(
            "Order",
            ["newest", "oldest"],
            format_func=lambda order: f"{order.title()} first",
            required=True,
            label_visibility="collapsed",
            **address.field("archival:order", "oldest" if asked.oldest_first else "newest", "newest"),
        )
        if not wanted.deleted:
            _pick_buttons(here, [row["id"] for row in rows], total, asked)
        export.draw(
            f"{here.state.name} passages",
            lambda: passages.whole(select, wanted, here.seq, most=export.ROWS_MOST),
            key="passages",
            count=total,
        )
    marks = archival_rows.embedded(here, rows)
    places = here.ws.documents.places([row["id"] for row in rows], here.seq)
    for row in rows:
        _card(here, asked, row, excerpt(row["text"], ""), marks[row["id"]], places.get(row["id"]))


def _hits(here: Here, asked: Asked) -> None:
    weigh = here.ws.projections.weights
    found = here.ws.archival(
        asked.query,
        **asked.wanted.scope(),
        page_size=HITS_MOST,
        at=here.at,
        floor=weigh.near,
    )
    if here.at is not None:
        st.info(
            f"Recomputed: today's search over the passages as they stood after event {here.at:,}. What the agent "
            "itself got at the time is under *Past searches*.",
            icon=":material/history:",
        )
    _threshold(asked)
    st.caption(
        f"Ranked by **{'words only' if found.mode == 'words' else found.mode.replace('+', ' and ')}**. "
        f"{formula(weigh, found.mode)}"
    )
    over, near = split(found.hits, asked.by, asked.least, weigh)
    shown = f"the first {HITS_MOST:,} of {found.total:,} candidates" if found.total > HITS_MOST else ""
    if not over:
        st.info(
            f"No passage {'reaches the threshold' if asked.least else 'has a word of the query, or a vector near it'}"
            f"{', with these filters' if asked.filters else ''}. "
            + ("The near misses are below." if near else "Try other words, or clear the filters."),
            icon=":material/search_off:",
        )
    else:
        with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
            with st.container(width="content"):
                first = pager.draw(asked.key, len(over), SIZE, what=f"hits{' among ' + shown if shown else ''}")
            _pick_buttons(here, [hit.id for _, hit in over[first : first + SIZE]], 0, asked)
            export.draw(
                f"{here.state.name} passages found",
                lambda: _hit_rows(here, found.hits),
                key="hits",
                count=len(found.hits),
            )
        _hit_cards(here, asked, over[first : first + SIZE], weigh)
    if near:
        label = f"Near misses: {len(near):,} under the threshold, or left out by the agent's own search"
        with st.expander(label, icon=":material/near_me_disabled:", expanded=not over):
            _hit_cards(here, asked, near[:NEAR_SHOWN], weigh)
            if len(near) > NEAR_SHOWN:
                st.caption(f"The nearest {NEAR_SHOWN} of {len(near):,} are shown; lower the threshold for more.")
    hits.ask_why(
        here,
        "archival",
        asked.why,
        "p12",
        "archival",
        lambda id: why_not(here, asked, id),
        where=lambda id: hit_places.lines(here, [id]).get(id, ""),
    )


def why_not(here: Here, asked: Asked, id: str) -> WhyNot:
    """Where a passage ranks in the search that is shown, by the agent's own rule, and what keeps it off the page."""
    page = 1 + st.session_state.get(choices.page_of(asked.key), 0)
    return here.ws.why_not(id, asked.query, **asked.wanted.scope(), page=page, page_size=SIZE, at=here.at)


def _threshold(asked: Asked) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.segmented_control(
            "Threshold on",
            ["score", "cosine"],
            format_func={"score": "fused score", "cosine": "cosine"}.get,
            required=True,
            **address.field("archival:by", asked.by, "score"),
        )
        st.slider(
            "At least (what is under it is a near miss)",
            0.0,
            SCORE_MOST if asked.by == "score" else 1.0,
            step=0.01,
            **address.field("archival:least", min(asked.least, SCORE_MOST if asked.by == "score" else 1.0), 0.0),
        )


def _hit_rows(here: Here, found: tuple[Hit, ...]) -> list[dict[str, Any]]:
    rows = {row["id"]: row for row in rows_of(here, [hit.id for hit in found])}
    places = here.ws.documents.places(rows, here.seq)
    names = ("at", "session", "turn", "step", "tags", "source", "text")
    return [
        {
            "place": place,
            **hit.model_dump(),
            **{name: rows[hit.id][name] for name in names},
            **_stands(places.get(hit.id)),
        }
        for place, hit in enumerate(found, 1)
        if hit.id in rows
    ]


def _stands(place: Place | None) -> dict[str, Any]:
    return {
        "document": place.document if place else "",
        "passage_number": place.number if place else None,
        "page": place.page if place else None,
        "under": list(place.title_path) if place else [],
    }


def _hit_cards(here: Here, asked: Asked, found: list[tuple[int, Hit]], weigh: Weights) -> None:
    if not found:
        return
    ids = [hit.id for _, hit in found]
    there = here.ws.rows(
        "SELECT *, length(text) AS chars, sha256(text) AS hash FROM passages WHERE id IN (SELECT unnest($ids)) "
        "AND seq_from <= $n AND (seq_to IS NULL OR seq_to > $n)",
        {"ids": ids, "n": here.seq},
    )
    rows = {row["id"]: row for row in there}
    marks = archival_rows.embedded(here, there)
    places = here.ws.documents.places(rows, here.seq)
    for place, hit in found:
        if hit.id in rows:
            row, under = rows[hit.id], measured(hit, asked.by) < asked.least
            lines = hits.scored(place, hit, weigh, "archival", " · under the threshold" if under else "")
            _card(here, asked, row, excerpt(row["text"], asked.query), marks[hit.id], places.get(hit.id), lines)


def _card(
    here: Here,
    asked: Asked,
    row: dict[str, Any],
    text: list[Piece],
    mark: Embedding,
    place: Place | None,
    score: str = "",
) -> None:
    id = row["id"]
    opened = " ms-open" if asked.passage == id else ""
    badge = ""
    if mark in _BADGES:
        short, says = _BADGES[mark]
        badge = f' <span class="ms-tag bad" title="{escape(says)}">{short}</span>'
    tags = "".join(f' <span class="ms-tag">{escape(visible(tag))}</span>' for tag in row["tags"])
    where = hit_places.of_passage(here, row, place)
    source = f'<div class="soft ms-where">{where}</div>' if where else ""
    at = row["at"]
    more = f" · {row['chars']:,} characters" if row["chars"] > EXCERPT_CHARS else ""
    head = (
        f"<div><b>{id}</b> "
        f'<span class="soft" title="{at:%Y-%m-%d %H:%M:%S} UTC">{at.astimezone(here.zone):%d %b %Y %H:%M}</span>'
        f'<span class="soft"> · {age(at, here.state.at)} · session {row["session"]}, turn {row["turn"]}, step '
        f"{row['step']} · by {AUTHORS.get(row['author'], '')}{more}</span>"
        f"{tags}{badge}</div>{source}"
    )
    body = "".join(f"<mark>{escape(visible(p.text))}</mark>" if p.hit else escape(visible(p.text)) for p in text)
    box = f'<div class="ms-text ms-archival" dir="auto">{body}</div>'
    with st.container(horizontal=True, wrap=False, vertical_alignment="top", gap="small", key=f"card-{id}"):
        if not asked.wanted.deleted:
            picked = st.session_state.get(choices.passages_picked(here.ws.agent_id), ())
            key = f"pick:{here.ws.agent_id}:{id}"
            st.session_state[key] = id in picked
            st.checkbox(
                f"Select {id}",
                key=key,
                label_visibility="collapsed",
                on_change=_pick,
                args=(here.ws.agent_id, key, id),
                width="content",
            )
        st.html(f'<div class="ms ms-passage{opened}">{head}{score}{box}</div>', width="stretch")
        st.button(
            "Open",
            key=f"open:{id}",
            help=f"Open {id} beside the list",
            type="tertiary",
            on_click=address.put,
            args=("passage", id),
        )


def _pick(agent_id: str, key: str, id: str) -> None:
    held = choices.passages_picked(agent_id)
    before = [one for one in st.session_state.get(held, ()) if one != id]
    st.session_state[held] = (*before, id) if st.session_state[key] else tuple(before)


def _pick_buttons(here: Here, shown: list[str], total: int, asked: Asked) -> None:
    agent = here.ws.agent_id
    st.button("Select this page", type="tertiary", on_click=_add, args=(agent, shown), key="pick-page")
    if total > len(shown):
        most = min(total, PICKED_MOST)
        st.button(
            f"Select all {total:,}" if total <= PICKED_MOST else f"Select the newest {most:,}",
            type="tertiary",
            key="pick-all",
            on_click=_add_all,
            args=(here, asked),
        )


PICKED_MOST = 1000
"""One edit writes an event a passage and one sync; more at once would hold the agent up."""


def _add(agent_id: str, ids: list[str]) -> None:
    held = choices.passages_picked(agent_id)
    st.session_state[held] = tuple(dict.fromkeys([*st.session_state.get(held, ()), *ids]))[:PICKED_MOST]


def _add_all(here: Here, asked: Asked) -> None:
    _add(here.ws.agent_id, passages.ids(here.ws.rows, asked.wanted, here.seq, most=PICKED_MOST))


def _empty(here: Here, asked: Asked) -> None:
    if asked.filters:
        st.info(f"No passage {archival_asked.in_words(asked)}. Clear a filter to see more.", icon=":material/search:")
    else:
        st.info(
            f"{safe_md(here.state.name)} has stored nothing here"
            + (" by this event" if here.at is not None else " yet")
            + ". Passages come from the agent's own archival_memory_insert, from files on the documents page, from "
            "messages you copy on the recall page, or from *New passage* above.",
            icon=":material/inventory_2:",
        )
        archival_rows.link(here.ws, "pages/documents.py", "Add documents", "library_books", at=here.at)
