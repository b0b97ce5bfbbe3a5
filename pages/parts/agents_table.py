"""The table of all agents, and which of them the page works on."""

from typing import Any

import streamlit as st

from memgpt_core.home import AgentCard
from memgpt_core.settings import DEMO
from memgpt_core.views.log_rows import one_line
from pages.parts import choices, sidebar
from pages.parts.frame import Here

ROW_HEIGHT = 30
ROWS_SEEN = 9


def draw(here: Here) -> list[AgentCard]:
    """The table; the agents in it, the one used last first."""
    everyone = here.home.agents(archived=True)
    away = sum(card.archived for card in everyone)
    held = choices.agents_archived()
    st.toggle(
        f"Show the {away:,} archived" if away else "None is archived",
        key=held,
        disabled=not away,
        help="An archived agent is in no list of agents and its timer is silent. Nothing of it is changed.",
    )
    # The agent of this tab is shown whatever it is: the other pages draw it.
    cards = [card for card in everyone if not card.archived or st.session_state[held] or card.id == here.ws.agent_id]
    names = sidebar.names(cards)
    key = f"agents-table:{hash(tuple(card.id for card in cards))}"
    st.dataframe(
        [_row(here, card, names[card.id]) for card in cards],
        key=key,
        height=ROW_HEIGHT * (min(ROWS_SEEN, len(cards)) + 1) + 4,
        row_height=ROW_HEIGHT,
        hide_index=True,
        on_select=lambda: _pick(key, cards),
        selection_mode="single-row",
        column_config={
            "Agent": st.column_config.TextColumn(width=150),
            "About": st.column_config.TextColumn(width=165),
            "Model": st.column_config.TextColumn(width=95),
            "Events": _number(62, "Lines of its log."),
            "Messages": _number(80, "In recall storage."),
            "Passages": _number(76, "In archival storage."),
            "Last used": _text(132, f"Its last event, in your time zone, {here.zone.key}."),
            "On disk": _text(76, "Its whole folder; vectors are kept for all agents together."),
            "Now": _text(86, "Idle, in a turn, archived, or what is wrong with it."),
            "Last used, UTC": _text(132, "The same in UTC."),
        },
        alt=f"{len(cards)} agents: {', '.join(names[card.id] for card in cards[:20])}",
    )
    return cards


def picked(here: Here, cards: list[AgentCard]) -> AgentCard:
    """The agent the page works on: the one chosen in the table or the list, else the agent of this tab."""
    by_id = {card.id: card for card in cards}
    wanted = st.session_state.get(choices.agent_picked())
    return by_id.get(wanted or "") or by_id.get(here.ws.agent_id) or cards[0]


def draw_picked(here: Here, cards: list[AgentCard]) -> AgentCard:
    """The list that says which agent the page works on; that agent."""
    now = picked(here, cards)
    names = sidebar.names(cards)
    ids = [card.id for card in cards]
    # The browser answers with a label: a new key whenever one can have changed.
    key = f"agent-worked-on:{now.id}:{hash(tuple(names.values()))}"
    st.selectbox(
        "Agent to work on",
        ids,
        index=ids.index(now.id),
        format_func=lambda id: one_line(names[id]),
        key=key,
        on_change=lambda: choose(st.session_state[key]),
        help="Or choose a line of the table.",
    )
    return now


def choose(agent_id: str | None) -> None:
    """Work on this agent from now on; None: on the agent of the tab."""
    st.session_state[choices.agent_picked()] = agent_id


def size_text(size_bytes: int) -> str:
    """Bytes in the unit a person would say."""
    for unit, of in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size_bytes >= of:
            return f"{size_bytes / of:,.1f} {unit}"
    return f"{size_bytes:,} bytes"


def doing(card: AgentCard) -> str:
    """What an agent does now, in a word; or what is wrong with it."""
    if card.problem:
        return f"⚠ {one_line(card.problem)}"
    return "in a turn" if card.busy else "archived" if card.archived else "idle"


def _row(here: Here, card: AgentCard, name: str) -> dict[str, object]:
    never = not card.events
    return {
        "Agent": one_line(name),
        "About": one_line(card.about),
        "Model": "demo model" if card.model == DEMO else one_line(card.model),
        "Events": card.events,
        "Messages": card.messages,
        "Passages": card.passages,
        "Last used": "" if never else f"{card.last_at.astimezone(here.zone):%d %b %Y %H:%M}",
        "On disk": size_text(sum(here.home.disk_use(card.id).values())),
        "Now": doing(card),
        "Last used, UTC": "" if never else f"{card.last_at:%Y-%m-%d %H:%M}",
    }


def _number(width: int, tip: str) -> Any:
    return st.column_config.NumberColumn(width=width, format="localized", help=tip)


def _text(width: int, tip: str) -> Any:
    return st.column_config.TextColumn(width=width, help=tip)


def _pick(key: str, cards: list[AgentCard]) -> None:
    if rows := st.session_state[key]["selection"]["rows"]:
        choose(cards[rows[0]].id)
