"""How an agent's texts are counted and embedded: by its model's own means where the server gives them.

Joins what the connection knows of a model with what the home has learned of it; decides nothing about memory.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from memgpt_core.connection import Connection
from memgpt_core.embedders import Embedders
from memgpt_core.embedding.base import Embedder
from memgpt_core.embedding.hashing import HashingEmbedder
from memgpt_core.embedding.minilm import MiniLMEmbedder
from memgpt_core.embedding.ollama import OllamaEmbedder
from memgpt_core.errors import ModelUnavailable
from memgpt_core.settings import DEMO, AgentSettings
from memgpt_core.state import State
from memgpt_core.tokens import counted_by

_MINILM = MiniLMEmbedder()
"""One for all agents: its weights take 90 MB."""


class Means:
    """One agent's counters and embedders; without a connection there are the built-in ones.

    The embedders are those of the home, where there are such.
    """

    def __init__(self, connection: Connection | None, embedders: Embedders | None = None) -> None:
        self._connection = connection
        self._embedders = embedders or Embedders()

    def known(self, model: str) -> dict[str, Any]:
        """What the home has learned of a model."""
        return self._connection.knowledge.of(model) if self._connection and model != DEMO else {}

    def counter(self, model: str) -> Callable[[str], int] | None:
        """Exact token counts by the model's vocabulary; None when it is not there (yet)."""
        return self._connection.vocabulary(model) if self._connection and model != DEMO else None

    def counting(self, state: State) -> AbstractContextManager[None]:
        """Count as the present counts were made: exactly when they are exact, so that units never mix."""
        return counted_by(self.counter(state.settings.model) if state.counted_by else None)

    def serve(self, agent_id: str, settings: AgentSettings) -> AgentSettings:
        """Settings that ask for the one window all agents of the model share, the largest any of them wants.

        Two agents that asked for different windows would have the server load the model anew at each turn.
        """
        if self._connection is None or settings.model == DEMO:
            return settings.model_copy(update={"served_tokens": 0})
        knowledge = self._connection.knowledge
        for model in knowledge.models():
            windows = knowledge.of(model).get("windows", {})
            if agent_id in windows and model != settings.model:
                knowledge.learn(model, windows={agent: size for agent, size in windows.items() if agent != agent_id})
        windows = {**knowledge.of(settings.model).get("windows", {}), agent_id: settings.window_tokens}
        knowledge.learn(settings.model, windows=windows)
        return settings.model_copy(update={"served_tokens": max(windows.values())})

    def keep_learned(self, state: State) -> None:
        """Keep what an agent's turns taught about its model for the next agent that uses it."""
        if self._connection and state.settings.model != DEMO:
            learned: dict[str, float] = (
                {"template_tokens": state.template_tokens} if state.counted_by else {"token_factor": state.token_factor}
            )
            self._connection.knowledge.learn(state.settings.model, **learned)

    def embedder(self, name: str) -> Embedder | None:
        """The embedder of that name in the settings; None when there is none or its dimension was never learned."""
        if name == "hashing":
            return self._embedders.shared(name, HashingEmbedder)
        if name == "minilm":
            return self._embedders.shared(name, lambda: _MINILM)
        model = name.removeprefix("ollama:")
        dim = int(self.known(model).get("dim", 0)) if name != "none" else 0
        if not dim or self._connection is None or not self._connection.host:
            return None
        host = self._connection.host
        return self._embedders.shared((host, model, dim), lambda: OllamaEmbedder(host, model, dim=dim))

    def learn_dimension(self, name: str, *, anew: bool = False) -> None:
        """Ask an Ollama embedding model how long its vectors are: once, or `anew`, as it may have been replaced there.

        Raises:
            ModelUnavailable: it cannot be asked, and never was.
        """
        model = name.removeprefix("ollama:")
        known = bool(self.known(model).get("dim"))
        if model == name or self._connection is None or (known and not anew):
            return
        try:
            self._connection.knowledge.learn(model, dim=OllamaEmbedder(self._connection.server().host, model).learn())
        except ModelUnavailable:
            if not known:
                raise
