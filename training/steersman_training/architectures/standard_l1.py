"""Standard-L1: Anthropic's April 2024 update, "Training SAEs" (transformer-circuits.pub)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from steersman_engine.sae import SAE
from steersman_training import train_config
from steersman_training.architectures.learner import Learner, Outcome, counts, directions
from steersman_training.architectures.penalty import Penalty
from steersman_training.sparse import Active, Encode, above, decode
from steersman_training.train_config import TrainConfig

SPARSE_BELOW = 1 / 16
"""Share of activations that are not zero below which summing their rows is faster than dense products."""


class StandardL1(Learner):
    """`f = ReLU(x W_enc + b_enc)`, `x̂ = f W_dec + b_dec`; loss: mean of ‖x − x̂‖² + λ Σ f ‖W_dec‖.

    Decoder rows have any length and nothing is taken off `x`. Both ways of computing a step give the same
    gradients; the one that is faster at the last step's density is taken.
    """

    def __init__(self, config: TrainConfig, sample: Tensor) -> None:
        super().__init__(config, sample)
        options = config.architecture
        assert isinstance(options, train_config.StandardL1)
        rows = normalize(directions(config.d_sae, sample.shape[1], config.seed), dim=-1)
        self.W_dec = nn.Parameter(rows * options.decoder_init_norm)
        self.W_enc = nn.Parameter(self.W_dec.detach().clone().T)
        self.b_enc = nn.Parameter(torch.zeros(config.d_sae))
        self.b_dec = nn.Parameter(torch.zeros(sample.shape[1]))
        self.penalty = Penalty(options.l1, options.l1_warmup, options.target_l0)

    def forward(self, x: Tensor, *, progress: float, dead: Tensor) -> Outcome:
        """Encode, decode and judge `x`."""
        dense = not 0 < self.penalty.l0 < SPARSE_BELOW * len(self.b_enc)
        x_hat, lengths, firings = self._dense(x) if dense else self._sparse(x)
        error = (x - x_hat).square().sum()
        weight = self.penalty.at(progress)
        loss = (error + weight * lengths) / len(x)
        l0 = self.world.mean(firings.sum().float()) / len(x)
        self.penalty.observe(l0, progress)
        return Outcome(loss=loss, error=error.detach(), firings=firings, shown={"penalty": weight})

    def _dense(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x̂, Σ f ‖W_dec‖, and the firings."""
        W_enc, W_dec = self.W_enc.to(self.dtype), self.W_dec.to(self.dtype)
        f = torch.addmm(self.b_enc.to(self.dtype), x.to(self.dtype), W_enc).relu()
        lengths = f.sum(dim=0, dtype=torch.float32) @ self.W_dec.norm(dim=-1)
        return (f @ W_dec).float() + self.b_dec, lengths, (f > 0).sum(dim=0)

    def _sparse(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        values, *active = Encode.apply(x, self.W_enc, self.b_enc, _above_zero, self.dtype)
        active = Active(*active)
        lengths = values @ self.W_dec.norm(dim=-1)[active.feature]
        x_hat = decode(values, self.W_dec, active, len(x)) + self.b_dec
        return x_hat, lengths, counts(active.feature, len(self.b_enc))

    def active(self, x: Tensor) -> Tensor:
        """Which features are above zero."""
        return self.pre_acts(x) > 0

    @torch.no_grad()
    def to_sae(self, input_scale: float) -> SAE:
        """The SAE as it is served: decoder norms are folded."""
        return SAE.canonical(
            W_enc=self.W_enc, b_enc=self.b_enc, W_dec=self.W_dec, b_dec=self.b_dec, input_scale=input_scale
        )


def _above_zero(pre: Tensor) -> Tensor:
    return above(pre, 0.0)
