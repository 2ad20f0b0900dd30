"""Harvest: run chats through the model up to a layer, shuffle what it computes, write it to disk.

One conversation a row, the chat template applied once, long conversations cut (never joined), attention
sinks left out. The order of the documents is fixed by the seed, and every shard is made of the next so
many of them: a shard is a pure function of its number. So a harvest that was stopped, or lost a shard,
makes what is missing and ends with the same bytes, and any number of processes may share the work.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from steersman_engine.host import HostModel
from steersman_engine.sinks import is_sink
from steersman_training.chats import Chat
from steersman_training.documents import Document, documents, padded
from steersman_training.harvest_job import HarvestConfig, Job, merge_parts, part_name, prepare
from steersman_training.manifest import MANIFEST, Manifest, Shard, shard_name, write_shard
from steersman_training.plan import Plan
from steersman_training.residuals import residuals, residuals_at
from steersman_training.ring import POLL_S, needed
from steersman_training.token_progress import TokenProgress

__all__ = ["Document", "HarvestConfig", "Workers", "documents", "harvest", "padded", "plan", "residuals"]

GROUP_DOCUMENTS = 64


@dataclass(frozen=True, slots=True)
class Workers:
    """The processes that share a harvest, and which of them this is."""

    index: int = 0
    count: int = 1
    wait: Callable[[], None] = lambda: None
    """Returns when all have come to it."""


def plan(host: HostModel, tokenizer, chats: Sequence[Chat], config: HarvestConfig, out: Path) -> Plan:
    """What `harvest` would do; nothing is written.

    Raises:
        ValueError: `out` holds another harvest, or the source has no chats.
    """
    return prepare(host, tokenizer, chats, config, out)[1]


def harvest(
    host: HostModel,
    tokenizer,
    chats: Sequence[Chat],
    config: HarvestConfig,
    out: Path,
    *,
    workers: Workers | None = None,
) -> Manifest:
    """Write about `config.tokens` tokens of the training split to `out`, or go on doing so.

    With several layers, `out` gets a folder for each, and the same rows in all are the same tokens.

    Raises:
        ValueError: `out` holds another harvest, or the disk is too small, or the source has no chats.
        OSError: The disk is full; the same call goes on once there is room.
    """
    workers = workers or Workers()
    if config.ring and workers.count > 1:
        raise ValueError("A ring is filled by one process: leave out --ring, or the launcher.")
    first, total = workers.index == 0, 0
    if first:
        begun, planned = prepare(host, tokenizer, chats, config, out, num_workers=workers.count)
        print(planned)
        planned.check()
        begun.save()
        total = planned.tokens // workers.count
    workers.wait()
    job = Job.load(host, tokenizer, chats, config, out)
    todo = _ring(job) if config.ring else chain(job.missing()[workers.index :: workers.count], [None])
    name = MANIFEST if workers.count == 1 else part_name(workers.index)
    with TokenProgress(total, shown=first) as progress:
        fill(job, todo, progress, manifest=name)
    workers.wait()
    if first:
        merge_parts(job.folders)
    workers.wait()
    return Manifest.load(job.folders[0])


def fill(job: Job, todo: Iterable[int | None], progress: TokenProgress, *, manifest: str = MANIFEST) -> None:
    """Make shards, reading the next one's chats and writing the last one meanwhile.

    `todo`: their numbers; None where there is nothing to begin. `manifest`: the file that notes them.
    """
    keeper = _Keeper(job, manifest)
    current: tuple[int, Future[list[Document]]] | None = None
    writing: Future[None] | None = None
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        for index in todo:
            following = None if index is None else (index, reader.submit(job.read, index))
            if current is not None:
                made = shard_rows(job, current[0], current[1].result(), progress.advance)
                if writing is not None:
                    writing.result()
                writing = writer.submit(keeper.keep, current[0], made)
            elif following is None:
                time.sleep(POLL_S)
            current = following
        if writing is not None:
            writing.result()


def _ring(job: Job) -> Iterator[int | None]:
    """The shard that the trainer needs first and that is not there; None while there is none."""
    (folder,), (manifest,) = job.folders, job.manifests
    under_way: set[int] = set()
    while True:
        need = needed(folder)
        for path in folder.glob("shard-*.safetensors"):
            if Shard(path.name, 0, "").index < need:
                path.unlink()
        there = {s.index for s in Manifest.load(folder).shards if (folder / s.file).exists()}
        under_way = {index for index in under_way - there if index >= need}
        wanted = range(need, min(need + manifest.ring, manifest.num_shards))
        lacking = [index for index in wanted if index not in there | under_way]
        if lacking:
            under_way.add(lacking[0])
            yield lacking[0]
        elif not under_way and wanted.stop == manifest.num_shards:
            return
        else:
            yield None


class _Keeper:
    """Writes shards and notes each in the manifest once it is whole."""

    def __init__(self, job: Job, name: str) -> None:
        self.job, self.name = job, name
        alone = name == MANIFEST
        self._done = [{s.index: s for s in m.shards} if alone else {} for m in job.manifests]

    def keep(self, index: int, layers: list[dict[str, Tensor]]) -> None:
        """Write one shard of each layer."""
        for folder, rows, done in zip(self.job.folders, layers, self._done, strict=True):
            done[index] = write_shard(folder, shard_name(index), rows)
        for folder, manifest, done in zip(self.job.folders, self.job.manifests, self._done, strict=True):
            manifest.with_shards(done.values()).save(folder, self.name)


@torch.no_grad()
def shard_rows(
    job: Job, index: int, read: Sequence[Document], advance: Callable[[int], None]
) -> list[dict[str, Tensor]]:
    """What a shard holds, for each layer: all tokens of `read` but attention sinks, shuffled."""
    host, parts, columns = job.host, [[] for _ in job.layers], []
    for batch, input_ids in padded(read, batch_tokens=job.config.batch_tokens):
        resids = residuals_at(host, input_ids.to(host.device), job.layers)
        lengths = torch.tensor([len(document.prompt) for document in batch], device=host.device)
        kept = torch.arange(input_ids.shape[1], device=host.device) < lengths[:, None]
        for resid, manifest in zip(resids, job.manifests, strict=True):
            kept = kept & ~is_sink(resid, manifest.sink_norm)
        for part, resid in zip(parts, resids, strict=True):
            part.append(resid[kept].to("cpu", torch.bfloat16))
        columns.append(_columns(batch, input_ids, kept.cpu()))
        advance(int(lengths.sum()))
    beside = {name: torch.cat([each[name] for each in columns]) for name in columns[0]}
    seed = int(np.random.default_rng([job.config.seed, index]).integers(2**62))
    order = torch.randperm(len(beside["token"]), generator=torch.Generator().manual_seed(seed))
    shuffled = {name: column[order] for name, column in beside.items()}
    return [{"resid": torch.cat(part)[order], **shuffled} for part in parts]


def _columns(batch: list[Document], input_ids: Tensor, kept: Tensor) -> dict[str, Tensor]:
    """What is stored of each kept token beside the residual."""
    shape = input_ids.shape
    role, kind = torch.zeros(shape, dtype=torch.uint8), torch.zeros(shape, dtype=torch.uint8)
    for row, document in enumerate(batch):
        role[row, : len(document.prompt)] = torch.tensor(document.prompt.roles, dtype=torch.uint8)
        kind[row, : len(document.prompt)] = torch.tensor(document.prompt.kinds, dtype=torch.uint8)
    places = torch.tensor([document.index for document in batch], dtype=torch.int32)
    columns = {
        "token": input_ids.int(),
        "document": places[:, None].expand(shape),
        "position": torch.arange(shape[1], dtype=torch.int32).expand(shape),
        "role": role,
        "kind": kind,
    }
    return {name: column[kept] for name, column in columns.items()}
