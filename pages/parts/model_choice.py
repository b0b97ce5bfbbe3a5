"""Which model an agent runs on, how it is spoken to, and what is known about it.

A model is known in the list by its plain name: the same whether the server is there or not, because the browser
takes the label for the choice.
"""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from memgpt_core.connection import Connection, ModelCard
from memgpt_core.settings import DEMO
from memgpt_core.views.changes import CALLINGS, PROTOCOLS, THINK, model_text
from pages.parts import choices
from pages.parts.markup import escape, heading, wrap
from pages.parts.settings_draft import Draft, among, pressed

GB = 1e9
"""As `ollama list` counts."""


def draw(draft: Draft, connection: Connection) -> None:
    """The model, what is known about it, protocol, calling and thinking."""
    view = connection.view()
    name = draft.value("model")
    st.html(wrap(heading("Model", "answers from the next step on")))
    models = options(view.models, name)
    st.selectbox(
        "Model",
        models,
        format_func=model_text,
        label_visibility="collapsed",
        help="Models of the Ollama server at the right, and the built-in demo model.",
        **(draft.bind("model", begins=among(models)) | {"on_change": _chosen, "args": (draft, connection)}),
    )
    st.html(wrap(_about(name, connection.card(name), view.state == "found", connection.served_window(name), draft)))
    left, middle, right = st.columns([1.15, 1.55, 0.95], gap="small")
    left.segmented_control(
        "Protocol",
        list(PROTOCOLS),
        format_func=PROTOCOLS.__getitem__,
        required=True,
        help="MemGPT: the agent speaks with send_message and goes on with heartbeats, as in the paper. "
        "Native: plain text is the reply, a function call continues.",
        **draft.bind("protocol", begins=pressed),
    )
    middle.segmented_control(
        "Function calling",
        list(CALLINGS),
        format_func=CALLINGS.__getitem__,
        required=True,
        help="Tools: for models that can call functions. Structured output: the others fill in a form with the "
        "function and its arguments; needs the MemGPT protocol.",
        **draft.bind("calling", begins=pressed),
    )
    right.selectbox(
        "Thinking",
        list(THINK),
        format_func=THINK.__getitem__,
        help="On and Off are for models that can think; Low, Medium and High only for those with levels. "
        "What a model thinks is shown folded in the chat; it costs time and reply tokens.",
        **draft.bind("think", begins=among(list(THINK))),
    )


def options(cards: Sequence[ModelCard], chosen: str) -> list[str]:
    """What can be chosen: the demo model, the server's chat models, and what is chosen now even if it is away."""
    names = [DEMO, *(card.name for card in cards if not card.embedding)]
    return list(dict.fromkeys([*names, chosen]))


def choose(draft: Draft, name: str, card: ModelCard | None) -> None:
    """Take a model into the draft, and with it the way of calling and thinking that it can do."""
    draft.put("model", name)
    if name == DEMO or (card is not None and not card.thinking):
        draft.put("think", "off")
    if name == DEMO or (card is not None and card.tools):
        draft.put("calling", "tools")
    elif card is not None:
        draft.put("calling", "structured")
        draft.put("protocol", "memgpt")


def _chosen(draft: Draft, connection: Connection) -> None:
    name = st.session_state[choices.setting(draft.ws.agent_id, "model")]
    choose(draft, name, connection.card(name))


def size_text(size_bytes: float) -> str:
    """Bytes as gigabytes, or megabytes where those are few."""
    return f"{size_bytes / GB:.1f} GB" if size_bytes >= 0.95 * GB else f"{size_bytes / 1e6:,.0f} MB"


def facts(card: ModelCard) -> str:
    """A model's size and what it can do, in one line."""
    said = [
        f"{card.parameters} parameters" if card.parameters else "",
        card.quantization,
        f"{size_text(card.size_bytes)} on disk" if card.size_bytes and not card.cloud else "",
        f"trained for {card.trained_window:,} tokens" if card.trained_window else "",
        "" if card.embedding else "calls functions" if card.tools else "cannot call functions",
        "can think" if card.thinking else "",
    ]
    return " · ".join(part for part in said if part)


def _about(name: str, card: ModelCard | None, found: bool, served: int, draft: Draft) -> str:
    if name == DEMO:
        return (
            '<div class="soft">A small set of rules, so that memory can be watched at work without a download. '
            "It is no language model and needs no server.</div>"
        )
    if card is None:
        where = "is not on this server. Get it at the right, or choose another" if found else "has no server now"
        return f'<div class="ms-note bad" role="status"><b>{escape(name)}</b> {where}.</div>'
    notes = [f'<div class="soft">{escape(facts(card))}</div>']
    if card.cloud:
        notes.append(
            _note(
                "<b>This model leaves the machine.</b> All of main context, core memory included, is sent to Ollama's "
                "cloud with every step."
            )
        )
    if not card.tools:
        notes.append(
            _note(
                "This model cannot call functions by itself. <b>Structured output</b> will be used: it fills in a form "
                "with the function and its arguments.",
                bad=False,
            )
        )
    window = draft.value("window_tokens")
    if card.trained_window and window and window > card.trained_window:
        notes.append(_note(f"It was trained for {card.trained_window:,} tokens; the window below is {window:,}."))
    if served and window and served != window:
        notes.append(
            f'<div class="soft">In memory now with a window of {served:,} tokens; with {window:,} it is loaded anew, '
            "which takes a while.</div>"
        )
    return "".join(notes)


def _note(html: str, *, bad: bool = True) -> str:
    return f'<div class="ms-note{" bad" if bad else ""}" style="margin-top:.3rem">{html}</div>'


def smaller(cards: Sequence[ModelCard], than_bytes: int) -> list[ModelCard]:
    """The chat models on this machine that are smaller, largest first; those that call functions before others."""
    found: list[Any] = [card for card in cards if not card.embedding and not card.cloud]
    found = [card for card in found if card.size_bytes < than_bytes]
    return sorted(found, key=lambda card: (not card.tools, -card.size_bytes))
