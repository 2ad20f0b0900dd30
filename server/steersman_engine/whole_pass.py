"""One whole sequence through the model, a block at a time, without a cache: for jobs beside decoding.

What takes long is a generator that yields between blocks, so that the engine's thread can go on with
its streams in between.

Shapes: `pos` positions of the sequence, `d_model`, `d_sae`.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from steersman_engine.edits import AffineEdit
from steersman_engine.host import HostModel
from steersman_engine.prompt import Prompt
from steersman_engine.sae import SAE
from steersman_engine.sinks import is_sink
from steersman_engine.steering import Observed, Steering

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Work cut into bounded steps; what it returns is its result."""

ENCODE_CHUNK = 2**23
"""Activations computed at once: positions times features."""


class WholePass:
    """A sequence of token ids and the blocks it goes through."""

    def __init__(self, host: HostModel, token_ids: Sequence[int]) -> None:
        if host.model.config._attn_implementation != "sdpa":  # it takes "no mask" as causal
            raise ValueError(f"{host.name} was not loaded with sdpa attention.")
        self.host = host
        self._base = host.model.model
        ids = torch.tensor([list(token_ids)], device=host.device)
        self.embedded = self._base.embed_tokens(ids)
        positions = torch.arange(len(token_ids), device=host.device)[None]
        self._keywords = {
            "position_ids": positions,
            "position_embeddings": self._base.rotary_emb(self.embedded, position_ids=positions),
        }

    @property
    def lower(self) -> range:
        """The blocks up to the tap."""
        return range(self.host.layer + 1)

    @property
    def upper(self) -> range:
        """The blocks above it."""
        return range(self.host.layer + 1, self.host.num_layers)

    def block(self, layer: int, x: Tensor) -> Tensor:
        """What `layer` makes of the residual stream `[1, pos, d_model]`; differentiable."""
        return self._base.layers[layer](x, attention_mask=None, **self._keywords)

    def run(self, layers: range, x: Tensor) -> Steps[Tensor]:
        """Through several blocks."""
        for layer in layers:
            x = self.block(layer, x)
            yield
        return x

    def norm(self, x: Tensor) -> Tensor:
        """The final norm, which the unembedding reads."""
        return self._base.norm(x)


@dataclass(frozen=True, slots=True)
class Tapped:
    """A sequence at the tap."""

    walk: WholePass
    resid: Tensor
    """Before edits, `[pos, d_model]`."""
    steered: Tensor
    """After edits, `[pos, d_model]`."""
    sinks: Tensor
    """Bool `[pos]`."""
    steering: Steering | None
    observed: Observed | None


def tapped(
    host: HostModel,
    sae: SAE,
    sink_norm: float,
    prompt: Prompt,
    edits: tuple[AffineEdit, ...],
    token_ids: Sequence[int],
) -> Steps[Tapped]:
    """The tokens, a prompt and perhaps what follows it, taken to the tap and steered there."""
    steering = Steering.of(edits, prompt, sae, sink_norm)
    walk = WholePass(host, token_ids)
    resid = (yield from walk.run(walk.lower, walk.embedded))[0]
    steered, observed = (resid, None) if steering is None else steering.apply(resid)
    return Tapped(walk, resid, steered, is_sink(resid, sink_norm), steering, observed)


@dataclass(frozen=True, slots=True)
class SparseActs:
    """The activations of a sequence that are not zero, as parallel lists."""

    position: Tensor
    feature: Tensor
    value: Tensor
    num_positions: int
    d_sae: int

    def columns(self, features: Tensor) -> Tensor:
        """The activations of `features`, `[pos, features]`."""
        column = torch.full((self.d_sae,), -1, device=features.device)
        column[features] = torch.arange(len(features), device=features.device)
        kept = column[self.feature] >= 0
        dense = self.value.new_zeros(self.num_positions, len(features))
        dense[self.position[kept], column[self.feature[kept]]] = self.value[kept]
        return dense

    def at(self, position: int) -> tuple[Tensor, Tensor]:
        """The features of one position and their activations; positions are in order."""
        low, high = torch.searchsorted(self.position, torch.tensor([position, position + 1])).tolist()
        return self.feature[low:high], self.value[low:high]


def sparse_acts(sae: SAE, at: Tapped) -> Steps[SparseActs]:
    """The features of a sequence after edits; none at sinks."""
    parts = []
    chunk = max(1, ENCODE_CHUNK // sae.d_sae)
    for start in range(0, len(at.resid), chunk):
        here = slice(start, start + chunk)
        acts = sae.encode(at.resid[here])
        if at.steering is not None and at.observed is not None:
            acts[:, at.steering.features] = at.observed.after[here].to(acts.dtype)
        acts[at.sinks[here]] = 0
        position, feature = acts.nonzero(as_tuple=True)
        parts.append((position + start, feature, acts[position, feature]))
        yield
    position, feature, value = (torch.cat(column) for column in zip(*parts, strict=True))
    return SparseActs(position, feature, value, len(at.resid), sae.d_sae)


def finish(steps: Steps[T]) -> T:
    """Take all steps at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
