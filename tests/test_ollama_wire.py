"""What Ollama's bytes mean, whatever way they are cut: both chat paths, every row of the error table, the cards."""

import json

import pytest

from memgpt_core.errors import ConfigurationRefused, ContextOverflow, ModelUnavailable
from memgpt_core.events import Measured
from memgpt_core.llm.base import Reply
from memgpt_core.llm.ollama_host import base_url, full_name, leaves_the_machine
from memgpt_core.llm.ollama_refusals import SAID_CHARS, Refused, refusal
from memgpt_core.llm.ollama_wire import LINE_LIMIT, ChatStream, embeddings, loaded, shown, version
from tests.ollama_stub import wire, wire_names

FIGURES = Measured(
    prompt_tokens=26, cached_tokens=0, reply_tokens=12, load_s=0.001334875, prefill_s=0.342546, generate_s=4.535599
)
UNCOUNTED = FIGURES.model_copy(update={"cached_tokens": None})

WHOLE = {
    "chat.native.text": ("Hello, Zoë 🦉!", "", [], "stop", FIGURES),
    "chat.rendered.text": ("Hello, Zoë 🦉!", "", [], "stop", UNCOUNTED),
    "chat.native.tools": (
        "I will note it.",
        "",
        [("Kx9ZQ0b1c2d3e4f5", "core_memory_append", {"label": "human", "content": "Naïve café"})],
        "stop",
        FIGURES,
    ),
    "chat.native.tools_without_id": (
        "",
        "",
        [("call_0", "send_message", {"message": "a"}), ("call_1", "send_message", {"message": "b"})],
        "stop",
        FIGURES,
    ),
    "chat.rendered.tools": ("", "hm", [("call_ab12cd34", "f", {"q": "x"})], "stop", FIGURES),
    "chat.rendered.tools_over_lines": (
        "",
        "",
        [
            ("call_ab12cd34", "core_memory_append", {"label": "human", "content": "x"}),
            ("call_zz98yy76", "send_message", {"message": "Noted — 記録した"}),
        ],
        "stop",
        FIGURES,
    ),
    "chat.rendered.thinking": ("Hello.", "The user greets.", [], "stop", FIGURES),
    "chat.native.length": ("One, two,", "", [], "length", FIGURES),
    "chat.native.not_streamed": ("Hello.", "", [], "stop", FIGURES),
    "chat.load": ("", "", [], "load", Measured()),
}
BROKEN = {
    "chat.rendered.repetition": "ended its stream before",
    "chat.rendered.broken_off": "unexpected EOF",
    "chat.native.broken_off": "process died",
    "chat.native.broken_tool_call": "function call that the server could not read",
    "chat.native.overflow_line": "661 tokens do not fit its window of 512",
}


def parts(reply: Reply) -> tuple[object, ...]:
    calls = [(call.id, call.name, call.arguments) for call in reply.calls]
    return reply.content, reply.thinking, calls, reply.done_reason, reply.measured


def read(*pieces: bytes) -> Reply:
    stream = ChatStream()
    for piece in pieces:
        stream.feed(piece)
    return stream.reply()


def test_every_chat_on_the_wire_is_whole_or_broken() -> None:
    assert set(wire_names("chat")) == set(WHOLE) | set(BROKEN)


@pytest.mark.parametrize("name", WHOLE)
def test_a_reply_is_read_however_it_is_cut(name: str) -> None:
    body = wire(name).body
    for cut in range(len(body) + 1):
        assert parts(read(body[:cut], body[cut:])) == WHOLE[name]
    for size in (1, 7):
        assert parts(read(*(body[at : at + size] for at in range(0, len(body), size)))) == WHOLE[name]


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_stream_is_no_reply_however_it_is_cut(name: str) -> None:
    body = wire(name).body
    for size in (1, 7, len(body)):
        with pytest.raises(ModelUnavailable, match=BROKEN[name]):
            read(*(body[at : at + size] for at in range(0, len(body), size)))


@pytest.mark.parametrize("name", WHOLE)
def test_a_stream_cut_anywhere_before_its_end_is_no_reply(name: str) -> None:
    body = wire(name).body.rstrip()
    for cut in range(len(body)):
        with pytest.raises(ModelUnavailable):
            read(body[:cut])


def test_text_and_thoughts_are_told_as_they_come() -> None:
    heard: list[str] = []
    stream = ChatStream(text=lambda piece: heard.append(f"t:{piece}"), thought=lambda piece: heard.append(f"m:{piece}"))
    *lines, last = wire("chat.rendered.thinking").body.splitlines(keepends=True)
    assert [stream.feed(line) for line in lines] == [False, False, False]
    assert heard == ["m:The user", "m: greets.", "t:Hello."]
    assert stream.feed(last)
    assert stream.feed(b"anything at all\n"), "what follows a whole reply is not read"
    assert stream.reply().content == "Hello."


