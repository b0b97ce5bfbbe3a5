"""Near-duplicates: looked for when a person asks, shown in groups, merged with the text editable before."""

from collections import OrderedDict
from typing import Any

import streamlit as st

from memgpt_core import duplicates
from memgpt_core.duplicates import PAIRS_MOST, PASSAGES_MOST, Duplicates, Group
from memgpt_core.edits.passages import PASSAGE_CHARS
from memgpt_core.views.passages import SHOWN_CHARS, visible
from pages.parts import address, choices, pager
from pages.parts.archival_bulk import PAST
from pages.parts.archival_list import rows_of
from pages.parts.frame import Here, attempt
from pages.parts.markup import escape, text_box, wrap

GROUPS_SHOWN = 5
MEMBERS_SHOWN = 8
RESULTS_KEPT = 4

_RESULTS: OrderedDict[tuple[str, int, str, float], Duplicates] = OrderedDict()
"""The last few results by (agent's folder, event, measure, threshold): a look costs seconds, the log never changes."""


def draw(here: Here) -> None:
    """The search for near-duplicates and what it found."""
    model = here.ws.projections.embedder
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        measure = st.segmented_control(
            "Alike by",
            ["vectors", "words"],
            format_func={"vectors": "vectors (cosine)", "words": "shared word triples"}.get,
            default="vectors" if model else "words",
            required=True,
            disabled=model is None,
            key="twins-by",
            persist_state="session",
            help="By vectors: passages that mean the same. By words: the share of three-word runs they have in common.",
        )
        least = st.slider("From", 0.5, 1.0, 0.9 if measure == "vectors" else 0.6, 0.01, key=f"twins-least:{measure}")
        asked = choices.duplicates_asked(here.ws.agent_id)
        if st.button("Look for near-duplicates", type="primary", key="twins"):
            st.session_state[asked] = (here.seq, measure, least)
    if model and model.name == "hashing" and measure == "vectors":
        st.caption("This agent's hashing embedder knows spellings only: near means written alike.")
    if asked not in st.session_state:
        st.info(
            "Passages that say the same twice crowd out others in a search. A look compares every pair of the newest "
            f"{PASSAGES_MOST:,} passages and takes some seconds at most; nothing is changed by it.",
            icon=":material/content_copy:",
        )
        return
    _draw_found(here, *st.session_state[asked])


def _draw_found(here: Here, n: int, measure: str, least: float) -> None:
    found = _look(here, n, measure, least)
    standing = {row["id"]: row for row in rows_of(here, [id for group in found.groups for id in group.ids])}
    groups = [group for group in found.groups if sum(id in standing for id in group.ids) > 1]
    said = f"{len(groups):,} groups among {found.compared:,} different texts, as of event {n:,}."
    if found.without_vector:
        said += f" {found.without_vector:,} passages have no vector and were compared by their exact text only."
    if found.cut:
        said += f" Only the {PAIRS_MOST:,} most alike pairs are kept; raise the threshold."
    if here.state.passages > PASSAGES_MOST:
        said += f" Only the newest {PASSAGES_MOST:,} passages were compared."
    st.caption(said)
    if not groups:
        st.success("No near-duplicates at this threshold.", icon=":material/check:")
        return
    first = pager.draw(f"twins:{here.ws.agent_id}:{n}:{measure}:{least}", len(groups), GROUPS_SHOWN, what="groups")
    for group in groups[first : first + GROUPS_SHOWN]:
        _group(here, group, [standing[id] for id in group.ids if id in standing])


