"""The settings of an agent and the Ollama server: model, window, rules; connection, models, tool-call trial."""

import streamlit as st

from memgpt_core.home import Home
from memgpt_core.workspace import Workspace
from pages.parts import connection, embedding, frame, model_choice, rules, settings_draft, settings_past, trial
from pages.parts.safe_md import safe_md
from pages.parts.settings_draft import Draft

# The bar with what is not saved stays at the lower edge, in reach of every field.
STYLE = """<style>
.stVerticalBlock>div:has(>.st-key-unsaved){position:sticky;bottom:0;z-index:9}
.st-key-unsaved{background:light-dark(#fbfaf6,#15191d);box-shadow:0 -1px 0 light-dark(#dcd8cb,#343c43);
 padding:.5rem 0 .6rem}
</style>"""


def server(ws: Workspace, home: Home) -> None:
    """The connection, and what the last turn met there."""
    connection.draw_last_fault(ws, home.connection)
    connection.draw(ws, home.connection)


def try_out(home: Home, ws: Workspace) -> None:
    """The trial of the model that is chosen on the page, saved or not."""
    draft = Draft(ws)
    trial.draw(home, draft.checked()[0], draft.value("model"))
    rules.draw_slips(ws)


def to_embed(ws: Workspace) -> bool:
    """Whether texts are being embedded, or should be."""
    return bool(ws.not_embedded) or ws.coming_embedder() is not None


with frame.enter("Settings") as here:
    ws, home = here.ws, here.home
    if here.at is not None:
        settings_past.draw(here)
        st.stop()
    st.html(STYLE)
    draft = Draft(ws)
    chosen = draft.value("model")
    drawn, trying = (connection.shape(home.connection), draft.values()), home.trials.running(chosen) is not None
    form, beside = st.columns([58, 42], gap="medium")
    with form, st.container(gap="small"):
        st.markdown(f"#### Settings of {safe_md(ws.state().name)}")
        model_choice.draw(draft, home.connection)
        rules.draw_window(draft)
        rules.draw_counting(ws)
        rules.draw_turn(draft)
        rules.draw_edits(draft)
        rules.draw_review(draft)
        rules.draw_functions(draft)
        rules.draw_instructions(draft)
        rules.draw_sampling(draft)
        rules.draw_search(draft, home.connection.view().models)
        rules.draw_page_size(draft)
        rules.draw_retrieval(draft)
        left = to_embed(ws)
        frame.live(rules.draw_embedding, every_s=1.0 if left else None, until=lambda: left and not to_embed(ws))(ws)
        embedding.draw_home(home)
        settings_draft.draw_bar(draft)
    with beside, st.container(gap="small"):
        frame.live(
            server,
            every_s=connection.every_s(home.connection),
            until=lambda: (connection.shape(home.connection), Draft(ws).values()) != drawn,
        )(ws, home)
        connection.draw_other(home.connection)
        frame.live(
            try_out,
            every_s=trial.RUNNING_EVERY_S if trying else None,
            until=lambda: (home.trials.running(chosen) is not None) != trying,
        )(home, ws)
