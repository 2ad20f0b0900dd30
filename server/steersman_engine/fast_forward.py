"""A lean forward pass for models that are Llama in all but name, on a CPU.

It computes what transformers' own code does, with fewer calls and fewer bytes: projections that read
the same input are one matrix (`fast_linear.py`), no key is repeated and no mask is built for tokens
that may see everything (`fast_attention.py`), and the last block and the unembedding run for the
tokens whose logits are wanted. What is between two products is `fast_pass.py`'s.

Shapes: `tokens` of the batch, `d_model`, `heads`, `kv_heads`, `head_dim`, `d_ff`, `kept`, `vocab`.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from steersman_engine.fast_linear import Linear, fuse
from steersman_engine.fast_pass import CompiledPass, Norm, Pass, PlainPass, load_kernels
from steersman_engine.forward import Batch, Forward
from steersman_engine.host import HostModel
from steersman_engine.kv import KVCache
from steersman_engine.transformers_forward import TransformersForward, kv_shape

MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3")
"""Those whose blocks are built and wired as here."""


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
        self._pass: Pass | None = None

    def lower(self, token_ids: Tensor, batch: Batch) -> Tensor:
        """The residual stream after the tap's block."""
        this, x, more = self._pass_of(batch), self._embed(token_ids), None
        for layer, block in enumerate(self._lower):
            x, more = block.forward(x, more, layer, this)
        return self._whole(x, more, batch)

    def upper(self, x: Tensor, batch: Batch, keep: Tensor) -> Tensor:
        """Logits of the tokens `keep`."""
        this, more = self._pass_of(batch), None
        last = len(self._lower) + len(self._upper) - 1
        for layer, block in enumerate(self._upper, start=len(self._lower)):
            if layer == last:
                x, more = self._whole(x, more, batch), None
            x, more = block.forward(x, more, layer, this, keep if layer == last else None)
        if not self._upper:
            x = x[keep]
        if not len(keep):
            return x.new_empty(0, self._vocab)
        _, normed = this.add_norm(x, more, self._weights.norm)
        return self._weights.unembed(normed)

    def _pass_of(self, batch: Batch) -> Pass:
        """What `lower` and `upper` both need of a batch."""
        if self._pass is None or self._pass.batch is not batch:
            block = self._lower[0]
            # of the first argument only the dtype counts
            cos, sin = self._rotary(self.cache.taps, batch.positions[None])
            self._pass = self._weights.kind(
                batch,
                self.cache,
                cos[0],
                sin[0],
                heads=block.heads[0],
                scale=block.scale,
                tainted=self._tainted,
            )
        return self._pass

    def _whole(self, x: Tensor, more: Tensor | None, batch: Batch) -> Tensor:
        """The sum; slots whose keys and values are no longer all finite are noted."""
        x = x if more is None else more.add_(x)
        if not x.isfinite().all():
            self._tainted |= set(batch.slots[~x.isfinite().all(-1)].tolist())
        return x


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
    kind: type[Pass]
    """How what is between the products is computed."""

    @classmethod
    def of(cls, host: HostModel, *, compiled: bool = True) -> "FastWeights":
        """Pack a model's layers; `compiled`: use compiled kernels if they can be.

        Raises:
            ValueError: As `why_not` says.
        """
        if (reason := why_not(host)) is not None:
            raise ValueError(reason)
        base = host.model.model
        compiled = compiled and host.model.dtype == torch.float32 and load_kernels() is not None
        kind = CompiledPass if compiled else PlainPass
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            unembed = pool.submit(fuse, [host.model.lm_head])
            blocks = list(pool.map(_Block.of, base.layers))
            return cls(blocks, Norm.of(base.norm), unembed.result(), kind)


def forward_for(host: HostModel) -> Callable[[HostModel, int, int], Forward]:
    """What makes the fastest forward pass there is for a model."""
    if why_not(host) is None:
        return partial(FastForward, weights=FastWeights.of(host))
    return TransformersForward


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
    activation: nn.Module
    down: Linear
    heads: tuple[int, int]
    """Of queries, and of keys or of values."""
    scale: float

    @classmethod
    def of(cls, block: Any) -> "_Block":
        attention, mlp = block.self_attn, block.mlp
        query_norm, key_norm = getattr(attention, "q_norm", None), getattr(attention, "k_norm", None)
        return cls(
            attention_norm=Norm.of(block.input_layernorm),
            qkv=fuse([attention.q_proj, attention.k_proj, attention.v_proj]),
            query_norm=None if query_norm is None else Norm.of(query_norm),
            key_norm=None if key_norm is None else Norm.of(key_norm),
            out=fuse([attention.o_proj]),
            mlp_norm=Norm.of(block.post_attention_layernorm),
            gate_up=fuse([mlp.gate_proj, mlp.up_proj]),
            activation=mlp.act_fn,
            down=fuse([mlp.down_proj]),
            heads=tuple(
                projection.out_features // attention.head_dim
                for projection in (attention.q_proj, attention.k_proj)
            ),
            scale=attention.scaling,
        )

    def forward(
        self, x: Tensor, more: Tensor | None, layer: int, this: Pass, keep: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """The residual stream after this block, of the tokens `keep` alone if given, as two summands.

        So it came in: the sum is made where it is normed. The second is overwritten.
        """
        x, normed = this.add_norm(x, more, self.attention_norm)
        found = this.attend(layer, self._project(normed))
        if keep is not None:
            x = x[keep]
            if not len(keep):
                return x, None
            found = found[keep]
        x, normed = this.add_norm(x, self.out(found), self.mlp_norm)
        return x, self.down(this.gated(self.gate_up(normed), self.activation))

    def _project(self, x: Tensor) -> Tensor:
        """Queries, keys and values, `[tokens, heads + 2 · kv_heads, head_dim]`."""
        queries, kv = self.heads
        projected = self.qkv(x).view(len(x), queries + 2 * kv, -1)
        if self.query_norm is None or self.key_norm is None:
            return projected
        query, key, value = projected.split([queries, kv, kv], dim=1)
        query, key = self.query_norm(query), self.key_norm(key)
        return torch.cat((query, key, value), dim=1)
