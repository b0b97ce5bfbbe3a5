"""The paper's nested key-value task (section 3.2.2, figure 7) through the whole memory system, with the demo model.

Run: `python -m tests.benchmarks.prober [seeds]`.
"""

import re
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

from memgpt_core.blueprint import BlockPlan, Blueprint
from memgpt_core.home import Home
from memgpt_core.llm.demo import DemoModel
from memgpt_core.settings import AgentSettings
from tests.benchmarks._tables import at_least, doing, heading, table

PAIRS = 140
LEVELS = (0, 1, 2, 3)
SEEDS = 10
PAPER = {"MemGPT (GPT-4)": (1.0, 1.0, 1.0, 1.0), "MemGPT (GPT-4 Turbo)": (1.0, 1.0, 0.7, 0.6)}
"""Share of exact matches by level, read from the vector paths of the paper's figure 7."""

SETTINGS = AgentSettings(window_tokens=4608, reserve_tokens=512, embedder="hashing", step_cap=50)
"""A window far smaller than the pairs, which are about 7,800 tokens, beside instructions and schemas."""

HOW = f"""{PAIRS} pairs of random uuids; for level L, L+1 of them are chained (the value of each is the key of the
next). Every pair is one archival passage, "Key-value pair: key = K, value = V"; the question names the first key and
asks for the end of the chain. Through Home and Workspace in a temporary home, a new agent for each question, a window
of {SETTINGS.window_tokens} tokens, the hashing embedder. Exact: the uuid given as the final value is the right one.
Lookups: archival searches in the turn; the least possible is L+2, because the end has to be looked up too to be known
as the end.
The paper's figures are beside ours and not comparable with them as models: the demo model is a rule-based controller
and no language model, it cannot misread or forget to go on. What this tests is the memory system under it: that
storage, search, paging and the window bring every link of the chain to whoever asks for it."""

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_FINAL = re.compile(rf"final value is ({_UUID.pattern})")


class Task(NamedTuple):
    """The pairs, the key to ask for and the value at the end of its chain."""

    pairs: dict[str, str]
    key: str
    gold: str


class Result(NamedTuple):
    """What a question came to."""

    exact: bool
    lookups: int
    steps: int


def task(level: int, seed: int) -> Task:
    """`PAIRS` random pairs of which `level` + 1 form a chain; the same for the same seed."""
    rng = Random(seed)
    pairs = {_uuid(rng): _uuid(rng) for _ in range(PAIRS)}
    chain = rng.sample(sorted(pairs), level + 1)
    pairs.update(pairwise(chain))
    return Task(pairs, chain[0], pairs[chain[-1]])


def ask(home: Home, level: int, seed: int) -> Result:
    """One question to a new agent."""
    given = task(level, seed)
    persona = BlockPlan(
        label="persona", value="I look keys up and do not stop until the value is verified to be no key."
    )
    agent = home.create(
        Blueprint(name="Prober", settings=SETTINGS, blocks=(persona,)), agent_id=f"prober-{level}-{seed}"
    )
    workspace = home.open(agent)
    passages = [(f"Key-value pair: key = {key}, value = {value}", ("pair",)) for key, value in given.pairs.items()]
    workspace.upload("pairs", passages)
    workspace.wait_idle(60)
    before = workspace.last_seq
    workspace.send(f"What is the final value of the key {given.key}? If a value is itself a key, look that up too.")
    workspace.wait_idle(120)
    events: list[Any] = workspace.events(before + 1)
    said = " ".join(event.text for event in events if event.kind == "message_sent")
    final = _FINAL.search(said)
    return Result(
        exact=final is not None and final[1] == given.gold,
        lookups=sum(event.kind == "archival_searched" for event in events),
        steps=workspace.state().step,
    )


def main(seeds: int = SEEDS) -> None:
    """Print the table."""
    heading("Nested key-value retrieval with the demo model (a rule-based controller, no language model)", HOW)
    results: dict[int, list[Result]] = {level: [] for level in LEVELS}
    for seed in range(seeds):
        doing(f"seed {seed + 1} of {seeds}")
        with tempfile.TemporaryDirectory() as folder:
            home = Home(Path(folder), models={"demo": DemoModel(pace=0)}, timer=False)
            try:
                for level in LEVELS:
                    results[level].append(ask(home, level, seed))
            finally:
                home.close()
    rows = []
    for level, found in results.items():
        exact = sum(result.exact for result in found)
        lookups = [result.lookups for result in found]
        rows.append(
            (
                level,
                f"{exact} of {len(found)}",
                exact / len(found),
                *(figures[level] for figures in PAPER.values()),
                f"{min(lookups)} to {max(lookups)}, mean {sum(lookups) / len(lookups):.1f}",
                max(result.steps for result in found),
                at_least(exact / len(found), PAPER["MemGPT (GPT-4)"][level], "(the paper's GPT-4)"),
            )
        )
    columns = ("level", "exact", "share", *(f"paper: {name}" for name in PAPER), "lookups", "most steps", "floor")
    table(columns, rows)


def _uuid(rng: Random) -> str:
    return str(UUID(int=rng.getrandbits(128), version=4))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
