"""The agent's documents: add files and folders, read one with its outline, its passages and its text, remove it."""

import streamlit as st

from memgpt_core.views.lanes import counted
from pages.parts import (
    archival_rows,
    choices,
    documents_add,
    documents_open,
    documents_rows,
    documents_run,
    documents_table,
    frame,
)
from pages.parts.frame import Here
from pages.parts.markup import chip, wrap
from pages.parts.safe_md import safe_md


def head(here: Here) -> None:
    """What documents are here, and how many."""
    documents = documents_rows.standing(here)
    passages = sum(document.passages for document in documents)
    many = (
        f"{counted(len(documents), 'file')} in cold storage, cut into {counted(passages, 'passage')} of archival "
        "storage. The agent finds passages by searching, and looks at outlines to know where to read."
        if documents
        else "None yet. A file that you add is kept in cold storage and cut into passages, which the agent finds by "
        "searching."
    )
    st.html(
        wrap(
            f'<div class="ms-line">{chip("cold")}<div><b style="font-size:1.15rem">Documents</b> '
            f'<span class="soft">{many}</span></div></div>'
        )
    )


def done(here: Here) -> None:
    """What came of the last removal, once."""
    if said := st.session_state.pop(choices.document_done(here.ws.agent_id), ""):
        st.success(safe_md(f"{said} It is listed under “Removed”, from where it can be brought back."))


def adding(here: Here) -> None:
    """The form, folded while there are documents to look at."""
    documents = documents_rows.standing(here)
    if here.at is not None:
        if not documents:
            st.info(f"{safe_md(here.state.name)} had no documents at this event.", icon=":material/library_books:")
        return
    if here.home.adding.busy(here.ws.agent_id):
        return
    label = "Add files or a folder" if documents else "Add the first files: they are read here, and nowhere else"
    with st.expander(label, icon=":material/note_add:", expanded=not documents):
        documents_add.draw(here, list(archival_rows.choices_of(here).tags))


with frame.enter("Documents") as here:
    asked = documents_rows.read(here)
    st.html(documents_table.STYLE)
    with st.container(key="wrong"):
        for sentence in asked.wrong:
            st.warning(safe_md(sentence), icon=":material/link_off:")
    if asked.document:
        documents_open.draw(here, asked)
    else:
        head(here)
        with st.container(key="done"):
            done(here)
        with st.container(key="run-place"):
            if here.at is None:
                documents_run.draw(here)
        with st.container(key="add-place"):
            adding(here)
        documents_table.draw(here, asked)
