"""The memory of the blocks: keys, values and tap residuals of every slot, at fixed addresses.

A slot is room for one sequence. On a CPU the pages behind a position are taken when it is first
written, so a slot costs what its longest sequence so far did.

Shapes: `slots`, `kv_heads`, `positions` of one slot, `head_dim`, `d_model`, `tokens` of a batch.
"""

import math
import mmap
from collections.abc import Sequence

import torch
from torch import Tensor

PRIVATE = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_ANONYMOUS") else {}


class KVCache:
    """Buffers for `num_slots` sequences of up to `positions` tokens."""

    def __init__(
        self,
        *,
        num_layers: int,
        tap: int,
        num_slots: int,
        positions: int,
        kv_heads: int,
        head_dim: int,
        d_model: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        # keys of all slots, then values: matrix products over slots and heads then copy nothing first
        shape = (2, num_slots, kv_heads, positions, head_dim)
        self._kv = [_zeros(shape, dtype, device) for _ in range(num_layers)]
        self.keys = [buffer[0] for buffer in self._kv]
        self.values = [buffer[1] for buffer in self._kv]
        self.taps = _zeros((num_slots, positions, d_model), dtype, device)
        """The residual stream at the tap, before edits."""
        self.num_slots, self.positions, self._tap = num_slots, positions, tap

    @staticmethod
    def bytes_per_position(
        *, num_layers: int, kv_heads: int, head_dim: int, d_model: int, dtype: torch.dtype
    ) -> int:
        """Memory that one position of one slot takes."""
        return (2 * num_layers * kv_heads * head_dim + d_model) * dtype.itemsize

    def release(self) -> None:
        """Give the memory back; nothing else may be done after."""
        for buffers in (self._kv, self.keys, self.values):
            buffers.clear()
        self.taps = self.taps.new_empty(0)

    def write(self, layer: int, slots: Tensor, positions: Tensor, kv: Tensor) -> None:
        """Store what `layer` made of a batch, keys before values: `[tokens, 2 · kv_heads, head_dim]`."""
        buffer = self._kv[layer]
        buffer[:, slots, :, positions] = kv.view(len(kv), *buffer.shape[::2])

    def read(self, layer: int, slot: int, stop: int) -> tuple[Tensor, Tensor]:
        """The first `stop` keys and values of a slot, `[kv_heads, stop, head_dim]`."""
        return self.keys[layer][slot, :, :stop], self.values[layer][slot, :, :stop]

    def copy_lower(self, source: int, to: int, start: int, stop: int) -> None:
        """Copy positions of another slot up to the tap: what does not depend on edits."""
        self._copy(range(self._tap + 1), source, to, start, stop)
        self.taps[to, start:stop] = self.taps[source, start:stop]

    def copy_upper(self, source: int, to: int, start: int, stop: int) -> None:
        """Copy positions of another slot above the tap."""
        self._copy(range(self._tap + 1, len(self.keys)), source, to, start, stop)

    def _copy(self, layers: range, source: int, to: int, start: int, stop: int) -> None:
        for layer in layers:
            self._kv[layer][:, to, :, start:stop] = self._kv[layer][:, source, :, start:stop]


def _zeros(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zeros; on a CPU memory is taken as it is written, a small page at a time."""
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    # neither torch.zeros, which writes all of it, nor numpy's, which asks for pages of 2 MiB
    memory = mmap.mmap(-1, max(1, math.prod(shape)) * dtype.itemsize, **PRIVATE)
    return torch.frombuffer(memory, dtype=dtype)[: math.prod(shape)].view(shape)
