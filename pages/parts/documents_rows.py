"""What the documents page reads: what its address asks, the documents of a point in time, those that were removed."""

from collections import OrderedDict
from typing import Any, Literal, NamedTuple, get_args

import streamlit as st

from memgpt_core.documents.library import Document
from memgpt_core.errors import DocumentMissing
from pages.parts import choices
from pages.parts.frame import Here

Side = Literal["passages", "text", "read", "history"]

LISTS_KEPT = 4
READ_MOST = 30

_LISTS: OrderedDict[tuple[str, int], list[Document]] = OrderedDict()
"""By (agent's folder, event): what is committed never changes, and a page is drawn many times at one event."""


class Asked(NamedTuple):
    """What the address asks for.

    Attributes:
        document: the id of the one that is open; empty for the list.
        passage: the id of the one reading begins with; empty for the first.
        side: what is shown of an open document.
        find: a part of the name or title of the documents that are listed.
        within: a part of the headings that an outline shows.
    """

    document: str
    passage: str
    side: Side
    find: str
    within: str


def read(here: Here) -> Asked:
    """What the address says; a passage alone leads to its document."""
    params = st.query_params
    document, passage = params.get("document", ""), params.get("passage", "")
    if passage and not document:
        document = document_of(here, passage)
    side = params.get("side", "passages")
    return Asked(
        document,
        passage,
        side if side in get_args(Side) else "passages",
        params.get("find", ""),
        params.get("within", ""),
    )


def put(**names: str) -> None:
    """Write names into the address, from a callback; an empty one is taken out."""
    for name, value in names.items():
        if value:
            st.query_params[name] = value
        else:
            st.query_params.pop(name, None)


def field(name: str, value: Any, none: Any = "") -> dict[str, Any]:
    """What a widget for a name in the address is given; `none` is its value when the address does not have it."""
    key = choices.document_field(name)
    st.session_state[key] = value

    def took() -> None:
        put(**{name: "" if st.session_state[key] == none else str(st.session_state[key])})

    return {"key": key, "on_change": took}


def standing(here: Here) -> list[Document]:
    """The documents at the point the page is drawn for, by name."""
    asked = (str(here.ws.folder), here.seq)
    if asked not in _LISTS:
        _LISTS[asked] = here.ws.documents.all(here.seq)
        while len(_LISTS) > LISTS_KEPT:
            _LISTS.popitem(last=False)
    return _LISTS[asked]


def removed(here: Here) -> list[dict[str, Any]]:
    """The documents that were removed by then and did not come again under their name, the last one first."""
    rows = here.ws.rows(
        "SELECT id, arg_max(name, seq_from) AS name, arg_max(passages, seq_from) AS passages, max(seq_to) AS ended "
        "FROM documents WHERE seq_from <= $n GROUP BY id HAVING bool_and(seq_to IS NOT NULL AND seq_to <= $n) "
        "ORDER BY ended DESC",
        {"n": here.seq},
    )
    names = {document.name for document in standing(here)}
    last: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["name"] not in names:
            last.setdefault(row["name"], row)
    return list(last.values())


def versions(here: Here, id: str) -> list[dict[str, Any]]:
    """Every version of a document until then, the newest first."""
    return here.ws.rows(
        'SELECT seq_from, CASE WHEN seq_to <= $n THEN seq_to END AS seq_to, "at", name, bytes, passages FROM documents '
        "WHERE id = $id AND seq_from <= $n ORDER BY seq_from DESC",
        {"id": id, "n": here.seq},
    )


def read_by_agent(here: Here, id: str) -> list[dict[str, Any]]:
    """The results that brought passages of a document into the window, the latest first: carrier, ids, when, still."""
    return here.ws.rows(
        "SELECT carrier, list(DISTINCT item) AS items, max(seq_from) AS last, arg_max(turn, seq_from) AS turn, "
        "bool_or(seq_to IS NULL OR seq_to > $n) AS now FROM residency WHERE seq_from <= $n AND item IN "
        f"(SELECT id FROM passages WHERE document = $id) GROUP BY carrier ORDER BY last DESC LIMIT {READ_MOST}",
        {"id": id, "n": here.seq},
    )


def document_of(here: Here, passage: str) -> str:
    """The document a passage is or was of; empty when of none."""
    rows = here.ws.rows("SELECT any_value(document) AS id FROM passages WHERE id = $id", {"id": passage})
    return (rows[0]["id"] or "") if rows else ""


def bring_back(here: Here, row: dict[str, Any]) -> None:
    """Add a document that was removed again, from cold storage, in the background.

    Raises:
        DocumentMissing: its file is not there any more.
        AgentBusy: files are being added already.
    """
    before = here.ws.documents.get(row["id"], row["ended"] - 1)
    if before is None:
        raise DocumentMissing("The document is in no version of cold storage.")
    path = here.ws.documents.raw(row["id"], row["ended"] - 1)
    here.home.adding.start(here.ws.agent_id, [path], names=[before.name], tags=before.tags)
