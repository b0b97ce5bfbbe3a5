"""A chat model served by Ollama: sends a request body as it is, and returns one whole reply or raises.

Knows the chat call alone; where the server is and what it has is `ollama_server`'s. A reply that broke off is
never returned. All that is told to `Progress` is told on the calling thread, a few times in a tenth of a second.
"""

import asyncio
from collections import deque
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal

from memgpt_core.errors import ModelUnavailable
from memgpt_core.llm import ollama_http, streams
from memgpt_core.llm.base import Phase, Progress, Reply, Stopped
from memgpt_core.llm.ollama_host import DEFAULT_HOST, base_url, full_name
from memgpt_core.llm.ollama_http import LIMITS, Limits
from memgpt_core.llm.ollama_wire import ChatStream, loaded
from memgpt_core.prompt import encode_body

PS_LIMITS = Limits(connect_s=2.0, first_byte_s=2.0, idle_s=2.0)
"""Asking whether the model is loaded serves the screen only; nobody waits for it."""


class OllamaModel:
    """A source of replies at one server; the model and every option are in the request body."""

    def __init__(self, host: str = DEFAULT_HOST, *, limits: Limits = LIMITS) -> None:
        """`host` in any spelling of OLLAMA_HOST.

        Raises:
            ConfigurationRefused: the spelling names no address.
        """
        self.host = base_url(host)
        self._limits = limits

    def chat(self, body: dict[str, Any], progress: Progress) -> Reply:
        """The whole reply to a request body; the bytes sent are those of `prompt.encode_body`.

        Raises:
            ContextOverflow: the server says that the prompt is longer than its window.
            ModelUnavailable: no whole reply came; the message says why and what to do.
            Stopped: a person asked to stop; the connection is closed.
        """
        news = _News(progress)
        news.tell()
        stream = ChatStream(model=body["model"], text=news.text, thought=news.thought)
        return streams.run(self._chat(body, stream, news), between=news.tell)

    async def _chat(self, body: dict[str, Any], stream: ChatStream, news: "_News") -> Reply:
        news.phase("waiting", f"for the model server at {self.host}")
        asked: list[asyncio.Task[None]] = []

        def sent() -> None:
            if not asked:
                asked.append(asyncio.create_task(self._tell_whether_loaded(body, news)))

        def take(piece: bytes) -> bool:
            news.begun()
            return stream.feed(piece)

        try:
            await ollama_http.exchange(
                self.host,
                "POST",
                "/api/chat",
                encode_body(body),
                self._limits,
                take=take,
                sent=sent,
                model=body["model"],
            )
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        return stream.reply()

    async def _tell_whether_loaded(self, body: dict[str, Any], news: "_News") -> None:
        """Tell what the server is busy with until its first byte: it says nothing itself, only what it has loaded."""
        try:
            models = loaded(await ollama_http.ask(self.host, "GET", "/api/ps", limits=PS_LIMITS))
        except ModelUnavailable:
            return
        window = body.get("options", {}).get("num_ctx")
        name = full_name(body["model"])
        # A model that is loaded with another window is loaded anew.
        ready = any(
            full_name(one.name) == name and one.context_length in (0, window or one.context_length) for one in models
        )
        news.before_the_reply(ready, body["model"])


class _News:
    """Carries news of a stream from the loop's thread to the thread that waits for the reply.

    `phase`, `text`, `thought`, `begun` are called on the loop's thread, `tell` on the waiting one.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._waiting: deque[tuple[Literal["phase", "text", "thought"], Any]] = deque()
        self._begun = False

    def phase(self, phase: Phase, detail: str = "") -> None:
        self._waiting.append(("phase", (phase, detail)))

    def text(self, piece: str) -> None:
        self._waiting.append(("text", piece))

    def thought(self, piece: str) -> None:
        self._waiting.append(("thought", piece))

    def before_the_reply(self, ready: bool, model: str) -> None:
        """The server works on the request; `ready` when it has the model in memory."""
        if self._begun:
            return
        if ready:
            self.phase("reading the prompt")
        else:
            self.phase("loading the model", model)

    def begun(self) -> None:
        """The reply has begun."""
        if not self._begun:
            self._begun = True
            self.phase("generating")

    def tell(self) -> None:
        """Pass on what came in since the last time, pieces of a kind in one.

        Raises:
            Stopped: a person asked to stop.
        """
        came = [self._waiting.popleft() for _ in range(len(self._waiting))]
        for kind, news in groupby(came, key=itemgetter(0)):
            if kind == "phase":
                for _, (phase, detail) in news:
                    self._progress.phase(phase, detail)
            elif kind == "text":
                self._progress.text("".join(piece for _, piece in news))
            else:
                self._progress.thought("".join(piece for _, piece in news))
        if self._progress.stopped():
            raise Stopped
