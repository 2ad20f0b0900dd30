"""Products with feature activations of which few are not zero.

Shapes: `batch` tokens, `d_in` the width of the residual stream, `d_sae` the number of features,
`active` the activations that are kept in the whole batch. Only the two products that decide which
activations those are, and how each should change, are dense: `x W_enc` and `∂x̂ W_decᵀ`. The others
sum `active` rows, which `embedding_bag` does on every device.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag


class Active(NamedTuple):
    """Which activations are kept, ordered by token, then feature; all three are `[active]`."""

    token: Tensor
    feature: Tensor
    by_feature: Tensor
    """Their order by feature, then token."""


def largest(pre: Tensor, count: int, floor: float) -> Active:
    """The `count` largest entries of `pre` `[batch, d_sae]` that are above zero; all, if fewer are.

    Those above `floor` are looked at first: a `floor` a little below the smallest entry that is kept
    makes this fast, any other leaves it correct. Of equal entries at the border some are kept.
    """
    flat = pre.flatten()
    candidates = (flat > floor).nonzero()[:, 0]
    if len(candidates) < count and floor > 0:
        candidates = (flat > 0).nonzero()[:, 0]
    if len(candidates) > count:
        chosen = flat[candidates].topk(count, sorted=False).indices
        keep = torch.zeros_like(candidates, dtype=torch.bool)
        keep[chosen] = True
        candidates = candidates[keep]
    token, feature = candidates // pre.shape[1], candidates % pre.shape[1]
    return Active(token, feature, torch.argsort(feature, stable=True))


class Encode(torch.autograd.Function):
    """The largest activations of `relu(x W_enc + b_enc)`: their values `[active]`, and an `Active`.

    `dtype` is that of the product. `x` gets no gradient, and `W_enc` one in column-major layout.
    """

    @staticmethod
    def forward(  # noqa: D102  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, x: Tensor, W_enc: Tensor, b_enc: Tensor, count: int, floor: float, dtype: torch.dtype
    ) -> tuple[Tensor, ...]:
        pre = torch.addmm(b_enc.to(dtype), x.to(dtype), W_enc.to(dtype))
        active = largest(pre, count, floor)
        ctx.save_for_backward(x, *active)
        ctx.d_sae = W_enc.shape[1]
        ctx.mark_non_differentiable(*active)
        return pre[active.token, active.feature].float(), *active

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102  # pyright: ignore[reportIncompatibleMethodOverride]
        x, *active = ctx.saved_tensors
        active = Active(*active)
        grad_W_enc = _sum_by_feature(x, grads[0], active, ctx.d_sae).T
        grad_b_enc = torch.zeros(ctx.d_sae, device=x.device).index_add_(0, active.feature, grads[0])
        return None, grad_W_enc, grad_b_enc, None, None, None


class Decode(torch.autograd.Function):
    """`f W_dec` `[batch, d_in]` for the activations `values` `[active]`; `dtype` as in `Encode`."""

    @staticmethod
    def forward(  # noqa: D102  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, values: Tensor, W_dec: Tensor, active: Active, batch: int, dtype: torch.dtype
    ) -> Tensor:
        ctx.save_for_backward(values, W_dec, *active)
        ctx.dtype = dtype
        offsets = _offsets(active.token, batch)
        return embedding_bag(active.feature, W_dec, offsets, mode="sum", per_sample_weights=values)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102  # pyright: ignore[reportIncompatibleMethodOverride]
        values, W_dec, *active = ctx.saved_tensors
        active = Active(*active)
        grad_acts = grads[0].to(ctx.dtype) @ W_dec.to(ctx.dtype).T
        grad_W_dec = _sum_by_feature(grads[0], values, active, len(W_dec))
        return grad_acts[active.token, active.feature].float(), grad_W_dec, None, None, None


def _sum_by_feature(rows: Tensor, weights: Tensor, active: Active, d_sae: int) -> Tensor:
    """For each feature the weighted sum of its tokens' `rows`: `[d_sae, d_in]`."""
    order = active.by_feature
    return embedding_bag(
        active.token[order],
        rows.contiguous(),
        _offsets(active.feature[order], d_sae),
        mode="sum",
        per_sample_weights=weights[order],
    )


def _offsets(ordered: Tensor, size: int) -> Tensor:
    """Where each of `0 … size − 1` begins in `ordered`."""
    return torch.searchsorted(ordered, torch.arange(size, device=ordered.device))
