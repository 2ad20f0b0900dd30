"""Two processes learn as one does: on the CPU, by gloo, as `accelerate launch` would start them."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import torch
from tests.ports import free_port

from steersman_engine.sae import SAE
from steersman_training import train as module
from steersman_training.run_files import read_metrics
from steersman_training.train import train_many
from steersman_training.train_config import (
    BatchTopK,
    Gated,
    JumpReLU,
    Matryoshka,
    StandardL1,
    TopK,
    TrainConfig,
)

RUNS = [StandardL1(l1=0.5), TopK(k=4), BatchTopK(k=4), Matryoshka(k=4), JumpReLU(sparsity=0.2), Gated(l1=0.5)]
CONFIGS = {
    each.name: TrainConfig(
        architecture=each,
        d_sae=64,
        num_samples=100 * 40,
        batch_size=100,
        lr=1e-3,
        dead_after=500,
        dtype="float32",
    )
    for each in RUNS
}
WORKER = """
import sys, torch, msgspec
from pathlib import Path
from steersman_training import train as module
from steersman_training.train_config import TrainConfig
from steersman_training.world import open_world
torch.set_num_threads(1)
module.LOG_EVERY = 10
configs = msgspec.json.decode(sys.argv[3], type=dict[str, TrainConfig])
world = open_world("cpu")
assert world.size == 2
module.train_many(Path(sys.argv[1]), {Path(sys.argv[2]) / n: c for n, c in configs.items()}, world=world)
torch.distributed.destroy_process_group()
"""


@pytest.fixture
def together(random_harvest: Path, tmp_path: Path) -> Path:
    """What two processes made of every architecture, in one pass."""
    arguments = [str(random_harvest), str(tmp_path / "two"), msgspec.json.encode(CONFIGS).decode()]
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    common |= {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, *arguments],
            env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors
    return tmp_path / "two"


def test_two_processes_learn_what_one_does(
    together: Path, random_harvest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOG_EVERY", 10)
    train_many(random_harvest, {tmp_path / "one" / name: config for name, config in CONFIGS.items()})
    for name in CONFIGS:
        one, two = tmp_path / "one" / name, together / name
        for ours, theirs in zip(read_metrics(two), read_metrics(one), strict=True):
            assert ours.loss == pytest.approx(theirs.loss, rel=1e-3), name
            assert ours.l0 == pytest.approx(theirs.l0, rel=1e-2, abs=0.05), name
            assert ours.dead == theirs.dead, name
        found, expected = SAE.load(two / "sae.safetensors"), SAE.load(one / "sae.safetensors")
        cosine = torch.cosine_similarity(found.W_dec, expected.W_dec, dim=-1)
        assert cosine.min() > 0.999, name


def test_a_batch_that_cannot_be_shared_equally_is_refused(random_harvest: Path, tmp_path: Path) -> None:
    from steersman_training.world import World

    with pytest.raises(ValueError, match="batch_size is 100: 3 processes cannot share it equally"):
        module.train(random_harvest, CONFIGS["topk"], tmp_path / "run", world=World(0, 3))
