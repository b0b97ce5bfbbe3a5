"""The passages: search with scores, insert, edit, tag, merge, restore; each with its whole story."""

import streamlit as st

from memgpt_core.passages import Options
from memgpt_core.queries import QUERY_CHARS
from memgpt_core.views.passages import visible
from pages.parts import (
    address,
    archival_asked,
    archival_bulk,
    archival_embedding,
    archival_list,
    archival_passage,
    archival_past,
    archival_restore,
    archival_rows,
    archival_twins,
    frame,
)
from pages.parts.archival_asked import Asked
from pages.parts.frame import Here
from pages.parts.markup import chip, wrap
from pages.parts.safe_md import safe_md

VIEWS = {
    "passages": ":material/inventory_2: Passages",
    "twins": ":material/content_copy: Near-duplicates",
    "searches": ":material/manage_search: Past searches",
    "restore": ":material/settings_backup_restore: Restore",
}


def head(here: Here) -> None:
    """What archival storage is, and how much is in it."""
    st.html(
        wrap(
            f'<div class="ms-line">{chip("archival")}<div><b style="font-size:1.15rem">Archival storage</b> '
            f'<span class="soft">{here.state.passages:,} passages, outside the window: the agent reads one only by '
            "searching for it, by words and by similarity.</span></div></div>"
        )
    )


def listing(here: Here, asked: Asked, options: Options) -> None:
    """The search field, the filters and the list under them."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.text_input(
            "Search as the agent does: by words and by similarity",
            placeholder="Search, or leave it empty to list everything",
            icon=":material/search:",
            max_chars=QUERY_CHARS,
            **address.field("archival:q", asked.query),
        )
        archival_asked.draw_filters(asked, options)
        archival_passage.draw_new(here, list(options.tags))
    if said := archival_asked.in_words(asked):
        st.caption(f"Only passages {said}.")
    archival_bulk.draw(here, list(options.tags))
    archival_list.draw(here, asked)


with frame.enter("Archival storage") as here:
    asked = archival_asked.read(here)
    head(here)
    for sentence in asked.wrong:
        st.warning(safe_md(visible(sentence)), icon=":material/link_off:")
    views, vectors = st.columns([58, 42], gap="medium", vertical_alignment="center")
    with views:
        st.segmented_control(
            "View",
            list(VIEWS),
            format_func=VIEWS.get,
            required=True,
            label_visibility="collapsed",
            **address.field("archival:view", asked.view, "passages"),
        )
    with vectors:
        moving = archival_embedding.moving(here.ws)
        frame.live(
            archival_embedding.draw,
            every_s=archival_embedding.MOVING_EVERY_S if moving else None,
            until=lambda: moving and not archival_embedding.moving(here.ws),
        )(here.ws)
    options = archival_rows.choices_of(here)
    left, right = st.columns([58, 42], gap="medium") if asked.passage else (st.container(), None)
    with left, st.container(gap="small"):
        if asked.view == "twins":
            archival_twins.draw(here)
        elif asked.view == "searches":
            archival_past.draw(here)
        elif asked.view == "restore":
            archival_restore.draw(here)
        else:
            listing(here, asked, options)
    if right is not None:
        with right:
            archival_passage.draw(here, asked, list(options.tags))
