"""Exact counts: cuts as llama.cpp makes them, ids as the real tokenizers give them, and None for the rest."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from memgpt_core.llm import vocabulary
from memgpt_core.llm.vocabulary import ALIASES, CUTS, WHOLE_WORDS, Vocabulary, cutter
from tests.vocabularies.packages import CARRIED, Carried, byte_letters, installed, shown

ROOT = Path(__file__).parent.parent
VECTORS = json.loads((Path(__file__).parent / "vocabularies" / "vectors.json").read_text(encoding="utf-8"))
TEXTS: list[str] = VECTORS["texts"]
GEMMA_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


@pytest.fixture(scope="module")
def trained() -> Tokenizer:
    """A small real byte-level BPE, cut by the expression that `tokenizers` itself has for GPT-2."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1500, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(texts_of_the_repository(), trainer)
    return tokenizer


@pytest.fixture(scope="module")
def card(trained: Tokenizer) -> dict[str, Any]:
    raw = json.loads(trained.to_str())["model"]
    tokens = sorted(raw["vocab"], key=raw["vocab"].__getitem__)
    return shown("gpt-2", tokens, [" ".join(merge) for merge in raw["merges"]])


@pytest.fixture
def small(card: dict[str, Any]) -> Vocabulary:
    return built(card)


def texts_of_the_repository() -> Iterator[str]:
    for path in sorted((ROOT / "memgpt_core").glob("*.py")):
        yield path.read_text(encoding="utf-8")


def built(show: dict[str, Any]) -> Vocabulary:
    vocabulary = Vocabulary.from_show(show)
    assert vocabulary is not None
    return vocabulary


def changed(card: dict[str, Any], **changes: Any) -> dict[str, Any]:
    info = {**card["model_info"], **{f"tokenizer.ggml.{name}": value for name, value in changes.items()}}
    return {"model_info": info}


def letters(text: str) -> list[str]:
    return [byte_letters()[byte] for byte in text.encode()]


# --- the same ids ---------------------------------------------------------------------------------------------


def test_a_rebuilt_vocabulary_gives_the_ids_of_the_one_it_came_from(trained: Tokenizer, small: Vocabulary) -> None:
    for text in [*TEXTS, *texts_of_the_repository()]:
        assert small.ids(text) == trained.encode(text).ids
    assert small.size == trained.get_vocab_size()


@given(text=st.text(max_size=200))
def test_every_text_has_ids_that_spell_it(trained: Tokenizer, card: dict[str, Any], text: str) -> None:
    small = built(card)
    assert trained.decode(small.ids(text)) == text
    assert (small.count(text) == 0) == (text == "")


def test_half_a_surrogate_pair_is_counted_as_what_is_sent_for_it(small: Vocabulary) -> None:
    assert small.ids("a\ud800b") == small.ids("a\ufffdb")


@pytest.mark.parametrize("family", sorted(CUTS))
def test_words_end_where_llama_cpp_ends_them(family: str) -> None:
    cut = cutter("gpt2", family)
    assert cut is not None
    for text, lengths in zip(TEXTS, VECTORS["cuts"][family], strict=True):
        spans = [span for _, span in cut.pre_tokenize_str(text)]
        assert [end - start for start, end in spans] == lengths, text


def test_every_name_leads_to_a_family() -> None:
    assert set(ALIASES.values()) <= set(CUTS)
    assert not set(ALIASES) & set(CUTS)
    assert set(ALIASES) | set(CUTS) >= WHOLE_WORDS
    assert set(VECTORS["cuts"]) == set(CUTS)


@pytest.mark.parametrize("carried", CARRIED, ids=lambda carried: carried.pre)
def test_known_ids_of_real_vocabularies(carried: Carried) -> None:
    path = installed(carried)
    if path is None:
        pytest.skip(f"the package {carried.package}, which carries this vocabulary, is not installed")
    real = built(carried.read(path, carried.pre))
    for text, ids in zip(TEXTS, VECTORS["ids"][carried.pre], strict=True):
        assert ids is None or real.ids(text) == ids, text


