"""The weight of a sparsity penalty: it rises, and may then follow a number of active features."""

import math

import torch
from torch import Tensor, nn

L0_DECAY = 0.95
PROPORTIONAL = 1.0
INTEGRAL_RUN, INTEGRAL_STEP = 16.0, 0.001
"""What an L0 e times too large adds to the log of the weight in a whole run, and at least in a step."""
LONGEST = 8.0
"""The weight is changed by at most e to this."""


class Penalty(nn.Module):
    """A weight that rises over the first `warmup` of the run.

    With `target_l0` it is then steered: a proportional and integral controller of log weight by
    log(L0 / target), so that it does not matter in which units the penalty is.
    """

    l0: Tensor  # scalar: moving average of active features a token; 0 before the first
    owed: Tensor  # scalar: the integral, log of a factor

    def __init__(self, weight: float, warmup: float, target_l0: float | None, *, num_steps: int) -> None:
        super().__init__()
        self.weight, self.warmup, self.target_l0 = weight, warmup, target_l0
        self.rate = max(INTEGRAL_STEP, INTEGRAL_RUN / num_steps)
        self.register_buffer("l0", torch.zeros(()))
        self.register_buffer("owed", torch.zeros(()))

    def at(self, progress: float) -> Tensor:
        """The weight of the step that completes this share of the run."""
        risen = self.weight * min(1.0, progress / self.warmup if self.warmup else 1.0)
        if self.target_l0 is None or not self._steers(progress):
            return self.l0.new_tensor(risen)
        return risen * (self.owed + PROPORTIONAL * self._off()).clamp(-LONGEST, LONGEST).exp()

    @torch.no_grad()
    def observe(self, l0: Tensor, progress: float) -> None:
        """Note the active features a token of a step."""
        first = (self.l0 == 0).to(self.l0)
        self.l0.lerp_(l0.to(self.l0), (1 - L0_DECAY) * (1 - first) + first)
        if self.target_l0 is not None and self._steers(progress):
            self.owed.add_(self.rate * self._off()).clamp_(-LONGEST, LONGEST)

    def _steers(self, progress: float) -> bool:
        return progress > min(self.warmup, 0.05)

    def _off(self) -> Tensor:
        """Log of how many times too large L0 is, at most a factor of 4."""
        assert self.target_l0 is not None
        return (self.l0.clamp(min=1e-3).log() - math.log(self.target_l0)).clamp(-1.4, 1.4)
