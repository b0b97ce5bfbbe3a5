"""What the stores ask of an embedder."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""(n, d) float32, unit length."""


class Embedder(Protocol):
    """A source of vectors. `name` and `dim` are stored with every vector; different names never mix."""

    @property
    def name(self) -> str:
        """What its vectors are stored under."""

    @property
    def dim(self) -> int:
        """How many numbers a vector has; 0 while that is not known."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit vector a text, (n, dim) float32. Raises `ModelUnavailable` when none can be had."""
