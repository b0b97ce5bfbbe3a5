"""An import or export that goes on: how far it is, how fast, how long it will take, and the button that stops it."""

import streamlit as st

from memgpt_core.home import Home
from memgpt_core.jobs import Job
from pages.parts.safe_md import safe_md

EVERY_S = 0.5


def running(home: Home, key: str) -> None:
    """Draw the work under a key, while it goes on."""
    job = home.jobs.job(key)
    if job is None or not job.running:
        return
    st.markdown(f"**{safe_md(job.what[:1].upper() + job.what[1:])}**")
    st.progress(job.share or 0.0, text=pace(job))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            "Stopping…" if job.stopping else "Stop",
            key=f"stop:{key}",
            icon=":material/stop:",
            disabled=job.stopping,
            on_click=home.jobs.stop,
            args=(key,),
        )
        st.caption("You can leave this page meanwhile.")


def came_to_nothing(job: Job) -> bool:
    """Whether the work failed or was stopped, and say which and why."""
    if not job.failed:
        return False
    if job.stopping:
        st.info(safe_md(job.failed), icon=":material/stop_circle:")
    else:
        st.error(safe_md(job.failed), icon=":material/block:")
    return True


def pace(job: Job) -> str:
    """How far it is, since when, how fast, and how long it will take."""
    said = [f"{job.share or 0:.0%}", span(job.seconds)]
    if job.rate > 0:
        said.append(f"{100 * job.rate:.2g} % a second")
    if job.left_s is not None:
        said.append(f"about {span(job.left_s)} left")
    return " · ".join(said)


def span(seconds: float) -> str:
    """Seconds as a person would say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
