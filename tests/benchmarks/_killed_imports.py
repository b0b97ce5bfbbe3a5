"""Imports of a folder that are killed and run again, and what must hold then: the store of one that never was.

Used by the crash benchmark and by the suite. Does not choose where to kill.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from memgpt_core.blueprint import Blueprint
from memgpt_core.home import Home
from memgpt_core.settings import AgentSettings
from tests.benchmarks._killing import ROOT
from tests.benchmarks._lives import Talker, text

AGENT = "reader"
SETTINGS = AgentSettings(model="scripted", embedder="hashing")
POINTS = (
    "document.after_raw",
    "document.before_rename",
    "document.before_commit",
    "document.after_commit",
    "log.append.before_write",
    "log.append.torn",
    "log.append.before_sync",
    "log.append.after_sync",
    "project.before_commit",
    "project.after_commit",
    "index.before_merge",
    "index.after_merge",
)

Contents = dict[str, list[tuple[str, Any, tuple[str, ...]]]]
"""By document, its passages in order: text, page, titles."""


class Killed(NamedTuple):
    """What one kill left: whether the process died of it, documents it had taken in, all that is not as it must be."""

    killed: bool
    documents: int
    wrong: list[str]


class Imports:
    """A folder that changes once; a home that has the first version of it; what an uninterrupted import makes of it."""

    def __init__(self, folder: Path, *, files: int = 10) -> None:
        self._folder = folder
        self._notes = folder / "notes"
        self._first = folder / "first"
        self._rng = Random(6)
        self._write(range(files))
        home = Home(self._first, models={"scripted": Talker()}, timer=False)
        home.create(Blueprint(name="Reader", settings=SETTINGS), agent_id=AGENT)
        home.close()
        self._take_in(self._first)
        for at in range(0, files, 3):
            path = self._notes / f"{at}.md"
            path.write_text("# New\n\n" + text(self._rng, 200) + "\n\n" + path.read_text())
        (self._notes / "1.md").unlink()
        self._write(range(files, files + 3))
        whole = shutil.copytree(self._first, folder / "whole")
        started = time.monotonic()
        assert self._run(whole, "", None) == 0
        self.seconds = time.monotonic() - started
        self.wanted, wrong = self._look(whole)
        assert wrong == []

    def kill(self, wish: str = "", *, after_s: float | None = None) -> Killed:
        """Have an import die at a failpoint or so long after it began; import again; compare."""
        home = self._folder / "killed"
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(self._first, home)
        code = self._run(home, wish, after_s)
        there, wrong = self._look(home)
        self._take_in(home)
        found, more = self._look(home)
        wrong = [f"right after the kill: {sentence}" for sentence in wrong] + more
        if found != self.wanted:
            names = sorted(
                name for name in found.keys() | self.wanted.keys() if found.get(name) != self.wanted.get(name)
            )
            wrong.append(f"other than uninterrupted: {', '.join(sorted(names))}")
        return Killed(code == -signal.SIGKILL, len(there), wrong)

    def _write(self, numbers: range) -> None:
        self._notes.mkdir(exist_ok=True)
        for at in numbers:
            parts = (f"## Part {n}\n\n{text(self._rng, self._rng.randint(60, 400))}\n\n" for n in range(4))
            (self._notes / f"{at}.md").write_text(f"# Note {at}\n\n" + "".join(parts))

    def _take_in(self, home: Path) -> None:
        opened = Home(home, models={"scripted": Talker()}, timer=False)
        try:
            opened.adding.start(AGENT, [self._notes], remove_gone=True)
            while (job := opened.adding.job(AGENT)) and job.running:
                time.sleep(0.02)
            assert job is not None
            assert not job.failed, job.failed
        finally:
            opened.close()

    def _run(self, home: Path, wish: str, after_s: float | None) -> int:
        command = [sys.executable, "-m", "tests.benchmarks._importer", str(home), AGENT, str(self._notes)]
        env = {**os.environ, "MEMSCOPE_FAILPOINT": wish}
        with subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout
            process.stdout.readline()
            if after_s is not None:
                time.sleep(after_s)
                process.kill()
        return process.returncode

    @staticmethod
    def _look(home: Path) -> tuple[Contents, list[str]]:
        """(what is there, all that is wrong about it)."""
        opened = Home(home, models={"scripted": Talker()}, timer=False)
        try:
            ws = opened.open(AGENT)
            wrong = [str(one) for one in ws.verify()]
            wrong += [notice for notice in ws.notices() if "torn last line" not in notice]
            found: Contents = {}
            rows = 0
            for document in ws.documents.all():
                passages = ws.documents.passages(document.id, 1, document.passages)
                found[document.name] = [(row["text"], row["page"], row["title_path"]) for row in passages]
                rows += len({row["id"] for row in passages})
            if rows != ws.state().passages or ws.not_embedded:
                wrong.append(f"{rows} passages are there of {ws.state().passages}, {ws.not_embedded} not embedded")
            return found, wrong
        finally:
            opened.close()
