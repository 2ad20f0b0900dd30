"""The weight of a sparsity penalty: it rises, and may then follow a number of active features."""

import math

import torch
from torch import Tensor, nn

FAST, SLOW = 0.9, 0.98
"""Decays of two moving averages of L0; where the fast one is ahead, L0 is on its way."""
LEAD = 2.0
"""How much of that way is counted as gone already."""
PROPORTIONAL = 0.5
INTEGRAL = 0.005
"""What an L0 that is e times too large adds to the log of the weight in a step."""
LONGEST = 3.0
"""The weight is changed by at most e to this."""


class Penalty(nn.Module):
    """A weight that rises over the first `warmup` of the run.

    With `target_l0` it is then steered: log weight by how far log L0 will be off, now and summed, so that it
    does not matter in which units the penalty is.
    """

    l0: Tensor  # scalar: moving average of active features a token; 0 before the first
    slow: Tensor  # scalar: the same, slower
    owed: Tensor  # scalar: the sum, log of a factor

    def __init__(self, weight: float, warmup: float, target_l0: float | None) -> None:
        super().__init__()
        self.weight, self.warmup, self.target_l0 = weight, warmup, target_l0
        for name in ("l0", "slow", "owed"):
            self.register_buffer(name, torch.zeros(()))

    def at(self, progress: float) -> Tensor:
        """The weight of the step that completes this share of the run."""
        risen = self.weight * min(1.0, progress / self.warmup if self.warmup else 1.0)
        if not self._steers(progress):
            return self.l0.new_tensor(risen)
        return risen * (self.owed + PROPORTIONAL * self._off()).clamp(-LONGEST, LONGEST).exp()

    @torch.no_grad()
    def observe(self, l0: Tensor, progress: float) -> None:
        """Note the active features a token of a step."""
        for average, decay in ((self.l0, FAST), (self.slow, SLOW)):
            average.copy_(torch.where(average == 0, l0, decay * average + (1 - decay) * l0))
        if self._steers(progress):
            self.owed.add_(INTEGRAL * self._off()).clamp_(-LONGEST, LONGEST)

    def _steers(self, progress: float) -> bool:
        return self.target_l0 is not None and progress > min(self.warmup, 0.05)

    def _off(self) -> Tensor:
        """Log of how many times too large L0 will soon be, at most e times."""
        assert self.target_l0 is not None
        now, before = self.l0.clamp(min=1e-3).log(), self.slow.clamp(min=1e-3).log()
        return (now + LEAD * (now - before) - math.log(self.target_l0)).clamp(-1, 1)
