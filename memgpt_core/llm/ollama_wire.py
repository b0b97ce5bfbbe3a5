"""Ollama's good answers, read: replies put together from the pieces of a stream, vectors, model cards, versions.

Pure: is handed bytes and knows neither connection nor clock. Ollama answers a chat along two paths (its own
template or the model's), which differ in where a function call stands and in its id; both come out of here alike.
"""

import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from memgpt_core.errors import ModelUnavailable
from memgpt_core.events import Call, Measured
from memgpt_core.llm.base import Reply
from memgpt_core.llm.ollama_refusals import AGAIN, NOT_OLLAMA, quoted, refusal

LINE_LIMIT = 16 * 2**20
"""No line of a stream is longer than this, in bytes; what is longer is no stream of Ollama's."""


class _Wire(BaseModel):
    """Unknown fields are ignored: servers grow them."""

    model_config = ConfigDict(extra="ignore", frozen=True)


_AnyWire = TypeVar("_AnyWire", bound=_Wire)


# --- chat ------------------------------------------------------------------------------------------------------


class _Function(_Wire):
    name: str = ""
    arguments: Any = None


class _ToolCall(_Wire):
    id: str | None = None
    function: _Function = _Function()


class _Message(_Wire):
    content: str | None = None
    thinking: str | None = None
    tool_calls: tuple[_ToolCall, ...] | None = None


class _ChatLine(_Wire):
    message: _Message | None = None
    done: bool = False
    done_reason: str | None = None
    error: Any = None
    prompt_eval_count: Any = None
    prompt_eval_cached_count: Any = None
    eval_count: Any = None
    load_duration: Any = None
    prompt_eval_duration: Any = None
    eval_duration: Any = None


