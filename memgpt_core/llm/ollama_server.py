"""An Ollama server beside its chats: is it there, what has it, what is loaded, get a model.

Lists, what is loaded and pulls go through the `ollama` package; the version and the model card do not, because
the package has no call for the one and drops the vocabulary of the other. Every call has an end in time, and
uses no proxy of the environment.
"""

import asyncio
import json
import os
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeVar

import ollama

from memgpt_core.errors import ModelUnavailable
from memgpt_core.llm import ollama_http, streams
from memgpt_core.llm.base import Stopped
from memgpt_core.llm.ollama_host import base_url, full_name, leaves_the_machine
from memgpt_core.llm.ollama_http import Limits
from memgpt_core.llm.ollama_refusals import NOT_OLLAMA, refusal
from memgpt_core.llm.ollama_wire import Shown, shown, version

T = TypeVar("T")

REACHABLE_S = 0.5
QUICK = Limits(connect_s=3.0, first_byte_s=15.0, idle_s=15.0)
"""For calls that read no model."""

PULL = Limits(connect_s=5.0, first_byte_s=120.0, idle_s=900.0)
"""A digest of many gigabytes is checked without a word in between."""

CARDS_AT_ONCE = 8


class ModelOnServer(NamedTuple):
    """A model that the server has.

    Attributes:
        capabilities: completion, tools, thinking, embedding, vision …; None when the server does not say.
        leaves_the_machine: it runs in Ollama's cloud, whatever the server's address.
    """

    name: str
    size_bytes: int
    digest: str
    family: str
    parameter_size: str
    quantization: str
    capabilities: frozenset[str] | None
    leaves_the_machine: bool


class Served(NamedTuple):
    """A model in the server's memory; `window_tokens` is what it is really served with, None when not told."""

    name: str
    digest: str
    size_bytes: int
    gpu_bytes: int
    window_tokens: int | None


class Pulling(NamedTuple):
    """How far a pull has come, over all layers that the server has named so far."""

    status: str
    completed_bytes: int
    total_bytes: int


def host_from_environment() -> str:
    """The base URL that OLLAMA_HOST spells; the default when it is not set.

    Raises:
        ConfigurationRefused: the spelling names no address.
    """
    return base_url(os.environ.get("OLLAMA_HOST", ""))


