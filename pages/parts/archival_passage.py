"""One open passage: its text, the editor that never loses what was typed, its tags, deletion, promotion.

An open editor keeps the version it was opened on. When the passage has changed or gone since, the save is
refused and what was typed stays until the person has chosen.
"""

from typing import Any

import streamlit as st

from memgpt_core import passages
from memgpt_core.edits.passages import PASSAGE_CHARS
from memgpt_core.errors import MemscopeError, StaleEdit
from memgpt_core.tokens import count
from memgpt_core.views.blocks import AUTHORS
from memgpt_core.views.passages import SHOWN_CHARS, pieces, visible
from pages.parts import (
    address,
    archival_bulk,
    archival_document,
    archival_list,
    archival_rows,
    archival_story,
    choices,
    hits,
    journey_links,
)
from pages.parts.archival_asked import Asked
from pages.parts.archival_bulk import PAST
from pages.parts.frame import Here, attempt
from pages.parts.markup import chip, escape, text_box, wrap
from pages.parts.safe_md import safe_md

NEW = "new-passage"
MOST = f"A field takes {PASSAGE_CHARS:,} characters; a longer paste is refused: cut it into several passages."
"""The browser refuses it, since a text of megabytes in a field would stop the whole page for a minute."""

KEPT = "What you typed is still in the field."


def draw(here: Here, asked: Asked, known_tags: list[str]) -> None:
    """The passage that the address names."""
    found = passages.standing(here.ws.rows, asked.passage, here.seq)
    with st.container(key="passage", gap="small"):
        if found is None:
            st.warning(
                f"There is no passage “{safe_md(visible(asked.passage[:40]))}” as of event {here.seq:,}. Choose one "
                "from the list.",
                icon=":material/search_off:",
            )
            st.button("Close", key="close", on_click=address.put, args=("passage", ""))
            return
        row = found.row
        editing = choices.passage_editing(here.ws.agent_id, row["id"])
        st.html(_head(here, row, found.deleted))
        if asked.query.strip() and asked.view == "passages":
            hits.why(archival_list.why_not(here, asked, row["id"]), here.ws.projections.weights, "archival")
        if found.deleted:
            st.warning(f"Deleted by event {row['seq_to']:,}: searches no longer find it.", icon=":material/delete:")
        if editing in st.session_state and here.at is None:
            _editor(here, row, found.deleted, known_tags)
        else:
            body = "".join(
                f"<mark>{escape(visible(piece.text))}</mark>" if piece.hit else escape(visible(piece.text))
                for piece in pieces(row["text"][:SHOWN_CHARS], asked.query)
            )
            cut = (
                f"<div class='soft'>The first {SHOWN_CHARS:,} of {row['chars']:,} characters; the export has all.</div>"
            )
            st.html(
                wrap(
                    f'<div class="ms-text ms-archival" dir="auto" style="max-height:19rem">{body}</div>',
                    cut if row["chars"] > SHOWN_CHARS else "",
                )
            )
            _actions(here, row, found.deleted)
            archival_document.draw(here, row)
        journey_links.draw(here, row["id"])
        archival_story.draw(here, row)


def _head(here: Here, row: dict[str, Any], deleted: bool) -> str:
    at = row["at"]
    tags = "".join(f' <span class="ms-tag">{escape(visible(tag))}</span>' for tag in row["tags"])
    gone = ' <span class="ms-tag bad">deleted</span>' if deleted else ""
    source = f", from {escape(visible(row['source']))}" if row["source"] not in ("", "agent") else ""
    return wrap(
        f'<div class="ms-h"><span>{chip("archival")} Passage {row["id"]}{gone}</span>'
        f'<span class="soft num" title="our count of its text">{count(row["text"]):,} tokens · {row["chars"]:,} '
        "characters</span></div>",
        f'<div class="soft" title="{at:%Y-%m-%d %H:%M:%S} UTC">Stored {at.astimezone(here.zone):%d %b %Y %H:%M}, '
        f"session {row['session']}, turn {row['turn']}{source}; this text by {AUTHORS.get(row['author'], '')}, event "
        f"{row['seq_from']:,}.{tags}</div>",
        f'<div class="soft">{_vector(here, row)}</div>',
    )


def _vector(here: Here, row: dict[str, Any]) -> str:
    how = archival_rows.embedded(here, [row])[row["id"]]
    model = here.ws.projections.embedder
    name = escape(model.name) if model else ""
    if how == "this":
        return f"Embedded with {name} ({model.dim} numbers): found by words and by similarity."
    if how == "off":
        return "No embedding model is chosen: found by words only."
    why = here.ws.projections.refused().get(row["hash"], "")
    said = f" Its vector was refused: it {escape(why)}." if why else ""
    if how == "other":
        others = escape(archival_rows.other_models(here.ws, row["hash"]))
        return f"<b>Embedded with another model</b>: {others}, not {name}. Found by words only.{said}"
    return f"<b>Not embedded</b> with {name} yet: found by words only.{said}"


