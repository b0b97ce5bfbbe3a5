"""Archival storage back to how it stood: what would change first, then one event a changed passage."""

from collections import Counter

import streamlit as st

from memgpt_core.views.passages import SHOWN_CHARS, visible
from pages.parts import choices, moment, pager
from pages.parts.frame import Here, attempt
from pages.parts.markup import details, escape, text_box, wrap

SIZE = 20

_WHAT = {
    "edit": "gets its earlier text back",
    "delete": "was stored later: it is deleted",
    "restore": "is brought back",
}


def draw(here: Here) -> None:
    """The event to go back to, the plan, and the button."""
    ws = here.ws
    last = ws.last_seq
    key = f"restore-to:{ws.agent_id}:{here.at}"
    st.session_state.setdefault(key, here.seq)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        n = st.number_input("Archival storage as it stood after event", 1, last, key=key, width=280)
        st.button("See it as of then", key="restore-see", on_click=moment.go, args=(n,), icon=":material/history:")
    plan = ws.edits.archival_plan(n)
    if not plan:
        st.success(f"Nothing differs: every passage stands as it did after event {n:,}.", icon=":material/check:")
        st.caption("Choose an earlier event to see what has changed since then.")
        return
    counts = Counter(change.what for change in plan)
    st.markdown(
        f"**{len(plan):,} passages would change**: {counts['edit']:,} get their earlier text or tags, "
        f"{counts['restore']:,} come back, {counts['delete']:,} are deleted. Each is one event of yours; the way "
        "back is to restore to the event before them."
    )
    st.button(
        f"Restore to event {n:,}: {len(plan):,} events",
        key="restore-do",
        type="primary",
        on_click=_restore,
        args=(here, n),
    )
    first = pager.draw(f"plan:{ws.agent_id}:{n}:{len(plan)}", len(plan), SIZE, what="changes")
    for change in plan[first : first + SIZE]:
        st.html(
            wrap(
                details(
                    f"<b>{escape(change.passage)}</b> {_WHAT[change.what]}",
                    f'<div class="soft">now</div>{_box(change.now, change.now_tags)}'
                    f'<div class="soft">after the restore</div>{_box(change.then, change.then_tags)}',
                )
            )
        )


def _box(text: str, tags: tuple[str, ...]) -> str:
    if not text:
        return '<div class="soft">(not there)</div>'
    filed = "".join(f' <span class="ms-tag">{escape(visible(tag))}</span>' for tag in tags)
    return text_box(visible(text[:SHOWN_CHARS]), "archival") + filed


def _restore(here: Here, n: int) -> None:
    before = here.ws.last_seq
    if attempt(here.ws.edits.restore_archival, n):
        made = here.ws.last_seq - before
        moment.go(None)
        choices.say(
            f"Archival storage stands as after event {n:,}: {made:,} events. To undo, restore to event {before:,}."
        )
