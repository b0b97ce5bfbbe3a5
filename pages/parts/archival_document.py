"""A passage of a document on the archival page: where in the document it stands, and what comes before and after it."""

from typing import Any

import streamlit as st

from memgpt_core.errors import DocumentMissing
from memgpt_core.views.documents import untitled
from memgpt_core.views.log_rows import one_line
from memgpt_core.views.passages import visible
from pages.parts import address
from pages.parts.archival_rows import link
from pages.parts.frame import Here
from pages.parts.hit_places import in_document
from pages.parts.markup import chip, escape, wrap

NEIGHBOUR_CHARS = 220


def draw(here: Here, row: dict[str, Any]) -> None:
    """Its document, its place and its neighbours; nothing for a passage that came with no document."""
    if not row["document"]:
        return
    ws, id = here.ws, row["id"]
    try:
        place = ws.documents.place_of(id, here.seq)
        before, after = ws.documents.neighbours(id, here.seq)
    except DocumentMissing as missing:
        st.warning(f"{missing} Add the file again to see where the passage stands in it.", icon=":material/error:")
        return
    with st.container(key="in-document", gap="small"):
        if place is None:
            st.caption("It is of a document that has been removed, or that has changed since and reads otherwise here.")
            link(ws, "pages/documents.py", "The document", "library_books", at=here.at, document=row["document"])
            return
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.html(
                wrap(
                    f'<div class="ms-line" style="padding:0">{chip("cold")}<div><b>{escape(visible(place.name))}</b> '
                    f'<span class="soft">{in_document(here, place)}</span></div></div>'
                )
            )
            link(
                ws,
                "pages/documents.py",
                "Read on in the document",
                "library_books",
                at=here.at,
                document=place.document,
                passage=id,
            )
        for label, icon, neighbour in (("Before", "expand_less", before), ("After", "expand_more", after)):
            _neighbour(label, icon, neighbour)


def _neighbour(label: str, icon: str, row: dict[str, Any] | None) -> None:
    with st.container(horizontal=True, wrap=False, vertical_alignment="top", gap="small"):
        st.button(
            label,
            key=f"neighbour:{label}",
            icon=f":material/{icon}:",
            type="tertiary",
            width=84,
            disabled=row is None,
            on_click=address.put,
            args=("passage", row["id"] if row else ""),
        )
        said = "Nothing: the document begins here." if label == "Before" else "Nothing: the document ends here."
        if row:
            said = one_line(untitled(row["text"]), NEIGHBOUR_CHARS)
        number = f"<b>{row['id']}</b> " if row else ""
        st.html(wrap(f'<div class="soft" style="overflow-wrap:anywhere">{number}{escape(visible(said))}</div>'))
