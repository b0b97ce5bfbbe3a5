"""What can be done with one agent: talk to it, rename, copy, put away, delete; and what came of it."""

from collections.abc import Callable

import streamlit as st

from memgpt_core.errors import MemscopeError
from memgpt_core.home import AgentCard, Home
from memgpt_core.views.compare import origin_text
from memgpt_core.views.log_rows import one_line
from pages.parts import choices, moment
from pages.parts.agents_table import choose, doing, size_text
from pages.parts.frame import Here
from pages.parts.markup import escape, heading, wrap
from pages.parts.safe_md import safe_md


def done(sentence: str) -> None:
    """Say, at the next drawing of the page, what came of an action."""
    st.session_state[choices.agents_done()] = sentence


def attempt(action: Callable[[], str]) -> bool:
    """Do it; what it returns, or why it was refused, is said at the next drawing of the page."""
    try:
        done(action())
    except MemscopeError as error:
        st.session_state[choices.agents_refused()] = str(error)
        return False
    return True


def draw_said() -> None:
    """What came of the last action, once."""
    if sentence := st.session_state.pop(choices.agents_done(), ""):
        st.success(safe_md(sentence), icon=":material/check_circle:")
    if sentence := st.session_state.pop(choices.agents_refused(), ""):
        st.error(safe_md(sentence), icon=":material/block:")


def go_to(agent_id: str) -> None:
    """Make it the agent of this tab."""
    st.session_state[choices.AGENT] = agent_id
    st.session_state[choices.OLDER] = 0
    moment.go(None)
    st.query_params["agent"] = agent_id
    choose(agent_id)


def draw(here: Here, card: AgentCard) -> None:
    """The actions on the agent that is worked on."""
    st.html(wrap(heading(one_line(card.name), f"{card.id} · {doing(card)}")))
    if origin := origin_text(card.id, card.provenance):
        st.caption(f":material/alt_route: {safe_md(origin)}")
    if card.temporary:
        _temporary(here.home, card)
    broken = bool(card.problem) and not card.events
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.page_link(
            "app.py",
            label="Talk to it",
            icon=":material/forum:",
            query_params={"agent": card.id},
            disabled=broken,
        )
        st.button(
            "Take it back" if card.archived else "Archive",
            key="archive",
            icon=":material/unarchive:" if card.archived else ":material/archive:",
            on_click=attempt,
            args=(lambda: _archive(here.home, card),),
            help="Out of the lists of agents, its timer silent; nothing of it is changed, and you can take it back.",
        )
    if not broken:
        _rename(here.home, card)
        _duplicate(here.home, card)
    _delete(here, card)


def _temporary(home: Home, card: AgentCard) -> None:
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.caption(
            ":material/timer: Temporary: deleted when Memscope is closed, or at its next start.", width="content"
        )
        st.button(
            "Keep it",
            key="keep",
            icon=":material/bookmark_add:",
            on_click=attempt,
            args=(lambda: _kept(home, card),),
        )


def _kept(home: Home, card: AgentCard) -> str:
    home.keep(card.id)
    return f"{card.name} stays."


def _archive(home: Home, card: AgentCard) -> str:
    home.archive(card.id, not card.archived)
    if card.archived:
        return f"{card.name} is back among the agents."
    return f"{card.name} is archived: it is in no list any more. Take it back here whenever you like."


def _rename(home: Home, card: AgentCard) -> None:
    name, about = choices.agent_field(card.id, "name"), choices.agent_field(card.id, "about")
    with st.expander("Rename", icon=":material/edit:"), st.form(f"rename:{card.id}", border=False):
        st.text_input("Name", value=card.name, key=name, max_chars=80)
        st.text_input("About", value=card.about, key=about, help="One line for the lists of agents.")

        def act() -> str:
            home.rename(card.id, st.session_state[name], st.session_state[about])
            return f"It is called {st.session_state[name].strip()} now. Its id stays {card.id}."

        st.form_submit_button("Save", on_click=attempt, args=(act,))


def _duplicate(home: Home, card: AgentCard) -> None:
    key = choices.agent_field(card.id, "copy")
    with st.expander("Copy", icon=":material/content_copy:"), st.form(f"copy:{card.id}", border=False):
        st.caption(
            f"Another agent that has lived the same {card.events:,} events and goes its own way from here. Its log "
            "says where it comes from. Nothing is embedded again."
        )
        st.text_input("Name of the copy", value=f"{card.name} (copy)", key=key, max_chars=80)
        if st.form_submit_button("Copy"):
            bar = st.progress(0.0, text="Copying the log, then making the stores…")

            def act() -> str:
                made = home.duplicate(card.id, st.session_state[key], progress=bar.progress)
                choose(made)
                return f"{st.session_state[key].strip()} ({made}) is made, a copy of {card.name} as it is now."

            attempt(act)
            st.rerun()


def _delete(here: Here, card: AgentCard) -> None:
    key = choices.agent_field(card.id, "delete")
    size = size_text(sum(here.home.disk_use(card.id).values()))
    with st.expander("Delete", icon=":material/delete:"):
        st.html(
            wrap(
                '<div class="ms-note bad">'
                f"<b>This cannot be undone.</b> What goes: {card.events:,} events, {card.messages:,} messages, "
                f"{card.passages:,} passages, {size} on disk: the whole folder {escape(card.id)}. "
                "What stays: copies made of it, and the vectors of its texts, which all agents share.</div>"
            )
        )
        st.text_input(
            f"Type the agent's name to delete it: {safe_md(card.name)}",
            key=key,
            placeholder=card.name,
            autocomplete="off",
        )
        st.button(
            f"Delete {safe_md(card.name)} for good",
            key="delete",
            icon=":material/delete_forever:",
            type="primary",
            on_click=attempt,
            args=(lambda: _deleted(here, card, st.session_state[key]),),
        )


def _deleted(here: Here, card: AgentCard, typed: str) -> str:
    if " ".join(typed.split()) != " ".join(card.name.split()):
        raise MemscopeError(f"Nothing was deleted: type the name exactly as it is, {card.name}.")
    home = here.home
    home.delete(card.id)
    choose(None)
    if card.id == here.ws.agent_id:
        # This tab has lost its agent; the frame finds it another one.
        st.session_state[choices.AGENT] = ""
        st.query_params.pop("agent", None)
        moment.go(None)
    return f"{card.name} is deleted: {card.events:,} events, {card.messages:,} messages, {card.passages:,} passages."
