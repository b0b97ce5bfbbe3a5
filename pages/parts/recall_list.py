"""The messages that pass the filters, a page at a time, with the hits marked; picking some of them."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import streamlit as st

from memgpt_core.message_search import EXCERPT_CHARS, MessageFilter, MessagePage
from memgpt_core.search import WhyNot
from memgpt_core.views.hits import age, formula, near_misses
from memgpt_core.views.messages import ROLES, hits_found, speaker, whereabouts
from memgpt_core.views.messages import hits as stretches
from memgpt_core.views.passages import Piece, pieces, visible
from pages.parts import address, choices, export, hit_places, hits, pager, recall_asked, recall_rows
from pages.parts.frame import Here
from pages.parts.markup import chip, escape, wrap
from pages.parts.recall_asked import Asked
from pages.parts.safe_md import safe_md

SIZE = 25
LOOKED_AT = 1000
"""How far down a search is looked for near misses, which stand last."""


def draw(here: Here, asked: Asked) -> None:
    """The count, the page of rows and the ways on."""
    wanted = asked.wanted
    first = st.session_state.get(choices.page_of(asked.key), 0) * SIZE
    page = here.ws.find_messages(wanted, at=here.at, offset=first, limit=SIZE)
    if not page.rows and page.total:
        # The list got shorter while a later page was open: its last page, as the pager shows.
        last = (page.total - 1) // SIZE * SIZE
        page = here.ws.find_messages(wanted, at=here.at, offset=last, limit=SIZE)
    if page.refused:
        st.warning(safe_md(visible(page.refused)), icon=":material/search_off:")
        return
    if page.note:
        st.caption(f":material/info: {page.note}")
    if page.total:
        _bar(here, asked, page)
        with st.container(key="recall-rows"):
            for row in page.rows:
                _row(here, asked, row, page)
    else:
        _empty(here, wanted)
    if asked.ranked and wanted.where != "deleted":
        _near(here, asked)
        hits.ask_why(
            here,
            "recall",
            asked.why,
            "m12",
            "recall",
            lambda id: why_not(here, asked, id),
            where=lambda id: hit_places.lines(here, [id]).get(id, ""),
        )


def why_not(here: Here, asked: Asked, id: str) -> WhyNot:
    """Where a message ranks in the search that is shown, and what keeps it off the page."""
    page = 1 + st.session_state.get(choices.page_of(asked.key), 0)
    scope = asked.wanted.scope(here.state)
    return here.ws.why_not(id, asked.wanted.text.strip(), **scope, page=page, page_size=SIZE, at=here.seq)


def _near(here: Here, asked: Asked) -> None:
    """What the agent's search leaves out by little."""
    weigh = here.ws.projections.weights
    scope = asked.wanted.scope(here.state)
    text = asked.wanted.text.strip()
    found = here.ws.recall(text, **scope, page_size=LOOKED_AT, at=here.seq, floor=weigh.near)
    near = near_misses(found.hits, weigh)[: hits.NEAR_SHOWN]
    if not near:
        return
    label = f"Near misses: the nearest {len(near):,} that the agent's own search leaves out"
    with st.expander(label, icon=":material/near_me_disabled:"):
        st.caption(
            f"They have no word of the query, and their cosine is between {weigh.near:g} and {weigh.floor:g}, from "
            "where a message is found by its vector alone."
        )
        rows = here.ws.projections.items([hit.id for hit in near], at=here.seq)
        for hit, row in ((hit, rows[hit.id]) for hit in near if hit.id in rows):
            with st.container(horizontal=True, wrap=False, vertical_alignment="top", gap="small"):
                said = f'<div class="ms-said short">{marked(pieces(row["text"][:EXCERPT_CHARS], text))}</div>'
                st.html(
                    wrap(f"<div><b>{ROLES.get(row['role'], '')}</b> {_place(here, row)}</div>{hits.each(hit)}{said}")
                )
                _open(hit.id, "near")


def marked(cut: list[Piece]) -> str:
    """Pieces of a text as HTML, the hits in `mark`; what cannot be seen is made visible."""
    return "".join(
        f"<mark>{escape(visible(piece.text))}</mark>" if piece.hit else escape(visible(piece.text)) for piece in cut
    )


def when(at: datetime, zone: ZoneInfo) -> str:
    """A time in the viewer's zone, with UTC on hover, as HTML."""
    return f'<time title="{at:%Y-%m-%d %H:%M:%S} UTC">{at.astimezone(zone):%d %b %Y %H:%M}</time>'


def _bar(here: Here, asked: Asked, page: MessagePage) -> None:
    ids = [row["id"] for row in page.rows]
    held = choices.messages_picked(here.ws.agent_id)
    picked = st.session_state.get(held, ())
    left = [id for id in ids if id not in picked]
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="recall-bar"):
        pager.draw(asked.key, page.total, SIZE, what="messages")
        st.button(
            "Select this page" if left else "Unselect this page",
            key="pick-page",
            type="tertiary",
            icon=":material/select_check_box:",
            on_click=_pick,
            args=(held, left or ids, bool(left)),
        )
        export.draw(
            f"{here.state.name} messages",
            lambda: _whole(here, asked.wanted),
            key="messages",
            count=page.total,
        )
    order = "Best first" if page.hits else "Newest first"
    moved = f" · only what event {asked.wanted.where_seq:,} moved" if asked.wanted.where_seq else ""
    if page.hits:
        mode = here.ws.search_mode()
        by = "words and vectors" if mode == "words+vectors" else "words only"
        st.caption(f"Ranked by **{by}**. {formula(here.ws.projections.weights, mode, chat=True)}")
    st.caption(f"{order} · tokens are our count of each message · times in your zone, UTC on hover{moved}")


