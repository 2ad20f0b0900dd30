"""A GGUF file of the SmolLM2 family as a Hugging Face folder: config, weights and tokenizer.

transformers can read a GGUF file's weights, but not its `tokenizer.ggml.pre`, on which the split into
words depends (SmolLM's splits numbers into digits), and its ways with packed weights change between
releases. The `gguf` package gives all that is needed.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFReader, dequantize
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

CONTROL_TOKEN = 3  # gguf.TokenType.CONTROL
TENSOR_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def write_folder(gguf: Path, folder: Path, progress: Callable[[int, int], None]) -> None:
    """Convert `gguf` into `folder`, weights as bfloat16; `progress` hears of tensors done and in all.

    Raises:
        ValueError: The file's model or tokenizer is of another family.
    """
    reader = GGUFReader(gguf)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    if fields["general.architecture"] != "llama":
        raise ValueError(f"{gguf.name} holds a {fields['general.architecture']} model, not a llama.")
    config = _config(fields)
    state = {}
    for done, tensor in enumerate(reader.tensors):
        progress(done, len(reader.tensors))
        weight = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).astype(np.float32))
        weight = weight.reshape(tuple(int(size) for size in reversed(tensor.shape)))
        kind = tensor.name.split(".")[-2]
        if kind in ("attn_q", "attn_k"):
            heads = config.num_attention_heads if kind == "attn_q" else config.num_key_value_heads
            weight = _rotary_halves(weight, int(heads or config.num_attention_heads))
        state[_name(tensor.name)] = weight.to(torch.bfloat16)
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    missing, unexpected = model.load_state_dict(state, strict=False, assign=True)
    if set(missing) - {"lm_head.weight"} or unexpected:
        raise ValueError(f"{gguf.name} lacks {missing} or has {unexpected} beyond a llama model.")
    model.tie_weights()
    model.save_pretrained(folder)
    tokenizer(fields).save_pretrained(folder)


def tokenizer(fields: dict[str, Any]) -> PreTrainedTokenizerFast:
    """The fast tokenizer that a GGUF file's metadata describes, chat template included.

    Raises:
        ValueError: It is of another family.
    """
    ggml = {name.removeprefix("tokenizer.ggml."): value for name, value in fields.items()}
    if (ggml["model"], ggml["pre"]) != ("gpt2", "smollm"):
        raise ValueError(f"A tokenizer {ggml['model']}/{ggml['pre']} is not gpt2/smollm.")
    tokens: list[str] = ggml["tokens"]
    merges = [tuple(merge.split(" ")) for merge in ggml["merges"]]
    fast = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    fast.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    fast.decoder = decoders.ByteLevel()
    special = [t for t, kind in zip(tokens, ggml["token_type"], strict=True) if kind == CONTROL_TOKEN]
    fast.add_special_tokens([AddedToken(token, special=True) for token in special])
    return PreTrainedTokenizerFast(
        tokenizer_object=fast,
        bos_token=tokens[ggml["bos_token_id"]],
        eos_token=tokens[ggml["eos_token_id"]],
        unk_token=tokens[ggml["unknown_token_id"]],
        pad_token=tokens[ggml["padding_token_id"]],
        chat_template=fields["tokenizer.chat_template"],
        model_max_length=fields["llama.context_length"],
        clean_up_tokenization_spaces=False,
    )


def _config(fields: dict[str, Any]) -> LlamaConfig:
    llama = {name.removeprefix("llama."): value for name, value in fields.items()}
    return LlamaConfig(
        vocab_size=llama["vocab_size"],
        hidden_size=llama["embedding_length"],
        intermediate_size=llama["feed_forward_length"],
        num_hidden_layers=llama["block_count"],
        num_attention_heads=llama["attention.head_count"],
        num_key_value_heads=llama["attention.head_count_kv"],
        max_position_embeddings=llama["context_length"],
        rms_norm_eps=round(llama["attention.layer_norm_rms_epsilon"], 12),
        rope_parameters={"rope_type": "default", "rope_theta": llama["rope.freq_base"]},
        bos_token_id=fields["tokenizer.ggml.bos_token_id"],
        eos_token_id=fields["tokenizer.ggml.eos_token_id"],
        pad_token_id=fields["tokenizer.ggml.padding_token_id"],
        tie_word_embeddings=True,
        dtype="bfloat16",
    )


def _name(gguf_name: str) -> str:
    *block, kind, suffix = gguf_name.split(".")
    prefix = f"model.layers.{block[1]}." if block else ""
    return f"{prefix}{TENSOR_NAMES[kind]}.{suffix}"


def _rotary_halves(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """GGUF interleaves the two halves that transformers rotates; put them one after the other."""
    half = weight.shape[0] // heads // 2
    return weight.reshape(heads, half, 2, -1).swapaxes(1, 2).reshape(weight.shape)
