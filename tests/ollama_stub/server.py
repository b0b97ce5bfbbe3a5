"""The stub's HTTP: what came in, what goes out, cut and broken as a test asks.

Written on bare sockets, because what it must do no HTTP server does: cut an answer at any byte, stop in the middle,
answer nothing on a kept-alive connection, and tell to the millisecond when the client closed.
"""

import asyncio
import dataclasses
import json
import socket
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

WIRE = Path(__file__).parent / "wire"
BEFORE_THE_HEAD = -1
ROUNDS = 10
PATIENCE_S = 20.0
"""After this a test that waits for the stub has failed; nothing ever waits so long otherwise."""


class Gate:
    """A place in an answer at which the stub stands still: `at` bytes into the body, or before the head.

    Attributes:
        reached: set once the stub stands there.
    """

    def __init__(self, at: int = BEFORE_THE_HEAD) -> None:
        self.at = at
        self.reached = threading.Event()
        self._open = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._go = asyncio.Event()

    def wait(self) -> None:
        """Until the stub stands there."""
        assert self.reached.wait(PATIENCE_S), "the stub never came to the gate"

    def open(self) -> None:
        """Let the stub go on, now or when it comes there."""
        self._open.set()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._go.set)

    async def stand(self) -> None:
        self._loop = asyncio.get_running_loop()
        if self._open.is_set():
            self._go.set()
        self.reached.set()
        await self._go.wait()


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer and how it goes wrong.

    Attributes:
        piece: bytes a write; 0 for one go, -1 for a line a write.
        drop_at: close the connection after so many bytes of the body, or before the head.
        before_s, gap_s: wait so long before the head and between writes, for eyes and not for tests.
    """

    status: str = "200 OK"
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)
    body: bytes = b""
    piece: int = 0
    gate: Gate | None = None
    drop_at: int | None = None
    before_s: float = 0.0
    gap_s: float = 0.0

    def but(self, **changes: Any) -> "Answer":
        return dataclasses.replace(self, **changes)

    @property
    def chunked(self) -> bool:
        return any(value.startswith("application/x-ndjson") for _, value in self.headers)

    def pieces(self) -> list[bytes]:
        """The body as it is written, cut at `piece`, at the gate and at the drop."""
        if self.piece < 0:
            cut = self.body.splitlines(keepends=True)
        elif self.piece:
            cut = [self.body[at : at + self.piece] for at in range(0, len(self.body), self.piece)]
        else:
            cut = [self.body] if self.body else []
        marks = sorted({mark for mark in (self.gate.at if self.gate else None, self.drop_at) if mark and mark > 0})
        for mark in marks:
            at = 0
            for index, piece in enumerate(cut):
                if at < mark < at + len(piece):
                    cut[index : index + 1] = [piece[: mark - at], piece[mark - at :]]
                    break
                at += len(piece)
        return cut


def wire(name: str) -> Answer:
    """The answer in a wire file: a status line, headers, an empty line, the body as it is."""
    head, _, body = (WIRE / f"{name}.http").read_bytes().partition(b"\n\n")
    status, *headers = head.decode().splitlines()
    pairs = tuple((key, value.strip()) for key, _, value in (line.partition(":") for line in headers))
    return Answer(status.removeprefix("HTTP/1.1 "), pairs, body)


def wire_names(beginning: str = "") -> list[str]:
    return sorted(path.stem for path in WIRE.glob("*.http") if path.stem.startswith(beginning))


def answer_json(value: Any, status: str = "200 OK") -> Answer:
    return Answer(status, (("Content-Type", "application/json; charset=utf-8"),), json.dumps(value).encode())


def answer_lines(*values: Any) -> Answer:
    body = b"".join(json.dumps(value, ensure_ascii=False).encode() + b"\n" for value in values)
    return Answer(headers=(("Content-Type", "application/x-ndjson"),), body=body, piece=-1)


@dataclasses.dataclass
class Request:
    """A request as it came in.

    Attributes:
        connection: which connection it came on, from 1.
        closed: set when the client closed that connection; `closed_at` by `time.perf_counter`.
        answered: set when the answer was written whole.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int
    closed: threading.Event = dataclasses.field(default_factory=threading.Event)
    answered: threading.Event = dataclasses.field(default_factory=threading.Event)
    closed_at: float = 0.0

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"{}")


def nothing_there(_: object = None) -> Answer:
    return Answer("404 Not Found", (("Content-Type", "text/plain"),), b"404 page not found")


