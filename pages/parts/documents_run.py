"""Files being added: how far it is and the way to stop it, what became of each, and a run that can go on."""

from pathlib import Path

import streamlit as st

from memgpt_core.adding import Line, Progress, Request, key
from memgpt_core.jobs import Job
from memgpt_core.views.documents import OUTCOMES, line_text, outcome_text, why_text
from memgpt_core.views.lanes import counted
from memgpt_core.views.passages import visible
from pages.parts import exchange_job, frame, pager
from pages.parts.agents_table import size_text
from pages.parts.frame import Here
from pages.parts.markup import escape, wrap
from pages.parts.safe_md import safe_md

LINES_SHOWN = 8
LATEST_SHOWN = 3
NAMES_SHOWN = 4

STYLE = "<style>.ms-came{flex:none;width:1.6rem;padding:0;text-align:center}</style>"

_MARKS = {"refused": "✕", "updated": "↻", "added": "+", "removed": "−", "unchanged": "="}


def draw(here: Here) -> None:
    """The run that goes on, or what came of the last one and what is left of it."""
    adding, agent = here.home.adding, here.ws.agent_id
    st.html(STYLE)
    if adding.busy(agent):
        frame.live(_running, every_s=exchange_job.EVERY_S, until=lambda: not adding.busy(agent))(here)
        return
    job, left = adding.job(agent), adding.unfinished(agent)
    if job is not None:
        _came(here, job)
    if left is not None:
        _unfinished(here, left)


def pace(job: Job, now: Progress | None) -> str:
    """How far a run is: files and bytes read, how fast, how long it will take; then the embedding of what was read."""
    if now is None:
        return "Looking for files…"
    if now.files == now.of:
        left = f" · about {exchange_job.span(job.left_s)} left" if job.left_s is not None else ""
        return f"{counted(now.of, 'file')} read; embedding their passages, by words they are found already{left}"
    said = [f"{now.files:,} of {counted(now.of, 'file')}", f"{size_text(now.bytes)} of {size_text(now.of_bytes)}"]
    rate = now.bytes / job.seconds if job.seconds else 0.0
    if rate > 0:
        said += [f"{size_text(round(rate))} a second"]
        said += [f"about {exchange_job.span((now.of_bytes - now.bytes) / rate)} left to read"]
    return " · ".join(said)


def _running(here: Here) -> None:
    adding, agent = here.home.adding, here.ws.agent_id
    job, now = adding.job(agent), adding.progress(agent)
    if job is None or not job.running:
        return
    with st.container(border=True, key="run", gap="small"):
        st.markdown("**Adding documents**")
        st.progress(job.share or 0.0, text=pace(job, now))
        reading = f'<div class="soft">Reading {escape(visible(now.name))}…</div>' if now and now.name else ""
        st.html(wrap(reading, *(_line(line) for line in reversed(adding.lines(agent)[-LATEST_SHOWN:]))))
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.button(
                "Stopping…" if job.stopping else "Stop",
                key="run:stop",
                icon=":material/stop:",
                disabled=job.stopping,
                on_click=adding.stop,
                args=(agent,),
            )
            st.caption("What is added by then stays, and it can go on later. You can leave this page meanwhile.")


def _came(here: Here, job: Job) -> None:
    adding, agent = here.home.adding, here.ws.agent_id
    lines = sorted(adding.lines(agent), key=lambda line: list(OUTCOMES).index(line.what))
    counts = {what: sum(line.what == what for line in lines) for what in OUTCOMES}
    gone = sum(line.passages if line.what == "removed" else line.ended for line in lines)
    said = outcome_text(counts, sum(line.added for line in lines), gone)
    with st.container(border=True, key="run", gap="small"):
        if job.failed and job.stopping:
            st.info(safe_md(f"{job.failed} {said}"), icon=":material/stop_circle:")
        elif job.failed:
            st.error(safe_md(visible(f"{job.failed} {said}")), icon=":material/block:")
        else:
            more = f" {job.outcome.said}" if job.outcome.said else ""
            draw_said = st.warning if more or counts["refused"] else st.success
            draw_said(
                safe_md(visible(f"{said} It took {exchange_job.span(job.seconds)}.{more}")),
                icon=":material/rule:" if counts["refused"] else ":material/check_circle:",
            )
        first = 0
        if len(lines) > LINES_SHOWN:
            first = pager.draw(f"run:{agent}:{job.seconds}", len(lines), LINES_SHOWN, what="files")
        st.html(wrap(*(_line(line) for line in lines[first : first + LINES_SHOWN])))
        st.button("Dismiss", key="run:dismiss", type="tertiary", on_click=here.home.jobs.forget, args=(key(agent),))


def _line(line: Line) -> str:
    """What became of one file: a mark, its name, and why."""
    bad = " bad" if line.what == "refused" else ""
    why = f'<div class="soft">{escape(visible(why_text(line.name, line.why)))}</div>' if line.why else ""
    said = line_text(line.what, line.passages, line.added, line.ended)
    return (
        f'<div class="ms-line"><span class="ms-tag ms-came{bad}" aria-hidden="true">{_MARKS[line.what]}</span>'
        f'<div><b>{escape(visible(line.name))}</b> <span class="soft">{escape(said)}</span>{why}</div></div>'
    )


def _unfinished(here: Here, left: Request) -> None:
    adding, agent = here.home.adding, here.ws.agent_id
    names = [visible(name or Path(path).name or path) for path, name in zip(left.paths, left.names, strict=True)]
    more = f" and {len(names) - NAMES_SHOWN:,} more" if len(names) > NAMES_SHOWN else ""
    with st.container(border=True, key="unfinished", gap="small"):
        st.markdown(
            f":material/pause_circle: **Not finished:** {safe_md(', '.join(names[:NAMES_SHOWN]))}{more}. What was "
            "added by then is there; going on passes it over, and adding something else lets the rest go."
        )
        with st.container(horizontal=True, gap="small"):
            for label, icon, do, act in (
                ("Go on", "play_arrow", "resume", adding.resume),
                ("Let it go", "close", "dismiss", adding.dismiss),
            ):
                st.button(
                    label,
                    key=f"unfinished:{do}",
                    icon=f":material/{icon}:",
                    on_click=frame.attempt,
                    args=(act, agent),
                )
