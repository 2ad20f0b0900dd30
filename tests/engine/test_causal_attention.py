from pathlib import Path

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from steersman_engine.causal_attention import ATTENTION, BLOCK, causal_attention
from steersman_engine.host import HostModel, load_model


@pytest.mark.parametrize("pos", [2, BLOCK - 1, BLOCK, 2 * BLOCK + 5])
def test_it_is_torchs_attention_of_every_position_on_those_before_it(pos: int) -> None:
    torch.manual_seed(0)
    query = torch.randn(2, 6, pos, 8, dtype=torch.float64)
    key, value = torch.randn(2, 2, 2, pos, 8, dtype=torch.float64)
    expected = scaled_dot_product_attention(query, key, value, is_causal=True, scale=0.3, enable_gqa=True)
    torch.testing.assert_close(causal_attention(query, key, value, 0.3), expected)


def test_the_last_queries_see_what_stands_before_them() -> None:
    torch.manual_seed(0)
    query = torch.randn(2, 6, BLOCK + 20, 8, dtype=torch.float64)
    key, value = torch.randn(2, 2, 2, BLOCK + 20, 8, dtype=torch.float64)
    whole = causal_attention(query, key, value, 0.3)
    torch.testing.assert_close(causal_attention(query[:, :, 7:], key, value, 0.3), whole[:, :, 7:])


@pytest.fixture
def folder(tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Path:
    tiny_model.save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    return tmp_path


@pytest.fixture
def hosts(folder: Path) -> tuple[HostModel, HostModel]:
    """The same model with this attention, and with torch's."""
    made = [load_model(folder, dtype=torch.float64, attention=name)[0] for name in (ATTENTION, "sdpa")]
    return HostModel(made[0], 1, name="blocks"), HostModel(made[1], 1, name="sdpa")


def test_a_model_loaded_with_it_computes_the_same_residuals(hosts: tuple[HostModel, HostModel]) -> None:
    ids = torch.randint(0, 200, (3, BLOCK + 9))
    torch.testing.assert_close(hosts[0].residual(ids), hosts[1].residual(ids))


def test_masks_and_caches_are_left_to_torch(hosts: tuple[HostModel, HostModel]) -> None:
    ids = torch.randint(0, 200, (2, 9))
    mask = torch.ones(2, 9, dtype=torch.long)
    mask[1, :4] = 0
    masked = [host.residual(ids, attention_mask=mask)[1, 4:] for host in hosts]
    torch.testing.assert_close(*masked)
    caches = [host.new_cache() for host in hosts]
    for part in (ids[:, :5], ids[:, 5:]):
        logits = [host.logits(part, cache=cache) for host, cache in zip(hosts, caches, strict=True)]
        torch.testing.assert_close(*logits)
