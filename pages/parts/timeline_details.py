"""One mark in full: when, who, which event and turn, what it did, and the ways to the same moment on other pages."""

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

import streamlit as st

from memgpt_core.views.lanes import Mark, place
from memgpt_core.views.paging import brought_by, excerpt
from memgpt_core.views.timing import seconds_text
from memgpt_core.workspace import Workspace
from pages.parts import moment, timeline_flush, timeline_rows, timeline_window
from pages.parts.frame import Here
from pages.parts.markup import escape, heading, line, text_box, wrap
from pages.parts.timeline_chart import SIGNS, when

_AUTHORS = {"agent": "by the agent", "human": "by you", "engine": "by the engine", "import": "by an import"}
_ENGINE = frozenset(("queue_flushed", "pressure_warned", "truncation_suspected", "fault_recorded", "hits_placed"))

STYLE = """<style>
.ms-hits{border-collapse:collapse;font-size:.8rem;font-variant-numeric:tabular-nums;width:100%}
.ms-hits th{font-weight:400;text-align:left;padding:.1rem .5rem .1rem 0;vertical-align:bottom}
.ms-hits td{padding:.12rem .5rem .12rem 0;border-top:1px solid var(--edge);vertical-align:top;overflow-wrap:anywhere}
</style>"""


def draw(here: Here, seq: int, marks: Sequence[Mark]) -> None:
    """The details of an event; `marks` are those of the stretch that is shown."""
    event: Any = here.ws.event(seq)
    known = next((one for one in marks if one.seq == seq), None)
    with st.container(border=True, key="timeline-mark"):
        _draw_head(here, event, known)
        if event.kind == "queue_flushed":
            timeline_flush.draw(here, event)
        elif event.kind in ("recall_searched", "archival_searched"):
            _draw_search(here, event)
        else:
            _draw_texts(event)
            _draw_came_in(here, event)
            if known is not None and known.last > known.seq:
                st.caption(f"Drawn as one mark: events {known.seq:,} to {known.last:,}, one passage each.")


def _draw_head(here: Here, event: Any, known: Mark | None) -> None:
    ws = here.ws
    name = known.says if known else event.kind.replace("_", " ")
    sign = SIGNS[known.shape] if known else "·"
    utc = f"{event.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    turn = f"session {event.session:,}, turn {event.turn:,}, step {event.step:,}" if event.turn else "before turn 1"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.html(
            wrap(
                f"<b>{sign} {escape(name)}</b> <span class='soft'>event {event.seq:,} · {turn} · "
                f"<span title='{utc}'>{escape(when(event.at, here.zone))}</span> · {_who(event)}</span>"
            ),
            width="stretch",
        )
        for file, label, icon, more in (
            ("pages/log.py", "Log", ":material/receipt_long:", {"event": str(event.seq)}),
            ("app.py", "Chat then", ":material/forum:", None),
            ("pages/context.py", "Window then", ":material/view_comfy:", None),
        ):
            at = here.at if more else event.seq
            st.page_link(file, label=label, icon=icon, query_params=moment.query(ws, at, **(more or {})))
        st.button(
            "Close", key="timeline:close", icon=":material/close:", type="tertiary", on_click=timeline_window.close
        )


def _who(event: Any) -> str:
    if event.kind in _ENGINE:
        return "by the engine"
    if event.kind == "trigger_received":
        return "by you" if event.cause == "user" else "by the engine"
    return _AUTHORS[getattr(event, "author", "agent")]


# --- what an event holds --------------------------------------------------------------------------------------

_TEXT_FIELDS = (
    ("reason", "Reason"),
    ("error", "What failed"),
    ("description", "Description"),
    ("text", "Text"),
    ("value", "Text"),
    ("to", "New name"),
    ("source", "Source"),
)


def _draw_texts(event: Any) -> None:
    lane = place(event.kind, getattr(event, "cause", ""))[0] if event.kind != "function_returned" else ""
    tier = {"core": "working_context", "notes": "notes", "recall": "recall", "archival": "archival"}.get(lane, "")
    if event.kind == "working_context_edited":
        before, after = st.columns(2, gap="medium")
        with before:
            st.html(wrap(heading("Before", f"{len(event.before):,} characters"), text_box(event.before, tier)))
        with after:
            st.html(wrap(heading("After", f"{len(event.after):,} characters"), text_box(event.after, tier)))
    if event.kind == "pressure_warned":
        st.html(
            wrap(
                f"Main context held <b class='num'>{event.tokens:,} tokens</b>: above the warning mark "
                f"({event.warn_tokens:,}), and a flush comes at {event.flush_tokens:,}."
            )
        )
    if event.kind == "truncation_suspected":
        st.html(wrap(f"We sent {event.ours:,} tokens by our count; the server saw {event.server:,}."))
    for field, label in _TEXT_FIELDS:
        value = getattr(event, field, "")
        if value:
            st.html(wrap(f'<div class="soft">{label}</div>', text_box(str(value), tier)))
    if tags := getattr(event, "tags", ()):
        st.html(wrap("".join(f'<span class="ms-tag">{escape(tag)}</span> ' for tag in tags)))


# --- page ins and searches ------------------------------------------------------------------------------------


