"""The rules an agent runs under, but for its model: window and marks, turn, functions, sampling, search by meaning."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from memgpt_core.connection import ModelCard
from memgpt_core.settings import DEMO
from memgpt_core.views.changes import embedder_text, label
from memgpt_core.workspace import Workspace
from pages.parts.markup import escape, heading, wrap
from pages.parts.settings_draft import Draft


def draw_window(draft: Draft) -> None:
    """Window, reply reserve, marks, and what they come to in tokens."""
    st.html(wrap(heading("Window", "how much the model sees, and when the oldest leaves")))
    one, two = st.columns(2)
    _whole(one, draft, "window_tokens", "tokens", 1024, "What the model server is asked to serve. Larger takes memory.")
    _whole(two, draft, "reserve_tokens", "tokens", 128, "Kept free, so that a reply always fits.")
    one, two, three = st.columns(3)
    _share(one, draft, "warn_share", "of what a prompt may fill: there the agent is warned to save what matters.")
    _share(two, draft, "flush_share", "of what a prompt may fill: beyond it the oldest messages leave the queue.")
    _share(three, draft, "evict_share", "of the queue's room: how much leaves at a flush.")
    wanted, _ = draft.checked()
    if wanted is not None:
        st.html(
            wrap(
                f'<div class="soft">A prompt may fill <b>{wanted.limit_tokens:,}</b> tokens: {wanted.window_tokens:,} '
                f"less {wanted.reserve_tokens:,} for the reply. Warning at <b>{wanted.warn_tokens:,}</b>, flush at "
                f"<b>{wanted.flush_tokens:,}</b> tokens.</div>"
            )
        )


def draw_counting(ws: Workspace) -> None:
    """Whether token counts are exact or estimated."""
    state = ws.state()
    if state.settings.model == DEMO:
        says = "Token counts are ours; the demo model counts in the same way."
    elif state.counted_by:
        says = f"Token counts are exact: counted with the vocabulary of {escape(state.counted_by)}."
    else:
        learned = (
            ""
            if round(state.token_factor, 3) == 1
            else f", scaled by {state.token_factor:.3f} as learned from its replies"
        )
        says = f"Token counts are estimated{learned}; the server's own count stands under each reply."
    st.html(wrap(f'<div class="soft">{says}</div>'))


def draw_slips(ws: Workspace) -> None:
    """How often the models of this agent erred, since it was made; each was mended or handed back to the model."""
    state = ws.state()
    if not state.calls:
        return
    counted = (
        ("function calls", state.calls),
        ("of them failed and handed back to the model", state.failed_calls),
        ("replies with a call printed as text, read all the same", state.salvaged_replies),
        ("empty replies", state.empty_replies),
    )
    says = "; ".join(f"{name}: {number:,}" for name, number in counted)
    st.html(wrap(f'<div class="soft">In the life of this agent, with every model it had: {says}.</div>'))


def draw_turn(draft: Draft) -> None:
    """How long a turn may go on, and what wakes the agent."""
    st.html(wrap(heading("Turn", "what begins one, and what ends it")))
    one, two, three = st.columns(3)
    _whole(one, draft, "step_cap", "", 1, "After so many model calls a turn is ended.")
    _real(two, draft, "timer_minutes", "min, 0 = off", 5.0, "Wakes the idle agent while this program runs.")
    _real(three, draft, "login_idle_minutes", "min", 5.0, "After so long a silence a new session begins.")


def draw_functions(draft: Draft) -> None:
    """Which functions the model may call."""
    names = _functions(draft)
    off = set(draft.value("functions_off"))
    st.html(wrap(heading("Functions", f"{len(names) - len(off)} of {len(names)} on")))
    st.pills(
        "Functions that are on",
        names,
        selection_mode="multi",
        label_visibility="collapsed",
        wrap=True,
        help="A function that is off is not offered to the model; its schema leaves main context.",
        **draft.bind(
            "functions_off",
            shown=lambda gone: [name for name in names if name not in gone],
            read=lambda on: tuple(name for name in names if name not in on),
        ),
    )


def draw_sampling(draft: Draft) -> None:
    """How the model picks its words, and how long it stays in memory."""
    st.html(wrap(heading("Sampling", "an empty field leaves it to the model")))
    one, two, three = st.columns(3)
    _real(one, draft, "temperature", "", 0.1, "0 is the steadiest; functions go wrong more often above 1.")
    _real(two, draft, "top_p", "", 0.05, "Only words that together are this likely.", empty="the model's own")
    _whole(three, draft, "top_k", "", 5, "Only so many likeliest words.", empty="the model's own")
    one, two, _ = st.columns(3)
    _whole(one, draft, "seed", "", 1, "The same seed and prompt give the same reply.", empty="the agent's own")
    _real(two, draft, "keep_alive_minutes", "min", 5.0, "The server keeps the model in memory so long after a step.")


def draw_search(draft: Draft, cards: Sequence[ModelCard]) -> None:
    """The embedding model."""
    st.html(wrap(heading("Search by meaning", "an embedding model of the server")))
    names = ["none", *(f"ollama:{card.name}" for card in cards if card.embedding), "hashing", draft.value("embedder")]
    st.selectbox(
        label("embedder"),
        list(dict.fromkeys(names)),
        format_func=embedder_text,
        label_visibility="collapsed",
        help="With another embedding model everything is embedded anew, in the background.",
        **draft.bind("embedder"),
    )
    if cards and not any(card.embedding for card in cards):
        st.caption(
            "The server has no embedding model. `nomic-embed-text` (0.3 GB) is a small one; get it at the right."
        )


def draw_embedding(ws: Workspace) -> None:
    """How much is still to be embedded, as after another model was chosen."""
    if left := ws.not_embedded:
        st.caption(
            f"{left:,} messages and passages are not embedded yet; that goes on in the background, and they are found "
            "by words meanwhile."
        )


def _functions(draft: Draft) -> list[str]:
    """Every function that can be switched: those offered now, those off, and what the other protocol hides."""
    defined: Any = draft.ws.event(draft.ws.state().instructions_seq)
    offered = {schema["function"]["name"] for schema in defined.schemas}
    return sorted({*offered, *draft.now["functions_off"], *draft.value("functions_off"), "send_message"})


def _named(field: str, unit: str) -> str:
    return f"{label(field)} ({unit})" if unit else label(field)


def _whole(place: Any, draft: Draft, field: str, unit: str, step: int, tip: str, *, empty: str = "") -> None:
    place.number_input(_named(field, unit), step=step, help=tip, **_empty(empty), **draft.bind(field))


def _real(place: Any, draft: Draft, field: str, unit: str, step: float, tip: str, *, empty: str = "") -> None:
    place.number_input(_named(field, unit), step=step, format="%g", help=tip, **_empty(empty), **draft.bind(field))


def _empty(means: str) -> dict[str, Any]:
    """For a field that may be left empty: what that means, in its place."""
    return {"value": None, "placeholder": means} if means else {}


def _share(place: Any, draft: Draft, field: str, tip: str) -> None:
    bound = draft.bind(field, shown=lambda share: round(100 * share, 4), read=lambda percent: round(percent / 100, 6))
    place.number_input(_named(field, "%"), step=5.0, format="%g", help=f"Percent {tip}", **bound)
