"""One message, opened: where it is and was, every text it had, its turn around it, and what can be done to it."""

from typing import Any

import streamlit as st

from memgpt_core.views.blocks import AUTHORS
from memgpt_core.views.messages import Whereabouts, effect_of_deleting, speaker, stays, whereabouts
from memgpt_core.views.passages import visible
from pages.parts import address, choices, hits, journey_links, recall_editor, recall_list, recall_picked, recall_rows
from pages.parts.frame import Here, attempt
from pages.parts.markup import chip, details, escape, heading, line, text_box, wrap
from pages.parts.recall_asked import Asked
from pages.parts.recall_list import marked, pieces_of, when
from pages.parts.recall_picked import PAST
from pages.parts.safe_md import safe_md

SHOWN_CHARS = 20_000
"""More of one message is not drawn; the whole is in the export."""

BEGAN = {
    "message_edited": "corrected",
    "message_restored": "restored",
}


def draw(here: Here, asked: Asked) -> None:
    """The message the address names, or a sentence when it is not there."""
    id = asked.message
    versions = recall_rows.versions(here.ws, id, here.seq)
    if not versions:
        st.warning(_missing(here, id), icon=":material/link_off:")
        st.button("Close", key="close-message", type="tertiary", on_click=address.put, args=("message", ""))
        return
    row = versions[-1]
    row["intervals"] = recall_rows.intervals(here.ws, id, here.seq)
    place = whereabouts(row, here.state)
    with st.container(gap="small", key="message"):
        _head(here, row, place)
        if asked.ranked:
            hits.why(recall_list.why_not(here, asked, id), here.ws.projections.weights, "recall")
        if st.session_state.get(choices.message_editing(here.ws.agent_id, id)) is not None and here.at is None:
            recall_editor.draw(here, row, deleted=not place.tier)
        else:
            _text(here, asked, row)
            _actions(here, row, place)
        journey_links.draw(here, id)
        _residency(here, row, place)
        _versions(here, versions)
        _turn(here, row)


def _missing(here: Here, id: str) -> str:
    born = id[1:] if id[:1] == "m" else ""
    known = born.isascii() and born.isdigit() and len(born) < 16
    if known and here.at is not None and here.seq < int(born) <= here.ws.last_seq:
        return f"Message {id} is not there yet at event {here.seq:,}: it came later. Go back to live to see it."
    return (
        f"There is no message “{safe_md(visible(id[:40]))}”. A message is called m and the number of the event that "
        "brought it; search for it at the left."
    )


def _head(here: Here, row: dict[str, Any], place: Whereabouts) -> None:
    with st.container(horizontal=True, vertical_alignment="top", gap="small"):
        st.html(
            wrap(
                f'<div class="ms-h"><span>{chip(place.tier) if place.tier else ""} {escape(visible(speaker(row)))}, '
                f'message {row["id"]}</span><span class="num" title="our count of the message">{row["tokens"]:,} '
                "tokens</span></div>",
                f'<div class="soft">{when(row["at"], here.zone)} · session {row["session"]}, turn {row["turn"]}, step '
                f"{row['step']} · {escape(row['kind'])}</div>",
                f"<div>{escape(place.says)}</div>",
            )
        )
        st.button(
            "Close",
            key="close-message",
            type="tertiary",
            icon=":material/close:",
            on_click=address.put,
            args=("message", ""),
        )


def _text(here: Here, asked: Asked, row: dict[str, Any]) -> None:
    said, thought = row["text"][:SHOWN_CHARS], row["thoughts"][:SHOWN_CHARS]
    tier = "messages"
    boxes = []
    if said:
        # A regular expression is marked in the list alone: there DuckDB says what it matched.
        cut = pieces_of(said, asked.wanted, ())
        boxes.append(f'<div class="ms-text ms-{tier}" style="max-height:18rem">{marked(cut)}</div>')
    elif calls := recall_rows.calls_of(here.ws, row["born"]):
        boxes.append(text_box(visible(calls[:SHOWN_CHARS]), tier))
    if thought:
        boxes.append('<div class="soft">What the agent thought:</div>')
        boxes.append(f'<div class="ms-text">{marked(pieces_of(thought, asked.wanted, ()))}</div>')
    if max(len(row["text"]), len(row["thoughts"])) > SHOWN_CHARS:
        boxes.append(f'<div class="soft">The first {SHOWN_CHARS:,} of {len(row["text"]):,} characters.</div>')
    st.html(wrap(*boxes))


