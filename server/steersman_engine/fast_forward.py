"""A lean forward pass for models that are Llama in all but name, on a CPU.

It computes what transformers' own code does, with fewer calls and fewer bytes: projections that read
the same input are one matrix (`fast_linear.py`), no key is repeated and no mask is built for tokens
that may see everything (`fast_attention.py`), and the last block and the unembedding run for the
tokens whose logits are wanted. Rotary embeddings and activations are the model's own modules.

Shapes: `tokens` of the batch, `d_model`, `heads`, `kv_heads`, `head_dim`, `d_ff`, `kept`, `vocab`.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from steersman_engine.fast_attention import SlotAttention
from steersman_engine.fast_linear import Linear, fuse
from steersman_engine.forward import Batch, Forward
from steersman_engine.host import HostModel
from steersman_engine.kv import KVCache
from steersman_engine.transformers_forward import TransformersForward, kv_shape

MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3")
"""Those whose blocks are built and wired as here."""

Norm = Callable[[Tensor], Tensor]


class FastForward:
    """`Forward` for the models of MODEL_TYPES.

    Raises:
        ValueError: The model is not one of them, or not on a CPU.
    """

    def __init__(
        self, host: HostModel, num_slots: int, positions: int, *, weights: "FastWeights | None" = None
    ) -> None:
        self._weights = weights or FastWeights.of(host)
        self.cache = KVCache(
            tap=host.layer,
            num_slots=num_slots,
            positions=positions,
            dtype=host.model.dtype,
            device=host.device,
            **kv_shape(host.model.config),
        )
        self._embed, self._rotary = host.model.model.embed_tokens, host.model.model.rotary_emb
        blocks = self._weights.blocks
        self._lower, self._upper = blocks[: host.layer + 1], blocks[host.layer + 1 :]
        self._vocab = host.W_U.shape[0]
        self._tainted: set[int] = set()
        self._pass: _Pass | None = None

    def lower(self, token_ids: Tensor, batch: Batch) -> Tensor:
        """The residual stream after the tap's block."""
        this = self._pass_of(batch)
        x = self._embed(token_ids)
        for layer, block in enumerate(self._lower):
            x = block.forward(x, layer, this)
        self._taint(x, batch)
        return x

    def upper(self, x: Tensor, batch: Batch, keep: Tensor) -> Tensor:
        """Logits of the tokens `keep`."""
        this = self._pass_of(batch)
        for layer, block in enumerate(self._upper, start=len(self._lower)):
            is_last = block is self._upper[-1]
            if is_last:
                self._taint(x, batch)
            x = block.forward(x, layer, this, keep if is_last else None)
        if not self._upper:
            x = x[keep]
        if not len(keep):
            return x.new_empty(0, self._vocab)
        return self._weights.unembed(self._weights.norm(x))

    def _pass_of(self, batch: Batch) -> "_Pass":
        """What `lower` and `upper` both need of a batch."""
        if self._pass is None or self._pass.batch is not batch:
            self._pass = _Pass.of(batch, self.cache, self._rotary, self._lower[0], self._tainted)
        return self._pass

    def _taint(self, x: Tensor, batch: Batch) -> None:
        """Note the slots whose keys and values are no longer all finite."""
        if not x.isfinite().all():
            self._tainted |= set(batch.slots[~x.isfinite().all(-1)].tolist())


def why_not(host: HostModel) -> str | None:
    """What keeps `FastForward` from running a model; None when it can."""
    config = host.model.config
    if host.device.type != "cpu":
        return f"{host.name} is on {host.device}, not on a CPU."
    if config.model_type not in MODEL_TYPES:
        return f"{host.name} is a {config.model_type} model, not one of {', '.join(MODEL_TYPES)}."
    if getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True):
        return f"{host.name} has sliding-window attention."
    return None


@dataclass(frozen=True, slots=True)
class FastWeights:
    """A model's layers, packed: once, whatever number of times its buffers are made."""

    blocks: "list[_Block]"
    norm: Norm
    unembed: Linear

    @classmethod
    def of(cls, host: HostModel) -> "FastWeights":
        """Pack a model's layers.

        Raises:
            ValueError: As `why_not` says.
        """
        if (reason := why_not(host)) is not None:
            raise ValueError(reason)
        base = host.model.model
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            unembed = pool.submit(fuse, [host.model.lm_head])
            blocks = list(pool.map(_Block.of, base.layers))
            return cls(blocks, _norm(base.norm), unembed.result())