@pytest.mark.parametrize(
    "line",
    [b"garbage\n", b"[1]\n", b'"text"\n', b'{"message":{"content":"\xc3"}}\n', b'{"message":7}\n', b"\x00\xff\n"],
)
def test_what_is_no_line_of_a_chat_is_refused(line: bytes) -> None:
    with pytest.raises(ModelUnavailable, match="no line of a chat"):
        read(line)


def test_a_line_without_end_is_refused() -> None:
    with pytest.raises(ModelUnavailable, match="without end"):
        read(b"x" * (LINE_LIMIT + 1))


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (b'"{\\"q\\": 1"', '{"q": 1'),
        (b"null", {}),
        (b"[1, 2]", "[1, 2]"),
        (b"7", "7"),
        (b'{"q":{"r":[1]}}', {"q": {"r": [1]}}),
    ],
)
def test_arguments_of_any_shape_are_kept_for_the_executor(arguments: bytes, kept: object) -> None:
    line = b'{"message":{"tool_calls":[{"function":{"name":"f","arguments":%b}}]},"done":true}' % arguments
    assert read(line).calls[0].arguments == kept


def test_calls_that_share_an_id_get_their_own() -> None:
    call = b'{"id":"a","function":{"name":"f"}}'
    one = b'{"message":{"tool_calls":[%b,%b]},"done":true}' % (call, call)
    assert len({call.id for call in read(one).calls}) == 2


def test_odd_figures_spoil_no_reply() -> None:
    line = b'{"message":{"content":"x"},"done":true,"prompt_eval_count":-1,"eval_count":"many","eval_duration":1.5}'
    assert read(line).measured == Measured()


# --- refusals ----------------------------------------------------------------------------------------------------

REFUSALS = {
    "error.model_missing": "ollama pull x",
    "error.model_missing_scheduler": "ollama pull x",
    "error.no_tools": "Choose a model that can call functions",
    "error.no_thinking": "Switch thinking off",
    "error.no_chat": "Choose a chat model",
    "error.missing_body": "missing request body",
    "error.option_type": "Correct that setting",
    "error.queue_full": "busy.*Wait until",
    "error.runner_died": "process died.*run the turn again",
    "error.out_of_memory": "choose a smaller model or a smaller window",
    "error.tool_parse": "function call that the server could not read",
    "error.foreign_host": "127.0.0.1 in OLLAMA_HOST",
}
OVERFLOWS = {
    "error.overflow_native": "661 tokens do not fit its window of 512",
    "error.overflow_rendered": "longer than the context length currently available",
    "error.overflow_embed": "exceeds the context length",
}


def status_of(name: str) -> int:
    return int(wire(name).status.split(" ")[0])


def test_every_row_of_the_error_table_is_played() -> None:
    assert set(wire_names("error")) == set(REFUSALS) | set(OVERFLOWS)


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_says_what_to_do(name: str) -> None:
    refused = refusal(status_of(name), wire(name).body, model="x")
    assert isinstance(refused, Refused)
    assert not isinstance(refused, ContextOverflow)
    assert refused.status == status_of(name)
    with pytest.raises(Refused, match=REFUSALS[name]):
        raise refused


@pytest.mark.parametrize("name", OVERFLOWS)
def test_an_overflow_is_known_in_each_of_its_forms(name: str) -> None:
    with pytest.raises(ContextOverflow, match=OVERFLOWS[name]):
        raise refusal(status_of(name), wire(name).body)


@pytest.mark.parametrize("inner", [{"type": "exceed_context_size_error"}, {"n_prompt_tokens": 9, "n_ctx": 8}])
def test_an_overflow_is_known_by_its_fields_whatever_its_words(inner: dict[str, object]) -> None:
    said = json.dumps({"error": {"message": "new words", **inner}})
    for body in (json.dumps({"error": said}), said):
        assert isinstance(refusal(400, body.encode()), ContextOverflow)


