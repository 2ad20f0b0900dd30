"""A harvest as a job: what is to be done, begun in a folder or found there."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from steersman_engine.host import HostModel
from steersman_engine.prompt import chat_template_sha256
from steersman_training.chats import Chat, Chats
from steersman_training.documents import Document, read
from steersman_training.manifest import MANIFEST, Manifest
from steersman_training.plan import (
    SAMPLE_DOCUMENTS,
    Plan,
    bytes_a_token,
    documents_for,
    expected_lengths,
    free_bytes,
    measure,
)
from steersman_training.residuals import check_layers
from steersman_training.shards import fault_of

PROGRESS = {"target_tokens", "sink_norm", "documents_done", "shards", "documents", "documents_per_shard"}
"""Fields of a manifest in which the same harvest may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HarvestConfig:
    """What to harvest; every field shapes what is written.

    Raises:
        ValueError: A field cannot be.
    """

    source: str
    tokens: int
    """About so many, to whole shards."""
    max_length: int = 512
    """Tokens after which a conversation is cut."""
    seed: int = 0
    batch_tokens: int = 4096
    """Tokens, padding included, in one forward pass."""
    shard_tokens: int = 131_072
    """Tokens shuffled together and written to one file, about; so much a kill can lose."""
    layers: tuple[int, ...] = ()
    """Blocks whose output is kept, from one pass; none is the host's layer."""
    ring: int = 0
    """Keep only so many shards, those that a trainer needs next; 0 keeps all."""

    def __post_init__(self) -> None:
        for name in ("tokens", "max_length", "batch_tokens", "shard_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 1 or more.")
        if self.ring < 0 or self.ring == 1:
            raise ValueError(f"A ring of {self.ring} cannot be: it has at least 2 shards, better 8.")
        if self.ring and len(self.layers) > 1:
            raise ValueError("A ring feeds one trainer: give one layer.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A harvest in one or several folders, one a layer, whose rows are the same tokens."""

    host: HostModel
    tokenizer: object
    chats: Chats
    order: np.ndarray
    """Indices of the training chats in the order that the seed fixes."""
    config: HarvestConfig
    layers: tuple[int, ...]
    folders: tuple[Path, ...]
    manifests: tuple[Manifest, ...]

    @classmethod
    def load(
        cls, host: HostModel, tokenizer, chats: Sequence[Chat], config: HarvestConfig, out: Path
    ) -> "Job":
        """The job that another process has begun in `out`."""
        found = Chats.of(chats)
        layers = config.layers or (host.layer,)
        folders = folders_of(out, layers)
        return cls(
            host=host,
            tokenizer=tokenizer,
            chats=found,
            order=found.order("train", seed=config.seed, max_length=config.max_length),
            config=config,
            layers=layers,
            folders=folders,
            manifests=tuple(Manifest.load(folder) for folder in folders),
        )

    def save(self) -> None:
        """Write the manifests."""
        for folder, manifest in zip(self.folders, self.manifests, strict=True):
            folder.mkdir(parents=True, exist_ok=True)
            manifest.save(folder)

    def missing(self) -> list[int]:
        """Numbers of the shards that are still to be made."""
        done = set.intersection(*({shard.index for shard in m.shards} for m in self.manifests))
        return [index for index in range(self.manifests[0].num_shards) if index not in done]

    def read(self, shard: int) -> list[Document]:
        """The documents of a shard."""
        places = self.manifests[0].documents_of(shard)
        length = self.config.max_length
        return list(read(self.chats, self.order, places, self.tokenizer, max_length=length))


def prepare(
    host: HostModel,
    tokenizer,
    chats: Sequence[Chat],
    config: HarvestConfig,
    out: Path,
    *,
    num_workers: int = 1,
) -> tuple[Job, Plan]:
    """What is to be done in `out`, after what is found there; nothing is written but merged manifests.

    Raises:
        ValueError: `out` holds another harvest, or the source has no chats for training.
    """
    layers = config.layers or (host.layer,)
    check_layers(host, layers)
    found = Chats.of(chats)
    order = found.order("train", seed=config.seed, max_length=config.max_length)
    if not len(order):
        raise ValueError(f"{config.source} has no chats in the train split.")
    places = range(min(len(order), SAMPLE_DOCUMENTS))
    sample = list(read(found, order, places, tokenizer, max_length=config.max_length))
    norms, tokens_per_s = measure(host, sample, layers, batch_tokens=config.batch_tokens)
    lengths = expected_lengths(found, order, sample, max_length=config.max_length)
    per_shard = max(1, round(config.shard_tokens / lengths.mean()))
    folders = folders_of(out, layers)
    merge_parts(folders)
    manifests = []
    for layer, folder, norm in zip(layers, folders, norms, strict=True):
        fresh = Manifest(
            model=host.name,
            fingerprint=host.fingerprint(),
            chat_template_sha256=chat_template_sha256(tokenizer),
            layer=layer,
            d_model=host.d_model,
            source=config.source,
            source_sha256=found.sha256,
            seed=config.seed,
            max_length=config.max_length,
            dtype=str(host.model.dtype).removeprefix("torch."),
            batch_tokens=config.batch_tokens,
            target_tokens=config.tokens,
            sink_norm=norm,
            documents_per_shard=per_shard,
            ring=config.ring,
        )
        manifests.append(_planned(_found(folder, fresh), lengths, config))
    job = Job(
        host=host,
        tokenizer=tokenizer,
        chats=found,
        order=order,
        config=config,
        layers=layers,
        folders=folders,
        manifests=tuple(manifests),
    )
    return job, _plan(job, lengths, out, tokens_per_s * num_workers)


def folders_of(out: Path, layers: Sequence[int]) -> tuple[Path, ...]:
    """Where each layer's harvest is: `out` itself, or folders in it where there are several."""
    return (out,) if len(layers) == 1 else tuple(out / f"layer-{layer:02d}" for layer in layers)


def part_name(worker: int) -> str:
    """The manifest of what one of several processes has made."""
    return f"manifest-of-worker-{worker}.json"


def merge_parts(folders: Sequence[Path]) -> None:
    """Bring what several processes have made into the manifest of each folder."""
    for folder in folders:
        parts = sorted(folder.glob(part_name(0).replace("0", "*")))
        if not parts:
            continue
        whole = Manifest.load(folder)
        shards = {shard.index: shard for shard in whole.shards}
        for part in parts:
            shards |= {shard.index: shard for shard in Manifest.load(folder, part.name).shards}
        whole.with_shards(shards.values()).save(folder)
        for part in parts:
            part.unlink()


def _found(folder: Path, fresh: Manifest) -> Manifest:
    """The harvest in `folder`, without shards that are damaged; `fresh` where there is none."""
    if not (folder / MANIFEST).exists():
        return fresh
    found = Manifest.load(folder)
    for name in fresh.__struct_fields__:
        old, new = getattr(found, name), getattr(fresh, name)
        if name not in PROGRESS and old != new:
            raise ValueError(
                f"{folder} holds a harvest with {name} {old!r}, not {new!r}. Choose another folder."
            )
    whole = []
    for shard in found.shards:
        gone = found.ring and not (folder / shard.file).exists()
        if gone or not (fault := fault_of(folder, shard)):
            whole.append(shard)
        else:
            print(f"{fault} It is harvested again.")
    return found.with_shards(whole)


def _planned(manifest: Manifest, lengths: np.ndarray, config: HarvestConfig) -> Manifest:
    """How many documents it takes; what is there stays."""
    per_shard = manifest.documents_per_shard
    cycles = -(-config.tokens // max(1, int(lengths.sum()))) if config.ring else 1
    documents = documents_for(np.tile(lengths, cycles), config.tokens, per_shard=per_shard)
    last = max((shard.index for shard in manifest.shards), default=-1)
    done = min((last + 1) * per_shard, len(lengths) * cycles)
    return msgspec.structs.replace(
        manifest, target_tokens=config.tokens, documents=max(documents, done)
    ).with_shards(manifest.shards)


def _plan(job: Job, lengths: np.ndarray, out: Path, tokens_per_s: float) -> Plan:
    manifest = job.manifests[0]
    tokens = 0
    for shard in job.missing():
        tokens += int(lengths[np.array(manifest.documents_of(shard)) % len(lengths)].sum())
    kept = tokens
    if job.config.ring:
        kept = min(tokens, job.config.ring * job.config.shard_tokens)
    return Plan(
        folder=out,
        tokens=tokens,
        bytes=kept * bytes_a_token(job.host.d_model, len(job.layers)),
        free=free_bytes(out),
        tokens_per_s=tokens_per_s,
        lacking=0 if job.config.ring else max(0, job.config.tokens - round(lengths.sum())),
    )
