"""The request the context page is about: the last one sent, or the one that would be sent next; and its raw JSON."""

import json
from typing import Any, NamedTuple

import streamlit as st

from memgpt_core.prompt import Prompt, build, encode_body
from memgpt_core.settings import DEMO
from memgpt_core.state import State
from memgpt_core.views.window_items import Item, items, unseen, visible
from memgpt_core.workspace import Workspace
from pages.parts.context_rows import Place

SHOWN_CHARS = 200_000
"""A longer body is shown in part: the browser would stand still over it. The file to download is whole."""


class Shown(NamedTuple):
    """A request, rebuilt from the log.

    Attributes:
        where: which request it is; None for what would be sent next.
        state: what it was built from.
        identical: whether its bytes have the sha256 of those that were sent; None for what was not sent.
    """

    where: Place | None
    state: State
    prompt: Prompt
    items: list[Item]
    sections: dict[str, int]
    counted_by: str
    identical: bool | None

    @property
    def tokens(self) -> int:
        """The whole prompt by our count."""
        return sum(self.sections.values())

    @property
    def demo(self) -> bool:
        """Whether it is for the demo model, which counts as we do."""
        return self.state.settings.model == DEMO


def sent(ws: Workspace, where: Place) -> Shown:
    """A request that was sent, built anew from the log as it was then."""
    state, event = ws.state(where.seq), _read(ws, where.seq)
    prompt = build(state, ws.event)
    return Shown(
        where,
        state,
        prompt,
        _items(ws, state, prompt, event.sections),
        event.sections,
        event.counted_by,
        prompt.sha256 == event.sha256,
    )


def next_one(ws: Workspace, state: State) -> Shown:
    """The request that would leave from this state."""
    prompt = build(state, ws.event)
    listed = _items(ws, state, prompt, prompt.sections)
    return Shown(None, state, prompt, listed, prompt.sections, state.counted_by, None)


def _items(ws: Workspace, state: State, prompt: Prompt, sections: dict[str, int]) -> list[Item]:
    return items(state, prompt.body, _read(ws, state.instructions_seq), sections)


def _read(ws: Workspace, seq: int) -> Any:
    return ws.event(seq)


def draw_raw(ws: Workspace, shown: Shown) -> None:
    """The body as JSON, to copy and to download."""
    body = encode_body(shown.prompt.body)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        lines = st.segmented_control(
            "Layout",
            ["Indented", "As sent, one line"],
            default="Indented",
            required=True,
            key="context-layout",
            label_visibility="collapsed",
        )
        name = f"request-{shown.where.seq}" if shown.where else "request-next"
        st.download_button(
            "Download, byte for byte",
            body,
            file_name=f"{ws.agent_id}-{name}.json",
            mime="application/json",
            icon=":material/download:",
            on_click="ignore",
        )
        st.caption(
            f"{len(body):,} bytes · POST /api/chat · sha256 {shown.prompt.sha256[:16]}…", help=shown.prompt.sha256
        )
    text = body.decode()
    if lines == "Indented":
        text = json.dumps(shown.prompt.body, ensure_ascii=False, indent=2)
    if len(text) > SHOWN_CHARS:
        st.caption(f"Only the first {SHOWN_CHARS:,} of {len(text):,} characters are shown; the download has them all.")
    plain(text[:SHOWN_CHARS], height=470)


def plain(text: str, *, height: int | str = "content") -> None:
    """Text exactly as it is, never as Markdown; what nobody can see in it is named."""
    if hidden := unseen(text):
        st.caption(f"{hidden:,} characters here are invisible or change the direction of writing; they stand as ⟨U+…⟩.")
    st.code(visible(text), language=None, wrap_lines=True, height=height)  # type: ignore[arg-type]
