"""How much of a prompt is the unchanged beginning of the prompt before it, in a recording.

Run: `python -m tests.benchmarks.prefix [run.jsonl ...]`; without a path, the sample agents' recordings.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from memgpt_core.events import Event
from memgpt_core.home import SAMPLES
from memgpt_core.log import read_events
from tests.benchmarks._tables import at_least, heading, percentile, series, table

FLOORED = "companion"
FLOOR_PERCENT = 80.0
REWRITES = frozenset(
    {
        "queue_flushed",
        "working_context_edited",
        "block_defined",
        "instructions_defined",
        "message_edited",
        "message_deleted",
    }
)
"""Kinds that change what stands before the end of the prompt, so that the next one cannot be a continuation."""

HOW = """A model server keeps the tokens of the last prompt; those at the beginning that are the same need not be read
again. Per step: prompt_built.prefix_tokens / the sum of its sections, for prompts of purpose `turn` but the first.
`Undisturbed` steps have no flush and no edit of what stands in the prompt since the step before. `Overall` is the sum
of the prefixes over the sum of the prompts, the first prompt and summaries included. Counts are those in the
recording, nothing is timed."""


class Steps(NamedTuple):
    """Shares of unchanged prefix, in percent, and the totals in tokens."""

    undisturbed: list[float]
    disturbed: list[float]
    prefix_tokens: int
    prompt_tokens: int


def steps(events: Iterable[Event]) -> Steps:
    """The shares of a recording's prompts."""
    found = Steps([], [], 0, 0)
    disturbed, first = False, True
    line: Any
    for line in events:
        disturbed = disturbed or line.kind in REWRITES
        if line.kind != "prompt_built":
            continue
        size = sum(line.sections.values())
        found = found._replace(
            prefix_tokens=found.prefix_tokens + line.prefix_tokens, prompt_tokens=found.prompt_tokens + size
        )
        if line.purpose == "turn":
            if not first:
                (found.disturbed if disturbed else found.undisturbed).append(100 * line.prefix_tokens / size)
            disturbed = first = False
    return found


def main(paths: list[Path]) -> int:
    """Print the table; 1 when there is no recording to read."""
    heading("Unchanged prefix of prompts, in percent of the prompt", HOW)
    rows: list[tuple[object, ...]] = []
    for path in paths:
        found = steps(read_events(path))
        name = path.parent.name
        if not found.undisturbed:
            print(f"{name}: not two steps in a row without a flush or an edit; nothing to measure.")
            continue
        median = series(found.undisturbed).median
        low = percentile(found.undisturbed, 0.05)
        floor = at_least(median, FLOOR_PERCENT, "%") if name == FLOORED or len(paths) == 1 else ""
        rows.append((name, "undisturbed steps", median, low, len(found.undisturbed), floor))
        if found.disturbed:
            shares = found.disturbed
            rows.append(
                (name, "after a flush or edit", series(shares).median, percentile(shares, 0.05), len(shares), "")
            )
        overall = 100 * found.prefix_tokens / found.prompt_tokens
        rows.append((name, "overall, in tokens", overall, "", len(found.undisturbed) + len(found.disturbed) + 1, ""))
    if not rows:
        print("There is no recording: give the path of a run.jsonl.")
        return 1
    table(("recording", "steps", "median %", "p5 %", "of", "floor (median)"), rows)
    return 0


if __name__ == "__main__":
    named = [Path(argument) for argument in sys.argv[1:]]
    sys.exit(main(named or sorted(SAMPLES.glob("*/run.jsonl"))))
