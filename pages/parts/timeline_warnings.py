"""The timeline's three warnings with their evidence: thrashing, starving, lost by a flush.

Looks at the stretch of the log that is shown, and there at the newest so many questions and flushes; each answer is
kept, because the past does not change.
"""

from typing import NamedTuple

import streamlit as st

from memgpt_core.views import lost, warnings
from memgpt_core.views.paging import excerpt
from memgpt_core.workspace import Workspace
from pages.parts import markup, timeline_rows, timeline_window
from pages.parts.markup import escape, line, wrap

QUESTIONS, FLUSHES = 8, 3
"""The newest questions and flushes of the stretch that are looked at."""

SHOWN = 12
"""How much evidence of one kind is shown."""


class Warned(NamedTuple):
    """What was found in a stretch of the log."""

    thrashing: list[warnings.Thrash]
    trickles: list[warnings.Trickle]
    starving: list[warnings.Starving]
    lost: dict[int, list[lost.Lost]]


def find(ws: Workspace, first: int, last: int, until: int) -> Warned:
    """All warnings about events `first` to `last`, as it looks after event `until`."""
    faults, fetches = timeline_rows.fetches(ws, first, last)
    flushes = timeline_rows.flushes(ws, first, last, most=FLUSHES)
    found = {flush: lost_by(ws, flush, until) for flush in flushes}
    return Warned(
        warnings.thrashing(faults),
        warnings.trickles(fetches),
        _starving(ws, first, last, until),
        {flush: terms for flush, terms in found.items() if terms},
    )


def _starving(ws: Workspace, first: int, last: int, until: int) -> list[warnings.Starving]:
    found = []
    for row in timeline_rows.questions(ws, first, last, until, most=QUESTIONS):
        text = str(getattr(ws.event(row["seq"]), "text", ""))
        question = warnings.Question(row["seq"], row["turn"], text, row["answered"], tuple(row["searches"] or ()))
        if warnings.may_starve(question) and (starved := timeline_rows.kept(ws, _starved, question)):
            found.append(starved)
    return found


def _starved(ws: Workspace, question: warnings.Question) -> warnings.Starving | None:
    words = warnings.telling_words(question.text)
    if not words:
        return None
    looked_at, rows = timeline_rows.words_stored(
        ws, words, question.seq, rare_rows=warnings.RARE_ROWS, rare_share=warnings.RARE_SHARE
    )
    known = timeline_rows.known_texts(ws, question.seq) if rows else []
    return warnings.starving(question, rows, looked_at=looked_at, known=known)


def lost_by(ws: Workspace, flush: int, until: int) -> list[lost.Lost]:
    """What one flush lost, as it looks after event `until`; kept."""
    return timeline_rows.kept(ws, _lost_by, flush, until)


def _lost_by(ws: Workspace, flush: int, until: int) -> list[lost.Lost]:
    event = ws.event(flush)
    messages, _ = timeline_rows.kept(ws, timeline_rows.evicted, event.evicted, flush, until)
    kept = [event.summary, *timeline_rows.known_texts(ws, until + 1), *timeline_rows.window_texts(ws, until)]
    rows = [messages[id] for id in event.evicted if id in messages]
    found = lost.candidates(rows, kept)[: lost.TERMS_MOST]
    return lost.still_lost(found, timeline_rows.passages_with(ws, [one.term for one in found], until)) if found else []


# --- on screen ----------------------------------------------------------------------------------------------


def draw(ws: Workspace, warned: Warned) -> None:
    """The three warnings side by side, each with its rule and what it saw."""
    thrash, starve, gone = st.columns(3, gap="medium")
    with thrash:
        _draw_thrashing(ws, warned)
    with starve:
        _draw_starving(ws, warned.starving)
    with gone:
        _draw_lost(ws, warned.lost)


