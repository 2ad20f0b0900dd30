"""JumpReLU (Rajamanoharan et al. 2024, arXiv:2407.14435), learnt as in Anthropic's January 2025 update.

Shapes: `batch` tokens, `d_in` the width of the residual stream, `d_sae` the number of features.
"""

from typing import Any

import torch
from torch import Tensor, nn

from steersman_engine.sae import SAE
from steersman_training import train_config
from steersman_training.architectures.learner import Learner, Outcome
from steersman_training.architectures.penalty import Penalty
from steersman_training.train_config import TrainConfig

BIAS_SAMPLE = 4096
"""Tokens from which the first biases are set."""


class Jump(torch.autograd.Function):
    """`pre` where it is above `threshold`, else 0.

    The jump's gradient is estimated in a window of `bandwidth` around the threshold, for the threshold and,
    as the January 2025 update has it, for the pre-activation too.
    """

    @staticmethod
    def forward(ctx: Any, pre: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:  # noqa: D102  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(pre, threshold)
        ctx.bandwidth = bandwidth
        return torch.where(pre > threshold, pre, 0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102  # pyright: ignore[reportIncompatibleMethodOverride]
        pre, threshold = ctx.saved_tensors
        near = (pre - threshold).abs() < ctx.bandwidth / 2
        jump = torch.where(near, grads[0] * (threshold / ctx.bandwidth), 0)
        return torch.where(pre > threshold, grads[0], 0) + jump, -jump.sum(dim=0), None


class JumpReLU(Learner):
    """`f` is the pre-activation where it is above the feature's threshold `e^t`.

    Loss: mean of ‖x − x̂‖² + λ Σ tanh(c f ‖W_dec‖) + μ Σ ReLU(e^t − pre) ‖W_dec‖. Thresholds are float32.
    """

    def __init__(self, config: TrainConfig, sample: Tensor) -> None:
        super().__init__(config, sample)
        options = config.architecture
        assert isinstance(options, train_config.JumpReLU)
        self.options, d_in = options, sample.shape[1]
        generator = torch.Generator().manual_seed(config.seed)
        rows = (2 * torch.rand(config.d_sae, d_in, generator=generator) - 1) / d_in**0.5
        self.W_dec = nn.Parameter(rows)
        self.W_enc = nn.Parameter((rows * (d_in / config.d_sae)).T)
        self.b_dec = nn.Parameter(torch.zeros(d_in))
        self.log_threshold = nn.Parameter(torch.full((config.d_sae,), options.threshold_init).log())
        share = min(0.5, options.initial_l0 / config.d_sae)
        pre = sample[:BIAS_SAMPLE] @ self.W_enc.detach()
        quantile = pre.kthvalue(max(1, round((1 - share) * len(pre))), dim=0).values
        self.b_enc = nn.Parameter(options.threshold_init - quantile)
        self.penalty = Penalty(options.sparsity, options.sparsity_warmup, options.target_l0)

    def forward(self, x: Tensor, *, progress: float, dead: Tensor) -> Outcome:
        """Encode, decode and judge `x`."""
        options, threshold, norm = self.options, self.log_threshold.exp(), self.W_dec.norm(dim=-1)
        product = x.to(self.dtype) @ self.W_enc.to(self.dtype)
        pre = product.float() + self.b_enc
        f = Jump.apply(pre, threshold, options.bandwidth)
        x_hat = (f.to(self.dtype) @ self.W_dec.to(self.dtype)).float() + self.b_dec
        error = (x - x_hat).square().sum()
        weight = self.penalty.at(progress)
        sparsity = torch.tanh(options.tanh_scale * f * norm).sum()
        below = (threshold - pre).relu().sum(dim=0) @ norm
        loss = (error + weight * sparsity + options.pre_act * below) / len(x)
        firings = (f.detach() > 0).sum(dim=0)
        self.penalty.observe(self.world.mean(firings.sum().float()) / len(x), progress)
        shown = {"penalty": weight, "threshold": threshold.detach().mean()}
        return Outcome(loss=loss, error=error.detach(), firings=firings, shown=shown)

    def active(self, x: Tensor) -> Tensor:
        """Which features are above their thresholds."""
        return self.pre_acts(x) > self.log_threshold.exp()

    @torch.no_grad()
    def to_sae(self, input_scale: float) -> SAE:
        """The SAE as it is served: decoder norms are folded."""
        return SAE.canonical(
            W_enc=self.W_enc,
            b_enc=self.b_enc,
            W_dec=self.W_dec,
            b_dec=self.b_dec,
            threshold=self.log_threshold.exp(),
            input_scale=input_scale,
        )
