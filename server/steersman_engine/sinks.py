"""Attention sinks: positions whose residual is so long that it is no ordinary token's.

In Llama models the first position carries a norm some hundred times the median (Xiao et al. 2023,
arXiv:2309.17453; Sun et al. 2024, arXiv:2402.17762). The one rule below decides everywhere: such
positions are left out of training, h_max, examples, metrics, steering and attribution.
"""

import torch
from torch import Tensor

SINK_NORM_RATIO = 10.0
"""A sink's norm is more than this many times the median norm."""


def is_sink(resid: Tensor, sink_norm: float) -> Tensor:
    """Which positions are sinks: `[..., d_model]` to `[...]` of bool."""
    return torch.linalg.vector_norm(resid.float(), dim=-1) > sink_norm


def sink_norm_of(norms: Tensor) -> float:
    """The norm above which a position is a sink, from a sample of residual norms."""
    return SINK_NORM_RATIO * norms.float().median().item()
