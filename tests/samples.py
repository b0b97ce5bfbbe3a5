"""How the sample agents are recorded: their `script.toml` played through the real engine with the demo model.

Used by `test_golden --record`. The clock is scripted, everything else is the product as it runs.
"""

import random
import shutil
import tempfile
import tomllib
import uuid
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from memgpt_core import blueprint
from memgpt_core.folders import DOCUMENTS
from memgpt_core.home import SAMPLES, Home
from memgpt_core.llm.demo import DemoModel
from memgpt_core.stores.documents import digest_of
from memgpt_core.workspace import Workspace

NAMES = ("companion", "analyst", "prober")
PAIRS = 140
LEVELS = 4


class ScriptClock:
    """Moves on by a fraction of a second each time somebody looks, and jumps from session to session."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.step = timedelta(seconds=1.3)

    def __call__(self) -> datetime:
        self.now += self.step
        return self.now

    def jump(self, to: datetime) -> None:
        assert to >= self.now, f"the script goes back in time: {to} is before {self.now}"
        self.now = to


def record(name: str) -> None:
    """Play a sample's script and keep the log as its recording."""
    folder = SAMPLES / name
    plan = blueprint.load(folder / "agent.toml")
    script = tomllib.loads((folder / "script.toml").read_text())
    first = script.get("upload", script["session"][0])["at"]
    clock = ScriptClock(first - timedelta(minutes=1))
    with tempfile.TemporaryDirectory() as scratch:
        home = Home(Path(scratch), clock=clock, models={"demo": DemoModel()}, timer=False)
        try:
            workspace = home.open(home.create(plan, agent_id=name))
            play(workspace, script, clock, folder)
        finally:
            home.close()
        shutil.copyfile(Path(scratch) / "agents" / name / "run.jsonl", folder / "run.jsonl")
        ship_manifests(Path(scratch) / DOCUMENTS, folder / DOCUMENTS)


def ship_manifests(cold: Path, beside: Path) -> None:
    """Keep what cold storage made of a sample's documents beside them, so that it is theirs for good."""
    for old in beside.glob("*.manifest"):
        old.unlink()
    names = {digest_of(path): path.name for path in beside.iterdir()} if beside.is_dir() else {}
    for made in cold.glob("*/*"):
        if made.name != "raw":
            shutil.copyfile(made, beside / f"{names[made.parent.name]}{made.suffix}")


def play(workspace: Workspace, script: dict[str, Any], clock: ScriptClock, folder: Path) -> None:
    """Upload what the script brings, then say its lines, session by session."""
    if upload := script.get("upload"):
        clock.jump(upload["at"])
        clock.step = timedelta(seconds=0.05)
        if "document" in upload:
            name = upload["document"]
            taken = workspace.documents.take_in(name, folder / DOCUMENTS / name)
            assert workspace.projections.flush()
            workspace.tell_upload(f"Upload finished: {name}, {taken.passages} passages are now in archival storage.")
        else:
            workspace.upload("pairs", [(text, ("pairs",)) for text in pair_passages(chained_pairs(upload["seed"])[0])])
        assert workspace.wait_idle(60)
        clock.step = timedelta(seconds=1.3)
    for session in script["session"]:
        clock.jump(session["at"])
        for line in session["lines"]:
            workspace.send(line)
            assert workspace.wait_idle(60)
            clock.now += timedelta(seconds=40)


def chained_pairs(seed: int, *, levels: int = LEVELS) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """140 uuid pairs with a chain for each nesting level from 0, and each chain's first key and final value."""
    draw = random.Random(seed)
    fresh = [str(uuid.UUID(int=draw.getrandbits(128), version=4)) for _ in range(2 * PAIRS)]
    pairs = dict(zip(fresh[:PAIRS], fresh[PAIRS:], strict=True))
    keys = draw.sample(list(pairs), sum(range(1, levels + 1)))
    chains = []
    for level in range(levels):
        chain, keys = keys[: level + 1], keys[level + 1 :]
        for key, following in pairwise(chain):
            pairs[key] = following
        chains.append((chain[0], pairs[chain[-1]]))
    return pairs, chains


def pair_passages(pairs: dict[str, str]) -> list[str]:
    """Each pair as the passage the paper's experiment stores."""
    return [f"Key-value pair: key = {key}, value = {value}" for key, value in pairs.items()]
