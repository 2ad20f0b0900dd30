"""An SAE that nobody trained, with the L0 of one that somebody did: what its metrics have to beat."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from steersman_engine.sae import SAE

SAMPLE = 4096


@torch.no_grad()
def untrained_like(sae: SAE, x: Tensor, *, l0: float, seed: int = 0) -> SAE:
    """Random decoder rows and their transpose, fitted to `x` `[tokens, d_in]` in three things only.

    These are the bias (the mean), the threshold, one for all features, which gives `l0` active features
    a token, and one scale, which makes the reconstruction as good as it can.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = normalize(torch.randn(sae.d_sae, sae.d_in, generator=generator), dim=-1).to(x.device)
    mean = x.mean(dim=0)
    sample = x[torch.randperm(len(x), generator=generator)[:SAMPLE].to(x.device)] - mean
    pre = sample @ rows.T
    active = max(1, round(l0 * len(sample)))
    threshold = pre.flatten().kthvalue(pre.numel() - min(active, pre.numel() - 1)).values.clamp(min=0)
    made = torch.where(pre > threshold, pre, 0) @ rows
    scale = ((sample * made).sum() / made.square().sum().clamp(min=1e-12)).clamp(min=1e-6)
    return SAE(
        W_enc=(rows.T * scale).contiguous(),
        b_enc=-(mean @ rows.T) * scale,
        W_dec=rows,
        b_dec=mean,
        threshold=(threshold * scale).expand(sae.d_sae).contiguous(),
    )
