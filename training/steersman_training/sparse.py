"""Products with feature activations of which few are not zero.

Shapes: `batch` tokens, `d_in` the width of the residual stream, `d_sae` the number of features,
`active` the activations that are kept in the whole batch. Only the product that decides which
activations those are, `x W_enc`, is dense. The others sum `active` rows, or multiply them with each other,
which PyTorch's kernels of `embedding_bag` do on every device without writing the rows out.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from steersman_training.world import ALONE, World

BITS = {
    torch.bfloat16: torch.int16,
    torch.float16: torch.int16,
    torch.float32: torch.int32,
    torch.float64: torch.int64,
}
"""Whole numbers as long as each kind of float."""
Choose = Callable[[Tensor], Tensor]
"""From pre-activations `[batch, d_sae]` to the places of those to keep, in flat order, ascending."""


class Active(NamedTuple):
    """Which activations are kept, ordered by token, then feature; all three are `[active]`."""

    token: Tensor
    feature: Tensor
    by_feature: Tensor
    """Their order by feature, then token."""


def largest(pre: Tensor, count: int, floor: float, world: World = ALONE) -> Tensor:
    """Where the `count` largest entries above zero are, among all processes' `pre`; all, if fewer are.

    Those above `floor` are looked at first: a `floor` a little below the smallest entry that is kept
    makes this fast, any other leaves it correct. Of equal entries at the border some are kept; by several
    processes, all.
    """
    flat = pre.flatten()
    candidates = above(flat, floor)
    total = _total(candidates, world)
    if total < count and floor > 0:
        candidates = above(flat, 0.0)
        total = _total(candidates, world)
    if total <= count:
        return candidates
    values = flat[candidates]
    if world.size > 1:
        cut = world.gathered(values.float()).topk(count, sorted=False).values.min()
        return candidates[values >= cut]
    keep = torch.zeros_like(candidates, dtype=torch.bool)
    keep[values.topk(count, sorted=False).indices] = True
    return candidates[keep]


def above(pre: Tensor, threshold: float) -> Tensor:
    """Where entries are above `threshold`, which is not negative, in flat order."""
    flat = pre.detach().flatten()
    if flat.device.type != "cpu":
        return (flat > threshold).nonzero()[:, 0]
    # numpy finds them five times as fast; floats that are not negative are ordered as their bits are
    bits = BITS[flat.dtype]
    least = torch.tensor(threshold, dtype=flat.dtype).view(bits)
    return torch.from_numpy(np.flatnonzero(flat.view(bits).numpy() > least.numpy()))


def _total(candidates: Tensor, world: World) -> int:
    if world.size == 1:
        return len(candidates)
    return int(world.sum(torch.tensor(len(candidates), device=candidates.device)))


class Encode(torch.autograd.Function):
    """The chosen entries of `x W_enc + b_enc`: their values `[active]`, and an `Active`.

    `dtype` is that of the product. `x` gets no gradient, and `W_enc` one in column-major layout.
    """

    @staticmethod
    def forward(  # noqa: D102  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, x: Tensor, W_enc: Tensor, b_enc: Tensor, choose: Choose, dtype: torch.dtype
    ) -> tuple[Tensor, ...]:
        pre = torch.addmm(b_enc.to(dtype), x.to(dtype), W_enc.to(dtype))
        places = choose(pre)
        d_sae = W_enc.shape[1]
        feature = places % d_sae
        # 32 bits sort twice as fast
        active = Active(places // d_sae, feature, torch.argsort(feature.int(), stable=True))
        ctx.save_for_backward(x, *active)
        ctx.d_sae = d_sae
        ctx.mark_non_differentiable(*active)
        return pre.flatten()[places].to(b_enc.dtype), *active

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102  # pyright: ignore[reportIncompatibleMethodOverride]
        x, *active = ctx.saved_tensors
        active = Active(*active)
        grad_W_enc = _sum_by_feature(x, grads[0], active.token, active, ctx.d_sae).T
        grad_b_enc = grads[0].new_zeros(ctx.d_sae).index_add_(0, active.feature, grads[0])
        return None, grad_W_enc, grad_b_enc, None, None


class Decode(torch.autograd.Function):
    """For each of `num_bags` the sum of its `values[i] · W_dec[feature[i]]`; bags ascend: `[bags, d_in]`."""

    @staticmethod
    def forward(  # noqa: D102  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, values: Tensor, W_dec: Tensor, active: Active, bag: Tensor, num_bags: int
    ) -> Tensor:
        offsets = _offsets(bag, num_bags)
        ctx.save_for_backward(values, W_dec, bag, offsets, *active)
        return embedding_bag(active.feature, W_dec, offsets, mode="sum", per_sample_weights=values)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102  # pyright: ignore[reportIncompatibleMethodOverride]
        values, W_dec, bag, offsets, *active = ctx.saved_tensors
        active, grad = Active(*active), grads[0].contiguous()
        # the products of each activation's two rows, as embedding_bag's own backward pass makes them
        grad_values = torch.ops.aten._embedding_bag_per_sample_weights_backward(
            grad, W_dec, active.feature, offsets, bag, 0
        )
        grad_W_dec = _sum_by_feature(grad, values, bag, active, len(W_dec))
        return grad_values, grad_W_dec, None, None, None


def decode(values: Tensor, W_dec: Tensor, active: Active, batch: int) -> Tensor:
    """`f W_dec` `[batch, d_in]` for the activations `values` `[active]`."""
    return Decode.apply(values, W_dec, active, active.token, batch)


def _sum_by_feature(rows: Tensor, weights: Tensor, row: Tensor, active: Active, d_sae: int) -> Tensor:
    """For each feature the sum of `weights[i] · rows[row[i]]` over its activations: `[d_sae, d_in]`."""
    order = active.by_feature
    return embedding_bag(
        row[order],
        rows.contiguous(),
        _offsets(active.feature[order], d_sae),
        mode="sum",
        per_sample_weights=weights[order],
    )


def _offsets(ordered: Tensor, size: int) -> Tensor:
    """Where each of `0 … size − 1` begins in `ordered`."""
    return torch.searchsorted(ordered, torch.arange(size, device=ordered.device))
