"""The seam between the engine and whatever multiplies matrices.

A batch is packed: the new tokens of every sequence one after another, in one dimension. The model is
two halves, so that the edit between them stands in plain sight in `step.py`:

    x = forward.lower(token_ids, batch)      blocks 0 … tap
    x = edit(x)
    logits = forward.upper(x, batch, keep)   the blocks above, norm and unembedding

Shapes: `tokens` of the batch, `d_model`, `kept` tokens whose logits are wanted, `vocab`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor

from steersman_engine.kv import KVCache


@dataclass(frozen=True, slots=True)
class Span:
    """New positions `start` to `stop` of one slot; they stand together in the batch, from token `at`."""

    slot: int
    start: int
    stop: int
    at: int

    @property
    def tokens(self) -> slice:
        """Where they are in the batch."""
        return slice(self.at, self.at + self.stop - self.start)


@dataclass(frozen=True, slots=True)
class Batch:
    """The tokens of one pass. A span attends to everything before it in its slot, and to itself causally."""

    spans: tuple[Span, ...]
    slots: Tensor  # [tokens]
    positions: Tensor  # [tokens]

    @classmethod
    def of(cls, ranges: Sequence[tuple[int, int, int]], device: torch.device) -> Self:
        """Pack `(slot, start, stop)` ranges, none of them empty, in that order."""
        spans, slots, positions = [], [], []
        for slot, start, stop in ranges:
            spans.append(Span(slot, start, stop, len(slots)))
            slots += [slot] * (stop - start)
            positions += range(start, stop)
        return cls(tuple(spans), torch.tensor(slots, device=device), torch.tensor(positions, device=device))

    def __len__(self) -> int:
        return len(self.slots)


class Forward(Protocol):
    """A model over its key-value cache."""

    cache: KVCache

    def lower(self, token_ids: Tensor, batch: Batch) -> Tensor:
        """The residual stream after the tap's block, `[tokens, d_model]`, of ids `[tokens]`."""
        ...

    def upper(self, x: Tensor, batch: Batch, keep: Tensor) -> Tensor:
        """Logits `[kept, vocab]` of the tokens `keep`, from the residual `x` `[tokens, d_model]`."""
        ...
