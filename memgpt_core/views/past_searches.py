"""A search the agent once made beside the same search made now: which hits stayed, moved, went and came.

Takes the hits as they were logged and the hits of the new run, best first; knows neither store nor screen.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from memgpt_core.events import Hit

What = Literal["same", "moved", "left", "entered"]


class Place(NamedTuple):
    """One item in both runs. Places count from 1 over all pages; None is a place beyond what was looked at.

    Attributes:
        what: `left` the agent's page, whether it is still found further down or not; `entered` it.
        then_score, now_score: None where it was not found.
    """

    id: str
    what: What
    then: int | None
    now: int | None
    then_score: float | None
    now_score: float | None


class Comparison(NamedTuple):
    """Both runs, in the order of the new page and then what left it."""

    places: tuple[Place, ...]
    same: bool
    says: str


def compare(then: Sequence[Hit], now: Sequence[Hit], *, first: int, size: int) -> Comparison:
    """Set the agent's page beside the new run.

    `then` is the page the agent got, `first` the number of hits before it and `size` how many a page holds; `now`
    is the new run from its first hit on, as far as it was looked at.
    """
    old = {hit.id: (place, hit.score) for place, hit in enumerate(then, first + 1)}
    new = {hit.id: (place, hit.score) for place, hit in enumerate(now, 1)}
    page = [hit.id for hit in now[first : first + size]]
    places = [_place(id, old, new, on_page=True) for id in page]
    places += [_place(hit.id, old, new, on_page=False) for hit in then if hit.id not in page]
    counts = {what: sum(place.what == what for place in places) for what in ("same", "moved", "left", "entered")}
    changed = [place for place in places if place.what == "same" and place.then_score != place.now_score]
    same = counts["same"] == len(places)
    return Comparison(tuple(places), same and not changed, _says(counts, len(changed), len(places)))


def _place(id: str, old: dict[str, tuple[int, float]], new: dict[str, tuple[int, float]], *, on_page: bool) -> Place:
    then, now = old.get(id), new.get(id)
    if not on_page:
        what: What = "left"
    elif then is None:
        what = "entered"
    else:
        what = "same" if now is not None and then[0] == now[0] else "moved"
    return Place(id, what, then and then[0], now and now[0], then[1] if then else None, now[1] if now else None)


def _says(counts: dict[str, int], rescored: int, total: int) -> str:
    if not total:
        return "Nothing was found then, and nothing is found now."
    if counts["same"] == total:
        return (
            f"The same {total} in the same order; {rescored} of them with another score."
            if rescored
            else f"The same {total} in the same order, with the same scores."
        )
    words = (("same", "in the same place"), ("moved", "moved"), ("left", "left the page"), ("entered", "came in"))
    return ", ".join(f"{counts[what]} {said}" for what, said in words if counts[what]).capitalize() + "."
