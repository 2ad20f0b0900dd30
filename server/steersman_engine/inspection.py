"""What a prompt looks like to the model: its features, its tokens' probabilities, the logits after it."""

import torch
from torch import Tensor

from steersman_engine.edits import AffineEdit
from steersman_engine.engine import (
    ActiveFeature,
    InspectRequest,
    TokenFeatures,
    TokenLogprobs,
)
from steersman_engine.host import HostModel
from steersman_engine.prompt import Prompt
from steersman_engine.sae import SAE
from steersman_engine.step import top_logprobs
from steersman_engine.whole_pass import Steps, Tapped, sparse_acts, tapped

SCORE_CHUNK = 64
"""Positions whose logits are held at once."""


def inspect(
    host: HostModel, sae: SAE, sink_norm: float, request: InspectRequest
) -> Steps[list[TokenFeatures]]:
    """The features of each token, after edits."""
    at = yield from tapped(host, sae, sink_norm, request.prompt, request.edits, request.prompt.token_ids)
    acts = yield from sparse_acts(sae, at)
    wanted = None if request.features is None else torch.tensor(request.features, device=acts.feature.device)
    tokens = []
    for position, is_sink in enumerate(at.sinks.tolist()):
        features, values = acts.at(position)
        if wanted is not None:
            kept = torch.isin(features, wanted)
            features, values = features[kept], values[kept]
        order = values.argsort(descending=True)[: request.top_k]
        pairs = zip(features[order].tolist(), values[order].tolist(), strict=True)
        tokens.append(TokenFeatures(position, is_sink, [ActiveFeature(*pair) for pair in pairs]))
    return tokens


def logits(
    host: HostModel, sae: SAE, sink_norm: float, prompt: Prompt, edits: tuple[AffineEdit, ...]
) -> Steps[Tensor]:
    """The logits of the token after the prompt, `[vocab]`."""
    at, final = yield from _final(host, sae, sink_norm, prompt, edits)
    return host.unembed(at.walk.norm(final[-1:]))[0].float().cpu()


def score(
    host: HostModel, sae: SAE, sink_norm: float, prompt: Prompt, edits: tuple[AffineEdit, ...], num_top: int
) -> Steps[list[TokenLogprobs]]:
    """The log probability of each token of the prompt but the first, given those before it."""
    at, final = yield from _final(host, sae, sink_norm, prompt, edits)
    following = prompt.token_ids[1:]
    scores = []
    for start in range(0, len(following), SCORE_CHUNK):
        rows = host.unembed(at.walk.norm(final[start : start + SCORE_CHUNK])).float().log_softmax(-1)
        expected = following[start : start + SCORE_CHUNK]
        scores += [top_logprobs(row, token, num_top) for row, token in zip(rows, expected, strict=False)]
        yield
    return scores


def _final(
    host: HostModel, sae: SAE, sink_norm: float, prompt: Prompt, edits: tuple[AffineEdit, ...]
) -> Steps[tuple[Tapped, Tensor]]:
    """The residual stream after the last block, `[pos, d_model]`."""
    at = yield from tapped(host, sae, sink_norm, prompt, edits, prompt.token_ids)
    final = yield from at.walk.run(at.walk.upper, at.steered[None])
    return at, final[0]