def _row(here: Here, asked: Asked, row: dict[str, Any], page: MessagePage) -> None:
    id, agent = row["id"], here.ws.agent_id
    held = choices.messages_picked(agent)
    box = f"pick:{agent}:{id}"
    st.session_state[box] = id in st.session_state.get(held, ())
    with st.container(horizontal=True, wrap=False, vertical_alignment="top", gap="small"):
        st.checkbox(
            f"Select {id}", key=box, label_visibility="collapsed", on_change=_picked, args=(held, box, id), width=22
        )
        st.html(_line(here, asked, row, page))
        _open(id, "open")


def _open(id: str, key: str) -> None:
    st.button(
        "Open",
        key=f"{key}:{id}",
        type="tertiary",
        help=f"{id} in its turn, with its versions and what can be done to it",
        on_click=address.put,
        args=("message", id),
    )


def _line(here: Here, asked: Asked, row: dict[str, Any], page: MessagePage) -> str:
    place = whereabouts(row, here.state)
    opened = " ms-opened" if row["id"] == asked.message else ""
    how = page.hits.get(row["id"])
    scored = hits.scored(*how, here.ws.projections.weights, "recall") if how else ""
    edited = ' · <span title="its text was changed by hand">corrected</span>' if row["seq_from"] != row["born"] else ""
    tag = f'<span class="ms-tag" title="{escape(place.says)}">{escape(place.short)}</span>'
    return (
        f'<div class="ms{opened}"><div class="ms-line" style="padding:0">'
        f"{chip(place.tier) if place.tier else ''}<div><b>{escape(visible(speaker(row)))}</b> "
        f"{_place(here, row, edited)} {tag}{scored}"
        f"{_said(here, asked.wanted, row)}</div></div></div>"
    )


def _place(here: Here, row: dict[str, Any], more: str = "") -> str:
    return (
        f'<span class="soft num">{row["id"]} · session {row["session"]}, turn {row["turn"]}, step {row["step"]} · '
        f"{when(row['at'], here.zone)} · {age(row['at'], here.state.at)} · {row['tokens']:,} tokens{more}</span>"
    )


def _said(here: Here, wanted: MessageFilter, row: dict[str, Any]) -> str:
    if not row["excerpt"]:
        calls = visible(recall_rows.calls_of(here.ws, row["born"])[:400])
        return f'<div class="ms-said short soft">{escape(calls) or "no text"}</div>'
    before, behind = ("… " if row["cut"][0] else ""), (" …" if row["cut"][1] else "")
    thought = ' thought" title="what the agent thought' if row["thought"] else ""
    said = marked(pieces_of(row["excerpt"], wanted, row["found"]))
    return f'<div class="ms-said short{thought}">{before}{said}{behind}</div>'


def pieces_of(text: str, wanted: MessageFilter, found: tuple[str, ...]) -> list[Piece]:
    """A text cut at what the filter looks for; `found` is what a regular expression matched in it."""
    if wanted.mode == "regex":
        return hits_found(text, found)
    if wanted.mode == "phrase":
        return stretches(text, [wanted.text.strip()])
    return stretches(text, wanted.text.split()) if wanted.mode == "words" else pieces(text, wanted.text)


def _whole(here: Here, wanted: MessageFilter) -> list[dict[str, Any]]:
    page = here.ws.find_messages(wanted, at=here.at, limit=export.ROWS_MOST, whole=True)
    names = ("id", "at", "session", "turn", "step", "role", "kind", "about", "tokens", "text", "thoughts")
    return [{**{name: row[name] for name in names}, "where": whereabouts(row, here.state).short} for row in page.rows]


def _picked(held: str, box: str, id: str) -> None:
    _pick(held, [id], st.session_state[box])


def _pick(held: str, ids: list[str], chosen: bool) -> None:
    others = tuple(id for id in st.session_state.get(held, ()) if id not in ids)
    st.session_state[held] = (*others, *ids) if chosen else others


def _empty(here: Here, wanted: MessageFilter) -> None:
    if not here.state.messages and wanted.where != "deleted":
        st.info(
            "There is no message yet. Everything said in the chat is kept here for good, also what leaves the window.",
            icon=":material/forum:",
        )
        recall_rows.link(here.ws, "app.py", "Go to the chat", "chat")
        return
    if wanted.where == "deleted" and not wanted.text:
        st.info("Nothing is deleted. What you delete can be restored from here.", icon=":material/delete:")
        return
    tip = {
        "phrase": "Try *All words*, or *The agent's search*, which also finds what is similar.",
        "words": "Try fewer words, or *The agent's search*, which also finds what is similar.",
        "regex": "Upper and lower case are alike already; `.*` matches anything in between.",
        "ranked": "Try other words.",
    }[wanted.mode]
    st.info(
        f"No message passes. {tip if wanted.text else 'Choose fewer filters.'}"
        + (" Or clear the filters." if address.said(recall_asked.FILTERS) and wanted.text else ""),
        icon=":material/search_off:",
    )
