"""Which request is shown, the way to the others, whether it is rebuilt as it was sent, and its three figures."""

from functools import partial

import streamlit as st

from memgpt_core.views.figures import Figures, figures
from memgpt_core.workspace import Workspace
from pages.parts import choices, moment
from pages.parts.context_request import Shown
from pages.parts.context_rows import Answer, Place, nth
from pages.parts.markup import escape, wrap

STYLE = """<style>
.ms-figs{display:grid;grid-template-columns:13.5rem 10.5rem 9.5rem 1fr;gap:.2rem 1.2rem;align-items:start}
.ms-figs>div>b{font-size:1.3rem;font-weight:600;font-variant-numeric:tabular-nums;display:block;line-height:1.25}
.ms-figs .ms-note{align-self:stretch}
.st-key-steps button{min-height:1.9rem;padding:0 .5rem}
.st-key-steps [data-testid="stNumberInput"]{max-width:8.5rem}
.ms-gap{margin:.35rem 0 .15rem}
.ms-words{max-height:16rem}
.ms-words ins{background:color-mix(in srgb,#2e8b57 28%,transparent);text-decoration:underline}
.ms-words del{background:color-mix(in srgb,#c0392b 25%,transparent)}
.ms-if{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
.ms-if th{font-weight:400;text-align:left;opacity:.65}
.ms-if td,.ms-if th{padding:.12rem .5rem .12rem 0;border-bottom:1px solid var(--edge)}
</style>"""

_NO_SERVER = {True: "not sent yet", False: "not told"}

IDENTICAL = "Rebuilt: identical"
OTHER = "Rebuilt by another version"
NOT_SENT = "Not sent yet"


def draw_steps(ws: Workspace, at: int | None, where: Place | None, shown: Shown) -> None:
    """The request that is shown, by its place in the log, with the way to the one before and after."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="steps"):
        st.markdown("#### Context window", width="content")
        if where is not None:
            _ways(ws, where)
            st.segmented_control(
                "Which request",
                [False, True],
                format_func={False: f"Sent: turn {where.turn}, step {where.step}", True: "Would go next"}.get,
                key=choices.window_next(ws.agent_id, at),
                default=False,
                required=True,
                label_visibility="collapsed",
                help="The last request of this point in the log, or the one that would leave from here.",
            )
        _checked(shown)


def _ways(ws: Workspace, where: Place) -> None:
    key = choices.request_number(ws.agent_id, where.seq)
    _way("Previous", ":material/chevron_left:", where.before)
    st.number_input(
        "Number of the request",
        min_value=1,
        max_value=where.of,
        value=where.number,
        step=1,
        key=key,
        on_change=partial(_jump, ws, key),
        label_visibility="collapsed",
        width=95,
        help=f"Request {where.number:,} of {where.of:,} in this log, event {where.seq:,}.",
    )
    st.caption(f"of {where.of:,}", width="content")
    _way("Next", ":material/chevron_right:", where.after)


def _way(name: str, icon: str, to: int | None) -> None:
    tip = f"The request {'before' if name == 'Previous' else 'after'} this one."
    st.button(name, icon=icon, key=f"step:{name}", help=tip, disabled=to is None, on_click=moment.go, args=(to,))


def _jump(ws: Workspace, key: str) -> None:
    seq = nth(ws, st.session_state[key])
    if seq is not None:
        moment.go(seq)


def _checked(shown: Shown) -> None:
    if shown.identical is None:
        st.badge(NOT_SENT, icon=":material/schedule:", color="grey")
    elif shown.identical:
        st.badge(
            IDENTICAL,
            icon=":material/verified:",
            color="green",
            help="Built again from the log, the request has the same sha256 as the one that was sent: byte for byte.",
        )
    else:
        st.badge(
            OTHER,
            icon=":material/warning:",
            color="orange",
            help="This version of Memscope lays the request out otherwise than the one that sent it, or a text it held "
            "has gone. The tokens are those of the log; the texts are as this version builds them.",
        )


def read(shown: Shown, answer: Answer | None) -> Figures:
    """The three figures of a request; without an answer there is only ours."""
    return figures(
        shown.tokens,
        answer.server if answer else None,
        answer.served if answer else None,
        window=shown.state.settings.window_tokens,
        counted_by=shown.counted_by,
        demo=shown.demo,
        factor=shown.state.token_factor,
        stage="not sent" if answer is None else "answered" if answer.seq else "sent",
        cut=answer.cut if answer else None,
    )


def draw(found: Figures, shown: Shown, answer: Answer | None) -> None:
    """Our count, the server's, the served window, and what they mean together."""
    window = shown.state.settings.window_tokens
    beside = "the demo model's own count" if shown.demo else "the model server's own count"
    server = _figure(
        "Server's count", found.server, f"{beside}{_cached(answer)}" if found.server else _NO_SERVER[answer is None]
    )
    asked = f"asked for {shown.state.settings.num_ctx:,}"
    served = _figure("Served window", found.served, asked if found.served else _untold(shown))
    share = f"{100 * found.ours / window:.0f} % of the window of {window:,}"
    ours = _figure("Our count", found.ours, f"{share}; {found.how}")
    bad = found.verdict in ("cut", "smaller window")
    alarm = ' role="alert"' if bad else ""
    loud = "<b>The prompt was cut.</b> " if found.verdict == "cut" else ""
    note = f'<div class="ms-note{" bad" if bad else ""}"{alarm}>{loud}{escape(found.says)}</div>'
    st.html(wrap(f'<div class="ms-figs">{ours}{server}{served}{note}</div>'))


def _figure(name: str, tokens: int | None, says: str) -> str:
    value = f"{tokens:,}" if tokens else "–"
    unit = ' <span class="soft" style="font-size:.8rem;font-weight:400">tokens</span>' if tokens else ""
    return f'<div><span class="soft">{name}</span><b>{value}{unit}</b><div class="soft">{escape(says)}</div></div>'


def _cached(answer: Answer | None) -> str:
    return f", {answer.cached:,} of them cached" if answer and answer.cached else ""


def _untold(shown: Shown) -> str:
    if shown.demo:
        return "the demo model has no server"
    return f"not told; asked for {shown.state.settings.num_ctx:,} tokens"
