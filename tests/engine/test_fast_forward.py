"""The lean forward pass against transformers' own."""

import errno
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.engine.conftest import MakeEngine
from tests.engine.test_reference import STEERED
from tests.engine.tools import ask_all, reference, request
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

import steersman_engine
from steersman_engine import fast_kernels, fast_pass
from steersman_engine.fast_attention import worth_joining
from steersman_engine.fast_forward import FastForward, FastWeights
from steersman_engine.fast_linear import can_pack, fits_half, fuse
from steersman_engine.forward import Batch, Span
from steersman_engine.host import HostModel
from steersman_engine.sae import SAE

SHAPE = {
    "vocab_size": 90,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
LLAMA_3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
CONFIGS: dict[str, Any] = {
    "llama": lambda: LlamaConfig(**SHAPE),
    "llama 3's rotary embedding, tied embeddings": lambda: LlamaConfig(
        **SHAPE, rope_parameters=LLAMA_3, tie_word_embeddings=True
    ),
    "a head for every key, biases": lambda: LlamaConfig(
        **{**SHAPE, "num_key_value_heads": 4}, attention_bias=True, mlp_bias=True
    ),
    "mistral": lambda: MistralConfig(**SHAPE, sliding_window=None),
    "qwen 2, biases": lambda: Qwen2Config(**SHAPE),
    "qwen 3, norms of queries and keys": lambda: Qwen3Config(**SHAPE),
}


def host_of(name: str, *, bfloat16_weights: bool) -> HostModel:
    """A random float32 model; tapped after the block before its last."""
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(CONFIGS[name]())
    for parameter in model.parameters():
        parameter.data.normal_(std=0.3)
        if bfloat16_weights:
            parameter.data = parameter.data.bfloat16().float()
    return HostModel(model, 1, name=name)


def logits_of(
    forward: FastForward, ranges: list[tuple[int, int, int]], texts: list[torch.Tensor]
) -> torch.Tensor:
    """The logits of the last token of each range `(slot, start, stop)` of the text in that slot."""
    batch = Batch.of(ranges, torch.device("cpu"))
    ids = torch.cat([texts[slot][start:stop] for slot, start, stop in ranges])
    keep = torch.tensor([span.tokens.stop - 1 for span in batch.spans])
    return forward.upper(forward.lower(ids, batch), batch, keep)


@torch.no_grad()
@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("bfloat16_weights", [True, False])
@pytest.mark.parametrize("name", CONFIGS)
def test_chunked_and_batched_logits_are_those_of_transformers(
    name: str, bfloat16_weights: bool, compiled: bool
) -> None:
    host = host_of(name, bfloat16_weights=bfloat16_weights)
    texts = [torch.randint(3, 90, (40,)) for _ in range(4)]
    expected = [host.model(text[None]).logits[0] for text in texts]
    forward = FastForward(host, 4, 64, weights=FastWeights.of(host, compiled=compiled))
    steps = [
        [(0, 0, 9)],  # a prompt's beginning
        [(0, 9, 20), (2, 0, 1)],  # its next chunk, beside a prompt of one token
        [(0, 20, 21), (2, 1, 2), (3, 0, 30)],
        [(3, 30, 31), (0, 21, 22), (2, 2, 3)],  # writing together, in another order
        [(0, 22, 23), (2, 3, 4), (3, 31, 32), (1, 0, 12)],
    ]
    for ranges in steps:
        found = logits_of(forward, ranges, texts)
        wanted = torch.stack([expected[slot][stop - 1] for slot, _, stop in ranges])
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=2e-4)


def test_an_engine_on_it_gives_each_of_a_batch_its_own_answer(
    make_engine: MakeEngine, tiny_host: HostModel, tiny_sae: SAE
) -> None:
    engine = make_engine(forward=FastForward)
    asked = [one for steered in STEERED.values() for one in (steered, request(prompt=steered.prompt))]
    found = ask_all(engine, asked)
    assert [one.tokens for one in found] == [reference(tiny_host, tiny_sae, one) for one in asked]


