"""What the next flush would take, before it does; and what would happen under other rules, asked by a small form."""

from typing import Any

import pandas as pd
import streamlit as st

from memgpt_core.state import State
from memgpt_core.views.changes import label
from memgpt_core.views.whatif import STRATEGIES, Grown, Outcome, assumption, changed, outcome
from memgpt_core.views.window import segments_now
from memgpt_core.views.window_items import Item, excerpt, visible
from memgpt_core.workspace import Workspace
from pages.parts import choices, gauge, moment
from pages.parts.context_request import Shown
from pages.parts.markup import escape, heading, wrap


def draw(ws: Workspace, at: int | None, now: Shown) -> None:
    """The next flush at the left, the question what if at the right."""
    state = now.state
    left, right = st.columns([50, 50], gap="medium")
    with left:
        _next_flush(ws, at, now, outcome(state))
    with right:
        _what_if(ws, state)


def _next_flush(ws: Workspace, at: int | None, now: Shown, found: Outcome) -> None:
    state, level = now.state, found.gauge
    st.html(
        wrap(
            heading("The next flush", "if it came now"),
            gauge.bar(segments_now(state), level),
            f'<div class="ms-gap"><b>{level.used:,}</b> of {level.window:,} tokens. {_distance(found)}</div>',
        )
    )
    if not found.evicted:
        st.caption(
            "Nothing may leave now: the queue is empty, or holds only the exchange that goes on and pinned messages."
        )
        return
    after = _after(found)
    st.html(
        wrap(
            f"<div><b>{len(found.evicted):,} messages</b> would leave and free <b>{found.freed:,} tokens</b>; {after} "
            f"{escape(_policy(state))} {len(found.stays):,} stay{_pins(state, found)}.</div>"
        )
    )
    items = {item.key: item for item in now.items}
    _leaving([items[key] for key in found.evicted if key in items])
    st.caption(assumption(state))
    st.page_link(
        "pages/recall.py",
        label="Pin messages or save them to archival first",
        icon=":material/push_pin:",
        query_params=moment.query(ws, at, message=found.evicted[0]),
    )


def _distance(found: Outcome) -> str:
    level = found.gauge
    if found.act == "flush":
        return "Above the flush mark: these messages leave before the next step."
    warn, flush = level.warn - level.used, level.flush - level.used
    parts = []
    if warn > 0:
        parts.append(f"The warning comes in {warn:,} tokens{_exchanges(found.exchanges_to_warn)}")
    else:
        parts.append("The warning mark is passed")
    parts.append(f"the flush {'in' if warn > 0 else 'comes in'} {flush:,} tokens{_exchanges(found.exchanges_to_flush)}")
    usual = f" An exchange takes about {found.exchange_tokens:,} tokens here." if found.exchange_tokens else ""
    return ", ".join(parts) + "." + usual


def _exchanges(number: int | None) -> str:
    if number is None:
        return ""
    return " (less than one exchange)" if number == 0 else f" (about {number:,} exchange{'s' if number > 1 else ''})"


def _after(found: Outcome) -> str:
    return f"the prompt would then hold {found.after:,}, a summary of {found.summary_tokens:,} among them."


def _policy(state: State) -> str:
    return {
        "summarise_recursively": "The summary takes them in; their texts stay in recall storage.",
        "summarise_and_archive": "The summary takes them in and is stored in archival; their texts stay in recall.",
        "archive_verbatim": "They are kept word for word in archival, and in recall storage.",
        "drop_with_notice": "A notice without a summary stands for them; their texts stay in recall storage.",
    }[state.settings.strategy]


def _pins(state: State, found: Outcome) -> str:
    pinned = [id for id in found.stays if id in state.pinned]
    return f", {len(pinned):,} of them because they are pinned ({escape(', '.join(pinned))})" if pinned else ""


def _leaving(items: list[Item]) -> None:
    rows = [
        {"Item": visible(item.label), "Turn": item.turn, "Tokens": item.tokens, "Begins with": excerpt(item)}
        for item in items
    ]
    st.dataframe(
        pd.DataFrame(rows),
        key="next-flush",
        hide_index=True,
        height=min(250, 38 + 35 * len(rows)),
        column_config={
            "Item": st.column_config.TextColumn(width=175),
            "Turn": st.column_config.NumberColumn(width=50),
            "Tokens": st.column_config.NumberColumn(format="localized", width=62),
            "Begins with": st.column_config.TextColumn(width=260),
        },
        alt=f"{len(rows)} messages that the next flush would take, oldest first",
    )


# --- what if ------------------------------------------------------------------------------------------------