def forward_for(host: HostModel) -> Callable[[HostModel, int, int], Forward]:
    """What makes the fastest forward pass there is for a model."""
    if why_not(host) is None:
        return partial(FastForward, weights=FastWeights.of(host))
    return TransformersForward


@dataclass(frozen=True, slots=True)
class _Pass:
    """What is the same for every block."""

    batch: Batch
    cache: KVCache
    attention: SlotAttention
    cos: Tensor  # [tokens, heads + 2 · kv_heads, head_dim], 1 for values
    sin: Tensor  # the same, 0 for values; its first half negative, as the rotation wants it

    @classmethod
    def of(cls, batch: Batch, cache: KVCache, rotary: Any, block: "_Block", tainted: set[int]) -> "_Pass":
        cos, sin = rotary(cache.taps, batch.positions[None])  # of its first argument only the dtype counts
        half = sin.shape[-1] // 2
        signed = torch.cat((-sin[..., :half], sin[..., half:]), dim=-1)
        rotated, values = sum(block.heads), block.heads[1]
        cos, sin = (part[0, :, None].repeat(1, rotated + values, 1) for part in (cos, signed))
        cos[:, rotated:], sin[:, rotated:] = 1, 0
        return cls(batch, cache, SlotAttention(batch, cache, block.scale, tainted), cos, sin)

    def rotate(self, x: Tensor) -> Tensor:
        """Rotary position embedding (Su et al. 2021, arXiv:2104.09864) of queries and keys, not of values.

        `x` `[tokens, heads + 2 · kv_heads, head_dim]`: one call for all costs less than to take them apart.
        """
        return torch.addcmul(x * self.cos, torch.roll(x, x.shape[-1] // 2, -1), self.sin)


@dataclass(frozen=True, slots=True)
class _Block:
    """One decoder block."""

    attention_norm: Norm
    qkv: Linear
    query_norm: Norm | None
    key_norm: Norm | None
    out: Linear
    mlp_norm: Norm
    gate_up: Linear
    activation: Norm
    down: Linear
    heads: tuple[int, int]
    """Of queries, and of keys or of values."""
    scale: float

    @classmethod
    def of(cls, block: Any) -> "_Block":
        attention, mlp = block.self_attn, block.mlp
        query_norm, key_norm = getattr(attention, "q_norm", None), getattr(attention, "k_norm", None)
        return cls(
            attention_norm=_norm(block.input_layernorm),
            qkv=fuse([attention.q_proj, attention.k_proj, attention.v_proj]),
            query_norm=None if query_norm is None else _norm(query_norm),
            key_norm=None if key_norm is None else _norm(key_norm),
            out=fuse([attention.o_proj]),
            mlp_norm=_norm(block.post_attention_layernorm),
            gate_up=fuse([mlp.gate_proj, mlp.up_proj]),
            activation=mlp.act_fn,
            down=fuse([mlp.down_proj]),
            heads=tuple(
                projection.out_features // attention.head_dim
                for projection in (attention.q_proj, attention.k_proj)
            ),
            scale=attention.scaling,
        )

    def forward(self, x: Tensor, layer: int, this: _Pass, keep: Tensor | None = None) -> Tensor:
        """The residual stream after this block, of the tokens `keep` alone if given."""
        found = self._attend(self.attention_norm(x), layer, this)
        if keep is not None:
            if not len(keep):
                return x[keep]
            x, found = x[keep], found[keep]
        x = self.out(found).add_(x)
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, dim=-1)
        return self.down(self.activation(gate).mul_(up)).add_(x)

    def _attend(self, x: Tensor, layer: int, this: _Pass) -> Tensor:
        queries, kv = self.heads
        projected = self.qkv(x).view(len(x), queries + 2 * kv, -1)
        if self.query_norm is not None and self.key_norm is not None:
            query, key, value = projected.split([queries, kv, kv], dim=1)
            projected = torch.cat((self.query_norm(query), self.key_norm(key), value), dim=1)
        query, key_value = this.rotate(projected).split([queries, 2 * kv], dim=1)
        this.cache.write(layer, this.batch.slots, this.batch.positions, key_value)
        return this.attention(layer, query)


def _norm(module: Any) -> Norm:
    """A model's RMSNorm (Zhang and Sennrich 2019, arXiv:1910.07467) as one call."""
    weight, eps = module.weight, module.variance_epsilon
    return lambda x: F.rms_norm(x, weight.shape, weight, eps)
