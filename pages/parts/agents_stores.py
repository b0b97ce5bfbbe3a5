"""An agent's stores: what they take on the disk, and the two buttons that look after them."""

import streamlit as st

from memgpt_core.home import Home
from memgpt_core.upkeep import Job
from memgpt_core.workspace import Workspace
from pages.parts.agents_table import size_text
from pages.parts.frame import attempt
from pages.parts.markup import chip, heading, text_box, wrap

EVERY_S = 0.5
DIFFERENCES_SHOWN = 200

STORES = (
    ("log", "Log", "", "run.jsonl: every event, the truth; all else is made from it"),
    ("rows", "Rows", "recall", "rows.duckdb: messages, passages and events as rows"),
    ("index", "Search index", "archival", "index.lance: texts and vectors for searching"),
    ("checkpoints", "Checkpoints", "", "the state every few hundred events, so that opening is quick"),
    ("other", "Other", "", "notes and bookmarks"),
)


def draw(home: Home, ws: Workspace) -> None:
    """Disk use, then rebuild and verify with what they are doing or came to."""
    use = home.disk_use(ws.agent_id)
    lines = "".join(_line(use[key], name, tier, says) for key, name, tier, says in STORES if use[key] or key != "other")
    shared = _line(home.vectors_bytes, "Vectors", "", "vectors.duckdb: of all agents of this home together")
    queries = home.embedders.kept_queries()[1]
    shared += _line(
        queries, "Query vectors", "", "queries.sqlite: of what they searched for; what was not asked for longest leaves"
    )
    if home.documents_bytes:
        told = "documents/: the files that were added, their texts and manifests, of all agents of this home together"
        shared += _line(home.documents_bytes, "Documents", "", told)
    st.html(
        wrap(
            heading("On disk", f"{size_text(sum(use.values()))} in the folder {ws.agent_id}"),
            f'<table style="border-spacing:0 .1rem">{lines}{shared}</table>',
        )
    )
    _in_ram(ws)
    job = home.upkeep.job(ws.agent_id)
    running = job is not None and job.running
    with st.container(horizontal=True, gap="small"):
        for what, label, icon, tip in (
            (
                "verify",
                "Compare with the log",
                ":material/fact_check:",
                "Folds the log again and compares every row and vector of the stores with it. Changes nothing.",
            ),
            (
                "rebuild",
                "Make the stores anew",
                ":material/construction:",
                "Drops rows, index and this agent's vectors and makes them again from the log. The log is not touched; "
                "texts are embedded again.",
            ),
        ):
            st.button(
                label,
                key=f"upkeep:{what}",
                icon=icon,
                disabled=running,
                help=tip,
                on_click=attempt,
                args=(home.upkeep.start, ws, what),
            )
    if job is not None:
        _job(job)


def _in_ram(ws: Workspace) -> None:
    """What searches keep in RAM, and how what is on disk is found."""
    held = ws.projections.in_ram()
    lines = _line(int(held.words_mb * 1e6), "Words", "", "where each word stands; it grows with the texts")
    if held.budget_mb or held.tiers:
        says = f"of {held.budget_mb:,} MB at most (Settings)" + ("" if held.spread else "; every search is exact")
        lines += _line(int(held.vectors_mb * 1e6), "Vectors", "", says)
    st.html(wrap(heading("In RAM"), f'<table style="border-spacing:0 .1rem">{lines}</table>'))
    for tier in held.spread:
        here = f"{tier.held:,} of {tier.vectors:,} vectors of {tier.table} are in RAM"
        if tier.kind.exact:
            st.caption(f"{here}; a search reads the others from the disk and is exact.")
        else:
            st.caption(
                f"**approximate**: {here}, the others are found on disk ({tier.kind.name}, {tier.kind.probes} of "
                f"{tier.kind.parts} parts looked into). Of the ten nearest {tier.kind.recall:.0%} are found, measured "
                "on stored vectors."
            )


def _line(size_bytes: int, name: str, tier: str, says: str) -> str:
    return (
        f'<tr><td style="width:1.7rem">{chip(tier) if tier else ""}</td>'
        f'<td style="padding-right:.9rem;white-space:nowrap">{name}</td>'
        f'<td class="num" style="text-align:right;padding-right:.9rem">{size_text(size_bytes)}</td>'
        f'<td class="soft">{says}</td></tr>'
    )


def _job(job: Job) -> None:
    if job.running:
        if job.share is None:
            st.progress(0.0, text=f"Comparing the stores with the log… {job.seconds:.0f} s. You can leave this page.")
        else:
            done = f"Making the stores anew: {job.share:.0%}, {job.seconds:.0f} s. You can leave this page."
            st.progress(min(1.0, job.share), text=done)
        return
    if job.failed or job.differences:
        st.error(job.said, icon=":material/error:")
    else:
        st.success(f"{job.said} It took {job.seconds:,.1f} s.", icon=":material/check_circle:")
    if job.differences:
        shown = "\n".join(str(one) for one in job.differences[:DIFFERENCES_SHOWN])
        more = len(job.differences) - DIFFERENCES_SHOWN
        rest = f'<div class="soft">and {more:,} more</div>' if more > 0 else ""
        st.html(wrap(text_box(shown), rest))
