"""The Ollama adapter against a real HTTP server that plays the wire files, and breaks in every way a server breaks."""

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from memgpt_core import prompt
from memgpt_core.errors import ContextOverflow, ModelUnavailable
from memgpt_core.llm import ollama, ollama_http, streams
from memgpt_core.llm.base import Reply, Stopped
from memgpt_core.llm.ollama import OllamaModel
from memgpt_core.llm.ollama_http import Limits
from tests.engine import kinds, sent
from tests.ollama_stub import Answer, Gate, Stub, wire
from tests.ollama_stub.server import BEFORE_THE_HEAD, PATIENCE_S
from tests.ollama_stub.world import World
from tests.test_ollama_wire import BROKEN, OVERFLOWS, REFUSALS, WHOLE, parts

BODY: dict[str, Any] = {
    "model": "m",
    "stream": True,
    "truncate": False,
    "shift": False,
    "options": {"num_ctx": 4096},
    "messages": [{"role": "user", "content": "Grüße"}],
}
GOOD = wire("chat.native.text")


class Heard:
    """Progress that remembers, and stops when told to."""

    def __init__(self) -> None:
        self.phases: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.threads: set[int] = set()
        self.stop = threading.Event()
        self._changed = threading.Condition()

    def phase(self, phase: str, detail: str = "") -> None:
        self._note(self.phases, (phase, detail))

    def text(self, piece: str) -> None:
        self._note(self.texts, piece)

    def thought(self, piece: str) -> None:
        self._note(self.thoughts, piece)

    def stopped(self) -> bool:
        self.threads.add(threading.get_ident())
        return self.stop.is_set()

    def wait_until(self, true: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(true, PATIENCE_S), (self.phases, self.texts)

    def _note(self, where: list[Any], what: Any) -> None:
        self.threads.add(threading.get_ident())
        with self._changed:
            where.append(what)
            self._changed.notify_all()


@pytest.fixture
def stub() -> Iterator[Stub]:
    with Stub() as one:
        yield one


@pytest.fixture
def other_thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def chat(stub: Stub, heard: Heard | None = None, **limits: float) -> Reply:
    return OllamaModel(stub.host, limits=Limits(**limits)).chat(BODY, heard or Heard())


# --- whole replies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [0, -1, 1, 7], ids=["one go", "lines", "every byte", "7 bytes"])
@pytest.mark.parametrize("name", WHOLE)
def test_a_reply_comes_whole_however_it_is_cut(stub: Stub, name: str, piece: int) -> None:
    heard = Heard()
    stub.play("/api/chat", wire(name).but(piece=piece))
    reply = chat(stub, heard)
    assert parts(reply) == WHOLE[name]
    assert "".join(heard.texts) == reply.content
    assert "".join(heard.thoughts) == reply.thinking


def test_what_is_sent_is_what_the_log_has_the_digest_of(stub: Stub) -> None:
    stub.play("/api/chat", GOOD)
    chat(stub)
    request = stub.wait_for("/api/chat")
    assert hashlib.sha256(request.body).hexdigest() == prompt.digest(BODY)
    assert request.headers["content-type"] == "application/json"
    assert (request.json["truncate"], request.json["shift"]) == (False, False)


def test_progress_is_told_on_the_calling_thread(stub: Stub) -> None:
    heard = Heard()
    stub.play("/api/chat", GOOD.but(piece=1))
    chat(stub, heard)
    assert heard.threads == {threading.get_ident()}


def test_the_environments_proxy_is_not_used(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    stub.play("/api/chat", GOOD)
    assert chat(stub).content == "Hello, Zoë 🦉!"


def test_connections_are_reused(stub: Stub) -> None:
    # The question what is loaded never gets its answer, so that its connections are not left for the chats.
    stub.play("/api/ps", *[Answer(gate=Gate())] * 3)
    stub.play("/api/chat", *[GOOD] * 3)
    for _ in range(3):
        chat(stub)
    assert len({request.connection for request in stub.at("/api/chat")}) == 1


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (wire("ps"), ("reading the prompt", "")),
        (wire("ps").but(body=wire("ps").body.replace(b"4096", b"8192")), ("loading the model", "m")),
        (Answer(body=b'{"models":[]}'), ("loading the model", "m")),
    ],
    ids=["loaded", "loaded with another window", "not loaded"],
)
def test_phases_are_told_in_order(
    stub: Stub, other_thread: ThreadPoolExecutor, listed: Answer, expected: tuple[str, str]
) -> None:
    gate, heard = Gate(), Heard()
    stub.play("/api/ps", listed)
    stub.play("/api/chat", GOOD.but(gate=gate))
    reply = other_thread.submit(chat, stub, heard)
    heard.wait_until(lambda: len(heard.phases) == 2)
    gate.open()
    assert reply.result(PATIENCE_S).done_reason == "stop"
    assert heard.phases == [("waiting", f"for the model server at {stub.host}"), expected, ("generating", "")]


