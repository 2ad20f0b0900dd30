"""What turns a text into a direction, so that near means alike."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Embedder(Protocol):
    """Embeds texts; any thread may call it."""

    name: str
    """Labels and queries must be embedded by the same one: a catalogue's `meta` names it."""
    dim: int

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors, float32 `[len(texts), dim]`."""
        ...
