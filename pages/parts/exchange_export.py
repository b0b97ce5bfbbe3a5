"""The export half of the exchange page: what the agent goes out as, how much of it, what is replaced, the download."""

from functools import partial
from typing import Any

import streamlit as st

from memgpt_core.home import Home, exporting
from memgpt_core.interchange import outgoing
from memgpt_core.interchange.outgoing import KINDS, Format, Kind, Wanted
from pages.parts import choices, exchange_job, exchange_redaction, frame
from pages.parts.agents_table import size_text
from pages.parts.frame import Here
from pages.parts.markup import escape, heading, wrap
from pages.parts.safe_md import safe_md

WHOLE, SESSION, STRETCH = "All of it", "One session", "A stretch"

LARGE_BYTES = 500_000_000
"""From here on a download, which passes through memory, is better replaced by the command."""


def draw(here: Here) -> None:
    """What goes on, or the file that was made and the form for another."""
    home, ws = here.home, here.ws
    key = exporting(ws.agent_id)
    st.html(wrap(heading("Export", here.ws.state().name)))
    if home.jobs.busy(key):
        frame.live(exchange_job.running, every_s=exchange_job.EVERY_S, until=lambda: not home.jobs.busy(key))(home, key)
        return
    with st.container(key="export-came"):
        _came(home, ws.agent_id)
    with st.container(key="export-form"):
        _form(here)


def _form(here: Here) -> None:
    agent = here.ws.agent_id
    chosen = st.segmented_control(
        "As",
        list(KINDS),
        format_func=lambda format: KINDS[format].name,
        default="bundle",
        required=True,
        key=choices.outgoing(agent, "format"),
        persist_state="session",
    )
    format: Format = chosen or "bundle"
    kind = KINDS[format]
    st.caption(kind.says)
    start, at, session = _stretch(here, kind)
    redaction = exchange_redaction.draw(here) if kind.redacts else ((), "", ())
    if not kind.upto:
        st.caption(
            "It is made of the agent as it is now."
            if here.at is None
            else "This kind does not look back: it is made of the agent as it is now."
        )
    st.button(
        f"Make the {kind.name}",
        key="export:go",
        type="primary",
        icon=":material/upload:",
        on_click=frame.attempt,
        args=(_begin, here, Wanted(format, start, at, session), redaction),
    )


def _stretch(here: Here, kind: Kind) -> tuple[int, int | None, int | None]:
    """(first event, last event or None for the newest, the session or None)."""
    agent, last = here.ws.agent_id, here.ws.last_seq
    if kind.stretch:
        how = st.segmented_control(
            "How much",
            [WHOLE, SESSION, STRETCH],
            default=WHOLE,
            required=True,
            key=choices.outgoing(agent, "how"),
            persist_state="session",
        )
        if how == SESSION:
            sessions = max(1, here.ws.state().session)
            now = min(sessions, max(1, here.state.session))
            number = st.number_input(
                "Session", 1, sessions, now, key=choices.outgoing(agent, f"session:{here.at}"), persist_state="session"
            )
            return 1, None, int(number or 1)
        if how == STRETCH:
            left, right = st.columns(2, gap="small")
            start = left.number_input(
                "First event", 1, last, 1, key=choices.outgoing(agent, "start"), persist_state="session"
            )
            stop = right.number_input(
                "Last event", 1, last, here.seq, key=choices.outgoing(agent, f"stop:{here.at}"), persist_state="session"
            )
            return int(start or 1), int(stop or last), None
        return 1, None, None
    if kind.upto:
        whole = st.toggle(
            f"Up to the newest event ({last:,})",
            here.at is None,
            key=choices.outgoing(agent, f"whole:{here.at}"),
            persist_state="session",
        )
        if not whole:
            stop = st.number_input(
                "Up to event",
                1,
                last,
                here.seq,
                key=choices.outgoing(agent, f"upto:{here.at}"),
                persist_state="session",
                help="A bundle always begins at event 1: what comes later means nothing without what was before.",
            )
            return 1, int(stop or last), None
    return 1, None, None


def _begin(here: Here, wanted: Wanted, redaction: tuple[tuple[str, ...], str, tuple[str, ...]]) -> None:
    asked = wanted._replace(redaction=exchange_redaction.wanted(*redaction))
    outgoing.begin(here.home, here.ws, asked)


# --- what came of it ----------------------------------------------------------------------------------------------


def _came(home: Home, agent_id: str) -> None:
    job = home.jobs.job(exporting(agent_id))
    if job is None or job.running:
        return
    if exchange_job.came_to_nothing(job):
        return
    made: Any = job.outcome
    if not made.path.is_file():
        return
    with st.container(border=True):
        st.markdown(f":material/draft: **{safe_md(made.path.name)}** · {size_text(made.size_bytes)}")
        st.caption(safe_md(f"Holds {made.holds.rstrip(',')}."))
        _report(made)
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.download_button(
                "Download",
                data=partial(made.path.open, "rb"),
                file_name=made.path.name,
                mime=_mime(made),
                key=f"export:download:{agent_id}:{made.path.stat().st_mtime_ns}",
                on_click="ignore",
                type="primary",
                icon=":material/download:",
            )
            st.button(
                "Remove it",
                key="export:remove",
                icon=":material/delete:",
                on_click=outgoing.remove,
                args=(home, agent_id),
                help="The file waits in the home until you remove it, make another, or close Memscope.",
            )
        if made.size_bytes > LARGE_BYTES:
            st.caption("So large a file is better written by the command `export`: a download passes through memory.")


def _mime(made: Any) -> str:
    return next(kind.mime for kind in reversed(KINDS.values()) if made.path.name.endswith(kind.ending))


def _report(made: Any) -> None:
    """What was replaced, and what a person must know of the file."""
    if made.redacted is not None:
        rows = "".join(
            f'<tr><td style="padding-right:.9rem">{escape(exchange_redaction.CALLED.get(one.name, one.name))}</td>'
            f'<td class="num" style="text-align:right;padding-right:.4rem">{one.replacements:,}</td>'
            f'<td class="soft">places in {one.events:,} events</td></tr>'
            for one in made.redacted
        )
        st.html(wrap(f'<table aria-label="What was replaced">{rows}</table>'))
    if made.notes:
        notes = "".join(f'<div class="soft">{escape(note)}</div>' for note in made.notes)
        st.html(wrap(notes))
