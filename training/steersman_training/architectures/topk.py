"""TopK and BatchTopK: the largest activations of each token, or of the batch, and AuxK."""

import torch
from torch import Tensor

from steersman_engine.sae import SAE
from steersman_training import train_config
from steersman_training.architectures.learner import Outcome, UnitNorm, counts
from steersman_training.sparse import Active, Encode, decode, largest
from steersman_training.train_config import TrainConfig

FLOOR = 0.85
"""Candidates for the largest activations are those above this share of the last batch's smallest one kept."""


class BatchTopK(UnitNorm):
    """Of a batch's activations the `k · batch` largest are kept (Bussmann et al. 2024, arXiv:2412.06410).

    One threshold for all tokens and features stands in for that when the SAE is served, where a token's
    activations must not depend on its batch: a moving average of the smallest activation kept.
    """

    options: train_config.TopK
    threshold: Tensor  # scalar
    smallest: Tensor  # scalar: the last batch's smallest activation kept; the threshold lags behind it

    def __init__(self, config: TrainConfig, sample: Tensor) -> None:
        super().__init__(config, sample)
        assert isinstance(config.architecture, train_config.TopK)
        self.options = config.architecture
        self.register_buffer("threshold", torch.zeros(()))
        self.register_buffer("smallest", torch.zeros(()))

    def forward(self, x: Tensor, *, progress: float, dead: Tensor) -> Outcome:
        """Encode, decode and judge `x`: the share of its variance that is missed, and AuxK."""
        centred = x - self.centre
        values, *active = Encode.apply(centred, self.W_enc, self.b_enc, self.choose, self.dtype)
        active = Active(*active)
        missed, error = self.errors(x, values, active)
        variance = self.variance(x)
        loss = missed * self.world.size / variance
        if len(dead) and self.options.aux_alpha:
            loss = loss + self.options.aux_alpha * self._aux(centred, error, dead)
        return Outcome(
            loss=loss,
            error=error.square().sum(),
            firings=counts(active.feature, len(self.b_enc)),
            shown={"threshold": self.threshold},
        )

    def errors(self, x: Tensor, values: Tensor, active: Active) -> tuple[Tensor, Tensor]:
        """What is to become small, ‖x − x̂‖² summed, and x − x̂ without gradient."""
        error = x - self.b_dec - decode(values, self.W_dec, active, len(x))
        return error.square().sum(), error.detach()

    def choose(self, pre: Tensor) -> Tensor:
        """The largest of the batch; notes the smallest of them."""
        count = self.options.k * len(pre) * self.world.size
        places = largest(pre, count, FLOOR * self.smallest.item(), self.world)
        self._follow(pre.flatten()[places])
        return places

    @torch.no_grad()
    def _follow(self, kept: Tensor) -> None:
        """Move the threshold towards the smallest of `kept`."""
        none = self.threshold.new_full((), torch.inf)
        smallest = self.world.least(kept.min().to(self.threshold) if len(kept) else none)
        if smallest.isinf():
            return
        share = torch.where(self.threshold == 0, 1.0, 1 - self.options.threshold_decay).to(smallest)
        self.threshold.lerp_(smallest, share)
        self.smallest.copy_(smallest)

    def _aux(self, centred: Tensor, error: Tensor, dead: Tensor) -> Tensor:
        """AuxK (Gao et al. 2024, arXiv:2406.04093), as a share of the reconstruction's error.

        It is what the `d_in / 2` largest dead features of each token miss of that error.
        """
        pre = centred.to(self.dtype) @ self.W_enc[:, dead].to(self.dtype) + self.b_enc[dead].to(self.dtype)
        top = pre.relu().topk(min(centred.shape[1] // 2, len(dead)), dim=-1, sorted=False)
        acts = torch.zeros_like(pre).scatter(-1, top.indices, top.values)
        missed = error - (acts @ self.W_dec[dead].to(self.dtype)).float()
        return missed.square().sum() * self.world.size / self.world.sum(error.square().sum())

    def active(self, x: Tensor) -> Tensor:
        """Which features are above the threshold, each token judged alone."""
        return self.pre_acts(x - self.centre) > self.threshold

    @torch.no_grad()
    def to_sae(self, input_scale: float) -> SAE:
        """The SAE as it is served, with one threshold."""
        centre, W_enc = self.centre.double(), self.W_enc.double()
        return SAE.canonical(
            W_enc=W_enc,
            b_enc=self.b_enc.double() - centre @ W_enc,
            W_dec=self.W_dec,
            b_dec=self.b_dec,
            threshold=self.threshold.expand(len(self.b_enc)),
            input_scale=input_scale,
        )


class TopK(BatchTopK):
    """Of each token's activations the `k` largest are kept (Gao et al. 2024, arXiv:2406.04093)."""

    def choose(self, pre: Tensor) -> Tensor:
        """The largest of each token; notes where the batch's `k · batch` largest would end."""
        top = pre.topk(self.options.k, dim=-1, sorted=False)
        super().choose(pre)
        keep = torch.zeros_like(pre, dtype=torch.bool).scatter_(-1, top.indices, top.values > 0)
        return keep.flatten().nonzero()[:, 0]
