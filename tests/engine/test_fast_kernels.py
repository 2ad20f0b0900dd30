"""The compiled kernels against float64."""

from typing import Any

import numba
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from steersman_engine import fast_kernels as kernels

EDGES = [0.0, -0.0, 87.0, -87.0, 120.0, -120.0, 1e6, -1e6]


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """The formula as the paper's authors and transformers write it."""
    first, second = x.chunk(2, dim=-1)
    return x * cos[:, None] + torch.cat((-second, first), dim=-1) * sin[:, None]


def test_exp_is_within_two_units_in_the_last_place() -> None:
    @numba.vectorize
    def exp(x: Any) -> Any:
        return kernels._exp(x)

    x = np.linspace(-87, 87, 100_001, dtype=np.float32)
    found = exp(x)
    assert np.max(np.abs(found - np.exp(x.astype(np.float64))) / np.spacing(found)) <= 2
    assert np.isnan(exp(np.float32("nan")))


@pytest.mark.parametrize("width", [1, 7, 48, 576])
def test_rms_norm(width: int) -> None:
    x, more, weight = torch.randn(5, width), torch.randn(5, width), torch.randn(width)
    out, total = torch.empty(5, width), more.clone()
    kernels.rms_norm(x, weight, 1e-5, out)
    wanted = F.rms_norm(x.double(), (width,), weight.double(), 1e-5)
    torch.testing.assert_close(out.double(), wanted, rtol=1e-5, atol=1e-6)
    kernels.add_rms_norm(x, total, weight, 1e-5, out)
    assert torch.equal(total, x + more)
    wanted = F.rms_norm((x + more).double(), (width,), weight.double(), 1e-5)
    torch.testing.assert_close(out.double(), wanted, rtol=1e-5, atol=1e-6)


def test_silu_gated() -> None:
    x = torch.cat((torch.randn(4, 80) * 20, torch.randn(4, 80)), dim=-1)
    x[0, : len(EDGES)] = torch.tensor(EDGES)
    out = torch.empty(4, 80)
    kernels.silu_gated(x, out)
    gate, up = x.double().chunk(2, dim=-1)
    torch.testing.assert_close(out.double(), F.silu(gate) * up, rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize(("heads", "kv_heads", "head_dim"), [(4, 2, 16), (3, 3, 64), (9, 3, 64), (2, 1, 6)])
def test_attention(heads: int, kv_heads: int, head_dim: int) -> None:
    slots, positions = torch.tensor([3, 0, 1]), torch.tensor([0, 30, 5])
    x = torch.randn(3, heads + 2 * kv_heads, head_dim)
    angle = torch.randn(3, head_dim // 2).repeat(1, 2)
    cos, sin = angle.cos(), angle.sin()
    keys, values = torch.randn(2, 4, kv_heads, 32, head_dim)
    wanted_keys, wanted_values = keys.clone(), values.clone()
    query, key, value = x.split([heads, kv_heads, kv_heads], dim=1)
    query = rotated(query, cos, sin)
    wanted_keys[slots, :, positions], wanted_values[slots, :, positions] = rotated(key, cos, sin), value
    out = torch.full((3, heads * head_dim), float("nan"))
    kernels.Attention(heads, 0.3, cos, sin, slots, positions)(x, keys, values, out)
    torch.testing.assert_close(keys, wanted_keys)
    assert torch.equal(values, wanted_values)
    for token, (slot, position) in enumerate(zip(slots, positions, strict=True)):
        seen = [part[slot, :, : position + 1].double() for part in (wanted_keys, wanted_values)]
        seen = [part.repeat_interleave(heads // kv_heads, dim=0) for part in seen]
        scores = torch.einsum("hd,hpd->hp", query[token].double(), seen[0]) * 0.3
        wanted = torch.einsum("hp,hpd->hd", scores.softmax(-1), seen[1]).flatten()
        torch.testing.assert_close(out[token].double(), wanted, rtol=1e-5, atol=1e-5)


def test_what_is_not_finite_stays_so() -> None:
    """So the engine sees it in the logits, and ends that request alone."""
    bad, out = torch.zeros(1, 8), torch.zeros(1, 8)
    bad[0, 3] = float("nan")
    kernels.rms_norm(bad, torch.ones(8), 1e-5, out)
    assert out.isnan().all()
    out = torch.zeros(1, 4)
    kernels.silu_gated(bad, out)
    assert out[0, 3].isnan()
    cos, sin, at = torch.ones(1, 8), torch.zeros(1, 8), torch.tensor([0])
    for which in range(3):  # a query, a key, a value
        x, found = torch.ones(1, 3, 8), torch.zeros(1, 8)
        x[0, which, 3] = float("nan")
        keys, values = torch.zeros(2, 1, 1, 2, 8)
        kernels.Attention(1, 1.0, cos, sin, at, at)(x, keys, values, found)
        assert found.isnan().any(), which


def test_a_token_is_computed_alike_whoever_is_beside_it() -> None:
    x, weight = torch.randn(6, 48), torch.randn(48)
    together, alone = torch.empty(6, 48), torch.empty(1, 48)
    kernels.rms_norm(x, weight, 1e-5, together)
    for row in range(6):
        kernels.rms_norm(x[row : row + 1].contiguous(), weight, 1e-5, alone)
        assert torch.equal(alone[0], together[row])
