"""Which features have been silent for how long, and how often each was active lately."""

from typing import Any

import torch
from torch import Tensor

from steersman_training.world import World

RARE = 1e-5
"""A feature that is active on a smaller share of the tokens, but not dead, is rare."""


class FeatureUse:
    """Counts over windows of `window` tokens; a density is of the last whole window and the one under way."""

    def __init__(self, d_sae: int, window: int, device: str) -> None:
        self.window = window
        self.silent = torch.zeros(d_sae, dtype=torch.long, device=device)
        """`[d_sae]`: tokens since each feature was last active."""
        self._counts = torch.zeros(2, d_sae, dtype=torch.long, device=device)
        self._tokens = [0, 0]  # of the window before, of the one under way

    def observe(self, firings: Tensor, tokens: int, world: World) -> None:
        """Note on how many of this process's share of `tokens` each feature was active, `[d_sae]`."""
        world.sum(firings)
        self.silent.add_(tokens).masked_fill_(firings > 0, 0)
        self._counts[1] += firings
        self._tokens[1] += tokens
        if self._tokens[1] >= self.window:
            self._counts = torch.stack([self._counts[1], torch.zeros_like(self._counts[1])])
            self._tokens = [self._tokens[1], 0]

    @property
    def dead(self) -> Tensor:
        """Indices of the features silent for a whole window."""
        return (self.silent >= self.window).nonzero()[:, 0]

    @property
    def density(self) -> Tensor:
        """`[d_sae]`: the share of tokens each feature was active on."""
        return self._counts.sum(dim=0).double() / max(1, sum(self._tokens))

    @property
    def num_rare(self) -> int:
        """Features active on less than `RARE` of the tokens, without the dead."""
        return int(((self.density < RARE) & (self.silent < self.window)).sum())

    def state(self) -> dict[str, Any]:
        """What `restore` needs."""
        return {"silent": self.silent, "counts": self._counts, "tokens": self._tokens}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.silent, self._counts = state["silent"], state["counts"]
        self._tokens = list(state["tokens"])
