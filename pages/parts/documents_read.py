"""What is read of an open document: its passages in order, its text, what the agent read of it, its versions."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from memgpt_core.documents.library import Document
from memgpt_core.views.documents import counted, trail
from memgpt_core.views.passages import EXCERPT_CHARS, SHOWN_CHARS, visible
from pages.parts import choices, documents_rows, pager
from pages.parts.agents_table import size_text
from pages.parts.archival_list import rows_of
from pages.parts.archival_rows import link
from pages.parts.documents_rows import READ_MOST, Asked
from pages.parts.frame import Here
from pages.parts.markup import escape, wrap

PASSAGES_SHOWN = 8
STRETCH_CHARS = 5000

STYLE = """<style>
.ms-pass .ms-text{max-height:none;unicode-bidi:isolate}
.ms-pass.here .ms-text{border-left-width:6px}
.ms-stretch{white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate;font-family:var(--st-font);
 border-left:3px solid light-dark(#6b6470,#a39aab);padding:.35rem .7rem;
 background:color-mix(in srgb,currentColor 5%,transparent)}
.ms-stretch mark{background:light-dark(#ffe08a,#6b5200);color:inherit;border-radius:2px}
</style>"""


def draw(here: Here, asked: Asked, one: Document) -> None:
    """The side that the address asks for."""
    _SIDES[asked.side](here, asked, one)


def number_of(here: Here, asked: Asked, one: Document) -> int:
    """The number of the passage that reading begins with, from 1."""
    place = here.ws.documents.place_of(asked.passage, here.seq) if asked.passage else None
    return place.number if place and place.document == one.id else 1


def _passages(here: Here, asked: Asked, one: Document) -> None:
    number = number_of(here, asked, one)
    # Each place reading begins at is a table of its own: it opens on the page that has it, and can be left from there.
    table = f"passages:{here.ws.agent_id}:{one.seq}:{asked.passage}"
    st.session_state.setdefault(choices.page_of(table), (number - 1) // PASSAGES_SHOWN)
    first = pager.draw(table, one.passages, PASSAGES_SHOWN, what="passages")
    rows = here.ws.documents.passages(one.id, first + 1, PASSAGES_SHOWN, here.seq)
    for row in rows:
        is_here = row["id"] == asked.passage
        path = trail([visible(part) for part in row["title_path"]])
        page = f" · page {row['page']:,}" if row["page"] is not None else ""
        with st.container(key=f"read-{row['id'].replace('.', '-')}", gap=None):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.html(
                    wrap(
                        f'<div><b>{row["number"]:,}</b> <span class="soft">{row["id"]}{page}'
                        f"{' · ' if path else ''}{escape(path)}</span></div>"
                    )
                )
                link(here.ws, "pages/archival.py", "In archival storage", "inventory_2", at=here.at, passage=row["id"])
            st.html(
                f'<div class="ms ms-pass{" here" if is_here else ""}"><div class="ms-text ms-archival" dir="auto">'
                f"{escape(visible(row['text'][:SHOWN_CHARS]))}</div></div>"
            )
    lacking = min(PASSAGES_SHOWN, one.passages - first) - len(rows)
    if lacking:
        st.caption(f"{counted(lacking, 'passage')} of this page {'was' if lacking == 1 else 'were'} deleted by hand.")


def _text(here: Here, asked: Asked, one: Document) -> None:
    """The text as it was read from the file, a stretch at a time; the passage reading begins with is marked."""
    slices = here.ws.documents.manifest(one).passages
    number = number_of(here, asked, one)
    start, end = slices[number - 1].start, slices[number - 1].end
    table = f"text:{here.ws.agent_id}:{one.seq}:{asked.passage}"
    st.session_state.setdefault(choices.page_of(table), start // STRETCH_CHARS)
    pages = -(-one.chars // STRETCH_CHARS)
    first = pager.draw(table, pages, 1, what=f"stretches of {STRETCH_CHARS:,} characters") * STRETCH_CHARS
    text = here.ws.documents.text(one.id, first, first + STRETCH_CHARS, here.seq)
    low, high = (min(max(at - first, 0), len(text)) for at in (start, end))
    if not asked.passage:
        low = high = 0
    marked = f"<mark>{escape(visible(text[low:high]))}</mark>" if high > low else ""
    st.html(
        f'<div class="ms"><div class="ms-stretch" dir="auto">{escape(visible(text[:low]))}{marked}'
        f"{escape(visible(text[high:]))}</div></div>"
    )
    if asked.passage:
        st.caption(f"Marked: passage {number:,}, {asked.passage}, characters {start:,} to {end:,}.")


def _read(here: Here, asked: Asked, one: Document) -> None:
    """Which of its passages were in the window."""
    rows = documents_rows.read_by_agent(here, one.id)
    if not rows:
        st.info(
            "The agent has read nothing of it"
            + (" by this event" if here.at is not None else " yet")
            + ". It finds passages by searching archival storage; ask it something that only this document knows.",
            icon=":material/smart_toy:",
        )
        return
    st.caption(
        f"{counted(len(rows), 'passage')} of it came into the window, by a search or by being opened, the latest first"
        + (f"; the latest {READ_MOST} are shown." if len(rows) == READ_MOST else ".")
    )
    texts = {one["id"]: one["text"] for one in rows_of(here, [row["item"] for row in rows])}
    for row in rows:
        text = texts.get(row["item"], "")
        said = escape(visible(text[:EXCERPT_CHARS])) or '<span class="soft">not there any more</span>'
        now = ' <span class="ms-tag">in the window now</span>' if row["now"] else ""
        times = f"{counted(row['times'], 'time')}, last in turn {row['turn']}, event {row['last']:,}"
        st.html(wrap(f'<div><b>{row["item"]}</b> <span class="soft">{times}</span>{now}</div><div>{said}</div>'))
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.button(
                "Read it here",
                key=f"read:{row['item']}",
                type="tertiary",
                on_click=documents_rows.put,
                kwargs={"passage": row["item"], "side": ""},
            )
            link(here.ws, "app.py", "Chat at that event", "forum", at=row["last"])


def _history(here: Here, asked: Asked, one: Document) -> None:
    """Every version of it, the newest first."""
    for version in documents_rows.versions(here, one.id):
        event: Any = here.ws.event(version["seq_from"])
        what = "Added" if not event.document else "Changed"
        moved = f"{event.added:,} passages new, {event.ended:,} gone" if event.document else ""
        at = version["at"]
        st.html(
            wrap(
                f'<div><b>{what}</b> <span class="soft" title="{at:%Y-%m-%d %H:%M:%S} UTC">'
                f"{at.astimezone(here.zone):%d %b %Y %H:%M}, event {version['seq_from']:,} · "
                f"{size_text(version['bytes'])} · {counted(version['passages'], 'passage')}"
                f"{f' ({moved})' if moved else ''}</span></div>"
            )
        )
        with st.container(horizontal=True, gap="small"):
            link(here.ws, "pages/log.py", "The event", "receipt_long", event=str(version["seq_from"]))
            if version["seq_from"] != one.seq:
                link(here.ws, "pages/documents.py", "As of then", "history", at=version["seq_from"], document=one.id)
    st.html(
        wrap(
            f'<div class="soft" style="overflow-wrap:anywhere">File {one.sha256} (sha256). Read by extractor '
            f"{one.extractor}, cut by splitter {one.splitter}.</div>"
        )
    )


_SIDES: dict[str, Callable[[Here, Asked, Document], None]] = {
    "passages": _passages,
    "text": _text,
    "read": _read,
    "history": _history,
}
