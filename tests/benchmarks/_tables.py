"""What every benchmark prints alike: the machine, figures with their counts, the floor beside each.

Does not know what is measured. A figure over its floor is printed as a miss and stays a figure: benchmarks
tell, tests judge.
"""

import os
import platform
import statistics
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

PACKAGES = ("duckdb", "lancedb", "pydantic", "numpy")


class Series(NamedTuple):
    """Samples of one figure: median, 95th percentile, largest, how many."""

    median: float
    p95: float
    worst: float
    count: int


def series(samples: Sequence[float]) -> Series:
    """Summary of at least two samples."""
    return Series(statistics.median(samples), percentile(samples, 0.95), max(samples), len(samples))


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least `share` of all samples do not exceed."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1000 * len(ordered)) // 1000) - 1))]


def heading(what: str, how: str) -> None:
    """Say what is counted and how, and on which machine."""
    print(f"{what}\n\n{how}\n\n{machine()}\n", flush=True)


def machine() -> str:
    """This machine and the libraries, in a line or two."""
    load = os.getloadavg()[0]
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    libraries = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"Machine: {os.cpu_count()} cores {_processor()}, {memory_gib:.0f} GiB, {platform.system()} "
        f"{platform.release()}, load {load:.1f}.\nPython {platform.python_version()}, {libraries}."
    )


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their columns; numbers stand right, words left; an empty text is a number left out."""
    cells = [[_cell(value) for value in row] for row in rows]
    numeric = [
        all(row[at] == "" or isinstance(row[at], int | float) for row in rows) and any(row[at] != "" for row in rows)
        for at in range(len(columns))
    ]
    widths = [max(len(text) for text in (column, *(row[at] for row in cells))) for at, column in enumerate(columns)]
    for line in (list(columns), ["-" * width for width in widths], *cells):
        parts = [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ]
        print("  ".join(parts).rstrip())
    print(flush=True)


def at_most(value: float, limit: float, unit: str) -> str:
    """The floor of a figure that should be small, and whether it is met."""
    return f"<= {limit:g} {unit}: {'met' if value <= limit else 'MISSED'}"


def at_least(value: float, limit: float, unit: str) -> str:
    """The floor of a figure that should be large, and whether it is met."""
    return f">= {limit:g} {unit}: {'met' if value >= limit else 'MISSED'}"


def doing(what: str) -> None:
    """A line about work that is not part of any figure."""
    print(f"... {what}", file=sys.stderr, flush=True)


def _cell(value: object) -> str:
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
