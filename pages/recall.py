"""Every message ever: search, open in its turn, correct, bring back; the agent's own searches; SQL over the rows."""

import streamlit as st

from memgpt_core.views.passages import visible
from pages.parts import (
    address,
    frame,
    hits,
    recall_asked,
    recall_list,
    recall_message,
    recall_picked,
    recall_searches,
    recall_sql,
)
from pages.parts.frame import Here
from pages.parts.markup import chip, wrap
from pages.parts.recall_asked import Asked
from pages.parts.safe_md import safe_md

VIEWS = {
    "messages": ":material/forum: Messages",
    "searches": ":material/manage_search: The agent's searches",
    "sql": ":material/database: SQL",
}
BUSY_EVERY_S = 2.0

STYLE = """<style>
.ms-said{white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate}
.ms-said.short{display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:3;overflow:hidden}
.ms-said.thought{font-style:italic}
.ms-opened{box-shadow:inset 3px 0 0 light-dark(#0d7f7a,#45b8b0);padding-left:.5rem}
.ms-text{unicode-bidi:isolate}
.st-key-recall-rows{gap:0}
.st-key-recall-rows>.stHorizontalBlock,.st-key-recall-rows>div>.stHorizontalBlock{padding:.45rem 0 .3rem;
 border-bottom:1px solid color-mix(in srgb,currentColor 12%,transparent)}
.st-key-recall-rows button{min-height:1.4rem}
.st-key-sql-box textarea{font-family:monospace;font-size:.85rem}
.st-key-sql-examples{gap:0}.st-key-sql-examples button{min-height:1.7rem;padding:0;text-align:left}
</style>"""


def head(here: Here) -> None:
    """What recall storage is, and how much is in it."""
    queued = len(here.state.queue)
    st.html(
        wrap(
            f'<div class="ms-line">{chip("recall")}<div><b style="font-size:1.15rem">Recall storage</b> '
            f'<span class="soft">{here.state.messages:,} messages: everything ever said, thought and returned. '
            f"{queued:,} of them are in the window {'now' if here.at is None else 'then'}; "
            "the agent finds the others by searching.</span></div></div>"
        )
    )


def messages(here: Here, asked: Asked) -> None:
    """The search, the selection and the list; the message that is open beside them."""
    left, right = st.columns([56, 44], gap="medium") if asked.message else (st.container(), None)
    with left, st.container(gap="small"):
        recall_asked.draw(here, asked)
        recall_picked.draw(here)
        recall_list.draw(here, asked)
    if right is not None:
        with right:
            recall_message.draw(here, asked)


def pulse(busy: bool) -> None:
    """Says that more is coming; the page is drawn anew when the turn ends."""
    if busy:
        st.caption(":material/sync: A turn is running: what it brings is listed when it ends.")


with frame.enter("Recall storage") as here:
    st.html(STYLE + hits.STYLE)
    asked = recall_asked.read(here)
    ws, busy = here.ws, here.ws.busy and here.at is None
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        head(here)
        st.segmented_control(
            "View",
            list(VIEWS),
            format_func=VIEWS.get,
            required=True,
            label_visibility="collapsed",
            **address.field("recall:view", asked.view, "messages"),
        )
    for sentence in asked.wrong:
        st.warning(safe_md(visible(sentence)), icon=":material/link_off:")
    frame.live(pulse, every_s=BUSY_EVERY_S if busy else None, until=lambda: busy and not ws.busy)(busy)
    if asked.view == "sql":
        recall_sql.draw(here)
    elif asked.view == "searches":
        left, right = st.columns([56, 44], gap="medium") if asked.message else (st.container(), None)
        with left, st.container(gap="small"):
            recall_searches.draw(here)
        if right is not None:
            with right:
                recall_message.draw(here, asked)
    else:
        messages(here, asked)
