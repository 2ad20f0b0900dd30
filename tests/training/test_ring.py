import threading
from itertools import chain
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from steersman_engine.host import HostModel
from steersman_training import ring as module
from steersman_training.chats import Chat
from steersman_training.harvest import HarvestConfig, harvest
from steersman_training.manifest import MANIFEST, Manifest
from steersman_training.ring import window
from steersman_training.shards import TokenFilter, batches

CONFIG = HarvestConfig(source="made up", tokens=8000, max_length=64, shard_tokens=500, ring=4)
BATCH = 100


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.005)
    monkeypatch.setattr(module, "PATIENCE_S", 60.0)


class Harvester:
    """A harvest that runs beside the test."""

    def __init__(self, host: HostModel, tokenizer, chats: list[Chat], folder: Path) -> None:
        self.work = lambda: harvest(host, tokenizer, chats, CONFIG, folder)
        self.folder = folder

    def __enter__(self) -> Manifest:
        self.thread = threading.Thread(target=self.work)
        self.thread.start()
        while not (self.folder / MANIFEST).exists():
            self.thread.join(0.01)
        return Manifest.load(self.folder)

    def __exit__(self, *_) -> None:
        self.thread.join(60)
        assert not self.thread.is_alive()


@pytest.fixture
def beside(
    tiny_host: HostModel, tiny_tokenizer: PreTrainedTokenizerFast, chats: list[Chat], tmp_path: Path
) -> Harvester:
    return Harvester(tiny_host, tiny_tokenizer, chats, tmp_path / "ring")


def read_all(folder: Path, manifest: Manifest, *, skip: int = 0) -> list[Tensor]:
    return list(batches(folder, manifest, batch_size=BATCH, seed=0, skip=skip))


def test_every_part_of_every_shard_is_in_one_step() -> None:
    for num_shards, width in ((1, 1), (2, 4), (5, 3), (9, 4)):
        steps = [window(step, num_shards, width) for step in range(num_shards + width - 1)]
        read = list(chain.from_iterable(steps))
        assert sorted(read) == [(shard, part) for shard in range(num_shards) for part in range(width)]


def test_a_ring_never_holds_more_than_it_may(beside: Harvester) -> None:
    with beside as manifest:
        most = 0
        for _ in batches(beside.folder, manifest, batch_size=BATCH, seed=0):
            most = max(most, len(list(beside.folder.glob("shard-*.safetensors"))))
    assert 0 < most <= CONFIG.ring
    assert len(Manifest.load(beside.folder).shards) > 2 * CONFIG.ring


def test_a_ring_gives_each_token_of_a_plain_harvest_at_most_once(
    beside: Harvester, tiny_host: HostModel, tiny_tokenizer, chats: list[Chat], tmp_path: Path
) -> None:
    with beside as manifest:
        given = torch.cat(read_all(beside.folder, manifest))
    whole = harvest(
        tiny_host,
        tiny_tokenizer,
        chats,
        HarvestConfig(source="made up", tokens=8000, max_length=64, shard_tokens=500),
        tmp_path / "plain",
    )
    stored = torch.cat([load_file(tmp_path / "plain" / shard.file)["resid"] for shard in whole.shards])
    there, counts = torch.unique(stored.float(), dim=0, return_counts=True)
    found, given_counts = torch.unique(given.float(), dim=0, return_counts=True)
    both = torch.cat([there, found]).unique(dim=0)
    assert len(both) == len(there)  # nothing else
    assert len(given) > 0.7 * len(stored)  # all but what fills no batch at the end of a pool
    assert given_counts.sum() <= counts.sum()


def test_a_trainer_that_goes_back_gets_the_same_batches_again(beside: Harvester) -> None:
    with beside as manifest:
        first = read_all(beside.folder, manifest)
    (beside.folder / module.CURSOR).write_bytes(b'{"need": 2}')  # what reading from batch 8 on asks for
    with beside as manifest:
        again = read_all(beside.folder, manifest, skip=8)
    assert torch.equal(torch.cat(first[8:]), torch.cat(again))


def test_a_ring_takes_no_filter(beside: Harvester) -> None:
    with beside as manifest:
        with pytest.raises(ValueError, match="is a ring"):
            next(batches(beside.folder, manifest, batch_size=9, seed=0, keep=TokenFilter(roles=("user",))))
        read_all(beside.folder, manifest)
