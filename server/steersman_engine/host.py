"""The host: a causal language model, read and edited after one decoder block.

Shapes: `batch` rows, `pos` positions, `d_model` the width of the residual stream, `vocab` tokens.
`layer` is the 0-based block whose output is read, `hidden_states[layer + 1]` of transformers.
"""

import copy
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import Cache, DynamicCache

Edit = Callable[[Tensor], Tensor]
"""Maps the residual stream at the tap, `[batch, pos, d_model]`, to what the next block reads."""

FINGERPRINT_SAMPLES = 1024


class HostModel:
    """A Llama-like model with a tap after block `layer`.

    The tap is installed once and holds nothing: each forward pass brings its own edit.

    Raises:
        ValueError: The model is not built as Llama is, or has no such layer.
    """

    def __init__(self, model: PreTrainedModel, layer: int, *, name: str) -> None:
        base: Any = getattr(model, "model", None)
        if base is None or not all(hasattr(base, name) for name in ("layers", "norm", "embed_tokens")):
            raise ValueError(
                f"{type(model).__name__} is not built as Llama is (model.layers, model.norm, lm_head)."
            )
        if not 0 <= layer < len(base.layers):
            raise ValueError(f"There is no layer {layer}: the model's are 0 to {len(base.layers) - 1}.")
        self.model: Any = model.eval().requires_grad_(False)
        self.layer = layer
        self.num_layers = len(base.layers)
        self.name = name
        base.layers[layer].register_forward_hook(_tap, with_kwargs=True)

    @property
    def device(self) -> torch.device:
        """Where the model's input goes."""
        return self.model.device

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return self.model.config.hidden_size

    @property
    def max_positions(self) -> int:
        """Longest sequence the model was made for, in tokens."""
        return self.model.config.max_position_embeddings

    def new_cache(self) -> Cache:
        """An empty key-value cache for `logits`."""
        return DynamicCache(config=self.model.config)

    @torch.no_grad()
    def logits(
        self, input_ids: Tensor, *, edit: Edit | None = None, cache: Cache | None = None, last: int = 0
    ) -> Tensor:
        """Next-token logits `[batch, pos, vocab]` of `input_ids` `[batch, pos]`, edited at the tap.

        With `cache`, the tokens continue those it holds. `last`: only so many last positions.
        """
        return self.model(
            input_ids=input_ids,
            past_key_values=cache,
            use_cache=cache is not None,
            logits_to_keep=last,
            edit=edit,
        ).logits

    @torch.no_grad()
    def residual(
        self, input_ids: Tensor, *, attention_mask: Tensor | None = None, layer: int | None = None
    ) -> Tensor:
        """The residual stream after `layer`, `[batch, pos, d_model]`; later blocks do not run."""
        layer = self.layer if layer is None else layer
        base = self.model.model
        lower = _with_blocks(base, base.layers[: layer + 1], norm=nn.Identity())
        return lower(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).last_hidden_state

    def finish(self, resid: Tensor, *, attention_mask: Tensor | None = None) -> Tensor:
        """From the residual after `layer` to the final norm's output, both `[batch, pos, d_model]`.

        Differentiable in `resid`.
        """
        base = self.model.model
        upper = _with_blocks(base, base.layers[self.layer + 1 :], norm=base.norm)
        return upper(inputs_embeds=resid, attention_mask=attention_mask, use_cache=False).last_hidden_state

    def unembed(self, final: Tensor) -> Tensor:
        """Logits of what `finish` returned, or of some of its positions."""
        # of a slice, a product in bfloat16 takes a hundred times as long on a CPU
        return self.model.lm_head(final.contiguous())

    @property
    def W_U(self) -> Tensor:
        """The unembedding matrix, `[vocab, d_model]`."""
        return self.model.lm_head.weight

    def fingerprint(self) -> str:
        """A hash that tells these weights from others, whatever dtype they were loaded in.

        It samples every tensor rather than reading all of it: a fine-tune is told from its base, a
        single altered weight may not be.
        """
        digest = hashlib.sha256()
        for name, tensor in sorted(self.model.state_dict().items()):
            flat = tensor.detach().flatten()
            step = max(1, flat.numel() // FINGERPRINT_SAMPLES)
            sample = flat[::step][:FINGERPRINT_SAMPLES].to("cpu", torch.bfloat16)
            digest.update(f"{name}{list(tensor.shape)}".encode())
            digest.update(sample.contiguous().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


def fast_dtype(device: str) -> torch.dtype:
    """bfloat16 where the processor multiplies in it, else float32. For throughput, not for serving."""
    if device != "cpu" or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        return torch.bfloat16
    return torch.float32


def load_model(
    path: str | Path, *, dtype: torch.dtype, device: str = "cpu", attention: str = "sdpa"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model and its tokenizer from a local folder or a Hugging Face id, which runs none of their code.

    Raises:
        OSError: It is not there, or has its weights in another format than safetensors.
    """
    model = AutoModelForCausalLM.from_pretrained(
        path,
        dtype=dtype,
        device_map=device,
        attn_implementation=attention,
        use_safetensors=True,
        trust_remote_code=False,
    )
    return model, AutoTokenizer.from_pretrained(path, trust_remote_code=False)


def _tap(block: nn.Module, args: Any, kwargs: dict[str, Any], output: Tensor) -> Tensor:
    edit = kwargs.get("edit")
    return output if edit is None else edit(output)


def _with_blocks(base: nn.Module, blocks: Any, norm: nn.Module) -> Any:
    """The same model with other blocks; every parameter is shared."""
    part = copy.copy(base)
    part._modules = dict(base._modules, layers=blocks, norm=norm)
    return part
