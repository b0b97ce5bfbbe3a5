"""What the address asks of the archival page, and the fields that say it: the query, the filters, the threshold.

The address is the truth (`address`). Nothing is searched here.
"""

from typing import Any, Literal, NamedTuple, get_args

import streamlit as st

from memgpt_core.passages import Options, PassageFilter
from memgpt_core.queries import QUERY_CHARS
from memgpt_core.views.blocks import AUTHORS
from memgpt_core.views.hits import Measure
from memgpt_core.views.passages import visible
from pages.parts import address
from pages.parts.frame import Here
from pages.parts.hits import SCORE_MOST
from pages.parts.safe_md import safe_md

View = Literal["passages", "twins", "searches", "restore"]

_FILTERS = ("tags", "source", "author", "session_is", "from", "to", "text", "deleted")


class Asked(NamedTuple):
    """What is asked.

    Attributes:
        query: what to search for; empty lists everything.
        by, least: what the threshold compares, and the threshold.
        passage: the id of the one that is open; empty for none.
        why: the id of one that is asked about: where it ranks and why it was not found; empty for none.
        wrong: a sentence for each thing in the address that cannot be used.
    """

    query: str
    wanted: PassageFilter
    by: Measure
    least: float
    passage: str
    why: str
    view: View
    oldest_first: bool
    wrong: tuple[str, ...]

    @property
    def key(self) -> str:
        """Changes whenever another list is asked for, so that its first page is shown."""
        return f"archival:{hash((self.query, self.wanted, self.by, self.least, self.oldest_first))}"

    @property
    def filters(self) -> int:
        """How many filters are set."""
        return address.said(_FILTERS)


def read(here: Here) -> Asked:
    """What the address says."""
    wrong: list[str] = []
    params = st.query_params
    since, until = address.day("from", wrong), address.day("to", wrong)
    if since and until and since > until:
        wrong.append(f"The first day, {since}, is after the last, {until}: no passage is between them.")
    return Asked(
        query=address.text("q", QUERY_CHARS, wrong),
        wanted=PassageFilter(
            tags=tuple(params.get_all("tags")),
            sources=tuple(params.get_all("source")),
            authors=tuple(params.get_all("author")),
            session=address.number("session_is", "session", wrong),
            since=since,
            until=until,
            zone=here.zone,
            text=params.get("text", ""),
            deleted=params.get("deleted", "") == "yes",
        ),
        by=address.one("by", get_args(Measure), "score", wrong),
        least=_threshold(wrong),
        passage=params.get("passage", ""),
        why=params.get("why", ""),
        view=address.one("view", get_args(View), "passages", wrong),
        oldest_first=params.get("order", "") == "oldest",
        wrong=tuple(wrong),
    )


def draw_filters(asked: Asked, options: Options) -> None:
    """The filters behind a button, and what they are in words."""
    wanted = asked.wanted
    with st.popover(f"Filters ({asked.filters})" if asked.filters else "Filters", icon=":material/filter_alt:"):
        st.multiselect(
            "Tags (at least one of them)",
            _with(options.tags, wanted.tags),
            format_func=lambda tag: f"{tag} ({options.tags.get(tag, 0):,})",
            **address.field("archival:tags", list(wanted.tags)),
        )
        st.multiselect(
            "Source (where it came from)",
            _with(options.sources, wanted.sources),
            format_func=lambda source: f"{source or 'none given'} ({options.sources.get(source, 0):,})",
            **address.field("archival:source", list(wanted.sources)),
        )
        st.multiselect(
            "Written last by",
            _with(options.authors, wanted.authors),
            format_func=lambda author: f"{AUTHORS.get(author, author)} ({options.authors.get(author, 0):,})",
            **address.field("archival:author", list(wanted.authors)),
        )
        sessions = _with(options.sessions, () if wanted.session is None else (wanted.session,))
        st.selectbox(
            "Session it was stored in",
            sessions,
            format_func=lambda session: f"{session} ({options.sessions.get(session, 0):,} passages)",
            placeholder="Any",
            **address.field("archival:session_is", wanted.session, None),
            index=None,
        )
        with st.container(horizontal=True, gap="small"):
            st.date_input("Stored from", value=None, **address.field("archival:from", wanted.since, None))
            st.date_input("to (both days included)", value=None, **address.field("archival:to", wanted.until, None))
        st.text_input(
            "Text contains", **address.field("archival:text", wanted.text), help="A part of the text, in any case."
        )
        st.checkbox("Only deleted passages", **address.field("archival:deleted", wanted.deleted, False))
        st.button("Clear the filters", on_click=address.clear, args=(_FILTERS,), disabled=not asked.filters)
        st.caption("Filters are applied first; what is left is ranked. Days are in your time zone.")


def in_words(asked: Asked) -> str:
    """The filters that are set, as Markdown; empty when none is."""
    wanted, said = asked.wanted, []
    if wanted.tags:
        said.append("tagged " + " or ".join(f"**{safe_md(visible(tag))}**" for tag in wanted.tags))
    if wanted.sources:
        said.append("from " + " or ".join(f"**{safe_md(visible(s) or 'no source')}**" for s in wanted.sources))
    if wanted.authors:
        said.append("written by " + " or ".join(AUTHORS.get(a, safe_md(visible(a))) for a in wanted.authors))
    if wanted.session is not None:
        said.append(f"of session {wanted.session}")
    if wanted.since or wanted.until:
        days = [f"from {wanted.since}" if wanted.since else "", f"to {wanted.until}" if wanted.until else ""]
        said.append("stored " + " ".join(filter(None, days)))
    if wanted.text:
        said.append(f"containing “{safe_md(visible(wanted.text))}”")
    if wanted.deleted:
        said.append("**deleted**")
    return ", ".join(said)


def _with(known: dict[Any, int], more: tuple[Any, ...]) -> list[Any]:
    """The values to choose from; one that the address asks for is among them though no passage has it."""
    return [*known, *(value for value in more if value not in known)]


def _threshold(wrong: list[str]) -> float:
    said = st.query_params.get("least", "")
    if not said:
        return 0.0
    try:
        least = float(said)
    except ValueError:
        least = -1.0
    if 0 <= least <= SCORE_MOST:
        return least
    wrong.append(f"“{address.short(said)}” is no threshold from 0 to {SCORE_MOST}. It is left out.")
    return 0.0
