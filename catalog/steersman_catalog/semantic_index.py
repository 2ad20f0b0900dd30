"""Search by meaning: cosine of the query's embedding with every label's, exact."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, Self

import numpy as np

from steersman_catalog.vectors import BLOCK, unit

THREADS = min(4, os.cpu_count() or 1)
"""More gain nothing: what a search waits for is memory."""
POOL = ThreadPoolExecutor(THREADS, thread_name_prefix="search")
QUERY = """
SELECT feature, embedding FROM embeddings JOIN labels USING (label) WHERE shown ORDER BY feature
"""


class SemanticIndex:
    """The directions of the shown labels, float32 `[labels, dim]`: a query is one product with them all."""

    def __init__(
        self, embedder: str, features: np.ndarray, directions: np.ndarray, num_features: int
    ) -> None:
        self.embedder = embedder
        """Name of what embedded them; a query must be embedded by the same."""
        self._features = features
        self._directions = directions
        self._num_features = num_features
        bounds = np.linspace(0, len(directions), THREADS + 1).astype(int).tolist()
        self._parts = [slice(*each) for each in pairwise(bounds)]

    @classmethod
    def load(
        cls, columns: Callable[[str], dict[str, Any]], meta: Mapping[str, str], num_features: int
    ) -> Self | None:
        """Read them, or None if there are none.

        Raises:
            ValueError: They are not all of one length, or of features that there are not.
        """
        found = columns(QUERY)
        if not len(found["feature"]):
            return None
        features = np.asarray(found["feature"])
        lengths = {len(one) for one in found["embedding"]}
        if len(lengths) > 1 or not 0 <= features.min() <= features.max() < num_features:
            raise ValueError(
                f"its embeddings have {sorted(lengths)[:3]} numbers and are of features {features.min()} to"
                f" {features.max()} of {num_features}: embed its labels anew."
            )
        stored = np.vstack(found["embedding"])
        directions = np.empty(stored.shape, np.float32)
        for start in range(0, len(stored), BLOCK):  # so that loading takes little more than what is kept
            directions[start : start + BLOCK] = unit(stored[start : start + BLOCK])
        return cls(meta.get("embedder", "unknown"), features, directions, num_features)

    def scores(self, direction: np.ndarray) -> np.ndarray:
        """Cosine with the unit vector `[dim]`, float32 `[num_features]`; 0 where there is no label."""
        direction, cosines = np.asarray(direction, np.float32), np.empty(len(self._directions), np.float32)

        def multiply(part: slice) -> None:
            # not `@`: BLAS's threads would wait for each other while the model computes on all cores
            np.einsum("ld,d->l", self._directions[part], direction, out=cosines[part])

        list(POOL.map(multiply, self._parts))
        scores = np.zeros(self._num_features, np.float32)
        scores[self._features] = cosines
        return scores

    def direction_of(self, features: list[int]) -> np.ndarray:
        """The mean direction of some features' labels, a unit vector; zeros if none has one."""
        chosen = np.isin(self._features, features)
        return unit(self._directions[chosen].sum(axis=0, keepdims=True))[0]
