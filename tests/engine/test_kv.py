"""The memory of the blocks."""

from pathlib import Path

import pytest
import torch

from steersman_engine.kv import KVCache

MIB = 2**20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="The system does not say what is resident.")
def test_memory_is_taken_as_sequences_grow() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    before = resident()
    cache = KVCache(
        num_layers=4, tap=1, num_slots=16, positions=8192, kv_heads=2, head_dim=64, d_model=64,
        dtype=torch.float32, device=torch.device("cpu"),
    )  # fmt: skip
    for slot in range(16):
        for layer in range(4):
            cache.write(layer, torch.tensor([slot]), torch.tensor([0]), torch.ones(1, 4, 64))
    assert resident() - before < 40 * MIB  # of the 1,000 that there is room for
