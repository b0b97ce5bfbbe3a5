"""What an Ollama server means when it says no, in a sentence with what to do.

Pure: is handed a status and a body. The one place that recognises a refusal by its prose, because the server
gives nothing firmer: its body is `{"error": "words"}`, and along one path the words are the engine's JSON error.
"""

import json
import re
from typing import Any, NamedTuple

from memgpt_core.errors import ContextOverflow, ModelUnavailable

SAID_CHARS = 400
"""How much of a server's own words stands in a sentence."""

NOT_OLLAMA = "Is the address in OLLAMA_HOST that of an Ollama server?"
AGAIN = "Nothing of it was kept; run the turn again."


class Refused(ModelUnavailable):
    """The server answered, and the answer was no.

    Attributes:
        status: the HTTP status; 200 when the refusal came as a line of a stream that had begun.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class _Prose(NamedTuple):
    """Words by which a refusal is known where the server gives nothing firmer, and what to do about it."""

    words: re.Pattern[str]
    advice: str


_OVERFLOW = re.compile(
    r"longer than the context length|exceeds? the (?:available )?context (?:length|size|window)"
    r"|input length exceeds|exceed_context_size",
    re.IGNORECASE,
)
_OVERFLOW_STATUSES = (200, 400, 413, 500)

_ADVICE = (
    _Prose(re.compile("does not support tools"), "Choose a model that can call functions."),
    _Prose(re.compile("does not support thinking"), "Switch thinking off, or choose a model that can think."),
    _Prose(re.compile("does not support (?:chat|generate)"), "Choose a chat model; this one serves another purpose."),
    _Prose(
        re.compile(r"memory|allocat|\boom\b", re.IGNORECASE),
        "The model does not fit the machine's memory: choose a smaller model or a smaller window.",
    ),
    _Prose(
        re.compile(r"tool.?call|parsing tool|invalid character", re.IGNORECASE),
        "The model wrote a function call that the server could not read: run the turn again, or choose another model.",
    ),
    _Prose(
        re.compile(r"runner|llama-server|exit status|terminated|signal", re.IGNORECASE),
        "The model's process died, often for want of memory: run the turn again; if it dies again, choose a smaller "
        "model or a smaller window.",
    ),
    _Prose(re.compile("must be of type|invalid option|think value"), "Correct that setting of the agent."),
)
"""Tried in order; the first that fits gives the advice. Memory before the runner: a runner dies of it."""


def refusal(status: int, body: bytes, *, model: str = "") -> ModelUnavailable:
    """What a refusal means, in a sentence with what to do: `ContextOverflow` or `Refused`.

    `body` is an error answer's, or an error line of a stream, for which `status` is 200.
    """
    said, detail = _said(body)
    if detail.get("type") == "exceed_context_size_error" or {"n_prompt_tokens", "n_ctx"} <= detail.keys():
        return ContextOverflow(_overflow(detail.get("n_prompt_tokens"), detail.get("n_ctx"), said))
    if status in _OVERFLOW_STATUSES and _OVERFLOW.search(said):
        return ContextOverflow(_overflow(None, None, said))
    return Refused(_sentence(status, said, model, is_json=isinstance(_json(body), dict)), status)


def _overflow(prompt_tokens: Any, window_tokens: Any, said: str) -> str:
    how = f"{prompt_tokens} tokens do not fit its window of {window_tokens}" if prompt_tokens else said
    return (
        f"The model server refused the request as longer than its window: {how}. Shorten core memory or enlarge the "
        "window in the agent's settings."
    )


def _sentence(status: int, said: str, model: str, *, is_json: bool) -> str:
    words = said.rstrip(" .")
    if status == 404:
        if not is_json:
            return f"The server knows no such address (404). {NOT_OLLAMA}"
        get = f"Get it with `ollama pull {model}`" if model else "Get it with `ollama pull`"
        return f"The model server says: {words}. {get}, or choose another model."
    if status == 403:
        return (
            "The model server refuses calls under this host name (403). Use 127.0.0.1 in OLLAMA_HOST, or start the "
            "server with its own OLLAMA_HOST=0.0.0.0 if it runs on another machine."
        )
    if status == 401:
        return f"The model server asks for a sign-in (401: {words}). Choose a model that runs on your own machine."
    if status == 503:
        return f"The model server is busy: {words}. Wait until its other requests are done and run the turn again."
    if 300 <= status < 400:
        return f"The server redirects elsewhere ({status}). Put the address it redirects to into OLLAMA_HOST."
    advice = next((prose.advice for prose in _ADVICE if prose.words.search(said)), "")
    if status == 200:
        return f"The model server broke off its reply: {words}. {advice or AGAIN}"
    if not advice:
        advice = "The server's own log says more; run the turn again." if status >= 500 and is_json else NOT_OLLAMA
        if 400 <= status < 500 and is_json:
            advice = "Check the agent's model and its settings."
    return f"The model server refused the request ({status}): {words or 'without a word'}. {advice}"


def _said(body: bytes) -> tuple[str, dict[str, Any]]:
    """The server's words and, where it gave one, the structured error inside them."""
    value = _json(body)
    error = value.get("error", "") if isinstance(value, dict) else body.decode(errors="replace")
    if isinstance(error, str) and error.lstrip().startswith("{"):
        # The engine's own error, handed through by Ollama as a string.
        error = _json(error.encode()) or error
    while isinstance(error, dict) and isinstance(error.get("error"), dict):
        error = error["error"]
    if isinstance(error, dict):
        return quoted(str(error.get("message") or error.get("error") or error)), error
    return quoted(str(error or "")), {}


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def quoted(raw: str | bytes | bytearray) -> str:
    """Foreign words as a line that fits a sentence."""
    text = raw if isinstance(raw, str) else raw[: SAID_CHARS * 4].decode(errors="replace")
    line = " ".join(text.encode(errors="replace").decode().split())
    return line if len(line) <= SAID_CHARS else line[:SAID_CHARS] + " …"
