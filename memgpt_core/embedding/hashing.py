"""The hashing embedder: words and character 3 to 5 grams, hashed into a fixed number of buckets.

Lexical only: it finds spellings, not meanings, and whoever ranks with it must let words dominate. Serves
tests and the agents that ask for it; deterministic on every machine, needs no model and no network.
"""

from collections.abc import Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from memgpt_core.embedding.base import Vectors
from memgpt_core.ranking import words

GRAMS = (3, 4, 5)
WORD_WEIGHT = 3.0
"""A whole word counts as much as the three gram sizes that cover it."""

_MIX = np.uint64(0x9E3779B97F4A7C15)


class HashingEmbedder:
    """Vectors of `dim` signed buckets, unit length; a text without a letter or digit gets the zero vector."""

    def __init__(self, dim: int = 256) -> None:
        self.name = "hashing"
        self.dim = dim

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One vector a text, (n, dim) float32; the same text gives the same bits in any batch."""
        sums = np.zeros((len(texts), self.dim), dtype=np.float64)
        for row, text in enumerate(texts):
            found = words(text)
            if found:
                hashes = self._gram_hashes(f" {' '.join(found)} ")
                sums[row] = self._bucket(hashes, 1.0)
                word_hashes = np.array([crc32(word.encode()) for word in found], dtype=np.uint64) * _MIX
                sums[row] += self._bucket(word_hashes, WORD_WEIGHT)
        lengths = np.sqrt((sums * sums).sum(axis=1, keepdims=True))
        vectors: Vectors = np.divide(sums, lengths, out=np.zeros_like(sums), where=lengths > 0).astype(np.float32)
        return vectors

    @staticmethod
    def _gram_hashes(text: str) -> NDArray[np.uint64]:
        points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
        hashes = []
        for size in GRAMS:
            if len(points) >= size:
                gram = np.full(len(points) - size + 1, size, dtype=np.uint64)
                for offset in range(size):
                    gram = (gram ^ points[offset : offset + len(gram)]) * _MIX
                    gram ^= gram >> np.uint64(29)
                hashes.append(gram * _MIX)
        return np.concatenate(hashes) if hashes else np.empty(0, dtype=np.uint64)

    def _bucket(self, hashes: NDArray[np.uint64], weight: float) -> NDArray[np.float64]:
        buckets = ((hashes >> np.uint64(32)) % np.uint64(self.dim)).astype(np.int64)
        signs = np.where((hashes >> np.uint64(31)) & np.uint64(1), weight, -weight)
        sums: NDArray[np.float64] = np.bincount(buckets, weights=signs, minlength=self.dim).astype(np.float64)
        return sums
