"""Tokens of each request over a session, by section, as points of a chart: at most a few hundred.

Takes rows that the store has already put into buckets, and the marks that fell between them. Where a bucket has
more than one request, its point is the fullest of them, so that the sections of a point belong together.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from memgpt_core.prompt import SECTIONS
from memgpt_core.views.palette import HUES

POINTS_MOST = 300
"""More points than this cost the browser and show nothing more."""

MARKS = {
    "pressure_warned": ("Warnings", "triangle-up", "warn_tokens"),
    "queue_flushed": ("Flushes", "x", "flush_tokens"),
    "truncation_suspected": ("Server cut the prompt", "star-diamond", "total_tokens"),
}
"""By kind: what it is called, the shape it is drawn with, and on which figure of its request it stands."""


class Area(NamedTuple):
    """A section's tokens, point by point."""

    section: str
    label: str
    tokens: tuple[int, ...]


class Line(NamedTuple):
    """A limit that the prompts are measured against, point by point; it changes with the settings."""

    label: str
    dash: str
    tokens: tuple[int, ...]


class Marks(NamedTuple):
    """Where something of one kind happened; `says` is one text a mark."""

    kind: str
    label: str
    symbol: str
    x: tuple[float, ...]
    y: tuple[int, ...]
    says: tuple[str, ...]


class Usage(NamedTuple):
    """A chart's worth of requests.

    Attributes:
        x: the number of each point's request, counted from 1 in what is shown.
        seqs: the event of each point's request.
        says: one line on each point.
        each: how many requests a point stands for, at most.
    """

    x: tuple[int, ...]
    seqs: tuple[int, ...]
    says: tuple[str, ...]
    areas: tuple[Area, ...]
    lines: tuple[Line, ...]
    marks: tuple[Marks, ...]
    requests: int
    each: int

    @property
    def alt(self) -> str:
        """The chart in a sentence."""
        if not self.x:
            return "No requests."
        totals = [sum(area.tokens[at] for area in self.areas) for at in range(len(self.x))]
        counted = ", ".join(f"{len(mark.x)} points with {mark.label.lower()}" for mark in self.marks) or "no marks"
        return (
            f"Stacked areas: tokens of {self.requests:,} requests by section, from {totals[0]:,} to {totals[-1]:,}, "
            f"at most {max(totals):,}; {counted}."
        )


def usage(rows: Sequence[Mapping[str, Any]], happened: Iterable[Mapping[str, Any]], requests: int) -> Usage:
    """The chart of bucketed `prompts` rows (`n`: number in the session, `bucket`, `of`: how many) and their marks.

    `happened` has one row a kind and bucket: `kind`, `bucket`, `times`, `seq` of the first.
    """
    lines = (
        ("Limit", "solid", "limit_tokens"),
        ("Flush mark", "dash", "flush_tokens"),
        ("Warning mark", "dot", "warn_tokens"),
    )
    return Usage(
        x=tuple(row["n"] for row in rows),
        seqs=tuple(row["seq_from"] for row in rows),
        says=tuple(_says(row) for row in rows),
        areas=tuple(
            Area(section, HUES[section].label, tuple(row[f"{section}_tokens"] for row in rows))
            for section in SECTIONS
            if any(row[f"{section}_tokens"] for row in rows)
        ),
        lines=tuple(Line(name, dash, tuple(row[column] for row in rows)) for name, dash, column in lines),
        marks=_marks(rows, happened),
        requests=requests,
        each=max((row["of"] for row in rows), default=1),
    )


def _says(row: Mapping[str, Any]) -> str:
    of = f" (the fullest of {row['of']})" if row["of"] > 1 else ""
    reused = f"{100 * row['prefix_tokens'] / max(1, row['total_tokens']):.0f} % unchanged beginning"
    where = f"turn {row['turn']}, step {row['step']}, event {row['seq_from']:,}{of}"
    return f"{where}: {row['total_tokens']:,} tokens, {reused}"


def _marks(rows: Sequence[Mapping[str, Any]], happened: Iterable[Mapping[str, Any]]) -> tuple[Marks, ...]:
    points = {row["bucket"]: row for row in rows}
    found: dict[str, list[Mapping[str, Any]]] = {kind: [] for kind in MARKS}
    for row in happened:
        if row["bucket"] in points:
            found[row["kind"]].append(row)
    # A warning or a flush falls between two requests, a cut belongs to one.
    return tuple(
        Marks(
            kind=kind,
            label=label,
            symbol=symbol,
            x=tuple(points[row["bucket"]]["n"] + (0 if kind == "truncation_suspected" else 0.5) for row in marks),
            y=tuple(points[row["bucket"]][column] for row in marks),
            says=tuple(f"{row['times']} here, the first is event {row['seq']:,}" for row in marks),
        )
        for kind, (label, symbol, column) in MARKS.items()
        if (marks := found[kind])
    )
