"""What an SAE is trained with. A recipe is a function that returns a whole `TrainConfig`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

DTYPES = Literal["bfloat16", "float32"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Everything that shapes a BatchTopK run beside its data.

    Raises:
        ValueError: `k`, `num_samples` or `dtype` cannot be.
    """

    d_sae: int
    """Number of features."""
    k: int
    """Active features a token, on average over a batch."""
    num_samples: int
    """Tokens to learn from; a harvest that holds fewer is read again."""
    batch_size: int = 2048
    lr: float
    """Highest learning rate of Adam."""
    warmup: float = 0.05
    """Share of the steps in which the learning rate rises from 0."""
    decay: float = 0.2
    """Share of the steps, the last ones, in which it falls to 0."""
    max_grad_norm: float = 1.0
    aux_alpha: float = 1 / 32
    """Weight of the AuxK loss, which brings dead features back."""
    dead_after: int
    """Tokens after which a silent feature is dead."""
    threshold_decay: float = 0.99
    """Of the moving average that becomes the served threshold; one update a step."""
    dtype: DTYPES = "bfloat16"
    """Of the two dense products; weights, sums and the optimiser are float32."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.k <= self.d_sae:
            raise ValueError(f"k is {self.k}: it must be 1 to d_sae, {self.d_sae}.")
        if self.num_samples < self.batch_size:
            raise ValueError(f"num_samples is {self.num_samples}, less than a batch of {self.batch_size}.")
        if self.dtype not in get_args(DTYPES):
            raise ValueError(f"dtype is {self.dtype!r}, not one of {', '.join(get_args(DTYPES))}.")

    @property
    def num_steps(self) -> int:
        """Optimiser steps, of one batch each."""
        return self.num_samples // self.batch_size


def scaled_lr(d_sae: int) -> float:
    """Adam's learning rate for TopK SAEs of a width (Gao et al. 2024, arXiv:2406.04093, section 2.3)."""
    return 2e-4 / (d_sae / 2**14) ** 0.5


def smol_cpu() -> TrainConfig:
    """SmolLM2-135M on a CPU: under half an hour on two cores."""
    return TrainConfig(d_sae=4608, k=48, num_samples=8_000_000, lr=scaled_lr(4608), dead_after=500_000)


def llama3_8b() -> TrainConfig:
    """Llama-3-8B-Instruct on one GPU with 80 GB; not yet run."""
    return TrainConfig(
        d_sae=65_536,
        k=64,
        num_samples=400_000_000,
        batch_size=8192,
        lr=scaled_lr(65_536),
        dead_after=10_000_000,
    )


RECIPES: dict[str, Callable[[], TrainConfig]] = {"smol-cpu": smol_cpu, "llama3-8b": llama3_8b}