def _actions(here: Here, row: dict[str, Any], deleted: bool) -> None:
    past = here.at is not None
    helped = PAST if past else None
    id = row["id"]
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        if deleted:
            st.button(
                "Restore",
                key=f"restore:{id}",
                icon=":material/undo:",
                disabled=past,
                help=helped,
                on_click=attempt,
                args=(here.ws.edits.restore_passages, [id]),
            )
        else:
            st.button(
                "Edit",
                key=f"edit:{id}",
                icon=":material/edit:",
                disabled=past,
                help=helped or f"Edit the text and tags of {id}",
                on_click=_open,
                args=(here.ws.agent_id, row),
            )
            st.button(
                "Delete",
                key=f"delete:{id}",
                icon=":material/delete:",
                disabled=past,
                help=helped or "It can be undone",
                on_click=archival_bulk.delete,
                args=(here, [id]),
            )
            _promotion(here, row, past)
        st.button(
            "Close",
            key="close",
            type="tertiary",
            on_click=address.put,
            args=("passage", ""),
            icon=":material/close:",
        )


def _promotion(here: Here, row: dict[str, Any], past: bool) -> None:
    blocks = {label: block for label, block in here.state.blocks.items() if not block.read_only}
    with st.popover(
        "Promote",
        icon=":material/north:",
        disabled=past or not blocks,
        help=PAST if past else "Into a core memory block, which is in the window at every step",
        on_change="rerun",
        key=f"promote:{row['id']}",
    ) as shown:
        if not shown.open:
            return
        label = st.selectbox("Into the block", list(blocks), key=f"promote-to:{here.ws.agent_id}")
        if label is None:
            return
        block = blocks[label]
        more = len(row["text"]) + (1 if block.value else 0)
        left = block.limit_chars - len(block.value) - more
        st.markdown(
            f"Adds **{count(row['text']):,} tokens** to every prompt. {safe_md(visible(label))} has "
            f"{len(block.value):,} of {block.limit_chars:,} characters; "
            + (f"**{left:,} characters** would be left." if left >= 0 else f"it is **{-left:,} characters too long**.")
        )
        st.button(
            "Append it to the block",
            key=f"promote-do:{row['id']}",
            type="primary",
            disabled=left < 0,
            on_click=_promote,
            args=(here, row["id"], label),
        )
        st.caption(
            "The passage stays in archival storage. The way back, a line of a block into archival storage, is on"
        )
        archival_rows.link(here.ws, "pages/core_memory.py", "Core memory", "edit_note", block=label)


def _promote(here: Here, id: str, label: str) -> None:
    if attempt(here.ws.edits.promote_passage, id, label):
        st.session_state[f"promote:{id}"] = False
        choices.say(f"{id} is now in the block “{visible(label)}”; undo it on the core memory page.")


# --- the editor ---------------------------------------------------------------------------------------------------


def _key(agent: str, id: str, what: str) -> str:
    return choices.passage_draft(agent, id, what)


def _open(agent: str, row: dict[str, Any]) -> None:
    st.session_state[choices.passage_editing(agent, row["id"])] = row["seq_from"]
    st.session_state[_key(agent, row["id"], "text")] = row["text"]
    st.session_state[_key(agent, row["id"], "tags")] = list(row["tags"])


def _close(agent: str, id: str) -> None:
    for held in (choices.passage_editing(agent, id), choices.passage_refused(agent, id)):
        st.session_state.pop(held, None)
    for what in ("text", "tags", "reason"):
        st.session_state.pop(_key(agent, id, what), None)


