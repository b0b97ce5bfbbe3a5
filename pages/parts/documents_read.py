"""What is read of an open document: its passages in order, its text, what the agent read of it, its versions."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from memgpt_core.documents.library import Document
from memgpt_core.ids import seq_of
from memgpt_core.views.documents import call_text, pages_text, passages_text, runs_text, trail
from memgpt_core.views.lanes import counted
from memgpt_core.views.passages import SHOWN_CHARS, visible
from pages.parts import documents_rows
from pages.parts.agents_table import size_text
from pages.parts.archival_rows import link
from pages.parts.documents_rows import READ_MOST, Asked
from pages.parts.frame import Here
from pages.parts.markup import escape, wrap

PASSAGES_SHOWN = 8

STYLE = """<style>
.ms-pass .ms-text{max-height:none;unicode-bidi:isolate}
.ms-stretch{white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate;font-family:var(--st-font);
 border-left:3px solid light-dark(#6b6470,#a39aab);padding:.35rem .7rem;
 background:color-mix(in srgb,currentColor 5%,transparent)}
.ms-stretch mark{background:light-dark(#4f7f2b2e,#8cbc6238);color:inherit}
</style>"""


def draw(here: Here, asked: Asked, one: Document) -> None:
    """The side that the address asks for."""
    _SIDES[asked.side](here, asked, one)


def number_of(here: Here, asked: Asked, one: Document) -> int:
    """The number of the passage that reading begins with, from 1."""
    place = here.ws.documents.place(one, asked.passage) if asked.passage else None
    return place.number if place else 1


def _steps(here: Here, one: Document, number: int) -> None:
    """The way to other passages; the address says where one reads, so that a link leads there too."""
    slices = here.ws.documents.manifest(one).passages
    last = max(1, len(slices) - PASSAGES_SHOWN + 1)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for label, to, off, keys in (
            ("First", 1, number == 1, None),
            ("Earlier", max(1, number - PASSAGES_SHOWN), number == 1, "Alt+P"),
            ("Later", min(last, number + PASSAGES_SHOWN), number >= last, "Alt+N"),
            ("Last", last, number >= last, None),
        ):
            st.button(
                label,
                key=f"read:{label}",
                disabled=off,
                type="tertiary",
                on_click=documents_rows.put,
                kwargs={"passage": slices[to - 1].id(one.seq)},
                shortcut=keys,
            )
        shown = min(len(slices) - number + 1, PASSAGES_SHOWN)
        st.caption(f"{passages_text(number, shown)} of {len(slices):,}")


def _passages(here: Here, asked: Asked, one: Document) -> None:
    number = number_of(here, asked, one)
    _steps(here, one, number)
    rows = here.ws.documents.passages(one.id, number, PASSAGES_SHOWN, here.seq)
    for row in rows:
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
                f'<div class="ms ms-pass"><div class="ms-text ms-archival" dir="auto">'
                f"{escape(visible(row['text'][:SHOWN_CHARS]))}</div></div>"
            )
    lacking = min(PASSAGES_SHOWN, one.passages - number + 1) - len(rows)
    if lacking:
        st.caption(f"{counted(lacking, 'passage')} of these {'was' if lacking == 1 else 'were'} deleted by hand.")


def _text(here: Here, asked: Asked, one: Document) -> None:
    """The text as it was read from the file, under the same passages; the one reading begins with is marked."""
    number = number_of(here, asked, one)
    _steps(here, one, number)
    shown = here.ws.documents.manifest(one).passages[number - 1 : number - 1 + PASSAGES_SHOWN]
    start, end = shown[0].start, max(slice.end for slice in shown)
    text = here.ws.documents.text(one.id, start, end, here.seq)
    first = shown[0].end - start if shown[0].id(one.seq) == asked.passage else 0
    marked = f"<mark>{escape(visible(text[:first]))}</mark>" if first else ""
    st.html(f'<div class="ms"><div class="ms-stretch" dir="auto">{marked}{escape(visible(text[first:]))}</div></div>')
    says = f" Marked: {asked.passage}, passage {number:,}." if first else ""
    st.caption(f"Characters {start:,} to {end:,} of {one.chars:,}, as read from the file.{says}")


def _read(here: Here, asked: Asked, one: Document) -> None:
    """What the agent opened of it and found in it."""
    rows = documents_rows.read_by_agent(here, one.id)
    if not rows:
        st.info(
            "The agent has read nothing of it"
            + (" by this event" if here.at is not None else " yet")
            + ". It searches documents and opens them page by page; ask it something that only this one knows.",
            icon=":material/smart_toy:",
        )
        return
    st.caption(
        "What brought passages of it into the window, the latest first"
        + (f"; the latest {READ_MOST} are shown." if len(rows) == READ_MOST else ".")
    )
    for row in rows:
        event: Any = here.ws.event(seq_of(row["carrier"]))
        places = [here.ws.documents.place(one, item) for item in row["items"]]
        numbers = [place.number for place in places if place]
        what = call_text(getattr(event, "name", ""), getattr(event, "arguments", {}))
        gone = len(row["items"]) - len(numbers)
        which = [runs_text(numbers)] if numbers else []
        which += [pages_text(place.page for place in places if place and place.page is not None)]
        which += [f"{counted(gone, 'passage')} of an earlier version"] if gone else []
        which = [part for part in which if part]
        now = ' <span class="ms-tag">in the window now</span>' if row["now"] else ""
        st.html(
            wrap(
                f'<div style="overflow-wrap:anywhere"><b>{escape(visible(what))}</b> {", ".join(which)} '
                f'<span class="soft">turn {row["turn"]}, event {row["last"]:,}</span>{now}</div>'
            )
        )
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            if numbers:
                slices = here.ws.documents.manifest(one).passages
                st.button(
                    "Read it here",
                    key=f"read:{row['carrier']}",
                    type="tertiary",
                    on_click=documents_rows.put,
                    kwargs={"passage": slices[min(numbers) - 1].id(one.seq), "side": ""},
                )
            link(here.ws, "pages/recall.py", "What it got", "manage_search", at=here.at, message=row["carrier"])
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
