"""What a harvest is made of: its shards, and the manifest that says how and how far it is made.

A shard holds, for each of its tokens: `resid` `[tokens, d_model]` bfloat16, `token`, `document` (its
place in the harvest's order), `position`, `role` (index into ROLES) and `kind` (see Kind).
"""

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

MANIFEST = "manifest.json"


class Shard(Struct, frozen=True):
    """One file of a harvest."""

    file: str
    tokens: int
    sha256: str

    @property
    def index(self) -> int:
        """Its place in the harvest's order."""
        return int(self.file.removeprefix("shard-").partition(".")[0])


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
    source_sha256: str = ""
    """Of what all chats of the source say."""
    dtype: str = ""
    """Of the model; residuals are stored in bfloat16."""
    batch_tokens: int = 0
    """Tokens, padding included, in one forward pass."""
    documents: int = 0
    """How many are to be harvested, to reach about `target_tokens`."""
    documents_per_shard: int = 0
    """Each shard is made of so many documents, the next in the order."""
    ring: int = 0
    """At most so many shards are on disk, those that a trainer needs next; 0 keeps all."""

    @property
    def tokens(self) -> int:
        """Tokens on disk."""
        return sum(shard.tokens for shard in self.shards)

    @property
    def num_shards(self) -> int:
        """How many there are to be."""
        return -(-self.documents // self.documents_per_shard) if self.documents_per_shard else 0

    def documents_of(self, shard: int) -> range:
        """Which documents a shard is made of."""
        size = self.documents_per_shard
        return range(shard * size, min((shard + 1) * size, self.documents))

    def with_shards(self, shards: Iterable[Shard]) -> "Manifest":
        """The same with other shards, in order."""
        ordered = tuple(sorted(shards, key=lambda shard: shard.index))
        done = sum(len(self.documents_of(shard.index)) for shard in ordered)
        return msgspec.structs.replace(self, shards=ordered, documents_done=done)

    def save(self, folder: Path, name: str = MANIFEST) -> None:
        """Replace the manifest in `folder` in one step."""
        write_atomically(folder / name, msgspec.json.format(msgspec.json.encode(self), indent=1))

    @classmethod
    def load(cls, folder: Path, name: str = MANIFEST) -> "Manifest":
        """Read the manifest of a harvest.

        Raises:
            FileNotFoundError: There is no harvest in `folder`.
        """
        path = folder / name
        if not path.is_file():
            raise FileNotFoundError(f"{folder} holds no harvest: it has no {name}.")
        return msgspec.json.decode(path.read_bytes(), type=cls)


def shard_name(index: int) -> str:
    """The file of a shard."""
    return f"shard-{index:05d}.safetensors"


def write_shard(folder: Path, name: str, tensors: dict[str, Tensor]) -> Shard:
    """Write one shard in one step."""
    with _in_one_step(folder / name) as part:
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, part)
        with part.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Shard(name, len(tensors["resid"]), sha256)


def write_atomically(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Put `data` at `path` so that a reader, or a crash, never finds half of it.

    Raises:
        OSError: It cannot be written, as when the disk is full.
    """
    with _in_one_step(path) as part, part.open("wb") as file:
        for piece in [data] if isinstance(data, bytes) else data:
            file.write(piece)


@contextmanager
def _in_one_step(path: Path) -> Iterator[Path]:
    """A file to write, which becomes `path` when it is whole and on disk, or goes."""
    part = path.with_name(path.name + ".part")
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if _full(error):
            raise OSError(
                errno.ENOSPC,
                f"The disk of {path.parent} is full. Make room, then give the same command again",
            ) from error
        raise


def _full(error: BaseException) -> bool:
    if isinstance(error, SafetensorError):  # it keeps the system's number in its text only
        return any(f"(os error {number})" in str(error) for number in (errno.ENOSPC, errno.EDQUOT))
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
