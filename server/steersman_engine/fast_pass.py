"""What the blocks of the lean forward pass compute between their matrix products.

Twice: in PyTorch's calls, for every dtype, and in compiled kernels, for float32. The first is the
reference of the second.

Shapes: `tokens` of the batch, `heads` of queries, `kv_heads`, `head_dim`, `d_model`, `d_ff`.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steersman_engine.fast_attention import SlotAttention
from steersman_engine.forward import Batch
from steersman_engine.kv import KVCache

KERNEL_POSITIONS = 2048
"""Up to so many positions read in all, one thread in compiled code attends no slower than PyTorch's two."""

log = logging.getLogger(__name__)


@cache
def load_kernels() -> ModuleType | None:
    """`fast_kernels`, compiled, or None, with a warning, where Numba is missing or fails."""
    try:
        from steersman_engine import fast_kernels

        fast_kernels.compile_all()
    except Exception as error:  # of a compiler; nothing depends on it but speed
        log.warning(
            "Tokens take up to half as long again, since Numba compiles nothing here: %s: %s",
            type(error).__name__,
            error,
        )
        return None
    return fast_kernels


@dataclass(frozen=True, slots=True)
class Norm:
    """RMSNorm (Zhang and Sennrich 2019, arXiv:1910.07467)."""

    weight: Tensor
    eps: float

    @classmethod
    def of(cls, module: Any) -> "Norm":
        """A model's own."""
        return cls(module.weight.detach(), module.variance_epsilon)

    def __call__(self, x: Tensor) -> Tensor:
        """`x`, normed over its last dimension, in PyTorch's calls."""
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


@dataclass
class Pass(ABC):
    """A batch on its way through the blocks."""

    batch: Batch
    cache: KVCache
    cos: Tensor  # [tokens, head_dim]
    sin: Tensor
    heads: int
    scale: float
    tainted: AbstractSet[int]
    """Slots that may hold numbers that are not finite."""

    @abstractmethod
    def add_norm(self, x: Tensor, more: Tensor | None, norm: Norm) -> tuple[Tensor, Tensor]:
        """`x + more`, made in `more` if there is any, and that normed, to be used before the next call."""

    @abstractmethod
    def gated(self, x: Tensor, activation: nn.Module) -> Tensor:
        """`activation(gate) · up` of `[tokens, 2 · d_ff]`, to be used before the next call."""

    @abstractmethod
    def attend(self, layer: int, projected: Tensor) -> Tensor:
        """What the batch finds, `[tokens, heads · head_dim]`; its keys and values are kept.

        `projected` `[tokens, heads + 2 · kv_heads, head_dim]`, not rotated yet, may be overwritten.
        """


@dataclass
class PlainPass(Pass):
    """`Pass` in PyTorch's calls."""

    def __post_init__(self) -> None:
        self._attention = SlotAttention(self.batch, self.cache, self.scale, self.tainted)
        kv_heads, half = self.cache.keys[0].shape[1], self.sin.shape[-1] // 2
        signed = torch.cat((-self.sin[:, :half], self.sin[:, half:]), dim=-1)
        # one call rotates queries, keys and, by nothing, values: it costs less than to take them apart
        width = self.heads + 2 * kv_heads
        self._cos, self._sin = (part[:, None].repeat(1, width, 1) for part in (self.cos, signed))
        self._cos[:, -kv_heads:], self._sin[:, -kv_heads:] = 1, 0

    def add_norm(self, x: Tensor, more: Tensor | None, norm: Norm) -> tuple[Tensor, Tensor]:
        """As `Pass` says."""
        x = x if more is None else more.add_(x)
        return x, norm(x)

    def gated(self, x: Tensor, activation: nn.Module) -> Tensor:
        """As `Pass` says."""
        return _gated(x, activation)

    def attend(self, layer: int, projected: Tensor) -> Tensor:
        """As `Pass` says."""
        turned = torch.roll(projected, projected.shape[-1] // 2, -1)
        rotated = torch.addcmul(projected * self._cos, turned, self._sin)
        self.cache.write(layer, self.batch.slots, self.batch.positions, rotated[:, self.heads :])
        return self._attention(layer, rotated[:, : self.heads])


@dataclass
class CompiledPass(Pass):
    """`Pass` in compiled kernels, but for the attention of prompts and of much that was read."""

    def __post_init__(self) -> None:
        kernels = load_kernels()
        assert kernels is not None
        batch, cache = self.batch, self.cache
        for span in batch.spans:
            if not (0 <= span.slot < cache.num_slots and span.stop <= cache.positions):
                raise IndexError(f"{span} is outside {cache.num_slots} slots of {cache.positions} positions.")
        self._kernels = kernels
        self._own = kernels.Attention(
            self.heads, self.scale, self.cos, self.sin, batch.slots, batch.positions
        )
        read = sum(span.stop for span in batch.spans)
        is_small = len(batch) == len(batch.spans) and read <= KERNEL_POSITIONS
        self._others = None if is_small else SlotAttention(batch, cache, self.scale, self.tainted)
        self._found = self.cos.new_empty(len(batch), self.heads * self.cos.shape[-1])
        self._normed = self._hidden = self.cos.new_empty(0, 0)

    def add_norm(self, x: Tensor, more: Tensor | None, norm: Norm) -> tuple[Tensor, Tensor]:
        """As `Pass` says."""
        if len(x) != len(self._normed):
            self._normed = x.new_empty(x.shape)
        if more is None:
            x = x.contiguous()
            self._kernels.rms_norm(x, norm.weight, norm.eps, self._normed)
            return x, self._normed
        self._kernels.add_rms_norm(x, more, norm.weight, norm.eps, self._normed)
        return more, self._normed

    def gated(self, x: Tensor, activation: nn.Module) -> Tensor:
        """As `Pass` says."""
        if not isinstance(activation, nn.SiLU):
            return _gated(x, activation)
        if len(self._hidden) != len(x):
            self._hidden = x.new_empty(len(x), x.shape[1] // 2)
        self._kernels.silu_gated(x, self._hidden)
        return self._hidden

    def attend(self, layer: int, projected: Tensor) -> Tensor:
        """As `Pass` says."""
        keys, values = self.cache.keys[layer], self.cache.values[layer]
        if self._others is None:
            self._own(projected, keys, values, self._found)
            return self._found
        self._own.rotate_and_store(projected, keys, values)
        return self._others(layer, projected[:, : self.heads])


def _gated(x: Tensor, activation: nn.Module) -> Tensor:
    gate, up = x.chunk(2, dim=-1)
    return activation(gate).mul_(up)