def _draw_came_in(here: Here, event: Any) -> None:
    ws = here.ws
    rows = timeline_rows.came_in(ws, event.seq)
    if not rows:
        return
    by = brought_by(event)
    search = timeline_rows.search_of(ws, event.seq) if by and event.kind == "function_returned" else None
    faults = sum(bool(row["fault"]) for row in rows)
    st.html(
        wrap(
            heading(
                _items(len(rows)),
                f"{faults} page {'fault' if faults == 1 else 'faults'} · {event.measured.tokens or 0:,} tokens",
            ),
            f'<div class="soft">{"Brought by " + escape(by) if by else "Queued again by hand"}</div>',
        )
    )
    if search is not None:
        _look(ws, search, f"The search, event {search:,}", "search")
    items = ws.items([row["item"] for row in rows])
    for row in rows:
        st.html(wrap(_item(row, items.get(row["item"]))))
    for left in sorted({row["left_at"] for row in rows if row["left_at"] is not None}):
        _look(ws, left, f"The flush they left by, event {left:,}", "left")
    _links(here, [row["item"] for row in rows])


def _items(number: int) -> str:
    return "1 item came into the window" if number == 1 else f"{number} items came into the window"


def _item(row: Mapping[str, Any], stored: Mapping[str, Any] | None) -> str:
    tier = "archival" if row["item"].startswith("p") else "recall"
    fault = '<span class="ms-tag bad">page fault</span> ' if row["fault"] else ""
    how = "in a slot of its own" if row["how"] == "requeue" else f"as a copy in {row['carrier']}"
    left = f", left at event {row['left_at']:,}" if row["left_at"] is not None else ""
    text = escape(excerpt(stored)) or "deleted since"
    return line(
        tier, f"<b>{escape(row['item'])}</b> {fault}<span class='soft'>{escape(how)}{left}</span><div>{text}</div>"
    )


def _draw_search(here: Here, event: Any) -> None:
    ws = here.ws
    hits = event.measured.hits or ()
    result = timeline_rows.result_of(ws, event.seq)
    came = {row["item"]: row for row in timeline_rows.came_in(ws, result)} if result and result <= here.seq else {}
    limits = ", ".join(
        f"{name} {value}"
        for name, value in (
            ("roles", ", ".join(getattr(event, "roles", ()))),
            ("tags", ", ".join(getattr(event, "tags", ()))),
            ("from", event.start),
            ("to", event.end),
        )
        if value
    )
    found = event.measured.total or 0
    st.html(
        STYLE
        + wrap(
            f'<div class="soft">Query</div>{text_box(event.query)}'
            f'<div class="soft">{escape(limits) + " · " if limits else ""}page {event.page} · ranked by '
            f"{escape(event.mode)} · matches in all: {found:,}, on this page: {len(hits)}, "
            f"page faults among them: {sum(bool(row['fault']) for row in came.values())}{_ahead(event)}</div>",
            _hits(hits, came, ws.items([hit.id for hit in hits]) if hits else {}),
        )
    )
    if result is not None and came:
        _look(ws, result, f"What came in, event {result:,}", "result")
    _links(here, [hit.id for hit in hits])


def _ahead(event: Any) -> str:
    saved = event.measured.saved_s
    return "" if saved is None else f" · had been run ahead: {seconds_text(saved)} saved"


def _hits(hits: Sequence[Any], came: Mapping[str, Mapping[str, Any]], items: Mapping[str, Mapping[str, Any]]) -> str:
    if not hits:
        return '<div class="soft">Nothing was found.</div>'
    head = "".join(
        f"<th class='soft'>{name}</th>"
        for name in ("#", "Item", "Score", "Words: rank, score", "Vectors: rank, score", "Where it had been", "Text")
    )
    rows = "".join(
        f"<tr><td>{rank}</td><td><b>{escape(hit.id)}</b></td><td>{hit.score:.3f}</td>"
        f"<td>{_signal(hit.words_rank, hit.words_score)}</td><td>{_signal(hit.vector_rank, hit.vector_score)}</td>"
        f"<td>{_had_been(hit.id, came.get(hit.id))}</td>"
        f"<td>{escape(excerpt(items.get(hit.id)) or 'deleted since')}</td></tr>"
        for rank, hit in enumerate(hits, 1)
    )
    return f"<table class='ms-hits'><tr>{head}</tr>{rows}</table>"


def _signal(rank: int | None, score: float | None) -> str:
    return "–" if rank is None else f"{rank}, {score:.3f}" if score is not None else f"{rank}"


def _had_been(item: str, row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "not taken in"
    if row["fault"]:
        left = f" at event {row['left_at']:,}" if row["left_at"] is not None else ""
        return f'<span class="ms-tag bad">page fault</span> evicted{left}'
    return "in archival storage" if item.startswith("p") else "still in the window"


def _look(ws: Workspace, seq: int, label: str, key: str) -> None:
    st.button(
        label,
        key=f"timeline:look:{key}:{seq}",
        icon=":material/near_me:",
        type="tertiary",
        on_click=timeline_window.look,
        args=(ws, seq),
    )


LINKS = 6


def _links(here: Here, ids: Sequence[str]) -> None:
    with st.container(horizontal=True, gap="small"):
        for id in list(dict.fromkeys(ids))[:LINKS]:
            page, field = ("pages/archival.py", "passage") if id.startswith("p") else ("pages/recall.py", "message")
            st.page_link(page, label=f"Open {id}", query_params=moment.query(here.ws, here.at, **{field: id}))
