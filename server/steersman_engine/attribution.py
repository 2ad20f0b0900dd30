"""Which features push a token: gradient attribution to SAE features.

For a token y of an answer, the objective is L = logit(y) − mean of all logits at the position that
predicts y ("Understanding and Steering Llama 3 with Sparse Autoencoders", section Attribution), or
the difference of two logits. With x̃ = f W_dec + b_dec + error at the tap, ∂L/∂f = (∂L/∂x̃) W_decᵀ.

1. The blocks up to the tap run once for all tokens asked for, and the edits are applied: x̃.
2. The blocks above run once without gradient; each block's input is kept.
3. An objective is the final residual times (W_U[y] − mean of W_U): no vocabulary-sized tensor.
4. From the last block down to the tap each runs again, now with gradient, and takes the gradients of
   its output to those of its input. So memory holds the inner workings of one block, however long
   the text, and tokens that are explained together share these passes.
5. ∂L/∂x̃ `[pos, d_model]` meets the decoder as the request's method and aggregate say.

Attention sinks and positions after the one that predicts y have no part in it.

Shapes: `targets` tokens explained together, `pos`, `d_model`, `d_sae`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from steersman_engine.engine import AttributionRequest, FeatureScore, TokenScores
from steersman_engine.host import HostModel
from steersman_engine.sae import SAE
from steersman_engine.whole_pass import ENCODE_CHUNK, SparseActs, Steps, WholePass, sparse_acts, tapped

GRADIENT_BYTES = 2**27
"""What the gradients of targets that are explained together may take."""


def attribute(
    host: HostModel, sae: SAE, sink_norm: float, request: AttributionRequest, mean_W_U: Tensor
) -> Steps[list[TokenScores]]:
    """The features behind each of `request.tokens`; `mean_W_U` `[d_model]` is the mean row of W_U.

    Raises:
        ValueError: A token or position is not there, or has nothing to be explained.
    """
    _check(request)
    ids = request.prompt.token_ids + request.answer[: max(request.tokens)]
    at = yield from tapped(host, sae, sink_norm, request.prompt, request.edits, ids)
    acts = yield from sparse_acts(sae, at)
    part = ~at.sinks
    if request.positions is not None:
        chosen = torch.zeros_like(part)
        chosen[[p for p in request.positions if p < len(ids)]] = True
        part &= chosen

    inputs = [at.steered[None]]
    for layer in at.walk.upper:
        inputs.append(at.walk.block(layer, inputs[-1]))
        yield
    final = inputs.pop()
    size = max(1, GRADIENT_BYTES // at.steered.nbytes)
    found = []
    for first in range(0, len(request.tokens), size):
        group = request.tokens[first : first + size]
        objectives, gradients = _objectives(at.walk, final, request, group, mean_W_U)
        for layer, x in zip(reversed(at.walk.upper), reversed(inputs), strict=True):
            gradients = yield from _through(at.walk, layer, x, gradients)
        for index, objective, gradient in zip(group, objectives, gradients, strict=True):
            position = len(request.prompt) + index - 1
            mine = part & (torch.arange(len(part), device=part.device) <= position)
            ranking = Ranking(sae, acts, request)
            features = yield from ranking.best((mine[:, None] * gradient).to(sae.W_dec.dtype), mine)
            found.append(TokenScores(index, objective, features))
    return found


def _check(request: AttributionRequest) -> None:
    num_answer, num_all = len(request.answer), len(request.prompt) + len(request.answer)
    for token in request.tokens:
        if not 0 <= token < num_answer + (request.target is not None):
            hint = "" if token != num_answer else "; for the token to come give a `target`"
            raise ValueError(f"There is no token {token} in an answer of {num_answer}{hint}.")
    for position in request.positions or ():
        if not 0 <= position < num_all:
            raise ValueError(f"There is no position {position}: the text has {num_all} tokens.")


def _objectives(
    walk: WholePass, final: Tensor, request: AttributionRequest, tokens: tuple[int, ...], mean_W_U: Tensor
) -> tuple[list[float], Tensor]:
    """Each token's objective, and its gradient in the last block's output, `[targets, pos, d_model]`."""
    W_U = walk.host.W_U
    against = mean_W_U if request.contrast is None else W_U[request.contrast]
    gradients = final.new_zeros(len(tokens), *final.shape[1:])
    objectives = []
    for row, index in enumerate(tokens):
        position = len(request.prompt) + index - 1
        token = request.answer[index] if request.target is None else request.target
        leaf = final[0, position].detach().requires_grad_()
        with torch.enable_grad():
            objective = walk.norm(leaf[None])[0] @ (W_U[token] - against).to(leaf.dtype)
            (gradients[row, position],) = torch.autograd.grad(objective, leaf)
        objectives.append(float(objective.detach()))
    return objectives, gradients


def _through(walk: WholePass, layer: int, x: Tensor, gradients: Tensor) -> Steps[Tensor]:
    """Gradients of a block's output to those of its input `x`, both `[targets, pos, d_model]`."""
    leaf = x.detach().requires_grad_()
    with torch.enable_grad():
        out = walk.block(layer, leaf)
    below = torch.empty_like(gradients)
    for row, gradient in enumerate(gradients):
        below[row] = torch.autograd.grad(out, leaf, gradient[None], retain_graph=True)[0][0]
        yield
    return below


