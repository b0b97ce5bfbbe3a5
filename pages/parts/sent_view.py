"""Under a reply: what was in the window when the model wrote it."""

from typing import Any

import streamlit as st

from memgpt_core.views.sent import Sent, hit_ids, sent
from memgpt_core.workspace import Workspace
from pages.parts.markup import chip, details, escape, line, text_box, wrap


def draw(ws: Workspace, prompt_seq: int, reply_seq: int) -> None:
    """An expander that looks it up when it is opened; `reply_seq` is the message the reply sent."""
    shown = st.expander(
        "What was in the window", key=f"sent:{ws.agent_id}:{reply_seq}", type="compact", on_change="rerun"
    )
    if not shown.open:
        return
    state = ws.state(at=prompt_seq)
    ids = hit_ids(state)
    found = sent(state, ws.event, ws.items(ids) if ids else {}, reply=_reply(ws, prompt_seq, reply_seq))
    with shown:
        st.html(wrap(_sizes(found), _queue(found), _hits(found), _blocks(found)))


def _reply(ws: Workspace, prompt_seq: int, reply_seq: int) -> Any:
    return next((event for event in ws.events(prompt_seq, reply_seq) if event.kind == "model_replied"), None)


def _sizes(found: Sent) -> str:
    parts = " ".join(
        f'<span class="num">{chip(part.key)} {escape(part.label)} {part.tokens:,}</span>' for part in found.sections
    )
    counted = f" ({found.server_tokens:,} by the model server's count)" if found.server_tokens else ""
    return (
        f"<div>The request of step {found.step} had <b>{found.tokens:,} tokens</b>{counted}, in a window of "
        f"{found.window:,}. Its first {found.prefix_tokens:,} were the same as in the request before.</div>"
        f'<div style="display:flex;flex-wrap:wrap;gap:.15rem .9rem;margin:.3rem 0">{parts}</div>'
    )


def _queue(found: Sent) -> str:
    if found.queue is None:
        return line("messages", "The FIFO queue was empty.")
    first, last, many = found.queue
    stands = f"; before them the recursive summary of {found.covers} messages" if found.covers else ""
    which = f"{escape(first)} to {escape(last)}" if many > 1 else escape(first)
    return line("messages", f"FIFO queue <b>{which}</b>, {many} message{'s' if many > 1 else ''}{stands}.")


def _hits(found: Sent) -> str:
    if not found.hits:
        return '<div class="soft">No search result was in the window.</div>'
    return "".join(
        line(
            hit.tier,
            f"<b>{escape(hit.item)}</b> in {escape(hit.carrier)}, brought by {escape(hit.brought_by)}"
            f'<div class="soft">{escape(hit.excerpt)}</div>',
        )
        for hit in found.hits
    )


def _blocks(found: Sent) -> str:
    return "".join(
        line(
            "working_context",
            details(
                f"<b>{escape(block.label)}</b> <span class='soft'>{block.tokens:,} tokens, version of event "
                f"{block.seq}, by {escape(block.author)}</span>",
                text_box(block.value, "working_context"),
            ),
        )
        for block in found.blocks
    )