class ChatStream:
    """One reply, put together from the pieces of its stream, however they are cut.

    `text` and `thought` are called with what came in, as it comes in.
    """

    def __init__(
        self,
        *,
        model: str = "",
        text: Callable[[str], None] = lambda _: None,
        thought: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._model = model
        self._tell_text, self._tell_thought = text, thought
        self._rest = bytearray()
        self._content: list[str] = []
        self._thinking: list[str] = []
        self._calls: list[Call] = []
        self._last: _ChatLine | None = None

    def feed(self, piece: bytes) -> bool:
        """Take the next piece; True once the reply is whole, and whatever follows is not read.

        Raises:
            ModelUnavailable, ContextOverflow: a line reports a failure, or is no line of a chat.
        """
        self._rest += piece
        if b"\n" in piece:
            *lines, rest = self._rest.split(b"\n")
            self._rest = rest
            for line in lines:
                self._take(line)
        if len(self._rest) > LINE_LIMIT:
            raise ModelUnavailable(f"The model server sent a line without end. {NOT_OLLAMA}")
        return self._last is not None

    def reply(self) -> Reply:
        """The whole reply; call it when the stream has ended.

        Raises:
            ModelUnavailable: the stream ended before the reply was whole.
        """
        self._take(self._rest)
        self._rest = bytearray()
        if self._last is None:
            raise ModelUnavailable(
                "The model server ended its stream before the reply was whole: it was stopped, or it cut off a "
                f"model that repeated itself. {AGAIN}"
            )
        return Reply(
            "".join(self._content),
            "".join(self._thinking),
            tuple(self._calls),
            self._last.done_reason or "",
            _measured(self._last),
        )

    def _take(self, line: bytearray) -> None:
        if self._last is not None or not line.strip():
            return
        try:
            said = _ChatLine.model_validate_json(line)
        except ValidationError:
            raise ModelUnavailable(
                f"The model server sent something that is no line of a chat: {quoted(line)}. {AGAIN}"
            ) from None
        if said.error is not None:
            raise refusal(200, bytes(line), model=self._model)
        if said.message is not None:
            self._hear(said.message)
        if said.done:
            self._last = said

    def _hear(self, message: _Message) -> None:
        if message.thinking:
            self._thinking.append(message.thinking)
            self._tell_thought(message.thinking)
        if message.content:
            self._content.append(message.content)
            self._tell_text(message.content)
        for call in message.tool_calls or ():
            self._calls.append(_call(call, {known.id for known in self._calls}, len(self._calls)))


def _call(call: _ToolCall, taken: set[str], position: int) -> Call:
    """The call with an id of its own: a server may give none, and results are matched to calls by id."""
    id = call.id or f"call_{position}"
    while id in taken:
        id += f"_{position}"
    given = call.function.arguments
    arguments = {} if given is None else given if isinstance(given, dict | str) else json.dumps(given)
    return Call(id=id, name=call.function.name, arguments=arguments)


def _measured(last: _ChatLine) -> Measured:
    # A zero is never written to the wire, so that an absent count is an unknown one; only the newer cached
    # count is written always, and there a zero is a fact.
    return Measured(
        prompt_tokens=_count(last.prompt_eval_count) or None,
        cached_tokens=_count(last.prompt_eval_cached_count),
        reply_tokens=_count(last.eval_count) or None,
        load_s=_seconds(last.load_duration),
        prefill_s=_seconds(last.prompt_eval_duration),
        generate_s=_seconds(last.eval_duration),
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _seconds(nanoseconds: Any) -> float | None:
    whole = _count(nanoseconds)
    return whole / 1e9 if whole else None


# --- embeddings, model cards, what is loaded ---------------------------------------------------------------------


class _Embedded(_Wire):
    embeddings: list[list[float | None]]


class _Version(_Wire):
    version: str


class Loaded(_Wire):
    """A model in the server's memory; `context_length` is the window it is really served with, 0 when not told."""

    name: str = ""
    digest: str = ""
    size: int = 0
    size_vram: int = 0
    context_length: int = 0


class _Ps(_Wire):
    models: tuple[Loaded, ...] | None = None


class Shown(_Wire):
    """A model's card (`/api/show`).

    Attributes:
        parameters: as in a Modelfile, one `name value` a line.
        model_info: the GGUF keys; with `verbose` also the vocabulary.
    """

    model_config = ConfigDict(protected_namespaces=())

    parameters: str = ""
    template: str = ""
    capabilities: tuple[str, ...] | None = None
    model_info: dict[str, Any] = Field(default_factory=dict)
    remote_host: str = ""

    @property
    def context_length(self) -> int | None:
        """The window the model was trained for, in tokens; None when the card does not say."""
        return self._of_architecture("context_length")

    @property
    def embedding_length(self) -> int | None:
        """How long the model's vectors are; None when the card does not say."""
        return self._of_architecture("embedding_length")

    @property
    def num_ctx(self) -> int | None:
        """The window the Modelfile asks for, in tokens; None when it asks for none."""
        found = re.search(r"^num_ctx\s+(\d+)", self.parameters, re.MULTILINE)
        return int(found[1]) if found else None

    def _of_architecture(self, key: str) -> int | None:
        return _count(self.model_info.get(f"{self.model_info.get('general.architecture')}.{key}")) or None


def embeddings(body: bytes) -> list[list[float | None]]:
    """The vectors of an `/api/embed` answer.

    Raises:
        ModelUnavailable: it is none.
    """
    return _read(_Embedded, body).embeddings


def version(body: bytes) -> str:
    """The version in an `/api/version` answer.

    Raises:
        ModelUnavailable: it is none.
    """
    return _read(_Version, body).version


def loaded(body: bytes) -> tuple[Loaded, ...]:
    """The models in an `/api/ps` answer.

    Raises:
        ModelUnavailable: it is none.
    """
    return _read(_Ps, body).models or ()


def shown(body: bytes) -> Shown:
    """The card in an `/api/show` answer.

    Raises:
        ModelUnavailable: it is none.
    """
    return _read(Shown, body)


def _read(kind: type[_AnyWire], body: bytes) -> _AnyWire:
    try:
        return kind.model_validate_json(body)
    except ValidationError:
        raise ModelUnavailable(f"The server answered with something else: {quoted(body)}. {NOT_OLLAMA}") from None
