"""What if: choose a turn, change one thing, run it again in the background, and see both beside each other.

What is run is a fork that nobody sees and that is deleted right after; the agent itself lives nothing of it.
"""

from typing import Any

import streamlit as st

from memgpt_core import supposing
from memgpt_core.counterfactual import Change
from memgpt_core.errors import EditRefused
from memgpt_core.state import State
from memgpt_core.supposing import TIMES_MOST, Question, Supposed
from memgpt_core.views.changes import model_text
from memgpt_core.views.log_rows import one_line
from memgpt_core.workspace import Workspace
from pages.parts import choices, compare_outcomes, compare_rows, compare_turn, compare_whatif_rows, frame, model_choice
from pages.parts.compare_marks import RECORDED
from pages.parts.compare_outcomes import KINDS, OTHER_MODEL
from pages.parts.core_marks import shown
from pages.parts.frame import Here
from pages.parts.markup import wrap
from pages.parts.safe_md import safe_md

LOOKS_EVERY_S = 0.5
TEXT_HEIGHT = 130
TURN = "turn"
"""The name in the address of the turn that is run again."""


def draw(here: Here) -> None:
    """The question at the left, what came of it below."""
    ws = here.ws
    if not here.state.turn:
        st.info("Nobody has said anything to this agent yet, so there is no turn to run again.", icon=":material/info:")
        return
    asked = _turn(here)
    start = ws.turn_start(asked)
    before = ws.state(start - 1)
    left, right = st.columns([46, 54], gap="medium")
    with left:
        question = _question(here, asked, start, before)
        _press(here, question)
    with right:
        _as_it_was(here, asked)
    if supposing.running(here.home, ws.agent_id):
        still = frame.live(_status, every_s=LOOKS_EVERY_S, until=lambda: not supposing.running(here.home, ws.agent_id))
        still(here)
    else:
        with st.container():
            _status(here)


def _turn(here: Here) -> int:
    """The turn that is run again: by the address, else the one that the page stands in, else the last."""
    key = choices.suppose(here.ws.agent_id, "turn", here.at)
    last = here.state.turn
    wanted = st.query_params.get(TURN, "")
    valid = wanted.isascii() and wanted.isdigit() and 1 <= int(wanted) <= last
    if wanted and not valid:
        st.warning(safe_md(f"There is no turn “{one_line(wanted, 40)}”: this agent has turns 1 to {last:,}."))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        chosen = st.number_input(
            "Turn to run again",
            min_value=1,
            max_value=last,
            value=int(wanted) if valid else last,
            key=key,
            width=170,
            help="It is sent what it was sent then, at the time it was sent.",
        )
        st.caption(
            "The turn runs in a fork made right before it, which is deleted right after: no agent lives it, no log "
            "holds it. What comes of it stays on this page until Memscope is closed."
        )
    return int(chosen)


def _question(here: Here, asked: int, start: int, before: State) -> Question:
    """What is to be otherwise; `change.what` is empty while nothing was chosen."""
    ws = here.ws

    def key(*field: object) -> str:
        return choices.suppose(ws.agent_id, asked, *field)

    kind = st.selectbox(
        "What is to be otherwise",
        list(KINDS),
        format_func=lambda one: KINDS[one].label,
        key=choices.suppose(ws.agent_id, "kind"),
        help="One thing at a time, so that what comes of it has one cause.",
    )
    plan = KINDS[kind]
    what, text, model = "", "", None
    if plan.of:
        what = _what(ws, plan.of, start, before, key("what", plan.of))
    if plan.text:
        then = compare_whatif_rows.text_then(ws, what, start, before) if plan.of else _said(ws, start)
        text = st.text_area(plan.text, value=then or "", key=key("text", kind, what), height=TEXT_HEIGHT)
    if kind == OTHER_MODEL:
        model = _model(here, key("model"))
    times = st.number_input(
        "How often",
        min_value=1,
        max_value=TIMES_MOST,
        value=1,
        key=choices.suppose(ws.agent_id, "times"),
        width=170,
        help="A model that samples answers otherwise each time; the demo model does not.",
    )
    named = what.removeprefix("block:")
    return Question(asked, Change(plan.kind, named, text), int(times), model)


