"""An SAE in the form that learns, whatever its architecture.

Shapes: `batch` tokens, `d_in` the width of the residual stream, `d_sae` the number of features. `x` is
the residual stream times one scalar, the input scale, which `to_sae` folds in.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from steersman_engine.sae import SAE
from steersman_training.train_config import TrainConfig
from steersman_training.world import ALONE, World


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one batch became. With several processes these are of this one's share."""

    loss: Tensor
    """What is learnt from; the mean over processes is the loss of the whole batch."""
    error: Tensor
    """Sum of ‖x − x̂‖²."""
    firings: Tensor
    """`[d_sae]`: on how many tokens each feature was active."""
    shown: dict[str, Tensor] = field(default_factory=dict)
    """What only this architecture has to show: its penalty's weight, its threshold."""


class Learner(nn.Module, ABC):
    """What every architecture has: an encoder, a decoder, a loss and a served form."""

    world: World = ALONE
    W_enc: nn.Parameter  # [d_in, d_sae], column-major, as its gradient comes
    b_enc: nn.Parameter
    W_dec: nn.Parameter
    b_dec: nn.Parameter

    def __init__(self, config: TrainConfig, sample: Tensor) -> None:
        """`sample` `[tokens, d_in]`: of what `x` will be."""
        super().__init__()
        assert config.dtype != "auto"
        self.dtype = getattr(torch, config.dtype)

    @abstractmethod
    def forward(self, x: Tensor, *, progress: float, dead: Tensor) -> Outcome:
        """Encode, decode and judge `x` `[batch, d_in]`.

        `progress`: the share of the run that this step completes. `dead`: indices of silent features.
        """

    @abstractmethod
    def active(self, x: Tensor) -> Tensor:
        """Which features are active on `x` when served: `[batch, d_sae]`, bool."""

    @abstractmethod
    def to_sae(self, input_scale: float) -> SAE:
        """The SAE as it is served, for the raw residual stream that `x` was `input_scale` times of."""

    def before_step(self) -> None:
        """Change the gradients before the optimiser uses them."""

    def after_step(self) -> None:
        """Change the weights after the optimiser has."""

    def pre_acts(self, x: Tensor) -> Tensor:
        """Pre-activations `[batch, d_sae]`, without gradient."""
        with torch.no_grad():
            return torch.addmm(self.b_enc.to(self.dtype), x.to(self.dtype), self.W_enc.to(self.dtype))

    def variance(self, x: Tensor) -> Tensor:
        """Sum of squared distances to the mean, over the whole batch of all processes."""
        if self.world.size == 1:
            return (x - x.mean(dim=0)).square().sum()
        count = len(x) * self.world.size
        mean = self.world.sum(x.sum(dim=0)) / count
        return self.world.sum((x - mean).square().sum())


class UnitNorm(Learner, ABC):
    """A learner whose decoder rows have unit norm after every step, and that reads `x − centre`.

    `centre` `[d_in]`, the sample's mean, stays as it is; `b_dec` starts there.
    """

    centre: Tensor

    def __init__(self, config: TrainConfig, sample: Tensor) -> None:
        super().__init__(config, sample)
        centre = sample.mean(dim=0)
        rows = normalize(directions(config.d_sae, sample.shape[1], config.seed), dim=-1)
        self.W_dec = nn.Parameter(rows)
        self.b_dec = nn.Parameter(centre.clone())
        self.W_enc = nn.Parameter(rows.clone().T)
        self.b_enc = nn.Parameter(torch.zeros(config.d_sae))
        self.register_buffer("centre", centre.clone())

    @torch.no_grad()
    def before_step(self) -> None:
        """Take from the decoder's gradient what would only change its rows' length."""
        assert self.W_dec.grad is not None
        along = torch.einsum("fd,fd->f", self.W_dec.grad, self.W_dec)
        self.W_dec.grad.addcmul_(along[:, None], self.W_dec, value=-1)

    @torch.no_grad()
    def after_step(self) -> None:
        """Give every decoder row unit norm."""
        self.W_dec.div_(self.W_dec.norm(dim=-1, keepdim=True))


def directions(d_sae: int, d_in: int, seed: int) -> Tensor:
    """Random rows `[d_sae, d_in]` of no particular length."""
    return torch.randn(d_sae, d_in, generator=torch.Generator().manual_seed(seed))


def counts(feature: Tensor, d_sae: int) -> Tensor:
    """How often each feature occurs in `feature` `[active]`."""
    return torch.bincount(feature, minlength=d_sae)
