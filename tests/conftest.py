"""Tiny random models: every test here runs without a download."""

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from steersman_engine.host import HostModel
from steersman_engine.sae import SAE

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LAYER = 1

torch.set_num_threads(1)  # tiny models run slower on more


@pytest.fixture(scope="session")
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, with ChatML's special tokens and template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: index for index, token in enumerate(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])}
    vocab |= {token: len(vocab) + index for index, token in enumerate(alphabet)}
    fast = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    fast.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    return PreTrainedTokenizerFast(
        tokenizer_object=fast,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        unk_token="<|endoftext|>",
        pad_token="<|im_end|>",
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


@pytest.fixture
def tiny_model(tiny_tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A random float64 Llama of four blocks, the same each time."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tiny_tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.3,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    return LlamaForCausalLM(config).double().eval()


@pytest.fixture
def tiny_host(tiny_model: LlamaForCausalLM) -> HostModel:
    """The tiny model, tapped after block 1."""
    return HostModel(tiny_model, LAYER, name="tiny")


@pytest.fixture
def tiny_sae() -> SAE:
    """A random SAE of 40 features for the tiny model; about half fire on a token."""
    generator = torch.Generator().manual_seed(1)
    W_dec = torch.randn(40, 32, generator=generator)
    return SAE.canonical(
        W_enc=torch.randn(32, 40, generator=generator),
        b_enc=torch.randn(40, generator=generator) * 0.1,
        W_dec=W_dec,
        b_dec=torch.randn(32, generator=generator) * 0.1,
        threshold=torch.rand(40, generator=generator) * 0.5,
    )
