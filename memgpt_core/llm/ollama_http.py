"""One HTTP exchange with an Ollama server, bounded in time, its failures in sentences.

Runs on the loop of `streams` and nowhere else; a client per server is kept there, so that connections are
reused. Does not know what the bytes mean (`ollama_wire` does). No proxy of the environment is used: what is
said to a model on this machine leaves it through no proxy.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx

from memgpt_core.errors import ModelUnavailable
from memgpt_core.llm import streams
from memgpt_core.llm.ollama_refusals import AGAIN, NOT_OLLAMA, refusal

AFTER_THE_END_S = 1.0
"""How long a stream whose reply is whole may take to end; the connection is dropped after it."""

ERROR_BODY_BYTES = 65536
WRITE_S = 60.0


class Limits(NamedTuple):
    """How long to wait, in seconds.

    Attributes:
        connect_s: for the server to take the connection.
        first_byte_s: for the first byte of the answer: the queue, loading the model, reading the prompt.
        idle_s: between two pieces; long, because along one path a function call arrives only when it is whole.
    """

    connect_s: float = 5.0
    first_byte_s: float = 1800.0
    idle_s: float = 600.0


LIMITS = Limits()


class _Stale(Exception):
    """A kept-alive connection turned out to be dead before a byte of the answer."""


async def exchange(
    host: str,
    method: str,
    path: str,
    content: bytes | None,
    limits: Limits,
    *,
    take: Callable[[bytes], bool],
    sent: Callable[[], None] = lambda: None,
    model: str = "",
) -> None:
    """Send a request and hand each piece of a good answer to `take`, which is True once it needs no more.

    `sent` is called when the whole request is on its way. A dead kept-alive connection is retried once, on a
    fresh one. Cancelling the task closes the connection, at any moment.

    Raises:
        ModelUnavailable, ContextOverflow: no whole answer came; the message says why and what to do.
    """
    request = _Request(host, method, path, content, limits, model)
    try:
        await _once(_client(host), request, take, sent)
    except _Stale:
        async with _new_client(host) as fresh:
            await _once(fresh, request, take, sent)


async def ask(
    host: str, method: str, path: str, content: bytes | None = None, limits: Limits = LIMITS, *, model: str = ""
) -> bytes:
    """The whole body of a good answer; raises as `exchange` does."""
    body = bytearray()

    def take(piece: bytes) -> bool:
        body.extend(piece)
        return False

    await exchange(host, method, path, content, limits, take=take, model=model)
    return bytes(body)


@contextmanager
def in_sentences(host: str, limits: Limits) -> Iterator[None]:
    """Turn what the HTTP library raises into a `ModelUnavailable` that says what to do."""
    try:
        yield
    except httpx.ConnectTimeout:
        raise ModelUnavailable(
            f"Nothing at {host} took the connection within {limits.connect_s:g} s. Is OLLAMA_HOST right, and is that "
            "machine on?"
        ) from None
    except (httpx.ConnectError, ConnectionError) as error:
        raise ModelUnavailable(
            f"No model server answers at {host} ({_short(error)}). Start it with `ollama serve` or by opening the "
            "Ollama application, or set OLLAMA_HOST to where it runs."
        ) from None
    except httpx.TimeoutException:
        raise ModelUnavailable(f"The model server at {host} stopped taking the request. {AGAIN}") from None
    except httpx.HTTPError as error:
        raise ModelUnavailable(f"The connection to the model server broke ({_short(error)}). {AGAIN}") from None


# --- one attempt -----------------------------------------------------------------------------------------------


class _Request(NamedTuple):
    host: str
    method: str
    path: str
    content: bytes | None
    limits: Limits
    model: str


class _Trace:
    """What the connection pool says of one attempt: whether it opened a connection, when the request was out."""

    def __init__(self, sent: Callable[[], None]) -> None:
        self.opened = False
        self._sent = sent

    async def __call__(self, event: str, _: Any) -> None:
        if event == "connection.connect_tcp.started":
            self.opened = True
        elif event == "http11.send_request_body.complete":
            self._sent()


async def _once(
    client: httpx.AsyncClient, request: _Request, take: Callable[[bytes], bool], sent: Callable[[], None]
) -> None:
    trace = _Trace(sent)
    answered = whole = False
    limits = request.limits
    # Waiting for an answer is bounded by the clock below, whose end has a sentence of its own.
    timeout = httpx.Timeout(None, connect=limits.connect_s, write=WRITE_S)
    with in_sentences(request.host, limits):
        try:
            async with (
                asyncio.timeout(limits.first_byte_s) as clock,
                client.stream(
                    request.method,
                    request.path,
                    content=request.content,
                    timeout=timeout,
                    extensions={"trace": trace},
                ) as response,
            ):
                answered = True
                await _check(response, request.model)
                now = asyncio.get_running_loop().time
                async for piece in response.aiter_bytes():
                    if not whole:
                        whole = take(piece)
                        clock.reschedule(now() + (AFTER_THE_END_S if whole else limits.idle_s))
        except TimeoutError:
            if not whole:
                raise ModelUnavailable(_too_slow(limits, answered)) from None
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            if not answered and not trace.opened:
                raise _Stale from None
            if not whole:
                raise


async def _check(response: httpx.Response, model: str) -> None:
    if response.status_code != 200:
        body = bytearray()
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > ERROR_BODY_BYTES:
                break
        raise refusal(response.status_code, bytes(body), model=model)
    kind = response.headers.get("content-type", "json")
    if "json" not in kind:
        raise ModelUnavailable(
            f"The server answered with {kind.partition(';')[0]} instead of a model's reply. {NOT_OLLAMA}"
        )


def _too_slow(limits: Limits, answered: bool) -> str:
    if answered:
        return (
            f"The model server sent nothing more for {limits.idle_s:g} s in the middle of its reply. {AGAIN} If it "
            "happens again, restart the server."
        )
    return (
        f"The model server did not begin to answer within {limits.first_byte_s:g} s. It may be busy with other "
        "requests, or the model may be too large for the machine: choose a smaller model or a smaller window."
    )


def _short(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:200]


# --- clients, on the loop's thread alone -----------------------------------------------------------------------

_clients: dict[str, httpx.AsyncClient] = {}


def _client(host: str) -> httpx.AsyncClient:
    if host not in _clients:
        _clients[host] = _new_client(host)
        streams.before_the_end(_clients[host].aclose)
    return _clients[host]


def _new_client(host: str) -> httpx.AsyncClient:
    headers = {"content-type": "application/json", "accept-encoding": "identity"}
    return httpx.AsyncClient(base_url=host, headers=headers, trust_env=False, verify=checks_certificates(host))


def checks_certificates(host: str) -> bool:
    """False for plain HTTP, which has none; reading the certificates of the world takes a while."""
    return host.startswith("https:")
