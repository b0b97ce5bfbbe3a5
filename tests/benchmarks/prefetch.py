"""Searches run ahead while the model writes: how many are there when it asks, and what that saves with a slow embedder.

Run: `python -m tests.benchmarks.prefetch [sample ...]`.
"""

import sys
import tempfile
import threading
import tomllib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, get_args
from unittest.mock import patch

from memgpt_core import blueprint
from memgpt_core.embedding.base import Vectors
from memgpt_core.embedding.hashing import HashingEmbedder
from memgpt_core.home import SAMPLES, Home
from memgpt_core.llm.base import Progress, Reply
from memgpt_core.llm.demo import DemoModel
from memgpt_core.settings import Prefetch
from tests.benchmarks._tables import doing, heading, table
from tests.samples import NAMES, ScriptClock, play

EMBEDDER_S = 0.2
"""What an embedding request takes, whatever is in it: that of a small model on a laptop."""

WRITES_S = 0.6
"""What a reply takes: a dozen tokens of a small model on a laptop, which is as short as a call can be."""

DONE_S = EMBEDDER_S / 4
"""A search function that returned in less had its hits: no embedding request fits into it."""

HOW = f"""The script of each sample is played anew through Home and Workspace with the demo model. An embedding request
takes {1000 * EMBEDDER_S:.0f} ms (the hashing embedder, held back), a reply {1000 * WRITES_S:.0f} ms.
Retrievals: searches the agent asked for. Right: asked for to the letter while or after they ran ahead, with nothing
changed meanwhile. Done: the function returned within {1000 * DONE_S:.0f} ms, so the hits were there when it asked.
Wasted: run ahead and not used. Saved: the seconds the right ones had taken by then, over all turns of the script, and
over those with a retrieval. Floor: `off`, where nothing is saved; what its retrievals took is the most that there is
to save. Same: every text the user got is the one of `off`.
The demo model asks with words of the question, as rules do; a language model words its queries more freely, so that
the shares of `user_message` are an upper bound for it, while pages and keys leave it no choice."""


class _SlowEmbedder(HashingEmbedder):
    def embed(self, texts: Sequence[str]) -> Vectors:
        threading.Event().wait(EMBEDDER_S)
        return super().embed(texts)


class _SlowModel(DemoModel):
    def chat(self, body: dict[str, Any], progress: Progress) -> Reply:
        if body.get("tools"):
            threading.Event().wait(WRITES_S)
        return super().chat(body, progress)


class Played(NamedTuple):
    """What playing a sample came to; `took` are the seconds of each retrieval as the turn felt them."""

    turns: int
    searching_turns: int
    took: list[float]
    right: int
    begun: int
    saved_s: float
    said: list[str]


def played(name: str, mode: Prefetch) -> Played:
    """The sample's script with this prefetch."""
    folder = SAMPLES / name
    plan = blueprint.load(folder / "agent.toml")
    plan = plan.model_copy(update={"settings": plan.settings.model_copy(update={"prefetch": mode})})
    script = tomllib.loads((folder / "script.toml").read_text())
    clock = ScriptClock(script.get("upload", script["session"][0])["at"] - timedelta(minutes=1))
    with tempfile.TemporaryDirectory() as scratch, patch("memgpt_core.means.HashingEmbedder", _SlowEmbedder):
        home = Home(Path(scratch), clock=clock, models={"demo": _SlowModel()}, timer=False)
        try:
            workspace = home.open(home.create(plan, agent_id=name))
            play(workspace, script, clock, folder)
            return _counted(workspace.events(1))
        finally:
            home.close()


def _counted(events: list[Any]) -> Played:
    searches = [event for event in events if event.kind in ("recall_searched", "archival_searched")]
    after = {event.seq: event for event in events if event.kind == "function_returned"}
    saved = [event.measured.saved_s for event in searches if event.measured.saved_s is not None]
    return Played(
        turns=len({event.turn for event in events if event.kind == "trigger_received" and event.cause == "user"}),
        searching_turns=len({event.turn for event in searches}),
        took=[after[search.seq + 1].measured.seconds for search in searches],
        right=len(saved),
        begun=sum(event.measured.prefetched or 0 for event in events if event.kind == "model_replied"),
        saved_s=sum(saved),
        said=[event.text for event in events if event.kind == "message_sent"],
    )


def main(names: Sequence[str] = NAMES) -> None:
    """Print the table."""
    heading("Searches run ahead (prefetch)", HOW)
    rows: list[Sequence[object]] = []
    for name in names:
        floor: Played | None = None
        for mode in get_args(Prefetch):
            doing(f"{name}, {mode}")
            found = played(name, mode)
            floor = floor or found
            rows.append(_row(name, mode, found, floor))
    table(
        (
            *("sample", "prefetch", "retrievals", "right", "right %", "done %", "wasted", "retrievals took s"),
            *("saved s", "saved ms a turn", "saved ms a turn that searches", "same"),
        ),
        rows,
    )


def _row(name: str, mode: str, found: Played, floor: Played) -> Sequence[object]:
    asked = len(found.took) or 1
    return (
        name,
        f"{mode} (floor)" if mode == "off" else mode,
        len(found.took),
        found.right,
        round(100 * found.right / asked),
        round(100 * sum(seconds < DONE_S for seconds in found.took) / asked),
        found.begun - found.right,
        round(sum(found.took), 2),
        round(found.saved_s, 2),
        round(1000 * found.saved_s / found.turns),
        round(1000 * found.saved_s / max(1, found.searching_turns)),
        "yes" if found.said == floor.said else "NO",
    )


if __name__ == "__main__":
    main(sys.argv[1:] or NAMES)
