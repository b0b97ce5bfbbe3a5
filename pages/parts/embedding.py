"""Embedding as a person sees it: a model that takes over from another, and what batching and the query cache saved."""

from typing import Any

import streamlit as st

from memgpt_core.home import Home
from memgpt_core.views.changes import embedder_text
from memgpt_core.workspace import Workspace
from pages.parts.agents_table import size_text
from pages.parts.markup import escape, heading, wrap
from pages.parts.safe_md import safe_md


def draw_coming(ws: Workspace) -> bool:
    """A model that is on its way while another one answers; whether there is one."""
    coming = ws.coming_embedder()
    present = ws.projections.embedder
    if coming is None or present is None:
        return False
    names = {model: safe_md(embedder_text(model)) for model in (coming.model, present.name)}
    far = f"{coming.made:,} of {coming.wanted:,} messages and passages"
    if coming.why:
        st.warning(
            f"{names[coming.model]} has embedded {far} and does not go on: {safe_md(coming.why)} It is tried again "
            f"every few seconds; {names[present.name]} answers searches meanwhile.",
            icon=":material/error:",
        )
        st.button(
            "Try again now",
            key="hurry_embedder",
            icon=":material/refresh:",
            on_click=ws.hurry_embedder,
            help="What is embedded already is not embedded again. To keep the old model, choose it in Settings.",
        )
        return True
    share = coming.made / coming.wanted if coming.wanted else 0.0
    st.progress(
        min(1.0, share),
        text=f"Changing to {names[coming.model]}: {far} embedded. {names[present.name]} answers searches meanwhile.",
    )
    return True


def draw_home(home: Home) -> None:
    """The home's switches, and what was asked, sent and saved since it was opened."""
    embedders = home.embedders
    st.html(wrap(heading("Keeping up", "for all agents of this home; a switch holds at once")))
    st.toggle(
        "Send what comes together as one request",
        value=embedders.batching,
        key="embed_batching",
        on_change=_switch,
        args=(home,),
        help="Who asks first waits for others, at most 3 ms and at most a twentieth of what a request takes. No result "
        "changes.",
    )
    st.toggle(
        "Keep the vectors of queries",
        value=embedders.query_cache,
        key="embed_queries",
        on_change=_switch,
        args=(home,),
        help="A query that was asked before, by any agent, asks no model. Kept on disk by model and hash, not as text; "
        "what was not asked for longest leaves first.",
    )
    st.toggle(
        "Write behind: a commit is one line in the log, and the stores follow in the background",
        value=home.write_behind.on,
        key="write_behind",
        on_change=lambda: home.write_behind.switch(st.session_state["write_behind"]),
        help="Off, each event waits until rows, vectors and index have it, too. What a search finds is the same both "
        "ways: it takes in what is new before it looks.",
    )
    kept, size_bytes = embedders.kept_queries()
    lines = [_line(used) for used in embedders.used()] or ["No embedding model was asked for anything yet."]
    lines.append(f"{kept:,} query vectors are kept, {size_text(size_bytes)}.")
    since = f"Since Memscope was started, {embedders.since:%d %b %Y %H:%M} UTC:"
    st.html(wrap(f'<div class="soft">{since}</div>', *(f'<div class="soft">{line}</div>' for line in lines)))


def _line(used: Any) -> str:
    sent, lookups = used.sent, used.lookups
    together = max(0, sent.asked - sent.requests)
    said = [
        f"<b>{escape(embedder_text(used.model))}</b><br>Askings for vectors: {sent.asked:,}; requests sent: "
        f"{sent.requests:,}; saved by sending together: <b>{together:,}</b>"
    ]
    if lookups.asked:
        said.append(
            f"queries looked up: {lookups.asked:,}; known, so that no request was needed: <b>{lookups.found:,}</b> "
            f"({lookups.found / lookups.asked:.0%})"
        )
    seconds = (together + lookups.found) * sent.request_s
    if seconds >= 0.1:
        said.append(f"about <b>{seconds:,.1f} s</b> saved in all, at {1000 * sent.request_s:,.0f} ms a request")
    return "; ".join(said) + "."


def _switch(home: Home) -> None:
    home.embedders.switch(batching=st.session_state["embed_batching"], query_cache=st.session_state["embed_queries"])
