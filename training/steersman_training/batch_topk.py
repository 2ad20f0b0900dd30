"""The SAE in the form that learns: BatchTopK (Bussmann et al. 2024, arXiv:2412.06410) with AuxK.

Shapes: `batch` tokens, `d_in` the width of the residual stream, `d_sae` the number of features.
`x` is the residual stream times one scalar, the input scale, which `to_sae` folds in. Of a batch's
activations the `k · batch` largest are kept; one threshold for all tokens and features stands in
for that when the SAE is served, where a token's activations must not depend on its batch.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from steersman_engine.sae import SAE
from steersman_training.sparse import Active, Decode, Encode

FLOOR = 0.85
"""Candidates for the largest activations are those above this share of the threshold."""


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """What one batch became."""

    x: Tensor  # [batch, d_in]
    x_hat: Tensor  # [batch, d_in]
    values: Tensor  # [active], above zero
    active: Active

    @property
    def unexplained(self) -> Tensor:
        """Share of the batch's variance that `x_hat` misses."""
        return _ratio(self.x - self.x_hat, self.x - self.x.mean(dim=0))


class BatchTopK(nn.Module):
    """A BatchTopK SAE; its decoder rows have unit norm after every `normalize_decoder`.

    `centre` `[d_in]` is taken off before encoding and stays as it is; `b_dec` starts there.
    """

    centre: Tensor
    threshold: Tensor  # scalar: moving average of a batch's smallest kept activation
    silent: Tensor  # [d_sae] tokens since the feature was last active

    def __init__(
        self, centre: Tensor, d_sae: int, k: int, *, generator: torch.Generator, dtype: torch.dtype
    ) -> None:
        super().__init__()
        d_in = len(centre)
        rows = normalize(torch.randn(d_sae, d_in, generator=generator), dim=-1)
        self.k, self.dtype = k, dtype
        self.W_dec = nn.Parameter(rows)
        self.b_dec = nn.Parameter(centre.float().clone())
        self.W_enc = nn.Parameter(rows.clone().T)  # column-major, as its gradient comes
        self.b_enc = nn.Parameter(torch.zeros(d_sae))
        self.register_buffer("centre", centre.float().clone())
        self.register_buffer("threshold", torch.zeros(()))
        self.register_buffer("silent", torch.zeros(d_sae, dtype=torch.long))

    def forward(self, x: Tensor) -> Reconstruction:
        """Encode `x` `[batch, d_in]`, keep the largest activations, decode."""
        floor = FLOOR * self.threshold.item()
        values, *active = Encode.apply(
            x - self.centre, self.W_enc, self.b_enc, self.k * len(x), floor, self.dtype
        )
        active = Active(*active)
        x_hat = Decode.apply(values, self.W_dec, active, len(x), self.dtype) + self.b_dec
        return Reconstruction(x, x_hat, values, active)

    def loss(self, made: Reconstruction, *, aux_alpha: float, k_aux: int, dead_after: int) -> Tensor:
        """Unexplained variance, plus `aux_alpha` times AuxK (Gao et al. 2024, arXiv:2406.04093).

        AuxK is the share of the reconstruction's error that each token's `k_aux` largest features
        among the dead, those silent for `dead_after` tokens, miss.
        """
        dead = (self.silent >= dead_after).nonzero()[:, 0]
        if not len(dead):
            return made.unexplained
        error = (made.x - made.x_hat).detach()
        W_enc, W_dec = self.W_enc[:, dead].to(self.dtype), self.W_dec[dead].to(self.dtype)
        pre = (made.x - self.centre).to(self.dtype) @ W_enc + self.b_enc[dead]
        top = pre.relu().topk(min(k_aux, len(dead)), dim=-1, sorted=False)
        acts = torch.zeros_like(pre).scatter(-1, top.indices, top.values)
        missed = error - (acts.to(self.dtype) @ W_dec).float()
        return made.unexplained + aux_alpha * _ratio(missed, error)

    @torch.no_grad()
    def observe(self, made: Reconstruction, threshold_decay: float) -> None:
        """Note which features were active, and how small the smallest kept activation was."""
        self.silent += len(made.x)
        self.silent[made.active.feature] = 0
        if len(made.values):
            smallest = made.values.min()
            first = self.threshold == 0
            self.threshold.lerp_(smallest, torch.where(first, 1.0, 1 - threshold_decay).to(smallest))

    @torch.no_grad()
    def served_l0(self, x: Tensor) -> float:
        """Features above the threshold, a token of `x`, all tokens judged alone as when served."""
        pre = (x - self.centre).to(self.dtype) @ self.W_enc.to(self.dtype) + self.b_enc
        return (pre > self.threshold).sum().item() / len(x)

    @torch.no_grad()
    def project_gradient(self) -> None:
        """Take from the decoder's gradient what would only change its rows' length."""
        assert self.W_dec.grad is not None
        along = (self.W_dec.grad * self.W_dec).sum(dim=-1, keepdim=True)
        self.W_dec.grad.addcmul_(along, self.W_dec, value=-1)

    @torch.no_grad()
    def normalize_decoder(self) -> None:
        """Give every decoder row unit norm."""
        self.W_dec /= self.W_dec.norm(dim=-1, keepdim=True)

    @torch.no_grad()
    def to_sae(self, input_scale: float) -> SAE:
        """The SAE as it is served, for the raw residual stream that `x` was `input_scale` times of."""
        centre, W_enc = self.centre.double(), self.W_enc.double()
        return SAE.canonical(
            W_enc=W_enc,
            b_enc=self.b_enc.double() - centre @ W_enc,
            W_dec=self.W_dec,
            b_dec=self.b_dec,
            threshold=self.threshold.expand(len(self.b_enc)),
            input_scale=input_scale,
        )


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return part.square().sum() / whole.square().sum()
