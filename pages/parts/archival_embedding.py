"""What searches rank by here, how much has no vector of the agent's model, and embedding it again."""

import streamlit as st

from memgpt_core.workspace import Workspace
from pages.parts import archival_rows, embedding
from pages.parts.safe_md import safe_md

MOVING_EVERY_S = 1.0


def moving(ws: Workspace) -> bool:
    """Whether vectors are being looked up or made."""
    stores, coming = ws.projections, ws.coming_embedder()
    if coming is not None:
        return True
    if stores.reembedding.view().running or not stores.vectors_loaded():
        return True
    return bool(stores.not_embedded()) and not stores.embedding_fault


def draw(ws: Workspace) -> None:
    """One line: a model that takes over, all embedded, on its way, or what lacks a vector, why, and how to mend it."""
    stores = ws.projections
    model, run = stores.embedder, stores.reembedding.view()
    left = len(stores.not_embedded())
    if embedding.draw_coming(ws):
        return
    if model is None:
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            st.caption("No embedding model: searches go by words only.", width="content")
            archival_rows.link(ws, "pages/settings.py", "Choose one", "tune")
    elif run.running:
        share = run.made / run.wanted if run.wanted else 0.0
        st.progress(min(1.0, share), text=f"Embedding with {safe_md(model.name)}: {run.made:,} of {run.wanted:,}")
    elif not stores.vectors_loaded():
        st.caption(f"Looking up the vectors of {safe_md(model.name)}…")
    elif not left:
        st.caption(f"Embedded with {safe_md(model.name)} ({model.dim:,} numbers); nothing lacks a vector.")
    elif not stores.embedding_fault:
        st.caption(f"Embedding with {safe_md(model.name)} in the background: {left:,} messages and passages to go.")
    else:
        _stuck(ws, model.name, left)


def _stuck(ws: Workspace, model: str, left: int) -> None:
    outcome = ws.projections.reembedding.view().outcome
    made = f"{outcome.made:,} were embedded just now. " if outcome and outcome.made else ""
    st.warning(
        f"{made}{left:,} messages and passages are found by words only: {safe_md(model)} gave no vector. "
        f"{safe_md(_sentence(ws.projections.embedding_fault))}",
        icon=":material/error:",
    )
    st.button(
        "Embed them again",
        key="reembed",
        icon=":material/refresh:",
        on_click=ws.reembed,
        help="Asks the embedding model once more, also for texts it refused; in the background.",
    )


def _sentence(fault: str) -> str:
    """What the store says of a vector, which begins with a verb, as a sentence of its own."""
    return fault if fault[:1].isupper() else f"The vector {fault}."
