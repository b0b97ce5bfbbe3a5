"""The table of the documents, a page at a time, and below it those that were removed."""

from typing import Any

import streamlit as st

from memgpt_core.documents.library import Document
from memgpt_core.views.documents import kind_text
from memgpt_core.views.lanes import counted
from memgpt_core.views.passages import visible
from pages.parts import address, documents_rows, export, pager
from pages.parts.agents_table import size_text
from pages.parts.archival_bulk import PAST
from pages.parts.documents_rows import Asked
from pages.parts.frame import Here, attempt
from pages.parts.markup import escape, wrap
from pages.parts.safe_md import safe_md

SIZE = 20
FEW = 6
"""So many are seen at a glance and need no search."""

REMOVED_SHOWN = 20
TITLE_CHARS = 110

COUNTS = "our count of its whole text; passages overlap and repeat their headings, which is not in it"

ORDERS = {"": "By name", "newest": "Newest first", "largest": "Most passages first"}

STYLE = """<style>
.ms-docs{display:grid;grid-template-columns:minmax(9rem,1fr) 5.6rem 4.8rem 5rem 3.2rem 4.6rem 8.4rem;gap:0 .7rem;
 align-items:baseline}
.ms-docs>.r{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.ms-docs>div:first-child{min-width:0;overflow-wrap:anywhere;unicode-bidi:isolate}
.ms-docs.head{font-size:.8rem}.ms-docs>div:last-child{padding-left:.6rem}
.ms-docs .title{display:block;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.st-key-documents{gap:0}
.st-key-documents>.stHorizontalBlock,.st-key-documents>div>.stHorizontalBlock{padding:.3rem 0 .2rem;
 border-bottom:1px solid color-mix(in srgb,currentColor 12%,transparent)}
.st-key-documents button{min-height:1.4rem}
</style>"""

_HEAD = (
    '<div class="ms"><div class="ms-docs head soft"><div>Name</div><div>Type</div><div class="r">Size</div>'
    f'<div class="r" title="{COUNTS}">Tokens</div>'
    '<div class="r">Pages</div><div class="r">Passages</div><div>Added</div></div></div>'
)


def draw(here: Here, asked: Asked) -> None:
    """The field that finds by name, the table, and what was removed."""
    documents = documents_rows.standing(here)
    if documents:
        _table(here, asked, documents)
    _removed(here)


def _table(here: Here, asked: Asked, documents: list[Document]) -> None:
    order = asked.order
    if len(documents) > FEW or asked.find or order:
        _fields(asked)
    part = asked.find.casefold()
    found = [one for one in documents if part in f"{one.name}\n{one.title}".casefold()]
    if not found:
        st.info(
            f"No document has “{safe_md(visible(asked.find))}” in its name or title. What is inside them is searched "
            "on the archival page.",
            icon=":material/search_off:",
        )
        return
    if order == "newest":
        found.sort(key=lambda one: -one.seq)
    elif order == "largest":
        found.sort(key=lambda one: -one.passages)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        first = pager.draw(f"documents:{here.ws.agent_id}:{part}:{order}", len(found), SIZE, what="documents")
        export.draw(
            f"{here.state.name} documents",
            lambda: [_exported(one, tokens) for tokens in [documents_rows.tokens(here, found)] for one in found],
            key="documents",
            count=len(found),
        )
    with st.container(key="documents"):
        with st.container(horizontal=True, wrap=False, vertical_alignment="center", gap="small"):
            st.html(_HEAD)
            st.html('<div style="width:58px"></div>', width="content")
        shown = found[first : first + SIZE]
        tokens = documents_rows.tokens(here, shown)
        for one in shown:
            _row(here, one, tokens[one.id])


def _fields(asked: Asked) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.text_input(
            "Name or title contains",
            placeholder="A part of a name or title",
            icon=":material/search:",
            **address.field("documents:find", asked.find),
        )
        st.selectbox(
            "Order",
            list(ORDERS),
            format_func=ORDERS.get,
            width=190,
            **address.field("documents:order", asked.order),
        )


def _row(here: Here, one: Document, tokens: int | None) -> None:
    at, changed = one.added_at, ""
    if one.changed_at != one.added_at:
        changed = (
            f'<br><span class="soft" title="{one.changed_at:%Y-%m-%d %H:%M:%S} UTC">changed '
            f"{one.changed_at.astimezone(here.zone):%d %b %Y}</span>"
        )
    if lost := documents_rows.lost(here, one):
        lost = f' <span class="ms-tag bad" title="{escape(visible(lost))}">file missing</span>'
    title = f'<span class="soft title">{escape(visible(one.title[:TITLE_CHARS]))}</span>' if one.title else ""
    with st.container(horizontal=True, wrap=False, vertical_alignment="center", gap="small"):
        st.html(
            f'<div class="ms"><div class="ms-docs"><div><b>{escape(visible(one.name))}</b>{lost}{title}</div>'
            f"<div>{escape(kind_text(one.media))}</div>"
            f'<div class="r">{size_text(one.bytes)}</div>'
            f'<div class="r" title="{COUNTS}">{"–" if tokens is None else f"{tokens:,}"}</div>'
            f'<div class="r">{f"{one.pages:,}" if one.pages else "–"}</div>'
            f'<div class="r">{one.passages:,}</div>'
            f'<div class="num"><span title="{at:%Y-%m-%d %H:%M:%S} UTC">'
            f"{at.astimezone(here.zone):%d %b %Y %H:%M}</span>{changed}</div></div></div>"
        )
        st.button(
            "Open",
            key=f"open:{one.id}",
            type="tertiary",
            width=58,
            help="Its outline, its passages and its text",
            on_click=documents_rows.put,
            kwargs={"document": one.id},
        )


def _exported(one: Document, tokens: dict[str, int | None]) -> dict[str, Any]:
    names = ("id", "name", "title", "media", "bytes", "chars", "pages", "passages", "sections", "sha256", "extract")
    times = {"added_at": one.added_at, "changed_at": one.changed_at}
    read = {**{name: getattr(one, name) for name in names}, "tokens": tokens[one.id], **times}
    return {**read, "tags": list(one.tags), "notes": list(one.notes)}


def _removed(here: Here) -> None:
    rows = documents_rows.removed(here)
    if not rows:
        return
    with st.expander(f"Removed: {counted(len(rows), 'document')}", icon=":material/delete:"):
        st.caption("Out of archival storage. Their files are in cold storage still, since the past refers to them.")
        for row in rows[:REMOVED_SHOWN]:
            with st.container(horizontal=True, wrap=False, vertical_alignment="center", gap="small"):
                st.html(
                    wrap(
                        f'<div><b>{escape(visible(row["name"]))}</b> <span class="soft">'
                        f"{counted(row['passages'], 'passage')}, removed by event {row['ended']:,}</span></div>"
                    )
                )
                draw_bring_back(here, row)
        if len(rows) > REMOVED_SHOWN:
            st.caption(f"The last {REMOVED_SHOWN} are shown.")


def draw_bring_back(here: Here, row: dict[str, Any]) -> None:
    """The button that adds a removed document again."""
    past = here.at is not None
    st.button(
        "Bring it back",
        key=f"back:{row['id']}",
        type="tertiary",
        icon=":material/undo:",
        disabled=past or here.home.adding.busy(here.ws.agent_id),
        help=PAST if past else "Adds the file again, from cold storage",
        on_click=attempt,
        args=(documents_rows.bring_back, here, row),
    )