class Stub:
    """Serves on loopback in a thread of its own; `play` queues answers, `otherwise` gives those not queued."""

    def __init__(self, otherwise: Callable[[Request], Answer] = nothing_there, *, port: int = 0) -> None:
        self.requests: list[Request] = []
        self._otherwise = otherwise
        self._queued: dict[str, deque[Answer]] = defaultdict(deque)
        self._came = threading.Condition()
        self._connections = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._serving: list[asyncio.Task[None]] = []
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", port))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.host = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._loop.run_forever, name="stub")
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if not self._loop.is_closed():
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(PATIENCE_S)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PATIENCE_S)
            self._loop.close()

    async def _end(self) -> None:
        for _ in range(ROUNDS):
            # A connection taken just now comes to `_serve` some rounds later, and is then ended like the others;
            # one that comes to a closed server is leaked by asyncio.
            await asyncio.sleep(0)
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)

    def play(self, path: str, *answers: Answer) -> None:
        """The next answers at a path, in order."""
        self._queued[path].extend(answers)

    def wait_for(self, path: str, number: int = 1) -> Request:
        """The request that came there as the `number`th, as soon as it has come."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.at(path)) >= number, PATIENCE_S), f"no request to {path}"
            return self.at(path)[number - 1]

    def at(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path == path]

    # --- on the stub's own thread -------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections += 1
        self._writers.append(writer)
        self._serving.append(asyncio.current_task())  # type: ignore[arg-type]
        connection = self._connections
        watch = asyncio.create_task(_next_byte(reader))
        try:
            while first := await watch:
                request = await _read(reader, first, connection)
                watch = asyncio.create_task(_next_byte(reader))
                with self._came:
                    self.requests.append(request)
                    self._came.notify_all()
                queued = self._queued[request.path]
                answer = queued.popleft() if queued else self._otherwise(request)
                if not await self._answer(request, answer, writer, watch):
                    return
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # The client went away, or the stub is closing: either way nobody reads on.
            return
        finally:
            watch.cancel()
            writer.close()

    async def _answer(
        self, request: Request, answer: Answer, writer: asyncio.StreamWriter, watch: "asyncio.Task[bytes]"
    ) -> bool:
        """Write the answer until it is whole, breaks off, or the client closes; whether the connection lives on."""
        writing = asyncio.create_task(_write(answer, writer))
        try:
            await asyncio.wait((writing, watch), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            writing.cancel()
            raise
        if watch.done() and not watch.result():
            request.closed_at = time.perf_counter()
            request.closed.set()
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            return False
        goes_on = await writing
        request.answered.set()
        return goes_on


async def _next_byte(reader: asyncio.StreamReader) -> bytes:
    """The next byte, empty once the client has closed, gently or not."""
    try:
        return await reader.read(1)
    except ConnectionError:
        return b""


async def _read(reader: asyncio.StreamReader, first: bytes, connection: int) -> Request:
    head = (first + await reader.readuntil(b"\r\n\r\n")).decode()
    line, *rest = head.strip().split("\r\n")
    method, path, _ = line.split(" ")
    headers = {key.lower(): value.strip() for key, _, value in (item.partition(":") for item in rest)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path.partition("?")[0], headers, body, connection)


async def _write(answer: Answer, writer: asyncio.StreamWriter) -> bool:
    if answer.before_s:
        await asyncio.sleep(answer.before_s)
    if answer.gate and answer.gate.at == BEFORE_THE_HEAD:
        await answer.gate.stand()
    if answer.drop_at == BEFORE_THE_HEAD:
        return False
    framing = "Transfer-Encoding: chunked" if answer.chunked else f"Content-Length: {len(answer.body)}"
    head = [f"HTTP/1.1 {answer.status}", *(f"{key}: {value}" for key, value in answer.headers), framing]
    writer.write("\r\n".join([*head, "", ""]).encode())
    at = 0
    for piece in [*answer.pieces(), b""]:
        if answer.gate and at == answer.gate.at:
            await writer.drain()
            await answer.gate.stand()
        if answer.drop_at is not None and at >= answer.drop_at:
            await writer.drain()
            return False
        if piece and answer.chunked:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        else:
            writer.write(piece)
        await writer.drain()
        at += len(piece)
        if answer.gap_s:
            await asyncio.sleep(answer.gap_s)
    if answer.chunked:
        writer.write(b"0\r\n\r\n")
        await writer.drain()
    return True