def _editor(here: Here, row: dict[str, Any], deleted: bool, known_tags: list[str]) -> None:
    agent, id = here.ws.agent_id, row["id"]
    base = st.session_state[choices.passage_editing(agent, id)]
    refused = st.session_state.get(choices.passage_refused(agent, id))
    text, tags = _key(agent, id, "text"), _key(agent, id, "tags")
    st.session_state.setdefault(text, row["text"])
    if deleted:
        st.html(
            wrap(
                '<div class="ms-note bad" role="alert"><b>Deleted meanwhile.</b> What you typed is kept here: restore '
                "the passage and save, or store your text as a new one.</div>"
            )
        )
    elif refused or row["seq_from"] != base:
        st.html(
            wrap(
                f'<div class="ms-note bad" role="alert"><b>Changed by {AUTHORS.get(row["author"], "")}</b> while you '
                "were editing. What you typed is kept below; the present text:</div>",
                text_box(visible(row["text"][:SHOWN_CHARS]), "archival"),
            )
        )
    st.text_area(
        f"Text of {id}",
        key=text,
        height=200,
        max_chars=max(PASSAGE_CHARS, len(st.session_state[text])),
        persist_state="session",
        help="Ctrl + Enter takes over what you typed; Save writes it and embeds the new text.",
    )
    chosen = st.session_state.get(tags, list(row["tags"]))
    st.multiselect("Tags", list(dict.fromkeys([*known_tags, *row["tags"], *chosen])), accept_new_options=True, key=tags)
    st.text_input("Why (optional, kept in the log)", key=_key(agent, id, "reason"))
    typed = st.session_state[text]
    st.caption(
        f"{len(typed):,} characters. Saving embeds the passage anew; every earlier text stays under Versions. {MOST}"
    )
    with st.container(horizontal=True, gap="small"):
        if deleted:
            st.button(
                "Restore the passage", key=f"back:{id}", on_click=attempt, args=(here.ws.edits.restore_passages, [id])
            )
            st.button("Store mine as a new passage", key=f"anew:{id}", type="primary", on_click=_anew, args=(here, row))
        elif refused or row["seq_from"] != base:
            st.button(
                "Save mine over it", key=f"over:{id}", type="primary", on_click=_save, args=(here, id, row["seq_from"])
            )
            st.button("Put both in the editor", key=f"both:{id}", on_click=_both, args=(agent, row))
        else:
            st.button("Save", key=f"save:{id}", type="primary", on_click=_save, args=(here, id, base))
        st.button("Cancel", key=f"cancel:{id}", on_click=_close, args=(agent, id))


def _save(here: Here, id: str, based_on: int) -> None:
    agent = here.ws.agent_id
    text = st.session_state[_key(agent, id, "text")]
    try:
        here.ws.edits.edit_passage(
            id,
            text,
            tags=tuple(st.session_state[_key(agent, id, "tags")]),
            based_on=based_on,
            reason=st.session_state.get(_key(agent, id, "reason"), ""),
        )
    except StaleEdit as stale:
        st.session_state[choices.passage_refused(agent, id)] = (stale.current, stale.current_seq)
    except MemscopeError as error:
        choices.say(f"{error} {KEPT}")
    else:
        _close(agent, id)


def _both(agent: str, row: dict[str, Any]) -> None:
    text = _key(agent, row["id"], "text")
    st.session_state[text] = f"{row['text']}\n{st.session_state[text]}"
    st.session_state[choices.passage_editing(agent, row["id"])] = row["seq_from"]
    st.session_state.pop(choices.passage_refused(agent, row["id"]), None)


def _anew(here: Here, row: dict[str, Any]) -> None:
    agent, id = here.ws.agent_id, row["id"]
    if store(here, st.session_state[_key(agent, id, "text")], st.session_state[_key(agent, id, "tags")], row["source"]):
        _close(agent, id)


def store(here: Here, text: str, tags: list[str], source: str) -> bool:
    """Insert a passage from a callback and open it; whether it was stored."""
    try:
        id = here.ws.edits.insert_passage(text, tags=tuple(tags), source=source)
    except MemscopeError as error:
        choices.say(f"{error} {KEPT}")
        return False
    address.put("passage", id)
    return True


def draw_new(here: Here, known_tags: list[str]) -> None:
    """The form of a new passage behind a button."""
    past = here.at is not None
    agent = here.ws.agent_id
    with st.popover(
        "New passage",
        icon=":material/add:",
        disabled=past,
        help=PAST if past else None,
        key=NEW,
        on_change="rerun",
        width="content",
    ):
        for what in ("text", "source"):
            st.session_state.setdefault(_key(agent, "", what), "")
        st.text_area(
            "Text",
            key=_key(agent, "", "text"),
            height=160,
            placeholder="One fact or paragraph",
            max_chars=PASSAGE_CHARS,
            persist_state="session",
        )
        st.multiselect("Tags", known_tags, accept_new_options=True, key=_key(agent, "", "tags"))
        st.text_input("Source (where it is from)", key=_key(agent, "", "source"))
        st.button("Store it", key="insert", type="primary", on_click=_insert, args=(here,))
        st.caption(f"It is embedded and found by the agent's next search. {MOST}")


def _insert(here: Here) -> None:
    agent = here.ws.agent_id
    text, tags, source = (_key(agent, "", what) for what in ("text", "tags", "source"))
    if store(here, st.session_state[text], st.session_state.get(tags, []), st.session_state[source]):
        st.session_state[text], st.session_state[tags], st.session_state[source] = "", [], ""
        st.session_state[NEW] = False
