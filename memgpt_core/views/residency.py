"""What became of items that left the window, and the figures of paging: faults, working set, moves, times.

Takes rows that the store has counted; names what each figure counts, because a number without that is a guess.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from memgpt_core.views.lanes import counted
from memgpt_core.views.lanes_axis import duration
from memgpt_core.views.paging import excerpt


class Fate(NamedTuple):
    """What became of one evicted message.

    Attributes:
        text: its whole text; `excerpt` the beginning of it.
        back: the event that brought it back first, None when nothing has; `carrier`: the message that held it then.
        returns: how often it has come back since.
        in_window: it is in the window at the point shown, by slot or copy; `queued`: by a slot of its own.
        deleted: it is hidden from recall storage.
        pinned: it stays through every flush.
    """

    id: str
    role: str
    tokens: int
    text: str
    excerpt: str
    back: int | None
    carrier: str
    returns: int
    in_window: bool
    queued: bool
    deleted: bool
    pinned: bool

    @property
    def says(self) -> str:
        """Its fate in words."""
        if self.deleted:
            return "deleted from recall storage since"
        if self.back is None:
            return "has not come back"
        times = "" if self.returns == 1 else f", {self.returns} times in all"
        held = "in a slot of its own" if self.carrier == self.id else f"as a copy in {self.carrier}"
        return f"came back at event {self.back:,} {held}{times}" + ("; it is in the window" if self.in_window else "")


def fates(
    evicted: Sequence[str],
    messages: Mapping[str, Mapping[str, Any]],
    returns: Iterable[Mapping[str, Any]],
    pinned: Sequence[str] = (),
) -> list[Fate]:
    """The fate of each evicted message, in the order they left.

    `messages`: their newest rows by id, with `stands` false for a deleted one. `returns`: their later intervals, oldest
    first, as `item`, `carrier`, `seq_from`, `open`.
    """
    later: dict[str, list[Mapping[str, Any]]] = {}
    for interval in returns:
        later.setdefault(interval["item"], []).append(interval)
    found = []
    for id in evicted:
        row = messages.get(id)
        came = later.get(id, [])
        still = [one for one in came if one["open"]]
        found.append(
            Fate(
                id=id,
                role=str(row["role"]) if row else "",
                tokens=int(row["tokens"] or 0) if row else 0,
                text=str(row["text"] or row["thoughts"] or "") if row else "",
                excerpt=excerpt(row),
                back=came[0]["seq_from"] if came else None,
                carrier=came[0]["carrier"] if came else "",
                returns=len(came),
                in_window=bool(still),
                queued=any(one["carrier"] == id for one in still),
                deleted=row is None or not row["stands"],
                pinned=id in pinned,
            )
        )
    return found


class Figure(NamedTuple):
    """A number with its unit, and what it counts and how."""

    label: str
    value: str
    says: str


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def rates(counts: Mapping[str, Any]) -> list[Figure]:
    """Page faults and tokens moved, from counts over everything up to the point shown.

    Keys: `turns`, `page_ins`, `faults`, `flushes`, `evicted`, `in_tokens`, `out_tokens`.
    """
    turns, faults, page_ins = counts["turns"] or 0, counts["faults"] or 0, counts["page_ins"] or 0
    freed, brought = counts["out_tokens"] or 0, counts["in_tokens"] or 0
    return [
        Figure(
            "Page faults per turn",
            f"{_share(faults, turns):.2f}",
            f"{counted(faults, 'page fault')} in {counted(turns, 'turn')}. A fault is a message that had been "
            "evicted, was nowhere in the window, and came back.",
        ),
        Figure(
            "Faults per page in",
            f"{100 * _share(faults, page_ins):.0f} %",
            f"{faults:,} of {page_ins:,} page ins. The others brought a passage, or a message that was in the window "
            "anyway.",
        ),
        Figure(
            "Tokens in per turn",
            f"{_share(brought, turns):,.0f}",
            f"{brought:,} tokens in {counted(turns, 'turn')}: the search results that hold stored items, and "
            "messages queued again.",
        ),
        Figure(
            "Tokens out per turn",
            f"{_share(freed, turns):,.0f}",
            f"{freed:,} tokens in {counted(turns, 'turn')}, by all flushes ({counts['flushes'] or 0:,}): tokens "
            "before less tokens after, so the summary that came instead is taken off.",
        ),
    ]


def working_set(turns: Sequence[Mapping[str, Any]], over_ten: int) -> list[Figure]:
    """The working set: of the last turn shown and of the last ten. Rows: `turn`, `items`, oldest first."""
    last = turns[-1] if turns else {"turn": 0, "items": 0}
    return [
        Figure(
            "Working set, this turn",
            counted(last["items"], "item"),
            f"Different messages and passages that were in the window at some moment of turn {last['turn']:,}, by slot "
            "or as a copy.",
        ),
        Figure(
            "Working set, 10 turns",
            counted(over_ten, "item"),
            "Different messages and passages in the window at some moment of the newest 10 turns, or of all.",
        ),
    ]


class Stay(NamedTuple):
    """How long something lasted: least, median and 95th percentile, as times and as turns, over so many `cases`."""

    label: str
    says: str
    cases: int
    times: tuple[str, str, str]
    turns: tuple[str, str, str]


def stays(rows: Iterable[Mapping[str, Any]]) -> list[Stay]:
    """The time per tier, from rows of `tier`, `n`, `s_min`, `s_mid`, `s_p95`, `t_min`, `t_mid`, `t_p95`."""
    says = {
        "window": ("In the window", "from a message's own slot to the flush that evicted it"),
        "storage": ("In recall storage only", "from that flush to the first time the message came back, if it did"),
    }
    return [
        Stay(
            *says[row["tier"]],
            cases=row["n"],
            times=(duration(row["s_min"]), duration(row["s_mid"]), duration(row["s_p95"])),
            turns=(f"{row['t_min']:.0f}", f"{row['t_mid']:.0f}", f"{row['t_p95']:.0f}"),
        )
        for row in rows
        if row["n"]
    ]