def _head(name: str, count: int, what: str, rule: str, looks_at: str) -> None:
    sign = "⚠" if count else "✓"
    said = f"{count:,} {what}" if count else "nothing found"
    st.html(wrap(markup.heading(f"{sign} {name}", said), f'<div class="soft">{escape(looks_at)}</div>'))
    with st.popover("The rule", icon=":material/rule:", key=f"rule-{name}", type="tertiary"):
        st.caption(rule.replace("$", "\\$"))


def _open(ws: Workspace, seq: int, label: str, key: str) -> None:
    st.button(
        label,
        key=f"see:{key}:{seq}",
        type="tertiary",
        icon=":material/near_me:",
        on_click=timeline_window.look,
        args=(ws, seq),
    )


def _draw_thrashing(ws: Workspace, warned: Warned) -> None:
    count = len(warned.thrashing) + len(warned.trickles)
    _head("Thrashing", count, "found", warnings.THRASHING_RULE, "Page ins of the stretch shown above.")
    items = ws.items([one.item for one in warned.thrashing[:SHOWN]]) if warned.thrashing else {}
    for one in warned.thrashing[:SHOWN]:
        said = excerpt(items.get(one.item))
        turns = ", ".join(f"{turn:,}" for turn in one.turns)
        st.html(
            wrap(
                line(
                    "recall",
                    f"<b>{escape(one.item)}</b> was faulted in {len(one.seqs)} times, in turns {turns}"
                    f"<div class='soft'>{escape(said)}</div>",
                )
            )
        )
        _open(ws, one.seqs[-1], f"The last time, event {one.seqs[-1]:,}", f"thrash-{one.item}")
    for trickle in warned.trickles[:SHOWN]:
        first, last = trickle.turns
        span = f"turn {first:,}" if first == last else f"turns {first:,} to {last:,}"
        st.html(
            wrap(line("archival", f"<b>{len(trickle.seqs)} small page ins</b> in {span}, {trickle.tokens:,} tokens"))
        )
        _open(ws, trickle.seqs[0], f"The first, event {trickle.seqs[0]:,}", "trickle")


def _draw_starving(ws: Workspace, found: list[warnings.Starving]) -> None:
    looks = f"Your newest {QUESTIONS} messages of the stretch shown above."
    _head("Starving", len(found), "found", warnings.STARVING_RULE, looks)
    for one in found[:SHOWN]:
        late = "never searched" if one.late is None else f"searched only after answering (event {one.late:,})"
        items = ws.items(one.items[:3])
        evidence = "".join(
            f"<div class='soft'><b>{escape(id)}</b> {escape(excerpt(items.get(id)) or 'deleted since')}</div>"
            for id in one.items[:3]
        )
        st.html(
            wrap(
                line(
                    "recall",
                    f"“{escape(excerpt({'text': one.question.text}))}” <b>{late}</b>"
                    "<div class='soft'>In storage, and nowhere in the window: "
                    f"{escape(', '.join(one.shared))}</div>{evidence}",
                )
            )
        )
        _open(ws, one.question.seq, f"The question, event {one.question.seq:,}", "starve")


def _draw_lost(ws: Workspace, found: dict[int, list[lost.Lost]]) -> None:
    looks = f"The newest {FLUSHES} flushes of the stretch shown above."
    _head("Lost by a flush", sum(map(len, found.values())), "terms", lost.RULE, looks)
    for flush, terms in found.items():
        st.html(wrap(line("messages", lost_terms(terms))))
        _open(ws, flush, f"The flush, event {flush:,}", "lost")


def lost_terms(terms: list[lost.Lost]) -> str:
    """Terms with their kind, under the message each was in, as HTML."""
    by_message: dict[str, list[lost.Lost]] = {}
    for one in terms:
        by_message.setdefault(one.message, []).append(one)
    rows = [
        f"<div><b>{escape(message)}</b> "
        + " ".join(f'<span class="ms-tag">{escape(one.term)} · {one.what}</span>' for one in held)
        + "</div>"
        for message, held in list(by_message.items())[:SHOWN]
    ]
    more = len(by_message) - SHOWN
    return "".join(rows) + (f'<div class="soft">and in {more} more messages</div>' if more > 0 else "")
