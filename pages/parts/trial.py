"""The tool-call trial: a few fixed exchanges that show how fit a model is for this work, in words and numbers."""

import streamlit as st

from memgpt_core.home import Home
from memgpt_core.settings import DEMO, AgentSettings
from memgpt_core.trial import Exchange, TrialResult
from pages.parts.frame import attempt
from pages.parts.markup import details, escape, heading, text_box, wrap

RUNNING_EVERY_S = 0.5

MEASURES = (
    ("calls", "Calls", "calls the function that the request needs"),
    ("restraint", "Restraint", "leaves memory alone where nothing is to be done"),
    ("arguments", "Arguments", "gives the right arguments"),
    ("heartbeats", "Heartbeats", "asks for control back when more is to do"),
)


def draw(home: Home, settings: AgentSettings | None, name: str) -> None:
    """The trial of a model: start it, watch it, and read what came of it; `settings` is None while they are wrong."""
    card = home.connection.card(name)
    st.html(wrap(heading("Tool-call trial", "is this model fit for the work?")))
    if name == DEMO:
        st.caption("The demo model needs no trial: it is rules. Choose a model of the server first.")
        return
    running = home.trials.running(name)
    if running is not None:
        done, of = running
        st.progress(done / of if of else 0.0, text=f"Trying {name}: {done} of {of} exchanges")
        st.button("Cancel the trial", key="cancel_trial", on_click=home.trials.cancel, args=(name,))
        return
    if failed := home.trials.failed(name):
        st.html(wrap(f'<div class="ms-note bad" role="alert">The last trial came to no end. {escape(failed)}</div>'))
    result = home.trials.result(name, card.digest) if card is not None else None
    if result is None:
        st.caption(
            f"A few fixed exchanges with {name}, outside any agent's memory. They take from seconds to some minutes "
            "and show whether it calls functions, keeps still when it should, and gets arguments and heartbeats right."
        )
    else:
        _result(result)
    st.button(
        "Try it again" if result else f"Try {name}",
        key="start_trial",
        icon=":material/science:",
        disabled=card is None or settings is None,
        help="The model is not on the server."
        if card is None
        else "The numbers are kept for this model and its digest.",
        on_click=attempt,
        args=(home.trials.start, settings),
    )


def _result(result: TrialResult) -> None:
    rows = "".join(
        f"<tr><td><b>{label}</b></td><td class='num'>{passed} of {of}</td><td class='soft'>{says}</td></tr>"
        for field, label, says in MEASURES
        for passed, of in (getattr(result, field),)
        if of
    )
    exchanges = "".join(_exchange(exchange) for exchange in result.exchanges)
    st.html(
        wrap(
            f'<div role="status">{escape(result.verdict)}</div>',
            f'<table style="border-spacing:.5rem .1rem;margin:.3rem -.5rem">{rows}</table>',
            f'<div class="soft">{escape(result.model)}, digest {escape(result.digest.removeprefix("sha256:")[:12])}, '
            f"{result.at:%Y-%m-%d %H:%M} UTC, {len(result.exchanges)} exchanges in {result.seconds:,.0f} s</div>",
            details('<span class="soft">What was asked and what came</span>', exchanges),
        )
    )


def _exchange(exchange: Exchange) -> str:
    mark = '<span class="ms-tag">ok</span>' if exchange.ok else '<span class="ms-tag bad">✗ missed</span>'
    parts = (("asked", exchange.asked), ("wanted", exchange.wanted), ("came", exchange.came))
    inner = "".join(f'<div class="soft">{name}</div>{text_box(text)}' for name, text in parts)
    return details(f"{escape(exchange.name)} {mark}", inner)