def test_a_server_that_does_not_tell_what_is_loaded_delays_nothing(
    stub: Stub, other_thread: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ollama, "PS_LIMITS", Limits())
    heard, silent, prefill = Heard(), Gate(), Gate()
    stub.play("/api/ps", Answer(gate=silent))
    stub.play("/api/chat", GOOD.but(gate=prefill))
    reply = other_thread.submit(chat, stub, heard)
    silent.wait()
    prefill.open()
    try:
        assert reply.result(PATIENCE_S).content
    finally:
        silent.open()
    assert [phase for phase, _ in heard.phases] == ["waiting", "generating"]


def test_pieces_are_told_before_the_reply_is_whole(stub: Stub, other_thread: ThreadPoolExecutor) -> None:
    gate, heard = Gate(at=GOOD.body.index(b"\n") + 1), Heard()
    stub.play("/api/chat", GOOD.but(gate=gate))
    reply = other_thread.submit(chat, stub, heard)
    heard.wait_until(lambda: heard.texts == ["Hel"])
    gate.open()
    assert reply.result(PATIENCE_S).content == "Hello, Zoë 🦉!"


def test_several_agents_use_one_server_at_once(stub: Stub, other_thread: ThreadPoolExecutor) -> None:
    gates = [Gate() for _ in range(4)]
    stub.play("/api/chat", *(GOOD.but(gate=gate) for gate in gates))
    replies = [other_thread.submit(chat, stub) for _ in gates]
    for gate in gates:
        gate.wait()
    for gate in reversed(gates):
        gate.open()
    assert all(reply.result(PATIENCE_S).content == "Hello, Zoë 🦉!" for reply in replies)


def test_a_stream_that_does_not_end_after_its_reply_holds_nobody(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ollama_http, "AFTER_THE_END_S", 0.01)
    stub.play("/api/chat", GOOD.but(gate=Gate(at=len(GOOD.body))))
    assert chat(stub).content == "Hello, Zoë 🦉!"
    assert stub.wait_for("/api/chat").closed.wait(PATIENCE_S)


def test_a_connection_that_breaks_after_the_reply_breaks_nothing(stub: Stub) -> None:
    stub.play("/api/chat", GOOD.but(drop_at=len(GOOD.body)))
    assert chat(stub).content == "Hello, Zoë 🦉!"


# --- a stop ------------------------------------------------------------------------------------------------------

STREAM = wire("chat.rendered.tools")


@pytest.mark.parametrize("at", [BEFORE_THE_HEAD, 10, STREAM.body.index(b"\n") + 1, len(STREAM.body) - 5])
def test_a_stop_closes_the_connection_at_any_moment(stub: Stub, other_thread: ThreadPoolExecutor, at: int) -> None:
    gate, heard = Gate(at), Heard()
    stub.play("/api/chat", STREAM.but(gate=gate))
    reply = other_thread.submit(chat, stub, heard)
    gate.wait()
    heard.stop.set()
    with pytest.raises(Stopped):
        reply.result(PATIENCE_S)
    request = stub.wait_for("/api/chat")
    assert request.closed.wait(PATIENCE_S)
    assert not request.answered.is_set()
    stub.play("/api/chat", GOOD)
    assert chat(stub).content, "the next request is served"


def test_a_stop_during_the_question_what_is_loaded_closes_both(stub: Stub, other_thread: ThreadPoolExecutor) -> None:
    heard, ps, prefill = Heard(), Gate(), Gate()
    stub.play("/api/ps", Answer(gate=ps))
    stub.play("/api/chat", GOOD.but(gate=prefill))
    reply = other_thread.submit(chat, stub, heard)
    ps.wait()
    prefill.wait()
    heard.stop.set()
    with pytest.raises(Stopped):
        reply.result(PATIENCE_S)
    assert stub.wait_for("/api/chat").closed.wait(PATIENCE_S)
    assert stub.wait_for("/api/ps").closed.wait(PATIENCE_S)


