"""The settings as they were at an earlier point of the log: to read, beside what holds now; nothing can be changed."""

from typing import Any

import streamlit as st

from memgpt_core.views.changes import label, text
from pages.parts.frame import Here
from pages.parts.markup import escape, heading, text_box, wrap
from pages.parts.safe_md import safe_md

STYLE = """<style>
.ms-then{width:100%;border-collapse:collapse}.ms-then td,.ms-then th{padding:.2rem .6rem .2rem 0;text-align:left;
 border-bottom:1px solid var(--edge);vertical-align:top;overflow-wrap:anywhere}
.ms-then th{font-weight:600;font-size:.8rem}
</style>"""


def draw(here: Here) -> None:
    """Every setting then and, where it differs, now; and the instructions then."""
    then, now = here.state.settings.model_dump(), here.ws.state().settings.model_dump()
    st.markdown(f"#### Settings of {safe_md(here.state.name)}, as of event {here.seq:,}")
    st.caption("This is what the agent ran under then. Go back to live to change its settings.")
    with st.container(width=820):
        rows = "".join(_row(field, value, now[field]) for field, value in then.items())
        head = "<tr><th>Setting</th><th>Then</th><th>Now</th></tr>"
        st.html(STYLE + wrap(f'<table class="ms-then">{head}{rows}</table>'))
        if not here.state.instructions_seq:
            return
        defined: Any = here.ws.event(here.state.instructions_seq)
        same = here.state.instructions_seq == here.ws.state().instructions_seq
        beside = f"{here.state.instructions_tokens:,} tokens, {'the same now' if same else 'defined anew since'}"
        st.html(wrap(heading("System instructions then", beside), text_box(defined.instructions)))


def _row(field: str, then: Any, now: Any) -> str:
    current = f"<b>{escape(text(field, now))}</b>" if now != then else '<span class="soft">the same</span>'
    return f"<tr><td>{escape(label(field))}</td><td>{escape(text(field, then))}</td><td>{current}</td></tr>"
