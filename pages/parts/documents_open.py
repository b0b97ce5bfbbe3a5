"""One open document: what it is, what can be done with it, its outline, and beside it what is read of it."""

from contextlib import suppress
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import streamlit as st

from memgpt_core.documents.library import Document, SectionRow
from memgpt_core.errors import DocumentMissing
from memgpt_core.views.documents import kind_text, passages_text, tokens_text, trail
from memgpt_core.views.lanes import counted
from memgpt_core.views.passages import visible
from pages.parts import address, choices, documents_read, documents_rows, documents_table, pager
from pages.parts.agents_table import size_text
from pages.parts.archival_bulk import PAST
from pages.parts.archival_rows import link
from pages.parts.documents_rows import Asked
from pages.parts.frame import Here, attempt
from pages.parts.markup import chip, escape, wrap
from pages.parts.safe_md import safe_md

SECTIONS_SHOWN = 8

COUNTS = f"tokens: {documents_table.COUNTS}"

STYLE = """<style>
.ms-about{font-style:italic;overflow-wrap:anywhere;unicode-bidi:isolate;max-width:60rem}
.ms-sec{padding:.1rem 0 .1rem .55rem;border-left:3px solid transparent}
.ms-sec.here{border-left-color:light-dark(#4f7f2b,#8cbc62);background:color-mix(in srgb,currentColor 5%,transparent)}
.ms-sec b,.ms-sec .x{overflow-wrap:anywhere;unicode-bidi:isolate}
.ms-sec .x{font-style:italic;display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:2;overflow:hidden}
.ms-sec.here .x{-webkit-line-clamp:6}
.st-key-outline{gap:.1rem}.st-key-outline button{min-height:1.4rem}
</style>"""

SIDES = {
    "passages": ":material/view_agenda: Passages",
    "text": ":material/subject: Text",
    "read": ":material/smart_toy: Read by the agent",
    "history": ":material/history: History",
}


def draw(here: Here, asked: Asked) -> None:
    """The document that the address names, as of the point the page is drawn for."""
    st.button("All documents", key="back", icon=":material/arrow_back:", type="tertiary", on_click=close)
    document = here.ws.documents.get(asked.document, here.seq)
    if document is None:
        _gone(here, asked)
        return
    st.html(STYLE + documents_read.STYLE)
    st.html(_head(here, document))
    if lost := documents_rows.lost(here, document):
        st.error(safe_md(visible(lost)), icon=":material/error:")
    _actions(here, document)
    try:
        sections = here.ws.documents.sections(document)
    except DocumentMissing as fault:
        if not lost:
            st.error(f"{fault} Its passages are in archival storage still.", icon=":material/error:")
        return
    if asked.passage and here.ws.documents.place(document, asked.passage) is None:
        st.warning(
            f"{safe_md(address.short(asked.passage))} is no passage of this version; you read from its beginning.",
            icon=":material/link_off:",
        )
    left, right = st.columns([38, 62], gap="medium")
    with left:
        _outline(here, asked, document, sections)
    with right:
        st.segmented_control(
            "What is shown",
            list(SIDES),
            format_func=SIDES.get,
            required=True,
            label_visibility="collapsed",
            **address.field("documents:side", asked.side, "passages"),
        )
        try:
            documents_read.draw(here, asked, document)
        except DocumentMissing as fault:
            st.info(f"This cannot be shown. {fault}", icon=":material/link_off:")


def close() -> None:
    """Back to the list, from a callback."""
    documents_rows.put(document="", passage="", side="", within="")


def _head(here: Here, one: Document) -> str:
    """What it is, in a few lines."""
    facts = [kind_text(one.media), size_text(one.bytes), f"{one.chars:,} characters"]
    with suppress(DocumentMissing), st.spinner("Counting its tokens…"):
        if tokens := here.ws.documents.tokens(one):
            facts += [tokens_text(tokens, here.state.settings.limit_tokens)]
    facts += [counted(one.pages, "page")] if one.pages else []
    facts += [f"{counted(one.passages, 'passage')} in {counted(one.sections, 'section')}"]
    added = f"added {one.added_at.astimezone(here.zone):%d %b %Y %H:%M}"
    if one.changed_at != one.added_at:
        added += f", this version {one.changed_at.astimezone(here.zone):%d %b %Y %H:%M}"
    title = f" {escape(visible(one.title))}" if one.title and one.title != one.name else ""
    tags = "".join(f' <span class="ms-tag">{escape(visible(tag))}</span>' for tag in one.tags)
    about = f'<div class="ms-about">{escape(visible(one.extract))}</div>' if one.extract else ""
    return wrap(
        f'<div class="ms-line">{chip("cold")}<div><b style="font-size:1.15rem">{escape(visible(one.name))}</b>{title}'
        f'<div class="soft"><span title="{COUNTS}">{escape(" · ".join(facts))}</span> · '
        f'<span title="{one.changed_at:%Y-%m-%d %H:%M:%S} UTC">{added}</span>{tags}</div>{about}</div></div>',
        *(f'<div class="ms-note">{escape(visible(note))}</div>' for note in one.notes),
    )


