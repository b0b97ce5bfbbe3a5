"""Where what was found stands, for the lines under hits: a message in its turn, a passage in its document.

A document's pages are those of the file, where its format has pages, and else those that the agent opens.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from memgpt_core.documents.library import Place, page_with
from memgpt_core.views.documents import place_text, trail
from memgpt_core.views.hits import age
from memgpt_core.views.passages import visible
from pages.parts.frame import Here
from pages.parts.markup import escape

_OPENS = "document_open shows it on this page, in a window of the size it has here"
_UNKNOWN = "its manifest is missing from cold storage, or the document has changed since"

Row = Mapping[str, Any]


def in_document(here: Here, place: Place) -> str:
    """The number, the page and the headings of a passage in its document, as HTML."""
    said = place_text(place.number, place.passages, place.page)
    if place.page is None:
        page = page_with(place.number, here.state.settings.limit_tokens)
        said += f', <span title="{_OPENS}">page {page:,} as the agent opens it</span>'
    path = trail([visible(part) for part in place.title_path])
    return f"{said}{' · ' if path else ''}{escape(path)}"


def of_passage(here: Here, row: Row, place: Place | None) -> str:
    """Where a passage is from and where it stands in that, as HTML; empty for one that the agent wrote."""
    if place:
        return f"in <b>{escape(visible(place.name))}</b>, {in_document(here, place)}"
    if row["document"]:
        where = f'<span title="{_UNKNOWN}">where in it is not known</span>'
        return f"in <b>{escape(visible(row['source']))}</b>, {where}"
    return f"from {escape(visible(row['source']))}" if row["source"] not in ("", row["author"]) else ""


def lines(here: Here, ids: Sequence[str], *before: int) -> dict[str, str]:
    """By id, where each stands and how old it is, as HTML.

    That is at the page's point; what does not stand then, as it stood after the last event of `before` in which it did.
    """
    found: dict[str, str] = {}
    for at in (*before, here.seq):
        rows = here.ws.projections.items(ids, at=at)
        places = here.ws.documents.places(rows, at)
        for id, row in rows.items():
            known = of_passage(here, row, places.get(id)) if "document" in row else ""
            found[id] = (
                f"session {row['session']}, turn {row['turn']}, step {row['step']} · "
                f"{age(row['at'], here.state.at)}{' · ' if known else ''}{known}"
            )
    return found
