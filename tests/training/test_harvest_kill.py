"""A harvest in processes of its own: killed at random moments, and shared by two."""

import os
import random
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from accelerate import PartialState
from tests.ports import free_port
from transformers import PreTrainedTokenizerFast

from steersman_engine.host import HostModel
from steersman_training.chats import Chat
from steersman_training.harvest import HarvestConfig, harvest
from steersman_training.harvest_command import accelerate_workers
from steersman_training.manifest import MANIFEST, Manifest

KILLS = 4

pytestmark = pytest.mark.skipif("STEERSMAN_SLOW" not in os.environ, reason="slow: set STEERSMAN_SLOW=1")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def forked(work: Callable[[], object]) -> int:
    """The id of a process that does `work`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forking with threads: they belong to what ran before
        child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            work()
        except BaseException:
            traceback.print_exc(file=sys.stdout)
            sys.stdout.flush()
            os._exit(1)
        os._exit(0)
    return child


def test_a_harvest_killed_at_random_moments_ends_with_the_same_bytes(
    tiny_host: HostModel, tiny_tokenizer: PreTrainedTokenizerFast, chats: list[Chat], tmp_path: Path
) -> None:
    config = HarvestConfig(source="made up", tokens=6000, max_length=64, batch_tokens=128, shard_tokens=300)
    begin = time.monotonic()
    harvest(tiny_host, tiny_tokenizer, chats, config, tmp_path / "whole")
    takes = time.monotonic() - begin
    moments, in_the_middle = random.Random(0), 0
    for _ in range(KILLS):
        child = forked(lambda: harvest(tiny_host, tiny_tokenizer, chats, config, tmp_path / "killed"))
        time.sleep(moments.uniform(0.1, 0.7) * takes)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if (tmp_path / "killed" / MANIFEST).exists():
            found = Manifest.load(tmp_path / "killed")
            in_the_middle += 0 < len(found.shards) < found.num_shards
    harvest(tiny_host, tiny_tokenizer, chats, config, tmp_path / "killed")
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert in_the_middle, "No kill came in the middle."


def test_two_processes_make_the_shards_that_one_makes(
    tiny_host: HostModel,
    tiny_tokenizer: PreTrainedTokenizerFast,
    chats: list[Chat],
    tmp_path: Path,
) -> None:
    config = HarvestConfig(source="made up", tokens=4000, max_length=64, shard_tokens=600)
    port = str(free_port())

    def share(rank: int) -> None:
        PartialState._reset_state()
        ranks = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
        os.environ.update(ranks, MASTER_ADDR="127.0.0.1", MASTER_PORT=port, ACCELERATE_USE_CPU="true")
        workers = accelerate_workers("cpu")
        assert (workers.index, workers.count) == (rank, 2)
        harvest(tiny_host, tiny_tokenizer, chats, config, tmp_path / "shared", workers=workers)

    children = [forked(partial(share, rank)) for rank in range(2)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    harvest(tiny_host, tiny_tokenizer, chats, config, tmp_path / "alone")
    assert contents(tmp_path / "shared") == contents(tmp_path / "alone")