@dataclass(frozen=True, slots=True)
class Ranking:
    """From the gradient at the tap to the features that a request lists."""

    sae: SAE
    acts: SparseActs
    request: AttributionRequest

    def best(self, gradient: Tensor, part: Tensor) -> Steps[list[FeatureScore]]:
        """The features for one target; `gradient` `[pos, d_model]` is zero outside of `part` `[pos]`."""
        if self.request.aggregate == "per_position":
            return (yield from self._per_position(gradient, part))
        if self.request.aggregate == "sum":
            scores = self._summed(gradient)
            yield
        else:
            scores = yield from self._largest(gradient, part)
        features = self._pick(scores)
        columns = self.acts.columns(features)[part]
        peaks = columns.amax(0) if len(columns) else scores.new_zeros(len(features))
        listed = zip(features.tolist(), scores[features].tolist(), peaks.tolist(), strict=True)
        return [FeatureScore(*one) for one in listed]

    def _summed(self, gradient: Tensor) -> Tensor:
        """Over positions, `[d_sae]`: for the gradient one product, else the active features alone."""
        if self.request.method == "gradient":
            return gradient.sum(0) @ self.sae.W_dec.T
        used = self._used(gradient)
        return used.new_zeros(self.sae.d_sae).index_add_(0, self.acts.feature, used)

    def _used(self, gradient: Tensor) -> Tensor:
        """Activation times gradient, of each entry of `acts`."""
        slope = torch.cat(
            [
                (gradient[position] * self.sae.W_dec[feature]).sum(-1)
                for position, feature in zip(
                    self.acts.position.split(4096), self.acts.feature.split(4096), strict=True
                )
            ]
        )
        return slope * self.acts.value

    def _largest(self, gradient: Tensor, part: Tensor) -> Steps[Tensor]:
        """The score of largest size, or the highest, or the lowest of any position, `[d_sae]`."""
        if self.request.method == "gradient":
            high = gradient.new_full((self.sae.d_sae,), -torch.inf)
            low = -high
            for rows in self._chunks(part):
                scores = gradient[rows] @ self.sae.W_dec.T
                high, low = torch.maximum(high, scores.amax(0)), torch.minimum(low, scores.amin(0))
                yield
        else:
            used = self._used(gradient)
            none = used.new_zeros(self.sae.d_sae)  # where a feature is not active
            high = none.scatter_reduce(0, self.acts.feature, used, "amax")
            low = none.scatter_reduce(0, self.acts.feature, used, "amin")
        if self.request.sign == "both":
            return torch.where(high.abs() >= low.abs(), high, low)
        return high if self.request.sign == "positive" else low

    def _per_position(self, gradient: Tensor, part: Tensor) -> Steps[list[FeatureScore]]:
        if self.request.method == "gradient":
            position, feature, scores = [], [], []
            for rows in self._chunks(part):
                here = gradient[rows] @ self.sae.W_dec.T
                best = self._pick(here.flatten())
                position.append(rows[best // self.sae.d_sae])
                feature.append(best % self.sae.d_sae)
                scores.append(here.flatten()[best])
                yield
            if not scores:
                return []
            position, feature, scores = torch.cat(position), torch.cat(feature), torch.cat(scores)
        else:
            position, feature, scores = self.acts.position, self.acts.feature, self._used(gradient)
        best = self._pick(scores)
        position, feature = position[best], feature[best]
        values = self.acts.columns(feature.unique())[position, torch.searchsorted(feature.unique(), feature)]
        listed = zip(feature.tolist(), scores[best].tolist(), values.tolist(), position.tolist(), strict=True)
        return [FeatureScore(*one) for one in listed]

    def _chunks(self, part: Tensor) -> list[Tensor]:
        """The positions that take part, a bounded number at a time."""
        rows = part.nonzero()[:, 0]
        return list(rows.split(max(1, ENCODE_CHUNK // self.sae.d_sae))) if len(rows) else []

    def _pick(self, scores: Tensor) -> Tensor:
        """The indices of the scores that are listed, best first."""
        key = {"both": scores.abs(), "positive": scores, "negative": -scores}[self.request.sign]
        best = key.topk(min(self.request.top_k, len(key))).indices
        return best if self.request.sign == "both" else best[key[best] > 0]
