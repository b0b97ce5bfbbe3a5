"""How fast a conversation file is imported, and in how much memory.

Run: `python -m tests.benchmarks.importing [megabytes] [format]`; each format in a process of its own.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from memgpt_core.home import Home
from memgpt_core.interchange import importing
from memgpt_core.interchange.conversations import detect, read
from tests.benchmarks._lives import text
from tests.benchmarks._tables import doing, heading, table

MEGABYTES = 100
FORMATS = ("openai", "chatgpt")
START = datetime(2022, 1, 1, tzinfo=UTC)

HOW = """Each file holds generated conversations of 4 to 40 messages (20 to 250 words each) on days in a random order.
read = the file through its reader alone, no agent; aside = the import without opening the stores (reading, spooling,
living through the queue manager with its flushes, writing and syncing the log); stores = opening the new agent, which
fills its row store. MB/s are of the source file. MB at most = the largest resident size of the process that did it,
and how much it had before it began. again = the same import once more, which must add nothing."""


def main(megabytes: int = MEGABYTES, *formats: str) -> None:
    """Print the table."""
    heading("importing conversations", HOW)
    rows = []
    for format in formats or FORMATS:
        doing(f"{format}, {megabytes} MB")
        command = [sys.executable, "-m", "tests.benchmarks.importing", "--child", str(megabytes), format]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    columns = ("format", "MB", "messages", "flushes", "events", "read MB/s", "aside s", "aside MB/s", "stores s")
    table((*columns, "MB before", "MB aside", "MB at most", "again s"), rows)


def _child(megabytes: int, format: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        _write(path, megabytes * 10**6, format)
        size = path.stat().st_size / 1e6
        started = time.perf_counter()
        for _ in read(path, detect(path)):
            pass
        reading = time.perf_counter() - started
        before = _resident()
        home = Home(Path(folder) / "home", timer=False)
        lived: list[tuple[float, float]] = []
        adopt = home.adopt

        def adopt_and_look(*arguments: Any) -> str:
            lived.append((time.perf_counter(), _peak()))
            return adopt(*arguments)

        home.adopt = adopt_and_look  # type: ignore[method-assign]
        started = time.perf_counter()
        report = importing.import_conversations(home, path)
        ended = time.perf_counter()
        state = home.open(report.agent_id).state()
        peak = _peak()
        again = time.perf_counter()
        assert importing.import_conversations(home, path).messages == 0
        again = time.perf_counter() - again
        home.close()
    at, aside = lived[0]
    figures = (size / reading, at - started, size / (at - started), ended - at, before, aside, peak, again)
    print(json.dumps([format, size, report.messages, state.flushes, state.seq, *figures]))


def _write(path: Path, size_bytes: int, format: str) -> None:
    rng, written, number = Random(3), 0, 0
    shapes: dict[str, Callable[[str, datetime, list[str]], dict[str, Any]]] = {"openai": _openai, "chatgpt": _chatgpt}
    with path.open("w", encoding="utf-8") as file:
        file.write("[" if format == "chatgpt" else "")
        while written < size_bytes:
            day = START + timedelta(minutes=rng.randrange(2_000_000))
            said = [text(rng, rng.randint(20, 250)) for _ in range(2 * rng.randint(2, 20))]
            line = json.dumps(shapes[format](f"c{number}", day, said))
            between = "" if not number else ",\n" if format == "chatgpt" else "\n"
            written += file.write(between + line)
            number += 1
        file.write("]" if format == "chatgpt" else "\n")


def _times(day: datetime, said: list[str]) -> Iterator[tuple[float, str, str]]:
    for at, one in enumerate(said):
        yield day.timestamp() + 30 * at, ("user", "assistant")[at % 2], one


def _openai(id: str, day: datetime, said: list[str]) -> dict[str, Any]:
    messages = [{"role": role, "content": one, "timestamp": at} for at, role, one in _times(day, said)]
    return {"id": id, "messages": messages}


def _chatgpt(id: str, day: datetime, said: list[str]) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    last = None
    for number, (at, role, one) in enumerate(_times(day, said)):
        node = f"{id}-{number}"
        content = {"content_type": "text", "parts": [one]}
        message = {"author": {"role": role}, "content": content, "create_time": at, "recipient": "all", "metadata": {}}
        mapping[node] = {"id": node, "message": message, "parent": last, "children": []}
        last = node
    return {
        "title": id,
        "create_time": day.timestamp(),
        "conversation_id": id,
        "mapping": mapping,
        "current_node": last,
    }


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        _child(int(sys.argv[2]), sys.argv[3])
    else:
        main(*(int(argument) for argument in sys.argv[1:2]), *sys.argv[2:])
