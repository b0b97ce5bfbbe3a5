"""What the documents page reads: what its address asks, the documents of a point in time, those that were removed."""

import contextlib
from typing import Any, Literal, NamedTuple, get_args
from weakref import WeakKeyDictionary

import streamlit as st

from memgpt_core.documents.library import Document
from memgpt_core.documents.manifest import LEFT_OUT
from memgpt_core.errors import DocumentMissing
from memgpt_core.views.documents import lost_text
from memgpt_core.workspace import Workspace
from pages.parts import address
from pages.parts.frame import Here

Side = Literal["passages", "text", "read", "history"]
Order = Literal["", "newest", "largest"]

READ_MOST = 30
FIND_CHARS = 200
COUNTED_MOST = 6_000_000
"""So many characters are counted for one page of the list: about half a second."""

_LISTS: WeakKeyDictionary[Workspace, tuple[int, list[Document]]] = WeakKeyDictionary()
"""Of each open agent, the documents at the event it was drawn for last: a page asks for them many times."""


class Asked(NamedTuple):
    """What the address asks for.

    Attributes:
        document: the id of the one that is open; empty for the list.
        passage: the id of the one reading begins with; empty for the first.
        side: what is shown of an open document.
        order: of the documents that are listed; empty is by name.
        find: a part of the name or title of the documents that are listed.
        within: a part of the headings that an outline shows.
        wrong: a sentence for each thing in the address that cannot be used.
    """

    document: str
    passage: str
    side: Side
    order: Order
    find: str
    within: str
    wrong: tuple[str, ...]


def read(here: Here) -> Asked:
    """What the address says; a passage alone leads to its document."""
    wrong: list[str] = []
    document, passage = st.query_params.get("document", ""), st.query_params.get("passage", "")
    if passage and not document:
        document = document_of(here, passage)
        if not document:
            wrong.append(f"“{address.short(passage)}” is no passage of a document. It is left out.")
    return Asked(
        document,
        passage,
        side=address.one("side", get_args(Side), "passages", wrong),
        order=address.one("order", get_args(Order), "", wrong),
        find=address.text("find", FIND_CHARS, wrong),
        within=address.text("within", FIND_CHARS, wrong),
        wrong=tuple(wrong),
    )


def put(**names: str) -> None:
    """Write several names into the address, from a callback; an empty one is taken out."""
    for name, value in names.items():
        address.put(name, value)


def standing(here: Here) -> list[Document]:
    """The documents at the point the page is drawn for, by name."""
    held = _LISTS.get(here.ws)
    if held is None or held[0] != here.seq:
        held = _LISTS[here.ws] = (here.seq, here.ws.documents.all(here.seq))
    return held[1]


def lost(here: Here, one: Document) -> str:
    """What is missing of a document in cold storage, and what to do; empty when nothing is."""
    return lost_text(one.name, here.ws.documents.missing(one), left_out=one.sha256 == LEFT_OUT)


def tokens(here: Here, documents: list[Document]) -> dict[str, int | None]:
    """By id, our count of each document's text; None for one that is missing, and for what is too long for one page.

    What was counted once is known from then on; a long one is counted when it is opened.
    """
    found: dict[str, int | None] = {}
    left = COUNTED_MOST
    for one in documents:
        found[one.id] = None
        with contextlib.suppress(DocumentMissing):
            known = here.ws.documents.tokens(one, read_most=0)
            found[one.id] = here.ws.documents.tokens(one, read_most=left) if known is None else known
            left -= one.chars if known is None and found[one.id] is not None else 0
    return found


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
