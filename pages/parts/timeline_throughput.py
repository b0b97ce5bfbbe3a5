"""What the switches for keeping up did, on the timeline: those that the log tells of, and those counted in here."""

from typing import Any

import streamlit as st

from memgpt_core.views.changes import embedder_text
from memgpt_core.views.policies import policies
from memgpt_core.views.residency import Figure
from memgpt_core.views.throughput import Counts, Tally, throughput
from pages.parts import timeline_rows
from pages.parts.archival_rows import link
from pages.parts.frame import Here
from pages.parts.markup import escape, heading, wrap


def draw(here: Here) -> None:
    """Both."""
    found, off = policies(timeline_rows.kept(here.ws, timeline_rows.policies, here.seq), here.state.settings)
    upto = "" if here.at is None else f" up to event {here.seq:,}"
    if found:
        _figures("Working ahead", f"what the agent's switches for it did and cost, over the whole life{upto}", found)
    since = f"{here.home.embedders.since.astimezone(here.zone):%d %b %Y %H:%M}"
    says = f"counted since Memscope was started, {since}; no log tells of it"
    _figures("Keeping up", says, throughput(_counts(here)))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(f"Off here: {', '.join(off)}." if off else "Each can be switched.", width="content")
        link(here.ws, "pages/settings.py", "Their switches", "settings")


def figure(one: Figure) -> str:
    """A figure as HTML: what it is called, its number, and what that counts."""
    return (
        f'<div><div class="soft">{escape(one.label)}</div><div class="ms-big">{escape(one.value)}</div>'
        f'<div class="soft">{escape(one.says)}</div></div>'
    )


def _figures(title: str, says: str, found: list[Figure]) -> None:
    st.html(wrap(heading(title, says), f'<div class="ms-figures">{"".join(map(figure, found))}</div>'))


def _counts(here: Here) -> Counts:
    home, stores = here.home, here.ws.projections
    followed, ram, model = stores.following.view(), stores.in_ram(), stores.embedder
    given: dict[str, Any] = {name: Tally(*tally) for name, tally in followed._asdict().items()}
    if model is not None:
        kept, kept_bytes = home.embedders.kept_queries()
        needed = stores.vectors.lookups(model.name, model.dim)
        given |= {
            "model": embedder_text(model.name),
            "loaded": stores.vectors_loaded(),
            "vectors": sum(tier.vectors for tier in ram.tiers),
            "held": sum(tier.held for tier in ram.tiers),
            "held_mb": ram.vectors_mb,
            "budget_mb": ram.budget_mb,
            "recalls": tuple(tier.kind.recall for tier in ram.spread if tier.kind),
            "kept": kept,
            "kept_bytes": kept_bytes,
            "kept_bytes_most": home.embedders.kept_queries_most,
            "needed": needed.asked,
            "needed_known": needed.found,
        }
        for used in home.embedders.used():
            if (used.model, used.dim) == (model.name, model.dim):
                given |= used.sent._asdict()
                given |= {"queries": used.lookups.asked, "queries_known": used.lookups.found}
    return Counts(
        **given,
        batching=home.embedders.batching,
        query_cache=home.embedders.query_cache,
        write_behind=home.write_behind.on,
    )
