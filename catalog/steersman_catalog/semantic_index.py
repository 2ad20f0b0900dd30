"""Search by meaning: cosine of the query's embedding with every label's, exact."""

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np

from steersman_catalog.vectors import unit

QUERY = """
SELECT feature, embedding FROM embeddings JOIN labels USING (label) WHERE shown ORDER BY feature
"""


class SemanticIndex:
    """The directions of the shown labels."""

    def __init__(
        self, embedder: str, features: np.ndarray, directions: np.ndarray, num_features: int
    ) -> None:
        self.embedder = embedder
        """Name of what embedded them; a query must be embedded by the same."""
        self._features = features
        self._directions = directions
        self._num_features = num_features

    @classmethod
    def load(
        cls, columns: Callable[[str], dict[str, Any]], meta: Mapping[str, str], num_features: int
    ) -> Self | None:
        """Read them, or None if there are none."""
        found = columns(QUERY)
        if not len(found["feature"]):
            return None
        directions = unit(np.vstack(found["embedding"]))
        return cls(meta.get("embedder", "unknown"), np.asarray(found["feature"]), directions, num_features)

    def scores(self, direction: np.ndarray) -> np.ndarray:
        """Cosine with the unit vector `[dim]`, float32 `[num_features]`; 0 where there is no label."""
        scores = np.zeros(self._num_features, np.float32)
        scores[self._features] = self._directions @ direction
        return scores

    def direction_of(self, features: list[int]) -> np.ndarray:
        """The mean direction of some features' labels, a unit vector; zeros if none has one."""
        chosen = np.isin(self._features, features)
        return unit(self._directions[chosen].sum(axis=0, keepdims=True))[0]