# --- what a token is --------------------------------------------------------------------------------------------


def test_a_word_that_is_a_token_is_taken_whole_only_where_the_server_does_so() -> None:
    tokens = [*letters("abc"), "ab", "bc", "abc"]
    whole = shown("llama-bpe", tokens, ["b c", "a b", "ab c"])
    merged = shown("gpt-2", tokens, ["b c", "a b", "ab c"])
    assert built(whole).ids("abc") == [5]
    assert built(merged).ids("abc") == [0, 4]


def test_user_defined_tokens_are_found_in_plain_text_and_control_tokens_are_not() -> None:
    tokens = [*byte_letters().values(), "ab", "<tool>", "<|end|>"]
    types = [1] * 257 + [4, 3]
    marked = built(changed(shown("qwen2", tokens, ["a b"]), token_type=types))
    assert marked.ids("ab<tool>ab") == [256, 257, 256]
    assert marked.count("<|end|>") == len("<|end|>")
    plain = built(changed(shown("qwen2", tokens, ["a b"]), token_type=None))
    assert plain.count("<tool>") == len("<tool>")


def test_gemma_keeps_text_as_it_is_and_falls_back_to_bytes() -> None:
    tokens = [*GEMMA_BYTES, "a", "▁", "▁a", "\n", "\n\n", "é"]
    gemma = built(changed(shown("", tokens, ["▁ a", "\n \n"]), model="gemma4"))
    at = {token: id for id, token in enumerate(tokens)}
    assert gemma.ids("a a") == [at["a"], at["▁a"]]
    assert gemma.ids("a\n\n\na") == [at["a"], at["\n\n"], at["\n"], at["a"]]
    assert gemma.ids("éß") == [at["é"], 0xC3, 0x9F]


def test_gemmas_own_mark_for_a_space_is_not_taken_for_spaces() -> None:
    tokens = [*GEMMA_BYTES, "a", "▁", "▁a", "▁▁"]
    show = changed(shown("", tokens, ["▁ a"]), model="gemma4", token_type=[1] * 259 + [4])
    assert built(show).ids("  ") == [257, 257]
    assert built(show).ids("▁▁") == [259]


def test_a_merge_may_join_a_token_that_begins_with_a_space() -> None:
    tokens = [*GEMMA_BYTES, " ", "a", " a"]
    assert Vocabulary.from_show(changed(shown("", tokens, ["  a"]), model="gemma4")) is not None


# --- never a guess ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"pre": "a-cut-of-next-year"},
        {"pre": None},
        {"pre": ""},
        {"model": "llama"},
        {"model": "bert"},
        {"model": None},
        {"tokens": None},
        {"tokens": []},
        {"merges": None},
        {"merges": []},
        {"merges": ["a nowhere"]},
        {"tokens": ["a", "b", "ab", "a"], "merges": ["a b"]},
        {"tokens": ["a", "b"], "merges": ["a b"]},
    ],
    ids=str,
)
def test_what_cannot_be_rebuilt_exactly_is_left_to_the_estimate(card: dict[str, Any], changes: dict[str, Any]) -> None:
    assert Vocabulary.from_show(card) is not None
    assert Vocabulary.from_show(changed(card, **changes)) is None


@pytest.mark.parametrize("show", [{}, {"model_info": None}, {"model_info": {}}], ids=str)
def test_a_card_without_a_vocabulary(show: dict[str, Any]) -> None:
    assert Vocabulary.from_show(show) is None


def test_tokens_without_text_keep_their_places(card: dict[str, Any]) -> None:
    tokens = card["model_info"]["tokenizer.ggml.tokens"]
    padded = built(changed(card, tokens=[*tokens, "", ""], token_type=None))
    assert padded.size == len(tokens) + 2
    assert padded.ids("def count") == built(card).ids("def count")


# --- the cache --------------------------------------------------------------------------------------------------