def _what_if(ws: Workspace, state: State) -> None:
    st.html(wrap(heading("What if", "nothing is changed, no model is called")))
    with st.form(f"what-if:{ws.agent_id}", border=False):
        wanted = _rule_fields(ws, state)
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            block = _block_fields(ws, state)
            st.form_submit_button("Work it out", icon=":material/calculate:", type="primary")
    other, refused = changed(state, wanted, block)
    if other is None:
        st.html(wrap(f'<div class="ms-note bad" role="alert"><b>That cannot be.</b> {escape(refused)}</div>'))
        return
    _before_and_after(state, other)


def _rule_fields(ws: Workspace, state: State) -> dict[str, Any]:
    settings = state.settings
    one, two, three = st.columns(3)
    four, five, six = st.columns([28, 28, 44])
    wanted: dict[str, Any] = {}
    for place, field, step in ((one, "window_tokens", 1024), (two, "reserve_tokens", 128)):
        key = choices.what_if(ws.agent_id, field)
        wanted[field] = place.number_input(
            f"{label(field)} (tokens)", value=getattr(settings, field), step=step, key=key
        )
    percents = zip((three, four, five), ("warn_share", "flush_share", "evict_share"), strict=True)
    for place, field in percents:
        key = choices.what_if(ws.agent_id, field)
        shown = round(100 * getattr(settings, field), 4)
        percent = place.number_input(f"{label(field)} (%)", value=shown, step=5.0, format="%g", key=key)
        wanted[field] = round(percent / 100, 6)
    wanted["strategy"] = six.selectbox(
        "Eviction policy",
        list(STRATEGIES),
        index=list(STRATEGIES).index(settings.strategy),
        format_func=STRATEGIES.get,
        key=choices.what_if(ws.agent_id, "strategy"),
    )
    return wanted


def _block_fields(ws: Workspace, state: State) -> Grown | None:
    if not state.blocks:
        return None
    name = st.selectbox("Block", list(state.blocks), key=choices.what_if(ws.agent_id, "block"))
    more = st.number_input(
        "grows by (characters)",
        min_value=0,
        value=0,
        step=100,
        key=choices.what_if(ws.agent_id, "grows"),
        help="Tokens are worked out at the rate of the block's present text.",
    )
    return Grown(name, len(state.blocks[name].value) + int(more)) if more else None


_ROWS = (
    ("Prompt", lambda found: f"{found.gauge.used:,} tokens"),
    ("Share of the window", lambda found: f"{100 * found.gauge.used / found.gauge.window:.0f} %"),
    ("A prompt may fill", lambda found: f"{found.gauge.limit:,} tokens"),
    ("Warning at", lambda found: f"{found.gauge.warn:,} tokens"),
    ("Flush at", lambda found: f"{found.gauge.flush:,} tokens"),
    ("Free before the flush", lambda found: f"{found.gauge.free:,} tokens"),
    ("Before the next step", lambda found: {"pass": "nothing", "warn": "a warning", "flush": "a flush"}[found.act]),
    ("A flush now would evict", lambda found: f"{len(found.evicted):,} messages, {found.freed:,} tokens"),
    ("The prompt after it", lambda found: f"{found.after:,} tokens"),
)


def _before_and_after(state: State, other: State) -> None:
    now, then = outcome(state), outcome(other)
    rows = "".join(
        f"<tr><td>{name}</td><td>{text(now)}</td><td>{_told(text(now), text(then))}</td></tr>" for name, text in _ROWS
    )
    st.html(
        wrap(
            f"<table class='ms-if'><tr><th></th><th>now</th><th>then</th></tr>{rows}</table>",
            f'<div class="soft ms-gap">The window then:</div>{gauge.bar(segments_now(other), then.gauge)}',
            _moved(now, then),
        )
    )
    st.caption(assumption(other))


def _told(now: str, then: str) -> str:
    return f"<b>{then}</b>" if then != now else f'<span class="soft">{then}</span>'


def _moved(now: Outcome, then: Outcome) -> str:
    more = [id for id in then.evicted if id not in now.evicted]
    fewer = [id for id in now.evicted if id not in then.evicted]
    says = [f"{name}: {_ids(ids)}" for name, ids in (("Would leave too", more), ("Would stay now", fewer)) if ids]
    return f'<div style="margin-top:.3rem">{escape(". ".join(says))}</div>' if says else ""


def _ids(ids: list[str]) -> str:
    return ", ".join(ids) if len(ids) <= 6 else f"{', '.join(ids[:5])} and {len(ids) - 5:,} more"