def _look(here: Here, n: int, measure: str, least: float) -> Duplicates:
    asked = (str(here.ws.folder), n, measure, least)
    if asked in _RESULTS:
        _RESULTS.move_to_end(asked)
        return _RESULTS[asked]
    bar = st.progress(0.0, text="Comparing…")
    content = "sha256(text)" if measure == "vectors" else "text"
    rows = here.ws.rows(
        f"SELECT id, {content} AS content FROM passages WHERE seq_from <= $n AND (seq_to IS NULL OR seq_to > $n) AND "
        "text <> '' ORDER BY seq_from DESC LIMIT $most",
        {"n": n, "most": PASSAGES_MOST},
    )
    contents = {row["id"]: row["content"] for row in rows}
    stores = here.ws.projections
    if measure == "vectors" and stores.embedder:
        hashes = list(dict.fromkeys(contents.values()))
        known = stores.vectors.get(stores.embedder.name, stores.embedder.dim, hashes)
        found = duplicates.by_vectors(contents, known, least, bar.progress)
    else:
        found = duplicates.by_words(contents, least, bar.progress)
    bar.empty()
    _RESULTS[asked] = found
    while len(_RESULTS) > RESULTS_KEPT:
        _RESULTS.popitem(last=False)
    return found


def _group(here: Here, group: Group, rows: list[dict[str, Any]]) -> None:
    oldest = rows[0]["id"]
    how = "the same text" if group.exact else f"{group.least:.3f} to {group.most:.3f} alike"
    with st.container(border=True, key=f"twins-{oldest}", gap="small"):
        st.html(wrap(f'<div class="ms-h"><span>{len(rows)} passages</span><span>{how}</span></div>'))
        for row in rows[:MEMBERS_SHOWN]:
            tags = "".join(f' <span class="ms-tag">{escape(visible(tag))}</span>' for tag in row["tags"])
            head = (
                f'<div><b>{row["id"]}</b> <span class="soft" title="{row["at"]:%Y-%m-%d %H:%M:%S} UTC">'
                f"{row['at'].astimezone(here.zone):%d %b %Y %H:%M}</span>{tags}</div>"
            )
            st.html(wrap(head, text_box(visible(row["text"][:SHOWN_CHARS]), "archival")))
            st.button(
                "Open",
                key=f"twin-open:{row['id']}",
                type="tertiary",
                on_click=address.put,
                args=("passage", row["id"]),
            )
        if len(rows) > MEMBERS_SHOWN:
            st.caption(f"And {len(rows) - MEMBERS_SHOWN} more; merging takes all of them.")
        past = here.at is not None
        with st.popover(
            "Merge into one",
            icon=":material/merge:",
            disabled=past,
            help=PAST if past else None,
            on_change="rerun",
            key=f"merge:{oldest}",
            width="content",
        ) as shown:
            if shown.open:
                _merger(here, rows)


def _merger(here: Here, rows: list[dict[str, Any]]) -> None:
    agent = here.ws.agent_id
    ids = [row["id"] for row in rows]
    keep = st.selectbox("Keep", ids, key=f"merge-keep:{agent}:{ids[0]}", help="Its id and its place in time stay.")
    text = choices.passage_merge(agent, ids[0])
    kept = next((row for row in rows if row["id"] == keep), rows[0])
    more = [row["text"] for row in rows if row["text"] != kept["text"]]
    st.session_state.setdefault(
        text, "\n".join(dict.fromkeys([kept["text"], *more])) if len(more) < 4 else kept["text"]
    )
    most = max(PASSAGE_CHARS, len(st.session_state[text]))
    st.text_area("The merged text", key=text, height=180, max_chars=most, persist_state="session")
    tags = sorted({tag for row in rows for tag in row["tags"]})
    chosen = st.multiselect("Tags", tags, default=tags, accept_new_options=True, key=f"merge-tags:{agent}:{ids[0]}")
    st.caption(
        f"{keep} gets this text and is embedded anew; the other {len(ids) - 1} are deleted, which can be undone."
    )
    st.button(
        "Merge",
        key=f"merge-do:{ids[0]}",
        type="primary",
        on_click=_merge,
        args=(here, kept["id"], [id for id in ids if id != kept["id"]], text, tuple(chosen)),
    )


def _merge(here: Here, keep: str, others: list[str], text: str, tags: tuple[str, ...]) -> None:
    if attempt(here.ws.edits.merge_passages, keep, others, text=st.session_state[text], tags=tags):
        st.session_state.pop(text, None)
        st.session_state[choices.passages_undo(here.ws.agent_id)] = tuple(others)
        address.put("passage", keep)