def test_a_stop_before_the_request_sends_none(stub: Stub) -> None:
    heard = Heard()
    heard.stop.set()
    with pytest.raises(Stopped):
        chat(stub, heard)
    assert stub.requests == []


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port that takes no more connections and refuses none: a client waits for it."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]
        for one in waiting:
            one.close()


def test_a_stop_ends_the_wait_for_a_connection(full_port: int, other_thread: ThreadPoolExecutor) -> None:
    heard = Heard()
    model = OllamaModel(f":{full_port}", limits=Limits(connect_s=PATIENCE_S * 2))
    reply = other_thread.submit(model.chat, BODY, heard)
    heard.wait_until(lambda: bool(heard.phases))
    heard.stop.set()
    with pytest.raises(Stopped):
        reply.result(PATIENCE_S)


def test_progress_that_fails_ends_the_request(stub: Stub) -> None:
    class Failing(Heard):
        def text(self, piece: str) -> None:
            raise ZeroDivisionError

    stub.play("/api/chat", GOOD.but(gate=Gate(at=GOOD.body.index(b"\n") + 1)))
    with pytest.raises(ZeroDivisionError):
        chat(stub, Failing())
    assert stub.wait_for("/api/chat").closed.wait(PATIENCE_S)


# --- refusals and faults -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REFUSALS)
def test_every_refusal_has_its_sentence(stub: Stub, name: str) -> None:
    stub.play("/api/chat", wire(name).but(body=wire(name).body.replace(b"'x'", b"'m'")))
    with pytest.raises(ModelUnavailable, match=REFUSALS[name].replace("pull x", "pull m")) as raised:
        chat(stub)
    assert not isinstance(raised.value, ContextOverflow)


@pytest.mark.parametrize("name", OVERFLOWS)
def test_every_form_of_overflow_is_an_overflow(stub: Stub, name: str) -> None:
    stub.play("/api/chat", wire(name))
    with pytest.raises(ContextOverflow, match=OVERFLOWS[name]):
        chat(stub)


@pytest.mark.parametrize("name", BROKEN)
def test_a_stream_that_breaks_off_is_no_reply(stub: Stub, name: str) -> None:
    stub.play("/api/chat", wire(name).but(piece=7))
    with pytest.raises(ModelUnavailable, match=BROKEN[name]):
        chat(stub)


