"""The story of one passage: where it came from, every text it had, which searches gave it, where it is now."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from memgpt_core import passages
from memgpt_core.ids import seq_of
from memgpt_core.passages import SEARCHES_AT_ONCE
from memgpt_core.views.passages import SHOWN_CHARS, versions, visible
from pages.parts import archival_rows
from pages.parts.frame import Here, attempt
from pages.parts.markup import escape, text_box, wrap

FOUND_SHOWN = 25
TEXT_CHARS = 220

_HOW = {"slot": "by its own slot", "copy": "as a copy inside", "requeue": "queued again as"}


def draw(here: Here, row: dict[str, Any]) -> None:
    """The chosen chapter."""
    chapter = st.segmented_control(
        "Story",
        list(_CHAPTERS),
        default=next(iter(_CHAPTERS)),
        required=True,
        key="story",
        label_visibility="collapsed",
        persist_state="session",
    )
    _CHAPTERS[chapter](here, row)


def _origin(here: Here, row: dict[str, Any]) -> None:
    seq, ws = seq_of(row["id"]), here.ws
    born: Any = ws.event(seq)
    imported = f"Imported from “{visible(row['source'])}”." if row["source"] else "Imported."
    how = {
        "agent": f"The agent stored it in turn {row['turn']}, step {row['step']}.",
        "human": "Stored by hand.",
        "import": f"Came with the document “{visible(row['source'])}”." if row["document"] else imported,
        "engine": "Stored by the engine's own rules.",
    }[born.author]
    st.html(wrap(f"<div>{escape(how)} Event {seq:,}.</div>"))
    with st.container(horizontal=True, gap="small"):
        archival_rows.link(ws, "app.py", "Chat at that event", "forum", at=seq)
        archival_rows.link(ws, "pages/timeline.py", "On the timeline", "timeline", mark=str(seq))
        archival_rows.link(ws, "pages/log.py", "The event", "receipt_long", event=str(seq))
        if row["source"] and born.author == "import":
            archival_rows.link(ws, "pages/archival.py", "All from this document", "description", source=row["source"])
        what, _, name = row["source"].partition(" ")
        if born.author == "human" and what == "message":
            archival_rows.link(ws, "pages/recall.py", f"The message it was, {name}", "chat", message=name)
        elif born.author == "human" and what == "block":
            archival_rows.link(ws, "pages/core_memory.py", f"The block it was in, {name}", "edit_note", block=name)
    if born.author == "agent":
        told = passages.told_in(ws.rows, row, here.seq)
        if told:
            st.caption("The messages that led to it, latest first:")
        for message in told:
            text = visible(" ".join(message["text"].split())[:TEXT_CHARS])
            said = escape(text) or '<span class="soft">a call without words</span>'
            says = wrap(f'<div><b>{message["id"]}</b> <span class="soft">{message["role"]}</span> {said}</div>')
            with st.container(horizontal=True, wrap=False, gap="small"):
                st.html(says, width="stretch")
                archival_rows.link(ws, "pages/recall.py", "Recall", "manage_search", at=here.at, message=message["id"])


def _versions(here: Here, row: dict[str, Any]) -> None:
    found = versions(passages.versions(here.ws.rows, row["id"], here.seq), here.seq)
    newest = found[0].seq if found else 0
    for version in found:
        event: Any = here.ws.event(version.seq)
        reason = getattr(event, "reason", "")
        why = f", “{escape(visible(reason))}”" if reason else ""
        ended = f" · {escape(version.ended)}" if version.ended else ""
        tags = "".join(f' <span class="ms-tag">{escape(visible(tag))}</span>' for tag in version.tags)
        at = version.at
        st.html(
            wrap(
                f'<div><b>{version.what}</b> by {escape(version.by)}{why} <span class="soft" '
                f'title="{at:%Y-%m-%d %H:%M:%S} UTC">{at.astimezone(here.zone):%d %b %Y %H:%M}, event '
                f"{version.seq:,}{ended}</span>{tags}"
                f"{' <span class=ms-tag>stands</span>' if version.current else ''}</div>",
                text_box(visible(version.text[:SHOWN_CHARS]), "archival"),
            )
        )
        with st.container(horizontal=True, gap="small"):
            archival_rows.link(
                here.ws, "pages/archival.py", "The page as of then", "history", at=version.seq, passage=row["id"]
            )
            if version.seq != newest or not version.current:
                st.button(
                    "Bring this text back",
                    key=f"version:{version.seq}",
                    type="tertiary",
                    icon=":material/settings_backup_restore:",
                    disabled=here.at is not None or row["seq_to"] is not None,
                    help="As a new edit; nothing in between is lost",
                    on_click=attempt,
                    args=(here.ws.edits.edit_passage, row["id"], version.text),
                    kwargs={
                        "tags": version.tags,
                        "based_on": row["seq_from"],
                        "reason": f"text of event {version.seq}",
                    },
                )


def _found_by(here: Here, row: dict[str, Any]) -> None:
    log = here.ws.archival_searches
    left = log.take()
    found = log.giving(row["id"], here.seq)
    st.caption(
        f"{len(found):,} of the agent's archival searches returned it"
        + (
            f", of the newest {log.looked_through:,} that were looked through; {left:,} older ones are left."
            if left
            else "."
        )
    )
    if left:
        st.button(f"Look through {min(left, SEARCHES_AT_ONCE):,} more", key="more-searches", type="tertiary")
    for search in found[:FOUND_SHOWN]:
        hit, at = search.hit, search.at
        by_words = f"words rank {hit.words_rank}" if hit.words_rank else "no word"
        by_vector = f"vector rank {hit.vector_rank}, cosine {hit.vector_score:.3f}" if hit.vector_rank else "no vector"
        st.html(
            wrap(
                f'<div>“{escape(visible(search.query))}” <span class="soft" title="{at:%Y-%m-%d %H:%M:%S} UTC">'
                f"{at.astimezone(here.zone):%d %b %Y %H:%M}, turn {search.turn}, event {search.seq:,}</span></div>"
                f'<div class="soft num">place {search.place} on its page · score {hit.score:.3f} · {by_words} · '
                f"{by_vector}</div>"
            )
        )
        with st.container(horizontal=True, gap="small"):
            archival_rows.link(
                here.ws, "pages/archival.py", "Search it as of then", "history", at=search.seq, q=search.query
            )
            archival_rows.link(here.ws, "app.py", "Chat at that event", "forum", at=search.seq)
    if len(found) > FOUND_SHOWN:
        st.caption(f"The newest {FOUND_SHOWN} are shown.")
    if not found and not left:
        st.caption("A passage that nothing ever returns may be worded unlike what the agent asks for.")


def _window(here: Here, row: dict[str, Any]) -> None:
    found = passages.intervals(here.ws.rows, row["id"], here.seq)
    now = [interval for interval in found if interval["seq_to"] is None]
    if now:
        st.html(wrap(f"<div><b>In the window</b>, {len(now)} time{'s' * (len(now) > 1)}:</div>"))
    else:
        said = "It was there before." if found else "No search has brought its text into the window."
        st.html(wrap(f"<div><b>Not in the window</b> now; it is in archival storage only. {said}</div>"))
    for interval in found:
        until = f"to event {interval['seq_to']:,}" if interval["seq_to"] is not None else "and is there still"
        st.html(
            wrap(
                f"<div>{_HOW[interval['how']]} {escape(interval['carrier'])} "
                f'<span class="soft">from event {interval["seq_from"]:,} (turn {interval["turn"]}) {until}</span></div>'
            )
        )
        with st.container(horizontal=True, gap="small"):
            archival_rows.link(
                here.ws,
                "pages/recall.py",
                f"{interval['carrier']} in recall storage",
                "manage_search",
                at=here.at,
                message=interval["carrier"],
            )
            archival_rows.link(here.ws, "pages/context.py", "The window then", "view_comfy", at=interval["seq_from"])


_CHAPTERS: dict[str, Callable[[Here, dict[str, Any]], None]] = {
    "Origin": _origin,
    "Versions": _versions,
    "Found by": _found_by,
    "In window": _window,
}
