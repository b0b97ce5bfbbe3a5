"""The same adapter against a real Ollama server at OLLAMA_HOST: a turn, an overflow, a cancel, an embed.

Skipped with its reason where there is none. `MEMSCOPE_LIVE_MODEL` and `MEMSCOPE_LIVE_EMBEDDER` choose among the models
that the server has; otherwise the smallest that can do it is taken. Nothing is pulled.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from memgpt_core.embedding.ollama import OllamaEmbedder
from memgpt_core.errors import ContextOverflow
from memgpt_core.llm.base import Reply, Stopped
from memgpt_core.llm.ollama import OllamaModel
from memgpt_core.llm.ollama_host import full_name
from memgpt_core.llm.ollama_server import OllamaServer, host_from_environment
from tests.engine import kinds
from tests.test_ollama import Heard

pytestmark = pytest.mark.live

WINDOW_TOKENS = 4096
LIVE_PATIENCE_S = 600.0


@pytest.fixture(scope="module")
def server() -> OllamaServer:
    one = OllamaServer(host_from_environment())
    if not one.reachable():
        pytest.skip(f"no Ollama server answers at {one.host}; start one, or set OLLAMA_HOST")
    return one


def smallest(server: OllamaServer, capability: str, chosen: str) -> str:
    """The chosen model, else the smallest on the server that has the capability and runs there."""
    models = [
        model
        for model in sorted(server.models(), key=lambda model: model.size_bytes)
        if capability in (model.capabilities or ()) and not model.leaves_the_machine
    ]
    wanted = os.environ.get(chosen, "")
    if wanted:
        models = [model for model in models if model.name == full_name(wanted)]
    if not models:
        pytest.skip(f"the server at {server.host} has no model {wanted} that can do '{capability}'; {chosen} names one")
    return models[0].name


@pytest.fixture(scope="module")
def chat_model(server: OllamaServer) -> str:
    return smallest(server, "tools", "MEMSCOPE_LIVE_MODEL")


def body(model: str, text: str, **options: Any) -> dict[str, Any]:
    return {
        "model": model,
        "stream": True,
        "keep_alive": "5m",
        "truncate": False,
        "shift": False,
        "options": {"num_ctx": WINDOW_TOKENS, "num_predict": 64, "temperature": 0, "seed": 1} | options,
        "messages": [{"role": "user", "content": text}],
    }


def test_a_reply_has_text_and_figures(server: OllamaServer, chat_model: str) -> None:
    heard = Heard()
    reply = OllamaModel(server.host).chat(body(chat_model, "Say hello in one word."), heard)
    assert reply.content or reply.thinking
    assert "".join(heard.texts) == reply.content
    assert reply.done_reason in ("stop", "length")
    assert reply.measured.prompt_tokens
    assert reply.measured.reply_tokens
    assert server.served_window(chat_model) == WINDOW_TOKENS


def test_a_turn_ends(server: OllamaServer, chat_model: str, engine: Callable[..., Any]) -> None:
    model = OllamaModel(server.host)

    class Named:
        def chat(self, asked: dict[str, Any], progress: Any) -> Reply:
            return model.chat(asked | {"model": chat_model}, progress)

    events = engine(model=Named()).tell("My name is Ada and I like tea. Please greet me.")
    assert "model_replied" in kinds(events)
    assert events[-1].kind == "turn_ended"
    assert events[-1].reason != "fault", [event.error for event in events if event.kind == "fault_recorded"]


def test_a_prompt_longer_than_the_window_is_refused(server: OllamaServer, chat_model: str) -> None:
    with pytest.raises(ContextOverflow):
        OllamaModel(server.host).chat(body(chat_model, "tea and biscuits, " * WINDOW_TOKENS), Heard())


def test_a_stop_is_obeyed_and_the_server_lives_on(server: OllamaServer, chat_model: str) -> None:
    model, heard = OllamaModel(server.host), Heard()
    with ThreadPoolExecutor(1) as pool:
        asked = body(chat_model, "Count from one to a thousand, in words.", num_predict=1000)
        reply = pool.submit(model.chat, asked, heard)
        begun = threading.Event()
        while not begun.wait(0.01) and not reply.done():
            if any(phase == "generating" for phase, _ in heard.phases):
                begun.set()
        heard.stop.set()
        with pytest.raises(Stopped):
            reply.result(LIVE_PATIENCE_S)
    assert model.chat(body(chat_model, "Say hello."), Heard()).done_reason


def test_vectors_are_unit_and_near_for_near_texts(server: OllamaServer) -> None:
    embedder = OllamaEmbedder(server.host, smallest(server, "embedding", "MEMSCOPE_LIVE_EMBEDDER"))
    texts = ["The cat sleeps on the sofa.", "A cat is asleep on the couch.", "Quarterly tax returns are due in May."]
    vectors = embedder.embed([*texts, "long " * 20_000])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
