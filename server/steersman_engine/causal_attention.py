"""Causal attention of whole sequences on a CPU, block by block of queries.

PyTorch's kernel takes thrice as long in bfloat16: it multiplies small tiles, and keys once for every head
that shares them. Here the heads of a key head stand as further queries to it, and a block's product goes
only as far as its last query sees. Scores are rounded to the inputs' dtype, as transformers' "eager" does.

Shapes: `batch` rows, `heads`, `kv_heads`, `pos` positions, `head_dim`.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ATTENTION = "steersman_causal"
"""What a model is loaded with (`load_model`), to attend so wherever it reads whole sequences."""

BLOCK = 64


def causal_attention(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """What `query` `[batch, heads, pos, head_dim]` finds, in its shape.

    `key` and `value`: `[batch, kv_heads, pos, head_dim]`.
    """
    batch, heads, pos, head_dim = query.shape
    kv_heads = key.shape[1]
    grouped = (query * scale).view(batch, kv_heads, heads // kv_heads, pos, head_dim)
    keys = key.transpose(-1, -2)
    hidden = torch.full((BLOCK, BLOCK), float("-inf"), dtype=query.dtype).triu(1)
    out = torch.empty_like(grouped)
    for start in range(0, pos, BLOCK):
        stop = min(start + BLOCK, pos)
        size = stop - start
        scores = grouped[:, :, :, start:stop].reshape(batch, kv_heads, -1, head_dim) @ keys[..., :stop]
        scores.view(batch, kv_heads, -1, size, stop)[..., start:] += hidden[:size, :size]
        found = scores.softmax(dim=-1) @ value[:, :, :stop]
        out[:, :, :, start:stop] = found.view(batch, kv_heads, -1, size, head_dim)
    return out.view(query.shape)


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