FAULTS = {
    "drops before the head": (GOOD.but(drop_at=BEFORE_THE_HEAD), "connection to the model server broke"),
    "drops after the head": (GOOD.but(drop_at=0), "connection to the model server broke"),
    "drops in a line": (GOOD.but(drop_at=40), "connection to the model server broke"),
    "drops between lines": (GOOD.but(drop_at=GOOD.body.index(b"\n") + 1), "connection to the model server broke"),
    "ends without a byte": (GOOD.but(body=b""), "ended its stream before"),
    "ends without done": (GOOD.but(body=GOOD.body[: GOOD.body.index(b"\n") + 1]), "ended its stream before"),
    "ends in a character": (GOOD.but(body=GOOD.body[: GOOD.body.index("ë".encode()) + 1]), "no line of a chat"),
    "garbage": (GOOD.but(body=b"\xff\xfe\n" + GOOD.body), "no line of a chat"),
    "a page": (Answer(headers=(("Content-Type", "text/html"),), body=b"<html>"), "text/html instead of"),
    "plain text": (wire("root"), "text/plain instead of"),
    "an answer to something else": (wire("version"), "ended its stream before"),
    "a redirect": (Answer("302 Found", (("Location", "http://127.0.0.1:9/"),)), "redirects elsewhere"),
    "no chat there": (
        Answer("404 Not Found", (("Content-Type", "text/plain"),), b"404 page not found"),
        "Ollama server",
    ),
    "a broken encoding": (GOOD.but(headers=(*GOOD.headers, ("Content-Encoding", "gzip"))), "connection .* broke"),
    "no HTTP": (Answer("200 OK\r\nbroken\x00header", (), b""), "connection to the model server broke"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_has_its_sentence(stub: Stub, name: str) -> None:
    answer, sentence = FAULTS[name]
    stub.play("/api/chat", answer)
    with pytest.raises(ModelUnavailable, match=sentence):
        chat(stub)
    assert len(stub.at("/api/chat")) == 1, "what failed on a fresh connection is not sent again by itself"


def test_a_dead_kept_alive_connection_is_retried_once(stub: Stub) -> None:
    stub.play("/api/ps", *[Answer(gate=Gate())] * 3)
    stub.play("/api/chat", GOOD, GOOD.but(drop_at=BEFORE_THE_HEAD), GOOD)
    assert chat(stub).content
    assert chat(stub).content == "Hello, Zoë 🦉!"
    first, dead, again = stub.at("/api/chat")
    assert first.connection == dead.connection != again.connection
    assert dead.body == again.body


def test_a_second_dead_connection_is_a_fault(stub: Stub) -> None:
    stub.play("/api/ps", *[Answer(gate=Gate())] * 3)
    stub.play("/api/chat", GOOD, *[GOOD.but(drop_at=BEFORE_THE_HEAD)] * 2)
    chat(stub)
    with pytest.raises(ModelUnavailable, match="connection to the model server broke"):
        chat(stub)
    assert len(stub.at("/api/chat")) == 3


def test_a_kept_alive_connection_that_breaks_in_its_reply_is_not_retried(stub: Stub) -> None:
    stub.play("/api/chat", GOOD, GOOD.but(drop_at=40))
    chat(stub)
    with pytest.raises(ModelUnavailable, match="connection to the model server broke"):
        chat(stub)
    assert len(stub.at("/api/chat")) == 2


def test_no_server_says_how_to_start_one(stub: Stub) -> None:
    stub.close()
    with pytest.raises(ModelUnavailable, match="ollama serve"):
        chat(stub)


def test_waiting_for_a_connection_ends(full_port: int) -> None:
    with pytest.raises(ModelUnavailable, match=r"took the connection within 0\.05 s"):
        OllamaModel(f":{full_port}", limits=Limits(connect_s=0.05)).chat(BODY, Heard())


def test_waiting_for_the_first_byte_ends(stub: Stub) -> None:
    stub.play("/api/chat", GOOD.but(gate=Gate()))
    with pytest.raises(ModelUnavailable, match=r"did not begin to answer within 0\.05 s"):
        chat(stub, first_byte_s=0.05)
    assert stub.wait_for("/api/chat").closed.wait(PATIENCE_S)


def test_waiting_for_the_next_piece_ends(stub: Stub) -> None:
    stub.play("/api/chat", GOOD.but(gate=Gate(at=40)))
    with pytest.raises(ModelUnavailable, match=r"nothing more for 0\.05 s"):
        chat(stub, idle_s=0.05)
    assert stub.wait_for("/api/chat").closed.wait(PATIENCE_S)


# --- under the engine --------------------------------------------------------------------------------------------


def test_a_turn_runs_over_http(engine: Callable[..., Any]) -> None:
    with Stub(World()) as stub:
        one = engine(model=_named(OllamaModel(stub.host), "stub-rendered"))
        events = one.tell("remember that Ada likes tea")
        assert sent(events) == ["I have written it down."]
        assert "Ada likes tea" in one.state.blocks["human"].value


def test_an_overflow_forces_one_flush_and_one_retry(engine: Callable[..., Any]) -> None:
    with Stub(World()) as stub:
        one = engine(model=_named(OllamaModel(stub.host), "stub-native"))
        for number in range(6):
            one.tell(f"message {number}")
        stub.play("/api/chat", wire("error.overflow_native"))
        events = one.tell("and one more")
        assert [kind for kind in kinds(events) if kind in ("fault_recorded", "queue_flushed", "turn_ended")] == [
            "fault_recorded",
            "queue_flushed",
            "turn_ended",
        ]
        assert sent(events) == ["You said: and one more"]


def test_a_broken_step_leaves_nothing_and_can_be_run_again(engine: Callable[..., Any]) -> None:
    with Stub(World()) as stub:
        one = engine(model=_named(OllamaModel(stub.host), "stub-native"))
        stub.play("/api/chat", wire("chat.native.broken_off"))
        events = one.tell("hello")
        assert events[-1].reason == "fault"
        assert "model_replied" not in kinds(events)
        assert sent(one.tell("hello again")) == ["You said: hello again"]


def _named(model: OllamaModel, name: str) -> Any:
    class Named:
        def chat(self, body: dict[str, Any], progress: Any) -> Reply:
            return model.chat(body | {"model": name}, progress)

    return Named()


# --- the shared loop ---------------------------------------------------------------------------------------------


def test_the_loop_is_one_thread_for_all(other_thread: ThreadPoolExecutor) -> None:
    async def where() -> int:
        return threading.get_ident()

    threads = {streams.run(where()), *(other_thread.submit(lambda: streams.run(where())).result() for _ in range(3))}
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_a_fault_of_the_work_comes_out_where_it_was_asked_for() -> None:
    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        streams.run(fail())
