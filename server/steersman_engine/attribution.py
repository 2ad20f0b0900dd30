"""Which features push a token: gradient attribution to SAE features.

For a token y of an answer, the objective is L = logit(y) − mean of all logits at the position that
predicts y ("Understanding and Steering Llama 3 with Sparse Autoencoders", section Attribution), or
the difference of two logits. With x̃ = f W_dec + b_dec + error at the tap, ∂L/∂f = (∂L/∂x̃) W_decᵀ.

1. Blocks up to the tap run without gradient; x̃ becomes a leaf.
2. The blocks above run once, with gradient, for all tokens asked for.
3. Each token's objective is its final residual times (W_U[y] − mean of W_U): no vocabulary-sized tensor.
4. One backward pass a token gives ∂L/∂x̃ `[pos, d_model]`, which is summed over positions.

Attention sinks and positions after the one that predicts y have no part in it.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from steersman_engine.edits import AffineEdit, Steering
from steersman_engine.engine import AttributionRequest, FeatureScore, TokenScores
from steersman_engine.host import HostModel
from steersman_engine.prompt import Prompt
from steersman_engine.sae import SAE
from steersman_engine.sinks import is_sink


def attribute(
    host: HostModel, sae: SAE, sink_norm: float, request: AttributionRequest, mean_W_U: Tensor
) -> Iterator[TokenScores]:
    """The features behind each of `request.tokens`, one at a time.

    `mean_W_U` `[d_model]` is the mean row of the unembedding.
    """
    last = max(request.tokens)
    ids = request.prompt.token_ids + request.answer[:last]
    resid, feature_acts, ordinary = read(host, sae, sink_norm, request.prompt, request.edits, ids)
    leaf = resid.requires_grad_()
    with torch.enable_grad():
        final = host.finish(leaf)[0]
    for index in request.tokens:
        position = len(request.prompt) + index - 1
        objective = _objective(host, final[position], request.answer[index], request.contrast, mean_W_U)
        (gradient,) = torch.autograd.grad(objective, leaf, retain_graph=True)
        acts = feature_acts[: position + 1]
        summed = ordinary[: position + 1, None] * gradient[0, : position + 1].to(sae.W_dec.dtype)
        if request.method == "gradient":
            scores = summed.sum(0) @ sae.W_dec.T
        else:
            scores = gradient_x_activation(summed, acts, sae)
        top = scores.abs().topk(min(request.top_k, sae.d_sae)).indices
        peak = acts.amax(0) if len(acts) else torch.zeros(sae.d_sae)
        yield TokenScores(
            index,
            float(objective.detach()),
            [FeatureScore(int(f), float(scores[f]), float(peak[f])) for f in top],
        )


@torch.no_grad()
def read(
    host: HostModel,
    sae: SAE,
    sink_norm: float,
    prompt: Prompt,
    edits: tuple[AffineEdit, ...],
    ids: tuple[int, ...],
) -> tuple[Tensor, Tensor, Tensor]:
    """What the blocks above the tap read, `[1, pos, d_model]`, and its features.

    The features are `[pos, d_sae]`, after `edits`, 0 at sinks; the last tensor tells
    `[pos]` which positions are no sinks.
    """
    resid = host.residual(torch.tensor([ids], device=host.device))
    ordinary = ~is_sink(resid[0], sink_norm)
    feature_acts = sae.encode(resid[0]) * ordinary[:, None]
    steering = Steering.of(edits, prompt, sae, sink_norm)
    if steering is not None:
        mul, add, _ = (t.to(resid.device) for t in steering.maps(0, len(ids)))
        edited = mul * feature_acts[:, steering.features] + add
        feature_acts[:, steering.features] = (edited * ordinary[:, None]).to(feature_acts.dtype)
        resid = steering.apply(resid, 0, report=False)
    return resid.detach(), feature_acts, ordinary


def gradient_x_activation(gradient: Tensor, feature_acts: Tensor, sae: SAE) -> Tensor:
    """`Σ_pos f · (g W_decᵀ)`, `[d_sae]`, at the cost of the active features only.

    `gradient` `[pos, d_model]`, `feature_acts` `[pos, d_sae]`.
    """
    position, feature = feature_acts.nonzero(as_tuple=True)
    slope = (gradient[position] * sae.W_dec[feature]).sum(-1)
    used = slope * feature_acts[position, feature]
    return torch.zeros(sae.d_sae, dtype=used.dtype, device=used.device).index_add_(0, feature, used)


def _objective(host: HostModel, final: Tensor, token: int, contrast: int | None, mean_W_U: Tensor) -> Tensor:
    against = mean_W_U if contrast is None else host.W_U[contrast]
    with torch.enable_grad():
        return final @ (host.W_U[token] - against).to(final.dtype)
