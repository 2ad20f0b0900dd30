"""Causal attention on a CPU, block by block of queries.

PyTorch's kernel takes thrice as long in bfloat16: it multiplies small tiles, and keys once for every head
that shares them. Here the heads of a key head stand as further queries to it, and a block's product goes
only as far as its last query sees. Scores are rounded to the inputs' dtype, as transformers' "eager" does.

Shapes: `batch` rows, `heads`, `kv_heads`, `pos` queries, `seen` keys (the last are the queries'), `head_dim`.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ATTENTION = "steersman_causal"
"""What a model is loaded with (`load_model`), to attend so wherever it reads whole sequences."""

BLOCK = 64
"""Queries that are multiplied at once."""


def causal_attention(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """What `query` `[batch, heads, pos, head_dim]` finds, in its shape.

    `key` and `value`: `[batch, kv_heads, seen, head_dim]`.
    """
    batch, heads, pos, head_dim = query.shape
    kv_heads, before = key.shape[1], key.shape[2] - pos
    grouped = (query * scale).unflatten(1, (kv_heads, -1))
    out = torch.empty_like(query)
    for start in range(0, pos, BLOCK):
        stop = min(start + BLOCK, pos)
        size, seen = stop - start, before + stop
        rows = grouped[:, :, :, start:stop].reshape(batch, kv_heads, -1, head_dim)
        scores = rows @ key[:, :, :seen].mT
        own = scores.view(batch, kv_heads, -1, size, seen)[..., before + start :]
        own.masked_fill_(_hidden(size, query.device), float("-inf"))
        out[:, :, start:stop] = (scores.softmax(dim=-1) @ value[:, :, :seen]).view(
            batch, heads, size, head_dim
        )
    return out


@cache
def _hidden(size: int, device: torch.device) -> Tensor:
    """Which of `size` tokens in a row each of them may not see, bool `[size, size]`."""
    return torch.ones(size, size, dtype=torch.bool, device=device).triu_(1)


def attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **rest: Any
) -> tuple[Tensor, Tensor | None]:
    """For `AttentionInterface`: `causal_attention` where only the causal mask is asked for, else SDPA."""
    whole = attention_mask is None and 1 < query.shape[2] == key.shape[2]
    if not whole or query.device.type != "cpu" or query.requires_grad:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **rest)
    return causal_attention(query, key, value, rest["scaling"]).transpose(1, 2), None


AttentionInterface.register(ATTENTION, attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
