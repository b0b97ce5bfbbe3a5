"""The Ollama server as a person meets it: is it there, what has it, get a model, and what to do when it is not.

Reads what the connection knows already and never waits for the server. Each state says what was tried and what to
do next; the demo model works in all of them.
"""

from collections.abc import Callable

import streamlit as st

from memgpt_core.connection import SUGGESTED, Connection, PullView, ServerView
from memgpt_core.home import Home
from memgpt_core.settings import DEMO
from memgpt_core.workspace import Workspace
from pages.parts import choices, model_choice
from pages.parts.markup import escape, heading, wrap
from pages.parts.settings_draft import Draft

LOOKING_EVERY_S = 0.5
WATCHED_EVERY_S = 2.0
SEEN_EVERY_S = 5.0
"""How often the one line at the edge looks, as often as the connection itself does."""

Use = Callable[[str], None]
"""Takes a model of the server into the settings that are being changed."""


def shape(connection: Connection) -> object:
    """What the rest of the page depends on; the bytes of a pull and the age of a look are not in it."""
    view = connection.view()
    pulls = tuple((pull.model, pull.state) for pull in connection.pulls())
    return view.state, tuple((card.name, card.digest) for card in view.models), pulls


def every_s(connection: Connection) -> float:
    """How often the connection is worth drawing again."""
    moving = connection.view().state == "looking" or any(pull.state == "pulling" for pull in connection.pulls())
    return LOOKING_EVERY_S if moving else WATCHED_EVERY_S


def draw(ws: Workspace, connection: Connection) -> None:
    """The server's state, its models, and pulls."""
    view = connection.view()
    draft = Draft(ws)

    def use(name: str) -> None:
        card = connection.card(name)
        if card is not None and card.embedding:
            draft.put("embedder", f"ollama:{card.name}")
        else:
            model_choice.choose(draft, card.name if card else name, card)

    st.html(wrap(heading("Ollama", view.host)))
    st.html(wrap(_state(view, draft.now["model"])))
    if view.state in ("missing", "refused"):
        _first_steps(view)
    if view.state != "looking":
        st.button(
            "Look again", key="look_again", icon=":material/refresh:", on_click=connection.look_again, type="secondary"
        )
    if view.state == "found":
        chat = [card for card in view.models if not card.embedding]
        _pulls(connection, use)
        _missing(connection, draft.value("model"))
        if not chat:
            _suggestions(connection, "The server has no chat model yet. These fit a laptop:")
        else:
            _models(view)
            with st.expander("Get another model", key="get_another", icon=":material/download:"):
                _suggestions(connection, "Models that call functions well for their size:")


def _state(view: ServerView, model: str) -> str:
    if view.state == "looking":
        return (
            f'<div role="status"><span class="ms-dot on"></span><b>Looking</b> <span class="soft">for an Ollama server '
            f"at {escape(view.host)}</span></div>"
        )
    ago = "just now" if view.checked_s_ago < 2 else f"{view.checked_s_ago:,.0f} s ago"
    if view.state != "found":
        meanwhile = (
            "Meanwhile the demo model answers: rules, no language model, no download."
            if model == DEMO
            else f"Until it is back, {model} cannot answer. The demo model (rules, no language model) can stand in: "
            "choose it at the left."
        )
        name = "No Ollama server found" if view.state == "missing" else "The server refused"
        return (
            f'<div class="ms-note bad" role="alert"><b>{name}</b>, looked {ago}. {escape(view.why)}</div>'
            f'<div style="margin-top:.4rem">{escape(meanwhile)}</div>'
        )
    old = f'<div class="ms-note bad" role="status"><b>An old server.</b> {escape(view.old)}</div>' if view.old else ""
    many = len(view.models)
    return (
        f'<div role="status">{dot("found")}<b>Found</b> <span class="soft">Ollama {escape(view.version)}, '
        f"{many} model{'' if many == 1 else 's'}, looked {ago}</span></div>{old}"
    )


def dot(state: str) -> str:
    """The mark of a connection's state; a word always stands beside it."""
    colours = {"found": "light-dark(#0d6e6a,#4fbdb4)", "refused": "#c0392b"}
    moving = " on" if state == "looking" else ""
    return f'<span class="ms-dot{moving}" style="background:{colours.get(state, "")}"></span>'


def _first_steps(view: ServerView) -> None:
    st.html(wrap(heading("How to begin", "three steps, once")))
    st.markdown("**1. Install Ollama.** Linux, in a terminal (macOS and Windows: <https://ollama.com/download>):")
    st.code("curl -fsSL https://ollama.com/install.sh | sh", language=None, wrap_lines=True)
    st.markdown("**2. Start it**, unless it runs already:")
    st.code("ollama serve", language=None)
    st.markdown("**3. Look again** below; this page then offers models to get.")
    st.caption(
        "It runs on another machine or port? Start Memscope with its address in `OLLAMA_HOST`, "
        "for example `OLLAMA_HOST=192.168.1.20:11434`."
    )


def _models(view: ServerView) -> None:
    rows = "".join(
        f'<div class="ms-line"><div><b>{escape(card.name)}</b> {tags(card)}'
        f'<div class="soft">{escape(model_choice.facts(card))}</div></div></div>'
        for card in view.models
    )
    st.html(wrap(rows))


def tags(card: object) -> str:
    """What must not be overlooked about a model, as tags."""
    found = []
    if getattr(card, "cloud", False):
        found.append('<span class="ms-tag bad">leaves the machine</span>')
    if getattr(card, "embedding", False):
        found.append('<span class="ms-tag">embeddings</span>')
    return " ".join(found)


