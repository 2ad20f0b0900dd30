"""The random Llama that stands for a real model."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM


def random_llama(vocab_size: int, *, num_layers: int, num_positions: int) -> LlamaForCausalLM:
    """A Llama of width 32 for the tiny tokenizer, float32, the same each time."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=num_layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=num_positions,
        initializer_range=0.3,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    return LlamaForCausalLM(config).eval()
