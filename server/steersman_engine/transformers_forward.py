"""The engine's forward pass with transformers' own modelling code, over slots.

Attention is the one part that is ours: transformers calls `attend`, registered under a name, with the
queries of a whole packed batch; it stores keys and values in their slots and reads each sequence's
back. The host's modules are shared and stay as they are: copies carry the other attention's name.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from steersman_engine.forward import Batch, Span
from steersman_engine.host import HostModel
from steersman_engine.kv import KVCache

ATTENTION = "steersman_slots"


class TransformersForward:
    """`Forward` for any model of `HostModel` with plain causal attention.

    Raises:
        ValueError: The model's attention is of another kind.
    """

    def __init__(self, host: HostModel, num_slots: int, positions: int) -> None:
        config = host.model.config
        if getattr(config, "sliding_window", None) or getattr(config, "attn_logit_softcapping", None):
            raise ValueError(f"{host.name} has sliding-window or soft-capped attention: not supported yet.")
        self._host = host
        self.cache = KVCache(
            tap=host.layer,
            num_slots=num_slots,
            positions=positions,
            dtype=host.model.dtype,
            device=host.device,
            **kv_shape(host.model.config),
        )
        base = host.model.model
        own = copy.copy(config)
        own._attn_implementation = ATTENTION
        blocks = [_with_config(block, own) for block in base.layers]
        self._lower = _part(base, blocks[: host.layer + 1], nn.Identity(), own)
        self._upper = _part(base, blocks[host.layer + 1 :], base.norm, own)

    def lower(self, token_ids: Tensor, batch: Batch) -> Tensor:
        """The residual stream after the tap's block."""
        return self._run(self._lower, batch, input_ids=token_ids[None])

    def upper(self, x: Tensor, batch: Batch, keep: Tensor) -> Tensor:
        """Logits of the tokens `keep`."""
        return self._host.unembed(self._run(self._upper, batch, inputs_embeds=x[None])[keep])

    def _run(self, part: Any, batch: Batch, **inputs: Tensor) -> Tensor:
        return part(
            **inputs,
            position_ids=batch.positions[None],
            use_cache=False,
            packed=batch,
            masks=[_mask(span, self._host.model.dtype, self._host.device) for span in batch.spans],
            slot_cache=self.cache,
        ).last_hidden_state[0]


def kv_shape(config: Any) -> dict[str, int]:
    """What a model's keys and values measure, as `KVCache` names it; `config` is transformers'."""
    heads = config.num_attention_heads
    return {
        "num_layers": config.num_hidden_layers,
        "kv_heads": getattr(config, "num_key_value_heads", None) or heads,
        "head_dim": getattr(config, "head_dim", None) or config.hidden_size // heads,
        "d_model": config.hidden_size,
    }


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    packed: Batch,
    masks: list[Tensor | None],
    slot_cache: KVCache,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention of a packed batch: `query` `[1, heads, tokens, head_dim]`, keys and values likewise.

    The heads that share a key head stand as further queries to it, so that no key is repeated.
    """
    assert attention_mask is None
    kv = torch.cat((key[0], value[0])).transpose(0, 1)
    slot_cache.write(module.layer_idx, packed.slots, packed.positions, kv)
    heads, num_tokens, head_dim = query.shape[1:]
    out = query.new_empty(num_tokens, heads, head_dim)
    for span, mask in zip(packed.spans, masks, strict=True):
        keys, values = slot_cache.read(module.layer_idx, span.slot, span.stop)
        kv_heads = keys.shape[0]
        # [kv_heads, group · span, head_dim]
        grouped = query[0, :, span.tokens].reshape(kv_heads, -1, head_dim)
        repeated = None if mask is None else mask.repeat(heads // kv_heads, 1)
        found = scaled_dot_product_attention(
            grouped[None], keys[None], values[None], attn_mask=repeated, scale=scaling
        )
        out[span.tokens] = found.view(heads, -1, head_dim).transpose(0, 1)
    return out[None], None


AttentionInterface.register(ATTENTION, attend)


def _mask(span: Span, dtype: torch.dtype, device: torch.device) -> Tensor | None:
    """What a span may not see of itself, `[span, stop]`, added to the scores; one token sees all."""
    if span.stop - span.start == 1:
        return None
    rows = torch.arange(span.start, span.stop, device=device)[:, None]
    hidden = torch.arange(span.stop, device=device)[None] > rows
    return torch.zeros(hidden.shape, dtype=dtype, device=device).masked_fill_(hidden, float("-inf"))


def _with_config(block: Any, config: Any) -> Any:
    """A copy of a block whose attention reads another configuration; parameters are shared."""
    attention = copy.copy(block.self_attn)
    attention.config = config
    block = copy.copy(block)
    block._modules = dict(block._modules, self_attn=attention)
    return block


def _part(base: Any, blocks: list[Any], norm: nn.Module, config: Any) -> Any:
    part = copy.copy(base)
    part._modules = dict(base._modules, layers=blocks, norm=norm)
    part.config = config
    return part
