"""Gated SAE (Rajamanoharan et al. 2024, arXiv:2404.16014)."""

import torch
from torch import Tensor, nn

from steersman_engine.sae import SAE
from steersman_training import train_config
from steersman_training.architectures.learner import Outcome, UnitNorm, counts
from steersman_training.architectures.penalty import Penalty
from steersman_training.sparse import Active, Encode, above, decode
from steersman_training.train_config import TrainConfig


class Gated(UnitNorm):
    """Each activation is a magnitude, where it and its gate are above zero.

    With `u = (x − centre) W_enc` the gate is `π = u + b_enc` and the magnitude `e^r u + b_mag`. Loss: mean of
    ‖x − x̂‖² + λ Σ ReLU(π) + ‖x − x̂(ReLU(π))‖², the last with the decoder held fixed. What is kept is decided
    by the gate alone, so all but the first product runs on open gates only.
    """

    def __init__(self, config: TrainConfig, sample: Tensor) -> None:
        super().__init__(config, sample)
        options = config.architecture
        assert isinstance(options, train_config.Gated)
        self.r_mag = nn.Parameter(torch.zeros(config.d_sae))
        self.b_mag = nn.Parameter(torch.zeros(config.d_sae))
        self.penalty = Penalty(options.l1, options.l1_warmup, options.target_l0)

    def forward(self, x: Tensor, *, progress: float, dead: Tensor) -> Outcome:
        """Encode, decode and judge `x`."""
        gate, *active = Encode.apply(x - self.centre, self.W_enc, self.b_enc, _open, self.dtype)
        active = Active(*active)
        magnitude = self._magnitude(gate, active.feature)
        error = (x - self.b_dec - decode(magnitude, self.W_dec, active, len(x))).square().sum()
        by_gate = x - self.b_dec.detach() - decode(gate, self.W_dec.detach(), active, len(x))
        weight = self.penalty.at(progress)
        loss = (error + weight * gate.sum() + by_gate.square().sum()) / len(x)
        firings = counts(active.feature[magnitude > 0], len(self.b_enc))
        self.penalty.observe(self.world.mean(firings.sum().float()) / len(x), progress)
        return Outcome(loss=loss, error=error.detach(), firings=firings, shown={"penalty": weight})

    def _magnitude(self, gate: Tensor, feature: Tensor) -> Tensor:
        unbiased = gate - self.b_enc[feature]
        return (self.r_mag[feature].exp() * unbiased + self.b_mag[feature]).relu()

    def active(self, x: Tensor) -> Tensor:
        """Which features have an open gate and a magnitude above zero."""
        gate = self.pre_acts(x - self.centre)
        return (gate > 0) & (self.r_mag.exp() * (gate - self.b_enc) + self.b_mag > 0)

    @torch.no_grad()
    def to_sae(self, input_scale: float) -> SAE:
        """The SAE as it is served: a gate is open where the magnitude is above `b_mag − e^r b_enc`."""
        scale = self.r_mag.double().exp()
        W_enc = self.W_enc.double() * scale
        return SAE.canonical(
            W_enc=W_enc,
            b_enc=self.b_mag.double() - self.centre.double() @ W_enc,
            W_dec=self.W_dec,
            b_dec=self.b_dec,
            threshold=(self.b_mag.double() - scale * self.b_enc.double()).clamp(min=0),
            input_scale=input_scale,
        )


def _open(pre: Tensor) -> Tensor:
    return above(pre, 0.0)
