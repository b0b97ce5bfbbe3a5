r"""Exact token counts: a model's own vocabulary, rebuilt from what its server says about it.

An Ollama server has no call that counts tokens, but `/api/show` with `verbose` gives the vocabulary that the
model file carries. Byte-level BPE vocabularies and Gemma 4's are rebuilt here. What cannot be rebuilt exactly
(SentencePiece by scores, WordPiece, a way of cutting that this room does not know) gives None, and the caller
estimates; nothing is guessed.

How a text is cut into words before the merges is not in the model file, only its name (`pre`). The cuts are
those of llama.cpp, which serves the model, also where they differ from the model's own: `\s` and `\p{…}` over
Unicode, letter case only told apart in ASCII.

Knows no server and no prompt: chat templates and the tokens they add are somebody else's.
"""

import gzip
import json
import os
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from memgpt_core.events import clean

CACHE_TEXTS = 4096
CACHE_TEXT_CHARS = 20_000
"""Texts longer than this are counted anew each time, so that the cache stays within some 80 MB at worst."""

FORMAT = 1
"""Raised when the shape of a saved vocabulary changes; a file of another shape is made anew."""

USER_DEFINED = 4
"""The `token_type` of tokens that are found in plain text, before it is cut. Control tokens (3) are not."""

# --- how a text is cut into words -----------------------------------------------------------------------------

_CONTRACTION = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
_LINES = r"\s*[\r\n]+"
_SPACES = r"\s+(?!\S)|\s+"
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
_ASCII_PUNCTUATION = r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"
_SENTENCES = r" ?[^(\s|.,!?…。，、।۔،)]+"
_NEWLINES_APART = r"[^\n]+|[\n]+"
_KANA_AND_HAN = "[一-龥\u3040-\u309f\u30a0-\u30ff]+"
_HAN_AND_HANGUL = "[[一-龥\u0800-一가-\ud7ff]&&\\S]+"
_CASED = (
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ"
    "-ᾼ\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-"
    "ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
)


def _words(
    *,
    opening: str = _CONTRACTION + "|",
    letters: str = r"\p{L}+",
    digits: str = r"\p{N}",
    other: str = r"[^\s\p{L}\p{N}]+",
    closing: str = r"[\r\n]*",
    lines: str = _LINES,
    spaces: str = _SPACES,
) -> str:
    """A cut in the manner of tiktoken: contractions, words, digits, other signs, line ends, spaces."""
    return f"{opening}[^\\r\\n\\p{{L}}\\p{{N}}]?{letters}|{digits}| ?{other}{closing}|{lines}|{spaces}"


def _cased(contraction: str, digits: str) -> str:
    """The same, but a word also ends where a small letter is followed by a capital."""
    upper, lower = r"((?=\p{L})[^a-z])", r"((?=\p{L})[^A-Z])"
    letters = f"{upper}*{lower}+{contraction}|[^\\r\\n\\p{{L}}\\p{{N}}]?{upper}+{lower}*{contraction}"
    return _words(opening="", letters=letters, digits=digits, closing=r"[\r\n/]*")


_MARKED_WORDS = (
    _ASCII_PUNCTUATION
    + r"[A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"
    + _LINES
    + "|"
    + _SPACES
)
_FALLING_SPACES = "|".join(rf"\s{{{run}}}(?!\S)" for run in (512, 256, 128, 64, 32, 16, 8, 4, "1,2")) + r"|\s{1}"