@torch.no_grad()
@pytest.mark.parametrize("compiled", [True, False])
def test_what_a_slot_held_before_touches_nobody(compiled: bool) -> None:
    """A slot full of numbers that are not finite, beside and beneath others."""
    host = host_of("llama", bfloat16_weights=True)
    texts = [torch.randint(3, 90, (40,)) for _ in range(3)]
    forward = FastForward(host, 3, 64, weights=FastWeights.of(host, compiled=compiled))
    embed = forward._embed
    forward._embed = lambda ids: embed(ids) * float("nan")
    logits_of(forward, [(1, 0, 30)], texts)
    forward._embed = embed
    logits_of(forward, [(0, 0, 20), (1, 0, 3), (2, 0, 9)], texts)
    found = logits_of(forward, [(0, 20, 21), (1, 3, 4), (2, 9, 10)], texts)
    wanted = torch.stack(
        [host.model(texts[slot][None]).logits[0, at] for slot, at in ((0, 20), (1, 3), (2, 9))]
    )
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=2e-4)


def test_bfloat16_and_float16_weights_fit_half_and_others_do_not() -> None:
    weight = torch.randn(64, 64)
    assert fits_half(weight.bfloat16().float()) and fits_half(weight.half().float())
    assert not fits_half(weight)
    assert not fits_half(torch.full((2, 2), 1e6))
    assert not fits_half(torch.full((2, 2), float("nan")))


@pytest.mark.skipif(not can_pack(), reason="this PyTorch has no FBGEMM")
def test_a_packed_layer_computes_in_float32() -> None:
    """Inputs that float16 could not hold come out as float32 makes them."""
    layers = [torch.nn.Linear(64, 32), torch.nn.Linear(64, 16)]
    for layer in layers:
        layer.weight.data = layer.weight.data.bfloat16().float()
    x = torch.randn(5, 64) * 1e6
    wanted = torch.cat([layer(x) for layer in layers], dim=-1)
    torch.testing.assert_close(fuse(layers)(x), wanted, rtol=1e-5, atol=1.0)


def test_fused_weights_that_cannot_be_packed_are_not_stored_twice() -> None:
    layers = [torch.nn.Linear(8, 4), torch.nn.Linear(8, 2)]
    x = torch.randn(3, 8)
    wanted = torch.cat([layer(x) for layer in layers], dim=-1)
    torch.testing.assert_close(fuse(layers)(x), wanted)
    assert layers[0].weight.untyped_storage().data_ptr() == layers[1].weight.untyped_storage().data_ptr()


def test_a_long_sequence_does_not_make_short_ones_read_its_length() -> None:
    short = [Span(slot, 50, 51, slot) for slot in range(7)]
    assert worth_joining(short, set())
    assert not worth_joining([*short, Span(7, 4000, 4001, 7)], set())
    assert not worth_joining(short, {3})


def break_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "steersman_engine.fast_kernels", None)
    monkeypatch.delattr(steersman_engine, "fast_kernels", raising=False)


def break_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fast_kernels, "compile_all", full)


@torch.no_grad()
@pytest.mark.parametrize("fault", [break_import, break_disk])
def test_without_numba_it_says_so_and_computes_the_same(
    fault: Callable[[pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    host, text = host_of("llama", bfloat16_weights=True), torch.randint(3, 90, (20,))
    fault(monkeypatch)
    fast_pass.load_kernels.cache_clear()
    try:
        forward = FastForward(host, 1, 64)
    finally:
        fast_pass.load_kernels.cache_clear()
    assert "Numba compiles nothing here" in caplog.text
    found = logits_of(forward, [(0, 0, 20)], [text])
    torch.testing.assert_close(found, host.model(text[None]).logits[0, -1:], rtol=1e-4, atol=2e-4)


@torch.no_grad()
@pytest.mark.parametrize("compiled", [True, False])
def test_a_token_without_room_is_refused(compiled: bool) -> None:
    host = host_of("llama", bfloat16_weights=True)
    forward = FastForward(host, 2, 16, weights=FastWeights.of(host, compiled=compiled))
    texts = [torch.randint(3, 90, (20,)) for _ in range(3)]
    for ranges in ([(0, 16, 17)], [(2, 0, 1)]):
        with pytest.raises(IndexError):
            logits_of(forward, ranges, texts)


def test_a_model_built_otherwise_is_refused_by_name() -> None:
    host = host_of("llama", bfloat16_weights=True)
    host.model.config.model_type = "gemma"
    with pytest.raises(ValueError, match="is a gemma model"):
        FastForward(host, 2, 16)
