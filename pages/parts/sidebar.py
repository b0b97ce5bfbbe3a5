"""The left edge of every page: pages that exist, the agents, the samples, and what the model is."""

from collections import Counter
from zlib import crc32

import streamlit as st

from memgpt_core.blueprint import Blueprint
from memgpt_core.errors import MemscopeError
from memgpt_core.home import AgentCard, Home
from memgpt_core.llm.demo import UNDERSTANDS
from memgpt_core.settings import DEMO, AgentSettings
from memgpt_core.views.compare import origin_text
from memgpt_core.workspace import Workspace
from pages.parts import choices, connection, keyboard, moment
from pages.parts.safe_md import safe_md

PAGES = (
    ("app.py", "Chat", ":material/forum:"),
    ("pages/context.py", "Context window", ":material/view_comfy:"),
    ("pages/core_memory.py", "Core memory", ":material/edit_note:"),
    ("pages/timeline.py", "Paging timeline", ":material/timeline:"),
    ("pages/replay.py", "Replay", ":material/play_circle:"),
    ("pages/compare.py", "Compare", ":material/compare_arrows:"),
    ("pages/recall.py", "Recall storage", ":material/manage_search:"),
    ("pages/archival.py", "Archival storage", ":material/inventory_2:"),
    ("pages/documents.py", "Documents", ":material/library_books:"),
    ("pages/agents.py", "Agents", ":material/groups:"),
    ("pages/exchange.py", "Import and export", ":material/swap_horiz:"),
    ("pages/settings.py", "Settings", ":material/tune:"),
    ("pages/log.py", "Log", ":material/receipt_long:"),
)
"""Every page there is: file, name, icon."""


def draw(home: Home, ws: Workspace | None, at: int | None) -> None:
    """Draw it; `ws` is None when the agent asked for is not there, `at` when it is shown live."""
    with st.sidebar:
        st.markdown("#### Memscope")
        for file, name, icon in PAGES:
            st.page_link(file, label=name, icon=icon, query_params=moment.query(ws, at) if ws else None)
        _agents(home, ws)
        _new(home, ws)
        if ws is not None:
            _model(home, ws)
            connection.draw_line(home)
            _alarm(ws)
            _notices(ws)
        keyboard.draw()


def _agents(home: Home, ws: Workspace | None) -> None:
    cards = {card.id: card for card in home.agents()}
    if not cards:
        st.caption("No agents yet. Start one from a sample below.")
        return
    here = ws.agent_id if ws and ws.agent_id in cards else None
    # The browser answers with a label: a new key whenever the labels can have changed, or an old answer would
    # be taken for a choice.
    called = names(list(cards.values()))
    key = f"picked:{here}:{crc32(repr(sorted(called.items())).encode())}"
    st.selectbox(
        "Agent",
        list(cards),
        index=list(cards).index(here) if here else None,
        format_func=called.__getitem__,
        placeholder="Choose an agent",
        key=key,
        on_change=_picked,
        args=(key,),
    )
    if ws and not here:
        st.caption("The agent that is shown is archived.")
    if here and cards[here].about:
        st.caption(safe_md(cards[here].about))
    if here:
        _origin(cards[here])
    for card in cards.values():
        if card.busy and card.id != here:
            st.caption(f"{safe_md(card.name)} is in the middle of a turn.")
        if card.problem and card.id != here:
            st.warning(f"{safe_md(card.name)}: {safe_md(card.problem)}", icon=":material/notifications:")


def _origin(card: AgentCard) -> None:
    """What an agent was forked from, and whether it is deleted at the end."""
    if card.provenance is not None and card.provenance.origin != card.id:
        st.caption(f":material/alt_route: {safe_md(origin_text(card.id, card.provenance))}")
    if card.temporary:
        st.caption(":material/timer: Temporary: deleted when Memscope is closed. It can be kept on the Agents page.")


def names(cards: list[AgentCard]) -> dict[str, str]:
    """What each agent is called in a list, by id; the id is added where two share a name."""
    often = Counter(card.name for card in cards)
    return {card.id: card.name + (f" · {card.id}" if often[card.name] > 1 else "") for card in cards}


def _picked(key: str) -> None:
    # A page link clicked at the same moment can have the choice forgotten before it is looked at.
    if key in st.session_state:
        _choose(st.session_state[key])


def _choose(agent_id: str) -> None:
    """Make it the agent of this tab; its id goes into the address."""
    st.session_state[choices.AGENT] = agent_id
    st.session_state[choices.OLDER] = 0
    moment.go(None)
    st.query_params["agent"] = agent_id


def _new(home: Home, ws: Workspace | None) -> None:
    # A key for each agent that is shown: when another one is, the popover it was chosen in closes.
    key = choices.new_menu(ws.agent_id if ws is not None else "")
    shown = st.popover("New agent", icon=":material/add:", width="stretch", key=key, on_change="rerun")
    if not shown.open:
        return
    with shown:
        st.caption("An agent of your own is made on the Agents page. For a talk that leaves nothing behind:")
        st.button(
            "Temporary chat",
            key="temporary",
            icon=":material/timer:",
            width="stretch",
            on_click=_start_temporary,
            args=(home, ws),
            help="An empty agent with the settings of the one that is shown. It is deleted when Memscope is closed.",
        )
        st.caption("Each sample begins with a recorded life of its own, which you go on with.")
        for sample in home.samples():
            st.markdown(f"**{safe_md(sample.name)}**")
            st.caption(f"{safe_md(sample.about)} {sample.events:,} events.")
            if st.button(f"Start {sample.name}", key=f"sample:{sample.id}", width="stretch"):
                bar = st.progress(0.0, text="Starting…")
                _choose(home.start_sample(sample.id, progress=bar.progress))
                st.rerun()


def _start_temporary(home: Home, ws: Workspace | None) -> None:
    settings = ws.state().settings if ws is not None else AgentSettings()
    try:
        _choose(home.temporary(Blueprint(name="Temporary chat", settings=settings)))
    except MemscopeError as error:
        choices.say(str(error))


def _model(home: Home, ws: Workspace) -> None:
    name = ws.state().settings.model
    if name != DEMO:
        st.caption(f"Model: **{safe_md(name)}**")
        card = home.connection.card(name)
        if card is not None and card.cloud:
            st.warning("This model leaves the machine: main context goes to Ollama's cloud.", icon=":material/cloud:")
        return
    with st.popover("Demo model, no language model", icon=":material/smart_toy:", width="stretch"):
        st.markdown(
            "This agent runs on a small set of rules, so that you can watch its memory work without a download. "
            "It understands only sentences like these:"
        )
        for what, example in UNDERSTANDS:
            st.markdown(f"**{safe_md(what)}**")
            st.code(example, language=None, wrap_lines=True)


def _alarm(ws: Workspace) -> None:
    """The newest turn's cut prompt, in sight wherever the conversation is scrolled to."""
    cuts = ws.rows(
        "SELECT count(*) AS n FROM events WHERE kind = 'truncation_suspected' AND turn = ?", [ws.state().turn]
    )
    if cuts[0]["n"]:
        st.error("The model server probably cut the last prompt; see the conversation.", icon=":material/cut:")


def _notices(ws: Workspace) -> None:
    for notice in ws.notices():
        st.warning(safe_md(notice), icon=":material/notifications:")
    if ws.search_mode() == "words":
        st.caption("Searches by words only: no embedding model is chosen, or it does not answer.")