def _what(ws: Workspace, of: str, start: int, before: State, key: str) -> str:
    """The block, message or passage; `block:` and its label, or an id."""
    options = compare_whatif_rows.options(ws, of, start, before)
    chosen = st.selectbox(
        {"block": "Which block", "message": "Which message", "passage": "Which passage"}[of],
        list(options),
        format_func=lambda one: options.get(one, one),
        key=key,
        index=0 if options else None,
        placeholder="None was there" if of == "block" else "Type its id",
        accept_new_options=of != "block",
        help={
            "block": "The blocks as they were when the turn began.",
            "message": "Those that were in the window when the turn began, newest first; or type the id of another, "
            "like m12.",
            "passage": "Those the turn found, then the newest; or type the id of another, like p4.",
        }[of],
    )
    return str(chosen or "").strip()


def _said(ws: Workspace, start: int) -> str:
    """What the turn was opened with: what was said last of what opens it."""
    event: Any = ws.event(start)
    said = event
    while event.kind == "trigger_received":
        said = event if event.cause == "user" or said.cause != "user" else said
        if event.seq == ws.last_seq:
            break
        event = ws.event(event.seq + 1)
    return str(getattr(said, "text", ""))


def _model(here: Here, key: str) -> str:
    names = model_choice.options(here.home.connection.view().models, here.ws.state().settings.model)
    return str(
        st.selectbox(
            "Which model",
            names,
            format_func=model_text,
            key=key,
            accept_new_options=True,
            help="Models of the Ollama server, and the demo model. The agent keeps its own.",
        )
    )


def _press(here: Here, question: Question) -> None:
    home, id = here.home, here.ws.agent_id
    busy = supposing.running(home, id)
    missing = KINDS[question.change.kind].of and not question.change.what
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.button(
            "Run it again" if question.times == 1 else f"Run it again {question.times} times",
            key="suppose:run",
            type="primary",
            icon=":material/alt_route:",
            disabled=busy or bool(missing),
            on_click=frame.attempt,
            args=(_start, here, question),
        )
        if busy:
            st.button("Stop", key="suppose:stop", icon=":material/stop:", on_click=supposing.stop, args=(home, id))


def _start(here: Here, question: Question) -> None:
    if question.change.kind == "other_message" and not question.change.text.strip():
        raise EditRefused("The message is empty. Type something first.")
    supposing.start(here.home, here.ws.agent_id, question)


def _as_it_was(here: Here, asked: int) -> None:
    """The turn as it is in the log."""
    side = compare_rows.side(here.ws, here.seq)
    turn = compare_whatif_rows.turn(here.ws, asked)
    told = compare_rows.tell(side, turn, turn.first - 1)
    st.html(
        wrap(
            f"<b>Turn {asked:,}, as it was</b> {RECORDED}",
            compare_turn.one(told),
            f'<div class="soft">events {turn.first:,} to {turn.ended:,}</div>',
        )
    )


def _status(here: Here) -> None:
    now = supposing.last(here.home, here.ws.agent_id)
    if now is None:
        return
    st.divider()
    job = now.job
    if job.running:
        done = f"{len(now.outcomes)} of {now.question.times} times done"
        said = "stopping" if job.stopping else done
        st.progress(job.share or 0.0, text=f"Running turn {now.question.turn:,} again: {said}, {job.seconds:.0f} s")
    elif job.failed:
        st.warning(safe_md(job.failed), icon=":material/info:")
    elif len(now.outcomes) < now.question.times:
        st.info(
            f"It was stopped: {len(now.outcomes)} of {now.question.times} times came to an end.",
            icon=":material/stop:",
        )
    _asked(now)
    if now.outcomes:
        compare_outcomes.draw(here, now)
    if not job.running:
        st.html(
            wrap(
                '<div class="ms-note" role="status">The forks this ran in are deleted. The agent, its log and its '
                "memory are as they were.</div>"
            )
        )


def _asked(now: Supposed) -> None:
    st.html(wrap(f"<b>What if</b> {shown(compare_outcomes.in_words(now.question))}"))