class OllamaServer:
    """One server; every method may raise `ModelUnavailable` with what to do, but for `reachable`."""

    def __init__(self, host: str) -> None:
        """`host` in any spelling of OLLAMA_HOST.

        Raises:
            ConfigurationRefused: the spelling names no address.
        """
        self.host = base_url(host)
        self._capabilities: dict[str, frozenset[str]] = {}

    def reachable(self, within_s: float = REACHABLE_S) -> bool:
        """Whether an Ollama server answers there within half a second."""
        try:
            self._version(Limits(within_s, within_s, within_s))
        except ModelUnavailable:
            return False
        return True

    def version(self) -> str:
        """The server's version."""
        return self._version(QUICK)

    def _version(self, limits: Limits) -> str:
        return version(streams.run(ollama_http.ask(self.host, "GET", "/api/version", limits=limits)))

    def show(self, model: str, *, verbose: bool = False) -> Shown:
        """A model's card; with `verbose` its `model_info` holds the vocabulary too, some megabytes."""
        return streams.run(self._show(model, verbose))

    async def _show(self, model: str, verbose: bool = False) -> Shown:
        content = json.dumps({"model": model, "verbose": verbose}).encode()
        return shown(await ollama_http.ask(self.host, "POST", "/api/show", content, QUICK, model=model))

    def models(self) -> tuple[ModelOnServer, ...]:
        """What the server has, newest first; each model's card is read once per digest."""
        return streams.run(self._models())

    async def _models(self) -> tuple[ModelOnServer, ...]:
        listed = (await self._through_package(lambda client: client.list())).models
        at_once = asyncio.Semaphore(CARDS_AT_ONCE)
        capabilities = await asyncio.gather(*(self._can(one.model or "", one.digest or "", at_once) for one in listed))
        return tuple(
            ModelOnServer(
                one.model or "",
                int(one.size or 0),
                one.digest or "",
                (one.details and one.details.family) or "",
                (one.details and one.details.parameter_size) or "",
                (one.details and one.details.quantization_level) or "",
                can,
                leaves_the_machine(one.model or ""),
            )
            for one, can in zip(listed, capabilities, strict=True)
        )

    async def _can(self, model: str, digest: str, at_once: asyncio.Semaphore) -> frozenset[str] | None:
        if digest not in self._capabilities:
            try:
                async with at_once:
                    card = await self._show(model)
            except ModelUnavailable:
                return None
            if card.capabilities is None:
                return None
            self._capabilities[digest] = frozenset(card.capabilities)
        return self._capabilities[digest]

    def served(self) -> tuple[Served, ...]:
        """The models in the server's memory."""
        listed = streams.run(self._through_package(lambda client: client.ps())).models
        return tuple(
            Served(
                one.model or one.name or "",
                one.digest or "",
                int(one.size or 0),
                int(one.size_vram or 0),
                one.context_length or None,
            )
            for one in listed
        )

    def served_window(self, model: str) -> int | None:
        """The window, in tokens, that the model is served with; None when it is not loaded or the server is old."""
        name = full_name(model)
        return next((one.window_tokens for one in self.served() if full_name(one.name) == name), None)

    def pull(
        self,
        model: str,
        progress: Callable[[Pulling], None] = lambda _: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Get a model; a pull that broke off or was stopped goes on where it was when it is asked for again.

        `progress` and `stopped` are called on this thread, some times a second.

        Raises:
            Stopped: `stopped` said so; the connection is closed, and the server stops.
        """
        layers = _Layers()

        def between() -> None:
            if (news := layers.news()) is not None:
                progress(news)
            if stopped():
                raise Stopped

        between()
        streams.run(self._pull(model, layers), between)
        if layers.status != "success":
            raise ModelUnavailable(f"The pull of {model} broke off. Start it again; it goes on where it was.")

    async def _pull(self, model: str, layers: "_Layers") -> None:
        async def through(client: ollama.AsyncClient) -> None:
            async for piece in await client.pull(model, stream=True):
                layers.take(piece)

        await self._through_package(through, PULL, model)

    async def _through_package(
        self, call: Callable[[ollama.AsyncClient], Coroutine[Any, Any, T]], limits: Limits = QUICK, model: str = ""
    ) -> T:
        client = ollama.AsyncClient(
            self.host,
            trust_env=False,
            timeout=limits.idle_s,
            follow_redirects=False,
            verify=ollama_http.checks_certificates(self.host),
        )
        try:
            with ollama_http.in_sentences(self.host, limits):
                return await call(client)
        except ollama.ResponseError as error:
            # Through the wire's own judge, so that a refusal reads the same whichever way it came.
            body = json.dumps({"error": error.error}).encode()
            raise refusal(200 if error.status_code < 0 else error.status_code, body, model=model) from None
        except (ValueError, TypeError, AttributeError):
            raise ModelUnavailable(f"The server at {self.host} answered with something else. {NOT_OLLAMA}") from None
        finally:
            await client.close()  # type: ignore[no-untyped-call]


class _Layers:
    """What a pull has told so far, added up over its layers; written on the loop's thread, read on another."""

    def __init__(self) -> None:
        self.status = ""
        self._layers: dict[str, tuple[int, int]] = {}
        self._news: Pulling | None = None

    def take(self, piece: ollama.ProgressResponse) -> None:
        self.status = piece.status or ""
        if piece.digest:
            self._layers[piece.digest] = (piece.completed or 0, piece.total or 0)
        completed, total = (
            (sum(sizes) for sizes in zip(*self._layers.values(), strict=True)) if self._layers else (0, 0)
        )
        self._news = Pulling(self.status, completed, total)

    def news(self) -> Pulling | None:
        """The newest, once."""
        news, self._news = self._news, None
        return news
