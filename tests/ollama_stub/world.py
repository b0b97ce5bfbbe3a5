"""A scripted Ollama: models, cards, what is loaded, pulls and chats, so that the dashboard can be driven by hand.

Everything a person may want to see go wrong is a word in the message: `/stall`, `/drop`, `/overflow` … (`MISHAPS`).
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from memgpt_core.embedding.hashing import HashingEmbedder
from memgpt_core.tokens import count_request
from tests.ollama_stub.server import Answer, Gate, Request, answer_json, answer_lines, nothing_there, wire

GIB = 2**30
LAYER_BYTES = 512 * 2**20
PULL_PIECES = 100
FOREVER_S = 3600.0

CARDS: dict[str, dict[str, Any]] = {
    "stub-native:latest": {"capabilities": ["completion", "tools"], "context": 32768, "size": 3 * GIB},
    "stub-rendered:latest": {"capabilities": ["completion", "tools", "thinking"], "context": 131072, "size": 5 * GIB},
    "stub-plain:latest": {"capabilities": ["completion"], "context": 8192, "size": 2 * GIB},
    "stub-embed:latest": {"capabilities": ["embedding"], "context": 512, "size": GIB // 4},
}
"""The models it begins with; any other name can be pulled."""

PULLED = {"capabilities": ["completion", "tools"], "context": 40960, "size": LAYER_BYTES}

MISHAPS: dict[str, Callable[[Answer], Answer]] = {
    "/slow": lambda good: good.but(gap_s=0.5),
    "/stall": lambda good: good.but(before_s=FOREVER_S),
    "/pause": lambda good: good.but(gate=Gate(at=len(good.body) // 2)),
    "/drop": lambda good: good.but(drop_at=len(good.body) // 2),
    "/cut": lambda good: good.but(body=good.body[: good.body.index(b"\n") + 1]),
    "/half": lambda good: good.but(body=good.body[: good.body.index(b"\n") - 20] + "é".encode()[:1]),
    "/garbage": lambda good: good.but(body=good.body[: good.body.index(b"\n") + 1] + b"\xff\xfe no line of a chat\n"),
    "/html": lambda good: Answer(headers=(("Content-Type", "text/html"),), body=b"<html>It works!</html>"),
    "/broken": lambda good: wire("chat.rendered.broken_off"),
    "/repeat": lambda good: wire("chat.rendered.repetition"),
    "/overflow": lambda good: wire("error.overflow_native"),
    "/busy": lambda good: wire("error.queue_full"),
    "/died": lambda good: wire("error.runner_died"),
    "/memory": lambda good: wire("error.out_of_memory"),
    "/toolparse": lambda good: wire("error.tool_parse"),
    "/foreign": lambda good: wire("error.foreign_host"),
    "/empty": lambda good: wire("chat.load"),
}
"""What a word in the newest message of the user does to the good answer."""


class World:
    """Answers as a server with these models would, `gap_s` between pieces, `load_s` before a model's first answer."""

    def __init__(self, *, gap_s: float = 0.0, load_s: float = 0.0) -> None:
        self.cards = dict(CARDS)
        self.windows: dict[str, int] = {}
        self.pulled: dict[str, int] = {}
        self._gap_s, self._load_s = gap_s, load_s
        self._embedder = HashingEmbedder(64)
        self._calls = 0

    def __call__(self, request: Request) -> Answer:
        handlers: dict[tuple[str, str], Callable[[Any], Answer]] = {
            ("GET", "/"): lambda _: wire("root"),
            ("GET", "/api/version"): lambda _: wire("version"),
            ("GET", "/api/tags"): lambda _: answer_json({"models": [self._listed(name) for name in self.cards]}),
            ("GET", "/api/ps"): lambda _: answer_json({"models": [self._loaded(name) for name in self.windows]}),
            ("POST", "/api/show"): self._show,
            ("POST", "/api/chat"): self._chat,
            ("POST", "/api/embed"): self._embed,
            ("POST", "/api/pull"): self._pull,
        }
        handler = handlers.get((request.method, request.path))
        if handler is None:
            return nothing_there()
        host = request.headers.get("host", "").rpartition(":")[0]
        if host not in ("127.0.0.1", "localhost", "[::1]"):
            return wire("error.foreign_host")
        return handler(request.json)

    # --- models -------------------------------------------------------------------------------------------------

    def _listed(self, name: str) -> dict[str, Any]:
        card = self.cards[name]
        details = {"format": "gguf", "family": "stub", "parameter_size": "1B", "quantization_level": "Q4_K_M"}
        return {
            "name": name,
            "model": name,
            "modified_at": "2026-11-18T10:00:00.5+01:00",
            "size": card["size"],
            "digest": f"{name.encode().hex():0<64}"[:64],
            "details": details,
        }

    def _loaded(self, name: str) -> dict[str, Any]:
        more = {"expires_at": "2036-11-20T08:10:00Z", "size_vram": 0, "context_length": self.windows[name]}
        return self._listed(name) | more

    def _show(self, body: dict[str, Any]) -> Answer:
        card = self.cards.get(_full(body["model"]))
        if card is None:
            return _missing(body["model"])
        info = {"general.architecture": "stub", "stub.context_length": card["context"], "stub.embedding_length": 64}
        shown = {"modelfile": "", "parameters": "", "template": "{{ .Prompt }}", "details": {}, "model_info": info}
        return answer_json(shown | {"capabilities": card["capabilities"]})

    def _pull(self, body: dict[str, Any]) -> Answer:
        name = _full(body["model"])
        if "missing" in name:
            return wire("pull_unknown")
        # A pull that breaks off goes on halfway, as a real one does from what it has stored.
        begun = self.pulled.get(name, 0)
        self.pulled[name] = LAYER_BYTES // 2
        self.cards[name] = PULLED
        digest = "sha256:" + name.encode().hex()
        layer = {"status": "pulling layer", "digest": digest, "total": LAYER_BYTES}
        steps = range(begun, LAYER_BYTES + 1, LAYER_BYTES // PULL_PIECES)
        progress = [layer | {"completed": done} for done in steps] + [layer | {"completed": LAYER_BYTES}]
        if body.get("stream") is False:
            return answer_json({"status": "success"})
        ends = [{"status": status} for status in ("verifying sha256 digest", "writing manifest", "success")]
        return answer_lines({"status": "pulling manifest"}, *progress, *ends).but(gap_s=self._gap_s)

    def _embed(self, body: dict[str, Any]) -> Answer:
        name = _full(body["model"])
        if name not in self.cards:
            return _missing(body["model"])
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        if any(count_request({"messages": [{"content": text}]}) > self.cards[name]["context"] for text in texts):
            return wire("error.overflow_embed")
        self.windows.setdefault(name, self.cards[name]["context"])
        return answer_json({"model": body["model"], "embeddings": self._embedder.embed(texts).tolist()})

    # --- chat ---------------------------------------------------------------------------------------------------

    def _chat(self, body: dict[str, Any]) -> Answer:
        name = _full(body["model"])
        card = self.cards.get(name)
        if card is None:
            return _missing(body["model"])
        if "completion" not in card["capabilities"]:
            return _refused(f'"{body["model"]}" does not support chat')
        if body.get("tools") and "tools" not in card["capabilities"]:
            return _refused(f"registry.ollama.ai/library/{name} does not support tools")
        if body.get("think") and "thinking" not in card["capabilities"]:
            return _refused(f'"{body["model"]}" does not support thinking')
        window = min(body.get("options", {}).get("num_ctx") or 4096, card["context"])
        loads = self.windows.get(name) != window
        self.windows[name] = window
        tokens = count_request(body)
        if tokens > window:
            return _overflow(tokens, window)
        good = self._stream(body, tokens, native="native" in name).but(
            gap_s=self._gap_s, before_s=self._load_s if loads else 0.0
        )
        said = _newest_of_the_user(body)
        return next((mishap(good) for word, mishap in MISHAPS.items() if word in said), good)

    def _stream(self, body: dict[str, Any], tokens: int, *, native: bool) -> Answer:
        thinking, content, calls = self._reply(body)
        if calls and body.get("format"):
            called = calls.pop()["function"]
            form = {"thought": content, "function": called["name"], "arguments": called["arguments"]}
            content = json.dumps(form, ensure_ascii=False)
        lines = [_line(body, thinking=f"{word} ") for word in (thinking.split() if body.get("think") else ())]
        lines += [_line(body, content=piece) for piece in _words(content)]
        end: dict[str, Any] = {"tool_calls": calls} if calls and native else {}
        if calls and not native:
            lines.append(_line(body, tool_calls=calls))
        said = max(1, len(lines))
        figures = {
            "done_reason": "stop",
            "total_duration": 2_000_000_000,
            "load_duration": 1_300_000,
            "prompt_eval_count": tokens,
            "prompt_eval_cached_count": tokens // 2,
            "prompt_eval_duration": tokens * 400_000,
            "eval_count": said,
            "eval_duration": said * 40_000_000,
        }
        if body.get("stream") is False:
            message = {"content": content} | ({"tool_calls": calls} if calls else {})
            return answer_json(_line(body, **message) | {"done": True} | figures)
        return answer_lines(*lines, _line(body, **end) | {"done": True} | figures)

    def _reply(self, body: dict[str, Any]) -> tuple[str, str, list[dict[str, Any]]]:
        """Thinking, content and calls: facts are stored when asked for, and every message is answered with an echo."""
        said = _newest_of_the_user(body)
        tools = {tool["function"]["name"] for tool in body.get("tools", ())} or _forms(body)
        system = body["messages"][0].get("content", "") if body["messages"] else ""
        if "summariser" in system:
            return "", "The user and the agent spoke; the stub kept no details.", []
        if "send_message" not in tools:
            return "I echo.", f"You said: {said}", []
        fact = said.partition("remember ")[2].strip()
        last = body["messages"][-1]
        stored = last.get("role") == "tool" or '"type": "function_result"' in last.get("content", "")
        if fact and not stored and "core_memory_append" in tools:
            arguments = {"label": "human", "content": fact, "request_heartbeat": True}
            return "A fact worth keeping.", "I will keep that.", [self._call("core_memory_append", arguments)]
        text = "I have written it down." if stored else f"You said: {said}"
        return "Nothing to store, so I answer.", "I answer the user.", [self._call("send_message", {"message": text})]

    def _call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self._calls += 1
        return {"id": f"call_stub{self._calls:04}", "function": {"index": 0, "name": name, "arguments": arguments}}


def _forms(body: dict[str, Any]) -> set[str]:
    """The functions that a request's form (`format`) lets a model without tool support name."""
    form = body.get("format")
    options = form.get("anyOf", ()) if isinstance(form, dict) else ()
    return {name for option in options for name in option["properties"]["function"]["enum"]}


def _full(model: str) -> str:
    return model if ":" in model else f"{model}:latest"


def _missing(model: str) -> Answer:
    return answer_json({"error": f"model '{model}' not found"}, "404 Not Found")


def _refused(why: str) -> Answer:
    return answer_json({"error": why}, "400 Bad Request")


def _overflow(tokens: int, window: int) -> Answer:
    message = f"request ({tokens} tokens) exceeds the available context size ({window} tokens), try increasing it"
    kind = "exceed_context_size_error"
    inner = {"code": 400, "message": message, "type": kind, "n_prompt_tokens": tokens, "n_ctx": window}
    return _refused(json.dumps({"error": inner}))


def _line(body: dict[str, Any], **message: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": ""} | message
    return {"model": body["model"], "created_at": "2026-11-20T08:00:00.1Z", "message": said, "done": False}


def _words(text: str) -> Iterator[str]:
    for at, word in enumerate(text.split(" ")):
        yield word if at == 0 else f" {word}"


def _newest_of_the_user(body: dict[str, Any]) -> str:
    """The newest words of a person, out of the envelope that the engine writes; alerts are not theirs."""
    for message in reversed(body["messages"]):
        if message.get("role") == "user":
            text = str(message["content"])
            envelope = json.loads(text) if text.startswith("{") else {"type": "user_message", "message": text}
            if envelope.get("type") == "user_message":
                return str(envelope.get("message", ""))
    return ""