def _missing(connection: Connection, name: str) -> None:
    """A button that gets the chosen model when the server has not got it."""
    coming = name in (pull.model for pull in connection.pulls())
    if name != DEMO and not coming and connection.card(name) is None:
        st.html(wrap(f'<div class="ms-note bad" role="status"><b>{escape(name)}</b> is not on this server.</div>'))
        st.button(f"Get {name}", key=f"get-missing:{name}", on_click=connection.pull, args=(name,))


def _pulls(connection: Connection, use: Use) -> None:
    for pull in connection.pulls():
        with st.container(key=f"pull-{pull.model}", gap="xxsmall"):
            _pull(connection, pull, use)


def _pull(connection: Connection, pull: PullView, use: Use) -> None:
    of = f"{model_choice.size_text(pull.completed_bytes)} of {model_choice.size_text(pull.total_bytes)}"
    share = min(1.0, pull.completed_bytes / pull.total_bytes) if pull.total_bytes else 0.0
    if pull.state == "pulling":
        speed = f", {model_choice.size_text(pull.bytes_per_s)}/s" if pull.bytes_per_s else ""
        known = f"{of}{speed}" if pull.total_bytes else pull.status or "asking the server"
        st.progress(share, text=f"Getting {pull.model}: {known}")
        st.caption(pull.status)
        st.button("Cancel", key=f"cancel:{pull.model}", on_click=connection.cancel_pull, args=(pull.model,))
        return
    if pull.state == "done":
        st.html(wrap(f'<div role="status">✓ <b>{escape(pull.model)}</b> is on the server.</div>'))
        st.button(f"Use {pull.model}", key=f"use:{pull.model}", type="primary", on_click=use, args=(pull.model,))
        return
    kept = f" {of} are there." if pull.completed_bytes else ""
    bad = " bad" if pull.state == "failed" else ""
    said = f"<b>{escape(pull.model)}</b>: {escape(pull.why)}{kept}"
    st.html(wrap(f'<div class="ms-note{bad}" role="status">{said}</div>'))
    st.button(
        "Go on", key=f"resume:{pull.model}", on_click=connection.pull, args=(pull.model,), icon=":material/play_arrow:"
    )


def _suggestions(connection: Connection, says: str) -> None:
    coming = {pull.model for pull in connection.pulls()}
    st.caption(says)
    for name, size_gb, note in SUGGESTED:
        if name in coming or connection.card(name) is not None:
            continue
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.html(
                wrap(
                    f'<div><b>{escape(name)}</b> <span class="num">{size_gb:g} GB</span>'
                    f'<div class="soft">{escape(note)}</div></div>'
                ),
                width="stretch",
            )
            st.button("Get", key=f"get:{name}", help=f"Download {name}", on_click=connection.pull, args=(name,))


def draw_other(connection: Connection) -> None:
    """A field for any other model. It stands outside the part that polls (see `frame.live`)."""
    if connection.view().state != "found":
        return
    with st.form("get_other", border=False):
        st.text_input("Any other model of the Ollama library", placeholder="name:tag", key=choices.OTHER_MODEL)
        st.form_submit_button("Get it", on_click=_get_other, args=(connection,))


def _get_other(connection: Connection) -> None:
    if asked := st.session_state[choices.OTHER_MODEL].strip():
        connection.pull(asked)


def draw_last_fault(ws: Workspace, connection: Connection) -> None:
    """What the model server said when the last turn failed at it, and smaller models to go on with."""
    state = ws.state()
    found = ws.rows("SELECT max(seq_from) AS seq FROM events WHERE kind = 'fault_recorded' AND turn = ?", [state.turn])
    seq = found[0]["seq"] if found else None
    if not seq or state.turn_open:
        return
    fault = ws.event(int(seq))
    name = ws.state(at=int(seq)).settings.model
    if fault.where != "model" or name != state.settings.model:
        return
    st.html(
        wrap(
            f'<div class="ms-note bad" role="alert"><b>The last turn failed with {escape(name)}.</b> '
            f"{escape(fault.error)}</div>"
        )
    )
    cards = connection.view().models
    mine = next((card for card in cards if card.name == name), None)
    if mine is None:
        return
    less = model_choice.smaller(cards, mine.size_bytes)
    st.html(
        wrap(
            f'<div class="soft">{escape(name)} takes {model_choice.size_text(mine.size_bytes)} and its window on '
            f"top. {'Smaller ones here:' if less else 'Smaller ones can be got below.'}</div>"
        )
    )
    draft = Draft(ws)
    with st.container(horizontal=True, gap="small"):
        for card in less[:3]:
            st.button(
                f"Use {card.name} ({model_choice.size_text(card.size_bytes)})",
                key=f"smaller:{card.name}",
                on_click=model_choice.choose,
                args=(draft, card.name, card),
            )


def draw_line(home: Home) -> None:
    """The connection in one line, for the edge of every page; the page is drawn anew when its state changes."""
    drawn = home.connection.view().state
    first = True

    def line() -> None:
        nonlocal first
        if not first and home.connection.view().state != drawn:
            st.rerun()
        first = False
        st.html(wrap(_line(home.connection)))

    every = LOOKING_EVERY_S if drawn == "looking" else SEEN_EVERY_S
    st.fragment(line, run_every=every, key="connection-line")()


def _line(connection: Connection) -> str:
    view = connection.view()
    says = {
        "looking": "Looking for Ollama…",
        "missing": "No Ollama server",
        "refused": "Ollama refused",
        "found": f"Ollama {view.version}",
    }[view.state]
    pulling = next((pull.model for pull in connection.pulls() if pull.state == "pulling"), "")
    more = f", getting {pulling}" if pulling else ""
    title = f"{view.host}: {view.why}" if view.why else view.host
    return f'<div class="soft" title="{escape(title)}">{dot(view.state)}{escape(says + more)}</div>'
