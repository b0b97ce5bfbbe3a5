"""Every change of a block: who, when, why and what, word by word, through renamings and deletions; and restore."""

from typing import Any

import streamlit as st

from memgpt_core.views.blocks import AUTHORS, Change
from memgpt_core.views.worddiff import counts, word_diff
from memgpt_core.workspace import Workspace
from pages.parts import core_marks, core_rows, export, moment, pager
from pages.parts.core_rows import Life
from pages.parts.frame import Here, attempt
from pages.parts.markup import escape, wrap

PAGE = 8
"""Changes on a page: each has its word diff."""


def draw(here: Here, label: str, stretches: Life) -> None:
    """The changes of the block called `label`, newest first."""
    ws = here.ws
    total = core_rows.count(ws, stretches)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        first = pager.draw(f"history:{ws.agent_id}:{label}:{here.at}", total, PAGE, what="changes")
        export.draw(f"{ws.agent_id}-{label}", lambda: _rows(ws, stretches, total), key=f"history:{label}", count=total)
    # In the past a restore goes to the block as it is called now.
    now = label if here.at is None else core_rows.label_now(ws, label, here.at)
    present = ws.state().blocks.get(now)
    changes = core_rows.changes(ws, stretches, first, PAGE)
    caused = core_rows.causes(ws, (change.seq for change in changes))
    for change in changes:
        with st.container(key=f"change-{change.seq}", gap="xxsmall"):
            _one(here, change, caused.get(change.seq, ""), now, present.value if present else None)


def _one(here: Here, change: Change, caused: str, now: str, present: str | None) -> None:
    where = core_marks.place(change.session, change.turn, change.step)
    before, after = change.before, change.after
    body, size = "", ""
    if before is not None and after is not None and before != after:
        pieces = word_diff(before, after)
        came, gone = counts(pieces)
        size = f' <span class="ms-tag">+{came} −{gone} words</span>'
        body = core_marks.diff(pieces, folded=True)
    elif before is None and after:
        body = core_marks.box(after)
    reason = f' <span class="ms-tag">why: {core_marks.shown(change.reason)}</span>' if change.reason else ""
    st.html(
        wrap(
            f'<div class="cm-row"><b>{core_marks.by(change.author)}</b> {core_marks.shown(change.what)}{size}{reason}'
            f'<div class="soft">event {change.seq:,} · {escape(where)} · '
            f"{core_marks.when(change.at, here.zone)}</div></div>",
            body,
        )
    )
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        if change.version and present is not None:
            same = after == present
            st.button(
                "Restore",
                key=f"restore:{now}:{change.seq}",
                type="tertiary",
                icon=":material/settings_backup_restore:",
                on_click=attempt,
                args=(here.ws.edits.restore_block, now, change.seq),
                disabled=same,
                help="This is the present text" if same else "Gives the block this text again, as a new edit",
            )
        _links(here, change, caused)


def _links(here: Here, change: Change, caused: str) -> None:
    ws = here.ws
    if caused:
        st.page_link(
            "pages/recall.py",
            label="Message",
            icon=":material/chat:",
            query_params=moment.query(ws, here.at, message=caused),
            help=f"The message that caused it ({caused})",
        )
    st.page_link("app.py", label="Chat then", icon=":material/history:", query_params=moment.query(ws, change.seq))
    st.page_link(
        "pages/log.py",
        label="Event",
        icon=":material/receipt_long:",
        query_params=moment.query(ws, here.at, event=str(change.seq)),
    )


def _rows(ws: Workspace, stretches: Life, total: int) -> list[dict[str, Any]]:
    """Every change, for a file."""
    return [
        {
            "event": change.seq,
            "at": change.at,
            "session": change.session,
            "turn": change.turn,
            "step": change.step,
            "block": change.label,
            "by": AUTHORS[change.author],
            "what": change.what,
            "reason": change.reason,
            "before": change.before,
            "after": change.after,
        }
        for change in core_rows.changes(ws, stretches, 0, total)
    ]
