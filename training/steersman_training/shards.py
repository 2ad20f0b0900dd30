"""Read a harvest: batches of residuals, mixed from all of it, in an order that a seed fixes.

Each shard is shuffled within itself, so any run of its rows is a random sample of it. An epoch is read in
*pools*: one such run of every shard, a different one each time, shuffled together. So every batch is
drawn from the whole harvest, and reading stays sequential. A ring, where only the newest shards are on
disk, is read the same way with pools from a window of shards: see `ring.py`.
"""

import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, count
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from steersman_engine.prompt import ROLES, Kind
from steersman_training.manifest import MANIFEST, Manifest, Shard, write_atomically, write_shard
from steersman_training.ring import Follower

__all__ = [
    "MANIFEST", "Manifest", "Shard", "TokenFilter", "batches", "verify", "write_atomically", "write_shard"
]  # fmt: skip

POOL_TOKENS = 262_144
"""Tokens shuffled together at a time; two pools are in memory."""
READERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFilter:
    """Which tokens of a harvest to read: those of these roles and of these kinds.

    Raises:
        ValueError: There is no such role or kind.
    """

    roles: tuple[str, ...] = ROLES
    kinds: tuple[str, ...] = tuple(kind.name.lower() for kind in Kind)

    def __post_init__(self) -> None:
        for given, known in ((self.roles, ROLES), (self.kinds, [kind.name.lower() for kind in Kind])):
            for name in given:
                if name not in known:
                    raise ValueError(f"{name!r} is none of {', '.join(known)}.")

    def rows(self, path: Path) -> np.ndarray:
        """Which rows of a shard it keeps."""
        with safe_open(path, framework="numpy") as file:
            role, kind = file.get_tensor("role"), file.get_tensor("kind")
        roles = [ROLES.index(name) for name in self.roles]
        kinds = [Kind[name.upper()] for name in self.kinds]
        return np.flatnonzero(np.isin(role, roles) & np.isin(kind, kinds))


@dataclass(frozen=True, slots=True)
class Slice:
    """A run of the rows of a shard: the `part`-th of `parts` equal ones."""

    shard: Shard
    part: int
    parts: int


class Pool(NamedTuple):
    """What is shuffled together."""

    slices: list[Slice]
    seed: int
    hold: Callable[[], None] = lambda: None
    """Waits until the shards are on disk."""


def verify(folder: Path, manifest: Manifest) -> None:
    """Check every shard that should be on disk against its checksum.

    Raises:
        ValueError: A shard is missing or altered.
    """
    for shard in manifest.shards:
        if fault := fault_of(folder, shard):
            if manifest.ring and not (folder / shard.file).exists():
                continue  # used up
            raise ValueError(f"{fault} Give the same `steersman harvest` again: it makes the shard anew.")


def fault_of(folder: Path, shard: Shard) -> str | None:
    """What is wrong with a shard, if anything."""
    path = folder / shard.file
    if not path.is_file():
        return f"{path} is missing."
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    return None if found == shard.sha256 else f"{path} has SHA-256 {found}, not {shard.sha256}."


def batches(
    folder: Path,
    manifest: Manifest,
    *,
    batch_size: int,
    seed: int,
    skip: int = 0,
    keep: TokenFilter | None = None,
    pool_tokens: int = POOL_TOKENS,
) -> Iterator[Tensor]:
    """Residuals `[batch_size, d_model]` bfloat16, epoch after epoch, in an order that `seed` fixes.

    What does not fill a batch at the end of a pool, other tokens each epoch, is left out of that epoch.
    `skip`: begin after that many batches; nothing is read to get there. `keep`: only those tokens. The
    next pool is read while one is used. A ring has one epoch, and waits where the harvest is behind.

    Raises:
        ValueError: There are too few tokens for one batch, or a filter on a ring.
    """
    if manifest.ring and keep is not None:
        raise ValueError(
            f"{folder} is a ring: tokens that are gone cannot be counted, so it takes no filter."
        )
    reader = _Reader(folder, keep)
    if manifest.ring:
        pools = _ring(folder, manifest, seed)
    else:
        pools = _epochs(folder, manifest, reader, batch_size, seed, pool_tokens)
    waiting: tuple[Future[Tensor], int, int] | None = None
    with ThreadPoolExecutor(1) as ahead:
        for pool in pools:
            num_batches = sum(reader.count(each) for each in pool.slices) // batch_size
            if skip >= num_batches:
                skip -= num_batches
                continue
            pool.hold()
            reading = ahead.submit(reader.pool, pool.slices)
            if waiting is not None:
                yield from _dealt(*waiting, batch_size)
            waiting, skip = (reading, pool.seed, skip), 0
        if waiting is not None:
            yield from _dealt(*waiting, batch_size)


