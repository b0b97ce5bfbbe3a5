"""How hits of a search were ranked, as lines under them, and why one item was not among them: for both storages."""

from collections.abc import Callable

import streamlit as st

from memgpt_core.events import Hit
from memgpt_core.ranking import Weights
from memgpt_core.search import WhyNot
from memgpt_core.views.hits import by_vector, by_words, parts, unseen
from memgpt_core.views.passages import visible
from pages.parts import address
from pages.parts.frame import Here
from pages.parts.markup import escape, wrap

SCORE_MOST = 3.3
"""No score is higher: a cosine, the words of a short text said often, and a rare code or a quoted phrase."""

SHARES_SCORE = 1.05
"""The score that fills the bar; a higher one fills it, too."""

NEAR_SHOWN = 10
ID_CHARS = 24

STYLE = """<style>
.ms mark{background:light-dark(#ffe08a,#6b5200);color:inherit;border-bottom:2px solid light-dark(#a06a00,#ffcf5c);
 border-radius:2px}
.ms-shares{display:inline-flex;height:6px;width:9rem;border-radius:3px;overflow:hidden;vertical-align:middle;
 box-shadow:inset 0 0 0 1px var(--edge)}
.ms-shares>i{display:block;height:100%}
.ms-shares>i.words{background:currentColor;opacity:.45}
.ms-why{border-left:3px solid currentColor;padding:.15rem 0 .15rem .6rem;margin:.2rem 0}
.ms-why .num{white-space:normal}
</style>"""

_WHAT_IS = {
    "rank": "its place by this alone, among everything the filters let through",
    "words": "BM25: how often the words of the query stand in it, and how rare they are",
    "vector": "cosine: how alike the meanings are for the embedding model, from 0 to 1",
}


def scored(place: int | None, hit: Hit, weigh: Weights, tier: str, note: str = "") -> str:
    """The lines under a hit, as HTML: its place and score in sum, then by words alone and by vectors alone."""
    if hit.words_rank is None and hit.vector_rank is None:
        behind = "behind the best by words and by vectors, which alone are scored; the newest first"
        return f'<div class="num"><b>#{place:,}</b> <span class="soft">{behind}</span></div>'
    vector, words = parts(hit, weigh)
    whole = max(SHARES_SCORE, hit.score)
    left_out = " · <b>left out by the agent's own search</b>" if unseen(hit, weigh) else ""
    first = f"#{place:,} · score {hit.score:.3f}" if place else f"score {hit.score:.3f}"
    return (
        f'<div class="num"><b title="its place by the sum of both">{first}</b> <span class="soft">= {vector:.3f} from '
        f"its vector + {words:.3f} from words{left_out}{note}</span> "
        f'<span class="ms-shares" role="img" aria-label="{vector:.3f} from the vector, {words:.3f} from words">'
        f'<i class="ms-fill ms-{tier}" style="width:{100 * vector / whole:.1f}%"></i>'
        f'<i class="words" style="width:{100 * words / whole:.1f}%"></i></span></div>{each(hit)}'
    )


def each(hit: Hit, when: str = "") -> str:
    """A hit's place and score by words alone and by vectors alone, as HTML."""
    return (
        f'<div class="soft num">{when}<span title="{_WHAT_IS["rank"]}; {_WHAT_IS["words"]}">{by_words(hit)}</span> · '
        f'<span title="{_WHAT_IS["rank"]}; {_WHAT_IS["vector"]}">{by_vector(hit)}</span></div>'
    )


def why(found: WhyNot, weigh: Weights, tier: str, where: str = "") -> None:
    """Where an item ranks in the search that is shown, and what keeps it off the page; `where` it stands, as HTML."""
    id = escape(visible(found.id[:ID_CHARS]))
    if found.place:
        page = found.why or f"It is hit {found.place:,}, on the page that is shown."
        said = f'<b>{id}</b> {escape(page)} <span class="soft">{found.total:,} match.</span>'
    else:
        said = f"<b>{id} is not found.</b> {escape(found.why)}"
    lines = f"<div>{said}</div>" + (f'<div class="soft">{where}</div>' if where else "")
    if found.hit is not None:
        lines += scored(found.place, found.hit, weigh, tier) if found.place else each(found.hit)
    st.html(wrap(f'<div class="ms-why ms-{tier}" role="note">{lines}</div>'))


def ask_why(
    here: Here,
    page: str,
    asked: str,
    example: str,
    tier: str,
    answer: Callable[[str], WhyNot],
    where: Callable[[str], str],
) -> None:
    """The field for the id of an item that was not found, and the answer with where the item stands, as HTML.

    `page` is the one in the address.
    """
    st.text_input(
        "Why was one not found? Type its id",
        placeholder=f"for example {example}",
        help="Says where it ranks in this search with these filters, and what kept it out. Opening one says it, too.",
        icon=":material/help:",
        max_chars=ID_CHARS,
        width=330,
        **address.field(f"{page}:why", asked[:ID_CHARS]),
    )
    if id := asked.strip().lower():
        why(answer(id), here.ws.projections.weights, tier, where(id))
