"""What the Ollama adapter costs beside bare httpx, and how soon a stop closes the connection.

Run: `python -m tests.benchmarks.ollama`. Exits with 1 when a figure is over its floor.
"""

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from memgpt_core.llm import streams
from memgpt_core.llm.base import Stopped
from memgpt_core.llm.ollama import OllamaModel
from memgpt_core.prompt import encode_body
from tests.benchmarks._tables import at_most, heading, percentile, series, table
from tests.ollama_stub import Answer, Gate, Stub
from tests.ollama_stub.server import BEFORE_THE_HEAD, answer_json, answer_lines

CHUNKS = 1_000
PAIRS = 60
WARM_UP = 5
STOPS = 40
OVERHEAD_FLOOR = 2.0
STOP_FLOOR_MS = 100.0

BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}

HOW = f"""Adapter: OllamaModel.chat, that is one request, {CHUNKS:,} streamed lines read, checked, told and put
together as a reply, and the question what is loaded beside it. Bare: httpx.AsyncClient on the same loop thread, the
same request to the same server, every byte read and thrown away. Each line is an HTTP chunk, written on its own; the
server is another process. In turns, {PAIRS} pairs; the figure is the ratio of the medians.

Stop: from the moment a person asks to the moment the server sees the connection close, {STOPS} times for each phase."""


class Watched:
    """Progress that can be stopped."""

    def __init__(self) -> None:
        self.stop = threading.Event()

    def phase(self, phase: str, detail: str = "") -> None:
        """Ignored."""

    def text(self, piece: str) -> None:
        """Ignored."""

    def thought(self, piece: str) -> None:
        """Ignored."""

    def stopped(self) -> bool:
        return self.stop.is_set()


def long_reply() -> Answer:
    line = {"model": "m", "created_at": "2026-11-20T08:00:00.1Z"}
    said = [line | {"message": {"role": "assistant", "content": f" word{at}"}, "done": False} for at in range(CHUNKS)]
    end = {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop", "eval_count": CHUNKS}
    return answer_lines(*said, line | end)


def serve() -> None:
    """Serve the long reply until the other process closes our standard input."""
    reply, ps = long_reply(), answer_json({"models": []})
    with Stub(lambda request: reply if request.path == "/api/chat" else ps) as stub:
        print(json.dumps(stub.host), flush=True)
        sys.stdin.read()


def overhead(host: str) -> tuple[list[float], list[float]]:
    """Seconds of each adapter call and of its bare twin."""
    content = encode_body(BODY)

    async def client() -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=host, trust_env=False, timeout=None)

    async def bare(one: httpx.AsyncClient) -> int:
        read = 0
        async with one.stream("POST", "/api/chat", content=content) as response:
            async for piece in response.aiter_bytes():
                read += len(piece)
        return read

    async def close(one: httpx.AsyncClient) -> None:
        await one.aclose()

    model, one = OllamaModel(host), streams.run(client())
    ours, theirs = [], []
    for pair in range(PAIRS + WARM_UP):
        for mine in (True, False) if pair % 2 else (False, True):
            started = time.perf_counter()
            if mine:
                assert model.chat(BODY, Watched()).measured.reply_tokens == CHUNKS
            else:
                assert streams.run(bare(one)) > CHUNKS
            if pair >= WARM_UP:
                (ours if mine else theirs).append(time.perf_counter() - started)
    streams.run(close(one))
    return ours, theirs


def stops(at: int) -> list[float]:
    """Milliseconds from a stop to the connection's close, with the server standing still at that place."""
    took = []
    reply = long_reply()
    with Stub(lambda _: answer_json({"models": []})) as stub, ThreadPoolExecutor(1) as pool:
        model = OllamaModel(stub.host)
        for number in range(1, STOPS + 1):
            gate, watched = Gate(at), Watched()
            stub.play("/api/chat", reply.but(gate=gate))
            asked = pool.submit(model.chat, BODY, watched)
            gate.wait()
            stopped_at = time.perf_counter()
            watched.stop.set()
            request = stub.wait_for("/api/chat", number)
            assert request.closed.wait(10)
            took.append(1000 * (request.closed_at - stopped_at))
            assert isinstance(asked.exception(), Stopped)
    return took


def main() -> int:
    """Print both tables; 1 when a floor is missed."""
    heading(f"The Ollama adapter: {CHUNKS:,} chunks beside bare httpx, and stops", HOW)
    with subprocess.Popen(
        [sys.executable, "-c", "from tests.benchmarks.ollama import serve; serve()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        ours, theirs = overhead(json.loads(server.stdout.readline()))
        server.communicate()
    mine, bare = series(ours), series(theirs)
    ratio = mine.median / bare.median
    table(
        ("per 1,000 chunks", "median ms", "95 % ms", "count", "floor"),
        [
            ("adapter", 1000 * mine.median, 1000 * mine.p95, mine.count, ""),
            ("bare httpx", 1000 * bare.median, 1000 * bare.p95, bare.count, ""),
            ("ratio", ratio, mine.p95 / bare.p95, PAIRS, at_most(ratio, OVERHEAD_FLOOR, "x")),
        ],
    )
    half = len(long_reply().body) // 2
    places = {"reading the prompt": BEFORE_THE_HEAD, "after the head": 0, "generating": half}
    rows = []
    for place, at in places.items():
        took = stops(at)
        rows.append((place, series(took).median, percentile(took, 0.95), max(took), len(took)))
    table(
        ("stop while", "median ms", "95 % ms", "worst ms", "count", "floor"),
        [(*row, at_most(row[3], STOP_FLOOR_MS, "ms")) for row in rows],
    )
    return int(ratio > OVERHEAD_FLOOR or any(row[3] > STOP_FLOOR_MS for row in rows))


if __name__ == "__main__":
    sys.exit(main())
