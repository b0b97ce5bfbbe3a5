"""One Ollama server as pages see it: is it there, what it has, pulls on their way, who waits for whom.

A thread of its own looks at the server while somebody looks at us, so that reading here never waits for the
network. Agents share the server through a turnstile: first come, first served, and nobody starves.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

from memgpt_core.errors import ConfigurationRefused, MemscopeError, ModelUnavailable
from memgpt_core.knowledge import Knowledge
from memgpt_core.llm.base import ChatModel, Progress, Reply
from memgpt_core.llm.ollama import OllamaModel
from memgpt_core.llm.ollama_host import full_name
from memgpt_core.llm.ollama_server import ModelOnServer, OllamaServer, host_from_environment
from memgpt_core.llm.vocabulary import Vocabulary
from memgpt_core.pulls import Pulls, PullView
from memgpt_core.turnstile import Turnstile

LOOK_EVERY_S = 5.0
LOOKED_AT_FOR_S = 30.0
"""The server is asked again as long as somebody has looked within this time."""

READ_AGAINST = (0, 33)
"""The server version whose protocol the adapter was written to."""

SUGGESTED: tuple[tuple[str, float, str], ...] = (
    ("qwen3:4b", 2.6, "tools and thinking; fits a laptop with 8 GB"),
    ("qwen3.5:4b", 3.4, "tools and thinking; fits a laptop with 8 GB"),
    ("qwen3:8b", 5.2, "better at calls; wants 12 GB"),
    ("gpt-oss:20b", 13.0, "the strongest of these; wants 16 GB for itself"),
    ("nomic-embed-text", 0.3, "embeddings only: search by meaning"),
)
"""(name, size in GB, note): a short list that fits laptops; none is a finding of ours."""


class ModelCard(NamedTuple):
    """A model the server has. `trained_window` is in tokens, 0 when the server does not say."""

    name: str
    size_bytes: int
    parameters: str
    quantization: str
    digest: str
    tools: bool
    thinking: bool
    embedding: bool
    trained_window: int
    cloud: bool


class ServerView(NamedTuple):
    """The server as it was when last looked at; `why` says what was tried and what to do."""

    host: str
    state: Literal["looking", "found", "missing", "refused"]
    why: str
    version: str
    old: str
    models: tuple[ModelCard, ...]
    checked_s_ago: float


class _Served(NamedTuple):
    """A chat model at the server, as one agent uses it: through the turnstile, with the served window noted."""

    connection: "Connection"
    agent: str

    def chat(self, body: dict[str, Any], progress: Progress) -> Reply:
        """The reply to a request body. Raises as `OllamaModel.chat`."""
        with self.connection.turnstile.turn(self.agent, progress):
            reply = OllamaModel(self.connection.host).chat(body, progress)
        self.connection.look_again()
        window = self.connection.served_window(body["model"])
        return reply._replace(measured=reply.measured.model_copy(update={"served_window": window or None}))


class Connection:
    """The home's one Ollama server, at `OLLAMA_HOST` or the default address."""

    def __init__(self, folder: Path) -> None:
        """`folder` keeps what is learned of models (`models.json`) and their vocabularies."""
        self.knowledge = Knowledge(folder / "models.json")
        self.turnstile = Turnstile()
        self.version = 0
        self._folder = folder / "vocabularies"
        self._server: OllamaServer | None = None
        self._view = ServerView("", "looking", "", "", "", (), 0.0)
        try:
            self._server = OllamaServer(host_from_environment())
            self._view = self._view._replace(
                host=self._server.host, why=f"Looking for a server at {self._server.host}."
            )
        except ConfigurationRefused as error:
            self._view = self._view._replace(state="refused", why=str(error))
        self._checked = 0.0
        self._looked_at = 0.0
        self._wanted = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._pulls = Pulls(self.server, self._pull_moved)
        self._windows: dict[str, int] = {}
        self._trained: dict[str, int] = {}
        self._vocabularies: dict[str, Vocabulary | None] = {}

    @property
    def host(self) -> str:
        """The server's base URL; empty when OLLAMA_HOST names none."""
        return self._view.host

    def close(self) -> None:
        """Stop looking; pulls are cancelled and can be resumed."""
        self._closed.set()
        self._wanted.set()
        self._pulls.cancel_all()

    # --- the server ---------------------------------------------------------------------------------------------

    def view(self) -> ServerView:
        """The server as last seen; never waits, and has it looked at again from time to time."""
        self._looked_at = time.monotonic()
        self._look()
        ago = time.monotonic() - self._checked if self._checked else 0.0
        return self._view._replace(checked_s_ago=ago)

    def look_again(self) -> None:
        """Have the server looked at now, in the background."""
        self._looked_at = time.monotonic()
        if self._view.state == "missing":
            self._view = self._view._replace(state="looking", why=f"Looking for a server at {self.host}.")
            self.version += 1
        self._wanted.set()
        self._look()

    def card(self, model: str) -> ModelCard | None:
        """The card of a model as last seen; None when the server is not there or has no such model."""
        name = full_name(model)
        return next((card for card in self._view.models if full_name(card.name) == name), None)

    def served_window(self, model: str) -> int:
        """The window the model is served with, in tokens, as last seen; 0 when it is not loaded or unknown."""
        return self._windows.get(full_name(model), 0)

    def model_for(self, agent: str) -> ChatModel:
        """The server's models as an agent of that name uses them."""
        return _Served(self, agent)

    def server(self) -> OllamaServer:
        """The server to ask directly. Raises `ModelUnavailable` when OLLAMA_HOST names none."""
        if self._server is None:
            raise ModelUnavailable(self._view.why)
        return self._server

    def _look(self) -> None:
        with self._starting:
            if self._server is not None and self._thread is None and not self._closed.is_set():
                self._wanted.set()
                self._thread = threading.Thread(target=self._keep_looking, name="ollama", daemon=True)
                self._thread.start()

    def _keep_looking(self) -> None:
        while not self._closed.is_set():
            self._wanted.wait(LOOK_EVERY_S)
            wanted = self._wanted.is_set()
            self._wanted.clear()
            if self._closed.is_set():
                return
            if wanted or time.monotonic() - self._looked_at < LOOKED_AT_FOR_S:
                self._look_once()

    def _look_once(self) -> None:
        server = self.server()
        try:
            version = server.version()
            models = tuple(self._as_card(server, model) for model in server.models())
            self._windows = {full_name(one.name): one.window_tokens or 0 for one in server.served()}
            seen = ServerView(server.host, "found", "", version, _age(version), models, 0.0)
        except MemscopeError as error:
            seen = ServerView(server.host, "missing", str(error), "", "", (), 0.0)
        self._checked = time.monotonic()
        if seen != self._view:
            self._view = seen
            self.version += 1

    def _as_card(self, server: OllamaServer, model: ModelOnServer) -> ModelCard:
        if model.digest not in self._trained:
            with suppress(ModelUnavailable):
                self._trained[model.digest] = server.show(model.name).context_length or 0
        can = model.capabilities or frozenset()
        return ModelCard(
            name=model.name,
            size_bytes=model.size_bytes,
            parameters=model.parameter_size,
            quantization=model.quantization,
            digest=model.digest,
            # A server too old to say what a model can do gets the benefit of the doubt.
            tools="tools" in can or model.capabilities is None,
            thinking="thinking" in can,
            embedding="embedding" in can,
            trained_window=self._trained.get(model.digest, 0),
            cloud=model.leaves_the_machine,
        )

    # --- pulls --------------------------------------------------------------------------------------------------

    def pulls(self) -> list[PullView]:
        """Pulls on their way or over since the start, newest last."""
        return self._pulls.views()

    def pull(self, model: str) -> None:
        """Get a model in the background; one that broke off or was cancelled goes on where it was."""
        self._pulls.start(model)

    def cancel_pull(self, model: str) -> None:
        """Stop a pull; what has come stays and is not fetched again."""
        self._pulls.cancel(model)

    def _pull_moved(self, over: bool) -> None:
        self.version += 1
        if over:
            self.look_again()

    # --- vocabularies -------------------------------------------------------------------------------------------

    def vocabulary(self, model: str) -> Callable[[str], int] | None:
        """Counts a text's tokens exactly as the model does; None while it is not known, and when it cannot be.

        Asked for the first time it is fetched in the background; later it is read from the home.
        """
        card = self.card(model)
        if card is None or not card.digest or card.cloud:
            return None
        if card.digest not in self._vocabularies:
            self._vocabularies[card.digest] = None
            threading.Thread(target=self._fetch, args=(card,), name=f"vocabulary {model}", daemon=True).start()
        found = self._vocabularies[card.digest]
        return found.count if found else None

    def _fetch(self, card: ModelCard) -> None:
        path = self._folder / f"{card.digest.removeprefix('sha256:')[:32]}.json.gz"
        with suppress(MemscopeError, OSError, ValueError):
            found = Vocabulary.load(path, card.digest)
            if found is None:
                found = Vocabulary.from_show(self.server().show(card.name, verbose=True).model_dump())
                if found is not None:
                    self._folder.mkdir(parents=True, exist_ok=True)
                    found.save(path, card.digest)
            self._vocabularies[card.digest] = found
            self.version += 1


def _age(version: str) -> str:
    """What does not work with a server older than the one the adapter was read against; empty when it is not."""
    numbers = tuple(int(part) for part in version.split("-")[0].split(".")[:2] if part.isdigit())
    if len(numbers) < 2 or numbers >= READ_AGAINST:
        return ""
    return (
        f"This server is version {version}; Memscope was written to 0.33. An older one may ignore `truncate: false` "
        "and cut a long prompt without a word (Memscope then says so after the step), and does not count cached tokens."
    )