CUTS: dict[str, tuple[str, ...]] = {
    "gpt-2": (_GPT2,),
    "starcoder": (r"\p{N}", _GPT2),
    "llama-bpe": (_words(digits=r"\p{N}{1,3}"),),
    "qwen2": (_words(),),
    "qwen35": (_words(letters=r"[\p{L}\p{M}]+", other=r"[^\s\p{L}\p{M}\p{N}]+"),),
    "gpt-4o": (_cased(_CONTRACTION + "?", r"\p{N}{1,3}"),),
    "tekken": (_cased("", r"\p{N}"),),
    "deepseek-llm": (
        r"[\r\n]",
        rf"\s?[{_CASED}]+",
        r"\s?[!-/:-~！-／：-～‘-‟、。]+",
        r"\s+$",
        _HAN_AND_HANGUL,
        r"\p{N}+",
    ),
    "deepseek-coder": (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _HAN_AND_HANGUL, r"\p{N}"),
    "deepseek-v3": (r"\p{N}{1,3}", _KANA_AND_HAN, _MARKED_WORDS),
    "falcon": (r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, r"[0-9][0-9][0-9]"),
    "default": (r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"),
    "bloom": (_SENTENCES,),
    "viking": (_SENTENCES, r"\p{N}"),
    "bailingmoe": (_words(lines=r"\s*[\r\n]"),),
    "seed-coder": (_words(other=r"[^\s\p{L}\p{N}\r\n]+", closing=""),),
    "exaone-moe": (_words(letters=r"(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+", closing=r"[\r\n/]?", lines=r"\s*[\r\n]"),),
    "jais-2": (_words(digits=r"\p{N}{1,3}", spaces=_FALLING_SPACES),),
    "laguna": (_NEWLINES_APART, _words()),
    "minicpm5": (r"\p{N}{1,3}", _words(digits=r"\p{N}+")),
    "ufakzeka": (_words(opening=""),),
}
"""The cuts of each family: each expression in turn takes its matches out of what the ones before left whole."""

ALIASES: dict[str, str] = {
    **dict.fromkeys(("mpt", "olmo", "jais", "trillion", "granite-docling", "phi-2", "gigachat", "a.x-4.0"), "gpt-2"),
    **dict.fromkeys(("mellum", "modern-bert", "exaone4"), "gpt-2"),
    **dict.fromkeys(("refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"), "starcoder"),
    **dict.fromkeys(("llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"), "llama-bpe"),
    **dict.fromkeys(("dbrx", "smaug-bpe", "chatglm-bpe", "glm4", "glm5"), "llama-bpe"),
    **dict.fromkeys(("deepseek-r1-qwen", "kormo", "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2"), "qwen2"),
    **dict.fromkeys(("llama4", "kanana2", "talkie", "minimax-m2"), "gpt-4o"),
    **dict.fromkeys(("hunyuan-dense", "joyai-llm", "hy_v4"), "deepseek-v3"),
    **dict.fromkeys(("poro-chat", "gpt3-finnish"), "bloom"),
    **dict.fromkeys(("bailingmoe2", "llada-moe"), "bailingmoe"),
}
"""Names of `pre` that cut as another does."""

WHOLE_WORDS = frozenset(
    {"llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"}
    | {"glm4", "glm5", "tekken", "minicpm5"}
)
"""Names of `pre` under which a word that is a token is taken whole, whatever the merges would make of it."""


def cutter(model: str, pre: str) -> pre_tokenizers.PreTokenizer | None:
    """What cuts a text into words for this kind of vocabulary (`tokenizer.ggml.model`); None when it is not known."""
    if model == "gemma4":
        return pre_tokenizers.Split(Regex(_NEWLINES_APART), "isolated")
    cuts = CUTS.get(ALIASES.get(pre, pre), ()) if model == "gpt2" else ()
    splits = [pre_tokenizers.Split(Regex(cut), "isolated") for cut in cuts]
    bytes_apart = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([*splits, bytes_apart]) if splits else None


class _Card(NamedTuple):
    """What of a model's card its vocabulary is made of."""

    model: str
    pre: str
    tokens: list[str]
    merges: list[str]
    user_defined: list[int]


class Vocabulary:
    """A rebuilt vocabulary; may be shared by threads."""

    def __init__(self, card: _Card, tokenizer: Tokenizer) -> None:
        """Use `from_show` or `load`."""
        self.pre = card.pre
        self.size = len(card.tokens)
        self._card = card
        self._tokenizer = tokenizer
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def from_show(cls, show: dict[str, Any]) -> Self | None:
        """The vocabulary in the answer of `/api/show` with `verbose`; None when it cannot be rebuilt exactly.

        Takes the whole answer, or its `model_info` alone.
        """
        info = show.get("model_info", show) or {}
        tokens, merges, types = (info.get(f"tokenizer.ggml.{key}") for key in ("tokens", "merges", "token_type"))
        # Without `verbose` the server leaves the lists out or empty.
        if not tokens or not merges:
            return None
        found = [at for at, kind in enumerate(types or ()) if kind == USER_DEFINED]
        model, pre = str(info.get("tokenizer.ggml.model")), str(info.get("tokenizer.ggml.pre", ""))
        return cls._build(_Card(model, pre, list(tokens), list(merges), found))

    @classmethod
    def _build(cls, card: _Card) -> Self | None:
        cut = cutter(card.model, card.pre)
        # llama.cpp gives tokens without text a name too.
        ids = {token or f"[EMPTY_{at}]": at for at, token in enumerate(card.tokens)}
        merges = [_halves(merge) for merge in card.merges]
        whole = all(left in ids and right in ids and left + right in ids for left, right in merges)
        if cut is None or not whole or len(ids) < len(card.tokens):
            return None
        raw, whole_words = card.model == "gemma4", card.pre in WHOLE_WORDS
        tokenizer = Tokenizer(models.BPE(vocab=ids, merges=merges, byte_fallback=raw, ignore_merges=whole_words))
        if raw:
            tokenizer.normalizer = normalizers.Replace(" ", "▁")
        tokenizer.pre_tokenizer = cut
        tokenizer.add_tokens([AddedToken(card.tokens[at], normalized=False) for at in card.user_defined])
        return cls(card, tokenizer)

    # --- counting ---------------------------------------------------------------------------------------------

    def ids(self, text: str) -> list[int]:
        """The token ids of `text` as plain text, without a beginning-of-text token.

        Half of a surrogate pair counts as what the log and the server get instead of it.
        """
        return self._tokenizer.encode(clean(text), add_special_tokens=False).ids

    def count(self, text: str) -> int:
        """Tokens of `text`."""
        return self.count_many((text,))[0]

    def count_many(self, texts: Iterable[str]) -> list[int]:
        """Tokens of each text, in order."""
        asked = list(texts)
        with self._lock:
            known = {text: self._counts[text] for text in asked if text in self._counts}
            for text in known:
                self._counts.move_to_end(text)
        missing = list(dict.fromkeys(text for text in asked if text not in known))
        fresh = {text: len(self.ids(text)) for text in missing}
        with self._lock:
            self._counts.update((text, size) for text, size in fresh.items() if len(text) <= CACHE_TEXT_CHARS)
            while len(self._counts) > CACHE_TEXTS:
                self._counts.popitem(last=False)
        known.update(fresh)
        return [known[text] for text in asked]

    # --- on disk ----------------------------------------------------------------------------------------------

    def save(self, path: Path, digest: str) -> None:
        """Keep the vocabulary of the model with this digest at `path`; a reader never sees half a file.

        Raises:
            OSError: the disk does not take it.
        """
        saved = {"format": FORMAT, "digest": digest, **self._card._asdict()}
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.part")
        try:
            partial.write_bytes(gzip.compress(json.dumps(saved, ensure_ascii=False).encode(), compresslevel=1))
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path, digest: str) -> Self | None:
        """What was saved at `path` for the model with this digest; None when it is not there, or is not whole."""
        try:
            saved = json.loads(gzip.decompress(path.read_bytes()))
            if saved["format"] != FORMAT or saved["digest"] != digest:
                return None
            card = _Card(*(saved[name] for name in _Card._fields))
        except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError):
            return None
        return cls._build(card)


def _halves(merge: str | Sequence[str]) -> tuple[str, str]:
    """The two tokens a merge joins; a token may itself begin with a space."""
    if not isinstance(merge, str):
        left, right = merge
        return left, right
    at = merge.find(" ", 1)
    return merge[:at], merge[at + 1 :]