def _actions(here: Here, one: Document) -> None:
    past = here.at is not None
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.download_button(
            "Download the file",
            data=partial(_raw, here, one.id),
            file_name=PurePosixPath(one.name).name,
            mime="application/octet-stream",
            key=f"download:{one.id}",
            icon=":material/download:",
            on_click="ignore",
            disabled="raw" in here.ws.documents.missing(one),
            help="As it was added, from cold storage.",
        )
        link(here.ws, "pages/archival.py", "Search in it", "search", at=here.at, source=one.name)
        link(here.ws, "pages/log.py", "The event", "receipt_long", event=str(one.seq))
        with st.popover(
            "Remove",
            icon=":material/delete:",
            disabled=past,
            help=PAST if past else None,
            key=f"remove:{one.id}",
            width="content",
        ):
            st.markdown(f"**Remove {safe_md(visible(one.name))}?**")
            st.caption(
                f"Its {counted(one.passages, 'passage')} leave archival storage: no search finds them any more. What "
                "the window holds of them stays there until it is paged out. The file stays in cold storage, since the "
                "past refers to it, and adding it again brings all of this back."
            )
            reason = f"remove-why:{one.id}"
            st.text_input("Why (optional, kept in the log)", key=reason)
            st.button(
                "Remove it", key=f"remove-do:{one.id}", type="primary", on_click=_remove, args=(here, one, reason)
            )


def _raw(here: Here, id: str) -> bytes:
    return here.ws.documents.raw(id, here.seq).read_bytes()


def _remove(here: Here, one: Document, reason: str) -> None:
    if attempt(here.ws.documents.remove, one.id, st.session_state.get(reason, "")):
        said = f"Removed {visible(one.name)} with {counted(one.passages, 'passage')}."
        st.session_state[choices.document_done(here.ws.agent_id)] = said
        close()


def _gone(here: Here, asked: Asked) -> None:
    """The address names a document that does not stand."""
    versions = documents_rows.versions(here, asked.document)
    if not versions:
        st.warning(
            f"There is no document “{safe_md(visible(asked.document[:40]))}” as of event {here.seq:,}. Choose one from "
            "the list.",
            icon=":material/search_off:",
        )
        return
    last: dict[str, Any] = versions[0]
    st.warning(
        f"{safe_md(visible(last['name']))} was removed by event {last['seq_to']:,}: its passages are out of archival "
        "storage.",
        icon=":material/delete:",
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        row = next((one for one in documents_rows.removed(here) if one["id"] == asked.document), None)
        if row:
            documents_table.draw_bring_back(here, row)
        before = last["seq_to"] - 1
        link(here.ws, "pages/documents.py", "As it was before", "history", at=before, document=asked.document)


# --- the outline ------------------------------------------------------------------------------------------------


def _outline(here: Here, asked: Asked, one: Document, sections: list[SectionRow]) -> None:
    """Its sections, each with where it begins and what it says in short."""
    place = here.ws.documents.place(one, asked.passage) if asked.passage else None
    now = place.section if place else 1
    st.html(
        wrap(
            '<div class="ms-h"><span>Outline</span><span class="soft" title="Sentences chosen without a model">'
            "in its own sentences</span></div>"
        )
    )
    first = 0
    if len(sections) > SECTIONS_SHOWN:
        st.text_input(
            "Headings that contain",
            placeholder="Find a heading",
            icon=":material/search:",
            label_visibility="collapsed",
            **address.field("documents:within", asked.within),
        )
        sections = [one for one in sections if asked.within.casefold() in " › ".join(one.title_path).casefold()]
        table = f"outline:{here.ws.agent_id}:{one.seq}:{asked.passage}:{asked.within}"
        st.session_state.setdefault(choices.page_of(table), 0 if asked.within else (now - 1) // SECTIONS_SHOWN)
        first = pager.draw(table, len(sections), SECTIONS_SHOWN, what="sections")
    with st.container(key="outline"):
        above: tuple[str, ...] = ()
        for section in sections[first : first + SECTIONS_SHOWN]:
            _section(section, above, section.number == now)
            above = section.title_path


def _section(section: SectionRow, before: tuple[str, ...], is_here: bool) -> None:
    """One section; the headings above it are said where the section `before` does not stand under them."""
    path = [visible(part) for part in section.title_path]
    name = escape(path[-1]) if path else f"Section {section.number}"
    over = section.title_path[:-1]
    above = f'<div class="soft">{escape(trail(path[:-1]))}</div>' if before[: len(over)] != over else ""
    page = f"page {section.page:,} · " if section.page is not None else ""
    said = f'<div class="x">{escape(visible(section.extract))}</div>' if section.extract else ""
    indent = f"margin-left:{0.7 * min(len(over), 4):g}rem"
    with st.container(horizontal=True, wrap=False, vertical_alignment="top", gap="small"):
        st.html(
            f'<div class="ms ms-sec{" here" if is_here else ""}" style="{indent}">{above}<b>{name}</b> '
            f'<span class="soft num">{page}{passages_text(section.first, section.passages)}</span>{said}</div>'
        )
        st.button(
            "Read",
            key=f"section:{section.number}",
            type="tertiary",
            help=f"Read from passage {section.first:,} on",
            on_click=documents_rows.put,
            kwargs={"passage": section.passage},
        )
