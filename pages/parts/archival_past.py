"""The agent's own archival searches: what each got, and what the same search gives today or gave as of then."""

from typing import Any

import streamlit as st

from memgpt_core.events import Hit
from memgpt_core.views.passages import visible
from pages.parts import address, archival_rows, pager
from pages.parts.frame import Here
from pages.parts.markup import escape, wrap
from pages.parts.safe_md import safe_md

SIZE = 12


def draw(here: Here) -> None:
    """The searches until the point the page is drawn for, newest first; the chosen one run again."""
    total = here.ws.rows(
        "SELECT count(*) AS n FROM events WHERE kind = 'archival_searched' AND seq_from <= $n", {"n": here.seq}
    )[0]["n"]
    if not total:
        st.info(
            "The agent has not searched archival storage" + (" by this event." if here.at is not None else " yet."),
            icon=":material/manage_search:",
        )
        return
    first = pager.draw(f"past:{here.ws.agent_id}:{here.seq}", total, SIZE, what="searches")
    rows = here.ws.rows(
        "SELECT seq_from FROM events WHERE kind = 'archival_searched' AND seq_from <= $n "
        "ORDER BY seq_from DESC LIMIT $size OFFSET $first",
        {"n": here.seq, "size": SIZE, "first": first},
    )
    for row in rows:
        _search(here, here.ws.event(row["seq_from"]))


def _search(here: Here, event: Any) -> None:
    got = event.measured.hits or ()
    filters = [f"tags {', '.join(map(visible, event.tags))}"] if event.tags else []
    filters += [f"{name} {day}" for name, day in (("from", event.start), ("to", event.end)) if day]
    with st.container(border=True, gap="xsmall", key=f"past-{event.seq}"):
        st.html(
            wrap(
                f'<div><b>“{escape(visible(event.query))}”</b> <span class="soft" title="{event.at:%Y-%m-%d %H:%M:%S} '
                f'UTC">{event.at.astimezone(here.zone):%d %b %Y %H:%M}, turn {event.turn}, event {event.seq:,}</span>'
                "</div>"
                f'<div class="soft">{escape(", ".join([f"page {event.page}", *filters]))} · by '
                f"{escape(event.mode.replace('+', ' and '))} · got {len(got)} of {event.measured.total or 0:,}: "
                f"{', '.join(hit.id for hit in got) or 'nothing'}</div>"
            )
        )
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            chosen = st.segmented_control(
                "Run it again",
                ["today", "then"],
                format_func={"today": "Run again today", "then": f"Run again as of event {event.seq:,}"}.get,
                key=f"again:{here.ws.agent_id}:{event.seq}",
                label_visibility="collapsed",
            )
            archival_rows.link(
                here.ws, "pages/archival.py", "Open with scores", "manage_search", at=event.seq, q=event.query
            )
        if chosen:
            _again(here, event, got, None if chosen == "today" else event.seq)


def _again(here: Here, event: Any, got: tuple[Hit, ...], at: int | None) -> None:
    size = here.ws.state(at=event.seq).settings.page_size
    found = here.ws.archival(
        event.query, tags=event.tags, start=event.start, end=event.end, page=event.page, page_size=size, at=at
    )
    now, then = [hit.id for hit in found.hits], [hit.id for hit in got]
    when = "today" if at is None else f"recomputed as of event {at:,}"
    if now == then:
        st.success(f"The same passages in the same order, {when}.", icon=":material/check:")
    else:
        st.markdown(f"**Differs** ({when}): got {len(then)} then, {len(now)} now; {_moves(then, now)}.")
    gone_mode = "" if found.mode == event.mode else f" It was ranked by {event.mode} then, by {found.mode} now."
    if gone_mode:
        st.caption(safe_md(gone_mode))
    scores = {hit.id: hit.score for hit in got}
    for place, hit in enumerate(found.hits, 1):
        was = then.index(hit.id) + 1 if hit.id in then else None
        said = f"was place {was}, score {scores[hit.id]:.3f}" if was else "was not there"
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            st.html(
                wrap(
                    f'<div class="num">#{place} <b>{hit.id}</b> score {hit.score:.3f} '
                    f'<span class="soft">{said}</span></div>'
                ),
                width="content",
            )
            st.button(
                "Open",
                key=f"past-open:{event.seq}:{hit.id}",
                type="tertiary",
                on_click=address.put,
                args=("passage", hit.id),
            )


def _moves(then: list[str], now: list[str]) -> str:
    new = [id for id in now if id not in then]
    gone = [id for id in then if id not in now]
    kept = [id for id in now if id in then]
    said = [f"new: {', '.join(new)}"] if new else []
    said += [f"no longer there: {', '.join(gone)}"] if gone else []
    if kept != [id for id in then if id in now]:
        said.append("the others in another order")
    return "; ".join(said) or "nothing else"
