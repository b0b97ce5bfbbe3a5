"""The stub is a server that others believe in: the `ollama` package as its client, and ours for lists and pulls."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import ollama
import pytest

from memgpt_core.errors import ConfigurationRefused, ModelUnavailable
from memgpt_core.llm.base import Stopped
from memgpt_core.llm.ollama_server import ModelOnServer, OllamaServer, Pulling, Served, host_from_environment
from tests.ollama_stub import Answer, Gate, Stub, wire
from tests.ollama_stub.server import BEFORE_THE_HEAD, PATIENCE_S
from tests.ollama_stub.world import CARDS, MISHAPS, World

MESSAGES = [{"role": "user", "content": "hi"}]
STREAMS = ["chat.native.tools", "chat.rendered.tools", "chat.rendered.thinking", "chat.native.text"]


@pytest.fixture
def stub() -> Iterator[Stub]:
    with Stub() as one:
        yield one


@pytest.fixture
def client(stub: Stub) -> Iterator[ollama.Client]:
    one = ollama.Client(stub.host, timeout=PATIENCE_S, trust_env=False)
    yield one
    one.close()


# --- the contract: the package reads what we play ------------------------------------------------------------------


@pytest.mark.parametrize("piece", [0, 1, 7])
@pytest.mark.parametrize(
    "name", ["chat.native.tools", "chat.rendered.tools", "chat.rendered.thinking", "chat.native.text"]
)
def test_the_package_reads_a_stream(stub: Stub, client: ollama.Client, name: str, piece: int) -> None:
    stub.play("/api/chat", wire(name).but(piece=piece))
    chunks = list(client.chat("m", MESSAGES, stream=True))
    assert [chunk.done for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert (chunks[-1].done_reason, chunks[-1].prompt_eval_count, chunks[-1].eval_count) == ("stop", 26, 12)
    calls = [call.function.name for chunk in chunks for call in chunk.message.tool_calls or ()]
    assert calls == {"chat.native.tools": ["core_memory_append"], "chat.rendered.tools": ["f"]}.get(name, [])


def test_the_package_reads_a_whole_answer(stub: Stub, client: ollama.Client) -> None:
    stub.play("/api/chat", wire("chat.native.not_streamed"))
    assert client.chat("m", MESSAGES).message.content == "Hello."


def test_the_package_reads_lists_cards_and_vectors(stub: Stub, client: ollama.Client) -> None:
    stub.play("/api/tags", wire("tags"), wire("tags_with_capabilities"))
    stub.play("/api/ps", wire("ps"))
    stub.play("/api/show", wire("show"))
    stub.play("/api/embed", wire("embed"))
    for _ in range(2):
        (listed,) = client.list().models
        assert (listed.model, listed.size) == ("m:latest", 2019393189)
    assert client.ps().models[0].context_length == 4096
    assert client.show("m").capabilities == ["completion", "tools", "thinking"]
    assert client.embed("e", ["a", "b"]).embeddings == [[0.6, 0.8], [-0.8, 0.6]]


def test_the_package_reads_a_pull(stub: Stub, client: ollama.Client) -> None:
    stub.play("/api/pull", wire("pull"))
    assert [piece.status for piece in client.pull("m", stream=True)][-1] == "success"


@pytest.mark.parametrize(
    ("name", "status"), [("error.model_missing", 404), ("error.overflow_native", 400), ("error.queue_full", 503)]
)
def test_the_package_reads_a_refusal(stub: Stub, client: ollama.Client, name: str, status: int) -> None:
    stub.play("/api/chat", wire(name))
    with pytest.raises(ollama.ResponseError) as raised:
        client.chat("m", MESSAGES)
    assert raised.value.status_code == status


def test_the_package_hears_an_error_in_a_stream(stub: Stub, client: ollama.Client) -> None:
    stub.play("/api/chat", wire("chat.rendered.broken_off"))
    with pytest.raises(ollama.ResponseError, match="unexpected EOF") as raised:
        list(client.chat("m", MESSAGES, stream=True))
    assert raised.value.status_code == -1


def test_the_stub_drops_where_it_is_told_to(stub: Stub) -> None:
    body = wire("chat.native.text").body
    stub.play("/api/chat", wire("chat.native.text").but(drop_at=33), Answer(drop_at=BEFORE_THE_HEAD))
    with httpx.Client(trust_env=False) as bare:
        came: list[bytes] = []
        with bare.stream("POST", f"{stub.host}/api/chat") as answer, pytest.raises(httpx.RemoteProtocolError):
            came.extend(answer.iter_raw())
        assert b"".join(came) == body[:33]
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            bare.post(f"{stub.host}/api/chat")


# --- the scripted world ------------------------------------------------------------------------------------------


def test_the_package_can_live_in_the_scripted_world() -> None:
    world = World()
    with Stub(world) as stub:
        client = ollama.Client(stub.host, timeout=PATIENCE_S, trust_env=False)
        assert len(client.list().models) == len(world.cards)
        assert client.chat("stub-plain", MESSAGES).message.content == "You said: hi"
        assert [one.model for one in client.ps().models] == ["stub-plain:latest"]
        assert len(client.embed("stub-embed", ["a", "b"]).embeddings) == 2
        assert [one.status for one in client.pull("new", stream=True)][-1] == "success"
        assert client.show("new").capabilities == ["completion", "tools"]
        with pytest.raises(ollama.ResponseError, match="not found"):
            client.chat("absent", MESSAGES)
        with pytest.raises(ollama.ResponseError, match="does not support tools"):
            client.chat("stub-plain", MESSAGES, tools=[{"type": "function", "function": {"name": "f"}}])
        with pytest.raises(ollama.ResponseError, match="exceeds the available context size"):
            client.chat("stub-plain", [{"role": "user", "content": "word " * 600}], options={"num_ctx": 512})
        client.close()


def test_it_serves_by_hand() -> None:
    command = [sys.executable, "-m", "tests.ollama_stub", "--port", "0", "--gap", "0", "--load", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        host = serving.stdout.readline().split()[-1]
        try:
            assert {model.name for model in OllamaServer(host).models()} == set(CARDS)
        finally:
            serving.send_signal(signal.SIGINT)
            assert serving.wait(PATIENCE_S) == 0


def test_every_mishap_can_be_made_of_a_good_answer() -> None:
    good = wire("chat.native.text")
    for word, mishap in MISHAPS.items():
        assert mishap(good) != good, word


def test_the_world_refuses_a_foreign_host() -> None:
    with Stub(World()) as stub, httpx.Client(trust_env=False) as bare:
        assert bare.get(f"{stub.host}/api/tags", headers={"Host": "evil.example"}).status_code == 403


# --- our own view of a server ------------------------------------------------------------------------------------


def test_a_server_is_reachable_or_not(stub: Stub) -> None:
    stub.play("/api/version", wire("version"), wire("version"))
    server = OllamaServer(stub.host)
    assert server.reachable()
    assert server.version() == "0.33.0"
    stub.play("/api/version", Answer(gate=Gate()))
    assert not server.reachable(within_s=0.05), "a server that hangs holds no page"
    assert not server.reachable(), "another server is none of ours"
    stub.close()
    assert not server.reachable()
    with pytest.raises(ModelUnavailable, match="ollama serve"):
        server.version()


def test_models_are_listed_with_what_they_can(stub: Stub) -> None:
    stub.play("/api/tags", wire("tags"), wire("tags_with_capabilities"))
    stub.play("/api/show", wire("show"))
    server = OllamaServer(stub.host)
    expected = ModelOnServer(
        "m:latest",
        2019393189,
        "a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72",
        "llama",
        "3.2B",
        "Q4_K_M",
        frozenset({"completion", "tools", "thinking"}),
        leaves_the_machine=False,
    )
    assert server.models() == (expected,)
    assert server.models() == (expected,)
    assert len(stub.at("/api/show")) == 1, "a card is read once per digest"


@pytest.mark.parametrize("card", [wire("show_of_an_old_server"), wire("error.model_missing")])
def test_what_a_model_can_may_be_unknown(stub: Stub, card: Answer) -> None:
    stub.play("/api/tags", wire("tags"))
    stub.play("/api/show", card)
    assert OllamaServer(stub.host).models()[0].capabilities is None


def test_models_of_the_cloud_are_marked(stub: Stub) -> None:
    body = wire("tags").body.replace(b'"m:latest"', b'"big:120b-cloud"')
    stub.play("/api/tags", wire("tags").but(body=body))
    assert OllamaServer(stub.host).models()[0].leaves_the_machine


def test_the_served_window_is_the_one_that_is_allocated(stub: Stub) -> None:
    stub.play("/api/ps", *[wire("ps")] * 3)
    server = OllamaServer(stub.host)
    digest = "2ae6f6dd7a3dd734790bbbf58b8909a606e0e7e97e94b7604e0aa7ae4490e6d8"
    assert server.served() == (Served("m:latest", digest, 5137025024, 5137025024, 4096),)
    assert server.served_window("m") == 4096
    assert server.served_window("other") is None


def test_the_vocabulary_comes_only_when_asked_for(stub: Stub) -> None:
    stub.play("/api/show", wire("show"), wire("show"))
    server = OllamaServer(stub.host)
    assert server.show("m").context_length == 131072
    server.show("m", verbose=True)
    assert [request.json["verbose"] for request in stub.at("/api/show")] == [False, True]


CALLS: dict[str, tuple[str, Callable[[OllamaServer], Any]]] = {
    "models": ("/api/tags", lambda server: server.models()),
    "served": ("/api/ps", lambda server: server.served()),
    "show": ("/api/show", lambda server: server.show("m")),
    "version": ("/api/version", lambda server: server.version()),
    "pull": ("/api/pull", lambda server: server.pull("m")),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (wire("error.foreign_host"), "127.0.0.1 in OLLAMA_HOST"),
        (wire("error.queue_full"), "busy"),
        (wire("root"), "Is the address in OLLAMA_HOST"),
        (Answer(body=b"[1]"), "Is the address in OLLAMA_HOST"),
        (Answer(drop_at=BEFORE_THE_HEAD), "connection to the model server broke"),
    ],
    ids=["foreign host", "busy", "not Ollama", "not an object", "dropped"],
)
def test_every_call_fails_in_a_sentence(stub: Stub, call: str, answer: Answer, sentence: str) -> None:
    path, ask = CALLS[call]
    stub.play(path, answer)
    with pytest.raises(ModelUnavailable, match=sentence):
        ask(OllamaServer(stub.host))


@pytest.mark.parametrize("call", CALLS)
def test_no_server_is_said_in_a_sentence(stub: Stub, call: str) -> None:
    stub.close()
    with pytest.raises(ModelUnavailable, match="ollama serve"):
        CALLS[call][1](OllamaServer(stub.host))


@pytest.mark.parametrize("call", CALLS)
def test_no_call_uses_the_environments_proxy(stub: Stub, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    stub.play("/api/show", wire("show"))
    path, ask = CALLS[call]
    stub.play(path, wire({"models": "tags", "served": "ps"}.get(call, call)))
    ask(OllamaServer(stub.host))
    assert stub.at(path)


def test_a_pull_tells_how_far_it_is_over_all_layers(stub: Stub) -> None:
    heard: list[Pulling] = []
    stub.play("/api/pull", wire("pull").but(piece=7))
    OllamaServer(stub.host).pull("m", heard.append)
    assert heard[-1] == Pulling("success", 2142590208 + 1429, 2142590208 + 1429)


def test_a_pull_stops_when_told_to_and_the_server_sees_it(stub: Stub) -> None:
    gate = Gate(at=wire("pull").body.index(b'{"status":"verifying'))
    stub.play("/api/pull", wire("pull").but(gate=gate))
    with ThreadPoolExecutor(1) as pool:
        stop = threading.Event()
        pulling = pool.submit(OllamaServer(stub.host).pull, "m", stopped=stop.is_set)
        gate.wait()
        stop.set()
        with pytest.raises(Stopped):
            pulling.result(PATIENCE_S)
    assert stub.wait_for("/api/pull").closed.wait(PATIENCE_S)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("pull_broken_off", "max retries exceeded"),
        ("pull_cut", "goes on where it was"),
        ("pull_unknown", "file does not exist"),
    ],
)
def test_a_pull_that_fails_says_so(stub: Stub, name: str, sentence: str) -> None:
    stub.play("/api/pull", wire(name))
    with pytest.raises(ModelUnavailable, match=sentence):
        OllamaServer(stub.host).pull("m")


def test_the_environment_names_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    assert host_from_environment() == "http://127.0.0.1:11434"
    monkeypatch.setenv("OLLAMA_HOST", "0.0.0.0:8080")
    assert host_from_environment() == "http://127.0.0.1:8080"
    monkeypatch.setenv("OLLAMA_HOST", "gopher://x")
    with pytest.raises(ConfigurationRefused):
        host_from_environment()
