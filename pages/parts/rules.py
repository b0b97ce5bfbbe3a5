"""The rules an agent runs under, but for its model: window, turn, functions, instructions, sampling, search."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from memgpt_core.connection import ModelCard
from memgpt_core.embedding import minilm
from memgpt_core.instructions import DEFAULTS
from memgpt_core.settings import DEMO, VECTORS_MB
from memgpt_core.views.changes import FUNCTION_MODES, PREFETCHES, RETRIEVALS, STRATEGIES, embedder_text, label
from memgpt_core.workspace import Workspace
from pages.parts import embedding, moment
from pages.parts.frame import attempt
from pages.parts.markup import escape, heading, wrap
from pages.parts.settings_draft import INSTRUCTIONS, Draft, among


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
    tip = "Whatever you choose, every message stays in recall storage, where the agent can search for it."
    _one_of(draft, "strategy", STRATEGIES, tip)


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
    beyond = "A call beyond it is refused; the model is told so and goes on. Speaking does not count."
    one, two, _ = st.columns(3)
    _whole(one, draft, "memory_calls_per_step", "0 = no cap", 1, beyond)
    _whole(two, draft, "memory_calls_per_turn", "0 = no cap", 1, beyond)


def draw_edits(draft: Draft) -> None:
    """Whether the agent hears of what a person edits while it works."""
    st.toggle(
        label("tell_edits"),
        help="An edit of a block takes effect at the next step. With this on, a system message says so as well.",
        **draft.bind("tell_edits"),
    )


def draw_review(draft: Draft) -> None:
    """The review at the end of a session, and a button that runs one now."""
    ws, state = draft.ws, draft.ws.state()
    idle = f"{draft.value('login_idle_minutes'):g}" if draft.value("login_idle_minutes") else "some"
    st.toggle(
        label("review_sessions"),
        help=f"After {idle} idle minutes, or before your next message, the model rereads the session and rewrites its "
        "blocks. You see it in the chat as a line; it says nothing to you unless it calls send_message.",
        **draft.bind("review_sessions"),
    )
    reviewed = 0 < state.session <= state.reviewed_session
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            "Review this session now",
            key="review_now",
            disabled=ws.busy or state.asked is not None or not state.session,
            on_click=_review,
            args=(ws,),
            help="Runs a turn in which the model rereads the present session. It takes the saved settings.",
        )
        about = f"Session {state.session} {'has been' if reviewed else 'has not been'} reviewed."
        st.caption(about if state.session else "There is no session yet: say something in the chat first.")


def _review(ws: Workspace) -> None:
    if attempt(ws.review_session):
        st.toast("The review runs. Watch it in the chat, or the blocks change under Core memory.")


def draw_functions(draft: Draft) -> None:
    """Which functions the model may call, and which of them ask first."""
    schemas = _schemas(draft)
    modes = [draft.mode(name) for name in schemas]
    counted = ", ".join(f"{modes.count(mode)} {shown.lower()}" for mode, shown in FUNCTION_MODES.items())
    st.html(wrap(heading("Functions", counted)))
    st.caption(
        "**On**: runs when the model calls it. **Ask**: the turn waits for your yes or no in the chat. **Off**: not "
        "offered; its schema leaves main context."
    )
    with st.container(gap="xxsmall"):
        for name, about in schemas.items():
            with st.container(horizontal=True, wrap=False, vertical_alignment="center", gap="small"):
                told = (
                    f'<code style="font-size:.8rem">{escape(name)}</code><br><span class="soft">{escape(about)}</span>'
                )
                st.html(f'<div class="ms" style="font-size:.76rem">{told}</div>', width="stretch")
                _draw_mode(draft, name)


def _draw_mode(draft: Draft, name: str) -> None:
    st.segmented_control(
        f"{name}: on, ask or off",
        list(FUNCTION_MODES),
        format_func=FUNCTION_MODES.__getitem__,
        required=True,
        label_visibility="collapsed",
        **draft.bind_mode(name),
    )


def draw_instructions(draft: Draft) -> None:
    """The system instructions, what they cost, and the way back to the default."""
    ws, text = draft.ws, draft.value(INSTRUCTIONS)
    tokens, default = ws.count(text), DEFAULTS[draft.value("protocol")]
    whose = "the default" if text in DEFAULTS.values() else "your own"
    st.html(wrap(heading("System instructions", f"{whose}, {tokens:,} tokens of every request")))
    with st.expander("Read and edit", icon=":material/edit_note:"):
        st.text_area(
            label(INSTRUCTIONS),
            height=340,
            label_visibility="collapsed",
            help="The read-only head of main context. The blocks of core memory follow right after it.",
            **draft.bind(INSTRUCTIONS),
        )
        st.button(
            "Put back the default",
            key="default_instructions",
            disabled=whose == "the default",
            on_click=draft.put,
            args=(INSTRUCTIONS, default),
            help="The default of the chosen protocol; kept only when you save.",
        )
    st.page_link(
        "pages/core_memory.py",
        label="Persona and the other blocks are edited under Core memory",
        icon=":material/badge:",
        query_params=moment.query(ws, None, block="persona"),
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
    there = ["minilm"] if minilm.installed() else []
    offered = ["none", *(f"ollama:{card.name}" for card in cards if card.embedding), *there, "hashing"]
    names = list(dict.fromkeys([*offered, draft.value("embedder")]))
    st.selectbox(
        label("embedder"),
        names,
        format_func=embedder_text,
        label_visibility="collapsed",
        help="With another embedding model everything is embedded anew, in the background; until that is done the "
        "present one answers searches.",
        **draft.bind("embedder", begins=among(names)),
    )
    if cards and not any(card.embedding for card in cards):
        st.caption(
            "The server has no embedding model. `nomic-embed-text` (0.3 GB) is a small one; get it at the right."
        )
    if not there:
        st.caption(f"MiniLM needs no server: `{minilm.COMMAND}`, then start Memscope again.")


def draw_page_size(draft: Draft) -> None:
    """How many results the agent gets at a time, and what searching may take."""
    one, two, _ = st.columns(3)
    _whole(one, draft, "page_size", "", 1, "More finds more in one call, and takes more of the window.")
    tip = "Beyond it the older vectors are found by an index on disk: approximate, with its measured recall beside it."
    _whole(two, draft, "vectors_mb", "MB", 256, tip, empty=f"{VECTORS_MB:,}")


def draw_retrieval(draft: Draft) -> None:
    """What is looked up before the model asks for it, and what is placed in the queue unasked."""
    st.html(wrap(heading("Retrieval", "what is looked up without the model asking")))
    _one_of(draft, "retrieval", RETRIEVALS, "What is in the window already is never placed again.")
    if draft.value("retrieval") != "off":
        one, _, _ = st.columns(3)
        tip = "The most that one placement takes of the queue; older messages leave for it as they do for any other."
        _whole(one, draft, "retrieval_tokens", "tokens", 50, tip)
    tip = "Changes how long a search takes, and never what it finds. The timeline counts which were right."
    _one_of(draft, "prefetch", PREFETCHES, tip)


def _one_of(draft: Draft, field: str, choices: dict[str, tuple[str, str]], tip: str) -> None:
    st.radio(
        label(field),
        list(choices),
        format_func=lambda name: choices[name][0],
        captions=[says for _, says in choices.values()],
        help=tip,
        **draft.bind(field, begins=among(list(choices))),
    )


def draw_embedding(ws: Workspace) -> None:
    """A model that takes over from another, or how much is still to be embedded."""
    if not embedding.draw_coming(ws) and (left := ws.not_embedded):
        st.caption(
            f"{left:,} messages and passages are not embedded yet; that goes on in the background, and they are found "
            "by words meanwhile."
        )


def _schemas(draft: Draft) -> dict[str, str]:
    """What each function does, by name: those offered now, those off, and what the other protocol hides."""
    defined: Any = draft.ws.event(draft.ws.state().instructions_seq)
    offered = {schema["function"]["name"]: schema["function"]["description"] for schema in defined.schemas}
    hidden = {*draft.now["functions_off"], *draft.value("functions_off"), "send_message"} - set(offered)
    return dict(sorted({**offered, **dict.fromkeys(hidden, "Not offered to the model now.")}.items()))


def _named(field: str, unit: str) -> str:
    return f"{label(field)} ({unit})" if unit else label(field)


def _whole(place: Any, draft: Draft, field: str, unit: str, step: int, tip: str, *, empty: str = "") -> None:
    place.number_input(_named(field, unit), step=step, help=tip, **(_empty(empty) | draft.bind(field)))


def _real(place: Any, draft: Draft, field: str, unit: str, step: float, tip: str, *, empty: str = "") -> None:
    bound = draft.bind(field, shown=lambda value: None if value is None else float(value))
    place.number_input(_named(field, unit), step=step, format="%g", help=tip, **(_empty(empty) | bound))


def _empty(means: str) -> dict[str, Any]:
    """For a field that may be left empty: what that means, in its place."""
    return {"value": None, "placeholder": means} if means else {}


def _share(place: Any, draft: Draft, field: str, tip: str) -> None:
    bound = draft.bind(
        field,
        shown=lambda share: None if share is None else float(round(100 * share, 4)),
        read=lambda percent: None if percent is None else round(percent / 100, 6),
    )
    place.number_input(_named(field, "%"), step=5.0, format="%g", help=f"Percent {tip}", **bound)