def _epochs(
    folder: Path, manifest: Manifest, reader: "_Reader", batch_size: int, seed: int, pool_tokens: int
) -> Iterator[Pool]:
    total = sum(reader.count(Slice(shard, 0, 1)) for shard in manifest.shards)
    if total < batch_size:
        raise ValueError(f"{folder} holds {total:,} tokens: too few for a batch of {batch_size:,}.")
    parts = max(1, min(total // pool_tokens, total // (2 * batch_size)))
    for epoch in count():
        rng = np.random.default_rng([seed, epoch])
        part_of = rng.permuted(np.tile(np.arange(parts), (len(manifest.shards), 1)), axis=1)
        for number in range(parts):
            slices = [
                Slice(shard, int(part), parts)
                for shard, part in zip(manifest.shards, part_of[:, number], strict=True)
            ]
            yield Pool(slices, int(rng.integers(2**62)))


def _ring(folder: Path, manifest: Manifest, seed: int) -> Iterator[Pool]:
    follower = Follower(folder, manifest)
    for step in follower.steps():
        pool_seed = int(np.random.default_rng([seed, step.number]).integers(2**62))
        yield Pool([Slice(*each) for each in step.parts], pool_seed, partial(follower.hold, step))


def _dealt(reading: Future[Tensor], seed: int, skip: int, batch_size: int) -> Iterator[Tensor]:
    pool = reading.result()
    order = torch.randperm(len(pool), generator=torch.Generator().manual_seed(seed))
    for rows in order.split(batch_size)[skip:]:
        if len(rows) == batch_size:
            yield pool[rows]


class _Reader:
    """Rows of shards, straight from the file into the pool."""

    def __init__(self, folder: Path, keep: TokenFilter | None) -> None:
        self.folder, self.keep = folder, keep
        self._kept: dict[str, np.ndarray] = {}

    def count(self, part: Slice) -> int:
        begin, end = self._bounds(part)
        return end - begin

    def pool(self, slices: list[Slice]) -> Tensor:
        """All rows of `slices`, `[tokens, d_model]`."""
        starts = [0, *accumulate(self.count(each) for each in slices)]
        with _open(self.folder / slices[0].shard.file) as first:
            d_model = first.d_model
        pool = torch.empty(starts[-1], d_model, dtype=torch.bfloat16)
        flat = pool.view(torch.uint8).numpy()

        def read(number: int) -> None:
            self._read(slices[number], flat[starts[number] : starts[number + 1]])

        with ThreadPoolExecutor(READERS) as readers:
            list(readers.map(read, range(len(slices))))
        return pool

    def _read(self, part: Slice, out: np.ndarray) -> None:
        begin, end = self._bounds(part)
        if begin == end:
            return
        with _open(self.folder / part.shard.file) as file:
            if self.keep is None:
                file.read(begin, out)
                return
            rows = self._rows(part.shard)[begin:end]
            run = np.empty((rows[-1] + 1 - rows[0], out.shape[1]), np.uint8)
            file.read(int(rows[0]), run)
            out[:] = run[rows - rows[0]]

    def _bounds(self, part: Slice) -> tuple[int, int]:
        total = part.shard.tokens if self.keep is None else len(self._rows(part.shard))
        return total * part.part // part.parts, total * (part.part + 1) // part.parts

    def _rows(self, shard: Shard) -> np.ndarray:
        assert self.keep is not None
        if shard.file not in self._kept:
            self._kept[shard.file] = self.keep.rows(self.folder / shard.file)
        return self._kept[shard.file]


class _Residuals:
    """The `resid` of one open shard file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDONLY)
        (length,) = struct.unpack("<Q", os.pread(self._file, 8, 0))
        described = json.loads(os.pread(self._file, length, 8))["resid"]
        assert described["dtype"] == "BF16"
        self.d_model = described["shape"][1]
        self._start = 8 + length + described["data_offsets"][0]

    def read(self, row: int, out: np.ndarray) -> None:
        """Fill `out` `[rows, 2 * d_model]`, bytes, from a row on."""
        view, at = out.reshape(-1).data, self._start + row * out.shape[1]
        while view:
            got = os.preadv(self._file, [view], at)
            if not got:
                raise ValueError(f"{self.path} ends early. Give the same `steersman harvest` again.")
            view, at = view[got:], at + got

    def close(self) -> None:
        os.close(self._file)


def _open(path: Path) -> "closing[_Residuals]":
    return closing(_Residuals(path))