def _actions(here: Here, row: dict[str, Any], place: Whereabouts) -> None:
    past, id, edits = here.at is not None, row["id"], here.ws.edits
    helped = PAST if past else None
    deleted = not place.tier
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        if deleted:
            _button("Restore", "restore_from_trash", helped, edits.restore_messages, id, disabled=past)
        else:
            st.button(
                "Edit",
                key=f"edit:{id}",
                icon=":material/edit:",
                disabled=past,
                help=helped or "Correct its text",
                on_click=recall_editor.begin,
                args=(here.ws.agent_id, row),
            )
            pinned = id in here.state.pinned
            if pinned:
                _button("Unpin", "keep_off", helped or "Let it be evicted", edits.pin, id, disabled=past, pinned=False)
            else:
                _button("Pin", "keep", helped or "Keep it in the window", edits.pin, id, disabled=past)
            if not place.queued:
                why = helped or "Give it a new place at the end of the queue"
                _button("Bring back", "undo", why, edits.requeue, id, disabled=past)
            with st.popover("To archival", icon=":material/inventory_2:", disabled=past, help=helped):
                tags = st.text_input("Tags (with commas between them)", key=f"copy-tags:{id}")
                args = (here, [id], tags)
                st.button("Copy it", key=f"copy:{id}", type="primary", on_click=recall_picked.copy, args=args)
            with st.popover("Delete", icon=":material/delete:", disabled=past, help=helped):
                st.markdown("Neither you nor the agent finds it then. You can undo it.")
                st.markdown(effect_of_deleting(here.state, [id]))
                st.button("Delete it", key=f"delete:{id}", type="primary", on_click=_delete, args=(here, id))


def _button(label: str, icon: str, helps: str | None, action: Any, id: str, *, disabled: bool, **options: Any) -> None:
    st.button(
        label,
        key=f"{label}:{id}",
        icon=f":material/{icon}:",
        disabled=disabled,
        help=helps,
        on_click=attempt,
        args=(action, [id]),
        kwargs=options,
    )


def _delete(here: Here, id: str) -> None:
    recall_picked.delete(here, [id])


def _residency(here: Here, row: dict[str, Any], place: Whereabouts) -> None:
    found = stays(row["intervals"], here.seq)
    lines = []
    for stay in found:
        until = f"left at event {stay.left:,}" if stay.left else "is still there"
        fault = ' <span class="ms-tag" title="it had left and was nowhere in the window">page fault</span>'
        lines.append(
            line(
                "messages" if stay.left is None and place.tier else "recall",
                f"Came at event {stay.came:,} {escape(stay.how)}, {until}.{fault if stay.fault else ''}",
            )
        )
    inside = "".join(lines) or '<div class="soft">It was never in the window.</div>'
    st.html(wrap(details(f"<b>In the window</b> {len(found)} times", inside, opened=len(found) > 1)))
    if found:
        with st.container(horizontal=True, gap="small"):
            recall_rows.link(here.ws, "pages/timeline.py", "On the timeline", "timeline", mark=str(place.seq))
            recall_rows.link(here.ws, "pages/log.py", f"Event {row['born']:,}", "receipt_long", event=str(row["born"]))


def _versions(here: Here, versions: list[dict[str, Any]]) -> None:
    if len(versions) == 1 and versions[0]["ended_by"] is None:
        return
    inner = []
    for row in reversed(versions):
        event: Any = here.ws.event(row["seq_from"])
        what = BEGAN.get(row["began_by"], "as it was said")
        by = AUTHORS.get(row["author"], "") if row["began_by"] in BEGAN else ""
        reason = getattr(event, "reason", "")
        ended = " · then deleted" if row["ended_by"] == "message_deleted" else ""
        why = f": {escape(visible(reason))}" if reason else ""
        inner.append(
            f'<div><b>{what}</b> {by}{why} <span class="soft">{when(row["began_at"], here.zone)}, event '
            f"{row['seq_from']:,}{ended}</span></div>" + text_box(visible(row["text"][:SHOWN_CHARS]), "recall")
        )
    st.html(wrap(details(f"<b>Versions</b> {len(versions)}", "".join(inner), opened=True)))


def _turn(here: Here, row: dict[str, Any]) -> None:
    around, total = recall_rows.turn_around(here.ws, row["turn"], row["born"], here.seq)
    lines = []
    for other in around:
        itself = other["id"] == row["id"]
        said = other["text"] or other["thoughts"] or recall_rows.calls_of(here.ws, other["born"]) or "no text"
        who = f"<b>{escape(visible(speaker(other)))}</b>"
        body = (
            f'{who} <span class="soft num">{other["id"]} · step {other["step"]} · {other["tokens"]:,} tokens</span>'
            f'<div class="ms-said" style="max-height:6rem;overflow:auto">{escape(visible(said[:1200]))}</div>'
        )
        lines.append(f"<div{' class=ms-opened' if itself else ''}>{line('', body)}</div>")
    more = f", the {len(around)} around it are shown" if total > len(around) else ""
    st.html(
        wrap(
            heading(f"Turn {row['turn']}", f"{total:,} messages{more}"),
            *lines,
        )
    )
    recall_rows.link(here.ws, "app.py", "The chat as it was after this message", "forum", at=row["born"])