@pytest.fixture
def read(small: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were really cut into tokens, as they come."""
    texts: list[str] = []
    ids = small.ids

    def read_and_remember(text: str) -> list[int]:
        texts.append(text)
        return ids(text)

    monkeypatch.setattr(small, "ids", read_and_remember)
    return texts


def test_counts_come_in_order_and_each_text_is_read_once(small: Vocabulary, read: list[str]) -> None:
    sizes = {text: len(small.ids(text)) for text in ("one", "two words", "")}
    read.clear()
    asked = ["two words", "one", "two words", "", "one"]
    assert small.count_many(asked) == [sizes[text] for text in asked]
    assert small.count("one") == sizes["one"]
    assert read == ["two words", "one", ""]
    assert small.count_many([]) == []


def test_the_texts_not_asked_for_longest_are_forgotten(
    small: Vocabulary, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vocabulary, "CACHE_TEXTS", 2)
    for text in ("a", "b", "a", "c"):
        small.count(text)
    read.clear()
    small.count_many(["a", "c", "b"])
    assert read == ["b"]


def test_long_texts_are_not_kept(small: Vocabulary, read: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "CACHE_TEXT_CHARS", 3)
    assert small.count_many(["abcd", "abc"]) == small.count_many(["abcd", "abc"])
    assert read == ["abcd", "abc", "abcd"]


# --- on disk ----------------------------------------------------------------------------------------------------


def test_what_was_saved_gives_the_same_ids(small: Vocabulary, tmp_path: Path) -> None:
    path = tmp_path / "models" / "one.vocabulary"
    small.save(path, "sha256:1")
    small.save(path, "sha256:1")
    loaded = Vocabulary.load(path, "sha256:1")
    assert loaded is not None
    assert [loaded.ids(text) for text in TEXTS] == [small.ids(text) for text in TEXTS]
    assert (loaded.pre, loaded.size) == (small.pre, small.size)
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_who_reads_while_another_saves_has_the_old_file_whole(small: Vocabulary, tmp_path: Path) -> None:
    path = tmp_path / "v"
    small.save(path, "old")
    with path.open("rb") as reading:
        small.save(path, "new")
        assert json.loads(gzip.decompress(reading.read()))["digest"] == "old"
    assert Vocabulary.load(path, "new") is not None


def test_found_tokens_survive_saving(tmp_path: Path) -> None:
    show = changed(shown("qwen2", [*byte_letters().values(), "ab", "<tool>"], ["a b"]), token_type=[1] * 257 + [4])
    built(show).save(tmp_path / "v", "d")
    loaded = Vocabulary.load(tmp_path / "v", "d")
    assert loaded is not None
    assert loaded.ids("<tool>") == [257]


def test_the_vocabulary_of_another_model_is_not_taken(small: Vocabulary, tmp_path: Path) -> None:
    small.save(tmp_path / "v", "sha256:1")
    assert Vocabulary.load(tmp_path / "v", "sha256:2") is None


def test_a_file_that_is_not_whole_is_not_taken(small: Vocabulary, tmp_path: Path) -> None:
    path = tmp_path / "v"
    assert Vocabulary.load(path, "d") is None
    small.save(path, "d")
    whole = path.read_bytes()
    for size in (0, 1, 5, 12, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert Vocabulary.load(path, "d") is None, size
    path.write_bytes(whole[:100] + bytes(20) + whole[120:])
    assert Vocabulary.load(path, "d") is None


def test_a_file_of_another_shape_is_not_taken(small: Vocabulary, tmp_path: Path) -> None:
    small.save(tmp_path / "v", "d")
    saved = json.loads(gzip.decompress((tmp_path / "v").read_bytes()))
    others: tuple[object, ...] = (
        {**saved, "format": saved["format"] + 1},
        {"format": 1, "digest": "d"},
        {},
        [],
        "text",
    )
    for other in others:
        (tmp_path / "v").write_bytes(gzip.compress(json.dumps(other).encode()))
        assert Vocabulary.load(tmp_path / "v", "d") is None, other


def test_a_disk_that_does_not_take_it_leaves_nothing_behind(small: Vocabulary, tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    with pytest.raises(OSError, match="v"):
        small.save(tmp_path / "v", "d")
    assert [found.name for found in tmp_path.iterdir()] == ["v"]