@pytest.mark.parametrize(
    ("status", "body", "means"),
    [
        (404, b"404 page not found", "Is the address in OLLAMA_HOST that of an Ollama server"),
        (502, b"<html>Bad Gateway</html>", "Is the address in OLLAMA_HOST"),
        (500, b'{"error":"something new"}', "something new.*own log"),
        (400, b'{"error":"something new"}', "something new.*settings"),
        (401, b'{"error":"unauthorized"}', "sign-in"),
        (301, b"", "redirects"),
        (500, b"", "without a word"),
        (500, b'{"error":null}', "without a word"),
        (500, b'{"error":{"message":"inner"}}', "inner"),
        (500, b'{"error":"{not json"}', "not json"),
        (500, b'{"error":"\\ud83d half a pair"}', "half a pair"),
        (500, b"\xff\xfe", "refused the request"),
    ],
)
def test_answers_off_the_table_get_a_sentence_too(status: int, body: bytes, means: str) -> None:
    with pytest.raises(Refused, match=means):
        raise refusal(status, body)


def test_a_model_name_does_not_make_an_overflow() -> None:
    body = b'{"error":"model \'exceeds the context length\' not found"}'
    assert not isinstance(refusal(404, body), ContextOverflow)


def test_a_servers_endless_words_are_shortened() -> None:
    assert len(str(refusal(500, b'{"error":"%b"}' % (b"x " * 100_000)))) < SAID_CHARS + 300


# --- cards and lists ---------------------------------------------------------------------------------------------


def test_a_card_is_read() -> None:
    card = shown(wire("show").body)
    assert (card.context_length, card.embedding_length, card.num_ctx) == (131072, 3072, 4096)
    assert card.capabilities == ("completion", "tools", "thinking")
    assert "{{ .Tools }}" in card.template


def test_an_old_servers_card_leaves_open_what_it_does_not_say() -> None:
    card = shown(wire("show_of_an_old_server").body)
    assert (card.context_length, card.embedding_length, card.num_ctx, card.capabilities) == (131072, None, None, None)


def test_the_small_answers_are_read() -> None:
    assert version(wire("version").body) == "0.33.0"
    assert [(one.name, one.context_length) for one in loaded(wire("ps").body)] == [("m:latest", 4096)]
    assert loaded(b'{"models":null}') == ()
    assert embeddings(wire("embed").body) == [[0.6, 0.8], [-0.8, 0.6]]


@pytest.mark.parametrize("reader", [version, embeddings, shown, loaded])
def test_another_servers_answer_is_refused(reader: object) -> None:
    with pytest.raises(ModelUnavailable, match="Is the address in OLLAMA_HOST"):
        reader(b"<html>")  # type: ignore[operator]


# --- spellings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spelling", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("  ", "http://127.0.0.1:11434"),
        ("'127.0.0.1:1'", "http://127.0.0.1:1"),
        (":56789", "http://127.0.0.1:56789"),
        ("1.2.3.4", "http://1.2.3.4:11434"),
        ("1.2.3.4:56789", "http://1.2.3.4:56789"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("http://0.0.0.0:8080/", "http://127.0.0.1:8080"),
        ("http://1.2.3.4", "http://1.2.3.4:80"),
        ("https://1.2.3.4", "https://1.2.3.4:443"),
        ("HTTPS://Example.com:56789", "https://example.com:56789"),
        ("example.com", "http://example.com:11434"),
        ("example.com/", "http://example.com:11434"),
        ("example.com/path", "http://example.com:11434/path"),
        ("https://example.com:1/a/b/", "https://example.com:1/a/b"),
        ("::1", "http://[::1]:11434"),
        ("::", "http://[::1]:11434"),
        ("[::]:8080", "http://[::1]:8080"),
        ("[0001:002:003:0004::1]", "http://[1:2:3:4::1]:11434"),
        ("[0001:002:003:0004::1]:56789/path", "http://[1:2:3:4::1]:56789/path"),
        ("https://[::1]", "https://[::1]:443"),
    ],
)
def test_a_host_is_read_in_every_spelling(spelling: str, url: str) -> None:
    assert base_url(spelling) == url
    assert base_url(url) == url


@pytest.mark.parametrize("spelling", ["ftp://x", "127.0.0.1:port", "127.0.0.1:99999", "two words", "[::1", "me@here"])
def test_what_is_no_address_is_refused_with_a_way_out(spelling: str) -> None:
    with pytest.raises(ConfigurationRefused, match=r"Write it as 127\.0\.0\.1:11434"):
        base_url(spelling)


def test_names_carry_their_tag() -> None:
    assert [full_name(name) for name in ("m", "m:7b", "host:5000/m")] == ["m:latest", "m:7b", "host:5000/m:latest"]
    assert [leaves_the_machine(name) for name in ("glm:cloud", "gpt-oss:120b-cloud", "cloud", "m:7b")] == [
        True,
        True,
        False,
        False,
    ]
