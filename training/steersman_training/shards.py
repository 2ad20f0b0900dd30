"""Shuffled activations on disk: checksummed safetensors shards and the manifest that lists them.

A shard holds, for each of its tokens: `resid` `[tokens, d_model]` bfloat16, `token`, `document` (its
place in the harvest's order), `position`, `role` (index into ROLES) and `kind` (see Kind).
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import torch
from msgspec import Struct
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

MANIFEST = "manifest.json"
SHARDS_AT_ONCE = 4


class Shard(Struct, frozen=True):
    """One file of a harvest."""

    file: str
    tokens: int
    sha256: str


class Manifest(Struct, frozen=True):
    """What a harvest read, how, and what it has written so far."""

    model: str
    fingerprint: str
    chat_template_sha256: str
    layer: int
    d_model: int
    source: str
    seed: int
    max_length: int
    """Tokens after which a conversation is cut."""
    target_tokens: int
    sink_norm: float = 0.0
    """Positions with a longer residual were left out."""
    documents_done: int = 0
    shards: tuple[Shard, ...] = ()

    @property
    def tokens(self) -> int:
        """Tokens on disk."""
        return sum(shard.tokens for shard in self.shards)

    def save(self, folder: Path) -> None:
        """Replace the manifest in `folder` in one step."""
        data = msgspec.json.format(msgspec.json.encode(self), indent=1)
        write_atomically(folder / MANIFEST, data)

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """Read the manifest of a harvest.

        Raises:
            FileNotFoundError: There is no harvest in `folder`.
        """
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=cls)


def write_shard(folder: Path, name: str, tensors: dict[str, Tensor]) -> Shard:
    """Write one shard in one step."""
    data = save({key: tensor.contiguous() for key, tensor in tensors.items()})
    write_atomically(folder / name, data)
    return Shard(name, len(tensors["resid"]), hashlib.sha256(data).hexdigest())


def write_atomically(path: Path, data: bytes) -> None:
    """Put `data` at `path` so that a reader, or a crash, never finds half of it."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def verify(folder: Path, manifest: Manifest) -> None:
    """Check every shard against its checksum.

    Raises:
        ValueError: A shard is missing or altered.
    """
    for shard in manifest.shards:
        path = folder / shard.file
        if not path.is_file():
            raise ValueError(f"{path} is missing.")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != shard.sha256:
            raise ValueError(f"{path} has SHA-256 {found}, not {shard.sha256}: harvest again.")


def batches(
    folder: Path, manifest: Manifest, *, batch_size: int, seed: int, skip: int = 0
) -> Iterator[Tensor]:
    """Residuals `[batch_size, d_model]` bfloat16, epoch after epoch, in an order that `seed` fixes.

    Each epoch deals the shards anew into groups of `SHARDS_AT_ONCE` and shuffles the tokens of a group
    together. What does not fill a batch at the end of a group, other tokens each time, is left out of
    that epoch. `skip`: begin after that many batches.

    Raises:
        ValueError: There are too few tokens for one batch.
    """
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(manifest.shards), generator=generator).tolist()
        num_batches = 0
        for start in range(0, len(order), SHARDS_AT_ONCE):
            group = [manifest.shards[i] for i in order[start : start + SHARDS_AT_ONCE]]
            rows = torch.randperm(sum(shard.tokens for shard in group), generator=generator)
            chosen = [rows for rows in rows.split(batch_size) if len(rows) == batch_size]
            num_batches += len(chosen)
            if skip < len(chosen):
                pool = torch.cat([_resid(folder / shard.file) for shard in group])
                yield from (pool[batch] for batch in chosen[skip:])
            skip = max(0, skip - len(chosen))
        if not num_batches:
            raise ValueError(
                f"{folder} holds {manifest.tokens:,} tokens: too few for a batch of {batch_size:,}."
            )


def _resid(path: Path) -> Tensor:
    with safe_open(path, framework="pt") as file:
        return file.get_tensor("resid")
