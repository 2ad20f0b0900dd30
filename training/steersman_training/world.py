"""The processes that learn together: each has its share of every batch, and all have the same weights.

Alone, every function here is the identity. `accelerate launch` starts the others.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch import distributed as dist


@dataclass(frozen=True, slots=True)
class World:
    """This process's place among them."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the one process that writes files."""
        return self.rank == 0

    def share(self, batch: Tensor) -> Tensor:
        """This process's rows of a batch of all."""
        return batch if self.size == 1 else batch.chunk(self.size)[self.rank]

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum over all processes, in place."""
        return self._reduce(tensor, dist.ReduceOp.SUM)

    def mean(self, tensor: Tensor) -> Tensor:
        """Mean over all processes, in place."""
        return tensor if self.size == 1 else self.sum(tensor).div_(self.size)

    def least(self, tensor: Tensor) -> Tensor:
        """Smallest of all processes, in place."""
        return self._reduce(tensor, dist.ReduceOp.MIN)

    def any(self, flag: bool, device: torch.device | str) -> bool:
        """Whether any process has the flag up."""
        if self.size == 1:
            return flag
        return bool(self._reduce(torch.tensor(int(flag), device=device), dist.ReduceOp.MAX).item())

    def gathered(self, values: Tensor) -> Tensor:
        """All processes' `values`, each a vector of any length, one after another."""
        if self.size == 1:
            return values
        lengths = torch.zeros(self.size, dtype=torch.long, device=values.device)
        lengths[self.rank] = len(values)
        counts = self.sum(lengths).tolist()
        padded = torch.nn.functional.pad(values, (0, max(counts) - len(values)))
        every = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(every, padded)
        return torch.cat([part[:count] for part, count in zip(every, counts, strict=True)])

    def _reduce(self, tensor: Tensor, how: dist.ReduceOp.RedOpType) -> Tensor:
        if self.size > 1:
            dist.all_reduce(tensor, op=how)
        return tensor


ALONE = World()


def open_world(device: str) -> World:
    """The world that `accelerate launch` or `torchrun` started this process in, or ALONE."""
    from accelerate import PartialState

    state = PartialState(cpu=device == "cpu")
    return World(state.process_index, state.num_processes)
